"""Exact and sampled units on the slice, against what is known of one line, partitions of the diamonds, and every network."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from cases import lines, module, square
from networks import TABLE, build, relu_network

from splineviz.errors import DataError
from splineviz.geometry.plane import Plane
from splineviz.metrics import slice_complexity
from splineviz.metrics.diamonds import exact_counts, spread
from splineviz.regions.enumerate import partition
from splineviz.tracing.trace import trace

FLAT = Plane(np.zeros(2), np.eye(2))
DIAMOND = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])

COINCIDING = (
    "max-pooling of pairs", "picked apart", "repeated", "kinks as functions", "layers as functions, three dimensions",
    "patches as columns", "largest of pairs", "modules of one dimension", "modules of three dimensions", "in order",
)  # fmt: skip
"""Networks with units whose knots coincide (copies by padding or by hand, ties at 0): on the slice they are one."""


def both(model, plane, window, radius):
    part = partition(model, plane, window=window)
    program = trace(model, plane.input_shape)
    return slice_complexity.exact(part, radius) | slice_complexity.sampled(program, plane, part.window, radius, None)


def test_one_line_through_the_window_is_met_as_often_as_it_must_be() -> None:
    """Of points uniform on [-1 + 2r, 1 - 2r]^2 a share of 2r / (2 - 4r) is nearer than r to u = 0.3."""
    radius = 0.1
    row = both(module(lines((1, 0, -0.3))), FLAT, 1.0, radius)
    share = 2 * radius / (2 - 4 * radius)
    assert tuple(row) == slice_complexity.COLUMNS
    assert row["slice_exact"] == row["slice_sampled"], "a straight knot cannot pass between the corners"
    assert abs(row["slice_exact"] - share) < row["slice_exact_band"]
    spread_of_one = 2.576 * math.sqrt(share * (1 - share) / slice_complexity.POINTS)
    assert row["slice_exact_band"] == pytest.approx(spread_of_one, rel=0.2)
    assert row["slice_exact"] == np.mean(np.abs(spread(square(), slice_complexity.POINTS, radius)[:, 0] - 0.3) < radius)


@pytest.mark.parametrize("seed", range(3))
def test_exact_is_the_number_of_units_in_a_partition_of_each_diamond(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slice_complexity, "POINTS", 25)
    model = relu_network(seed, 2, 14, 14, 3)
    found = both(model, FLAT, 1.0, 0.2)
    points, counts = spread(square(), 25, 0.2), []
    for point in points:
        small = partition(model, FLAT, window=point + 0.2 * DIAMOND)
        counts.append(len(np.unique(small.edge_tag[small.edge_tag >= 0])))
    assert found["slice_exact"] == pytest.approx(np.mean(counts)) and np.mean(counts) > 1
    assert found["slice_exact_band"] == pytest.approx(2.576 * np.std(counts, ddof=1) / 5)


@pytest.mark.parametrize("seed", range(3))
def test_sampled_is_the_number_of_units_with_both_signs_at_the_corners(seed: int) -> None:
    model, radius = relu_network(seed, 5, 12, 12, 3), 0.25
    rng = np.random.default_rng(seed)
    plane = Plane(0.1 * rng.standard_normal(5), np.linalg.qr(rng.standard_normal((5, 2)))[0].T)
    found = both(model, plane, 2.0, radius)
    points = spread(square(2.0), slice_complexity.POINTS, radius)
    corners = plane.embed((points[:, None] + radius * DIAMOND).reshape(-1, 2))
    values, _ = trace(model, (5,)).preactivations(torch.from_numpy(corners))
    signs = torch.cat(values, dim=1).reshape(len(points), 4, -1)
    counts = ((signs.amin(1) < 0) & (signs.amax(1) > 0)).sum(dim=1).double()
    assert found["slice_sampled"] == pytest.approx(float(counts.mean()))
    assert found["slice_sampled_band"] == pytest.approx(2.576 * float(counts.std()) / math.sqrt(len(counts)))
    assert found["slice_sampled"] < found["slice_exact"], "knots that bend inside are missed"


@pytest.mark.parametrize("name", TABLE)
def test_of_every_network_no_more_is_sampled_than_there_is(name: str) -> None:
    model, shape = build(name)
    program, rng = trace(model, shape), np.random.default_rng(1)
    basis = np.linalg.qr(rng.standard_normal((math.prod(shape), 2)))[0].T.reshape(2, *shape)
    plane = Plane(0.3 * rng.standard_normal(shape), basis)
    uv = rng.uniform(-1, 1, (20, 2))
    on_plane = slice_complexity.on_plane(program, plane)(torch.from_numpy(uv))
    torch.testing.assert_close(on_plane, program(torch.from_numpy(plane.embed(uv))), rtol=1e-9, atol=1e-9)
    row = both(program, plane, 1.0, 0.1)
    assert (row["slice_sampled"] > row["slice_exact"]) == (name in COINCIDING)


def test_nothing_is_counted_where_diamonds_do_not_fit_or_are_not_asked_for() -> None:
    model = relu_network(0, 2, 8, 2)
    assert all(math.isnan(value) for value in both(model, FLAT, 0.01, 0.005).values())
    assert all(math.isnan(v) for v in slice_complexity.exact(partition(model, FLAT, window=1.0), None).values())
    assert not any(math.isnan(value) for value in both(model, FLAT, 0.0101, 0.005).values())


@pytest.mark.parametrize(
    "window",
    [
        square(),
        square(0.5, 1e6, -3.0),
        np.array([[0.0, 0], [4, 3.6], [4, 4], [0, 0.4]]),  # slanting: its box is far wider than it
        np.array([[0.0, 0], [3, 0], [0, 1]]),
        np.array([[-1.0, 0], [-0.5, -0.2], [2, 0], [-0.5, 2]]),
    ],
)
def test_points_are_uniform_where_their_diamonds_fit(window: np.ndarray) -> None:
    radius = 0.05
    points = spread(window, 4000, radius)
    np.testing.assert_array_equal(points, spread(window, 4000, radius))
    flat = partition(relu_network(0, 2, 4, 2), FLAT, window=window)
    exact_counts(flat, points, radius=radius)  # raises where a diamond reaches beyond the window
    corners = points.mean(axis=0) - window.mean(axis=0)
    middle = _middle(window) - window.mean(axis=0)  # the window is shrunk towards the mean of its corners
    size = np.ptp(window, axis=0)
    assert (np.abs(corners - middle) < 0.05 * size).all()


def _middle(polygon: np.ndarray) -> np.ndarray:
    """The centre of area."""
    local = polygon - polygon[0]
    a, b = local[1:-1], local[2:]
    areas = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    return polygon[0] + (areas[:, None] * (a + b)).sum(axis=0) / areas.sum() / 3


def test_too_small_a_window_is_refused() -> None:
    with pytest.raises(DataError, match=r"window: expected one wider than 0\.4, for diamonds of radius 0\.1; take a larger"):
        spread(square(0.19), 10, 0.1)
