"""Liveness: which units bend on given points, which are linear on all of them, and which are dead.

    live     a breakpoint lies strictly between the unit's smallest and largest pre-activation over the points
    linear   all its values lie in one piece, whose slope is not 0: it passes on an affine function of the input
    dead     all its values lie in one piece of slope 0: it passes on a constant (a ReLU that never opens)

Their number falls while a network trains, and with it every count of knots, whether or not regions migrate. Pieces are
closed: a value on a breakpoint belongs to both its pieces.

A smooth network has no pieces. There a unit's sign decides (`signs`): live where what enters its activation takes both,
linear where it is never negative, dead where it is never positive. This file does not draw and knows no slice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from splineviz.errors import DataError
from splineviz.tracing.precision import at_home
from splineviz.tracing.program import Program
from splineviz.tracing.trace import trace

Counts = npt.NDArray[np.int64]

BATCH = 1000
"""Points in one forward pass."""


@dataclass(frozen=True, eq=False)
class Liveness:
    """Numbers of units of each kink layer, (layers,) each; the three sum to all units."""

    live: Counts
    linear: Counts
    dead: Counts


@torch.no_grad()
@at_home
def liveness(model: Any, x: Any) -> Liveness:
    """Count live, linear and dead units over points x (n, *input_shape).

    model: a torch module, which is traced, or a Program, in whose precision the points are evaluated.
    Raises DataError without points, TraceError when the network is not piecewise affine.
    """
    points = torch.as_tensor(x)
    if points.ndim < 2 or not len(points):
        raise DataError(f"x: expected at least one point, shape (n, *input_shape), got shape {tuple(points.shape)}.")
    program = model if isinstance(model, Program) else trace(model, points.shape[1:])
    lowest: list[npt.NDArray[Any]] = []
    highest: list[npt.NDArray[Any]] = []
    for at in range(0, len(points), BATCH):
        some = points[at : at + BATCH].to(device=program.device, dtype=program.dtype)
        values, _ = program.preactivations(some)
        ends = [(z.amin(dim=0).cpu().numpy(), z.amax(dim=0).cpu().numpy()) for z in values]
        lowest = [low for low, _ in ends] if not at else [np.minimum(a, b) for a, (b, _) in zip(lowest, ends, strict=True)]
        highest = [top for _, top in ends] if not at else [np.maximum(a, b) for a, (_, b) in zip(highest, ends, strict=True)]
    counts = []
    for layer, low, high in zip(program.layers, lowest, highest, strict=True):
        breakpoints = np.array(layer.kinks.breakpoints)
        piece = np.searchsorted(breakpoints, high, side="left")  # of the largest value, and below a breakpoint it lies on
        live = (breakpoints[:, None] < high) & (low < breakpoints[:, None])
        bends = live.any(axis=0)
        flat = np.array(layer.kinks.slopes)[piece] == 0.0
        counts.append((int(bends.sum()), int((~bends & ~flat).sum()), int((~bends & flat).sum())))
    live_, linear, dead = np.array(counts, dtype=np.int64).reshape(-1, 3).T
    return Liveness(live_, linear, dead)


@torch.no_grad()
@at_home
def signs(network: Any, x: Any) -> Liveness:
    """The same of a network that is run as it is (`Watched`, `Held`), by the signs of what enters its activations.

    Raises DataError without points.
    """
    points = torch.as_tensor(x)
    if points.ndim < 2 or not len(points):
        raise DataError(f"x: expected at least one point, shape (n, *input_shape), got shape {tuple(points.shape)}.")
    above = [torch.zeros(units, dtype=torch.bool) for units in network.units]
    below = [torch.zeros(units, dtype=torch.bool) for units in network.units]
    for some in points.split(BATCH):
        for layer, z in enumerate(network.preactivations(some)[0]):
            above[layer] |= (z > 0).any(dim=0).cpu()
            below[layer] |= (z < 0).any(dim=0).cpu()
    counts = [(int((a & b).sum()), int((~b).sum()), int((b & ~a).sum())) for a, b in zip(above, below, strict=True)]
    live_, linear, dead = np.array(counts, dtype=np.int64).reshape(-1, 3).T
    return Liveness(live_, linear, dead)
