r"""Tubes: what of lines and windows is within a distance d of segments (without length: a disc); its length, its area.

        .--------------.          The tube of one segment is convex (a rectangle and two half discs), so a straight
       (  A----------B  )         line meets it in one interval; the union of tubes is an union of intervals, whose
        `--------------'          length is exact. The area of the union inside a convex window follows from its
                                  outline by Green's theorem: area = 1/2 sum of the integrals of x dy - y dx over

    window sides inside a tube; tube sides and arcs inside the window and in no other tube.

All tubes have one radius d, so no two outlines meet more than twice, save that equal end points give equal discs: `arcs`
are taken once a point. Outlines that coincide along a length (segments that overlap) would be lost or counted twice;
segments must not overlap. Where two outlines only touch, or a disc touches the window from inside, rounding may open a
gap of about 1e-8 d, and the area is wrong by that times the window's size; elsewhere errors are those of rounding.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.jit import njit
from splineviz._kernels.measuring.intervals import stretch, united


@njit(nogil=True, cache=True, inline="always")
def _apart(ax, ay, bx, by, segment, d):
    """Whether the box of a-b is farther than d from the box of a segment."""
    return (
        max(ax, bx) < min(segment[0, 0], segment[1, 0]) - d
        or min(ax, bx) > max(segment[0, 0], segment[1, 0]) + d
        or max(ay, by) < min(segment[0, 1], segment[1, 1]) - d
        or min(ay, by) > max(segment[0, 1], segment[1, 1]) + d
    )


@njit(nogil=True, cache=True, inline="always")
def _far(x, y, segment, reach):
    """Whether a point is clearly farther than `reach` from a segment."""
    ax, ay = segment[0, 0], segment[0, 1]
    dx, dy = segment[1, 0] - ax, segment[1, 1] - ay
    square = dx * dx + dy * dy
    t = min(max(((x - ax) * dx + (y - ay) * dy) / square, 0.0), 1.0) if square > 0.0 else 0.0
    gap_x, gap_y = x - ax - t * dx, y - ay - t * dy
    return gap_x * gap_x + gap_y * gap_y > (1.0 + 1e-9) * reach * reach


@njit(nogil=True, cache=True)
def lengths_within(ends, segments, d, low, size, columns, rows, offsets, members):
    """(E,) length of each straight piece (E, 2, 2) within d of any of the segments, listed by grid cells."""
    inside = np.zeros(len(ends))
    seen = np.full(len(segments), -1, np.int64)
    first, last = np.empty(len(segments)), np.empty(len(segments))
    for e in range(len(ends)):
        px, py = ends[e, 0, 0], ends[e, 0, 1]
        dx, dy = ends[e, 1, 0] - px, ends[e, 1, 1] - py
        length = np.hypot(dx, dy)
        if length == 0.0:
            continue
        # A margin of a cell: what a cell lists is rounded.
        c0 = int(min(max((min(px, px + dx) - d - low[0]) / size - 1.0, 0.0), columns - 1.0))
        c1 = int(min(max((max(px, px + dx) + d - low[0]) / size + 1.0, 0.0), columns - 1.0))
        r0 = int(min(max((min(py, py + dy) - d - low[1]) / size - 1.0, 0.0), rows - 1.0))
        r1 = int(min(max((max(py, py + dy) + d - low[1]) / size + 1.0, 0.0), rows - 1.0))
        count = 0
        for c in range(c0, c1 + 1):
            for k in range(offsets[c * rows + r0], offsets[c * rows + r1 + 1]):
                m = members[k]
                if seen[m] != e:
                    seen[m] = e
                    if _apart(px, py, px + dx, py + dy, segments[m], d):
                        continue
                    s, t = stretch(px, py, dx, dy, segments[m], d)
                    if s == 0.0 and t == 1.0:  # all of it: nothing can be added
                        inside[e] = length
                        break
                    if s < t:
                        first[count], last[count] = s, t
                        count += 1
            if inside[e] == length:
                break
        if inside[e] != length:
            for i in range(united(first, last, count)):
                inside[e] += (last[i] - first[i]) * length
    return inside


@njit(nogil=True, cache=True)
def bounds(ends, low, step, distances):
    """(2, E) how near and how far the points of straight pieces (E, 2, 2) are at least and at most, by a lattice.

    distances (side, side): of the centres of its cells, row by row; low, step: its corner and the size of a cell.
    """
    found, side = np.empty((2, len(ends))), len(distances)
    for e in range(len(ends)):
        (ax, ay), (bx, by) = ends[e, 0], ends[e, 1]
        x, y = 0.5 * (ax + bx), 0.5 * (ay + by)
        c = int(min(max((x - low[0]) / step[0], 0.0), side - 1.0))
        r = int(min(max((y - low[1]) / step[1], 0.0), side - 1.0))
        gap_x, gap_y = x - (low[0] + step[0] * (c + 0.5)), y - (low[1] + step[1] * (r + 0.5))
        # A distance changes by no more than one goes; the margin is for its rounding.
        away = np.sqrt(gap_x * gap_x + gap_y * gap_y) + 0.5 * np.sqrt((bx - ax) ** 2 + (by - ay) ** 2)
        reach = (1.0 + 1e-9) * away + 1e-140  # against squares that are lost
        found[0, e], found[1, e] = distances[r, c] - reach, distances[r, c] + reach
    return found


@njit(nogil=True, cache=True)
def _clip(px, py, dx, dy, window):
    """The interval of t in [0, 1] where p + t (dx, dy) is in a convex counter-clockwise window."""
    first, last = 0.0, 1.0
    for i in range(len(window)):
        j = (i + 1) % len(window)
        ex, ey = window[j, 0] - window[i, 0], window[j, 1] - window[i, 1]
        side = ex * (py - window[i, 1]) - ey * (px - window[i, 0])
        slope = ex * dy - ey * dx
        if slope == 0.0:
            if side < 0.0:
                return 1.0, 0.0
        elif slope > 0.0:
            first = max(first, -side / slope)
        else:
            last = min(last, -side / slope)
    return first, last


@njit(nogil=True, cache=True, inline="always")
def _ends(segment, point):
    """Whether a segment begins or ends at a point."""
    return (segment[0, 0] == point[0] and segment[0, 1] == point[1]) or (
        segment[1, 0] == point[0] and segment[1, 1] == point[1]
    )


@njit(nogil=True, cache=True, inline="always")
def _near(lefts, longest, low, high, d):
    """Range of the segments, in order of their left ends, that may be within d of x in [low, high]."""
    return np.searchsorted(lefts, low - d - longest), np.searchsorted(lefts, high + d, side="right")


PIECE = 0.12
"""Most of a circle, in radians, that is asked at once whether one tube hides it."""
RECENT = 16
"""Tubes last seen to hide a whole side or arc, asked first about the next one."""


@njit(nogil=True, cache=True, inline="always")
def _holds(x, y, extent, segment, d):
    """Whether a tube holds all that is within `extent` of a point, beyond doubt."""
    reach = (1.0 - 1e-9) * d - extent
    return reach > 0.0 and not _far(x, y, segment, reach)


@njit(nogil=True, cache=True, inline="always")
def _hidden(x, y, extent, segments, d, hiders):
    """Whether one of these tubes does."""
    for k in hiders:
        if k >= 0 and _holds(x, y, extent, segments[k], d):
            return True
    return False


@njit(nogil=True, cache=True)
def _sides(segments, lefts, longest, d, window, first, last):
    """What the straight sides of the tubes give to twice the area, and how long those of the outline are."""
    total, outline, hiders, newest = 0.0, 0.0, np.full(RECENT, -1), 0
    for m in range(len(segments)):
        ax, ay, bx, by = segments[m, 0, 0], segments[m, 0, 1], segments[m, 1, 0], segments[m, 1, 1]
        length = np.hypot(bx - ax, by - ay)
        if length == 0.0:
            continue
        for turn in (1.0, -1.0):  # the right side from a to b, the left one from b to a
            dx, dy = turn * (bx - ax), turn * (by - ay)
            px, py = (ax, ay) if turn > 0 else (bx, by)
            px, py = px + d * dy / length, py - d * dx / length
            start, stop = _clip(px, py, dx, dy, window)
            if start >= stop:
                continue
            middle_x, middle_y = px + 0.5 * dx, py + 0.5 * dy
            if _hidden(middle_x, middle_y, 0.5 * length, segments, d, hiders):
                continue
            count = 0
            for k in range(*_near(lefts, longest, min(px, px + dx), max(px, px + dx), d)):
                if k != m and not _far(middle_x, middle_y, segments[k], d + 0.5 * length):
                    at_a, at_b = not _ends(segments[m], segments[k, 0]), not _ends(segments[m], segments[k, 1])
                    s, t = stretch(px, py, dx, dy, segments[k], d, at_a, at_b)
                    if s < t:
                        first[count], last[count] = s, t
                        count += 1
                        if s <= start and t >= stop:
                            hiders[newest % RECENT], newest = k, newest + 1
                            break
            count = united(first, last, count)
            open_length, at = 0.0, start
            for i in range(count):
                open_length += max(min(first[i], stop) - at, 0.0)
                at = max(at, last[i])
            open_length += max(stop - at, 0.0)
            total += open_length * (px * dy - py * dx)
            outline += open_length * length
    return total, outline


@njit(nogil=True, cache=True)
def _covered(cx, cy, segment, d, first, last, count):
    """Append the angles of the circle round c that a tube covers, as intervals in [0, 2 pi]; returns the new count."""
    ax, ay, bx, by = segment[0, 0], segment[0, 1], segment[1, 0], segment[1, 1]
    length = np.hypot(bx - ax, by - ay)
    at_a, at_b = ax == cx and ay == cy, bx == cx and by == cy
    if at_a or at_b:
        if length > 0.0:
            middle = np.arctan2(by - ay, bx - ax) if at_a else np.arctan2(ay - by, ax - bx)
            count = _arc(middle - 0.5 * np.pi, np.pi, first, last, count)
        return count
    critical, n = np.empty(10), 0
    for x, y in ((ax, ay), (bx, by)):
        gap = np.hypot(x - cx, y - cy)
        if gap < 2.0 * d:
            middle, half = np.arctan2(y - cy, x - cx), np.arccos(0.5 * gap / d)
            critical[n], critical[n + 1] = middle - half, middle + half
            n += 2
    if length > 0.0:
        ux, uy = (bx - ax) / length, (by - ay) / length
        along, across = (cx - ax) * ux + (cy - ay) * uy, (cy - ay) * ux - (cx - ax) * uy
        turn = np.arctan2(uy, ux)
        for goal in (-along, length - along):
            if abs(goal) < d:
                half = np.arccos(goal / d)
                critical[n], critical[n + 1] = turn - half, turn + half
                n += 2
        for goal in (-d - across, d - across):
            if abs(goal) < d:
                rise = np.arcsin(goal / d)
                critical[n], critical[n + 1] = turn + rise, turn + np.pi - rise
                n += 2
    if n == 0:
        return count
    angles = np.sort(critical[:n] % (2.0 * np.pi))
    for i in range(n):
        width = angles[(i + 1) % n] - angles[i] + (2.0 * np.pi if i == n - 1 else 0.0)
        middle = angles[i] + 0.5 * width
        x, y = cx + d * np.cos(middle) - ax, cy + d * np.sin(middle) - ay
        t = 0.0
        if length > 0.0:
            t = min(max((x * (bx - ax) + y * (by - ay)) / length**2, 0.0), 1.0)
        if np.hypot(x - t * (bx - ax), y - t * (by - ay)) < d:
            count = _arc(angles[i], width, first, last, count)
    return count


@njit(nogil=True, cache=True)
def _arc(start, width, first, last, count):
    """Append the angles [start, start + width] as intervals in [0, 2 pi]; returns the new count."""
    start = start % (2.0 * np.pi)
    stop = start + width
    first[count], last[count] = start, min(stop, 2.0 * np.pi)
    count += 1
    if stop > 2.0 * np.pi:
        first[count], last[count] = 0.0, stop - 2.0 * np.pi
        count += 1
    return count


@njit(nogil=True, cache=True)
def _pieces(cx, cy, d, first, last, count, pieces):
    """Write what `count` united intervals leave of a circle, in pieces of at most PIECE; returns how many.

    Of each its first and last angle, the middle (x, y) and how far from that the piece reaches.
    """
    at, found = 0.0, 0
    for i in range(count + 1):
        stop = first[i] if i < count else 2.0 * np.pi
        if stop > at:
            parts = int((stop - at) / PIECE) + 1
            for part in range(parts):
                start = at if part == 0 else pieces[found - 1, 1]
                end = stop if part == parts - 1 else at + (stop - at) * (part + 1) / parts
                angle = 0.5 * (start + end)
                pieces[found, 0], pieces[found, 1] = start, end
                pieces[found, 2], pieces[found, 3] = cx + d * np.cos(angle), cy + d * np.sin(angle)
                pieces[found, 4] = 2.0 * d * np.sin(0.25 * (end - start))
                found += 1
        if i < count:
            at = max(at, last[i])
    return found


@njit(nogil=True, cache=True)
def _arcs(centres, segments, lefts, longest, d, window, first, last):
    """What the arcs of the tubes give to twice the area, and how long those of the outline are."""
    total = outline = 0.0
    pieces, hiders, newest = np.empty((len(first), 5)), np.full(RECENT, -1), 0
    for c in range(len(centres)):
        cx, cy = centres[c, 0], centres[c, 1]
        count, outside, beyond = 0, False, 0.0
        for i in range(len(window)):
            j = (i + 1) % len(window)
            beyond = max(beyond, np.hypot(window[i, 0] - cx, window[i, 1] - cy))
            ex, ey = window[j, 0] - window[i, 0], window[j, 1] - window[i, 1]
            room = (ex * (cy - window[i, 1]) - ey * (cx - window[i, 0])) / np.hypot(ex, ey)
            if room <= -d:
                outside = True
            elif room < d:  # angles within `half` of the outward normal (ey, -ex) leave the window
                half = np.arccos(room / d)
                count = _arc(np.arctan2(-ex, ey) - half, 2.0 * half, first, last, count)
        if outside or beyond < (1.0 - 1e-9) * d:  # the window is outside the circle, or inside it
            continue
        # Of a curve's circles the next pieces of the curve leave a small arc; few of the others come near that.
        low, high = _near(lefts, longest, cx - d, cx + d, d)
        for k in range(low, high):
            if _ends(segments[k], centres[c]):
                count = _covered(cx, cy, segments[k], d, first, last, count)
        count = united(first, last, count)
        found, left = _pieces(cx, cy, d, first, last, count, pieces), 0
        for i in range(found):  # those that one tube hides count as covered
            x, y, extent = pieces[i, 2:]
            hidden = _hidden(x, y, extent, segments, d, hiders)
            for k in range(low, high):
                if hidden:
                    break
                if _holds(x, y, extent, segments[k], d) and not _ends(segments[k], centres[c]):
                    hiders[newest % RECENT], newest, hidden = k, newest + 1, True
            if hidden:
                first[count], last[count] = pieces[i, 0], pieces[i, 1]
                count += 1
            else:
                pieces[left] = pieces[i]
                left += 1
        if left == 0:
            continue
        for k in range(low, high):
            for i in range(left):
                if not _far(pieces[i, 2], pieces[i, 3], segments[k], d + pieces[i, 4]):
                    if not _ends(segments[k], centres[c]):
                        count = _covered(cx, cy, segments[k], d, first, last, count)
                    break
        count = united(first, last, count)
        at = 0.0
        for i in range(count + 1):
            stop = first[i] if i < count else 2.0 * np.pi
            if stop > at:
                outline += d * (stop - at)
                total += d * d * (stop - at)
                total += d * (cx * (np.sin(stop) - np.sin(at)) - cy * (np.cos(stop) - np.cos(at)))
            if i < count:
                at = max(at, last[i])
    return total, outline


@njit(nogil=True, cache=True)
def area_within(segments, centres, d, window):
    """Area of the part of a window (m, 2) within d of the segments, and how fast it grows with d: the length of its outline.

    centres: the distinct end points of the segments.
    """
    # At most 10 intervals an outline, and one that passes 0; before those, the pieces of a circle.
    room = 12 * len(segments) + 4 * len(window) + 12 + int(4.0 * np.pi / PIECE)
    first, last = np.empty(room), np.empty(room)
    lefts = np.minimum(segments[:, 0, 0], segments[:, 1, 0])
    order = np.argsort(lefts)
    segments, lefts = segments[order], lefts[order]
    longest = np.abs(segments[:, 1, 0] - segments[:, 0, 0]).max() if len(segments) else 0.0
    longest += 1e-9 * (longest + d)  # no segment may be left out for rounding
    args = segments, lefts, longest, d, window, first, last
    total, sides = _sides(*args)
    rest, arcs = _arcs(centres, *args)
    total += rest
    for i in range(len(window)):
        j = (i + 1) % len(window)
        px, py, count = window[i, 0], window[i, 1], 0
        dx, dy = window[j, 0] - px, window[j, 1] - py
        for k in range(len(segments)):
            s, t = stretch(px, py, dx, dy, segments[k], d)
            if s < t:
                first[count], last[count] = s, t
                count += 1
        for k in range(united(first, last, count)):
            total += (last[k] - first[k]) * (px * dy - py * dx)
    return 0.5 * total, sides + arcs
