"""Images: what directions become on their way to a network's first kink, for all points or for a few."""

from __future__ import annotations

import threading

import torch
from torch import Tensor

from splineviz.metrics.directions import Directions, Given
from splineviz.metrics.neighbourhoods import Pairs, Parts, Vertices
from splineviz.metrics.screens import Lines, Screen

IMAGE_FLOATS = 1 << 24
"""Numbers in the image of a pool of directions, about, up to which it is kept for all points that choose from it."""


class Images:
    """What the directions of points become before the first kink: of a whole pool, kept, or of a few points alone."""

    def __init__(self, drawn: Directions | Given, counter: Pairs | Vertices, points: int, screen: Screen | None = None):
        self._drawn, self._counter, self._points, self._screen = drawn, counter, points, screen
        self._kept: tuple[int, Parts | Lines] | None = None
        self._making = threading.Lock()

    def of(self, start: int, stop: int) -> tuple[Parts | Lines, Tensor]:
        """Images of directions for r = 1, and which of them points start .. stop - 1 have (stop - start, P)."""
        number, chosen = start // self._drawn.group, self._drawn.chosen(start, stop)
        pool = self._drawn.pool(number)
        if not self.keeps(start):
            return self._made(pool[chosen].flatten(0, 1)), torch.arange(chosen.numel()).reshape(chosen.shape)
        with self._making:
            if self._kept is None or self._kept[0] != number:
                self._kept = (number, self._made(pool))
            return self._kept[1], chosen

    def keeps(self, start: int) -> bool:
        """Whether the image of the whole pool that a point chooses from is made, once: its points use most of it."""
        number = start // self._drawn.group
        pool = self._drawn.pool(number)
        used = self._drawn.num_vectors * min(self._points - number * self._drawn.group, self._drawn.group)
        return len(pool) <= used and len(pool) * self._counter.widest <= IMAGE_FLOATS

    def _made(self, v: Tensor) -> Parts | Lines:
        return self._counter.image(v) if self._screen is None else self._screen.lines(v)
