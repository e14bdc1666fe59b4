"""Captions: what a film shows, in words, for those who cannot see it; and numbers and lengths of time in words.
Here too: one row of measures, or those of several runs, in words; and what a window does not show.

`alternative` and its like are one paragraph for the film as a whole (an alt text), `captions` one line per frame with its
times (WebVTT, which browsers and players show beside an mp4 or webm). Numbers are those of the table; one that is not
available is left out. This file draws nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from splineviz.drawing.canvas import left_out
from splineviz.drawing.curves import Row, column
from splineviz.drawing.fills import FILLS
from splineviz.errors import FloatArray
from splineviz.geometry.partition import Partition


def captions(cues: Sequence[str | None], *, rate: float, hold: float, note: str = "") -> str:
    """A WebVTT file: one cue a caption, shown while its picture and the uncaptioned ones after it are.

    The last picture stands for `hold` seconds.

    cues: one a picture, None where the caption before goes on. rate: pictures a second. note: a remark, shown to nobody.
    """
    starts = [index for index, cue in enumerate(cues) if cue is not None]
    end = (len(cues) - 1) / rate + hold
    times = [*(index / rate for index in starts), end]
    spans = zip(starts, itertools.pairwise(times), strict=True)
    said = [f"{_time(start)} --> {_time(stop)}\n{cues[index]}" for index, (start, stop) in spans]
    return "\n\n".join(["WEBVTT", *([f"NOTE {note}"] if note else []), *said]) + "\n"


def of_row(row: Row, note: str = "", unit: str = "step") -> str:
    """A row of measures in words. note: what must be said of the network, see `Partition.note`. unit: what steps count."""
    parts = _numbers(row, note)
    step = f"{unit.capitalize()} {row['step']:,.0f}"
    return f"{step}: {', '.join(parts)}." if parts else f"{step}."


def of_rows(rows: Sequence[Row], titles: Sequence[str], notes: Sequence[str], unit: str = "step") -> str:
    """Rows of several runs at one step in words."""
    each = [f"{title}: {', '.join(_numbers(row, note))}" for row, title, note in zip(rows, titles, notes, strict=True)]
    return f"{unit.capitalize()} {rows[0]['step']:,.0f}. {'; '.join(each)}."


def alternative(
    table: Sequence[Row], *, fill: str = "slope", note: str = "", knots: bool = True, anchors: int | None = None,
    place: str = "", unit: str = "step",
) -> str:  # fmt: skip
    """One paragraph on the film of a run's checkpoints; note: as for `of_row`.

    knots: whether they are drawn; anchors: how many samples lie in the window, None for all; place: where that lies, a
    sentence, where it is far from them. What no frame shows is not
    spoken of: without a boundary at any step (length 0 in the table) the text says so.
    """
    steps, regions, lengths = (column(table, name) for name in ("step", "regions", "boundary_length"))
    text = [
        f"Linear regions of a network on a plane through three training samples, at {len(table)} "
        f"checkpoint{'' if len(table) == 1 else 's'} from {unit} {steps[0]:,.0f} to {unit} {steps[-1]:,.0f}. "
        + _shown(fill, lengths, knots, anchors, place),
        f"There are {regions[0]:,.0f} regions at first and {regions[-1]:,.0f} at last"
        + (f", at most {np.nanmax(regions):,.0f} at {unit} {steps[np.nanargmax(regions)]:,.0f}." if len(table) > 2 else "."),
    ]
    if note:
        text.append(f"The regions are those of the network with {note}.")
    if np.isfinite(lengths[[0, -1]]).all():
        text.append(f"The boundary's length goes from {lengths[0]:.3g} to {lengths[-1]:.3g}.")
    for name, said in (("train_accuracy", "Training"), ("test_accuracy", "Test")):
        values = column(table, name)
        if np.isfinite(values[[0, -1]]).all():
            text.append(f"{said} accuracy goes from {values[0]:.0%} to {values[-1]:.0%}.")
    values = column(table, "lc_train")
    if np.isfinite(values).any():
        high = int(np.nanargmax(values))
        text.append(f"Local complexity at training points is highest at {unit} {steps[high]:,.0f} ({values[high]:.3g}).")
    return " ".join(text) + "\n"


def alternative_of_runs(
    tables: Sequence[Sequence[Row]], titles: Sequence[str], *, fill: str, layers: bool, knots: bool = True,
    anchors: int | None = None, place: str = "",
) -> str:  # fmt: skip
    """One paragraph on a film of runs side by side, or of one run's layers; knots, anchors: as for `alternative`."""
    table, count = tables[0], len(titles)
    what = f"the {count} layers of one network" if layers else f"{count} networks, {', '.join(titles)},"
    text = [
        f"Linear regions of {what} side by side on a plane through three training samples, at {len(table)} "
        f"checkpoint{'' if len(table) == 1 else 's'} from step {table[0]['step']:,.0f} to step {table[-1]['step']:,.0f}. "
        + _shown(fill, np.concatenate([column(rows, "boundary_length") for rows in tables]), knots, anchors, place)
        + (" Each panel shows the knots of one layer." if layers else "")
    ]
    for title, rows in zip(["The network"] if layers else titles, tables, strict=True):
        text.append(f"{title} has {rows[0]['regions']:,.0f} regions at first and {rows[-1]['regions']:,.0f} at last.")
    return " ".join(text) + "\n"


def alternative_of_tour(
    table: Sequence[Row], way: Sequence[str], *, step: int, fill: str, note: str = "", knots: bool = True,
    anchors: int | None = None, place: str = "",
) -> str:  # fmt: skip
    """One paragraph on a film in which the view moves. way: its first and its last view, in words."""
    text = [
        f"Linear regions of one network, at step {step:,}, in {len(table)} views, from {way[0]} to {way[1]}. "
        + _shown(fill, column(table, "boundary_length"), knots, anchors, place),
        f"A view has {table[0]['regions']:,.0f} regions at first and {table[-1]['regions']:,.0f} at last."
    ]
    if note:
        text.append(f"The regions are those of the network with {note}.")
    return " ".join(text) + "\n"


def _shown(fill: str, lengths: FloatArray, knots: bool, anchors: int | None, place: str) -> str:
    """What there is to see, one clause each."""
    known = lengths[np.isfinite(lengths)]
    red = "the red line is the decision boundary"
    if len(known) and not (known > 0).any():
        red = "there is no decision boundary in the window: one class takes all of it"
    elif len(known) and not (known > 0).all():
        red += ", which is not in the window at every step"
    stars = {0: "none of the samples lies in the window", 1: "a white star marks the one sample in the window",
             2: "white stars mark the two samples in the window"}.get(3 if anchors is None else anchors)  # fmt: skip
    colour = FILLS[fill].caption if fill in FILLS else "a value"
    filled = f"each region has the colour of {colour}" if colour else ""
    parts = (filled, "thin lines are knots" if knots else "", red, stars or "white stars mark the samples")
    said = "; ".join(part for part in parts if part)
    return " ".join(filter(None, (place, f"{said[0].upper()}{said[1:]}.")))


def _numbers(row: Row, note: str) -> list[str]:
    parts = []
    for name, said in (
        ("regions", f"{{:,.0f}} regions ({note})" if note else "{:,.0f} regions"),
        ("train_accuracy", "training accuracy {:.0%}"), ("test_accuracy", "test {:.0%}"),
        ("lc_train", "local complexity {:.3g}"),
    ):  # fmt: skip
        value = float(row.get(name, np.nan))
        if np.isfinite(value):
            parts.append(said.format(value))
    return parts


def _time(seconds: float) -> str:
    whole, thousandths = divmod(round(1000 * seconds), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{thousandths:03d}"


def unseen(part: Partition, lengths: Sequence[float], *, chosen: bool = False) -> str:
    """What a window does not show, in words: none of the anchors (unless it was chosen, and said), no decision boundary.

    lengths: of the boundary, one a checkpoint; NaN where it is not known. Empty where nothing is amiss.
    """
    anchors, missing = len(part.plane.anchors_uv), []
    if anchors and not chosen and len(left_out(part)) == anchors:
        missing.append("anchor")
    if len(lengths) and not any(length > 0 or length != length for length in lengths):
        missing.append("decision boundary")
    if not missing:
        return ""
    where = "" if len(lengths) < 2 else " at any checkpoint"
    return f"no {' and no '.join(missing)} in view{where}: --center anchors or boundary, or a wider --window, shows more"


def round_of(value: float) -> int:
    """A number to two digits."""
    return int(float(f"{value:.2g}"))


def duration(seconds: float) -> str:
    """How long something takes, in words: the unit that leaves a small number."""
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{round_of(seconds / length):,} {unit}"
    return f"{round_of(max(seconds, 1.0))} seconds"
