"""Networks made to mislead double precision, of kinds that `cases` lacks, each with the layers that the oracle reads.

    pictures    convolutions and pools over pictures with a black background, channels that are nearly each other's copies
    residual    sums over skip connections, with units that nearly coincide
    bent twice  ReLU6 and Hardtanh, LeakyReLU, with knots that are nearly parallel, and hats as thin as 1e-12
    deep        units of later layers whose knots nearly lie on knots of earlier ones
    narrow      8 to 10 layers of float32 weights

in windows of every size: about 1, 1e6, and 1e-6 to 1e-10 about a vertex where knots meet. `adversary` makes them from a
number alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch
from cases import LEAKY, differences, square
from oracle import RELU, Layer, Region, regions
from torch import Tensor, nn

from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane

Rng = np.random.Generator

@dataclass(frozen=True)
class Adversary:
    """A module and the same network for the oracle; order: number in the module of each of its units, None: as they come."""

    name: str
    module: nn.Module
    layers: tuple[Layer, ...]
    plane: Plane
    window: np.ndarray
    order: tuple[int, ...] | None = None

    def cells(self) -> list[Region]:
        """The exact cells, with patterns as the module numbers its units."""
        found = regions(self.layers, self.window, origin=self.plane.origin, basis=self.plane.basis)
        if self.order is None:
            return found
        place = np.argsort(self.order)
        return [replace(cell, pattern=tuple(cell.pattern[i] for i in place)) for cell in found]

    def differences(self, partition: Partition, cells: Sequence[Region]) -> list[str]:
        """What `cases.differences` finds, but for areas that the last bits of the inputs, moved by rounding, explain."""
        largest = max(1.0, float(np.abs(self.plane.embed(self.window)).max()))
        blurred = 2.0**-38 * largest * float(np.ptp(self.window[:, 0]))
        return [line for line in differences(partition, cells) if not _area_within(line, blurred)]


def _area_within(line: str, blurred: float) -> bool:
    if not line.startswith("area: "):
        return False
    got, exactly = re.findall(r"got ([^,]+), exactly (.+)", line)[0]
    return abs(float(got) - float(exactly)) <= blurred


def adversary(number: int, kind: str | None = None) -> Adversary:
    """One of them; kind: None for any."""
    rng = np.random.default_rng([number, 43])
    kind = str(rng.choice(list(KINDS))) if kind is None else kind
    module, layers, shape, order = KINDS[kind](rng)
    plane = _plane(rng, shape)
    window = square(float(rng.choice([0.5, 1.0, 2.0])), *(0.3 * rng.normal(size=2)).tolist())
    size = int(rng.choice(4, p=[0.4, 0.4, 0.1, 0.1]))
    found = Adversary(f"{kind}-{number}", module, layers, plane, window, order)
    if size == 0:
        return found
    if size == 1:
        return replace(found, window=_about_a_vertex(rng, found))
    # Far out all knots are a star.
    return replace(found, window=square(1e6, *(3e5 * rng.normal(size=2)).tolist()))


def _plane(rng: Rng, shape: tuple[int, ...]) -> Plane:
    """The plane of the two inputs itself, or one through a picture with a black background."""
    if shape == (2,):
        return Plane(np.zeros(2), np.eye(2))
    size = int(np.prod(shape))
    origin, basis = rng.normal(size=size), rng.normal(size=(size, 2))
    if rng.random() < 0.5:
        black = rng.random(size) < 0.5
        origin[black] = 0.0
    return Plane(origin.reshape(shape), np.linalg.qr(basis)[0].T.reshape(2, *shape).copy())


def _about_a_vertex(rng: Rng, case: Adversary) -> np.ndarray:
    """A tiny window about a corner of a cell, preferably one that lies inside the window."""
    cells, corners = case.cells(), []
    for i in rng.permutation(len(cells))[:20]:
        corners += [(Fraction(x, w), Fraction(y, w)) for x, y, w in cells[int(i)].corners]
    half, middle = 0.49 * np.ptp(case.window[:, 0]), case.window.mean(axis=0)
    inside = [p for p in corners if (np.abs(np.array(p, float) - middle) < half).all()]
    u, v = (inside or corners)[int(rng.integers(len(inside or corners)))]
    return square(10.0 ** -rng.uniform(6, 10), float(u), float(v))


# ---- weights -------------------------------------------------------------------------------------------------------


def _rows(rng: Rng, m: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian rows, or small integers, some of them nearly each other's multiples: by 1e-9 to 1e-14."""
    weight, bias = rng.normal(size=(m, n)) * np.sqrt(2.0 / n), 0.3 * rng.normal(size=m)
    if rng.random() < 0.2:
        weight, bias = rng.integers(-3, 4, size=(m, n)).astype(float), rng.integers(-2, 3, size=m).astype(float)
    for j in rng.permutation(m)[: int(rng.integers(0, m))]:
        source, gap, kind = int(rng.integers(m)), 10.0 ** -rng.uniform(9, 14), int(rng.integers(4))
        row, shift = weight[source].copy(), float(bias[source])
        if kind != 1:
            row = row * (1.0 + gap * rng.normal(size=n))
        if kind != 2:
            shift = shift * (1.0 + gap * rng.normal()) + gap * rng.normal()
        factor = float(rng.choice([1.0, -1.0, 4.0, 0.25]))
        weight[j], bias[j] = factor * row, factor * shift
    return weight, bias


def _linear(weight: np.ndarray, bias: np.ndarray) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight))
        layer.bias.copy_(torch.from_numpy(bias))
    return layer


Built = tuple[nn.Module, tuple[Layer, ...], tuple[int, ...], tuple[int, ...] | None]

# ---- kinds ---------------------------------------------------------------------------------------------------------


def _pictures(rng: Rng) -> Built:
    """conv - ReLU - pool - [linear - ReLU] - linear, of one picture 3 to 5 wide and high."""
    height, width, side = int(rng.integers(3, 6)), int(rng.integers(3, 6)), int(rng.integers(2, 4))
    channels = int(rng.integers(1, 3))
    kernel, bias = _rows(rng, channels, side * side)
    conv = nn.Conv2d(1, channels, side, dtype=torch.float64)
    with torch.no_grad():
        conv.weight.copy_(torch.from_numpy(kernel.reshape(conv.weight.shape)))
        conv.bias.copy_(torch.from_numpy(bias))
    rows, columns = height - side + 1, width - side + 1
    pool = (rows if rows <= 2 else 1, min(columns, 2) if columns != 3 else 3)
    # The units that a pool looks at stand in a row for the oracle: channel, then pool by pool, then row by row in it.
    number = np.arange(channels * rows * columns).reshape(channels, rows // pool[0], pool[0], -1, pool[1])
    order = number.transpose(0, 1, 3, 2, 4).reshape(-1)
    basis = torch.eye(height * width, dtype=torch.float64).reshape(-1, 1, height, width)
    with torch.no_grad():
        dense = nn.functional.conv2d(basis, conv.weight).reshape(len(basis), -1).numpy().T
    size = pool[0] * pool[1]
    layers = [Layer(dense[order], np.repeat(bias, rows * columns)[order], RELU, size if size > 2 else 1)]
    inputs, numbers = len(order) // size, order
    modules: list[nn.Module] = [conv, nn.ReLU(), nn.MaxPool2d(pool), nn.Flatten()]
    if size == 2:  # the larger of two is one of them and what the other has more, a ReLU
        pair = np.kron(np.eye(inputs), [[-1.0, 1.0], [1.0, 0.0]])
        layers.append(Layer(np.vstack([pair[::2], pair[1::2]]), np.zeros(2 * inputs), RELU, carry=inputs))
        layers.append(Layer(np.hstack([np.eye(inputs)] * 2), np.zeros(inputs)))
        numbers = np.append(order, len(order) + np.arange(inputs))
    if rng.random() < 0.6:
        weight, shift = _rows(rng, int(rng.integers(2, 5)), inputs)
        modules += [_linear(weight, shift), nn.ReLU()]
        layers.append(Layer(weight, shift, RELU))
        numbers = np.append(numbers, len(numbers) + np.arange(len(shift)))
        inputs = len(shift)
    weight, shift = rng.normal(size=(2, inputs)), rng.normal(size=2)
    modules.append(_linear(weight, shift))
    return nn.Sequential(*modules), (*layers, Layer(weight, shift)), (1, height, width), tuple(numbers.tolist())


class Sum(nn.Module):
    """x + act(linear(x))."""

    def __init__(self, linear: nn.Module, act: nn.Module):
        super().__init__()
        self.linear, self.act = linear, act

    def forward(self, x: Tensor) -> Tensor:
        return x + self.act(self.linear(x))


def _residual(rng: Rng) -> Built:
    n = int(rng.integers(3, 6))
    weight, bias = _rows(rng, n, 2)
    slopes, act = (RELU, nn.ReLU()) if rng.random() < 0.6 else (LEAKY, nn.LeakyReLU(LEAKY[0]))
    modules, layers = [_linear(weight, bias), act], [Layer(weight, bias, slopes)]
    for _ in range(int(rng.integers(1, 4))):
        weight, bias = _rows(rng, n, n)
        modules.append(Sum(_linear(weight, bias), act))
        both = Layer(np.vstack([weight, np.eye(n)]), np.append(bias, np.zeros(n)), slopes, carry=n)
        layers += [both, Layer(np.hstack([np.eye(n), np.eye(n)]), np.zeros(n))]
    weight, bias = rng.normal(size=(2, n)), rng.normal(size=2)
    return nn.Sequential(*modules, _linear(weight, bias)), (*layers, Layer(weight, bias)), (2,), None


def _bent_twice(rng: Rng) -> Built:
    """Units with two knots each; of some the knots are as near each other as 1e-12, or one is far outside the window."""
    n, modules, layers = 2, [], []
    for _ in range(int(rng.integers(1, 4))):
        m = int(rng.integers(2, 5))
        weight, bias = _rows(rng, m, n)
        modules.append(_linear(weight, bias))
        layers.append(Layer(weight, bias))
        kind = int(rng.integers(3))
        if kind == 2:
            modules.append(nn.LeakyReLU(LEAKY[0]))
            layers.append(Layer(np.eye(m), np.zeros(m), LEAKY))
        else:
            low, high = (0.0, 6.0) if kind == 0 else sorted((0.3 * rng.normal(size=2)).tolist())
            if kind == 1 and rng.random() < 0.4:
                low, high = low, low + 10.0 ** -rng.uniform(4, 12)
            modules.append(nn.ReLU6() if kind == 0 else nn.Hardtanh(low, high))
            both = Layer(np.vstack([np.eye(m)] * 2), np.repeat([-low, -high], m), RELU)
            layers += [both, Layer(np.hstack([np.eye(m), -np.eye(m)]), np.full(m, low))]
        n = m
    weight, bias = rng.normal(size=(2, n)), rng.normal(size=2)
    return nn.Sequential(*modules, _linear(weight, bias)), (*layers, Layer(weight, bias)), (2,), None


def _deep(rng: Rng) -> Built:
    """Later units that are one earlier unit and next to nothing of the others: their knots nearly lie on its own."""
    n, modules, layers = 2, [], []
    slopes, act = (RELU, nn.ReLU()) if rng.random() < 0.5 else (LEAKY, nn.LeakyReLU(LEAKY[0]))
    for depth in range(int(rng.integers(2, 6))):
        m = int(rng.integers(2, 6))
        weight, bias = _rows(rng, m, n)
        for j in range(m if depth else 0):
            if rng.random() < 0.5:
                gap = 10.0 ** -rng.uniform(7, 15)
                weight[j] *= gap * rng.choice([0.0, 1.0])
                weight[j, int(rng.integers(n))] = rng.choice([-1.0, 1.0, 0.3])
                bias[j] *= gap * rng.choice([0.0, 1.0])
        modules += [_linear(weight, bias), act]
        layers.append(Layer(weight, bias, slopes))
        n = m
    weight, bias = rng.normal(size=(2, n)), rng.normal(size=2)
    return nn.Sequential(*modules, _linear(weight, bias)), (*layers, Layer(weight, bias)), (2,), None


def _narrow(rng: Rng) -> Built:
    n, modules, layers, gain = 2, [], [], float(rng.choice([1.0, 1.4, 3.0, 0.1]))
    slopes, act = (RELU, nn.ReLU()) if rng.random() < 0.3 else (LEAKY, nn.LeakyReLU(LEAKY[0]))
    for _ in range(int(rng.integers(8, 11))):
        m = int(rng.integers(2, 5))
        weight, bias = (rng.normal(size=shape).astype(np.float32) for shape in ((m, n), m))
        weight, bias = weight * np.float32(gain / np.sqrt(n)), bias * np.float32(0.2)
        weight, bias = weight.astype(float), bias.astype(float)
        modules += [_linear(weight, bias), act]
        layers.append(Layer(weight, bias, slopes))
        n = m
    weight, bias = (rng.normal(size=shape).astype(np.float32).astype(float) for shape in ((2, n), 2))
    net = nn.Sequential(*modules, _linear(weight, bias)).float()
    return net, (*layers, Layer(weight, bias)), (2,), None


KINDS: dict[str, Callable[[Rng], Built]] = {
    "pictures": _pictures,
    "residual": _residual,
    "bent twice": _bent_twice,
    "deep": _deep,
    "narrow": _narrow,
}
