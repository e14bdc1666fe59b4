"""Intervals: where a straight piece is within a distance d of a segment, and the union of many such intervals.

A piece is p + t (dx, dy) with t in [0, 1]; what is within d of a segment is convex, so the piece meets it in one interval.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.jit import njit


@njit(nogil=True, cache=True, inline="always")
def _disc(px, py, dx, dy, cx, cy, d):
    """Interval of t where p + t (dx, dy) is in a disc; empty (1, 0) if nowhere."""
    a = dx * dx + dy * dy
    x, y = px - cx, py - cy
    b = x * dx + y * dy
    cross = dx * y - dy * x
    room = a * d * d - cross * cross
    if room <= 0.0:
        return 1.0, 0.0
    root = np.sqrt(room)
    return (-b - root) / a, (-b + root) / a


@njit(nogil=True, cache=True, inline="always")
def _slab(p, dp, low, high):
    """Interval of t where low <= p + t dp <= high."""
    if dp == 0.0:
        return (-np.inf, np.inf) if low <= p <= high else (1.0, 0.0)
    s, t = (low - p) / dp, (high - p) / dp
    return (s, t) if s <= t else (t, s)


@njit(nogil=True, cache=True)
def stretch(px, py, dx, dy, segment, d, at_a=True, at_b=True):
    """The interval of t in [0, 1] where the point p + t (dx, dy) is within d of a segment; empty: first > last.

    at_a, at_b: False for a disc at an end that the line is known to touch, which rounding must not turn into a cut.
    """
    ax, ay, bx, by = segment[0, 0], segment[0, 1], segment[1, 0], segment[1, 1]
    first, last = 1.0, 0.0
    if at_a:
        first, last = _disc(px, py, dx, dy, ax, ay, d)
    length = np.hypot(bx - ax, by - ay)
    if length > 0.0:
        s, t = 1.0, 0.0
        if at_b:
            s, t = _disc(px, py, dx, dy, bx, by, d)
        if s <= t:
            first, last = (min(first, s), max(last, t)) if first <= last else (s, t)
        ux, uy, x, y = (bx - ax) / length, (by - ay) / length, px - ax, py - ay
        s, t = _slab(x * ux + y * uy, dx * ux + dy * uy, 0.0, length)
        s2, t2 = _slab(y * ux - x * uy, dy * ux - dx * uy, -d, d)
        s, t = max(s, s2), min(t, t2)
        if s <= t:
            first, last = (min(first, s), max(last, t)) if first <= last else (s, t)
    return max(first, 0.0), min(last, 1.0)


@njit(nogil=True, cache=True)
def united(first, last, count):
    """Sort the first `count` intervals and merge those that touch, in place; returns how many are left."""
    if count == 0:
        return 0
    order = np.argsort(first[:count])
    a, b = first[:count][order], last[:count][order]
    left, right, n = a[0], b[0], 0
    for i in range(1, count):
        if a[i] <= right:
            right = max(right, b[i])
        else:
            first[n], last[n] = left, right
            n += 1
            left, right = a[i], b[i]
    first[n], last[n] = left, right
    return n + 1
