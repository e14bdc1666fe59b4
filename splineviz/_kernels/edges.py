r"""Cutting edges: one new vertex for each unit of strictly opposite sign at the ends.

    a ----x-----x--x------- b        t = za / (za - zb), ascending from a to b
          0     1  2                 order of the new vertices on the edge
      e    E+o   E+o+1 ...           sub-edges: the first keeps the id e, the others are appended

An edge is cut once, for both its faces. Units whose cuts cannot be told apart at their tolerance
share one vertex (three lines through a point, the same neuron twice): `cut_order` then repeats.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from splineviz._kernels.arrays import grown, stable_order, stretched
from splineviz._kernels.bits import ONE, lowest, popcount, splitmix
from splineviz._kernels.jit import njit, step
from splineviz.errors import FloatArray, IntArray


class EdgeCuts(NamedTuple):
    """The cuts of all edges, edge by edge in runs offsets (E + 1,), ascending in t.

    unit: that is 0 there; size: |zb - za| of its jump; order: of its vertex on the edge, in runs vertex_offsets (E + 1,);
    spread: how far off t may be.
    """

    offsets: npt.NDArray[np.int64]
    unit: IntArray
    t: FloatArray
    size: FloatArray
    order: IntArray
    vertex_offsets: npt.NDArray[np.int64]
    spread: FloatArray


class Parents(NamedTuple):
    """Of every new vertex: it lies at t between vertices a and b, where the unit `maker` of the layer is 0."""

    a: IntArray
    b: IntArray
    t: FloatArray
    maker: IntArray


class Skeleton(NamedTuple):
    """Vertices and edges of a block, old ones first. blur, off: how far off a vertex may be, and how far beside its line an
    edge, times sharpness; see `Block`.
    """

    uv: FloatArray
    blur: FloatArray
    parents: Parents
    edges: IntArray
    off: FloatArray
    tag: IntArray
    key: npt.NDArray[np.uint64]


@njit(nogil=True, cache=True)
def count_cuts(edges, plus, minus):
    """(E + 1,) offsets of each edge's cuts: the units of strictly opposite sign at its ends."""
    offsets = np.zeros(len(edges) + 1, np.int64)
    for e in range(len(edges)):
        a, b = edges[e, 0], edges[e, 1]
        total = 0
        for w in range(plus.shape[1]):
            total += popcount((plus[a, w] & minus[b, w]) | (minus[a, w] & plus[b, w]))
        offsets[e + 1] = offsets[e] + total
    return offsets


@step()
def share_vertices(start, stop, cut_t, cut_unit, cut_size, cut_order, spread):
    """Let cuts of one edge that cannot be told apart share a vertex; returns the number of vertices.

    The sharpest cuts come first: each later one joins the nearest vertex within its own spread, or makes a new one.
    So the vertex stands where its sharpest cut does, and a broad cut never draws two sharp ones together.
    """
    count = stop - start
    owner, made, vertices = np.empty(count, np.int64), np.empty(count, np.int64), 0
    for k in stable_order(spread[start:stop]):
        t, best, near = cut_t[start + k], -1, spread[start + k]
        for v in range(vertices):
            if abs(cut_t[start + made[v]] - t) <= near:
                best, near = v, abs(cut_t[start + made[v]] - t)
        if best < 0:
            made[vertices] = k
            best = vertices
            vertices += 1
        owner[k] = best
    rank, key = np.empty(vertices, np.int64), np.empty(vertices)
    for v in range(vertices):
        key[v] = cut_t[start + made[v]]
    for place, v in enumerate(stable_order(key)):
        rank[v] = place
    # Entries of one vertex stand together, its own cut first, all at its t.
    key = np.empty(count)
    for k in range(count):
        key[k] = 2 * rank[owner[k]] + (made[owner[k]] != k)
    order = stable_order(key)
    old_t, old_size = stretched(cut_t[start:stop], count), stretched(cut_size[start:stop], count)
    old_unit, old_spread = stretched(cut_unit[start:stop], count), stretched(spread[start:stop], count)
    for place, k in enumerate(order):
        i = start + place
        cut_t[i], cut_unit[i], cut_size[i] = old_t[made[owner[k]]], old_unit[k], old_size[k]
        cut_order[i], spread[i] = rank[owner[k]], old_spread[k]
    return vertices


@step(inline="always")
def _insert(c, start, t, unit, size, limit, cut_t, cut_unit, cut_size, spread):
    """Put one more cut among those from `start` to c - 1, which ascend in t."""
    k = c
    while k > start and cut_t[k - 1] > t:
        cut_t[k], cut_unit[k], cut_size[k], spread[k] = cut_t[k - 1], cut_unit[k - 1], cut_size[k - 1], spread[k - 1]
        k -= 1
    cut_t[k], cut_unit[k], cut_size[k], spread[k] = t, unit, size, limit


@step(inline="always")
def beside(off, blur_a, blur_b):
    """How far an edge may lie beside its line: no farther than the knot that made it, and no farther than its ends."""
    return min(off, max(blur_a, blur_b))


@njit(nogil=True, cache=True)
def cut_edges(edges, off, blur, reading, cut_offsets):
    """The cuts of every edge; and the edges of which some cuts cannot be told apart, so that they share vertices.

    Where the ends are along the edge plays no part: their values are those of the places where they stand.
    """
    plus, minus, z = reading.plus, reading.minus, reading.z
    row_scale, unit_scale, unit_offset, tolerance = reading.scales
    total = cut_offsets[-1]
    cut_unit, cut_order = np.empty(total, np.int32), np.empty(total, np.int32)
    cut_t, cut_size, spread = np.empty(total), np.empty(total), np.empty(total)
    vertex_offsets = np.zeros(len(edges) + 1, np.int64)
    shared, shared_count = np.empty(16, np.int64), 0
    for e in range(len(edges)):
        start, stop = cut_offsets[e], cut_offsets[e + 1]
        vertex_offsets[e + 1] = vertex_offsets[e]
        if start == stop:
            continue
        a, b = edges[e, 0], edges[e, 1]
        row = max(row_scale[a], row_scale[b]) * max(1.0, beside(off[e], blur[a], blur[b]))
        c = start
        for w in range(plus.shape[1]):
            x = (plus[a, w] & minus[b, w]) | (minus[a, w] & plus[b, w])
            while x != 0:
                i = 64 * w + lowest(x)
                x &= x - ONE
                za, zb = z[a, i], z[b, i]
                size = abs(zb - za)
                limit = tolerance * (row * unit_scale[i] + unit_offset[i]) / size
                _insert(c, start, za / (za - zb), i, size, limit, cut_t, cut_unit, cut_size, spread)
                c += 1
        together = False
        for k in range(start, stop):
            cut_order[k] = k - start
            together |= k > start and cut_t[k] - cut_t[k - 1] <= max(spread[k], spread[k - 1])
        groups = stop - start
        if together:
            groups = share_vertices(start, stop, cut_t, cut_unit, cut_size, cut_order, spread)
            shared = grown(shared, shared_count + 1)
            shared[shared_count] = e
            shared_count += 1
        vertex_offsets[e + 1] += groups
    return EdgeCuts(cut_offsets, cut_unit, cut_t, cut_size, cut_order, vertex_offsets, spread), shared[:shared_count]


@step()
def _with_room(uv, blur, edges, off, tag, key, vertices, edge_count):
    """A block's vertices and edges at the front of arrays that hold so many more."""
    all_uv, all_blur = np.empty((len(uv) + vertices, 2)), np.empty(len(uv) + vertices)
    for v in range(len(uv)):
        all_uv[v, 0], all_uv[v, 1], all_blur[v] = uv[v, 0], uv[v, 1], blur[v]
    all_edges, all_tag = np.empty((len(edges) + edge_count, 2), np.int32), np.empty(len(edges) + edge_count, np.int32)
    all_key, all_off = np.zeros(len(all_edges), np.uint64), np.empty(len(all_edges))
    for e in range(len(edges)):
        all_edges[e, 0], all_edges[e, 1], all_tag[e], all_key[e] = edges[e, 0], edges[e, 1], tag[e], key[e]
        all_off[e] = off[e]
    a, b = np.empty(vertices, np.int32), np.empty(vertices, np.int32)
    parents = Parents(a, b, np.empty(vertices), np.empty(vertices, np.int32))
    return Skeleton(all_uv, all_blur, parents, all_edges, all_off, all_tag, all_key)


@step(inline="always")
def _chained(chain, c, stop, cut_order, cut_unit):
    """The word of a seam edge up to a vertex, from the word before it and the units that share the vertex."""
    # In a sum, for which of the units comes first is a matter of rounding.
    units, k = np.uint64(0), c
    while k < stop and cut_order[k] == cut_order[c]:
        units += splitmix(np.uint64(cut_unit[k] + 1))
        k += 1
    return splitmix(chain + units)


@njit(nogil=True, cache=True)
def split_edges(uv, blur, edges, off, tag, key, layer, cuts, sharpness, spare_vertices, spare_edges):
    """New vertices and sub-edges of all cut edges, as a Skeleton with room for more (the faces' own).

    A seam edge (key != 0) hands each sub-edge a key that depends on its own key, the layer, its place and the units that
    cut it alone.
    """
    cut_offsets, cut_unit, cut_t, _, cut_order, vertex_offsets, spread = cuts
    old_vertices, old_edges = len(uv), len(edges)
    fresh = vertex_offsets[-1]
    whole = _with_room(uv, blur, edges, off, tag, key, fresh + spare_vertices, fresh + spare_edges)
    all_uv, all_blur, (parent_a, parent_b, parent_t, maker), all_edges, all_off, all_tag, all_key = whole
    for e in range(old_edges):
        first = vertex_offsets[e]
        count = vertex_offsets[e + 1] - first
        if count == 0:
            continue
        a, b = edges[e, 0], edges[e, 1]
        length = np.hypot(uv[b, 0] - uv[a, 0], uv[b, 1] - uv[a, 1])
        previous, chain, across = -1, key[e], beside(off[e], blur[a], blur[b])
        for c in range(cut_offsets[e], cut_offsets[e + 1]):
            if cut_order[c] == previous:
                continue
            if chain != 0:
                chain = _chained(chain, c, cut_offsets[e + 1], cut_order, cut_unit)
            previous = cut_order[c]
            n, t = first + previous, cut_t[c]
            parent_a[n], parent_b[n], parent_t[n], maker[n] = a, b, t, cut_unit[c]
            v = old_vertices + n
            for k in range(2):
                all_uv[v, k] = uv[a, k] + t * (uv[b, k] - uv[a, k])
            all_blur[v] = max(across, spread[c] * length * sharpness)
            all_edges[old_edges + n, 0] = v
            all_edges[old_edges + n, 1] = v + 1 if previous + 1 < count else b
            all_tag[old_edges + n], all_off[old_edges + n] = tag[e], off[e]
        all_edges[e, 1] = old_vertices + first
        if key[e] != 0:
            for o in range(count + 1):
                sub = e if o == 0 else old_edges + first + o - 1
                # A sum, not an XOR of hashes: that would be symmetric in the two, and two seams could meet.
                all_key[sub] = splitmix(splitmix(chain) + np.uint64((layer << 32) + o + 1))
    return whole
