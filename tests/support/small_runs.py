"""A small network, its samples and a run of it on disk, for the tests of everything that reads runs."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from splineviz.training.recorder import Recorder

STEPS = (0, 1, 10)


def network(seed: int = 0, inputs: int = 4, hidden: int = 6, outputs: int = 3) -> nn.Sequential:
    return copy.deepcopy(_network(seed, inputs, hidden, outputs))


@cache
def _network(seed: int, inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    with torch.random.fork_rng():  # which takes longer than all the rest
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def samples(seed: int = 0, n: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (n, 2, 2) in float32 and classes 0, 1, 2 in turn."""
    return np.random.default_rng(seed).uniform(0, 1, (n, 2, 2)).astype(np.float32), np.arange(n) % 3


def nudge(model: nn.Module) -> None:
    """A training step, as far as files can tell."""
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(0.9).add_(0.01)


def write_run(
    path: Path, *, model: nn.Module | None = None, metrics: bool = True, further: dict[str, float] | None = None,
    **options: object,
) -> list[dict[str, torch.Tensor]]:  # fmt: skip
    """Record a run with checkpoints at STEPS; returns the weights at each."""
    model = network() if model is None else model
    recorder = Recorder(path, model, train=samples(0), test=samples(1), **options)  # type: ignore[arg-type]
    states = []
    for step in STEPS:
        recorder.save(step, **({"train_accuracy": 0.5, "test_accuracy": 0.25} if metrics else {}), **(further or {}))
        states.append({key: value.clone() for key, value in model.state_dict().items()})
        nudge(model)
    return states
