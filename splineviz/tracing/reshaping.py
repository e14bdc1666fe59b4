"""Reshaping: calls that change shape, order or selection of entries, sum them, or join tensors -> steps on a tape.
Also writes into a part of a tensor, and what that makes of the tensors that share its memory.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from splineviz.tracing.affine import PLAIN
from splineviz.tracing.call import Call, Emitter, Result
from splineviz.tracing.tape import Live, Tape


def reshaped(call: Call) -> Live:
    """Entries in another shape, in the same order."""
    x = call.first if call.name in ("view_as", "reshape_as") else call.live
    if call.value.shape[:1] != x.value.shape[:1]:
        raise call.refused("mixes the batch dimension with others; keep it in front")
    return call.tape.emit("reshape", x, shape=list(call.value.shape[1:]))


def plain_call(call: Call) -> Live:
    """A linear torch function without weights."""
    function, names = PLAIN[call.name]
    defaults = {"keepdim": False, "n": 1, "dim": -1} if call.name in ("diff",) else {"keepdim": False}
    given = {name: call.get(name, i + 1, _UNSET) for i, name in enumerate(names)}
    attrs = {name: defaults.get(name) if value is _UNSET else value for name, value in given.items()}
    attrs = {name: value for name, value in attrs.items() if value is not None and name in names}
    if call.name in ("mean", "sum") and "dim" not in attrs:
        raise call.refused("mixes the batch dimension with others; name the dimensions it goes over")
    return call.tape.emit(call.name, call.live, **attrs)


_UNSET = object()


def over_dims(op: str, name: str) -> Emitter:
    """A plain call whose dimensions may be given one by one."""
    return lambda call: call.tape.emit(op, call.live, **{name: call.rest(name)})


def rolled(call: Call) -> Live:
    """Entries rolled along dimensions."""
    dims = call.get("dims", 2)
    if dims is None:
        raise call.refused("mixes the batch dimension with others; name the dimensions it rolls")
    return call.tape.emit("roll", call.live, shifts=call.get("shifts", 1), dims=dims)


def expanded(call: Call) -> Live:
    """Entries repeated by broadcasting."""
    x = call.first if call.name == "expand_as" else call.live
    return call.tape.emit("expand", x, shape=list(call.value.shape[1:]))


def repeated(call: Call) -> Live:
    """Entries repeated."""
    repeats = call.rest("repeats" if "repeats" in call.kwargs else "dims")
    if len(repeats) < call.live.value.dim() or repeats[0] != 1:
        raise call.refused("repeats along the batch; repeat along the other dimensions alone")
    if len(repeats) > call.live.value.dim():
        raise call.refused("adds dimensions in front of the batch")
    return call.tape.emit("repeat", call.live, repeats=repeats[1:])


def getitem(call: Call) -> Result:
    """Selected entries, or one of several results."""
    source, key = call.args
    if isinstance(source, tuple):  # one of several results
        return source[key]
    entries = list(key) if isinstance(key, tuple) else [key]
    first = entries[0] if entries else slice(None)
    if first is Ellipsis:
        entries = [slice(None), *entries] if len(entries) - 1 - entries.count(None) < source.value.dim() else entries[1:]
        first = slice(None)
    if not (isinstance(first, slice) and first == slice(None)):
        raise call.refused("picks out of the batch; start the index with a colon")
    return call.tape.emit("getitem", call.live, key=[_entry(call, e) for e in entries[1:]])


def index_selected(call: Call) -> Live:
    """Entries of one dimension, by a constant list of numbers."""
    dim = int(call.get("dim", 1)) % call.live.value.dim()
    if dim == 0:
        raise call.refused("picks out of the batch; select along another dimension")
    return call.tape.emit("getitem", call.live, key=[*[[None, None, None]] * (dim - 1), _entry(call, call.get("index", 2))])


def _entry(call: Call, entry: Any) -> Any:
    if isinstance(entry, slice):
        return [entry.start, entry.stop, entry.step]
    if isinstance(entry, Tensor) and entry.dtype == torch.int64 and entry.dim() == 1:
        call.tape.bound_to(call.tape.sources.get(id(entry), set()))
        entry = entry.tolist()
    if entry is Ellipsis:
        return "..."
    if isinstance(entry, list) and all(isinstance(i, int) for i in entry):
        return {"list": entry}
    if entry is None or (isinstance(entry, int) and not isinstance(entry, bool)):
        return entry
    raise call.refused(f"has an index of {type(entry).__name__}; expected whole numbers, slices and lists of numbers")


def pieces(call: Call) -> tuple[Live, ...]:
    """chunk, split, tensor_split: one piece after the other along a dimension."""
    dim = call.get("dim", 2, 0)
    start, pieces = 0, []
    for value in call.value:
        length = value.shape[dim]
        pieces.append(call.tape.emit("narrow", call.live, dim=dim, start=start, length=length))
        start += length
    return tuple(pieces)


def unbound(call: Call) -> tuple[Live, ...]:
    """One tensor an index of a dimension."""
    dim = call.get("dim", 1, 0)
    return tuple(call.tape.emit("select", call.live, dim=dim, index=i) for i in range(len(call.value)))


def joined(op: str) -> Emitter:
    """Tensors joined by cat or stack; some may be constants."""

    def emit(call: Call) -> Live:
        parts = call.get("tensors", 0)
        dim = call.get("dim", 1, call.kwargs.get("axis", 0))
        batch = next(p.value.shape[0] for p in parts if isinstance(p, Live))
        some = next(p for p in parts if isinstance(p, Live))
        # A constant part is zero times a live one plus the constant.
        lives = [p if isinstance(p, Live) else _constant_part(call, some, p, batch) for p in parts]
        return call.tape.emit(op, *lives, dim=dim)

    return emit


def _constant_part(call: Call, some: Live, part: Tensor, batch: int) -> Live:
    if part.shape[0] == batch and bool((part == part[:1]).all()):
        part = call.tape.derived(part[:1], part)
    elif part.shape[0] != batch:
        raise call.refused("joins a constant of another batch")
    zero = call.tape.emit("scale", call.tape.emit("getitem", some, key=[0] * (some.value.dim() - 1)), factor=0.0)
    zero = call.tape.emit("reshape", zero, shape=[1] * (part.dim() - 1))
    return call.tape.emit("shift", zero, params={"value": part}, alpha=1)


def written_into(call: Call, batch: int) -> Live:
    """x[:, index] = value: entries of both, picked into the place of x."""
    x, key, value = call.args
    entries = key if isinstance(key, tuple) else (key,)
    first = entries[0] if entries else slice(None)
    whole = first is Ellipsis or (isinstance(first, slice) and first == slice(None))
    if not whole:
        raise call.refused("writes into rows of the batch; start the index with a colon")
    shape = tuple((x.value if isinstance(x, Live) else x).shape)
    if shape[:1] != (batch,):
        raise call.refused("writes what depends on the input into a tensor without a batch; keep the batch in front")
    size = math.prod(shape[1:])
    places = torch.arange(batch * size).reshape(shape)
    picked = places[key]
    if picked.shape[:1] != (batch,):
        raise call.refused("mixes the batch dimension with others; keep it in front")
    row = picked[0] % max(size, 1)
    lives = [part for part in (x, value) if isinstance(part, Live)]
    source = _row(call, lives[0], value, tuple(row.shape), batch)
    target = _row(call, lives[0], x, shape[1:], batch)
    both = call.tape.emit("cat", target, source, dim=1)
    index = torch.arange(size)
    index[row.flatten()] = size + torch.arange(row.numel())
    found = call.tape.emit("getitem", both, key=[{"list": index.tolist()}])
    return call.tape.emit("reshape", found, shape=list(shape[1:]))


def overlaid(tape: Tape, old: Live, new: Live, theirs: Tensor, view: Tensor) -> Live | None:
    """What a tensor is after a view that shares its memory was written into; None where the view mixes the batch.

    theirs, view: the tensors themselves, of which `old` is what the first was and `new` what the second is.
    """
    memory = torch.arange(theirs.untyped_storage().nbytes() // theirs.element_size())
    a, b = (memory.as_strided(t.shape, t.stride(), t.storage_offset()).reshape(len(t), -1) for t in (theirs, view))
    size, row = a.shape[1], a[0]
    index = torch.arange(size)
    places = {int(place): i for i, place in enumerate(b[0].tolist())}
    hit = torch.tensor([places.get(int(place), -1) for place in row.tolist()], dtype=torch.int64)
    index[hit >= 0] = size + hit[hit >= 0]
    for i in range(1, len(a)):  # every row alike
        rows = {int(place): j for j, place in enumerate(b[i].tolist())} if i < len(b) else {}
        if [rows.get(int(place), -1) for place in a[i].tolist()] != hit.tolist():
            return None
    flat = [tape.emit("reshape", x, shape=[math.prod(x.value.shape[1:])]) for x in (old, new)]
    found = tape.emit("getitem", tape.emit("cat", *flat, dim=1), key=[{"list": index.tolist()}])
    return tape.emit("reshape", found, shape=list(old.value.shape[1:]))


def _row(call: Call, some: Live, part: Any, shape: tuple[int, ...], batch: int) -> Live:
    """A live tensor or a constant, broadcast to a shape and flattened."""
    tape = call.tape
    if isinstance(part, Live):
        wide = part
        if tuple(part.value.shape[1:]) != shape:
            inner = [1] * (len(shape) + 1 - part.value.dim()) + list(part.value.shape[1:])
            wide = tape.emit("expand", tape.emit("reshape", part, shape=inner), shape=list(shape))
        return tape.emit("reshape", wide, shape=[math.prod(shape)])
    constant = part if isinstance(part, Tensor) else torch.tensor(float(part), dtype=torch.float64)
    if constant.dim() == len(shape) + 1:
        if len(constant) > 1 and not bool((constant == constant[:1]).all()):
            raise call.refused("gives every row of the batch a constant of its own")
        constant = constant[0]
    constant = tape.derived(constant.expand(shape).reshape(1, -1), part)
    flat = tape.emit("reshape", some, shape=[math.prod(some.value.shape[1:])])
    zero = tape.emit("scale", tape.emit("getitem", flat, key=[[0, 1, None]]), factor=0.0)
    return tape.emit("shift", zero, params={"value": constant}, alpha=1)
