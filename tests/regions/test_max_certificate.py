"""The certificate on networks with max-pooling: deliberate faults fail, and the sampled count leaves maxima out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from networks import build
from pools import TABLE
from torch import nn

from splineviz.errors import CertificateError
from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane
from splineviz.metrics.complexity import local_complexity
from splineviz.metrics.diamonds import exact_counts
from splineviz.regions.enumerate import partition

NETWORK, SHAPE = build("max-pooling beside a skip connection", table=TABLE)


@pytest.fixture(scope="module")
def part() -> Partition:
    plane = Plane.through(*np.random.default_rng(5).normal(size=(3, *SHAPE)))
    return partition(NETWORK, plane, window=1.5)


def knots(part: Partition) -> np.ndarray:
    """Edges on knots of the max layer between faces of some size."""
    (layer,) = part.max_layers
    low, high = part.unit_offsets[layer : layer + 2]
    mine = np.flatnonzero((part.edge_tag >= low) & (part.edge_tag < high))
    return mine[np.argsort(-part.areas[part.edge_faces[mine]].min(axis=1))]


def failures(part: Partition) -> str:
    with pytest.raises(CertificateError) as caught:
        part.verify(NETWORK)
    return str(caught.value)


def test_a_true_partition_is_proved(part: Partition) -> None:
    report = part.verify(NETWORK)
    assert len(part.max_layers) == 1 and len(knots(part)) > 10
    assert max(report.knot_error, report.sign_error) < 1.0 and report.undecided == 0


def test_a_knot_named_after_another_group_fails(part: Partition) -> None:
    tag = part.edge_tag.copy()
    edge = knots(part)[0]
    (layer,) = part.max_layers
    low, high = part.unit_offsets[layer : layer + 2]
    tag[edge] = low + (tag[edge] - low + 5) % (high - low)
    text = failures(replace(part, edge_tag=tag))
    assert "[tags]" in text or "[knots]" in text


def test_a_pattern_with_another_winner_fails(part: Partition) -> None:
    hashes = part.pattern_hash.copy()
    left, right = part.edge_faces[knots(part)[0]]
    hashes[[left, right]] = hashes[[right, left]]
    text = failures(replace(part, pattern_hash=hashes))
    assert f"[pattern] face {left}" in text and f"[pattern] face {right}" in text


def test_a_moved_vertex_fails(part: Partition) -> None:
    edges = knots(part)
    border = part.edges[part.edge_tag < 0]
    vertex = next(v for v in part.edges[edges].reshape(-1) if v not in border)
    moved = part.local_vertices.copy()
    moved[vertex] += 1e-9
    assert "[knots]" in failures(replace(part, local_vertices=moved, vertices=moved + part.centre))


def test_a_knot_left_out_fails() -> None:
    """A network whose maximum the partition does not know: the same units without pooling's knots."""

    class Once(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(2, 4, dtype=torch.float64)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.a(x).view(-1, 1, 4).amax(dim=2)

    torch.manual_seed(1)
    one, other = Once(), Once()
    plane = Plane(np.zeros(2), np.eye(2))
    found = partition(one, plane, window=2.0)
    assert found.num_regions >= 3
    with pytest.raises(CertificateError, match=r"\[signs\]"):
        found.verify(other)


def test_exact_and_sampled_counts_leave_maxima_out() -> None:
    network, shape = build("max-pooling after ReLU", table=TABLE)
    plane = Plane.through(*np.random.default_rng(5).normal(size=(3, *shape)))
    found = partition(network, plane, window=1.5)
    points = found.window.mean(axis=0) + np.random.default_rng(0).uniform(-1, 1, (300, 2))
    exact = exact_counts(found, points, radius=0.02)
    x = plane.embed(points)
    sampled = local_complexity(network, x, radius=0.02, directions=plane.basis).counts
    assert exact.shape == sampled.shape == (2, 300), "the ReLUs before and after the pooling"
    assert (exact >= sampled).all() and sampled.sum() > 20
    np.testing.assert_array_equal(exact[0], sampled[0])
