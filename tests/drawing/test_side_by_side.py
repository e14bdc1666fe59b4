"""Strips: frames of several panels in a row, whole and without texts that cover each other."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from arrangement import lines_in_square, rows
from matplotlib.offsetbox import AnchoredOffsetbox
from pictures import assert_nothing_collides, compare

from splineviz.drawing.side_by_side import MOST, Picture, StripPainter
from splineviz.errors import DataError

STEPS = [0, 1, 2, 5, 10, 30, 100, 300, 1000, 2668, 10000, 30000]
OPTIONS = {"thumbnails": [np.eye(8)] * 3, "radius": 0.005, "num_vectors": 25}


def painter(count: int, **options: object) -> StripPainter:
    return StripPainter([rows(STEPS)] * count, [f"run {k}" for k in range(count)], **OPTIONS, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 4])
def test_names_of_classes_have_room(count):
    strip = painter(count, fill="class", classes=["MMMMMMMMMMMM", "automobile", "WWWWWWWWWW"], size=(640, 360))
    strip.paint([Picture(lines_in_square(9, seed=k)) for k in range(count)], 9)
    assert_nothing_collides(strip.figure)


@pytest.mark.parametrize("size", [(1920, 1080), (640, 360)])
@pytest.mark.parametrize("fill", ["margin", "lc"])
@pytest.mark.parametrize("count", [1, 3, 4])
def test_no_text_is_cut_off_or_covered(count, fill, size):
    strip = painter(count, fill=fill, size=size)
    strip.paint([Picture(lines_in_square(9, seed=k)) for k in range(count)], 9)
    assert_nothing_collides(strip.figure)


def test_a_legend_keeps_its_distance_from_the_title():
    strip = StripPainter([rows(STEPS)], ["layer 0", "layer 1", "layer 2"], **OPTIONS, size=(640, 360))  # type: ignore[arg-type]
    renderer = strip.figure.canvas.get_renderer()  # type: ignore[attr-defined]
    seen = 0
    for ax in strip.figure.axes:
        for box in (artist for artist in ax.artists if isinstance(artist, AnchoredOffsetbox)):
            gap = box.get_window_extent(renderer).x0 - ax._left_title.get_window_extent(renderer).x1  # type: ignore[attr-defined]
            assert gap >= 3.0
            seen += 1
    assert seen == 2


def test_golden_strip():
    strip = painter(4, size=(640, 360), limits=(0.5, 20.0))
    compare("strip", strip.paint([Picture(lines_in_square(1 + 5 * k, seed=k)) for k in range(4)], 9))


def test_refusals():
    with pytest.raises(DataError, match=f"1 to {MOST} panels in a row, got 5"):
        painter(5)
    with pytest.raises(DataError, match="at least one row of each run"):
        StripPainter([[]], ["run"])
    with pytest.raises(DataError, match="width >= 1.75 height"):
        painter(2, size=(500, 500))
    with pytest.raises(DataError, match="one for each of 2 panels, got 1"):
        painter(2).paint([Picture(lines_in_square(3))], 0)
