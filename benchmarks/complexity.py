"""Sampled local complexity against the straightforward 2P forward passes: `python benchmarks/complexity.py`.

21,000 points (1,000 training, 10,000 test and 10,000 random ones, three sets in one call), P = 25, on 784-200-200-200-10, in
float32 and float64, on the same threads, alternating in one run. The straightforward way evaluates x +- r v in batches
and compares signs; both take directions that lie ready in the same store. Writes benchmarks/out/complexity.json.

    python benchmarks/complexity.py                 a fifth of the points, twice
    python benchmarks/complexity.py --all           all points
    python benchmarks/complexity.py --run ckpts/    the network of a run's checkpoints instead of a fresh one
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import splineviz as sv
from splineviz.metrics.complexity import CHUNK, local_complexities
from splineviz.metrics.directions import Directions, kept_directions

OUT = Path(__file__).parent / "out"
VECTORS, RADIUS = 25, 0.05


def network() -> nn.Sequential:
    torch.manual_seed(0)
    widths = (784, 200, 200, 200, 10)
    layers = [m for a, b in zip(widths, widths[1:], strict=False) for m in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1]).eval()


@torch.no_grad()
def straightforward(model: sv.Program, x: Tensor, directions: Directions, dtype: torch.dtype) -> np.ndarray:
    """(n,) counts by evaluating all 2P vertices of every point."""
    program, totals = model.to(dtype), []
    x = x.flatten(1)
    for at in range(0, len(x), CHUNK):
        some = x[at : at + CHUNK].to(dtype)
        v = RADIUS * directions.frames(at, at + len(some)).to(dtype)
        vertices = torch.cat([some[:, None] + v, some[:, None] - v], dim=1)
        values, _ = program.preactivations(vertices.reshape(-1, *program.input_shape))
        signs = [(z > 0).reshape(len(some), 2 * VECTORS, -1) for z in values]
        totals.append(sum((s.any(1) & ~s.all(1)).sum(1) for s in signs))
    return torch.cat(totals).numpy()


def measure(program: sv.Program, name: str, points: int, tries: int) -> list[dict[str, object]]:
    """A row in float32 and one in float64: the least seconds of the processor of both ways, and whether they agree."""
    shape, table, rng = program.input_shape, [], np.random.default_rng(0)
    sizes = {"train": points // 21, "test": 10 * points // 21, "random": 10 * points // 21}
    places = {
        place: torch.from_numpy(rng.uniform(0, 1, (n, math.prod(shape))).astype(np.float32)) for place, n in sizes.items()
    }
    directions = kept_directions(math.prod(shape), VECTORS, 0, False)
    for group in range(-(-sizes["test"] // directions.group)):
        directions.pool(group)
    for dtype in (torch.float32, torch.float64):
        best = {"plain": math.inf, "here": math.inf}
        for _ in range(tries):
            began = time.process_time()
            plain = {place: straightforward(program, x, directions, dtype) for place, x in places.items()}
            best["plain"] = min(best["plain"], time.process_time() - began)
            began = time.process_time()
            found = local_complexities(program, places, radius=RADIUS, num_vectors=VECTORS, dtype=dtype)
            best["here"] = min(best["here"], time.process_time() - began)
        row = {
            "network": name, "points": points, "dtype": str(dtype), **best, "share": best["here"] / best["plain"],
            "lc": found["random"].mean,
            "points that differ": int(sum((plain[place] != found[place].total).sum() for place in places)),
        }  # fmt: skip
        table.append(row)
        print(json.dumps(row), flush=True)
    return table


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--all", action="store_true", help="all 21,000 points")
    flags.add_argument("--run", type=Path, help="a run directory: its first and last checkpoint")
    options = flags.parse_args()
    if options.run is None:
        networks = {"fresh": sv.trace(network(), (784,))}
    else:
        run = sv.open_run(options.run)
        networks = {f"step {c.step}": run.program(c) for c in (run.checkpoints[0], run.checkpoints[-1])}
    points, tries = (21_000, 2) if options.all else (4_200, 3)
    table = [row for name, program in networks.items() for row in measure(program, name, points, tries)]
    OUT.mkdir(exist_ok=True)
    (OUT / "complexity.json").write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
