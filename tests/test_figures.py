"""Figures: frames that are whole, aligned and cheap to repeat; the summary."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from arrangement import lines_in_square, rows
from matplotlib.figure import Figure
from pictures import assert_nothing_collides, compare, pixels, visible_texts

from splineviz import draw, figures, fills

STEPS = [0, 1, 2, 5, 10, 30, 100, 300, 1000, 2668, 10000, 30000]
SMALL = (640, 360)
OPTIONS = {"radius": 0.005, "num_vectors": 25, "limits": (0.5, 20.0), "thumbnails": [np.eye(8)] * 3}


def texts(figure: Figure) -> set[str]:
    return {t.get_text() for t in visible_texts(figure)}


@pytest.mark.parametrize("size", [(1920, 1080), SMALL, (1280, 720), (1750, 1000)])
@pytest.mark.parametrize("index", [0, 9, 11])
def test_no_text_is_cut_off_or_covered(size, index):
    figure = figures.frame(lines_in_square(12), rows(STEPS), index, size=size, **OPTIONS)
    assert_nothing_collides(figure)


def test_a_frame_says_what_it_shows():
    partition = lines_in_square(20)
    got = texts(figures.frame(partition, rows(STEPS), 9, **OPTIONS))
    assert {"step 2,668", f"{partition.num_regions} regions", "accuracy", "local complexity", "slope norm"} <= got
    assert {"r = 0.005,  P = 25", "train", "test", "random", "training step", "0", "10,000"} <= got


def test_the_panels_are_aligned():
    figure = figures.frame(lines_in_square(5), rows(STEPS), 3, size=(1920, 1080), **OPTIONS)
    panel, bar, accuracy, complexity = (ax.get_window_extent() for ax in figure.axes[:4])
    assert panel.width == pytest.approx(panel.height)
    assert panel.y0 == pytest.approx(bar.y0) and panel.y1 == pytest.approx(bar.y1)
    assert accuracy.y1 == pytest.approx(panel.y1)
    assert (accuracy.x0, accuracy.x1) == pytest.approx((complexity.x0, complexity.x1))
    assert panel.x0 == pytest.approx(round(panel.x0)) and panel.y0 == pytest.approx(round(panel.y0))  # whole pixels


def test_golden_frame():
    figure = figures.frame(lines_in_square(25, seed=5), rows(STEPS), 9, size=SMALL, **OPTIONS)
    compare("frame", pixels(figure))


def test_golden_summary():
    style = figures.PAPER_STYLE | {"figure.dpi": 100}
    compare("summary", pixels(figures.summary(rows(STEPS), radius=0.005, num_vectors=25, style=style)))


def test_painting_again_gives_what_drawing_anew_gives():
    table, partitions = rows(STEPS), [lines_in_square(n, seed=n) for n in (4, 9, 15)]
    painter = figures.FramePainter(table, size=SMALL, **OPTIONS)
    painted = [painter.paint(partition, index) for index, partition in zip((0, 4, 9), partitions, strict=True)]
    for index, partition, picture in zip((0, 4, 9), partitions, painted, strict=True):
        anew = pixels(figures.frame(partition, table, index, size=SMALL, **OPTIONS)).astype(float)
        assert picture.shape == (360, 640, 3)
        assert np.abs(anew - picture).mean() < 0.2
    again = painter.paint(partitions[0], 0)
    assert (again == painted[0]).all()


def test_the_cursor_stands_at_the_step():
    painter = figures.FramePainter(rows(STEPS), **OPTIONS)
    for index in (2, 7):
        painter.update(lines_in_square(3), index)
        for line, past, dots, curves, _ in painter._cursors:
            assert list(line.get_xdata()) == [STEPS[index]] * 2
            assert past.get_x() + past.get_width() == pytest.approx(STEPS[index])
            expected = [[STEPS[index], painter.table[index][name]] for name, _, _ in curves]
            np.testing.assert_allclose(dots.get_offsets(), expected)


def test_a_tween_says_that_it_is_none_of_the_checkpoints():
    painter = figures.FramePainter(rows(STEPS), **OPTIONS)
    mark = figures.Tween(100, 300, 0.5)
    figure = painter.update(lines_in_square(9), STEPS.index(100), tween=mark)
    assert {"steps 100 to 300", "weights interpolated, 50% of the way: no checkpoint"} <= texts(figure)
    assert_nothing_collides(figure)
    for line, _, dots, _, _ in painter._cursors:
        assert line.get_xdata()[0] == pytest.approx((100 * 300) ** 0.5) and not dots.get_visible()
    after = texts(painter.update(lines_in_square(9), 2))
    assert "step 2" in after and not any("interpolated" in text for text in after)
    assert all(dots.get_visible() for _, _, dots, _, _ in painter._cursors)
    assert figures.Tween(0, 10, 0.3).step == pytest.approx(3.0)


def test_golden_tween():
    painter = figures.FramePainter(rows(STEPS), size=SMALL, **OPTIONS)
    compare("tween", pixels(painter.update(lines_in_square(25, seed=5), 9, tween=figures.Tween(2668, 10000, 0.25))))


@pytest.mark.parametrize("fill", ["slope", "class", "hash", "lc"])
def test_nothing_but_the_header_and_what_follows_the_cursor_moves_between_frames(fill):
    partition = lines_in_square(10)
    painter = figures.FramePainter(rows(STEPS), size=SMALL, fill=fill, **{**OPTIONS, "limits": (0.5, 9.0)})
    first, *others = (painter.paint(partition, index).astype(int) for index in (2, 8, 11))
    may = np.zeros(first.shape[:2], dtype=bool)
    may[:24] = True  # the header
    for ax in painter.figure.axes[-2:]:
        box = ax.get_window_extent().padded(5)  # a dot at the end of a curve reaches beyond its axes
        may[360 - int(box.y1) : 360 - int(box.y0) + 1, int(box.x0) : int(box.x1) + 1] = True
    for frame in others:
        assert (frame != first).any() and (frame == first)[~may].all()


def test_the_axes_of_the_curves_do_not_jump():
    painter = figures.FramePainter(rows(STEPS), size=SMALL, **OPTIONS)
    seen = set()
    for index, partition in enumerate(lines_in_square(n, seed=n) for n in (3, 30, 12)):
        painter.paint(partition, 4 * index)
        seen.add(str([(*ax.get_xlim(), *ax.get_ylim()) for ax in painter.figure.axes[1:]]))
    assert len(seen) == 1


def test_colors_do_not_change_between_frames():
    partition = lines_in_square(10)
    painter = figures.FramePainter(rows(STEPS), size=SMALL, limits=(0.01, 50.0))
    left = (slice(30, 344), slice(16, 330))
    assert (painter.paint(partition, 0)[left] == painter.paint(partition, 8)[left]).all()


@pytest.mark.parametrize("missing", ["lc_", "test_", "_band", "accuracy"])
def test_a_table_with_gaps_is_drawn(missing):
    table = [{name: np.nan if missing in name else value for name, value in row.items()} for row in rows(STEPS)]
    figure = figures.frame(lines_in_square(5), table, 3, size=SMALL, **OPTIONS)
    assert_nothing_collides(figure)
    assert ("local complexity" in texts(figure)) == (missing != "lc_")
    assert_nothing_collides(figures.summary(table))


@pytest.mark.parametrize("steps", [[0], [500], [0, 1], [100, 200, 300], [0, 50_000], list(range(0, 30, 3)), [3, 10**7]])
def test_any_steps_have_a_place(steps):
    figure = figures.frame(lines_in_square(5), rows(steps), -1, size=SMALL, **OPTIONS)
    assert_nothing_collides(figure)
    ax = figure.axes[2]
    places = ax.transData.transform([[step, 0.5] for step in steps])[:, 0]
    assert ax.bbox.x0 - 1 <= places.min() and places.max() <= ax.bbox.x1 + 1
    assert (np.diff(places) > 0).all()
    assert len([t for t in ax.get_xticks() if ax.get_xlim()[0] <= t <= ax.get_xlim()[1]]) >= 1


@pytest.mark.parametrize(
    ("fill", "name"),
    [("class", "class"), ("margin", "class, margin"), ("layer", "layer of birth"), ("area", "area"), ("hash", None),
     ("lc", "local complexity"), ("values", "active units")],
)  # fmt: skip
def test_other_fills(fill, name):
    partition = lines_in_square(9)
    look = {"fill": np.arange(partition.num_regions), "fill_label": name} if fill == "values" else {"fill": fill}
    figure = figures.frame(partition, rows(STEPS), 3, size=SMALL, **look)
    assert_nothing_collides(figure)
    names = {ax.get_title(loc="left") for ax in figure.axes}
    assert len(names) == (3 + (name is not None) if name != "local complexity" else 3)
    assert name is None or name in names  # colours without an order have no colour bar


def test_points_of_the_plane_have_no_thumbnails():
    figure = figures.frame(lines_in_square(9), rows(STEPS), 3, size=SMALL, thumbnails=[np.zeros(2)] * 3)
    assert_nothing_collides(figure)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.5, 20.0, [0.5, 1, 2, 5, 10, 20]),
        (1e-4, 30.0, [1e-4, 1e-3, 1e-2, 0.1, 1, 10]),
        (2.6, 4.4, [3, 4]),
        (1.1, 1.5, [1.2, 1.4]),
        (0.0213, 0.0219, None),
    ],
)
def test_a_bar_has_ticks_however_narrow_its_range(low, high, ticks):
    got = fills.log_ticks(low, high)
    assert len(got) >= 2 and got == sorted(got)
    assert low * 0.999 <= got[0] and got[-1] <= high * 1.001
    if ticks is not None:
        assert got == pytest.approx(ticks)


def test_refusals():
    with pytest.raises(ValueError, match="at least one row"):
        figures.FramePainter([])
    with pytest.raises(ValueError, match="at least one row"):
        figures.summary([])
    with pytest.raises(ValueError, match="width >= 1.75 height"):
        figures.FramePainter(rows(STEPS), size=(500, 500))
    with pytest.raises(IndexError, match="a row of the table's 12, got 12"):
        figures.frame(lines_in_square(3), rows(STEPS), 12, size=SMALL)


def test_limits_default_to_the_partition():
    figure = figures.frame(lines_in_square(9), rows(STEPS), 3, size=SMALL)
    image = next(a for a in figure.axes[0].get_images() if isinstance(a, draw.PartitionImage))
    assert (image.norm.vmin, image.norm.vmax) == pytest.approx(draw.color_limits(lines_in_square(9)))
