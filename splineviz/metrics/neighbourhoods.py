r"""Neighbourhoods: the smallest and the largest value of every unit over the vertices {x +- r v_p} of many points.
What evaluates them is chosen here by the kind of network and its device.

    Pairs      of a Program: x + r v and x - r v together, what they have in common computed once
    Vertices   of a network that is not piecewise affine, or that is run on another device: all 2P of them are run through
               it, 2P forward passes a point

    v (m, d) --image--> what directions become before the first kink, once for all points and radii that share them
    extremes(x, image, rows) -> (low, high) of one layer after the other, each (n, units); rows (n, P): a point's directions

Both give the same numbers up to rounding. This file knows no sets of points and counts nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from splineviz._kernels.measuring import neighbourhoods as _neighbourhoods
from splineviz.errors import FloatArray
from splineviz.metrics.preactivations import Watched
from splineviz.tracing.kinks import numbered
from splineviz.tracing.lowering import lower
from splineviz.tracing.program import Program

Parts = Mapping[int, Tensor]
"""Batches by register."""

DENSE, WIDEST = frozenset({"linear", "batch_norm", "reshape"}), 2048
"""Operations of a dense map, and the most inputs of one that is looked at."""

FEWEST = 8
"""Directions of a point, from which on products are made for one point at a time; of few rows a whole product is faster."""

_Layer = tuple[int, int, Sequence[float], Sequence[float]]
"""A kink's step, the register that it reads, its breakpoints and slopes."""

Span = tuple[Tensor, Tensor]
"""Values (n, units) at points, and (n, P, units) by how much x + r v has more than x - r v."""

Extremes = Iterator[tuple[FloatArray, FloatArray]]
"""Smallest and largest value, (n, units) each, of one layer after the other."""


def evaluator(
    network: Program | Watched | Held, radius: float, include_output: bool, dtype: torch.dtype, device: str | None = None
) -> Pairs | Vertices:
    """What evaluates neighbourhoods of a network. device: where vertices are run; None: on the CPU, the quickest way."""
    if isinstance(network, Program):
        if device is not None:
            return Vertices(Placed(network, dtype, device), radius, include_output)
        return Pairs(network, radius, include_output, dtype)
    return Vertices(network, radius, include_output)


class Held:
    """A Program with smooth functions, run as it is: what enters its kinks and its smooth functions.

    layers: paths; units: entries of each; as `activations.Watched` has them of a module.
    """

    def __init__(self, program: Program, dtype: torch.dtype = torch.float64, device: str | None = None):
        self.program, self.input_shape = program.to(dtype, device or "cpu"), program.input_shape
        self._at = [i for i, step in enumerate(program.steps) if step.is_kink or step.is_smooth]
        self.layers = numbered(program.steps[i].path or program.steps[i].op for i in self._at)
        values, outputs = self.preactivations(torch.zeros(1, *self.input_shape))
        self.units, self.outputs = tuple(z.shape[1] for z in values), outputs.shape[1]

    @torch.no_grad()
    def preactivations(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """What enters every layer, each (n, units), and the outputs (n, C), at inputs x (n, *input_shape)."""
        values: list[Tensor] = []
        return values, self.visit(x, values.append)

    @torch.no_grad()
    def visit(self, x: Tensor, see: Callable[[Tensor], Any]) -> Tensor:
        """The outputs (n, C); see is called with what enters one layer after the other."""
        return _visited(self.program, self._at, x, see)


class Placed:
    """A piecewise-affine Program that is run as it is, on any device: what enters its kinks, rounds of maxima left out.

    layers, units, breakpoints: of the kinks, as `Pairs` counts them; outputs: their number.
    """

    def __init__(self, program: Program, dtype: torch.dtype = torch.float64, device: str | None = None):
        lowered = lower(program)
        own = [layer for layer, round_ in zip(lowered.program.layers, lowered.rounds, strict=True) if round_ is None]
        self.program, self.input_shape = lowered.program.to(dtype, device or "cpu"), program.input_shape
        self._at = [layer.step for layer in own]
        self.layers, self.units = tuple(layer.path for layer in own), tuple(layer.units for layer in own)
        self.breakpoints = [tuple(layer.kinks.breakpoints) for layer in own]
        self.outputs = self.visit(torch.zeros(1, *self.input_shape), lambda z: None).shape[1]

    @torch.no_grad()
    def visit(self, x: Tensor, see: Callable[[Tensor], Any]) -> Tensor:
        """The outputs (n, C); see is called with what enters one layer after the other."""
        return _visited(self.program, self._at, x, see)


def _visited(program: Program, steps: Sequence[int], x: Tensor, see: Callable[[Tensor], Any]) -> Tensor:
    """The outputs (n, C) at x; see is called with what enters each of these steps."""
    live, at = {0: x.to(device=program.device, dtype=program.dtype)}, 0
    for i in steps:
        live, at = program.run(live, at, i), i
        see(live[program.steps[i].inputs[0]].reshape(len(x), -1))
    return program.run(live, at, len(program.steps))[program.output].reshape(len(x), -1)


class Vertices:
    """Neighbourhoods of a network that is watched, held or placed, every vertex by itself.

    names, units, breakpoints: of the layers; for smooth ones the breakpoint is 0, the change of sign.
    """

    def __init__(self, network: Watched | Held | Placed, radius: float, include_output: bool):
        self.radius, self.include_output, self._network = radius, include_output, network
        self.widest = max(math.prod(network.input_shape), *network.units)
        self.names = [*network.layers, "output"] if include_output else list(network.layers)
        self.units = np.array([*network.units, network.outputs][: len(self.names)], dtype=np.int64)
        known = network.breakpoints if isinstance(network, Placed) else []
        self.breakpoints = [*known, *[(0.0,)] * (len(self.names) - len(known))]

    def at(self, radius: float) -> Vertices:
        """The same at another radius."""
        other = copy(self)
        other.radius = radius
        return other

    def image(self, v: Tensor) -> Parts:
        """The directions v (m, dimensions) themselves."""
        return {0: v.to(torch.float64)}

    def extremes(self, x: Tensor, image: Parts, rows: Tensor) -> Extremes:
        """Smallest and largest value (n, units) of every layer's units over the vertices round points x (n, *shape)."""
        n = len(x)
        arms = self.radius * image[0][rows].reshape(*rows.shape, *x.shape[1:])
        vertices = torch.cat([x[:, None] + arms, x[:, None] - arms], dim=1)
        found: list[tuple[FloatArray, FloatArray]] = []

        def see(z: Tensor) -> None:
            each = z.reshape(n, vertices.shape[1], -1)
            found.append((each.amin(dim=1).cpu().double().numpy(), each.amax(dim=1).cpu().double().numpy()))

        outputs = self._network.visit(vertices.flatten(0, 1), see)
        if self.include_output:
            see(outputs)
        yield from found

    def spans(self, x: Tensor, image: Parts, rows: Tensor) -> list[Span]:
        """Of every layer's units at points x (n, *shape): values, and how they differ between opposite vertices."""
        arms = self.radius * image[0][rows].reshape(*rows.shape, *x.shape[1:])
        inputs = torch.cat([x[:, None], x[:, None] + arms, x[:, None] - arms], dim=1)
        pairs = rows.shape[1]
        found: list[Span] = []

        def see(z: Tensor) -> None:
            each = z.reshape(len(x), 2 * pairs + 1, -1)
            found.append((each[:, 0].clone(), each[:, 1 : 1 + pairs] - each[:, 1 + pairs :]))

        outputs = self._network.visit(inputs.flatten(0, 1), see)
        if self.include_output:
            see(outputs)
        return found


class Pairs:
    """Neighbourhoods of a Program, by halves.

    Values at a pair of vertices x +- r v are held as centre, odd and even part (see `measuring.neighbourhoods`), for every
    live register. An affine step is run on the centres, on the odd parts, and on the even parts of the
    pairs that have one; so of 2P inputs a point little more than P + 1 are pushed through the network.
    Centres are always float64; `dtype` is the precision of the other parts.
    """

    def __init__(self, program: Program, radius: float, include_output: bool, dtype: torch.dtype):
        # A maximum has no pre-activation: its rounds are passed through, and not counted.
        lowered = lower(program)
        program = lowered.program
        rounds = {layer.step for layer, round_ in zip(program.layers, lowered.rounds, strict=True) if round_ is not None}
        self.program = program.to(torch.float64, "cpu")
        self.linear = self.program if dtype == torch.float64 else self.program.to(dtype)
        self.radius = radius
        self.layers = [
            (layer.step, program.steps[layer.step].inputs[0], layer.kinks.breakpoints, layer.kinks.slopes)
            for layer in program.layers
        ]
        counted = [layer for layer in program.layers if layer.step not in rounds]
        units, self.names = [layer.units for layer in counted], [layer.path for layer in counted]
        self.widest = max([math.prod(program.input_shape), *(layer.units for layer in program.layers)])
        if include_output:
            units.append(self.program(torch.zeros(1, *program.input_shape, dtype=torch.float64)).shape[1])
            self.names.append("output")
            self.layers.append((len(program.steps), program.output, (0.0,), (1.0, 1.0)))
        self.units = np.array(units, dtype=np.int64)
        self.counted = {layer[0] for layer in self.layers} - rounds
        self.breakpoints = [layer[2] for layer in self.layers if layer[0] in self.counted]
        self.chain = Chain.of(self.program, self.layers, self.linear.dtype)

    def at(self, radius: float) -> Pairs:
        """The same at another radius: all else is shared, as nothing of it changes."""
        other = copy(self)
        other.radius = radius
        return other

    def image(self, v: Tensor, dtype: torch.dtype | None = None) -> Parts:
        """Odd parts before the first kink for directions v (m, dimensions) and r = 1, by register: (m, ...) each.

        dtype: as by default, or float64.
        """
        if not self.layers:
            return {}
        program = self.linear if dtype is None else self.program
        flat = v.to(program.dtype).reshape(-1, *self.program.input_shape)
        return program.run({0: flat}, 0, self.layers[0][0], homogeneous=True)

    def spans(self, x: Tensor, image: Parts, rows: Tensor) -> list[Span]:
        """As those of `Vertices`."""
        found: list[Span] = []
        for _ in self.extremes(x, image, rows, found.append):
            pass
        return found

    def extremes(self, x: Tensor, image: Parts, rows: Tensor, see: Callable[[Span], None] | None = None) -> Extremes:
        """Smallest and largest value (n, units) of the counted layers' units round points x (n, *shape).

        Of a unit that no vertex takes across a breakpoint they may both be the value at the centre. see: is called with the
        spans of each layer; then they are all made.
        """
        at = 0
        centre: Parts = {0: x}
        index = np.full(rows.numel(), -1, dtype=np.int64)
        chain = None if see is not None or rows.shape[1] < FEWEST else self.chain
        if chain is not None and chain.first == 0:
            yield from self._followed(chain, centre, 0, image, rows, self.radius, {}, index)
            return
        odd: Parts = {r: t[rows.flatten()].mul_(self.radius) for r, t in image.items()}
        even = {r: t[:0] for r, t in odd.items()}
        for number, (step, register, breakpoints, slopes) in enumerate(self.layers):
            if number > 0:
                odd, even = self._mapped(at, step, odd, even)
            if chain is not None and chain.first == number:
                own = torch.arange(rows.numel()).reshape(rows.shape)
                yield from self._followed(chain, centre, at, odd, own, 1.0, even, index)
                return
            centre = self.program.run(centre, at, step)
            parts = [_rows(live[register]) for live in (centre, odd, even)]
            low, high = np.empty_like(parts[0]), np.empty_like(parts[0])
            bent = np.zeros(len(index), dtype=np.bool_)
            _neighbourhoods.scan(*parts, index, np.array(breakpoints), low, high, bent)
            if step in self.counted:
                if see is not None:
                    see((torch.from_numpy(parts[0]), 2.0 * torch.from_numpy(parts[1]).unflatten(0, rows.shape)))
                yield low, high
            if step == self.layers[-1][0]:
                return
            output = self.program.steps[step].output
            centre = self.program.run(centre, step, step + 1)
            bent_index = np.where(bent, np.cumsum(bent) - 1, -1)
            bent_odd, bent_even = np.empty_like(parts[1]), np.empty((int(bent.sum()), parts[1].shape[1]), parts[1].dtype)
            _neighbourhoods.bend(*parts, index, np.array(breakpoints), np.array(slopes), bent_index, bent_odd, bent_even)
            shape = centre[output].shape[1:]
            old = bent_index[index >= 0]
            odd = {r: t for r, t in odd.items() if r in centre}
            even = {r: _spread(t, old, len(bent_even)) for r, t in even.items() if r in centre}
            odd[output] = torch.from_numpy(bent_odd).reshape(-1, *shape)
            even[output] = torch.from_numpy(bent_even).reshape(-1, *shape)
            index, at = bent_index, step + 1

    def _mapped(self, at: int, step: int, odd: Parts, even: Parts) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
        """Odd and even parts from behind one kink to before the next."""
        odd = self.linear.run(odd, at, step, homogeneous=True)
        # No rows: only the shapes are wanted, and some operations refuse an empty batch.
        filled = len(next(iter(even.values()))) > 0
        return odd, self.linear.run(even, at, step, homogeneous=True) if filled else {r: t[:0] for r, t in odd.items()}

    def centres(self, live: Parts, at: int = 0, first: int = 0) -> FloatArray:
        """Values (n, units) of the layers from number `first` on, side by side; live: centres as they are before a step."""
        values = []
        for step, register, _, _ in self.layers[first:]:
            live, at = self.program.run(live, at, step), step
            values.append(_rows(live[register]))
        return np.concatenate(values, axis=1)

    def _followed(
        self, chain: Chain, centre: Parts, at: int, odd: Parts, rows: Tensor, radius: float, even: Parts,
        index: npt.NDArray[np.int64],
    ) -> Extremes:  # fmt: skip
        """Extremes of the layers of the chain; odd and even parts as they enter it, centres as they are before step `at`."""
        _, register, _, _ = self.layers[chain.first]
        own = _rows(odd[register])
        extra = _rows(even[register]) if even else own[:0]
        c = self.centres(centre, at, chain.first)
        low, high = np.empty_like(c), np.empty_like(c)
        _neighbourhoods.follow(c, own, rows.numpy(), radius, extra, index, *chain.arrays, low, high)
        ends = chain.arrays[0]
        for (step, *_), start, stop in zip(self.layers[chain.first :], ends, ends[1:], strict=False):
            if step in self.counted:
                yield low[:, start:stop], high[:, start:stop]


@dataclass(frozen=True, eq=False)
class Chain:
    """The last layers of a Program, from number `first` on: between any two kinks there is one dense map.

    arrays: as `_kernels.measuring.neighbourhoods.follow` takes them.
    """

    first: int
    arrays: tuple[npt.NDArray[Any], ...]

    @classmethod
    @torch.no_grad()
    def of(cls, program: Program, layers: Sequence[_Layer], dtype: torch.dtype) -> Chain | None:
        """The longest one that a network ends with; None if it ends with none.

        Kinks without a flat piece have no unit without consequence, so that whole products are faster: the chain begins
        behind the last of them but one.
        """
        maps: list[Tensor] = []
        first = len(layers) - 1
        while first > 0:
            kink = program.layers[first - 1]
            if len(maps) > 0 and 0.0 not in layers[first][3]:
                break
            weight = _weight(program, kink.shape, kink.step + 1, layers[first][0])
            if weight is None:
                break
            maps.insert(0, weight)
            first -= 1
        if not maps:
            return None
        widths = [maps[0].shape[1], *(len(weight) for weight in maps)]
        kinks = [np.array(layer[2], dtype=np.float64) for layer in layers[first:]]
        slopes = [np.array(layer[3], dtype=np.float64) for layer in layers[first:]]
        slopes[-1][:] = 0.0
        norms = [torch.zeros(widths[0], dtype=torch.float64), *(weight.norm(dim=1) for weight in maps)]
        arrays = (
            np.cumsum([0, *widths]), torch.cat([weight.to(dtype).flatten() for weight in maps]).numpy(),
            torch.cat(norms).numpy(), np.concatenate(kinks), np.cumsum([0, *map(len, kinks)]), np.concatenate(slopes),
        )  # fmt: skip
        return cls(first, arrays)


def _weight(program: Program, shape: tuple[int, ...], first: int, stop: int) -> Tensor | None:
    """Steps first..stop-1, which read a register of a shape, as one dense map (units, inputs); None if they are none.

    A linear step with a weight for every pair of entries, batch norm, reshaping; no other step reads what passes them.
    """
    steps, inputs = program.steps[first:stop], math.prod(shape)
    weights = [program.read(step)["weight"] for step in steps if step.op == "linear"]
    if len(weights) != 1 or not {step.op for step in steps} <= DENSE or inputs > WIDEST:
        return None
    reads = [register for step in program.steps for register in step.inputs] + [program.output]
    chain = [program.steps[first - 1].output, *(step.output for step in steps)]
    if [step.inputs[0] for step in steps] != chain[:-1] or any(reads.count(register) != 1 for register in chain):
        return None
    one = torch.eye(inputs, dtype=program.dtype).reshape(inputs, *shape)
    images = program.run({chain[0]: one}, first, stop, homogeneous=True)[chain[-1]].reshape(inputs, -1)
    return images.mT.contiguous() if images.numel() == weights[0].numel() else None


def _rows(t: Tensor) -> npt.NDArray[Any]:
    """A batch as contiguous rows (n, units)."""
    return t.reshape(len(t), math.prod(t.shape[1:])).contiguous().numpy()


def _spread(t: Tensor, rows: npt.NDArray[np.int64], count: int) -> Tensor:
    """The rows of t at `rows` of a batch of `count`, zero elsewhere."""
    out = t.new_zeros(count, *t.shape[1:])
    out[torch.from_numpy(rows)] = t
    return out
