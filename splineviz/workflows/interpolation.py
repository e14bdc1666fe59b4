r"""Interpolation: the networks between two checkpoints, for smooth motion.

        w(share) = (1 - share) w(a) + share w(b)         weights and floating buffers; the rest as in a

A tween is no network that training has seen: its partition is exact for the interpolated weights and for nothing
else, its accuracy and complexity were not measured, and a frame that shows one must say so.
Networks do not move along straight lines, so a tween can have more or fewer regions than either neighbour.
"""

from __future__ import annotations

from typing import Any

import torch

from splineviz.errors import CheckpointError
from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane
from splineviz.regions.enumerate import partition
from splineviz.tracing.program import Program
from splineviz.training import checkpoints
from splineviz.training.checkpoints import Checkpoint
from splineviz.training.runs import Run


def between(run: Run, a: Checkpoint, b: Checkpoint, share: float) -> Program:
    """The network with weights interpolated between two checkpoints; share 0 is a, 1 is b.

    Raises CheckpointError when the two hold different weights, or as `Run.program` does.
    """
    if not 0.0 <= share <= 1.0:
        raise CheckpointError(f"share: expected a number between 0 and 1, got {share}.")
    first, second = (run.state(c) for c in (a, b))
    if {k: v.shape for k, v in first.items()} != {k: v.shape for k, v in second.items()}:
        raise CheckpointError(f"{b.path}: expected the same weights as in {a.path}, got others; leave tweens out.")
    state = {
        name: torch.lerp(value.double(), second[name].double(), share) if value.is_floating_point() else value
        for name, value in first.items()
    }
    structure, other = (run.network_of(c, s) for c, s in ((a, first), (b, second)))
    if structure != other:
        raise CheckpointError(
            f"{b.path}: expected the network of {a.path} with other weights, got another network; leave tweens out."
        )
    return checkpoints.fit(Program.from_data(structure), state, a.path)


def tween(run: Run, a: Checkpoint, b: Checkpoint, share: float, *, plane: Plane, window: Any = None) -> Partition:
    """The partition of `between`, exact for the interpolated weights."""
    return partition(between(run, a, b, share), plane, window=window)

