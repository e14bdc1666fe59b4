r"""Rows: panels side by side, and the curves below them. Two runs at the same step, or one run taken apart by layers.
Here too: how many letters a panel's title has room for.

        step 1,000
        run A             run B
        +-------------+   +-------------+  #        one colour scale, one size
        |             |   |             |  #
        +-------------+   +-------------+  #
        41,000 regions    68,000 regions
        accuracy      local complexity     regions  curves of all runs: the first solid, the second dashed, ...
        +----|---+    +----|---+    +----|---+      a cursor at the frame's step
        +--------+    +--------+    +--------+

A table is as in `figures`. Everything is laid out in 1080ths of the height. This file knows no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.lines import Line2D

from splineviz import choices
from splineviz.drawing.canvas import FRAME_STYLE, Canvas, Panel, styled
from splineviz.drawing.curves import (
    TRAINING,
    Curves,
    Row,
    axis_of,
    column,
    mark_level,
    mark_missing,
    name_curves,
    plot_curves,
    value_axis,
)
from splineviz.drawing.look import Look
from splineviz.errors import DataError
from splineviz.geometry.partition import Partition

MOST = 4
"""Most panels in a row."""

DASHES: tuple[Any, ...] = ("solid", (0, (5, 2)), (0, (1.2, 1.4)), (0, (6, 2, 1.2, 2)))
"""Lines of the first run, the second, ..."""

GAP, BAR = 30.0, 160.0
TITLE = 17.0
"""Size of the panels' titles, in points on a frame of 10.8 inches."""


@dataclass(frozen=True, eq=False)
class Picture:
    """What one panel shows: a partition, a mask of the edges that are drawn (all: True), and a line below it."""

    partition: Partition
    edges: Any = True
    said: str = ""


def _side(count: int, width: float) -> float:
    """Of each of `count` panels on a frame so wide, in 1080ths of its height."""
    return min(600.0, (width - 80.0 - BAR - (count - 1) * GAP) / count)


def letters(count: int, size: tuple[int, int]) -> int:
    """Letters that a title surely has room for above each of `count` panels on a frame of that size."""
    return int(_side(count, 1080.0 * size[0] / size[1]) / (0.68 * TITLE * 100.0 / 72.0))


class StripPainter:
    """Paints frames of several panels, all with the same layout, limits and size.

    tables: of one run or more, each with the same steps. titles: one a panel, at most MOST. look: a Look, or its fields as
    options, for all panels. missing: steps that could not be measured, which are marked.
    Raises DataError when there is nothing to draw, or too much for a row.
    """

    def __init__(
        self,
        tables: Sequence[Sequence[Row]],
        titles: Sequence[str],
        *,
        look: Look | None = None,
        missing: Sequence[float] = (),
        **options: Any,
    ) -> None:
        if not 1 <= len(titles) <= MOST:
            raise DataError(f"titles: expected 1 to {MOST} panels in a row, got {len(titles)}.")
        if not tables or not all(len(table) for table in tables):
            raise DataError("tables: expected at least one row of each run, got none; measure a checkpoint first.")
        look = Look.of(options, panels=choices.COMPARED_PANELS) if look is None else replace(look, **options)
        self._unit = look.unit
        self.tables, self.size = [list(table) for table in tables], look.size
        self._missing = tuple(missing)
        self._canvas = canvas = Canvas(self.size)
        self.figure = canvas.figure
        count = len(titles)
        side = _side(count, canvas.width)
        left = (canvas.width - count * side - (count - 1) * GAP - BAR) / 2
        foot = 968.0 - side
        stars = {**look.stars, "star": 17.0, "size": 62.0 * side / 952.0}
        with styled(FRAME_STYLE):
            self._panels, self._feet = [], []
            for index, title in enumerate(titles):
                x = left + index * (side + GAP)
                self._panels.append(Panel(canvas.axes(x, foot, side, side), look.regions, stars))
                canvas.text(x, 968.0 + 8.0, TITLE, "left", title)
                if len(self.tables) > 1:  # how this run's curves are drawn below
                    ends = (x + side - 90.0) / canvas.width, (x + side) / canvas.width
                    self.figure.add_artist(
                        Line2D(ends, (986.0 / 1080.0,) * 2, color="#444444", linewidth=2.6, linestyle=DASHES[index])
                    )
                self._feet.append(canvas.text(x, foot - 28.0, 15.5, "left", bold=False))
            edge = left + count * side + (count - 1) * GAP
            self._panels[-1].names = tuple(look.classes)
            self._panels[-1].bar = (canvas.axes(edge + 18.0, foot, 16.0, side), look.fill_label)
            self._header = canvas.text(left, 1022.0, 25.0, "left")
            self._moving: list[Artist] = []
            self._cursors: list[tuple[Any, list[tuple[Any, Curves, int]]]] = []
            self._draw_curves(foot - 92.0, look)

    def _draw_curves(self, top: float, look: Look) -> None:
        """The panels of curves below, as many as have a value in one of the tables."""
        together = [row for table in self.tables for row in table]
        charts = look.story.charts(together)
        foot, left, gap = 76.0, 100.0, 110.0
        wide = (self._canvas.width - left - 48.0 - (len(charts) - 1) * gap) / len(charts)
        for index, chart in enumerate(charts):
            ax, curves = self._canvas.axes(left + index * (wide + gap), foot, wide, top - foot), chart.curves
            ax.set_title(chart.title, color="#222222")
            ax.set_ylabel(chart.said(look.radius, look.num_vectors, look.wide), color="#444444", labelpad=6)
            TRAINING.axis(ax, [*together, *({"step": step} for step in self._missing)])
            mark_missing(ax, self._missing)
            value_axis(ax, together, curves)
            mark_level(ax, chart.level)
            followed = []
            for number, table in enumerate(self.tables):
                line = DASHES[number] if len(self.tables) > 1 else None
                plot_curves(ax, table, curves, line=line, strength=1.0 if number == 0 else 0.8)
                dots = ax.scatter(
                    [0.0] * len(curves), [0.0] * len(curves), s=70, color=[c for _, _, c in curves], edgecolor="white",
                    linewidth=1.4, zorder=6, clip_on=False,
                )  # fmt: skip
                followed.append((dots, curves, number))
            cursor = ax.axvline(1.0, color="#222222", linewidth=1.6, zorder=4)
            name_curves(ax, curves, 15.5, lines=len(self.tables) == 1)
            ax.set_xlabel(axis_of(self._unit), labelpad=4)
            self._cursors.append((cursor, followed))
            self._moving += [cursor, *(dots for dots, _, _ in followed)]

    def paint(self, pictures: Sequence[Picture], index: int) -> npt.NDArray[np.uint8]:
        """Pixels (height, width, 3) uint8 of one frame: the pictures of a step, one a panel. index: its row."""
        if len(pictures) != len(self._panels):
            raise DataError(f"pictures: expected one for each of {len(self._panels)} panels, got {len(pictures)}.")
        step = float(column(self.tables[0], "step")[index])
        with styled(FRAME_STYLE):
            self._header.set_text(f"{self._unit} {step:,.0f}")
            for line, followed in self._cursors:
                line.set_xdata([step, step])
                for dots, curves, number in followed:
                    row = self.tables[number][index]
                    dots.set_offsets([[step, float(row.get(name, np.nan))] for name, _, _ in curves])
            for panel, foot, picture in zip(self._panels, self._feet, pictures, strict=True):
                panel.show(picture.partition, edges=picture.edges, boundary_width=1.9)
                count = picture.partition.num_regions
                said = picture.said or f"{count:,} region{'' if count == 1 else 's'}"
                foot.set_text("; ".join(text for text in (said, picture.partition.note) if text))
        panels = [artist for panel in self._panels for artist in panel.artists()]
        return self._canvas.paint([*self._moving, self._header, *self._feet, *panels])
