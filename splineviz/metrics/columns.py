"""Columns: one record each for the columns of a table of measures, and the same numbers as one tidy table.
Here too: which function makes which columns, what a column is about (set, measure, unit), and tables written as text, as
tidy rows or as a page of the documentation.

    measures.csv      one row per checkpoint:      step, regions, ..., lc_train, lc_train_band, ..., knot_ratio_boundary, ...
    tidy              one row per number:          step, set, measure, value, unit

A set is what is measured: training, test or random points, the window of the slice, what lies near the anchors or near
the decision boundary. A new column is one record in TABLE: rows, tables, `tidy`, docs/measures.md and the audit follow
from it.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from splineviz.errors import DataError, FloatArray

if TYPE_CHECKING:
    from splineviz.geometry.partition import Partition

LENGTH, PER_LENGTH, AREA = "input-space length", "1 / input-space length", "input-space length^2"
PER_AREA = "output / input-space length^2"

LABELS = ("step", "run", "anchors", "window")
"""Columns that say which row it is; they are kept as they are."""


EPS = (0.03, 0.06, 0.10, 0.13, 0.16, 0.20)
"""Radii of attacks in the paper (arXiv 2402.15555), in the maximum norm."""

SUMMARY, SLICE = "measures.summary", "slice_complexity"
"""Functions that make several columns at a time."""


@dataclass(frozen=True)
class Column:
    """A column of measures.csv: its name, the set and the measure that it is about, its unit ("" for a pure number).

    definition, source: in words, for docs/measures.md; source says which function, and whom to cite. compute: the number
    from a Partition alone; made: the function that makes it with others; neither: it needs more (`jobs.job` makes it).
    """

    name: str
    set: str
    measure: str
    unit: str
    definition: str
    source: str
    compute: Callable[[Partition], float] | None = None
    made: str = ""


def _length(segments: FloatArray) -> float:
    return float(np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1).sum())


def _distance_ratio(partition: Partition) -> float:
    from splineviz.metrics.distance_profile import median_distances  # which knows this file

    of_knots, of_area = median_distances(partition)
    return of_knots / of_area


TABLE = (
    Column("step", "", "", "", "which checkpoint a row is about", ""),
    Column(
        "regions", "window", "regions", "regions",
        "activation regions: maximal convex cells of the window on which no unit changes its piece",
        "`Partition.num_regions`; Hanin, Rolnick 2019 (arXiv 1906.00904)",
        compute=lambda partition: float(partition.num_regions),
    ),
    Column(
        "train_accuracy", "train", "accuracy", "",
        "share of samples whose class the network gives; recorded by the training, or computed",
        "`jobs.accuracy`",
    ),
    Column("test_accuracy", "test", "accuracy", "", "the same on test samples", "`jobs.accuracy`"),
    *(
        Column(
            f"robust_{eps:g}", "test", f"robust_{eps:g}", "",
            "share of test samples that keep their class when an adversary moves every coordinate by at most "
            f"{eps:g}; recorded by the training (recipes attack 400 samples, 10 steps), nan where it was not",
            "`robustness.robust_accuracy`; Madry et al. (arXiv 1706.06083)" if eps == EPS[0] else "the same",
        )
        for eps in EPS
    ),
    Column(
        "lc_train", "train", "lc", "units",
        "mean over points x of the number of units with both signs on {x + r v_p, x - r v_p}, p = 1..P",
        "`sv.local_complexity`; Humayun et al. (arXiv 2402.15555), section 3",
    ),
    Column("lc_train_band", "train", "lc_band", "units", "half-width of the mean's 99% band, 2.576 s / sqrt(n)", "the same"),
    Column(
        "lc_train_live", "train", "lc_live", "units",
        "the mean with each layer's count times units / live units; live: both signs somewhere in the set",
        "the same; ours",
    ),
    Column("lc_test", "test", "lc", "units", "as `lc_train`", "the same"),
    Column("lc_test_band", "test", "lc_band", "units", "as `lc_train_band`", "the same"),
    Column("lc_test_live", "test", "lc_live", "units", "as `lc_train_live`", "the same"),
    Column("lc_random", "random", "lc", "units", "as `lc_train`, points uniform in the data's domain", "the same"),
    Column("lc_random_band", "random", "lc_band", "units", "as `lc_train_band`", "the same"),
    Column("lc_random_live", "random", "lc_live", "units", "as `lc_train_live`", "the same"),
    *(
        Column(
            f"lc_wide_{place}{band}", place, f"lc_wide{band}", "units",
            f"as `lc_{place}{band}`, at the second radius, 0.05 unless given; nan where it is the first", "the same",
        )
        for place in ("train", "test", "random")
        for band in ("", "_band")
    ),
    Column(
        "slice_exact", "window", "slice_exact", "units",
        "mean over 256 points of the window of the number of units whose knots meet conv{x + r e1, x - r e1, x + r "
        "e2, x - r e2}, r that of the local complexity; the points are uniform where these diamonds fit",
        "`diamonds.exact_counts`, `diamonds.spread`; exact form of the local complexity on the slice", made=SLICE,
    ),
    Column("slice_exact_band", "window", "slice_exact_band", "units", "as `lc_train_band`", "the same", made=SLICE),
    Column(
        "slice_sampled", "window", "slice_sampled", "units",
        "the same mean as sampling finds it, at the diamonds' four corners: never larger, but for units whose knots "
        "coincide on the slice, which are one there",
        "`sv.local_complexity` with the plane's basis as directions", made=SLICE,
    ),
    Column("slice_sampled_band", "window", "slice_sampled_band", "units", "as `lc_train_band`", "the same", made=SLICE),
    Column(
        "boundary_length", "window", "boundary_length", LENGTH,
        "length of the decision boundary: where the arg-max of the outputs changes, or one output crosses its level",
        "`Partition.decision_boundary`", compute=lambda partition: _length(partition.decision_boundary()),
    ),
    Column(
        "near", "window", "near", LENGTH,
        "the distance d of the next columns, 0.025 sqrt(area of the window) unless given",
        "`measures.migration`", made=SUMMARY,
    ),
    Column(
        "knot_density", "window", "knot_density", PER_LENGTH,
        "length of knots in the window / its area",
        "`measures.migration`; exact form of region migration, arXiv 2402.15555, section 4", made=SUMMARY,
    ),
    Column(
        "knot_density_anchors", "anchors", "knot_density", PER_LENGTH,
        "length of knots within d of an anchor / area within d of one, in the window",
        "the same", made=SUMMARY,
    ),
    Column(
        "knot_density_boundary", "boundary", "knot_density", PER_LENGTH,
        "length of knots within d of the decision boundary / area within d of it",
        "the same", made=SUMMARY,
    ),
    Column(
        "knot_ratio_anchors", "anchors", "knot_ratio", "",
        "`knot_density_anchors` / `knot_density`",
        "the same", made=SUMMARY,
    ),
    Column(
        "knot_ratio_boundary", "boundary", "knot_ratio", "",
        "`knot_density_boundary` / `knot_density`",
        "the same", made=SUMMARY,
    ),
    Column(
        "boundary_distance_ratio", "boundary", "distance_ratio", "",
        "the distance from the decision boundary within which half the length of knots lies, over that within which half "
        "the window's area does: below 1 knots gather at the boundary, without a distance to choose",
        "`distance_profile.median_distances`", compute=_distance_ratio,
    ),
    Column(
        "variation_density", "window", "variation_density", PER_AREA,
        "sum over knots of length times the Frobenius norm of the jump of d output / d(u, v), / area: total "
        "variation of the gradient per area",
        "`measures.migration`, `measures.gradient_jumps`", made=SUMMARY,
    ),
    Column(
        "variation_density_anchors", "anchors", "variation_density", PER_AREA,
        "the same within d of an anchor",
        "the same", made=SUMMARY,
    ),
    Column(
        "variation_density_boundary", "boundary", "variation_density", PER_AREA,
        "the same within d of the decision boundary",
        "the same", made=SUMMARY,
    ),
    Column(
        "variation_ratio_anchors", "anchors", "variation_ratio", "",
        "`variation_density_anchors` / `variation_density`",
        "the same", made=SUMMARY,
    ),
    Column(
        "variation_ratio_boundary", "boundary", "variation_ratio", "",
        "`variation_density_boundary` / `variation_density`",
        "the same", made=SUMMARY,
    ),
    Column(
        "margin_boundary", "anchors", "margin_boundary", LENGTH,
        "mean over the anchors of the distance on the slice to the decision boundary",
        "`measures.margins`", made=SUMMARY,
    ),
    Column(
        "margin_knot", "anchors", "margin_knot", LENGTH,
        "mean over the anchors of the distance on the slice to the nearest knot",
        "`measures.margins`", made=SUMMARY,
    ),
    Column("area_median", "window", "area_median", AREA, "median area of the regions", "`measures.shapes`", made=SUMMARY),
    Column(
        "eccentricity_median", "window", "eccentricity_median", "",
        "median over regions of sqrt(1 - (b/a)^2), a >= b the half-axes of the ellipse with the region's second "
        "moments of area",
        "`measures.shapes`", made=SUMMARY,
    ),
    Column(
        "corners_mean", "window", "corners_mean", "corners",
        "mean number of corners of a region",
        "`measures.shapes`", made=SUMMARY,
    ),
    Column(
        "fragments", "window", "fragments", "parts",
        "connected parts of the window that are given one class, over all classes",
        "`measures.class_fragments`", made=SUMMARY,
    ),
    Column(
        "kinking_units", "window", "kinking_units", "units",
        "units with a knot in the window",
        "`measures.kinking_units`", made=SUMMARY,
    ),
    Column(
        "crossings", "anchors", "crossings", "knots",
        "knots met on the polyline through the anchors and back; nan where counting them would take longer than the slice",
        "`sv.crossings`",
    ),
    Column(
        "folding", "anchors", "folding", "knots",
        "how many of these go beyond the units that are on other pieces at the ends of each side (their Hamming distance), "
        "without maxima: space folding; nan where crossings are",
        "`crossings.folding`; after Lewandowski et al., On Space Folds of ReLU Neural Networks",
    ),
    Column(
        "gradient_complexity", "train", "gradient_complexity", PER_LENGTH,
        "mean over at most 200 training points of the expected density of knots at each, from gradients along P directions, "
        "biases shifted by normal noise of standard deviation 0.05",
        "`steepness.steepness`; Patel, Montufar (arXiv 2412.18283)",
    ),
    Column("gradient_complexity_band", "train", "gradient_complexity_band", PER_LENGTH, "as `lc_train_band`", "the same"),
    Column(
        "units_live", "train", "units_live", "units",
        "units with a breakpoint strictly between their extremes over the training points",
        "`sv.liveness`",
    ),
    Column(
        "units_linear", "train", "units_linear", "units",
        "units on one piece of slope other than 0 over the training points",
        "`sv.liveness`",
    ),
    Column(
        "units_dead", "train", "units_dead", "units",
        "units on one piece of slope 0 over the training points",
        "`sv.liveness`",
    ),
    Column(
        "churn", "window", "churn", "",
        "share of the window that went to other activation patterns since the checkpoint before: half the sum over "
        "patterns of the change of area, / the window's area",
        "`measures.pattern_churn`",
    ),
)  # fmt: skip
"""Every column, in order."""

COLUMNS = tuple(column.name for column in TABLE)
"""The numbers of a row, in order; NaN where one is not available.

No number depends on the clock or on the machine's load, so a table made again is the same to the byte.
"""

_BY_NAME = {column.name: column for column in TABLE}


def made_by(function: str) -> tuple[str, ...]:
    """Names of the columns that a function makes, in order."""
    return tuple(column.name for column in TABLE if column.made == function)


def computed(partition: Partition) -> dict[str, float]:
    """The columns that follow from a partition by their own record."""
    return {column.name: column.compute(partition) for column in TABLE if column.compute is not None}


@dataclass(frozen=True)
class Meaning:
    """What a column is about: the set, the measure, and its unit ("" for a pure number)."""

    set: str
    measure: str
    unit: str


def meaning(column: str) -> Meaning:
    """What a column of a table is about; one that is not known (a metric that you recorded) is of the set "run"."""
    if (known := _BY_NAME.get(column)) is not None:
        return Meaning(known.set, known.measure, known.unit)
    return Meaning("test" if re.fullmatch(r"robust_(alone_)?[\d.e-]+", column) else "run", column, "")


def as_markdown() -> str:
    """The table of docs/measures.md."""
    head = ["| column | set | measure | unit | definition | function, source |", "|---|---|---|---|---|---|"]
    for one in TABLE[1:]:
        unit = f" {one.unit} " if one.unit else " "
        head.append(f"| `{one.name}` | {one.set} | {one.measure} |{unit}| {one.definition} | {one.source} |")
    return "\n".join(head) + "\n"


def table_text(rows: Sequence[tuple[tuple[str, str, str] | None, Mapping[str, float]]]) -> str:
    """Rows, each with the run, anchors and window that it is about or None, as the text of a table.

    The same to the byte for the same numbers.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    labelled = any(labels is not None for labels, _ in rows)
    table.writerow([*(LABELS[1:] if labelled else ()), *COLUMNS])
    for labels, row in rows:
        numbers = (int(row[name]) if name in ("step", "regions") else repr(float(row[name])) for name in COLUMNS)
        table.writerow([*(labels or ()), *numbers])
    return text.getvalue()


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
