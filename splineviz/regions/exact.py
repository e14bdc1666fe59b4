r"""Exact: what a network says at a vertex, in integers, where double precision cannot tell the sign.

    a ---------x--------- b        A vertex knows how it came to be: the two vertices whose line it lies on, and the unit
      za < 0   0    zb > 0         that is 0 there. Floats are fractions, and so is everything that follows from them:

        x = (a |zb| + b |za|) / (|za| + |zb|)      with za, zb from a pass of the network over a and b in integers.

A point is (X, Y, W), three integers without a common divisor, u = X / W and v = Y / W; it is the crossing of two lines
whose numbers grow with the layer, so its own do not grow with the number of cuts that led to it. A register of the network
is a row of integers n and an exponent e: values n / (W 2^e). An operation is read as the matrix of its entries as they stand
in double precision, a large one as the network's own call (`limbs`). This is slow (0.1 microseconds a weight, or 0.01), and
asked for at few vertices: see `LIMIT`.
Knows programs, not blocks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from splineviz.errors import FloatArray, IntArray
from splineviz.geometry.integers import Point, Register, Row, added, bent, integers, reduced, rounded_row
from splineviz.geometry.limbs import LimbProduct, limb_product
from splineviz.regions import entries
from splineviz.tracing.program import AFFINE, JOINS, KINKS, Program, Step

LIMIT = 50_000_000
"""Products of integers that one slice may cost; what is left undecided then is counted."""
LIMBS_FROM, LIMBS_PER_PRODUCT, AN_ENTRY = 64, 500, 15
"""Products in an entry from which on an operation is called with limbs: with fewer, as in most convolutions, taking integers
apart and together costs more. What takes as long as a product of integers: so many of limbs, or 1 / AN_ENTRY of an entry."""
LARGEST = 1 << 24
"""Entries of the largest matrix of an operation that is taken apart into integers, its zeros included."""
KEPT, KEPT_BYTES = 4096, 128 << 20
"""Vertices whose values are kept at a time, and about how many bytes of them: integers grow from layer to layer."""
SELECTING = frozenset(
    "reshape expand repeat getitem take permute transpose movedim flip roll narrow select diagonal repeat_interleave "
    "pixel_shuffle pixel_unshuffle channel_shuffle".split()
)
"""Operations that move entries and compute none."""
ENTRYWISE = frozenset(["scale", "divide", "shift", "batch_norm"])
"""Operations that scale and shift every entry by itself (and may repeat them)."""

Ids = npt.NDArray[np.int64]
Forms = npt.NDArray[np.object_]


class Undecided(Exception):
    """An exact answer is not to be had: the way to the vertex contradicts itself."""


class TooMuch(Undecided):
    """An exact answer would cost too much, and so will all that follow."""


@dataclass(frozen=True)
class _Births:
    """How some vertices came to be: on the line from a to b, where unit `maker` of a layer is 0."""

    layer: int
    a: Ids
    b: Ids
    maker: IntArray


class Exact:
    """A program on a slice x = origin + p @ directions, exactly.

    origin: (*input_shape); directions: (d, *input_shape), d = 1 or 2. Vertices are named by their *birth*, one integer.
    One thread at a time.
    """

    def __init__(self, program: Program, origin: FloatArray, directions: FloatArray):
        self.program = program
        self._origin = integers(origin.reshape(-1))
        self._directions = [integers(direction.reshape(-1)) for direction in directions]
        self._shapes = program.shapes()
        self._serial = itertools.count(1)
        self._births: dict[int, _Births] = {}
        self._corners: list[Point] = []
        self._points: dict[int, Point] = {}
        self._passes: dict[int, _Pass] = {}
        self._held = 0  # bytes of theirs, about
        self._steps: dict[int, Callable[[Sequence[Register], int], Register]] = {}
        self.spent, self.limit = 0, LIMIT

    @property
    def possible(self) -> bool:
        """Whether the program can be taken apart at all."""
        for step in self.program.steps:
            if step.is_kink:
                if KINKS[step.op].pieces(step.attrs).breakpoints != (0.0,):
                    return False
            elif step.op not in SELECTING | ENTRYWISE and step.op not in JOINS:
                if step.op not in AFFINE:
                    return False
                if math.prod(self._shapes[step.inputs[0]]) * math.prod(self._shapes[step.output]) > LARGEST:
                    return False
        return True

    # ---- vertices ----------------------------------------------------------------------------------

    def corners(self, points: Iterable[Sequence[Any]]) -> Ids:
        """Births of vertices at exact points (u, v), given as floats or Fractions."""
        first = len(self._corners)
        for u, v in points:
            (un, ud), (vn, vd) = u.as_integer_ratio(), v.as_integer_ratio()
            self._corners.append(reduced(un * vd, vn * ud, ud * vd))
        return -1 - np.arange(first, len(self._corners))

    def born(self, layer: int, a: IntArray, b: IntArray, maker: IntArray, old: Ids) -> Ids:
        """Births of vertices, those of `old` first; a, b number all of them, the old ones and these."""
        serial = next(self._serial)
        births = np.concatenate([old, (serial << 32) + np.arange(len(a))])
        self._births[serial] = _Births(layer, births[a], births[b], maker.copy())
        return births

    def point(self, birth: int) -> Point:
        """Where a vertex is. Raises Undecided."""
        waiting = [birth]
        while waiting:
            at = waiting[-1]
            if at < 0 or at in self._points:
                waiting.pop()
                continue
            births, i = self._births[at >> 32], at & 0xFFFFFFFF
            a, b, maker = int(births.a[i]), int(births.b[i]), int(births.maker[i])
            open_ = [end for end in (a, b) if end >= 0 and end not in self._points]
            if open_:
                waiting += open_
                continue
            self._points[at] = self._between(a, b, births.layer, maker)
            waiting.pop()
        return self._corners[-1 - birth] if birth < 0 else self._points[birth]

    def _between(self, a: int, b: int, layer: int, unit: int) -> Point:
        """The point between two vertices where a unit is 0."""
        (ax, ay, aw), (bx, by, bw) = self.point(a), self.point(b)
        (na, da), (nb, db) = self.value(a, layer, unit), self.value(b, layer, unit)
        if na * nb > 0 or (na == 0 and nb == 0):
            raise Undecided("a unit does not change its sign between two vertices")
        before, after = abs(nb) * da * bw, abs(na) * db * aw  # a weighs as much as |zb| says
        return reduced(ax * before + bx * after, ay * before + by * after, aw * before + bw * after)

    # ---- values ------------------------------------------------------------------------------------

    def value(self, birth: int, layer: int, unit: int) -> tuple[int, int]:
        """A unit's input at a vertex as a fraction: numerator, and denominator > 0. Raises Undecided."""
        numerators, denominator = self.values(birth, layer)
        return numerators[unit], denominator

    def values(self, birth: int, layer: int) -> tuple[Row, int]:
        """Inputs of a kink layer (or, past the last one, the outputs) at a vertex: numerators, and one denominator > 0."""
        seen = self._pass(birth, layer)
        numerators, exponent = seen.inputs[layer]
        return numerators, seen.w << exponent

    def floats(self, birth: int, layer: int) -> FloatArray:
        """`values` rounded once."""
        numerators, denominator = self.values(birth, layer)
        return rounded_row(numerators, denominator)

    def live(self, birth: int, layer: int) -> dict[int, FloatArray]:
        """All registers that are alive where a kink layer begins, rounded once; flat."""
        seen = self._pass(birth, layer)
        return {r: rounded_row(n, seen.w << e) for r, (n, e) in seen.alive[layer].items()}

    def uv(self, birth: int, centre: FloatArray) -> tuple[float, float]:
        """A vertex's place relative to a centre (2,), rounded once."""
        x, y, w = self.point(birth)
        u, v = (Fraction(c) for c in centre.tolist())
        return float(Fraction(x, w) - u), float(Fraction(y, w) - v)

    def _pass(self, birth: int, layer: int) -> _Pass:
        seen = self._passes.get(birth)
        if seen is None:
            point = self.point(birth)
            if len(self._passes) > KEPT or self._held > KEPT_BYTES:
                self._passes.clear()
                self._held = 0
            seen = self._passes[birth] = _Pass(point[2], {0: self._input(point)})
        while len(seen.inputs) <= layer:
            self._advance(seen)
        return seen

    def _input(self, point: Point) -> Register:
        """The network's input at a point: (origin W + direction_u X + direction_v Y) / W."""
        x, y, w = point
        row, exponent = self._origin
        total: Register = (row * w, exponent)
        for at, (direction, shift) in zip((x, y), self._directions, strict=False):
            total = added(total, (direction * at, shift))
        return total

    def _advance(self, seen: _Pass) -> None:
        """On to the inputs of the next kink layer, or to the outputs."""
        layers, reached = self.program.layers, len(seen.inputs)
        stop = layers[reached].step if reached < len(layers) else len(self.program.steps)
        for at in range(seen.step, stop):
            self._check_budget()
            step = self.program.steps[at]
            seen.registers[step.output] = self._step(at)([seen.registers[r] for r in step.inputs], seen.w)
            for register in step.inputs:
                if self.program.last_use(register) <= at:
                    seen.registers.pop(register, None)
        seen.step = stop
        wanted = self.program.output if reached == len(layers) else self.program.steps[stop].inputs[0]
        seen.inputs.append(seen.registers[wanted])
        seen.alive.append(dict(seen.registers))
        bits = seen.w.bit_length()
        self._held += sum(len(row) * (36 + (bits + max(exponent, 0)) // 8) for row, exponent in seen.registers.values())

    def _check_budget(self) -> None:
        if self.spent > self.limit:
            raise TooMuch("exact decisions cost too much")

    # ---- forms -------------------------------------------------------------------------------------

    def forms(self, on: npt.NDArray[np.bool_]) -> list[tuple[Forms, int]]:
        """What the units of each kink layer, and the outputs, are where the units `on` (all layers in order) are on.

        Each as (3, n) whole numbers (a, b, c) over a power of two: (a u + b v + c) / 2^exponent. Raises TooMuch.
        """
        whole = [*self._directions, self._origin]
        live, found, first = {0: whole}, list[tuple[Forms, int]](), 0
        for at, step in enumerate(self.program.steps):
            self._check_budget()
            given = [live[register] for register in step.inputs]
            if step.is_kink:
                slopes, exponent = integers(np.array(KINKS[step.op].pieces(step.attrs).slopes))
                found.append(_alike(given[0]))
                here = on[first : first + len(given[0][0][0])]
                first += len(here)
                factor = np.where(here, slopes[1], slopes[0])
                live[step.output] = [(row * factor, e + exponent) for row, e in given[0]]
            else:  # constants belong to the last of the three
                run = self._step(at)
                live[step.output] = [run([register[k] for register in given], int(k == 2)) for k in range(3)]
            for register in step.inputs:
                if self.program.last_use(register) <= at:
                    live.pop(register, None)
        return [*found, _alike(live[self.program.output])]

    # ---- operations --------------------------------------------------------------------------------

    def _step(self, at: int) -> Callable[[Sequence[Register], int], Register]:
        """A step of the program as a function of registers and W."""
        if at not in self._steps:
            self._steps[at] = self._prepared(self.program.steps[at], at)
        return self._steps[at]

    def _prepared(self, step: Step, at: int) -> Callable[[Sequence[Register], int], Register]:
        shapes = [self._shapes[register] for register in step.inputs]
        if step.is_kink:
            kinks = KINKS[step.op].pieces(step.attrs)
            if kinks.breakpoints != (0.0,):
                raise TooMuch(f"{step.op} bends elsewhere than at 0")
            slopes, exponent = integers(np.array(kinks.slopes))
            return lambda x, w: bent(x[0], slopes.tolist(), exponent)
        if step.op == "add":
            alpha = step.attrs["alpha"]
            return self._sum(shapes, alpha)
        if step.op in JOINS:
            return self._join(step, shapes)
        call = AFFINE[step.op]
        params = {role: t.double().cpu() for role, t in self.program.params_of(step).items() if t.is_floating_point()} | {
            role: t.cpu() for role, t in self.program.params_of(step).items() if not t.is_floating_point()
        }
        n = math.prod(shapes[0])
        if step.op in SELECTING:
            numbers = torch.arange(n, dtype=torch.float64).reshape(1, *shapes[0])
            index = call(numbers, params, step.attrs, True).reshape(-1).long().numpy()
            return lambda x, w: (x[0][0][index], x[0][1])
        with torch.no_grad():
            constant = integers(entries.constant(step, params, shapes[0]))
            if step.op in ENTRYWISE:
                ones = torch.ones(1, *shapes[0]).double()
                factor = integers(call(ones, params, step.attrs, True).reshape(-1).numpy())
                numbers = torch.arange(n).double().reshape(1, *shapes[0])
                index = (numbers.expand_as(call(ones, params, step.attrs, True))).reshape(-1).long().numpy()
                return self._entrywise(factor, index, constant)
            if n * len(constant[0]) > LARGEST:
                raise TooMuch(f"{step.op} has too large a matrix")
            product = _with_limbs(step, params, shapes[0])
            if product is not None:
                return self._with_limbs(product, constant)
            return self._sparse(*entries.matrix(step, params, shapes[0]), constant)

    def _sum(self, shapes: Sequence[tuple[int, ...]], alpha: float) -> Callable[[Sequence[Register], int], Register]:
        index = [
            torch.arange(math.prod(shape)).reshape(1, *shape).expand(1, *np.broadcast_shapes(*shapes)).reshape(-1).numpy()
            for shape in shapes
        ]
        (factor,), exponent = integers(np.array([float(alpha)]))

        def run(x: Sequence[Register], w: int) -> Register:
            (one, e), (other, f) = x
            return added((one[index[0]], e), (other[index[1]] * factor, f + exponent))

        return run

    def _join(self, step: Step, shapes: Sequence[tuple[int, ...]]) -> Callable[[Sequence[Register], int], Register]:
        """Cat and stack: numbers of the entries, over all inputs."""
        first, numbered = 0, []
        for shape in shapes:
            n = math.prod(shape)
            numbered.append(torch.arange(first, first + n).reshape(1, *shape))
            first += n
        index = JOINS[step.op](numbered, step.attrs).reshape(-1).numpy()

        def run(x: Sequence[Register], w: int) -> Register:
            finest = max(e for _, e in x)
            return np.concatenate([row * (1 << (finest - e)) for row, e in x])[index], finest

        return run

    def _entrywise(
        self, factor: Register, index: Ids, constant: Register
    ) -> Callable[[Sequence[Register], int], Register]:
        def run(x: Sequence[Register], w: int) -> Register:
            row, e = x[0]
            self.spent += len(index)
            return added((row[index] * factor[0], e + factor[1]), (constant[0] * w, constant[1]))

        return run

    def _with_limbs(self, product: LimbProduct, constant: Register) -> Callable[[Sequence[Register], int], Register]:
        """A product with weights in limbs."""

        def run(x: Sequence[Register], w: int) -> Register:
            row, e = x[0]
            limbs, entries_ = product.limbs(row), len(constant[0])
            self.spent += AN_ENTRY * (len(row) + entries_) + int(limbs * product.most * entries_) // LIMBS_PER_PRODUCT
            return added((product(row), e + product.exponent), (constant[0] * w, constant[1]))

        return run

    def _sparse(
        self, rows: Ids, columns: Ids, values: FloatArray, constant: Register
    ) -> Callable[[Sequence[Register], int], Register]:
        """A matrix by its entries that are not 0, as many rows as the constant has."""
        order = np.lexsort((columns, rows))
        columns, (factors, exponent) = columns[order], integers(values[order])
        filled, starts = np.unique(rows[order], return_index=True)

        def run(x: Sequence[Register], w: int) -> Register:
            row, e = x[0]
            self.spent += len(columns)
            out = np.zeros(len(constant[0]), object)
            if len(filled):
                out[filled] = np.add.reduceat(factors * row[columns], starts)
            return added((out, e + exponent), (constant[0] * w, constant[1]))

        return run


class _Pass:
    """One vertex on its way through the network: its W, the step it stands at, and what was read on the way."""

    def __init__(self, w: int, registers: dict[int, Register]):
        self.w, self.registers, self.step = w, registers, 0
        self.inputs: list[Register] = []
        self.alive: list[dict[int, Register]] = []


def _alike(columns: Sequence[Register]) -> tuple[Forms, int]:
    """Three rows over one power of two."""
    finest = max(e for _, e in columns)
    return np.stack([row * (1 << (finest - e)) for row, e in columns]), finest


def _with_limbs(step: Step, params: Mapping[str, torch.Tensor], shape: tuple[int, ...]) -> LimbProduct | None:
    """An operation in limbs; None where few products make an entry, or it has several weights."""
    call, role = AFFINE[step.op], entries.weight_of(step, params)
    if role is None or "columns" in params:
        return None

    @torch.no_grad()
    def called(x: FloatArray, digit: FloatArray) -> FloatArray:
        found = call(torch.from_numpy(x), {**params, role: torch.from_numpy(digit)}, step.attrs, True)
        return found.numpy()

    product = limb_product(called, shape, params[role].numpy())
    return None if product is None or product.most < LIMBS_FROM else product
