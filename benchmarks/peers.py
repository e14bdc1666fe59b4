"""Other programs that count linear regions on a window, each behind one function, and the networks they are given.

    python benchmarks/peers.py regioncam 2-32x2-1        one program, one network: seconds and regions as JSON

A network here is a list of (weight (m, n), bias (m,)) float64 with a ReLU after all but the last; its input is the
plane, and the window is the square [-h, h]^2. All count the same thing: activation patterns with an open cell inside
that square.

    splineviz     exact complex, float64, all cores
    regioncam     a planar complex too (half-edges, Rust), float32, one thread
    affinitree    a decision tree over the network's affine maps with infeasible paths removed by linear programs (Rust),
                  float64; its terminals are the regions. A depth-first tree holds a pattern several times if it has to
    relucent      local search from cell to neighbouring cell by linear programs (Gurobi), float64, processes on all
                  cores; cells that meet the square (cube_mode="intersect"), its own certificate switched off. Without a
                  licence Gurobi takes models of limited size
    exact         rational arithmetic of our tests (tests/support/oracle.py): slow, and without a single rounding

SplineCam is not on PyPI and SyReNN's package is a client of a server that is not: neither can be run here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Maps = list[tuple[np.ndarray, np.ndarray]]
LIMIT = 12
"""Seconds that a peer gets for one network."""


def mlp(*widths: int, seed: int = 0) -> Maps:
    """Uniform weights and biases as torch draws them: within +- 1 / sqrt(fan in)."""
    rng, maps = np.random.default_rng(seed), []
    for n, m in zip(widths[:-1], widths[1:], strict=True):
        bound = 1 / np.sqrt(n)
        maps.append((rng.uniform(-bound, bound, (m, n)), rng.uniform(-bound, bound, m)))
    return maps


def without_biases(maps: Maps) -> Maps:
    """All knots of the first layer meet in the origin, and those of the others pass through corners."""
    return [(weight, np.zeros_like(bias)) for weight, bias in maps]


def twice(maps: Maps) -> Maps:
    """The same function with every unit there twice: knots lie on each other, regions are the same."""
    doubled, columns = [], 1
    for index, (weight, bias) in enumerate(maps):
        rows = 1 if index == len(maps) - 1 else 2
        wide = np.concatenate([weight] * columns, axis=1) / columns
        doubled.append((np.concatenate([wide] * rows), np.concatenate([bias] * rows)))
        columns = rows
    return doubled


def digits() -> Maps:
    """784-200x3-10, seen on the plane through three digits: its first layer takes (u, v) from the window's centre."""
    import splineviz as sv

    x = np.asarray(sv.recipes.load_data("mnist").train_x, np.float64).reshape(-1, 784)
    plane = sv.Plane.through(*x[:3])
    (weight, bias), *rest = mlp(784, 200, 200, 200, 10)
    centre = plane.embed(plane.window(None).mean(axis=0)[None]).reshape(-1)
    return [(weight @ plane.basis.reshape(2, -1).T, weight @ centre + bias), *rest]


NETWORKS: dict[str, tuple[Callable[[], Maps], float]] = {
    # name: (network, half the window's side)
    "2-16x2-1": (lambda: mlp(2, 16, 16, 1), 1.0),
    "2-16x2-1, no biases": (lambda: without_biases(mlp(2, 16, 16, 1)), 1.0),
    "2-16x2-1, every unit twice": (lambda: twice(mlp(2, 16, 16, 1)), 1.0),
    "2-32x2-1": (lambda: mlp(2, 32, 32, 1), 1.0),
    "2-64x3-1": (lambda: mlp(2, 64, 64, 64, 1), 1.0),
    "784-200x3-10, plane of three digits": (digits, 6.0),
    "2-256x3-1": (lambda: mlp(2, 256, 256, 256, 1), 1.0),
    "2-512x3-1": (lambda: mlp(2, 512, 512, 512, 1), 1.0),
}


def splineviz(maps: Maps, half: float) -> Callable[[], int]:
    """This package."""
    import splineviz as sv

    model = _torch(maps)
    plane = sv.Plane(np.zeros(2), np.eye(2))
    sv.partition(_torch(mlp(2, 4, 4, 1)), plane, window=1.0)  # compile or load the kernels
    return lambda: int(sv.partition(model, plane, window=half).num_regions)


def regioncam(maps: Maps, half: float) -> Callable[[], int]:
    """github.com/twanvl/regioncam."""
    import regioncam as package

    single = [(np.ascontiguousarray(w.T, np.float32), b.astype(np.float32)) for w, b in maps]

    def count() -> int:
        cam = package.Regioncam(half)
        for index, (weight, bias) in enumerate(single):
            cam.linear(weight, bias)
            if index < len(single) - 1:
                cam.relu()
        return int(cam.num_faces)

    return count


def affinitree(maps: Maps, half: float) -> Callable[[], int]:
    """github.com/Conturing/affinitree."""
    import affinitree as package

    def count() -> int:
        plan = package.Architecture(2)
        for index, (weight, bias) in enumerate(maps):
            plan.linear(package.AffFunc.from_mats(weight, bias))
            if index < len(maps) - 1:
                plan.relu()
        box = package.Polytope.hyperrectangle(2, [(-half, half), (-half, half)])
        start = package.AffTree.from_poly(box, package.AffFunc.identity(2))
        return int(package.builder.from_layers(plan, precondition=start).num_terminals())

    return count


def relucent(maps: Maps, half: float) -> Callable[[], int]:
    """github.com/bl-ake/relucent."""
    import relucent as package

    model = _torch(maps)
    start = np.random.default_rng(0).uniform(-half / 8, half / 8, (1, 2))  # must not lie on a knot

    def count() -> int:
        found = package.Complex(model)
        found.bfs(start=start, cube_radius=half, cube_mode="intersect", verify=False, verbose=0)
        return len(found)

    return count


def exact(maps: Maps, half: float) -> Callable[[], int]:
    """The oracle of the tests."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
    from oracle import RELU, Layer, regions

    layers = [Layer(w, b, RELU if index < len(maps) - 1 else None) for index, (w, b) in enumerate(maps)]
    corners = np.array([[-half, -half], [half, -half], [half, half], [-half, half]])
    return lambda: len(regions(layers, corners))


PROGRAMS = {f.__name__: f for f in (splineviz, regioncam, affinitree, relucent, exact)}


def _torch(maps: Maps):  # noqa: ANN202 - torch is not imported at the top, some peers do without it
    import torch
    from torch import nn

    layers: list[nn.Module] = []
    for weight, bias in maps:
        linear = nn.Linear(weight.shape[1], weight.shape[0]).double()
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight))
            linear.bias.copy_(torch.from_numpy(bias))
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1]).eval()


def ask(program: str, network: str, limit: float = LIMIT) -> dict[str, object]:
    """One program on one network in a process of its own: {"seconds", "regions"}, or {"failed": why}."""
    command = [sys.executable, __file__, program, network]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit + 6)
    except subprocess.TimeoutExpired:
        return {"failed": f"over {limit:g} s"}
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1][:160]}
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", choices=PROGRAMS)
    parser.add_argument("network", choices=NETWORKS)
    options = parser.parse_args()
    build, half = NETWORKS[options.network]
    count, times, regions = PROGRAMS[options.program](build(), half), [], 0
    while not times or (sum(times) < 2 and len(times) < 5):  # the best of a few tries where they are quick
        began = time.perf_counter()
        regions = count()
        times.append(time.perf_counter() - began)
    print(json.dumps({"seconds": min(times), "regions": regions}))


if __name__ == "__main__":
    main()
