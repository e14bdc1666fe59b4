"""Batches that are not in front, masks that are constants, and what a log of calls must tell apart."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from splineviz.errors import TraceError
from splineviz.tracing.precision import Logged
from splineviz.tracing.trace import trace

W, V = torch.randn(4, 4, generator=torch.Generator().manual_seed(0)).double(), torch.tensor([0.5, -1.0, 2.0, 0.1]).double()
MASK = torch.tensor([True, False, True, False])

TAKEN: dict[str, Callable[[Tensor], Tensor]] = {
    "mean of a stack": lambda x: torch.stack([x.relu(), -x, x @ W]).mean(0),
    "sum of a stack": lambda x: torch.stack([x.relu(), x]).sum(dim=0),
    "weighted stack": lambda x: (torch.stack([x.relu(), x]) * torch.tensor([0.25, 2.0])[:, None, None]).sum(0),
    "maximum of a stack": lambda x: torch.stack([x, x @ W, -x]).max(0).values,
    "minimum of a stack": lambda x: torch.stack([x, x @ W, -x]).amin(dim=0),
    "one of a stack": lambda x: torch.stack([x, x.relu()])[1],
    "slice of a stack": lambda x: torch.stack([x, x.relu(), -x])[1:].mean(0),
    "unbound": lambda x: sum(torch.stack([x, x.relu()]).unbind(0)),
    "kept dimension": lambda x: torch.stack([x, x.relu()]).mean(0, keepdim=True)[0],
    "columns": lambda x: (W @ x.t()).relu().t(),
    "columns shifted": lambda x: (x.T + V[:, None]).relu().T,
    "tokens first": lambda x: F.relu(x.unsqueeze(-1).permute(1, 0, 2) * V[:, None, None]).permute(1, 0, 2).flatten(1),
    "moved": lambda x: x.view(-1, 2, 2).movedim(0, 1).relu().movedim(1, 0).flatten(1),
    "swapped twice": lambda x: x.view(-1, 2, 2).transpose(0, 2).relu().transpose(0, 1).transpose(1, 2).sum(2).T,
    "a leading dimension": lambda x: (x[None] - 1).relu()[0],
    "letters": lambda x: torch.einsum("eo,bo->ebo", W, x).relu().sum(0),
    "linear": lambda x: F.linear(x.unsqueeze(0), W).relu()[0],
    "where constant": lambda x: torch.where(MASK, x.relu(), -x),
    "where constant and a number": lambda x: torch.where(MASK, x.relu(), 0.5),
    "filled": lambda x: x.relu().masked_fill(MASK, 2.0),
    "clamped by tensors": lambda x: x.clamp(V - 1, V + 1),
    "clamped by one number": lambda x: x.clamp(max=torch.tensor(0.25)),
    "clamped by itself": lambda x: x.clamp(min=-x @ W),
}
REFUSED: dict[str, Callable[[Tensor], Tensor]] = {
    "mean over the batch": lambda x: torch.stack([x, x.relu()]).mean(1),
    "picked from the batch": lambda x: torch.stack([x, x.relu()])[:, 0],
    "reshaped": lambda x: x.t().reshape(-1, 4),
    "two places": lambda x: (x.view(-1, 2, 2).movedim(0, 1) + x.view(-1, 2, 2).movedim(0, 2)).sum(0),
    "norm": lambda x: torch.stack([x, x.relu()]).softmax(0)[0] * torch.stack([x, x]).std(0),
    "filled with infinity": lambda x: x.masked_fill(MASK, float("-inf")),
    "batch times itself": lambda x: x.t() @ x,
}


class Made(nn.Module):
    def __init__(self, function: Callable[[Tensor], Any]):
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


@pytest.mark.parametrize("name", TAKEN)
@pytest.mark.parametrize("rows", [1, 2, 4, 7])
def test_the_program_is_the_function(name: str, rows: int) -> None:
    x = 3 * torch.randn(rows, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(rows))
    program = trace(Made(TAKEN[name]), (4,))
    assert torch.allclose(program(x), TAKEN[name](x).reshape(rows, -1), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", REFUSED)
def test_what_mixes_the_batch_is_refused(name: str) -> None:
    with pytest.raises(TraceError, match=r"\w+: .{20}"):
        trace(Made(REFUSED[name]), (4,))


def test_calls_that_differ_in_a_number_are_told_apart() -> None:
    x, numbers = torch.zeros(2, 4), (1e4, 2e4, np.float32(3e4), np.float64(4e4), 5e4 + 0j)
    logs = []
    for number in numbers:
        with Logged() as log:
            x + number
        logs.append(log.calls)
    assert all(a != b for a, b in itertools.combinations(logs, 2))
    with Logged() as again:
        x + numbers[2]
    assert again.calls == logs[2]
