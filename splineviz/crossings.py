"""Crossings: the exact breakpoints of a network along a segment or polyline of inputs.

    x0 --|----||-----|-- x1 -----|-- x2       | the points where a unit changes its piece

The same engine as for a plane, on an edge without faces. Positions are lengths along the polyline, in input space.
Units that cannot be told apart at the tolerance share one crossing, named by the first of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from splineviz.blocks import Block
from splineviz.engine import TOLERANCE, Engine
from splineviz.errors import DataError, FloatArray, IntArray, to_float_array
from splineviz.ops import Program
from splineviz.tracing import trace


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
    """A block of edges through all layers, and the kink layer and unit that made each vertex ((V, 2), -1 for the ends)."""
    units = [np.full((len(block.uv), 2), -1, np.int32)]
    while block.layer < engine.layers:
        cut = engine.cut(block)
        maker = cut.parents[3]
        units.append(np.stack([np.full(len(maker), block.layer, np.int32), maker], axis=1))
        block = engine.advance(block, cut)
    return block, np.concatenate(units)
