"""Tours: what they write, what a second call leaves alone, and that each picture is of its own view."""

from __future__ import annotations

import csv
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from pictures import compare
from PIL import Image
from small_runs import network, write_run

from splineviz.drawing.video import read_frame
from splineviz.errors import CheckpointError, DataError
from splineviz.geometry.partition import Partition
from splineviz.storage import files
from splineviz.training.runs import Run, open_run
from splineviz.workflows import views
from splineviz.workflows.tour import Tour, tour


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    write_run(folder)
    return open_run(folder)


def make(run: Run, out: Path, kind: str, **options: object) -> Tour:
    return tour(run, kind, out=out, size=(480, 270), frames=3, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", views.KINDS)
def test_everything_is_written_and_a_second_call_changes_nothing(run, tmp_path, kind):
    way = {"to": (0.1, 0.0)} if kind == "zoom" else {}  # there is no decision boundary to find
    made = make(run, tmp_path, kind, formats=["mp4", "gif"], **way)
    assert made.drawn == 3 and [path.name for path in made.videos] == ["animation.mp4", "animation.gif"]
    with open(made.table) as stream:
        rows = list(csv.DictReader(stream))
    for index, row in enumerate(rows):
        found = Partition.load(tmp_path / "partitions" / f"view-{index:05d}.npz")
        assert int(row["regions"]) == found.num_regions
        assert found.verify(run.program(run.checkpoints[-1])).ok
        with Image.open(made.frames[index]) as image:
            assert image.size == (480, 270)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    again = make(run, tmp_path, kind, formats=["mp4", "gif"], **way)
    assert again.drawn == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before


def test_what_is_broken_is_made_again_and_other_weights_are_another_tour(run, tmp_path):
    made = make(run, tmp_path, "turn")
    path = tmp_path / "partitions" / "view-00001.npz"
    whole = Partition.load(path)
    path.write_bytes(path.read_bytes()[:-100])
    made.frames[0].unlink()
    assert make(run, tmp_path, "turn").drawn == 1
    np.testing.assert_array_equal(Partition.load(path).vertices, whole.vertices)
    assert make(run, tmp_path, "turn", step=0).drawn == 3


def test_another_fill_is_drawn_anew(run, tmp_path):
    make(run, tmp_path, "slide", formats=[])
    for fill in ("class", "active", "lc"):
        made = make(run, tmp_path, "slide", formats=[], fill=fill)
        assert made.drawn == 3


def test_progress_reaches_its_end(run, tmp_path):
    calls: list[tuple[int, int, str]] = []
    make(run, tmp_path, "zoom", formats=[], to=(0.1, 0.0), depth=8.0, progress=lambda *call: calls.append(call))
    assert [done for done, _, _ in calls] == [1, 2, 3, 4, 5, 6] and {total for _, total, _ in calls} == {6}
    assert np.diff([float(text.split()[0]) for _, _, text in calls[3:]]).min() > 0


def test_refusals(run, tmp_path):
    with pytest.raises(DataError, match="one of zoom, turn, slide, got 'fly'"):
        make(run, tmp_path, "fly")
    with pytest.raises(DataError, match="expected none for a turn"):
        make(run, tmp_path, "turn", to=(0.0, 0.0))
    with pytest.raises(DataError, match="that is no anchor, got 1"):
        make(run, tmp_path, "slide", toward=1)
    with pytest.raises(DataError, match="between 0 and 120, got 0"):
        make(run, tmp_path, "turn", fps=0)
    with pytest.raises(CheckpointError):
        make(run, tmp_path, "turn", step=3)


@pytest.mark.parametrize(("kind", "at"), [("zoom", 1), ("turn", 1), ("slide", 2)])
def test_golden_tours(tmp_path, kind, at):
    write_run(tmp_path / "run", model=network(1, hidden=24))
    way = {"depth": 30.0} if kind == "zoom" else {}
    made = tour(open_run(tmp_path / "run"), kind, out=tmp_path, size=(640, 360), frames=3, step=0, formats=[], **way)
    compare(f"tour-{kind}", read_frame(made.frames[at]))


def test_the_film_is_sealed_and_said_in_words(run: Run, tmp_path: Path) -> None:
    made = make(run, tmp_path, "turn", formats=["gif"])
    said = files.read_sealed(tmp_path / "manifest.json")
    assert said["options"]["tour"]["kind"] == "turn"
    assert {"animation.gif", "poster.png", "animation.vtt", "animation.txt", "measures.csv"} <= set(said["files"])
    cues = made.captions.read_text().strip().split("\n\n")[1:]
    assert len(cues) == 3 and "plane turned 50%" in cues[1] and "regions" in cues[1]
    assert "in 3 views, from plane turned 0% to plane turned 100%" in (tmp_path / "animation.txt").read_text()


def test_a_tour_has_no_panels_to_choose(run: Run, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="look: expected some of .*, got panels"):
        make(run, tmp_path, "turn", panels=["accuracy"])
