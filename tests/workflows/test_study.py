"""Studies of a small run: what is written, what the tables say, and where the ascent is seen to end."""

from __future__ import annotations

import csv
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_runs import STEPS, write_run
from torch import nn

from splineviz.errors import DataError
from splineviz.geometry.boundary import distances
from splineviz.metrics.options import LCOptions
from splineviz.metrics.robustness import EPS
from splineviz.regions.enumerate import partition
from splineviz.training.runs import open_run
from splineviz.workflows import deformed, study

LC = LCOptions(radius=0.05, num_vectors=2, points=6)


def rows(path: Path) -> list[dict[str, float]]:
    with open(path, newline="") as stream:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]


def test_every_study_writes_its_table_and_its_picture(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    out = tmp_path / "out"
    written = study.study(open_run(tmp_path / "run"), out=out, window=1.0, lc=LC, points=40, squares=3, attack_steps=2)
    expected = [f"{name}.{end}" for name in study.STUDIES for end in ("png", "csv")]
    assert [path.name for path in written if path.name in expected] == expected
    further = [path for path in written if path.name not in expected]
    assert all(path.name.split("-")[0] in study.STUDIES and path.suffix == ".csv" for path in further)
    for path in (path for path in written if path.suffix == ".png"):
        with Image.open(path) as picture:
            # one column per layer, so a network of one layer makes a narrow picture
            assert picture.width >= 500 and len(np.unique(np.asarray(picture.convert("L").resize((64, 64))))) > 5
    dynamics = rows(out / "dynamics.csv")
    assert [row["step"] for row in dynamics] == list(STEPS)
    for row in dynamics:
        attacks = [row[f"robust_{eps:g}"] for eps in EPS]
        assert attacks == sorted(attacks, reverse=True) and all(0 <= share <= 1 for share in attacks)
    for row in rows(out / "exact.csv"):
        for radius in study.RADII:
            assert row[f"exact_{radius:g}"] >= row[f"sampled_{radius:g}"] >= 0
        assert row["exact_0.2"] >= row["exact_0.005"]
    for row in rows(out / "windows.csv"):
        assert row["side"] == pytest.approx(0.05 * 2.0)
    layers = rows(out / "layers.csv")
    knots = [row["knot_density"] for row in rows(out / "migration.csv")]
    assert [row["length_0"] / 4.0 for row in layers] == pytest.approx(knots), "one layer, a window of area 4"
    bent = rows(out / "deformation.csv")
    assert all(row["diameter_0"] >= row["eccentricity_0"] > 0 for row in bent)
    first = [row["diameter_0"] for row in bent if row["step"] == STEPS[0]]
    assert first == pytest.approx([first[0]] * 17, rel=1e-6), "before the first kink all is affine"
    heat = rows(out / "heat.csv")
    assert sum(row["density"] for row in heat) > 0
    assert len(heat) == 48 * 48 and all(row["exact"] >= row["sampled"] for row in heat)
    assert sum(row["exact"] for row in heat) > 0
    assert "knot_ratio_boundary" in rows(out / "migration.csv")[0]


def test_the_peak_ends_the_ascent() -> None:
    def table(*values: float) -> list[dict[str, float]]:
        return [{"lc_train": value} for value in values]

    assert study.peak(table(4.9, 1.7, 3.0, 4.0, 2.0, 0.5)) == 3
    assert study.peak(table(0.1, 1.7, 3.0, 4.0, 2.0)) == 3
    assert study.peak(table(5.0, 4.0, 3.0)) == 0
    assert study.peak(table(np.nan, 1.0, 2.0)) == 0


def test_two_moments_are_shown_even_where_training_stops_at_the_peak() -> None:
    def table(*values: float) -> list[dict[str, float]]:
        return [{"lc_train": value} for value in values]

    assert study.moments(table(4.9, 1.7, 3.0, 4.0, 2.0, 0.5)) == (3, 5)
    assert study.moments(table(4.9, 1.7, 3.0, 4.0)) == (1, 3)
    assert study.moments(table(5.0, 4.0, 3.0)) == (0, 2)


def test_a_curve_without_rise_or_fall_has_no_phases() -> None:
    assert study.phases([{"lc_train": value} for value in (4.9, 1.7, 3.0, 4.0, 2.0, 0.5)]) == (1, 3)
    assert study.phases([{"lc_train": value} for value in (5.0, 4.0, 3.0)]) is None


def test_squares_lie_at_the_boundary_and_away_from_it(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    run = open_run(tmp_path / "run")
    part = partition(run.program(run.checkpoints[0]), run.plane(), window=4.0)
    line = part.decision_boundary()
    assert len(line)
    near, away, side = study.squares(part, 12)
    assert side == pytest.approx(0.05 * 8.0) and len(near) == 12 and len(away) > 0
    assert distances(near, line).max() < 1e-9
    assert distances(away, line).min() >= 2 * side
    for centres in (near, away):
        assert (np.abs(centres - part.window.mean(axis=0)) <= 4.0 - side / 2).all(), "the window holds them"
    nothing = replace(part, outputs=0 * part.outputs + [1.0, 0, 0])
    near, away, side = study.squares(nothing, 12)
    assert len(near) == len(away) == 0


def test_a_second_call_only_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "run")
    settings = {"out": tmp_path / "out", "window": 1.0, "lc": LC, "points": 10, "squares": 2, "attack_steps": 1}
    names = ["dynamics", "exact", "windows"]
    study.study(open_run(tmp_path / "run"), names, **settings)
    before = [(tmp_path / "out" / f"{name}.csv").read_text() for name in names]
    for slow in ("attacked", "_counted", "enumerated"):
        monkeypatch.setattr(study, slow, lambda *a, **k: pytest.fail("measured again"))
    study.study(open_run(tmp_path / "run"), names, **settings)
    assert before == [(tmp_path / "out" / f"{name}.csv").read_text() for name in names]


def test_refusals(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    run = open_run(tmp_path / "run")
    with pytest.raises(DataError, match="expected some of curves, dynamics, migration, .*, deformation, got fig9"):
        study.study(run, ["fig9"], out=tmp_path / "out")
    with pytest.raises(DataError, match=r"window: expected one wider than 0\.8"):
        study.study(run, ["exact"], out=tmp_path / "out", window=0.2, lc=LC)


def test_a_radius_that_deforms_its_neighbourhoods_is_warned_of(tmp_path: Path) -> None:
    torch.manual_seed(0)
    write_run(tmp_path / "run", model=nn.Sequential(nn.Flatten(), nn.Linear(4, 30), nn.ReLU(), nn.Linear(30, 30), nn.ReLU(),
                                                    nn.Linear(30, 3)))  # fmt: skip
    run = open_run(tmp_path / "run")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        deformed.deformed(run, (0,), replace(LC, radius=1e-4))
    with pytest.warns(RuntimeWarning, match=r"r = 10 are deformed by \d+% in layer 1, .* up to r"):
        table, paths = deformed.deformed(run, (0,), replace(LC, radius=10.0))
    assert paths == ("2", "4") and len(table) == 17
    fine = [r["radius"] for r in table if abs(r["eccentricity_1"] / table[0]["eccentricity_1"] - 1) <= deformed.BENT]
    assert table[0]["radius"] in fine and 10.0 not in fine
