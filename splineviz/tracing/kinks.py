"""Kinks: continuous piecewise-linear functions of one number, as a torch call, breakpoints and slopes.
Also the tables of these operations by name and by module, and numbers for a path that bends twice.

    relu6          slopes    0    1    0
                   -----------+----+---------> z
                   breakpoints 0    6

One breakpoint at 0 is a layer of the enumerator by itself. Any other kink is written as a sum of such layers,

    f(z) = f(b_0) + s_0 (z - b_0) + sum over i of (s_i+1 - s_i) relu(z - b_i),

which has the same pieces: each breakpoint is a unit of its own. Functions that jump have no place here. A kink is one
record of KINKS, from which all tables of calls, modules, swaps and ONNX's operators are made.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from splineviz.tracing.affine import Attrs


@dataclass(frozen=True)
class Kinks:
    """A continuous piecewise-linear scalar function: breakpoints (m,), ascending, and the slopes (m + 1,) between them."""

    breakpoints: tuple[float, ...]
    slopes: tuple[float, ...]


@dataclass(frozen=True)
class KinkLayer:
    """Where a kink stands: index of its step, its path, the units' shape (no batch), and its breakpoints and slopes."""

    step: int
    path: str
    shape: tuple[int, ...]
    kinks: Kinks

    @property
    def units(self) -> int:
        """Number of units: entries of the kink's input."""
        return math.prod(self.shape)


def numbered(paths: Iterable[str]) -> tuple[str, ...]:
    """The paths, so that none is there twice: a module that bends its values again is "block (2)" there."""
    seen: Counter[str] = Counter()
    found = []
    for path in paths:
        seen[path] += 1
        found.append(path if seen[path] == 1 else f"{path} ({seen[path]})")
    return tuple(found)


def _clamp(a: Attrs) -> Kinks:
    low, high = a.get("min"), a.get("max")
    if low is None:
        return Kinks((float(high),), (1.0, 0.0))  # type: ignore[arg-type]  # one of the two is a number
    if high is None:
        return Kinks((float(low),), (0.0, 1.0))
    # Crossed bounds give the upper one everywhere, as torch does.
    return Kinks((float(low), float(high)), (0.0, 1.0, 0.0)) if low < high else Kinks((float(high),), (0.0, 0.0))


class KinkOp(NamedTuple):
    """All that is known of one kink operation; what traces, swaps, watches and reads files looks here.

    call: as torch computes it. pieces: its breakpoints and slopes. Both take the arguments by name.
    arguments: after the input, with position and default, as in torch's call; they are attributes of the modules.
    names: of the call, as a function, a method or an operator; none where arguments may be tensors (`functions` has those).
    modules: classes that are this call.
    units: whether its calls are layers of units where a network is watched instead of traced (`preactivations`).
    onnx: name of ONNX's operator; onnx_arguments: its attribute and default, by argument.
    """

    call: Callable[[Tensor, Attrs], Tensor]
    pieces: Callable[[Attrs], Kinks]
    arguments: Mapping[str, tuple[int, float]] = {}
    names: tuple[str, ...] = ()
    modules: tuple[type[nn.Module], ...] = ()
    units: bool = True
    onnx: str = ""
    onnx_arguments: Mapping[str, tuple[str, float]] = {}

    @property
    def usual(self) -> dict[str, float]:
        """The arguments where none are given."""
        return {name: default for name, (_, default) in self.arguments.items()}


KINKS: dict[str, KinkOp] = {
    "relu": KinkOp(
        lambda z, a: F.relu(z), lambda a: Kinks((0.0,), (0.0, 1.0)), names=("relu",), modules=(nn.ReLU,), onnx="Relu"
    ),
    "leaky_relu": KinkOp(
        lambda z, a: F.leaky_relu(z, a["negative_slope"]),
        lambda a: Kinks((0.0,), (float(a["negative_slope"]), 1.0)),
        {"negative_slope": (1, 0.01)}, names=("leaky_relu",), modules=(nn.LeakyReLU,),
        onnx="LeakyRelu", onnx_arguments={"negative_slope": ("alpha", 0.01)},
    ),
    "relu6": KinkOp(
        lambda z, a: F.relu6(z), lambda a: Kinks((0.0, 6.0), (0.0, 1.0, 0.0)), names=("relu6",), modules=(nn.ReLU6,)
    ),
    "hardsigmoid": KinkOp(
        lambda z, a: F.hardsigmoid(z), lambda a: Kinks((-3.0, 3.0), (0.0, 1.0 / 6.0, 0.0)),
        names=("hardsigmoid",), modules=(nn.Hardsigmoid,),
    ),
    "softshrink": KinkOp(
        lambda z, a: F.softshrink(z, a["lambd"]),
        lambda a: Kinks((-float(a["lambd"]), float(a["lambd"])), (1.0, 0.0, 1.0)),
        {"lambd": (1, 0.5)}, names=("softshrink",), modules=(nn.Softshrink,),
    ),
    "abs": KinkOp(
        lambda z, a: z.abs(), lambda a: Kinks((0.0,), (-1.0, 1.0)), names=("abs", "absolute"), units=False, onnx="Abs"
    ),
    "clamp": KinkOp(lambda z, a: torch.clamp(z, a.get("min"), a.get("max")), _clamp, units=False),
}  # fmt: skip
"""Kink operations by name."""


def named() -> dict[str, str]:
    """Operations by the names of their calls."""
    return {name: op for op, kink in KINKS.items() for name in kink.names}


def of_modules() -> dict[type[nn.Module], str]:
    """Operations by the classes that are their calls."""
    return {kind: op for op, kink in KINKS.items() for kind in kink.modules}
