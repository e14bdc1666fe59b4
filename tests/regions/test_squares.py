"""Norms of weights by squared weights, beside those of the matrix itself."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from splineviz.regions import squares
from splineviz.regions.stages import stages
from splineviz.tracing.trace import trace


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
        found = squares.norms(stage.program, stage.shapes, sizes, stage.start, stage.stop)
        followed.append(found is not None)
        if found is None:
            continue
        weights = {r: rng.uniform(0.5, 2.0, len(norm)) for r, norm in found.items()}
        norms, shares = by_matrix(stage.program, stage, sizes, weights)
        slopes = squares.shares(stage.program, stage.shapes, weights, stage.start, stage.stop)
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
            found = squares.norms(program, shapes, dict.fromkeys(shapes, sizes), kink + 1, kink + 2)
            assert (found is not None) == (size == 1e-50)
        assert squares.norms(program, shapes, dict.fromkeys(shapes, np.full(32, np.nan)), kink + 1, kink + 2) is None
