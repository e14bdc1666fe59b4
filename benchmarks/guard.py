"""What it costs to hold a Program against the user's module: `Recorder.save` and a foreign folder, with and without.

    python benchmarks/guard.py            both; --save or --film one alone

The saves are taken in turn, in an order of their own each time, so that a busy machine slows all alike; so are the films,
which are timed in seconds of the processor, all threads together.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

import splineviz as sv
from splineviz.training import guards
from splineviz.training.samples import Data

SAVES, FILMS, CHECKPOINTS = 200, 3, 40


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(),
        nn.Linear(200, 10),
    )  # fmt: skip


def samples() -> tuple[np.ndarray, np.ndarray]:
    return np.random.default_rng(0).random((1000, 28, 28), dtype=np.float32), np.arange(1000) % 10


def trained(model: nn.Module, step: int) -> None:
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.002 * torch.randn(p.shape, generator=torch.Generator().manual_seed(step)))


def said(name: str, times: dict[str, list[float]], unit: float, word: str) -> None:
    for how, taken in (("median", statistics.median), ("least", min)):
        values = {key: unit * taken(value) for key, value in times.items()}
        print(name, how, "  ".join(f"{key} {v:.2f} {word}" for key, v in values.items()),
              f" ratio {values['with'] / values['without']:.3f}", flush=True)  # fmt: skip


def in_turn(
    works: dict[str, Callable[[int], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of each, one call of every kind a round."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for step in range(1, rounds + 1):
        for name in random.sample(list(works), len(works)):
            begin = clock()
            works[name](step)
            times[name].append(clock() - begin)
    return times


def saves(folder: Path) -> None:
    model, batch = network(), torch.rand(256, 28, 28)
    recorder = sv.Recorder(folder / "run", model, train=samples())
    guard = recorder._guard
    keys = list(guard.program.weights)

    def guarded(step: int) -> None:
        recorder.save(step % 40)

    def unguarded(step: int) -> None:
        recorder._guard = SimpleNamespace(state=lambda: (guard.program, {k: model.state_dict()[k] for k in keys}))
        recorder.save(step % 40)
        recorder._guard = guard

    for work in (guarded, unguarded):
        work(0)
        work(1)
    said("save", in_turn({"with": guarded, "without": unguarded, "forward": lambda step: model(batch)}, SAVES), 1e3, "ms")


def films(folder: Path) -> None:
    """The partitions and rows of 40 foreign checkpoints, from their files; and their films, drawn as well."""
    model, data = network(), Data.of(samples())
    (folder / "foreign").mkdir()
    for step in range(CHECKPOINTS):
        trained(model, step)
        torch.save(model.state_dict(), folder / "foreign" / f"step_{step}.pt")

    def work(on: bool) -> Callable[[int], object]:
        def measured(number: int) -> object:
            guards.ON = on
            try:
                out = folder / f"out-{number}-{on}"
                return sv.animate(sv.open_run(folder / "foreign", model=network(), data=data), out=out, formats=("gif",))
            finally:
                guards.ON = True

        return measured

    work(True)(0)
    said("film", in_turn({"with": work(True), "without": work(False)}, FILMS, time.process_time), 1.0, "s")


def main() -> None:
    asked = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        if not asked or "--save" in asked:
            saves(Path(folder))
        if not asked or "--film" in asked:
            films(Path(folder))


if __name__ == "__main__":
    main()
