r"""Part: one tile, enumerated, with what it takes to sew it to its neighbours.

A part is a whole Partition of its tile, whose border runs along seams. For each seam edge it holds

    key      the same on both sides of the seam: made of the seam, the layers that cut it, their units and the order
    pieces   what holds of the pattern inside and may end on the edge: units that are 0 all along it and positive inside,
             winners that tie there. Where a knot lies on the seam, those that hold on one side alone say whose it is

It can be written to a file and read on another machine. Where a part was made plays no role: it knows the digest of all
that it depends on, and `sewing.sew` takes only parts of one slice of one network.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from splineviz._kernels.bits import unit_hashes
from splineviz.errors import FloatArray, IntArray, PartitionError, PlaneError
from splineviz.geometry.budget import Budget
from splineviz.geometry.invariants import within
from splineviz.geometry.partition import Partition
from splineviz.regions.blocks import KeyArray
from splineviz.regions.engine import TOLERANCE
from splineviz.regions.enumerate import Progress, Slice
from splineviz.regions.tiles import MOST, Grid, Tile
from splineviz.storage import archives, files
from splineviz.tracing.lowering import Layer
from splineviz.tracing.precision import checked_device
from splineviz.tracing.program import Program
from splineviz.tracing.swaps import Swap
from splineviz.tracing.trace import trace

FLAT = 1e-6
"""Values below this, relative to the unit's largest near the seams, may be 0 all along a seam edge. Whether they are is
decided by comparing the two sides, so it need only be large enough."""
Ids = npt.NDArray[np.int64]
CHUNK_BYTES = 64 << 20
"""Units' values are read for about this many bytes at a time."""


@dataclass(frozen=True, eq=False)
class Part:
    """A tile's partition and its seams.

    index, count: which of how many tiles; slice: digest of network, plane, window, grid and tolerance.
    window: (m, 2) the whole window; corners: vertices that are corners of it.
    seam_edges: (K,) edges on seams, ascending; seam_keys: (K,). piece_offsets (K + 1,), and flat: piece_hash, piece_unit,
    the unit it belongs to, and piece_rank, the order in which units cut.
    """

    index: int
    count: int
    slice: str
    partition: Partition
    window: FloatArray
    corners: IntArray
    seam_edges: IntArray
    seam_keys: KeyArray
    piece_offsets: IntArray
    piece_hash: KeyArray
    piece_unit: IntArray
    piece_rank: Ids

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the part to an .npz file: whole or absent."""
        arrays = {f"part_{name}": getattr(self, name) for name in DTYPES}
        arrays |= {"part_of": np.array([self.index, self.count]), "part_slice": np.array(self.slice)}
        files.write_arrays(Path(path), self.partition.as_arrays() | arrays, compressed=False)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Part:
        """Read what `save` wrote. Raises PartitionError when the file is not a whole part."""
        try:
            data = archives.read_npz(path)
            own = {name: data[f"part_{name}"] for name in DTYPES}
            index, count = (int(n) for n in data["part_of"])
            found = cls(index, count, str(data["part_slice"]), Partition.from_arrays(data), **own)
        except FileNotFoundError:
            raise
        except (OSError, KeyError, ValueError, TypeError, OverflowError) as error:
            got = f"{type(error).__name__}: {error}"
            raise PartitionError(
                f"{path}: expected a tile of a slice, written by Part.save, got {got}; enumerate the tile anew."
            ) from error
        found.check(path)
        return found

    def check(self, name: Any = "part") -> None:
        """Shapes and ids in range; raises PartitionError."""
        if any(getattr(self, name).ndim == 0 for name in DTYPES):
            raise PartitionError(f"{name}: expected one tile of a slice, got numbers for arrays; enumerate it anew.")
        found, seams, flat = self.partition, len(self.seam_edges), len(self.piece_hash)
        sizes = {
            "window": (len(self.window), 2), "corners": (len(self.corners),), "seam_edges": (seams,), "seam_keys": (seams,),
            "piece_offsets": (seams + 1,), "piece_hash": (flat,), "piece_unit": (flat,), "piece_rank": (flat,),
        }  # fmt: skip
        wrong = [name for name, size in sizes.items() if getattr(self, name).shape != size]
        wrong += [name for name, dtype in DTYPES.items() if getattr(self, name).dtype != dtype]
        if not wrong:
            edges, offsets = self.seam_edges, self.piece_offsets.astype(np.int64)
            holds = {
                "index": 0 <= self.index < self.count <= MOST,
                "window": np.isfinite(self.window).all() and len(self.window) >= 3,
                "corners": within(self.corners, 0, len(found.vertices)),
                "seam_edges": within(edges, 0, len(found.edges)) and (np.diff(edges.astype(np.int64)) > 0).all(),
                "seam_keys": (self.seam_keys != 0).all(),
                "piece_offsets": offsets[0] == 0 and offsets[-1] == flat and (np.diff(offsets) >= 0).all(),
                "piece_unit": within(self.piece_unit, 0, int(found.unit_offsets[-1])),
            }
            wrong = [name for name, held in holds.items() if not held]
        if not wrong and ((found.edge_faces[self.seam_edges] < 0).sum(axis=1) != 1).any():
            wrong = ["seam_edges"]
        if wrong:
            raise PartitionError(f"{name}: expected one tile of a slice, got a wrong {', '.join(wrong)}; enumerate it anew.")


DTYPES = {
    "window": np.float64, "corners": np.int32, "seam_edges": np.int32, "seam_keys": np.uint64,
    "piece_offsets": np.int32, "piece_hash": np.uint64, "piece_unit": np.int32, "piece_rank": np.int64,
}  # fmt: skip
"""A part's own arrays and their types."""


def part(
    model: Any,
    tile: Tile,
    *,
    tolerance: float = TOLERANCE,
    threads: int | None = None,
    block_bytes: int | None = None,
    max_regions: int | None = None,
    max_bytes: int | None = None,
    max_seconds: float | None = None,
    progress: Progress | None = None,
    device: torch.device | str | None = None,
    swap: Swap | None = None,
) -> Part:
    """Enumerate one tile of a window, here or on another machine; the result depends only on the arguments.

    Args:
        model: as in `partition`.
        tolerance: as in `partition`.
        threads: as in `partition`.
        block_bytes: as in `partition`.
        progress: as in `partition`.
        device: as in `partition`.
        swap: as in `partition`.
        tile: one of `tiles(...)`.
        max_regions: limits of this tile, as in `partition`.
        max_bytes: limits of this tile, as in `partition`.
        max_seconds: limits of this tile, as in `partition`.

    Returns:
        The tile's partition with the data of its seams, for `sew`.

    Raises:
        TraceError: the network is not piecewise affine.
        BudgetError: a limit is exceeded.
    """
    grid = _grid_of(tile)
    program = trace(model, grid.plane.input_shape, swap=swap, borrow=True).to(device=checked_device(device))
    job = Slice(program, grid.plane, grid.corners, tolerance)
    # All tiles are placed in every job, so that rows of the first product round alike on both sides of a seam.
    first = grid.blocks(job.place(grid.block()))[tile.index]
    budget = Budget(max_regions, max_bytes, max_seconds)
    joined = job.enumerate(first, threads, block_bytes, budget, progress, open_seams=True)
    found = job.partition(joined, tile.window)
    offsets, pieces, units = _pieces(job, found, joined.open_edges)
    return Part(
        index=tile.index,
        count=len(grid.cells),
        slice=_digest(job.program, tile, tolerance),
        partition=found,
        window=grid.corners,
        corners=_corners(found, grid.corners - grid.centre),
        seam_edges=joined.open_edges,
        seam_keys=joined.open_keys,
        piece_offsets=offsets,
        piece_hash=unit_hashes(0, job.engine.lowered.pieces)[pieces],
        piece_unit=units.astype(np.int32),
        piece_rank=job.engine.rank[units],
    )


def _grid_of(tile: Any) -> Grid:
    if not isinstance(tile, Tile):
        raise PlaneError(f"tile: expected one of sv.tiles(plane, window, rows, columns), got {type(tile).__name__}.")
    return tile.grid


def _digest(program: Program, tile: Tile, tolerance: float) -> str:
    grid = tile.grid
    weights = [part for key in sorted(program.weights) for part in (key, program.weights[key].cpu().numpy())]
    return files.digest(
        program.to_data(), *weights, grid.plane.origin, grid.plane.basis, grid.corners, [grid.rows, grid.columns, tolerance]
    )


def _corners(found: Partition, local: FloatArray) -> IntArray:
    """The vertices that are corners of the whole window, whose coordinates are copied and never computed."""
    rim = np.unique(found.edges[found.edge_tag < 0])
    same = (found.local_vertices[rim][:, None] == local[None]).all(axis=2).any(axis=1)
    return rim[same].astype(np.int32)


def _pieces(job: Slice, found: Partition, edges: IntArray) -> tuple[IntArray, Ids, Ids]:
    """For each seam edge the pieces that hold in its face and may end on it: offsets (K + 1,), pieces, and their units."""
    lowered = job.engine.lowered
    faces = found.edge_faces[edges].max(axis=1)
    inside = found.centroids[faces] - found.centre
    ends = found.local_vertices[found.edges[edges]]
    rows = max(16, CHUNK_BYTES // (48 * max(lowered.pieces, 1)))
    edge, piece, unit = ([np.zeros(0, np.int64)] for _ in range(3))
    for begin in range(0, len(edges), rows):
        local = np.stack([inside[begin : begin + rows], *ends[begin : begin + rows].swapaxes(0, 1)])
        x = torch.from_numpy(found.plane.embed(local.reshape(-1, 2) + found.centre)).to(job.program.device)
        for layer, first, z in _readings(job, x):
            z = z.reshape(3, -1, *z.shape[1:])
            floor = FLAT * np.abs(z).max(axis=(0, 1))
            if layer.groups is None:
                holds = (z[0] > 0) & (np.abs(z[1:]) <= floor).all(axis=0)
                at, which = np.nonzero(holds)
                numbers = layer.first_piece + which
            else:
                winner = _winners(z[0])
                best = np.take_along_axis(z[1:], np.broadcast_to(winner[None, :, :, None], (2, *winner.shape, 1)), axis=3)
                ties = ((np.abs(z[1:] - best) <= floor).all(axis=0)).sum(axis=2) > 1
                at, which = np.nonzero(ties)
                numbers = layer.first_piece + which * layer.groups.shape[1] + winner[at, which]
            edge.append(begin + at)
            piece.append(numbers)
            unit.append(first + which)
    flat, pieces, units = (np.concatenate(parts) for parts in (edge, piece, unit))
    order = np.argsort(flat, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(flat, minlength=len(edges)))]).astype(np.int32)
    return offsets, pieces[order], units[order]


def _readings(job: Slice, x: Tensor) -> Iterator[tuple[Layer, int, FloatArray]]:
    """For every layer its first unit and its values at inputs x: of units (n, units), of groups' entries (n, units, K)."""
    program, lowered = job.program, job.engine.lowered
    breaks = {kink.step: kink.kinks.breakpoints[0] for kink in program.layers}
    live, at = {0: x}, 0
    for layer, first in zip(lowered.layers, lowered.unit_offsets.tolist(), strict=False):
        with torch.no_grad():
            live = program.run(live, at, layer.step)
        at = layer.step
        z = live[program.steps[at].inputs[0]].reshape(len(x), -1).cpu().numpy()
        if layer.groups is None:
            yield layer, first, z - breaks[at]
        else:
            yield layer, first, z[:, np.where(layer.groups < 0, layer.groups[:, :1], layer.groups)]


def _winners(entries: FloatArray) -> Ids:
    """(n, units) who wins each group of (n, units, K), by the rounds of `lowering`: of equal entries the second."""
    winner = np.broadcast_to(np.arange(entries.shape[2]), entries.shape).copy()
    while winner.shape[2] > 1:
        pairs = winner.shape[2] // 2
        one, other, rest = winner[..., :pairs], winner[..., pairs : 2 * pairs], winner[..., 2 * pairs :]
        ahead = np.take_along_axis(entries, one, axis=2) > np.take_along_axis(entries, other, axis=2)
        winner = np.concatenate([np.where(ahead, one, other), rest], axis=2)
    return winner[..., 0]
