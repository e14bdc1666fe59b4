r"""Merging cells across edges where the output's slope does not change.
By how much the slope jumps across every edge, and which faces become one.

     w_L               n: normal of the edge a-b. The output is affine on both faces and agrees on the edge,
    / | \              so its slope can only jump along n. The derivative along n into a face follows from the
   a--+--b             vertex farthest from the edge, at distance d, and the value at its foot + on the edge.
    \ | /              An error eps in the outputs makes an error eps / d in the derivative.
     w_R

Where the output is constant, what is computed is noise: a slope within its error is 0 where a slope as the output has it
elsewhere would be seen many times over. An edge of no length, or a face of none, tells nothing. The length of the jump
over the outputs is the Frobenius norm of the difference of the slopes.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.jit import njit

FLAT = 2.0**-20
"""A slope counts as 0 where it is below its error and the error below this share of the steepest slope of its output."""


@njit(nogil=True, cache=True)
def _apex(uv, loop, a, b):
    """The vertex of a face farthest from its edge a-b: (vertex, distance, place of its foot along a-b)."""
    ex, ey = uv[b, 0] - uv[a, 0], uv[b, 1] - uv[a, 1]
    length = np.hypot(ex, ey)
    square = length * length
    best, far, foot = a, 0.0, 0.0
    if square == 0.0:  # also where the length is not: no place along such an edge can be told
        return best, far, foot
    for w in loop:
        dx, dy = uv[w, 0] - uv[a, 0], uv[w, 1] - uv[a, 1]
        d = abs(ex * dy - ey * dx) / length
        if d > far:
            best, far, foot = w, d, (ex * dx + ey * dy) / square
    return best, far, foot


@njit(nogil=True, cache=True)
def _slopes(uv, a, b, left, right, outputs, k, rounding):
    """Derivatives of output k from an edge into both faces, of each the apex (vertex, distance, foot); and their error."""
    fa, fb = outputs[a, k], outputs[b, k]
    wl, dl, sl = left
    wr, dr, sr = right
    into_left = (outputs[wl, k] - (fa + sl * (fb - fa))) / dl
    into_right = (outputs[wr, k] - (fa + sr * (fb - fa))) / dr
    return into_left, into_right, rounding * ((1.0 + abs(sl)) / dl + (1.0 + abs(sr)) / dr)


@njit(nogil=True, cache=True)
def _is_flat(into_left, into_right, error, steepest):
    """Whether both slopes are 0 as far as they are known, and that is known well: one of the output's would be seen."""
    return max(abs(into_left), abs(into_right)) <= error and error <= FLAT * steepest


@njit(nogil=True, cache=True)
def slope_jumps(uv, edges, edge_faces, face_offsets, face_vertices, outputs, rounding):
    """For each edge (E,): the norm over the outputs of the slope's jump across it, its error for outputs that are wrong
    by rounding (C,), and a verdict: 1 if the slope changes, 0 if not, 2 if the faces are too thin to tell, -1 on the border.

    On the border norm and error are 0. A face without area has no slope: the norm is 0, the error inf.
    """
    norms, errors, verdict = np.zeros(len(edges)), np.zeros(len(edges)), np.full(len(edges), -1, np.int8)
    steepest, varies = np.zeros(outputs.shape[1]), np.zeros(outputs.shape[1], np.bool_)
    for k in range(outputs.shape[1]):
        varies[k] = len(outputs) > 0 and outputs[:, k].min() < outputs[:, k].max()
    for e in range(len(edges)):
        if edge_faces[e, 0] < 0 or edge_faces[e, 1] < 0:
            continue
        a, b = edges[e, 0], edges[e, 1]
        left, right = _apexes(uv, edges, edge_faces, face_offsets, face_vertices, e)
        if left[1] == 0.0 or right[1] == 0.0 or not np.isfinite(left[2] + right[2]):
            errors[e], verdict[e] = np.inf, 2
            continue
        changes, thin = False, False
        for k in range(outputs.shape[1]):
            into_left, into_right, error = _slopes(uv, a, b, left, right, outputs, k, rounding[k])
            jump, local = into_left + into_right, abs(into_left) + abs(into_right)
            norms[e] += jump * jump
            errors[e] += error * error
            changes |= abs(jump) > error
            thin |= error > 1e-3 * local and error > 0.0 and local > 0.0
            steepest[k] = max(steepest[k], local - error)
        norms[e], errors[e] = np.sqrt(norms[e]), np.sqrt(errors[e])
        verdict[e] = 1 if changes else 2 if thin else 0
    # What is small beside the error is thin, or a slope of 0: that is told by the slopes that the output has elsewhere.
    # Where it has none that is seen but varies, as in a window of a few roundings, nothing tells.
    for e in range(len(edges)):
        if verdict[e] == 2 and errors[e] < np.inf:
            a, b = edges[e, 0], edges[e, 1]
            left, right = _apexes(uv, edges, edge_faces, face_offsets, face_vertices, e)
            thin = False
            for k in range(outputs.shape[1]):
                into_left, into_right, error = _slopes(uv, a, b, left, right, outputs, k, rounding[k])
                local = abs(into_left) + abs(into_right)
                if error > 1e-3 * local and error > 0.0 and (steepest[k] > 0.0 or varies[k]):
                    thin |= not _is_flat(into_left, into_right, error, steepest[k])
            verdict[e] = 2 if thin else 0
    return norms, errors, verdict


@njit(nogil=True, cache=True)
def _apexes(uv, edges, edge_faces, face_offsets, face_vertices, e):
    """`_apex` of the faces on the left and on the right of an inner edge."""
    a, b, left, right = edges[e, 0], edges[e, 1], edge_faces[e, 0], edge_faces[e, 1]
    one = _apex(uv, face_vertices[face_offsets[left] : face_offsets[left + 1]], a, b)
    return one, _apex(uv, face_vertices[face_offsets[right] : face_offsets[right + 1]], a, b)


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
