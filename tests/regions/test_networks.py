"""Every kind of network: the Program is the module, and its partition is what brute force finds, region by region."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest
import torch
from brute import areas_by_pattern
from networks import TABLE as PLAIN
from networks import build
from pools import TABLE as POOLS

from splineviz.geometry.plane import Plane
from splineviz.regions.enumerate import partition
from splineviz.tracing.program import Program
from splineviz.tracing.trace import Double, trace

TABLE = {**PLAIN, **POOLS}
WIDE = {
    "hardsigmoid": 8.0, "interpolation": 4.0, "chunks and slices": 4.0, "max-pooling in three": 6.0,
    "arithmetic by other names": 9.0, "patches as columns": 9.0, "columns by modules": 9.0,
}  # fmt: skip
"""Half widths of windows where the common one holds hardly a region."""


def plane_for(shape: tuple[int, ...]) -> Plane:
    rng = np.random.default_rng(5)
    return Plane.through(*rng.normal(size=(3, *shape)))


@pytest.mark.parametrize("name", TABLE)
def test_the_program_is_the_module_and_travels_as_data(name: str) -> None:
    network, shape = build(name, table=TABLE)
    program = trace(network, shape)
    x = torch.randn(5, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad(), Double():  # casts would mix precisions of weights that are all double here
        expected = network(x.clone()).reshape(5, -1)
    torch.testing.assert_close(program(x), expected, rtol=1e-11, atol=1e-11)
    module = network.func if isinstance(network, functools.partial) else network
    assert set(program.weights) <= set(module.state_dict()), "weights keep the names that checkpoints have for them"
    back = Program.from_data(json.loads(json.dumps(program.to_data()))).bind(module.state_dict()).to(torch.float64)
    torch.testing.assert_close(back(x), program(x), rtol=0, atol=0)


@pytest.mark.parametrize("name", TABLE)
def test_the_partition_is_what_brute_force_finds(name: str) -> None:
    network, shape = build(name, table=TABLE)
    program, plane = trace(network, shape), plane_for(shape)
    found = partition(program, plane, window=WIDE.get(name, 1.5))
    areas, cells = areas_by_pattern(program, plane, found.window)
    assert cells == len(areas) == found.num_regions
    assert areas.keys() == {int(h) for h in found.pattern_hash}
    exact = np.array([areas[int(h)] for h in found.pattern_hash])
    np.testing.assert_allclose(found.areas, exact, rtol=0, atol=1e-9 * exact.sum())
    assert found.num_regions > 3
    found.verify(network if isinstance(network, torch.nn.Module) else program)
