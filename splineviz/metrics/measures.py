r"""Measures: where the knots of a partition lie, how strongly the slope jumps there, and what the regions look like.
Here too: the window's side and what counts as near; lengths and areas near given places; the density of knots in the cells
of a grid; how far points are from the decision boundary and from the nearest knot; connected parts of each class; the share
of the window that changed its activation pattern; units with a knot on the slice; and all these numbers of one partition by
name.

        +---------------------+      edges that are knots have a length; per area, in three places:
        |   /   .-----.  |    |        window     all of it
        |  /   (   *   ) |    |        anchors    within `near` of an anchor *
        | /     `-----'  |    |        boundary   within `near` of the decision boundary =
        |/  ======+======|    |      The ratio of the density in a place to that in the window tells whether
        +---------+------+----+      regions gather there or leave: above 1 they gather.

The same with every length weighted by the jump of the slope across it: the sum of length times ||dA||_F is the total
variation of the gradient on the slice. (Region migration: Humayun, Balestriero, Baraniuk, arXiv 2402.15555, section 4.)

Lengths and areas are exact up to rounding: a knot is clipped against discs and tubes round segments, and the area of
their union follows from its outline (see `sites`). Everything is in input-space length, as on the plane.

This file does not know torch and does not draw.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from splineviz._kernels.measuring import cells as _cells
from splineviz._kernels.measuring import shapes as _shapes
from splineviz.errors import DataError, FloatArray, PartitionError
from splineviz.geometry import boundary
from splineviz.geometry.partition import Partition
from splineviz.geometry.polygons import polygon_area
from splineviz.metrics import sites
from splineviz.metrics.columns import SUMMARY, made_by
from splineviz.metrics.sites import area_and_growth as area_and_growth
from splineviz.metrics.sites import area_within as area_within
from splineviz.metrics.sites import lengths_within as lengths_within

NEAR = 0.025
"""Default of `near`, as a share of the square root of the window's area."""


def side(partition: Partition) -> float:
    """The window's side: the square root of its area, in input-space length."""
    return math.sqrt(polygon_area(partition.window - partition.centre))


def checked_near(near: float | None) -> float | None:
    """A share of the window's side that is to count as near, or None for the default. Raises DataError outside (0, 1]."""
    if near is not None and not 0 < near <= 1:
        raise DataError(f"near: expected a share of the window's side, above 0 and at most 1, got {near}; such as {NEAR}.")
    return near


# ---- edges -----------------------------------------------------------------------------------------------------


def knot_lengths(partition: Partition) -> FloatArray:
    """(E,) length of every edge that is a knot, 0 for the window's border."""
    ends = partition.local_vertices[partition.edges]
    return np.where(partition.edge_tag < 0, 0.0, np.hypot(*(ends[:, 1] - ends[:, 0]).T))


@dataclass(frozen=True, eq=False)
class Jumps:
    """Jumps of the slope on the slice. norms: (E,) ||A_left - A_right||_F, 0 on the border; errors: (E,) their rounding.

    A face too thin to have a slope gives its edges norm 0 and error inf.
    """

    norms: FloatArray
    errors: FloatArray


def gradient_jumps(partition: Partition) -> Jumps:
    """The jump of the output's slope d output / d(u, v) across every edge, in output units per input-space length."""
    return Jumps(*partition.slope_jumps[:2])


def knot_density_grid(partition: Partition, low: FloatArray, high: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """(rows, columns) exact length of knots per area in every cell of a grid over the box from low (2,) to high (2,).

    The box in plane coordinates; rows go with v, columns with u. Nothing is known outside the window, so a cell that
    reaches beyond it counts what lies inside over its whole area. Raises PartitionError when the box is empty.
    """
    corner = np.asarray(low, dtype=np.float64) - partition.centre
    size = (np.asarray(high, dtype=np.float64) - partition.centre - corner) / np.array([shape[1], shape[0]])
    if min(shape) < 1 or not (np.isfinite(size).all() and (size > 0).all()):
        raise PartitionError(f"low, high, shape: expected a box and a cell or more, got {low}, {high}, {shape}.")
    found = np.zeros(shape)
    _cells.lengths(partition.local_vertices[partition.edges[partition.edge_tag >= 0]], corner, size, found)
    return found / float(size.prod())


# ---- places ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """What lies in one place: its area, the length of knots in it, and that length weighted by the slope's jump."""

    area: float
    length: float
    variation: float

    @property
    def density(self) -> float:
        """Length of knots per area; NaN for a place without area."""
        return self.length / self.area if self.area > 0 else math.nan

    @property
    def roughness(self) -> float:
        """Total variation of the gradient per area; NaN for a place without area."""
        return self.variation / self.area if self.area > 0 else math.nan


@dataclass(frozen=True)
class Migration:
    """Knots in the window, near the anchors and near the decision boundary; near: the distance, in input-space length."""

    near: float
    window: Place
    anchors: Place
    boundary: Place

    def ratio(self, place: str, *, weighted: bool = False) -> float:
        """Density at "anchors" or "boundary" over the window's; weighted: of the gradient's variation. NaN if undefined."""
        chosen: Place = {"anchors": self.anchors, "boundary": self.boundary}[place]
        own, all_ = (chosen.roughness, self.window.roughness) if weighted else (chosen.density, self.window.density)
        return own / all_ if all_ > 0 else math.nan


def migration(partition: Partition, *, near: float | None = None) -> Migration:
    """Knot density and total variation of the gradient in the window, near its anchors and near the decision boundary.

    near: a distance in input-space length, by default NEAR times the square root of the window's area, so that it is
    the same at all checkpoints. Raises PartitionError when it is not positive.
    """
    whole = polygon_area(partition.window - partition.centre)
    distance = NEAR * math.sqrt(whole) if near is None else near
    sites.positive(distance)

    # Sums and no dot products: a BLAS shares those out among threads, whose number must not show in a table.
    def place(where: sites.Sites, knots: sites.Knots) -> Place:
        inside = knots.within(distance)
        area = where.area_and_growth(distance)[0]
        return Place(area, float(inside.sum()), float((inside * knots.jumps).sum()))

    _, lengths, jumps = sites.pieces_of(partition)
    every = Place(whole, float(lengths.sum()), float((lengths * jumps).sum()))
    return Migration(distance, every, place(*sites.anchors_of(partition)), place(*sites.boundary_of(partition)))


@dataclass(frozen=True, eq=False)
class Margins:
    """Distances on the slice, in input-space length, inf where there is nothing. boundary, knot: (k,), one an anchor."""

    boundary: FloatArray
    knot: FloatArray


def margins(partition: Partition, points: FloatArray | None = None) -> Margins:
    """How far points uv (k, 2), by default the anchors, are from the decision boundary and from the nearest knot."""
    places = (partition.plane.anchors_uv if points is None else points) - partition.centre
    line = sites.boundary_of(partition)[0].segments
    return Margins(boundary.distances(places, line), boundary.distances(places, sites.pieces_of(partition)[0]))


# ---- regions ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Shapes:
    """Per region (F,): area, eccentricity (0 round, 1 a line) and number of corners."""

    areas: FloatArray
    eccentricities: FloatArray
    corners: npt.NDArray[np.int64]


def shapes(partition: Partition) -> Shapes:
    """Areas, eccentricities and numbers of corners of all regions; those at the border are cut by the window.

    The eccentricity is that of the ellipse with the region's second moments of area.
    """
    ecc = _shapes.eccentricities(partition.local_vertices, partition.face_offsets, partition.face_vertices)
    return Shapes(partition.areas, ecc, np.diff(partition.face_offsets).astype(np.int64))


def class_fragments(partition: Partition, level: float = 0.0) -> npt.NDArray[np.int64]:
    """(C,) number of connected parts of the window that the network gives each class.

    One output: two classes, below and above `level`. Parts that meet in a point only are two.
    """
    values = partition.outputs
    if values.shape[1] == 1:
        values = np.concatenate([np.full_like(values, level), values], axis=1)
    parts = partition.classes(level)
    starts = np.searchsorted(parts.face[parts.faces :], np.arange(parts.faces + 1))
    return np.asarray(_shapes.fragments(partition.edges, partition.edge_faces, values, parts.label, starts))


@dataclass(frozen=True, eq=False)
class Patterns:
    """What `pattern_churn` asks of a partition, without the rest of it."""

    window: FloatArray
    centre: FloatArray
    pattern_hash: npt.NDArray[np.uint64]
    areas: FloatArray

    @classmethod
    def of(cls, partition: Partition) -> Patterns:
        """That of a partition."""
        return cls(partition.window, partition.centre, partition.pattern_hash, partition.areas)


def pattern_churn(before: Partition | Patterns, after: Partition | Patterns) -> float:
    """Share of the window, 0 to 1, that went to other activation patterns between two checkpoints.

    Half the sum over patterns of the change of their areas, divided by the window's: 0 if every pattern kept its area,
    1 if none is left; a region that moved without changing its area does not count.
    Raises PartitionError when the windows differ.
    """
    if before.window.shape != after.window.shape or not np.allclose(before.window, after.window, rtol=1e-12, atol=0):
        raise PartitionError("pattern_churn: expected two partitions of one window, got two windows; use one for both.")
    hashes = np.concatenate([before.pattern_hash, after.pattern_hash])
    areas = np.concatenate([-before.areas, after.areas])
    _, number = np.unique(hashes, return_inverse=True)
    return 0.5 * float(np.abs(np.bincount(number, weights=areas)).sum()) / polygon_area(before.window - before.centre)


def kinking_units(partition: Partition) -> npt.NDArray[np.int64]:
    """(layers,) number of units of each kink layer that have a knot on the slice; the others are linear all over it."""
    tags = np.unique(partition.edge_tag[partition.edge_tag >= 0])
    return np.histogram(tags, bins=partition.unit_offsets)[0].astype(np.int64)


# ---- all together ----------------------------------------------------------------------------------------------

COLUMNS = made_by(SUMMARY)
"""Numbers of `summary`, in order. near: distance, input-space length. knot_density: length of knots per area in the window,
near the anchors, near the decision boundary; knot_ratio: over the window's. variation: the same, each length weighted
by the jump of the slope. margin_boundary, margin_knot: mean over the anchors of the distance on the slice to the decision
boundary and to the nearest knot. area_median, eccentricity_median, corners_mean: of the regions. fragments: connected
parts of all classes. kinking_units: units with a knot on the slice."""


def summary(partition: Partition, *, near: float | None = None) -> Mapping[str, float]:
    """The numbers of one partition by name, see COLUMNS; NaN where one is not defined (no boundary, no anchors)."""
    moved, far, regions = migration(partition, near=near), margins(partition), shapes(partition)
    return dict(
        zip(
            COLUMNS,
            (
                moved.near,
                *(place.density for place in (moved.window, moved.anchors, moved.boundary)),
                moved.ratio("anchors"), moved.ratio("boundary"),
                *(place.roughness for place in (moved.window, moved.anchors, moved.boundary)),
                moved.ratio("anchors", weighted=True), moved.ratio("boundary", weighted=True),
                _mean(far.boundary), _mean(far.knot), float(np.median(regions.areas)),
                float(np.median(regions.eccentricities)), float(regions.corners.mean()),
                float(class_fragments(partition).sum()), float(kinking_units(partition).sum()),
            ),
            strict=True,
        )
    )  # fmt: skip


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if len(values) and np.isfinite(values).all() else math.nan
