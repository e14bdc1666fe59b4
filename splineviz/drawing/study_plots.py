r"""Study plots: the paper's figures (arXiv 2402.15555) from tables of measures and partitions.
Also the curves of one run of any network: accuracies, complexities, live units and norms.

    dynamics    Fig. 2, 7     accuracy, accuracy under attack and local complexity over the steps, phases, slices
    migration                 knots and gradient variation near the anchors and near the boundary, over the window's
    windows     Fig. 26       regions in equal squares near the decision boundary and away from it
    layers      Fig. 24       the knots of each layer by themselves, over training
    exact       Fig. 25, 35   exact and sampled number of units in the same neighbourhoods
    heat                      both numbers and the density of knots over a slice, beside its knots
    deformation               eccentricity and diameter of embedded neighbourhoods against their radius
    comparison  Fig. 10, ...  accuracy and local complexity of several runs
    relief      Fig. 3        the graph of a network from the plane to the line, over its regions

A table is a sequence of rows by step, as in `curves`. What belongs to training points is green, to test points brown, to
random points blue; accuracy under attack is a lighter orange the stronger the attack. This file measures nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from splineviz.drawing import curves, draw, fills, surface
from splineviz.drawing.curves import RANDOM, TEST, TRAIN, Row
from splineviz.drawing.study_parts import (
    LETTERS,
    WIDTH,
    bare,
    mark_phases,
    panel,
    plain_ticks,
    shades,
    sheet,
    slices_in_a_row,
)
from splineviz.errors import FloatArray
from splineviz.geometry.partition import Partition

ATTACKS = ("#d94801", "#ec6d14", "#f58b3c", "#fba45f", "#fdbe85", "#f9d3ae")
"""Colours of the accuracies under attack, from the smallest eps to the largest."""

PLACES = (("train", TRAIN), ("test", TEST), ("random", RANDOM))
"""Points of the local complexity, and their colours."""

AWAY = RANDOM
"""Colour of what lies away from the decision boundary."""


UNDER = "#f5c58f"
"""Colour of exact counts, drawn broad under the sampled ones; a pale `curves.EXACT`."""


def dynamics(
    table: Sequence[Row],
    slices: Mapping[int, Partition],
    *,
    radius: float,
    phases: tuple[int, int] | None,
    eps: Sequence[float] = (),
    thumbnails: Sequence[Any] = (),
) -> Figure:
    """Accuracy (also under attack) and local complexity over the steps, and slices beneath, by step.

    phases: rows where the descent and the ascent end (None: no such phases); eps: of the columns robust_<eps>.
    """
    with sheet(5.6) as figure:
        upper, lower = figure.subfigures(2, 1, height_ratios=(1.0, 1.28), squeeze=False)[:, 0]
        left, right = upper.subplots(1, 2)
        robust = tuple((f"robust_{e:g}", f"eps {e:g}", color) for e, color in zip(eps, ATTACKS, strict=False))
        panel(left, table, (*curves.ACCURACY, *robust), "accuracy", legend={"loc": "upper left", "fontsize": 6.0})
        panel(right, table, curves.COMPLEXITY, "local complexity", legend=None)
        right.set_ylabel(f"r = {radius:g}")
        if phases is not None:
            mark_phases(right, table, phases)
        last = float(curves.column(table, "step")[-1])
        left.set_ylim(top=1.12)  # room for the letters above an accuracy of 1
        for ax in (left, right):
            for letter, step in zip("abcd", slices, strict=False):
                ax.axvline(step, color="#555555", linewidth=0.7, linestyle=(0, (2, 2)), zorder=0.5)
                side = -1 if step == last else 1  # beside its line, inside the axes: above them is the title
                ax.annotate(
                    letter, (step, 1.0), xycoords=("data", "axes fraction"), xytext=(2 * side, -1),
                    textcoords="offset points", ha="left" if side > 0 else "right", va="top", fontsize=7.0, color="#555555",
                    fontweight="bold",
                )  # fmt: skip
        slices_in_a_row(lower, slices, thumbnails)
    return figure


def curves_of_run(
    table: Sequence[Row], *, radius: float, num_vectors: int, eps: Sequence[float] = ()
) -> Figure:
    """Accuracy (also under attack), local and gradient complexity, units, norms of weights and of outputs over the steps."""
    robust = tuple((f"robust_{e:g}", f"eps {e:g}", color) for e, color in zip(eps, ATTACKS, strict=False))
    panels: tuple[tuple[str, curves.Curves, str], ...] = (
        ("accuracy, nested attacks", (*curves.ACCURACY, *robust), ""),
        ("local complexity", curves.COMPLEXITY, curves.settings_label(radius, num_vectors)),
        ("gradient complexity", curves.GRADIENT, "knots per length"),
        ("units on training points", curves.UNITS, "units"),
        ("norm of the weights", (("weight_norm", "weights", "#333333"),), ""),
        ("mean norm of the outputs", (("logit_norm", "outputs", "#333333"),), ""),
    )
    with sheet(3.9) as figure:
        for ax, (title, lines, label) in zip(figure.subplots(2, 3).flat, panels, strict=True):
            many = {"loc": "upper left", "fontsize": 5.0, "labelspacing": 0.1, "handlelength": 1.1} if len(lines) > 4 else {}
            panel(ax, table, lines, title, legend={"fontsize": 6.0, **many})
            ax.set_ylabel(label)
    return figure


def migration(table: Sequence[Row], phases: tuple[int, int] | None, *, radius: float) -> Figure:
    """Where the knots are over training: local complexity, densities, their ratios to the window's, crossings, units."""
    steps = curves.column(table, "step")
    red = draw.BOUNDARY_COLOR
    panels: tuple[tuple[str, curves.Curves, bool], ...] = (
        (f"local complexity, r = {radius:g}", curves.COMPLEXITY, False),
        (
            "knots per area",
            (("knot_density", "window", "#333333"), ("knot_density_anchors", "near anchors", TRAIN),
             ("knot_density_boundary", "near boundary", red)),
            False,
        ),
        (
            "knots, ratio to the window",
            (("knot_ratio_anchors", "near anchors", TRAIN), ("knot_ratio_boundary", "near boundary", red)), True,
        ),
        (
            "gradient jumps, ratio",
            (("variation_ratio_anchors", "near anchors", TRAIN), ("variation_ratio_boundary", "near boundary", red)), True,
        ),
        ("crossings between anchors", (("crossings", "crossings", "#333333"),), False),
        (
            "units on training points",
            (("units_live", "live", TRAIN), ("units_linear", "linear", "#6a6f73"), ("units_dead", "dead", "#b58a60")), False,
        ),
    )  # fmt: skip
    with sheet(3.9) as figure:
        for ax, (title, lines, ratio) in zip(figure.subplots(2, 3).flat, panels, strict=True):
            panel(ax, table, lines, title, legend={"fontsize": 6.0})
            curves.mark_level(ax, 1.0 if ratio else None)
            if phases is not None:  # the ascent's end, after which regions are said to migrate
                ax.axvspan(steps[phases[1]], ax.get_xlim()[1], color="#f2efe6", zorder=0)
    return figure


def windows(table: Sequence[Row], slices: Mapping[int, tuple[Partition, FloatArray, FloatArray, float]]) -> Figure:
    """Regions in equal squares near the decision boundary and away from it.

    slices: by step, the partition, centres (n, 2) of the squares near and away, and their side.
    """
    lines = (
        ("regions_near", "near the boundary", draw.BOUNDARY_COLOR), ("regions_away", "away from it", AWAY),
    )  # fmt: skip
    with sheet(2.5) as figure:
        axes = figure.subplots(1, 1 + len(slices), width_ratios=(1.35, *[1.0] * len(slices)), squeeze=False)[0]
        panel(axes[0], table, lines, "regions in a square", legend={})
        axes[0].set_ylim(bottom=0.0)  # a band may reach below, a number cannot
        for ax, (step, (part, near, away, side)) in zip(axes[1:], slices.items(), strict=True):
            draw.regions(part, ax=ax, line_width=0.25)
            draw.boundary(part, ax=ax, line_width=0.8, casing=0.4)
            for centres, color in ((near, draw.BOUNDARY_COLOR), (away, AWAY)):
                for u, v in centres:
                    corner = (u - side / 2, v - side / 2)
                    ax.add_patch(Rectangle(corner, side, side, fill=False, edgecolor="white", linewidth=1.8, zorder=4))
                    ax.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=color, linewidth=0.9, zorder=5))
            bare(ax, f"step {step:,}")
            ax.set_anchor("N")  # in line with the curves
    return figure


def layers(slices: Mapping[int, Partition]) -> Figure:
    """The knots of each layer by themselves: one row per step, one column per layer, the decision boundary over all."""
    first = next(iter(slices.values()))
    count = len(first.unit_offsets) - 1
    side = min(WIDTH / count, 2.3)
    shades = LinearSegmentedColormap.from_list("layers", ["#0b3c5d", "#328cc1", "#c77f1a"])
    names = fills.layer_names(first, lambda name: len(name) <= LETTERS)
    with sheet(0.22 + (side + 0.18) * len(slices), width=side * count + 0.2) as figure:
        rows = figure.subplots(len(slices), count, squeeze=False)
        for axes, (step, part) in zip(rows, slices.items(), strict=True):
            born = part.edge_unit[:, 0]
            for layer, ax in enumerate(axes):
                ink = shades(layer / max(count - 1, 1))
                draw.regions(
                    part, ax=ax, fill=np.ones((part.num_regions, 3)), edges=born == layer, edge_color=ink, line_width=0.4,
                )  # fmt: skip
                draw.boundary(part, ax=ax, line_width=1.0, casing=0.6)
                draw.anchors(part.plane, ax=ax, star=7.0)
                units = len(np.unique(part.edge_tag[born == layer]))
                bare(ax, f"{names[layer]}: {units:,} units" if count < 4 else f"{layer}: {units:,}")
                if layer == 0:
                    ax.set_ylabel(f"step {step:,}")
    return figure


def exact(table: Sequence[Row], radii: Sequence[float], radius: float) -> Figure:
    """Exact and sampled counts over the steps, and over the radius at the last step, with their difference."""
    with sheet(2.3) as figure:
        left, middle, right = figure.subplots(1, 3)
        pair = ((f"exact_{radius:g}", "exact", UNDER), (f"sampled_{radius:g}", "sampled", curves.SAMPLED))
        panel(left, table, pair, f"units in a diamond, r = {radius:g}", legend={})
        for line, width in zip(left.get_lines(), (4.0, 1.0), strict=False):  # mostly one covers the other
            line.set_linewidth(width)
        shades = LinearSegmentedColormap.from_list("steps", ["#a6a6a6", "#111111"])
        chosen = [0, len(table) // 2, len(table) - 1] if len(table) > 2 else list(range(len(table)))
        for at, index in enumerate(dict.fromkeys(chosen)):
            row, shade = table[index], shades(at / max(len(chosen) - 1, 1))
            values = {kind: np.array([row[f"{kind}_{r:g}"] for r in radii]) for kind in ("exact", "sampled")}
            middle.plot(radii, values["exact"], color=UNDER, linewidth=4.0, zorder=1.5)
            middle.plot(radii, values["sampled"], color=shade, label=f"step {row['step']:,.0f}")
            missed = np.divide(
                values["exact"] - values["sampled"], values["exact"], out=np.zeros(len(radii)), where=values["exact"] > 0
            )
            right.plot(radii, missed, color=shade, marker="o", markersize=2.5, clip_on=False)
        middle.set(yscale="log")
        middle.set_title("exact (orange), sampled", loc="left")
        middle.legend(frameon=False, fontsize=6.0)
        for ax in (middle, right):
            plain_ticks(ax, radii)
        plain_ticks(middle, None)
        right.set_ylim(bottom=0.0)
        right.set_title("share that sampling misses", loc="left")
    return figure


def heat(partition: Partition, exact_counts: Any, sampled: Any, density: Any, *, radius: float, step: int) -> Figure:
    """Both counts and the density of knots, (rows, columns) each, over the slice's window, beside its knots."""
    low, high = partition.window.min(axis=0), partition.window.max(axis=0)
    top = max(float(exact_counts.max()), 1.0)
    panels = (
        (sampled, f"units sampled, r = {radius:.2g}", top, "units"),
        (exact_counts, f"units, exact, r = {radius:.2g}", top, "units"),
        (density, "knots, exact", max(float(density.max()), 1e-300), "length per area"),
    )
    with sheet(5.6) as figure:
        axes = figure.subplots(2, 2).flatten()
        for ax, (values, title, most, label) in zip(axes, panels, strict=False):
            image = ax.imshow(
                values, origin="lower", extent=(low[0], high[0], low[1], high[1]), vmin=0, vmax=most, cmap="magma"
            )
            draw.boundary(partition, ax=ax, line_width=0.8, casing=0.5)
            bare(ax, title)
            figure.colorbar(image, ax=ax, label=label, fraction=0.05, pad=0.02)
        figure.colorbar(image, ax=axes[3], fraction=0.05, pad=0.02).ax.set_visible(False)  # as wide as the others
        draw.regions(partition, ax=axes[3], line_width=0.3)
        draw.boundary(partition, ax=axes[3], line_width=0.8, casing=0.5)
        bare(axes[3], f"slope and knots, step {step:,}")
    return figure


def deformation(table: Sequence[Row], *, radius: float, paths: Sequence[str] = ()) -> Figure:
    """Eccentricity and diameter of embedded neighbourhoods, over those in input space, one line per layer, one row per step.

    Level: the layers are affine on the neighbourhood. radius: that of the local complexity, marked. paths: of the layers.
    """
    steps = list(dict.fromkeys(row["step"] for row in table))
    layers = sum(name.startswith("diameter_") for name in table[0])
    shades = LinearSegmentedColormap.from_list("layers", ["#9ecae1", RANDOM])
    names = fills.named_layers(layers, paths, lambda name: len(name) <= LETTERS)
    with sheet(0.4 + 1.9 * len(steps)) as figure:
        axes = figure.subplots(len(steps), 3, squeeze=False, sharex="col")
        for trio, step in zip(axes, steps, strict=True):
            rows = [row for row in table if row["step"] == step]
            radii = curves.column(rows, "radius")
            _by_depth(trio[2], rows, layers, radius)
            for ax, name in zip(trio[:2], ("eccentricity", "diameter"), strict=True):
                for layer in range(layers):
                    values = curves.column(rows, f"{name}_{layer}")
                    ax.plot(radii, values, color=shades(layer / max(layers - 1, 1)), label=names[layer])
                ax.axvline(radius, color="#555555", linewidth=0.7, linestyle=(0, (2, 2)), zorder=0.5)
                ax.set(xscale="log", ylim=(0.0, None))
                ax.set_title(f"{name}, step {step:,.0f}", loc="left")
        axes[0, 0].set_ylabel("over the input's")
        for ax, label in zip(axes[-1], ("radius r", "radius r", "layer"), strict=True):
            ax.set_xlabel(label)
        axes[0, 0].legend(frameon=False, fontsize=6.0)
        axes[0, 2].legend(frameon=False, fontsize=6.0, ncols=2, loc="upper right")
    return figure


def _by_depth(ax: Any, rows: Sequence[Row], layers: int, radius: float) -> None:
    """Eccentricity by layer for a few radii, each over that of the smallest: 1 where nothing is deformed."""
    chosen = [row for row in rows if min(abs(np.log10(row["radius"] / radius) - k) for k in (-1, 0, 1, 2)) < 1e-6]
    least = np.array([rows[0][f"eccentricity_{i}"] for i in range(layers)])
    for row, shade in zip(chosen, shades("#000000", len(chosen)), strict=True):
        values = np.array([row[f"eccentricity_{i}"] for i in range(layers)]) / least
        ax.plot(range(layers), values, color=shade, marker="o", markersize=2.5, label=f"r = {row['radius']:.2g}")
    curves.mark_level(ax, 1.0)
    ax.set(xticks=range(layers), ylim=(0.0, 1.4 * max(ax.dataLim.y1, 1.0)))  # with room for the legend
    ax.set_title("eccentricity by layer", loc="left")
    ax.set_ylabel("over that of a small r")


def comparison(tables: Mapping[str, Sequence[Row]], *, radius: float, about: str) -> Figure:
    """Accuracy and local complexity of several runs: one line per run, darker from the first to the last.

    tables: by the run's label, in order; about: what the labels are, the title of the legend.
    """
    panels = (("test_accuracy", "test accuracy", TEST), *((f"lc_{place}", place, color) for place, color in PLACES))
    with sheet(4.3) as figure:
        axes = figure.subplots(2, 2).flatten()
        for ax, (name, place, color) in zip(axes, panels, strict=True):
            lines = tuple((label, shade) for label, shade in zip(tables, shades(color, len(tables)), strict=True))
            merged = [row for table in tables.values() for row in table]
            curves.step_axis(ax, curves.column(merged, "step"))
            shown = [(tables[label], ((name, label, shade),)) for label, shade in lines]
            shown = [(table, line) for table, line in shown if curves.present(table, line)]
            if len(tables) > 3:  # many bands on each other say nothing; they are in the table
                shown = [([{k: v for k, v in row.items() if not k.endswith("_band")} for row in t], x) for t, x in shown]
            if shown:
                curves.value_axis(ax, [row for table, _ in shown for row in table], ((name, "", color),))
            for table, line in shown:
                curves.plot_curves(ax, table, line)
            title = place if name.endswith("accuracy") else f"local complexity, {place} points, r = {radius:g}"
            ax.set_title(title, loc="left")
            ax.set_xlabel("training step")
        greys = shades("#000000", len(tables))
        keys = [Line2D([], [], color=shade, label=label) for label, shade in zip(tables, greys, strict=True)]
        axes[0].legend(handles=keys, title=about, frameon=False, fontsize=6.5, title_fontsize=6.5, loc="upper left")
    return figure


def relief(slices: Mapping[int, Partition]) -> Figure:
    """The graph of a network with one output over the plane, tile by tile, and its knots below; one panel per step."""
    with sheet(WIDTH / len(slices) * 0.78) as figure:
        figure.set_layout_engine("none")  # a box in perspective leaves much room unused: its axes reach beyond their cells
        for at, (step, part) in enumerate(slices.items()):
            place = (at / len(slices) - 0.02, -0.06, 1.0 / len(slices), 1.08)
            ax: Any = figure.add_axes(place, projection="3d")
            surface.surface(part, ax=ax)
            said = f"step {step:,}: {part.num_regions:,} regions"
            figure.text(at / len(slices) + 0.02, 0.97, said, va="top", weight="bold")
            ax.tick_params(labelsize=6.0, pad=-2)
            for axis in (ax.xaxis, ax.yaxis):  # the third's label is clear of its numbers already
                axis.labelpad = -6
    return figure
