"""Sweeps: measuring that picks up where it was stopped, on any executor, of one run or many."""

from __future__ import annotations

import csv
import json
import math
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from small_runs import STEPS, write_run
from small_sweeps import QUICK, contents, exact

from splineviz import choices
from splineviz.errors import CheckpointError, DataError, PlaneError
from splineviz.geometry.partition import Partition
from splineviz.jobs import job as jobs
from splineviz.jobs.audit import audit
from splineviz.jobs.samples import choose_samples, samples_digest
from splineviz.jobs.sweep import measure_run
from splineviz.metrics import measures, slice_complexity
from splineviz.metrics.options import LCOptions
from splineviz.regions.enumerate import partition
from splineviz.storage import files
from splineviz.training.runs import open_run
from splineviz.training.samples import Data


@pytest.fixture
def run(tmp_path):
    write_run(tmp_path / "run")
    return open_run(tmp_path / "run")


@pytest.fixture
def counted(monkeypatch):
    """Steps that were really computed."""
    done = []
    original = jobs.work

    def work(job):
        done.append(job.step)
        return original(job)

    monkeypatch.setattr(jobs, "work", work)
    return done


def test_measures_of_a_run(run, tmp_path):
    out, said = tmp_path / "out", []
    results = measure_run(run, out=out, lc=QUICK, progress=lambda *call: said.append(call))
    assert [r.step for r in results] == list(STEPS)
    assert [call[:2] for call in said] == [(1, 3), (2, 3), (3, 3)]
    for result, checkpoint in zip(results, run.checkpoints, strict=True):
        assert result.partition_path == out / "partitions" / f"step-{checkpoint.step:010d}.npz"
        drawn, direct = Partition.load(result.partition_path), partition(run.program(checkpoint), run.plane())
        assert np.array_equal(drawn.pattern_hash, direct.pattern_hash)
        assert result.row["regions"] == direct.num_regions
        segments = direct.decision_boundary()
        assert result.row["boundary_length"] == pytest.approx(np.linalg.norm(segments[:, 0] - segments[:, 1], axis=1).sum())
        assert (result.row["train_accuracy"], result.row["test_accuracy"]) == (0.5, 0.25)
        assert tuple(result.row) == jobs.COLUMNS
        slice_ = slice_complexity.exact(drawn, 0.005) | slice_complexity.sampled(
            run.program(checkpoint), run.plane(), drawn.window, 0.005, None
        )
        assert {name: result.row[name] for name in slice_complexity.COLUMNS} == pytest.approx(slice_)
        attacked = (name for name in jobs.COLUMNS if name.startswith("robust_"))  # this run recorded none
        undefined = (*measures.COLUMNS, "churn", "boundary_distance_ratio", *attacked)
        assert all(math.isfinite(value) for name, value in result.row.items() if name not in undefined)
        assert math.isfinite(result.row["knot_density"])  # others are undefined where there is no boundary
    with open(out / "measures.csv", newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [exact({key: float(value) for key, value in line.items()}) for line in table] == [exact(r.row) for r in results]


def test_a_second_call_computes_nothing_and_touches_nothing(run, tmp_path, counted):
    out = tmp_path / "out"
    first = measure_run(run, out=out, lc=QUICK)
    assert counted == list(STEPS)
    before = contents(out)
    said = []
    again = measure_run(open_run(run.path), out=out, lc=QUICK, progress=lambda *call: said.append(call))
    assert counted == list(STEPS)
    assert contents(out) == before
    assert [exact(r.row) for r in again] == [exact(r.row) for r in first]
    assert said == [(3, 3, "3 of 3 were measured before")]


def test_only_what_changed_is_computed_again(run, tmp_path, counted):
    out = tmp_path / "out"
    measure_run(run, out=out, lc=QUICK)
    counted.clear()
    path = run.checkpoints[1].path
    state = torch.load(path, weights_only=True)
    torch.save(dict(reversed(state.items())), path)  # another container, the same weights
    measure_run(run, out=out, lc=QUICK)
    assert counted == []
    state["3.bias"][0] += 1e-3
    torch.save(state, path)
    measure_run(run, out=out, lc=QUICK)
    assert counted == [1]
    counted.clear()
    for options in (
        {"lc": LCOptions(radius=0.01, num_vectors=2, points=5)},
        {"lc": QUICK, "window": 0.5},
        {"lc": QUICK, "anchors": (0, 1, 3)},
    ):
        measure_run(run, out=out, **options)
        assert counted == list(STEPS)
        counted.clear()


def test_work_that_was_stopped_goes_on(run, tmp_path, monkeypatch, counted):
    out, original, measured = tmp_path / "out", LCOptions.measured_beside, []

    def stops(*args, **options):
        measured.append(args)
        if len(measured) == 2:
            raise KeyboardInterrupt
        return original(*args, **options)

    monkeypatch.setattr(LCOptions, "measured_beside", stops)
    with pytest.raises(KeyboardInterrupt):
        measure_run(run, out=out, lc=QUICK)
    monkeypatch.setattr(LCOptions, "measured_beside", original)
    counted.clear()
    # a row without its partition, and a torn row, are not taken for finished work
    (out / "rows" / f"step-{1:010d}.json").write_text('{"key": ')
    measure_run(run, out=out, lc=QUICK)
    assert counted == [1, 10]
    counted.clear()
    (out / "partitions" / f"step-{10:010d}.npz").unlink()
    measure_run(run, out=out, lc=QUICK)
    assert counted == [10]
    assert not list(out.rglob("*.tmp"))


def test_accuracies_are_computed_where_none_were_recorded(tmp_path):
    write_run(tmp_path / "run", metrics=False)
    run = open_run(tmp_path / "run")
    for result, checkpoint in zip(measure_run(run, out=tmp_path / "out", lc=None), run.checkpoints, strict=True):
        for name, x, y in (("train", run.train_x, run.train_y), ("test", run.test_x, run.test_y)):
            classes = run.program(checkpoint)(torch.as_tensor(x).double()).argmax(1).numpy()
            assert result.row[f"{name}_accuracy"] == float((classes == y).mean())
        assert math.isnan(result.row["lc_train"])
    assert "NaN" not in (tmp_path / "out" / "rows" / "step-0000000000.json").read_text()


def test_points_of_the_local_complexity():
    data = Data.of((np.random.default_rng(0).uniform(-1, 2, (40, 3)), None), (np.zeros((4, 3)) + 0.5, None), domain=(-1, 2))
    chosen = choose_samples(data, LCOptions(points=30), with_labels=True)
    assert chosen["lc_train"].shape == (30, 3) and chosen["lc_test"].shape == (4, 3) and chosen["lc_random"].shape == (30, 3)
    assert len({row.tobytes() for row in chosen["lc_train"]} & {row.tobytes() for row in data.train_x}) == 30
    assert chosen["lc_random"].min() < -0.8 and chosen["lc_random"].max() > 1.8
    assert "train_x" not in chosen  # no labels, no accuracy
    again = choose_samples(data, LCOptions(points=30), with_labels=True)
    assert samples_digest(chosen) == samples_digest(again)
    assert samples_digest(chosen) != samples_digest(
        choose_samples(data, LCOptions(points=30, seed=1), with_labels=True)
    )
    three = choose_samples(data, LCOptions(points=(7, 3, 9)), with_labels=True)
    assert [len(three[f"lc_{place}"]) for place in choices.PLACES] == [7, 3, 9]


def test_some_steps_only(run, tmp_path):
    assert [r.step for r in measure_run(run, out=tmp_path / "out", lc=None, steps=[10, 0])] == [0, 10]
    with pytest.raises(CheckpointError, match="the step of a checkpoint, got 7; the nearest is 10"):
        measure_run(run, out=tmp_path / "out", lc=None, steps=[0, 7])


def test_any_executor_gives_the_same_numbers(run, tmp_path):
    here = measure_run(run, out=tmp_path / "here", lc=QUICK)
    with ThreadPoolExecutor(2) as pool:
        there = measure_run(run, out=tmp_path / "there", lc=QUICK, jobs=pool)
    processes = measure_run(run, out=tmp_path / "spawned", lc=QUICK, jobs=2)
    for other in (there, processes):
        assert [exact(r.row) for r in other] == [exact(r.row) for r in here]
    with pytest.raises(DataError, match="jobs"):
        measure_run(run, out=tmp_path / "x", jobs=0)


def test_a_job_of_one_thread_begins_no_other(run, tmp_path, monkeypatch):
    both = measure_run(run, out=tmp_path / "two", lc=QUICK, threads=2)
    began = []
    original = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda self: (began.append(self.name), original(self))[1])
    one = measure_run(run, out=tmp_path / "one", lc=QUICK, threads=1)
    assert began == []
    assert [exact(r.row) for r in one] == [exact(r.row) for r in both]
    measure_run(run, out=tmp_path / "again", lc=QUICK, threads=2)
    assert began, "else this test sees nothing"


def test_a_checkpoint_that_fails_is_named_and_the_others_stay(run, tmp_path, monkeypatch, counted):
    state = torch.load(run.checkpoints[2].path, weights_only=True)
    torch.save({key: value * float("inf") for key, value in state.items()}, run.checkpoints[2].path)
    with pytest.raises(CheckpointError, match="step-0000000010.pt: expected finite weights"):
        measure_run(run, out=tmp_path / "out", lc=None)
    assert counted == []  # refused before any work
    monkeypatch.setattr(jobs, "partition", lambda *a, **k: (_ for _ in ()).throw(PlaneError("window: bad")))
    with pytest.raises(PlaneError, match=r"step-0000000000.pt \(step 0\): window: bad"):
        measure_run(run.only([0]), out=tmp_path / "out", lc=None)
    assert json.loads((run.path / "run.json").read_text())["format"] == 1




def test_a_row_of_a_version_with_fewer_columns_is_measured_again(run, counted, tmp_path):
    """Its key is the same: nobody has to remember to change a number when a column is added."""
    out = tmp_path / "out"
    measure_run(run, out=out, lc=QUICK)
    table = (out / "measures.csv").read_bytes()
    row = out / "rows" / "step-0000000001.json"
    stored = files.read_sealed(row)
    del stored["row"]["fragments"]
    files.write_sealed(row, {name: value for name, value in stored.items() if name != "seal"})
    counted.clear()
    measure_run(run, out=out, lc=QUICK)
    assert counted == [1] and (out / "measures.csv").read_bytes() == table


def test_the_audit_of_a_row_with_fewer_columns_notes_it(run, tmp_path):
    out = tmp_path / "out"
    measure_run(run, out=out, lc=QUICK)
    for path in (out / "rows").glob("*.json"):
        stored = files.read_sealed(path)
        del stored["row"]["fragments"]
        files.write_sealed(path, {name: value for name, value in stored.items() if name != "seal"})
    names = (out / "measures.csv").read_text().splitlines()[0].split(",")
    rows = [line.split(",") for line in (out / "measures.csv").read_text().splitlines()]
    kept = [",".join(value for name, value in zip(names, line, strict=True) if name != "fragments") for line in rows]
    (out / "measures.csv").write_text("\n".join(kept) + "\n")
    (out / "manifest.json").unlink()
    found = audit(out)
    assert found.ok and sum("without fragments" in note for note in found.notes) == len(STEPS)
