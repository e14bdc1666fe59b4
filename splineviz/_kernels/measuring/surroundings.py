r"""Surroundings: the cell of an affine arrangement that a point lies in, cut from a window by one line after another.
Also what is measured of such cells: the length of their knots, their share of the vertices, how far they reach.

     +-----------+      ring   (C, 2) corners, counter-clockwise, relative to the point x
     |  \   |    |      mark   (C,) of the side from a corner to the next: whether it lies on a KNOT, not on the window, and
     |   \  | x  |             parts entries of a MAXIMUM; of the corner: whether a third line passes through it, a STAR
     |    \ |    |      size   number of corners
     +-----------+      A unit is the affine function z + g . d of the offset d; the cell is on the side of its own z.

Lines that do not come as near as the farthest corner are passed by at the cost of a comparison.
A line through the point itself (z is 0) cuts nothing: it tells no side.

Shares. A vertex of degree d adds d / 2 - 1 to the number of regions, and so do the turns at the corners round it, in full
turns. Where two lines cross the corners a, pi - a, a, pi - a may share the 1 in other ways: here an angle a has
1/4 + LEAN (a / 2 pi - 1/4), which gives triangles 1/4 and quadrangles 1. Tiny cells are met seldom and mostly triangles: so
what they add weighs less, and an estimate from few cells has half the error. At stars, and between entries of maxima, of
whose vertices some have three sides, corners count by their turns.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.jit import njit, step

KNOT, MAXIMUM, STAR = 1, 2, 4
LEAN = 2.0
SAME = 1e-11
"""Two entries whose slopes differ by less, relative to their sizes, are the same entry, and no knot parts them."""


@step()
def _reach(ring, size, near):
    """Squared distance of the farthest corner, and a bit more."""
    far = 0.0
    for i in range(size):
        far = max(far, ring[i, 0] * ring[i, 0] + ring[i, 1] * ring[i, 1])
    return (np.sqrt(far) + near) ** 2


@step()
def _touch(ring, mark, size, z, gx, gy, near):
    """Mark the corner that a line only touches; one that touches two runs along a side."""
    first = -1
    for i in range(size):
        if z + gx * ring[i, 0] + gy * ring[i, 1] <= near:
            if first < 0:
                first = i
            elif abs(ring[i, 0] - ring[first, 0]) + abs(ring[i, 1] - ring[first, 1]) > near:
                return
    for i in range(size):
        if z + gx * ring[i, 0] + gy * ring[i, 1] <= near:
            mark[i] |= STAR


@step()
def _cut(ring, mark, size, spare, spare_mark, z, gx, gy, side, near):
    """The part of a ring where z + g . d has the sign of z; the new size. A ring without room for another corner is left.

    side: marks of a side on the line; near: lines so close to a corner pass through it.
    """
    steep = np.hypot(gx, gy) * (1.0 if z > 0.0 else -1.0)
    z, gx, gy = z / steep, gx / steep, gy / steep
    lowest = np.inf
    for i in range(size):
        lowest = min(lowest, z + gx * ring[i, 0] + gy * ring[i, 1])
    if lowest >= 0.0 or size == len(ring):
        if lowest <= near:
            _touch(ring, mark, size, z, gx, gy, near)
        return size
    count = 0
    for i in range(size):
        j = i + 1 if i + 1 < size else 0
        here = z + gx * ring[i, 0] + gy * ring[i, 1]
        there = z + gx * ring[j, 0] + gy * ring[j, 1]
        if here > 0.0:
            spare[count], spare_mark[count] = ring[i], mark[i] | (STAR if here <= near else 0)
            count += 1
        if (here > 0.0) != (there > 0.0):
            t = here / (here - there)
            spare[count, 0] = ring[i, 0] + t * (ring[j, 0] - ring[i, 0])
            spare[count, 1] = ring[i, 1] + t * (ring[j, 1] - ring[i, 1])
            spare_mark[count] = side if here > 0.0 else mark[i] & (KNOT | MAXIMUM)
            if min(abs(here), abs(there)) <= near:
                spare_mark[count] |= STAR
            count += 1
    for i in range(count):
        ring[i], mark[i] = spare[i], spare_mark[i]
    return count


@njit(nogil=True, cache=True)
def cut_by_units(rings, marks, sizes, z, slopes, near):
    """Cut the cells of points (n,) by units: z (n, units), slopes (2, n, units)."""
    spare, spare_mark = np.empty_like(rings[0]), np.empty_like(marks[0])
    for p in range(len(z)):
        size = sizes[p]
        far = _reach(rings[p], size, near)
        for u in range(z.shape[1]):
            value, gx, gy = z[p, u], slopes[0, p, u], slopes[1, p, u]
            if value == 0.0 or value * value >= far * (gx * gx + gy * gy):
                continue
            size = _cut(rings[p], marks[p], size, spare, spare_mark, value, gx, gy, KNOT, near)
            far = _reach(rings[p], size, near)
        sizes[p] = size


@njit(nogil=True, cache=True)
def cut_by_maxima(rings, marks, sizes, z, slopes, groups, winners, near):
    """Cut the cells by the maxima of groups (units, K; -1: none) of entries z (n, entries); writes winners (n, units)."""
    spare, spare_mark = np.empty_like(rings[0]), np.empty_like(marks[0])
    for p in range(len(z)):
        size = sizes[p]
        far = _reach(rings[p], size, near)
        for u in range(len(groups)):
            best = groups[u, 0]
            for k in range(1, groups.shape[1]):
                if groups[u, k] >= 0 and z[p, groups[u, k]] > z[p, best]:
                    best = groups[u, k]
            winners[p, u] = best
            ax, ay = slopes[0, p, best], slopes[1, p, best]
            for k in range(groups.shape[1]):
                other = groups[u, k]
                if other < 0 or other == best:
                    continue
                bx, by = slopes[0, p, other], slopes[1, p, other]
                value, gx, gy = z[p, best] - z[p, other], ax - bx, ay - by
                steep = gx * gx + gy * gy
                if value == 0.0 or value * value >= far * steep:
                    continue
                if steep <= SAME * SAME * (ax * ax + ay * ay + bx * bx + by * by):
                    continue
                size = _cut(rings[p], marks[p], size, spare, spare_mark, value, gx, gy, KNOT | MAXIMUM, near)
                far = _reach(rings[p], size, near)
        sizes[p] = size


@step()
def _merged(ring, mark, size, near):
    """The ring with corners that are close to one another as one, in its place; the new size."""
    count = 0
    for i in range(size):
        if count and abs(ring[i, 0] - ring[count - 1, 0]) + abs(ring[i, 1] - ring[count - 1, 1]) <= near:
            mark[count - 1] = STAR | mark[i]
        else:
            ring[count], mark[count] = ring[i], mark[i]
            count += 1
    while count > 1 and abs(ring[count - 1, 0] - ring[0, 0]) + abs(ring[count - 1, 1] - ring[0, 1]) <= near:
        mark[0] |= STAR
        count -= 1
    return count


@njit(nogil=True, cache=True)
def measures(rings, marks, sizes, directions, found, near):
    """Of every cell (n,), in found (n, 3): the length of its sides on knots; its share of the vertices; and how far it
    reaches from its point in a direction (n, 2).
    """
    for p in range(len(rings)):
        length, share, reach = 0.0, 0.0, np.inf
        dx, dy = directions[p, 0], directions[p, 1]
        size = _merged(rings[p], marks[p], sizes[p], near)
        for i in range(size):
            j, k = (i + 1) % size, (i + 2) % size
            x, y = rings[p, i]
            ex, ey = rings[p, j, 0] - x, rings[p, j, 1] - y
            fx, fy = rings[p, k, 0] - rings[p, j, 0], rings[p, k, 1] - rings[p, j, 1]
            both = marks[p, i] & marks[p, j]
            if marks[p, i] & KNOT:
                length += np.hypot(ex, ey)
            if both & KNOT:
                turn = np.arctan2(ex * fy - ey * fx, ex * fx + ey * fy) / (2.0 * np.pi)
                plain = not both & MAXIMUM and not marks[p, j] & STAR
                share += 0.25 + LEAN * (0.25 - turn) if plain else turn
            outward = dx * ey - dy * ex
            if outward > 0.0:
                reach = min(reach, max(0.0, (x * ey - y * ex) / outward))
        found[p, 0], found[p, 1], found[p, 2] = length, share, reach
