"""Tables: what the columns of a table of measures are about, and the same numbers as one tidy table.

    measures.csv      a row a checkpoint:      step, regions, ..., lc_train, lc_train_band, ..., knot_ratio_boundary, ...
    tidy              a row a number:          step, set, measure, value, unit

A set is what is measured: training, test or random points, the window of the slice, what lies near the anchors or near
the decision boundary. docs/measures.md has the definition of every measure. This room measures nothing.
"""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from splineviz.errors import DataError

LENGTH, PER_LENGTH, AREA = "input-space length", "1 / input-space length", "input-space length^2"
PER_AREA = "output / input-space length^2"

LABELS = ("step", "run", "anchors", "window")
"""Columns that say which row it is; they are kept as they are."""


@dataclass(frozen=True)
class Meaning:
    """What a column is about: the set, the measure, and its unit ("" for a pure number)."""

    set: str
    measure: str
    unit: str


_FIXED = {
    "regions": Meaning("window", "regions", "regions"),
    "slice_exact": Meaning("window", "slice_exact", "units"),
    "slice_exact_band": Meaning("window", "slice_exact_band", "units"),
    "slice_sampled": Meaning("window", "slice_sampled", "units"),
    "slice_sampled_band": Meaning("window", "slice_sampled_band", "units"),
    "boundary_length": Meaning("window", "boundary_length", LENGTH),
    "near": Meaning("window", "near", LENGTH),
    "margin_boundary": Meaning("anchors", "margin_boundary", LENGTH),
    "margin_knot": Meaning("anchors", "margin_knot", LENGTH),
    "area_median": Meaning("window", "area_median", AREA),
    "eccentricity_median": Meaning("window", "eccentricity_median", ""),
    "corners_mean": Meaning("window", "corners_mean", "corners"),
    "fragments": Meaning("window", "fragments", "parts"),
    "kinking_units": Meaning("window", "kinking_units", "units"),
    "crossings": Meaning("anchors", "crossings", "knots"),
    "churn": Meaning("window", "churn", ""),
}
_PATTERNS = (
    (r"(train|test)_(accuracy)", 1, 2, ""),
    (r"lc_(train|test|random)((?:_band|_live)?)", 1, None, "units"),
    (r"(knot_density)(?:_(anchors|boundary))?", 2, 1, PER_LENGTH),
    (r"(knot_ratio)_(anchors|boundary)", 2, 1, ""),
    (r"(variation_density)(?:_(anchors|boundary))?", 2, 1, PER_AREA),
    (r"(variation_ratio)_(anchors|boundary)", 2, 1, ""),
    (r"(units_(?:live|linear|dead))()", None, 1, "units"),
    (r"(robust_[\d.e-]+)()", -1, 1, ""),
)


def meaning(column: str) -> Meaning:
    """What a column of measures.csv is about; one that is not known (a metric that you recorded) is of the set "run"."""
    if column in _FIXED:
        return _FIXED[column]
    for pattern, where, what, unit in _PATTERNS:
        if (found := re.fullmatch(pattern, column)) is None:
            continue
        if column.startswith("lc_"):
            return Meaning(found[1], f"lc{found[2]}", unit)
        if where is None or where < 0:
            return Meaning("test" if where else "train", found[1], unit)
        return Meaning(found[where] or "window", found[what or 1], unit)
    return Meaning("run", column, "")


def tidy(table: str | os.PathLike[str] | Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for every number of a table: step (and run, anchors, window if it has them), set, measure, value, unit.

    table: the path of a measures.csv, sweep.csv or a study's table, or its rows. Numbers that are not available (NaN) are
    left out. `pandas.DataFrame(tidy("out/measures.csv"))` is the tidy table.
    Raises DataError when a file has no column `step`.
    """
    if isinstance(table, (str, os.PathLike)):
        with open(table, newline="") as stream:
            rows: list[Mapping[str, Any]] = list(csv.DictReader(stream))
    else:
        rows = list(table)
    out: list[dict[str, Any]] = []
    for row in rows:
        if "step" not in row:
            raise DataError(f"table: expected a column step, got {', '.join(row)}; take measures.csv or sweep.csv.")
        labels = {name: int(float(row[name])) if name == "step" else row[name] for name in LABELS if name in row}
        for column, value in row.items():
            if column not in LABELS and not math.isnan(number := float(value)):
                about = meaning(column)
                out.append({**labels, "set": about.set, "measure": about.measure, "value": number, "unit": about.unit})
    return out
