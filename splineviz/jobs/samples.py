"""Samples: what all jobs of a run read, chosen from its data; their digest, and how many a network gets right."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from splineviz.errors import CheckpointError
from splineviz.metrics.options import LCOptions
from splineviz.storage import archives, files
from splineviz.tracing.program import Program
from splineviz.training.samples import Array, Data

BATCH = 1000
"""Samples in one forward pass."""


def choose_samples(data: Data, lc: LCOptions | None, *, with_labels: bool) -> dict[str, Array]:
    """What all jobs of a run read: points of the local complexity, and labelled samples where accuracies are not recorded.

    lc_train, lc_test: at most lc.most(place) samples each, drawn without replacement.
    lc_random: lc.most("random") inputs, uniform in the domain.
    """
    chosen: dict[str, Array] = {}
    if lc is not None:
        rng = np.random.default_rng(lc.seed)
        for name, x in (("train", data.train_x), ("test", data.test_x)):
            if x is not None:
                rows = np.sort(rng.permutation(len(x))[: lc.most(name)])
                chosen[f"lc_{name}"] = x[rows]
        low, high = data.domain
        chosen["lc_random"] = rng.uniform(low, high, (lc.most("random"), *data.train_x.shape[1:])).astype(data.train_x.dtype)
    if with_labels:
        for name, x, y in (("train", data.train_x, data.train_y), ("test", data.test_x, data.test_y)):
            if x is not None and y is not None and y.ndim == 1:
                chosen |= {f"{name}_x": x, f"{name}_y": y}
    return chosen


def samples_digest(chosen: Mapping[str, Array]) -> str:
    """Digest of chosen samples."""
    return files.digest(*(part for name in sorted(chosen) for part in (name, chosen[name])))


@functools.lru_cache(maxsize=1)
def read_samples(path: Path, digest: str) -> dict[str, Array]:
    """The samples of a job; read once a process. The digest tells samples apart that were written to one path in turn."""
    try:
        chosen = archives.read_npz(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: expected the samples of the jobs, got {type(error).__name__}: {error}.") from error
    if samples_digest(chosen) != digest:
        raise CheckpointError(f"{path}: expected the samples of this run, got others; does another run write here too?")
    # As all that samples the local complexity wants them; else every checkpoint casts them again.
    return {name: x.astype(np.float64) if name.startswith("lc_") else x for name, x in chosen.items()}


@torch.no_grad()
def accuracy(program: Program, samples: Mapping[str, Array], name: str) -> float:
    """Share of the samples whose class the network gives (one output: class 1 where it is positive); NaN without labels."""
    x, y = samples.get(f"{name}_x"), samples.get(f"{name}_y")
    if x is None or y is None:
        return float("nan")
    right = 0
    for at in range(0, len(x), BATCH):
        outputs = program(torch.as_tensor(x[at : at + BATCH]).to(program.dtype))
        classes = outputs.argmax(dim=1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0).long()
        right += int((classes == torch.as_tensor(y[at : at + BATCH])).sum())
    return right / len(x)
