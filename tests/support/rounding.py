"""Other people's arithmetic: every product of a network rounded in another way, at every call and in every row.

What a linear algebra library makes of a row in its last bits depends on the processor, the batch and the thread. Here it
depends on nothing but luck, so that no other machine is needed to find out what depends on it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from parts import Forward, conv, lin
from torch import Tensor, nn

from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane
from splineviz.tracing.affine import AFFINE

PRODUCTS = ("linear", "conv", "conv_transpose", "matmul", "einsum")
"""The operations that sum products, in an order of their own."""


@contextmanager
def perturbed(units: int = 2, seed: int = 0) -> Iterator[None]:
    """Every product off by up to so many units in the last place, another number at each call, in each row and entry.

    Sums of whole numbers that stay below 2^53 are left: no order of summation rounds them, on any machine.
    """
    serial, known = itertools.count(seed << 32), {name: AFFINE[name] for name in PRODUCTS}
    AFFINE.update({name: _off(call, units, serial) for name, call in known.items()})
    try:
        yield
    finally:
        AFFINE.update(known)


def _off(call: Callable[..., Tensor], units: int, serial: Iterator[int]) -> Callable[..., Tensor]:
    def shaken(*arguments: Any) -> Tensor:
        exact = call(*arguments)
        if _is_whole(call, *arguments):
            return exact
        generator = torch.Generator().manual_seed(next(serial))  # of this call alone: threads share nothing
        steps = torch.randint(-units, units + 1, exact.shape, generator=generator)
        return exact * (1.0 + steps.double() * 2.0**-52)

    return shaken


def _is_whole(call: Callable[..., Tensor], x: Tensor, params: Any, *rest: Any) -> bool:
    """Whether a product is one of whole numbers, with sums that a double holds."""
    if rest[1:] == (True,):  # homogeneous: the bias is not read
        params = {role: t for role, t in params.items() if role != "bias"}
    if any(t.is_floating_point() and bool((t != t.round()).any()) for t in (x, *params.values())):
        return False
    return bool((call(x.abs(), {role: t.abs() for role, t in params.items()}, *rest) < 2.0**53).all())


def residual(m: Any, x: Tensor) -> Tensor:
    h = m.a(x).relu()
    h = h + m.c(m.b(h).relu())
    return m.out((h + m.e(m.d(h).relu())).relu())


def _pictures(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(3))


def _twins() -> nn.Module:
    """Every unit of the first layer twice, and rows of small integers after it: knots that meet in threes, or coincide."""
    net = nn.Sequential(nn.Linear(2, 24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 2))
    with torch.no_grad():
        net[0].weight[12:], net[0].bias[12:] = net[0].weight[:12] / 3, net[0].bias[:12] / 3
        net[2].weight[:] = torch.randint(-2, 3, (16, 24))
        net[2].weight[8:], net[2].bias[8:] = net[2].weight[:8], net[2].bias[:8]
    return net


NETWORKS: dict[str, tuple[Callable[[], Any], tuple[int, ...], float]] = {
    # name: (module, input shape, half-width of the window)
    "dense": (
        lambda: nn.Sequential(lin(2, 48), nn.ReLU(), lin(48, 48), nn.ReLU(), lin(48, 48), nn.ReLU(), lin(48, 3)),
        (2,),
        2.0,
    ),
    "the same units twice": (_twins, (2,), 2.0),
    "without biases": (
        lambda: nn.Sequential(*(m for n in (2, 32, 32) for m in (nn.Linear(n, 32, bias=False), nn.ReLU())), lin(32, 2)),
        (2,),
        1.0,
    ),
    "convolutions": (
        lambda: _pictures(conv(1, 4, 3, padding=1), nn.ReLU(), conv(4, 6, 3, stride=2, padding=1), nn.ReLU()),
        (1, 8, 8),
        6.0,
    ),
    "residual": (
        lambda: Forward(residual, a=lin(3, 24), b=lin(24, 24), c=lin(24, 24), d=lin(24, 24), e=lin(24, 24), out=lin(24, 2)),
        (3,),
        4.0,
    ),
    "residual convolutions": (
        lambda: nn.Sequential(
            Forward(
                lambda m, x: m.d(m.c(m.b(m.a(x).relu()).relu()) + m.a(x)).relu(),
                a=conv(1, 4, 3, padding=1),
                b=conv(4, 4, 3, padding=1),
                c=conv(4, 4, 3, padding=1),
                d=conv(4, 2, 3),
            ),
            nn.Flatten(),
            nn.LazyLinear(3),
        ),
        (1, 6, 6),
        4.0,
    ),
    "max-pooling": (
        lambda: _pictures(
            conv(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), conv(4, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
        ),
        (1, 8, 8),
        2.0,
    ),
}
"""Networks of every kind, by name."""


def build(name: str, seed: int = 0) -> tuple[nn.Module, tuple[int, ...], float]:
    """The network of that name, in double precision and evaluation mode, its input shape and window."""
    torch.manual_seed(seed)
    make, shape, half = NETWORKS[name]
    net = make().double()
    net(torch.zeros(1, *shape, dtype=torch.float64))  # lazy layers learn their width
    return net.eval(), shape, half


def plane_of(shape: tuple[int, ...]) -> Plane:
    """A plane through the origin of the inputs."""
    flat = int(np.prod(shape))
    basis = np.linalg.qr(np.random.default_rng(1).standard_normal((flat, 2)))[0].T if flat > 2 else np.eye(2)
    return Plane(np.zeros(shape), basis.reshape(2, *shape))


def differences(one: Partition, other: Partition) -> list[str]:
    """What is not the same in two partitions of a slice, whatever the order of their faces: [] if nothing."""
    size, found = one.areas.sum(), []
    a, b = np.argsort(one.pattern_hash, kind="stable"), np.argsort(other.pattern_hash, kind="stable")
    if len(a) != len(b) or (one.pattern_hash[a] != other.pattern_hash[b]).any():
        return [f"patterns: {len(a)} and {len(b)} regions"]
    if np.abs(one.areas[a] - other.areas[b]).max() > 1e-10 * size:
        found.append("areas")
    if len(one.vertices) != len(other.vertices):
        found.append(f"vertices: {len(one.vertices)} and {len(other.vertices)}")
    if _neighbours(one) != _neighbours(other):
        found.append("edges, the regions beside them or their units")
    return found


def _neighbours(part: Partition) -> list[tuple[int, ...]]:
    beside = np.sort(np.append(part.pattern_hash, np.uint64(0))[part.edge_faces], axis=1)
    return sorted(zip(*beside.T.tolist(), part.edge_tag.tolist(), strict=True))
