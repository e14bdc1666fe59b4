r"""Patterns: which units are on in every face, from those of one face.

    seed --+--u--+            Crossing an edge flips its unit u. A walk over the faces flips it when it goes on and
           |     |            flips it back when it returns, so one pattern is held at a time, and each layer's number
           +--v--+            of units that are on beside it.

Two units can have their knot on one line, and only one of them names the edge: the hash of the pattern, an XOR over the
units that are on, tells the other. An edge across which it changes in any other way is not crossed.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.jit import njit


@njit(nogil=True, cache=True)
def _toggle(unit, state, layer, counts):
    if unit >= 0:
        counts[layer[unit]] += 1 - 2 * np.int64(state[unit])
        state[unit] = 1 - state[unit]


@njit(nogil=True, cache=True)
def _flipped(tag, change, word, ordered, order):
    """The two units (or -1) that the step across an edge flips, and whether they explain the change of the hash."""
    rest = change ^ word[tag]
    if rest == 0:
        return tag, -1, True
    at = np.searchsorted(ordered, rest)
    if at < len(ordered) and ordered[at] == rest and order[at] != tag:
        return tag, order[at], True
    return -1, -1, False


@njit(nogil=True, cache=True)
def walk(edge_faces, edge_tag, hashes, seed, state, layer, word, ordered, order, active):
    """Units that are on in every face, into active (F, layers), which comes filled with -1: faces that are not reached.

    state (n,) uint8: the units of face `seed`, 0 or 1; it is as it was when the walk is done. layer (n,): of each unit;
    word (n,): its hash; ordered: the hashes, sorted, of the units `order`.
    """
    faces = len(hashes)
    first = np.zeros(faces + 1, np.int64)
    for e in range(len(edge_faces)):
        if edge_faces[e, 0] >= 0 and edge_faces[e, 1] >= 0:
            first[edge_faces[e, 0] + 1] += 1
            first[edge_faces[e, 1] + 1] += 1
    for f in range(faces):
        first[f + 1] += first[f]
    cursor, around = first[:-1].copy(), np.empty(first[-1], np.int32)
    for e in range(len(edge_faces)):
        if edge_faces[e, 0] >= 0 and edge_faces[e, 1] >= 0:
            for side in range(2):
                f = edge_faces[e, side]
                around[cursor[f]] = e
                cursor[f] += 1
    cursor[:] = first[:-1]
    counts = np.zeros(active.shape[1], np.int64)
    for unit in range(len(state)):
        if state[unit] == 1:
            counts[layer[unit]] += 1
    parent, via, also = np.full(faces, -1, np.int32), np.full(faces, -1, np.int32), np.full(faces, -1, np.int32)
    reached = np.zeros(faces, np.bool_)
    face = seed
    reached[seed] = True
    active[seed] = counts
    while True:
        if cursor[face] == first[face + 1]:
            if face == seed:
                return
            _toggle(via[face], state, layer, counts)
            _toggle(also[face], state, layer, counts)
            face = parent[face]
            continue
        e = around[cursor[face]]
        cursor[face] += 1
        beyond = edge_faces[e, 0] + edge_faces[e, 1] - face
        if reached[beyond]:
            continue
        one, other, known = _flipped(edge_tag[e], hashes[face] ^ hashes[beyond], word, ordered, order)
        if not known:
            continue
        _toggle(one, state, layer, counts)
        _toggle(other, state, layer, counts)
        reached[beyond], parent[beyond], via[beyond], also[beyond] = True, face, one, other
        active[beyond] = counts
        face = beyond
