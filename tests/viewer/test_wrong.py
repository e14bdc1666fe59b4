"""What the explorer once showed wrongly or misleadingly: legends, counts, conventions, selections from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from explorers import STEPS, partition_at, settle
from torch import nn

import splineviz as sv
from splineviz.drawing import fills
from splineviz.viewer import page as pages

LAST = len(STEPS) - 1
PLANE = sv.Plane.through([0.0, 0.0], [1.0, 0.2], [0.3, 1.0])


def opened(browser: Any, partition: Any, path: Path, **options: Any) -> Any:
    made = sv.explore(partition, html=path / "view.html", **options)
    found = browser.new_page(viewport={"width": 1000, "height": 700})
    found.goto(made.as_uri())
    found.wait_for_function("window.explorer && explorer.index >= 0 && explorer.scene.drawn", timeout=60_000)
    return found


def test_layers_are_counted_as_in_python_with_their_paths(page: Any, folder: Path) -> None:
    partition = partition_at(folder, LAST)
    page.evaluate("explorer.setFill('layer')")
    said = page.locator(".sv-legend").inner_text()
    for layer, path in enumerate(partition.layer_paths):
        assert f"layer {layer} · {path}" in said
        assert path in page.locator(".sv-layers").inner_text()
    assert f"layer {len(partition.layer_paths)}" not in said
    page.get_by_label("layer 0", exact=True).uncheck()
    assert page.evaluate("explorer.look.layers") == [False, True]
    page.get_by_label("layer 0", exact=True).check()


def test_coloured_knots_have_colours_of_their_own(page: Any) -> None:
    meta = page.evaluate("explorer.meta")
    dark = [pages.to_hex(shade) for shade in fills.layer_colors(np.arange(2), 2, dark=True)]
    assert meta["knot_colors"] == dark and not set(dark) & set(meta["palette"]) and not set(dark) & set(meta["layer_colors"])
    page.evaluate("explorer.setFill('layer')")
    page.get_by_label("coloured", exact=True).check()
    settle(page, LAST)
    swatches = page.evaluate(
        "[...document.querySelectorAll('.sv-legend li i')].map((e) => [e.className, getComputedStyle(e).backgroundColor])"
    )
    page.get_by_label("coloured", exact=True).uncheck()
    lines = [shade for kind, shade in swatches if kind == "sv-line"]
    assert len(lines) == 2 and len(swatches) == 4, "the fill's and the knots' legends are told apart"
    assert len({shade for _, shade in swatches}) == 4


def test_a_thousand_classes_show_those_in_view(browser: Any, tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(2, 24), nn.ReLU(), nn.Linear(24, 1000))
    partition = sv.partition(model, PLANE, window=2.0)
    page = opened(browser, partition, tmp_path, fill="class", classes=[f"kind {i}" for i in range(1000)])
    names = page.locator(".sv-legend li").all_inner_texts()
    present = {f"kind {c}" for c in fills.face_classes(partition).tolist()}
    assert set(names) <= present
    assert len(names) == min(24, len(present))
    more = len(present) - 24
    if more > 0:
        assert f"and {more} more in view" in page.locator(".sv-legend").inner_text()
    face = int(partition.areas.argmax())
    u, v = partition.centroids[face]
    page.evaluate(f"explorer.look_at([{u}, {v}, 1e-6])")
    page.wait_for_function("document.querySelectorAll('.sv-legend li').length <= 2")
    assert f"kind {fills.face_classes(partition)[face]}" in page.locator(".sv-legend").inner_text()
    page.close()


def test_one_region_without_slope(browser: Any, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        for weights in model.parameters():
            weights.zero_()
        model[0].bias.fill_(-1.0)
        model[2].bias.copy_(torch.tensor([1.0, 2.0]))
    page = opened(browser, sv.partition(model, PLANE, window=2.0), tmp_path)
    assert page.locator(".sv-title").inner_text().endswith("1 region")
    assert "0 in every region" in page.locator(".sv-legend").inner_text()
    assert page.evaluate("explorer.meta.limits.slope") is None
    page.close()


@pytest.mark.parametrize("seed", range(3))
def test_class_and_margin_are_those_at_the_cursor(browser: Any, tmp_path: Path, seed: int) -> None:
    """One region, three classes: a mean over it says nothing of a point."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Linear(2, 3)
    partition = sv.partition(model, PLANE, window=2.0)
    page = opened(browser, partition, tmp_path)
    points = np.random.default_rng(seed).uniform(-0.99, 0.99, (40, 2))
    low, high = partition.window.min(axis=0), partition.window.max(axis=0)
    inputs = partition.plane.embed((low + high) / 2 + points * (high - low).max() / 2)
    with torch.no_grad():
        expected = model(torch.tensor(inputs, dtype=torch.float32)).numpy()
    found = page.evaluate("(points) => points.map(([x, y]) => explorer.facts(0, x, y))", points.tolist())
    spread = np.ptp(partition.outputs)
    for facts, outputs in zip(found, expected, strict=True):
        second, first = np.sort(outputs)[-2:]
        assert facts["margin"] == pytest.approx(first - second, abs=1e-4 * spread)
        if first - second > 1e-4 * spread:
            assert facts["class"] == outputs.argmax()
    page.close()
