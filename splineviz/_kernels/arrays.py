"""Arrays that grow, and the order of numbers: what numba's own functions do too, but take long to compile for.

A copy by a slice, a concatenation or an argsort costs every kernel that holds one tenths of a second to seconds of
compilation; these loops cost hundredths. There is one form of each for a type: the first call names all types.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.jit import lean, step

RUN = 16
"""Numbers that are sorted by insertion before runs of them are merged."""


@step()
def grown(array, need):
    """The array itself if it holds `need` entries, else a copy with room for twice as many."""
    return array if len(array) >= need else stretched(array, 2 * need)


@step()
def stretched(array, size):
    """A copy with room for so many entries."""
    larger = np.empty(size, array.dtype)
    for i in range(len(array)):  # not a slice: numba would compile the message of its check of shapes for seconds
        larger[i] = array[i]
    return larger


@step()
def stretched_rows(array, size):
    """`stretched` for an array of pairs."""
    larger = np.empty((size, array.shape[1]), array.dtype)
    for i in range(len(array)):
        for k in range(array.shape[1]):
            larger[i, k] = array[i, k]
    return larger


@step()
def stable_order(keys):
    """(n,) places of the keys in ascending order, equal ones as they stand: runs in order, then two by two into one."""
    n = len(keys)
    order, other = np.empty(n, np.int64), np.empty(n, np.int64)
    for start in range(0, n, RUN):
        for i in range(start, min(start + RUN, n)):
            k = i
            while k > start and keys[order[k - 1]] > keys[i]:
                order[k] = order[k - 1]
                k -= 1
            order[k] = i
    width = RUN
    while width < n:
        for start in range(0, n, 2 * width):
            middle, stop = min(start + width, n), min(start + 2 * width, n)
            a, b = start, middle
            for k in range(start, stop):
                if b == stop or (a < middle and keys[order[a]] <= keys[order[b]]):
                    other[k] = order[a]
                    a += 1
                else:
                    other[k] = order[b]
                    b += 1
        order, other = other, order
        width *= 2
    return order


@step()
def sort_by(keys, start, stop, ints):
    """Sort keys[start:stop] ascending, and ints alongside."""
    if stop - start > 32:
        n = stop - start
        old_keys, old_ints = stretched(keys[start:stop], n), stretched(ints[start:stop], n)
        order = stable_order(old_keys)
        for place in range(n):
            keys[start + place], ints[start + place] = old_keys[order[place]], old_ints[order[place]]
        return
    _sort_few(keys, start, stop, ints)


@lean()
def _sort_few(keys, start, stop, ints):
    """The same for a few, by insertion."""
    for i in range(start + 1, stop):
        key, value, k = keys[i], ints[i], i
        while k > start and keys[k - 1] > key:
            keys[k], ints[k] = keys[k - 1], ints[k - 1]
            k -= 1
        keys[k], ints[k] = key, value
