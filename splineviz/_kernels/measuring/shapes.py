"""Shapes of faces, and connected parts of classes, of a planar complex.

A class region is the part of a face where one output is largest; two of them meet across an edge where that class
leads on a piece of the edge. Pieces of an edge are found by walking up the envelope of its outputs.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.collaring import root
from splineviz._kernels.jit import njit


@njit(nogil=True, cache=True)
def eccentricities(vertices, face_offsets, face_vertices):
    """(F,) eccentricity of the ellipse with each face's second moments of area: 0 round, 1 a line (or no area)."""
    faces = len(face_offsets) - 1
    found = np.ones(faces)
    for f in range(faces):
        start, stop = face_offsets[f], face_offsets[f + 1]
        ox, oy = vertices[face_vertices[start], 0], vertices[face_vertices[start], 1]
        area, mx, my, xx, xy, yy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(start + 1, stop - 1):
            ax, ay = vertices[face_vertices[i], 0] - ox, vertices[face_vertices[i], 1] - oy
            bx, by = vertices[face_vertices[i + 1], 0] - ox, vertices[face_vertices[i + 1], 1] - oy
            part = 0.5 * (ax * by - ay * bx)
            area += part
            mx += part * (ax + bx) / 3.0
            my += part * (ay + by) / 3.0
            xx += part * (ax * ax + ax * bx + bx * bx) / 6.0
            yy += part * (ay * ay + ay * by + by * by) / 6.0
            xy += part * (2.0 * ax * ay + ax * by + bx * ay + 2.0 * bx * by) / 12.0
        if area <= 0.0:
            continue
        xx, yy, xy = xx / area - (mx / area) ** 2, yy / area - (my / area) ** 2, xy / area - mx * my / area**2
        middle, half = 0.5 * (xx + yy), np.hypot(0.5 * (xx - yy), xy)
        if middle + half > 0.0:
            found[f] = np.sqrt(min(2.0 * half / (middle + half), 1.0))
    return found


@njit(nogil=True, cache=True)
def _walk(outputs, a, b, leaders):
    """The classes that lead on a piece of the edge a-b, in order from a; returns how many."""
    classes = outputs.shape[1]
    leader = 0
    for k in range(1, classes):
        ahead = outputs[a, k] - outputs[a, leader]
        if ahead > 0.0 or (ahead == 0.0 and outputs[b, k] > outputs[b, leader]):
            leader = k
    count, at = 0, 0.0
    while True:
        leaders[count] = leader
        count += 1
        best, nearest, steepest = -1, 1.0, 0.0
        for k in range(classes):
            behind = outputs[a, leader] - outputs[a, k]
            gain = (outputs[b, k] - outputs[a, k]) - (outputs[b, leader] - outputs[a, leader])
            if gain > 0.0:
                t = max(behind / gain, at)
                if t < nearest or (best >= 0 and t == nearest and gain > steepest):
                    best, nearest, steepest = k, t, gain
        if best < 0 or count == classes:
            return count
        leader, at = best, nearest


@njit(nogil=True, cache=True)
def _part(face, kind, label, starts, faces):
    """The part of a face that has a class, -1 for none. Others than its own stand in faces + starts[face] and on."""
    if label[face] == kind:
        return face
    for p in range(faces + starts[face], faces + starts[face + 1]):
        if label[p] == kind:
            return p
    return -1


@njit(nogil=True, cache=True)
def fragments(edges, edge_faces, outputs, label, starts):
    """Connected pieces of each class (C,), from the parts of `geometry.faces` and starts (F + 1,) of the faces' others.

    Parts of one class are connected where they share a piece of a side on which that class leads; faces that are whole and
    of one class are so along all of it, whatever rounding says of a tie there.
    """
    faces, classes = len(starts) - 1, outputs.shape[1]
    same = np.arange(len(label))
    leaders = np.empty(classes, np.int64)
    for e in range(len(edges)):
        left, right = edge_faces[e, 0], edge_faces[e, 1]
        if left < 0 or right < 0:
            continue
        whole = starts[left + 1] == starts[left] and starts[right + 1] == starts[right]
        if whole and label[left] != label[right]:
            continue
        count = 1
        leaders[0] = label[left]
        if not whole:
            count = _walk(outputs, edges[e, 0], edges[e, 1], leaders)
        for n in range(count):
            p, q = _part(left, leaders[n], label, starts, faces), _part(right, leaders[n], label, starts, faces)
            if p >= 0 and q >= 0:
                i, j = root(same, p), root(same, q)
                same[max(i, j)] = min(i, j)
    counts = np.zeros(classes, np.int64)
    for p in range(len(label)):
        if same[p] == p:
            counts[label[p]] += 1
    return counts
