r"""Curves: numbers of runs over their steps, without any slice, so of any network, smooth ones too.
Also the numbers of one network alone, and those of a recipe followed while it trains.

    run ────────────> at every checkpoint: recorded accuracies, sampled local complexity at train, test, random points
    smooth network ─> the same while it trains, where nothing of it is recorded
    `curves`  ──────> accuracies also under attack, local and gradient complexity, live and dead units, norms

What was measured is kept in a ledger, by weights and settings. Rows are as `curves` draws them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from splineviz.errors import CheckpointError, Progress
from splineviz.jobs.samples import choose_samples
from splineviz.metrics import liveness, norms
from splineviz.metrics.columns import EPS
from splineviz.metrics.complexity import network_of
from splineviz.metrics.options import LCOptions, columns_of
from splineviz.metrics.robustness import classes, robustness
from splineviz.metrics.steepness import steepness
from splineviz.storage import files
from splineviz.storage.cache import Ledger
from splineviz.tracing.precision import checked_device
from splineviz.tracing.program import Program
from splineviz.training import recipes, state_files
from splineviz.training.checkpoints import Checkpoint
from splineviz.training.recipes import Recipe
from splineviz.training.runs import Run
from splineviz.training.samples import Data
from splineviz.workflows.unread import without
from splineviz.workflows.untraced import AnyRun, Untraced

Table = list[dict[str, float]]

ALL = "all settings"
"""Part of every key: version 0.1 kept numbers under settings of which it had used only some."""

STEEP = 200
"""Most points of the gradient complexity: its band is half that of the local complexity at as many."""
ATTACKED = 1000
"""Most test samples that are attacked."""


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


def curves(
    run: AnyRun, lc: LCOptions, ledger: Ledger, *, attack_steps: int = 10, attacked: int = ATTACKED,
    eps: Sequence[float] = EPS, device: str | None = None, progress: Progress | None = None,
) -> Table:  # fmt: skip
    """A row for every checkpoint of a run, of whatever network: what it recorded, and all of `numbers`.

    A checkpoint that cannot be read has what it recorded alone, and a warning names it.

    Args:
        run: an opened run.
        lc: settings of the local complexity.
        ledger: keeps rows that were measured before.
        attack_steps: of the adversary; 0 leaves accuracy under attack out.
        attacked: most test samples for it.
        eps: its radii.
        device: where the network is run; None: the CPU.
        progress: see `Progress`.

    Returns:
        The rows, in order of steps.

    Raises:
        DataError: torch does not have the device here.
        CheckpointError: no checkpoint can be read.
    """
    points = lc.chosen(choose_samples(run.data, lc, with_labels=False))
    chosen = torch.float32 if device is not None and device.startswith("mps") else torch.float64
    if device is not None:
        checked_device(device, chosen)
    asked = ["curves", ALL, asdict(lc), attack_steps, attacked, list(eps), device, run.data.domain, run.data.digest()]
    settings = files.digest(asked, *points.values())
    table: Table = []
    unread: dict[int, str] = {}
    for i, checkpoint in enumerate(run.checkpoints):
        told = {name: value for name, value in checkpoint.metrics.items() if value == value}
        try:
            network, key = _network(run, checkpoint, chosen, device)
        except CheckpointError as error:
            unread[checkpoint.step] = str(error)
            if len(unread) == len(run.checkpoints):
                raise
            table.append({"step": float(checkpoint.step), **told})
            continue

        def compute(network: Program | nn.Module = network) -> dict[str, float]:
            return numbers(network, run.data, lc, points, (attack_steps, attacked, tuple(eps)), device)

        found = ledger.numbers(f"{key} {settings}", compute)
        table.append({"step": float(checkpoint.step), **found, **told})
        if progress is not None:
            progress(i + 1, len(run.checkpoints), f"curves, step {checkpoint.step:,}")
    without(run, unread, "the curves are")
    return table


def _network(run: AnyRun, checkpoint: Checkpoint, dtype: torch.dtype, device: str | None) -> tuple[Program | nn.Module, str]:
    """The network of a checkpoint, as it was trained, and a digest of it and its weights."""
    if isinstance(run, Untraced):
        module = run.module(checkpoint, dtype, device)
        held = state_files.digest({name: tensor.cpu() for name, tensor in module.state_dict().items()})
        return module, f"{held} {files.digest(repr(module))}"
    program = run.program(checkpoint).as_trained
    return program.to(dtype, device), f"{state_files.digest(program.weights)} {files.digest(run.network_of(checkpoint))}"


def numbers(
    network: Program | nn.Module, data: Data, lc: LCOptions, points: Mapping[str, Any],
    attack: tuple[int, int, Sequence[float]] = (10, ATTACKED, EPS), device: str | None = None,
) -> dict[str, float]:
    """One network's numbers, by column; attack: steps of the adversary (0: none), most samples, radii.

    train_accuracy, test_accuracy (with classes); robust_<eps> and robust_alone_<eps> on test samples, see `robustness`;
    lc_train, ...; gradient_complexity at training points, with its band; units_live, units_linear, units_dead on training
    points (of a smooth network by sign, see `liveness.signs`); weight_norm; logit_norm on training points.
    """
    row: dict[str, float] = {}
    dtype, _ = norms.computes_in(network)
    for name, x, y in (("train", data.train_x, data.train_y), ("test", data.test_x, data.test_y)):
        if x is not None and y is not None and y.ndim == 1:
            outputs = norms.outputs_of(network, torch.as_tensor(x))
            row[f"{name}_accuracy"] = float((classes(outputs) == torch.as_tensor(y)).double().mean())
    steps, most, radii = attack
    if steps and data.test_x is not None and data.test_y is not None and data.test_y.ndim == 1:
        single = network.to(torch.float32) if isinstance(network, Program) else copy.deepcopy(network).to(torch.float32)
        found = robustness(single, data.test_x[:most], data.test_y[:most], eps=radii, steps=steps, domain=data.domain)
        for eps in radii:
            row |= {f"robust_{eps:g}": found.nested[eps], f"robust_alone_{eps:g}": found.alone[eps]}
    row |= columns_of(lc.measured(network, points, device=device, dtype=dtype))
    steep = steepness(network, points["train"][:STEEP], num_vectors=lc.num_vectors, seed=lc.seed, device=device, dtype=dtype)
    row |= {"gradient_complexity": steep.mean, "gradient_complexity_band": steep.band}
    if not isinstance(network, Program) or network.smooth:
        shape = points["train"].shape[1:]
        units = liveness.signs(network_of(network, shape, dtype, device), points["train"])
    else:
        units = liveness.liveness(network, points["train"])
    row |= {f"units_{kind}": float(getattr(units, kind).sum()) for kind in ("live", "linear", "dead")}
    return row | {"weight_norm": norms.weight_norm(network), "logit_norm": norms.logit_norm(network, points["train"])}


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
