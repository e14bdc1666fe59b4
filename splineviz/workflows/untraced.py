"""Untraced networks: a folder of checkpoints whose module has no linear regions and no Program: a vision transformer, say.

    module, weights of each file ──load──> the module as it runs ──> accuracies, local complexity by sign, norms

It cannot be sliced, so it is no Run; the study `curves` needs no slice. The module is the user's own, and each file's
weights must fit it name by name. This file measures nothing.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from splineviz.errors import CheckpointError
from splineviz.training import checkpoints, runs, sources, state_files, user_code
from splineviz.training.checkpoints import Checkpoint
from splineviz.training.samples import Array, Data


@dataclass(frozen=True, eq=False)
class Untraced:
    """What `open_untraced` found: the checkpoints in order of steps, the samples, and the module they are loaded into."""

    path: Path
    checkpoints: tuple[Checkpoint, ...]
    data: Data
    network: nn.Module
    trust: bool = False
    weights_key: str | None = None

    @property
    def train_x(self) -> Array:
        """Training inputs (n, *input_shape)."""
        return self.data.train_x

    def only(self, steps: Sequence[int]) -> Untraced:
        """With the checkpoints of these steps alone. Raises CheckpointError for one that there is not."""
        return replace(self, checkpoints=checkpoints.of_steps(self.checkpoints, steps))

    def module(self, checkpoint: Checkpoint, dtype: torch.dtype = torch.float64, device: str | None = None) -> nn.Module:
        """A copy of the module with a checkpoint's weights, in evaluation mode. Raises CheckpointError unless all fit."""
        state = state_files.load_state(checkpoint.path, trust=self.trust, key=self.weights_key)
        module = copy.deepcopy(self.network)
        try:
            module.load_state_dict(state)
        except RuntimeError as error:
            name = type(module).__name__
            raise CheckpointError(f"{checkpoint.path}: expected the weights of {name}, got {error}") from error
        return module.to(device=device or "cpu", dtype=dtype).eval()


def open_untraced(
    path: str | os.PathLike[str], *, model: Any, data: Any, model_args: str | None = None, data_args: str | None = None,
    weights_key: str | None = None, trust: bool = False, files: str | None = None,
) -> Untraced:  # fmt: skip
    """Open a foreign folder of checkpoints, or one, without tracing its network; arguments as for `open_run`.

    Raises CheckpointError when the folder or the model is none, DataError for unknown data.
    """
    root = Path(path)
    if not root.exists() or (root / "run.json").exists() or model in (None, "mlp") or data is None:
        raise CheckpointError(
            f"{root}: expected a folder of checkpoints with the function that makes their network and their data "
            "(--model my_model.py:ViT --data samples.npz); take open_run for anything else."
        )
    listed = checkpoints.alone(root) if root.is_file() else checkpoints.listing(root, files)
    made = user_code.make(model, model_args, error=CheckpointError) if isinstance(model, str) else model
    if not isinstance(made, nn.Module):
        raise CheckpointError(f"model: expected a torch module, got {type(made).__name__}.")
    samples = sources.load(data, data_args) if isinstance(data, str) else data
    return Untraced(root, tuple(listed.checkpoints), samples, made, trust, weights_key)


AnyRun = runs.Run | Untraced
