r"""Integers: rows of large integers over a power of two, as floats are; points of them, and fractions as floats.

A register of a network in integers is a row n and an exponent e: values n / 2^e.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from splineviz.errors import FloatArray

Row = npt.NDArray[np.object_]
Point = tuple[int, int, int]
Register = tuple[Row, int]


def integers(array: FloatArray) -> Register:
    """Floats as integers n over one power of two: n * 2^-exponent."""
    mantissa, power = np.frexp(np.asarray(array, np.float64))
    whole = np.round(np.ldexp(mantissa, 53)).astype(np.int64)
    power = power.astype(np.int64) - 53
    exponent = -int(power[whole != 0].min(initial=0))
    row = np.empty(len(whole), object)
    row[:] = [n << (p + exponent) if n else 0 for n, p in zip(whole.tolist(), power.tolist(), strict=True)]
    union = 0
    for n in row:
        union |= n
    spare = (union & -union).bit_length() - 1 if union else 0
    shift = min(spare, exponent)  # so that no exponent is negative: large whole numbers are shifted up
    row[:] = [n >> shift if shift > 0 else n << -shift for n in row]
    return row, exponent - shift


def added(one: Register, other: Register) -> Register:
    """The sum, over the finer power of two."""
    (a, e), (b, f) = one, other
    if e < f:
        a = a * (1 << (f - e))
    elif f < e:
        b = b * (1 << (e - f))
    return a + b, max(e, f)


def bent(x: Register, slopes: Sequence[int], exponent: int) -> Register:
    """A kink at 0, with slopes below and above it that are over 2^exponent."""
    row, e = x
    below, above = slopes
    out = np.empty(len(row), object)
    out[:] = [n * above if n > 0 else n * below for n in row]
    return out, e + exponent


def reduced(x: int, y: int, w: int) -> Point:
    """A point without a common divisor."""
    divisor = math.gcd(x, y, w)
    return (x // divisor, y // divisor, w // divisor) if divisor > 1 else (x, y, w)


def rounded(numerator: int, denominator: int) -> float:
    """A fraction as a float of the same sign: 0 for 0 alone."""
    if numerator == 0:
        return 0.0
    try:
        value = numerator / denominator
    except OverflowError:
        value = math.inf
    if value == 0.0 or not math.isfinite(value):
        value = (1e-290 if value == 0.0 else 1e290) * (1 if (numerator > 0) == (denominator > 0) else -1)
    return value


def rounded_row(numerators: Row, denominator: int) -> FloatArray:
    """Fractions of one denominator as floats of their signs."""
    return np.array([rounded(n, denominator) for n in numerators])
