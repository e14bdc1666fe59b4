r"""Stretches: pieces of random lines in a convex polygon, spread evenly, and what is met on them; and a lattice over it.
Plain arrays alone.

    +--------------+      A stretch of length l is uniform among all that meet the polygon: by the angle of its line, the
    |    /         |      line's distance from the origin, and its middle along the line. It meets a convex set of area A
    |---/--------  |      and perimeter P with a chance in proportion to 2 pi A + 2 l P (Santalo, Integral Geometry, I.7).
    |  /           |
    +--------------+

Random numbers are an even sequence from a random start, which leaves less to chance than independent ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from splineviz.errors import FloatArray, IntArray

Pieces = list[Any]
"""Which piece every unit is on (n, units), by layer."""
CellsAt = Callable[[FloatArray, FloatArray], tuple[FloatArray, Pieces]]
"""Of regions at points (n, 2): length of knots, share of the vertices, way out in a direction (n, 2); and pieces there."""
WIDE, USUAL = 1.2, 6
"""Usual spread of densities at single knots, beside their mean; it counts for so many stretches."""
EVEN = 1.2207440846057596 ** -np.arange(1.0, 4.0)
"""Steps of a sequence of points that fills a cube evenly: powers of the root of x^4 = x + 1."""


def stretches(corners: FloatArray, length: float, count: int, rng: np.random.Generator) -> FloatArray:
    """(count, 2, 2) stretches of a length, uniform among those that meet a convex polygon round the origin, clipped to it.

    length: infinity for whole chords.
    """
    radius = float(np.linalg.norm(corners, axis=1).max())
    sides = np.roll(corners, -1, axis=0) - corners
    found: list[FloatArray] = []
    for direction, point, t in _candidates(radius, length, rng):
        # Liang-Barsky: the line is inside where it is left of every side.
        slope = sides[:, 0] * direction[1] - sides[:, 1] * direction[0]
        height = sides[:, 0] * (point - corners)[:, 1] - sides[:, 1] * (point - corners)[:, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            crossing = -height / slope
        low = max(t - 0.5 * length, crossing[slope > 0].max(initial=-np.inf))
        high = min(t + 0.5 * length, crossing[slope < 0].min(initial=np.inf))
        if high - low > 1e-3 * min(radius, length):
            found.append(point + np.array([[low], [high]]) * direction)
        if len(found) == count:
            break
    return np.stack(found)


def _candidates(radius: float, length: float, rng: np.random.Generator) -> Iterator[tuple[FloatArray, FloatArray, float]]:
    """Direction, nearest point and middle of random stretches that may meet the disc of a radius.

    They follow Roberts's sequence R3.
    """
    reach = radius + 0.5 * length if np.isfinite(length) else 0.0
    at = rng.random(3)
    while True:
        at = (at + EVEN) % 1.0
        angle, offset, middle = np.pi * at[0], radius * (2.0 * at[1] - 1.0), reach * (2.0 * at[2] - 1.0)
        yield np.array([np.cos(angle), np.sin(angle)]), offset * np.array([-np.sin(angle), np.cos(angle)]), middle


def lattice(corners: FloatArray, mesh: int) -> tuple[FloatArray, IntArray, FloatArray]:
    """Points (n, 2) over a convex polygon, pairs of neighbours (k, 2), and shares (k,) that sum to 1.

    Squares, `mesh` of them along the larger extent, whose centres are inside; each has its sides and diagonals, so that
    every direction counts as much, and every part of the polygon. The last pairs, of share 0, go round its border.
    """
    low, extent = corners.min(axis=0), np.ptp(corners, axis=0)
    size = float(extent.max()) / mesh
    counts = np.maximum(np.ceil(extent / size - 0.01), 1).astype(int)
    first = low + 0.5 * (extent - size * counts)
    square = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1).reshape(-1, 2)
    middle = first + size * (square + 0.5)
    sides = np.roll(corners, -1, axis=0) - corners
    off = middle[:, None] - corners
    inside = (sides[:, 0] * off[:, :, 1] - sides[:, 1] * off[:, :, 0] > 0.0).all(axis=1)
    square = square[inside] if inside.any() else square
    own = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    ends = np.array([[0, 1], [3, 2], [0, 3], [1, 2], [0, 2], [1, 3]])
    weights = np.array([1.0, 1.0, 1.0, 1.0, 2.0, 2.0]) / 8.0
    parts = np.maximum(np.rint(np.linalg.norm(sides, axis=1) / size), 1).astype(int)
    rim = np.concatenate([a + np.arange(n)[:, None] / n * d for a, d, n in zip(corners, sides, parts, strict=True)])
    points = np.concatenate([first + size * (square[:, None] + own).reshape(-1, 2), rim])
    _, at, number = np.unique(np.rint((points - first) / size * 2.0**20), axis=0, return_index=True, return_inverse=True)
    pairs = np.sort(number.reshape(-1)[: 4 * len(square)].reshape(-1, 4)[:, ends].reshape(-1, 2), axis=1)
    pairs, which = np.unique(pairs, axis=0, return_inverse=True)
    shares = np.bincount(which.reshape(-1), weights=np.tile(weights, len(square))) / len(square)
    border = number.reshape(-1)[4 * len(square) :]
    border = np.stack([border, np.roll(border, -1)], axis=1)
    return points[at], np.concatenate([pairs, border]), np.concatenate([shares, np.zeros(len(border))])


class Walk:
    """What stretches met: sums of densities at the knots that each crossed, how many these were; and the whole way.

    units, knots: by layer, how many units changed their piece at a crossing, and how many knots that makes, for one that
    several units have is one. ends: how many were on another piece where stretches ended: fewer, where knots bend back.
    """

    def __init__(self, layers: int) -> None:
        self.density, self.crossed, self.way = np.zeros(0), np.zeros(0), 0.0
        self.units, self.knots, self.ends = np.zeros(layers), np.zeros(layers), 0.0

    def knots_of(self, changes: FloatArray) -> float:
        """How many knots lie between points where so many units (layers,) are on other pieces."""
        all_ = self.knots.sum() / max(self.units.sum(), 1.0) if self.units.any() else 1.0
        of_each = np.where(self.units > 0.0, self.knots / np.maximum(self.units, 1.0), all_)
        return float(changes @ of_each) * (self.units.sum() / self.ends if self.ends else 1.0)

    def mean(self) -> tuple[float, float]:
        """The mean density of vertices along knots, and its standard error, by the spread over the stretches.

        Few stretches may be alike by chance, so what is usual has a say.
        """
        n, crossed = len(self.density), float(self.crossed.sum())
        if crossed == 0.0:
            return 0.0, 0.0
        mean = float(self.density.sum()) / crossed
        off = self.density - mean * self.crossed
        found, usual = (off**2).sum() * n / max(n - 1, 1) / crossed**2, (WIDE * mean) ** 2 / crossed
        return mean, float(np.sqrt((n * found + USUAL * usual) / (n + USUAL)))

    def follow(self, some: FloatArray, cells_at: CellsAt, step: float, most: int) -> None:
        """Walk stretches (n, 2, 2), each until it has crossed `most` knots.

        step: how far beyond a knot the next region is looked for.
        """
        n, along = len(some), some[:, 1] - some[:, 0]
        ends = np.linalg.norm(along, axis=1)
        along /= ends[:, None]
        density, way, crossed, last, changed = np.zeros((5, n))
        walking, stays, first, before = np.arange(n), np.ones(n, bool), Pieces(), Pieces()
        for turn in range(most + 1):
            at = some[walking, 0] + way[walking, None] * along[walking]
            found, pieces = cells_at(at, along[walking])
            length, share, reach = found.T
            here = np.where(length > 0.0, share / np.where(length > 0.0, length, 1.0), 0.0)
            if turn:
                new = _apart([piece[stays] for piece in before], pieces)
                units = new.sum(axis=0)
                density[walking] += np.where(units > 0.0, last[walking] + here, 0.0)
                crossed[walking] += units > 0.0
                self.units = self.units + new.sum(axis=1)
                self.knots = self.knots + (new / np.maximum(units, 1.0)).sum(axis=1)
                changed[walking] = _apart([piece[walking] for piece in first], pieces).sum(axis=0)
            else:
                first = pieces
            last[walking], before = here, pieces
            way[walking] += reach + step
            stays = way[walking] < ends[walking]
            walking = walking[stays]
            if not len(walking):
                break
        rest = np.maximum(ends / way, 1.0)  # where it was broken off, what is left is taken to be like the rest
        self.density, self.crossed = np.append(self.density, density * rest), np.append(self.crossed, crossed * rest)
        self.way, self.ends = self.way + float(ends.sum()), self.ends + float(changed.sum())


def _apart(one: Pieces, other: Pieces) -> FloatArray:
    """How many units (layers, n) are on different pieces, row by row."""
    return np.array([(a != b).sum(axis=1) for a, b in zip(one, other, strict=True)], float).reshape(len(one), -1)
