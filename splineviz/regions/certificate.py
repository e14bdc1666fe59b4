r"""The certificate: a partition proved against the model, independently of the enumerator's code path.

Topology    V - E + F = 1; every side of a face is one edge that names the face on that side, and no edge names more.
Geometry    the areas sum to the window's; faces are convex and counter-clockwise; border edges lie on the border.
The model   re-evaluated at every corner and at one point inside every face:

            +-----------+        no unit has both signs at the corners      -> no region was lost inside a face
           /     * p     \       the pattern at p is the face's, no other's -> no region was invented or doubled
          +----- e -------+      e's unit is 0 at its ends, differs across  -> every edge is the knot that it names
           \     * q     /       outputs at corners and at p are the model's -> the face's affine map is the model's
            +-----------+

Then what a partition says beside that: names, seed and anchors, and the linear regions (`statements.py`), the decision
boundary (`divides.py`).

What the model says, and when rounding leaves it undecided, is read by `witness.py`. Degenerate cases: a unit within its
tolerance all over a face that is not thin counts as 0, so not positive. Where a unit at the point inside is within its
tolerance and may be of either sign, or corners stand in no order (a face too thin for double precision), the face is
judged in whole numbers (`coincidences.judge`). What cannot be is counted as `undecided` and named; there any reading of
those units is accepted.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from splineviz.errors import CertificateError
from splineviz.geometry import shapes
from splineviz.geometry.partition import Partition
from splineviz.geometry.polygons import polygon_area
from splineviz.regions import divides, statements
from splineviz.regions.blocks import MANY, release_memory
from splineviz.regions.coincidences import Judged, apart, judge
from splineviz.regions.witness import Corners, Testimony, Witness
from splineviz.tracing.precision import at_home
from splineviz.tracing.program import Program
from splineviz.tracing.trace import trace

SLACK = 64.0
"""Tolerances by which a stored number or sign may miss the model's: it was rounded more often than once, and values this
close to a knot may have been read as on it (the enumerator's own tolerance, with every unit's scale bounded from above).
On networks in general position the worst is below 1."""
GEOMETRY = 1e-9
"""Largest error of areas (of the window's) and of convexity and border (of the window's diameter)."""
LISTED = 20
"""Failures that a report lists of each check; the rest is counted."""


@dataclass(frozen=True)
class CertificateReport:
    """What was proved, with the worst errors as numbers.

    undecided: faces too thin to decide in double precision, that were not judged exactly either (`unjudged` says where).
    exactly: thin faces that were proved in whole numbers. euler: V - E + F. area_error: relative to the window's
    area. convexity_error, border_error: relative to the window's diameter. knot_error, sign_error: the value of an
    edge's unit at the edge's ends, and the smaller of two contradicting values at a face's corners, in tolerances of
    the unit (1 is the last that rounding explains at once; failed above SLACK). output_error, interior_error: of the
    stored outputs at vertices and of the face's affine map at its inside point, relative to the largest output.
    failures: one line each, naming face and check; empty when the partition is proved. seconds: wall time.
    linear_regions, boundary_segments: how many of them were held against the model, 0 where the complex failed before.
    hidden_outputs: outputs of the network that the partition does not hold (`outputs=`), so that nothing is said of them.
    unjudged: what nothing was at hand to judge by, with the remedy.
    """

    regions: int
    vertices: int
    edges: int
    units: int
    undecided: int
    euler: int
    area_error: float
    convexity_error: float
    border_error: float
    knot_error: float
    sign_error: float
    output_error: float
    interior_error: float
    failures: tuple[str, ...]
    seconds: float
    linear_regions: int = 0
    boundary_segments: int = 0
    unjudged: tuple[str, ...] = ()
    exactly: int = 0
    hidden_outputs: int = 0

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return not self.failures

    def __str__(self) -> str:
        verdict = "proved" if self.ok else f"FAILED ({len(self.failures)} findings)"
        lines = [
            f"partition {verdict}: {self.regions} regions, {self.vertices} vertices, {self.edges} edges, {self.units} units",
            f"  V - E + F = {self.euler}; too thin for double precision: {self.exactly} regions decided exactly,"
            f" {self.undecided} undecided; {self.seconds:.2f} s",
            f"  worst errors: areas {self.area_error:.2g} of the window, convexity {self.convexity_error:.2g} and border"
            f" {self.border_error:.2g} of its diameter,",
            f"    knots {self.knot_error:.2g} and signs {self.sign_error:.2g} tolerances, outputs {self.output_error:.2g}"
            f" at vertices and {self.interior_error:.2g} inside, relative",
        ]
        if self.ok:
            counts = f"{self.linear_regions} linear regions and {self.boundary_segments} segments of the decision boundary"
            lines.append(f"  {counts} are the model's")
        if self.hidden_outputs:
            lines.append(f"  not in the partition, so not judged: {self.hidden_outputs} more outputs of the network")
        lines += [f"  not judged: {line}" for line in self.unjudged]
        return "\n".join([*lines, *(f"  {failure}" for failure in self.failures)])


@at_home
def verify(
    partition: Partition, model: Any, *, anchors: Any = None, chunk: int | None = None, raise_on_failure: bool = True
) -> CertificateReport:
    """Verify a partition against the model, reading everything from the model again in float64.

    Args:
        partition: what is verified; its swaps are applied to the model.
        model: a torch module, which is not changed, or a Program.
        anchors: (k, *input_shape) the samples behind the plane's anchors; None: they are not checked.
        chunk: faces evaluated at a time; None: about 32 MB of values.
        raise_on_failure: whether a failed check raises.

    Returns:
        The report of all checks.

    Raises:
        CertificateError: a check fails (face and check are named), or the network has another shape.
        TraceError: the network cannot be traced.
    """
    began, findings = time.perf_counter(), Findings()
    program, columns, hidden = statements.held(partition, _program(partition, model))
    witness = Witness(partition, program, model, columns)
    corners = _topology(partition, findings)
    said, shape, judged, linear, segments, unjudged = None, None, None, 0, 0, _unjudged(partition, anchors)
    for check, line in statements.fields(partition, witness, GEOMETRY, anchors):
        findings.add(check, line)
    if corners is not None:
        sound = not findings.by_check
        shape = shapes.shapes(partition, corners.face, corners.here, corners.there, corners.before)
        said = witness.testify(corners, shape.width, chunk, SLACK)
        judged = _judged(partition, program, corners, said, shape, unjudged) if sound else None
        _conclude_shapes(partition, shape, findings)
        _conclude(partition, said, findings)
        for face, line in judged.faults if judged else ():
            findings.add("thin", f"face {face}: {line}")
        # What coincides is asked of a partition that holds otherwise.
        for face, line in () if findings.by_check or not judged else apart(partition, program, judged, unjudged):
            findings.add("coincidences", f"face {face}: {line}")
        if judged and not findings.by_check:  # what follows is read from arrays that hold otherwise
            linear, segments = _beside(partition, witness, corners, said, judged, findings, unjudged)
    report = CertificateReport(
        regions=partition.num_regions,
        vertices=len(partition.vertices),
        edges=len(partition.edges),
        units=int(partition.unit_offsets[-1]),
        undecided=0 if said is None else int(said.undecided.sum()),
        euler=len(partition.vertices) - len(partition.edges) + partition.num_regions,
        **_errors(said, shape),
        failures=findings.lines(),
        seconds=time.perf_counter() - began,
        linear_regions=linear,
        boundary_segments=segments,
        unjudged=tuple(unjudged),
        hidden_outputs=hidden,
        exactly=0 if judged is None else int(judged.exactly.sum()),
    )
    if report.failures and raise_on_failure:
        raise CertificateError(f"certificate: expected a partition that the model proves, got\n{report}")
    return report


def _errors(said: Testimony | None, shape: shapes.Shapes | None) -> dict[str, float]:
    """The worst errors by their names in a report; NaN where nothing could be read."""
    names = ("area", "convexity", "border", "knot", "sign", "output", "interior")
    worst = [float("nan")] * len(names)
    if said is not None and shape is not None:
        worst[:3] = [shape.gap, float(max(shape.depth.max(), 0.0)), float(shape.off.max(initial=0.0))]
        worst[3:5] = [float(errors.max(initial=0.0)) for errors in (said.knot, said.sign)]
        worst[5:] = said.relative.max(axis=0).tolist()
    return {f"{name}_error": error for name, error in zip(names, worst, strict=True)}


def _program(partition: Partition, model: Any) -> Program:
    """The model traced anew, in memory that what came before has handed back."""
    if partition.unit_offsets[-1] > MANY:
        release_memory()
    return trace(model, partition.plane.input_shape, swap=partition.swaps, borrow=True)


def _unjudged(partition: Partition, anchors: Any) -> list[str]:
    """What was not checked, and what to pass for it."""
    missing = anchors is None and len(partition.plane.anchors_uv) > 0
    return ["anchors_uv: pass the samples, anchors=(x0, x1, x2)"] if missing else []


def _judged(
    partition: Partition, program: Program, corners: Corners, said: Testimony, shape: shapes.Shapes, unjudged: list[str]
) -> Judged:
    """Judge exactly what double precision could not tell or refused for its shape or signs, and write it into both."""
    asked = said.undecided | said.wrong_pattern(partition.pattern_hash) | ~(said.sign <= SLACK) | shape.odd(GEOMETRY)
    asked[partition.edge_faces[said.same_side(partition.edge_faces)].reshape(-1)] = True
    sure = (said.pattern == partition.pattern_hash) & ~asked
    judged = judge(partition, program, np.flatnonzero(asked), sure, corners.edge)
    said.undecided &= ~judged.exactly
    said.explained |= judged.exactly
    said.sign[judged.exactly] = shape.depth[judged.exactly] = 0.0
    shape.turned[judged.exactly] = 0.0
    for face, packed in judged.on.items():
        on = np.unpackbits(packed)
        here = slice(int(partition.face_offsets[face]), int(partition.face_offsets[face + 1]))
        edge, side = corners.edge[here], corners.side[here]
        tag = partition.edge_tag[edge]
        said.edge_sign[edge[tag >= 0], side[tag >= 0]] = np.where(on[tag[tag >= 0]] > 0, 1, -1)
    for reason, faces in judged.left.items():
        left = np.array([face for face in faces if said.undecided[face]], np.int64)
        if len(left):
            where = statements.named(partition, left)
            unjudged.append(f"too thin for double precision, and not judged exactly, {reason}: {where}")
    return judged


def _beside(
    partition: Partition, witness: Witness, corners: Corners, said: Testimony, judged: Judged,
    findings: Findings, unjudged: list[str],
) -> tuple[int, int]:
    """Hold linear regions and decision boundary against the model; how many of each."""
    asked = statements.Asked(SLACK, GEOMETRY, said.undecided, judged.exactly, judged.slopes, unjudged)
    linear, boundary = partition.linear_regions, partition.boundary_at()
    for check, line in statements.linear(partition, linear, witness, asked):
        findings.add(check, line)
    for check, line in divides.boundary(partition, boundary, witness, corners, asked):
        findings.add(check, line)
    for check, line in divides.classes(partition, partition.classes(), witness, corners, asked):
        findings.add(check, line)
    return linear.count, len(boundary.segments)


@dataclass
class Findings:
    """Failures by check, in the order they were met."""

    by_check: dict[str, list[str]] = field(default_factory=dict)

    def add(self, check: str, line: str) -> None:
        """Note one failure."""
        self.by_check.setdefault(check, []).append(line)

    def each(self, check: str, faces: Any, text: str) -> None:
        """Note the same failure of several faces."""
        for face in np.asarray(faces).tolist():
            self.add(check, f"face {face}: {text}")

    def lines(self) -> tuple[str, ...]:
        """One line a failure, at most LISTED a check and a count of the rest."""
        out = []
        for check, lines in self.by_check.items():
            out += [f"[{check}] {line}" for line in lines[:LISTED]]
            if len(lines) > LISTED:
                out.append(f"[{check}] and {len(lines) - LISTED} more")
        return tuple(out)


# ---- topology -------------------------------------------------------------------------------------


def _in_range(partition: Partition, findings: Findings) -> bool:
    """Whether all ids are in range and all lengths fit, so that the rest can be read."""
    offsets, here = partition.face_offsets.astype(np.int64), partition.face_vertices.astype(np.int64)
    edges, vertices, faces = partition.edges.astype(np.int64), len(partition.vertices), partition.num_regions
    ranges = (
        (
            len(offsets) >= 2 and offsets[0] == 0 and offsets[-1] == len(here) and (np.diff(offsets) >= 3).all(),
            "face_offsets",
        ),
        (len(here) and here.min() >= 0 and here.max() < vertices, "face_vertices"),
        (len(edges) and edges.min() >= 0 and edges.max() < vertices, "edges"),
        (partition.edge_faces.min(initial=-1) >= -1 and partition.edge_faces.max(initial=-1) < faces, "edge_faces"),
        (partition.edge_tag.max(initial=-1) < partition.unit_offsets[-1], "edge_tag"),
        (
            len(partition.outputs) == len(partition.local_vertices) == vertices and len(partition.pattern_hash) == faces,
            "lengths",
        ),
    )
    for holds, name in ranges:
        if not holds:
            findings.add("ids", f"{name}: out of range or of the wrong length")
    return not findings.by_check


def _topology(partition: Partition, findings: Findings) -> Corners | None:
    """Ids in range (else None: nothing more can be read), V - E + F = 1, and faces and edges that name each other."""
    if not _in_range(partition, findings):
        return None
    offsets, here = partition.face_offsets.astype(np.int64), partition.face_vertices.astype(np.int64)
    edges, vertices, faces = partition.edges.astype(np.int64), len(partition.vertices), partition.num_regions
    if vertices - len(edges) + faces != 1:
        findings.add(
            "euler", f"expected V - E + F = 1, got {vertices} - {len(edges)} + {faces} = {vertices - len(edges) + faces}"
        )
    face = np.repeat(np.arange(faces), np.diff(offsets))
    following, previous = np.arange(1, len(here) + 1), np.arange(-1, len(here) - 1)
    following[offsets[1:] - 1] = offsets[:-1]
    previous[offsets[:-1]] = offsets[1:] - 1
    there = here[following]
    keys = edges.min(axis=1) * vertices + edges.max(axis=1)
    order = np.argsort(keys, kind="stable")
    wanted = np.minimum(here, there) * vertices + np.maximum(here, there)
    position = np.minimum(np.searchsorted(keys[order], wanted), len(order) - 1)
    edge = order[position]
    known = keys[edge] == wanted
    side = np.where(edges[edge, 0] == here, 0, 1)
    for c in np.flatnonzero(~known):
        findings.add("sides", f"face {face[c]}: its side {here[c]} -> {there[c]} is no edge")
    for c in np.flatnonzero(known & (partition.edge_faces[edge, side] != face)):
        other = partition.edge_faces[edge[c], side[c]]
        findings.add(
            "sides", f"face {face[c]}: edge {edge[c]} along its side {here[c]} -> {there[c]} names face {other} there"
        )
    hits = np.bincount(2 * edge[known] + side[known], minlength=2 * len(edges)).reshape(-1, 2)
    for e, s in np.argwhere((partition.edge_faces >= 0) & (hits != 1)):
        findings.add(
            "sides", f"face {partition.edge_faces[e, s]}: edge {e} names it, and {hits[e, s]} of its sides are that edge"
        )
    twice = order[1:][np.diff(keys[order]) == 0]
    findings.each("sides", partition.edge_faces[twice].max(axis=1), "one of its edges stands twice")
    outside = partition.edge_faces < 0
    odd = np.flatnonzero((outside.any(axis=1) != (partition.edge_tag < 0)) | outside.all(axis=1))
    for e in odd:
        left, right = partition.edge_faces[e]
        findings.add(
            "sides", f"face {max(left, right)}: edge {e} with tag {partition.edge_tag[e]} has faces {left} and {right}"
        )
    used = np.zeros(vertices, bool)
    used[here] = True
    for v in np.flatnonzero(~used):
        findings.add("sides", f"vertex {v} belongs to no face")
    return Corners(face, here, there, here[previous], np.where(known, edge, -1), side)


def _conclude_shapes(partition: Partition, shape: shapes.Shapes, findings: Findings) -> None:
    """Turn shapes into findings."""
    if not shape.gap <= GEOMETRY:
        whole = polygon_area(shape.window)
        findings.add("areas", f"expected areas that sum to the window's {whole:.17g}, got {shape.areas.sum():.17g}")
    clockwise = np.flatnonzero(shape.turned > GEOMETRY)
    findings.each("orientation", clockwise, "expected counter-clockwise corners, got clockwise")
    bent = np.flatnonzero(shape.depth > GEOMETRY)
    findings.each("convexity", bent, "expected a convex face, got a corner that turns right")
    aside = partition.edge_faces[shape.rim[shape.off > GEOMETRY]].max(axis=1)
    findings.each("border", aside, "its border edge lies off the window's border")


def _conclude(partition: Partition, said: Testimony, findings: Findings) -> None:
    """Turn what the model said into findings."""
    claimed, paths, units = partition.pattern_hash, partition.layer_paths, partition.unit_offsets

    def name(unit: int) -> str:
        layer = int(np.searchsorted(units, unit, side="right")) - 1
        path = paths[layer] if layer < len(paths) else layer
        return f"unit {unit - int(units[layer])} of layer {path!r}"

    for face in np.flatnonzero(said.wrong_pattern(claimed)):
        single = np.flatnonzero(said.unit_hash == (said.pattern[face] ^ claimed[face]))
        differs = f", which differs in {name(int(said.unit[single[0]]))}" if len(single) else ""
        findings.add(
            "pattern",
            f"face {face}: its pattern is {claimed[face]:#018x}, the model's inside is {said.pattern[face]:#018x}{differs}",
        )
    order = np.argsort(claimed, kind="stable")
    for i in np.flatnonzero(claimed[order[1:]] == claimed[order[:-1]]):
        one, other = sorted(order[i : i + 2].tolist())
        findings.add("unique", f"face {one}: has the same pattern as face {other}")
    for face in np.flatnonzero(~(said.sign <= SLACK)):
        unit = name(int(said.sign_unit[face]))
        findings.add("signs", f"face {face}: {unit} has both signs at its corners, so its knot crosses the face")
    for face in np.flatnonzero(~(said.knot <= SLACK)):
        findings.add("knots", f"face {face}: an edge's unit is {said.knot[face]:.3g} tolerances off 0 at an end of the edge")
    for edge in np.flatnonzero(said.same_side(partition.edge_faces)):
        left, right = partition.edge_faces[edge]
        unit = name(int(partition.edge_tag[edge]))
        findings.add("tags", f"face {left}: {unit} does not change across edge {edge} to face {right}")
    for face in np.flatnonzero(~(said.output <= SLACK)):
        findings.add(
            "outputs", f"face {face}: outputs at its vertices are {said.output[face]:.3g} tolerances off the model's"
        )
    for face in np.flatnonzero(~(said.interior <= SLACK)):
        findings.add("map", f"face {face}: its affine map is {said.interior[face]:.3g} tolerances off the model inside")
