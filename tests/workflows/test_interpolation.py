"""Tweens: interpolated weights, exactly partitioned."""

from pathlib import Path

import pytest
import torch
from small_runs import network, write_run

from splineviz.errors import CheckpointError
from splineviz.training.runs import open_run
from splineviz.workflows import interpolation


def test_the_ends_are_the_checkpoints_and_the_middle_is_between(tmp_path: Path) -> None:
    states = write_run(tmp_path)
    run = open_run(tmp_path)
    a, b = run.checkpoints[0], run.checkpoints[2]
    x = torch.as_tensor(run.train_x).double()
    assert torch.equal(interpolation.between(run, a, b, 0.0)(x), run.program(a)(x))
    assert torch.allclose(interpolation.between(run, a, b, 1.0)(x), run.program(b)(x), rtol=0, atol=1e-12)
    model = network().double()
    model.load_state_dict({name: 0.75 * states[0][name].double() + 0.25 * states[2][name].double() for name in states[0]})
    assert torch.allclose(interpolation.between(run, a, b, 0.25)(x), model(x), rtol=0, atol=1e-12)


def test_a_tween_is_exact_for_the_interpolated_weights(tmp_path: Path) -> None:
    write_run(tmp_path)
    run = open_run(tmp_path)
    a, b = run.checkpoints[:2]
    found = interpolation.tween(run, a, b, 0.5, plane=run.plane((0, 1, 2)), window=2.0)
    assert found.verify(interpolation.between(run, a, b, 0.5)).ok


def test_refusals(tmp_path: Path) -> None:
    write_run(tmp_path)
    run = open_run(tmp_path)
    with pytest.raises(CheckpointError, match="between 0 and 1, got 1.5"):
        interpolation.between(run, run.checkpoints[0], run.checkpoints[1], 1.5)
