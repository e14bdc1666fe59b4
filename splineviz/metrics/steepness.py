r"""Sampled gradient complexity: the density of knots from gradients, of any network, without a slice and without a trace.
Here too: what is seen of a gradient in few directions, on average.

        |grad z(x)| rho(z(x)),  summed over units: `knot_density.gradient_complexity` (Patel, Montufar, arXiv 2412.18283)

There all input dimensions are pushed through the network, hundreds of directions a point. Here P random orthonormal ones
are, the neighbourhood's own (`directions`), and the length of the gradient follows from its part in their span S: for a
direction that is uniform in d dimensions

        E |g restricted to S| = |g| G((P+1)/2) G(d/2) / (G(P/2) G((d+1)/2)),      G the gamma function,

so dividing by that factor leaves no bias. Slopes are differences over a step of STEP both ways: exact between knots, and
as good for smooth networks, whose z is what enters an activation function. All knots count, whether the output feels
them or not. rho: the normal density of standard deviation `scale`, one for each breakpoint.

A smooth network has no knots: there it is the density at which signs of pre-activations change.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splineviz.errors import DataError, FloatArray
from splineviz.metrics.complexity import BLOCK_FLOATS, CHUNK, OverPoints, Sampling, as_points, network_of
from splineviz.metrics.images import Images
from splineviz.metrics.neighbourhoods import Pairs, Placed, Vertices
from splineviz.tracing.precision import at_home
from splineviz.tracing.program import Program

SCALE = 0.05
"""Standard deviation of the noise on biases, in units of pre-activations."""
STEP = 1e-4
"""Of the differences, in input-space length."""
COARSE = 1e-2
"""The same in single precision."""


@dataclass(frozen=True, eq=False)
class Steepness(OverPoints):
    """Densities of knots at n points: densities (layers, n), 1 / input-space length; num_vectors: directions used."""

    densities: FloatArray
    scale: float
    num_vectors: int
    layers: tuple[str, ...]

    @property
    def _found(self) -> FloatArray:
        return self.densities


@torch.no_grad()
@at_home
def steepness(model: Any, x: Any, *, scale: float = SCALE, **options: Any) -> Steepness:
    """Sampled gradient complexity at points x (n, *input_shape).

    model, options: as in `local_complexity`; the same seed takes the same directions. scale: of the noise.
    Raises DataError when points, scale or options do not fit, TraceError when there are no pre-activations.
    """
    if not (math.isfinite(scale) and scale > 0):
        raise DataError(f"scale: expected a positive standard deviation of biases, got {scale}.")
    how = Sampling.of(options)
    shape = model.input_shape if isinstance(model, Program) else np.shape(x)[1:]
    network = network_of(model, shape, how.dtype, how.device)
    points = torch.from_numpy(as_points(x, network.input_shape, "x"))
    frames = how.frames(network.input_shape)
    step = STEP if how.dtype == torch.float64 else COARSE
    seen: Pairs | Vertices
    if isinstance(network, Program) and how.device is None and how.dtype == torch.float64:
        seen = Pairs(network, step, how.include_output, how.dtype)
    else:
        placed = Placed(network, how.dtype, how.device) if isinstance(network, Program) else network
        seen = Vertices(placed, step, how.include_output)
    factor = restricted(frames.num_vectors, math.prod(network.input_shape))
    found = np.zeros((len(seen.units), len(points)))
    size = how.batch_size or max(1, min(CHUNK, BLOCK_FLOATS // (2 * frames.num_vectors * seen.widest)))
    images = Images(frames, seen, len(points))
    for first in range(0, len(points), CHUNK):
        for start in range(first, min(first + CHUNK, len(points)), size):
            some = points[start : min(start + size, first + CHUNK)]
            image, rows = images.of(start, start + len(some))
            assert isinstance(image, Mapping)
            for layer, (z, spans) in enumerate(seen.spans(some, image, rows)):
                dense = _density(z, spans, scale, seen.breakpoints[layer]) / (2.0 * step)
                found[layer, start : start + len(some)] = dense.cpu().numpy() / factor
    return Steepness(found, float(scale), frames.num_vectors, tuple(seen.names))


def restricted(vectors: int, dimension: int) -> float:
    """Mean length of the part of a unit vector, uniform in so many dimensions, in the span of so many directions."""
    if vectors >= dimension:
        return 1.0
    p, d = vectors / 2, dimension / 2
    return math.exp(math.lgamma(p + 0.5) + math.lgamma(d) - math.lgamma(p) - math.lgamma(d + 0.5))


def _density(z: Tensor, spans: Tensor, scale: float, breakpoints: Any) -> Tensor:
    """(n,) sum over units of the length of spans (n, P, units) times the noise's density at values z (n, units)."""
    near = sum(torch.exp(-0.5 * ((z - b) / scale) ** 2) for b in breakpoints) / (math.sqrt(2.0 * math.pi) * scale)
    # torch's own norm goes from row to row for each unit, five times as long.
    return (spans.square().sum(dim=1).sqrt() * near).sum(dim=1)
