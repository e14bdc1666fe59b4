r"""Lengths of straight pieces in the cells of a grid.

+-----+-----+      A piece is walked from cell to cell: its next crossing with an upright line of the grid and with
|   --|--   |      a level one are both known, and the nearer comes first. The middle of each stretch says which cell
| /   |     |      it lies in, so that no rounding of an end can move it to a neighbour.
+-----+-----+
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.jit import njit


@njit(nogil=True, cache=True, inline="always")
def _next(a, d, t, size):
    """Parameter > t of the next grid line that a + t d crosses, lines being multiples of size; inf if there is none."""
    if d == 0.0:
        return np.inf
    line = np.floor((a + t * d) / size) + (1.0 if d > 0.0 else 0.0)
    found = (line * size - a) / d
    while found <= t:
        line += 1.0 if d > 0.0 else -1.0
        found = (line * size - a) / d
    return found


@njit(nogil=True, cache=True)
def lengths(ends, low, size, found):
    """Add to found (rows, columns) the length of pieces ends (E, 2, 2) in each cell; low, size (2,): of the grid."""
    rows, columns = found.shape
    for e in range(len(ends)):
        ax, ay = ends[e, 0, 0] - low[0], ends[e, 0, 1] - low[1]
        dx, dy = ends[e, 1, 0] - ends[e, 0, 0], ends[e, 1, 1] - ends[e, 0, 1]
        length, t = np.hypot(dx, dy), 0.0
        tx, ty = _next(ax, dx, t, size[0]), _next(ay, dy, t, size[1])
        while t < 1.0:
            stop = min(min(tx, ty), 1.0)
            middle = 0.5 * (t + stop)
            column = int(np.floor((ax + middle * dx) / size[0]))
            row = int(np.floor((ay + middle * dy) / size[1]))
            if 0 <= column < columns and 0 <= row < rows:
                found[row, column] += (stop - t) * length
            t = stop
            if tx <= t:
                tx = _next(ax, dx, t, size[0])
            if ty <= t:
                ty = _next(ay, dy, t, size[1])
