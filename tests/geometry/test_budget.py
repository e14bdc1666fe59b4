"""Budgets are promises: regions, bytes and seconds, kept before memory is taken."""

import tracemalloc

import numpy as np
import pytest
import rounding
import torch
from networks import relu_network
from torch import nn

import splineviz as sv
from splineviz.errors import BudgetError
from splineviz.geometry.plane import Plane
from splineviz.regions.engine import Engine

PLANE = Plane(np.zeros(2), np.eye(2))
MEGABYTE = 1 << 20


def pictures(seed=0, size=16):
    """A network of 8 * size^2 units in its first layer: a vertex takes long rows."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(8 * size * size, 3),
    )  # fmt: skip
    return net.double().eval(), rounding.plane_of((1, size, size))


def test_max_regions_is_kept_before_memory_is_taken():
    net, plane = pictures()
    tracemalloc.start()
    with pytest.raises(BudgetError, match="expected at most 2000 regions"):
        sv.partition(net, plane, window=4.0, max_regions=2000, threads=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300 * MEGABYTE


def test_a_networks_pools_make_no_regions_that_count():
    net, shape, half = rounding.build("max-pooling")
    plane = rounding.plane_of(shape)
    regions = sv.partition(net, plane, window=half, threads=1).num_regions
    for block_bytes in (64 << 10, 8 << 20):
        options = {"window": half, "threads": 1, "block_bytes": block_bytes}
        assert sv.partition(net, plane, max_regions=regions, **options).num_regions == regions
    with pytest.raises(BudgetError, match=f"expected at most {regions - 1} regions"):
        sv.partition(net, plane, max_regions=regions - 1, window=half, threads=1)


def test_blocks_are_bounded_before_their_values_are_made(monkeypatch):
    net, plane = pictures()
    advance, sizes = Engine.advance, []

    def watched(engine, block, *more):
        after = advance(engine, block, *more)
        sizes.append((after.nbytes, block.faces))
        return after

    monkeypatch.setattr(Engine, "advance", watched)
    found = sv.partition(net, plane, window=0.7, threads=1, block_bytes=MEGABYTE)
    assert found.num_regions > 300
    # A single face cannot be taken apart; the window is cut by a first few units for that reason.
    assert max(size for size, faces in sizes if faces > 1) <= 4 * MEGABYTE
    assert max(size for size, _ in sizes) <= 8 * MEGABYTE


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_bytes": 100_000}, r"at most 0.0001 GB \(max_bytes\)"),
        ({"max_seconds": 1e-6}, r"at most 1e-06 s \(max_seconds\)"),
    ],
    ids=["bytes", "seconds"],
)
def test_bytes_and_seconds_are_kept(limits, message):
    with pytest.raises(BudgetError, match=message):
        sv.partition(relu_network(3, 2, 60, 60, 2), PLANE, window=2.0, threads=1, **limits)


def test_ample_budgets_change_nothing():
    net = relu_network(3, 2, 60, 60, 2)
    plain = sv.partition(net, PLANE, window=2.0, threads=1)
    kept = sv.partition(net, PLANE, window=2.0, threads=1, max_bytes=1 << 30, max_seconds=600, max_regions=plain.num_regions)
    assert (kept.pattern_hash == plain.pattern_hash).all() and (kept.vertices == plain.vertices).all()


@pytest.mark.parametrize("name", ["max_regions", "max_bytes", "max_seconds"])
def test_a_budget_of_nothing_is_refused(name):
    with pytest.raises(BudgetError, match=f"{name}: expected a number above 0"):
        sv.partition(relu_network(3, 2, 4, 2), PLANE, **{name: 0})


@pytest.mark.parametrize("name", ["max_regions", "max_bytes", "max_seconds"])
@pytest.mark.parametrize("limit", ["7", True, float("nan"), 0, -1, [3]], ids=repr)
def test_a_limit_is_a_number_above_0(name, limit):
    with pytest.raises(BudgetError, match=f"{name}: expected a number above 0, or None, got "):
        sv.partition(relu_network(0, 2, 4, 2), PLANE, **{name: limit})
