"""Knot densities from gradients: closed forms, plain autograd, and the exact lengths of a partition's knots."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from cases import Abs
from torch import nn

from splineviz.errors import DataError, TraceError
from splineviz.geometry.plane import Plane
from splineviz.metrics import measures
from splineviz.metrics.knot_density import boundary_density, gradient_complexity
from splineviz.regions.enumerate import partition

SQUARE = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
GRID = np.stack(np.meshgrid(*[(np.arange(64) + 0.5) / 32 - 1] * 2), axis=-1).reshape(-1, 2)
PLANE = Plane(np.zeros(2), np.eye(2), np.array([[0.0, 0.0], [0.5, 0.0], [0.0, 0.5]]))


def lines(weights: list[list[float]], shifts: list[float], readout: list[float]) -> nn.Module:
    model = nn.Sequential(nn.Linear(2, len(shifts)), nn.ReLU(), nn.Linear(len(shifts), 1)).double()
    model[0].weight.data, model[0].bias.data = torch.tensor(weights).double(), torch.tensor(shifts).double()
    model[2].weight.data = torch.tensor([readout]).double()
    return model


def random_network(seed: int, inputs: int = 2, outputs: int = 2) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(inputs, 14), nn.ReLU(), nn.Linear(14, 14), nn.ReLU(), nn.Linear(14, 10), nn.ReLU(), nn.Linear(10, outputs)
    ).double()


# ---- by hand -----------------------------------------------------------------------------------------


def test_one_line() -> None:
    """z = 2 u - 0.5: density 2 / (2 h) where |z| < h; over a square of side 2 a knot of length 2, so 1 / 2 on average."""
    model = lines([[2.0, 0.0]], [-0.5], [1.0])
    found = boundary_density(model, GRID, scale=0.25)
    inside = np.abs(2 * GRID[:, 0] - 0.5) < 0.25
    np.testing.assert_allclose(found.densities, [np.where(inside, 4.0, 0.0)], atol=1e-12)
    assert found.mean == pytest.approx(0.5, abs=1e-12)
    assert found.layers == ("1",) and not found.good


def test_a_grid_of_lines() -> None:
    """Two upright lines and a level one with other slopes, but lengths do not know slopes: 3 lines of length 2 in area 4."""
    model = lines([[1.0, 0.0], [4.0, 0.0], [0.0, -0.5]], [0.25, -1.0, 0.125], [1.0, 1.0, 1.0])
    assert boundary_density(model, GRID, scale=0.125).mean == pytest.approx(1.5, abs=1e-12)


def test_folding() -> None:
    """||u| - 1/2|: knots at 0 and +-1/2, all of slope 1; the unit of the second layer has two lines."""
    model = nn.Sequential(nn.Linear(2, 1), Abs(), nn.Linear(1, 1), Abs(), nn.Linear(1, 1)).double()
    for at, weight, bias in ((0, [[1.0, 0.0]], 0.0), (2, [[1.0]], -0.5)):
        model[at].weight.data, model[at].bias.data = torch.tensor(weight).double(), torch.tensor([bias]).double()
    found = boundary_density(model, GRID, scale=0.25)
    np.testing.assert_allclose(found.densities.mean(axis=1), [0.5, 1.0], atol=1e-12)


def test_normal_noise_at_one_point() -> None:
    """One unit with |grad z| = 5 and z(0) = 1, s = 2: 5 exp(-1/8) / (2 sqrt(2 pi))."""
    model = lines([[3.0, 4.0]], [1.0], [2.0])
    expected = 5 * math.exp(-0.125) / (2 * math.sqrt(2 * math.pi))
    assert gradient_complexity(model, [[0.0, 0.0]], scale=2.0).mean == pytest.approx(expected, abs=1e-14)
    # along one direction only the slope in it counts
    found = gradient_complexity(model, [[0.0, 0.0]], scale=2.0, directions=[[0.0, 1.0]])
    assert found.mean == pytest.approx(expected * 4 / 5, abs=1e-14)


def test_only_what_the_output_feels_is_good() -> None:
    """The second unit is not read out; a closed second layer hides the first."""
    model = lines([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0], [1.0, 0.0])
    x = [[0.0, 0.0]]
    assert boundary_density(model, x, scale=0.5).densities.tolist() == [[2.0]]
    assert boundary_density(model, x, scale=0.5, good=True).densities.tolist() == [[1.0]]
    hidden = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1)).double()
    for layer, bias in ((hidden[0], 0.0), (hidden[2], -1.0), (hidden[4], 0.0)):
        layer.weight.data.fill_(1.0), layer.bias.data.fill_(bias)
    assert boundary_density(hidden, [[0.1]], scale=0.5).densities.tolist() == [[1.0], [0.0]]
    assert boundary_density(hidden, [[0.1], [1.1]], scale=0.5, good=True).densities.tolist() == [[0.0, 0.0], [0.0, 1.0]]


# ---- against plain autograd --------------------------------------------------------------------------


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.first, self.second = nn.Conv2d(1, 3, 3), nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.pool, self.head = nn.MaxPool2d(2), nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(torch.relu(self.stem(x)))
        x = torch.relu(x + self.second(torch.relu(self.first(x))))
        return self.head(x.amax(dim=(2, 3)))


def test_gradients_are_those_of_autograd() -> None:
    torch.manual_seed(2)
    model = Residual().double()
    x = torch.randn(4, 1, 6, 6, dtype=torch.float64)

    def units(at: torch.Tensor) -> list[torch.Tensor]:
        a = model.stem(at[None])
        inner = model.pool(torch.relu(a))
        b = model.first(inner)
        return [z.flatten() for z in (a, b, inner + model.second(torch.relu(b)))]

    found = boundary_density(model, x, scale=0.7, noise="normal")
    for i, point in enumerate(x):
        slopes = torch.autograd.functional.jacobian(lambda p: tuple(units(p)), point)
        for k, (z, slope) in enumerate(zip(units(point), slopes, strict=True)):
            steepness = slope.flatten(1).norm(dim=1)
            density = torch.exp(-0.5 * (z.detach() / 0.7) ** 2) / (math.sqrt(2 * math.pi) * 0.7)
            assert found.densities[k, i] == pytest.approx(float((steepness * density).sum()), rel=1e-10)


def test_blocks_of_points_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = random_network(0), np.random.default_rng(0).uniform(-1, 1, (30, 2))
    whole = boundary_density(model, x, scale=0.1, good=True, draws=3, seed=4)
    monkeypatch.setattr("splineviz.metrics.knot_density.BLOCK_FLOATS", 2 * 14 * 7)
    np.testing.assert_allclose(boundary_density(model, x, scale=0.1, good=True, draws=3, seed=4).densities, whole.densities)


# ---- against exact knots -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_the_density_is_that_of_the_knots(seed: int) -> None:
    """The mean over uniform points is the exact length of knots per area, within its own 99% band."""
    model = random_network(seed)
    part = partition(model, PLANE, window=SQUARE)
    lengths = measures.knot_lengths(part)
    x = np.random.default_rng(seed).uniform(-1, 1, (60_000, 2))
    found = boundary_density(model, x, scale=0.004)
    assert found.mean == pytest.approx(lengths.sum() / 4, abs=found.band) and found.band < 0.05 * found.mean
    for layer in range(3):
        expected = lengths[part.edge_unit[:, 0] == layer].sum() / 4
        assert found.densities[layer].mean() == pytest.approx(expected, rel=0.1, abs=0.02)
    # Knots across which the output's slope does not jump are not good.
    felt = measures.gradient_jumps(part).norms > 1e-9
    good = boundary_density(model, x, scale=0.004, good=True)
    assert good.mean == pytest.approx(lengths[felt].sum() / 4, abs=good.band)


def test_the_density_on_a_slice_of_many_dimensions() -> None:
    model = random_network(5, inputs=9)
    rng = np.random.default_rng(5)
    plane = Plane.through(*rng.standard_normal((3, 9)))
    window = plane.anchors_uv.mean(axis=0) + SQUARE
    part = partition(model, plane, window=window)
    uv = window[0] + rng.uniform(0, 2, (60_000, 2))
    found = boundary_density(model, plane.embed(uv), scale=0.004, directions=plane.basis)
    assert found.mean == pytest.approx(measures.knot_lengths(part).sum() / 4, abs=found.band)


def test_draws_stand_for_networks_with_other_biases() -> None:
    """The expectation over all biases, as in the theorem, against the mean over partitions of shifted networks."""
    model, scale = random_network(7), 0.3
    rng = np.random.default_rng(7)
    exact = []
    for _ in range(60):
        shifted = random_network(7)
        for layer in (shifted[0], shifted[2], shifted[4]):
            layer.bias.data += torch.from_numpy(rng.uniform(-scale, scale, len(layer.bias)))
        exact.append(measures.knot_lengths(partition(shifted, PLANE, window=SQUARE)).sum() / 4)
    x = rng.uniform(-1, 1, (400, 2))
    found = boundary_density(model, x, scale=scale, draws=60)
    error = 2.576 * math.hypot(np.std(exact) / math.sqrt(60), found.band / 2.576 + np.std(exact) / math.sqrt(60))
    assert found.mean == pytest.approx(np.mean(exact), abs=error) and error < 0.2 * found.mean


# ---- the door ----------------------------------------------------------------------------------------


def test_refusals() -> None:
    model = random_network(0)
    for scale, draws in ((0.0, 0), (math.nan, 0), (0.1, -1)):
        with pytest.raises(DataError, match="expected a positive scale and draws >= 0"):
            boundary_density(model, GRID, scale=scale, draws=draws)
    with pytest.raises(DataError, match="expected one of uniform, normal, got 'box'"):
        boundary_density(model, GRID, scale=0.1, noise="box")
    with pytest.raises(DataError, match="expected orthonormal ones"):
        boundary_density(model, GRID, scale=0.1, directions=2 * np.eye(2))
    with pytest.raises(TraceError, match="gelu is smooth"):
        boundary_density(nn.Sequential(nn.Linear(2, 2), nn.GELU()), GRID, scale=0.1)
