"""Parts of the plots of studies: a sheet in the paper's style, panels of curves, phases of training, slices in a row.
Here too: plain numbers on logarithmic axes, frames without ticks, shades of a colour.

This file measures nothing, and knows no study.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from splineviz.drawing import curves, draw, fills
from splineviz.drawing.canvas import styled
from splineviz.drawing.curves import TRAIN, Row
from splineviz.drawing.figures import PAPER_STYLE
from splineviz.geometry.partition import Partition

WIDTH = 6.75
"""Of a figure across two columns, in inches."""


class sheet:  # noqa: N801  # used as a function in `with`
    """A figure in the style of a paper, `height` inches high; the style holds while it is filled."""

    def __init__(self, height: float, width: float = WIDTH):
        self._style = styled({**PAPER_STYLE, "axes.titlesize": 8.0})
        self._size = (width, height)

    def __enter__(self) -> Figure:
        self._style.__enter__()
        figure = Figure(figsize=self._size, layout="constrained")
        FigureCanvasAgg(figure)
        return figure

    def __exit__(self, *error: Any) -> None:
        self._style.__exit__(*error)


def panel(ax: Axes, table: Sequence[Row], lines: curves.Curves, title: str, *, legend: Mapping[str, Any] | None) -> None:
    """Curves over the steps, with a title and, for several, their names; without a legend, above the axes."""
    chosen = curves.present(table, lines)
    curves.step_axis(ax, curves.column(table, "step"))
    if chosen:
        curves.value_axis(ax, table, chosen)
        curves.plot_curves(ax, table, chosen)
    ax.set_title(title, loc="left")
    ax.set_xlabel("training step")
    if legend is None:
        curves.name_curves(ax, chosen, 7.0)
    elif len(chosen) > 1:
        ax.legend(**{"frameon": False, "fontsize": 6.5, "handlelength": 1.4, "labelspacing": 0.3, **legend})


LETTERS = 20
"""Of a layer's name, as many as a panel's title and a legend have room for."""


def plain_ticks(ax: Axes, radii: Sequence[float] | None) -> None:
    """Numbers, not powers, on a logarithmic axis: of these radii below, or of the decades at the left (None)."""
    axis = ax.yaxis if radii is None else ax.xaxis
    if radii is not None:
        ax.set(xscale="log", xlabel="radius r", xticks=list(radii))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def mark_phases(ax: Axes, table: Sequence[Row], phases: tuple[int, int]) -> None:
    """Name the three phases above their ranges, and say the training points' values at their ends."""
    steps, values = curves.column(table, "step"), curves.column(table, "lc_train")
    low, peak = phases
    left, right = ax.get_xlim()
    edges = [left, float(steps[low]), float(steps[peak]), right]
    place = ax.transData
    bottom, top = ax.get_ylim()
    if ax.get_yscale() == "linear":  # room for letters and names, above all curves and their values, and for one value below
        below = 0.12 * (top - bottom)
        bottom, top = bottom - below if bottom > below else bottom, top + 0.26 * (top - bottom)
        ax.set_ylim(bottom, top)
    for name, begin, end, shade in zip(
        ("descent", "ascent", "migration"), edges, edges[1:], ("#f7f7f7", "#ffffff", "#f2efe6"), strict=False
    ):
        if begin == steps[-1]:
            continue  # training stopped before this phase
        ax.axvspan(begin, end, color=shade, zorder=0)
        middle = (place.transform((begin, 0))[0] + place.transform((end, 0))[0]) / 2
        x = ax.transAxes.inverted().transform((middle, 0))[0]
        look = {"ha": "center", "va": "top", "fontsize": 6.5, "color": "#777777", "style": "italic"}
        text = ax.text(x, 0.915, name, transform=ax.transAxes, **look)  # type: ignore[arg-type]
        if text.get_window_extent().width > abs(place.transform((end, 0))[0] - place.transform((begin, 0))[0]):
            text.remove()  # a phase too short for its name
    halo = [patheffects.withStroke(linewidth=1.8, foreground="white")]  # values stand among curves
    for index in dict.fromkeys((0, low, peak, len(table) - 1)):
        ax.plot(steps[index], values[index], marker="o", markersize=3.0, color=TRAIN, zorder=3)
        style: dict[str, Any] = {"fontsize": 6.5, "color": TRAIN, "path_effects": halo, "zorder": 4}
        if index == len(table) - 1:
            shift, style = (-5, 0), style | {"ha": "right", "va": "center"}
        elif index == low and values[index] > bottom + 0.12 * (top - bottom):
            shift, style = (0, -4), style | {"ha": "center", "va": "top"}
        else:
            shift, style = (0, 4), style | {"ha": "center" if index else "left", "va": "bottom"}
        point = (steps[index], values[index])
        ax.annotate(f"{values[index]:.2f}", point, xytext=shift, textcoords="offset points", **style)


def slices_in_a_row(area: Any, slices: Mapping[int, Partition], thumbnails: Sequence[Any]) -> None:
    """Partitions side by side with one colour scale."""
    limits = draw.shared_limits(list(slices.values()), fill="slope")
    axes = area.subplots(1, len(slices), squeeze=False)[0]
    for ax, letter, (step, part) in zip(axes, "abcd", slices.items(), strict=False):
        image = draw.regions(part, ax=ax, limits=limits, line_width=0.3)
        draw.boundary(part, ax=ax, line_width=1.2, casing=0.8)
        draw.anchors(part.plane, ax=ax, star=10.0, size=26.0, thumbnails=thumbnails, avoid=part.decision_boundary())
        bare(ax, f"{letter}: step {step:,}, {part.num_regions:,} regions")
    zero = any(fills.has_zeros(part, "slope") for part in slices.values())
    bar = fills.color_bar(area, image, zero=zero, ax=list(axes), fraction=0.03, pad=0.015)
    bar.set_label("slope norm", fontsize=7.0)
    bar.ax.yaxis.set_minor_locator(NullLocator())
    marks, texts = fills.ticks("slope", bar.norm)
    bar.set_ticks(marks, labels=texts)
    bar.ax.grid(False)


def bare(ax: Axes, title: str) -> None:
    """No ticks, a thin frame, a small title."""
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, loc="left", fontsize=7.5, fontweight="normal")
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set(visible=True, color="#999999", linewidth=0.5)


def shades(color: str, count: int) -> list[Any]:
    """Colours from a light one to the given one."""
    scale = LinearSegmentedColormap.from_list("shades", ["#ffffff", color])
    return [tuple(c) for c in scale(np.linspace(0.42 if count < 4 else 0.3, 1.0, count) if count > 1 else [1.0])]
