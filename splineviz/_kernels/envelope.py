r"""Where the largest of C affine functions changes, on the faces and edges of a planar complex.
Also the largest at every vertex with its lead, and within what slack a difference is 0.

        +--------+--------+      The largest of C functions that are affine on a face is their upper envelope. Its
        |   0   /|        |      cells are convex; the piece between the cells of i and j lies on the chord
        |      P |        |      {f_i = f_j} of the face, between the points where a third function overtakes both.
        |  0  /  |   0    |      A tie along a whole edge belongs to no face's inside: it is found from the edge,
        |    P1  |        |      once, and is kept when the winners on its two sides differ.
        |   /  \ +--------+
        +--P----P+   1    |      P: ends of pieces. A piece's end on an edge is computed from the edge's ends in
          1   2  +--------+      the order of their ids, so it is the same number from both sides.

A difference within slack[v] at vertex v is 0, for every face and edge round v alike. Of functions that are
equal on a whole face the first counts, as in arg-max; so a tie on a whole face makes no piece inside it.

Buffers grow by doubling; (segments, owner, classes, count) travel together.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.jit import njit


@njit(nogil=True, cache=True)
def vertex_slack(face_offsets, face_vertices, outputs, tolerance):
    """(V,) tolerance times the largest |output| on the faces round each vertex, and no less than a quarter of that of all.

    Values at a vertex come from vertices far away, whose rounding they have: where all outputs nearly vanish, as behind
    dead units, nothing round it tells how large that is.
    """
    vertices, channels = outputs.shape
    size, slack = np.zeros(vertices), np.zeros(vertices)
    for v in range(vertices):
        for k in range(channels):
            size[v] = max(size[v], abs(outputs[v, k]))
    if vertices > 0:
        slack[:] = 0.25 * tolerance * size.max()
    for f in range(len(face_offsets) - 1):
        largest = 0.0
        for i in range(face_offsets[f], face_offsets[f + 1]):
            largest = max(largest, size[face_vertices[i]])
        for i in range(face_offsets[f], face_offsets[f + 1]):
            slack[face_vertices[i]] = max(slack[face_vertices[i]], tolerance * largest)
    return slack


@njit(nogil=True, cache=True)
def winners(outputs):
    """First largest output and its lead over the second, per vertex: (V,) int32 and (V,)."""
    vertices, channels = outputs.shape
    winner, lead = np.empty(vertices, np.int32), np.empty(vertices)
    for v in range(vertices):
        best, first, second = 0, outputs[v, 0], -np.inf
        for k in range(1, channels):
            x = outputs[v, k]
            if x > first:
                best, first, second = k, x, first
            elif x > second:
                second = x
        winner[v], lead[v] = best, first - second
    return winner, lead


@njit(nogil=True, cache=True, inline="always")
def _room(segments, owner, classes, count):
    """The buffers with room for one more."""
    if count < len(owner):
        return segments, owner, classes
    more_segments = np.empty((2 * count, 2, 2))
    more_owner, more_classes = np.empty(2 * count, np.int32), np.empty((2 * count, 2), np.int32)
    more_segments[:count], more_owner[:count], more_classes[:count] = segments, owner, classes
    return more_segments, more_owner, more_classes


@njit(nogil=True, cache=True)
def _rises(ring, outputs, slack, j, i):
    """Whether f_j is larger than f_i at some corner."""
    for n in range(len(ring)):
        v = ring[n]
        if outputs[v, j] - outputs[v, i] > slack[v]:
            return True
    return False


@njit(nogil=True, cache=True)
def _contenders(ring, outputs, slack, chosen):
    """Write the classes that may win a part of the face's inside to `chosen`, ascending; returns their number.

    Each of them rises above each other one at some corner.
    """
    count = 0
    for j in range(outputs.shape[1]):
        out = False
        for c in range(count):
            if not _rises(ring, outputs, slack, j, chosen[c]):
                out = True
                break
        if out:
            continue
        kept = 0
        for c in range(count):
            if _rises(ring, outputs, slack, chosen[c], j):
                chosen[kept] = chosen[c]
                kept += 1
        chosen[kept] = j
        count = kept + 1
    return count


@njit(nogil=True, cache=True)
def _passage(ring, outputs, slack, i, j, upward):
    """Where f_i - f_j changes its sign along the ring, (corner, corner, t): up from - to +, or down; -1 if nowhere.

    Of several zero corners between two signs the one nearest to zero is taken; it is given as (corner, corner, 0).
    """
    m = len(ring)
    wanted = -1 if upward else 1
    last = 0
    for n in range(m):  # start behind a corner with the sign before the passage
        v = ring[n]
        d = outputs[v, i] - outputs[v, j]
        if d * wanted > slack[v]:
            last = n + 1
            break
    p = ring[(last - 1) % m]
    zero, nearest = -1, np.inf
    for step in range(m):
        v = ring[(last + step) % m]
        d = (outputs[v, i] - outputs[v, j]) * wanted
        if d > slack[v]:
            zero, nearest = -1, np.inf
        elif d >= -slack[v]:
            if abs(d) < nearest:
                zero, nearest = v, abs(d)
        elif zero >= 0:
            return zero, zero, 0.0
        else:
            a, b = min(p, v), max(p, v)
            da, db = outputs[a, i] - outputs[a, j], outputs[b, i] - outputs[b, j]
            return a, b, da / (da - db)
        p = v
    return -1, -1, 0.0


@njit(nogil=True, cache=True, inline="always")
def _between(x, y, t):
    return x + t * (y - x)


@njit(nogil=True, cache=True)
def _beats(ring, outputs, i, j, k, side):
    """Whether k, tied with i and j on their chord, wins over i where f_i - f_j has the sign `side`."""
    best, far = ring[0], -np.inf
    for n in range(len(ring)):
        d = side * (outputs[ring[n], i] - outputs[ring[n], j])
        if d > far:
            best, far = ring[n], d
    own = outputs[best, i] if side > 0 else outputs[best, j]
    number = i if side > 0 else j
    return outputs[best, k] > own or (outputs[best, k] == own and k < number)


@njit(nogil=True, cache=True)
def _piece(ring, outputs, slack, chosen, count, i, j, start, end):
    """The part (t0, t1) of the chord of i and j where no third contender is larger; empty if t0 >= t1."""
    a0, b0, s0 = start
    a1, b1, s1 = end
    t0, t1 = 0.0, 1.0
    f0, f1 = _between(outputs[a0, i], outputs[b0, i], s0), _between(outputs[a1, i], outputs[b1, i], s1)
    slack0, slack1 = max(slack[a0], slack[b0]), max(slack[a1], slack[b1])
    for c in range(count):
        k = chosen[c]
        if k == i or k == j:
            continue
        d0 = _between(outputs[a0, k], outputs[b0, k], s0) - f0
        d1 = _between(outputs[a1, k], outputs[b1, k], s1) - f1
        if abs(d0) <= slack0 and abs(d1) <= slack1:
            if _beats(ring, outputs, i, j, k, 1) or _beats(ring, outputs, i, j, k, -1):
                return 1.0, 0.0
        elif d0 >= -slack0 and d1 >= -slack1:
            return 1.0, 0.0
        elif d0 > slack0:
            t0 = max(t0, d0 / (d0 - d1))
        elif d1 > slack1:
            t1 = min(t1, d0 / (d0 - d1))
    return t0, t1


@njit(nogil=True, cache=True)
def face_pieces(vertices, face_offsets, face_vertices, outputs, winner, slack):
    """All pieces inside faces: segments (M, 2, 2), faces (M,), classes (M, 2) left and right of the segment."""
    segments, owner, classes = np.empty((256, 2, 2)), np.empty(256, np.int32), np.empty((256, 2), np.int32)
    count = 0
    chosen = np.empty(outputs.shape[1], np.int32)
    for f in range(len(face_offsets) - 1):
        ring = face_vertices[face_offsets[f] : face_offsets[f + 1]]
        same = True
        for n in range(1, len(ring)):
            same = same and winner[ring[n]] == winner[ring[0]]
        if same:
            continue
        contenders = _contenders(ring, outputs, slack, chosen)
        for c in range(contenders):
            for e in range(c + 1, contenders):
                i, j = chosen[c], chosen[e]
                # Counter-clockwise f_i falls below f_j at the chord's start and rises at its end: i is on its left.
                start = _passage(ring, outputs, slack, i, j, False)
                end = _passage(ring, outputs, slack, i, j, True)
                if start[0] < 0 or end[0] < 0:
                    continue
                t0, t1 = _piece(ring, outputs, slack, chosen, contenders, i, j, start, end)
                if not t0 < t1:
                    continue
                segments, owner, classes = _room(segments, owner, classes, count)
                for k in range(2):
                    p = _between(vertices[start[0], k], vertices[start[1], k], start[2])
                    q = _between(vertices[end[0], k], vertices[end[1], k], end[2])
                    segments[count, 0, k] = p if t0 == 0.0 else _between(p, q, t0)
                    segments[count, 1, k] = q if t1 == 1.0 else _between(p, q, t1)
                owner[count] = f
                classes[count, 0], classes[count, 1] = i, j
                count += 1
    return segments[:count], owner[:count], classes[:count]


@njit(nogil=True, cache=True)
def _side_winner(ring, outputs, slack, group, size):
    """The class of the group, tied along one of the face's edges, that wins just inside the face."""
    best = group[0]
    for c in range(1, size):
        k = group[c]
        above, below = 0.0, 0.0
        for n in range(len(ring)):
            v = ring[n]
            d = outputs[v, k] - outputs[v, best]
            above, below = max(above, d - slack[v]), max(below, -d - slack[v])
        if above > below:
            best = k
    return best


@njit(nogil=True, cache=True)
def _edge_part(outputs, slack, a, b, i):
    """The part (t0, t1) of the edge a -> b where class i is largest; empty if t0 >= t1."""
    t0, t1 = 0.0, 1.0
    for k in range(outputs.shape[1]):
        da, db = outputs[a, k] - outputs[a, i], outputs[b, k] - outputs[b, i]
        if abs(da) <= slack[a] and abs(db) <= slack[b]:
            continue
        if da >= -slack[a] and db >= -slack[b]:
            return 1.0, 0.0
        if da > slack[a]:
            t0 = max(t0, da / (da - db))
        elif db > slack[b]:
            t1 = min(t1, da / (da - db))
    return t0, t1


@njit(nogil=True, cache=True)
def edge_pieces(vertices, edges, edge_faces, face_offsets, face_vertices, outputs, winner, lead, slack):
    """All pieces along inner edges: segments (M, 2, 2), left faces (M,), classes (M, 2) on the left and right."""
    segments, owner, classes = np.empty((64, 2, 2)), np.empty(64, np.int32), np.empty((64, 2), np.int32)
    count = 0
    channels = outputs.shape[1]
    group = np.empty(channels, np.int32)
    for e in range(len(edges)):
        a, b = edges[e, 0], edges[e, 1]
        left, right = edge_faces[e, 0], edge_faces[e, 1]
        if left < 0 or right < 0 or (winner[a] == winner[b] and (lead[a] > slack[a] or lead[b] > slack[b])):
            continue
        left_ring = face_vertices[face_offsets[left] : face_offsets[left + 1]]
        right_ring = face_vertices[face_offsets[right] : face_offsets[right + 1]]
        for i in range(channels):
            size = 0
            for k in range(channels):
                if abs(outputs[a, k] - outputs[a, i]) <= slack[a] and abs(outputs[b, k] - outputs[b, i]) <= slack[b]:
                    group[size] = k
                    size += 1
            if size < 2 or group[0] != i:
                continue
            t0, t1 = _edge_part(outputs, slack, a, b, i)
            if not t0 < t1:
                continue
            left_class = _side_winner(left_ring, outputs, slack, group, size)
            right_class = _side_winner(right_ring, outputs, slack, group, size)
            if left_class == right_class:
                continue
            segments, owner, classes = _room(segments, owner, classes, count)
            for k in range(2):
                segments[count, 0, k] = _between(vertices[a, k], vertices[b, k], t0) if t0 > 0.0 else vertices[a, k]
                segments[count, 1, k] = _between(vertices[a, k], vertices[b, k], t1) if t1 < 1.0 else vertices[b, k]
            owner[count] = left
            classes[count, 0], classes[count, 1] = left_class, right_class
            count += 1
    return segments[:count], owner[:count], classes[:count]
