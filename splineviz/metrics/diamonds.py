r"""Diamonds: the exact number of units whose knots meet a small neighbourhood of a point on the slice.
Also round the middle of every region, and points spread over the window to count at.

            x + r e2          The neighbourhood of the sampled local complexity with the plane's own two directions is
               /\             the diamond conv{x +- r e1, x +- r e2}. Sampling looks at its four corners only: a knot
         -----/--\---- knot   that enters and leaves through one side, or a unit that bends twice, goes unseen. Here
             / x  \           every knot on the slice is known, so the units that meet the open diamond are counted
             \    /           one by one. The sampled count is never larger.
              \  /
               \/

A unit is counted once, however many of its pieces meet the diamond. Units whose knots coincide on the slice share one
edge and count as one. `spread` has the points of a window at which both are counted. This file does not know torch and
does not draw.
"""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from splineviz._kernels.measuring import diamonds as _diamonds
from splineviz.errors import DataError, FloatArray, PartitionError, to_points
from splineviz.geometry.partition import Partition
from splineviz.threads import each


def exact_counts(partition: Partition, points: Any, *, radius: float = 0.005) -> npt.NDArray[np.int64]:
    """(layers, n) number of units of each kink layer whose knots meet the open diamond of radius r round each point.

    Max layers are left out, as in the sampled count: a maximum has no pre-activation.
    points: (n, 2) plane coordinates, whose diamonds lie in the window; radius: r, in input-space length.
    Raises PartitionError when the radius is not positive or a diamond reaches beyond the window, where knots are not known.
    """
    if not (math.isfinite(radius) and radius > 0):
        raise PartitionError(f"radius: expected a positive length, got {radius}; the paper uses 0.005.")
    uv = to_points(points, "points")
    _inside(partition, uv, radius)
    order = np.argsort(uv[:, 0], kind="stable")
    sorted_points = np.ascontiguousarray((uv - partition.centre)[order])
    first, last = sorted_points[[0, -1], 0] if len(uv) else (0.0, 0.0)
    places = np.linspace(float(first), float(last), 4 * len(uv) + 2)
    low, cell = float(places[0]), float(places[1] - places[0]) or 1.0
    starts = np.searchsorted(sorted_points[:, 0], places)
    found = np.empty((64 * len(uv), 2), dtype=np.int64)
    edges = partition.local_vertices, partition.edges, partition.edge_tag
    while True:
        count = _diamonds.meetings(*edges, sorted_points, low, cell, starts, float(radius), found)
        if count <= len(found):
            break
        found = np.empty((count, 2), dtype=np.int64)
    units = int(partition.unit_offsets[-1])
    pairs = np.unique(order[found[:count, 0]] * units + partition.edge_tag[found[:count, 1]])
    point, tag = np.divmod(pairs, max(units, 1))
    layers = len(partition.unit_offsets) - 1
    kinks = [i for i in range(layers) if i not in partition.max_layers]
    layer = np.searchsorted(partition.unit_offsets, tag, side="right") - 1
    return np.bincount(layer * len(uv) + point, minlength=layers * len(uv)).reshape(layers, len(uv))[kinks]


def spread(window: FloatArray, count: int, radius: float) -> FloatArray:
    """Points (count, 2), uniform in a window shrunk by so much that diamonds of radius r stay inside; always the same ones.

    window: (m, 2) a convex counter-clockwise polygon. Raises DataError where it is too small for the diamonds.
    """
    middle = window.mean(axis=0)
    sides = np.roll(window, -1, axis=0) - window
    normals = np.stack([-sides[:, 1], sides[:, 0]], axis=1)  # to the inside; lengths cancel
    reaches = np.abs(normals).max(axis=1) / ((middle - window) * normals).sum(axis=1)  # of a diamond, over the room it has
    shrink = 1 - 2 * radius * float(reaches.max())  # twice, so that no corner is on the window's border
    if shrink <= 0:
        raise DataError(
            f"window: expected one wider than {4 * radius:g}, for diamonds of radius {radius:g}; take a larger one."
        )
    corners = middle + shrink * (window - middle)
    arms = corners[1:] - corners[0]
    areas = arms[:-1, 0] * arms[1:, 1] - arms[:-1, 1] * arms[1:, 0]
    rng = np.random.default_rng(0)
    if np.ptp(areas) <= 1e-9 * areas.max():  # the halves of a square
        triangle = rng.integers(len(areas), size=count)
    else:
        triangle = rng.choice(len(areas), count, p=areas / areas.sum())
    a, b = rng.uniform(size=(2, count, 1))
    a, b = np.where(a + b > 1, 1 - a, a), np.where(a + b > 1, 1 - b, b)
    return np.asarray(corners[0] + a * arms[triangle] + b * arms[triangle + 1])


def complexities(partition: Partition, *, radius: float | None = None) -> npt.NDArray[np.int64]:
    """(F,) number of units whose knots meet the open diamond of radius r round the middle of every region.

    radius: r, by default a 100th of the window's longer side. Where the diamond would reach beyond the window, where knots
    are not known, it is moved inward. Max layers are left out, as in `exact_counts`. In linear time where r shrinks with
    the regions. Raises PartitionError when the radius is not positive.
    """
    low, high = partition.window.min(axis=0) - partition.centre, partition.window.max(axis=0) - partition.centre
    reach = 0.01 * float((high - low).max()) if radius is None else float(radius)
    if not (math.isfinite(reach) and reach > 0):
        raise PartitionError(f"radius: expected a positive length, got {radius}.")
    layer = partition.edge_unit[:, 0]
    knots = (layer >= 0) & ~np.isin(layer, partition.max_layers)
    ends = np.ascontiguousarray(partition.local_vertices[partition.edges[knots]])
    units = np.ascontiguousarray(partition.edge_tag[knots])
    points = _moved_inward(partition, reach)
    cell = max(reach / 2, float((high - low).max()) / 2000)
    columns, rows = (int(math.ceil(side / cell)) or 1 for side in (high - low))
    starts, inside = np.empty(rows * columns + 1, np.int64), np.empty(0, np.int32)
    room = _diamonds.into_cells(ends, low, cell, columns, rows, starts, inside)
    inside = np.empty(room, np.int32)
    _diamonds.into_cells(ends, low, cell, columns, rows, starts, inside)
    counts = np.zeros(len(points), np.int64)

    def count(part: slice) -> None:
        last = np.full(int(partition.unit_offsets[-1]), -1, np.int64)
        some = points[part], reach, low, cell, columns, rows, starts, inside, last, counts[part]
        _diamonds.units_round(ends, units, *some)

    threads = min(os.cpu_count() or 1, 8)
    step = max(-(-len(points) // (4 * threads)), 1)
    each(count, (slice(at, at + step) for at in range(0, len(points), step)), threads)
    return counts


def _moved_inward(partition: Partition, radius: float) -> npt.NDArray[np.float64]:
    """(F, 2) the regions' middles, less the centre, moved until their diamonds lie in the window, if it is so wide."""
    points, corners = partition.centroids - partition.centre, partition.window - partition.centre
    sides = np.roll(corners, -1, axis=0) - corners
    normals = np.stack([-sides[:, 1], sides[:, 0]], axis=1) / np.linalg.norm(sides, axis=1)[:, None]  # to the inside
    for corner, normal in zip(corners, normals, strict=True):
        lacking = np.maximum(radius * np.abs(normal).max() - (points - corner) @ normal, 0.0)
        points = points + lacking[:, None] * normal
    return np.ascontiguousarray(points)


def _inside(partition: Partition, uv: npt.NDArray[np.float64], radius: float) -> None:
    """Refuse points whose diamonds reach beyond the window."""
    window = partition.window
    sides = np.roll(window, -1, axis=0) - window
    corners = uv[:, None] + radius * np.array([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
    gaps = corners[:, :, None] - window
    out = (sides[:, 0] * gaps[..., 1] - sides[:, 1] * gaps[..., 0]).min(axis=(1, 2)) < -1e-12 * np.abs(sides).max() ** 2
    if out.any():
        raise PartitionError(
            f"points: expected diamonds of radius {radius:g} inside the window, got {int(out.sum())} of {len(uv)} that "
            "reach beyond it; slice a larger window or take points farther inside."
        )
