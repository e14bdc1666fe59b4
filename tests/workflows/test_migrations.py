"""Studies of migration end to end on families whose numbers are known: knots that move to the boundary, units that go."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_runs import write_run
from torch import nn

from splineviz.errors import CheckpointError, DataError
from splineviz.geometry.plane import Plane
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


def test_refusals(studied: Path) -> None:
    run, out = open_run(studied / "run"), studied / "out"
    with pytest.raises(CheckpointError, match="got 3; the nearest is 1"):
        study.study(run, ["lineage"], out=out, lc=LC, between=(0, 3))
    with pytest.raises(DataError, match="the earlier first, got 10 and 0"):
        study.study(run, ["lineage"], out=out, lc=LC, between=(10, 0))
    with pytest.raises(DataError, match=r"near: expected a share .* got 2"):
        study.study(run, ["lineage"], out=out, lc=LC, near=2)
