r"""Sampled local complexity: how many units change sign in a small neighbourhood of a point.
Of one set of points, of several, at several radii. Here too: the 99% confidence band of a mean, the network made ready to be
sampled (traced, or run as it is), and the checks of points, radii and device.

             x + r v_2             A neighbourhood is the cross-polytope {x +- r v_p}: P orthonormal directions v_p, 2P
                 *                 vertices; its centre x is not evaluated. A unit counts when its pre-activation does
               / | \   unit 7      not have one sign on all vertices, that is when its knot passes between them: unit 7
       --*----x--+--*--------      here, unit 3 not. The count is summed over layers (Humayun, Balestriero, Baraniuk:
               \ | /               "Deep Networks Always Grok and Here is Why", arXiv 2402.15555, section 3).
                 *     . unit 3

`r` radius, `P` num_vectors, `n` points, `z` pre-activations. Sign means the side of a breakpoint: a unit counts, once,
when one of its breakpoints lies strictly between its smallest and its largest value. A knot that only touches a
vertex is not counted, nor is a unit that is zero throughout. A function with several breakpoints (ReLU6, Hardtanh) may be
traced as that many layers of one breakpoint each ("act", "act (2)"); a unit of it then counts once in each.

Dead units never count, so a network that loses units loses complexity although its live ones are as dense as before.
Beside the count stands the one scaled to live units: per layer, counts * units / live units, where a unit is live
when it has not one sign on all vertices of all points of the call.

A network that is not piecewise affine (GELU, SiLU, tanh, attention, ...) has no knots, but its pre-activations have signs:
it is watched while it runs (`activations`), and what counts is the sign of what enters each activation function.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from splineviz.errors import DataError, FloatArray, TraceError, to_float_array
from splineviz.metrics.directions import Directions, Given, kept_directions
from splineviz.metrics.images import Images
from splineviz.metrics.neighbourhoods import Held, Pairs, Parts, Vertices, evaluator
from splineviz.metrics.preactivations import Watched
from splineviz.metrics.screens import Lines, Screen
from splineviz.threads import Stack, available
from splineviz.tracing.precision import at_home, checked_device
from splineviz.tracing.program import Program
from splineviz.tracing.trace import trace

CHUNK = 64
"""Points that one worker takes at a time; divides the groups of points that share a pool of directions."""

LARGER = (4, 2)
"""So many times CHUNK points are taken where a pool's image is kept and every worker has four turns: maps of more points
at a time are quicker.
"""

BLOCK_FLOATS = 1 << 22
"""Numbers in the widest tensor of a block of points, about, unless batch_size says otherwise."""


Z99 = 2.576
"""Half-width of a 99% band, in standard errors."""


class OverPoints:
    """Sums over layers of what was found at n points, and their mean with its band."""

    @property
    def _found(self) -> npt.NDArray[Any]:
        """(layers, n)."""
        raise NotImplementedError

    @property
    def total(self) -> npt.NDArray[Any]:
        """(n,) sum over layers."""
        return self._found.sum(axis=0)

    @property
    def mean(self) -> float:
        """Mean of the totals over points."""
        return float(self.total.mean())

    @property
    def band(self) -> float:
        """Half-width of the mean's 99% confidence band, 2.576 s / sqrt(n); NaN for one point."""
        return band(self.total)


@dataclass(frozen=True, eq=False)
class LocalComplexity(OverPoints):
    """Sampled local complexity of n points.

    total: (n,) sum over layers; mean: of the totals over points; band: half-width of the mean's 99% confidence band.
    counts: (layers, n) int64, units that change sign, per layer of units; with include_output a last row for the outputs.
    units, live_units: (layers,) int64, all units and those with both signs somewhere in the call.
    radius, num_vectors: of the neighbourhoods, num_vectors as used: never more than the input has dimensions.
    layers: name of each layer, its path in the module. watched: whether the network was run as it is, because it is not
    piecewise affine; then `layers` are the calls of activation functions that were seen.
    """

    counts: npt.NDArray[np.int64]
    units: npt.NDArray[np.int64]
    live_units: npt.NDArray[np.int64]
    radius: float
    num_vectors: int
    layers: tuple[str, ...] = ()
    watched: bool = False

    def __repr__(self) -> str:
        band = f" +- {self.band:.2g}" if self.counts.shape[1] > 1 else ""
        shape = f"{self.counts.shape[1]:,} points, {self.counts.shape[0]} layers, radius {self.radius:g}"
        return f"LocalComplexity({self.mean:.4g}{band} units a point; {shape})"

    @property
    def _found(self) -> npt.NDArray[np.int64]:
        return self.counts

    @property
    def live_total(self) -> FloatArray:
        """(n,) sum over layers of counts * units / live units: what all units would count, were they as the live ones."""
        scale = self.units / np.maximum(self.live_units, 1)  # without live units there is no count to scale
        return scale @ self.counts


def band(values: npt.NDArray[Any]) -> float:
    """Half-width of the 99% confidence band of the mean of values (n,), 2.576 s / sqrt(n); NaN for one value."""
    return Z99 * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan


@dataclass(frozen=True, eq=False)
class Sampling:
    """How neighbourhoods are sampled and evaluated; every function here takes these as keywords.

    num_vectors: P; an input of fewer dimensions d uses d, which the result tells.
    seed: of the directions. include_output: count sign changes of the outputs as one more layer, as the paper's published
    code does. shared_frame: the same directions for all points, as that code does; by default each point has its own.
    directions: (P, *input_shape) orthonormal, such as a plane's basis, for all points; num_vectors and seed are then unused.
    batch_size: points in one forward pass, at most CHUNK; by default so that memory stays bounded. threads: default, all
    processors. The result depends on neither. dtype: of differences from the points, torch.float64 or torch.float32,
    which is faster by half; values at the points themselves are always float64, so counts hardly change; those of an MLP
    with 8 vectors or more do not depend on it (`screens`). A network that is watched is run in dtype.
    device: "cuda" and the like, where every vertex is run, in dtype; None: the CPU, where most of them need not be.
    Raises DataError when one of them does not fit.
    """

    num_vectors: int = 25
    seed: int = 0
    include_output: bool = False
    shared_frame: bool = False
    directions: Any = None
    batch_size: int | None = None
    dtype: torch.dtype = torch.float64
    threads: int | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        counts: tuple[Any, ...] = (self.num_vectors, 1 if self.batch_size is None else self.batch_size, self.threads or 1)
        if not all(isinstance(n, Integral) and int(n) >= 1 for n in counts) or self.threads == 0:
            raise DataError(
                "num_vectors, batch_size, threads: expected 1 or more each, got "
                f"{self.num_vectors!r}, {self.batch_size!r} and {self.threads!r}."
            )
        if self.dtype not in (torch.float64, torch.float32):
            raise DataError(f"dtype: expected torch.float64 or torch.float32, got {self.dtype}.")
        if self.device is not None:
            checked_device(self.device, self.dtype)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Sampling:
        """From keywords. Raises DataError on an unknown one."""
        known = [field.name for field in fields(cls)]
        if unknown := sorted(options.keys() - set(known)):
            raise DataError(f"options: expected some of {', '.join(known)}, got {', '.join(unknown)}.")
        return cls(**options)

    def frames(self, shape: Sequence[int]) -> Directions | Given:
        """The directions for inputs of a shape. Raises DataError when given ones do not fit."""
        if self.directions is not None:
            return Given(self.directions, shape)
        dimension = math.prod(shape)
        return kept_directions(dimension, min(self.num_vectors, dimension), self.seed, self.shared_frame)


@at_home
def local_complexity(model: Any, x: Any, *, radius: float = 0.005, **options: Any) -> LocalComplexity:
    """Sampled local complexity at points x (n, *input_shape).

    model: a Program, or a torch module, which is traced; one that is not piecewise affine (TraceError) is watched while it
    runs, and counts by the sign of what enters its activation functions. x may also be flat, (n, dimensions), for a Program.
    radius: r, in input-space length. options: `Sampling`, such as num_vectors (P, 25), seed, include_output, shared_frame.

    An affine network has 0. Raises DataError when points, radius or options do not fit, TraceError where nothing is found.
    """
    return local_complexities(model, {"x": x}, radius=radius, **options)["x"]


@at_home
def local_complexities(
    model: Any, places: Mapping[str, Any], *, radius: float = 0.005, **options: Any
) -> dict[str, LocalComplexity]:
    """`local_complexity` of several sets of points by name, the same as one by one, for less.

    The directions' images under the first layer, the largest product of a network on pictures, are computed once for all
    sets. Parameters and errors as in `local_complexity`.
    """
    return local_complexities_at(model, places, radii=(radius,), **options)[0]


@at_home
def local_complexities_at(
    model: Any, places: Mapping[str, Any], *, radii: Sequence[float], **options: Any
) -> list[dict[str, LocalComplexity]]:
    """`local_complexities` at several radii, one result each, in order: the same directions, scaled.

    What the directions become before the first kink is computed once for all radii. Parameters and errors as in
    `local_complexity`.
    """
    how = Sampling.of(options)
    check_radii(radii)
    if not places:
        return [{} for _ in radii]
    shape = model.input_shape if isinstance(model, Program) else np.shape(next(iter(places.values())))[1:]
    points = {name: as_points(x, shape, name) for name, x in places.items()}
    network = network_of(model, shape, how.dtype, how.device)
    drawn = how.frames(network.input_shape)
    if not radii:
        return []
    screen, counters = _evaluators(network, radii, how, drawn.num_vectors)
    size = how.batch_size or max(1, BLOCK_FLOATS // (2 * drawn.num_vectors * counters[0].widest))
    sets = {name: _Set(x, counters, screen) for name, x in points.items()}
    longest = max(len(x) for x in points.values())
    images = Images(drawn, counters[0], longest, screen)

    threads = how.threads or available()
    chunk = CHUNK * next((k for k in LARGER if k * CHUNK <= drawn.group and 4 * threads * k * CHUNK <= longest), 1)

    @torch.no_grad()
    def work(first: int) -> Iterable[int]:
        last = min(first + chunk, longest)
        some = chunk if screen is not None and how.batch_size is None and images.keeps(first) else size
        for start in range(first, last, some):
            stop = min(start + some, last)
            image, rows = images.of(start, stop)
            for chosen in sets.values():
                chosen.add(start, stop, image, rows)
        return ()

    # One torch thread in each worker: a product of a few rows is not worth sharing, and waits for the slowest share.
    Stack(work, threads).run(range(0, longest, chunk))
    watched = not isinstance(network, Program)
    return [
        {name: chosen.result(number, drawn.num_vectors, watched) for name, chosen in sets.items()}
        for number in range(len(counters))
    ]


def _evaluators(
    network: Program | Watched | Held, radii: Sequence[float], how: Sampling, num_vectors: int
) -> tuple[Screen | None, list[Pairs | Vertices]]:
    """One for each radius, and what settles most points before them; what that leaves open asks for double precision."""
    def made(dtype: torch.dtype) -> list[Pairs | Vertices]:
        first = evaluator(network, float(radii[0]), how.include_output, dtype, how.device)
        return [first, *(first.at(float(radius)) for radius in radii[1:])]

    counters = made(how.dtype)
    screen = Screen.of(counters, num_vectors)
    if screen is None or how.dtype == torch.float64:
        return screen, counters
    counters = made(torch.float64)
    return Screen.of(counters, num_vectors), counters


def network_of(
    model: Any, shape: Sequence[int], dtype: torch.dtype = torch.float64, device: str | None = None
) -> Program | Watched | Held:
    """A network whose pre-activations can be read: traced, or run as it is in `dtype`, on a device, if it is not piecewise
    affine.

    Raises TraceError when neither is possible.
    """
    if isinstance(model, Program) and model.smooth:
        return Held(trace(model, shape, smooth=True), dtype, device)
    try:
        return trace(model, shape)
    except TraceError as refusal:
        if not isinstance(model, nn.Module):
            raise
        try:
            return Watched(model, shape, dtype, device)
        except Exception as other:  # also what a forward raises on inputs of another shape
            raise TraceError(f"{refusal} Recording its activations while it runs failed too: {other}") from refusal


def check_radii(radii: Sequence[float]) -> None:
    """Raises DataError unless all radii are positive lengths."""
    for radius in radii:
        try:
            fits = math.isfinite(radius) and radius > 0
        except TypeError:
            fits = False
        if not fits:
            raise DataError(
                f"radius: expected a positive length, got {radius!r}; the paper uses 0.005 for networks on pictures."
            )


def as_points(x: Any, shape: Sequence[int], name: str) -> FloatArray:
    """Points (n, *shape), also from flat ones. Raises DataError when they do not fit or there are none."""
    if callable(x):
        raise DataError(
            f"{name}: expected points, got {type(x).__name__}; the network comes first and the points second, such as "
            "local_complexity(model, x)."
        )
    points = to_float_array(x, name)
    if points.ndim < 2 or math.prod(points.shape[1:]) != math.prod(shape):
        raise DataError(f"{name}: expected points of shape (n, {', '.join(map(str, shape))}), got {points.shape}.")
    if not len(points):
        raise DataError(f"{name}: expected at least one point, got none.")
    return points.reshape(len(points), *shape)


class _Set:
    """One set of points on its way: counts so far, and the extremes of every unit over the whole set, for each radius."""

    def __init__(self, x: FloatArray, counters: Sequence[Pairs | Vertices], screen: Screen | None):
        self.x, self.counters, self.screen = x, counters, screen
        units = counters[0].units
        self._ends = np.cumsum([0, *units])
        self.counts = np.zeros((len(counters), len(units), len(x)), dtype=np.int64)
        self.lowest = np.full((len(counters), self._ends[-1]), np.inf)
        self.highest = -self.lowest
        self._merging = threading.Lock()

    def add(self, start: int, stop: int, image: Parts | Lines, rows: Tensor) -> None:
        """Evaluate points start..stop-1, as far as there are so many, with the directions at `rows` of the image."""
        some = torch.from_numpy(self.x[start:stop])
        if not len(some):
            return
        rows, left = rows[: len(some)], np.arange(len(some))
        lowest, highest = np.full_like(self.lowest, np.inf), np.full_like(self.highest, -np.inf)
        if isinstance(image, Lines):
            assert self.screen is not None
            if self.screen.worth:
                counts = np.zeros((*self.counts.shape[:2], len(some)), dtype=np.int64)
                left = self.screen.settle(some, image, rows, counts, lowest, highest)
                self.counts[:, :, start : start + len(some)] = counts
            image = image.parts
        for number, counter in enumerate(self.counters if len(left) else ()):
            for i, (low, high) in enumerate(counter.extremes(some[left], image, rows[left])):
                own = slice(self._ends[i], self._ends[i + 1])
                self.counts[number, i, start + left] = _between(low, high, counter.breakpoints[i]).sum(axis=1)
                np.minimum(lowest[number, own], low.min(axis=0), out=lowest[number, own])
                np.maximum(highest[number, own], high.max(axis=0), out=highest[number, own])
        with self._merging:
            np.minimum(self.lowest, lowest, out=self.lowest)
            np.maximum(self.highest, highest, out=self.highest)

    def result(self, number: int, num_vectors: int, watched: bool) -> LocalComplexity:
        """What was found at the radius of that number."""
        counter, live = self.counters[number], []
        for i, breakpoints in enumerate(counter.breakpoints):
            own = slice(self._ends[i], self._ends[i + 1])
            live.append(int(_between(self.lowest[number, own], self.highest[number, own], breakpoints).sum()))
        return LocalComplexity(
            self.counts[number], counter.units, np.array(live, dtype=np.int64), counter.radius, num_vectors,
            tuple(counter.names), watched,
        )  # fmt: skip


def _between(low: FloatArray, high: FloatArray, breakpoints: Sequence[float]) -> npt.NDArray[np.bool_]:
    """Whether a breakpoint lies strictly between the extremes."""
    crossed = np.zeros(low.shape, dtype=np.bool_)
    for b in breakpoints:
        crossed |= (low < b) & (b < high)
    return crossed
