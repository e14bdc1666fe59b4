"""Winners: the largest entry of each group of a max layer on each face, round by round (see `tracing.lowering`).
Also what is compared, and who goes on, at the vertices; zeros among it, and the winners' share in the faces' hashes.

winners (F, entrants * groups): number of the entrant of each group at each place of the round. z (V, pairs *
groups): what the first of a pair has over the second, at the vertices; exactly 0 where it was read as 0, so on a face
where the two tie everywhere no corner has a sign, and the second goes on. Where a face had both signs before it was cut, the
sums over the corners of its parts tell.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.bits import ONE, lowest, popcount, splitmix
from splineviz._kernels.jit import njit, step
from splineviz._kernels.lines import row_of


@njit(nogil=True, cache=True)
def clear_zeros(z, plus, minus, counted):
    """Make the values 0 that were read as 0; how many were not, of the units that are `counted` (words,)."""
    found = 0
    for v in range(len(z)):
        for w in range(plus.shape[1]):
            blank, base = ~(plus[v, w] | minus[v, w]), 64 * w
            if blank == 0:
                continue
            something = np.uint64(0)  # most zeros are exact; without branches, for vector instructions
            for i in range(min(64, z.shape[1] - base)):
                something |= np.uint64(z[v, base + i] != 0.0) << np.uint64(i)
            blank &= something
            found += popcount(blank & counted[w])
            while blank != 0:
                z[v, base + lowest(blank)] = 0.0
                blank &= blank - ONE
    return found


@njit(nogil=True, cache=True)
def meet(x, vertices, index, low, high, ahead, second, rest):
    """What the first `pairs` of the entrants have over the next ones, `ahead` (n, pairs * groups), these, `second`, and the
    others, `rest`, at some vertices (n,), after a kink of slopes low and high.

    x: Rows of what they are among; index: their entries there, in order, or none where the entrants are all there is.
    """
    k = ahead.shape[1]
    for i in range(len(vertices)):
        row, over, next_, others = row_of(x, vertices[i]), ahead[i], second[i], rest[i]
        if len(index):
            for j in range(k):
                a, b = row[index[j]], row[index[k + j]]
                a = high * max(a, 0.0) + low * min(a, 0.0)
                b = high * max(b, 0.0) + low * min(b, 0.0)
                over[j], next_[j] = a - b, b
            for j in range(len(others)):
                a = row[index[2 * k + j]]
                others[j] = high * max(a, 0.0) + low * min(a, 0.0)
        else:
            for j in range(k):
                b = row[k + j]
                over[j], next_[j] = row[j] - b, b
            for j in range(len(others)):
                others[j] = row[2 * k + j]


@njit(nogil=True, cache=True)
def go_on(ahead, second, rest, vertices, entrants):
    """Who goes on from a round, `entrants` (n, ...), at some vertices (n,): the larger of each pair, and the rest (Rows)."""
    k = ahead.old.shape[1]
    for i in range(len(vertices)):
        over, next_, others = row_of(ahead, vertices[i]), row_of(second, vertices[i]), row_of(rest, vertices[i])
        into = entrants[i]
        for j in range(k):
            into[j] = next_[j] + max(over[j], 0.0)
        for j in range(len(others)):
            into[k + j] = others[j]


@step()
def _signs_on_face(loop, edges, plus, minus, ups, downs):
    """The signs that a face has at its corners, packed."""
    for w in range(len(ups)):
        ups[w], downs[w] = np.uint64(0), np.uint64(0)
    for half in loop:
        v = edges[half >> 1, half & 1]
        for w in range(len(ups)):
            ups[w] |= plus[v, w]
            downs[w] |= minus[v, w]


@step()
def _lead(loop, edges, z, unit):
    """The sum of a unit's values at the corners of a face."""
    total = 0.0
    for half in loop:
        v = edges[half >> 1, half & 1]
        total += z.old[v, unit] if v < len(z.old) else z.fresh[v - len(z.old), unit]
    return total


@njit(nogil=True, cache=True)
def play(before, edges_before, plus, minus, faces, edges, z, winners, after):
    """Winners after a round into `after` (F, entrants left * groups).

    before, edges_before, plus, minus: the faces before they were cut, whose signs tell most winners; faces: after it, their
    hash is the face that each is a part of; z: Rows; winners: of the faces before, or of one for all of them.
    """
    units = z.old.shape[1]
    ups, downs = np.empty(plus.shape[1], np.uint64), np.empty(plus.shape[1], np.uint64)
    leads, known = np.empty(plus.shape[1], np.uint64), np.int64(-1)
    for f in range(len(faces.offsets) - 1):
        parent = np.int64(faces.hash[f])
        if parent != known:
            loop = before.halves[before.offsets[parent] : before.offsets[parent + 1]]
            _signs_on_face(loop, edges_before, plus, minus, ups, downs)
            known = parent
        loop = faces.halves[faces.offsets[f] : faces.offsets[f + 1]]
        for w in range(len(leads)):
            leads[w] = ups[w] & ~downs[w]
            both = ups[w] & downs[w]
            while both != 0:
                bit = lowest(both)
                both &= both - ONE
                if _lead(loop, edges, z, 64 * w + bit) > 0.0:
                    leads[w] |= ONE << np.uint64(bit)
        mine, into = winners[parent if len(winners) > 1 else 0], after[f]
        for w in range(len(leads)):
            lead = leads[w]
            for u in range(64 * w, min(64 * w + 64, units)):
                into[u] = mine[u] if (lead >> np.uint64(u & 63)) & ONE != 0 else mine[units + u]
        for u in range(units, len(into)):
            into[u] = mine[units + u]


@njit(nogil=True, cache=True)
def add_pieces(winners, first, size, hashes):
    """XOR the hash of piece first + group * size + winner of every group into the hash of each face."""
    for f in range(len(winners)):
        total = np.uint64(0)
        for g in range(winners.shape[1]):
            total ^= splitmix(np.uint64(first + g * size + np.int64(winners[f, g]) + 1))
        hashes[f] ^= total
