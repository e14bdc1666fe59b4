"""Activations: calls of kinks and maxima -> steps on a tape, written in the kinks that the enumerator knows.
Clamps and thresholds, sorting and what is picked from a sorted order, running maxima and max-pooling are here, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from splineviz.tracing import maxima
from splineviz.tracing.call import Call, Emitter, Result, alone
from splineviz.tracing.kinks import KINKS
from splineviz.tracing.smooth import SMOOTH
from splineviz.tracing.tape import Live


def kink(op: str) -> Emitter:
    """A kink with the arguments of the call."""

    def emit(call: Call) -> Live:
        given = {name: float(call.get(name, at, default)) for name, (at, default) in KINKS[op].arguments.items()}
        return call.tape.kink(op, call.live, **given)

    return emit


def smooth(op: str) -> Emitter:
    """A function without knots, where the tape takes them."""

    def emit(call: Call) -> Live:
        if not call.tape.smooth:
            raise call.refused()
        given = {name: call.get(name, at, default) for name, (at, default) in SMOOTH[op].arguments.items()}
        if given.get("dim", 0) is None:
            raise call.refused("names no dimension; name the one it goes over")
        return call.tape.emit(op, call.live, **given)

    return emit


def clamped(call: Call, low: Any, high: Any) -> Live:
    """Clamp to numbers or tensors, either of which may be None."""
    if any(isinstance(bound, (Tensor, Live)) for bound in (low, high)):
        z: Any = call.get("input", 0)
        if isinstance(low, Live) and isinstance(high, Live):
            raise call.refused("has two bounds that depend on the input; use torch.maximum and torch.minimum")
        for bound, sign in ((low, 1), (high, -1)):
            z = z if bound is None else _bounded(call, z, bound, sign)
        return z
    if low is None and high == 0.0:  # min(z, 0) = -relu(-z), without a detour
        return call.tape.scaled(call.tape.emit("relu", call.tape.scaled(call.live, -1.0)), -1.0)
    if high is None and low == 0.0:
        return call.tape.emit("relu", call.live)
    return call.tape.kink(
        "clamp", call.live, min=None if low is None else float(low), max=None if high is None else float(high)
    )


def prelu(call: Call, weight: Tensor) -> Live:
    """relu(z) + a (z - relu(z)): its slopes are a weight, so they are no part of the structure."""
    z = call.live
    positive = call.tape.emit("relu", z)
    negative = call.tape.emit("add", z, positive, alpha=-1)
    shape = [1, -1] + [1] * (z.value.dim() - 2) if weight.numel() > 1 else [1] * z.value.dim()
    view = weight.reshape(shape) if z.value.dim() > 1 else weight
    call.tape.computed(view, call.tape.sources.get(id(weight), set()))
    return call.tape.emit("add", positive, call.tape.emit("scale", negative, params={"factor": view}), alpha=1)


def thresholded(call: Call, threshold: float, value: float) -> Live:
    """The input where it is above the threshold, else the value; continuous only where both are one."""
    if threshold != value:
        raise call.refused(
            f"jumps from {value:g} to {threshold:g}, so the network is not continuous; make threshold and value equal"
        )
    return clamped(call, threshold, None)


def _bounded(call: Call, a: Any, b: Any, sign: int) -> Live:
    """The larger (sign 1) or smaller (-1) of a live tensor and a live one, a constant or a number."""
    if isinstance(a, Live) and isinstance(b, Live):
        return call.tape.larger(a, b) if sign > 0 else call.tape.smaller(a, b)
    x, constant = (a, b) if isinstance(a, Live) else (b, a)
    constant = alone(call, constant)
    if not isinstance(constant, Tensor):
        bound = float(constant)
        return call.tape.kink("clamp", x, min=bound if sign > 0 else None, max=bound if sign < 0 else None)
    z = call.tape.emit("shift", x, params={"value": constant}, alpha=-1)
    z = call.tape.scaled(call.tape.emit("relu", call.tape.scaled(z, float(sign))), float(sign))
    return call.tape.emit("shift", z, params={"value": constant}, alpha=1)


def extreme(sign: int) -> Emitter:
    """Maximum and minimum of two tensors (x.max(y)), or the largest over a dimension (x.amax(1), x.max(1).values)."""

    def emit(call: Call) -> Result:
        a, b = call.args[0], call.get("other", 1)
        if isinstance(b, (Live, Tensor)):
            return _bounded(call, a, b, sign)
        dim = call.get("dim", 1, ())
        dims = list(dim) if isinstance(dim, (list, tuple)) else [dim]
        if not dims or any(d % a.value.dim() == 0 for d in dims):
            raise call.refused("mixes the batch dimension with others; name the dimensions it goes over")
        keepdim = bool(call.get("keepdim", 2, False))
        x = call.tape.scaled(call.live, float(sign))
        found = call.tape.scaled(largest(call, "amax", x, {"dim": dims, "keepdim": keepdim}), float(sign))
        return found if isinstance(call.value, Tensor) else (found,)  # values; indices jump and are left out

    return emit


MOST_SORTED = 64


def in_order(call: Call, dim: Any, descending: bool, first: int = 0, count: int | None = None) -> Live:
    """Entries sorted over a dimension, or `count` of these from `first` on: a network of comparisons, each a ReLU.

    Batcher's odd-even merge sort (1968), which compares the same places whatever the values are.
    """
    x = call.live
    shape = list(x.value.shape[1:])
    d = _dimension(call, dim) - 1
    n = shape[d]
    if n > MOST_SORTED:
        raise call.refused(f"sorts {n} entries, of which at most {MOST_SORTED} can be compared with each other")
    z = call.tape.emit("reshape", x, shape=[math.prod(shape)])
    rows = np.moveaxis(np.arange(math.prod(shape)).reshape(shape), d, -1)  # places in z of each group, along the last axis
    for pairs in _comparisons(n):
        low, high = (rows[..., [pair[side] for pair in pairs]].reshape(-1) for side in (0, 1))
        a, b = (call.tape.emit("getitem", z, key=[{"list": side.tolist()}]) for side in (low, high))
        more = call.tape.emit("relu", call.tape.emit("add", a, b, alpha=-1))
        parts = [call.tape.emit("add", a, more, alpha=-1), call.tape.emit("add", b, more, alpha=1)]
        rest = np.setdiff1d(np.arange(rows.size), np.concatenate([low, high]))
        parts += [call.tape.emit("getitem", z, key=[{"list": rest.tolist()}])] if rest.size else []
        joined = call.tape.emit("cat", *parts, dim=1)
        back = np.argsort(np.concatenate([low, high, rest]))
        z = call.tape.emit("getitem", joined, key=[{"list": back.tolist()}])
    rows = (rows[..., ::-1] if descending else rows)[..., first : None if count is None else first + count]
    rows = np.moveaxis(rows, -1, d)
    z = call.tape.emit("getitem", z, key=[{"list": rows.reshape(-1).tolist()}])
    return call.tape.emit("reshape", z, shape=list(rows.shape))


def _dimension(call: Call, dim: Any) -> int:
    """The one dimension that a call goes over, counted from 0. Raises TraceError for the batch, and for all at once."""
    at = 0 if dim is None else int(dim) % call.live.value.dim()
    if at == 0:
        raise call.refused("mixes the batch dimension with others; name the dimension that it goes over")
    return at


def _comparisons(n: int) -> Iterator[list[tuple[int, int]]]:
    """Rounds of pairs (i, j), i < j, whose smaller entry goes to i and larger one to j."""
    p = 1
    while p < n:
        k = p
        while k:
            found = [
                (i + j, i + j + k)
                for j in range(k % p, n - k, 2 * k)
                for i in range(min(k, n - j - k))
                if (i + j) // (2 * p) == (i + j + k) // (2 * p)
            ]
            if found:
                yield found
            k //= 2
        p *= 2


def sort(call: Call) -> Result:
    """Sorted entries; where they came from jumps and is left out."""
    return (in_order(call, call.get("dim", 1, -1), bool(call.get("descending", 2, False))),)


def topk(call: Call) -> Result:
    """The largest or smallest entries in order."""
    return (in_order(call, call.get("dim", 2, -1), bool(call.get("largest", 3, True)), 0, int(call.get("k", 1))),)


def kthvalue(call: Call) -> Result:
    """The k-th smallest entry."""
    return _kth(call, int(call.get("k", 1)) - 1, call.get("dim", 2, -1), bool(call.get("keepdim", 3, False)))


def _kth(call: Call, k: int, dim: Any, keepdim: bool) -> Result:
    """The k-th smallest entry, from 0."""
    found, at = in_order(call, dim, False, k, 1), _dimension(call, dim)
    kept = [n for i, n in enumerate(found.value.shape) if i and (keepdim or i != at)]
    return (call.tape.emit("reshape", found, shape=kept),)


def median(call: Call) -> Result:
    """The lower one of the entries in the middle."""
    dim = _dimension(call, call.get("dim", 1))
    n = call.live.value.shape[dim]
    return _kth(call, (n - 1) // 2, dim, bool(call.get("keepdim", 2, False)))


def running(sign: int) -> Emitter:
    """The largest (sign 1) or smallest entry so far along a dimension."""

    def emit(call: Call) -> Result:
        dim = _dimension(call, call.get("dim", 1))
        n, z, reach = call.live.value.shape[dim], call.live, 1
        while reach < n:
            parts = [
                call.tape.emit("getitem", z, key=[[None, None, None]] * (dim - 1) + [{"list": list(places)}])
                for places in (range(reach), range(reach, n), range(n - reach))
            ]
            further = call.tape.larger(*parts[1:]) if sign > 0 else call.tape.smaller(*parts[1:])
            z = call.tape.emit("cat", parts[0], further, dim=dim)
            reach *= 2
        return (z,)

    return emit


def max_pool(op: str) -> Emitter:
    """Max-pooling."""

    def emit(call: Call) -> Live:
        kernel = call.get("kernel_size", 1)
        stride = call.get("stride", 2)
        attrs = {
            "kernel_size": kernel,
            "stride": kernel if stride in (None, []) else stride,
            "padding": call.get("padding", 3, 0),
            "dilation": call.get("dilation", 4, 1),
            "ceil_mode": bool(call.get("ceil_mode", 5, False)),
        }  # fmt: skip
        if not isinstance(call.value, Tensor):
            raise call.refused("gives indices, which jump; leave return_indices out")
        return largest(call, op, call.live, attrs)

    return emit


def adaptive_max_pool(op: str) -> Emitter:
    """Adaptive max-pooling."""
    return lambda call: largest(call, op, call.live, {"output_size": call.get("output_size", 1)})


def largest(call: Call, op: str, x: Live, attrs: Mapping[str, Any]) -> Live:
    """A max operation of `maxima`: as it is, or as ReLUs where no group has more than two entries."""
    shape = x.value.shape[1:]
    table = maxima.groups(op, attrs, shape)
    if table.shape[1] > 2:
        return call.tape.emit(op, x, **attrs)
    result = maxima.MAXES[op](x.value, attrs).shape[1:]
    flat = call.tape.emit("reshape", x, shape=[math.prod(shape)])
    first = call.tape.emit("getitem", flat, key=[{"list": table[:, 0].tolist()}])
    if table.shape[1] == 2:
        # A group of one entry is compared with itself: a unit that is 0 everywhere has no knot.
        other = [int(b) if b >= 0 else int(a) for a, b in table]
        first = call.tape.larger(first, call.tape.emit("getitem", flat, key=[{"list": other}]))
    return call.tape.emit("reshape", first, shape=list(result))
