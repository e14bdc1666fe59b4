r"""Surroundings: the cell of an affine arrangement that a point lies in, cut from a window by one line after another.
Also the measures of such cells: area, perimeter, turns at corners, how far they reach.

     +-----------+      ring   (C, 2) corners, counter-clockwise, relative to the point x
     |  \   |    |      knot   (C,) whether the side from a corner to the next lies on a knot, not on the window
     |   \  | x  |      size   number of corners
     |    \ |    |
     +-----------+      A unit is the affine function z + g . d of the offset d; the cell is on the side of its own z.

Lines that do not come as near as the farthest corner are passed by at the cost of a comparison.
A line through the point itself (z is 0) cuts nothing: it tells no side.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.jit import njit, step

SAME = 1e-11
"""Two entries whose slopes differ by less, relative to their sizes, are the same entry, and no knot parts them."""


@step()
def _reach(ring, size):
    """Squared distance of the farthest corner."""
    far = 0.0
    for i in range(size):
        far = max(far, ring[i, 0] * ring[i, 0] + ring[i, 1] * ring[i, 1])
    return far


@step()
def _cut(ring, knot, size, spare, spare_knot, z, gx, gy):
    """The part of a ring where z + g . d has the sign of z; the new size. A ring without room for another corner is left."""
    if z < 0.0:
        z, gx, gy = -z, -gx, -gy
    lowest = np.inf
    for i in range(size):
        lowest = min(lowest, z + gx * ring[i, 0] + gy * ring[i, 1])
    if lowest >= 0.0 or size == len(ring):
        return size
    count = 0
    for i in range(size):
        j = i + 1 if i + 1 < size else 0
        here = z + gx * ring[i, 0] + gy * ring[i, 1]
        there = z + gx * ring[j, 0] + gy * ring[j, 1]
        if here > 0.0:
            spare[count], spare_knot[count] = ring[i], knot[i]
            count += 1
        if (here > 0.0) != (there > 0.0):
            t = here / (here - there)
            spare[count, 0] = ring[i, 0] + t * (ring[j, 0] - ring[i, 0])
            spare[count, 1] = ring[i, 1] + t * (ring[j, 1] - ring[i, 1])
            spare_knot[count] = True if here > 0.0 else knot[i]
            count += 1
    for i in range(count):
        ring[i], knot[i] = spare[i], spare_knot[i]
    return count


@njit(nogil=True, cache=True)
def cut_by_units(rings, knots, sizes, z, slopes):
    """Cut the cells of points (n,) by units: z (n, units), slopes (2, n, units)."""
    spare, spare_knot = np.empty_like(rings[0]), np.empty_like(knots[0])
    for p in range(len(z)):
        size = sizes[p]
        far = _reach(rings[p], size)
        for u in range(z.shape[1]):
            value, gx, gy = z[p, u], slopes[0, p, u], slopes[1, p, u]
            if value == 0.0 or value * value >= far * (gx * gx + gy * gy):
                continue
            size = _cut(rings[p], knots[p], size, spare, spare_knot, value, gx, gy)
            far = _reach(rings[p], size)
        sizes[p] = size


@njit(nogil=True, cache=True)
def cut_by_maxima(rings, knots, sizes, z, slopes, groups, winners):
    """Cut the cells by the maxima of groups (units, K; -1: none) of entries z (n, entries); writes winners (n, units)."""
    spare, spare_knot = np.empty_like(rings[0]), np.empty_like(knots[0])
    for p in range(len(z)):
        size = sizes[p]
        far = _reach(rings[p], size)
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
                size = _cut(rings[p], knots[p], size, spare, spare_knot, value, gx, gy)
                far = _reach(rings[p], size)
        sizes[p] = size


@njit(nogil=True, cache=True)
def measures(rings, knots, sizes, directions, found):
    """Of every cell (n,), in found (n, 4): area; perimeter; what its corners between two knots turn, in full turns; and how
    far it reaches from its point in a direction (n, 2).
    """
    for p in range(len(rings)):
        area, around, turn, reach = 0.0, 0.0, 0.0, np.inf
        size, dx, dy = sizes[p], directions[p, 0], directions[p, 1]
        for i in range(size):
            j, k = (i + 1) % size, (i + 2) % size
            x, y = rings[p, i]
            ex, ey = rings[p, j, 0] - x, rings[p, j, 1] - y
            area += 0.5 * (x * ey - y * ex)
            around += np.hypot(ex, ey)
            if knots[p, i] and knots[p, j]:
                fx, fy = rings[p, k, 0] - rings[p, j, 0], rings[p, k, 1] - rings[p, j, 1]
                turn += np.arctan2(ex * fy - ey * fx, ex * fx + ey * fy) / (2.0 * np.pi)
            outward = dx * ey - dy * ex
            if outward > 0.0:
                reach = min(reach, max(0.0, (x * ey - y * ex) / outward))
        found[p, 0], found[p, 1], found[p, 2], found[p, 3] = area, around, turn, reach
