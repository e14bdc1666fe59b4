"""What a command works on: the run that its flags name, and one of its checkpoints."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from pathlib import Path

    from splineviz.training.runs import Run


def open_run(options: Namespace, path: Path | None = None) -> Run:
    """The run of the flags that `flags.run_flags` adds, or at another path; anchors become indices of training samples."""
    from splineviz.training import runs

    run = runs.open_run(
        options.run if path is None else path,
        model=options.model,
        data=options.data,
        model_args=options.model_args,
        data_args=options.data_args,
        weights_key=options.weights_key,
        swap=options.swap,
        trust=options.trust,
    )
    if getattr(options, "every", None) or getattr(options, "last", None):
        run = run.thinned(options.every or 1, options.last)
    if path is None and hasattr(options, "anchors"):
        run, options.anchors = run.anchored(options.anchors)
    return run


def look(options: Namespace) -> dict[str, Any]:
    """How pictures look: all flags that are named as a field of `Look`."""
    from dataclasses import fields

    from splineviz.drawing.look import Look

    return {field.name: getattr(options, field.name) for field in fields(Look) if hasattr(options, field.name)}


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
