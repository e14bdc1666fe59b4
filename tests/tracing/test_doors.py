"""Doors: wrappers are taken off, and what cannot be read is refused by what it is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from splineviz.errors import TraceError
from splineviz.tracing.trace import trace


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 2))


class FullyShardedDataParallel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.module = mlp()


class Packed(nn.Linear):
    pass


Packed.__module__ = "torch.ao.nn.quantized.modules.linear"


def complex_() -> nn.Module:
    network = mlp()
    network.register_buffer("phase", torch.ones(2, dtype=torch.complex64))
    return network


REFUSED = {
    "scripted": (lambda: torch.jit.script(mlp()), r"TorchScript \(torch.jit\)"),
    "scripted inside": (lambda: nn.Sequential(mlp(), torch.jit.script(nn.Sequential(nn.ReLU()))), "^1: .*TorchScript"),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(4), nn.ReLU()), r"^0.weight: .*lazy module that was never run"),
    "sharded": (FullyShardedDataParallel, "sharded by FSDP"),
    "quantised": (lambda: nn.Sequential(Packed(2, 2)), "^0: .*quantised"),
    "complex": (complex_, r"^phase: expected real weights, got torch.complex64"),
    "meta": (lambda: nn.Linear(2, 2, device="meta"), "meta device"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_by_what_it_is(name: str) -> None:
    make, words = REFUSED[name]
    network = make()
    with pytest.raises(TraceError, match=words):
        trace(network, (2,))


@pytest.mark.parametrize(
    "wrap",
    [
        nn.DataParallel, torch.optim.swa_utils.AveragedModel, lambda m: torch.compile(m, backend="eager"),
        lambda m: torch.compile(nn.DataParallel(m), backend="eager"),
    ],
)  # fmt: skip
def test_wrappers_are_taken_off(wrap: Any) -> None:
    network = mlp()
    assert trace(wrap(network), (2,)).to_data() == trace(network, (2,)).to_data()


def test_outputs_are_chosen_by_name_and_number() -> None:
    class Several(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = mlp(), nn.Linear(2, 7)

        def forward(self, x: Tensor) -> Any:
            h = self.body(x)
            return {"features": h, "scores": self.head(h)}

    network, x = Several().double(), torch.randn(4, 2, dtype=torch.float64)
    with pytest.raises(TraceError, match="name one of features, scores"):
        trace(network, (2,))
    torch.testing.assert_close(trace(network, (2,), output="features")(x), network(x)["features"].detach())
    chosen = trace(network, (2,), output="scores", outputs=[5, 1])
    torch.testing.assert_close(chosen(x), network(x)["scores"][:, [5, 1]].detach())
    with pytest.raises(TraceError, match="outputs: expected distinct numbers from 0 to 6, got"):
        trace(network, (2,), output="scores", outputs=[7])
