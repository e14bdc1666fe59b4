"""Robustness: accuracy of a network on its samples, and on samples that an adversary moved by at most eps.

The adversary is projected gradient descent in the maximum norm (Madry et al., arXiv 1706.06083): from a point drawn
uniformly in the box |x' - x| <= eps, k steps x' <- x' + alpha sign(dL/dx'), each followed by a projection onto that box
and onto the domain. L is the cross entropy of the outputs, for one output that of its sigmoid. Settings of arXiv
2402.15555: eps .03 to .20, alpha .0156, 10 steps, 100 for MNIST.

An attack is an upper bound of robustness: a stronger adversary may lower it, so what the samples lose counts and what
they keep is not proven. This room knows no geometry and draws nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from splineviz.errors import DataError
from splineviz.tracing.precision import at_home
from splineviz.tracing.program import Program

EPS = (0.03, 0.06, 0.10, 0.13, 0.16, 0.20)
"""Radii of the paper."""

ALPHA = 0.0156
"""Step of the paper, 4 / 255."""

BATCH = 1000
"""Samples attacked together."""


def classes(outputs: Tensor) -> Tensor:
    """(n,) class of each row of outputs (n, C): the first of the largest; one output: 1 where it is positive."""
    return outputs.argmax(dim=1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0).long()


@at_home
def pgd(
    model: nn.Module | Program,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    alpha: float = ALPHA,
    steps: int = 10,
    domain: tuple[float, float] = (0.0, 1.0),
    seed: int | None = 0,
) -> Tensor:
    """Adversarial samples: x moved by at most eps in each coordinate so as to raise the loss.

    Args:
        model: in evaluation mode, or a Program of x's precision.
        x: (n, *input_shape) samples.
        y: (n,) int64 classes.
        eps: radius in the maximum norm.
        alpha: length of a step in each coordinate.
        steps: number of gradient steps.
        domain: (low, high) of the coordinates.
        seed: of the random start; None starts at x itself.

    Returns:
        (n, *input_shape) the moved samples.

    Raises:
        DataError: eps, alpha, steps, domain or shapes do not fit.
    """
    if not (math.isfinite(eps) and eps >= 0 and alpha > 0 and steps >= 0 and domain[0] < domain[1]):
        raise DataError(
            f"pgd: expected eps >= 0, alpha > 0, steps >= 0 and low < high, got {eps}, {alpha}, {steps} and {domain}."
        )
    if y.shape != (len(x),):
        raise DataError(f"y: expected one class for each of {len(x)} samples, got shape {tuple(y.shape)}.")
    low, high = (x - eps).clamp(min=domain[0]), (x + eps).clamp(max=domain[1])
    low, high = torch.minimum(low, x), torch.maximum(high, x)  # a sample outside the domain may stay where it is
    moved = x.clone()
    if seed is not None:
        noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        moved = (x + eps * (2 * noise.to(x) - 1)).clamp(low, high)
    for _ in range(steps):
        with torch.enable_grad():
            at = moved.detach().requires_grad_(True)
            outputs = model(at)
            loss = (
                nn.functional.cross_entropy(outputs, y, reduction="sum")
                if outputs.shape[1] > 1
                else nn.functional.binary_cross_entropy_with_logits(outputs[:, 0], y.to(outputs), reduction="sum")
            )
            (slope,) = torch.autograd.grad(loss, at)
        moved = (moved + alpha * slope.sign()).clamp(low, high)
    return moved.detach()


@at_home
def _precision(model: nn.Module | Program) -> torch.dtype:
    return model.dtype if isinstance(model, Program) else next((p.dtype for p in model.parameters()), torch.float32)


def robust_accuracy(
    model: nn.Module | Program,
    x: Any,
    y: Any,
    *,
    eps: Sequence[float] = EPS,
    alpha: float = ALPHA,
    steps: int = 10,
    domain: tuple[float, float] = (0.0, 1.0),
    seed: int = 0,
) -> dict[float, float]:
    """Share of samples that keep their class under attack, by radius.

    A sample counts at a radius when the network is right on it, and on the attacked samples of this and every smaller
    radius, which the larger box contains; so the shares fall with the radius.

    Args:
        model: a module, set to evaluation mode during the call, or a Program. Computed in the model's precision.
        x: (n, *input_shape) samples.
        y: (n,) classes.
        eps: radii in the maximum norm.
        alpha: as in `pgd`.
        steps: as in `pgd`.
        domain: as in `pgd`.
        seed: as in `pgd`.

    Returns:
        The shares by radius; 0.0 is the plain accuracy.

    Raises:
        DataError: there are no samples, or as in `pgd`.
    """
    inputs, labels = torch.as_tensor(x).to(_precision(model)), torch.as_tensor(y).long()
    if not len(inputs):
        raise DataError("x: expected at least one sample, got none.")
    training = isinstance(model, nn.Module) and model.training
    kept = dict.fromkeys((0.0, *eps), 0)
    try:
        if isinstance(model, nn.Module):
            model.eval()
        for at in range(0, len(inputs), BATCH):
            some, some_y = inputs[at : at + BATCH], labels[at : at + BATCH]
            with torch.no_grad():
                right = classes(model(some)) == some_y
            kept[0.0] += int(right.sum())
            some, some_y = some[right], some_y[right]
            for radius in sorted({radius for radius in eps if radius > 0}):
                if len(some):
                    found = pgd(
                        model, some, some_y, eps=radius, alpha=alpha, steps=steps, domain=domain, seed=seed + at
                    )  # fmt: skip
                    with torch.no_grad():
                        held = classes(model(found)) == some_y
                    some, some_y = some[held], some_y[held]  # what a smaller radius broke is within a larger one, too
                    kept[radius] += len(some)
    finally:
        if training:
            model.train()  # type: ignore[union-attr]
    return {radius: count / len(inputs) for radius, count in kept.items()}
