"""Directions of neighbourhoods: P orthonormal ones a point, drawn from a seed, or given.
Those that were used last are kept for the next call.

    points 0 .. 1023       points 1024 .. 2047     Points of a group choose their directions from one pool. In many
    +-----------+          +-----------+           dimensions it is a random orthonormal system of SPARE P vectors,
    |  pool 0   |          |  pool 1   |   ...     of which each point takes P by lot: every point has a uniformly
    +-----------+          +-----------+           random frame of its own, and what a network makes of a direction
      point 3: vectors 7, 180, 22, ...             is computed once for the group, not once a point.

Two points of a group have P / SPARE directions in common on average, 1 of 20. In fewer than SPARE P dimensions, where an
orthonormal system has no vectors to spare, a pool holds a frame for each point.

Directions belong to a point's number, not to its place: the i-th point of every set has the same ones, at every
checkpoint, so curves over training compare like with like. Drawn ones are rounded to float32, in any precision.
This file knows no networks.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splineviz.errors import DataError, to_float_array

GROUP, SMALL_GROUP = 1024, 64
"""Points that share a pool, and where a pool holds a frame for each of them; part of what a seed means."""

SPARE = 20
"""Vectors in a pool, for each that a point takes; part of what a seed means."""

POOL_FLOATS = 1 << 26
"""Numbers in a pool, at most, unless P vectors have more; part of what a seed means."""

KEPT_BYTES = 1 << 29
"""Pools of the last call that are kept for the next one, at most."""


class Directions:
    """Orthonormal directions of all points, a stream that only the seed decides: group k is drawn from (seed, k).

    dimension: of the input; num_vectors: P <= dimension; shared: one frame for all points. group: points that share a pool.
    Up to KEPT_BYTES are kept, later groups are drawn again each time.
    """

    def __init__(self, dimension: int, num_vectors: int, seed: int, shared: bool):
        self.dimension, self.num_vectors, self.seed, self.shared = dimension, num_vectors, seed, shared
        self._spare = not shared and dimension >= SPARE * num_vectors
        self.group = GROUP if shared or self._spare else SMALL_GROUP
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}

    def pool(self, group: int) -> Tensor:
        """Vectors (m, dimension), float32, that points group * self.group and following choose from."""
        return self._of(group)[0]

    def chosen(self, start: int, stop: int) -> Tensor:
        """(stop - start, P) int64, which vectors of their pool points start .. stop - 1, of one group, have."""
        number = start // self.group
        chosen, first = self._of(number)[1], number * self.group
        return chosen.expand(stop - start, -1) if self.shared else chosen[start - first : stop - first]

    def frames(self, start: int, stop: int) -> Tensor:
        """(stop - start, P, dimension), the directions of points start .. stop - 1, of one group."""
        return self.pool(start // self.group)[self.chosen(start, stop)]

    def _of(self, number: int) -> tuple[Tensor, Tensor]:
        key = 0 if self.shared else number
        drawn = self._kept.get(key)
        if drawn is None:
            drawn = self._draw(key)
            if (len(self._kept) + 1) * drawn[0].nbytes <= KEPT_BYTES or self.shared:
                self._kept[key] = drawn
        return drawn

    def _draw(self, group: int) -> tuple[Tensor, Tensor]:
        rng, count = np.random.default_rng([self.seed, group]), self.num_vectors
        if self._spare:
            size = max(count, min(SPARE * count, POOL_FLOATS // self.dimension))
            lots = rng.random((GROUP, size)).argsort(axis=1)[:, :count]
            return self._systems(rng, 1, size), torch.from_numpy(np.ascontiguousarray(lots))
        points = 1 if self.shared else self.group
        return self._systems(rng, points, count), torch.arange(points * count).reshape(points, count)

    def _systems(self, rng: np.random.Generator, systems: int, size: int) -> Tensor:
        """Random orthonormal systems of `size` vectors each, one after the other (systems * size, dimension)."""
        v = torch.from_numpy(rng.standard_normal((systems, size, self.dimension), dtype=np.float32)).double()
        # Uniform but for signs, which opposite vertices do not see.
        return torch.linalg.qr(v.mT)[0].mT.flatten(0, 1).float().contiguous()


class Given:
    """Directions that the caller gives, (P, *input_shape), for all points; not rounded. Raises DataError."""

    shared, group = True, GROUP

    def __init__(self, directions: Any, shape: Sequence[int]):
        v = to_float_array(directions, "directions")
        if v.shape[1:] != tuple(shape) or not len(v):
            raise DataError(f"directions: expected shape (P, {', '.join(map(str, shape))}), got {v.shape}.")
        flat = v.reshape(len(v), -1)
        if not np.allclose(flat @ flat.T, np.eye(len(v)), rtol=0.0, atol=1e-6):
            raise DataError("directions: expected orthonormal ones, got others; take a plane's basis or numpy.linalg.qr.")
        self.num_vectors, self._v = len(v), torch.tensor(flat)

    def pool(self, group: int) -> Tensor:
        """(P, dimension), whatever the group."""
        return self._v

    def chosen(self, start: int, stop: int) -> Tensor:
        """(stop - start, P): all of them, in order."""
        return torch.arange(self.num_vectors).expand(stop - start, -1)

    def frames(self, start: int, stop: int) -> Tensor:
        """(stop - start, P, dimension): the same for all."""
        return self._v.expand(stop - start, -1, -1)


@functools.lru_cache(maxsize=1)
def kept_directions(dimension: int, num_vectors: int, seed: int, shared: bool) -> Directions:
    """The directions of these settings; the last ones are kept, for the next set of points or checkpoint."""
    return Directions(dimension, num_vectors, seed, shared)
