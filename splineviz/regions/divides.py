r"""The decision boundary of a partition, held against the model: every segment divides, and none is missing.
Also whether the parts are the faces cut among the classes, and how long the creases of an upper envelope are.

        \    l   /        On both ends of a segment its classes l and r are the model's largest outputs, so by convexity
         *------*         on all of it. A point on its left side (o) has l above r, one on its right r above l: halfway
        /  o: l  \        to the far side of the face, or of the neighbour where the segment lies on an edge.
       /__________\

None missing: in a face where the largest output is not the same at all corners, the lengths of its segments sum to that of
the upper envelope's creases, found here by clipping chords class by class; on an edge where two outputs tie and whose
sides go to one each, a segment lies. The affine pieces are read from `outputs`, which the certificate has proved. One
output counts as two, 0 and itself. A tie within rounding is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from splineviz.errors import FloatArray
from splineviz.geometry.boundary import Boundary
from splineviz.geometry.faces import Classes
from splineviz.geometry.partition import Partition
from splineviz.regions.statements import CHUNK, EPS, Asked, Lines
from splineviz.regions.witness import Corners, Witness

Ids = npt.NDArray[np.int64]
LENGTHS = 1e-7
"""Error of a length, in diameters of the window."""


def boundary(part: Partition, said: Boundary, witness: Witness, corners: Corners, asked: Asked) -> Lines:
    """Whether the segments are the model's decision boundary, all of it."""
    count = len(said.segments)
    if said.segments.shape != (count, 2, 2) or said.faces.shape != (count,) or said.classes.shape != (count, 2):
        yield "boundary", "expected two ends, a face and two classes for each segment, got others"
        return
    single = part.outputs.shape[1] == 1
    classes = np.broadcast_to(np.array([0, 1]), (count, 2)) if single else said.classes.astype(np.int64)
    most = 2 if single else part.outputs.shape[1]
    if count and not (
        np.isfinite(said.segments).all()
        and 0 <= said.faces.min() <= said.faces.max() < part.num_regions
        and 0 <= classes.min() <= classes.max() < most
        and (classes[:, 0] != classes[:, 1]).all()
    ):
        yield "boundary", "expected finite ends, faces in range and two different classes a segment, got others"
        return
    limit = _tolerance(witness, single)
    own = np.zeros(count, bool)
    if count:
        yield from _dividing(part, said, classes, witness, corners, asked, limit, own)
    yield from _missing(part, said, own, asked, limit)


def _tolerance(witness: Witness, single: bool) -> FloatArray:
    """(C,) tolerances of the outputs; of 0, which stands for the other class of a single one, none."""
    own = witness.output_tolerance
    return np.concatenate([[0.0], own]) if single else own


def _outputs(witness: Witness, local: FloatArray) -> FloatArray:
    """The model's own outputs (n, C >= 2) at points (n, 2)."""
    y = np.concatenate([witness.outputs(witness.inputs(local[at : at + CHUNK])) for at in range(0, len(local), CHUNK)])
    return _two(y)


def _dividing(
    part: Partition, said: Boundary, classes: Ids, witness: Witness, corners: Corners, asked: Asked, limit: FloatArray,
    own: npt.NDArray[np.bool_],
) -> Lines:  # fmt: skip
    """Segments that do not divide; notes in `own` which of them lie inside their faces."""
    ends, face = said.segments, said.faces.astype(np.int64)
    rows = np.arange(len(ends))
    slack = asked.slack * (limit[classes[:, 0]] + limit[classes[:, 1]])
    for end in (0, 1):
        y = _outputs(witness, ends[:, end])
        low = np.minimum(y[rows, classes[:, 0]], y[rows, classes[:, 1]])
        for s in np.flatnonzero(~(y.max(axis=1) - low <= slack + asked.slack * limit.max())):
            yield "boundary", f"segment {s} in face {face[s]}: at an end its classes {classes[s].tolist()} do not tie"
    middle, along = ends.mean(axis=1), ends[:, 1] - ends[:, 0]
    length = np.hypot(*along.T)
    for s in np.flatnonzero(~(length > 0)):
        yield "boundary", f"segment {s} in face {face[s]}: it has no length"
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.where(length > 0, length, 1.0)[:, None]
    depth, _, edge = _reach(part, corners, face, middle, normal)
    near = asked.near(part)
    for s in np.flatnonzero(depth < -near):
        if not _gap(part, int(face[s]), middle[s]) <= near:
            yield "boundary", f"segment {s} in face {face[s]}: it lies outside of its face"
    short = length <= near
    short[short] = asked.thin[face[short]] | (part.areas[face[short]] <= near * _spans(part, face[short]))
    yield from _across_slivers(part, ends, face, classes, np.flatnonzero(short), asked, slack)
    own[:] = True
    for side, sign in ((0, 1.0), (1, -1.0)):
        _, far, _ = _reach(part, corners, face, middle, sign * normal)
        beyond = np.flatnonzero(far <= 1e-3 * near)
        own[beyond] = False
        left, right = part.edge_faces[edge[beyond]].T
        other = np.where(left == face[beyond], right, left).astype(np.int64)
        known = beyond[(edge[beyond] >= 0) & (other >= 0)]
        other = other[(edge[beyond] >= 0) & (other >= 0)]
        if len(known):
            far[known] = _reach(part, corners, other, middle[known], sign * normal[known])[1]
        y = _outputs(witness, middle + sign * 0.5 * np.maximum(far, 0.0)[:, None] * normal)
        lead = y[rows, classes[:, side]] - y[rows, classes[:, 1 - side]]
        for s in np.flatnonzero(~(lead >= -slack) & ~short):
            one, another = classes[s, side], classes[s, 1 - side]
            where = "left" if side == 0 else "right"
            yield "boundary", f"segment {s} in face {face[s]}: on its {where} the model has {another} above {one}"


def _reach(
    part: Partition, corners: Corners, face: Ids, points: FloatArray, direction: FloatArray
) -> tuple[FloatArray, FloatArray, Ids]:
    """Of points (n, 2) in faces (n,): depth behind the nearest side, way to the border in a direction, that side's edge."""
    offsets = part.face_offsets.astype(np.int64)
    counts = offsets[face + 1] - offsets[face]
    starts = np.concatenate([[0], np.cumsum(counts)])
    flat = np.arange(starts[-1]) + np.repeat(offsets[face] - starts[:-1], counts)
    row = np.repeat(np.arange(len(face)), counts)
    a = part.local_vertices[corners.here[flat]]
    e = part.local_vertices[corners.there[flat]] - a
    size = np.hypot(*e.T)
    e /= np.where(size > 0, size, 1.0)[:, None]
    p, d = points[row] - a, direction[row]
    depth = np.where(size > 0, e[:, 0] * p[:, 1] - e[:, 1] * p[:, 0], np.inf)
    rate = e[:, 0] * d[:, 1] - e[:, 1] * d[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        far = np.where((rate < -1e-12) & (size > 0), np.maximum(depth, 0.0) / -rate, np.inf)
    least = np.minimum.reduceat(depth, starts[:-1])
    order = np.lexsort((depth, row))
    nearest = order[starts[:-1]]
    reach = np.minimum.reduceat(far, starts[:-1])
    return least, np.where(np.isfinite(reach), reach, 0.0), corners.edge[flat[nearest]]


def _across_slivers(
    part: Partition, ends: FloatArray, face: Ids, classes: Ids, short: Ids, asked: Asked, slack: FloatArray
) -> Lines:
    """Short segments across slivers, beside which there is no room for a point: by the face's corners on either side."""
    y, blurred = _two(part.outputs), []
    for s in short.tolist():
        ids = part.face(int(face[s]))
        away, along = part.local_vertices[ids] - ends[s].mean(axis=0), ends[s, 1] - ends[s, 0]
        length, size = max(float(np.hypot(*along)), 1e-300), float(np.abs(ends[s]).max())
        beside = (along[0] * away[:, 1] - along[1] * away[:, 0]) / length
        lead = y[ids, classes[s, 0]] - y[ids, classes[s, 1]]
        reach = np.hypot(*away.T)
        off = 64.0 * EPS * size + slack[s] * float(reach.max() / max(np.ptp(lead), 1e-300))  # of an end of the segment
        blur = reach * min(1.0, off / length)
        if not (np.abs(beside) > blur).any():
            blurred.append(int(face[s]))
        if (((beside > blur) & ~(lead >= -slack[s])) | ((beside < -blur) & ~(lead <= slack[s]))).any():
            yield "boundary", f"segment {s} in face {face[s]}: its classes {classes[s].tolist()} are on the wrong sides"
    what = "on which sides of segments without length the classes are"
    asked.pass_over(part, "boundary", np.array(blurred, np.int64), what)


def _spans(part: Partition, face: Ids) -> FloatArray:
    """(n,) diameters of faces, to a factor of two."""
    faces, row = np.unique(face, return_inverse=True)
    corners = [part.local_vertices[part.face(int(f))] for f in faces]
    return np.array([float(np.hypot(*np.ptp(points, axis=0))) for points in corners])[row]


def _two(outputs: FloatArray) -> FloatArray:
    """Outputs (n, C >= 2): a single one beside 0."""
    return np.concatenate([np.zeros((len(outputs), 1)), outputs], axis=1) if outputs.shape[1] == 1 else outputs


def _gap(part: Partition, face: int, point: FloatArray) -> float:
    """How far a point (2,) is from the nearest side of a face: also of one without width, whose sides have no inside."""
    a = part.local_vertices[part.face(face)]
    e = np.roll(a, -1, axis=0) - a
    size = (e**2).sum(axis=1)
    t = np.clip(((point - a) * e).sum(axis=1) / np.where(size > 0, size, 1.0), 0.0, 1.0)
    return float(np.hypot(*(point - a - t[:, None] * e).T).min())


# ---- none missing ------------------------------------------------------------------------------------------------


def _missing(part: Partition, said: Boundary, own: npt.NDArray[np.bool_], asked: Asked, limit: FloatArray) -> Lines:
    y = _two(part.outputs)
    slack = asked.slack * 2.0 * float(limit.max())
    lengths = np.bincount(said.faces, weights=said.lengths, minlength=part.num_regions)
    inside = np.bincount(said.faces[own], weights=said.lengths[own], minlength=part.num_regions)
    near = LENGTHS * asked.near(part) / asked.geometry
    winner = y.argmax(axis=1)
    starts = part.face_offsets[:-1].astype(np.int64)
    top = winner[part.face_vertices]
    mixed = np.minimum.reduceat(top, starts) != np.maximum.reduceat(top, starts)
    for face in np.flatnonzero(mixed | (inside > 0)):
        if asked.undecided[face]:
            continue
        ids = part.face(int(face))
        bounds = creases(part.local_vertices[ids], y[ids], slack)
        if lengths[face] < bounds[0] - near:
            yield "boundary", f"face {face}: expected segments of length {bounds[0]:.6g} in it, got {lengths[face]:.6g}"
        if inside[face] > bounds[1] + near:
            yield "boundary", f"face {face}: expected segments of length {bounds[1]:.6g} in it, got {inside[face]:.6g}"
    yield from _missing_on_edges(part, said, y, slack, asked)


def creases(polygon: FloatArray, y: FloatArray, slack: float) -> tuple[float, float]:
    """Least and largest length of the creases of the upper envelope of C affine functions on a convex polygon (n, 2).

    y: (n, C) at its corners; slack: differences that are none, so that a class that touches may be on top or not.
    """
    over = [k for k in range(y.shape[1]) if not any((y[:, j] > y[:, k] + slack).all() for j in range(y.shape[1]))]
    least = most = 0.0
    for n, i in enumerate(over):
        for j in over[n + 1 :]:
            gap = y[:, i] - y[:, j]
            close = gap[np.abs(gap) <= slack]
            sure = bool(gap.max() > slack and gap.min() < -slack) and not close.any()
            places = list(_zeros(polygon, y, gap, slack))
            most = np.inf if len(close) == len(gap) else most  # a tie all over: its border may hold any of the segments
            if len(places) < 2:
                continue
            a, b = _farthest(places)
            size = float(np.hypot(*(b[0] - a[0])))
            rest = [k for k in over if k not in (i, j)]
            lead_a, lead_b = a[1][i] - a[1][rest], b[1][i] - b[1][rest]
            most += size * _share(lead_a + slack, lead_b + slack)
            least += size * _share(lead_a - slack, lead_b - slack) if sure else 0.0
    return least, most


def _zeros(polygon: FloatArray, y: FloatArray, gap: FloatArray, slack: float) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Where a difference of two outputs may be 0 on a polygon's border, each place with all outputs there."""
    for c in range(len(polygon)):
        d = (c + 1) % len(polygon)
        if abs(gap[c]) <= slack:
            yield polygon[c], y[c]
        elif gap[c] * gap[d] < 0.0:
            t = gap[c] / (gap[c] - gap[d])
            yield (1 - t) * polygon[c] + t * polygon[d], (1 - t) * y[c] + t * y[d]


def _farthest(
    places: list[tuple[FloatArray, FloatArray]],
) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
    first = max(places, key=lambda q: float(np.hypot(*(q[0] - places[0][0]))))
    return first, max(places, key=lambda q: float(np.hypot(*(q[0] - first[0]))))


def _share(start: FloatArray, stop: FloatArray) -> float:
    """Share of [0, 1] on which all of some affine functions, given at both ends, are >= 0."""
    low, high = 0.0, 1.0
    for f, g in zip(start.tolist(), stop.tolist(), strict=True):
        if f < 0 and g < 0:
            return 0.0
        if f < 0:
            low = max(low, f / (f - g))
        elif g < 0:
            high = min(high, f / (f - g))
    return max(0.0, high - low)


def _missing_on_edges(part: Partition, said: Boundary, y: FloatArray, slack: float, asked: Asked) -> Lines:
    """Edges on which two outputs tie at the top, whose sides go to one each, and on which no segment lies."""
    second = np.partition(y, -2, axis=1)[:, -2]
    tied = y.max(axis=1) - second <= slack
    for e in np.flatnonzero(tied[part.edges].all(axis=1) & (part.edge_faces >= 0).all(axis=1)):
        a, b = part.edges[e]
        top = np.flatnonzero((y[[a, b]] >= y[[a, b]].max(axis=1)[:, None] - slack).all(axis=0))
        if len(top) < 2 or asked.undecided[part.edge_faces[e]].any():
            continue
        means = [y[part.face(int(f))][:, top].mean(axis=0) for f in part.edge_faces[e]]
        order = [np.sort(m) for m in means]
        clear = all(m[-1] - m[-2] > 8 * slack for m in order)
        if clear and means[0].argmax() != means[1].argmax():
            middle = part.local_vertices[[a, b]].mean(axis=0)
            p, q = said.segments[:, 0], said.segments[:, 1] - said.segments[:, 0]
            t = np.clip(((middle - p) * q).sum(axis=1) / np.maximum((q**2).sum(axis=1), 1e-300), 0.0, 1.0)
            gap = np.hypot(*(p + t[:, None] * q - middle).T).min(initial=np.inf)
            if not gap <= asked.near(part):
                yield "boundary", f"face {part.edge_faces[e, 0]}: its edge {e} divides classes, and no segment lies there"


# ---- classes -----------------------------------------------------------------------------------------------------


def classes(part: Partition, said: Classes, witness: Witness, corners: Corners, asked: Asked) -> Lines:
    """Whether the parts are the faces cut among the classes of the model: each lies in its face and is as large as it says,
    its class is the largest output at all of its corners, no two of a face have one class, and together they are the face.
    """
    most = max(part.outputs.shape[1], 2)
    fault = _misfit(part, said, most)
    if fault:
        yield "classes", fault
        return
    limit = _tolerance(witness, part.outputs.shape[1] == 1)
    slack = asked.slack * 2.0 * float(limit.max())
    own = _two(part.outputs)
    new = said.vertices[len(own) :]
    y = np.concatenate([own, _outputs(witness, new)]) if len(new) else own
    starts, ring = said.offsets[:-1].astype(np.int64), said.corners.astype(np.int64)
    sizes, owner = np.diff(said.offsets), np.repeat(np.arange(len(said.label)), np.diff(said.offsets))
    face = said.face.astype(np.int64)
    yield from _parts_lie(part, said, corners, face, asked)
    leads = y[ring, said.label[owner]] - y[ring].max(axis=1)
    lead = np.minimum.reduceat(leads, starts)
    wrong = np.flatnonzero(~(lead >= -slack) & ~asked.undecided[face])
    mean = np.add.reduceat(y[ring], starts) / sizes[:, None]
    rows = np.arange(len(mean))
    best = mean[rows, said.label]
    mean[rows, said.label] = -np.inf
    margin = best - mean.max(axis=1)
    whole = np.bincount(face, minlength=part.num_regions)[face[wrong]] == 1
    # Too thin to be cut: its class is the largest output somewhere in it.
    uncut = whole & asked.thin[face[wrong]] & (np.maximum.reduceat(leads, starts)[wrong] >= -slack)
    asked.pass_over(part, "classes", face[wrong[uncut]], "one class of several stands for all")
    margin[wrong[uncut]] = np.maximum(margin[wrong[uncut]], 0.0)
    wrong, whole = wrong[~uncut], whole[~uncut]
    excused = int(whole.sum()) <= said.undecided
    for p in wrong[~whole] if excused else wrong:
        yield "classes", f"face {face[p]}: the model has another class than {said.label[p]} in its part {p}"
    gap = np.abs(margin - said.margins)
    for p in np.flatnonzero(~(gap <= slack) & ~asked.undecided[face] & ~np.isin(rows, wrong)):
        yield "classes", f"face {face[p]}: the margin {said.margins[p]:.6g} of its part {p} is {gap[p]:.3g} off the model's"


def _misfit(part: Partition, said: Classes, most: int) -> str | None:
    """What is wrong with the numbers of parts, before anything is read by them."""
    count, faces = len(said.label), part.num_regions
    shapes = said.face.shape == said.areas.shape == said.margins.shape == (count,) and said.offsets.shape == (count + 1,)
    if not shapes or said.faces != faces or said.count != most or said.offsets[-1] != len(said.corners):
        return f"expected label, face, area and margin of each part, {faces} faces and {most} classes, got others"
    if not np.array_equal(said.face[:faces], np.arange(faces)) or (np.diff(said.offsets) < 3).any() or said.offsets[0] != 0:
        return "expected a part for every face first, and parts of three corners or more, got others"
    inside = 0 <= said.face.min() <= said.face.max() < faces and 0 <= said.label.min() <= said.label.max() < most
    if not inside or not 0 <= said.corners.min() <= said.corners.max() < len(said.vertices):
        return "expected faces, classes and corners in range, got others"
    if not np.array_equal(said.vertices[: len(part.vertices)], part.local_vertices) or not np.isfinite(said.vertices).all():
        return "expected the vertices of the complex, and finite ones after them, got others"
    twice = np.unique(said.face.astype(np.int64) * most + said.label, return_counts=True)[1].max() > 1
    return "expected one part of a class in a face, got two" if twice else None


def _parts_lie(part: Partition, said: Classes, corners: Corners, face: Ids, asked: Asked) -> Lines:
    """Parts that are not convex, not as large as they say, not in their faces; faces that their parts do not fill."""
    starts, ring, near = said.offsets[:-1].astype(np.int64), said.corners.astype(np.int64), asked.near(part)
    following, previous = np.arange(1, len(ring) + 1), np.arange(-1, len(ring) - 1)
    following[said.offsets[1:] - 1], previous[starts] = starts, said.offsets[1:] - 1
    here, there, before = (said.vertices[ring[at]] for at in (slice(None), following, previous))
    first = np.repeat(here[starts], np.diff(said.offsets), axis=0)
    areas = 0.5 * np.add.reduceat(_cross(here - first, there - first), starts)
    size = float(np.ptp(part.window, axis=0).prod())
    for p in np.flatnonzero(~(np.abs(areas - said.areas) <= 1e-9 * size)):
        yield "classes", f"face {face[p]}: the area of its part {p} is {said.areas[p]:.6g}, expected {areas[p]:.6g}"
    owner = np.repeat(np.arange(len(starts)), np.diff(said.offsets))
    chord = np.hypot(*(there - before).T)
    depth = _cross(there - here, before - here) / np.where(chord > 0, chord, 1.0)
    bent = np.unique(owner[depth < -near])
    asked.pass_over(part, "classes", face[bent[asked.thin[face[bent]]]], "whether parts without width are convex")
    for p in bent[~asked.thin[face[bent]]]:
        yield "classes", f"face {face[p]}: its part {p} is not convex"
    added = np.flatnonzero(ring >= len(part.vertices))
    if len(added):
        inside, _, _ = _reach(part, corners, face[owner[added]], said.vertices[ring[added]], np.ones((len(added), 2)))
        far = np.flatnonzero(inside < -near)
        gaps = [_gap(part, int(face[owner[at]]), said.vertices[ring[at]]) for at in added[far]]
        for p in np.unique(owner[added[far[~(np.array(gaps) <= near)]]]):
            yield "classes", f"face {face[p]}: its part {p} reaches out of it"
    total = np.bincount(face, weights=areas, minlength=part.num_regions)
    for f in np.flatnonzero(~(np.abs(total - part.areas) <= 1e-9 * size)):
        yield "classes", f"face {f}: expected parts of {part.areas[f]:.6g} together, got {total[f]:.6g}"


def _cross(p: FloatArray, q: FloatArray) -> FloatArray:
    return p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]
