r"""Distance profiles: how much knot lies within each distance of the decision boundary, or of the anchors, exactly.
Here too: the distances at which its bins begin and end, and the median ones of knot length and of area.

        knots within d of the sites            .------------.     The points within d of the sites are a union of
        L(d) = length, V(d) = length x jump   (  ===sites===  )    tubes (`measuring.tubes`): lengths of knots inside
        A(d) = area of the window within d     `------------'     it and its area in the window are exact.

A bin between two distances holds the differences; its density over the window's is 1 where knots do not care how far the
sites are. What a single distance (`measures.migration`) may miss, the whole curve shows. The median distance of knot length
over that of area is one number without a distance to choose: below 1 knots gather at the sites, above 1 they keep away.

(Region migration: Humayun, Balestriero, Baraniuk, arXiv 2402.15555, section 4.) Knows no torch and does not draw.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from splineviz.errors import FloatArray, PartitionError
from splineviz.geometry import boundary
from splineviz.geometry.partition import Partition
from splineviz.geometry.polygons import polygon_area
from splineviz.metrics.sites import Knots, Sites, anchors_of, boundary_of

SITES = ("boundary", "anchors")
BINS = 24
"""Default number of bins, between the smallest and the largest distance."""
RANGE = (0.0035, 0.4)
"""Default of the smallest and the largest distance, as shares of the square root of the window's area."""
ROUNDS = 60
"""Most steps of the search for a median."""
CLOSE = 1e-10
"""How close to half of all a median's share comes: areas between tubes that touch are not known much closer."""


@dataclass(frozen=True, eq=False)
class Profile:
    """What lies within each distance of the sites, from near to far.

    distances: (K,), in input-space length; area, length, variation: (K,) in the window within each of them: area, length of
    knots, and that length weighted by the jump of the slope across it. whole: the same three of the whole window.
    """

    distances: FloatArray
    area: FloatArray
    length: FloatArray
    variation: FloatArray
    whole: tuple[float, float, float]

    def ratios(self, *, weighted: bool = False) -> FloatArray:
        """(K,) density of each bin over the window's; the first bin begins at 0. NaN for bins without area.

        weighted: of the gradient's variation in place of the length.
        """
        amount, total = (self.variation, self.whole[2]) if weighted else (self.length, self.whole[1])
        areas = np.diff(self.area, prepend=0.0)
        within = np.diff(amount, prepend=0.0)
        # A bin that only rounding fills has no density.
        real = areas > 1e-12 * self.whole[0]
        density = np.divide(within, areas, out=np.full(len(areas), math.nan), where=real)
        return density * self.whole[0] / total if total > 0 else np.full(len(areas), math.nan)


def shares(count: int = BINS) -> FloatArray:
    """(count + 1,) the distances of `bins`, as shares of the window's side."""
    return np.geomspace(*RANGE, count + 1)


def bins(window: FloatArray, count: int = BINS) -> FloatArray:
    """(count + 1,) distances for a profile of a window (m, 2): evenly spaced in the logarithm over RANGE of its side."""
    side = math.sqrt(polygon_area(window - window.mean(axis=0)))
    return side * shares(count)


def profile(
    partition: Partition, sites: str = "boundary", *, distances: Sequence[float] | FloatArray | None = None
) -> Profile:
    """Area, length of knots and variation of the gradient in the window within each distance of the sites.

    sites: "boundary" (the decision boundary) or "anchors" (the samples that span the plane; the nearest counts).
    distances: (K,) increasing and positive, in input-space length; None: `bins` of the window.
    Exact up to rounding. Without sites (no boundary in view) nothing lies within any distance.
    Raises PartitionError for unknown sites and for distances that do not increase from above 0.
    """
    where = bins(partition.window) if distances is None else np.asarray(distances, dtype=np.float64)
    if where.ndim != 1 or not len(where) or not (np.isfinite(where).all() and (np.diff(where, prepend=0.0) > 0).all()):
        raise PartitionError(f"distances: expected positive distances that increase, got {distances}.")
    places, knots = _seen(partition, sites)
    knots = knots.nearer(float(where[0]), float(where[-1]))
    found = len(places.segments) > 0
    area = np.array([places.area_and_growth(d)[0] for d in where]) if found else np.zeros(len(where))
    within = [knots.within(d) for d in where]
    length = np.array([float(inside.sum()) for inside in within])
    variation = np.array([float((inside * knots.jumps).sum()) for inside in within])
    whole = (polygon_area(places.window), float(knots.lengths.sum()), float((knots.lengths * knots.jumps).sum()))
    return Profile(where, area, length, variation, whole)


def median_distances(partition: Partition, sites: str = "boundary") -> tuple[float, float]:
    """The distances from the sites within which half the length of knots and half the window's area lie.

    In input-space length; NaN without sites, the first also without knots. Their ratio needs no distance to be chosen.
    Raises PartitionError for unknown sites.
    """
    places, knots = _seen(partition, sites)
    if not len(places.segments):
        return math.nan, math.nan
    window, lattice, whole = places.window, places.lattice, polygon_area(places.window)
    far = float(np.hypot(*np.ptp(window, axis=0))) + float(boundary.distances(window, places.segments).max())
    half, of_knots = 0.5 * float(knots.lengths.sum()), math.nan
    if half > 0:
        guess = _guess(0.5 * (knots.least + knots.most), knots.lengths)
        known = knots.nearer(guess[0], guess[0])
        of_knots = _where(lambda d: (float(known.within(d).sum()), math.nan), half, far, guess)
    # Tubes as wide as the window meet each other everywhere, and their area takes long: few distances are tried.
    guess = _guess(lattice.distances, lattice.inside * (whole / lattice.inside.sum()))
    return of_knots, _where(places.area_and_growth, 0.5 * whole, far, guess)


def _guess(distances: FloatArray, amounts: FloatArray) -> tuple[float, float]:
    """The median of some distances, each with an amount, and how fast what is within them grows there."""
    order = np.argsort(distances)
    grown = np.cumsum(amounts[order])
    near, middle, away = distances[order][np.searchsorted(grown, grown[-1] * np.array([0.45, 0.5, 0.55]))]
    return float(middle), 0.1 * float(grown[-1]) / float(away - near) if away > near else math.inf


def _seen(partition: Partition, sites: str) -> tuple[Sites, Knots]:
    if sites not in SITES:
        raise PartitionError(f"sites: expected one of {', '.join(SITES)}, got {sites!r}.")
    return boundary_of(partition) if sites == "boundary" else anchors_of(partition)


def _where(
    grown: Callable[[float], tuple[float, float]], level: float, far: float, guess: tuple[float, float]
) -> float:
    """The distance in (0, far] at which a quantity that grows with it reaches a level, half of what it is at far.

    grown(d): the quantity, and how fast it grows there or NaN. Newton's method where that is known; regula falsi, halved
    (Illinois), where it is not or Newton's leaves what is known to hold the distance. guess: about where, and how fast the
    quantity grows there: where that is not known, the second distance that is tried lies on the other side.
    """
    low, high, below, above = 0.0, far, -level, level
    side, middle = 0, guess[0]
    for tried in range(ROUNDS):
        if not low < middle < high:
            middle = 0.5 * (low + high)
        amount, growth = grown(middle)
        value = amount - level
        if abs(value) <= CLOSE * level:
            return middle
        if value < 0:
            low, below = middle, value
            above = 0.5 * above if side < 0 else above
            side = -1
        else:
            high, above = middle, value
            below = 0.5 * below if side > 0 else below
            side = 1
        if high - low <= 1e-12 * far:
            break
        newton = middle - value / growth if growth > 0 else math.nan
        if low < newton < high:
            middle = newton
        elif tried == 0:
            middle -= 1.5 * value / guess[1]
        else:
            middle = (low * above - high * below) / (above - below) if above > below else 0.5 * (low + high)
            middle = min(max(middle, low + 1e-3 * (high - low)), high - 1e-3 * (high - low))
    return 0.5 * (low + high)
