r"""The animation of a run: its frames in time, as pictures and as video.

        run -> sweeps.measure_run -> partitions + rows -> frames/step-0000012345.png -> animation.mp4, animation.gif
                                        |               tweens/step-...            -> summary.png, poster.png
                                        |                                          -> animation.vtt, animation.txt
                                        +-> one colour scale for all frames

Frames are drawn, saved and encoded one after the other (`film`), so memory does not grow with their number.
Every file is written under a temporary name and renamed. Every picture and video carries the digest of all that it
shows; what is up to date is left alone, so a second run of the same call continues where the first was stopped.

This file knows no network. A run with one checkpoint makes a video of one picture.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from splineviz.drawing import captions, figures, film
from splineviz.drawing.canvas import styled
from splineviz.drawing.look import Look, code
from splineviz.drawing.video import KEY, note
from splineviz.drawing.video import USUAL as USUAL_QUALITY
from splineviz.errors import Progress
from splineviz.geometry.partition import Partition
from splineviz.jobs import sweep
from splineviz.jobs.job import Result
from splineviz.metrics.options import USUAL, LCOptions
from splineviz.storage import files, outputs
from splineviz.storage.cache import Ledger
from splineviz.storage.known import FEW
from splineviz.threads import one_torch_thread
from splineviz.training import runs
from splineviz.training.checkpoints import Checkpoint
from splineviz.training.doubts import standing
from splineviz.workflows import interpolation, preflight
from splineviz.workflows.unread import without


@dataclass(frozen=True, repr=False)
class Animation(film.Reel):
    """What `animate` wrote: a film with one frame a checkpoint, the summary and the table of measures.

    unread: why checkpoints are not in the film, by step: they cannot be read, or their weights are not finite.
    course: what the film is of: its window, and how the local complexity was sampled. unseen: which of anchors and boundary
    no frame shows, in words; empty where all is well.
    """

    summary: Path
    table: Path
    unread: Mapping[int, str] = field(default_factory=dict)
    course: preflight.Course | None = None
    unseen: str = ""


def animate(
    run: runs.Run | str | os.PathLike[str], *, anchors: Sequence[Any] = (0, 1, 2), out: str | os.PathLike[str] = "out",
    window: Any = None, regions: int | None = None, center: Any = None, formats: Sequence[str] = ("mp4", "gif"),
    fps: float = 4, quality: str = USUAL_QUALITY, steps: Sequence[int] | None = None, tween: int = 0,
    lc: LCOptions | None = USUAL, near: float | None = None, jobs: int | Executor = 1, threads: int | None = None,
    progress: Progress | None = None, strict: bool = False, **look: Any,
) -> Animation:  # fmt: skip
    """Measure and draw every checkpoint of a run, and write video, frames, partitions, measures and summary to `out`.

    Args:
        run: a directory that a Recorder wrote, or an opened Run.
        anchors: three training samples, as `Run.anchored` takes them; they span the plane.
        out: output directory.
        window: as in `Plane.window`; where that is out of reach (more than an hour) a smaller one on the decision boundary.
        regions: instead of a window: the largest square that holds about so many.
        center: of the window: "anchors", "boundary", the number of an anchor, or (u, v).
        formats: of choices.FORMATS.
        fps: checkpoints a second.
        quality: of the film, against its size, one of choices.QUALITIES.
        steps: draw these checkpoints only.
        tween: frames between two checkpoints: the exact partition with interpolated weights, and marked so.
        lc: settings of the local complexity; None leaves it out.
        near: as in `sweep`.
        jobs: number of processes that measure, or an executor.
        threads: of each process.
        progress: half of its total is measuring, half is drawing.
        strict: raise for a checkpoint that cannot be read; else a warning names it and the film is of the others.
        look: size, fill, cmap, limits, panels, ...: fields of `Look`. The usual limits hold the middle 98% of all slices.

    Returns:
        The files.

    Raises:
        DataError: an unknown format, fps, fill or panel.
        CheckpointError: there is no checkpoint of a step, or none that can be read.
        OutputError: `out` holds files of others, or the film of another run.
    """
    asked = film.Film.of("film", out, formats, fps, quality, look, progress, between=tween)
    opened = run if isinstance(run, runs.Run) else runs.open_run(run)
    opened, chosen = (opened if steps is None else opened.only(steps)).anchored(anchors)
    with one_torch_thread():  # a few points at a time: threads that wait for their share of one are what took the time
        course = preflight.plot_course(opened, chosen, window=window, regions=regions, center=center, lc=lc)
    course.tell()
    unread: dict[int, str] = {}
    results = sweep.measure_run(
        opened, anchors=chosen, window=course.window, out=asked.folder, lc=course.lc, near=near, jobs=jobs, threads=threads,
        progress=film.first_half(asked.progress), also=(*outputs.film(formats), "tweens", "summary.png"),
        unread=None if strict else unread,
    )  # fmt: skip
    return _filmed(asked, without(opened, unread), chosen, course, results, unread)


def _filmed(
    asked: film.Film, run: runs.Run, anchors: Sequence[int], course: preflight.Course, results: Sequence[Result],
    unread: Mapping[int, str],
) -> Animation:  # fmt: skip
    """The film of what was measured."""
    settings = {} if course.lc is None else course.lc.settings(run.train_x.shape[1:])
    look = replace(asked.look, thumbnails=run.anchors(anchors), classes=run.classes or (), unit=run.unit, **settings)
    asked = replace(asked, look=_with_limits(look, results, asked.folder))
    table = [result.row for result in results]
    shown = asked.digest([table], anchors, run.note, sorted(unread))
    painter = figures.FramePainter(table, look=asked.look, missing=tuple(unread))
    tween = partial(interpolation.tween, run, plane=run.plane(anchors), window=course.window)
    shots = list(_shots(run, results, asked, shown, painter, tween))
    summary = _summary(asked.folder, table, shown, run.note, settings | {"unit": run.unit, "missing": tuple(unread)})
    last = Partition.load(results[-1].partition_path)
    made = film.make(
        asked, shots,
        alternative=captions.alternative(table, fill=asked.look.fill, note=run.note, unit=run.unit, **asked.look.seen(last)),
        note=f"{asked.between} frames after each step show networks with interpolated weights." if asked.between else "",
        said={"look": shown, **_origin(run, asked.folder, anchors, course.window)},
    )  # fmt: skip
    lengths = [row["boundary_length"] for row in table]
    missed = captions.unseen(last, lengths, chosen=course.chosen)
    return Animation(
        **vars(made), summary=summary, table=asked.folder / sweep.TABLE, unread=unread, course=course, unseen=missed
    )


def _origin(run: runs.Run, folder: Path, anchors: Sequence[int], window: Any) -> dict[str, Any]:
    """What the explorer says of the film's run and plane, wherever both folders are moved together."""
    origin = {"run": os.path.relpath(run.path, folder), "anchors": anchors, "classes": list(run.classes or ())}
    return origin | ({"window": window} if isinstance(window, int | float) else {})


def _with_limits(look: Look, results: Sequence[Result], folder: Path) -> Look:
    """The look with one colour scale for all results; of the same results it is kept in rows/film.json."""
    key = files.digest([look.fill if isinstance(look.fill, str) else "", code(), [result.content for result in results]])
    found: list[Look] = []

    def compute() -> dict[str, float]:
        found.append(look.with_limits_of([result.partition_path for result in results]))
        return {} if found[0].limits is None else dict(zip(("low", "high"), found[0].limits, strict=True))

    if look.limits is not None or len(results) < FEW:
        return look.with_limits_of([result.partition_path for result in results])
    kept = Ledger(folder / "rows" / "film.json", most=1).numbers(key, compute)
    return found[0] if found else replace(look, limits=(kept["low"], kept["high"]) if kept else None)


def _shots(
    run: runs.Run, results: Sequence[Result], asked: film.Film, look: str, painter: figures.FramePainter,
    tween: Callable[[Checkpoint, Checkpoint, float], Partition],
) -> Iterator[film.Shot]:  # fmt: skip
    """All frames of the film, in order: one a checkpoint, `asked.between` between two, whose partitions `tween` makes."""
    contents = [result.content for result in results]
    marks = standing([result.step for result in results], [result.weights for result in results])
    for index, result in enumerate(results):
        said = [marks[index]] if index in marks else []
        yield film.Shot(
            asked.folder / "frames" / f"step-{result.step:010d}.png", files.digest(look, index, contents[index], *said),
            partial(_paint, painter, index, partial(Partition.load, result.partition_path), note="".join(said)),
            f"frame of {run.unit} {result.step:,}",
            captions.of_row(result.row, "; ".join(filter(None, [run.note, *said])), run.unit),
        )  # fmt: skip
        if index == len(results) - 1:
            return
        following = results[index + 1].step
        for k in range(1, asked.between + 1):
            share = k / (asked.between + 1)
            name = f"step-{result.step:010d}-{following:010d}-{k:03d}-of-{asked.between:03d}.png"
            cut = partial(tween, run.checkpoints[index], run.checkpoints[index + 1], share)
            mark = figures.Tween(float(result.step), float(following), share)
            yield film.Shot(
                asked.folder / "tweens" / name, files.digest(look, index, contents[index], contents[index + 1], share),
                partial(_paint, painter, index, cut, mark), f"frame between {run.unit}s {result.step:,} and {following:,}",
            )  # fmt: skip


def _paint(
    painter: figures.FramePainter, index: int, make: Callable[[], Partition], tween: figures.Tween | None = None,
    note: str = "",
) -> Any:  # fmt: skip
    return painter.paint(make(), index, tween=tween, note=note)


@styled()
def _summary(folder: Path, table: Sequence[Any], look: str, said: str, settings: dict[str, Any]) -> Path:
    """The curves of the run as one figure; one that is up to date is not touched."""
    summary = folder / "summary.png"
    if note(summary) != look:
        figure = figures.summary(table, note=said, **settings)
        files.write(summary, lambda stream: figure.savefig(stream, format="png", metadata={KEY: look}))
    return summary
