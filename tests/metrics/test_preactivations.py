"""Networks that are watched while they run: what is seen, and local complexity against hooks on the module itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from splineviz.errors import TraceError
from splineviz.metrics.complexity import local_complexity
from splineviz.metrics.deformation import deformation
from splineviz.metrics.directions import SMALL_GROUP, Directions
from splineviz.metrics.preactivations import NAMES, Watched
from splineviz.tracing.trace import trace


class Block(nn.Module):
    """A residual block of two convolutions."""

    def __init__(self, act: type[nn.Module], channels: int):
        super().__init__()
        self.first, self.second = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.norm, self.act, self.last = nn.BatchNorm2d(channels), act(), act()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(x + self.norm(self.second(self.act(self.first(x)))))


def mlp(act: type[nn.Module]) -> nn.Module:
    return nn.Sequential(nn.Linear(12, 20), act(), nn.Linear(20, 15), act(), nn.Linear(15, 3))


def conv(act: type[nn.Module]) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), act(), nn.AvgPool2d(2), nn.Conv2d(4, 5, 3), act(), nn.Flatten(), nn.Linear(20, 3)
    )


def residual(act: type[nn.Module]) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), act(), Block(act, 4), Block(act, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 3),
    )  # fmt: skip


SHAPES = {mlp: (12,), conv: (2, 8, 8), residual: (2, 6, 6)}


def hooked(model: nn.Module, act: type[nn.Module], at: torch.Tensor) -> list[torch.Tensor]:
    """Inputs (vertices, units) of every activation module, by plain hooks on the user's own module."""
    seen: list[torch.Tensor] = []
    hooks = [
        m.register_forward_pre_hook(lambda _, args: seen.append(args[0].flatten(1).clone()))
        for m in model.modules()
        if isinstance(m, act)
    ]
    with torch.no_grad():
        model(at)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("act", [nn.ReLU, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Tanh], ids=lambda a: a.__name__)
@pytest.mark.parametrize("build", SHAPES, ids=lambda b: b.__name__)
def test_counts_are_those_of_hooks_on_the_module(build, act) -> None:
    """The same numbers from the fast way (piecewise affine), the watched network, and one vertex after the other."""
    torch.manual_seed(3)
    shape, radius = SHAPES[build], 0.4
    model = build(act).double().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    x = torch.randn(SMALL_GROUP + 6, *shape, dtype=torch.float64)
    found = local_complexity(model, x, radius=radius, num_vectors=6, seed=2)
    assert found.watched == (act in (nn.GELU, nn.SiLU, nn.Tanh)) and len(found.layers) == len(found.units)
    stream = Directions(math.prod(shape), 6, 2, False)
    v = torch.cat([stream.frames(0, SMALL_GROUP), stream.frames(SMALL_GROUP, len(x))]).double().reshape(len(x), 6, *shape)
    at = torch.cat([x[:, None] + radius * v, x[:, None] - radius * v], dim=1)
    signs = [z.reshape(len(x), 12, -1) for z in hooked(model, act, at.flatten(0, 1))]
    counts = [((z > 0).any(1) & (z < 0).any(1)).sum(1).tolist() for z in signs]
    np.testing.assert_array_equal(found.counts, counts)
    assert found.counts.sum() > len(x)
    np.testing.assert_array_equal(found.units, [z.shape[2] for z in signs])


class Everything(nn.Module):
    """One activation in every way that a call can be made."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(4, 4), nn.GELU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.inner(x)
        y = F.gelu(y) + torch.tanh(y) + y.sigmoid() + F.silu(input=y)
        y = F.relu(y, inplace=True).clone().tanh_()
        return F.glu(y, dim=1) + torch.relu(y[:, :2])


def test_every_way_of_calling_is_seen() -> None:
    model = Everything()
    watched = Watched(model, (4,))
    assert watched.layers == ("inner.1 gelu", "gelu", "tanh", "sigmoid", "silu", "relu", "tanh (2)", "glu", "relu (2)")
    assert watched.units == (4,) * 7 + (2, 2) and watched.outputs == 2
    x = torch.randn(7, 4, dtype=torch.float64)
    values, outputs = watched.preactivations(x)
    torch.testing.assert_close(values[0], x @ model.inner[0].weight.double().T + model.inner[0].bias.double())
    torch.testing.assert_close(values[7], torch.tanh(F.relu(values[5]))[:, 2:])
    torch.testing.assert_close(values[8], torch.tanh(F.relu(values[5]))[:, :2])
    torch.testing.assert_close(outputs, model.double()(x))


MODULES = {
    "relu": nn.ReLU(), "relu6": nn.ReLU6(), "leaky_relu": nn.LeakyReLU(), "prelu": nn.PReLU(), "rrelu": nn.RReLU(),
    "elu": nn.ELU(), "selu": nn.SELU(), "celu": nn.CELU(), "gelu": nn.GELU("tanh"), "silu": nn.SiLU(), "mish": nn.Mish(),
    "tanh": nn.Tanh(), "sigmoid": nn.Sigmoid(), "logsigmoid": nn.LogSigmoid(), "softplus": nn.Softplus(),
    "softsign": nn.Softsign(), "hardtanh": nn.Hardtanh(), "hardswish": nn.Hardswish(inplace=True),
    "hardsigmoid": nn.Hardsigmoid(), "tanhshrink": nn.Tanhshrink(), "softshrink": nn.Softshrink(),
    "hardshrink": nn.Hardshrink(), "threshold": nn.Threshold(0.0, 1.0), "glu": nn.GLU(),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_seen(name) -> None:
    if name == "erf":

        class Own(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))

        act: nn.Module = Own()
    else:
        act = MODULES[name]
    watched = Watched(nn.Sequential(nn.Linear(3, 4), act), (3,))
    # torch writes nn.ReLU6 as a hardtanh
    assert watched.layers == (f"1 {'hardtanh' if name == 'relu6' else name}",)
    assert watched.units == (2 if name == "glu" else 4,)


def test_attention_counts_its_feed_forward_part() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Unflatten(1, (4, 8)), nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu"), nn.Flatten()
    )
    found = local_complexity(model, torch.randn(5, 32), radius=0.5)
    assert found.watched and found.layers == ("1 gelu",) and found.units.tolist() == [4 * 16]
    assert found.total.min() > 0


def test_a_program_with_smooth_functions_counts_the_same() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 9), nn.GELU(), nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, 2))
    x = torch.randn(20, 4)
    found = local_complexity(trace(model, (4,), smooth=True), x, radius=0.3)
    assert found.layers == ("1", "3") and found.watched
    np.testing.assert_array_equal(found.counts, local_complexity(model, x, radius=0.3).counts)


def test_one_smooth_unit_by_hand() -> None:
    model = nn.Sequential(nn.Linear(1, 2), nn.Tanh(), nn.Linear(2, 1))
    model[0].weight.data, model[0].bias.data = torch.tensor([[1.0], [-2.0]]), torch.tensor([0.0, 2.0])
    found = local_complexity(model, [[-1.0], [-0.2], [0.0], [0.5], [0.9], [1.3]], radius=0.25)
    assert found.counts.tolist() == [[0, 1, 1, 0, 1, 0]] and found.live_units.tolist() == [2]


def test_the_module_is_left_as_it_was_and_batches_do_not_matter() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.5), nn.GELU(), nn.Linear(8, 2)).train()
    x = torch.randn(70, 5)
    found = local_complexity(model, x, radius=0.3, include_output=True)
    assert model.training and model[0].weight.dtype == torch.float32 and not model[2]._forward_pre_hooks
    assert found.layers == ("2 gelu", "output")
    for size, threads in ((1, 1), (9, 3)):
        other = local_complexity(model, x, radius=0.3, include_output=True, batch_size=size, threads=threads)
        np.testing.assert_array_equal(other.counts, found.counts)


def test_max_pooling_is_run_through_every_vertex() -> None:
    """A maximum is not affine, so halves of a pair of vertices would not do."""
    torch.manual_seed(5)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.MaxPool2d(3, 1), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)
    )
    model = model.double().eval()
    x = torch.randn(20, 1, 8, 8, dtype=torch.float64)
    found = local_complexity(model, x, radius=0.6, num_vectors=5)
    assert not found.watched
    v = Directions(64, 5, 0, False).frames(0, 20).double().reshape(20, 5, 1, 8, 8)
    at = torch.cat([x[:, None] + 0.6 * v, x[:, None] - 0.6 * v], dim=1)
    signs = [z.reshape(20, 10, -1) for z in hooked(model, nn.ReLU, at.flatten(0, 1))]
    np.testing.assert_array_equal(found.counts, [((z > 0).any(1) & (z < 0).any(1)).sum(1).tolist() for z in signs])


class Wandering(nn.Module):
    """The number of activations depends on the data."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(1 + int(x.abs().sum() > 0)):
            x = torch.tanh(x)
        return x


def test_refusals() -> None:
    with pytest.raises(TraceError, match="expected a call of an activation function"):
        Watched(nn.Linear(3, 2), (3,))
    with pytest.raises(TraceError, match="expected the same 1 activation calls on every batch, got 2"):
        local_complexity(Wandering(), [[0.5, 1.0]], radius=0.1)
    with pytest.raises(TraceError, match="Recording its activations while it runs failed too"):
        local_complexity(nn.Sequential(nn.Linear(3, 2), nn.Softmax(1), nn.Linear(2, 2)), [[0.5, 1.0, 2.0]])
    with pytest.raises(TraceError, match="with the batch of 2 in front, got shape \\(4, 2\\)"):
        Watched(nn.Sequential(nn.Unflatten(1, (2, 2)), nn.Flatten(0, 1), nn.Tanh(), nn.Unflatten(0, (-1, 2))), (4,))
    with pytest.raises(TraceError, match="expected a torch.nn.Module or a Program, got int"):
        deformation(3, [[0.5]], radii=(0.1,))


@pytest.mark.parametrize("act", [nn.ReLU, nn.GELU])
@pytest.mark.parametrize("points", [(4, 3), (4, 2, 2)])
def test_points_that_the_network_cannot_take_are_refused_in_our_words(act, points):
    network = nn.Sequential(nn.Linear(5, 6), act(), nn.Linear(6, 2))
    with pytest.raises(TraceError, match=r"expected to run on inputs of shape \(n, .*do the samples fit"):
        local_complexity(network, np.zeros(points))
