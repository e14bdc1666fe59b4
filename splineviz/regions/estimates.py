r"""Estimates: how many regions a window holds and costs, before they are enumerated; windows that hold about so many.

    +-----------------+      Random stretches of random lines are walked from region to region: the network's values and
    |   \   |         |      slopes at one point of a region tell all of it (`measuring.surroundings`). A stretch of length l
    | s==\==|==> /    |      meets a convex region of area A and perimeter P with a chance in proportion to
    |     \ |   /     |      2 pi A + 2 l P (Santalo, Integral Geometry, I.7), so every region met stands for
    +-----------------+      (2 pi A + 2 l P of the window) / (2 pi A + 2 l P) regions.

The corners of a region turn once round, and (1/2 pi) sum of the turns at its inner corners, summed over the regions, is what
the inner vertices add: a vertex of degree d adds d / 2 - 1, a star of many knots as much as it has. With V of these and B
crossings on the window's border, the number of regions is 1 + V + B / 2 (Euler). Nothing is assumed of the knots: parallel
bundles, stars and knots at any scale are counted right on average; the error is the spread over the stretches.

A region costs three rows of the network, however many there are, so a window of 10^7 costs no more than one of 10^3.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splineviz._kernels.measuring import surroundings
from splineviz.errors import FloatArray, PlaneError
from splineviz.geometry.plane import Plane
from splineviz.geometry.polygons import polygon_area
from splineviz.geometry.stretches import points_inside, stretches
from splineviz.tracing.kinks import Kinks
from splineviz.tracing.lowering import Layer, lower
from splineviz.tracing.precision import at_home
from splineviz.tracing.program import Program
from splineviz.tracing.trace import trace

IN_FLIGHT_BYTES = 3e8
"""Memory of the blocks on their way and of the compiled kernels; the rest is about 250 bytes a region (see benchmarks)."""
CLOSE = 0.2
"""Logarithm of the ratio of expected and wanted regions at which a window is good enough."""
NEARLY = 0.6
"""The same where no scale is that close: the number may jump where a star of knots comes in."""
FAR_MORE = 4.0
"""An estimate so many times larger than asked for stops: it is clear enough."""
STRETCH, LONG_STRETCH = 4, 8
"""Regions that a stretch should meet; the same where that is cheap."""
BROKEN_OFF = 3
"""A stretch that meets so many times as many is broken off."""
FIRST, MOST = 5, 64
"""Stretches, as many at first and as many at most."""
POINTS = 4
"""Regions that are looked at first, to know how long a stretch is that meets so many."""
ROWS = 3
"""Rows of the network a region: the values and two slopes."""
SHARE = 0.08
"""The rows are at most about this share of the regions ..."""
FREE_WORK = 2e8
"""... or take about this many multiplications in all, which are done in a twentieth of a second."""
BORDER = 128
"""With about so many crossings or fewer on the border they are counted where that is cheap, not estimated."""
TIMED_ROWS = 3 * 256
"""A network that can run so many rows for nothing is timed by them."""
SETTING_UP, OF_UNITS, OF_MAXIMA = 132, 1.2, 5.0
"""An enumeration costs about so many rows before it begins, and a region; with maxima many knots come and go again."""
STEP = 1e-9
"""How far beyond a knot the next region is looked for, as a share of the window's diameter; thinner ones are passed over."""
ROUNDING = 2.0**-42
"""The same, as a share of the largest entry of an input there."""
ROW_BYTES = 64 << 20
"""Rows are evaluated so many at a time that the widest tensors take about so many bytes."""
CORNERS = 64
"""A region may have so many more corners than the window."""


@dataclass(frozen=True)
class Estimate:
    """regions: expected number; error: its standard error; seconds: for the enumeration on this machine;

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
    cells, corners = _Cells(trace(model, plane.input_shape, borrow=True), plane), plane.window(window)
    centre, factor = corners.mean(axis=0), 1.0
    for _ in range(6):  # each costs up to a tenth of the enumeration that was broken off
        expected = _counted(cells, centre + factor * (corners - centre), most=max_regions).regions
        if expected <= 0.8 * max_regions:
            break
        # Regions are not spread evenly, so the area alone does not tell: look again at the smaller window.
        factor *= float(np.clip(np.sqrt(0.7 * max_regions / expected), 0.02, 0.9))
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
    corners = plane.window(window)
    cells, centre = _Cells(trace(model, plane.input_shape, borrow=True), plane), corners.mean(axis=0)
    offsets = corners - centre
    low, high, factor = 0.0, np.inf, 1.0
    best: tuple[float, float, _Count] | None = None
    for turn in range(24):
        found = _counted(cells, centre + factor * offsets, most=regions)
        share = found.regions / regions
        away = abs(float(np.log(share)))
        if not found.more and (best is None or away < best[0]):
            best = away, factor, found
        if away <= CLOSE and not found.more:
            break
        low, high = (factor, high) if share < 1 else (low, factor)
        if not _least_factor(plane, centre, offsets) < factor < 1e9 or low > 0.97 * high:
            break
        # In proportion to the area, as long as that stays between what is known to be too small and too large.
        guess = factor * float(np.clip(1.0 / np.sqrt(share), 0.001, 50.0))
        if high == np.inf and turn:  # about a star of knots the number stays what it is, over many scales
            guess *= 4.0 ** min(turn, 5)
        factor = guess if low < guess < high else float(np.sqrt(low * high)) if low > 0 else 0.2 * high
    if best is None or best[0] > NEARLY:
        raise PlaneError(
            f"regions: expected a window of about {regions:,} regions, found none: about {found.regions:,.0f} at "
            f"{factor:.3g} times the window given; ask for another number."
        )
    return centre + best[1] * offsets, _estimate(cells, best[2], None)


def _least_factor(plane: Plane, centre: FloatArray, offsets: FloatArray) -> float:
    """Windows that are scaled by less than this are too small beside the inputs for double precision."""
    return 2.0**-36 * max(float(np.abs(plane.embed(centre[None])).max()), 1e-300) / float(np.abs(offsets).max())


@at_home
def seen(model: Any, plane: Plane, window: Any = None) -> float:
    """A number of regions that a few points of the window show: far fewer than there are, but at the price of 70 vertices.

    window: as for `partition`. Raises TraceError and PlaneError as `partition` does.
    """
    corners = plane.window(window)
    program = lower(trace(model, plane.input_shape, borrow=True)).program
    lines = stretches(corners - corners.mean(axis=0), np.inf, 4, np.random.default_rng(0)) + corners.mean(axis=0)
    crossed = sum(_changes_along(program, plane, line, 17) for line in lines) / len(lines)
    return 1.0 + 0.25 * crossed**2


@at_home
def seen_along(model: Any, plane: Plane, corners: FloatArray) -> float:
    """How many knots the closed polyline through corners (k, 2) crosses, as far as 32 steps a side show them."""
    program = lower(trace(model, plane.input_shape, borrow=True)).program
    sides = np.stack([corners, np.roll(corners, -1, axis=0)], axis=1)
    return sum(_changes_along(program, plane, side, 33) for side in sides)


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
        chords: number of random stretches of lines to walk; None: up to 64, as many as cost a tenth of the enumeration.
        seed: of the lines.
        most: stop as soon as there are clearly more regions; the estimate then says `more_than` this.

    Returns:
        The estimate with its standard error.

    Raises:
        TraceError, PlaneError: as in `partition`.
    """
    plane = Plane.of(plane)
    cells = _Cells(trace(model, plane.input_shape, borrow=True), plane)
    return _estimate(cells, _counted(cells, plane.window(window), chords=chords, seed=seed, most=most), most)


@dataclass(frozen=True)
class _Count:
    """regions and their standard error; more: whether it was stopped because there are clearly more than asked for."""

    regions: float
    error: float
    more: bool = False


def _counted(
    cells: _Cells, corners: FloatArray, *, chords: int | None = None, seed: int = 0, most: int | None = None
) -> _Count:
    """About how many regions a window (m, 2) holds."""
    rng, window = np.random.default_rng(seed), _Window(cells, corners)
    cheap = FREE_WORK / max(cells.work, 1)
    points = points_inside(window.corners, POINTS, rng)
    area, perimeter, *_ = window.cells_at(points, np.ones_like(points)).T
    # Of regions that random points lie in, large ones are met more often, so their mean says too few.
    few = window.area / float(area.mean())
    if most is not None and few > 2.0 * FAR_MORE * most:
        return _Count(few, few, True)
    stretch = LONG_STRETCH if cheap > ROWS * MOST * LONG_STRETCH else STRETCH
    length = float(stretch * np.pi / (perimeter / area).mean())
    inner = np.zeros(0)
    crossed = walked = regions = border = 0.0
    while (done := len(inner)) < (chords or MOST):
        count = FIRST if not done else (chords or MOST) - done
        if chords is None and done:
            afford = max(SHARE * regions, cheap) / ROWS - window.asked
            count = min(count, int(afford / max(crossed / done, 1.0)))
            if count <= 0:
                break
        some = stretches(window.corners, length, count, rng)
        weight, crossings, distance = _walked(window, some, length, BROKEN_OFF * stretch)
        crossed, walked, inner = crossed + crossings, walked + distance, np.append(inner, weight)
        border = window.perimeter * crossed / walked
        regions = 1.0 + float(inner.mean()) + 0.5 * border
        if most is not None and regions > FAR_MORE * most:
            return _Count(regions, regions, True)
    if border <= BORDER and ROWS * (window.asked + 2.0 * border) <= cheap:
        counted = _border(window)
        regions += 0.0 if counted is None else 0.5 * (counted - border)
    return _Count(regions, float(inner.std() / np.sqrt(len(inner))))


def _estimate(cells: _Cells, count: _Count, most: int | None) -> Estimate:
    a_row = cells.seconds / cells.asked
    if TIMED_ROWS * cells.work <= FREE_WORK:  # in large batches such a network is much quicker
        a_row = _seconds_a_row(cells.program, cells.plane)
    rows = SETTING_UP + count.regions * (OF_MAXIMA if any(layer.is_max for layer, _ in cells.layers) else OF_UNITS)
    held = IN_FLIGHT_BYTES + count.regions * (250.0 + 16.0 * cells.outputs)
    return Estimate(count.regions, count.error, 0.01 + rows * a_row, held, most if count.more else None)


Tensors = dict[int, Tensor]
"""Tensors by the register that they are in."""


class _Cells:
    """The regions round points of a slice, from the network's values and slopes there."""

    def __init__(self, program: Program, plane: Plane):
        self.program, self.plane = program, plane
        kinks = {kink.step: kink.kinks for kink in program.layers}
        self.layers: list[tuple[Layer, Kinks | None]] = [(one, kinks.get(one.step)) for one in lower(program).layers]
        shapes = {register: int(np.prod(shape)) for register, shape in program.shapes().items()}
        self.outputs = shapes[program.output]
        self.rows = max(1, ROW_BYTES // (8 * (1 + ROWS) * max(shapes.values())))
        self.work, self.seconds, self.asked = 0.0, 0.0, 0
        for step in program.steps:
            weights = [w for w in program.params_of(step).values() if w.dim() > 1]
            self.work += shapes.get(step.output, 0) * (1.0 + sum(w.numel() / max(len(w), 1) for w in weights))

    @torch.no_grad()
    def start(self, centre: FloatArray) -> tuple[Tensors, Tensors]:
        """The tensors that the first layer of knots reads, or that live beside it: at a centre (2,), and two slopes."""
        stop = self.layers[0][0].step if self.layers else 0
        x = torch.from_numpy(self.plane.embed(centre[None])).to(self.program.device)
        basis = torch.from_numpy(self.plane.basis.copy()).to(self.program.device)
        return self.program.run({0: x}, 0, stop), self.program.run({0: basis}, 0, stop, homogeneous=True)

    def around(self, start: tuple[Tensors, Tensors], uv: FloatArray, rings: FloatArray, knots: Any, sizes: Any) -> None:
        """Cut rings (n, C, 2), relative to points uv (n, 2) from the centre, down to the regions that the points lie in.

        start: what `start` says of the centre.
        """
        began = time.perf_counter()
        for first in range(0, len(uv), self.rows):
            some = slice(first, first + self.rows)
            self._around(*start, uv[some], rings[some], knots[some], sizes[some])
        self.seconds += time.perf_counter() - began
        self.asked += ROWS * len(uv)

    @torch.no_grad()
    def _around(self, live: Tensors, slopes: Tensors, uv: FloatArray, rings: FloatArray, knots: Any, sizes: Any) -> None:
        program, n, at = self.program, len(uv), self.layers[0][0].step if self.layers else 0
        offsets = torch.from_numpy(uv).to(program.device)
        live = {r: value + torch.tensordot(offsets, slopes[r], dims=1) for r, value in live.items()}
        slopes = {r: slope.repeat_interleave(n, dim=0) for r, slope in slopes.items()}
        for layer, kinks in self.layers:
            step = program.steps[layer.step]
            live = program.run(live, at, layer.step)
            slopes = program.run(slopes, at, layer.step, homogeneous=True)
            z, slope = live[step.inputs[0]].reshape(n, -1), slopes[step.inputs[0]].reshape(2, n, -1)
            here, there = z.cpu().numpy(), np.ascontiguousarray(slope.cpu().numpy())
            live = program.run(live, layer.step, layer.step + 1)
            if kinks is None:
                assert layer.groups is not None
                winners = np.empty((n, layer.units), np.int64)
                surroundings.cut_by_maxima(rings, knots, sizes, np.ascontiguousarray(here), there, layer.groups, winners)
                slope = torch.gather(slope, 2, torch.from_numpy(winners).to(z.device).expand(2, n, -1))
            else:
                for bend in kinks.breakpoints:
                    surroundings.cut_by_units(rings, knots, sizes, here - bend, there)
                piece = torch.bucketize(z, z.new_tensor(kinks.breakpoints))
                slope = slope * z.new_tensor(kinks.slopes)[piece]
            slopes[step.output] = slope.reshape(2 * n, *live[step.output].shape[1:])
            slopes = {register: slopes[register] for register in live}
            at = layer.step + 1


class _Window:
    """A window's cells, counted as they are asked for; corners (m, 2): relative to the centre."""

    def __init__(self, cells: _Cells, corners: FloatArray):
        self.cells, self.centre = cells, corners.mean(axis=0)
        self.corners = corners - self.centre
        sides = np.roll(self.corners, -1, axis=0) - self.corners
        self.area, self.perimeter = polygon_area(self.corners), float(np.linalg.norm(sides, axis=1).sum())
        self.diameter = float(np.linalg.norm(self.corners[:, None] - self.corners[None], axis=2).max())
        largest = float(np.abs(cells.plane.embed(corners)).max())
        self.step = max(STEP * self.diameter, ROUNDING * largest)
        self._start = cells.start(self.centre)
        self.asked = 1

    def cells_at(self, points: FloatArray, directions: FloatArray) -> FloatArray:
        """(n, 4) of the regions that points (n, 2) lie in: area, perimeter, turn of the inner corners, and the way out."""
        n, m = len(points), len(self.corners)
        rings, knots = np.empty((n, m + CORNERS, 2)), np.zeros((n, m + CORNERS), bool)
        rings[:, :m] = self.corners - points[:, None]
        sizes, found = np.full(n, m), np.empty((n, 4))
        self.cells.around(self._start, points, rings, knots, sizes)
        surroundings.measures(rings, knots, sizes, directions, found)
        self.asked += n
        return found


def _walked(window: _Window, some: FloatArray, length: float, most: int) -> tuple[FloatArray, float, float]:
    """What the vertices inside add to the number of regions, by some stretches (n, 2, 2); knots crossed, and the whole way.

    length: of the stretches before they were clipped; most: regions at which one is broken off.
    """
    n, along = len(some), some[:, 1] - some[:, 0]
    ends = np.linalg.norm(along, axis=1)
    along /= ends[:, None]
    inner, way, crossed = np.zeros(n), np.zeros(n), 0
    walking, whole = np.arange(n), np.pi * window.area + length * window.perimeter
    for _ in range(most):
        at = some[walking, 0] + way[walking, None] * along[walking]
        area, perimeter, turn, reach = window.cells_at(at, along[walking]).T
        inner[walking] += turn * whole / (np.pi * area + length * perimeter)
        way[walking] += reach + window.step
        walking = walking[way[walking] < ends[walking]]
        crossed += len(walking)
        if not len(walking):
            break
    inner[walking] *= ends[walking] / way[walking]
    return inner, float(crossed), float(np.minimum(way, ends).sum())


def _border(window: _Window) -> float | None:
    """How many knots cross the window's border; None if they are too many to count."""
    count, some = 0, np.stack([window.corners, np.roll(window.corners, -1, axis=0)], axis=1)
    along = some[:, 1] - some[:, 0]
    ends = np.linalg.norm(along, axis=1)
    along, way, walking = along / ends[:, None], np.zeros(len(some)), np.arange(len(some))
    inward = 0.5 * window.step * np.stack([-along[:, 1], along[:, 0]], axis=1)
    for _ in range(2 * BORDER):
        at = some[walking, 0] + way[walking, None] * along[walking] + inward[walking]
        way[walking] += window.cells_at(at, along[walking])[:, 3] + window.step
        walking = walking[way[walking] < ends[walking]]
        count += len(walking)
        if not len(walking):
            return float(count)
    return None


def _seconds_a_row(program: Program, plane: Plane) -> float:
    """Seconds of the network's own pass over one vertex."""
    rows = TIMED_ROWS // 3
    x = torch.from_numpy(np.broadcast_to(plane.origin, (rows, *plane.input_shape)).copy()).to(program.device)
    best = np.inf
    with torch.no_grad():
        for _ in range(3):
            began = time.perf_counter()
            program(x)
            best = min(best, time.perf_counter() - began)
    return max(best / rows, 3e-6)
