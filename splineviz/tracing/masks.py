"""Masks: kinks that people write with comparisons, x * (x > 0) or torch.where(x > 0, x, 0), -> steps on a tape.

A comparison of a live tensor z with a number c jumps, so it is no step. What is chosen by it is continuous where both
branches meet at c, and then it is a sum of the parts of z above and below c:

    where(z > c, A(z), B(z)) = c + A'(relu(z - c)) + B'((z - c) - relu(z - c))       A', B' linear, A = B = c at z = c

This file knows the calls of comparisons alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from splineviz.errors import TraceError
from splineviz.tracing.call import Call
from splineviz.tracing.program import Step
from splineviz.tracing.tape import Live, Tape

COMPARISONS = {"gt": True, "ge": True, "greater": True, "greater_equal": True,
               "lt": False, "le": False, "less": False, "less_equal": False}  # fmt: skip
"""Whether a comparison holds above the number."""
CASTS = ("float", "double", "to", "type_as", "type", "half", "bfloat16", "detach", "clone", "bool", "contiguous", "_to_copy")
NOT = ("logical_not", "bitwise_not", "invert")


@dataclass(frozen=True, eq=False)
class Mask:
    """Where `z` is above (or, not above, below) the number `at`; refused: the words for what cannot be written with it."""

    z: Live
    at: float
    above: bool
    refused: TraceError


def compared(call: Call) -> Mask | None:
    """The mask of a comparison of a live tensor with one number; None where it is something else."""
    a, b = call.args[0], call.get("other", 1)
    above = COMPARISONS[call.name]
    if isinstance(b, Live):
        a, b, above = b, a, not above
    if not isinstance(a, Live) or isinstance(b, Live):
        return None
    if isinstance(b, Tensor):
        if b.numel() == 0 or not bool((b == b.flatten()[0]).all()) or b.dim() > a.value.dim():
            return None
        b = b.flatten()[0].item()
    return Mask(a, float(b), above, call.refused())


def chosen(call: Call) -> Live | Mask | None:
    """What a call makes of a mask, if it can be written; None otherwise."""
    name, tape = call.name, call.tape
    if name in CASTS and isinstance(call.args[0], Mask):
        return call.args[0]
    if name in NOT:
        mask = call.args[0]
        return Mask(mask.z, mask.at, not mask.above, mask.refused)
    if name in ("mul", "multiply"):
        a, b = call.args[0], call.get("other", 1)
        mask, x = (a, b) if isinstance(a, Mask) else (b, a)
        return None if isinstance(x, Mask) else _where(tape, mask, x, 0.0)
    if name == "where":
        condition, yes, no = (call.get(word, i) for i, word in enumerate(("condition", "input", "other")))
        if not isinstance(condition, Mask):  # x.where(condition, other)
            condition, yes = yes, condition
        return _where(tape, condition, yes, no) if isinstance(condition, Mask) else None
    if name == "masked_fill":
        mask, value = call.get("mask", 1), call.get("value", 2)
        return _where(tape, mask, value, call.args[0]) if isinstance(mask, Mask) else None
    if name == "setitem":
        x, mask, value = call.args
        return _where(tape, mask, value, x) if isinstance(mask, Mask) and isinstance(x, Live) else None
    return None


def _where(tape: Tape, mask: Mask, yes: Any, no: Any) -> Live | None:
    """`yes` where the mask holds, else `no`; None unless both meet where it changes."""
    upper, lower = (yes, no) if mask.above else (no, yes)
    above, below = _linear_in(tape, upper, mask), _linear_in(tape, lower, mask)
    if above is None or below is None:
        return None
    z = tape.shifted(mask.z, -mask.at)
    positive = tape.emit("relu", z)
    negative = tape.emit("add", z, positive, alpha=-1)
    parts = [part for part in (above(positive), below(negative)) if part is not None]
    if not parts:
        parts = [tape.scaled(z, 0.0)]
    total = parts[0] if len(parts) == 1 else tape.emit("add", parts[0], parts[1], alpha=1)
    return tape.shifted(total, mask.at)


def _linear_in(tape: Tape, part: Any, mask: Mask) -> Callable[[Live], Live | None] | None:
    """How a branch maps the part of z beyond the number; None unless it is there what the number is."""
    if not isinstance(part, Live):
        value = part
        if isinstance(part, Tensor):
            if part.numel() == 0 or not bool((part == part.flatten()[0]).all()):
                return None
            value = part.flatten()[0].item()
        return (lambda sign: None) if float(value) == mask.at else None
    steps: list[Step] = []
    by_output = {step.output: step for step in tape.steps}
    register = part.register
    while register != mask.z.register:
        step = by_output.get(register)
        if step is None or step.op not in ("scale", "divide") or mask.at != 0.0:
            return None
        steps.append(step)
        register = step.inputs[0]
    if part.value.shape != mask.z.value.shape:
        return None

    def replay(sign: Live) -> Live:
        for step in reversed(steps):
            sign = tape.again(step, [sign])
        return sign

    return replay
