"""Comparisons: runs and followed trainings are measured as `local_complexity` measures."""

from __future__ import annotations

import csv
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import network, write_run
from torch import nn

from splineviz.errors import CheckpointError, DataError, TraceError
from splineviz.metrics.columns import tidy
from splineviz.metrics.complexity import local_complexity
from splineviz.metrics.options import LCOptions
from splineviz.metrics.robustness import EPS, robustness
from splineviz.metrics.steepness import SCALE, steepness
from splineviz.storage.cache import Ledger
from splineviz.training.architectures import mlp
from splineviz.training.recipes import RECIPES
from splineviz.training.runs import open_run
from splineviz.workflows import study
from splineviz.workflows.run_curves import curves, followed, measured
from splineviz.workflows.untraced import open_untraced


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


# ---- curves: all that needs no slice -------------------------------------------------------------------------------


def smooth() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 9), nn.GELU(), nn.Linear(9, 3))


@pytest.mark.parametrize("make", [network, smooth], ids=["relu", "gelu"])
def test_curves_are_those_of_the_network_itself(tmp_path: Path, make) -> None:
    model = make()
    states = write_run(tmp_path / "run", model=model, metrics=False)
    run, lc = open_run(tmp_path / "run"), LCOptions(radius=0.3, num_vectors=3, points=12)
    table = curves(run, lc, Ledger(tmp_path / "kept.json"), attack_steps=3)
    assert [row["step"] for row in table] == [0, 1, 10]
    model.load_state_dict(states[1])
    row, x, y = table[1], torch.from_numpy(run.train_x), torch.from_numpy(run.train_y)
    model.eval()
    with torch.no_grad():
        assert row["train_accuracy"] == float((model(x).argmax(1) == y).double().mean())
        assert row["logit_norm"] == pytest.approx(float(model(x).norm(dim=1).mean()), rel=1e-6)
        z = model[1](x.flatten(1))
    assert row["weight_norm"] == pytest.approx(float(sum(p.detach().square().sum() for p in model.parameters())) ** 0.5)
    assert row["lc_train"] == local_complexity(model.double(), run.train_x, radius=0.3, num_vectors=3).mean
    live = ((z > 0).any(0) & (z < 0).any(0)).sum()
    assert (row["units_live"], row["units_linear"]) == (live, (z >= 0).all(0).sum())
    assert row["units_dead"] == (z <= 0).all(0).sum()
    found = robustness(model.float(), run.test_x, run.test_y, steps=3, domain=run.domain)
    assert [row[f"robust_{eps:g}"] for eps in EPS] == pytest.approx([found.nested[eps] for eps in EPS])
    assert [row[f"robust_alone_{eps:g}"] for eps in EPS] == pytest.approx([found.alone[eps] for eps in EPS])
    # |grad z| of the first layer's units is the length of their weights
    steep = torch.exp(-0.5 * (z / SCALE) ** 2) / (SCALE * (2 * torch.pi) ** 0.5) * model[1].weight.detach().norm(dim=1)
    full = steepness(model.double(), run.train_x, num_vectors=4).mean
    assert full == pytest.approx(float(steep.sum(1).mean()), rel=1e-4)


def test_on_a_device_the_numbers_are_the_same(tmp_path: Path) -> None:
    """The way that another device goes, every vertex by itself, gives what the CPU's short cuts give."""
    write_run(tmp_path / "run", model=network(hidden=40))
    run, lc = open_run(tmp_path / "run"), LCOptions(radius=0.5, num_vectors=3, points=12)
    plain = curves(run, lc, Ledger(tmp_path / "a.json"), attack_steps=2)
    placed = curves(run, lc, Ledger(tmp_path / "b.json"), attack_steps=2, device="cpu")
    # Counts and shares are the same to the bit; gradients are summed up in another order.
    summed = ("gradient_complexity", "gradient_complexity_band")
    for one, other in zip(plain, placed, strict=True):
        assert [one.pop(name) for name in summed] == pytest.approx([other.pop(name) for name in summed], rel=1e-11)
    assert plain == placed and plain[0]["lc_train"] > 0
    with pytest.raises(DataError, match="device: expected one that torch has here .*, got 'warp'"):
        curves(run, lc, Ledger(tmp_path / "c.json"), device="warp")


def test_the_study_needs_no_slice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "run", model=smooth())
    lc = LCOptions(radius=0.3, num_vectors=3, points=12)
    monkeypatch.setattr(study, "measure", lambda *a, **k: pytest.fail("sliced"))
    written = study.study(open_run(tmp_path / "run"), out=tmp_path / "out", lc=lc, steps=[0, 10])
    assert [path.name for path in written] == ["curves.png", "curves.csv"]
    assert {row["measure"] for row in tidy(tmp_path / "out" / "curves.csv")} >= {"gradient_complexity", "weight_norm", "lc"}


class Attending(nn.Module):
    """Attention over two tokens: a product of the input with itself, which has no linear regions and no trace."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.attention = nn.Linear(4, 8), nn.MultiheadAttention(4, 2, batch_first=True)
        self.norm, self.out = nn.LayerNorm(8), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = nn.functional.gelu(self.into(x.flatten(1))).reshape(len(x), 2, 4)
        mixed = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return self.out(self.norm((tokens + mixed).flatten(1)))


def test_a_folder_whose_network_cannot_be_traced_has_curves(tmp_path: Path) -> None:
    """Every column is that of the module with each file's weights; what needs a slice is refused."""
    torch.manual_seed(2)
    write_run(tmp_path / "samples")
    data = open_run(tmp_path / "samples").data
    models = [Attending() for _ in range(2)]
    (tmp_path / "theirs").mkdir()
    for step, model in zip((5, 70), models, strict=True):
        torch.save({"model": model.state_dict()}, tmp_path / "theirs" / f"step_{step}.pt")
    with pytest.raises(TraceError):
        open_run(tmp_path / "theirs", model=Attending(), data=data)
    run = open_untraced(tmp_path / "theirs", model=Attending(), data=data)
    lc = LCOptions(radius=0.4, num_vectors=2, points=6, wide=None)
    study.study(run, ["curves"], out=tmp_path / "out", lc=lc, attack_steps=2)
    with open(tmp_path / "out" / "curves.csv", newline="") as stream:
        table = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]
    assert [row["step"] for row in table] == [5, 70]
    for row, model in zip(table, models, strict=True):
        model.double().eval()
        x, y = torch.as_tensor(data.test_x).double(), torch.as_tensor(data.test_y)
        assert row["test_accuracy"] == pytest.approx(float((model(x).argmax(dim=1) == y).double().mean()))
        chosen = data.train_x[np.sort(np.random.default_rng(0).permutation(len(data.train_x))[:6])]
        assert row["lc_train"] == local_complexity(model, chosen, radius=0.4, num_vectors=2).mean
        assert row["weight_norm"] == pytest.approx(sum(float(p.detach().square().sum()) for p in model.parameters()) ** 0.5)
        assert {"robust_0.03", "units_live", "gradient_complexity", "logit_norm"} <= set(row)
    assert table[0]["lc_random"] != table[1]["lc_random"] or table[0]["weight_norm"] != table[1]["weight_norm"]
    with pytest.raises(DataError, match="expected curves alone for a network that cannot be traced, got dynamics"):
        study.study(run, ["dynamics"], out=tmp_path / "out")
    with pytest.raises(CheckpointError, match="expected the weights of Linear"):
        open_untraced(tmp_path / "theirs", model=nn.Linear(2, 2), data=data).module(run.checkpoints[0])


def test_curves_leave_a_checkpoint_out_that_cannot_be_read(tmp_path: Path) -> None:
    """As every other study does; what the training recorded of it stays."""
    write_run(tmp_path / "run")
    run, lc = open_run(tmp_path / "run"), LCOptions(radius=0.3, num_vectors=2, points=5)
    torn = sorted((tmp_path / "run" / "checkpoints").iterdir())
    torn[-1].write_bytes(b"torn")
    with pytest.warns(RuntimeWarning, match="step 10 cannot be drawn; the curves are of the other 2 checkpoints"):
        table = curves(run, lc, Ledger(tmp_path / "kept.json"), attack_steps=0)
    assert [row["step"] for row in table] == [0, 1, 10]
    assert np.isfinite(table[1]["lc_train"]) and "lc_train" not in table[2] and table[2]["train_accuracy"] == 0.5
    with pytest.warns(RuntimeWarning, match="step 10"):
        (picture, written) = study.without_slice(run, out=tmp_path / "out", lc=lc, attack_steps=0)
    assert picture.exists() and "nan" in written.read_text().splitlines()[-1]
    for path in torn:
        path.write_bytes(b"torn")
    with pytest.raises(CheckpointError):
        curves(run, lc, Ledger(tmp_path / "other.json"), attack_steps=0)
