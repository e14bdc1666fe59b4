r"""Thinning: some of many faces, each kept with a known chance and weighted by its inverse; plain arrays alone.

    sizes   ---|-----|-|-|--------|---|--     laid end to end, in an order in which neighbours are alike, and read off at
    read at     ^      ^      ^      ^        even steps from a random start: a face of a size s is kept with the chance
                                              min(1, s / step), and what is kept is spread as evenly as what there was

Totals of what is kept, over the chances, are right on average (Horvitz and Thompson 1952). A face is thinned again among the
parts that it was cut into, so the error is summed over all times: at each by the differences of neighbours in the order, for
what lies between them is what an even step can miss. Of a face that already stood for many, its share of the error was seen
at the earlier times, through the totals; of the later times one part in so many is added, as in sampling in several stages.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from splineviz.errors import FloatArray

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Stage:
    """One thinning: chance (n,) of each face that was kept, in the order they were read in, and its weight before."""

    chance: FloatArray
    weight: FloatArray


def chances(sizes: FloatArray, count: int) -> FloatArray:
    """Chances (n,) in proportion to sizes (n,) > 0, at most 1 each, that sum to count or, if there are fewer, are all 1."""
    found = np.ones(len(sizes))
    open_ = np.arange(len(sizes))
    left = float(count)
    while len(open_) > left:
        share = sizes[open_] * (left / sizes[open_].sum())
        sure = share >= 1.0
        if not sure.any():
            found[open_] = share
            break
        left -= int(sure.sum())
        open_ = open_[~sure]
    return found


def kept(chance: FloatArray, rng: np.random.Generator) -> Ids:
    """Ids, ascending, of what is kept by the chances (n,): an even step from a random start."""
    ends = np.cumsum(chance) + rng.random()
    return np.flatnonzero((np.floor(ends) > np.floor(np.concatenate([[ends[0] - chance[0]], ends[:-1]]))) | (chance >= 1.0))


def order(points: FloatArray) -> Ids:
    """An order of points (n, 2) in which neighbours lie close together, at any scale: halved across by number, in turns."""
    ranks = np.empty((len(points), 2), np.int64)
    for axis in (0, 1):
        ranks[np.argsort(points[:, axis], kind="stable"), axis] = np.arange(len(points))
    return np.argsort(_hilbert(ranks, max(1, int(len(points)).bit_length())), kind="stable")


def _hilbert(cells: Ids, bits: int) -> Ids:
    """Places of cells (n, 2) along Hilbert's curve through a grid of 2^bits cells a side."""
    x, y = cells.T.copy()
    found, all_bits = np.zeros(len(cells), np.int64), (1 << bits) - 1
    for level in range(bits - 1, -1, -1):
        side = 1 << level
        right, upper = (x & side) > 0, (y & side) > 0
        found += side * side * ((3 * right) ^ upper)
        turned = ~upper & right
        x, y = np.where(turned, all_bits ^ x, x), np.where(turned, all_bits ^ y, y)
        x, y = np.where(upper, x, y), np.where(upper, y, x)
    return found


def variance(stages: list[Stage], owners: list[Ids], totals: FloatArray) -> float:
    """Variance of a sum of totals (n,), estimated; owners: for each stage, which face of it (n,) each total came from."""
    found = 0.0
    for stage, owner in zip(stages, owners, strict=True):
        count = len(stage.chance)
        total = np.bincount(owner, weights=totals, minlength=count)
        left = np.flatnonzero(stage.chance < 1.0)
        if len(left) < 2:
            continue
        doubt = (1.0 - stage.chance[left]) / stage.weight[left]
        gaps = np.diff(total[left])
        found += float((0.5 * (doubt[1:] + doubt[:-1]) * gaps**2).sum()) * 0.5 * len(left) / (len(left) - 1)
    return found
