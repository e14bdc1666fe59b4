"""What it costs to hold a Program against the user's module: `Recorder.save` with and without."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

import splineviz as sv


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(),
        nn.Linear(200, 10),
    )  # fmt: skip


def main() -> None:
    """Print medians, taken in turn so that a busy machine slows both alike."""
    x = np.random.default_rng(0).random((1000, 28, 28), dtype=np.float32)
    model = network()
    with tempfile.TemporaryDirectory() as folder:
        recorder = sv.Recorder(Path(folder, "run"), model, train=(x, np.arange(1000) % 10))
        recorder.save(0)
        batch = torch.rand(256, 28, 28)
        times: dict[str, list[float]] = {"with": [], "without": [], "forward": []}
        guard = recorder._guard

        def unguarded(step: int) -> None:
            keys = list(guard.program.weights)
            recorder._guard = SimpleNamespace(state=lambda: (guard.program, {k: model.state_dict()[k] for k in keys}))
            recorder.save(step)
            recorder._guard = guard

        def forward(step: int) -> None:
            model(batch)

        for step in range(1, 161):
            for name, work in (("with", recorder.save), ("without", unguarded), ("forward", forward)):
                begin = time.perf_counter()
                work(step % 40)
                times[name].append(time.perf_counter() - begin)
    for how, taken in (("median", statistics.median), ("least", min)):
        ms = {name: 1e3 * taken(values) for name, values in times.items()}
        said = "  ".join(f"{name} {value:.2f} ms" for name, value in ms.items())
        print(how, said, f" ratio {ms['with'] / ms['without']:.2f}")


if __name__ == "__main__":
    main()
