"""One kink layer's cuts through all faces of a block, after its edges were cut.

A face is a loop of half-edge codes 2 * edge + direction, counter-clockwise; direction 1 runs an edge backwards.
The cuts inside one face are `arrangement`'s; here its boundary is laid out and its result is written down:
sub-faces (those of one face stay together, in order), interior vertices, cut edges, and the *chords* on which
interior vertices lie, as lines for `lines.propagate`.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.arrangement import boundary_value, grown, grown_rows, insert_unit, interior_values
from splineviz._kernels.bits import ONE, lowest
from splineviz._kernels.jit import njit


@njit(nogil=True, cache=True)
def crossing_units(loop, edges, plus, minus, either, units, unit_hash):
    """Units with a + and a - corner on the face, into `units`; their number, and the hash of the units that are + alone."""
    words = plus.shape[1]
    either[:] = np.uint64(0)
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


@njit(nogil=True, cache=True)
def lay_out(loop, edges, vertex_offsets, old_vertices, old_edges, parent_t, ids, on_edge, order, place, code):
    """The boundary of a face after its edges were cut: vertex ids, where each lies, and the half-edge that leaves it."""
    m = 0
    for half in loop:
        e, back = half >> 1, half & 1
        first = vertex_offsets[e]
        count = vertex_offsets[e + 1] - first
        for i in range(count + 1):
            sub = count - i if back else i
            code[m] = 2 * (e if sub == 0 else old_edges + first + sub - 1) + back
            if i == 0:
                ids[m], on_edge[m], order[m], place[m] = edges[e, back], -1, 0, 0.0
            else:
                o = count - i if back else i - 1
                ids[m], on_edge[m], order[m], place[m] = old_vertices + first + o, e, o, parent_t[first + o]
            m += 1
    return m


@njit(nogil=True, cache=True)
def boundary_length(loop, vertex_offsets):
    """Number of vertices round the face after its edges were cut."""
    m = len(loop)
    for half in loop:
        m += vertex_offsets[(half >> 1) + 1] - vertex_offsets[half >> 1]
    return m


@njit(nogil=True, cache=True)
def write_loops(faces, face_first, face_hash, following, edge_gid, offsets, halves, hashes, written):
    """Append the sub-faces' loops to the block's; the caller made room."""
    at = offsets[written]
    for f in range(faces):
        h = face_first[f]
        while True:
            halves[at] = edge_gid[h >> 1] ^ (h & 1)
            at += 1
            h = following[h]
            if h == face_first[f]:
                break
        hashes[written] = face_hash[f]
        written += 1
        offsets[written] = at
    return written


@njit(nogil=True, cache=True)
def sort_by(keys, start, stop, ints):
    """Sort keys[start:stop] ascending, and ints alongside."""
    if stop - start > 32:
        order = np.argsort(keys[start:stop], kind="mergesort")
        keys[start:stop] = keys[start:stop][order]
        ints[start:stop] = ints[start:stop][order]
        return
    for i in range(start + 1, stop):
        key, value, k = keys[i], ints[i], i
        while k > start and keys[k - 1] > key:
            keys[k], ints[k] = keys[k - 1], ints[k - 1]
            k -= 1
        keys[k], ints[k] = key, value


@njit(nogil=True, cache=True)
def cut_faces(
    face_offsets, face_halves, face_hash, edges, plus, minus, z, row_scale, unit_scale, unit_offset, tolerance,
    unit_hash, first_tag, cut_offsets, cut_unit, cut_order, vertex_offsets, uv, all_blur, parent_a, parent_b, parent_t,
    maker, all_edges, tag, sharpness, known, answers, questions,
):  # fmt: skip
    """Cut every face. `uv`, the blur, the parents, `all_edges` and `tag` hold the edges' cuts; the faces' own are appended.

    known, answers: questions that were decided exactly, sorted (see `arrangement.question`), and values; questions: (n, 4)
    room for those that were not. Returns the grown arrays, the new faces (offsets, half-edges, hashes), the chords
    (start, end, flip offsets, flip t, unit, size, target offsets, t, vertex), ids of vertices that lie on no single
    chord, the number of irregular faces, of questions asked, and of values made 0 that are not.
    """
    old_vertices, old_edges, units = len(z), len(edges), z.shape[1]
    fresh = vertex_offsets[-1]
    vertices, total_edges = old_vertices + fresh, old_edges + fresh
    # --- the block's new faces
    offsets, halves = np.zeros(2 * len(face_offsets) + 2, np.int32), np.empty(2 * len(face_halves) + 64, np.int32)
    hashes, written = np.empty(2 * len(face_offsets) + 2, np.uint64), 0
    # --- chords
    chord_start, chord_end = np.empty(64, np.int32), np.empty(64, np.int32)
    flip_offsets, target_offsets = np.zeros(65, np.int64), np.zeros(65, np.int64)
    flip_t, flip_unit, flip_size = np.empty(256), np.empty(256, np.int32), np.empty(256)
    target_t, target_vertex = np.empty(256), np.empty(256, np.int32)
    lost, lost_count, chords, irregular = np.empty(16, np.int32), 0, 0, 0
    asked, made_zero = 0, 0
    # --- scratch of one face: boundary, arrangement
    either, crossing = np.empty(2 * plus.shape[1], np.uint64), np.empty(units, np.int32)
    ids, on_edge, order, code = (
        np.empty(64, np.int32),
        np.empty(64, np.int32),
        np.empty(64, np.int32),
        np.empty(64, np.int32),
    )
    place, spread, value, error, blur = np.empty(64), np.empty(64), np.empty(64), np.empty(64), np.empty(64)
    x, y, chord_t = np.empty(64), np.empty(64), np.empty(64)
    parent_p, parent_q = np.empty(64, np.int32), np.empty(64, np.int32)
    chord, made_by, zeros = np.empty(64, np.int32), np.empty(64, np.int32), np.empty(64, np.int32)
    origin, following, preceding = np.empty(128, np.int32), np.empty(128, np.int32), np.empty(128, np.int32)
    edge_unit, edge_gid = np.empty(64, np.int32), np.empty(64, np.int32)
    first, sub_hash = np.empty(64, np.int32), np.empty(64, np.uint64)
    chord_p, chord_q = np.empty(units, np.int32), np.empty(units, np.int32)
    heads = np.empty(units + 1, np.int32)

    for f in range(len(face_offsets) - 1):
        loop = face_halves[face_offsets[f] : face_offsets[f + 1]]
        k, alone = crossing_units(loop, edges, plus, minus, either, crossing, unit_hash)
        if k == 0:  # then no edge was cut either: a cut edge shows + and - at its ends
            offsets, hashes = grown(offsets, written + 2), grown(hashes, written + 1)
            at = offsets[written]
            halves = grown(halves, at + len(loop))
            halves[at : at + len(loop)] = loop
            hashes[written] = face_hash[f] ^ alone
            written += 1
            offsets[written] = at + len(loop)
            continue
        # --- lay out the boundary
        m = boundary_length(loop, vertex_offsets)
        ids, on_edge, order, place = grown(ids, m), grown(on_edge, m), grown(order, m), grown(place, m)
        code = grown(code, m)
        lay_out(loop, edges, vertex_offsets, old_vertices, old_edges, parent_t, ids, on_edge, order, place, code)
        x, y, blur, origin, following, preceding = (
            grown(x, m),
            grown(y, m),
            grown(blur, m),
            grown(origin, 2 * m),
            grown(following, 2 * m),
            grown(preceding, 2 * m),
        )
        edge_unit, edge_gid = grown(edge_unit, m), grown(edge_gid, m)
        row, dull = 0.0, 1.0
        for i in range(m):
            x[i], y[i], blur[i] = uv[ids[i], 0], uv[ids[i], 1], all_blur[ids[i]]
            origin[2 * i], origin[2 * i + 1] = i, (i + 1) % m
            following[2 * i], preceding[2 * i] = 2 * ((i + 1) % m), 2 * ((i + m - 1) % m)
            edge_unit[i], edge_gid[i] = -1, code[i]
            if on_edge[i] < 0:
                row = max(row, row_scale[ids[i]])
            else:
                dull = max(dull, blur[i])  # a corner's is in its row's scale
        boundary_values = np.empty((k, m))
        for j in range(k):
            for i in range(m):
                boundary_values[j, i] = boundary_value(
                    ids[i],
                    on_edge[i],
                    order[i],
                    place[i],
                    crossing[j],
                    edges,
                    plus,
                    minus,
                    z,
                    cut_offsets,
                    cut_unit,
                    cut_order,
                )
        # --- insert the units
        n, e, faces = m, m, 1
        first[0], sub_hash[0] = 0, face_hash[f] ^ alone
        for j in range(k):
            u = crossing[j]
            room = n + e - m
            ids, value, error, x, y, blur, place, spread = (
                grown(ids, room),
                grown(value, room),
                grown(error, room),
                grown(x, room),
                grown(y, room),
                grown(blur, room),
                grown(place, room),
                grown(spread, room),
            )
            parent_p, parent_q, chord, made_by, chord_t = (
                grown(parent_p, room), grown(parent_q, room), grown(chord, room), grown(made_by, room), grown(chord_t, room),
            )  # fmt: skip
            room = 2 * e - m + faces
            edge_unit, edge_gid, zeros = grown(edge_unit, room), grown(edge_gid, room), grown(zeros, 2 * room)
            origin, following, preceding = grown(origin, 2 * room), grown(following, 2 * room), grown(preceding, 2 * room)
            first, sub_hash = grown(first, 2 * faces), grown(sub_hash, 2 * faces)
            limit = tolerance * dull * (row * unit_scale[u] + unit_offset[u])
            value[:m], error[:m] = boundary_values[j], limit
            asked, zeroed = interior_values(
                value, error, m, n, parent_p, parent_q, place, spread, limit, f, u, crossing, chord, made_by, known, answers,
                questions, asked,
            )  # fmt: skip
            made_zero += zeroed
            n, e, faces, bad = insert_unit(
                j, m, n, e, faces, limit, unit_hash[u], value, error, x, y, blur, sharpness, parent_p, parent_q, place,
                spread, chord, made_by,
                chord_t, chord_p, chord_q, origin, following, preceding, edge_unit, first, sub_hash, zeros,
            )  # fmt: skip
            irregular += bad
        # --- write down vertices, edges, faces
        inner = n - m
        uv, all_blur = grown_rows(uv, vertices + inner), grown(all_blur, vertices + inner)
        need = fresh + inner
        parent_a, parent_b, parent_t, maker = (
            grown(parent_a, need),
            grown(parent_b, need),
            grown(parent_t, need),
            grown(maker, need),
        )
        for v in range(m, n):
            g, i = vertices + v - m, fresh + v - m
            ids[v] = g
            uv[g, 0], uv[g, 1], all_blur[g] = x[v], y[v], blur[v]
            parent_a[i], parent_b[i], parent_t[i], maker[i] = (
                ids[parent_p[v]],
                ids[parent_q[v]],
                place[v],
                crossing[made_by[v]],
            )
        vertices += inner
        fresh += inner
        all_edges, tag = grown_rows(all_edges, total_edges + e - m), grown(tag, total_edges + e - m)
        for i in range(m, e):
            edge_gid[i] = 2 * total_edges
            all_edges[total_edges, 0], all_edges[total_edges, 1] = ids[origin[2 * i]], ids[origin[2 * i + 1]]
            tag[total_edges] = first_tag + crossing[edge_unit[i]]
            total_edges += 1
        offsets, hashes = grown(offsets, written + faces + 1), grown(hashes, written + faces)
        halves = grown(halves, offsets[written] + 2 * e - m)
        written = write_loops(faces, first, sub_hash, following, edge_gid, offsets, halves, hashes, written)
        if inner == 0:
            continue
        # --- the chords with interior vertices on them
        heads[: k + 1] = 0
        for v in range(m, n):
            if chord_t[v] >= 0.0:
                heads[chord[v] + 1] += 1
            else:
                lost = grown(lost, lost_count + 1)
                lost[lost_count] = ids[v]
                lost_count += 1
        base = target_offsets[chords]
        target_t, target_vertex = grown(target_t, base + inner), grown(target_vertex, base + inner)
        for j in range(k):
            heads[j + 1] += heads[j]
        for v in range(m, n):
            if chord_t[v] >= 0.0:
                i = base + heads[chord[v]]
                heads[chord[v]] += 1
                target_t[i], target_vertex[i] = chord_t[v], ids[v]
        begin = base
        for j in range(k):
            end = base + heads[j]
            if end == begin:
                continue
            sort_by(target_t, begin, end, target_vertex)
            chord_start, chord_end = grown(chord_start, chords + 1), grown(chord_end, chords + 1)
            flip_offsets, target_offsets = grown(flip_offsets, chords + 2), grown(target_offsets, chords + 2)
            p, q, at = chord_p[j], chord_q[j], flip_offsets[chords]
            flip_t, flip_unit, flip_size = grown(flip_t, at + k), grown(flip_unit, at + k), grown(flip_size, at + k)
            i = at
            for c in range(k):
                vp, vq = boundary_values[c, p], boundary_values[c, q]
                if (vp < 0.0 and vq > 0.0) or (vp > 0.0 and vq < 0.0):
                    flip_t[i], flip_unit[i] = vp / (vp - vq), c
                    i += 1
            sort_by(flip_t, at, i, flip_unit)
            for c in range(at, i):
                flip_size[c] = abs(boundary_values[flip_unit[c], q] - boundary_values[flip_unit[c], p])
                flip_unit[c] = crossing[flip_unit[c]]
            chord_start[chords], chord_end[chords] = ids[p], ids[q]
            chords += 1
            flip_offsets[chords], target_offsets[chords] = i, end
            begin = end
    return (
        uv[:vertices], all_blur[:vertices], parent_a[:fresh], parent_b[:fresh], parent_t[:fresh], maker[:fresh],
        all_edges[:total_edges], tag[:total_edges],
        offsets[: written + 1], halves[: offsets[written]], hashes[:written],
        (chord_start[:chords], chord_end[:chords], flip_offsets[: chords + 1], flip_t[: flip_offsets[chords]],
         flip_unit[: flip_offsets[chords]], flip_size[: flip_offsets[chords]], target_offsets[: chords + 1],
         target_t[: target_offsets[chords]], target_vertex[: target_offsets[chords]]),
        lost[:lost_count], irregular, asked, made_zero,
    )  # fmt: skip
