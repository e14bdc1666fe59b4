"""The Recorder: its schedule, the run it leaves, and what it refuses to write over."""

from __future__ import annotations

import json
import math
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import STEPS, network, nudge, samples, write_run
from torch import nn

from splineviz.errors import CheckpointError, DataError, TraceError
from splineviz.storage import files
from splineviz.training import run_json
from splineviz.training.recorder import Recorder, schedule
from splineviz.training.runs import open_run


def test_the_schedule_is_logarithmic_dense_early_and_has_both_ends():
    steps = schedule(30_000)
    assert steps[:12] == [0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20]
    assert steps[-1] == 30_000
    assert 40 <= len(steps) <= 50
    ratios = np.array(steps[9:-1]) / np.array(steps[8:-2])
    assert np.allclose(ratios, 10**0.1, rtol=0.04)
    assert set(schedule(100_000)) >= set(steps) - {30_000}  # a longer run has the same checkpoints and more
    assert schedule(0) == [0]
    assert schedule(1) == [0, 1]
    assert [s for s in schedule(1000, per_decade=3) if s >= 10] == [10, 22, 46, 100, 215, 464, 1000]
    with pytest.raises(DataError, match="last step"):
        schedule(-1)


@pytest.mark.parametrize("per_decade", [1, 3, 10, 40])
def test_due_says_what_the_schedule_says(tmp_path, per_decade):
    recorder = Recorder(tmp_path, network(), train=samples(), steps=3_111, per_decade=per_decade)
    assert [step for step in range(3_112) if recorder.due(step)] == schedule(3_111, per_decade=per_decade)
    endless = Recorder(tmp_path, network(), train=samples(), per_decade=per_decade, if_exists="overwrite")
    assert [step for step in range(3_112) if endless.due(step)] == [
        s for s in schedule(10_000, per_decade=per_decade) if s < 3_112
    ]


def test_a_run_gives_back_the_bits(tmp_path):
    model = network()
    states = write_run(tmp_path / "run", model=model, classes=["a", "b", "c"], domain=(0, 1), loss="squared error")
    run = open_run(tmp_path / "run")
    assert [c.step for c in run.checkpoints] == list(STEPS)
    assert run.classes == ("a", "b", "c") and run.domain == (0.0, 1.0) and run.loss == "squared error"
    assert run.checkpoints[0].metrics == {"train_accuracy": 0.5, "test_accuracy": 0.25}
    assert np.array_equal(run.train_x, samples(0)[0]) and run.train_x.dtype == np.float32
    assert np.array_equal(run.test_y, samples(1)[1])
    x = torch.as_tensor(run.test_x).double()
    for checkpoint, state in zip(run.checkpoints, states, strict=True):
        program = run.program(checkpoint)
        assert all(torch.equal(program.weights[key], state[key].double()) for key in state)
        model.double().load_state_dict(state)
        assert torch.equal(program(x), model(x).detach())


def test_a_run_holds_no_code_and_no_import_path(tmp_path):
    class Secret(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = network()

        def forward(self, x):
            return self.body(x).abs()

    write_run(tmp_path, model=Secret())
    text = (tmp_path / "run.json").read_text()
    assert "Secret" not in text and "torch" not in text and __name__ not in text
    assert b"Secret" not in (tmp_path / "checkpoints" / "step-0000000000.pt").read_bytes()
    run = open_run(tmp_path)
    assert (run.program(run.checkpoints[0])(torch.as_tensor(run.train_x).double()) >= 0).all()


def test_wrapped_parameter_names_survive(tmp_path):
    model = nn.Sequential()
    model.add_module("module", network())
    states = write_run(tmp_path, model=model)
    run = open_run(tmp_path)
    assert torch.equal(run.program(run.checkpoints[0]).weights["module.1.weight"], states[0]["module.1.weight"].double())


def test_every_save_leaves_a_whole_run(tmp_path, monkeypatch):
    model = network()
    recorder = Recorder(tmp_path, model, train=samples())
    with pytest.raises(CheckpointError, match="got none so far"):
        open_run(tmp_path)
    recorder.save(0)
    before = (tmp_path / "run.json").read_bytes()

    def power_cut(path, content):
        raise OSError("power cut")

    monkeypatch.setattr(files, "write", power_cut)
    with pytest.raises(OSError, match="power cut"):
        recorder.save(1)
    monkeypatch.undo()
    assert (tmp_path / "run.json").read_bytes() == before
    assert [c.step for c in open_run(tmp_path).checkpoints] == [0]
    recorder.save(5)
    recorder.save(2, loss=torch.tensor(0.5), odd=float("nan"))
    checkpoints = open_run(tmp_path).checkpoints
    assert [c.step for c in checkpoints] == [0, 2, 5]
    assert checkpoints[1].metrics["loss"] == 0.5 and math.isnan(checkpoints[1].metrics["odd"])
    assert not [p for p in tmp_path.rglob("*.tmp")]


def test_an_existing_run_is_kept_unless_told(tmp_path):
    write_run(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(CheckpointError, match="if_exists"):
        write_run(tmp_path)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    recorder = Recorder(tmp_path, network(seed=1), train=samples(2), if_exists="overwrite")
    recorder.save(7)
    assert [c.step for c in open_run(tmp_path).checkpoints] == [7]
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["step-0000000007.pt"]
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_resume_goes_on_with_the_same_network_and_samples_only(tmp_path):
    model = network()
    write_run(tmp_path, model=model)
    recorder = Recorder(tmp_path, model, train=samples(0), test=samples(1), if_exists="resume")
    nudge(model)
    recorder.save(10)
    recorder.save(20)
    run = open_run(tmp_path)
    assert [c.step for c in run.checkpoints] == [0, 1, 10, 20]
    assert torch.equal(run.program(run.checkpoints[2]).weights["3.bias"], model[3].bias.detach().double())
    assert run.checkpoints[1].metrics["train_accuracy"] == 0.5
    with pytest.raises(CheckpointError, match="network of the run to resume"):
        Recorder(tmp_path, network(hidden=7), train=samples(0), test=samples(1), if_exists="resume")
    with pytest.raises(CheckpointError, match="samples of the run to resume"):
        Recorder(tmp_path, model, train=samples(5), test=samples(1), if_exists="resume")


def test_what_cannot_be_recorded_is_refused(tmp_path):
    model = network()
    with pytest.raises(TraceError, match="divides by the spread of its own input"):
        Recorder(tmp_path / "a", nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.LayerNorm(2)), train=samples())
    with pytest.raises(TraceError, match="do the samples fit"):
        Recorder(tmp_path / "a", network(inputs=5), train=samples())
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="got a file"):
        Recorder(tmp_path / "file", model, train=samples())
    with pytest.raises(CheckpointError, match="if_exists"):
        Recorder(tmp_path / "a", model, train=samples(), if_exists="maybe")  # type: ignore[arg-type]
    recorder = Recorder(tmp_path / "a", model, train=samples())
    for step in (-1, 0.5):
        with pytest.raises(DataError, match="whole number"):
            recorder.save(step)
    with pytest.raises(DataError, match="metric wrong: expected one number, got list"):
        recorder.save(0, wrong=[1, 2])
    model[3] = nn.LayerNorm(6)
    with pytest.raises(CheckpointError, match=r"step 0: .*nothing was written.*3: LayerNorm divides by the spread"):
        recorder.save(0)
    assert json.loads((tmp_path / "a" / "run.json").read_text())["checkpoints"] == []


def test_a_network_that_changes_is_recorded_as_what_it_is_at_each_step(tmp_path):
    model = network()
    recorder, x = Recorder(tmp_path, model, train=samples(0)), torch.as_tensor(samples(0)[0])
    truth = []
    for step, last in enumerate((model[3], nn.Identity(), nn.Linear(6, 5), model[3])):
        model[3] = last
        recorder.save(step)
        truth.append(model(x).detach().double())
    run = open_run(tmp_path)
    for checkpoint, expected in zip(run.checkpoints, truth, strict=True):
        torch.testing.assert_close(run.program(checkpoint)(x.double()), expected, rtol=1e-5, atol=1e-5)
    assert run.checkpoints[0].network is None and run.checkpoints[3].network is None, "the first again"
    assert len(list((tmp_path / "networks").iterdir())) == 2
    resumed = Recorder(tmp_path, model, train=samples(0), if_exists="resume")
    resumed.save(4)
    assert len(open_run(tmp_path).checkpoints) == 5
    (tmp_path / "networks" / f"{run.checkpoints[1].network}.json").write_text("{}")
    fresh = open_run(tmp_path)
    with pytest.raises(CheckpointError, match="expected a traced network"):
        fresh.program(fresh.checkpoints[1])


def test_a_training_that_diverged_is_recorded_and_refused_when_it_is_drawn(tmp_path):
    model = network()
    recorder = Recorder(tmp_path, model, train=samples(0))
    recorder.save(0)
    with torch.no_grad():
        model[1].weight.fill_(float("nan"))
    recorder.save(1)
    run = open_run(tmp_path)
    with pytest.raises(CheckpointError, match="expected finite weights"):
        run.program(run.checkpoints[1])


# ---- several who write ---------------------------------------------------------------------------------------------


def test_two_that_begin_at_once_are_one_and_a_refusal(tmp_path, monkeypatch):
    """The second has looked before the first has written."""
    x, y = samples()
    begin = run_json.Manifest.save

    def late(self, root, *, new=False):
        monkeypatch.setattr(run_json.Manifest, "save", begin)
        Recorder(tmp_path, network(), train=(x, y)).save(0)
        return begin(self, root, new=new)

    monkeypatch.setattr(run_json.Manifest, "save", late)
    with pytest.raises(CheckpointError, match="another process has just begun"):
        Recorder(tmp_path, network(1), train=(x, y))
    assert [c.step for c in run_json.Manifest.load(tmp_path).checkpoints] == [0]
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("how", ["overwrite", "resume"])
def test_a_run_that_another_takes_over_is_left_to_it(tmp_path, how):
    (x, y), run = samples(), tmp_path / "run"
    first = Recorder(run, network(), train=(x, y))
    first.save(0)
    second = Recorder(run, network(), train=(x, y), if_exists=how)
    second.save(1)
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    with pytest.raises(CheckpointError, match="do two trainings record here"):
        first.save(2)
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before
    second.save(3)
    shutil.copytree(run, tmp_path / "copy")
    (run / "run.json").unlink()
    shutil.copy(tmp_path / "copy" / "run.json", run)  # the same bytes, from a copy
    second.save(4)


def test_what_a_killed_training_left_half_written_goes(tmp_path):
    x, y = samples()
    Recorder(tmp_path, network(), train=(x, y)).save(0)
    left = tmp_path / "checkpoints" / ".step-0000000001.pt.0123456789ab.tmp"
    for how in ("resume", "overwrite"):
        left.write_bytes(b"half")
        Recorder(tmp_path, network(), train=(x, y), if_exists=how)
        assert not left.exists()


def test_a_recorder_is_shown_in_one_line(tmp_path):
    model = network()
    recorder = Recorder(tmp_path / "ckpts", model, train=samples())
    assert repr(recorder) == f"Recorder({str(tmp_path / 'ckpts')!r}: 0 checkpoints)"
    recorder.save(0)
    recorder.save(7)
    assert repr(recorder).endswith(": 2 checkpoints, the last at step 7)")


def test_a_network_without_regions_is_recorded_and_said_at_once(tmp_path: Path) -> None:
    data = (torch.rand(20, 2), torch.arange(20) % 2)
    smooth = nn.Sequential(nn.Linear(2, 6), nn.GELU(), nn.Linear(6, 2))
    with pytest.warns(UserWarning, match="gelu is smooth.*--swap gelu=relu.*study RUN curves"):
        recorder = Recorder(tmp_path / "smooth", smooth, train=data, steps=0)
    recorder.save(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Recorder(tmp_path / "relu", nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 2)), train=data)
        Recorder(tmp_path / "last", nn.Sequential(nn.Linear(2, 2), nn.Softmax(1)), train=data)  # changes no class


def test_a_recorder_takes_a_dataset_and_a_loader(tmp_path: Path) -> None:
    x, y = torch.rand(30, 2), torch.arange(30) % 3
    pairs = torch.utils.data.TensorDataset(x, y)
    network = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 3))
    for name, given in (("set", pairs), ("loader", torch.utils.data.DataLoader(pairs, batch_size=7))):
        Recorder(tmp_path / name, network, train=given, test=given, steps=0).save(0)
        run = open_run(tmp_path / name)
        np.testing.assert_allclose(run.train_x, x.numpy())
        assert run.train_y is not None and run.train_y.tolist() == y.tolist() and run.test_x is not None


class _Bytes(nn.Module):
    """Scales pixels where they come as bytes, as many public forwards do; always: other numbers too."""

    def __init__(self, always: bool):
        super().__init__()
        self.always, self.body = always, nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.always or x.dtype == torch.uint8:
            x = x.float() / 255
        return self.body(x)


@pytest.mark.filterwarnings("ignore::splineviz.errors.ScaleWarning")
def test_samples_of_whole_numbers_are_refused_where_the_network_reads_them_as_others(tmp_path: Path) -> None:
    x = torch.randint(0, 256, (12, 2), dtype=torch.uint8)
    with pytest.raises(DataError, match="train: expected .* float.*, got uint8, from which the network computes others"):
        Recorder(tmp_path / "bytes", _Bytes(False), train=(x, None))
    assert not (tmp_path / "bytes").exists()
    Recorder(tmp_path / "floats", _Bytes(False), train=(x / 255, None)).save(0)
    model = _Bytes(True)
    Recorder(tmp_path / "always", model, train=(x, None)).save(0)
    run = open_run(tmp_path / "always")
    ours = run.program(run.checkpoints[0])(x.double())
    np.testing.assert_allclose(ours.detach().numpy(), model(x).detach().numpy(), rtol=1e-4, atol=1e-5)
    Recorder(tmp_path / "linear", model.body, train=(x, None)).save(0)  # takes no bytes: the loop makes floats
