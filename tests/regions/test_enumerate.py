"""The enumerator against the exact oracle, region by region: the degenerate table, other tools' traps, random networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from cases import (
    DEGENERATE,
    FAMILIES,
    LEAKY,
    Case,
    dense,
    differences,
    faults,
    folding,
    lines,
    module,
    near_case,
    random_case,
    square,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import ABS, RELU, Layer, Region, regions
from torch import nn

from splineviz.errors import BudgetError
from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane
from splineviz.regions.enumerate import partition

PLANE = Plane(np.zeros(2), np.eye(2))
QUICK = settings(deadline=None, derandomize=True, max_examples=120, suppress_health_check=[HealthCheck.too_slow])


def check(case: Case) -> None:
    part = partition(module(case.layers), case.plane, window=case.window)
    cells = case.cells()
    assert differences(part, cells, undecidable=case.undecidable) == []
    if case.regions is not None:
        assert part.num_regions == case.regions
    check_outputs(part, {cell.pattern_hash: cell for cell in cells})


def check_outputs(part: Partition, cells: dict[int, Region]) -> None:
    """The outputs at a region's vertices are those of its exact affine map, relative to the largest term on the window."""
    errors, largest = [], 0.0
    for face in range(part.num_regions):
        cell, ids = cells.get(int(part.pattern_hash[face])), part.face(face)
        if cell is not None:
            maps = np.array([[float(a), float(b), float(c)] for a, b, c in cell.outputs])
            points = np.concatenate([part.vertices[ids], np.ones((len(ids), 1))], axis=1)
            errors.append(float(np.abs(part.outputs[ids] - points @ maps.T).max()))
            largest = max(largest, float((np.abs(points) @ np.abs(maps).T).max()))
    assert max(errors) <= 1e-12 * largest, f"outputs of face {int(np.argmax(errors))}"


@pytest.mark.parametrize("case", DEGENERATE, ids=lambda c: c.name)
def test_degenerate_input_is_right_by_design(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("slopes", [RELU, LEAKY, ABS], ids=["relu", "leaky", "abs"])
@pytest.mark.parametrize("widths", [(2, 8, 8, 3), (2, 4, 4, 4, 4, 2), (2, 30, 1)], ids=str)
def test_generic_networks(widths: tuple[int, ...], slopes: tuple[float, float]) -> None:
    check(Case("generic", dense(21, *widths, slopes=slopes)))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(25))
def test_random_networks(family: str, seed: int) -> None:
    check(random_case(seed, family=family))


@st.composite
def integer_networks(draw: st.DrawFn) -> Case:
    """Small integers: many coinciding lines, crossings and dead units, and hypothesis can shrink them."""
    widths = [2, *draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))]
    slopes = draw(st.sampled_from([RELU, LEAKY, ABS]))
    entry = st.integers(-3, 3).map(float)
    layers = []
    for n, m in zip(widths, widths[1:], strict=False):
        weight = draw(st.lists(st.lists(entry, min_size=n, max_size=n), min_size=m, max_size=m))
        layers.append(Layer(weight, draw(st.lists(entry, min_size=m, max_size=m)), slopes))
    layers.append(Layer(np.arange(1.0, widths[-1] + 1)[None], [0.0]))
    return Case("integers", tuple(layers), square(draw(st.sampled_from([1.0, 2.0, 0.75]))))


@QUICK
@given(integer_networks())
def test_integer_networks(case: Case) -> None:
    check(case)


@QUICK
@given(st.integers(0, 2**31), st.sampled_from(sorted(FAMILIES)))
def test_networks_of_every_family(seed: int, family: str) -> None:
    check(random_case(seed, family=family))


@pytest.mark.parametrize("block", range(4))
def test_near_coincidences_stay_a_valid_complex(block: int) -> None:
    """Coincidences off by 1e-11 to 1e-17: regions may be too thin to decide, the complex may not break."""
    for seed in range(25 * block, 25 * block + 25):
        case = near_case(seed)
        assert faults(partition(module(case.layers), case.plane, window=case.window)) == [], case.name


NEAR_PARALLEL = {
    "two lines at 1e-11, crossing inside": Case(
        "", lines((0, 1, 0), (1, -1, 0), (2, -2.0000000000142895, -1e-11), slopes=ABS)
    ),
    "a line at 1e-13 from a side, crossed by another": Case(
        "",
        lines((-1.0000000000000941, -0.9999999999999459, 1.000000000000146), (-1, 0, 1)),
        np.array([[-1.0, -1.0], [2.0, -1.0], [-1.0, 2.0]]),
    ),
}


@pytest.mark.parametrize("name", NEAR_PARALLEL)
def test_crossings_at_tiny_angles_are_where_their_values_say(name: str) -> None:
    """Such a crossing may slide along its lines, but its position and all its values must be of one point."""
    case = NEAR_PARALLEL[name]
    network = module(case.layers)
    assert partition(network, case.plane, window=case.window).verify(network).ok


# ---- traps -----------------------------------------------------------------------------------------------------


def test_nested_functional_and_unused_parts_are_the_plain_network() -> None:
    layers = dense(31, 2, 5, 4, 2)
    plain = module(layers)

    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Sequential(plain[0]), nn.Identity(), nn.Dropout(0.5))
            self.second, self.head = plain[2], nn.Sequential(nn.Sequential(nn.Flatten(), plain[4]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = F.relu(self.body(x), inplace=True)
            return self.head(torch.relu(self.second(x)))

    assert differences(partition(Functional(), PLANE, window=1.0), regions(layers, square())) == []


def test_batch_norm_after_the_relu() -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(5, dtype=torch.float64)
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            tensor.copy_(torch.randn(5))
        norm.running_var.uniform_(0.5, 2.0)
    first, second, last = dense(32, 2, 5, 4, 2)
    a, b, c = module((first,))[0], module((second,))[0], module((last,))[0]
    network = nn.Sequential(a, nn.ReLU(), norm, b, nn.ReLU(), c)
    scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach().numpy()
    shift = norm.bias.detach().numpy() - norm.running_mean.numpy() * scale
    folded = (first, Layer(np.diag(scale), shift), second, last)
    assert differences(partition(network, PLANE, window=2.0), regions(folded, square(2.0))) == []
    assert network.training, "the caller's network was switched to evaluation mode"


def test_single_precision_weights_are_partitioned_in_double() -> None:
    layers = tuple(Layer(np.float32(x.weight), np.float32(x.bias), x.slopes) for x in dense(33, 2, 16, 16, 2))
    part = partition(module(layers, torch.float32), PLANE, window=1.0)
    assert differences(part, regions(layers, square())) == []


def test_bias_free_conv_with_batch_norm_through_zero() -> None:
    torch.manual_seed(1)
    conv = nn.Conv2d(1, 2, 2, bias=False, dtype=torch.float64)
    norm = nn.BatchNorm2d(2, affine=False, dtype=torch.float64)
    norm.running_var.copy_(torch.tensor([0.5, 2.0]))
    second = nn.Conv2d(2, 2, 2, bias=False, dtype=torch.float64)
    network = nn.Sequential(
        conv, norm, nn.ReLU(), second, nn.ReLU(), nn.Flatten(), nn.Linear(2, 2, dtype=torch.float64)
    ).eval()
    plane = Plane(np.zeros((1, 3, 3)), np.eye(9)[[0, 4]].reshape(2, 1, 3, 3))
    with torch.no_grad():
        one = norm(conv(torch.eye(9, dtype=torch.float64).reshape(9, 1, 3, 3))).reshape(9, -1).T.numpy()
        two = second(torch.eye(8, dtype=torch.float64).reshape(8, 2, 2, 2)).reshape(8, -1).T.numpy()
    layers = [Layer(one, np.zeros(8), RELU), Layer(two, np.zeros(2), RELU)]
    cells = regions(layers, square(), origin=plane.origin, basis=plane.basis)
    assert differences(partition(network, plane, window=1.0), cells) == []


def test_any_two_runs_are_the_same_number_for_number() -> None:
    layers = module(dense(34, 2, 12, 12, 2))
    one, two = (partition(layers, PLANE, window=1.0) for _ in range(2))
    for name in ("vertices", "edges", "edge_tag", "edge_faces", "face_vertices", "outputs", "pattern_hash"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_windows_that_touch_hold_the_regions_of_the_whole() -> None:
    network = module(dense(35, 2, 10, 10, 2))
    whole = partition(network, PLANE, window=1.0)
    halves = [partition(network, PLANE, window=np.array([[u, -1], [u + 1, -1], [u + 1, 1], [u, 1.0]])) for u in (-1.0, 0.0)]
    total: dict[int, float] = {}
    for half in halves:
        for value, area in zip(half.pattern_hash.tolist(), half.areas, strict=True):
            total[value] = total.get(value, 0.0) + area
    assert total.keys() == set(whole.pattern_hash.tolist())
    for value, area in zip(whole.pattern_hash.tolist(), whole.areas, strict=True):
        assert total[value] == pytest.approx(area, abs=1e-12)


def test_edges_name_the_unit_of_the_knot_they_lie_on() -> None:
    part = partition(module(lines((1, 0, 0.25), (0, 1, -0.5))), PLANE, window=1.0)
    for (a, b), tag in zip(part.edges, part.edge_tag, strict=True):
        if tag == 0:
            np.testing.assert_allclose(part.vertices[[a, b], 0], -0.25)
        elif tag == 1:
            np.testing.assert_allclose(part.vertices[[a, b], 1], 0.5)
        else:
            assert np.abs(part.vertices[[a, b]]).max() == 1.0


def test_folding_counts() -> None:
    assert partition(module(folding(6)), PLANE, window=1.0).num_regions == 4**6


# ---- blocks, threads, budget -----------------------------------------------------------------------------------

SEWN = module(dense(36, 2, 24, 24, 24, 2))


def as_set(part: Partition) -> set[tuple[object, ...]]:
    """A partition number for number, whatever its order: each face's pattern, corners and outputs, and each edge's tag."""
    corners = [(*uv, *y) for uv, y in zip(part.vertices.tolist(), part.outputs.tolist(), strict=True)]
    faces = set()
    for face, pattern in enumerate(part.pattern_hash.tolist()):
        ring = [corners[v] for v in part.face(face)]
        start = ring.index(min(ring))
        faces.add((pattern, *ring[start:], *ring[:start]))
    ends = (tuple(sorted(corners[v] for v in edge)) for edge in part.edges.tolist())
    return faces | set(zip(part.edge_tag.tolist(), ends, strict=True))


@pytest.fixture(scope="module")
def whole() -> Partition:
    return partition(SEWN, PLANE, window=2.0, threads=1, block_bytes=1 << 30)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("block_bytes", [1, 1 << 16])
def test_neither_blocks_nor_threads_change_a_number(whole: Partition, threads: int, block_bytes: int) -> None:
    part = partition(SEWN, PLANE, window=2.0, threads=threads, block_bytes=block_bytes)
    assert part.num_regions > 500, "too small to be split"
    assert as_set(part) == as_set(whole)
    assert part.verify(SEWN).ok


@pytest.mark.parametrize("seed", range(8))
def test_degenerate_networks_are_sewn_as_they_are(seed: int) -> None:
    """Knots through corners and along edges of other knots, over the seams of blocks."""
    rng = np.random.default_rng(seed)
    first = Layer(rng.integers(-2, 3, (12, 2)), rng.integers(-2, 3, 12), RELU)
    second = Layer(rng.integers(-2, 3, (10, 12)), rng.integers(-2, 3, 10), ABS)
    layers = (
        first,
        second,
        Layer(rng.integers(-2, 3, (8, 10)), rng.integers(-2, 3, 8), RELU),
        Layer(np.ones((1, 8)), [0.0]),
    )
    part = partition(module(layers), PLANE, window=2.0, block_bytes=1, threads=2)
    assert differences(part, regions(layers, square(2.0))) == []


def test_a_budget_stops_early_with_a_remedy(whole: Partition) -> None:
    assert partition(SEWN, PLANE, window=2.0, max_regions=whole.num_regions).num_regions == whole.num_regions
    with pytest.raises(BudgetError, match=r"at most 50 regions .*choose a larger max_regions, or shrink the window"):
        partition(SEWN, PLANE, window=2.0, max_regions=50)


def test_progress_ends_at_one_with_all_regions(whole: Partition) -> None:
    calls: list[tuple[float, int]] = []
    partition(SEWN, PLANE, window=2.0, block_bytes=1, threads=1, progress=lambda done, found: calls.append((done, found)))
    shares = [done for done, _ in calls]
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1.0) and calls[-1][1] == whole.num_regions


def test_an_error_in_progress_reaches_the_caller() -> None:
    def stop(done: float, found: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        partition(SEWN, PLANE, window=2.0, threads=2, block_bytes=1, progress=stop)
