"""Parallels: films of runs side by side, and of one run's layers."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
import torch
from pictures import compare as same
from PIL import Image
from small_runs import STEPS, network, write_run
from torch import nn

from splineviz.drawing import fills, side_by_side
from splineviz.drawing.video import read_frame
from splineviz.errors import DataError
from splineviz.geometry.partition import Partition
from splineviz.metrics.options import LCOptions
from splineviz.storage import files
from splineviz.training.runs import Run, open_run
from splineviz.workflows.compare import Parallel, compare

OPTIONS = {"size": (640, 360), "lc": LCOptions(points=5, num_vectors=2)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    found = []
    for seed, name in enumerate(("plain", "wide")):
        folder = tmp_path_factory.mktemp("runs") / name
        write_run(folder, model=network(seed, hidden=12 + 12 * seed))
        found.append(open_run(folder))
    return found


def make(runs: list[Run], out: Path, **options: object) -> Parallel:
    return compare(runs, out=out, **{**OPTIONS, **options})  # type: ignore[arg-type]


def test_two_runs_side_by_side(runs, tmp_path):
    made = make(runs, tmp_path)
    assert made.drawn == 3 and [path.stem for path in made.frames] == [f"step-{step:010d}" for step in STEPS]
    assert [path.parent.name for path in made.tables] == ["1-plain", "2-wide"]
    assert all(len(path.read_text().splitlines()) == 1 + len(STEPS) for path in made.tables)
    same("compare", read_frame(made.frames[1]))
    before = {path: path.stat().st_mtime_ns for path in made.frames + made.videos}
    assert make(runs, tmp_path).drawn == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_the_panels_are_those_of_the_runs_and_share_their_colours(runs, tmp_path):
    made = make(runs, tmp_path, formats=[], steps=[0])
    swapped = make(runs[::-1], tmp_path / "swapped", formats=[], steps=[0])
    # Each panel moves to the other place, pixel by pixel: same size, same colours.
    a, b = read_frame(made.frames[0]), read_frame(swapped.frames[0])
    unit = 360 / 1080
    side, gap = 600 * unit, side_by_side.GAP * unit
    left = (640 - 2 * side - gap - side_by_side.BAR * unit) / 2
    top, foot = 360 - 968 * unit, 360 - 368 * unit
    rows = slice(round(top) + 3, round(foot) - 3)

    def panel(picture: np.ndarray, x: float) -> np.ndarray:
        return picture[rows, round(x) + 3 : round(x) + round(side) - 3].astype(int)

    second = left + side + gap
    assert np.abs(panel(a, left) - panel(b, second)).mean() < 1.0
    assert np.abs(panel(a, second) - panel(b, left)).mean() < 1.0
    assert np.abs(panel(a, left) - panel(a, second)).mean() > 3.0


def test_one_run_by_layers(tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(4, 10), nn.ReLU(), nn.Linear(10, 10), nn.ReLU(), nn.Linear(10, 3))
    write_run(tmp_path / "run", model=model)
    made = make([open_run(tmp_path / "run")], tmp_path / "out", layers=True, steps=[0], fill="class", formats=["gif"])
    found = Partition.load(tmp_path / "out" / "partitions" / "step-0000000000.npz")
    assert fills.layer_count(found) == 2
    with Image.open(made.frames[0]) as image:
        assert image.size == (640, 360)
    same("compare-layers", read_frame(made.frames[0]))


def test_panels_stand_below_as_animate_knows_them(runs, tmp_path):
    plain = read_frame(make(runs, tmp_path, formats=[], steps=[1]).frames[0]).astype(int)
    usual = ("accuracy", "complexity", "regions")
    assert make(runs, tmp_path, formats=[], steps=[1], panels=usual).drawn == 0
    made = make(runs, tmp_path, formats=[], steps=[1], panels=("migration", "units"))
    assert made.drawn == 1
    changed = np.abs(read_frame(made.frames[0]).astype(int) - plain).max(axis=(1, 2)) > 0
    assert changed[230:].any() and not changed[:230].any(), "the curves, not the partitions"
    with pytest.raises(DataError, match="panels: expected some of accuracy"):
        make(runs, tmp_path, panels=["loss"])


def test_the_film_is_sealed_and_said_in_words(runs, tmp_path):
    made = make(runs, tmp_path, formats=["gif"])
    said = files.read_sealed(tmp_path / "manifest.json")
    assert said["options"]["comparison"]["titles"] == ["plain", "wide"]
    assert {"animation.gif", "poster.png", "animation.vtt", "animation.txt"} <= set(said["files"])
    cues = made.captions.read_text().strip().split("\n\n")[1:]
    assert len(cues) == len(STEPS) and "Step 10. plain: " in cues[-1] and "; wide: " in cues[-1]
    assert "2 networks, plain, wide," in (tmp_path / "animation.txt").read_text()
    assert made.poster.read_bytes() == made.frames[-1].read_bytes()


def test_names_and_steps(runs, tmp_path):
    made = make(runs, tmp_path, names=["a", "b"], steps=[10, 0], formats=[])
    assert [path.parent.name for path in made.tables] == ["1-a", "2-b"]
    assert [path.stem[-2:] for path in made.frames] == ["00", "10"]


def test_progress_reaches_its_end(runs, tmp_path):
    calls: list[tuple[int, int, str]] = []
    make(runs, tmp_path, formats=[], progress=lambda *call: calls.append(call))
    shares = [done / total for done, total, _ in calls]
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert calls[0][2].startswith("plain: step 0")


@pytest.mark.parametrize(
    ("count", "options", "message"),
    [
        (1, {}, "expected 2 to 4 to compare, got 1"),
        (2, {"layers": True}, "expected one run to take apart, got 2"),
        (2, {"names": ["a"]}, "one for each of the 2 runs, got 1"),
        (2, {"fps": 0}, "between 0 and 120"),
        (2, {"formats": ["avi"]}, "got avi"),
        (2, {"size": (300, 300)}, "width >= 1.75 height"),
    ],
)
def test_refusals(runs, tmp_path, count, options, message):
    with pytest.raises(DataError, match=message):
        make(runs[:count], tmp_path, **options)
