"""Runs that diverged, or have a file that cannot be read: comparisons, tours and studies of the rest, and one line."""

from __future__ import annotations

import warnings
from pathlib import Path
from unittest import mock

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
import torch
from small_runs import network, write_run

from splineviz.drawing import curves, side_by_side
from splineviz.errors import CheckpointError, DataError
from splineviz.metrics.options import LCOptions
from splineviz.training.runs import Run, open_run
from splineviz.workflows import study, unread
from splineviz.workflows.compare import compare
from splineviz.workflows.tour import tour

LC = LCOptions(radius=0.05, num_vectors=2, points=5)


def spoil(run: Run, how: str, *steps: int) -> None:
    for checkpoint in run.checkpoints:
        if checkpoint.step in steps and how == "torn":
            checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:200])
        elif checkpoint.step in steps:
            torch.save({key: value * float("nan") for key, value in run.state(checkpoint).items()}, checkpoint.path)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    write_run(tmp_path / "run")
    return open_run(tmp_path / "run")


@pytest.mark.parametrize("how", ["diverged", "torn"])
def test_a_comparison_is_of_the_steps_that_all_can_show(run: Run, tmp_path: Path, how: str) -> None:
    write_run(tmp_path / "wide", model=network(1, hidden=12))
    wide = open_run(tmp_path / "wide")
    spoil(run, how, 10)
    options = {"lc": LC, "size": (640, 360), "formats": []}
    marks = mock.Mock(wraps=side_by_side.mark_missing)
    with pytest.warns(RuntimeWarning, match=r"splineviz: run: step 10 cannot be drawn; the film is of the other 2") as said:
        with mock.patch.object(side_by_side, "mark_missing", marks):
            made = compare([run, wide], out=tmp_path / "out", **options)  # type: ignore[arg-type]
    assert len(said) == 1 and "\n" not in str(said[0].message)
    assert [path.stem for path in made.frames] == ["step-0000000000", "step-0000000001"] and list(made.unread) == [10]
    assert marks.call_args_list and all(call.args[1] == (10,) for call in marks.call_args_list)
    with pytest.raises(CheckpointError):
        compare([run, wide], out=tmp_path / "strict", strict=True, **options)  # type: ignore[arg-type]
    spoil(wide, how, 0, 1)
    with pytest.warns(RuntimeWarning, match="cannot be drawn"), pytest.raises(DataError, match="all of them can be read"):
        compare([run, wide], out=tmp_path / "none", **options)  # type: ignore[arg-type]


def test_layers_of_a_run_that_diverged(run: Run, tmp_path: Path) -> None:
    spoil(run, "diverged", 1, 10)
    with pytest.warns(RuntimeWarning, match=r"step 1 cannot be drawn, nor can 1 more; the film is of the other 1 "):
        made = compare([run], layers=True, out=tmp_path / "out", lc=LC, size=(640, 360), formats=[])
    assert [path.stem for path in made.frames] == ["step-0000000000"]


@pytest.mark.parametrize("how", ["diverged", "torn"])
def test_a_tour_is_of_the_last_step_that_can_be_read(run: Run, tmp_path: Path, how: str) -> None:
    spoil(run, how, 1, 10)
    options = {"size": (480, 270), "frames": 2, "formats": []}
    with pytest.warns(RuntimeWarning, match=r"step 10 cannot be drawn; the tour is of step 0, the last that can") as said:
        made = tour(run, "turn", out=tmp_path / "out", **options)  # type: ignore[arg-type]
    assert len(said) == 1 and "\n" not in str(said[0].message) and made.drawn == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tour(run, "turn", step=0, out=tmp_path / "out", **options).drawn == 0  # type: ignore[arg-type]
    with pytest.raises(CheckpointError):  # that step was asked for
        tour(run, "turn", step=10, out=tmp_path / "out", **options)  # type: ignore[arg-type]
    spoil(run, "torn", 0)
    with pytest.raises(CheckpointError, match="step-0000000010"):
        tour(run, "turn", out=tmp_path / "none", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("how", "bad", "kept"), [("diverged", (10,), [0, 1]), ("torn", (0,), [1, 10])])
def test_a_study_is_of_the_rest_and_marks_the_steps(
    run: Run, tmp_path: Path, how: str, bad: tuple[int, ...], kept: list[int]
) -> None:
    spoil(run, how, *bad)
    figures = []
    save = study.save
    with (
        pytest.warns(RuntimeWarning, match=f"step {bad[0]} cannot be drawn; the study is of the other 2") as said,
        mock.patch.object(study, "save", lambda *words: (figures.append(words[2:3]), save(*words))[1]),
    ):
        study.study(run, ["migration", "layers"], out=tmp_path / "out", lc=LC, window=1.0)
    assert len(said) == 1
    lines = (tmp_path / "out" / "migration.csv").read_text().splitlines()[1:]
    assert [int(float(line.split(",")[0])) for line in lines] == kept
    (migration,), (layers,) = figures
    marked = [ax for ax in migration.axes if any(line.get_marker() == "x" for line in ax.lines)]
    assert len(marked) == 6 and not [ax for ax in layers.axes if ax.get_label() == curves.STEPS]
    for ax in marked:
        (place,) = [float(line.get_xdata()[0]) for line in ax.lines if line.get_marker() == "x"]
        assert place == bad[0] and ax.get_xlim()[0] <= place <= ax.get_xlim()[1]
        assert np.isfinite(ax.transData.transform((place, ax.get_ylim()[0]))).all()
    with pytest.raises(CheckpointError):
        study.study(run, ["layers"], out=tmp_path / "strict", lc=LC, window=1.0, strict=True)


def test_what_is_whole_is_not_spoken_of(run: Run) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert unread.without(run, {}) is run and unread.last_readable(run, "the tour is") is run.checkpoints[-1]
