"""Unread: what is drawn of a run that holds checkpoints which cannot be read, and the one line that says so.
Here too: the last checkpoint that can be read.

Training may diverge, and a file may be torn. Everything is then made of the other checkpoints; curves are marked at the
steps that are missing.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace

from splineviz.errors import CheckpointError
from splineviz.training.checkpoints import Checkpoint
from splineviz.training.runs import Run


def without(run: Run, unread: Mapping[int, str], what: str = "the film is", name: str = "") -> Run:
    """The run without the checkpoints of these steps, of which a warning tells.

    unread: why, by step. what: that is made of the others. name: of the run, where there are several.
    """
    if not unread:
        return run
    kept = tuple(checkpoint for checkpoint in run.checkpoints if checkpoint.step not in unread)
    step, why = next(iter(sorted(unread.items())))
    more = f", nor can {len(unread) - 1} more" if len(unread) > 1 else ""
    rest = f"{what} of the other {len(kept)} checkpoints"
    said = f"splineviz: {name}{': ' if name else ''}step {step:,} cannot be drawn{more}; {rest}: {why.splitlines()[0]}"
    warnings.warn(said, RuntimeWarning, stacklevel=3)
    return replace(run, checkpoints=kept)


def last_readable(run: Run, what: str) -> Checkpoint:
    """The last checkpoint that can be read; a warning tells of those behind it. Raises CheckpointError when none can.

    what: that is made of it.
    """
    first: CheckpointError | None = None
    for checkpoint in reversed(run.checkpoints):
        try:
            run.program(checkpoint)
        except CheckpointError as error:
            first = first or error
            continue
        if first is not None:
            said = f"splineviz: step {run.checkpoints[-1].step:,} cannot be drawn; {what} of step {checkpoint.step:,}"
            warnings.warn(f"{said}, the last that can: {str(first).splitlines()[0]}", RuntimeWarning, stacklevel=3)
        return checkpoint
    assert first is not None
    raise first
