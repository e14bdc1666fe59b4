"""Colours: palettes that stay apart for colour-blind readers, and the colours of layers and patterns.
Here too: how light a colour is, and the colour bar with a swatch for what is 0.

Palettes keep their order in grey print: lightness rises along them. This file knows no partition.
"""

from __future__ import annotations

import difflib
import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib import colors as mpl_colors

from splineviz.errors import DataError, FloatArray, IntArray

CLASS_COLORS = ("#85abf7", "#d7c86f", "#45a070", "#fca3b1", "#8cdaff", "#7aa557", "#bb94c8", "#be6d92", "#e1e2e6", "#afe8a0")
"""Light colours after Paul Tol's light scheme, moved until all pairs are 16 apart (CIE Lab) for normal and for colour-blind
readers, from each other and from the boundary, and 3 apart in lightness alone."""

BAD_COLOR = (0.8, 0.8, 0.8)

ZERO_COLOR = mpl_colors.to_rgb("#f3e3ee")
"""Of what is 0 under a logarithmic scale: on no palette, and told on the colour bar."""

ZERO_SWATCH = 0.045
"""Height of the swatch of 0 below a colour bar, as a share of it."""

DARKEST = 46.0
"""Least lightness (CIE L*) of a palette that is named: black knots and a red boundary stand out on it."""


def _lightened(name: str, start: float, white_low: float, white_high: float) -> mpl_colors.Colormap:
    """A palette without its darkest end and nearer to white, so that black knots and a red boundary stand out on it."""
    base = colormaps[name](np.linspace(start, 1.0, 256))[:, :3]
    white = np.linspace(white_low, white_high, 256)[:, None]
    return _made(base + white * (1.0 - base), f"splineviz-{name}")


def _made(table: FloatArray, name: str) -> mpl_colors.Colormap:
    return mpl_colors.ListedColormap(table, name=name).with_extremes(under=ZERO_COLOR, bad=BAD_COLOR)


CMAP = _lightened("viridis", 0.16, 0.36, 0.14)
PALETTES = {
    "viridis": CMAP,
    "cividis": _lightened("cividis", 0.1, 0.34, 0.2),
    "grey": _made(colormaps["gray"](np.linspace(0.42, 0.88, 256))[:, :3], "splineviz-gray"),
}
"""Sequential palettes by name; any other name is one of matplotlib's, made as light as DARKEST asks."""


def lightness(rgb: FloatArray) -> FloatArray:
    """CIE L*, 0 (black) to 100 (white), of sRGB colours (..., 3) in [0, 1]."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((np.maximum(rgb, 0.04045) + 0.055) / 1.055) ** 2.4)
    y = linear @ np.array([0.2126, 0.7152, 0.0722])
    return np.asarray(np.where(y > 0.008856, 116.0 * np.cbrt(y) - 16.0, 903.3 * y))


def palette(cmap: Any) -> mpl_colors.Colormap:
    """A colour map from None (the default), a name of PALETTES or of matplotlib's, or a colour map, which stays as it is.

    Raises ValueError on a name that nobody knows, with those that are near it.
    """
    if cmap is None:
        return CMAP
    if isinstance(cmap, str):
        return PALETTES[cmap] if cmap in PALETTES else _of_matplotlib(cmap)
    if not isinstance(cmap, mpl_colors.Colormap):
        raise ValueError(f"cmap: expected a name or a matplotlib colour map, got {cmap!r}; see colors.PALETTES.")
    return cmap


@functools.cache
def _of_matplotlib(name: str) -> mpl_colors.Colormap:
    """A palette of matplotlib's, mixed with as little white as its darkest colour needs; its order stays."""
    if name not in colormaps:
        near = difflib.get_close_matches(name, [*PALETTES, *colormaps], 3)
        hint = f"did you mean {' or '.join(near)}?" if near else "list(matplotlib.colormaps) names them all."
        raise DataError(f"palette: expected {', '.join(PALETTES)} or a palette of matplotlib's, got {name!r}; {hint}")
    source = colormaps[name]
    table = np.asarray(source(np.arange(source.N) if source.N < 256 else np.linspace(0.0, 1.0, 256)))[:, :3]
    for white in np.linspace(0.0, 0.6, 61):
        mixed = table + white * (1.0 - table)
        if lightness(mixed).min() >= DARKEST:
            break
    return _made(mixed, name)


def layer_colors(layers: IntArray | npt.NDArray[np.int64], count: int, *, dark: bool = False) -> FloatArray:
    """(n, 3) colour of each kink layer of `count`; grey for -1. dark: for lines, which must stand out on light fills."""
    ends = (0.0, 0.78) if dark else (0.35, 1.0)
    table = colormaps["plasma" if dark else "viridis"](np.linspace(*ends, max(count, 1)))[:, :3]
    if not dark:
        table = table + 0.3 * (1.0 - table)
    table = np.vstack([table, BAD_COLOR])
    return np.ascontiguousarray(table[layers])


def hash_colors(keys: npt.NDArray[np.uint64]) -> FloatArray:
    """(F, 3) light colours that depend on nothing but the key, so a pattern keeps its colour over training."""
    hue = (keys >> np.uint64(40)).astype(np.float64) / 2.0**24
    light = ((keys >> np.uint64(16)) & np.uint64(0xFFFF)).astype(np.float64) / 2.0**16
    return mpl_colors.hsv_to_rgb(np.stack([hue, 0.25 + 0.3 * light, 0.95 - 0.15 * light], axis=1))


def color_bar(figure: Any, image: Any, *, zero: bool, share: float = ZERO_SWATCH, size: Any = None, **place: Any) -> Any:
    """A colour bar, with a swatch of its own below it for what is 0 and has no place on a logarithmic scale.

    zero: whether there is such a swatch; share: its height, of the bar; size: of its number, in points. place: as
    matplotlib's colorbar takes it.
    """
    bar = figure.colorbar(image, extend="min" if zero else "neither", extendrect=True, extendfrac=share, **place)
    if zero:
        at: Any = {"transform": bar.ax.transAxes, "va": "center", "fontsize": size}
        bar.ax.text(1.0, -0.6 * share, "  0", color="#444444", **at)
    return bar
