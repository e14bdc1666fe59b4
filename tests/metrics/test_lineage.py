"""Lineage: units that translate, units that are switched off, and sums that must hold for any two checkpoints."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from splineviz.errors import PartitionError
from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane
from splineviz.metrics import lineage
from splineviz.metrics.measures import pattern_churn
from splineviz.regions.enumerate import partition

SQUARE = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
PLANE = Plane(np.zeros(2), np.eye(2))


def lines(places: list[float]) -> Partition:
    """Upright knots at the given u (outside the window: a unit that is linear or dead), and the decision boundary u = 0."""
    net = nn.Sequential(nn.Linear(2, len(places) + 1), nn.ReLU(), nn.Linear(len(places) + 1, 2)).double()
    with torch.no_grad():
        net[0].weight.zero_(), net[2].weight.zero_(), net[2].bias.zero_()
        net[0].weight[:, 0] = 1.0
        net[0].bias[:-1] = -torch.tensor(places, dtype=torch.float64)
        net[0].bias[-1] = 10.0
        net[2].weight[0, -1], net[2].bias[0] = 1.0, -10.0
    return partition(net, PLANE, window=SQUARE)


def test_units_that_translate_keep_their_length_and_lose_their_distance() -> None:
    before, after = lines([0.3, 0.6]), lines([0.1, 0.2])
    assert np.allclose(lineage.unit_lengths(before), [2, 2, 0], atol=1e-12)
    assert np.allclose(lineage.unit_distances(before)[:2], [0.3, 0.6], atol=1e-9)
    assert np.allclose(lineage.unit_distances(after)[:2], [0.1, 0.2], atol=1e-9)
    assert math.isnan(lineage.unit_distances(after)[2]), "a unit without knots has no distance"
    found = lineage.ledger(before, after, near=0.25)
    assert np.allclose(found.change, [[4.0, 0.0, 0.0]], atol=1e-9)
    assert np.allclose(found.units, [[2, 0, 0]])


def test_units_that_are_switched_off_or_on_are_told_from_those_that_move() -> None:
    before, after = lines([0.1, 0.2, 5.0, 0.9]), lines([5.0, 0.7, 0.05, 0.15])
    found = lineage.ledger(before, after, near=0.25)
    # One unit vanishes with 2 near the boundary, one leaves it, one comes to it, one appears at it.
    assert np.allclose(found.change, [[0.0, -2.0, 2.0]], atol=1e-9)
    assert np.allclose(found.units, [[2, 1, 1]])
    assert np.allclose(found.after - found.before, 0.0, atol=1e-9)


@pytest.fixture(scope="module")
def pair() -> tuple[Partition, Partition]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))
    found = []
    for size in (0.0, 0.15):
        with torch.no_grad():
            for parameter in net.parameters():
                parameter += size * torch.randn_like(parameter)
            net[4].bias.copy_(-(net[4].weight @ net[:4](torch.zeros(1, 2))[0]))
        found.append(partition(net, PLANE, window=SQUARE))
    return found[0], found[1]


def test_the_ledger_adds_up(pair: tuple[Partition, Partition]) -> None:
    found = lineage.ledger(*pair, near=0.1)
    assert np.allclose(found.change.sum(axis=1), found.after - found.before, atol=1e-12)
    assert np.allclose(found.before.sum(), lineage.unit_lengths(pair[0], near=0.1).sum())
    assert found.units.sum() > 16 and (found.units >= 0).all()
    back = lineage.ledger(pair[1], pair[0], near=0.1)
    assert np.allclose(back.change, -found.change[:, [0, 2, 1]])


def test_distances_agree_with_many_points(pair: tuple[Partition, Partition]) -> None:
    part = pair[0]
    line, found = part.decision_boundary(), lineage.unit_distances(part)
    a, d = line[:, 0], line[:, 1] - line[:, 0]
    for unit in np.flatnonzero(lineage.unit_lengths(part) > 0)[::5]:
        ends = lineage.unit_knots(part, int(unit))
        share = (np.arange(4000) + 0.5)[:, None, None] / 4000
        points = ends[:, 0] + share * (ends[:, 1] - ends[:, 0])
        t = np.clip(((points[..., None, :] - a) * d).sum(axis=-1) / (d**2).sum(axis=1), 0, 1)
        gaps = np.linalg.norm(points[..., None, :] - a - t[..., None] * d, axis=-1).min(axis=-1).mean(axis=0)
        lengths = np.hypot(*(ends[:, 1] - ends[:, 0]).T)
        assert abs((gaps * lengths).sum() / lengths.sum() - found[unit]) < 1e-5


def test_regions_that_stay_die_and_are_born_share_the_window(pair: tuple[Partition, Partition]) -> None:
    found = lineage.regions(*pair)
    assert math.isclose(found.stayed + found.died, 1.0, rel_tol=1e-9) and math.isclose(found.died, found.born, rel_tol=1e-9)
    assert math.isclose(found.died, pattern_churn(*pair), rel_tol=1e-9)
    assert found.regions_stayed + found.regions_died == pair[0].num_regions
    assert found.regions_stayed + found.regions_born == pair[1].num_regions
    same = lineage.regions(pair[0], pair[0])
    assert (same.died, same.regions_born) == (0.0, 0) and math.isclose(same.stayed, 1.0, rel_tol=1e-12)


def test_other_windows_networks_and_units_are_refused(pair: tuple[Partition, Partition]) -> None:
    with pytest.raises(PartitionError, match="one network"):
        lineage.ledger(pair[0], lines([0.1]), near=0.1)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))
    with pytest.raises(PartitionError, match="one window"):
        lineage.regions(pair[0], partition(net, PLANE, window=0.5))
    with pytest.raises(PartitionError, match="0 to 31, got 32"):
        lineage.unit_knots(pair[0], 32)
    with pytest.raises(PartitionError, match="positive distance"):
        lineage.ledger(*pair, near=0.0)
