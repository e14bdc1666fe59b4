"""Masks: kinks that people write with comparisons, x * (x > 0) or torch.where(x > 0, x, 0), -> steps on a tape.

A comparison of a live tensor z with a number c jumps, so it is no step. What is chosen by it is continuous where both
branches meet at c, and then it is a sum of the parts of z above and below c:

    where(z > c, A(z), B(z)) = c + A'(relu(z - c)) + B'((z - c) - relu(z - c))       A', B' linear, A = B = c at z = c

A mask may have other values than 0 and 1: sign(z) is one of -1 and 1, and 0.9 * (z > 0) + 0.1 the slopes of a leaky ReLU.
This file knows the calls of comparisons alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
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
    """Where `z` is above (or, not above, below) the number `at`; refused: the words for what cannot be written with it.

    low, high: what it is where it does not hold, and where it does.
    """

    z: Live
    at: float
    above: bool
    refused: TraceError
    low: float = 0.0
    high: float = 1.0

    @property
    def is_plain(self) -> bool:
        """Whether it says nothing but where it holds."""
        return (self.low, self.high) == (0.0, 1.0)

    def of(self, function: Callable[[float], float]) -> Mask:
        """With other values."""
        return replace(self, low=function(self.low), high=function(self.high))


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


def signs(call: Call) -> Mask | None:
    """The mask of a tensor's signs, but for what they are at 0."""
    z = call.args[0]
    return Mask(z, 0.0, True, call.refused(), -1.0, 1.0) if isinstance(z, Live) else None


def chosen(call: Call) -> Live | Mask | None:
    """What a call makes of a mask, if it can be written; None otherwise."""
    name, tape = call.name, call.tape
    if name in CASTS and isinstance(call.args[0], Mask):
        return call.args[0] if name != "bool" or call.args[0].is_plain else None
    if name in ARITHMETIC or name in ("neg", "negative"):
        return _computed(call)
    if not all(one.is_plain for one in (*call.args, *call.kwargs.values()) if isinstance(one, Mask)):
        return None
    if name in NOT:
        mask = call.args[0]
        return Mask(mask.z, mask.at, not mask.above, mask.refused)
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


ARITHMETIC: dict[str, Callable[[Any, Any], float]] = {
    **dict.fromkeys(("mul", "multiply"), lambda a, b: a * b),
    **dict.fromkeys(("add", "sum"), lambda a, b: a + b),
    **dict.fromkeys(("sub", "subtract"), lambda a, b: a - b),
    **dict.fromkeys(("div", "divide", "truediv", "true_divide"), lambda a, b: a / b),
}


def _computed(call: Call) -> Live | Mask | None:
    """A mask times a live tensor, or with a number."""
    if call.name in ("neg", "negative"):
        mask = call.args[0]
        return mask.of(lambda value: -value) if isinstance(mask, Mask) else None
    a, b = call.args[0], call.get("other", 1)
    x, mask = (a, b) if isinstance(b, Mask) else (b, a)
    if isinstance(x, Live) and call.name in ("mul", "multiply"):
        parts = [0.0 if value == 0.0 else call.tape.scaled(x, value) for value in (mask.high, mask.low)]
        return _where(call.tape, mask, *parts)
    function = ARITHMETIC[call.name]
    if isinstance(x, bool) or not isinstance(x, (int, float)) or set(call.kwargs) - {"other"}:
        return None
    if mask is a:
        return None if x == 0 and function(1.0, 2.0) == 0.5 else mask.of(lambda value: function(value, x))
    return None if function(1.0, 2.0) == 0.5 else mask.of(lambda value: function(x, value))


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
    same = _Same(by_output)
    while not same(register, mask.z.register):
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


class _Same:
    """Whether two registers hold the same number, as far as their steps say: a layer that is called twice gives it twice."""

    def __init__(self, by_output: Mapping[int, Step]):
        self.by_output = by_output
        self.seen: dict[tuple[int, int], bool] = {}

    def __call__(self, a: int, b: int) -> bool:
        if a == b:
            return True
        if (a, b) not in self.seen:
            one, other = self.by_output.get(a), self.by_output.get(b)
            self.seen[a, b] = one is not None and other is not None and self._alike(one, other)
        return self.seen[a, b]

    def _alike(self, one: Step, other: Step) -> bool:
        told = [(step.op, step.params, step.attrs, len(step.inputs)) for step in (one, other)]
        return told[0] == told[1] and all(map(self, one.inputs, other.inputs))
