r"""Densities of knots from gradients, without a slice: how much knot a unit volume of input space holds, on average.

      z_i > 0  /          Shift the bias of unit i by random noise with density rho. Its knot {z_i = 0} sweeps over x with
              /  x        density rho(z_i(x)), and a knot crosses the more of a volume the faster z_i grows, so by the
             /            coarea formula the expected (d-1)-volume of the knot per d-volume at x is
            / z_i < 0
                              |grad z_i(x)| rho(z_i(x)),        summed over units i.

`boundary_density`     Hanin, Rolnick: "Complexity of Linear Regions in Deep Networks" (ICML 2019, arXiv 1901.09021), the
                       theorem on E[vol(boundary in K)], one unit at a time: the integral over K of the sum over units
                       of E[|grad z(x)| rho_b(z(x)) 1(z is good at x)]. There biases are random as at initialisation; here
                       they are the network's own plus independent noise, so it speaks of the network that was trained.
`gradient_complexity`  Patel, Montufar: "On the Local Complexity of Linear Regions in Deep ReLU Networks" (ICML 2025, arXiv
                       2412.18283): that density averaged over the data, with normal noise on the biases.

z is good at x when a path of open units leads from it to the output: its knot is then one of the function, not only of
the activation pattern. Here: the derivative of the outputs (of one random combination) with respect to what the unit
passes on is not 0. All knots count, or good ones only.

What is exact and what is not: the noise of a unit's own bias is integrated (rho); that of the units before it is drawn
`draws` times, and 0 draws leaves them as they are. With draws = 0 the average over x uniform in a region K is, but for
the sampling of x, exactly the mean over shifts of the knots' volume in K, each unit shifted by itself; it tends to
the network's own density of knots as the noise gets small, while fewer and fewer points see a knot at all.

Noise has one value for every unit of a layer of vectors and one for every channel of a layer of images, as biases have.
Knots of maxima are not counted: no bias shifts them. This file does not draw.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splineviz.errors import DataError, FloatArray
from splineviz.metrics.complexity import OverPoints, as_points
from splineviz.metrics.directions import Given
from splineviz.tracing.lowering import lower
from splineviz.tracing.precision import at_home
from splineviz.tracing.program import Program
from splineviz.tracing.trace import trace

BLOCK_FLOATS = 1 << 22
"""Numbers in the widest tensor of tangents of a block of points, about."""

NOISES = ("uniform", "normal")
"""Kinds of noise on biases."""


@dataclass(frozen=True, eq=False)
class KnotDensity(OverPoints):
    """Expected density of knots at n points. densities: (layers, n), 1 / input-space length, per kink layer.

    total: (n,) sum over layers; mean: of the totals over points; band: half-width of the mean's 99% confidence band.
    scale, noise: of the biases; good: whether only knots that the output feels count.
    """

    densities: FloatArray
    scale: float
    noise: str
    good: bool
    layers: tuple[str, ...]

    @property
    def _found(self) -> FloatArray:
        return self.densities


@at_home
def gradient_complexity(
    model: Any, x: Any, *, scale: float, good: bool = True, draws: int = 0, seed: int = 0, directions: Any = None
) -> KnotDensity:
    """Local complexity of Patel and Montufar: mean over x of the sum over units of |grad z(x)| rho(z(x)) 1(z is good at x).

    rho is the normal density of standard deviation `scale`.

    Args:
        model: as in `boundary_density`, with normal noise.
        x: as in `boundary_density`, with normal noise.
        scale: as in `boundary_density`, with normal noise.
        draws: as in `boundary_density`, with normal noise.
        seed: as in `boundary_density`, with normal noise.
        directions: as in `boundary_density`, with normal noise.
        good: count only knots that change the output.

    Returns:
        The density, in knots per input-space length.

    Raises:
        DataError, TraceError: as in `boundary_density`.
    """
    return boundary_density(
        model, x, scale=scale, noise="normal", good=good, draws=draws, seed=seed, directions=directions
    )  # fmt: skip


def _check(scale: float, draws: int, noise: str) -> None:
    if not (math.isfinite(scale) and scale > 0) or draws < 0:
        raise DataError(f"scale, draws: expected a positive scale and draws >= 0, got {scale} and {draws}.")
    if noise not in NOISES:
        raise DataError(f"noise: expected one of {', '.join(NOISES)}, got {noise!r}.")


@at_home
def boundary_density(
    model: Any,
    x: Any,
    *,
    scale: float,
    noise: str = "uniform",
    good: bool = False,
    draws: int = 0,
    seed: int = 0,
    directions: Any = None,
) -> KnotDensity:
    """Expected volume of knots per volume at points x, with biases shifted by noise (Hanin and Rolnick).

    The mean over x drawn uniformly in K estimates E[vol_(d-1)(knots in K)] / vol_d(K).

    Args:
        model: a Program, or a torch module, which is traced.
        x: (n, *input_shape) points.
        scale: half-width of uniform noise, or standard deviation of normal noise, in units of pre-activations.
        noise: one of NOISES.
        good: count only knots that change the output.
        draws: samples of the noise of all biases; 0: only each unit's own bias is shifted, exactly.
        seed: of the draws.
        directions: (k, *input_shape) orthonormal, such as a plane's basis: density of the knots' cut with their span
            (on a plane: length of knots per area); None: all input dimensions.

    Returns:
        The density at every point, by layer, and its mean.

    Raises:
        DataError: points, scale, noise or directions do not fit.
        TraceError: the network is not piecewise affine.
    """
    _check(scale, draws, noise)
    shape = model.input_shape if isinstance(model, Program) else np.shape(x)[1:]
    points = torch.from_numpy(as_points(x, shape, "x"))
    lowered = lower(trace(model, shape).to(torch.float64, "cpu"))
    program = lowered.program
    own = [i for i, one in enumerate(lowered.rounds) if one is None]  # kink layers of the network itself, no rounds
    dimension = math.prod(shape)
    basis = torch.eye(dimension, dtype=torch.float64) if directions is None else Given(directions, shape).pool(0)
    tangents = basis.reshape(len(basis), *shape)
    found = np.zeros((len(own), len(points)))
    widest = max([dimension, *(layer.units for layer in program.layers)])
    size = max(1, BLOCK_FLOATS // (len(basis) * widest))
    generator = torch.Generator().manual_seed(seed)
    for _ in range(max(draws, 1)):
        shifted = [scale if draws and i in own else 0.0 for i in range(len(program.layers))]
        shifts = [_drawn(layer.shape, s, noise, generator) for layer, s in zip(program.layers, shifted, strict=True)]
        network = _Shifted(program, shifts, generator)
        for start in range(0, len(points), size):
            some = points[start : start + size]
            kept = network.good(some) if good else None
            gradients = network.gradients(some, tangents)
            for row, i in enumerate(own):
                z, steepness = gradients[i]
                each = steepness * sum(_density(z - b, scale, noise) for b in program.layers[i].kinks.breakpoints)
                found[row, start : start + len(some)] += (each if kept is None else each * kept[i]).sum(dim=1).numpy()
    found /= max(draws, 1)
    return KnotDensity(found, float(scale), noise, good, tuple(program.layers[i].path for i in own))


def _drawn(shape: Sequence[int], scale: float, noise: str, generator: torch.Generator) -> Tensor:
    """Shifts that broadcast over a layer's units: one each, one a channel for images."""
    own = (shape[0], *(1 for _ in shape[1:])) if len(shape) > 1 else tuple(shape)
    if noise == "normal":
        return scale * torch.randn(own, generator=generator, dtype=torch.float64)
    return scale * (2 * torch.rand(own, generator=generator, dtype=torch.float64) - 1)


def _density(z: Tensor, scale: float, noise: str) -> Tensor:
    if noise == "normal":
        return torch.exp(-0.5 * (z / scale) ** 2) / (math.sqrt(2 * math.pi) * scale)
    return (z.abs() < scale).double() / (2 * scale)


class _Shifted:
    """A Program whose biases are shifted, layer by layer, before each kink."""

    def __init__(self, program: Program, shifts: Sequence[Tensor], generator: torch.Generator):
        self.program, self.shifts = program, shifts
        outputs = program(torch.zeros(1, *program.input_shape, dtype=torch.float64)).shape[1]
        self.combination = torch.randn(outputs, generator=generator, dtype=torch.float64)

    def gradients(self, x: Tensor, tangents: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Per kink layer, pre-activations (n, units) without their own shift, and the length of their gradients."""
        program, n, k = self.program, len(x), len(tangents)
        live: dict[int, Tensor] = {0: x}
        along: dict[int, Tensor] = {0: tangents[None].expand(n, *tangents.shape).flatten(0, 1)}
        at, found = 0, []
        for layer, shift in zip(program.layers, self.shifts, strict=True):
            live = program.run(live, at, layer.step)
            along, at = program.run(along, at, layer.step, homogeneous=True), layer.step
            step = program.steps[at]
            z, slopes = live[step.inputs[0]], along[step.inputs[0]]
            found.append((z.flatten(1), slopes.reshape(n, k, -1).norm(dim=1)))
            live[step.inputs[0]] = z = z + shift
            piece = torch.searchsorted(torch.tensor(layer.kinks.breakpoints, dtype=torch.float64), z)
            passes = torch.tensor(layer.kinks.slopes, dtype=torch.float64)[piece]
            live, at = program.run(live, at, at + 1), at + 1
            along = {register: t for register, t in along.items() if register in live}
            along[step.output] = slopes * passes.repeat_interleave(k, dim=0)
        return found

    def good(self, x: Tensor) -> list[Tensor]:
        """Per kink layer, (n, units): 1.0 where the outputs depend on what the unit passes on."""
        with torch.enable_grad():
            passed, outputs = self._run(x)
            if not passed:
                return []
            found = torch.autograd.grad((outputs @ self.combination).sum(), passed, allow_unused=True)
        return [
            torch.zeros(len(x), t[0].numel(), dtype=torch.float64) if g is None else (g != 0).flatten(1).double()
            for t, g in zip(passed, found, strict=True)
        ]

    def _run(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """What every kink layer passes on, as tensors that a gradient can be asked for, and the outputs (n, C)."""
        program, live, at = self.program, {0: x}, 0
        passed: list[Tensor] = []
        for layer, shift in zip(program.layers, self.shifts, strict=True):
            live, at = program.run(live, at, layer.step), layer.step
            step = program.steps[at]
            live[step.inputs[0]] = live[step.inputs[0]] + shift
            live, at = program.run(live, at, at + 1), at + 1
            if not live[step.output].requires_grad:
                live[step.output].requires_grad_(True)
            passed.append(live[step.output])
        return passed, program.run(live, at, len(program.steps))[program.output].reshape(len(x), -1)
