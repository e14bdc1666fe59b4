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
from everyday import EVERYDAY
from loops import LOOPS, Loop
from recent import RECENT
from strangers import STRANGERS
from torch import Tensor, nn
from wrapped import WRAPPED

import splineviz as sv
from splineviz.errors import CheckpointError, TraceError
from splineviz.training import guards

STEPS = 3
TABLES = {"loops": LOOPS, "everyday": EVERYDAY, "wrapped": WRAPPED, "strangers": STRANGERS, "recent": RECENT}
ALL = LOOPS | EVERYDAY | WRAPPED | STRANGERS | RECENT
GRID = torch.cartesian_prod(torch.linspace(-3.0, 3.0, 9), torch.linspace(-3.0, 3.0, 9))
SAMPLES = (np.random.default_rng(0).uniform(-2, 2, (12, 2)).astype(np.float32), np.arange(12) % 3)
SLACK = {torch.float64: 1e-7, torch.float32: 1e-4, torch.bfloat16: 5e-2}
"""How far a module in its own precision may be from what it is in double precision, of its largest output."""
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def points(loop: Loop) -> Tensor:
    """A grid, or random inputs; and some far away."""
    generator = torch.Generator().manual_seed(5)
    far = torch.randn(12, *loop.shape, generator=generator)
    far = far * torch.logspace(1, 5.5, 12).reshape(-1, *[1] * len(loop.shape))
    near = GRID if loop.shape == (2,) else 2.0 * torch.randn(40, *loop.shape, generator=generator)
    return torch.cat([near, far])


def samples(loop: Loop) -> Any:
    """Training samples of a loop."""
    return (np.random.default_rng(0).uniform(-2, 2, (12, *loop.shape)).astype(np.float32), np.arange(12) % 3)


def precision(model: nn.Module) -> torch.dtype:
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)


def logits(y: Any) -> Tensor:
    if isinstance(y, dict):
        y = y["logits"] if "logits" in y else next(iter(y.values()))
    return getattr(y, "logits", y[0] if isinstance(y, tuple) and not hasattr(y, "logits") else y)


def near(got: Tensor, expected: Tensor, slack: float) -> bool:
    """Whether outputs agree, point by point of far ones, for these are large."""
    if got.shape != expected.shape:
        return False
    scale = expected[: len(expected) - 12].abs().max() if len(expected) > 12 else expected.abs().max()
    scales = torch.maximum(expected.abs().amax(1, keepdim=True), scale)
    return bool(((got - expected).abs() <= slack * scales + 1e-6).all())


def said(model: nn.Module, x: Tensor) -> Tensor:
    """What the user's module says in evaluation mode, which is left as it was."""
    modes = [m.training for m in model.modules()]
    with torch.no_grad(), torch.random.fork_rng():
        model.eval()
        y = logits(model(x.to(precision(model), copy=True))).double().reshape(len(x), -1).clone()
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


def record(loop: Loop, folder: Path) -> tuple[nn.Module | None, list[Tensor], str]:
    """Run a loop; the module, what it said before each save, and how a save was refused. None: the Recorder refused it."""
    x = points(loop)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = loop.make()
        truth: list[Tensor] = []
        try:
            recorder = sv.Recorder(folder, model, train=samples(loop))
        except TraceError as error:
            return None, truth, str(error)
        for step in range(STEPS):
            if step:
                loop.change(model, step)
            expected, before = said(model, x), state_of(model)
            try:
                recorder.save(step)
            except CheckpointError as error:
                assert same(before, state_of(model))
                return model, truth, str(error)
            assert same(before, state_of(model)), "the module was touched"
            truth.append(expected)
    return model, truth, ""


def wrong_steps(loop: Loop, folder: Path, truth: list[Tensor], slack: float = 1e-4) -> int:
    """At how many steps the run is of another network than the one that was trained."""
    run, count = sv.open_run(folder), 0
    if not guards.ON:  # weights that do not fit are no silent error, but no film either
        try:
            [run.program(checkpoint) for checkpoint in run.checkpoints]
        except CheckpointError:
            return len(truth)
    assert len(run.checkpoints) == len(truth)
    for checkpoint, expected in zip(run.checkpoints, truth, strict=True):
        got = run.program(checkpoint)(points(loop).double())
        got = getattr(torch, loop.judged)(got, 1) if loop.judged else got
        # A network that goes on in double precision may have begun in single.
        stored = {t.dtype for t in run.state(checkpoint).values() if t.is_floating_point()}
        count += not near(got, expected, 5 * max([slack, *(SLACK[dtype] for dtype in stored & {torch.float32})]))
    return count


@pytest.mark.parametrize("name", ALL)
def test_every_step_is_of_the_network_that_was_trained(name: str, tmp_path: Path) -> None:
    loop = ALL[name]
    model, truth, refusal = record(loop, tmp_path)
    if loop.never is not None:
        assert model is None and loop.never in refusal and len(refusal) > 30
        return
    assert model is not None, refusal
    assert wrong_steps(loop, tmp_path, truth, SLACK[precision(model)]) == 0
    if loop.refused:
        assert loop.refused in refusal and len(truth) == 1
        return
    assert not refusal and len(truth) == STEPS
    run = sv.open_run(tmp_path)
    if loop.drawn:
        with pytest.raises(TraceError, match=loop.drawn):
            sv.partition(run.program(run.checkpoints[-1]), run.plane((0, 1, 2)), window=2.0)


@pytest.mark.slow
@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_the_module_says_the_same_at_all_vertices(table: dict[str, Loop], tmp_path: Path) -> None:
    for name, loop in table.items():
        if loop.never is not None or loop.refused or loop.drawn:
            continue
        model, _, _ = record(loop, tmp_path / name)
        assert model is not None
        run = sv.open_run(tmp_path / name)
        found = sv.partition(run.program(run.checkpoints[-1]), run.plane((0, 1, 2)), window=2.0)
        x = torch.from_numpy(found.plane.embed(found.vertices))
        got = torch.from_numpy(found.outputs)
        got = getattr(torch, loop.judged)(got, 1) if loop.judged else got
        expected = said(model, x)
        worst = float((got - expected).abs().max()) / float(expected.abs().max())
        assert worst <= 5 * SLACK[precision(model)], name


@pytest.mark.parametrize(
    "table",
    [LOOPS, *(pytest.param(table, marks=pytest.mark.slow) for name, table in TABLES.items() if name != "loops")],
    ids=TABLES,
)
def test_the_judge_can_fail(table: dict[str, Loop], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "ON", False)
    found = {}
    judged = {name: loop for name, loop in table.items() if not (loop.refused or loop.drawn) and loop.never is None}
    for name, loop in judged.items():
        model, truth, refusal = record(loop, tmp_path / name)
        slack = 1e-4 if model is None else SLACK[precision(model)]
        found[name] = bool(refusal) or wrong_steps(loop, tmp_path / name, truth, slack) > 0
    assert {name for name, loop in judged.items() if loop.silent} == {name for name, bad in found.items() if bad}
