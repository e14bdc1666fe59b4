"""Captions: what a film shows, in words, for those who cannot see it.

`alternative` is one paragraph for the film as a whole (an alt text), `captions` one line a frame with its times
(WebVTT, which browsers and players show beside an mp4 or webm). Numbers are those of the table; one that is not
available is left out. This room draws nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from splineviz.drawing.curves import Row, column
from splineviz.errors import FloatArray


def captions(table: Sequence[Row], *, fps: float, hold: float, tweens: int = 0, note: str = "") -> str:
    """A WebVTT file: one cue a row, shown while its frame and its tweens are; the last one for `hold` seconds.

    note: what must be said of the network, see `Partition.note`.
    """
    stay = 1.0 / fps
    cues = ["WEBVTT"]
    for index, row in enumerate(table):
        end = index * stay + (stay if index < len(table) - 1 else hold)
        cues.append(f"{_time(index * stay)} --> {_time(end)}\n{_said(row, note)}")
    if tweens:
        cues.insert(1, f"NOTE {tweens} frames after each step show networks with interpolated weights.")
    return "\n\n".join(cues) + "\n"


def alternative(
    table: Sequence[Row], *, fill: str = "slope", note: str = "", knots: bool = True, anchors: int | None = None
) -> str:
    """One paragraph on the whole film; note: as for `captions`.

    knots: whether they are drawn; anchors: how many samples lie in the window, None for all. What no frame shows is not
    spoken of: without a boundary at any step (length 0 in the table) the text says so.
    """
    steps, regions, lengths = (column(table, name) for name in ("step", "regions", "boundary_length"))
    colours = {"slope": "the norm of its slope", "class": "its class", "area": "its area", "layer": "its layer of birth",
               "margin": "its class, paler where the margin is small", "hash": "its activation pattern",
               "active": "its number of active units", "lc": "the local complexity round its middle"}  # fmt: skip
    text = [
        f"Linear regions of a network on a plane through three training samples, at {len(table)} "
        f"checkpoint{'' if len(table) == 1 else 's'} from step {steps[0]:,.0f} to step {steps[-1]:,.0f}. "
        + _shown(colours.get(fill, "" if fill == "none" else "a value"), lengths, knots, anchors),
        f"There are {regions[0]:,.0f} regions at first and {regions[-1]:,.0f} at last"
        + (f", at most {np.nanmax(regions):,.0f} at step {steps[np.nanargmax(regions)]:,.0f}." if len(table) > 2 else "."),
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
        text.append(f"Local complexity at training points is highest at step {steps[high]:,.0f} ({values[high]:.3g}).")
    return " ".join(text) + "\n"


def _shown(colour: str, lengths: FloatArray, knots: bool, anchors: int | None) -> str:
    """What there is to see, one clause each."""
    known = lengths[np.isfinite(lengths)]
    red = "the red line is the decision boundary"
    if len(known) and not (known > 0).any():
        red = "there is no decision boundary in the window: one class takes all of it"
    elif len(known) and not (known > 0).all():
        red += ", which is not in the window at every step"
    stars = {0: "none of the samples lies in the window", 1: "a white star marks the one sample in the window",
             2: "white stars mark the two samples in the window"}.get(3 if anchors is None else anchors)  # fmt: skip
    fill = f"each region has the colour of {colour}" if colour else ""
    parts = (fill, "thin lines are knots" if knots else "", red, stars or "white stars mark the samples")
    said = "; ".join(part for part in parts if part)
    return f"{said[0].upper()}{said[1:]}."


def _said(row: Row, note: str) -> str:
    parts = [f"Step {row['step']:,.0f}"]
    for name, said in (
        ("regions", f"{{:,.0f}} regions ({note})" if note else "{:,.0f} regions"),
        ("train_accuracy", "training accuracy {:.0%}"), ("test_accuracy", "test {:.0%}"),
        ("lc_train", "local complexity {:.3g}"),
    ):  # fmt: skip
        value = float(row.get(name, np.nan))
        if np.isfinite(value):
            parts.append(said.format(value))
    return f"{parts[0]}: {', '.join(parts[1:])}." if len(parts) > 1 else f"{parts[0]}."


def _time(seconds: float) -> str:
    whole, thousandths = divmod(round(1000 * seconds), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{thousandths:03d}"
