"""Drawing: the raster against exact areas, what crowded knots look like, zooming, fills, anchors."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from arrangement import jittered_grid, lines_in_square
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox
from pictures import compare, pixels
from PIL import Image

from splineviz._kernels.measuring import raster
from splineviz.drawing import draw, fills
from splineviz.drawing.pixels import CEILING
from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane

SHAPE = (13, 17)
VIEWS = {
    "whole": (-1.0, 1.0, -1.0, 1.0),
    "larger than the window": (-1.7, 1.3, -1.2, 2.0),
    "inside": (-0.3, 0.4, 0.1, 0.35),
    "a speck": (0.2, 0.2 + 1e-6, 0.1, 0.1 + 2e-6),
    "elsewhere": (3.0, 4.0, 3.0, 4.0),
}


def clipped_area(polygon: np.ndarray, column: int, row: int) -> float:
    """Exact area of a convex polygon within the pixel [column, column + 1] x [row, row + 1]: Sutherland-Hodgman."""
    for axis, sign, bound in ((0, 1, column), (0, -1, column + 1), (1, 1, row), (1, -1, row + 1)):
        kept: list[np.ndarray] = []
        for a, b in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            da, db = sign * (a[axis] - bound), sign * (b[axis] - bound)
            if da >= 0:
                kept.append(a)
            if da * db < 0:
                kept.append(a + (b - a) * da / (da - db))
        if len(kept) < 3:
            return 0.0
        polygon = np.array(kept)
    offsets = polygon - polygon[0]
    return abs(0.5 * float(np.sum(offsets[:-1, 0] * offsets[1:, 1] - offsets[:-1, 1] * offsets[1:, 0])))


def exact_cover(polygons: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """(H, W, polygons) areas, row 0 lowest."""
    cover = np.zeros((*shape, len(polygons)))
    for k, polygon in enumerate(polygons):
        low, high = np.floor(polygon.min(axis=0)).astype(int), np.ceil(polygon.max(axis=0)).astype(int)
        for row in range(max(low[1], 0), min(high[1], shape[0])):
            for column in range(max(low[0], 0), min(high[0], shape[1])):
                cover[row, column, k] = clipped_area(polygon, column, row)
    return cover


def frame_of(view: tuple[float, float, float, float], shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([view[0], view[2]]), np.array([shape[1] / (view[1] - view[0]), shape[0] / (view[3] - view[2])])


def summed_fills(partition: Partition, colors: np.ndarray, view, shape) -> np.ndarray:
    total = np.zeros((shape[0], shape[1] + 1, 4))
    raster.add_fills(total, partition.vertices, partition.edges, partition.edge_faces, colors, *frame_of(view, shape))
    raster.sum_rows(total)
    return total[:, :-1]


# ---- the raster against exact areas -------------------------------------------------------------------


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
def test_fills_are_the_area_weighted_mean_of_the_faces(view):
    partition = lines_in_square(9, seed=3)
    colors = np.random.default_rng(1).random((partition.num_regions, 3))
    origin, scale = frame_of(view, SHAPE)
    polygons = [(partition.vertices[partition.face(f)] - origin) * scale for f in range(partition.num_regions)]
    cover = exact_cover(polygons, SHAPE)
    got = summed_fills(partition, colors, view, SHAPE)
    np.testing.assert_allclose(got[..., 3], cover.sum(axis=2), atol=1e-9)
    np.testing.assert_allclose(got[..., :3], cover @ colors, atol=1e-9)


@given(st.integers(0, 10**6), st.integers(0, 12))
@settings(max_examples=25, deadline=None)
def test_fills_cover_the_window_once(seed, lines):
    partition = lines_in_square(lines, seed=seed)
    got = summed_fills(partition, np.ones((partition.num_regions, 3)), VIEWS["whole"], SHAPE)
    np.testing.assert_allclose(got, 1.0, atol=1e-9)


@pytest.mark.parametrize("width", [0.3, 1.0, 4.0])
def test_a_line_covers_its_rectangle(width):
    ends = np.array([[2.3, 1.7], [12.9, 10.1], [5.5, 3.0], [5.5, 9.25], [1.0, 6.5], [16.0, 6.5], [-4.0, 8.0], [30.0, -3.0]])
    edges = np.arange(8, dtype=np.int32).reshape(-1, 2)
    total = np.zeros((SHAPE[0], SHAPE[1] + 1, 1))
    raster.add_lines(total, ends, edges, np.full(4, width), np.ones((1, 1)), np.zeros(2), np.ones(2))
    raster.sum_rows(total)
    rectangles = []
    for a, b in ends[edges]:
        normal = np.array([-(b - a)[1], (b - a)[0]]) / np.linalg.norm(b - a) * width / 2
        rectangles.append(np.array([a - normal, b - normal, b + normal, a + normal]))
    np.testing.assert_allclose(total[:, :-1, 0], exact_cover(rectangles, SHAPE).sum(axis=2), atol=1e-9)


def test_lines_keep_their_area_however_thin():
    rng = np.random.default_rng(0)
    ends = rng.uniform(3, 37, (400, 2))
    ends[::2] = ends[1::2] + rng.normal(size=(200, 2)) * np.geomspace(1e-6, 1, 200)[:, None]
    edges = np.arange(400, dtype=np.int32).reshape(-1, 2)
    total = np.zeros((40, 41, 1))
    raster.add_lines(total, ends, edges, np.full(200, 0.01), np.ones((1, 1)), np.zeros(2), np.ones(2))
    raster.sum_rows(total)
    assert total[:, :-1].sum() == pytest.approx(0.01 * np.linalg.norm(ends[::2] - ends[1::2], axis=1).sum(), rel=1e-9)


def test_box_mean_is_the_mean_over_what_is_there():
    values = np.random.default_rng(0).random((7, 9))
    for radius in (1, 2, 10):
        got = raster.box_mean(values, radius)
        for r, c in ((0, 0), (3, 4), (6, 8), (0, 5)):
            block = values[max(r - radius, 0) : r + radius + 1, max(c - radius, 0) : c + radius + 1]
            assert got[r, c] == pytest.approx(block.mean())


# ---- pictures -----------------------------------------------------------------------------------------


def test_rows_run_from_top_to_bottom_and_columns_from_left_to_right():
    partition = lines_in_square(6, seed=1)
    colors = np.zeros((partition.num_regions, 3))
    colors[:, 0], colors[:, 1] = (partition.centroids.T + 1) / 2
    image = draw.rasterize(partition, colors, view=(-1, 1, -1, 1), shape=(20, 30), line_width=0).astype(int)
    assert image[0, :, 1].mean() > image[-1, :, 1].mean() + 50
    assert image[:, -1, 0].mean() > image[:, 0, 0].mean() + 50


def test_the_picture_does_not_depend_on_threads():
    partition = jittered_grid(40)
    colors = np.random.default_rng(0).random((partition.num_regions, 3))
    pictures = [draw.rasterize(partition, colors, view=(-1, 1, -1, 1), shape=(101, 99), threads=n) for n in (1, 2, 7)]
    assert (pictures[0] == pictures[1]).all() and (pictures[0] == pictures[2]).all()


def test_outside_the_window_is_transparent():
    partition = lines_in_square(3)
    image = draw.rasterize(partition, np.ones((partition.num_regions, 3)), view=(-2, 2, -2, 2), shape=(40, 40))
    assert (image[:9, :, 3] == 0).all() and (image[11:29, 11:29, 3] == 255).all()


def test_sparse_knots_have_their_full_width_and_crowded_ones_never_make_a_blot():
    def darkness(columns: int) -> np.ndarray:
        partition = jittered_grid(columns, jitter=0.0)
        image = draw.rasterize(partition, np.ones((columns**2, 3)), view=(-1, 1, -1, 1), shape=(200, 200))
        return 1 - image[20:-20, 20:-20, 0] / 255

    assert darkness(10).mean() == pytest.approx(2 * 10 / 200 - (10 / 200) ** 2, rel=0.12)
    means = [darkness(columns).mean() for columns in (10, 20, 40, 80, 160, 400)]
    assert (np.diff(means) > 0).all()  # the more knots, the darker
    assert means[-1] < CEILING + 0.01  # but never black
    assert darkness(4).max() > 0.95  # a lone line of one pixel is black


def test_zooming_draws_afresh():
    partition = lines_in_square(30)
    figure = Figure(figsize=(2, 2), dpi=100)
    ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    draw.regions(partition, ax=ax, line_width=0.72)
    ax.set_axis_off()
    whole = pixels(figure)
    ax.set(xlim=(0.1, 0.2), ylim=(-0.3, -0.2))
    zoomed = pixels(figure)
    colors = fills.colors(partition, "slope")[0]
    fresh = draw.rasterize(partition, colors, view=(0.1, 0.2, -0.3, -0.2), shape=(200, 200), line_width=1.0)[..., :3]
    assert np.abs(zoomed.astype(int) - fresh).max() <= 2
    assert np.abs(zoomed.astype(int) - whole).max() > 50


@pytest.mark.parametrize("zoom", [1.0, 100.0, 1e6])
def test_a_million_regions_at_any_scale_are_what_they_cover(million, zoom):
    """Pixels of pictures of 10^6 regions, from the whole down to a millionth of it, against exact areas."""
    partition, colors = million
    middle = np.linalg.norm(partition.vertices - [0.1, -0.2], axis=1).argmin()
    corner = partition.vertices[middle]  # where several regions meet
    half = 1.0 / zoom
    centre = corner if zoom > 1 else np.zeros(2)
    view = (centre[0] - half, centre[0] + half, centre[1] - half, centre[1] + half)
    shape = (200, 200)
    image = draw.rasterize(partition, colors, view=view, shape=shape, line_width=0.0)
    assert (image[..., 3] == 255).all()  # no gap
    origin, scale = frame_of(view, shape)
    rng = np.random.default_rng(0)
    low, high = _boxes(partition)
    for row, column in [(99, 99), (100, 100), *rng.integers(0, 200, (6, 2)).tolist()]:
        square = origin + np.array([column, row]) / scale, origin + np.array([column + 1, row + 1]) / scale
        near = np.flatnonzero(((low <= square[1]) & (high >= square[0])).all(axis=1))
        polygons = [(partition.vertices[partition.face(f)] - origin) * scale for f in near]
        cover = np.array([clipped_area(polygon, column, row) for polygon in polygons])
        assert abs(cover.sum() - 1.0) < 1e-6
        np.testing.assert_allclose(image[199 - row, column, :3], 255 * (cover @ colors[near]), atol=0.51)


@pytest.fixture(scope="module")
def million() -> tuple[Partition, np.ndarray]:
    partition = jittered_grid(1000)
    assert partition.num_regions == 10**6
    return partition, np.random.default_rng(2).random((partition.num_regions, 3))


def _boxes(partition: Partition) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corners (F, 2) of all regions."""
    corners, starts = partition.vertices[partition.face_vertices], partition.face_offsets[:-1]
    return np.minimum.reduceat(corners, starts), np.maximum.reduceat(corners, starts)


def test_a_picture_that_was_begun_is_the_one_that_is_drawn_but_never_of_another_partition():
    first, second = lines_in_square(12), lines_in_square(9, seed=4)
    shown = []
    for begin, then in ((None, first), (first, first), (None, second), (first, second)):
        figure = Figure(figsize=(1, 1), dpi=100)
        ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        ax.set_axis_off()
        image = draw.regions(begin or then, ax=ax, fill="class")
        if begin is not None:
            image.start()
            if then is not begin:
                image.set_partition(then, fill="class")
        shown.append(pixels(figure))
    assert (shown[0] == shown[1]).all() and (shown[2] == shown[3]).all() and (shown[0] != shown[2]).any()


def test_inverted_axes_mirror_the_picture():
    figure = Figure(figsize=(1, 1), dpi=100)
    ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    draw.regions(lines_in_square(12), ax=ax)
    ax.set_axis_off()
    plain = pixels(figure).astype(int)
    ax.invert_xaxis()
    assert np.abs(pixels(figure)[:, ::-1] - plain).mean() < 1.0
    ax.invert_yaxis()
    assert np.abs(pixels(figure)[::-1, ::-1] - plain).mean() < 1.0


def test_a_pdf_holds_the_fills_in_the_resolution_asked_for():
    figure = Figure(figsize=(1, 1))
    draw.regions(lines_in_square(5), ax=figure.add_axes((0.0, 0.0, 1.0, 1.0)))
    stream = io.BytesIO()
    figure.savefig(stream, format="pdf", dpi=250)
    assert b"/Width 250" in stream.getvalue() and b"/Height 250" in stream.getvalue()


FILLS = ["slope", "class", "margin", "layer", "area", "random", "hash"]


def panel(fill: object = "slope", **options: object) -> Figure:
    figure = Figure(figsize=(2.4, 2.4), dpi=100)
    ax = figure.add_axes((0.02, 0.02, 0.96, 0.96))
    partition = replace(lines_in_square(25, seed=5), unit_offsets=np.array([0, 8, 16, 25]))  # three layers
    draw.regions(partition, ax=ax, fill=fill, **options)
    ax.set(xticks=[], yticks=[])
    return figure


@pytest.mark.parametrize("fill", FILLS)
def test_golden_fills(fill):
    compare(f"fill-{fill}", pixels(panel(fill)))


def test_golden_knots_by_layer():
    options = {"edge_color": "layer", "line_width": 1.2}
    compare("knots-layer", pixels(panel("margin", **options)))
    same = pixels(panel("margin", vector=True, **options)).astype(float)
    assert np.sqrt(((pixels(panel("margin", **options)) - same) ** 2).mean()) < 14


def test_a_knot_has_the_ink_of_its_layer():
    partition = jittered_grid(2, jitter=0.0)
    inks = np.tile([[0.0, 0.0, 1.0]], (len(partition.edges), 1))
    image = draw.rasterize(partition, np.ones((4, 3)), view=(-1, 1, -1, 1), shape=(40, 40), line_width=2, line_color=inks)
    assert image[5, 20, :2].max() < 8 and image[5, 20, 2] == 255
    plain = draw.rasterize(partition, np.ones((4, 3)), view=(-1, 1, -1, 1), shape=(40, 40), line_width=2, line_color="blue")
    assert (image == plain).all()


def test_pixels_and_vectors_show_the_same():
    raster_picture, vector_picture = pixels(panel("class")).astype(float), pixels(panel("class", vector=True))
    assert np.sqrt(((raster_picture - vector_picture) ** 2).mean()) < 12  # lines differ in their edges only
    assert np.sqrt(((raster_picture - vector_picture[::-1]) ** 2).mean()) > 30


def test_golden_values_with_gaps_and_vectors():
    values = lines_in_square(25, seed=5).centroids[:, 0].copy()
    values[::7] = np.nan
    compare("fill-values", pixels(panel(values, cmap="coolwarm", limits=(-1.0, 1.0))))
    compare("vector", pixels(panel("class", vector=True)))


def test_golden_crowd():
    figure = Figure(figsize=(3, 3), dpi=100)
    ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    partition = jittered_grid(120, crowd=0.9)
    draw.regions(partition, ax=ax)
    draw.boundary(partition, ax=ax)
    draw.anchors(partition.plane, ax=ax, thumbnails=[np.eye(8), np.tri(8), None], labels=["a", "b", "c"], size=30)
    ax.set(xticks=[], yticks=[])
    compare("crowd", pixels(figure))


def test_the_comparison_of_pictures_can_fail(tmp_path: Path):
    picture = np.full((20, 20, 3), 200, dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "grey.png")
    if "SPLINEVIZ_REFRESH_GOLDEN" in os.environ:
        pytest.skip("golden images are being refreshed")
    compare("grey", picture, golden=tmp_path)
    with pytest.raises(AssertionError, match="differ by"):
        compare("grey", picture - 40, golden=tmp_path)
    assert {p.name for p in (tmp_path / "failed").iterdir()} == {"grey-got.png", "grey-expected.png", "grey-diff.png"}
    with pytest.raises(AssertionError, match="missing"):
        compare("none", picture, golden=tmp_path)


# ---- scales and doors ---------------------------------------------------------------------------------


def test_the_artist_has_the_scale_of_the_fill():
    figure = Figure()
    image = draw.regions(lines_in_square(5), ax=figure.add_subplot(), limits=(0.5, 4.0))
    assert (image.norm.vmin, image.norm.vmax) == (0.5, 4.0)
    figure.colorbar(image)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fill": "colour"}, "expected 'slope', 'class', .*, 'active', 'lc', 'hash', 'random', 'none' or an array"),
        ({"fill": np.ones(3)}, "expected one value per region"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        draw.regions(lines_in_square(5), ax=Figure().add_subplot(), **options)


def test_many_regions_are_no_vectors():
    with pytest.raises(ValueError, match="at most 20000 regions, got 22500"):
        draw.regions(jittered_grid(150), ax=Figure().add_subplot(), vector=True)
    assert isinstance(draw.regions(lines_in_square(5), ax=Figure().add_subplot(), vector=True), PolyCollection)


def test_boundary_takes_segments_and_refuses_others():
    ax = Figure().add_subplot()
    assert len(draw.boundary(np.zeros((3, 2, 2)), ax=ax).get_segments()) == 3
    assert len(draw.boundary(np.empty((0, 2, 2)), ax=ax).get_segments()) == 0
    with pytest.raises(ValueError, match="pairs of plane coordinates"):
        draw.boundary(np.zeros((3, 2)), ax=ax)


# ---- anchors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((28, 28), (28, 28)),
        ((1, 28, 28), (28, 28)),
        ((784,), (28, 28)),
        ((64,), (8, 8)),
        ((3, 8, 8), (8, 8, 3)),
        ((8, 8, 3), (8, 8, 3)),
        ((3072,), (32, 32, 3)),
        ((2,), None),
        ((4,), None),
        ((10,), None),
    ],
)
def test_thumbnail_shapes(shape, expected):
    image = draw.thumbnail(np.arange(np.prod(shape), dtype=float).reshape(shape))
    assert (None if image is None else image.shape) == expected
    if image is not None:
        assert image.min() == 0 and image.max() == 1


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=3, max_size=3))
@settings(max_examples=40, deadline=None)
def test_thumbnails_stay_inside_and_apart(points):
    figure = Figure(figsize=(5, 5), dpi=100)
    FigureCanvasAgg(figure)
    ax = figure.add_axes((0.05, 0.05, 0.9, 0.9))
    ax.set(xlim=(-1, 1), ylim=(-1, 1), aspect="equal")
    plane = Plane(np.zeros(2), np.eye(2), np.array(points))
    stars = draw.anchors(plane, ax=ax, thumbnails=[np.eye(8)] * 3)
    figure.draw_without_rendering()  # places the boxes
    boxes = [a.patch.get_window_extent() for a in ax.get_children() if isinstance(a, AnnotationBbox)]
    centres = ax.transData.transform(stars.get_offsets())
    assert len(boxes) == 3
    for i, box in enumerate(boxes):
        assert (ax.bbox.min - 1 <= box.min).all() and (box.max <= ax.bbox.max + 1).all()
        assert not any(box.contains(*centre) for centre in centres)
        for other in boxes[:i]:
            assert min(box.x1, other.x1) - max(box.x0, other.x0) <= 1 or min(box.y1, other.y1) - max(box.y0, other.y0) <= 1


def test_anchors_outside_the_view_are_left_out():
    ax = Figure(figsize=(4, 4)).add_subplot()
    ax.set(xlim=(0, 1), ylim=(0, 1))
    plane = Plane(np.zeros(2), np.eye(2), np.array([[0.5, 0.5], [2.0, 0.5], [0.5, -1.0]]))
    stars = draw.anchors(plane, ax=ax, thumbnails=[np.eye(8)] * 3, labels=["a", "b", "c"])
    assert len(stars.get_offsets()) == 1
    assert sum(isinstance(a, AnnotationBbox) for a in ax.get_children()) == 1
    with pytest.raises(ValueError, match="one for each of the 3 anchors, got 2"):
        draw.anchors(plane, ax=ax, labels=["a", "b"])


def test_a_boundary_alone_on_fresh_axes_shows_the_window():
    partition = lines_in_square(8)
    figure = Figure()
    ax = figure.add_subplot()
    lines = draw.boundary(partition, ax=ax)
    low, high = partition.window.min(axis=0), partition.window.max(axis=0)
    np.testing.assert_allclose([ax.get_xlim(), ax.get_ylim()], np.transpose([low, high]))
    assert len(lines.get_segments()) > 0
    kept = figure.add_subplot()
    kept.set(xlim=(-9, 9), ylim=(-9, 9))
    draw.boundary(partition, ax=kept)
    assert kept.get_xlim() == (-9, 9), "limits that were set stay"


def test_a_boundary_lies_over_the_samples_and_under_the_stars():
    figure = Figure()
    ax = figure.add_subplot()
    partition = lines_in_square(8)
    line = draw.boundary(partition, ax=ax)
    stars = draw.anchors(partition.plane, ax=ax, thumbnails=[np.eye(8)] * len(partition.plane.anchors_uv))
    boxes = [artist.zorder for artist in ax.artists if type(artist).__name__ == "AnnotationBbox"]
    assert all(box < line.zorder < stars.zorder for box in boxes)


def test_thumbnails_keep_off_what_they_are_told_to_avoid():
    """A line through the place that would be taken: with it in the way the picture stands elsewhere."""
    figure = Figure(figsize=(3, 3), dpi=72)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, 216), ylim=(0, 216))
    plane = Plane(np.zeros(2), np.eye(2), np.array([[108.0, 108.0]]))

    def middle(avoid):
        before = set(ax.get_children())
        draw.anchors(plane, ax=ax, thumbnails=[np.eye(8)], star=10.0, size=30.0, avoid=avoid)
        (box,) = [a for a in ax.get_children() if a not in before and type(a).__name__ == "AnnotationBbox"]
        return np.array([108.0, 108.0]) + box.xyann

    free = middle(None)
    line = np.array([[free - [300, 0.5], free + [300, 0.5]]])
    moved = middle(line)
    assert abs(moved[1] - free[1]) > 15


@pytest.mark.parametrize("vector", [False, True])
def test_no_knots_and_no_fill(vector):
    figure = Figure(figsize=(1.5, 1.5), dpi=60)
    ax = figure.add_axes((0, 0, 1, 1))
    draw.regions(lines_in_square(8), ax=ax, fill="none", edge_color="none", vector=vector)
    ax.set_axis_off()
    assert (pixels(figure) == 255).all()


def test_a_pixel_has_the_class_of_its_point():
    """The picture itself, pixel by pixel, against the network's outputs: the boundary crosses regions."""
    partition = lines_in_square(6)
    colors = draw.colors(partition, "class")[0]
    low, high = partition.window.min(axis=0), partition.window.max(axis=0)
    side = 120
    image = draw.rasterize(partition, colors, view=(low[0], high[0], low[1], high[1]), shape=(side, side), line_width=0)
    parts = partition.classes()
    assert len(parts.extra) > 1
    shares = [np.abs(image[..., :3] - 255 * np.array(c)).max(axis=2) < 2 for c in np.unique(colors, axis=0)]
    seen = sorted(float(mask.mean()) for mask in shares)
    np.testing.assert_allclose(seen, sorted(share for share in parts.shares.tolist() if share > 0), atol=0.03)


def boxes_of(figure: Figure, ax) -> list:
    figure.draw_without_rendering()  # places the boxes
    return [a.patch.get_window_extent() for a in ax.get_children() if isinstance(a, AnnotationBbox)]


@pytest.mark.parametrize("inches", [0.8, 1.3, 2.0, 4.0])
@pytest.mark.parametrize("seed", range(6))
def test_a_thumbnail_never_covers_the_boundary_however_small_the_axes(inches, seed):
    rng = np.random.default_rng(seed)
    figure = Figure(figsize=(inches, inches), dpi=100)
    FigureCanvasAgg(figure)
    ax = figure.add_axes((0.02, 0.02, 0.96, 0.96))
    ax.set(xlim=(-1, 1), ylim=(-1, 1), aspect="equal")
    plane = Plane(np.zeros(2), np.eye(2), rng.uniform(-0.8, 0.8, (3, 2)))
    lines = rng.uniform(-1.5, 1.5, (6, 2, 2))
    stars = draw.anchors(plane, ax=ax, thumbnails=[np.eye(8)] * 3, avoid=lines)
    shown = np.concatenate([start + (end - start) * np.linspace(0, 1, 2000)[:, None] for start, end in lines])
    points, centres = ax.transData.transform(shown), ax.transData.transform(stars.get_offsets())
    boxes = boxes_of(figure, ax)
    for box in boxes:
        assert not ((points > box.min + 0.5) & (points < box.max - 0.5)).all(axis=1).any()
        assert not any(box.contains(*centre) for centre in centres)
    assert boxes or inches < 2.0, "where there is room there are pictures"


@pytest.mark.parametrize("pictures", [True, False])
@pytest.mark.parametrize("inches", [1.0, 2.5])
def test_labels_fit(pictures, inches):
    figure = Figure(figsize=(inches, inches), dpi=100)
    FigureCanvasAgg(figure)
    ax = figure.add_axes((0.02, 0.02, 0.96, 0.96))
    ax.set(xlim=(-1, 1), ylim=(-1, 1), aspect="equal", xticks=[], yticks=[])
    plane = Plane(np.zeros(2), np.eye(2), np.array([[0.9, 0.9], [-0.9, 0.1], [0.85, -0.9]]))
    names = ["automobile", "dog", "a ship"]
    draw.anchors(plane, ax=ax, thumbnails=[np.eye(8)] * 3 if pictures else (), labels=names, star=12.0, size=36.0)
    boxes = boxes_of(figure, ax)
    assert len(boxes) == (3 if pictures else 0)
    texts = [text for text in ax.texts if text.get_text() in names]
    assert len(texts) == 3
    places = [text.get_window_extent() for text in texts]
    for box in places:
        assert (ax.bbox.min - 1 <= box.min).all() and (box.max <= ax.bbox.max + 1).all()
        within = [frame.x0 - 1 <= box.x0 and box.x1 <= frame.x1 + 1 for frame in boxes if frame.overlaps(box)]
        assert not pictures or inches < 2.0 or (within and all(within)), "a label on a picture is no wider than it"
    for one, other in zip(places, places[1:] + places[:1], strict=True):
        assert (pictures and inches < 2.0) or not one.overlaps(other)


def test_an_inset_is_drawn_afresh_where_it_says():
    partition = lines_in_square(12)
    ax = Figure(figsize=(4, 4)).add_subplot()
    draw.regions(partition, ax=ax)
    inner = draw.inset(partition, 0.3, -0.2, 0.1, ax=ax)
    assert inner.get_xlim() == pytest.approx((0.2, 0.4)) and inner.get_ylim() == pytest.approx((-0.3, -0.1))
    assert any(isinstance(image, draw.PartitionImage) for image in inner.images)
    assert ax.get_xlim() == (-1.0, 1.0), "the axes stay as they are"
    with pytest.raises(ValueError, match="a square inside the window"):
        draw.inset(partition, 0.95, 0.0, 0.1, ax=ax)
