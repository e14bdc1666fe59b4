"""Colours: palettes that stay apart for colour-blind readers, and the colours of layers and patterns.

Palettes keep their order in grey print: lightness rises along them. This room knows no partition.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib import colors as mpl_colors

from splineviz.errors import FloatArray, IntArray

CLASS_COLORS = ("#77aadd", "#eedd88", "#44bb99", "#ffaabb", "#99ddff", "#bbcc33", "#c3a6d8", "#ee8866", "#dddddd", "#aaaa55")
"""Light colours that stay apart for colour-blind readers (after Paul Tol's light scheme, one added)."""

BAD_COLOR = (0.8, 0.8, 0.8)


def _lightened(name: str, start: float, white_low: float, white_high: float) -> mpl_colors.ListedColormap:
    """A palette without its darkest end and nearer to white, so that black knots and a red boundary stand out on it."""
    base = colormaps[name](np.linspace(start, 1.0, 256))[:, :3]
    white = np.linspace(white_low, white_high, 256)[:, None]
    return mpl_colors.ListedColormap(base + white * (1.0 - base), name=f"splineviz-{name}")


CMAP = _lightened("viridis", 0.16, 0.36, 0.14)
PALETTES = {
    "viridis": CMAP,
    "cividis": _lightened("cividis", 0.1, 0.34, 0.2),
    "grey": _lightened("gray", 0.38, 0.0, 0.0),
}
"""Sequential palettes by name; any other name is looked up in matplotlib as it is."""


def palette(cmap: Any) -> mpl_colors.Colormap:
    """A colour map from None (the default), a name of PALETTES, a name of matplotlib's, or a colour map."""
    if cmap is None:
        return CMAP
    if isinstance(cmap, str):
        return PALETTES[cmap] if cmap in PALETTES else colormaps[cmap]
    if not isinstance(cmap, mpl_colors.Colormap):
        raise ValueError(f"cmap: expected a name or a matplotlib colour map, got {cmap!r}; see colors.PALETTES.")
    return cmap


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
