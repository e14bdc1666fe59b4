"""Every row of `folder_layouts`: order and identity right, or refused with the files named; as a script, the numbers."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from folder_layouts import LAYOUTS, Layout
from small_runs import network, samples

from splineviz.errors import SplinevizError
from splineviz.training.runs import open_run
from splineviz.training.samples import Data

DATA = Data.of(samples(0), domain=(0, 1))
MODEL = network()


def outcome(row: Layout, folder: Path) -> str:
    """ "" for what the row says, else what came instead."""
    row.write(folder)
    try:
        run = open_run(folder, model=MODEL, data=DATA, **row.options)
        programs = [run.program(c) for c in run.checkpoints]
    except SplinevizError as error:
        if not row.refused:
            return f"refused: {error}"
        return "".join(f"no {word!r} in: {error}" for word in row.refused if word not in str(error))
    got = [(c.step, seed_of(p.weights)) for c, p in zip(run.checkpoints, programs, strict=True)]
    if row.refused:
        return f"taken: {got}"
    return "" if (got, run.unit) == (list(row.right), row.unit) else f"got {got} by {run.unit}s: {dict(run.skipped)}"


SEEDS = {seed: network(seed).state_dict()["1.weight"].double() for seed in range(60)}


def seed_of(weights: dict[str, torch.Tensor]) -> int:
    return next((seed for seed, own in SEEDS.items() if torch.equal(own, weights["1.weight"])), -1)


def test_there_are_rows_enough_and_none_twice() -> None:
    assert len(LAYOUTS) >= 150 and len({row.who for row in LAYOUTS}) == len(LAYOUTS)
    assert np.mean([not row.refused for row in LAYOUTS]) > 0.7


@pytest.mark.parametrize("row", LAYOUTS, ids=[re.sub(r"\W+", "-", row.who) for row in LAYOUTS])
def test_order_and_identity_are_right_or_the_files_are_named(row: Layout, tmp_path: Path) -> None:
    assert outcome(row, tmp_path) == ""


if __name__ == "__main__":
    wrong = []
    for row in LAYOUTS:
        with tempfile.TemporaryDirectory() as folder:
            said = outcome(row, Path(folder))
        wrong += [f"{row.who}: {said}"] if said else []
    refused = sum(bool(row.refused) for row in LAYOUTS)
    print(f"{len(LAYOUTS)} folders: {len(LAYOUTS) - refused - len(wrong)} right, {refused} refused, {len(wrong)} wrong")
    print("\n".join(wrong))
