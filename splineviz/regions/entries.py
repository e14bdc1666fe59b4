r"""Entries: the matrix and the constant of an affine operation, as its weights stand, whatever library multiplies.

    weight -> its numbers 1, 2, ...     the library is asked where a weight goes, not what it comes to
    basis vectors through the call -> numbers, to rounding -> whole -> weight[number]

A product that is summed elsewhere in another way differs in its last bits, and two equal neurons would no longer be equal.
Numbers are whole, so no rounding moves them. Operations without weights of their own are read as they compute.

Also which stretches of a program between two kinks have their matrix at hand (`at_hand`), within a limit of memory, and the
norms of a stretch's weights by one row through their squares, where that tells them; batches passed through one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from splineviz.errors import FloatArray
from splineviz.tracing.affine import AFFINE, is_large, viewed
from splineviz.tracing.program import Program, Step

MATRIX_LIMIT, OTHERS = 1 << 25, 1 << 24
"""Largest number of entries of one stretch's matrix (256 MB), and of all those together that are no linear layer."""
BATCH = 16
"""Rows that are passed at a time where there are convolutions."""
CHUNK = 1 << 22
"""Entries of a matrix that are looked at at a time."""
ONE = 1 << 40
"""What a weight counts for beside its number: two in one entry tell themselves apart from one."""

RANGE = 1e60
"""Sizes and products of weights beyond this, or below its inverse, have squares that doubles may not hold."""
LARGEST = 1 << 23
"""Entries of the largest weight that is squared."""
MIXING = {"linear", "conv", "conv_transpose"}
"""Operations whose entries are sums of entries, with one weight."""
SCALING = {"batch_norm", "scale", "divide"}
"""Operations that multiply every entry by a number of its own; twice, they multiply by its square."""
MOVING = {
    "reshape", "permute", "transpose", "movedim", "flip", "roll", "narrow", "select", "diagonal", "pixel_shuffle",
    "pixel_unshuffle", "channel_shuffle", "cat", "stack",
}  # fmt: skip
"""Operations that hand every entry on once at most."""

Ids = npt.NDArray[np.int64]
Shape = tuple[int, ...]
Sizes = Mapping[int, FloatArray]


def constant(step: Step, params: Mapping[str, Tensor], shape: Shape) -> FloatArray:
    """(m,) what an operation makes of 0."""
    zeros, call = torch.zeros(1, *shape, dtype=torch.float64), AFFINE[step.op]
    weight = weight_of(step, params)
    if weight is None:
        return call(zeros, params, step.attrs, False).reshape(-1).numpy()
    if "bias" not in params:
        return np.zeros(call(zeros, params, step.attrs, True).numel())
    numbered = {**params, weight: torch.zeros_like(params[weight]), "bias": _numbers(params["bias"])}
    return _named(call(zeros, numbered, step.attrs, False).reshape(-1).numpy(), params["bias"])


def matrix(step: Step, params: Mapping[str, Tensor], shape: Shape) -> tuple[Ids, Ids, FloatArray]:
    """The entries (row, column, value) of an operation's linear part; entries in one place add up."""
    call, attrs, source = AFFINE[step.op], step.attrs, None
    if step.op == "conv" and attrs["padding_mode"] != "zeros":
        # An entry that is padded twice meets two weights: padding first, as a choice of entries, then the weights.
        whole = torch.arange(math.prod(shape), dtype=torch.float64).reshape(1, *shape)
        padded = F.pad(whole, attrs["pad"], mode=attrs["padding_mode"])
        source, shape = padded.reshape(-1).long().numpy(), tuple(padded.shape[1:])
        attrs = {**attrs, "padding_mode": "zeros", "padding": 0}
    weight = weight_of(step, params)
    given = params if weight is None else {**params, weight: _numbers(params[weight])}
    rows, columns, values = [], [], []
    for part, basis in _basis(shape, lambda one: call(one, params, attrs, True).numel()):
        images = call(basis, given, attrs, True).reshape(len(part), -1).numpy()
        if weight is not None:
            several = images.max(initial=0.0) > 1.5 * ONE
            read = call(basis, params, attrs, True).reshape(len(part), -1).numpy() if several else images
            images = np.where(images > 1.5 * ONE, read, _named(images, params[weight]))
        column, row = np.nonzero(images)
        rows.append(row)
        columns.append(part[column])
        values.append(images[column, row])
    column = np.concatenate(columns)
    return np.concatenate(rows), column if source is None else source[column], np.concatenate(values)


def basis_at(
    program: Program, start: int, stop: int, source: int, shape: Shape, some: range
) -> tuple[int, dict[int, Tensor]]:
    """Some basis vectors of the register that enters steps start..stop-1, and where these begin; or both after the first of
    them, where its images are at hand.
    """
    if start < stop and program.last_use(source) == start:
        step = program.steps[start]
        found = _images(step, program.params_of(step), shape, some)
        if found is not None:
            return start + 1, {step.output: found}
    basis = torch.zeros(len(some), math.prod(shape), dtype=torch.float64)
    basis[torch.arange(len(some)), torch.arange(some.start, some.stop)] = 1.0
    return start, {source: basis.reshape(len(some), *shape)}


def _images(step: Step, params: Mapping[str, Tensor], shape: Shape, some: range) -> Tensor | None:
    """What a convolution in two dimensions makes of some basis vectors, without its bias: weights in their places, which is
    what it computes, too. None for other operations.
    """
    attrs = step.attrs
    if step.op != "conv" or attrs["dims"] != 2 or attrs["padding_mode"] != "zeros" or attrs["groups"] != 1:
        return None
    weight = viewed(params, attrs, "weight").cpu()
    if isinstance(attrs["padding"], str) or len(shape) != 3 or weight.dtype != torch.float64:
        return None
    zero = torch.zeros(1, *shape, dtype=weight.dtype)
    height, width = AFFINE["conv"](zero, {"weight": weight}, {**attrs, "views": {}}, True).shape[2:]
    stride, padding, dilation = (_pair(attrs[name]) for name in ("stride", "padding", "dilation"))
    channel, y, x = (torch.from_numpy(i) for i in np.unravel_index(np.arange(some.start, some.stop), shape))
    found = torch.zeros(len(some), len(weight), height, width, dtype=weight.dtype)
    for ky in range(weight.shape[2]):
        for kx in range(weight.shape[3]):
            down, right = y + padding[0] - ky * dilation[0], x + padding[1] - kx * dilation[1]
            there = (down % stride[0] == 0) & (right % stride[1] == 0)
            down, right = down // stride[0], right // stride[1]
            there &= (down >= 0) & (down < height) & (right >= 0) & (right < width)
            rows = torch.nonzero(there)[:, 0]
            found[rows, :, down[rows], right[rows]] = weight[:, channel[rows], ky, kx].T
    return found


def _pair(given: Any) -> tuple[int, int]:
    return (given, given) if isinstance(given, int) else (given[0], given[-1])


def _basis(shape: Shape, width: Any) -> Iterator[tuple[Ids, Tensor]]:
    """The basis vectors of a shape in batches, and their numbers."""
    n = math.prod(shape)
    m = width(torch.zeros(1, *shape, dtype=torch.float64))
    for part in torch.arange(n).split(max(1, CHUNK // max(m, 1))):
        basis = torch.zeros(len(part), n, dtype=torch.float64)
        basis[torch.arange(len(part)), part] = 1.0
        yield part.numpy(), basis.reshape(len(part), *shape)


def weight_of(step: Step, params: Mapping[str, Tensor]) -> str | None:
    """The role of the one weight that an operation multiplies with; None for another kind of operation."""
    if step.op in ("linear", "conv", "conv_transpose"):
        return "weight"
    return next(iter(params)) if step.op in ("matmul", "einsum") and len(params) == 1 else None


def _numbers(weight: Tensor) -> Tensor:
    return ONE + torch.arange(1, weight.numel() + 1, dtype=torch.float64).reshape(weight.shape)


def _named(numbers: FloatArray, weight: Tensor) -> FloatArray:
    """The weights of which these are the numbers, 0 where there is none."""
    there = numbers > 0.5 * ONE
    at = np.where(there, np.rint(numbers) - ONE, 1.0).astype(np.int64) - 1
    values: FloatArray = weight.reshape(-1).numpy()[np.clip(at, 0, weight.numel() - 1)]
    return np.where(there, values, 0.0)


# ---- whole stretches ---------------------------------------------------------------------------------------------


def at_hand(program: Program) -> frozenset[int]:
    """The kinks (numbers of their steps) after which the map to the next kink, or to the outputs, has a matrix at hand.

    Those of linear layers are as large as the weights that there are (large ones in single precision are not doubled for
    one); convolutions make far larger ones of theirs, so of
    these the smallest have one, as many as stay within OTHERS together.
    """
    shapes, layers = program.shapes(), program.layers
    found, others = set(), []
    for before, after in zip(layers, [*layers[1:], None], strict=False):
        stop = len(program.steps) if after is None else after.step
        source = program.steps[before.step].output
        result = program.output if after is None else program.steps[stop].inputs[0]
        size = before.units * math.prod(shapes[result])
        if size > MATRIX_LIMIT or _alive(program, before.step + 1) != {source} or _alive(program, stop) != {result}:
            continue
        work = [step for step in program.steps[before.step + 1 : stop] if step.op != "reshape"]
        if [step.op for step in work] == ["linear"]:
            found |= set() if any(map(is_large, program.params_of(work[0]).values())) else {before.step}
        else:
            others.append((size, before.step))
    room = OTHERS
    for size, step in sorted(others):
        room -= size
        if room < 0:
            break
        found.add(step)
    return frozenset(found)


def _alive(program: Program, at: int) -> set[int]:
    """The registers that hold something when a step begins: a later one reads it, or none ever does."""
    written = {0, *(step.output for step in program.steps[:at])}
    return {register for register in written if program.last_use(register) >= at or program.last_use(register) < 0}


# ---- norms -----------------------------------------------------------------------------------------------------------
#
#     z_i = sum_j w_ij h_j,  h_j independent of size F_j        size of z_i^2 = sum_j w_ij^2 F_j^2
#
# A convolution of squared sizes with squared weights is that sum, exactly and for the price of a row. It holds where what is
# summed up is independent: one step alone mixes entries (convolution, matrix), the others scale, move or choose them, and
# tensors that are added come from different ones.


def norms(
    program: Program, shapes: Mapping[int, Shape], sizes: Sizes, start: int, stop: int
) -> dict[int, FloatArray] | None:
    """The norm of the weights of every entry that leaves some steps, times the sizes of what enters; or None."""
    entering = {r: torch.from_numpy(sizes[r].reshape(1, *shape)) for r, shape in shapes.items()}
    if not all(map(fits, entering.values())):
        return None
    with torch.no_grad():
        left = squared(program, {r: t.to(program.device).square() for r, t in entering.items()}, start, stop)
    return None if left is None else {r: _rooted(t) for r, t in left.items()}


def shares(
    program: Program, shapes: Mapping[int, Shape], weights: Sizes, start: int, stop: int
) -> dict[int, FloatArray] | None:
    """The norm of what a unit of every entry that enters adds to those that leave, times the weights of these; or None.

    That is the slope of the squares.
    """
    given = {r: torch.from_numpy(weight) for r, weight in weights.items()}
    if not all(map(fits, given.values())):
        return None
    zeros = {r: torch.zeros(1, *shape, dtype=torch.float64, device=program.device) for r, shape in shapes.items()}
    entering = {r: t.requires_grad_() for r, t in zeros.items()}
    with torch.enable_grad():
        left = squared(program, entering, start, stop)
        if left is None:
            return None
        ends = [given[r].to(t.device).square().reshape(t.shape) for r, t in left.items()]
        slopes = torch.autograd.grad(list(left.values()), list(entering.values()), ends, allow_unused=True)
    found = zip(entering.items(), slopes, strict=True)
    return {r: np.zeros(t.numel()) if slope is None else _rooted(slope) for (r, t), slope in found}


def _rooted(tensor: Tensor) -> FloatArray:
    root: FloatArray = tensor.reshape(-1).sqrt().cpu().numpy()
    return root


def fits(sizes: Tensor) -> bool:
    """Whether doubles hold the squares of all these sizes that are not 0, and of what products within RANGE make of them."""
    some = sizes[sizes != 0.0].abs()
    return not len(some) or (1.0 / RANGE < float(some.min()) and float(some.max()) < RANGE)


def squared(program: Program, live: Mapping[int, Tensor], start: int, stop: int) -> dict[int, Tensor] | None:
    """The squared sizes of what leaves steps start..stop-1, of those of what enters (1, *shape), by register; or None."""
    registers, last = dict(live), program.last_use
    sources: dict[int, frozenset[int]] = {r: frozenset([r]) for r in live}
    mixed: set[int] = set()
    low = high = 1.0
    for at, step in enumerate(program.steps[start:stop], start):
        params = program.params_of(step)
        factors = _factors(step, params, registers[step.inputs[0]])
        if factors is None or not _is_independent(step, sources, mixed):
            return None
        smallest, largest = factors
        low, high = low * min(smallest, 1.0), high * max(largest, 1.0)
        if not (low > 1.0 / RANGE and high < RANGE):
            return None
        registers[step.output] = _squared_step(step, params, [registers[r] for r in step.inputs])
        sources[step.output] = frozenset().union(*(sources[r] for r in step.inputs))
        twice = len(step.inputs) > 1 and sum(len(sources[r]) for r in step.inputs) > len(sources[step.output])
        if step.op in MIXING or twice or mixed.intersection(step.inputs):
            mixed.add(step.output)
        else:
            mixed.discard(step.output)
        for register in step.inputs:
            if last(register) <= at:
                registers.pop(register, None)
    return registers


def _is_independent(step: Step, sources: Mapping[int, frozenset[int]], mixed: set[int]) -> bool:
    """Whether what a step sums up is independent."""
    if step.op in MIXING:
        return step.inputs[0] not in mixed
    if step.op == "add":
        return not sources[step.inputs[0]] & sources[step.inputs[1]]
    return True


def _factors(step: Step, params: Mapping[str, Tensor], x: Tensor) -> tuple[float, float] | None:
    """The smallest and the largest factor of a step that is not 0; None for a step that cannot be followed."""
    attrs = step.attrs
    once = step.op == "getitem" and not any(isinstance(entry, Mapping) for entry in attrs["key"])
    if once or step.op in MOVING or (step.op == "pad" and attrs["mode"] == "constant"):
        return 1.0, 1.0
    if step.op == "add":
        factors = torch.tensor([float(attrs["alpha"])])
    elif step.op in SCALING:
        factors = step.applied([torch.ones_like(x)], params, homogeneous=True)
        if factors.shape != x.shape:
            return None
    elif step.op in MIXING and attrs.get("padding_mode", "zeros") == "zeros":
        factors = params["weight"]
        if "columns" in params or factors.dtype != torch.float64 or factors.numel() > LARGEST:
            return None
    else:
        return None
    some = factors.detach().abs()
    smallest = torch.where(some > 0.0, some, math.inf).min() if some.numel() else torch.tensor(1.0)
    return float(smallest), float(some.max()) if some.numel() else 1.0


def _squared_step(step: Step, params: Mapping[str, Tensor], x: list[Tensor]) -> Tensor:
    if step.op == "add":
        return x[0] + float(step.attrs["alpha"]) ** 2 * x[1]
    if step.op in SCALING:
        return step.applied([step.applied(x, params, homogeneous=True)], params, homogeneous=True)
    if step.op in MIXING:
        params = {**params, "weight": params["weight"].square()}
    return step.applied(x, params, homogeneous=True)


def passed(
    program: Program, live: Mapping[int, Tensor], start: int, stop: int, *, homogeneous: bool = False
) -> dict[int, Tensor]:
    """What steps make of a batch, a few rows at a time where there are convolutions; see `stages.CACHE_BYTES`."""
    some = BATCH if any(step.op.startswith("conv") for step in program.steps[start:stop]) else len(next(iter(live.values())))
    parts: list[dict[int, Tensor]] = []
    with torch.no_grad():
        for at in range(0, len(next(iter(live.values()))), some):
            part = {r: t[at : at + some] for r, t in live.items()}
            parts.append(program.run(part, start, stop, homogeneous=homogeneous))
    return parts[0] if len(parts) == 1 else {r: torch.cat([part[r] for part in parts]) for r in parts[0]}


def rms(tensor: Tensor) -> FloatArray:
    """(k,) root mean square of each entry over the rows."""
    found: FloatArray = tensor.reshape(len(tensor), -1).square().mean(dim=0).sqrt().cpu().numpy()
    return found


def signs(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Random numbers +1 and -1."""
    return 2.0 * torch.randint(0, 2, tuple(shape), generator=generator).double() - 1.0
