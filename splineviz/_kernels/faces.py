"""Per-face numbers of a planar complex: areas, means, slopes."""

from __future__ import annotations

import numpy as np

from splineviz._kernels.jit import njit


@njit(nogil=True, cache=True)
def face_areas(vertices, face_offsets, face_vertices):
    """(F,) shoelace areas from differences to each face's first vertex, exact to rounding even for slivers."""
    faces = len(face_offsets) - 1
    areas = np.zeros(faces)
    for f in range(faces):
        start, stop = face_offsets[f], face_offsets[f + 1]
        ox, oy = vertices[face_vertices[start], 0], vertices[face_vertices[start], 1]
        total = 0.0
        for i in range(start + 1, stop - 1):
            a, b = face_vertices[i], face_vertices[i + 1]
            total += (vertices[a, 0] - ox) * (vertices[b, 1] - oy) - (vertices[a, 1] - oy) * (vertices[b, 0] - ox)
        areas[f] = 0.5 * total
    return areas


@njit(nogil=True, cache=True)
def face_means(vertices, face_offsets, face_vertices):
    """(F, 2) mean of each face's vertices, taken from differences to the first, so it stays inside slivers."""
    faces = len(face_offsets) - 1
    means = np.zeros((faces, 2))
    for f in range(faces):
        start, stop = face_offsets[f], face_offsets[f + 1]
        ox, oy = vertices[face_vertices[start], 0], vertices[face_vertices[start], 1]
        sx, sy = 0.0, 0.0
        for i in range(start + 1, stop):
            sx += vertices[face_vertices[i], 0] - ox
            sy += vertices[face_vertices[i], 1] - oy
        means[f, 0] = ox + sx / (stop - start)
        means[f, 1] = oy + sy / (stop - start)
    return means


@njit(nogil=True, cache=True)
def face_slopes(vertices, face_offsets, face_vertices, outputs):
    """(F, C, 2) d output / d(u, v), from the vertex triple of the face with the largest area."""
    faces, channels = len(face_offsets) - 1, outputs.shape[1]
    slopes = np.zeros((faces, channels, 2))
    for f in range(faces):
        start, stop = face_offsets[f], face_offsets[f + 1]
        # The best base is the vertex farthest from the first; the best apex the one farthest from that chord.
        a = face_vertices[start]
        b, far = a, -1.0
        for i in range(start + 1, stop):
            w = face_vertices[i]
            d = (vertices[w, 0] - vertices[a, 0]) ** 2 + (vertices[w, 1] - vertices[a, 1]) ** 2
            if d > far:
                b, far = w, d
        bx, by = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1]
        c, det = a, 0.0
        for i in range(start, stop):
            w = face_vertices[i]
            cross = bx * (vertices[w, 1] - vertices[a, 1]) - by * (vertices[w, 0] - vertices[a, 0])
            if abs(cross) > abs(det):
                c, det = w, cross
        if det == 0.0:
            continue
        cx, cy = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1]
        for k in range(channels):
            db, dc = outputs[b, k] - outputs[a, k], outputs[c, k] - outputs[a, k]
            slopes[f, k, 0] = (db * cy - dc * by) / det
            slopes[f, k, 1] = (dc * bx - db * cx) / det
    return slopes
