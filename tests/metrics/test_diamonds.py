"""Exact counts in diamonds against counts by hand, dense sampling, a partition of the diamond, and the sampled count."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from arrangement import lines_in_square
from cases import lines, module
from torch import nn

from splineviz.errors import PartitionError
from splineviz.geometry.plane import Plane
from splineviz.metrics.complexity import local_complexity
from splineviz.metrics.diamonds import complexities, exact_counts
from splineviz.regions.enumerate import partition
from splineviz.tracing.trace import trace

FLAT = Plane(np.zeros(2), np.eye(2))
DIAMOND = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])


def network(seed: int, inputs: int = 2, kink: type[nn.Module] = nn.ReLU) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(inputs, 14), kink(), nn.Linear(14, 14), kink(), nn.Linear(14, 10), kink(), nn.Linear(10, 2)
    ).double()


def test_counts_made_by_hand() -> None:
    """Knots at u = 0.3 and v = 0.2: which diamonds of radius 0.25 do they meet?"""
    part = partition(module(lines((1, 0, -0.3), (0, 1, -0.2))), FLAT, window=1.0)
    points = [[0.0, 0.0], [0.3, 0.2], [0.1, -0.5], [0.05, 0.2], [0.04, 0.45], [0.06, 0.44], [-0.7, -0.7]]
    # At (0.05, 0.2) the corner only touches u = 0.3 (0.3 - 0.05 < 0.25 in floating point would be a matter of rounding).
    found = exact_counts(part, points, radius=0.25)
    assert found.shape == (1, 7)
    assert found[0, [0, 1, 2, 5, 6]].tolist() == [1, 2, 1, 2, 0]
    assert exact_counts(part, np.empty((0, 2)), radius=0.1).shape == (1, 0)


def test_a_knot_through_one_side_is_seen_where_sampling_does_not() -> None:
    """u + v = 0.9 r cuts the side between two corners at distance r, 0.1 r deep: the corners tell; a bend does not."""
    model = network(0)
    part = partition(model, FLAT, window=1.0)
    points = np.random.default_rng(0).uniform(-0.6, 0.6, (400, 2))
    exact = exact_counts(part, points, radius=0.3)
    sampled = local_complexity(model, points, radius=0.3, directions=np.eye(2)).counts
    np.testing.assert_array_equal(exact[0], sampled[0])  # a straight knot that enters leaves round a corner
    assert (exact >= sampled).all() and (exact > sampled).any()


@pytest.mark.parametrize("kink", [nn.ReLU, nn.LeakyReLU])
@pytest.mark.parametrize("seed", range(4))
def test_counts_are_those_of_a_partition_of_the_diamond(seed: int, kink: type[nn.Module]) -> None:
    model = network(seed, kink=kink)
    part = partition(model, FLAT, window=1.0)
    points = np.random.default_rng(seed).uniform(-0.6, 0.6, (12, 2))
    for radius in (0.05, 0.3):
        found = exact_counts(part, points, radius=radius)
        for i, point in enumerate(points):
            small = partition(model, FLAT, window=point + radius * DIAMOND)
            tags = np.unique(small.edge_tag[small.edge_tag >= 0])
            np.testing.assert_array_equal(found[:, i], np.histogram(tags, bins=small.unit_offsets)[0])


@pytest.mark.parametrize("seed", range(3))
def test_counts_are_those_of_brute_force(seed: int) -> None:
    """Signs at very many points of the diamond, on a slice of a larger input space."""
    model = network(seed, inputs=5)
    rng = np.random.default_rng(seed)
    plane = Plane(0.1 * rng.standard_normal(5), np.linalg.qr(rng.standard_normal((5, 2)))[0].T)
    part = partition(model, plane, window=1.0)
    n = 301
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n)] * 2), axis=-1).reshape(-1, 2)
    inside = 0.5 * np.stack([grid[:, 0] + grid[:, 1], grid[:, 0] - grid[:, 1]], axis=1)  # a square turned into the diamond
    points, radius = rng.uniform(-0.7, 0.7, (8, 2)), 0.25
    found = exact_counts(part, points, radius=radius)
    for i, point in enumerate(points):
        values, _ = trace(model, (5,)).preactivations(torch.from_numpy(plane.embed(point + radius * inside)))
        for layer, z in enumerate(values):
            seen = int(((z > 0).any(0) & (z < 0).any(0)).sum())
            # A knot may cut off a corner smaller than the grid: brute force can only miss, and never much.
            assert seen <= found[layer, i] <= seen + 1, (i, layer)
    assert found.sum() >= 8


def test_order_of_points_does_not_matter() -> None:
    part = lines_in_square(15)
    points = np.random.default_rng(1).uniform(-0.8, 0.8, (50, 2))
    whole = exact_counts(part, points, radius=0.1)
    np.testing.assert_array_equal(exact_counts(part, points[::-1], radius=0.1), whole[:, ::-1])
    np.testing.assert_array_equal(exact_counts(part, points[7:8], radius=0.1), whole[:, 7:8])
    assert (exact_counts(part, points, radius=0.2) >= whole).all()


def test_refusals() -> None:
    part = lines_in_square(3)
    with pytest.raises(PartitionError, match="radius: expected a positive length, got 0.0"):
        exact_counts(part, [[0.0, 0.0]], radius=0.0)
    with pytest.raises(PartitionError, match=r"radius 0\.2 inside the window, got 1 of 2 that reach beyond it"):
        exact_counts(part, [[0.0, 0.0], [0.9, 0.0]], radius=0.2)


@pytest.mark.parametrize("radius", [0.004, 0.05, 0.3])
def test_the_count_of_every_region_is_the_exact_count_at_its_middle(radius: float) -> None:
    part = partition(network(1), FLAT, window=1.0)
    points = np.clip(part.centroids, -1 + radius, 1 - radius)  # moved inward at the window's border
    exact = exact_counts(part, (1 - 1e-12) * points, radius=radius).sum(axis=0)
    got = complexities(part, radius=radius)
    assert (np.abs(got - exact) <= 1).all() and (got == exact).mean() > 0.99  # at the border a corner may just touch
    inner = np.abs(part.centroids).max(axis=1) < 1 - radius
    np.testing.assert_array_equal(got[inner], exact[inner])


def test_the_count_of_every_region_sees_what_sampling_sees_and_more() -> None:
    model = network(2)
    part = partition(model, FLAT, window=1.0)
    inner = np.abs(part.centroids).max(axis=1) < 0.97
    sampled = local_complexity(model, part.centroids[inner], radius=0.02, directions=np.eye(2)).total
    got = complexities(part)[inner]  # a 100th of the window, 2 wide
    assert (got >= sampled).all() and (got == sampled).mean() > 0.9 and got.max() >= 4
    with pytest.raises(PartitionError, match="expected a positive length, got 0"):
        complexities(part, radius=0.0)


def test_a_far_window_counts_the_same() -> None:
    square, away = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]), [1e6, 0.0]
    plain = partition(module(lines((1, 0, -0.3), (0, 1, -0.2))), FLAT, window=square)
    far = partition(module(lines((1, 0, -1e6 - 0.3), (0, 1, -0.2))), FLAT, window=square + away)
    # The middles of the four are at (-0.35, -0.4), (0.65, -0.4), (-0.35, 0.6), (0.65, 0.6); then inward by 0.5.
    assert sorted(complexities(plain, radius=0.5)) == sorted(complexities(far, radius=0.5)) == [0, 1, 1, 2]
