r"""Kinks on whole neighbourhoods: values at 2P vertices in opposite pairs, held as centre, odd and even part.
Also the smallest and largest value of every unit there.

                 z+ = c + e + o       c: (n, U) value at each centre; o: (n P, U) odd part of every pair of vertices;
                /                     e: its even part, e = 0 on a row until a unit of it bends between the vertices
        c -----+                      and c. It is held for the rows that have one: row r is even[index[r]], or none
                \                     if index[r] < 0.
                 z- = c + e - o

An affine map sends (c, o, e) to (A c + b, A o, A e), so a pair costs one product instead of two while it is not bent.
A kink f with breakpoints b and slopes s (one more) moves z+ by the integral of its slope from c to z+, z- likewise; where
all three lie on one piece this is the slope times o and e, without rounding of a difference: 0 stays 0.

    follow     the last layers of a network, when dense maps lie between them, centre after centre: what belongs to one
               fits into a processor's nearest memory, and only entries that are not zero go into units that matter

               pairs ->
        unit  7 | o o o o ... 0 |     Its tables hold a row for each unit that is wanted and a column for each pair, with
        unit 12 | o o o o ... 0 |     columns of zeros up to a whole number of the processor's vectors; those of even
        ...                           parts have columns for the pairs that have one, in the order in which they bent.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.jit import lean, njit, step


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


SLACK = 1.001
"""Times a bound, against rounding in its making, float32 included."""

TINY = 1e-140
"""A length that no square of a double loses."""


@njit(nogil=True, cache=True)
def follow(centre, odd, rows, radius, even, index, ends, weights, norms, breakpoints, bounds, slopes, low, high):
    """Write the extremes (n, units) of all layers of a chain, side by side, as `scan` does; returns the products made.

    centre (n, units): values at the centres before each layer's kink, side by side; ends (layers + 1,): where they begin.
    radius * odd[rows] (n, P) and even[index], index (n P,): the parts before the first of these kinks. weights: the maps
    between layers, (units, inputs) each, one after the other; norms (units,): of their rows. breakpoints: of all layers,
    bounds (layers + 1,) where a layer's begin; slopes, one more each: zero for the last layer, behind which nothing follows.

    A unit needs no parts when no breakpoint can lie between its vertices, because |w . t| <= |w| |t| does not reach one, and
    its slope at the centre is zero, so that its parts end there. Both extremes are then its value at the centre.
    """
    n, pairs = rows.shape
    layers, widest = len(ends) - 1, (ends[1:] - ends[:-1]).max()
    shape = (widest + 1, _padded(pairs))  # one row to spare for `_product`
    o, e = np.zeros(shape, odd.dtype), np.zeros(shape, odd.dtype)
    bent_o, bent_e = np.zeros(shape, odd.dtype), np.zeros(shape, odd.dtype)
    wanted, odd_units, even_units = np.empty(widest, np.int64), np.empty(widest, np.int64), np.empty(widest, np.int64)
    place, sums = np.empty(pairs, np.int64), np.empty((2, shape[1]))
    most = np.empty(odd.shape[1])
    _reached(odd, radius, even, most)
    products = 0
    for i in range(n):
        odds, bends, evens, at = 0, 0, 0, 0
        for layer in range(layers):
            first, stop = ends[layer], ends[layer + 1]
            c, lowest, highest = centre[i, first:stop], low[i, first:stop], high[i, first:stop]
            b = breakpoints[bounds[layer] : bounds[layer + 1]]
            s = slopes[bounds[layer] + layer : bounds[layer + 1] + layer + 1]
            if layer == 0:
                count = _wanted(c, b, s, SLACK, most, wanted)
                own = index[i * pairs : (i + 1) * pairs]
                evens = _entered(odd, rows[i], radius, even, own, wanted, count, o, e, place)
            else:
                inputs = first - ends[layer - 1]
                w = weights[at : at + (stop - first) * inputs].reshape(stop - first, inputs)
                at += (stop - first) * inputs
                reach = _longest(bent_o, odds, bent_e, bends, evens, place, sums)
                count = _wanted(c, b, s, reach, norms[first:stop], wanted)
                _product(bent_o, odd_units, odds, w, wanted, count, shape[1], o)
                _product(bent_e, even_units, bends, w, wanted, count, _padded(evens), e)
                products += (odds + bends) * count
            _spanned(c, o, e, evens, place, wanted, count, lowest, highest)
            if layer + 1 < layers:
                odds, bends, evens = _bent(
                    c, o, e, evens, b, s, wanted, count, lowest, highest, place, bent_o, odd_units, bent_e, even_units
                )
    return products


@lean()
def _padded(count):
    """Columns of a table for so many pairs."""
    unit = 4 if count <= 4 else 8 if count <= 8 else 16
    return (count + unit - 1) // unit * unit


@step()
def _reached(odd, radius, even, most):
    """Write to `most` how far any of these parts moves each unit from the value at a centre, at most."""
    odds, evens = np.zeros(len(most), odd.dtype), np.zeros(len(most), odd.dtype)
    _raised(odd, odds)
    _raised(even, evens)
    for u in range(len(most)):
        most[u] = radius * odds[u] + evens[u]


@lean(fastmath={"nnan", "nsz"})
def _raised(rows, most):
    """Raise `most` to the largest |t| of each column."""
    for t in rows:
        for u in range(len(most)):
            reach = abs(t[u])
            most[u] = reach if reach > most[u] else most[u]


@lean()
def _entered(odd, rows, radius, even, index, wanted, count, o, e, place):
    """Fill the tables with a centre's parts; returns the number of even columns."""
    evens, scale = 0, odd.dtype.type(radius)
    for j in range(count):
        for p in range(len(rows)):
            o[j, p] = odd[rows[p], wanted[j]] * scale
    for p in range(len(rows)):
        place[p] = -1
        if index[p] >= 0:
            t, place[p] = even[index[p]], evens
            for j in range(count):
                e[j, evens] = t[wanted[j]]
            evens += 1
    return evens


@lean()
def _longest(o, odds, e, bends, evens, place, sums):
    """An upper bound of |o| + |e| of all pairs."""
    _squares(o, odds, sums[0])
    _squares(e, bends, sums[1])
    longest = 0.0
    for p in range(len(place)):
        length = np.sqrt(sums[0, p]) + TINY
        if bends > 0 and place[p] >= 0:
            length += np.sqrt(sums[1, place[p]]) + TINY
        longest = max(longest, length)
    return longest * SLACK


@lean()
def _squares(table, rows, sums):
    """Write the sums of squares of each column to sums."""
    for p in range(len(sums)):
        sums[p] = 0.0
    for k in range(0, rows - 1, 2):
        t, x = table[k], table[k + 1]
        for p in range(len(sums)):
            sums[p] += np.float64(t[p]) * np.float64(t[p]) + np.float64(x[p]) * np.float64(x[p])
    if rows % 2:
        t = table[rows - 1]
        for p in range(len(sums)):
            sums[p] += np.float64(t[p]) * np.float64(t[p])


@lean()
def _wanted(c, breakpoints, slopes, reach, norms, wanted):
    """List the units that need parts; returns their number."""
    count = 0
    for u in range(len(c)):
        needed = slopes[_piece(c[u], breakpoints)] != 0
        for b in breakpoints:
            needed |= abs(c[u] - b) <= reach * norms[u]
        if needed:
            wanted[count] = u
            count += 1
    return count


@lean(fastmath={"contract"})
def _product(table, inputs, count, weight, units, rows, columns, out):
    """Write out[j] = sum over k < count of weight[units[j], inputs[k]] table[k], j < rows, by twos: perhaps one more."""
    whole, last = count // 8 * 8, rows - 1
    for j in range(0, rows, 2):
        w, x, a, b = weight[units[j]], weight[units[min(j + 1, last)]], out[j], out[j + 1]
        for p in range(columns):
            a[p], b[p] = 0, 0
        for k in range(0, whole, 8):
            k0, k1, k2, k3, k4, k5, k6, k7 = (
                inputs[k], inputs[k + 1], inputs[k + 2], inputs[k + 3],
                inputs[k + 4], inputs[k + 5], inputs[k + 6], inputs[k + 7],
            )  # fmt: skip
            w0, w1, w2, w3, w4, w5, w6, w7 = w[k0], w[k1], w[k2], w[k3], w[k4], w[k5], w[k6], w[k7]
            x0, x1, x2, x3, x4, x5, x6, x7 = x[k0], x[k1], x[k2], x[k3], x[k4], x[k5], x[k6], x[k7]
            t0, t1, t2, t3 = table[k], table[k + 1], table[k + 2], table[k + 3]
            t4, t5, t6, t7 = table[k + 4], table[k + 5], table[k + 6], table[k + 7]
            for p in range(columns):
                a[p] += w0 * t0[p] + w1 * t1[p] + w2 * t2[p] + w3 * t3[p] + w4 * t4[p] + w5 * t5[p] + w6 * t6[p] + w7 * t7[p]
                b[p] += x0 * t0[p] + x1 * t1[p] + x2 * t2[p] + x3 * t3[p] + x4 * t4[p] + x5 * t5[p] + x6 * t6[p] + x7 * t7[p]
        for k in range(whole, count):
            w0, x0, t0 = w[inputs[k]], x[inputs[k]], table[k]
            for p in range(columns):
                a[p] += w0 * t0[p]
                b[p] += x0 * t0[p]


@step()
def _spanned(c, o, e, evens, place, wanted, count, low, high):
    """Write the extremes of all units: those of the value at the centre where no parts are wanted."""
    plain, pair = np.zeros(o.shape[1], o.dtype), np.empty(len(place), np.int64)
    for p in range(len(place)):
        plain[p] = place[p] < 0  # 1 where a pair has no even part
        if place[p] >= 0:
            pair[place[p]] = p
    for u in range(len(c)):
        low[u] = high[u] = c[u]
    for j in range(count):
        z, lowest, highest = c[wanted[j]], np.inf, -np.inf
        if evens < len(place):  # else there is no plain one, and the centre is no vertex
            most = _largest(o, j, plain)
            lowest, highest = z - most, z + most  # rounding keeps order: the smallest z - |o| is z minus the largest |o|
        for q in range(evens):
            middle, reach = z + e[j, q], abs(o[j, pair[q]])
            lowest = middle - reach if middle - reach < lowest else lowest
            highest = middle + reach if middle + reach > highest else highest
        low[wanted[j]], high[wanted[j]] = lowest, highest


@lean(fastmath={"nnan", "nsz"})
def _largest(table, j, plain):
    """The largest |table[j] plain|."""
    most = abs(table[j, 0] * plain[0])
    for p in range(len(plain)):
        reach = abs(table[j, p] * plain[p])
        most = reach if reach > most else most
    return most


@lean()
def _bent(c, o, e, evens, breakpoints, slopes, wanted, count, low, high, place, bent_o, odd_units, bent_e, even_units):
    """Write the parts behind the kink, of units that have any; returns how many have odd ones, even ones, and the pairs."""
    pairs, columns, zero = len(place), o.shape[1], o.dtype.type(0)
    odds, bends, before = 0, 0, evens
    for j in range(count):
        u = wanted[j]
        slope, across = o.dtype.type(slopes[_piece(c[u], breakpoints)]), False
        for b in breakpoints:
            across |= low[u] <= b if c[u] > b else high[u] > b
        if slope == 0 and not across:
            continue
        odd_units[odds] = u
        odds += 1
        for p in range(columns):
            bent_o[odds - 1, p] = slope * o[j, p]
        if before == 0 and not across:
            continue
        even_units[bends] = u
        bends += 1
        for q in range(columns):
            bent_e[bends - 1, q] = slope * e[j, q] if q < before else zero
        if not across:
            continue
        for p in range(pairs):
            lift = e[j, place[p]] if 0 <= place[p] < before else zero
            t, middle, crossed = o[j, p], c[u] + lift, False
            reach = abs(t)
            for b in breakpoints:
                crossed |= ((middle - reach > b) != (c[u] > b)) | ((middle + reach > b) != (c[u] > b))
            if crossed:
                if place[p] < 0:
                    place[p] = evens
                    evens += 1
                up = _moved(c[u], lift + t, breakpoints, slopes)
                down = _moved(c[u], lift - t, breakpoints, slopes)
                bent_o[odds - 1, p], bent_e[bends - 1, place[p]] = 0.5 * (up - down), 0.5 * (up + down)
    return odds, bends, evens
