r"""Entries: the matrix and the constant of an affine operation, as its weights stand, whatever library multiplies.

    weight -> its numbers 1, 2, ...     the library is asked where a weight goes, not what it comes to
    basis vectors through the call -> numbers, to rounding -> whole -> weight[number]

A product that is summed elsewhere in another way differs in its last bits, and two equal neurons would no longer be equal.
Numbers are whole, so no rounding moves them. Operations without weights of their own are read as they compute.

Also which stretches of a program between two kinks have their matrix at hand (`at_hand`), within a limit of memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from splineviz.errors import FloatArray
from splineviz.tracing.affine import AFFINE, is_large
from splineviz.tracing.program import Program, Step

MATRIX_LIMIT, OTHERS = 1 << 25, 1 << 24
"""Largest number of entries of one stretch's matrix (256 MB), and of all those together that are no linear layer."""
CHUNK = 1 << 22
"""Entries of a matrix that are looked at at a time."""
ONE = 1 << 40
"""What a weight counts for beside its number: two in one entry tell themselves apart from one."""

Ids = npt.NDArray[np.int64]
Shape = tuple[int, ...]


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
