r"""Canvases: a figure that is painted again and again, and the panel on it that shows a partition.
Here too: matplotlib's settings changed for a while, by one thread at a time; the size of a frame in pixels, scale bars and
their round lengths, a small map of where a window lies on its plane, and which anchors it leaves out.

        Canvas   places in 1080ths of the height, from the lower left corner, so that every size looks alike;
                 what stays the same is drawn once and kept as pixels, the rest is drawn over it
        Panel    a square Axes: fills and knots, decision boundary, anchors; and the colour bar of its scale

This file knows no run and lays nothing out: who paints says where things stand.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullLocator

from splineviz.drawing import draw, fills
from splineviz.drawing.anchors import STAR
from splineviz.errors import DataError
from splineviz.geometry.partition import Partition
from splineviz.geometry.polygons import bounding_square

FRAME_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 15.5,
    "axes.labelsize": 15.5,
    "axes.titlesize": 17.0,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlepad": 11.0,
    "axes.linewidth": 1.1,
    "axes.edgecolor": "#444444",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 1.0,
    "axes.axisbelow": True,
    "xtick.labelsize": 14.0,
    "ytick.labelsize": 14.0,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "xtick.major.size": 5.0,
    "ytick.major.size": 5.0,
    "lines.linewidth": 2.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}
"""Style of an animation frame at 1920 x 1080."""


ZERO_SWATCH = 46.0
"""Height of the swatch of 0 below a colour bar, in 1080ths of the canvas's: its number clears the bar's lowest."""

MAP = 108.0
"""Side of the map of the plane on a frame, in 1080ths of its height."""
LEAST_MARK = 9.0
"""Side of the smallest frame that stands for a window on the map, in points: a true one may be too small to be seen."""

READABLE = 320
"""Height of a frame in pixels below which its texts are less than 6 pixels high, which nobody reads."""

PLACE = "#0077bb"
"""Colour of that frame, which is neither the boundary's nor an anchor's."""

NAME = 10
"""Most letters of a class's name, or of a layer's path, beside a colour bar: there is no room for more."""


def frame_size(size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of a frame in pixels. Raises DataError unless there is room for panels beside one another: 7:4."""
    width, height = size
    if not (height >= 100 and width >= 1.75 * height):
        raise DataError(
            f"size: expected (width, height) in pixels with width >= 1.75 height >= 175, got {size}; for example 1280x720."
        )
    return int(width), int(height)


_DRAWING = threading.RLock()


@contextmanager
def styled(style: Any = None) -> Iterator[None]:
    """Matplotlib's rcParams set for as long as the block lasts, which other threads wait for: they are one for the process.

    Settings of two threads at once would be mixed, and one thread's left behind; its reader of $formulas$ is one, too.
    """
    with _DRAWING, matplotlib.rc_context(style):
        yield


class Canvas:
    """A figure of a size in pixels, and what of it has been drawn."""

    def __init__(self, size: tuple[int, int]) -> None:
        width, height = size
        self.size = size
        self.width = 1080.0 * width / height
        """Of the canvas, in 1080ths of its height."""
        self._rest: Any = None  # pixels of all that stays
        with styled(FRAME_STYLE):
            inches = 10.8 * (1 + 1e-9)  # matplotlib before 3.11 cuts pixels off, 639.9999 to 639
            self.figure = Figure(figsize=(width / height * inches, inches), dpi=height / 10.8)
            self._canvas = FigureCanvasAgg(self.figure)

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """An Axes at a place given in 1080ths of the height, from the lower left corner."""
        return self.figure.add_axes((x / self.width, y / 1080.0, width / self.width, height / 1080.0))

    def text(self, x: float, y: float, size: float, align: str, said: str = "", *, bold: bool = True) -> Any:
        """A line of text whose foot is at a place."""
        weight = "bold" if bold else "normal"
        return self.figure.text(
            x / self.width, y / 1080.0, said, fontsize=size, fontweight=weight, ha=align, va="bottom", color="#111111"
        )

    def paint(self, moving: Sequence[Artist]) -> npt.NDArray[np.uint8]:
        """Pixels (height, width, 3) uint8: all that stays, drawn the first time, and over it what moves, in this order."""
        canvas = self._canvas
        with styled():
            try:
                for artist in moving:
                    artist.set_animated(True)
                if self._rest is None:
                    canvas.draw()
                    self._rest = canvas.copy_from_bbox(self.figure.bbox)
                canvas.restore_region(self._rest)
                for artist in moving:
                    self.figure.draw_artist(artist)
            finally:
                for artist in moving:
                    artist.set_animated(False)
        # One copy in one piece: who saves the picture and who encodes it then need none of their own.
        drawn, (width, height) = np.asarray(canvas.buffer_rgba()), self.size
        pixels = np.empty((height, width, 3), np.uint8)
        for channel in range(3):  # one after the other: three times as fast as three of four together
            pixels[:, :, channel] = drawn[:height, :width, channel]
        return pixels


def left_out(partition: Partition) -> npt.NDArray[np.float64]:
    """(n, 2) the anchors that lie outside a partition's window."""
    low, high = partition.window.min(axis=0), partition.window.max(axis=0)
    anchors = np.asarray(partition.plane.anchors_uv).reshape(-1, 2)
    outside: npt.NDArray[np.float64] = anchors[~((anchors >= low) & (anchors <= high)).all(axis=1)]
    return outside


def draw_map(ax: Axes, partition: Partition) -> None:
    """Where a window lies on its plane: all anchors, and a frame; on an Axes as small as MAP."""
    anchors = partition.plane.anchors_uv
    corners = np.concatenate([partition.plane.window(None), partition.window])
    square = bounding_square(corners).view
    ax.set(xticks=[], yticks=[], xlim=square[:2], ylim=square[2:])
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set(visible=True, linewidth=1.0, edgecolor="#444444")
    figure = ax.get_figure(root=True)
    assert figure is not None
    least = LEAST_MARK / 72.0 * figure.dpi / ax.bbox.width * (square[1] - square[0])
    low, high = partition.window.min(axis=0), partition.window.max(axis=0)
    side, middle = np.maximum(high - low, least), 0.5 * (low + high)
    ax.scatter(anchors[:, 0], anchors[:, 1], s=95.0, linewidth=0.9, zorder=3, **STAR)
    place = Rectangle(tuple(middle - 0.5 * side), *side, fill=False, edgecolor=PLACE, linewidth=2.0, zorder=4)
    ax.add_patch(place)
    times = (square[1] - square[0]) / float((high - low).max())
    said = f"map\n1 : {times:,.0f}" if times >= 1.5 else "map"  # in two lines: axes of curves are named beside it
    ax.set_title(said, fontsize=14.0, fontweight="normal", color="#444444", loc="left", pad=6)


def round_length(most: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is at most `most`: the length of a scale bar."""
    power = 10.0 ** np.floor(np.log10(most))
    return float(max(step for step in (1.0, 2.0, 5.0) if step * power <= most * (1 + 1e-12)) * power)


def scale_bar(ax: Axes) -> list[Artist]:
    """A bar in the lower left corner of a square Axes, and its length in input-space length beside it."""
    (low, high), foot = ax.get_xlim(), ax.get_ylim()[0]
    side = high - low
    length, x, y = round_length(0.2 * side), low + 0.025 * side, foot + 0.025 * side
    bare: Any = {"foreground": "white"}
    (line,) = ax.plot([x, x + length], [y, y], color="black", linewidth=3.2, solid_capstyle="butt", zorder=8,
                      path_effects=[withStroke(linewidth=6.4, **bare)], scalex=False, scaley=False)  # fmt: skip
    text = ax.text(x + length + 0.012 * side, y, f"{length:g}", fontsize=14.0, ha="left", va="center", color="black",
                   zorder=8, path_effects=[withStroke(linewidth=3.5, **bare)])  # fmt: skip
    return [line, text]


class Panel:
    """A square Axes that shows one partition after the other. look: as `draw.regions` takes it; stars: as `draw.anchors`."""

    def __init__(self, ax: Axes, look: Mapping[str, Any], stars: Mapping[str, Any]) -> None:
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        for spine in ax.spines.values():
            spine.set(visible=True, linewidth=1.4, edgecolor="black", zorder=10)
        self.ax = ax
        self.names: Sequence[str] = ()
        """Of the classes, for the colour bar."""
        self.bar: tuple[Axes, str | None] | None = None
        """An Axes for the colour bar, and what it is called; it is drawn with the first partition."""
        self._look, self._stars = dict(look), dict(stars)
        self._image: draw.PartitionImage | None = None
        self._scale: list[Artist] = []  # the scale bar, made anew where the view is another
        self._over: list[Artist] = []  # the boundary, made anew for every partition
        self._anchors: list[
            Artist
        ] = []  # made anew where plane or view are others: finding places for thumbnails takes time
        self._view: Any = None

    def show(self, partition: Partition, segments: Any = None, *, boundary_width: float = 2.4, **look: Any) -> None:
        """Put a partition on the panel. segments: of the boundary, by default the partition's; look: other than usual."""
        ax, look = self.ax, {**self._look, **look}
        for artist in self._over:
            artist.remove()
        if self._image is None:
            image = draw.regions(partition, ax=ax, note=False, **look)
            assert isinstance(image, draw.PartitionImage)
            self._image = image
            if self.bar is not None:
                self._draw_bar(*self.bar, partition.layer_paths)
        else:
            self._image.set_partition(partition, **look)
        square = bounding_square(partition.window)
        ax.set(xlim=square.view[:2], ylim=square.view[2:])
        self._image.start()
        before = set(ax.get_children())
        draw.boundary(
            partition if segments is None else segments, ax=ax, line_width=boundary_width, casing=0.6 * boundary_width
        )
        self._over = [artist for artist in ax.get_children() if artist not in before]
        view = (partition.plane.anchors_uv.tolist(), square.view)
        if view != self._view:
            for artist in self._scale:
                artist.remove()
            self._scale = scale_bar(ax)
            for artist in self._anchors:
                artist.remove()
            before = set(ax.get_children())
            draw.anchors(partition.plane, ax=ax, **self._stars)
            self._anchors, self._view = [artist for artist in ax.get_children() if artist not in before], view

    def artists(self) -> list[Artist]:
        """All that changes with the partition, in order of drawing."""
        moving = [*self._over, *self._anchors, *self._scale]
        found = [*([self._image] if self._image else []), *moving, *self.ax.spines.values()]
        return sorted(found, key=lambda artist: artist.get_zorder())

    def _draw_bar(self, place: Axes, label: str | None, paths: Sequence[str]) -> None:
        """The colour bar, of the scale that all frames share; none where colours have no scale. paths: of the layers."""
        fill = self._look["fill"]
        named = fill if isinstance(fill, str) else "value"
        if (named in fills.FILLS and not fills.FILLS[named].has_bar) or self._image is None:
            place.remove()
            return
        figure = self.ax.get_figure()
        assert figure is not None
        zero = named == "slope"  # dead regions have no place on its scale: a swatch of their own
        share = ZERO_SWATCH / (1080.0 * place.get_position().height)
        bar = fills.color_bar(figure, self._image, zero=zero, share=share, size=14.0, cax=place)
        bar.outline.set(linewidth=1.0, edgecolor="#444444")
        # Above the bar, where it cannot be taken for the name of the panel beside it.
        said = label or fills.label(named, short=True)
        place.set_title(said, fontsize=15.5, fontweight="normal", color="#444444", loc="left", pad=10)
        place.grid(False)
        place.yaxis.set_minor_locator(NullLocator())
        renderer: Any = figure.canvas.get_renderer()  # type: ignore[attr-defined]  # Agg, as Canvas made it
        for most in range(NAME, 1, -1):
            names = [name if len(name) <= most else name[: most - 1] + "\N{HORIZONTAL ELLIPSIS}" for name in self.names]
            short = [fills.ending(path, max(most - 4, 1)) for path in paths]
            place.set_yticks(*fills.ticks(fill, self._image.norm, names=names, paths=short))
            boxes = [label.get_window_extent(renderer) for label in place.get_yticklabels()]
            if max((box.x1 for box in boxes), default=0.0) <= figure.bbox.width:
                break  # letters may be wide: on a strip the bar stands at the right edge
