"""Curves: the measures of a run over its training steps, as lines on an Axes.
Here too: one measure over all rows of a table, curves that have values at all, axes of steps and of values, line styles and
the names of curves, marks at a value and at steps that could not be measured, and the sampling's settings as a label.

A table is a sequence of rows, one a checkpoint, in order of steps; a curve is (name of the column, label, colour). A
column `<name>_band` is drawn as the band around `<name>`. A value that is NaN or absent leaves a gap; a curve
without values is left out by `present`. Steps are on a logarithmic axis on which step 0 has its place.
This file lays out no figure and knows no partition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnchoredOffsetbox, DrawingArea, HPacker, TextArea
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from splineviz import choices
from splineviz.errors import DataError, FloatArray

Row = Mapping[str, float]

TRAIN, TEST, RANDOM = "#00381c", "#b5490a", "#4f96cf"
"""Colours of the curves: the paper's hues (arXiv 2402.15555), far apart in lightness too, so that nobody needs the hue."""

EXACT, SAMPLED = "#e08214", "#333333"
"""Colours of the two counts in the same neighbourhoods; they nearly coincide, so the second is dashed and dark."""

BOUNDARY = "#e9573f"
"""Colour of what belongs to the decision boundary."""

Curves = tuple[tuple[str, str, str], ...]

ACCURACY = (("train_accuracy", "train", TRAIN), ("test_accuracy", "test", TEST))
ATTACKED = (("robust_0.03", "eps 0.03", RANDOM), ("robust_0.1", "0.1", "#7010b8"))
"""Accuracy under attack beside the plain ones, in colours that stay apart from theirs for every reader."""
COMPLEXITY = (("lc_train", "train", TRAIN), ("lc_test", "test", TEST), ("lc_random", "random", RANDOM))
WIDE = tuple((name.replace("lc_", "lc_wide_"), label, color) for name, label, color in COMPLEXITY)
SLICE = (("slice_exact", "exact", EXACT), ("slice_sampled", "sampled", SAMPLED))
REGIONS = (("regions", "regions", "#333333"),)
MIGRATION = (
    ("knot_ratio_boundary", "boundary", BOUNDARY), ("knot_ratio_anchors", "anchors", TRAIN),
    ("boundary_distance_ratio", "distance", "#a52dc3"),
)  # fmt: skip
VARIATION = (("variation_ratio_boundary", "boundary", BOUNDARY), ("variation_ratio_anchors", "anchors", TRAIN))
UNITS = (("units_live", "live", TRAIN), ("units_linear", "linear", "#6a6f73"), ("units_dead", "dead", "#b58a60"))
LENGTH = (("boundary_length", "boundary length", BOUNDARY),)
GRADIENT = (("gradient_complexity", "train", TRAIN),)
FOLDING = (("crossings", "all", "#333333"), ("folding", "folding", "#b5490a"))
CHURN = (("churn", "churn", "#333333"),)
KNOTS = (("knot_length", "knots", "#333333"),)

DASHED: Mapping[str, Any] = {"slice_sampled": (0, (2.6, 2.0))}
"""Lines of columns that would hide another, so that both are seen: thin, and without a band of their own."""

LINES: Mapping[str, Any] = {
    "test": (0, (4.2, 1.3)), "random": (0, (4.2, 1.2, 1.0, 1.2)), "anchors": (0, (4.2, 1.3)),
    "linear": (0, (4.2, 1.3)), "dead": (0, (1.2, 1.2)), "distance": (0, (1.2, 1.2)),
    "0.03": (0, (4.2, 1.2, 1.0, 1.2)), "0.1": (0, (1.2, 1.2)),
}  # fmt: skip
"""Lines of the curves whose columns speak of these, beside their colours; all others are solid."""

RATIO = 1000.0
"""Values that are all positive and so many times apart are drawn on a logarithmic scale."""

STEPS = "<steps>"
"""Label of an Axes along whose foot steps run; it is drawn nowhere."""

MOST = choices.MOST_PANELS
"""Most panels of curves beside a slice."""


UNITS_NEARBY = "units; {vectors}\n{radius}"
"""What the axis of a local complexity says, in two lines: a panel is not always high enough for one."""


@dataclass(frozen=True)
class Chart:
    """A panel of curves: its title, its curves, what its axis says, and a value that is marked by a line.

    label: of the axis, where {radius}, {wide} and {vectors} stand for the settings of the local complexity.
    """

    title: str
    curves: Curves
    label: str = ""
    level: float | None = None

    def of(self, table: Sequence[Row]) -> Chart:
        """The panel with those of its curves that have a value in the table."""
        return replace(self, curves=present(table, self.curves))

    def said(self, radius: float | None, num_vectors: int | None, wide: float | None = None) -> str:
        """The label, with the settings in it."""
        known = {"radius": settings_label(radius, None), "wide": settings_label(wide, None),
                 "vectors": settings_label(None, num_vectors)}  # fmt: skip
        lines = (", ".join(filter(None, line.format(**known).split("; "))) for line in self.label.splitlines())
        return "\n".join(filter(None, lines))


CHARTS = {
    "accuracy": Chart("accuracy", (*ACCURACY, *ATTACKED)),
    "complexity": Chart("local complexity", COMPLEXITY, UNITS_NEARBY),
    "wide": Chart("local complexity", WIDE, UNITS_NEARBY.replace("radius", "wide")),
    "exact": Chart("units nearby", SLICE, "units\n{radius}"),
    "regions": Chart("regions", REGIONS),
    "migration": Chart("migration", MIGRATION, "ratio to\nwindow's", 1.0),
    "variation": Chart("gradient jumps near", VARIATION, "ratio to window", 1.0),
    "units": Chart("units", UNITS, "training points"),
    "boundary": Chart("length of the decision boundary", LENGTH),
    "gradient": Chart("gradient complexity", GRADIENT, "1 / length"),
    "folding": Chart("knots on the way", FOLDING, "from anchor\nto anchor"),
    "churn": Chart("share of the window that changed", CHURN),
}
"""The panels beside a slice, by name."""

PANELS = choices.FILM_PANELS
"""Those of a film, unless others are asked for."""


@dataclass(frozen=True)
class Story:
    """What the frames of a film are frames of: the column that the cursor moves along, its label and scale, the panels.

    scale: "steps" (logarithmic, with a place for 0), "log" or "linear". panels: from top to bottom, each in several ways;
    the first with a value in the table is taken.
    """

    along: str
    label: str
    scale: Literal["steps", "log", "linear"]
    panels: tuple[tuple[Chart, ...], ...]

    def charts(self, table: Sequence[Row]) -> list[Chart]:
        """The panels that have a value in the table, each with those of its curves that have one, no panel twice.

        Where none has one, the number of regions.
        """
        chosen: list[Chart] = []
        for ways in self.panels:
            way = next((way.of(table) for way in ways if way.of(table).curves), None)
            if way is not None and way not in chosen:
                chosen.append(way)
        return chosen or [CHARTS["regions"].of(table)]

    def axis(self, ax: Axes, table: Sequence[Row]) -> None:
        """Set the axis that the cursor moves along."""
        places = column(table, self.along)
        if self.scale == "steps":
            step_axis(ax, places)
            return
        low, high = float(places.min()), float(places.max())
        ax.set_xscale(self.scale)
        if self.scale == "log":
            ax.set_xlim(low / 1.12, high * 1.12)
            ax.xaxis.set_major_locator(LogLocator(numticks=5))
        else:
            room = 0.02 * (high - low) or 1.0
            ax.set_xlim(low - room, high + room)
            ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.xaxis.set_minor_locator(NullLocator())


def axis_of(unit: str) -> str:
    """The name of the axis of steps; unit: what they count, of choices.UNITS."""
    return "training step" if unit == "step" else unit


def training(panels: Sequence[str] = PANELS, unit: str = "step") -> Story:
    """The story of a run's checkpoints, with panels of CHARTS; without local complexity its panel shows the regions.

    unit: what steps count, of choices.UNITS. Raises DataError on a name that is not known, and unless there are 1 to MOST
    panels.
    """
    names = list(dict.fromkeys([panels] if isinstance(panels, str) else panels))
    if unknown := [str(name) for name in names if name not in CHARTS]:
        raise DataError(f"panels: expected some of {', '.join(CHARTS)}, got {', '.join(unknown)}.")
    if not 1 <= len(names) <= MOST:
        raise DataError(f"panels: expected 1 to {MOST} of {', '.join(CHARTS)}, got {len(names)}.")
    instead = {"complexity": (CHARTS["regions"],)}
    return Story("step", axis_of(unit), "steps", tuple((CHARTS[name], *instead.get(name, ())) for name in names))


TRAINING = training()
"""Checkpoints of a run."""


def column(table: Sequence[Row], name: str) -> FloatArray:
    """(n,) one measure over all rows of a table, NaN where a row does not have it."""
    return np.array([float(row.get(name, np.nan)) for row in table], dtype=np.float64)


def step_axis(ax: Axes, steps: FloatArray) -> None:
    """A logarithmic axis of steps on which step 0 has its place, at the left end."""
    ax.set_label(STEPS)
    positive = steps[steps > 0]
    first = 10.0 ** np.floor(np.log10(positive.min())) if len(positive) else 1.0
    last = float(max(steps.max(initial=0.0), first))
    if (steps == 0).any() or len(positive) == 0:
        ax.set_xscale("symlog", linthresh=first, linscale=0.5)
        ax.set_xlim(-0.06 * first, last * 1.12)
    else:
        ax.set_xscale("log")
        ax.set_xlim(positive.min() / 1.12, last * 1.12)
    decades = 10.0 ** np.arange(np.log10(first), np.floor(np.log10(last)) + 1)
    figure = ax.get_figure(root=True)
    assert figure is not None
    size = FontProperties(size=matplotlib.rcParams["xtick.labelsize"]).get_size_in_points()  # may be a word: "medium"
    label = (0.64 * len(f"{decades[-1]:,.0f}") + 0.6) * size  # the widest, in points
    stride = max(int(np.ceil((len(decades) - 0.5) * label * figure.dpi / 72.0 / ax.bbox.width)), 1)
    left = [0.0] if (steps == 0).any() or len(positive) == 0 else []
    ax.set_xticks(left + decades[::stride].tolist())
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def present(table: Sequence[Row], curves: Curves) -> Curves:
    """Those curves that have a value somewhere in the table."""
    return tuple(c for c in curves if np.isfinite(column(table, c[0])).any())


def line_of(name: str) -> Any:
    """The line style of a column."""
    if name in DASHED:
        return DASHED[name]
    return next((style for word, style in LINES.items() if word in name.split("_")), "solid")


def _bounds(table: Sequence[Row], name: str) -> tuple[FloatArray, FloatArray]:
    """Lower and upper end (n,) of a column with its band, NaN where it has no value: a band ends at 0, as its values do."""
    values, band = column(table, name), np.nan_to_num(column(table, f"{name}_band"))
    low = values - band
    return np.where(values >= 0, np.maximum(low, 0.0), low), values + band


def plot_curves(
    ax: Axes, table: Sequence[Row], curves: Curves, *, along: str = "step", strength: float = 1.0, line: Any = None
) -> list[Artist]:
    """Draw curves and their bands over a column; strength scales their opacity. Returns the artists.

    line: a style for all of them, by default that of `line_of`.
    """
    steps = column(table, along)
    artists: list[Artist] = []
    for name, label, color in curves:
        values, band = column(table, name), column(table, f"{name}_band")
        keep = np.isfinite(values)
        band = np.nan_to_num(band)
        if band[keep].any() and name not in DASHED:  # one band says it
            low, high = (ends[keep] for ends in _bounds(table, name))
            artists.append(ax.fill_between(steps[keep], low, high, color=color, alpha=0.22 * strength, linewidth=0))
        marker = "o" if keep.sum() == 1 else None
        style: dict[str, Any] = {"color": color, "alpha": strength, "label": label, "marker": marker}
        style["linestyle"] = line_of(name) if line is None else line
        style["linewidth"] = (0.55 if name in DASHED else 1.0) * matplotlib.rcParams["lines.linewidth"]
        artists += ax.plot(steps[keep], values[keep], **style)
    return artists


def value_axis(ax: Axes, table: Sequence[Row], curves: Curves) -> None:
    """Limits that hold all curves with their bands; [0, 1] for accuracies; logarithmic for positive values RATIO apart.

    A band never decides for a logarithmic scale: where it ends near 0, as for few points, it says nothing of decades.
    """
    if curves and curves[0][0].endswith("_accuracy"):
        ax.set_ylim(-0.02, 1.03)
        ax.set_yticks(np.linspace(0, 1, 5 if _room(ax) >= 9 else 3))
        return
    low, high, whole, least, most = np.inf, -np.inf, True, np.inf, -np.inf
    for name, _, _ in curves:
        values, (lower, upper) = column(table, name), _bounds(table, name)
        keep = np.isfinite(values)
        if keep.any():
            low, high = min(low, lower[keep].min()), max(high, upper[keep].max())
            least, most = min(least, values[keep].min()), max(most, values[keep].max())
        whole &= bool((values[keep] % 1 == 0).all()) and bool((lower == upper)[keep].all())
    if not np.isfinite(low):
        low, high = 0.0, 1.0
    if least > 0 and most > RATIO * least:
        ax.set_yscale("log")
        ax.set_ylim(least / 1.5, high * 1.5)
        ax.yaxis.set_major_locator(LogLocator(numticks=6))
        ax.yaxis.set_minor_locator(NullLocator())
        return
    room = 0.06 * (high - low) or max(abs(high), 1.0) * 0.1
    ax.set_ylim(low - room if low < 0 or low - room > 0 else 0.0, high + room)
    ticks = 6 if _room(ax) >= 12 else 5
    ax.yaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10], integer=whole and high > low))  # no half
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def mark_level(ax: Axes, level: float | None) -> None:
    """A thin line at a value, which then lies within the limits; nothing for None."""
    if level is None:
        return
    ax.axhline(level, color="#888888", linewidth=0.4 * matplotlib.rcParams["lines.linewidth"], zorder=0.6)
    low, high = ax.get_ylim()
    ax.set_ylim(min(low, 0.95 * level), max(high, 1.05 * level))


def mark_missing(ax: Axes, places: Sequence[float]) -> None:
    """A dotted line with a cross at its foot for every place whose checkpoint could not be measured."""
    for place in places:
        ax.axvline(place, color="#888888", linestyle=(0, (1, 2)), linewidth=1.0, zorder=0.7)
        ax.plot([place], [0], marker="x", color="#444444", transform=ax.get_xaxis_transform(), clip_on=False, zorder=7)


def mark_missing_in(figure: Figure, steps: FloatArray, places: Sequence[float]) -> None:
    """The same on every axis of steps in a figure, which is made to hold the places; steps: those that were measured."""
    for ax in figure.axes:
        if places and ax.get_label() == STEPS:
            step_axis(ax, np.union1d(steps, places))
            mark_missing(ax, places)


def _room(ax: Axes) -> float:
    """How many labels of ticks fit upon each other beside an Axes."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    size = FontProperties(size=matplotlib.rcParams["ytick.labelsize"]).get_size_in_points()
    return float(ax.get_window_extent().height * 72.0 / figure.dpi / size)


def name_curves(ax: Axes, curves: Curves, size: float, *, lines: bool = True, settled: bool = False) -> None:
    """The curves' lines and names, above the axes at the right: they cannot cover a curve.

    lines: each in its own style; False: solid, where the style tells something else. settled: whether the axes are as wide
    as they will be although a layout is still to come; names are made smaller where they would reach the title.
    """
    if len(curves) < 2:
        return
    figure = ax.get_figure(root=True)
    assert figure is not None
    raised = ScaledTranslation(0.0, 6.0 * size / 15.5 / 72.0, figure.dpi_scale_trans)
    measured = (settled or figure.get_layout_engine() is None) and hasattr(figure.canvas, "get_renderer")
    for share in (1.0, 0.9, 0.8, 0.7):
        box = AnchoredOffsetbox(
            "lower right", pad=0.0, borderpad=0.0, frameon=False, bbox_to_anchor=(1.0, 1.0),
            bbox_transform=ax.transAxes + raised, child=_names(curves, share * size, lines),
        )  # fmt: skip
        ax.add_artist(box)
        if not measured or share == 0.7:
            return
        renderer: Any = figure.canvas.get_renderer()  # type: ignore[attr-defined]  # Agg, as Canvas made it
        ends = [title.get_window_extent(renderer).x1 for title in (ax.title, ax._left_title) if title.get_text()]  # type: ignore[attr-defined]
        if max(ends, default=-np.inf) + 0.6 * size / 72.0 * figure.dpi <= box.get_window_extent(renderer).x0:
            return
        box.remove()


def _names(curves: Curves, size: float, lines: bool) -> HPacker:
    """The curves' lines and names in a row."""
    named: list[Artist] = []
    for name, label, color in curves:
        wide, thick = (1.45 if lines else 0.7) * size, (0.55 if name in DASHED else 1.0) * 0.14 * size
        room = DrawingArea(wide, 0.8 * size, 0.0, 0.0)
        style: Any = line_of(name) if lines else "solid"
        room.add_artist(Line2D([0.0, wide], [0.36 * size] * 2, color=color, linewidth=thick, linestyle=style))
        named += [room, TextArea(label, textprops={"color": "#222222", "fontsize": size})]
    return HPacker(children=named, align="baseline", pad=0.0, sep=0.32 * size)


def settings_label(radius: float | None, num_vectors: int | None) -> str:
    """The settings of the sampled local complexity, for its axis."""
    parts = ("" if radius is None else f"r = {radius:g}", "" if num_vectors is None else f"P = {num_vectors}")
    return ",  ".join(filter(None, parts))
