r"""Faces cut among the classes: the upper envelope of C affine functions on every convex face.
Also the corners round every part that this gives, and tables that grow.

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

from splineviz._kernels.envelope import _between, _contenders
from splineviz._kernels.jit import njit


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
            for c in range(m):
                to_weights[kept, c] = weights[n, c]
            to_corners[kept] = corners[n]
            to_lines[kept] = m + j if gap[n] == 0.0 and gap[after] < 0.0 else lines[n]
            kept += 1
        if gap[n] * gap[after] < 0.0:
            if lines[n] < m:  # on a side of the face: its own number, whatever was cut off before
                _on_side(ring, outputs, lines[n], i, j, to_weights, kept)
            else:
                t = gap[n] / (gap[n] - gap[after])
                for c in range(m):
                    to_weights[kept, c] = _between(weights[n, c], weights[after, c], t)
            to_corners[kept] = -1
            to_lines[kept] = m + j if gap[n] > 0.0 else lines[n]
            kept += 1
    return kept if kept > 2 else 0


@njit(nogil=True, cache=True)
def _on_side(ring, outputs, side, i, j, weights, row):
    """Write the weights of the point on a side of the face where f_i = f_j."""
    p, q = side, side + 1 if side + 1 < len(ring) else 0
    if ring[p] > ring[q]:
        p, q = q, p
    low, high = min(i, j), max(i, j)
    first = outputs[ring[p], low] - outputs[ring[p], high]
    second = outputs[ring[q], low] - outputs[ring[q], high]
    t = min(max(first / (first - second), 0.0), 1.0) if first != second else 0.5
    for c in range(len(ring)):
        weights[row, c] = 0.0
    weights[row, p], weights[row, q] = 1.0 - t, t


@njit(nogil=True, cache=True)
def _place(ring, vertices, weights, row):
    """Coordinates of a point given by weights; on a side of the face from the side's ends in the order of their ids."""
    first, second, several = -1, -1, 0
    for c in range(len(ring)):
        if weights[row, c] != 0.0:
            several += 1
            first, second = second, c
    if several == 2:
        if ring[first] > ring[second]:
            first, second = second, first
        a, b, t = ring[first], ring[second], weights[row, second]
        return _between(vertices[a, 0], vertices[b, 0], t), _between(vertices[a, 1], vertices[b, 1], t)
    x, y = vertices[ring[0], 0], vertices[ring[0], 1]
    dx, dy = 0.0, 0.0
    for c in range(1, len(ring)):
        dx += weights[row, c] * (vertices[ring[c], 0] - x)
        dy += weights[row, c] * (vertices[ring[c], 1] - y)
    return x + dx, y + dy


@njit(nogil=True, cache=True)
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
def grown(table, count):
    """A table (n, k) twice as long, with the first `count` rows kept."""
    more = np.empty((2 * len(table) + 1, table.shape[1]), table.dtype)
    for n in range(count):
        for k in range(table.shape[1]):
            more[n, k] = table[n, k]
    return more


@njit(nogil=True, cache=True)
def _cell(ring, outputs, slack, loose, chosen, contenders, c, polygon, spare):
    """The polygon of contender c: its corners stand in `polygon`, (weights, lines, corners). Returns it, spare and count."""
    m, count = len(ring), len(ring)
    weights, lines, corners = polygon
    for n in range(m):
        lines[n], corners[n] = n, n
        for k in range(m):
            weights[n, k] = 1.0 if k == n else 0.0
    for e in range(contenders):
        if e != c and count > 0:
            count = _clip(
                ring, outputs, slack, loose, chosen[c], chosen[e],
                polygon[0], polygon[1], polygon[2], count, spare[0], spare[1], spare[2],
            )  # fmt: skip
            polygon, spare = spare, polygon
    return polygon, spare, count


@njit(nogil=True, cache=True)
def _corner(ring, vertices, i, polygon, count, n, near, keys, places, first, fresh):
    """Id of corner n of a polygon of class i; the new one's place and name are written if it has none. Also `fresh`."""
    weights, lines, corners = polygon
    if corners[n] >= 0:
        return ring[corners[n]], fresh
    a, b, c = _key(len(ring), i, lines[n - 1 if n > 0 else count - 1], lines[n])
    x, y = _place(ring, vertices, weights, n)
    for s in range(first, fresh):
        if keys[s, 0] == a and keys[s, 1] == b and keys[s, 2] == c:
            if abs(places[s, 0] - x) + abs(places[s, 1] - y) <= near:
                return len(vertices) + s, fresh
    keys[fresh, 0], keys[fresh, 1], keys[fresh, 2] = a, b, c
    places[fresh, 0], places[fresh, 1] = x, y
    return len(vertices) + fresh, fresh + 1


@njit(nogil=True, cache=True)
def cut(vertices, face_offsets, face_vertices, outputs, winner, slack):
    """The cells of every face that has more than one, in order of faces.

    Returns label (F,), the class of every other face; cells (n, 3): face, class, end of their corners; corners (., 1), ids
    of vertices, where V + n is the n-th new place (N, 2); places; and how many faces have outputs that no affine functions
    have, up to rounding: such a face is left whole.
    """
    faces = len(face_offsets) - 1
    label, chosen = np.empty(faces, np.int32), np.empty(outputs.shape[1], np.int32)
    cells, corners = np.empty((256, 3), np.int64), np.empty((1024, 1), np.int64)
    places, keys = np.empty((256, 2)), np.empty((256, 3), np.int64)
    count, used, fresh, torn = 0, 0, 0, 0
    for f in range(faces):
        ring = face_vertices[face_offsets[f] : face_offsets[f + 1]]
        label[f] = winner[ring[0]]
        same = True
        for n in range(1, len(ring)):
            same = same and winner[ring[n]] == winner[ring[0]]
        if same:
            continue
        contenders = _contenders(ring, outputs, slack, chosen)
        label[f] = _leader(ring, outputs, chosen, contenders)
        if contenders == 1:
            continue
        loose, extent = _extremes(ring, vertices, slack)
        most = len(ring) + contenders + 1
        polygon = np.empty((most, len(ring))), np.empty(most, np.int64), np.empty(most, np.int64)
        spare = np.empty((most, len(ring))), np.empty(most, np.int64), np.empty(most, np.int64)
        first, first_used, first_place, total = count, used, fresh, 0.0
        for c in range(contenders):
            polygon, spare, size = _cell(ring, outputs, slack, loose, chosen, contenders, c, polygon, spare)
            while used + size > len(corners):
                corners = grown(corners, used)
            while fresh + size > len(places):
                places, keys = grown(places, fresh), grown(keys, fresh)
            start = used
            for n in range(size):
                v, fresh = _corner(
                    ring, vertices, chosen[c], polygon, size, n, 1e-9 * extent, keys, places, first_place, fresh
                )
                if used == start or corners[used - 1, 0] != v:
                    corners[used, 0] = v
                    used += 1
            own = _area(vertices, places, corners, start, used)
            if not own > 0.0:
                used = start
                continue
            if count == len(cells):
                cells = grown(cells, count)
            cells[count, 0], cells[count, 1], cells[count, 2] = f, chosen[c], used
            total += own
            count += 1
        gap = abs(total - _face_area(vertices, ring))
        contradiction = count > first and gap > 1e-6 * total + 1e-13 * extent * extent
        torn += contradiction
        if count - first < 2 or contradiction:  # too thin to be cut, or not to be: one class
            if count - first == 1:
                label[f] = cells[first, 1]
            count, used, fresh = first, first_used, first_place
    return label, cells[:count], corners[:used], places[:fresh], torn


@njit(nogil=True, cache=True)
def _extremes(ring, vertices, slack):
    """Largest slack at a face's corners, and its extent."""
    loose, extent = 0.0, 0.0
    for n in range(len(ring)):
        loose = max(loose, slack[ring[n]])
        for k in range(2):
            extent = max(extent, abs(vertices[ring[n], k] - vertices[ring[0], k]))
    return loose, extent


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
def _area(vertices, places, corners, start, stop):
    """Area of a polygon of old and new vertices."""
    old, total, ox, oy, px, py = len(vertices), 0.0, 0.0, 0.0, 0.0, 0.0
    for n in range(start, stop):
        v = corners[n, 0]
        x = vertices[v, 0] if v < old else places[v - old, 0]
        y = vertices[v, 1] if v < old else places[v - old, 1]
        if n == start:
            ox, oy = x, y
        total += (px - ox) * (y - oy) - (py - oy) * (x - ox)
        px, py = x, y
    return 0.5 * total


@njit(nogil=True, cache=True)
def _face_area(vertices, ring):
    """Area of a face."""
    total, a = 0.0, ring[0]
    for n in range(1, len(ring) - 1):
        b, c = ring[n], ring[n + 1]
        total += (vertices[b, 0] - vertices[a, 0]) * (vertices[c, 1] - vertices[a, 1])
        total -= (vertices[b, 1] - vertices[a, 1]) * (vertices[c, 0] - vertices[a, 0])
    return 0.5 * total


@njit(nogil=True, cache=True)
def rings(face_offsets, face_vertices, cells, corners, part_cell):
    """Corners of all parts: offsets (P + 1,) and ids. part_cell: (P,) a part's cell, -1 - f for the whole face f."""
    parts = len(part_cell)
    starts = np.zeros(parts + 1, np.int32)
    for p in range(parts):
        cell = part_cell[p]
        if cell < 0:
            length = face_offsets[-cell] - face_offsets[-1 - cell]
        else:
            length = cells[cell, 2] - (cells[cell - 1, 2] if cell > 0 else 0)
        starts[p + 1] = starts[p] + length
    flat = np.empty(starts[-1], np.int32)
    for p in range(parts):
        cell = part_cell[p]
        if cell < 0:
            first = face_offsets[-1 - cell]
        else:
            first = cells[cell - 1, 2] if cell > 0 else 0
        for n in range(starts[p + 1] - starts[p]):
            flat[starts[p] + n] = face_vertices[first + n] if cell < 0 else corners[first + n, 0]
    return starts, flat
