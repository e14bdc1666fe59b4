"""What flags stand for once they are read.

The run and one of its checkpoints (which file of a folder counts as which step is printed), the module, the look of
pictures, the centre of the window, the workers, and the files that may be replaced.
"""

from __future__ import annotations

import warnings
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from splineviz.commands import terminal

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from pathlib import Path

    from splineviz.training.runs import Run


def open_run(options: Namespace, path: Path | None = None) -> Run:
    """The run of the flags that `flags.run_flags` adds, or at another path; anchors become indices of training samples."""
    from splineviz.errors import ScaleWarning
    from splineviz.training import runs

    where = options.run if path is None else path
    judged = options.command == "verify" and options.model not in (None, "mlp") and (where / "run.json").exists()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScaleWarning)
        run = runs.open_run(
            where,
            model=None if judged else options.model,
            witness=options.model if judged else None,
            data=options.data,
            model_args=options.model_args,
            data_args=options.data_args,
            weights_key=options.weights_key,
            swap=options.swap,
            trust=options.trust,
            files=options.files,
            output=options.output,
            outputs=options.outputs,
        )
    if run.data.remark:
        terminal.remark(f"note: {run.data.remark}")
    if options.model == "mlp":
        terminal.remark(f"note: {_chained(run)}")
    if getattr(options, "every", None) or getattr(options, "last", None):
        run = run.thinned(options.every or 1, options.last)
    if path is None and hasattr(options, "anchors"):
        run, options.anchors = run.anchored(options.anchors)
    return run


def _chained(run: Run) -> str:
    """What was assumed of a network that was rebuilt from its weights."""
    layers = [step["path"] for step in run.network["steps"] if step["op"] == "linear"]
    between = f"ReLU between {', '.join(layers)}" if len(layers) > 1 else f"{layers[0]} alone"
    return f"--model mlp takes {between}, in this order; the weights alone do not say what stands between them."


def module(options: Namespace) -> Any:
    """The user's own module that `--model` makes; None where there is none, or it is rebuilt from weights."""
    from splineviz.errors import CheckpointError
    from splineviz.training import user_code

    if options.model in (None, "mlp"):
        return None
    made = user_code.make(options.model, options.model_args, error=CheckpointError)
    import torch

    if not isinstance(made, torch.nn.Module):
        raise CheckpointError(f"--model: expected a function that makes a torch.nn.Module, got {type(made).__name__}.")
    return made


def told_steps(run: Run) -> None:
    """Print which file of a foreign folder counts as which step; the first and last few of many."""
    if run.own:
        return
    pairs = [f"{name} -> {step}" for name, step in run.mapping]
    few = (
        pairs
        if len(pairs) <= MOST_TOLD
        else [*pairs[: MOST_TOLD - 3], f"... {len(pairs) - MOST_TOLD + 1} more ...", *pairs[-2:]]
    )
    terminal.say("\n".join(few))
    for name, why in list(run.skipped.items())[:MOST_TOLD]:
        terminal.say(f"passed over {name}: {why}")


def look(options: Namespace) -> dict[str, Any]:
    """How pictures look: all flags that are named as a field of `Look`, once they are found to go together."""
    from dataclasses import fields

    from splineviz.drawing.look import Look

    asked = {field.name: getattr(options, field.name) for field in fields(Look) if hasattr(options, field.name)}
    asked["limits"] = None if options.limits is None else tuple(options.limits)
    _check_look(options)
    if options.no_knots or options.boundary_only:
        asked["edge_color"] = "none"
    return asked | ({"fill": "none"} if options.boundary_only else {})


def _check_look(options: Namespace) -> None:
    from splineviz.drawing import fills
    from splineviz.drawing.canvas import READABLE
    from splineviz.errors import DataError

    fill = "none" if options.boundary_only else options.fill
    if options.edge_color == "layer" and (options.no_knots or options.boundary_only):
        raise DataError("--color-knots: expected knots to colour, got --no-knots or --boundary-only beside it.")
    if options.boundary_only and options.fill != "slope":
        raise DataError(f"--boundary-only: expected no --fill beside it, got {options.fill}; --no-knots keeps the fill.")
    if options.limits is not None:
        low, high = options.limits
        if fill not in fills.SCALED:
            raise DataError(f"--limits: expected a fill with a scale ({', '.join(fills.SCALED)}), got {fill}.")
        if not low < high or (fill in fills.LOGARITHMIC and low <= 0):
            least = "0 < LOW" if fill in fills.LOGARITHMIC else "LOW"
            raise DataError(f"--limits: expected {least} < HIGH for {fill}, got {low:g} {high:g}.")
    if getattr(options, "size", None) is not None and options.size[1] < READABLE:
        width, height = options.size
        terminal.remark(f"at {width}x{height} the texts of a frame cannot be read; take 640x360 or more.")
    if options.cmap is not None:
        fills.palette(options.cmap)  # a wrong name is said now, not after all has been measured


MOST_TOLD = 12


def may_replace(targets: Sequence[Path], default: Sequence[Path]) -> None:
    """See that nothing of the user's is replaced that they did not name: a default name may be taken by another file.

    A file that was named is replaced, as every tool does. Raises OutputError, and OSError for what cannot be written, before
    any work is done for it.
    """
    from splineviz.errors import OutputError
    from splineviz.storage import files, outputs

    for target in targets if targets is default else ():
        if (target.exists() or target.is_symlink()) and not outputs.is_picture_of_ours(target):
            raise OutputError(
                f"{target}: expected no file or one that splineviz wrote, got another file; name it with --out to "
                "replace it, or choose another name."
            )
    for target in targets:
        files.check_writable(target)


@contextmanager
def engine(options: Namespace) -> Iterator[int | Executor]:
    """Parallelism, from the flags that `flags.engine_flags` adds."""
    if options.scheduler is None:
        yield options.jobs
        return
    from splineviz.jobs import executors

    options.threads = options.threads or 1  # a Dask worker has as many jobs at a time as it has threads
    with executors.dask(options.scheduler) as executor:
        yield executor


def center(options: Namespace) -> str | int | float | list[float] | None:
    """Where the window lies, as `animate` takes it: a word, the number of an anchor, or (u, v). Raises DataError."""
    from splineviz.errors import DataError

    said = options.center
    if said is None:
        return None
    if len(said) > 1 and (len(said) > 2 or any(isinstance(part, str) for part in said)):
        raise DataError("--center: expected one word, one number of an anchor, or U V, got more.")
    if len(said) > 1:
        return list(said)
    one: str | float = said[0]
    return one if isinstance(one, str) or one != int(one) else int(one)
