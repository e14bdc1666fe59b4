"""Paper figures: exact places, text that stays text, vectors and pictures where they belong, small files."""

from __future__ import annotations

import io
import itertools
import re
import zlib
from dataclasses import replace

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from arrangement import jittered_grid, lines_in_square
from matplotlib.collections import PathCollection
from matplotlib.lines import Line2D
from matplotlib.text import Text
from pictures import compare, pixels
from PIL import Image

import splineviz as sv
from splineviz.drawing import draw, fills, print_figure

THUMBNAILS = [np.eye(8)] * 3


def layered(lines: int, seed: int = 5):
    cuts = np.linspace(0, lines, 4).astype(int)
    return replace(lines_in_square(lines, seed=seed), unit_offsets=cuts)


def shown_texts(figure: print_figure.Paper) -> list[tuple[str, object]]:
    figure.draw_without_rendering()
    return [(t.get_text(), t.get_window_extent()) for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]


def is_scale_bar(artist: object) -> bool:
    return isinstance(artist, Line2D) and artist.get_linewidth() == 1.6


def written(figure: print_figure.Paper, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, **options)
    return stream.getvalue()


def streams(pdf: bytes) -> bytes:
    """The page content and whatever else is readable in a PDF's compressed streams."""
    found = []
    for part in re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL):
        try:
            found.append(zlib.decompress(part))
        except zlib.error:
            continue
    return b"\n".join(found)


def assert_texts_stand_apart(figure: print_figure.Paper) -> None:
    boxes = shown_texts(figure)
    for name, box in boxes:
        within = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= figure.bbox.width + 1 and box.y1 <= figure.bbox.height + 1
        assert within, f"{name!r} is cut off: {box}"
    for (a, first), (b, second) in itertools.combinations(boxes, 2):
        apart = min(first.x1, second.x1) <= max(first.x0, second.x0) or min(first.y1, second.y1) <= max(first.y0, second.y0)
        assert apart, f"{a!r} and {b!r} overlap"


@pytest.mark.parametrize("style", print_figure.STYLES)
@pytest.mark.parametrize("fill", ["slope", "class", "margin", "layer", "hash"])
@pytest.mark.parametrize(("count", "width"), [(1, "column"), (2, "double"), (5, "double")])
def test_nothing_is_cut_off_or_covered(style, fill, count, width):
    partitions = [layered(6 + k) for k in range(count)]
    titles = [f"step {10**k:,}" for k in range(count)]
    figure = print_figure.figure(partitions, titles=titles, zooms=[(0.1, 0.1, 0.2)], style=style, fill=fill, width=width)
    assert_texts_stand_apart(figure)


PARTITIONS = [layered(6 + k) for k in range(4)]
VALUES = [np.linspace(-0.0123, 12345.678, partition.num_regions) for partition in PARTITIONS]


@pytest.mark.parametrize("width", ["column", "double", 7.2])
@pytest.mark.parametrize("across", [1, 2, 3, 4])
def test_texts_stand_apart_however_wide_and_many(across, width):
    styles = ("sans", "serif") if width == "column" else ("slides", "sans")
    two = [(0.1, 0.1, 0.2), (0.1, 0.1, 0.03)]
    for fill, style, zooms in (("margin", styles[0], []), (VALUES, styles[1], two), ("hash", styles[0], two[:1])):
        figure = print_figure.figure(
            PARTITIONS, titles=[f"step {10**k:,}" for k in range(4)], across=across, width=width, fill=fill, zooms=zooms,
            style=style, classes=["rather long", "b", "c"], boundary=False,
        )  # fmt: skip
        assert_texts_stand_apart(figure)
    assert_texts_stand_apart(print_figure.figure(layered(12), layers=True, across=across, width=width, fill="layer"))


def test_a_text_without_room_is_refused_and_says_what_to_do():
    with pytest.raises(ValueError, match="room for .* in 4.5 points or more, got room for .*; take fewer panels a row"):
        print_figure.figure([layered(5)] * 4, titles=["a rather long title of a panel"] * 4, across=4, width="column")
    with pytest.raises(ValueError, match="1 panel a row or more, got 0"):
        print_figure.figure(layered(5), across=0)


def test_several_arrays_share_a_scale():
    figure = print_figure.figure(PARTITIONS, fill=VALUES, fill_label="active units", vector=False)
    norms = {(a.norm.vmin, a.norm.vmax) for ax in figure.axes for a in ax.get_images() if isinstance(a, draw.PartitionImage)}
    assert norms == {fills.shared_limits(PARTITIONS, fill=VALUES)} and "active units" in dict(shown_texts(figure))
    with pytest.raises(ValueError, match="an array for each of the 4 panels, got 3"):
        print_figure.figure(PARTITIONS, fill=VALUES[:3])


def test_panels_are_equal_aligned_and_as_wide_as_the_column():
    figure = print_figure.figure([layered(5), layered(7), layered(9)], width="double", zooms=[(0, 0, 0.3)])
    assert figure.get_figwidth() == 6.75
    squares = [ax.get_window_extent() for ax in figure.axes if ax.get_images() or ax.collections]
    panels, zooms = squares[0:6:2], squares[1:6:2]
    for row in (panels, zooms):
        assert {(round(box.width, 6), round(box.height, 6), round(box.y0, 6)) for box in row} == {
            (round(row[0].width, 6), round(row[0].width, 6), round(row[0].y0, 6))
        }
    assert panels[0].width == pytest.approx(zooms[0].width)
    assert panels[1].x0 > panels[0].x1


def test_rows_are_balanced():
    assert [print_figure._balanced(n) for n in (1, 3, 4, 5, 6, 7, 8, 9)] == [1, 3, 4, 3, 3, 4, 4, 3]


def test_all_panels_share_one_scale():
    partitions = [layered(5), layered(30)]
    figure = print_figure.figure(partitions, vector=False)
    norms = {(a.norm.vmin, a.norm.vmax) for ax in figure.axes for a in ax.get_images() if isinstance(a, draw.PartitionImage)}
    assert norms == {draw.shared_limits(partitions)}


def test_a_scale_bar_has_the_length_that_it_says():
    figure = print_figure.figure(layered(5), zooms=[(0.2, 0.1, 0.013)])
    panel, zoom = figure.axes[:2]
    numbers = [t.get_text() for t in figure.texts if re.fullmatch(r"[\d.e-]+", t.get_text())]
    assert numbers == ["0.5", "0.005"]
    for ax, line, number in zip((panel, zoom), figure.findobj(is_scale_bar), numbers, strict=True):
        pixels_long = np.ptp(line.get_xdata()) * figure.bbox.width
        per_length = ax.get_window_extent().width / np.ptp(ax.get_xlim())
        assert pixels_long / per_length == pytest.approx(float(number))


def test_zooms_are_framed_where_they_lie_and_drawn_afresh():
    figure = print_figure.figure(layered(12), zooms=[(0.1, -0.2, 0.3), (0.2, -0.1, 0.05)])
    panel, first, second = figure.axes[:3]
    frames = [(p.get_x(), p.get_y(), p.get_width()) for p in panel.patches if isinstance(p, matplotlib.patches.Rectangle)]
    np.testing.assert_allclose(frames, [(-0.2, -0.5, 0.6), (0.15, -0.15, 0.1)])
    assert len([p for p in first.patches if isinstance(p, matplotlib.patches.Rectangle)]) == 1  # the second lies in it
    assert first.get_xlim() == pytest.approx((-0.2, 0.4)) and second.get_ylim() == pytest.approx((-0.15, -0.05))


def test_a_zoom_too_small_to_be_seen_is_marked_all_the_same():
    figure = print_figure.figure(layered(12), zooms=[(0.1, -0.2, 0.02), (0.1, -0.2, 1e-6)], width=4.0)
    for ax, side in zip(figure.axes[:2], (figure.axes[0].bbox.width, figure.axes[1].bbox.width), strict=True):
        last = [p for p in ax.patches if isinstance(p, matplotlib.patches.Rectangle)][-1]
        points = last.get_width() / np.ptp(ax.get_xlim()) * side / figure.dpi * 72
        assert points == pytest.approx(print_figure.LEAST_FRAME)
        assert (last.get_x() + last.get_width() / 2, last.get_y() + last.get_height() / 2) == pytest.approx((0.1, -0.2))


def test_a_small_partition_is_vector_all_through():
    small, large = layered(8), jittered_grid(50)
    options = {"anchors": False}
    assert written(print_figure.figure(small, fill="hash", **options), "pdf").count(b"/Subtype /Image") == 0
    assert written(print_figure.figure(large, fill="hash", **options), "pdf").count(b"/Subtype /Image") >= 1
    assert written(print_figure.figure(large, fill="hash", vector=True, **options), "pdf").count(b"/Subtype /Image") == 0


def test_pictures_in_a_pdf_have_the_resolution_asked_for():
    figure = print_figure.figure(jittered_grid(50), fill="hash", anchors=False, width=3.0)
    side = figure.axes[0].get_position().width * 3.0
    for dpi in (150, 300):
        widths = [int(w) for w in re.findall(rb"/Width (\d+)", written(figure, "pdf", dpi=dpi))]
        assert any(0 <= w - side * dpi <= 2 * dpi / 72 for w in widths)  # whole points


def test_two_columns_of_fifty_thousand_regions_are_small_and_their_text_is_text():
    partition = jittered_grid(224, crowd=0.7)
    assert partition.num_regions > 50_000
    options = {"titles": ["step 30,000"], "zooms": [(0.3, 0.3, 0.1), (0.3, 0.3, 0.01)], "thumbnails": THUMBNAILS}
    pdf = written(print_figure.figure(partition, width="double", **options), "pdf")
    assert len(pdf) < 2_000_000
    assert b"/Type42" in pdf or b"/CIDFontType2" in pdf  # TrueType, not outlines
    assert b"/Type3" not in pdf
    content = streams(pdf)
    assert b"BT" in content and (b"Tj" in content or b"TJ" in content)
    said = b"".join(re.findall(rb"\(((?:[^()\\]|\\.)*)\)", content))  # kerning splits texts: [(re) 10 (gions)] TJ
    for text in ("step 30,000", "50,176 regions", "slope norm"):
        assert text.encode() in said.replace(b"\0", b"")  # two bytes a sign, or one
    svg = written(print_figure.figure(partition, width="column", titles=["step 30,000"]), "svg").decode()
    assert ">step 30,000</text>" in svg and ">50,176 regions</text>" in svg
    assert svg.count("<image") >= 1 and svg.count("<path") < 2_000  # the boundary's lines, not 50,000 polygons


def test_fewer_colors_stay_near_and_keep_transparency():
    partition = jittered_grid(60, crowd=0.8)
    colors = fills.colors(partition, "slope")[0]
    image = draw.rasterize(partition, colors, view=(-1.2, 1, -1, 1), shape=(300, 330))
    few = draw.few_colors(image)
    assert len(np.unique(few[..., :3].reshape(-1, 3), axis=0)) <= 250
    assert (few[..., 3] == image[..., 3]).all()
    gap = np.abs(few.astype(int) - image)[..., :3]
    assert np.sqrt((gap**2).mean()) < 5 and np.quantile(gap, 0.999) < 24


def test_a_png_has_all_its_colors():
    figure = print_figure.figure(jittered_grid(50), fill="hash", anchors=False, width=3.0)
    assert len(np.unique(pixels(figure).reshape(-1, 3), axis=0)) > 1_000


def test_layers_side_by_side():
    partition = replace(layered(12), layer_paths=())
    figure = print_figure.figure(partition, layers=True, vector=False)
    titles = [ax.get_title(loc="left") for ax in figure.axes[:3]]
    assert titles == ["layer 0", "layer 1", "layer 2"], "as Python counts"
    named = replace(partition, layer_paths=("1", "3", "a.very.long.path.of.modules.in.a.network.that.has.no.end"))
    for width, ending in (("double", " · …rk.that.has.no.end"), ("column", ""), (2.2, "")):
        titles = [ax.get_title(loc="left") for ax in print_figure.figure(named, layers=True, width=width).axes[:3]]
        rest = (" · 1", " · 3", ending) if ending else ("", "", "")  # where there is room
        assert titles == [f"layer {k}{path}" for k, path in enumerate(rest)]
    said = [name for name, _ in shown_texts(figure) if "unit" in name]
    assert said == ["4 units"] * 3
    with pytest.raises(ValueError, match="one partition to take apart, got 2"):
        print_figure.figure([partition, partition], layers=True)


def test_golden_paper():
    figure = print_figure.figure(
        [layered(10), layered(25)], titles=["step 10", "step 10,000"], zooms=[(-0.05, 0.0, 0.25), (-0.06, -0.02, 0.06)],
        thumbnails=THUMBNAILS, style="serif",
    )  # fmt: skip
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    compare("paper", np.asarray(Image.open(stream).convert("RGB")))


def test_golden_column():
    figure = print_figure.figure(
        [layered(10), layered(25)], titles=["step 10", "step 10,000"], width="column", fill="lc", cmap="cividis",
        labels=["a", "b", "c"], zooms=[(-0.05, 0.0, 0.2)],
    )  # fmt: skip
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    compare("paper-column", np.asarray(Image.open(stream).convert("RGB")))


def test_golden_layers():
    partition = replace(layered(18), layer_paths=("1", "3", "encoder.5"))
    figure = print_figure.figure(partition, layers=True, fill="margin", edge_color="layer", classes=["cat", "dog", "bee"])
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    compare("paper-layers", np.asarray(Image.open(stream).convert("RGB")))


def test_round_lengths():
    assert [print_figure.round_length(x) for x in (1.0, 4.9, 5.0, 0.021, 999)] == pytest.approx([1, 2, 5, 0.02, 500])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"titles": ["a", "b"]}, "one for each of the 1 panels, got 2"),
        ({"width": "page"}, "'column', 'double' or inches, got 'page'"),
        ({"width": 0.1}, "1 to 60 inches, got 0.1"),
        ({"style": "comic"}, "one of 'sans', 'serif', 'slides' or rcParams, got 'comic'"),
        ({"zooms": [(0, 0, 0)]}, "a positive half-width, got"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        sv.figure(lines_in_square(3), **options)
    with pytest.raises(ValueError, match="at least one, got none"):
        sv.figure([])


def test_what_is_zero_has_a_swatch_of_its_own():
    one = layered(12)
    flat = replace(one, outputs=np.zeros_like(one.outputs))

    def zeros(partitions) -> list:
        figure = print_figure.figure(partitions, anchors=False)
        figure.draw_without_rendering()
        return [text.get_text().strip() for text in figure.axes[-1].texts]

    assert zeros([one, flat]) == ["0"] and zeros(one) == []


def test_a_zoom_shows_the_stars_that_lie_in_it():
    partition = layered(12)
    u, v = partition.plane.anchors_uv[0]
    low, high = partition.window.min(axis=0), partition.window.max(axis=0)
    half = 0.9 * min(u - low[0], high[0] - u, v - low[1], high[1] - v)
    zoom = print_figure.figure(partition, zooms=[(u, v, half)]).axes[1]
    assert [u, v] in np.concatenate([np.asarray(made.get_offsets()) for made in zoom.collections
                                     if isinstance(made, PathCollection)]).tolist()  # fmt: skip
