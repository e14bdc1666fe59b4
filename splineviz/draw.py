r"""Drawing: a Partition, its decision boundary and its anchors as artists on an Axes.

        regions   fill + knots    one image, rasterised by `_kernels.raster` for just the pixels shown,
                                  whenever it is drawn: zooming in shows more, never a resampled picture
        boundary  red lines       matplotlib vectors
        anchors   stars, samples  see `anchors`

Axes are in plane coordinates (u right, v up, lengths of input space). The functions take the data first, return
the artist, never show, and compute no geometry. Where many knots share a pixel they fade, so that the picture
shows how dense they lie instead of a black blot; where they lie apart they are drawn with their full width.

A region without slope (a dead one) takes the lowest colour of a logarithmic scale, a region without a value
(NaN) is grey.
"""

from __future__ import annotations

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
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
from matplotlib.transforms import Affine2D, Bbox

from splineviz._kernels import raster
from splineviz.anchors import anchors, thumbnail
from splineviz.errors import FloatArray, to_float_array
from splineviz.partition import Partition

__all__ = [
    "PartitionImage", "anchors", "boundary", "color_limits", "face_classes", "fill_quantiles", "padded", "rasterize",
    "regions", "thumbnail",
]  # fmt: skip

Color = Any
"""Any colour that matplotlib understands."""

VECTOR_LIMIT = 20_000
"""Most regions that `regions(vector=True)` accepts; beyond, a vector file is slow to open and gains nothing."""

LINE_WIDTH = 0.5
"""Default width of a knot, in points."""

KNEE, CEILING = 0.22, 0.62
"""Share of a neighbourhood that knots may cover before they fade, and the share that they never exceed."""

CLASS_COLORS = ("#77aadd", "#eedd88", "#44bb99", "#ffaabb", "#99ddff", "#bbcc33", "#c3a6d8", "#ee8866", "#dddddd", "#aaaa55")
"""Light colours that stay apart for colour-blind readers (after Paul Tol's light scheme, one added)."""

BOUNDARY_COLOR = "#e8000b"
BAD_COLOR = (0.8, 0.8, 0.8)


def _lightened_viridis() -> mpl_colors.ListedColormap:
    """Viridis without its darkest end and nearer to white, so that black knots and a red boundary stand out on it."""
    base = pyplot.get_cmap("viridis")(np.linspace(0.16, 1.0, 256))[:, :3]
    white = np.linspace(0.36, 0.14, 256)[:, None]
    return mpl_colors.ListedColormap(base + white * (1.0 - base), name="splineviz")


CMAP = _lightened_viridis()


# ---- fills -------------------------------------------------------------------------------------------


def color_limits(partition: Partition, *, fill: str = "slope", share: float = 0.98) -> tuple[float, float]:
    """Limits (low, high) of a fill's colour scale that leave out (1 - share) / 2 of the window's area at either end.

    fill: "slope" or "area". Regions with value 0 do not count: a logarithmic scale has no place for them.
    """
    tail = (1.0 - share) / 2
    ends = fill_quantiles(partition, np.array([tail, 1.0 - tail]), fill=fill)
    return padded(*ends) if len(ends) else padded(1.0, 1.0)


def fill_quantiles(partition: Partition, shares: FloatArray, *, fill: str = "slope") -> FloatArray:
    """Values of a fill below which lie the given shares (k,) of the window's area; empty if no value is positive."""
    values, weights = _scalar(partition, fill), partition.areas
    keep = np.isfinite(values) & (values > 0) & (weights > 0)
    order = np.argsort(values[keep])
    values, mass = values[keep][order], np.cumsum(weights[keep][order])
    return values[np.searchsorted(mass, shares * mass[-1]).clip(max=len(mass) - 1)] if len(mass) else values


def padded(low: float, high: float) -> tuple[float, float]:
    """Two limits as a colour scale needs them: where there is one value only, it gets some room."""
    low, high = float(low), float(high)
    return (low, high) if high > low * 1.001 else (low / 1.5, high * 1.5)


def _scalar(partition: Partition, fill: str) -> FloatArray:
    if fill == "slope":
        return partition.slope_norms
    if fill == "area":
        return partition.areas
    raise ValueError(f"fill: expected 'slope' or 'area' for a colour scale, got {fill!r}.")


def face_classes(partition: Partition) -> npt.NDArray[np.int64]:
    """(F,) class with the largest mean output over each face's vertices; for one output, whether it is positive."""
    if not partition.num_regions:
        return np.empty(0, dtype=np.int64)
    counts = np.diff(partition.face_offsets)
    sums = np.add.reduceat(partition.outputs[partition.face_vertices], partition.face_offsets[:-1], axis=0)
    means = sums / counts[:, None]
    return (means[:, 0] > 0).astype(np.int64) if means.shape[1] == 1 else means.argmax(axis=1)


def _hash_colors(keys: npt.NDArray[np.uint64]) -> FloatArray:
    """(F, 3) light colours that depend on nothing but the key, so a pattern keeps its colour over training."""
    hue = (keys >> np.uint64(40)).astype(np.float64) / 2.0**24
    light = ((keys >> np.uint64(16)) & np.uint64(0xFFFF)).astype(np.float64) / 2.0**16
    return mpl_colors.hsv_to_rgb(np.stack([hue, 0.25 + 0.3 * light, 0.95 - 0.15 * light], axis=1))


def _colors(
    partition: Partition, fill: Any, cmap: Any, limits: tuple[float, float] | None
) -> tuple[FloatArray, mpl_colors.Normalize, mpl_colors.Colormap]:
    """(F, 3) colours of the faces, and the scale that a colour bar shows."""
    chosen = CMAP if cmap is None else pyplot.get_cmap(cmap)
    regions_count = partition.num_regions
    if isinstance(fill, str) and fill in ("random", "hash"):
        keys = partition.pattern_hash
        if fill == "random":
            keys = np.random.default_rng(0).integers(0, 2**63, regions_count, dtype=np.uint64)
        return _hash_colors(keys), mpl_colors.Normalize(0, 1), chosen
    if isinstance(fill, str) and fill == "class":
        channels = max(partition.outputs.shape[1], 2)
        palette = [CLASS_COLORS[i % len(CLASS_COLORS)] for i in range(channels)]
        chosen = mpl_colors.ListedColormap(palette) if cmap is None else pyplot.get_cmap(cmap, channels)
        steps = mpl_colors.BoundaryNorm(np.arange(channels + 1) - 0.5, channels)
        return np.ascontiguousarray(chosen(face_classes(partition))[:, :3]), steps, chosen
    norm: mpl_colors.Normalize
    low: float
    high: float
    if isinstance(fill, str):
        if fill not in ("slope", "area"):
            names = "'slope', 'class', 'area', 'random', 'hash'"
            raise ValueError(f"fill: expected {names} or an array with a value per region, got {fill!r}.")
        values = _scalar(partition, fill)
        low, high = limits or color_limits(partition, fill=fill)
        norm = mpl_colors.LogNorm(low, high, clip=True)
        values = np.maximum(values, low)
    else:
        values = np.asarray(fill, dtype=np.float64)
        if values.shape == (regions_count, 3):
            return np.ascontiguousarray(values), mpl_colors.Normalize(0, 1), chosen
        if values.shape != (regions_count,):
            raise ValueError(
                f"fill: expected one value per region, shape ({regions_count},), or colours ({regions_count}, 3), "
                f"got shape {values.shape}."
            )
        finite = values[np.isfinite(values)]
        low, high = limits or ((finite.min(), finite.max()) if len(finite) else (0.0, 1.0))
        norm = mpl_colors.Normalize(low, high, clip=True)
    faces = chosen(norm(np.nan_to_num(values, nan=low)))[:, :3]
    faces[~np.isfinite(values)] = BAD_COLOR
    return np.ascontiguousarray(faces), norm, chosen


# ---- the raster --------------------------------------------------------------------------------------


def rasterize(
    partition: Partition,
    colors: FloatArray,
    *,
    view: tuple[float, float, float, float],
    shape: tuple[int, int],
    line_width: float = 1.0,
    line_color: Color = "black",
    line_alpha: float = 1.0,
    threads: int | None = None,
) -> npt.NDArray[np.uint8]:
    """Picture (H, W, 4) uint8 of a rectangle of the plane, row 0 at the top, straight alpha, transparent outside.

    colors: (F, 3) in [0, 1], one per region; every pixel shows the area-weighted mean of the regions in it.
    view: (u0, u1, v0, v1), the rectangle; shape: (H, W) in pixels.
    line_width: of the knots, in pixels (0: none); a line thinner than a pixel covers it in part. Where knots cover
    more than KNEE of a neighbourhood of 11 pixels they fade, and on average never cover more than CEILING of it.
    """
    height, width = shape
    u0, u1, v0, v1 = view
    if not (height > 0 and width > 0 and u1 > u0 and v1 > v0):
        raise ValueError(f"view, shape: expected u0 < u1, v0 < v1 and at least one pixel, got view {view}, shape {shape}.")
    scale = np.array([width / (u1 - u0), height / (v1 - v0)])
    threads = threads or min(os.cpu_count() or 1, 8)
    bands = max(threads, -(-height // 256))  # few enough rows a band that its buffer stays small
    cuts = np.linspace(0, height, min(bands, height) + 1).astype(int)
    slices = list(itertools.pairwise(cuts.tolist()))
    opacity = np.zeros((height, width))
    image = np.empty((height, width, 4), dtype=np.uint8)
    ink = np.array(mpl_colors.to_rgb(line_color))

    def origin(row: int) -> FloatArray:
        return np.array([u0, v0 + row / scale[1]])

    def cover(rows: tuple[int, int]) -> None:
        total = np.zeros((rows[1] - rows[0], width + 1, 1))
        widths = np.where(partition.edge_tag >= 0, float(line_width), 0.0)
        raster.add_lines(total, partition.vertices, partition.edges, widths, origin(rows[0]), scale)
        raster.sum_rows(total)
        opacity[rows[0] : rows[1]] = total[:, :width, 0]

    def paint(rows: tuple[int, int]) -> None:
        total = np.zeros((rows[1] - rows[0], width + 1, 4))
        raster.add_fills(total, partition.vertices, partition.edges, partition.edge_faces, colors, origin(rows[0]), scale)
        raster.sum_rows(total)
        raster.compose(total, line_alpha * opacity[rows[0] : rows[1]], ink, image[rows[0] : rows[1]])

    with ThreadPoolExecutor(threads) as pool:
        if line_width > 0:
            list(pool.map(cover, slices))
            density = raster.box_mean(raster.box_mean(opacity, 3), 2)
            opacity = raster.line_opacity(opacity, density, KNEE, CEILING)
        list(pool.map(paint, slices))
    return image[::-1]


class PartitionImage(AxesImage):
    """A partition on an Axes, rasterised afresh for the view and the pixels of each drawing.

    `norm` and `cmap` are those of the fill, so a colour bar can be made from it. Needs linear axes.
    """

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
        edges: bool = True,
        line_width: float = LINE_WIDTH,
        edge_color: Color = "black",
        edge_alpha: float = 1.0,
    ) -> None:
        """Show another partition, or another fill, in the same artist."""
        self._partition = partition
        self._colors, norm, chosen = _colors(partition, fill, cmap, limits)
        if chosen is not self.cmap:
            self.set_cmap(chosen)
        if type(norm) is not type(self.norm) or (norm.vmin, norm.vmax) != (self.norm.vmin, self.norm.vmax):
            self.set_norm(norm)  # only then: a colour bar is drawn anew each time
        self._line = (line_width if edges else 0.0, edge_color, edge_alpha)
        self._drawn: tuple[Any, npt.NDArray[np.uint8]] | None = None
        self.stale = True

    def make_image(  # type: ignore[override]  # None, for nothing to draw, is what matplotlib's own draw() asks for
        self, renderer: Any, magnification: float = 1.0, unsampled: bool = False
    ) -> tuple[npt.NDArray[np.uint8] | None, float, float, Affine2D]:
        """The pixels of the part of the axes that is on the canvas (matplotlib calls this when it draws)."""
        axes, figure = self.axes, self.get_figure(root=True)
        box = None if axes is None or figure is None else Bbox.intersection(axes.bbox, figure.bbox)
        if axes is None or figure is None or box is None or box.width <= 0 or box.height <= 0:
            return None, 0.0, 0.0, Affine2D()
        if (axes.get_xscale(), axes.get_yscale()) != ("linear", "linear"):
            raise ValueError("ax: expected linear axes to draw a partition on, got logarithmic ones; use another Axes.")
        # Whole pixels that contain the axes: the picture is never resampled; what is too much is clipped.
        left, bottom = np.floor([box.x0, box.y0])
        width = max(int(np.ceil((box.x1 - left) * magnification - 1e-6)), 1)
        height = max(int(np.ceil((box.y1 - bottom) * magnification - 1e-6)), 1)
        corners = [(left, bottom), (left + width / magnification, bottom + height / magnification)]
        (ua, va), (ub, vb) = axes.transData.inverted().transform(corners)
        line_width, ink, alpha = self._line
        pixels = line_width * figure.dpi * magnification / 72.0
        key = (float(ua), float(ub), float(va), float(vb), width, height, pixels)
        if self._drawn is None or self._drawn[0] != key:
            view = (min(ua, ub), max(ua, ub), min(va, vb), max(va, vb))
            image = rasterize(
                self._partition, self._colors, view=view, shape=(height, width),
                line_width=pixels, line_color=ink, line_alpha=alpha,
            )  # fmt: skip
            # Row 0 of what matplotlib wants is the lowest on the canvas; the axes may be inverted.
            image = image[:: -1 if vb > va else 1, :: 1 if ub > ua else -1]
            self._drawn = (key, np.ascontiguousarray(image))
        return self._drawn[1], float(left), float(bottom), Affine2D()

    def get_cursor_data(self, event: Any) -> None:
        """No value under the cursor: finding the face is geometry."""
        return None


def regions(
    partition: Partition,
    *,
    ax: Axes | None = None,
    fill: Any = "slope",
    cmap: Any = None,
    limits: tuple[float, float] | None = None,
    edges: bool = True,
    line_width: float = LINE_WIDTH,
    edge_color: Color = "black",
    edge_alpha: float = 1.0,
    vector: bool = False,
) -> AxesImage | PolyCollection:
    """Draw all regions of a partition, and return the artist.

    fill: "slope" (norm of the region's slope, logarithmic), "class", "area" (logarithmic), "random", "hash" (the
    activation pattern's own colour, the same at every checkpoint), values (F,), or colours (F, 3) in [0, 1].
    limits: (low, high) of the colour scale; by default `color_limits` of this partition.
    edges: draw the knots, line_width points wide. The window's border is not a knot and is not drawn.
    vector: draw polygons instead of pixels, for small vector files (at most VECTOR_LIMIT regions).
    Raises ValueError on an unknown fill, an array that does not fit, or too many regions for vector=True.
    """
    ax = pyplot.gca() if ax is None else ax
    ax.set_aspect("equal")
    if not vector:
        image = PartitionImage(
            ax, partition, fill=fill, cmap=cmap, limits=limits, edges=edges,
            line_width=line_width, edge_color=edge_color, edge_alpha=edge_alpha,
        )  # fmt: skip
        ax.add_image(image)
        image.set_clip_path(ax.patch)
        image.set_extent(image.get_extent())  # sets the axes' limits, where they are automatic
        return image
    if partition.num_regions > VECTOR_LIMIT:
        raise ValueError(
            f"vector: expected at most {VECTOR_LIMIT} regions, got {partition.num_regions}; leave vector=False: the fills "
            f"are then an image of the file's dpi, text and boundary stay vectors."
        )
    faces, norm, chosen = _colors(partition, fill, cmap, limits)
    polygons = np.split(partition.vertices[partition.face_vertices], partition.face_offsets[1:-1])
    # Without knots each face gets a hairline of its own colour, or viewers show gaps between neighbours.
    ink: Any = mpl_colors.to_rgba(edge_color, edge_alpha) if edges else faces
    collection = PolyCollection(polygons, facecolors=faces, edgecolors=ink, linewidths=line_width if edges else 0.1)
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
    """Draw the decision boundary and return its lines.

    segments: (M, 2, 2) in plane coordinates, or a Partition, whose `decision_boundary()` is taken.
    casing: extra width in points, on either side, of a white line below the red one (0: none).
    """
    ax = pyplot.gca() if ax is None else ax
    lines = to_float_array(segments.decision_boundary() if isinstance(segments, Partition) else segments, "segments")
    if lines.size == 0:
        lines = np.empty((0, 2, 2))
    if lines.ndim != 3 or lines.shape[1:] != (2, 2):
        raise ValueError(f"segments: expected shape (M, 2, 2), pairs of plane coordinates, got {lines.shape}.")
    collection = LineCollection(
        list(lines), colors=[color], linewidths=line_width, capstyle="round", zorder=3.1, label="decision boundary"
    )
    if casing > 0:  # one path, so that its transparency does not add up where segments meet
        path = Path(lines.reshape(-1, 2), np.tile([Path.MOVETO, Path.LINETO], len(lines)))
        below = PathPatch(
            path, facecolor="none", edgecolor="white", linewidth=line_width + 2 * casing, capstyle="round", alpha=0.75,
            zorder=3.0,
        )  # fmt: skip
        below.set_clip_path(ax.patch)
        ax.add_artist(below)
    ax.add_collection(collection, autolim=False)
    return collection
