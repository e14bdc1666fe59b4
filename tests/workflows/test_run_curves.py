"""Comparisons: runs and followed trainings are measured as `local_complexity` measures."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from small_runs import network, write_run

from splineviz.metrics.complexity import local_complexity
from splineviz.metrics.options import LCOptions
from splineviz.storage.cache import Ledger
from splineviz.training.architectures import mlp
from splineviz.training.recipes import RECIPES
from splineviz.training.runs import open_run
from splineviz.workflows.run_curves import followed, measured


def test_a_gelu_network_is_followed_while_it_trains(tmp_path: Path) -> None:
    recipe = replace(RECIPES["two-moons"], network=partial(mlp, (2, 8, 2), activation="gelu"))
    lc = LCOptions(radius=0.3, num_vectors=2, points=5)
    table = followed(recipe, lc, Ledger(tmp_path / "kept.json"), steps=2)
    assert [row["step"] for row in table] == [0, 1, 2]
    assert all(row["lc_train"] >= 0 and row["lc_random_band"] >= 0 for row in table)
    again = followed(recipe, lc, Ledger(tmp_path / "kept.json"), steps=2)
    assert again == table


def test_a_run_is_measured_at_all_its_checkpoints(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    run, lc = open_run(tmp_path / "run"), LCOptions(radius=0.3, num_vectors=2, points=5)
    table = measured(run, lc, Ledger(tmp_path / "kept.json"))
    assert [row["step"] for row in table] == [c.step for c in run.checkpoints]
    x = run.train_x[np.sort(np.random.default_rng(0).permutation(12)[:5])]
    expected = local_complexity(run.program(run.checkpoints[1]), x, radius=0.3, num_vectors=2)
    assert (table[1]["lc_train"], table[1]["lc_train_band"]) == (expected.mean, expected.band)
    assert table[1]["train_accuracy"] == 0.5


@pytest.mark.parametrize("option", ["include_output", "shared_frame"])
def test_every_setting_reaches_the_local_complexity(tmp_path: Path, option: str) -> None:
    write_run(tmp_path / "run", model=network(hidden=40))
    run, lc = open_run(tmp_path / "run"), LCOptions(radius=1.0, num_vectors=2, points=12, **{option: True})
    table = measured(run, lc, Ledger(tmp_path / "kept.json"))
    programs = [run.program(checkpoint) for checkpoint in run.checkpoints]
    expected = [local_complexity(one, run.train_x, radius=1.0, num_vectors=2, **{option: True}).mean for one in programs]
    assert [row["lc_train"] for row in table] == expected
    plain = measured(run, replace(lc, **{option: False}), Ledger(tmp_path / "kept.json"))
    assert [row["lc_train"] for row in plain] != expected


def test_every_setting_reaches_a_training_that_is_followed(tmp_path: Path) -> None:
    recipe = replace(RECIPES["two-moons"], network=partial(mlp, (2, 8, 2), activation="gelu"))
    lc = LCOptions(radius=0.3, num_vectors=2, points=50)
    found = [followed(recipe, one, Ledger(tmp_path / f"{one.include_output}.json"), steps=1)[-1]["lc_train"]
             for one in (lc, replace(lc, include_output=True))]  # fmt: skip
    assert found[1] > found[0]
