"""Guards: a Program bound to weights is the network that the user has, in a foreign folder too, or it is not used.

    Live      held against the module as it stands in a training loop        -> Program and weights to write
    Loaded    held against the module with a file's weights loaded           -> Program

Held against means: both are run, in double precision, on training samples and random inputs of several scales, and their
calls of torch are compared with those that were seen when the Program was written. Where they differ the module is traced
anew; what cannot be traced is refused. The user's module is never run: its twin is (see `twins`).

This file knows no files and draws nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from splineviz.errors import CheckpointError, TraceError
from splineviz.tracing import doors, trace, twins
from splineviz.tracing.precision import Logged, is_rounding, undisturbed
from splineviz.tracing.program import Program
from splineviz.training import checkpoints, state_files

SAMPLES = 2
"""Training samples among the points at which Program and module are held against each other."""
PROBES = slice(2, 7, 2)
"""Which of the random inputs: of scales 0.14, 1.9 and 27."""
ON = True
"""Tests switch it off, to see that a judge of their own then finds what this file prevents."""


def points(samples: Any) -> Tensor:
    """Inputs (n, *input_shape) at which Program and module are held against each other."""
    few = torch.from_numpy(np.asarray(samples[:SAMPLES], dtype=np.float64))
    return torch.cat([few, trace.probes(few.shape[1:])[PROBES]])


@dataclass(frozen=True, eq=False)
class Seen:
    """A Program, and the calls of torch that its module made at the `points`."""

    program: Program
    calls: list[Any]


@dataclass(frozen=True)
class Chosen:
    """Which result of forward, and which of its entries, are the network's outputs; None: as `trace` finds them, all."""

    output: str | int | None = None
    outputs: Sequence[int] | None = None

    def written(self, module: nn.Module, shape: Sequence[int], prefix: str) -> Program:
        """The Program of a twin."""
        program = trace.written(module, shape, smooth=True, output=self.output, prefix=prefix)
        return trace.kept(program, self.outputs)

    def of(self, result: Any, count: int) -> Tensor:
        """The outputs (count, C) among what forward gave."""
        y = doors.result_of(result, self.output).reshape(count, -1)
        return y if self.outputs is None else y[:, list(self.outputs)]


ALL = Chosen()


def _is_theirs(module: nn.Module) -> bool:
    """Whether code of the user's runs in a module."""
    return any(not type(m).__module__.startswith("torch.nn.") for m in module.modules())


def _run(module: nn.Module, x: Tensor, chosen: Chosen = ALL, *, wide: bool = True) -> tuple[Tensor, list[Any]]:
    """The outputs (n, C) of a twin, and its calls of torch. wide: in double precision, whatever its code asks for."""
    with undisturbed() if _is_theirs(module) else nullcontext(), torch.no_grad(), Logged(wide=wide) as log:
        value = module(x.clone())
    return chosen.of(value, len(x)), log.calls


def _agrees(program: Program, y: Tensor, x: Tensor) -> bool:
    """Whether a Program gives the outputs of a module, or neither gives finite ones."""
    with torch.no_grad():
        ours = program(x)
    if ours.shape != y.shape:
        return False
    worst = float((ours - y).abs().max() / y.abs().max().clamp_min(torch.finfo(torch.float64).tiny))
    return is_rounding(worst, program, x)


class Kept:
    """A twin that outlives a save: it takes on the module's new values, as long as nothing else can have changed.

    A network in single precision stays in it: its Program must then give its very bits, where all is rounded alike. Double
    precision decides where it does not.
    """

    def __init__(self, model: nn.Module, module: nn.Module, narrow: bool):
        self.sign, self.own = twins.signature(model), twins.signature(module)
        live = [tensor for _, tensor in doors.named_tensors(doors.unwrapped(model))]
        self.module = module
        self.pairs = list(zip(live, (tensor for _, tensor in doors.named_tensors(module)), strict=True))
        self.narrow = narrow and all(t.dtype is torch.float32 for t in live if t.is_floating_point())
        self.theirs, self._filled = _is_theirs(module), False
        self._bound: Program | None = None

    def is_of(self, model: nn.Module) -> bool:
        """Whether module and twin are as they were, but for the values of their tensors."""
        if self.sign is None or self.own is None or twins.signature(model) != self.sign:
            return False
        if not self.theirs:
            return True  # torch's own modules leave themselves alone
        for module in model.modules():
            doors.check_kept(module)
        return twins.signature(self.module) == self.own

    def fill(self, taken: dict[int, Tensor]) -> None:
        """Take the module's values, which are written to `taken` by the identity of the module's tensors."""
        with torch.no_grad():
            for live, ours in self.pairs:
                value = taken.get(id(live))
                if value is None:
                    value = taken[id(live)] = live.detach().to("cpu", copy=True)
                if self.narrow:
                    ours.data = value
                else:
                    ours.copy_(value)
        if self.narrow and not self._filled:
            self._filled, self.own = True, twins.signature(self.module)

    def is_seen(self, seen: Seen, x: Tensor, chosen: Chosen) -> bool:
        """Whether a Program is the network as it stands here."""
        if self._bound is None:
            tensors = _named(self.module, "")
            if not _fits(seen.program, tensors):
                return False
            own, held = seen.program, {key: tensors[key] for key in seen.program.weights}
            self._bound = Program(own.input_shape, own.steps, own.output, held)  # of tensors that take on new values
        if not self.narrow:
            y, calls = _run(self.module, x, chosen)
            return _same(seen, calls, self._bound, y, x)
        if torch.get_float32_matmul_precision() != "highest" or torch.is_autocast_enabled("cpu"):
            return False
        versions, x = self._versions(), x.float()
        try:
            with torch.no_grad():
                y, calls = _run(self.module, x, chosen, wide=False)
                alike = calls == seen.calls and torch.equal(y, self._bound(x))
        except Exception:  # of the user's own code: double precision says what it is
            return False
        return alike and bool(torch.isfinite(y).all()) and versions == self._versions()

    def _versions(self) -> list[int]:
        """How often each tensor of the twin was written into."""
        return [ours._version for _, ours in self.pairs]


def _fits(program: Program, tensors: Mapping[str, Tensor]) -> bool:
    """Whether all weights of a Program are tensors of a module, and none a constant, or gone."""
    return all(key in tensors and tensors[key].shape == own.shape for key, own in program.weights.items())


def _same(seen: Seen, calls: list[Any], bound: Program, y: Tensor, x: Tensor) -> bool:
    """Whether a module that made these calls and gave y at x is the network of a Program.

    A training that diverged is recorded as it is: the network is the same, its numbers are none.
    """
    return calls == seen.calls and (not bool(torch.isfinite(y).all()) or _agrees(bound, y, x))


class Live:
    """Holds Programs against the module of a training loop. samples: training inputs (n, *input_shape)."""

    def __init__(
        self, model: Any, samples: Any, *, output: str | int | None = None, outputs: Sequence[int] | None = None
    ):
        self.model, self.chosen = model, Chosen(output, outputs)
        self.shape = tuple(samples.shape[1:])
        self.x = points(samples)
        self._kept: Kept | None = None
        self._narrow = True
        self._settled = ON and not trace.is_settled(model, self.x, output)
        self.seen = self._traced(*self._twin())

    @property
    def program(self) -> Program:
        """The Program of the module as it was seen last; its constants are among its weights."""
        return self.seen.program

    def state(self) -> tuple[Program, dict[str, Tensor]]:
        """The Program of the module as it stands, and the weights to write for it; TraceError when it cannot be traced."""
        taken: dict[int, Tensor] = {}
        program, narrow = self.program, self._narrow
        kept, self._kept = self._kept, None
        if kept is not None and kept.is_of(self.model):
            kept.fill(taken)
            if kept.is_seen(self.seen, self.x, self.chosen):
                self._kept = kept
                return program, self._taken(taken)
            narrow = narrow and not kept.narrow
            taken = {} if kept.narrow else taken
        self._settled = ON and not trace.is_settled(self.model, self.x, self.chosen.output)
        module, prefix = self._twin(taken)
        tensors = _named(module, prefix)
        if not ON:
            return program, {**program.weights, **{k: t for k, t in tensors.items() if k in program.weights}}
        if _fits(program, tensors):
            bound = program.bind(tensors)
            plain = isinstance(self.model, nn.Module) and not doors.modes(self.model)
            new = Kept(self.model, module, narrow) if plain else None
            y, calls = _run(module, self.x, self.chosen)
            if _same(self.seen, calls, bound, y, self.x):
                if self._settled:
                    return program, self._as_stored(bound.weights)
                self._kept, self._narrow = new, narrow
                return program, self._taken(taken)
            module, prefix = self._twin()  # the first one may remember that it was run
        self.seen = self._traced(module, prefix)
        return self.program, self._as_stored(self.program.weights)

    def _twin(self, taken: dict[int, Tensor] | None = None) -> tuple[nn.Module, str]:
        return trace.twin(self.model, taken, settled=self._settled)

    def _taken(self, taken: Mapping[int, Tensor]) -> dict[str, Tensor]:
        """The weights to write of the values that were taken."""
        own = self._own()
        return {key: taken[id(own[key])] for key in self.program.weights}

    def _traced(self, module: nn.Module, prefix: str) -> Seen:
        program = self.chosen.written(module, self.shape, prefix).as_weights()
        again, _ = self._twin()
        y, calls = _run(again, self.x, self.chosen)
        if ON and not _agrees(program, y, self.x):
            raise TraceError(
                "network: expected the same outputs for the same inputs, got others when it was run a second time; does "
                "forward depend on what was run before?"
            )
        return Seen(program, calls)

    def _as_stored(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights in the precision that they have in the module, which holds their values exactly."""
        own = self._own()
        return {key: t.to(own[key].dtype) if key in own else t for key, t in weights.items()}

    def _own(self) -> dict[str, Tensor]:
        """The module's own tensors by name."""
        model = doors.unwrapped(self.model)
        while not isinstance(model, nn.Module):  # functools.partial of one
            model = doors.unwrapped(model.func)
        return {key.replace("_orig_mod.", ""): t for key, t in doors.named_tensors(model)}


def _named(module: nn.Module, prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): t for key, t in doors.named_tensors(module, persistent=True)}


class Loaded:
    """Holds Programs against the user's module with weights from files loaded.

    model: the module. program: as it was traced, without swaps. samples: training inputs.
    """

    def __init__(self, model: Any, program: Program, samples: Any, chosen: Chosen = ALL):
        self.module, self.prefix = trace.twin(model)
        self._modes = doors.modes(model)
        self.chosen = chosen
        self.program = program
        self.x = points(samples)
        self.calls = _run(self._fresh(), self.x, chosen)[1]
        self._spare: frozenset[str] = frozenset()

    def bound(self, state: Mapping[str, Tensor], name: Any) -> Program:
        """The Program of the module with a file's weights. Raises CheckpointError, naming the file."""
        module = self._fresh()
        missing = self._load(module, checkpoints.owned(self.program, state, name), name)
        held = _named(module, self.prefix)
        if not ON:
            return checkpoints.fit(self.program, state, name)
        try:
            if not self.program.depends:
                program = checkpoints.fit(self.program, state, name)
                y, calls = _run(module, self.x, self.chosen)
                if calls == self.calls and _agrees(program, y, self.x):
                    self._prove_spare(program, held, missing, name)
                    return program
                module = self._fresh()
                self._load(module, checkpoints.owned(self.program, state, name), name)
            else:
                checkpoints.check(self.program, state, name)
            program = self.chosen.written(module, self.program.input_shape, self.prefix)
        except TraceError as error:
            raise CheckpointError(f"{name}: with its weights the network cannot be drawn: {error}") from error
        needed = sorted(missing & (program.weights.keys() | program.depends.keys()))
        if needed:
            raise CheckpointError(f"{name}: expected all weights of the network, got none named {', '.join(needed)}.")
        self._prove_spare(program, held, missing, name)
        return program

    def outputs(self, state: Mapping[str, Tensor], x: Any, name: Any, *, whole: bool = False) -> Tensor:
        """The module's outputs (n, C) with a file's weights, at inputs x (n, *input_shape).

        whole: raise CheckpointError where a weight that the outputs depend on is not in the file.
        """
        module = self._fresh()
        missing = self._load(module, checkpoints.owned(self.program, state, name), name)
        needed = sorted(missing & (self.program.weights.keys() | self.program.depends.keys()))
        if whole and needed:
            raise CheckpointError(
                f"{name}: expected all weights of your module, got none named {', '.join(needed)}: a run holds what the "
                "network computes from them instead; pass a folder of state dicts with --model to compare with the module."
            )
        with undisturbed():
            values = torch.from_numpy(np.asarray(x, dtype=np.float64))
            y = trace.outputs_of(module, values, output=self.chosen.output)
        return y if self.chosen.outputs is None else y[:, list(self.chosen.outputs)]

    def is_plain(self, program: Program) -> bool:
        """Whether a Program is the first one with other weights."""
        return not program.constants and not program.depends and program.steps == self.program.steps

    def _fresh(self) -> nn.Module:
        """The module as the user has it, to be run once."""
        return trace.twin(self.module)[0]

    def _inner(self, module: nn.Module) -> nn.Module:
        return getattr(module, "network") if self.prefix else module  # noqa: B009  # a Module's attribute, typed so

    def _load(self, module: nn.Module, state: Mapping[str, Tensor], name: Any) -> set[str]:
        """Load a state dict; returns the names that it does not have."""
        try:
            missing, _ = self._inner(module).load_state_dict(dict(state), strict=False)
        except Exception as error:  # shapes, and whatever the user's own loading says
            checkpoints.check(self.program, state, name)
            raise CheckpointError(f"{name}: expected weights that the network loads, got {error}") from error
        if self._modes and ON:
            self._inner(other := self._fresh()).load_state_dict(dict(state), strict=False)
            doors.settle(self._inner(other), self._modes)
            if not is_rounding(trace.apart(module, other, self.x, self.chosen.output), self.program, self.x):
                raise CheckpointError(f"{name}: expected a module that computes the same {doors.AFTER_EVAL}")
        return set(missing)

    def _prove_spare(self, program: Program, held: Mapping[str, Tensor], missing: set[str], name: Any) -> None:
        """No output depends on what the Program does not read: each such entry is changed, and the module run."""
        spare = frozenset(held) - program.weights.keys() - program.depends.keys()
        read = {held[key].data_ptr() for key in held.keys() - spare}  # tied weights are read under another name
        unread = {key for key in spare - self._spare if held[key].numel() and held[key].data_ptr() not in read}
        if not unread:
            return
        y = _run(self._with(held, set()), self.x, self.chosen)[0]
        if not self._gives(y, held, unread):
            used = [key for key in sorted(unread) if not self._gives(y, held, {key})]
            raise CheckpointError(
                f"{name}: expected to know how the network computes with all of its weights, got some that are used in ways "
                f"that could not be traced: {', '.join(used) or ', '.join(sorted(unread))}; compute with tensors alone."
            )
        self._spare |= unread

    def _gives(self, y: Tensor, held: Mapping[str, Tensor], changed: set[str]) -> bool:
        """Whether the module gives the same outputs with some of these weights changed."""
        try:
            return torch.equal(y, _run(self._with(held, changed), self.x, self.chosen)[0])
        except Exception:  # of the user's own code: it reads them, then
            return False

    def _with(self, held: Mapping[str, Tensor], changed: set[str]) -> nn.Module:
        """The module with these weights, some of them changed."""
        module = self._fresh()
        with torch.no_grad():
            for key, tensor in _named(module, self.prefix).items():
                value = held[key]
                other = value + 1 if not value.is_floating_point() else value * 1.25 + 0.375
                tensor.copy_(other if key in changed else value)
        return module


def traced(
    made: Any, train_x: np.ndarray[Any, Any], first: tuple[Path, bool, str | None], chosen: Chosen
) -> tuple[Program, Loaded | None]:
    """A foreign folder's network, and the module that it is held against; made: None for an MLP told from its weights.

    first: the first checkpoint's file, whether it is trusted, and the key of its weights.
    """
    path, trust, key = first
    shape = train_x.shape[1:]
    if made is None and chosen.output is not None:
        raise CheckpointError(f"output: expected none for an MLP told from its weights, got {chosen.output!r}; it has one.")
    if made is None:
        state = state_files.load_state(path, trust=trust, key=key)
        return trace.trace(checkpoints.mlp(state, shape, path, key=key), shape, outputs=chosen.outputs), None
    network = trace.trace(made, shape, smooth=True, output=chosen.output, outputs=chosen.outputs)
    if tied := doors.tied(made):
        network = checkpoints.retied(network, tied, state_files.load_state(path, trust=trust, key=key))
    if isinstance(made, (Program, torch.export.ExportedProgram)):
        return network, None
    return network, Loaded(made, network, train_x, chosen)
