"""Networks of every kind that tracing knows, for tests of tracing and of the enumerator: (module, input shape) by name.

Weights are random and seeded; batch norms have statistics that are not the identity. Sizes are small, so that a brute
force finds all regions on a slice.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from operations import OPERATIONS
from parts import Block, Forward, conv, lin
from torch import Tensor, nn


def relu_network(seed: int, *widths: int) -> nn.Sequential:
    """A plain ReLU network of these widths, in float64, with torch's own initialisation."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for i in range(len(widths) - 1):
        layers += [nn.Linear(widths[i], widths[i + 1]), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).double()


def in_place(m: Any, x: Tensor) -> Tensor:
    z = m.a(x)
    h = F.relu(z, inplace=True)
    return m.b(z + h)  # z is the ReLU's output by now


def in_chunks(m: Any, x: Tensor) -> Tensor:
    p, q = m.a(x).chunk(2, dim=1)
    return m.out(torch.cat([F.relu(q), p], 1)[:, 1:5])


def in_halves(m: Any, x: Tensor) -> Tensor:
    parts = torch.split(m.a(x), 3, dim=1)
    return m.out(parts[0].relu() + parts[1].abs())


TABLE: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "residual": (
        lambda: Forward(lambda m, x: m.out((h := F.relu(m.a(x))) + F.relu(m.b(h))), a=lin(3, 6), b=lin(6, 6), out=lin(6, 2)),
        (3,),
    ),
    "residual from the input": (
        lambda: Forward(lambda m, x: m.out(torch.relu(m.b(x + m.a(x).relu()))), a=lin(3, 3), b=lin(3, 5), out=lin(5, 2)),
        (3,),
    ),
    "difference": (
        lambda: Forward(lambda m, x: m.out(F.relu(m.a(x)) - 0.5 * F.relu(m.b(x))), a=lin(3, 5), b=lin(3, 5), out=lin(5, 2)),
        (3,),
    ),
    "dense connections": (
        lambda: Forward(
            lambda m, x: m.out(torch.cat([x, h := F.relu(m.a(x)), F.relu(m.b(torch.cat([x, h], 1)))], dim=1)),
            a=lin(3, 4),
            b=lin(7, 4),
            out=lin(11, 2),
        ),
        (3,),
    ),
    "stacked branches": (
        lambda: Forward(
            lambda m, x: m.out(torch.stack([F.relu(m.a(x)), F.relu(m.b(x))], dim=1).flatten(1)),
            a=lin(3, 4),
            b=lin(3, 4),
            out=lin(8, 2),
        ),
        (3,),
    ),
    "shared module": (
        lambda: Forward(
            lambda m, x: m.out(F.relu(m.b(F.relu(m.b(F.relu(m.a(x))))))), a=lin(3, 5), b=lin(5, 5), out=lin(5, 2)
        ),
        (3,),
    ),
    "in place": (lambda: Forward(in_place, a=lin(3, 6), b=lin(6, 2)), (3,)),
    "leaky residual": (
        lambda: Forward(
            lambda m, x: m.out((h := m.a(x).abs()) + F.leaky_relu(m.b(h), 0.2)), a=lin(3, 5), b=lin(5, 5), out=lin(5, 2)
        ),
        (3,),
    ),
    "prelu": (lambda: nn.Sequential(lin(3, 6), nn.PReLU(), lin(6, 5), nn.PReLU(5), lin(5, 2)), (3,)),
    "prelu on pictures": (lambda: nn.Sequential(conv(1, 2, 2), nn.PReLU(2, init=-0.5), nn.Flatten(), lin(18, 2)), (1, 4, 4)),
    "rrelu": (lambda: nn.Sequential(lin(3, 6), nn.RReLU(), lin(6, 2)), (3,)),
    "relu6": (lambda: nn.Sequential(lin(3, 6), nn.ReLU6(), lin(6, 4), nn.ReLU6(), lin(4, 2)), (3,)),
    "hardtanh": (lambda: nn.Sequential(lin(3, 6), nn.Hardtanh(-0.5, 0.7), lin(6, 4), nn.Hardtanh(), lin(4, 2)), (3,)),
    "hardsigmoid": (lambda: nn.Sequential(lin(3, 6), nn.Hardsigmoid(), lin(6, 2)), (3,)),
    "softshrink": (lambda: nn.Sequential(lin(3, 6), nn.Softshrink(0.3), lin(6, 2)), (3,)),
    "clamp": (
        lambda: Forward(lambda m, x: m.out(m.a(x).clamp(min=-0.2, max=0.4).clamp_min(-0.1)), a=lin(3, 6), out=lin(6, 2)),
        (3,),
    ),
    "continuous threshold": (lambda: nn.Sequential(lin(3, 6), nn.Threshold(0.2, 0.2), lin(6, 2)), (3,)),
    "maximum": (
        lambda: Forward(lambda m, x: m.out(torch.maximum(m.a(x), m.b(x))), a=lin(3, 5), b=lin(3, 5), out=lin(5, 2)),
        (3,),
    ),
    "minimum with a constant": (
        lambda: Forward(
            lambda m, x: m.out(torch.minimum(m.a(x), m.t)), a=lin(3, 5), t=torch.linspace(-1, 1, 5), out=lin(5, 2)
        ),
        (3,),
    ),
    "maxout": (
        lambda: Forward(lambda m, x: m.out(m.a(x).view(-1, 5, 2).max(dim=2).values), a=lin(3, 10), out=lin(5, 2)),
        (3,),
    ),
    "max-pooling of pairs": (
        lambda: nn.Sequential(nn.Conv1d(1, 2, 3), nn.ReLU(), nn.MaxPool1d(2, ceil_mode=True), nn.Flatten(), lin(6, 2)),
        (1, 7),
    ),
    "overlapping max-pooling of pairs": (
        lambda: nn.Sequential(nn.Conv1d(1, 2, 3), nn.MaxPool1d(2, 1, padding=1), nn.Flatten(), lin(10, 2)),
        (1, 6),
    ),
    "convolutions": (
        lambda: nn.Sequential(
            conv(1, 3, 3, padding=1),
            nn.BatchNorm2d(3),
            nn.ReLU(),
            nn.AvgPool2d(2),
            conv(3, 2, 2),
            nn.ReLU(),
            nn.Flatten(),
            lin(2, 2),
        ),
        (1, 4, 4),
    ),
    "pre-activated residual blocks": (
        lambda: nn.Sequential(
            conv(1, 2, 3, padding=1), Block(2, 2, 1), Block(2, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), lin(3, 2)
        ),
        (1, 4, 4),
    ),
    "grouped and dilated": (
        lambda: nn.Sequential(
            conv(2, 4, 2, groups=2, dilation=2), nn.ReLU(), conv(4, 2, 1), nn.ReLU(), nn.Flatten(), lin(8, 2)
        ),
        (2, 4, 4),
    ),
    "transposed convolution": (
        lambda: nn.Sequential(
            lin(3, 4), nn.Unflatten(1, (1, 2, 2)), nn.ConvTranspose2d(1, 2, 2, stride=2), nn.ReLU(), nn.Flatten(), lin(32, 2)
        ),
        (3,),
    ),
    "upsampling": (
        lambda: nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear"),
            conv(1, 2, 3),
            nn.ReLU(),
            nn.Upsample(size=(3, 3)),
            nn.Flatten(),
            lin(18, 2),
        ),
        (1, 2, 2),
    ),
    "interpolation": (
        lambda: Forward(
            lambda m, x: m.out(
                F.interpolate(F.relu(m.a(x)), scale_factor=1.5, mode="bilinear", align_corners=True).flatten(1)
            ),
            a=conv(1, 2, 1),
            out=lin(18, 2),
        ),
        (1, 2, 2),
    ),
    "padding": (
        lambda: nn.Sequential(
            nn.ReflectionPad2d(1),
            conv(1, 1, 3),
            nn.ConstantPad2d(1, 0.7),
            nn.ReLU(),
            nn.ZeroPad2d(1),
            nn.Flatten(),
            lin(49, 2),
        ),
        (1, 3, 3),
    ),
    "padding as a function": (
        lambda: Forward(lambda m, x: m.out(F.relu(F.pad(m.a(x), (1, 0), value=-0.3))), a=lin(3, 4), out=lin(5, 2)),
        (3,),
    ),
    "instance norm": (
        lambda: nn.Sequential(
            conv(1, 2, 2), nn.InstanceNorm2d(2, affine=True, track_running_stats=True), nn.ReLU(), nn.Flatten(), lin(18, 2)
        ),
        (1, 4, 4),
    ),
    "preprocessing by buffers": (
        lambda: Forward(
            lambda m, x: m.out(F.relu(m.a(((x - m.mean[None, :, None, None]) / m.std.view(1, 2, 1, 1)).flatten(1)))),
            mean=(torch.tensor([0.4, 0.5]),),
            std=(torch.tensor([0.2, 0.3]),),
            a=lin(8, 5),
            out=lin(5, 2),
        ),
        (2, 2, 2),
    ),
    "constants": (
        lambda: Forward(
            lambda m, x: m.out(2 - F.relu(-m.a(x) * m.t + torch.tensor([0.1, 0.2, 0.3, 0.4])) / 3),
            a=lin(3, 4),
            t=torch.tensor([1.0, -2.0, 0.5, 3.0]),
            out=lin(4, 2),
        ),
        (3,),
    ),
    "matrix products": (
        lambda: Forward(
            lambda m, x: F.relu(x @ m.w.t() + m.c) @ m.v,
            w=nn.Parameter(torch.randn(5, 3)),
            c=nn.Parameter(torch.randn(5)),
            v=nn.Parameter(torch.randn(5, 2)),
        ),
        (3,),
    ),
    "einsum": (
        lambda: Forward(
            lambda m, x: m.out(F.relu(torch.einsum("bij,jk->bik", x, m.w)).mean(dim=1)),
            w=nn.Parameter(torch.randn(3, 4)),
            out=lin(4, 2),
        ),
        (2, 3),
    ),
    "layer scale": (
        lambda: Forward(
            lambda m, x: m.out((F.relu(m.a(x)) * m.g[None]).mean((2, 3))),
            a=conv(1, 3, 2),
            g=nn.Parameter(torch.randn(3, 1, 1)),
            out=lin(3, 2),
        ),
        (1, 3, 3),
    ),
    "chunks and slices": (lambda: Forward(in_chunks, a=lin(3, 6), out=lin(4, 2)), (3,)),
    "split and unpacked": (lambda: Forward(in_halves, a=lin(3, 6), out=lin(3, 2)), (3,)),
    "moved about": (
        lambda: Forward(
            lambda m, x: m.out(
                F.relu(m.a(x.transpose(1, 2)))
                .permute(0, 2, 1)
                .unsqueeze(1)
                .squeeze(1)
                .flip(2)
                .roll(1, 2)
                .reshape(x.shape[0], -1)
            ),
            a=lin(2, 3),
            out=lin(9, 2),
        ),
        (2, 3),
    ),
    "patches": (
        lambda: Forward(
            lambda m, x: m.out(F.relu(m.a(x)).flatten(2).transpose(1, 2).mean(1)), a=conv(1, 4, 2, stride=2), out=lin(4, 2)
        ),
        (1, 4, 4),
    ),
    "pixel shuffle": (
        lambda: nn.Sequential(conv(1, 4, 1), nn.PixelShuffle(2), nn.ReLU(), nn.Flatten(), lin(16, 2)),
        (1, 2, 2),
    ),
    "module list": (
        lambda: Forward(
            lambda m, x: functools.reduce(lambda h, part: F.relu(part(h)), m.parts, x),
            parts=nn.ModuleList([lin(3, 5), lin(5, 4), lin(4, 4)]),
        ),
        (3,),
    ),
    "fixed further inputs": (lambda: functools.partial(Two(), shift=torch.tensor([0.3, -0.2, 0.1])), (3,)),
    "one-dimensional": (
        lambda: nn.Sequential(
            nn.Conv1d(2, 3, 2), nn.BatchNorm1d(3), nn.ReLU(), nn.AdaptiveAvgPool1d(2), nn.Flatten(), lin(6, 2)
        ),
        (2, 5),
    ),
    "three-dimensional": (
        lambda: nn.Sequential(nn.Conv3d(1, 2, 2), nn.ReLU(), nn.AvgPool3d(2), nn.Flatten(), lin(2, 2)),
        (1, 3, 3, 3),
    ),
    **OPERATIONS,
}


class Two(nn.Module):
    """A network of two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.out = lin(3, 6), lin(6, 2)

    def forward(self, x: Tensor, shift: Tensor) -> Tensor:
        return self.out(F.relu(self.a(x + shift)))


Table = dict[str, tuple[Callable[[], Any], tuple[int, ...]]]


def build(name: str, seed: int = 0, table: Table = TABLE) -> tuple[Any, tuple[int, ...]]:
    """The network of that name in a table, in double precision and evaluation mode, and its input shape."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        make, shape = table[name]
        network = make()
        module = network.func if isinstance(network, functools.partial) else network
        for m in module.modules():
            if getattr(m, "running_mean", None) is not None:
                m.running_mean.normal_()
                m.running_var.uniform_(0.5, 2.0)
        if isinstance(module, torch.fx.GraphModule):
            return network, shape  # exported: double and in evaluation mode from the start
        module.double().eval()
        if isinstance(module, Forward):
            for key, value in vars(module).items():
                if isinstance(value, Tensor):
                    setattr(module, key, value.double())
        return network, shape
