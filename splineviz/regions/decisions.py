r"""Decisions: what the engine cannot tell in double precision, decided exactly where that is to be had.

    a value within its error of 0 at a vertex          -> its sign                       `signs`
    cuts of one edge whose places cannot be told apart -> their order, or one vertex     `order`
    a unit near the crossing of two others in a face   -> on which side it passes        `answers`
    a vertex of two knots that are nearly parallel     -> its place, and its values      `places`, `values`

Few are asked for in a network in general position; where many are, as in a network whose knots meet by design, the answer is
that they do. What `Exact` cannot tell (a network too large to be taken apart, too many questions) is left as the tolerance
has it, and counted. Knows vertices by their birth (see `exact`), not blocks. Safe to use from several threads.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from splineviz._kernels.arrangement import question
from splineviz._kernels.bits import packed, units_of
from splineviz._kernels.edges import EdgeCuts, Parents
from splineviz.errors import FloatArray, IntArray
from splineviz.geometry.integers import Point, rounded
from splineviz.regions.exact import Exact, Ids, TooMuch, Undecided
from splineviz.tracing.program import Program

Words = npt.NDArray[np.uint64]
ZEROS = 0.1
"""Share of the cost of all decisions that values may have which are exactly 0 as computed; after that they are believed."""
QUESTION = 300
"""What one question about a crossing costs, in products of integers."""

BORDER = 2.0**-48
"""How far off a side of the window, relative to its size, a point on it may have been computed."""


class Ended(Exception):
    """Exact decisions came to an end on the way: what is cut with them and what is cut without does not fit everywhere."""


class Ends(NamedTuple):
    """Edges (E, 2), and of their vertices births, where they stand, and how far off that may be; see `blocks.Block`."""

    edges: IntArray
    birth: Ids
    uv: FloatArray
    blur: FloatArray

    def births(self, edge: int) -> list[int]:
        """Births of an edge's two ends."""
        found: list[int] = self.birth[self.edges[edge]].tolist()
        return found


class Decisions:
    """Exact answers for one program on one slice; `open` says whether there are any to be had."""

    def __init__(self, program: Program, origin: FloatArray, directions: FloatArray, centre: FloatArray):
        self._lock = threading.RLock()
        self._exact = Exact(program, origin, directions)
        self._centre = np.concatenate([centre, np.zeros(2 - len(centre))])
        self.open = self._exact.possible
        self._spent_on_zeros = 0

    # ---- births ------------------------------------------------------------------------------------

    def corners(self, uv: FloatArray, corners: FloatArray | None = None) -> Ids:
        """Births of vertices at uv (n, 2) relative to the centre; corners: see `Engine.place`."""
        if not self.open:
            return np.zeros(len(uv), np.int64)
        whole = [] if corners is None else corners.tolist()
        stands_for = {tuple(u - c for u, c in zip(point, self._centre.tolist(), strict=True)): point for point in whole}
        centre = [Fraction(c) for c in self._centre.tolist()]
        points: list[Sequence[float | Fraction]] = []
        for p in uv.tolist():
            known = stands_for.get(tuple(p))
            points.append(known or _on_border([Fraction(x) + c for x, c in zip(p, centre, strict=True)], whole, uv))
        with self._lock:
            return self._exact.corners(points)

    def born(self, layer: int, parents: Parents, old: Ids) -> Ids:
        """Births of all vertices after a layer's cuts; see `Exact.born`."""
        if not self.open:
            return np.zeros(len(old) + len(parents.a), np.int64)
        with self._lock:
            return self._exact.born(layer, parents.a, parents.b, parents.maker, old)

    def middle(self, one: int, other: int, uv: FloatArray) -> Ids:
        """Birth (1,) of the vertex half way between two, which as computed is at uv (2,) relative to the centre."""
        if not self.open:
            return np.zeros(1, np.int64)
        try:
            with self._lock:
                (ax, ay, aw), (bx, by, bw) = self._exact.point(one), self._exact.point(other)
                w = 2 * aw * bw
                return self._exact.corners([(Fraction(ax * bw + bx * aw, w), Fraction(ay * bw + by * aw, w))])
        except Undecided as reason:
            self._note(reason)
            return self.corners(uv[None])

    # ---- answers -----------------------------------------------------------------------------------

    def signs(
        self, birth: Ids, layer: int, z: FloatArray, limit: FloatArray, plus: Words, minus: Words, mask: Words
    ) -> tuple[int, Ids]:
        """Decide the values that are neither + nor -, in z, plus and minus; how many that are not 0 are left undecided, and
        the vertices where one that is not 0 was decided.

        limit: (units,) below which a value decides nothing; where it is 0 nothing was rounded. mask: the units to look at.
        """
        blank = ~(plus | minus) & (mask & packed(np.flatnonzero(limit > 0.0), plus.shape[1]))
        rows = np.flatnonzero(blank.any(axis=1))
        if not self.open:
            bits = np.unpackbits(blank[rows].view(np.uint8), axis=1, count=z.shape[1], bitorder="little")
            return int(np.count_nonzero(bits.view(bool) & (z[rows] != 0.0))), np.zeros(0, np.int64)
        left, asked = 0, []
        for v in rows:
            units = units_of(blank[v])
            near = int((z[v, units] != 0.0).sum())
            if not self.open or (not near and self._spent_on_zeros > ZEROS * self._exact.limit):  # it may end on the way
                left += near
                continue
            try:
                with self._lock:
                    before = self._exact.spent
                    numerators, denominator = self._exact.values(int(birth[v]), layer)
                    self._spent_on_zeros += 0 if near else self._exact.spent - before
            except Undecided as reason:
                self._note(reason)
                left += near
                continue
            asked += [v] if near else []
            for u in units:
                z[v, u] = rounded(numerators[u], denominator)
                bit = np.uint64(1) << np.uint64(u & 63)
                if z[v, u] > 0.0:
                    plus[v, u >> 6] |= bit
                elif z[v, u] < 0.0:
                    minus[v, u >> 6] |= bit
        return left, np.array(asked, np.int64)

    def edges(self, cuts: EdgeCuts, shared: Ids, far: Ids, ends: Ends, layer: int) -> int:
        """Put the cuts of the edges `shared` into their order, and the cuts `far` where they are, all in `cuts`.

        How many cuts may be told apart that are not.
        """
        left, counts = 0, np.diff(cuts.vertex_offsets)
        for e in shared.tolist():
            there = slice(int(cuts.offsets[e]), int(cuts.offsets[e + 1]))
            told = self._places(ends.births(e), layer, cuts.unit[there].tolist()) if self.open else None
            if told is None:
                left += there.stop - there.start - int(counts[e])
                continue
            places = sorted((place, unit) for unit, place in told.items())
            size = dict(zip(cuts.unit[there].tolist(), cuts.size[there].tolist(), strict=True))
            first = [k == 0 or places[k][0] != places[k - 1][0] for k in range(len(places))]
            cuts.unit[there] = [unit for _, unit in places]
            cuts.t[there] = self._drawn([place for place, _ in places], e, ends)
            cuts.size[there] = [size[unit] for _, unit in places]
            cuts.order[there] = np.cumsum(first) - 1
            cuts.spread[there] = 0.0
            counts[e] = sum(first)
        cuts.vertex_offsets[1:] = np.cumsum(counts)
        for c in far[cuts.spread[far] > 0.0] if self.open else ():
            e = int(np.searchsorted(cuts.offsets, c, side="right")) - 1
            found = self._places(ends.births(e), layer, [int(cuts.unit[c])])
            if found is not None:
                cuts.t[c], cuts.spread[c] = self._drawn(list(found.values()), e, ends)[0], 0.0
        return left

    def _drawn(self, places: Sequence[Fraction], edge: int, ends: Ends) -> list[float]:
        """Where on an edge as it is drawn places lie that are shares of the way between where its ends truly are."""
        pair, centre = ends.edges[edge], [Fraction(c) for c in self._centre.tolist()]
        drawn = [[Fraction(x) for x in point] for point in ends.uv[pair].tolist()]
        way = [q - p for p, q in zip(*drawn, strict=True)]
        length2 = way[0] * way[0] + way[1] * way[1]
        if ends.blur[pair].max() <= 1.0 or length2 == 0:
            return [float(place) for place in places]
        along = []
        for birth in ends.births(edge):
            with self._lock:
                x, y, w = self._exact.point(birth)
            off = Fraction(x, w) - centre[0] - drawn[0][0], Fraction(y, w) - centre[1] - drawn[0][1]
            along.append((way[0] * off[0] + way[1] * off[1]) / length2)
        first, last = along
        return [float(min(max(first + place * (last - first), Fraction(0)), Fraction(1))) for place in places]

    def _places(self, ends: Sequence[int], layer: int, units: Sequence[int]) -> dict[int, Fraction] | None:
        """Where some units are 0 between two vertices, as shares of the way; None if it cannot be told."""
        try:
            with self._lock:
                (za, da), (zb, db) = (self._exact.values(end, layer) for end in ends)
        except Undecided as reason:
            self._note(reason)
            return None
        if any(za[unit] * zb[unit] >= 0 for unit in units):
            return None
        before, after = {u: abs(za[u]) * db for u in units}, {u: abs(zb[u]) * da for u in units}
        return {unit: Fraction(before[unit], before[unit] + after[unit]) for unit in units}

    def answers(
        self, questions: Ids, corners: Sequence[Ids], layer: int
    ) -> tuple[Words, FloatArray]:
        """Values of units at crossings (face, unit, one, other), of those that can be told, by sorted numbers of questions.

        corners: births of the corners of each question's face.
        """
        if not self.open:
            return np.zeros(0, np.uint64), np.zeros(0)
        numbers, values, forms = [], [], {}
        for (face, unit, one, other), births in zip(questions.tolist(), corners, strict=True):
            try:
                with self._lock:
                    if face not in forms:
                        forms[face] = Forms(self._exact, births.tolist(), layer)
                    values.append(forms[face].at_crossing(unit, one, other))
                    self._exact.spent += QUESTION
            except Undecided as reason:
                self._note(reason)
                continue
            numbers.append(question(face, unit, one, other))
        found = np.array(numbers, np.uint64)
        found, first = np.unique(found, return_index=True)
        return found, np.array(values, np.float64)[first]

    def places(self, birth: Ids) -> tuple[npt.NDArray[np.bool_], FloatArray]:
        """Where vertices (n,) are, relative to the centre (n, 2), and for which of them (n,) that can be told."""
        told, uv = np.zeros(len(birth), bool), np.zeros((len(birth), 2))
        if not self.open:
            return told, uv
        for i, at in enumerate(birth.tolist()):
            try:
                with self._lock:
                    uv[i] = self._exact.uv(at, self._centre)
                told[i] = True
            except Undecided as reason:
                self._note(reason)
        return told, uv

    def values(self, birth: Ids, layer: int) -> list[tuple[FloatArray, dict[int, FloatArray]] | None]:
        """Inputs of a layer and all registers alive there at each vertex, rounded once; None where it cannot be told."""
        found: list[tuple[FloatArray, dict[int, FloatArray]] | None] = []
        for at in birth.tolist():
            try:
                with self._lock:
                    found.append((self._exact.floats(at, layer), self._exact.live(at, layer)))
            except Undecided as reason:
                self._note(reason)
                found.append(None)
        return found

    def _note(self, reason: Undecided) -> None:
        if isinstance(reason, TooMuch):
            self.open = False


def _on_border(point: list[Fraction], corners: Sequence[Sequence[float]], uv: FloatArray) -> list[Fraction]:
    """A point that was computed on a side of a window (its corners; none: []), exactly on it; any other as it is."""
    limit = BORDER * float(np.abs(uv).max())
    for p, q in zip(corners, [*corners[1:], *corners[:1]], strict=True):
        start, way = [Fraction(x) for x in p], [Fraction(b) - Fraction(a) for a, b in zip(p, q, strict=True)]
        off = way[0] * (point[1] - start[1]) - way[1] * (point[0] - start[0])
        if abs(float(off)) <= limit * float(np.hypot(float(way[0]), float(way[1]))):
            kept = int(abs(way[1]) > abs(way[0]))
            moved = start[1 - kept] + way[1 - kept] * (point[kept] - start[kept]) / way[kept]
            return [point[0], moved] if kept == 0 else [moved, point[1]]
    return point


# ---- signs in one face ---------------------------------------------------------------------------------------------


class Forms:
    """The units of one layer on one face, as their exact values at three of its corners that lie on no line."""

    def __init__(self, exact: Exact, corners: Sequence[int], layer: int):
        chosen = list(corners[:2])
        first, second = (exact.point(birth) for birth in chosen)
        for birth in corners[2:]:
            if _determinant(first, second, exact.point(birth)) != 0:
                chosen.append(birth)
                break
        else:
            raise Undecided("a face has no area")
        rows = [exact.values(birth, layer) for birth in chosen]
        self._numerators, self._denominators = [row for row, _ in rows], [d for _, d in rows]

    def at_crossing(self, unit: int, one: int, other: int) -> float:
        """Value of a unit where two others are 0, rounded, with its sign; see `Exact`. Raises Undecided."""
        z, p, q = (tuple(row[u] for row in self._numerators) for u in (unit, one, other))
        # Barycentric coordinates of the crossing, each times its corner's denominator.
        weights = (p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0])
        total = sum(w * d for w, d in zip(weights, self._denominators, strict=True))
        if total == 0:
            raise Undecided("two knots that cross are parallel")
        return rounded(sum(w * n for w, n in zip(weights, z, strict=True)), total)


def _determinant(p: Point, q: Point, r: Point) -> int:
    return (
        p[0] * (q[1] * r[2] - q[2] * r[1]) - p[1] * (q[0] * r[2] - q[2] * r[0]) + p[2] * (q[0] * r[1] - q[1] * r[0])
    )
