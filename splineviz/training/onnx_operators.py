"""ONNX operators: a node of a graph -> a call of torch, one entry of OPERATORS a kind.

A call takes the values that the node reads: those that depend on the input, and weights. Shapes, axes, pads and bounds are
numbers by then; each that is used is written down in the graph's `fixed`, so that two files differ when they do. What would
move the batch from the front, or is not affine, is refused. This file knows no files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from splineviz.tracing.kinks import KINKS, KinkOp

Attrs = Mapping[str, Any]
BATCH = -1
"""Stands for the number of rows in shapes."""


class Refused(Exception):
    """Why a node cannot be taken."""


class Graph(Protocol):
    """What a node knows of its graph."""

    constants: dict[str, np.ndarray[Any, Any]]
    weight_keys: dict[str, str]
    shapes: dict[str, list[int]]
    fixed: dict[str, Any]
    live: dict[str, int]

    def numbers(self, name: str) -> list[Any]:
        """A constant's values."""

    def shape(self, name: str) -> list[int]:
        """A value's shape, without the batch."""

    def keep(self, name: str, array: np.ndarray[Any, Any]) -> None:
        """Make a weight of numbers."""


class Node:
    """One node while its call is made: its inputs, attributes and version; its label is that of its place."""

    def __init__(self, owner: Graph, inputs: list[str], attrs: Attrs, opset: int, label: str):
        self.owner, self.inputs, self.attrs, self.opset, self.label = owner, inputs, attrs, opset, label

    def live(self, i: int = 0) -> bool:
        """Whether an input depends on the network's own."""
        return i < len(self.inputs) and self.inputs[i] in self.owner.live

    def has(self, i: int) -> bool:
        """Whether an input is given."""
        return i < len(self.inputs) and bool(self.inputs[i])

    def numbers(self, i: int, name: str = "", default: Any = None) -> Any:
        """Constant numbers from an input, or from an attribute as older versions have them."""
        if self.has(i):
            return self.owner.numbers(self.inputs[i])
        if name in self.attrs:
            self.owner.fixed[f"{self.label}.{name}"] = self.attrs[name]
        return self.attrs.get(name, default)

    def attr(self, name: str, default: Any) -> Any:
        """An attribute, which becomes a part of the graph."""
        value = self.attrs.get(name, default)
        self.owner.fixed[f"{self.label}.{name}"] = value
        return value

    @property
    def rank(self) -> int:
        """Dimensions of the first input, with the batch."""
        return len(self.owner.shape(self.inputs[0])) + 1

    def axis(self, axis: int) -> int:
        """An axis of the first input from the front. Raises Refused for the batch."""
        axis = axis + self.rank if axis < 0 else axis
        if axis == 0:
            raise Refused("expected the batch to stay in front, got an axis of 0")
        return axis

    def only_first_live(self) -> None:
        """Raises Refused when another input than the first depends on the network's."""
        if any(self.live(i) for i in range(1, len(self.inputs))) or not self.live(0):
            raise Refused("expected weights that are constant, got some that depend on the input")


def _gemm(n: Node) -> Any:
    n.only_first_live()
    alpha, beta = float(n.attr("alpha", 1.0)), float(n.attr("beta", 1.0))
    if n.attr("transA", 0):
        raise Refused("expected inputs as they are, got them transposed (transA)")
    transposed = bool(n.attr("transB", 0))
    bias_key = n.owner.weight_keys.get(n.inputs[2], "") if n.has(2) else ""
    flat = not n.has(2) or (bool(bias_key) and getattr(n.owner, bias_key).dim() == 1)
    simple = transposed and flat and alpha == 1.0 and beta == 1.0

    def call(x: Tensor, weight: Tensor, *bias: Tensor) -> Tensor:
        if simple:
            return F.linear(x, weight, *bias)
        y = F.linear(x, weight) if transposed else x @ weight
        y = y if alpha == 1.0 else y * alpha
        return torch.add(y, bias[0], alpha=beta) if bias else y

    return call, [name for name in n.inputs if name]


def _two(function: Callable[[Any, Any], Any]) -> Callable[[Node], Any]:
    def make(n: Node) -> Any:
        for i in (0, 1):
            name = n.inputs[i]
            if not n.live(i) and name not in n.owner.weight_keys:
                n.owner.keep(name, n.owner.constants[name].astype(np.float32))
        return function, n.inputs[:2]

    return make


def _mul(n: Node) -> Any:
    if n.live(0) and n.live(1):
        raise Refused("expected a product with a constant, got one of two values that depend on the input: not affine")
    return _two(lambda a, b: a * b)(n)


def _div(n: Node) -> Any:
    if n.live(1):
        raise Refused("expected a constant to divide by, got one that depends on the input, which is not affine")
    return _two(lambda a, b: a / b)(n)


def _matmul(n: Node) -> Any:
    if n.live(0) and n.live(1):
        raise Refused("expected a product with a constant, got one of two values that depend on the input: not affine")
    return _two(torch.matmul)(n)


def _window(n: Node, dims: int) -> tuple[list[int], list[int], list[int]]:
    """(strides, dilations, pads) of a convolution or pooling; pads: all beginnings, then all ends."""
    strides, dilations = list(n.attr("strides", [1] * dims)), list(n.attr("dilations", [1] * dims))
    pads = list(n.attr("pads", [0] * (2 * dims)))
    auto = n.attr("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        if any(stride != 1 for stride in strides):
            raise Refused(f"expected padding in numbers, got {auto} with strides")
        kernel = n.attr("kernel_shape", None) or n.owner.shapes.get(n.inputs[1], [])[2:]
        total = [d * (k - 1) for d, k in zip(dilations, kernel, strict=True)]
        less = [t // 2 for t in total]
        more = [t - s for t, s in zip(total, less, strict=True)]
        pads = [*less, *more] if auto == "SAME_UPPER" else [*more, *less]
    return strides, dilations, pads


def _around(pads: list[int]) -> list[int]:
    """ONNX's pads as torch has them: the last dimension first, beginning and end of each."""
    half = len(pads) // 2
    return [pads[i + side * half] for i in reversed(range(half)) for side in (0, 1)]


def _conv(n: Node, transposed: bool = False) -> Any:
    n.only_first_live()
    if n.inputs[1] not in n.owner.weight_keys:
        raise Refused("expected weights that are stored")
    dims = getattr(n.owner, n.owner.weight_keys[n.inputs[1]]).dim() - 2
    if dims not in (1, 2, 3):
        raise Refused(f"expected a convolution of 1 to 3 dimensions, got {dims}")
    n.owner.shapes.setdefault(n.inputs[1], list(getattr(n.owner, n.owner.weight_keys[n.inputs[1]]).shape))
    strides, dilations, pads = _window(n, dims)
    groups = int(n.attr("group", 1))
    even = pads[:dims] == pads[dims:]
    if transposed:
        out = list(n.attr("output_padding", [0] * dims))
        if not even or "output_shape" in n.attrs:
            raise Refused("expected the same padding on both sides, and no output_shape")
        call: Callable[..., Tensor] = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[dims - 1]
        return (
            lambda x, w, b=None: call(x, w, b, strides, pads[:dims], out, groups, dilations),
            [name for name in n.inputs if name],
        )
    convolve: Callable[..., Tensor] = (F.conv1d, F.conv2d, F.conv3d)[dims - 1]

    def run(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        x = x if even else F.pad(x, _around(pads))
        return convolve(x, weight, bias, strides, pads[:dims] if even else 0, dilations, groups)

    return run, [name for name in n.inputs if name]


def _batch_norm(n: Node) -> Any:
    n.only_first_live()
    if n.attr("training_mode", 0):
        raise Refused("expected batch norm in evaluation mode, got training_mode")
    eps = float(n.attr("epsilon", 1e-5))
    return lambda x, weight, bias, mean, var: F.batch_norm(x, mean, var, weight, bias, False, 0.0, eps), n.inputs[:5]


def _pool(n: Node, largest: bool) -> Any:
    kernel = list(n.attr("kernel_shape", []))
    dims = len(kernel)
    if dims not in (1, 2, 3):
        raise Refused(f"expected pooling of 1 to 3 dimensions, got {dims}")
    strides, dilations, pads = _window(n, dims)
    ceil = bool(n.attr("ceil_mode", 0))
    if pads[:dims] != pads[dims:]:
        raise Refused(f"expected the same padding on both sides, got {pads}")
    if largest:
        pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[dims - 1]
        return lambda x: pool(x, kernel, strides, pads[:dims], dilations, ceil)
    if any(d != 1 for d in dilations):
        raise Refused("expected average pooling without dilation")
    average = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[dims - 1]
    counted = bool(n.attr("count_include_pad", 0))
    return lambda x: average(x, kernel, strides, pads[:dims], ceil, counted)


def _clip(n: Node) -> Any:
    low, high = (n.numbers(i, name) for i, name in ((1, "min"), (2, "max")))
    bounds = [float(b[0]) if isinstance(b, list) else None if b is None else float(b) for b in (low, high)]
    return lambda x: torch.clamp(x, *bounds)


def _reshape(n: Node) -> Any:
    shape = [int(k) for k in n.numbers(1, "shape")]
    before = n.owner.shape(n.inputs[0])
    allow = bool(n.attr("allowzero", 0))
    shape = [before[i - 1] if k == 0 and i and not allow else k for i, k in enumerate(shape)]
    entries = int(np.prod(before, dtype=np.int64))
    rest = int(np.prod([k for k in shape[1:] if k > 0], dtype=np.int64))
    if len(shape) == 1 or (shape[0] not in (BATCH, 0, 1) and n.owner.shapes[n.inputs[0]][0] != shape[0]):
        raise Refused(f"expected the batch to stay in front, got a reshape to {shape}")
    if BATCH not in shape[1:] and rest != entries:
        raise Refused(f"expected the batch to stay in front, got {entries} numbers reshaped to {shape}")
    return lambda x: torch.reshape(x, (x.shape[0], *shape[1:]))


def _flatten(n: Node) -> Any:
    if int(n.attr("axis", 1)) != 1:
        raise Refused("expected everything behind the batch to be flattened")
    return lambda x: torch.flatten(x, 1)


def _transpose(n: Node) -> Any:
    order = [int(k) for k in n.attr("perm", list(reversed(range(n.rank))))]
    if order[0] != 0:
        raise Refused(f"expected the batch to stay in front, got the order {order}")
    return lambda x: x.permute(*order)


def _squeeze(n: Node) -> Any:
    axes = n.numbers(1, "axes", None)
    shape = n.owner.shape(n.inputs[0])
    axes = [i + 1 for i, k in enumerate(shape) if k == 1] if axes is None else [n.axis(int(a)) for a in axes]
    kept = [k for i, k in enumerate(shape, 1) if i not in axes]
    return lambda x: torch.reshape(x, (x.shape[0], *kept))


def _unsqueeze(n: Node) -> Any:
    axes = [int(a) for a in n.numbers(1, "axes")]
    shape = n.owner.shape(n.inputs[0])
    rank = len(shape) + 1 + len(axes)
    places = sorted(a + rank if a < 0 else a for a in axes)
    if 0 in places:
        raise Refused("expected the batch to stay in front, got an axis of 0")
    for place in places:
        shape = [*shape[: place - 1], 1, *shape[place - 1 :]]
    return lambda x: torch.reshape(x, (x.shape[0], *shape))


def _concat(n: Node) -> Any:
    first = next(i for i in range(len(n.inputs)) if n.live(i))
    axis = int(n.attr("axis", 1))
    rank = len(n.owner.shape(n.inputs[first])) + 1
    axis = axis + rank if axis < 0 else axis
    if axis == 0 or not all(n.live(i) for i in range(len(n.inputs))):
        raise Refused("expected values that depend on the input, joined behind the batch")
    return lambda *xs: torch.cat(xs, axis)


def _slice(n: Node) -> Any:
    starts, ends = n.numbers(1, "starts"), n.numbers(2, "ends")
    axes = n.numbers(3, "axes", None) or list(range(len(starts)))
    steps = n.numbers(4) or [1] * len(starts)
    key: list[Any] = [slice(None)] * n.rank
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step < 1:
            raise Refused("expected steps forwards")
        key[n.axis(axis)] = slice(start, None if end >= 2**31 - 1 else end, step)
    return lambda x: x[tuple(key)]


def _gather(n: Node) -> Any:
    n.only_first_live()
    axis, index = n.axis(int(n.attr("axis", 0))), n.numbers(1)
    if np.ndim(n.owner.constants[n.inputs[1]]) == 0:
        return lambda x: x.select(axis, int(index[0]))
    size = n.owner.shape(n.inputs[0])[axis - 1]
    key = (slice(None),) * axis + ([int(i) % size for i in index],)
    if np.ndim(n.owner.constants[n.inputs[1]]) > 1:
        raise Refused("expected a list of indices")
    return lambda x: x[key]


def _pad(n: Node) -> Any:
    pads = [int(k) for k in n.numbers(1, "pads")]
    mode = n.attr("mode", "constant")
    value = n.numbers(2, "value", 0.0)
    value = float(value[0]) if isinstance(value, list) else float(value)
    if n.has(3):
        axes = [int(a) % n.rank for a in n.numbers(3)]
        full = [0] * (2 * n.rank)
        for i, axis in enumerate(axes):
            full[axis], full[axis + n.rank] = pads[i], pads[i + len(axes)]
        pads = full
    half = len(pads) // 2
    if pads[0] or pads[half]:
        raise Refused("expected the batch as it is, got it padded")
    around = _around([*pads[1:half], *pads[half + 1 :]])
    if mode == "constant":
        return lambda x: F.pad(x, around, "constant", value)
    if mode not in ("reflect", "edge") or any(pads[: 2][1:]):
        raise Refused(f"expected padding with constants, reflected or by the edge, got {mode}")
    return lambda x: F.pad(x, around[: 2 * (half - 2)], "replicate" if mode == "edge" else "reflect")


def _reduce(function: Callable[..., Any]) -> Callable[[Node], Any]:
    def make(n: Node) -> Any:
        axes = n.numbers(1, "axes", None)
        keep = bool(n.attr("keepdims", 1))
        if axes is None:
            raise Refused("expected the batch to stay, got a sum over everything")
        dims = [n.axis(int(a)) for a in axes]
        return lambda x: function(x, dims, keepdim=keep)

    return make


def _global(function: Callable[..., Any]) -> Callable[[Node], Any]:
    def make(n: Node) -> Any:
        dims = list(range(2, n.rank))
        return lambda x: function(x, dims, keepdim=True)

    return make


def _same(n: Node) -> Any:
    return (lambda x: x), n.inputs[:1]


def _each(function: Callable[[Tensor], Any]) -> Callable[[Node], Any]:
    return lambda n: function


def _sum(n: Node) -> Any:
    if len(n.inputs) == 1:
        return _same(n)
    if len(n.inputs) != 2:
        raise Refused("expected two summands")
    return _two(lambda a, b: a + b)(n)


def _softmax(n: Node, function: Callable[..., Any]) -> Any:
    axis = n.axis(int(n.attr("axis", -1 if n.opset >= 13 else 1)))
    return lambda x: function(x, dim=axis)


def _kink(n: Node, kink: KinkOp) -> Any:
    given = {name: float(n.attr(theirs, usual)) for name, (theirs, usual) in kink.onnx_arguments.items()}
    return lambda x: kink.call(x, given)


OPERATORS: dict[str, Callable[[Node], Any]] = {
    "Gemm": _gemm, "MatMul": _matmul, "Conv": _conv, "ConvTranspose": lambda n: _conv(n, True),
    **{kink.onnx: partial(_kink, kink=kink) for kink in KINKS.values() if kink.onnx},
    "BatchNormalization": _batch_norm, "Clip": _clip, "Neg": _each(torch.neg), "Add": _sum, "Sum": _sum,
    "Sub": _two(lambda a, b: a - b),
    "Mul": _mul, "Div": _div, "Max": _two(torch.maximum), "Min": _two(torch.minimum), "Concat": _concat, "Flatten": _flatten,
    "Reshape": _reshape, "Transpose": _transpose, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Slice": _slice,
    "Gather": _gather, "Pad": _pad, "MaxPool": lambda n: _pool(n, True), "AveragePool": lambda n: _pool(n, False),
    "GlobalAveragePool": _global(torch.mean), "GlobalMaxPool": _global(torch.amax), "ReduceMean": _reduce(torch.mean),
    "ReduceSum": _reduce(torch.sum), "Identity": _same, "Dropout": _same, "Sigmoid": _each(torch.sigmoid),
    "Tanh": _each(torch.tanh), "Gelu": _each(F.gelu), "Softmax": lambda n: _softmax(n, F.softmax),
    "LogSoftmax": lambda n: _softmax(n, F.log_softmax),
}  # fmt: skip
"""Kinds of nodes that depend on the input, and what makes their calls; smooth ones too, for the tracer to name them."""

FOLDED: dict[str, Callable[[list[Any], Attrs], Any]] = {
    "Gather": lambda a, attrs: np.take(a[0], a[1], axis=int(attrs.get("axis", 0))),
    "Concat": lambda a, attrs: np.concatenate([np.atleast_1d(one) for one in a], axis=int(attrs.get("axis", 0))),
    "Unsqueeze": lambda a, attrs: np.reshape(a[0], (1,) if np.ndim(a[0]) == 0 else (1, *np.shape(a[0]))),
    "Squeeze": lambda a, attrs: np.squeeze(a[0]),
    **dict.fromkeys(("Cast", "Identity"), lambda a, attrs: a[0]),
    "Slice": lambda a, attrs: a[0][int(a[1].reshape(-1)[0]) : int(a[2].reshape(-1)[0])],
}
"""Kinds of nodes that shapes are computed with."""
