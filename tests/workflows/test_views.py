"""Cameras: where the views are, that they are those of the network, and where a zoom ends."""

from __future__ import annotations

import numpy as np
import pytest
from small_runs import network

from splineviz.errors import DataError, PlaneError
from splineviz.geometry.plane import Plane
from splineviz.regions.enumerate import partition
from splineviz.tracing.trace import trace
from splineviz.workflows import views as cameras


@pytest.fixture(scope="module")
def program():
    return trace(network(inputs=2, hidden=24, outputs=3).double(), (2,))


PLANE = Plane(np.zeros(2), np.eye(2), np.array([[-0.5, -0.4], [0.5, -0.4], [0.0, 0.55]]))


def halves(views: list[cameras.View]) -> np.ndarray:
    return np.array([np.ptp(view.window, axis=0).max() / 2 for view in views])


def test_a_zoom_closes_in_evenly_and_keeps_its_point_in_view(program):
    views = cameras.zoom(program, PLANE, window=1.0, to=(0.3, -0.2), frames=9, depth=256.0)
    np.testing.assert_allclose(halves(views), halves(views)[0] * 2.0 ** -np.arange(9), rtol=1e-12)
    np.testing.assert_allclose([view.place for view in views], 2.0 ** np.arange(9), rtol=1e-12)
    centres = np.array([view.window.mean(axis=0) for view in views])
    spots = (np.array([0.3, -0.2]) - centres) / halves(views)[:, None]
    # On the screen the point goes to the middle in a straight line, at an even pace.
    np.testing.assert_allclose(spots, np.linspace(1, 0, 9)[:, None] * spots[0], atol=1e-9)


def test_a_zoom_ends_at_a_bend_of_the_boundary_where_double_precision_ends(program):
    views = cameras.zoom(program, PLANE, window=1.0, frames=5)
    last = partition(program, PLANE, window=views[-1].window)
    assert halves(views)[-1] < 1e-11
    ends = last.boundary_at().segments.reshape(-1, 2) + last.centre - views[-1].window.mean(axis=0)
    assert len(last.decision_boundary()) >= 2  # a bend: the boundary has two pieces
    assert np.abs(ends).max(axis=1).min() < 0.05 * halves(views)[-1]  # and it is in the middle of the picture
    assert last.verify(program).ok


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"to": (3.0, 0.0)}, "a point .u, v. in the window"),
        ({"to": (float("nan"), 0.0)}, "a point"),
        ({"to": (0.1, 0.1), "depth": 1e15}, "for double precision, got 1e"),
        ({"depth": 0.5}, "a magnification above 1"),
        ({"frames": 1}, "2 or more, got 1"),
    ],
)
def test_refusals_of_a_zoom(program, options, message):
    with pytest.raises(DataError, match=message):
        cameras.zoom(program, PLANE, window=1.0, **options)


def test_a_network_without_boundary_has_nothing_to_zoom_to():
    model = network(inputs=2, hidden=4, outputs=3).double()
    model[-1].bias.data[0] += 100.0
    with pytest.raises(DataError, match="a decision boundary inside the window to zoom to, got none; name a point"):
        cameras.zoom(trace(model, (2,)), PLANE, window=1.0)


# ---- planes that move --------------------------------------------------------------------------------

SAMPLES = np.random.default_rng(0).normal(size=(4, 6))


def distance(plane: Plane, x: np.ndarray) -> float:
    return float(np.linalg.norm(plane.embed(plane.project(x[None]))[0] - x))


def test_a_turn_begins_and_ends_at_the_samples_and_keeps_two():
    views = cameras.turn(SAMPLES, frames=5)
    for k, view in enumerate(views):
        third = SAMPLES[2] + k / 4 * (SAMPLES[3] - SAMPLES[2])
        np.testing.assert_allclose(view.plane.embed(view.plane.anchors_uv), [SAMPLES[0], SAMPLES[1], third], atol=1e-12)
        low, high = view.window.min(axis=0), view.window.max(axis=0)
        assert (view.plane.anchors_uv > low).all() and (view.plane.anchors_uv < high).all()
    assert np.ptp(halves(views)) < 1e-12  # one scale for all pictures


def test_a_turn_through_a_line_is_refused():
    through = 2 * SAMPLES[0] - SAMPLES[2]  # the third corner would pass x0
    with pytest.raises(PlaneError):
        cameras.turn([*SAMPLES[:3], through], frames=3)


def test_a_slide_is_parallel_and_ends_at_the_fourth_sample():
    views = cameras.slide(SAMPLES, frames=4)
    for view in views:
        np.testing.assert_array_equal(view.plane.basis, views[0].plane.basis)
        np.testing.assert_array_equal(view.window, views[0].window)
    gaps = [distance(view.plane, SAMPLES[3]) for view in views]
    np.testing.assert_allclose(gaps, gaps[0] * np.array([3, 2, 1, 0]) / 3, atol=1e-12)
    np.testing.assert_allclose([view.place for view in views], gaps[0] - np.array(gaps), atol=1e-12)
    np.testing.assert_allclose(views[-1].plane.embed(views[-1].plane.anchors_uv)[0], SAMPLES[3], atol=1e-12)
    assert [len(view.plane.anchors_uv) for view in views] == [3, 0, 0, 1]  # a star is a sample, or it is not there


def test_a_slide_to_a_sample_on_the_plane_is_refused():
    with pytest.raises(DataError, match="a fourth sample off the plane"):
        cameras.slide([*SAMPLES[:3], SAMPLES[:3].mean(axis=0)])
    with pytest.raises(DataError, match="expected four"):
        cameras.slide(SAMPLES[:3])
