r"""Values along a line by rank-1 updates, instead of a matrix product for every new vertex.
Also values and scales of a vertex as its two parents have them.

    P --o---x--o--- Q      x: targets, o: flips (units of this layer that change sign between P and Q)

Along a line inside old faces the activations h are affine but for the flips, where unit u's slope changes
by jump * |dz_u|. So the next layer's values z' = W h + b, known at P and Q, are piecewise affine:

    z'(t) = z'_P + t s + sum over flips t_j < t of (t - t_j) jump |dz_j| W[:, u_j]

and z'(1) = z'_Q gives the first slope s. Each flip costs O(width) twice, each target O(width).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from splineviz._kernels.jit import njit
from splineviz.errors import FloatArray, IntArray


class Lines(NamedTuple):
    """Lines from vertex start (n,) to vertex end (n,), with flips and targets on them, ragged and ascending in t.

    flip_size: |dz| of the flipping unit between the ends. target_vertex: whose values are asked for.
    """

    start: IntArray
    end: IntArray
    flip_offsets: npt.NDArray[np.int64]
    flip_t: FloatArray
    flip_unit: IntArray
    flip_size: FloatArray
    target_offsets: npt.NDArray[np.int64]
    target_t: FloatArray
    target_vertex: IntArray


@njit(nogil=True, cache=True, fastmath={"contract"})
def propagate(lines, jump, columns, values):
    """Write values[target], the next layer's values, for the targets of every line.

    columns (units, width) holds W transposed. Lines without targets cost nothing.
    """
    start, end, flip_offsets, flip_t, flip_unit, flip_size, target_offsets, target_t, target_vertex = lines
    width = values.shape[1]
    slope, here = np.empty(width), np.empty(width)
    for line in range(len(start)):
        first, last = target_offsets[line], target_offsets[line + 1]
        if first == last:
            continue
        p, q = start[line], end[line]
        for k in range(width):
            here[k] = values[p, k]
            slope[k] = values[q, k] - here[k]
        f0, f1 = flip_offsets[line], flip_offsets[line + 1]
        for f in range(f0, f1):
            c, u = (1.0 - flip_t[f]) * jump * flip_size[f], flip_unit[f]
            for k in range(width):
                slope[k] -= c * columns[u, k]
        t, f = 0.0, f0
        for i in range(first, last):
            while f < f1 and flip_t[f] < target_t[i]:
                step, c, u = flip_t[f] - t, jump * flip_size[f], flip_unit[f]
                for k in range(width):
                    here[k] += step * slope[k]
                    slope[k] += c * columns[u, k]
                t = flip_t[f]
                f += 1
            step, v = target_t[i] - t, target_vertex[i]
            for k in range(width):
                values[v, k] = here[k] + step * slope[k]


@njit(nogil=True, cache=True)
def interpolate(values, first, parents):
    """Write values[first + i] between its parents' values, in order: a parent may be a row written before."""
    ends_a, ends_b, places = parents.a, parents.b, parents.t
    for i in range(len(ends_a)):
        a, b, t = ends_a[i], ends_b[i], places[i]
        for k in range(values.shape[1]):
            values[first + i, k] = values[a, k] + t * (values[b, k] - values[a, k])


@njit(nogil=True, cache=True)
def turned_scale(lines, share, rows, units, offsets, first, scale):
    """Raise scale[v - first] of the targets v of every line to what a unit that flips on it may leave there of its errors,
    in roundings: of |dz| between the ends, and of what it was computed from at these (see `bits.Scales`), times its share.
    """
    start, end, flip_offsets, _, flip_unit, flip_size, target_offsets, _, target_vertex = lines
    for line in range(len(start)):
        if target_offsets[line] == target_offsets[line + 1]:
            continue
        largest, row = 0.0, max(rows[start[line]], rows[end[line]])
        for f in range(flip_offsets[line], flip_offsets[line + 1]):
            u = flip_unit[f]
            largest = max(largest, (flip_size[f] + row * units[u] + offsets[u]) * share[u])
        for i in range(target_offsets[line], target_offsets[line + 1]):
            v = target_vertex[i] - first
            scale[v] = max(scale[v], largest)


@njit(nogil=True, cache=True)
def larger_scale(scale, first, parents):
    """Raise scale[first + i] to the larger of its parents' scales, in order."""
    ends_a, ends_b = parents.a, parents.b
    for i in range(len(ends_a)):
        scale[first + i] = max(scale[first + i], scale[ends_a[i]], scale[ends_b[i]])
