"""Areas and squares around polygons, by closed forms and by shifts."""

from __future__ import annotations

import numpy as np

from splineviz.geometry.polygons import bounding_square, longer_side, polygon_area


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
