r"""Tiles: a window taken apart by a grid of seams, each tile a job of its own.

    +-----+-----+-----+      rows count upwards (v), columns to the right (u), over the window's bounding box.
    | 1,0 | 1,1 | 1,2 |      The seams are the knots of a little network of one layer, whose regions are the tiles: so
    +-----+-----+-----+      its corners are shared, a seam through a corner of the window makes no sliver, and a tile
    | 0,0 | 0,1 | 0,2 |      that the window does not reach is not there.
    +-----+-----+-----+

A grid is a few numbers; every tile carries all of it, so that two machines agree on it to the bit. Each side of a seam
keeps a copy of it under one key (see `_kernels.sewing`); `parts` enumerates a tile, `sewing` sews them together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from splineviz.errors import FloatArray, IntArray, PlaneError
from splineviz.geometry.plane import Plane
from splineviz.regions.blocks import Block
from splineviz.regions.engine import TOLERANCE, Engine
from splineviz.tracing.trace import trace

MOST = 1 << 16
"""More tiles than this are taken for a mistake."""


@dataclass(frozen=True, eq=False)
class Grid:
    """A window and its tiles as a planar complex.

    corners: (m, 2) the window in plane coordinates; centre: (2,) what uv (V, 2) is relative to, the first m of them the
    window's corners. edges: (E, 2); face_offsets, face_halves: the tiles' loops of half-edges, in order of rows and
    columns; cells: (tiles, 2) row and column of each.
    """

    plane: Plane
    corners: FloatArray
    centre: FloatArray
    rows: int
    columns: int
    uv: FloatArray
    edges: IntArray
    face_offsets: IntArray
    face_halves: IntArray
    cells: IntArray

    def blocks(self, whole: Block) -> list[Block]:
        """The tiles as blocks, with keys on their seams; whole: see `block`, with values."""
        return whole.split_at(np.arange(len(self.cells) + 1), 0) if len(self.cells) > 1 else [whole]

    def block(self) -> Block:
        """All tiles as one block, without values."""
        faces, count = len(self.cells), len(self.edges)
        return replace(
            Block.of_window(self.uv),
            edges=self.edges.copy(),
            tag=np.full(count, -1, np.int32),
            key=np.zeros(count, np.uint64),
            off=np.zeros(count),
            face_offsets=self.face_offsets.copy(),
            face_halves=self.face_halves.copy(),
            face_hash=np.zeros(faces, np.uint64),
        )


@dataclass(frozen=True, eq=False)
class Tile:
    """One tile of a grid: plain data that can be sent to another process or machine."""

    grid: Grid
    index: int

    @property
    def row(self) -> int:
        """Its row, from below."""
        return int(self.grid.cells[self.index, 0])

    @property
    def column(self) -> int:
        """Its column, from the left."""
        return int(self.grid.cells[self.index, 1])

    @property
    def name(self) -> str:
        """Such as tile-001-of-004, for file names and messages."""
        return f"tile-{self.index + 1:03d}-of-{len(self.grid.cells):03d}"

    @property
    def window(self) -> FloatArray:
        """Its corners (m, 2) in plane coordinates, counter-clockwise."""
        grid = self.grid
        halves = grid.face_halves[grid.face_offsets[self.index] : grid.face_offsets[self.index + 1]]
        return grid.uv[grid.edges[halves >> 1, halves & 1]] + grid.centre


def tiles(plane: Plane, window: Any = None, rows: int = 2, columns: int = 2) -> list[Tile]:
    """Take a window apart into tiles that can be enumerated anywhere (`part`) and sewn together again (`sew`).

    window: as in `Plane.window`; rows, columns: of the grid over its bounding box. A window that is no rectangle may have
    fewer tiles than rows * columns. Raises PlaneError for a bad window or bad numbers.
    """
    for name, number in (("rows", rows), ("columns", columns)):
        if not (isinstance(number, (int, np.integer)) and number >= 1):
            raise PlaneError(f"{name}: expected a whole number of tiles from 1 up, got {number!r}.")
    if rows * columns > MOST:
        raise PlaneError(f"tiles: expected at most {MOST}, got {rows} x {columns}; a tile should hold 10^5 regions or more.")
    corners = plane.window(window)
    centre = corners.mean(axis=0)
    block = _gridded(corners - centre, centre, rows, columns)
    order, cells = _cells(block, rows, columns)
    offsets = block.face_offsets
    loops = [block.face_halves[offsets[f] : offsets[f + 1]] for f in order]
    grid = Grid(
        plane=plane,
        corners=corners,
        centre=centre,
        rows=int(rows),
        columns=int(columns),
        uv=block.uv,
        edges=block.edges,
        face_offsets=np.concatenate([[0], np.cumsum([len(loop) for loop in loops])]).astype(np.int32),
        face_halves=np.concatenate(loops).astype(np.int32),
        cells=cells,
    )
    return [Tile(grid, i) for i in range(len(cells))]


def _gridded(local: FloatArray, centre: FloatArray, rows: int, columns: int) -> Block:
    """The window (m, 2), relative to its centre, cut by the grid's lines: the engine's own cut of a network of one layer."""
    block = Block.of_window(local)
    low, high = local.min(axis=0), local.max(axis=0)
    lines = []
    for axis, count in ((1, rows), (0, columns)):
        for i in range(1, count):
            # To a plane coordinate that is a float, so that the tiles of a tiny window far away are known exactly.
            place = (low[axis] + (high[axis] - low[axis]) * i / count + centre[axis]) - centre[axis]
            lines.append((axis, place))
    if not lines:
        return block
    layer = nn.Linear(2, len(lines), dtype=torch.float64)
    with torch.no_grad():
        layer.weight.zero_()
        for i, (axis, place) in enumerate(lines):
            layer.weight[i, axis], layer.bias[i] = 1.0, -place
    engine = Engine(trace(nn.Sequential(layer, nn.ReLU()), (2,)), local, TOLERANCE)
    engine.place(block, np.zeros(2), np.eye(2), np.zeros(2))
    return engine.advance(block)


def _cells(block: Block, rows: int, columns: int) -> tuple[IntArray, IntArray]:
    """The order of the faces by row and column, and each one's row and column in that order."""
    low, high = block.uv.min(axis=0), block.uv.max(axis=0)
    starts = block.face_offsets[:-1]
    corners = block.uv[block.edges[block.face_halves >> 1, block.face_halves & 1]]
    middle = 0.5 * (np.minimum.reduceat(corners, starts) + np.maximum.reduceat(corners, starts))
    place = np.floor((middle - low) / (high - low) * (columns, rows)).astype(np.int32)[:, ::-1]
    order = np.lexsort((place[:, 1], place[:, 0])).astype(np.int32)
    return order, np.ascontiguousarray(place[order])
