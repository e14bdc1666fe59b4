r"""Comparisons: accuracy and local complexity of runs over their steps, without any slice.

    run ────────────> at every checkpoint: recorded accuracies, sampled local complexity at train, test, random points
    smooth network ─> the same while it trains: it has no regions, so nothing of it is recorded to be sliced

What was measured is kept in a ledger, by weights and settings. Rows are as `curves` draws them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy.typing as npt
from torch import nn

from splineviz.jobs.job import PLACES, LCOptions, choose_samples
from splineviz.metrics.complexity import local_complexities
from splineviz.storage import files
from splineviz.storage.cache import Ledger
from splineviz.tracing.program import Program
from splineviz.training import recipes, state_files
from splineviz.training.recipes import Recipe
from splineviz.training.runs import Run
from splineviz.training.samples import Data

Progress = Callable[[int, int, str], None]
Table = list[dict[str, float]]


def measured(run: Run, lc: LCOptions, ledger: Ledger, progress: Progress | None = None) -> Table:
    """A row for every checkpoint of a run: step, its recorded numbers, lc_train, lc_test, lc_random with their bands."""
    points = _points(run.data, lc)
    settings = files.digest([asdict(lc)], *points.values())
    table = []
    for i, checkpoint in enumerate(run.checkpoints):
        program = run.program(checkpoint).as_trained
        key = f"{state_files.digest(program.weights)} {settings}"
        numbers = ledger.numbers(key, lambda program=program: _complexities(program, points, lc))  # type: ignore[misc]
        table.append({"step": float(checkpoint.step), **checkpoint.metrics, **numbers})
        if progress is not None:
            progress(i + 1, len(run.checkpoints), f"local complexity, step {checkpoint.step:,}")
    return table


def followed(
    recipe: Recipe,
    lc: LCOptions,
    ledger: Ledger,
    *,
    steps: int,
    at: Sequence[int] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Table:
    """The same rows of a recipe whose network may be smooth, measured while it trains.

    Counted are sign changes of what enters its activations, see `local_complexity`. ledger: of this recipe alone.
    at: the steps that are measured, of those that are due; None: all.
    """
    points = _points(recipes.samples_of(recipe, seed), lc)

    def compute() -> dict[str, float]:
        found: dict[str, float] = {}

        def visit(step: int, network: nn.Module, metrics: dict[str, float]) -> None:
            if at is not None and step not in at:
                return
            numbers = dict(metrics)
            numbers |= _complexities(network, points, lc)
            found.update({f"{step} {name}": value for name, value in numbers.items()})

        recipes.follow(recipe, visit, steps=steps, seed=seed, progress=progress)
        return found

    table: dict[str, dict[str, float]] = {}
    key = f"{steps} {seed} {files.digest([asdict(lc), at])}"
    for name, value in ledger.numbers(key, compute).items():
        step, _, column = name.partition(" ")
        table.setdefault(step, {"step": float(step)})[column] = value
    return list(table.values())


def _points(data: Data, lc: LCOptions) -> dict[str, npt.NDArray[Any]]:
    """Points of the local complexity by place, as `measure_run` takes them."""
    chosen = choose_samples(data, lc, with_labels=False)
    return {place: chosen[f"lc_{place}"] for place in PLACES if f"lc_{place}" in chosen}


def _complexities(network: Program | nn.Module, points: dict[str, npt.NDArray[Any]], lc: LCOptions) -> dict[str, float]:
    found = local_complexities(network, points, radius=lc.radius, num_vectors=lc.num_vectors, seed=lc.seed)
    return {f"lc_{place}{end}": n for place, c in found.items() for end, n in (("", c.mean), ("_band", c.band))}
