"""The decision boundary against closed forms and against labels read at points."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import splineviz as sv
from splineviz.errors import PartitionError, PlaneError
from splineviz.geometry.boundary import TOLERANCE, Boundary, decision_boundary, distances

SQUARE = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
HALVES = (np.array([[-1.0, -1], [0, -1], [1, -1], [1, 1], [0, 1], [-1, 1]]), [[0, 1, 4, 5], [1, 2, 3, 4]])
"""The square in two faces, left and right of u = 0."""


class Complex:
    """Vertices and counter-clockwise faces, with the edges they make."""

    def __init__(self, vertices: np.ndarray, faces: list[list[int]]):
        sides: dict[tuple[int, int], list[int]] = {}
        for f, face in enumerate(faces):
            for a, b in zip(face, face[1:] + face[:1], strict=True):
                sides.setdefault((min(a, b), max(a, b)), [-1, -1])[0 if a < b else 1] = f
        self.vertices, self.faces = np.asarray(vertices, dtype=float), faces
        self.edges, self.edge_faces = np.array(list(sides)), np.array(list(sides.values()))
        self.offsets = np.cumsum([0] + [len(f) for f in faces])
        self.ring = np.concatenate(faces)

    def boundary(self, outputs, level: float = 0.0, **options) -> Boundary:
        return decision_boundary(
            self.vertices, self.edges, self.edge_faces, self.offsets, self.ring, outputs, level, **options
        )


def triangulated(columns: int, seed: int) -> Complex:
    """A jittered grid of triangles on [-1, 1]^2: any values at its vertices are affine on its faces."""
    rng = np.random.default_rng(seed)
    n = columns + 1
    u, v = np.meshgrid(np.linspace(-1, 1, n), np.linspace(-1, 1, n))
    inner = np.zeros((n, n))
    inner[1:-1, 1:-1] = 0.5 / columns
    u, v = u + inner * rng.uniform(-1, 1, u.shape), v + inner * rng.uniform(-1, 1, u.shape)
    vertices = np.stack([u, v], axis=-1).reshape(-1, 2)
    faces = []
    for r in range(columns):
        for c in range(columns):
            a, b, d, e = r * n + c, r * n + c + 1, (r + 1) * n + c + 1, (r + 1) * n + c
            faces += [[a, b, d], [a, d, e]]
    return Complex(vertices, faces)


def split(whole: Complex, outputs: np.ndarray) -> tuple[Complex, np.ndarray]:
    """Every triangle cut in three at its centroid; the outputs stay affine on what they were affine on."""
    middle = np.array([whole.vertices[f].mean(axis=0) for f in whole.faces])
    values = np.array([outputs[f].mean(axis=0) for f in whole.faces])
    faces, n = [], len(whole.vertices)
    for f, (a, b, c) in enumerate(whole.faces):
        faces += [[a, b, n + f], [b, c, n + f], [c, a, n + f]]
    return Complex(np.vstack([whole.vertices, middle]), faces), np.vstack([outputs, values])


def random_polygon(rng: np.random.Generator) -> np.ndarray:
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(5, 9)))
    while np.diff(np.append(angles, angles[0] + 2 * np.pi)).max() > 2.5:
        angles = np.sort(rng.uniform(0, 2 * np.pi, 8))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * rng.uniform(0.1, 10) + rng.normal(size=2)


def cross(a, b):
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def meets(p: np.ndarray, q: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Number of segments that each walk p -> q crosses."""
    count = np.zeros(len(p), dtype=int)
    for a, b in segments:
        apart = cross(b - a, p - a) * cross(b - a, q - a) < 0
        count += apart & (cross(q - p, a - p) * cross(q - p, b - p) < 0)
    return count


def same_segments(got: np.ndarray, expected: np.ndarray) -> bool:
    """Equal as sets of unordered segments, to 1e-12."""
    def canonical(segments):
        ordered = [sorted(map(tuple, np.round(np.asarray(s, dtype=float), 12) + 0.0)) for s in segments]
        return np.array(sorted(ordered), dtype=float).reshape(-1, 2, 2)

    got, expected = canonical(got), canonical(expected)
    return got.shape == expected.shape and bool(np.allclose(got, expected, rtol=0, atol=1e-11))


# ---- closed forms ------------------------------------------------------------------------------------


def test_two_classes_meet_on_one_line():
    square = Complex(SQUARE, [[0, 1, 2, 3]])
    u, v = SQUARE.T
    boundary = square.boundary(np.stack([u + v, np.zeros(4)], axis=1) + 0.5)
    assert same_segments(boundary.segments, [[[-1, 1], [1, -1]]])
    assert boundary.lengths == pytest.approx([2 * np.sqrt(2)])
    assert boundary.faces.tolist() == [0] and boundary.faces.dtype == np.int32
    (a, b), (left, right) = boundary.segments[0], boundary.classes[0]
    assert {left, right} == {0, 1}
    corner = np.array([1.0, 1.0])  # class 0 wins there
    assert (cross(b - a, corner - a) > 0) == (left == 0)


def test_three_classes_meet_in_a_y():
    angles = np.array([90.0, 210.0, 330.0]) * np.pi / 180
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    hexagon = np.stack([np.cos(np.arange(6) * np.pi / 3), np.sin(np.arange(6) * np.pi / 3)], axis=1)
    boundary = Complex(hexagon, [list(range(6))]).boundary(hexagon @ rays.T)
    far = -rays * np.sqrt(3) / 2  # opposite to every class, on a side of the hexagon
    assert same_segments(boundary.segments, [[[0, 0], p] for p in far])
    assert sorted(map(sorted, boundary.classes.tolist())) == [[0, 1], [0, 2], [1, 2]]


def test_a_tie_below_the_winner_is_no_boundary():
    u, v = SQUARE.T
    outputs = np.stack([np.full(4, 5.0), u, v], axis=1)
    assert len(Complex(SQUARE, [[0, 1, 2, 3]]).boundary(outputs).segments) == 0


def test_a_tie_on_a_whole_face_is_no_boundary():
    vertices, faces = HALVES
    dead = Complex(vertices, faces)
    assert len(dead.boundary(np.zeros((6, 3))).segments) == 0
    assert len(dead.boundary(np.full((6, 1), 0.25), 0.25).segments) == 0
    assert len(dead.boundary(np.repeat(vertices[:, :1], 3, axis=1)).segments) == 0


def test_equal_classes_count_once():
    u, v = SQUARE.T
    outputs = np.stack([u, u, -u, -u], axis=1)
    boundary = Complex(SQUARE, [[0, 1, 2, 3]]).boundary(outputs)
    assert same_segments(boundary.segments, [[[0, -1], [0, 1]]])
    assert sorted(boundary.classes[0].tolist()) == [0, 2]


def test_three_classes_that_tie_on_one_line_show_only_the_two_that_win():
    u, v = SQUARE.T
    for order in ([0, 1, 2], [1, 0, 2], [1, 2, 0]):
        outputs = np.stack([u, -2 * u, 3 * u], axis=1)[:, order]
        boundary = Complex(SQUARE, [[0, 1, 2, 3]]).boundary(outputs)
        assert same_segments(boundary.segments, [[[0, -1], [0, 1]]]), order
        assert sorted(boundary.classes[0].tolist()) == sorted([order.index(1), order.index(2)])


def test_a_boundary_through_two_corners():
    u, v = SQUARE.T
    boundary = Complex(SQUARE, [[0, 1, 2, 3]]).boundary(np.stack([u, v], axis=1))
    assert same_segments(boundary.segments, [[[-1, -1], [1, 1]]])


def test_a_boundary_that_touches_a_corner_is_none():
    u, v = SQUARE.T
    assert len(Complex(SQUARE, [[0, 1, 2, 3]]).boundary(np.stack([u + v, np.full(4, 2.0)], axis=1)).segments) == 0


def test_a_boundary_along_an_edge_appears_once():
    vertices, faces = HALVES
    u = vertices[:, 0]
    for values in (u, 1e-17 * np.sign(vertices[:, 1]) + u):
        boundary = Complex(vertices, faces).boundary(np.stack([values, np.zeros(6)], axis=1) + 1.0)
        assert same_segments(boundary.segments, [[[0, -1], [0, 1]]])
        (a, b), (left, right) = boundary.segments[0], boundary.classes[0]
        assert (left, right) == ((1, 0) if b[1] > a[1] else (0, 1))
        assert Complex(vertices, faces).edge_faces[:, 0].tolist().count(boundary.faces[0]) > 0


def test_a_tie_along_an_edge_with_one_winner_is_no_boundary():
    vertices, faces = HALVES
    outputs = np.stack([np.abs(vertices[:, 0]), np.zeros(6)], axis=1)
    assert len(Complex(vertices, faces).boundary(outputs).segments) == 0
    assert len(Complex(vertices, faces).boundary(outputs[:, ::-1] + [0, -2]).segments) == 0


def test_a_tie_on_one_face_takes_its_first_class():
    # relu(u) against 0: equal on the left face, where class 0 counts; on the right it wins or loses.
    vertices, faces = HALVES
    rectified = np.maximum(vertices[:, 0], 0)
    whole = Complex(vertices, faces)
    assert len(whole.boundary(np.stack([rectified, np.zeros(6)], axis=1)).segments) == 0
    assert same_segments(whole.boundary(np.stack([np.zeros(6), rectified], axis=1)).segments, [[[0, -1], [0, 1]]])


def test_a_tie_along_the_window_is_no_boundary():
    u = SQUARE[:, 0]
    assert len(Complex(SQUARE, [[0, 1, 2, 3]]).boundary(np.stack([u, np.ones(4)], axis=1)).segments) == 0


def test_a_part_of_an_edge():
    # Classes 0 and 1 tie along the edge u = 0, where class 2 is larger for v > 0 (on both sides, near the edge).
    vertices, faces = HALVES
    u, v = vertices.T
    boundary = Complex(vertices, faces).boundary(np.stack([u, -u, v], axis=1))
    assert same_segments(boundary.segments, [[[0, -1], [0, 0]], [[0, 0], [1, 1]], [[0, 0], [-1, 1]]])


def test_a_boundary_that_passes_through_a_shared_vertex():
    # Four quadrants round (0, 0); u - v = 0 runs through their common corner and two outer ones.
    ticks = [-1.0, 0.0, 1.0]
    vertices = np.array([[x, y] for y in ticks for x in ticks])
    faces = [[r * 3 + c, r * 3 + c + 1, (r + 1) * 3 + c + 1, (r + 1) * 3 + c] for r in (0, 1) for c in (0, 1)]
    boundary = Complex(vertices, faces).boundary(np.stack([vertices[:, 0], vertices[:, 1]], axis=1))
    assert same_segments(boundary.segments, [[[-1, -1], [0, 0]], [[0, 0], [1, 1]]])


def test_level_set_of_one_output():
    square = Complex(SQUARE, [[0, 1, 2, 3]])
    u, v = SQUARE.T
    for outputs in (u, u[:, None]):
        boundary = square.boundary(outputs, 0.25)
        assert same_segments(boundary.segments, [[[0.25, -1], [0.25, 1]]])
        assert boundary.classes.tolist() == [[-1, -1]]
        a, b = boundary.segments[0]
        assert cross(b - a, np.array([1.0, 0.0]) - a) < 0  # the higher side is on the right
    assert len(square.boundary(u, 2.0).segments) == 0


def test_tolerance_decides_what_a_tie_is():
    vertices, faces = HALVES
    tilted = Complex(vertices, faces)
    outputs = np.stack([vertices[:, 0] + 1e-6 * vertices[:, 1], np.zeros(6)], axis=1)
    assert len(tilted.boundary(outputs).segments) == 2  # crosses the edge in the middle
    merged = tilted.boundary(outputs, tolerance=1e-5)
    assert same_segments(merged.segments, [[[0, -1], [0, 1]]])


# ---- brute force -------------------------------------------------------------------------------------


def check_one_face(polygon: np.ndarray, slopes: np.ndarray, shifts: np.ndarray, rng: np.random.Generator) -> None:
    """Cells are convex: a walk meets the boundary if and only if its ends have different labels."""
    boundary = Complex(polygon, [list(range(len(polygon)))]).boundary(polygon @ slopes.T + shifts)
    weights = rng.dirichlet(np.full(len(polygon), 0.7), size=(2, 400))
    p, q = weights @ polygon
    label = [np.argmax(x @ slopes.T + shifts, axis=1) for x in (p, q)]
    # From cell to cell a straight walk meets as many pieces as labels it leaves; 0 if and only if it leaves none.
    np.testing.assert_array_equal(meets(p, q, boundary.segments) > 0, label[0] != label[1])
    if len(boundary.segments):
        a, b = boundary.segments.transpose(1, 0, 2)
        normal = np.stack([a[:, 1] - b[:, 1], b[:, 0] - a[:, 0]], axis=1)
        middle, step = (a + b) / 2, 1e-3 * np.minimum(1.0, boundary.lengths)[:, None] * normal / boundary.lengths[:, None]
        for side, sign in ((0, 1e-3), (1, -1e-3)):
            values = (middle + sign * step) @ slopes.T + shifts
            np.testing.assert_array_equal(values.argmax(axis=1), boundary.classes[:, side])


@given(seed=st.integers(0, 2**32 - 1), classes=st.integers(2, 12))
@settings(deadline=None, max_examples=60)
def test_random_functions_on_a_face(seed, classes):
    rng = np.random.default_rng(seed)
    polygon = random_polygon(rng)
    slopes = rng.normal(size=(classes, 2))
    shifts = -slopes @ polygon.mean(axis=0) + 0.3 * np.ptp(polygon) * rng.normal(size=classes)
    check_one_face(polygon, slopes, shifts, rng)


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_small_integers_are_full_of_coincidences(seed):
    """Slopes and shifts in {-1, 0, 1} on a grid of squares: ties along edges, through corners, of many classes at once."""
    rng = np.random.default_rng(seed)
    slopes, shifts = rng.integers(-1, 2, (5, 2)).astype(float), rng.integers(-1, 2, 5).astype(float)
    ticks = np.arange(-2.0, 3.0)
    vertices = np.array([[x, y] for y in ticks for x in ticks])
    faces = [[r * 5 + c, r * 5 + c + 1, (r + 1) * 5 + c + 1, (r + 1) * 5 + c] for r in range(4) for c in range(4)]
    boundary = Complex(vertices, faces).boundary(vertices @ slopes.T + shifts)
    whole = Complex(2 * SQUARE, [[0, 1, 2, 3]]).boundary(2 * SQUARE @ slopes.T + shifts)
    assert boundary.lengths.sum() == pytest.approx(whole.lengths.sum(), abs=1e-9)
    p, q = rng.uniform(-2, 2, (2, 300, 2))
    labels = [np.argmax(x @ slopes.T + shifts, axis=1) for x in (p, q)]
    np.testing.assert_array_equal(meets(p, q, boundary.segments) > 0, labels[0] != labels[1])
    np.testing.assert_array_equal(meets(p, q, whole.segments) > 0, labels[0] != labels[1])


@given(seed=st.integers(0, 2**32 - 1), integers=st.booleans())
@settings(deadline=None, max_examples=25)
def test_length_does_not_change_when_faces_are_split(seed, integers):
    rng = np.random.default_rng(seed)
    whole = triangulated(5, seed)
    outputs = rng.normal(size=(len(whole.vertices), 4))
    if integers:
        outputs = np.round(outputs)
    before = whole.boundary(outputs)
    finer, values = split(whole, outputs)
    after = finer.boundary(values)
    assert before.lengths.sum() > 0
    assert after.lengths.sum() == pytest.approx(before.lengths.sum(), rel=1e-9)


def test_ends_on_an_edge_are_the_same_number_from_both_sides():
    rng = np.random.default_rng(1)
    whole = triangulated(12, 1)
    boundary = whole.boundary(rng.normal(size=(len(whole.vertices), 3)))
    ends, count = np.unique(boundary.segments.reshape(-1, 2), axis=0, return_counts=True)
    lonely = ends[count == 1]
    onto_window = np.abs(np.abs(lonely).max(axis=1) - 1) < 1e-12
    # What is not on the window's border is a point where three classes meet, the same up to rounding.
    inner = lonely[~onto_window]
    assert len(inner) < len(ends) / 3
    gaps = np.linalg.norm(inner[:, None] - ends[None], axis=2)
    gaps[gaps == 0] = np.inf
    assert len(inner) == 0 or gaps.min(axis=1).max() < 1e-12


def test_no_segment_twice_and_none_empty():
    rng = np.random.default_rng(2)
    whole = triangulated(8, 2)
    boundary = whole.boundary(rng.integers(0, 3, (len(whole.vertices), 3)).astype(float))
    assert (boundary.lengths > 0).all()
    ordered = np.sort(boundary.segments.view([("u", float), ("v", float)])[..., 0], axis=1)
    assert len(np.unique(ordered, axis=0)) == len(ordered) > 20


def test_boundary_of_a_network_separates_its_labels():
    torch.manual_seed(0)
    widths = (2, 24, 24, 5)
    layers = [f for a, b in zip(widths, widths[1:], strict=False) for f in (nn.Linear(a, b), nn.ReLU())]
    program = sv.trace(nn.Sequential(*layers[:-1]), (2,))
    program = program.bind({k: 3 * w for k, w in program.weights.items()})
    part = sv.partition(program, sv.Plane(np.zeros(2), np.eye(2)))

    def labels(uv):
        return program(torch.from_numpy(uv)).argmax(dim=1).numpy()

    boundary = decision_boundary(
        part.vertices, part.edges, part.edge_faces, part.face_offsets, part.face_vertices, part.outputs
    )
    np.testing.assert_array_equal(boundary.segments, part.decision_boundary())
    assert len(boundary.segments) > 20
    long = boundary.lengths > 1e-4
    a, b = boundary.segments[long].transpose(1, 0, 2)
    normal = np.stack([a[:, 1] - b[:, 1], b[:, 0] - a[:, 0]], axis=1) / boundary.lengths[long][:, None]
    for side, sign in ((0, 1e-7), (1, -1e-7)):
        np.testing.assert_array_equal(labels((a + b) / 2 + sign * normal), boundary.classes[long, side])
    rng = np.random.default_rng(0)
    p = rng.uniform(-1, 1, (4000, 2))
    q = np.clip(p + 0.1 * rng.normal(size=p.shape), -1, 1)
    differ = labels(p) != labels(q)
    crossed = meets(p, q, boundary.segments)
    assert differ.sum() > 100
    assert (crossed[differ] > 0).all()
    assert (crossed[~differ] != 1).all()  # who leaves a label and comes back crosses twice


# ---- distances ---------------------------------------------------------------------------------------


def plain_distances(points, segments):
    a, d = segments[:, 0], segments[:, 1] - segments[:, 0]
    t = np.einsum("nmk,mk->nm", points[:, None] - a, d) / np.maximum(np.einsum("mk,mk->m", d, d), 1e-300)
    feet = a + np.clip(t, 0, 1)[..., None] * d
    return np.linalg.norm(points[:, None] - feet, axis=2).min(axis=1)


CLOUDS = {
    "random": lambda rng: rng.uniform(-1, 1, (60, 2, 2)),
    "short": lambda rng: (rng.uniform(-1, 1, (80, 1, 2)) + 1e-2 * rng.normal(size=(80, 2, 2))),
    "diagonal": lambda rng: np.linspace(0, 1, 40)[np.arange(39)[:, None, None] + [[0, 0], [1, 1]]],
    "level": lambda rng: np.linspace(0, 1, 40)[np.arange(39)[:, None, None] + [[0, 0], [1, 0]]] * [1, 0],
    "upright": lambda rng: np.array([[[0.5, -1.0], [0.5, 2.0]]]),
    "far away": lambda rng: 1e6 + rng.uniform(-1, 1, (30, 2, 2)),
    "points": lambda rng: np.repeat(rng.uniform(-1, 1, (5, 1, 2)), 2, axis=1),
    "one point": lambda rng: np.zeros((1, 2, 2)),
    "two scales": lambda rng: np.concatenate([1e-6 * rng.normal(size=(50, 2, 2)), rng.normal(size=(2, 2, 2))]),
}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_distances_are_those_of_the_nearest_segment(cloud):
    rng = np.random.default_rng(3)
    segments = CLOUDS[cloud](rng)
    near = segments.reshape(-1, 2)[rng.integers(0, 2 * len(segments), 200)] + 0.1 * rng.normal(size=(200, 2))
    points = np.vstack([near, segments.mean(axis=(0, 1)) + 5 * rng.normal(size=(100, 2)), segments[:, 0]])
    expected = plain_distances(points, segments)
    np.testing.assert_allclose(distances(points, segments), expected, rtol=1e-9, atol=1e-9 * (1 + np.abs(segments).max()))


def test_distance_to_nothing_is_infinite():
    assert np.isinf(distances(np.zeros((3, 2)), np.empty((0, 2, 2)))).all()
    assert distances(np.empty((0, 2)), np.zeros((1, 2, 2))).shape == (0,)


# ---- the door ----------------------------------------------------------------------------------------


def test_what_does_not_fit_is_refused():
    square = Complex(SQUARE, [[0, 1, 2, 3]])
    with pytest.raises(PartitionError, match="outputs: expected one row for each of 4 vertices, got shape \\(3, 2\\)"):
        square.boundary(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="outputs: expected finite numbers, got 1 NaN"):
        square.boundary(np.array([0, 1, 2, np.nan]))
    with pytest.raises(ValueError, match="level: expected a finite number, got nan"):
        square.boundary(np.zeros(4), np.nan)
    with pytest.raises(PartitionError, match="tolerance: expected a number >= 0"):
        square.boundary(np.zeros(4), tolerance=-TOLERANCE)
    with pytest.raises(PartitionError, match="edge_faces: expected one row for each of 4 edges, got 3"):
        decision_boundary(SQUARE, square.edges, square.edge_faces[:3], square.offsets, square.ring, np.zeros((4, 2)))
    with pytest.raises(PartitionError, match="face_offsets: expected"):
        decision_boundary(SQUARE, square.edges, square.edge_faces, square.offsets[:-1], square.ring, np.zeros((4, 2)))
    with pytest.raises(PartitionError, match="segments: expected shape"):
        distances(np.zeros((1, 2)), np.zeros((3, 2)))
    with pytest.raises(PlaneError, match="points: expected plane coordinates"):
        distances(np.zeros(2), np.zeros((1, 2, 2)))
