r"""Exact area coverage of a planar complex on a grid of pixels.
Also how opaque lines are where they are dense, and the picture made of fills and lines.

        row r+1 +-----+-----+-----+      An edge a -> b with value L on its left and R on its right
                |     |  b  |     |      changes the value by R - L for everything to its right. Inside
           R-L  |  L  | /*  |  R  |      a row it does so by its height dy there; the pixel it passes
                |     |/*** |     |      through gets the share (***) that lies to the right of it, the
        row r   +-----a-----+-----+      next pixel the rest. A running sum along the row then gives every
                c    c+1   c+2           pixel the area-weighted mean of all faces in it.

One pass over the edges draws all faces: no face is visited, none is sorted, and each boundary between two
faces is computed once, so neighbours leave no gap and no overlap. x grows with the column, y with the row
(row 0 is the lowest). Pixels are the unit of length; pixel (r, c) covers [c, c+1] x [r, r+1].

Coverage is exact up to rounding, for any scale: what lies left of the grid counts in column 0, what lies
elsewhere outside does not count. A face or line thinner than a pixel counts with its area. Buffers have one
spare column, where the last pixel leaves what is right of it.
"""

from __future__ import annotations

import numpy as np

from splineviz._kernels.jit import njit


@njit(nogil=True, cache=True, error_model="numpy")
def _add_edge(total, x0, y0, x1, y1, weights):
    """Add to total (H, W + 1, K) the step that an edge makes in each row: `weights` times its signed height.

    weights: a tuple, so that the compiler knows K and its loops are none.
    """
    rows, width, channels = total.shape[0], total.shape[1] - 1, len(weights)
    sign = 1.0
    if y1 < y0:
        x0, y0, x1, y1, sign = x1, y1, x0, y0, -1.0
    if y1 <= 0.0 or y0 >= rows or y0 == y1 or (x0 >= width and x1 >= width):
        return
    low, high = min(x0, x1), max(x0, x1)
    run = (x1 - x0) / (y1 - y0)
    first = int(np.floor(max(y0, 0.0)))
    last = int(np.ceil(min(y1, float(rows))))
    upper = x0 if y0 >= 0.0 else min(max(x0 - y0 * run, low), high)
    for r in range(first, last):
        ya, yb = max(y0, float(r)), min(y1, r + 1.0)
        xa = upper
        xb = x1 if yb == y1 else min(max(x0 + (yb - y0) * run, low), high)
        upper = xb
        step = sign * (yb - ya)
        left, right = min(xa, xb), max(xa, xb)
        if left >= width:
            continue
        if right <= 0.0:
            for k in range(channels):
                total[r, 0, k] += step * weights[k]
            continue
        c = int(np.floor(left))
        if right <= c + 1.0 and c >= 0:
            share = 0.5 * (left + right) - c
            for k in range(channels):
                total[r, c, k] += step * (1.0 - share) * weights[k]
                total[r, c + 1, k] += step * share * weights[k]
            continue
        rate = step / (right - left)
        if left < 0.0:
            for k in range(channels):
                total[r, 0, k] -= left * rate * weights[k]
        for c in range(max(int(np.floor(left)), 0), min(int(np.ceil(right)), width)):
            a, b = max(left, float(c)), min(right, c + 1.0)
            part = (b - a) * rate
            share = 0.5 * (a + b) - c
            for k in range(channels):
                total[r, c, k] += part * (1.0 - share) * weights[k]
                total[r, c + 1, k] += part * share * weights[k]


@njit(nogil=True, cache=True, error_model="numpy")
def add_fills(total, vertices, edges, edge_faces, colors, origin, scale):
    """Add all faces to total (H, W + 1, 4): three colours and, in the last channel, the area inside the window.

    colors: (F, 3); origin: (2,) plane coordinates of the lower left corner; scale: (2,) pixels per length.
    """
    rows = total.shape[0]
    for e in range(len(edges)):
        a, b = edges[e, 0], edges[e, 1]
        ya, yb = (vertices[a, 1] - origin[1]) * scale[1], (vertices[b, 1] - origin[1]) * scale[1]
        if (ya <= 0.0 and yb <= 0.0) or (ya >= rows and yb >= rows):
            continue
        left, right = edge_faces[e, 0], edge_faces[e, 1]
        red, green, blue, inside = 0.0, 0.0, 0.0, 0.0
        if right >= 0:
            red, green, blue, inside = colors[right, 0], colors[right, 1], colors[right, 2], 1.0
        if left >= 0:
            red, green, blue, inside = red - colors[left, 0], green - colors[left, 1], blue - colors[left, 2], inside - 1.0
        if red == 0.0 and green == 0.0 and blue == 0.0 and inside == 0.0:
            continue
        xa, xb = (vertices[a, 0] - origin[0]) * scale[0], (vertices[b, 0] - origin[0]) * scale[0]
        _add_edge(total, xa, ya, xb, yb, (red, green, blue, inside))


@njit(nogil=True, cache=True, error_model="numpy")
def _add_rectangle(total, xa, ya, xb, yb, nx, ny, weights):
    """Add the rectangle round a -> b, n = (nx, ny) to either side; it runs clockwise, so its inside is on the right."""
    _add_edge(total, xa + nx, ya + ny, xb + nx, yb + ny, weights)
    _add_edge(total, xb + nx, yb + ny, xb - nx, yb - ny, weights)
    _add_edge(total, xb - nx, yb - ny, xa - nx, ya - ny, weights)
    _add_edge(total, xa - nx, ya - ny, xa + nx, ya + ny, weights)


@njit(nogil=True, cache=True, error_model="numpy")
def add_lines(total, vertices, edges, widths, inks, origin, scale):
    """Add the edges to total (H, W + 1, K) as rectangles of widths (E,) pixels; width 0 leaves an edge out.

    inks: (E, 4), what each edge adds to a pixel that it covers, or (1, 1), the same for all; K is their 4 or 1.
    """
    rows, columns = total.shape[0], total.shape[1] - 1
    for e in range(len(edges)):
        half = 0.5 * widths[e]
        if half <= 0.0:
            continue
        a, b = edges[e, 0], edges[e, 1]
        ya, yb = (vertices[a, 1] - origin[1]) * scale[1], (vertices[b, 1] - origin[1]) * scale[1]
        if max(ya, yb) + half <= 0.0 or min(ya, yb) - half >= rows:
            continue
        xa, xb = (vertices[a, 0] - origin[0]) * scale[0], (vertices[b, 0] - origin[0]) * scale[0]
        if max(xa, xb) + half <= 0.0 or min(xa, xb) - half >= columns:
            continue
        dx, dy = xb - xa, yb - ya
        length = np.sqrt(dx * dx + dy * dy)
        if length == 0.0:
            continue
        nx, ny = -dy / length * half, dx / length * half
        if len(inks) > 1:
            _add_rectangle(total, xa, ya, xb, yb, nx, ny, (inks[e, 0], inks[e, 1], inks[e, 2], inks[e, 3]))
        else:
            _add_rectangle(total, xa, ya, xb, yb, nx, ny, (inks[0, 0],))


@njit(nogil=True, cache=True)
def sum_rows(total):
    """Running sum along each row of total (H, W + 1, K), in place."""
    rows, columns, channels = total.shape
    for r in range(rows):
        for c in range(1, columns):
            for k in range(channels):
                total[r, c, k] += total[r, c - 1, k]


@njit(nogil=True, cache=True)
def box_mean(values, radius):
    """(H, W) mean over the square of 2 radius + 1 pixels round each pixel, over what of it lies in the grid."""
    rows, columns = values.shape
    across = np.empty((rows, columns))
    for r in range(rows):
        total = 0.0
        for c in range(min(radius, columns)):
            total += values[r, c]
        for c in range(columns):
            if c + radius < columns:
                total += values[r, c + radius]
            if c - radius > 0:
                total -= values[r, c - radius - 1]
            across[r, c] = total / (min(c + radius, columns - 1) - max(c - radius, 0) + 1)
    means = np.empty((rows, columns))
    column = np.zeros(columns)
    for r in range(min(radius, rows)):
        column += across[r]
    for r in range(rows):
        if r + radius < rows:
            column += across[r + radius]
        if r - radius > 0:
            column -= across[r - radius - 1]
        means[r] = column / (min(r + radius, rows - 1) - max(r - radius, 0) + 1)
    return means


@njit(nogil=True, cache=True)
def line_opacity(coverage, density, knee, ceiling):
    """(H, W) opacity of lines from their coverage and its local mean `density`, both (H, W).

    Up to a density of `knee` a pixel's opacity is its coverage, at most 1. Above, lines fade so that the mean
    opacity goes on rising with density but never passes `ceiling`: density d gives knee + s (1 - exp(-(d - knee) / s)),
    s = ceiling - knee, which meets the straight part with the same slope.
    """
    rows, columns = coverage.shape
    opacity = np.empty((rows, columns))
    span = ceiling - knee
    for r in range(rows):
        for c in range(columns):
            d = density[r, c]
            value = coverage[r, c]
            if d > knee:
                value *= (knee + span * (1.0 - np.exp(-(d - knee) / span))) / d
            opacity[r, c] = min(max(value, 0.0), 1.0)
    return opacity


@njit(nogil=True, cache=True)
def compose(fills, opacity, ink, image):
    """Write image (H, W, 4) uint8, straight alpha: summed fills (H, W + 1, 4) under lines of `opacity` (H, W).

    ink: (H, W, 3) colour of the lines, or (1, 1, 3).
    """
    rows, columns = opacity.shape
    down, across = min(ink.shape[0] - 1, 1), min(ink.shape[1] - 1, 1)
    for r in range(rows):
        for c in range(columns):
            inside = min(max(fills[r, c, 3], 0.0), 1.0)
            if inside < 1e-6:
                image[r, c, 0] = image[r, c, 1] = image[r, c, 2] = image[r, c, 3] = 0
                continue
            over = opacity[r, c]
            for k in range(3):
                value = min(max(fills[r, c, k] / fills[r, c, 3], 0.0), 1.0)
                image[r, c, k] = np.uint8(255.0 * (value + over * (ink[r * down, c * across, k] - value)) + 0.5)
            image[r, c, 3] = np.uint8(255.0 * inside + 0.5)
