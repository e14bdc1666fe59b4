"""Networks whose layers take the largest of more than two numbers: (module, input shape) by name, as in `networks`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from networks import Forward, conv, lin
from torch import Tensor, nn

TABLE: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "maxout of three": (
        lambda: Forward(lambda m, x: m.out(m.a(x).view(-1, 4, 3).amax(dim=2)), a=lin(3, 12), out=lin(4, 2)),
        (3,),
    ),
    "maxout of five, twice": (
        lambda: Forward(
            lambda m, x: m.out(m.b(m.a(x).view(-1, 3, 5).max(dim=2).values).view(-1, 5, 2).amax(2)),
            a=lin(2, 15),
            b=lin(3, 10),
            out=lin(5, 2),
        ),
        (2,),
    ),
    "the smallest of four": (
        lambda: Forward(lambda m, x: m.out(m.a(x).view(-1, 3, 4).amin(dim=2)), a=lin(3, 12), out=lin(3, 2)),
        (3,),
    ),
    "max-pooling after ReLU": (
        lambda: nn.Sequential(conv(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), lin(8, 3), nn.ReLU(), lin(3, 2)),
        (1, 6, 6),
    ),
    "max-pooling of the input": (
        lambda: nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), lin(4, 4), nn.ReLU(), lin(4, 2)),
        (1, 4, 4),
    ),
    "max-pooling that overlaps": (
        lambda: nn.Sequential(conv(1, 2, 2), nn.MaxPool2d(3, stride=1), nn.ReLU(), nn.Flatten(), lin(8, 2)),
        (1, 5, 5),
    ),
    "max-pooling, padded": (
        lambda: nn.Sequential(conv(1, 2, 2), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1), nn.Flatten(), lin(8, 2)),
        (1, 4, 4),
    ),
    "max-pooling, dilated": (
        lambda: nn.Sequential(conv(1, 2, 2), nn.MaxPool2d(2, stride=1, dilation=2), nn.Flatten(), lin(8, 2)),
        (1, 5, 5),
    ),
    "max-pooling, the last window cut off": (
        lambda: nn.Sequential(conv(1, 2, 2), nn.MaxPool2d(2, 2, ceil_mode=True), nn.Flatten(), lin(8, 2)),
        (1, 4, 4),
    ),
    "max-pooling in one dimension": (
        lambda: nn.Sequential(nn.Conv1d(1, 3, 2), nn.MaxPool1d(3), nn.Flatten(), lin(9, 2)),
        (1, 10),
    ),
    "max-pooling in three": (
        lambda: nn.Sequential(nn.Conv3d(1, 2, 2), nn.MaxPool3d(2), nn.Flatten(), lin(2, 2)),
        (1, 3, 3, 3),
    ),
    "adaptive max-pooling": (
        lambda: nn.Sequential(conv(1, 3, 2), nn.AdaptiveMaxPool2d((2, 1)), nn.Flatten(), lin(6, 2)),
        (1, 4, 4),
    ),
    "adaptive max-pooling in one dimension": (
        lambda: nn.Sequential(nn.Conv1d(1, 3, 2), nn.AdaptiveMaxPool1d(2), nn.Flatten(), lin(6, 2)),
        (1, 8),
    ),
    "adaptive max-pooling in three": (
        lambda: nn.Sequential(nn.Conv3d(1, 2, 2), nn.AdaptiveMaxPool3d((1, 1, 2)), nn.Flatten(), lin(4, 2)),
        (1, 3, 3, 4),
    ),
    "the largest of all": (
        lambda: Forward(lambda m, x: m.out(F.relu(m.a(x)).amax(dim=(2, 3))), a=conv(1, 4, 2), out=lin(4, 2)),
        (1, 4, 4),
    ),
    "max-pooling beside a skip connection": (
        lambda: Forward(
            lambda m, x: m.out((F.max_pool2d(F.relu(m.a(x)), 3, 1, 1) + x).relu().flatten(1)),
            a=conv(1, 1, 3, padding=1),
            out=lin(16, 2),
        ),
        (1, 4, 4),
    ),
    "the same channel twice": (
        lambda: Forward(
            lambda m, x: m.out(torch.cat([m.a(x), m.a(x)], dim=1).view(-1, 2, 3, 9).amax(dim=1).amax(dim=2)),
            a=conv(1, 3, 2),
            out=lin(3, 2),
        ),
        (1, 4, 4),
    ),
}


class Maxout(nn.Module):
    """Two layers of maxima over groups of random sizes, the first perhaps after ReLU, of a plane."""

    def __init__(self, rng: np.random.Generator):
        super().__init__()
        self.size, groups = int(rng.integers(3, 6)), int(rng.integers(1, 4))
        self.second, outputs = int(rng.integers(3, 5)), int(rng.integers(1, 3))
        self.a, self.b = lin(2, self.size * groups), lin(groups, self.second * outputs)
        self.out, self.relu = lin(outputs, 2), bool(rng.integers(2))

    def forward(self, x: Tensor) -> Tensor:
        z = F.relu(self.a(x)) if self.relu else self.a(x)
        z = z.view(-1, z.shape[1] // self.size, self.size).amax(2)
        z = self.b(z)
        return self.out(z.view(-1, z.shape[1] // self.second, self.second).amax(2))


class Sliding(nn.Module):
    """The largest in a window that slides over the units of a layer: groups share entries."""

    def __init__(self, rng: np.random.Generator):
        super().__init__()
        units = int(rng.integers(4, 8))
        self.size = min(int(rng.integers(3, 6)), units)
        self.a, self.out, self.relu = lin(2, units), lin(units - self.size + 1, 2), bool(rng.integers(2))

    def forward(self, x: Tensor) -> Tensor:
        z = F.relu(self.a(x)) if self.relu else self.a(x)
        return self.out(F.max_pool1d(z[:, None], self.size, stride=1)[:, 0])


def random_network(seed: int) -> nn.Module:
    """A small network with maxima; half of them have small whole numbers as weights, so that knots coincide and tie."""
    rng = np.random.default_rng(seed)
    whole = bool(rng.integers(2))
    network = (Maxout if rng.integers(2) else Sliding)(rng).double()
    for p in network.parameters():
        drawn = rng.integers(-2, 3, size=tuple(p.shape)) if whole else rng.normal(size=tuple(p.shape))
        p.data[:] = torch.from_numpy(np.asarray(drawn, dtype=float))
    if rng.random() < 0.3:
        network.a.bias.data[:] = 0.0
    if rng.random() < 0.3:
        network.a.weight.data[1], network.a.bias.data[1] = network.a.weight.data[0], network.a.bias.data[0]
    return network
