"""Areas and squares around polygons, by closed forms and by shifts."""

from __future__ import annotations

import numpy as np

from splineviz.geometry.polygons import area_gap, bounding_square, longer_side, polygon_area


def test_polygon_area_is_signed_and_exact_far_away() -> None:
    square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    assert polygon_area(square) == 1.0 and polygon_area(square[::-1]) == -1.0
    assert polygon_area(square + 2.0**30) == 1.0


def test_the_square_holds_the_points_and_none_is_smaller() -> None:
    points = np.array([[1.0, 2.0], [5.0, 3.0], [2.0, 4.0]])
    square = bounding_square(points)
    assert square.centre.tolist() == [3.0, 3.0] and square.half == 2.0
    assert square.view == (1.0, 5.0, 1.0, 5.0)
    assert longer_side(points) == 4.0
    u0, u1, v0, v1 = square.view
    assert (points >= [u0, v0]).all() and (points <= [u1, v1]).all()
    assert bounding_square(points + 1024.0).half == 2.0


def test_areas_are_held_against_their_polygon_as_it_is_rounded() -> None:
    square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    assert area_gap(np.array([0.25, 0.75]), square) == 0.0
    assert abs(area_gap(np.array([0.25, 0.5]), square) - 0.25) < 1e-12
    thin = np.array([[-1.0, -1.0], [1.0, 1.0], [1.0, 1.0 + 1e-10]])
    assert area_gap(np.array([1e-10 + 1e-16]), thin) == 0.0 and area_gap(np.array([1.1e-10]), thin) > 0.09
    point = np.ones((3, 2))  # a tile that a window touches there
    assert area_gap(np.zeros(1), point) == 0.0 and area_gap(np.ones(1), point) > 1.0
