"""A foreign folder of state dicts with a factory is of the user's module at every step, whatever the module computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from loops import buffers, moved, trained
from test_loops import ALL, SAMPLES, SLACK, near, points, precision, said, samples
from torch import Tensor, nn

import splineviz as sv
from splineviz.errors import CheckpointError
from splineviz.training import guards
from splineviz.training.samples import Data

NAMES = [
    name
    for name, loop in ALL.items()
    if loop.change in (moved, buffers, trained) and loop.never is None and not (loop.drawn or loop.judged)
    and not name.startswith("non-persistent")
]  # fmt: skip
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def fresh(name: str, seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return ALL[name].make()


def folder(name: str, path: Path) -> list[Tensor]:
    """Write the state dicts of a loop; what the module says at each."""
    model, truth = fresh(name, 1), []
    path.mkdir(exist_ok=True)
    for step in range(3):
        if step:
            ALL[name].change(model, step)
        truth.append(said(model, points(ALL[name])))
        torch.save(model.state_dict(), path / f"step_{step}.pt")
    return truth


def wrong(path: Path, name: str, truth: list[Tensor]) -> int:
    model, loop = fresh(name, 2), ALL[name]
    run = sv.open_run(path, model=model, data=Data.of(samples(loop)))
    got = [run.program(checkpoint)(points(loop).double()) for checkpoint in run.checkpoints]
    slack = 5 * SLACK[precision(model)]
    return sum(not near(y, expected, slack) for y, expected in zip(got, truth, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_of_the_module_with_its_weights(name: str, tmp_path: Path) -> None:
    assert wrong(tmp_path / "a", name, folder(name, tmp_path / "a")) == 0


def test_the_judge_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "ON", False)
    for name in ("logit scale by item", "temperature by float"):
        truth = folder(name, tmp_path / name)
        try:
            assert wrong(tmp_path / name, name, truth) > 0
        except CheckpointError as error:
            assert "traced with" in str(error)  # what version 0.1 could say of some


def test_weights_that_are_missing_or_used_in_unseen_ways_are_named(tmp_path: Path) -> None:
    @torch.jit.script
    def scaled(gain: Tensor) -> Tensor:
        return gain * 2.0

    class Sly(nn.Module):
        """Computes in TorchScript, where nothing sees which weights it read."""

        def __init__(self) -> None:
            super().__init__()
            self.a, self.out, self.gain = nn.Linear(2, 8), nn.Linear(8, 3), nn.Parameter(torch.tensor([2.0]))

        def forward(self, x: Tensor) -> Tensor:
            return self.out(torch.relu(self.a(x))) * scaled(self.gain)

    model, data = Sly(), Data.of(SAMPLES)
    torch.save(model.state_dict(), tmp_path / "step_0.pt")
    state = model.state_dict()
    del state["out.bias"]
    torch.save(state, tmp_path / "step_1.pt")
    run = sv.open_run(tmp_path, model=Sly(), data=data)
    with pytest.raises(CheckpointError, match=r"step_0.pt: .*used in ways that could not be traced: gain"):
        run.program(run.checkpoints[0])
    with pytest.raises(CheckpointError, match=r"out.bias +\(3,\) +missing"):
        run.program(run.checkpoints[1])


def test_a_sweep_of_files_whose_weights_are_computed_is_right_and_proved(tmp_path: Path) -> None:
    truth = folder("weight norm", tmp_path / "in")
    run = sv.open_run(tmp_path / "in", model=fresh("weight norm", 2), data=Data.of(SAMPLES))
    sv.measure_run(run, out=tmp_path / "out", window=2.0, lc=None)
    found = [sv.Partition.load(p) for p in sorted((tmp_path / "out" / "partitions").glob("*.npz"))]
    assert len(found) == len(truth) == 3
    for part, checkpoint in zip(found, run.checkpoints, strict=True):
        part.verify(run.program(checkpoint))
    assert found[0].vertices.shape != found[1].vertices.shape or not np.allclose(found[0].vertices, found[1].vertices)
