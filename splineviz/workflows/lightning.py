"""Lightning callbacks: a run recorded, and monitored, by a trainer's own loop.

    trainer = pytorch_lightning.Trainer(callbacks=[sv.lightning_callback("ckpts/", train=(x, y))])

Lightning is not imported before a callback is made, and then from where the user's code has it: `lightning.pytorch` or
`pytorch_lightning`. Every process of a distributed training has the same weights; the first one records.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from torch import nn

from splineviz.errors import CheckpointError
from splineviz.training.recorder import Recorder
from splineviz.workflows.monitor import Monitor

PACKAGES = ("lightning.pytorch", "pytorch_lightning")
"""Under which names Lightning is installed; one that is imported already goes first."""


def lightning_callback(
    path: str | os.PathLike[str],
    *,
    train: tuple[Any, Any],
    test: tuple[Any, Any] | None = None,
    network: str | Callable[[Any], nn.Module] = "model",
    monitor: Monitor | None = None,
    **options: Any,
) -> Any:
    """A callback for Lightning's Trainer that records the training as a run, at the steps of the Recorder's schedule.

    Steps are optimiser steps (`trainer.global_step`); step 0 is saved before the first and the last after the fit. What
    the module logs (`callback_metrics`) is kept with each checkpoint; train_accuracy and test_accuracy are drawn. The fit
    raises CheckpointError for a part that the module does not have, and what `Recorder` raises.

    Args:
        path: as in `Recorder`.
        train: as in `Recorder`.
        test: as in `Recorder`.
        network: part of the LightningModule to draw: an attribute's name ("model", "teacher.body"), or a function of it.
        monitor: measures checkpoints, see `Monitor`; without a target its numbers go to the trainer's loggers.
        options: further arguments of `Recorder`; steps is by default the trainer's `max_steps`.

    Returns:
        The callback.

    Raises:
        ImportError: Lightning is not installed.
    """
    class Recording(_package().Callback):  # type: ignore[misc]
        """Saves checkpoints of a run as training goes on."""

        recorder: Recorder | None = None
        _saved = -1

        def on_train_start(self, trainer: Any, module: Any) -> None:
            if not trainer.is_global_zero:
                return
            if monitor is not None and not monitor.has_target:
                monitor.hand_to(*trainer.loggers)
            last = trainer.max_steps if trainer.max_steps > 0 else None
            asked = {"steps": last, **options}
            self.recorder = Recorder(path, _part(module, network), train=train, test=test, monitor=monitor, **asked)
            self._save(trainer)

        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            if self.recorder is not None and self.recorder.due(trainer.global_step):
                self._save(trainer)

        def on_train_end(self, trainer: Any, *_: Any) -> None:
            if self.recorder is not None:
                self._save(trainer)

        def _save(self, trainer: Any) -> None:
            # A step of several batches ends once; the last one may have been due.
            if self.recorder is not None and trainer.global_step != self._saved:
                self._saved = trainer.global_step
                self.recorder.save(self._saved, **{name: float(v) for name, v in trainer.callback_metrics.items()})

    return Recording()


def _package() -> Any:
    for name in sorted(PACKAGES, key=lambda name: name not in sys.modules):
        try:
            return import_module(name)
        except ModuleNotFoundError:
            continue
    raise ImportError(f"expected Lightning, got neither {' nor '.join(PACKAGES)}; pip install lightning")


def _part(module: nn.Module, network: str | Callable[[Any], nn.Module]) -> nn.Module:
    if not isinstance(network, str):
        return network(module)
    found: Any = module
    for name in network.split("."):
        found = getattr(found, name, None)
    if not isinstance(found, nn.Module):
        held = ", ".join(name for name, _ in module.named_children()) or "none"
        raise CheckpointError(
            f"network: expected a part of {type(module).__name__} (it has: {held}), got {network!r}; name one, or give a "
            "function of the module."
        )
    return found
