r"""Slopes: across which edges the output's slope changes, told without contradiction.

        A  |  B       A and B: the slope jumps, by more than its error        -> 1
      -----C-----     A and C, C and B: by less than theirs, for C is thin    -> 0, and by way of C A and B were one

An edge whose error is larger than such a jump could not have seen it. These edges join faces last, the surest first, and one
that would make one region of faces that are known to differ is too thin to tell (2).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from splineviz._kernels import merging
from splineviz.errors import FloatArray, IntArray

Verdicts = npt.NDArray[np.int8]


def jumps(
    points: FloatArray, edges: IntArray, edge_faces: IntArray, face_offsets: IntArray, face_vertices: IntArray,
    outputs: FloatArray, rounding: FloatArray,
) -> tuple[FloatArray, FloatArray, Verdicts]:  # fmt: skip
    """Norm of the slope's jump across every edge, its error, and the verdict; see `_kernels.merging.slope_jumps`."""
    norms, errors, verdict = merging.slope_jumps(points, edges, edge_faces, face_offsets, face_vertices, outputs, rounding)
    return norms, errors, unchained(len(face_offsets) - 1, edge_faces, norms, errors, verdict)


def unchained(faces: int, edge_faces: IntArray, norms: FloatArray, errors: FloatArray, verdict: Verdicts) -> Verdicts:
    """The verdicts (E,), without those that make one of faces whose slopes are known to differ, as the module says."""
    label = merging.merge(faces, edge_faces, verdict == 0)
    left, right = edge_faces.T
    torn = np.flatnonzero((verdict == 1) & (label[left] == label[right]))
    least = np.full(int(label.max()) + 1, np.inf)
    np.minimum.at(least, label[left[torn]], norms[torn])
    blind = (verdict == 0) & (errors >= least[label[left]])
    if not blind.any():
        return verdict
    part, verdict = merging.merge(faces, edge_faces, (verdict == 0) & ~blind), verdict.copy()
    apart = _Apart(zip(part[left[torn]].tolist(), part[right[torn]].tolist(), strict=True))
    order = np.flatnonzero(blind)
    for edge in order[np.argsort(errors[order], kind="stable")].tolist():
        if not apart.join(int(part[left[edge]]), int(part[right[edge]])):
            verdict[edge] = 2
    return verdict


class _Apart:
    """Sets of numbers, some pairs of which must not become one."""

    def __init__(self, pairs: Iterable[tuple[int, int]]):
        self._root: dict[int, int] = {}
        self._foes: dict[int, set[int]] = {}
        for one, other in pairs:
            if one != other:
                self._foes.setdefault(one, set()).add(other)
                self._foes.setdefault(other, set()).add(one)

    def join(self, one: int, other: int) -> bool:
        """Make one of two numbers' sets, unless they must not be; whether they are one now."""
        one, other = self._of(one), self._of(other)
        if other in self._foes.get(one, ()):
            return False
        if one != other:
            self._root[other] = one
            for foe in self._foes.pop(other, set()):
                self._foes[foe] = (self._foes[foe] - {other}) | {one}
                self._foes.setdefault(one, set()).add(foe)
        return True

    def _of(self, number: int) -> int:
        while (above := self._root.get(number, number)) != number:
            self._root[number] = self._root.get(above, above)
            number = above
        return number
