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
from numba import njit


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
    for i in range(n):
        c, lowest, highest = centre[i], low[i], high[i]
        for u in range(units):
            lowest[u], highest[u] = np.inf, -np.inf
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
            for u in range(units):
                reach = abs(o[u])
                lowest[u] = min(lowest[u], c[u] - reach)
                highest[u] = max(highest[u], c[u] + reach)
            for b in breakpoints:
                crossed = False
                for u in range(units):
                    crossed |= abs(c[u] - b) < abs(o[u])
                if crossed:
                    bent[row] = True


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
    slope = np.empty(units)
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
                middle, reach = c[u] + e[u], abs(o[u])
                piece = _piece(c[u], breakpoints)
                if _piece(middle - reach, breakpoints) == piece and _piece(middle + reach, breakpoints) == piece:
                    new_o[u], new_e[u] = slope[u] * o[u], slope[u] * e[u]
                else:
                    up = _moved(c[u], e[u] + o[u], breakpoints, slopes)
                    down = _moved(c[u], e[u] - o[u], breakpoints, slopes)
                    new_o[u], new_e[u] = 0.5 * (up - down), 0.5 * (up + down)
