r"""One unit inserted into the arrangement of a face: every sub-face that it crosses is cut in two.

       +-------------+         +-------------+       sides where the unit changes its sign get a vertex (*): half-edge h
       |   j > 0     |         |      c      |       becomes h and k; then the edge c joins the two zeros, and the
       h             |   ->    *-------------*       sub-face becomes the one left of c and the one left of c ^ 1.
       |   j < 0     |         |    c ^ 1    |
       +-------------+         +-------------+

Irregular: a face too thin for double precision may show more than two zeros; it is cut along the pair
that contradicts the values least, and counted. No split is dropped: its edges' vertices stay in place.
Vertices, half-edges, edges and sub-faces are `arrangement`'s; the caller makes room.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.arrangement import HUGE, MISPLACED, TINY, interior_values, larger
from splineviz._kernels.jit import lean, step

UNKNOWN = 0.25
"""Spread above which it is not known where between its ends a vertex lies, as it is unknown how steep the unit is there."""


@lean()
def choose_cut(first, halves, points, zeros, count):
    """The two of the zero half-edges whose chord contradicts the values least: (i, j, contradiction)."""
    positive, negative = 0.0, 0.0
    h = first
    while True:
        x = points[halves[h].origin].value
        positive += max(x, 0.0)
        negative += max(-x, 0.0)
        h = halves[h].following
        if h == first:
            break
    best, best_i, best_j = np.inf, 0, 1
    for i in range(count):
        p, n, j = 0.0, 0.0, i + 1
        h = halves[zeros[i]].following
        empty = True
        while j < count:
            if h == zeros[j]:
                if not empty and halves[h].following != zeros[i]:
                    cost = min(p + negative - n, n + positive - p)
                    if cost < best:
                        best, best_i, best_j = cost, i, j
                j += 1
            x = points[halves[h].origin].value
            p += max(x, 0.0)
            n += max(-x, 0.0)
            empty = False
            h = halves[h].following
    return best_i, best_j, best


@lean()
def _signs_round(first, halves, points):
    """Whether a sub-face has corners where the unit is positive, and where it is negative."""
    positive = negative = False
    h = first
    while True:
        s = points[halves[h].origin].value
        positive |= s > 0.0
        negative |= s < 0.0
        h = halves[h].following
        if h == first:
            break
    return positive, negative


@lean()
def _sum_round(first, halves, points):
    """Sum of the unit's values at the corners of a sub-face."""
    total, h = 0.0, first
    while True:
        total += points[halves[h].origin].value
        h = halves[h].following
        if h == first:
            break
    return total


@lean()
def _place_vertex(v, p, q, chord, maker, points, chords, sharpness):
    """Vertex v, where unit `maker` is 0 between vertices p and q, on an edge on the chord of another unit."""
    a, b, new = points[p], points[q], points[v]
    t = a.value / (a.value - b.value)
    new.x, new.y = a.x + t * (b.x - a.x), a.y + t * (b.y - a.y)
    new.p, new.q, new.t, new.maker, new.value = p, q, t, maker, 0.0
    new.error = max(a.error, b.error)
    # Along the edge the place is off by the maker's error there, and by what it changes across a line that is off.
    off = chords[chord].off if chord >= 0 else 0.0
    new.spread = (new.error + chords[maker].slope * off) / abs(b.value - a.value)
    length = np.hypot(b.x - a.x, b.y - a.y) * sharpness
    new.blur = min(new.spread, 1.0) * length + off * sharpness
    if max(a.moved, b.moved) * length > abs(b.value - a.value):
        new.blur = max(new.blur, MISPLACED)
    if new.spread > UNKNOWN:  # it may be anywhere between the crossings that the ends stand for
        new.spread = 1.0
        new.blur += max(a.blur, b.blur)
    new.chord, new.chord_t = chord, -1.0
    if chord >= 0 and chords[chord].p >= 0:
        # From the place in the plane, not from values again: nearly parallel knots cross at an
        # ill-conditioned t, and the vertex must carry the values of the very place where it is drawn.
        start, end = points[chords[chord].p], points[chords[chord].q]
        dx, dy = end.x - start.x, end.y - start.y
        length2 = dx * dx + dy * dy
        if length2 > 0.0:
            new.chord_t = min(max((dx * (new.x - start.x) + dy * (new.y - start.y)) / length2, 0.0), 1.0)


@lean()
def _split_side(h, k, v, halves):
    """Half-edge h from a to b becomes a -h-> v -k-> b, and on the other side b -(k^1)-> v -(h^1)-> a."""
    after = halves[h].following
    halves[k].origin, halves[k ^ 1].origin, halves[h ^ 1].origin = v, halves[after].origin, v
    halves[k].following, halves[after].preceding = after, k
    halves[h].following, halves[k].preceding = k, h
    outer, twin = h ^ 1, k ^ 1
    back = halves[outer].preceding
    halves[back].following, halves[twin].preceding = twin, back
    halves[twin].following, halves[outer].preceding = outer, twin


@lean()
def _join(h1, h2, c, halves):
    """The edge c from the origin of half-edge h1 to that of h2, both of one sub-face, which becomes two."""
    p1, p2 = halves[h1].preceding, halves[h2].preceding
    halves[c].origin, halves[c + 1].origin = halves[h1].origin, halves[h2].origin
    halves[c].following, halves[h2].preceding, halves[p1].following, halves[c].preceding = h2, c, c, p1
    halves[c + 1].following, halves[h1].preceding, halves[p2].following, halves[c + 1].preceding = h1, c + 1, c + 1, p2


@lean()
def _cut_sides(j, first, vertices, edge_count, points, halves, edges, chords, zeros, sharpness):
    """A vertex on every side of a sub-face where unit j changes its sign; the half-edges that start at a zero, in `zeros`.

    Returns the new numbers of vertices and edges, and the number of zeros.
    """
    h, count = first, 0
    while True:
        a, after = halves[h].origin, halves[h].following
        b = halves[after].origin
        va, vb = points[a].value, points[b].value
        if va == 0.0:
            chords[j].off = max(chords[j].off, points[a].error)
            zeros[count] = h
            count += 1
        elif (va < 0.0 and vb > 0.0) or (va > 0.0 and vb < 0.0):
            k, unit = 2 * edge_count + (h & 1), edges[h >> 1].unit
            edges[k >> 1].unit = unit
            _place_vertex(vertices, a, b, unit, j, points, chords, sharpness)
            chords[j].off = max(chords[j].off, points[vertices].error)
            _split_side(h, k, vertices, halves)
            zeros[count] = k
            vertices += 1
            edge_count += 1
            count += 1
        h = after
        if h == first:
            break
    return vertices, edge_count, count


@lean()
def _begin_unit(j, m, limit, dull, values, moved, points, chords):
    """The values of unit j at the boundary and their errors; how steep it is in the plane, and the way over which it changes
    by 1, both at most.

    The values of a corner that stands out of the face, and what was computed from them, are another face's: as far off as
    the unit changes on the way back. dull: how far out a corner may stand, at most.
    """
    chord, w, p, q, error = chords[j], 0, -1, -1, limit
    chord.p, chord.q = -1, -1
    for i in range(m):
        x, point = values[i], points[i]
        point.value, point.error, point.moved = x, limit + moved[i], moved[i]
        if x == 0.0:
            p, q = (i, -1) if p < 0 else (p, i)
            error = max(error, point.error)
        elif abs(x) > abs(values[w]):
            w = i
    if dull > 1.0:
        error = max(error, _dulled(m, limit, moved, points))
    far, one = points[w], points[max(p, 0)]
    x, y = far.x - one.x, far.y - one.y
    length = max(np.hypot(x, y), TINY)  # from the cut to the farthest vertex, at most
    beside = length
    if q >= 0:
        dx, dy = points[q].x - one.x, points[q].y - one.y
        chord_length = np.hypot(dx, dy)
        off = error * length / abs(far.value)
        if chord_length > off:  # else the cut's direction is not known
            beside = abs(dx * y - dy * x) / chord_length
            doubt = length * off / chord_length
            beside, length = max(beside - doubt, TINY), min(beside + doubt, length)
    chord.slope, chord.off = min(abs(far.value) / beside, HUGE), error
    return length / abs(far.value)


@lean()
def _dulled(m, limit, moved, points):
    """Larger errors at corners that may stand out of the face, and at the vertices on their two edges; the largest of those
    of values that are 0.
    """
    largest = 0.0
    for i in range(m):
        if points[i].edge >= 0 or points[i].out <= 1.0:
            continue
        error = limit * points[i].out
        for way in (1, m - 1):
            k = i
            while k == i or points[k].edge >= 0:
                points[k].error = max(points[k].error, error + moved[k])
                if points[k].value == 0.0:
                    largest = max(largest, points[k].error)
                k = (k + way) % m
    return largest


@lean()
def insert_unit(
    j, hash_j, m, vertices, edge_count, part_count, points, halves, edges, parts, chords, zeros, sharpness
):
    """Cut every sub-face that unit j crosses. Returns the new numbers of vertices, edges and sub-faces, and irregular cuts.

    Values of unit j are those of the points; m: vertices of the boundary. The caller made room for the new entries.
    """
    irregular, ends, before = 0, 0, part_count
    for f in range(before):
        first = parts[f].first
        positive, negative = _signs_round(first, halves, points)
        if positive and not negative:
            parts[f].hash ^= hash_j
        if not (positive and negative):
            continue
        vertices, edge_count, count = _cut_sides(
            j, first, vertices, edge_count, points, halves, edges, chords, zeros, sharpness
        )
        p, q = 0, 1
        if count > 2:
            p, q, contradiction = choose_cut(first, halves, points, zeros, count)
            irregular += contradiction > 0.0
        c = 2 * edge_count
        _join(zeros[p], zeros[q], c, halves)
        edges[edge_count].unit = j
        edge_count += 1
        parts[f].first, parts[part_count].first, parts[part_count].hash = c, c + 1, parts[f].hash
        if _sum_round(c, halves, points) > _sum_round(c + 1, halves, points):
            parts[f].hash ^= hash_j
        else:
            parts[part_count].hash ^= hash_j
        part_count += 1
        for end in (halves[c].origin, halves[c + 1].origin):
            if end < m:
                if ends == 0:
                    chords[j].p = end
                elif ends == 1:
                    chords[j].q = end
                ends += 1
    if ends != 2:
        chords[j].p, chords[j].q = -1, -1
    return vertices, edge_count, part_count, irregular


@step()
def insert_units(
    face, units, values, row, dull, tolerance, unit_scale, unit_offset, unit_hash, whole, sharpness, questions, asked
):
    """Insert the units that cross a face; values (2, k, m): at its m boundary vertices, and how far off those of the places.

    Returns the arrangement, which may have grown; numbers of vertices, edges and sub-faces; of irregular cuts, of questions
    asked so far, and of values made 0 that are not.
    """
    _, k, m = values.shape
    points, halves, edges, parts, chords, zeros = whole
    known, answers, spare = questions
    vertices, edge_count, part_count, irregular, made_zero = m, m, np.int64(1), 0, 0  # 1 would be a type of its own
    for j in range(k):
        u = units[j]
        # A unit cuts each sub-face once, and each edge between two sub-faces once.
        need = 2 * edge_count - m + part_count
        if need > len(points):
            whole = larger(whole, need)
            points, halves, edges, parts, chords, zeros = whole
        limit = tolerance * (row * unit_scale[u] + unit_offset[u])
        way = _begin_unit(j, m, limit, dull, values[0, j], values[1, j], points, chords)
        asked, zeroed = interior_values(
            points, m, vertices, chords[j].slope, chords, face, u, units, known, answers, spare, asked
        )
        vertices, edge_count, part_count, bad = insert_unit(
            j, unit_hash[u], m, vertices, edge_count, part_count, points, halves, edges, parts, chords, zeros, sharpness
        )
        chords[j].off *= way  # from the largest error of a value that is 0
        irregular, made_zero = irregular + bad, made_zero + zeroed
    return whole, vertices, edge_count, part_count, irregular, asked, made_zero
