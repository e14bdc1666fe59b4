"""Tournaments: rounds of ReLUs are the max operation, and knots bear the name of the group that has them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from brute import areas_by_pattern
from networks import build
from pools import TABLE, random_network

from splineviz._kernels.bits import unit_hashes
from splineviz.geometry.plane import Plane
from splineviz.regions.enumerate import partition
from splineviz.tracing.lowering import lower
from splineviz.tracing.trace import trace


@pytest.mark.parametrize("name", TABLE)
def test_rounds_are_the_max_operation(name: str) -> None:
    network, shape = build(name, table=TABLE)
    program = trace(network, shape)
    lowered = lower(program)
    assert not any(step.is_max for step in lowered.program.steps)
    x = torch.randn(7, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(lowered.program(x), program(x), rtol=1e-12, atol=1e-12)


def test_a_network_without_maxima_is_itself() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1)).double()
    program = trace(network, (2,))
    lowered = lower(program)
    assert lowered.program is program
    assert lowered.rounds == (None,) and lowered.unit_offsets.tolist() == [0, 3] and lowered.pieces == 3


def test_units_and_pieces_are_counted_as_users_count_them() -> None:
    network = torch.nn.Sequential(
        torch.nn.Conv1d(1, 2, 2),
        torch.nn.ReLU(),
        torch.nn.MaxPool1d(3),
        torch.nn.Flatten(),
        torch.nn.Linear(6, 4),
        torch.nn.ReLU(),
    ).double()
    lowered = lower(trace(network, (1, 10)))
    assert [layer.path for layer in lowered.layers] == ["1", "2", "5"]
    assert lowered.unit_offsets.tolist() == [0, 18, 24, 28]
    assert [layer.first_piece for layer in lowered.layers] == [0, 22, 18], "pieces of kink layers come first"
    assert lowered.pieces == 18 + 4 + 6 * 3
    rounds = [(r.entrants, r.pairs, r.is_last) for r in lowered.rounds if r is not None]
    assert rounds == [(3, 1, False), (2, 1, True)]


def test_an_edge_that_two_groups_could_have_cut_is_named_after_the_one_that_changes() -> None:
    """max(x, y, 1) and max(x, y, -1): the knot x = y belongs to the first above 1, to both between, ... on one line."""

    class Two(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            high, low = torch.ones(len(x), 1, dtype=x.dtype), -torch.ones(len(x), 1, dtype=x.dtype)
            return torch.cat([x, high, low], dim=1)

    linear = torch.nn.Linear(2, 4).double()
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1.0, 0], [0, 1], [0, 0], [0, 0]]))
        linear.bias.copy_(torch.tensor([0.0, 0, 1, -1]))

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = linear

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            z = self.linear(x)  # x, y, 1, -1
            entries = torch.stack([z[:, 2], z[:, 0], z[:, 1], z[:, 3]], dim=1)  # 1, x, y, -1
            return torch.nn.functional.max_pool1d(entries[:, None], 3, stride=1)[:, 0]

    plane = Plane(np.zeros(2), np.eye(2), np.eye(3)[:, :2].copy())
    found = partition(Net(), plane, window=2.0)
    found.verify(Net())
    # max(1, x, y) has the pieces 1, x, y; max(x, y, -1) has x, y, -1: 5 cells of the two together.
    ends = found.vertices[found.edges]
    diagonal = np.flatnonzero((np.abs(ends[..., 0] - ends[..., 1]).max(axis=1) < 1e-12) & (found.edge_tag >= 0))
    below = diagonal[ends[diagonal].max(axis=(1, 2)) < 1 + 1e-9]
    assert len(below) and set(found.edge_tag[below].tolist()) == {1}, "max(1, x, y) is 1 there; only the other one changes"
    assert found.num_regions == 5


def test_words_of_pieces_are_those_of_patterns() -> None:
    network, shape = build("maxout of three", table=TABLE)
    plane = Plane.through(*np.random.default_rng(5).normal(size=(3, *shape)))
    found = partition(network, plane, window=1.5)
    words = unit_hashes(0, 12).reshape(4, 3)
    x = torch.from_numpy(plane.embed(found.centroids))
    with torch.no_grad():
        winner = network.a(x).view(-1, 4, 3).argmax(dim=2).numpy()
    groups = lower(trace(network, shape)).layers[0].groups
    assert groups is not None and groups.tolist() == [[2, 1, 0], [5, 4, 3], [8, 7, 6], [11, 10, 9]]
    expected = np.bitwise_xor.reduce(words[np.arange(4), 2 - winner], axis=1)
    np.testing.assert_array_equal(found.pattern_hash, expected)


@pytest.mark.parametrize("seed", range(24))
def test_random_maxima_are_what_brute_force_finds(seed: int) -> None:
    network = random_network(seed)
    plane = Plane(np.zeros(2), np.eye(2))
    found = partition(network, plane, window=1.5)
    found.verify(network)
    areas, cells = areas_by_pattern(trace(network, (2,)), plane, found.window)
    assert cells == found.num_regions
    expected = [areas[int(h)] for h in found.pattern_hash]
    np.testing.assert_allclose(found.areas, expected, rtol=0, atol=1e-9 * found.areas.sum())


def test_blocks_and_threads_give_the_same_regions() -> None:
    """Knots on a seam between blocks are judged when the blocks are sewn together, and so are regions of several blocks."""
    network, shape = build("max-pooling beside a skip connection", table=TABLE)
    plane = Plane.through(*np.random.default_rng(5).normal(size=(3, *shape)))
    whole = partition(network, plane, window=6.0, threads=1, block_bytes=1 << 40)
    assert whole.num_regions > 900
    one = np.argsort(whole.pattern_hash)
    for threads, size in ((2, 1), (2, 8 << 20), (1, 50_000), (1, 100_000), (1, 200_000)):
        parts = partition(network, plane, window=6.0, threads=threads, block_bytes=size)
        other = np.argsort(parts.pattern_hash)
        np.testing.assert_array_equal(whole.pattern_hash[one], parts.pattern_hash[other])
        np.testing.assert_allclose(whole.areas[one], parts.areas[other], rtol=1e-9, atol=1e-12 * whole.areas.sum())
        assert len(whole.vertices) == len(parts.vertices) and len(whole.edges) == len(parts.edges)
    parts.verify(network)
