"""Doubts: signs that a run's weights, network and samples do not belong together, in one line each.
Here too: steps at which weights stood still, and what a picture must say of them.

    a recorded train_accuracy that the network does not have on the training samples
    checkpoints with the same weights to the bit, as a loop leaves them that trains other tensors than it records
    an accuracy at chance, with the range of the samples, which may be scaled otherwise than in training

This file knows no files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from splineviz.training.checkpoints import Checkpoint
from splineviz.training.runs import Run

MOST = 256
"""Training samples that are looked at."""
SLACK = 0.02
"""What an accuracy may differ by for other reasons than which samples were taken: dropout, batch statistics, a step."""


def doubts(run: Run, checkpoint: Checkpoint) -> list[str]:
    """What speaks against a checkpoint's network and the training samples belonging together; mostly nothing."""
    y = run.train_y
    if y is None or y.ndim != 1:
        return []
    which = np.unique(np.linspace(0, len(y) - 1, MOST).astype(int))
    x = torch.from_numpy(np.asarray(run.train_x[which], dtype=np.float64))
    with torch.no_grad():
        outputs = run.program(checkpoint).as_trained(x)
    if outputs.shape[1] < 2:
        return []
    measured = float((outputs.argmax(1).numpy() == y[which]).mean())
    spread = SLACK + 4.0 * float(np.sqrt(0.25 / len(which)))
    found = []
    recorded = checkpoint.metrics.get("train_accuracy", np.nan)
    name = f"step {checkpoint.step}"
    if np.isfinite(recorded) and not abs(recorded - measured) <= spread:
        found.append(
            f"{name}: train_accuracy was recorded as {recorded:.4g}, but the network has {measured:.4g} on {len(which)} "
            "training samples; are these its samples, normalised as in training, and the weights of that step?"
        )
    classes = len(np.unique(y))
    if not run.own and measured <= 1.0 / classes + spread / 2 and len(which) >= 50:
        low, high = float(x.min()), float(x.max())
        found.append(
            f"{name}: {measured:.2g} of the training samples are classified right, as by chance among {classes} classes; "
            f"the samples lie in [{low:.4g}, {high:.4g}]: was the network trained on that range?"
        )
    return found


def unmoved(found: Sequence[tuple[int, str, Mapping[str, float]]], *, contradicted: bool = False) -> list[str]:
    """Stretches of steps that all have the same weights, in words. found: steps in order, digests of weights, metrics.

    contradicted: those alone whose metrics say otherwise; a training may stand still.
    """
    lines = []
    for first, last in _stretches([digest for _, digest, _ in found]):
        before, after = found[first][2], found[last][2]
        names = [name for name in sorted(before.keys() & after.keys()) if before[name] != after[name]]
        moved = "".join(f", but {name} {before[name]:.4g} -> {after[name]:.4g}" for name in names[:3])
        if moved or not contradicted:
            lines.append(
                f"steps {found[first][0]:,} to {found[last][0]:,}: all {last - first + 1} checkpoints have the same "
                f"weights, bit for bit{moved}; does the loop train other tensors (functional_call, a copy), or none?"
            )
    return lines


def standing(steps: Sequence[int], digests: Sequence[str]) -> dict[int, str]:
    """What a picture must say of a checkpoint whose weights are those of the one before, by its place among the steps."""
    marks: dict[int, str] = {}
    for first, last in _stretches(digests):
        marks |= {i: f"the weights of step {steps[first]:,}, bit for bit" for i in range(first + 1, last + 1)}
    return marks


def _stretches(digests: Sequence[str]) -> list[tuple[int, int]]:
    """First and last place of every stretch of two or more equal digests."""
    found, first = [], 0
    for i in range(1, len(digests) + 1):
        if i == len(digests) or digests[i] != digests[first] or not digests[i]:
            found += [(first, i - 1)] if i - first > 1 else []
            first = i
    return found
