"""A handful of ratios with limits, in under a minute: `make ratios`.

    python benchmarks/ratios.py            prints the table; exit code 1 if a ratio is over its limit
    python benchmarks/ratios.py --keep     also adds the rows to benchmarks/results/ratios.csv

Both sides of a ratio are measured in this process, alternating, best of several tries, on the same threads, so that a slower
machine changes nothing. The limits have room for a shared machine: twice to three times what a quiet one shows. A slice that
is worked twice, a kernel that is compiled at every call, or a lost factor of three is seen the day it comes.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from enumerate import composed, digits, mlp
from machine import cores, processor
from torch import nn

import splineviz as sv

KEPT = Path(__file__).parent / "results" / "ratios.csv"
PLANE = sv.Plane(np.zeros(2), np.eye(2))


class Ratio(NamedTuple):
    what: str
    ours: Callable[[], object]
    theirs: Callable[[], object]
    beside: str
    limit: float
    tries: int


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    with torch.no_grad():
        call()
    return time.perf_counter() - began


def slices() -> list[Ratio]:
    """Enumeration beside a pass over the vertices that come out."""
    found = []
    x, _ = digits()
    images = sv.Plane.through(*x[:3])
    for what, model, plane, window, limit in (
        ("2-256x3-1, [-1, 1]^2", mlp([2, 256, 256, 256, 1]), PLANE, 1.0, 3.0),
        ("784-200x3-10, round three digits", mlp([784, 200, 200, 200, 10]), images, None, 4.0),
    ):
        vertices = torch.from_numpy(sv.partition(model, plane, window=window).vertices)
        short = composed(model, plane)
        assert short is not None
        found.append(
            Ratio(
                what, lambda m=model, p=plane, w=window: sv.partition(m, p, window=w),
                lambda m=short, v=vertices: m(v), "pass of the composed network", limit, 5,
            )
        )  # fmt: skip
    torch.manual_seed(0)
    pooled = nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 84), nn.ReLU(), nn.Linear(84, 10),
    ).double()  # fmt: skip
    part = sv.partition(pooled, images, window=0.1)
    inputs = torch.from_numpy(images.embed(part.vertices))
    found.append(
        Ratio(
            f"LeNet with max-pooling, {part.num_regions:,} regions", lambda: sv.partition(pooled, images, window=0.1),
            lambda: pooled(inputs), "pass of the network", 12.0, 3,
        )
    )  # fmt: skip
    return found


def others() -> list[Ratio]:
    """A small slice's fixed costs, and the local complexity beside the passes that it stands for."""
    small = mlp([2, 32, 32, 2])
    program = sv.trace(small, (2,))
    x = torch.rand(1000, 784, dtype=torch.float64)
    wide, vectors = mlp([784, 200, 200, 200, 10]), 25
    return [
        Ratio(
            "a module sliced again, small slice", lambda: sv.partition(small, PLANE, window=1.0),
            lambda: sv.partition(program, PLANE, window=1.0), "the traced Program", 8.0, 9,
        ),
        Ratio(
            "local complexity, 1,000 points, P = 25", lambda: sv.local_complexity(wide, x, radius=0.005),
            lambda: [wide(x) for _ in range(2 * vectors)], "2P plain passes", 1.0, 3,
        ),
    ]  # fmt: skip


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--keep", action="store_true", help=f"add the rows to {KEPT.name}")
    options = flags.parse_args()
    rows, over = [], []
    today = datetime.date.today().isoformat()
    print(f"{processor()}, {cores()} cores, torch {torch.__version__}, {torch.get_num_threads()} threads, float64")
    print(f"{'what':42} {'ms':>8} {'beside: ms':>11} {'ratio':>7} {'limit':>6}")
    for ratio in slices() + others():
        ratio.ours(), ratio.theirs()  # kernels and memory
        pairs = [(seconds(ratio.ours), seconds(ratio.theirs)) for _ in range(ratio.tries)]
        ours, theirs = (min(side) for side in zip(*pairs, strict=True))
        value = ours / theirs
        times = f"{1e3 * ours:8.1f} {1e3 * theirs:11.1f}"
        print(f"{ratio.what:42} {times} {value:7.2f} {ratio.limit:6.1f}  {ratio.beside}", flush=True)
        rows.append([today, sv.__version__, processor(), cores(), ratio.what, ratio.beside, f"{value:.3f}"])
        if value > ratio.limit:
            over.append(ratio.what)
    if options.keep:
        new = not KEPT.exists()
        with KEPT.open("a", newline="") as stream:
            writer = csv.writer(stream)
            if new:
                writer.writerow(["date", "version", "processor", "cores", "what", "beside", "ratio"])
            writer.writerows(rows)
    if over:
        sys.exit(f"over the limit: {'; '.join(over)}")


if __name__ == "__main__":
    main()
