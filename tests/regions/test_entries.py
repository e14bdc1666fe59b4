"""Matrices as weights stand: to the bit, in a library that rounds every product in another way; and norms of weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from rounding import perturbed
from torch import nn

from splineviz.regions import entries
from splineviz.regions.stages import stages
from splineviz.tracing.trace import trace

LAYERS = {
    "linear": (nn.Linear(5, 4), (5,)),
    "convolution": (nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2), (2, 6, 5)),
    "reflected": (nn.Conv1d(2, 3, 3, padding=2, padding_mode="reflect"), (2, 5)),
    "circular, padded over twice": (nn.Conv1d(1, 2, 7, padding=3, padding_mode="circular", bias=False), (1, 3)),
    "transposed": (nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1, output_padding=1), (2, 3, 3)),
    "pooled": (nn.AvgPool2d(2), (1, 4, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_no_rounding_of_a_library_moves_an_entry(name: str) -> None:
    layer, shape = LAYERS[name]
    layer = layer.double()
    program = trace(nn.Sequential(layer, nn.Flatten(), nn.ReLU()), shape)
    step = program.steps[0]
    params = {role: tensor.double() for role, tensor in program.params_of(step).items()}
    n = int(np.prod(shape))

    def dense() -> tuple[np.ndarray, np.ndarray]:
        with torch.no_grad():
            rows, columns, values = entries.matrix(step, params, shape)
            offset = entries.constant(step, params, shape)
        whole = np.zeros((len(offset), n))
        np.add.at(whole, (rows, columns), values)
        return whole, offset

    matrix, offset = dense()
    x = torch.randn(8, *shape, dtype=torch.float64)
    with torch.no_grad():
        said = layer(x).reshape(8, -1).numpy()
    np.testing.assert_allclose(x.reshape(8, -1).numpy() @ matrix.T + offset, said, rtol=0, atol=1e-13)
    weights = np.concatenate([p.detach().reshape(-1).numpy() for p in layer.parameters()] or [np.full(1, 0.25)])
    if "circular" not in name and "reflected" not in name:  # there two weights may meet in one entry
        assert np.isin(matrix[matrix != 0.0], weights).all() and np.isin(offset[offset != 0.0], weights).all()
    with perturbed(2):
        other, shifted = dense()
    assert (other == matrix).all() and (shifted == offset).all()


def test_matrices_at_hand_are_those_of_linear_layers_and_the_smallest_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units 64 -> 64 -> 16 -> 9 -> 9 -> 2: 4096 and 1024 entries of convolutions, 144, 81 and 18 of linear layers."""
    network = nn.Sequential(
        nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(), nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(),
        nn.AvgPool2d(2), nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Flatten(),
        nn.Linear(16, 9), nn.ReLU(), nn.Linear(9, 9), nn.ReLU(), nn.Linear(9, 2),
    )  # fmt: skip
    program = trace(network, (1, 8, 8))
    kinks = [layer.step for layer in program.layers]
    assert entries.at_hand(program) == set(kinks)
    monkeypatch.setattr(entries, "OTHERS", 4096 + 1023)
    assert entries.at_hand(program) == set(kinks) - kinks_of(kinks, 0)
    monkeypatch.setattr(entries, "MATRIX_LIMIT", 143)
    assert entries.at_hand(program) == kinks_of(kinks, 3, 4)


def kinks_of(kinks: list[int], *which: int) -> set[int]:
    return {kinks[i] for i in which}


def test_no_matrix_is_at_hand_beside_a_skip_connection() -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.a(x).relu()
            return self.c((h + self.b(h)).relu())

    program = trace(Skip(), (3,))
    assert entries.at_hand(program) == {layer.step for layer in program.layers}  # h is read before the next kink alone
    deeper = nn.Sequential(Skip(), nn.ReLU())
    deeper[0].forward = lambda x, m=deeper[0]: m.c(m.b(h := m.a(x).relu()).relu() + h)
    program = trace(deeper, (3,))
    assert entries.at_hand(program) == {program.layers[2].step}


OPTIONS = [
    {}, {"stride": 2, "padding": 1}, {"stride": (2, 1), "padding": (0, 2), "dilation": (1, 2)}, {"padding": "valid"},
    {"groups": 2}, {"padding": 1, "padding_mode": "circular"},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("again", [False, True])
def test_a_convolution_of_basis_vectors_is_its_weights_in_their_places(options, again):
    torch.manual_seed(0)

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.conv, self.last = nn.Conv2d(1, 4, 1), nn.Conv2d(4, 6, (3, 2), **options), nn.LazyLinear(2)

        def forward(self, x):
            h = torch.relu(self.first(x))
            y = self.conv(h)
            y = y.flatten(1) + h.flatten(1)[:, :1] if again else y.flatten(1)
            return self.last(torch.relu(y))

    model = Two().double()
    model(torch.zeros(1, 1, 7, 5, dtype=torch.float64))
    program = trace(model, (1, 7, 5))
    (kink, after), shape = program.layers, (4, 7, 5)
    source = program.steps[kink.step].output
    for some in (range(0, 140), range(33, 40)):
        start, live = entries.basis_at(program, kink.step + 1, after.step, source, shape, some)
        plain = {source: torch.eye(140, dtype=torch.float64)[some.start : some.stop].reshape(len(some), *shape)}
        found, expected = (
            program.run(given, begin, after.step, homogeneous=True)
            for given, begin in ((live, start), (plain, kink.step + 1))
        )
        assert all(torch.equal(found[r], expected[r]) for r in expected)
        others = {"groups", "padding_mode"} & options.keys() or options.get("padding") == "valid"
        assert (start == kink.step + 1) == bool(again or others)


class Block(nn.Module):
    """Convolutions beside skip connections; what stands between two kinks by kind."""

    def __init__(self, kind: str):
        super().__init__()
        torch.manual_seed(3)
        self.kind = kind
        self.first, self.norm = nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.norm.running_mean.normal_(), self.norm.running_var.uniform_(0.5, 2.0)
        nn.init.normal_(self.norm.weight)
        self.second = nn.Conv2d(3, 3, 3, padding=1, bias=False, padding_mode="reflect" if kind == "reflect" else "zeros")
        self.third = nn.Conv2d(3, 3, 1)
        self.up = nn.ConvTranspose2d(3, 3, 2, 2)
        self.last = nn.Linear(3, 2)

    def forward(self, x):
        h = F.relu(self.first(x))
        if self.kind == "up":
            y = self.up(F.relu(self.second(h)[..., ::2, ::2])) - h
        elif self.kind == "two products":
            y = self.third(self.second(h)) + F.relu(self.third(h))
        elif self.kind == "same source":
            y = self.second(h) + h
        elif self.kind == "join":
            y = torch.cat([self.norm(self.second(F.relu(self.third(h)))), h], 1)[:, 2:5]
        else:
            y = 2.5 * self.norm(self.second(F.relu(self.third(h)))) - (h if self.kind == "skip" else self.third(h))
        return self.last(F.relu(y).mean((2, 3)))


def by_matrix(program, stage, sizes, inverse):
    """Norms of what leaves, and shares of what enters, from the whole matrix."""
    norms, shares = {}, {}
    for register, shape in stage.shapes.items():
        n = int(np.prod(shape))
        live = {r: torch.zeros(n, *s, dtype=torch.float64) for r, s in stage.shapes.items()}
        live[register] = torch.eye(n, dtype=torch.float64).reshape(n, *shape)
        for r, t in program.run(live, stage.start, stage.stop, homogeneous=True).items():
            matrix = t.reshape(n, -1).numpy()
            norms[r] = norms.get(r, 0.0) + ((matrix * sizes[register][:, None]) ** 2).sum(axis=0)
            shares[register] = shares.get(register, 0.0) + ((matrix * inverse[r]) ** 2).sum(axis=1)
    return {r: np.sqrt(n) for r, n in norms.items()}, {r: np.sqrt(n) for r, n in shares.items()}


FOLLOWED = {"skip", "shortcut", "up", "join"}


@pytest.mark.parametrize("kind", [*sorted(FOLLOWED), "reflect", "two products", "same source"])
def test_squared_weights_give_the_norms_of_the_matrix_or_say_that_they_cannot(kind):
    program = trace(Block(kind), (1, 6, 6))
    rng = np.random.default_rng(0)
    followed = []
    for stage in stages(program, rng.normal(size=(8, 1, 6, 6))):
        if stage.before is None or stage.after is None:
            continue
        sizes = {r: rng.uniform(0.0, 2.0, int(np.prod(s))) * rng.integers(0, 2) for r, s in stage.shapes.items()}
        found = entries.norms(stage.program, stage.shapes, sizes, stage.start, stage.stop)
        followed.append(found is not None)
        if found is None:
            continue
        weights = {r: rng.uniform(0.5, 2.0, len(norm)) for r, norm in found.items()}
        norms, shares = by_matrix(stage.program, stage, sizes, weights)
        slopes = entries.shares(stage.program, stage.shapes, weights, stage.start, stage.stop)
        assert slopes is not None
        for register, norm in found.items():
            np.testing.assert_allclose(norm, norms[register], rtol=1e-12)
        for register, share in slopes.items():
            np.testing.assert_allclose(share, shares[register], rtol=1e-12)
    assert followed and all(followed) == (kind in FOLLOWED)


def test_sizes_whose_squares_a_double_does_not_hold_are_refused():
    layers = [nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 1)]
    model = nn.Sequential(*layers).double()
    for size in (1e-50, 1e-170, 1e170):
        with torch.no_grad():
            model[2].weight[0, 0, 0, 0] = size
        program = trace(model, (1, 6, 6))
        kink = program.layers[0].step
        shapes = {program.steps[kink].output: (2, 4, 4)}
        for sizes in (np.ones(32), np.full(32, size)):
            found = entries.norms(program, shapes, dict.fromkeys(shapes, sizes), kink + 1, kink + 2)
            assert (found is not None) == (size == 1e-50)
        assert entries.norms(program, shapes, dict.fromkeys(shapes, np.full(32, np.nan)), kink + 1, kink + 2) is None
