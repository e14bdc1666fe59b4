"""Budget: how many regions, bytes and seconds an enumeration may take, kept before memory is taken; sizes of blocks.

`Spent` is what one enumeration has used so far; it is asked before a block's values are made, and raises `Exceeded`, which
the caller turns into a BudgetError in words. Knows no networks.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from numbers import Real

import numpy as np

from splineviz.errors import BudgetError

BLOCK_BYTES, MOST_BLOCK_BYTES = 16 << 20, 64 << 20
"""Smallest and largest default size of a block's values. The first is about what a cache holds for a thread; in blocks of
half that size 80,000 regions take a fifth longer, for vertices on seams are worked on by both sides."""
WIDE_ROWS = 128
"""Where a network is so wide that fewer vertices fill a block, blocks are larger, up to the largest."""
EVALUATED_BYTES, HEAVY_BYTES, HEAVY = 32 << 20, 64 << 20, 32.0
"""Default sizes where all vertices are evaluated in full; the second from how many products the network has for a byte
of its widest tensor: there a row costs so much more than to fetch it that what counts is that few vertices lie on seams,
where each is evaluated for both sides; not beside weights that fill the memory. Larger arrays than the first are got from
the system anew each time."""


def block_bytes(widest: int, products: int | None) -> int:
    """Bytes of a block's values: small enough for the cache, but enough rows for a product to be worth while.

    widest: entries of the widest tensor; products: of numbers for a row, None where few vertices are evaluated in full.
    """
    if products is not None:
        return HEAVY_BYTES if products > HEAVY * 8 * widest else EVALUATED_BYTES
    return int(np.clip(8 * widest * WIDE_ROWS, BLOCK_BYTES, MOST_BLOCK_BYTES))


@dataclass(frozen=True)
class Budget:
    """None: no limit. seconds: of wall time, from the call; bytes: of blocks and finished pieces in memory."""

    regions: int | None = None
    bytes: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("regions", "bytes", "seconds"):
            limit = getattr(self, name)
            number = isinstance(limit, Real) and not isinstance(limit, (bool, np.bool_))
            if limit is not None and not (number and limit > 0):
                raise BudgetError(f"max_{name}: expected a number above 0, or None, got {limit!r}.")


class Exceeded(Exception):
    """What is used up ("regions", "bytes", "seconds"), how much of it, and the share of the window that was done."""

    def __init__(self, what: str, found: float, done: float):
        super().__init__(what, found, done)
        self.what, self.found, self.done = what, found, done

    def told(self, budget: Budget) -> str:
        """The first half of an error message."""
        limit = getattr(budget, self.what)
        when = f"when {self.done:.0%} of the window was done"
        if self.what == "regions":
            return f"window: expected at most {limit} regions (max_regions), found {self.found:.0f} {when}"
        if self.what == "seconds":
            return f"window: expected at most {limit:g} s (max_seconds), used up {when}"
        found = f"would have taken {self.found / 1e9:.3g} GB"
        return f"window: expected at most {limit / 1e9:.3g} GB (max_bytes), {found} {when}"


class Spent:
    """What one enumeration has used: regions known, bytes held, the share that is done. Safe to use from several threads."""

    def __init__(self, budget: Budget, began: float):
        self.budget = budget
        self.known, self.held, self.done = 1, 0, 0.0
        self._deadline = None if budget.seconds is None else began + budget.seconds
        self._lock = threading.Lock()

    def check(self, *, regions: int = 0, bytes_: int = 0) -> None:
        """Raise Exceeded if so many more would be too many, or the time is up."""
        with self._lock:
            if self.budget.regions is not None and self.known + regions > self.budget.regions:
                raise Exceeded("regions", self.known + regions, self.done)
            if self.budget.bytes is not None and self.held + bytes_ > self.budget.bytes:
                raise Exceeded("bytes", self.held + bytes_, self.done)
            if self._deadline is not None and time.perf_counter() > self._deadline:
                raise Exceeded("seconds", time.perf_counter() - self._deadline, self.done)

    def add(self, *, regions: int = 0, bytes_: int = 0, share: float = 0.0) -> None:
        """Count what has come or, below 0, gone."""
        with self._lock:
            self.known += regions
            self.held += bytes_
            self.done += share
