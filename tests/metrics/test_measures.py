"""Measures against closed forms (one line, a grid of lines, |x| folding), dense sampling, and each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from arrangement import lines_in_square
from cases import Abs
from torch import nn

from splineviz.errors import PartitionError
from splineviz.geometry.boundary import distances
from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane
from splineviz.metrics import measures
from splineviz.regions.enumerate import partition

EXACT = 1e-12
SQUARE = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])


def two_layers(knots: list[tuple[float, float, float]], readout: list[list[float]], bias: list[float]) -> nn.Module:
    """ReLU units with knots a u + b v = c, and a linear readout."""
    model = nn.Sequential(nn.Linear(2, len(knots)), nn.ReLU(), nn.Linear(len(knots), len(bias))).double()
    for layer, weight, shift in (
        (model[0], [k[:2] for k in knots], [-k[2] for k in knots]),
        (model[2], readout, bias),
    ):
        layer.weight.data = torch.tensor(weight, dtype=torch.float64)
        layer.bias.data = torch.tensor(shift, dtype=torch.float64)
    return model


def sliced(model: nn.Module, anchors: list[tuple[float, float]] | None = None, window: np.ndarray = SQUARE) -> Partition:
    anchors = [(0.0, 0.0), (0.5, 0.0), (0.0, 0.5)] if anchors is None else anchors
    return partition(model, Plane(np.zeros(2), np.eye(2), np.array(anchors)), window=window)


def segments(*points: tuple[float, float]) -> np.ndarray:
    chain = np.array(points, dtype=float)
    return np.stack([chain[:-1], chain[1:]], axis=1)


# ---- one line --------------------------------------------------------------------------------------------------


def test_one_line() -> None:
    """relu(2 u - 0.6) over a square of side 2: a knot of length 2 at u = 0.3, where the slope jumps by 2."""
    d = 0.125
    part = sliced(two_layers([(2.0, 0.0, 0.6)], [[1.0]], [-0.4]), [(0.3, 0.0), (-0.7, 0.2), (0.3 - 0.1, 0.5)])
    assert measures.knot_lengths(part).sum() == pytest.approx(2.0, abs=EXACT)
    jumps = measures.gradient_jumps(part)
    knots = part.edge_tag >= 0
    np.testing.assert_allclose(jumps.norms[knots], 2.0, atol=EXACT)
    assert (jumps.norms[~knots] == 0).all() and (jumps.errors < 1e-12).all()
    found = measures.migration(part, near=d)
    assert (found.window.area, found.window.length) == (pytest.approx(4.0, abs=EXACT), pytest.approx(2.0, abs=EXACT))
    assert found.window.variation == pytest.approx(4.0, abs=EXACT)
    # The output 2 u - 1 changes sign at u = 0.5, farther than d from the knot.
    assert found.boundary.area == pytest.approx(2 * 2 * d, abs=EXACT)
    assert found.boundary.length == 0.0 and found.ratio("boundary") == 0.0
    # Three discs, apart from each other: a diameter, nothing, and a chord at distance 0.1 from the centre.
    chord = 2 * d + 2 * math.sqrt(d * d - 0.01)
    assert found.anchors.area == pytest.approx(3 * math.pi * d * d, abs=EXACT)
    assert found.anchors.length == pytest.approx(chord, abs=EXACT)
    assert found.ratio("anchors") == pytest.approx(chord / (3 * math.pi * d * d) / 0.5, rel=EXACT)
    assert found.ratio("anchors", weighted=True) == pytest.approx(found.ratio("anchors"), rel=1e-12)
    margins = measures.margins(part)
    np.testing.assert_allclose(margins.knot, [0.0, 1.0, 0.1], atol=EXACT)
    np.testing.assert_allclose(margins.boundary, [0.2, 1.2, 0.3], atol=EXACT)


def test_a_knot_beside_the_decision_boundary() -> None:
    """The knot at u = 0.3 lies 0.05 from the boundary at u = 0.35: all of it within 0.06, none of it within 0.04."""
    part = sliced(two_layers([(2.0, 0.0, 0.6)], [[1.0]], [-0.1]))
    assert measures.migration(part, near=0.06).boundary.length == pytest.approx(2.0, abs=EXACT)
    assert measures.migration(part, near=0.04).boundary.length == 0.0
    assert measures.migration(part, near=0.06).ratio("boundary") == pytest.approx(4 / (2 * 2 * 0.06), rel=1e-12)


# ---- a grid of lines -------------------------------------------------------------------------------------------


def test_a_grid_of_lines() -> None:
    """5 upright lines with jump 1 and 3 level ones with jump 2, cut into squares."""
    upright, level = [-0.6, -0.3, 0.0, 0.3, 0.6], [-0.5, 0.0, 0.5]
    knots = [(1.0, 0.0, c) for c in upright] + [(0.0, 1.0, c) for c in level]
    part = sliced(two_layers(knots, [[1.0] * 5 + [2.0] * 3], [50.0]), [(0.0, 0.0), (0.15, 0.25), (0.85, 0.85)])
    found = measures.migration(part, near=0.1)
    assert part.num_regions == 24
    assert found.window.length == pytest.approx(16.0, abs=EXACT)
    assert found.window.variation == pytest.approx(5 * 2 + 3 * 2 * 2, rel=EXACT)
    # At a crossing: two diameters; in the middle of a cell and in the last corner: nothing.
    assert found.anchors.length == pytest.approx(0.4, abs=EXACT)
    assert found.anchors.variation == pytest.approx(0.2 + 0.4, abs=EXACT)
    assert found.anchors.area == pytest.approx(3 * math.pi * 0.01, abs=EXACT)
    # No boundary: the output is positive everywhere.
    assert found.boundary.area == 0.0 and math.isnan(found.ratio("boundary"))
    assert np.isinf(measures.margins(part).boundary).all()
    np.testing.assert_allclose(measures.margins(part).knot, [0.0, 0.15, 0.25], atol=EXACT)
    np.testing.assert_array_equal(measures.kinking_units(part), [8])
    shapes = measures.shapes(part)
    np.testing.assert_array_equal(shapes.corners, 4)
    inner = (shapes.areas < 0.151) & (np.abs(part.centroids) < 0.5).all(axis=1)
    assert inner.sum() == 8
    np.testing.assert_allclose(shapes.areas[inner], 0.15, atol=EXACT)
    np.testing.assert_allclose(shapes.eccentricities[inner], math.sqrt(1 - 0.3**2 / 0.5**2), atol=EXACT)
    summary = measures.summary(part, near=0.1)
    assert tuple(summary) == measures.COLUMNS
    assert summary["knot_density"] == pytest.approx(4.0, abs=EXACT) and math.isnan(summary["margin_boundary"])


def test_an_area_grows_by_the_length_of_its_outline_inside_the_window() -> None:
    """Of a tube: two sides and two half circles; of a disc at the corner: a quarter of a circle; all within: nothing."""
    tube = np.array([[(-0.4, 0.1), (0.3, 0.1)]])
    assert measures.area_and_growth(SQUARE, tube, 0.2)[1] == pytest.approx(2 * 0.7 + 2 * math.pi * 0.2, abs=EXACT)
    assert measures.area_and_growth(SQUARE, np.full((1, 2, 2), 1.0), 0.3)[1] == pytest.approx(0.5 * math.pi * 0.3, abs=EXACT)
    assert measures.area_and_growth(SQUARE, np.zeros((1, 2, 2)), 3.0) == (pytest.approx(4.0, abs=EXACT), 0.0)


def test_a_disc_cut_by_a_corner_of_the_window() -> None:
    """A quarter of a disc at a corner, half of one at a side, and all of the window."""
    for at, share in (((1.0, 1.0), 0.25), ((0.0, -1.0), 0.5), ((0.2, 0.1), 1.0)):
        site = np.array([[at, at]])
        assert measures.area_within(SQUARE, site, 0.3) == pytest.approx(share * math.pi * 0.09, abs=EXACT)
    assert measures.area_within(SQUARE, np.array([[(0.0, 0.0), (0.0, 0.0)]]), 3.0) == pytest.approx(4.0, abs=EXACT)
    assert measures.area_within(SQUARE, np.array([[(5.0, 0.0), (5.0, 0.0)]]), 3.0) == 0.0
    assert measures.area_within(SQUARE, np.empty((0, 2, 2)), 3.0) == 0.0


def test_the_density_on_a_grid() -> None:
    """Knots at u = 0.3 and v = 0.1 in cells of 0.5: 0.5 of each in every cell of its column and row."""
    part = sliced(two_layers([(1.0, 0.0, 0.3), (0.0, 1.0, 0.1)], [[1.0, 1.0]], [0.0]))
    found = measures.knot_density_grid(part, SQUARE[0], SQUARE[2], (4, 4))
    expected = np.zeros((4, 4))
    expected[:, 2] += 2.0
    expected[2, :] += 2.0
    np.testing.assert_allclose(found, expected, atol=EXACT)
    # A diagonal meets one cell in each row; rows go with v, columns with u.
    slanted = sliced(two_layers([(1.0, -2.0, 0.0)], [[1.0]], [0.0]))
    cells = measures.knot_density_grid(slanted, SQUARE[0], SQUARE[2], (2, 4)) * 0.5
    np.testing.assert_allclose(cells, math.sqrt(5) / 4 * np.array([[1, 1, 0, 0], [0, 0, 1, 1]]), atol=EXACT)
    with pytest.raises(PartitionError, match="expected a box and a cell or more"):
        measures.knot_density_grid(part, SQUARE[0], SQUARE[0], (2, 2))


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (40, 40)])
def test_the_density_on_a_grid_adds_up(shape: tuple[int, int]) -> None:
    part = lines_in_square(30)
    low, high = part.window.min(axis=0), part.window.max(axis=0)
    found = measures.knot_density_grid(part, low, high, shape)
    cell = float((high - low).prod()) / (shape[0] * shape[1])
    assert found.sum() * cell == pytest.approx(measures.knot_lengths(part).sum(), rel=EXACT)


# ---- |x| folding -----------------------------------------------------------------------------------------------


def folded() -> nn.Module:
    """||u| - 0.5| - 0.25: knots at u = 0 and u = +-0.5 with jumps 2, zeros at +-0.25 and +-0.75."""
    model = nn.Sequential(nn.Linear(2, 1), Abs(), nn.Linear(1, 1), Abs(), nn.Linear(1, 1)).double()
    for at, weight, bias in ((0, [[1.0, 0.0]], 0.0), (2, [[1.0]], -0.5), (4, [[1.0]], -0.25)):
        model[at].weight.data = torch.tensor(weight, dtype=torch.float64)
        model[at].bias.data.fill_(bias)
    return model


def test_folding() -> None:
    # The second anchor is at 0.625 and the distance 0.125, both exact in binary: the knot at 0.5 is a tangent of its disc.
    part = sliced(folded(), [(0.25, 0.0), (0.625, 0.0), (0.0, 0.5)])
    found = measures.migration(part, near=0.125)
    assert found.window.length == pytest.approx(6.0, abs=EXACT)
    assert found.window.variation == pytest.approx(12.0, abs=EXACT)
    assert found.boundary.area == pytest.approx(4 * 0.25 * 2, abs=EXACT)
    assert found.boundary.length == 0.0
    # A tangent touches the second disc; the third is halved by u = 0.
    assert found.anchors.length == pytest.approx(0.25, abs=EXACT)
    np.testing.assert_allclose(measures.margins(part).boundary, [0.0, 0.125, 0.25], atol=EXACT)
    np.testing.assert_allclose(measures.margins(part).knot, [0.25, 0.125, 0.0], atol=EXACT)
    np.testing.assert_array_equal(measures.class_fragments(part), [2, 3])
    np.testing.assert_array_equal(measures.kinking_units(part), [1, 1])


# ---- lengths and areas near sites ------------------------------------------------------------------------------


@pytest.mark.parametrize("angle", [0.0, 0.3, 1.0, 2.0])
def test_the_area_of_a_bent_tube(angle: float) -> None:
    """Two tubes that share an end: a sector is added at the outside of the bend, a kite counted twice at the inside."""
    d, length = 0.1, 0.5
    bend = segments((-length, 0.0), (0.0, 0.0), (length * math.cos(angle), length * math.sin(angle)))
    expected = 4 * length * d + math.pi * d * d + d * d * angle / 2 - d * d * math.tan(angle / 2)
    assert measures.area_within(SQUARE, bend, d) == pytest.approx(expected, abs=EXACT)


def test_two_discs_that_overlap() -> None:
    d, gap = 0.2, 0.25
    lens = 2 * d * d * math.acos(gap / 2 / d) - gap / 2 * math.sqrt(4 * d * d - gap * gap)
    sites = np.array([[(0.0, 0.0), (0.0, 0.0)], [(gap, 0.0), (gap, 0.0)]])
    assert measures.area_within(SQUARE, sites, d) == pytest.approx(2 * math.pi * d * d - lens, abs=EXACT)


def test_tubes_that_cross_are_counted_once() -> None:
    cross = np.concatenate([segments((-2, 0.125), (2, 0.125)), segments((0.25, -2), (0.25, 2))])
    assert measures.area_within(SQUARE, cross, 0.125) == pytest.approx(2 * 0.5 - 0.0625, abs=EXACT)
    pieces = segments((-1, 0), (1, 0), (1, 1))
    np.testing.assert_allclose(measures.lengths_within(pieces, cross, 0.125), [2.0, 0.25], atol=EXACT)


@pytest.mark.parametrize("seed", range(4))
def test_random_chains_against_dense_sampling(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sites = segments(*rng.uniform(-1.2, 1.2, (12, 2)))
    d = 0.05 * (seed + 1)
    n = 1200
    grid = (np.arange(n) + 0.5) * 2 / n - 1
    uv = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    assert measures.area_within(SQUARE, sites, d) == pytest.approx(4 * float((distances(uv, sites) < d).mean()), abs=2e-4)
    pieces = rng.uniform(-1.5, 1.5, (30, 2, 2))
    t = (np.arange(4000) + 0.5)[:, None] / 4000
    for piece, found in zip(pieces, measures.lengths_within(pieces, sites, d), strict=True):
        share = (distances(piece[0] + t * (piece[1] - piece[0]), sites) < d).mean()
        assert found == pytest.approx(share * np.linalg.norm(piece[1] - piece[0]), abs=1e-2)


def test_lengths_and_areas_add_up_over_distances() -> None:
    """Everything is within a large distance; nothing is lost at any distance between."""
    part = lines_in_square(12)
    ends = part.local_vertices[part.edges]
    sites = segments((-0.9, -0.5), (0.2, 0.3), (0.7, -0.8))
    lengths = np.array([measures.lengths_within(ends, sites, d).sum() for d in (0.01, 0.1, 0.5, 4.0)])
    areas = [measures.area_within(part.window, sites, d) for d in (0.01, 0.1, 0.5, 4.0)]
    assert (np.diff(lengths) > 0).all() and (np.diff(areas) > 0).all()
    assert lengths[-1] == pytest.approx(np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1).sum(), rel=1e-12)
    assert areas[-1] == pytest.approx(4.0, rel=1e-12)


def test_a_turn_and_a_shift_change_nothing() -> None:
    sites, d = segments((-0.5, -0.4), (0.1, 0.2), (0.6, -0.3), (0.0, 0.0)), 0.2
    c, s = math.cos(0.7), math.sin(0.7)
    turn = np.array([[c, s], [-s, c]])
    expected = measures.area_within(SQUARE, sites, d)
    assert measures.area_within(SQUARE @ turn + 7.0, sites @ turn + 7.0, d) == pytest.approx(expected, abs=1e-11)


# ---- variation, fragments, churn -------------------------------------------------------------------------------


def test_the_total_variation_is_that_of_the_slopes() -> None:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(2, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 3)).double()
    part = sliced(model)
    jumps = measures.gradient_jumps(part)
    inner = (part.edge_faces >= 0).all(axis=1)
    gaps = np.linalg.norm(part.slopes[part.edge_faces[inner, 0]] - part.slopes[part.edge_faces[inner, 1]], axis=(1, 2))
    np.testing.assert_allclose(jumps.norms[inner], gaps, atol=1e-7)
    assert measures.migration(part).window.variation == pytest.approx(gaps @ measures.knot_lengths(part)[inner], rel=1e-9)


def test_fragments_agree_with_a_picture() -> None:
    from scipy import ndimage

    n = 801
    grid = np.linspace(-1, 1, n)
    uv = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    seen = set()
    for seed in range(12):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(2, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 3)).double()
        model[0].weight.data *= 12
        with torch.no_grad():
            model[4].bias.data -= model(torch.tensor(uv)).mean(dim=0)
            labels = model(torch.tensor(uv)).argmax(1).reshape(n, n).numpy()
        parts = []
        for k in range(3):
            components, count = ndimage.label(labels == k)
            sizes = np.bincount(components.ravel())[1:]
            parts.append(int(count) if not len(sizes) or sizes.min() > 30 else None)
        found = measures.class_fragments(sliced(model)).tolist()
        if None not in parts:
            assert found == parts, seed
            seen.add(tuple(found))
    assert len(seen) >= 3


def test_churn() -> None:
    before = sliced(two_layers([(1.0, 0.0, 0.3)], [[1.0]], [0.0]))
    after = sliced(two_layers([(1.0, 0.0, 0.5)], [[1.0]], [0.0]))
    other = sliced(two_layers([(1.0, 0.0, 0.3), (0.0, 1.0, 0.0)], [[1.0, 1.0]], [0.0]))
    assert measures.pattern_churn(before, before) == 0.0
    assert measures.pattern_churn(before, after) == pytest.approx(0.1, abs=EXACT)  # a strip of 0.2 x 2 of 4
    assert 0 < measures.pattern_churn(before, other) <= 1
    with pytest.raises(PartitionError, match="expected two partitions of one window"):
        measures.pattern_churn(before, sliced(two_layers([(1.0, 0.0, 0.3)], [[1.0]], [0.0]), window=2 * SQUARE))


def test_far_windows_measure_the_same() -> None:
    """Everything is computed relative to the window's centre, so nothing is lost far from the origin."""
    near_ = measures.summary(sliced(two_layers([(2.0, 1.0, 0.2)], [[1.0]], [-0.1])), near=0.1)
    shifted = two_layers([(2.0, 1.0, 0.2 + 3072.0)], [[1.0]], [-0.1])
    far = partition(
        shifted, Plane(np.zeros(2), np.eye(2), np.array([[0, 0], [0.5, 0], [0, 0.5]]) + 1024.0), window=SQUARE + 1024
    )
    for name, value in measures.summary(far, near=0.1).items():
        assert value == pytest.approx(near_[name], rel=1e-9), name


def test_refusals() -> None:
    part = lines_in_square(2)
    for wrong in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(PartitionError, match="near: expected a positive distance"):
            measures.migration(part, near=wrong)
    with pytest.raises(PartitionError, match=r"sites: expected end points of shape \(n, 2, 2\)"):
        measures.area_within(SQUARE, np.zeros((3, 2)), 0.1)


@pytest.mark.parametrize(("u", "near", "expected"), [(0.0, 1.0, 4.0), (0.5, 0.5, 2.0), (-1.0, 2.0, 4.0), (0.0, 0.5, 2.0)])
def test_a_tube_whose_side_lies_on_the_window_is_counted_once(u: float, near: float, expected: float) -> None:
    square = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    assert measures.area_within(square, np.array([[[u, 1.0], [u, -1.0]]]), near) == pytest.approx(expected, rel=1e-11)
