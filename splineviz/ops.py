"""The vocabulary of a Program: what a traced network is made of.

A Program is straight-line code over numbered registers. Register 0 is the input; each Step reads
registers and writes one. A step is either *affine* in its inputs or a *kink*: a scalar, continuous,
piecewise-linear function applied to every entry of a tensor.

    x --linear--> z --relu--> h --linear--> y          registers 0, 1, 2, 3
                  ^
                  its entries are the *units* of this kink layer; their knots are {z = breakpoint}

A Program holds no class and no import path, only operation names, shapes and the names of its
weights, so it can be written as JSON and rebuilt where the user's code is missing.
It knows nothing of planes, faces or files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from splineviz.errors import TraceError

Attrs = Mapping[str, Any]
Params = Mapping[str, Tensor]


def _linear(x: Tensor, p: Params, a: Attrs, homogeneous: bool) -> Tensor:
    return F.linear(x, p["weight"], None if homogeneous else p.get("bias"))


def _conv(x: Tensor, p: Params, a: Attrs, homogeneous: bool) -> Tensor:
    convolve: Callable[..., Tensor] = (F.conv1d, F.conv2d, F.conv3d)[a["dims"] - 1]
    if a["padding_mode"] != "zeros":
        x = F.pad(x, a["pad"], mode=a["padding_mode"])
    padding = a["padding"] if a["padding_mode"] == "zeros" else 0
    bias = None if homogeneous else p.get("bias")
    return convolve(x, p["weight"], bias, a["stride"], padding, a["dilation"], a["groups"])


def _batch_norm(x: Tensor, p: Params, a: Attrs, homogeneous: bool) -> Tensor:
    scale = torch.rsqrt(p["running_var"] + a["eps"])
    if "weight" in p:
        scale = scale * p["weight"]
    shape = (1, -1) + (1,) * (x.dim() - 2)
    if homogeneous:
        return x * scale.view(shape)
    centred = (x - p["running_mean"].view(shape)) * scale.view(shape)
    return centred + p["bias"].view(shape) if "bias" in p else centred


def _reshape(x: Tensor, p: Params, a: Attrs, homogeneous: bool) -> Tensor:
    return x.reshape(x.shape[0], *a["shape"])


AFFINE: dict[str, Callable[[Tensor, Params, Attrs, bool], Tensor]] = {
    "linear": _linear,
    "conv": _conv,
    "batch_norm": _batch_norm,
    "reshape": _reshape,
}
"""Affine operations by name: f(x, params, attrs, homogeneous) on a batch; homogeneous leaves out every constant."""


@dataclass(frozen=True)
class Kinks:
    """A continuous piecewise-linear scalar function: breakpoints (m,), ascending, and the slopes (m + 1,) between them."""

    breakpoints: tuple[float, ...]
    slopes: tuple[float, ...]


KINKS: dict[str, tuple[Callable[[Tensor, Attrs], Tensor], Callable[[Attrs], Kinks]]] = {
    "relu": (lambda z, a: F.relu(z), lambda a: Kinks((0.0,), (0.0, 1.0))),
    "leaky_relu": (
        lambda z, a: F.leaky_relu(z, a["negative_slope"]),
        lambda a: Kinks((0.0,), (float(a["negative_slope"]), 1.0)),
    ),
    "abs": (lambda z, a: z.abs(), lambda a: Kinks((0.0,), (-1.0, 1.0))),
}
"""Kink operations by name: the torch call, and its breakpoints and slopes."""


@dataclass(frozen=True)
class Step:
    """One operation: reads `inputs`, writes `output`; `params` maps a role to a state-dict key; `path` is for messages."""

    op: str
    inputs: tuple[int, ...]
    output: int
    params: Mapping[str, str] = field(default_factory=dict)
    attrs: Attrs = field(default_factory=dict)
    path: str = ""

    @property
    def is_kink(self) -> bool:
        """Whether the step is a kink; else it is affine."""
        return self.op in KINKS


@dataclass(frozen=True)
class KinkLayer:
    """Where a kink stands: index of its step, its path, the units' shape (no batch), and its breakpoints and slopes."""

    step: int
    path: str
    shape: tuple[int, ...]
    kinks: Kinks

    @property
    def units(self) -> int:
        """Number of units: entries of the kink's input."""
        return math.prod(self.shape)


class Program:
    """A traced network: steps over registers, and the weights they name.

    input_shape: without the batch. Weights are kept as given (the enumerator wants float64; see `to`).
    Raises TraceError when a step names an unknown operation or a register that was never written.
    """

    def __init__(self, input_shape: Sequence[int], steps: Iterable[Step], output: int, weights: Mapping[str, Tensor]):
        self.input_shape = tuple(int(n) for n in input_shape)
        self.steps = tuple(steps)
        self.output = output
        self.weights = dict(weights)
        written = {0}
        for step in self.steps:
            if step.op not in AFFINE and step.op not in KINKS:
                raise TraceError(f"{step.path or step.op}: expected one of the operations {operations()}, got {step.op!r}.")
            if not written.issuperset(step.inputs):
                raise TraceError(f"{step.path or step.op}: reads register {step.inputs} before it is written.")
            written.add(step.output)
        if output not in written:
            raise TraceError(f"the output register {output} is never written.")
        self._last_use = {register: i for i, step in enumerate(self.steps) for register in step.inputs}
        self._last_use[output] = len(self.steps)
        self._layers: tuple[KinkLayer, ...] | None = None

    # ---- running -----------------------------------------------------------------------------------

    def run(self, live: Mapping[int, Tensor], start: int, stop: int, *, homogeneous: bool = False) -> dict[int, Tensor]:
        """Run steps start..stop-1 on batches (leading dimension free); returns the registers still needed at `stop`."""
        registers = dict(live)
        for i in range(start, stop):
            step = self.steps[i]
            x = registers[step.inputs[0]]
            if step.is_kink:
                registers[step.output] = KINKS[step.op][0](x, step.attrs)
            else:
                params = {role: self.weights[key] for role, key in step.params.items()}
                registers[step.output] = AFFINE[step.op](x, params, step.attrs, homogeneous)
            for register in step.inputs:
                if self._last_use[register] <= i:
                    registers.pop(register, None)
        return registers

    def __call__(self, x: Tensor) -> Tensor:
        """Outputs (n, C) of inputs (n, *input_shape), in the weights' precision."""
        return self.run({0: x}, 0, len(self.steps))[self.output].reshape(len(x), -1)

    def preactivations(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """The inputs of every kink layer, each (n, units), and the outputs (n, C), at inputs x (n, *input_shape)."""
        live, at, values = {0: x}, 0, []
        for layer in self.layers:
            live = self.run(live, at, layer.step)
            at = layer.step
            values.append(live[self.steps[at].inputs[0]].reshape(len(x), -1))
        return values, self.run(live, at, len(self.steps))[self.output].reshape(len(x), -1)

    # ---- shape -------------------------------------------------------------------------------------

    @property
    def layers(self) -> tuple[KinkLayer, ...]:
        """The kink layers in order."""
        if self._layers is None:
            some = next(iter(self.weights.values()), torch.zeros(1))
            live, at, layers = {0: torch.zeros(1, *self.input_shape, dtype=some.dtype, device=some.device)}, 0, []
            with torch.no_grad():
                for i, step in enumerate(self.steps):
                    if step.is_kink:
                        live, at = self.run(live, at, i), i
                        shape = tuple(live[step.inputs[0]].shape[1:])
                        layers.append(KinkLayer(i, step.path or step.op, shape, KINKS[step.op][1](step.attrs)))
            self._layers = tuple(layers)
        return self._layers

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights; float64 if there are none."""
        return next((w.dtype for w in self.weights.values() if w.is_floating_point()), torch.float64)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next((w.device for w in self.weights.values()), torch.device("cpu"))

    def to(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Program:
        """The same Program with its floating-point weights in another precision or on another device."""
        moved = {
            key: w.detach().to(device=device, dtype=dtype if w.is_floating_point() else None)
            for key, w in self.weights.items()
        }
        return Program(self.input_shape, self.steps, self.output, moved)

    def bind(self, weights: Mapping[str, Tensor]) -> Program:
        """The same Program with other weights of the same names and shapes. Raises TraceError when they do not fit."""
        problems = []
        for key, own in self.weights.items():
            if key not in weights:
                problems.append(f"{key}: expected shape {tuple(own.shape)}, missing")
            elif tuple(weights[key].shape) != tuple(own.shape):
                problems.append(f"{key}: expected shape {tuple(own.shape)}, got {tuple(weights[key].shape)}")
        if problems:
            raise TraceError("weights do not fit the network:\n  " + "\n  ".join(problems))
        return Program(self.input_shape, self.steps, self.output, {key: weights[key].detach() for key in self.weights})

    # ---- as data -----------------------------------------------------------------------------------

    def to_data(self) -> dict[str, Any]:
        """The structure as JSON-ready data: operations, registers, weight names and shapes; no weights."""
        return {
            "format": 1,
            "input_shape": list(self.input_shape),
            "output": self.output,
            "steps": [
                {
                    "op": s.op,
                    "inputs": list(s.inputs),
                    "output": s.output,
                    "params": dict(s.params),
                    "attrs": dict(s.attrs),
                    "path": s.path,
                }
                for s in self.steps
            ],
            "weights": {key: list(w.shape) for key, w in self.weights.items()},
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Program:
        """The Program that `to_data` wrote, with weights of zero until `bind`. Raises TraceError on malformed data."""
        try:
            if data["format"] != 1:
                raise TraceError(f"traced network: expected format 1, got {data['format']!r}; update splineviz to read it.")
            steps = [
                Step(
                    str(s["op"]),
                    tuple(int(r) for r in s["inputs"]),
                    int(s["output"]),
                    {str(role): str(key) for role, key in s["params"].items()},
                    dict(s["attrs"]),
                    str(s["path"]),
                )
                for s in data["steps"]
            ]
            shapes = {str(key): [int(n) for n in shape] for key, shape in data["weights"].items()}
            unnamed = {key for s in steps for key in s.params.values()} - shapes.keys()
            if unnamed:
                raise TraceError(f"traced network: weights {sorted(unnamed)} are used but not described.")
            # expand: a described shape must not allocate before real weights of that shape are at hand.
            weights = {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}
            return cls(data["input_shape"], steps, int(data["output"]), weights)
        except (KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise TraceError(f"traced network: expected the data that Program.to_data writes, got {error!r}.") from error


def operations() -> list[str]:
    """Names of every operation that a Program may use."""
    return sorted([*AFFINE, *KINKS])


def renumbered(step: Step, inputs: tuple[int, ...], output: int) -> Step:
    """The step on other registers."""
    return replace(step, inputs=inputs, output=output)
