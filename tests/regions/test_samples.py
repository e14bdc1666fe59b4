"""Random points against the network: right partitions pass, damaged ones do not, and what it costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import rounding
import torch
from cases import differences, mixed_case, module, random_case
from torch import nn

import splineviz as sv
from splineviz.errors import PartitionError
from splineviz.geometry.report import Report
from splineviz.regions.samples import POINTS, checked, contradicted

PLANE = sv.Plane(np.zeros(2), np.eye(2))


@pytest.mark.parametrize("name", rounding.NETWORKS)
def test_what_is_right_passes_and_what_is_not_does_not(name: str) -> None:
    net, shape, half = rounding.build(name)
    plane = rounding.plane_of(shape)
    program = sv.trace(net, shape)
    part = sv.partition(net, plane, window=half, threads=1)
    assert part.report.contradicted == 0
    other = replace(part, pattern_hash=np.roll(part.pattern_hash, 1), report=Report())
    assert contradicted(other, program) > 0.9 * POINTS
    with pytest.raises(PartitionError, match="that differ"):
        checked(other, program)
    shifted = replace(part, outputs=part.outputs + 1e-3 * np.abs(part.outputs).max(), report=Report(near_zero=1))
    assert checked(shifted, program).report.contradicted == POINTS


def test_regions_that_were_lost_are_missed() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2)).double()
    fewer = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2)).double()
    fewer.load_state_dict(net.state_dict())
    with torch.no_grad():
        fewer[0].weight[3], fewer[0].bias[3] = 0.0, -1.0
    part = sv.partition(fewer, PLANE, window=3.0)
    assert contradicted(part, sv.trace(fewer, (2,))) == 0
    assert contradicted(part, sv.trace(net, (2,))) > 0


def test_noise_on_a_region_contradicts_nothing() -> None:
    """A unit that cancels exactly is noise of either sign in the network's own arithmetic."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    with torch.no_grad():
        net[0].weight[3:], net[0].bias[3:] = net[0].weight[:3] / 3, net[0].bias[:3] / 3
        net[2].weight[0, 3:], net[2].bias[0] = -3 * net[2].weight[0, :3], 0.0
    for seed in range(5):
        with rounding.perturbed(2, seed):
            assert sv.partition(net, PLANE, window=1.0).report.contradicted == 0


@pytest.mark.parametrize("number", [437, 1102, 1240, 1852])
def test_what_is_0_for_one_and_rounded_for_another_is_no_contradiction(number: int) -> None:
    """Units that cancel exactly where products are exact: the partition was right, and was refused."""
    case = mixed_case(number)
    with rounding.perturbed(2, seed=number):
        part = sv.partition(module(case.layers), case.plane, window=case.window, threads=1)
    assert part.report.contradicted == 0 and differences(part, case.cells()) == []


def test_a_unit_that_cancels_does_not_hide_what_comes_after_it() -> None:
    """Moved one way it stays off, and so does all behind it, which then seemed to have no rounding at all."""
    case = random_case(4351, max_width=6, max_depth=4)
    with rounding.perturbed(2, seed=4351):
        part = sv.partition(module(case.layers), case.plane, window=case.window, threads=1)
    assert part.report.contradicted == 0 and differences(part, case.cells()) == []


def test_outputs_that_are_coarse_as_they_came_from_afar_contradict_nothing() -> None:
    """Seen in rows of 1e-4 to 1e3: where its last units sleep the network is flat, and lines come from slopes of 1e8."""
    case = random_case(673)
    part = sv.partition(module(case.layers), case.plane, window=case.window)
    assert (part.num_regions, part.report.contradicted) == (157, 0)
    assert contradicted(replace(part, outputs=1.001 * part.outputs), sv.trace(module(case.layers), (2,))) > 0
