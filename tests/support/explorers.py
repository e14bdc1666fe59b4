"""An explorer's page opened from disk in a headless browser, for the tests of everything that it shows.

conftest makes its fixtures known. One run and one file serve all tests, one browser those of a module: while it is open,
nothing else can use asyncio in this thread.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browsers import chromium
from PIL import Image
from torch import nn

import splineviz as sv
from splineviz.geometry.partition import Partition

STEPS = tuple(round(2**k) for k in range(20))
NASTY = "</script><img src=x onerror=alert(1)>"


def model_at(seed: float) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 3))
        with torch.no_grad():
            for weights in model.parameters():
                weights.add_(0.02 * seed * torch.randn_like(weights))
    return model


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `animate` leaves of a run with 20 checkpoints, as far as the explorer reads it."""
    out = tmp_path_factory.mktemp("explore") / "a <b> & 'c'"
    (out / "partitions").mkdir(parents=True)
    plane = sv.Plane.through(*np.random.default_rng(0).uniform(0, 1, (3, 16)))
    rows = ["step,regions,train_accuracy,test_accuracy,lc_train,lc_test,lc_random"]
    for index, step in enumerate(STEPS):
        found = sv.partition(model_at(index), plane, window=1.5)
        found.save(out / "partitions" / f"step-{step:010d}.npz")
        rows.append(f"{step},{found.num_regions},{index / 20},{index / 30},{20 - index},{18 - index / 2},nan")
    (out / "measures.csv").write_text("\n".join(rows) + "\n")
    return out


@pytest.fixture(scope="session")
def view(folder: Path) -> Path:
    path = sv.explore(folder, html=folder.parent / "view.html", classes=("cat", NASTY, "dog"))
    assert isinstance(path, Path)
    return path


def partition_at(folder: Path, index: int) -> Partition:
    return Partition.load(folder / "partitions" / f"step-{STEPS[index]:010d}.npz")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def opened_page(browser: Any, view: Path) -> Iterator[Any]:
    """The file opened from disk in a context that is offline; every request and error is kept."""
    context = browser.new_context(viewport={"width": 1180, "height": 860}, offline=True)
    opened = context.new_page()
    opened.asked, opened.wrong = [], []
    opened.on("request", lambda request: opened.asked.append(request.url))
    opened.on("pageerror", lambda error: opened.wrong.append(str(error)))
    opened.on("console", lambda message: opened.wrong.append(message.text) if message.type == "error" else None)
    opened.goto(view.resolve().as_uri())
    opened.wait_for_function("window.explorer && explorer.index >= 0", timeout=60_000)
    yield opened
    context.close()


@pytest.fixture
def page(opened_page: Any) -> Any:
    """The same page for every test, which begins at the last step and the whole window."""
    opened_page.keyboard.press("Escape")
    opened_page.evaluate("explorer.setFill('slope'); explorer.look_at([...explorer.part.middle, 1.04 * explorer.part.half])")
    opened_page.mouse.move(0, 0)
    go_to(opened_page, len(STEPS) - 1)
    return opened_page


def go_to(page: Any, index: int) -> None:
    page.evaluate(f"explorer.show({index})")
    settle(page, index)


def settle(page: Any, index: int) -> None:
    still = "!explorer.frame && !explorer.canvas.style.transform && explorer.painter"
    page.wait_for_function(f"explorer.index === {index} && {still}")


def place(page: Any, uv: Any) -> tuple[float, float]:
    """Where a point of the plane stands on the page."""
    box = page.locator(".sv-stage").bounding_box()
    u, v, half = page.evaluate("explorer.view()")
    # The border of the stage is no part of the picture.
    width, height = page.evaluate("[explorer.stage.clientWidth, explorer.stage.clientHeight]")
    unit = min(width, height) / 2 / half
    return box["x"] + 1 + width / 2 + (uv[0] - u) * unit, box["y"] + 1 + height / 2 - (uv[1] - v) * unit


def region_at(partition: Partition, uv: Any) -> int:
    """The region of a point, by Python: every side has it on its left."""
    for face in range(partition.num_regions):
        corners = partition.vertices[partition.face(face)]
        sides, to = np.roll(corners, -1, axis=0) - corners, uv - corners
        if (sides[:, 0] * to[:, 1] - sides[:, 1] * to[:, 0] >= 0).all():
            return face
    raise AssertionError(f"no region at {uv}")


def shot(page: Any) -> np.ndarray:
    """The regions as the browser shows them, without overlay."""
    data = page.evaluate("explorer.canvas.toDataURL('image/png').split(',')[1]")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(float)
