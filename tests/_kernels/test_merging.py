"""Linear regions: activation regions merged where the output's slope does not change."""

import numpy as np
import pytest
import torch
from cases import module, random_case
from torch import nn

from splineviz._kernels import merging
from splineviz.geometry.plane import Plane
from splineviz.regions.enumerate import partition

PLANE = Plane(np.zeros(2), np.eye(2))


def linear(weight, bias):
    layer = nn.Linear(len(weight[0]), len(weight)).double()
    layer.weight.data, layer.bias.data = torch.tensor(weight).double(), torch.tensor(bias).double()
    return layer


def test_a_unit_without_outgoing_weight_bounds_no_linear_region():
    model = nn.Sequential(linear([[1, 0.2], [0.3, 1], [1, 1]], [0.1, 0.1, 0]), nn.ReLU(), linear([[1.0, 0, 2]], [0.0]))
    found = partition(model, PLANE, window=1.0)
    assert (found.num_regions, found.linear_regions.count) == (7, 4)


def test_units_that_cancel_bound_no_linear_region():
    model = nn.Sequential(linear([[1, 0.2], [1, 0.2], [1, 1]], [0.1, 0.1, 0]), nn.ReLU(), linear([[1.0, -1, 2]], [0.0]))
    found = partition(model, PLANE, window=1.0)
    assert (found.num_regions, found.linear_regions.count) == (4, 2)


@pytest.mark.parametrize("seed", range(6))
def test_labels_are_the_components_of_equal_affine_maps(seed):
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(2, 12), nn.ReLU(), nn.Linear(12, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 1)
    ).double()
    found = partition(model, PLANE, window=2.0)
    x = torch.from_numpy(found.centroids).requires_grad_()
    y = model(x)
    y.sum().backward()
    maps = np.column_stack([x.grad.numpy(), y.detach().numpy()[:, 0] - (x.grad * x).sum(1).detach().numpy()])
    inner = found.edge_faces[(found.edge_faces >= 0).all(axis=1)]
    equal = np.abs(maps[inner[:, 0]] - maps[inner[:, 1]]).max(axis=1) < 1e-11
    labels = found.linear_regions.label
    assert found.linear_regions.undecided == 0
    assert ((labels[inner[:, 0]] == labels[inner[:, 1]])[equal]).all()
    spread = np.array([np.ptp(maps[labels == k], axis=0).max() for k in range(found.linear_regions.count)])
    assert spread.max() < 1e-11


@pytest.mark.parametrize("family", ["integer", "gaussian"])
def test_noise_of_a_constant_output_is_no_slope(family):
    """Against the exact maps: two regions of one map are one, though their outputs differ by rounding."""
    for seed in range(60):
        case = random_case(seed, family=family, max_width=8)
        found = partition(module(case.layers), case.plane, window=case.window)
        maps = {cell.pattern_hash: cell.outputs for cell in case.cells()}
        inner = (found.edge_faces >= 0).all(axis=1)
        one, other = (found.pattern_hash[found.edge_faces[:, side]].tolist() for side in (0, 1))
        same = np.array([i and maps[a] == maps[b] for i, a, b in zip(inner, one, other, strict=True)])
        assert found.linear_regions.count == merging.merge(found.num_regions, found.edge_faces, same).max() + 1, seed
        assert found.linear_regions.undecided == 0, seed


@pytest.mark.parametrize("seed", range(3))
def test_slopes_below_the_rounding_of_the_outputs_are_undecided(seed):
    """Round a crossing of two knots, in a window so small that its outputs differ by a few roundings."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3)).double()
    weight, bias = model[0].weight.detach().numpy()[:2], model[0].bias.detach().numpy()[:2]
    corners = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    found = partition(model, PLANE, window=np.linalg.solve(weight, -bias) + 1e-13 * corners)
    merged = found.linear_regions
    assert (found.num_regions, merged.count, merged.undecided) == (4, 4, 4)


def test_an_output_that_never_varies_is_one_linear_region():
    model = nn.Sequential(linear([[1, 0.2], [0.3, 1], [1, 1]], [0.1, 0.1, 0]), nn.ReLU(), linear([[0.0, 0, 0]], [0.7]))
    merged = partition(model, PLANE, window=1.0).linear_regions
    assert (merged.count, merged.undecided) == (1, 0)
