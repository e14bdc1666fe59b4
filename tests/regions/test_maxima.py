"""Tables of groups: the largest entry of every group is what the torch call gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from splineviz.tracing.maxima import MAXES, groups

POOL = {"kernel_size": 2, "stride": 2, "padding": 0, "dilation": 1, "ceil_mode": False}

CASES: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "pairs": ("max_pool1d", POOL, (2, 6)),
    "squares": ("max_pool2d", POOL, (3, 4, 6)),
    "overlapping": ("max_pool2d", {**POOL, "kernel_size": 3, "stride": 1}, (2, 5, 4)),
    "padded": ("max_pool2d", {**POOL, "kernel_size": [3, 2], "padding": [1, 1]}, (1, 5, 5)),
    "dilated": ("max_pool2d", {**POOL, "kernel_size": 2, "dilation": 2, "stride": [1, 2]}, (1, 6, 5)),
    "ceil mode": ("max_pool2d", {**POOL, "kernel_size": 3, "stride": 2, "ceil_mode": True}, (2, 6, 4)),
    "cubes": ("max_pool3d", POOL, (1, 2, 4, 4)),
    "adaptive": ("adaptive_max_pool2d", {"output_size": [2, 3]}, (2, 5, 4)),
    "adaptive in one dimension": ("adaptive_max_pool1d", {"output_size": 3}, (2, 7)),
    "adaptive in three": ("adaptive_max_pool3d", {"output_size": [1, 2, 2]}, (1, 3, 3, 3)),
    "over a dimension": ("amax", {"dim": [2], "keepdim": False}, (3, 4)),
    "over two": ("amax", {"dim": [1, -1], "keepdim": True}, (3, 4, 2)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_largest_of_each_group_is_the_call(name: str) -> None:
    op, attrs, shape = CASES[name]
    table = torch.from_numpy(groups(op, attrs, shape))
    x = torch.randn(4, *shape, generator=torch.Generator().manual_seed(0))
    flat = torch.cat([x.flatten(1), torch.full((4, 1), -torch.inf)], dim=1)
    torch.testing.assert_close(flat[:, table].amax(dim=2), MAXES[op](x, attrs).flatten(1), rtol=0, atol=0)
    assert bool((table[:, 0] >= 0).all()), "no group is empty"
    for row in table.tolist():
        members = [i for i in row if i >= 0]
        assert len(set(members)) == len(members), "no entry stands twice in a group"


def test_every_max_operation_is_tested() -> None:
    assert {op for op, _, _ in CASES.values()} == MAXES.keys()
