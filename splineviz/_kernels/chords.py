"""The chords of a face's units with interior vertices on them, written down as lines for `lines.propagate`.

A chord runs from boundary to boundary of a face. Along it the face's other units flip where they change their sign from
one end to the other, and its interior vertices are the targets. A vertex of which it cannot be said where on its chord it
lies is lost: its values are interpolated.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.arrays import grown, sort_by
from splineviz._kernels.jit import lean, step
from splineviz._kernels.lines import Lines


@step()
def new_lines():
    """Room for some lines."""
    flips, targets = np.zeros(65, np.int64), np.zeros(65, np.int64)
    return Lines(
        np.empty(64, np.int32), np.empty(64, np.int32), flips, np.empty(256), np.empty(256, np.int32), np.empty(256),
        targets, np.empty(256), np.empty(256, np.int32),
    )  # fmt: skip


@step()
def trimmed(lines, size):
    """The first lines, without the room that was left."""
    start, end, flip_offsets, flip_t, flip_unit, flip_size, target_offsets, target_t, target_vertex = lines
    flips, targets = flip_offsets[size], target_offsets[size]
    return Lines(
        start[:size], end[:size], flip_offsets[: size + 1], flip_t[:flips], flip_unit[:flips], flip_size[:flips],
        target_offsets[: size + 1], target_t[:targets], target_vertex[:targets],
    )  # fmt: skip


@step()
def write_lost(points, m, vertices, lost, size):
    """Append the interior vertices m..vertices-1 whose place on their chord is not known; the array and its size."""
    for v in range(m, vertices):
        if points[v].chord_t < 0.0:
            lost = grown(lost, size + 1)
            lost[size] = points[v].id
            size += 1
    return lost, size


@lean()
def _sorted_targets(points, m, vertices, base, heads, target_t, target_vertex):
    """Write the interior vertices on chords from `base` on, chord by chord; heads (k + 1,): zeros, then where each ends."""
    for v in range(m, vertices):
        if points[v].chord_t >= 0.0:
            heads[points[v].chord + 1] += 1
    for j in range(len(heads) - 1):
        heads[j + 1] += heads[j]
    for v in range(m, vertices):
        point = points[v]
        if point.chord_t >= 0.0:
            i = base + heads[point.chord]
            heads[point.chord] += 1
            target_t[i], target_vertex[i] = point.chord_t, point.id


@step()
def _flips(values, p, q, crossing, at, flip_t, flip_unit, flip_size):
    """Write the units that change their sign between boundary vertices p and q, ascending, from `at` on; where they end."""
    i = at
    for c in range(len(crossing)):
        vp, vq = values[c, p], values[c, q]
        if (vp < 0.0 and vq > 0.0) or (vp > 0.0 and vq < 0.0):
            flip_t[i], flip_unit[i] = vp / (vp - vq), c
            i += 1
    sort_by(flip_t, at, i, flip_unit)
    for c in range(at, i):
        flip_size[c] = abs(values[flip_unit[c], q] - values[flip_unit[c], p])
        flip_unit[c] = crossing[flip_unit[c]]
    return i


@step()
def write_lines(points, m, vertices, chords, values, crossing, lines, size):
    """Append the chords of a face on which interior vertices m..vertices-1 lie; the lines, and how many there are.

    values: (k, m) of the units `crossing` (k,) at the boundary vertices.
    """
    start, end, flip_offsets, flip_t, flip_unit, flip_size, target_offsets, target_t, target_vertex = lines
    k, base = len(crossing), target_offsets[size]
    target_t, target_vertex = grown(target_t, base + vertices - m), grown(target_vertex, base + vertices - m)
    heads = np.zeros(k + 1, np.int64)
    _sorted_targets(points, m, vertices, base, heads, target_t, target_vertex)
    begin = base
    for j in range(k):
        stop = base + heads[j]
        if stop == begin:
            continue
        sort_by(target_t, begin, stop, target_vertex)
        start, end = grown(start, size + 1), grown(end, size + 1)
        flip_offsets, target_offsets = grown(flip_offsets, size + 2), grown(target_offsets, size + 2)
        p, q, at = chords[j].p, chords[j].q, flip_offsets[size]
        flip_t, flip_unit, flip_size = grown(flip_t, at + k), grown(flip_unit, at + k), grown(flip_size, at + k)
        flip_offsets[size + 1] = _flips(values, p, q, crossing, at, flip_t, flip_unit, flip_size)
        start[size], end[size], target_offsets[size + 1] = points[p].id, points[q].id, stop
        size += 1
        begin = stop
    return Lines(start, end, flip_offsets, flip_t, flip_unit, flip_size, target_offsets, target_t, target_vertex), size
