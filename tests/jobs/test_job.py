"""Rows: the numbers of a small run stand here, so that nobody has to remember to raise FORMAT when they change."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from small_runs import network, write_run
from small_sweeps import QUICK

from splineviz.errors import DataError
from splineviz.geometry.partition import Partition
from splineviz.jobs import job
from splineviz.jobs.sweep import measure_run
from splineviz.metrics import measures
from splineviz.metrics.options import LCOptions
from splineviz.training.runs import open_run

GOLDEN = Path(__file__).parents[1] / "golden"
SEED = 1


def test_other_numbers_are_another_format(tmp_path: Path) -> None:
    """A column that is new is none of another format; a number that is another one is.

    SPLINEVIZ_REFRESH=1 writes the file of a new format, and the new columns of an old one.
    """
    write_run(tmp_path / "run", model=network(SEED, hidden=24))
    lc = LCOptions(radius=0.1, num_vectors=3, points=12)
    row = measure_run(open_run(tmp_path / "run"), out=tmp_path / "out", lc=lc, window=3.0)[1].row
    golden = GOLDEN / f"row-format-{job.FORMAT}.json"
    known = json.loads(golden.read_text()) if golden.is_file() else {}
    same = {name: row.get(name) == pytest.approx(value, rel=1e-9, nan_ok=True) for name, value in known.items()}
    changed = {name: (known[name], row.get(name)) for name in known if not same[name]}
    assert not changed, "rows of before would be taken for these: raise jobs.job.FORMAT, then SPLINEVIZ_REFRESH=1"
    if os.environ.get("SPLINEVIZ_REFRESH"):
        golden.write_text(json.dumps({**row, **known}, indent=1) + "\n")
        known = json.loads(golden.read_text())
    assert set(known) == set(row), "a new column: SPLINEVIZ_REFRESH=1 writes it down"


def test_a_row_has_all_columns(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    row = measure_run(open_run(tmp_path / "run"), out=tmp_path / "out", lc=QUICK)[1].row
    assert tuple(row) == job.COLUMNS and row["regions"] >= 1 and row["boundary_length"] >= 0


def test_both_radii_are_in_one_row(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    run = open_run(tmp_path / "run")
    both = measure_run(run, out=tmp_path / "both", lc=LCOptions(radius=0.1, num_vectors=2, points=9, wide=0.4))[1].row
    wide = measure_run(run, out=tmp_path / "wide", lc=LCOptions(radius=0.4, num_vectors=2, points=9, wide=0.4))[1].row
    for name in ("train", "train_band", "test", "random"):
        assert both[f"lc_wide_{name}"] == wide[f"lc_{name}"] or np.isnan([both[f"lc_wide_{name}"], wide[f"lc_{name}"]]).all()
        assert np.isnan(wide[f"lc_wide_{name}"]), "the second is the first"
    assert both["lc_wide_random"] > both["lc_random"]


def test_accuracy_under_attack_is_what_the_training_recorded(tmp_path: Path) -> None:
    write_run(tmp_path / "run", further={"robust_0.03": 0.625})
    row = measure_run(open_run(tmp_path / "run"), out=tmp_path / "out", lc=None)[1].row
    assert row["robust_0.03"] == 0.625 and np.isnan(row["robust_0.1"])


def test_what_is_near_is_a_share_of_the_windows_side(tmp_path: Path) -> None:
    """measures.csv says the distance, and its columns are those at that distance; another is another job."""
    write_run(tmp_path / "run", model=network(SEED, hidden=24))
    run = open_run(tmp_path / "run")
    made = {near: measure_run(run, out=tmp_path / "out", lc=None, window=1.5, near=near)[1] for near in (None, 0.05, 0.2)}
    assert len({one.key for one in made.values()}) == 3
    for near, one in made.items():
        assert one.row["near"] == pytest.approx((measures.NEAR if near is None else near) * 3.0)
        moved = measures.migration(Partition.load(one.partition_path), near=one.row["near"])
        assert one.row["knot_density_boundary"] == pytest.approx(moved.boundary.density, nan_ok=True)
        assert one.row["knot_ratio_anchors"] == pytest.approx(moved.ratio("anchors"), nan_ok=True)
    for wrong in (0.0, -0.1, 1.5):
        with pytest.raises(DataError, match="near: expected a share of the window's side, above 0 and at most 1"):
            measure_run(run, out=tmp_path / "wrong", lc=None, near=wrong)
