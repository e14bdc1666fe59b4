"""Shapes of faces, and connected parts of classes, of a planar complex.

A class region is the part of a face where one output is largest; two of them meet across an edge where that class
leads on a piece of the edge. Pieces of an edge are found by walking up the envelope of its outputs.
"""

from __future__ import annotations

import numpy as np

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
def through(vertices, face_offsets, face_vertices, segments, faces):
    """(M,) whether each segment runs through the inside of its face, rather than along an edge of it."""
    inside = np.ones(len(segments), np.bool_)
    for m in range(len(segments)):
        start, stop = face_offsets[faces[m]], face_offsets[faces[m] + 1]
        x, y = 0.5 * (segments[m, 0, 0] + segments[m, 1, 0]), 0.5 * (segments[m, 0, 1] + segments[m, 1, 1])
        first, size, lowest = face_vertices[start], 0.0, np.inf
        for i in range(start, stop):
            a, b = face_vertices[i], face_vertices[i + 1 if i + 1 < stop else start]
            ax, ay = vertices[a, 0], vertices[a, 1]
            size = max(size, abs(ax - vertices[first, 0]), abs(ay - vertices[first, 1]))
            lowest = min(lowest, (vertices[b, 0] - ax) * (y - ay) - (vertices[b, 1] - ay) * (x - ax))
        inside[m] = lowest > 1e-12 * size * size
    return inside


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
def fragments(edges, edge_faces, outputs, present):
    """Connected parts of each class (C,), from present (F, C): whether a class leads somewhere inside a face."""
    faces, classes = present.shape
    same = np.arange(faces * classes)
    leaders = np.empty(classes, np.int64)
    for e in range(len(edges)):
        left, right = edge_faces[e, 0], edge_faces[e, 1]
        if left < 0 or right < 0:
            continue
        for n in range(_walk(outputs, edges[e, 0], edges[e, 1], leaders)):
            k = leaders[n]
            if present[left, k] and present[right, k]:
                i, j = left * classes + k, right * classes + k
                while same[i] != i:
                    same[i] = same[same[i]]
                    i = same[i]
                while same[j] != j:
                    same[j] = same[same[j]]
                    j = same[j]
                same[max(i, j)] = min(i, j)
    counts = np.zeros(classes, np.int64)
    for f in range(faces):
        for k in range(classes):
            if present[f, k] and same[f * classes + k] == f * classes + k:
                counts[k] += 1
    return counts
