"""Robustness: accuracy of a network on its samples, and on samples that an adversary moved by at most eps.
Here too: the attack itself, how many steps it usually takes, and the class that each row of outputs stands for.

The adversary is projected gradient descent in the maximum norm (Madry et al., arXiv 1706.06083): from a point drawn
uniformly in the box |x' - x| <= eps, k steps x' <- x' + alpha sign(dL/dx'), each followed by a projection onto that box
and onto the domain. L is the cross entropy of the outputs, for one output that of its sigmoid. Settings of arXiv
2402.15555: eps .03 to .20, alpha .0156, 10 steps, 100 for MNIST.

Two accuracies under attack are in use, and differ where a small step succeeds and a large one fails:

    alone    right as it is, and right on what the adversary made of it at this radius; it may rise with the radius
    nested   and on what it made of it at every smaller radius, which the box holds; it only falls (`robust_accuracy`)

An attack is an upper bound of robustness: a stronger adversary may lower it, so what the samples lose counts and what
they keep is not proven. This file knows no geometry and draws nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from splineviz.errors import DataError
from splineviz.metrics import norms
from splineviz.metrics.columns import EPS
from splineviz.tracing.precision import at_home
from splineviz.tracing.program import Program

ALPHA = 0.0156
"""Step of the paper, 4 / 255."""

BATCH = 1000
"""Samples attacked together."""


def usual_steps(input_shape: Sequence[int]) -> int:
    """Steps of the paper's adversary: 100 for MNIST, grey pictures of 28 x 28, else 10."""
    return 100 if tuple(input_shape) in ((28, 28), (1, 28, 28), (784,)) else 10


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


@dataclass(frozen=True)
class Robustness:
    """Share of samples that keep their class, by radius, after both definitions above; 0.0 is the plain accuracy."""

    alone: dict[float, float]
    nested: dict[float, float]


@at_home
def robust_accuracy(model: nn.Module | Program, x: Any, y: Any, **settings: Any) -> dict[float, float]:
    """Share of samples that keep their class under attack, by radius; nested, so that the shares fall with the radius.

    A sample counts at a radius when the network is right on it, and on the attacked samples of this and every smaller
    radius, which the larger box contains.

    Args:
        model: as in `robustness`.
        x: as in `robustness`.
        y: as in `robustness`.
        settings: eps, alpha, steps, domain and seed, as in `robustness`.

    Returns:
        The shares by radius; 0.0 is the plain accuracy.

    Raises:
        DataError: as in `robustness`.
    """
    return robustness(model, x, y, alone=False, **settings).nested


@at_home
def robustness(
    model: nn.Module | Program,
    x: Any,
    y: Any,
    *,
    eps: Sequence[float] = EPS,
    alpha: float = ALPHA,
    steps: int = 10,
    domain: tuple[float, float] = (0.0, 1.0),
    seed: int = 0,
    alone: bool = True,
) -> Robustness:
    """Accuracy under attack after both definitions of the module's docstring.

    Args:
        model: a module, set to evaluation mode during the call, or a Program. Computed in its precision, on its device.
        x: (n, *input_shape) samples.
        y: (n,) classes.
        eps: radii in the maximum norm.
        alpha: as in `pgd`.
        steps: as in `pgd`.
        domain: as in `pgd`.
        seed: as in `pgd`.
        alone: False leaves samples that a smaller radius broke in peace, which is quicker; `Robustness.alone` is then empty.

    Returns:
        The shares by radius; 0.0 is the plain accuracy.

    Raises:
        DataError: there are no samples, or as in `pgd`.
    """
    precision, device = norms.computes_in(model)
    inputs = torch.as_tensor(x).to(device=device, dtype=precision)
    labels = torch.as_tensor(y).to(device).long()
    if not len(inputs):
        raise DataError("x: expected at least one sample, got none.")
    training = isinstance(model, nn.Module) and model.training
    kept = {"alone": dict.fromkeys((0.0, *eps), 0), "nested": dict.fromkeys((0.0, *eps), 0)}
    how: dict[str, Any] = {"alpha": alpha, "steps": steps, "domain": domain}
    try:
        if isinstance(model, nn.Module):
            model.eval()
        for at in range(0, len(inputs), BATCH):
            _attack(model, inputs[at : at + BATCH], labels[at : at + BATCH], how | {"seed": seed + at}, alone, kept)
    finally:
        if training:
            model.train()  # type: ignore[union-attr]
    shares = {name: {radius: count / len(inputs) for radius, count in own.items()} for name, own in kept.items()}
    return Robustness(shares["alone"] if alone else {}, shares["nested"])


def _attack(model: Any, x: Tensor, y: Tensor, how: dict[str, Any], alone: bool, kept: dict[str, dict[float, int]]) -> None:
    """Add to `kept` how many of some samples keep their class at each of its radii."""
    with torch.no_grad():
        right = classes(model(x)) == y
    for own in kept.values():
        own[0.0] += int(right.sum())
    x, y = x[right], y[right]
    whole = torch.ones(len(x), dtype=torch.bool, device=x.device)  # what no radius so far has broken
    for radius in sorted({radius for radius in kept["nested"] if radius > 0}):
        tried = torch.ones_like(whole) if alone else whole
        if not bool(tried.any()):
            continue
        found = pgd(model, x[tried], y[tried], eps=radius, **how)
        with torch.no_grad():
            held = classes(model(found)) == y[tried]
        kept["alone"][radius] += int(held.sum())
        whole = whole.clone()
        whole[tried] &= held
        kept["nested"][radius] += int(whole.sum())
