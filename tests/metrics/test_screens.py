"""Screens: single precision settles what double precision would count, and leaves alone what it cannot tell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from splineviz.metrics import complexity, screens
from splineviz.metrics.complexity import LocalComplexity, local_complexities_at
from splineviz.metrics.directions import Directions
from splineviz.tracing.trace import trace

VECTORS, DIMENSIONS = 9, 200
BREAKS = {nn.ReLU: (0.0,), nn.Hardtanh: (-1.0, 1.0), nn.ReLU6: (0.0, 6.0)}


def chain(kink: type[nn.Module] = nn.ReLU, widths: tuple[int, ...] = (40, 30, 35, 20), scale: float = 1.0) -> nn.Sequential:
    torch.manual_seed(len(widths))
    layers: list[nn.Module] = []
    for a, b in zip((DIMENSIONS, *widths), widths, strict=False):
        layers += [nn.Linear(a, b).double(), kink()]
        layers[-2].weight.data *= scale * 2.0
    return nn.Sequential(*layers, nn.Linear(widths[-1], 3).double()).eval()


def arms(points: int) -> torch.Tensor:
    """(points, 2 P, dimensions) of unit length."""
    v = Directions(DIMENSIONS, VECTORS, 0, False).frames(0, points).double()
    return torch.cat([v, -v], dim=1)


def plain(model: nn.Module, x: torch.Tensor, radius: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Counts (layers, n) and live units (layers,) by double precision at every vertex."""
    values = x[:, None] + radius * arms(len(x))
    counts, live = [], []
    with torch.no_grad():
        for module in model:
            if breaks := BREAKS.get(type(module)):
                for b in breaks:  # each a layer of its own
                    counts.append(((values.amin(1) < b) & (values.amax(1) > b)).sum(1))
                    live.append(((values.amin((0, 1)) < b) & (values.amax((0, 1)) > b)).sum())
            values = module(values)
    return torch.stack(counts).numpy(), torch.stack(live).numpy()


def compare(model: nn.Module, x: torch.Tensor, radii: tuple[float, ...], **options: object) -> list[LocalComplexity]:
    found = [one["x"] for one in local_complexities_at(model, {"x": x}, radii=radii, num_vectors=VECTORS, **options)]
    for one, radius in zip(found, radii, strict=True):
        counts, live = plain(model, x, radius)
        np.testing.assert_array_equal(one.counts, counts)
        np.testing.assert_array_equal(one.live_units, live)
    return found


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Points of each block, and how many of them were left open."""
    found: list[tuple[int, int]] = []
    settle = screens.Screen.settle

    def seen(self: screens.Screen, x: torch.Tensor, *others: object) -> NDArray[np.int64]:
        open_ = settle(self, x, *others)  # type: ignore[arg-type]
        found.append((len(x), len(open_)))
        return open_

    monkeypatch.setattr(screens.Screen, "settle", seen)
    return found


@pytest.mark.parametrize("kink", BREAKS)
def test_several_radii_at_once_count_what_every_vertex_shows(kink: type[nn.Module], left: list[tuple[int, int]]) -> None:
    x = torch.randn(150, DIMENSIONS, dtype=torch.float64)
    found = compare(chain(kink), x, (0.003, 3.0, 0.3, 30.0))
    assert found[0].counts.sum() < found[2].counts.sum() < found[1].counts.sum()
    points, open_ = np.sum([(0, 0), *left], axis=0)
    assert kink is not nn.ReLU or (points == 150 and open_ < 15), "or the screen settles nothing"
    compare(chain(kink), x, (0.3,), dtype=torch.float32)


def test_what_single_precision_cannot_tell_is_decided_by_double(left: list[tuple[int, int]]) -> None:
    """Biases that put a unit's lowest vertex 1e-10 to either side of its knot, at each of 60 points."""
    model, x = chain(), 0.01 * torch.randn(60, DIMENSIONS, dtype=torch.float64)
    radius, differ = 0.3, 0
    vertices = x[:, None] + radius * arms(len(x))
    for layer, unit in ((0, 3), (2, 5), (4, 7)):
        with torch.no_grad():
            values = model[: layer + 1](vertices).amin(1)[:, unit]
        for i in range(0, 60, 7):
            for side in (-1e-10, 1e-10):
                other = chain()
                with torch.no_grad():
                    other[layer].bias[unit] += side - values[i]
                counts, _ = plain(other, x, radius)
                found = local_complexities_at(other, {"x": x}, radii=(radius,), num_vectors=VECTORS)[0]["x"].counts
                differ += int((found != counts).sum())
    assert differ == 0 and sum(open_ for _, open_ in left) >= 54


@pytest.mark.parametrize("scale", [1e-25, 1e-12, 1e12, 1e25])
def test_numbers_that_single_precision_does_not_hold(scale: float) -> None:
    """Without biases, a network of any scale counts as another one does."""
    counts = []
    for factor in (1.0, scale):
        model = chain(scale=factor, widths=(40, 30, 20))
        for module in model:
            if isinstance(module, nn.Linear):
                module.bias.data.zero_()
        torch.manual_seed(3)
        x = torch.randn(80, DIMENSIONS, dtype=torch.float64)
        counts.append(compare(model, x, (0.1, 1.0))[1].counts)
    np.testing.assert_array_equal(*counts)


def test_units_that_nothing_moves_count_nowhere(left: list[tuple[int, int]]) -> None:
    """Pruned units with bias 0 stay on their breakpoint, and behind a layer that is off nothing moves."""
    x = torch.randn(100, DIMENSIONS, dtype=torch.float64)
    model = chain()
    for layer in (0, 2, 4):
        model[layer].weight.data[::3] = 0.0
        model[layer].bias.data[::3] = 0.0
    compare(model, x, (0.3, 1.0))
    assert sum(open_ for _, open_ in left) < 10
    model[2].bias.data -= 1e3
    model[4].bias.data[:] = 0.0
    assert compare(model, x, (0.3, 1.0))[1].counts[1:].sum() == 0
    assert sum(open_ for _, open_ in left) < 20


def test_a_screen_that_settles_little_is_given_up(monkeypatch: pytest.MonkeyPatch, left: list[tuple[int, int]]) -> None:
    monkeypatch.setattr(screens._screens, "settle", lambda *arguments: arguments[-1].fill(False))
    compare(chain(), torch.randn(300, DIMENSIONS, dtype=torch.float64), (0.3,), threads=1)
    assert sum(points for points, _ in left) < 2 * complexity.CHUNK


def test_a_map_grows_no_length_more_than_its_bound() -> None:
    rng = np.random.default_rng(0)
    for shape in ((3, 50), (50, 3), (60, 60), (1, 1), (600, 520)):
        weight = rng.standard_normal(shape)
        norm, entries = screens._growth(weight)
        assert np.linalg.norm(weight, 2) <= norm <= entries * 1.01
        assert np.linalg.norm(weight) <= entries <= 1.01 * np.linalg.norm(weight)
    assert screens._growth(np.zeros((3, 3)))[0] == 0.0


def test_programs_and_modules_are_alike() -> None:
    model, x = chain(), torch.randn(20, DIMENSIONS, dtype=torch.float64)
    either = [local_complexities_at(one, {"x": x}, radii=(0.2, 0.4)) for one in (model, trace(model, (DIMENSIONS,)))]
    for one, other in zip(*either, strict=True):
        np.testing.assert_array_equal(one["x"].counts, other["x"].counts)
