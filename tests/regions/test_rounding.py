"""The lane of other machines: every product rounded in another way, and still the same complex, in blocks and in tiles.

The long form is `tests/soak/rounding_lane.py`, in `make soak`.
"""

import functools

import numpy as np
import pytest
import rounding
import torch
from rounding import NETWORKS, perturbed

import splineviz as sv
from splineviz.regions.engine import Engine
from splineviz.regions.enumerate import SMALLEST_SHARE


@functools.cache
def plain(name):
    net, shape, half = rounding.build(name)
    plane = rounding.plane_of(shape)
    return net, plane, half, sv.partition(net, plane, window=half, threads=1)


@pytest.mark.parametrize("block_bytes", [64 << 10, 8 << 20], ids=["64 kB", "8 MB"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", NETWORKS)
def test_blocks_fit_whatever_the_last_bits(monkeypatch, name, threads, block_bytes):
    net, plane, half, expected = plain(name)
    advance, blocks, firsts = Engine.advance, [], []

    def watched(engine, block, *more):
        blocks.append((block.nbytes, block.faces))
        firsts.append(block.place == () and block.layer == 0 and block.turn == 0)
        return advance(engine, block, *more)

    monkeypatch.setattr(Engine, "advance", watched)
    with perturbed(2, seed=threads):
        found = sv.partition(net, plane, window=half, threads=threads, block_bytes=block_bytes)
    assert rounding.differences(expected, found) == []
    assert (expected.pattern_hash == found.pattern_hash).all(), "faces in another order"
    assert sum(firsts) == 1, "begun anew"
    assert max((size for size, faces in blocks if faces > 2 * SMALLEST_SHARE), default=0) <= 4 * block_bytes


@pytest.mark.parametrize("name", NETWORKS)
def test_tiles_of_machines_that_round_differently_fit(name):
    net, plane, half, expected = plain(name)
    parts = []
    for i, tile in enumerate(sv.tiles(plane, half, 3, 3)):
        with perturbed(2, seed=10 + i):
            parts.append(sv.part(net, tile, threads=1))
    assert rounding.differences(expected, sv.sew(parts)) == []


def test_the_lane_perturbs():
    net, plane, half, _ = plain("convolutions")
    program = sv.trace(net, plane.input_shape)
    x = torch.randn(4, *plane.input_shape, dtype=torch.float64)
    exact = program(x)
    with perturbed(2):
        one, other = program(x), program(x)
    assert (one != other).any(dim=1).all() and (one != exact).any(dim=1).all()
    assert np.allclose(one, exact, rtol=1e-12)
    assert (program(x) == exact).all()
