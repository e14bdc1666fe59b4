"""A measured run: what `sweep.measure_run` found of it, what studies add, and the settings of both.
Here too: means over planes with their standard errors, the bootstrap band of a few skewed values, and what is said of a run
with one checkpoint.

Numbers that take long are kept in out/rows/studies.json by the weights, the slice and the settings that they depend on; so
a second call only draws. The first plane's partitions lie in the output directory. Those of further planes do not: each is
made, measured and forgotten, and its numbers are kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from splineviz.errors import DataError, FloatArray, PlaneError, Progress
from splineviz.geometry.partition import Partition
from splineviz.jobs import sweep
from splineviz.metrics.options import LCOptions
from splineviz.regions.enumerate import partition
from splineviz.storage import files
from splineviz.storage.cache import Ledger
from splineviz.threads import one_torch_thread
from splineviz.training import runs, state_files
from splineviz.workflows import seeds
from splineviz.workflows.phases import moments

PLANES = 4
"""Planes of the studies of migration, unless others are asked for and where the run has as many."""


@dataclass(frozen=True, eq=False)
class Measured:
    """A run with what `sweep.measure_run` found, and the settings of the studies, as `study.measure` takes them.

    missing: steps of checkpoints that cannot be read, which the run has no more. others: the same of other seeds' runs.
    """

    run: runs.Run
    rows: list[dict[str, float]]
    paths: list[Path]
    anchors: tuple[int, ...]
    lc: LCOptions
    attack_steps: int
    points: int
    squares: int
    ledger: Ledger
    progress: Progress | None
    window: Any = None
    near: float | None = None
    wanted: int | None = None
    seed: int = 0
    chosen: tuple[int, int] | None = None
    missing: tuple[int, ...] = ()
    others: tuple[Measured, ...] = ()

    def over_seeds(self, make: Callable[[Measured], list[dict[str, float]]]) -> list[dict[str, float]]:
        """make(measured) of this run, or of it and the others as one table with a band over seeds."""
        return seeds.merged([make(one) for one in (self, *self.others)])

    @property
    def asked(self) -> dict[str, Any]:
        """The settings of the studies by name."""
        return {
            "attack_steps": self.attack_steps, "points": self.points, "squares": self.squares,
            "near": self.near, "planes": [list(anchors) for anchors in self.planes],
            "between": None if self.chosen is None else list(self.chosen),
        }  # fmt: skip

    def step(self, index: int) -> int:
        """The step of a checkpoint."""
        return self.run.checkpoints[index].step

    def partition(self, index: int) -> Partition:
        """The slice of a checkpoint."""
        return Partition.load(self.paths[index])

    def slices(self, indices: Sequence[int]) -> dict[int, Partition]:
        """Slices of checkpoints by step, each once."""
        return {self.step(i): self.partition(i) for i in dict.fromkeys(i % len(self.rows) for i in indices)}

    @cached_property
    def held(self) -> list[str]:
        """Digests of the network and its weights at every checkpoint."""
        return [
            files.digest([state_files.digest(self.run.program(one).weights), self.run.network_of(one)])
            for one in self.run.checkpoints
        ]

    def kept(self, what: str, settings: Any, compute: Callable[[int], Mapping[str, float]]) -> list[dict[str, float]]:
        """compute(index) for every checkpoint, or what was kept of it: the weights and the settings decide."""
        found = []
        for i, checkpoint in enumerate(self.run.checkpoints):
            key = f"{what} {files.digest([settings], self.held[i])}"
            found.append(self.ledger.numbers(key, lambda i=i: compute(i)))  # type: ignore[misc]
            if self.progress is not None:
                self.progress(i + 1, len(self.rows), f"{what}, step {checkpoint.step:,}")
        return found

    def check(self) -> None:
        """Refuse what cannot be compared, before anything is measured. Raises DataError and CheckpointError."""
        if self.chosen is not None:
            self._chosen_rows(self.chosen)
        if self.wanted is not None:
            if self.wanted < 1:
                raise DataError(f"planes: expected 1 or more, got {self.wanted}.")
            _ = self.planes  # fewer than are asked for are refused there

    # ---- two checkpoints -------------------------------------------------------------------------------------------

    @cached_property
    def between(self) -> tuple[int, int]:
        """Rows of the two checkpoints that are compared, or of the only one twice: those asked for, else `moments`."""
        return moments(self.rows) if self.chosen is None else self._chosen_rows(self.chosen)

    @property
    def pair(self) -> tuple[int, int]:
        """As `between`, of two checkpoints. Raises DataError where there is one."""
        first, second = self.between
        if first == second:
            raise only_one(self.step(first))
        return first, second

    def _chosen_rows(self, chosen: tuple[int, int]) -> tuple[int, int]:
        steps = [checkpoint.step for checkpoint in self.run.checkpoints]
        self.run.only(chosen)  # a step without a checkpoint is refused there
        first, second = (steps.index(step) for step in chosen)
        if first >= second:
            raise DataError(f"between: expected two steps, the earlier first, got {chosen[0]} and {chosen[1]}.")
        return first, second

    # ---- several planes --------------------------------------------------------------------------------------------

    @cached_property
    def planes(self) -> list[tuple[int, ...]]:
        """Anchors of every plane: the run's own first, then others drawn by seed whose window holds them.

        Raises DataError when more are asked for than there are.
        """
        flat = math.prod(self.run.train_x.shape[1:]) == 2
        if flat and (self.wanted or 1) > 1:
            raise DataError(f"planes: expected 1 for inputs of two dimensions, which are one plane, got {self.wanted}.")
        others = 0 if flat else (PLANES if self.wanted is None else self.wanted) - 1
        most = min(64 * others, math.comb(len(self.run.train_x), 3))
        found: list[tuple[int, ...]] = []
        drawn = others
        while len(found) < others:
            try:
                candidates = sweep.random_planes(self.run, drawn, self.seed)
            except DataError:
                if self.wanted is None:
                    break
                raise
            found = [tuple(p) for p in candidates if set(p) != set(self.anchors) and self._fits(p)][:others]
            if len(found) < others and drawn >= most:
                if self.wanted is None:
                    break
                raise DataError(
                    f"planes: expected {self.wanted} whose anchors the window holds, got {len(found) + 1}; ask for fewer, "
                    "or for a wider --window."
                )
            drawn = min(2 * drawn, most)
        return [self.anchors, *found]

    def _fits(self, anchors: Sequence[int]) -> bool:
        try:
            self.run.plane(anchors).window(self.window)
        except PlaneError:
            return False
        return True

    def over_planes(
        self, what: str, settings: Any, indices: Sequence[int], measure: Callable[..., Mapping[str, float]]
    ) -> list[dict[str, float]]:
        """measure(the partition of each of these checkpoints) on every plane, or what was kept of it."""
        found = []
        for number, anchors in enumerate(self.planes):
            plane = self.run.plane(anchors)
            window = plane.window(self.window)

            def compute(number: int = number, plane: Any = plane, window: FloatArray = window) -> Mapping[str, float]:
                if number == 0:
                    return measure(*(self.partition(i) for i in indices))
                with one_torch_thread():
                    programs = [self.run.program(self.run.checkpoints[i]) for i in indices]
                    return measure(*(partition(program, plane, window=window) for program in programs))

            weights = [self.held[i] for i in indices]
            key = f"{what} {files.digest([settings, weights], plane.origin, plane.basis, plane.anchors_uv, window)}"
            found.append(self.ledger.numbers(key, compute))
        return found


def only_one(step: int) -> DataError:
    """What is said of a run with one checkpoint where two are compared."""
    return DataError(f"lineage: expected two checkpoints to compare, got one, of step {step}; name more steps.")


def over(found: Sequence[Mapping[str, float]], name: str) -> tuple[float, float]:
    """Mean over planes of one number, and its standard error: NaN for fewer than two planes that have it."""
    values = np.array([one[name] for one in found])
    return mean_and_error(values[np.isfinite(values)])


def mean_and_error(values: FloatArray) -> tuple[float, float]:
    """Mean of values (n,), and its standard error; NaN where there are too few."""
    mean = float(values.mean()) if len(values) else math.nan
    return mean, float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def bootstrap_band(values: FloatArray, draws: int = 2000) -> float:
    """Half-width of the 99% band of a mean of few and skewed values (n,), by the bootstrap of the studentised mean.

    It holds the true mean of 24 lognormal values in 97% of trials (deviation half the mean) to 95% (twice the mean),
    the normal band in 96 to 86%. NaN for fewer than two values.
    """
    count = len(values)
    if count < 2:
        return math.nan
    error = float(values.std(ddof=1)) / math.sqrt(count)
    if error == 0.0:
        return 0.0
    drawn = np.random.default_rng(0).choice(values, (draws, count))
    errors = drawn.std(axis=1, ddof=1) / math.sqrt(count)
    away = np.abs(drawn.mean(axis=1) - values.mean())
    return error * float(np.quantile(away / np.maximum(errors, 1e-3 * error), 0.99))
