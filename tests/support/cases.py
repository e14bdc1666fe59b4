"""The table of networks that test_enumerate.py and soak/random_networks.py put against the oracle, and what they compare.

A Case is a small fully-connected network as exact numbers, a window and, where it is known in closed form, its
number of regions. `undecidable` marks the few where double precision cannot tell whether a region exists: there
cells thinner than `undecidable` (plane length) may be missing, all else must hold.

`differences` compares sets of activation patterns region by region, never counts: equal counts can hide one
lost and one doubled region.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from oracle import ABS, RELU, Layer, Region, regions
from torch import nn

from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane

LEAKY = (0.125, 1.0)
SQUARE = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])


def square(half: float = 1.0, u: float = 0.0, v: float = 0.0) -> np.ndarray:
    return SQUARE * half + np.array([u, v])


@dataclass(frozen=True)
class Case:
    name: str
    layers: tuple[Layer, ...]
    window: np.ndarray = field(default_factory=square)
    regions: int | None = None
    undecidable: float = 0.0
    origin: np.ndarray = field(default_factory=lambda: np.zeros(2))
    basis: np.ndarray = field(default_factory=lambda: np.eye(2))

    @property
    def plane(self) -> Plane:
        return Plane(self.origin, self.basis)

    def cells(self) -> list[Region]:
        return regions(self.layers, self.window, origin=self.origin, basis=self.basis)


class Abs(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.abs(x)


def module(layers: Sequence[Layer], dtype: torch.dtype = torch.float64) -> nn.Sequential:
    """The torch network of some layers."""
    modules: list[nn.Module] = []
    for layer in layers:
        weight, bias = torch.tensor(np.asarray(layer.weight, float)), torch.tensor(np.asarray(layer.bias, float))
        linear = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(weight)
            linear.bias.copy_(bias)
        modules.append(linear)
        if layer.slopes == RELU:
            modules.append(nn.ReLU())
        elif layer.slopes == ABS:
            modules.append(Abs())
        elif layer.slopes is not None:
            assert layer.slopes[1] == 1.0
            modules.append(nn.LeakyReLU(layer.slopes[0]))
        if layer.pool > 1:
            modules += [nn.Unflatten(1, (1, -1)), nn.MaxPool1d(layer.pool), nn.Flatten()]
    return nn.Sequential(*modules).to(dtype)


# ---- what is compared ------------------------------------------------------------------------------------------


def differences(partition: Partition, cells: Sequence[Region], *, undecidable: float = 0.0) -> list[str]:
    """Everything in which a partition differs from the exact cells; empty when they agree."""
    found = faults(partition)
    exact = {cell.pattern_hash: cell for cell in cells}
    assert len(exact) == len(cells), "the oracle holds a pattern twice"
    counts = Counter(int(h) for h in partition.pattern_hash)
    found += [f"pattern {h:#x} stands on {n} faces" for h, n in counts.items() if n > 1]
    for value, cell in exact.items():
        if value not in counts and not cell.width < undecidable:
            found.append(f"lost: pattern {cell.pattern}, area {float(cell.area):.3g}, width {cell.width:.3g}")
    whole = float(sum(cell.area for cell in cells))
    for face, (value, area) in enumerate(zip(partition.pattern_hash, partition.areas, strict=True)):
        cell = exact.get(int(value))
        if cell is None:
            found.append(f"invented: face {face}, pattern {int(value):#x}, area {area:.3g}")
        elif abs(area - float(cell.area)) > 1e-9 * whole:
            found.append(f"area: face {face}, pattern {cell.pattern}, got {area:.17g}, exactly {float(cell.area):.17g}")
    return found


def faults(partition: Partition) -> list[str]:
    """In what a partition fails to be a planar complex of convex faces, by plain loops over its fields."""
    found = []
    vertices, edges, faces = len(partition.vertices), len(partition.edges), partition.num_regions
    if vertices - edges + faces != 1:
        found.append(f"V - E + F = {vertices} - {edges} + {faces} = {vertices - edges + faces}")
    window = partition.window
    whole = _area(window)
    if abs(partition.areas.sum() - whole) > 1e-9 * whole:
        found.append(f"areas sum to {partition.areas.sum():.17g}, the window has {whole:.17g}")
    sides: dict[tuple[int, int], int] = {}
    for edge, ((a, b), (left, right), tag) in enumerate(
        zip(partition.edges.tolist(), partition.edge_faces.tolist(), partition.edge_tag.tolist(), strict=True)
    ):
        if (a, b) in sides or (b, a) in sides:
            found.append(f"edge {edge} stands twice")
        sides[a, b], sides[b, a] = left, right
        if (left < 0 or right < 0) != (tag < 0) or left == right:
            found.append(f"edge {edge} with tag {tag} has faces {left} and {right}")
    seen = 0
    for face in range(faces):
        ids = partition.face(face).tolist()
        for a, b in zip(ids, ids[1:] + ids[:1], strict=True):
            seen += 1
            if sides.get((a, b)) != face:
                found.append(f"face {face} has side {a} -> {b}, which is an edge of face {sides.get((a, b))}")
        if len(set(ids)) != len(ids):
            found.append(f"face {face} passes a vertex twice")
    if seen != sum(f >= 0 for f in sides.values()):
        found.append("some edge names a face that does not have it")
    return found


def _area(polygon: np.ndarray) -> float:
    d = polygon - polygon[0]
    return 0.5 * float((d[1:-1, 0] * d[2:, 1] - d[1:-1, 1] * d[2:, 0]).sum())


# ---- the table -------------------------------------------------------------------------------------------------


def lines(*rows: tuple[float, float, float], slopes: tuple[float, float] = RELU) -> tuple[Layer, ...]:
    """One hidden layer whose units are a u + b v + c, and an output that uses them all."""
    table = np.array(rows, float)
    head = np.arange(1, len(table) + 1, dtype=float)[None]
    return (Layer(table[:, :2], table[:, 2], slopes), Layer(head, [0.5]))


def dense(
    seed: int, *widths: int, slopes: tuple[float, float] = RELU, scale: float = 1.0, bias: float = 0.5
) -> tuple[Layer, ...]:
    """Gaussian layers; `scale` multiplies all weights and biases."""
    rng = np.random.default_rng(seed)
    built = []
    for i, (n, m) in enumerate(zip(widths, widths[1:], strict=False)):
        weight, shift = rng.normal(size=(m, n)) * np.sqrt(2 / n), rng.normal(size=m) * bias
        built.append(Layer(weight * scale, shift * scale, slopes if i < len(widths) - 2 else None))
    return tuple(built)


def folding(depth: int) -> tuple[Layer, ...]:
    """x -> 2 |x| - 1 on both axes, again and again: 4^depth equal squares on [-1, 1]^2."""
    first = [Layer(np.eye(2), np.zeros(2), ABS)]
    return (*first, *[Layer(2 * np.eye(2), -np.ones(2), ABS)] * (depth - 1), Layer(np.ones((1, 2)), [0.0]))


def star(count: int) -> tuple[tuple[float, float, float], ...]:
    """`count` lines through the origin with small integer coefficients, none twice."""
    directions = [(1, 0), (0, 1), (1, 1), (1, -1), (2, 1), (1, 2), (2, -1), (1, -2), (3, 1), (1, 3)]
    return tuple((float(a), float(b), 0.0) for a, b in directions[:count])


def _copies(base: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """The network with its first layer applied twice in a row (two identical square layers)."""
    return (base[0], base[0], *base[1:])


def _mixed_rows(seed: int) -> tuple[Layer, ...]:
    rng = np.random.default_rng(seed)
    first, second, last = dense(seed, 2, 6, 6, 2)
    factors = 10.0 ** rng.uniform(-8, 8, 6)
    return (
        Layer(first.weight * factors[:, None], first.bias * factors, RELU),
        Layer(second.weight / factors[None], second.bias, RELU),
        last,
    )


THIRD = 1.0 / 3.0
_far = dense(11, 2, 5, 4, 2)


def _moved(layers: tuple[Layer, ...], u: float, v: float) -> tuple[Layer, ...]:
    """The same picture with (u, v) for origin; exact for the moved network, whatever rounding does to its biases."""
    first = layers[0]
    return (Layer(first.weight, first.bias - np.asarray(first.weight) @ [u, v], first.slopes), *layers[1:])


DEGENERATE: tuple[Case, ...] = (
    Case("no unit crosses", lines((1, 0, 5), (0, 1, -5)), regions=1),
    Case("line through two corners", lines((1, -1, 0)), regions=2),
    Case("both diagonals", lines((1, -1, 0), (1, 1, 0)), regions=4),
    Case("line through one corner only", lines((1, 1, 2)), regions=1),
    Case("line through a corner into the window", lines((2, -1, 1)), regions=2),
    Case("line along a side", lines((1, 0, -1)), regions=1),
    Case("lines along all sides", lines((1, 0, 1), (1, 0, -1), (0, 1, 1), (0, 1, -1)), regions=1),
    Case("line along a side of a triangle", lines((1, 1, -1)), np.array([[0, 0], [1, 0], [0, 1.0]]), regions=1),
    Case("three lines through one point", lines((1, 0, 0), (0, 1, 0), (1, 1, 0)), regions=6),
    Case("three lines through a third", lines((3, 0, -1), (0, 3, -1), (3, 3, -2)), regions=6),
    Case("three lines through a rounded point", lines((1, 0, -0.1), (0, 1, -0.2), (1, 1, -0.3)), undecidable=1e-14),
    Case("ten lines through one point", lines(*star(10)), regions=20),
    Case("ten lines through a corner", lines(*[(a, b, a + b) for a, b, _ in star(10)])),
    Case("the same neuron three times", lines((2, 1, 0.3), (2, 1, 0.3), (2, 1, 0.3)), regions=2),
    Case(
        "a neuron, twice, negated and scaled",
        lines((2, 1, 0.3), (-2, -1, -0.3), (2, 1, 0.3), (6, 3, 0.9)),
        undecidable=1e-14,
    ),
    Case(
        "a neuron and multiples by powers of two",
        lines((2, 1, 0.3), (-2, -1, -0.3), (8, 4, 1.2), (-0.5, -0.25, -0.075)),
        regions=2,
    ),
    Case("dead and always-on units", lines((1, 1, -9), (1, 1, 9), (0, 0, -1), (0, 0, 1), (0, 0, 0), (1, 0, 0)), regions=2),
    Case("all units dead", lines((1, 1, -9), (1, 0, -9)), regions=1),
    Case("all weights zero", lines((0, 0, 0), (0, 0, 0)), regions=1),
    Case(
        "a layer of zeros behind a layer",
        (Layer(np.eye(2), [0, 0], RELU), Layer(np.zeros((3, 2)), np.zeros(3), RELU)),
        regions=4,
    ),
    Case(
        "zero on whole faces",
        (
            Layer([[1, 0], [0, 1]], [0, 0], RELU),
            Layer([[1, 0], [-1, 0], [1, -1], [1, 1]], [0] * 4, RELU),
            Layer(np.ones((1, 4)), [0]),
        ),
        regions=5,
    ),
    Case("bias-free, one layer", lines(*star(4)), regions=8),
    Case("bias-free, three layers", dense(3, 2, 6, 6, 6, 2, bias=0.0)),
    Case("bias-free, leaky", dense(4, 2, 6, 6, 6, 2, bias=0.0, slopes=LEAKY)),
    Case(
        "bias-free, integer",
        (Layer([[1, 0], [0, 1], [1, -1]], [0] * 3, RELU), Layer([[1, -1, 0], [1, 1, -2]], [0] * 2, RELU)),
    ),
    Case("bias-free, window off the origin", dense(5, 2, 6, 6, 2, bias=0.0), square(0.5, 1.0, 0.25)),
    Case("bias-free, a corner at the origin", dense(6, 2, 6, 6, 2, bias=0.0), square(0.5, 0.5, 0.5)),
    Case("bias-free, a side through the origin", dense(7, 2, 6, 6, 2, bias=0.0), square(0.5, 0.5, 0.0)),
    Case(
        "second layer through vertices of the first",
        (
            Layer([[1, 0], [0, 1]], [0, 0], ABS),
            Layer([[1, -1], [1, 1], [1, 0]], [0, -1, -1], RELU),
            Layer(np.ones((1, 3)), [0]),
        ),
    ),
    Case(
        "second layer along edges of the first",
        (
            Layer([[1, 0], [0, 1]], [0, 0], RELU),
            Layer([[1, 0], [0, 1], [1, 0]], [0, 0, -0.5], RELU),
            Layer(np.ones((1, 3)), [0]),
        ),
        regions=6,
    ),
    Case(
        "a line through a crossing, a layer later",
        (Layer([[1, 0], [0, 1]], [THIRD, THIRD], LEAKY), Layer([[3, -3]], [0], RELU)),
    ),
    Case("two identical layers", _copies((Layer([[1, -1], [1, 1]], [0.25, -0.5], RELU), Layer(np.ones((1, 2)), [0])))),
    Case(
        "two identical layers, leaky", _copies((Layer([[1, -1], [1, 1]], [0.25, -0.5], LEAKY), Layer(np.ones((1, 2)), [0])))
    ),
    Case(
        "identity behind identity",
        _copies(_copies((Layer(np.eye(2), np.zeros(2), RELU), Layer(np.ones((1, 2)), [0])))),
        regions=4,
    ),
    *[Case(f"folding, depth {d}", folding(d), regions=4**d) for d in (1, 2, 3, 4)],
    Case("folding, window off the axes", folding(3), square(0.75, 0.125, -0.0625)),
    *[Case(f"sliver of 1e-{e}", lines((1, 0.5, 0), (1, 0.5, 10.0**-e), (0.3, 1, 0.1))) for e in (6, 9, 12)],
    Case(
        "parallel neurons closer than rounding",
        lines((1, 0.5, 0.7), (1, 0.5, 0.7 + 1.2e-16), (0.3, 1, 0.1)),
        undecidable=1e-13,
    ),
    Case("parallel neurons at 1e-15", lines((1, 0.5, 0.7), (1, 0.5, 0.7 + 1e-15), (0.3, 1, 0.1)), undecidable=1e-13),
    Case("almost parallel neurons", lines((1, 0.5, 0.3), (1 + 1e-9, 0.5, 0.3), (0.3, 1, 0.1))),
    Case("triangle of 1e-9", lines((1, 0, 0), (0, 1, 0), (1, 1, 1e-9)), regions=7),
    *[Case(f"weights of scale {s:g}", dense(8, 2, 6, 6, 2, scale=s)) for s in (1e-8, 1e8)],
    *[
        Case(
            f"weights of scale {s:g}, lines through one point",
            lines(*[(s * a, s * b, 0) for a, b, _ in star(5)]),
            regions=10,
        )
        for s in (1e-8, 1e8)
    ],
    *[Case(f"neurons of scale 1e-8 to 1e8, {s}", _mixed_rows(s)) for s in (1, 2)],
    *[Case(f"window moved by {s:g}", _moved(_far, s, -s), square(1.0, s, -s), undecidable=1e-14 * s) for s in (1e4, 1e6)],
    *[
        Case(f"slice moved by {s:g}", _moved(_far, s, -s), origin=np.array([s, -s]), undecidable=1e-14 * s)
        for s in (1e4, 1e6)
    ],
    Case("window of 1e-9", lines((1, 0, 0), (0, 1, 0), (1, 1, 5e-10), (1, -1, 3e-10)), square(1e-9)),
    Case(
        "window of 1e-9, not at the origin",
        _moved(lines((1, 0, 0), (0, 1, 0), (1, 1, 5e-10)), 0.5, 0.25),
        square(1e-9, 0.5, 0.25),
        undecidable=1e-15,
    ),
    Case("window of 1e6", lines((1, 0, 3e5), (0, 1, -2e5), (1, 1, 1e5), (1, -1, 7e5)), square(1e6)),
    Case(
        "window of twelve corners",
        dense(9, 2, 6, 6, 2),
        np.stack([np.cos(np.arange(12) / 6 * np.pi), np.sin(np.arange(12) / 6 * np.pi)], axis=1),
    ),
    Case("window with a straight corner", dense(9, 2, 6, 6, 2), np.array([[-1, -1], [0, -1], [1, -1], [1, 1], [-1, 1.0]])),
    Case("thin window", dense(9, 2, 6, 6, 2), np.array([[-1, -1e-7], [1, -1e-7], [1, 1e-7], [-1, 1e-7]])),
    Case(
        "linear layers without activation", (*dense(10, 2, 5, 4)[:1], Layer(np.eye(5) * 2, np.ones(5)), *dense(12, 5, 5, 2))
    ),
    Case(
        "only linear layers",
        (Layer([[1, 2], [3, 4], [-1, 0]], [0, 0, 0]), Layer([[1, -1, 0]], [0])),
        regions=1,
    ),
    Case("deep and narrow", dense(13, 2, 2, 2, 2, 2, 2, 2, 1, slopes=LEAKY)),
    Case("wide", dense(14, 2, 24, 3)),
    Case(
        "three inputs, oblique slice",
        dense(15, 3, 6, 6, 2),
        origin=np.array([0.25, -0.5, 0.125]),
        basis=np.array([[0.6, 0.8, 0.0], [0.0, 0.0, 1.0]]),
    ),
)
"""Every degenerate case of the enumerator's promise, with its count where it is known."""


# ---- random networks -------------------------------------------------------------------------------------------


def _gaussian(rng: np.random.Generator, m: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.normal(size=(m, n)), rng.normal(size=m) * 0.5


def _integer(rng: np.random.Generator, m: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.integers(-2, 3, size=(m, n)).astype(float), rng.integers(-2, 3, size=m).astype(float)


def _thirds(rng: np.random.Generator, m: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Integers whose crossings are no floats: coincidences must survive rounding."""
    return rng.integers(-5, 6, size=(m, n)).astype(float), rng.integers(-3, 4, size=m).astype(float)


def _repeated(rng: np.random.Generator, m: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian neurons, some of them copied, negated, scaled by a power of two or zeroed."""
    weight, bias = _gaussian(rng, m, n)
    for j in range(m):
        source, kind = int(rng.integers(m)), int(rng.integers(6))
        factor = (1.0, -1.0, 4.0, 0.0, None, None)[kind]
        if factor is not None:
            weight[j], bias[j] = weight[source] * factor, bias[source] * factor
    return weight, bias


def _bias_free(rng: np.random.Generator, m: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.normal(size=(m, n)), np.zeros(m)


def _row_scales(rng: np.random.Generator, m: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    weight, bias = _gaussian(rng, m, n)
    factors = 10.0 ** rng.uniform(-4, 4, m)
    return weight * factors[:, None], bias * factors


def _entry_scales(rng: np.random.Generator, m: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.normal(size=(m, n)) * 10.0 ** rng.uniform(-2, 2, (m, n)), rng.normal(size=m) * 10.0 ** rng.uniform(-2, 2, m)


FAMILIES: dict[str, Callable[[np.random.Generator, int, int], tuple[np.ndarray, np.ndarray]]] = {
    "gaussian": _gaussian,
    "integer": _integer,
    "thirds": _thirds,
    "repeated": _repeated,
    "bias_free": _bias_free,
    "row_scales": _row_scales,
    "entry_scales": _entry_scales,
}
"""How a layer's weights (m, n) and biases (m,) are drawn."""


def random_case(seed: int, *, family: str | None = None, max_width: int = 6, max_depth: int = 4) -> Case:
    """A random small network on a random window, reproducible from its seed alone."""
    rng = np.random.default_rng([seed, 71])
    family = family or str(rng.choice(list(FAMILIES)))
    widths = [2, *rng.integers(1, max_width + 1, size=int(rng.integers(1, max_depth + 1))).tolist()]
    slopes = (RELU, LEAKY, ABS)[int(rng.choice(3, p=[0.6, 0.2, 0.2]))]
    layers = [Layer(*FAMILIES[family](rng, m, n), slopes) for n, m in zip(widths, widths[1:], strict=False)]
    layers.append(Layer(*FAMILIES["gaussian"](rng, int(rng.integers(1, 4)), widths[-1])))
    return Case(f"{family}-{seed}", tuple(layers), _random_window(rng))


def _random_window(rng: np.random.Generator) -> np.ndarray:
    kind = int(rng.integers(4))
    if kind == 0:
        return square(2.0)
    if kind == 1:
        return square(float(rng.uniform(0.1, 3.0)), *rng.normal(size=2).tolist())
    if kind == 2:
        return np.array([[-1.0, -1.0], [2.0, -1.0], [-1.0, 2.0]])
    angles = np.sort(rng.uniform(0, 5.4, 3)) + np.array([0.0, 0.3, 0.6])
    return 1.5 * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def near_case(seed: int) -> Case:
    """A network full of coincidences, each off by 1e-11 to 1e-17: where double precision begins to fail."""
    rng = np.random.default_rng([seed, 5])
    base = random_case(seed, family=("integer", "thirds", "bias_free")[seed % 3], max_width=8)
    gap = 10.0 ** -rng.uniform(11, 17)
    layers = []
    for layer in base.layers:
        weight, bias = np.asarray(layer.weight), np.asarray(layer.bias)
        weight = weight * (1 + gap * rng.normal(size=weight.shape))
        layers.append(Layer(weight, bias + gap * rng.normal(size=bias.shape), layer.slopes))
    return Case(f"near-{seed}", tuple(layers), base.window)


def mixed_case(seed: int) -> Case:
    """Layers whose scales lie anywhere between 1e-12 and 1e12, pools over units that tie, and units that are there twice.

    Every other network has pools: of small integers behind a ReLU, so that entries are 0, or equal, on whole faces.
    """
    rng = np.random.default_rng([seed, 7])
    pools, repeated = seed % 2 == 1, rng.random() < 0.5
    family = ("integer", "thirds", "repeated")[seed // 2 % 3] if pools else str(rng.choice(list(FAMILIES)))
    slopes = RELU if pools else (RELU, LEAKY, ABS)[int(rng.choice(3, p=[0.6, 0.2, 0.2]))]
    layers, inputs, scale = [], 2, 1.0
    for _ in range(int(rng.integers(1, 3 if pools else 4))):
        size = int(rng.integers(3, 5)) if pools else 1  # the larger of two is a ReLU, with a unit of its own
        units = size * int(rng.integers(1, 3)) if pools else int(rng.integers(2, 6))
        weight, bias = FAMILIES[family](rng, units, inputs)
        if repeated:
            twin, own = rng.integers(units, size=2)
            weight[twin], bias[twin] = weight[own], bias[own]
        factor = 10.0 ** rng.uniform(-12, 12)
        if pools:  # what ties must tie still
            factor = 2.0 ** np.round(np.log2(factor))
        scale *= factor
        layers.append(Layer(weight * factor, bias * scale, slopes, size))
        inputs = units // size
    weight, bias = FAMILIES["gaussian"](rng, int(rng.integers(1, 4)), inputs)
    layers.append(Layer(weight / scale, bias))
    return Case(f"mixed-{'pools' if pools else family}-{seed}", tuple(layers), _random_window(rng))
