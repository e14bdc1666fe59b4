"""Every kind of damage to every public array of a partition, as a table: name -> function(partition, rng) -> Partition.

Each returns a partition that differs, or None where it does not apply. What changes nothing that can be observed (faces,
vertices or edges renumbered throughout, an unknown seed, the report's counts) is not damage.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace

import numpy as np

import splineviz as sv
from splineviz.geometry.boundary import Boundary
from splineviz.geometry.partition import LinearRegions, Partition
from splineviz.geometry.plane import Plane
from splineviz.geometry.polygons import polygon_area

Damage = Callable[[Partition, np.random.Generator], Partition | None]


def changed(part: Partition, name: str, at, value) -> Partition:
    array = getattr(part, name).copy()
    array[at] = value
    return replace(part, **{name: array})


def swapped(part: Partition, name: str, rng: np.random.Generator) -> Partition | None:
    """Two rows swapped; nothing but rounding where they hold the same numbers (outputs may repeat at distant vertices)."""
    array = getattr(part, name).copy()
    i, j = rng.choice(len(array), 2, replace=False)
    same = array[i] == array[j]
    if array.dtype.kind == "f":
        same = np.abs(array[i] - array[j]) <= 8.0 * np.finfo(float).eps * np.abs(array).max()
    array[[i, j]] = array[[j, i]]
    return None if np.all(same) else replace(part, **{name: array})


def edges_swapped(part: Partition, rng: np.random.Generator) -> Partition | None:
    """Ends of two edges swapped; nothing but numbers where both are of one unit and between the same faces."""
    i, j = rng.choice(len(part.edges), 2, replace=False)
    if part.edge_tag[i] == part.edge_tag[j] and (part.edge_faces[i] == part.edge_faces[j]).all():
        return None
    return changed(part, "edges", [i, j], part.edges[[j, i]])


def moved(part: Partition, rng: np.random.Generator, *names: str, by: float = 1e-7) -> Partition:
    step = by * np.ptp(part.window) * np.array([0.6, 0.8])
    v = rng.integers(len(part.vertices))
    return replace(part, **{name: _plus(getattr(part, name), v, step) for name in names})


def _plus(array, at, step):
    array = array.copy()
    array[at] += step
    return array


def inner(part: Partition, rng: np.random.Generator) -> int:
    return int(rng.choice(np.flatnonzero(part.edge_tag >= 0)))


def another_owner(part: Partition, rng: np.random.Generator) -> Partition | None:
    e = inner(part, rng)
    units = int(part.unit_offsets[-1])
    return None if units < 2 else changed(part, "edge_tag", e, (part.edge_tag[e] + rng.integers(1, units)) % units)


def another_corner(part: Partition, rng: np.random.Generator) -> Partition:
    i = rng.integers(len(part.face_vertices))
    return changed(part, "face_vertices", i, (part.face_vertices[i] + 1) % len(part.vertices))


def face_lost(part: Partition, rng: np.random.Generator) -> Partition | None:
    """Two faces made one: the edge between them taken out, its ends left."""
    e, faces = inner(part, rng), part.num_regions
    left, right = (int(f) for f in part.edge_faces[e])
    a, b = part.edges[e]
    one, other = part.face(left).tolist(), part.face(right).tolist()
    i, j = one.index(b), other.index(a)
    ring = one[i:] + one[:i] + (other[j:] + other[:j])[1:-1]
    rings = [ring if f == left else part.face(f).tolist() for f in range(faces) if f != right]
    number = np.arange(faces) - (np.arange(faces) > right)
    number[right] = number[left]
    sides = np.where(part.edge_faces < 0, -1, number[part.edge_faces]).astype(np.int32)
    keep = np.arange(len(part.edges)) != e
    return replace(
        part, edges=part.edges[keep], edge_tag=part.edge_tag[keep], edge_faces=sides[keep],
        face_offsets=np.cumsum([0, *map(len, rings)]).astype(np.int32),
        face_vertices=np.concatenate([np.asarray(r, np.int32) for r in rings]),
        pattern_hash=np.delete(part.pattern_hash, right), seed_face=-1, seed_pattern=np.empty(0, np.uint8),
    )  # fmt: skip


def face_doubled(part: Partition, rng: np.random.Generator) -> Partition:
    ring = part.face(int(rng.integers(part.num_regions)))
    offsets = np.append(part.face_offsets, part.face_offsets[-1] + len(ring)).astype(np.int32)
    return replace(
        part, face_offsets=offsets, face_vertices=np.concatenate([part.face_vertices, ring]),
        pattern_hash=np.append(part.pattern_hash, part.pattern_hash[0]),
    )  # fmt: skip


def plane_with(part: Partition, **arrays) -> Partition:
    plane = part.plane
    given = {"origin": plane.origin, "basis": plane.basis, "anchors_uv": plane.anchors_uv} | arrays
    return replace(part, plane=Plane(given["origin"], given["basis"], given["anchors_uv"]))


def anchor_moved(part: Partition, rng: np.random.Generator) -> Partition | None:
    anchors = part.plane.anchors_uv
    return plane_with(part, anchors_uv=_plus(anchors, rng.integers(len(anchors)), 1e-6)) if len(anchors) else None


def with_boundary(part: Partition, change) -> Partition | None:
    """The partition with another decision boundary in the place of its own."""
    said = part.boundary_at()
    if len(said.segments) < 2:
        return None
    arrays = {name: getattr(said, name).copy() for name in ("segments", "faces", "classes")}
    arrays = change(arrays)
    out = replace(part)
    out.__dict__["_boundary"] = Boundary(**arrays)
    return out


def segment_moved(part: Partition, rng: np.random.Generator) -> Partition | None:
    step = 1e-6 * np.ptp(part.window)

    def move(arrays):
        s = rng.integers(len(arrays["segments"]))
        along = arrays["segments"][s, 1] - arrays["segments"][s, 0]
        arrays["segments"][s] += step * np.array([-along[1], along[0]]) / np.hypot(*along)
        return arrays

    return with_boundary(part, move)


def longest(part: Partition) -> int:
    return int(part.boundary_at().lengths.argmax()) if len(part.boundary_at().segments) else 0


def classes_swapped(part: Partition, rng: np.random.Generator) -> Partition | None:
    def turn(arrays):
        s = longest(part)
        arrays["segments"][s] = arrays["segments"][s, ::-1]
        return arrays

    return with_boundary(part, turn)


def with_classes(part: Partition, change) -> Partition | None:
    """The partition with other classes in the place of its own; change: of their fields, by name, or None."""
    said = part.classes()
    if not len(said.extra):
        return None
    fields = {f.name: getattr(said, f.name) for f in dataclasses.fields(said)}
    fields = {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in fields.items()}
    fields = change(fields)
    if fields is None:
        return None
    out = replace(part)
    out.__dict__["_classes"] = type(said)(**fields)
    return out


def cut_part(part: Partition, rng: np.random.Generator) -> int:
    """One of the larger parts that a boundary has cut off, or has left of such a face."""
    said = part.classes()
    cut = np.flatnonzero(np.isin(said.face, said.face[said.extra]) & (said.areas > 1e-5 * said.areas.sum()))
    return int(rng.choice(cut if len(cut) else said.extra))


def entry_of_a_part(name: str, by):
    """One entry of a field of the classes, at a part that is cut."""

    def damage(part: Partition, rng: np.random.Generator) -> Partition | None:
        def change(fields):
            p = cut_part(part, rng)
            fields[name][p] = by(fields, p, rng)
            return fields

        return with_classes(part, change)

    return damage


def part_corner_moved(part: Partition, rng: np.random.Generator) -> Partition | None:
    """A corner on the boundary pushed across it."""

    def change(fields):
        if len(fields["vertices"]) == len(part.vertices):
            return None
        v = rng.integers(len(part.vertices), len(fields["vertices"]))
        fields["vertices"][v] += 1e-6 * np.ptp(part.window) * np.array([0.6, 0.8])
        return fields

    return with_classes(part, change)


def part_uncut(part: Partition, rng: np.random.Generator) -> Partition | None:
    """A face that is left whole, as if no boundary crossed it."""

    def change(fields):
        p, f = cut_part(part, rng), None
        f = int(fields["face"][p])
        keep = np.append(np.ones(fields["faces"], bool), fields["face"][fields["faces"] :] != f)
        rings = [fields["corners"][fields["offsets"][i] : fields["offsets"][i + 1]] for i in range(len(keep))]
        rings[f], fields["areas"][f] = part.face(f), fields["areas"][fields["face"] == f].sum()
        rings = [ring for ring, kept in zip(rings, keep, strict=True) if kept]
        for name in ("label", "face", "areas", "margins"):
            fields[name] = fields[name][keep]
        fields["offsets"] = np.cumsum([0, *map(len, rings)]).astype(np.int32)
        fields["corners"] = np.concatenate(rings).astype(np.int32)
        return fields

    return with_classes(part, change)


def part_corner_lost(part: Partition, rng: np.random.Generator) -> Partition | None:
    """A corner of a part taken out of its ring, where that is more than a triangle."""

    def change(fields):
        sizes = np.diff(fields["offsets"])
        many = np.flatnonzero((sizes > 3) & (fields["areas"] > 1e-5 * fields["areas"].sum()))
        if not len(many):
            return None
        p = int(rng.choice(many))
        at = int(fields["offsets"][p] + rng.integers(sizes[p]))
        fields["corners"] = np.delete(fields["corners"], at)
        fields["offsets"][p + 1 :] -= 1
        ring = fields["vertices"][fields["corners"][fields["offsets"][p] : fields["offsets"][p + 1]]]
        # A corner in the middle of a side is no loss.
        return fields if abs(polygon_area(ring) - fields["areas"][p]) > 1e-8 * fields["areas"].sum() else None

    return with_classes(part, change)


def with_linear(part: Partition, label) -> Partition:
    out = replace(part)
    out.__dict__["linear_regions"] = LinearRegions(label.astype(np.int32), int(label.max()) + 1, 0)
    return out


def labels_merged(part: Partition, rng: np.random.Generator) -> Partition | None:
    """Two neighbours whose slopes differ clearly made one linear region."""
    label, (norms, errors, verdict) = part.linear_regions.label, part.slope_jumps
    clear = np.flatnonzero((verdict == 1) & (norms > 1e3 * errors))
    if not len(clear):
        return None
    i, j = np.sort(label[part.edge_faces[rng.choice(clear)]])
    return None if i == j else with_linear(part, np.unique(np.where(label == j, i, label), return_inverse=True)[1])


def label_split(part: Partition, rng: np.random.Generator) -> Partition | None:
    """One face taken out of a linear region of several."""
    label, areas = part.linear_regions.label.copy(), part.areas
    several = np.flatnonzero((np.bincount(label)[label] > 1) & (areas > 1e-6 * areas.sum()))
    if not len(several):
        return None
    label[rng.choice(several)] = label.max() + 1
    return with_linear(part, np.unique(label, return_inverse=True)[1])


def seed_bit(part: Partition, rng: np.random.Generator) -> Partition | None:
    if part.seed_face < 0:
        return None
    bits = np.unpackbits(part.seed_pattern)
    bits[rng.integers(len(bits))] ^= 1
    return replace(part, seed_pattern=np.packbits(bits))


def seed_elsewhere(part: Partition, rng: np.random.Generator) -> Partition | None:
    return None if part.seed_face < 0 else replace(part, seed_face=(part.seed_face + 1) % part.num_regions)


def corner_moved(part: Partition, rng: np.random.Generator) -> Partition:
    return replace(part, window=_plus(part.window, rng.integers(len(part.window)), 1e-6 * np.ptp(part.window)))


def seam_moved(part: Partition, rng: np.random.Generator) -> Partition:
    """All vertices about the middle of the window pushed to the right, as if a tile began elsewhere."""
    centre = part.local_vertices[:, 0].mean()
    step = 1e-6 * np.ptp(part.window)
    on = np.argsort(np.abs(part.local_vertices[:, 0] - centre))[:3]
    arrays = {name: _plus(getattr(part, name), (on, 0), step) for name in ("vertices", "local_vertices")}
    return replace(part, **arrays)


def output_off(part: Partition, rng: np.random.Generator) -> Partition:
    at = (rng.integers(len(part.outputs)), rng.integers(part.outputs.shape[1]))
    return replace(part, outputs=_plus(part.outputs, at, 1e-6 * np.abs(part.outputs).max() + 1e-300))


def layer_renamed(part: Partition, rng: np.random.Generator) -> Partition | None:
    paths = part.layer_paths
    return replace(part, layer_paths=("another", *paths[1:])) if paths else None


def offset_shifted(part: Partition, rng: np.random.Generator) -> Partition | None:
    return changed(part, "unit_offsets", 1, part.unit_offsets[1] - 1) if len(part.unit_offsets) > 2 else None


def turned(part: Partition, rng: np.random.Generator) -> Partition:
    (a, b), angle = part.plane.basis, 1e-5
    return plane_with(part, basis=np.stack([np.cos(angle) * a + np.sin(angle) * b, np.cos(angle) * b - np.sin(angle) * a]))


DAMAGES: dict[str, Damage] = {
    "vertices: one moved": lambda p, r: moved(p, r, "vertices"),
    "vertices: one moved by 1e-12": lambda p, r: moved(p, r, "vertices", by=1e-12),
    "vertices: two swapped": lambda p, r: swapped(p, "vertices", r),
    "local_vertices: one moved": lambda p, r: moved(p, r, "local_vertices"),
    "local_vertices: two swapped": lambda p, r: swapped(p, "local_vertices", r),
    "vertices and local_vertices: one moved": lambda p, r: moved(p, r, "vertices", "local_vertices"),
    "vertices and local_vertices: a seam moved": seam_moved,
    "edges: turned round": lambda p, r: changed(p, "edges", e := inner(p, r), p.edges[e][::-1]),
    "edges: two swapped": edges_swapped,
    "edges: another end": lambda p, r: changed(p, "edges", (e := inner(p, r), 0), (p.edges[e, 0] + 1) % len(p.vertices)),
    "edge_tag: another owner": another_owner,
    "edge_tag: said to be border": lambda p, r: changed(p, "edge_tag", inner(p, r), -1),
    "edge_faces: another face": lambda p, r: changed(
        p, "edge_faces", (e := inner(p, r), 0), (p.edge_faces[e, 0] + 1) % p.num_regions
    ),
    "edge_faces: sides swapped": lambda p, r: changed(p, "edge_faces", e := inner(p, r), p.edge_faces[e][::-1]),
    "face_offsets: shifted": lambda p, r: changed(
        p, "face_offsets", i := r.integers(1, p.num_regions), p.face_offsets[i] + 1
    ),
    "face_vertices: another corner": another_corner,
    "face_vertices: two swapped": lambda p, r: swapped(p, "face_vertices", r),
    "a face lost": face_lost,
    "a face doubled": face_doubled,
    "pattern_hash: a bit": lambda p, r: changed(
        p, "pattern_hash", i := r.integers(p.num_regions), p.pattern_hash[i] ^ (np.uint64(1) << np.uint64(r.integers(64)))
    ),
    "pattern_hash: two swapped": lambda p, r: swapped(p, "pattern_hash", r),
    "outputs: an entry": output_off,
    "outputs: two rows swapped": lambda p, r: swapped(p, "outputs", r),
    "unit_offsets: shifted": offset_shifted,
    "layer_paths: renamed": layer_renamed,
    "max_layers: another": lambda p, r: replace(p, max_layers=() if p.max_layers else (0,)),
    "seed_pattern: a bit": seed_bit,
    "seed_face: another": seed_elsewhere,
    "window: a corner moved": corner_moved,
    "window: moved": lambda p, r: replace(p, window=p.window + 1e-6 * np.ptp(p.window)),
    "window: turned round": lambda p, r: replace(p, window=p.window[::-1].copy()),
    "centre: shifted": lambda p, r: replace(p, centre=p.centre + 1e-6 * np.ptp(p.window)),
    "plane.origin: shifted": lambda p, r: plane_with(p, origin=p.plane.origin + 1e-5 * p.plane.basis[0]),
    "plane.basis: turned": turned,
    "plane.anchors_uv: moved": anchor_moved,
    "swaps: another": lambda p, r: replace(p, swaps={"gelu": "relu"}),
    "boundary: a segment lost": lambda p, r: with_boundary(
        p, lambda arrays: {k: np.delete(v, longest(p), axis=0) for k, v in arrays.items()}
    ),
    "boundary: a segment doubled": lambda p, r: with_boundary(
        p, lambda arrays: {k: np.concatenate([v, v[[longest(p)]]]) for k, v in arrays.items()}
    ),
    "boundary: a segment moved": segment_moved,
    "boundary: a segment turned": classes_swapped,
    "classes: label of a part": entry_of_a_part(
        "label", lambda f, p, r: (f["label"][p] + r.integers(1, f["count"])) % f["count"]
    ),
    "classes: face of a part": entry_of_a_part("face", lambda f, p, r: (f["face"][p] + 1) % f["faces"]),
    "classes: area of a part": entry_of_a_part("areas", lambda f, p, r: f["areas"][p] * (1.0 + 1e-3)),
    "classes: margin of a part": entry_of_a_part("margins", lambda f, p, r: f["margins"][p] * (1.0 + 1e-6) + 1e-9),
    "classes: a corner moved": part_corner_moved,
    "classes: a corner lost": part_corner_lost,
    "classes: a face left whole": part_uncut,
    "classes: another number of classes": lambda p, r: with_classes(p, lambda f: f | {"count": f["count"] + 1}),
    "linear_regions: two merged": labels_merged,
    "linear_regions: one split": label_split,
}  # fmt: skip


def caught(part: Partition, model, anchors=None) -> bool:
    """Whether `verify` refuses the partition."""
    try:
        return not sv.verify(part, model, anchors=anchors, raise_on_failure=False).ok
    except sv.errors.SplinevizError:
        return True
