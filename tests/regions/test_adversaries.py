"""Networks made to mislead double precision, against the exact oracle; thousands more: tests/soak/random_networks.py."""

from __future__ import annotations

import math
from contextlib import nullcontext

import numpy as np
import pytest
from adversaries import KINDS, adversary
from oracle import RELU, Layer, regions
from rounding import perturbed

from splineviz.regions.enumerate import partition

ONCE_WRONG = {
    15: "beside a layer that was all asleep the values of another tensor were read as exact",
    424: "a unit that is 0 at a vertex was 10^5 at the end of its line, and left its rounding there",
    931: "in a tiny window the first layer's own rounding was taken for nothing",
    1019: "signs were decided exactly, and the vertices stayed where values had put them",
    1054: "the two halves of a Hardtanh cancelled, and the self-check called that wrong",
    1135: "the units that cross a line left the errors of their own layer at its vertices",
    2529: "the self-check measured rounding inside faces alone, and the corners change a hundred times more",
}
"""Numbers of adversaries, and what was wrong."""


def judged(number: int, kind: str | None = None, units: int = 0) -> tuple[list[str], int]:
    """What a partition differs in, and how many cases it has counted as undecided."""
    case = adversary(number, kind)
    with perturbed(units, seed=number) if units else nullcontext():
        found = partition(case.module, case.plane, window=case.window, threads=1)
    return case.differences(found, case.cells()), found.report.near_zero + found.report.irregular_faces


@pytest.mark.parametrize("number", ONCE_WRONG)
def test_what_was_once_wrong_is_right(number: int) -> None:
    assert judged(number) == ([], 0)


@pytest.mark.parametrize("units", [0, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_no_adversary_is_wrong_in_silence(kind: str, units: int) -> None:
    for number in range(8):
        found, counted = judged(number, kind, units)
        assert not found or counted, f"{kind}-{number}: {found[:3]}"


def test_the_oracle_carries_rows_past_a_kink() -> None:
    """u + relu(v) of two inputs has two regions: the carried row is no unit, and keeps its slope where it is negative."""
    rows = Layer(np.array([[0.0, 1.0], [1.0, 0.0]]), np.zeros(2), RELU, carry=1)
    found = regions([rows, Layer(np.ones((1, 2)), np.zeros(1))], [[-1, -1], [1, -1], [1, 1], [-1, 1]])
    assert sorted((cell.pattern, tuple(map(float, cell.outputs[0]))) for cell in found) == [
        ((-1,), (1.0, 0.0, 0.0)), ((1,), (1.0, 1.0, 0.0)),
    ]  # fmt: skip
    assert math.isclose(sum(float(cell.area) for cell in found), 4.0)
