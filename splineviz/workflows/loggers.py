"""Loggers: where numbers and pictures of a training go, whoever takes them.

    loggers.sink(SummaryWriter("logs"))         TensorBoard: torch.utils.tensorboard or tensorboardX
    loggers.sink(wandb.init())                  Weights & Biases
    loggers.sink(TensorBoardLogger(...))        a logger of Lightning: what it writes to, or its numbers alone
    loggers.sink(function)                      function(step, numbers, picture)

Nothing is imported here: an object is known by what it can do. This file knows no training and no picture's content.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from splineviz.errors import DataError

Pixels = npt.NDArray[np.uint8]
"""A picture (height, width, 3)."""

PREFIX = "splineviz/"
"""Before every name, so that the numbers stand together beside the user's own."""

PICTURE = "slice"


Sink = Callable[[int, Mapping[str, float], Pixels | None], None]
"""sink(step, numbers, picture): takes the numbers of a step by name, and a picture of it if there is one."""


def sinks(targets: Any) -> tuple[Sink, ...]:
    """One target or several, as `sink` takes each. None: nobody."""
    if targets is None:
        return ()
    return tuple(sink(target) for target in (targets if isinstance(targets, (list, tuple)) else [targets]))


def sink(target: Any) -> Sink:
    """What hands numbers and pictures to a target. Raises DataError when it is nothing that is known here."""
    if _has(target, "add_scalar", "add_image"):
        return _tensorboard(target)
    if _has(target, "log", "define_metric"):
        return _wandb(target)
    if _has(target, "log_metrics"):
        return _lightning(target)
    if callable(target):
        return _function(target)
    raise DataError(
        "to: expected a SummaryWriter of TensorBoard, a run of W&B, a logger of Lightning or a function "
        f"(step, numbers, picture), got {type(target).__name__}."
    )


def _has(target: Any, *names: str) -> bool:
    return all(callable(getattr(target, name, None)) for name in names)


def _tensorboard(writer: Any) -> Sink:
    def write(step: int, numbers: Mapping[str, float], picture: Pixels | None) -> None:
        for name, value in numbers.items():
            writer.add_scalar(PREFIX + name, value, step)
        if picture is not None:
            writer.add_image(PREFIX + PICTURE, picture, step, dataformats="HWC")

    return write


def _wandb(run: Any) -> Sink:
    run.define_metric(f"{PREFIX}step")
    run.define_metric(f"{PREFIX}*", step_metric=f"{PREFIX}step")

    def write(step: int, numbers: Mapping[str, float], picture: Pixels | None) -> None:
        # W&B's own step only ever rises and is the training loop's to count, so ours is a number beside the others.
        logged: dict[str, Any] = {PREFIX + name: value for name, value in numbers.items()}
        if picture is not None:
            logged[PREFIX + PICTURE] = import_module("wandb").Image(picture)
        run.log({f"{PREFIX}step": step, **logged})

    return write


def _lightning(logger: Any) -> Sink:
    """What a logger of Lightning writes to, where that takes pictures too; else the logger itself, which takes numbers."""
    experiment = getattr(logger, "experiment", None)
    if _has(experiment, "add_scalar", "add_image"):
        return _tensorboard(experiment)
    if _has(experiment, "log", "define_metric"):
        return _wandb(experiment)

    def write(step: int, numbers: Mapping[str, float], picture: Pixels | None) -> None:
        logger.log_metrics({PREFIX + name: value for name, value in numbers.items()}, step)

    return write


def _function(call: Callable[..., Any]) -> Sink:
    def write(step: int, numbers: Mapping[str, float], picture: Pixels | None) -> None:
        call(step, dict(numbers), picture)

    return write
