r"""Limbs: rows of large integers through an operation that multiplies with weights, exactly, by sums that doubles hold.

    integers (n,) -> limbs (L, n) of `LIMB` bits -> the network's own call with each digit of its weights -> carried together

Limbs and digits are whole numbers, and sums of their products stay below 2^53, so no order of summation rounds them. One
call takes all limbs of a row at once, for a row of a thousand bits about ten times as quickly as its products one by one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from splineviz.errors import FloatArray
from splineviz.geometry.integers import Row

LIMB = 16
"""Bits of a limb: two bytes."""
MANTISSA = 53
"""Whole numbers below 2^53 are doubles."""
LEAST_BITS = 8
"""Weights in smaller digits than that are not worth it ..."""
MOST_DIGITS = 6
"""... nor in more of them: their sizes differ by too much."""
ENTRIES = 1 << 22
"""Entries of a call's result, about; more limbs are handed over in several calls."""


Call = Callable[[FloatArray, FloatArray], FloatArray]


class LimbProduct:
    """A linear operation as integers: row (n,) -> row (m,), times 2^-exponent.

    call(x (L, *shape), digit of the weight) -> (L, *to), linear in both. digits: of the weight, `bits` bits each, the finest
    last.
    """

    def __init__(
        self, call: Call, shape: tuple[int, ...], digits: list[FloatArray], bits: int, exponent: int
    ):
        self.exponent = exponent
        self._call, self._shape, self._digits, self._bits = call, shape, digits, bits

    def __call__(self, row: Row) -> Row:
        """The product of a row of integers."""
        limbs = _limbs(row)
        total: Row | None = None
        for digit in self._digits:
            term = _carried(self._called(limbs, digit))
            total = term if total is None else total * (1 << self._bits) + term
        assert total is not None
        return total

    def cost(self, row: Row) -> int:
        """How many limbs are multiplied with a weight each."""
        return -(-_bits(row) // LIMB) * len(self._digits)

    def _called(self, limbs: FloatArray, digit: FloatArray) -> FloatArray:
        first = self._call(limbs[:1].reshape(1, *self._shape), digit).reshape(1, -1)
        some = max(1, ENTRIES // max(limbs.shape[1], first.shape[1]))
        parts = [first]
        for at in range(1, len(limbs), some):
            part = limbs[at : at + some]
            parts.append(self._call(part.reshape(-1, *self._shape), digit).reshape(len(part), -1))
        return np.concatenate(parts)


def limb_product(call: Call, shape: tuple[int, ...], weight: FloatArray) -> LimbProduct | None:
    """A bilinear call of rows (1, *shape) and a weight of doubles; None where it is better taken product by product."""
    most = float(np.abs(call(np.ones((1, *shape)), np.ones_like(weight))).max(initial=0.0))
    # Limbs are below 2^16, digits at most 2^(bits - 1).
    bits = MANTISSA - LIMB - int(np.ceil(np.log2(max(most, 1.0)))) + 1
    if bits < LEAST_BITS or not np.isfinite(weight).all():
        return None
    top = int(np.frexp(np.abs(weight).max(initial=0.0))[1]) + 1
    rest, digits, exponent = np.ldexp(weight, -top), list[FloatArray](), -top
    while not digits or rest.any():
        if len(digits) == MOST_DIGITS:
            return None
        rest = np.ldexp(rest, bits)
        exponent += bits
        digits.append(np.rint(rest))
        rest = rest - digits[-1]
    return LimbProduct(call, shape, digits, bits, exponent)


def _bits(row: Row) -> int:
    return max(max(int(n).bit_length() for n in row), 1) if len(row) else 1


def _limbs(row: Row) -> FloatArray:
    """(L, n) limbs, the smallest first, of the sign of their integer."""
    size = 2 * -(-_bits(row) // LIMB)
    whole = b"".join(abs(n).to_bytes(size, "little") for n in row.tolist())
    limbs = np.frombuffer(whole, "<u2").reshape(len(row), size // 2).astype(np.float64)
    limbs *= np.array([-1.0 if n < 0 else 1.0 for n in row.tolist()])[:, None]
    return np.ascontiguousarray(limbs.T)


def _carried(sums: FloatArray) -> Row:
    """(m,) integers of which these (L, m) are the limbs, each up to 2^53 large, the smallest first."""
    whole = sums.astype(np.int64)
    count, m = whole.shape
    carry, low = np.zeros(m, np.int64), np.empty((m, count), "<u2")
    for k in range(count):
        total = whole[k] + carry
        low[:, k] = total & ((1 << LIMB) - 1)
        carry = total >> LIMB
    data, size, out = low.tobytes(), 2 * count, np.empty(m, object)
    for i, above in enumerate(carry.tolist()):
        out[i] = int.from_bytes(data[i * size : (i + 1) * size], "little") + (above << (LIMB * count))
    return out
