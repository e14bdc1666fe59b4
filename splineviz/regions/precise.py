r"""Precise: what a network says in more digits than a double has, by its own calls.
Also numbers in such digits with their sums and products, and the base of a small window: an input in it or near it.

A number is written in digits of `BITS` bits. Each digit of all entries is a tensor of whole numbers, and the network's own
calls map whole numbers exactly, whatever the order of their sums: so a convolution of two numbers of a few digits is a dozen
or two convolutions of doubles. This tells signs where doubles do not, in windows that are small beside the network's values
(`nearby`). Knows no blocks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from splineviz.errors import FloatArray
from splineviz.geometry.plane import Plane
from splineviz.regions import entries
from splineviz.regions.exact import ENTRYWISE, SELECTING, Exact
from splineviz.tracing.affine import Weights
from splineviz.tracing.lowering import Layer, Lowered, lower
from splineviz.tracing.program import AFFINE, JOINS, KINKS, Program, Step

BITS, DIGITS = 18, 7
"""Size of a digit, and how many are kept: 126 bits, the first of which may be few."""
WHOLE = frozenset("sum cumsum diff tril triu unfold fold pad".split())
"""Operations without weights that multiply by whole numbers alone."""
LARGEST = 1 << 22
"""Entries of the largest matrix of another operation without weights."""
SMALL = 2.0**-18
"""A window is small beside a tensor of the network that changes by less than this share of its size there. A deep network at
initialisation makes its inputs alike, and large pictures differ by little in each entry: doubles tell them apart.
"""
BENDS = 4.0
"""A unit may bend in a window if it is no farther from its knot than so many times what it changes to the corners."""
NEAR = 4.0
"""A sample, or a line through two, has the base of a window that it is so many of the window's radii away from."""
OFF = 2.0**-46
"""A sum of samples is a point of the plane if its entries are off by no larger share of what is summed."""


class Coarse(Exception):
    """An operation whose result is not to be had to more digits than a double's."""


# ---- numbers of many digits ----------------------------------------------------------------------------------------


class Digits(NamedTuple):
    """Numbers: the sum of parts[k] * 2^(BITS (top - k)), whole, at most half of 2^BITS large."""

    top: int
    parts: list[Tensor]

    def on(self, move: Callable[[Tensor], Tensor]) -> Digits:
        """What moves entries, of every part."""
        return Digits(self.top, [move(part) for part in self.parts])

    @property
    def sign(self) -> Tensor:
        """-1, 0 or 1: that of the first digit that is not 0."""
        sign = torch.sign(self.parts[0])
        for part in self.parts[1:]:
            sign = torch.where(sign == 0.0, torch.sign(part), sign)
        return sign

    @property
    def rounded(self) -> Tensor:
        """As doubles, to their last bits."""
        total = torch.zeros_like(self.parts[0])
        for k in range(len(self.parts) - 1, -1, -1):
            total = total + self.parts[k] * 2.0 ** (BITS * (self.top - k))
        return total


def split(x: Tensor) -> Digits:
    """Doubles in digits, those of all but the smallest beside the largest to their last bit."""
    largest = float(x.abs().max()) if x.numel() else 0.0
    if largest == 0.0:
        return Digits(0, [torch.zeros_like(x)])
    top = int(np.floor(np.log2(largest) / BITS)) + 1
    rest, parts = x * 2.0 ** (-BITS * top), list[Tensor]()
    while len(parts) < DIGITS + 2:
        parts.append(torch.round(rest))
        rest = (rest - parts[-1]) * 2.0**BITS
        if not rest.any():
            break
    return _carried(top, parts)


def _carried(top: int, parts: Sequence[Tensor]) -> Digits:
    """Numbers whose parts are whole, and may be large."""
    parts, base = list(parts), 2.0**BITS
    carry = torch.zeros_like(parts[-1])
    for k in range(len(parts) - 1, -1, -1):
        whole = parts[k] + carry
        carry = torch.round(whole / base)
        parts[k] = whole - carry * base
    while carry.any():
        whole, top = carry, top + 1
        carry = torch.round(whole / base)
        parts.insert(0, whole - carry * base)
    while len(parts) > 1 and not parts[0].any():
        parts, top = parts[1:], top - 1
    parts = parts[:DIGITS]
    while len(parts) > 1 and not parts[-1].any():
        parts.pop()
    return Digits(top, parts)


def added(one: Digits, other: Digits, sign: float = 1.0) -> Digits:
    """The sum, or the difference, of numbers whose shapes go together."""
    top = max(one.top, other.top)
    count = max(top - one.top + len(one.parts), top - other.top + len(other.parts))
    zero = torch.zeros_like(one.parts[0] + other.parts[0])
    parts = []
    for k in range(count):
        total = zero
        for term, factor in ((one, 1.0), (other, sign)):
            i = k - (top - term.top)
            total = total + factor * term.parts[i] if 0 <= i < len(term.parts) else total
        parts.append(total)
    return _carried(top, parts)


def product(x: Digits, w: Digits, call: Callable[[Tensor, Tensor], Tensor], most: float) -> Digits:
    """A bilinear call of two numbers; most: of how many products an entry is the sum. Raises Coarse for too many."""
    if most * min(len(x.parts), len(w.parts)) * 2.0 ** (2 * BITS - 2) > 2.0**53:
        raise Coarse("too many products in one entry")
    sums: dict[int, Tensor] = {}
    for k, one in enumerate(x.parts):
        for j, other in enumerate(w.parts):
            if k + j <= DIGITS + 1:
                term = call(one, other)
                sums[k + j] = term if k + j not in sums else sums[k + j] + term
    return _carried(x.top + w.top, [sums[k] for k in sorted(sums)])


# ---- a network in them ---------------------------------------------------------------------------------------------

Call = Callable[[list[Digits]], Digits]


class Precise:
    """A lowered program on a plane, in digits. base, place: an input and where it is on the plane.

    Raises Coarse where an operation cannot be had in digits.
    """

    def __init__(self, lowered: Lowered, base: Digits, place: FloatArray, directions: FloatArray):
        self.lowered, self.program = lowered, lowered.program.to(device="cpu")
        self.base, self.place = base, place
        self.directions = torch.from_numpy(directions.reshape(2, -1).copy())
        self._directions = split(self.directions)
        self.shapes = self.program.shapes()
        self._calls = [self._prepared(step) for step in self.program.steps]

    def inputs(self, local: FloatArray, centre: FloatArray) -> Digits:
        """Inputs at points local (n, 2) relative to a centre (2,), which is relative to the base's place."""
        uv = added(split(torch.from_numpy(np.ascontiguousarray(local))), split(torch.from_numpy(centre[None].copy())))
        offset = product(uv, self._directions, lambda a, b: a @ b, 2.0)
        return added(offset.on(lambda part: part.reshape(len(local), *self.program.input_shape)), self.base)

    def run(self, x: Digits) -> Iterable[tuple[int, Digits]]:
        """All registers (number, value) as they are written; they are let go after their last use."""
        live, steps = {0: x}, self.program.steps
        for at, (step, call) in enumerate(zip(steps, self._calls, strict=True)):
            live[step.output] = call([live[register] for register in step.inputs])
            yield at, live[step.output]
            for register in step.inputs:
                if self.program.last_use(register) <= at:
                    live.pop(register, None)

    def values(self, local: FloatArray, centre: FloatArray) -> tuple[FloatArray, FloatArray]:
        """At points local (n, 2) relative to a centre: values (n, pieces), of kink layers less the breakpoint, of max layers
        each entry less the group's largest; outputs (n, C). All rounded once.
        """
        lowered, steps, n = self.lowered, self.program.steps, len(local)
        found, x = np.zeros((n, lowered.pieces)), self.inputs(local, centre)
        read: dict[int, list[int]] = {}
        first = {step: lowered.layers[own].first_piece for step, own in self._kink_steps()}
        for step in first:
            read.setdefault(steps[step].inputs[0], []).append(step)
        begins = {f"entrants.{layer.step}": layer for layer in lowered.layers if layer.groups is not None}
        waiting: list[tuple[Layer, Digits]] = []
        outputs = x
        for at, value in itertools.chain([(-1, x)], self.run(x)):
            register = 0 if at < 0 else steps[at].output
            for step in read.get(register, ()):
                z = self.less_breakpoint(steps[step], value).rounded.reshape(n, -1).numpy()
                found[:, first[step] : first[step] + z.shape[1]] = z
            if at >= 0 and steps[at].params.get("index") in begins:
                waiting.append((begins[steps[at].params["index"]], value))
            elif waiting and at >= 0 and self._closes(at, waiting[-1][0]):
                layer, entrants = waiting.pop()
                lead = added(entrants, value.on(lambda part: part.reshape(n, 1, -1)), -1.0).rounded
                lead = lead.transpose(1, 2).reshape(n, -1)
                found[:, layer.first_piece : layer.first_piece + lead.shape[1]] = lead.numpy()
            outputs = value if register == self.program.output else outputs
        return found, outputs.rounded.reshape(n, -1).numpy()

    def _kink_steps(self) -> list[tuple[int, int]]:
        """Steps of kinks that are layers of their own, and which."""
        kinks = zip(self.program.layers, self.lowered.rounds, self.lowered.kink_layers, strict=True)
        return [(layer.step, own) for layer, round_, own in kinks if round_ is None]

    def _closes(self, at: int, layer: Layer) -> bool:
        """Whether a step gives the result of a max layer its own shape: the one after the last of its rounds."""
        step = self.program.steps[at]
        return step.op == "reshape" and not step.params and self.shapes[step.inputs[0]] == (1, layer.units)

    # ---- operations --------------------------------------------------------------------------------

    def less_breakpoint(self, step: Step, z: Digits) -> Digits:
        """A kink's input less its breakpoint."""
        at = KINKS[step.op].pieces(step.attrs).breakpoints[0]
        return z if at == 0.0 else added(z, split(torch.full((1,) * z.parts[0].dim(), at, dtype=torch.float64)), -1.0)

    def _prepared(self, step: Step) -> Call:
        if step.is_kink:
            return lambda x: self._bent(step, x[0])
        if step.op in JOINS:
            return lambda x: _joined(step, x)
        if step.op not in AFFINE:
            raise Coarse(step.op)
        call, attrs, shape = AFFINE[step.op], step.attrs, self.shapes[step.inputs[0]]
        params = self.program.params_of(step)
        params = {role: t.double() if t.is_floating_point() else t for role, t in params.items()}
        if step.op in SELECTING:
            return lambda x: x[0].on(lambda part: call(part, params, attrs, True))
        ones, to = torch.ones(1, *shape, dtype=torch.float64), self.shapes[step.output]
        constant = split(torch.from_numpy(entries.constant(step, params, shape).reshape(1, *to)))
        weight = entries.weight_of(step, params)
        if step.op in ENTRYWISE:
            factor = split(call(ones, params, attrs, True))
            return lambda x: added(product(x[0], factor, lambda a, b: a * b, 1.0), constant)
        if weight is not None:
            w = split(params[weight])
            most = float(call(ones, {**params, weight: torch.ones_like(params[weight])}, attrs, True).max())

            def multiplied(part: Tensor, digit: Tensor) -> Tensor:
                return call(part, {**params, weight: digit}, attrs, True)

            return lambda x: added(product(x[0], w, multiplied, most), constant)
        if step.op in WHOLE:
            return lambda x: added(_carried(x[0].top, x[0].on(lambda part: call(part, params, attrs, True)).parts), constant)
        if ones.numel() * int(np.prod(to)) > LARGEST:
            raise Coarse(f"{step.op} has too large a matrix")
        return self._as_matrix(entries.matrix(step, params, shape), to)

    def _as_matrix(self, matrix: tuple[Any, Any, FloatArray], to: tuple[int, ...]) -> Call:
        rows, columns, factors = (torch.from_numpy(np.ascontiguousarray(part)) for part in matrix)
        w, most = split(factors), float(torch.bincount(rows).max()) if len(rows) else 0.0

        def summed(part: Tensor, digit: Tensor) -> Tensor:
            out = torch.zeros(len(part), int(np.prod(to)), dtype=torch.float64)
            return out.index_add_(1, rows, part.flatten(1)[:, columns] * digit)

        return lambda x: product(x[0], w, summed, most).on(lambda part: part.reshape(len(part), *to))

    def _bent(self, step: Step, z: Digits) -> Digits:
        kinks = KINKS[step.op].pieces(step.attrs)
        t = self.less_breakpoint(step, z)
        on = t.sign > 0.0

        def side(here: Tensor, slope: float) -> Digits:
            return _times(t.on(lambda part: torch.where(here, part, torch.zeros_like(part))), slope)

        low, high = side(~on, kinks.slopes[0]), side(on, kinks.slopes[1])
        at = torch.full((1,) * z.parts[0].dim(), kinks.breakpoints[0], dtype=torch.float64)
        level = KINKS[step.op].call(at, step.attrs)
        bent = added(low, high)
        return bent if not level.any() else added(bent, split(level))


def _times(x: Digits, factor: float) -> Digits:
    if factor in (0.0, 1.0, -1.0):
        return x.on(lambda part: factor * part)
    return product(x, split(torch.full((1,) * x.parts[0].dim(), factor, dtype=torch.float64)), lambda a, b: a * b, 1.0)


def _joined(step: Step, x: Sequence[Digits]) -> Digits:
    if step.op == "add":
        return added(x[0], _times(x[1], float(step.attrs["alpha"])))
    top = max(one.top for one in x)
    last = min(one.top - len(one.parts) for one in x)
    zeros = [torch.zeros_like(one.parts[0]) for one in x]
    parts = []
    for place in range(top, last, -1):
        there = [one.parts[one.top - place] if 0 <= one.top - place < len(one.parts) else zero
                 for one, zero in zip(x, zeros, strict=True)]  # fmt: skip
        parts.append(JOINS[step.op](there, step.attrs))
    return _carried(top, parts)


# ---- windows -------------------------------------------------------------------------------------------------------


def precise(program: Program, plane: Plane, corners: FloatArray) -> Precise | None:
    """The network in digits, in a window (m, 2) that is small beside its values; None where doubles will do, or must (large
    weights are not written in digits).

    They will do where what they cannot tell is decided exactly (`Exact`), which costs more here and is as good.
    """
    cpu = program.to(device="cpu")
    if isinstance(program.weights, Weights) or not _is_small(cpu, plane, corners):
        return None
    lowered = lower(program)
    if not any(lowered.rounds) and Exact(lowered.program, plane.origin, plane.basis).possible:
        return None
    try:
        return Precise(lowered, *base_of(plane, corners), plane.basis)
    except Coarse:
        return None


def _is_small(program: Program, plane: Plane, corners: FloatArray) -> bool:
    """Whether the input, or what some layer reads, hardly changes between a window's corners, beside what it is.

    A kink layer counts where one of its units may bend in the window: what is far from all knots, as a ReLU6's upper one,
    and outputs whose constants outweigh the rest, decide nothing.
    """
    x = torch.from_numpy(plane.embed(np.concatenate([corners.mean(axis=0, keepdims=True), corners])))
    if _hardly_moves(x):
        return True
    live = {0: x}
    with torch.no_grad():
        for at, step in enumerate(program.steps):
            value = live[step.inputs[0]]
            if step.is_max and _hardly_moves(value):
                return True
            if step.is_kink and _hardly_moves(value):
                reach = BENDS * (value[1:] - value[:1]).abs().amax(dim=0)
                knots = KINKS[step.op].pieces(step.attrs).breakpoints
                if any(bool(((value - knot).abs().amin(dim=0) <= reach)[reach > 0.0].any()) for knot in knots):
                    return True
            live = program.run(live, at, at + 1)
    return False


def _hardly_moves(value: Tensor) -> bool:
    size, moved = float(value.square().mean().sqrt()), float((value[1:] - value[:1]).square().mean().sqrt())
    return 0.0 < moved < SMALL * size


def base_of(plane: Plane, corners: FloatArray) -> tuple[Digits, FloatArray]:
    """The base of a window, and its place: the sample of an anchor that is near it, else a point of the line through two
    samples that is near, else the plane's point in its middle. What is even in samples is so in sums of them (see `_mixed`).
    """
    centre = corners.mean(axis=0)
    radius = float(np.hypot(*(corners - centre).T).max())
    if len(plane.samples):
        away = np.hypot(*(plane.anchors_uv - centre).T)
        nearest = int(away.argmin())
        if away[nearest] <= NEAR * radius:
            return split(torch.from_numpy(plane.samples[nearest][None].copy())), plane.anchors_uv[nearest]
    if len(plane.samples) == 3:
        mixed = _mixed(plane, centre, NEAR * radius)
        if mixed is not None:
            return mixed
    rows = split(torch.from_numpy(plane.basis.reshape(2, -1).copy()))
    offset = product(split(torch.from_numpy(centre[None].copy())), rows, lambda a, b: a @ b, 2.0)
    origin = split(torch.from_numpy(plane.origin[None].copy()))
    return added(offset.on(lambda part: part.reshape(1, *plane.input_shape)), origin), centre


def _mixed(plane: Plane, centre: FloatArray, near: float) -> tuple[Digits, FloatArray] | None:
    """An input near a place (2,) as an exact sum of three samples, of two where their line is near, and its place.

    On the rounded plane entries that are equal in two samples are not quite so on the line through these, where pools over
    them tie. None where that is not the plane's point: the samples are not on it, or hardly span it.
    """
    corners = plane.anchors_uv
    shares: tuple[int, dict[int, float]] | None = None
    for i, j in ((0, 1), (0, 2), (1, 2)):
        side = corners[j] - corners[i]
        along = float((centre - corners[i]) @ side / max(side @ side, float(np.finfo(np.float64).tiny)))
        if shares is None and np.hypot(*(corners[i] + along * side - centre)) <= near:
            shares = (i, {j: along})
    if shares is None:
        first, second = np.linalg.lstsq((corners[1:] - corners[0]).T, centre - corners[0])[0].tolist()
        shares = (0, {1: first, 2: second})
    samples = [split(torch.from_numpy(sample[None].copy())) for sample in plane.samples]
    base, place = samples[shares[0]], corners[shares[0]].copy()
    for j, share in shares[1].items():
        base = added(base, _times(added(samples[j], samples[shares[0]], -1.0), share))
        place += share * (corners[j] - corners[shares[0]])
    size = np.abs(plane.samples).max() + np.abs(plane.summed(place[None])).max()
    off = np.abs(base.rounded.numpy() - plane.embed(place[None])).max()
    return (base, place) if off <= OFF * size else None
