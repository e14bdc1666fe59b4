"""Churn between checkpoints: it is the measure's, kept by the later of two results, and made anew only where one changed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import STEPS, write_run

from splineviz.errors import PartitionError
from splineviz.geometry.partition import Partition
from splineviz.jobs import churn
from splineviz.jobs.sweep import measure_run
from splineviz.metrics.measures import pattern_churn
from splineviz.metrics.options import LCOptions
from splineviz.regions.enumerate import partition
from splineviz.storage import files
from splineviz.training.runs import Run, open_run

QUICK = LCOptions(num_vectors=2, points=5)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    write_run(tmp_path / "run")
    return open_run(tmp_path / "run")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each churn that was really computed."""
    calls: list[int] = []
    monkeypatch.setattr(churn, "pattern_churn", lambda a, b: calls.append(1) or pattern_churn(a, b))
    return calls


def test_churn_is_the_measure_between_neighbours(run: Run, tmp_path: Path, measured: list[int]) -> None:
    results = measure_run(run, out=tmp_path, lc=QUICK)
    partitions = [Partition.load(r.partition_path) for r in results]
    assert math.isnan(results[0].row["churn"])
    for at in (1, 2):
        assert results[at].row["churn"] == pattern_churn(partitions[at - 1], partitions[at])
    assert 0 < results[2].row["churn"] <= 1 and len(measured) == len(STEPS) - 1
    again = measure_run(run, out=tmp_path, lc=QUICK)
    assert len(measured) == len(STEPS) - 1, "kept"
    assert again[2].row["churn"] == results[2].row["churn"]
    measure_run(run, out=tmp_path, lc=QUICK, steps=[0, 10])
    assert len(measured) == len(STEPS), "another neighbour, one pair"
    (tmp_path / churn.FOLDER / f"{results[2].name}.json").write_text("torn")
    assert measure_run(run, out=tmp_path, lc=QUICK)[2].row["churn"] == results[2].row["churn"]


def test_who_ends_later_makes_it_in_either_order(run: Run, tmp_path: Path, measured: list[int]) -> None:
    results = measure_run(run, out=tmp_path, lc=None)
    paths = [tmp_path / churn.FOLDER / f"{result.name}.json" for result in results]
    assert not paths[0].exists() and all(path.exists() for path in paths[1:])
    one, two, three = (churn.Named(result.name, result.key) for result in results)
    for path in paths[1:]:
        path.unlink()
    churn.settle(tmp_path, two, Partition.load(results[1].partition_path), one, three)
    assert [files.read_sealed(path)["churn"] for path in paths[1:]] == [r.row["churn"] for r in results[1:]]
    assert files.read_sealed(paths[2])["keys"] == [two.key, three.key]


def test_a_neighbour_that_is_not_whole_is_left_alone(run: Run, tmp_path: Path) -> None:
    results = measure_run(run, out=tmp_path, lc=None)
    one, two, three = (churn.Named(result.name, result.key) for result in results)
    for path in (tmp_path / churn.FOLDER).iterdir():
        path.unlink()
    held = Partition.load(results[1].partition_path)
    results[0].partition_path.write_bytes(results[2].partition_path.read_bytes())  # not the one that its row vouches for
    churn.settle(tmp_path, two, held, one, churn.Named(three.name, "another key"))
    churn.settle(tmp_path, two, held, None, churn.Named("none", "there"))
    assert not list((tmp_path / churn.FOLDER).iterdir())
    results[2].partition_path.write_bytes(b"torn")
    with pytest.raises(PartitionError):
        churn.between(tmp_path, two, three, lambda named: Partition.load(tmp_path / "partitions" / f"{named.name}.npz"))


def test_partitions_in_memory_and_on_disk_say_the_same_to_the_bit(run: Run, tmp_path: Path) -> None:
    result = measure_run(run, out=tmp_path, lc=None)[1]
    kept, again = Partition.load(result.partition_path), partition(run.program(run.checkpoints[1]), run.plane())
    assert np.array_equal(kept.areas, again.areas) and np.array_equal(kept.pattern_hash, again.pattern_hash)


def test_crossings_and_units_are_columns(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    run = open_run(tmp_path / "run")
    row = measure_run(run, out=tmp_path, lc=QUICK)[0].row
    program, corners = run.program(run.checkpoints[0]), run.anchors()
    values = [program.preactivations(torch.as_tensor(x).double()[None])[0][0][0] for x in corners]
    changed = sum(int(((a > 0) != (b > 0)).sum()) for a, b in zip(values, values[1:] + values[:1], strict=True))
    assert row["crossings"] == changed, "one hidden layer: every unit crosses a segment at most once"
    assert row["units_live"] + row["units_linear"] + row["units_dead"] == 6
