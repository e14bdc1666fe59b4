"""One recorded call: what was called, with which arguments, what it gave, and the words in which it is refused, with the
user's own line.
Also where in the user's files a forward begins, runs or fails, and constants without a batch of their own.

This file knows no table of calls.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from splineviz.errors import TraceError
from splineviz.tracing import smooth as smooths
from splineviz.tracing.program import operations
from splineviz.tracing.tape import Live, Tape

MINE = (str(Path(__file__).parents[1]), str(Path(torch.__file__).parent))
"""Where frames are not the user's."""
SWAPS = {name: smooth.swap for name, smooth in smooths.SMOOTH.items()}
"""Smooth functions, and what each is drawn as where nobody says."""
SAME = {"swish": "silu", "logsoftmax": "log_softmax", "log_sigmoid": "logsigmoid", "special_expit": "sigmoid"}
"""Other names of theirs, as classes, functions and people have them."""
SMOOTH = {
    "softmax2d", "softmin", "glu", "exp", "log", "sqrt", "rsqrt", "pow", "square", "sin", "cos", "reciprocal", "logsumexp",
    "norm", "normalize", "lppool1d", "lppool2d", "var", "std", "multiheadattention", "scaled_dot_product_attention",
    "cosinesimilarity", "local_response_norm", "localresponsenorm",
}  # fmt: skip
"""Further smooth operations, which nothing stands for."""
JUMPS = {
    "hardshrink", "threshold", "sign", "heaviside", "round", "floor", "ceil", "trunc", "argmax", "argmin", "gt", "lt", "ge",
    "le", "eq", "ne", "where", "masked_fill", "argsort", "floordiv", "floor_divide", "fmod", "remainder", "mod", "long",
    "int", "short", "char", "byte",
}  # fmt: skip
OWN_STATISTICS = {"layernorm", "layer_norm", "groupnorm", "group_norm", "rmsnorm", "rms_norm"}
RANDOM = {"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout", "rrelu"}

Result = Live | tuple[Live, ...]


@dataclass(frozen=True, eq=False)
class Call:
    """One call as recorded: its arguments, where a live tensor is a Live, and the value that it gave.

    since: how many steps the tape had before it.
    """

    tape: Tape
    path: str
    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    value: Any = None
    since: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "since", len(self.tape.steps))

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


def _curved(plain: str) -> str:
    return "curved between its kinks" if plain in SWAPS and smooths.SMOOTH[plain].kinked else "smooth"


def refusal(path: str, name: str, operations: list[str], why: str = "") -> str:
    """The whole message about an operation `name` at a module path; why: what is wrong with this very call."""
    plain = name.lower().rstrip("_").removeprefix("inplace")
    plain = SAME.get(plain, plain)
    if why:
        return f"{path}: {name} {why}."
    if plain in SWAPS:
        return (
            f"{path}: {plain} is {_curved(plain)}, so the network has no linear regions; draw it with another function "
            f"in its place (--swap {plain}={SWAPS[plain]}, swap={{{plain!r}: {SWAPS[plain]!r}}}), which every picture then "
            "says, or measure its sampled local complexity, which needs no regions."
        )
    if plain in SMOOTH:
        return (
            f"{path}: {plain} is {_curved(plain)}, so the network has no linear regions; replace it, or measure the "
            "network's sampled local complexity, which needs no regions."
        )
    if plain in JUMPS:
        return (
            f"{path}: {name} jumps, so the network is not continuous; replace it by a continuous piecewise-linear function."
        )
    if plain in OWN_STATISTICS:
        return (
            f"{path}: {name} divides by the spread of its own input, in evaluation mode too, so the network is not "
            "piecewise affine; replace it by BatchNorm or leave it out."
        )
    known = ", ".join(operations)
    return f"{path}: expected one of {known} or an identity in evaluation mode, got {name}; rewrite it in those."


# ---- the user's own lines ----------------------------------------------------------------------------


def _is_theirs(file: str) -> bool:
    """Whether code is the user's: neither ours, nor torch's, nor made at run time."""
    return not file.startswith((*MINE, "<"))


def here() -> str | None:
    """The line of the user's forward that is running: "net.py, line 12"; None if there is none."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if frame.f_code.co_name == "_listened" and file.startswith(MINE):
            return None  # what is below called us, and is no forward
        if _is_theirs(file) and "/contextlib.py" not in file and "/functools.py" not in file:
            return f"{Path(file).name}, line {frame.f_lineno}"
        frame = frame.f_back
    return None


def raised(error: BaseException) -> str:
    """Where in the user's files an error came up."""
    found, trace_ = "", error.__traceback__
    while trace_ is not None:
        file = trace_.tb_frame.f_code.co_filename
        if _is_theirs(file):
            found = f" ({Path(file).name}, line {trace_.tb_lineno})"
        trace_ = trace_.tb_next
    return found


def begun(module: nn.Module) -> str:
    """Where the user's own forward begins: " (net.py, line 12)"; empty if it is torch's."""
    code = getattr(getattr(type(module), "forward", None), "__code__", None)
    if code is None or not _is_theirs(code.co_filename):
        return ""
    return f" ({Path(code.co_filename).name}, line {code.co_firstlineno})"
