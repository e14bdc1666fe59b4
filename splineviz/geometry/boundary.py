r"""The decision boundary: where the arg-max of the outputs changes on a planar complex.
Also distances from points to it, and the check of a complex's arrays before kernels get them.

        +--------+--------+      outputs (V, C) are affine on every face, so a face is divided among the classes as the
        |  0    /   1     |      upper envelope of C affine functions is, exactly; a tie of two classes under a third
        |      /          |      is no boundary. With one output it is the set where the output crosses `level`.
        +-----*-----------+      Segments end on edges of the complex or where three classes meet (*).
        |     |\  1       |
        |  0  | \         |      The label of a point is the *first* of the largest outputs, as in argmax; for one
        |     | 2\        |      output it is whether it is above the level. The boundary is where labels change.
        +-----+---+-------+

Degenerate cases follow from that rule. A tie on a whole face (a dead network) gives the face its first class and
is no boundary by itself. A boundary along an edge, or through vertices, appears once. Two labels on the
two sides of an edge are a boundary there; what lies on the window's border is none, as there is no second side.

This file works on plain arrays: it knows neither partitions nor networks, and does not draw.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from splineviz._kernels import envelope as _envelope
from splineviz._kernels.measuring import segments as _segments
from splineviz.errors import FloatArray, IntArray, PartitionError, to_float_array, to_points

TOLERANCE = 32 * float(np.finfo(np.float64).eps)
"""Default for the largest difference that is a tie, relative to the largest |output| on the faces round a vertex."""

FEW = 16
"""Points whose distances are found without a grid: to list the segments by cells takes longer."""


@dataclass(frozen=True, eq=False)
class Boundary:
    """A decision boundary as unordered segments; M may be 0.

    segments: (M, 2, 2) float64, plane coordinates of both ends, of positive length.
    faces: (M,) int32, the face a segment lies in; for one along an edge, the face left of the edge.
    classes: (M, 2) int32, the classes left and right of the segment seen from its first end;
    (-1, -1) for a level set, whose higher side is on the right.
    """

    segments: FloatArray
    faces: IntArray
    classes: IntArray

    @property
    def lengths(self) -> FloatArray:
        """(M,) length of every segment, in input-space length."""
        return np.hypot(*(self.segments[:, 1] - self.segments[:, 0]).T)


def decision_boundary(
    vertices: Any,
    edges: Any,
    edge_faces: Any,
    face_offsets: Any,
    face_vertices: Any,
    outputs: Any,
    level: float = 0.0,
    *,
    tolerance: float = TOLERANCE,
) -> Boundary:
    """The decision boundary of a planar complex with outputs that are affine on every face.

    Args:
        vertices: (V, 2) plane coordinates.
        edges: (E, 2) vertex ids.
        edge_faces: (E, 2) faces left and right of edges[:, 0] -> edges[:, 1], -1 for none.
        face_offsets: (F + 1,) start of each face in `face_vertices`.
        face_vertices: vertex ids of all faces, convex and counter-clockwise.
        outputs: (V, C) at the vertices.
        level: for C = 1, the value at which the boundary lies.
        tolerance: outputs that differ by less, relative to the largest |output| on the faces round a vertex, are
            equal there. It only decides degenerate cases (ties along edges, at vertices and on whole faces).

    Returns:
        The segments, each with its face and the two classes that it separates.

    Raises:
        PartitionError: the arrays do not fit together.
        ValueError: coordinates, outputs or level are not finite.
    """
    points, offsets, ring, values = complex_of(vertices, face_offsets, face_vertices, outputs, level, tolerance)
    ends, sides = _pairs(edges, "edges"), _pairs(edge_faces, "edge_faces")
    if len(ends) != len(sides):
        raise PartitionError(f"edge_faces: expected one row for each of {len(ends)} edges, got {len(sides)}.")
    slack = _envelope.vertex_slack(offsets, ring, values, float(tolerance))
    winner, lead = _envelope.winners(values)
    inside = _envelope.face_pieces(points, offsets, ring, values, winner, slack)
    along = _envelope.edge_pieces(points, ends, sides, offsets, ring, values, winner, lead, slack)
    segments, faces, classes = (np.concatenate(pair) for pair in zip(inside, along, strict=True))
    # A piece that begins and ends in rounding may have no length left.
    real = (segments[:, 0] != segments[:, 1]).any(axis=1)
    if np.ndim(outputs) == 1 or np.shape(outputs)[1] == 1:
        down = classes[:, 0] > classes[:, 1]  # along an edge, which has a direction of its own
        segments[down] = segments[down, ::-1]
        classes = np.full_like(classes, -1)
    return Boundary(segments[real], faces[real], classes[real])


def complex_of(
    vertices: Any, face_offsets: Any, face_vertices: Any, outputs: Any, level: float, tolerance: float
) -> tuple[FloatArray, IntArray, IntArray, FloatArray]:
    """Check the arrays of a planar complex and cast them as kernels want them.

    Args:
        vertices: as in `decision_boundary`.
        face_offsets: as in `decision_boundary`.
        face_vertices: as in `decision_boundary`.
        outputs: as in `decision_boundary`.
        level: as in `decision_boundary`.
        tolerance: as in `decision_boundary`.

    Returns:
        Vertices, face_offsets, face_vertices, and outputs (V, C >= 2): a single output gets the level as its rival.

    Raises:
        PartitionError: the arrays do not fit together.
        ValueError: coordinates, outputs or level are not finite.
    """
    points = to_points(vertices, "vertices")
    values = _values(outputs, len(points), level)
    if not tolerance >= 0:
        raise PartitionError(f"tolerance: expected a number >= 0, got {tolerance}; the default is {TOLERANCE:.2g}.")
    offsets, ring = np.ascontiguousarray(face_offsets, dtype=np.int32), np.ascontiguousarray(face_vertices, dtype=np.int32)
    if offsets.ndim != 1 or not len(offsets) or offsets[-1] != len(ring):
        raise PartitionError(f"face_offsets: expected (F + 1,) ids that end with {len(ring)}, got {offsets!r}.")
    return points, offsets, ring, values


def distances(points: Any, segments: Any) -> FloatArray:
    """Distance (n,) from points (n, 2) to the nearest of segments (M, 2, 2), all in plane coordinates; inf if M is 0.

    Time and memory are linear in n + M for segments that are spread over their bounding box.
    Raises PlaneError when the points, PartitionError when the segments have another shape.
    """
    places = to_points(points, "points")
    lines = to_float_array(segments, "segments")
    if lines.ndim != 3 or lines.shape[1:] != (2, 2):
        raise PartitionError(f"segments: expected shape (M, 2, 2), got {lines.shape}; pass the `segments` of a Boundary.")
    if not len(lines):
        return np.full(len(places), np.inf)
    if len(places) <= FEW:
        return _segments.nearest_of_all(places, lines)
    corners = lines.reshape(-1, 2)
    low, extent = corners.min(axis=0), np.ptp(corners, axis=0)
    longest = float(extent.max())
    # About one cell a segment; never more cells along a side than segments, nor cells smaller than coordinates resolve.
    size = max(math.sqrt(float(extent.prod()) / len(lines)), longest / len(lines), 1e-9 * float(np.abs(corners).max()))
    size = size if size > 0 else 1.0
    columns, rows = (int(n) + 1 for n in extent / size)
    cells = _segments.cell_lists(lines, low, size, columns, rows)
    return _segments.nearest(places, lines, low, size, columns, rows, *cells)


def _values(outputs: Any, vertices: int, level: float) -> FloatArray:
    """Outputs (V, C >= 2) whose labels are wanted: one output becomes (level, output), label 1 is above the level."""
    values = to_float_array(outputs, "outputs")
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or len(values) != vertices or not values.shape[1]:
        raise PartitionError(f"outputs: expected one row for each of {vertices} vertices, got shape {values.shape}.")
    if not math.isfinite(level):
        raise ValueError(f"level: expected a finite number, got {level}.")
    if values.shape[1] == 1:
        values = np.concatenate([np.full_like(values, level), values], axis=1)
    return np.ascontiguousarray(values)


def _pairs(value: Any, name: str) -> IntArray:
    array = np.ascontiguousarray(value, dtype=np.int32)
    if array.ndim != 2 or array.shape[1] != 2:
        raise PartitionError(f"{name}: expected shape (E, 2), got {array.shape}.")
    return array
