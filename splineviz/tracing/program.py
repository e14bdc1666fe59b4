"""The vocabulary of a Program: what a traced network is made of. Also the fingerprint of a tensor's values.

A Program is straight-line code over numbered registers. Register 0 is the input; each Step reads
registers and writes one. A step is either *affine* in its inputs (see `affine`) or a *kink* (see `kinks`): a scalar,
continuous, piecewise-linear function applied to every entry of a tensor. (Maxima have a file of their own, and so have
`smooth` functions, with which a Program can be run but has no regions.)

    x --linear--> z --relu--> h --linear--> y          registers 0, 1, 2, 3
                  ^
                  its entries are the *units* of this kink layer; their knots are {z = breakpoint}

A Program holds no class and no import path, only operation names, shapes, the names of its weights, and the constants
that are no weights, so it can be written as JSON and rebuilt where the user's code is missing.
It knows nothing of planes, faces or files.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splineviz.errors import TraceError
from splineviz.storage import files
from splineviz.tracing.affine import AFFINE, JOINS, Attrs, Weights, converted, viewed
from splineviz.tracing.kinks import KINKS, KinkLayer, Kinks, numbered
from splineviz.tracing.maxima import MAXES
from splineviz.tracing.smooth import SMOOTH

__all__ = ["AFFINE", "JOINS", "KINKS", "KinkLayer", "Kinks", "Program", "Step", "fingerprint", "operations"]

MOST_ENTRIES = 1 << 26
"""A network from a file may not hold more numbers at a time, for one input: half a gigabyte in double precision."""
MOST_WRITTEN = 1 << 31
"""Nor may it write more of them from its input to its output, which is work and not memory."""
MOST_STEPS = 10_000
"""Nor may it have more steps: each costs milliseconds wherever the network is drawn, however small it is."""


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
        """Whether the step is a kink."""
        return self.op in KINKS

    @property
    def is_max(self) -> bool:
        """Whether every entry that the step writes is the largest of a group of entries that it reads."""
        return self.op in MAXES

    @property
    def is_smooth(self) -> bool:
        """Whether the step is a function without knots, applied to every entry."""
        return self.op in SMOOTH and SMOOTH[self.op].scalar

    def applied(self, x: list[Tensor], params: Mapping[str, Tensor], homogeneous: bool = False) -> Tensor:
        """What the step writes of what it reads; params: tensors by role; homogeneous: without what an affine one adds."""
        if (bent := KINKS.get(self.op) or SMOOTH.get(self.op)) is not None:
            return bent.call(x[0], self.attrs)
        if self.op in JOINS:
            return JOINS[self.op](x, self.attrs)
        if self.op in MAXES:
            return MAXES[self.op](x[0], self.attrs)
        return AFFINE[self.op](x[0], params, self.attrs, homogeneous)


class Program:
    """A traced network: steps over registers, and the weights they name.

    Args:
        input_shape: without the batch.
        steps: the operations, in order.
        output: register of the network's output.
        weights: by name, kept as given (the enumerator wants float64; see `to`).
        constants: tensors that steps name and that belong to the network, not to a checkpoint.
        depends: weights from which constants were computed, each with its `fingerprint`; `bind` refuses others.
        spare: names of further entries of the network's state dict, on which its output does not depend.
        swaps: smooth functions of the network that others stand for here (see `swaps`).
        trained: the steps and the output of the network as it was trained, before any swap.

    Raises:
        TraceError: a step names an unknown operation or a register that was never written.
    """

    def __init__(
        self, input_shape: Sequence[int], steps: Iterable[Step], output: int, weights: Mapping[str, Tensor], *,
        constants: Mapping[str, Tensor] | None = None, depends: Mapping[str, str] | None = None, spare: Iterable[str] = (),
        swaps: Mapping[str, str] | None = None, trained: tuple[Iterable[Step], int] | None = None,
    ):  # fmt: skip
        self.input_shape = tuple(int(n) for n in input_shape)
        self.steps = tuple(steps)
        self.output = output
        self.weights = weights if isinstance(weights, Weights) else dict(weights)
        self.constants = dict(constants or {})
        self.depends = dict(depends or {})
        self.spare = frozenset(spare)
        self.swaps = dict(swaps or {})
        self.lines: dict[str, str] = {}  # of the user's forward by path, for what may be refused later; in no file
        self._trained = None if trained is None else (tuple(trained[0]), trained[1])
        written = {0}
        for step in self.steps:
            if not any(step.op in known for known in (AFFINE, JOINS, KINKS, MAXES, SMOOTH)):
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
        for i, step in enumerate(self.steps[start:stop], start):
            read = [registers[register] for register in step.inputs]
            registers[step.output] = step.applied(read, self.params_of(step), homogeneous)
            for register in step.inputs:
                if self._last_use[register] <= i:
                    registers.pop(register, None)
        return registers

    def rehearse(self) -> None:
        """Run the steps on shapes alone, without memory. Raises TraceError naming a step that cannot run or is too large."""
        if len(self.steps) > MOST_STEPS:
            raise TraceError(f"traced network: expected at most {MOST_STEPS} steps, got {len(self.steps)}.")
        written = 0
        live = {0: torch.empty(1, *self.input_shape, dtype=torch.float64, device="meta")}
        shapes = self.to(torch.float64, "meta")
        with torch.no_grad():
            for i, step in enumerate(self.steps):
                name = f"traced network: step {i} ({step.path or step.op})"
                try:
                    live = shapes.run(live, i, i + 1)
                except MemoryError:
                    raise  # the machine's fault, not the step's
                except Exception as error:  # whatever a step with other people's numbers provokes
                    line = (str(error).strip().splitlines() or [""])[0][:160]
                    raise TraceError(f"{name}: expected shapes that fit, got {type(error).__name__}: {line}.") from error
                rows = {tuple(tensor.shape[:1]) for tensor in live.values()} - {(1,)}
                if rows:  # a bias of several rows, say
                    raise TraceError(f"{name}: expected one row for one input, got rows of shape {min(rows)}.")
                held, new = sum(tensor.numel() for tensor in live.values()), live.get(step.output)
                if held > MOST_ENTRIES:
                    raise TraceError(f"{name}: expected at most {MOST_ENTRIES} entries for one input, got {held}.")
                written += 0 if new is None else new.numel()
                if written > MOST_WRITTEN:
                    raise TraceError(f"{name}: expected at most {MOST_WRITTEN} entries written for one input, got more.")

    def params_of(self, step: Step) -> dict[str, Tensor]:
        """The weights and constants that a step reads, by role; of a linear layer as they are kept (see `Weights`)."""
        if step.op == "linear" and isinstance(self.weights, Weights):
            return self.weights.of_linear(step.params, self.constants)
        return {role: self.weights[key] if key in self.weights else self.constants[key] for role, key in step.params.items()}

    def read(self, step: Step) -> dict[str, Tensor]:
        """The tensors of a step by role, as it reads them: weights or constants, reshaped or transposed where it says so."""
        params = self.params_of(step)
        return {role: viewed(params, step.attrs, role) for role in params}

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

    def last_use(self, register: int) -> int:
        """The last step that reads a register; the number of steps for the output."""
        return self._last_use.get(register, -1)

    def shapes(self) -> dict[int, tuple[int, ...]]:
        """Shape of every register, without the batch."""
        live: dict[int, Tensor] = {0: torch.zeros(1, *self.input_shape, dtype=self.dtype, device=self.device)}
        found = {0: tuple(self.input_shape)}
        with torch.no_grad():
            for at, step in enumerate(self.steps):
                live = self.run(live, at, at + 1)
                if step.output in live:
                    found[step.output] = tuple(live[step.output].shape[1:])
        return found

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
                        layers.append(KinkLayer(i, step.path or step.op, shape, KINKS[step.op].pieces(step.attrs)))
            names = numbered(layer.path for layer in layers)
            self._layers = tuple(replace(layer, path=path) for layer, path in zip(layers, names, strict=True))
        return self._layers

    @property
    def smooth(self) -> dict[str, str]:
        """Functions without knots that are in it, by the paths of their steps; with any, it has no linear regions."""
        return {step.path or step.op: step.op for step in self.steps if step.op in SMOOTH}

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights; float64 if there are none."""
        own = () if isinstance(self.weights, Weights) else self.weights.values()
        return next((w.dtype for w in own if w.is_floating_point()), torch.float64)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next((w.device for w in self.weights.values()), torch.device("cpu"))

    def to(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Program:
        """The same Program with its floating-point weights in another precision or on another device; itself if they are."""
        weights, constants = converted(self.weights, dtype, device), converted(self.constants, dtype, device)
        same = weights is self.weights and constants is self.constants
        return self if same else self._with(weights, constants)

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
        stale = [key for key, print_ in self.depends.items() if key in weights and fingerprint(weights[key]) != print_]
        if stale:
            raise TraceError(
                f"{', '.join(stale)}: expected the values that the network was traced with, for its forward computes "
                "constants from them, got others; trace the network anew with these weights."
            )
        return self.with_weights(weights)

    def with_weights(self, weights: Mapping[str, Tensor]) -> Program:
        """The same Program with other weights, which are not looked at."""
        own = weights if isinstance(weights, Weights) else {key: weights[key].detach() for key in self.weights}
        return self._with(own, self.constants)

    def _with(self, weights: Mapping[str, Tensor], constants: Mapping[str, Tensor]) -> Program:
        return Program(
            self.input_shape, self.steps, self.output, weights, constants=constants, depends=self.depends, spare=self.spare,
            swaps=self.swaps, trained=self._trained,
        )  # fmt: skip

    @property
    def as_trained(self) -> Program:
        """The network as it was trained, with its smooth functions; the Program itself where nothing was swapped."""
        if self._trained is None:
            return self
        steps, output = self._trained
        return Program(
            self.input_shape, steps, output, self.weights, constants=self.constants, depends=self.depends, spare=self.spare
        )

    def as_weights(self) -> Program:
        """The Program with its constants among its weights, so that whoever keeps the weights keeps all of it."""
        if not self.constants and not self.depends:
            return self
        return Program(
            self.input_shape, self.steps, self.output, {**self.weights, **self.constants},
            spare=self.spare | (self.depends.keys() - self.weights.keys()), swaps=self.swaps, trained=self._trained,
        )  # fmt: skip

    def picking(self, outputs: Sequence[int]) -> Program:
        """The Program with some of its flattened outputs alone."""

        def picked(steps: tuple[Step, ...], output: int) -> tuple[list[Step], int]:
            fresh = 1 + max((step.output for step in steps), default=0)
            flat = Step("reshape", (output,), fresh, {}, {"shape": [-1]}, "outputs")
            chosen = Step("getitem", (fresh,), fresh + 1, {}, {"key": [{"list": list(outputs)}]}, "outputs")
            return [*steps, flat, chosen], fresh + 1

        steps, output = picked(self.steps, self.output)
        return Program(
            self.input_shape, steps, output, self.weights, constants=self.constants, depends=self.depends, spare=self.spare,
            swaps=self.swaps, trained=None if self._trained is None else picked(*self._trained),
        )  # fmt: skip

    # ---- as data -----------------------------------------------------------------------------------

    def to_data(self) -> dict[str, Any]:
        """The structure as JSON-ready data: operations, registers, weight names and shapes; no weights."""
        data: dict[str, Any] = {
            "format": 1,
            "input_shape": list(self.input_shape),
            "output": self.output,
            "steps": [_told(step) for step in self.steps],
            "weights": {key: list(w.shape) for key, w in self.weights.items()},
        }
        if self.constants:
            data["constants"] = {key: _packed(t) for key, t in self.constants.items()}
        if self.depends:
            data["depends"] = dict(self.depends)
        if self.spare:
            data["spare"] = sorted(self.spare)
        if self.swaps:
            data["swaps"] = dict(self.swaps)
        if self._trained is not None:
            steps, output = self._trained
            data["trained"] = {"steps": [_told(step) for step in steps], "output": output}
        return data

    @classmethod
    def from_data(cls, data: Mapping[str, Any], *, rehearsed: bool = False) -> Program:
        """The Program that `to_data` wrote, with weights of zero until `bind`. Raises TraceError on malformed data.

        rehearsed: the data were read, and rehearsed, before (the first rehearsal of a process takes torch a second).
        """
        try:
            if data["format"] != 1:
                raise TraceError(f"traced network: expected format 1, got {data['format']!r}; update splineviz to read it.")
            steps = [_read(step) for step in data["steps"]]
            trained = data.get("trained")
            shapes = {str(key): [int(n) for n in shape] for key, shape in data["weights"].items()}
            constants = {str(key): _unpacked(stored) for key, stored in data.get("constants", {}).items()}
            depends = {str(key): str(value) for key, value in data.get("depends", {}).items()}
            unnamed = {key for s in steps for key in s.params.values()} - shapes.keys() - constants.keys()
            if unnamed:
                raise TraceError(f"traced network: weights {sorted(unnamed)} are used but not described.")
            # expand: a described shape must not allocate before real weights of that shape are at hand.
            weights = {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}
            spare = [str(key) for key in data.get("spare", [])]
            swaps = {str(name): str(target) for name, target in data.get("swaps", {}).items()}
            program = cls(
                data["input_shape"], steps, int(data["output"]), weights, constants=constants, depends=depends, spare=spare,
                swaps=swaps, trained=trained and ([_read(step) for step in trained["steps"]], int(trained["output"])),
            )  # fmt: skip
            if not rehearsed:
                program.rehearse()
                if trained:
                    program.as_trained.rehearse()
            return program
        except (KeyError, TypeError, AttributeError, RuntimeError, ValueError, OverflowError, MemoryError) as error:
            if isinstance(error, TraceError):
                raise
            raise TraceError(f"traced network: expected the data that Program.to_data writes, got {error!r}.") from error


def operations() -> list[str]:
    """Names of every operation that a Program may use."""
    return sorted([*AFFINE, *JOINS, *KINKS, *MAXES])


def fingerprint(tensor: Tensor) -> str:
    """Digest of a tensor's values in double precision."""
    return files.digest(tensor.detach().cpu().double().contiguous().numpy())


def _told(step: Step) -> dict[str, Any]:
    return {
        "op": step.op, "inputs": list(step.inputs), "output": step.output, "params": dict(step.params),
        "attrs": dict(step.attrs), "path": step.path,
    }  # fmt: skip


def _read(told: Mapping[str, Any]) -> Step:
    params = {str(role): str(key) for role, key in told["params"].items()}
    inputs, output = tuple(int(r) for r in told["inputs"]), int(told["output"])
    return Step(str(told["op"]), inputs, output, params, dict(told["attrs"]), str(told["path"]))


def _packed(tensor: Tensor) -> dict[str, Any]:
    values = np.ascontiguousarray(tensor.detach().cpu().double().numpy(), dtype="<f8")
    return {"shape": list(values.shape), "float64": base64.b64encode(values.tobytes()).decode()}


def _unpacked(stored: Mapping[str, Any]) -> Tensor:
    values = np.frombuffer(base64.b64decode(stored["float64"], validate=True), dtype="<f8")
    return torch.from_numpy(values.reshape([int(n) for n in stored["shape"]]).astype(np.float64))
