"""Screens: which units of an MLP change sign near points, at several radii in one pass, in single precision.
Points where that cannot be told beyond doubt are named, for `neighbourhoods` to decide.

What does not depend on the radius is computed once: values at the centres, and how units follow a direction with the slopes
at the centre. A bound of the error runs along (`_kernels.measuring.screens`), so counts are those of double precision.

This file knows no sets of points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from splineviz._kernels.measuring import screens as _screens
from splineviz.errors import FloatArray
from splineviz.metrics import neighbourhoods
from splineviz.metrics.neighbourhoods import Pairs, Parts, Vertices

SMALLEST, LARGEST = 1e-30, 1e30
"""Magnitudes of linear parts of the first layer that single precision holds, with room."""

SMALL_MAP = 512
"""Inputs or outputs of a map up to which its norm is bounded from its fourth power; beyond, by that of its entries."""

DOUBTFUL = 0.25
"""Share of points that are left open, above which a screen is not worth its time."""

TRIED = 64
"""Points after which that is looked at."""


@dataclass(frozen=True, eq=False)
class Lines:
    """Linear parts of the first layer for directions of unit length: odd (units, m) float32, the most of each unit."""

    odd: npt.NDArray[np.float32]
    most: FloatArray
    parts: Parts

    @property
    def held(self) -> bool:
        """Whether single precision holds them all."""
        return bool(((self.most == 0) | ((self.most > SMALLEST) & (self.most < LARGEST))).all())


@dataclass(eq=False)
class Screen:
    """What settles points of a network that is a chain of dense maps and kinks, for evaluators that differ by radius.

    seen, open: points so far, and those of them that were left open.
    """

    counters: Sequence[Pairs]
    weights: npt.NDArray[np.float32]
    norms: FloatArray
    growth: FloatArray
    seen: int = field(default=0)
    open: int = field(default=0)

    @classmethod
    def of(cls, counters: Sequence[Pairs | Vertices], num_vectors: int) -> Screen | None:
        """For these evaluators of one network; None where their network is no such chain, or directions are few."""
        pairs = [counter for counter in counters if isinstance(counter, Pairs)]
        chain = pairs[0].chain if pairs else None
        if chain is None or chain.first > 0 or num_vectors < neighbourhoods.FEWEST:
            return None
        ends, weights, norms = chain.arrays[:3]
        growth, at = [(0.0, 0.0)], 0
        for inputs, units in zip(np.diff(ends), np.diff(ends)[1:], strict=False):
            growth.append(_growth(weights[at : at + inputs * units].reshape(units, inputs).astype(np.float64)))
            at += inputs * units
        padded = np.where(norms > 0, norms + 1e-36, 0.0)  # against weights that single precision loses
        return cls(pairs, weights.astype(np.float32), padded, np.array(growth))

    @property
    def worth(self) -> bool:
        """Whether enough points are settled; by chance of the order of threads, which no result depends on."""
        return self.seen < TRIED or self.open < DOUBTFUL * self.seen

    def lines(self, v: Tensor) -> Lines:
        """What directions v (m, dimensions) become before the first kink."""
        counter = self.counters[0]
        image = counter.image(v, torch.float64)
        own = image[counter.layers[0][1]]
        flat = own.reshape(len(own), math.prod(own.shape[1:])).numpy()
        odd, most = np.ascontiguousarray(flat.T, dtype=np.float32), np.abs(flat).max(axis=0, initial=0.0)
        return Lines(odd, most * 1.000001, {register: t.to(counter.linear.dtype) for register, t in image.items()})

    def settle(
        self, x: Tensor, lines: Lines, rows: Tensor, counts: npt.NDArray[np.int64], lowest: FloatArray, highest: FloatArray
    ) -> npt.NDArray[np.int64]:
        """Count units that change sign round points x (n, *shape); returns the points that are left open.

        rows (n, P): a point's directions. Written: counts (radii, layers, n); lowest, highest (radii, units), as the
        kernel says.
        """
        counter = self.counters[0]
        chain = counter.chain
        assert chain is not None
        settled = np.zeros(len(x), dtype=np.bool_)
        ends, _, _, breakpoints, bounds, slopes = chain.arrays
        radii = np.array([one.radius for one in self.counters])
        if lines.held:
            _screens.settle(
                counter.centres({0: x}), lines.odd, lines.most, rows.numpy(), radii, ends, self.weights, self.norms,
                self.growth, breakpoints, bounds, slopes, counts, lowest, highest, settled,
            )  # fmt: skip
        left = np.flatnonzero(~settled)
        self.seen, self.open = self.seen + len(x), self.open + len(left)
        return left


def _growth(weight: FloatArray) -> tuple[float, float]:
    """Upper bounds of the norm of a map (units, inputs), and of its Frobenius norm."""
    whole = float(np.sqrt((weight * weight).sum()))
    if min(weight.shape) > SMALL_MAP or not 1e-30 < whole < 1e30:
        return whole * 1.000001, whole * 1.000001
    scaled = torch.from_numpy(weight / whole)  # by torch: who measures many networks has held it to one thread
    gram = scaled @ scaled.mT if len(weight) < weight.shape[1] else scaled.mT @ scaled
    return float((gram @ gram).square().sum().sqrt()) ** 0.25 * whole * 1.000001, whole * 1.000001
