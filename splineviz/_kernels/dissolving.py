r"""Making one face of neighbours that no knot parts: their common edges go, and what is left between corners is one edge.
For faces that are all at hand. Also the faces left and right of every edge.

    +-----+-----+          +-----------+      label (F,): the same number for faces that become one
    |     :     |          |           |      : an edge between two of them, which goes
    |   A : A   v    ->    |     A     |      v: a vertex with two edges left, in a line, goes, but not a corner of
    |     :     |          |           |         the window
    +-----+-----+          +-----------+

Cells of one pattern are convex, and so is their union if all of it is here. In a block it may not be, for its other parts
lie in others; and rounding may make it not so. Such labels are given back.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.jit import njit

BENT = 1e-9
"""Sine of the angle by which a loop may turn the wrong way: a vertex in the middle of a line is off it by rounding."""


@njit(nogil=True, cache=True)
def _count_edges(edges, edge_faces, label, vertices):
    """Edges left at every vertex, the first two of them (V, 2), and whether an edge is left (E,)."""
    degree = np.zeros(vertices, np.int32)
    incident = np.full((vertices, 2), -1, np.int32)
    left = np.ones(len(edges), np.bool_)
    for e in range(len(edges)):
        f, g = edge_faces[e, 0], edge_faces[e, 1]
        left[e] = f < 0 or g < 0 or label[f] != label[g]
        if left[e]:
            for d in range(2):
                v = edges[e, d]
                if degree[v] < 2:
                    incident[v, degree[v]] = e
                degree[v] += 1
    return degree, incident, left


@njit(nogil=True, cache=True)
def _keep_corners(edges, edge_faces, label, count, left, gone):
    """Let vertices stay, of those that go, where a face would have fewer than three: one so thin that all lies in a line."""
    corners = np.zeros(count, np.int32)
    for keeps in range(2):
        for e in range(len(edges)):
            for d in range(2):
                f, v = edge_faces[e, d], edges[e, d]
                if not left[e] or f < 0:
                    continue
                if keeps and gone[v] and corners[label[f]] < 3:
                    gone[v] = False
                    corners[label[f]] += 1
                elif not keeps and not gone[v]:
                    corners[label[f]] += 1


@njit(nogil=True, cache=True)
def _far_end(e, v, edges, incident, gone):
    """The first vertex that stays, from edge e through v and on, and the lowest edge on the way."""
    lowest, start = e, e
    while gone[v]:
        e = incident[v, 0] if incident[v, 1] == e else incident[v, 1]
        v = edges[e, 1] if edges[e, 0] == v else edges[e, 0]
        lowest = min(lowest, e)
        if e == start:
            break
    return v, lowest


@njit(nogil=True, cache=True)
def _directed_edges(edges, edge_faces, label, count, incident, left, gone):
    """The edges that stay, from corner to corner: ends (E, 2), and in runs first (count + 1,) round every label the start
    vertices and half-edges. Of several old edges that become one the lowest stands for it.
    """
    # --- whole edges: for each old edge the lowest of those it is joined with, and that one's ends
    whole, ends = np.full(len(edges), -1, np.int32), np.empty((len(edges), 2), np.int32)
    for e in range(len(edges)):
        if left[e]:
            a, low_a = _far_end(e, edges[e, 0], edges, incident, gone)
            b, low_b = _far_end(e, edges[e, 1], edges, incident, gone)
            whole[e] = min(low_a, low_b)
            ends[e, 0], ends[e, 1] = a, b
    # --- the directed edges round every label: start vertices in runs
    first = np.zeros(count + 1, np.int64)
    for e in range(len(edges)):
        if whole[e] == e:
            for d in range(2):
                if edge_faces[e, d] >= 0:
                    first[label[edge_faces[e, d]] + 1] += 1
    for c in range(count):
        first[c + 1] += first[c]
    at = first[:-1].copy()
    start, along = np.empty(first[count], np.int32), np.empty(first[count], np.int32)
    for e in range(len(edges)):
        if whole[e] == e:
            for d in range(2):
                if edge_faces[e, d] >= 0:
                    c = label[edge_faces[e, d]]
                    start[at[c]], along[at[c]] = ends[e, d], 2 * e + d
                    at[c] += 1
    return ends, first, start, along


@njit(nogil=True, cache=True)
def _loop(c, origin, first, ends, leaving, stamp, path):
    """The half-edges round label c from a vertex on, into `path`; whether they are all of them, in one loop."""
    v, size = origin, 0
    for _ in range(first[c], first[c + 1]):
        if stamp[v] != c:
            return False
        half = leaving[v]
        path[size] = half
        size += 1
        v = ends[half >> 1, 1 - (half & 1)]
        if v == origin:
            break
    return v == origin and size == first[c + 1] - first[c]


@njit(nogil=True, cache=True)
def _is_convex(path, size, ends, uv):
    """Whether a loop of half-edges turns left, or hardly right, at each of its vertices."""
    for i in range(size):
        h, k = path[i], path[(i + 1) % size]
        a, b, c = ends[h >> 1, h & 1], ends[k >> 1, k & 1], ends[k >> 1, 1 - (k & 1)]
        px, py, qx, qy = uv[b, 0] - uv[a, 0], uv[b, 1] - uv[a, 1], uv[c, 0] - uv[b, 0], uv[c, 1] - uv[b, 1]
        if px * qy - py * qx < -BENT * np.sqrt((px * px + py * py) * (qx * qx + qy * qy)):
            return False
    return True


@njit(nogil=True, cache=True)
def _first_faces(label, count):
    """Of every label the first face that has it, and how many have it."""
    owner, members = np.full(count, -1, np.int32), np.zeros(count, np.int32)
    for f in range(len(label)):
        members[label[f]] += 1
        if owner[label[f]] < 0:
            owner[label[f]] = f
    return owner, members


@njit(nogil=True, cache=True)
def _numbered(path, size, label, ends, new_vertex, old_vertex, vertex_count, new_edge, old_edge, edge_count, new_faces):
    """Number the edges and vertices round a label that have no number yet; how many have one then."""
    for i in range(size):
        e, v = path[i] >> 1, ends[path[i] >> 1, path[i] & 1]
        if new_edge[e] < 0:
            new_edge[e], old_edge[edge_count] = edge_count, e
            edge_count += 1
        new_faces[new_edge[e], path[i] & 1] = label
        if new_vertex[v] < 0:
            new_vertex[v], old_vertex[vertex_count] = vertex_count, v
            vertex_count += 1
    return vertex_count, edge_count


@njit(nogil=True, cache=True)
def dissolve(uv, edges, edge_faces, face_offsets, face_vertices, label, count, corner, phantom):
    """The complex whose faces are the labels 0..count-1, numbered by first appearance; corner (V,): vertices that stay;
    phantom (E,): edges without a knot.

    Returns edges, edge_faces, face offsets, half-edges, the old id of each edge and vertex, the number of edges with
    a knot that went all the same, and the labels (count,) whose faces make no convex polygon together: if there are any,
    the rest is not to be used.
    """
    vertices = len(corner)
    degree, incident, left = _count_edges(edges, edge_faces, label, vertices)
    stray = 0
    for e in range(len(edges)):
        stray += not (left[e] or phantom[e])
    gone = np.zeros(vertices, np.bool_)
    for v in range(vertices):
        gone[v] = degree[v] == 2 and not corner[v]
    _keep_corners(edges, edge_faces, label, count, left, gone)
    ends, first, start, along = _directed_edges(edges, edge_faces, label, count, incident, left, gone)
    # --- loops, numbered by first appearance
    owner, members = _first_faces(label, count)
    leaving, stamp = np.empty(vertices, np.int32), np.full(vertices, -1, np.int32)
    new_vertex, old_vertex = np.full(vertices, -1, np.int32), np.empty(vertices, np.int32)
    new_edge, old_edge = np.full(len(edges), -1, np.int32), np.empty(len(edges), np.int32)
    new_faces = np.full((len(edges), 2), -1, np.int32)
    offsets, halves = np.zeros(count + 1, np.int32), np.empty(first[count], np.int32)
    path, torn = np.empty(first[count], np.int32), np.zeros(count, np.bool_)
    vertex_count = edge_count = written = 0
    for c in range(count):
        offsets[c + 1] = written
        for i in range(first[c], first[c + 1]):
            torn[c] |= stamp[start[i]] == c
            stamp[start[i]], leaving[start[i]] = c, along[i]
        origin = start[first[c]]
        for i in range(face_offsets[owner[c]], face_offsets[owner[c] + 1]):
            if stamp[face_vertices[i]] == c:
                origin = face_vertices[i]
                break
        size = first[c + 1] - first[c]
        torn[c] |= not _loop(c, origin, first, ends, leaving, stamp, path)
        if not torn[c] and members[c] > 1:
            torn[c] = not _is_convex(path, size, ends, uv)
        if torn[c]:
            continue
        vertex_count, edge_count = _numbered(
            path, size, c, ends, new_vertex, old_vertex, vertex_count, new_edge, old_edge, edge_count, new_faces
        )
        for i in range(size):
            halves[written] = 2 * new_edge[path[i] >> 1] + (path[i] & 1)
            written += 1
        offsets[c + 1] = written
    joined = np.empty((edge_count, 2), np.int32)
    for e in range(edge_count):
        for d in range(2):
            joined[e, d] = new_vertex[ends[old_edge[e], d]]
    return joined, new_faces[:edge_count], offsets, halves, old_edge[:edge_count], old_vertex[:vertex_count], stray, torn


@njit(nogil=True, cache=True)
def faces_of_edges(face_offsets, face_halves, edge_count):
    """(E, 2) the faces left and right of every edge, -1 where there is none."""
    edge_faces = np.full((edge_count, 2), -1, np.int32)
    for f in range(len(face_offsets) - 1):
        for i in range(face_offsets[f], face_offsets[f + 1]):
            edge_faces[face_halves[i] >> 1, face_halves[i] & 1] = f
    return edge_faces
