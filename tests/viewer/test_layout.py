"""Where things stand: controls that stay under the hand, cells side by side, zoomed pages, phones, 4K; nothing overlaps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from explorers import STEPS
from layouts import DOINGS, FULL, OVERLAPS, PLACES
from torch import nn

import splineviz as sv

LAST = len(STEPS) - 1
SHIFTS = """() => {
  window.moved = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) for (const { node } of entry.sources) {
      if (node?.closest?.(".sv-time, .sv-main")) moved.push(node.className || node.nodeName);
    }
  }).observe({ type: "layout-shift", buffered: false });
}"""


@pytest.fixture
def sized(browser: Any, view: Path) -> Iterator[Any]:
    """Pages of a width, height and density of pixels."""
    contexts: list[Any] = []

    def open_(width: int, height: int, **options: Any) -> Any:
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, offline=True, **options))
        page = contexts[-1].new_page()
        page.goto(view.resolve().as_uri())
        page.wait_for_function("window.explorer && explorer.index >= 0 && explorer.scene.drawn", timeout=60_000)
        return page

    yield open_
    for context in contexts:
        context.close()


@pytest.mark.parametrize(("width", "height"), [(1180, 700), (620, 900), (360, 740)])
def test_time_controls_do_not_jump(sized: Any, width: int, height: int) -> None:
    """All steps, playing, pointing, pinning: the slider, the button and the picture keep their places to the pixel."""
    page = sized(width, height)
    page.evaluate("explorer.meta.note = 'drawn with relu in the place of gelu'")
    page.evaluate(SHIFTS)
    places = {str(page.evaluate(PLACES))}
    for index in (0, 7, LAST):
        page.evaluate(f"explorer.show({index})")
        page.wait_for_function(f"explorer.index === {index}")
        places.add(str(page.evaluate(PLACES)))
    for say in DOINGS:
        page.evaluate(f"async () => {{ await ({say}); }}")
        page.wait_for_timeout(30)
        places.add(str(page.evaluate(PLACES)))
    assert len(places) == 1, places
    assert page.evaluate("moved") == [], "as the browser itself measures it"


# ---- cells, zoomed pages, screens ----------------------------------------------------------------------

SCREENS = {
    "a phone": (360, 740, {"device_scale_factor": 3, "is_mobile": True, "has_touch": True}, 1),
    "a phone on its side": (740, 360, {"device_scale_factor": 2, "is_mobile": True, "has_touch": True}, 1),
    "a small laptop": (1366, 768, {}, 2),
    "a small laptop at 150%": (911, 512, {"device_scale_factor": 1.5}, 2),
    "half a screen at 150%": (480, 700, {"device_scale_factor": 1.5}, 1),
    "4K": pytest.param(3840, 2160, {}, 2, marks=pytest.mark.slow),
}


@pytest.mark.parametrize(("width", "height", "options", "columns"), SCREENS.values(), ids=list(SCREENS))
def test_nothing_overlaps(sized: Any, width: int, height: int, options: dict[str, Any], columns: int) -> None:
    page = sized(width, height, **options)
    for state in ("async () => {}", FULL):
        page.evaluate(state)
        found = page.evaluate(f"({OVERLAPS})(explorer.root)")
        assert found == {"found": [], "small": [], "columns": columns}
    stage = page.evaluate("explorer.stage.getBoundingClientRect().toJSON()")
    assert min(stage["width"], stage["height"]) >= min(240, 0.6 * width), "the picture has room"
    sharp = page.evaluate("explorer.canvas.width / explorer.stage.clientWidth")
    assert sharp == pytest.approx(options.get("device_scale_factor", 1), abs=0.01)


SCALED = ("html { zoom: 1.5 }", "body { transform: scale(1.5); transform-origin: 0 0; width: 66% }")


@pytest.mark.parametrize("style", SCALED)
def test_a_page_scaled_by_its_style_is_pointed_at_rightly(sized: Any, style: str) -> None:
    """Laid out by what room is left, and the region under the hand is the one that is asked for."""
    page = sized(1100, 760)
    page.add_style_tag(content=style)
    columns = "getComputedStyle(explorer.root.querySelector('.sv-grid')).gridTemplateColumns.split(' ').length"
    page.wait_for_function(f"!explorer.frame && {columns} === 1 && explorer.canvas.width === explorer.stage.clientWidth")
    page.evaluate(FULL)
    assert page.evaluate(f"({OVERLAPS})(explorer.root)") == {"found": [], "small": [], "columns": 1}
    page.evaluate("explorer.forget()")
    page.evaluate(
        """() => {
          const ask = explorer.ask;
          explorer.ask = function (...at) { window.asked = at; return ask.apply(this, at); };
        }"""
    )
    box = page.locator(".sv-stage").bounding_box()
    for x, y in ((0.5, 0.5), (0.2, 0.7), (0.85, 0.3)):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.wait_for_function(
            """([x, y]) => {
              const { stage, camera } = explorer, [w, h] = [stage.clientWidth, stage.clientHeight];
              const [u, v] = explorer.toPlane(x * w, y * h), pixel = (2 * camera.r) / Math.min(w, h);
              return window.asked && Math.hypot(asked[0] - u, asked[1] - v) < 2.5 * pixel;
            }""",
            arg=[x, y],
            timeout=8000,
        )


def test_two_cells_side_by_side(browser: Any, view: Path) -> None:
    """Two explorers of 620 pixels on one page, as two notebook cells: each laid out by its own room, each its own state."""
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    page.goto(view.resolve().as_uri())
    page.wait_for_function("window.explorer && explorer.index >= 0 && explorer.scene.drawn")
    page.evaluate(
        """async () => {
          const make = (side) => {
            const cell = document.createElement("div");
            cell.style = `position: absolute; top: 0; ${side}: 0; width: 620px; height: 880px`;
            document.body.append(cell);
            return cell;
          };
          explorer.root.style = "position: absolute; top: 0; left: 0; width: 620px; height: 880px";
          window.second = new explorer.constructor(make("right"), structuredClone(explorer.meta), explorer.steps.load, {});
          await second.ready;
          second.setFill("class");
          await second.show(3);
        }"""
    )
    page.wait_for_function("!explorer.frame && !second.frame && second.scene.drawn && explorer.stage.clientWidth < 620")
    page.evaluate(FULL)
    page.evaluate(FULL.replace("explorer", "second"))
    for name in ("explorer", "second"):
        assert page.evaluate(f"({OVERLAPS})({name}.root)") == {"found": [], "small": [], "columns": 1}, name
    page.evaluate("explorer.forget(); second.forget(); explorer.setFill('slope')")
    boxes = [page.evaluate(f"{name}.stage.getBoundingClientRect().toJSON()") for name in ("explorer", "second")]
    assert boxes[0]["right"] < boxes[1]["left"]
    page.mouse.click(boxes[1]["x"] + 300, boxes[1]["y"] + 200)
    state = page.evaluate("[explorer, second].map((one) => [one.pinned >= 0, one.fill, one.index])")
    assert state == [[False, "slope", LAST], [True, "class", 3]]
    page.keyboard.press("+")
    assert page.evaluate("second.camera.r < 1 && explorer.camera.r > 1"), "keys go to the one that has the focus"
    page.wait_for_function("!explorer.frame && !second.frame")
    colours = page.evaluate(
        """[explorer, second].map(({ canvas }) => {
          const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          return new Set(new Uint32Array(data.buffer)).size;
        })"""
    )
    assert min(colours) > 10, "one context paints both"
    page.close()


# ---- many layers ---------------------------------------------------------------------------------------


def test_forty_layers_are_shown_alone_all_or_none(browser: Any, tmp_path: Path) -> None:
    """The list opens above the picture, each layer has its box and `solo`; what is inked follows."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        layers: list[nn.Module] = [nn.Linear(2, 6)]
        for _ in range(39):
            layers += [nn.ReLU(), nn.Linear(6, 6)]
        model = nn.Sequential(*layers, nn.ReLU(), nn.Linear(6, 2))
        with torch.no_grad():
            for module in layers[2::2]:
                module.weight.copy_(torch.eye(6) + 0.2 * torch.randn(6, 6))  # type: ignore[union-attr]  # all of them linear
                module.bias.mul_(0.2)  # type: ignore[union-attr, operator]
    partition = sv.partition(model, sv.Plane.through([-1.0, -1], [1.0, -1], [0.0, 1]), window=2.0)
    page = browser.new_page(viewport={"width": 900, "height": 620})
    page.goto(sv.explore(partition, html=tmp_path / "deep.html", fill="hash").as_uri())
    page.wait_for_function("window.explorer && explorer.index >= 0 && explorer.scene.drawn")
    page.evaluate("explorer.flip('boundary', false); explorer.flip('anchors', false)")
    knots = np.bincount(partition.edge_unit[partition.edge_unit[:, 0] >= 0, 0], minlength=40)
    most = int(knots.argmax())

    def ink() -> int:
        page.wait_for_function("!explorer.frame")
        return page.evaluate(
            """() => {
              const { canvas } = explorer, { width, height } = canvas;
              const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
              let dark = 0;
              for (let i = 0; i < data.length; i += 4) dark += Math.max(data[i], data[i + 1], data[i + 2]) < 90;
              return dark;
            }"""
        )

    whole = ink()
    page.locator(".sv-menu > summary").click()
    assert "layers (40)" in page.locator(".sv-menu > summary").inner_text()
    boxes = page.locator(".sv-list input")
    assert boxes.count() == 40
    listed = page.locator(".sv-list").bounding_box()
    assert listed["y"] + listed["height"] <= 620 and listed["x"] >= 0 and listed["x"] + listed["width"] <= 900
    page.get_by_label("no layer", exact=True).click()
    assert page.evaluate("explorer.look.layers.some(Boolean)") is False and ink() == 0
    page.get_by_label(f"layer {most} alone", exact=True).click()
    assert page.evaluate("explorer.look.layers.map((on, l) => on ? l : -1).filter((l) => l >= 0)") == [most]
    assert boxes.nth(most).is_checked() and not boxes.nth((most + 1) % 40).is_checked()
    assert 0 < ink() < whole
    page.get_by_label("all layers", exact=True).click()
    assert page.evaluate("explorer.look.layers.every(Boolean)") and ink() == whole
    assert page.evaluate(f"({OVERLAPS})(explorer.root).found.filter((pair) => !pair.join().includes('layer')).length") == 0
    page.keyboard.press("Escape")
    page.close()
