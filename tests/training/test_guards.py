"""Guards: which outputs are held against which module, who records, and whom a recorded run is compared with."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import splineviz as sv
from splineviz.errors import CheckpointError, TraceError
from splineviz.training import guards
from splineviz.training.samples import Data

X = np.random.default_rng(0).uniform(-2, 2, (12, 2)).astype(np.float32)
SAMPLES = (X, np.arange(12) % 3)
POINTS = torch.from_numpy(X)


class Heads(nn.Module):
    """Gives a dictionary of a hidden layer and many outputs; a scale of the second is an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.out, self.scale = nn.Linear(2, 8), nn.Linear(8, 500), 1.0

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        h = self.a(x).relu()
        return {"hidden": h, "all": self.out(h) * self.scale}


def test_outputs_are_chosen_by_name_and_number_everywhere(tmp_path: Path) -> None:
    model, chosen = Heads(), [3, 499, 7]
    how: dict[str, Any] = {"output": "all", "outputs": chosen}
    recorder = sv.Recorder(tmp_path / "own", model, train=SAMPLES, **how)
    for step in range(2):
        model.scale = 1.0 + step  # the network is traced anew, and cut to the same outputs
        recorder.save(step)
        torch.save(model.state_dict(), tmp_path / f"step_{step}.pt")
        with torch.no_grad():
            expected = model(POINTS)["all"][:, chosen]
        run = sv.open_run(tmp_path / "own")
        assert torch.allclose(run.program(run.checkpoints[-1])(POINTS.double()).float(), expected, atol=1e-5)
    foreign = sv.open_run(tmp_path / "step_1.pt", model=model, data=Data.of(SAMPLES), **how)
    only = foreign.checkpoints[0]
    assert torch.allclose(foreign.program(only)(POINTS.double()).float(), expected, atol=1e-5)
    assert torch.allclose(foreign.outputs(only, X).float(), expected, atol=1e-5)
    plane = sv.Plane.through(*X[:3])
    whole, tiled = (sv.partition(model, plane, window=2.0, **how, **more) for more in ({}, {"tiles": (2, 2)}))
    assert whole.num_regions == tiled.num_regions and whole.outputs.shape[1] == tiled.outputs.shape[1] == 3
    with pytest.raises(TraceError, match="hidden, all"):
        sv.Recorder(tmp_path / "none", model, train=SAMPLES)
    with pytest.raises(TraceError, match="0 to 499"):
        sv.Recorder(tmp_path / "none", model, train=SAMPLES, output="all", outputs=[500])
    with pytest.raises(CheckpointError, match="chosen when it is recorded"):
        sv.open_run(tmp_path / "own", outputs=[0])


def test_a_recorded_run_is_compared_with_the_module_that_is_given(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    sv.Recorder(tmp_path, model, train=SAMPLES).save(0)
    other = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    run = sv.open_run(tmp_path, witness=other)
    with torch.no_grad():
        expected = model.eval()(POINTS)
    assert "your module" in run.judge
    assert torch.allclose(run.outputs(run.checkpoints[0], X).float(), expected, atol=1e-5)
    leaky = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.LeakyReLU(0.3), nn.Linear(8, 3))
    run = sv.open_run(tmp_path, witness=leaky)  # the judge can fail
    assert not torch.allclose(run.outputs(run.checkpoints[0], X).float(), expected, atol=1e-2)


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w, self.out = nn.Parameter(torch.randn(8, 2)), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out((x @ (self.w / 2**0.5).T).relu())


def test_a_witness_whose_weights_are_not_in_the_run_is_refused(tmp_path: Path) -> None:
    sv.Recorder(tmp_path, Scaled(), train=SAMPLES).save(0)
    run = sv.open_run(tmp_path, witness=Scaled())
    with pytest.raises(CheckpointError, match="none named w"):
        run.outputs(run.checkpoints[0], X)


def test_one_process_of_a_distributed_training_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3))
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with pytest.warns(UserWarning, match="rank 1 of 2: .* recorded by rank 0"):
        recorder = sv.Recorder(tmp_path / "run", model, train=SAMPLES, steps=4)
    assert recorder.due(4) and recorder.save(0).name == "step-0000000000.pt" and not (tmp_path / "run").exists()
    monkeypatch.setenv("RANK", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sv.Recorder(tmp_path / "run", model, train=SAMPLES).save(0)
    assert len(sv.open_run(tmp_path / "run").checkpoints) == 1


def test_the_guard_holds_points_of_several_scales() -> None:
    x = guards.points(X)
    assert len(x) == 5 and float(x.abs().max()) > 10


class Ticking(nn.Module):
    """Counts its calls in a buffer, also in evaluation mode; no output depends on it."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.out = nn.Linear(2, 8), nn.Linear(8, 3)
        self.register_buffer("calls", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)
        return self.out(self.a(x).relu())


def _trained(model: nn.Module) -> None:
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1.3)


def test_a_network_in_single_precision_is_held_in_it_and_its_bits_are_what_is_written() -> None:
    model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3))
    live = guards.Live(model, X)
    live.state()
    kept = live._kept
    assert kept is not None and kept.narrow
    before = live.state()[1]
    _trained(model)
    program, state = live.state()
    assert live._kept is kept and kept.own is not None
    for own, old, new in zip(model.state_dict().values(), before.values(), state.values(), strict=True):
        assert torch.equal(own, new) and not torch.equal(old, new)
        assert new.data_ptr() != own.data_ptr()  # what is written does not train on
    assert torch.equal(program.bind(state)(POINTS), model(POINTS))
    model[0].weight, model[2].weight = model[0].weight, nn.Parameter(model[2].weight.detach() * 2)  # an object, not values
    assert torch.equal(live.state()[1]["2.weight"], model[2].weight)


def test_what_changes_outside_the_module_is_seen_in_single_precision() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3))
    x = np.random.default_rng(1).uniform(-1, 1, (12, 4)).astype(np.float32)
    live = guards.Live(model, x)
    for _ in range(3):
        first, _ = live.state()
    forward = nn.ReLU.forward
    try:
        nn.ReLU.forward = lambda self, z: z.clamp(min=-0.5)  # of the class, so that nothing of the module changes
        with pytest.raises(TraceError, match="differs from the module"):
            live.state()
    finally:
        nn.ReLU.forward = forward
    assert live.state()[0].to_data() == first.to_data()


@pytest.mark.parametrize("make", [Ticking, lambda: nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU())])
def test_what_a_run_of_the_twin_writes_is_not_what_is_recorded(make: Any) -> None:
    model = make()
    live = guards.Live(model, X)
    for _ in range(4):
        model.train()
        _trained(model)
        model(POINTS)
        state = live.state()[1]
        own = model.state_dict()
        assert all(torch.equal(own[key], value) for key, value in state.items())
