"""Explore in a real browser: opens from disk without network, answers as Python does, looks like the static picture."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from explorers import NASTY, STEPS, go_to, model_at, partition_at, place, region_at, settle, shot
from matplotlib.colors import to_rgb

import splineviz as sv
from splineviz.drawing import draw, fills
from splineviz.errors import DataError, PartitionError
from splineviz.viewer import page as pages

# ---- the page ----------------------------------------------------------------------------------------


def test_it_opens_from_disk_and_asks_for_nothing(page: Any, view: Path) -> None:
    assert [url for url in page.asked if not url.startswith(("data:", "blob:"))] == [view.resolve().as_uri()]
    assert page.wrong == []
    text = view.read_text()
    assert "http://" not in text.replace("http://www.w3.org", "") and "https://" not in text


def test_names_are_text_not_markup(page: Any, folder: Path) -> None:
    assert page.title() == f"{folder.name}: linear regions"
    assert page.locator("img").count() == 0
    partition = partition_at(folder, len(STEPS) - 1)
    classes, areas = fills.face_classes(partition), partition.areas
    face = int(np.where(classes == 1, areas, 0).argmax())
    page.mouse.move(*place(page, partition.centroids[face]))
    if classes[face] == 1:
        assert NASTY in page.locator(".sv-info").inner_text()


def test_hover_reports_the_region_that_python_computes(page: Any, folder: Path) -> None:
    rng = np.random.default_rng(5)
    for index in (0, 11, len(STEPS) - 1):
        go_to(page, index)
        partition = partition_at(folder, index)
        model = model_at(index)
        low, high = partition.window.min(axis=0), partition.window.max(axis=0)
        inset = 0.02 * (high - low)  # a mouse stands on whole pixels: it must not fall off the window's rim
        for uv in rng.uniform(low + inset, high - inset, (12, 2)):
            page.mouse.move(*place(page, uv))
            page.wait_for_function("explorer.hover >= 0", timeout=5000)
            x, y = ((uv - (low + high) / 2) / ((high - low).max() / 2)).tolist()
            facts = page.evaluate("([x, y]) => { const f = explorer.ask(x, y); return explorer.facts(f, x, y); }", [x, y])
            face = region_at(partition, uv)
            assert facts["region"] == face
            assert facts["step"] == STEPS[index]
            assert facts["slope"] == pytest.approx(partition.slope_norms[face], rel=1e-3)
            assert facts["area"] == pytest.approx(partition.areas[face], rel=1e-9, abs=1e-14)
            with torch.no_grad():
                expected = model(torch.tensor(partition.plane.embed(uv[None]), dtype=torch.float32))[0].numpy()
            first, second = np.sort(expected)[:-3:-1]
            size = np.abs(partition.outputs).max()
            if first - second > 1e-5 * size:
                assert facts["class"] == expected.argmax()
            assert facts["margin"] == pytest.approx(first - second, abs=1e-4 * size)
            assert facts["class"] == np.argmax(facts["outputs"])
            np.testing.assert_allclose(facts["outputs"], expected, atol=1e-3 * np.abs(partition.outputs).max())
            touching = (partition.edge_faces == face).any(axis=1)
            units = {tuple(unit) for unit in partition.edge_unit[touching].tolist() if unit[0] >= 0}
            assert {(one["layer"], one["unit"]) for one in facts["units"] if "layer" in one} == units
            active = [{"layer": layer, "on": on, "of": 24} for layer, on in enumerate(partition.active_units[face].tolist())]
            assert facts["active"] == active


def test_the_mouse_finds_large_regions(page: Any, folder: Path) -> None:
    partition = partition_at(folder, len(STEPS) - 1)
    for face in np.argsort(partition.areas)[-5:].tolist():
        page.mouse.move(*place(page, partition.centroids[face]))
        assert page.evaluate("explorer.hover") == face
        assert f"region\n{face:,}\n" in page.locator(".sv-info").inner_text() + "\n"


def test_the_slider_keys_and_curves_change_the_step_and_not_the_camera(page: Any, folder: Path) -> None:
    page.evaluate("explorer.look_at([0.1, 0.2, 0.5])")
    slider = page.get_by_label("training step", exact=True)
    slider.fill("4")
    settle(page, 4)
    assert f"step {STEPS[4]:,}" in page.locator(".sv-title").inner_text()
    assert f"{partition_at(folder, 4).num_regions:,} regions" in page.locator(".sv-title").inner_text()
    page.locator(".sv-stage").focus()
    page.keyboard.press(".")
    settle(page, 5)
    page.keyboard.press(",")
    settle(page, 4)
    chart = page.locator(".sv-curves").first.bounding_box()
    page.mouse.click(chart["x"] + chart["width"] - 12, chart["y"] + 60)
    settle(page, len(STEPS) - 1)
    np.testing.assert_allclose(page.evaluate("explorer.view()"), [0.1, 0.2, 0.5], rtol=1e-12)
    assert page.locator(".sv-curves").count() == 3


def test_play_goes_to_the_end(page: Any) -> None:
    go_to(page, len(STEPS) - 3)
    page.get_by_label("play", exact=True).click()
    settle(page, len(STEPS) - 1)
    page.get_by_label("play", exact=True).wait_for(timeout=5000)


def test_keys_zoom_pan_and_toggle(page: Any) -> None:
    page.locator(".sv-stage").focus()
    before = page.evaluate("explorer.view()")
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    after = page.evaluate("explorer.view()")
    assert after[2] == pytest.approx(0.7 * before[2]) and after[0] == pytest.approx(before[0] + 0.15 * after[2])
    page.keyboard.press("b")
    assert not page.get_by_label("boundary", exact=True).is_checked()
    page.keyboard.press("b")
    page.keyboard.press("f")
    assert page.get_by_label("fill", exact=True).input_value() == "class"
    page.keyboard.press("0")
    assert page.evaluate("explorer.camera.r") == 1.04


# ---- the picture -------------------------------------------------------------------------------------


@pytest.mark.parametrize("half", [1.5, 0.2, 1e-4], ids=["whole", "near", "deep"])
@pytest.mark.parametrize("way", ["whole", "local", "rows"])
@pytest.mark.parametrize("fill", ["slope", "class", "margin", "layer", "area"])
def test_three_zooms_agree_with_the_static_renderer(page: Any, folder: Path, half: float, way: str, fill: str) -> None:
    partition = partition_at(folder, len(STEPS) - 1)
    middle = partition.vertices[partition.edges[int((partition.edge_unit[:, 0] == 1).argmax())]].mean(axis=0)
    middle = middle if half < 1 else np.zeros(2)
    page.evaluate(f"explorer.look.knots = false; explorer.setFill('{fill}'); explorer.look_at({[*middle.tolist(), half]})")
    page.evaluate(f"explorer.scene.crowd = {0 if way == 'rows' else 1e9}")
    page.evaluate(
        "(way) => { const e = explorer, p = e.painter; p.draw = way !== 'whole' ? Object.getPrototypeOf(p).draw : "
        "function ({ part, camera, width: w, height: h }, look) { const s = Math.min(w, h); "
        "this.gl.viewport(0, 0, w, h); this.gl.clearColor(1, 1, 1, 1); this.gl.clear(this.gl.COLOR_BUFFER_BIT); "
        "this.drawWhole(this.shaded(part), camera, camera.r * w / s, camera.r * h / s, look, w); }; e.refresh(); }",
        way,
    )
    settle(page, len(STEPS) - 1)
    got = shot(page)
    height, width = got.shape[:2]
    reach = np.array([width, height]) / min(width, height) * half
    limits = None
    if fill in fills.SCALED:
        limits = tuple(page.evaluate(f"explorer.meta.limits.{fill}"))
    shades = fills.colors(partition, fill, limits=limits)[0]
    box = (middle[0] - reach[0], middle[0] + reach[0], middle[1] - reach[1], middle[1] + reach[1])
    expected = draw.rasterize(partition, shades, view=box, shape=(height, width), line_width=0.0).astype(float)
    opaque = expected[..., 3:] / 255
    expected = expected[..., :3] * opaque + 255 * (1 - opaque)
    off = np.abs(got - expected).max(axis=2)
    page.evaluate("explorer.look.knots = true; explorer.scene.crowd = 8000; delete explorer.painter.draw")
    assert got.std() > 1 or half < 1e-3, "blank"
    assert np.median(off) <= 3 and (off > 24).mean() < 0.03, f"{(off > 24).mean():.3f} of the pixels differ"


def test_knots_are_drawn_where_they_are(page: Any, folder: Path) -> None:
    partition = partition_at(folder, len(STEPS) - 1)
    chosen = np.flatnonzero((partition.edge_unit[:, 0] == 0) & (partition.edge_faces >= 0).all(axis=1))
    ends = partition.vertices[partition.edges[chosen]]
    longest = ends[np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1).argmax()]
    middle = longest.mean(axis=0)
    page.evaluate(f"explorer.look_at({[*middle.tolist(), 1e-6]})")
    settle(page, len(STEPS) - 1)
    with_knots = shot(page)
    page.get_by_label("layer 0", exact=True).uncheck()
    settle(page, len(STEPS) - 1)
    without = shot(page)
    page.get_by_label("layer 0", exact=True).check()
    rows, columns = np.nonzero(np.abs(with_knots - without).max(axis=2) > 40)
    assert len(rows) > 300, "the knot crosses the view"
    along = (longest[1] - longest[0]) / np.linalg.norm(longest[1] - longest[0])
    height, width = with_knots.shape[:2]
    away = (columns + 0.5 - width / 2) * along[1] + (rows + 0.5 - height / 2) * along[0]
    assert np.abs(away).max() < 2.5, "a million times enlarged, and within two pixels of its place"


# ---- the door ----------------------------------------------------------------------------------------


def test_one_partition_and_a_mapping_are_sources_too(folder: Path, tmp_path: Path) -> None:
    partition = partition_at(folder, 0)
    assert pages.open_source(partition).steps == (0,)
    assert pages.open_source({7: partition, 3: partition}).steps == (3, 7)
    assert pages.open_source(folder / "partitions" / f"step-{STEPS[2]:010d}.npz").steps == (STEPS[2],)
    path = sv.explore(partition, html=tmp_path / "new" / "one.html")
    assert path.stat().st_size > 1000


REFUSED = {
    "no partitions": (lambda folder: folder.parent, {}, PartitionError, "expected a folder that `splineviz animate` wrote"),
    "another file": (lambda folder: folder / "measures.csv", {}, PartitionError, "or an .npz file, got another file"),
    "an unknown step": (lambda folder: folder, {"steps": [3]}, DataError, "steps: expected some of 1, 2, 4,"),
    "an unknown fill": (lambda folder: folder, {"fill": "pink"}, DataError, "fill: expected one of slope, class,"),
    "nothing": (lambda folder: {}, {}, DataError, "expected at least one partition"),
}


@pytest.mark.parametrize(("source", "options", "kind", "message"), REFUSED.values(), ids=list(REFUSED))
def test_refusals(source: Any, options: Any, kind: Any, message: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(kind, match=message):
        sv.explore(source(folder), html=tmp_path / "x.html", **options)
    assert not (tmp_path / "x.html").exists()


def test_the_command_writes_the_file(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from splineviz.__main__ import main

    copied = shutil.copytree(folder, tmp_path / "out")
    assert main(["explore", str(copied), "--steps", "1", "4", "--html", str(tmp_path / "two.html")]) == 0
    assert f"{tmp_path / 'two.html'}: " in capsys.readouterr().out
    assert (tmp_path / "two.html").read_text().count('id="step-') == 2


@pytest.mark.parametrize("outputs", [1, 3, pytest.param(40, marks=pytest.mark.slow)])
def test_class_and_margin_are_those_of_the_point_and_of_the_picture(browser: Any, tmp_path: Path, outputs: int) -> None:
    """Regions that the boundary cuts: points on its two sides; colours of class and margin cut along it."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = torch.nn.Sequential(torch.nn.Linear(2, 6), torch.nn.ReLU(), torch.nn.Linear(6, outputs)).double()
        with torch.no_grad():
            model[-1].bias -= model(torch.rand(300, 2).double() * 4 - 2).mean(dim=0)
    partition = sv.partition(model, sv.Plane.through([-1.0, -1], [1.0, -1], [0.0, 1]), window=1.5)
    parts = partition.classes()
    assert len(parts.extra) > 2
    page = browser.new_context(viewport={"width": 1180, "height": 860}, offline=True).new_page()
    page.goto(sv.explore(partition, html=tmp_path / "cut.html", fill="class").resolve().as_uri())
    page.wait_for_function("window.explorer && explorer.part")
    page.evaluate("async () => { await explorer.ready; explorer.look.knots = false; explorer.changed(); }")
    low, high = partition.window.min(axis=0), partition.window.max(axis=0)
    points = low + (high - low) * np.random.default_rng(0).uniform(0.03, 0.97, (60, 2))
    with torch.no_grad():
        values = model(torch.from_numpy(partition.plane.embed(points))).numpy()
    values = np.concatenate([np.zeros_like(values), values], axis=1) if outputs == 1 else values
    ranked = np.sort(values, axis=1)
    half = (high - low).max() / 2
    for uv, row, order in zip(points, values, ranked, strict=True):
        x, y = ((uv - (low + high) / 2) / half).tolist()
        facts = page.evaluate("([x, y]) => { const f = explorer.ask(x, y); return explorer.facts(f, x, y); }", [x, y])
        margin, size = order[-1] - order[-2], np.abs(partition.outputs).max()
        assert facts["margin"] == pytest.approx(margin, abs=1e-4 * size)
        if margin > 1e-4 * size:
            assert facts["class"] == row.argmax()
    settle(page, 0)
    picture = shot(page).astype(float)
    for uv, row, order in zip(points, values, ranked, strict=True):
        if order[-1] - order[-2] < 0.03 * np.ptp(partition.outputs):
            continue
        across, down = (int(value) for value in place(page, uv))
        box = page.locator(".sv-stage").bounding_box()
        got = picture[down - int(box["y"]) - 1, across - int(box["x"]) - 1, :3]
        colour = 255 * np.array(to_rgb(fills.CLASS_COLORS[row.argmax() % 10]))
        assert np.abs(got - colour).max() < 12, (uv, got, colour)
    page.context.close()
