r"""Comparisons: films of several panels at the same steps. Two runs or more side by side, or one run taken apart by layers.

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
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from splineviz import choices
from splineviz.drawing import captions, fills, film, previews, side_by_side
from splineviz.drawing.curves import Row
from splineviz.drawing.look import SET_BY_FILMS, Look
from splineviz.drawing.side_by_side import Picture
from splineviz.drawing.video import USUAL as USUAL_QUALITY
from splineviz.errors import DataError, Progress
from splineviz.geometry.partition import Partition
from splineviz.jobs import sweep
from splineviz.jobs.job import Result
from splineviz.metrics.options import LCOptions
from splineviz.storage import files, outputs
from splineviz.training.runs import Run
from splineviz.workflows.unread import without

WITH_SLASH = r"[/\\\x00]"
"""What a name may hold and a file's name may not."""


@dataclass(frozen=True)
class Parallel:
    """What `compare` wrote. frames: one picture per step; videos: one a format; captions: the film's words with
    times, and beside it animation.txt, an alternative text; drawn: frames drawn by this call; unread: why steps are not in
    the film, by step: a checkpoint of theirs cannot be read, or its weights are not finite.
    """

    out: Path
    frames: tuple[Path, ...]
    videos: tuple[Path, ...]
    tables: tuple[Path, ...]
    poster: Path
    captions: Path
    drawn: int
    unread: Mapping[int, str] = field(default_factory=dict)


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
    fps: float = 4,
    quality: str = USUAL_QUALITY,
    lc: LCOptions | None = LCOptions(),  # noqa: B008  # frozen, so it can be shared
    jobs: int | Executor = 1,
    progress: Progress | None = None,
    strict: bool = False,
    **look: Any,
) -> Parallel:
    """Film runs side by side at the steps that all of them have, or one run with a panel for each of its layers.

    names: of the runs, by default those of their directories. layers: one run, each panel with the knots of one kink layer.
    anchors: training samples by index, of each run's own data. The rest as `animate` takes it; panels stand below,
    by default accuracy, local complexity and regions. strict: as there; by default the film is of the steps that can be read
    in all runs.
    Raises DataError for too few or too many runs or layers, or runs without a step in common, OutputError when `out` holds
    what splineviz did not write or a comparison of other runs, and what measuring raises.
    """
    progress = previews.progress("comparing") if progress is None else progress
    _check(runs, names, layers)
    appearance = Look.of(look, without=SET_BY_FILMS, panels=choices.COMPARED_PANELS)
    asked = film.Film("comparison", Path(out), formats, fps, quality=quality)
    folder, called = asked.folder, _names(runs, names)
    common = sorted(set.intersection(*({c.step for c in run.checkpoints} for run in runs)))
    if not common:
        raise DataError("runs: expected a step that all of them have, got none; see splineviz info.")
    chosen = common if steps is None else sorted(set(steps))
    folders, also = ([folder], outputs.film(formats)) if layers else (_folders(folder, runs, called, formats), [])
    bad: list[dict[int, str]] = [{} for _ in runs]
    results = [
        sweep.measure_run(
            run, anchors=anchors, window=window, steps=chosen, out=where, lc=lc, jobs=jobs,
            progress=film.first_half(progress, number, len(runs), called[number]), also=also,
            unread=None if strict else bad[number],
        )
        for number, (run, where) in enumerate(zip(runs, folders, strict=True))
    ]  # fmt: skip
    unread, chosen = _readable(runs, called, chosen, bad)
    results = [[result for result in some if result.step in chosen] for some in results]
    tables = [[result.row for result in some] for some in results]
    titles = _layer_titles(Partition.load(results[0][0].partition_path), appearance.size) if layers else called
    settings = {} if lc is None else lc.settings(max((run.train_x.shape[1:] for run in runs), key=math.prod))
    unit = runs[0].unit if len({run.unit for run in runs}) == 1 else "step"
    settings |= {"unit": unit}
    appearance = replace(appearance, thumbnails=runs[0].anchors(anchors), classes=runs[0].classes or (), **settings)
    appearance = appearance.with_limits(Partition.load(r.partition_path) for r in chain(*results))
    painter = side_by_side.StripPainter(tables, titles, look=appearance, missing=sorted(unread))
    told, notes = [[{name: str(n) for name, n in row.items()} for row in table] for table in tables], [r.note for r in runs]
    shown = files.digest(appearance.digest, told, titles, layers, notes, sorted(unread))
    shots = [
        film.Shot(
            folder / "frames" / f"step-{step:010d}.png", files.digest(shown, index, [found[index].key for found in results]),
            _paint(painter, [found[index] for found in results], index, layers), f"frame of step {step:,}",
            _caption([table[index] for table in tables], called, notes, unit),
        )
        for index, step in enumerate(chosen)
    ]  # fmt: skip
    seen = appearance.seen(Partition.load(results[0][-1].partition_path))
    made = film.make(
        asked, shots,
        alternative=captions.alternative_of_runs(tables, titles, fill=appearance.fill, layers=layers, **seen),
        said={**appearance.said, "look": shown, "layers": layers, "titles": titles}, progress=progress,
    )  # fmt: skip
    measured = tuple(where / sweep.TABLE for where in folders)
    frames = tuple(shot.path for shot in shots)
    return Parallel(folder, frames, made.videos, measured, made.poster, made.captions, made.drawn, unread)


def _readable(
    runs: Sequence[Run], called: Sequence[str], steps: Sequence[int], bad: Sequence[Mapping[int, str]]
) -> tuple[dict[int, str], list[int]]:
    """Steps that some run cannot be read at, each with the reason, and those that are left; a warning a run.

    Raises DataError when none is left.
    """
    unread: dict[int, str] = {}
    for run, name, found in zip(runs, called, bad, strict=True):
        without(run.only(steps), found, "the film is", name if len(runs) > 1 else "")
        unread |= {step: f"{name}: {why}" for step, why in found.items()}
    left = [step for step in steps if step not in unread]
    if not left:
        step, why = next(iter(unread.items()))
        raise DataError(f"runs: expected a step at which all of them can be read, got none; step {step:,}: {why}")
    return unread, left


def _layer_titles(partition: Partition, size: tuple[int, int]) -> list[str]:
    """The layers' names in as many letters as stand above a panel of a frame of that size."""
    letters = side_by_side.letters(fills.layer_count(partition), size)
    return fills.layer_names(partition, lambda name: len(name) <= letters)


def _check(runs: Sequence[Run], names: Sequence[str], layers: bool) -> None:
    if layers and len(runs) != 1:
        raise DataError(f"layers: expected one run to take apart, got {len(runs)}.")
    if not layers and not 2 <= len(runs) <= side_by_side.MOST:
        raise DataError(f"runs: expected 2 to {side_by_side.MOST} to compare, got {len(runs)}; "
                        "layers=True (--layers) is for one.")
    if len(names) not in (0, len(runs)):
        raise DataError(f"names: expected one for each of the {len(runs)} runs, got {len(names)}.")


def _caption(rows: Sequence[Row], called: Sequence[str], notes: Sequence[str], unit: str) -> str:
    return captions.of_row(rows[0], notes[0], unit) if len(rows) == 1 else captions.of_rows(rows, called, notes, unit)


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
