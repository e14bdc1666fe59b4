"""JupyterLab itself, started on this machine's loopback: a notebook's kernel makes the widget, and the browser shows it."""

import io
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browsers import executable
from PIL import Image

pytest.importorskip("jupyterlab", reason="jupyterlab is not installed")
pytest.importorskip("anywidget", reason="anywidget is not installed")

PATIENCE = 120.0
"""Seconds that a busy machine may take; an idle one needs a tenth."""
SESSION = "window.jupyterapp.shell.currentWidget?.context?.sessionContext"
MODEL = """\
import torch, splineviz as sv
from torch import nn
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 3))
plane = sv.Plane.through([0.0, 0.0], [1.0, 0.2], [0.3, 1.0])
partition = sv.partition(model, plane, window=2.0)
"""
CELLS = (
    MODEL + "view = sv.explore(partition, model=model)\nview",
    'print("selected", view.selected["region"].tolist(), "of", view.partition.num_regions)',
)


def notebook() -> dict[str, Any]:
    cells = [
        {"cell_type": "code", "id": f"cell-{i}", "metadata": {}, "execution_count": None, "outputs": [], "source": text}
        for i, text in enumerate(CELLS)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab that serves a folder with the notebook, and knows no settings of this machine's user."""
    if executable() is None:
        pytest.skip("no Chromium: install Debian's chromium or set SPLINEVIZ_CHROMIUM")
    with torch.random.fork_rng():
        exec(MODEL, {})  # the kernels are compiled and cached here, not while the browser waits
    home = tmp_path_factory.mktemp("lab")
    (home / "files").mkdir()
    (home / "files" / "view.ipynb").write_text(json.dumps(notebook()))
    token = secrets.token_hex(16)
    flags = (
        "--no-browser", "--allow-root", "--expose-app-in-browser", "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0",
        f"--ServerApp.root_dir={home / 'files'}", f"--IdentityProvider.token={token}", "--ServerApp.terminals_enabled=False",
        "--LabApp.extension_manager=readonly", "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    )  # fmt: skip
    own = {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    own |= {"IPYTHONDIR": str(home / "ipython"), "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    with open(home / "log", "wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *flags],
            env={**os.environ, **own}, stdout=log, stderr=log, cwd=home, start_new_session=True,
        )  # fmt: skip
    try:
        yield f"{address(server, home)}lab/tree/view.ipynb?token={token}"
    finally:
        server.send_signal(signal.SIGINT)  # asks; SIGTERM tells, and the server ends its kernels
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def address(server: subprocess.Popen[bytes], home: Path) -> str:
    """Where the server listens, by the file that it writes when it does."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and server.poll() is None:
        for found in (home / "runtime").glob("jpserver-*.json"):
            try:
                return str(json.loads(found.read_text())["url"])
            except (ValueError, KeyError):
                pass  # half written
        time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start:\n{(home / 'log').read_text()[-3000:]}")


@pytest.fixture(scope="module")
def page(browser: Any, lab: str) -> Iterator[Any]:
    """The notebook in JupyterLab after all its cells ran."""
    opened = browser.new_page(viewport={"width": 1500, "height": 1000})
    opened.set_default_timeout(1000 * PATIENCE)
    opened.goto(lab)
    opened.wait_for_function("window.jupyterapp?.commands.hasCommand('notebook:run-all-cells')")
    opened.locator(".jp-NotebookPanel .jp-Cell").nth(len(CELLS) - 1).wait_for()
    opened.wait_for_function(f"{SESSION}?.session?.kernel?.status === 'idle'")
    run(opened, "notebook:run-all-cells")
    opened.wait_for_function("document.querySelector('.sv-explorer')?.explorer?.index === 0")
    yield opened
    opened.close()


def run(page: Any, command: str) -> None:
    page.evaluate(f"() => {{ jupyterapp.commands.execute('{command}'); }}")


def test_jupyterlab_shows_the_widget(page: Any) -> None:
    stage = page.locator(".sv-stage")
    stage.scroll_into_view_if_needed()
    shown = np.asarray(Image.open(io.BytesIO(stage.screenshot())).convert("RGB"))
    assert min(shown.shape[:2]) > 300
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 100 and shown.std() > 20, "blank"
    said = page.locator(".jp-OutputArea-output pre").last.inner_text()
    assert said.startswith("selected [] of ")
    assert f"{int(said.split()[-1])} regions" in page.locator(".sv-title").inner_text()


def test_the_kernel_gets_what_the_browser_selects(page: Any) -> None:
    page.locator(".sv-stage").click()
    page.wait_for_function("document.querySelector('.sv-explorer').explorer.pinned >= 0")
    face = page.evaluate("document.querySelector('.sv-explorer').explorer.pinned")
    said_by_the_kernel(page, f"selected [{face}] of")


def said_by_the_kernel(page: Any, beginning: str) -> str:
    """What the second cell prints, once it begins like this: a trait crosses a little after the hand has moved."""
    page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex = 1")
    end, said = time.monotonic() + PATIENCE, ""
    while not said.startswith(beginning):
        assert time.monotonic() < end, said
        run(page, "notebook:run-cell")
        page.wait_for_function(f"{SESSION}.session.kernel.status === 'idle'")
        page.wait_for_timeout(100)
        said = page.locator(".jp-OutputArea-output pre").last.inner_text()
    return said


def test_a_dragged_star_slices_the_network_again(page: Any) -> None:
    page.locator(".sv-stage").scroll_into_view_if_needed()
    x, y, before = page.evaluate(
        """() => {
          const view = document.querySelector('.sv-explorer').explorer, box = view.stage.getBoundingClientRect();
          const [u, v, half] = view.view(), unit = Math.min(view.stage.clientWidth, view.stage.clientHeight) / 2 / half;
          const [a, b] = view.meta.anchors[1];
          return [box.x + 1 + box.width / 2 + (a - u) * unit, box.y + 1 + box.height / 2 - (b - v) * unit, view.part.faces];
        }"""
    )
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 90, y - 40, steps=6)
    page.mouse.up()
    explorer = "document.querySelector('.sv-explorer').explorer"
    page.wait_for_function(f"{explorer}.part.faces !== {before} && !{explorer}.cutting")
    said = said_by_the_kernel(page, "selected [] of")
    assert f"{int(said.split()[-1])} regions" in page.locator(".sv-title").inner_text()


def test_keys_belong_to_the_explorer_while_it_has_the_focus(page: Any) -> None:
    page.locator(".sv-stage").focus()
    for key in "ab":
        page.keyboard.press(key)
    page.wait_for_timeout(100)
    assert not page.get_by_label("boundary", exact=True).is_checked()
    assert page.locator(".jp-NotebookPanel .jp-Cell").count() == len(CELLS), "a and b insert cells in JupyterLab"


def test_a_saved_notebook_shows_a_picture_and_no_lost_widget(page: Any) -> None:
    """Opened again by another kernel, which has no such widget."""
    page.evaluate("async () => { await jupyterapp.commands.execute('docmanager:save'); }")
    page.evaluate(f"async () => {{ await {SESSION}.shutdown(); }}")
    page.reload()
    picture = page.locator(".jp-OutputArea-output img[alt^=splineviz]")
    picture.wait_for()
    lost = page.locator(".jp-OutputArea-output", has_text="model not found")
    lost.wait_for(state="attached")
    assert not lost.is_visible() and picture.is_visible()
    assert picture.evaluate("(e) => e.naturalWidth") > 300
