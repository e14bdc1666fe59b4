"""Every recorded run is of the network that the user had at each step, or its step was refused.

The judge is the user's own module, in its own precision, on a grid before every save, and at all vertices of the
partition at the end. What it must leave alone is looked at too: mode, buffers, hooks, random numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from loops import LOOPS, Loop
from torch import Tensor, nn

import splineviz as sv
from splineviz.errors import CheckpointError
from splineviz.training import guards

STEPS = 3
GRID = torch.cartesian_prod(torch.linspace(-3.0, 3.0, 9), torch.linspace(-3.0, 3.0, 9))
SAMPLES = (np.random.default_rng(0).uniform(-2, 2, (12, 2)).astype(np.float32), np.arange(12) % 3)
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def said(model: nn.Module, x: Tensor) -> Tensor:
    """What the user's module says in evaluation mode, which is left as it was."""
    modes = [m.training for m in model.modules()]
    with torch.no_grad(), torch.random.fork_rng():
        model.eval()
        y = model(x)
        y = (y["logits"] if isinstance(y, dict) else y).clone()
        model.train(modes[0])
        for m, mode in zip(model.modules(), modes, strict=True):
            m.training = mode
    return y


def state_of(model: nn.Module) -> list[Any]:
    held = [(k, t.detach().clone()) for k, t in [*model.named_parameters(), *model.named_buffers()]]
    return [
        held,
        [m.training for m in model.modules()],
        [len(m._forward_hooks) for m in model.modules()],
        torch.get_rng_state(),
    ]


def same(a: list[Any], b: list[Any]) -> bool:
    tensors = all(k == j and torch.equal(s, t) for (k, s), (j, t) in zip(a[0], b[0], strict=True))
    return tensors and a[1:3] == b[1:3] and torch.equal(a[3], b[3])


def record(loop: Loop, folder: Path) -> tuple[nn.Module, list[Tensor], str]:
    """Run a loop; the module, what it said before each save, and how a save was refused."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = loop.make()
        recorder, truth = sv.Recorder(folder, model, train=SAMPLES), []
        for step in range(STEPS):
            if step:
                loop.change(model, step)
            expected, before = said(model, GRID), state_of(model)
            try:
                recorder.save(step)
            except CheckpointError as error:
                assert same(before, state_of(model))
                return model, truth, str(error)
            assert same(before, state_of(model)), "the module was touched"
            truth.append(expected)
    return model, truth, ""


def wrong_steps(folder: Path, truth: list[Tensor]) -> int:
    """At how many steps the run is of another network than the one that was trained."""
    run, count = sv.open_run(folder), 0
    if not guards.ON:  # weights that do not fit are no silent error, but no film either
        try:
            [run.program(checkpoint) for checkpoint in run.checkpoints]
        except CheckpointError:
            return len(truth)
    assert len(run.checkpoints) == len(truth)
    for checkpoint, expected in zip(run.checkpoints, truth, strict=True):
        got = run.program(checkpoint)(GRID.double())
        scale = float(expected.abs().max())
        count += not (got.shape == expected.shape and float((got - expected).abs().max()) <= 1e-4 * scale)
    return count


@pytest.mark.parametrize("name", LOOPS)
def test_every_step_is_of_the_network_that_was_trained(name: str, tmp_path: Path) -> None:
    loop = LOOPS[name]
    model, truth, refusal = record(loop, tmp_path)
    assert wrong_steps(tmp_path, truth) == 0
    if loop.refused:
        assert loop.refused in refusal and len(truth) == 1
        return
    assert not refusal and len(truth) == STEPS
    run = sv.open_run(tmp_path)
    found = sv.partition(run.program(run.checkpoints[-1]), run.plane((0, 1, 2)), window=2.0)
    x = torch.from_numpy(found.plane.embed(found.vertices)).float()
    expected = said(model, x)
    assert float((torch.from_numpy(found.outputs) - expected).abs().max()) <= 2e-4 * float(expected.abs().max())


def test_the_judge_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "ON", False)
    found = {}
    for name, loop in LOOPS.items():
        if not loop.refused:
            _, truth, refusal = record(loop, tmp_path / name)
            found[name] = bool(refusal) or wrong_steps(tmp_path / name, truth) > 0
    assert {name for name, loop in LOOPS.items() if loop.silent and not loop.refused} == {
        n for n, bad in found.items() if bad
    }
