r"""Print figures: one or more partitions laid out for print, in one call.
Here too: whether zooms lie within a window.

        step 100          step 10,000
        +-------------+   +-------------+  #      title      above each panel
        |  *   +--+   |   |  *   +--+   |  #  5   frame      of a zoom, in the colour of the zoom below
        |      +--+   |   |      +--+   |  #  1   colour bar one for all panels, which share its limits
        |  *       *  |   |  *       *  |  #
        +-------------+   +-------------+  #
        |--| 2   812 regions               scale bar, in input-space length, and count
        +------+------+   +------+------+
        | zoom | zoom |   | zoom | zoom |         drawn afresh from the partition, never a resampled picture
        +------+------+   +------+------+

Nothing stands on a panel but stars, samples and boundary, so nothing can hide a region unasked. Places are computed in
inches: the panels of a figure are exactly equal and aligned, and its width is exactly that of the column.

In a PDF or SVG text, axes, boundary, frames and stars are vectors and text can be selected (fonts are embedded
as TrueType). A partition of at most VECTOR_REGIONS regions is vector all through; in a larger one fills and knots are
one picture of the resolution that `savefig(dpi=...)` names. Saving keeps the style: `Paper.savefig` knows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullLocator

from splineviz.drawing import draw, fills
from splineviz.drawing.canvas import round_length, styled
from splineviz.drawing.figures import PAPER_STYLE
from splineviz.drawing.print_layout import Bar, Layout
from splineviz.errors import DataError, FloatArray
from splineviz.geometry.partition import Partition
from splineviz.geometry.polygons import bounding_square

WIDTHS = {"column": 3.25, "double": 6.75}
"""Width of a figure across one and two columns, in inches."""

STYLES: dict[str, Any] = {
    "sans": PAPER_STYLE,
    "serif": {**PAPER_STYLE, "font.family": "STIXGeneral", "mathtext.fontset": "stix", "font.size": 9.0},
    "slides": {**PAPER_STYLE, "font.size": 12.0, "axes.titlesize": 13.0, "xtick.labelsize": 11.0, "ytick.labelsize": 11.0},
}
"""rcParams of the styles: sans to stand apart from the text, serif to go with LaTeX's Times, slides for a talk."""

VECTOR_REGIONS = 2_000
"""Most regions that are drawn as vectors unasked: beyond, a file is large and slow to open."""

DPI = 300.0
"""Resolution of embedded pictures, unless savefig is given another."""

ZOOM_COLORS = ("#0077bb", "#aa3377", "#117733", "#000000")
"""Frames of the zooms, apart for colour-blind readers and from the boundary, and dark enough for print."""

LEAST_FRAME = 5.0
"""Side of the smallest frame that marks a zoom on a panel, in points: one drawn to scale could be too small to be seen."""


@dataclass(frozen=True)
class Zoom:
    """A square of the plane shown larger below its panel: centre (u, v) and half its side, in input-space length."""

    u: float
    v: float
    half: float

    def __post_init__(self) -> None:
        if not (np.isfinite([self.u, self.v, self.half]).all() and self.half > 0):
            raise DataError(f"zoom: expected a finite centre and a positive half-width, got {(self.u, self.v, self.half)}.")


class Paper(Figure):
    """A figure that is saved in the style it was laid out in: fonts stay text, pictures have DPI unless told."""

    def __init__(self, style: Any, **options: Any) -> None:
        super().__init__(**options)
        self.style = style

    def savefig(self, fname: Any, **options: Any) -> None:
        """Write the figure; options as matplotlib's own."""
        with styled(self.style):
            super().savefig(fname, **{"dpi": DPI, **options})


def figure(
    partitions: Partition | Sequence[Partition], *, titles: Sequence[str] = (),
    zooms: Sequence[Zoom | tuple[float, float, float]] = (), layers: bool = False, knots_of: Sequence[int] | None = None,
    width: str | float = "double", across: int | None = None, style: str | dict[str, Any] = "sans", fill: Any = "slope",
    fill_label: str | None = None, cmap: Any = None, limits: tuple[float, float] | None = None, edge_color: Any = "black",
    line_width: float = 0.3, thumbnails: Sequence[Any] = (), labels: Sequence[str] = (), classes: Sequence[str] = (),
    boundary: bool = True, anchors: bool = True, vector: bool | None = None, compact: bool = True, **more: Any,
) -> Paper:  # fmt: skip
    """Partitions side by side with one colour scale, ready for a paper.

    Args:
        partitions: one or more, such as the same slice at several steps.
        titles: one a panel.
        zooms: (u, v, half-width) of squares shown larger below each panel.
        layers: one panel a kink layer of a single partition instead, with the knots of that layer alone.
        knots_of: layers whose knots are drawn; None: all.
        width: "column", "double" or inches.
        across: panels a row; None: at most 4.
        style: a name of STYLES, or rcParams.
        fill: as in `draw.regions`; for several partitions also a list of arrays, one a partition.
        fill_label: name of the colour bar.
        cmap: as in `draw.regions`.
        limits: as in `draw.regions`; by default they hold the middle 98% of all partitions' areas.
        edge_color: as in `draw.regions`.
        line_width: as in `draw.regions`.
        thumbnails: as in `draw.anchors`.
        labels: as in `draw.anchors`.
        classes: names for the bar of fill="class" and "margin".
        boundary: whether the decision boundary is drawn.
        anchors: whether anchors inside the window are drawn.
        vector: as in `draw.regions`; None: for at most VECTOR_REGIONS regions.
        compact: embed pictures in PDF and SVG with 250 colours, which keeps them small (`draw.few_colors`).
        more: further options of `draw.regions`.

    Returns:
        The figure, whose savefig keeps the style. Texts that find no room are set smaller.

    Raises:
        DataError: no partitions, what does not fit them, an unknown width or style, or no room for a text of SMALLEST size.
    """
    panels = [partitions] if isinstance(partitions, Partition) else list(partitions)
    panels, masks = _by_layer(panels) if layers else (panels, [True] * len(panels))
    masks = [mask if knots_of is None else draw.knots_of(p, knots_of) & mask for p, mask in zip(panels, masks, strict=True)]
    _check(panels, titles, width, style, across)
    chosen: Any = STYLES[style] if isinstance(style, str) else style
    wide = WIDTHS[width] if isinstance(width, str) else float(width)
    views = [zoom if isinstance(zoom, Zoom) else Zoom(*zoom) for zoom in zooms]
    _inside(views, panels)
    each, limits = _fills(panels, fill, limits, layers)
    with styled(chosen):
        said, bar = _said(panels, masks, layers), _bar(panels[0], each[0], limits, fill_label, classes)
        layout = _layout(panels, views, wide, across, titles, said, bar, _note(panels))
        if layers and not titles:
            layout = replace(layout, titles=fills.layer_names(panels[0], layout.room_for_title))
        look = {"cmap": cmap, "limits": limits, "edge_color": edge_color, "line_width": line_width, **more}
        looks = _looks(panels, masks, each, {**look, "compact": compact}, vector)
        # The boundaries of all panels, so that samples stand in the same places on each.
        around = np.concatenate([partition.decision_boundary() for partition in panels]) if boundary and thumbnails else None
        stars = {"thumbnails": thumbnails, "labels": labels, "avoid": around} if anchors else None
        return _composed(Paper(chosen, figsize=(wide, layout.height)), layout, panels, looks, views, said, stars, boundary)


def _note(panels: Sequence[Partition]) -> str:
    return next((partition.note for partition in panels if partition.note), "")


def _looks(
    panels: Sequence[Partition], masks: Sequence[Any], each: Sequence[Any], shared: dict[str, Any], vector: bool | None
) -> list[dict[str, Any]]:
    """What `draw.regions` is told of each panel; vector: None decides by VECTOR_REGIONS."""
    small = [partition.num_regions <= VECTOR_REGIONS if vector is None else vector for partition in panels]
    parts = zip(each, small, masks, strict=True)
    return [{**shared, "fill": fill, "vector": vectors, "edges": mask} for fill, vectors, mask in parts]


def _composed(
    paper: Paper, layout: Layout, panels: Sequence[Partition], looks: Sequence[dict[str, Any]], views: Sequence[Zoom],
    said: Sequence[Any], stars: dict[str, Any] | None, boundary: bool,
) -> Paper:  # fmt: skip
    """All panels with their titles, feet, samples and zooms on the paper, the note and the colour bar; stars: of anchors."""
    image: Any = None
    for index, (partition, options) in enumerate(zip(panels, looks, strict=True)):
        place = layout.panel(index)
        view = bounding_square(partition.window).view
        ax, image = _square(paper, layout, (*place, layout.side), partition, view, options, boundary)
        if layout.titles:
            ax.set_title(layout.titles[index], pad=3.0, fontsize=layout.sizes["title"])
        _foot(paper, layout, place, said[index])
        if stars is not None:
            _anchors(ax, partition, layout, stars)
        _zooms(paper, layout, index, ax, views, partition, options, boundary, stars is not None)
    note = _note(panels)
    if note:
        paper.text(0.04 / layout.width, 0.06 / layout.height, note, color="#444444", fontsize=layout.small)
    if layout.bar:
        zero = any(fills.has_zeros(part, look["fill"]) for part, look in zip(panels, looks, strict=True))
        _color_bar(paper, layout, image, zero)
    return paper


def _said(panels: Sequence[Partition], masks: Sequence[Any], layers: bool) -> list[str]:
    """What stands below each panel."""
    if layers:
        return [_counted(len(np.unique(panels[0].edge_tag[mask])), "unit") for mask in masks]
    return [_counted(partition.num_regions, "region") for partition in panels]


def _foot(paper: Paper, layout: Layout, place: tuple[float, float], said: str) -> None:
    x, y = place[0] + layout.side, place[1] - (1.2 * layout.feet - 0.85) * layout.text
    paper.text(
        x / layout.width, y / layout.height, said, ha="right", va="top", color="#444444", fontsize=layout.sizes["foot"]
    )


def _anchors(ax: Axes, partition: Partition, layout: Layout, options: dict[str, Any]) -> None:
    """Stars and samples, in sizes that fit the panel; options: of `draw.anchors`."""
    star, size = min(4.5 * layout.side, 15.0), min(9.5 * layout.side, 36.0)
    draw.anchors(partition.plane, ax=ax, star=star, size=size, **options)


def _fills(panels: list[Partition], fill: Any, limits: Any, layers: bool) -> tuple[list[Any], Any]:
    """The fill of each panel, and the limits that all share."""
    if isinstance(fill, str):
        if limits is None and fill in fills.SCALED:
            limits = fills.shared_limits(panels[:1] if layers else panels, fill=fill)
        return [fill] * len(panels), limits
    several = isinstance(fill, list | tuple) and len(fill) > 0 and np.ndim(fill[0]) > 0
    if not several or layers:
        return [fill] * len(panels), limits
    if len(fill) != len(panels):
        raise DataError(f"fill: expected an array for each of the {len(panels)} panels, got {len(fill)}.")
    if limits is None and all(np.ndim(one) == 1 for one in fill):
        limits = fills.shared_limits(panels, fill=fill)
    return list(fill), limits


def _bar(partition: Partition, fill: Any, limits: Any, label: str | None, classes: Sequence[str]) -> Bar | None:
    """What the colour bar says; None where colours have no scale."""
    if (isinstance(fill, str) and not fills.named(fill).has_bar) or np.ndim(fill) == 2:
        return None
    norm = fills.scale(partition, fill, limits)
    marks, texts = fills.ticks(fill, norm, names=classes)
    places = np.asarray(norm(marks), dtype=float)
    if isinstance(norm, BoundaryNorm):  # equal steps
        places = (np.arange(len(marks)) + 0.5) / max(len(marks), 1)
    own = fills.label(fill) if isinstance(fill, str) else "value"
    return Bar(tuple(marks), tuple(places.tolist()), tuple(texts), label or own, "" if label else own.split(" (")[0])


def _layout(
    panels: list[Partition], zooms: Sequence[Zoom], wide: float, across: int | None, titles: Sequence[str],
    said: Sequence[str], bar: Bar | None, note: str,
) -> Layout:  # fmt: skip
    """Places for the style that is set."""
    sides = [bounding_square(partition.window).view for partition in panels]
    text, small, title = (
        FontProperties(size=size).get_size_in_points()  # may be a word: "medium"
        for size in (
            matplotlib.rcParams["font.size"],
            matplotlib.rcParams["xtick.labelsize"],
            matplotlib.rcParams["axes.titlesize"],
        )
    )
    return Layout(
        wide, min(across or _balanced(len(panels)), len(panels)), len(panels), len(zooms), bar, text / 72.0,
        small, title, titles, said,
        [_length(side[1] - side[0])[1] for side in sides], [_length(2 * zoom.half)[1] for zoom in zooms], bool(note),
    )  # fmt: skip


def _length(across: float) -> tuple[float, str]:
    """Length of the scale bar of a view so wide, and what stands beside it."""
    length = round_length(across / 3.2)
    return length, f"{length:g}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _balanced(count: int) -> int:
    """Panels a row, at most 4, so that the last row is as full as can be."""
    return -(-count // -(-count // 4))


def _check(panels: list[Partition], titles: Sequence[str], width: Any, style: Any, across: Any) -> None:
    if not panels:
        raise DataError("partitions: expected at least one, got none.")
    if len(titles) not in (0, len(panels)):
        raise DataError(f"titles: expected one for each of the {len(panels)} panels, got {len(titles)}.")
    if isinstance(width, str) and width not in WIDTHS:
        raise DataError(f"width: expected {', '.join(map(repr, WIDTHS))} or inches, got {width!r}.")
    if not isinstance(width, str) and not 1.0 <= float(width) <= 60.0:
        raise DataError(f"width: expected 1 to 60 inches, got {width}.")
    if across is not None and across < 1:
        raise DataError(f"across: expected 1 panel a row or more, got {across}.")
    if isinstance(style, str) and style not in STYLES:
        raise DataError(f"style: expected one of {', '.join(map(repr, STYLES))} or rcParams, got {style!r}.")


def _inside(zooms: Sequence[Zoom], panels: Sequence[Partition]) -> None:
    """Raises DataError unless every zoom lies in every panel: elsewhere there is nothing to show."""
    for partition in panels:
        check_zooms(zooms, partition.window)


def check_zooms(zooms: Sequence[Any], window: FloatArray) -> None:
    """Raises DataError unless every zoom, a Zoom or (u, v, half-width), lies in the square round a window (m, 2)."""
    u0, u1, v0, v1 = bounding_square(window).view
    slack = 1e-9 * (u1 - u0)
    for zoom in (one if isinstance(one, Zoom) else Zoom(*one) for one in zooms):
        if not (
            u0 - slack <= zoom.u - zoom.half and zoom.u + zoom.half <= u1 + slack
            and v0 - slack <= zoom.v - zoom.half and zoom.v + zoom.half <= v1 + slack
        ):  # fmt: skip
            raise DataError(
                f"zoom: expected a square inside the window, u {u0:.4g} .. {u1:.4g} and v {v0:.4g} .. {v1:.4g}, got "
                f"centre ({zoom.u:g}, {zoom.v:g}) with half-width {zoom.half:g}; move or shrink it, or widen the window."
            )


def _by_layer(panels: list[Partition]) -> tuple[list[Partition], list[Any]]:
    """One panel a kink layer of a single partition, with the mask of its knots."""
    if len(panels) != 1:
        raise DataError(f"layers: expected one partition to take apart, got {len(panels)}.")
    partition, count = panels[0], fills.layer_count(panels[0])
    layer = partition.edge_unit[:, 0]
    return [partition] * count, [layer == k for k in range(count)]


def _square(
    paper: Paper, layout: Layout, place: tuple[float, float, float], partition: Partition,
    view: tuple[float, float, float, float], options: dict[str, Any], boundary: bool, kind: str = "foot",
) -> tuple[Axes, Any]:  # fmt: skip
    """A panel: a square Axes with a partition in a view, its boundary, a scale bar below its left end; and the artist."""
    wide, high, (x, y, side) = layout.width, layout.height, place
    ax = paper.add_axes((x / wide, y / high, side / wide, side / high))
    look = {name: value for name, value in options.items() if name != "compact"}
    artist = draw.regions(partition, ax=ax, note=False, **look)
    if isinstance(artist, draw.PartitionImage):
        artist.compact = options["compact"]
    if boundary:
        draw.boundary(partition, ax=ax, line_width=0.9, casing=0.5)
    ax.set(xlim=view[:2], ylim=view[2:], xticks=[], yticks=[])
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set(visible=True, linewidth=0.7, edgecolor="black", zorder=10)
    length, said = _length(view[1] - view[0])
    share = length / (view[1] - view[0]) * side
    height = (y - 0.85 * layout.text) / high
    ends = Line2D([x / wide, (x + share) / wide], [height, height], color="black", linewidth=1.6, solid_capstyle="butt")
    paper.add_artist(ends)
    where = (x + share + 0.3 * layout.text) / wide, (y - 0.35 * layout.text) / high
    paper.text(*where, said, ha="left", va="top", fontsize=layout.sizes[kind])
    return ax, artist


def _zooms(
    paper: Paper, layout: Layout, index: int, panel: Axes, views: Sequence[Zoom], partition: Partition,
    options: dict[str, Any], boundary: bool, stars: bool,
) -> None:  # fmt: skip
    """The squares below a panel, with their stars, and a frame round each on the panel and on the zooms that it lies in."""
    around: list[tuple[Axes, Zoom | None]] = [(panel, None)]
    for which, zoom in enumerate(views):
        color = ZOOM_COLORS[which % len(ZOOM_COLORS)]
        for ax, larger in around:
            if larger is None or max(abs(zoom.u - larger.u), abs(zoom.v - larger.v)) + zoom.half < larger.half:
                within = 72.0 * (layout.side if larger is None else layout.zoom_side)  # the panel's side, in points
                half = max(zoom.half, 0.5 * LEAST_FRAME / within * float(np.ptp(ax.get_xlim())))
                frame = Rectangle((zoom.u - half, zoom.v - half), 2 * half, 2 * half, fill=False, edgecolor=color, zorder=6)
                frame.set(linewidth=1.2, snap=False, path_effects=[withStroke(linewidth=2.4, foreground="white")])
                ax.add_patch(frame)
        view = (zoom.u - zoom.half, zoom.u + zoom.half, zoom.v - zoom.half, zoom.v + zoom.half)
        place = (*layout.zoom(index, which), layout.zoom_side)
        inner, _ = _square(paper, layout, place, partition, view, options, boundary, "zoom")
        if stars:
            draw.anchors(partition.plane, ax=inner, star=min(4.5 * layout.zoom_side, 15.0))
        for spine in inner.spines.values():
            spine.set(edgecolor=color, linewidth=1.2)
        around.append((inner, zoom))


def _color_bar(paper: Paper, layout: Layout, image: Any, zero: bool) -> None:
    """The bar at the right of the first row, as high as a panel, its ticks and its name right of it; zero: of what is 0."""
    x, y = layout.panel(min(layout.across, layout.count) - 1)
    wide, high = layout.width, layout.height
    left = x + layout.side + layout.gap
    ax = paper.add_axes((left / wide, y / high, 0.8 * layout.text / wide, layout.side / high))
    share = 2.1 * layout.small / 72.0 / layout.side  # its number clears the bar's lowest
    bar = fills.color_bar(paper, image, zero=zero, share=share, size=layout.small, cax=ax)
    bar.outline.set(linewidth=0.6, edgecolor="#444444")
    ax.grid(False)
    ax.yaxis.set_minor_locator(NullLocator())
    marks, texts = layout.shown_ticks()
    bar.set_ticks(marks, labels=texts)
    ax.tick_params(length=2.0, pad=2.0, labelsize=layout.small)
    first, size = wide - 0.02 - 1.25 * layout.text * len(layout.bar_lines), layout.sizes["name"]
    for line, said in enumerate(layout.bar_lines):
        place = (first + 1.25 * line * size / 72.0) / wide, (y + layout.side / 2) / high
        paper.text(*place, said, rotation=90, ha="left", va="center", fontsize=size)
