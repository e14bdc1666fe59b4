"""Hand-made partitions for tests of drawing: lines in a square, and a jittered grid of quads.

Values at the vertices are a smooth function of the plane, so slopes differ from face to face; the faces are a
true planar complex (V - E + F = 1, shared vertices), not the regions of a network.
"""

from __future__ import annotations

import numpy as np

from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane

ANCHORS = np.array([[-0.55, -0.35], [0.5, -0.45], [0.05, 0.6]])


def outputs_at(uv: np.ndarray, channels: int = 3) -> np.ndarray:
    """Smooth logits (n, channels) whose arg-max changes on curves through the window."""
    angle = np.arange(channels) * 2 * np.pi / channels
    rays = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    wave = 0.15 * np.sin(5 * uv[:, :1] + angle) + 0.1 * np.cos(4 * uv[:, 1:] - angle)
    steep = np.exp(2.0 * np.exp(-4 * (np.linalg.norm(uv, axis=1) - 0.5) ** 2))
    return (uv @ rays.T + wave) * steep[:, None]


def _plane() -> Plane:
    return Plane(np.zeros(2), np.eye(2), ANCHORS)


def complex_of(vertices: np.ndarray, faces: list[list[int]], tags: dict[tuple[int, int], int], half: float) -> Partition:
    """A Partition from vertices, counter-clockwise faces and the line each undirected edge lies on (-1: border)."""
    sides: dict[tuple[int, int], list[int]] = {}
    for f, face in enumerate(faces):
        for a, b in zip(face, face[1:] + face[:1], strict=True):
            key = (min(a, b), max(a, b))
            sides.setdefault(key, [-1, -1])[0 if a < b else 1] = f
    edges = np.array(list(sides), dtype=np.int32)
    rng = np.random.default_rng(12)
    return Partition(
        plane=_plane(),
        window=half * np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]),
        vertices=np.ascontiguousarray(vertices, dtype=np.float64),
        edges=edges,
        edge_tag=np.array([tags.get(key, -1) for key in sides], dtype=np.int32),
        edge_faces=np.array(list(sides.values()), dtype=np.int32),
        face_offsets=np.cumsum([0] + [len(f) for f in faces]).astype(np.int32),
        face_vertices=np.array([v for f in faces for v in f], dtype=np.int32),
        outputs=outputs_at(vertices),
        pattern_hash=rng.integers(0, 2**63, len(faces), dtype=np.uint64),
        unit_offsets=np.array([0, max([0, *tags.values()]) + 1], dtype=np.int64),
        layer_paths=("0",),
    )


def lines_in_square(lines: int, *, seed: int = 0, half: float = 1.0) -> Partition:
    """The arrangement of random lines in the square [-half, half]^2, by cutting convex faces one line at a time."""
    rng = np.random.default_rng(seed)
    vertices = [tuple(p) for p in half * np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])]
    faces = [[0, 1, 2, 3]]
    tags: dict[tuple[int, int], int] = {}
    for line in range(lines):
        angle, offset = rng.uniform(0, np.pi), rng.uniform(-0.9, 0.9) * half
        normal = np.array([np.cos(angle), np.sin(angle)])
        values = [float(np.dot(v, normal) - offset) for v in vertices]
        born: dict[tuple[int, int], int] = {}
        cut: list[list[int]] = []
        for face in faces:
            ring: list[int] = []
            for a, b in zip(face, face[1:] + face[:1], strict=True):
                ring.append(a)
                if values[a] * values[b] < 0:
                    key = (min(a, b), max(a, b))
                    if key not in born:
                        t = values[key[0]] / (values[key[0]] - values[key[1]])
                        p, q = np.array(vertices[key[0]]), np.array(vertices[key[1]])
                        born[key] = len(vertices)
                        vertices.append(tuple(p + t * (q - p)))
                        values.append(0.0)
                        for end in key:
                            tags[(end, born[key])] = tags.get(key, -1)
                    ring.append(born[key])
            zeros = [i for i, v in enumerate(ring) if values[v] == 0.0 and v in born.values()]
            if len(zeros) == 2:
                i, j = zeros
                cut += [ring[i : j + 1], ring[j:] + ring[: i + 1]]
                tags[(min(ring[i], ring[j]), max(ring[i], ring[j]))] = line
            else:
                cut.append(ring)
        faces = cut
    return complex_of(np.array(vertices), faces, tags, half)


def jittered_grid(columns: int, *, seed: int = 0, jitter: float = 0.3, crowd: float = 0.0) -> Partition:
    """columns^2 convex quads, much faster to make than an arrangement; crowd > 0 squeezes them to a circle."""
    rng = np.random.default_rng(seed)
    n = columns + 1
    ticks = np.linspace(-1, 1, n)
    u, v = np.meshgrid(ticks, ticks)
    inner = np.zeros((n, n))
    inner[1:-1, 1:-1] = 1
    step = jitter * 0.5 / columns
    u, v = u + inner * rng.uniform(-step, step, u.shape), v + inner * rng.uniform(-step, step, v.shape)
    if crowd:
        radius = np.hypot(u, v) + 1e-12
        pull = crowd * np.exp(-(((radius - 0.5) / 0.25) ** 2)) * (0.5 - radius) * inner
        u, v = u * (1 + pull / radius), v * (1 + pull / radius)
    index = np.arange(n * n).reshape(n, n)
    quads = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], axis=-1).reshape(-1, 4)
    face = np.arange(columns**2).reshape(columns, columns)
    none = np.full((1, columns), -1)
    across = np.stack([index[:, :-1], index[:, 1:]], axis=-1).reshape(-1, 2)  # left of a -> b is the upper face
    across_faces = np.stack([np.vstack([face, none]), np.vstack([none, face])], axis=-1).reshape(-1, 2)
    upward = np.stack([index[:-1], index[1:]], axis=-1).reshape(-1, 2)  # left of a -> b is the face at smaller u
    upward_faces = np.stack([np.hstack([none.T, face]), np.hstack([face, none.T])], axis=-1).reshape(-1, 2)
    edges, edge_faces = np.vstack([across, upward]), np.vstack([across_faces, upward_faces])
    vertices = np.ascontiguousarray(np.stack([u, v], axis=-1).reshape(-1, 2))
    return Partition(
        plane=_plane(),
        window=np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]),
        vertices=vertices,
        edges=edges.astype(np.int32),
        edge_tag=np.where((edge_faces < 0).any(axis=1), -1, np.arange(len(edges)) % 200).astype(np.int32),
        edge_faces=edge_faces.astype(np.int32),
        face_offsets=np.arange(0, 4 * len(quads) + 1, 4, dtype=np.int32),
        face_vertices=quads.reshape(-1).astype(np.int32),
        outputs=outputs_at(vertices),
        pattern_hash=rng.integers(0, 2**63, len(quads), dtype=np.uint64),
        unit_offsets=np.array([0, 200], dtype=np.int64),
        layer_paths=("0",),
    )


def rows(steps: list[int]) -> list[dict[str, float]]:
    """Rows of measures of an imagined training: the three phases of LC, accuracy that rises."""
    table = []
    for step in steps:
        t = np.log10(step + 1)
        wave = 60 - 20 * np.exp(-((t - 1.5) ** 2)) + 25 * np.exp(-((t - 3.3) ** 2) / 0.3) - 6 * max(t - 3.5, 0) ** 2
        table.append(
            {
                "step": float(step),
                "regions": 40000.0 + 400 * wave,
                "train_accuracy": min(1.0, 0.1 + 0.45 * t),
                "test_accuracy": min(0.91, 0.1 + 0.38 * t),
                "robust_0.03": min(0.7, 0.05 + 0.3 * t),
                "robust_0.1": min(0.3, 0.02 + 0.08 * t),
                "lc_wide_train": 8 * wave + 20,
                "lc_wide_test": 6.5 * wave + 20,
                "lc_wide_random": 4 * wave + 20,
                "lc_wide_train_band": 12.0,
                "lc_train": wave,
                "lc_train_band": 2.0,
                "lc_test": 0.9 * wave + 6,
                "lc_test_band": 1.5,
                "lc_random": 0.5 * wave + 40,
                "lc_random_band": 1.0,
                "slice_exact": 0.02 * wave,
                "slice_exact_band": 0.05,
                "slice_sampled": 0.0198 * wave,
                "slice_sampled_band": 0.05,
                "boundary_length": 8.0 + t,
                "knot_ratio_boundary": 1.0 + 0.08 * t**2,
                "knot_ratio_anchors": 1.0 - 0.1 * t,
                "boundary_distance_ratio": 0.9 - 0.12 * t,
                "variation_ratio_boundary": 1.0 + 0.2 * t**2,
                "variation_ratio_anchors": 1.0 - 0.15 * t,
                "units_live": 500.0 - 60 * t,
                "units_linear": 60.0 + 20 * t,
                "units_dead": 40.0 + 40 * t,
                "gradient_complexity": 0.3 * wave,
                "crossings": 10.0 * wave,
                "folding": 4.0 * wave,
                "churn": np.nan if step == 0 else 0.9 / (1 + t),
                "seconds": 0.5,
            }
        )
    return table
