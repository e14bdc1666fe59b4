r"""Brute force in exact rational arithmetic: all regions of a small network on a window. Nothing is rounded.

It shares no code and no idea with the enumerator: no shared complex, no vertex values, no tolerance. A cell is
a convex polygon; it is split by one unit after the other, layer after layer, and each piece goes on alone.

            l2                 lines     (a, b, c) integers, the points with a u + b v + c = 0
        P2 ----- P1            points    (X, Y, W) integers, W > 0, u = X / W, v = Y / W
     l3 /        |             polygon   points P[i] counter-clockwise, and lines l[i] through P[i], P[i + 1]
      P3 ------- P0            value     of a map (a, b, c) at a point has the sign of a X + b Y + c W
           l3

Floats are dyadic rationals, so a map of a layer is three integers over one power of two that the layer shares.
A new point is the cross product of two lines, never an interpolation of points: numbers grow with depth, not
with the number of cuts, and no fraction is ever reduced on the way.

Degenerate cases need no care: a unit that vanishes on a whole cell has sign 0 there and cuts nothing; a line
through a corner or along a side cuts nothing; lines through one point cut what they cut.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

Line = tuple[int, int, int]
Map = tuple[int, int, int]
Point = tuple[int, int, int]

RELU = (0.0, 1.0)
ABS = (-1.0, 1.0)


@dataclass(frozen=True)
class Layer:
    """Affine map (rows of `weight`, `bias`), then a kink at 0 with slopes (below, above); slopes None: no kink.

    pool: after it the largest of every so many entries in a row; 1: all of them. carry: the last so many rows pass the kink
    as they are, and are no units: what a skip connection hands on beside it.
    """

    weight: Any
    bias: Any
    slopes: tuple[float, float] | None = None
    pool: int = 1
    carry: int = 0


@dataclass(frozen=True)
class Region:
    """One exact cell: sign of every unit, corners (homogeneous integers), and the affine maps of the outputs.

    outputs: one (a, b, c) of Fractions per output, value a u + b v + c. winners: numbers of the (maximum, entry) that win.
    """

    pattern: tuple[int, ...]
    corners: tuple[Point, ...]
    maps: tuple[Map, ...]
    exponent: int
    winners: tuple[int, ...] = ()

    @cached_property
    def polygon(self) -> tuple[tuple[Fraction, Fraction], ...]:
        return tuple((Fraction(x, w), Fraction(y, w)) for x, y, w in self.corners)

    @cached_property
    def outputs(self) -> tuple[tuple[Fraction, Fraction, Fraction], ...]:
        unit = Fraction(2) ** -self.exponent
        return tuple((a * unit, b * unit, c * unit) for a, b, c in self.maps)

    @cached_property
    def area(self) -> Fraction:
        (ox, oy), *rest = self.polygon
        total = Fraction(0)
        for (ax, ay), (bx, by) in zip(rest, rest[1:], strict=False):
            total += (ax - ox) * (by - oy) - (ay - oy) * (bx - ox)
        return total / 2

    @cached_property
    def width(self) -> float:
        """Area over diameter: a thickness, in plane length."""
        ox, oy = self.polygon[0]
        points = np.array([[float(x - ox), float(y - oy)] for x, y in self.polygon])
        diameter = np.linalg.norm(points[:, None] - points[None], axis=2).max()
        return float(self.area) / float(diameter)

    @property
    def pattern_hash(self) -> int:
        """XOR of splitmix64(unit + 1) over the positive units, and the winners, which are counted after all units."""
        value = 0
        for unit, sign in enumerate(self.pattern):
            if sign > 0:
                value ^= splitmix64(unit + 1)
        for winner in self.winners:
            value ^= splitmix64(len(self.pattern) + winner + 1)
        return value


def splitmix64(x: int) -> int:
    mask = (1 << 64) - 1
    x = (x + 0x9E3779B97F4A7C15) & mask
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    return x ^ (x >> 31)


def regions(layers: Sequence[Layer], window: Any, *, origin: Any = None, basis: Any = None) -> list[Region]:
    """All cells of a network on a window polygon (m, 2), counter-clockwise, of the plane origin + u e1 + v e2.

    Without a plane the network has two inputs, and they are (u, v).
    """
    if origin is None:
        origin, basis = [0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]]
    columns = [np.asarray(basis[0], float).ravel(), np.asarray(basis[1], float).ravel(), np.asarray(origin, float).ravel()]
    integers, exponent = _integers(np.stack(columns, axis=1))
    maps = [(row[0], row[1], row[2]) for row in integers]
    return list(_cells([_Exact(layer) for layer in layers], 0, _polygon(window), maps, exponent, (), ()))


class _Exact:
    """A layer as integers over powers of two."""

    def __init__(self, layer: Layer):
        self.weight, self.weight_exponent = _integers(np.asarray(layer.weight, float))
        (self.bias,), self.bias_exponent = _integers(np.asarray(layer.bias, float)[None])
        self.kinked, self.pool, self.units = layer.slopes is not None, layer.pool, len(self.bias) - layer.carry
        if layer.slopes is not None:
            (self.slopes,), self.slope_exponent = _integers(np.asarray([layer.slopes], float))

    def __call__(self, maps: Sequence[Map], exponent: int) -> tuple[list[Map], int]:
        total = exponent + self.weight_exponent
        lift = max(0, self.bias_exponent - total)  # a bias finer than the products: put the products on its grid
        out = []
        for row, bias in zip(self.weight, self.bias, strict=True):
            a = b = c = 0
            for w, m in zip(row, maps, strict=True):
                if w:
                    a += w * m[0]
                    b += w * m[1]
                    c += w * m[2]
            shift = total + lift - self.bias_exponent
            out.append((a << lift, b << lift, (c << lift) + (bias << shift)))
        return out, total + lift


def _cells(
    layers: list[_Exact],
    depth: int,
    polygon: tuple[list[Point], list[Line]],
    maps: list[Map],
    exponent: int,
    pattern: tuple[int, ...],
    winners: tuple[int, ...],
) -> Iterator[Region]:
    while depth < len(layers):
        layer = layers[depth]
        maps, exponent = layer(maps, exponent)
        depth += 1
        if layer.kinked:
            for piece, signs in _split_all(polygon, maps[: layer.units]):
                bent, carried = [], (None,) * (len(maps) - layer.units)
                for (a, b, c), sign in zip(maps, signs + carried, strict=True):
                    s = 1 << layer.slope_exponent if sign is None else layer.slopes[1] if sign > 0 else layer.slopes[0]
                    bent.append((a * s, b * s, c * s))
                after = _reduced(bent, exponent + layer.slope_exponent)
                first = sum(_entries(earlier) for earlier in layers[: depth - 1])
                for part, largest, won in _envelopes(piece, after[0], layer.pool, first):
                    yield from _cells(layers, depth, part, largest, after[1], pattern + signs, winners + won)
            return
    yield Region(pattern, tuple(polygon[0]), tuple(maps), exponent, winners)


def _entries(layer: _Exact) -> int:
    """How many pairs (maximum, entry) a layer has."""
    return len(layer.bias) if layer.pool > 1 else 0


def _envelopes(
    polygon: tuple[list[Point], list[Line]], maps: list[Map], size: int, first: int
) -> Iterator[tuple[Any, list[Map], tuple[int, ...]]]:
    """The parts of a polygon on which one entry of every group is the largest, those entries and their numbers."""
    if size == 1:
        yield polygon, maps, ()
        return
    pieces: list[tuple[Any, list[Map], tuple[int, ...]]] = [(polygon, [], ())]
    for start in range(0, len(maps), size):
        group, done = maps[start : start + size], []
        for piece, largest, won in pieces:
            for entry in dict.fromkeys(group):
                part = piece
                for other in group:
                    part = _ahead(part, _minus(entry, other)) if part is not None and other != entry else part
                if part is not None:
                    inside = _middle(part[0])
                    done.append((part, [*largest, entry], (*won, first + start + _champion(group[::-1], inside))))
        pieces = done
    yield from pieces


def _ahead(polygon: tuple[list[Point], list[Line]], line: Line) -> Any:
    """The part of a polygon where a map is positive; None if there is none."""
    a, b, c = line
    at = [_sign(a * x + b * y + c * w) for x, y, w in polygon[0]]
    if 1 not in at:
        return None
    return _half(polygon, at, line, 1) if -1 in at else polygon


def _middle(corners: list[Point]) -> tuple[Fraction, Fraction]:
    points = [(Fraction(x, w), Fraction(y, w)) for x, y, w in corners]
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)


def _champion(group: list[Map], at: tuple[Fraction, Fraction]) -> int:
    """Which entry wins at a point: the first half meets the second, and a tie goes to the second of the two.

    Entries are numbered from the last to the first, as `splineviz.tracing.maxima.groups` lists them.
    """
    value = [a * at[0] + b * at[1] + c for a, b, c in group]
    places = list(range(len(group)))
    while len(places) > 1:
        half = len(places) // 2
        met = [i if value[i] > value[j] else j for i, j in zip(places[:half], places[half : 2 * half], strict=True)]
        places = met + places[2 * half :]
    return places[0]


def _split_all(polygon: tuple[list[Point], list[Line]], maps: Sequence[Map]) -> list[tuple[Any, tuple[int, ...]]]:
    pieces: list[tuple[Any, tuple[int, ...]]] = [(polygon, ())]
    for line in maps:
        cut = []
        for piece, signs in pieces:
            a, b, c = line
            at = [_sign(a * x + b * y + c * w) for x, y, w in piece[0]]
            if 1 in at and -1 in at:
                cut.append((_half(piece, at, line, 1), (*signs, 1)))
                cut.append((_half(piece, at, line, -1), (*signs, -1)))
            else:
                cut.append((piece, (*signs, max(at) if 1 in at else min(at))))
        pieces = cut
    return pieces


def _half(
    polygon: tuple[list[Point], list[Line]], signs: list[int], line: Line, keep: int
) -> tuple[list[Point], list[Line]]:
    """The part of a polygon on one side of a line that truly crosses it."""
    points, lines = polygon
    corners: list[Point] = []
    sides: list[Line] = []
    for i, point in enumerate(points):
        j = (i + 1) % len(points)
        here, there = signs[i] * keep, signs[j] * keep
        if here > 0 or (here == 0 and there > 0):  # the side i -> j begins inside
            corners.append(point)
            sides.append(lines[i])
        elif here == 0:  # the cut leaves the polygon's boundary at this corner
            corners.append(point)
            sides.append(line)
        if here * there < 0:
            corners.append(_meet(lines[i], line))
            sides.append(line if there < 0 else lines[i])
    return corners, sides


def _polygon(window: Any) -> tuple[list[Point], list[Line]]:
    integers, exponent = _integers(np.asarray(window, float))
    points = [(x, y, 1 << exponent) for x, y in integers]
    lines = [_reduced_line(_cross(points[i], points[(i + 1) % len(points)])) for i in range(len(points))]
    return points, lines


def _meet(one: Line, other: Line) -> Point:
    x, y, w = _reduced_line(_cross(one, other))
    return (x, y, w) if w > 0 else (-x, -y, -w)


def _cross(p: tuple[int, int, int], q: tuple[int, int, int]) -> tuple[int, int, int]:
    return (p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0])


def _reduced_line(line: tuple[int, int, int]) -> tuple[int, int, int]:
    divisor = math.gcd(*line)
    return (line[0] // divisor, line[1] // divisor, line[2] // divisor) if divisor > 1 else line


def _reduced(maps: list[Map], exponent: int) -> tuple[list[Map], int]:
    """Shift out the powers of two that all maps of a layer share, so that numbers stay short."""
    union = 0
    for a, b, c in maps:
        union |= a | b | c
    if union == 0:
        return maps, 0
    shift = (union & -union).bit_length() - 1
    return [(a >> shift, b >> shift, c >> shift) for a, b, c in maps], exponent - shift


def _integers(array: np.ndarray) -> tuple[list[list[int]], int]:
    """Rows of floats as integers n over one power of two: value = n * 2^-exponent."""
    ratios = [[float(v).as_integer_ratio() for v in row] for row in array]
    exponent = max((d.bit_length() - 1 for row in ratios for _, d in row), default=0)
    return [[n << (exponent - d.bit_length() + 1) for n, d in row] for row in ratios], exponent


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def boundary_length(cells: Sequence[Region]) -> float:
    """Length of the set where the arg-max of the outputs changes inside cells (one output: its zero level).

    For networks in general position: a boundary that runs along a cell's side is not counted.
    """
    total = 0.0
    for cell in cells:
        maps = list(cell.maps) if len(cell.maps) > 1 else [*cell.maps, (0, 0, 0)]
        for i in range(len(maps)):
            for j in range(i):
                tie = _minus(maps[i], maps[j])
                ends = _chord(cell.corners, tie)
                for k in range(len(maps)):
                    if ends and k not in (i, j):
                        ends = _clip(ends, _minus(maps[i], maps[k]))
                if ends:
                    (ax, ay), (bx, by) = ends
                    total += math.hypot(float(bx - ax), float(by - ay))
    return total


Ends = tuple[tuple[Fraction, Fraction], tuple[Fraction, Fraction]]


def _minus(p: Map, q: Map) -> Map:
    return (p[0] - q[0], p[1] - q[1], p[2] - q[2])


def _chord(corners: Sequence[Point], line: Line) -> Ends | None:
    a, b, c = line
    values = [a * x + b * y + c * w for x, y, w in corners]
    if not (min(values) < 0 < max(values)):
        return None
    ends = []
    for i, (x, y, w) in enumerate(corners):
        j = (i + 1) % len(corners)
        if values[i] == 0:
            ends.append((Fraction(x, w), Fraction(y, w)))
        if values[i] * values[j] < 0:
            px, py, pw = _cross(_cross(corners[i], corners[j]), line)
            ends.append((Fraction(px, pw), Fraction(py, pw)))
    assert len(ends) == 2
    return ends[0], ends[1]


def _clip(ends: Ends, line: Line) -> Ends | None:
    """The part of a segment where the map `line` is not negative."""
    a, b, c = line
    (p, q) = ends
    vp, vq = a * p[0] + b * p[1] + c, a * q[0] + b * q[1] + c
    if vp <= 0 and vq <= 0:
        return None
    if vp >= 0 and vq >= 0:
        return ends
    t = vp / (vp - vq)
    m = (p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1]))
    return (m, q) if vq > 0 else (p, m)
