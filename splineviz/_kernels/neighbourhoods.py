r"""Kinks on whole neighbourhoods: values at 2P vertices in opposite pairs, held as centre, odd and even part.

                 z+ = c + e + o       c: (n, U) value at each centre; o: (n P, U) odd part of every pair of vertices;
                /                     e: its even part, e = 0 on a row until a unit of it bends between the vertices
        c -----+                      and c. It is held for the rows that have one: row r is even[index[r]], or none
                \                     if index[r] < 0.
                 z- = c + e - o

An affine map sends (c, o, e) to (A c + b, A o, A e), so a pair costs one product instead of two while it is not bent.
A kink f with breakpoints b and slopes s (one more) moves z+ by the integral of its slope from c to z+, z- likewise; where
all three lie on one piece this is the slope times o and e, without rounding of a difference: 0 stays 0.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.jit import njit


@njit(nogil=True, cache=True, inline="always")
def _piece(z, breakpoints):
    """Number of breakpoints below z."""
    k = 0
    while k < len(breakpoints) and z > breakpoints[k]:
        k += 1
    return k


@njit(nogil=True, cache=True)
def scan(centre, odd, even, index, breakpoints, low, high, bent):
    """Write the smallest and largest value of every unit over a centre's vertices to low and high (n, U).

    bent (n P,): set where a row needs an even part behind the kink, because it has one or the kink gives it one.
    """
    n, units = centre.shape
    pairs = len(odd) // n
    gap, most = np.empty(units), np.empty(units, odd.dtype)
    for i in range(n):
        c, lowest, highest = centre[i], low[i], high[i]
        for u in range(units):
            most[u], gap[u] = -np.inf, np.inf  # no row: nothing is reached, not even the centre, which is no vertex
            lowest[u], highest[u] = np.inf, -np.inf
        for b in breakpoints:
            for u in range(units):
                gap[u] = min(gap[u], abs(c[u] - b))
        for row in range(i * pairs, (i + 1) * pairs):
            o = odd[row]
            if index[row] >= 0:
                e = even[index[row]]
                for u in range(units):
                    middle, reach = c[u] + e[u], abs(o[u])
                    lowest[u] = min(lowest[u], middle - reach)
                    highest[u] = max(highest[u], middle + reach)
                bent[row] = True
                continue
            crossed = 0
            for u in range(units):
                reach = abs(o[u])
                most[u] = reach if reach > most[u] else most[u]
                crossed |= reach > gap[u]
            bent[row] = crossed != 0
        for u in range(units):  # rounding keeps order: the smallest c - |o| is c minus the largest |o|
            lowest[u] = min(lowest[u], c[u] - most[u])
            highest[u] = max(highest[u], c[u] + most[u])


@njit(nogil=True, cache=True, inline="always")
def _moved(c, d, breakpoints, slopes):
    """How far the kink's value moves when its argument moves from c by d."""
    z = c + d
    first, last = _piece(c, breakpoints), _piece(z, breakpoints)
    if first == last:
        return slopes[first] * d
    total, at = 0.0, c
    while first < last:
        total += slopes[first] * (breakpoints[first] - at)
        at = breakpoints[first]
        first += 1
    while first > last:
        total += slopes[first] * (breakpoints[first - 1] - at)
        at = breakpoints[first - 1]
        first -= 1
    return total + slopes[last] * (z - at)


@njit(nogil=True, cache=True)
def bend(centre, odd, even, index, breakpoints, slopes, bent_index, bent_odd, bent_even):
    """Write the odd parts (n P, U) and the even parts of the rows of bent_index behind the kink."""
    n, units = centre.shape
    pairs = len(odd) // n
    slope, across = np.empty(units, odd.dtype), np.empty(units, np.bool_)
    none = np.zeros(units, even.dtype)
    for i in range(n):
        c = centre[i]
        for u in range(units):
            slope[u] = slopes[_piece(c[u], breakpoints)]
        for row in range(i * pairs, (i + 1) * pairs):
            o, new_o = odd[row], bent_odd[row]
            if bent_index[row] < 0:
                for u in range(units):
                    new_o[u] = slope[u] * o[u]
                continue
            e, new_e = even[index[row]] if index[row] >= 0 else none, bent_even[bent_index[row]]
            for u in range(units):
                new_o[u], new_e[u], across[u] = slope[u] * o[u], slope[u] * e[u], False
            # Few units are on more than one piece; found in loops without a branch, they cost what they are.
            for b in breakpoints:
                for u in range(units):
                    middle, reach, side = c[u] + e[u], abs(o[u]), c[u] > b
                    across[u] |= ((middle - reach > b) != side) | ((middle + reach > b) != side)
            for u in range(units):
                if across[u]:
                    up = _moved(c[u], e[u] + o[u], breakpoints, slopes)
                    down = _moved(c[u], e[u] - o[u], breakpoints, slopes)
                    new_o[u], new_e[u] = 0.5 * (up - down), 0.5 * (up + down)


@njit(nogil=True, cache=True, fastmath={"reassoc"})
def survey(odd, even, index, norms, centre, breakpoints, slopes, active, needed):
    """Which entries enter a dense map, and which units behind it anything follows from, per centre.

    odd, even, index: before the map; norms (U,): of its rows; centre (n, U), breakpoints, slopes: of the kink behind it.
    active (n, inputs): whether an entry is not zero on all of a centre's rows. needed (n, U): whether a breakpoint may lie
    between the vertices, because |row . t| <= norm |t| reaches it, or the slope at the centre is not zero, so that the parts
    live on. The others lie on the centre's side of every breakpoint, and are zero behind the kink.
    """
    n, units = centre.shape
    pairs, inputs = len(odd) // n, odd.shape[1]
    sums = np.empty(inputs, odd.dtype)  # of absolute values: zero where all are
    for i in range(n):
        sums[:] = 0
        reach = 0.0
        for row in range(i * pairs, (i + 1) * pairs):
            length = _length(odd[row], sums)
            if index[row] >= 0:
                length += _length(even[index[row]], sums)
            reach = max(reach, length)
        reach *= SLACK
        for u in range(inputs):
            active[i, u] = sums[u] != 0
        for u in range(units):
            c = centre[i, u]
            needed[i, u] = slopes[_piece(c, breakpoints)] != 0
            for b in breakpoints:
                needed[i, u] |= abs(c - b) <= reach * norms[u]


SLACK = 1.001
"""Times a bound, against rounding in its making, float32 included."""

TINY = 1e-140
"""A length that no square of a double loses."""


@njit(nogil=True, cache=True, inline="always")
def _length(t, sums):
    """Euclidean length of a row; its absolute values are added to sums."""
    total = 0.0
    for u in range(len(t)):
        total += np.float64(t[u]) * np.float64(t[u])
        sums[u] += abs(t[u])
    return np.sqrt(total) + TINY


@njit(nogil=True, cache=True, fastmath={"contract"})
def multiply(odd, even, index, weight, active, needed, new_odd, new_even):
    """Write the rows' images under a dense map, weight (U, inputs): from active entries to needed units, zero elsewhere."""
    n, inputs, pairs = len(active), odd.shape[1], len(odd) // len(active)
    table = np.empty((inputs, 2 * pairs), odd.dtype)  # one column per row: the innermost loops run along it
    sums = np.empty((2, 2 * pairs), odd.dtype)
    source = np.empty(pairs, np.int64)  # of the even parts
    for i in range(n):
        first = i * pairs
        rows = pairs
        for row in range(first, first + pairs):
            new_odd[row] = 0
            if index[row] >= 0:
                source[rows - pairs] = index[row]
                new_even[index[row]] = 0
                rows += 1
        chosen, units = np.flatnonzero(active[i]), np.flatnonzero(needed[i])
        count = len(chosen)
        for p in range(rows):
            t = odd[first + p] if p < pairs else even[source[p - pairs]]
            for k in range(count):
                table[k, p] = t[chosen[k]]
        for j in range(0, len(units), 2):
            one, two = units[j], units[min(j + 1, len(units) - 1)]
            _two_sums(table, weight[one], weight[two], chosen, rows, sums)
            for p in range(pairs):
                new_odd[first + p, one], new_odd[first + p, two] = sums[0, p], sums[1, p]
            for p in range(pairs, rows):
                new_even[source[p - pairs], one], new_even[source[p - pairs], two] = sums[0, p], sums[1, p]


@njit(nogil=True, cache=True, fastmath={"contract"}, inline="always")
def _two_sums(table, w, x, chosen, rows, sums):
    """sums[0, p] and sums[1, p] of the weights w and x at `chosen` times table[:, p]; four entries at once."""
    count = len(chosen)
    whole = count // 4 * 4
    a, b = sums[0], sums[1]
    for p in range(rows):
        a[p], b[p] = 0, 0
    for k in range(0, whole, 4):
        k0, k1, k2, k3 = chosen[k], chosen[k + 1], chosen[k + 2], chosen[k + 3]
        w0, w1, w2, w3, x0, x1, x2, x3 = w[k0], w[k1], w[k2], w[k3], x[k0], x[k1], x[k2], x[k3]
        t0, t1, t2, t3 = table[k], table[k + 1], table[k + 2], table[k + 3]
        for p in range(rows):
            a[p] += w0 * t0[p] + w1 * t1[p] + w2 * t2[p] + w3 * t3[p]
            b[p] += x0 * t0[p] + x1 * t1[p] + x2 * t2[p] + x3 * t3[p]
    for k in range(whole, count):
        w0, x0, t0 = w[chosen[k]], x[chosen[k]], table[k]
        for p in range(rows):
            a[p] += w0 * t0[p]
            b[p] += x0 * t0[p]
