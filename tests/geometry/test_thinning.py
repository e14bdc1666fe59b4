"""Totals of thinned faces are right on average, and so is their error; halves of a polygon fit together."""

import numpy as np
import pytest

from splineviz.geometry.polygons import polygon_area
from splineviz.geometry.thinning import Stage, chances, kept, order, variance
from splineviz.geometry.tilings import halved, whole


def test_chances_are_in_proportion_and_at_most_one():
    found = chances(np.array([100.0, 1.0, 2.0, 3.0]), 2)
    np.testing.assert_allclose(found, [1.0, 1 / 6, 2 / 6, 3 / 6])
    np.testing.assert_array_equal(chances(np.ones(3), 5), 1.0)


@pytest.mark.parametrize("seed", range(5))
def test_as_many_are_kept_as_the_chances_say(seed):
    chance = chances(np.random.default_rng(seed).random(200) ** 3, 30)
    some = kept(chance, np.random.default_rng(seed))
    assert abs(len(some) - 30) <= 1
    assert set(np.flatnonzero(chance == 1.0)) <= set(some)


def test_totals_and_their_error_are_right_on_average():
    rng = np.random.default_rng(0)
    points, size = rng.random((300, 2)), rng.random(300) + 0.2
    value = size * rng.random(300)
    some, totals, errors = order(points), [], []
    chance = chances(size[some], 40)
    for seed in range(400):
        which = kept(chance, np.random.default_rng(seed))
        total = value[some][which] / chance[which]
        totals.append(total.sum())
        stage = Stage(chance[which], np.ones(len(which)))
        errors.append(np.sqrt(variance([stage], [np.arange(len(which))], total)))
    assert np.mean(totals) == pytest.approx(value.sum(), rel=0.02)
    assert 0.6 * np.std(totals) < np.mean(errors) < 1.7 * np.std(totals)


def test_neighbours_in_the_order_lie_close_together_at_any_scale():
    points = np.random.default_rng(0).random((256, 2)) * [1.0, 1e-9]
    steps = np.abs(np.diff(points[order(points)], axis=0)) / [1.0, 1e-9]
    assert steps.sum(axis=1).mean() < 0.15


def test_halves_fill_the_whole():
    tile = whole(np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 1.0], [0.0, 1.0]]))
    left, right = halved(tile, 0.4)
    assert polygon_area(left.corners) + polygon_area(right.corners) == pytest.approx(4.0)
    assert left.inner == right.inner == 1
    assert min(polygon_area(one.corners) for one in halved(left, 0.5)) > 0.1
