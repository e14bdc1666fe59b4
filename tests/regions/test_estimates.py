"""Predicted numbers of regions against enumerated ones: near them, right on average, and exact where every face is kept."""

import numpy as np
import pytest
import torch
from cases import module
from networks import relu_network
from parallel_neurons import parallel_case
from torch import Tensor, nn

from splineviz.errors import BudgetError, PlaneError
from splineviz.geometry.plane import Plane
from splineviz.geometry.polygons import square
from splineviz.regions import estimates
from splineviz.regions import exact as exactly
from splineviz.regions.engine import Engine
from splineviz.regions.enumerate import Slice, partition
from splineviz.regions.estimates import estimate, window_for
from splineviz.tracing.program import Program
from splineviz.tracing.trace import trace

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


def test_a_star_of_many_knots_counts_as_what_it_adds():
    # n lines through one point make 2 n regions; their pairs would be n (n - 1) / 2.
    n = 120
    layer = nn.Linear(2, n).double()
    angle = torch.linspace(0.0, np.pi, n + 1)[:n].double()
    layer.weight.data, layer.bias.data[:] = torch.stack([angle.cos(), angle.sin()], dim=1), 0.0
    model = nn.Sequential(layer, nn.ReLU())
    for half in (1.0, 1e-6):
        assert estimate(model, PLANE, half).regions == pytest.approx(2 * n, rel=0.25)
    with pytest.raises(PlaneError, match="found none"):
        window_for(model, PLANE, n // 3)


def test_a_window_is_found_beyond_a_star_from_far_inside_it():
    """A star of 30 knots, the same 60 regions at every zoom, and other knots that come in at a distance of 1 and more."""
    network = relu_network(4, 2, 90, 2)
    with torch.no_grad():
        network[0].weight /= network[0].weight.norm(dim=1, keepdim=True)
        network[0].bias[:30], network[0].bias[30:] = 0.0, torch.linspace(1.0, 3.0, 60)
    window, expected = window_for(network, PLANE, 400, 1e-6)
    assert np.abs(window).max() > 1.0 and 320 < expected.regions < 500
    assert 200 < partition(network, PLANE, window=window).num_regions < 800


def test_pairs_of_the_same_unit_are_one_knot():
    model = relu_network(1, 2, 40, 40, 1)
    twice = relu_network(1, 2, 40, 40, 1)
    once = estimate(model, PLANE, 1.0).regions
    twice[0] = nn.Linear(2, 80).double()
    twice[0].weight.data = torch.cat([model[0].weight, model[0].weight / 4]).detach()
    twice[0].bias.data = torch.cat([model[0].bias, model[0].bias / 4]).detach()
    twice[2] = nn.Linear(80, 40).double()
    twice[2].weight.data = torch.cat([model[2].weight, torch.zeros(40, 40)], dim=1).detach()
    twice[2].bias.data = model[2].bias.detach()
    assert estimate(twice, PLANE, 1.0).regions == pytest.approx(once, rel=0.01)


def test_ties_of_a_pool_are_estimated_and_a_window_is_found():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(392, 3)).eval()
    x = torch.zeros(3, 1, 14, 14)
    for i in range(3):
        x[i, 0, 2 + 3 * i : 6 + 3 * i, 2:12] = torch.rand(4, 10)
    plane = Plane.through(*x)
    window = square(plane.anchors_uv[0], 1e-3)
    truth = partition(model, plane, window=window).num_regions
    assert 0.5 * truth < estimate(model, plane, window).regions < 2.0 * truth
    found, _ = window_for(model, plane, 300)
    assert 150 < partition(model, plane, window=found).num_regions < 600


def test_an_estimate_stops_when_there_are_clearly_more_and_costs_the_same_for_any_number():
    model = relu_network(0, 2, 128, 128, 128, 1)
    stopped = estimate(model, PLANE, 5.0, most=50)
    assert stopped.more_than == 50
    assert asked_rows(model, 5.0) < 2.0 * asked_rows(model, 0.5)


def asked_rows(model, half):
    thinned = estimates._Thinned(Slice(trace(model, (2,)), PLANE, PLANE.window(half)), 64, 0)
    thinned.count(None)
    return thinned.asked.sum()


def test_memory_of_an_estimate_is_bounded(monkeypatch):
    model = relu_network(0, 2, 64, 64, 1)
    expected = estimate(model, PLANE, 1.0)
    seen = []
    advance = Engine.advance
    monkeypatch.setattr(estimates, "MOST_BYTES", 64 * 8 * 2 * 100)
    monkeypatch.setattr(Engine, "advance", lambda self, block, cut: (seen.append(len(cut.uv)), advance(self, block, cut))[1])
    parts = estimate(model, PLANE, 1.0)
    assert abs(parts.regions - expected.regions) < 4.0 * np.hypot(parts.error, expected.error)
    assert len(seen) > 10 and max(seen[2:]) < 250


def test_a_window_far_larger_than_where_the_knots_are_and_one_that_is_thin():
    model = relu_network(0, 2, 40, 40, 1)
    with torch.no_grad():
        model[0].bias /= 50.0
    thin = np.array([[-100, -1e-3], [100, -1e-3], [100, 1e-3], [-100, 1e-3]])
    for window in (1e3, thin):
        truth = partition(model, PLANE, window=window).num_regions
        for seed in range(5):
            found = estimate(model, PLANE, window, seed=seed)
            assert 0.8 * truth < found.regions < 1.25 * truth
            assert abs(found.regions - truth) <= 3.0 * found.error + 0.5


@pytest.mark.parametrize("pool_first", [False, True])
@pytest.mark.parametrize("half", [1e-6, 0.3, 10.0])
def test_black_backgrounds_before_a_pool(pool_first, half):
    """Hundreds of knots through the sample, in windows about it."""
    torch.manual_seed(1)
    bend, pool = nn.ReLU(), nn.MaxPool2d(2)
    middle = (pool, bend) if pool_first else (bend, pool)
    model = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), *middle, nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), nn.Flatten(),
                          nn.Linear(108, 3)).eval()  # fmt: skip
    x = torch.zeros(3, 1, 12, 12)
    for i in range(3):
        x[i, 0, 2 + 2 * i : 5 + 2 * i, 2:9] = torch.rand(3, 7)
    plane = Plane.through(*x)
    window = square(plane.anchors_uv[0], half)
    truth = partition(model, plane, window=window).num_regions
    for seed in range(4):
        found = estimate(model, plane, window, seed=seed)
        assert 0.5 * truth < found.regions < 2.0 * truth
        assert abs(found.regions - truth) <= 4.0 * found.error + 0.5


def test_a_tournament_in_tiles_of_which_none_is_left_out_is_counted_exactly(monkeypatch):
    monkeypatch.setattr(estimates, "MOST_UNITS", 10)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(36, 2)).eval()
    plane = Plane.through(*torch.rand(3, 1, 8, 8))
    truth = partition(model, plane, window=2.0).num_regions
    assert truth > 100
    assert estimate(model, plane, 2.0, faces=10**6).regions == pytest.approx(truth, abs=0.01)


def test_a_budget_for_which_no_window_fits_says_so():
    star = nn.Linear(2, 60).double()
    angle = torch.linspace(0.0, np.pi, 61)[:60].double()
    star.weight.data, star.bias.data[:] = torch.stack([angle.cos(), angle.sin()], dim=1), 0.0
    with pytest.raises(BudgetError, match="none was found that is sure to fit"):
        partition(nn.Sequential(star, nn.ReLU()), PLANE, window=1.0, max_regions=20)


# ---- on average ------------------------------------------------------------------------------------------------------


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
def test_an_estimate_is_what_is_found_without_exact_decisions(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    case = parallel_case(number)
    network = module(case.layers)
    monkeypatch.setattr(exactly, "LIMIT", 0)
    found = partition(network, case.plane, window=case.window)
    assert found.report.restarts == 1
    assert estimate(network, case.plane, case.window, faces=10**6).regions == pytest.approx(found.num_regions, abs=1e-6)
