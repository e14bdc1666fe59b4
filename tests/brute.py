"""Brute force for any traced network: recursive splitting of polygons, with the affine maps obtained by probing.

On a cell every unit of a layer is affine, so its values at three points inside the cell tell its map, whatever the
operations before it are. A cell is a convex polygon; it is split by one unit after the other, layer after layer, each
piece going on alone. Floats with a margin: networks in general position, no ties on whole faces (those are read as 0).
It knows nothing of vertices that cells share, of blocks, or of interpolation along lines.
"""

from __future__ import annotations

import numpy as np
import torch

from splineviz.ops import Program
from splineviz.planes import Plane

ROUNDING = 1e-9
Cells = dict[bytes, float]


def areas_by_pattern(program: Program, plane: Plane, window: np.ndarray) -> tuple[dict[int, float], int]:
    """Area of every activation pattern (its hash, as a Partition has it), and the number of cells."""
    cells: list[tuple[np.ndarray, int]] = [(window, 0)]
    unit = 0
    for layer in range(len(program.layers)):
        split: list[tuple[np.ndarray, int]] = []
        for polygon, pattern in cells:
            split += _split(program, plane, layer, unit, polygon, pattern)
        cells = split
        unit += program.layers[layer].units
    areas: dict[int, float] = {}
    for polygon, pattern in cells:
        areas[pattern] = areas.get(pattern, 0.0) + _area(polygon)
    return areas, len(cells)


def _split(
    program: Program, plane: Plane, layer: int, unit: int, polygon: np.ndarray, pattern: int
) -> list[tuple[np.ndarray, int]]:
    centre = polygon.mean(axis=0)
    step = 0.2 * (polygon - centre)
    far = step[np.argmax(np.linalg.norm(step, axis=1))]
    across = step[np.argmax(np.abs(step[:, 0] * far[1] - step[:, 1] * far[0]))]
    points = np.stack([centre, centre + far, centre + across])
    with torch.no_grad():
        z = program.preactivations(torch.from_numpy(plane.embed(points)))[0][layer].numpy()
    slopes = np.linalg.solve(np.stack([far, across]), z[1:] - z[0])
    pieces = [(polygon, pattern)]
    for i in range(z.shape[1]):
        flat = np.abs(slopes[:, i]).max() * 4.0 + abs(z[0, i]) < ROUNDING
        done = []
        for piece, signs in pieces:
            values = (piece - centre) @ slopes[:, i] + z[0, i]
            values[np.abs(values) < ROUNDING * (np.abs(z[0, i]) + np.abs(slopes[:, i]).sum())] = 0.0
            bit = _word(unit + i + 1)
            if flat or not (values > 0).any():
                done.append((piece, signs))
            elif not (values < 0).any():
                done.append((piece, signs ^ bit))
            else:
                done += [(_clip(piece, values), signs ^ bit), (_clip(piece, -values), signs)]
        pieces = done
    return pieces


def _clip(polygon: np.ndarray, values: np.ndarray) -> np.ndarray:
    corners = []
    for i in range(len(polygon)):
        j = (i + 1) % len(polygon)
        if values[i] >= 0:
            corners.append(polygon[i])
        if values[i] * values[j] < 0:
            t = values[i] / (values[i] - values[j])
            corners.append(polygon[i] + t * (polygon[j] - polygon[i]))
    return np.array(corners)


def _area(polygon: np.ndarray) -> float:
    d = polygon - polygon[0]
    return 0.5 * float((d[1:-1, 0] * d[2:, 1] - d[1:-1, 1] * d[2:, 0]).sum())


def _word(x: int) -> int:
    mask = (1 << 64) - 1
    x = (x + 0x9E3779B97F4A7C15) & mask
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    return x ^ (x >> 31)
