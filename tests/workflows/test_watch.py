"""Watching: checkpoints are drawn as they appear, half-written ones later, and it ends when it should."""

from __future__ import annotations

import pytest
import torch
from small_runs import network, nudge, samples

from splineviz.errors import CheckpointError, DataError
from splineviz.metrics.options import LCOptions
from splineviz.training.recorder import Recorder
from splineviz.training.runs import open_run
from splineviz.training.samples import Data
from splineviz.workflows import watch as watching
from splineviz.workflows.watch import watch

SMALL = {"size": (320, 180), "formats": ("gif",), "lc": LCOptions(points=5, num_vectors=2)}


class Training:
    """A training whose next event happens when the watcher sleeps."""

    def __init__(self, *events):
        self.events = list(events)
        self.slept = []

    def sleep(self, seconds):
        self.slept.append(seconds)
        if not self.events:
            raise KeyboardInterrupt
        self.events.pop(0)()


@pytest.fixture
def drawn(monkeypatch):
    """Steps of every animation."""
    seen, original = [], watching.animate

    def animate(run, **options):
        seen.append([c.step for c in run.checkpoints])
        return original(run, **options)

    monkeypatch.setattr(watching, "animate", animate)
    return seen


def test_it_draws_what_appears_and_ends_with_the_last_step(tmp_path, drawn):
    path, model, said = tmp_path / "run", network(), []
    held = {}

    def begin():
        held["recorder"] = Recorder(path, model, train=samples(), steps=4)

    def save(*steps):
        for step in steps:
            held["recorder"].save(step)
            nudge(model)

    training = Training(begin, lambda: save(0), lambda: None, lambda: save(1, 2), lambda: save(4))
    made = watch(
        lambda: open_run(path), sleep=training.sleep, poll=0.1, tell=said.append, out=tmp_path / "out", **SMALL
    )
    assert drawn == [[0], [0, 1, 2], [0, 1, 2, 4]]
    assert [p.stem for p in made.frames] == [f"step-{s:010d}" for s in (0, 1, 2, 4)]
    assert training.slept[0] == 0.1 and training.events == []
    assert "expected a run directory" in said[0] and "got none so far" in said[1]
    assert [line.split(";")[0] for line in said[2:]] == [f"drawn up to step {s}" for s in (0, 2, 4)]


def test_a_checkpoint_that_is_being_written_waits(tmp_path, drawn):
    folder, said = tmp_path / "foreign", []
    folder.mkdir()
    torch.save(network(0).state_dict(), folder / "net_0.pt")
    torch.save(network(1).state_dict(), folder / "whole")
    content = (folder / "whole").read_bytes()
    (folder / "net_5.pt").write_bytes(content[: len(content) // 2])
    training = Training(lambda: None, lambda: (folder / "net_5.pt").write_bytes(content))
    watch(
        lambda: open_run(folder, model="mlp", data=Data.of(samples(0), domain=(0, 1))),
        sleep=training.sleep, poll=0.1, until=5, tell=said.append, out=tmp_path / "out", **SMALL,
    )  # fmt: skip
    assert drawn == [[0], [0, 5]]
    assert any("waiting: " in line and "net_5.pt" in line for line in said)


def test_one_that_is_replaced_between_look_and_reading_waits_too(tmp_path, monkeypatch):
    tries = []
    recorder = Recorder(tmp_path / "run", network(), train=samples(), steps=1)
    recorder.save(1)
    original = watching.animate

    def animate(run, **options):
        tries.append(1)
        if len(tries) == 1:
            raise CheckpointError("replaced")
        return original(run, **options)

    monkeypatch.setattr(watching, "animate", animate)
    training = Training(lambda: None)
    made = watch(lambda: open_run(tmp_path / "run"), sleep=training.sleep, out=tmp_path / "out", **SMALL)
    assert len(tries) == 2 and len(made.frames) == 1


def test_it_gives_up_when_nothing_comes(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(watching.time, "monotonic", lambda: clock[0])

    def sleep(seconds):
        clock[0] += seconds

    with pytest.raises(CheckpointError, match="expected a run directory"):
        watch(lambda: open_run(tmp_path / "run"), sleep=sleep, poll=10, idle=60)
    assert clock[0] == 60
    Recorder(tmp_path / "run", network(), train=samples()).save(0)
    made = watch(lambda: open_run(tmp_path / "run"), sleep=sleep, poll=10, idle=30, out=tmp_path / "out", **SMALL)
    assert clock[0] == 90 and len(made.frames) == 1, "one that is there, and no more"


def test_half_of_the_time_at_most_goes_into_drawing(tmp_path, monkeypatch):
    clock, slept = [0.0], []
    monkeypatch.setattr(watching.time, "monotonic", lambda: clock[0])
    original = watching.animate

    def animate(run, **options):
        clock[0] += 100.0
        return original(run, **options)

    monkeypatch.setattr(watching, "animate", animate)
    Recorder(tmp_path / "run", network(), train=samples()).save(0)

    def sleep(seconds):
        slept.append(seconds)
        clock[0] += seconds

    watch(lambda: open_run(tmp_path / "run"), sleep=sleep, poll=5, idle=50, out=tmp_path / "out", **SMALL)
    assert slept[0] == 100.0


def test_times_are_positive(tmp_path):
    for times in ({"poll": 0}, {"idle": -1}):
        with pytest.raises(DataError, match="positive numbers of seconds"):
            watch(lambda: open_run(tmp_path), **times)
