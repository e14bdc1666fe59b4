r"""The animation of a run: its frames in time, as pictures and as video.

        run -> sweeps.measure_run -> partitions + rows -> frames/step-0000012345.png -> animation.mp4, animation.gif
                                        |               tweens/step-...            -> summary.png, poster.png
                                        |                                          -> animation.vtt, animation.txt
                                        +-> one colour scale for all frames

Frames are drawn, saved and encoded one after the other (`reels`), so memory does not grow with their number.
Every file is written under a temporary name and renamed. Every picture and video carries the digest of all that it
shows; what is up to date is left alone, so a second run of the same call continues where the first was stopped.

This room knows no network. A run with one checkpoint makes a video of one picture.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from splineviz.drawing import captions, figures, fills, film
from splineviz.drawing.canvas import frame_size
from splineviz.drawing.curves import PANELS, training
from splineviz.drawing.video import HOLD, KEY, note
from splineviz.errors import DataError
from splineviz.geometry.partition import Partition
from splineviz.jobs import sweep
from splineviz.jobs.job import LCOptions, Result
from splineviz.storage import files, outputs, provenance
from splineviz.training import runs
from splineviz.workflows import interpolation

STILLS = ("summary.png", "animation.vtt", "animation.txt")
"""What is written beside the film."""
Progress = Callable[[int, int, str], None]
"""progress(done, total, text): half of `total` is measuring, half is drawing."""


@dataclass(frozen=True)
class Animation:
    """What `animate` wrote. frames: one picture a checkpoint, in order of steps; videos: one a format.

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


def animate(
    run: runs.Run | str | os.PathLike[str],
    *,
    anchors: Sequence[Any] = (0, 1, 2),
    out: str | os.PathLike[str] = "out",
    window: Any = None,
    formats: Sequence[str] = ("mp4", "gif"),
    fps: float = 6,
    size: tuple[int, int] = (1920, 1080),
    steps: Sequence[int] | None = None,
    tween: int = 0,
    fill: str = "slope",
    cmap: Any = None,
    limits: tuple[float, float] | None = None,
    edge_color: Any = "black",
    panels: Sequence[str] = PANELS,
    lc: LCOptions | None = LCOptions(),  # noqa: B008  # frozen, so it can be shared
    jobs: int | Executor = 1,
    threads: int | None = None,
    progress: Progress | None = None,
    strict: bool = False,
) -> Animation:
    """Measure and draw every checkpoint of a run, and write video, frames, partitions, measures and summary to `out`.

    run: a directory that a Recorder wrote, or an opened Run. anchors: three training samples, as
    `Run.anchored` takes them; they span the plane. window: as `Plane.window` takes it. formats: of films.FORMATS.
    fps: checkpoints a second.
    tween: frames between two checkpoints, each the exact partition of the network with interpolated weights (`tweens`),
    marked as such on the frame; they are drawn here, one after the other.
    size: of a frame in pixels. steps: draw these checkpoints only. fill, cmap, limits, edge_color: as `draw.regions` takes
    them; by default the limits hold the middle 98% of the slices of all checkpoints. panels: one to four of `curves.CHARTS`,
    beside the slice from top to bottom; one without values is left out. lc: settings of the local complexity,
    None leaves it out. strict: raise for a checkpoint that cannot be read, such as one of a training that diverged; by
    default the film is of the others, a warning names it, and the curves are marked at its step.
    jobs: processes, or an executor, that measure; threads: of each. progress: see `Progress`.
    Raises DataError on an unknown format, fps, step or panel, OutputError when `out` holds what splineviz did not write or
    the film of another run, and whatever opening, slicing and measuring the run raise.
    """
    formats, size = film.known_formats(formats), frame_size(size)
    if not 0 < fps <= 120:
        raise DataError(f"fps: expected frames a second between 0 and 120, got {fps}.")
    if tween < 0:
        raise DataError(f"tween: expected a number of frames from 0 up, got {tween}.")
    story = training(panels)
    opened = run if isinstance(run, runs.Run) else runs.open_run(run)
    opened, folder = _at(opened, steps), Path(out)
    measuring = None if progress is None else lambda done, total, text="": progress(done, 2 * total, text)
    opened, chosen = opened.anchored(anchors)
    unread: dict[int, str] = {}
    results = sweep.measure_run(
        opened, anchors=chosen, window=window, out=folder, lc=lc, jobs=jobs, threads=threads, progress=measuring,
        also=(*outputs.film(formats), "tweens", *STILLS), unread=None if strict else unread,
    )  # fmt: skip
    opened = _readable(opened, unread)
    if limits is None and fill in fills.SCALED:
        limits = fills.shared_limits((Partition.load(result.partition_path) for result in results), fill=fill)
    settings = {} if lc is None else lc.settings(opened.train_x.shape[1:])
    painter = figures.FramePainter(
        [result.row for result in results], limits=limits, thumbnails=opened.anchors(chosen), size=size, fill=fill,
        cmap=cmap, classes=opened.classes or (), edge_color=edge_color, story=story, missing=tuple(unread), **settings,
    )  # fmt: skip
    rows = [{name: str(value) for name, value in r.row.items()} for r in results]
    code = [figures.painters(), files.digest(Path(interpolation.__file__).read_bytes())]
    shown = [list(size), fill, str(cmap), str(edge_color), list(panels), list(opened.classes or ())]
    shown += [sorted(unread)] if unread else []
    look = files.digest(code, rows, limits, shown, chosen, settings, opened.note)
    shots = _shots(opened, results, folder, tween, look, opened.plane(chosen), window)
    measured = len(results)
    reel = film.shoot(
        [shot.taken(painter) for shot in shots], folder, formats=formats, fps=fps * (tween + 1),
        progress=progress and (lambda done, text: progress(measured + done * measured // len(shots), 2 * measured, text)),
    )  # fmt: skip
    summary, poster = _stills(folder, painter.table, shots[-1], look, opened.note, {**settings, "missing": tuple(unread)})
    _words(folder, painter.table, fps, tween, fill, opened.note, _seen(results[-1], knots=edge_color != "none"))
    frames = tuple(shot.path for shot in shots if shot.tween is None)
    asked = {"formats": formats, "fps": fps, "size": size, "tween": tween, "fill": fill, "limits": limits, "look": look}
    _seal(folder, [shot.path for shot in shots], asked | {"panels": list(panels)})
    return Animation(
        folder, frames, reel.videos, summary, folder / "measures.csv", poster, folder / "animation.vtt", reel.drawn, unread
    )


@dataclass(frozen=True)
class _Shot:
    """One frame to be: which row it belongs to, where its partition comes from, its file and its digest."""

    index: int
    path: Path
    key: str
    partition: Callable[[], Partition]
    tween: figures.Tween | None
    text: str

    def taken(self, painter: figures.FramePainter) -> film.Shot:
        """The shot as a reel takes it."""
        return film.Shot(
            self.path, self.key, lambda: painter.paint(self.partition(), self.index, tween=self.tween), self.text
        )


def _shots(
    run: runs.Run, results: Sequence[Result], folder: Path, count: int, look: str, plane: Any, window: Any
) -> list[_Shot]:
    """All frames of the film, in order: one a checkpoint, `count` between two."""
    shots: list[_Shot] = []
    contents = [files.digest(Path(result.partition_path).read_bytes()) for result in results]
    for index, result in enumerate(results):
        path, text = folder / "frames" / f"step-{result.step:010d}.png", f"frame of step {result.step:,}"
        load = _loader(result)
        shots.append(_Shot(index, path, files.digest(look, index, contents[index]), load, None, text))
        if index == len(results) - 1:
            break
        following = results[index + 1].step
        for k in range(1, count + 1):
            share = k / (count + 1)
            path = folder / "tweens" / f"step-{result.step:010d}-{following:010d}-{k:03d}-of-{count:03d}.png"
            key = files.digest(look, index, contents[index], contents[index + 1], share)
            cut = _cutter(run, run.checkpoints[index], run.checkpoints[index + 1], share, plane, window)
            mark = figures.Tween(float(result.step), float(following), share)
            shots.append(_Shot(index, path, key, cut, mark, f"frame between steps {result.step:,} and {following:,}"))
    return shots


def _loader(result: Result) -> Callable[[], Partition]:
    return lambda: Partition.load(result.partition_path)


def _cutter(run: runs.Run, a: Any, b: Any, share: float, plane: Any, window: Any) -> Callable[[], Partition]:
    return lambda: interpolation.tween(run, a, b, share, plane=plane, window=window)


def _stills(
    folder: Path, table: Sequence[Any], last: _Shot, look: str, said: str, settings: dict[str, Any]
) -> tuple[Path, Path]:
    """The summary and the poster, the last frame; what is up to date is not touched."""
    summary, poster = folder / "summary.png", folder / "poster.png"
    if note(summary) != look:
        figure = figures.summary(table, note=said, **settings)
        files.write(summary, lambda stream: figure.savefig(stream, format="png", metadata={KEY: look}))
    if note(poster) != last.key:
        files.write(poster, lambda stream: stream.write(last.path.read_bytes()))
    return summary, poster


def _seen(last: Result, *, knots: bool) -> dict[str, Any]:
    """What the pictures hold beside the fills: knots, and how many of the anchors lie in the window."""
    found = Partition.load(last.partition_path)
    low, high = found.window.min(axis=0), found.window.max(axis=0)
    anchors = found.plane.anchors_uv.reshape(-1, 2)
    return {"knots": knots, "anchors": int(((anchors >= low) & (anchors <= high)).all(axis=1).sum())}


def _words(
    folder: Path, table: Sequence[Any], fps: float, tween: int, fill: str, note: str, seen: dict[str, Any]
) -> None:
    """Captions and alternative text; what already says the same is not touched."""
    said = {
        "animation.vtt": captions.captions(table, fps=fps, hold=HOLD, tweens=tween, note=note),
        "animation.txt": captions.alternative(table, fill=fill, note=note, **seen),
    }
    for name, text in said.items():
        path = folder / name
        if not (path.is_file() and path.read_text() == text):
            files.write_text(path, text)


def _readable(run: runs.Run, unread: Mapping[int, str]) -> runs.Run:
    """The run without checkpoints that cannot be read, of which a warning tells."""
    if not unread:
        return run
    kept = tuple(checkpoint for checkpoint in run.checkpoints if checkpoint.step not in unread)
    step, why = next(iter(unread.items()))
    more = f", nor can {len(unread) - 1} more" if len(unread) > 1 else ""
    text = f"splineviz: step {step:,} cannot be drawn{more}; the film is of the other {len(kept)} checkpoints: "
    warnings.warn(text + why.splitlines()[0], RuntimeWarning, stacklevel=3)
    return replace(run, checkpoints=kept)


def _seal(folder: Path, pictures: Sequence[Path], asked: dict[str, Any]) -> None:
    """Remove pictures of steps that are no longer asked for, and write down what is there."""
    for name in ("frames", "tweens"):
        outputs.remove_pictures(folder / name, keep=pictures)
    provenance.write_manifest(folder, "film", asked)


def _at(run: runs.Run, steps: Sequence[int] | None) -> runs.Run:
    """The run with the checkpoints of the given steps only. Raises DataError for a step that it does not have."""
    if steps is None:
        return run
    present = {checkpoint.step: checkpoint for checkpoint in run.checkpoints}
    if missing := sorted(set(steps) - set(present)):
        known = ", ".join(map(str, present))
        raise DataError(f"steps: expected steps of checkpoints ({known}), got {', '.join(map(str, missing))}.")
    return replace(run, checkpoints=tuple(present[step] for step in sorted(set(steps))))

