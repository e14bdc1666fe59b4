r"""The little arrangement of one face: its vertices, half-edges and sub-faces while units are inserted, and their values.
Also the room of its arrays, and the questions about it that were decided exactly.

          p            boundary vertices 0..m-1 of the face (corners and the vertices on its cut
        /   \          edges), then interior ones; half-edge h runs from origin[h] to origin[h ^ 1],
       +--j--+         counter-clockwise round its sub-face; 2i is the inner side of boundary edge i.
      /       \        A cut of unit j (`inserting`) joins two vertices where j is 0 and the face has j > 0
     +----i----+       on one side and j < 0 on the other.

Signs are read from values that are 0 by decision, not by luck: a corner's from its packed sign, a vertex
on a cut edge by its order among that edge's cuts, an interior vertex by interpolation along the cut it
lies on, where it is 0 if its place on that cut cannot be told from the unit's zero at its tolerance.
Values along an edge stay monotone, so no rounding makes a unit change sign twice on it.

Its parts are records, and not groups of arrays: handing out an array costs a count of references.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from splineviz._kernels.arrays import stretched
from splineviz._kernels.bits import ONE, splitmix
from splineviz._kernels.jit import lean, njit, step
from splineviz.errors import FloatArray, IntArray

TINY, HUGE = 1e-300, 1e200
MISPLACED = 2.0**17
"""Blur of a vertex that does not stand where the values round it say, as signs were decided otherwise: so large that it is
placed exactly.
"""

POINT = np.dtype(
    [
        ("x", np.float64), ("y", np.float64), ("blur", np.float64), ("out", np.float64), ("value", np.float64),
        ("error", np.float64), ("moved", np.float64), ("t", np.float64), ("spread", np.float64), ("chord_t", np.float64),
        ("id", np.int32), ("p", np.int32), ("q", np.int32), ("chord", np.int32), ("maker", np.int32), ("edge", np.int32),
        ("order", np.int32),
    ],
    align=True,
)  # fmt: skip
"""A vertex. id: in the block; x, y, blur: place, and how far off that may be; out: how far a corner may stand out of the
face; value, error: of the unit inserted next, and how far that may be from the unit's value at the very place x, y; moved:
how far it is, as its sign was decided otherwise.

A boundary vertex lies at t on an `edge` of the block, of which `order` there; -1: a corner. An interior one lies at t, give
or take spread, between vertices p and q; on the chord of unit `chord` (an index into the units that cross the face), where
unit `maker` is 0; at chord_t along that chord, -1 where that cannot be said.
"""
HALF = np.dtype([("origin", np.int32), ("following", np.int32), ("preceding", np.int32)])
"""A half-edge: the vertex that it leaves, and its neighbours round its sub-face."""
EDGE = np.dtype([("unit", np.int32), ("code", np.int32)])
"""An edge: the crossing unit whose knot it is, -1 on the boundary; 2 * its id in the block, + 1 if it runs backwards."""
PART = np.dtype([("hash", np.uint64), ("first", np.int32)], align=True)
"""A sub-face: the hash of its pattern, and one of its half-edges."""
CHORD = np.dtype([("slope", np.float64), ("off", np.float64), ("p", np.int32), ("q", np.int32)], align=True)
"""A crossing unit's cut. slope: of the unit in the plane, at most; off: how far a vertex on the cut may be beside it.

p, q: the ends of its chord, where the cut goes through the whole face; -1 where it does not.
"""


class Arrangement(NamedTuple):
    """The arrays of records of one face, with room for more; `chords` (units,), and `zeros`: room for half-edges."""

    points: npt.NDArray[np.void]
    halves: npt.NDArray[np.void]
    edges: npt.NDArray[np.void]
    parts: npt.NDArray[np.void]
    chords: npt.NDArray[np.void]
    zeros: IntArray


class Questions(NamedTuple):
    """known: questions that were decided exactly (see `question`), sorted; answers: values; asked: (n, 4) room for more."""

    known: npt.NDArray[np.uint64]
    answers: FloatArray
    asked: npt.NDArray[np.int64]


@step()
def new_arrangement(size, units):
    """Room for so many vertices, edges and sub-faces."""
    return Arrangement(
        np.empty(size, POINT), np.empty(2 * size, HALF), np.empty(size, EDGE), np.empty(size, PART),
        np.empty(units, CHORD), np.empty(2 * size, np.int32),
    )  # fmt: skip


@lean()
def room(whole):
    """How many vertices, edges and sub-faces there is room for."""
    return len(whole.points)


@step()
def larger(whole, need):
    """A copy with twice the room that is needed."""
    points, halves, edges, parts, chords, zeros = whole
    one, two = 2 * need, 4 * need
    return Arrangement(
        stretched(points, one), stretched(halves, two), stretched(edges, one), stretched(parts, one), chords,
        stretched(zeros, two),
    )  # fmt: skip


@step(inline="always")
def _sign(plus, minus, v, u):
    w, b = u >> 6, np.uint64(u & 63)
    return np.int64((plus[v, w] >> b) & ONE) - np.int64((minus[v, w] >> b) & ONE)


@step(inline="always")
def _between(va, vb, t):
    """Value at t between va and vb, with their common sign kept against rounding; not for opposite signs."""
    x = va + t * (vb - va)
    if va > 0.0 or vb > 0.0:
        return max(x, TINY)
    if va < 0.0 or vb < 0.0:
        return min(x, -TINY)
    return 0.0


@lean()
def boundary_value(v, e, o, t, u, edges, plus, minus, z, cut_offsets, cut_unit, cut_order):
    """Value of unit u at a boundary vertex: a corner v (e < 0), or the vertex of order o at t on edge e.

    And by how much it is not that of its place, where its sign was decided otherwise.
    """
    if e < 0:
        return (0.0 if _sign(plus, minus, v, u) == 0 else z[v, u]), 0.0
    a, b = edges[e, 0], edges[e, 1]
    sa, sb = _sign(plus, minus, a, u), _sign(plus, minus, b, u)
    if sa * sb < 0:
        for c in range(cut_offsets[e], cut_offsets[e + 1]):
            if cut_unit[c] == u:
                x = z[a, u] + t * (z[b, u] - z[a, u])
                if cut_order[c] == o:
                    return 0.0, abs(x)
                s = sa if o < cut_order[c] else sb
                y = max(x, TINY) if s > 0 else min(x, -TINY)
                return y, abs(x - y)
    va = 0.0 if sa == 0 else z[a, u]
    vb = 0.0 if sb == 0 else z[b, u]
    return _between(va, vb, t), 0.0


@njit(nogil=True, cache=True)
def question(face, unit, one, other):
    """A number for the question on which side of a unit's knot two others cross in a face."""
    low, high = min(one, other), max(one, other)
    word = splitmix(splitmix(np.uint64(face)) + np.uint64(unit))
    return splitmix(splitmix(word + np.uint64(low)) ^ np.uint64(high))


@lean()
def answered(number, known):
    """The place of a question among the sorted ones that were answered, or -1."""
    low, high = 0, len(known)
    while low < high:
        middle = (low + high) >> 1
        if known[middle] < number:
            low = middle + 1
        else:
            high = middle
    return low if low < len(known) and known[low] == number else -1


@lean()
def interior_values(points, m, vertices, slope, chords, face, unit, crossing, known, answers, room, asked):
    """Values of one unit at interior vertices m..vertices-1, each between its two parents, and their errors.

    A value is that of the place where the vertex stands, and as good as those of its parents. The sign at the crossing that
    the vertex stands for is in doubt by how far the unit changes on the way there: along the vertex's line, and across it.
    Where the doubt may hide the sign it is taken from the answers; a question not answered there is written down (as far as
    there is room), and the value is 0. Returns how many are, and how many values were made 0 that are not.
    """
    made_zero = 0
    for v in range(m, vertices):
        new = points[v]
        vp, vq = points[new.p].value, points[new.q].value
        new.error = max(points[new.p].error, points[new.q].error)
        new.moved = max(points[new.p].moved, points[new.q].moved)
        if (vp < 0.0 and vq > 0.0) or (vp > 0.0 and vq < 0.0):
            place = vp + new.t * (vq - vp)
            x, doubt = place, new.error + new.spread * abs(vq - vp)
            if new.chord >= 0:
                doubt += slope * chords[new.chord].off
            if abs(x) <= doubt:
                at = -1
                if new.chord >= 0:
                    at = answered(question(face, unit, crossing[new.chord], crossing[new.maker]), known)
                if at >= 0:
                    x = answers[at]
                    if abs(x - place) > new.error:
                        new.blur = max(new.blur, MISPLACED)
                else:
                    if new.chord >= 0 and asked < len(room):
                        room[asked, 0], room[asked, 1] = face, unit
                        room[asked, 2], room[asked, 3] = crossing[new.chord], crossing[new.maker]
                        asked += 1
                    made_zero += x != 0.0
                    x = 0.0
                new.error += abs(x - place)
                new.moved += abs(x - place)
            new.value = x
        else:
            new.value = _between(vp, vq, new.t)
    return asked, made_zero
