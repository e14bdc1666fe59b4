"""Liveness of units made by hand, and batches that do not change it."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from splineviz.errors import DataError
from splineviz.metrics.liveness import liveness


def by_hand(activation: nn.Module, biases: list[float]) -> nn.Sequential:
    """Units x + b on one input."""
    first = nn.Linear(1, len(biases))
    with torch.no_grad():
        first.weight.fill_(1.0)
        first.bias.copy_(torch.tensor(biases))
    return nn.Sequential(first, activation, nn.Linear(len(biases), 2))


POINTS = torch.tensor([[-1.0], [0.25], [1.0]])


@pytest.mark.parametrize(
    ("activation", "biases", "live", "linear", "dead"),
    [
        (nn.ReLU(), [0.0, 0.5, 2.0, 3.0, 1.0, -1.0, -5.0], 2, 3, 2),  # 1 and -1 only touch the breakpoint
        (nn.LeakyReLU(0.1), [0.0, 2.0, -5.0], 1, 2, 0),
    ],
    ids=["relu", "leaky relu"],
)
def test_units_made_by_hand(activation, biases, live, linear, dead):
    found = liveness(by_hand(activation, biases), POINTS)
    counts = [int(part.sum()) for part in (found.live, found.linear, found.dead)]
    assert counts == [live, linear, dead]


def test_batches_do_not_matter(monkeypatch):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        x = torch.rand(50, 3)
        net = nn.Sequential(nn.Linear(3, 40), nn.ReLU(), nn.Linear(40, 30), nn.ReLU(), nn.Linear(30, 2))
    whole = liveness(net, x)
    monkeypatch.setattr(sys.modules["splineviz.metrics.liveness"], "BATCH", 7)
    parts = liveness(net, x)
    for kind in ("live", "linear", "dead"):
        assert (getattr(whole, kind) == getattr(parts, kind)).all()
    signs = net[0](x) > 0
    mixed = signs.any(dim=0) & ~signs.all(dim=0)
    assert whole.live[0] == int(mixed.sum()) and whole.linear[0] == int(signs.all(dim=0).sum())


def test_no_points_are_refused():
    with pytest.raises(DataError, match="at least one point"):
        liveness(by_hand(nn.ReLU(), [0.0]), torch.zeros(0, 1))
