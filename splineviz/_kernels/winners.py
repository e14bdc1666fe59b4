"""Winners: the largest entry of each group of a max layer on each face, round by round (see `tracing.lowering`).
Also zeros among the values that are compared, and the winners' share in the faces' hashes.

winners (F, entrants, groups): number of the entrant of each group at each place of the round. z (V, pairs *
groups): what the first of a pair has over the second, at the vertices; exactly 0 where it was read as 0, so on a face
where the two tie everywhere the sum over its corners is exactly 0, and the second goes on.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.bits import ONE, splitmix
from splineviz._kernels.jit import njit


@njit(nogil=True, cache=True)
def clear_zeros(z, plus, minus):
    """Make the values 0 that were read as 0."""
    rows, units = z.shape
    for v in range(rows):
        for u in range(units):
            w, b = u >> 6, np.uint64(u & 63)
            if ((plus[v, w] | minus[v, w]) >> b) & ONE == 0:
                z[v, u] = 0.0


@njit(nogil=True, cache=True)
def play(face_offsets, face_halves, edges, z, parents, winners, pairs, after):
    """Winners after a round into `after` (F, entrants - pairs, groups); parents (F,): rows of `winners` before it."""
    entrants, groups = winners.shape[1], winners.shape[2]
    lead = np.empty(z.shape[1])
    for f in range(len(face_offsets) - 1):
        lead[:] = 0.0
        for i in range(face_offsets[f], face_offsets[f + 1]):
            v = edges[face_halves[i] >> 1, face_halves[i] & 1]
            for u in range(len(lead)):
                lead[u] += z[v, u]
        before = winners[parents[f]]
        for p in range(pairs):
            for g in range(groups):
                after[f, p, g] = before[p, g] if lead[p * groups + g] > 0.0 else before[pairs + p, g]
        for p in range(2 * pairs, entrants):
            for g in range(groups):
                after[f, p - pairs, g] = before[p, g]


@njit(nogil=True, cache=True)
def add_pieces(winners, first, size, hashes):
    """XOR the hash of piece first + group * size + winner of every group into the hash of each face."""
    for f in range(len(winners)):
        total = np.uint64(0)
        for g in range(winners.shape[1]):
            total ^= splitmix(np.uint64(first + g * size + winners[f, g] + 1))
        hashes[f] ^= total
