r"""Views: paths through the input space of one network, as a list of views; a view is a plane and a window on it.

        zoom    one plane, windows that close in on a point     turn   x0 and x1 stay, the third corner goes to x3
        +----------+                                                      x3
        |   +---+  |   each window is cut afresh, so that                / ^
        |   | + |  |   more is seen and nothing is resampled       x0---/--x1
        |   +---+  |                                                    x2
        +----------+                                            slide  the plane moves along its normal up to x3

A zoom ends where plane coordinates do: below DEEPEST units of rounding a half-width, pixels would show the grid of double
precision. Its point is found again at every scale, since a number good for one picture is too coarse for the next.
A turned plane has its own corners (the third is a mixture of two samples, a point of input space like any other); a slid
one meets no sample but x3, so it has no anchors on the way. This file draws nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from splineviz import choices
from splineviz.errors import DataError, FloatArray
from splineviz.geometry.plane import Plane
from splineviz.geometry.polygons import bounding_square, square
from splineviz.regions.enumerate import partition
from splineviz.tracing.program import Program

DEEPEST = 2.0**14
"""Half-width of the smallest window, in units of rounding of its coordinates: 34 of them a pixel at 1080p."""

SUPERSCRIPTS = str.maketrans("0123456789", "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")

KINDS = choices.TOURS


@dataclass(frozen=True, eq=False)
class View:
    """What one frame shows. window: (4, 2); place: where it is on the way; header, note: in words."""

    plane: Plane
    window: FloatArray
    place: float
    header: str
    note: str


# ---- zoom --------------------------------------------------------------------------------------------


def zoom(
    program: Program, plane: Plane, *, window: Any = None, to: Sequence[float] | None = None, frames: int = 120,
    depth: float | None = None,
) -> list[View]:  # fmt: skip
    """Windows that close in on a point, each the same share smaller than the one before.

    window: of the first view, as `Plane.window` takes it. to: (u, v), by default a bend of the decision boundary, which
    stays in the picture however deep. depth: the last magnification, by default the largest that double precision bears.
    place is the magnification. Raises DataError for a point outside the window or a depth that cannot be.
    """
    _enough(frames)
    first = plane.window(window)
    low, high = first.min(axis=0), first.max(axis=0)
    middle, half = bounding_square(first)
    target = _bend(program, plane, first) if to is None else np.asarray(to, dtype=np.float64)
    if target.shape != (2,) or not (np.isfinite(target).all() and (target >= low).all() and (target <= high).all()):
        raise DataError(f"to: expected a point (u, v) in the window {low.tolist()} to {high.tolist()}, got {to}.")
    deepest = half / max(DEEPEST * np.finfo(float).eps * max(float(np.abs(target).max()), 1e-300), 1e-300)
    depth = deepest if depth is None else float(depth)
    if not 1.0 < depth <= deepest * (1 + 1e-9):
        raise DataError(f"depth: expected a magnification above 1, up to {deepest:.3g} for double precision, got {depth:g}.")
    if to is None:
        target = _followed(program, plane, target, half, depth)
    views = []
    for k in range(frames):
        share = k / (frames - 1)
        reach = half * depth**-share
        centre = target + (middle - target) * (reach / half) * (1.0 - share)
        corners = square(centre, reach)
        times = depth**share
        views.append(View(plane, corners, float(times), f"{_said(times)} times", f"{2 * reach:.3g} across, in input space"))
    return views


def _said(number: float) -> str:
    """A magnification in at most nine signs."""
    if number < 1e6:
        return f"{number:,.3g}" if number < 1000 else f"{number:,.0f}"
    digits, power = f"{number:.1e}".split("e")
    return f"{digits} \u00d7 10{str(int(power)).translate(SUPERSCRIPTS)}"


def _bend(program: Program, plane: Plane, window: FloatArray) -> FloatArray:
    """The end of a boundary segment, well inside the window, with the least boundary to its nearest neighbour."""
    found = partition(program, plane, window=window)
    segments = found.decision_boundary()
    middle, half = bounding_square(window)
    inner = np.abs(segments - middle).max(axis=(1, 2)) < 0.7 * half
    if not inner.any():
        raise DataError("to: expected a decision boundary inside the window to zoom to, got none; name a point.")
    lengths = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1)
    short = segments[inner][np.argsort(lengths[inner])]
    return np.asarray(short[len(short) // 4, 0], dtype=np.float64)  # not the very shortest: that is a rounded one


def _followed(program: Program, plane: Plane, target: FloatArray, half: float, depth: float) -> FloatArray:
    """The same bend, located anew in smaller and smaller windows."""
    reach = half
    while reach > half / depth:
        reach = max(reach / 30.0, half / depth)
        corners = square(target, reach)
        found = partition(program, plane, window=corners)
        ends = found.boundary_at().segments.reshape(-1, 2)
        inner = ends[np.abs(ends + found.centre - target).max(axis=1) < 0.9 * reach]
        if not len(inner):
            break  # what is left of the bend is below rounding
        target = found.centre + inner[np.linalg.norm(inner + found.centre - target, axis=1).argmin()]
    return target


# ---- planes that move --------------------------------------------------------------------------------


def turn(samples: Sequence[Any], *, window: Any = None, frames: int = 120) -> list[View]:
    """Planes through x0, x1 and a point that goes from x2 to x3 in a straight line; place is its share of the way.

    samples: four inputs. window: a half-width, by default the largest that any of the planes would take.
    Raises PlaneError where the third point crosses the line through x0 and x1.
    """
    _enough(frames)
    x0, x1, x2, x3 = (np.asarray(x, dtype=np.float64) for x in _four(samples))
    shares = np.linspace(0.0, 1.0, frames)
    planes = [Plane.through(x0, x1, (1.0 - s) * x2 + s * x3) for s in shares]
    half = max(bounding_square(p.window(None)).half for p in planes) if window is None else float(window)
    return [
        View(p, p.window(half), float(s), f"plane turned {s:.0%}", f"third corner: {s:.0%} of the way to the fourth sample")
        for p, s in zip(planes, shares, strict=True)
    ]


def slide(samples: Sequence[Any], *, window: Any = None, frames: int = 120) -> list[View]:
    """Planes parallel to the one through x0, x1, x2, up to the one that holds x3; place is the distance moved.

    samples: four inputs. window: as `Plane.window` takes it, for the first plane; all have the same.
    Raises DataError when x3 lies on the first plane.
    """
    _enough(frames)
    x3 = np.asarray(_four(samples)[3], dtype=np.float64)
    first = Plane.through(*samples[:3])
    foot = first.embed(first.project(x3[None]))[0]
    way = float(np.linalg.norm(x3 - foot))
    if way <= 1e-9 * max(float(np.linalg.norm(x3)), 1e-300):
        raise DataError("slide: expected a fourth sample off the plane, got one on it; name another.")
    corners, views = first.window(window), []
    for k in range(frames):
        share = k / (frames - 1)
        stars = first.anchors_uv if k == 0 else first.project(x3[None]) if k == frames - 1 else np.empty((0, 2))
        plane = Plane(first.origin + share * (x3 - foot), first.basis, stars)
        note = f"{share:.0%} of the way to the fourth sample"
        views.append(View(plane, corners, share * way, f"plane moved by {share * way:.3g}", note))
    return views


def _four(samples: Sequence[Any]) -> Sequence[Any]:
    if len(samples) != 4:
        raise DataError(f"samples: expected four, the corners of the plane and where it goes, got {len(samples)}.")
    return samples


def _enough(frames: int) -> None:
    if frames < 2:
        raise DataError(f"frames: expected 2 or more, got {frames}.")
