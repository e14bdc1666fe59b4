r"""Estimates: how many regions a window holds and costs, before they are enumerated; windows that hold about so many.

    +-----------------+      The number of regions is 1 + V + B / 2 (Euler): V of the inner vertices, each d / 2 - 1 for
    |   \   |         |      its degree d, and B crossings on the window's border. Every region has a share of the vertices
    | s==\==|==> /    |      at its corners (`measuring.surroundings`), spread over the length of its knots; so V is the
    |     \ |   /     |      length of all knots times the mean of these densities on both sides of points that lie evenly
    +-----------------+      on them.

Length: the network's values at the points of a lattice, one row a point, say how many knots lie between neighbours, in four
directions; what lines cross of knots is 2 / pi of their length (Santalo, Integral Geometry, I.3). What bends back between
two points is not seen. Points: random stretches of random lines are walked from region to region; the network's values and
slopes at one point of a region, three rows, tell all of it. Nothing is assumed of the knots: parallel bundles, stars and
knots at any scale are counted right on average; the error is the spread over the stretches, and that of the lattice's count.

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
from splineviz.errors import FloatArray, IntArray, PlaneError
from splineviz.geometry.plane import Plane
from splineviz.geometry.polygons import polygon_area
from splineviz.geometry.scales import scale_for, shrunk
from splineviz.geometry.stretches import Pieces, Walk, lattice, stretches
from splineviz.regions.crossings import pieces_of, units_between
from splineviz.tracing.kinks import Kinks
from splineviz.tracing.lowering import Layer, lower
from splineviz.tracing.precision import at_home
from splineviz.tracing.program import Program
from splineviz.tracing.trace import trace

IN_FLIGHT_BYTES = 3e8
"""Memory of the blocks on their way and of the compiled kernels; the rest is about 250 bytes a region (see benchmarks)."""
NEARLY = 0.6
"""Logarithm of the ratio of expected and wanted regions up to which a window will do: the number may jump with the scale."""
FAR_MORE = 4.0
"""An estimate so many times larger than asked for stops: it is clear enough."""
STRETCH, LONG_STRETCH = 2, 6
"""Knots that a stretch should cross; the same where that is cheap."""
BROKEN_OFF = 4
"""A stretch that crosses so many times as many, and that many more, is broken off."""
FIRST, MOST = 6, 64
"""Stretches, as many at first and as many at most."""
LATTICE, FINE_LATTICE = 3, 8
"""Lengths of a lattice's mesh along the window; the same where that is cheap."""
ROWS = 3
"""Rows of the network a region: the values and two slopes."""
SHARE = 0.08
"""The rows are at most about this share of the enumeration's ..."""
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
CLOSE_BY = 64.0
"""Knots that come so many steps close to a corner pass through it; and sides of that length are a corner."""


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
    centre = corners.mean(axis=0)
    first = _counted(cells, corners, most=max_regions)
    return shrunk(max_regions, first, lambda factor, last: _glanced(cells, centre + factor * (corners - centre), last))


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

    def counted(factor: float) -> _Count:
        return _counted(cells, centre + factor * offsets, most=regions)

    def glanced(factor: float, last: _Count) -> float:
        return _glanced(cells, centre + factor * offsets, last)

    dear = cells.cheap < 4 * FINE_LATTICE**2
    factor, best, last = scale_for(regions, counted, glanced if dear else None, _least_factor(plane, centre, offsets))
    if best.more or abs(np.log(best.regions / regions)) > NEARLY:
        raise PlaneError(
            f"regions: expected a window of about {regions:,} regions, found none: about {last.regions:,.0f} in the last "
            "one that was tried; ask for another number."
        )
    return centre + factor * offsets, _estimate(cells, best, None)


def _least_factor(plane: Plane, centre: FloatArray, offsets: FloatArray) -> float:
    """Windows that are scaled by less than this are too small beside the inputs for double precision."""
    return 2.0**-36 * max(float(np.abs(plane.embed(centre[None])).max()), 1e-300) / float(np.abs(offsets).max())


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
    """regions and their standard error; walk, and how dense vertices are where knots are one dense; more: whether it was
    stopped because there are clearly more than asked for.
    """

    regions: float
    error: float
    walk: Walk
    dense: float
    more: bool = False


def _counted(
    cells: _Cells, corners: FloatArray, *, chords: int | None = None, seed: int = 0, most: int | None = None
) -> _Count:
    """About how many regions a window (m, 2) holds."""
    rng, window, cheap = np.random.default_rng(seed), _Window(cells, corners), cells.cheap
    window.look(FINE_LATTICE if cheap > 4 * FINE_LATTICE**2 else LATTICE)
    stretch = LONG_STRETCH if cheap > ROWS * MOST * LONG_STRETCH else STRETCH
    walk, regions = Walk(len(cells.layers)), 1.0
    while (done := len(walk.density)) < (chords or MOST):
        count = min(chords or FIRST, FIRST) if not done else (chords or MOST) - done
        if chords is None and done:
            afford = max(SHARE * cells.rows_for(regions), cheap) - window.rows
            if window.mesh == LATTICE and afford > 4 * FINE_LATTICE**2:
                window.look(FINE_LATTICE)
                afford -= FINE_LATTICE**2
            count = min(count, int(afford / (ROWS * (1.0 + walk.crossed.mean()))))
            if count <= 0:
                break
        length = stretch / walk.knots_of(window.crossings) if window.crossings.any() else np.inf
        walk.follow(stretches(window.corners, length, count, rng), window.cells_at, window.step, BROKEN_OFF * (stretch + 1))
        crossings = walk.knots_of(window.crossings) or float(walk.crossed.sum()) / walk.way
        (mean, error), border = walk.mean(), walk.knots_of(window.border)
        knots = 0.5 * np.pi * window.area * crossings
        regions, dense = 1.0 + knots * mean + 0.5 * border, mean / max(crossings, 1e-300)
        if most is not None and regions > FAR_MORE * most:
            return _Count(regions, regions, walk, dense, True)
    if border <= BORDER and window.rows + 2.0 * ROWS * border <= cheap:
        counted = _border(window)
        regions += 0.0 if counted is None else 0.5 * (counted - border)
    lost = (regions - 1.0) / np.sqrt(window.seen + walk.crossed.sum() + 1.0)
    return _Count(regions, float(np.hypot(knots * error, lost)), walk, dense)


def _glanced(cells: _Cells, corners: FloatArray, last: _Count) -> float:
    """About how many regions a window holds, if its vertices are to its knots as where they were counted last."""
    window = _Window(cells, corners)
    window.look(LATTICE)
    crossings = last.walk.knots_of(window.crossings)
    return 1.0 + 0.5 * np.pi * window.area * crossings**2 * last.dense + 0.5 * last.walk.knots_of(window.border)


def _estimate(cells: _Cells, count: _Count, most: int | None) -> Estimate:
    a_row = cells.seconds / cells.asked
    if TIMED_ROWS * cells.work <= FREE_WORK:  # in large batches such a network is much quicker
        a_row = _seconds_a_row(cells.program, cells.plane)
    rows = cells.rows_for(count.regions)
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
        self.cheap = FREE_WORK / max(self.work, 1.0)

    @torch.no_grad()
    def start(self, centre: FloatArray) -> tuple[Tensors, Tensors]:
        """The tensors that the first layer of knots reads, or that live beside it: at a centre (2,), and two slopes."""
        stop = self.layers[0][0].step if self.layers else 0
        x = torch.from_numpy(self.plane.embed(centre[None])).to(self.program.device)
        basis = torch.from_numpy(self.plane.basis.copy()).to(self.program.device)
        return self.program.run({0: x}, 0, stop), self.program.run({0: basis}, 0, stop, homogeneous=True)

    def rows_for(self, regions: float) -> float:
        """What the enumeration of so many regions costs, in rows of the network."""
        return SETTING_UP + regions * (OF_MAXIMA if any(layer.is_max for layer, _ in self.layers) else OF_UNITS)

    def between(self, uv: FloatArray, pairs: IntArray) -> FloatArray:
        """How many units (layers, k) are on other pieces at one than at the other of points uv (n, 2), for pairs (k, 2)."""
        began = time.perf_counter()
        found = units_between(self.program, self.layers, torch.from_numpy(self.plane.embed(uv)), pairs)
        self.seconds, self.asked = self.seconds + time.perf_counter() - began, self.asked + len(uv)
        return found

    def around(
        self, start: tuple[Tensors, Tensors], uv: FloatArray, rings: FloatArray, marks: Any, sizes: Any, near: float
    ) -> Pieces:
        """Cut rings (n, C, 2), relative to points uv (n, 2) from the centre, down to the regions that the points lie in.

        start: what `start` says of the centre. near: knots that come so close to a corner pass through it. Returns the
        pieces that the units are on, by layer.
        """
        began, pieces = time.perf_counter(), []
        for first in range(0, len(uv), self.rows):
            some = slice(first, first + self.rows)
            pieces.append(self._around(*start, uv[some], rings[some], marks[some], sizes[some], near))
        self.seconds, self.asked = self.seconds + time.perf_counter() - began, self.asked + ROWS * len(uv)
        return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]

    @torch.no_grad()
    def _around(
        self, live: Tensors, slopes: Tensors, uv: FloatArray, rings: FloatArray, marks: Any, sizes: Any, near: float
    ) -> Pieces:
        program, n, at, pieces = self.program, len(uv), self.layers[0][0].step if self.layers else 0, Pieces()
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
                here = np.ascontiguousarray(here)
                surroundings.cut_by_maxima(rings, marks, sizes, here, there, layer.groups, winners, near)
                slope = torch.gather(slope, 2, torch.from_numpy(winners).to(z.device).expand(2, n, -1))
                pieces.append(winners)
            else:
                for bend in kinks.breakpoints:
                    surroundings.cut_by_units(rings, marks, sizes, here - bend, there, near)
                pieces.append(pieces_of(z, kinks))
                slope = slope * z.new_tensor(kinks.slopes)[torch.from_numpy(pieces[-1]).to(z.device).long()]
            slopes[step.output] = slope.reshape(2 * n, *live[step.output].shape[1:])
            slopes = {register: slopes[register] for register in live}
            at = layer.step + 1
        return pieces


class _Window:
    """A window's cells, counted as they are asked for; corners (m, 2): relative to the centre.

    By layer, of units: crossings: of lines with knots, in a length of 1; border: of the border. seen: how many in all; mesh:
    of the lattice that was looked at.
    """

    def __init__(self, cells: _Cells, corners: FloatArray):
        self.cells, self.centre = cells, corners.mean(axis=0)
        self.corners = corners - self.centre
        sides = np.roll(self.corners, -1, axis=0) - self.corners
        self.area, self.perimeter = polygon_area(self.corners), float(np.linalg.norm(sides, axis=1).sum())
        self.diameter = float(np.linalg.norm(self.corners[:, None] - self.corners[None], axis=2).max())
        largest = float(np.abs(cells.plane.embed(corners)).max())
        self.step = max(STEP * self.diameter, ROUNDING * largest)
        self._start = cells.start(self.centre)
        self.rows, self.seen, self.mesh = ROWS, 0.0, 0
        self.crossings = self.border = np.zeros(len(cells.layers))

    def look(self, mesh: int) -> None:
        """Count knots between neighbours of a lattice, `mesh` meshes along the longest side: of all directions alike."""
        points, pairs, shares = lattice(self.corners, mesh)
        counts = self.cells.between(points + self.centre, pairs)
        lengths = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
        self.crossings, self.border = counts @ (shares / lengths), counts[:, shares == 0.0].sum(axis=1)
        self.seen, self.mesh = float(counts.sum()), mesh
        self.rows += len(points)

    def cells_at(self, points: FloatArray, directions: FloatArray) -> tuple[FloatArray, Pieces]:
        """(n, 3) of the regions that points (n, 2) lie in: length of knots, share of the vertices, and the way out; and the
        pieces that the units are on there.
        """
        n, m = len(points), len(self.corners)
        rings, marks = np.empty((n, m + CORNERS, 2)), np.zeros((n, m + CORNERS), np.int8)
        rings[:, :m] = self.corners - points[:, None]
        sizes, found, near = np.full(n, m), np.empty((n, 3)), CLOSE_BY * self.step
        pieces = self.cells.around(self._start, points, rings, marks, sizes, near)
        surroundings.measures(rings, marks, sizes, directions, found, near)
        self.rows += ROWS * n
        return found, pieces


def _border(window: _Window) -> float | None:
    """How many knots cross the window's border; None if they are too many to count."""
    count, some = 0, np.stack([window.corners, np.roll(window.corners, -1, axis=0)], axis=1)
    along = some[:, 1] - some[:, 0]
    ends = np.linalg.norm(along, axis=1)
    along, way, walking = along / ends[:, None], np.zeros(len(some)), np.arange(len(some))
    inward = 0.5 * window.step * np.stack([-along[:, 1], along[:, 0]], axis=1)
    for _ in range(2 * BORDER):
        at = some[walking, 0] + way[walking, None] * along[walking] + inward[walking]
        way[walking] += window.cells_at(at, along[walking])[0][:, 2] + window.step
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
