r"""Statements of a partition beside its complex, checked by the model: fields, boundary, derivatives, linear regions.
Also the model's derivatives along the slice, and which of its outputs a partition holds.

    fields      vertices = centre + local_vertices, inside the window, whose corners are among them; names of the layers,
                which of them take maxima; the seed's pattern has its face's hash; anchors, where samples are given
    boundary    on a segment's ends its two classes are the model's largest outputs; on its left one is larger, on its
                right the other; and no face, and no edge on which two outputs tie, lacks one
    linear      faces that were merged have one slope, neighbours that were not have two: the model's own derivatives along
                the slice, within their measured rounding

`certificate.py` proves the complex first and asks here next; what is read of `outputs` has been proved by then. Every
function yields (check, line) for what fails. A face too thin to decide is passed over.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from splineviz._kernels import merging
from splineviz._kernels.bits import unit_hashes
from splineviz.errors import CertificateError, FloatArray, PlaneError
from splineviz.geometry import slopes
from splineviz.geometry.partition import LinearRegions, Partition
from splineviz.geometry.plane import convex_polygon
from splineviz.regions.witness import SAFETY, Witness
from splineviz.tracing.affine import moved, nudged
from splineviz.tracing.lowering import lower
from splineviz.tracing.program import KINKS, Program
from splineviz.tracing.trace import kept

Lines = Iterator[tuple[str, str]]
EPS = float(np.finfo(np.float64).eps)
EQUAL = 1 / 8
"""Slopes that differ by less than this share of their tolerance are one slope: what is one by truth differs by rounding, of
which the tolerance is SAFETY times the measured. In between nothing is said."""
CLEAR = 1e3
"""A jump that exceeds its rounding by this factor is one; asked of the model is what is less clear, in large partitions."""
FEW = 20_000
"""Regions up to which the model is asked for its derivative in all of them."""
COARSEST = 2.0**20
"""How many times the measured rounding of an output may be claimed: every unit's largest scale is taken at once."""
COMPARED = 16
"""Vertices by which it is told which of the network's outputs a partition holds."""
NAMED = 5
"""Faces that a line about what was not judged names; the rest is counted."""
CHUNK = 1024
"""Points of one call."""
STEP = 2.0**-45
"""Relative step by which weights are moved to measure the rounding of derivatives; small, for no unit may change sides."""


@dataclass(frozen=True)
class Asked:
    """What the complex was proved with: the slack of signs, the tolerance of geometry, undecided faces (F,).

    thin: (F,) faces that were proved exactly, as double precision could not tell; slopes: (C, 2) of the outputs there.
    unjudged: told what is too small to be judged.
    """

    slack: float
    geometry: float
    undecided: npt.NDArray[np.bool_]
    thin: npt.NDArray[np.bool_]
    slopes: Mapping[int, FloatArray]
    unjudged: list[str]

    def near(self, part: Partition) -> float:
        """A length of the window that is nothing."""
        return self.geometry * float(np.linalg.norm(np.ptp(part.window, axis=0)))

    def pass_over(self, part: Partition, check: str, faces: npt.NDArray[np.int64], what: str) -> None:
        """Tell what is not judged in some faces."""
        if len(faces):
            self.unjudged.append(f"{check}: {what}, in {named(part, np.unique(faces))}")


def named(part: Partition, faces: npt.NDArray[np.int64]) -> str:
    """Faces in words: numbers and centroids of the first ones, and how many more."""
    shown = zip(faces[:NAMED].tolist(), part.centroids[faces[:NAMED]].tolist(), strict=True)
    places = ", ".join(f"{face} at ({u:.9g}, {v:.9g})" for face, (u, v) in shown)
    more = f" and {len(faces) - NAMED} more" if len(faces) > NAMED else ""
    return f"{'face' if len(faces) == 1 else 'faces'} {places}{more}"


@torch.no_grad()
def held(part: Partition, program: Program) -> tuple[Program, list[int] | None, int]:
    """A network's Program with the outputs that a partition holds: those nearest at some vertices. Their numbers, None for
    all, and how many are left out. Raises CertificateError where it has fewer.
    """
    some = np.linspace(0, min(len(part.vertices), len(part.outputs)) - 1, COMPARED).astype(np.int64)
    y = program(torch.from_numpy(part.plane.embed(part.vertices[some]))).reshape(len(some), -1).numpy()
    if y.shape[1] < part.outputs.shape[1]:
        raise CertificateError(
            f"certificate: expected a partition of a network with {y.shape[1]} outputs, got one with "
            f"{part.outputs.shape[1]}; verify it with the model that it was made of."
        )
    if y.shape[1] == part.outputs.shape[1]:  # all, or a Program that was picked before
        picked = [step for step in program.steps[-1:] if step.op == "getitem" and step.path == "outputs"]
        shapes = program.shapes() if picked else {}
        return program, None, sum(math.prod(shapes[step.inputs[0]]) - y.shape[1] for step in picked)
    columns = list[int]()
    for wanted in part.outputs[some].T:
        gap = np.abs(y - wanted[:, None]).max(axis=0)
        gap[columns] = np.inf
        columns.append(int(gap.argmin()))
    return kept(program, columns), columns, y.shape[1] - len(columns)


# ---- fields ------------------------------------------------------------------------------------------------------


def fields(part: Partition, witness: Witness, geometry: float, anchors: Any = None) -> Lines:
    """What plain reading tells. anchors: the samples (k, *input_shape) that the plane is said to go through, if known."""
    yield from _places(part, geometry)
    paths = tuple(layer.path for layer in witness.layers)
    if part.layer_paths and part.layer_paths != paths:
        yield "layers", f"layer_paths: expected {list(paths)}, got {list(part.layer_paths)}"
    maxima = tuple(i for i, layer in enumerate(witness.layers) if layer.is_max)
    if part.max_layers != maxima:
        yield "layers", f"max_layers: expected {maxima}, got {part.max_layers}"
    if part.swaps != witness.program.swaps:
        yield "layers", f"swaps: expected {dict(witness.program.swaps)}, got {dict(part.swaps)}"
    yield from _seed(part)
    if anchors is not None:
        yield from _anchors(part, np.asarray(anchors, np.float64))


def _places(part: Partition, geometry: float) -> Lines:
    points, centre, window = part.local_vertices, part.centre, part.window
    slack = 8 * EPS * (np.abs(points) + np.abs(centre))
    for v in np.flatnonzero((np.abs(part.vertices - (points + centre)) > slack).any(axis=1)):
        yield "vertices", f"vertex {v}: expected centre + local_vertices, got {part.vertices[v].tolist()}"
    try:
        convex_polygon(window)
    except PlaneError as error:
        yield "window", str(error)
        return
    local = window - centre
    near = geometry * float(np.linalg.norm(np.ptp(window, axis=0)))
    sides = np.roll(local, -1, axis=0) - local
    normals = np.stack([-sides[:, 1], sides[:, 0]], axis=1) / np.linalg.norm(sides, axis=1)[:, None]
    depth = (points @ normals.T - np.einsum("sk,sk->s", local, normals)).min(axis=1)
    for v in np.flatnonzero(~(depth >= -near)):
        yield "window", f"vertex {v}: expected all vertices inside the window, got one {-depth[v]:.3g} outside"
    for i, corner in enumerate(local):
        gap = np.hypot(*(points - corner).T).min()
        if not gap <= near:
            yield "window", f"corner {i}: expected a vertex there, got the nearest at a distance of {gap:.3g}"


def _seed(part: Partition) -> Lines:
    """The seed's pattern makes its face's hash, which is proved; in networks with maxima there is none."""
    if part.seed_face < 0:
        if len(part.seed_pattern):
            yield "seed", "seed_pattern: expected none without a seed_face, got one"
        return
    units = int(part.unit_offsets[-1])
    bits = np.unpackbits(part.seed_pattern)
    if part.max_layers or part.seed_face >= part.num_regions or len(bits) != -(-units // 8) * 8:
        yield "seed", f"seed_face: expected one of the faces with a bit for each of {units} units, got {part.seed_face}"
        return
    found = np.bitwise_xor.reduce(unit_hashes(0, units)[bits[:units] == 1], initial=np.uint64(0))
    if found != part.pattern_hash[part.seed_face] or bits[units:].any():
        yield "seed", f"face {part.seed_face}: seed_pattern is not its pattern"


def _anchors(part: Partition, samples: FloatArray) -> Lines:
    plane = part.plane
    if samples.shape != (len(plane.anchors_uv), *plane.input_shape):
        yield "anchors", f"anchors_uv: expected {len(samples)} anchors, got {len(plane.anchors_uv)}"
        return
    scale = 1e-12 * max(float(np.abs(samples).max(initial=0.0)), float(np.abs(plane.anchors_uv).max(initial=0.0)))
    gaps = np.abs(plane.embed(plane.anchors_uv) - samples).reshape(len(samples), -1).max(axis=1)
    gaps = np.maximum(gaps, np.abs(plane.project(samples) - plane.anchors_uv).max(axis=1))
    for i in np.flatnonzero(~(gaps <= 16 * scale * np.sqrt(samples[0].size))):
        yield "anchors", f"anchor {i}: expected its sample at {plane.anchors_uv[i].tolist()}, got one {gaps[i]:.3g} off"


# ---- linear regions ----------------------------------------------------------------------------------------------


def linear(part: Partition, said: LinearRegions, witness: Witness, asked: Asked) -> Lines:
    """Whether the labels are those of maximal connected sets of one slope."""
    label = np.asarray(said.label, np.int64)
    if label.shape != (part.num_regions,) or not np.array_equal(np.unique(label), np.arange(said.count)):
        yield "linear", f"expected labels 0 to {said.count - 1} of {part.num_regions} faces, got others"
        return
    yield from _scale(part, witness)
    norms, errors, verdict = slopes.jumps(
        part.local_vertices, part.edges, part.edge_faces, part.face_offsets, part.face_vertices, part.outputs,
        part.output_rounding,
    )
    inner = np.flatnonzero((part.edge_faces >= 0).all(axis=1))
    same = np.zeros(len(part.edges), bool)
    same[inner] = label[part.edge_faces[inner, 0]] == label[part.edge_faces[inner, 1]]
    joined = merging.merge(part.num_regions, part.edge_faces, same)
    if joined.max() + 1 != said.count:
        yield "linear", f"expected connected linear regions, got {said.count} labels on {joined.max() + 1} connected sets"
    vague = inner if part.num_regions <= FEW else inner[same[inner] | (norms[inner] <= CLEAR * errors[inner])]
    vague = vague[~asked.undecided[part.edge_faces[vague]].any(axis=1)]
    if not len(vague):
        return
    faces, rows = np.unique(part.edge_faces[vague], return_inverse=True)
    program, x = witness.affine(witness.means[faces])
    model = derivatives(witness, program, x)
    for row in np.flatnonzero(np.isin(faces, list(asked.slopes))):
        model[row] = asked.slopes[int(faces[row])]
    tolerance = _rounding_of_slopes(part, witness, asked)
    rows = rows.reshape(-1, 2)
    jump = np.linalg.norm((model[rows[:, 0]] - model[rows[:, 1]]).reshape(len(vague), -1), axis=1)
    least = asked.slack * tolerance + 2.0 * np.where(np.isfinite(errors[vague]), errors[vague], np.inf)
    for i in np.flatnonzero(same[vague] & ~(jump <= least)):
        left, right = part.edge_faces[vague[i]]
        yield "linear", f"face {left}: merged with face {right}, and the model's slope differs by {jump[i]:.3g}"
    # Where the outputs at the corners are too coarse to tell, both were right.
    for i in np.flatnonzero(~same[vague] & (jump <= EQUAL * tolerance) & (verdict[vague] != 2)):
        left, right = part.edge_faces[vague[i]]
        yield "linear", f"face {left}: not merged with face {right}, and the model's slope is the same in both"


def _scale(part: Partition, witness: Witness) -> Lines:
    """The rounding that a partition claims for its outputs is not far above what is measured, or a unit in the last place
    of the largest. One that is 0 everywhere (behind a last ReLU) has no slopes, whatever is claimed for it.
    """
    largest = np.abs(part.outputs).max(axis=0, initial=0.0)
    least = np.maximum(witness.output_tolerance, 2.0**-53 * largest)
    for k in np.flatnonzero((part.output_rounding > COARSEST * least) & (largest > 0.0)):
        claimed, measured = part.output_rounding[k], witness.output_tolerance[k]
        yield "linear", f"output_scale: output {k} is said to be rounded by {claimed:.3g}, measured are {measured:.3g}"


def derivatives(witness: Witness, program: Program, inputs: Tensor) -> FloatArray:
    """The model's derivatives (n, C, 2) along the slice at inputs inside faces, in float64: both directions are handed
    through the network beside the inputs, so that nothing is kept of it.
    """
    program, parts = lower(program).program, [np.zeros((0, witness.partition.outputs.shape[1], 2))]
    for x in inputs.split(min(CHUNK, witness.rows)):
        along = [direction.reshape(1, *x.shape[1:]).expand_as(x) for direction in witness.basis]
        found = _along(program, x, torch.cat(along)).reshape(2, len(x), -1)
        parts.append(found.permute(1, 2, 0).numpy())
    return np.concatenate(parts)


def _along(program: Program, x: Tensor, tangents: Tensor) -> Tensor:
    """Derivatives of a program's outputs at x (n, ...) along tangents (k * n, ...), k directions one after the other."""
    live, slopes, count = {0: x}, {0: tangents}, len(tangents) // len(x)
    with torch.no_grad():
        for at, step in enumerate(program.steps):
            z = live[step.inputs[0]]
            live = program.run(live, at, at + 1)
            if step.is_kink:
                kinks = KINKS[step.op].pieces(step.attrs)
                piece = torch.bucketize(z.contiguous(), z.new_tensor(kinks.breakpoints))
                passed = z.new_tensor(kinks.slopes)[piece].repeat(count, *[1] * (z.dim() - 1))
                slopes[step.output] = slopes[step.inputs[0]] * passed
            else:
                slopes = program.run(slopes, at, at + 1, homogeneous=True)
            slopes = {register: slopes[register] for register in live}
    return slopes[program.output]


def _rounding_of_slopes(part: Partition, witness: Witness, asked: Asked) -> float:
    """The tolerance of a difference of slopes: how far they move with the weights, in large faces that are not thin."""
    thin = asked.thin | asked.undecided  # there the moved weights have other units on
    largest = np.lexsort((-part.areas, thin))[: max(min(64, int((~thin).sum())), 1)]
    program, points = witness.affine(witness.means[largest])
    base = derivatives(witness, program, points)
    move = partial(nudged, share=STEP, generator=torch.Generator().manual_seed(0))
    worst = EPS * float(np.linalg.norm(base.reshape(len(base), -1), axis=1).max()) / 2.0
    for _ in range(3):
        other = derivatives(witness, program.with_weights(moved(program.weights, move)), points)
        gap = np.linalg.norm((other - base).reshape(len(base), -1), axis=1)
        worst = max(worst, float(np.quantile(gap, 0.9)) * 2.0**-53 / STEP)  # a unit may change sides in a few of them
    return SAFETY * worst
