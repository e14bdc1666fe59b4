"""Turns: the units of the first layer in groups that cut the window one after the other.

    many knots across one face -> 48, 192, ... of them, then the rest

The first few cut the window into pieces that blocks can share out, before the many make a single face too large for one
block. Decided once, at the window, so that all blocks take the same turns. Knows packed signs, not blocks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

FIRST = 48
"""Units that cut the window before it is shared out, where more than twice as many cross it."""
Words = npt.NDArray[np.uint64]


class Turns:
    """masks: (words,) packed units of each turn, [] where all units of a layer cut at once."""

    def __init__(self, masks: list[Words] | None = None):
        self.masks = masks or []

    @classmethod
    def among(cls, crossing: Words) -> Turns:
        """Turns for the packed units (words,) that cross the window; units that do not are in the last."""
        rest, count, masks = units_of(crossing), FIRST, []
        while len(rest) > 2 * count:
            chosen = rest[:: -(-len(rest) // count)]
            masks.append(packed(chosen, len(crossing)))
            rest = np.setdiff1d(rest, chosen)
            count *= 4
        return cls([*masks, ~np.bitwise_or.reduce(masks, axis=0)] if masks else [])

    def mask(self, layer: int, turn: int, words: int) -> Words:
        """(words,) the units that are cut in a turn of a layer, packed."""
        return self.masks[turn] if layer == 0 and self.masks else np.full(words, ~np.uint64(0))

    def is_last(self, layer: int, turn: int) -> bool:
        """Whether all units of a layer are cut after a turn."""
        return layer > 0 or turn + 1 >= len(self.masks)

    def rank(self, first: int, units: int) -> npt.NDArray[np.int64]:
        """(units,) the order in which units cut: by layer, in the first, of so many units, by turn, then by number."""
        rank = np.arange(units)
        for turn, mask in enumerate(self.masks):
            own = units_of(mask)
            rank[own[own < first]] += (turn - len(self.masks)) * first
        return rank


def packed(units: npt.NDArray[np.integer[Any]], words: int) -> Words:
    """Packed bits (words,) of some unit numbers."""
    flags = np.zeros(64 * words, np.uint8)
    flags[units] = 1
    return np.packbits(flags, bitorder="little").view(np.uint64)


def units_of(words: Words) -> npt.NDArray[np.int64]:
    """The unit numbers whose bits are set, ascending."""
    return np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little"))
