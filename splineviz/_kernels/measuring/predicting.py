"""Predicting: outputs at corners of faces from known corners, walking from face to face; they are affine on a face.
Also the faces across each side, the order of the walk, and what a prediction leaves over.

The browser repeats this walk with the same operations on the same doubles, so what it adds up is exactly what was taken
away here: viewer/decode.js, `restoreOutputs`. Faces are walked from the first one to its neighbours and so on, the corners
of each in order; so a face has mostly three known corners when it is met.

        a-----b      p is new; a, b, c are known: of the triangles of known corners with the first of them, the largest
        |    /       spans the plane that predicts p. Where it would magnify its rounding, or there is none, the last
        c---p        known corner's outputs do.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.jit import njit

REACH = 8.0
"""Largest sum of the magnitudes of a prediction's weights."""


@njit(nogil=True, cache=True)
def across(face_offsets, face_vertices, vertices):
    """(sum of counts,) int64: the face behind the side that begins at each corner, -1 where there is none."""
    count = len(face_vertices)
    behind = np.full(count, -1, np.int64)
    first = np.full(vertices, -1, np.int64)  # a list of sides for each lower end
    following, other, owner = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.int64)
    for f in range(len(face_offsets) - 1):
        for k in range(face_offsets[f], face_offsets[f + 1]):
            a = face_vertices[k]
            b = face_vertices[k + 1 if k + 1 < face_offsets[f + 1] else face_offsets[f]]
            low, high = min(a, b), max(a, b)
            at = first[low]
            while at >= 0 and other[at] != high:
                at = following[at]
            if at < 0:
                following[k], other[k], owner[k] = first[low], high, f
                first[low] = k
            else:
                behind[k], behind[at] = owner[at], f
    return behind


@njit(nogil=True, cache=True)
def walk(face_offsets, behind):
    """(F,) int64: all faces, each as near to the first one as it is by neighbours; the rest follow in order."""
    faces = len(face_offsets) - 1
    order, seen = np.empty(faces, np.int64), np.zeros(faces, np.bool_)
    done = 0
    for start in range(faces):
        if seen[start]:
            continue
        at = done
        order[done] = start
        seen[start] = True
        done += 1
        while at < done:
            for k in range(face_offsets[order[at]], face_offsets[order[at] + 1]):
                g = behind[k]
                if g >= 0 and not seen[g]:
                    seen[g] = True
                    order[done] = g
                    done += 1
            at += 1
    return order


@njit(nogil=True, cache=True)
def weights(here, met, x, y, p):
    """Three known corners of here[:met] and their weights (a, b, c, wa, wb, wc) that predict p."""
    a, last = here[0], here[met - 1]
    b = c = -1
    size = 0.0
    for i in range(1, met):
        for j in range(i + 1, met):
            s, t = here[i], here[j]
            turn = (x[s] - x[a]) * (y[t] - y[a]) - (y[s] - y[a]) * (x[t] - x[a])
            if abs(turn) > abs(size):
                size, b, c = turn, s, t
    if b < 0:
        return last, last, last, 1.0, 0.0, 0.0
    wc = ((x[b] - x[a]) * (y[p] - y[a]) - (y[b] - y[a]) * (x[p] - x[a])) / size
    wb = ((x[a] - x[c]) * (y[p] - y[c]) - (y[a] - y[c]) * (x[p] - x[c])) / size
    wa = 1.0 - wb - wc
    if abs(wa) + abs(wb) + abs(wc) <= REACH:
        return a, b, c, wa, wb, wc
    return last, last, last, 1.0, 0.0, 0.0


@njit(nogil=True, cache=True)
def residuals(face_offsets, face_vertices, order, x, y, levels):
    """(V, C) int64: levels (V, C) less what the walk predicts of them; x, y: (V,) places as the browser has them."""
    left = levels.copy()
    known = np.zeros(len(levels), np.bool_)
    here = np.empty(np.max(face_offsets[1:] - face_offsets[:-1]), np.int64)
    for f in order:
        met = 0
        for k in range(face_offsets[f], face_offsets[f + 1]):
            if known[face_vertices[k]]:
                here[met] = face_vertices[k]
                met += 1
        for k in range(face_offsets[f], face_offsets[f + 1]):
            p = face_vertices[k]
            if known[p]:
                continue
            if met:
                a, b, c, wa, wb, wc = weights(here, met, x, y, p)
                for i in range(levels.shape[1]):
                    guess = np.floor(wa * levels[a, i] + wb * levels[b, i] + wc * levels[c, i] + 0.5)
                    left[p, i] -= int(min(max(guess, 0.0), 65535.0))
            known[p] = True
            here[met] = p
            met += 1
    return left
