"""Scales: how large a window must be to hold about a number of regions, when they are counted at one scale after another.

    count(factor)            a costly answer, with an error
    glance(factor, last)     a cheap one, that goes by the last costly one

The number may stay what it is over many scales, about a star of knots, and jump where others come in. Plain numbers alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import numpy as np

CLOSE = 0.2
"""Logarithm of the ratio of counted and wanted regions at which a scale is good enough."""
TURNS, GLANCES = 24, 6
"""Counts at most, and glances at most between two of them."""
LARGEST = 1e9
"""Largest factor."""


class Count(Protocol):
    """A number of regions; more: whether counting was stopped because there are clearly more than wanted."""

    @property
    def regions(self) -> float:
        """How many."""

    @property
    def more(self) -> bool:
        """Whether there are more."""


C = TypeVar("C", bound=Count)


def scale_for(
    wanted: float, count: Callable[[float], C], glance: Callable[[float, C], float] | None, least: float
) -> tuple[float, C, C]:
    """The factor at which about so many regions were counted; that count, and the last one.

    glance: None where a count is as cheap; least: smallest factor. The count says `more` where there was none without.
    """
    low, high, factor = 0.0, np.inf, 1.0
    best: tuple[float, float, C] | None = None
    for turn in range(TURNS):
        found = count(factor)
        share = found.regions / wanted
        away = abs(float(np.log(share))) + (np.inf if found.more else 0.0)
        best = (away, factor, found) if best is None or away < best[0] else best
        if away <= CLOSE:
            break
        low, high = (factor, high) if share < 1 else (low, factor)
        if not least < factor < LARGEST or low > 0.97 * high:
            break
        # In proportion to the area, as long as that stays between what is known to be too small and too large.
        guess = factor * float(np.clip(1.0 / np.sqrt(share), 0.001, 50.0))
        if high == np.inf and turn:  # about a star of knots the number stays what it is, over many scales
            guess *= 4.0 ** min(turn, 5)
        factor = guess if low < guess < high else float(np.sqrt(low * high)) if low > 0 else 0.2 * high
        if glance is not None:
            factor = _glanced(wanted, factor, found, glance, low, high)
    assert best is not None
    return best[1], best[2], found


def _glanced(wanted: float, factor: float, last: C, glance: Callable[[float, C], float], low: float, high: float) -> float:
    """A better factor between two others, after a few glances."""
    for _ in range(GLANCES):
        share = glance(factor, last) / wanted
        guess = factor * float(np.clip(1.0 / np.sqrt(share), 0.2, 5.0))
        if abs(np.log(share)) <= 0.5 * CLOSE or not low < guess < high:
            break
        factor = guess
    return factor


def shrunk(most: float, first: C, glance: Callable[[float, C], float]) -> float:
    """The factor by which to shrink a window of which a count is known, so that it should hold at most so many regions."""
    factor, expected = 1.0, first.regions
    for _ in range(GLANCES):
        if expected <= 0.8 * most:
            break
        # Regions are not spread evenly, so the area alone does not tell: look again at the smaller window.
        factor *= float(np.clip(np.sqrt(0.7 * most / expected), 0.02, 0.9))
        expected = glance(factor, first)
    return factor
