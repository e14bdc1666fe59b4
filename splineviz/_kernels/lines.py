r"""Values along a line by rank-1 updates, instead of a matrix product for every new vertex.
Also values and scales of a vertex as its two parents have them.

    P --o---x--o--- Q      x: targets, o: flips (units of this layer that change sign between P and Q)

Along a line inside old faces the activations h are affine but for the flips, where unit u's slope changes
by jump * |dz_u|. So the next layer's values z' = W h + b, known at P and Q, are piecewise affine:

    z'(t) = z'_P + t s + sum over flips t_j < t of (t - t_j) jump |dz_j| W[:, u_j]

and z'(1) = z'_Q gives the first slope s. Each flip costs O(width) twice, each target O(width).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from splineviz._kernels.jit import njit, step
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


class Rows(NamedTuple):
    """Values at vertices: of a block's own (old, k), and of those behind them that a cut made (fresh, k)."""

    old: FloatArray
    fresh: FloatArray

    @classmethod
    def of(cls, values: FloatArray) -> Rows:
        """Values (V, ...) at vertices of which none is new."""
        flat = np.ascontiguousarray(values).reshape(len(values), math.prod(values.shape[1:]))
        return cls(flat, flat[:0])

    def part(self, vertices: npt.NDArray[np.int64]) -> FloatArray:
        """The values at some vertices: a view where they are the block's own, one after the other."""
        n, own = len(self.old), vertices < len(self.old)
        if len(vertices) and own.all() and (np.diff(vertices) == 1).all():
            return self.old[vertices[0] : vertices[-1] + 1]
        found = np.empty((len(vertices), self.old.shape[1]))
        found[own], found[~own] = self.old[vertices[own]], self.fresh[vertices[~own] - n]
        return found


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


@step()
def row_of(rows, v):
    """The values of one vertex."""
    return rows.old[v] if v < len(rows.old) else rows.fresh[v - len(rows.old)]


@njit(nogil=True, cache=True)
def interpolate(rows, parents):
    """Write the fresh rows between their parents' values, in order: a parent may be a row written before."""
    ends_a, ends_b, places = parents.a, parents.b, parents.t
    for i in range(len(ends_a)):
        a, b, t, between = row_of(rows, ends_a[i]), row_of(rows, ends_b[i]), places[i], rows.fresh[i]
        for k in range(len(between)):
            between[k] = a[k] + t * (b[k] - a[k])


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def add_norms(rows, weights, norms, awake):
    """Add to norms (V,) the norm of every row times the weights (k,); awake (V,) becomes 1 where one is not 0."""
    for v in range(len(norms)):
        row, total, some = row_of(rows, v), 0.0, np.int64(0)
        for k in range(len(row)):
            total += (row[k] * weights[k]) ** 2
            some |= np.int64(row[k] != 0.0)
        norms[v] += np.sqrt(total)
        awake[v] |= np.uint8(some)


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
