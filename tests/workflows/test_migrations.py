"""Studies of migration end to end on families whose numbers are known: knots that move to the boundary, units that go."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.text import Text
from PIL import Image
from small_runs import write_run
from torch import nn

from splineviz.drawing import migration_plots
from splineviz.errors import CheckpointError, DataError
from splineviz.geometry.plane import Plane
from splineviz.jobs.sweep import random_planes
from splineviz.metrics.options import LCOptions
from splineviz.regions.enumerate import partition
from splineviz.training.runs import open_run
from splineviz.workflows import migrations, study

LC = LCOptions(radius=0.05, num_vectors=2, points=6)
SQUARE = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])


def rows(path: Path) -> list[dict[str, float]]:
    with open(path, newline="") as stream:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]


def lines(places: list[float]) -> nn.Module:
    """Upright knots at the given u (outside the window: none), and the decision boundary u = 0."""
    net = nn.Sequential(nn.Linear(2, len(places) + 1), nn.ReLU(), nn.Linear(len(places) + 1, 2)).double()
    with torch.no_grad():
        net[0].weight.zero_(), net[2].weight.zero_(), net[2].bias.zero_()
        net[0].weight[:, 0] = 1.0
        net[0].bias[:-1] = -torch.tensor(places, dtype=torch.float64)
        net[0].bias[-1] = 10.0
        net[2].weight[0, -1], net[2].bias[0] = 1.0, -10.0
    return net


def cut(places: list[float]):
    return partition(lines(places), Plane(np.zeros(2), np.eye(2), np.array([[0.0, 0], [0.5, 0], [0, 0.5]])), window=SQUARE)


def test_knots_that_translate_and_units_that_are_switched_off_have_closed_forms() -> None:
    """near = 0.1 of a side of 2. Of four lines one moves in, one vanishes inside, one appears there, one is far."""
    before, after = cut([0.5, 0.1, 5.0, 0.8]), cut([0.15, 5.0, 0.05, 0.7])
    found = migrations.fates(before, after, 0.1)
    assert [found[name] for name in ("stay", "vanish", "appear")] == pytest.approx([1.0, -1.0, 1.0], abs=1e-9)
    assert [found[f"{name}_0_units"] for name in ("stay", "vanish", "appear")] == [2, 1, 1]
    assert (found["before"], found["after"]) == pytest.approx((1.0, 2.0), abs=1e-9)
    assert found["area_stayed"] + found["area_died"] == pytest.approx(1.0)
    numbers = migrations.profiles(after, 0.1)
    assert numbers["density_boundary"] == pytest.approx(4.0 / 0.8, abs=1e-9), "two lines in a band of 0.4 by 2"
    assert numbers["ratio_boundary"] == pytest.approx(5.0 / 1.5, abs=1e-9)
    assert 0.3 - 1e-9 <= numbers["distance_ratio_boundary"] <= 1.4 + 1e-9, "half the length of 0.05, 0.15 and 0.7"


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("studied")
    write_run(root / "run")
    study.study(open_run(root / "run"), ["kymograph", "lineage"], out=root / "out", lc=LC, planes=3, near=0.1)
    return root


def test_the_tables_say_what_the_pictures_show(studied: Path) -> None:
    out = studied / "out"
    for name in ("kymograph", "lineage"):
        with Image.open(out / f"{name}.png") as picture:
            assert picture.width >= 1000
    table, steps = rows(out / "kymograph.csv"), rows(out / "kymograph-steps.csv")
    assert len(table) == 3 * 25 and {row["planes"] for row in table} == {3}
    assert table[0]["from"] == 0 and all(row["to"] > row["from"] for row in table)
    assert any(np.isfinite(row["knots_anchors_error"]) for row in table)
    assert [row["step"] for row in steps] == [0, 1, 10] and {row["near"] for row in steps} == {0.1}
    ledger = rows(out / "lineage-ledger.csv")
    assert [row["layer"] for row in ledger] == [0, -1]
    for row in ledger:
        assert row["stay"] + row["vanish"] + row["appear"] == pytest.approx(row["after"] - row["before"], abs=1e-9)
    assert len(rows(out / "lineage-units.csv")) == 6 and len(rows(out / "lineage-regions.csv")) == 1
    measured = rows(out / "measures.csv")
    run = open_run(studied / "run")
    side = np.sqrt(np.prod(np.ptp(partition(run.program(run.checkpoints[0]), run.plane()).window, axis=0)))
    assert measured[0]["near"] == pytest.approx(0.1 * side), "--near reaches the columns"


def test_a_second_call_only_draws(studied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (studied / "out" / "kymograph.csv").read_bytes()
    for slow in ("profiles", "fates"):
        monkeypatch.setattr(migrations, slow, lambda *a: pytest.fail("measured again"))
    study.study(open_run(studied / "run"), ["kymograph", "lineage"], out=studied / "out", lc=LC, planes=3, near=0.1)
    assert before == (studied / "out" / "kymograph.csv").read_bytes()


def test_three_numbers_answer(studied: Path) -> None:
    run = open_run(studied / "run")
    measured = study.measure(run, out=studied / "out", lc=LC, planes=3, near=0.1, between=(0, 10))
    found = migrations.answer(measured)
    assert found["steps"] == (0, 10) and found["planes"] == 3
    before, after, change = found["density"]
    assert change[0] == pytest.approx(after[0] - before[0]) or not np.isfinite([before[0], after[0]]).all()
    assert len(found["moved"]) == 2


def test_a_plane_without_a_boundary_at_one_step_has_no_ledger() -> None:
    """Knots do not come near a boundary that was not in view before: no length near it is compared, its regions are."""
    before, after = cut([0.5, 0.1]), cut([0.15, 0.05])
    beside = partition(lines([0.5, 0.1]), before.plane, window=SQUARE + [3.0, 0.0])
    assert len(before.decision_boundary()) and not len(beside.decision_boundary())
    for pair in ((beside, beside), (cut([0.5, 0.1]), after)):
        found = migrations.fates(*pair, 0.1)
        seen = bool(len(pair[0].decision_boundary()))
        for name in ("stay", "vanish", "appear", "before", "after", "stay_0", "before_0"):
            assert np.isfinite(found[name]) == seen, name
        assert found["area_stayed"] + found["area_died"] == pytest.approx(1.0)
    table = migrations._ledger_table([migrations.fates(before, after, 0.1), migrations.fates(beside, beside, 0.1)], 1)
    assert [row["planes"] for row in table] == [1, 1] and all(np.isfinite(row["stay"]) for row in table)


def test_a_ledger_of_no_plane_is_drawn_and_says_so() -> None:
    beside = partition(lines([0.5, 0.1]), cut([0.5]).plane, window=SQUARE + [3.0, 0.0])
    units = len(lines([0.5, 0.1])[0].bias)
    table = [{"step": float(step), "distance_0": np.nan} for step in (0, 10)]
    ledger = migrations._ledger_table([migrations.fates(beside, beside, 0.1)], 1)
    trails = migration_plots.Trails(
        beside, ("0",), [], np.array([0.0, 10.0]), np.full((2, units), np.nan), np.zeros(units, int), (0, 10), 0.1, 0, 0
    )
    regions = {f"{kind}_{name}": 0.0 for kind in ("regions", "area") for name in ("stayed", "died", "born")}
    figure = migration_plots.lineage(trails, table, ledger, regions)
    figure.canvas.draw()
    said = " ".join(text.get_text() for text in figure.findobj(Text))
    assert "the 0 units" not in said and "nan" not in said.lower()
    assert "no plane has a decision boundary in view at both" in said and "no unit to follow" in said


def test_one_checkpoint_has_a_kymograph_and_no_lineage(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    run, out = open_run(tmp_path / "run"), tmp_path / "out"
    with pytest.raises(DataError, match="lineage: expected two checkpoints to compare, got one, of step 10"):
        study.study(run, ["lineage"], out=out, lc=LC, steps=[10])
    assert not out.exists(), "refused before anything is measured"
    with pytest.raises(DataError, match="expected two checkpoints to compare"):
        migrations.answer(study.measure(run, out=tmp_path / "one", lc=LC, planes=1, steps=[10]))
    (picture, *_) = study.study(run, ["kymograph"], out=tmp_path / "one", lc=LC, planes=1, steps=[10])
    assert picture.exists()
    assert "lineage" in study._all(run) and "lineage" not in study._all(run.only([10]))


WRONG = [{"between": (0, 3)}, {"between": (10, 0)}, {"planes": 10_000}, {"planes": 0}, {"near": 2}]


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_is_refused_before_anything_is_measured(tmp_path: Path, wrong: dict[str, Any]) -> None:
    write_run(tmp_path / "run")
    with pytest.raises((CheckpointError, DataError), match=r"expected .* got "):
        study.study(open_run(tmp_path / "run"), ["kymograph"], out=tmp_path / "out", lc=LC, **wrong)
    assert not list((tmp_path / "out").glob("partitions/*"))


def test_no_plane_is_taken_twice(tmp_path: Path) -> None:
    """Twice the same three samples are one plane, in whatever order: counted twice, errors would be too small."""
    write_run(tmp_path / "run")
    run = open_run(tmp_path / "run")
    few = replace(run, data=replace(run.data, train_x=run.train_x[:5], train_y=run.train_y[:5]))
    for seed in range(5):
        found = random_planes(few, 9, seed)
        assert len({frozenset(anchors) for anchors in found}) == 9
    with pytest.raises(DataError, match="expected 11 planes .* got 5 samples, which span at most 10"):
        random_planes(few, 11)


def test_refusals(studied: Path) -> None:
    run, out = open_run(studied / "run"), studied / "out"
    with pytest.raises(CheckpointError, match="got 3; the nearest is 1"):
        study.study(run, ["lineage"], out=out, lc=LC, between=(0, 3))
    with pytest.raises(DataError, match="the earlier first, got 10 and 0"):
        study.study(run, ["lineage"], out=out, lc=LC, between=(10, 0))
    with pytest.raises(DataError, match=r"near: expected a share .* got 2"):
        study.study(run, ["lineage"], out=out, lc=LC, near=2)
