r"""Lowering: every max operation of a Program written as rounds of ReLUs, max(a, b) = b + relu(a - b).
Also where a round's steps stand in a program, layers as users count them, and whether some hashes together make another one.

    x0  x1  x2  x3  x4     entrants of one group: the entries that one output is the largest of
     \   \  /   /   |      round 1 compares 0 with 2 and 1 with 3; 4 has a bye
     x0v2  x1v3    x4      round 2 compares (0 or 2) with (1 or 3)
        \  /      /        round 3 the winner of those with 4
        ...

The enumerator knows layers of one-breakpoint kinks alone, and this is one. But a comparison that its winner loses later
on is no knot of the maximum: where x4 is the largest, nothing happens on x0 = x2. So units of rounds take no part
in a face's pattern; the winner of each group does. Two faces that only such a knot parts have the same pattern, and
are made one at the end (`_kernels.dissolving`). A tie that holds on a whole face goes to the second of the two.

Pieces. A pattern says for each unit of a kink layer whether it is on, and for each output of a max layer which entrant
wins. Each of these facts has a number: the units of the kink layers first, in order, then (output, entrant) of the max
layers; its hash is that of the number (see `bits`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from splineviz._kernels import winners
from splineviz._kernels.bits import unit_hashes
from splineviz._kernels.lines import Rows
from splineviz.tracing import maxima
from splineviz.tracing.kinks import numbered
from splineviz.tracing.maxima import MAXES
from splineviz.tracing.program import Program, Step

DOUBTFUL = 40
"""With more doubtful words than this any sum of them is believed."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer of a network as users count them: a kink layer (groups: None), or the groups (units, K) of a max layer.

    first_piece: number of its first piece. step: index of its step in the Program it stands in.
    """

    path: str
    units: int
    first_piece: int
    step: int
    groups: npt.NDArray[np.int64] | None = None

    @property
    def is_max(self) -> bool:
        """Whether it is a max layer."""
        return self.groups is not None

    def members(self, z: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """What the layer reads (n, entries) by unit: itself in a kink layer, (n, units, K) where units are groups."""
        if self.groups is None:
            return z
        entries = z[..., np.maximum(self.groups, 0)]
        entries[..., self.groups < 0] = -np.inf
        return entries

    def changes(self, z: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """How clearly each unit is on another piece at one point than at the other (n, units), 0 where it is not.

        z: (2, n, ...) the layer's `members` at both; the smaller of the two distances from the knot.
        """
        if self.groups is None:
            opposite = np.sign(z[0]) * np.sign(z[1]) < 0
            return np.where(opposite, np.abs(z).min(axis=0), 0.0)
        winner = z.argmax(axis=3)
        there = np.take_along_axis(z, winner[::-1, ..., None], axis=3)[..., 0]
        return np.where(winner[0] != winner[1], (z.max(axis=3) - there).min(axis=0), 0.0)


@dataclass(frozen=True)
class Round:
    """One round: of `entrants` in each of the max layer's groups the first `pairs` meet the next `pairs`."""

    layer: int
    entrants: int
    pairs: int

    @property
    def is_last(self) -> bool:
        """Whether its winners are the groups' largest entries."""
        return self.entrants == 2


@dataclass(frozen=True, eq=False)
class Meeting:
    """A round's steps in a program, from the first, `start`, to before `stop`; its kink reads what pairs differ by.

    source: the register whose entries meet; index: which of them, entrant by entrant, none where they are the entrants;
    second, rest: the registers of the second of each pair and of those with a bye (None: none), of `width` entries.
    result: the register of those that go on.
    """

    start: int
    stop: int
    source: int
    index: npt.NDArray[np.uint32]
    second: int
    rest: int | None
    width: int
    result: int

    @classmethod
    def at(cls, program: Program, kink: int, round_: Round, units: int) -> Meeting | None:
        """The one of a kink's step with so many units; None where its steps are not as `lower` writes them."""
        byes, steps = round_.entrants - 2 * round_.pairs, program.steps
        start = kink - (4 if byes else 3)
        source, index = steps[start].inputs[0] if start >= 0 else -1, np.zeros(0, np.uint32)
        result, written = _round(source, round_.entrants, round_.pairs, steps[kink].path)
        stop = start + len(written)
        if start < 0 or list(steps[start:stop]) != written:
            return None
        if start and (taken := steps[start - 1]).op == "take" and taken.output == source:
            start, source = start - 1, taken.inputs[0]
            index = program.read(taken)["index"].cpu().numpy().astype(np.uint32)
        _, second, rest = (step.output for step in written[:3])
        return cls(start, stop, source, index, second, rest if byes else None, units // round_.pairs * byes, result)

    def entrants(self, live: Mapping[int, Rows], ahead: Rows, vertices: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Those that go on (n, entrants * groups) at some vertices (n,), of what is alive; ahead: what the kink reads."""
        byes = Rows.of(np.empty((0, 0))) if self.rest is None else live[self.rest]
        found = np.empty((len(vertices), ahead.old.shape[1] + self.width))
        winners.go_on(ahead, live[self.second], byes, vertices, found)
        return found


@dataclass(frozen=True, eq=False)
class Lowered:
    """program: kinks alone; rounds: for each of its kink layers the round it is, or None; layers: as users count them."""

    program: Program
    rounds: tuple[Round | None, ...]
    layers: tuple[Layer, ...]

    @cached_property
    def unit_offsets(self) -> npt.NDArray[np.int64]:
        """(layers + 1,) first unit of each of `layers`."""
        return np.cumsum([0, *(layer.units for layer in self.layers)]).astype(np.int64)

    @cached_property
    def pieces(self) -> int:
        """Number of pieces."""
        return sum(layer.units if layer.groups is None else layer.groups.size for layer in self.layers)

    @cached_property
    def round_tags(self) -> npt.NDArray[np.bool_]:
        """(units of the program's kink layers,) whether the unit is a comparison of a round."""
        return np.concatenate(
            [np.zeros(0, bool)]
            + [
                np.full(layer.units, round_ is not None)
                for layer, round_ in zip(self.program.layers, self.rounds, strict=True)
            ]
        )

    @cached_property
    def own_units(self) -> npt.NDArray[np.int32]:
        """(units of the program's kink layers,) the unit of `layers` that each of them is, or belongs to."""
        found, kinks = [np.zeros(0, np.int64)], self.kink_layers
        for layer, round_, own in zip(self.program.layers, self.rounds, kinks, strict=True):
            first = self.unit_offsets[own]
            units = np.arange(layer.units)
            found.append(first + (units if round_ is None else units % (layer.units // round_.pairs)))
        return np.concatenate(found).astype(np.int32)

    @cached_property
    def meetings(self) -> tuple[Meeting | None, ...]:
        """For each kink layer of the program its steps if it is a round as they were written, None if not."""
        return tuple(
            None if round_ is None else Meeting.at(self.program, layer.step, round_, layer.units)
            for layer, round_ in zip(self.program.layers, self.rounds, strict=True)
        )

    @cached_property
    def kink_layers(self) -> tuple[int, ...]:
        """For each kink layer of the program the layer of `layers` that it is, or is a round of."""
        counted = (i for i, layer in enumerate(self.layers) if layer.groups is None)
        return tuple(next(counted) if round_ is None else round_.layer for round_ in self.rounds)

    def are_named(self, unit: npt.NDArray[np.int32], change: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Whether a change (n,) of the pattern's hash is that of one unit (n,) of a max layer; True for kink layers."""
        named = np.ones(len(unit), bool)
        for layer, first in zip(self.layers, self.unit_offsets, strict=False):
            if layer.groups is None:
                continue
            mine = np.flatnonzero((unit >= first) & (unit < first + layer.units))
            words = unit_hashes(layer.first_piece, layer.groups.size).reshape(layer.groups.shape)[unit[mine] - first]
            named[mine] = False
            for a, b in itertools.combinations(range(words.shape[1]), 2):
                named[mine] |= words[:, a] ^ words[:, b] == change[mine]
        return named


def spans(words: list[int], target: int) -> bool:
    """Whether the XOR of some of the words is `target` (Gaussian elimination over GF(2))."""
    if len(words) > DOUBTFUL:
        return True
    basis: list[int] = []
    for word in words:
        for b in basis:
            word = min(word, word ^ b)
        if word:
            basis.append(word)
    for b in basis:
        target = min(target, target ^ b)
    return target == 0


def lower(program: Program) -> Lowered:
    """The program with every max operation as rounds of ReLUs; the program itself where there is none."""
    layers = _layers(program)
    if all(layer.groups is None for layer in layers):
        return Lowered(program, (None,) * len(layers), layers)
    by_step = {layer.step: i for i, layer in enumerate(layers) if layer.groups is not None}
    steps: list[Step] = []
    rounds: list[Round | None] = []
    constants = dict(program.constants)
    fresh = 1 + max(step.output for step in program.steps)
    for at, step in enumerate(program.steps):
        if at not in by_step:
            steps.append(step)
            rounds += [None] if step.is_kink else []
            continue
        groups = layers[by_step[at]].groups
        assert groups is not None
        shape = tuple(MAXES[step.op](torch.zeros(1, *_shape(program, at)), step.attrs).shape[1:])
        name = f"entrants.{at}"
        # Members of a group stand apart, so that two halves of it are two slices; a missing one is the first again.
        constants[name] = torch.from_numpy(np.where(groups < 0, groups[:, :1], groups).T.reshape(-1).copy())
        steps.append(Step("take", step.inputs, fresh, {"index": name}, {"shape": list(groups.T.shape)}, step.path))
        entrants = groups.shape[1]
        while entrants > 1:
            pairs = entrants // 2
            fresh, written = _round(fresh, entrants, pairs, step.path)
            steps += written
            rounds.append(Round(by_step[at], entrants, pairs))
            entrants -= pairs
        steps.append(Step("reshape", (fresh,), step.output, {}, {"shape": list(shape)}, step.path))
        fresh += 1
    lowered = Program(
        program.input_shape, steps, program.output, program.weights, constants=constants, depends=program.depends
    )
    return Lowered(lowered, tuple(rounds), layers)


def _round(source: int, entrants: int, pairs: int, path: str) -> tuple[int, list[Step]]:
    """The steps of one round on the register `source` (n, entrants, units); its result's register."""
    a, b, d, positive, largest, rest, joined = range(source + 1, source + 8)

    def part(register: int, start: int, length: int) -> Step:
        return Step("narrow", (source,), register, {}, {"dim": 1, "start": start, "length": length}, path)

    steps = [
        part(a, 0, pairs),
        part(b, pairs, pairs),
        Step("add", (a, b), d, {}, {"alpha": -1}, path),
        Step("relu", (d,), positive, {}, {}, path),
        Step("add", (b, positive), largest, {}, {"alpha": 1}, path),
    ]
    if entrants == 2 * pairs:
        return largest, steps
    # The bye is taken before the kink, so that not all entrants stay alive across it.
    steps.insert(2, part(rest, 2 * pairs, entrants - 2 * pairs))
    return joined, [*steps, Step("cat", (largest, rest), joined, {}, {"dim": 1}, path)]


def _layers(program: Program) -> tuple[Layer, ...]:
    """Kink and max layers in the order of their steps."""
    piece = 0
    found: list[Layer] = []
    for kink in program.layers:
        found.append(Layer(kink.path, kink.units, piece, kink.step))
        piece += kink.units
    for at, step in enumerate(program.steps):
        if step.op in MAXES:
            groups = maxima.groups(step.op, step.attrs, _shape(program, at))
            found.append(Layer(step.path or step.op, len(groups), piece, at, groups))
            piece += groups.size
    found.sort(key=lambda layer: layer.step)
    return tuple(replace(one, path=path) for one, path in zip(found, numbered(one.path for one in found), strict=True))


def _shape(program: Program, at: int) -> tuple[int, ...]:
    """Shape, without the batch, of what a step reads."""
    live = {0: torch.zeros(1, *program.input_shape, dtype=program.dtype, device=program.device)}
    with torch.no_grad():
        live = program.run(live, 0, at)
    return tuple(live[program.steps[at].inputs[0]].shape[1:])
