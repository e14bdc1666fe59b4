r"""Parallels: films of several panels at the same steps. Two runs or more side by side, or one run taken apart by layers.

        run A -> out/A/partitions, measures.csv --+
                                                  +-> frames/step-*.png -> animation.mp4
        run B -> out/B/partitions, measures.csv --+

Every run is measured as `animate` measures it, in a folder of its own; all panels share one colour scale. Only steps that
all runs have are drawn. One frame is in memory at a time; what is up to date is left alone.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from splineviz.drawing import figures, fills, film, side_by_side
from splineviz.drawing.canvas import frame_size
from splineviz.drawing.side_by_side import Picture
from splineviz.drawing.video import note
from splineviz.errors import DataError
from splineviz.geometry.partition import Partition
from splineviz.jobs import sweep
from splineviz.jobs.job import LCOptions, Result
from splineviz.storage import files, outputs, provenance
from splineviz.training.runs import Run

Progress = Callable[[int, int, str], None]
"""progress(done, total, text): half of `total` is measuring, half is drawing."""


WITH_SLASH = r"[/\\\x00]"
"""What a name may hold and a file's name may not."""


@dataclass(frozen=True)
class Parallel:
    """What `compare` wrote. frames: one picture a step; videos: one a format; drawn: frames drawn by this call."""

    out: Path
    frames: tuple[Path, ...]
    videos: tuple[Path, ...]
    tables: tuple[Path, ...]
    poster: Path
    drawn: int


def compare(
    runs: Sequence[Run],
    *,
    names: Sequence[str] = (),
    layers: bool = False,
    anchors: Sequence[int] = (0, 1, 2),
    window: Any = None,
    steps: Sequence[int] | None = None,
    out: str | os.PathLike[str] = "comparison",
    formats: Sequence[str] = ("mp4",),
    fps: float = 6,
    size: tuple[int, int] = (1920, 1080),
    fill: str = "slope",
    cmap: Any = None,
    limits: tuple[float, float] | None = None,
    edge_color: Any = "black",
    lc: LCOptions | None = LCOptions(),  # noqa: B008  # frozen, so it can be shared
    jobs: int | Executor = 1,
    progress: Progress | None = None,
) -> Parallel:
    """Film runs side by side at the steps that all of them have, or one run with a panel for each of its layers.

    names: of the runs, by default those of their directories. layers: one run, each panel with the knots of one kink layer.
    anchors: training samples by index, of each run's own data. The rest as `animate` takes it.
    Raises DataError for too few or too many runs or layers, or runs without a step in common, OutputError when `out` holds
    what splineviz did not write or a comparison of other runs, and what measuring raises.
    """
    if layers and len(runs) != 1:
        raise DataError(f"layers: expected one run to take apart, got {len(runs)}.")
    if not layers and not 2 <= len(runs) <= side_by_side.MOST:
        raise DataError(f"runs: expected 2 to {side_by_side.MOST} to compare, got {len(runs)}; "
                        "layers=True (--layers) is for one.")
    if len(names) not in (0, len(runs)):
        raise DataError(f"names: expected one for each of the {len(runs)} runs, got {len(names)}.")
    if not 0 < fps <= 120:
        raise DataError(f"fps: expected frames a second between 0 and 120, got {fps}.")
    film.known_formats(formats)
    frame_size(size)
    folder, called = Path(out), _names(runs, names)
    common = sorted(set.intersection(*({c.step for c in run.checkpoints} for run in runs)))
    if not common:
        raise DataError("runs: expected a step that all of them have, got none; see splineviz info.")
    chosen = common if steps is None else sorted(set(steps))
    folders, results = [folder] if layers else _folders(folder, runs, called, formats), []
    for number, run in enumerate(runs):
        results.append(
            sweep.measure_run(
                run, anchors=anchors, window=window, steps=chosen, out=folders[number], lc=lc, jobs=jobs,
                progress=_share(progress, number, len(runs), called[number]), also=outputs.film(formats) if layers else (),
            )
        )  # fmt: skip
    if limits is None and fill in fills.SCALED:
        limits = fills.shared_limits((Partition.load(r.partition_path) for r in chain(*results)), fill=fill)
    tables = [[result.row for result in some] for some in results]
    count = fills.layer_count(Partition.load(results[0][0].partition_path)) if layers else len(runs)
    titles = [f"layer {k + 1}" for k in range(count)] if layers else called
    settings = {} if lc is None else lc.settings(max((run.train_x.shape[1:] for run in runs), key=math.prod))
    painter = side_by_side.StripPainter(
        tables, titles, limits=limits, size=size, fill=fill, cmap=cmap, edge_color=edge_color, classes=runs[0].classes or (),
        thumbnails=runs[0].anchors(anchors), **settings,
    )  # fmt: skip
    look = files.digest(
        figures.painters(), files.digest(Path(side_by_side.__file__).read_bytes()), tables, titles, limits, list(size), fill,
        str(cmap), str(edge_color), layers, settings, list(runs[0].classes or ()),
    )  # fmt: skip
    shots = []
    for index, step in enumerate(chosen):
        some = [found[index] for found in results]
        path = folder / "frames" / f"step-{step:010d}.png"
        key = files.digest(look, index, [result.key for result in some])
        shots.append(film.Shot(path, key, _paint(painter, some, index, layers), f"frame of step {step:,}"))
    frames = len(shots)
    reel = film.shoot(
        shots, folder, formats=formats, fps=fps,
        progress=progress and (lambda done, text: progress(frames + done, 2 * frames, text)),
    )  # fmt: skip
    asked = {"formats": list(formats), "fps": fps, "size": list(size), "fill": fill, "layers": layers, "look": look}
    poster, measured = _finished(folder, shots, asked), tuple(where / sweep.TABLE for where in folders)
    return Parallel(folder, tuple(shot.path for shot in shots), reel.videos, measured, poster, reel.drawn)


def _finished(folder: Path, shots: Sequence[film.Shot], asked: dict[str, Any]) -> Path:
    """The poster, the last frame. Pictures of steps that are no longer asked for go, and the manifest says what is there."""
    poster = folder / "poster.png"
    if note(poster) != shots[-1].key:
        files.write(poster, lambda stream: stream.write(shots[-1].path.read_bytes()))
    outputs.remove_pictures(folder / "frames", keep=[shot.path for shot in shots])
    provenance.write_manifest(folder, "comparison", asked)
    return poster


def _folders(folder: Path, runs: Sequence[Run], names: Sequence[str], formats: Sequence[str]) -> list[Path]:
    """Where each run is measured: a folder of its own, called by its number and name, in one that is ours."""
    found = [folder / f"{number}-{re.sub(WITH_SLASH, '-', name)}" for number, name in enumerate(names, 1)]
    paths = [str(run.path.resolve()) for run in runs]
    outputs.enter(folder, "comparison", paths, (*outputs.film(formats), *(where.name for where in found)))
    return found


def _names(runs: Sequence[Run], names: Sequence[str]) -> list[str]:
    """What the runs are called: as given, or as much of their paths as tells them apart."""
    if names:
        return list(names)
    parts = [run.path.resolve().parts for run in runs]
    called = [part[-1] for part in parts]
    for depth in range(2, max(map(len, parts)) + 1):
        if len(set(called)) == len(called):
            break
        called = ["-".join(part[-depth:]).strip("/-") for part in parts]
    return called


def _share(progress: Progress | None, number: int, count: int, name: str) -> Progress | None:
    """Progress of one of `count` runs, as part of the first half of the whole."""
    if progress is None:
        return None

    def tell(done: int, total: int, text: str) -> None:
        progress(number * total + done, 2 * count * total, f"{name}: {text}")

    return tell


def _paint(painter: side_by_side.StripPainter, results: Sequence[Result], index: int, layers: bool) -> Callable[[], Any]:
    def paint() -> Any:
        partitions = [Partition.load(result.partition_path) for result in results]
        if not layers:
            return painter.paint([Picture(partition) for partition in partitions], index)
        whole = partitions[0]
        of_layer, pictures = whole.edge_unit[:, 0], []
        for k in range(fills.layer_count(whole)):
            units = len(np.unique(whole.edge_tag[of_layer == k]))
            pictures.append(Picture(whole, of_layer == k, f"knots of {units:,} units"))
        return painter.paint(pictures, index)

    return paint
