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

import base64
import html
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from splineviz.drawing import captions, figures, film, previews
from splineviz.drawing.look import SET_BY_FILMS, Look, code
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
from splineviz.training import runs
from splineviz.training.checkpoints import Checkpoint
from splineviz.workflows import interpolation, preflight
from splineviz.workflows.unread import without

INLINE = 40_000_000
"""Bytes of a film above which a notebook does not hold it."""


@dataclass(frozen=True)
class Animation:
    """What `animate` wrote. frames: one picture per checkpoint, in order of steps; videos: one a format.

    poster: the last frame, to show where the film does not play; captions: its words with times (WebVTT), and beside it
    animation.txt, an alternative text for the film as a whole.
    """

    out: Path
    frames: tuple[Path, ...]
    videos: tuple[Path, ...]
    summary: Path
    table: Path
    poster: Path
    captions: Path
    drawn: int
    """How many frames were drawn by this call; the others were up to date."""
    unread: Mapping[int, str] = field(default_factory=dict)
    """Why checkpoints are not in the film, by step: they cannot be read, or their weights are not finite."""
    course: preflight.Course | None = None
    """What the film is of: its window, and how the local complexity was sampled."""

    def _repr_html_(self) -> str:
        """The film itself, for a notebook: it plays where it stands, also in a saved one."""
        words = f"{len(self.frames)} frames in {self.out}"
        kinds = {".mp4": "video/mp4", ".webm": "video/webm", ".gif": "image/gif"}
        films = {path.suffix: path for path in self.videos if path.suffix in kinds}
        for suffix in kinds:
            if suffix not in films or films[suffix].stat().st_size > INLINE:
                continue
            source = f"data:{kinds[suffix]};base64,{base64.b64encode(films[suffix].read_bytes()).decode()}"
            if suffix == ".gif":
                return f'<img alt="{html.escape(words)}" style="max-width: 100%" src="{source}">'
            poster = f"data:image/png;base64,{base64.b64encode(self.poster.read_bytes()).decode()}"
            look = 'controls loop muted style="max-width: 100%"'
            return f'<video {look} aria-label="{html.escape(words)}" poster="{poster}" src="{source}"></video>'
        return f"<p>{html.escape(words)}</p>"


def animate(
    run: runs.Run | str | os.PathLike[str],
    *,
    anchors: Sequence[Any] = (0, 1, 2),
    out: str | os.PathLike[str] = "out",
    window: Any = None,
    regions: int | None = None,
    center: Any = None,
    formats: Sequence[str] = ("mp4", "gif"),
    fps: float = 4,
    quality: str = USUAL_QUALITY,
    steps: Sequence[int] | None = None,
    tween: int = 0,
    lc: LCOptions | None = USUAL,
    near: float | None = None,
    jobs: int | Executor = 1,
    threads: int | None = None,
    progress: Progress | None = None,
    strict: bool = False,
    **look: Any,
) -> Animation:
    """Measure and draw every checkpoint of a run, and write video, frames, partitions, measures and summary to `out`.

    run: a directory that a Recorder wrote, or an opened Run. anchors: three training samples, as
    `Run.anchored` takes them; they span the plane. window: as `Plane.window` takes it. regions: instead, the largest
    square window that holds about so many; center: of either, "anchors", "boundary", the number of an anchor, or (u, v).
    Where nothing of this is given and the usual window is out of reach (more than an hour), a smaller one is chosen on the
    decision boundary, and said (`preflight`). formats: of choices.FORMATS.
    fps: checkpoints a second. quality: of the film, against its size, one of choices.QUALITIES.
    tween: frames between two checkpoints, each the exact partition of the network with interpolated weights
    (`interpolation`), marked as such on the frame; they are drawn here, one after the other.
    steps: draw these checkpoints only. lc: settings of the local complexity, None leaves it out.
    near: as in `sweep.measure_run`. jobs: processes, or an
    executor, that measure; threads: of each. progress: half of its total is measuring, half is drawing.
    strict: raise for a checkpoint that cannot be read, such as one of a training that diverged; by default the film is of
    the others, a warning names it, and the curves are marked at its step.
    look: size, fill, cmap, limits, edge_color, line_width, panels, as `Look` says; by default the limits hold the middle 98%
    of the slices of all checkpoints.
    Raises DataError on an unknown format, fps, fill or panel, CheckpointError on a step without a checkpoint, OutputError
    when `out` holds what splineviz did not write or the film of another run, and whatever opening, slicing and measuring the
    run raise.
    """
    progress = previews.progress("animating") if progress is None else progress
    appearance, asked = Look.of(look, without=SET_BY_FILMS), film.Film("film", Path(out), formats, fps, tween, quality)
    opened = run if isinstance(run, runs.Run) else runs.open_run(run)
    opened, folder = opened if steps is None else opened.only(steps), asked.folder
    opened, chosen = opened.anchored(anchors)
    course = preflight.plot_course(opened, chosen, window=window, regions=regions, center=center, lc=lc)
    course.tell()
    window, lc = course.window, course.lc
    unread: dict[int, str] = {}
    results = sweep.measure_run(
        opened, anchors=chosen, window=window, out=folder, lc=lc, near=near, jobs=jobs, threads=threads,
        progress=film.first_half(progress), also=(*outputs.film(formats), "tweens", "summary.png"),
        unread=None if strict else unread,
    )  # fmt: skip
    opened = without(opened, unread)
    settings = {} if lc is None else lc.settings(opened.train_x.shape[1:])
    settings |= {"unit": opened.unit}
    appearance = replace(appearance, thumbnails=opened.anchors(chosen), classes=opened.classes or (), **settings)
    appearance = _with_limits(appearance, results, folder)
    table = [result.row for result in results]
    painter = figures.FramePainter(table, look=appearance, missing=tuple(unread))
    told = [{name: str(value) for name, value in row.items()} for row in table]
    shown = files.digest(appearance.digest, told, chosen, opened.note, sorted(unread))
    shots = list(_shots(opened, results, asked, shown, painter, lambda a, b, share: interpolation.tween(
        opened, a, b, share, plane=opened.plane(chosen), window=window)))  # fmt: skip
    summary = _summary(folder, table, shown, opened.note, {**settings, "missing": tuple(unread)})
    seen = appearance.seen(Partition.load(results[-1].partition_path))
    made = film.make(
        asked, shots,
        alternative=captions.alternative(table, fill=appearance.fill, note=opened.note, unit=opened.unit, **seen),
        note=f"{tween} frames after each step show networks with interpolated weights." if tween else "",
        said={**appearance.said, "look": shown, **_origin(opened, folder, chosen, window)}, progress=progress,
    )  # fmt: skip
    frames = tuple(shot.path for shot in shots if shot.caption is not None)
    return Animation(
        folder, frames, made.videos, summary, folder / "measures.csv", made.poster, made.captions, made.drawn, unread,
        course,
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
        found.append(look.with_limits(Partition.load(result.partition_path) for result in results))
        return {} if found[0].limits is None else dict(zip(("low", "high"), found[0].limits, strict=True))

    if look.limits is not None or len(results) < FEW:
        return look.with_limits(Partition.load(result.partition_path) for result in results)
    kept = Ledger(folder / "rows" / "film.json", most=1).numbers(key, compute)
    return found[0] if found else replace(look, limits=(kept["low"], kept["high"]) if kept else None)


def _shots(
    run: runs.Run, results: Sequence[Result], asked: film.Film, look: str, painter: figures.FramePainter,
    tween: Callable[[Checkpoint, Checkpoint, float], Partition],
) -> Iterator[film.Shot]:  # fmt: skip
    """All frames of the film, in order: one a checkpoint, `asked.between` between two, whose partitions `tween` makes."""
    contents = [result.content for result in results]
    for index, result in enumerate(results):
        yield film.Shot(
            asked.folder / "frames" / f"step-{result.step:010d}.png", files.digest(look, index, contents[index]),
            partial(_paint, painter, index, partial(Partition.load, result.partition_path)),
            f"frame of {run.unit} {result.step:,}", captions.of_row(result.row, run.note, run.unit),
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
    painter: figures.FramePainter, index: int, make: Callable[[], Partition], tween: figures.Tween | None = None
) -> Any:
    return painter.paint(make(), index, tween=tween)


def _summary(folder: Path, table: Sequence[Any], look: str, said: str, settings: dict[str, Any]) -> Path:
    """The curves of the run as one figure; one that is up to date is not touched."""
    summary = folder / "summary.png"
    if note(summary) != look:
        figure = figures.summary(table, note=said, **settings)
        files.write(summary, lambda stream: figure.savefig(stream, format="png", metadata={KEY: look}))
    return summary
