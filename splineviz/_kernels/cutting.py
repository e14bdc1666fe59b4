"""One kink layer's cuts through all faces of a block, after its edges were cut.
Also the units that cross a face, its boundary and the values there, and the room for new vertices, edges and faces.

A face is a loop of half-edge codes 2 * edge + direction, counter-clockwise; direction 1 runs an edge backwards.
The cuts inside one face are `inserting`'s; here its boundary is laid out and its result is written down:
sub-faces (those of one face stay together, in order), interior vertices, cut edges; the lines on which interior
vertices lie are `chords`'.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from splineviz._kernels.arrangement import boundary_value, larger, new_arrangement, room
from splineviz._kernels.arrays import grown, stretched, stretched_rows
from splineviz._kernels.bits import ONE, lowest
from splineviz._kernels.chords import new_lines, trimmed, write_lines, write_lost
from splineviz._kernels.edges import Parents, Skeleton
from splineviz._kernels.inserting import insert_units
from splineviz._kernels.jit import lean, njit, step
from splineviz._kernels.lines import Lines
from splineviz.errors import IntArray


class Faces(NamedTuple):
    """Faces as loops of half-edges in runs offsets (F + 1,), and the hash (F,) of the pattern of each."""

    offsets: IntArray
    halves: IntArray
    hash: npt.NDArray[np.uint64]


class CutFaces(NamedTuple):
    """A block after a layer: all vertices and edges, all faces, the chords with interior vertices on them.

    lost: vertices that lie on no single chord. irregular: faces cut along a pair that contradicts values; asked: questions
    written down; made_zero: values made 0 that are not.
    """

    skeleton: Skeleton
    faces: Faces
    chords: Lines
    lost: IntArray
    irregular: int
    asked: int
    made_zero: int


@lean()
def crossing_units(loop, edges, plus, minus, either, units, unit_hash):
    """Units with a + and a - corner on the face, into `units`; their number, and the hash of the units that are + alone."""
    words = plus.shape[1]
    for w in range(len(either)):
        either[w] = np.uint64(0)
    count, total = 0, np.uint64(0)
    for half in loop:
        v = edges[half >> 1, half & 1]
        for w in range(words):
            either[w] |= plus[v, w]
            either[words + w] |= minus[v, w]
    for w in range(words):
        both = either[w] & either[words + w]
        alone = either[w] & ~both
        while alone != 0:
            total ^= unit_hash[64 * w + lowest(alone)]
            alone &= alone - ONE
        while both != 0:
            units[count] = 64 * w + lowest(both)
            count += 1
            both &= both - ONE
    return count, total


@lean()
def boundary_length(loop, vertex_offsets):
    """Number of vertices round the face after its edges were cut."""
    m = len(loop)
    for half in loop:
        m += vertex_offsets[(half >> 1) + 1] - vertex_offsets[half >> 1]
    return m


@lean()
def lay_out(loop, edges, vertex_offsets, old_vertices, parent_t, points, sides):
    """The boundary of a face after its edges were cut: where each vertex lies, and the half-edge that leaves it."""
    m, old_edges = 0, len(edges)
    for half in loop:
        e, back = half >> 1, half & 1
        first = vertex_offsets[e]
        count = vertex_offsets[e + 1] - first
        for i in range(count + 1):
            sub = count - i if back else i
            sides[m].code = 2 * (e if sub == 0 else old_edges + first + sub - 1) + back
            point = points[m]
            if i == 0:
                point.id, point.edge, point.order, point.t = edges[e, back], -1, 0, 0.0
            else:
                o = count - i if back else i - 1
                point.id, point.edge, point.order, point.t = old_vertices + first + o, e, o, parent_t[first + o]
            m += 1
    return m


@lean()
def begin(m, face_hash, uv, blur, off, row_scale, whole):
    """The arrangement of a face before any unit: its boundary as one sub-face. Returns the scale of rounding at its corners,
    and how far out of the face a corner may stand, at most: as far as beside the lines of its two edges.
    """
    points, halves, sides, parts, _, _ = whole
    row, dull = 0.0, 1.0
    for i in range(m):
        point, half = points[i], halves[2 * i]
        v = point.id
        point.x, point.y, point.blur, point.out = uv[v, 0], uv[v, 1], max(blur[v], 1.0), 1.0
        half.origin, half.following, half.preceding = i, 2 * ((i + 1) % m), 2 * ((i + m - 1) % m)
        halves[2 * i + 1].origin = (i + 1) % m
        sides[i].unit = -1
        if point.edge < 0:
            row = max(row, row_scale[v])
            before, after = off[sides[(i + m - 1) % m].code >> 1], off[sides[i].code >> 1]
            point.out = min(point.blur, max(before, after, 1.0))
            dull = max(dull, point.out)
    parts[0].first, parts[0].hash = 0, face_hash
    return row, dull


@step()
def boundary_values(units, m, edges, plus, minus, z, cut_offsets, cut_unit, cut_order, points):
    """(2, k, m) values of the units that cross a face at the vertices of its boundary, and by how much they are not those
    of their places.
    """
    values = np.empty((2, len(units), m))
    for j in range(len(units)):
        for i in range(m):
            point = points[i]
            values[0, j, i], values[1, j, i] = boundary_value(
                point.id, point.edge, point.order, point.t, units[j], edges, plus, minus, z, cut_offsets, cut_unit, cut_order
            )
    return values


@step()
def more_vertices(skeleton, old_vertices, fresh):
    """A skeleton with room for twice so many new vertices behind the old ones."""
    uv, blur, (a, b, t, maker), edges, off, tag, key = skeleton
    n = 2 * fresh
    parents = Parents(stretched(a, n), stretched(b, n), stretched(t, n), stretched(maker, n))
    return Skeleton(stretched_rows(uv, old_vertices + n), stretched(blur, old_vertices + n), parents, edges, off, tag, key)


@step()
def more_edges(skeleton, need):
    """A skeleton with room for twice so many edges."""
    uv, blur, parents, edges, off, tag, key = skeleton
    n = 2 * need
    return Skeleton(uv, blur, parents, stretched_rows(edges, n), stretched(off, n), stretched(tag, n), stretched(key, n))


@lean()
def write_vertices(points, m, vertices, crossing, skeleton, old, before):
    """Write the interior vertices behind the block's own and the new ones that were written before."""
    uv, blur, (a, b, t, maker), _, _, _, _ = skeleton
    for v in range(m, vertices):
        point, i = points[v], before + v - m
        g = old + i
        point.id = g
        uv[g, 0], uv[g, 1], blur[g] = point.x, point.y, point.blur
        a[i], b[i], t[i], maker[i] = points[point.p].id, points[point.q].id, point.t, crossing[point.maker]


@lean()
def write_edges(whole, m, count, crossing, first_tag, skeleton, sharpness, before):
    """Write the edges that cut a face behind those that the block has before; none of them is on a seam."""
    points, halves, sides = whole.points, whole.halves, whole.edges
    _, _, _, edges, off, tag, key = skeleton
    for i in range(m, count):
        g = before + i - m
        sides[i].code = 2 * g
        edges[g, 0], edges[g, 1] = points[halves[2 * i].origin].id, points[halves[2 * i + 1].origin].id
        tag[g], key[g] = first_tag + crossing[sides[i].unit], np.uint64(0)
        off[g] = whole.chords[sides[i].unit].off * sharpness


@step()
def more_faces(faces, need, corners):
    """Faces with room for as many as are needed, or twice so many, and for their corners."""
    pattern_hash = grown(faces.hash, need)
    return Faces(grown(faces.offsets, len(pattern_hash) + 1), grown(faces.halves, corners), pattern_hash)


@lean()
def write_parts(whole, count, offsets, loops, hashes, written):
    """Write the sub-faces behind the faces that were written before."""
    halves, sides, parts, at = whole.halves, whole.edges, whole.parts, offsets[written]
    for f in range(count):
        h = parts[f].first
        while True:
            loops[at] = sides[h >> 1].code ^ (h & 1)
            at += 1
            h = halves[h].following
            if h == parts[f].first:
                break
        hashes[written + f] = parts[f].hash
        offsets[written + f + 1] = at


@lean()
def write_whole(loop, face_hash, offsets, loops, hashes, written):
    """Write a face that no unit crosses: none of its edges was cut, as a cut edge shows + and - at its ends."""
    at = offsets[written]
    for i in range(len(loop)):
        loops[at + i] = loop[i]
    hashes[written], offsets[written + 1] = face_hash, at + len(loop)


@step()
def cropped(skeleton, vertices, parents, edge_count):
    """A skeleton without the room that was left."""
    uv, blur, (a, b, t, maker), edges, off, tag, key = skeleton
    own, n = Parents(a[:parents], b[:parents], t[:parents], maker[:parents]), edge_count
    return Skeleton(uv[:vertices], blur[:vertices], own, edges[:n], off[:n], tag[:n], key[:n])


@njit(nogil=True, cache=True)
def cut_faces(faces, edges, skeleton, reading, cuts, unit_hash, first_tag, sharpness, questions):
    """Cut every face: a CutFaces. faces, edges: of the block; skeleton: its vertices and edges after the cuts of its edges,
    with room for more. unit_hash (units,); first_tag: of the layer's units. Questions that are not among the known ones are
    written down.
    """
    plus, minus, z, (row_scale, unit_scale, unit_offset, tolerance) = reading
    cut_offsets, cut_unit, _, _, cut_order, vertex_offsets, _ = cuts
    old, fresh, edge_count = len(z), vertex_offsets[-1], len(edges) + vertex_offsets[-1]
    # Not the literal 0: what is called with one is compiled for that, and again for what becomes of it in the loop.
    written = line_count = lost_count = irregular = asked = made_zero = int(np.int64(0))
    lines, lost = new_lines(), np.empty(16, np.int32)
    either, crossing = np.empty(2 * plus.shape[1], np.uint64), np.empty(z.shape[1], np.int32)
    offsets, halves = np.zeros(2 * len(faces.offsets) + 2, np.int32), np.empty(2 * len(faces.halves) + 64, np.int32)
    out = Faces(offsets, halves, np.empty(len(offsets) - 1, np.uint64))
    whole = new_arrangement(64, z.shape[1])
    for f in range(len(faces.offsets) - 1):
        loop = faces.halves[faces.offsets[f] : faces.offsets[f + 1]]
        k, alone = crossing_units(loop, edges, plus, minus, either, crossing, unit_hash)
        if k == 0:
            if written == len(out.hash) or out.offsets[written] + len(loop) > len(out.halves):
                out = more_faces(out, written + 1, out.offsets[written] + len(loop))
            write_whole(loop, faces.hash[f] ^ alone, out.offsets, out.halves, out.hash, written)
            written += 1
            continue
        m = boundary_length(loop, vertex_offsets)
        if m > room(whole):
            whole = larger(whole, m)
        lay_out(loop, edges, vertex_offsets, old, skeleton.parents.t, whole.points, whole.edges)
        row, dull = begin(m, faces.hash[f] ^ alone, skeleton.uv, skeleton.blur, skeleton.off, row_scale, whole)
        values = boundary_values(crossing[:k], m, edges, plus, minus, z, cut_offsets, cut_unit, cut_order, whole.points)
        whole, n, e, parts, bad, asked, zeroed = insert_units(
            f, crossing[:k], values, row, dull, tolerance, unit_scale, unit_offset, unit_hash, whole, sharpness,
            questions, asked,
        )  # fmt: skip
        irregular, made_zero = irregular + bad, made_zero + zeroed
        if fresh + n - m > len(skeleton.parents.a):
            skeleton = more_vertices(skeleton, old, fresh + n - m)
        if edge_count + e - m > len(skeleton.edges):
            skeleton = more_edges(skeleton, edge_count + e - m)
        if written + parts > len(out.hash) or out.offsets[written] + 2 * e - m > len(out.halves):
            out = more_faces(out, written + parts, out.offsets[written] + 2 * e - m)
        write_vertices(whole.points, m, n, crossing, skeleton, old, fresh)
        write_edges(whole, m, e, crossing, first_tag, skeleton, sharpness, edge_count)
        write_parts(whole, parts, out.offsets, out.halves, out.hash, written)
        fresh, edge_count, written = fresh + n - m, edge_count + e - m, written + parts
        if n > m:
            lost, lost_count = write_lost(whole.points, m, n, lost, lost_count)
            lines, line_count = write_lines(whole.points, m, n, whole.chords, values[0], crossing[:k], lines, line_count)
    offsets, halves, hashes = out
    own = Faces(offsets[: written + 1], halves[: offsets[written]], hashes[:written])
    skeleton = cropped(skeleton, old + fresh, fresh, edge_count)
    return CutFaces(skeleton, own, trimmed(lines, line_count), lost[:lost_count], irregular, asked, made_zero)
