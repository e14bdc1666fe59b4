"""Runs: foreign folders and anchors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from small_runs import network, samples, write_run
from torch import nn

from splineviz.errors import CheckpointError, DataError, PlaneError
from splineviz.jobs.sweep import measure_run
from splineviz.regions.enumerate import partition
from splineviz.training import recipes
from splineviz.training.recorder import Recorder
from splineviz.training.runs import open_run
from splineviz.training.samples import Data


@pytest.fixture
def run(tmp_path):
    write_run(tmp_path / "run")
    return open_run(tmp_path / "run")


# ---- opening ---------------------------------------------------------------------------------------------


def test_a_bare_folder_of_state_dicts_equals_the_recorded_run(tmp_path):
    own = open_run(recipes.train("mnist-mlp", steps=3, out=tmp_path / "own"))
    bare = tmp_path / "bare"
    bare.mkdir()
    for checkpoint in own.checkpoints:
        state = torch.load(checkpoint.path, weights_only=True)
        content = {"model_state_dict": {f"module.{key}": value for key, value in state.items()}}
        torch.save(content, bare / f"checkpoint-w:200-d:4-s:{checkpoint.step}.pt")
    foreign = open_run(bare, model="mlp", data="mnist")
    assert [c.step for c in foreign.checkpoints] == [c.step for c in own.checkpoints]
    assert foreign.data.digest() == own.data.digest()
    assert (foreign.domain, foreign.classes) == (own.domain, own.classes)
    x = torch.as_tensor(own.test_x[:20]).double()
    for a, b in zip(own.checkpoints, foreign.checkpoints, strict=True):
        assert torch.equal(own.program(a)(x), foreign.program(b)(x))
    one = partition(own.program(own.checkpoints[-1]), own.plane((0, 1, 2)), window=0.05)
    other = partition(foreign.program(foreign.checkpoints[-1]), foreign.plane((0, 1, 2)), window=0.05)
    assert np.array_equal(one.vertices, other.vertices) and np.array_equal(one.pattern_hash, other.pattern_hash)


def test_a_foreign_folder_with_a_module_and_data(tmp_path, run):
    bare = tmp_path / "bare"
    bare.mkdir()
    torch.save(network().state_dict(), bare / "net_0.pt")
    data = Data.of(samples(0), domain=(0, 1))
    by_module, by_shape = open_run(bare, model=network(seed=9), data=data), open_run(bare, model="mlp", data=data)
    x = torch.as_tensor(run.train_x).double()
    for foreign in (by_module, by_shape):
        assert torch.equal(foreign.program(foreign.checkpoints[0])(x), run.program(run.checkpoints[0])(x))
    torch.save(network(hidden=7).state_dict(), bare / "net_5.pt")
    with pytest.raises(CheckpointError, match="output: expected none for an MLP .*got '3'"):
        open_run(bare, model="mlp", data=data, output="3")
    foreign = open_run(bare, model="mlp", data=data)
    with pytest.raises(CheckpointError, match=r"net_5.pt: the checkpoint does not fit(.|\n)*1.bias +\(6,\) +\(7,\)"):
        foreign.program(foreign.checkpoints[1])


def test_what_cannot_be_opened_says_what_to_do(tmp_path, run):
    with pytest.raises(CheckpointError, match="nothing there"):
        open_run(tmp_path / "absent")
    with pytest.raises(CheckpointError, match="got a file"):
        open_run(tmp_path / "run" / "run.json")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(CheckpointError, match="expected files .pt, .pth, .ckpt"):
        open_run(empty)
    torch.save(network().state_dict(), empty / "net_1.pt")
    with pytest.raises(CheckpointError, match="--model mlp --data mnist"):
        open_run(empty)
    with pytest.raises(CheckpointError, match="model: expected 'mlp'"):
        open_run(empty, model="resnet", data="digits")
    with pytest.raises(DataError, match="expected one of digits"):
        open_run(empty, model="mlp", data="cifar")
    with pytest.raises(CheckpointError, match="read 64 numbers.*got 4"):
        open_run(empty, model="mlp", data="digits")
    with pytest.raises(CheckpointError, match="describes itself"):
        open_run(run.path, model="mlp", data="mnist")


def test_arguments_belong_to_functions(tmp_path):
    torch.save(network().state_dict(), tmp_path / "net_1.pt")
    with pytest.raises(CheckpointError, match="model_args: expected model to be package.module:function"):
        open_run(tmp_path, model="mlp", data="digits", model_args="{}")
    with pytest.raises(CheckpointError, match="data_args: expected data to be package.module:function"):
        open_run(tmp_path, model="mlp", data="digits", data_args="{}")


def test_a_damaged_checkpoint_of_a_run_is_named(run):
    path = run.checkpoints[1].path
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(CheckpointError, match="step-0000000001.pt: expected a torch checkpoint"):
        run.program(run.checkpoints[1])
    path.unlink()
    with pytest.raises(CheckpointError, match="step-0000000001.pt: expected a checkpoint file, got nothing"):
        run.program(run.checkpoints[1])


# ---- anchors ---------------------------------------------------------------------------------------------


def test_anchors_span_the_plane(run):
    plane = run.plane((4, 0, 2))
    assert np.allclose(plane.embed(plane.anchors_uv), run.train_x[[4, 0, 2]], atol=1e-12)


@pytest.mark.parametrize(
    ("anchors", "words"),
    [
        ((0, 1), "three distinct"),
        ((0, 1, 1), "three distinct"),
        ((0, 1, 12), "0 to 11, got 12"),
        ((0, -1, 2), "0 to 11, got -1"),
    ],
)
def test_anchors_that_are_no_three_samples(run, anchors, words, tmp_path):
    with pytest.raises(DataError, match=words):
        measure_run(run, anchors=anchors, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_anchors_on_one_line_or_one_spot(tmp_path):
    x = np.array([[0, 0], [1, 1], [2, 2], [1, 1]], dtype=np.float32)
    recorder = Recorder(tmp_path, network(inputs=2), train=(x, None))
    recorder.save(0)
    run = open_run(tmp_path)
    with pytest.raises(PlaneError, match="on one line"):
        run.plane((0, 1, 2))
    with pytest.raises(PlaneError, match="anchors 1 and 2 that coincide"):
        run.plane((0, 1, 3))


def test_anchors_by_class(run):
    assert run.chosen(["class:2", 5, "class:2"]) == [2, 5, 8]
    assert run.chosen([4, 0, 2]) == [4, 0, 2]
    with pytest.raises(DataError, match="a further training sample.*got '9'"):
        run.chosen(["class:9", 0, 1])


def test_checkpoints_are_thinned_by_their_place(run):
    steps = [c.step for c in run.checkpoints]
    for every, last, kept in ((1, None, steps), (2, None, steps[::2]), (3, None, [steps[0], steps[-1]]), (1, 2, steps[-2:])):
        assert [c.step for c in run.thinned(every, last).checkpoints] == kept
    assert [c.step for c in run.thinned(2, 2).checkpoints] == steps[-2:]
    with pytest.raises(CheckpointError, match="from 1 up"):
        run.thinned(0)


def test_anchors_come_from_files_arrays_and_the_run(tmp_path, run):
    np.save(tmp_path / "a.npy", np.array([[0.1, 0.9], [0.3, 0.2]]))
    there, indices = run.anchored([tmp_path / "a.npy", 2, np.array([[0.5, 0.5], [0.0, 1.0]])])
    assert indices == [12, 2, 13] and len(there.train_x) == 12 and run.extra == ()
    first, second, third = there.anchors(indices)
    assert first.dtype == run.train_x.dtype and np.allclose(first, [[0.1, 0.9], [0.3, 0.2]])
    assert np.array_equal(second, run.train_x[2]) and np.array_equal(third, [[0.5, 0.5], [0.0, 1.0]])
    np.testing.assert_allclose(there.plane(indices).embed(there.plane(indices).anchors_uv)[0], first, atol=1e-12)
    assert run.anchored([1, "class:0", 2])[1] == [1, 0, 2]
    with pytest.raises(DataError, match="samples of shape"):
        run.anchored([0, 1, np.zeros(3)])
    with pytest.raises(DataError, match="absent.npy: expected a sample, got nothing there"):
        run.anchored([0, 1, str(tmp_path / "absent.npy")])


def test_one_file_is_a_run_of_one_checkpoint(tmp_path, run):
    for name, step in (("best.pt", 0), ("net_40.pt", 40)):
        torch.save(network().state_dict(), tmp_path / name)
        one = open_run(tmp_path / name, model="mlp", data=Data.of(samples(0), domain=(0, 1)))
        assert [c.step for c in one.checkpoints] == [step]
        x = torch.as_tensor(run.train_x).double()
        assert torch.equal(one.program(one.checkpoints[0])(x), run.program(run.checkpoints[0])(x))
    with pytest.raises(CheckpointError, match="got 1 checkpoint; say what"):
        open_run(tmp_path / "best.pt")


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 4)
        self.last.weight = self.first.weight

    def forward(self, x):
        return self.last(torch.relu(self.first(x.flatten(1))))


@pytest.mark.parametrize("dropped", ["first.weight", "last.weight"])
def test_tied_weights_that_safetensors_stored_once(tmp_path, dropped):
    torch.manual_seed(0)
    model = Tied()
    save_file({key: t.clone() for key, t in model.state_dict().items() if key != dropped}, tmp_path / "net_1.safetensors")
    run = open_run(tmp_path, model=Tied(), data=Data.of(samples(0)))
    x = torch.as_tensor(run.train_x).double()
    assert torch.allclose(run.program(run.checkpoints[0])(x), model.double()(x).detach(), atol=1e-12)
