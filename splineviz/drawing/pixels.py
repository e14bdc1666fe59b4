"""A partition as pixels: fills and knots painted into an image in bands of rows, by several threads.
Here too: a picture in few colours, so that a PDF is small, and one fitted to its place on a canvas.

Every pixel shows the area-weighted mean of what lies in it; knots that crowd fade, so that what is below can be seen.
This file knows no Axes.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib import colors as mpl_colors
from PIL import Image

from splineviz._kernels.measuring import raster
from splineviz.errors import FloatArray
from splineviz.geometry.partition import Partition
from splineviz.threads import each

Color = Any
"""Any colour that matplotlib understands."""

KNEE, CEILING = 0.22, 0.62
"""Share of a neighbourhood that knots may cover before they fade, and the share that they never exceed."""


def rasterize(
    partition: Partition, faces: FloatArray, *, view: tuple[float, float, float, float], shape: tuple[int, int],
    line_width: float = 1.0, line_color: Color = "black", line_alpha: float = 1.0, mask: Any = True,
    threads: int | None = None,
) -> npt.NDArray[np.uint8]:  # fmt: skip
    """A picture of a rectangle of the plane, row 0 at the top, straight alpha, transparent outside the window.

    Args:
        partition: what is drawn.
        faces: (F, 3) colours in [0, 1], one per region, or (P, 3), one per part of `partition.classes()`; every pixel
            shows the area-weighted mean of what lies in it.
        view: (u0, u1, v0, v1), the rectangle.
        shape: (H, W) in pixels.
        line_width: of the knots, in pixels (0: none); a line thinner than a pixel covers it in part. Where knots cover more
            than KNEE of a neighbourhood of 11 pixels they fade, and on average never cover more than CEILING of it.
        line_color: one colour, or (E, 3) in [0, 1]; where knots of several colours share a pixel, their mean.
        line_alpha: opacity of the knots, in [0, 1].
        mask: (E,) bool, which edges are drawn.
        threads: number of worker threads; None: the processors available.

    Returns:
        (H, W, 4) uint8.
    """
    height, width = shape
    u0, u1, v0, v1 = view
    if not (height > 0 and width > 0 and u1 > u0 and v1 > v0):
        raise ValueError(f"view, shape: expected u0 < u1, v0 < v1 and at least one pixel, got view {view}, shape {shape}.")
    scale = np.array([width / (u1 - u0), height / (v1 - v0)])
    canvas = _Canvas(partition, scale, np.array([u0, v0]) - partition.centre, width)
    threads = threads or min(os.cpu_count() or 1, 8)
    bands = max(threads, -(-height // 256))  # few enough rows a band that its buffer stays small
    cuts = np.linspace(0, height, min(bands, height) + 1).astype(int)
    slices = list(itertools.pairwise(cuts.tolist()))
    opacity = np.zeros((height, width))
    image = np.empty((height, width, 4), dtype=np.uint8)
    widths = np.where((partition.edge_tag >= 0) & mask, float(line_width), 0.0)
    tinted = isinstance(line_color, np.ndarray) and line_color.ndim == 2
    ink = np.zeros((height, width, 3)) if tinted else np.reshape(mpl_colors.to_rgb(line_color), (1, 1, 3))
    inks = np.column_stack([np.ones(len(partition.edges)), line_color]) if tinted else np.ones((1, 1))
    # Each part changes its face's colour to its own.
    rims = partition.classes().rims() if len(faces) > partition.num_regions else None

    def cover(rows: tuple[int, int]) -> None:
        total = canvas.knots(rows, widths, inks)
        opacity[rows[0] : rows[1]] = total[:, :width, 0]
        if tinted:
            ink[rows[0] : rows[1]] = total[:, :width, 1:] / np.maximum(total[:, :width, :1], 1e-9)

    def paint(rows: tuple[int, int]) -> None:
        total = canvas.fills(rows, faces, rims)
        band = ink[rows[0] : rows[1]] if tinted else ink
        raster.compose(total, line_alpha * opacity[rows[0] : rows[1]], band, image[rows[0] : rows[1]])

    if line_width > 0:
        each(cover, slices, threads)
        density = raster.box_mean(raster.box_mean(opacity, 3), 2)
        opacity = raster.line_opacity(opacity, density, KNEE, CEILING)
    each(paint, slices, threads)
    return image[::-1]


@dataclass(frozen=True)
class _Canvas:
    """Where a partition lies on an image so many pixels wide; `corner` of the view relative to its centre."""

    partition: Partition
    scale: FloatArray
    corner: FloatArray
    width: int

    def _origin(self, row: int) -> FloatArray:
        return self.corner + np.array([0.0, row / self.scale[1]])

    def knots(self, rows: tuple[int, int], widths: FloatArray, inks: FloatArray) -> FloatArray:
        """How much of each pixel of some rows the knots cover, and their colours times that."""
        total = np.zeros((rows[1] - rows[0], self.width + 1, inks.shape[1]))
        vertices, edges = self.partition.local_vertices, self.partition.edges
        raster.add_lines(total, vertices, edges, widths, inks, self._origin(rows[0]), self.scale)
        raster.sum_rows(total)
        return total

    def fills(self, rows: tuple[int, int], faces: FloatArray, rims: Any) -> FloatArray:
        """Colours of some rows, and how much of each pixel lies in the window; rims: of parts of classes, or None."""
        part, origin = self.partition, self._origin(rows[0])
        total = np.zeros((rows[1] - rows[0], self.width + 1, 4))
        raster.add_fills(total, part.local_vertices, part.edges, part.edge_faces, faces, origin, self.scale)
        if rims is not None:
            raster.add_fills(total, part.classes().vertices, *rims, faces, origin, self.scale)
        raster.sum_rows(total)
        return total


def few_colors(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A picture (H, W, 4) in at most 250 colours: a third of the size in a PDF, 1% off on average, at most 20%."""
    found = Image.fromarray(np.ascontiguousarray(image[..., :3])).quantize(
        250, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
    )
    return np.dstack([np.asarray(found.convert("RGB")), image[..., 3]])


class Wanted(NamedTuple):
    """A picture of a partition: (u at the left, right, v at the foot, top), (H, W), width of a knot in pixels, whether it
    has few colours, and its place on the canvas.
    """

    ends: tuple[float, float, float, float]
    shape: tuple[int, int]
    line: float
    compact: bool
    left: float
    bottom: float


def painted(wanted: Wanted, partition: Partition, faces: FloatArray, line: tuple[Any, ...]) -> npt.NDArray[np.uint8]:
    """The picture (H, W, 4), its first row the lowest on the canvas; line: as `PartitionImage` keeps it."""
    ua, ub, va, vb = wanted.ends
    _, ink, alpha, mask = line
    image = rasterize(
        partition, faces, view=(min(ua, ub), max(ua, ub), min(va, vb), max(va, vb)), shape=wanted.shape,
        line_width=wanted.line, line_color=ink, line_alpha=alpha, mask=mask,
    )  # fmt: skip
    # Row 0 of what matplotlib wants is the lowest on the canvas; the axes may be inverted.
    image = np.ascontiguousarray(image[:: -1 if vb > va else 1, :: 1 if ub > ua else -1])
    return few_colors(image) if wanted.compact else image
