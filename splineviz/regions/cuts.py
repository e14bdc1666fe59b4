"""Cuts: a block's edges and faces cut by one layer, and where that is decided exactly.
Also the vertices' exact places and values, the lines of a block's edges, and what two blocks agree on at a seam.

    signs --> cuts of edges, in their order --> faces, asked again as long as they have questions --> vertices in their place

The loops are the kernels' (`_kernels.edges`, `_kernels.cutting`); what they cannot tell in double precision goes to
`decisions`. Knows blocks, not stages.

      block 1 |  block 2       What both sides of a seam between blocks must agree on is decided once, by the block that
       --x----o----x--         comes first: z at the seam's vertices enters both blocks from batches of their own, and a
              |                library may round a row in each of them otherwise. Whichever block reaches a vertex o first
       --x----o----x--         writes down the values there that decide how the seam's edges are cut; the other takes them.

So the seam is cut at the same places to the bit, whatever the library, the processor and the batch. Kept are the few
values that matter: of units that change sign along a seam edge, of values near 0, and the rows' scales. A vertex is
known by its coordinates, which are the same to the bit on both sides for this very reason.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from splineviz._kernels import agreeing, lines
from splineviz._kernels import edges as edge_kernels
from splineviz._kernels.arrangement import Questions
from splineviz._kernels.bits import Reading, Scales, packed, units_of
from splineviz._kernels.cutting import CutFaces, Faces
from splineviz._kernels.edges import EdgeCuts, Parents
from splineviz._kernels.lines import Lines, Rows
from splineviz.errors import FloatArray, IntArray
from splineviz.regions.blocks import Block
from splineviz.regions.decisions import Decisions, Ends

SAFETY = 64.0
"""How many times the tolerance is larger than the error that it stands for."""
BLURRED = 2.0**16
"""Blur above which a vertex is placed exactly: 2^-24 of the window's radius at the default tolerance. Blur is how far off a
vertex may be, in tolerances of the radius: below 1 where knots cross at an angle, large where they are nearly parallel."""
QUESTIONS = 1 << 16
"""Room for questions that a block's faces ask in one round."""
MOST_ROUNDS, MOST_QUESTIONS = 64, 20_000
"""Rounds of questions and answers, and questions, of one block; what is asked after that is left as it is, and counted."""
Words = npt.NDArray[np.uint64]
BAND = 2.0**-38
"""Values this small relative to their unit's scale are agreed on: 256 times what is read as 0 by default."""
ONES = np.array([bin(byte).count("1") for byte in range(256)])
"""Bits that are set in a byte."""
FIRST = 48
"""Units that cut the window before it is shared out, where more than twice as many cross it."""


class Turns:
    """The units of the first layer in groups that cut the window one after the other.

    The first few cut it into pieces that blocks can share out, before the many make a single face too large for one
    block. Decided once, at the window, so that all blocks take the same turns. An estimate takes turns at any `layer`.
    masks: (words,) packed units of each turn, [] where all units of a layer cut at once.
    """

    def __init__(self, masks: list[Words] | None = None, layer: int = 0):
        self.masks, self.layer = masks or [], layer

    @classmethod
    def among(cls, crossing: Words, layer: int = 0, first: float = FIRST, growth: float = 4.0) -> Turns:
        """Turns for the packed units (words,) that cross the window, of so many at first and so many times more each time;
        units that do not are in the last.
        """
        rest, count, masks = units_of(crossing), first, []
        while len(rest) > 2 * count:
            chosen = rest[:: -(-len(rest) // int(count))]
            masks.append(packed(chosen, len(crossing)))
            rest = np.setdiff1d(rest, chosen)
            count *= growth
        return cls([*masks, ~np.bitwise_or.reduce(masks, axis=0)] if masks else [], layer)

    def mask(self, layer: int, turn: int, words: int) -> Words:
        """(words,) the units that are cut in a turn of a layer, packed."""
        return self.masks[turn] if layer == self.layer and self.masks else np.full(words, ~np.uint64(0))

    def is_last(self, layer: int, turn: int) -> bool:
        """Whether all units of a layer are cut after a turn."""
        return layer != self.layer or turn + 1 >= len(self.masks)

    def rank(self, first: int, units: int) -> npt.NDArray[np.int64]:
        """(units,) the order in which units cut: by layer, in the first, of so many units, by turn, then by number."""
        rank = np.arange(units)
        for turn, mask in enumerate(self.masks):
            own = units_of(mask)
            rank[own[own < first]] += (turn - len(self.masks)) * first
        return rank


class Cut(NamedTuple):
    """A block's complex after one layer's cuts; the first `old` vertices are the block's own, with their signs and `norm`.

    faces: in a round of a tournament their `hash` is the number of the block's face that each is a part of.
    edge_lines, chord_lines: on which the new vertices lie, but for those `lost`. placed: new vertices whose place was
    computed exactly, as their values must be. near_zero, irregular: met on the way, counted when the block advances.
    """

    old: int
    plus: Words
    minus: Words
    norm: FloatArray
    uv: FloatArray
    parents: Parents
    edges: IntArray
    off: FloatArray
    tag: IntArray
    key: npt.NDArray[np.uint64]
    faces: Faces
    edge_lines: Lines
    chord_lines: Lines
    lost: IntArray
    birth: npt.NDArray[np.int64]
    blur: FloatArray
    placed: npt.NDArray[np.int64]
    near_zero: int
    irregular: int

    def rows(self, tensor: FloatArray) -> Rows:
        """A tensor of the old vertices (old, ...), affine on their faces, at all vertices."""
        flat = tensor.reshape(self.old, -1)
        found = Rows(flat, np.empty((len(self.uv) - self.old, flat.shape[1])))
        lines.interpolate(found, self.parents)
        return found

    def bent(self, z: FloatArray) -> Rows:
        """The layer's inputs (old, units) at all vertices, 0 where a unit made the vertex."""
        found = self.rows(z)
        found.fresh[np.arange(len(found.fresh)), self.parents.maker] = 0.0
        return found

    def widened(self, tensor: FloatArray) -> FloatArray:
        """A tensor of the old vertices (old, ...), affine on their faces, at all vertices, in one array."""
        flat = np.empty((len(self.uv), tensor[0].size))
        flat[: self.old] = tensor.reshape(self.old, -1)
        lines.interpolate(Rows(flat[: self.old], flat[self.old :]), self.parents)
        return flat.reshape(len(flat), *tensor.shape[1:])

    def scales(self, old: FloatArray) -> FloatArray:
        """Row scales of all vertices, from those of the old ones: of each new one the larger of its parents'."""
        found = np.zeros(len(self.uv))
        found[: self.old] = old
        lines.larger_scale(found, self.old, self.parents)
        return found

    def next_scales(self, share: FloatArray, before: Scales, others: Sequence[tuple[Rows, FloatArray]]) -> FloatArray:
        """The same at the next layer: as large, too, as what units that cross a vertex's line leave there of their errors.

        share: (units,) of the size of what is next, for 1; before: the scales that the layer was cut with; others: what is
        beside it with 1 / the size of its entries (k,); it is not exact where all units are asleep and it is not 0.
        """
        found, rows = np.zeros(len(self.uv)), self.scales(before.rows)
        found[: self.old] = 1.0 + self.norm
        beside, awake = np.zeros(len(self.uv)), np.zeros(len(self.uv), np.uint8)
        for tensor, inverse_size in others:
            lines.add_norms(tensor, inverse_size, beside, awake)
        own = awake[: self.old] != 0
        found[: self.old][own] = np.maximum(found[: self.old][own], 1.0)
        for line in (self.edge_lines, self.chord_lines):
            lines.turned_scale(line, share, rows, before.units, before.offsets, self.old, found[self.old :])
        lines.larger_scale(found, self.old, self.parents)
        found += beside
        return found


def crossed(block: Block, plus: Words, minus: Words, mask: Words) -> tuple[npt.NDArray[np.int64], int]:
    """(F,) how many units cross each face of a block, and how many any of them; plus, minus: (V, words) packed signs at the
    vertices; mask: (words,) the units that count.
    """
    corner, first = block.edges[block.face_halves >> 1, block.face_halves & 1], block.face_offsets[:-1]
    either = [np.bitwise_or.reduceat(side[corner], first, axis=0) for side in (plus, minus)]
    both: Words = either[0] & either[1] & mask
    return ONES[both.view(np.uint8)].sum(axis=1, dtype=np.int64), len(units_of(np.bitwise_or.reduce(both, axis=0)))


def blurred_rows(block: Block, scales: Scales) -> FloatArray:
    """Scales of a block's rows, larger where a vertex may be off its place, by which values there tell no sign."""
    return scales.rows * np.maximum(block.blur, 1.0)


def settle(block: Block, decisions: Decisions, scales: Scales, plus: Words, minus: Words, turn: Words) -> int:
    """Decide the signs of values at a block's vertices that tell none; how many that are not 0 are left as they are.

    A vertex that may be off its place is put there, with all its values, for a sign decided there need not be that of where
    it stands. Both sides of a seam do so, as they ask by values that they agree on.
    """
    rows = blurred_rows(block, scales)
    limit = scales.tolerance * (rows.max() * scales.units + scales.offsets)
    left, asked = decisions.signs(block.birth, block.layer, block.values, limit, plus, minus, turn)
    far = asked[block.blur[asked] > 1.0]
    if not len(far):
        return left
    told, places = decisions.places(block.birth[far])
    for v, place, exact in zip(far[told], places[told], decisions.values(block.birth[far[told]], block.layer), strict=True):
        if exact is not None:
            block.uv[v], block.blur[v], block.values[v] = place, 0.0, exact[0]
            plus[v], minus[v] = (packed(np.flatnonzero(signs), plus.shape[1]) for signs in (exact[0] > 0.0, exact[0] < 0.0))
            for register, tensor in block.live.items():
                tensor[v] = exact[1][register].reshape(tensor.shape[1:])
    return left


def cut_edges(
    block: Block, reading: Reading, decisions: Decisions, sharpness: float
) -> tuple[EdgeCuts, int]:
    """The cuts of a block's edges, in an order that is decided exactly where it is in doubt; how many cuts are left so."""
    offsets = edge_kernels.count_cuts(block.edges, reading.plus, reading.minus)
    cuts, shared = edge_kernels.cut_edges(block.edges, block.off, block.blur, reading, offsets)
    spread: FloatArray = cuts.spread
    far = np.flatnonzero(spread > BLURRED * SAFETY * reading.scales.tolerance / 2)
    if len(far):
        edge = np.searchsorted(offsets, far, side="right") - 1
        ends = block.uv[block.edges[edge]]
        length = np.hypot(*(ends[:, 1] - ends[:, 0]).T)
        far = far[spread[far] * length * sharpness > BLURRED]
    return cuts, decisions.edges(cuts, shared, far, Ends(block.edges, block.birth, block.uv, block.blur), block.layer)


def decided_faces(block: Block, decisions: Decisions, cut_faces: Callable[[Questions], CutFaces]) -> CutFaces:
    """What cut_faces gives (see `_kernels.cutting`) once its questions are answered."""
    known, answers = np.zeros(0, np.uint64), np.zeros(0)
    room = np.empty((QUESTIONS if decisions.open else 0, 4), np.int64)
    found = cut_faces(Questions(known, answers, room))
    for _ in range(MOST_ROUNDS):
        asked = room[: found.asked]
        if not len(asked) or len(known) > MOST_QUESTIONS:
            break
        loops = [block.face_halves[block.face_offsets[f] : block.face_offsets[f + 1]] for f in asked[:, 0]]
        corners = [block.birth[block.edges[halves >> 1, halves & 1]] for halves in loops]
        more, values = decisions.answers(asked, corners, block.layer)
        if not len(more):
            break
        known, answers = np.concatenate([known, more]), np.concatenate([answers, values])
        order = np.argsort(known)
        known, answers = known[order], answers[order]
        found = cut_faces(Questions(known, answers, room))
    return found


def place(
    decisions: Decisions, birth: npt.NDArray[np.int64], blur: FloatArray, uv: FloatArray, old: int
) -> tuple[npt.NDArray[np.int64], int]:
    """Move vertices after `old` whose place is too blurred to where they are; which were moved, how many could not be."""
    far = old + np.flatnonzero(blur[old:] > BLURRED)
    if not len(far):
        return far, 0
    told, places = decisions.places(birth[far])
    uv[far[told]], blur[far[told]] = places[told], 0.0
    return far[told], int((~told).sum())


def refine(
    decisions: Decisions, layer: int, cut: Cut, keep: IntArray | None, values: FloatArray, live: Mapping[int, FloatArray]
) -> None:
    """Give the vertices that were placed exactly their exact values. keep: the vertices that are left, None: all."""
    if not len(cut.placed):
        return
    rows = cut.placed if keep is None else np.flatnonzero(np.isin(keep, cut.placed))
    birth = cut.birth if keep is None else cut.birth[keep]
    for row, told in zip(rows, decisions.values(birth[rows], layer), strict=True):
        if told is not None:
            values[row] = told[0]
            for register, tensor in live.items():
                tensor[row] = told[1][register].reshape(tensor.shape[1:])


def lines_of_edges(block: Block, cuts: EdgeCuts, parents: Parents) -> Lines:
    """A block's edges with the vertices on them, which come right after its own."""
    old, fresh = len(block.uv), int(cuts.vertex_offsets[-1])
    return Lines(
        start=np.ascontiguousarray(block.edges[:, 0]),
        end=np.ascontiguousarray(block.edges[:, 1]),
        flip_offsets=cuts.offsets,
        flip_t=cuts.t,
        flip_unit=cuts.unit,
        flip_size=cuts.size,
        target_offsets=cuts.vertex_offsets,
        target_t=parents.t[:fresh],
        target_vertex=np.arange(old, old + fresh, dtype=np.int32),
    )


# ---- seams ---------------------------------------------------------------------------------------------------------


class SeamValues:
    """The values that were decided so far in one enumeration. Safe to use from several threads.

    otherwise: values that the second block to come would have read with another sign.
    """

    def __init__(self) -> None:
        self.otherwise = 0
        self._keys = np.zeros(1 << 10, np.uint64)
        self._table = np.zeros(1 << 10)
        self._used = 0
        self._lock = threading.Lock()

    def agree(self, block: Block, scales: Scales) -> None:
        """Take over into a block, at its seams, what other blocks have decided of the layer it stands at; decide the rest.

        scales: those of the block's values (see `stages`); its rows are the block's own and are agreed on too.
        """
        row_scale, unit_scale, unit_offset, tolerance = scales
        seams = np.flatnonzero(block.key)
        if not len(seams):
            return
        vertices = np.unique(block.edges[seams])
        words = np.zeros(len(block.uv), np.uint64)
        # + 0.0, for -0.0 and 0.0 are one coordinate.
        words[vertices] = agreeing.vertex_words((block.uv[vertices] + 0.0).view(np.uint64))
        row_scale[vertices] = self._agreed(
            block.layer, words, vertices, np.full(len(vertices), agreeing.ROW), row_scale[vertices]
        )
        row_scale = blurred_rows(block, scales)
        at, unit = agreeing.decisive(
            seams, block.edges, vertices, block.values, row_scale, unit_scale, unit_offset, max(BAND, 256.0 * tolerance)
        )
        values = self._agreed(block.layer, words, at, unit, block.values[at, unit])
        other = agreeing.take_over(block.values, row_scale, unit_scale, unit_offset, tolerance, at, unit, values)
        if other:
            with self._lock:
                self.otherwise += other

    def _agreed(
        self,
        layer: int,
        words: npt.NDArray[np.uint64],
        vertices: npt.NDArray[np.integer],
        units: npt.NDArray[np.integer],
        values: FloatArray,
    ) -> FloatArray:
        with self._lock:
            if 2 * (self._used + len(values)) > len(self._keys):
                self._grow(self._used + len(values))
            self._used += agreeing.agreed(self._keys, self._table, words, layer, vertices, units, values)
        return values

    def _grow(self, entries: int) -> None:
        size = 1 << int(np.ceil(np.log2(4 * entries)))
        keys, table = np.zeros(size, np.uint64), np.zeros(size)
        agreeing.rehashed(self._keys, self._table, keys, table)
        self._keys, self._table = keys, table
