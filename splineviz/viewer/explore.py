"""Explore: partitions to pan, zoom and inspect, in a notebook or as one HTML file that opens offline.

    explore(partition | {step: partition} | "out/")              -> a widget for Jupyter (extra: viewer)
    explore("out/", run="ckpts/")                                -> one whose anchors can be moved: it slices again
    explore("out/", html="view.html")                            -> a file; nothing is fetched, it can be mailed

The entry to two modules: `page` makes the file, `widget` the notebook's view of the same front end.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from splineviz.errors import DataError
from splineviz.geometry.partition import Partition
from splineviz.viewer import page


def _need_anywidget() -> None:
    try:
        import anywidget  # noqa: F401  # asked for here, so that the message is ours
    except ImportError as error:
        raise ImportError(
            f"explore: expected anywidget for a notebook, got {error}; "
            "pip install 'splineviz[viewer]', or pass html='view.html'."
        ) from error


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
    """Open a widget on a source (see `page`), or write it as one HTML file.

    Args:
        source: a Partition, a mapping step -> Partition, a folder that `animate` wrote, or an .npz file.
        html: path of the file; None: a widget.
        fill: initial fill, of page.FILLS.
        steps: these steps only; None: all.
        classes: names of the outputs.
        outputs: include the network's outputs; None: if all steps together have at most page.OUTPUTS_BUDGET regions.
        model: the network, or a mapping step -> network, with which the widget can slice again.
        run: a Run or its path, in the place of `model`.
        samples: inputs (n, *input_shape) to choose from by number; None: the run's training samples.
        height: of the widget, in pixels or as a CSS length.

    Returns:
        The widget, or the path of the file.

    Raises:
        DataError: an unknown fill or step, both model and run, or either with html (a file has no network).
        PartitionError: a folder or file without partitions.
        ImportError: a widget is asked for and anywidget is missing.
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
    _need_anywidget()
    from splineviz.viewer.reslicing import Slicer
    from splineviz.viewer.widget import Explorer

    first = opened.read(len(opened.steps) - 1)
    slicer = Slicer.of(first, opened.steps, model=model, run=run, samples=samples) if live else None
    tall = f"{height}px" if isinstance(height, int) else height
    return Explorer.on(opened, fill=fill, outputs=outputs, slicer=slicer, height=tall)
