"""Swaps: a network drawn with a piecewise-linear function in the place of a smooth one.
Also a network without the smooth function at its very end that changes no class, such as a softmax.

    swapped(program, {"gelu": "relu"})        every GELU becomes a ReLU; weights and everything else stay

The result is another network, whose regions are exact for it and for nothing else: it remembers what was swapped, and
every picture of it says so. This file knows no modules and no files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from splineviz.errors import TraceError
from splineviz.tracing.call import SAME, refusal
from splineviz.tracing.kinks import KINKS
from splineviz.tracing.program import Program
from splineviz.tracing.smooth import SMOOTH
from splineviz.tracing.tape import Live, Tape

Target = tuple[str, Mapping[str, Any]] | None


def targets() -> dict[str, Target]:
    """What a smooth function may be drawn as: a kink and its arguments, torch's own defaults; clamp is min(z, 0)."""
    kinks: dict[str, Target] = {op: (op, kink.usual) for op, kink in KINKS.items()}
    kinks["clamp"], kinks["hardtanh"] = ("clamp", {"min": None, "max": 0.0}), ("clamp", {"min": -1.0, "max": 1.0})
    return kinks | {"identity": None}


Swap = Mapping[str, str] | Iterable[str]
"""{"gelu": "relu"}, or the same in words: ["gelu=relu"]."""


def read(swap: Swap) -> dict[str, str]:
    """Swaps as a mapping, also from words such as "gelu=relu". Raises TraceError for a name that is not known."""
    pairs = list(swap.items()) if isinstance(swap, Mapping) else [tuple(map(str, word.partition("=")[::2])) for word in swap]
    found: dict[str, str] = {}
    for name, target in pairs:
        plain = name.lower()
        plain = SAME.get(plain, plain)
        if plain not in SMOOTH:
            raise TraceError(f"swap: expected a smooth function, of {', '.join(SMOOTH)}, got {name!r}.")
        if target not in targets():
            known = ", ".join(targets())
            raise TraceError(f"swap: expected a piecewise-linear function for {name}, of {known}, got {target!r}.")
        found[plain] = target
    return found


def swapped(program: Program, swap: Swap) -> Program:
    """The Program with other functions in the place of smooth ones; those that were swapped before stay so.

    Raises TraceError when the network does not have one of them, or a name is not known.
    """
    wanted = {name: target for name, target in read(swap).items() if program.swaps.get(name) != target}
    if not wanted:
        return program
    there = {step.op for step in program.steps if step.op in SMOOTH}
    if strange := sorted(wanted.keys() & program.swaps.keys()):
        got = ", ".join(f"{name} drawn as {program.swaps[name]}" for name in strange)
        raise TraceError(f"swap: expected a network with its own functions, or {wanted}, got one with {got}.")
    if strange := sorted(wanted.keys() - there):
        has = f"has {', '.join(sorted(there))}" if there else "has no smooth function"
        raise TraceError(f"swap: expected functions of the network, which {has}; got {', '.join(strange)}.")
    tape = Tape(program.input_shape, program.weights)
    tape.constants = dict(program.constants)
    live = {0: Live(0, torch.zeros(1, *program.input_shape, dtype=program.dtype, device=program.device))}
    with torch.no_grad():
        for step in program.steps:
            read_ = [live[register] for register in step.inputs]
            tape.path = step.path
            if step.op not in wanted:
                live[step.output] = tape.again(step, read_)
                continue
            target = targets()[wanted[step.op]]
            live[step.output] = read_[0] if target is None else tape.kink(target[0], read_[0], **target[1])
    first = program.as_trained
    return Program(
        program.input_shape, tape.steps, live[program.output].register, program.weights, constants=program.constants,
        depends=program.depends, spare=program.spare, swaps=program.swaps | wanted, trained=(first.steps, first.output),
    )  # fmt: skip


FINAL = ("softmax", "log_softmax", "sigmoid", "logsigmoid")
"""Functions that keep the order of the outputs (sigmoid: and the sign of its logit): no class depends on them."""


def piecewise(program: Program) -> Program:
    """The Program without a function at its very end that changes no class: its outputs are the logits, which is noted.

    Raises TraceError, naming the path, when a smooth function is left in it.
    """
    lines = program.lines
    program = _logits(program)
    for step in program.steps:
        if step.op in SMOOTH:
            said = refusal(step.path or step.op, step.op, [])
            raise TraceError(f"{said} ({lines[step.path]})" if step.path in lines else said)
    return program


def _logits(program: Program) -> Program:
    """The Program with a final softmax, sigmoid or the like drawn as the identity; itself where there is none."""
    last = program.steps[-1] if program.steps else None
    if last is None or last.op not in FINAL or last.output != program.output:
        return program
    if sum(step.op == last.op for step in program.steps) > 1:
        return program  # another one further in is no such thing
    if last.op in ("softmax", "log_softmax"):
        live = program.to(torch.float64, "meta").run(
            {0: torch.empty(1, *program.input_shape, dtype=torch.float64, device="meta")}, 0, len(program.steps)
        )
        shape = live[program.output].shape
        if len(shape) != 2 or last.attrs["dim"] not in (1, -1):
            return program
    return swapped(program, {last.op: "identity"})
