"""Breakpoints along a line against closed forms, brute force and the plane's own edges."""

import numpy as np
import pytest
import rounding
import torch
from cases import module
from networks import build, relu_network
from parallel_neurons import parallel_case
from pools import TABLE as POOLS
from torch import nn

from splineviz.errors import DataError
from splineviz.geometry.plane import Plane
from splineviz.regions import crossings as lines
from splineviz.regions import exact
from splineviz.regions.crossings import crossings, folding
from splineviz.regions.decisions import Decisions
from splineviz.regions.enumerate import partition
from splineviz.tracing.lowering import lower
from splineviz.tracing.trace import trace

NOTE = Decisions._note

def test_one_neuron_breaks_where_its_line_is():
    layer = nn.Linear(1, 1).double()
    layer.weight.data[:], layer.bias.data[:] = 2.0, -0.5
    found = crossings(nn.Sequential(layer, nn.ReLU()), [0.0], [1.0])
    assert found.position.tolist() == [0.25]
    assert found.unit.tolist() == [[0, 0]]
    assert found.num_regions == 2


def test_folding_layers_double_the_pieces():
    class Fold(nn.Module):
        def forward(self, x):
            for i in range(5):
                x = torch.abs(x) if i == 0 else torch.abs(self.shift[i - 1](x))
            return x

        def __init__(self):
            super().__init__()
            self.shift = nn.ModuleList(nn.Linear(1, 1) for _ in range(4))
            for i, layer in enumerate(self.shift):
                layer.weight.data[:], layer.bias.data[:] = 1.0, -(2.0 ** -(i + 1))

    found = crossings(Fold().double(), [-1.0], [1.0])
    assert found.num_regions == 2**5
    np.testing.assert_allclose(np.diff(found.position), 2.0 / 32, atol=1e-15)


@pytest.mark.parametrize("seed", range(5))
def test_every_crossing_flips_its_unit_and_none_is_missed(seed):
    model = relu_network(seed, 7, 30, 30, 20, 4)
    points = torch.randn(3, 7, dtype=torch.float64)
    found = crossings(model, *points)
    begin = 0.0
    for i in range(2):
        length = float((points[i + 1] - points[i]).norm())
        here = found.position[found.segment == i] - begin
        middles = np.concatenate([[0.0], here, [length]])
        middles = torch.from_numpy(0.5 * (middles[1:] + middles[:-1]))
        x = points[i] + middles[:, None] / length * (points[i + 1] - points[i])
        signs = []
        for layer in model:
            x = layer(x)
            if isinstance(layer, nn.Linear):
                signs.append(x > 0)
        flips = [np.argwhere((s[1:] != s[:-1]).numpy()) for s in signs[:-1]]
        expected = {(int(k), layer, int(unit)) for layer, f in enumerate(flips) for k, unit in f}
        got = {(k, int(layer), int(unit)) for k, (layer, unit) in enumerate(found.unit[found.segment == i])}
        assert got == expected
        begin += length
    assert found.length == pytest.approx(begin)


def test_crossings_agree_with_the_side_of_a_window():
    model = relu_network(3, 2, 20, 20, 2)
    plane = Plane(np.zeros(2), np.eye(2))
    whole = partition(model, plane, window=1.0)
    side = np.sort(whole.vertices[np.abs(whole.vertices[:, 1] + 1.0) < 1e-12, 0])
    found = crossings(model, [-1.0, -1.0], [1.0, -1.0])
    np.testing.assert_allclose(found.position - 1.0, side[1:-1], atol=1e-12)


def test_bad_points_are_refused():
    model = relu_network(0, 2, 3, 1)
    with pytest.raises(DataError, match="at least two points"):
        crossings(model, [0.0, 0.0])
    with pytest.raises(DataError, match="coincide"):
        crossings(model, [0.0, 0.0], [0.0, 0.0])
    with pytest.raises(DataError, match="one shape"):
        crossings(model, [0.0, 0.0], [0.0])


@pytest.mark.parametrize(
    "name", ["max-pooling after ReLU", "max-pooling that overlaps", "maxout of five, twice", "the largest of all"]
)
def test_a_maximum_breaks_where_its_largest_entry_changes_and_nowhere_else(name):
    network, shape = build(name, table=POOLS)
    x0, x1 = 3.0 * torch.randn(2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    found = crossings(network, x0, x1)
    length = float((x1 - x0).norm())
    ends = np.concatenate([[0.0], np.unique(found.position), [length]])
    program = trace(network, shape)

    def patterns(t):
        x = x0 + torch.from_numpy(t / length).reshape(-1, *[1] * len(shape)) * (x1 - x0)
        read, live, at = [], {0: x}, 0
        for layer in lower(program).layers:
            live, at = program.run(live, at, layer.step), layer.step
            z = live[program.steps[at].inputs[0]].reshape(len(t), -1)
            if layer.groups is None:
                read.append(z > 0)
            else:
                entries = z[:, np.maximum(layer.groups, 0)]
                entries[:, layer.groups < 0] = -torch.inf
                read.append(entries.argmax(dim=2))
        return np.concatenate([part.numpy() for part in read], axis=1)

    inside = np.linspace(ends[:-1], ends[1:], 7)[1:-1]
    read = [patterns(row) for row in inside]
    for other in read[1:]:
        np.testing.assert_array_equal(read[0], other, "no piece changes between two breakpoints")
    assert (read[0][1:] != read[0][:-1]).any(axis=1).all(), "a piece changes at every breakpoint"
    assert found.num_regions == len(ends) - 1 > 3


@pytest.mark.parametrize("name", ["dense", "the same units twice", "residual"])
def test_lines_in_pieces_cross_the_same_knots(name, monkeypatch):
    model, shape, half = rounding.build(name)
    plane = rounding.plane_of(shape)
    points = plane.embed([[-half, -0.9 * half], [half, half]])
    whole = crossings(model, *points)
    monkeypatch.setattr(lines, "LINE_BYTES", 1 << 12)
    pieces = crossings(model, *points)
    np.testing.assert_array_equal(pieces.unit, whole.unit)
    np.testing.assert_allclose(pieces.position, whole.position, rtol=0, atol=1e-12 * whole.length)


def test_folding_is_what_crossings_go_beyond_the_ends():
    """relu(x + a) and relu(-x + a) make |x| but for a notch: a unit of |x| - 1/2 is crossed twice, on at both ends."""
    model = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        model[0].bias.fill_(0.01)
        model[2].weight.copy_(torch.tensor([[1.0, 1.0], [1.0, -1.0]]))
        model[2].bias.copy_(torch.tensor([-0.5, -0.3]))
    program = trace(model, (1,))

    def fold(*points: float) -> tuple[int, int]:
        at = [np.array([x]) for x in points]
        found = crossings(program, *at)
        return len(found.position), folding(program, found, *at)

    # The knots: -0.01 and 0.01 of the first layer; about -0.49 and 0.49 of |x| - 1/2; 0.29 of x - 0.3.
    assert fold(-1.0, 1.0) == (5, 2) and fold(0.1, 1.0) == (2, 0) and fold(-1.0, 0.0, 1.0) == (5, 0)
    assert fold(-1.0, 1.0, -1.0) == (10, 4), "there and back again"


def test_folding_counts_pieces_not_signs():
    """A unit of ReLU6 that goes from below 0 to above 6 changes two pieces, and crosses two knots: nothing is folded."""
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU6(), nn.Linear(1, 1)).double()
    with torch.no_grad():
        model[0].weight.fill_(10.0)
        model[0].bias.fill_(0.0)
    program, ends = trace(model, (1,)), [np.array([-1.0]), np.array([1.0])]
    found = crossings(program, *ends)
    assert len(found.position) == 2 and folding(program, found, *ends) == 0


def test_where_decisions_end_half_way_a_line_is_cut_without_them(monkeypatch):
    ended = 0
    for number in range(20):
        network = module(parallel_case(number, deep=True).layers)
        found = []
        for limit in (0, *(1 << k for k in range(6, 14))):
            monkeypatch.setattr(exact, "LIMIT", limit)
            closed = []
            monkeypatch.setattr(Decisions, "_note", lambda self, why, n=NOTE, c=closed: c.append(n(self, why) or self.open))
            knots = crossings(network, [-1.3, 0.7], [1.1, -0.9])
            if not all(closed):
                found.append(np.concatenate([knots.position, *knots.unit.T]))
        ended += len(found) - 1
        assert all(np.array_equal(one, found[0]) for one in found), number
    assert ended > 5


@pytest.mark.parametrize("half", [1e-2, 1e-4, 1e-6])
def test_pools_that_tie_on_a_black_background_are_crossed_where_the_slice_has_their_knots(half):
    # Several pools tie and cut a line at one place, apart by rounding: none changed half way to the next of these.
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
    )  # fmt: skip
    with torch.no_grad():
        network[0].bias.abs_()
    x = torch.zeros(3, 1, 8, 8)
    for i in range(3):
        x[i, 0, 2 * i : 2 * i + 4, 2 * i : 2 * i + 4] = torch.rand(4, 4)
    plane = Plane.through(*x)
    window = plane.anchors_uv[0] + half * np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    found = partition(network, plane, window=window)
    knots = found.vertices[found.edges[found.edge_tag >= 0]]
    for start, stop in np.random.default_rng(0).uniform(-1.0, 1.0, size=(12, 2, 2)) * half + plane.anchors_uv[0]:
        way = stop - start
        side = (knots - start) @ np.array([-way[1], way[0]])
        one, other = side[side.prod(axis=1) < 0.0].T
        ends = knots[side.prod(axis=1) < 0.0]
        met = ends[:, 0] + (one / (one - other))[:, None] * (ends[:, 1] - ends[:, 0])
        expected, length = (met - start) @ way / np.hypot(*way), np.hypot(*way)
        expected = expected[(expected > 0.0) & (expected < length)]
        position = crossings(network, *plane.embed(np.stack([start, stop]))).position
        gaps = np.abs(np.subtract.outer(expected, position))
        assert (gaps.min(axis=1, initial=length) < 1e-6 * length).all()
        assert (gaps.min(axis=0, initial=length) < 1e-6 * length).all()
