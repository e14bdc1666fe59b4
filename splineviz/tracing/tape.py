"""The tape: steps as tracing writes them, one after the other, and the weights and constants that they name.
Also a call's arguments as plain data for JSON.

A live tensor depends on the network's input; it has a register and, from the sample batch, a value. Every other
tensor is a weight (it stands in the state dict), a view of one, or a constant. This file knows operations and no graph.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from splineviz.tracing.affine import held, is_large
from splineviz.tracing.kinks import KINKS
from splineviz.tracing.program import Program, Step, fingerprint

MOVED = 2.0**-30
"""Relative step by which the size of what is summed is measured."""


@dataclass(frozen=True, eq=False)
class Live:
    """A tensor that depends on the input: its register, and its value on the sample batch."""

    register: int
    value: Tensor


class Tape:
    """Steps so far. tensors: the state dict, under the names that checkpoints have for its tensors.

    smooth: whether functions without knots may be written, too.
    """

    def __init__(self, input_shape: Sequence[int], tensors: Mapping[str, Tensor], *, smooth: bool = False):
        self.input_shape = tuple(input_shape)
        self.smooth = smooth
        self.tensors = dict(tensors)
        self.keys = {id(t): key for key, t in self.tensors.items()}
        self.sources: dict[int, set[str]] = {id(t): {key} for key, t in self.tensors.items()}
        self.constants: dict[str, Tensor] = {}
        self.depends: dict[str, str] = {}
        self.steps: list[Step] = []
        self.path = ""
        self.lines: dict[str, str] = {}
        self._kept: list[Tensor] = []

    def program(self, output: int) -> Program:
        """The Program of all that was written."""
        used = {key for step in self.steps for key in step.params.values()}
        weights = {key: t.detach() for key, t in self.tensors.items() if key in used}
        made = Program(
            self.input_shape, self.steps, output, held(weights), constants=self.constants, depends=self.depends,
            spare=self.tensors.keys() - used - self.depends.keys(),
        )  # fmt: skip
        made.lines = dict(self.lines)
        return made

    # ---- tensors that are not live ---------------------------------------------------------------------

    def computed(self, tensor: Tensor, sources: set[str]) -> None:
        """Remember that a tensor was computed from weights."""
        self._kept.append(tensor)  # an identity is a name only as long as its owner lives
        self.sources[id(tensor)] = self.sources.get(id(tensor), set()) | sources

    def derived(self, tensor: Tensor, *origins: Any) -> Tensor:
        """A tensor that was made of others: it was computed from the weights that these were computed from."""
        self.computed(tensor, set().union(*(self.sources.get(id(one), set()) for one in origins)))
        return tensor

    def named(self, tensor: Tensor) -> tuple[str, dict[str, Any] | None]:
        """The name under which a Program finds a tensor, and the view to take of it (see `affine`)."""
        key = self.keys.get(id(tensor))
        if key is not None:
            return key, None
        sources = self.sources.get(id(tensor), set())
        if len(sources) == 1:
            (key,) = sources
            view = _view(tensor, self.tensors[key])
            if view is not None:
                return key, view
        for name, constant in self.constants.items():
            if constant.shape == tensor.shape and torch.equal(constant, tensor.to(constant.dtype)):
                key = name
                break
        else:
            numbers = itertools.count(len(self.constants))
            key = next(key for i in numbers if (key := f"constant.{i}") not in self.tensors)
            self.constants[key] = tensor.detach().clone().contiguous().double()
        self.bound_to(sources)
        return key, None

    def bound_to(self, sources: Iterable[str]) -> None:
        """Remember that the steps go with the present values of these weights alone."""
        self.depends |= {source: fingerprint(self.tensors[source]) for source in sources}

    # ---- steps -----------------------------------------------------------------------------------------

    def emit(self, op: str, *inputs: Live, params: Any = None, **attrs: Any) -> Live:
        """Write one step, and run it on the sample batch; params: tensors by role, or None."""
        keys: dict[str, str] = {}
        views = {}
        for role, tensor in (params or {}).items():
            if tensor is not None:
                keys[role], view = self.named(tensor)
                if view is not None:
                    views[role] = view
        if views:
            attrs["views"] = views
        step = Step(op, tuple(x.register for x in inputs), len(self.steps) + 1, keys, plain(attrs), self.path)
        return self._run(step, inputs)

    def again(self, step: Step, inputs: Sequence[Live]) -> Live:
        """Write a step of another tape, which has the same weights and constants, on other inputs."""
        return self._run(replace(step, inputs=tuple(x.register for x in inputs), output=len(self.steps) + 1), inputs)

    def _run(self, step: Step, inputs: Sequence[Live]) -> Live:
        self.steps.append(step)
        return Live(step.output, self._applied(step, [x.value for x in inputs]))

    def _applied(self, step: Step, inputs: list[Tensor], of: Callable[[Tensor], Tensor] = lambda t: t) -> Tensor:
        """What a step makes of some inputs; of: what to take for its weights."""
        named = step.params.items()
        weights = {role: self.tensors[key] if key in self.tensors else self.constants[key] for role, key in named}
        with torch._C.DisableTorchFunction():  # whoever listens to the module's calls does not hear these
            wide = {role: w if step.op == "linear" or not is_large(w) else w.double() for role, w in weights.items()}
            return step.applied(inputs, {role: of(weight) for role, weight in wide.items()})

    def summed(self, first: int, lives: Sequence[Live], register: int) -> float:
        """How large the numbers are whose sum the steps from `first` on write into a register, where they may cancel: what
        all of them moved by random relative steps change in it, over the step.
        """
        generator = torch.Generator().manual_seed(4)

        def moved(t: Tensor) -> Tensor:
            if not t.is_floating_point() or is_large(t):
                return t
            return t * (1.0 + MOVED * (2.0 * torch.rand(t.shape, dtype=torch.float64, generator=generator) - 1.0))

        exact = {one.register: one.value for one in lives}
        other = {source: moved(value) for source, value in exact.items()}
        for step in self.steps[first:]:
            if all(source in exact for source in step.inputs):
                exact[step.output] = self._applied(step, [exact[source] for source in step.inputs])
                other[step.output] = self._applied(step, [other[source] for source in step.inputs], moved)
        return float((other[register] - exact[register]).abs().max()) / MOVED if register in exact else 0.0

    def kink(self, op: str, z: Live, **attrs: Any) -> Live:
        """A kink; one that is no layer by itself is written as a sum of ReLUs (see `kinks`)."""
        call, kinks = KINKS[op].call, KINKS[op].pieces(attrs)
        if kinks.breakpoints == (0.0,) and float(call(torch.zeros(1), attrs)) == 0.0:
            return self.emit(op, z, **attrs)
        total = None if kinks.slopes[0] == 0.0 else self.scaled(z, kinks.slopes[0])
        for breakpoint_, low, high in zip(kinks.breakpoints, kinks.slopes[:-1], kinks.slopes[1:], strict=True):
            if high == low:
                continue
            bent = self.emit("relu", self.shifted(z, -breakpoint_))
            total = self.scaled(bent, high - low) if total is None else self.emit("add", total, bent, alpha=high - low)
        total = self.scaled(z, 0.0) if total is None else total
        first = torch.tensor([kinks.breakpoints[0]], dtype=torch.float64)
        return self.shifted(total, float(call(first, attrs)) - kinks.slopes[0] * kinks.breakpoints[0])

    def scaled(self, x: Live, factor: float) -> Live:
        """Scaled by a number."""
        return x if factor == 1.0 else self.emit("scale", x, factor=float(factor))

    def shifted(self, x: Live, by: float) -> Live:
        """Shifted by a number."""
        return x if by == 0.0 else self.emit("shift", x, value=float(by), alpha=1)

    def larger(self, a: Live, b: Live) -> Live:
        """The larger of two live tensors, entry by entry: b + relu(a - b)."""
        return self.emit("add", b, self.emit("relu", self.emit("add", a, b, alpha=-1)), alpha=1)

    def smaller(self, a: Live, b: Live) -> Live:
        """The smaller of two live tensors, entry by entry: b - relu(b - a)."""
        return self.emit("add", b, self.emit("relu", self.emit("add", b, a, alpha=-1)), alpha=-1)


def plain(value: Any) -> Any:
    """The same arguments as JSON-ready data."""
    if isinstance(value, Mapping):
        return {key: plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def _view(tensor: Tensor, weight: Tensor) -> dict[str, Any] | None:
    """The view (see `affine.viewed`) that makes a tensor of a weight whose memory it shares, if it is one."""
    if tensor.numel() != weight.numel() or tensor.data_ptr() != weight.data_ptr() or not weight.is_contiguous():
        return None
    if tensor.is_contiguous():
        return {"shape": list(tensor.shape), "transposed": False}
    if tensor.dim() >= 2 and tensor.mT.is_contiguous():
        return {"shape": list(tensor.mT.shape), "transposed": True}
    return None
