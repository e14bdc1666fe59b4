r"""Maxima: operations whose every output entry is the largest of a group of input entries.

    input   0 1 2 3        max_pool1d(kernel 2, stride 2, padding 1):   groups  [-1, 0], [1, 2], [3, -1]
            \_|_/ ...      -1 stands for padding, which is never the largest

An operation is a torch call and, for an input shape, its table of groups. Two tensors are compared by stacking
them first. A group of two is a ReLU, max(a, b) = b + relu(a - b); `lowering` compares larger groups in rounds of ReLUs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from splineviz.tracing.affine import Attrs

Axis = list[list[int]]
"""For each position of an output axis, the positions of the input axis that it reads; -1 is padding."""


def _pooled(a: Attrs) -> dict[str, Any]:
    return {name: a[name] for name in ("kernel_size", "stride", "padding", "dilation", "ceil_mode")}


MAXES: dict[str, Callable[[Tensor, Attrs], Tensor]] = {
    "max_pool1d": lambda x, a: F.max_pool1d(x, **_pooled(a)),
    "max_pool2d": lambda x, a: F.max_pool2d(x, **_pooled(a)),
    "max_pool3d": lambda x, a: F.max_pool3d(x, **_pooled(a)),
    "adaptive_max_pool1d": lambda x, a: F.adaptive_max_pool1d(x, a["output_size"]),
    "adaptive_max_pool2d": lambda x, a: F.adaptive_max_pool2d(x, a["output_size"]),
    "adaptive_max_pool3d": lambda x, a: F.adaptive_max_pool3d(x, a["output_size"]),
    "amax": lambda x, a: torch.amax(x, dim=a["dim"], keepdim=a["keepdim"]),
}
"""Max operations by name: the torch call on a batch."""


def groups(op: str, attrs: Attrs, shape: Sequence[int]) -> npt.NDArray[np.int64]:
    """(outputs, K) flat indices of the input entries that each output is the largest of; -1 where there are fewer.

    shape: of the input, without the batch. The outputs are in the order of the call's own flattened result.
    """
    shape = tuple(int(n) for n in shape)
    result = MAXES[op](torch.zeros(1, *shape), attrs).shape[1:]
    if op == "amax":
        reduced = {d % (len(shape) + 1) - 1 for d in _many(attrs["dim"])}
        axes = [[list(range(n))] if d in reduced else [[i] for i in range(n)] for d, n in enumerate(shape)]
    else:
        dims = int(op[-2])
        spatial = [_axis(op, attrs, d, dims, shape[d - dims], int(result[d - dims])) for d in range(dims)]
        axes = [[[i] for i in range(n)] for n in shape[: len(shape) - dims]] + spatial
    table = np.zeros((1, 1), np.int64)
    for n, axis in zip(shape, axes, strict=True):
        width = max(len(members) for members in axis)
        here = np.array([members + [-1] * (width - len(members)) for members in axis], np.int64)
        both = table[:, None, :, None] * n + here[None, :, None, :]
        both[(table[:, None, :, None] < 0) | (here[None, :, None, :] < 0)] = -1
        table = both.reshape(len(table) * len(here), -1)
    assert len(table) == math.prod(result), "the table has one row per output"
    return np.sort(table, axis=1)[:, ::-1].copy()


def _axis(op: str, attrs: Attrs, d: int, dims: int, size: int, outputs: int) -> Axis:
    if op.startswith("adaptive"):
        return [list(range(o * size // outputs, -(-(o + 1) * size // outputs))) for o in range(outputs)]
    kernel, stride, padding, dilation = (
        _many(attrs[name], dims)[d] for name in ("kernel_size", "stride", "padding", "dilation")
    )
    reach = [[o * stride - padding + k * dilation for k in range(kernel)] for o in range(outputs)]
    return [[i if 0 <= i < size else -1 for i in members] for members in reach]


def _many(value: Any, count: int = 1) -> list[int]:
    return [int(v) for v in value] if isinstance(value, (list, tuple)) else [int(value)] * count
