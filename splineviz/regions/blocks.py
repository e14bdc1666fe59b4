"""Block: a piece of the complex on its way through the network, with values at vertices; sewn, dissolved; memory released.

A block is a planar complex like a Partition, but its faces are loops of half-edges (2 * edge + direction), and
edges on a seam to another block carry a key (see `_kernels.sewing`). Beside it stand, one row per vertex, the inputs
of the next kink layer and whatever other tensors the network still needs. Blocks are taken apart when they outgrow
the budget and sewn together at the end; neither changes a number.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from splineviz._kernels import dissolving, merging, ordering, sewing
from splineviz.errors import FloatArray, IntArray, PartitionError, SeamError

KeyArray = npt.NDArray[np.uint64]
MANY, LAYERS, LONG, EARLY, MMAP_THRESHOLD = 1 << 17, 1 << 20, 1 << 19, 8 << 20, -3
"""Units from which on large arrays are handed back as they are freed, and small ones after every layer (they are got anew at
the next one, page by page); vertices from which on they are before sewing; bytes of a large one; mallopt's name for that."""


@dataclass(eq=False)
class Block:
    """layer: the kink layer that its values are the inputs of; row_scale (V,): magnitude of what they were computed from.

    uv: (V, 2) relative to the window's centre; values: (V, units); live: the other registers needed, each (V, ...).
    place: where the block stands in the order of faces, as the path of its splits; share: of the work, for progress.
    turn: how many of the layer's turns are done (a layer's units may be cut in several, see `Engine.take_turns`).
    winners: (F, entrants * groups) in the middle of a tournament, see `_kernels.winners`.
    lower: fewest regions that there are for it, see `whole_faces`; kept where a network has maxima.
    birth, blur: (V,) how a vertex came to be (see `exact`), and how far off its place may be, in units of the tolerance.
    off: (E,) how far beside its line an edge may lie, in the same units, by the knot that made it.
    """

    place: tuple[int, ...]
    layer: int
    uv: FloatArray
    edges: IntArray
    tag: IntArray
    key: KeyArray
    face_offsets: IntArray
    face_halves: IntArray
    face_hash: KeyArray
    values: FloatArray
    row_scale: FloatArray
    live: Mapping[int, FloatArray] = field(default_factory=dict)
    share: float = 1.0
    turn: int = 0
    winners: npt.NDArray[np.integer[Any]] | None = None
    lower: int = 1
    birth: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    blur: FloatArray = field(default_factory=lambda: np.zeros(0))
    off: FloatArray = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def of_window(cls, corners: FloatArray) -> Block:
        """The whole window (m, 2) as one face, without values."""
        m = len(corners)
        start = np.arange(m, dtype=np.int32)
        return cls(
            place=(),
            layer=0,
            uv=corners,
            edges=np.stack([start, (start + 1) % m], axis=1).astype(np.int32),
            tag=np.full(m, -1, np.int32),
            key=np.zeros(m, np.uint64),
            face_offsets=np.array([0, m], np.int32),
            face_halves=2 * start,
            face_hash=np.zeros(1, np.uint64),
            values=np.empty((m, 0)), row_scale=np.zeros(m), blur=np.zeros(m), off=np.zeros(m),
        )

    @classmethod
    def of_segments(cls, ends: FloatArray) -> Block:
        """Edges (n, 2, 2) from end to end, without faces: lines through the network."""
        n = len(ends)
        block = cls.of_window(np.ascontiguousarray(ends.reshape(2 * n, 2)))
        block.edges = np.arange(2 * n, dtype=np.int32).reshape(n, 2)
        block.tag, block.key, block.off = block.tag[:n], block.key[:n], block.off[:n]
        block.face_offsets, block.face_halves = np.zeros(1, np.int32), np.zeros(0, np.int32)
        block.face_hash = np.zeros(0, np.uint64)
        return block

    @property
    def faces(self) -> int:
        """Number of faces."""
        return len(self.face_offsets) - 1

    @property
    def nbytes(self) -> int:
        """Bytes of the values and live tensors."""
        return self.values.nbytes + sum(tensor.nbytes for tensor in self.live.values())

    @property
    def held(self) -> int:
        """Bytes of all its arrays."""
        own = (self.uv, self.edges, self.tag, self.key, self.face_offsets, self.face_halves, self.face_hash, self.row_scale)
        return self.nbytes + sum(a.nbytes for a in own) + (0 if self.winners is None else self.winners.nbytes)

    @property
    def is_settled(self) -> bool:
        """Whether it is in the middle of no layer, so that every side of a face has a knot, but for those on seams."""
        return self.winners is None and self.turn == 0

    @property
    def whole_faces(self) -> int:
        """Number of faces without a side on a seam: each is a region, or regions, of its own."""
        on_seam = np.add.reduceat(self.key[self.face_halves >> 1] != 0, self.face_offsets[:-1], dtype=np.int64)
        return int((on_seam == 0).sum())

    def compact(self) -> None:
        """Let go of what a finished block no longer needs, and of the slack of its arrays."""
        for name in ("uv", "edges", "tag", "key", "face_offsets", "face_halves", "face_hash"):
            setattr(self, name, getattr(self, name).copy())
        self.live, self.birth = {}, np.zeros(0, np.int64)
        self.row_scale = self.blur = self.off = np.zeros(0)

    def split(self, parts: int, serial: int, *, compact: bool = False) -> list[Block]:
        """Take apart into contiguous runs of faces of about equal size; `serial` must differ at each call of a run.

        compact: into parts that lie close together instead, whose seams are short; this reorders the faces.
        """
        if compact and 1 < parts <= self.faces:
            return self._reordered(*_close_together(self._middles(), np.diff(self.face_offsets), parts), serial)
        corners = np.linspace(0, int(self.face_offsets[-1]), parts + 1)
        bounds = np.unique(np.searchsorted(self.face_offsets, corners))
        bounds[0], bounds[-1] = 0, self.faces
        if len(bounds) == 2 and 1 < parts <= self.faces:  # a large face among few
            bounds = np.linspace(0, self.faces, parts + 1).astype(np.int64)
        return self.split_at(bounds, serial)

    def _middles(self) -> FloatArray:
        """(F, 2) mean of every face's corners."""
        corners = self.uv[self.edges[self.face_halves >> 1, self.face_halves & 1]]
        return np.add.reduceat(corners, self.face_offsets[:-1], axis=0) / np.diff(self.face_offsets)[:, None]

    def _reordered(self, order: npt.NDArray[np.int64], bounds: npt.NDArray[np.int64], serial: int) -> list[Block]:
        sizes = np.diff(self.face_offsets)[order]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        taken = np.arange(offsets[-1]) + np.repeat(self.face_offsets[:-1][order] - offsets[:-1], sizes)
        self.face_offsets, self.face_halves = offsets.astype(np.int32), self.face_halves[taken]
        self.face_hash = self.face_hash[order]
        self.winners = None if self.winners is None else self.winners[order]
        return self.split_at(bounds, serial)

    def split_at(self, bounds: npt.NDArray[np.integer[Any]], serial: int) -> list[Block]:
        """Take apart into the runs of faces bounds[p]..bounds[p + 1] - 1."""
        sewing.mark_seams(self.face_offsets, self.face_halves, bounds, self.key, serial)
        blocks = []
        for i in range(len(bounds) - 1):
            start, stop = int(bounds[i]), int(bounds[i + 1])
            offsets, halves, edges, old_edge, old_vertex = sewing.take_part(
                self.face_offsets, self.face_halves, self.edges, len(self.uv), start, stop
            )
            blocks.append(
                Block(
                    place=(*self.place, i),
                    layer=self.layer,
                    uv=self.uv[old_vertex],
                    edges=edges,
                    tag=self.tag[old_edge],
                    key=self.key[old_edge],
                    face_offsets=offsets,
                    face_halves=halves,
                    face_hash=self.face_hash[start:stop].copy(),
                    values=self.values[old_vertex],
                    row_scale=self.row_scale[old_vertex],
                    live={register: tensor[old_vertex] for register, tensor in self.live.items()},
                    share=self.share * (stop - start) / self.faces,
                    turn=self.turn,
                    winners=None if self.winners is None else self.winners[start:stop],
                    birth=self.birth[old_vertex], blur=self.blur[old_vertex], off=self.off[old_edge],
                )
            )
        return blocks


def _close_together(
    middles: FloatArray, sizes: npt.NDArray[np.integer[Any]], parts: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """An order of points (n, 2) in runs of about equal total size, halved across their longer side, and the runs' bounds."""
    runs, left = [], [(np.arange(len(middles)), parts)]
    while left:
        some, count = left.pop()
        count = min(count, len(some))
        if count <= 1:
            runs.append(some)
            continue
        axis = int(np.argmax(np.ptp(middles[some], axis=0)))
        some = some[np.argsort(middles[some, axis], kind="stable")]
        total = np.cumsum(sizes[some])
        at = min(max(int(np.searchsorted(total, total[-1] * (count // 2) / count)), 1), len(some) - 1)
        left += [(some[at:], count - count // 2), (some[:at], count // 2)]
    return np.concatenate(runs), np.cumsum([0, *(len(run) for run in runs)])


@dataclass(frozen=True, eq=False)
class Complex:
    """Sewn blocks: the arrays of a Partition, with vertices still relative to the window's centre.

    open_edges: ids of the edges on a seam to blocks that are not here, ascending; open_keys: their keys.
    """

    uv: FloatArray
    edges: IntArray
    tag: IntArray
    edge_faces: IntArray
    face_offsets: IntArray
    face_vertices: IntArray
    face_hash: KeyArray
    outputs: FloatArray
    open_edges: IntArray
    open_keys: KeyArray

    def dissolved(self, without_knot: npt.NDArray[np.bool_], stays: npt.NDArray[np.bool_]) -> tuple[Complex, int]:
        """The complex after `dissolve`, and its count of strays; stays: (V,) vertices that stay even in a straight line."""
        one = dissolve(
            self.uv, self.edges, self.tag, self.edge_faces, self.face_offsets, self.face_vertices, self.face_hash,
            without_knot, stays,
        )  # fmt: skip
        opened = np.flatnonzero(np.isin(one.old_edge, self.open_edges)).astype(np.int32)
        whole = Complex(
            uv=self.uv[one.old_vertex],
            edges=one.edges,
            tag=self.tag[one.old_edge],
            edge_faces=one.edge_faces,
            face_offsets=one.face_offsets,
            face_vertices=one.edges[one.face_halves >> 1, one.face_halves & 1],
            face_hash=self.face_hash[one.old_face],
            outputs=self.outputs[one.old_vertex],
            open_edges=opened,
            open_keys=self.open_keys[np.searchsorted(self.open_edges, one.old_edge[opened])],
        )
        return whole, one.stray

    def in_order(self) -> Complex:
        """The complex in an order that no blocks play a part in (`_kernels.ordering`)."""
        halves, corner = ordering.half_edges(self.face_offsets, self.face_vertices, self.edges, self.edge_faces)
        if (halves < 0).any():
            raise PartitionError("blocks: expected sides of faces that are edges, got others; please report the network.")
        order, entered = ordering.visit(self.face_offsets, halves, corner, self.edge_faces, self.face_hash)
        fixed = np.zeros(len(self.edges), bool)
        fixed[self.open_edges] = True
        edges, beside, offsets, corners, old_edge, old_vertex = ordering.renumber(
            order, entered, self.face_offsets, halves, self.edges, self.edge_faces, len(self.uv), fixed
        )
        opened = np.flatnonzero(fixed[old_edge]).astype(np.int32)
        return Complex(
            uv=self.uv[old_vertex],
            edges=edges,
            tag=self.tag[old_edge],
            edge_faces=beside,
            face_offsets=offsets,
            face_vertices=corners,
            face_hash=self.face_hash[order],
            outputs=self.outputs[old_vertex],
            open_edges=opened,
            open_keys=self.open_keys[np.searchsorted(self.open_edges, old_edge[opened])],
        )


@dataclass(frozen=True, eq=False)
class Dissolved:
    """A complex whose faces of equal pattern were made one, and the old ids of what is left.

    stray: edges that went although their unit has a knot there: faces too thin to tell.
    """

    edges: IntArray
    edge_faces: IntArray
    face_offsets: IntArray
    face_halves: IntArray
    old_edge: IntArray
    old_vertex: IntArray
    old_face: npt.NDArray[np.int64]
    stray: int


def dissolve(
    uv: FloatArray,
    edges: IntArray,
    tag: IntArray,
    edge_faces: IntArray,
    face_offsets: IntArray,
    face_vertices: IntArray,
    face_hash: KeyArray,
    without_knot: npt.NDArray[np.bool_],
    corner: npt.NDArray[np.bool_],
) -> Dissolved:
    """Take away edges between faces of equal pattern, as far as `without_knot` (units,) allows for the unit they lie on.

    corner: (V,) vertices that stay although they may lie in the middle of a line.
    """
    f, g = edge_faces.T
    phantom = (f >= 0) & (g >= 0) & (tag >= 0)
    phantom[phantom] = without_knot[tag[phantom]]
    phantom &= face_hash[f] == face_hash[g]
    while True:
        label = merging.merge(len(face_hash), edge_faces, phantom)
        new_edges, new_faces, offsets, halves, old_edge, old_vertex, stray, torn = dissolving.dissolve(
            uv, edges, edge_faces, face_offsets, face_vertices, label, int(label.max()) + 1, corner, phantom
        )
        if not torn.any():
            break
        if not (phantom & torn[label[f]]).any():
            raise PartitionError("blocks: expected faces that are polygons, got others; please report the network.")
        phantom &= ~torn[label[f]]
    old_face = np.unique(label, return_index=True)[1]
    return Dissolved(new_edges, new_faces, offsets, halves, old_edge, old_vertex, old_face, int(stray))


def sew(blocks: Sequence[Block], *, open_seams: bool = False) -> Complex:
    """Sew finished blocks together along their seams, in the order of their places; uses the blocks up.

    open_seams: whether the blocks are one tile of several, so that a key may stand on one edge alone (see `parts`).
    Raises SeamError if a seam has no twin: the blocks were not cut alike.
    """
    blocks = sorted(blocks, key=lambda block: block.place)
    vertex_base = np.cumsum([0] + [len(b.uv) for b in blocks])
    if len(blocks) > 1 and vertex_base[-1] > LONG:
        release_memory()
    edge_base = np.cumsum([0] + [len(b.edges) for b in blocks])
    half_base = np.cumsum([0] + [len(b.face_halves) for b in blocks])
    if half_base[-1] >= 2**31 - 1:
        raise PartitionError("window: expected fewer than 2^31 face corners, got more; choose a smaller window.")
    uv = _drawn_off(blocks, "uv")
    tag = _drawn_off(blocks, "tag")
    key = _drawn_off(blocks, "key")
    edges = _drawn_off(blocks, "edges", vertex_base)
    halves = _drawn_off(blocks, "face_halves", 2 * edge_base)
    offsets = np.concatenate(
        [np.zeros(1, np.int32), *(b.face_offsets[1:] + np.int32(base) for b, base in zip(blocks, half_base, strict=False))]
    )
    seams = np.flatnonzero(key)
    seams = seams[np.argsort(key[seams], kind="stable")]
    seam_keys = key[seams]
    alone = np.zeros(len(seams), bool)
    if open_seams:
        alone = np.ones(len(seams), bool)
        twins = seam_keys[1:] == seam_keys[:-1]
        alone[1:] &= ~twins
        alone[:-1] &= ~twins
    own, seams, seam_keys = seams[alone], seams[~alone], seam_keys[~alone]
    own_keys = key[own]
    del key
    same_vertex, same_edge = np.arange(len(uv), dtype=np.int32), np.arange(len(edges), dtype=np.int32)
    torn = sewing.join_seams(seams, seam_keys, edges, uv, same_vertex, same_edge)
    if torn >= 0:
        raise SeamError(f"blocks: expected two equal copies of every seam, edge {torn} has no twin.")
    edge_faces, joined, old_edge, old_vertex = sewing.number(offsets, halves, edges, same_vertex, same_edge)
    del edges, same_edge, same_vertex
    tag = tag[old_edge]
    found = np.flatnonzero(np.isin(old_edge, own)).astype(np.int32) if len(own) else np.zeros(0, np.int32)
    order = np.argsort(own)
    open_keys = own_keys[order][np.searchsorted(own[order], old_edge[found])]
    del old_edge
    uv = uv[old_vertex]
    return Complex(
        uv=uv,
        edges=joined,
        tag=tag,
        edge_faces=edge_faces,
        face_offsets=offsets,
        face_vertices=halves,
        face_hash=_drawn_off(blocks, "face_hash"),
        outputs=_drawn_off(blocks, "values")[old_vertex],
        open_edges=found,
        open_keys=open_keys,
    )


def release_memory(*, early: bool = False, small: bool = True) -> None:
    """Hand pages that were freed between small arrays back to the system, where the C library can: at 10^7 regions that is
    as much as the result. early: from now on each array of EARLY bytes as soon as it is freed; small: the others now.
    """
    library: Any = ctypes.CDLL(None) if os.name == "posix" else None
    if early and hasattr(library, "mallopt"):
        library.mallopt(MMAP_THRESHOLD, EARLY)
    if small and hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def _drawn_off(blocks: Sequence[Block], name: str, bases: npt.NDArray[np.int64] | None = None) -> Any:
    """One array of all blocks, which lose theirs on the way: at 10^7 regions two copies would not be welcome."""
    parts = [getattr(block, name) for block in blocks]
    whole = np.empty((sum(len(part) for part in parts), *parts[0].shape[1:]), parts[0].dtype)
    at = 0
    for i, block in enumerate(blocks):
        part, parts[i] = parts[i], None
        setattr(block, name, np.empty((0, *part.shape[1:]), part.dtype))
        whole[at : at + len(part)] = part if bases is None else part + part.dtype.type(bases[i])
        at += len(part)
    return whole
