"""Breakpoints along a line against closed forms, brute force and the plane's own edges."""

import numpy as np
import pytest
import torch
from networks import relu_network
from torch import nn

from splineviz.crossings import crossings
from splineviz.enumerate import partition
from splineviz.errors import DataError
from splineviz.planes import Plane


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
