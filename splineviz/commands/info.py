"""`splineviz info`: print what a run directory holds."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from splineviz.commands import flags, resolve, terminal


def add(commands: Any) -> None:
    """Its flags and its help."""
    one = flags.command(commands, "info", "RUN", "print what a run directory holds", "example:\n  splineviz info ckpts/")
    flags.run_flags(one)


def run(options: Namespace) -> None:
    """Print what a run directory holds."""
    from splineviz.tracing.call import SWAPS
    from splineviz.tracing.lowering import lower
    from splineviz.training.checkpoints import left_out

    run = resolve.open_run(options)
    first = run.checkpoints[0]
    program = run.program(first)
    beside = [] if run.own else left_out(program, run.state(first), first.path)
    terminal.table(
        ("run", str(run.path)),
        ("input", " x ".join(map(str, program.input_shape))),
        *(
            (f"{'maxima' if layer.is_max else 'kinks'} at {layer.path}", f"{layer.units} units")
            for layer in lower(program).layers
        ),
        *((f"smooth at {path}", f"{name}, drawn with --swap {name}={SWAPS[name]}") for path, name in program.smooth.items()),
        *((("network", run.note),) if run.note else ()),
        ("training samples", str(len(run.train_x))),
        ("test samples", "none" if run.test_x is None else str(len(run.test_x))),
        ("classes", "not named" if run.classes is None else ", ".join(run.classes)),
        ("domain", f"{run.domain[0]:g} to {run.domain[1]:g}"),
        ("loss", run.loss or "not named"),
        ("checkpoints", str(len(run.checkpoints))),
        (f"{run.unit}s", " ".join(str(checkpoint.step) for checkpoint in run.checkpoints)),
        *(() if run.own else run.mapping),
        *((("entries left out", ", ".join(beside)),) if beside else ()),
        *((f"passed over: {name}", why) for name, why in run.skipped.items()),
    )
