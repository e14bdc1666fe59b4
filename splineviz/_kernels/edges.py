r"""Cutting edges: one new vertex for each unit of strictly opposite sign at the ends.

    a ----x-----x--x------- b        t = za / (za - zb), ascending from a to b
          0     1  2                 order of the new vertices on the edge
      e    E+o   E+o+1 ...           sub-edges: the first keeps the id e, the others are appended

An edge is cut once, for both its faces. Units whose cuts cannot be told apart at their tolerance
share one vertex (three lines through a point, the same neuron twice): `cut_order` then repeats.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.bits import ONE, lowest, popcount, splitmix
from splineviz._kernels.jit import njit


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


@njit(nogil=True, cache=True)
def share_vertices(start, stop, cut_t, cut_unit, cut_size, cut_order, spread):
    """Let cuts of one edge that cannot be told apart share a vertex; returns the number of vertices.

    The sharpest cuts come first: each later one joins the nearest vertex within its own spread, or makes a new one.
    So the vertex stands where its sharpest cut does, and a broad cut never draws two sharp ones together.
    """
    count = stop - start
    owner, made, vertices = np.empty(count, np.int64), np.empty(count, np.int64), 0
    for k in np.argsort(spread[start:stop], kind="mergesort"):
        t, best, near = cut_t[start + k], -1, spread[start + k]
        for v in range(vertices):
            if abs(cut_t[start + made[v]] - t) <= near:
                best, near = v, abs(cut_t[start + made[v]] - t)
        if best < 0:
            made[vertices] = k
            best = vertices
            vertices += 1
        owner[k] = best
    rank = np.empty(vertices, np.int64)
    for place, v in enumerate(np.argsort(cut_t[start:stop][made[:vertices]], kind="mergesort")):
        rank[v] = place
    # Entries of one vertex stand together, its own cut first, all at its t.
    key = np.empty(count, np.int64)
    for k in range(count):
        key[k] = 2 * rank[owner[k]] + (made[owner[k]] != k)
    order = np.argsort(key, kind="mergesort")
    old_t, old_unit, old_size = cut_t[start:stop].copy(), cut_unit[start:stop].copy(), cut_size[start:stop].copy()
    old_spread = spread[start:stop].copy()
    for place, k in enumerate(order):
        i = start + place
        cut_t[i], cut_unit[i], cut_size[i] = old_t[made[owner[k]]], old_unit[k], old_size[k]
        cut_order[i], spread[i] = rank[owner[k]], old_spread[k]
    return vertices


@njit(nogil=True, cache=True)
def cut_edges(edges, plus, minus, z, row_scale, unit_scale, unit_offset, tolerance, cut_offsets):
    """The cuts of every edge, ascending in t: unit, t, size |zb - za| of its jump, and order of its vertex on the edge.

    Also (E + 1,) offsets of the new vertices, the spread of each cut's t, and the edges of which some cuts cannot be told
    apart, so that they share vertices.
    """
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
        row = max(row_scale[a], row_scale[b])
        c = start
        for w in range(plus.shape[1]):
            x = (plus[a, w] & minus[b, w]) | (minus[a, w] & plus[b, w])
            while x != 0:
                i = 64 * w + lowest(x)
                x &= x - ONE
                za, zb = z[a, i], z[b, i]
                t = za / (za - zb)
                size = abs(zb - za)
                limit = tolerance * (row * unit_scale[i] + unit_offset[i]) / size
                k = c
                while k > start and cut_t[k - 1] > t:
                    cut_t[k], cut_unit[k], cut_size[k], spread[k] = (
                        cut_t[k - 1],
                        cut_unit[k - 1],
                        cut_size[k - 1],
                        spread[k - 1],
                    )
                    k -= 1
                cut_t[k], cut_unit[k], cut_size[k], spread[k] = t, i, size, limit
                c += 1
        together = False
        for k in range(start, stop):
            cut_order[k] = k - start
            together |= k > start and cut_t[k] - cut_t[k - 1] <= max(spread[k], spread[k - 1])
        groups = stop - start
        if together:
            groups = share_vertices(start, stop, cut_t, cut_unit, cut_size, cut_order, spread)
            if shared_count == len(shared):
                shared = np.concatenate((shared, np.empty(len(shared), np.int64)))
            shared[shared_count] = e
            shared_count += 1
        vertex_offsets[e + 1] += groups
    return cut_unit, cut_t, cut_size, cut_order, vertex_offsets, spread, shared[:shared_count]


@njit(nogil=True, cache=True)
def split_edges(
    uv, blur, edges, tag, key, layer, cut_offsets, cut_unit, cut_t, cut_order, vertex_offsets, spread, sharpness,
    spare_vertices, spare_edges,
):  # fmt: skip
    """New vertices and sub-edges of all cut edges, in arrays with room for more (the faces' own).

    Returns uv and blur of all vertices, parents (a, b), t and unit of the new ones, and edges, tag, key of all edges. blur:
    how far off a vertex may be, times sharpness. A seam edge (key != 0) hands each sub-edge a key that depends on its own
    key, the layer, its place and the units that cut it alone.
    """
    old_vertices, old_edges = len(uv), len(edges)
    fresh = vertex_offsets[-1]
    all_uv = np.empty((old_vertices + fresh + spare_vertices, 2))
    all_uv[:old_vertices] = uv
    all_blur = np.empty(len(all_uv))
    all_blur[:old_vertices] = blur
    all_edges = np.empty((old_edges + fresh + spare_edges, 2), np.int32)
    all_edges[:old_edges] = edges
    all_tag = np.empty(len(all_edges), np.int32)
    all_tag[:old_edges] = tag
    all_key = np.zeros(len(all_edges), np.uint64)
    all_key[:old_edges] = key
    parent_a, parent_b = np.empty(fresh + spare_vertices, np.int32), np.empty(fresh + spare_vertices, np.int32)
    parent_t, maker = np.empty(fresh + spare_vertices), np.empty(fresh + spare_vertices, np.int32)
    for e in range(old_edges):
        first = vertex_offsets[e]
        count = vertex_offsets[e + 1] - first
        if count == 0:
            continue
        a, b = edges[e, 0], edges[e, 1]
        previous, chain = -1, key[e]
        for c in range(cut_offsets[e], cut_offsets[e + 1]):
            if cut_order[c] == previous:
                continue
            if chain != 0:
                # In a sum, for which of the units that share a vertex comes first is a matter of rounding.
                units, k = np.uint64(0), c
                while k < cut_offsets[e + 1] and cut_order[k] == cut_order[c]:
                    units += splitmix(np.uint64(cut_unit[k] + 1))
                    k += 1
                chain = splitmix(chain + units)
            previous = cut_order[c]
            n, t = first + previous, cut_t[c]
            parent_a[n], parent_b[n], parent_t[n], maker[n] = a, b, t, cut_unit[c]
            v = old_vertices + n
            for k in range(2):
                all_uv[v, k] = uv[a, k] + t * (uv[b, k] - uv[a, k])
            length = np.hypot(uv[b, 0] - uv[a, 0], uv[b, 1] - uv[a, 1])
            all_blur[v] = max(blur[a], blur[b], spread[c] * length * sharpness)
            all_edges[old_edges + n, 0] = v
            all_edges[old_edges + n, 1] = v + 1 if previous + 1 < count else b
            all_tag[old_edges + n] = tag[e]
        all_edges[e, 1] = old_vertices + first
        if key[e] != 0:
            for o in range(count + 1):
                sub = e if o == 0 else old_edges + first + o - 1
                # A sum, not an XOR of hashes: that would be symmetric in the two, and two seams could meet.
                all_key[sub] = splitmix(splitmix(chain) + np.uint64((layer << 32) + o + 1))
    return all_uv, all_blur, parent_a, parent_b, parent_t, maker, all_edges, all_tag, all_key
