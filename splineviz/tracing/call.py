"""One recorded call: what was called, with which arguments, and what it gave. This room knows no table of calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from splineviz.errors import TraceError
from splineviz.tracing.program import operations
from splineviz.tracing.refusals import refusal
from splineviz.tracing.tape import Live, Tape

Result = Live | tuple[Live, ...]


@dataclass(frozen=True, eq=False)
class Call:
    """One call as recorded: its arguments, where a live tensor is a Live, and the value that it gave."""

    tape: Tape
    path: str
    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    value: Any = None

    def get(self, name: str, position: int, default: Any = None) -> Any:
        """An argument by name or position."""
        return self.kwargs.get(name, self.args[position] if len(self.args) > position else default)

    def rest(self, name: str) -> list[Any]:
        """The arguments after the first, given one by one or as one sequence."""
        values = self.kwargs.get(name, self.args[1:])
        if isinstance(values, Sequence) and len(values) == 1 and isinstance(values[0], (list, tuple)):
            values = values[0]
        return list(values) if isinstance(values, (list, tuple)) else [values]

    @property
    def live(self) -> Live:
        """The first argument, the only live one."""
        x = self.args[0] if self.args else self.kwargs.get("input", self.kwargs.get("x"))
        others = [a for a in [*self.args[1:], *self.kwargs.values()] if isinstance(a, Live) and a is not x]
        if not isinstance(x, Live) or others:
            raise self.refused("combines several tensors that depend on the input, which is not piecewise affine")
        return x

    @property
    def first(self) -> Live:
        """The first argument, of a call that reads nothing but the shape or type of another."""
        x = self.args[0]
        assert isinstance(x, Live), "else the call gives a constant"
        return x

    def refused(self, why: str = "") -> TraceError:
        """The error that says what stands in the way."""
        return TraceError(refusal(self.path, self.name, operations(), why))


Emitter = Callable[[Call], Result]


def alone(call: Call, constant: Any) -> Any:
    """A constant whose batch dimension, if it has one, is 1."""
    lives = [a for a in call.args if isinstance(a, Live)]
    if isinstance(constant, Tensor) and lives and constant.dim() == lives[0].value.dim() and len(constant) > 1:
        if bool((constant == constant[:1]).all()):
            return call.tape.derived(constant[:1], constant)
        raise call.refused("gives every row of the batch a constant of its own")
    return constant
