r"""Lines: exact lines of a plane, their crossings, and whether some of them bound a convex polygon.

             L2                line     (a, b, c), whole numbers: a u + b v + c = 0, and its left, where that is positive
        P2 <----- P1           point    (X, Y, W), whole numbers, W > 0: u = X / W, v = Y / W
     L3 |         ^ L1         side     the sign of a X + b Y + c W, decided exactly however close the point is to the line
        v         |
        P3 -----> P0           A polygon lies left of all its lines, counter-clockwise; P[i] is where L[i - 1] meets L[i].
             L0

Floats are whole numbers over powers of two, so a line through points given as floats has whole numbers, too. Lines that
follow each other and are one (a vertex in the middle of a side) count once. Knows neither partitions nor networks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from splineviz.errors import FloatArray
from splineviz.geometry.integers import Point, reduced

Line = tuple[int, int, int]
Signs = npt.NDArray[np.int64]


def crossed(p: Line, q: Line) -> Line:
    """The cross product: where two lines meet, or the line through two points, up to a factor."""
    return p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]


def shortened(line: Iterable[int]) -> Line:
    """The same line without a common divisor."""
    a, b, c = (int(n) for n in line)
    divisor = math.gcd(a, b, c)
    return (a // divisor, b // divisor, c // divisor) if divisor > 1 else (a, b, c)


def turned(line: Line) -> Line:
    """The same line with its left on the other side."""
    return -line[0], -line[1], -line[2]


def through(p: Sequence[float], q: Sequence[float]) -> Line:
    """The line from one point (u, v) to another, which has on its left what p -> q has."""
    (pu, pv), (qu, qv) = ([Fraction(float(x)) for x in point] for point in (p, q))
    a, b = pv - qv, qu - pu
    c = -(a * pu + b * pv)
    over = math.lcm(a.denominator, b.denominator, c.denominator)
    return shortened([int(n * over) for n in (a, b, c)])


def meet(one: Line, other: Line) -> Point | None:
    """Where two lines meet; None where they are parallel or one."""
    x, y, w = crossed(one, other)
    if w == 0:
        return None
    return reduced(x, y, w) if w > 0 else reduced(-x, -y, -w)


def sides(lines: npt.NDArray[np.object_], point: Point) -> Signs:
    """(n,) on which side of lines (3, n) a point is: 1 on the left, 0 on the line, -1 on the right."""
    x, y, w = point
    values = lines[0] * x + lines[1] * y + lines[2] * w
    return np.array([(n > 0) - (n < 0) for n in values.tolist()], np.int64)


def place(point: Point, centre: FloatArray) -> tuple[float, float]:
    """Where a point is relative to a centre (2,), rounded once."""
    x, y, w = point
    u, v = (Fraction(c) for c in centre.tolist())
    return float(Fraction(x, w) - u), float(Fraction(y, w) - v)


def polygon(ring: Sequence[Line]) -> tuple[list[int], list[Point]] | None:
    """The corners of the convex polygon left of lines that follow each other; None where they bound none.

    Returns the place in the ring of the side that begins at each corner, and the corner.
    """
    begins = [i for i, line in enumerate(ring) if not _one(ring[i - 1], line)]
    if len(begins) < 3:
        return None
    corners = []
    for n, i in enumerate(begins):
        before, line = ring[begins[n - 1]], ring[i]
        corner = meet(before, line)
        if corner is None or before[0] * line[1] - before[1] * line[0] <= 0:  # no turn to the left
            return None
        corners.append(corner)
    whole = np.array([ring[i] for i in begins], object).T
    if len(set(corners)) < len(corners) or any((sides(whole, corner) < 0).any() for corner in corners):
        return None
    return begins, corners


def distances(points: FloatArray, begins: FloatArray, ends: FloatArray) -> FloatArray:
    """(n, m) of points (n, 2) from the lines through m pairs of points, rounded."""
    along = ends - begins
    gap = points[:, None] - begins
    size = np.hypot(along[:, 0], along[:, 1])
    return np.asarray(np.abs(along[:, 0] * gap[..., 1] - along[:, 1] * gap[..., 0]) / size)


def off_places(points: FloatArray, begins: Sequence[int], corners: Sequence[tuple[float, float]]) -> FloatArray:
    """(n,) how far points (n, 2) of a ring are from the corners that `begins` names, and from the sides between."""
    off = np.zeros(len(points))
    for n, first in enumerate(begins):
        a, b = np.array(corners[n]), np.array(corners[(n + 1) % len(corners)])
        last = begins[(n + 1) % len(begins)]
        off[first] = np.hypot(*(points[first] - a))
        for i in range(first + 1, last if last > first else last + len(points)):
            gap, size = points[i % len(points)] - a, float((b - a) @ (b - a))
            t = float(np.clip(gap @ (b - a) / size, 0.0, 1.0)) if size > 0 else 0.0
            off[i % len(points)] = np.hypot(*(gap - t * (b - a)))
    return off


def _one(p: Line, q: Line) -> bool:
    """Whether two lines are one, with the same left."""
    return not any(crossed(p, q)) and p[0] * q[0] + p[1] * q[1] > 0
