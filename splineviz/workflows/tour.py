r"""Tours: a film of one network in which the view moves, not the training.

        cameras -> views --enumerate--> partitions/view-0001.npz, rows/view-0001.json, measures.csv
                                              |
                                              +-> reels: frames/view-0001.png -> animation.mp4, poster.png

Every view is cut afresh and exactly, then drawn like a frame of training: curves at the right, with a cursor. One view is in
memory at a time. What a former call with the same weights and views has finished is left alone.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from splineviz.drawing import captions, figures, fills, film
from splineviz.drawing.curves import CHARTS, KNOTS, LENGTH, REGIONS, Chart, Story
from splineviz.drawing.look import Look
from splineviz.drawing.video import USUAL as USUAL_QUALITY
from splineviz.errors import DataError, Progress
from splineviz.geometry.partition import Partition
from splineviz.geometry.polygons import longer_side
from splineviz.metrics.measures import knot_lengths
from splineviz.regions.enumerate import partition
from splineviz.storage import files, outputs
from splineviz.training import state_files
from splineviz.training.checkpoints import Checkpoint
from splineviz.training.runs import Run
from splineviz.workflows import views as cameras
from splineviz.workflows.unread import last_readable
from splineviz.workflows.views import View

FORMAT = 1
"""Part of every key: raised when the same view gives other numbers."""

_LENGTH = Chart("boundary length", LENGTH)
STORIES = {
    "zoom": Story(
        "place", "magnification", "log",
        ((Chart("regions in view", REGIONS),), (Chart("knots, widths of the view", KNOTS),)),
    ),
    "turn": Story("place", "share of the way", "linear", ((CHARTS["regions"],), (_LENGTH,))),
    "slide": Story("place", "distance moved", "linear", ((CHARTS["regions"],), (_LENGTH,))),
}  # fmt: skip
COLUMNS = ("place", "regions", "boundary_length", "knot_length", "low", "high")
"""Columns of measures.csv: the view's place on the way, number of regions, length of the decision boundary, length of knots
in widths of the window, and the values of the fill below which 1% and 99% of the area lie."""


@dataclass(frozen=True, repr=False)
class Tour(film.Reel):
    """What `tour` wrote: a film with one frame a view, and the table of the views."""

    table: Path


def tour(
    run: Run, kind: str = "zoom", *, step: int | None = None, anchors: Sequence[int] = (0, 1, 2), toward: int | None = None,
    to: Sequence[float] | None = None, depth: float | None = None, window: Any = None, frames: int = 120,
    out: str | os.PathLike[str] = "tour", formats: Sequence[str] = ("mp4",), fps: float = 12,
    quality: str = USUAL_QUALITY, progress: Progress | None = None, **look: Any,
) -> Tour:  # fmt: skip
    """Film one checkpoint along a way of `views`, and write video, frames, partitions and a table to `out`.

    Args:
        run: an opened run.
        kind: "zoom", "turn" or "slide".
        step: of the checkpoint; by default the last that can be read.
        anchors: indices of three training samples.
        toward: for turn and slide: index of the fourth sample; by default the first that is no anchor.
        to: for a zoom: plane coordinates (u, v), as `views.zoom` takes them.
        depth: for a zoom: magnification of the last view; by default the largest possible.
        window: of the first view, as in `Plane.window`.
        frames: number of views.
        out: output directory.
        formats: as in `animate`.
        fps: views a second.
        quality: as in `animate`.
        progress: as in `animate`.
        look: as in `animate`, without panels: which curves stand beside the view follows from the kind.

    Returns:
        The files.

    Raises:
        DataError: an unknown word, or an option of another kind.
        CheckpointError: there is no checkpoint of the step, or none that can be read.
        OutputError: `out` holds files of others, or the tour of another run.
    """
    if kind not in cameras.KINDS:
        raise DataError(f"kind: expected one of {', '.join(cameras.KINDS)}, got {kind!r}.")
    asked = film.Film.of("tour", out, formats, fps, quality, look, progress, without=["panels"])
    checkpoint = last_readable(run, "the tour is") if step is None else run.at(step)
    outputs.enter(asked.folder, "tour", [str(run.path.resolve())], (*outputs.TOUR, *outputs.film(formats)))
    views = _views(run, checkpoint, kind, anchors, toward, to=to, depth=depth, window=window, frames=frames)
    keys = _keys(run, checkpoint, views, asked.look.fill)
    table = _measured(run, checkpoint, views, keys, asked.folder, asked.look.fill, asked.progress)
    _write_table(asked.folder / "measures.csv", table)
    look = {"thumbnails": _stars(run.anchors(anchors), kind), "classes": run.classes or ()}
    look["limits"] = _limits(asked.look, table, kind)
    return _filmed(replace(asked, look=replace(asked.look, **look)), run, checkpoint, kind, views, keys, table)


def _filmed(
    asked: film.Film, run: Run, checkpoint: Checkpoint, kind: str, views: Sequence[View], keys: Sequence[str],
    table: Sequence[dict[str, float]],
) -> Tour:  # fmt: skip
    """The film of what was measured."""
    folder, look, step = asked.folder, asked.look, checkpoint.step
    painter = figures.FramePainter(table, look=look, story=STORIES[kind])
    shown, shots = asked.digest([table], kind), []
    for index, (view, row) in enumerate(zip(views, table, strict=True)):
        path = _partition_path(folder, index)
        shots.append(
            film.Shot(
                folder / "frames" / f"{path.stem}.png", files.digest(shown, index, keys[index], view.header, view.note),
                _paint(painter, path, index, view, step), view.header,
                f"{view.header}: {row['regions']:,.0f} regions, {view.note}.",
            )
        )  # fmt: skip
    _clear(folder, len(views))
    way = (views[0].header, views[-1].header)
    made = film.make(
        asked, shots, poster=0 if kind == "zoom" else -1,
        alternative=captions.alternative_of_tour(table, way, step=step, fill=look.fill, note=run.note,
                                                 **_seen(look, kind, _partition_path(folder, 0))),
        said={"look": shown, "kind": kind, "step": step},
    )  # fmt: skip
    return Tour(**vars(made), table=folder / "measures.csv")


def _limits(look: Look, table: Sequence[dict[str, float]], kind: str) -> tuple[float, float] | None:
    """One colour scale for all views; that of the first for a zoom, whose last views hold a few regions."""
    if look.limits is not None or look.fill not in fills.SCALED:
        return look.limits
    ends = np.array([(row["low"], row["high"]) for row in table])[: 1 if kind == "zoom" else None]
    ends = ends[np.isfinite(ends).all(axis=1)]
    return fills.padded(*np.median(ends, axis=0)) if len(ends) else None


def _seen(look: Look, kind: str, first: Path) -> dict[str, Any]:
    """What the pictures hold, in words: on a plane that turns two samples stay, one that slides meets none on its way."""
    seen = look.seen(Partition.load(first))
    return seen | ({} if kind == "zoom" else {"anchors": 2 if kind == "turn" else 0})


def _stars(samples: list[Any], kind: str) -> list[Any]:
    """Pictures of the anchors on the plane; a mixture of samples has none."""
    return {"zoom": samples, "turn": [*samples[:2], None], "slide": []}[kind]


def _views(
    run: Run, checkpoint: Checkpoint, kind: str, anchors: Sequence[int], toward: int | None, *, to: Any, depth: Any,
    window: Any, frames: int,
) -> list[View]:  # fmt: skip
    if kind == "zoom":
        program = run.program(checkpoint)
        return cameras.zoom(program, run.plane(anchors), window=window, to=to, depth=depth, frames=frames)
    if to is not None or depth is not None:
        raise DataError(f"to, depth: expected none for a {kind}, which moves the plane, got some; leave them out.")
    fourth = next(i for i in range(4) if i not in anchors) if toward is None else toward
    if fourth in anchors or not 0 <= fourth < len(run.train_x):
        raise DataError(
            f"toward: expected a training sample, 0 to {len(run.train_x) - 1}, that is no anchor, got {fourth}."
        )
    samples = [*run.anchors(anchors), run.train_x[fourth]]
    return (cameras.turn if kind == "turn" else cameras.slide)(samples, window=window, frames=frames)


def _paint(painter: figures.FramePainter, path: Path, index: int, view: View, step: int) -> Callable[[], Any]:
    note = f"step {step:,}:  {view.note}"
    return lambda: painter.paint(Partition.load(path), index, words=(view.header, note))


def _partition_path(folder: Path, index: int) -> Path:
    return folder / "partitions" / f"view-{index:05d}.npz"


def _clear(folder: Path, count: int) -> None:
    """Remove the views of a longer tour that was made here before."""
    kept = {_partition_path(folder, index).stem for index in range(count)}
    for path in files.entries(folder / "rows"):
        if path.stem.startswith("view-") and path.stem not in kept:
            outputs.remove_results(folder, path.stem)


def _keys(run: Run, checkpoint: Checkpoint, views: Sequence[View], fill: str) -> list[str]:
    """Digest of all that each view's partition and row depend on."""
    held = [FORMAT, state_files.digest(run.state(checkpoint)), fill, run.network_of(checkpoint)]
    return [
        files.digest(held, view.plane.origin, view.plane.basis, view.plane.anchors_uv, view.window, [view.place])
        for view in views
    ]


def _measured(
    run: Run, checkpoint: Checkpoint, views: Sequence[View], keys: Sequence[str], folder: Path, fill: str,
    progress: Progress | None,
) -> list[dict[str, float]]:  # fmt: skip
    """The row of every view; its partition is then in its file."""
    program, table = run.program(checkpoint), []
    for index, (view, key) in enumerate(zip(views, keys, strict=True)):
        path, row_path = _partition_path(folder, index), folder / "rows" / f"view-{index:05d}.json"
        row = _finished(row_path, path, key)
        if row is None:
            row_path.unlink(missing_ok=True)  # an older row must not vouch for the new partition
            found = partition(program, view.plane, window=view.window)
            path.parent.mkdir(parents=True, exist_ok=True)
            found.save(path)
            row = {"place": view.place, **_numbers(found, fill)}
            files.write_sealed(row_path, {"key": key, "row": row, "partition": files.digest_of_file(path)})
        table.append(row)
        if progress is not None:
            progress(index + 1, 2 * len(views), f"{view.header}: {row['regions']:,.0f} regions")
    return table


def _finished(row_path: Path, path: Path, key: str) -> dict[str, float] | None:
    try:
        stored = files.read_sealed(row_path)
        if stored["key"] != key or files.digest_of_file(path) != stored["partition"]:
            return None
        return {name: float("nan") if stored["row"][name] is None else float(stored["row"][name]) for name in COLUMNS}
    except (OSError, ValueError, KeyError, TypeError):
        return None  # absent or torn: it is made anew


def _numbers(found: Partition, fill: str) -> dict[str, float]:
    segments = found.boundary_at().segments
    scaled = fill in fills.SCALED
    ends = fills.fill_quantiles(found, np.array([0.01, 0.99]), fill=fill) if scaled else np.empty(0)
    low, high = ends if len(ends) else np.full(2, np.nan)
    return {
        "regions": float(found.num_regions),
        "boundary_length": float(np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1).sum()),
        "knot_length": float(knot_lengths(found).sum() / longer_side(found.window)),
        "low": float(low),
        "high": float(high),
    }


def _write_table(path: Path, table: Sequence[dict[str, float]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in table:
        writer.writerow([int(row[name]) if name == "regions" else repr(float(row[name])) for name in COLUMNS])
    if not (path.is_file() and path.read_text() == text.getvalue()):
        files.write_text(path, text.getvalue())



