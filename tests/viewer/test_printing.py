"""From a film to the explorer and to print: what `animate` leaves is shown whole, the copied command draws the view."""

from __future__ import annotations

import csv
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from explorers import shot
from matplotlib.figure import Figure
from PIL import Image
from small_runs import write_run
from torch import nn

from splineviz.__main__ import main
from splineviz.drawing import curves
from splineviz.drawing.print_figure import Paper

CLASSES = ("cat", "dog", "<b>emu</b>")
CUT = (0.15, -0.1, 0.7)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a run, its film, and the explorer's page, all made on the command line; the present folder meanwhile."""
    here = tmp_path_factory.mktemp("home")
    before = Path.cwd()
    os.chdir(here)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        layers = (nn.Flatten(), nn.Linear(4, 14), nn.ReLU(), nn.Linear(14, 10), nn.ReLU(), nn.Linear(10, 3))
    write_run(here / "run", model=nn.Sequential(*layers), classes=CLASSES)
    film = ["animate", "run", "--out", "out", "--size", "320x180", "--format", "gif", "--lc-points", "12", "--window", "2.5",
            "--panels", "accuracy", "complexity", "migration", "exact"]
    film += ["--steps", "0", "10"]
    assert main(film) == 0
    assert main(["explore", "out"]) == 0
    yield here
    os.chdir(before)


@pytest.fixture(scope="module")
def opened(home: Path, browser: Any) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1100, "height": 800})
    page.goto((home / "view.html").as_uri())
    page.wait_for_function("window.explorer && explorer.index >= 0 && explorer.scene.drawn", timeout=60_000)
    yield page
    page.close()


def meta_of(opened: Any) -> dict[str, Any]:
    return dict(opened.evaluate("explorer.meta"))


def test_the_runs_class_names_are_kept(opened: Any) -> None:
    assert tuple(meta_of(opened)["class_names"]) == CLASSES
    opened.evaluate("explorer.setFill('class')")
    assert opened.locator(".sv-legend li").all_inner_texts() == list(CLASSES)
    opened.evaluate("explorer.pinAt(0.1, 0.1)")
    named = opened.locator(".sv-info dd").nth(1).inner_text()
    assert named == CLASSES[opened.evaluate("explorer.facts(explorer.pinned, 0.1, 0.1).class")]
    opened.evaluate("explorer.forget(); explorer.setFill('slope')")


def test_classes_may_be_named_by_hand(home: Path, browser: Any) -> None:
    assert main(["explore", "out", "--classes", "a", "b", "c", "--html", "named.html"]) == 0
    page = browser.new_page()
    page.goto((home / "named.html").as_uri())
    page.wait_for_function("window.explorer && explorer.index >= 0")
    page.evaluate("explorer.setFill('class')")
    assert page.locator(".sv-legend li").all_inner_texts() == ["a", "b", "c"]
    page.close()


def test_the_panels_of_the_film_are_there(home: Path, opened: Any) -> None:
    """Each of the film's panels with the very curves and values that the table has, the exact one among them."""
    with open(home / "out" / "measures.csv", newline="") as stream:
        table = [{name: float(value or "nan") for name, value in row.items()} for row in csv.DictReader(stream)]
    panels = meta_of(opened)["panels"]
    for name in ("accuracy", "complexity", "migration", "exact"):
        columns = [[row[column] for row in table] for column, _, _ in curves.CHARTS[name].curves]
        expected = [values for values in columns if np.isfinite(values).any()]
        found = [[[np.nan if v is None else v for v in one["values"]] for one in panel["curves"]] for panel in panels]
        assert any(np.allclose(values, expected, equal_nan=True) for values in found if len(values) == len(expected)), name
    assert opened.locator(".sv-curves").count() == len(panels)
    assert "units nearby" in " ".join(panel["title"] for panel in panels)
    inked = opened.evaluate(
        """[...document.querySelectorAll('.sv-curves')].map((c) => {
          const data = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
          return data.reduce((sum, v, i) => sum + (i % 4 === 3 && v > 0), 0);
        })"""
    )
    assert min(inked) > 200, "each of them is drawn"


# ---- the copied command, run ---------------------------------------------------------------------------


def printed(opened: Any, monkeypatch: pytest.MonkeyPatch) -> Figure:
    """The figure that the copied command draws."""
    opened.evaluate("explorer.say('')")
    opened.get_by_role("button", name="copy command").click()
    opened.wait_for_function("explorer.status.textContent.includes('splineviz figure')")
    words = shlex.split(opened.locator(".sv-status").inner_text().removeprefix("copied: ").split(" (for print")[0])
    assert words[:2] == ["splineviz", "figure"] and words[2] == "run"
    made: list[Figure] = []
    keep = Paper.savefig
    monkeypatch.setattr(Paper, "savefig", lambda self, *a, **k: (made.append(self), keep(self, *a, **k))[1])
    assert main([*words[1:-1], "figure.png"]) == 0
    return made[-1]


def panels_of(figure: Figure) -> list[Any]:
    """The Axes that show regions: first the whole window, then the zoom."""
    return [ax for ax in figure.axes if ax.get_aspect() == 1 and (ax.images or ax.collections)]


def square_of(figure: Figure, ax: Any, side: int) -> np.ndarray:
    """The pixels of an Axes in the file that the command wrote, scaled to a square."""
    pixels = np.asarray(Image.open("figure.png").convert("RGB"))
    figure.set_dpi(300)
    box = ax.get_window_extent()
    top, bottom = round(pixels.shape[0] - box.y1), round(pixels.shape[0] - box.y0)
    cut = pixels[top:bottom, round(box.x0) : round(box.x1)]
    return np.asarray(Image.fromarray(cut).resize((side, side), Image.Resampling.BOX)).astype(float)


def seen(opened: Any) -> np.ndarray:
    """The square in the middle of the explorer's stage, with boundary and anchors."""
    opened.wait_for_function("!explorer.frame && !explorer.canvas.style.transform")
    opened.evaluate("explorer.offerCopy()")
    data = shot_of_over(opened)
    opened.evaluate("explorer.scene.copying = false; explorer.refreshOverlay()")
    side = min(data.shape[:2])
    y, x = (data.shape[0] - side) // 2, (data.shape[1] - side) // 2
    return data[y : y + side, x : x + side]


def shot_of_over(opened: Any) -> np.ndarray:
    opened.evaluate("explorer.canvas_ = explorer.canvas; explorer.canvas = explorer.over")
    try:
        return shot(opened)
    finally:
        opened.evaluate("explorer.canvas = explorer.canvas_")


VIEWS = {
    "a slope": pytest.param({"fill": "slope"}, CUT, marks=pytest.mark.slow),
    "classes without boundary": ({"fill": "class", "off": ["boundary"]}, CUT),
    "margins without knots": pytest.param({"fill": "margin", "off": ["knots"]}, CUT, marks=pytest.mark.slow),
    "one layer, coloured": ({"fill": "layer", "on": ["coloured"], "off": ["anchors"]}, CUT),
    "across the window's rim": ({"fill": "slope"}, (1.1, 0.2, 0.4)),
    "the whole window": ({"fill": "area"}, None),
}


@pytest.mark.parametrize(("look", "at"), VIEWS.values(), ids=list(VIEWS))
def test_the_copied_command_draws_the_view(
    opened: Any, home: Path, look: dict[str, Any], at: tuple[float, float, float] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.evaluate(
        """async ({ fill, on = [], off = [] }) => {
          await explorer.show(explorer.meta.steps.length - 1);
          for (const name of ["knots", "boundary", "anchors"]) explorer.flip(name, !off.includes(name));
          explorer.flip("coloured", on.includes("coloured"));
          explorer.setFill(fill);
        }""",
        look,
    )
    middle, half = opened.evaluate("[explorer.part.middle, explorer.part.half]")
    u, v, r = (0.0, 0.0, 1.0) if at is None else at
    opened.evaluate(f"explorer.look_at([{middle[0] + u * half}, {middle[1] + v * half}, {r * half}])")
    figure = printed(opened, monkeypatch)
    panels = panels_of(figure)
    ax = panels[-1]
    assert len(panels) == (1 if at is None else 2)
    low, high = ax.get_xlim()
    held = min(max(u, r - 1), 1 - r)
    assert [low, high] == pytest.approx([middle[0] + (held - r) * half, middle[0] + (held + r) * half], abs=1e-9)
    assert ax.get_ylim() == pytest.approx([middle[1] + (v - r) * half, middle[1] + (v + r) * half], abs=1e-9)
    opened.evaluate(f"explorer.look_at([{(low + high) / 2}, {middle[1] + v * half}, {r * half}])")
    there = seen(opened)
    here = square_of(figure, ax, len(there))
    rim = 8
    apart = np.abs(there - here)[rim:-rim, rim:-rim].max(axis=2)
    knots = "knots" not in look.get("off", [])
    assert np.median(apart) < 3, "the fill"
    share = (apart > 40).mean()
    assert share < (0.08 if knots else 0.035), f"lines, stars and scale bars are drawn in different widths: {share}"


def test_hidden_layers_stay_hidden_in_print(opened: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both layers, the second alone, none: as much ink in print as the explorer lays, and in the same places."""
    opened.evaluate(f"explorer.look_at([...explorer.part.middle, {CUT[2]} * explorer.part.half]); explorer.setFill('hash')")
    opened.evaluate("for (const name of ['knots', 'boundary', 'anchors']) explorer.flip(name, name === 'knots')")
    drawn, shown = [], []
    for layers in ([True, True], [False, True], [False, False]):
        opened.evaluate(f"explorer.look.layers = {str(layers).lower()}; explorer.showLook(); explorer.changed()")
        shown.append(seen(opened))
        figure = printed(opened, monkeypatch)
        drawn.append(square_of(figure, panels_of(figure)[-1], len(shown[-1])))
    opened.evaluate("explorer.look.layers = [true, true]; explorer.showLook(); explorer.changed()")
    rim = slice(8, -8)
    for pictures in (shown, drawn):
        bare = pictures[2][rim, rim]
        ink = [(np.abs(one[rim, rim] - bare).max(axis=2) > 60).sum() for one in pictures]
        assert ink[0] > 1.2 * ink[1] > 200 and ink[2] == 0, "knots of the first layer are hidden"
    for mine, theirs in zip(drawn[:2], shown[:2], strict=True):
        marks = [np.abs(one - bare)[rim, rim].max(axis=2) > 60 for one, bare in ((mine, drawn[2]), (theirs, shown[2]))]
        near = np.zeros_like(marks[0])
        for dy in range(-2, 3):
            for dx in range(-2, 3):
                near |= np.roll(marks[1], (dy, dx), axis=(0, 1))
        assert near[marks[0]].mean() > 0.97, "each printed knot is one that is shown"
