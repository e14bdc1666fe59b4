"""Embedded neighbourhoods against closed forms and against shortest paths in the graph of vertices."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import shortest_path
from torch import nn

from splineviz.errors import DataError
from splineviz.metrics.complexity import CHUNK
from splineviz.metrics.deformation import deformation, shapes
from splineviz.metrics.directions import Directions
from splineviz.tracing.trace import trace

RADII = (0.01, 0.1, 0.5)


def network(*weights: object) -> nn.Module:
    layers: list[nn.Module] = []
    for weight in weights:
        matrix = torch.as_tensor(weight, dtype=torch.float64)
        layer = nn.Linear(matrix.shape[1], matrix.shape[0], bias=False).double()
        layer.weight.data = matrix
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(layers[-2].out_features, 1).double())


def test_a_rotation_keeps_the_shape_and_a_factor_stretches_it() -> None:
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))[0]
    model = network(3.0 * turn)
    model[0].bias = nn.Parameter(torch.full((6,), 50.0, dtype=torch.float64))  # all units open
    x = np.random.default_rng(1).standard_normal((CHUNK + 5, 6))
    for num_vectors in (2, 4, 6):
        found = deformation(model, x, radii=RADII, num_vectors=num_vectors, include_output=True)
        assert found.layers == ("1", "output") and found.diameter.shape == (3, 2, CHUNK + 5)
        # drawn directions are orthonormal to float32
        np.testing.assert_allclose(found.relative("diameter")[:, 0], 3.0, rtol=1e-6)
        np.testing.assert_allclose(found.relative("eccentricity")[:, 0], 3.0, rtol=1e-6)
        np.testing.assert_allclose(found.relative()[:, 1], found.relative()[0, 1], rtol=1e-8)
    exact = deformation(model, x, radii=RADII, directions=np.eye(6))
    np.testing.assert_allclose(
        exact.diameter[:, 0], 3 * math.sqrt(8) * np.array(RADII)[:, None] * np.ones(len(x)), rtol=1e-12
    )


def test_a_flattened_square() -> None:
    """diag(1, s): corners (+-1, 0), (0, +-s). Antipodes are two edges of sqrt(1 + s^2) apart, more than 2."""
    s = 0.25
    found = deformation(network([[1.0, 0.0], [0.0, s]]), [[5.0, 5.0]], radii=(0.1,), directions=np.eye(2))
    assert found.eccentricity[0, 0, 0] == pytest.approx(0.2 * math.sqrt(1 + s * s), abs=1e-14)
    assert found.diameter[0, 0, 0] == pytest.approx(0.2 * math.sqrt(1 + s * s), abs=1e-14)


def test_a_folded_square() -> None:
    """Round the origin relu sends the square's corners to (1, 0), (0, 1) and twice (0, 0)."""
    found = deformation(network(np.eye(2), np.eye(2)), [[0.0, 0.0], [9.0, 9.0]], radii=RADII, directions=np.eye(2))
    r = np.array(RADII)
    np.testing.assert_allclose(found.diameter[:, 1, 0], math.sqrt(2) * r, rtol=1e-12)
    np.testing.assert_allclose(found.eccentricity[:, 1, 0], (1 + math.sqrt(2)) / 2 * r, rtol=1e-12)
    np.testing.assert_allclose(found.diameter[:, 1, 1], math.sqrt(8) * r, rtol=1e-12)
    np.testing.assert_allclose(found.diameter[:, 0, 0], math.sqrt(8) * r, rtol=1e-12)


def test_curves_leave_the_level_where_neighbourhoods_fold() -> None:
    """relu(x): a knot at distance 0.3 is not noticed by r = 0.1 and shortens what r = 1 sees."""
    found = deformation(network(np.eye(3), np.eye(3)), [[0.3, 0.3, 0.3]], radii=(0.01, 0.1, 1.0), directions=np.eye(3))
    relative = found.relative()[:, 1]
    assert relative[0] == pytest.approx(1.0, rel=1e-12) and relative[1] == pytest.approx(1.0, rel=1e-12)
    assert relative[2] < 0.9


@pytest.mark.parametrize("pairs", [2, 3, 7])
def test_distances_are_shortest_paths(pairs: int) -> None:
    points = torch.from_numpy(np.random.default_rng(pairs).standard_normal((5, 2 * pairs, 3)))
    for each, (mean, largest) in zip(points, shapes(points).T, strict=True):
        lengths = torch.cdist(each, each).numpy()
        for i in range(2 * pairs):
            lengths[i, (i + pairs) % (2 * pairs)] = 0.0  # no edge
        paths = shortest_path(lengths, directed=False)
        assert mean == pytest.approx(paths.max(axis=1).mean(), rel=1e-12)
        assert largest == pytest.approx(paths.max(), rel=1e-12)


def test_smooth_and_convolutional_networks_and_batches() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.GELU(), nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    x = torch.randn(20, 1, 6, 6, dtype=torch.float64)
    found = deformation(model, x, radii=RADII, num_vectors=4, seed=1)
    assert found.layers == ("1 gelu", "3 relu")
    other = deformation(model, x, radii=RADII, num_vectors=4, seed=1, batch_size=3)
    np.testing.assert_allclose(other.diameter, found.diameter, rtol=1e-12)
    v = Directions(36, 4, 1, False).frames(0, 20).double().reshape(20, 4, 1, 6, 6)
    first = model.double()[0]
    with torch.no_grad():
        z = first((torch.cat([v, -v], dim=1) * 0.1).flatten(0, 1)).reshape(20, 8, -1)
    np.testing.assert_allclose(shapes(z), [found.eccentricity[1, 0], found.diameter[1, 0]], rtol=1e-9)


def test_a_program_takes_flat_points() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    x = torch.randn(3, 2, 2, dtype=torch.float64)
    found = deformation(trace(model, (2, 2)), x.flatten(1), radii=RADII)
    np.testing.assert_array_equal(found.diameter, deformation(model, x, radii=RADII).diameter)


def test_refusals() -> None:
    model = network(np.eye(2))
    with pytest.raises(DataError, match="radius: expected a positive length, got -1"):
        deformation(model, [[0.0, 0.0]], radii=(0.1, -1))
    with pytest.raises(DataError, match="expected 2 or more, got 1"):
        deformation(model, [[0.0, 0.0]], radii=(0.1,), num_vectors=1)
    with pytest.raises(DataError, match="expected at least one point"):
        deformation(model, np.empty((0, 2)), radii=(0.1,))
