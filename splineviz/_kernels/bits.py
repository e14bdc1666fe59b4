"""Bit-packed signs: 64 units per word, unit i in bit i % 64 of word i // 64.
Also which values count as 0, counting and listing the bits that are set, and hashes of unit numbers.

numba turns a sum of uint64 and a signed integer into float64, so every constant here is a uint64.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from splineviz._kernels.jit import njit
from splineviz.errors import FloatArray

ONE = np.uint64(1)
_M1 = np.uint64(0x5555555555555555)
_M2 = np.uint64(0x3333333333333333)
_M4 = np.uint64(0x0F0F0F0F0F0F0F0F)
_H = np.uint64(0x0101010101010101)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)


class Scales(NamedTuple):
    """What is read as 0: |z[v, u]| <= tolerance * (rows[v] * units[u] + offsets[u])."""

    rows: FloatArray
    units: FloatArray
    offsets: FloatArray
    tolerance: float


class Reading(NamedTuple):
    """The inputs z (V, units) of a layer as they are read: packed signs (V, words), and what counts as 0."""

    plus: npt.NDArray[np.uint64]
    minus: npt.NDArray[np.uint64]
    z: FloatArray
    scales: Scales


@njit(nogil=True, cache=True, inline="always")
def popcount(x):
    """Number of set bits."""
    x = x - ((x >> ONE) & _M1)
    x = (x & _M2) + ((x >> np.uint64(2)) & _M2)
    x = (x + (x >> np.uint64(4))) & _M4
    return np.int64((x * _H) >> np.uint64(56))


@njit(nogil=True, cache=True, inline="always")
def lowest(x):
    """Index of the lowest set bit of x != 0."""
    return popcount((x & (~x + ONE)) - ONE)


@njit(nogil=True, cache=True, inline="always")
def splitmix(x):
    """One round of splitmix64: a bijection of 64-bit words that looks random."""
    x = x + _GOLDEN
    x = (x ^ (x >> np.uint64(30))) * _MIX1
    x = (x ^ (x >> np.uint64(27))) * _MIX2
    return x ^ (x >> np.uint64(31))


@njit(nogil=True, cache=True)
def unit_hashes(first, count):
    """(count,) splitmix64 of the global unit numbers first + 1, first + 2, ...; a pattern's hash is their XOR."""
    hashes = np.empty(count, np.uint64)
    for i in range(count):
        hashes[i] = splitmix(np.uint64(first + i + 1))
    return hashes


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def sign_bits(z, row_scale, unit_scale, unit_offset, tolerance, inverse_size, low, high, plus, minus, norm):
    """Signs of z (V, n) into plus and minus (V, words); |z| <= tolerance * (row * unit + offset) is 0.

    norm (V,) receives the norm of each row after the kink, of slopes low and high, times inverse_size (n,), or -1 where
    low is 0, so that negative units pass nothing on, and all are negative: what follows is exact there. Returns how many
    values were read as 0 that are not exactly 0, and how many in all.
    Without branches in the inner loops, so that the compiler can use vector instructions.
    """
    rows, units = z.shape
    near, zeros = 0, 0
    for v in range(rows):
        row = tolerance * row_scale[v]
        total, asleep = 0.0, low == 0.0
        for w in range(plus.shape[1]):
            p, m, zero = np.uint64(0), np.uint64(0), np.uint64(0)
            base = 64 * w
            for i in range(min(64, units - base)):
                x = z[v, base + i]
                limit = row * unit_scale[base + i] + tolerance * unit_offset[base + i]
                bit = np.uint64(i)
                p |= np.uint64(x > limit) << bit
                m |= np.uint64(x < -limit) << bit
                zero |= np.uint64(x == 0.0) << bit
                total += ((high * max(x, 0.0) + low * min(x, 0.0)) * inverse_size[base + i]) ** 2
            plus[v, w] = p
            minus[v, w] = m
            here = min(64, units - base)
            near += here - popcount(p | m | zero)
            zeros += here - popcount(p | m)
            asleep &= popcount(m) == here
        norm[v] = -1.0 if asleep else np.sqrt(total)
    return near, zeros


def packed(units: npt.NDArray[np.integer[Any]], words: int) -> npt.NDArray[np.uint64]:
    """Packed bits (words,) of some unit numbers."""
    flags = np.zeros(64 * words, np.uint8)
    flags[units] = 1
    return np.packbits(flags, bitorder="little").view(np.uint64)


def units_of(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """The unit numbers whose bits are set, ascending."""
    return np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little"))
