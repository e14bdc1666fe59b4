"""Rounds of maxima at vertices and on faces: numpy, entry by entry, judges."""

from __future__ import annotations

import numpy as np
import pytest

from splineviz._kernels import winners
from splineviz._kernels.cutting import Faces
from splineviz._kernels.lines import Rows

GROUPS = 37


def bits(flags):
    rows, units = flags.shape
    words = np.zeros((rows, 64 * -(-units // 64)), np.uint8)
    words[:, :units] = flags
    return np.packbits(words, axis=1, bitorder="little").view(np.uint64)


def rows_of(values, old):
    return Rows(np.ascontiguousarray(values[:old]), np.ascontiguousarray(values[old:]))


@pytest.mark.parametrize(
    "gathered, slopes", [(True, (0.0, 1.0)), (True, (0.1, 1.0)), (True, (-1.0, 1.0)), (False, (1.0, 1.0))]
)
@pytest.mark.parametrize("entrants", [2, 3, 4, 9])
def test_entrants_meet_and_the_larger_go_on(slopes, entrants, gathered):
    random = np.random.default_rng(entrants)
    width = 3 * entrants * GROUPS if gathered else entrants * GROUPS
    x, vertices = random.normal(size=(12, width)), random.permutation(12)[:7]
    index = random.permutation(width)[: entrants * GROUPS].astype(np.uint32) if gathered else np.zeros(0, np.uint32)
    k = entrants // 2 * GROUPS
    ahead, second, rest = (np.empty((7, n)) for n in (k, k, entrants * GROUPS - 2 * k))
    winners.meet(rows_of(x, 5), vertices, index, *slopes, ahead, second, rest)
    met = np.where(x > 0, slopes[1], slopes[0]) * x
    met = met[vertices][:, index] if gathered else met[vertices]
    assert np.array_equal(ahead, met[:, :k] - met[:, k : 2 * k])
    assert np.array_equal(second, met[:, k : 2 * k]) and np.array_equal(rest, met[:, 2 * k :])
    found, some = np.empty((4, k + rest.shape[1])), np.array([6, 1, 2, 4])
    winners.go_on(rows_of(ahead, 3), rows_of(second, 3), rows_of(rest, 3), some, found)
    largest = second + np.maximum(ahead, 0.0)
    assert np.array_equal(found, np.concatenate([largest, rest], axis=1)[some])


@pytest.mark.parametrize("units", [1, 63, 64, 65, 200])
def test_values_that_were_read_as_zero_become_zero_and_those_that_were_not_are_counted(units):
    random = np.random.default_rng(units)
    z = random.normal(size=(9, units)) * random.choice([0.0, 1e-20, 1.0], size=(9, units))
    counted, near = random.random(units) < 0.5, np.abs(z) < 1e-10
    expected = np.where(near, 0.0, z)
    number = int((near & (z != 0.0) & counted).sum())
    found = winners.clear_zeros(z, bits(expected > 0), bits(expected < 0), bits(counted[None])[0])
    assert found == number and np.array_equal(z, expected)


@pytest.mark.parametrize("kind", [np.uint8, np.int32])
@pytest.mark.parametrize("one", [True, False])
def test_winners_are_those_that_the_sums_over_the_corners_tell(kind, one):
    """A square (0 1 2 3) is cut from 4, on its side 0 1, to 5, on 2 3; beside it stands a triangle (1 6 2)."""
    entrants, pairs, random = 3, 1, np.random.default_rng(int(one))
    uv = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1], [2, 0.5], [0.5, 0], [0.5, 1]])
    units = pairs * GROUPS
    slope, value = random.integers(-2, 3, size=(2, units)).astype(float), random.integers(-2, 3, size=units).astype(float)
    z = uv @ slope + value
    z[:, :3] = 0.0  # ties that hold on whole faces
    edges = np.array([[0, 1], [1, 2], [2, 3], [3, 0], [1, 4], [4, 2]], np.int32)
    before = Faces(np.array([0, 4, 7], np.int32), np.array([0, 2, 4, 6, 8, 10, 3], np.int32), np.zeros(2, np.uint64))
    cut = np.array([[0, 5], [1, 2], [2, 6], [3, 0], [1, 4], [4, 2], [5, 1], [6, 3], [5, 6]], np.int32)
    halves = np.array([0, 16, 14, 6, 12, 2, 4, 17, 8, 10, 3], np.int32)
    after = Faces(np.array([0, 4, 8, 11], np.int32), halves, np.array([0, 0, 1], np.uint64))
    held = np.arange(entrants, dtype=kind).repeat(GROUPS)[None] if one else random.integers(
        entrants, size=(2, entrants * GROUPS)
    ).astype(kind)  # fmt: skip
    found = np.empty((3, (entrants - pairs) * GROUPS), kind)
    winners.play(before, edges, bits(z[:5] > 0), bits(z[:5] < 0), after, cut, rows_of(z, 5), held, found)
    for f, parent in enumerate(after.hash.astype(int)):
        mine = held[0 if one else parent].reshape(entrants, GROUPS)
        loop = halves[after.offsets[f] : after.offsets[f + 1]]
        lead = z[cut[loop >> 1, loop & 1]].sum(axis=0)
        expected = np.stack([np.where(lead > 0.0, mine[0], mine[1]), mine[2]])
        assert np.array_equal(found[f].reshape(2, GROUPS), expected)
