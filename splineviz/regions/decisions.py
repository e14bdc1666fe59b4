r"""Decisions: what the engine cannot tell in double precision, decided exactly where that is to be had.

    a value within its error of 0 at a vertex          -> its sign                       `signs`
    cuts of one edge whose places cannot be told apart -> their order, or one vertex     `order`
    a unit near the crossing of two others in a face   -> on which side it passes        `answers`
    a vertex of two knots that are nearly parallel     -> its place, and its values      `places`, `values`

Few are asked for in a network in general position; where many are, as in a network whose knots meet by design, the answer is
that they do. What `Exact` cannot tell (a network too large to be taken apart, too many questions) is left as the tolerance
has it, and counted. What the two blocks at a seam ask is answered once. Knows vertices by their birth (see `exact`). Safe to
use from several threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from typing import TypeVar, cast

import numpy as np
import numpy.typing as npt

from splineviz._kernels.arrangement import question
from splineviz._kernels.bits import Scales, packed, units_of
from splineviz._kernels.edges import EdgeCuts, Parents
from splineviz.errors import FloatArray
from splineviz.geometry.integers import Point, rounded
from splineviz.regions.blocks import Block
from splineviz.regions.exact import Exact, Ids, TooMuch, Undecided
from splineviz.tracing.program import Program

Words = npt.NDArray[np.uint64]
Answer = TypeVar("Answer")
ZEROS = 0.1
"""Share of the cost of all decisions that values may have which are exactly 0 as computed; after that they are believed."""
QUESTION = 300
"""What one question about a crossing costs, in products of integers."""

BORDER = 2.0**-48
"""How far off a side of the window, relative to its size, a point on it may have been computed."""


class Decisions:
    """Exact answers for one program on one slice; `open` says whether there are any to be had."""

    def __init__(self, program: Program, origin: FloatArray, directions: FloatArray, centre: FloatArray):
        self._lock = threading.RLock()
        self._exact = Exact(program, origin, directions)
        self._centre = np.concatenate([centre, np.zeros(2 - len(centre))])
        self.open = self._exact.possible
        self._spent_on_zeros = 0
        self._at_seams: dict[tuple[object, ...], object] = {}

    @property
    def silent(self) -> bool:
        """Whether no answers are to be had, and none was given at a seam."""
        return not self.open and not self._at_seams

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

    def signs(self, block: Block, z: FloatArray, sharp: Scales, plus: Words, minus: Words, mask: Words) -> int:
        """Decide the values z of a block that are neither + nor -, in z, plus and minus; how many are read as 0 and are not.

        sharp: scales of values whose vertices are where they are computed to be: what cannot be decided, and is larger than
        these say, keeps its sign. Where a unit's are 0 nothing was rounded. mask: the units to look at.
        """
        row_scale, unit_scale, unit_offset, tolerance = sharp
        blank = ~(plus | minus) & (mask & packed(np.flatnonzero((unit_scale > 0.0) | (unit_offset > 0.0)), plus.shape[1]))
        rows = np.flatnonzero(blank.any(axis=1))
        if self.silent and not (block.blur[rows] > 1.0).any():
            bits = np.unpackbits(blank.view(np.uint8), axis=1, count=z.shape[1], bitorder="little")
            return int(np.count_nonzero(bits.view(bool) & (z != 0.0)))
        seams, left = _seam_words(block) if len(rows) else {}, 0
        for v in rows.tolist():
            units = units_of(blank[v])
            birth, near = int(block.birth[v]), bool((z[v, units] != 0.0).any())
            exact = self._once(
                seams.get(v), (block.layer, *units.tolist()), partial(self._values, birth, block.layer, units.tolist(), near)
            )
            if exact is None:
                limit = tolerance * (row_scale[v] * unit_scale[units] + unit_offset[units])
                kept = np.abs(z[v, units]) > limit
                left += int((~kept & (z[v, units] != 0.0)).sum())
                exact = np.where(kept, z[v, units], 0.0).tolist()
            else:
                z[v, units] = exact
            for u, value in zip(units.tolist(), exact, strict=True):
                bit = np.uint64(1) << np.uint64(u & 63)
                if value > 0.0:
                    plus[v, u >> 6] |= bit
                elif value < 0.0:
                    minus[v, u >> 6] |= bit
        return left

    def _values(self, birth: int, layer: int, units: Sequence[int], near: bool) -> list[float] | None:
        """Values of some units at a vertex, rounded; near: whether any of them is not 0 as computed. None if untold."""
        if not self.open or (not near and self._spent_on_zeros > ZEROS * self._exact.limit):
            return None
        try:
            with self._lock:
                before = self._exact.spent
                numerators, denominator = self._exact.values(birth, layer)
                self._spent_on_zeros += 0 if near else self._exact.spent - before
            return [rounded(numerators[u], denominator) for u in units]
        except Undecided as reason:
            self._note(reason)
            return None

    def edges(
        self, block: Block, cuts: EdgeCuts, shared: Ids, far: Ids, undecided: Callable[[int], EdgeCuts]
    ) -> int:
        """Put the cuts of the edges `shared` into their order, and the cuts `far` where they are, all in `cuts`.

        undecided: the cuts of an edge where they cannot be told. How many cuts may be told apart that are not.
        """

        def told_of(edge: int, units: list[int]) -> dict[int, Fraction] | None:
            ends = block.birth[block.edges[edge]].tolist()
            return self._once(
                block.key[edge], (block.layer, *units), lambda: self._places(ends, block.layer, units)
            )

        left, counts = 0, np.diff(cuts.vertex_offsets)
        for e in shared.tolist():
            there = slice(int(cuts.offsets[e]), int(cuts.offsets[e + 1]))
            told = told_of(e, sorted(cuts.unit[there].tolist()))
            if told is None:
                left += there.stop - there.start - int(counts[e])
                few = undecided(e)
                for all_, own in ((cuts.unit, few.unit), (cuts.t, few.t), (cuts.size, few.size), (cuts.order, few.order),
                                  (cuts.spread, few.spread)):  # fmt: skip
                    all_[there] = own
                counts[e] = few.vertex_offsets[-1]
                continue
            places = sorted((place, unit) for unit, place in told.items())
            size = dict(zip(cuts.unit[there].tolist(), cuts.size[there].tolist(), strict=True))
            first = [k == 0 or places[k][0] != places[k - 1][0] for k in range(len(places))]
            cuts.unit[there] = [unit for _, unit in places]
            cuts.t[there] = [float(place) for place, _ in places]
            cuts.size[there] = [size[unit] for _, unit in places]
            cuts.order[there] = np.cumsum(first) - 1
            cuts.spread[there] = 0.0
            counts[e] = sum(first)
        cuts.vertex_offsets[1:] = np.cumsum(counts)
        far = far[cuts.spread[far] > 0.0]
        for c, e in zip(far.tolist(), (np.searchsorted(cuts.offsets, far, side="right") - 1).tolist(), strict=True):
            told = told_of(e, [int(cuts.unit[c])])
            if told is not None:
                cuts.t[c], cuts.spread[c] = float(told[int(cuts.unit[c])]), 0.0
        return left

    def _places(self, ends: Sequence[int], layer: int, units: Sequence[int]) -> dict[int, Fraction] | None:
        """Where some units are 0 between two vertices, as shares of the way; None if it cannot be told."""
        if not self.open:
            return None
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

    def places(self, birth: Ids, seams: Words | None = None) -> tuple[npt.NDArray[np.bool_], FloatArray]:
        """Where vertices (n,) are, relative to the centre (n, 2), and for which of them (n,) that can be told.

        seams: (n,) the key of a seam's edge that begins there, 0 elsewhere.
        """
        told, uv = np.zeros(len(birth), bool), np.zeros((len(birth), 2))
        seams = np.zeros(len(birth), np.uint64) if seams is None else seams
        for i, (at, seam) in enumerate(zip(birth.tolist(), seams, strict=True)):
            found = self._once(seam, (), partial(self._place, at))
            if found is not None:
                told[i], uv[i] = True, found
        return told, uv

    def _place(self, birth: int) -> tuple[float, float] | None:
        if not self.open:
            return None
        try:
            with self._lock:
                return self._exact.uv(birth, self._centre)
        except Undecided as reason:
            self._note(reason)
            return None

    def _once(self, seam: object, question: tuple[int, ...], answer: Callable[[], Answer]) -> Answer:
        """An answer; on a seam the one that the first of its two blocks was given, or was not: so they stay alike, also
        where no more answers are to be had in between.
        """
        if not seam:
            return answer()
        at = (seam, *question)
        with self._lock:
            if at not in self._at_seams:
                self._at_seams[at] = answer()
            return cast(Answer, self._at_seams[at])

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


def _seam_words(block: Block) -> dict[int, bytes]:
    """What names the vertices of a block that lie on seams, for the other block too: where they are."""
    return {v: (block.uv[v] + 0.0).tobytes() for v in np.unique(block.edges[block.key != 0]).tolist()}


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
