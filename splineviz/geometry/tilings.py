r"""Tilings: convex polygons halved again and again, by lines that are nobody's knots; plain arrays alone.

+---------+------+     corners (m, 2), counter-clockwise     sides (m,) of the line that each side lies on: -1 the window's
|    A    |      |                                           own border, below it a line that halved, one number a side
+------+--+  C   |
|  B   |D |      |     A network's regions are cut by such lines. Taken away again, the last first, each joins as many
+------+--+------+     pairs of pieces as it has pieces itself: one, and one for each knot across it. So with F pieces in
a tile and c knots across its sides, those on the border left out, there are
1 + sum over the tiles of (F - 1 - c / 2) regions, wherever the lines end on one another.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from splineviz.errors import FloatArray, IntArray


class Tile(NamedTuple):
    """corners (m, 2), sides (m,): see the module."""

    corners: FloatArray
    sides: IntArray

    @property
    def inner(self) -> int:
        """Number of sides that are not on the window's border."""
        return int((self.sides < -1).sum())


def whole(corners: FloatArray) -> Tile:
    """The window (m, 2) as one tile."""
    return Tile(corners, np.full(len(corners), -1, np.int32))


def halved(tile: Tile, share: float) -> tuple[Tile, Tile]:
    """A tile in two, across where it is longest; share: of its length, where."""
    along = _longest(tile.corners)
    height = tile.corners @ along
    height = height - (height.min() + share * (height.max() - height.min()))
    return _side(tile, height), _side(tile, -height)


def _longest(corners: FloatArray) -> FloatArray:
    """The direction (2,) between the two corners that are farthest from one another."""
    apart = corners[:, None] - corners[None]
    length = np.hypot(*np.moveaxis(apart, 2, 0))
    return np.asarray(apart.reshape(-1, 2)[length.argmax()] / length.max())


def _side(tile: Tile, height: FloatArray) -> Tile:
    """The part of a tile where an affine function, given at its corners (m,), is above 0."""
    corners: list[FloatArray] = []
    sides: list[int] = []
    fresh = min(-2, int(tile.sides.min()) - 1)
    for i in range(len(height)):
        j = (i + 1) % len(height)
        if height[i] > 0.0:
            corners.append(tile.corners[i])
            sides.append(int(tile.sides[i]))
        if (height[i] > 0.0) != (height[j] > 0.0):
            t = height[i] / (height[i] - height[j])
            corners.append((1.0 - t) * tile.corners[i] + t * tile.corners[j])
            sides.append(fresh if height[i] > 0.0 else int(tile.sides[i]))
    return Tile(np.array(corners), np.array(sides, np.int32))


def sides_within(sides: IntArray, offsets: IntArray) -> IntArray:
    """(F,) at how many sides of its tile, but for the window's, each face lies; sides (n,): the line that each of its own
    lies on, as in `Tile`, in runs offsets (F + 1,); no less than -1 where it is a knot.
    """
    before = np.concatenate([sides[-1:], sides[:-1]])
    before[offsets[:-1]] = sides[offsets[1:] - 1]
    return np.add.reduceat((sides < -1) & (sides != before), offsets[:-1], dtype=np.int32)
