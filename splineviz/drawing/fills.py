r"""Fills: one colour for every region of a Partition (slope, class, ...), and the scale that a colour bar shows.
Here too: sampled values of a fill and their quantiles, limits of a scale (of one partition or shared by several), ticks of a
colour bar and its label, fills by name; class, margin and layer of each region; and the colours of knots by layer.

        slope    norm of the region's slope on the slice             logarithmic scale
        area     of the region                                       logarithmic scale
        class    largest output, cut exactly along the boundary      one colour per class
        margin   colour: class, lightness: largest output less the   logarithmic scale of the lightness
                 second, at the middle of each part of one class
        layer    the kink layer that cut the region last             one colour per layer
        active   units that are on                                   linear scale
        lc       local complexity: units whose knots meet the        linear scale
                 diamond {x +- r e1, x +- r e2} round the region's
                 middle, exactly; r is a 100th of the window
        hash     the activation pattern's own colour                 none; the same pattern has the same colour
        random   anything                                            none                 at every checkpoint
        none     white, for knots or the boundary alone              none
        (F,)     a value per region                                  linear scale
        (F, 3)   colours in [0, 1]                                   none

The layer of birth is exact: a later cut of a face leaves an edge on either part, and no cut of a later layer can
take away every edge of the layer before it that still bounds the face; so the deepest layer among a face's edges is
the one that made it. A face that no knot bounds has no layer (grey). Active units follow from the pattern of one region,
which the partition holds; where it does not tell them (see `Partition.active_units`) a region is grey.

Classes are those of `Partition.classes`: a region that the decision boundary cuts has a colour for each of its parts. What
is 0 (the slope of a dead region) has no place on a logarithmic scale and has a colour of its own, ZERO_COLOR; a region
without a value (NaN) is grey. Palettes keep their order for colour-blind readers and in grey print: lightness
rises along them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colors as mpl_colors
from matplotlib.ticker import MaxNLocator

from splineviz.drawing.colors import BAD_COLOR as BAD_COLOR
from splineviz.drawing.colors import CLASS_COLORS as CLASS_COLORS
from splineviz.drawing.colors import CMAP as CMAP
from splineviz.drawing.colors import DARKEST as DARKEST
from splineviz.drawing.colors import PALETTES as PALETTES
from splineviz.drawing.colors import ZERO_COLOR as ZERO_COLOR
from splineviz.drawing.colors import color_bar as color_bar
from splineviz.drawing.colors import hash_colors as hash_colors
from splineviz.drawing.colors import layer_colors as layer_colors
from splineviz.drawing.colors import lightness as lightness
from splineviz.drawing.colors import palette as palette
from splineviz.drawing.names import as_text as as_text
from splineviz.drawing.names import ending as ending
from splineviz.drawing.names import layer_names as layer_names
from splineviz.drawing.names import named_layers as named_layers
from splineviz.errors import FloatArray
from splineviz.geometry.partition import Partition
from splineviz.metrics import diamonds

MOST_TICKS = 40
"""Most classes or layers that a colour bar names: of more every second, third, ..."""


# ---- scales ------------------------------------------------------------------------------------------


def color_limits(partition: Partition, *, fill: Any = "slope", share: float = 0.98) -> tuple[float, float]:
    """Limits (low, high) of a fill's colour scale that leave out (1 - share) / 2 of the window's area at either end.

    fill: one of SCALED, or a value per region. Where the scale is logarithmic, regions with value 0 do not count: they
    have no place on it.
    """
    tail = (1.0 - share) / 2
    ends = fill_quantiles(partition, np.array([tail, 1.0 - tail]), fill=fill)
    return padded(*ends) if len(ends) else padded(1.0, 1.0)


def fill_quantiles(partition: Partition, shares: FloatArray, *, fill: Any = "slope") -> FloatArray:
    """Values of a fill below which lie the given shares (k,) of the window's area; empty if no value has a place.

    fill: one of SCALED, or a value (F,) per region. What is not positive has no place on a logarithmic scale.
    """
    values = _scalar(partition, fill) if isinstance(fill, str) else _fitting(partition, fill)
    weights = partition.classes().areas if isinstance(fill, str) and named(fill).parts else partition.areas
    keep = np.isfinite(values) & (weights > 0)
    if isinstance(fill, str) and fill in LOGARITHMIC:
        keep &= values > 0
    order = np.argsort(values[keep])
    values, mass = values[keep][order], np.cumsum(weights[keep][order])
    return values[np.searchsorted(mass, shares * mass[-1]).clip(max=len(mass) - 1)] if len(mass) else values


def shared_limits(partitions: Iterable[Partition], *, fill: Any = "slope") -> tuple[float, float]:
    """One colour scale for all partitions: it holds the middle 98% of their areas, taken together.

    So one checkpoint with an unusual range cannot take the colours from all the others. fill: one of SCALED, or as many
    arrays of a value per region as there are partitions.
    """
    each = itertools.repeat(fill) if isinstance(fill, str) else fill
    return limits_of([sampled(partition, one) for partition, one in zip(partitions, each, strict=False)])


def sampled(partition: Partition, fill: Any = "slope") -> FloatArray:
    """A hundred values of a fill, each standing for a hundredth of the window's area; empty if no value has a place."""
    return fill_quantiles(partition, (np.arange(100) + 0.5) / 100, fill=fill)


def limits_of(samples: Sequence[FloatArray]) -> tuple[float, float]:
    """The scale that holds the middle 98% of what was `sampled` of several partitions."""
    values = np.sort(np.concatenate(samples))
    return padded(*np.quantile(values, (0.01, 0.99))) if len(values) else padded(1.0, 1.0)


def padded(low: float, high: float) -> tuple[float, float]:
    """Two limits as a colour scale needs them: where there is one value only, it gets some room."""
    low, high = float(low), float(high)
    if low <= 0.0:
        return (low, high) if high > low else (low - 1.0, high + 1.0)
    return (low, high) if high > low * 1.001 else (low / 1.5, high * 1.5)


def scale(partition: Partition, fill: Any, limits: tuple[float, float] | None = None) -> mpl_colors.Normalize:
    """The norm of a fill's scale. limits: (low, high), by default `color_limits`, or an array's least and largest."""
    if isinstance(fill, str):
        if named(fill).steps == "class":
            channels = max(partition.outputs.shape[1], 2)
            return mpl_colors.BoundaryNorm(np.arange(channels + 1) - 0.5, channels)
        if named(fill).steps == "layer":
            count = layer_count(partition)
            return mpl_colors.BoundaryNorm(np.arange(count + 1) - 0.5, count)
        if fill in SCALED:
            kind = mpl_colors.LogNorm if fill in LOGARITHMIC else mpl_colors.Normalize
            return kind(*(limits or color_limits(partition, fill=fill)), clip=True)
        return mpl_colors.Normalize(0, 1)
    values = np.asarray(fill, dtype=np.float64)
    if values.ndim == 2:
        return mpl_colors.Normalize(0, 1)
    finite = values[np.isfinite(values)]
    low, high = limits or ((finite.min(), finite.max()) if len(finite) else (0.0, 1.0))
    return mpl_colors.Normalize(low, high, clip=True)


def _scalar(partition: Partition, fill: str) -> FloatArray:
    values = FILLS[fill].values if fill in SCALED else None
    if values is not None:
        return values(partition)
    raise ValueError(f"fill: expected one of {', '.join(map(repr, SCALED))} for a colour scale, got {fill!r}.")


def ticks(
    fill: Any, norm: Any, *, names: Sequence[str] = (), paths: Sequence[str] = ()
) -> tuple[list[float], list[str]]:
    """Values of a fill's scale that a colour bar marks, and their texts.

    names: of the classes, by default numbers; paths: of the layers' modules, to stand beside the layers' numbers.
    """
    low, high = float(norm.vmin or 0.0), float(norm.vmax or 0.0)
    if isinstance(fill, str) and named(fill).steps:
        layers = named(fill).steps == "layer"
        count = int(getattr(norm, "N", 1)) - 1
        shown = range(0, count, max(-(-count // MOST_TICKS), 1))
        known = [f"{k} · {path}" if path else str(k) for k, path in enumerate(paths)] if layers else names
        texts = [known[k] if k < len(known) else str(k) for k in shown]
        return [float(k) for k in shown], [as_text(text) for text in texts]
    if isinstance(norm, mpl_colors.LogNorm):
        marks = log_ticks(low, high)
        return marks, [f"{mark:.4g}" if 1e-3 <= mark < 1e5 else f"{mark:.0e}" for mark in marks]
    counted = isinstance(fill, str) and named(fill).whole  # there is no half a unit
    marks = [float(mark) for mark in MaxNLocator(5, integer=counted).tick_values(low, high)]
    marks = [mark for mark in marks if low - 1e-9 * (high - low) <= mark <= high + 1e-9 * (high - low)]
    return marks, [f"{mark:,.6g}" if 1e-3 <= abs(mark) < 1e6 or mark == 0 else f"{mark:.3g}" for mark in marks]


def log_ticks(low: float, high: float) -> list[float]:
    """Two or more round numbers between two limits of a logarithmic scale, as few digits each as the range allows."""
    decades = 10.0 ** np.arange(np.floor(np.log10(low)) - 1, np.ceil(np.log10(high)) + 1)
    ways: tuple[tuple[float, ...], ...] = ((1.0,),) if high / low >= 1e3 else ()
    for steps in (*ways, (1.0, 2.0, 5.0), tuple(float(k) for k in range(1, 10)), tuple(k / 5.0 for k in range(5, 50))):
        ticks = sorted({float(f"{d * s:.6g}") for d in decades for s in steps})
        ticks = [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]
        if len(ticks) >= 2:
            return ticks
    return [float(tick) for tick in MaxNLocator(4).tick_values(low, high) if low * 0.999 <= tick <= high * 1.001]


def _active(partition: Partition) -> FloatArray:
    """(F,) units that are on, NaN where that is not known."""
    layers = partition.active_units
    found = np.where((layers < 0).any(axis=1), np.nan, layers.sum(axis=1))
    if len(found) and not np.isfinite(found).any():
        raise ValueError(
            "fill: expected a partition that tells which units are on, got one of a network with maxima, or saved without "
            "the pattern of a region; take another fill, or an array with a value per region."
        )
    return found


def has_zeros(partition: Partition, fill: Any) -> bool:
    """Whether something of a partition is 0 and has no place on its fill's logarithmic scale."""
    values = named(fill).values if isinstance(fill, str) and fill in LOGARITHMIC and not named(fill).steps else None
    return values is not None and bool((values(partition) == 0).any())


# ---- values per face ---------------------------------------------------------------------------------


def face_classes(partition: Partition) -> npt.NDArray[np.int64]:
    """(F,) class of each region, or of its largest part where the decision boundary cuts it; see `Partition.classes`."""
    return partition.classes().label[: partition.num_regions].astype(np.int64)


def face_margins(partition: Partition) -> FloatArray:
    """(F,) margin at the middle of each region, or of its largest part where the decision boundary cuts it."""
    return partition.classes().margins[: partition.num_regions]


def face_layers(partition: Partition) -> npt.NDArray[np.int64]:
    """(F,) kink layer, from 0, that cut each face last: the deepest among its edges; -1 where no knot bounds it."""
    layers = np.full(partition.num_regions, -1, dtype=np.int64)
    edge_layers = partition.edge_unit[:, 0].astype(np.int64)
    for side in (0, 1):
        inside = partition.edge_faces[:, side] >= 0
        np.maximum.at(layers, partition.edge_faces[inside, side], edge_layers[inside])
    return layers


# ---- colours -----------------------------------------------------------------------------------------


def knot_colors(partition: Partition) -> FloatArray:
    """(E, 3) colour of each edge by the kink layer of its unit, from dark (first) to bright (last)."""
    return layer_colors(partition.edge_unit[:, 0], layer_count(partition), dark=True)


def layer_count(partition: Partition) -> int:
    """Number of kink layers of the network that was cut."""
    return len(partition.unit_offsets) - 1


Scale = tuple[FloatArray, mpl_colors.Normalize, mpl_colors.Colormap]
"""Colours (F, 3) of the faces or (P, 3) of `Partition.classes`, first the faces' own; and the colour bar's scale."""


def colors(partition: Partition, fill: Any, cmap: Any = None, limits: tuple[float, float] | None = None) -> Scale:
    """Colours in [0, 1] of all faces (F, 3), for "class" and "margin" of all parts (P, 3); norm and map of their scale.

    fill: as in this file's docstring. cmap: see `palette`. limits: (low, high) of the scale, by default `color_limits`.
    Raises ValueError on an unknown name or an array that does not fit.
    """
    if isinstance(fill, str):
        paint = named(fill).paint
        if paint is not None:
            return paint(partition, cmap, limits)
        return _by_value(_scalar(partition, fill), palette(cmap), scale(partition, fill, limits))
    values = np.asarray(fill, dtype=np.float64)
    if values.shape == (partition.num_regions, 3):
        return np.ascontiguousarray(values), scale(partition, fill), palette(cmap)
    return _by_value(_fitting(partition, values), palette(cmap), scale(partition, fill, limits))


def _by_class(partition: Partition, cmap: Any, limits: tuple[float, float] | None) -> Scale:
    """One colour per class; with limits, nearer to white the smaller the margin."""
    channels = max(partition.outputs.shape[1], 2)
    table = [CLASS_COLORS[i % len(CLASS_COLORS)] for i in range(channels)]
    chosen = mpl_colors.ListedColormap(table) if cmap is None else palette(cmap).resampled(channels)
    parts = partition.classes()
    faces = np.asarray(chosen(parts.label))[:, :3]
    if limits is not None:
        place = mpl_colors.LogNorm(*limits, clip=True)(np.maximum(parts.margins, limits[0]))
        faces = 1.0 - (1.0 - faces) * (0.2 + 0.8 * np.asarray(place)[:, None])
    return np.ascontiguousarray(faces), scale(partition, "class"), chosen


def _by_layer(partition: Partition) -> Scale:
    count = layer_count(partition)
    table = mpl_colors.ListedColormap(list(layer_colors(np.arange(count), count)))
    return layer_colors(face_layers(partition), count), scale(partition, "layer"), table


def _by_value(values: FloatArray, cmap: mpl_colors.Colormap, norm: mpl_colors.Normalize) -> Scale:
    low = float(norm.vmin or 0.0)  # what lies below has no place on a logarithmic scale
    faces = cmap(norm(np.maximum(np.nan_to_num(values, nan=low), low)))[:, :3]
    if isinstance(norm, mpl_colors.LogNorm):
        faces[values == 0] = ZERO_COLOR
    faces[~np.isfinite(values)] = BAD_COLOR
    return np.ascontiguousarray(faces), norm, cmap


def _fitting(partition: Partition, fill: Any) -> FloatArray:
    """A fill of one value (F,) per region."""
    values, count = np.asarray(fill, dtype=np.float64), partition.num_regions
    if values.shape != (count,):
        raise ValueError(
            f"fill: expected one value per region, shape ({count},), or colours ({count}, 3), got shape {values.shape}."
        )
    return values


def _by_pattern(partition: Partition, cmap: Any, limits: tuple[float, float] | None) -> Scale:
    return hash_colors(partition.pattern_hash), scale(partition, "hash"), palette(cmap)


def _white(partition: Partition, cmap: Any, limits: tuple[float, float] | None) -> Scale:
    return np.ones((partition.num_regions, 3)), scale(partition, "none"), palette(cmap)


def _at_random(partition: Partition, cmap: Any, limits: tuple[float, float] | None) -> Scale:
    keys = np.random.default_rng(0).integers(0, 2**63, partition.num_regions, dtype=np.uint64)
    return hash_colors(keys), scale(partition, "random"), palette(cmap)


# ---- the fills ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fill:
    """One fill. name: of choices.FILLS. caption: what a region has the colour of, in words. label: of the colour bar, by
    default the name; short: where there is no room for it.

    values: a number (F,) per region, or (P,) per part of `Partition.classes` if `parts`, with a scale of colours,
    logarithmic if `log`, of whole numbers if `whole`. paint: the
    colours themselves, from partition, colour map and limits. steps: what a colour bar has a step for, "class" or "layer";
    scaled: whether the bar, or the lightness, has limits that all frames of a film share.
    """

    name: str
    caption: str
    label: str = ""
    short: str = ""
    values: Callable[[Partition], FloatArray] | None = None
    log: bool = False
    whole: bool = False
    parts: bool = False
    paint: Callable[[Partition, Any, tuple[float, float] | None], Scale] | None = None
    steps: str = ""

    @property
    def scaled(self) -> bool:
        """Whether it has a scale whose limits all frames of a film share."""
        return self.values is not None

    @property
    def has_bar(self) -> bool:
        """Whether a colour bar says anything of it."""
        return self.scaled or bool(self.steps)


FILLS = {
    fill.name: fill
    for fill in (
        Fill("slope", "the norm of its slope", "slope norm", values=lambda p: p.slope_norms, log=True),
        Fill("class", "its class", steps="class", paint=lambda p, cmap, limits: _by_class(p, cmap, None)),
        Fill(
            "margin", "its class, paler where the margin is small", "class (pale: small margin)", "class, margin",
            values=lambda p: p.classes().margins, parts=True, log=True, steps="class",
            paint=lambda p, cmap, limits: _by_class(p, cmap, limits or color_limits(p, fill="margin")),
        ),
        Fill("layer", "its layer of birth", "layer of birth", steps="layer", paint=lambda p, cmap, limits: _by_layer(p)),
        Fill("area", "its area", values=lambda p: p.areas, log=True),
        Fill("active", "its number of active units", "active units", values=_active, whole=True),
        Fill(
            "lc", "the local complexity round its middle", "local complexity", whole=True,
            values=lambda p: diamonds.complexities(p).astype(np.float64),
        ),
        Fill("hash", "its activation pattern", paint=_by_pattern),
        Fill("random", "no meaning", paint=_at_random),
        Fill("none", "", paint=_white),
    )
}  # fmt: skip
"""The fills by name, in the order of choices.FILLS."""

NAMES = tuple(FILLS)
SCALED = tuple(fill.name for fill in FILLS.values() if fill.scaled)
"""Fills with a scale whose limits all frames of a film share."""
LOGARITHMIC = tuple(fill.name for fill in FILLS.values() if fill.log)
"""Fills with a logarithmic scale."""


def named(fill: str) -> Fill:
    """A fill by its name. Raises ValueError for one that there is not."""
    if fill not in FILLS:
        names = ", ".join(map(repr, FILLS))
        raise ValueError(f"fill: expected {names} or an array with a value per region, got {fill!r}.")
    return FILLS[fill]


def label(fill: str, *, short: bool = False) -> str:
    """What a colour bar calls a fill; anything that is none is called as it is."""
    known = FILLS.get(fill)
    return fill if known is None else (known.short if short else "") or known.label or known.name
