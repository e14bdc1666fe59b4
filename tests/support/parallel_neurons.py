"""Networks whose neurons are nearly parallel, at 1e-12 to 1e-15 of each other, alone and in clusters, in any layer.

Their regions are slivers that double precision cannot tell from nothing. `parallel_case` makes them from a number alone.
"""

from __future__ import annotations

import numpy as np
from cases import LEAKY, Case, square
from oracle import ABS, RELU, Layer


def _with_twins(rng: np.random.Generator, weight: np.ndarray, bias: np.ndarray, twins: int) -> None:
    """Make some rows nearly equal to others (or their negatives): a cluster, or pairs."""
    source = int(rng.integers(len(weight)))
    for j in rng.permutation(len(weight))[:twins]:
        if rng.random() < 0.4:
            source = int(rng.integers(len(weight)))
        gap = 10.0 ** -rng.uniform(12, 15.3)
        kind = int(rng.integers(4))
        row, shift = weight[source].copy(), float(bias[source])
        if kind != 1:
            row = row * (1.0 + gap * rng.normal(size=row.shape))
        if kind != 2:
            shift = shift * (1.0 + gap * rng.normal()) + gap * rng.normal()
        factor = float(rng.choice([1.0, -1.0, 4.0, 0.25]))
        weight[j], bias[j] = factor * row, factor * shift


def parallel_case(number: int, *, deep: bool | None = None, mixed: bool | None = None) -> Case:
    """deep: twins in later layers too; mixed: neurons' scales from 2^-40 to 2^40, which the next layer's weights undo."""
    rng = np.random.default_rng([number, 22])
    deep = bool(rng.random() < 0.4) if deep is None else deep
    mixed = bool(rng.random() < 0.4) if mixed is None else mixed
    widths = [2, *rng.integers(5, 12, size=int(rng.integers(1, 3))).tolist()]
    layers, undo = [], np.ones(2)
    for at, (n, m) in enumerate(zip(widths, widths[1:], strict=False)):
        weight, bias = rng.normal(size=(m, n)), 0.3 * rng.normal(size=m)
        if at == 0 or deep:
            _with_twins(rng, weight, bias, int(rng.integers(2, m)))
        scale = 2.0 ** rng.integers(-40, 41, size=m) if mixed else np.ones(m)
        slopes = (RELU, LEAKY, ABS)[int(rng.choice(3, p=[0.6, 0.2, 0.2]))]
        layers.append(Layer(weight / undo * scale[:, None], bias * scale, slopes))
        undo = scale
    layers.append(Layer(rng.normal(size=(2, widths[-1])) / undo, rng.normal(size=2)))
    centre = (0.3 * rng.normal(size=2)).tolist()
    return Case(f"parallel-{number}", tuple(layers), square(float(rng.choice([1.0, 2.0, 0.5])), *centre))
