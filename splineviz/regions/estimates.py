r"""Estimates: how many regions a window holds, and what they cost, before they are enumerated.

       \  |   /            Random chords of the window are cut exactly (`crossings`). By Crofton's formula a chord of
    ----x-x--x------- A    direction phi meets knots of direction theta |sin(theta - phi)| times their length a unit
    ----x-x-x-------- B    area, so a crossing stands for the length 1 / |sin|. Each chord A has a twin B beside it:
         \| /             the shift of a unit's crossing tells its knot's direction.

Two knots near each other on a chord cross with a density half the product of their lengths and |sin| of their angle,
as if they lay independently nearby. With V crossings in the window and B on its border, the number of regions is
1 + V + B / 2 (Euler). Parallel bundles, as trained networks have, are counted right; correlations at a finer scale
than NEAR are not seen, so the number is an estimate, with the spread over the chords as its error.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from splineviz.errors import FloatArray, IntArray, PlaneError
from splineviz.geometry.plane import Plane
from splineviz.geometry.polygons import polygon_area
from splineviz.regions.crossings import Knots, cut_lines
from splineviz.regions.engine import TOLERANCE, Engine
from splineviz.tracing.lowering import lower
from splineviz.tracing.precision import at_home
from splineviz.tracing.program import Program
from splineviz.tracing.trace import trace

NEAR = 0.05
"""Crossings of one chord this near, as a share of the window's diameter, are taken for neighbours."""
TWIN = 1e-7
"""Distance of a chord's twin, as a share of the window's diameter."""
IN_FLIGHT_BYTES = 3e8
"""Memory of the blocks on their way and of the compiled kernels; the rest is about 250 bytes a region (see benchmarks)."""
CLOSE = 0.2
"""Logarithm of the ratio of expected and wanted regions at which a window is good enough."""
FIRST_CHORDS, MOST_CHORDS = 2, 64
"""Chords are cut by twos, fours, eights, ..., up to so many."""
SHARE = 0.1
"""The vertices on all lines are at most about this share of those of the enumeration ..."""
FREE_ENTRIES = 2e7
"""... or their values are at most about this many, which take a tenth of a second."""
FAR_MORE = 4.0
"""An estimate so many times larger than asked for stops: it is clear enough."""
STEEPEST = 20.0
"""Largest 1 / |sin| that a crossing may stand for: a chord along a knot would count without bound."""


@dataclass(frozen=True)
class Estimate:
    """regions: expected number; error: its standard error over the chords; seconds: for the enumeration on this machine;

    bytes: peak memory of the enumeration, its result included. more_than: not None where the estimate was stopped, for there
    are clearly more regions than that; the numbers are then rough.
    """

    regions: float
    error: float
    seconds: float
    bytes: float
    more_than: int | None = None


def shrink_to_fit(model: Any, plane: Plane, window: Any, max_regions: int) -> float:
    """The factor by which to shrink a window about its centre so that it should hold at most max_regions."""
    program = trace(model, plane.input_shape)
    corners = plane.window(window)
    centre, factor = corners.mean(axis=0), _without_far_too_many(program, plane, corners, max_regions)
    for _ in range(12):
        expected = estimate(program, plane, centre + factor * (corners - centre), most=max_regions).regions
        if expected <= 0.8 * max_regions:
            break
        # Regions are not spread evenly, so the area alone does not tell: look again at the smaller window.
        factor *= min(0.9, float(np.sqrt(0.7 * max_regions / expected)))
    return factor


def _without_far_too_many(program: Program, plane: Plane, corners: FloatArray, regions: int) -> float:
    """A factor by which to shrink a window about its centre until a few points show no more knots than so many regions have.

    An estimate of a window with far too many regions would cost more than the enumeration of the one looked for.
    """
    centre, factor, rough = corners.mean(axis=0), 1.0, lower(program).program
    for _ in range(40):
        seen = _seen_crossings(rough, plane, centre, factor * (corners - centre))
        if seen <= 2.0 * np.sqrt(regions) or factor <= 1e-9:
            break
        factor *= max(0.02, float(np.sqrt(regions)) / seen)
    return factor


@at_home
def window_for(model: Any, plane: Plane, regions: int, window: Any = None) -> tuple[FloatArray, Estimate]:
    """The window (m, 2), scaled about its centre, that should hold about so many regions, and what it is expected to hold.

    window: where to begin, as for `partition`. Raises PlaneError when no scale does: a network may have fewer regions on
    the whole plane, or all of its knots through one point.
    """
    if regions < 2:
        raise PlaneError(f"regions: expected a number of at least 2, got {regions}.")
    plane = Plane.of(plane)
    program = trace(model, plane.input_shape)
    corners = plane.window(window)
    centre, offsets = corners.mean(axis=0), corners - corners.mean(axis=0)
    low, high, expected = 0.0, np.inf, None
    factor = _without_far_too_many(program, plane, corners, regions)
    for _ in range(40):
        expected = estimate(program, plane, centre + factor * offsets, most=regions)
        share = expected.regions / regions
        if abs(np.log(share)) <= CLOSE:
            return centre + factor * offsets, expected
        low, high = (factor, high) if share < 1 else (low, factor)
        if not 1e-9 < factor < 1e9 or low > 0.999 * high:
            break
        # In proportion to the area, as long as that stays between what is known to be too small and too large.
        guess = factor * float(np.clip(1.0 / np.sqrt(share), 0.02, 50.0))
        factor = guess if low < guess < high else float(np.sqrt(low * high)) if low > 0 else 0.5 * high
    assert expected is not None
    raise PlaneError(
        f"regions: expected a window of about {regions:,} regions, found none: about {expected.regions:,.0f} at "
        f"{factor:.3g} times the window given; ask for another number."
    )


@at_home
def seen(model: Any, plane: Plane, window: Any = None) -> float:
    """A number of regions that a few points of the window show: far fewer than there are, but at the price of 70 vertices.

    window: as for `partition`. Raises TraceError and PlaneError as `partition` does.
    """
    corners = plane.window(window)
    centre, program = corners.mean(axis=0), lower(trace(model, plane.input_shape)).program
    return 1.0 + 0.25 * _seen_crossings(program, plane, centre, corners - centre) ** 2


@at_home
def seen_along(model: Any, plane: Plane, corners: FloatArray) -> float:
    """How many knots the closed polyline through corners (k, 2) crosses, as far as 32 steps a side show them."""
    program = lower(trace(model, plane.input_shape)).program
    sides = np.stack([corners, np.roll(corners, -1, axis=0)], axis=1)
    return sum(_changes_along(program, plane, side, 33) for side in sides)


def _seen_crossings(program: Program, plane: Plane, centre: FloatArray, offsets: FloatArray) -> float:
    """Mean number of knots that random chords cross, as far as 16 steps along each show them: too few, but cheap.

    program: of kinks alone (see `lower`).
    """
    lines = _random_chords(offsets, 4, np.random.default_rng(0)) + centre
    return sum(_changes_along(program, plane, line, 17) for line in lines) / len(lines)


def _changes_along(program: Program, plane: Plane, line: FloatArray, points: int) -> float:
    """How often a unit changes its sign from one to the next of some points along a line (2, 2)."""
    x = torch.from_numpy(plane.embed(line[0] + np.linspace(0.0, 1.0, points)[:, None] * (line[1] - line[0])))
    with torch.no_grad():
        layers, _ = program.preactivations(x.to(program.device))
    signs = (np.sign(z.cpu().numpy()) for z in layers)
    return float(sum((s[1:] * s[:-1] < 0).sum() for s in signs))


@at_home
def estimate(
    model: Any, plane: Plane, window: Any = None, *, chords: int | None = None, seed: int = 0, most: int | None = None
) -> Estimate:
    """Predict regions, seconds and memory of `partition(model, plane, window=window)` without enumerating.

    Args:
        model: as in `partition`.
        plane: as in `partition`.
        window: as in `partition`.
        chords: number of random lines to cut; None: up to 64, as many as cost a tenth of the enumeration.
        seed: of the lines.
        most: stop as soon as there are clearly more regions; the estimate then says `more_than` this.

    Returns:
        The estimate with its standard error.

    Raises:
        TraceError, PlaneError: as in `partition`.
    """
    plane = Plane.of(plane)
    program = trace(model, plane.input_shape)
    corners = plane.window(window)
    local = corners - corners.mean(axis=0)
    diameter = float(np.linalg.norm(local[:, None] - local[None], axis=2).max())
    sides = np.stack([local, np.roll(local, -1, axis=0)], axis=1)
    engine = Engine(program, plane.embed(local + corners.mean(axis=0)), TOLERANCE)
    units = sum(layer.units for layer in engine.program.layers)
    cheap = FREE_ENTRIES / max(units, 1)
    lines = _random_chords(local, MOST_CHORDS if chords is None else chords, np.random.default_rng(seed))
    lengths, pairs = np.linalg.norm(lines[:, 1] - lines[:, 0], axis=1), np.zeros(len(lines))
    area, perimeter = polygon_area(local), float(np.linalg.norm(sides[:, 1] - sides[:, 0], axis=1).sum())

    def cut(some: FloatArray) -> Knots:
        return cut_lines(engine, some, plane.origin, plane.basis, corners.mean(axis=0))

    done = rows = knots = 0
    regions, border, more = 1.0, 0.0, False
    while done < len(lines) and not more:
        size = min(max(done, FIRST_CHORDS), len(lines) - done)
        some = lines[done : done + size]
        found = cut(np.concatenate([some, _twins(some, TWIN * diameter)]))
        for i in range(size):
            pairs[done + i] = _pairs_along(found, i, size + i, diameter)
        done, rows, knots = done + size, rows + found.rows, knots + int((found.line < size).sum())
        border = knots / float(lengths[:done].sum()) * perimeter
        regions = 1.0 + area * float(pairs[:done].sum() / lengths[:done].sum()) + border / 2
        more = most is not None and regions > FAR_MORE * most
        if chords is None and 2 * rows > max(SHARE * regions, cheap):
            break
    lengths, pairs = lengths[:done], pairs[:done]
    if not more and knots / done * len(sides) <= max(SHARE * regions, cheap):  # else as on the chords
        regions += (len(cut(sides).unit) - border) / 2
    spread = area * float(np.std(pairs - lengths * pairs.sum() / lengths.sum()) * np.sqrt(done) / lengths.sum())
    return Estimate(
        regions=regions,
        error=spread,
        seconds=regions * _seconds_a_vertex(program, plane),
        bytes=IN_FLIGHT_BYTES + regions * (250.0 + 16.0 * engine.stages[-1].width),
        more_than=most if more else None,
    )


def _pairs_along(knots: Knots, line: int, twin: int, diameter: float) -> float:
    """Pairs of crossings near each other on a line, a unit of length; see the module."""
    one, other = (slice(*np.searchsorted(knots.line, (i, i + 1))) for i in (line, twin))
    key = knots.unit[:, 0].astype(np.int64) * (1 << 32) + knots.unit[:, 1]
    angle, where = _angles(key[one], knots.position[one], key[other], knots.position[other], TWIN * diameter)
    return _crossing_pairs(angle, where, NEAR * diameter) / (2 * NEAR * diameter)


def _random_chords(corners: FloatArray, count: int, rng: np.random.Generator) -> FloatArray:
    """(count, 2, 2) chords of a convex polygon, uniform among the lines that meet it."""
    radius = float(np.linalg.norm(corners, axis=1).max())
    sides = np.roll(corners, -1, axis=0) - corners
    found: list[FloatArray] = []
    while len(found) < count:
        angle, offset = rng.uniform(0, np.pi), rng.uniform(-radius, radius)
        direction, point = np.array([np.cos(angle), np.sin(angle)]), offset * np.array([-np.sin(angle), np.cos(angle)])
        # Liang-Barsky: the line is inside where it is left of every side.
        slope = sides[:, 0] * direction[1] - sides[:, 1] * direction[0]
        height = sides[:, 0] * (point - corners)[:, 1] - sides[:, 1] * (point - corners)[:, 0]
        with np.errstate(divide="ignore"):
            t = -height / slope
        low = t[slope > 0].max(initial=-np.inf)
        high = t[slope < 0].min(initial=np.inf)
        if high - low > 1e-3 * radius:
            found.append(point + np.array([[low], [high]]) * direction)
    return np.stack(found)


def _twins(lines: FloatArray, distance: float) -> FloatArray:
    along = lines[:, 1] - lines[:, 0]
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.linalg.norm(along, axis=1)[:, None]
    return lines + distance * normal[:, None]


def _angles(
    key: IntArray, position: FloatArray, twin_key: IntArray, twin_position: FloatArray, distance: float
) -> tuple[FloatArray, FloatArray]:
    """Angle to the chord, in (0, pi), and position of the crossings whose unit crosses chord and twin equally often."""
    mine, twin = np.lexsort((position, key)), np.lexsort((twin_position, twin_key))
    units, first, count = np.unique(key[mine], return_index=True, return_counts=True)
    others, other_first, other_count = np.unique(twin_key[twin], return_index=True, return_counts=True)
    both, a, b = np.intersect1d(units, others, return_indices=True)
    same = count[a] == other_count[b]
    angle, where = [], []
    for i, j in zip(a[same], b[same], strict=True):
        here = position[mine[first[i] : first[i] + count[i]]]
        there = twin_position[twin[other_first[j] : other_first[j] + count[i]]]
        angle.append(np.arctan2(distance, there - here))
        where.append(here)
    return np.concatenate([*angle, np.zeros(0)]), np.concatenate([*where, np.zeros(0)])


def _crossing_pairs(angle: FloatArray, where: FloatArray, near: float) -> float:
    """Sum over ordered pairs of near crossings of half the product of their lengths and |sin| of their angle."""
    order = np.argsort(where)
    angle, where = angle[order], where[order]
    weight = np.minimum(1.0 / np.sin(angle), STEEPEST)
    total = 0.0
    stop = np.searchsorted(where, where + near, side="right")
    for i in range(len(where)):
        j = slice(i + 1, stop[i])
        total += float((weight[i] * weight[j] * np.abs(np.sin(angle[i] - angle[j]))).sum())
    return total


def _seconds_a_vertex(program: Program, plane: Plane) -> float:
    """Seconds of the network's own pass over one vertex, which is about what a region costs (see benchmarks)."""
    rows = int(np.clip(FREE_ENTRIES / 16 / max(sum(layer.units for layer in program.layers), 1), 16, 1024)) // 16 * 16
    x = torch.from_numpy(np.broadcast_to(plane.origin, (rows, *plane.input_shape)).copy()).to(program.device)
    best = np.inf
    with torch.no_grad():
        for _ in range(3):
            began = time.perf_counter()
            program(x)
            best = min(best, time.perf_counter() - began)
    return max(best / rows, 3e-6)
