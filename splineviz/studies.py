r"""Studies: the paper's figures about a run (arXiv 2402.15555), each with the table that it shows.

    dynamics    Fig. 2: accuracy, accuracy under attack and local complexity over the steps, two slices beneath
    migration   knots and gradient variation near the anchors and near the decision boundary, over those in the window
    exact       exact and sampled number of units in the same neighbourhoods, over the steps and over the radius
    heat        both counts over the slice of one checkpoint, beside its knots

    run -> runs.measure_run (partitions, rows; resumed) -> more columns -> out/<study>.csv, out/<study>.png

Neighbourhoods of `exact` and `heat` have the plane's own two directions, so that both counts speak of the same diamond.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from splineviz import curves, diamonds, draw, figures, files, runs
from splineviz.complexity import local_complexities_at
from splineviz.curves import RANDOM, TRAIN, Row
from splineviz.errors import DataError, FloatArray
from splineviz.partition import Partition
from splineviz.robustness import EPS, robust_accuracy

STUDIES = ("dynamics", "migration", "exact", "heat")
RADII = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""Radii of the study `exact`."""
ATTACKS = ("#c7b8e0", "#b09bd4", "#9a7fc8", "#8363bc", "#6d49ad", "#573792")
"""Colours of the accuracies under attack, from the smallest eps to the largest."""

Progress = Callable[[int, int, str], None]


def study(
    run: runs.Run,
    names: Sequence[str] = STUDIES,
    *,
    out: str | os.PathLike[str],
    anchors: Sequence[int] = (0, 1, 2),
    window: Any = None,
    lc: runs.LCOptions = runs.LCOptions(radius=0.05),  # noqa: B008  # frozen, so it can be shared
    attack_steps: int = 10,
    points: int = 400,
    steps: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Measure a run and write the named studies, a .png and a .csv each, to `out`; returns what was written.

    anchors, window, steps, lc: as `runs.measure_run` takes them; the paper's values of the local complexity fit r = 0.05.
    attack_steps: of the attack on at most lc.points test samples (the paper: 10, for MNIST 100).
    points: on the slice, for exact counts. Raises DataError on an unknown study, and what measuring raises.
    """
    if unknown := [name for name in names if name not in STUDIES]:
        raise DataError(f"studies: expected some of {', '.join(STUDIES)}, got {', '.join(unknown)}.")
    target = Path(out)
    chosen = run if steps is None else run.only(steps)
    results = runs.measure_run(chosen, anchors=anchors, window=window, out=target, lc=lc, progress=progress)
    rows: list[dict[str, float]] = [dict(result.row) for result in results]
    partitions = [result.partition_path for result in results]
    written = []
    for name in dict.fromkeys(names):
        if name == "dynamics":
            table = [row | attacked(chosen, i, attack_steps, lc.points) for i, row in enumerate(rows)]
            slices = {results[i].step: Partition.load(partitions[i]) for i in (peak(rows), -1)}
            figure = dynamics(table, slices, radius=lc.radius)
        elif name == "migration":
            table, figure = rows, migration(rows)
        elif name == "exact":
            counted = [_counted(chosen, i, Partition.load(path), points) for i, path in enumerate(partitions)]
            table, figure = counted, exact(counted)
        else:
            table, figure = _heat(chosen, Partition.load(partitions[-1]), lc.radius)
        _save(target / f"{name}.csv", table)
        files.write(target / f"{name}.png", lambda stream, figure=figure: figure.savefig(stream, format="png", dpi=200))  # type: ignore[misc]
        written += [target / f"{name}.png", target / f"{name}.csv"]
    return written


# ---- numbers -----------------------------------------------------------------------------------------


def peak(table: Sequence[Row], name: str = "lc_train") -> int:
    """The row where the ascent ends: the largest value after the first descent; 0 for a curve that only falls."""
    values = curves.column(table, name)
    if not np.isfinite(values).all() or len(values) < 3:
        return 0
    # The descent ends at the lowest value that a higher one follows by most.
    rises = np.maximum.accumulate(values[::-1])[::-1] - values
    low = int(rises.argmax())
    return low + int(values[low:].argmax())


def attacked(run: runs.Run, index: int, steps: int, samples: int) -> dict[str, float]:
    """Accuracy of one checkpoint on test samples under attack, by column robust_<eps>; empty without test labels."""
    if run.test_x is None or run.test_y is None or run.test_y.ndim != 1:
        return {}
    program = run.program(run.checkpoints[index]).to(torch.float32)
    found = robust_accuracy(program, run.test_x[:samples], run.test_y[:samples], steps=steps, domain=run.domain)
    return {f"robust_{eps:g}": found[eps] for eps in EPS}


def _counted(run: runs.Run, index: int, partition: Partition, points: int) -> dict[str, float]:
    """Mean exact and sampled number of units in the diamonds of RADII round points drawn uniformly on the slice."""
    uv = _spread(partition, points, max(RADII))
    program = run.program(run.checkpoints[index])
    x = partition.plane.embed(uv)
    sampled = local_complexities_at(program, {"x": x}, radii=RADII, directions=partition.plane.basis)
    row = {"step": float(run.checkpoints[index].step)}
    for radius, found in zip(RADII, sampled, strict=True):
        counts = diamonds.exact_counts(partition, uv, radius=radius).sum(axis=0)
        row |= {f"exact_{radius:g}": float(counts.mean()), f"sampled_{radius:g}": found["x"].mean}
    return row


def _spread(partition: Partition, points: int, radius: float) -> FloatArray:
    """Points (n, 2), uniform in the window shrunk by so much that diamonds stay inside; the same at every checkpoint."""
    middle = partition.window.mean(axis=0)
    low, high = partition.window.min(axis=0), partition.window.max(axis=0)
    shrink = 1 - 4 * radius / float((high - low).min())
    if shrink <= 0:
        raise DataError(
            f"window: expected one wider than {4 * radius:g}, for diamonds of radius {radius:g}; take a larger one."
        )
    corners = middle + shrink * (partition.window - middle)
    rng = np.random.default_rng(0)
    triangle = rng.integers(1, len(corners) - 1, points)
    a, b = rng.uniform(size=(2, points, 1))
    a, b = np.where(a + b > 1, 1 - a, a), np.where(a + b > 1, 1 - b, b)
    first = corners[0]
    return np.asarray(first + a * (corners[triangle] - first) + b * (corners[triangle + 1] - first))


def _save(path: Path, table: Sequence[Row]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]), lineterminator="\n", restval="nan")
    writer.writeheader()
    writer.writerows({name: repr(float(value)) for name, value in row.items()} for row in table)
    files.write_text(path, text.getvalue())


# ---- figures -----------------------------------------------------------------------------------------


def dynamics(table: Sequence[Row], slices: Mapping[int, Partition], *, radius: float) -> Figure:
    """Fig. 2: accuracy (also under attack) and local complexity over the steps, and slices beneath, by step."""
    with matplotlib.rc_context(figures.PAPER_STYLE):
        figure = Figure(figsize=(6.9, 6.6), layout="constrained")
        FigureCanvasAgg(figure)
        halves = figure.subfigures(2, 1, height_ratios=(1.0, 1.25), squeeze=False)
        upper, lower = halves[0, 0], halves[1, 0]
        left, right = upper.subplots(1, 2)
        robust = tuple((f"robust_{eps:g}", f"{eps:g}", color) for eps, color in zip(EPS, ATTACKS, strict=True))
        accuracies = curves.present(table, (*curves.ACCURACY, *robust))
        _panel(left, table, accuracies, "accuracy; on test samples moved by eps")
        _panel(right, table, curves.present(table, curves.COMPLEXITY), f"local complexity, r = {radius:g}")
        for ax, (step, part) in zip(lower.subplots(1, len(slices), squeeze=False)[0], slices.items(), strict=True):
            draw.regions(part, ax=ax, edges=True)
            draw.boundary(part, ax=ax)
            draw.anchors(part.plane, ax=ax)
            ax.set(xticks=[], yticks=[], title=f"step {step:,}: {part.num_regions:,} regions")
            ax.grid(False)
    return figure


def migration(table: Sequence[Row]) -> Figure:
    """Densities in the places over the window's: of knots, and of the gradient's variation."""
    with matplotlib.rc_context(figures.PAPER_STYLE):
        figure = Figure(figsize=(6.9, 2.7), layout="constrained")
        FigureCanvasAgg(figure)
        for ax, kind, title in zip(
            figure.subplots(1, 2), ("knot", "variation"), ("length of knots", "variation of the gradient"), strict=True
        ):
            lines = (
                (f"{kind}_ratio_anchors", "near the anchors", TRAIN),
                (f"{kind}_ratio_boundary", "near the boundary", draw.BOUNDARY_COLOR),
            )
            _panel(ax, table, curves.present(table, lines), f"{title}, over the window's")
            ax.axhline(1.0, color="#888888", linewidth=0.8)
    return figure


def exact(table: Sequence[Row]) -> Figure:
    """Exact and sampled counts over the steps (r = 0.05), and over the radius at the last step."""
    with matplotlib.rc_context(figures.PAPER_STYLE):
        figure = Figure(figsize=(6.9, 2.7), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2)
        _panel(left, table, (("exact_0.05", "exact", "#bbbbbb"), ("sampled_0.05", "sampled", RANDOM)), "units, r = 0.05")
        for line, width in zip(left.get_lines(), (4.0, 1.0), strict=False):  # mostly one covers the other
            line.set_linewidth(width)
        for name, color, width in (("exact", "#bbbbbb", 4.0), ("sampled", RANDOM, 1.0)):
            values = [table[-1][f"{name}_{radius:g}"] for radius in RADII]
            right.plot(RADII, values, color=color, label=name, linewidth=width)
        right.set(xscale="log", yscale="symlog", xlabel="radius", title=f"units, step {table[-1]['step']:,.0f}")
        right.legend(frameon=False)
    return figure


def _heat(run: runs.Run, partition: Partition, radius: float, size: int = 48) -> tuple[list[dict[str, float]], Figure]:
    """Both counts on a grid over the last checkpoint's slice, in diamonds as wide as a cell of the grid."""
    low, high = partition.window.min(axis=0), partition.window.max(axis=0)
    cell = float((high - low).max()) / size
    reach = max(radius, cell / 2)
    grid = [np.linspace(low[k] + 1.01 * reach, high[k] - 1.01 * reach, size) for k in (0, 1)]
    uv = np.stack(np.meshgrid(*grid), axis=-1).reshape(-1, 2)
    counts = diamonds.exact_counts(partition, uv, radius=reach).sum(axis=0)
    found = local_complexities_at(
        run.program(run.checkpoints[-1]), {"x": partition.plane.embed(uv)}, radii=(reach,), directions=partition.plane.basis
    )[0]["x"].total
    table = [
        {"u": u, "v": v, "exact": float(a), "sampled": float(b)} for (u, v), a, b in zip(uv, counts, found, strict=True)
    ]
    with matplotlib.rc_context(figures.PAPER_STYLE):
        figure = Figure(figsize=(6.9, 2.5), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, 3)
        top = max(float(counts.max()), 1.0)
        for ax, values, title in zip(axes, (found, counts), (f"sampled, r = {reach:.3g}", "exact"), strict=False):
            image = ax.imshow(
                values.reshape(size, size), origin="lower", extent=(low[0], high[0], low[1], high[1]), vmin=0, vmax=top,
                cmap="magma",
            )  # fmt: skip
            ax.set_title(title)
        figure.colorbar(image, ax=axes[:2], label="units")
        draw.regions(partition, ax=axes[2])
        axes[2].set_title("knots and boundary")
        for ax in axes:
            draw.boundary(partition, ax=ax)
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
    return table, figure


def _panel(ax: Any, table: Sequence[Row], lines: curves.Curves, title: str) -> None:
    curves.step_axis(ax, curves.column(table, "step"))
    if lines:
        curves.value_axis(ax, table, lines)
        curves.plot_curves(ax, table, lines)
    ax.set_title(title, loc="left")
    ax.set_xlabel("training step")
    if len(lines) > 1:
        ax.legend(frameon=False, fontsize="small", ncols=1 + (len(lines) > 4))
