"""Explore: partitions to pan, zoom and question, in a notebook or as one HTML file that opens offline.

    explore(partition | {step: partition} | "out/")              -> a widget for Jupyter (extra: viewer)
    explore("out/", run="ckpts/")                                -> one whose anchors can be moved: it slices again
    explore("out/", html="view.html")                            -> a file; nothing is fetched, it can be mailed

The door to two rooms: `pages` makes the file, `widget` the notebook's view of the same front end.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from splineviz.errors import DataError
from splineviz.geometry.partition import Partition
from splineviz.viewer import page


def explore(
    source: Partition | Mapping[int, Any] | str | os.PathLike[str],
    *,
    html: str | os.PathLike[str] | None = None,
    fill: str = "slope",
    steps: Sequence[int] | None = None,
    classes: Sequence[str] = (),
    outputs: bool | None = None,
    model: Any = None,
    run: Any = None,
    samples: Any = None,
    height: str | int = "620px",
) -> Any:
    """Open a widget on a source (see `pages`), or write it as one HTML file and return its path.

    fill: of pages.FILLS, what the regions show first. steps: these only, all by default. classes: names of the outputs.
    outputs: take the network's outputs along, by default when all steps together have at most pages.OUTPUTS_BUDGET regions.
    model: the network (or a mapping step -> network), or run: the run of the checkpoints (a Run or its path); with either,
    the widget's anchors can be dragged and other samples named, and the partition is computed anew. samples: inputs
    (n, *input_shape) to name, by default the run's training samples. height: of the widget, in pixels or as CSS writes it.
    Raises DataError on an unknown fill or step, both model and run, or either with html (a file has no network),
    PartitionError on a folder or file without partitions, ImportError when a widget is asked for and anywidget is missing.
    """
    if fill not in page.FILLS:
        raise DataError(f"fill: expected one of {', '.join(page.FILLS)}, got {fill!r}.")
    if run is not None and not classes:
        from splineviz.training.runs import Run, open_run

        run = run if isinstance(run, Run) else open_run(os.fspath(run))
        classes = run.classes or ()
    opened = page.open_source(source, steps=steps, classes=classes)
    live = model is not None or run is not None
    if html is not None and live:
        raise DataError("html: expected no model or run with a file, got one; only a notebook can slice again.")
    if samples is not None and not live:
        raise DataError("samples: expected a model or a run to slice with, got neither; pass model= or run=.")
    if html is not None:
        return page.write_html(opened, html, fill=fill, outputs=outputs)
    try:
        import anywidget  # noqa: F401  # asked for here, so that the message is ours
    except ImportError as error:
        raise ImportError(
            f"explore: expected anywidget for a notebook, got {error}; "
            "pip install 'splineviz[viewer]', or pass html='view.html'."
        ) from error
    from splineviz.viewer.reslicing import Slicer
    from splineviz.viewer.widget import Explorer

    first = opened.read(len(opened.steps) - 1)
    slicer = Slicer.of(first, opened.steps, model=model, run=run, samples=samples) if live else None
    tall = f"{height}px" if isinstance(height, int) else height
    return Explorer.on(opened, fill=fill, outputs=outputs, slicer=slicer, height=tall)
