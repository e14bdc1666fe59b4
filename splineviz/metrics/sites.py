"""Sites: places of a window as segments, and what lies within a distance of them: lengths of pieces, and area.
Here too: the knots of a partition as straight pieces, and a lattice that bounds how far they are from the sites.

Exact up to rounding (`_kernels.measuring.tubes`); the lattice only leaves out what cannot matter. Everything is in
input-space length, relative to the partition's centre. Knows no torch and does not draw.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from splineviz._kernels.measuring import segments as _segments
from splineviz._kernels.measuring import tubes as _tubes
from splineviz.errors import FloatArray, PartitionError
from splineviz.geometry import boundary
from splineviz.geometry.partition import Partition

GRID = 64
"""Cells a side of a lattice over the window; how far their centres are from the sites bounds it for all that is in them."""


def lengths_within(ends: FloatArray, sites: FloatArray, near: float) -> FloatArray:
    """(E,) length of each straight piece, ends (E, 2, 2), within `near` of the sites (M, 2, 2).

    A site is a segment, or a point given as a segment without length. Exact up to rounding.
    Raises PartitionError when shapes do not fit or `near` is not positive.
    """
    pieces, lines = pairs(ends, "ends"), pairs(sites, "sites")
    positive(near)
    if not len(lines) or not len(pieces):
        return np.zeros(len(pieces))
    corners = lines.reshape(-1, 2)
    low, extent = corners.min(axis=0), np.ptp(corners, axis=0)
    # Cells about as large as a site or half the distance, whichever is larger, and never more than a million.
    size = max(math.sqrt(float(extent.prod()) / len(lines)), 0.5 * near, 1e-3 * float(extent.max()))
    columns, rows = (int(n) + 1 for n in extent / size)
    cells = _segments.cell_lists(lines, low, size, columns, rows)
    return _tubes.lengths_within(pieces, lines, float(near), low, size, columns, rows, *cells)


def area_within(window: FloatArray, sites: FloatArray, near: float) -> float:
    """Area of the part of a convex window (m, 2) within `near` of the sites (M, 2, 2), as `lengths_within` takes them.

    Exact up to rounding. Sites may cross and meet but not overlap along a length: a decision boundary never does.
    """
    return area_and_growth(window, sites, near)[0]


def area_and_growth(window: FloatArray, sites: FloatArray, near: float) -> tuple[float, float]:
    """As `area_within`, and how fast that area grows with the distance: the length of its outline inside the window."""
    return Sites(window, pairs(sites, "sites")).area_and_growth(near)


@dataclass(frozen=True, eq=False)
class Sites:
    """Segments (M, 2, 2) in a convex window (m, 2)."""

    window: FloatArray
    segments: FloatArray

    @cached_property
    def _local(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The window, the segments and their distinct end points, about the window's middle."""
        centre = self.window.mean(axis=0)
        local = self.segments - centre
        return self.window - centre, local, np.unique(local.reshape(-1, 2), axis=0)

    @cached_property
    def lattice(self) -> Lattice:
        """Over the window."""
        return Lattice.over(self.window, self.segments)

    def area_and_growth(self, near: float) -> tuple[float, float]:
        """Area of the window's part within `near` of the sites, and how fast it grows with that."""
        positive(near)
        window, segments, points = self._local
        # A tube whose side lies on a side of the window (round distances, upright boundaries) would be counted on both: its
        # radius is moved by a few roundings, and the area by as little.
        radius = float(near) * (1.0 + 2.0**-42)
        area, growth = _tubes.area_within(segments, points, radius, window)
        return float(area), float(growth)


@dataclass(frozen=True, eq=False)
class Lattice:
    """Cells over a window (m, 2), from `low` (2,), each of size `step` (2,).

    distances: (GRID * GRID,) of their centres from some segments; inside: as many, 1.0 where the centre is in the window.
    """

    low: FloatArray
    step: FloatArray
    distances: FloatArray
    inside: FloatArray

    @classmethod
    def over(cls, window: FloatArray, places: FloatArray) -> Lattice:
        """Over the box of a window."""
        low, step = window.min(axis=0), np.ptp(window, axis=0) / GRID
        steps = np.arange(GRID) + 0.5
        centres = low + step * np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
        sides = np.roll(window, -1, axis=0) - window
        to = centres[:, None] - window
        inside = (sides[:, 0] * to[:, :, 1] - sides[:, 1] * to[:, :, 0] >= 0.0).all(axis=1)
        inside = inside if inside.any() else ~inside  # a sliver, between all centres
        return cls(low, step, boundary.distances(centres, places), inside.astype(np.float64))


@dataclass(frozen=True, eq=False)
class Knots:
    """The knots of a partition as straight pieces, with bounds on their distance from the sites.

    ends: (E, 2, 2); lengths, jumps: (E,); least, most: (E,) no point of a piece is nearer or farther than these.
    """

    sites: Sites
    ends: FloatArray
    lengths: FloatArray
    jumps: FloatArray
    least: FloatArray
    most: FloatArray

    @classmethod
    def of(cls, partition: Partition, sites: Sites) -> Knots:
        """Those of a partition."""
        ends, lengths, jumps = pieces_of(partition)
        if not len(sites.segments):
            far = np.full(len(ends), math.inf)
            return cls(sites, ends, lengths, jumps, far, far)
        lattice = sites.lattice
        least, most = _tubes.bounds(ends, lattice.low, lattice.step, lattice.distances.reshape(GRID, GRID))
        return cls(sites, ends, lengths, jumps, least, most)

    def nearer(self, first: float, last: float) -> Knots:
        """The same with closer bounds for the pieces that may be between two distances: those of their own middles."""
        across = np.flatnonzero((self.least < last) & (self.most > first))
        if not len(across):
            return self
        middle = boundary.distances(self.ends[across].mean(axis=1), self.sites.segments)
        reach = (0.5 + 1e-9) * self.lengths[across]
        least, most = self.least.copy(), self.most.copy()
        least[across], most[across] = middle - reach, middle + reach
        return replace(self, least=least, most=most)

    def within(self, near: float) -> FloatArray:
        """(E,) length of each piece within `near` of the places: only those that may reach across it are cut."""
        found = np.where(self.most <= near, self.lengths, 0.0)
        across = np.flatnonzero((self.least < near) & (self.most > near))
        if len(across):
            found[across] = lengths_within(self.ends[across], self.sites.segments, near)
        return found


_kept: WeakKeyDictionary[Partition, dict[str, Any]] = WeakKeyDictionary()
"""What was found of partitions that are still there."""


def pieces_of(partition: Partition) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Ends (E, 2, 2), lengths (E,) and jumps of the slope (E,) of the edges that are knots; kept with the partition."""
    kept = _kept.setdefault(partition, {})
    if "pieces" not in kept:
        own = partition.edge_tag >= 0
        ends = partition.local_vertices[partition.edges[own]]
        sides = ends[:, 1] - ends[:, 0]
        kept["pieces"] = ends, np.hypot(sides[:, 0], sides[:, 1]), partition.slope_jumps[0][own]
    found: tuple[FloatArray, FloatArray, FloatArray] = kept["pieces"]
    return found


def boundary_of(partition: Partition) -> tuple[Sites, Knots]:
    """The decision boundary as sites, and the knots seen from there; kept with the partition."""
    kept = _kept.setdefault(partition, {})
    if "boundary" not in kept:
        line = np.asarray(partition.decision_boundary() - partition.centre, dtype=np.float64)
        sites = Sites(partition.window - partition.centre, line)
        kept["boundary"] = sites, Knots.of(partition, sites)
    found: tuple[Sites, Knots] = kept["boundary"]
    return found


def forget(partition: Partition) -> None:
    """Keep nothing more of a partition."""
    _kept.pop(partition, None)


def anchors_of(partition: Partition) -> tuple[Sites, Knots]:
    """The same of the anchors: segments without length."""
    places = (partition.plane.anchors_uv - partition.centre).reshape(-1, 1, 2).repeat(2, axis=1)
    sites = Sites(partition.window - partition.centre, places)
    return sites, Knots.of(partition, sites)


def pairs(value: FloatArray, name: str) -> FloatArray:
    """Segments (n, 2, 2) of float64. Raises PartitionError on another shape."""
    array = np.ascontiguousarray(value, dtype=np.float64)
    if array.ndim != 3 or array.shape[1:] != (2, 2):
        raise PartitionError(f"{name}: expected end points of shape (n, 2, 2), got {array.shape}.")
    return array


def positive(near: float) -> None:
    """Raises PartitionError unless it is a distance above 0."""
    if not (math.isfinite(near) and near > 0):
        raise PartitionError(f"near: expected a positive distance, got {near}; the default is a share of the window's side.")
