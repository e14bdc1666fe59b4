r"""Limbs: rows of large integers through an operation that multiplies with weights, exactly, by sums that doubles hold.

    integers (n,) -> limbs (L, n) of `LIMB` bits -> the network's own call with each digit of its weights -> carried together

Limbs and digits are whole numbers, and sums of their products stay below 2^53, so no order of summation rounds them. One
call takes all limbs of a row at once, for a row of a thousand bits about ten times as quickly as its products one by one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from splineviz.errors import FloatArray
from splineviz.regions.integers import Row

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


Call = Callable[[Tensor, Tensor], Tensor]


class LimbProduct:
    """A linear operation as integers: row (n,) -> row (m,), times 2^-exponent.

    call(x (L, *shape), digit of the weight) -> (L, *to). digits: of the weight, the finest last, `bits` bits each.
    """

    def __init__(
        self, call: Call, shape: tuple[int, ...], digits: list[Tensor], bits: int, exponent: int
    ):
        self.exponent = exponent
        self._call, self._shape, self._digits, self._bits = call, shape, digits, bits

    def __call__(self, row: Row) -> Row:
        """The product of a row of integers."""
        limbs = torch.from_numpy(_limbs(row))
        total: Row | None = None
        for digit in self._digits:
            term = _carried(self._called(limbs, digit))
            total = term if total is None else total * (1 << self._bits) + term
        assert total is not None
        return total

    def cost(self, row: Row) -> int:
        """How many limbs are multiplied with a weight each."""
        return -(-_bits(row) // LIMB) * len(self._digits)

    def _called(self, limbs: Tensor, digit: Tensor) -> FloatArray:
        with torch.no_grad():
            first = self._call(limbs[:1].reshape(1, *self._shape), digit).reshape(1, -1)
            some = max(1, ENTRIES // max(limbs.shape[1], first.shape[1]))
            parts = [first]
            parts += [self._call(part.reshape(-1, *self._shape), digit).flatten(1) for part in limbs[1:].split(some)]
        return torch.cat(parts).numpy()


def limb_product(call: Call, shape: tuple[int, ...], weight: Tensor) -> LimbProduct | None:
    """A bilinear call of rows (1, *shape) and a weight of doubles; None where it is better taken product by product."""
    with torch.no_grad():
        summed = call(torch.ones(1, *shape, dtype=torch.float64), torch.ones_like(weight))
    most = float(summed.abs().max()) if summed.numel() else 0.0
    # Limbs are below 2^16, digits at most 2^(bits - 1).
    bits = MANTISSA - LIMB - int(np.ceil(np.log2(max(most, 1.0)))) + 1
    if bits < LEAST_BITS or not bool(torch.isfinite(weight).all()):
        return None
    top = int(np.frexp(float(weight.abs().max()))[1]) + 1 if weight.numel() else 0
    rest, digits, exponent = np.ldexp(weight.numpy(), -top), list[Tensor](), -top
    while not digits or rest.any():
        if len(digits) == MOST_DIGITS:
            return None
        rest = np.ldexp(rest, bits)
        exponent += bits
        digits.append(torch.from_numpy(np.rint(rest)))
        rest = rest - digits[-1].numpy()
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
