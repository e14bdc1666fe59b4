"""Norms: how large a network's weights are, and its outputs; both grow or shrink through training without a slice to see it.
Here too: a network's outputs at points, and the precision and device that it computes in.

    weight norm   sqrt of the sum of squares of all weights and biases; what batch norm has averaged is none of them
    logit norm    mean over points of the length of the output vector

Works on Programs and modules alike. This file knows no slice.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from splineviz.errors import DataError
from splineviz.tracing.precision import at_home
from splineviz.tracing.program import Program

BATCH_FLOATS = 1 << 22
"""Numbers in the samples of one forward pass, at most."""
AVERAGES = ("running_mean", "running_var")
"""Roles of what batch norm has averaged."""


def weight_norm(model: nn.Module | Program) -> float:
    """Square root of the sum of squares of all weights and biases, each once however often it is used."""
    if isinstance(model, Program):
        averaged = {key for step in model.steps for role, key in step.params.items() if role in AVERAGES}
        chosen = [t for key, t in model.weights.items() if key not in averaged and t.is_floating_point()]
    else:
        chosen = [p.detach() for p in model.parameters()]
    once = {(t.data_ptr(), tuple(t.shape)): t for t in chosen}  # tied weights are one
    return math.sqrt(sum(float(t.detach().cpu().double().square().sum()) for t in once.values()))


@torch.no_grad()
@at_home
def logit_norm(model: nn.Module | Program, x: Any) -> float:
    """Mean length of the outputs at points x (n, *input_shape), in the model's precision. Raises DataError for none."""
    points = torch.as_tensor(x)
    if points.ndim < 2 or not len(points):
        raise DataError(f"x: expected at least one point, shape (n, *input_shape), got shape {tuple(points.shape)}.")
    return float(outputs_of(model, points).double().norm(dim=1).mean())


@torch.no_grad()
def outputs_of(model: nn.Module | Program, points: Tensor) -> Tensor:
    """Outputs (n, C) at points (n, *input_shape), on the CPU; a module is run as it stands, in its mode."""
    dtype, device = computes_in(model)
    most = max(1, BATCH_FLOATS // max(points[0].numel(), 1))
    parts = [model(some.to(device=device, dtype=dtype)).reshape(len(some), -1).cpu() for some in points.split(most)]
    return torch.cat(parts)


def computes_in(model: nn.Module | Program) -> tuple[torch.dtype, torch.device]:
    """The precision and the device of a network's weights."""
    if isinstance(model, Program):
        return model.dtype, model.device
    first = next(model.parameters(), torch.zeros(1))
    return first.dtype, first.device
