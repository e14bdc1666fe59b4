r"""An order of faces, edges and vertices that depends on nothing but the complex: from neighbour to neighbour.
Also which half-edge leaves each corner of a face, and at which corner of which face each half-edge stands.

        +---+---+        The face of the smallest hash comes first. Round every face, counter-clockwise from the edge
        | 2 | 1 |        by which it was reached, those of its neighbours follow that have no number yet. Vertices and
        +---+---+        edges are numbered by first appearance round the faces, and an edge runs as it is first met.
        | 3 | 0 |
        +---+---+

Where faces were made one, the order in which their parts were found depends on the blocks that they were found in; this
does not.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.jit import njit


@njit(nogil=True, cache=True)
def half_edges(face_offsets, face_vertices, edges, edge_faces):
    """The half-edge that leaves each corner of each face, and the corner (2 E,) of each half-edge, -1 outside."""
    halves, corner = np.full(len(face_vertices), -1, np.int32), np.full(2 * len(edges), -1, np.int32)
    for e in range(len(edges)):
        for d in range(2):
            f = edge_faces[e, d]
            if f >= 0:
                for i in range(face_offsets[f], face_offsets[f + 1]):
                    if face_vertices[i] == edges[e, d]:
                        halves[i], corner[2 * e + d] = 2 * e + d, i
    return halves, corner


@njit(nogil=True, cache=True)
def _entrance(f, face_offsets, halves, edge_faces, face_hash):
    """The corner of a face that its neighbour of the smallest hash lies at; the first if it has no neighbour."""
    best, found = face_offsets[f], False
    smallest = np.uint64(0)
    for i in range(face_offsets[f], face_offsets[f + 1]):
        g = edge_faces[halves[i] >> 1, 1 - (halves[i] & 1)]
        if g >= 0 and (not found or face_hash[g] < smallest):
            best, smallest, found = i, face_hash[g], True
    return best


@njit(nogil=True, cache=True)
def visit(face_offsets, halves, corner, edge_faces, face_hash):
    """The faces in order, and the corner at which each is entered."""
    count = len(face_hash)
    order, entered = np.empty(count, np.int32), np.full(count, -1, np.int32)
    done = reached = 0
    first = np.argsort(face_hash, kind="mergesort")
    for root in first:
        if entered[root] >= 0:
            continue
        entered[root] = _entrance(root, face_offsets, halves, edge_faces, face_hash)
        order[reached] = root
        reached += 1
        while done < reached:
            f = order[done]
            done += 1
            start, stop = face_offsets[f], face_offsets[f + 1]
            for k in range(stop - start):
                i = entered[f] + k
                half = halves[i if i < stop else i - (stop - start)]
                g = edge_faces[half >> 1, 1 - (half & 1)]
                if g >= 0 and entered[g] < 0:
                    entered[g] = corner[half ^ 1]
                    order[reached] = g
                    reached += 1
    return order, entered


@njit(nogil=True, cache=True)
def renumber(order, entered, face_offsets, halves, edges, edge_faces, vertices, fixed):
    """The complex in that order; fixed (E,): edges that keep their direction.

    Returns edges, edge_faces, face offsets, face vertices, and the old ids of the edges and the vertices.
    """
    new_face = np.empty(len(order), np.int32)
    for i in range(len(order)):
        new_face[order[i]] = i
    new_edge, new_vertex = np.full(len(edges), -1, np.int32), np.full(vertices, -1, np.int32)
    old_edge, old_vertex = np.empty(len(edges), np.int32), np.empty(vertices, np.int32)
    made, beside = np.empty_like(edges), np.empty_like(edge_faces)
    offsets, corners = np.zeros(len(order) + 1, np.int32), np.empty(len(halves), np.int32)
    at = edge_count = count = 0
    for f in order:
        start, stop = face_offsets[f], face_offsets[f + 1]
        for k in range(stop - start):
            i = entered[f] + k
            half = halves[i if i < stop else i - (stop - start)]
            e, d = half >> 1, half & 1
            v = edges[e, d]
            if new_vertex[v] < 0:
                new_vertex[v], old_vertex[count] = count, v
                count += 1
            if new_edge[e] < 0:
                new_edge[e], old_edge[edge_count] = edge_count, e
                turned = d if not fixed[e] else 0
                for side in range(2):
                    made[edge_count, side] = edges[e, side ^ turned]
                    g = edge_faces[e, side ^ turned]
                    beside[edge_count, side] = new_face[g] if g >= 0 else g
                edge_count += 1
            corners[at] = new_vertex[v]
            at += 1
        offsets[new_face[f] + 1] = at
    for e in range(edge_count):
        for side in range(2):
            made[e, side] = new_vertex[made[e, side]]
    return made[:edge_count], beside[:edge_count], offsets, corners, old_edge[:edge_count], old_vertex[:count]
