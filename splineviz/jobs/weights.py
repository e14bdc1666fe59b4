"""Weights of a checkpoint as a job names them: the network that they belong to, and their digest.
The digest is computed by `training.state_files`; here it is remembered from one call to the next.

A file is read once: what is known of it from an earlier call stands while the file system says that it is the same.
This file knows no slices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splineviz.storage.known import Known
from splineviz.threads import one_torch_thread
from splineviz.tracing.program import Program
from splineviz.training import checkpoints, state_files
from splineviz.training.checkpoints import Checkpoint
from splineviz.training.runs import Run


def held(run: Run, checkpoint: Checkpoint, known: Known, how: str) -> tuple[Mapping[str, Any], str]:
    """A checkpoint's network, and the digest of its weights. Raises as `checkpoints.fit` does when the two do not fit.

    how: what the reading of its file depends on beside the file.
    """
    network: Mapping[str, Any] = {}

    def read() -> str:
        nonlocal network
        with one_torch_thread():
            state = run.state(checkpoint)
            network = run.network_of(checkpoint, state)
            # One that does not fit is refused before hours of work, not after.
            checkpoints.fit(Program.from_data(network, rehearsed=True), state, checkpoint.path)
            return state_files.digest(state)

    if run.guard is not None:  # its network depends on the weights
        digest = read()
        return network, digest
    digest = known.fact(checkpoint.path.absolute(), f"weights {how} {checkpoint.network}", read)
    return network or run.network_of(checkpoint), digest
