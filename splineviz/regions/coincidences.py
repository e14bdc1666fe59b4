r"""Coincidences: where several knots are one line, or meet in one point, do they so exactly?
Also whether a program has maxima.

      A  |  B         Across one edge two units change: their knots are one line, or a sliver between them was lost.
     u, v|            \ | /
         |             \|/     In one vertex three knots meet: they do, or a triangle between them was lost.
                      --+--

In general position there is neither. No rounding decides it: the units are read in integers (`exact`) at three points inside
a face beside the edge or vertex, where all of them are affine, and their forms are proportional, or in one pencil, or not.
Maxima, and networks too large to be taken apart, are not looked at, nor is what would cost too much: the report says what.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from splineviz._kernels.bits import unit_hashes
from splineviz.geometry.partition import Partition
from splineviz.regions.exact import Exact, Ids, TooMuch, Undecided
from splineviz.tracing.program import Program

LIMIT = 150_000_000
"""Products of integers that the check of one partition may cost."""
REST = "were held to be what rounding says"
DEARLY = "for it would take long; choose a smaller window"
Form = tuple[int, int, int]


def apart(partition: Partition, program: Program, unjudged: list[str]) -> Iterator[tuple[int, str]]:
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
    faces = _Faces(partition, exact)
    number, words = np.argsort(faces.word), np.sort(faces.word)
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
            unjudged.append(f"coincidences: {_counted(len(joint) - at, len(stars))} {REST}, {DEARLY}")
            return
        except Undecided:
            continue
        for other, form in zip(others, forms[1:], strict=True):
            if any(_crossed(forms[0], form)):
                yield face, f"units {tag} and {other} change at once across edge {edge}, but their knots are apart"
    for at, (vertex, face, tags) in enumerate(stars):
        try:
            forms = faces.forms(face, tags)
        except TooMuch:
            unjudged.append(f"coincidences: {_counted(0, len(stars) - at)} {REST}, {DEARLY}")
            return
        except Undecided:
            continue
        if not _one_pencil(forms):
            yield face, f"knots of units {tags} meet in vertex {vertex}, but not in one point"


def _counted(edges: int, vertices: int) -> str:
    return f"{edges} edges on which several knots lie and {vertices} vertices in which several meet"


def program_has_maxima(program: Program) -> bool:
    """Whether some operation of a program is a maximum."""
    return any(step.is_max for step in program.steps)


class _Faces:
    """Units as exact forms on a face: their values at three points inside it."""

    def __init__(self, partition: Partition, exact: Exact):
        self.partition, self.exact = partition, exact
        self.offsets = partition.unit_offsets.astype(np.int64)
        self.word = unit_hashes(0, int(self.offsets[-1]))
        self._births: dict[int, list[int]] = {}
        self._centre = [Fraction(c) for c in partition.centre.tolist()]

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
        """Each unit's values at the three points, up to factors that all units share. Raises Undecided."""
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

    def changing(self, left: int, right: int, tag: int) -> list[int]:
        """Units but the tag that are on in one face alone."""
        births = self.inside(left)[0], self.inside(right)[0]
        found: list[int] = []
        for layer, first in enumerate(self.offsets[:-1].tolist()):
            one, other = (self.exact.values(birth, layer)[0] for birth in births)
            found += [first + u for u in range(len(one)) if (one[u] > 0) != (other[u] > 0) and first + u != tag]
        return found


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


def _crossed(p: Form, q: Form) -> Form:
    return p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]


def _one_pencil(forms: list[Form]) -> bool:
    """Whether all forms are 0 in one point, or all on one line."""
    first = next((form for form in forms if any(form)), None)
    if first is None:
        return True
    point = next((p for form in forms if any(p := _crossed(first, form))), None)
    return point is None or all(sum(a * b for a, b in zip(form, point, strict=True)) == 0 for form in forms)
