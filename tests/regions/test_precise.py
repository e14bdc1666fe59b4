"""Numbers of many digits, and a network in them, against fractions."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from splineviz.geometry.plane import Plane
from splineviz.regions.exact import Exact
from splineviz.regions.precise import Precise, added, base_of, product, split
from splineviz.tracing.lowering import lower
from splineviz.tracing.trace import trace


def fraction(number, i):
    digits = [Fraction(float(part.reshape(-1)[i])) for part in number.parts]
    return sum(digit * Fraction(2) ** (18 * (number.top - k)) for k, digit in enumerate(digits))


@pytest.mark.parametrize("spread", [0, 10, 30])
def test_sums_and_products_are_those_of_fractions(spread):
    rng = np.random.default_rng(0)
    a, b = (torch.from_numpy(rng.normal(size=50) * 2.0 ** rng.integers(-spread, spread + 1, 50)) for _ in range(2))
    b[7] = -a[7]
    one, other = split(a), split(b)
    total, times = added(one, other), product(one, other, lambda x, w: x * w, 1.0)
    for i, (x, y) in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
        assert fraction(one, i) == Fraction(x)
        assert fraction(total, i) == Fraction(x) + Fraction(y)
        assert abs(fraction(times, i) - Fraction(x) * Fraction(y)) <= Fraction(2) ** (18 * (times.top - 6))
    assert total.sign[7] == 0.0 and torch.equal(split(a).rounded, a)
    np.testing.assert_allclose(total.rounded, a + b, rtol=1e-15, atol=1e-15 * float(a.abs().max()))
    assert torch.equal(total.sign, torch.sign(total.rounded))


@pytest.mark.parametrize("name", ["dense", "convolution", "batch norm, average and skip"])
def test_a_network_in_digits_says_what_it_says_in_integers(name):
    torch.manual_seed(0)

    class Skip(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.n, self.p = nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.AvgPool2d(3)
            self.out = nn.Linear(8, 2)
            self.n.running_mean.uniform_(), self.n.running_var.uniform_(1, 2)

        def forward(self, x):
            h = torch.relu(self.n(self.a(x)))
            return self.out(self.p(torch.relu(h - 0.3 * x) + x).flatten(1))

    network, shape = {
        "dense": (nn.Sequential(nn.Linear(3, 9), nn.ReLU(), nn.Linear(9, 5), nn.LeakyReLU(0.1), nn.Linear(5, 2)), (3,)),
        "convolution": (nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2)), (1, 6, 6)),
        "batch norm, average and skip": (Skip(), (1, 6, 6)),
    }[name]
    rng = np.random.default_rng(1)
    plane = Plane.through(*rng.normal(size=(3, *shape)))
    lowered = lower(trace(network.eval(), shape))
    window = np.array([[0.3, 0.4], [0.3 + 1e-9, 0.4], [0.3, 0.4 + 1e-9]])
    plane = Plane(plane.origin, plane.basis)  # the base of one with samples is a sum of these, beside the rounded plane
    base, place = base_of(plane, window)
    digits, exact = Precise(lowered, base, place, plane.basis), Exact(lowered.program, plane.origin, plane.basis)
    local = np.concatenate([np.zeros((1, 2)), 1e-9 * rng.normal(size=(3, 2))])
    values, outputs = digits.values(local, np.zeros(2))
    points = [[Fraction(c) + Fraction(d) for c, d in zip(place.tolist(), row, strict=True)] for row in local.tolist()]
    for row, birth in enumerate(exact.corners(points).tolist()):
        read = np.concatenate([exact.floats(birth, layer) for layer in range(len(lowered.layers))])
        np.testing.assert_allclose(values[row], read, rtol=4e-16, atol=0)
        np.testing.assert_allclose(outputs[row], exact.floats(birth, len(lowered.layers)), rtol=4e-16, atol=0)
