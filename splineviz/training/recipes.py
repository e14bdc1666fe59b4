"""Training recipes: small runs, on data that comes along, that write checkpoints to draw.
Here too: training that writes nothing, the samples that a recipe trains on, and the paper's ResNet18 on a user's own
pictures.

mnist-mlp   The network of "Deep Networks Always Grok and Here is Why" (arXiv 2402.15555, section 4) and its published
            code: 784-200-200-200-10, ReLU, PyTorch's default initialisation, 1,000 training images in [0, 1],
            batches of 200 shuffled anew each epoch, squared error on one-hot targets (the mean over
            batch and outputs), AdamW with rate 1e-3 and weight decay 0.01. Trained in float32, the code in float64.
mnist-x8    The same with every weight and bias times 8 at the start (its Fig. 7): generalisation comes late.
mnist-conv  A small residual convolutional network on the same images, cross entropy, AdamW without weight decay, batches
            of 250. mnist-conv-bn: the same with batch norm.
patches-resnet   A narrow ResNet18 (4 channels) on colour patches, cross entropy, Adam without weight decay, batches of 50:
            a quick stand-in for the paper's ResNet18 on CIFAR-10, which `resnet18_on` trains where CIFAR-10 is at hand.
two-moons   2-32-32-32-2 on two half circles, squared error on one-hot targets: an input space that can be seen whole.
spline      2-32-32-1 fits a smooth surface over a square: an affine spline from the plane to the line.
waves       2-32-32-1 fits (sin x1 + cos x2) 1[x1 < 0], the target of the paper's Fig. 3.

A recipe uses the Recorder and nothing that a user's own loop could not. The same seed gives the same run on the same
machine (and number of threads, where it convolves). This file knows no geometry.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from splineviz.errors import DataError, Progress
from splineviz.threads import one_torch_thread
from splineviz.tracing.precision import at_home
from splineviz.training import sources
from splineviz.training.architectures import convnet, mlp, resnet18
from splineviz.training.datasets import data_names, load_data
from splineviz.training.recorder import Recorder, schedule
from splineviz.training.samples import Data

__all__ = ["RECIPES", "Data", "Recipe", "data_names", "follow", "load_data", "recipe_names", "samples_of", "train"]


@dataclass(frozen=True)
class Recipe:
    """What is trained, and how.

    network: makes it, freshly initialised from the global random state; data: a name of `load_data`, or what `sources.load`
    knows; steps: a good length.
    loss: "squared error" (one-hot targets for classes) or "cross entropy". random_labels: share of the training samples,
    0 to 1, whose class is drawn anew, uniformly (the published code: all or none).
    attacked: radii at which `train` with an `attack` records every checkpoint's accuracy, as robust_<eps>. late: so many
    times as many checkpoints from LATE of the training on, when knots migrate.
    """

    about: str
    data: str
    network: Callable[[], nn.Module]
    batch: int
    steps: int
    rate: float = 1e-3
    weight_decay: float = 0.01
    loss: str = "squared error"
    random_labels: float = 0.0
    attacked: tuple[float, ...] = ()
    late: int = 1


Attack = Callable[..., Mapping[float, float]]
"""attack(network, x, y, eps=, steps=, domain=) -> share of the samples that keep their class, by radius."""

PAPER_WIDTHS = (784, 200, 200, 200, 10)
"""Of the network of arXiv 2402.15555, Fig. 2: four linear layers."""

_PAPER = Recipe(
    "784-200-200-200-10 on 1,000 MNIST digits", "mnist", partial(mlp, PAPER_WIDTHS), batch=200, steps=25_000,
    attacked=(0.03, 0.06, 0.10), late=4,
)  # fmt: skip
_CONV = Recipe(
    "a small residual convolutional network on 1,000 MNIST digits", "mnist", partial(convnet, (28, 28), 10), batch=250,
    steps=5_000, weight_decay=0.0, loss="cross entropy",
)  # fmt: skip

RECIPES: dict[str, Recipe] = {
    "mnist-mlp": _PAPER,
    "mnist-x8": replace(
        _PAPER, about=f"{_PAPER.about}, weights times 8 at the start", network=partial(mlp, PAPER_WIDTHS, scale=8.0)
    ),
    "mnist-conv": _CONV,
    "mnist-conv-bn": replace(
        _CONV, about=f"{_CONV.about}, with batch norm", network=partial(convnet, (28, 28), 10, batch_norm=True)
    ),
    "two-moons": Recipe(
        "2-32-32-32-2 on two half circles", "two-moons", partial(mlp, (2, 32, 32, 32, 2)), batch=100, steps=5_000
    ),
    "spline": Recipe(
        "2-32-32-1 fits a surface over a square", "spline", partial(mlp, (2, 32, 32, 1)), batch=100, steps=5_000,
        weight_decay=0.0,
    ),
    "waves": Recipe(
        "2-32-32-1 fits half a plane of waves", "waves", partial(mlp, (2, 32, 32, 1)), batch=100, steps=5_000,
        weight_decay=0.0,
    ),
    "patches-resnet": Recipe(
        "a narrow ResNet18 on colour patches", "patches", partial(resnet18, (3, 16, 16), 2, channels=4), batch=50,
        steps=300, weight_decay=0.0, loss="cross entropy",
    ),
}  # fmt: skip
"""The recipes by name."""

LATE = 0.4
"""Share of a training after which recipes have denser checkpoints: the last 0.4 of a decade."""
ATTACKED, ATTACK_STEPS = 400, 10
"""Test samples that are attacked at a checkpoint, the first; and steps of the adversary."""

BATCH_FLOATS = 1 << 22
"""Numbers in the samples of one forward pass of an evaluation, at most."""

CIFAR_STEPS = 500_000
"""Steps of the paper's ResNet18, as its published configuration has them."""


def resnet18_on(source: str) -> Recipe:
    """The paper's ResNet18 (16 channels, no batch norm; cross entropy, Adam at 1e-3, batches of 256, no weight decay) on the
    pictures of a source, such as CIFAR-10's folder, in [0, 1].

    Raises DataError when they are no colour pictures with classes.
    """
    data = sources.load(source)
    shape, y = data.train_x.shape[1:], data.train_y
    if len(shape) != 3 or shape[0] != 3 or y is None or y.ndim != 1:
        raise DataError(
            f"{source}: expected colour pictures (3, height, width) with classes, got {shape}; name CIFAR-10's folder."
        )
    return Recipe(
        f"ResNet18 on {len(data.train_x):,} pictures of {source}", source, partial(resnet18, shape, _outputs(data)),
        batch=256, steps=CIFAR_STEPS, weight_decay=0.0, loss="cross entropy",
    )  # fmt: skip


def recipe_names() -> list[str]:
    """Names of the recipes."""
    return list(RECIPES)


@at_home
def train(
    recipe: str | Recipe,
    *,
    out: str | os.PathLike[str],
    steps: int | None = None,
    seed: int = 0,
    per_decade: int = 10,
    late: int | None = None,
    attack: Attack | None = None,
    if_exists: Literal["error", "overwrite"] = "error",
    progress: Progress | None = None,
) -> Path:
    """Train a recipe and write its run.

    Each checkpoint records train_loss, test_loss and, for classes, train_accuracy and test_accuracy, over all samples, and
    with `attack`, the accuracy under attack of recipes that name radii (`Recipe.attacked`).

    Args:
        recipe: a name or a Recipe.
        out: directory of the run.
        steps: optimiser steps; None: the recipe's own number.
        seed: of weights and batches.
        per_decade: checkpoints for each tenfold of steps, as in `Recorder`.
        attack: measures accuracy under attack, `sv.robust_accuracy`, say; None: it is not recorded.
        late: so many times as many in the last 60% of the steps; None: the recipe's own number.
        if_exists: "error" or "overwrite" for a run that is already there.
        progress: called with (step, steps, note).

    Returns:
        The directory.

    Raises:
        DataError: an unknown recipe, a bad number of steps, or a package that is missing.
        CheckpointError: `out` already holds a run.
        TraceError: the network is not piecewise affine; `follow` trains those too.
    """
    chosen = _recipe(recipe)
    last = _steps(chosen, steps)
    data, network = samples_of(chosen, seed), _fresh(chosen, seed)
    recorder = Recorder(
        out,
        network,
        train=(data.train_x, data.train_y),
        test=None if data.test_x is None else (data.test_x, data.test_y),
        classes=data.classes,
        domain=data.domain,
        loss=chosen.loss,
        steps=last,
        per_decade=per_decade,
        if_exists=if_exists,
    )
    more = set(_late(last, per_decade * (chosen.late if late is None else late)))

    def due(step: int) -> bool:
        return step in more or recorder.due(step)

    _loop(chosen, network, data, last, seed, due, lambda step, metrics: recorder.save(step, **metrics), progress,
          attack)  # fmt: skip
    return recorder.path


@at_home
def follow(
    recipe: str | Recipe,
    visit: Callable[[int, nn.Module, dict[str, float]], Any],
    *,
    steps: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> None:
    """Train a recipe without writing anything. The same seed gives the same training as `train`.

    Args:
        recipe: a name or a Recipe; its network may be of any kind.
        visit: visit(step, network, metrics) is called at every due step, with the network in evaluation mode.
        steps: optimiser steps; None: the recipe's own number.
        seed: of weights and batches.
        progress: called with (step, steps, note).

    Raises:
        DataError: as in `train`.
    """
    chosen = _recipe(recipe)
    last = _steps(chosen, steps)
    data, network = samples_of(chosen, seed), _fresh(chosen, seed)
    due = set(schedule(last))
    _loop(chosen, network, data, last, seed, due.__contains__, lambda step, found: visit(step, network, found), progress)


def _late(last: int, per_decade: int) -> list[int]:
    """The steps of a schedule from LATE of its last one on."""
    return [step for step in schedule(last, per_decade=per_decade) if step >= LATE * last]


def samples_of(recipe: Recipe, seed: int = 0) -> Data:
    """The samples that a recipe trains on, with as many random labels as it asks for. Raises DataError."""
    data = load_data(recipe.data) if recipe.data in data_names() else sources.load(recipe.data)
    if recipe.random_labels == 0.0:
        return data
    if data.train_y is None or data.train_y.ndim != 1 or not 0 < recipe.random_labels <= 1:
        raise DataError(f"random_labels: expected a share of samples with classes, got {recipe.random_labels}.")
    rng = np.random.default_rng(seed)
    labels = data.train_y.copy()
    chosen = rng.permutation(len(labels))[: round(recipe.random_labels * len(labels))]
    labels[chosen] = rng.integers(0, _outputs(data), len(chosen))
    return replace(data, train_y=labels)


def _recipe(recipe: str | Recipe) -> Recipe:
    if isinstance(recipe, Recipe):
        return recipe
    if recipe not in RECIPES:
        raise DataError(f"recipe: expected one of {', '.join(RECIPES)}, got {recipe!r}.")
    return RECIPES[recipe]


def _steps(recipe: Recipe, steps: int | None) -> int:
    last = recipe.steps if steps is None else int(steps)
    if last < 0:
        raise DataError(f"steps: expected a number from 0 up, got {last}.")
    return last


def _fresh(recipe: Recipe, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they are
        torch.manual_seed(seed)
        usual = torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)  # the same network, whatever the caller's precision is
        try:
            return recipe.network()
        finally:
            torch.set_default_dtype(usual)


def _loop(
    recipe: Recipe,
    network: nn.Module,
    data: Data,
    steps: int,
    seed: int,
    due: Callable[[int], bool],
    visit: Callable[[int, dict[str, float]], Any],
    progress: Progress | None,
    attack: Attack | None = None,
) -> None:
    assert data.train_y is not None  # every embedded data set has labels
    loss = _LOSSES[recipe.loss]
    x, y = torch.from_numpy(data.train_x), torch.from_numpy(data.train_y)
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay)
    generator = torch.Generator().manual_seed(seed)
    batch = min(recipe.batch, len(x))
    per_epoch = len(x) // batch
    with _flushing_denormals(), _few_threads(network):
        for step in range(steps + 1):
            if due(step):
                network.eval()
                metrics = _metrics(network, data, loss) | _attacked(recipe, network, data, attack)
                visit(step, metrics)
                network.train()
                if progress is not None:
                    text = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in metrics.items())
                    progress(step, steps, text)
            elif progress is not None and step % 100 == 0:
                progress(step, steps, "")
            if step == steps:
                break
            part = step % per_epoch
            if part == 0:  # one gather an epoch; a batch is then a slice
                order = torch.randperm(len(x), generator=generator)
                shuffled, wanted = x[order], y[order]
            here = slice(part * batch, (part + 1) * batch)
            optimiser.zero_grad()
            loss(network(shuffled[here]), wanted[here]).backward()
            optimiser.step()


def _few_threads(network: nn.Module) -> AbstractContextManager[None]:
    """One torch thread for a while, unless the network convolves.

    The products of a fully connected recipe take a millisecond or two. Where other work has the second core, two threads
    wait for each other at every one: a step of mnist-mlp then took 71 ms of processor time in place of 4. No number differs.
    """
    return nullcontext() if any(isinstance(m, nn.Conv2d) for m in network.modules()) else one_torch_thread()


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


def _outputs(data: Data) -> int:
    """How many classes there are."""
    assert data.train_y is not None
    return len(data.classes) if data.classes is not None else int(data.train_y.max()) + 1


def _squared_error(outputs: Tensor, y: Tensor) -> Tensor:
    """Mean over samples and outputs; classes become one-hot rows."""
    wanted = y.float() if y.is_floating_point() else F.one_hot(y, outputs.shape[1]).float()
    return F.mse_loss(outputs, wanted)


_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "squared error": _squared_error,
    "cross entropy": F.cross_entropy,
}


def _attacked(recipe: Recipe, network: nn.Module, data: Data, attack: Attack | None) -> dict[str, float]:
    """Accuracy under attack by column, at the radii that the recipe asks for."""
    if attack is None or not recipe.attacked or data.test_x is None or data.test_y is None:
        return {}
    x, y = data.test_x[:ATTACKED], data.test_y[:ATTACKED]
    network.requires_grad_(False)  # the samples alone have a gradient, which takes half as long
    try:
        found = attack(network, x, y, eps=recipe.attacked, steps=ATTACK_STEPS, domain=data.domain)
    finally:
        network.requires_grad_(True)
    return {f"robust_{eps:g}": found[eps] for eps in recipe.attacked}


@torch.no_grad()
def _metrics(network: nn.Module, data: Data, loss: Callable[[Tensor, Tensor], Tensor]) -> dict[str, float]:
    metrics = {}
    for name, inputs, labels in (("train", data.train_x, data.train_y), ("test", data.test_x, data.test_y)):
        if inputs is None or labels is None:
            continue
        most = max(1, BATCH_FLOATS // inputs[0].size)
        parts = [network(torch.from_numpy(inputs[at : at + most])) for at in range(0, len(inputs), most)]
        outputs, y = torch.cat(parts), torch.from_numpy(labels)
        if not y.is_floating_point():
            metrics[f"{name}_accuracy"] = float((outputs.argmax(dim=1) == y).float().mean())
        metrics[f"{name}_loss"] = float(loss(outputs, y))
    return metrics
