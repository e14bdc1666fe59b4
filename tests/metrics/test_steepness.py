"""Sampled gradient complexity: against the one that pushes all dimensions through, and of networks that cannot be traced."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from splineviz.errors import DataError
from splineviz.metrics.knot_density import boundary_density
from splineviz.metrics.steepness import restricted, steepness


def mlp(inputs: int, act: type[nn.Module] = nn.ReLU) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(inputs, 30), act(), nn.Linear(30, 20), act(), nn.Linear(20, 3)).double()


def test_all_directions_give_the_density_itself() -> None:
    x = np.random.default_rng(0).normal(size=(40, 6))
    found = steepness(mlp(6), x, scale=0.1, num_vectors=6)
    expected = boundary_density(mlp(6), x, scale=0.1, noise="normal")
    np.testing.assert_allclose(found.densities, expected.densities, rtol=1e-6, atol=1e-9)
    assert found.layers == expected.layers


def test_a_few_directions_give_it_without_bias() -> None:
    x = np.random.default_rng(0).normal(size=(300, 60))
    expected = boundary_density(mlp(60), x, scale=0.1, noise="normal")
    found = [steepness(mlp(60), x, scale=0.1, num_vectors=5, seed=seed) for seed in range(6)]
    relative = [(one.total / expected.total).mean() - 1 for one in found]
    # Points share frames, so the error is that of seeds: 0.0066 each, measured over 24 of them.
    assert abs(np.mean(relative)) < 4 * 0.0066 / math.sqrt(6)
    assert all(0 < one.band < one.mean for one in found)


@pytest.mark.parametrize(("vectors", "dimension"), [(1, 2), (1, 3), (3, 3), (9, 3)])
def test_the_part_in_a_span(vectors: int, dimension: int) -> None:
    known = {(1, 2): 2 / math.pi, (1, 3): 0.5, (3, 3): 1.0, (9, 3): 1.0}
    assert restricted(vectors, dimension) == pytest.approx(known[vectors, dimension])


class Attends(nn.Module):
    """Products of what depends on the input: no Program holds them."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.last = nn.Sequential(nn.Linear(12, 5), nn.GELU(), nn.Linear(5, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.attention(x, x, x, need_weights=False)[0].flatten(1))


def test_a_network_that_cannot_be_traced() -> None:
    torch.manual_seed(0)
    model = Attends().double().eval()
    x = torch.randn(4, 3, 4, dtype=torch.float64)
    found = steepness(model, x, scale=0.3, num_vectors=12)

    def z(one: torch.Tensor) -> torch.Tensor:
        return model.last[0](model.attention(one, one, one, need_weights=False)[0].flatten(1))[0]

    for row, one in enumerate(x):
        slopes = torch.autograd.functional.jacobian(z, one[None]).flatten(1).norm(dim=1)
        values = z(one[None]).detach()
        near = torch.exp(-0.5 * (values / 0.3) ** 2) / (0.3 * math.sqrt(2 * math.pi))
        assert found.total[row] == pytest.approx(float((slopes * near).sum()), rel=1e-6)


def test_refusals() -> None:
    with pytest.raises(DataError, match="expected a positive standard deviation"):
        steepness(mlp(6), np.zeros((1, 6)), scale=0.0)
