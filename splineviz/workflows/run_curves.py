r"""Comparisons: accuracy and local complexity of runs over their steps, without any slice.

    run ────────────> at every checkpoint: recorded accuracies, sampled local complexity at train, test, random points
    smooth network ─> the same while it trains: it has no regions, so nothing of it is recorded to be sliced

What was measured is kept in a ledger, by weights and settings. Rows are as `curves` draws them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from torch import nn

from splineviz.errors import Progress
from splineviz.jobs.job import choose_samples
from splineviz.metrics.options import LCOptions, columns_of
from splineviz.storage import files
from splineviz.storage.cache import Ledger
from splineviz.training import recipes, state_files
from splineviz.training.recipes import Recipe
from splineviz.training.runs import Run

Table = list[dict[str, float]]

ALL = "all settings"
"""Part of every key: version 0.1 kept numbers under settings of which it had used only some."""


def measured(run: Run, lc: LCOptions, ledger: Ledger, progress: Progress | None = None) -> Table:
    """A row for every checkpoint of a run: step, its recorded numbers, lc_train, lc_test, lc_random with their bands."""
    points = lc.chosen(choose_samples(run.data, lc, with_labels=False))
    settings = files.digest([ALL, asdict(lc)], *points.values())
    table = []
    for i, checkpoint in enumerate(run.checkpoints):
        program = run.program(checkpoint).as_trained
        key = f"{state_files.digest(program.weights)} {settings}"
        numbers = ledger.numbers(key, lambda program=program: columns_of(lc.measured(program, points)))  # type: ignore[misc]
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
    points = lc.chosen(choose_samples(recipes.samples_of(recipe, seed), lc, with_labels=False))

    def compute() -> dict[str, float]:
        found: dict[str, float] = {}

        def visit(step: int, network: nn.Module, metrics: dict[str, float]) -> None:
            if at is not None and step not in at:
                return
            numbers = dict(metrics)
            numbers |= columns_of(lc.measured(network, points))
            found.update({f"{step} {name}": value for name, value in numbers.items()})

        recipes.follow(recipe, visit, steps=steps, seed=seed, progress=progress)
        return found

    table: dict[str, dict[str, float]] = {}
    key = f"{steps} {seed} {files.digest([ALL, asdict(lc), at])}"
    for name, value in ledger.numbers(key, compute).items():
        step, _, column = name.partition(" ")
        table.setdefault(step, {"step": float(step)})[column] = value
    return list(table.values())
