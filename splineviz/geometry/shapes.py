r"""Shapes: areas, convexity and width of a complex's faces, and how far its border lies off the window's.

      before <- - - - chord - - - - -> there      depth: how far a corner lies behind the chord of its neighbours, where
             \                       /            the face turns right; rounding moves a vertex, however short the
              +-------- here -------+            sides are. Where the chord is shorter than that, it says nothing.

Numbers alone: `regions.certificate` draws the conclusions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from splineviz.errors import FloatArray
from splineviz.geometry.partition import Partition
from splineviz.geometry.polygons import area_gap

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Shapes:
    """Of every face (F,) its area, width (area over diameter), how far it is clockwise (the same, less than 0) and how
    deep a corner turns right; of every border edge `rim` how far `off` it lies. window: its corners; gap: what the areas
    miss of its own. All but the areas are relative to the window.
    """

    areas: FloatArray
    width: FloatArray
    turned: FloatArray
    depth: FloatArray
    rim: Ids
    off: FloatArray
    window: FloatArray

    @property
    def gap(self) -> float:
        """What the areas miss of the window's, as a share of it; see `polygons.area_gap`."""
        return area_gap(self.areas, self.window)

    def odd(self, most: float) -> npt.NDArray[np.bool_]:
        """(F,) whether a face is clockwise or not convex by more than `most`."""
        return np.asarray((self.turned > most) | (self.depth > most))


def shapes(partition: Partition, face: Ids, here: Ids, there: Ids, before: Ids) -> Shapes:
    """The shapes of a partition's faces, whose corners are given flat: face, vertex, next and last vertex."""
    points, window = partition.local_vertices, partition.window - partition.centre
    diameter = float(np.linalg.norm(window.max(axis=0) - window.min(axis=0)))
    starts = partition.face_offsets[:-1].astype(np.int64)
    origin = points[here[starts]][face]
    p, q = points[here] - origin, points[there] - origin
    areas = 0.5 * np.add.reduceat(p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0], starts)
    span = 2.0 * np.sqrt(np.maximum.reduceat((p**2).sum(axis=1), starts))
    width = areas / np.maximum(span, 1e-300) / diameter
    ahead, behind = points[there] - points[here], points[before] - points[here]
    chord = np.hypot(*(ahead - behind).T)
    turn = ahead[:, 0] * behind[:, 1] - ahead[:, 1] * behind[:, 0]
    depth = np.maximum.reduceat(-turn / np.where(chord > 0, chord, 1.0) / diameter, starts)
    rim = np.flatnonzero(partition.edge_tag < 0)
    sides = np.roll(window, -1, axis=0) - window
    normals = np.stack([sides[:, 1], -sides[:, 0]], axis=1) / np.linalg.norm(sides, axis=1)[:, None]
    ends = points[partition.edges[rim]]
    distance = np.abs(np.einsum("sk,erk->ers", normals, ends) - np.einsum("sk,sk->s", normals, window)).max(axis=1)
    off = distance.min(axis=1) / diameter
    return Shapes(areas, width, -width, depth, rim, off, window)
