"""Convolutional networks against a pass of the network over the vertices that come out: `python benchmarks/convolutions.py`.

The pass is the network's own module in float64 with its first convolution composed with the plane, so that it takes plane
coordinates; that is the fair limit (see enumerate.py). Both sides alternate in one process, and processor seconds of all
threads are compared, which other programs on the machine disturb less than the clock does. Weights are drawn, statistics
of batch norms are those of the digits.

    python benchmarks/convolutions.py                       all networks, about 1,000 regions each
    python benchmarks/convolutions.py --regions 10000 --case resnet18 vgg11
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable

import numpy as np
import torch
from enumerate import digits
from machine import cores, processor
from torch import Tensor, nn

import splineviz as sv
from splineviz.tracing.program import Program

BATCHES = (2, 4, 8, 16)
"""Rows of a batch of the pass, of which the quickest counts: torch unfolds the pictures of a batch at once in double
precision, so that more take longer, from one size on that the network decides."""
ROWS = 512
"""Vertices that the pass is timed with, where there are more: a row costs what it costs."""


def conv(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


class Residual(nn.Module):
    """The basic block of a ResNet."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1, self.norm1 = conv(inputs, outputs, 3, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = conv(outputs, outputs), nn.BatchNorm2d(outputs)
        self.short = nn.Sequential()
        if stride > 1 or inputs != outputs:
            self.short = nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        return torch.relu(y + self.short(x))


def resnet18(stem: list[nn.Module]) -> nn.Sequential:
    blocks: list[nn.Module] = []
    for inputs, outputs, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)):
        blocks += [Residual(inputs, outputs, stride), Residual(outputs, outputs, 1)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


def vgg11(norm: bool) -> nn.Sequential:
    layers, inputs = [], 3
    for width in (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0):
        if width == 0:
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [nn.Conv2d(inputs, width, 3, padding=1), *([nn.BatchNorm2d(width)] if norm else []), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


class Unet(nn.Module):
    """Three levels, max-pooling down, transposed convolutions up, classes by the mean over pixels."""

    def __init__(self, width: int = 16):
        super().__init__()
        self.first = nn.Conv2d(1, width, 3, padding=1)
        self.left = nn.ModuleList([self.pair(width, width), self.pair(width, 2 * width), self.pair(2 * width, 4 * width)])
        self.up = nn.ModuleList([nn.ConvTranspose2d(4 * width, 2 * width, 2, 2), nn.ConvTranspose2d(2 * width, width, 2, 2)])
        self.right = nn.ModuleList([self.pair(4 * width, 2 * width), self.pair(2 * width, width)])
        self.last = nn.Conv2d(width, 10, 1)

    @staticmethod
    def pair(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(conv(inputs, outputs), nn.BatchNorm2d(outputs), nn.ReLU(), conv(outputs, outputs),
                             nn.BatchNorm2d(outputs), nn.ReLU())  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        one = self.left[0](torch.relu(self.first(x)))
        two = self.left[1](nn.functional.max_pool2d(one, 2))
        y = self.left[2](nn.functional.max_pool2d(two, 2))
        y = self.right[0](torch.cat([two, self.up[0](y)], 1))
        y = self.right[1](torch.cat([one, self.up[1](y)], 1))
        return self.last(y).mean((2, 3))


def lenet(wide: bool) -> nn.Sequential:
    a, b = (20, 50) if wide else (6, 16)
    return nn.Sequential(
        nn.Conv2d(1, a, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(a, b, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(25 * b, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "resnet18": (lambda: resnet18([conv(3, 64), nn.BatchNorm2d(64), nn.ReLU()]), (3, 32, 32)),
    "resnet18-imagenet": (
        lambda: resnet18([conv(3, 64, 7, 2), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]), (3, 32, 32),
    ),
    "vgg11": (lambda: vgg11(False), (3, 32, 32)),
    "vgg11-bn": (lambda: vgg11(True), (3, 32, 32)),
    "lenet-6-16": (lambda: lenet(False), (1, 28, 28)),
    "lenet-20-50": (lambda: lenet(True), (1, 28, 28)),
    "unet": (Unet, (1, 28, 28)),
}  # fmt: skip


def pictures(shape: tuple[int, int, int], count: int) -> Tensor:
    """Digits as pictures of a shape, with noise of their own in every channel."""
    x, _ = digits()
    x = nn.functional.interpolate(x[:count].reshape(-1, 1, 28, 28), size=shape[1:], mode="bilinear")
    generator = torch.Generator().manual_seed(0)
    return x + 0.1 * torch.randn(count, *shape, generator=generator, dtype=torch.float64)


def network(name: str) -> nn.Module:
    build, shape = CASES[name]
    torch.manual_seed(0)
    model = build()
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
    model = model.double().train()
    with torch.no_grad():
        for _ in range(10):
            model(pictures(shape, 64))
    return model.eval()


class Composed(nn.Module):
    """A first convolution of plane coordinates (n, 2)."""

    def __init__(self, first: nn.Conv2d, plane: sv.Plane):
        super().__init__()
        x = torch.from_numpy(np.stack([plane.origin, *plane.basis]))
        with torch.no_grad():
            bias = first(x[:1])
            slopes = first(x[1:]) - first(torch.zeros_like(x[:1]))
        self.shape = bias.shape[1:]
        self.weight, self.bias = slopes.flatten(1).T.contiguous(), bias.flatten()

    def forward(self, uv: Tensor) -> Tensor:
        return nn.functional.linear(uv, self.weight, self.bias).reshape(-1, *self.shape)


def composed(model: nn.Module, plane: sv.Plane) -> nn.Module:
    """The network of plane coordinates; the model is left as it is."""
    import copy

    short = copy.deepcopy(model)
    if isinstance(short, nn.Sequential):
        short[0] = Composed(short[0], plane)
    else:
        short.first = Composed(short.first, plane)
    return short


def window_of(program: Program, plane: sv.Plane, regions: int) -> float:
    """A half-width with about so many regions, within a fifth: from a small one on, by what the last one held."""
    half, found = 1e-3, 0
    for _ in range(12):
        found = sv.partition(program, plane, window=half).num_regions
        if abs(found - regions) <= regions // 5:
            break
        half *= float(np.clip((regions / found) ** 0.5, 0.2, 4.0))
    return half


def processor_seconds(call: Callable[[], object]) -> tuple[float, float, object]:
    gc.collect()
    began, busy = time.perf_counter(), time.process_time()
    with torch.no_grad():
        result = call()
    return time.process_time() - busy, time.perf_counter() - began, result


def measure(name: str, regions: int, tries: int, half: float | None) -> None:
    model, shape = network(name), CASES[name][1]
    plane = sv.Plane.through(*pictures(shape, 3).numpy())
    program = sv.trace(model, shape)
    half = window_of(program, plane, regions) if half is None else half
    short, ours, limit = composed(model, plane), [], []
    for _ in range(tries):
        busy, wall, part = processor_seconds(lambda: sv.partition(program, plane, window=half))
        ours.append((busy, wall))
        rows = np.unique(np.linspace(0, len(part.vertices) - 1, ROWS).astype(int))
        vertices, share = torch.from_numpy(part.vertices[rows]), len(part.vertices) / len(rows)
        for batch in BATCHES:
            took = processor_seconds(lambda v=vertices, n=batch: [short(some) for some in v.split(n)])[:2]
            limit.append(tuple(seconds * share for seconds in took))
    busy, wall = (min(one[i] for one in ours) / min(one[i] for one in limit) for i in (0, 1))
    print(
        f"{name:18} {part.num_regions:>7,} {len(part.vertices):>8,} {half:9.5f} {min(ours)[0]:>8.2f} {min(limit)[0]:>8.2f} "
        f"{busy:>6.2f} {wall:>6.2f}  {part.report}", flush=True,
    )  # fmt: skip


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--case", choices=CASES, nargs="+", default=list(CASES))
    flags.add_argument("--regions", type=int, default=1000)
    flags.add_argument("--half", type=float, help="half-width of the window, instead of a number of regions")
    flags.add_argument("--tries", type=int, default=3)
    options = flags.parse_args()
    print(f"{processor()}, {cores()} cores, torch {torch.__version__}, {torch.get_num_threads()} threads, float64")
    print(f"{'network':18} {'regions':>7} {'vertices':>8} {'window':>9} {'ours':>8} {'pass':>8} {'ratio':>6} {'wall':>6}")
    for name in options.case:
        measure(name, options.regions, options.tries, options.half)


if __name__ == "__main__":
    main()
