"""Engine: layer by layer a block's complex is cut, and values are computed at its vertices, old and new.

    z at the block's vertices --signs--> cut edges --> cut faces --> z' at old vertices by the network's own calls,
                                                                     at new ones from the ends of their line

A new vertex lies on a line, an old edge or a chord of an old face, along which the next layer's values follow from
its ends by rank-1 updates (`_kernels.lines`). Where a skip connection is alive beside the kink, or the stage is too
large for a matrix, every live tensor is interpolated at the new vertices and the stage runs on all of them.
Knows blocks and stages, not the window, the threads or the result.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from splineviz._kernels import bits, cutting, dissolving, lines
from splineviz._kernels import edges as edge_kernels
from splineviz._kernels import winners as winner_kernels
from splineviz._kernels.arrangement import Questions
from splineviz._kernels.bits import Reading, Scales
from splineviz._kernels.compiling import ahead
from splineviz._kernels.cutting import CutFaces, Faces
from splineviz._kernels.lines import Rows
from splineviz.errors import FloatArray, IntArray
from splineviz.regions.blocks import LAYERS, MANY, Block, dissolve, release_memory
from splineviz.regions.cuts import (
    SAFETY,
    Cut,
    Turns,
    Words,
    blurred_rows,
    cut_edges,
    decided_faces,
    lines_of_edges,
    place,
    refine,
    settle,
)
from splineviz.regions.decisions import Decisions
from splineviz.regions.nearby import Nearby
from splineviz.regions.stages import Stage, on_slice, stages
from splineviz.threads import Share, available, one_by_one
from splineviz.tracing.lowering import Round, lower
from splineviz.tracing.program import Program

Played = tuple[npt.NDArray[np.uint64], npt.NDArray[np.integer[Any]] | None]
TOLERANCE = 2.0**-46
"""Default tolerance: values this small relative to their unit's scale (64 units of rounding) are read as 0."""
ENTRIES = 1 << 21
"""About how many values are looked at at a time where a knot's unit is asked for."""


class Engine:
    """One network on one slice: its stages and scales, and what is counted on the way. Safe to use from several threads.

    near: the network beside a point, for a window that is small beside its values; samples are then differences from it.
    summed: sizes of what is summed for each entry of an input, see `stages`: ties of a pool over a background that is even
    at a sample are off by its rounding on the plane through it, and are ties (see `place`).
    """

    def __init__(
        self, program: Program, samples: FloatArray, tolerance: float, near: Nearby | None = None,
        summed: FloatArray | None = None,
    ):  # fmt: skip
        ahead.expect(available)
        self.source, self.near = program, near
        self.lowered = lower(program) if near is None else near.lowered
        self.program = self.lowered.program
        self.tolerance = tolerance
        self.stages = stages(self.program, samples, self.lowered.meetings, summed if any(self.lowered.rounds) else None)
        sizes = [layer.units for layer in self.program.layers]
        self.unit_offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        # A comparison takes no part in a pattern; who wins in the end does.
        self.unit_hashes = [
            bits.unit_hashes(self.lowered.layers[own].first_piece, n) if round_ is None else np.zeros(n, np.uint64)
            for n, round_, own in zip(sizes, self.lowered.rounds, self.lowered.kink_layers, strict=True)
        ]
        self.share: Share = one_by_one
        self.marks = np.uint64(0)
        self.near_zero = 0
        self.irregular = 0
        self.turns = Turns()
        self._scales: list[tuple[FloatArray, FloatArray]] = [(s.unit_scale, s.unit_offset) for s in self.stages]
        self._lock = threading.Lock()
        self._decisions: Decisions | None = None

    @property
    def layers(self) -> int:
        """Number of kink layers."""
        return len(self.program.layers)

    def row_bytes(self, layer: int) -> int:
        """Bytes that a vertex takes while a layer is cut and its values are brought to the next."""
        shapes = self.stages[layer + 1].shapes.values()
        return 8 * (self.stages[layer].width + self.stages[layer + 1].width + sum(int(np.prod(shape)) for shape in shapes))

    def place(
        self, block: Block, origin: FloatArray, directions: FloatArray, centre: FloatArray, corners: FloatArray | None = None
    ) -> None:
        """Give a block the values of stage 0 at its vertices, whose uv (V, 2) are relative to `centre` (d,) on the slice.

        origin and directions: see `stages.on_slice`; on a line (d = 1) only u counts. corners: (m, 2) points whose
        differences from the centre are rounded: a vertex at such a difference stands for the point itself.
        """
        self._slice = origin, directions, centre
        if self._decisions is None:
            self._decisions = Decisions(self.program, origin, directions, centre)
            # Ties of a pool hold on the sample, not on the plane that is rounded through it: there the tolerance decides.
            self._decisions.open &= not any(self.lowered.rounds) and self.near is None
        radius = float(np.linalg.norm(block.uv, axis=1).max())
        # Where nothing is decided, as after decisions ended on the way, a vertex is taken to be where it stands.
        self._sharpness = 1.0 / (SAFETY * self.tolerance * radius) if self._decisions.open and radius > 0.0 else 0.0
        block.birth, block.blur = self._decisions.corners(block.uv, corners), np.zeros(len(block.uv))
        stage = self.stages[0]
        maps, error = on_slice(stage, origin, directions, centre)
        uv = block.uv[:, : len(directions)]
        values = {r: np.ascontiguousarray(value + uv @ slope) for r, (value, slope) in maps.items()}
        block.values = values.pop(stage.result)
        shapes = self.stages[1].shapes if self.layers else {}
        block.live = {r: value.reshape(len(value), *shapes[r]) for r, value in values.items() if r in shapes}
        block.row_scale = np.linalg.norm(uv, axis=1)
        # On the slice the scale of a unit is that of its slope there, not of its weights in input space.
        self._scales[0] = (np.linalg.norm(maps[stage.result][1], axis=0), error)

    def reading(self, step: int, uv: FloatArray) -> FloatArray:
        """What a step of the network that was traced reads at points uv (n, 2) of the slice, (n, entries)."""
        origin, directions, centre = self._slice
        x = origin + np.tensordot(uv[:, : len(directions)] + centre, directions, axes=1)
        with torch.no_grad():
            live = self.source.run({0: torch.from_numpy(x).to(self.source.device)}, 0, step)
        return live[self.source.steps[step].inputs[0]].reshape(len(uv), -1).cpu().numpy()

    def changing(self, one: FloatArray, other: FloatArray, unit: IntArray) -> IntArray:
        """A unit (n,) whose piece at uv `one` (n, 2) is another than at `other`: the one given, else of the first layer that
        has one, the one farthest from its knot; the one given if there is none.
        """
        found, open_ = unit.copy(), np.ones(len(unit), bool)
        for layer, first in zip(self.lowered.layers, self.lowered.unit_offsets, strict=False):
            rows = np.flatnonzero(open_)
            if not len(rows):
                break
            for some in np.array_split(rows, len(rows) * max(layer.units, ENTRIES // 64) // ENTRIES + 1):
                if self.near is None:
                    z = np.stack([layer.members(self.reading(layer.step, uv[some])) for uv in (one, other)])
                else:
                    z = np.stack([self.near.reading(layer, uv[some], self._slice[2]) for uv in (one, other)])
                far = layer.changes(z)
                units = far.argmax(axis=1)
                own = unit[some] - first
                inside = np.flatnonzero((own >= 0) & (own < layer.units))
                kept = inside[far[inside, own[inside]] > 0.0]
                units[kept] = own[kept]
                changed = far[np.arange(len(some)), units] > 0.0
                found[some[changed]] = (first + units)[changed]
                open_[some[changed]] = False
        return found

    def take_turns(self, block: Block, *pace: float) -> None:
        """Let the layer a block stands at, the first, be cut in several turns if many of its units cross the window.
        Decided once, at the window, so that all blocks take the same turns; pace: see `Turns.among`.
        """
        if self.layers:
            plus, minus, *_ = self.signs(block)
            crossing = np.bitwise_or.reduce(plus, axis=0) & np.bitwise_or.reduce(minus, axis=0)
            self.turns = Turns.among(crossing, block.layer, *pace)

    @property
    def output_scale(self) -> FloatArray:
        """(C,) size of what the outputs are summed from in the window."""
        last = self.stages[-1]
        return last.unit_scale + last.unit_offset

    @property
    def rank(self) -> npt.NDArray[np.int64]:
        """(units,) the order in which the units of `lowered.layers` cut: by layer, in the first by turn, then by number."""
        rank = self.turns.rank(int(self.unit_offsets[:2][-1]), int(self.unit_offsets[-1]))
        own = np.full(self.lowered.unit_offsets[-1], np.iinfo(np.int64).max)
        np.minimum.at(own, self.lowered.own_units, rank)
        return own

    # ---- one layer ---------------------------------------------------------------------------------

    def advance(self, block: Block, cut: Cut | None = None) -> Block:
        """Cut a block by the kink layer it stands at (or take the cut given), and bring its values to the next."""
        cut = self.cut(block) if cut is None else cut
        if self.unit_offsets[-1] > MANY:
            release_memory(early=True, small=self.unit_offsets[-1] > LAYERS)
        with self._lock:
            self.near_zero += cut.near_zero
            self.irregular += cut.irregular
        last_turn = self.turns.is_last(block.layer, block.turn)
        round_, winners, keep = self.lowered.rounds[block.layer], None, None
        after, z = cut, cut.bent(block.values) if round_ is not None and last_turn else None
        if round_ is not None:
            face_hash, winners = self._unplayed(block, cut) if z is None else self._played(block, cut, round_, z)
            after = cut._replace(faces=cut.faces._replace(hash=face_hash))
            if last_turn and round_.is_last and block.faces:
                after, keep = self._dissolved(after)
        if last_turn:
            values, row_scale, live = self._next_values(block, cut, self.stages[block.layer + 1], keep, z)
        else:
            values, row_scale, live = self._same_values(block, cut)
        refine(self.decisions, block.layer + last_turn, cut, keep, values, live)
        return Block(
            place=block.place,
            layer=block.layer + last_turn,
            uv=after.uv,
            edges=after.edges,
            tag=after.tag,
            key=after.key,
            face_offsets=after.faces.offsets,
            face_halves=after.faces.halves,
            face_hash=after.faces.hash,
            values=values,
            row_scale=row_scale,
            live=live,
            share=block.share,
            turn=0 if last_turn else block.turn + 1,
            winners=winners,
            birth=cut.birth if keep is None else cut.birth[keep],
            blur=cut.blur if keep is None else cut.blur[keep],
            off=after.off,
        )

    def cut(self, block: Block) -> Cut:
        """The block's complex after the cuts of its kink layer."""
        z, layer = block.values, block.layer
        plus, minus, norm, near_zero = self.signs(block)
        is_round = self.lowered.rounds[layer] is not None
        turn = self.turns.mask(layer, block.turn, plus.shape[1])
        reading = Reading(plus & turn, minus & turn, z, self.scales_at(block))
        cuts, undecided = cut_edges(block, reading, self.decisions, self._sharpness)
        # With hashes of units that are all 0, a face of a round hands on whose part it is.
        face_hash = np.arange(block.faces, dtype=np.uint64) if is_round else block.face_hash
        spare = len(block.edges) // 2
        skeleton = edge_kernels.split_edges(
            block.uv, block.blur, block.edges, block.off, block.tag, block.key, layer, cuts, self._sharpness, spare, spare
        )

        def cut_faces(questions: Questions) -> CutFaces:
            found: CutFaces = cutting.cut_faces(
                Faces(block.face_offsets, block.face_halves, face_hash), block.edges, skeleton, reading, cuts,
                self.unit_hashes[layer], int(self.unit_offsets[layer]), self._sharpness, questions,
            )  # fmt: skip
            return found

        found = decided_faces(block, self.decisions, cut_faces)
        uv, blur, parents, edges, off, tag, key = found.skeleton
        birth = self.decisions.born(layer, parents, block.birth)
        placed, left = place(self.decisions, birth, blur, uv, len(z))
        return Cut(
            old=len(z),
            plus=plus,
            minus=minus,
            norm=norm,
            uv=uv,
            parents=parents,
            edges=edges,
            off=off,
            tag=tag,
            key=key,
            faces=found.faces,
            edge_lines=lines_of_edges(block, cuts, parents),
            chord_lines=found.chords,
            lost=found.lost,
            birth=birth,
            blur=blur,
            placed=placed,
            near_zero=near_zero + undecided + found.made_zero + left,
            irregular=found.irregular,
        )

    @property
    def decisions(self) -> Decisions:
        """What decides where double precision cannot; there is one as soon as a block was placed."""
        assert self._decisions is not None
        return self._decisions

    def scales_at(self, block: Block) -> Scales:
        """What is read as 0 in a block: the scales of its rows (V,), of its units (units,), their offsets, the tolerance."""
        return Scales(block.row_scale, *self._scales[block.layer], self.tolerance)

    def signs(self, block: Block) -> tuple[Words, Words, FloatArray, int]:
        """Packed signs of the block's values, the norm of each row in units of the typical sizes, and the number of values
        of the units that are cut in this turn which were read as 0 and could not be decided.
        """
        z, layer, words = block.values, block.layer, (block.values.shape[1] + 63) // 64
        plus, minus = np.empty((len(z), words), np.uint64), np.empty((len(z), words), np.uint64)
        norm = np.empty(len(z))
        following = self.stages[layer + 1]
        low, high = self.program.layers[layer].kinks.slopes
        inverse_size = following.inverse_size[following.source]
        scales = self.scales_at(block)
        read = scales._replace(rows=blurred_rows(block, scales))
        near, zeros = bits.sign_bits(z, *read, inverse_size, low, high, plus, minus, norm)
        if self.near is not None:
            self.near.check(layer, plus, minus)
        if not zeros or not (near or self.decisions.open):  # a 0 that is one leaves nothing to be told
            return plus, minus, norm, 0
        turn = self.turns.mask(layer, block.turn, words)
        if self.lowered.rounds[layer] is not None:
            counted = turn & bits.packed(np.flatnonzero(scales.rows.max() * scales.units + scales.offsets > 0.0), words)
            return plus, minus, norm, winner_kernels.clear_zeros(z, plus, minus, counted)
        return plus, minus, norm, settle(block, self.decisions, scales, plus, minus, turn)

    # ---- rounds of a tournament ----------------------------------------------------------------------

    def _played(self, block: Block, cut: Cut, round_: Round, z: Rows) -> Played:
        """Hashes of the faces after a round, and who is left in each group on each face (None after the last round)."""
        parents = cut.faces.hash
        layer = self.lowered.layers[round_.layer]
        assert layer.groups is not None
        before = block.winners
        if before is None:
            small = np.uint8 if round_.entrants <= 256 else np.int32
            before = np.repeat(np.arange(round_.entrants), layer.units)[None].astype(small)
        after = np.empty_like(before, shape=(len(parents), before.shape[1] - z.old.shape[1]))
        faces = Faces(block.face_offsets, block.face_halves, block.face_hash)
        winner_kernels.play(faces, block.edges, cut.plus, cut.minus, cut.faces, cut.edges, z, before, after)
        face_hash = block.face_hash[parents]
        if not round_.is_last:
            return face_hash, after
        winner_kernels.add_pieces(after, layer.first_piece, layer.groups.shape[1], face_hash)
        return (face_hash & ~self.marks) | (block.face_hash[parents] & self.marks), None

    def _dissolved(self, cut: Cut) -> tuple[Cut, IntArray]:
        """The cut complex without edges that no knot is on, and the vertices that are left; what lies on seams is left."""
        offsets, halves, face_hash = cut.faces
        edge_faces = dissolving.faces_of_edges(offsets, halves, len(cut.edges))
        rim = np.zeros(len(cut.uv), bool)
        rim[cut.edges[(edge_faces < 0).any(axis=1)]] = True
        loops = cut.edges[halves >> 1, halves & 1]
        one = dissolve(cut.uv, cut.edges, cut.tag, edge_faces, offsets, loops, face_hash, self.lowered.round_tags, rim)
        with self._lock:
            self.irregular += one.stray
        left = cut._replace(
            uv=cut.uv[one.old_vertex],
            edges=one.edges,
            off=cut.off[one.old_edge],
            tag=cut.tag[one.old_edge],
            key=cut.key[one.old_edge],
            faces=Faces(one.face_offsets, one.face_halves, face_hash[one.old_face]),
        )
        return left, one.old_vertex

    def _unplayed(self, block: Block, cut: Cut) -> Played:
        """The same before a round's last turn: nobody has won yet."""
        parents = cut.faces.hash
        return block.face_hash[parents], None if block.winners is None else block.winners[parents]

    # ---- values at the next layer ------------------------------------------------------------------

    def _next_values(
        self, block: Block, cut: Cut, stage: Stage, keep: IntArray | None = None, z: Rows | None = None
    ) -> tuple[FloatArray, FloatArray, Mapping[int, FloatArray]]:
        """Inputs of the next kink layer (or the outputs) at all vertices, their row scale, and the other live tensors.

        keep: vertices to evaluate alone, after the last round of a tournament; z: the kink's inputs, where they are at hand.
        """
        assert stage.before is not None
        low, high = stage.before.kinks.slopes
        share, kink = (high - low) * stage.shares[stage.source], self._kink_input(stage)
        if stage.columns is not None:
            values, scale = np.empty((len(cut.uv), stage.width)), cut.next_scales(share, self.scales_at(block), [])
            stage.run({kink: Rows.of(block.values)}, values[: cut.old], self.share)
            for line in (cut.edge_lines, cut.chord_lines):
                lines.propagate(line, high - low, stage.columns, values)
            if len(cut.lost):  # on no single chord: z between the parents, then kink and stage in full
                found = np.empty((len(cut.lost), stage.width))
                stage.run({kink: cut.bent(block.values)}, found, which=cut.lost.astype(np.int64))
                values[cut.lost] = found
            return values, scale, {}
        live = {register: cut.rows(tensor) for register, tensor in block.live.items()}
        live[kink] = cut.bent(block.values) if z is None else z
        others = [(live[register], size) for register, size in stage.inverse_size.items() if register != stage.source]
        scale = cut.next_scales(share, self.scales_at(block), others)
        scale = scale if keep is None else scale[keep]
        values = np.empty((len(scale), stage.width))
        return values, scale, stage.run(live, values, self.share, None if keep is None else keep.astype(np.int64))

    def _same_values(self, block: Block, cut: Cut) -> tuple[FloatArray, FloatArray, Mapping[int, FloatArray]]:
        """Inputs of the same kink layer at all vertices, between two turns: affine on every face, so interpolated."""
        live = {register: cut.widened(tensor) for register, tensor in block.live.items()}
        return cut.widened(block.values), cut.scales(block.row_scale), live

    def _kink_input(self, stage: Stage) -> int:
        assert stage.before is not None
        return self.program.steps[stage.before.step].inputs[0]
