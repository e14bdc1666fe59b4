r"""Surfaces: the graph of an output over the slice, a flat tile for each region.

        output
          ^   /\  __        A network's output is affine on every region, so its graph is a polyhedral surface whose
          |  /  \/  \       creases are the knots. Nothing is sampled: the corners are the partition's vertices and
          | /________\      their values the network's outputs there, so the surface is exact and has no gaps.
          +-----------> (u, v)

As in figure 3 of arXiv 2402.15555 the plane below carries the regions' edges. Output `margin` (largest less second) is
not affine on a region; it is no output and is refused. Where classes are coloured a tile is a part of one class, so their
rims show the decision boundary as well. Matplotlib sorts tiles by depth, which is slow beyond
MOST_REGIONS; draw a smaller window then.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from matplotlib import pyplot, rcParams
from matplotlib.colors import LightSource
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d import proj3d  # type: ignore[import-untyped]
from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection  # type: ignore[import-untyped]

from splineviz.drawing import fills
from splineviz.errors import DataError, FloatArray, IntArray
from splineviz.geometry.partition import Partition
from splineviz.geometry.polygons import longer_side

MOST_REGIONS = 20_000
"""Most regions that are drawn: beyond, sorting them by depth takes minutes."""


BOX = (1.0, 1.0, 0.62)
"""Sides of the box."""


def _check(partition: Partition, output: int) -> None:
    channels = partition.outputs.shape[1]
    if not 0 <= output < channels:
        raise DataError(f"output: expected one of 0 to {channels - 1}, got {output}.")
    if partition.num_regions > MOST_REGIONS:
        raise DataError(
            f"partition: expected at most {MOST_REGIONS:,} regions for a surface, got {partition.num_regions:,}; "
            "cut a smaller window."
        )


def surface(
    partition: Partition,
    *,
    output: int = 0,
    ax: Any = None,
    fill: Any = "slope",
    cmap: Any = None,
    limits: tuple[float, float] | None = None,
    shade: float = 0.35,
    line_width: float = 0.2,
    floor: bool = True,
) -> Poly3DCollection:
    """Draw the graph of one output over the slice on a 3D Axes.

    Args:
        partition: at most MOST_REGIONS regions.
        output: index of the output.
        ax: Axes made with `projection="3d"`; None makes one.
        fill: as in `draw.regions`.
        cmap: as in `draw.regions`.
        limits: as in `draw.regions`.
        shade: contrast between tiles of different tilt, in [0, 1].
        line_width: of the tiles' sides, in points.
        floor: whether the knots are drawn on a plane below, too.

    Returns:
        The tiles, one polygon for each region.

    Raises:
        DataError: there is no such output, or there are too many regions.
    """
    _check(partition, output)
    if ax is None:
        ax = pyplot.figure().add_axes((0.0, 0.0, 1.0, 1.0), projection="3d")
    colors = fills.colors(partition, fill, cmap, limits)[0]
    corners, offsets, ring, owner = _corners(partition, output, parts=len(colors) > partition.num_regions)
    heights = corners[:, 2]
    # Equally many corners each, some twice, spread evenly: matplotlib's own padding is memory that it never wrote.
    counts = np.diff(offsets)[:, None]
    places = offsets[:-1, None] + np.arange(counts.max()) * counts // counts.max()
    tiles = corners[ring[places]]
    low, high = partition.window.min(axis=0), partition.window.max(axis=0)
    drop = float(np.ptp(heights)) or 1.0
    colors = _lit(colors, partition.slopes[owner, output] * longer_side(partition.window) / drop, shade)
    collection = Poly3DCollection(tiles, facecolors=colors, edgecolors="black", linewidths=line_width)
    ax.add_collection3d(collection, autolim=False)  # the limits are set below
    bottom = float(heights.min()) - (0.35 * drop if floor else 0.05 * drop)
    if floor:
        knots = partition.vertices[partition.edges[partition.edge_tag >= 0]]
        below = np.concatenate([knots, np.full((len(knots), 2, 1), bottom)], axis=2)
        ax.add_collection3d(Line3DCollection(list(below), colors="black", linewidths=line_width), autolim=False)
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(bottom, float(heights.max()) + 0.05 * drop))
    ax.set(xlabel="u", ylabel="v", zlabel=f"output {output}")
    ax.zaxis.labelpad = 0.9 * FontProperties(size=rcParams["axes.labelsize"]).get_size_in_points()  # clear of the numbers
    if partition.note:
        ax.text2D(0.02, 0.98, partition.note, transform=ax.transAxes, fontsize="small", va="top")
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.set_major_locator(MaxNLocator(3, prune="both"))
    _fill(ax)
    return collection


def _fill(ax: Any) -> None:
    """Make the box as large as its axes allow, with room for all labels: matplotlib's own leaves half of them empty."""
    figure = ax.get_figure(root=True)
    zoom, room, shift = 0.84, ax.get_position(original=True), np.zeros(2)
    size = np.array([figure.bbox.width, figure.bbox.height])
    for _ in range(4):
        ax.set_box_aspect(BOX, zoom=zoom)
        ax.apply_aspect()
        low, high = _seen(ax)
        place = np.array([room.p0, room.p1]) * size
        if figure.get_layout_engine() is None:  # the picture in the middle of its room, not the box
            shift += (place.mean(axis=0) - 0.5 * (low + high)) / size
            ax.set_position([*(room.p0 + shift), room.width, room.height])
            taken = (high - low) / (place[1] - place[0])
        else:
            taken = np.maximum(ax.bbox.min + ax.bbox.max - 2 * low, 2 * high - ax.bbox.min - ax.bbox.max) / ax.bbox.size
        zoom *= float(np.clip(0.96 / taken.max(), 0.5, 2.0))
    ax.set_box_aspect(BOX, zoom=zoom)


def _seen(ax: Any) -> tuple[FloatArray, FloatArray]:
    """Lower left and upper right corner, in pixels, of the box and all its labels."""
    ax.M = ax.get_proj()
    ends = itertools.product(ax.get_xlim3d(), ax.get_ylim3d(), ax.get_zlim3d())
    seen = [ax.transData.transform(proj3d.proj_transform(*end, ax.M)[:2]) for end in ends]
    renderer = ax.get_figure(root=True)._get_renderer()
    boxes = [axis.get_tightbbox(renderer) for axis in (ax.xaxis, ax.yaxis, ax.zaxis)]
    seen += [corner for box in boxes if box is not None for corner in (box.min, box.max)]
    return np.min(seen, axis=0), np.max(seen, axis=0)


def _corners(partition: Partition, output: int, *, parts: bool) -> tuple[FloatArray, IntArray, IntArray, IntArray]:
    """Corners (V, 3) of all tiles, their offsets and ids, and each one's region. parts: a tile a part of one class."""
    owner = np.arange(partition.num_regions, dtype=np.int32)
    corners = np.column_stack([partition.vertices, partition.outputs[:, output]])
    if not parts:
        return corners, partition.face_offsets, partition.face_vertices, owner
    found, old = partition.classes(), len(partition.vertices)
    whose = np.zeros(len(found.vertices), np.int64)
    whose[found.corners] = np.repeat(found.face, np.diff(found.offsets))
    new = whose[old:]
    first = partition.face_vertices[partition.face_offsets[new]]
    away = found.vertices[old:] - partition.local_vertices[first]
    heights = partition.outputs[first, output] + (partition.slopes[new, output] * away).sum(axis=1)
    added = np.column_stack([found.vertices[old:] + partition.centre, heights])
    return np.concatenate([corners, added]), found.offsets, found.corners, found.face


def _lit(colors: FloatArray, tilt: FloatArray, shade: float) -> FloatArray:
    """Colours (F, 3) darkened where a tile, of slope tilt (F, 2) in the box's own units, turns away from the light."""
    normals = np.column_stack([-tilt, np.ones(len(tilt))])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    light = np.clip(normals @ np.asarray(LightSource(azdeg=225, altdeg=50).direction), 0.0, 1.0)
    return np.clip(colors * (1.0 - shade + shade * light[:, None]), 0.0, 1.0)
