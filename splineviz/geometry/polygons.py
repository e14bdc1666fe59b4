"""Polygons: the area of one, and the smallest square around it; corners (m, 2) counter-clockwise.
Also a square round a point, the longer side of points, and points spread over a window.

Both are read from differences, so a tiny polygon far from the origin loses no digits. Plain arrays alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from splineviz.errors import FloatArray


class Square(NamedTuple):
    """An upright square: its middle (2,) and half its side."""

    centre: FloatArray
    half: float

    @property
    def view(self) -> tuple[float, float, float, float]:
        """(u0, u1, v0, v1), as limits of axes are given."""
        (u, v), half = self.centre, self.half
        return u - half, u + half, v - half, v + half


def polygon_area(polygon: FloatArray) -> float:
    """Area of a polygon (m, 2), positive if counter-clockwise, from differences to its first corner."""
    offsets = polygon - polygon[0]
    return 0.5 * float(np.sum(offsets[:-1, 0] * offsets[1:, 1] - offsets[:-1, 1] * offsets[1:, 0]))


def area_gap(areas: FloatArray, polygon: FloatArray) -> float:
    """What areas (n,) of parts miss of a polygon's, as a share of it, beyond what rounding its corners makes of that: in a
    thin polygon they need not be on a straight line.
    """
    whole = polygon_area(polygon)
    rounding = 8.0 * float(np.finfo(np.float64).eps) * longer_side(polygon) ** 2
    missed = max(abs(float(areas.sum()) - whole) - rounding, 0.0)
    return missed / max(whole, 1e-300) if missed else 0.0  # a tile that a window touches in one point has no area


def square(centre: FloatArray, half: float) -> FloatArray:
    """(4, 2) corners of the square of that half-width round a point, counter-clockwise from the lower left."""
    return centre + half * np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])


def bounding_square(points: FloatArray) -> Square:
    """The smallest upright square that holds points (n, 2): it stands about the middle of their bounding box."""
    low, high = points.min(axis=0), points.max(axis=0)
    return Square((low + high) / 2, float((high - low).max()) / 2)


def longer_side(points: FloatArray) -> float:
    """The longer side of the bounding box of points (n, 2)."""
    return float(np.ptp(points, axis=0).max())


def spread(corners: FloatArray) -> FloatArray:
    """Points spread over a window: its corners, and 64 random mixtures of them."""
    weights = np.random.default_rng(0).dirichlet(np.full(len(corners), 0.7), size=64)
    return np.concatenate([corners, weights @ corners])
