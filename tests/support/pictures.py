"""Golden images: small PNGs that a person looked at once, compared with what the code draws now.

Set SPLINEVIZ_REFRESH_GOLDEN=1 to write them anew (and look at them). On a failure got, expected and difference are
written to tests/golden/failed/. Fonts and rasterisers differ a little between versions of matplotlib and freetype, so
pictures are compared by the root mean square of their difference.
"""

from __future__ import annotations

import io
import itertools
import os
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

GOLDEN = Path(__file__).parents[1] / "golden"
TOLERANCE = 6.0 if matplotlib.__version_info__ >= (3, 11) else 30.0
"""Largest root mean square difference, of 255. Older matplotlib sets text in another way, which moves what is beside it."""


def pixels(figure: Figure) -> np.ndarray:
    """The picture (H, W, 3) of a figure."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", facecolor="white")
    return np.asarray(Image.open(stream).convert("RGB"))


def compare(name: str, got: np.ndarray, *, golden: Path = GOLDEN, tolerance: float = TOLERANCE) -> None:
    """Assert that a picture (H, W, 3) is the golden one of that name."""
    path = golden / f"{name}.png"
    if os.environ.get("SPLINEVIZ_REFRESH_GOLDEN") == "1":
        golden.mkdir(exist_ok=True)
        Image.fromarray(got).save(path, optimize=True)
        return
    assert path.exists(), f"{path} is missing; run with SPLINEVIZ_REFRESH_GOLDEN=1 and look at it"
    expected = np.asarray(Image.open(path).convert("RGB"))
    same_shape = got.shape == expected.shape
    difference = got.astype(float) - expected if same_shape else np.full(got.shape, 255.0)
    rms = float(np.sqrt((difference**2).mean()))
    if rms > tolerance:
        failed = golden / "failed"
        failed.mkdir(exist_ok=True)
        for kind, picture in (("got", got), ("expected", expected), ("diff", np.abs(difference).astype(np.uint8))):
            Image.fromarray(picture).save(failed / f"{name}-{kind}.png")
        raise AssertionError(f"{name}: pictures differ by {rms:.1f} of 255 (at most {tolerance}); see {failed}")


def visible_texts(figure: Figure) -> list[Text]:
    figure.draw_without_rendering()
    # Axes keep ticks beyond their limits; those have texts that are not drawn.
    hidden: set[Text] = set()
    for axis in itertools.chain.from_iterable((ax.xaxis, ax.yaxis) for ax in figure.axes):
        drawn = axis._update_ticks()
        hidden |= {label for tick in axis.get_major_ticks() if tick not in drawn for label in (tick.label1, tick.label2)}
    return [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and t not in hidden]


def assert_nothing_collides(figure: Figure) -> None:
    """No text is cut off, covers another one, or reaches over the edge of an Axes: panel, colour bar, map."""
    found = visible_texts(figure)
    boxes = [(text.get_text(), text.get_window_extent()) for text in found]
    width, height = figure.bbox.width, figure.bbox.height
    for name, box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, f"{name!r} is cut off: {box}"
    for (a, first), (b, second) in itertools.combinations(boxes, 2):
        apart = min(first.x1, second.x1) <= max(first.x0, second.x0) or min(first.y1, second.y1) <= max(first.y0, second.y0)
        assert apart, f"{a!r} and {b!r} overlap"
    frames = [(ax, ax.get_window_extent()) for ax in figure.axes]
    for (name, box), text in zip(boxes, found, strict=True):
        for ax, frame in frames:
            apart = min(box.x1, frame.x1) <= max(box.x0, frame.x0) or min(box.y1, frame.y1) <= max(box.y0, frame.y0)
            inside = text.axes is ax and frame.contains(box.x0, box.y0) and frame.contains(box.x1, box.y1)
            assert apart or inside, f"{name!r} reaches over the edge of the Axes at {frame.bounds}"
