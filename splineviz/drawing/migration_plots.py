r"""Migration plots: where knots are over training, as heat maps over distance, and which units they belong to.

    kymograph   step x log distance, from the decision boundary and from the nearest anchor: knots, jumps of the gradient
                beneath: the same at two steps, with errors; the median distance of knots over that of area
    lineage     a, units that moved most, followed over the slice; b, how far units are from the boundary over training;
                c, the ledger: what the change of the length near the boundary is made of, by layer

Above 1 (red) there are more knots than in the window on average, below (blue) fewer; grey: nothing is that far away, or
there is no boundary. This file measures nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from splineviz.drawing import curves, draw, fills
from splineviz.drawing.curves import BOUNDARY, TRAIN, Row
from splineviz.drawing.study_parts import bare, sheet
from splineviz.errors import FloatArray
from splineviz.geometry.partition import Partition

MAPS = (
    ("knots_boundary", "a  knots, by distance from the boundary"),
    ("knots_anchors", "b  knots, by distance from the anchors"),
    ("jumps_boundary", "c  gradient jumps, from the boundary"),
    ("jumps_anchors", "d  gradient jumps, from the anchors"),
)
MARKS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Distances with a tick."""
LEAST, MOST = 1.0, 4.0
"""The scale reaches at least a factor of 2 ** LEAST from 1, at most 2 ** MOST."""
EARLY, LATE = "#8c8c8c", "#111111"
"""Colours of the earlier and the later of two checkpoints."""
FATES = (("stay", "units that stay"), ("vanish", "that vanish"), ("appear", "that appear"))


@dataclass(frozen=True, eq=False)
class Kymograph:
    """Densities by step and distance over the window's.

    steps: (S,); edges: (B + 1,) of the bins, as shares of the window's side, from 0; means, errors: by name (see MAPS) the
    mean and standard error over planes, (S, B). moments: rows of the two checkpoints that are compared; near: as a share.
    """

    steps: FloatArray
    edges: FloatArray
    means: Mapping[str, FloatArray]
    errors: Mapping[str, FloatArray]
    moments: tuple[int, int]
    planes: int
    near: float


@dataclass(frozen=True, eq=False)
class Trail:
    """Knots of followed units at one step, (n, 2, 2) in plane coordinates."""

    step: int
    knots: FloatArray


@dataclass(frozen=True, eq=False)
class Trails:
    """Units through training. last: the slice of the later checkpoint; paths: the layers' names; trails: by step.

    steps: (S,); distances: (S, units) from the boundary as shares of the side; layers: (units,) from 0; between: steps of
    the ledger; near: as a share; planes: those with a boundary at both steps; followed: number of units that are drawn.
    """

    last: Partition
    paths: tuple[str, ...]
    trails: Sequence[Trail]
    steps: FloatArray
    distances: FloatArray
    layers: Any
    between: tuple[int, int]
    near: float
    planes: int
    followed: int


def kymograph(found: Kymograph, steps: Sequence[Row]) -> Figure:
    """Heat maps over distance and step, the two moments in profile, and the median distances of `steps` over training."""
    with sheet(6.3) as figure:
        axes = figure.subplots(3, 2)
        norm = _scale(found.means)
        for ax, (name, title) in zip(axes[:2].flat, MAPS, strict=True):
            image = _map(ax, found, name, norm)
            ax.set_title(title, loc="left")
        for ax in axes[:2, 0]:
            ax.set_ylabel("distance, % of the side")
        bar = figure.colorbar(image, ax=axes[:2], fraction=0.035, pad=0.015)
        bar.set_label(f"density over the window's, {_planes(found.planes)}")
        ticks = np.arange(np.ceil(norm.vmin), np.floor(norm.vmax) + 1)
        bar.set_ticks(ticks.tolist(), labels=[f"{2.0**t:g}" if t >= 0 else f"1/{2.0**-t:g}" for t in ticks])
        bar.ax.yaxis.set_minor_locator(NullLocator())
        _profile(axes[2, 0], found)
        _medians(axes[2, 1], found, steps)
    return figure


def _scale(means: Mapping[str, FloatArray]) -> Any:
    """A scale of the logarithm to base 2, the same factor below 1 as above, which all but 2% of the values keep to."""
    values = np.concatenate([np.abs(_log(one)).ravel() for one in means.values()])
    values = values[np.isfinite(values)]
    reach = float(np.clip(np.quantile(values, 0.98) if len(values) else LEAST, LEAST, MOST))
    return TwoSlopeNorm(0.0, -reach, reach)


def _log(values: FloatArray) -> FloatArray:
    """log2 of densities over the window's; the lowest of the scale for none at all."""
    return np.asarray(np.log2(np.maximum(values, 2.0 ** -(2 * MOST))), dtype=np.float64)


def _map(ax: Axes, found: Kymograph, name: str, norm: Any) -> Any:
    curves.step_axis(ax, found.steps)
    ax.set_facecolor("#dddddd")
    ax.set_yscale("log")
    edges = found.edges.copy()
    edges[0] = edges[1] ** 2 / edges[2]  # the bin that begins at 0 has a place as high as its neighbour's
    shown = np.ma.masked_invalid(_log(found.means[name]).T)
    image = ax.pcolormesh(_columns(ax, found.steps), edges, shown, norm=norm, cmap="RdBu_r", rasterized=True)
    ax.set_ylim(edges[0], edges[-1])
    _shares(ax, "y")
    ax.grid(False)
    for at, letter in zip(_compared(found), "AB", strict=False):
        ax.axvline(found.steps[at], color="black", linewidth=0.8, linestyle=(0, (1, 1.5)))
        left = at == len(found.steps) - 1
        ax.annotate(
            letter, (found.steps[at], 0.97), xycoords=("data", "axes fraction"), xytext=(-2 if left else 2, 0),
            textcoords="offset points", ha="right" if left else "left", va="top", fontsize=7.0, fontweight="bold",
        )  # fmt: skip
    return image


def _compared(found: Kymograph) -> list[int]:
    """The rows of the two moments, or none where both are one."""
    first, second = found.moments
    return [] if first == second else [first, second]


def _columns(ax: Axes, steps: FloatArray) -> FloatArray:
    """(S + 1,) borders of the columns: half way between two steps, as the axis shows them."""
    scale = ax.xaxis.get_transform()
    places = np.asarray(scale.transform(steps), dtype=np.float64)
    low, high = (float(x) for x in scale.transform(np.array(ax.get_xlim())))
    middle = (places[1:] + places[:-1]) / 2
    return np.asarray(scale.inverted().transform(np.concatenate([[low], middle, [high]])), dtype=np.float64)


def _shares(ax: Axes, which: str) -> None:
    """Ticks in percent on a logarithmic axis of shares."""
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_locator(FixedLocator(MARKS))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))


def _profile(ax: Axes, found: Kymograph) -> None:
    """Knots by distance from the boundary at the two moments, with their standard errors."""
    edges = found.edges.copy()
    edges[0] = edges[1] ** 2 / edges[2]
    middle = np.sqrt(edges[1:] * edges[:-1])
    several = len(_compared(found)) > 1
    for at, letter, color in zip(dict.fromkeys(found.moments), "AB", (EARLY, LATE), strict=False):
        mean, error = found.means["knots_boundary"][at], np.nan_to_num(found.errors["knots_boundary"][at])
        keep = np.isfinite(mean)
        ax.fill_between(middle[keep], (mean - error)[keep], (mean + error)[keep], color=color, alpha=0.25, linewidth=0)
        ax.plot(middle[keep], mean[keep], color=color, label=f"{letter}, step {found.steps[at]:,.0f}" if several else "")
    ax.set(xscale="log", xlim=(edges[0], edges[-1]), xlabel="distance from the boundary, % of the side")
    _shares(ax, "x")
    curves.mark_level(ax, 1.0)
    ax.set_ylim(bottom=0.0)
    ax.set_ylabel("knots over the window's")
    said = "knots at A and B" if several else f"knots at step {found.steps[found.moments[0]]:,.0f}"
    ax.set_title(f"e  {said}" + (" ± standard error" if found.planes > 1 else ""), loc="left")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="upper right", frameon=False, fontsize=6.5)


def _medians(ax: Axes, found: Kymograph, steps: Sequence[Row]) -> None:
    """The median distance of knots over that of area, from the boundary and from the anchors."""
    curves.step_axis(ax, found.steps)
    lines = (("distance_ratio_boundary", "boundary", BOUNDARY), ("distance_ratio_anchors", "anchors", TRAIN))
    for name, label, color in lines:
        mean, error = curves.column(steps, name), np.nan_to_num(curves.column(steps, f"{name}_error"))
        keep = np.isfinite(mean)
        if keep.any():
            low, high = (mean - error)[keep], (mean + error)[keep]
            ax.fill_between(found.steps[keep], low, high, color=color, alpha=0.22, linewidth=0)
            dot = "o" if keep.sum() == 1 else ""
            ax.plot(found.steps[keep], mean[keep], color=color, marker=dot, markersize=3.5, label=f"from the {label}")
    curves.mark_level(ax, 1.0)
    ax.set_xlabel("training step")
    ax.set_title("f  median distance of knots over area's", loc="left")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="upper left", frameon=False, fontsize=6.5)


def _planes(count: int) -> str:
    return "1 plane" if count == 1 else f"{count} planes"


# ---- lineage ---------------------------------------------------------------------------------------------------


def lineage(found: Trails, table: Sequence[Row], ledger: Sequence[Row], regions: Row) -> Figure:
    """Trails over the slice, distances over the steps, the ledger by layer.

    table: one row per step with distance_0, ...; ledger: one row per layer, last -1 for all; regions: numbers, shares.
    """
    count = len(ledger) - 1
    with sheet(4.3) as figure:
        left, right = np.ravel(np.asarray(figure.subfigures(1, 2, width_ratios=(1.12, 1.0)), dtype=object))
        _trails(left.subplots(), found)
        upper, lower = right.subplots(2, 1, height_ratios=(1.0, 1.15))
        tones = _tones(count)
        _distances(upper, found, table, tones)
        _bars(lower, found, ledger, tones)
        left.supxlabel(_said(regions), fontsize=6.5, x=0.02, ha="left")
    return figure


def _tones(count: int) -> list[Any]:
    """A blue a layer, the first the palest."""
    return [matplotlib.colormaps["Blues"](x) for x in (np.linspace(0.42, 1.0, count) if count > 1 else [0.85])]


def _trails(ax: Axes, found: Trails) -> None:
    part = found.last
    draw.regions(part, ax=ax, fill=np.ones((part.num_regions, 3)), edge_color="#cccccc", line_width=0.3)
    colors = matplotlib.colormaps["viridis_r"](np.linspace(0.12, 1.0, len(found.trails)))
    for trail, color in zip(found.trails, colors, strict=True):
        ax.add_collection(
            LineCollection(list(trail.knots), colors=[color], linewidths=1.1, capstyle="round", zorder=3), autolim=False
        )
        ax.plot([], [], color=color, label=f"{trail.step:,}")
    draw.boundary(part, ax=ax, line_width=1.3, casing=0.7)
    draw.anchors(part.plane, ax=ax, star=8.0)
    few = "the unit" if found.followed == 1 else f"the {found.followed} units"
    said = f"{few} that moved most" if found.followed else "no unit to follow from step to step"
    bare(ax, "")
    ax.set_title(f"a  {said}", loc="left", fontsize=8.0, fontweight="bold")
    if found.trails and found.followed:
        handles, labels = ax.get_legend_handles_labels()
        chosen = [(h, x) for h, x in zip(handles, labels, strict=True) if x in {f"{t.step:,}" for t in found.trails}]
        ax.legend(
            *zip(*chosen, strict=True), title="step", ncols=len(chosen), fontsize=6.0, title_fontsize=6.5, frameon=False,
            loc="upper center", bbox_to_anchor=(0.5, -0.01), handlelength=1.0, columnspacing=0.8,
        )  # fmt: skip


def _distances(ax: Axes, found: Trails, table: Sequence[Row], tones: Sequence[Any]) -> None:
    curves.step_axis(ax, found.steps)
    for layer, tone in enumerate(tones):
        for unit in np.flatnonzero(found.layers == layer):
            ax.plot(found.steps, 100 * found.distances[:, unit], color=tone, linewidth=0.25, alpha=0.35, zorder=1.5)
    medians = [100 * curves.column(table, f"distance_{layer}") for layer in range(len(tones))]
    names = fills.layer_names(found.last, lambda name: len(name) <= 12)  # up to four in a row
    for layer, tone in enumerate(tones):
        ax.plot(found.steps, medians[layer], color=tone, linewidth=2.2, label=names[layer], zorder=3)
    known = found.distances[np.isfinite(found.distances)]
    ax.set_ylim(0.0, 100 * float(np.quantile(known, 0.98)) * 1.05 if len(known) else 1.0)
    ax.set_ylabel("% of the side")
    ax.set_xlabel("training step")
    ax.set_title("b  units' mean distance from the boundary", loc="left")
    ax.legend(loc="upper right", frameon=False, fontsize=6.5, ncols=min(len(tones), 4), handlelength=1.2, columnspacing=0.8)


def _bars(ax: Axes, found: Trails, ledger: Sequence[Row], tones: Sequence[Any]) -> None:
    """Three bars a layer, and three for all: what stayed, vanished, appeared, in window sides."""
    reaches = [abs(row[fate]) + np.nan_to_num(row[f"{fate}_error"]) for row in ledger for fate, _ in FATES]
    extent = max((reach for reach in reaches if np.isfinite(reach)), default=0.0) or 1.0
    if not found.planes:
        said = "no plane has a decision boundary in view at both"
        ax.text(0.5, 0.5, said, transform=ax.transAxes, ha="center", va="center", fontsize=6.5)
    names = []
    for at, (row, tone) in enumerate(zip(ledger, [*tones, "#555555"], strict=True)):
        names.append(f"layer {row['layer']:.0f}" if row["layer"] >= 0 else "all")
        for k, (fate, words) in enumerate(FATES):
            place, value, error = 4 * at + k, row[fate], float(np.nan_to_num(row[f"{fate}_error"]))
            if not np.isfinite(value):
                continue
            inside, hatch = tone if fate == "stay" else "white", "////" if fate == "vanish" else None
            ax.barh(place, value, height=0.9, edgecolor=tone, linewidth=0.8, facecolor=inside, hatch=hatch)
            if error:
                ax.errorbar(value, place, xerr=error, color="black", linewidth=0.8, capsize=1.5)
            tip = max(value + error, 0.0) + 0.03 * extent
            said = f"{value:+.1f}" + (f" ± {error:.1f}" if error else "")
            ax.text(tip, place, f"{words} {said}" if at == 0 else said, va="center", fontsize=5.5)
    ax.axvline(0.0, color="black", linewidth=0.6)
    ax.set_xlim(-1.15 * extent, 2.3 * extent)
    ax.set_ylim(4 * len(ledger) - 1.2, -0.8)
    ax.set_yticks([4 * at + 1 for at in range(len(ledger))], labels=names)
    ax.grid(False)
    ax.set_xlabel(f"within {100 * found.near:g}% of the boundary, in window sides")
    first, second = found.between
    ax.set_title(f"c  steps {first:,} to {second:,}, {_planes(found.planes)}", loc="left")


def _said(regions: Row) -> str:
    """What became of the regions between the two steps, in words."""

    def one(name: str, word: str) -> str:
        return f"{regions[f'regions_{name}']:,.0f} {word} ({100 * regions[f'area_{name}']:.0f}%)"

    return f"regions: {one('stayed', 'stayed')}, {one('died', 'died')}, {one('born', 'born')}"
