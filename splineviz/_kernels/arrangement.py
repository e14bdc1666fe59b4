r"""Cutting faces: the units that cross a face are inserted one after the other into its little arrangement.

          p            boundary vertices 0..m-1 of the face (corners and the vertices on its cut
        /   \          edges), then interior ones; half-edge h runs from origin[h] to origin[h ^ 1],
       +--j--+         counter-clockwise round its sub-face; 2i is the inner side of boundary edge i.
      /       \        A cut of unit j joins two vertices where j is 0 and the face has j > 0 on one
     +----i----+       side and j < 0 on the other.

Signs are read from values that are 0 by decision, not by luck: a corner's from its packed sign, a vertex
on a cut edge by its order among that edge's cuts, an interior vertex by interpolation along the cut it
lies on, where it is 0 if its place on that cut cannot be told from the unit's zero at its tolerance.
Values along an edge stay monotone, so no rounding makes a unit change sign twice on it.

Irregular: a face too thin for double precision may show more than two zeros; it is cut along the pair
that contradicts the values least, and counted. No split is dropped: its edges' vertices stay in place.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.bits import ONE, splitmix
from splineviz._kernels.jit import njit

TINY = 1e-300


@njit(nogil=True, cache=True)
def grown(array, need):
    """The array itself if it holds `need` entries, else a copy with room for twice as many."""
    if len(array) >= need:
        return array
    larger = np.empty(2 * need, array.dtype)
    larger[: len(array)] = array
    return larger


@njit(nogil=True, cache=True)
def grown_rows(array, need):
    """`grown` for an array of pairs."""
    if len(array) >= need:
        return array
    larger = np.empty((2 * need, array.shape[1]), array.dtype)
    larger[: len(array)] = array
    return larger


@njit(nogil=True, cache=True, inline="always")
def _sign(plus, minus, v, u):
    w, b = u >> 6, np.uint64(u & 63)
    return np.int64((plus[v, w] >> b) & ONE) - np.int64((minus[v, w] >> b) & ONE)


@njit(nogil=True, cache=True, inline="always")
def _between(va, vb, t):
    """Value at t between va and vb, with their common sign kept against rounding; not for opposite signs."""
    x = va + t * (vb - va)
    if va > 0.0 or vb > 0.0:
        return max(x, TINY)
    if va < 0.0 or vb < 0.0:
        return min(x, -TINY)
    return 0.0


@njit(nogil=True, cache=True)
def boundary_value(v, e, o, t, u, edges, plus, minus, z, cut_offsets, cut_unit, cut_order):
    """Value of unit u at a boundary vertex: a corner v (e < 0), or the vertex of order o at t on edge e."""
    if e < 0:
        return 0.0 if _sign(plus, minus, v, u) == 0 else z[v, u]
    a, b = edges[e, 0], edges[e, 1]
    sa, sb = _sign(plus, minus, a, u), _sign(plus, minus, b, u)
    if sa * sb < 0:
        for c in range(cut_offsets[e], cut_offsets[e + 1]):
            if cut_unit[c] == u:
                if cut_order[c] == o:
                    return 0.0
                x = z[a, u] + t * (z[b, u] - z[a, u])
                s = sa if o < cut_order[c] else sb
                return max(x, TINY) if s > 0 else min(x, -TINY)
    va = 0.0 if sa == 0 else z[a, u]
    vb = 0.0 if sb == 0 else z[b, u]
    return _between(va, vb, t)


@njit(nogil=True, cache=True)
def question(face, unit, one, other):
    """A number for the question on which side of a unit's knot two others cross in a face."""
    low, high = min(one, other), max(one, other)
    word = splitmix(splitmix(np.uint64(face)) + np.uint64(unit))
    return splitmix(splitmix(word + np.uint64(low)) ^ np.uint64(high))


@njit(nogil=True, cache=True)
def answered(number, known, answers):
    """The place of a question among the sorted ones that were answered, or -1."""
    at = np.searchsorted(known, number)
    return at if at < len(known) and known[at] == number else -1


@njit(nogil=True, cache=True)
def interior_values(
    value, error, m, count, parent_p, parent_q, place, spread, limit, face, unit, crossing, chord, maker, known, answers,
    questions, asked,
):  # fmt: skip
    """Values of one unit at interior vertices m..count-1, each between its two parents, and their errors.

    Where the error may hide the sign it is taken from the answers; a question not answered there is written down (up to
    the room in `questions`), and the value is 0. Returns how many are, and how many values were made 0 that are not.
    """
    made_zero = 0
    for v in range(m, count):
        vp, vq = value[parent_p[v]], value[parent_q[v]]
        error[v] = limit
        if (vp < 0.0 and vq > 0.0) or (vp > 0.0 and vq < 0.0):
            x = vp + place[v] * (vq - vp)
            error[v] = max(limit, spread[v] * abs(vq - vp))
            if abs(x) <= error[v]:
                at = -1
                if chord[v] >= 0:
                    at = answered(question(face, unit, crossing[chord[v]], crossing[maker[v]]), known, answers)
                if at >= 0:
                    x = answers[at]
                else:
                    if chord[v] >= 0 and asked < len(questions):
                        questions[asked, 0], questions[asked, 1] = face, unit
                        questions[asked, 2], questions[asked, 3] = crossing[chord[v]], crossing[maker[v]]
                        asked += 1
                    made_zero += x != 0.0
                    x = 0.0
            value[v] = x
        else:
            value[v] = _between(vp, vq, place[v])
    return asked, made_zero


@njit(nogil=True, cache=True)
def choose_cut(first, following, origin, value, zeros, count):
    """The two of the zero half-edges whose chord contradicts the values least: (i, j, contradiction)."""
    positive, negative = 0.0, 0.0
    h = first
    while True:
        x = value[origin[h]]
        positive += max(x, 0.0)
        negative += max(-x, 0.0)
        h = following[h]
        if h == first:
            break
    best, best_i, best_j = np.inf, 0, 1
    for i in range(count):
        p, n, j = 0.0, 0.0, i + 1
        h = following[zeros[i]]
        empty = True
        while j < count:
            if h == zeros[j]:
                if not empty and following[h] != zeros[i]:
                    cost = min(p + negative - n, n + positive - p)
                    if cost < best:
                        best, best_i, best_j = cost, i, j
                j += 1
            x = value[origin[h]]
            p += max(x, 0.0)
            n += max(-x, 0.0)
            empty = False
            h = following[h]
    return best_i, best_j, best


@njit(nogil=True, cache=True)
def insert_unit(
    j, m, vertices, edges, faces, limit, hash_j, value, error, x, y, blur, sharpness, parent_p, parent_q, place, spread,
    chord, maker, chord_t,
    chord_p, chord_q, origin, following, preceding, edge_unit, face_first, face_hash, zeros,
):  # fmt: skip
    """Cut every sub-face that unit j crosses. Returns the new numbers of vertices, edges and faces, and of irregular cuts.

    Values of unit j at all vertices are in `value`; the caller made room for the new entries.
    """
    irregular, ends, before = 0, 0, faces
    chord_p[j], chord_q[j] = -1, -1
    for f in range(before):
        first = face_first[f]
        positive = negative = False
        h = first
        while True:
            s = value[origin[h]]
            positive |= s > 0.0
            negative |= s < 0.0
            h = following[h]
            if h == first:
                break
        if not negative:
            if positive:
                face_hash[f] ^= hash_j
            continue
        if not positive:
            continue
        h, count = first, 0
        while True:
            a, after = origin[h], following[h]
            b = origin[after]
            va, vb = value[a], value[b]
            if va == 0.0:
                zeros[count] = h
                count += 1
            elif (va < 0.0 and vb > 0.0) or (va > 0.0 and vb < 0.0):
                # a -h-> new -k-> b, and on the other side b -(k^1)-> new -(h^1)-> a
                t = va / (va - vb)
                v, k = vertices, 2 * edges + (h & 1)
                vertices += 1
                edges += 1
                x[v], y[v] = x[a] + t * (x[b] - x[a]), y[a] + t * (y[b] - y[a])
                parent_p[v], parent_q[v], place[v], maker[v], value[v], error[v] = a, b, t, j, 0.0, limit
                spread[v] = max(error[a], error[b]) / abs(vb - va)
                length = np.hypot(x[b] - x[a], y[b] - y[a])
                blur[v] = max(blur[a], blur[b], spread[v] * length * sharpness)
                i = edge_unit[h >> 1]
                chord[v], edge_unit[k >> 1] = i, i
                chord_t[v] = -1.0
                if chord_p[i] >= 0:
                    # From the place in the plane, not from values again: nearly parallel knots cross at an
                    # ill-conditioned t, and the vertex must carry the values of the very place where it is drawn.
                    p, q = chord_p[i], chord_q[i]
                    dx, dy = x[q] - x[p], y[q] - y[p]
                    length2 = dx * dx + dy * dy
                    if length2 > 0.0:
                        chord_t[v] = min(max((dx * (x[v] - x[p]) + dy * (y[v] - y[p])) / length2, 0.0), 1.0)
                origin[k] = v
                origin[k ^ 1] = b
                origin[h ^ 1] = v
                following[k], preceding[after] = after, k
                following[h], preceding[k] = k, h
                outer, twin = h ^ 1, k ^ 1
                back = preceding[outer]
                following[back], preceding[twin] = twin, back
                following[twin], preceding[outer] = outer, twin
                zeros[count] = k
                count += 1
            h = after
            if h == first:
                break
        p, q = 0, 1
        if count > 2:
            p, q, contradiction = choose_cut(first, following, origin, value, zeros, count)
            irregular += contradiction > 0.0
        h1, h2 = zeros[p], zeros[q]
        c = 2 * edges
        edges += 1
        a, b, p1, p2 = origin[h1], origin[h2], preceding[h1], preceding[h2]
        origin[c], origin[c + 1] = a, b
        following[c], preceding[h2], following[p1], preceding[c] = h2, c, c, p1
        following[c + 1], preceding[h1], following[p2], preceding[c + 1] = h1, c + 1, c + 1, p2
        edge_unit[c >> 1] = j
        face_first[f], face_first[faces], face_hash[faces] = c, c + 1, face_hash[f]
        left, right = 0.0, 0.0
        h = c
        while True:
            left += value[origin[h]]
            h = following[h]
            if h == c:
                break
        h = c + 1
        while True:
            right += value[origin[h]]
            h = following[h]
            if h == c + 1:
                break
        if left > right:
            face_hash[f] ^= hash_j
        else:
            face_hash[faces] ^= hash_j
        faces += 1
        for end in (a, b):
            if end < m:
                if ends == 0:
                    chord_p[j] = end
                elif ends == 1:
                    chord_q[j] = end
                ends += 1
    if ends != 2:
        chord_p[j], chord_q[j] = -1, -1
    return vertices, edges, faces, irregular
