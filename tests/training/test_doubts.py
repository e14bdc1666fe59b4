"""Doubts: a metric that the network does not have, and samples on a scale that it was not trained on, are said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import splineviz as sv
from splineviz.jobs.audit import audit
from splineviz.training.doubts import doubts, standing, unmoved
from splineviz.training.samples import Data

X = np.random.default_rng(0).uniform(0, 1, (400, 2)).astype(np.float32)
Y = (X[:, 0] > X[:, 1]).astype(int) + 2 * (X.sum(1) > 1)


def exact() -> nn.Sequential:
    """A network that classifies all samples right, of inputs in [0, 1]."""
    net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 4))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0, -1], [-1, 1], [1, 1], [-1, -1]]))
        net[0].bias.copy_(torch.tensor([0.0, 0, -1, 1]))
        net[2].weight.copy_(50 * torch.tensor([[0.0, 1, 0, 1], [1, 0, 0, 1], [0, 1, 1, 0], [1, 0, 1, 0]]))
        net[2].bias.zero_()
    return net


def test_a_recorded_accuracy_that_the_network_does_not_have_is_said_with_both_numbers(tmp_path: Path) -> None:
    network = exact()
    recorder = sv.Recorder(tmp_path / "run", network, train=(X, Y))
    recorder.save(0, train_accuracy=1.0)
    with torch.no_grad():
        network[2].weight.mul_(0.9)
    recorder.save(1, train_accuracy=0.31)
    run = sv.open_run(tmp_path / "run")
    assert doubts(run, run.checkpoints[0]) == []
    (line,) = doubts(run, run.checkpoints[1])
    assert "recorded as 0.31, but the network has 1 on 256" in line
    with pytest.warns(UserWarning, match=r"recorded as 0.31, but the network has 1 on 256"):
        sv.measure_run(run, out=tmp_path / "out", window=0.2, lc=None, steps=[1])


def test_samples_on_another_scale_are_said_with_their_range(tmp_path: Path) -> None:
    torch.save(exact().state_dict(), tmp_path / "step_1.pt")
    shifted = Data.of((200.0 + 55.0 * np.roll(X, 1, axis=0), Y), domain=(0, 255))
    run = sv.open_run(tmp_path, model=exact(), data=shifted)
    (line,) = doubts(run, run.checkpoints[0])
    assert "as by chance among 4 classes" in line and "[200" in line
    assert doubts(sv.open_run(tmp_path, model=exact(), data=Data.of((X, Y))), run.checkpoints[0]) == []


def test_a_loop_that_trains_other_tensors_is_warned(tmp_path: Path) -> None:
    recorder = sv.Recorder(tmp_path, exact(), train=(X, Y))
    recorder.save(0, loss=1.0)
    with pytest.warns(UserWarning, match="has the weights that it had at step 0, but loss 1 -> 0.5"):
        recorder.save(10, loss=0.5)


def test_steps_with_the_same_weights_are_marked_in_the_film_and_by_verify(tmp_path: Path) -> None:
    """Training by functional_call leaves them so."""
    recorder = sv.Recorder(tmp_path / "run", exact(), train=(X, Y))
    recorder.save(0, loss=1.0)
    with pytest.warns(UserWarning, match="has the weights that it had"):
        recorder.save(10, loss=0.5)
    with pytest.warns(UserWarning, match="2 checkpoints have the same weights, bit for bit, but loss 1 -> 0.5"):
        made = sv.animate(tmp_path / "run", out=tmp_path / "out", formats=("gif",), size=(320, 180), window=0.2, lc=None)
    assert made.captions.read_text().count("(the weights of step 0, bit for bit)") == 1
    notes = audit(tmp_path / "out").notes
    assert [note.partition(":")[0] for note in notes] == ["steps 0 to 10"]


def test_stretches_of_equal_weights() -> None:
    table = ((0, "a", 3), (1, "b", 2), (2, "b", 2), (5, "b", 1), (6, "a", 1))
    rows = [(step, digest, {"loss": loss}) for step, digest, loss in table]
    (line,) = unmoved(rows)
    assert line.startswith("steps 1 to 5: all 3 ") and "loss 2 -> 1" in line
    assert unmoved(rows[1:3], contradicted=True) == [] and len(unmoved(rows[1:3])) == 1
    assert list(standing([0, 1, 2, 5, 6], [digest for _, digest, _ in rows])) == [2, 3]
    assert standing([0, 1], ["", ""]) == {}
