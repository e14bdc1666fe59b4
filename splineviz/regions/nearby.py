r"""Nearby: a network in a window that is small beside its values, by what these differ from those at one point of it.

    f(b + d) = f(b) + g(d)       b: a sample, or a point of the plane, exactly;   d: small beside it

In a window of 1e-9 all values are those of b in their first nine digits, and in doubles the rest has seven left. But g is a
network, too: without constants, and with the unit z bent at -z(b). Where z(b) is far beside what z changes in the window,
any number as far will do in its place (`FAR`): the unit never bends. So g is f with other constants, all of its numbers are
of the window's size, and the enumerator cuts it like any network. What is 0 at b is exactly 0: the ties of a pool over an
even background, at the sample that has it.

z(b) must be known to many more digits than a double has: see `precise`. Its signs are what the certificate goes by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from splineviz._kernels.bits import packed
from splineviz.errors import FloatArray
from splineviz.geometry.plane import Plane
from splineviz.geometry.polygons import spread
from splineviz.regions.precise import Digits, Precise, precise
from splineviz.tracing.lowering import Layer
from splineviz.tracing.program import AFFINE, JOINS, KINKS, Program, Step

FAR = 16.0
"""A unit farther from its knot than so many times what it changes at the samples is set so far from it."""
Words = npt.NDArray[np.uint64]


ROUNDED = frozenset(["add", "shift", "scale", "divide"])
"""Operations that round what they write, by a share of its own size, without weights that could be moved instead."""


class TooFar(Exception):
    """A unit bends in the window that was taken to be far from its knot."""


class Nearby:
    """A network beside a base: `lowered`, its program in terms of the differences; `precise`, what it says in digits.

    place: (2,) of the base on the plane; outputs: (C,) at the base; fixed: of each kink layer the packed units that are
    taken to be far above and far below their knot.
    """

    def __init__(self, precise: Precise, deltas: FloatArray, far: float = FAR):
        self.precise, self.place = precise, precise.place
        values, self.outputs = self._at_base()
        built = _Beside(precise.program, values, torch.from_numpy(deltas), far)
        device = precise.lowered.program.device
        self.lowered = replace(precise.lowered, program=built.made().to(device=device))
        self.fixed = built.fixed

    def _at_base(self) -> tuple[list[Tensor], FloatArray]:
        """Values of all kink layers less their breakpoints at the base, and the outputs."""
        precise, program = self.precise, self.precise.program
        inputs = {step.inputs[0] for step in program.steps if step.is_kink}
        kept: dict[int, Digits] = {}
        values, output = [], precise.base
        if 0 in inputs:
            kept[0] = precise.base
        for at, value in precise.run(precise.base):
            step = program.steps[at]
            if step.output in inputs:
                kept[step.output] = value
            output = value if step.output == program.output else output
        for step in program.steps:
            if step.is_kink:
                values.append(precise.less_breakpoint(step, kept[step.inputs[0]]).rounded)
        return values, output.rounded.reshape(-1).numpy()

    def reading(self, layer: Layer, local: FloatArray, centre: FloatArray) -> FloatArray:
        """A layer's members (see `Layer.members`) at points local (n, 2) relative to a centre, groups less their largest."""
        values, _ = self.precise.values(local, centre)
        if layer.groups is None:
            return values[:, layer.first_piece : layer.first_piece + layer.units]
        members = values[:, layer.first_piece : layer.first_piece + layer.groups.size]
        members = members.reshape(len(local), *layer.groups.shape)
        return np.where(layer.groups < 0, -np.inf, members)

    def inputs(self, local: FloatArray, centre: FloatArray) -> Tensor:
        """What inputs at points local (n, 2) relative to a centre on the plane differ by from the base."""
        uv = local + (centre - self.place)
        offsets = np.tensordot(uv, self.precise.directions.numpy(), axes=1)
        return torch.from_numpy(offsets.reshape(len(local), *self.precise.program.input_shape))

    def values(self, x: Tensor, moved: Callable[[Program], Program] = lambda program: program) -> FloatArray:
        """Inputs of all kink layers of `lowered` (n, units) at differences from the base; moved: its program, otherwise."""
        found, _ = moved(self.lowered.program).preactivations(x)
        return np.concatenate([np.zeros((len(x), 0)), *(z.numpy() for z in found)], axis=1)

    def by_piece(self, unit: FloatArray) -> FloatArray:
        """Numbers of the units of `lowered` (units,) as such of the pieces (pieces,): of a group its rounds' largest."""
        lowered, at = self.lowered, 0
        found = np.zeros(lowered.pieces)
        for kink, round_, own in zip(lowered.program.layers, lowered.rounds, lowered.kink_layers, strict=True):
            layer, here = lowered.layers[own], unit[at : at + kink.units]
            at += kink.units
            if round_ is not None:
                assert layer.groups is not None
                here = np.repeat(here.reshape(round_.pairs, -1).max(axis=0), layer.groups.shape[1])
            there = slice(layer.first_piece, layer.first_piece + len(here))
            found[there] = np.maximum(found[there], here)
        return found

    def check(self, layer: int, plus: Words, minus: Words) -> None:
        """Raises TooFar where signs (V, words) of a layer are others than the units' that are taken to be far."""
        above, below = self.fixed[layer]
        if ((plus & above) != above).any() or ((minus & below) != below).any():
            raise TooFar


def beside(program: Program, plane: Plane, window: FloatArray) -> Nearby | None:
    """The network beside a point of a window (m, 2) that is small beside its values; None where doubles do (`precise`)."""
    found = precise(program, plane, window)
    if found is None:
        return None
    return Nearby(found, np.tensordot(spread(window) - found.place, plane.basis, axes=1))


class Rounded(Program):
    """A Program with other weights whose sums are off as well: `move(tensor, by how much)`."""

    def __init__(self, program: Program, weights: Mapping[str, Tensor], move: Callable[[Tensor, Tensor], Tensor]):
        super().__init__(program.input_shape, program.steps, program.output, weights, constants=program.constants)
        self._move = move

    def run(self, live: Mapping[int, Tensor], start: int, stop: int, *, homogeneous: bool = False) -> dict[int, Tensor]:
        """As a Program does."""
        found = dict(live)
        for at in range(start, stop):
            found, step = super().run(found, at, at + 1, homogeneous=homogeneous), self.steps[at]
            if step.op in ROUNDED and step.output in found:
                found[step.output] = self._move(found[step.output], found[step.output])
        return found


class _Beside:
    """The program of a network beside a base, written step by step, with the values at the samples on the way."""

    def __init__(self, program: Program, values: Sequence[Tensor], deltas: Tensor, far: float):
        self.program, self.values, self.far = program, values, far
        self.live = {0: torch.cat([torch.zeros_like(deltas[:1]), deltas])}
        self.fresh = 1 + max((step.output for step in program.steps), default=0)
        self.steps: list[Step] = []
        self.constants = dict(program.constants)
        self.fixed: list[tuple[Words, Words]] = []
        for step in program.steps:
            if step.is_kink:
                step = self._centred(step)
            elif step.op not in JOINS:
                step = self._without_constant(step)
            self._write(step)

    def made(self) -> Program:
        """The program, with outputs that are differences from those of the base."""
        output = self._shifted(self.program.output, -self.live[self.program.output][:1])
        return Program(self.program.input_shape, self.steps, output, self.program.weights, constants=self.constants)

    def _write(self, step: Step) -> None:
        self.steps.append(step)
        params = {role: self._tensor(key) for role, key in step.params.items()}
        x = [self.live[register] for register in step.inputs]
        self.live[step.output] = step.applied(x, params)

    def _tensor(self, key: str) -> Tensor:
        return self.program.weights[key] if key in self.program.weights else self.constants[key]

    def _constant(self, tensor: Tensor) -> str:
        name = f"beside.{len(self.constants)}"
        self.constants[name] = tensor
        return name

    def _shifted(self, register: int, by: Tensor) -> int:
        """The register that holds another one shifted."""
        at, self.fresh = self.fresh, self.fresh + 1
        self._write(Step("shift", (register,), at, {"value": self._constant(by)}, {"alpha": 1}))
        return at

    def _centred(self, step: Step) -> Step:
        """A kink with its knot at 0, on values that are right near it and far where they are far."""
        z, exact = self.live[step.inputs[0]], self.values[len(self.fixed)]
        reach = (z[1:] - z[:1]).abs().amax(dim=0, keepdim=True)
        most = float(reach.max()) if reach.numel() else 0.0
        # What never moves at the samples, but for rounding, has no reach of its own.
        reach = self.far * torch.where(reach > 2.0**-30 * most, reach, 2.0**-10 * most)
        held = torch.minimum(torch.maximum(exact, -reach), reach) if most > 0.0 else exact
        words = -(-held.numel() // 64)
        flat = (exact / reach).reshape(-1) if most > 0.0 else torch.sign(exact).reshape(-1) * 2.0
        above, below = (np.flatnonzero((side > 1.0).numpy()) for side in (flat, -flat))
        self.fixed.append((packed(above, words), packed(below, words)))
        register = self._shifted(step.inputs[0], held - z[:1])
        attrs = dict(step.attrs)
        if step.op == "clamp":
            low, high = KINKS["clamp"].pieces(step.attrs).slopes
            attrs = {"max": 0.0} if low else {"min": 0.0} if high else {"min": 0.0, "max": 0.0}
        return replace(step, inputs=(register,), attrs=attrs)

    def _without_constant(self, step: Step) -> Step:
        """An affine step without what it adds."""
        x, params = self.live[step.inputs[0]], {role: self._tensor(key) for role, key in step.params.items()}
        if step.op == "batch_norm":
            shape = (1, -1) + (1,) * (x.dim() - 2)
            scale = AFFINE[step.op](torch.ones(1, x.shape[1], dtype=torch.float64), params, step.attrs, True)
            return replace(step, op="scale", params={"factor": self._constant(scale.view(shape))}, attrs={})
        if step.op == "shift":
            to = AFFINE[step.op](x, params, step.attrs, True).shape[1:]
            return replace(step, op="expand", params={}, attrs={"shape": list(to)})
        if step.op == "pad" and step.attrs["mode"] == "constant":
            return replace(step, attrs={**step.attrs, "value": 0.0})
        return replace(step, params={role: key for role, key in step.params.items() if role != "bias"})
