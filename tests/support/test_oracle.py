"""The oracle against closed forms and against plain float evaluation: a judge is judged first."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from cases import DEGENERATE, Case, dense, folding, lines, module, random_case, square
from oracle import RELU, Layer, boundary_length, regions, splitmix64


@pytest.mark.parametrize("case", [c for c in DEGENERATE if c.regions is not None], ids=lambda c: c.name)
def test_counts_known_in_closed_form(case: Case) -> None:
    assert len(case.cells()) == case.regions


def test_generic_lines_make_one_region_a_line_and_one_a_crossing() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        rows = rng.normal(size=(int(rng.integers(1, 8)), 3))
        crossing_lines = sum(len({np.sign(row[:2] @ corner + row[2]) for corner in square()}) > 1 for row in rows)
        inside = 0
        for i in range(len(rows)):
            for j in range(i):
                point = np.linalg.solve(rows[[i, j], :2], -rows[[i, j], 2])
                inside += bool(np.abs(point).max() < 1)
        assert len(regions(lines(*rows), square())) == 1 + crossing_lines + inside


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_folding_makes_equal_squares(depth: int) -> None:
    cells = regions(folding(depth), square())
    assert {cell.area for cell in cells} == {Fraction(4, 4**depth)}
    assert all(len(cell.polygon) == 4 for cell in cells)


@pytest.mark.parametrize("seed", range(30))
def test_cells_tile_the_window_and_patterns_are_unique(seed: int) -> None:
    case = random_case(seed)
    cells = case.cells()
    exact = [(Fraction(u), Fraction(v)) for u, v in case.window.tolist()]
    (ox, oy), *rest = exact
    window = (
        sum(((a - ox) * (d - oy) - (b - oy) * (c - ox) for (a, b), (c, d) in zip(rest, rest[1:], strict=False)), Fraction(0))
        / 2
    )
    assert sum(cell.area for cell in cells) == window
    assert len({cell.pattern for cell in cells}) == len({cell.pattern_hash for cell in cells}) == len(cells)
    assert all(cell.area > 0 for cell in cells)


@pytest.mark.parametrize("seed", range(20))
def test_maps_and_patterns_agree_with_floats(seed: int) -> None:
    layers = dense(seed, 2, 5, 4, 3)
    network = module(layers)
    for cell in regions(layers, square()):
        if cell.width < 1e-9:
            continue
        centre = np.array([[float(u), float(v)] for u, v in cell.polygon]).mean(axis=0)
        h, pattern = centre, []
        for layer in layers:
            h = layer.weight @ h + layer.bias
            if layer.slopes:
                pattern += np.sign(h).astype(int).tolist()
                h = np.maximum(h, 0)
        assert tuple(pattern) == cell.pattern
        exact = [float(a) * centre[0] + float(b) * centre[1] + float(c) for a, b, c in cell.outputs]
        np.testing.assert_allclose(exact, h, rtol=1e-9, atol=1e-12)
        with torch.no_grad():
            np.testing.assert_allclose(network(torch.tensor(centre)[None])[0].numpy(), h, rtol=1e-9, atol=1e-12)


def test_a_unit_that_vanishes_on_a_cell_has_sign_0_there() -> None:
    layers = (Layer([[1, 0]], [0], RELU), Layer([[1]], [0], RELU))
    assert {cell.pattern for cell in regions(layers, square())} == {(1, 1), (-1, 0)}


def test_hash_is_the_splitmix_of_the_positive_units() -> None:
    assert splitmix64(1) == 0x910A2DEC89025CC1  # first value of Vigna's reference generator seeded with 1
    patterns = {cell.pattern: cell.pattern_hash for cell in regions(lines((1, 0, 0), (0, 1, 0)), square())}
    assert patterns == {(1, 1): splitmix64(1) ^ splitmix64(2), (1, -1): splitmix64(1), (-1, 1): splitmix64(2), (-1, -1): 0}


def test_boundary_length_of_known_shapes() -> None:
    identity = (Layer([[1, 0], [0, 1]], [0, 0]),)
    assert boundary_length(regions(identity, square())) == pytest.approx(2 * np.sqrt(2))
    single = (Layer([[1, 0.0]], [0.25]),)
    assert boundary_length(regions(single, square())) == pytest.approx(2.0)
    three = (Layer([[1, 0], [-0.5, np.sqrt(0.75)], [-0.5, -np.sqrt(0.75)]], [0, 0, 0]),)  # a star of three rays
    rays = 1.0 + 2 * np.hypot(1 / np.sqrt(3), 1.0)
    assert boundary_length(regions(three, square())) == pytest.approx(rays)
