"""Threads, long: `python tests/soak/threads.py --threads 8 --calls 1000`.

Every call takes one of a few ready modules through partition, local complexity, export, a picture or a trace of its own,
while one more thread trains a network. What comes out is compared, to the bit, with what one thread gives. Exit code 1
when a call fails or differs, when torch or matplotlib are left in another state, or the training ends elsewhere.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import nn

import splineviz as sv
from splineviz.tracing.trace import trace

PLANE = sv.Plane.through([0.0, 0.0], [1.0, 0.2], [0.3, 1.0])
POINTS = np.random.default_rng(0).uniform(-1, 1, (20, 2))


class Forward(nn.Module):
    """A forward of the user's own: a residual, a function and a length, which is what tracing has to see through."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(2, width), nn.Linear(width, width), nn.Linear(width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.a(x))
        return self.c(h + nn.functional.leaky_relu(self.b(h), 0.1 * x.dim()))


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    if seed % 2:
        return Forward(6 + seed)
    return nn.Sequential(nn.Linear(2, 8 + seed), nn.ReLU(), nn.Linear(8 + seed, 8), nn.Hardtanh(), nn.Linear(8, 3))


def sliced(net: nn.Module) -> bytes:
    return sv.partition(net, PLANE, window=2.0).vertices.tobytes()


def complexity(net: nn.Module) -> bytes:
    return sv.local_complexity(net, POINTS, radius=0.05).counts.tobytes()


def exported(net: nn.Module) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slice.npz"
        sv.partition(net, PLANE, window=2.0).save(path)
        return sv.Partition.load(path).vertices.tobytes()


def drawn(net: nn.Module) -> bytes:
    figure = Figure(figsize=(2, 2), dpi=60)
    canvas = FigureCanvasAgg(figure)
    sv.draw.regions(sv.partition(net, PLANE, window=1.0), ax=figure.add_subplot())
    canvas.draw()
    return bytes(canvas.buffer_rgba())


def traced(net: nn.Module) -> bytes:
    return trace(net, (2,))(torch.as_tensor(POINTS)).numpy().tobytes()


KINDS: dict[str, Callable[[nn.Module], bytes]] = {
    "partition": sliced, "local complexity": complexity, "export": exported, "picture": drawn, "trace": traced,
}  # fmt: skip


def trained(steps: int, stop: threading.Event | None = None) -> bytes:
    """Weights after so many steps; in a thread of its own until it is stopped, again and again."""
    while True:
        generator = torch.Generator().manual_seed(0)
        net = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
        optimiser = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(steps):
            optimiser.zero_grad()
            net(torch.ones(4, 2)).square().sum().backward()
            optimiser.step()
        weights = b"".join(p.detach().numpy().tobytes() for p in net.parameters())
        if stop is None or stop.is_set():
            return weights


def state() -> tuple[object, ...]:
    """What tracing and drawing might leave changed."""
    return (
        nn.Module.__call__, nn.Module.__getattr__, torch.relu, nn.functional.linear, torch.get_default_dtype(),
        torch.get_num_threads(), hashlib.sha256(repr(sorted(mpl.rcParams.items())).encode()).digest(),
    )  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--calls", type=int, default=1000)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    networks = [network(seed) for seed in range(options.threads)]
    expected = {(kind, i): call(net) for kind, call in KINDS.items() for i, net in enumerate(networks)}
    weights, before, began, kinds = trained(300), state(), time.perf_counter(), list(KINDS)
    problems: Counter[str] = Counter()

    def work(number: int) -> str:
        kind, i = kinds[number % len(kinds)], number // len(kinds) % len(networks)
        try:
            return kind if KINDS[kind](networks[i]) == expected[kind, i] else f"{kind}: differs"
        except Exception:
            return f"{kind}: {traceback.format_exc(limit=-2)}"

    stop, ends = threading.Event(), list[bytes]()
    trainer = threading.Thread(target=lambda: ends.append(trained(300, stop)))
    trainer.start()
    with ThreadPoolExecutor(options.threads) as pool:
        said = Counter(pool.map(work, range(options.calls)))
    stop.set()
    trainer.join()
    problems.update({name: count for name, count in said.items() if name not in KINDS})
    problems.update({"the training ended elsewhere": 1} if ends != [weights] else {})
    problems.update({"torch or matplotlib are left in another state": 1} if state() != before else {})
    for name, count in problems.items():
        print(f"{count} times: {name}")
    print(f"{options.calls} calls in {options.threads} threads, {sum(problems.values())} wrong, "
          f"{time.perf_counter() - began:.0f} s")  # fmt: skip
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
