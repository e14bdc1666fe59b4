"""Monitors: what is handed over is what animate measures, the training does not feel it, and failures do not end it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_runs import network, nudge, samples
from torch import nn

import splineviz as sv
from splineviz.errors import DataError
from splineviz.jobs import sweep
from splineviz.jobs.samples import choose_samples
from splineviz.metrics.options import LCOptions
from splineviz.training.recorder import Recorder
from splineviz.workflows.monitor import Monitor

LC = LCOptions(points=6, num_vectors=3)


def train(
    path: Path, monitor: Monitor | None, *, steps: int = 8, model: nn.Module | None = None, first: int = 0, **options: object
) -> nn.Module:
    """A training that draws on torch's random numbers, recorded at every step that is due."""
    model = network() if model is None else model
    x, y = map(torch.as_tensor, samples())
    recorder = Recorder(path, model, train=samples(0), test=samples(1), steps=8, monitor=monitor, **options)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for step in range(first, steps + 1):
        if recorder.due(step):
            recorder.save(step)
        chosen = torch.randperm(len(x))[:4]
        loss = nn.functional.cross_entropy(model(x[chosen]), y[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model


class Taken:
    """A target that keeps what it is given."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, dict[str, float], Any]] = []

    def __call__(self, step: int, numbers: dict[str, float], picture: Any) -> None:
        self.calls.append((step, numbers, picture))

    def __iter__(self) -> Iterator[tuple[int, dict[str, float], Any]]:
        return iter(self.calls)


def test_numbers_are_those_of_animate_and_slices_are_kept_for_it(tmp_path):
    taken = Taken()
    train(tmp_path / "run", Monitor(taken, lc=LC, size=(640, 360)))
    run = sv.open_run(tmp_path / "run")
    assert [step for step, _, _ in taken] == [c.step for c in run.checkpoints] == [0, 1, 2, 3, 4, 5, 6, 8]
    results = sweep.measure_run(run, lc=LC, out=tmp_path / "again")
    for (_, numbers, picture), result in zip(taken, results, strict=True):
        expected = {k: v for k, v in result.row.items() if k != "step" and np.isfinite(v)}
        assert numbers == expected
        assert picture.shape == (360, 640, 3) and picture.std() > 10
    assert {"regions", "lc_train", "knot_density", "test_accuracy"} <= set(taken.calls[0][1])
    assert "churn" in taken.calls[1][1]
    watched = tmp_path / "run" / "monitor"
    assert (watched / "measures.csv").read_bytes() == (tmp_path / "again" / "measures.csv").read_bytes()
    kept = {path: path.stat().st_mtime_ns for path in (watched / "partitions").iterdir()}
    sweep.measure_run(run, lc=LC, out=watched)
    assert {path: path.stat().st_mtime_ns for path in (watched / "partitions").iterdir()} == kept


def test_the_training_does_not_feel_it(tmp_path):
    trained = []
    for name, monitor in (("plain", None), ("monitored", Monitor(lc=LC, frames=False))):
        torch.manual_seed(5)
        np.random.seed(5)  # noqa: NPY002  # the global state that a user's own loop may draw from
        model = train(tmp_path / name, monitor)
        numbers = torch.rand(3), torch.as_tensor(np.random.rand(3))  # noqa: NPY002
        trained.append([*(p.detach() for p in model.parameters()), *numbers])
        assert model.training
    for plain, monitored in zip(*trained, strict=True):
        assert torch.equal(plain, monitored)
    assert torch.is_grad_enabled()


def test_every_so_many_and_the_last(tmp_path):
    taken = Taken()
    train(tmp_path / "run", Monitor(taken, every=3, lc=None, frames=False))
    assert [step for step, _, _ in taken] == [0, 3, 6, 8]
    assert all(picture is None and "lc_train" not in numbers for _, numbers, picture in taken)


def test_colours_hold_all_slices_so_far(tmp_path):
    """The scale is the one that animate takes for the same checkpoints."""
    from splineviz.drawing import fills

    monitor = Monitor(lc=None, size=(640, 360))
    train(tmp_path / "run", monitor)
    paths = sorted((tmp_path / "run" / "monitor" / "partitions").iterdir())
    assert fills.limits_of(monitor._quantiles) == fills.shared_limits(sv.Partition.load(path) for path in paths)


def test_a_resumed_training_goes_on_in_the_same_table(tmp_path):
    model = train(tmp_path / "run", Monitor(lc=None, frames=False), steps=3)
    taken = Taken()
    train(tmp_path / "run", Monitor(taken, lc=None), model=model, first=4, if_exists="resume")
    table = (tmp_path / "run" / "monitor" / "measures.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table[1:]] == ["0", "1", "2", "3", "4", "5", "6", "8"]
    assert [step for step, _, _ in taken] == [4, 5, 6, 8]


def test_what_fails_at_first_is_raised(tmp_path):
    with pytest.raises(DataError, match="anchors"):
        train(tmp_path / "run", Monitor(anchors=(0, 1, 99)))


def test_what_fails_later_is_told_and_the_training_goes_on(tmp_path):
    def broken(step: int, numbers: dict[str, float], picture: object) -> None:
        if step == 2:
            raise ConnectionError("nobody answers")

    monitor = Monitor(broken, lc=None, frames=False)
    with pytest.warns(RuntimeWarning, match="step 2 was saved, not monitored: nobody answers"):
        train(tmp_path / "run", monitor)
    assert monitor.failures == {2: "nobody answers"}
    assert [c.step for c in sv.open_run(tmp_path / "run").checkpoints] == [0, 1, 2, 3, 4, 5, 6, 8]


def test_a_smooth_network_hands_over_accuracies_and_local_complexity(tmp_path):
    taken = Taken()
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 3))
    train(tmp_path / "run", Monitor(taken, lc=LC), model=model, steps=2)
    assert [step for step, _, _ in taken] == [0, 1, 2]
    assert taken.calls[0][1].keys() >= {"lc_train", "lc_test", "lc_random", "lc_random_band"}
    assert all(picture is None for _, _, picture in taken)
    run = sv.open_run(tmp_path / "run")
    x = choose_samples(run.data, LC, with_labels=False)["lc_train"]
    expected = sv.local_complexity(run.program(run.checkpoints[2]), x, radius=LC.radius, num_vectors=3)
    assert taken.calls[2][1]["lc_train"] == expected.mean


def test_a_smooth_network_without_local_complexity_has_what_was_recorded(tmp_path):
    taken = Taken()
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 3))
    Recorder(tmp_path, model, train=samples(0), monitor=Monitor(taken, lc=None)).save(0, train_accuracy=0.5)
    assert taken.calls == [(0, {"train_accuracy": 0.5}, None)]


def test_anchors_by_class_and_from_elsewhere(tmp_path):
    taken = Taken()
    anchors = ("class:1", np.full((2, 2), 0.3, np.float32), 5)
    Recorder(tmp_path, network(), train=samples(0), monitor=Monitor(taken, anchors=anchors, lc=None)).save(0)
    run, chosen = sv.open_run(tmp_path).anchored(anchors)
    expected = sv.partition(run.program(run.checkpoints[0]), run.plane(chosen))
    assert taken.calls[0][1]["regions"] == expected.num_regions
    assert taken.calls[0][2].shape == (720, 1280, 3)


def test_settings_that_are_none_are_refused():
    with pytest.raises(DataError, match="every: expected"):
        Monitor(every=0)
    with pytest.raises(DataError, match="fill: expected one of slope"):
        Monitor(fill="blue")
    with pytest.raises(DataError, match="panels: expected some of accuracy"):
        Monitor(panels=["loss"])
    with pytest.raises(DataError, match="width >= 1.75 height"):
        Monitor(size=(300, 300))


def test_a_second_save_of_a_step_gives_way(tmp_path):
    model, taken = network(), Taken()
    recorder = Recorder(tmp_path, model, train=samples(0), monitor=Monitor(taken, lc=None, frames=False))
    recorder.save(0)
    for step in (3, 7, 3):
        nudge(model)
        recorder.save(step)
    assert [step for step, _, _ in taken] == [0, 3, 7, 3]
    table = (tmp_path / "monitor" / "measures.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table[1:]] == ["0", "3"]
