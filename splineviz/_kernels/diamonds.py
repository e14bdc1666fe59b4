r"""Knots that meet diamonds: which straight pieces come nearer to a point than r in the 1-norm.

      +          |u| + |v| < r is convex, so its smallest value on a piece is at an end, or where u or v is 0.
     / \    ___
  --+-*-+---     Points are sorted by u: for each piece only those within r of its extent are looked at.
     \ /
      +

Strict: a knot that only touches a diamond from outside does not meet it.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True, inline="always")
def _nearest(ax, ay, bx, by):
    """Smallest |u| + |v| on the piece from (ax, ay) to (bx, by)."""
    best = min(abs(ax) + abs(ay), abs(bx) + abs(by))
    if ax * bx < 0.0:
        best = min(best, abs(ay + ax / (ax - bx) * (by - ay)))
    if ay * by < 0.0:
        best = min(best, abs(ax + ay / (ay - by) * (bx - ax)))
    return best


@njit(nogil=True, cache=True)
def meetings(ends, points, radius, found):
    """Write (point, piece) of every meeting to found (K, 2), as far as it goes; returns how many there are.

    ends (E, 2, 2); points (n, 2), sorted by u.
    """
    count = 0
    for e in range(len(ends)):
        ax, ay, bx, by = ends[e, 0, 0], ends[e, 0, 1], ends[e, 1, 0], ends[e, 1, 1]
        low, high = min(ay, by) - radius, max(ay, by) + radius
        right = max(ax, bx) + radius
        i = np.searchsorted(points[:, 0], min(ax, bx) - radius)
        while i < len(points) and points[i, 0] <= right:
            u, v = points[i, 0], points[i, 1]
            if low <= v <= high and _nearest(ax - u, ay - v, bx - u, by - v) < radius:
                if count < len(found):
                    found[count, 0], found[count, 1] = i, e
                count += 1
            i += 1
    return count
