"""Predicted numbers of regions against enumerated ones."""

import numpy as np
import pytest
import torch
from networks import relu_network
from torch import nn

from splineviz.errors import BudgetError, PlaneError
from splineviz.geometry.plane import Plane
from splineviz.regions.enumerate import partition
from splineviz.regions.estimates import estimate, window_for

PLANE = Plane(np.zeros(2), np.eye(2))


@pytest.mark.parametrize(("seed", "widths"), [(0, (2, 60, 1)), (1, (2, 40, 40, 1)), (2, (2, 30, 30, 30, 2))])
def test_estimate_is_near_the_truth(seed, widths):
    model = relu_network(seed, *widths)
    expected, found = estimate(model, PLANE, 1.0), partition(model, PLANE, window=1.0)
    assert 0.65 * found.num_regions < expected.regions < 1.35 * found.num_regions


def test_parallel_bundle_has_no_crossings():
    layer = nn.Linear(2, 40).double()
    layer.weight.data[:] = torch.tensor([1.0, 0.5]).double()
    layer.bias.data[:] = torch.linspace(-0.9, 0.9, 40)
    model = nn.Sequential(layer, nn.ReLU())
    assert estimate(model, PLANE, 1.0).regions == pytest.approx(partition(model, PLANE, window=1.0).num_regions, abs=0.01)


def test_budget_is_kept_and_the_proposed_window_fits():
    model = relu_network(5, 2, 64, 64, 1)
    whole = partition(model, PLANE, window=1.0).num_regions
    with pytest.raises(BudgetError, match="half-width") as raised:
        partition(model, PLANE, window=1.0, max_regions=whole // 4)
    proposed = float(str(raised.value).split("half-width ")[1].rstrip(".").rstrip(")"))
    assert whole // 20 < partition(model, PLANE, window=proposed, max_regions=whole // 4).num_regions
    assert partition(model, PLANE, window=1.0, max_regions=whole).num_regions == whole


@pytest.mark.parametrize("regions", [20, 300, 3000])
def test_a_window_for_a_number_of_regions_holds_about_that_many(regions):
    model = relu_network(3, 2, 64, 64, 1)
    window, expected = window_for(model, PLANE, regions, 0.3)
    np.testing.assert_allclose(window.mean(axis=0), PLANE.window(0.3).mean(axis=0), atol=1e-12)
    assert 0.8 * regions < expected.regions < 1.25 * regions
    assert 0.5 * regions < partition(model, PLANE, window=window).num_regions < 2.0 * regions


def test_no_window_holds_more_regions_than_the_network_has():
    with pytest.raises(PlaneError, match="expected a window of about 100 regions, found none"):
        window_for(relu_network(3, 2, 3, 1), PLANE, 100)
