r"""Whole figures from data: one frame of the animation, and the summary of a run.

        +-----------------------------------------------+      step n / regions   the header, in the corner
        | step 2,668 / 58,097 regions                    |
        | +------------------+ #   accuracy              |      #   colour bar of the fill, shared by all frames
        | |                  | #  +--------------------+ |
        | |    partition     | #  |        |           | |      |   cursor: the frame's step; the curves are
        | |                  | #  +--------------------+ |          strong up to it, faint beyond
        | |   *              | #   local complexity      |
        | |          *       | #  +--------------------+ |
        | |     *            | #  |        |           | |
        | +------------------+ #  +--------------------+ |
        +-----------------------------------------------+

A table is a sequence of rows, one a checkpoint, in order of steps: mappings with the keys that `runs` writes
(step, regions, train_accuracy, ..., lc_train, lc_train_band, ...; NaN or absent where there is no value).
A curve or a panel without values is left out; a run without any local complexity shows its number of regions there. There
are one to four panels of equal height, those of `curves.CHARTS`; they share the axis of steps, which the lowest names.

Everything is laid out in units of a 1080th of the height, so every size looks alike. This file knows no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import Bbox

from splineviz.drawing import canvas
from splineviz.drawing.canvas import FRAME_STYLE, MAP, Canvas, Panel, styled
from splineviz.drawing.curves import (
    CHARTS,
    DASHED,
    Chart,
    Curves,
    Row,
    Story,
    axis_of,
    column,
    mark_level,
    mark_missing,
    name_curves,
    plot_curves,
    step_axis,
    value_axis,
)
from splineviz.drawing.look import Look
from splineviz.geometry.partition import Partition

PAPER_STYLE: Any = {
    **FRAME_STYLE,
    "font.size": 8.0,
    "axes.labelsize": 8.0,
    "axes.titlesize": 8.5,
    "axes.titlepad": 5.0,
    "axes.linewidth": 0.6,
    "grid.linewidth": 0.5,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.2,
    "figure.dpi": 200.0,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
}
"""Style of a figure in a paper: sizes of print, text that stays text in PDF and SVG."""

BAR = (1014.0, 44.0, 20.0, 952.0)
"""Place of the colour bar on a frame: left, foot, width, height, in 1080ths of the frame's height."""

SUMMARY = ("accuracy", "wide", "complexity", "exact", "regions", "boundary", "migration")
"""Panels of a run's summary."""

TWO_COLUMNS = 6.5
"""Inches of a summary from which titles and the names of curves have room beside one another in two columns."""

# ---- a frame -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tween:
    """A frame between two checkpoints: their steps, and the share of the second in the weights, in (0, 1)."""

    first: float
    second: float
    share: float

    @property
    def step(self) -> float:
        """Where the cursor stands: geometrically between, from step 0 linearly."""
        if self.first <= 0:
            return self.first + self.share * (self.second - self.first)
        return float(self.first * (self.second / self.first) ** self.share)


class FramePainter:
    """Paints the frames of one run, all with the same panels, limits and size.

    Args:
        table: rows of all checkpoints.
        look: how pictures look; None: a Look of the options.
        story: what the table's rows follow, and its panels; by default the steps of training, with the look's panels.
        missing: steps of checkpoints that could not be measured, which are marked.
        options: fields of `Look` (limits, thumbnails, size, fill, cmap, ...).

    Raises:
        ValueError: the table is empty.
        DataError: the options make no Look.
    """

    def __init__(
        self,
        table: Sequence[Row],
        *,
        look: Look | None = None,
        story: Story | None = None,
        missing: Sequence[float] = (),
        **options: Any,
    ) -> None:
        if not len(table):
            raise ValueError("table: expected at least one row, got none; measure a checkpoint first.")
        look = Look.of(options) if look is None else replace(look, **options)
        self.table, self.size = list(table), look.size
        self._story, self._missing = look.story if story is None else story, tuple(missing)
        self._unit, self._complexity = look.unit, (look.radius, look.num_vectors, look.wide)
        self._beside: list[Axes] | None = None  # between slice and curves, but for the bar: the map, if there is one
        self._moving: list[Artist] = []  # change with the frame, drawn over the rest
        self._canvas = Canvas(self.size)
        self.figure = self._canvas.figure
        with styled(FRAME_STYLE):
            self._panel = Panel(self._canvas.axes(40, 44, 952, 952), look.regions, look.stars)
            self._panel.names = tuple(look.classes)
            self._bar = self._canvas.axes(*BAR)
            self._panel.bar = (self._bar, look.fill_label)
            self._header = (self._canvas.text(40, 1014, 25, "left"), self._canvas.text(992, 1014, 25, "right"))
            self._mark = self._canvas.text(40, 12, 15.5, "left")
            self._draw_panels()

    def _draw_panels(self) -> None:
        """The panels of curves at the right, equally high, and the parts of them that follow the cursor."""
        left, right, foot, top, gap = 1240.0, self._canvas.width - 48.0, 96.0, 996.0, 64.0
        charts = self._story.charts(self.table)
        high = (top - foot - (len(charts) - 1) * gap) / len(charts)
        self._cursors: list[tuple[Any, Rectangle, Any, Curves, list[Artist]]] = []
        labels = []
        for index, chart in enumerate(charts):
            ax = self._canvas.axes(left, top - high - index * (high + gap), right - left, high)
            ax.set_title(chart.title, color="#222222")
            self._story.axis(ax, [*self.table, *({self._story.along: place} for place in self._missing)])
            mark_missing(ax, self._missing)
            value_axis(ax, self.table, chart.curves)
            mark_level(ax, chart.level)
            self._draw_curves(ax, chart.curves)
            labels.append((ax, chart.said(*self._complexity)))
            if index == len(charts) - 1:
                ax.set_xlabel(self._story.label, labelpad=8)
            else:
                ax.tick_params(labelbottom=False)
        _label([pair for pair in labels if pair[1]])

    def _draw_curves(self, ax: Axes, curves: Curves) -> None:
        places = column(self.table, self._story.along)
        plot_curves(ax, self.table, curves, along=self._story.along, strength=0.3)
        strong = plot_curves(ax, self.table, curves, along=self._story.along)
        past = Rectangle((ax.get_xlim()[0], 0), 0, 1, transform=ax.get_xaxis_transform())
        line = ax.axvline(places[0], color="#222222", linewidth=1.6, zorder=4)
        sizes = [(30.0, 0.8) if name in DASHED else (95.0, 1.6) for name, _, _ in curves]  # one dot may lie on another
        dots = ax.scatter(
            [places[0]] * len(curves), [0.0] * len(curves), s=[s for s, _ in sizes], color=[c for _, _, c in curves],
            edgecolor="white", linewidth=[edge for _, edge in sizes], zorder=6, clip_on=False,
        )  # fmt: skip
        self._cursors.append((line, past, dots, curves, strong))
        self._moving += [*strong, line, dots]

    def update(
        self, partition: Partition, index: int, *, boundary: Any = None, tween: Tween | None = None,
        words: tuple[str, str] | None = None, note: str = "",
    ) -> Figure:  # fmt: skip
        """Set the figure to one checkpoint.

        Args:
            partition: of the checkpoint.
            index: its row of the table.
            boundary: (M, 2, 2) segments, by default the partition's decision boundary.
            tween: the partition is that of interpolated weights after this row: the frame says so, the cursor stands
                between, and no measure is shown as if it had been taken.
            words: header and foot note, by default the step and `note`.
            note: a foot note beside the step.

        Returns:
            The figure, which belongs to the painter.

        Raises:
            IndexError: the table has no such row.
        """
        if not -len(self.table) <= index < len(self.table):
            raise IndexError(f"index: expected a row of the table's {len(self.table)}, got {index}.")
        row = self.table[index]
        step = float(row[self._story.along]) if tween is None else tween.step
        for line, past, dots, curves, strong in self._cursors:
            line.set_xdata([step, step])
            past.set_width(step - past.get_x())
            for artist in strong:
                artist.set_clip_path(past)  # each time: the rectangle is read when it is set
            dots.set_visible(tween is None)
            dots.set_offsets(np.array([[step, float(row.get(name, np.nan))] for name, _, _ in curves]).reshape(-1, 2))
        if tween is None:
            header, mark = words or (f"{self._unit} {step:,.0f}", note)
            self._header[0].set_text(header)
        else:
            self._header[0].set_text(f"{self._unit}s {tween.first:,.0f} to {tween.second:,.0f}")
            mark = f"weights interpolated, {tween.share:.0%} of the way: no checkpoint"
        self._mark.set_text("; ".join(text for text in (partition.note, mark) if text))
        self._header[1].set_text(f"{partition.num_regions:,} region{'' if partition.num_regions == 1 else 's'}")
        with styled(FRAME_STYLE):
            first = self._beside is None
            if first:
                self._beside = self._drawn_map(partition) if self._story.along == "step" else []
            self._panel.show(partition, partition if boundary is None else boundary)
            if first:
                self._make_room()
        return self.figure

    def _drawn_map(self, partition: Partition) -> list[Axes]:
        """Where the window lies on the plane, below a shorter colour bar, if it leaves anchors out; its Axes, if it does."""
        if not len(canvas.left_out(partition)):
            return []
        x, y, wide, high = BAR
        below = MAP + 96.0  # the map, its name in two lines, and room
        self._bar.set_position((x / self._canvas.width, (y + below) / 1080.0, wide / self._canvas.width,
                                (high - below) / 1080.0))  # fmt: skip
        place = self._canvas.axes(x, y, MAP, MAP)
        canvas.draw_map(place, partition)
        return [place]

    def _make_room(self) -> None:
        """Narrow the panels where what stands at their left would run into the colour bar's words or the map.

        How wide those are is known with the first partition; the curves are named after it, for they need to know as well.
        """
        panels = [(line.axes, curves) for line, _, _, curves, _ in self._cursors]
        renderer: Any = self.figure.canvas.get_renderer()  # type: ignore[attr-defined]  # Agg, as Canvas made it
        standing = [ax.get_tightbbox(renderer) for ax in self._beside or ()]
        if self._bar.figure is not None:  # some fills have none
            standing += [self._bar.get_window_extent(renderer), *_words(self._bar, renderer)]
        taken = [box.padded(3.0 * self.size[1] / 1080.0) for box in standing if box is not None]
        lefts = [box for ax, _ in panels for box in _words(ax, renderer)]
        over = max((a.x1 - b.x0 for a in taken for b in lefts if a.y0 < b.y1 and b.y0 < a.y1), default=0.0)
        for ax, curves in panels:
            if over > 0:
                x, y, wide, high = ax.get_position().bounds
                label = ax.yaxis.label.get_position()[0] * wide
                wide -= over / self.size[0]
                ax.set_position((x + over / self.size[0], y, wide, high))
                ax.yaxis.set_label_coords(label / wide, 0.5)
            name_curves(ax, curves, 15.5)

    def paint(self, partition: Partition, index: int, **options: Any) -> npt.NDArray[np.uint8]:
        """Pixels (height, width, 3) uint8 of one frame; what stays the same is drawn once and kept. options: of `update`."""
        self.update(partition, index, **options)
        return self._canvas.paint([*self._moving, *self._header, self._mark, *self._panel.artists()])


def frame(
    partition: Partition, table: Sequence[Row], index: int, *, boundary: Any = None, painter: FramePainter | None = None,
    **options: Any,
) -> Figure:  # fmt: skip
    """One animation frame as a figure: the partition of a checkpoint, and the curves with a cursor at its step.

    Args:
        partition: of the checkpoint.
        table: the rows of all checkpoints.
        index: row of the table that belongs to the partition.
        boundary: (M, 2, 2) segments, by default the partition's decision boundary.
        painter: one made before, with the figure to update: much faster for a whole run.
        options: of `FramePainter` (limits, thumbnails, labels, size, fill, ...).

    Returns:
        The figure, which belongs to the painter.

    Raises:
        ValueError: an empty table.
        IndexError: there is no such row.
    """
    painter = FramePainter(table, **options) if painter is None else painter
    return painter.update(partition, index, boundary=boundary)


# ---- the summary -------------------------------------------------------------------------------------


def summary(
    table: Sequence[Row],
    *,
    radius: float | None = None,
    num_vectors: int | None = None,
    wide: float | None = None,
    style: Any = None,
    width: float = 6.9,
    note: str = "",
    missing: Sequence[float] = (),
    unit: str = "step",
) -> Figure:
    """The curves of a run over its steps: accuracy, local complexity, units on the slice, regions, boundary, knots near it.

    Args:
        table: the rows of all checkpoints; panels without any value are left out.
        radius: of the local complexity, for its label.
        num_vectors: of the local complexity, for its label.
        wide: the second radius of the local complexity, for its label.
        style: rcParams, by default PAPER_STYLE.
        width: of the figure, in inches.
        note: remark on the network, see `Partition.note`.
        missing: steps without measures, which are marked.
        unit: what steps count, of choices.UNITS.

    Returns:
        The figure.

    Raises:
        ValueError: an empty table.
    """
    if not len(table):
        raise ValueError("table: expected at least one row, got none; measure a checkpoint first.")
    charts = [chart for chart in (CHARTS[name].of(table) for name in SUMMARY) if chart.curves]
    columns = 2 if len(charts) > 1 and width >= TWO_COLUMNS else 1
    rows = max(-(-len(charts) // columns), 1)
    with styled(PAPER_STYLE if style is None else dict(style)):
        figure = Figure(figsize=(width, 0.15 + 1.75 * rows * width / 3.45 / columns), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False).flatten()
        if note:
            text = f"regions and boundary: {note}"
            figure.suptitle(text, x=0.01, ha="left", fontsize=matplotlib.rcParams["font.size"], color="#444444")
        for ax, chart in zip(axes, charts, strict=False):
            ax.set_title(chart.title)
            ax.set_ylabel(chart.said(radius, num_vectors, wide))
            step_axis(ax, np.union1d(column(table, "step"), missing))
            mark_missing(ax, missing)
            value_axis(ax, table, chart.curves)
            mark_level(ax, chart.level)
            plot_curves(ax, table, chart.curves)
        for ax in axes[len(charts) :]:
            ax.remove()
        for ax in axes[max(len(charts) - columns, 0) : len(charts)]:
            ax.set_xlabel(axis_of(unit))
        _name_all(figure, list(zip(axes, charts, strict=False)))
    return figure


def _words(ax: Axes, renderer: Any) -> list[Bbox]:
    """Boxes of the words beside an Axes, at its values, and of its title."""
    ax.get_yticklabels()  # puts them where they belong
    low, high = sorted(ax.get_ylim())
    ticks = [tick for tick in ax.yaxis.get_major_ticks() if low <= tick.get_loc() <= high]
    texts = [ax.yaxis.label, ax._left_title, *(label for tick in ticks for label in (tick.label1, tick.label2))]  # type: ignore[attr-defined]
    return [text.get_window_extent(renderer) for text in texts if text.get_visible() and text.get_text()]


def _name_all(figure: Figure, panels: Sequence[tuple[Axes, Chart]]) -> None:
    """Name the curves of a summary's panels, beside their titles: so it must be known how wide the axes will be."""
    layout = figure.get_layout_engine()
    assert layout is not None
    layout.execute(figure)
    for ax, chart in panels:
        name_curves(ax, chart.curves, float(matplotlib.rcParams["font.size"]), settled=True)


def _label(charts: Sequence[tuple[Axes, str]]) -> None:
    """Name the values' axes, in one line down the figure: left of the widest of their ticks' labels."""
    if not charts:
        return
    figure = charts[0][0].get_figure(root=True)
    assert figure is not None
    renderer: Any = figure.canvas.get_renderer()  # type: ignore[attr-defined]  # Agg, as Canvas made it
    boxes = [ax.yaxis.get_tightbbox(renderer) for ax, _ in charts]
    edge = min(box.x0 for box in boxes if box is not None)
    for ax, said in charts:
        ax.set_ylabel(said, color="#444444")
        ax.yaxis.set_label_coords((edge - 8.0 / 72.0 * figure.dpi - ax.bbox.x0) / ax.bbox.width, 0.5)
