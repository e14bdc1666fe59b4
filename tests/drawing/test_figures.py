"""Figures: frames that are whole, aligned and cheap to repeat; the summary."""

from __future__ import annotations

import itertools
from dataclasses import replace

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from arrangement import lines_in_square, rows
from matplotlib.figure import Figure
from pictures import assert_nothing_collides, compare, pixels, visible_texts

from splineviz.drawing import canvas, curves, draw, figures, fills
from splineviz.errors import DataError
from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane

STEPS = [0, 1, 2, 5, 10, 30, 100, 300, 1000, 2668, 10000, 30000]
SMALL = (640, 360)
OPTIONS = {"radius": 0.005, "num_vectors": 25, "wide": 0.05, "limits": (0.5, 20.0), "thumbnails": [np.eye(8)] * 3}


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
    assert {"units, P = 25\nr = 0.05", "units, P = 25\nr = 0.005", "eps 0.03", "0.1"} <= got
    assert {"train", "test", "random", "training step", "0", "10,000"} <= got


def test_the_panels_are_aligned():
    figure = figures.frame(lines_in_square(5), rows(STEPS), 3, size=(1920, 1080), **OPTIONS)
    panel, bar, *curves = (ax.get_window_extent() for ax in figure.axes)
    assert panel.width == pytest.approx(panel.height)
    assert panel.y0 == pytest.approx(bar.y0) and panel.y1 == pytest.approx(bar.y1)
    assert len(curves) == 4 and curves[0].y1 == pytest.approx(panel.y1)
    assert {(round(box.x0, 6), round(box.x1, 6), round(box.height, 6)) for box in curves} == {
        (round(curves[0].x0, 6), round(curves[0].x1, 6), round(curves[0].height, 6))
    }
    gaps = [above.y0 - below.y1 for above, below in itertools.pairwise(curves)]
    assert gaps == pytest.approx([gaps[0]] * 3) and gaps[0] > 0
    assert panel.x0 == pytest.approx(round(panel.x0)) and panel.y0 == pytest.approx(round(panel.y0))  # whole pixels


def test_golden_frame():
    figure = figures.frame(lines_in_square(25, seed=5), rows(STEPS), 9, size=SMALL, **OPTIONS)
    compare("frame", pixels(figure))


def away(count: int, seed: int = 0, scale: float = 1.0) -> Partition:
    """A partition whose window lies apart from its anchors."""
    partition = lines_in_square(count, seed=seed)
    anchors = scale * np.array([[-9.0, 4.0], [7.0, 6.0], [1.0, -8.0]])
    return replace(partition, plane=Plane(partition.plane.origin, partition.plane.basis, anchors))


@pytest.mark.parametrize("names", [("complexity", "wide"), ("accuracy", "wide", "complexity", "migration")])
@pytest.mark.parametrize("size", [(1920, 1080), SMALL])
def test_the_name_of_a_map_is_clear_of_the_axes_beside_it(size, names):
    figure = figures.frame(away(3, scale=80.0), rows(STEPS), 3, size=size, story=curves.training(names), **OPTIONS)
    assert_nothing_collides(figure)
    assert figure.axes[-1].get_title(loc="left") == "map\n1 : 1,024"


WIDE_WORDS = {
    "ratios": {},
    "names": {"fill": "class", "classes": ["MMMMMMMMMMMM", "automobile", "WWWWWWWWWW"]},
    "decades": {"limits": (1e-5, 2e4), "thumbnails": [], "wide": 0.00125},
}


@pytest.mark.parametrize("far", [True, False])
@pytest.mark.parametrize("words", WIDE_WORDS)
def test_panels_make_room_for_what_stands_beside_the_slice(words, far):
    """Words of the colour bar, the map, and names and numbers of the panels' axes, each as wide as they come."""
    table = [row | {"knot_ratio_boundary": 1 + row["step"] / 1e6, "boundary_distance_ratio": 1.0, "knot_ratio_anchors": 0.99,
                    "boundary_length": 1e-5 * row["boundary_length"]} for row in rows(STEPS)]  # fmt: skip
    for names in (curves.PANELS, ("folding", "boundary", "exact", "wide")):
        partition, look = away(3, scale=80.0) if far else lines_in_square(3), OPTIONS | WIDE_WORDS[words]
        figure = figures.frame(partition, table, 3, size=SMALL, story=curves.training(names), **look)
        assert_nothing_collides(figure)
        places = {(round(ax.get_position().x0, 9), round(ax.get_position().x1, 9)) for ax in figure.axes[2:6]}
        assert len(places) == 1 and next(iter(places))[1] == pytest.approx(1 - 48 / 1920), "as wide as one another"


@pytest.mark.parametrize("size", [(1920, 1080), SMALL])
def test_a_window_away_from_its_anchors_is_shown_on_a_map(size):
    """The map holds all anchors and a mark in their midst at the window; the bar is shorter by as much."""
    figure = figures.frame(away(12), rows(STEPS), 3, size=size, **OPTIONS)
    assert_nothing_collides(figure)
    panel, bar, *_, place = figure.axes
    assert place.get_title(loc="left").startswith("map\n1 : ")
    low, high = place.viewLim.min, place.viewLim.max
    assert (low < [-9, -8]).all() and (high > [7, 6]).all()
    mark = place.patches[0].get_bbox()
    np.testing.assert_allclose(0.5 * (mark.min + mark.max), 0.0, atol=1e-9)
    assert bar.get_window_extent().y1 == pytest.approx(panel.get_window_extent().y1)
    assert bar.get_window_extent().y0 > place.get_window_extent().y1
    assert len(figures.frame(lines_in_square(12), rows(STEPS), 3, size=size, **OPTIONS).axes) == len(figure.axes) - 1


def test_golden_frame_with_a_map():
    compare("frame-map", pixels(figures.frame(away(25, seed=5), rows(STEPS), 9, size=SMALL, **OPTIONS)))


def test_steps_that_count_epochs_are_called_so():
    figure = figures.frame(lines_in_square(5), rows(STEPS), 9, size=SMALL, unit="epoch", **OPTIONS)
    assert {"epoch 2,668", "epoch"} <= texts(figure) and "training step" not in texts(figure)
    assert {ax.get_xlabel() for ax in figures.summary(rows(STEPS), unit="epoch").axes[-2:]} == {"epoch"}


def test_golden_frame_of_four_panels():
    story = curves.training(("exact", "migration", "units", "churn"))
    figure = figures.frame(lines_in_square(25, seed=5), rows(STEPS), 9, size=SMALL, story=story, **OPTIONS)
    compare("frame-four", pixels(figure))


CHOICES = [
    ("accuracy",), ("churn", "boundary"), ("units", "migration", "variation"), ("complexity", "exact", "regions", "units"),
    ("complexity", "units", "complexity", "migration"), tuple(curves.CHARTS)[:4], tuple(curves.CHARTS)[-4:],
]  # fmt: skip


@pytest.mark.parametrize("size", [(1920, 1080), SMALL, (1750, 1000)])
@pytest.mark.parametrize("names", CHOICES)
def test_panels_that_are_chosen_stand_in_their_order_and_do_not_collide(names, size):
    names = tuple(dict.fromkeys(names))
    figure = figures.frame(lines_in_square(12), rows(STEPS), 5, size=size, story=curves.training(names), **OPTIONS)
    assert_nothing_collides(figure)
    axes = figure.axes[2:]
    assert [ax.get_title(loc="left") for ax in axes] == [curves.CHARTS[name].title for name in names]
    boxes = [ax.get_window_extent() for ax in axes]
    assert {round(box.height, 6) for box in boxes} == {round(boxes[0].height, 6)}
    assert [bool(ax.get_xlabel()) for ax in axes] == [False] * (len(axes) - 1) + [True]
    labels = [ax.yaxis.label.get_window_extent().x1 for ax in axes if ax.get_ylabel()]
    assert not labels or labels == pytest.approx([labels[0]] * len(labels), abs=1.0), "in one line"


def test_a_panel_says_its_settings_and_marks_its_level():
    story = curves.training(("complexity", "exact", "migration"))
    figure = figures.frame(lines_in_square(5), rows(STEPS), 5, size=SMALL, story=story, **OPTIONS)
    assert [ax.get_ylabel() for ax in figure.axes[2:]] == [
        "units, P = 25\nr = 0.005", "units\nr = 0.005", "ratio to\nwindow's",
    ]  # fmt: skip
    low, high = figure.axes[4].get_ylim()
    assert low < 1.0 < high and any(list(line.get_ydata()) == [1.0, 1.0] for line in figure.axes[4].get_lines())


def test_exact_and_sampled_are_both_seen():
    """The dashed one lies on the solid one; both colours, and a small dot in a large one, are on the picture."""
    table = [{**row, "slice_sampled": row["slice_exact"]} for row in rows(STEPS)]
    table = [{name: value for name, value in row.items() if not name.endswith("_band")} for row in table]
    painter = figures.FramePainter(table, size=(1920, 1080), story=curves.training("exact"), **OPTIONS)
    picture = painter.paint(lines_in_square(5), 11).astype(int)
    box = painter.figure.axes[2].get_window_extent()
    inside = picture[1080 - int(box.y1) : 1080 - int(box.y0), int(box.x0) : int(box.x1)]
    for color in (curves.EXACT, curves.SAMPLED):
        ink = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
        assert (np.abs(inside - ink).sum(axis=-1) < 40).sum() > 250, color


def test_panels_without_values_are_left_out():
    def titles(names, *missing):
        table = [{n: np.nan if n.startswith(missing) else v for n, v in row.items()} for row in rows(STEPS)]
        figure = figures.frame(lines_in_square(5), table, 3, size=SMALL, story=curves.training(names))
        assert_nothing_collides(figure)
        return [ax.get_title(loc="left") for ax in figure.axes[2:]]

    assert titles(curves.PANELS, "lc_") == ["accuracy", "regions", "migration"], "no complexity at all"
    assert titles(curves.PANELS, "lc_wide") == ["accuracy", "local complexity", "migration"], "one radius"
    assert titles(curves.PANELS) == ["accuracy", "local complexity", "local complexity", "migration"]
    assert titles(("regions", "complexity"), "lc_") == ["regions"], "once is enough"
    assert titles(("churn", "migration"), "churn") == ["migration"]
    assert titles(("exact",), "slice_") == ["regions"], "rather than nothing"


def test_unknown_panels_are_refused():
    with pytest.raises(DataError, match="panels: expected some of accuracy, complexity, wide, .*, churn, got loss, r"):
        curves.training(("loss", "accuracy", "r"))
    for names in ((), tuple(curves.CHARTS)[:5]):
        with pytest.raises(DataError, match=f"panels: expected 1 to 4 of accuracy, .*, churn, got {len(names)}"):
            curves.training(names)


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
        for line, past, dots, shown, _ in painter._cursors:
            assert list(line.get_xdata()) == [STEPS[index]] * 2
            assert past.get_x() + past.get_width() == pytest.approx(STEPS[index])
            expected = [[STEPS[index], painter.table[index][name]] for name, _, _ in shown]
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
    for ax in painter.figure.axes[-4:]:
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
    ax = figure.axes[-1]
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
    assert len(names) == (4 + (name is not None) if name != "local complexity" else 4)
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


@pytest.mark.parametrize(("scale", "length"), [(1.0, 5.0), (0.02, 0.1), (300.0, 1000.0)])
def test_the_scale_bar_is_as_long_as_it_says(scale, length):
    """A fifth of the side at most, 1, 2 or 5 times a power of ten; and a window that moves moves it along."""
    ax = figures.Figure().add_axes((0.1, 0.1, 0.8, 0.8))
    ax.set(xlim=(3.0, 3.0 + 26.0 * scale), ylim=(-1.0, -1.0 + 26.0 * scale))
    line, text = canvas.scale_bar(ax)
    x, y = line.get_xdata(), line.get_ydata()
    assert x[1] - x[0] == pytest.approx(length) and text.get_text() == f"{length:g}"
    assert ax.get_xlim() == (3.0, 3.0 + 26.0 * scale) and y[0] == y[1] and -1.0 < y[0] < -1.0 + 26.0 * scale
