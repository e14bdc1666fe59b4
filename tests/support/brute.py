"""Brute force for any traced network: recursive splitting of polygons, with the affine maps obtained by probing.

On a cell every unit of a layer is affine, so its values at three points inside the cell tell its map, whatever the
operations before it are. A cell is a convex polygon; it is split by one unit after the other, layer after layer, each
piece going on alone. Floats with a margin: networks in general position, no ties on whole faces (those are read as 0).
It knows nothing of vertices that cells share, of blocks, or of interpolation along lines.
"""

from __future__ import annotations

import numpy as np
import torch

from splineviz.geometry.plane import Plane
from splineviz.tracing.lowering import Layer, lower
from splineviz.tracing.program import Program

ROUNDING = 1e-9
Cells = dict[bytes, float]


def areas_by_pattern(program: Program, plane: Plane, window: np.ndarray) -> tuple[dict[int, float], int]:
    """Area of every activation pattern (its hash, as a Partition has it), and the number of cells."""
    cells: list[tuple[np.ndarray, int]] = [(window, 0)]
    for layer in lower(program).layers:
        split: list[tuple[np.ndarray, int]] = []
        for polygon, pattern in cells:
            split += (_split if layer.groups is None else _envelope)(program, plane, layer, polygon, pattern)
        cells = split
    areas: dict[int, float] = {}
    for polygon, pattern in cells:
        areas[pattern] = areas.get(pattern, 0.0) + _area(polygon)
    return areas, len(cells)


def _affine(
    program: Program, plane: Plane, layer: Layer, polygon: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a layer reads on a cell: its values (n,) at the cell's centre, its slopes (2, n), and the centre."""
    centre = polygon.mean(axis=0)
    step = 0.2 * (polygon - centre)
    far = step[np.argmax(np.linalg.norm(step, axis=1))]
    across = step[np.argmax(np.abs(step[:, 0] * far[1] - step[:, 1] * far[0]))]
    points = np.stack([centre, centre + far, centre + across])
    with torch.no_grad():
        live = program.run({0: torch.from_numpy(plane.embed(points))}, 0, layer.step)
    z = live[program.steps[layer.step].inputs[0]].reshape(3, -1).numpy()
    return z[0], np.linalg.solve(np.stack([far, across]), z[1:] - z[0]), centre


def _at_corners(piece: np.ndarray, value: float, slope: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Values at a polygon's corners; 0 where rounding leaves no other word."""
    values = (piece - centre) @ slope + value
    values[np.abs(values) < ROUNDING * (np.abs(value) + np.abs(slope).sum())] = 0.0
    return values


def _is_flat(value: float, slope: np.ndarray) -> bool:
    return bool(np.abs(slope).max() * 4.0 + abs(value) < ROUNDING)


def _split(
    program: Program, plane: Plane, layer: Layer, polygon: np.ndarray, pattern: int
) -> list[tuple[np.ndarray, int]]:
    z, slopes, centre = _affine(program, plane, layer, polygon)
    pieces = [(polygon, pattern)]
    for i in range(len(z)):
        done = []
        for piece, signs in pieces:
            values = _at_corners(piece, z[i], slopes[:, i], centre)
            bit = _word(layer.first_piece + i + 1)
            if _is_flat(z[i], slopes[:, i]) or not (values > 0).any():
                done.append((piece, signs))
            elif not (values < 0).any():
                done.append((piece, signs ^ bit))
            else:
                done += [(_clip(piece, values), signs ^ bit), (_clip(piece, -values), signs)]
        pieces = done
    return pieces


def _envelope(
    program: Program, plane: Plane, layer: Layer, polygon: np.ndarray, pattern: int
) -> list[tuple[np.ndarray, int]]:
    """Cells of the upper envelope of every group: where one entry is at least as large as each of the others."""
    z, slopes, centre = _affine(program, plane, layer, polygon)
    pieces = [(polygon, pattern)]
    assert layer.groups is not None
    for g, members in enumerate(layer.groups):
        entries = [int(i) for i in np.where(members < 0, members[0], members)]
        done = []
        for piece, winners in pieces:
            told: list[int] = []
            for i in entries:
                if any(_is_flat(z[i] - z[j], slopes[:, i] - slopes[:, j]) for j in told):
                    continue  # a tie that holds everywhere
                told.append(i)
                cell: np.ndarray | None = piece
                for j in entries:
                    if _is_flat(z[i] - z[j], slopes[:, i] - slopes[:, j]):
                        continue
                    ahead = _at_corners(cell, z[i] - z[j], slopes[:, i] - slopes[:, j], centre)
                    cell = _clip(cell, ahead) if (ahead > 0).any() else None
                    if cell is None:
                        break
                if cell is not None:
                    place = _champion(entries, cell.mean(axis=0) - centre, z, slopes)
                    done.append((cell, winners ^ _word(layer.first_piece + g * len(members) + place + 1)))
        pieces = done
    return pieces


def _champion(entries: list[int], offset: np.ndarray, z: np.ndarray, slopes: np.ndarray) -> int:
    """Which place of the group wins, first half against second, the second at a tie."""
    places = list(range(len(entries)))
    value = {p: z[i] + offset @ slopes[:, i] for p, i in enumerate(entries)}
    while len(places) > 1:
        half = len(places) // 2
        met = [
            a if value[a] > value[b] and not _is_flat(*_gap(entries[a], entries[b], z, slopes)) else b
            for a, b in zip(places[:half], places[half : 2 * half], strict=True)
        ]
        places = met + places[2 * half :]
    return places[0]


def _gap(i: int, j: int, z: np.ndarray, slopes: np.ndarray) -> tuple[float, np.ndarray]:
    return z[i] - z[j], slopes[:, i] - slopes[:, j]


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
