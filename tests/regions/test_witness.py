"""How rounding is measured, and how doubt about single units explains a pattern."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from cases import dense, module
from oracle import splitmix64
from torch import nn

from splineviz.geometry.plane import Plane
from splineviz.regions import witness as witness_module
from splineviz.regions.enumerate import partition
from splineviz.regions.witness import SAFETY, Witness, _ratio, _splitmix64, _strips
from splineviz.tracing.lowering import spans
from splineviz.tracing.precision import Double
from splineviz.tracing.program import Program
from splineviz.tracing.trace import trace

PLANE = Plane(np.zeros(2), np.eye(2))


def witness(scale: float = 1.0, seed: int = 61) -> Witness:
    network = module(dense(seed, 2, 30, 30, 2, scale=scale))
    return Witness(partition(network, PLANE, window=1.0), trace(network, (2,)), network)


def test_measured_rounding_covers_the_true_one_and_not_much_more() -> None:
    """The true rounding is the difference to extended precision."""
    subject = witness()
    local = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    subject.measure(local)
    z, _ = subject.values(subject.inputs(local), subject.program)
    h, exact = local.astype(np.longdouble), []
    for i in (0, 2):
        weight, bias = (subject.program.weights[f"{i}.{k}"].numpy().astype(np.longdouble) for k in ("weight", "bias"))
        exact.append(h @ weight.T + bias)
        h = np.maximum(exact[-1], 0)
    error = np.abs(z - np.concatenate(exact, axis=1)).max(axis=0)
    assert (error < subject.tolerance).all()
    assert (subject.tolerance < 1e3 * SAFETY * 2.0**-53 * np.abs(z).max(axis=0)).all()


@pytest.mark.parametrize("scale", [2.0**-20, 2.0**20])
def test_tolerances_scale_with_the_weights(scale: float) -> None:
    one, other = witness(), witness(scale)
    local = np.random.default_rng(0).uniform(-1, 1, (20, 2))
    one.measure(local)
    other.measure(local)
    np.testing.assert_allclose(other.tolerance[:30], scale * one.tolerance[:30], rtol=1e-6)


def test_a_unit_that_cancels_is_measured_awake_and_so_is_what_it_feeds() -> None:
    """relu(a x - a x) is 0 exactly; off by rounding it wakes, or does not, whichever way the weights are off."""
    for seed in range(8):
        torch.manual_seed(seed)
        network = nn.Sequential(*(layer for _ in "abc" for layer in (nn.Linear(2, 2), nn.ReLU())), nn.Linear(2, 1)).double()
        with torch.no_grad():
            network[0].weight[1], network[0].bias[1] = network[0].weight[0], network[0].bias[0] + 3.0
            network[0].bias += 5.0
            network[2].weight[:], network[2].bias[:] = torch.tensor([[1.0, -1.0], [1.0, -1.0]]), 3.0
            network[4].bias[:] = 0.0
        subject = Witness(partition(network, PLANE, window=0.1), trace(network, (2,)), network)
        subject.measure(np.random.default_rng(0).uniform(-0.1, 0.1, (20, 2)))
        assert (subject.tolerance[4:] > 1e-3 * subject.tolerance[2]).all()


def test_many_rows_are_read_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    subject, rows, run = witness(), [], Program.run
    x = subject.inputs(np.random.default_rng(0).uniform(-1, 1, (50, 2)))
    whole = subject.values(x, subject.program)

    def watched(self: Program, live: Any, *others: Any, **named: Any) -> Any:
        rows.append(len(next(iter(live.values()))))
        return run(self, live, *others, **named)

    monkeypatch.setattr(Program, "run", watched)
    subject.rows = 16
    for one, other in zip(subject.values(x, subject.program), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(subject.outputs(x), whole[1], rtol=1e-13, atol=1e-13)
    assert max(rows) == 16 and sum(rows) >= 50


def test_large_weights_of_a_module_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    network = module(dense(3, 2, 9, 2)).float().train()
    copied, weight = witness_module.in_evaluation(network), network[0].weight
    assert copied[0].weight.dtype == torch.float64 and not copied.training and network.training
    monkeypatch.setattr(witness_module, "LARGE", 1)
    shared = witness_module.in_evaluation(network)
    assert shared[0].weight is weight and not shared.training and network.training
    x = torch.randn(5, 2, dtype=torch.float64)
    with torch.no_grad(), Double():
        assert torch.equal(shared(x), copied(x))


def test_hashes_are_splitmix() -> None:
    assert _splitmix64(np.array([1, 2, 10**6], np.uint64)).tolist() == [splitmix64(1), splitmix64(2), splitmix64(10**6)]


def test_doubtful_units_explain_exactly_their_combinations() -> None:
    words = [splitmix64(i) for i in range(1, 6)]
    assert spans(words, 0) and spans(words, words[0]) and spans(words, words[1] ^ words[4] ^ words[2])
    assert not spans(words, splitmix64(9)) and not spans([], 1) and not spans(words[:2], words[2])


def test_no_error_is_no_error_whatever_the_tolerance() -> None:
    np.testing.assert_array_equal(_ratio(np.array([0.0, 0.0, 2.0, 2.0]), np.array([0.0, 1.0, 1.0, 0.0])), [0, 0, 2, np.inf])


@pytest.mark.parametrize("count", [1, 5, 1000])
def test_strips_are_an_order_of_all_faces(count: int) -> None:
    points = np.random.default_rng(0).normal(size=(count, 2))
    assert sorted(_strips(points, 64).tolist()) == list(range(count))
