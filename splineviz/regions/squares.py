"""Squares: norms of the weights of a stretch without kinks, by one row that goes through squared weights.

    z_i = sum_j w_ij h_j,  h_j independent of size F_j        size of z_i^2 = sum_j w_ij^2 F_j^2

A convolution of squared sizes with squared weights is that sum, exactly and for the price of a row. It holds where what is
summed up is independent: one step alone mixes entries (convolution, matrix), the others scale, move or choose them, and
tensors that are added come from different ones. What this file cannot follow it says (None), and random signs tell instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from splineviz.errors import FloatArray
from splineviz.tracing.program import Program, Step

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


Shapes = Mapping[int, Sequence[int]]
Sizes = Mapping[int, FloatArray]


def norms(program: Program, shapes: Shapes, sizes: Sizes, start: int, stop: int) -> dict[int, FloatArray] | None:
    """The norm of the weights of every entry that leaves some steps, times the sizes of what enters; or None."""
    entering = {r: torch.from_numpy(sizes[r].reshape(1, *shape)) for r, shape in shapes.items()}
    if not all(map(fits, entering.values())):
        return None
    with torch.no_grad():
        left = squared(program, {r: t.to(program.device).square() for r, t in entering.items()}, start, stop)
    return None if left is None else {r: _rooted(t) for r, t in left.items()}


def shares(program: Program, shapes: Shapes, weights: Sizes, start: int, stop: int) -> dict[int, FloatArray] | None:
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
