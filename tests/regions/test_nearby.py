"""Windows that are small beside the values of a network: stars at samples that tie in a pool, at every zoom."""

import numpy as np
import pytest
import torch
from torch import nn

import splineviz as sv
from splineviz.regions import enumerate as enumerating
from splineviz.regions.enumerate import Slice

SQUARE = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
ZOOMS = [1e0, 1e-2, 1e-5, 1e-8, 1e-12]


def pooled(size: int, channels: int, *, bias: bool, twice: bool = False) -> nn.Module:
    """A convolution and a max-pool; twice: every channel is there twice."""
    torch.manual_seed(3)
    first = nn.Conv2d(1, channels, 3, bias=bias)
    network = nn.Sequential(first, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(channels * ((size - 2) // 2) ** 2, 2)).double()
    if twice:
        with torch.no_grad():
            first.weight[channels // 2 :] = first.weight[: channels // 2]
    return network


def even(size: int) -> sv.Plane:
    """A plane through an image of one grey, and two others."""
    rng = np.random.default_rng(5)
    return sv.Plane.through(np.full((1, size, size), 0.3), *rng.uniform(size=(2, 1, size, size)))


def rays(network: nn.Module, plane: sv.Plane) -> int:
    """How many rays of knots leave the even image: of each pool as many as the convex hull of its slopes has corners."""
    with torch.no_grad():
        slopes = network[0](torch.from_numpy(plane.basis.copy())) - network[0](torch.zeros(1, *plane.input_shape).double())
    directions = set()
    for channel in slopes.permute(1, 2, 3, 0).numpy():
        for i in range(0, channel.shape[0] - 1, 2):
            for j in range(0, channel.shape[1] - 1, 2):
                hull = _hull(channel[i : i + 2, j : j + 2].reshape(4, 2))
                sides = np.roll(hull, -1, axis=0) - hull
                directions |= {round(float(np.arctan2(s[1], s[0])), 12) for s in sides}
    return len(directions)


def _hull(points: np.ndarray) -> np.ndarray:
    found, order = [], sorted(points.tolist())
    for run in (order, order[::-1]):
        chain: list[list[float]] = []
        for p in run:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], p) <= 0:
                chain.pop()
            chain.append(p)
        found += chain[:-1]
    return np.array(found)


def _turn(a, b, c) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


@pytest.mark.parametrize(("bias", "twice"), [(False, False), (True, False), (True, True)], ids=["none", "biases", "twice"])
def test_pools_that_tie_at_a_sample_meet_there_in_one_star_at_every_zoom(bias, twice):
    network, plane = pooled(8, 4, bias=bias, twice=twice), even(8)
    expected = rays(network, plane)
    assert expected > 30
    for half in ZOOMS:
        found = sv.partition(network, plane, window=plane.anchors_uv[0] + half * SQUARE)
        degree = np.bincount(found.edges[found.edge_tag >= 0].reshape(-1))
        assert (found.num_regions, int(degree.max())) == (expected, expected), f"half-width {half}"
        report = found.verify(network)
        assert report.undecided == 0 and report.sign_error < 2.0


@pytest.mark.parametrize("half", [1e-4, 1e-9, 1e-12])
def test_a_black_background_before_two_pools_is_one_star(half):
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 3, 3, padding=1), nn.LeakyReLU(0.1),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 3),
    )  # fmt: skip
    with torch.no_grad():
        network[0].bias.abs_()  # no channel sleeps on the background
    x = torch.zeros(3, 1, 8, 8)
    for i in range(3):
        x[i, 0, 1 + 2 * i : 4 + 2 * i, 1:6] = torch.rand(3, 5)[: 8 - 1 - 2 * i]
    plane = sv.Plane.through(*x)
    found = sv.partition(network, plane, window=plane.anchors_uv[0] + half * SQUARE)
    degree = np.bincount(found.edges[found.edge_tag >= 0].reshape(-1))
    assert found.num_regions == degree.max() > 20
    assert found.num_regions == sv.partition(network, plane, window=plane.anchors_uv[0] + 1e-6 * SQUARE).num_regions
    assert found.verify(network).undecided == 0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("half", [1e-5, 1e-4, 5e-4, 1e-3])
def test_a_pool_before_its_kink_ties_on_a_black_background_at_every_zoom(half, seed):
    # From half-widths of 1e-4 on doubles see the window, where the sample's even background is rounded on the plane.
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(4, 8, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(), nn.Linear(72, 10),
    ).double()  # fmt: skip
    torch.manual_seed(seed)
    x = torch.zeros(3, 1, 14, 14)
    for i in range(3):
        x[i, 0, 2 + 2 * i : 5 + 2 * i, 2:11] = torch.rand(3, 9)
    plane = sv.Plane.through(*x)
    found = sv.partition(network, plane, window=plane.anchors_uv[0] + half * SQUARE)
    expected = sv.partition(network, plane, window=plane.anchors_uv[0] + 1e-6 * SQUARE)
    degree = np.bincount(found.edges[found.edge_tag >= 0].reshape(-1))
    assert found.num_regions == expected.num_regions == degree.max() > 100
    assert set(found.pattern_hash) == set(expected.pattern_hash) and found.verify(network).ok


def test_a_unit_that_was_taken_to_be_far_is_taken_nearer(monkeypatch):
    network, plane = pooled(8, 2, bias=True), even(8)
    window = plane.anchors_uv[0] + np.array([9e-6, 0.0]) + 1e-6 * SQUARE
    expected = sv.partition(network, plane, window=window)
    assert expected.num_regions > 3 and expected.verify(network).ok
    monkeypatch.setattr(enumerating, "FAR", 1e-3)
    tries = []
    monkeypatch.setattr(Slice, "_built", lambda job, built=Slice._built: (tries.append(job._far), built(job)))
    assert set(sv.partition(network, plane, window=window).pattern_hash) == set(expected.pattern_hash)
    assert len(tries) > 1


def test_a_plane_knows_its_samples_and_so_does_a_file(tmp_path):
    plane = even(4)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.ReLU(), nn.Linear(3, 2)).double()
    found = sv.partition(network, plane)
    found.save(tmp_path / "p.npz")
    again = sv.Partition.load(tmp_path / "p.npz").plane
    np.testing.assert_array_equal(again.samples, plane.samples)
    np.testing.assert_array_equal(plane.samples[0], np.full((1, 4, 4), 0.3))
