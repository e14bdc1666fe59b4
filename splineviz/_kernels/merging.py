r"""Merging cells across edges where the output's slope does not change.

     w_L               n: normal of the edge a-b. The output is affine on both faces and agrees on the edge,
    / | \              so its slope can only jump along n. The derivative along n into a face follows from the
   a--+--b             vertex farthest from the edge, at distance d, and the value at its foot + on the edge.
    \ | /              An error eps in the outputs makes an error eps / d in the derivative.
     w_R

An edge of no length, or a face of none, tells nothing. The length of the jump over the outputs is the Frobenius norm of
the difference of the slopes.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.jit import njit


@njit(nogil=True, cache=True)
def _apex(uv, loop, a, b):
    """The vertex of a face farthest from its edge a-b: (vertex, distance, place of its foot along a-b)."""
    ex, ey = uv[b, 0] - uv[a, 0], uv[b, 1] - uv[a, 1]
    length = np.hypot(ex, ey)
    best, far, foot = a, 0.0, 0.0
    if length == 0.0:
        return best, far, foot
    for w in loop:
        dx, dy = uv[w, 0] - uv[a, 0], uv[w, 1] - uv[a, 1]
        d = abs(ex * dy - ey * dx) / length
        if d > far:
            best, far, foot = w, d, (ex * dx + ey * dy) / length**2
    return best, far, foot


@njit(nogil=True, cache=True)
def slope_jumps(uv, edges, edge_faces, face_offsets, face_vertices, outputs, rounding):
    """For each edge (E,): the norm over the outputs of the slope's jump across it, its error for outputs that are wrong
    by rounding (C,), and a verdict: 1 if the slope changes, 0 if not, 2 if the faces are too thin to tell, -1 on the border.

    On the border norm and error are 0. A face without area has no slope: the norm is 0, the error inf.
    """
    norms, errors, verdict = np.zeros(len(edges)), np.zeros(len(edges)), np.full(len(edges), -1, np.int8)
    for e in range(len(edges)):
        left, right = edge_faces[e, 0], edge_faces[e, 1]
        if left < 0 or right < 0:
            continue
        a, b = edges[e, 0], edges[e, 1]
        wl, dl, sl = _apex(uv, face_vertices[face_offsets[left] : face_offsets[left + 1]], a, b)
        wr, dr, sr = _apex(uv, face_vertices[face_offsets[right] : face_offsets[right + 1]], a, b)
        if dl == 0.0 or dr == 0.0:
            errors[e], verdict[e] = np.inf, 2
            continue
        changes, thin = False, False
        for k in range(outputs.shape[1]):
            fa, fb = outputs[a, k], outputs[b, k]
            into_left = (outputs[wl, k] - (fa + sl * (fb - fa))) / dl
            into_right = (outputs[wr, k] - (fa + sr * (fb - fa))) / dr
            jump, error = into_left + into_right, rounding[k] * ((1.0 + abs(sl)) / dl + (1.0 + abs(sr)) / dr)
            norms[e] += jump * jump
            errors[e] += error * error
            changes |= abs(jump) > error
            thin |= error > 1e-3 * (abs(into_left) + abs(into_right)) and error > 0.0 and abs(into_left) > 1e-3 * error
        norms[e], errors[e] = np.sqrt(norms[e]), np.sqrt(errors[e])
        verdict[e] = 1 if changes else 2 if thin else 0
    return norms, errors, verdict


@njit(nogil=True, cache=True)
def merge(faces, edge_faces, joined):
    """(F,) label of each face's component under the joined edges, numbered by first appearance."""
    same = np.arange(faces)
    for e in range(len(edge_faces)):
        if joined[e]:
            i, j = edge_faces[e, 0], edge_faces[e, 1]
            while same[i] != i:
                same[i] = same[same[i]]
                i = same[i]
            while same[j] != j:
                same[j] = same[same[j]]
                j = same[j]
            same[max(i, j)] = min(i, j)
    label, count = np.full(faces, -1, np.int32), 0
    for f in range(faces):
        i = f
        while same[i] != i:
            i = same[i]
        if label[i] < 0:
            label[i] = count
            count += 1
        label[f] = label[i]
    return label
