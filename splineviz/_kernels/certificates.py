"""What the certificate reads from the model's values at one batch of faces.
Signs and values of units, winners of max layers, and ties along the edges of these.

Independent of the kernels that cut: no sign is packed, no edge is followed; a face is judged by the model's own
values at its corners and at one point inside.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.jit import njit


@njit(nogil=True, cache=True)
def read_faces(at_corners, inside, offsets, corners, tolerance, thin, width, unit_hash):
    """Judge faces f with corners rows corners[offsets[f] : offsets[f + 1]] of at_corners (n, U) and values inside (F, U).

    tolerance: (U,) below which a value says nothing; thin: (U,) faces narrower than this (of the window's diameter,
    as is width (F,)) may hide a sign within the tolerance.
    Returns the pattern's hash (F,), the number of units that cannot be decided (F,), and the worst contradiction of
    signs at the corners, in tolerances (F,), with its unit (F,), -1 if there is none.
    """
    faces, units = inside.shape
    pattern = np.zeros(faces, np.uint64)
    unsure = np.zeros(faces, np.int32)
    worst = np.zeros(faces)
    worst_unit = np.full(faces, -1, np.int32)
    low, high = np.empty(units), np.empty(units)
    for f in range(faces):
        first = corners[offsets[f]]
        for j in range(units):
            low[j] = at_corners[first, j]
            high[j] = at_corners[first, j]
        for i in range(offsets[f] + 1, offsets[f + 1]):
            row = corners[i]
            for j in range(units):
                x = at_corners[row, j]
                low[j] = min(low[j], x)
                high[j] = max(high[j], x)
        code = np.uint64(0)
        for j in range(units):
            x, limit = inside[f, j], tolerance[j]
            if x > limit:
                code ^= unit_hash[j]
            elif x >= -limit:
                flat = high[j] <= limit and low[j] >= -limit and width[f] > thin[j]
                dead = x == 0.0 and low[j] == 0.0 and high[j] == 0.0
                if not (flat or dead):
                    unsure[f] += 1
            gap = min(high[j], -low[j])
            if gap > 0.0 and gap > worst[f] * limit:
                worst[f] = gap / limit if limit > 0.0 else np.inf
                worst_unit[f] = j
        pattern[f] = code
    return pattern, unsure, worst, worst_unit


@njit(nogil=True, cache=True)
def read_groups(at_corners, inside, offsets, corners, tolerance):
    """Judge one max layer: entries of its groups at corners (n, G, K) and inside (F, G, K); tolerance: (G,) of a difference.

    A tie of two entries everywhere goes to the second of the two, in rounds of halves against halves.
    Returns the winner of each group inside (F, G), and the worst lead of another entry over it at a corner, in tolerances
    (F,), with its group (F,), -1 if there is none.
    """
    faces, groups, size = inside.shape
    winner = np.empty((faces, groups), np.int32)
    worst, worst_group = np.zeros(faces), np.full(faces, -1, np.int32)
    places = np.empty(size, np.int32)
    for f in range(faces):
        for g in range(groups):
            limit = tolerance[g]
            for k in range(size):
                places[k] = k
            left = size
            while left > 1:
                half = left // 2
                for i in range(half):
                    a, b = places[i], places[half + i]
                    lead = inside[f, g, a] - inside[f, g, b]
                    if lead > 0.0 and lead <= limit:
                        tie = True
                        for c in range(offsets[f], offsets[f + 1]):
                            tie &= abs(at_corners[corners[c], g, a] - at_corners[corners[c], g, b]) <= limit
                        if tie:
                            lead = 0.0
                    places[i] = a if lead > 0.0 else b
                for i in range(2 * half, left):
                    places[i - half] = places[i]
                left -= half
            w = places[0]
            winner[f, g] = w
            for c in range(offsets[f], offsets[f + 1]):
                row = corners[c]
                for k in range(size):
                    gap = at_corners[row, g, k] - at_corners[row, g, w]
                    if gap > 0.0 and gap > worst[f] * limit:
                        worst[f] = gap / limit if limit > 0.0 else np.inf
                        worst_group[f] = g
    return winner, worst, worst_group


@njit(nogil=True, cache=True)
def group_knots(ends, face, group, at_corners, inside, winner, tolerance):
    """For edges on knots of one max layer: how far the face's winner is from a tie with another entry along the edge.

    ends (n, 2): rows of at_corners; face (n,), group (n,): whose side and knot. In tolerances; an entry that ties with the
    winner inside the face too does not count.
    """
    size = inside.shape[2]
    gap = np.full(len(ends), np.inf)
    for i in range(len(ends)):
        f, g = face[i], group[i]
        w, limit = winner[f, g], tolerance[g]
        for k in range(size):
            if inside[f, g, w] == inside[f, g, k]:
                continue
            lead = 0.0
            for d in range(2):
                lead = max(lead, abs(at_corners[ends[i, d], g, w] - at_corners[ends[i, d], g, k]))
            if limit > 0.0:
                gap[i] = min(gap[i], lead / limit)
            elif lead == 0.0:
                gap[i] = 0.0
    return gap
