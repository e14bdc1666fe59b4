"""Norms of weights and outputs: of modules and Programs alike, averages of batch norm left out, tied weights once."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from splineviz.errors import DataError
from splineviz.metrics.norms import logit_norm, weight_norm
from splineviz.tracing.trace import trace


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x)))


def test_numbers_that_can_be_counted() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.ReLU(), nn.Linear(2, 1)).double().eval()
    for parameter in model.parameters():
        parameter.data.fill_(2.0)
    model[1].running_mean.fill_(100.0)
    assert weight_norm(model) == pytest.approx(math.sqrt(4 * 13)) == weight_norm(trace(model, (2,)))
    plain = nn.Linear(2, 2, bias=False).double()
    plain.weight.data.copy_(torch.eye(2))
    x = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    assert logit_norm(plain, x) == 3.0 == logit_norm(trace(plain, (2,)), x)


def test_tied_weights_count_once() -> None:
    model = Tied()
    assert weight_norm(model) == pytest.approx(float(model.first.weight.detach().norm()))


def test_refusals() -> None:
    with pytest.raises(DataError, match="at least one point"):
        logit_norm(nn.Linear(2, 2), torch.zeros(0, 2))
