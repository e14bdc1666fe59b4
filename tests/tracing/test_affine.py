"""Large weights in single precision: half the memory, and not a digit less."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import splineviz as sv
from splineviz.tracing import affine
from splineviz.tracing.affine import Weights
from splineviz.tracing.program import Program
from splineviz.tracing.trace import trace

PLANE = sv.Plane(np.zeros(2), np.eye(2))


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 30), nn.ReLU(), nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 3))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of 600 entries are large, and 64 of them are doubled at a time."""
    monkeypatch.setattr(affine, "LARGE", 600)
    monkeypatch.setattr(affine, "BLOCK", 64)


def kept(program: Program) -> dict[str, torch.dtype]:
    assert isinstance(program.weights, Weights)
    return {key: tensor.dtype for key, tensor in program.weights.kept.items()}


def test_a_large_weight_stays_single_and_computes_what_it_did(network: nn.Module, request: pytest.FixtureRequest) -> None:
    before = trace(network, (2,))
    assert not isinstance(before.weights, Weights)
    request.getfixturevalue("small")
    after = trace(network, (2,))
    assert [key for key, dtype in kept(after).items() if dtype is torch.float32] == ["2.weight"]
    assert after.dtype is torch.float64 and all(torch.equal(after.weights[key], t) for key, t in before.weights.items())
    x = torch.randn(7, 2, dtype=torch.float64)
    torch.testing.assert_close(after(x), before(x), rtol=1e-14, atol=1e-14)
    assert after.to(torch.float64) is after and after.to(device="cpu") is after
    single = after.to(torch.float32)
    assert single.dtype is torch.float32 and not isinstance(single.weights, Weights)
    assert kept(single.to(torch.float64)) == kept(after)
    assert not isinstance(trace(network.double(), (2,)).weights, Weights)  # what is double has no half that says it


def test_partition_and_proof_are_what_they_were(network: nn.Module, request: pytest.FixtureRequest) -> None:
    one = sv.partition(network, PLANE, window=3.0, threads=1)
    request.getfixturevalue("small")
    other = sv.partition(network, PLANE, window=3.0, threads=1)
    assert np.array_equal(one.pattern_hash, other.pattern_hash) and np.allclose(one.vertices, other.vertices, atol=1e-12)
    report = sv.verify(other, network)
    assert report.ok and report.undecided == 0 and report.sign_error < 1.0
    copied = sv.partition(trace(network, (2,)), PLANE, window=3.0, threads=1)
    assert np.array_equal(copied.pattern_hash, one.pattern_hash)


@pytest.mark.usefixtures("small")
def test_moved_weights_are_moved_by_columns_where_they_are_large(network: nn.Module) -> None:
    program = trace(network, (2,))
    moved = affine.moved(program.weights, lambda tensor, by: tensor + 2.0**-20 * by)
    other = program.with_weights(moved)
    x = torch.randn(5, 2, dtype=torch.float64)
    ratio = 1.0 + 2.0**-20
    for key, tensor in program.weights.items():
        torch.testing.assert_close(other.weights[key], ratio * tensor, rtol=1e-14, atol=0.0)
    plain = program.with_weights({key: ratio * tensor for key, tensor in program.weights.items()})
    torch.testing.assert_close(other(x), plain(x), rtol=1e-13, atol=1e-13)


def test_gradients_through_a_large_weight_are_what_they_were(network: nn.Module, request: pytest.FixtureRequest) -> None:
    x = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    expected = torch.autograd.grad(trace(network, (2,))(x).square().sum(), x)[0]
    request.getfixturevalue("small")
    found = torch.autograd.grad(trace(network, (2,))(x).square().sum(), x)[0]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("small")
def test_one_large_weight_that_is_used_in_another_way_is_doubled() -> None:
    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(1)
            self.table, self.inner, self.out = nn.Parameter(torch.randn(30, 20)), nn.Linear(2, 600), nn.Linear(600, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = (self.inner(x).reshape(-1, 30, 20) + self.table).relu()
            return self.out((h @ self.table.T).relu().flatten(1)[:, :600])

    network = Shifted()
    program = trace(network, (2,))
    x = torch.randn(4, 2, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(program(x), network.double()(x), rtol=1e-12, atol=1e-12)
