r"""The anchors on an Axes: a white star at each, and its sample beside it as a small picture.

        +-----------------------+
        |  +----+               |     A thumbnail stands beside its star, on the side away from the other anchors
        |  |  2 |               |     where there is room: inside the axes, on no star, on no other thumbnail.
        |  +----+               |     Far ones are joined to their star by a line; where nothing fits, all shrink.
        |        *       +----+ |
        |              * |  7 | |
        |                +----+ |
        +-----------------------+

Anchors outside the axes are left out together with their thumbnails. Samples that are no pictures (points of a
plane, rows of a table) have no thumbnail. Lengths are points (1/72 inch), so places hold for any resolution.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.patheffects import withStroke

from splineviz.errors import FloatArray, to_float_array
from splineviz.geometry.plane import Plane


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
    Thumbnails stay inside the axes and cover neither a star nor each other; they shrink where there is no room.
    Set the axes' limits first: places are chosen for the view as it is.
    """
    ax = pyplot.gca() if ax is None else ax
    count = len(plane.anchors_uv)
    for name, given in (("thumbnails", thumbnails), ("labels", labels)):
        if len(given) not in (0, count):
            raise ValueError(f"{name}: expected one for each of the {count} anchors, got {len(given)}.")
    ax.apply_aspect()
    figure = ax.get_figure(root=True)
    assert figure is not None
    points = ax.transData.transform(plane.anchors_uv.reshape(-1, 2)) * 72.0 / figure.dpi
    frame = np.array([[ax.bbox.x0, ax.bbox.y0], [ax.bbox.x1, ax.bbox.y1]]) * 72.0 / figure.dpi
    shown = ((points >= frame[0]) & (points <= frame[1])).all(axis=1)
    uv = plane.anchors_uv[shown]
    stars = ax.scatter(
        uv[:, 0], uv[:, 1], s=star**2, marker="*", color="white", edgecolor="black",
        linewidth=1.3 * min(star / 21.0, 1.0), zorder=5, clip_on=True
    )
    pictures = [None if x is None else thumbnail(x) for x in thumbnails] or [None] * count
    framed = [i for i in range(count) if shown[i] and pictures[i] is not None]
    scale = 72.0 / figure.dpi
    lines = np.empty((0, 2, 2)) if avoid is None else np.asarray(avoid, dtype=np.float64).reshape(-1, 2, 2)
    lines = ax.transData.transform(lines.reshape(-1, 2)).reshape(-1, 2, 2) * scale
    spots, size = _places(points, framed, points[shown], frame, star, size, lines)
    for i in range(count):
        label = labels[i] if labels and shown[i] else ""
        picture = pictures[i]
        if i in spots and picture is not None:
            ax.add_artist(_framed(picture, plane.anchors_uv[i], spots[i] - points[i], size))
        if label:
            corner = np.array([2 - size / 2, size / 2 - 2])
            place = spots[i] - points[i] + corner if i in spots else np.array([0.6 * star, 0.3 * star])
            ax.annotate(
                label, plane.anchors_uv[i], xytext=tuple(place), textcoords="offset points", color="white", zorder=6,
                fontweight="bold", ha="left", va="top" if i in spots else "bottom",
                path_effects=[withStroke(linewidth=2.5, foreground="black")],
            )  # fmt: skip
    return stars


def _places(
    points: FloatArray, framed: list[int], stars: FloatArray, frame: FloatArray, star: float, size: float,
    lines: FloatArray,
) -> tuple[dict[int, FloatArray], float]:  # fmt: skip
    """Centres of square thumbnails beside their anchors, all in points, and the size that found room.

    Tried from the outward side round each anchor, near before far; when nothing fits, everything shrinks.
    """
    if not framed:
        return {}, size
    middle = points[framed].mean(axis=0)
    angles = np.arange(16) * 2 * np.pi / 16
    for attempt in range(6):
        half = 0.5 * size + 4.0  # with its frame
        spots: dict[int, FloatArray] = {}
        for i in framed:
            outward = np.arctan2(*(points[i] - middle)[::-1])
            turn = np.abs((angles - outward + np.pi) % (2 * np.pi) - np.pi)
            best, spot = np.inf, points[i]
            for reach, (k, angle) in itertools.product((1.0, 1.7, 2.6), enumerate(angles)):
                direction = np.array([np.cos(angle), np.sin(angle)])
                centre = points[i] + direction / np.abs(direction).max() * reach * (half + 0.5 * star + 1.0)
                crossed = sum(_overlap(centre, half, s, 0.5 * star) for s in stars)
                crossed += sum(_overlap(centre, half, s, half) for s in spots.values())
                outside = np.maximum(frame[0] + half - centre, 0) + np.maximum(centre + half - frame[1], 0)
                crossed += float(outside.sum()) + _run(lines, centre, half)
                cost = 1e3 * crossed + 10 * reach + turn[k]
                if cost < best:
                    best, spot = cost, centre
            spots[i] = spot
            if best > 1e2 and attempt < 5:
                break
        else:
            return spots, size
        size *= 0.8
    return spots, size


def _run(lines: FloatArray, centre: FloatArray, half: float) -> float:
    """Length of segments (M, 2, 2) inside a square."""
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
