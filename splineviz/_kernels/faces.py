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


@njit(nogil=True, cache=True, inline="always")
def _widest(vertices, face_vertices, start, stop):
    """A triangle of a face: its first vertex, the one farthest from that, the one farthest from their chord.

    Returns their ids, twice the triangle's signed area, and the squared length of the chord.
    """
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
    return a, b, c, det, far


@njit(nogil=True, cache=True)
def face_slopes(vertices, face_offsets, face_vertices, outputs):
    """(F, C, 2) d output / d(u, v), from the vertex triple of the face with the largest area."""
    faces, channels = len(face_offsets) - 1, outputs.shape[1]
    slopes = np.zeros((faces, channels, 2))
    for f in range(faces):
        a, b, c, det, _ = _widest(vertices, face_vertices, face_offsets[f], face_offsets[f + 1])
        if det == 0.0:
            continue
        bx, by = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1]
        cx, cy = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1]
        for k in range(channels):
            db, dc = outputs[b, k] - outputs[a, k], outputs[c, k] - outputs[a, k]
            slopes[f, k, 0] = (db * cy - dc * by) / det
            slopes[f, k, 1] = (dc * bx - db * cx) / det
    return slopes


@njit(nogil=True, cache=True)
def face_slope_norms(vertices, face_offsets, face_vertices, outputs, areas, rounding):
    """(F,) Frobenius norm of what `face_slopes` gives, and (F,) its error where every output may be off by `rounding` (C,).

    areas: (F,) of `face_areas`. The error is that of the whole face's shape: its longest arm over its area, twice for either
    output of a difference.
    """
    faces, channels = len(face_offsets) - 1, outputs.shape[1]
    norms, errors = np.zeros(faces), np.full(faces, np.inf)
    off = 0.0
    for k in range(channels):
        off += rounding[k] * rounding[k]
    off = np.sqrt(off)
    for f in range(faces):
        a, b, c, det, far = _widest(vertices, face_vertices, face_offsets[f], face_offsets[f + 1])
        if det == 0.0:
            continue
        bx, by = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1]
        cx, cy = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1]
        total = 0.0
        for k in range(channels):
            db, dc = outputs[b, k] - outputs[a, k], outputs[c, k] - outputs[a, k]
            along, across = (db * cy - dc * by) / det, (dc * bx - db * cx) / det
            total += along * along + across * across
        norms[f] = np.sqrt(total)
        if areas[f] != 0.0:
            errors[f] = off * 4.0 * np.sqrt(far) / abs(areas[f])
    return norms, errors
