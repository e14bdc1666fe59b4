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
from splineviz.drawing import captions, fills, film, side_by_side
from splineviz.drawing.curves import Row
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


@dataclass(frozen=True, repr=False)
class Parallel(film.Reel):
    """What `compare` wrote: a film with one frame a step, and the tables of measures of the runs.

    unread: why steps are not in the film, by step: a checkpoint of theirs cannot be read, or its weights are not finite.
    """

    tables: tuple[Path, ...]
    unread: Mapping[int, str] = field(default_factory=dict)


def compare(
    runs: Sequence[Run], *, names: Sequence[str] = (), layers: bool = False, anchors: Sequence[int] = (0, 1, 2),
    window: Any = None, steps: Sequence[int] | None = None, out: str | os.PathLike[str] = "comparison",
    formats: Sequence[str] = ("mp4",), fps: float = 4, quality: str = USUAL_QUALITY,
    lc: LCOptions | None = LCOptions(), jobs: int | Executor = 1,  # noqa: B008  # frozen, so it can be shared
    progress: Progress | None = None, strict: bool = False, **look: Any,
) -> Parallel:  # fmt: skip
    """Film runs side by side at the steps that all of them have, or one run with a panel for each of its layers.

    Args:
        runs: two to four, or one for its layers.
        names: of the runs; by default those of their directories.
        layers: one run, each panel with the knots of one kink layer.
        anchors: training samples by index, of each run's own data.
        window: as in `Plane.window`.
        steps: as in `animate`.
        out: output directory; each run is measured in a folder of its own there.
        formats: as in `animate`.
        fps: as in `animate`.
        quality: as in `animate`.
        lc: as in `animate`.
        jobs: as in `animate`.
        progress: as in `animate`.
        strict: raise for a checkpoint that cannot be read; else the film is of the steps that can be read in all runs.
        look: as in `animate`; panels stand below, by default accuracy, local complexity and regions.

    Returns:
        The files.

    Raises:
        DataError: too few or too many runs or layers, runs without a step in common, or an unknown word.
        CheckpointError: there is no checkpoint of a step.
        OutputError: `out` holds files of others, or a comparison of other runs.
    """
    _check(runs, names, layers)
    asked = film.Film.of("comparison", out, formats, fps, quality, look, progress, panels=choices.COMPARED_PANELS)
    called = _names(runs, names)
    measured = _measured(
        asked, runs, called, layers, steps, strict, {"anchors": anchors, "window": window, "lc": lc, "jobs": jobs}
    )
    settings = {} if lc is None else lc.settings(max((run.train_x.shape[1:] for run in runs), key=math.prod))
    unit = runs[0].unit if len({run.unit for run in runs}) == 1 else "step"
    look = {"thumbnails": runs[0].anchors(anchors), "classes": runs[0].classes or (), "unit": unit, **settings}
    return _filmed(replace(asked, look=replace(asked.look, **look)), runs, called, layers, measured)


@dataclass(frozen=True)
class _Measured:
    """The results of each run, at the same steps, the folders that hold them, and why other steps are missing."""

    results: list[list[Result]]
    folders: list[Path]
    unread: dict[int, str]


def _measured(
    asked: film.Film, runs: Sequence[Run], called: Sequence[str], layers: bool, steps: Sequence[int] | None, strict: bool,
    options: Mapping[str, Any],
) -> _Measured:  # fmt: skip
    """Every run as `animate` measures it, at the steps that all of them have and that can be read in all of them."""
    common = sorted(set.intersection(*({c.step for c in run.checkpoints} for run in runs)))
    if not common:
        raise DataError("runs: expected a step that all of them have, got none; see splineviz info.")
    chosen, film_files = common if steps is None else sorted(set(steps)), outputs.film(asked.formats)
    folders, also = ([asked.folder], film_files) if layers else (_folders(asked.folder, runs, called, film_files), [])
    bad: list[dict[int, str]] = [{} for _ in runs]
    results = [
        sweep.measure_run(
            run, steps=chosen, out=where, also=also, unread=None if strict else bad[number],
            progress=film.first_half(asked.progress, number, len(runs), called[number]), **options,
        )
        for number, (run, where) in enumerate(zip(runs, folders, strict=True))
    ]  # fmt: skip
    unread, left = _readable(runs, called, chosen, bad)
    return _Measured([[result for result in some if result.step in left] for some in results], folders, unread)


def _filmed(asked: film.Film, runs: Sequence[Run], called: Sequence[str], layers: bool, measured: _Measured) -> Parallel:
    """The film of what was measured, in one colour scale."""
    results, missing, notes = measured.results, sorted(measured.unread), [run.note for run in runs]
    look = asked.look.with_limits(Partition.load(result.partition_path) for result in chain(*results))
    asked, tables = replace(asked, look=look), [[result.row for result in some] for some in results]
    titles = _layer_titles(Partition.load(results[0][0].partition_path), look.size) if layers else called
    painter = side_by_side.StripPainter(tables, titles, look=look, missing=missing)
    shown = asked.digest(tables, titles, layers, notes, missing)
    shots = []
    for index, found in enumerate(zip(*results, strict=True)):
        step, key = found[0].step, files.digest(shown, index, [result.key for result in found])
        caption = _caption([table[index] for table in tables], called, notes, look.unit)
        path, paint = asked.folder / "frames" / f"step-{step:010d}.png", _paint(painter, found, index, layers)
        shots.append(film.Shot(path, key, paint, f"frame of step {step:,}", caption))
    seen = look.seen(Partition.load(results[0][-1].partition_path))
    made = film.make(
        asked, shots,
        alternative=captions.alternative_of_runs(tables, titles, fill=look.fill, layers=layers, **seen),
        said={"look": shown, "layers": layers, "titles": titles},
    )  # fmt: skip
    return Parallel(**vars(made), tables=tuple(where / sweep.TABLE for where in measured.folders), unread=measured.unread)


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


def _folders(folder: Path, runs: Sequence[Run], names: Sequence[str], also: Sequence[str]) -> list[Path]:
    """Where each run is measured: a folder of its own, called by its number and name, in one that is ours."""
    found = [folder / f"{number}-{re.sub(WITH_SLASH, '-', name)}" for number, name in enumerate(names, 1)]
    paths = [str(run.path.resolve()) for run in runs]
    outputs.enter(folder, "comparison", paths, (*also, *(where.name for where in found)))
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
