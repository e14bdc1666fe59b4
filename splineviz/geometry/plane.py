r"""Planes: anchors <-> plane coordinates, and the windows on them. Also the check that a window is a convex polygon.

        v                          x = origin + u e1 + v e2,   (e1, e2) orthonormal
        ^      x2
        |     *                    so lengths and areas on the slice are lengths and
        |                          areas in input space. `uv` are plane coordinates
        |  x0      x1              (n, 2), `x` inputs (n, *input_shape).
        +--*-------*----> u

This is the only file that knows the input's shape; it knows no network. Anchors that
coincide or lie on one line span no plane and are refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from splineviz.errors import FloatArray, PlaneError, to_float_array, to_points
from splineviz.geometry import doors
from splineviz.geometry.polygons import polygon_area, square

MARGIN = 0.3
"""Default margin of the square window round the anchors, as a share of their bounding box's longer side."""


@dataclass(frozen=True, eq=False)
class Plane:
    """A 2D slice of input space.

    origin: (*input_shape) float64; basis: (2, *input_shape) float64, orthonormal.
    anchors_uv: (k, 2) plane coordinates of the samples that span the plane; empty if it was given by hand.
    samples: (k, *input_shape) those samples themselves, off which the rounded plane passes by a last bit; or empty.
    Raises PlaneError when the basis is not orthonormal (to 1e-9) or does not fit the origin.
    """

    origin: FloatArray
    basis: FloatArray
    anchors_uv: FloatArray = field(default_factory=lambda: np.empty((0, 2)))
    samples: FloatArray = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        origin = to_float_array(self.origin, "origin")
        basis = to_float_array(self.basis, "basis")
        if basis.shape != (2, *origin.shape):
            raise PlaneError(
                f"basis: expected shape {(2, *origin.shape)} (two directions of the origin's shape), "
                f"got {basis.shape}; build the plane with Plane.through(x0, x1, x2) if in doubt."
            )
        flat = basis.reshape(2, -1)
        gram = flat @ flat.T
        if not np.allclose(gram, np.eye(2), rtol=0.0, atol=1e-9):
            raise PlaneError(
                f"basis: expected two orthonormal directions, got inner products {gram.tolist()}; "
                f"orthonormalise them (numpy.linalg.qr) or use Plane.through(x0, x1, x2)."
            )
        anchors, samples = to_points(self.anchors_uv, "anchors_uv"), to_float_array(self.samples, "samples")
        if samples.size and samples.shape != (len(anchors), *origin.shape):
            raise PlaneError(
                f"samples: expected one of the origin's shape for each anchor, {(len(anchors), *origin.shape)}, got "
                f"{samples.shape}; leave them out, or use Plane.through(x0, x1, x2)."
            )
        if samples.size == 0:
            samples = np.empty(0)
        for name, array in (("origin", origin), ("basis", basis), ("anchors_uv", anchors), ("samples", samples)):
            array = array.copy()
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.input_shape))
        return f"Plane({len(self.anchors_uv)} anchors, inputs {shape}, window {np.ptp(self.window()[:, 0]):.4g} wide)"

    @classmethod
    def of(cls, value: Any) -> Plane:
        """A plane as it is, or the one through three samples: a list of them, an array or a tensor (3, *input_shape).

        Raises PlaneError for anything else, which names what belongs there, and as `through` does.
        """
        if isinstance(value, cls):
            return value
        if callable(value) or isinstance(value, str) or not hasattr(value, "__len__"):
            raise PlaneError(
                f"plane: expected a Plane or three samples, got {type(value).__name__}; the network comes first and the "
                "plane second, such as partition(model, sv.Plane.through(x0, x1, x2))."
            )
        if len(value) != 3:
            raise PlaneError(f"plane: expected a Plane or three samples, got {len(value)}; pass Plane.through(x0, x1, x2).")
        return cls.through(*value)

    @classmethod
    def through(cls, x0: Any, x1: Any, x2: Any) -> Plane:
        """The plane through three samples, each of shape (*input_shape).

        The origin is the samples' centroid; e1 points from x0 to x1, e2 towards x2.
        Raises PlaneError when the samples coincide or lie on one line.
        """
        points = [to_float_array(x, f"anchor {i}") for i, x in enumerate((x0, x1, x2))]
        if not all(np.ndim(x) for x in (x0, x1, x2)):
            raise PlaneError(
                f"anchors: expected three samples, got the numbers {x0}, {x1}, {x2}; where these are indices of training "
                "samples, pass the samples: Plane.through(x[0], x[1], x[2])."
            )
        shapes = {p.shape for p in points}
        if len(shapes) != 1:
            raise PlaneError(f"anchors: expected three samples of one shape, got shapes {[p.shape for p in points]}.")
        origin = (points[0] + points[1] + points[2]) / 3.0
        first = (points[1] - points[0]).reshape(-1)
        second = (points[2] - points[0]).reshape(-1)
        with np.errstate(over="ignore"):
            longest = max(float(np.linalg.norm(gap)) for gap in (first, second, second - first))
        if not np.isfinite(longest):
            raise PlaneError("anchors: expected samples whose squares doubles hold, got larger ones; scale them down.")
        # Below this length a difference of the anchors is rounding, not direction.
        largest = max(float(np.linalg.norm(p)) for p in points)
        floor = 1e-10 * max(longest, 1e-3 * largest)
        for i, j, gap in ((0, 1, first), (0, 2, second), (1, 2, second - first)):
            if np.linalg.norm(gap) <= floor:
                raise PlaneError(
                    f"anchors: expected three distinct samples, got anchors {i} and {j} that coincide (distance "
                    f"{np.linalg.norm(gap):.3g} beside {max(longest, largest):.3g}); choose another sample for one of them."
                )
        e1 = first / np.linalg.norm(first)
        height = second - (second @ e1) * e1
        height -= (height @ e1) * e1  # once more: Gram-Schmidt twice is orthogonal to machine precision
        if np.linalg.norm(height) <= floor:
            raise PlaneError(
                "anchors: expected three samples that span a plane, got three on one line "
                f"(the third lies {np.linalg.norm(height):.3g} off it); choose another sample for one of them."
            )
        e2 = height / np.linalg.norm(height)
        basis = np.stack([e1, e2]).reshape(2, *points[0].shape)
        plane = cls(origin, basis)
        return cls(origin, basis, plane.project(np.stack(points)), np.stack(points))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, without the batch dimension."""
        return tuple(self.origin.shape)

    def embed(self, uv: Any) -> FloatArray:
        """Inputs (n, *input_shape) at plane coordinates uv (n, 2)."""
        points = to_points(uv, "uv")
        flat = points @ self.basis.reshape(2, -1) + self.origin.reshape(-1)
        return flat.reshape(len(points), *self.input_shape)

    def summed(self, uv: FloatArray) -> FloatArray:
        """(*input_shape) sizes of the terms that `embed` sums up for each entry, the largest at coordinates uv (n, 2)."""
        sizes: FloatArray = np.abs(self.origin) + np.tensordot(np.abs(uv).max(axis=0), np.abs(self.basis), axes=1)
        return sizes

    def project(self, x: Any) -> FloatArray:
        """Plane coordinates (n, 2) of the orthogonal projections of inputs x (n, *input_shape)."""
        inputs = to_float_array(x, "x")
        if inputs.shape[1:] != self.input_shape or inputs.ndim == 0:
            raise PlaneError(
                f"x: expected inputs of shape (n, {', '.join(map(str, self.input_shape))}), got {inputs.shape}."
            )
        offsets = (inputs - self.origin).reshape(len(inputs), -1)
        return np.ascontiguousarray(offsets @ self.basis.reshape(2, -1).T)

    def window(self, window: Any = None) -> FloatArray:
        """A window as a convex counter-clockwise polygon (m, 2) in plane coordinates.

        window: such a polygon (checked), a half-width (a square round the anchors' bounding-box centre,
        or round the origin for a plane without anchors), or None (the square round the anchors with a
        margin of MARGIN; half-width 1 for a plane without anchors).
        Raises PlaneError when the polygon is not convex, not counter-clockwise, or has no area.
        """
        if window is None or np.ndim(window) == 0:
            centre, half = np.zeros(2), 1.0
            if len(self.anchors_uv):
                low, high = self.anchors_uv.min(axis=0), self.anchors_uv.max(axis=0)
                centre, half = (low + high) / 2, float((high - low).max()) * (0.5 + MARGIN)
            if window is not None:
                half = _half_width(window)
            corners = square(centre, half)
            area = _area(corners)
            if not 0 < area < np.inf:
                raise PlaneError(_NO_AREA.format(area, f"in a square of half-width {half:g} round {centre}"))
            return corners
        return convex_polygon(window)

    def _repr_html_(self) -> str:
        return doors.plane_html(self)

    def _repr_png_(self) -> bytes:
        return doors.plane_png(self)


_NO_AREA = "window: expected an area that a double can hold, got {:g} {}; choose a window of another size."


def _half_width(window: Any) -> float:
    """A half-width as a number. Raises PlaneError."""
    try:
        half = float("nan") if isinstance(window, (bool, np.bool_)) else float(window)
    except (TypeError, ValueError, OverflowError):
        half = float("nan")
    if not (np.isfinite(half) and half > 0):
        raise PlaneError(f"window: expected a positive half-width, or the corners (m, 2) of a polygon, got {window}.")
    return half


def _area(polygon: FloatArray) -> float:
    """The area as a double: 0, infinity or NaN where that holds none."""
    with np.errstate(over="ignore", invalid="ignore"):
        return polygon_area(polygon)


def convex_polygon(window: Any) -> FloatArray:
    """Check that a window (m, 2) is a convex counter-clockwise polygon with area, and return it as float64.

    Collinear neighbours are allowed, repeated corners are not. Raises PlaneError.
    """
    polygon = to_points(window, "window")
    if len(polygon) < 3:
        raise PlaneError(f"window: expected a polygon of at least 3 corners, got {len(polygon)}.")
    sides = np.roll(polygon, -1, axis=0) - polygon
    if (np.abs(sides).max(axis=1) == 0).any():
        raise PlaneError("window: expected distinct neighbouring corners, got a corner twice; remove the repetition.")
    area = _area(polygon)
    extent = sides.max(axis=0)
    if not np.isfinite(area) or (area == 0 and extent.min() > 0 and extent[0] * extent[1] == 0):
        raise PlaneError(_NO_AREA.format(area, f"in sides of up to {np.abs(sides).max():g}"))
    # Turns are read from differences, so that a tiny window far from the origin is judged by its own size.
    following = np.roll(sides, -1, axis=0)
    cross = sides[:, 0] * following[:, 1] - sides[:, 1] * following[:, 0]
    lengths = np.linalg.norm(sides, axis=1)
    sine = cross / (lengths * np.roll(lengths, -1))
    rounding = 64 * np.finfo(float).eps * (1.0 + np.abs(polygon).max() / lengths.min())
    if area < 0:
        raise PlaneError(
            "window: expected counter-clockwise corners, got clockwise ones; reverse their order (window[::-1])."
        )
    turning = np.arctan2(cross, np.einsum("ij,ij->i", sides, following)).sum()
    if (sine < -rounding).any() or abs(turning - 2 * np.pi) > 1e-3 or area == 0:
        raise PlaneError(
            f"window: expected a convex polygon that turns left at every corner, got one that turns right or crosses "
            f"itself at corner {int(sine.argmin() + 1) % len(polygon)}; pass its convex hull."
        )
    return polygon
