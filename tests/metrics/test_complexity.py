"""Sampled local complexity against a plain evaluation of every vertex, and against counts made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from parts import Forward
from torch import nn

from splineviz.errors import DataError, TraceError
from splineviz.metrics import directions as frames
from splineviz.metrics import neighbourhoods, screens
from splineviz.metrics.complexity import LocalComplexity, local_complexities, local_complexities_at, local_complexity
from splineviz.metrics.directions import GROUP, SMALL_GROUP, SPARE, Directions
from splineviz.tracing.trace import trace


def mlp(inputs: int, *widths: int, kink: type[nn.Module] = nn.ReLU) -> nn.Module:
    layers: list[nn.Module] = []
    for a, b in zip((inputs, *widths), widths, strict=False):
        layers += [nn.Linear(a, b), kink()]
    return nn.Sequential(*layers[:-1])


def conv() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 3, stride=2), nn.LeakyReLU(0.1),
        nn.Flatten(), nn.Linear(27, 5),
    )  # fmt: skip


def mostly_off(model: nn.Module) -> nn.Module:
    """As networks are after a long training: few units are on at a point."""
    for layer in model:
        if isinstance(layer, nn.Linear):
            layer.weight.data *= 4.0
            layer.bias.data -= 1.0
    return model


NETWORKS = {
    "mlp": (lambda: mlp(20, 30, 25, 15, 4), (20,), 0.3),
    "deep and wide of the point": (lambda: mlp(8, 20, 20, 20, 20, 3), (8,), 3.0),
    "leaky": (lambda: mlp(6, 12, 12, 2, kink=nn.LeakyReLU), (6,), 0.5),
    "flattened": (lambda: nn.Sequential(nn.Flatten(), *mlp(12, 9, 9, 3)), (3, 2, 2), 0.5),
    "conv": (conv, (2, 8, 8), 0.5),
    "max-pooling": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(4, 3, 2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(3, 4),
        ),
        (2, 8, 8),
        0.5,
    ),
    "many dimensions": (lambda: mlp(150, 30, 25, 20, 4), (150,), 0.4),
    "mostly off": (lambda: mostly_off(mlp(150, 40, 40, 40, 3)), (150,), 0.5),
    "normed": (
        lambda: nn.Sequential(
            nn.Linear(160, 12),
            nn.BatchNorm1d(12),
            nn.ReLU(),
            nn.Linear(12, 30),
            nn.BatchNorm1d(30),
            nn.ReLU(),
            nn.Linear(30, 2),
        ),
        (160,),
        2.0,
    ),
    "toy": (lambda: mlp(2, 16, 16, 1), (2,), 0.5),
    "linear": (lambda: nn.Linear(5, 3), (5,), 1.0),
}


def network(name: str) -> tuple[nn.Module, torch.Tensor, float]:
    """Network, points and a radius at which a good part of the units change sign."""
    build, shape, radius = NETWORKS[name]
    torch.manual_seed(7)
    model = build().eval()
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    return model, torch.randn(90, *shape, dtype=torch.float64), radius


def frames_of(directions: Directions, points: int) -> torch.Tensor:
    """(points, P, dimension)"""
    starts = range(0, points, directions.group)
    return torch.cat([directions.frames(start, min(start + directions.group, points)) for start in starts])


def vertices(x: torch.Tensor, radius: float, directions: Directions) -> torch.Tensor:
    """(n, 2 P, *shape), straight from the definition."""
    v = frames_of(directions, len(x)).double()
    arms = radius * torch.cat([v, -v], dim=1)
    return x[:, None] + arms.reshape(len(x), -1, *x.shape[1:])


def plain(
    model: nn.Module, x: torch.Tensor, radius: float, directions: Directions, include_output: bool
) -> list[torch.Tensor]:
    """Per layer, (n, 2 P, units) pre-activations, every vertex evaluated on its own."""
    at = vertices(x, radius, directions)
    with torch.no_grad():
        values, outputs = trace(model, x.shape[1:]).preactivations(at.flatten(0, 1))
    layers = [*values, outputs] if include_output else values
    return [z.reshape(len(x), at.shape[1], -1) for z in layers]


def both_signs(z: torch.Tensor, dim: int | tuple[int, ...]) -> torch.Tensor:
    return (z > 0).sum(dim).bool() & (z < 0).sum(dim).bool()


@pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])
@pytest.mark.parametrize("include_output", [False, True], ids=["units", "units and outputs"])
@pytest.mark.parametrize("name", NETWORKS)
def test_counts_are_those_of_the_plain_definition(name, include_output, shared):
    model, x, radius = network(name)
    found = local_complexity(
        model, x, radius=radius, num_vectors=7, seed=3, include_output=include_output, shared_frame=shared
    )
    directions = Directions(math.prod(x.shape[1:]), found.num_vectors, 3, shared)
    values = plain(model, x, radius, directions, include_output)
    counts = np.array([both_signs(z, 1).sum(1).tolist() for z in values]).reshape(len(values), len(x))
    np.testing.assert_array_equal(found.counts, counts)
    assert found.counts.sum() > len(x) or not values
    assert found.units.tolist() == [z.shape[2] for z in values]
    assert found.live_units.tolist() == [int(both_signs(z.flatten(0, 1), 0).sum()) for z in values]
    np.testing.assert_array_equal(found.total, counts.sum(axis=0))


class Residual(nn.Module):
    def __init__(self, width: int, kink: nn.Module):
        super().__init__()
        self.first, self.second, self.kink = nn.Linear(width, width), nn.Linear(width, width), kink

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.kink(x + self.second(self.kink(self.first(x))))


def anything(rng: np.random.Generator, inputs: int) -> nn.Module:
    """A network with kinks of several kinds, batch norm, skip connections, scales and units that are off."""
    kinks = (nn.ReLU(), nn.ReLU(), nn.LeakyReLU(0.2), nn.Hardtanh(), nn.ReLU6(), nn.PReLU())
    layers: list[nn.Module] = []
    width = inputs
    for _ in range(int(rng.integers(1, 5))):
        layers.append(nn.Linear(width, width := int(rng.integers(1, 50))))
        if rng.random() < 0.3:
            norm = nn.BatchNorm1d(width)
            for tensor in (norm.running_mean, norm.weight.data, norm.bias.data):
                tensor.normal_()
            layers.append(norm)
        kink = kinks[rng.integers(len(kinks))]
        shaped = rng.random() < 0.2
        layers += [nn.Unflatten(1, (1, width)), kink, nn.Flatten()] if shaped else [kink]
        if rng.random() < 0.25:
            layers.append(Residual(width, nn.ReLU()))
    layers.append(nn.Linear(width, 3))
    scale, off = 10 ** rng.uniform(-1, 1), rng.integers(2) * rng.uniform(0, 1.5)
    for module in (m for layer in layers for m in layer.modules()):
        if isinstance(module, nn.Linear):
            module.weight.data *= scale
            module.bias.data -= scale * off
    return nn.Sequential(*layers).eval()


@pytest.mark.parametrize("seed", range(40))
def test_counts_of_any_network_are_those_of_the_plain_definition(seed, monkeypatch):
    """Radii from far too small to far too large, where every pair of vertices is bent."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    inputs, n = int(rng.choice([2, 5, 40, 150, 300])), int(rng.integers(1, 140))
    model, x = anything(rng, inputs), torch.randn(n, inputs, dtype=torch.float64)
    radius, shared = 10 ** rng.uniform(-2, 1.5), bool(rng.integers(2))
    monkeypatch.setattr(neighbourhoods, "FEWEST", int(rng.choice([0, 0, 100])))
    found = local_complexity(
        model, x, radius=radius, num_vectors=int(rng.integers(1, 9)), seed=seed, include_output=True, shared_frame=shared
    )
    values = plain(model, x, radius, Directions(inputs, found.num_vectors, seed, shared), True)
    np.testing.assert_array_equal(found.counts, [both_signs(z, 1).sum(1).tolist() for z in values])


@pytest.mark.parametrize("fewest", [100, 0], ids=["layer by layer", "point by point"])
@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "linear"])
def test_counts_do_not_depend_on_how_products_are_made(name, fewest, monkeypatch):
    model, x, radius = network(name)
    for dtype, include_output in ((torch.float64, False), (torch.float64, True), (torch.float32, False)):
        expected = local_complexity(model, x, radius=radius, dtype=dtype, include_output=include_output)
        with monkeypatch.context() as patch:
            patch.setattr(neighbourhoods, "FEWEST", fewest)
            found = local_complexity(model, x, radius=radius, dtype=dtype, include_output=include_output)
        np.testing.assert_array_equal(found.counts, expected.counts)
        np.testing.assert_array_equal(found.live_units, expected.live_units)


def test_only_what_matters_is_multiplied(monkeypatch):
    """At points where few units are on, less than a tenth of the products; none of a unit far from zero at the end."""
    shares = []
    settle = screens._screens.settle

    def seen(centre, odd, most, rows, radii, ends, weights, *others):
        made = settle(centre, odd, most, rows, radii, ends, weights, *others)
        shares.append(made / (len(rows) * len(weights)))
        return made

    monkeypatch.setattr(screens._screens, "settle", seen)
    model, x, _ = network("mostly off")
    local_complexity(model, x, radius=1e-9)
    assert shares and max(shares) < 0.1
    shares.clear()
    local_complexity(model[:4], x, radius=1e-9)
    assert shares and set(shares) == {0.0}  # behind the last kink nothing follows, and none is near


@pytest.mark.parametrize("name", ["mlp", "conv"])
def test_float32_counts_nearly_the_same(name):
    model, x, radius = network(name)
    double = local_complexity(model, x, radius=radius)
    single = local_complexity(model, x, radius=radius, dtype=torch.float32)
    assert np.abs(double.counts - single.counts).sum() <= 1e-3 * double.counts.sum()


@pytest.mark.parametrize("name", ["mlp", "conv"])
def test_results_do_not_depend_on_the_batch_or_on_threads(name):
    model, x, radius = network(name)
    whole = local_complexity(model, x, radius=radius)
    for size, threads in ((1, 1), (7, 3), (1000, 2)):
        other = local_complexity(model, x, radius=radius, batch_size=size, threads=threads)
        np.testing.assert_array_equal(other.counts, whole.counts)
        np.testing.assert_array_equal(other.live_units, whole.live_units)


def test_sets_together_are_as_one_by_one():
    model, x, radius = network("mlp")
    places = {"a": x[:70], "b": x[70:], "c": 2 * x[:5]}
    together = local_complexities(model, places, radius=radius, include_output=True)
    assert list(together) == ["a", "b", "c"]
    for name, some in places.items():
        alone = local_complexity(model, some, radius=radius, include_output=True)
        np.testing.assert_array_equal(together[name].counts, alone.counts)
        np.testing.assert_array_equal(together[name].live_units, alone.live_units)
    assert local_complexities(model, {}) == {}


def test_several_radii_are_as_one_by_one():
    model, x, radius = network("conv")
    radii = (radius, 0.1 * radius, 3 * radius)
    found = local_complexities_at(model, {"a": x[:70], "b": x[70:]}, radii=radii, include_output=True)
    assert len(found) == 3
    for r, sets in zip(radii, found, strict=True):
        alone = local_complexity(model, x[:70], radius=r, include_output=True)
        assert sets["a"].radius == r
        np.testing.assert_array_equal(sets["a"].counts, alone.counts)
        np.testing.assert_array_equal(sets["a"].live_units, alone.live_units)
    assert local_complexities_at(model, {"a": x}, radii=()) == []


def test_directions_can_be_given():
    model, x, radius = network("flattened")
    basis = np.linalg.qr(np.random.default_rng(5).standard_normal((12, 3)))[0].T.reshape(3, 3, 2, 2)
    found = local_complexity(model, x, radius=radius, directions=basis, num_vectors=99)
    assert found.num_vectors == 3
    arms = radius * torch.from_numpy(np.concatenate([basis, -basis]))
    values, _ = trace(model, x.shape[1:]).to(torch.float64).preactivations((x[:, None] + arms).flatten(0, 1))
    counts = [both_signs(z.detach().reshape(len(x), 6, -1), 1).sum(1).tolist() for z in values]
    np.testing.assert_array_equal(found.counts, counts)
    assert found.counts.sum() > len(x)


def test_a_seed_is_reproducible_and_matters(monkeypatch):
    model, x, radius = network("mlp")
    counts = [local_complexity(model, x, radius=radius, seed=seed).counts for seed in (0, 1, 0)]
    np.testing.assert_array_equal(counts[0], counts[2])
    assert (counts[0] != counts[1]).any()
    frames.kept_directions.cache_clear()
    monkeypatch.setattr(frames, "KEPT_BYTES", 0)
    np.testing.assert_array_equal(local_complexity(model, x, radius=radius, seed=0).counts, counts[0])


def test_program_flat_points_and_arrays_give_the_same():
    model, x, radius = network("flattened")
    program = trace(model, x.shape[1:])
    expected = local_complexity(model, x, radius=radius).counts
    for network_, points in ((program, x), (program, x.numpy()), (program, x.reshape(len(x), -1)), (model, x.numpy())):
        np.testing.assert_array_equal(local_complexity(network_, points, radius=radius).counts, expected)


# ---- by hand -----------------------------------------------------------------------------------------


def unit(weight: list[list[float]], bias: list[float]) -> nn.Module:
    layer = nn.Linear(len(weight[0]), len(bias))
    layer.weight.data, layer.bias.data = torch.tensor(weight), torch.tensor(bias)
    return nn.Sequential(layer, nn.ReLU(), nn.Linear(len(bias), 1))


def test_one_unit_through_the_neighbourhood():
    # In one dimension the neighbourhood is [x - r, x + r]; the knots are at 0 and 1.
    model = unit([[1.0], [-2.0]], [0.0, 2.0])
    x = np.array([[-1.0], [-0.2], [0.0], [0.5], [0.9], [1.3]])
    found = local_complexity(model, x, radius=0.25)
    assert found.num_vectors == 1
    assert found.counts.tolist() == [[0, 1, 1, 0, 1, 0]]
    assert local_complexity(model, x, radius=0.6).total.tolist() == [0, 1, 1, 2, 1, 1]
    assert found.mean == 0.5
    assert found.band == pytest.approx(2.576 * np.std([0, 1, 1, 0, 1, 0], ddof=1) / math.sqrt(6))


def test_a_knot_that_touches_a_vertex_is_not_counted():
    model = unit([[1.0]], [0.0])
    assert local_complexity(model, [[0.25]], radius=0.25).total.tolist() == [0]
    assert local_complexity(model, [[0.25]], radius=0.251).total.tolist() == [1]


def test_only_the_ratio_of_radius_and_distance_matters():
    model, x, radius = network("mlp")
    first, scaled = nn.Linear(20, 30), 4.0
    first.weight.data, first.bias.data = model[0].weight.data / scaled, model[0].bias.data
    wider = nn.Sequential(first, *list(model)[1:])
    a, b = local_complexity(model, x, radius=radius), local_complexity(wider, scaled * x, radius=scaled * radius)
    np.testing.assert_array_equal(a.counts, b.counts)


def test_the_first_layers_count_grows_with_the_radius():
    model, x, _ = network("mlp")
    counts = [local_complexity(model, x, radius=r).counts[0] for r in (0.01, 0.1, 1.0, 10.0)]
    assert all((a <= b).all() for a, b in zip(counts, counts[1:], strict=False))
    assert counts[0].sum() < counts[-1].sum()


def test_a_second_layer_bent_inside_the_neighbourhood():
    # y = relu(x) - 0.1 changes sign at 0.1, which no straight continuation from x < 0 tells.
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1), nn.ReLU())
    model[0].weight.data.fill_(1.0), model[0].bias.data.fill_(0.0)
    model[2].weight.data.fill_(1.0), model[2].bias.data.fill_(-0.1)
    assert local_complexity(model, [[-0.05], [0.05], [0.31]], radius=0.2).counts.tolist() == [[1, 1, 0], [1, 1, 0]]
    assert local_complexity(model, [[-0.05]], radius=0.1).counts.tolist() == [[1], [0]]


def test_dead_units_are_told_apart():
    model = unit([[1.0], [1.0], [1.0], [1.0]], [0.0, 0.0, -100.0, 100.0])
    found = local_complexity(model, [[0.0], [1.0]], radius=0.5)
    assert found.total.tolist() == [2, 0]
    assert (found.units.tolist(), found.live_units.tolist()) == ([4], [2])
    assert found.live_total.tolist() == [4.0, 0.0]
    dead = local_complexity(unit([[0.0], [0.0]], [0.0, -1.0]), [[0.0], [1.0]], radius=0.5)
    assert dead.total.tolist() == [0, 0] and dead.live_total.tolist() == [0.0, 0.0]


def test_one_point_has_no_band():
    model, x, _ = network("toy")
    assert math.isnan(local_complexity(model, x[:1]).band)


def test_the_outputs_are_one_more_layer():
    model = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1))
    model[0].weight.data, model[0].bias.data = torch.ones(2, 1), torch.tensor([5.0, 5.0])
    model[2].weight.data, model[2].bias.data = torch.ones(1, 2), torch.tensor([-10.0])
    assert local_complexity(model, [[0.1], [3.0]], radius=0.2).counts.tolist() == [[0, 0]]
    assert local_complexity(model, [[0.1], [3.0]], radius=0.2, include_output=True).counts.tolist() == [[0, 0], [1, 0]]


# ---- directions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])
@pytest.mark.parametrize(("dimension", "num_vectors"), [(784, 25), (2, 2), (25, 25), (30, 25), (3, 1), (50, 25), (20, 1)])
def test_directions_are_orthonormal(dimension, num_vectors, shared):
    directions = Directions(dimension, num_vectors, 0, shared)
    assert directions.group == (GROUP if shared or dimension >= SPARE * num_vectors else SMALL_GROUP)
    v = frames_of(directions, directions.group + 1).double()
    assert v.shape == (directions.group + 1, num_vectors, dimension)
    gram = v @ v.mT
    np.testing.assert_allclose(gram.numpy(), np.broadcast_to(np.eye(num_vectors), gram.shape), atol=1e-6)


def test_points_do_not_share_a_frame_unless_asked():
    for dimension, num_vectors in ((6, 3), (60, 3)):
        directions = Directions(dimension, num_vectors, 0, False)
        v = frames_of(directions, 3 * directions.group)
        projectors = v.mT @ v
        assert len(torch.unique((1e4 * projectors).round().flatten(1), dim=0)) >= 0.98 * len(v)
        shared = frames_of(Directions(dimension, num_vectors, 0, True), len(v))
        assert torch.equal(shared, shared[:1].expand_as(shared))


def test_points_of_a_group_have_few_directions_in_common():
    """As many as sets drawn by lot: P / SPARE of P on average."""
    directions = Directions(784, 25, 0, False)
    taken = torch.zeros(GROUP, len(directions.pool(0))).scatter_(1, directions.chosen(0, GROUP), 1.0)
    assert taken.sum(dim=1).unique().tolist() == [25.0]
    common = taken @ taken.T
    common.fill_diagonal_(torch.nan)
    assert float(common.nanmean()) == pytest.approx(25 / SPARE, rel=0.02)
    assert float(common.nan_to_num().max()) < 12


def test_directions_have_no_favourite():
    """The mean projector of uniform frames is P / d times the identity, where d = P + 1 as where points share a pool."""
    for dimension, num_vectors, points in ((4, 1, 1 << 16), (4, 2, 1 << 16), (4, 3, 1 << 16), (20, 1, 1 << 18)):
        v = frames_of(Directions(dimension, num_vectors, 1, False), points).double()
        projector = torch.einsum("npi,npj->ij", v, v) / len(v)
        one = torch.eye(dimension, dtype=torch.float64)
        assert torch.allclose(projector, num_vectors / dimension * one, atol=0.02)


def test_more_vectors_than_dimensions_are_cut_down():
    model, x, radius = network("toy")
    found = local_complexity(model, x, radius=radius, num_vectors=25)
    assert found.num_vectors == 2
    np.testing.assert_array_equal(found.counts, local_complexity(model, x, radius=radius, num_vectors=2).counts)


# ---- the door ----------------------------------------------------------------------------------------


def softmax_inside(first: nn.Linear) -> nn.Module:
    """A network with no units that counts none; a softmax at the end would be left out."""
    return nn.Sequential(first, nn.Softmax(1), nn.Linear(first.out_features, 2))


REFUSALS = {
    "swapped": (lambda m, x: local_complexity(x, m), DataError, "the network comes first and the points second"),
    "radius": (lambda m, x: local_complexity(m, x, radius=0.0), DataError, "radius: expected a positive length, got 0.0"),
    "vectors": (lambda m, x: local_complexity(m, x, num_vectors=0), DataError, "1 or more each, got 0, None and None"),
    "batch": (lambda m, x: local_complexity(m, x, batch_size=0), DataError, "1 or more each, got 25, 0"),
    "threads": (lambda m, x: local_complexity(m, x, threads=0), DataError, "1 or more each"),
    "no points": (lambda m, x: local_complexity(m, x[:0]), DataError, "x: expected at least one point, got none"),
    "shape": (lambda m, x: local_complexity(trace(m, (20,)), x[:, :5]), DataError, r"shape \(n, 20\), got \(90, 5\)"),
    "one point": (lambda m, x: local_complexity(trace(m, (20,)), x[0]), DataError, r"got \(20,\)"),
    "directions": (lambda m, x: local_complexity(m, x, directions=np.eye(9)), DataError, r"shape \(P, 20\), got \(9, 9\)"),
    "skew": (lambda m, x: local_complexity(m, x, directions=2 * np.eye(20)), DataError, "expected orthonormal ones"),
    "nan": (lambda m, x: local_complexity(m, x * np.nan), ValueError, "x: expected finite numbers"),
    "dtype": (lambda m, x: local_complexity(m, x, dtype=torch.float16), DataError, "torch.float64 or torch.float32"),
    "option": (lambda m, x: local_complexity(m, x, vectors=3), DataError, "expected some of num_vectors, .*, got vectors"),
    "no units": (lambda m, x: local_complexity(softmax_inside(m[0]), x), TraceError, "softmax.*got none"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_what_does_not_fit_is_refused(case):
    call, kind, words = REFUSALS[case]
    model, x, _ = network("mlp")
    with pytest.raises(kind, match=words):
        call(model, x)


def test_the_model_and_the_points_are_left_as_they_were():
    model, x, radius = network("conv")
    before, points = {k: v.clone() for k, v in model.state_dict().items()}, x.clone()
    assert isinstance(local_complexity(model.train(), x, radius=radius), LocalComplexity)
    assert model.training and torch.equal(x, points)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_a_branch_that_passes_a_kink_by_is_no_map_from_behind_it():
    """Between the two kinks stands one linear map, and it reads what came before the first."""

    def forward(m, x):
        y = m.low(x)
        first = torch.relu(m.wide(x))
        second = torch.relu(m.high(y))
        return m.out(first) + second

    torch.manual_seed(0)
    wide, low, high, out = nn.Linear(4, 5), nn.Linear(4, 3), nn.Linear(3, 2), nn.Linear(5, 2)
    model = Forward(forward, wide=wide, low=low, high=high, out=out).double()
    x = np.random.default_rng(0).standard_normal((30, 4))
    found = local_complexity(model, x, radius=0.5, directions=np.eye(4))
    arms = 0.5 * torch.eye(4).double()
    vertices = torch.from_numpy(x)[:, None] + torch.cat([arms, -arms])
    values = [wide(vertices), high(low(vertices))]
    expected = [((z.amin(1) < 0) & (z.amax(1) > 0)).sum(1).numpy() for z in values]
    assert sorted(map(tuple, found.counts)) == sorted(map(tuple, expected))


def test_an_affine_network_has_no_knots_to_count() -> None:
    found = local_complexity(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2)), np.random.default_rng(0).random((4, 2)))
    assert found.layers == () and found.total.tolist() == [0.0] * 4
