"""Phases: where the descent and the ascent of the local complexity end, if the curve has them beyond its noise.
Here too: the row of the peak, and the two moments of training that are worth a look.

    value  *                   *        A curve of pure noise has a lowest value and a higher one after it, too. So the rise
            *     rise       *   *      counts only where it is larger than what noise alone would give: flat curves with
              * . . . . . *       *     noise as large as the curve's own are drawn, and all but one in LEVEL rise less.
                low             peak

The noise of a value is that of its mean, from the 99% band that stands beside it; a curve without bands is judged by how far
its values lie from a smooth line (second differences). Knows rows of numbers alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from splineviz.drawing import curves
from splineviz.drawing.curves import Row
from splineviz.errors import FloatArray

LEVEL = 200
"""One flat curve in so many is taken for one with phases."""

BAND = 2.576
"""Half-width of a 99% band, in standard deviations."""

FEWEST = 8
"""A curve without bands has noise that can be judged from so many values on; a shorter one is taken as it is."""

DRAWS = 4000


def phases(table: Sequence[Row], name: str = "lc_train") -> tuple[int, int] | None:
    """Rows where the descent and the ascent of the local complexity end; None for a curve without a rise and a fall.

    The descent ends at the lowest value that a higher one follows by most, the ascent at the largest value after it. A rise
    that noise of the curve's size would give is none.
    """
    values = curves.column(table, name)
    if not np.isfinite(values).all() or len(values) < 3:
        return None
    rises = _rises(values)
    low = int(rises.argmax())
    peak = low + int(values[low:].argmax())
    return (low, peak) if rises[low] > _by_noise(values, curves.column(table, f"{name}_band")) else None


def peak(table: Sequence[Row], name: str = "lc_train") -> int:
    """The row where the ascent ends; 0 for a curve without one."""
    found = phases(table, name)
    return 0 if found is None else found[1]


def moments(table: Sequence[Row]) -> tuple[int, int]:
    """Two rows to look at: the end of the ascent and the last; the end of the descent where training stops at the peak."""
    found, last = phases(table), len(table) - 1
    if found is None:
        return 0, last
    return (found[1] if found[1] < last else found[0]), last


def _rises(values: FloatArray) -> FloatArray:
    """(..., n) how far a value at or after each lies above it, at most."""
    return np.asarray(np.maximum.accumulate(values[..., ::-1], axis=-1)[..., ::-1] - values, dtype=np.float64)


def _by_noise(values: FloatArray, bands: FloatArray) -> float:
    """The largest rise that all but one in LEVEL flat curves stay below, whose noise is that of the curve."""
    share = 1.0 - 1.0 / LEVEL
    drawn = np.random.default_rng(0).standard_normal((DRAWS, len(values)))
    if np.isfinite(bands).any():
        return float(np.quantile(_rises(drawn * (np.nan_to_num(bands) / BAND)).max(axis=1), share))
    if len(values) < FEWEST:
        return 0.0
    # The noise is itself estimated, so that of every curve drawn is, too.
    return float(np.quantile(_rises(drawn).max(axis=1) / _bend(drawn), share) * _bend(values))


def _bend(values: FloatArray) -> FloatArray:
    """(...,) median second difference of curves (..., n): proportional to their noise, and small for a smooth line."""
    return np.asarray(np.median(np.abs(np.diff(values, 2, axis=-1)), axis=-1), dtype=np.float64)
