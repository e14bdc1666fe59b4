"""Arrays that grow, and orders of numbers: numpy judges."""

from __future__ import annotations

import numpy as np
import pytest

from splineviz._kernels import arrays
from splineviz._kernels.arrangement import answered
from splineviz._kernels.jit import njit


@njit()
def in_order(keys):
    return arrays.stable_order(keys)


@njit()
def sorted_by(keys, start, stop, ints):
    arrays.sort_by(keys, start, stop, ints)


@njit()
def place(number, known):
    return answered(number, known)


@pytest.mark.parametrize("distinct", [2, 10**9])
@pytest.mark.parametrize("count", [0, 1, 2, 15, 16, 17, 31, 32, 33, 64, 100, 1000])
def test_equal_keys_keep_their_order(count, distinct):
    keys = np.random.default_rng(count).integers(distinct, size=count).astype(float)
    assert np.array_equal(in_order(keys), np.argsort(keys, kind="stable"))
    assert np.array_equal(in_order(-np.sort(keys)), np.argsort(-np.sort(keys), kind="stable"))


@pytest.mark.parametrize("count", [0, 1, 5, 32, 33, 200])
def test_what_stands_beside_a_key_goes_with_it(count):
    random = np.random.default_rng(count)
    keys, ints = random.integers(7, size=count + 5) / 8, np.arange(count + 5, dtype=np.int32)
    found, beside = keys.copy(), ints.copy()
    sorted_by(found, 2, count + 2, beside)
    order = 2 + np.argsort(keys[2 : count + 2], kind="stable")
    assert np.array_equal(found, np.r_[keys[:2], keys[order], keys[count + 2 :]])
    assert np.array_equal(beside, np.r_[ints[:2], order, ints[count + 2 :]])


@pytest.mark.parametrize("count", [0, 1, 2, 3, 10])
def test_a_number_is_found_where_it_stands_and_nowhere_else(count):
    known = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(2**60 + 1)
    for i, number in enumerate(known):
        assert place(number, known) == i
        assert place(number - np.uint64(1), known) == place(number + np.uint64(1), known) == -1
