r"""Which units change sign near a point, at several radii at once, in single precision as far as that can tell.

The value of a unit at a vertex, x + r v or x - r v, is held as a part that all radii share and one that few vertices have:

        z = c  +-  r o  +  d        c: value at the centre, double; o: linear part for r = 1, with the slopes at the centre
                                    d: what kinks between the centre and the vertex add; zero on most vertices

    o   rows of units that matter, a column for each pair of vertices             W maps (o, d) to (W o, W d),
    d   for each radius, a column for each vertex that some kink lies before      a kink scales o and settles the rest in d

Beside them goes a bound of the error: of what d and r o are off at any vertex, as a length over all units of a layer. A sum
of k products that is made by eights is off by less than (k / 8 + MORE) UNIT |w| |t|; a map makes a length grow by its norm
at most, a kink by its largest slope. A unit is settled when its smallest and its largest value are farther from all
breakpoints than its error; a point when all units are, at all radii. Others are left to `neighbourhoods`, in double
precision. So what is settled is settled as there; numbers that overflow, or are none, settle nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from splineviz._kernels.jit import lean, njit, step
from splineviz._kernels.measuring.neighbourhoods import SLACK, _moved, _padded, _piece, _product, _squares

UNIT = 2.0**-24
"""Rounding of a single number, as a share of it."""

MORE = 32
"""Roundings of a sum of products beside one in eight: within the eight, of the weight, of the entries, with room."""

MOST = 1e37
"""Where no product reaches this, none overflows."""

LOST = 1e-40
"""A length that no rounding below the smallest single number exceeds."""


class Net(NamedTuple):
    """A chain of layers: as `neighbourhoods.follow` takes it, weights float32, and growth (layers, 2): of the map before a
    layer, bounds of its norm and of its Frobenius norm.
    """

    ends: Any
    weights: Any
    norms: Any
    growth: Any
    breakpoints: Any
    bounds: Any
    slopes: Any


class Tables(NamedTuple):
    """What is held of one point. Of all radii: line, the linear parts of wanted units before a kink, straight behind it, of
    straight_units. Of each radius: extra, what kinks have added before a kink, bent behind it, of bends[r] bent_units, for
    vertices[r] vertices: who says which, place where. near: units that a vertex may take to a breakpoint. error, off, reach:
    bounds of the error of what enters a layer, of the rounding of a unit of length one, and of what is entered itself.
    """

    line: Any
    straight: Any
    extra: Any
    bent: Any
    wanted: Any
    straight_units: Any
    bent_units: Any
    near: Any
    who: Any
    place: Any
    bends: Any
    vertices: Any
    error: Any
    off: Any
    reach: Any
    gap: Any
    sums: Any
    shift: Any
    across: Any


@njit(nogil=True, cache=True)
def settle(
    centre, odd, most, rows, radii, ends, weights, norms, growth, breakpoints, bounds, slopes, counts, lowest, highest,
    settled,
):  # fmt: skip
    """Count the units of n points that change sign; returns the products made.

    centre (n, units) float64; odd (units of the first layer, m) float32: linear parts there of m directions for r = 1; most:
    the largest magnitude in each row; rows (n, P): a point's directions; ends ... slopes: a `Net`.
    Written: counts (radii, layers, n); lowest, highest (radii, units): what values of settled units lie between, so far, up
    to errors that no breakpoint is within; settled (n,): where the counts hold.
    """
    net = Net(ends, weights, norms, growth, breakpoints, bounds, slopes)
    tables = _tables((ends[1:] - ends[:-1]).max(), rows.shape[1], len(radii), odd.dtype)
    length, products = np.sqrt(len(most)) * _largest(most), 0
    for i in range(len(rows)):
        made = _settled(net, tables, centre[i], odd, most, length, rows[i], radii, counts[:, :, i], lowest, highest)
        settled[i] = made >= 0
        products += max(made, 0)
    return products


@step()
def _tables(widest, pairs, radii, dtype):
    """Tables for so many units, pairs and radii; products want one row to spare."""
    shape, larger, numbers = (widest + 1, _padded(pairs)), (radii, widest + 1, _padded(2 * pairs)), (radii, widest)
    return Tables(
        np.zeros(shape, dtype), np.zeros(shape, dtype), np.zeros(larger, dtype), np.zeros(larger, dtype),
        np.empty(widest, np.int64), np.empty(widest, np.int64), np.empty(numbers, np.int64), np.zeros(numbers, np.bool_),
        np.empty((radii, 2 * pairs), np.int64), np.empty((radii, 2 * pairs), np.int64),
        np.zeros(radii, np.int64), np.zeros(radii, np.int64), np.empty(radii), np.empty(radii), np.empty(radii),
        np.empty(widest), np.empty(shape[1] + larger[2]), np.empty(2 * pairs), np.empty(widest, np.bool_),
    )  # fmt: skip


@lean()
def _settled(net, t, centre, odd, most, length, rows, radii, counts, lowest, highest):
    """Count the units of one point; returns the products made, less than 0 where a unit is too near to tell.

    length: of `most`. counts (radii, layers).
    """
    layers, lines, at, products = len(net.ends) - 1, 0, 0, 0
    _begun(t, radii)
    for layer in range(layers):
        first, stop, last = net.ends[layer], net.ends[layer + 1], layer + 1 == layers
        c, b = centre[first:stop], net.breakpoints[net.bounds[layer] : net.bounds[layer + 1]]
        s = net.slopes[net.bounds[layer] + layer : net.bounds[layer + 1] + layer + 1]
        lengths = most if layer == 0 else net.norms[first:stop]
        if layer > 0 and not _bounds(t, lines, radii) * net.growth[layer, 1] < MOST:
            return -1
        _gaps(c, b, t.gap)
        for r in range(len(radii)):
            far = (t.reach[r] + t.error[r] + t.off[r]) * SLACK
            _away(c, t.gap, far, lengths, t.near[r], lowest[r, first:stop], highest[r, first:stop])
        count = _wanted(c, b, s, last, t.near, t.across, t.wanted)
        if layer == 0:
            _entered(odd, rows, t.wanted, count, t.line)
        else:
            inputs = first - net.ends[layer - 1]
            w = net.weights[at : at + (stop - first) * inputs].reshape(stop - first, inputs)
            at += (stop - first) * inputs
            products += _mapped(t, lines, w, count)
        for r in range(len(radii)):
            counts[r, layer] = _counted(t, r, c, b, radii[r], count, lengths, lowest[r, first:stop], highest[r, first:stop])
            if counts[r, layer] < 0:
                return -1
        if not last:
            for r in range(len(radii)):
                _bent(t, r, c, b, s, radii[r], count)
                entered, rounded = (length, length) if layer == 0 else (net.growth[layer, 0], net.growth[layer, 1])
                t.error[r] = _largest(s) * (entered * t.error[r] + rounded * t.off[r]) + LOST * (1 + radii[r])
            lines = _straight(t, c, b, s, count)
    return products


@lean()
def _begun(t, radii):
    """No vertex beside the linear parts, and what enters the first layer: directions of unit length, in single precision."""
    for r in range(len(radii)):
        t.bends[r] = t.vertices[r] = 0
        t.reach[r], t.error[r], t.off[r] = radii[r], LOST * radii[r], 4 * UNIT * radii[r]
        for v in range(len(t.shift)):
            t.place[r, v] = -1


@lean()
def _mapped(t, lines, weight, count):
    """Write the wanted units' parts from those that enter a map; returns the products made."""
    _product(t.straight, t.straight_units, lines, weight, t.wanted, count, t.line.shape[1], t.line)
    products = lines * count
    for r in range(len(t.vertices)):
        if t.vertices[r] > 0:
            columns = _padded(t.vertices[r])
            _product(t.bent[r], t.bent_units[r], t.bends[r], weight, t.wanted, count, columns, t.extra[r])
            products += t.bends[r] * count
    return products


@lean()
def _bounds(t, lines, radii):
    """Write `reach` and `off`; returns the length of the longest part of all. Without parts nothing is off."""
    columns = t.line.shape[1]
    _squares(t.straight, lines, t.sums[:columns])
    straight = longest = np.sqrt(_largest(t.sums[:columns]))
    for r in range(len(radii)):
        reach, terms = radii[r] * straight, max(lines, t.bends[r])
        if t.bends[r] > 0:
            own = t.sums[columns : columns + _padded(t.vertices[r])]
            _squares(t.bent[r], t.bends[r], own)
            aside = np.sqrt(_largest(own))
            reach, longest = reach + aside, max(longest, aside)
        t.reach[r] = reach * SLACK
        t.off[r] = (terms / 8 + MORE) * UNIT * t.reach[r]
        if terms == 0:
            t.error[r] = 0.0
    return longest


@lean()
def _largest(values):
    """The largest magnitude; not a number where one is none."""
    most = 0.0
    for v in values:
        most = most if abs(v) <= most else abs(v)
        if np.isnan(v):
            return np.nan
    return most


@lean()
def _gaps(c, breakpoints, gap):
    """Write the distance of each value from the nearest breakpoint."""
    for u in range(len(c)):
        gap[u] = np.inf
    for b in breakpoints:
        for u in range(len(c)):
            away = abs(c[u] - b)
            gap[u] = gap[u] if gap[u] < away else away  # what is no number stays none


@lean()
def _away(c, gap, far, lengths, near, lowest, highest):
    """Mark units that a vertex may take to a breakpoint; the others' values take part in the extremes as they are.

    Loops without a branch, over few arrays each: the processor's vectors take them.
    """
    still = far == 0
    for u in range(len(c)):
        near[u] = not ((gap[u] > far * lengths[u]) | (lengths[u] == 0) | still)
    for u in range(len(c)):
        low = np.inf if near[u] else c[u]
        lowest[u] = low if low < lowest[u] else lowest[u]
    for u in range(len(c)):
        high = -np.inf if near[u] else c[u]
        highest[u] = high if high > highest[u] else highest[u]


@lean()
def _wanted(c, breakpoints, slopes, last, near, needed, wanted):
    """List the units that need parts: those near a breakpoint, and those that something follows from; returns how many.

    needed: room for as many as there are units.
    """
    count, follows = 0, slopes[0] != 0 and not last
    for u in range(len(c)):
        needed[u] = follows
    for k in range(len(breakpoints)):
        b, follows = breakpoints[k], slopes[k + 1] != 0 and not last
        for u in range(len(c)):
            needed[u] = follows if c[u] > b else needed[u]
    for r in range(len(near)):
        for u in range(len(c)):
            needed[u] |= near[r, u]
    for u in range(len(c)):
        wanted[count] = u
        count += needed[u]
    return count


@lean()
def _entered(odd, rows, wanted, count, line):
    """Fill the table with a centre's linear parts."""
    for j in range(count):
        u = wanted[j]
        for p in range(len(rows)):
            line[j, p] = odd[u, rows[p]]


@lean()
def _counted(t, r, c, breakpoints, radius, count, lengths, lowest, highest):
    """The number of units with a breakpoint between their vertices; less than 0 where one is too near to tell."""
    found = 0
    for j in range(count):
        u = t.wanted[j]
        if not t.near[r, u]:
            continue
        _shifts(t, r, j, radius, t.vertices[r])
        low, high = c[u] + _least(t.shift), c[u] + _most(t.shift)
        margin, between = lengths[u] * (t.error[r] + t.off[r]), False
        for b in breakpoints:
            if not (abs(low - b) > margin and abs(high - b) > margin and abs(c[u]) < np.inf):
                return -1
            between |= (low < b) & (b < high)
        found += between
        lowest[u], highest[u] = min(low, lowest[u]), max(high, highest[u])
    return found


@lean()
def _shifts(t, r, j, radius, vertices):
    """Write how far each vertex takes unit j from its value at the centre: x + r v first, x - r v behind."""
    pairs = len(t.shift) // 2
    for p in range(pairs):
        straight = radius * np.float64(t.line[j, p])
        t.shift[p], t.shift[pairs + p] = straight, -straight
    for q in range(vertices):
        t.shift[t.who[r, q]] += np.float64(t.extra[r, j, q])


@lean(fastmath={"nnan", "nsz"})
def _least(values):
    """The smallest of finite numbers."""
    least = values[0]
    for v in range(len(values)):
        least = values[v] if values[v] < least else least
    return least


@lean(fastmath={"nnan", "nsz"})
def _most(values):
    """The largest of finite numbers."""
    most = values[0]
    for v in range(len(values)):
        most = values[v] if values[v] > most else most
    return most


@lean()
def _bent(t, r, c, breakpoints, slopes, radius, count):
    """Write what kinks have added to the vertices of a radius, which vertices those are, and for which units."""
    bends, before, pairs = 0, t.vertices[r], len(t.shift) // 2
    _reached(t, r, c, breakpoints, radius, count)
    vertices = t.vertices[r]
    columns, zero = _padded(vertices), t.bent.dtype.type(0)
    for j in range(count if vertices > 0 else 0):
        u = t.wanted[j]
        piece = _piece(c[u], breakpoints)
        slope = slopes[piece]
        if not t.across[j] and (slope == 0 or before == 0):
            continue
        factor = t.bent.dtype.type(slope)
        for q in range(before):
            t.bent[r, bends, q] = factor * t.extra[r, j, q]
        for q in range(before, columns):
            t.bent[r, bends, q] = zero
        if t.across[j]:
            _shifts(t, r, j, radius, before)
            for q in range(vertices):
                v = t.who[r, q]
                if _piece(c[u] + t.shift[v], breakpoints) != piece:
                    straight = slope * radius * np.float64(t.line[j, v % pairs])
                    moved = _moved(c[u], t.shift[v], breakpoints, slopes)
                    t.bent[r, bends, q] = moved - straight if v < pairs else moved + straight
        t.bent_units[r, bends] = u
        bends += 1
    t.bends[r] = bends


@lean()
def _reached(t, r, c, breakpoints, radius, count):
    """Mark wanted units that a vertex takes to another piece, and list these vertices behind those that are known."""
    before = t.vertices[r]
    for j in range(count):
        u = t.wanted[j]
        t.across[j] = False
        if not t.near[r, u]:
            continue
        _shifts(t, r, j, radius, before)
        piece = _piece(c[u], breakpoints)
        low, high = _piece(c[u] + _least(t.shift), breakpoints), _piece(c[u] + _most(t.shift), breakpoints)
        if low == piece and high == piece:
            continue
        t.across[j] = True
        for v in range(len(t.shift)):
            if t.place[r, v] < 0 and _piece(c[u] + t.shift[v], breakpoints) != piece:
                t.place[r, v], t.who[r, t.vertices[r]] = t.vertices[r], v
                t.vertices[r] += 1


@lean()
def _straight(t, c, breakpoints, slopes, count):
    """Write the linear parts behind the kink; returns how many units have any."""
    lines = 0
    for j in range(count):
        u = t.wanted[j]
        slope = slopes[_piece(c[u], breakpoints)]
        if slope != 0:
            factor = t.line.dtype.type(slope)
            for p in range(t.line.shape[1]):
                t.straight[lines, p] = factor * t.line[j, p]
            t.straight_units[lines] = u
            lines += 1
    return lines
