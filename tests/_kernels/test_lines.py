"""Rows of old and new vertices: numpy, row by row, judges."""

from __future__ import annotations

import numpy as np
import pytest

from splineviz._kernels import lines
from splineviz._kernels.edges import Parents
from splineviz._kernels.lines import Rows


def test_new_rows_lie_between_their_parents_which_may_be_new_themselves():
    random = np.random.default_rng(0)
    old, t = random.normal(size=(6, 11)), random.random(5)
    a, b = np.array([0, 1, 6, 7, 8], np.int32), np.array([3, 2, 4, 6, 5], np.int32)
    rows = Rows(old, np.empty((5, 11)))
    lines.interpolate(rows, Parents(a, b, t, np.zeros(5, np.int32)))
    all_rows = list(old)
    for i in range(5):
        all_rows.append(all_rows[a[i]] + t[i] * (all_rows[b[i]] - all_rows[a[i]]))
    assert np.array_equal(rows.fresh, all_rows[6:])


@pytest.mark.parametrize("vertices", [[], [2], [2, 3, 4], [0, 2], [4, 5], [5, 6], [6, 1, 5, 0], [3, 2]])
def test_a_part_of_rows_is_what_stands_there(vertices):
    values = np.random.default_rng(1).normal(size=(7, 3))
    some = np.array(vertices, np.int64)
    found = Rows(values[:5], values[5:]).part(some)
    assert np.array_equal(found, values[some])
    assert np.shares_memory(found, values) == (vertices in ([2], [2, 3, 4]))


def test_rows_of_an_array_are_flat_and_in_a_row():
    values = np.arange(24.0).reshape(2, 3, 4).transpose(0, 2, 1)
    rows = Rows.of(values)
    assert rows.old.flags.c_contiguous and np.array_equal(rows.old, values.reshape(2, 12)) and not len(rows.fresh)
    assert Rows.of(np.empty((0, 3, 4))).old.shape == (0, 12)


@pytest.mark.parametrize("width", [0, 1, 7, 300])
def test_norms_are_added_and_rows_that_are_not_zero_are_awake(width):
    random = np.random.default_rng(width)
    values, weights, before = random.normal(size=(8, width)), random.random(width), random.random(8)
    values[[1, 6]] = 0.0
    norms, awake = before.copy(), np.zeros(8, np.uint8)
    lines.add_norms(Rows(values[:5], values[5:]), weights, norms, awake)
    np.testing.assert_allclose(norms, before + np.linalg.norm(values * weights, axis=1), rtol=1e-14)
    assert np.array_equal(awake != 0, (values != 0.0).any(axis=1))
