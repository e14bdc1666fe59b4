"""Why one loves the explorer: an input and a unit followed through training, two steps compared, views that are shared."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from explorers import STEPS, go_to, model_at, partition_at, place, region_at, settle
from PIL import Image

LAST = len(STEPS) - 1


def test_a_pinned_input_is_followed_through_all_steps(page: Any, folder: Path) -> None:
    partition = partition_at(folder, LAST)
    page.mouse.click(*place(page, partition.centroids[int(np.argsort(partition.areas)[-3])]))
    page.wait_for_function("explorer.following.done && explorer.following.found.every(Boolean)", timeout=30_000)
    uv = np.array(page.evaluate("explorer.pin"))
    found = page.evaluate("explorer.following.found.map((one) => ({ ...one, knot: 0 }))")
    for index in (0, 7, LAST):
        one, at = found[index], partition_at(folder, index)
        face = region_at(at, uv)
        with torch.no_grad():
            expected = model_at(index)(torch.tensor(at.plane.embed(uv[None]), dtype=torch.float32))[0].numpy()
        np.testing.assert_allclose(one["outputs"], expected, atol=1e-3 * np.abs(at.outputs).max())
        second, first = np.sort(expected)[-2:]
        assert one["region"] == face and one["margin"] == pytest.approx(first - second, abs=2e-3 * np.abs(at.outputs).max())
        assert one["area"] == pytest.approx(at.areas[face], rel=1e-9)
        assert one["slope"] == pytest.approx(at.slope_norms[face], rel=1e-3)
        low, high = at.window.min(axis=0), at.window.max(axis=0)
        reach = 0.05 * (high - low).max()
        ends = at.vertices[at.edges[at.edge_tag >= 0]]
        points = (ends[:, :1] + (np.arange(2000) + 0.5)[:, None] / 2000 * (ends[:, 1:] - ends[:, :1])) - uv
        inside = (np.abs(points) <= reach).all(axis=2).mean(axis=1) * np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
        area = np.prod(np.minimum(high, uv + reach) - np.maximum(low, uv - reach))
        assert one["density"] == pytest.approx(inside.sum() / area, rel=0.02, abs=1e-6)
    assert page.locator(".sv-pinned canvas").count() == 6
    go_to(page, 3)
    assert page.evaluate("explorer.pinned") == region_at(partition_at(folder, 3), uv), "the input stays, its region changes"
    page.keyboard.press("Escape")


def test_a_quantity_says_what_it_means_where_the_hand_rests(page: Any, folder: Path) -> None:
    partition = partition_at(folder, LAST)
    page.mouse.move(*place(page, partition.centroids[int(np.argmax(partition.areas))]))
    page.wait_for_function("document.querySelectorAll('dl dt').length > 4")
    said = dict(page.evaluate("[...document.querySelectorAll('dl dt')].map((one) => [one.textContent, one.title])"))
    assert "second largest" in said["margin"] and "Frobenius norm" in said["slope norm"]
    assert all(said[name] for name in ("region", "class", "area", "at (u, v)", "active units"))
    options = dict(page.evaluate("[...document.querySelectorAll('option')].map((one) => [one.value, one.title])"))
    assert "second largest" in options["margin"]
    titles = page.evaluate("[...document.querySelectorAll('[title]')].map((one) => one.title)")
    assert any("averaged over samples" in title for title in titles)


def test_a_pinned_unit_leaves_a_trail(page: Any, folder: Path) -> None:
    partition = partition_at(folder, LAST)
    layer, unit = partition.edge_unit[partition.edge_unit[:, 0] == 1][0].tolist()
    page.get_by_label("search for a unit").fill(f"{layer}/{unit}")
    page.keyboard.press("Enter")
    page.wait_for_function("explorer.following.done && explorer.following.found.every(Boolean)", timeout=30_000)
    for index in (0, 9, LAST):
        at = partition_at(folder, index)
        expected = at.vertices[at.edges[at.edge_tag == at.unit_offsets[layer] + unit]].reshape(-1, 4)
        knot = np.array(page.evaluate(f"[...explorer.following.found[{index}].knot]")).reshape(-1, 4)
        lengths = [np.linalg.norm(k[:, 2:] - k[:, :2], axis=1).sum() for k in (knot, expected)]
        assert len(knot) == len(expected) and lengths[0] == pytest.approx(lengths[1], rel=1e-9, abs=1e-9)
    assert page.evaluate("explorer.following.trail(explorer.index).length") == len(STEPS)
    page.locator(".sv-stage").focus()
    page.keyboard.press("Escape")
    assert page.evaluate("explorer.unit") == -1


def test_two_steps_are_compared_by_their_patterns(page: Any, folder: Path) -> None:
    then, now = partition_at(folder, 2), partition_at(folder, LAST)
    page.get_by_label("how to compare").select_option("difference")
    page.get_by_label("compare with", exact=True).select_option(f"{2}")
    page.wait_for_function("explorer.comparing.part && !explorer.frame")
    stayed = np.isin(now.pattern_hash, then.pattern_hash)
    died = int((~np.isin(then.pattern_hash, now.pattern_hash)).sum())
    kept, born = int(stayed.sum()), int((~stayed).sum())
    expected = f"{kept} region{'' if kept == 1 else 's'} stayed, {born} born, {died} died"
    assert expected in page.locator(".sv-legend").inner_text()
    for face in (int(np.where(stayed, now.areas, 0).argmax()), int(np.where(~stayed, now.areas, 0).argmax())):
        u, v = now.centroids[face]
        shade = page.evaluate(
            """async ([u, v]) => {
              const { middle, half } = explorer.part, scale = devicePixelRatio, wide = explorer.stage.clientWidth;
              explorer.look.knots = false; explorer.scene.paint();
              const unit = Math.min(wide / 2, explorer.stage.clientHeight) / 2 / explorer.camera.r;
              const x = 0.75 * wide + ((u - middle[0]) / half - explorer.camera.x) * unit;
              const y = explorer.stage.clientHeight / 2 - ((v - middle[1]) / half - explorer.camera.y) * unit;
              explorer.look.knots = true;
              return [...explorer.canvas.getContext("2d").getImageData(x * scale, y * scale, 1, 1).data];
            }""",
            [u, v],
        )
        assert shade[:3] == ([226, 226, 226] if stayed[face] else [51, 119, 187])
    assert page.evaluate("explorer.toPlane(0.75 * explorer.stage.clientWidth, explorer.stage.clientHeight / 2)") == (
        pytest.approx(page.evaluate("[explorer.camera.x, explorer.camera.y]"), abs=0.01)
    ), "each half has the same camera"
    page.get_by_label("compare with", exact=True).select_option("-1")
    page.wait_for_function("!explorer.comparing.part")


def test_onion_skin_mixes_both_steps(page: Any) -> None:
    settle(page, LAST)
    read = """() => { explorer.scene.paint(); const { width, height } = explorer.canvas;
      return [...explorer.canvas.getContext("2d").getImageData(width / 2 | 0, height / 3 | 0, 30, 30).data]; }"""
    page.evaluate("explorer.flip('knots', false)")
    now = np.array(page.evaluate(read))
    page.evaluate("explorer.show(2)")
    settle(page, 2)
    then = np.array(page.evaluate(read))
    page.evaluate("async () => { await explorer.show(19); await explorer.comparing.with(2, 'onion skin'); }")
    page.wait_for_function("explorer.comparing.part && explorer.index === 19")
    both = np.array(page.evaluate(read))
    page.evaluate("explorer.comparing.with(-1); explorer.flip('knots', true)")
    np.testing.assert_allclose(both, (now + then) / 2, atol=2)
    assert np.abs(now - then).max() > 20, "else nothing is told apart"


def test_a_comparison_survives_scrubbing(page: Any) -> None:
    """Steps that are asked for while the other step is on its way do not lose it."""
    page.evaluate(
        """async () => {
          explorer.steps.held.clear();
          const asked = explorer.comparing.with(4, "side by side");
          for (let i = 9; i < 15; i++) { explorer.show(i); await new Promise((done) => setTimeout(done, 3)); }
          await asked;
        }"""
    )
    page.wait_for_function("explorer.index === 14")
    assert page.evaluate("explorer.comparing.part === explorer.steps.held.get(4) || explorer.comparing.part.faces")
    page.evaluate("explorer.comparing.with(-1)")


def test_curves_tell_their_values_at_the_cursor(page: Any) -> None:
    page.evaluate(
        """() => {
          window.words = [];
          window.fill = CanvasRenderingContext2D.prototype.fillText;
          CanvasRenderingContext2D.prototype.fillText = function (text, ...at) {
            words.push(text);
            fill.call(this, text, ...at);
          };
          document.querySelector(".sv-curves").scrollIntoView();
        }"""
    )
    box = page.locator(".sv-curves").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] - 11, box["y"] + 40)
    page.wait_for_function("words.length > 0")
    words = page.evaluate("words.splice(0)")
    page.evaluate("() => { CanvasRenderingContext2D.prototype.fillText = window.fill; }")
    assert f"step {STEPS[LAST]:,}" in words
    for start in ("train 0.95", "test 0.633"):
        assert any(str(word).startswith(start) for word in words), words


@pytest.mark.parametrize("width", [1180, 360])
def test_every_curve_is_named_however_narrow_its_panel(page: Any, width: int) -> None:
    """With the hand on the curves and without: every name, beside the title or below it, none over another, none outside."""
    written = page.evaluate(
        """(width) => {
          const fill = CanvasRenderingContext2D.prototype.fillText, holder = document.querySelector(".sv-measures");
          const before = holder.style.width, all = [];
          CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
            const wide = this.measureText(text).width, left = this.textAlign === "right" ? x - wide : x;
            if (y < 30) all.at(-1).push([String(text), left, left + wide, y]);
            fill.call(this, text, x, y);
          };
          if (width < 400) holder.style.width = "240px";
          for (const curves of explorer.charts.filter(({ panel }) => panel.curves.length > 1)) {
            for (const hover of [-1, 3]) {
              curves.hover = hover;
              all.push([["", 0, 0, curves.canvas.clientWidth]]);
              curves.draw(explorer.index);
            }
            curves.hover = -1;
          }
          CanvasRenderingContext2D.prototype.fillText = fill;
          holder.style.width = before;
          return [all, explorer.charts.map(({ panel }) => panel.curves.map(({ label }) => label))];
        }""",
        width,
    )
    shown, labels = written
    names = [one for one in labels if len(one) > 1 for _ in (0, 1)]
    assert len(shown) == len(names) >= 4
    for (frame, *words), expected in zip(shown, names, strict=True):
        for name in expected:
            assert any(text == name or text.startswith(f"{name} ") for text, *_ in words), (name, words)
        for k, (text, left, right, y) in enumerate(words):
            assert left >= 0 and right <= frame[3], (text, left, right)
            assert all(y != other[3] or right <= other[1] or other[2] <= left for other in words[:k]), words


def test_a_class_is_found_by_name(page: Any) -> None:
    page.get_by_label("search for a unit").fill("dog")
    page.keyboard.press("Enter")
    assert page.evaluate("[[...explorer.only], explorer.fill]") == [[2], "class"]
    page.get_by_label("search for a unit").fill("no such thing")
    page.keyboard.press("Enter")
    assert "expected" in page.locator(".sv-status").inner_text()
    page.evaluate("explorer.forget(); explorer.say('')")


def test_the_address_holds_the_view(page: Any, browser: Any) -> None:
    page.evaluate("explorer.look_at([0.123456789012345, 1 / 3, 1e-7]); explorer.flip('knots'); explorer.setFill('margin')")
    go_to(page, 5)
    page.evaluate("explorer.pinAt(explorer.camera.x, explorer.camera.y)")
    page.wait_for_timeout(400)
    url, seen = page.url, page.evaluate("[explorer.view(), explorer.pin, explorer.fill, explorer.index]")
    page.evaluate("explorer.flip('knots'); explorer.forget()")
    second = browser.new_page()
    second.goto(url)
    second.wait_for_function("window.explorer && explorer.index === 5")
    second.evaluate("explorer.ready")
    again = second.evaluate("[explorer.view(), explorer.pin, explorer.fill, explorer.index]")
    for got, expected in zip(again[:2], seen[:2], strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert again[2:] == seen[2:]
    assert not second.get_by_label("knots", exact=True).is_checked()
    second.close()


def test_the_command_for_print_names_the_view(page: Any) -> None:
    page.evaluate("explorer.look_at([0.25, -0.5, 0.125]); explorer.setFill('layer')")
    page.get_by_role("button", name="copy command").click()
    page.wait_for_function("explorer.status.textContent.includes('splineviz figure')")
    words = page.locator(".sv-status").inner_text()
    assert f"--steps {STEPS[LAST]} --fill layer --zoom 0.25 -0.5 0.125 --out figure.pdf" in words


def test_pictures_are_saved_with_scale_and_legend(page: Any, folder: Path, tmp_path: Path) -> None:
    page.evaluate("explorer.setFill('class')")
    settle(page, LAST)
    with page.expect_download() as taken:
        page.get_by_role("button", name="save PNG").click()
    taken.value.save_as(tmp_path / "view.png")
    picture = Image.open(tmp_path / "view.png")
    width, height = page.evaluate("[explorer.canvas.width, explorer.canvas.height]")
    assert picture.size == (width, height + 64)
    assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 100
    with page.expect_download() as taken:
        page.get_by_role("button", name="save SVG").click()
    taken.value.save_as(tmp_path / "view.svg")
    root = ET.parse(tmp_path / "view.svg").getroot()
    name = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f".//{name}polygon")) == len(partition_at(folder, LAST).classes().label)
    said = [text.text for text in root.findall(f".//{name}text")]
    assert "cat" in said and "dog" in said and any("step 524,288" in str(text) for text in said)


def test_a_selection_is_summed_up_and_saved_as_a_table(page: Any, folder: Path, tmp_path: Path) -> None:
    partition = partition_at(folder, LAST)
    chosen = [3, 5, 9, 11]
    page.evaluate(f"explorer.choose({chosen})")
    assert page.locator(".sv-chosen").inner_text().startswith("4 regions selected, area ")
    assert page.locator(".sv-chosen figure").count() == 2
    with page.expect_download() as taken:
        page.get_by_role("button", name="save as CSV").click()
    taken.value.save_as(tmp_path / "regions.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "regions.csv").read_text())))
    assert [int(row["region"]) for row in rows] == chosen
    np.testing.assert_allclose([float(row["area"]) for row in rows], partition.areas[chosen], rtol=1e-9)
    page.evaluate("explorer.choose([])")


def test_the_legend_filters(page: Any, tmp_path: Path) -> None:
    page.evaluate("explorer.setFill('class')")
    page.locator(".sv-legend button").first.click()
    assert page.evaluate("[...explorer.only]") == [0]
    assert page.locator(".sv-legend .sv-only").inner_text() == "paler: all but class cat"
    with page.expect_download() as taken:
        page.get_by_role("button", name="save SVG").click()
    taken.value.save_as(tmp_path / "view.svg")
    assert "regions · paler: all but class cat</text>" in (tmp_path / "view.svg").read_text(), "a saved picture says so too"
    page.locator(".sv-legend button").first.click()
    assert page.evaluate("[...explorer.only]") == [] and page.locator(".sv-only").count() == 0


def test_what_was_said_goes_with_the_next_click(page: Any) -> None:
    page.evaluate("explorer.say('copied: a long command')")
    box = page.locator(".sv-stage").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 3)
    assert page.locator(".sv-status").inner_text() == "" and page.evaluate("explorer.pinned") >= 0
    page.evaluate("explorer.forget()")


def test_a_minimap_and_a_scale_when_deep(page: Any) -> None:
    assert page.locator(".sv-minimap").is_hidden()
    page.evaluate("explorer.look_at([...explorer.part.middle, 0.01 * explorer.part.half])")
    assert page.locator(".sv-minimap").is_visible()
    page.locator(".sv-stage").focus()
    page.keyboard.press("?")
    assert page.evaluate("explorer.help.open")
    page.keyboard.press("?")
