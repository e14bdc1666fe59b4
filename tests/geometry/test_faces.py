"""Faces: parts with one class each, judged by points, by areas in closed form, and by the boundary."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import splineviz as sv
from splineviz.errors import PartitionError
from splineviz.geometry import boundary, faces
from splineviz.geometry.faces import Classes
from splineviz.geometry.partition import Partition

SQUARE = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
TWO = np.array([[-1.0, -1.0], [0.0, -1.0], [1.0, -1.0], [1.0, 1.0], [0.0, 1.0], [-1.0, 1.0]])
HALVES = ([0, 4, 8], [0, 1, 4, 5, 1, 2, 3, 4])
"""The square as two faces that share the side u = 0."""


def affine(points: np.ndarray, *rows: tuple[float, float, float]) -> np.ndarray:
    """Outputs (V, C) of affine functions (constant, du, dv) at points (V, 2)."""
    table = np.array(rows)
    return table[:, 0] + points @ table[:, 1:].T


def square(*rows: tuple[float, float, float], level: float = 0.0) -> Classes:
    """The square [-1, 1]^2 as one face, with affine outputs."""
    return faces.classes(SQUARE, [0, 4], [0, 1, 2, 3], affine(SQUARE, *rows), level)


def halves(outputs: np.ndarray) -> Classes:
    return faces.classes(TWO, *HALVES, outputs)


def inside(found: Classes, points: np.ndarray, slack: float) -> np.ndarray:
    """(n, P) whether points lie in each part, up to a distance."""
    held = np.ones((len(points), len(found.label)), bool)
    for p in range(len(found.label)):
        ring = found.vertices[found.part(p)]
        for a, b in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            d = b - a
            cross = d[0] * (points[:, 1] - a[1]) - d[1] * (points[:, 0] - a[0])
            held[:, p] &= cross >= -slack * max(float(np.hypot(*d)), 1e-300)
    return held


def sliced(outputs: int, *, seed: int = 0, width: int = 12, window: Any = 1.5) -> tuple[nn.Module, Partition]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, outputs))
        with torch.no_grad():
            model[-1].weight *= 6.0
            model[-1].bias -= model(torch.rand(400, 2) * 4 - 2).mean(dim=0)  # so that every class leads somewhere
    return model.double(), sv.partition(model, sv.Plane.through([-1.0, -1], [1.0, -1], [0.0, 1]), window=window)


def judged(model: Any, plane: Any, uv: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        values = model(torch.from_numpy(plane.embed(uv))).numpy()
    return np.concatenate([np.zeros_like(values), values], axis=1) if values.shape[1] == 1 else values


# ---- closed forms ------------------------------------------------------------------------------------


def test_one_region_and_two_classes_meet_on_a_line():
    found = square((0.0, 0.0, 0.0), (0.5, 1.0, 0.0))  # class 1 where u > -1/2
    np.testing.assert_allclose(found.shares, [0.25, 0.75], rtol=1e-15)
    assert found.label.tolist() == [1, 0] and found.face.tolist() == [0, 0]
    np.testing.assert_allclose(found.largest, [0.75])
    np.testing.assert_allclose(found.margins, [0.75, 0.25])  # at the middles u = 1/4 and u = -3/4
    assert found.faces == 1 and found.extra.tolist() == [1]


def test_three_classes_meet_in_a_point():
    turns = [2 * math.pi * k / 3 for k in range(3)]
    found = square(*((0.0, math.cos(a), math.sin(a)) for a in turns))
    right = 2.0 - 1.0 / math.sqrt(3.0)  # between the rays at +-60 degrees, up to u = 1
    np.testing.assert_allclose(found.shares * 4.0, [right, 2.0 - right / 2, 2.0 - right / 2], rtol=1e-14)
    assert len(found.vertices) == 4 + 4  # three on the sides and one where all meet, each once
    assert np.abs(found.vertices[4:]).min(axis=0).max() < 1e-15


def test_a_boundary_through_corners_makes_no_new_vertex():
    found = square((0.0, 1.0, -1.0), (0.0, -1.0, 1.0))  # along the diagonal
    np.testing.assert_allclose(found.shares, [0.5, 0.5])
    assert len(found.vertices) == 4
    assert sorted(map(sorted, (found.part(0).tolist(), found.part(1).tolist()))) == [[0, 1, 2], [0, 2, 3]]


def test_a_boundary_along_a_side_cuts_no_face():
    found = halves(affine(TWO, (0.0, 0.0, 0.0), (0.0, 1.0, 0.0)))
    assert found.label.tolist() == [0, 1] and len(found.vertices) == 6 and not len(found.extra)


@pytest.mark.parametrize("value", [0.0, 3.7])
def test_outputs_that_are_equal_everywhere_are_the_first_class(value):
    found = halves(np.full((6, 4), value))
    assert found.label.tolist() == [0, 0]
    assert found.margins.tolist() == [0.0, 0.0]
    assert found.shares.tolist() == [1.0, 0.0, 0.0, 0.0]


def test_rounding_noise_in_a_tie_cuts_nothing():
    noise = np.random.default_rng(0).normal(size=(6, 3)) * 1e-16
    found = halves(1.0 + noise)
    assert found.label.tolist() == [0, 0]


def test_a_dead_half_is_the_first_of_equals():
    """A tie of all classes on the left face, class 2 ahead on the right one."""
    outputs = affine(TWO, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    outputs[TWO[:, 0] < 0] = 0.0
    assert halves(outputs).label.tolist() == [0, 2]


@pytest.mark.parametrize("level", [-0.5, 0.0, 0.25])
def test_one_output_is_cut_at_its_level(level):
    found = square((0.0, 1.0, 0.0), level=level)
    np.testing.assert_allclose(found.shares, [(1 + level) / 2, (1 - level) / 2], rtol=1e-14)
    assert found.count == 2
    everywhere_below = square((-3.0, 1.0, 0.0))
    assert everywhere_below.label.tolist() == [0] and everywhere_below.margins.tolist() == [3.0]


def test_a_thousand_classes_are_a_thousand_cells_of_a_power_diagram():
    """Tangent planes of a paraboloid: the cells are those of the nearest site."""
    rng = np.random.default_rng(1)
    sites = rng.uniform(-1, 1, (1000, 2))
    found = square(*((-(u * u + v * v), 2 * u, 2 * v) for u, v in sites.tolist()))
    points = rng.uniform(-1, 1, (300, 2))
    nearest = np.argmin(((points[:, None] - sites) ** 2).sum(axis=2), axis=1)
    held = inside(found, points, 1e-12)
    assert (held.sum(axis=1) == 1).all()
    assert (found.label[held.argmax(axis=1)] == nearest).all()
    assert np.unique(found.label).size == len(found.label) == 1000
    assert found.areas.sum() == pytest.approx(4.0, rel=1e-13)


def test_a_class_that_leads_in_no_point_has_no_part():
    found = square((0.0, 1.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 0.0), (-0.5, 0.0, 0.0))
    assert sorted(found.label.tolist()) == [0, 1]
    np.testing.assert_allclose(found.shares, [0.5, 0.5, 0.0, 0.0])


def test_a_face_too_thin_to_cut_has_the_class_of_its_middle():
    thin = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 0.0]])
    found = faces.classes(thin, [0, 3], [0, 1, 2], affine(thin, (0.6, 0.0, 0.0), (0.0, 1.0, 0.0)))
    assert found.label.tolist() == [0] and found.areas.tolist() == [0.0]


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(PartitionError, match="one row for each of 4 vertices"):
        faces.classes(SQUARE, [0, 4], [0, 1, 2, 3], np.zeros((3, 2)))


def test_outputs_that_no_affine_functions_have_leave_a_face_whole_and_are_counted():
    found = faces.classes(SQUARE, [0, 4], [0, 1, 2, 3], np.array([[1.0, 0.0], [0.0, 1.0]] * 2))
    assert found.label.tolist() == [0] and found.undecided == 1
    assert square((0.0, 0.0, 0.0), (0.5, 1.0, 0.0)).undecided == 0


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_noise_of_a_dead_region_is_no_boundary(outputs):
    """Right of the line outputs are 1e-18, as values that were interpolated from far away may leave them."""
    values = affine(TWO, *[(0.0, min(k - 0.5, 0.5), 0.0) for k in range(outputs)])
    noise = 1e-18 * np.array([[-3.0, 2.0], [1.0, -2.0], [3.0, -1.0], [-1.0, 1.0]])[:, :outputs]
    values[[1, 2, 3, 4]] = noise
    found = faces.classes(TWO, *HALVES, values)
    assert found.label[-1] == 0 and found.undecided == 0 and not len(found.extra)
    ends = [[0, 1], [1, 4], [4, 5], [5, 0], [1, 2], [2, 3], [3, 4]]
    line = boundary.decision_boundary(TWO, ends, [[0, -1], [0, 1], *[[0, -1]] * 2, *[[1, -1]] * 3], *HALVES, values)
    assert (np.abs(line.segments[:, :, 0]) < 1e-9).all(), "nothing but the line between the two"


# ---- judged by the network -----------------------------------------------------------------------------


@pytest.mark.parametrize("outputs", [1, 2, 3, 10, 50])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_part_at_a_point_has_the_class_that_the_network_gives_it(outputs, seed):
    model, part = sliced(outputs, seed=seed)
    found = part.classes()
    low, high = part.window.min(axis=0), part.window.max(axis=0)
    points = low + (high - low) * np.random.default_rng(seed).random((2000, 2))
    values = judged(model, part.plane, points)
    second = np.sort(values, axis=1)
    clear = second[:, -1] - second[:, -2] > 1e-9 * np.abs(values).max()
    held = inside(found, points - part.centre, 1e-12)[clear]
    assert (held.sum(axis=1) >= 1).all()
    wrong = held & (found.label[None] != values.argmax(axis=1)[clear][:, None])
    assert not wrong.any()
    assert len(found.extra) > 3, "the case does not test what it should"


@pytest.mark.parametrize("outputs", [1, 3, 10])
def test_parts_cover_each_face_and_meet_where_the_boundary_runs(outputs):
    _, part = sliced(outputs, seed=4)
    found, line = part.classes(), part.boundary_at()
    np.testing.assert_allclose(np.bincount(found.face, weights=found.areas), part.areas, rtol=1e-9, atol=1e-16)
    assert found.shares.sum() == pytest.approx(1.0)
    assert (np.bincount(found.face, minlength=found.faces) <= found.count).all()
    # A segment inside a face is a side of two of its parts, with the classes on its two sides.
    def cuts_through(index: int) -> bool:
        middle = line.segments[index].mean(axis=0)
        ring = part.local_vertices[part.face(line.faces[index])]
        sides = np.roll(ring, -1, axis=0) - ring
        cross = sides[:, 0] * (middle - ring)[:, 1] - sides[:, 1] * (middle - ring)[:, 0]
        return bool((cross > 1e-11 * np.hypot(*sides.T)).all())

    through = [index for index in range(len(line.faces)) if cuts_through(index)]
    assert len(through) > 3
    for index in through:
        mine = np.flatnonzero(found.face == line.faces[index])
        middle = line.segments[index].mean(axis=0)
        touching = mine[inside(found, middle[None], 1e-10)[0, mine]]
        kinds = {0, 1} if outputs == 1 else set(line.classes[index].tolist())
        assert set(found.label[touching].tolist()) == kinds
    # And the other way round: all that parts share inside faces is boundary.
    sides, both = found.rims()
    ends = found.vertices[sides]
    whole = part.local_vertices[part.edges]
    for (a, b), (p, _) in zip(ends, both.tolist(), strict=True):
        if np.hypot(*(b - a)) > 1e-9:
            middle = (a + b)[None] / 2
            rim = boundary.distances(middle, whole)[0]
            assert min(rim, boundary.distances(middle, line.segments[line.faces == found.face[p]])[0]) < 1e-10


@pytest.mark.parametrize("outputs", [1, 2, 3, 10])
def test_margins_are_those_at_the_middles(outputs):
    model, part = sliced(outputs, seed=2)
    found = part.classes()
    middles = np.array([found.vertices[found.part(p)].mean(axis=0) for p in range(len(found.label))]) + part.centre
    values = judged(model, part.plane, middles)
    own = values[np.arange(len(values)), found.label]
    values[np.arange(len(values)), found.label] = -np.inf
    size = np.abs(part.outputs).max()
    np.testing.assert_allclose(found.margins, np.maximum(own - values.max(axis=1), 0.0), rtol=0, atol=1e-9 * size)
    assert (found.margins >= 0).all()


@pytest.mark.parametrize("outputs", [1, 2, 3, 10])
def test_the_least_lead_at_a_point_is_its_margin(outputs):
    model, part = sliced(outputs, seed=3)
    found = part.classes()
    starts, rows = faces.leads(found, part.local_vertices, part.face_offsets, part.face_vertices, part.outputs)
    assert (np.diff(starts) >= 1).all()
    low, high = part.window.min(axis=0), part.window.max(axis=0)
    points = low + (high - low) * np.random.default_rng(0).random((500, 2))
    local = points - part.centre
    values = np.sort(judged(model, part.plane, points), axis=1)
    size = np.abs(part.outputs).max()
    held = inside(found, local, 0.0)
    for n in range(len(points)):
        for p in np.flatnonzero(held[n]):
            if part.areas[found.face[p]] < 1e-12:
                continue
            away = local[n] - found.vertices[found.part(p)].mean(axis=0)
            leads = rows[starts[p] : starts[p + 1]]
            assert (leads[:, 0] + leads[:, 1:] @ away).min() == pytest.approx(values[n, -1] - values[n, -2], abs=1e-8 * size)


def test_parts_are_the_same_whatever_the_place_and_the_size_of_the_window():
    """Scaling the outputs by a power of two or adding the same number to all changes no part."""
    _, part = sliced(5, seed=6)
    found = part.classes()
    for outputs in (part.outputs * 2.0**40, part.outputs * 2.0**-40):
        other = faces.classes(part.local_vertices, part.face_offsets, part.face_vertices, outputs)
        np.testing.assert_array_equal(other.label, found.label)
        np.testing.assert_array_equal(other.vertices, found.vertices)
    turned = part.outputs[:, ::-1]
    other = faces.classes(part.local_vertices, part.face_offsets, part.face_vertices, turned)
    np.testing.assert_allclose(other.shares[::-1], found.shares, rtol=1e-12, atol=1e-15)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.integers(-3, 3)] * 3), min_size=2, max_size=6))
def test_small_whole_numbers_are_full_of_ties_and_points_still_agree(rows):
    """Slopes and constants from -3 to 3: parallel, equal and concurrent lines, corners and sides hit exactly."""
    found = square(*[tuple(map(float, row)) for row in rows])
    points = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    values = affine(points, *rows)
    held = inside(found, points, 1e-13)
    assert (held.sum(axis=1) == 1).all()
    assert (found.label[held.argmax(axis=1)] == values.argmax(axis=1)).all()
    assert found.areas.sum() == pytest.approx(4.0)
    assert np.unique(found.label).size == len(found.label)
