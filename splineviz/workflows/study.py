r"""Studies: what the paper's figures show of a run (arXiv 2402.15555), measured, each a picture and its table.

    curves      Fig. 1, 6, 8, 9, 12, 34: accuracies, complexities, units and norms over the steps; any network, no slice
    dynamics    Fig. 2, 7: accuracy, accuracy under attack and local complexity over the steps, two slices beneath
    migration   knots and gradient variation near the anchors and near the decision boundary, over those in the window
    windows     Fig. 26: regions in equal squares near the decision boundary and away from it
    kymograph   knots and jumps of the gradient by distance from the boundary and the anchors, step by step, over planes
    lineage     units followed through training: which moved to the boundary, which vanished, which appeared
    layers      Fig. 24: the knots of each layer by themselves
    exact       Fig. 25, 35: exact and sampled number of units in the same neighbourhoods, over the steps and the radius
    heat        both counts and the exact density of knots over the slice of one checkpoint, beside its knots
    deformation average eccentricity and diameter of embedded neighbourhoods against the radius, layer by layer

    run -> sweeps.measure_run (partitions, rows; resumed) -> more columns -> out/<study>.csv, out/<study>.png

Neighbourhoods of `exact` and `heat` have the plane's own two directions, so that both counts speak of the same diamond.
What takes long is kept in out/rows/studies.json, so a second call only draws. How it looks is the business of `study_plots`.
"""

from __future__ import annotations

import csv
import io
import os
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from splineviz import choices
from splineviz.drawing import curves, study_plots
from splineviz.drawing.curves import Row
from splineviz.errors import DataError, FloatArray, Progress
from splineviz.geometry import boundary
from splineviz.geometry.partition import Partition
from splineviz.geometry.polygons import polygon_area
from splineviz.jobs import sweep
from splineviz.metrics import diamonds, measures
from splineviz.metrics.columns import EPS
from splineviz.metrics.complexity import local_complexities_at
from splineviz.metrics.options import LCOptions
from splineviz.metrics.robustness import robust_accuracy, usual_steps
from splineviz.regions.enumerate import partition as enumerated
from splineviz.storage import files, outputs, provenance
from splineviz.storage.cache import Ledger
from splineviz.tracing.program import Program
from splineviz.training import runs
from splineviz.workflows import deformed, migrations, run_curves
from splineviz.workflows.measured import Measured, bootstrap_band, only_one
from splineviz.workflows.phases import moments, peak, phases
from splineviz.workflows.unread import without
from splineviz.workflows.untraced import AnyRun, Untraced

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RADII = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""Radii of the study `exact`."""

SQUARE = 0.05
"""Side of the squares of the study `windows`, as a share of the square root of the window's area."""

Table = list[dict[str, float]]
Outcome = tuple[Table, "Figure"] | tuple[Table, "Figure", dict[str, Table]]
"""A study's table and figure, and further tables by what their names end in."""

CURVES, OF_CURVES = "curves", ("lc", "attack_steps", "steps", "progress")
"""The study without a slice, and those settings of the others that it has as well."""

FURTHER = {"kymograph": ("steps",), "lineage": ("ledger", "units", "regions")}
"""Further tables of studies."""


def study(
    run: AnyRun, names: Sequence[str] | None = None, *, out: str | os.PathLike[str], **settings: Any
) -> list[Path]:  # fmt: skip
    """Measure a run and write the named studies (None: all), a .png and a .csv each, to `out`; returns what was written.

    settings: as `measure` takes them. Raises DataError on an unknown study, and what measuring raises.
    """
    asked_for = run if settings.get("steps") is None else run.only(settings["steps"])
    chosen = list(dict.fromkeys(_all(asked_for) if names is None else names))
    if unknown := [name for name in chosen if name not in STUDIES]:
        raise DataError(f"studies: expected some of {', '.join(STUDIES)}, got {', '.join(unknown)}.")
    named = [f"{name}{kind}" for name in chosen for kind in (".png", ".csv")]
    named += [f"{name}-{more}.csv" for name in chosen for more in FURTHER.get(name, ())]
    sliced = [name for name in chosen if name != CURVES]
    device = settings.pop("device", None)
    written: list[Path] = []
    asked: dict[str, Any] = {}
    if "lineage" in chosen and len(asked_for.checkpoints) == 1:
        raise only_one(asked_for.checkpoints[0].step)
    if isinstance(run, Untraced) and sliced:
        raise DataError(f"studies: expected curves alone for a network that cannot be traced, got {', '.join(sliced)}.")
    measured = measure(run, out=out, **settings, also=named) if sliced and not isinstance(run, Untraced) else None
    for name in chosen:
        if measured is not None and name != CURVES:
            written, asked = written + write(measured, name, Path(out) / name), measured.asked
        else:
            own = {key: value for key, value in settings.items() if key in OF_CURVES}
            written += without_slice(run, out=out, device=device, also=named, **own)
    provenance.write_manifest(Path(out), "studies", {"names": chosen, **asked})
    return written


def _all(run: AnyRun) -> list[str]:
    """All studies that a run can have: without a slice of a smooth or untraced network; lineage of two checkpoints up."""
    if isinstance(run, Untraced) or Program.from_data(run.network).smooth:
        return [CURVES]
    return [name for name in STUDIES if name != "lineage" or len(run.checkpoints) > 1]


def without_slice(run: AnyRun, *, out: str | os.PathLike[str], lc: LCOptions = LCOptions(radius=0.05),  # noqa: B008
                  **settings: Any) -> list[Path]:  # fmt: skip
    """The study `curves` of a run as out/curves.png and .csv, with settings of `table_of_curves`."""
    lc = replace(lc, wide=None)  # one radius a figure
    table = table_of_curves(run, out=out, lc=lc, **settings)
    figure = study_plots.curves_of_run(table, **lc.settings(run.train_x.shape[1:]), eps=EPS)
    return save(Path(out) / CURVES, table, figure)


def table_of_curves(
    run: AnyRun,
    *,
    out: str | os.PathLike[str],
    lc: LCOptions = LCOptions(radius=0.05),  # noqa: B008  # frozen, so it can be shared
    attack_steps: int | None = None,
    attacked: int = run_curves.ATTACKED,
    eps: Sequence[float] = EPS,
    steps: Sequence[int] | None = None,
    device: str | None = None,
    progress: Progress | None = None,
    also: Sequence[str] = (),
) -> Table:
    """The table of the study `curves`: see `run_curves.curves`. It needs no anchors and no slice; kept in out/rows."""
    only, target = run if steps is None else run.only(steps), Path(out)
    outputs.enter(target.resolve(), "run", [str(run.path.resolve())], (*outputs.MEASURES, "curves.png", "curves.csv", *also))
    ledger = Ledger(target / "rows" / "curves.json")
    attack_steps = usual_steps(only.train_x.shape[1:]) if attack_steps is None else attack_steps
    return run_curves.curves(
        only, lc, ledger, attack_steps=attack_steps, attacked=attacked, eps=eps, device=device, progress=progress
    )


def measure(
    run: runs.Run,
    *,
    out: str | os.PathLike[str],
    anchors: Sequence[int] = (0, 1, 2),
    window: Any = None,
    lc: LCOptions = LCOptions(radius=0.05),  # noqa: B008  # frozen, so it can be shared
    attack_steps: int | None = None,
    points: int = 400,
    squares: int = 24,
    near: float | None = None,
    planes: int | None = None,
    seed: int = 0,
    between: tuple[int, int] | None = None,
    steps: Sequence[int] | None = None,
    progress: Progress | None = None,
    also: Sequence[str] = (),
    strict: bool = False,
) -> Measured:
    """Measure a run for its studies; results that lie in `out` already are read.

    anchors, window, steps, lc: as `sweep.measure_run` takes them; the paper's values of the local complexity fit r = 0.05.
    attack_steps: of the attack on at most 1,000 test samples; None: the paper's, 100 for MNIST, else 10.
    points: on the slice, for exact counts. squares: near the decision boundary, and away from it. also: as there.
    near: what is near, as a share of the window's side; None: `measures.NEAR` in measures.csv, `migrations.NEAR` in the
    studies of migration. planes: of those studies, the run's own and others through samples drawn by `seed`; None:
    `measured.PLANES`, or as many as there are. strict: raise for a checkpoint that cannot be read; by default the others are
    measured, a warning names it, and curves are marked at its step. between: steps of the two checkpoints that they compare;
    None: the end of the ascent of the local complexity, and the last.
    """
    unread: dict[int, str] = {}
    only, anchors = (run if steps is None else run.only(steps)).anchored(anchors)
    attack_steps = usual_steps(only.train_x.shape[1:]) if attack_steps is None else attack_steps
    ledger = Ledger(Path(out) / "rows" / "studies.json")
    asked = Measured(
        only, [], [], tuple(anchors), lc, attack_steps, points, squares, ledger, progress, window, near,
        planes, seed, None if between is None else (int(between[0]), int(between[1])),
    )  # fmt: skip
    asked.check()
    results = sweep.measure_run(only, anchors=anchors, window=window, out=out, lc=lc, near=near, progress=progress,
                                also=also, unread=None if strict else unread)  # fmt: skip
    return replace(
        asked, run=without(only, unread, "the study is"), rows=[dict(result.row) for result in results],
        paths=[result.partition_path for result in results], missing=tuple(sorted(unread)),
    )  # fmt: skip


def write(measured: Measured, name: str, target: Path, note: str = "") -> list[Path]:
    """Write one study as target.png, target.csv and its further tables, target-<name>.csv; returns the paths.

    note: a line at the figure's foot.
    """
    table, figure, *more = _STUDIES[name](measured)
    curves.mark_missing_in(figure, curves.column(measured.rows, "step"), measured.missing)
    written = save(target, table, figure, note)
    for ending, further in (more[0] if more else {}).items():
        written += save(target.with_name(f"{target.name}-{ending}"), further)
    return written


# ---- the studies -------------------------------------------------------------------------------------


def _dynamics(measured: Measured) -> Outcome:
    table = measured.over_seeds(_attacks)
    thumbnails = [x if x.ndim == 2 else None for x in measured.run.anchors(measured.anchors)]
    figure = study_plots.dynamics(
        table, measured.slices(moments(table)), radius=measured.lc.radius, phases=phases(table), eps=EPS,
        thumbnails=thumbnails if all(x is not None for x in thumbnails) else (),
    )  # fmt: skip
    return table, figure


def _attacks(measured: Measured) -> Table:
    """The rows with accuracies under attack."""
    samples = 1000
    settings = [samples, measured.attack_steps, list(EPS)]
    attacks = measured.kept("attack", settings, lambda i: attacked(measured.run, i, measured.attack_steps, samples))
    return [row | found for row, found in zip(measured.rows, attacks, strict=True)]


def attacked(run: runs.Run, index: int, steps: int, samples: int) -> dict[str, float]:
    """Accuracy of one checkpoint on test samples under attack, by column robust_<eps>; empty without test labels."""
    if run.test_x is None or run.test_y is None or run.test_y.ndim != 1:
        return {}
    program = run.program(run.checkpoints[index]).as_trained.to(torch.float32)
    found = robust_accuracy(program, run.test_x[:samples], run.test_y[:samples], steps=steps, domain=run.domain)
    return {f"robust_{eps:g}": found[eps] for eps in EPS}


def _migration(measured: Measured) -> Outcome:
    table = measured.over_seeds(lambda one: one.rows)
    return table, study_plots.migration(table, phases(table), radius=measured.lc.radius)


def _windows(measured: Measured) -> Outcome:
    table = measured.over_seeds(_squares)
    slices = {}
    for step, part in measured.slices(moments(measured.rows)).items():
        slices[step] = (part, *squares(part, measured.squares))
    return table, study_plots.windows(table, slices)


def _squares(measured: Measured) -> Table:
    """Regions in equal squares, step by step: means, and half-widths of their 99% bands by bootstrap."""

    def count(index: int) -> dict[str, float]:
        part = measured.partition(index)
        near, away, side = squares(part, measured.squares)
        program = measured.run.program(measured.run.checkpoints[index])
        row = {"side": side}
        for name, centres in (("near", near), ("away", away)):
            corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) * side
            found = [enumerated(program, part.plane, window=centre + corners).num_regions for centre in centres]
            row |= {
                f"regions_{name}": float(np.mean(found)) if found else np.nan,
                f"regions_{name}_band": bootstrap_band(np.array(found, dtype=np.float64)),
            }
        return row

    first = measured.partition(0)
    settings = [measured.squares, SQUARE, files.digest(first.window, first.plane.origin, first.plane.basis)]
    counted = measured.kept("windows, bootstrap", settings, count)
    return [{"step": row["step"]} | found for row, found in zip(measured.rows, counted, strict=True)]


def squares(partition: Partition, count: int) -> tuple[FloatArray, FloatArray, float]:
    """Centres of at most `count` squares near the decision boundary (n, 2) and away from it (m, 2), and their side.

    Near: centred on points drawn uniformly along the boundary. Away: drawn uniformly where the boundary is at least two
    sides off. All lie in the window; none where there is no boundary, or no room.
    """
    side = SQUARE * float(np.sqrt(polygon_area(partition.window - partition.centre)))
    segments = partition.decision_boundary()
    if not len(segments):
        return np.empty((0, 2)), np.empty((0, 2)), side
    rng = np.random.default_rng(0)
    lengths = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1)
    chosen = rng.choice(len(segments), 8 * count, p=lengths / lengths.sum())
    share = rng.uniform(size=(8 * count, 1))
    on = segments[chosen, 0] + share * (segments[chosen, 1] - segments[chosen, 0])
    off = diamonds.spread(partition.window, 40 * count, side / 4)
    off = off[boundary.distances(off, segments) >= 2 * side]
    return on[_holds(partition.window, on, side)][:count], off[:count], side


def _holds(window: FloatArray, centres: FloatArray, side: float) -> Any:
    """(n,) whether a convex window holds the squares round the centres."""
    edges = np.roll(window, -1, axis=0) - window
    corners = centres[:, None] + side / 2 * np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    gaps = corners[:, :, None] - window
    return (edges[:, 0] * gaps[..., 1] - edges[:, 1] * gaps[..., 0] >= 0).all(axis=(1, 2))


def _layers(measured: Measured) -> Outcome:
    table = []
    for i, row in enumerate(measured.rows):
        part = measured.partition(i)
        lengths, born = measures.knot_lengths(part), part.edge_unit[:, 0]
        units = measures.kinking_units(part)
        found = {"step": row["step"]}
        for layer in range(len(units)):
            found |= {
                f"length_{layer}": float(lengths[born == layer].sum()), f"units_{layer}": float(units[layer])
            }  # fmt: skip
        table.append(found)
    return table, study_plots.layers(measured.slices([0, peak(measured.rows), -1]))


def _exact(measured: Measured) -> Outcome:
    def count(index: int) -> dict[str, float]:
        return _counted(measured.run, index, measured.partition(index), measured.points)

    first = measured.partition(0)
    settings = [measured.points, list(RADII), files.digest(first.window, first.plane.origin, first.plane.basis)]
    found = measured.kept("exact", settings, count)
    return found, study_plots.exact(found, RADII, 0.05)


def _counted(run: runs.Run, index: int, partition: Partition, points: int) -> dict[str, float]:
    """Mean exact and sampled number of units in the diamonds of RADII round points drawn uniformly on the slice."""
    uv = diamonds.spread(partition.window, points, max(RADII))
    program = run.program(run.checkpoints[index])
    x = partition.plane.embed(uv)
    sampled = local_complexities_at(program, {"x": x}, radii=RADII, directions=partition.plane.basis)
    row = {"step": float(run.checkpoints[index].step)}
    for radius, found in zip(RADII, sampled, strict=True):
        counts = diamonds.exact_counts(partition, uv, radius=radius).sum(axis=0)
        row |= {f"exact_{radius:g}": float(counts.mean()), f"sampled_{radius:g}": found["x"].mean}
    return row


def _heat(measured: Measured, size: int = 48) -> Outcome:
    """Both counts on a grid over the last checkpoint's slice, in diamonds as wide as a cell of the grid, and the density."""
    part, run = measured.partition(-1), measured.run
    low, high = part.window.min(axis=0), part.window.max(axis=0)
    reach = max(measured.lc.radius, float((high - low).max()) / size / 2)
    grid = [np.linspace(low[k] + 1.01 * reach, high[k] - 1.01 * reach, size) for k in (0, 1)]
    uv = np.stack(np.meshgrid(*grid), axis=-1).reshape(-1, 2)
    counts = diamonds.exact_counts(part, uv, radius=reach).sum(axis=0)
    found = local_complexities_at(
        run.program(run.checkpoints[-1]), {"x": part.plane.embed(uv)}, radii=(reach,), directions=part.plane.basis
    )[0]["x"].total
    half = 0.5 * (uv[-1] - uv[0]) / (size - 1)
    dense = measures.knot_density_grid(part, uv[0] - half, uv[-1] + half, (size, size))
    table = [
        {"u": u, "v": v, "exact": float(a), "sampled": float(b), "density": float(c)}
        for (u, v), a, b, c in zip(uv, counts, found, dense.ravel(), strict=True)
    ]
    shape = (size, size)
    figure = study_plots.heat(part, counts.reshape(shape), found.reshape(shape), dense, radius=reach, step=measured.step(-1))
    return table, figure


_STUDIES: dict[str, Callable[[Measured], Outcome]] = {
    "dynamics": _dynamics,
    "migration": _migration,
    "kymograph": migrations.kymograph,
    "lineage": migrations.lineages,
    "windows": _windows,
    "layers": _layers,
    "exact": _exact,
    "heat": _heat,
    "deformation": deformed.deformation_by_radius,
}

STUDIES = choices.STUDIES
"""Names of the studies."""


# ---- files -------------------------------------------------------------------------------------------


def save(target: Path, table: Sequence[Row], figure: Figure | None = None, note: str = "") -> list[Path]:
    """Write a table as target.csv and a figure, of 200 dots per inch, as target.png; returns the paths.

    The table has the columns of all rows, in the order in which they first occur; NaN where a row has none. note: a line
    at the figure's foot.
    """
    text = io.StringIO()
    columns = list(dict.fromkeys(name for row in table for name in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="nan")
    writer.writeheader()
    writer.writerows({name: repr(float(value)) for name, value in row.items()} for row in table)
    png, csv_file = target.with_suffix(".png"), target.with_suffix(".csv")
    files.write_text(csv_file, text.getvalue())
    if figure is None:
        return [csv_file]
    if note:
        figure.supxlabel(textwrap.fill(note, 130), x=0.01, ha="left", fontsize=5.5, color="#555555")
    files.write(png, lambda stream: figure.savefig(stream, format="png", dpi=200))
    return [png, csv_file]
