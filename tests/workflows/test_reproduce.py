"""Reproductions in tiny settings: what is trained, what the tables say, that runs are shared and kept."""

from __future__ import annotations

import csv
import math
import os
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import write_run

from splineviz.errors import DataError
from splineviz.training import recipes
from splineviz.training.architectures import mlp
from splineviz.training.runs import open_run
from splineviz.workflows import reproduce as reproductions
from splineviz.workflows import settings, study
from splineviz.workflows.measured import bootstrap_band
from splineviz.workflows.reproduce import REPRODUCTIONS, Reproduction, reproduce

MOONS = recipes.RECIPES["two-moons"]
SMALL = replace(MOONS, network=partial(mlp, (2, 6, 6, 2)))


def rows(path: Path) -> list[dict[str, float]]:
    with open(path, newline="") as stream:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same figures about a network that trains in a second."""
    for name, entry in REPRODUCTIONS.items():
        if entry.study and entry.study != "relief":
            monkeypatch.setitem(REPRODUCTIONS, name, replace(entry, runs={"moons": SMALL}))


def test_every_setting_is_what_its_figure_says() -> None:
    widths = {
        label: [m.out_features for m in recipe.network() if isinstance(m, torch.nn.Linear)]
        for name in ("fig10", "fig14") for label, recipe in REPRODUCTIONS[name].runs.items()
    }  # fmt: skip
    assert widths["depth-2"] == [200, 10] and widths["depth-6"] == [200] * 5 + [10]
    assert widths["width-20"] == [20, 20, 20, 10] and widths["mnist-mlp"] == [200, 200, 200, 10]
    assert [r.random_labels for r in REPRODUCTIONS["fig13"].runs.values()] == [0.0, 0.25, 0.5, 1.0]
    largest = [
        float(REPRODUCTIONS[name].runs[label].network()[1].weight.detach().abs().max())
        for name, label in (("fig2", "mnist-mlp"), ("fig7", "mnist-x8"))
    ]
    assert largest[1] == pytest.approx(8 * largest[0], rel=0.01)


@pytest.mark.usefixtures("tiny")
def test_figures_about_one_run_share_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"out": tmp_path, "quick": True, "steps": 60}
    written = reproduce("fig2", **settings)
    assert [p.name for p in written] == ["fig2.png", "fig2.csv", "fig2-phases.csv"]
    table = rows(tmp_path / "fig2.csv")
    assert table[0]["step"] == 0 and table[-1]["step"] == 60 and len(table) == 8
    assert table[-1]["test_accuracy"] > table[0]["test_accuracy"]
    assert all(row["robust_0.03"] >= row["robust_0.2"] for row in table)
    phases = rows(tmp_path / "fig2-phases.csv")
    assert [row["paper_step"] for row in phases] == [0, 25, 670, 100_000]
    assert phases[0]["lc_train"] == table[0]["lc_train"] and phases[3]["lc_train"] == table[-1]["lc_train"]
    monkeypatch.setattr(recipes, "train", lambda *a, **k: pytest.fail("trained again"))
    for name in ("fig24", "fig25", "fig26", "migration"):
        assert [p.name for p in reproduce(name, **settings)] == [f"{name}.png", f"{name}.csv"]
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["moons-60"]
    assert rows(tmp_path / "migration.csv")[-1]["churn"] > 0
    assert all(row["exact_0.05"] >= row["sampled_0.05"] for row in rows(tmp_path / "fig25.csv"))


@pytest.mark.usefixtures("tiny")
def test_what_needs_no_slice_and_what_shows_where_a_radius_is_too_large(tmp_path: Path) -> None:
    assert [p.name for p in reproduce("fig1", out=tmp_path, quick=True, steps=20)] == ["fig1.png", "fig1.csv"]
    table = rows(tmp_path / "fig1.csv")
    assert table[-1]["step"] == 20 and all(row["robust_alone_0.03"] >= row["robust_0.03"] for row in table)
    assert all(row[name] > 0 for row in table for name in ("weight_norm", "logit_norm", "gradient_complexity", "units_live"))
    assert not (tmp_path / "measured" / "moons-20" / "partitions").exists()
    reproduce("fig5", out=tmp_path, quick=True, steps=20)
    assert {"eccentricity_0", "eccentricity_1", "radius"} <= set(rows(tmp_path / "fig5.csv")[0])


def test_a_run_of_ones_own(tmp_path: Path) -> None:
    write_run(tmp_path / "mine")
    reproduce("fig24", out=tmp_path, run=open_run(tmp_path / "mine"), quick=True)
    assert (tmp_path / "measured" / "mine" / "measures.csv").exists() and not (tmp_path / "runs").exists()


def test_an_affine_spline_from_the_plane_to_the_line(tmp_path: Path) -> None:
    reproduce("fig3", out=tmp_path, steps=100)
    table = rows(tmp_path / "fig3.csv")
    assert all(row["regions"] > 100 for row in table)
    assert table[-1]["test_loss"] < table[0]["test_loss"]


def test_a_comparison_of_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wide, smooth = partial(mlp, (2, 30, 30, 2)), partial(mlp, (2, 6, 6, 2), activation="gelu")
    runs = {
        "width-6": SMALL, "width-30": replace(SMALL, network=wide), "width-7": replace(SMALL, network=smooth)
    }  # fmt: skip
    entry = Reproduction("none", "widths", runs, labels="width", quick=30, radius=0.5, smooth=("width-7",))
    monkeypatch.setitem(REPRODUCTIONS, "figx", entry)
    reproduce("figx", out=tmp_path, quick=True)
    table = rows(tmp_path / "figx.csv")
    first = [row for row in table if row["step"] == 0]
    assert [row["run"] for row in first] == [0, 1, 2]
    assert first[1]["lc_train"] > first[0]["lc_train"], "five times the units, more of them near a point"
    assert all(math.isfinite(row["lc_random_band"]) for row in table)
    before = (tmp_path / "figx.csv").read_text()
    monkeypatch.setattr(recipes, "follow", lambda *a, **k: pytest.fail("trained again"))
    reproduce("figx", out=tmp_path, quick=True)
    assert (tmp_path / "figx.csv").read_text() == before


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected one of fig1, .*, got 'fig9'"):
        reproduce("fig9", out=tmp_path)
    with pytest.raises(DataError, match=r"expected CIFAR-10's folder for fig1 \(--data DIR\), got none; --quick"):
        reproduce("fig1", out=tmp_path)
    with pytest.raises(DataError, match="expected none for fig2, .* it is for fig1"):
        reproduce("fig2", out=tmp_path, data="mnist")
    write_run(tmp_path / "mine")
    with pytest.raises(DataError, match="fig10, which compares 5 runs"):
        reproduce("fig10", out=tmp_path, run=open_run(tmp_path / "mine"))
    with pytest.raises(DataError, match=r"inputs of shape \(2,\) for fig3, got \(2, 2\)"):
        reproduce("fig3", out=tmp_path, run=open_run(tmp_path / "mine"))
    assert np.isfinite(reproductions.PAPER_PHASES).all()


def test_a_band_over_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Curves are means over the runs that each seed trains, their bands standard deviations, and the figure says both."""
    notes: list[str] = []
    usual = study.save
    monkeypatch.setattr(study, "save", lambda target, table, figure=None, note="": (
        notes.append(note), usual(target, table, figure, note))[1])  # fmt: skip
    monkeypatch.setitem(REPRODUCTIONS, "figx", Reproduction("none", "", {"moons": SMALL}, "migration", quick=8))
    monkeypatch.setitem(settings.DIFFERS, "figx", "two half circles (paper: digits)")
    reproduce("figx", out=tmp_path, quick=True, seeds=3)
    each = [rows(tmp_path / "measured" / f"moons-8{more}" / "measures.csv") for more in ("", "-seed-1", "-seed-2")]
    for i, row in enumerate(rows(tmp_path / "figx.csv")):
        for name in ("regions", "lc_train", "test_accuracy"):
            values = [table[i][name] for table in each]
            assert row[name] == pytest.approx(np.mean(values))
            assert row[f"{name}_band"] == pytest.approx(np.std(values, ddof=1))
    assert notes == [
        "Differs from the paper: two half circles (paper: digits). A first look: few steps, checkpoints and points. "
        "Mean and standard deviation of 3 seeds (0 to 2)."
    ]
    with pytest.raises(DataError, match="seeds: expected 1 for fig24, which shows one network"):
        reproduce("fig24", out=tmp_path, quick=True, seeds=2)
    with pytest.raises(DataError, match="seeds: expected 1 or more, and 1 for a run of your own, got 0"):
        reproduce("fig2", out=tmp_path, quick=True, seeds=0)


def test_every_figure_says_in_what_it_differs() -> None:
    """One table, on the figures and in the docs; a user's own run differs in everything, and nothing is said of it."""
    assert set(settings.DIFFERS) == set(REPRODUCTIONS) and set(settings.SMALL) <= set(REPRODUCTIONS)
    page = Path(__file__).parents[2] / "docs" / "paper.md"
    if os.environ.get("SPLINEVIZ_REFRESH"):
        text = page.read_text()
        found = re.search(r"^\| name \| what differs .*?\n(?!\|)", text, re.MULTILINE | re.DOTALL)
        assert found is not None
        page.write_text(text.replace(found[0], settings.as_markdown()))
    assert settings.as_markdown() in page.read_text()
    assert settings.note("fig26", own=True) == "" and "bootstrap" in settings.note("fig26")


@pytest.mark.parametrize(("skew", "least"), [(0.0, 0.97), (0.5, 0.96), (1.0, 0.95), (1.3, 0.93)])
def test_the_band_of_few_counts_holds_their_mean(skew: float, least: float) -> None:
    """99% bands of 24 values, 400 sets of them: which hold the mean, and more often than the normal band where skewed.

    The standard deviation of lognormal values is 0.5, 1.3 and 2.1 times their mean; of regions in squares 0.8 to 1.8 times.
    """
    rng = np.random.default_rng(3)
    sets = np.exp(skew * rng.standard_normal((400, 24))) if skew else rng.normal(5.0, 1.0, (400, 24))
    away = np.abs(sets.mean(axis=1) - (np.exp(skew**2 / 2) if skew else 5.0))
    held = np.mean([one <= bootstrap_band(values, 400) for one, values in zip(away, sets, strict=True)])
    normal = np.mean(away <= 2.576 * sets.std(axis=1, ddof=1) / np.sqrt(24))
    assert held >= least and held >= normal - 0.005 and (skew < 1.0 or held > normal + 0.03)
    assert np.isnan(bootstrap_band(np.ones(1))) and bootstrap_band(np.ones(9)) == 0.0
