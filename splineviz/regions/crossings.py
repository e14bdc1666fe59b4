"""Crossings: the exact breakpoints of a network along a segment or polyline of inputs.

    x0 --|----||-----|-- x1 -----|-- x2       | the points where a unit changes its piece

The same engine as for a plane, on an edge without faces. Positions are lengths along the polyline, in input space.
Units that cannot be told apart at the tolerance share one crossing, named by the first of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from splineviz.errors import DataError, FloatArray, IntArray, to_float_array
from splineviz.regions.blocks import Block
from splineviz.regions.engine import ENTRIES, TOLERANCE, Engine
from splineviz.tracing.lowering import Layer
from splineviz.tracing.program import Program
from splineviz.tracing.trace import trace


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


def crossings(model: Any, *points: Any, tolerance: float = TOLERANCE) -> Crossings:
    """All breakpoints of a network along the polyline through inputs x0, x1, ... of shape (*input_shape).

    model: a torch module or a Program, as for `partition`. Breakpoints at a corner of the polyline count with no piece.
    Raises DataError for fewer than two points, different shapes or coinciding neighbours; TraceError for the network.
    """
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


def _along(
    program: Program, start: FloatArray, stop: FloatArray, length: float, tolerance: float
) -> tuple[FloatArray, IntArray, FloatArray]:
    """Positions from start, units and outputs of the crossings of one segment, in order."""
    middle, direction = start + 0.5 * (stop - start), (stop - start)[None] / length
    spread = np.linspace(-0.5 * length, 0.5 * length, 64)
    samples = middle + spread.reshape(-1, *[1] * start.ndim) * direction
    engine = Engine(program, samples, tolerance)
    block = Block.of_segments(np.array([[[-0.5 * length, 0.0], [0.5 * length, 0.0]]]))
    engine.place(block, middle, direction, np.zeros(1))
    block, unit = through(engine, block)
    inner = np.flatnonzero(unit[:, 0] >= 0)
    order = inner[np.argsort(block.uv[inner, 0], kind="stable")]
    return block.uv[order, 0] + 0.5 * length, unit[order], block.values[order]


def through(engine: Engine, block: Block) -> tuple[Block, IntArray]:
    """A block of edges through all layers, and the layer and unit whose knot each vertex is on ((V, 2), -1 for the ends).

    A vertex where no maximum changes its piece (see `tournaments`) is an end too.
    """
    units = [np.full(len(block.uv), -1, np.int64)]
    while block.layer < engine.layers:
        cut = engine.cut(block)
        units.append(engine.unit_offsets[block.layer] + cut.parents[3])
        block = engine.advance(block, cut)
    lowered, unit = engine.lowered, np.concatenate(units)
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
            own[mine, 1] = _changing_group(engine, block, mine, layer, own[mine, 1])
            own[mine[own[mine, 1] < 0]] = -1
    return block, own


def _changing_group(
    engine: Engine, block: Block, vertices: npt.NDArray[np.int64], layer: Layer, group: IntArray
) -> IntArray:
    """The group of a max layer whose largest entry changes at each vertex: the one given, else the first, -1 if none does.

    Groups that overlap compare the same entries, and a knot of any of them may be where one of them was cut.
    """
    assert layer.groups is not None
    beside = np.zeros((len(block.uv), 2), np.int64)
    beside[block.edges[:, 1], 0], beside[block.edges[:, 0], 1] = block.edges[:, 0], block.edges[:, 1]
    middle = 0.5 * (block.uv[vertices][:, None] + block.uv[beside[vertices]])
    found = np.full(len(vertices), -1, np.int32)
    for rows in np.array_split(np.arange(len(vertices)), len(vertices) * layer.groups.size // ENTRIES + 1):
        z = engine.reading(layer.step, middle[rows].reshape(-1, 2)).reshape(len(rows), 2, -1)
        changes = layer.changes(z.transpose(1, 0, 2)) > 0.0
        own = changes[np.arange(len(rows)), group[rows]]
        found[rows] = np.where(own, group[rows], np.where(changes.any(axis=1), changes.argmax(axis=1), -1))
    return found
