"""What the certificate reads from the model's values at one batch of faces.

Independent of the kernels that cut: no sign is packed, no edge is followed; a face is judged by the model's own
values at its corners and at one point inside.
"""

from __future__ import annotations

import numpy as np
from numba import njit


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
