"""Displaced batches: calls on tensors whose batch is not in front, as torch.stack(members).mean(0) -> steps on a tape.

Programs keep the batch in front. A tensor of the forward with its batch elsewhere is kept as the one with the batch moved
to the front, and calls that leave the rows of the batch apart are written on that one, with their dimensions renumbered:

    forward's dimension   0 1 B 2        is dimension      1 2 0 3      of what is kept

This file knows the calls that people make on such tensors; all others are refused in the words of the call before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from splineviz.errors import TraceError
from splineviz.tracing import kinks
from splineviz.tracing.arithmetic import einsum
from splineviz.tracing.call import Call
from splineviz.tracing.tape import Live

APART = kinks.named().keys() | set(
    "clamp clip clamp_min clamp_max hardtanh threshold neg contiguous clone detach dropout linear to float double".split()
)
"""Calls of one live tensor that treat its entries, or its last dimension, alike wherever the batch is."""
SUMS = frozenset(("mean", "sum", "amax", "amin", "max", "min"))
PAIRS = frozenset("add sub subtract mul multiply div divide true_divide maximum minimum".split())
ORDERS = frozenset(("permute", "transpose", "swapaxes", "movedim", "moveaxis", "t", "getattr"))


@dataclass(frozen=True, eq=False)
class Displaced:
    """A live tensor with its batch at dimension `at`; live: the same, batch in front. refused: words for the rest."""

    live: Live
    at: int
    refused: TraceError

    @property
    def value(self) -> Tensor:
        """Its value on the sample batch, as the forward has it."""
        return self.live.value.movedim(0, self.at)

    def front(self, dim: int) -> int:
        """The number that a dimension of the forward's tensor has in `live`."""
        dim %= self.live.value.dim()
        return 0 if dim == self.at else dim + 1 if dim < self.at else dim

    def like(self, live: Live, at: int) -> Live | Displaced:
        """A result with its batch at a dimension."""
        return live if at == 0 else replace(self, live=live, at=at)


def placed(call: Call, table: Any) -> Any:
    """What a call gives that moves the batch away from the front, or works on a tensor whose batch is elsewhere.

    None where it does neither; raises TraceError where it cannot be written.
    """
    inputs = [a for a in _flat((call.args, list(call.kwargs.values()))) if isinstance(a, (Live, Displaced))]
    moved = [a for a in inputs if isinstance(a, Displaced)]
    if not moved:
        return _away(call)
    x = moved[0]
    rest = [a for a in inputs if a is not x]
    if any(not isinstance(a, Displaced) or a.at != x.at or a.value.dim() != x.value.dim() for a in rest):
        raise x.refused
    found = None
    if call.name in ORDERS:
        found = _ordered(call, x)
    elif call.name in SUMS and not isinstance(call.get("other", 1), Tensor) and not rest:
        found = _summed(call, x, table)
    elif call.name == "getitem":
        found = _picked(call, x)
    elif call.name == "unbind":
        found = _unbound(call, x)
    elif call.name in APART and not rest and (call.name != "linear" or x.at < x.value.dim() - 1):
        found = x.like(table[call.name](_in_front(call, x)), x.at)
    elif call.name in PAIRS:
        found = x.like(table[call.name](_in_front(call, x)), x.at)
    elif call.name in ("matmul", "mm") and x.at == x.value.dim() - 1 == 1 and isinstance(call.args[0], Tensor):
        found = _from_the_left(call, x)
    if found is None:
        raise x.refused
    return found


def _from_the_left(call: Call, x: Displaced) -> Live | Displaced | None:
    """W @ X where the columns of X are the batch: its rows times W transposed."""
    weight = call.args[0]
    if weight.dim() != 2:
        return None
    transposed = call.tape.derived(weight.mT, weight)
    return x.like(call.tape.emit("matmul", x.live, params={"other": transposed}, left=False), 1)


def _away(call: Call) -> Displaced | None:
    """Calls on tensors with the batch in front that put it elsewhere."""
    x = next((a for a in _flat(call.args) if isinstance(a, Live)), None)
    if x is None:
        return None
    told = Displaced(x, 0, call.refused("mixes the batch dimension with others; keep the batch in front"))
    if call.name == "stack" and call.get("dim", 1, 0) in (0, -call.value.dim()):
        parts = call.get("tensors", 0)
        if all(isinstance(part, Live) for part in parts):
            return replace(told, live=call.tape.emit("stack", *parts, dim=1), at=1)
    elif call.name in ORDERS and isinstance(call.args[0], Live):
        order = _order(call, x.value.dim())
        if order is not None and order[0] != 0:
            found = _ordered(call, told)
            return found if isinstance(found, Displaced) else None
    elif call.name == "einsum":
        return _summed_by_letters(call, told)
    elif call.name == "unsqueeze" and call.get("dim", 1) in (0, -1 - x.value.dim()):
        return replace(told, live=call.tape.emit("reshape", x, shape=[1, *x.value.shape[1:]]), at=1)
    elif call.name == "getitem" and call.args[0] is x and call.args[1] is None:
        return replace(told, live=call.tape.emit("reshape", x, shape=[1, *x.value.shape[1:]]), at=1)
    return None


def _summed_by_letters(call: Call, told: Displaced) -> Displaced | None:
    """Einsum whose result has the letter of the batch elsewhere."""
    equation, *operands = call.args
    terms, arrow, result = str(equation).replace(" ", "").partition("->")
    letters = terms.split(",")
    if not arrow or "." in terms or len(letters) != len(operands):
        return None
    batch = letters[operands.index(told.live)][0]
    if batch not in result or result[0] == batch:
        return None
    front = f"{terms}->{batch}{result.replace(batch, '')}"
    at = result.index(batch)
    inner = Call(call.tape, call.path, call.name, (front, *operands), {}, call.value.movedim(at, 0))
    return replace(told, live=einsum(inner), at=at)


def _order(call: Call, dims: int) -> list[int] | None:
    """The dimensions of the argument in the order of the result."""
    order = list(range(dims))
    if call.name == "permute":
        return [d % dims for d in call.rest("dims")]
    if call.name in ("transpose", "swapaxes"):
        a, b = (call.get(name, i + 1, call.kwargs.get(f"axis{i}")) for i, name in enumerate(("dim0", "dim1")))
        order[a], order[b] = order[b], order[a]
        return order
    if call.name == "t" or (call.name == "getattr" and call.args[1] == "T"):
        return order[::-1]
    if call.name in ("movedim", "moveaxis"):
        a, b = call.get("source", 1), call.get("destination", 2)
        if isinstance(a, int) and isinstance(b, int):
            order.insert(b % dims, order.pop(a % dims))
            return order
    return None


def _ordered(call: Call, x: Displaced) -> Live | Displaced | None:
    order = _order(call, x.value.dim())
    if order is None:
        return None
    at = order.index(x.at)
    front = [0, *(x.front(d) for d in order if d != x.at)]
    live = x.live if front == sorted(front) else call.tape.emit("permute", x.live, dims=front)
    return x.like(live, at)


def _summed(call: Call, x: Displaced, table: Any) -> Any:
    dim = call.get("dim", 1, call.kwargs.get("axis"))
    dims = [d % x.value.dim() for d in ([dim] if isinstance(dim, int) else dim or ())]
    if not dims or x.at in dims:
        return None
    keep = bool(call.get("keepdim", 2, False))
    at = x.at if keep else x.at - sum(d < x.at for d in dims)
    given = [x.front(d) for d in dims]
    value: Any = call.value.movedim(at, 0) if isinstance(call.value, Tensor) else call.value
    inner = Call(call.tape, call.path, call.name, (x.live,), {"dim": given if len(given) > 1 else given[0], "keepdim": keep},
                 value)  # fmt: skip
    found = table[call.name](inner)
    return tuple(x.like(one, at) for one in found) if isinstance(found, tuple) else x.like(found, at)


def _picked(call: Call, x: Displaced) -> Any:
    key = call.args[1]
    entries = list(key) if isinstance(key, tuple) else [key]
    if not all(isinstance(e, (int, slice)) and not isinstance(e, bool) for e in entries):
        return None
    entries += [slice(None)] * (x.value.dim() - len(entries))
    if entries[x.at] != slice(None):
        return None
    at = x.at - sum(isinstance(e, int) for e in entries[: x.at])
    told = [[e.start, e.stop, e.step] if isinstance(e, slice) else e for i, e in enumerate(entries) if i != x.at]
    return x.like(call.tape.emit("getitem", x.live, key=told), at)


def _unbound(call: Call, x: Displaced) -> Any:
    dim = call.get("dim", 1, 0) % x.value.dim()
    if dim == x.at:
        return None
    at = x.at - (dim < x.at)
    return tuple(
        x.like(call.tape.emit("select", x.live, dim=x.front(dim), index=i), at) for i in range(len(call.value))
    )  # fmt: skip


def _in_front(call: Call, x: Displaced) -> Call:
    """The same call on tensors with their batch in front."""
    tape, dims = call.tape, x.value.dim()
    pointwise = call.name in PAIRS

    def one(value: Any) -> Any:
        if isinstance(value, Displaced):
            return value.live
        if pointwise and isinstance(value, Tensor) and value.dim():
            wide = value.reshape([1] * (dims - value.dim()) + list(value.shape)).movedim(x.at, 0)
            return tape.derived(wide, value)
        return value

    args = tuple(map(one, call.args))
    return Call(tape, call.path, call.name, args, {k: one(v) for k, v in call.kwargs.items()}, call.value.movedim(x.at, 0))


def _flat(values: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        found += _flat(value) if isinstance(value, (list, tuple)) else [value]
    return found
