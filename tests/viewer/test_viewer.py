"""The front end's hands and looks: selecting, highlighting, layers, legend, keys, focus and contrast, in a real browser."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from explorers import STEPS, partition_at, place, settle, shot

from splineviz.drawing import curves
from splineviz.viewer import page as pages

LAST = len(STEPS) - 1
LASSO = np.array([[-0.6, -0.4], [0.1, -0.7], [0.8, 0.1], [0.2, 0.2], [-0.1, 0.8]])
BOX = np.array([[-0.3, -0.2], [0.4, -0.2], [0.4, 0.5], [-0.3, 0.5]])


def drawn(page: Any, corners: np.ndarray) -> set[int]:
    """The regions that the page selects when the mouse is dragged from one point of the plane to the next."""
    page.evaluate("explorer.told = (name, value) => { if (name === 'selected_ids') window.chosen = value; }")
    page.mouse.move(*place(page, corners[0]))
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*place(page, corner), steps=4)
    page.mouse.up()
    return set(page.evaluate("chosen"))


@pytest.mark.parametrize(("tool", "shape"), [("box", BOX), ("lasso", LASSO)])
def test_box_and_lasso_select_the_regions_that_they_touch(page: Any, folder: Path, tool: str, shape: np.ndarray) -> None:
    shapely = pytest.importorskip("shapely")
    from splineviz.drawing.export import to_shapely

    page.get_by_role("button", name=tool, exact=True).click()
    got = drawn(page, shape[[0, 2]] if tool == "box" else shape)
    page.get_by_role("button", name="pan", exact=True).click()
    polygons, line = to_shapely(partition_at(folder, LAST)), shapely.Polygon(shape)
    mouse = 0.01  # it stands on whole pixels
    surely, perhaps = (set(np.flatnonzero(shapely.intersects(polygons, line.buffer(r))).tolist()) for r in (-mouse, mouse))
    assert surely <= got <= perhaps and len(surely) > 8
    assert page.locator(".sv-chosen").inner_text().startswith(f"{len(got)} regions selected, area ")
    page.keyboard.press("Escape")
    assert page.evaluate("chosen") == [] and page.locator(".sv-chosen").inner_text() == ""


def test_a_box_inside_one_region_selects_it_and_shift_draws_one(page: Any, folder: Path) -> None:
    partition = partition_at(folder, LAST)
    face = int(partition.areas.argmax())
    uv = partition.centroids[face]
    page.keyboard.down("Shift")
    got = drawn(page, np.array([uv, uv + 0.02, uv + 0.04]))
    page.keyboard.up("Shift")
    assert face in got and len(got) < 4


def test_a_region_shows_its_neighbours_its_units_knots_and_its_class_alone(page: Any, folder: Path) -> None:
    partition = partition_at(folder, LAST)
    face = int(partition.areas.argmax())
    page.mouse.click(*place(page, partition.centroids[face]))
    page.get_by_role("button", name="neighbours").click()
    touching = partition.edge_faces[(partition.edge_faces == face).any(axis=1)]
    assert set(page.evaluate("explorer.neighbours")) == set(touching[touching >= 0].tolist()) - {face}
    units = partition.edge_unit[(partition.edge_faces == face).any(axis=1)]
    layer, unit = units[units[:, 0] >= 0][0].tolist()
    before = page.evaluate("explorer.under.toDataURL()")
    button = page.get_by_role("button", name=f"{layer}/{unit}", exact=True).first
    button.click()
    settle(page, LAST)
    assert page.evaluate("explorer.unit") == partition.unit_offsets[layer] + unit
    assert button.get_attribute("aria-pressed") == "true" and page.evaluate("explorer.under.toDataURL()") != before
    active = " · ".join(map(str, partition.active_units[face])) + " of 24"
    assert f"active units\n{active}" in page.locator(".sv-info").inner_text()
    kind = page.evaluate("explorer.facts(...explorer.lastAsked).class")
    page.locator(".sv-stage").focus()
    page.keyboard.press("c")
    settle(page, LAST)
    assert page.evaluate("explorer.onlyClass") == kind
    page.keyboard.press("n")
    assert page.evaluate("explorer.neighbours") == []
    page.keyboard.press("Escape")
    assert page.evaluate("[explorer.onlyClass, explorer.pinned, explorer.unit]") == [-1, -1, -1]


def test_density_is_dark_where_knots_are(page: Any, folder: Path) -> None:
    page.locator(".sv-stage").focus()
    page.keyboard.press("d")
    settle(page, LAST)
    picture = shot(page)
    page.get_by_label("layer 1", exact=True).uncheck()
    settle(page, LAST)
    first_alone = shot(page)
    page.get_by_label("layer 1", exact=True).check()
    assert "knots (logarithmic)" in page.locator(".sv-legend").inner_text()
    page.keyboard.press("d")
    assert (picture == 255).all(axis=2).mean() > 0.02, "nothing outside the window"
    assert first_alone.mean() > picture.mean() + 1, "fewer knots are paler"
    partition = partition_at(folder, LAST)
    ends = partition.vertices[partition.edges[partition.edge_tag >= 0]]
    share = np.linspace(0, 1, 40)[:, None, None]
    points = ((1 - share) * ends[:, 0] + share * ends[:, 1]).reshape(-1, 2)
    lengths = np.repeat(np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)[None], 40, axis=0).ravel()
    u, v, half = page.evaluate("explorer.view()")
    height, width = picture.shape[:2]
    unit = min(height, width) / 2 / half
    columns, rows = width / 2 + (points[:, 0] - u) * unit, height / 2 - (points[:, 1] - v) * unit
    cells = np.histogram2d(rows, columns, bins=12, range=[[0, height], [0, width]], weights=lengths)[0]
    darkness = 255 - picture.mean(axis=2)[: height // 12 * 12, : width // 12 * 12]
    blocks = darkness.reshape(12, height // 12, 12, width // 12).mean(axis=(1, 3))
    assert np.corrcoef(cells.ravel(), blocks.ravel())[0, 1] > 0.8


def test_the_legend_says_what_the_colours_mean(page: Any) -> None:
    said = {}
    for fill in ("slope", "class", "margin", "layer", "area", "hash"):
        page.evaluate(f"explorer.setFill('{fill}')")
        said[fill] = page.locator(".sv-legend").inner_text()
    low, high = page.evaluate("explorer.meta.limits.slope")
    assert "slope norm" in said["slope"] and f"{low:.4g}" in said["slope"] and f"{high:.4g}" in said["slope"]
    assert "cat" in said["class"] and "dog" in said["margin"] and "layer 1 · 3" in said["layer"]
    assert "area" in said["area"] and "a colour a pattern" in said["hash"]


def test_knots_take_the_colours_of_their_layers(page: Any) -> None:
    page.get_by_label("coloured", exact=True).check()
    settle(page, LAST)
    picture = shot(page)
    assert "knots" in page.locator(".sv-legend").inner_text() and "layer 1" in page.locator(".sv-legend").inner_text()
    page.get_by_label("coloured", exact=True).uncheck()
    settle(page, LAST)
    black = shot(page)
    assert "layer 1" not in page.locator(".sv-legend").inner_text()
    changed = np.abs(picture - black).max(axis=2) > 20
    assert changed.mean() > 0.01
    shades = [[int(shade[i : i + 2], 16) for i in (1, 3, 5)] for shade in page.evaluate("explorer.meta.knot_colors")]
    for shade in shades:
        near = np.abs(picture - shade).max(axis=2) < 70
        assert (near & changed).sum() > 50, "a line of the layer's colour, as far as one pixel and its opacity show it"


# ---- without a mouse, and for weak eyes ------------------------------------------------------------------


def test_everything_is_reached_by_tab_and_shows_its_focus(page: Any) -> None:
    page.locator(".sv-title").click()
    page.evaluate("document.activeElement.blur()")
    seen, bare = [], []
    for _ in range(60):
        page.keyboard.press("Tab")
        name, width, style = page.evaluate(
            "() => { const e = document.activeElement, s = getComputedStyle(e); "
            "const name = e.ariaLabel || e.closest('label')?.innerText || e.innerText || e.tagName; "
            "return e === document.body ? ['', '0px', ''] : [name, s.outlineWidth, s.outlineStyle]; }"
        )
        if name in seen:
            break
        if not name:  # past the last one, round the browser and back to the first
            continue
        seen.append(name)
        bare += [name] if style == "none" or float(width.removesuffix("px")) < 2 else []
    assert bare == []
    found = " | ".join(seen)
    for expected in ("fill", "pan", "lasso", "knots", "layer 0", "density", "Regions of the slice", "play", "training step"):
        assert expected in found


def test_the_picture_is_explored_with_keys_alone(page: Any, folder: Path) -> None:
    partition = partition_at(folder, LAST)
    page.locator(".sv-title").click()
    page.get_by_label("density", exact=True).focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement === explorer.stage")
    for key in ("+", "+", "ArrowRight", "ArrowUp", "Enter"):
        page.keyboard.press(key)
    u, v, _ = page.evaluate("explorer.view()")
    face = page.evaluate("explorer.pinned")
    corners = partition.vertices[partition.face(face)]
    assert (corners.min(axis=0) <= [u, v]).all() and (corners.max(axis=0) >= [u, v]).all()
    assert f"region\n{face:,}\n" in page.locator(".sv-info").inner_text()
    page.keyboard.press("Home")
    settle(page, 0)
    page.keyboard.press("End")
    settle(page, LAST)


def test_controls_have_names(page: Any) -> None:
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, input, select, canvas[role], [role=application]')]"
        ".filter((e) => !(e.ariaLabel || e.innerText || e.labels?.[0]?.innerText.trim())).map((e) => e.outerHTML)"
    )
    assert nameless == []


def luminance(color: str) -> float:
    """Relative luminance (WCAG 2.2) of "rgb(r, g, b)" or "#rrggbb"."""
    if color.startswith("#"):
        values = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    else:
        values = [float(value) for value in re.findall(r"[\d.]+", color)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in np.array(values) / 255]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_measured_as_wcag_does() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "rgb(255, 255, 255)") == pytest.approx(4.54, abs=0.01)


def test_text_has_the_contrast_of_wcag_aa(page: Any, folder: Path) -> None:
    partition = partition_at(folder, LAST)
    page.mouse.click(*place(page, partition.centroids[int(partition.areas.argmax())]))
    page.mouse.move(*place(page, partition.centroids[int(np.argsort(partition.areas)[-2])]))
    found = page.evaluate(
        """() => [...document.querySelectorAll('.sv-explorer, .sv-explorer *')]
          .filter((e) => e.getClientRects().length)
          .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()))
          .map((e) => {
            let behind = e;
            while (getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') behind = behind.parentElement;
            return [e.textContent.slice(0, 30), getComputedStyle(e).color, getComputedStyle(behind).backgroundColor];
          })"""
    )
    assert len(found) > 30
    weak = {text: round(contrast(ink, paper), 2) for text, ink, paper in found if contrast(ink, paper) < 4.5}
    assert weak == {}
    # What canvases write: the curves' names and ticks; and what must only be seen (3:1): lines, focus, boundary, stars.
    groups = (curves.ACCURACY, curves.COMPLEXITY, curves.REGIONS, curves.LENGTH, curves.MIGRATION)
    lines = {color for group in groups for *_, color in group}
    assert {line: contrast(line, "#ffffff") for line in lines if contrast(line, "#ffffff") < 3.0} == {}
    inks: set[str] = set()
    text = (pages.VIEWER / "curves.js").read_text()
    inks |= {f"#{''.join(2 * c for c in short)}" for short in re.findall(r'fillStyle = "#(\w{3})"', text)}
    assert {ink: contrast(ink, "#ffffff") for ink in inks if contrast(ink, "#ffffff") < 4.5} == {}
    assert contrast("#0050c8", "#ffffff") > 3 and contrast("#e8000b", "#ffffff") > 3
