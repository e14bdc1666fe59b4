r"""Knots that meet diamonds: which straight pieces come nearer to a point than r in the 1-norm.
Also how many units meet each diamond, and the grid by which pieces are looked up.

      +          |u| + |v| < r is convex, so its smallest value on a piece is at an end, or where u or v is 0.
     / \    ___
  --+-*-+---     Points are sorted by u: for each piece only those within r of its extent are looked at.
     \ /
      +

Strict: a knot that only touches a diamond from outside does not meet it.
"""

from __future__ import annotations

from splineviz._kernels.jit import njit


@njit(nogil=True, cache=True, inline="always")
def _nearest(ax, ay, bx, by):
    """Smallest |u| + |v| on the piece from (ax, ay) to (bx, by)."""
    best = min(abs(ax) + abs(ay), abs(bx) + abs(by))
    if ax * bx < 0.0:
        best = min(best, abs(ay + ax / (ax - bx) * (by - ay)))
    if ay * by < 0.0:
        best = min(best, abs(ax + ay / (ay - by) * (bx - ax)))
    return best


@njit(nogil=True, cache=True)
def meetings(vertices, edges, tags, points, low, cell, starts, radius, found):
    """Write (point, edge) of every meeting to found (K, 2), as far as it goes; returns how many there are.

    edges (E, 2) into vertices (V, 2), those with a negative tag (E,) are left out; points (n, 2), sorted by u, those from
    low + b cell on begin at starts[b].
    """
    count, last = 0, len(starts) - 1
    for e in range(len(edges)):
        if tags[e] < 0:
            continue
        ax, bx = vertices[edges[e, 0], 0], vertices[edges[e, 1], 0]
        left, right = min(ax, bx) - radius, max(ax, bx) + radius
        # One place early, so that rounding cannot skip a point.
        i = starts[max(min(int((left - low) / cell) - 1, last), 0)]
        while i < len(points) and points[i, 0] < left:
            i += 1
        if i == len(points) or points[i, 0] > right:
            continue
        ay, by = vertices[edges[e, 0], 1], vertices[edges[e, 1], 1]
        bottom, top = min(ay, by) - radius, max(ay, by) + radius
        while i < len(points) and points[i, 0] <= right:
            u, v = points[i, 0], points[i, 1]
            if bottom <= v <= top and _nearest(ax - u, ay - v, bx - u, by - v) < radius:
                if count < len(found):
                    found[count, 0], found[count, 1] = i, e
                count += 1
            i += 1
    return count


@njit(nogil=True, cache=True)
def into_cells(ends, low, cell, columns, rows, starts, inside):
    """Which cells of a grid the boxes round the pieces overlap: pieces of cell c are inside[starts[c]:starts[c + 1]].

    low (2,): lower left corner; cell: side. starts (rows columns + 1,) is filled; returns how many entries `inside` needs
    and fills it when it is that long.
    """
    starts[:] = 0
    for turn in range(2):
        for e in range(len(ends)):
            left = max(int((min(ends[e, 0, 0], ends[e, 1, 0]) - low[0]) / cell), 0)
            right = min(int((max(ends[e, 0, 0], ends[e, 1, 0]) - low[0]) / cell), columns - 1)
            lower = max(int((min(ends[e, 0, 1], ends[e, 1, 1]) - low[1]) / cell), 0)
            upper = min(int((max(ends[e, 0, 1], ends[e, 1, 1]) - low[1]) / cell), rows - 1)
            for r in range(lower, upper + 1):
                for c in range(left, right + 1):
                    at = r * columns + c
                    if turn == 0:
                        starts[at + 1] += 1
                    else:
                        inside[starts[at]] = e
                        starts[at] += 1
        if turn == 0:
            for at in range(rows * columns):
                starts[at + 1] += starts[at]
            if len(inside) < starts[-1]:
                return starts[-1]
    for at in range(rows * columns, 0, -1):  # the second turn left every start at its end
        starts[at] = starts[at - 1]
    starts[0] = 0
    return starts[-1]


@njit(nogil=True, cache=True)
def units_round(ends, units, points, radius, low, cell, columns, rows, starts, inside, last, counts):
    """How many units meet the open diamond round each point, into counts (n,); cells as `into_cells` made them.

    units (E,): of the pieces; last: (number of units,), filled with -1, room to mark the units that were met.
    """
    for i in range(len(points)):
        u, v = points[i, 0], points[i, 1]
        left, right = max(int((u - radius - low[0]) / cell), 0), min(int((u + radius - low[0]) / cell), columns - 1)
        lower, upper = max(int((v - radius - low[1]) / cell), 0), min(int((v + radius - low[1]) / cell), rows - 1)
        for r in range(lower, upper + 1):
            y = low[1] + r * cell - v
            away = max(y, -y - cell, 0.0)
            for c in range(left, right + 1):
                x = low[0] + c * cell - u
                if away + max(x, -x - cell, 0.0) >= radius:
                    continue
                at = r * columns + c
                for k in range(starts[at], starts[at + 1]):
                    e = inside[k]
                    if last[units[e]] == i:
                        continue
                    if _nearest(ends[e, 0, 0] - u, ends[e, 0, 1] - v, ends[e, 1, 0] - u, ends[e, 1, 1] - v) < radius:
                        last[units[e]] = i
                        counts[i] += 1
