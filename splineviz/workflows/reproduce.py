r"""Reproductions: the figures of "Deep Networks Always Grok and Here is Why" (arXiv 2402.15555) by name.

    a name ──> recipes ──train, unless the run is there──> runs ──measure──> tables ──plates──> NAME.png, NAME.csv

    out/runs/mnist-mlp-100000/           a training run, shared by all figures about it
    out/measured/mnist-mlp-100000/       its partitions and rows; what took long is kept
    out/fig2.png, out/fig2.csv           the figure and its table; fig2-phases.csv: the phases beside the paper's

A figure is either a study of one run or a comparison: accuracy and local complexity of several runs. The full setting is the
paper's, as far as data that comes along allows; `quick` is for a first look: few steps, checkpoints and points.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from splineviz.drawing import study_plots
from splineviz.errors import DataError, Progress
from splineviz.geometry.plane import Plane
from splineviz.metrics.columns import EPS
from splineviz.metrics.options import LCOptions
from splineviz.regions.enumerate import partition
from splineviz.storage import outputs, provenance
from splineviz.storage.cache import Ledger
from splineviz.training import recipes
from splineviz.training.architectures import convnet, mlp
from splineviz.training.recipes import CIFAR_STEPS, PAPER_WIDTHS, RECIPES, Recipe
from splineviz.training.recorder import schedule
from splineviz.training.runs import Run, open_run
from splineviz.workflows import deformed, run_curves, settings
from splineviz.workflows import study as studies
from splineviz.workflows.phases import phases
from splineviz.workflows.seeds import merged

Table = list[dict[str, float]]

ONE_NETWORK = ("relief", "deformation", "layers", "exact")
"""Studies of one network at a time, which have no band over seeds."""

PAPER_PHASES = ((0, 4.9), (25, 1.65), (670, 4.5), (100_000, 0.2))
"""Steps and local complexity at training points that the paper's Fig. 2 shows: start, ends of descent, ascent, training."""


@dataclass(frozen=True)
class Reproduction:
    """A figure: where it stands in the paper, what it shows, the runs by label, and what is drawn.

    study: of the one run, by its name in `studies`, or "relief"; "" for a comparison, whose labels are `labels`.
    steps, quick: of training, in full and for a first look. radius: of the local complexity. smooth: labels of runs
    without regions, which are measured while they train. small: what a first look trains instead, where the regions of
    the full network take minutes a slice. pictures: in full it needs CIFAR-10, or pictures like them, from the user.
    """

    figure: str
    about: str
    runs: Mapping[str, Recipe]
    study: str = ""
    labels: str = ""
    steps: int = 100_000
    quick: int = 1_000
    radius: float = 0.05
    smooth: tuple[str, ...] = field(default=())
    small: Mapping[str, Recipe] | None = None
    pictures: bool = False


_PAPER = RECIPES["mnist-mlp"]
_ONE = {"mnist-mlp": _PAPER}
_NARROW = replace(RECIPES["mnist-conv"], network=partial(convnet, (28, 28), 10, channels=3))  # a slice in seconds


def _mlps(label: str, widths: Mapping[int, Sequence[int]]) -> dict[str, Recipe]:
    """The paper's recipe with other widths, by label and number; the paper's own keeps its name, so its run is shared."""
    return {
        "mnist-mlp" if tuple(w) == PAPER_WIDTHS else f"{label}-{n}": replace(_PAPER, network=partial(mlp, tuple(w)))
        for n, w in widths.items()
    }


REPRODUCTIONS: dict[str, Reproduction] = {
    "fig1": Reproduction(
        "Fig. 1", "ResNet18 on CIFAR-10: accuracy, robustness, complexities, units and norms; no slice",
        {"patches-resnet": RECIPES["patches-resnet"]}, "curves", steps=CIFAR_STEPS, quick=100, radius=0.005, pictures=True,
    ),
    "fig2": Reproduction("Fig. 2", "accuracy, robustness and local complexity over training; two slices", _ONE, "dynamics"),
    "fig3": Reproduction(
        "Fig. 3", "a network from the plane to the line, over its regions", {"waves": RECIPES["waves"]}, "relief",
        steps=5_000, quick=300,
    ),
    "fig5": Reproduction(
        "Fig. 5", "how neighbourhoods are deformed, by radius and depth: where r is too large",
        {"mnist-conv": RECIPES["mnist-conv"]}, "deformation", steps=10_000, quick=100, small={"mnist-conv-3": _NARROW},
    ),
    "fig6": Reproduction(
        "Fig. 6, 12", "a convolutional network without and with batch norm",
        {"mnist-conv": RECIPES["mnist-conv"], "mnist-conv-bn": RECIPES["mnist-conv-bn"]}, labels="batch norm", steps=10_000,
        quick=100,
    ),
    "fig7": Reproduction(
        "Fig. 7", "as Fig. 2, all weights times 8 at the start", {"mnist-x8": RECIPES["mnist-x8"]}, "dynamics"
    ),
    "fig10": Reproduction(
        "Fig. 10", "depths 2 to 6", _mlps("depth", {d: (784, *[200] * (d - 1), 10) for d in (2, 3, 4, 5, 6)}),
        labels="linear layers", quick=300,
    ),
    "fig13": Reproduction(
        "Fig. 13", "shares of random labels",
        {
            f"noise-{share:g}" if share else "mnist-mlp": replace(_PAPER, random_labels=share)
            for share in (0.0, 0.25, 0.5, 1.0)
        },
        labels="random labels", quick=300,
    ),
    "fig14": Reproduction(
        "Fig. 14", "widths 20 to 1,000", _mlps("width", {w: (784, w, w, w, 10) for w in (20, 100, 200, 500, 1000)}),
        labels="width", quick=150,
    ),
    "fig24": Reproduction("Fig. 24", "the knots of each layer by themselves", _ONE, "layers"),
    "fig25": Reproduction("Fig. 25, 35", "exact and sampled number of units in the same neighbourhoods", _ONE, "exact"),
    "fig26": Reproduction("Fig. 26", "regions in equal squares near the boundary and away from it", _ONE, "windows"),
    "fig34": Reproduction(
        "Fig. 34", "GELU, whose network has no regions: local complexity alone",
        {"mnist-mlp": _PAPER, "gelu": replace(_PAPER, network=partial(mlp, PAPER_WIDTHS, activation="gelu"))},
        labels="activation", quick=200, smooth=("gelu",),
    ),
    "conv": Reproduction(
        "Fig. 2", "as Fig. 2, a convolutional network", {"mnist-conv": RECIPES["mnist-conv"]}, "dynamics", steps=10_000,
        quick=600, small={"mnist-conv-3": _NARROW},
    ),
    "migration": Reproduction("section 4", "knots near the anchors and near the decision boundary", _ONE, "migration"),
}  # fmt: skip
"""What can be reproduced, by name."""

_NAMES = {
    "mnist-mlp": {"linear layers": "4", "random labels": "none", "width": "200", "activation": "ReLU"},
    "mnist-conv": {"batch norm": "without"},
    "mnist-conv-bn": {"batch norm": "with"},
    "gelu": {"activation": "GELU"},
}
"""Labels of runs that several figures show, as each of their legends says them."""


def reproduce(
    name: str,
    *,
    out: str | os.PathLike[str],
    quick: bool = False,
    run: Run | None = None,
    steps: int | None = None,
    seed: int = 0,
    seeds: int = 1,
    data: str | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Train (or reuse a run), measure and draw one figure of the paper.

    Args:
        name: one of `choices.REPRODUCTIONS`.
        out: output directory.
        quick: few steps, checkpoints and points.
        run: a run of your own instead of the recipe's, for figures about one run.
        steps: of training, instead of the setting's.
        seed: of the training.
        seeds: number of trainings, with seeds from `seed` on: curves are their mean, with the standard deviation over seeds
            as a band; slices are of the first.
        data: CIFAR-10's folder, or other colour pictures, for fig1.
        progress: see `Progress`.

    Returns:
        The paths of the figure and its table.

    Raises:
        DataError: an unknown name, or a run where several are needed; and what training and measuring raise.
    """
    if name not in REPRODUCTIONS:
        raise DataError(f"reproduce: expected one of {', '.join(REPRODUCTIONS)}, got {name!r}.")
    chosen, root = REPRODUCTIONS[name], Path(out)
    last = steps if steps is not None else chosen.quick if quick else chosen.steps
    if run is not None and not chosen.study:
        raise DataError(f"run: expected none for {name}, which compares {len(chosen.runs)} runs; leave it out.")
    if data is not None and not chosen.pictures:
        raise DataError(f"data: expected none for {name}, which trains on data that comes along; it is for fig1.")
    if chosen.pictures and data is None and run is None and not quick:
        raise DataError(f"data: expected CIFAR-10's folder for {name} (--data DIR), got none; --quick needs none.")
    if data is not None:
        chosen = replace(chosen, runs={f"resnet18-{Path(data).name}": recipes.resnet18_on(data)})
    if seeds < 1 or (seeds > 1 and run is not None):
        raise DataError(f"seeds: expected 1 or more, and 1 for a run of your own, got {seeds}.")
    if seeds > 1 and chosen.study in ONE_NETWORK:
        raise DataError(f"seeds: expected 1 for {name}, which shows one network at a time, got {seeds}.")
    tables = [f"{name}{kind}" for kind in (".png", ".csv")] + ["fig2-phases.csv"] * (name == "fig2")
    outputs.enter(root, "reproduction", [], (outputs.MANIFEST, "runs", "measured", *tables))
    if chosen.study:
        written = _of_one_run(name, chosen, root, run, last, range(seed, seed + seeds), quick, progress)
    else:
        written = _of_several(name, root, last, range(seed, seed + seeds), quick, progress)
    whose = None if run is None else run.path.name
    provenance.write_manifest(root, name, {"steps": last, "seed": seed, "seeds": seeds, "quick": quick, "run": whose})
    return written


def _of_one_run(
    name: str, chosen: Reproduction, root: Path, own: Run | None, last: int, seeds: Sequence[int], quick: bool,
    progress: Progress | None,
) -> list[Path]:  # fmt: skip
    said = settings.note(name, quick=quick, own=own is not None, seeds=seeds)
    runs = {own.path.name: own} if own is not None else _runs(chosen, root, last, seeds, quick, progress)
    where, run = next(iter(runs.items()))
    if chosen.study == "relief":
        return _relief(run, root / name, said)
    if chosen.study == studies.CURVES:
        thin = {label: _thinned(one, 6) if quick else one for label, one in runs.items()}
        return _without_slices(thin, chosen, root, name, said, quick, progress)
    if chosen.study == "deformation":
        table, paths = deformed.deformed(run, (0, len(run.checkpoints) // 2, -1), _options(chosen, 1), 10 if quick else 50)
        return studies.save(root / name, table, study_plots.deformation(table, radius=chosen.radius, paths=paths), said)
    found = [
        studies.measure(
            _thinned(one) if quick else one, out=root / "measured" / label, lc=_options(chosen, 100 if quick else 10_000),
            attack_steps=10 if quick else 100, points=100 if quick else 400, squares=6 if quick else 24, progress=progress,
        )
        for label, one in runs.items()
    ]  # fmt: skip
    measured = replace(found[0], others=tuple(found[1:]))
    written = studies.write(measured, chosen.study, root / name, said)
    if name == "fig2":
        written += studies.save(root / "fig2-phases", _phases(measured.over_seeds(lambda one: one.rows)))
    return written


def _runs(
    chosen: Reproduction, root: Path, last: int, seeds: Sequence[int], quick: bool, progress: Progress | None
) -> dict[str, Run]:
    """The one run of a figure, from each of the seeds, by the name of its folder."""
    ((label, recipe),) = (chosen.small if quick and chosen.small else chosen.runs).items()
    names = {_folder(label, last, seed): seed for seed in seeds}
    return {where: _trained(recipe, root / "runs" / where, last, seed, progress) for where, seed in names.items()}


def _without_slices(
    runs: Mapping[str, Run], chosen: Reproduction, root: Path, name: str, said: str, quick: bool, progress: Progress | None
) -> list[Path]:
    """The study `curves` of runs by folder, as NAME.png and NAME.csv; the paper takes 1,024 points and 20 directions."""
    lc = LCOptions(radius=chosen.radius, points=20 if quick else 1_024, num_vectors=20, wide=None)
    table = merged([
        studies.table_of_curves(
            run, out=root / "measured" / where, lc=lc, attack_steps=10, attacked=20 if quick else 1_000,
            eps=EPS[::2] if quick else EPS, progress=progress,
        )
        for where, run in runs.items()
    ])  # fmt: skip
    shape = next(iter(runs.values())).train_x.shape[1:]
    return studies.save(root / name, table, study_plots.curves_of_run(table, **lc.settings(shape), eps=EPS), said)


def _of_several(
    name: str, root: Path, last: int, seeds: Sequence[int], quick: bool, progress: Progress | None
) -> list[Path]:
    chosen = REPRODUCTIONS[name]
    tables = {
        _said(label, chosen): merged([_compared(chosen, label, root, last, seed, quick, progress) for seed in seeds])
        for label in chosen.runs
    }
    rows = [{"run": float(i)} | row for i, table in enumerate(tables.values()) for row in table]
    figure = study_plots.comparison(tables, radius=chosen.radius, about=chosen.labels)
    return studies.save(root / name, rows, figure, settings.note(name, quick=quick, seeds=seeds))


def _compared(
    chosen: Reproduction, label: str, root: Path, last: int, seed: int, quick: bool, progress: Progress | None
) -> Table:
    """Accuracy and local complexity of one of the runs that a figure compares."""
    recipe, where, lc = chosen.runs[label], _folder(label, last, seed), _options(chosen, 40 if quick else 1_000)
    measured, run = root / "measured" / where, root / "runs" / where
    outputs.enter(measured, "run", [str(run.resolve())], outputs.MEASURES)
    ledger = Ledger(measured / "rows" / "comparison.json")
    if label in chosen.smooth:
        at = _few(schedule(last)) if quick else None
        return run_curves.followed(recipe, lc, ledger, steps=last, at=at, seed=seed, progress=progress)
    trained = _trained(recipe, run, last, seed, progress)
    return run_curves.measured(_thinned(trained) if quick else trained, lc, ledger, progress)


def _folder(label: str, steps: int, seed: int) -> str:
    """Where a run and its measures lie, by what decides them."""
    return f"{label}-{steps}" + (f"-seed-{seed}" if seed else "")


def _said(label: str, chosen: Reproduction) -> str:
    """A run's label as the legend says it."""
    known = _NAMES.get(label, {}).get(chosen.labels)
    number = label.rpartition("-")[2]
    return known or (f"{float(number):.0%}" if chosen.labels == "random labels" else f"{int(number):,}")


def _options(chosen: Reproduction, points: int) -> LCOptions:
    return LCOptions(radius=chosen.radius, points=points, wide=None)


def _thinned(run: Run, most: int = 8) -> Run:
    """A run with few of its checkpoints."""
    return run.only(_few([c.step for c in run.checkpoints], most))


def _few(steps: Sequence[int], most: int = 8) -> list[int]:
    """At most so many of the steps, spread over them, the first and the last among them."""
    return [steps[i] for i in sorted(set(np.linspace(0, len(steps) - 1, most).round().astype(int).tolist()))]


def _trained(recipe: Recipe, path: Path, steps: int, seed: int, progress: Progress | None) -> Run:
    """The run of a recipe: the one at `path` if it went to the end, else trained anew."""
    if (path / "run.json").exists():
        found = open_run(path)
        if found.checkpoints[-1].step == steps:
            return found
    how: dict[str, Any] = {"steps": steps, "seed": seed, "late": 1, "if_exists": "overwrite", "progress": progress}
    return open_run(recipes.train(recipe, out=path, **how))


def _phases(rows: Sequence[Mapping[str, float]]) -> Table:
    """The phases of the local complexity at training points, beside the paper's; NaN where there are none."""
    found = phases(rows)
    at = [0, *(found or (-1, -1)), len(rows) - 1]
    nan = float("nan")
    return [
        {
            "step": rows[index]["step"] if index >= 0 else nan,
            "lc_train": rows[index]["lc_train"] if index >= 0 else nan,
            "paper_step": float(step),
            "paper_lc_train": paper,
        }
        for index, (step, paper) in zip(at, PAPER_PHASES, strict=True)
    ]


def _relief(run: Run, target: Path, said: str = "") -> list[Path]:
    """The graph of a network on the plane, at the first and the last checkpoint."""
    if run.train_x.shape[1:] != (2,):
        raise DataError(f"run: expected inputs of shape (2,) for fig3, got {run.train_x.shape[1:]}; leave --run out.")
    low, high = run.domain
    plane = Plane(np.full(2, (low + high) / 2), np.eye(2))
    slices, table = {}, []
    for checkpoint in run.checkpoints:
        part = partition(run.program(checkpoint), plane, window=(high - low) / 2)
        table.append({"step": float(checkpoint.step), "regions": float(part.num_regions), **checkpoint.metrics})
        if checkpoint in (run.checkpoints[0], run.checkpoints[-1]):
            slices[checkpoint.step] = part
    return studies.save(target, table, study_plots.relief(slices), said)
