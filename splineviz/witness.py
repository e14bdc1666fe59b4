"""What the model says about the faces of a partition, and where rounding leaves it undecided.

The model is run at every corner and at one point inside every face (the mean of its vertices), in chunks of faces.
This room draws no conclusions: `certificate.py` does.

Rounding. A value decides nothing when it is within the rounding of its own computation. Sums of products are backward
stable (Higham, Accuracy and Stability of Numerical Algorithms, ch. 3): the computed value is the exact one of weights
and inputs that are off by a few units in the last place. So rounding is *measured*: the Program is run with all
weights and inputs moved by random relative steps of 2^-26, and the largest change, scaled back to 2^-53 and times
SAFETY, is the tolerance of each unit and output (at least SAFETY roundings of its largest value). This knows every
operation and all cancellation without a table. It is taken at a sample of faces, and once more at the points of
every face that would fail.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from splineviz._kernels import certificates as _kernels
from splineviz.errors import CertificateError, FloatArray
from splineviz.ops import Program
from splineviz.partition import Partition

SAFETY = 64.0
"""Units of measured rounding below which a value decides nothing."""
STEP = 2.0**-26
"""Relative step by which weights and inputs are moved to measure rounding."""
SAMPLE = 512
"""Faces at which rounding is measured first."""
MEASURED = 8192
"""Of the faces that would fail, at most about this many have their own rounding measured."""
DOUBTFUL = 40
"""With more doubtful units than this on one face, any pattern of them is believed."""

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Corners:
    """The faces' corners, flat: face, vertex, next and last vertex, the edge to the next (-1: none) and the face's side."""

    face: Ids
    here: Ids
    there: Ids
    before: Ids
    edge: Ids
    side: Ids


class Testimony:
    """What was said of every face and edge; errors (F,) are in tolerances, so 1 is what rounding explains at once.

    pattern: (F,) hash read inside; undecided: (F,) whether a unit there is too close to 0 to tell its sign;
    explained: (F,) whether such units explain a pattern that is not the face's own.
    sign, sign_unit: largest contradiction of signs at the corners. knot: value of an edge's unit at the edge's ends.
    output, interior: of outputs at the vertices and of the affine map inside. edge_sign: (E, 2) sign of each edge's
    unit inside its left and right face, 0 if undecided. relative: (F, 2) the errors of output and interior relative to
    the largest output.
    """

    def __init__(self, faces: int, edges: int, unit_hash: npt.NDArray[np.uint64]):
        self.unit_hash = unit_hash
        self.pattern = np.zeros(faces, np.uint64)
        self.undecided = np.zeros(faces, bool)
        self.explained = np.zeros(faces, bool)
        self.sign, self.sign_unit = np.zeros(faces), np.full(faces, -1)
        self.knot, self.output, self.interior = np.zeros(faces), np.zeros(faces), np.zeros(faces)
        self.edge_sign = np.zeros((edges, 2), np.int8)
        self.relative = np.zeros((faces, 2))

    def wrong_pattern(self, claimed: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """(F,) whether the pattern read is not the one claimed, nor explained by undecided units."""
        return (self.pattern != claimed) & ~self.explained

    def same_side(self, edge_faces: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """(E,) whether an inner edge's unit has the same sign on both sides."""
        return (edge_faces >= 0).all(axis=1) & (self.edge_sign[:, 0] * self.edge_sign[:, 1] > 0)

    def doubtful(self, partition: Partition, slack: float) -> npt.NDArray[np.bool_]:
        """(F,) faces that would fail as things stand."""
        worst = np.stack([self.sign, self.knot, self.output, self.interior]).max(axis=0)
        doubt = self.wrong_pattern(partition.pattern_hash) | ~(worst <= slack)
        doubt[partition.edge_faces[self.same_side(partition.edge_faces)].reshape(-1)] = True
        return doubt


class Witness:
    """The model, asked on the slice of one partition. Raises CertificateError when they do not belong together."""

    def __init__(self, partition: Partition, program: Program, model: Any):
        self.partition, self.program = partition, program
        self.module = copy.deepcopy(model).to("cpu", torch.float64).eval() if isinstance(model, nn.Module) else program
        self.breakpoints = []
        for layer in program.layers:
            if len(layer.kinks.breakpoints) != 1:
                raise CertificateError(f"{layer.path}: expected a kink with one breakpoint, got {layer.kinks.breakpoints}.")
            self.breakpoints.append(layer.kinks.breakpoints[0])
        sizes = np.cumsum([0, *(layer.units for layer in program.layers)])
        if not np.array_equal(sizes, partition.unit_offsets):
            raise CertificateError(
                f"certificate: expected a partition of a network with units {np.diff(sizes).tolist()} in its layers, "
                f"got one with {np.diff(partition.unit_offsets).tolist()}; verify it with the model that it was made of."
            )
        self.unit_hash = _splitmix64(np.arange(1, sizes[-1] + 1, dtype=np.uint64))
        self.centre = torch.from_numpy(partition.plane.embed(partition.centre[None]))
        self.basis = torch.from_numpy(partition.plane.basis.reshape(2, -1).copy())
        self.size = torch.from_numpy(
            np.abs(partition.plane.origin).reshape(-1) + np.abs(partition.centre) @ self.basis.abs().numpy()
        )
        self.tolerance = self.output_tolerance = np.zeros(0)
        self.thin = self.largest = np.zeros(0)
        self.means = np.zeros((0, 2))

    # ---- values and their rounding -----------------------------------------------------------------

    def inputs(self, local: FloatArray) -> Tensor:
        """Network inputs at points (n, 2) relative to the partition's centre."""
        return (torch.from_numpy(np.ascontiguousarray(local)) @ self.basis).reshape(-1, *self.centre.shape[1:]) + self.centre

    def values(self, x: Tensor, program: Program) -> tuple[FloatArray, FloatArray]:
        """Distances (n, U) of all units from their breakpoints, and outputs (n, C)."""
        with torch.no_grad():
            layers, outputs = program.preactivations(x)
        units = self.partition.unit_offsets
        values = np.empty((len(x), int(units[-1])))
        for i, (z, breakpoint_) in enumerate(zip(layers, self.breakpoints, strict=True)):
            np.subtract(z.numpy(), breakpoint_, out=values[:, units[i] : units[i + 1]])
        return values, outputs.numpy()

    def measure(self, local: FloatArray) -> None:
        """Raise the tolerances of units (U,) and outputs (C,) to the rounding at some points; see the module."""
        x = self.inputs(local)
        size = (self.size + torch.from_numpy(np.abs(local)) @ self.basis.abs()).reshape(x.shape)
        z, y = self.values(x, self.program)
        unit = np.abs(z).max(axis=0, initial=0.0) * STEP
        output = np.abs(y).max(axis=0, initial=0.0) * STEP
        self.largest = np.maximum(self.largest, np.abs(y).max(axis=0, initial=0.0)) if self.largest.size else output / STEP
        generator = torch.Generator().manual_seed(0)

        def moved(tensor: Tensor, by: Tensor) -> Tensor:
            return tensor + STEP * by * (2.0 * torch.rand(tensor.shape, dtype=torch.float64, generator=generator) - 1.0)

        for _ in range(4):
            weights = {k: moved(w, w) if w.is_floating_point() else w for k, w in self.program.weights.items()}
            other_z, other_y = self.values(moved(x, size), self.program.with_weights(weights))
            unit = np.maximum(unit, np.abs(other_z - z).max(axis=0, initial=0.0))
            output = np.maximum(output, np.abs(other_y - y).max(axis=0, initial=0.0))
        scale = SAFETY * 2.0**-53 / STEP
        if not self.tolerance.size:
            self.tolerance, self.output_tolerance = scale * unit, scale * output
            # A sign can hide within the tolerance only on faces narrower than this share of the window.
            reach = np.ptp(z, axis=0)
            self.thin = np.where(reach > 4.0 * self.tolerance, 4.0 * self.tolerance / np.maximum(reach, 1e-300), 0.0)
        self.tolerance = np.maximum(self.tolerance, scale * unit)
        self.output_tolerance = np.maximum(self.output_tolerance, scale * output)

    # ---- testimony ---------------------------------------------------------------------------------

    def testify(self, corners: Corners, width: FloatArray, chunk: int | None, slack: float) -> Testimony:
        """What the model says of all faces; asked twice, with their own rounding, about those that would fail.

        width: (F,) of each face, relative to the window's diameter; slack: tolerances within which a stored number or
        sign may differ from the model's; chunk: faces at a time, None for about 32 MB of values.
        """
        part = self.partition
        faces, starts = part.num_regions, part.face_offsets[:-1].astype(np.int64)
        first = part.local_vertices[corners.here[starts]]
        sums = np.add.reduceat(part.local_vertices[corners.here] - first[corners.face], starts)
        self.means = first + sums / np.diff(part.face_offsets)[:, None]
        sample = np.unique(np.linspace(0, faces - 1, min(SAMPLE, faces)).astype(np.int64))
        self.measure(np.concatenate([self.means[sample], part.window - part.centre]))
        if chunk is None:
            chunk = max(64, (32 << 20) // (16 * (len(self.tolerance) + self.basis.shape[1] + 1)))
        said = Testimony(faces, len(part.edges), self.unit_hash)
        order = _strips(self.means, chunk)
        for start in range(0, faces, chunk):
            self._ask(order[start : start + chunk], corners, width, slack, said)
        again = np.flatnonzero(said.doubtful(part, slack))
        for start in range(0, min(len(again), MEASURED), chunk):
            group = again[start : start + chunk]
            ids = np.concatenate([part.face(int(f)) for f in group])
            self.measure(np.concatenate([part.local_vertices[ids], self.means[group]]))
        for start in range(0, len(again), chunk):
            self._ask(again[start : start + chunk], corners, width, slack, said)
        return said

    def _ask(self, faces: Ids, corners: Corners, width: FloatArray, slack: float, said: Testimony) -> None:
        """Read the model at some faces and write down what it says."""
        part, offsets = self.partition, self.partition.face_offsets.astype(np.int64)
        counts = offsets[faces + 1] - offsets[faces]
        starts = np.concatenate([[0], np.cumsum(counts)])
        flat = np.arange(starts[-1]) + np.repeat(offsets[faces] - starts[:-1], counts)
        ids, rows = np.unique(corners.here[flat], return_inverse=True)
        x = self.inputs(np.concatenate([part.local_vertices[ids], self.means[faces]]))
        z, y = self.values(x, self.program)
        at, inside = z[: len(ids)], z[len(ids) :]
        tolerance = self.tolerance
        said.pattern[faces], unsure, said.sign[faces], said.sign_unit[faces] = _kernels.read_faces(
            at, inside, starts, rows, tolerance, self.thin, width[faces], self.unit_hash
        )
        said.undecided[faces] = unsure > 0
        for i in np.flatnonzero(said.pattern[faces] != part.pattern_hash[faces]):
            doubt = np.abs(inside[i]) <= slack * tolerance
            doubt &= (inside[i] != 0) | (at[rows[starts[i] : starts[i + 1]]] != 0).any(axis=0)
            gap = int(said.pattern[faces[i]] ^ part.pattern_hash[faces[i]])
            said.explained[faces[i]] = _spans([int(h) for h in self.unit_hash[doubt]], gap)
            said.undecided[faces[i]] |= said.explained[faces[i]]

        # Every corner stands for the edge to the next one: its unit is 0 at both ends, and has one sign inside.
        tag = np.where(corners.edge[flat] >= 0, part.edge_tag[corners.edge[flat]], -1)
        inner = np.flatnonzero(tag >= 0)
        unit, owner = tag[inner], np.repeat(np.arange(len(faces)), counts)
        following = np.arange(1, len(flat) + 1)
        following[starts[1:] - 1] = starts[:-1]
        ends = np.maximum(np.abs(at[rows[inner], unit]), np.abs(at[rows[following[inner]], unit]))
        knot = np.zeros(len(flat))
        knot[inner] = _ratio(ends, tolerance[unit])
        said.knot[faces] = np.maximum.reduceat(knot, starts[:-1])
        there = inside[owner[inner], unit]
        edge, side = corners.edge[flat][inner], corners.side[flat][inner]
        said.edge_sign[edge, side] = np.where(np.abs(there) > slack * tolerance[unit], np.sign(there), 0)

        largest = max(float(self.largest.max(initial=0.0)), np.finfo(float).tiny)
        off = np.abs(part.outputs[ids] - y[: len(ids)])
        mean = np.add.reduceat(part.outputs[corners.here[flat]], starts[:-1], axis=0) / counts[:, None]
        with torch.no_grad():
            real = self.module(x[len(ids) :]).reshape(len(faces), -1).numpy()
        bent = np.abs(mean - real)
        said.output[faces] = np.maximum.reduceat(_ratio(off, self.output_tolerance).max(axis=1)[rows], starts[:-1])
        said.interior[faces] = _ratio(bent, self.output_tolerance).max(axis=1)
        said.relative[faces, 0] = np.maximum.reduceat(off.max(axis=1)[rows], starts[:-1]) / largest
        said.relative[faces, 1] = bent.max(axis=1) / largest


def _strips(points: FloatArray, chunk: int) -> Ids:
    """An order of the faces in which every `chunk` of them lie together, so that they share their corners."""
    count = max(1, round(np.sqrt(len(points) / chunk)))
    strip = np.empty(len(points), np.int64)
    strip[np.argsort(points[:, 0], kind="stable")] = np.arange(len(points)) * count // len(points)
    return np.lexsort((points[:, 1], strip))


def _ratio(error: FloatArray, tolerance: FloatArray) -> FloatArray:
    """Quotients error / tolerance, with 0 / 0 = 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error == 0.0, 0.0, error / tolerance)


def _spans(words: list[int], target: int) -> bool:
    """Whether the XOR of some of the words is `target` (Gaussian elimination over GF(2))."""
    if len(words) > DOUBTFUL:
        return True
    basis: list[int] = []
    for word in words:
        for b in basis:
            word = min(word, word ^ b)
        if word:
            basis.append(word)
    for b in basis:
        target = min(target, target ^ b)
    return target == 0


def _splitmix64(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """One round of Steele, Lea and Flood's splitmix64 on each word."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
