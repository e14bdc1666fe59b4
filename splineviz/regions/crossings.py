"""Crossings: the exact breakpoints of a network along a segment or polyline of inputs.
Also all knots on lines of a slice, how far a network folds the way between inputs, and how many knots a few points show.

    x0 --|----||-----|-- x1 -----|-- x2       | the points where a unit changes its piece

The same engine as for a plane, on an edge without faces. Positions are lengths along the polyline, in input space.
Units that cannot be told apart at the tolerance share one crossing, named by the first of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from splineviz.errors import DataError, FloatArray, IntArray, to_float_array
from splineviz.geometry.plane import Plane
from splineviz.geometry.stretches import stretches
from splineviz.regions.blocks import Block
from splineviz.regions.decisions import Decisions
from splineviz.regions.engine import ENTRIES, TOLERANCE, Engine
from splineviz.tracing.lowering import Layer, lower
from splineviz.tracing.precision import at_home
from splineviz.tracing.program import Program
from splineviz.tracing.trace import trace

LINE_BYTES = 64 << 20
"""About how many bytes the values of lines may take while they are cut."""
FEWEST_VERTICES = 16
"""Pieces of lines with no more vertices than this are not taken apart."""

SAME, ROUNDED = 2.0**-40, 2.0**-46
"""Vertices of a line are at one place up to these shares of its length and of the size of what is on it."""


@dataclass(frozen=True, eq=False)
class Crossings:
    """Breakpoints in the order of the polyline.

    position: (K,) length along it; segment: (K,) the piece each lies on; unit: (K, 2) kink layer and unit;
    outputs: (K, C) at the breakpoints; length: of the whole polyline, in input space.
    """

    position: FloatArray
    segment: IntArray
    unit: IntArray
    outputs: FloatArray
    length: float

    @property
    def num_regions(self) -> int:
        """Number of activation regions that the polyline visits, a region counted at each visit."""
        return len(np.unique(self.position)) + 1


@at_home
def crossings(model: Any, *points: Any, tolerance: float = TOLERANCE) -> Crossings:
    """All breakpoints of a network along the polyline through inputs x0, x1, ... of shape (*input_shape).

    model: a torch module or a Program, as for `partition`. Breakpoints at a corner of the polyline count with no piece.
    Raises DataError for fewer than two points, different shapes or coinciding neighbours; TraceError for the network.
    """
    if not callable(model) or any(callable(x) for x in points):
        raise DataError("crossings: expected the network first and the points second, such as crossings(model, x0, x1).")
    if len(points) < 2:
        raise DataError(f"crossings: expected at least two points, got {len(points)}; pass crossings(model, x0, x1).")
    inputs = [to_float_array(x, f"point {i}") for i, x in enumerate(points)]
    if len({x.shape for x in inputs}) != 1:
        raise DataError(f"crossings: expected points of one shape, got {[x.shape for x in inputs]}.")
    program = trace(model, inputs[0].shape)
    found, begin = [], 0.0
    for i in range(len(inputs) - 1):
        length = float(np.linalg.norm(inputs[i + 1] - inputs[i]))
        if length == 0.0:
            raise DataError(f"crossings: expected distinct neighbours, got points {i} and {i + 1} that coincide.")
        t, unit, outputs = _along(program, inputs[i], inputs[i + 1], length, tolerance)
        found.append((begin + t, np.full(len(t), i, np.int32), unit, outputs))
        begin += length
    position, segment, unit, outputs = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Crossings(position, segment, unit, outputs, begin)


@torch.no_grad()
def folding(program: Program, found: Crossings, *points: Any) -> int:
    """How many of a polyline's crossings go beyond what its corners differ by: how far the network folds the way between.

    Where space is not folded a straight way crosses a unit's knot once if the unit is on other pieces at its ends, else not
    at all (the patterns' Hamming distance); each crossing more is there because what enters the unit turns back. Maxima are
    left out of both. found: the crossings along these inputs of shape (*input_shape); units whose knots coincide share one.
    """
    kinks = [index for index, layer in enumerate(lower(program).layers) if layer.groups is None]
    x = torch.as_tensor(np.stack([np.asarray(point, dtype=np.float64) for point in points])).to(program.dtype)
    live, at, apart = {0: x}, 0, 0
    for layer in program.layers:
        live, at = program.run(live, at, layer.step), layer.step
        z = live[program.steps[layer.step].inputs[0]].flatten(1)
        pieces = sum((z > bend).long() for bend in layer.kinks.breakpoints)
        apart += int((pieces[1:] - pieces[:-1]).abs().sum())  # type: ignore[index]  # a kink has a breakpoint
    return int(np.isin(found.unit[:, 0], kinks).sum()) - apart


def _along(
    program: Program, start: FloatArray, stop: FloatArray, length: float, tolerance: float
) -> tuple[FloatArray, IntArray, FloatArray]:
    """Positions from start, units and outputs of the crossings of one segment, in order."""
    middle, direction = start + 0.5 * (stop - start), (stop - start)[None] / length
    spread = np.linspace(-0.5 * length, 0.5 * length, 64)
    samples = middle + spread.reshape(-1, *[1] * start.ndim) * direction
    summed = np.abs(middle) + 0.5 * length * np.abs(direction[0])
    engine = Engine(program, samples, tolerance, summed=summed)
    ends = np.array([[[-0.5 * length, 0.0], [0.5 * length, 0.0]]])
    found = cut_lines(engine, ends, middle, direction, np.zeros(1))
    return found.position, found.unit, found.outputs


@dataclass(frozen=True, eq=False)
class Knots:
    """Where lines (n, 2, 2) of a slice cross knots, line by line and in order along each.

    line: (K,) which line; position: (K,) length from its start; unit: (K, 2) kink layer and unit; outputs: (K, C).
    rows: vertices that the network was evaluated at, the measure of what it cost.
    """

    line: IntArray
    position: FloatArray
    unit: IntArray
    outputs: FloatArray
    rows: int


def cut_lines(engine: Engine, ends: FloatArray, origin: FloatArray, directions: FloatArray, centre: FloatArray) -> Knots:
    """All knots on lines (n, 2, 2), whose uv are relative to `centre` on the slice (see `stages.on_slice`).

    Depth-first, in pieces whose values take about LINE_BYTES, however many knots a line crosses.
    """
    block = Block.of_segments(ends)
    engine.place(block, origin, directions, centre)
    decisive = engine.decisions.open
    stack = [_Pieces(block, np.repeat(np.arange(len(ends)), 2), np.full(2 * len(ends), -1, np.int64))]
    done: list[_Pieces] = []
    while stack:
        some = stack.pop()
        if some.block.layer == engine.layers:
            done.append(some.starts())
            continue
        cut = engine.cut(some.block)
        parts = -(-len(cut.uv) * engine.row_bytes(some.block.layer) // LINE_BYTES)
        if parts > 1 and len(cut.uv) > FEWEST_VERTICES:
            stack += some.split(parts, engine.decisions)
            continue
        line = np.concatenate([some.line, some.line[cut.parents.a]])
        unit = np.concatenate([some.unit, engine.unit_offsets[some.block.layer] + cut.parents.maker])
        stack.append(_Pieces(engine.advance(some.block, cut), line, unit))
        if decisive and not engine.decisions.open:  # what was cut with them need not fit what is cut without
            return cut_lines(engine, ends, origin, directions, centre)
    uv, values = (np.concatenate([getattr(one.block, name) for one in done]) for name in ("uv", "values"))
    line, unit = (np.concatenate([getattr(one, name) for one in done]) for name in ("line", "unit"))
    along = ends[:, 1] - ends[:, 0]
    along /= np.linalg.norm(along, axis=1)[:, None]
    position = np.einsum("ij,ij->i", uv - ends[line, 0], along[line])
    order = np.lexsort((position, line))
    same = SAME * np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1) + ROUNDED * np.linalg.norm(origin)
    own = _own_units(engine, unit[order], _Neighbours(uv[order], line[order], ends, same))
    kept = own[:, 0] >= 0
    order = order[kept]
    return Knots(line[order].astype(np.int32), position[order], own[kept], values[order], len(uv) + len(ends))


@dataclass(eq=False)
class _Pieces:
    """A block of pieces of lines: line (V,) that each vertex lies on, unit (V,) that made it, -1 for ends of pieces."""

    block: Block
    line: IntArray
    unit: npt.NDArray[np.int64]

    def _take(self, edges: npt.NDArray[np.intp]) -> _Pieces:
        """Some of the pieces."""
        block = self.block
        vertices, ends = np.unique(block.edges[edges], return_inverse=True)
        part = replace(
            block,
            uv=block.uv[vertices],
            edges=ends.reshape(-1, 2).astype(np.int32),
            tag=block.tag[edges],
            key=block.key[edges],
            values=block.values[vertices],
            row_scale=block.row_scale[vertices],
            live={register: tensor[vertices] for register, tensor in block.live.items()},
            birth=block.birth[vertices],
            blur=block.blur[vertices],
            off=block.off[edges],
        )
        return _Pieces(part, self.line[vertices], self.unit[vertices])

    def split(self, parts: int, decisions: Decisions) -> list[_Pieces]:
        """In so many runs of pieces; a single piece in two halves, for everything is affine on it."""
        if len(self.block.edges) == 1:
            self = self._halved(decisions)
        return [self._take(some) for some in np.array_split(np.arange(len(self.block.edges)), parts) if len(some)]

    def _halved(self, decisions: Decisions) -> _Pieces:
        a, b = self.block.edges[0]
        block = self.block
        uv = 0.5 * (block.uv[a] + block.uv[b])

        def middle(array: Any) -> Any:
            return np.concatenate([array, 0.5 * (array[[a]] + array[[b]])])

        halves = replace(
            block,
            uv=np.concatenate([block.uv, uv[None]]),
            edges=np.array([[a, len(block.uv)], [len(block.uv), b]], np.int32),
            tag=np.repeat(block.tag, 2),
            key=np.repeat(block.key, 2),
            values=middle(block.values),
            row_scale=np.append(block.row_scale, max(block.row_scale[a], block.row_scale[b])),
            live={register: middle(tensor) for register, tensor in block.live.items()},
            birth=np.append(block.birth, decisions.middle(int(block.birth[a]), int(block.birth[b]), uv)),
            blur=np.append(block.blur, max(block.blur[a], block.blur[b])),
            off=np.repeat(block.off, 2),
        )
        return _Pieces(halves, np.append(self.line, self.line[a]), np.append(self.unit, -1))

    def starts(self) -> _Pieces:
        """The vertices that a piece starts at alone: all that knots made, each once."""
        at = self.block.edges[:, 0]
        block = replace(self.block, uv=self.block.uv[at], values=self.block.values[at], live={})
        return _Pieces(block, self.line[at], self.unit[at])


@dataclass(frozen=True, eq=False)
class _Neighbours:
    """Vertices (V, 2) of lines in order along each; the last vertex of a line is its end, which is not among them.

    same: (n,) up to where vertices of a line are at one place.
    """

    uv: FloatArray
    line: IntArray
    ends: FloatArray
    same: FloatArray

    def beside(self, at: npt.NDArray[np.intp]) -> FloatArray:
        """(n, 2, 2) points half way to the vertex before and to the one after, of those that are elsewhere: where pools tie,
        several cut the line at one place, apart by rounding.
        """
        last = np.append(self.line[1:] != self.line[:-1], True)
        after = np.where(last[:, None], self.ends[self.line, 1], np.roll(self.uv, -1, axis=0))
        opens = np.append(True, (np.hypot(*(after - self.uv)[:-1].T) > self.same[self.line[:-1]]) | last[:-1])
        first = np.flatnonzero(opens)
        run = np.cumsum(opens) - 1
        closes = np.append(first[1:], len(opens)) - 1
        before, behind = self.uv[np.maximum(first - 1, 0)], after[closes]
        return 0.5 * (self.uv[at][:, None] + np.stack([before[run[at]], behind[run[at]]], axis=1))


def _own_units(engine: Engine, unit: npt.NDArray[np.int64], vertices: _Neighbours) -> IntArray:
    """(V, 2) layer and unit whose knot each vertex is on, -1 for ends and where no maximum changes its piece."""
    lowered = engine.lowered
    own = np.full((len(unit), 2), -1, np.int32)
    made = np.flatnonzero(unit >= 0)
    tag = lowered.own_units[unit[made]] if len(made) else unit[made]
    at = np.searchsorted(lowered.unit_offsets, tag, side="right") - 1
    own[made] = np.stack([at, tag - lowered.unit_offsets[at]], axis=1)
    rounds = made[lowered.round_tags[unit[made]]] if len(made) else made
    for index, layer in enumerate(lowered.layers):
        if layer.groups is not None:
            mine = rounds[own[rounds, 0] == index]
            if not len(mine):
                continue
            own[mine, 1] = _changing_group(engine, vertices.beside(mine), layer, own[mine, 1])
            own[mine[own[mine, 1] < 0]] = -1
    return own


def _changing_group(engine: Engine, beside: FloatArray, layer: Layer, group: IntArray) -> IntArray:
    """The group of a max layer whose largest entry changes between two points (n, 2, 2): the one given, else the first, -1
    if none does. Groups that overlap compare the same entries, and a knot of any of them may be where one of them was cut.
    """
    assert layer.groups is not None
    found = np.full(len(beside), -1, np.int32)
    for rows in np.array_split(np.arange(len(beside)), len(beside) * layer.groups.size // ENTRIES + 1):
        z = layer.members(engine.reading(layer.step, beside[rows].reshape(-1, 2)))
        changes = layer.changes(np.moveaxis(z.reshape(len(rows), 2, *z.shape[1:]), 1, 0)) > 0.0
        own = changes[np.arange(len(rows)), group[rows]]
        found[rows] = np.where(own, group[rows], np.where(changes.any(axis=1), changes.argmax(axis=1), -1))
    return found


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
