r"""Reslicing: the networks behind an explorer's partitions, and their partitions on another slice.
Here too: a plane with its anchors moved.

    networks   step -> Program, from a run, from one model, or from a mapping step -> model
    samples    inputs to choose anchors from by number: a run's training samples, or those given

    move(anchors)     the same plane, its anchors and with them its window elsewhere
    through(indices)  the plane through three samples

A window keeps its size relative to the anchors: as many times the window that the plane would have by itself
(`Plane.window`) as it was at first. This file does not draw and knows no notebook.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from splineviz.errors import DataError, FloatArray
from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane
from splineviz.geometry.polygons import bounding_square
from splineviz.regions.enumerate import partition
from splineviz.tracing.program import Program
from splineviz.tracing.trace import trace
from splineviz.training.runs import Run, open_run
from splineviz.training.samples import Array

QUICK = 5_000
"""Regions that a slice has about, while an anchor is dragged: the middle of its window, so that the hand is followed."""
MAX_REGIONS = 2_000_000
"""A slice with more is refused: who drags an anchor waits for it."""


class Slicer:
    """Cuts the networks of an explorer along other planes. network: step -> Program; samples: (n, *input_shape) or None."""

    def __init__(self, network: Callable[[int], Program], samples: Array | None, first: Partition):
        self._network = network
        self._programs: dict[int, Program] = {}
        self._regions = first.num_regions  # of the last whole window
        self.samples = samples
        self.shape = first.plane.input_shape
        centre, half = bounding_square(first.window)
        own, own_half = bounding_square(first.plane.window())
        self._factor, self._shift = half / own_half, (centre - own) / own_half

    @classmethod
    def of(
        cls, first: Partition, steps: Sequence[int], *, model: Any = None, run: Any = None, samples: Any = None
    ) -> Slicer:
        """From what `splineviz.explore` takes; first: a partition of the explorer, whose plane and window say what fits.

        steps: those of the explorer. Raises DataError when not exactly one of model and run is given, for one model and
        several steps, and for samples of another shape than inputs; CheckpointError for a run that cannot be opened.
        """
        shape = first.plane.input_shape
        if (model is None) == (run is None):
            raise DataError("explore: expected a model or a run to slice again, got both; pass one of them.")
        if run is not None:
            opened: Run = run if isinstance(run, Run) else open_run(os.fspath(run))

            def network(step: int) -> Program:
                return opened.program(opened.at(step))

            samples = opened.train_x if samples is None else samples
        elif isinstance(model, Mapping):

            def network(step: int) -> Program:
                if step not in model:
                    raise DataError(f"model: expected a network for step {step}, got {', '.join(map(str, model))}.")
                return trace(model[step], shape)
        else:
            if len(steps) > 1:
                raise DataError(f"model: expected a mapping step -> network for {len(steps)} steps, got one network.")

            def network(step: int) -> Program:
                return trace(model, shape)

        if samples is not None:
            samples = np.asarray(samples)
            if samples.shape[1:] != shape or not len(samples):
                raise DataError(f"samples: expected inputs of shape (n, {', '.join(map(str, shape))}), got {samples.shape}.")
        return cls(network, samples, first)

    @property
    def count(self) -> int:
        """Number of samples to choose from."""
        return 0 if self.samples is None else len(self.samples)

    def through(self, indices: Any) -> Plane:
        """The plane through three samples. Raises DataError unless there are such samples, PlaneError as Plane.through."""
        wanted = [int(i) for i in indices]
        if not self.count:
            raise DataError("samples: expected a run, or samples=, given to explore, got neither.")
        if len(wanted) != 3 or not all(0 <= i < self.count for i in wanted):
            raise DataError(f"samples: expected three numbers from 0 to {self.count - 1}, got {wanted}.")
        assert self.samples is not None
        return Plane.through(*(self.samples[i] for i in wanted))

    def window(self, plane: Plane, share: float = 1.0) -> FloatArray:
        """The window of a plane, as large and as far from its anchors, relative to their extent, as it was at first.

        share: of its sides, about its middle.
        """
        centre, half = bounding_square(plane.window())
        shift = self._shift if len(plane.anchors_uv) else 0.0
        return plane.window(centre + half * (shift + share * self._factor * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])))

    def cut(self, step: int, plane: Plane, *, quick: bool = False) -> Partition:
        """The partition of a step's network on a plane. Raises as `sv.partition` does, BudgetError above MAX_REGIONS.

        quick: only as much of the window, about its middle, as has QUICK regions if they lie evenly.
        """
        if step not in self._programs:
            self._programs = {step: self._network(step)}  # the last one only: weights are large
        share = min(1.0, (QUICK / max(self._regions, 1)) ** 0.5) if quick else 1.0
        found = partition(self._programs[step], plane, window=self.window(plane, share), max_regions=MAX_REGIONS)
        if share == 1.0:
            self._regions = found.num_regions
        return found


def moved(plane: Plane, anchors: Any) -> Plane:
    """The same plane with its anchors elsewhere on it: anchors (3, 2) in plane coordinates. Raises DataError, PlaneError."""
    places = np.asarray(anchors, dtype=np.float64)
    if places.shape != (3, 2) or not np.isfinite(places).all():
        raise DataError(f"anchors: expected three finite points (u, v), got {anchors}.")
    Plane.through(*plane.embed(places))  # refuses points that coincide or lie on a line
    return Plane(plane.origin, plane.basis, places)
