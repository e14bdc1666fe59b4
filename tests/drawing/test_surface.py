"""Surfaces: exact corners, no gaps, a picture that was looked at."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from arrangement import jittered_grid, lines_in_square
from matplotlib.figure import Figure
from pictures import compare, pixels

from splineviz.drawing.surface import surface
from splineviz.errors import DataError


def axes() -> object:
    return Figure(figsize=(4.2, 3.6), dpi=100).add_axes((0.0, 0.02, 0.92, 0.98), projection="3d")


def test_corners_are_the_vertices_with_their_outputs() -> None:
    partition = lines_in_square(7)
    tiles = surface(partition, output=1, ax=axes())
    old = not hasattr(tiles, "_faces")  # matplotlib before 3.11
    for f, segment in enumerate([tiles._vec[:3, s].T for s in tiles._segslices] if old else tiles._faces):
        ids = partition.face(f)
        got = np.asarray(segment)
        got = got[np.append(True, (np.diff(got, axis=0) != 0).any(axis=1))]  # some corners stand there twice
        np.testing.assert_allclose(got, np.column_stack([partition.vertices[ids], partition.outputs[ids, 1]]))


def test_golden_surface() -> None:
    ax = axes()
    surface(lines_in_square(16, seed=5), ax=ax)
    ax.view_init(elev=28, azim=-55)
    compare("surface", pixels(ax.figure))


def test_refusals() -> None:
    with pytest.raises(DataError, match="one of 0 to 2, got 3"):
        surface(lines_in_square(3), output=3, ax=axes())
    with pytest.raises(DataError, match="at most 20,000 regions for a surface, got 22,500"):
        surface(jittered_grid(150), ax=axes())


@pytest.mark.parametrize("size", [(6.4, 4.8), (4.0, 4.0), (7.0, 3.0)])
def test_a_surface_fills_its_axes_and_no_label_is_cut_off(size: tuple[float, float]) -> None:
    figure = Figure(figsize=size, dpi=80)
    surface(lines_in_square(16, seed=5), ax=figure.add_axes((0.0, 0.0, 1.0, 1.0), projection="3d"))
    dark = (pixels(figure) < 250).any(axis=2)
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    filled = np.array([np.ptp(rows) / dark.shape[0], np.ptp(columns) / dark.shape[1]])
    assert filled.max() > 0.85, "less than a sixth of one direction is margin"
    assert 0 < rows[0] and rows[-1] < dark.shape[0] - 1 and 0 < columns[0] and columns[-1] < dark.shape[1] - 1
