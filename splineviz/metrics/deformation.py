r"""Deformations: whether a neighbourhood is small enough, seen by what a network makes of its shape.

          x + r v_2                    The 2P vertices of a neighbourhood are the corners of a cross-polytope. Its edges
            /  \                       join all pairs of vertices except antipodes. Embedded by the first layers of the
   x - r v_1    x + r v_1   --z-->     network, an edge is as long as its ends are apart there, and two vertices are as
            \  /                       far apart as the shortest path along edges. (arXiv 2402.15555, section 3)
          x - r v_2

    eccentricity of a vertex    its distance from the farthest vertex; `eccentricity` is the mean over the 2P vertices
    diameter                    the largest of them

Every distance but that of antipodes is one edge, since embedded edges obey the triangle inequality; antipodes are two
edges apart, through the vertex that makes this shortest. In input space both numbers are 2 sqrt(2) r. Where the
layers are one affine map on the neighbourhood, both grow in proportion to r; where the curve leaves that line, the
neighbourhood folds, r is too large there, and sampling misses knots. Divided by r the curves are level while r is small.

For P = 1 there is no edge, so none is defined. This file counts nothing and does not draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from splineviz.errors import DataError, FloatArray
from splineviz.metrics.complexity import BLOCK_FLOATS, CHUNK, Sampling, as_points, check_radii, network_of
from splineviz.tracing.precision import at_home
from splineviz.tracing.program import Program


@dataclass(frozen=True, eq=False)
class Deformation:
    """Shapes of embedded neighbourhoods of n points at several radii.

    radii: (R,) input-space length. eccentricity, diameter: (R, layers, n), in the units of each layer's pre-activations;
    with include_output a last layer for the outputs. layers: their names.
    """

    radii: FloatArray
    eccentricity: FloatArray
    diameter: FloatArray
    layers: tuple[str, ...]

    def relative(self, which: str = "diameter") -> FloatArray:
        """(R, layers) mean over points of "eccentricity" or "diameter", over that of the neighbourhood itself.

        The stretch of the layers: independent of r while r is small.
        """
        values: FloatArray = {"eccentricity": self.eccentricity, "diameter": self.diameter}[which]
        return np.asarray(values.mean(axis=2) / (np.sqrt(8.0) * self.radii[:, None]))


@torch.no_grad()
@at_home
def deformation(model: Any, x: Any, *, radii: Sequence[float], **options: Any) -> Deformation:
    """Average eccentricity and diameter of the embedded neighbourhoods of points x (n, *input_shape), per layer and radius.

    model, options: as in `local_complexity`; the same seed takes the same directions, at all radii.
    A network without knots has no layers of them. Raises DataError when points, radii or options do not fit or P is 1,
    TraceError when a network can be neither traced nor watched.
    """
    how = Sampling.of(options)
    check_radii(radii)
    shape = model.input_shape if isinstance(model, Program) else np.shape(x)[1:]
    network = network_of(model, shape, how.dtype)
    points = torch.from_numpy(as_points(x, shape, "x"))
    frames = how.frames(network.input_shape)
    if frames.num_vectors < 2:
        raise DataError("num_vectors: expected 2 or more, got 1; a neighbourhood of one direction has no edges.")
    if isinstance(network, Program):
        network = network.to(how.dtype)
        names = tuple(layer.path for layer in network.layers)
    else:
        names = network.layers
    names = (*names, "output") if how.include_output else names
    found = np.empty((2, len(radii), len(names), len(points)))
    size = how.batch_size or max(1, min(CHUNK, BLOCK_FLOATS // (2 * frames.num_vectors * points[0].numel())))
    for first in range(0, len(points), CHUNK):
        for start in range(first, min(first + CHUNK, len(points)), size):
            some = points[start : min(start + size, first + CHUNK)]
            arms = frames.frames(start, start + len(some)).double().reshape(-1, frames.num_vectors, *network.input_shape)
            for k, radius in enumerate(radii):
                vertices = torch.cat([some[:, None] + radius * arms, some[:, None] - radius * arms], dim=1)
                values, outputs = network.preactivations(vertices.flatten(0, 1).to(how.dtype))
                for i, z in enumerate([*values, outputs] if how.include_output else values):
                    found[:, k, i, start : start + len(some)] = shapes(z.reshape(*vertices.shape[:2], -1))
    return Deformation(np.asarray(radii, dtype=np.float64), found[0], found[1], names)


def shapes(embedded: torch.Tensor) -> FloatArray:
    """(2, n) mean eccentricity and diameter of cross-polytopes (n, 2P, units); vertex p and vertex P + p are antipodes."""
    n, count = embedded.shape[:2]
    flat = embedded.double()
    # As differences: products would lose what matters for small radii.
    far = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist")
    here = torch.arange(count)
    there = (here + count // 2) % count
    around = far + far[:, there]  # [i, k]: from i to k and on to the antipode of i
    around[:, here, here] = around[:, here, there] = torch.inf
    far[:, here, there] = around.amin(dim=2)
    eccentricities = far.amax(dim=2)
    return torch.stack([eccentricities.mean(dim=1), eccentricities.amax(dim=1)]).numpy()
