"""What the model says about the faces of a partition, and where rounding leaves it undecided.
Also the model's copy in evaluation mode that is asked.

The model is run at every corner and at one point inside every face (the mean of its vertices), in chunks of faces.
This file draws no conclusions: `certificate.py` does.

Rounding. A value decides nothing when it is within the rounding of its own computation. Sums of products are backward
stable (Higham, Accuracy and Stability of Numerical Algorithms, ch. 3): the computed value is the exact one of weights
and inputs that are off by a few units in the last place. So rounding is *measured*: the Program is run with all
weights, inputs and results of operations without weights moved by random relative steps of 2^-26, and the largest change,
scaled back to 2^-53 and times SAFETY, is the tolerance of each unit and output (at least SAFETY roundings of its largest
value). This knows every operation and all cancellation without a table. It is taken at a sample of faces, and once more at
the points of every face that would fail.
"""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from splineviz._kernels import certificates as _kernels
from splineviz.errors import CertificateError, FloatArray, IntArray
from splineviz.geometry.partition import Partition
from splineviz.regions.nearby import Rounded, beside
from splineviz.regions.precise import DIGITS
from splineviz.tracing.affine import LARGE, Weights, moved, nudged
from splineviz.tracing.lowering import Layer, lower, spans
from splineviz.tracing.precision import Double
from splineviz.tracing.program import Program

SAFETY = 64.0
"""Units of measured rounding below which a value decides nothing."""
STEP = 2.0**-26
"""Relative step by which weights and inputs are moved to measure rounding."""
SAMPLE, FEWEST = 512, 16
"""Faces at which rounding is measured first; of a network so large that their values took more than VALUES, fewer."""
PAIRS = 3
"""How often weights and inputs are moved, each time both ways: a unit that cancels to 0 wakes one way, if not the other."""
VALUES = 32 << 20
"""Bytes of values that are read at a time."""
ROW_BYTES = 16 << 20
"""Bytes of the widest tensor of a call: torch unfolds all pictures of a batch in double precision at once."""
MEASURED = 8192
"""Of the faces that would fail, at most about this many have their own rounding measured."""

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Corners:
    """The faces' corners, flat: face, vertex, next and last vertex, the edge to the next (-1: none) and the face's side."""

    face: Ids
    here: Ids
    there: Ids
    before: Ids
    edge: Ids
    side: Ids


class Testimony:
    """What was said of every face and edge; errors (F,) are in tolerances, so 1 is what rounding explains at once.

    pattern: (F,) hash read inside; undecided: (F,) whether a unit there is too close to 0 to tell its sign;
    explained: (F,) whether such units explain a pattern that is not the face's own.
    sign, sign_unit: largest contradiction of signs at the corners. knot: value of an edge's unit at the edge's ends.
    output, interior: of outputs at the vertices and of the affine map inside. edge_sign: (E, 2) sign of each edge's
    unit inside its left and right face, 0 if undecided; of a max layer 1 + the winner. relative: (F, 2) the errors of
    output and interior relative to the largest output. unit_hash, unit: of every piece of a kink layer its hash and the
    unit it is.
    """

    def __init__(self, faces: int, edges: int, unit_hash: npt.NDArray[np.uint64], unit: Ids):
        self.unit_hash, self.unit = unit_hash, unit
        self.pattern = np.zeros(faces, np.uint64)
        self.undecided = np.zeros(faces, bool)
        self.explained = np.zeros(faces, bool)
        self.sign, self.sign_unit = np.zeros(faces), np.full(faces, -1)
        self.knot, self.output, self.interior = np.zeros(faces), np.zeros(faces), np.zeros(faces)
        self.edge_sign = np.zeros((edges, 2), np.int32)
        self.relative = np.zeros((faces, 2))

    def wrong_pattern(self, claimed: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """(F,) whether the pattern read is not the one claimed, nor explained by undecided units."""
        return (self.pattern != claimed) & ~self.explained

    def same_side(self, edge_faces: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """(E,) whether an inner edge's unit has the same sign on both sides."""
        left, right = self.edge_sign.T
        return (edge_faces >= 0).all(axis=1) & (left == right) & (left != 0)

    def doubtful(self, partition: Partition, slack: float) -> npt.NDArray[np.bool_]:
        """(F,) faces that would fail as things stand."""
        worst = np.stack([self.sign, self.knot, self.output, self.interior]).max(axis=0)
        doubt = self.wrong_pattern(partition.pattern_hash) | ~(worst <= slack)
        doubt[partition.edge_faces[self.same_side(partition.edge_faces)].reshape(-1)] = True
        return doubt


class Witness:
    """The model, asked on the slice of one partition. Raises CertificateError when they do not belong together."""

    def __init__(self, partition: Partition, program: Program, model: Any, columns: list[int] | None = None):
        self.partition, self.program = partition, program
        own = isinstance(model, nn.Module) and not program.swaps  # else nothing but the Program computes what was drawn
        self.module = in_evaluation(model, large=isinstance(program.weights, Weights)) if own else program
        self.columns = columns if own and columns is not None else slice(None)  # of the module's outputs
        self.breakpoints = {}
        for kink in program.layers:
            if len(kink.kinks.breakpoints) != 1:
                raise CertificateError(f"{kink.path}: expected a kink with one breakpoint, got {kink.kinks.breakpoints}.")
            self.breakpoints[kink.step] = kink.kinks.breakpoints[0]
        lowered = lower(program)
        self.layers, offsets = lowered.layers, lowered.unit_offsets
        if not np.array_equal(offsets, partition.unit_offsets):
            raise CertificateError(
                f"certificate: expected a partition of a network with units {np.diff(offsets).tolist()} in its layers, "
                f"got one with {np.diff(partition.unit_offsets).tolist()}; verify it with the model that it was made of."
            )
        self.piece_hash = _splitmix64(np.arange(1, lowered.pieces + 1, dtype=np.uint64))
        kinks = [(first, layer) for first, layer in zip(offsets, self.layers, strict=False) if layer.groups is None]
        self.unit = np.concatenate([np.zeros(0, np.int64), *(first + np.arange(layer.units) for first, layer in kinks)])
        self.piece = np.full(int(offsets[-1]), -1, np.int64)  # of units of max layers there is no single one
        self.piece[self.unit] = np.arange(len(self.unit))
        self.unit_hash = self.piece_hash[: len(self.unit)]
        self.centre = torch.from_numpy(partition.plane.embed(partition.centre[None]))
        self.basis = torch.from_numpy(partition.plane.basis.reshape(2, -1).copy())
        self.size = torch.from_numpy(
            np.abs(partition.plane.origin).reshape(-1) + np.abs(partition.centre) @ self.basis.abs().numpy()
        )
        self.near = beside(program, partition.plane, partition.window)
        widest = max(math.prod(shape) for shape in program.shapes().values())
        self.rows = max(16, ROW_BYTES // (8 * widest))
        self.most = int(np.clip(VALUES // (8 * max(len(self.piece_hash), 1)), FEWEST, SAMPLE))
        self.tolerance = self.output_tolerance = self.thin = self.largest = np.zeros(0)
        self.means = np.zeros((0, 2))

    # ---- values and their rounding -----------------------------------------------------------------

    def inputs(self, local: FloatArray) -> Tensor:
        """Network inputs at points (n, 2) relative to the partition's centre."""
        return (torch.from_numpy(np.ascontiguousarray(local)) @ self.basis).reshape(-1, *self.centre.shape[1:]) + self.centre

    def values(self, x: Tensor, program: Program) -> tuple[FloatArray, FloatArray]:
        """Values (n, pieces), of kink layers less the breakpoint, of max layers the groups' entries; outputs (n, C)."""
        values, outputs = np.empty((len(x), len(self.piece_hash))), [np.zeros((0, self.partition.outputs.shape[1]))]
        for at in range(0, len(x), self.rows):
            some = slice(at, at + self.rows)
            outputs.append(self._some_values(x[some], program, values[some]))
        return values, np.concatenate(outputs)

    def _some_values(self, x: Tensor, program: Program, values: FloatArray) -> FloatArray:
        """`values` of a few rows, written into some; returns the outputs."""
        live, at = {0: x}, 0
        with torch.no_grad():
            for layer in self.layers:
                live = program.run(live, at, layer.step)
                at = layer.step
                z = live[program.steps[at].inputs[0]].reshape(len(x), -1).numpy()
                if layer.groups is None:
                    np.subtract(z, self.breakpoints[at], out=values[:, layer.first_piece : layer.first_piece + layer.units])
                else:
                    members = np.where(layer.groups < 0, layer.groups[:, :1], layer.groups)
                    values[:, layer.first_piece : layer.first_piece + members.size] = z[:, members.reshape(-1)]
            return np.asarray(program.run(live, at, len(program.steps))[program.output].reshape(len(x), -1).numpy())

    def read(self, local: FloatArray) -> tuple[FloatArray, FloatArray]:
        """`values` at points (n, 2) relative to the partition's centre; in digits where the window is small beside them."""
        if self.near is None:
            return self.values(self.inputs(local), self.program)
        precise, centre = self.near.precise, self.partition.centre - self.near.place
        parts = np.array_split(local, -(-len(local) * DIGITS // self.rows))
        z, y = zip(*(precise.values(part, centre) for part in parts), strict=True)
        return np.concatenate(z), np.concatenate(y)

    def outputs(self, x: Tensor) -> FloatArray:
        """The outputs (n, C) of the user's own module."""
        with torch.no_grad(), Double():
            parts = [self.module(some).reshape(len(some), -1)[:, self.columns] for some in x.split(self.rows)]
        return torch.cat(parts).numpy()

    def affine(self, local: FloatArray) -> tuple[Program, Tensor]:
        """A program that has the network's slopes, and inputs at points (n, 2) at which it has its pieces."""
        if self.near is None:
            return self.program, self.inputs(local)
        return self.near.lowered.program, self.near.inputs(local, self.partition.centre)

    def measure(self, local: FloatArray) -> None:
        """Raise the tolerances of units (U,) and outputs (C,) to the rounding at some points; see the module."""
        if self.tolerance.size and len(local) > self.most:
            for part in np.array_split(local, len(local) // self.most + 1):
                self.measure(part)
            return
        x = self.inputs(local)
        size = (self.size + torch.from_numpy(np.abs(local)) @ self.basis.abs()).reshape(x.shape)
        z, y = self.values(x, self.program)
        near, d = self.near, x[:0] if self.near is None else self.near.inputs(local, self.partition.centre)
        if near is not None:
            z = near.values(d)
        unit, output, largest = _largest(z) * STEP, _largest(y) * STEP, _largest(y)
        self.largest = np.maximum(self.largest, largest) if self.largest.size else largest
        for seed, way in itertools.product(range(PAIRS), (STEP, -STEP)):
            generator = torch.Generator().manual_seed(seed)
            move = partial(nudged, share=way, generator=generator)
            rounded = partial(Rounded, weights=moved(self.program.weights, move), move=move)
            other_z, other_y = self.values(move(x, size), rounded(self.program))
            if near is not None:
                other_z = near.values(move(d, d.abs()), rounded)
            unit = np.maximum(unit, _largest(np.subtract(other_z, z, out=other_z)))
            output = np.maximum(output, _largest(np.subtract(other_y, y)))
        scale, reach = SAFETY * 2.0**-53 / STEP, np.ptp(z, axis=0)
        if near is not None:
            unit, reach = near.by_piece(unit), near.by_piece(reach)
        if not self.tolerance.size:
            self.tolerance, self.output_tolerance = scale * unit, scale * output
            # A sign can hide within the tolerance only on faces narrower than this share of the window.
            self.thin = np.where(reach > 4.0 * self.tolerance, 4.0 * self.tolerance / np.maximum(reach, 1e-300), 0.0)
        self.tolerance = np.maximum(self.tolerance, scale * unit)
        self.output_tolerance = np.maximum(self.output_tolerance, scale * output)

    # ---- testimony ---------------------------------------------------------------------------------

    def testify(self, corners: Corners, width: FloatArray, chunk: int | None, slack: float) -> Testimony:
        """What the model says of all faces; asked twice, with their own rounding, about those that would fail.

        width: (F,) of each face, relative to the window's diameter; slack: tolerances within which a stored number or
        sign may differ from the model's; chunk: faces at a time, None for about 32 MB of values.
        """
        part = self.partition
        faces, starts = part.num_regions, part.face_offsets[:-1].astype(np.int64)
        first = part.local_vertices[corners.here[starts]]
        sums = np.add.reduceat(part.local_vertices[corners.here] - first[corners.face], starts)
        self.means = first + sums / np.diff(part.face_offsets)[:, None]
        sample = np.unique(np.linspace(0, faces - 1, min(self.most, faces)).astype(np.int64))
        self.measure(np.concatenate([self.means[sample], part.window - part.centre]))
        chunk = chunk or max(FEWEST, VALUES // (16 * (len(self.tolerance) + self.basis.shape[1] + 1)))
        said = Testimony(faces, len(part.edges), self.unit_hash, self.unit)
        order = _strips(self.means, chunk)
        for start in range(0, faces, chunk):
            self._ask(order[start : start + chunk], corners, width, slack, said)
        again = np.flatnonzero(said.doubtful(part, slack))
        for start in range(0, min(len(again), MEASURED), chunk):
            group = again[start : start + chunk]
            ids = np.unique(np.concatenate([part.face(int(f)) for f in group]))
            self.measure(np.concatenate([part.local_vertices[ids], self.means[group]]))
        for start in range(0, len(again), chunk):
            self._ask(again[start : start + chunk], corners, width, slack, said)
        return said

    def _ask(self, faces: Ids, corners: Corners, width: FloatArray, slack: float, said: Testimony) -> None:
        """Read the model at some faces and write down what it says."""
        part, offsets = self.partition, self.partition.face_offsets.astype(np.int64)
        counts = offsets[faces + 1] - offsets[faces]
        starts = np.concatenate([[0], np.cumsum(counts)])
        flat = np.arange(starts[-1]) + np.repeat(offsets[faces] - starts[:-1], counts)
        ids, rows = np.unique(corners.here[flat], return_inverse=True)
        z, y = self.read(np.concatenate([part.local_vertices[ids], self.means[faces]]))
        at, inside = z[: len(ids)], z[len(ids) :]
        kinks = slice(0, len(self.unit_hash))
        pattern, unsure, sign, worst = _kernels.read_faces(
            np.ascontiguousarray(at[:, kinks]), np.ascontiguousarray(inside[:, kinks]), starts, rows,
            self.tolerance[kinks], self.thin[kinks], width[faces], self.unit_hash,
        )  # fmt: skip
        sign_unit = np.where(worst < 0, -1, self.unit[worst]) if len(self.unit) else worst
        # Every corner stands for the edge to the next one: its unit is 0 at both ends, and has one sign inside.
        tag = np.where(corners.edge[flat] >= 0, part.edge_tag[corners.edge[flat]], -1)
        ends = np.stack([rows, rows[_following(starts)]], axis=1)
        sides = _Sides(tag, np.repeat(np.arange(len(faces)), counts), ends)
        knot, mark = np.zeros(len(flat)), np.zeros(len(flat), np.int32)
        self._read_knots(sides, at, inside, slack, knot, mark)
        words: list[list[int]] = [[] for _ in faces]
        for layer, first in zip(self.layers, part.unit_offsets, strict=False):
            if layer.groups is None:
                continue
            there = slice(layer.first_piece, layer.first_piece + layer.groups.size)
            entries = [v[:, there].reshape(len(v), *layer.groups.shape).copy() for v in (at, inside)]
            limit = 2.0 * self.tolerance[there].reshape(layer.groups.shape).max(axis=1)
            winner, lead, group = _kernels.read_groups(*entries, starts, rows, limit)
            number = layer.first_piece + np.arange(layer.units) * layer.groups.shape[1] + winner
            pattern ^= np.bitwise_xor.reduce(self.piece_hash[number], axis=1)
            sign_unit = np.where(lead > sign, first + group, sign_unit)
            sign = np.maximum(sign, lead)
            mine = np.flatnonzero((tag >= first) & (tag < first + layer.units))
            knot[mine] = _kernels.group_knots(
                sides.ends[mine], sides.face[mine], tag[mine] - first, *entries, winner, limit
            )
            mark[mine] = 1 + winner[sides.face[mine], tag[mine] - first]
            for i in np.flatnonzero(pattern != part.pattern_hash[faces]):
                corner = rows[starts[i] : starts[i + 1]]
                words[i] += self._near_winners(layer, entries, winner, slack * limit, corner, int(i))
        said.pattern[faces], said.sign[faces], said.sign_unit[faces] = pattern, sign, sign_unit
        said.undecided[faces] = unsure > 0
        tolerance = self.tolerance[kinks]
        for i in np.flatnonzero(pattern != part.pattern_hash[faces]):
            around = at[rows[starts[i] : starts[i + 1]], kinks]
            doubt = np.abs(inside[i, kinks]) <= slack * tolerance
            doubt &= (inside[i, kinks] != 0) | (around != 0).any(axis=0)
            gap = int(pattern[i] ^ part.pattern_hash[faces[i]])
            said.explained[faces[i]] = spans([int(h) for h in self.unit_hash[doubt]] + words[i], gap)
            said.undecided[faces[i]] |= said.explained[faces[i]]
        said.knot[faces] = np.maximum.reduceat(knot, starts[:-1])
        inner = np.flatnonzero(tag >= 0)
        said.edge_sign[corners.edge[flat][inner], corners.side[flat][inner]] = mark[inner]
        real = self.outputs(self.inputs(self.means[faces]))
        mean = np.add.reduceat(part.outputs[corners.here[flat]], starts[:-1], axis=0) / counts[:, None]
        off = np.abs(part.outputs[ids] - y[: len(ids)])
        self._write_outputs(faces, off[rows], np.abs(mean - real), starts, said)

    def _write_outputs(self, faces: Ids, off: FloatArray, bent: FloatArray, starts: Ids, said: Testimony) -> None:
        """How far the outputs of some faces are off, at their corners (in runs from starts) and inside, (n, C)."""
        largest = max(float(self.largest.max(initial=0.0)), np.finfo(float).tiny)
        said.output[faces] = np.maximum.reduceat(_ratio(off, self.output_tolerance).max(axis=1), starts[:-1])
        said.interior[faces] = _ratio(bent, self.output_tolerance).max(axis=1)
        said.relative[faces, 0] = np.maximum.reduceat(off.max(axis=1), starts[:-1]) / largest
        said.relative[faces, 1] = bent.max(axis=1) / largest

    def _read_knots(
        self, sides: _Sides, at: FloatArray, inside: FloatArray, slack: float, knot: FloatArray, mark: npt.NDArray[np.int32]
    ) -> None:
        """Values of the edges' units at the edges' ends, in tolerances, and their signs inside; of kink layers alone."""
        mine = np.flatnonzero(sides.tag >= 0)
        piece = self.piece[sides.tag[mine]]
        mine, piece = mine[piece >= 0], piece[piece >= 0]
        ends = np.abs(at[sides.ends[mine], piece[:, None]]).max(axis=1)
        knot[mine] = _ratio(ends, self.tolerance[piece])
        there = inside[sides.face[mine], piece]
        mark[mine] = np.where(np.abs(there) > slack * self.tolerance[piece], np.sign(there), 0)

    def _near_winners(
        self, layer: Layer, entries: list[FloatArray], winner: IntArray, limit: FloatArray, corners: Ids, face: int
    ) -> list[int]:
        """Changes of a face's pattern hash if entries that tie with a winner within rounding were the largest."""
        assert layer.groups is not None
        at, inside = entries[0][corners], entries[1][face]
        best = np.take_along_axis(inside, winner[face][:, None], axis=1)
        best_at = np.take_along_axis(at, np.broadcast_to(winner[face][None, :, None], (len(at), layer.units, 1)), axis=2)
        near = (best - inside <= limit[:, None]) & ((best != inside) | (best_at != at).any(axis=0))
        group, entry = np.nonzero(near)
        number = layer.first_piece + group * layer.groups.shape[1]
        return [int(h) for h in self.piece_hash[number + entry] ^ self.piece_hash[number + winner[face][group]]]


@dataclass(frozen=True)
class _Sides:
    """Every side of the faces asked about: its edge's unit (-1: none), its face's row, and the rows of its ends."""

    tag: Ids
    face: Ids
    ends: Ids


def _strips(points: FloatArray, chunk: int) -> Ids:
    """An order of the faces in which every `chunk` of them lie together, so that they share their corners."""
    count = max(1, round(np.sqrt(len(points) / chunk)))
    strip = np.empty(len(points), np.int64)
    strip[np.argsort(points[:, 0], kind="stable")] = np.arange(len(points)) * count // len(points)
    return np.lexsort((points[:, 1], strip))


def in_evaluation(model: nn.Module, large: bool = True) -> nn.Module:
    """A copy in evaluation mode on the CPU, to be run in double precision. large: share weights, where they are large."""
    scripted = any(isinstance(m, torch.jit.ScriptModule) for m in model.modules())
    if scripted or not large or sum(w.numel() for w in model.parameters()) < LARGE:
        return copy.deepcopy(model).to("cpu", torch.float64).eval()
    return copy.deepcopy(model, {id(w): w for w in model.parameters() if w.device.type == "cpu"}).to("cpu").eval()


def _largest(values: FloatArray) -> FloatArray:
    """(k,) largest magnitude of each column of values (n, k)."""
    return np.maximum(values.max(axis=0, initial=0.0), -values.min(axis=0, initial=0.0))


def _ratio(error: FloatArray, tolerance: FloatArray) -> FloatArray:
    """Quotients error / tolerance, with 0 / 0 = 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error == 0.0, 0.0, error / tolerance)


def _splitmix64(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """One round of Steele, Lea and Flood's splitmix64 on each word."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _following(starts: Ids) -> Ids:
    """For corners of faces in runs from starts, each one's next one round its face."""
    following = np.arange(1, int(starts[-1]) + 1)
    following[starts[1:] - 1] = starts[:-1]
    return following
