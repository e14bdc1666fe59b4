r"""Stretches: pieces of random lines in a convex polygon, spread evenly; plain arrays alone.

    +--------------+      A stretch of length l is uniform among all that meet the polygon: by the angle of its line, the
    |    /         |      line's distance from the origin, and its middle along the line. It meets a convex set of area A
    |---/--------  |      and perimeter P with a chance in proportion to 2 pi A + 2 l P (Santalo, Integral Geometry, I.7).
    |  /           |
    +--------------+

Random numbers are an even sequence from a random start, which leaves less to chance than independent ones.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from splineviz.errors import FloatArray

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
