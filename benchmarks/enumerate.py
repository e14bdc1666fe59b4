"""Enumeration against one batched forward pass over the vertices that come out: `python benchmarks/enumerate.py`.

Each case runs in a process of its own (so that peak memory is its own), kernels compiled beforehand, both in float64 on
the same threads, best of several alternating tries; the ratio is what counts. "composed" is the fair limit: the pass of the
network whose first layer is composed with the plane, so that it takes plane coordinates (2 -> width); "whole" is the pass of
the network itself, from its inputs. Only networks that begin with a Linear layer have the former. "seams" are values that
the two blocks at a seam would have read otherwise; nothing is enumerated twice for them. "again" counts slices that were
enumerated anew as exact decisions ended on the way. Prints the table and writes
benchmarks/out/enumerate.json. Other programs are in peers.py, a few ratios with limits in ratios.py.

    python benchmarks/enumerate.py                  all cases that take less than a minute
    python benchmarks/enumerate.py --all            also the ones with 10^7 regions
    python benchmarks/enumerate.py --case mlp3-init
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from machine import processor
from torch import nn

import splineviz as sv

OUT = Path(__file__).parent / "out"


def mlp(widths: list[int], *, he: bool = False, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for a, b in zip(widths[:-1], widths[1:], strict=True):
        layers += [nn.Linear(a, b), nn.ReLU()]
        if he:
            nn.init.kaiming_normal_(layers[-2].weight)
    return nn.Sequential(*layers[:-1]).double().eval()


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    from splineviz.training.recipes import load_data

    data = load_data("mnist")
    return torch.as_tensor(np.asarray(data.train_x)).reshape(-1, 784).double(), torch.as_tensor(
        np.asarray(data.train_y)
    ).long()


def trained(depth: int, steps: int = 3000) -> nn.Sequential:
    x, y = digits()
    model = mlp([784, *[200] * (depth - 1), 10]).float()
    target, x = nn.functional.one_hot(y, 10).float(), x.float()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        rows = torch.randint(len(x), (200,), generator=generator)
        optimiser.zero_grad()
        nn.functional.mse_loss(model(x[rows]), target[rows]).backward()
        optimiser.step()
    return model.double()


def convnet() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)),
        nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10),
    ).double()  # fmt: skip
    x, _ = digits()
    for _ in range(20):
        model(x[:200])  # running statistics of real data
    return model.eval()


def deep() -> nn.Sequential:
    return mlp([2, *[512] * 9, 1], he=True)


def on_digits() -> tuple[sv.Plane, None]:
    x, _ = digits()
    return sv.Plane.through(*x[:3]), None


def square(half: float) -> Callable[[], tuple[sv.Plane, float]]:
    return lambda: (sv.Plane(np.zeros(2), np.eye(2)), half)


CASES: dict[str, tuple[str, Callable[[], nn.Module], Callable[[], tuple[sv.Plane, float | None]], float | None, int]] = {
    # name: (what, model, slice, target ratio, tries)
    "mlp3-init": ("784-200x3-10 initial", lambda: mlp([784, 200, 200, 200, 10]), on_digits, 1.0, 7),
    "mlp3-trained": ("784-200x3-10 trained", lambda: trained(4), on_digits, 0.9, 7),
    "mlp4-init": ("784-200x4-10 initial", lambda: mlp([784, 200, 200, 200, 200, 10]), on_digits, 1.0, 7),
    "mlp4-trained": ("784-200x4-10 trained", lambda: trained(5), on_digits, 0.9, 7),
    "plane-256": ("2-256-256-256-1 initial", lambda: mlp([2, 256, 256, 256, 1]), square(1.0), 0.9, 7),
    "plane-512-he": ("2-512x4-1 He initial", lambda: mlp([2, 512, 512, 512, 512, 1], he=True), square(1.0), 0.6, 2),
    "conv": ("conv 8-16 + batch norm, 28x28", convnet, lambda: (on_digits()[0], 2.0), 1.3, 5),
    "grow-1e4": ("2-512x9-1 He, window for 10^4", deep, square(0.02), None, 3),
    "grow-1e5": ("2-512x9-1 He, window for 10^5", deep, square(0.06), None, 3),
    "grow-1e6": ("2-512x9-1 He, window for 10^6", deep, square(0.2), None, 1),
    "grow-1e7": ("2-512x9-1 He, window for 10^7", deep, square(2.0), None, 1),
}
SLOW = {"grow-1e6", "grow-1e7"}


def composed(model: nn.Module, plane: sv.Plane) -> nn.Module | None:
    """The network of plane coordinates: its first Linear layer after the plane's map; None if it begins otherwise."""
    if not isinstance(model, nn.Sequential) or not isinstance(model[0], nn.Linear):
        return None
    first = model[0]
    basis, origin = torch.tensor(plane.basis), torch.tensor(plane.origin).reshape(-1)
    layer = nn.Linear(2, first.out_features).double()
    with torch.no_grad():
        layer.weight.copy_(first.weight @ basis.reshape(2, -1).T)
        layer.bias.copy_(first.bias + first.weight @ origin)
    return nn.Sequential(layer, *model[1:])


def measure(name: str) -> dict[str, object]:
    """One case in this process."""
    what, build, place, target, tries = CASES[name]
    model, (plane, window) = build(), place()
    sv.partition(mlp([2, 16, 16, 1]), sv.Plane(np.zeros(2), np.eye(2)), window=1.0)  # compile or load the kernels
    if tries > 1:
        sv.partition(model, plane, window=window)
    short = composed(model, plane)
    times, whole, limit = [], [], []
    for _ in range(tries):
        began = time.perf_counter()
        found = sv.partition(model, plane, window=window)
        times.append(time.perf_counter() - began)
        if _ == 0:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        whole.append(passed(model, found.vertices, lambda uv: torch.from_numpy(plane.embed(uv)), sample=target is None))
        if short is not None:
            limit.append(passed(short, found.vertices, torch.from_numpy, sample=target is None))
    fair = min(limit) if limit else None
    return {
        "case": name, "what": what, "regions": found.num_regions, "seconds": min(times), "whole": min(whole),
        "composed": fair, "ratio_whole": min(times) / min(whole), "ratio": min(times) / (fair or min(whole)),
        "target": target, "us_a_region": 1e6 * min(times) / found.num_regions, "peak_gb": peak, "report": str(found.report),
        "seams": found.report.seam_readings, "restarts": found.report.restarts, "near_zero": found.report.near_zero,
    }  # fmt: skip


def passed(model: nn.Module, vertices: np.ndarray, place: Callable[[np.ndarray], torch.Tensor], *, sample: bool) -> float:
    """Seconds of the model's pass over the vertices in large batches; by one batch in twenty, if it may be a sample."""
    chunk = 65536 if len(vertices) > 400_000 else len(vertices)
    starts = range(0, len(vertices), chunk)
    starts = starts[::20] if sample and len(starts) > 20 else starts
    total = rows = 0.0
    for start in starts:
        x = place(vertices[start : start + chunk])
        with torch.no_grad():
            began = time.perf_counter()
            model(x)
            total += time.perf_counter() - began
        rows += len(x)
    return total * len(vertices) / rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--all", action="store_true", help="also the cases that take minutes")
    parser.add_argument("--inside", choices=CASES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        print(json.dumps(measure(args.inside)))
        return
    names = args.case or [name for name in CASES if args.all or name not in SLOW]
    rows = []
    print(processor())
    print(
        f"{'case':34} {'regions':>10} {'seconds':>9} {'composed':>9} {'whole':>9} {'ratio':>6} {'whole':>6} {'goal':>5} "
        f"{'us/region':>9} {'peak GB':>8} {'seams':>5} {'again':>5} {'near 0':>6}"
    )
    for name in names:
        done = subprocess.run([sys.executable, __file__, "--inside", name], capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{name:34} failed: {done.stderr.strip().splitlines()[-1]}")
            continue
        row = json.loads(done.stdout.splitlines()[-1])
        rows.append(row)
        goal = "" if row["target"] is None else f"{row['target']:.1f}"
        short = "" if row["composed"] is None else f"{row['composed']:.3f}"
        print(
            f"{row['what']:34} {row['regions']:>10,} {row['seconds']:>9.3f} {short:>9} {row['whole']:>9.3f} "
            f"{row['ratio']:>6.2f} {row['ratio_whole']:>6.2f} {goal:>5} {row['us_a_region']:>9.2f} {row['peak_gb']:>8.2f} "
            f"{row['seams']:>5} {row['restarts']:>5} {row['near_zero']:>6}",
            flush=True,
        )
    OUT.mkdir(exist_ok=True)
    machine = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    machine |= {"threads": torch.get_num_threads(), "processor": processor()}
    (OUT / "enumerate.json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
