r"""Taking a block apart and sewing the finished blocks together.
Also the keys that seam edges get when a block is taken apart, and new numbers of vertices and edges afterwards.

A *seam* is an edge whose two faces lie in different blocks. Both blocks keep a copy of it under one key and cut
it alike, so at the end each key stands on exactly two edges: those are one edge, and their ends one vertex each.
Vertices and edges are numbered by their first appearance round the faces, in face order. Parts keep the order of
the faces, so the result does not depend on how it was taken apart.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.bits import splitmix
from splineviz._kernels.jit import njit


@njit(nogil=True, cache=True)
def mark_seams(face_offsets, face_halves, bounds, key, serial):
    """Give a key to every edge without one that stands in two of the parts bounds[p]..bounds[p + 1] of the faces."""
    part = np.full(len(key), -1, np.int32)
    for p in range(len(bounds) - 1):
        for i in range(face_offsets[bounds[p]], face_offsets[bounds[p + 1]]):
            e = face_halves[i] >> 1
            if part[e] < 0:
                part[e] = p
            elif part[e] != p and key[e] == 0:
                key[e] = splitmix((np.uint64(serial) << np.uint64(32)) + np.uint64(e + 1))


@njit(nogil=True, cache=True)
def take_part(face_offsets, face_halves, edges, vertex_count, start, stop):
    """Faces start..stop-1 as a complex of their own: offsets, half-edges, edges, old ids of its edges and vertices."""
    new_edge, new_vertex = np.full(len(edges), -1, np.int32), np.full(vertex_count, -1, np.int32)
    base, size = face_offsets[start], face_offsets[stop] - face_offsets[start]
    offsets = face_offsets[start : stop + 1] - base
    halves, old_edge, old_vertex = np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.int32)
    edge_count = count = 0
    for i in range(size):
        half = face_halves[base + i]
        e = half >> 1
        if new_edge[e] < 0:
            new_edge[e], old_edge[edge_count] = edge_count, e
            edge_count += 1
        v = edges[e, half & 1]
        if new_vertex[v] < 0:
            new_vertex[v], old_vertex[count] = count, v
            count += 1
        halves[i] = 2 * new_edge[e] + (half & 1)
    part_edges = np.empty((edge_count, 2), np.int32)
    for e in range(edge_count):
        part_edges[e, 0], part_edges[e, 1] = new_vertex[edges[old_edge[e], 0]], new_vertex[edges[old_edge[e], 1]]
    return offsets.astype(np.int32), halves, part_edges, old_edge[:edge_count], old_vertex[:count]


@njit(nogil=True, cache=True)
def _root(same, v):
    while same[v] != v:
        same[v] = same[same[v]]
        v = same[v]
    return v


@njit(nogil=True, cache=True)
def join_seams(seam_edges, seam_keys, edges, uv, same_vertex, same_edge):
    """Unite the two copies of every seam (seam_keys ascending). Returns the first seam without a true twin, or -1."""
    for i in range(0, len(seam_edges), 2):
        if i + 1 == len(seam_edges) or seam_keys[i] != seam_keys[i + 1]:
            return seam_edges[i]
        e, f = min(seam_edges[i], seam_edges[i + 1]), max(seam_edges[i], seam_edges[i + 1])
        same_edge[f] = e
        for d in range(2):
            v, w = edges[e, d], edges[f, d]
            if uv[v, 0] != uv[w, 0] or uv[v, 1] != uv[w, 1]:
                return e
            v, w = _root(same_vertex, v), _root(same_vertex, w)
            same_vertex[max(v, w)] = min(v, w)
    return -1


@njit(nogil=True, cache=True)
def number(face_offsets, face_halves, edges, same_vertex, same_edge):
    """Number vertices and edges by first appearance; face_halves becomes the faces' vertices in place.

    Returns edge_faces, edges, and the old ids of the edges and vertices.
    """
    new_edge, new_vertex = np.full(len(edges), -1, np.int32), np.full(len(same_vertex), -1, np.int32)
    old_edge, old_vertex = np.empty(len(edges), np.int32), np.empty(len(same_vertex), np.int32)
    edge_faces = np.full((len(edges), 2), -1, np.int32)
    edge_count = count = 0
    for f in range(len(face_offsets) - 1):
        for i in range(face_offsets[f], face_offsets[f + 1]):
            half = face_halves[i]
            e, v = same_edge[half >> 1], _root(same_vertex, edges[half >> 1, half & 1])
            if new_edge[e] < 0:
                new_edge[e], old_edge[edge_count] = edge_count, e
                edge_count += 1
            if new_vertex[v] < 0:
                new_vertex[v], old_vertex[count] = count, v
                count += 1
            edge_faces[new_edge[e], half & 1] = f
            face_halves[i] = new_vertex[v]
    joined = np.empty((edge_count, 2), np.int32)
    for e in range(edge_count):
        for d in range(2):
            joined[e, d] = new_vertex[_root(same_vertex, edges[old_edge[e], d])]
    return edge_faces[:edge_count], joined, old_edge[:edge_count], old_vertex[:count]
