"""Stages: what is handed to torch, and in which batches."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from networks import relu_network
from torch import nn

from splineviz._kernels.lines import Rows
from splineviz.geometry.budget import Budget
from splineviz.geometry.plane import Plane
from splineviz.regions.enumerate import Slice, partition
from splineviz.regions.stages import Stage, stages
from splineviz.tracing.lowering import lower
from splineviz.tracing.program import Program
from splineviz.tracing.trace import trace


@pytest.mark.parametrize("block_bytes", [1 << 12, 8 << 20], ids=["small blocks", "one block"])
def test_every_batch_of_vertices_is_filled_up_to_groups_of_sixteen(monkeypatch, block_bytes):
    program = trace(relu_network(1, 2, 40, 40, 2), (2,))
    sizes, run = [], Program.run

    def watched(self, live, start, stop, **options):
        if start:  # the first stage is evaluated at three points
            sizes.append(len(next(iter(live.values()))))
        return run(self, live, start, stop, **options)

    plane = Plane(np.zeros(2), np.eye(2))
    job = Slice(program, plane, plane.window(2.0))
    for stage in job.engine.stages:  # these look at a single row
        assert stage.width and stage.shapes
    monkeypatch.setattr(Program, "run", watched)
    found = job.enumerate(job.whole, 1, block_bytes, Budget(), None)
    assert len(found.face_hash) > 200
    assert sizes and not any(size % 16 for size in sizes)


class Residual(torch.nn.Module):
    """A convolution beside a skip connection, so that all vertices are evaluated in full."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.first, self.second = torch.nn.Conv2d(1, 12, 3, padding=1), torch.nn.Conv2d(12, 12, 3, padding=1)
        self.last = torch.nn.Linear(12 * 36, 2)

    def forward(self, x):
        y = torch.relu(self.first(x))
        return self.last((y + torch.relu(self.second(y))).flatten(1))


def rows_of(monkeypatch, **options):
    """The partition of a residual network, and the rows that its stage with a convolution was given."""
    rows, run = [], Stage.run

    def watched(self, live, out, *others):
        if not self.has_columns:
            rows.append(len(out))
        return run(self, live, out, *others)

    monkeypatch.setattr(Stage, "run", watched)
    rng = np.random.default_rng(0)
    plane = Plane.through(*rng.normal(size=(3, 1, 6, 6)))
    return partition(Residual(), plane, window=0.4, **options), sum(rows)


def test_a_vertex_of_a_convolution_is_evaluated_once(monkeypatch):
    found, rows = rows_of(monkeypatch)
    whole, once = rows_of(monkeypatch, block_bytes=1 << 40)
    assert found.num_regions > 800 and rows == once > len(found.vertices)
    torn, more = rows_of(monkeypatch, block_bytes=1 << 18)  # blocks that would stay in the cache
    assert more > 1.1 * once
    for other in (whole, torn):
        assert np.array_equal(np.sort(other.pattern_hash), np.sort(found.pattern_hash))


def test_threads_that_share_the_rows_of_a_stage_change_no_number(monkeypatch):
    one, two = (rows_of(monkeypatch, threads=threads)[0] for threads in (1, 2))
    assert np.array_equal(one.vertices, two.vertices) and np.array_equal(one.outputs, two.outputs)


class Deep(nn.Module):
    """Layers a and b, and what comes after: a skip connection, or pooling, or neither."""

    def __init__(self, kind: str):
        super().__init__()
        torch.manual_seed(0)
        self.kind, n = kind, 16
        pixels = kind in ("pooling", "batch norm")
        self.a = nn.Conv2d(1, 3, 3, padding=1) if pixels else nn.Linear(3, n)
        self.n = nn.BatchNorm2d(3) if kind == "batch norm" else nn.Identity()
        self.b = nn.Conv2d(3, 3, 3, bias=False) if pixels else nn.Linear(n, n, bias=False)
        self.c = nn.Linear(3 if kind == "pooling" else 12 if pixels else n, n)
        self.out = nn.Linear(n, 2)
        if kind == "sleeping":  # at all samples of the window
            with torch.no_grad():
                self.a.bias[:3] = -10.0

    def forward(self, x):
        h = F.relu(self.n(self.a(x)))
        if self.kind == "pooling":
            h = F.max_pool2d(h, 2)
        z = self.b(h)
        z = F.hardtanh(z, 0.0, 1e9) if self.kind == "hardtanh" else F.relu(z)
        return self.out(F.relu(self.c((z + h if self.kind == "skip" else z).flatten(1))))


def scaled(network: Deep, size: float) -> nn.Module:
    """The same function: a layer times a size, the next by it."""
    network = copy.deepcopy(network)
    with torch.no_grad():
        own = network.n if network.kind == "batch norm" else network.a
        own.weight.mul_(size), own.bias.mul_(size)
        (network.c if network.kind in ("skip", "hardtanh") else network.b).weight.div_(size)
    return network


SIZES = [2.0**-40, 1e-12, 1e12]


@pytest.mark.parametrize("kind", ["plain", "sleeping", "skip", "pooling", "batch norm", "hardtanh"])
def test_scaling_a_layer_and_the_next_by_the_inverse_changes_no_region(kind):
    network = Deep(kind).double().eval()
    shape = (1, 6, 6) if kind == "pooling" else (1, 4, 4) if kind == "batch norm" else (3,)
    plane = Plane.through(*np.random.default_rng(0).normal(size=(3, *shape)))
    expected = partition(network, plane)
    assert expected.num_regions > 50
    for size in SIZES if kind != "hardtanh" else [1e-12, 1e-3, 2.0**20]:  # its far knot stays out of reach
        found = partition(scaled(network, size), plane)
        assert set(found.pattern_hash.tolist()) == set(expected.pattern_hash.tolist()), size
        assert found.linear_regions.count == expected.linear_regions.count, size


@pytest.mark.parametrize("size", [1e-9, 2.0**30])
def test_scaling_the_input_changes_no_region(size):
    network = Deep("plain").double()
    plane = Plane.through(*np.random.default_rng(0).normal(size=(3, 3)))
    expected, other = partition(network, plane, window=plane.window()), copy.deepcopy(network)
    with torch.no_grad():
        other.a.weight.div_(size)
    found = partition(other, Plane(plane.origin * size, plane.basis), window=plane.window() * size)
    assert set(found.pattern_hash.tolist()) == set(expected.pattern_hash.tolist())


def test_the_order_of_units_changes_no_region():
    network = Deep("sleeping").double()
    other, order = copy.deepcopy(network), torch.randperm(16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        other.a.weight.copy_(network.a.weight[order]), other.a.bias.copy_(network.a.bias[order])
        other.b.weight.copy_(network.b.weight[:, order])
    plane = Plane.through(*np.random.default_rng(0).normal(size=(3, 3)))
    one, two = partition(network, plane), partition(other, plane)
    assert one.num_regions == two.num_regions
    np.testing.assert_allclose(np.sort(one.areas), np.sort(two.areas), rtol=0, atol=1e-12 * one.areas.sum())


def test_outputs_that_cancel_are_merged_by_what_they_are_summed_from():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 30), nn.ReLU(), nn.Linear(30, 3)).double()
    with torch.no_grad():
        network[2].weight[:, :10] = 0.0  # knots that change no slope
        network[2].weight[2] *= 1e-6
        network[2].weight[2, 10:20] += 1e4  # units that are there twice, with both signs: they cancel
        network[2].weight[2, 20:] -= 1e4
        network[0].weight[20:], network[0].bias[20:] = network[0].weight[10:20].clone(), network[0].bias[10:20].clone()
        network[2].weight[2, 20:] += 1e-3 * torch.randn(10).double()
    found = partition(network, Plane(np.zeros(2), np.eye(2)), window=1.0)
    assert found.linear_regions.count < 0.6 * found.num_regions
    assert found.verify(network).ok


class Pools(nn.Module):
    """Maxima after a ReLU, after another slope, of nine entries, after no kink, and beside a skip connection."""

    def __init__(self, kind: str):
        super().__init__()
        torch.manual_seed(3)
        self.kind = kind
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.last = nn.Linear(36 if kind == "skip" else 4, 3)

    def forward(self, x):
        z = self.first(x)
        if self.kind == "bare":  # the second meeting follows a convolution
            return self.last(F.relu(F.max_pool2d(self.second(F.max_pool2d(z, 2)), 3)).flatten(1))
        h = F.leaky_relu(z, 0.1) if self.kind == "leaky" else F.relu(z)
        y = F.relu(self.second(F.max_pool2d(h, 3 if self.kind == "byes" else 2)))
        if self.kind == "skip":
            return self.last((F.avg_pool2d(h, 2) + y).flatten(1))
        return self.last(F.max_pool2d(y, y.shape[-1]).flatten(1))


@pytest.mark.parametrize("kind", ["plain", "leaky", "byes", "bare", "skip"])
def test_rounds_that_kernels_work_are_those_of_the_program(kind):
    lowered = lower(trace(Pools(kind).double(), (1, 6, 6)))
    program, rng = lowered.program, np.random.default_rng(1)
    found = stages(program, rng.normal(size=(8, 1, 6, 6)), lowered.meetings)
    assert [meeting is None for meeting in lowered.meetings] == [round_ is None for round_ in lowered.rounds]
    live = {0: torch.from_numpy(rng.normal(size=(20, 1, 6, 6)))}
    live, which = program.run(live, 0, found[0].stop), rng.permutation(20)[:9]
    for stage in found[1:]:
        assert stage.before is not None
        rows = {r: Rows(t.reshape(20, -1).numpy()[:13], t.reshape(20, -1).numpy()[13:]) for r, t in live.items()}
        after = program.run(live, stage.before.step, stage.stop)
        for some in (np.arange(20), which):
            out = np.empty((len(some), stage.width))
            left = stage.run(rows, out, which=some)
            expected = {r: t.reshape(20, -1).numpy()[some] for r, t in after.items()}
            np.testing.assert_allclose(out, expected.pop(stage.result), rtol=1e-13, atol=1e-13)
            assert stage.after is None or left.keys() == expected.keys()
            for register, tensor in left.items():
                np.testing.assert_allclose(tensor.reshape(len(some), -1), expected[register], rtol=1e-13, atol=1e-13)
        live = after
