r"""Drawing: a Partition, its decision boundary and its anchors as artists on an Axes.
Here too: which edges are knots of which layers, and an inset that shows a square of the plane larger.

        regions   fill + knots    one image, rasterised by `_kernels.measuring.raster` for just the pixels shown,
                                  whenever it is drawn: zooming in shows more, never a resampled picture
        boundary  red lines       matplotlib vectors
        anchors   stars, samples  see `anchors`

Axes are in plane coordinates (u right, v up, lengths of input space). The functions take the data first, return
the artist, never show, and compute no geometry. Where many knots share a pixel they fade, so that the picture
shows how dense they lie instead of a black blot; where they lie apart they are drawn with their full width.
Pixels are found from `local_vertices`, so a picture is as sharp as the partition's own numbers, however deep the zoom.
What fills there are, and their scales, is said in `fills`.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colors as mpl_colors
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.image import AxesImage
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Affine2D, Bbox

from splineviz.drawing.anchors import anchors, thumbnail
from splineviz.drawing.fills import (
    CMAP,
    PALETTES,
    Scale,
    color_limits,
    colors,
    face_classes,
    face_layers,
    face_margins,
    fill_quantiles,
    knot_colors,
    layer_count,
    padded,
    shared_limits,
)
from splineviz.drawing.pixels import Color, Wanted, few_colors, painted, rasterize
from splineviz.errors import DataError, to_float_array
from splineviz.geometry.partition import Partition
from splineviz.system.signals import HeldBack
from splineviz.threads import outcome

__all__ = [
    "CMAP", "PALETTES", "PartitionImage", "anchors", "boundary", "color_limits", "face_classes", "face_layers",
    "face_margins", "few_colors", "fill_quantiles", "inset", "padded", "rasterize", "regions", "shared_limits", "thumbnail",
]  # fmt: skip

VECTOR_LIMIT = 20_000
"""Most regions that `regions(vector=True)` accepts; beyond, a vector file is slow to open and gains nothing."""

LINE_WIDTH = 0.5
"""Default width of a knot, in points."""

BOUNDARY_COLOR = "#e8000b"


# ---- the raster --------------------------------------------------------------------------------------


class PartitionImage(AxesImage):
    """A partition on an Axes, rasterised afresh for the view and the pixels of each drawing.

    `norm` and `cmap` are those of the fill, so a colour bar can be made from it. Needs linear axes.
    compact: embed it in PDF and SVG with `few_colors`.
    """

    compact = False

    def __init__(self, ax: Axes, partition: Partition, **style: Any) -> None:
        low, high = partition.window.min(axis=0), partition.window.max(axis=0)
        super().__init__(ax, extent=(low[0], high[0], low[1], high[1]), origin="upper", interpolation="nearest")
        self.set_data(np.zeros((1, 1)))
        self.set_partition(partition, **style)

    def set_partition(
        self,
        partition: Partition,
        *,
        fill: Any = "slope",
        cmap: Any = None,
        limits: tuple[float, float] | None = None,
        edges: Any = True,
        line_width: float = LINE_WIDTH,
        edge_color: Color = "black",
        edge_alpha: float = 1.0,
    ) -> None:
        """Show another partition, or another fill, in the same artist.

        Args:
            partition: what is shown from now on.
            fill: as in `regions`.
            cmap: as in `regions`.
            limits: as in `regions`.
            edges: as in `regions`.
            line_width: as in `regions`.
            edge_color: as in `regions`.
            edge_alpha: as in `regions`.

        Raises:
            ValueError: as in `regions`.
        """
        self._partition = partition
        self._colors, norm, chosen = colors(partition, fill, cmap, limits)
        if chosen is not self.cmap:
            self.set_cmap(chosen)
        if type(norm) is not type(self.norm) or (norm.vmin, norm.vmax) != (self.norm.vmin, self.norm.vmax):
            self.set_norm(norm)  # only then: a colour bar is drawn anew each time
        bare = isinstance(edge_color, str) and edge_color == "none"
        width = line_width if np.any(edges) and not bare else 0.0
        self._line = (width, "black" if bare else _ink(partition, edge_color), edge_alpha, edges)
        self._drawn: tuple[Wanted, npt.NDArray[np.uint8]] | None = None
        self._coming: tuple[Wanted, Future[npt.NDArray[np.uint8]]] | None = None
        self.stale = True

    def start(self) -> None:
        """Begin to rasterise for the axes as they are, in threads: who draws soon can do other things meanwhile."""
        wanted = self._wanted(1.0, compact=False)
        if wanted is not None and (self._drawn is None or self._drawn[0] != wanted):
            with HeldBack():
                pool = ThreadPoolExecutor(1)
                self._coming = (wanted, pool.submit(painted, wanted, self._partition, self._colors, self._line))
                pool.shutdown(wait=False)

    def make_image(  # type: ignore[override]  # None, for nothing to draw, is what matplotlib's own draw() asks for
        self, renderer: Any, magnification: float = 1.0, unsampled: bool = False
    ) -> tuple[npt.NDArray[np.uint8] | None, float, float, Affine2D]:
        """The pixels of the part of the axes that is on the canvas (matplotlib calls this when it draws)."""
        # Pixel canvases, and only they, can copy what they show.
        wanted = self._wanted(magnification, compact=self.compact and not hasattr(renderer, "copy_from_bbox"))
        if wanted is None:
            return None, 0.0, 0.0, Affine2D()
        coming, self._coming = self._coming, None
        if self._drawn is None or self._drawn[0] != wanted:
            begun = coming is not None and coming[0] == wanted
            found = outcome(coming[1]) if coming and begun else painted(wanted, self._partition, self._colors, self._line)
            self._drawn = (wanted, found)
        return self._drawn[1], wanted.left, wanted.bottom, Affine2D()

    def _wanted(self, magnification: float, *, compact: bool) -> Wanted | None:
        """What the axes show of the plane, and in how many pixels; None if nothing of them is on the canvas."""
        axes, figure = self.axes, self.get_figure(root=True)
        box = None if axes is None or figure is None else Bbox.intersection(axes.bbox, figure.bbox)
        if axes is None or figure is None or box is None or box.width <= 0 or box.height <= 0:
            return None
        if (axes.get_xscale(), axes.get_yscale()) != ("linear", "linear"):
            raise ValueError("ax: expected linear axes to draw a partition on, got logarithmic ones; use another Axes.")
        # Whole pixels that contain the axes: the picture is never resampled; what is too much is clipped.
        left, bottom = np.floor([box.x0, box.y0])
        width = max(int(np.ceil((box.x1 - left) * magnification - 1e-6)), 1)
        height = max(int(np.ceil((box.y1 - bottom) * magnification - 1e-6)), 1)
        corners = [(left, bottom), (left + width / magnification, bottom + height / magnification)]
        (ua, va), (ub, vb) = axes.transData.inverted().transform(corners)
        pixels = self._line[0] * figure.dpi * magnification / 72.0
        ends = float(ua), float(ub), float(va), float(vb)
        return Wanted(ends, (height, width), pixels, compact, float(left), float(bottom))

    def get_cursor_data(self, event: Any) -> None:
        """No value under the cursor: finding the face is geometry."""
        return None


def _ink(partition: Partition, edge_color: Color) -> Any:
    """A colour, or (E, 3): one for each edge."""
    return knot_colors(partition) if isinstance(edge_color, str) and edge_color == "layer" else edge_color


def knots_of(partition: Partition, layers: Sequence[int]) -> npt.NDArray[np.bool_]:
    """(E,) the edges that are knots of these kink layers. Raises DataError for a layer that there is not."""
    count = layer_count(partition)
    if unknown := [layer for layer in layers if not 0 <= layer < count]:
        raise DataError(f"knots_of: expected layers from 0 to {count - 1}, got {', '.join(map(str, unknown))}.")
    return np.isin(partition.edge_unit[:, 0], list(layers))


def regions(
    partition: Partition,
    *,
    ax: Axes | None = None,
    fill: Any = "slope",
    cmap: Any = None,
    limits: tuple[float, float] | None = None,
    edges: bool | npt.NDArray[np.bool_] = True,
    line_width: float = LINE_WIDTH,
    edge_color: Color = "black",
    edge_alpha: float = 1.0,
    vector: bool = False,
    note: bool = True,
) -> AxesImage | PolyCollection:
    """Draw all regions of a partition.

    Args:
        partition: what is drawn.
        ax: the Axes to draw on; None: the current ones.
        fill: one of `choices.FILLS` ("slope", "class", "margin", "layer", "area", "active", "lc", "hash", "random", "none"),
            values (F,), or colours (F, 3) in [0, 1].
        cmap: a name of PALETTES or of matplotlib's, or a colour map.
        limits: (low, high) of the colour scale; by default `color_limits` of this partition.
        edges: whether knots are drawn, or a mask (E,) of those that are. The window's border is no knot.
        line_width: of the knots, in points.
        edge_color: one colour, "none" for no knots, "layer" (a colour for each kink layer, the first the darkest), or
            (E, 3) in [0, 1].
        edge_alpha: opacity of the knots, in [0, 1].
        vector: polygons instead of pixels, for small vector files (at most VECTOR_LIMIT regions).
        note: say in the lower left corner what was drawn in the place of smooth functions, if anything.

    Returns:
        The artist that was added to the Axes: a picture, or polygons.

    Raises:
        ValueError: an unknown fill, an array that does not fit, or too many regions for vector=True; a DataError where
            there is no partition to draw.
    """
    if not hasattr(partition, "edge_unit"):
        kind = type(partition).__name__
        raise DataError(f"regions: expected a Partition, as sv.partition(model, plane) returns, got {kind}.")
    ax = pyplot.gca() if ax is None else ax
    ax.set_aspect("equal")
    if note and partition.note:
        _say(ax, partition.note)
    if not vector:
        image = PartitionImage(
            ax, partition, fill=fill, cmap=cmap, limits=limits, edges=edges,
            line_width=line_width, edge_color=edge_color, edge_alpha=edge_alpha,
        )  # fmt: skip
        ax.add_image(image)
        image.set_clip_path(ax.patch)
        image.set_extent(image.get_extent())  # sets the axes' limits, where they are automatic
        return image
    if isinstance(edge_color, str) and edge_color == "none":
        edges, edge_color = False, "black"
    return _polygons(ax, partition, colors(partition, fill, cmap, limits), edges, line_width, edge_color, edge_alpha)


def _say(ax: Axes, note: str) -> None:
    """Write in the lower left corner what a partition was drawn with."""
    ax.annotate(
        note, (0.0, 0.0), xycoords="axes fraction", xytext=(4.0, 4.0), textcoords="offset points",
        color="white", fontsize="small", zorder=7, path_effects=[withStroke(linewidth=2.0, foreground="black")],
    )  # fmt: skip


def _polygons(
    ax: Axes,
    partition: Partition,
    scale: Scale,
    edges: bool | npt.NDArray[np.bool_],
    line_width: float,
    edge_color: Color,
    edge_alpha: float,
) -> PolyCollection:
    """The regions as polygons; see `regions`."""
    if partition.num_regions > VECTOR_LIMIT:
        raise ValueError(
            f"vector: expected at most {VECTOR_LIMIT} regions, got {partition.num_regions}; leave vector=False: the fills "
            f"are then an image of the file's dpi, text and boundary stay vectors."
        )
    faces, norm, chosen = scale
    polygons = np.split(partition.vertices[partition.face_vertices], partition.face_offsets[1:-1])
    if len(faces) > len(polygons):  # parts of classes, over their faces
        parts = partition.classes()
        polygons += [parts.vertices[parts.part(index)] + partition.centre for index in parts.extra]
    ink, single = _ink(partition, edge_color), np.ndim(edges) == 0
    plain = single and not (isinstance(ink, np.ndarray) and ink.ndim == 2) and len(faces) == partition.num_regions
    # Without knots each face gets a hairline of its own colour, or viewers show gaps between neighbours.
    around: Any = mpl_colors.to_rgba(ink, edge_alpha) if plain and edges else faces
    thickness = line_width if plain and edges else 0.35
    collection = PolyCollection(polygons, facecolors=faces, edgecolors=around, linewidths=thickness)
    if not plain and np.any(edges):
        knots = (partition.edge_tag >= 0) & edges
        ends = list(partition.vertices[partition.edges[knots]])
        chosen_ink = ink[knots] if isinstance(ink, np.ndarray) and ink.ndim == 2 else ink
        lines = LineCollection(ends, colors=chosen_ink, alpha=edge_alpha, linewidths=line_width)
        ax.add_collection(lines, autolim=False)
    collection.set_norm(norm)
    collection.set_cmap(chosen)
    ax.add_collection(collection, autolim=False)
    low, high = partition.window.min(axis=0), partition.window.max(axis=0)
    ax.update_datalim([low, high])
    collection.sticky_edges.x[:], collection.sticky_edges.y[:] = [low[0], high[0]], [low[1], high[1]]
    ax.autoscale_view()
    return collection


# ---- what lies on top --------------------------------------------------------------------------------


def boundary(
    segments: Any, *, ax: Axes | None = None, color: Color = BOUNDARY_COLOR, line_width: float = 1.6, casing: float = 1.2
) -> LineCollection:
    """Draw the decision boundary and return its lines. It lies over the anchors' samples and under their stars.

    Args:
        segments: (M, 2, 2) plane coordinates, or a Partition: its `decision_boundary()`, and its window on fresh axes.
        ax: the Axes to draw on; None: the current ones.
        color: of the lines.
        line_width: in points.
        casing: extra width in points, on either side, of a white line below the coloured one (0: none).

    Returns:
        The LineCollection that was added to the Axes.

    Raises:
        ValueError: segments of another shape, or not finite.
    """
    ax = pyplot.gca() if ax is None else ax
    ax.set_aspect("equal")
    lines = to_float_array(segments.decision_boundary() if isinstance(segments, Partition) else segments, "segments")
    if lines.size == 0:
        lines = np.empty((0, 2, 2))
    if lines.ndim != 3 or lines.shape[1:] != (2, 2):
        raise ValueError(f"segments: expected shape (M, 2, 2), pairs of plane coordinates, got {lines.shape}.")
    collection = LineCollection(
        list(lines), colors=[color], linewidths=line_width, capstyle="round", zorder=4.71, label="decision boundary"
    )
    if casing > 0:  # one path, so that its transparency does not add up where segments meet
        path = Path(lines.reshape(-1, 2), np.tile([Path.MOVETO, Path.LINETO], len(lines)))
        below = PathPatch(
            path, facecolor="none", edgecolor="white", linewidth=line_width + 2 * casing, capstyle="round", alpha=0.75,
            zorder=4.7,
        )  # fmt: skip
        below.set_clip_path(ax.patch)
        ax.add_artist(below)
    ax.add_collection(collection, autolim=False)
    # Axes whose limits nobody has set yet show the window, or what there is of a boundary given as segments.
    corners = segments.window if isinstance(segments, Partition) else lines.reshape(-1, 2)
    if len(corners):
        ax.update_datalim([corners.min(axis=0), corners.max(axis=0)])
        if isinstance(segments, Partition):
            low, high = corners.min(axis=0), corners.max(axis=0)
            collection.sticky_edges.x[:], collection.sticky_edges.y[:] = [low[0], high[0]], [low[1], high[1]]
        ax.autoscale_view()
    return collection


def inset(
    partition: Partition, u: float, v: float, half: float, *, ax: Axes | None = None, place: Any = None, side: float = 0.4,
    color: Color = "black", **look: Any,
) -> Axes:  # fmt: skip
    """Show a square of the plane larger in a corner of the axes, drawn afresh from the partition; returns its Axes.

    A frame shows where it lies, and lines lead to it. Regions, decision boundary and stars are those of the partition.

    Args:
        partition: what `ax` shows.
        u: middle of the square.
        v: middle of the square.
        half: half of its side, in input-space length.
        ax: the Axes to draw on, whose limits are set; None: the current ones.
        place: (left, foot) of the inset, as shares of the axes; None: the corner farthest from the square.
        side: of the inset, as a share of the axes.
        color: of its frame.
        look: as for `regions`, and the same that the axes have.

    Returns:
        The inset's Axes.

    Raises:
        ValueError: the square does not lie in the partition's window.
    """
    low, high = partition.window.min(axis=0), partition.window.max(axis=0)
    middle = np.array([u, v], dtype=np.float64)
    if not (half > 0 and (low <= middle - half).all() and (middle + half <= high).all()):
        raise ValueError(
            f"inset: expected a square inside the window, u {low[0]:.4g} .. {high[0]:.4g} and v {low[1]:.4g} .. "
            f"{high[1]:.4g}, got centre ({u:g}, {v:g}) with half-width {half:g}; move or shrink it."
        )
    ax = pyplot.gca() if ax is None else ax
    if place is None:
        ends = np.transpose([ax.get_xlim(), ax.get_ylim()])
        share = (middle - ends[0]) / (ends[1] - ends[0])
        place = np.where(share > 0.5, 0.03, 0.97 - side)
    inner = ax.inset_axes((float(place[0]), float(place[1]), side, side), zorder=6)
    regions(partition, ax=inner, note=False, **look)
    boundary(partition, ax=inner)
    inner.set(xlim=(u - half, u + half), ylim=(v - half, v + half), xticks=[], yticks=[])
    anchors(partition.plane, ax=inner, star=12.0)
    for spine in inner.spines.values():
        spine.set(edgecolor=color, linewidth=1.2)
    ax.indicate_inset_zoom(inner, edgecolor=color, alpha=1.0, linewidth=1.2, zorder=5.5)
    return inner
