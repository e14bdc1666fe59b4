r"""Coincidences: where several knots are one line, or meet in one point, do they so exactly?
Also faces too thin for double precision, judged exactly, and whether a program has maxima.

      A  |  B         Across one edge two units change: their knots are one line, or a sliver between them was lost.
     u, v|            \ | /
         |             \|/     In one vertex three knots meet: they do, or a triangle between them was lost.
                      --+--

In general position there is neither. No rounding decides it: the units are read in integers (`exact`) at three points inside
a face beside the edge or vertex, where all of them are affine, and their forms are proportional, or in one pencil, or not.

Of a thin face the claimed pattern is taken, from that of a face that doubles can read by way of the edges between. It makes
every unit one exact form there; the edges' forms meet in the exact corners, and at these all units must have the signs of
the pattern, every edge must be a side, and the vertices must stand (`Faces.fault`). That proves the face.

Maxima, and networks too large to be taken apart, are not looked at, nor is what would cost too much: the report says what.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from splineviz._kernels.bits import unit_hashes
from splineviz.errors import FloatArray
from splineviz.geometry import lines
from splineviz.geometry.integers import rounded_row
from splineviz.geometry.lines import Line, crossed
from splineviz.geometry.partition import Partition
from splineviz.regions.exact import Exact, Forms, Ids, TooMuch, Undecided
from splineviz.tracing.program import Program

LIMIT = 150_000_000
"""Products of integers that the check of one partition may cost."""
REST = "were held to be what rounding says"
LONG = "for it would take long; choose a smaller window"
NEAR = 2.0**-22
"""How far a vertex of a thin face may stand off its exact place along its knots, in diameters of the window; across them
the values of its units tell. The enumerator places exactly what may be off by more than 2^-24 of the window."""
WAY = 4096
"""Faces that are looked at on the way to one that doubles can read."""
FAULTS = 20
"""Faults after which no more faces are judged."""
Form = Line
Bits = npt.NDArray[np.bool_]


@dataclass
class Judged:
    """Faces that are right exactly (F,), faults with their face, of the right ones slopes (C, 2) of the outputs and units
    that are on, and what was left, by the reason.
    """

    exactly: Bits
    faults: list[tuple[int, str]] = field(default_factory=list)
    slopes: dict[int, FloatArray] = field(default_factory=dict)
    on: dict[int, npt.NDArray[np.uint8]] = field(default_factory=dict)
    left: dict[str, list[int]] = field(default_factory=dict)


def judge(partition: Partition, program: Program, asked: Ids, sure: Bits, edges: Ids) -> Judged:
    """Judge faces exactly.

    asked: the faces. sure: (F,) faces whose pattern doubles have read. edges: of the faces' sides, flat, as in face_offsets.
    """
    judged = Judged(np.zeros(partition.num_regions, bool))
    exact = Exact(program, partition.plane.origin, partition.plane.basis)
    maxima = program_has_maxima(program)
    if not len(asked):
        return judged
    if maxima or not exact.possible:
        reason = "for the network has maxima" if maxima else "for the network is too large to be taken apart"
        judged.left[reason] = asked.tolist()
        return judged
    exact.limit = LIMIT
    faces = Faces(partition, exact)
    patterns = _Patterns(faces, sure, edges)
    for at, face in enumerate(asked.tolist()):
        try:
            on = patterns.of(face)
            fault = "its pattern is not the one across its edges" if on is None else faces.fault(face, on, edges)
        except TooMuch:
            judged.left[LONG] = asked[at:].tolist()
            return judged
        except Undecided as error:
            judged.left.setdefault(f"for {error}", []).append(face)
            continue
        if on is not None and fault is None:
            judged.exactly[face], judged.on[face], judged.slopes[face] = True, np.packbits(on), faces.slopes(on)
            continue
        judged.faults.append((face, fault or ""))
        if len(judged.faults) == FAULTS:
            judged.left["for many faces are wrong"] = asked[at + 1 :].tolist()
            return judged
    return judged


def apart(partition: Partition, program: Program, judged: Judged, unjudged: list[str]) -> Iterator[tuple[int, str]]:
    """What should coincide and does not: a face beside it, and a line about it. unjudged: told what was left."""
    exact = Exact(program, partition.plane.origin, partition.plane.basis)
    maxima = program_has_maxima(program)
    joint, stars = [] if maxima else _joint(partition), _stars(partition)
    if maxima or not exact.possible:
        if joint or stars:
            reason = "for the network has maxima" if maxima else "for the network is too large to be taken apart"
            unjudged.append(f"coincidences: {_counted(len(joint), len(stars))} {REST}, {reason}")
        return
    exact.limit = LIMIT
    faces = Faces(partition, exact, judged.on)
    number, words, blurred = np.argsort(faces.word), np.sort(faces.word), list[int]()
    for at, (edge, rest) in enumerate(joint):
        left, right = partition.edge_faces[edge].tolist()
        tag = int(partition.edge_tag[edge])
        face = left if partition.areas[left] >= partition.areas[right] else right
        try:
            place = int(np.searchsorted(words, rest))
            if place < len(words) and words[place] == rest:
                others = [int(number[place])]
            else:
                others = faces.changing(left, right, tag)
            forms = faces.forms(face, [tag, *others])
        except TooMuch:
            unjudged.append(f"coincidences: {_counted(len(joint) - at, len(stars))} {REST}, {LONG}")
            return
        except Undecided:
            blurred.append(face)
            continue
        for other, form in zip(others, forms[1:], strict=True):
            if any(crossed(forms[0], form)):
                yield face, f"units {tag} and {other} change at once across edge {edge}, but their knots are apart"
    for at, (vertex, face, tags) in enumerate(stars):
        try:
            forms = faces.forms(face, tags)
        except TooMuch:
            unjudged.append(f"coincidences: {_counted(0, len(stars) - at)} {REST}, {LONG}")
            return
        except Undecided:
            blurred.append(face)
            continue
        if not _one_pencil(forms):
            yield face, f"knots of units {tags} meet in vertex {vertex}, but not in one point"
    if blurred:
        unjudged.append(f"coincidences: {len(blurred)} {REST}, for no face beside is thick, the first at face {blurred[0]}")


def _counted(edges: int, vertices: int) -> str:
    return f"{edges} edges on which several knots lie and {vertices} vertices in which several meet"


def program_has_maxima(program: Program) -> bool:
    """Whether some operation of a program is a maximum."""
    return any(step.is_max for step in program.steps)


class Faces:
    """Units as exact forms on a face: their values at three points inside it, or what its pattern makes of them."""

    def __init__(self, partition: Partition, exact: Exact, on: Mapping[int, npt.NDArray[np.uint8]] | None = None):
        self.partition, self.exact, self._on = partition, exact, on or {}
        self.offsets = partition.unit_offsets.astype(np.int64)
        self.word = unit_hashes(0, int(self.offsets[-1]))
        self._births: dict[int, list[int]] = {}
        self._centre = [Fraction(c) for c in partition.centre.tolist()]
        self._window = [lines.through(p, q) for p, q in zip(partition.window, np.roll(partition.window, -1, 0), strict=True)]
        self._latest: tuple[bytes, Forms, FloatArray] | None = None

    def inside(self, face: int) -> list[int]:
        """Births of three points inside a face."""
        if face not in self._births:
            corners = self.partition.local_vertices[self.partition.face(face)]
            mean = corners.mean(axis=0)
            arms = corners - mean
            a = int(np.hypot(*arms.T).argmax())
            b = int(np.abs(arms[:, 0] * arms[a, 1] - arms[:, 1] * arms[a, 0]).argmax())
            points = [mean, mean + 0.5 * arms[a], mean + 0.5 * arms[b]]
            exactly = [[Fraction(x) + c for x, c in zip(p.tolist(), self._centre, strict=True)] for p in points]
            self._births[face] = self.exact.corners(exactly).tolist()
        return self._births[face]

    def forms(self, face: int, units: list[int]) -> list[Form]:
        """Each unit's values at the three points, up to factors that all units share. Raises Undecided.

        In a face too thin for points inside, of which it is known which units are on there: its line.
        """
        if face in self._on:
            known = self.all_forms(self.units_on(face))
            return [lines.shortened(known[:, unit]) for unit in units]
        births = self.inside(face)
        layers = [int(np.searchsorted(self.offsets, unit, side="right")) - 1 for unit in units]
        for layer in range(max(layers)):
            signs = [np.sign(self.exact.values(birth, layer)[0].astype(object)) for birth in births]
            if (signs[0] != signs[1]).any() or (signs[0] != signs[2]).any():
                raise Undecided("a face too thin")
        found = []
        for unit, layer in zip(units, layers, strict=True):
            values = [self.exact.value(birth, layer, unit - int(self.offsets[layer])) for birth in births]
            # Different layers have different denominators: bring each form to whole numbers.
            found.append(tuple(n * (values[i - 1][1] * values[i - 2][1]) for i, (n, _) in enumerate(values)))
        return found  # type: ignore[return-value]

    # ---- thin faces --------------------------------------------------------------------------------

    def units_on(self, face: int) -> Bits:
        """Which units are on in a face: known before, or read at a point inside. Raises Undecided."""
        if face in self._on:
            return np.unpackbits(self._on[face], count=len(self.word)).astype(bool)
        birth = self.inside(face)[0]
        rows = [self.exact.values(birth, layer)[0] > 0 for layer in range(len(self.offsets) - 1)]
        return np.concatenate([np.zeros(0, bool), *rows]).astype(bool)

    def hash_of(self, on: Bits) -> np.uint64:
        """The hash of a pattern."""
        return np.uint64(np.bitwise_xor.reduce(self.word[on], initial=np.uint64(0)))

    def all_forms(self, on: Bits) -> Forms:
        """All units (3, U) where some are on, each up to a factor > 0. Raises TooMuch."""
        return self._taken(on)[0]

    def slopes(self, on: Bits) -> FloatArray:
        """(C, 2) slopes of the outputs where some units are on."""
        return self._taken(on)[1]

    def _taken(self, on: Bits) -> tuple[Forms, FloatArray]:
        key = on.tobytes()
        if self._latest is None or self._latest[0] != key:
            *units, (outputs, exponent) = self.exact.forms(on)
            whole = np.concatenate([np.zeros((3, 0), object), *(forms for forms, _ in units)], axis=1)
            slopes = np.stack([rounded_row(row, 1 << exponent) for row in outputs[:2]], axis=1)
            self._latest = key, whole, slopes
        return self._latest[1:]

    def fault(self, face: int, on: Bits, edges: Ids) -> str | None:
        """What is wrong with a face in which some units are on, decided exactly; None if nothing is. Raises Undecided."""
        part, forms = self.partition, self.all_forms(on)
        self.exact.spent += forms.size
        here = edges[part.face_offsets[face] : part.face_offsets[face + 1]].tolist()
        ring = [self._side(int(part.edge_tag[edge]), edge, forms, on) for edge in here]
        found = lines.polygon(ring)
        if found is None:
            return "its edges bound no face"
        begins, corners = found
        self.exact.spent += forms.size * len(corners)
        sides = np.stack([lines.sides(forms, corner) for corner in corners]) * np.where(on, 1, -1)
        wrong = np.flatnonzero((sides < 0).any(axis=0) | (on & (sides <= 0).all(axis=0)))
        if len(wrong):
            way = "crosses it" if (sides[:, wrong[0]] > 0).any() else "is read otherwise in it"
            return f"unit {wrong[0]} {way}"
        rim = np.array(self._window, object).T
        if any((lines.sides(rim, corner) < 0).any() for corner in corners):
            return "it reaches out of the window"
        off = lines.off_places(
            part.local_vertices[part.face(face)], begins, [lines.place(corner, part.centre) for corner in corners]
        )
        near = NEAR * float(np.linalg.norm(np.ptp(part.window, axis=0)))
        vertex = part.face(face)[int(off.argmax())]
        return None if off.max() <= near else f"vertex {vertex} is {off.max():.3g} off its place"

    def _side(self, tag: int, edge: int, forms: Forms, on: Bits) -> Line:
        """The line that an edge lies on, with the face on its left."""
        if tag >= 0:
            line = lines.shortened(forms[:, tag])
            if not any(line[:2]):
                raise Undecided("a unit that an edge names is 0 on all of the face")
            return line if on[tag] else lines.turned(line)
        ends = self.partition.local_vertices[self.partition.edges[edge]]
        window = self.partition.window - self.partition.centre
        off = lines.distances(ends, window, np.roll(window, -1, axis=0)).max(axis=0)
        return self._window[int(off.argmin())]

    def changing(self, left: int, right: int, tag: int) -> list[int]:
        """Units but the tag that are on in one face alone."""
        differ = np.flatnonzero(self.units_on(left) != self.units_on(right)).tolist()
        return [unit for unit in differ if unit != tag]


class _Patterns:
    """Which units are on in faces, from faces that doubles can read by way of the edges between."""

    def __init__(self, faces: Faces, sure: Bits, edges: Ids):
        self.faces, self.sure, self.edges, self.part = faces, sure.copy(), edges, faces.partition
        self._known: dict[int, npt.NDArray[np.uint8]] = {}
        self._barred: set[int] = set()

    def of(self, face: int) -> Bits | None:
        """The units that are on; None if what lies across its edges contradicts its hash. Raises Undecided."""
        contradicted = False
        while True:
            way = self._way(face)
            if way is None:
                if contradicted:
                    return None
                raise Undecided("no face nearby is thick")
            at, on = way[0][0], self._on(way[0][0])
            for edge, to in way[1:]:
                found = self._across(at, on, edge, to)
                if found is None:
                    self._barred.add(edge)
                    contradicted |= to == face
                    break
                at, on = to, found
                self._known[to] = np.packbits(on)
            else:
                return on

    def _on(self, face: int) -> Bits:
        return np.unpackbits(self._known[face], count=len(self.faces.word)).astype(bool)

    def _is_known(self, face: int) -> bool:
        """Whether the units of a face are known, or can be read."""
        if face not in self._known and self.sure[face]:
            on = self.faces.units_on(face)
            if self.faces.hash_of(on) == self.part.pattern_hash[face]:
                self._known[face] = np.packbits(on)
            self.sure[face] = False
        return face in self._known

    def _way(self, face: int) -> list[tuple[int, int]] | None:
        """From a known face to this one: pairs (face, 0), then (edge, next face)."""
        reached, waiting = {face: (-1, -1)}, deque([face])
        while waiting and len(reached) < WAY:
            at = waiting.popleft()
            if self._is_known(at):
                way, here = [(at, 0)], at
                while here != face:
                    edge, here = reached[here]
                    way.append((edge, here))
                return way
            for edge in self.edges[self.part.face_offsets[at] : self.part.face_offsets[at + 1]].tolist():
                for other in self.part.edge_faces[edge].tolist():
                    if other >= 0 and other not in reached and edge not in self._barred:
                        reached[other] = (edge, at)
                        waiting.append(other)
        return None

    def _across(self, face: int, on: Bits, edge: int, other: int) -> Bits | None:
        """The units that are on across an edge of a face; None where they do not make the other face's hash."""
        faces, tag, hashes = self.faces, int(self.part.edge_tag[edge]), self.part.pattern_hash
        there = on.copy()
        there[tag] = not there[tag]
        if hashes[face] ^ hashes[other] == faces.word[tag]:
            return there
        line = lines.shortened(faces.all_forms(on)[:, tag])
        if not any(line[:2]):
            return None
        a, b, c = line if on[tag] else lines.turned(line)  # the face lies on its left
        there = on.copy()
        for _ in faces.offsets:  # every round settles one layer more
            p, q, r = faces.all_forms(there)
            one = ((q * c - r * b == 0) & (r * a - p * c == 0) & (p * b - q * a == 0)).astype(bool)
            now = np.where(one, (p * a + q * b < 0).astype(bool), there)
            if (now == there).all():
                break
            there = now
        return there if faces.hash_of(there) == hashes[other] else None


def _joint(partition: Partition) -> list[tuple[int, np.uint64]]:
    """Inner edges across which more changes than the unit they name, and the hash of what else does."""
    left, right = partition.edge_faces.T
    inner = np.flatnonzero((left >= 0) & (right >= 0))
    hashes = partition.pattern_hash
    word = unit_hashes(0, int(partition.unit_offsets[-1]))
    rest = hashes[left[inner]] ^ hashes[right[inner]] ^ word[partition.edge_tag[inner]]
    return [(int(e), r) for e, r in zip(inner[rest != 0], rest[rest != 0], strict=True)]


def _stars(partition: Partition) -> list[tuple[int, int, list[int]]]:
    """Vertices where three knots or more meet: the vertex, its largest face, and the units."""
    inner = np.flatnonzero(partition.edge_tag >= 0)
    vertex = partition.edges[inner].reshape(-1).astype(np.int64)
    pairs = np.unique(np.stack([vertex, np.repeat(partition.edge_tag[inner], 2)], axis=1), axis=0)
    at, count = np.unique(pairs[:, 0], return_counts=True)
    many: npt.NDArray[np.int64] = at[count > 2]
    if not len(many):
        return []
    face = np.repeat(np.arange(partition.num_regions), np.diff(partition.face_offsets))
    there: Ids = partition.face_vertices.astype(np.int64)
    touching = np.isin(there, many)
    order = np.lexsort((partition.areas[face[touching]], there[touching]))
    corner, beside = there[touching][order], face[touching][order]
    largest = beside[np.searchsorted(corner, many, side="right") - 1]
    tags = np.split(pairs[:, 1], np.cumsum(count)[:-1])
    chosen = [tag.tolist() for tag, n in zip(tags, count, strict=True) if n > 2]
    return list(zip(many.tolist(), largest.tolist(), chosen, strict=True))


def _one_pencil(forms: list[Form]) -> bool:
    """Whether all forms are 0 in one point, or all on one line."""
    first = next((form for form in forms if any(form)), None)
    if first is None:
        return True
    point = next((p for form in forms if any(p := crossed(first, form))), None)
    return point is None or all(sum(a * b for a, b in zip(form, point, strict=True)) == 0 for form in forms)
