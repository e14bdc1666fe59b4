r"""The anchors on an Axes: a white star at each, and its sample beside it as a small picture.

        +-----------------------+
        |  +----+               |     A thumbnail stands beside its star, on the side away from the other anchors
        |  |  2 |               |     where there is room: inside the axes, on no star, on no other thumbnail.
        |  +----+               |     Far ones are joined to their star by a line; where nothing fits, all shrink.
        |        *       +----+ |
        |              * |  7 | |     A label stands in the corner of its thumbnail, as small as it must be to fit, or
        |                +----+ |     beside its star.
        +-----------------------+

Anchors outside the axes are left out together with their thumbnails. Samples that are no pictures (points of a
plane, rows of a table) have no thumbnail, nor has one that would cover a star, another one or what it is to keep off even
at LEAST. Lengths are points (1/72 inch), so places hold for any resolution.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot, rcParams
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.font_manager import FontProperties
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.patheffects import withStroke

from splineviz.drawing.print_layout import SMALLEST, wide
from splineviz.errors import DataError, FloatArray, to_float_array
from splineviz.geometry.plane import Plane

STAR: Any = {"marker": "*", "color": "white", "edgecolor": "black"}
"""An anchor, in every picture."""

LEAST = 9.0
"""Side of the smallest thumbnail, in points: one that finds no room is left out."""

REACHES = (1.0, 1.7, 2.6, 4.0, 6.0)
"""How far from its star a thumbnail may stand, in its own size."""


def thumbnail(x: Any) -> FloatArray | None:
    """One sample as a picture: (h, w) grey or (h, w, 3) colours, scaled to [0, 1]; None if it is no picture.

    x: (h, w), (1, h, w), (3, h, w), (h, w, 3), or flat: a square number of at least 16 values,
    or three times one, of at least 192.
    """
    image = np.squeeze(to_float_array(x, "sample"))
    side = int(round(image.size**0.5))
    if image.ndim == 1 and side >= 4 and side * side == image.size:
        image = image.reshape(side, side)
    elif image.ndim == 1 and image.size >= 192:
        side = int(round((image.size / 3) ** 0.5))
        image = image.reshape(3, side, side) if 3 * side * side == image.size else image
    if image.ndim == 3 and image.shape[0] == 3 and image.shape[2] != 3:
        image = np.moveaxis(image, 0, 2)
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3) or min(image.shape[:2]) < 2:
        return None
    low, high = float(image.min()), float(image.max())
    return (image - low) / (high - low if high > low else 1.0)


def _framed(picture: Any, anchor: FloatArray, offset: FloatArray, size: float) -> AnnotationBbox:
    """A sample's picture in a frame, so many points from its anchor, tied to it where it is far."""
    image = OffsetImage(picture, zoom=size / picture.shape[0], cmap="gray", interpolation="nearest")
    far = np.abs(offset).max() > size
    return AnnotationBbox(
        image, tuple(anchor), xybox=tuple(offset), boxcoords="offset points", pad=0.12, zorder=4.5,
        bboxprops={"edgecolor": "black", "facecolor": "white", "linewidth": min(size / 62.0, 1.0)},
        arrowprops={"arrowstyle": "-", "color": "white", "linewidth": 1.5} if far else None,
    )  # fmt: skip


def anchors(
    plane: Plane,
    *,
    ax: Axes | None = None,
    thumbnails: Sequence[Any] = (),
    labels: Sequence[str] = (),
    star: float = 21.0,
    size: float = 62.0,
    avoid: Any = None,
) -> PathCollection:
    """Draw a white star at each anchor, its sample beside it, and return the stars.

    thumbnails: the samples, as `thumbnail` takes them, one an anchor (None: no picture for that one).
    labels: a short text an anchor. star, size: of a star and of a thumbnail, in points.
    avoid: (M, 2, 2) segments, such as a decision boundary, that no thumbnail should cover.
    Thumbnails stay inside the axes and cover neither a star, nor each other, nor what they are to avoid: they shrink where
    there is no room, and one that finds none at LEAST points is left out. So do labels, down to SMALLEST points.
    Set the axes' limits first: places are chosen for the view as it is.
    """
    if not hasattr(plane, "anchors_uv"):
        raise DataError(f"anchors: expected a Plane, such as Plane.through(x0, x1, x2), got {type(plane).__name__}.")
    ax = pyplot.gca() if ax is None else ax
    count = len(plane.anchors_uv)
    for name, given in (("thumbnails", thumbnails), ("labels", labels)):
        if len(given) not in (0, count):
            raise ValueError(f"{name}: expected one for each of the {count} anchors, got {len(given)}.")
    ax.apply_aspect()
    figure = ax.get_figure(root=True)
    assert figure is not None
    scale = 72.0 / figure.dpi
    points = ax.transData.transform(plane.anchors_uv.reshape(-1, 2)) * scale
    frame = np.array([[ax.bbox.x0, ax.bbox.y0], [ax.bbox.x1, ax.bbox.y1]]) * scale
    shown = ((points >= frame[0]) & (points <= frame[1])).all(axis=1)
    uv = plane.anchors_uv[shown]
    stars = ax.scatter(
        uv[:, 0], uv[:, 1], s=star**2, linewidth=1.3 * min(star / 21.0, 1.0), zorder=5, clip_on=True, **STAR
    )
    pictures = [None if x is None else thumbnail(x) for x in thumbnails] or [None] * count
    framed = [i for i in range(count) if shown[i] and pictures[i] is not None]
    lines = np.empty((0, 2, 2)) if avoid is None else np.asarray(avoid, dtype=np.float64).reshape(-1, 2, 2)
    lines = ax.transData.transform(lines.reshape(-1, 2)).reshape(-1, 2, 2) * scale
    lines = lines[((lines.max(axis=1) >= frame[0]) & (lines.min(axis=1) <= frame[1])).all(axis=1)]
    spots, size = _places(points, framed, points[shown], frame, star, size, lines)
    for i in spots:
        ax.add_artist(_framed(pictures[i], plane.anchors_uv[i], spots[i] - points[i], size))
    named = {i: labels[i] for i in np.flatnonzero(shown).tolist() if labels and labels[i]}
    _label(ax, plane.anchors_uv, named, points, spots, points[shown], frame, star, size, lines)
    return stars


def _label(
    ax: Axes, anchors_uv: FloatArray, labels: dict[int, str], points: FloatArray, spots: dict[int, FloatArray],
    stars: FloatArray, frame: FloatArray, star: float, size: float, lines: FloatArray,
) -> None:  # fmt: skip
    """Write the labels in the corners of thumbnails, or beside stars where there is none or it is too small."""
    taken = [(place, 0.5 * star, 0.5 * star) for place in stars]
    taken += [(place, 0.5 * size + 4.0, 0.5 * size + 4.0) for place in spots.values()]
    for i, label in labels.items():
        font = _fitting(label, size - 4.0) if i in spots else 0.0
        inside = font >= SMALLEST
        if inside:
            place = spots[i] + [2 - size / 2, size / 2 - 2]
        else:
            font = max(_fitting(label, frame[1][0] - frame[0][0] - 4.0), SMALLEST)
            place = _beside(label, font, points[i], star, frame, taken, lines)
        ax.annotate(
            label, anchors_uv[i], xytext=tuple(place - points[i]), textcoords="offset points", color="white",
            zorder=6, fontweight="bold", fontsize=font, ha="left" if inside else "center",
            va="top" if inside else "center", path_effects=[withStroke(linewidth=2.5, foreground="black")],
        )  # fmt: skip


def _fitting(label: str, room: float) -> float:
    """Size in points in which a label is at most so many points wide, no larger than the style's."""
    usual = FontProperties(size=rcParams["font.size"]).get_size_in_points()
    return float(min(usual, usual * room / max(72.0 * wide(label, usual, "bold"), 1e-9)))


def _beside(
    label: str, font: float, star: FloatArray, size: float, frame: FloatArray,
    taken: list[tuple[FloatArray, float, float]], lines: FloatArray,
) -> FloatArray:  # fmt: skip
    """The middle of a label beside its star, inside the axes, off stars, samples and other labels; its place is noted."""
    across, high = 0.5 * (72.0 * wide(label, font, "bold") + 3.0), 0.5 * (1.3 * font)
    best, spot = np.inf, star
    for k, (x, y) in enumerate(((1, 1), (-1, 1), (1, -1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1))):
        centre = star + np.array([x * (0.35 * size + across), y * (0.35 * size + high)])
        inside = np.clip(centre, frame[0] + [across, high], np.maximum(frame[1] - [across, high], frame[0] + [across, high]))
        cost = 4.0 * float(np.abs(centre - inside).sum()) + 0.01 * k + 0.1 * _run(lines, inside, (across, high))
        for other, wide_, high_ in taken:
            depth = np.array([across + wide_, high + high_]) - np.abs(inside - other)
            cost += max(0.0, float(depth.min())) * 10.0
        if cost < best:
            best, spot = cost, inside
    taken.append((spot, across, high))
    return spot


def _places(
    points: FloatArray, framed: list[int], stars: FloatArray, frame: FloatArray, star: float, size: float,
    lines: FloatArray,
) -> tuple[dict[int, FloatArray], float]:  # fmt: skip
    """Centres of square thumbnails beside their anchors, all in points, and the size that found room.

    Tried from the outward side round each anchor, near before far; when nothing fits, everything shrinks; what does not fit
    at LEAST has no place.
    """
    middle = points[framed].mean(axis=0) if framed else np.zeros(2)
    spots: dict[int, FloatArray] = {}
    least = min(LEAST, size)
    while True:
        half = 0.5 * size + 4.0  # with its frame
        spots = {}
        for i in framed:
            others = [(place, 0.5 * star) for place in stars] + [(place, half) for place in spots.values()]
            found = _spot(points[i], points[i] - middle, half, star, frame, others, lines)
            if found is not None:
                spots[i] = found
            elif size > least:
                break
        if len(spots) == len(framed) or size <= least:
            return spots, size
        size = max(0.8 * size, least)


def _spot(
    point: FloatArray, outward: FloatArray, half: float, star: float, frame: FloatArray,
    others: list[tuple[FloatArray, float]], lines: FloatArray,
) -> FloatArray | None:  # fmt: skip
    """The first place round an anchor where a thumbnail covers nothing; None if there is none."""
    angles = np.arange(16) * 2 * np.pi / 16
    turn = np.abs((angles - np.arctan2(outward[1], outward[0]) + np.pi) % (2 * np.pi) - np.pi)
    tried = sorted(itertools.product(REACHES, range(16)), key=lambda pair: 10 * pair[0] + float(turn[pair[1]]))
    for reach, k in tried:
        direction = np.array([np.cos(angles[k]), np.sin(angles[k])])
        centre = point + direction / np.abs(direction).max() * reach * (half + 0.5 * star + 1.0)
        outside = np.maximum(frame[0] + half - centre, 0) + np.maximum(centre + half - frame[1], 0)
        crossed = float(outside.sum()) + sum(_overlap(centre, half, place, other) for place, other in others)
        if crossed <= 0.1 and crossed + _run(lines, centre, half) <= 0.1:
            return centre
    return None


def _run(lines: FloatArray, centre: FloatArray, half: Any) -> float:
    """Length of segments (M, 2, 2) inside a square, or in a rectangle if its halves are two."""
    half = np.asarray(half)
    start, way = lines[:, 0] - centre, lines[:, 1] - lines[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = (-half - start) / way, (half - start) / way
    flat = way == 0.0  # along the square's side: all of it or nothing
    within = np.abs(start) <= half
    first = np.where(flat, np.where(within, 0.0, 2.0), np.minimum(one, other)).max(axis=1)
    last = np.where(flat, 1.0, np.maximum(one, other)).min(axis=1)
    share = np.clip(np.minimum(last, 1.0) - np.maximum(first, 0.0), 0.0, None)
    return float((share * np.hypot(*way.T)).sum())


def _overlap(a: FloatArray, half_a: float, b: FloatArray, half_b: float) -> float:
    """How deep two squares overlap, 0 if they do not."""
    return max(0.0, half_a + half_b - float(np.abs(a - b).max()))
