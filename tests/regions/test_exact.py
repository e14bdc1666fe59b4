"""What double precision cannot tell is decided exactly; what is not decided is counted, and not proved."""

from __future__ import annotations

import copy
import itertools
import random
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
import torch
from cases import Case, dense, differences, lines, module
from parallel_neurons import parallel_case
from rounding import perturbed
from torch import nn

from splineviz.geometry.plane import Plane
from splineviz.geometry.polygons import square
from splineviz.regions import exact as exactly
from splineviz.regions.blocks import Block
from splineviz.regions.cuts import Cut
from splineviz.regions.decisions import Decisions
from splineviz.regions.engine import Engine
from splineviz.regions.enumerate import partition
from splineviz.regions.exact import Exact
from splineviz.tracing.trace import trace

PLANE = Plane(np.zeros(2), np.eye(2))


@pytest.mark.parametrize("units", [0, 2], ids=["", "perturbed"])
@pytest.mark.parametrize("block", range(6))
def test_nearly_parallel_neurons_lose_no_region(block: int, units: int) -> None:
    for number in range(10 * block, 10 * block + 10):
        case = parallel_case(number)
        with perturbed(units, seed=number):
            found = partition(module(case.layers), case.plane, window=case.window)
        assert differences(found, case.cells()) == [], case.name
        assert (found.report.near_zero, found.report.irregular_faces) == (0, 0), case.name


def test_what_may_not_be_decided_is_counted_and_not_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = 0
    for number in range(30):
        case = parallel_case(number)
        network = module(case.layers)
        with monkeypatch.context() as patch:
            patch.setattr(exactly, "LIMIT", 0)
            found = partition(network, case.plane, window=case.window)
        if differences(found, case.cells()):
            wrong += 1
            assert found.report.near_zero + found.report.irregular_faces > 0, case.name
            assert not found.verify(network, raise_on_failure=False).ok, case.name
    assert wrong > 10


def test_values_that_are_kept_take_no_more_memory_than_they_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """Integers of a deep network are hundreds of bytes each, and vertices are asked for by the thousand."""
    monkeypatch.setattr(exactly, "KEPT_BYTES", 1 << 20)
    program = trace(module(dense(0, 2, *[60] * 8, 1)), (2,))
    exact = Exact(program, PLANE.origin, PLANE.basis)
    places = np.random.default_rng(0).random((150, 2)).tolist()
    births = exact.corners([[Fraction(x) for x in place] for place in places]).tolist()
    first = exact.values(births[0], 8)
    tracemalloc.start()
    for birth in births[1:]:
        exact.values(birth, 8)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 3 << 20
    assert exact.values(births[0], 8)[1] == first[1]
    assert (exact.values(births[0], 8)[0] == first[0]).all()


def test_blocks_and_threads_decide_alike() -> None:
    for number in (0, 17, 42):
        case = parallel_case(number)
        network = module(case.layers)
        one = partition(network, case.plane, window=case.window, threads=1)
        many = partition(network, case.plane, window=case.window, threads=2, block_bytes=64)
        assert sorted(one.pattern_hash.tolist()) == sorted(many.pattern_hash.tolist())


def test_where_decisions_end_half_way_all_is_cut_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two blocks at a seam one may have been told what the other one asks too late, and blocks that are cut with larger
    errors leave regions out: seen in an MnasNet, and in ten layers of 512 units.
    """
    ended = 0
    for number, limit in itertools.product((0, 17, 42), (1 << k for k in range(8, 18))):
        case, open_ = parallel_case(number), []
        with monkeypatch.context() as patch:
            notes = Decisions._note
            patch.setattr(Decisions, "_note", lambda self, why, n=notes, o=open_: (n(self, why), o.append(self.open))[0])
            patch.setattr(exactly, "LIMIT", limit)
            found = partition(module(case.layers), case.plane, window=case.window, threads=1, block_bytes=64)
            closed = not all(open_)
            patch.setattr(exactly, "LIMIT", 0)
            without = partition(module(case.layers), case.plane, window=case.window, threads=1, block_bytes=64)
        ended += closed
        assert found.report.restarts == closed, (case.name, limit)
        if found.report.restarts:
            assert found.num_regions == without.num_regions
            assert found.report.near_zero == without.report.near_zero > 0
        else:
            assert differences(found, case.cells()) == [], (case.name, limit)
    assert 10 <= ended < 30


class Residual(nn.Module):
    """A residual network, whose values in a small window of images are large beside what they change by."""

    def __init__(self, width: int, blocks: int):
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, stride=2, padding=1)
        self.inner = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(blocks))
        self.outer = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(blocks))
        self.last = nn.Linear(width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for inner, outer in zip(self.inner, self.outer, strict=True):
            x = x + outer(inner(x.relu()).relu())
        found: torch.Tensor = self.last(x.relu().mean((2, 3)))
        return found


def test_where_decisions_ended_vertices_are_not_held_for_blurred(monkeypatch: pytest.MonkeyPatch) -> None:
    """What may be off its place is to be decided; read as 0 instead, it left regions of a residual network out."""
    torch.manual_seed(4)
    network = Residual(8, 4).eval()
    plane = Plane.through(*torch.rand(3, 3, 16, 16))
    window = square(plane.anchors_uv[0] + 0.1, 0.03)
    decided = partition(network, plane, window=window)
    monkeypatch.setattr(exactly, "LIMIT", 1000)
    ended = partition(network, plane, window=window)
    assert (decided.report.restarts, ended.report.restarts) == (0, 1)
    assert sorted(ended.pattern_hash.tolist()) == sorted(decided.pattern_hash.tolist())
    assert ended.report.near_zero == 0 and ended.verify(network).ok


@pytest.mark.parametrize("number", [116, 416, 521, 839, 1359])
def test_vertices_behind_decided_ones_are_where_they_are(number: int) -> None:
    """They were cut from one that stands elsewhere than where its sign was decided, or beside a blurred one."""
    case = parallel_case(number)
    found = partition(module(case.layers), case.plane, window=case.window)
    assert differences(found, case.cells()) == []
    assert (found.report.near_zero, found.report.irregular_faces) == (0, 0)


@pytest.mark.parametrize("number", range(0, 60, 3))
def test_no_vertex_is_farther_off_than_its_blur_says(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    case, seen = parallel_case(number), []
    cut = Engine.cut

    def looked_at(self: Engine, block: Block) -> Cut:
        after = cut(self, block)
        told, places = self.decisions.places(after.birth[after.old :])
        off = np.hypot(*(places - after.uv[after.old :]).T)[told] * self._sharpness
        assert (off <= 1.0 + after.blur[after.old :][told]).all(), (block.layer, off.max())
        seen.append(told.sum())
        return after

    monkeypatch.setattr(Engine, "cut", looked_at)
    partition(module(case.layers), case.plane, window=case.window, threads=1)
    assert sum(seen) > 0


@pytest.mark.parametrize("first", [0, 20, 40])
def test_no_edge_is_farther_beside_its_line_than_it_says(monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    seen: list[int] = []
    cut = Engine.cut

    def looked_at(self: Engine, block: Block) -> Cut:
        after = cut(self, block)
        told, places = self.decisions.places(after.birth)
        for (a, b), off in zip(after.edges, after.off, strict=True):
            way = places[b] - places[a]
            length = np.hypot(*way)
            if not told[[a, b]].all() or length * self._sharpness < 2.0**20:  # of a short edge floats do not tell the line
                continue
            ends = after.uv[[a, b]] - places[a]
            beside = np.abs(way[0] * ends[:, 1] - way[1] * ends[:, 0]) / length * self._sharpness
            assert (beside <= 1.0 + min(off, after.blur[[a, b]].max())).all(), (block.layer, beside, off)
            seen.append(1)
        return after

    monkeypatch.setattr(Engine, "cut", looked_at)
    for number in range(first, first + 20, 4):
        case = parallel_case(number, deep=True)
        partition(module(case.layers), case.plane, window=case.window, threads=1)
    assert len(seen) > 100


def test_errors_do_not_grow_from_layer_to_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of places were once handed on as errors of values: by the ninth layer 10^20 times too large, so that exact
    decisions were asked for until they ended.
    """
    largest: list[float] = []
    spent = []
    check, cut = Exact._check_budget, Engine.cut
    monkeypatch.setattr(Exact, "_check_budget", lambda self: (spent.append(self), check(self))[1])
    monkeypatch.setattr(Engine, "cut", lambda self, block: (largest.append(block.row_scale.max()), cut(self, block))[1])
    torch.manual_seed(0)
    network = module(dense(0, 2, *[256] * 9, 1))
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.uniform_(layer.bias, -layer.in_features**-0.5, layer.in_features**-0.5)
    found = partition(network, PLANE, window=0.02, threads=1)
    assert found.num_regions > 1000
    assert (found.report.restarts, found.report.near_zero, found.report.irregular_faces) == (0, 0, 0)
    assert max((self.spent for self in spent), default=0) < exactly.LIMIT / 2
    assert max(largest) < 1e3


def test_a_small_window_of_a_convolution_asks_for_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors of interior vertices once grew from one to the next, by 10^5, and with them what was asked."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, padding=1, stride=2), nn.ReLU(), nn.Flatten(),
        nn.Linear(1024, 32), nn.ReLU(), nn.Linear(32, 10),
    ).double()  # fmt: skip
    samples = torch.rand(3, 1, 16, 16).double()
    spent = []
    check = Exact._check_budget
    monkeypatch.setattr(Exact, "_check_budget", lambda self: (spent.append(self), check(self))[1])
    plane = Plane.through(*samples)
    one, two = (partition(network, plane, window=0.1, threads=threads) for threads in (1, 2))
    assert one.num_regions == two.num_regions > 500
    assert one.report.near_zero == two.report.near_zero == 0
    assert len({id(self) for self in spent}) == 0 or max(self.spent for self in spent) < exactly.LIMIT / 20


@pytest.mark.parametrize(
    "network",
    [
        module(dense(1, 2, 5, 4, 3)),
        nn.Sequential(
            nn.Linear(2, 16), nn.Unflatten(1, (1, 4, 4)), nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3),
            nn.LeakyReLU(0.125),
            nn.MaxPool2d(2), nn.Conv2d(3, 2, 2), nn.Flatten(), nn.ReLU(), nn.Linear(2, 2),
        ),
    ],
    ids=["dense", "conv"],
)  # fmt: skip
def test_a_pass_in_integers_is_the_network(network: nn.Module) -> None:
    """Rounded once, it is what the network computes, to rounding; and it does not depend on the point's denominators."""
    from splineviz.tracing.lowering import lower

    torch.manual_seed(0)
    network = network.double().eval()
    program = trace(network, (2,))
    exact = Exact(lower(program).program, PLANE.origin, PLANE.basis)
    points = [(Fraction(1, 3), Fraction(-2, 7)), (Fraction(5), Fraction(1, 1 << 60))]
    for birth, point in zip(exact.corners(points).tolist(), points, strict=True):
        x = torch.tensor([[float(c) for c in point]], dtype=torch.float64)
        with torch.no_grad():
            said = network(x)[0].numpy()
        layers = len(exact.program.layers)
        np.testing.assert_allclose(exact.floats(birth, layers), said, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(36, 5),
        nn.Sequential(nn.Unflatten(1, (4, 3, 3)), nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2)),
        nn.Sequential(nn.Unflatten(1, (1, 6, 6)), nn.Conv2d(1, 3, 3, padding=2, padding_mode="circular")),
        nn.Sequential(nn.Unflatten(1, (4, 3, 3)), nn.ConvTranspose2d(4, 2, 3, stride=2, output_padding=1)),
        nn.Sequential(nn.Unflatten(1, (36, 1)), nn.Conv1d(36, 7, 1)),
    ],
    ids=["linear", "strides and groups", "circular", "transposed", "points"],
)  # fmt: skip
@pytest.mark.parametrize("double", [False, True], ids=["float", "double"])
def test_products_of_limbs_are_those_one_by_one(monkeypatch: pytest.MonkeyPatch, layer: nn.Module, double: bool) -> None:
    """In weights whose sizes differ by a million, too, and integers of one bit to a thousand, zeros among them."""
    torch.manual_seed(0)
    layer = copy.deepcopy(layer).double() if double else copy.deepcopy(layer)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter *= 10.0 ** torch.randint(-3, 4, parameter.shape)
    program = trace(layer, (36,))
    step = next(at for at, step in enumerate(program.steps) if "weight" in step.params)
    rng = random.Random(0)
    row = np.array([rng.choice([-1, 0, 1]) * rng.getrandbits(rng.randint(1, 1000)) for _ in range(36)], object)
    found = []
    for weights in (1, 1 << 60):
        monkeypatch.setattr(exactly, "LIMBS_FROM", weights)
        exact = Exact(program, np.zeros(36), np.eye(2, 36))
        numerators, exponent = exact._step(step)([(row, 3)], 5)
        found.append([Fraction(n) / Fraction(2) ** exponent for n in numerators])
        assert any("_with_limbs" in function.__qualname__ for function in exact._steps.values()) == (weights == 1)
    assert found[0] == found[1]


def test_three_knots_meet_in_one_vertex_only_if_they_do() -> None:
    for gap, regions in ((0.0, 6), (1e-17, 7), (1e-300, 7)):
        case = Case("", lines((1, 0, 0), (0, 1, 0), (1, 1, gap)))
        assert partition(module(case.layers), PLANE, window=1.0).num_regions == regions
