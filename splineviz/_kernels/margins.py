r"""How far ahead a part's class is: margins at a place, and the leads of which a margin is the least.

Outputs are affine on a face: at a place inside it they are weights over three of its corners that span it. A *lead* is
the output of a part's class less that of another; the margin at a place is the least lead there.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.classing import grown
from splineviz._kernels.envelope import _contenders
from splineviz._kernels.jit import njit


@njit(nogil=True, cache=True)
def _base(vertices, ring):
    """Three corners of a face that span as much as any: the first, the farthest from it, the farthest from their line."""
    a = ring[0]
    b, far = a, -1.0
    for n in range(1, len(ring)):
        w = ring[n]
        d = (vertices[w, 0] - vertices[a, 0]) ** 2 + (vertices[w, 1] - vertices[a, 1]) ** 2
        if d > far:
            b, far = w, d
    c, det = a, 0.0
    for n in range(len(ring)):
        w = ring[n]
        cross = (vertices[b, 0] - vertices[a, 0]) * (vertices[w, 1] - vertices[a, 1])
        cross -= (vertices[b, 1] - vertices[a, 1]) * (vertices[w, 0] - vertices[a, 0])
        if abs(cross) > abs(det):
            c, det = w, cross
    return a, b, c, det


@njit(nogil=True, cache=True)
def _weights(vertices, base, x, y):
    """Weights of a point of a face over three vertices: how far it is along a -> b, and off that line, of what c is off it.

    In a thin face the second is a quotient of differences that cancel. It is one number, which c's part and the way along
    that it stands for share, so its error moves a value by no more than across the face; and no point is farther off than c.
    """
    a, b, c, det = base
    bx, by = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1]
    size = bx * bx + by * by
    if size == 0.0:
        return 1.0, 0.0, 0.0
    px, py = x - vertices[a, 0], y - vertices[a, 1]
    cx, cy = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1]
    off = 0.0 if det == 0.0 else min(max((bx * py - by * px) / det, -1.0), 1.0)
    along = (px * bx + py * by) / size - off * ((cx * bx + cy * by) / size)
    return 1.0 - along - off, along, off


@njit(nogil=True, cache=True)
def margins(vertices, face_offsets, face_vertices, outputs, owner, label, places, whole):
    """(P,) output of a part's class less the largest other at places (P, 2) inside the parts; at least 0.

    whole: (P,) the part is a whole face, whose place is the mean of its corners: then the outputs' mean is taken.
    """
    channels = outputs.shape[1]
    found = np.empty(len(owner))
    for p in range(len(owner)):
        ring = face_vertices[face_offsets[owner[p]] : face_offsets[owner[p] + 1]]
        m, own, other = len(ring), 0.0, -np.inf
        base = (ring[0], ring[0], ring[0], 0.0)
        wa, wb, wc = 0.0, 0.0, 0.0
        if not whole[p]:
            base = _base(vertices, ring)
            wa, wb, wc = _weights(vertices, base, places[p, 0], places[p, 1])
        for k in range(channels):
            value = 0.0
            if whole[p]:
                for n in range(m):
                    value += outputs[ring[n], k]
                value /= m
            else:
                value = wa * outputs[base[0], k] + wb * outputs[base[1], k] + wc * outputs[base[2], k]
            if k == label[p]:
                own = value
            else:
                other = max(other, value)
        found[p] = max(own - other, 0.0)
    return found


@njit(nogil=True, cache=True)
def _seconds(vertices, base, own, all_places, outputs, near, label, chosen):
    """Write the classes that are second somewhere in a part with corners `own` to `chosen`; returns their number."""
    a, b, c, _ = base
    values, slack = np.empty((len(own), outputs.shape[1])), np.full(len(own), near)
    for n in range(len(own)):
        wa, wb, wc = _weights(vertices, base, all_places[own[n], 0], all_places[own[n], 1])
        for k in range(outputs.shape[1]):
            values[n, k] = wa * outputs[a, k] + wb * outputs[b, k] + wc * outputs[c, k]
        values[n, label] = -np.inf
    return _contenders(np.arange(len(own), dtype=np.int32), values, slack, chosen)


@njit(nogil=True, cache=True)
def rivals(vertices, face_offsets, face_vertices, outputs, slack, owner, label, starts, ring_ids, all_places, middles):
    """Of every part the leads that its margin is the least of: offsets (P + 1,), and (value, d/du, d/dv) at its middle.

    all_places: (V + N, 2) of the parts' corners; middles: (P, 2). A lead counts if its other class is second somewhere in
    the part.
    """
    channels, parts = outputs.shape[1], len(owner)
    offsets, found = np.zeros(parts + 1, np.int64), np.empty((parts + 16, 3))
    chosen, count = np.empty(channels, np.int32), 0
    for p in range(parts):
        ring = face_vertices[face_offsets[owner[p]] : face_offsets[owner[p] + 1]]
        base = _base(vertices, ring)
        a, b, c, det = base
        own = ring_ids[starts[p] : starts[p + 1]]
        seconds = _seconds(vertices, base, own, all_places, outputs, slack[a], label[p], chosen)
        wa, wb, wc = _weights(vertices, base, middles[p, 0], middles[p, 1])
        bx, by = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1]
        cx, cy = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1]
        for s in range(seconds):
            k, i = chosen[s], label[p]
            if k == i:
                continue
            if count == len(found):
                found = grown(found, count)
            da, db, dc = outputs[a, i] - outputs[a, k], outputs[b, i] - outputs[b, k], outputs[c, i] - outputs[c, k]
            found[count, 0] = wa * da + wb * db + wc * dc
            found[count, 1] = ((db - da) * cy - (dc - da) * by) / det if det != 0.0 else 0.0
            found[count, 2] = ((dc - da) * bx - (db - da) * cx) / det if det != 0.0 else 0.0
            count += 1
        offsets[p + 1] = count
    return offsets, found[:count]
