"""Estimates are right on average over seeds, and exact where every face is kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import module
from networks import relu_network
from parallel_neurons import parallel_case
from torch import Tensor, nn

from splineviz.geometry.plane import Plane
from splineviz.geometry.polygons import square
from splineviz.regions import exact as exactly
from splineviz.regions.enumerate import partition
from splineviz.regions.estimates import estimate
from splineviz.tracing.program import Program
from splineviz.tracing.trace import trace


class Residual(nn.Module):
    """What a layer gives is added to what it was given."""

    def __init__(self, width: int, blocks: int):
        super().__init__()
        self.first = nn.Conv2d(1, width, 3, padding=1)
        self.inner = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(blocks))
        self.last = nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for layer in self.inner:
            x = x + layer(x.relu())
        found: Tensor = self.last(x.relu().mean((2, 3)))
        return found


def pooled(first: bool) -> nn.Module:
    middle = (nn.MaxPool2d(2), nn.ReLU()) if first else (nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(nn.Conv2d(1, 4, 3), *middle, nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 2))


Job = tuple[Program, Plane, np.ndarray]


def job(name: str) -> Job:
    """A network, its plane and a window of some 60 to 500 regions."""
    torch.manual_seed(3)
    if name in ("shallow", "deep", "thin"):
        network = relu_network(1, 2, 40, 2) if name == "shallow" else relu_network(2, 2, 16, 16, 16, 2)
        plane = Plane(np.zeros(2), np.eye(2))
        thin = np.array([[-50, -1e-3], [50, -1e-3], [50, 1e-3], [-50, 1e-3]]) @ np.array([[0.6, 0.8], [-0.8, 0.6]])
        return trace(network, (2,)), plane, thin if name == "thin" else square(np.zeros(2), 1.5)
    network = Residual(4, 3) if name == "residual" else pooled(name == "pool first")
    plane = Plane.through(*torch.rand(3, 1, 8, 8))
    return trace(network.eval(), plane.input_shape), plane, square(plane.anchors_uv[0], 0.3 if name == "residual" else 3.0)


NAMES = ["shallow", "deep", "thin", "residual", "pool", "pool first"]
SLOWLY = [name if at < 3 else pytest.param(name, marks=pytest.mark.slow) for at, name in enumerate(NAMES)]


@pytest.mark.parametrize("name", SLOWLY)
def test_the_mean_over_seeds_is_the_number_of_regions(name: str) -> None:
    program, plane, window = job(name)
    truth = partition(program, plane, window=window).num_regions
    found = [estimate(program, plane, window, faces=12, seed=seed) for seed in range(50)]
    regions = np.array([one.regions for one in found])
    of_mean = regions.std(ddof=1) / np.sqrt(len(regions))
    assert regions.std() > 0.01 * truth > 0.3
    assert abs(regions.mean() - truth) < 3.0 * of_mean
    # The error that is said is about the one that there is; with few faces it is rather too large.
    assert 0.5 < np.sqrt(np.mean([one.error**2 for one in found])) / regions.std() < 4.0


@pytest.mark.parametrize("name", NAMES)
def test_where_every_face_is_kept_nothing_is_estimated(name: str) -> None:
    program, plane, window = job(name)
    truth = partition(program, plane, window=window).num_regions
    for seed in range(2):
        found = estimate(program, plane, window, faces=10**6, seed=seed)
        assert found.regions == pytest.approx(truth, abs=1e-6) and found.error == 0.0


@pytest.mark.parametrize("number", [0, 17, 42])
def test_where_decisions_end_an_estimate_goes_on_without_them(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    case = parallel_case(number)
    network = module(case.layers)
    monkeypatch.setattr(exactly, "LIMIT", 0)
    found = partition(network, case.plane, window=case.window)
    assert found.report.restarts == 1
    assert estimate(network, case.plane, case.window, faces=10**6).regions == pytest.approx(found.num_regions, abs=1e-6)
