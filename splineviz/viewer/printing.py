"""Printing: the `splineviz figure` command that cuts for print what the explorer shows; the front end adds the look.
The window that was asked for is put in its words here.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from splineviz.geometry.partition import Partition
from splineviz.geometry.polygons import bounding_square


def command(folder: Path, film: Mapping[str, Any]) -> str:
    """The command that cuts the same plane again. It names the run as seen from here, if it lies below: pages are mailed."""
    run = "RUN"
    if isinstance(film.get("run"), str):
        run = os.path.relpath(folder / film["run"])
        run = Path(run).name if run.startswith("..") else run
    words = ["splineviz", "figure", run]
    if isinstance(film.get("anchors"), list):
        words += ["--anchors", *map(str, film["anchors"])]
    return shlex.join(words)


def window_words(partition: Partition) -> str:
    """What else the command needs to cut the same window: nothing for the usual one of the plane."""
    window, square = partition.window, bounding_square(partition.window)
    for chosen in (None, square.half):
        usual = partition.plane.window(chosen)
        if usual.shape == window.shape and np.allclose(usual, window, rtol=1e-12, atol=1e-12 * square.half):
            return "" if chosen is None else f" --window {square.half!r}"
    return f" --square {' '.join(map(repr, [*square.centre.tolist(), square.half]))}"
