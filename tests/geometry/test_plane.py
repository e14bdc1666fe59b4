"""Planes and windows: embedding and projecting are inverse, and what spans no plane is refused with a remedy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from splineviz.errors import PlaneError
from splineviz.geometry.plane import MARGIN, Plane, convex_polygon
from splineviz.regions.enumerate import partition
from splineviz.regions.estimates import estimate

SQUARE = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])


@given(st.integers(0, 10**6), st.sampled_from([(2,), (7,), (1, 4, 4), (3, 2, 5)]), st.floats(-6, 6))
def test_anchors_lie_on_their_plane_and_keep_their_distances(seed: int, shape: tuple[int, ...], scale: float) -> None:
    anchors = np.random.default_rng(seed).normal(size=(3, *shape)) * 10.0**scale
    plane = Plane.through(*anchors)
    assert plane.input_shape == shape and plane.basis.shape == (2, *shape)
    size = np.abs(anchors).max()
    np.testing.assert_allclose(plane.embed(plane.anchors_uv), anchors, rtol=0, atol=1e-12 * size)
    np.testing.assert_allclose(plane.project(anchors), plane.anchors_uv, rtol=0, atol=1e-12 * size)
    for i in range(3):
        apart = np.linalg.norm(anchors[i] - anchors[i - 1])
        assert np.linalg.norm(plane.anchors_uv[i] - plane.anchors_uv[i - 1]) == pytest.approx(
            apart, rel=1e-9, abs=1e-12 * size
        )
    flat = plane.basis.reshape(2, -1)
    np.testing.assert_allclose(flat @ flat.T, np.eye(2), rtol=0, atol=1e-12)


def test_embed_then_project_is_the_identity_and_project_is_orthogonal() -> None:
    rng = np.random.default_rng(0)
    plane = Plane.through(*rng.normal(size=(3, 10)))
    uv = rng.normal(size=(20, 2))
    np.testing.assert_allclose(plane.project(plane.embed(uv)), uv, rtol=0, atol=1e-12)
    x = rng.normal(size=(5, 10))
    gap = x - plane.embed(plane.project(x))
    np.testing.assert_allclose(gap @ plane.basis.T, 0.0, atol=1e-12)


def test_e1_points_from_the_first_anchor_to_the_second_and_the_third_is_above() -> None:
    uv = Plane.through([0.0, 0, 0], [0, 3, 0], [0, 1, 2]).anchors_uv
    np.testing.assert_allclose(uv - uv[0], [[0, 0], [3, 0], [1, 2]], atol=1e-14)


def test_tensors_and_lists_are_accepted() -> None:
    x = torch.eye(3)
    by_tensor, by_list = Plane.through(*x.requires_grad_()), Plane.through(*np.eye(3).tolist())
    np.testing.assert_allclose(by_tensor.origin, by_list.origin, atol=1e-7)
    assert by_tensor.project(torch.eye(3)).shape == (3, 2)


def test_a_plane_cannot_be_changed_through_its_arrays() -> None:
    origin = np.zeros(2)
    plane = Plane(origin, np.eye(2))
    origin[0] = 5.0
    assert plane.origin[0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        plane.basis[0, 0] = 2.0


@pytest.mark.parametrize(
    ("anchors", "words"),
    [
        (([0.0, 0, 1], [0, 0, 1], [1, 0, 0]), "anchors 0 and 1 that coincide"),
        (([1.0, 0, 0], [0, 0, 1], [1, 0, 0]), "anchors 0 and 2 that coincide"),
        (([0.0, 0, 1], [1, 0, 0], [1, 0, 0]), "anchors 1 and 2 that coincide"),
        (([0.0, 0, 0], [1, 1, 1], [3, 3, 3]), "three on one line"),
        (([0.1, 0.2, 0.3], [0.2, 0.4, 0.6], [0.7, 1.4, 2.1]), "three on one line"),
        (([0.0, 0], [1, 1, 1], [3, 3, 3]), "of one shape"),
    ],
)
def test_anchors_that_span_no_plane_are_refused(anchors: tuple[list[float], ...], words: str) -> None:
    with pytest.raises(PlaneError, match=words):
        Plane.through(*anchors)


def test_anchors_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match=r"anchor 1: expected finite numbers, got 1 NaN"):
        Plane.through([0.0, 0], [np.nan, 1], [1, 1])


@pytest.mark.parametrize("basis", [[[1.0, 0], [1, 1]], [[2.0, 0], [0, 2]], [[1.0, 0], [1e-6, 1]]])
def test_a_basis_that_is_not_orthonormal_is_refused(basis: list[list[float]]) -> None:
    with pytest.raises(PlaneError, match="orthonormal"):
        Plane(np.zeros(2), np.array(basis))


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(PlaneError, match=r"expected shape \(2, 3\)"):
        Plane(np.zeros(3), np.eye(2))
    plane = Plane(np.zeros(2), np.eye(2))
    with pytest.raises(PlaneError, match=r"shape \(n, 2\), got shape \(2,\)"):
        plane.embed([0.0, 1.0])
    with pytest.raises(PlaneError, match=r"inputs of shape \(n, 2\), got \(4, 3\)"):
        plane.project(np.zeros((4, 3)))


# ---- windows ---------------------------------------------------------------------------------------------------


def test_the_default_window_holds_the_anchors_with_a_margin() -> None:
    plane = Plane.through([0.0, 0, 0], [4, 0, 0], [1, 2, 0])
    window = plane.window()
    low, high = plane.anchors_uv.min(axis=0), plane.anchors_uv.max(axis=0)
    np.testing.assert_allclose(window.mean(axis=0), (low + high) / 2, atol=1e-12)
    np.testing.assert_allclose(np.ptp(window, axis=0), 4.0 * (1 + 2 * MARGIN))
    assert (window.min(axis=0) < low).all() and (window.max(axis=0) > high).all()


def test_half_widths_and_planes_without_anchors() -> None:
    np.testing.assert_array_equal(Plane(np.zeros(2), np.eye(2)).window(), SQUARE)
    np.testing.assert_array_equal(Plane(np.zeros(2), np.eye(2)).window(0.5), SQUARE / 2)
    for half in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(PlaneError, match="positive half-width"):
            Plane(np.zeros(2), np.eye(2)).window(half)


@pytest.mark.parametrize("half", ["all", {}, 3 + 0j, len, 10**400, True], ids=str)
def test_what_is_no_half_width_is_named(half: object) -> None:
    with pytest.raises(PlaneError, match="expected a positive half-width, .*got"):
        Plane(np.zeros(2), np.eye(2)).window(half)


@pytest.mark.parametrize("half", [1e-20, 1e-300, 1e160, 1e300])
def test_a_half_width_that_leaves_no_area_in_doubles_is_refused(half: float) -> None:
    plane = Plane.through([-1.0, -1, 0], [1, -1, 0.3], [0, 1, -0.4])
    with pytest.raises(PlaneError, match="window: expected an area that a double can hold, .* half-width"):
        plane.window(half)


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_a_polygon_that_leaves_no_area_in_doubles_is_refused(size: float) -> None:
    with pytest.raises(PlaneError, match="window: expected an area that a double can hold"):
        convex_polygon(SQUARE * size)


@pytest.mark.parametrize(
    "polygon",
    [
        SQUARE,
        SQUARE * 1e-9,
        SQUARE * 1e-9 + 0.5,
        SQUARE + 1e6,
        SQUARE * [1, 1e-7],
        [[-1, -1], [0, -1], [1, -1], [1, 1], [-1, 1]],
        [[0, 0], [1, 0], [0, 1]],
        torch.tensor(SQUARE),
        np.stack([np.cos(np.arange(100) / 50 * np.pi), np.sin(np.arange(100) / 50 * np.pi)], axis=1),
    ],
    ids=["square", "tiny", "tiny, moved", "far", "thin", "straight corner", "triangle", "tensor", "hundred corners"],
)
def test_convex_polygons_are_taken_as_they_are(polygon: object) -> None:
    np.testing.assert_array_equal(convex_polygon(polygon), np.asarray(polygon, dtype=float))


@pytest.mark.parametrize(
    ("polygon", "words"),
    [
        (SQUARE[::-1], "reverse their order"),
        (SQUARE[:2], "at least 3 corners"),
        (SQUARE[[0, 1, 1, 2]], "a corner twice"),
        ([[0, 0], [2, 0], [0.5, 0.5], [0, 2]], "turns right.*convex hull"),
        ([[0, 0], [1, 0], [2, 0]], "convex"),
        ([[np.cos(4 * np.pi * k / 5), np.sin(4 * np.pi * k / 5)] for k in range(5)], "crosses itself"),
        (np.concatenate([SQUARE, SQUARE]), "convex"),
        (SQUARE.ravel(), r"shape \(n, 2\)"),
    ],
    ids=["clockwise", "two corners", "repeated", "dent", "flat", "pentagram", "twice round", "flat array"],
)
def test_other_polygons_are_refused(polygon: object, words: str) -> None:
    with pytest.raises(PlaneError, match=words):
        Plane(np.zeros(2), np.eye(2)).window(polygon)


def test_three_samples_stand_for_their_plane():
    """As a list, an array and a tensor; whatever else is named in the words of the one who passed it."""
    samples = [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    expected = Plane.through(*samples)
    for said in (samples, tuple(samples), np.array(samples), torch.tensor(samples), expected):
        got = Plane.of(said)
        assert np.array_equal(got.origin, expected.origin) and np.array_equal(got.basis, expected.basis)
    model = torch.nn.Linear(3, 2)
    assert partition(model, samples).num_regions == 1 and estimate(model, samples).regions == 1
    for wrong, words in ((model, "got Linear; the network comes first"), ("x", "got str"), (3, "got int"),
                         (samples[:2], "three samples, got 2")):  # fmt: skip
        with pytest.raises(PlaneError, match=words):
            Plane.of(wrong)
    with pytest.raises(PlaneError, match="the network comes first"):
        partition(expected, model)


def test_a_plane_is_shown_in_one_line():
    plane = Plane.through(np.zeros((1, 2, 2)), np.eye(2)[None], np.ones((1, 2, 2)))
    assert repr(plane) == f"Plane(3 anchors, inputs 1 x 2 x 2, window {np.ptp(plane.window()[:, 0]):.4g} wide)"
