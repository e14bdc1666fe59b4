"""Twins: the user's module, its hooks, its random numbers and torch itself are left as they were, in every thread."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import splineviz as sv
from splineviz.errors import TraceError
from splineviz.tracing import twins
from splineviz.tracing.trace import trace

PLANE = sv.Plane.through([0.0, 0.0], [1.0, 0.0], [0.0, 1.0])


def mlp(seed: int = 0, width: int = 5) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, 2))


class Wild(nn.Module):
    """Counts, keeps, draws, and holds what cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.calls, self.lock = mlp(), [], threading.RLock()
        self.file, self.noise = open(__file__), 0.1  # noqa: SIM115  # held on purpose

    def forward(self, x: Tensor) -> Tensor:
        with self.lock:
            self.calls.append(len(x))
        y = self.body(x)
        self.kept = y
        if self.training:
            y = y + self.noise * torch.randn_like(y)
        random.random(), np.random.rand(), torch.rand(3)  # noqa: NPY002  # as people do
        return y


def test_the_module_and_all_random_numbers_are_left_as_they_were() -> None:
    network = Wild().train()
    network(torch.zeros(3, 2))
    numpys = np.random.get_state()[1].copy()  # noqa: NPY002
    before = [list(network.calls), network.kept, torch.get_rng_state(), random.getstate(), numpys]
    found = trace(network, (2,))
    assert network.calls == before[0] and network.kept is before[1] and network.training
    assert torch.equal(torch.get_rng_state(), before[2]) and random.getstate() == before[3]
    assert np.array_equal(np.random.get_state()[1], before[4])  # noqa: NPY002
    x = torch.randn(4, 2)
    torch.testing.assert_close(found(x.double()), network.eval()(x).double(), rtol=1e-5, atol=1e-5)
    network.file.close()


def test_hooks_that_watch_are_not_run_and_hooks_that_compute_are_run_apart() -> None:
    network, seen, count = mlp(), [], {"calls": 0}

    def watching(module: Any, inputs: Any, output: Any) -> None:
        seen.append(output)

    def counting(module: Any, inputs: Any, output: Tensor) -> Tensor:
        count["calls"] += 1
        return output * 0.5

    network[1].register_forward_hook(watching)
    network[1].register_forward_hook(counting)
    every = torch.nn.modules.module.register_module_forward_hook(lambda *_: seen.append(None))
    try:
        found = trace(network, (2,))
    finally:
        every.remove()
    assert not seen and count == {"calls": 0}
    x = torch.randn(4, 2)
    torch.testing.assert_close(found(x.double()), network(x).detach().double(), rtol=1e-5, atol=1e-5)
    assert twins.is_silent(watching) and not twins.is_silent(counting)


def in_place(module: Any, inputs: Any, output: Tensor) -> None:
    output[:, 0] = 0.0


def through_a_function(module: Any, inputs: Any, output: Tensor) -> None:
    in_place(module, inputs, output)


def in_place_by_argument(module: Any, inputs: Any, output: Tensor) -> None:
    torch.relu_(output)


HOOKS = [in_place, through_a_function, in_place_by_argument, lambda m, i, o: [o.mul_(2.0)] and None]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_that_writes_into_what_passes_is_no_watcher(hook: Any) -> None:
    assert not twins.is_silent(hook)
    network = mlp()
    network[0].register_forward_hook(hook)
    x = torch.randn(4, 2)
    torch.testing.assert_close(trace(network, (2,))(x.double()), network(x).detach().double(), rtol=1e-5, atol=1e-5)


def test_an_attribute_that_cannot_be_copied_is_named_when_it_is_used() -> None:
    class Handle:
        def __reduce__(self) -> Any:
            raise TypeError("a handle cannot be copied")

        def scale(self) -> float:
            return 2.0

    class Holding(nn.Module):
        def __init__(self, used: bool) -> None:
            super().__init__()
            self.body, self.handle, self.used = mlp(), Handle(), used

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x) * (self.handle.scale() if self.used else 1.0)

    assert len(trace(Holding(False), (2,)).layers) == 1
    with pytest.raises(TraceError, match=r"Holding.handle: expected an attribute that can be copied.*a handle cannot"):
        trace(Holding(True), (2,))


def test_eight_threads_partition_ready_modules() -> None:
    networks = [mlp(seed) for seed in range(8)]
    expected = [sv.partition(network, PLANE, window=2.0).vertices for network in networks]

    def work(i: int) -> bool:
        return np.array_equal(sv.partition(networks[i % 8], PLANE, window=2.0).vertices, expected[i % 8])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(64)))


def test_a_training_loop_never_sees_a_trace_in_another_thread() -> None:
    network, other, done = mlp(1), mlp(2, 16), threading.Event()
    calls = nn.Module.__call__, torch.relu, nn.functional.linear, nn.Module.__getattr__
    patched: list[str] = []

    def tracing() -> None:
        while not done.is_set():
            trace(other, (2,))

    thread = threading.Thread(target=tracing)
    thread.start()
    try:
        optimiser = torch.optim.SGD(network.parameters(), lr=0.01)
        for _ in range(150):
            optimiser.zero_grad()
            y = network(torch.ones(4, 2))
            y.sum().backward()
            optimiser.step()
            now = nn.Module.__call__, torch.relu, nn.functional.linear, nn.Module.__getattr__
            if now != calls or type(y) is not Tensor:
                patched.append("torch was patched")
    finally:
        done.set()
        thread.join()
    assert not patched
