"""Kinks: continuous piecewise-linear functions of one number, as a torch call, breakpoints and slopes.

    relu6          slopes    0    1    0
                   -----------+----+---------> z
                   breakpoints 0    6

One breakpoint at 0 is a layer of the enumerator by itself. Any other kink is written as a sum of such layers,

    f(z) = f(b_0) + s_0 (z - b_0) + sum over i of (s_i+1 - s_i) relu(z - b_i),

which has the same pieces: each breakpoint is a unit of its own. Functions that jump have no place here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

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


KINKS: dict[str, tuple[Callable[[Tensor, Attrs], Tensor], Callable[[Attrs], Kinks]]] = {
    "relu": (lambda z, a: F.relu(z), lambda a: Kinks((0.0,), (0.0, 1.0))),
    "leaky_relu": (
        lambda z, a: F.leaky_relu(z, a["negative_slope"]),
        lambda a: Kinks((0.0,), (float(a["negative_slope"]), 1.0)),
    ),
    "abs": (lambda z, a: z.abs(), lambda a: Kinks((0.0,), (-1.0, 1.0))),
    "relu6": (lambda z, a: F.relu6(z), lambda a: Kinks((0.0, 6.0), (0.0, 1.0, 0.0))),
    "clamp": (lambda z, a: torch.clamp(z, a.get("min"), a.get("max")), _clamp),
    "hardsigmoid": (lambda z, a: F.hardsigmoid(z), lambda a: Kinks((-3.0, 3.0), (0.0, 1.0 / 6.0, 0.0))),
    "softshrink": (
        lambda z, a: F.softshrink(z, a["lambd"]),
        lambda a: Kinks((-float(a["lambd"]), float(a["lambd"])), (1.0, 0.0, 1.0)),
    ),
}
"""Kink operations by name: the torch call, and its breakpoints and slopes."""
