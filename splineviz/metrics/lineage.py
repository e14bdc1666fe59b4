r"""Lineage: a unit keeps its identity through training, so its knots can be followed from one checkpoint to the next.
Each unit's knots on the slice by themselves: their length, their mean distance from the decision boundary, their straight
pieces. Here too: what became of the regions in between.

        before            after             The length of knots near the decision boundary = changes by what
        ..|....=          ...|..=             stays     units with knots in the window before and after: they moved
        ..|....=    -->   ...|..=             vanish    units that had knots in the window and have none left
        .|.....=          ......=|            appear    units that had none
                                              and by nothing else: the three sum to the change.

Regions are followed by their activation patterns: the area of a pattern that is there before and after stayed (the smaller
of its two areas), the rest died or was born.

(Region migration: Humayun, Balestriero, Baraniuk, arXiv 2402.15555, section 4.) Knows no torch and does not draw.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from splineviz.errors import FloatArray, PartitionError
from splineviz.geometry import boundary
from splineviz.geometry.partition import Partition
from splineviz.geometry.polygons import polygon_area
from splineviz.metrics.measures import knot_lengths, lengths_within

FATES = ("stay", "vanish", "appear")
PIECE = 1.0 / 256
"""Longest piece of a knot over which a distance is integrated at once, as a share of the root of the window's area."""
NODES, WEIGHTS = np.polynomial.legendre.leggauss(3)


@dataclass(frozen=True, eq=False)
class Ledger:
    """How the length of knots near the decision boundary changed between two checkpoints, in input-space length.

    change: (layers, 3) by layer and fate, in the order of FATES; before, after: (layers,) the length near the boundary.
    change.sum(axis=1) is after - before. units: (layers, 3) how many units had each fate.
    """

    change: FloatArray
    before: FloatArray
    after: FloatArray
    units: FloatArray


@dataclass(frozen=True)
class Regions:
    """Shares of the window: of patterns that stayed, of area that died, of area that was born; and numbers of regions."""

    stayed: float
    died: float
    born: float
    regions_stayed: int
    regions_died: int
    regions_born: int


def unit_lengths(partition: Partition, *, near: float | None = None) -> FloatArray:
    """(units,) length of every unit's knots in the window; near: of what lies within that distance of the boundary.

    In input-space length. Raises PartitionError when `near` is not positive.
    """
    own = np.flatnonzero(partition.edge_tag >= 0)
    if near is None:
        lengths = knot_lengths(partition)[own]
    else:
        line = np.asarray(partition.decision_boundary() - partition.centre, dtype=np.float64)
        lengths = lengths_within(partition.local_vertices[partition.edges[own]], line, near)
    units = int(partition.unit_offsets[-1])
    return np.asarray(np.bincount(partition.edge_tag[own], weights=lengths, minlength=units), dtype=np.float64)


def unit_distances(partition: Partition) -> FloatArray:
    """(units,) mean distance of every unit's knots in the window from the decision boundary, in input-space length.

    The mean is over the knots' length: integrated by Gauss's rule on pieces of at most PIECE of the window's side, which is
    exact where one piece of the boundary is the nearest all along. NaN for a unit without knots, or without a boundary.
    """
    units = int(partition.unit_offsets[-1])
    line = partition.decision_boundary() - partition.centre
    own = np.flatnonzero(partition.edge_tag >= 0)
    if not len(line) or not len(own):
        return np.full(units, math.nan)
    ends, tags = partition.local_vertices[partition.edges[own]], partition.edge_tag[own]
    lengths = np.hypot(*(ends[:, 1] - ends[:, 0]).T)
    longest = PIECE * math.sqrt(polygon_area(partition.window - partition.centre))
    parts = np.maximum(np.ceil(lengths / longest), 1).astype(np.int64)
    edge = np.repeat(np.arange(len(own)), parts)
    number = np.arange(len(edge)) - np.repeat(np.cumsum(parts) - parts, parts)
    total = np.zeros(units)
    for node, weight in zip(NODES, WEIGHTS, strict=True):
        share = (number + 0.5 + 0.5 * node) / parts[edge]
        points = ends[edge, 0] + share[:, None] * (ends[edge, 1] - ends[edge, 0])
        gaps = boundary.distances(points, line)
        total += np.bincount(tags[edge], weights=0.5 * weight * gaps * lengths[edge] / parts[edge], minlength=units)
    whole = np.bincount(tags, weights=lengths, minlength=units)
    return np.divide(total, whole, out=np.full(units, math.nan), where=whole > 0)


def unit_knots(partition: Partition, unit: int) -> FloatArray:
    """(n, 2, 2) the straight pieces of one unit's knots, in plane coordinates; the unit is numbered through all layers.

    Raises PartitionError for a number that no unit has.
    """
    units = int(partition.unit_offsets[-1])
    if not 0 <= unit < units:
        raise PartitionError(f"unit: expected a number from 0 to {units - 1}, got {unit}.")
    return np.asarray(partition.vertices[partition.edges[partition.edge_tag == unit]], dtype=np.float64)


def ledger(before: Partition, after: Partition, *, near: float) -> Ledger:
    """What the change of the knots' length within `near` of each checkpoint's own decision boundary is made of.

    Both are partitions of one network at two checkpoints, on the same window of the same plane.
    Raises PartitionError when they are not, or when `near` is not positive.
    """
    _alike(before, after)
    here = [unit_lengths(part) > 0 for part in (before, after)]
    close = [unit_lengths(part, near=near) for part in (before, after)]
    fates = (here[0] & here[1], here[0] & ~here[1], ~here[0] & here[1])
    layers = np.repeat(np.arange(len(before.unit_offsets) - 1), np.diff(before.unit_offsets))
    count = len(before.unit_offsets) - 1

    def by_layer(values: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(layers, weights=values, minlength=count), dtype=np.float64)

    return Ledger(
        np.stack([by_layer(np.where(fate, close[1] - close[0], 0.0)) for fate in fates], axis=1),
        by_layer(close[0]),
        by_layer(close[1]),
        np.stack([by_layer(fate.astype(np.float64)) for fate in fates], axis=1),
    )


def regions(before: Partition, after: Partition) -> Regions:
    """What became of the regions between two checkpoints, by their activation patterns.

    Raises PartitionError for partitions of two networks or windows.
    """
    _alike(before, after)
    names, index = np.unique(np.concatenate([before.pattern_hash, after.pattern_hash]), return_inverse=True)
    first, second = np.split(index, [before.num_regions])
    areas = [
        np.bincount(own, weights=part.areas, minlength=len(names)) for own, part in ((first, before), (second, after))
    ]
    present = [np.bincount(own, minlength=len(names)) > 0 for own in (first, second)]
    whole = polygon_area(before.window - before.centre)
    stayed = np.minimum(*areas)
    return Regions(
        float(stayed.sum()) / whole,
        float((areas[0] - stayed).sum()) / whole,
        float((areas[1] - stayed).sum()) / whole,
        int((present[0] & present[1]).sum()),
        int((present[0] & ~present[1]).sum()),
        int((~present[0] & present[1]).sum()),
    )


def _alike(before: Partition, after: Partition) -> None:
    if before.window.shape != after.window.shape or not np.allclose(before.window, after.window, rtol=1e-12, atol=0):
        raise PartitionError("lineage: expected two partitions of one window, got two windows; use one for both.")
    if not np.array_equal(before.unit_offsets, after.unit_offsets):
        raise PartitionError(
            f"lineage: expected two checkpoints of one network, got layers of {np.diff(before.unit_offsets).tolist()} and "
            f"{np.diff(after.unit_offsets).tolist()} units."
        )
