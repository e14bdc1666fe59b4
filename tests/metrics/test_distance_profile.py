"""Distance profiles: closed forms for parallel lines, brute force on points, and refusals."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from splineviz.errors import PartitionError
from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane
from splineviz.metrics import distance_profile, measures
from splineviz.metrics.sites import Sites
from splineviz.regions.enumerate import partition

SQUARE = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
PLANE = Plane(np.zeros(2), np.eye(2), anchors_uv=np.array([[0.0, 0.0], [0.5, 0.0], [0.0, 0.5]]))


def lines(places: list[float]) -> nn.Module:
    """Upright knots at the given u, slopes that change by 1 there, and the decision boundary u = 0."""
    net = nn.Sequential(nn.Linear(2, len(places) + 1), nn.ReLU(), nn.Linear(len(places) + 1, 2)).double()
    with torch.no_grad():
        net[0].weight.zero_(), net[2].weight.zero_(), net[2].bias.zero_()
        net[0].weight[:, 0] = 1.0
        net[0].bias[:-1] = -torch.tensor(places, dtype=torch.float64)
        net[0].bias[-1] = 10.0  # u + 10, which never bends in the window
        net[2].weight[0, -1], net[2].bias[0] = 1.0, -10.0
        net[2].weight[1, :-1] = 1e-9  # bends without moving the boundary from u = 0 by more than 1e-9
    return net


@pytest.fixture(scope="module")
def random_slice() -> Partition:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 2))
    with torch.no_grad():  # the boundary goes through the middle
        net[4].bias.copy_(-(net[4].weight @ net[:4](torch.zeros(1, 2))[0]))
    found = partition(net, PLANE, window=SQUARE)
    assert len(found.decision_boundary()) > 5
    return found


def test_parallel_knots_have_closed_forms() -> None:
    places = [0.1, 0.3, -0.6]
    found = distance_profile.profile(partition(lines(places), PLANE, window=SQUARE), distances=[0.05, 0.2, 0.5, 0.9])
    assert np.allclose(found.area, [0.2, 0.8, 2.0, 3.6], rtol=1e-9)
    assert np.allclose(found.length, [0.0, 2.0, 4.0, 6.0], atol=1e-9)
    assert np.allclose(found.whole[:2], [4.0, 6.0], rtol=1e-12)
    assert np.allclose(found.ratios(), np.array([0.0, 2.0 / 0.6, 2.0 / 1.2, 2.0 / 1.6]) * 4.0 / 6.0, atol=1e-9)


def test_knots_that_move_to_the_boundary_raise_the_near_bins_and_lower_the_median() -> None:
    """The family that translates: at time t the knots lie at (1 - t) of where they began."""
    began = np.array([0.2, 0.4, 0.6, 0.8])
    ratios = []
    for t in (0.0, 0.3, 0.6, 0.9):
        found = partition(lines(list((1 - t) * began)), PLANE, window=SQUARE)
        of_knots, of_area = distance_profile.median_distances(found)
        assert abs(of_area - 0.5) < 1e-9
        # Half the length: anywhere from the second to the third line.
        assert (1 - t) * 0.4 - 1e-9 <= of_knots <= (1 - t) * 0.6 + 1e-9
        ratios.append(distance_profile.profile(found, distances=[0.09, 1.0]).ratios()[0])
    assert np.allclose(ratios, [0.0, 0.0, 1 / 0.09 * 0.25, 1 / 0.09], atol=1e-6)


@pytest.mark.parametrize("sites", distance_profile.SITES)
def test_a_random_slice_agrees_with_points_along_its_knots(random_slice: Partition, sites: str) -> None:
    found = distance_profile.profile(random_slice, sites)
    own = random_slice.edge_tag >= 0
    ends = random_slice.vertices[random_slice.edges[own]]
    where = (np.arange(400) + 0.5)[:, None, None] / 400
    points = ends[None, :, 0] + where * (ends[:, 1] - ends[:, 0])[None]
    lines_ = random_slice.decision_boundary() if sites == "boundary" else random_slice.plane.anchors_uv[:, None].repeat(2, 1)
    gaps = distances(points.reshape(-1, 2), lines_).reshape(400, -1)
    lengths = measures.knot_lengths(random_slice)[own]
    for d, length in zip(found.distances, found.length, strict=True):
        assert abs((lengths * (gaps <= d).mean(axis=0)).sum() - length) < 0.01 * lengths.sum()
    of_knots, of_area = distance_profile.median_distances(random_slice, sites)
    assert abs((lengths * (gaps <= of_knots).mean(axis=0)).sum() - 0.5 * lengths.sum()) < 0.01 * lengths.sum()
    grid = np.stack(np.meshgrid(*[(np.arange(300) + 0.5) / 150 - 1] * 2), axis=-1).reshape(-1, 2)
    assert abs((distances(grid, lines_) <= of_area).mean() - 0.5) < 0.01


def distances(points: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """By brute force, in numpy."""
    a, d = segments[:, 0], segments[:, 1] - segments[:, 0]
    square = (d**2).sum(axis=1)
    t = ((points[:, None] - a) * d).sum(axis=2) / np.where(square > 0, square, 1.0)
    nearest = a + np.clip(t, 0, 1)[..., None] * d
    return np.sqrt(((points[:, None] - nearest) ** 2).sum(axis=2)).min(axis=1)


def test_the_profile_at_one_distance_is_the_migration_measured_there(random_slice: Partition) -> None:
    near = 0.07
    moved = measures.migration(random_slice, near=near)
    for sites, place in (("boundary", moved.boundary), ("anchors", moved.anchors)):
        found = distance_profile.profile(random_slice, sites, distances=[near])
        assert np.allclose([found.area[0], found.length[0], found.variation[0]], [place.area, place.length, place.variation])


def test_without_a_boundary_there_is_nothing_to_measure_from() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)).double()
    with torch.no_grad():
        net[2].weight.zero_(), net[2].bias.copy_(torch.tensor([1.0, 0.0]))
    found = partition(net, PLANE, window=SQUARE)
    assert all(map(math.isnan, distance_profile.median_distances(found)))
    assert np.isnan(distance_profile.profile(found).ratios()).all()


@pytest.mark.parametrize("bad", [[], [0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [math.nan]])
def test_distances_must_increase(random_slice: Partition, bad: list[float]) -> None:
    with pytest.raises(PartitionError, match="increase"):
        distance_profile.profile(random_slice, distances=bad)


def test_sites_are_named(random_slice: Partition) -> None:
    with pytest.raises(PartitionError, match="boundary, anchors"):
        distance_profile.profile(random_slice, "samples")


def test_the_median_of_the_area_takes_few_tubes(random_slice: Partition, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tubes as wide as the window take long: the whole window's area is known, and points say about where to look."""
    tried: list[float] = []

    grown = Sites.area_and_growth

    def area(where: Sites, near: float) -> tuple[float, float]:
        tried.append(near)
        return grown(where, near)

    monkeypatch.setattr(Sites, "area_and_growth", area)
    for named in distance_profile.SITES:
        tried.clear()
        _, median = distance_profile.median_distances(random_slice, named)
        assert 0 < len(tried) <= 6 and max(tried) < 1.5 * median
