"""Training recipes: small runs, on data that comes along, that write checkpoints to draw.

mnist-mlp   The network of "Deep Networks Always Grok and Here is Why" (arXiv 2402.15555, section 4) and its published
            code: 784-200-200-200-10, ReLU, PyTorch's default initialisation, 1,000 training images in [0, 1],
            batches of 200 shuffled anew each epoch, squared error on one-hot targets (the mean over
            batch and outputs), AdamW with rate 1e-3 and weight decay 0.01. Trained in float32, the code in float64.
two-moons   2-32-32-32-2 on two half circles, squared error on one-hot targets: an input space that can be seen whole.
spline      2-32-32-1 fits a smooth surface over a square: an affine spline from the plane to the line.

A recipe uses the Recorder and nothing that a user's own loop could not. The same seed gives the same run on the same
machine and number of threads. This room knows no geometry.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from splineviz.datasets import data_names, load_data
from splineviz.errors import DataError
from splineviz.recorder import Recorder
from splineviz.samples import Data

__all__ = ["RECIPES", "Data", "Recipe", "data_names", "load_data", "recipe_names", "train"]

Progress = Callable[[int, int, str], None]
"""progress(done, total, text): called now and then during long work."""


@dataclass(frozen=True)
class Recipe:
    """What is trained, and how. widths: of all layers, input and output included; steps: a good length."""

    about: str
    data: str
    widths: tuple[int, ...]
    batch: int
    steps: int
    rate: float = 1e-3
    weight_decay: float = 0.01

    def network(self) -> nn.Sequential:
        """A freshly initialised network (PyTorch's default initialisation, global random state)."""
        layers: list[nn.Module] = [nn.Flatten()]
        for i, (inputs, outputs) in enumerate(zip(self.widths, self.widths[1:], strict=False)):
            layers += [nn.ReLU()] if i else []
            layers.append(nn.Linear(inputs, outputs))
        return nn.Sequential(*layers)


RECIPES: dict[str, Recipe] = {
    "mnist-mlp": Recipe(
        "784-200-200-200-10 on 1,000 MNIST digits", "mnist", (784, 200, 200, 200, 10), batch=200, steps=30_000
    ),
    "two-moons": Recipe("2-32-32-32-2 on two half circles", "two-moons", (2, 32, 32, 32, 2), batch=100, steps=5_000),
    "spline": Recipe(
        "2-32-32-1 fits a surface over a square", "spline", (2, 32, 32, 1), batch=100, steps=5_000, weight_decay=0.0
    ),
}
"""The recipes by name."""


def recipe_names() -> list[str]:
    """Names of the recipes."""
    return list(RECIPES)


def train(
    recipe: str | Recipe,
    *,
    out: str | os.PathLike[str],
    steps: int | None = None,
    seed: int = 0,
    if_exists: Literal["error", "overwrite"] = "error",
    progress: Progress | None = None,
) -> Path:
    """Train a recipe for `steps` optimiser steps (None: the recipe's own length); write the run to `out`, return that path.

    Each checkpoint records train_loss, test_loss and, for classes, train_accuracy and test_accuracy, over all samples.
    Raises DataError for an unknown recipe or a package that is missing, CheckpointError when `out` already holds a run.
    """
    if isinstance(recipe, str):
        if recipe not in RECIPES:
            raise DataError(f"recipe: expected one of {', '.join(RECIPES)}, got {recipe!r}.")
        recipe = RECIPES[recipe]
    steps = recipe.steps if steps is None else int(steps)
    if steps < 0:
        raise DataError(f"steps: expected a number from 0 up, got {steps}.")
    data = load_data(recipe.data)
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they are
        torch.manual_seed(seed)
        network = recipe.network()
    recorder = Recorder(
        out,
        network,
        train=(data.train_x, data.train_y),
        test=(data.test_x, data.test_y),
        classes=data.classes,
        domain=data.domain,
        loss="squared error",
        steps=steps,
        if_exists=if_exists,
    )
    with _flushing_denormals():
        _loop(recipe, network, data, recorder, steps, seed, progress)
    return recorder.path


def _loop(
    recipe: Recipe, network: nn.Sequential, data: Data, recorder: Recorder, steps: int, seed: int, progress: Progress | None
) -> None:
    x, targets = torch.from_numpy(data.train_x), _targets(data, recipe.widths[-1])
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay)
    generator = torch.Generator().manual_seed(seed)
    batch = min(recipe.batch, len(x))
    per_epoch = len(x) // batch
    for step in range(steps + 1):
        if recorder.due(step):
            metrics = _metrics(network, data)
            recorder.save(step, **metrics)
            if progress is not None:
                progress(step, steps, ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in metrics.items()))
        elif progress is not None and step % 100 == 0:
            progress(step, steps, "")
        if step == steps:
            break
        part = step % per_epoch
        if part == 0:  # one gather an epoch; a batch is then a slice
            order = torch.randperm(len(x), generator=generator)
            shuffled, wanted = x[order], targets[order]
        loss = F.mse_loss(network(shuffled[part * batch : (part + 1) * batch]), wanted[part * batch : (part + 1) * batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


@contextmanager
def _flushing_denormals() -> Iterator[None]:
    """Round numbers below 1e-38 to 0 for a while.

    The optimiser's averages of units that died decay to such numbers and stay there; processors are slow with them (at
    60 of 200 dead units an update of the first layer takes twice the time). No weight is changed by it.
    """
    flushed = float(torch.full((), 1e-39) * 1.0) == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)


def _targets(data: Data, outputs: int) -> Tensor:
    assert data.train_y is not None  # every embedded data set has labels
    return _wanted(torch.from_numpy(data.train_y), outputs)


def _wanted(y: Tensor, outputs: int) -> Tensor:
    """What the outputs should be: one-hot rows for classes, the targets themselves for a regression."""
    return y.float() if y.is_floating_point() else F.one_hot(y, outputs).float()


@torch.no_grad()
def _metrics(network: nn.Module, data: Data) -> dict[str, float]:
    metrics = {}
    for name, inputs, labels in (("train", data.train_x, data.train_y), ("test", data.test_x, data.test_y)):
        if inputs is None or labels is None:
            continue
        outputs, y = network(torch.from_numpy(inputs)), torch.from_numpy(labels)
        if not y.is_floating_point():
            metrics[f"{name}_accuracy"] = float((outputs.argmax(dim=1) == y).float().mean())
        metrics[f"{name}_loss"] = float(F.mse_loss(outputs, _wanted(y, outputs.shape[1])))
    return metrics
