"""Doubts: signs that a run's weights, network and samples do not belong together, in one line each.

    a recorded train_accuracy that the network does not have on the training samples
    an accuracy at chance, with the range of the samples, which may be scaled otherwise than in training

This file knows no files.
"""

from __future__ import annotations

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
