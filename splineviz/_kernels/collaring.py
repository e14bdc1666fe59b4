r"""Taking seams out: the faces on both sides of an edge become one, and vertices that only the seam had go.
For faces along seams alone: the half-edge that follows each one, edges joined into one, the walk round merged faces; also
forests in which things are united.

       |  A  |                |     |        h ----> o ----> n     o lies on a seam. n follows h round its face; where
    ---o-----o---   -->    ---+-----+---               |           n is dropped, the walk goes on round the face beyond.
       |  B  |                | A+B |                  v dropped   A vertex that keeps two edges is on no corner.

Half-edges are 2 * edge + direction, as in `sewing`. What is walked here are the faces along seams alone; the caller
knows the others, and that is what `dissolving` is not for. Nothing is matched by coordinates.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.jit import njit


@njit(nogil=True, cache=True)
def root(same, v):
    """The representative of v in a forest."""
    while same[v] != v:
        same[v] = same[same[v]]
        v = same[v]
    return v


@njit(nogil=True, cache=True)
def unite(first, second, ends, same_vertex):
    """Unite the ends of edges first[i] and second[i], which are copies of one."""
    for i in range(len(first)):
        for d in range(2):
            v, w = root(same_vertex, ends[first[i], d]), root(same_vertex, ends[second[i], d])
            same_vertex[max(v, w)] = min(v, w)
    for v in range(len(same_vertex)):
        same_vertex[v] = root(same_vertex, v)


@njit(nogil=True, cache=True)
def followers(loop_offsets, loop_halves, edges):
    """(2 * edges,) the half-edge that follows each one round its face, -1 where it has none here."""
    following = np.full(2 * edges, -1, np.int32)
    for f in range(len(loop_offsets) - 1):
        start, stop = loop_offsets[f], loop_offsets[f + 1]
        for i in range(start, stop):
            following[loop_halves[i]] = loop_halves[i + 1 if i + 1 < stop else start]
    return following


@njit(nogil=True, cache=True)
def count_kept(ends, dropped, vertices):
    """For each vertex: how many edges it keeps, and the two of them with the smallest and largest number."""
    degree, incident = np.zeros(vertices, np.int32), np.full((vertices, 2), -1, np.int32)
    for e in range(len(ends)):
        if not dropped[e]:
            for d in range(2):
                v = ends[e, d]
                if degree[v] == 0:
                    incident[v, 0] = e
                incident[v, 1] = e
                degree[v] += 1
    return degree, incident


@njit(nogil=True, cache=True)
def straighten(ends, incident, dropped, gone):
    """Join the edges that meet at vertices which are gone: each edge's representative, and the representatives' ends.

    The representative is the first edge of its chain and keeps its direction. Returns also the first edge of a chain
    without end, or -1.
    """
    same = np.arange(len(ends)).astype(np.int32)
    joined = ends.copy()
    for e in range(len(ends)):
        if dropped[e] or same[e] != e or not (gone[ends[e, 0]] or gone[ends[e, 1]]):
            continue
        for d in range(2):
            at, v, steps = e, ends[e, d], 0
            while gone[v]:
                at = incident[v, 1] if incident[v, 0] == at else incident[v, 0]
                if at == e or steps > len(ends):
                    return same, joined, e
                same[at] = e
                v = ends[at, 1] if ends[at, 0] == v else ends[at, 0]
                steps += 1
            joined[e, d] = v
    return same, joined, -1


@njit(nogil=True, cache=True)
def walk(loop_offsets, loop_halves, label, labels, following, ends, dropped, gone):
    """The vertices round every merged face, without those that are gone: offsets, vertices, first vertices as walked.

    label: (F,) the merged face of each face. Returns also the first merged face whose border is not one loop, or -1.
    """
    sides, first = np.zeros(labels, np.int64), np.full(labels, -1, np.int32)
    for f in range(len(label)):
        for i in range(loop_offsets[f], loop_offsets[f + 1]):
            half = loop_halves[i]
            if not dropped[half >> 1]:
                sides[label[f]] += 1
                if first[label[f]] < 0:
                    first[label[f]] = half
    offsets, vertices, at = np.zeros(labels + 1, np.int32), np.empty(loop_offsets[-1], np.int32), 0
    for k in range(labels):
        half, walked = first[k], 0
        while half >= 0:
            v = ends[half >> 1, half & 1]
            if not gone[v]:
                vertices[at] = v
                at += 1
            walked += 1
            half = following[half]
            turns = 0
            while half >= 0 and dropped[half >> 1]:
                half = following[half ^ 1]
                turns += 1
                if turns > len(following):
                    return offsets, vertices, k
            if half == first[k] or walked > sides[k]:
                break
        if half < 0 or walked != sides[k]:
            return offsets, vertices, k
        offsets[k + 1] = at
    return offsets, vertices[:at], -1
