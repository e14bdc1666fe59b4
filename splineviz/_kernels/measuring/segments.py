r"""Distance from points to the nearest of many segments, through a uniform grid. Also without the grid, for a few points.

        +---+---+---+---+     Every cell lists the segments that meet it. From the cell of a point (or of the
        | 2 | 2 | 2 | 2/|     nearest point of the box, for one outside) rings of cells are searched.
        +---+---+---+-/-+
        | 1 | 1 | 1 |/2 |     A segment not met up to ring r is at least r cells away, so the search ends
        +---+---+---/---+     when the best is nearer than that.
        | 1 | . | 1/| 2 |
        +---+---+---+---+

Cells that a segment meets are found column by column, with a margin for rounding; to list a cell too many is harmless.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.jit import njit

MARGIN = 1e-9
"""In cells: what the rows a segment meets in a column are widened by."""


@njit(nogil=True, cache=True)
def _rows(segments, m, column, low, size, rows):
    """First and last row of the cells of a column that segment m meets; (0, -1) if none."""
    ax, ay = (segments[m, 0, 0] - low[0]) / size, (segments[m, 0, 1] - low[1]) / size
    bx, by = (segments[m, 1, 0] - low[0]) / size, (segments[m, 1, 1] - low[1]) / size
    if bx < ax:
        ax, ay, bx, by = bx, by, ax, ay
    left, right = max(ax, column - MARGIN), min(bx, column + 1.0 + MARGIN)
    if left > right:
        return 0, -1
    ya, yb = ay, by
    if bx > ax:
        ya = ay + (left - ax) / (bx - ax) * (by - ay)
        yb = ay + (right - ax) / (bx - ax) * (by - ay)
    first = int(np.floor(min(ya, yb) - MARGIN))
    last = int(np.floor(max(ya, yb) + MARGIN))
    return min(max(first, 0), rows - 1), min(max(last, 0), rows - 1)


@njit(nogil=True, cache=True)
def _columns(segments, m, low, size, columns):
    """First and last column that segment m may meet."""
    a, b = (segments[m, 0, 0] - low[0]) / size, (segments[m, 1, 0] - low[0]) / size
    first, last = int(np.floor(min(a, b) - MARGIN)), int(np.floor(max(a, b) + MARGIN))
    return min(max(first, 0), columns - 1), min(max(last, 0), columns - 1)


@njit(nogil=True, cache=True)
def cell_lists(segments, low, size, columns, rows):
    """The segments of every cell: offsets (columns * rows + 1,) and segment ids, flat."""
    offsets = np.zeros(columns * rows + 2, np.int64)
    for m in range(len(segments)):
        c0, c1 = _columns(segments, m, low, size, columns)
        for c in range(c0, c1 + 1):
            r0, r1 = _rows(segments, m, c, low, size, rows)
            for r in range(r0, r1 + 1):
                offsets[c * rows + r + 2] += 1
    offsets = np.cumsum(offsets)
    members = np.empty(offsets[-1], np.int32)
    for m in range(len(segments)):
        c0, c1 = _columns(segments, m, low, size, columns)
        for c in range(c0, c1 + 1):
            r0, r1 = _rows(segments, m, c, low, size, rows)
            for r in range(r0, r1 + 1):
                members[offsets[c * rows + r + 1]] = m
                offsets[c * rows + r + 1] += 1
    return offsets[:-1], members


@njit(nogil=True, cache=True, inline="always")
def _squared(x, y, segments, m):
    """Squared distance of (x, y) to segment m, from differences to its first end."""
    dx, dy = segments[m, 1, 0] - segments[m, 0, 0], segments[m, 1, 1] - segments[m, 0, 1]
    px, py = x - segments[m, 0, 0], y - segments[m, 0, 1]
    length = dx * dx + dy * dy
    if length > 0.0:
        t = min(max((px * dx + py * dy) / length, 0.0), 1.0)
        px, py = px - t * dx, py - t * dy
    return px * px + py * py


@njit(nogil=True, cache=True)
def nearest(points, segments, low, size, columns, rows, offsets, members):
    """(n,) distance of every point to the nearest segment."""
    distance = np.empty(len(points))
    for n in range(len(points)):
        x, y = points[n, 0], points[n, 1]
        u, v = (x - low[0]) / size, (y - low[1]) / size
        # A point far outside must not overflow the cast to a cell.
        inner_u, inner_v = min(max(u, 0.0), float(columns)), min(max(v, 0.0), float(rows))
        c, r = min(int(inner_u), columns - 1), min(int(inner_v), rows - 1)
        outside = ((u - inner_u) ** 2 + (v - inner_v) ** 2) * size * size
        best = np.inf
        for ring in range(max(columns, rows) + 1):
            sure = max(ring - 1.0 - MARGIN, 0.0) * size
            if best <= sure * sure + outside:
                break
            for i in range(max(c - ring, 0), min(c + ring, columns - 1) + 1):
                step = 1 if abs(i - c) == ring else max(2 * ring, 1)
                for j in range(r - ring, r + ring + 1, step):
                    if 0 <= j < rows:
                        for k in range(offsets[i * rows + j], offsets[i * rows + j + 1]):
                            best = min(best, _squared(x, y, segments, members[k]))
        distance[n] = np.sqrt(best)
    return distance


@njit(nogil=True, cache=True)
def nearest_of_all(points, segments):
    """(n,) the same without a grid, which does not pay for a few points."""
    best = np.full(len(points), np.inf)
    for m in range(len(segments)):
        for n in range(len(points)):
            best[n] = min(best[n], _squared(points[n, 0], points[n, 1], segments, m))
    return np.sqrt(best)
