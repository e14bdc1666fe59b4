r"""Faces cut along the decision boundary: parts with one class each, and their margins.
Also the leads that each margin is the least of.

        +--------+--------+      part f < F   face f, or the largest part of it if the boundary cuts it
        |  1    /|        |      part F + n   the other parts, in order of faces; `face` tells whose they are
        |      / |   2    |
        |  0  /  |        |      Each part is convex and lies in one class: that of the largest output, the first of
        +----*---+--------+      equals; for one output 0 up to the level, 1 above it. New corners (*) follow the old.

So colours of all parts paint a picture in two strokes: every face in the colour of its own part, then the other parts
over it. Where the boundary runs, `boundary` has its segments: to the bit on sides of faces, to rounding inside them. What
counts as a tie is decided there and here alike. A face too thin to be cut has one class, that of its middle.

A margin, largest less second largest output, is not affine on a part. `Classes.margins` holds its value at the mean of
the part's corners, which lies inside the part: it is never negative and belongs to the part's class.

This file works on plain arrays: it knows neither partitions nor networks, and does not draw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from splineviz._kernels import classing as _classing
from splineviz._kernels import envelope as _envelope
from splineviz._kernels import faces as _faces
from splineviz._kernels import margins as _margins
from splineviz.errors import FloatArray, IntArray, PartitionError
from splineviz.geometry.boundary import TOLERANCE, complex_of

GAP = 1e-9
"""Most that the areas of a partition's parts may differ from those of its faces, as a share of all."""


@dataclass(frozen=True, eq=False)
class Classes:
    """Faces cut among the classes, P parts as drawn in the module's docstring.

    label: (P,) int32, the class of each part. face: (P,) int32, the face it lies in. areas: (P,) squared input-space length.
    margins: (P,) output of its class less the largest other one, at the mean of its corners.
    vertices: (V', 2), those of the complex and the new ones; offsets: (P + 1,), corners: of the parts, counter-clockwise.
    faces: F; count: number of classes, those without any part too. undecided: faces that were left whole, with the class
    of their middle, because their outputs are not affine to rounding.
    """

    label: IntArray
    face: IntArray
    areas: FloatArray
    margins: FloatArray
    vertices: FloatArray
    offsets: IntArray
    corners: IntArray
    faces: int
    count: int
    undecided: int = 0

    def __repr__(self) -> str:
        shown = int(np.count_nonzero(np.bincount(self.label, minlength=self.count)))
        return f"Classes({len(self.label):,} parts, {shown} of {self.count} classes)"

    @property
    def shares(self) -> FloatArray:
        """(count,) share of the window that each class takes, summing to 1."""
        sizes = np.bincount(self.label, weights=self.areas, minlength=self.count)
        total = sizes.sum()
        return np.asarray(sizes / total if total > 0 else sizes)

    @property
    def largest(self) -> FloatArray:
        """(F,) share of each face that its own part, the largest, takes: 1 where no boundary cuts it."""
        whole = np.bincount(self.face, weights=self.areas, minlength=self.faces)
        share = np.divide(self.areas[: self.faces], whole, out=np.ones(self.faces), where=whole > 0)
        return np.asarray(share)

    @property
    def extra(self) -> IntArray:
        """Numbers of the parts that are no face's own: those painted over it."""
        return np.arange(self.faces, len(self.face), dtype=np.int32)

    @property
    def middles(self) -> FloatArray:
        """(P, 2) mean of every part's corners, a point inside it."""
        return _faces.face_means(self.vertices, self.offsets, self.corners)

    def part(self, index: int) -> IntArray:
        """Vertex ids of one part, counter-clockwise."""
        return self.corners[self.offsets[index] : self.offsets[index + 1]]

    def rims(self) -> tuple[IntArray, IntArray]:
        """Sides of the `extra` parts: (S, 2) vertex ids a -> b, and (S, 2) the part on the left and the one it lies on."""
        extra = self.extra
        if not len(extra):
            return np.empty((0, 2), np.int32), np.empty((0, 2), np.int32)
        start = int(self.offsets[extra[0]])
        from_ = self.corners[start:]
        following = np.arange(1, len(from_) + 1)
        following[self.offsets[extra + 1] - start - 1] = self.offsets[extra] - start
        owner = np.repeat(extra, np.diff(self.offsets)[extra])
        sides = np.stack([from_, from_[following]], axis=1)
        return sides.astype(np.int32), np.stack([owner, self.face[owner]], axis=1).astype(np.int32)


def classes(
    vertices: Any, face_offsets: Any, face_vertices: Any, outputs: Any, level: float = 0.0, *, tolerance: float = TOLERANCE
) -> Classes:
    """Cut the faces of a planar complex among the classes; arguments as `boundary.decision_boundary` takes them.

    Raises PartitionError when the arrays do not fit, or when the parts do not cover the faces, ValueError when
    coordinates, outputs or level are not finite.
    """
    points, offsets, ring, values = complex_of(vertices, face_offsets, face_vertices, outputs, level, tolerance)
    slack = _envelope.vertex_slack(offsets, ring, values, float(tolerance))
    winner, _ = _envelope.winners(values)
    label, cells, cell_corners, places, torn = _classing.cut(points, offsets, ring, values, winner, slack)
    face = np.concatenate([np.arange(len(label)), cells[:, 0]])
    part_cell = np.concatenate([-1 - np.arange(len(label)), np.arange(len(cells))])
    label = np.concatenate([label, cells[:, 1]])
    everywhere = np.concatenate([points, places])
    starts, corners = _classing.rings(offsets, ring, cells, cell_corners, part_cell)
    areas = _faces.face_areas(everywhere, starts, corners)
    whole = float(areas[: len(offsets) - 1].sum())
    chosen = _parts(len(offsets) - 1, cells[:, 0], areas[len(offsets) - 1 :])
    if len(cells):
        part_cell, label, face, areas = part_cell[chosen], label[chosen], face[chosen], areas[chosen]
        starts, corners = _classing.rings(offsets, ring, cells, cell_corners, part_cell)
    gap = abs(float(areas.sum()) - whole)
    if not gap <= GAP * max(whole, 0.0):
        raise PartitionError(f"classes: expected parts that cover the faces' {whole:.17g}, got a gap of {gap:.3g}.")
    label, face = label.astype(np.int32), face.astype(np.int32)
    middles = _faces.face_means(everywhere, starts, corners)
    margins = _margins.margins(points, offsets, ring, values, face, label, middles, part_cell < 0)
    return Classes(label, face, areas, margins, everywhere, starts, corners, len(offsets) - 1, values.shape[1], torn)


def leads(
    found: Classes, vertices: Any, face_offsets: Any, face_vertices: Any, outputs: Any, level: float = 0.0
) -> tuple[IntArray, FloatArray]:
    """What the margin is the least of in every part: offsets (P + 1,), and rows (value, d/du, d/dv) at its corners' mean.

    Each row is the lead, affine on the part, of its class over one that is second somewhere in it. Arguments as `classes`.
    """
    points, offsets, ring, values = complex_of(vertices, face_offsets, face_vertices, outputs, level, TOLERANCE)
    slack = _envelope.vertex_slack(offsets, ring, values, TOLERANCE)
    middles = found.middles
    starts, rows = _margins.rivals(
        points, offsets, ring, values, slack, found.face, found.label, found.offsets, found.corners, found.vertices, middles
    )
    return starts.astype(np.int32), rows


def _parts(faces: int, owner: npt.NDArray[np.int64], area: FloatArray) -> npt.NDArray[np.int64]:
    """Which of F faces and n cells are the parts, in their order: a face that is cut gives way to its largest cell."""
    own = np.arange(faces)
    order = np.lexsort((-np.arange(len(owner)), area, owner))  # the last of each owner is its largest, the first of equals
    own[owner[order]] = faces + order
    others = np.ones(faces + len(owner), np.bool_)
    others[:faces] = False
    others[own] = False
    return np.concatenate([own, np.flatnonzero(others)])
