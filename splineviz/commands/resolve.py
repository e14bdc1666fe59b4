"""What a command works on: the run that its flags name, and one of its checkpoints."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from pathlib import Path

    from splineviz.training.checkpoints import Checkpoint
    from splineviz.training.runs import Run


def open_run(options: Namespace, path: Path | None = None) -> Run:
    """The run of the flags that `flags.run_flags` adds, or at another path; anchors become indices of training samples."""
    from splineviz.training import runs

    where = options.run if path is None else path
    judged = options.command == "verify" and options.model not in (None, "mlp") and (where / "run.json").exists()
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
        output=options.output,
        outputs=options.outputs,
    )
    if getattr(options, "every", None) or getattr(options, "last", None):
        run = run.thinned(options.every or 1, options.last)
    if path is None and hasattr(options, "anchors"):
        run, options.anchors = run.anchored(options.anchors)
    return run


def look(options: Namespace) -> dict[str, Any]:
    """How regions and knots are drawn, of the flags that `flags.look_flags` adds."""
    from splineviz.drawing import fills
    from splineviz.errors import DataError

    fill, limits = options.fill, None if options.limits is None else (options.limits[0], options.limits[1])
    if options.color_knots and (options.no_knots or options.boundary_only):
        raise DataError("--color-knots: expected knots to colour, got --no-knots or --boundary-only beside it.")
    if options.boundary_only:
        if fill != "slope":
            raise DataError(f"--boundary-only: expected no --fill beside it, got {fill}; --no-knots keeps the fill.")
        fill = "none"
    if limits is not None and fill not in fills.SCALED:
        raise DataError(f"--limits: expected a fill with a scale ({', '.join(fills.SCALED)}), got {fill}.")
    least = "0 < LOW" if fill in fills.LOGARITHMIC else "LOW"
    if limits is not None and not (limits[0] < limits[1] and (fill not in fills.LOGARITHMIC or limits[0] > 0)):
        raise DataError(f"--limits: expected {least} < HIGH for {fill}, got {limits[0]:g} {limits[1]:g}.")
    if options.palette is not None:
        fills.palette(options.palette)  # a wrong name is said now, not after all has been measured
    knots = "none" if options.no_knots or options.boundary_only else "layer" if options.color_knots else "black"
    return {"fill": fill, "cmap": options.palette, "limits": limits, "edge_color": knots}


def may_replace(targets: Sequence[Path], default: Sequence[Path]) -> None:
    """See that nothing of the user's is replaced that they did not name: a default name may be taken by another file.

    A file that was named is replaced, as every tool does. Raises OutputError.
    """
    from splineviz.errors import OutputError
    from splineviz.storage import outputs

    for target in targets if targets is default else ():
        if (target.exists() or target.is_symlink()) and not outputs.is_picture_of_ours(target):
            raise OutputError(
                f"{target}: expected none so far or one that splineviz wrote, got another file; name the file to write, "
                "this one too if it may be replaced."
            )


@contextmanager
def engine(options: Namespace) -> Iterator[int | Executor]:
    """Who works, of the flags that `flags.engine_flags` adds."""
    if options.scheduler is None:
        yield options.jobs
        return
    from splineviz.jobs import executors

    options.threads = options.threads or 1  # a Dask worker has as many jobs at a time as it has threads
    with executors.dask(options.scheduler) as executor:
        yield executor


def at_step(run: Run, step: int | None) -> Checkpoint:
    """The checkpoint of a step, the last one for None."""
    from splineviz.errors import CheckpointError

    if step is None:
        return run.checkpoints[-1]
    for checkpoint in run.checkpoints:
        if checkpoint.step == step:
            return checkpoint
    near = min((checkpoint.step for checkpoint in run.checkpoints), key=lambda other: abs(other - step))
    raise CheckpointError(
        f"--step: expected the step of a checkpoint, got {step}; the nearest is {near}, see splineviz info."
    )
