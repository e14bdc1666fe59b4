"""One value for every seam vertex and unit that a seam's cuts depend on: the first block's to ask, which the others take.
Also which values those are, the words that vertices are known by, and how the table grows and is written back.

A table of open addressing: keys (S,), 0 where free, and values (S,); S is a power of two and at most half is in use. A key
is made of a vertex's coordinates, which are the same to the bit on both sides of a seam, of the layer and of the unit.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.bits import splitmix
from splineviz._kernels.jit import njit

ROW = -1
"""In the place of a unit: the scale of the vertex's row."""


@njit(nogil=True, cache=True)
def vertex_words(uv):
    """(n,) a word for each vertex, of its coordinates' bits (n, 2)."""
    words = np.empty(len(uv), np.uint64)
    for i in range(len(uv)):
        words[i] = splitmix(splitmix(uv[i, 0]) ^ uv[i, 1])
    return words


@njit(nogil=True, cache=True)
def decisive(seams, edges, vertices, z, row_scale, unit_scale, unit_offset, band):
    """The entries (vertex, unit) that decide how seams are cut: of opposite signs at the ends of a seam edge, or so near 0
    that rounding could tell their signs. An exact 0 is none of these.
    """
    # Counted first, without branches so that the compiler can use vector instructions: most entries decide nothing.
    units, total = z.shape[1], 0
    changes, doubts = np.zeros(len(seams), np.int32), np.zeros(len(vertices), np.int32)
    for i in range(len(seams)):
        a, b = edges[seams[i], 0], edges[seams[i], 1]
        count = 0
        for u in range(units):
            x, y = z[a, u], z[b, u]
            count += int((np.int64(x < 0.0) & np.int64(y > 0.0)) | (np.int64(x > 0.0) & np.int64(y < 0.0)))
        changes[i] = count
        total += 2 * count
    for i in range(len(vertices)):
        v = vertices[i]
        row, count = band * row_scale[v], 0
        for u in range(units):
            limit = row * unit_scale[u] + band * unit_offset[u]
            count += int(np.int64(z[v, u] != 0.0) & np.int64(abs(z[v, u]) <= limit))
        doubts[i] = count
        total += count
    at_vertex, at_unit, k = np.empty(total, np.int32), np.empty(total, np.int32), 0
    for i in range(len(seams)):
        if changes[i] == 0:
            continue
        a, b = edges[seams[i], 0], edges[seams[i], 1]
        for u in range(units):
            if (z[a, u] < 0.0 and z[b, u] > 0.0) or (z[a, u] > 0.0 and z[b, u] < 0.0):
                at_vertex[k], at_unit[k], at_vertex[k + 1], at_unit[k + 1] = a, u, b, u
                k += 2
    for i in range(len(vertices)):
        if doubts[i] == 0:
            continue
        v = vertices[i]
        row = band * row_scale[v]
        for u in range(units):
            if z[v, u] != 0.0 and abs(z[v, u]) <= row * unit_scale[u] + band * unit_offset[u]:
                at_vertex[k], at_unit[k] = v, u
                k += 1
    return at_vertex, at_unit


@njit(nogil=True, cache=True, inline="always")
def _slot(keys, key):
    """Where a key stands, or the free place where it belongs."""
    mask = np.uint64(len(keys) - 1)
    at = key & mask
    while keys[at] != 0 and keys[at] != key:
        at = (at + np.uint64(1)) & mask
    return at


@njit(nogil=True, cache=True)
def agreed(keys, table, words, layer, vertices, units, values):
    """Replace values (n,) by those that the table holds already, and enter the others; returns how many were entered."""
    entered = 0
    for i in range(len(vertices)):
        key = splitmix(words[vertices[i]] + (np.uint64(layer) << np.uint64(32)) + np.uint64(units[i] + 2))
        key = max(key, np.uint64(1))
        at = _slot(keys, key)
        if keys[at] == 0:
            keys[at], table[at] = key, values[i]
            entered += 1
        else:
            values[i] = table[at]
    return entered


@njit(nogil=True, cache=True)
def rehashed(keys, table, new_keys, new_table):
    """Move all entries of a table to a larger one."""
    for i in range(len(keys)):
        if keys[i] != 0:
            at = _slot(new_keys, keys[i])
            new_keys[at], new_table[at] = keys[i], table[i]


@njit(nogil=True, cache=True)
def take_over(z, row_scale, unit_scale, unit_offset, tolerance, vertices, units, values):
    """Write values over the entries of z; returns how many are read with another sign than what they replace."""
    other = 0
    for i in range(len(vertices)):
        v, u = vertices[i], units[i]
        limit = tolerance * (row_scale[v] * unit_scale[u] + unit_offset[u])
        old, new = z[v, u], values[i]
        if old != new:
            other += (old > limit) != (new > limit) or (old < -limit) != (new < -limit)
            z[v, u] = new
    return other
