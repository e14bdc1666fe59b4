r"""Estimates: how many regions a window holds and costs, before they are enumerated; windows that hold about so many.

    layer 1      layer 2      layer 3         The enumeration itself (`engine`), but of a few faces alone: after every layer
    +-----+      +--+--+      +--+--+         each face is kept with a known chance and stands for as many more as the
    |  #  |  ->  |\ #  |  ->  |##|  |  ->     inverse says (`geometry.thinning`). At the end the weights sum to the number
    +-----+      +--+--+      +--+--+         of regions, on average exactly; the error is what the chances left to chance.

Faces that more units cross at the next layer are kept rather, so stars of knots, and knots in a corner of a window that is
far larger, are not missed. What a layer makes of one face is bounded: few units cut at a time. In a tournament that does
not go, as its pieces are one region only after the last round: where one comes first, `geometry.tilings` takes the
window apart.

As many faces are kept however many there are, so a window of 10^7 regions costs no more than one of 10^3.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from splineviz.errors import FloatArray, PlaneError
from splineviz.geometry.plane import Plane
from splineviz.geometry.thinning import Ids, Stage, chances, kept, order, variance
from splineviz.geometry.tilings import Tile, halved, sides_within, whole
from splineviz.regions.blocks import Block
from splineviz.regions.crossings import seen as seen
from splineviz.regions.cuts import crossed
from splineviz.regions.nearby import TooFar
from splineviz.threads import one_by_one
from splineviz.tracing.lowering import lower
from splineviz.tracing.precision import at_home
from splineviz.tracing.program import Program
from splineviz.tracing.trace import trace

if TYPE_CHECKING:
    from splineviz.regions.enumerate import Slice

IN_FLIGHT_BYTES = 3e8
"""Memory of the blocks on their way and of the compiled kernels; the rest is about 250 bytes a region (see benchmarks)."""
CLOSE = 0.2
"""Logarithm of the ratio of expected and wanted regions at which a window is good enough."""
NEARLY = 0.6
"""The same where no scale is that close: the number may jump where a star of knots comes in."""
CLEARLY = 2.0
"""An estimate so many times larger than asked for stops: it is clear enough."""
FACES = 64
"""Faces that are kept after a layer."""
BESIDE = 1.0
"""A face is kept with a chance in proportion to the units that cross it next, and so many more."""
AT_ONCE, GROWTH, ALL = 16, 1.5, 1 << 62
"""Units that cut a face at first where more than twice as many cross it; how many times more the next turn; all."""
MARKS = np.uint64((1 << 24) - 1)
"""Bits of a face's hash by which its parts are known."""
MOST_BYTES = 64 << 20
"""Faces whose values take more at a layer are taken through it in parts."""
LEAST = 3e-6
"""Seconds that a vertex takes at the least."""
MOST_UNITS, MOST_HALVINGS, FEWER, IN_VAIN = 300, 64, 0.75, 4
"""Units that may cross the window where a tournament comes first; beyond, it is halved until few cross a tile, or so often,
or until so many halvings in turn have not left this share of them: at a star of knots they do not become fewer."""
SETTING_UP, OF_UNITS, OF_MAXIMA = 132, 1.2, 5.0
"""An enumeration costs about so many rows before it begins, and a region; with maxima many knots come and go again."""


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


def shrink_to_fit(program: Program, plane: Plane, corners: FloatArray, most: int) -> float | None:
    """The factor by which to shrink a window (m, 2) about its centre so that it holds at most so many regions, by two errors
    of what is expected there; None if none was found.
    """
    centre, factor = corners.mean(axis=0), 1.0
    for _ in range(12):
        found = _counted(program, plane, centre + factor * (corners - centre), most=most)
        if found.regions + 2.0 * found.error <= 0.8 * most:
            return factor
        # Regions are not spread evenly, so the area alone does not tell: look again at the smaller window.
        factor *= float(np.clip(np.sqrt(0.7 * most / (found.regions + 2.0 * found.error)), 0.02, 0.9))
    return None


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
    program, centre = trace(model, plane.input_shape, borrow=True), corners.mean(axis=0)
    offsets = corners - centre
    low, high, factor = 0.0, np.inf, 1.0
    best: tuple[float, float, _Count] | None = None
    for turn in range(24):
        found = _counted(program, plane, centre + factor * offsets, most=regions)
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
    return centre + best[1] * offsets, _estimate(program, best[2], None)


def _least_factor(plane: Plane, centre: FloatArray, offsets: FloatArray) -> float:
    """Windows that are scaled by less than this are too small beside the inputs for double precision."""
    return 2.0**-36 * max(float(np.abs(plane.embed(centre[None])).max()), 1e-300) / float(np.abs(offsets).max())


@at_home
def estimate(
    model: Any, plane: Plane, window: Any = None, *, faces: int | None = None, seed: int = 0, most: int | None = None
) -> Estimate:
    """Predict regions, seconds and memory of `partition(model, plane, window=window)` without enumerating all.

    Args:
        model: as in `partition`.
        plane: as in `partition`.
        window: as in `partition`.
        faces: number of faces that are kept after every layer; None: 64. The error goes with its root.
        seed: of the faces.
        most: stop as soon as there are clearly more regions; the estimate then says `more_than` this.

    Returns:
        The estimate with its standard error.

    Raises:
        TraceError, PlaneError: as in `partition`.
    """
    plane = Plane.of(plane)
    program = trace(model, plane.input_shape, borrow=True)
    return _estimate(program, _counted(program, plane, plane.window(window), faces=faces, seed=seed, most=most), most)


@dataclass(frozen=True)
class _Count:
    """regions and their standard error; more: whether it was stopped because there are clearly more than asked for.

    a_row: seconds of the network for one vertex, as far as it came.
    """

    regions: float
    error: float
    a_row: float
    more: bool = False


class _Thinned:
    """An enumeration of which a few faces are kept after every layer; block: these, weight (F,): how many each stands for.

    stages, owners: what was thinned, and for each the face of it that every face now is a part of.
    """

    def __init__(self, job: Slice, faces: int, seed: int):
        self.engine, self.faces, self.rng = job.engine, faces, np.random.default_rng(seed)
        self.engine.marks = MARKS
        self.engine.unit_hashes = [hashes & ~MARKS for hashes in self.engine.unit_hashes]
        self.engine.share = self._timed
        # No exact decisions: what doubles cannot tell apart is few, and a decision costs as much as many faces.
        self.engine.decisions.open = False
        job.place(job.whole)
        self.block, self.weight, self.beside = job.whole, np.ones(1), 0.0
        self.stages: list[Stage] = []
        self.owners: list[Ids] = []
        self.layer, self.spent, self.asked = 0, np.zeros(self.engine.layers), np.zeros(self.engine.layers)
        if self.engine.layers and self.engine.lowered.rounds[0] is not None:
            self._tile(job)

    def _timed(self, calls: Sequence[Callable[[], None]]) -> None:
        began = time.thread_time()
        one_by_one(calls)
        self.spent[self.layer] += time.thread_time() - began

    def _tile(self, job: Slice) -> None:
        """Halve the window until few units cross each tile: a tournament is thinned after its last round alone."""
        self.engine.take_turns(job.whole, ALL)
        tiles = [whole(job.corners - job.centre)]
        least = self._crossing(job, tiles)
        vain = np.full(1, 0 if least[0] > MOST_UNITS else IN_VAIN)
        for _ in range(MOST_HALVINGS):
            crossing = self._crossing(job, tiles)
            fewer = crossing < FEWER * least
            least, vain = np.where(fewer, crossing, least), np.where(fewer & (vain < IN_VAIN), 0, vain)
            many = (crossing > 2 * AT_ONCE) & (vain < IN_VAIN)
            if not many.any():
                break
            shares = self.rng.uniform(0.4, 0.6, len(tiles))
            parts = [halved(*one) if cut else one[:1] for *one, cut in zip(tiles, shares, many, strict=True)]
            of = np.repeat(np.arange(len(tiles)), [len(some) for some in parts])
            tiles = [one for some in parts for one in some]
            least, vain = least[of], vain[of] + many[of]
            self._note(of, np.ones(len(of)), self.weight[of])
            if len(tiles) > self.faces:
                self._crossing(job, tiles)
                _, of, chance, weight = self._thinned(self.block, np.arange(len(tiles)), self.faces)
                tiles, least, vain = [tiles[i] for i in of], least[of], vain[of]
                self._note(of, chance, weight)
        self._crossing(job, tiles)
        inner = np.array([tile.inner for tile in tiles])
        self.beside = 1.0 + float((self.weight * (0.5 * inner - 1.0)).sum())

    def _crossed(self, block: Block) -> tuple[Ids, int]:
        """(F,) how many units that are next to cut a block cross each of its faces, and how many any of them."""
        plus, minus, *_ = self.engine.signs(block)
        return crossed(block, plus, minus, self.engine.turns.mask(block.layer, block.turn, plus.shape[1]))

    def _crossing(self, job: Slice, tiles: Sequence[Tile]) -> Ids:
        """How many units cross each tile, which from now on are the block."""
        block = _joined([Block.of_window(tile.corners) for tile in tiles])
        block.tag = np.concatenate([tile.sides for tile in tiles])
        self.block = job.place(block)
        return self._crossed(self.block)[0]

    def count(self, most: int | None) -> _Count:
        """To the last layer, or to where there are clearly more regions."""
        layer = -1
        while self.block.layer < self.engine.layers:
            if self.block.layer > layer:
                layer = self.block.layer
                self._take_turns()
            self._step()
            found = self._found()
            if most is not None and found.regions > CLEARLY * most and found.regions - 3.0 * found.error > most:
                return replace(found, more=True)
        return self._found()

    def _found(self) -> _Count:
        totals = self.weight
        if self.beside:
            sides = self.block.tag[self.block.face_halves >> 1]
            totals = totals * (1.0 - 0.5 * sides_within(sides, self.block.face_offsets))
        error = float(np.sqrt(variance(self.stages, self.owners, totals)))
        return _Count(self.beside + float(totals.sum()), error, float((self.spent / np.maximum(self.asked, 1.0)).sum()))

    def _take_turns(self) -> None:
        """Let a layer that cuts a face into many be cut by a few units at a time."""
        self.engine.take_turns(self.block, ALL)
        if self.engine.lowered.rounds[self.block.layer] is None:
            crossing, units = self._crossed(self.block)
            if crossing.max() > 2 * AT_ONCE:
                self.engine.take_turns(self.block, AT_ONCE * units // int(crossing.max()), GROWTH)

    def _step(self) -> None:
        """Through one layer, or one turn of it."""
        block, made = self.block, []
        block.face_hash = (block.face_hash & ~MARKS) | np.arange(block.faces, dtype=np.uint64)
        for after, parents in self._parts(block):
            of = (after.face_hash & MARKS).astype(np.int64)
            made.append(self._thinned(after, of, -(-self.faces * parents // block.faces)))
        blocks, owner, chance, weight = zip(*made, strict=True)
        self.block = _joined(blocks)
        self._note(np.concatenate(owner), np.concatenate(chance), np.concatenate(weight))

    def _note(self, of: Ids, chance: FloatArray, weight: FloatArray) -> None:
        """Take over the weights of faces that are parts of those numbered `of`, kept with a chance."""
        self.owners = [one[of] for one in self.owners]
        self.weight = weight / chance
        if (chance < 1.0).any():
            self.stages.append(Stage(chance, weight))
            self.owners.append(np.arange(len(of)))

    def _thinned(self, after: Block, of: Ids, count: int) -> tuple[Block, Ids, FloatArray, FloatArray]:
        """What is kept of a block, whose faces are parts of those numbered `of`: that, chance and weight of each."""
        weight = self.weight[of]
        if after.layer == self.engine.layers or after.faces <= count:
            return after, of, np.ones(after.faces), weight
        size = weight * (BESIDE + self._crossed(after)[0])
        some = order(after._middles())
        chance = chances(size[some], count)
        which = kept(chance, self.rng)
        some, chance = some[which], chance[which]
        return _only(after, some), of[some], chance, weight[some]

    def _parts(self, block: Block) -> Iterator[tuple[Block, int]]:
        """A block after its layer, in parts if it is too large, and of how many faces each was made."""
        left = [block]
        while left:
            part = left.pop()
            after = self._after(part)
            if after is None:
                middle = part.faces // 2
                left += [_only(part, np.arange(middle, part.faces)), _only(part, np.arange(middle))]
            else:
                yield after, part.faces

    def _after(self, part: Block) -> Block | None:
        """A block after its layer, with the others of a tournament; None if it is too large."""
        faces = part.faces
        while True:
            cut = self.engine.cut(part)
            if len(cut.uv) * self.engine.row_bytes(part.layer) > MOST_BYTES and faces > 1:
                return None
            self.layer = part.layer
            self.asked[self.layer] += cut.old if self.engine.stages[part.layer + 1].has_columns else len(cut.uv)
            part = self.engine.advance(part, cut)
            if part.winners is None:
                return part


def _only(block: Block, faces: Ids) -> Block:
    """Some faces of a block, in the order given; where others were nothing is sewn to."""
    sizes = np.diff(block.face_offsets)[faces]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    part, taken = copy(block), np.arange(offsets[-1]) + np.repeat(block.face_offsets[:-1][faces] - offsets[:-1], sizes)
    part.face_halves = block.face_halves[taken]
    part.face_offsets, part.face_hash = offsets.astype(np.int32), block.face_hash[faces]
    return part.split_at(np.array([0, len(faces)]), 0)[0]


def _joined(blocks: Sequence[Block]) -> Block:
    """Blocks at the same layer as one, side by side."""
    if len(blocks) == 1:
        return blocks[0]
    vertices = np.cumsum([0, *(len(one.uv) for one in blocks)])
    edges = np.cumsum([0, *(len(one.edges) for one in blocks)])
    corners = np.cumsum([0, *(len(one.face_halves) for one in blocks)])
    joined = copy(blocks[0])
    for name in ("uv", "tag", "key", "face_hash", "values", "row_scale", "birth", "blur", "off"):
        setattr(joined, name, np.concatenate([getattr(one, name) for one in blocks]))
    joined.live = {r: np.concatenate([one.live[r] for one in blocks]) for r in joined.live}
    each = list(zip(blocks, vertices, edges, corners, strict=False))
    joined.edges = np.concatenate([one.edges + np.int32(v) for one, v, _, _ in each])
    joined.face_halves = np.concatenate([one.face_halves + np.int32(2 * e) for one, _, e, _ in each])
    ends = [one.face_offsets[1:] + np.int32(c) for one, _, _, c in each]
    joined.face_offsets = np.concatenate([np.zeros(1, np.int32), *ends])
    return joined


def _counted(
    program: Program, plane: Plane, corners: FloatArray, *, faces: int | None = None, seed: int = 0, most: int | None = None
) -> _Count:
    """About how many regions a window (m, 2) holds."""
    from splineviz.regions.enumerate import Slice  # a door upward: that file asks this one for a window that fits

    job = Slice(program, plane, corners)
    while True:
        try:
            return _Thinned(job, faces or FACES, seed).count(most)
        except TooFar:
            job.nearer()


def _estimate(program: Program, count: _Count, most: int | None) -> Estimate:
    lowered = lower(program)
    rows = SETTING_UP + count.regions * (OF_MAXIMA if any(lowered.rounds) else OF_UNITS)
    outputs = int(np.prod(program.shapes()[program.output]))
    held = IN_FLIGHT_BYTES + count.regions * (250.0 + 16.0 * outputs)
    seconds = 0.01 + rows * max(count.a_row, LEAST)
    return Estimate(count.regions, count.error, seconds, held, most if count.more else None)
