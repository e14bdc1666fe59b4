r"""Faces cut among the classes: the upper envelope of C affine functions on every convex face.

        d-------*---c      Cell of class i: the face's polygon, cut by the half-planes {f_i >= f_j} of all other
        |   0   |   |      contenders j. It is convex. A corner of it is a corner of the face, a point on a side (*), or
        |      / \ 1|      where three classes meet (o). It is kept as weights over the face's corners, never as the
        |-----o   | |      meeting of two lines, so a thin face costs no digits.
        |  2   \  | |
        a-------*---b

Lines of a polygon: 0 .. m-1 are the sides of the face, m + j is the chord with class j; the line after corner n leads
from n to n + 1. A point on a side is computed from the side's ends in the order of their ids, from the difference of the
smaller class to the larger, as `envelope` does: boundary and cells agree to the bit, and so do the two faces of a side.

Differences within slack[v] at a corner v are 0, as in `envelope`. Where two contenders are equal all over what is left of
a polygon the smaller one takes it.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from splineviz._kernels.envelope import _between, _contenders


@njit(nogil=True, cache=True)
def _clip(ring, outputs, slack, loose, i, j, weights, lines, corners, count, to_weights, to_lines, to_corners):
    """Cut a polygon of class i by {f_i >= f_j}; returns the number of corners left, 0 for none.

    weights (., m), lines (.,), corners (.,): of the polygon; corners is the face's corner, -1 for none.
    """
    m = len(ring)
    gap = np.empty(count)
    above, below = False, False
    for n in range(count):
        value, near = 0.0, loose
        if corners[n] >= 0:
            v = ring[corners[n]]
            value, near = outputs[v, i] - outputs[v, j], slack[v]
        else:
            for c in range(m):
                if weights[n, c] != 0.0:
                    value += weights[n, c] * (outputs[ring[c], i] - outputs[ring[c], j])
        gap[n] = 0.0 if abs(value) <= near else value
        above |= gap[n] > 0.0
        below |= gap[n] < 0.0
    if not above and (below or j < i):
        return 0
    kept = 0
    for n in range(count):
        after = (n + 1) % count
        if gap[n] >= 0.0:
            to_weights[kept] = weights[n]
            to_corners[kept] = corners[n]
            to_lines[kept] = m + j if gap[n] == 0.0 and gap[after] < 0.0 else lines[n]
            kept += 1
        if gap[n] * gap[after] < 0.0:
            if lines[n] < m:  # on a side of the face: its own number, whatever was cut off before
                _on_side(ring, outputs, lines[n], i, j, to_weights[kept])
            else:
                t = gap[n] / (gap[n] - gap[after])
                for c in range(m):
                    to_weights[kept, c] = _between(weights[n, c], weights[after, c], t)
            to_corners[kept] = -1
            to_lines[kept] = m + j if gap[n] > 0.0 else lines[n]
            kept += 1
    return kept if kept > 2 else 0


@njit(nogil=True, cache=True)
def _on_side(ring, outputs, side, i, j, weights):
    """Write the weights of the point on a side of the face where f_i = f_j."""
    p, q = side, side + 1 if side + 1 < len(ring) else 0
    if ring[p] > ring[q]:
        p, q = q, p
    low, high = min(i, j), max(i, j)
    first = outputs[ring[p], low] - outputs[ring[p], high]
    second = outputs[ring[q], low] - outputs[ring[q], high]
    t = min(max(first / (first - second), 0.0), 1.0) if first != second else 0.5
    weights[:] = 0.0
    weights[p], weights[q] = 1.0 - t, t


@njit(nogil=True, cache=True)
def _place(ring, vertices, weights):
    """Coordinates of a point given by weights; on a side of the face from the side's ends in the order of their ids."""
    first, second, several = -1, -1, 0
    for c in range(len(ring)):
        if weights[c] != 0.0:
            several += 1
            first, second = second, c
    if several == 2:
        if ring[first] > ring[second]:
            first, second = second, first
        a, b, t = ring[first], ring[second], weights[second]
        return _between(vertices[a, 0], vertices[b, 0], t), _between(vertices[a, 1], vertices[b, 1], t)
    x, y = vertices[ring[0], 0], vertices[ring[0], 1]
    dx, dy = 0.0, 0.0
    for c in range(1, len(ring)):
        dx += weights[c] * (vertices[ring[c], 0] - x)
        dy += weights[c] * (vertices[ring[c], 1] - y)
    return x + dx, y + dy


@njit(nogil=True, cache=True, inline="always")
def _key(m, i, line, other):
    """What names a new corner within its face: (-1 - side, class, class), or three classes, ascending.

    Ties may give two corners one name, so who looks a name up compares places too.
    """
    if line < m and other < m:
        return -1 - line, -1 - other, 0
    if line < m or other < m:
        side, j = (line, other - m) if line < m else (other, line - m)
        return -1 - side, min(i, j), max(i, j)
    j, k = line - m, other - m
    low, high = min(i, j, k), max(i, j, k)
    return low, i + j + k - low - high, high


@njit(nogil=True, cache=True)
def grown(values, count):
    """An array (n, ...) twice as long, with the first `count` rows kept."""
    more = np.empty((2 * len(values) + 1, *values.shape[1:]), values.dtype)
    more[:count] = values[:count]
    return more


@njit(nogil=True, cache=True)
def cut(vertices, face_offsets, face_vertices, outputs, winner, slack):
    """The cells of every face that has more than one, in order of faces.

    Returns label (F,), the class of every other face; of the cells owner, class, area, offsets (n + 1,) and corners, ids
    of vertices, where V + n is the n-th new place (N, 2); and places.
    """
    faces = len(face_offsets) - 1
    label = np.empty(faces, np.int32)
    owner, kind, area = np.empty(256, np.int32), np.empty(256, np.int32), np.empty(256)
    offsets, corner_ids = np.zeros(257, np.int64), np.empty(1024, np.int32)
    places, keys = np.empty((256, 2)), np.empty((64, 3), np.int64)
    cells, used, fresh = 0, 0, 0
    chosen = np.empty(outputs.shape[1], np.int32)
    for f in range(faces):
        ring = face_vertices[face_offsets[f] : face_offsets[f + 1]]
        m = len(ring)
        label[f] = winner[ring[0]]
        same = True
        for n in range(1, m):
            same = same and winner[ring[n]] == winner[ring[0]]
        if same:
            continue
        contenders = _contenders(ring, outputs, slack, chosen)
        label[f] = _leader(ring, outputs, chosen, contenders)
        if contenders == 1:
            continue
        loose, extent = 0.0, 0.0
        for n in range(m):
            loose = max(loose, slack[ring[n]])
            for k in range(2):
                extent = max(extent, abs(vertices[ring[n], k] - vertices[ring[0], k]))
        first_cell, first_place = cells, fresh
        most = m + contenders + 1
        weights, lines, corners = np.empty((most, m)), np.empty(most, np.int64), np.empty(most, np.int64)
        weights2, lines2, corners2 = np.empty((most, m)), np.empty(most, np.int64), np.empty(most, np.int64)
        for c in range(contenders):
            i, count = chosen[c], m
            weights[:m] = 0.0
            for n in range(m):
                weights[n, n], lines[n], corners[n] = 1.0, n, n
            for e in range(contenders):
                if e == c or count == 0:
                    continue
                count = _clip(
                    ring, outputs, slack, loose, i, chosen[e], weights, lines, corners, count, weights2, lines2, corners2
                )
                weights, lines, corners, weights2, lines2, corners2 = weights2, lines2, corners2, weights, lines, corners
            if count == 0:
                continue
            while used + count > len(corner_ids):
                corner_ids = grown(corner_ids, used)
            start = used
            for n in range(count):
                if corners[n] >= 0:
                    v = ring[corners[n]]
                else:
                    before = lines[n - 1 if n > 0 else count - 1]
                    a, b, k = _key(m, i, before, lines[n])
                    x, y = _place(ring, vertices, weights[n])
                    v = -1
                    for s in range(fresh - first_place):
                        if keys[s, 0] == a and keys[s, 1] == b and keys[s, 2] == k:
                            near = abs(places[first_place + s, 0] - x) + abs(places[first_place + s, 1] - y)
                            if near <= 1e-9 * extent:
                                v = len(vertices) + first_place + s
                                break
                    if v < 0:
                        if fresh == len(places):
                            places = grown(places, fresh)
                        if fresh - first_place == len(keys):
                            keys = grown(keys, fresh - first_place)
                        places[fresh, 0], places[fresh, 1] = x, y
                        s = fresh - first_place
                        keys[s, 0], keys[s, 1], keys[s, 2] = a, b, k
                        v = len(vertices) + fresh
                        fresh += 1
                if used == start or corner_ids[used - 1] != v:
                    corner_ids[used] = v
                    used += 1
            size = _area(vertices, places, corner_ids[start:used])
            if not size > 0.0:
                used = start
                continue
            if cells == len(owner):
                owner, kind, area = grown(owner, cells), grown(kind, cells), grown(area, cells)
                offsets = grown(offsets, cells + 1)
            owner[cells], kind[cells], area[cells] = f, i, size
            cells += 1
            offsets[cells] = used
        if cells - first_cell < 2:  # too thin to be cut: one class, that of its middle
            if cells > first_cell:
                label[f] = kind[first_cell]
            cells, fresh, used = first_cell, first_place, offsets[first_cell]
    return label, owner[:cells], kind[:cells], area[:cells], offsets[: cells + 1], corner_ids[:used], places[:fresh]


@njit(nogil=True, cache=True)
def _leader(ring, outputs, chosen, count):
    """The first largest of the chosen classes at the mean of a face's corners."""
    best, most = chosen[0], -np.inf
    for c in range(count):
        total = 0.0
        for n in range(len(ring)):
            total += outputs[ring[n], chosen[c]]
        if total > most:
            best, most = chosen[c], total
    return best


@njit(nogil=True, cache=True)
def _area(vertices, places, ring):
    """Area of a polygon of old and new vertices."""
    old, total, ox, oy, px, py = len(vertices), 0.0, 0.0, 0.0, 0.0, 0.0
    for n in range(len(ring)):
        v = ring[n]
        x, y = (vertices[v, 0], vertices[v, 1]) if v < old else (places[v - old, 0], places[v - old, 1])
        if n == 0:
            ox, oy = x, y
        elif n > 1:
            total += (px - ox) * (y - oy) - (py - oy) * (x - ox)
        px, py = x, y
    return 0.5 * total


@njit(nogil=True, cache=True)
def rings(face_offsets, face_vertices, owner, largest, others, offsets, corners):
    """Corners of all parts: faces (those that are cut with their largest cell), then the other cells.

    largest: (F,) a face's largest cell, -1 where it is not cut; others: the cells that are not, in order.
    Returns offsets (F + X + 1,) and corners.
    """
    faces, extra = len(face_offsets) - 1, len(others)
    starts = np.zeros(faces + extra + 1, np.int32)
    for p in range(faces + extra):
        cell = largest[p] if p < faces else others[p - faces]
        length = offsets[cell + 1] - offsets[cell] if cell >= 0 else face_offsets[p + 1] - face_offsets[p]
        starts[p + 1] = starts[p] + length
    flat = np.empty(starts[-1], np.int32)
    for p in range(faces + extra):
        cell = largest[p] if p < faces else others[p - faces]
        if cell >= 0:
            flat[starts[p] : starts[p + 1]] = corners[offsets[cell] : offsets[cell + 1]]
        else:
            flat[starts[p] : starts[p + 1]] = face_vertices[face_offsets[p] : face_offsets[p + 1]]
    return starts, flat


@njit(nogil=True, cache=True)
def _base(vertices, ring):
    """Three corners of a face that span as much as any: the first, the farthest from it, the farthest from their line."""
    a = ring[0]
    b, far = a, -1.0
    for n in range(1, len(ring)):
        w = ring[n]
        d = (vertices[w, 0] - vertices[a, 0]) ** 2 + (vertices[w, 1] - vertices[a, 1]) ** 2
        if d > far:
            b, far = w, d
    c, det = a, 0.0
    for n in range(len(ring)):
        w = ring[n]
        cross = (vertices[b, 0] - vertices[a, 0]) * (vertices[w, 1] - vertices[a, 1])
        cross -= (vertices[b, 1] - vertices[a, 1]) * (vertices[w, 0] - vertices[a, 0])
        if abs(cross) > abs(det):
            c, det = w, cross
    return a, b, c, det


@njit(nogil=True, cache=True)
def _weights(vertices, base, x, y):
    """Weights of a point over three vertices; those of the first two's middle where they span nothing."""
    a, b, c, det = base
    if det == 0.0:
        return 1.0, 0.0, 0.0
    bx, by = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1]
    cx, cy = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1]
    px, py = x - vertices[a, 0], y - vertices[a, 1]
    wb, wc = (px * cy - py * cx) / det, (bx * py - by * px) / det
    return 1.0 - wb - wc, wb, wc


@njit(nogil=True, cache=True)
def margins(vertices, face_offsets, face_vertices, outputs, owner, label, places, whole):
    """(P,) output of a part's class less the largest other at places (P, 2) inside the parts; at least 0.

    whole: (P,) the part is a whole face, whose place is the mean of its corners: then the outputs' mean is taken.
    """
    channels = outputs.shape[1]
    found = np.empty(len(owner))
    for p in range(len(owner)):
        ring = face_vertices[face_offsets[owner[p]] : face_offsets[owner[p] + 1]]
        m, own, other = len(ring), 0.0, -np.inf
        base = (ring[0], ring[0], ring[0], 0.0)
        wa, wb, wc = 0.0, 0.0, 0.0
        if not whole[p]:
            base = _base(vertices, ring)
            wa, wb, wc = _weights(vertices, base, places[p, 0], places[p, 1])
        for k in range(channels):
            value = 0.0
            if whole[p]:
                for n in range(m):
                    value += outputs[ring[n], k]
                value /= m
            else:
                value = wa * outputs[base[0], k] + wb * outputs[base[1], k] + wc * outputs[base[2], k]
            if k == label[p]:
                own = value
            else:
                other = max(other, value)
        found[p] = max(own - other, 0.0)
    return found


@njit(nogil=True, cache=True)
def rivals(vertices, face_offsets, face_vertices, outputs, slack, owner, label, starts, ring_ids, all_places, middles):
    """Of every part the leads that its margin is the least of: offsets (P + 1,), and (value, d/du, d/dv) at its middle.

    all_places: (V + N, 2) of the parts' corners; middles: (P, 2). A lead is affine: output of the part's class less that
    of another class which is second somewhere in the part.
    """
    channels, parts = outputs.shape[1], len(owner)
    offsets, found = np.zeros(parts + 1, np.int64), np.empty((parts + 16, 3))
    chosen, count = np.empty(channels, np.int32), 0
    for p in range(parts):
        ring = face_vertices[face_offsets[owner[p]] : face_offsets[owner[p] + 1]]
        own = ring_ids[starts[p] : starts[p + 1]]
        base = _base(vertices, ring)
        a, b, c, det = base
        values = np.empty((len(own), channels))
        near = np.empty(len(own))
        for n in range(len(own)):
            wa, wb, wc = _weights(vertices, base, all_places[own[n], 0], all_places[own[n], 1])
            near[n] = slack[a]
            for k in range(channels):
                values[n, k] = wa * outputs[a, k] + wb * outputs[b, k] + wc * outputs[c, k]
            values[n, label[p]] = -np.inf
        seconds = _contenders(np.arange(len(own), dtype=np.int32), values, near, chosen)
        wa, wb, wc = _weights(vertices, base, middles[p, 0], middles[p, 1])
        bx, by = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1]
        cx, cy = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1]
        for s in range(seconds):
            k, i = chosen[s], label[p]
            if k == i:
                continue
            if count == len(found):
                found = grown(found, count)
            da, db, dc = outputs[a, i] - outputs[a, k], outputs[b, i] - outputs[b, k], outputs[c, i] - outputs[c, k]
            found[count, 0] = wa * da + wb * db + wc * dc
            found[count, 1] = ((db - da) * cy - (dc - da) * by) / det if det != 0.0 else 0.0
            found[count, 2] = ((dc - da) * bx - (db - da) * cx) / det if det != 0.0 else 0.0
            count += 1
        offsets[p + 1] = count
    return offsets, found[:count]
