"""Affine operations: the torch calls that a Program may make between two kinks.
Also the weights that they take: which are kept in single precision, their conversion to another precision or device, and
weights that are moved.

    AFFINE   one tensor in, one out:  f(x, params, attrs, homogeneous)
    JOINS    several tensors in, one out:  f(xs, attrs)

x (n, ...) is a batch; its rows never meet. homogeneous leaves out every constant, so that a direction is mapped as a
direction. params are the weights by role; attrs["views"] says under which shape a role's weight is read. attrs are
JSON-ready, and what they may call is written in these tables alone. This file knows no graph and no module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

LARGE, BLOCK = 1 << 24, 1 << 21
"""Entries of a weight that stays in single precision (64 MB), and how many of it are doubled at a time."""
Attrs = Mapping[str, Any]
Params = Mapping[str, Tensor]
Affine = Callable[[Tensor, Params, Attrs, bool], Tensor]

UNFOLDED = 3 << 19
"""Bytes of the patches of the rows that are convolved at once in double precision: torch lays them all out in memory, and
takes two to five times as long a row where they do not fit into a processor's cache.
"""


class Weights(Mapping[str, Tensor]):
    """Tensors by name, in double precision. Large ones that came in single precision stay in it, which says all of them,
    and are doubled when they are asked for; a linear layer takes them as they are `kept`, and doubles a block at a time.

    columns: factors of the columns of large ones, by name.
    """

    def __init__(self, kept: Mapping[str, Tensor], columns: Mapping[str, Tensor] | None = None):
        self.kept, self.columns = dict(kept), dict(columns or {})

    def __getitem__(self, key: str) -> Tensor:
        tensor = self.kept[key]
        if not is_large(tensor):
            return tensor
        return tensor.double() * self.columns[key] if key in self.columns else tensor.double()

    def __iter__(self) -> Iterator[str]:
        return iter(self.kept)

    def __len__(self) -> int:
        return len(self.kept)

    def of_linear(self, names: Mapping[str, str], constants: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What a linear layer reads, by role, as it is kept; names: by role, of these or else of constants."""
        found = {role: self.kept[key] if key in self.kept else constants[key] for role, key in names.items()}
        return found | ({"columns": self.columns[names["weight"]]} if names["weight"] in self.columns else {})

    def moved(self, move: Callable[[Tensor, Tensor], Tensor]) -> Weights:
        """All of them moved, `move(tensor, by how much)`; of large ones the columns as a whole."""
        small = {key: t if is_large(t) or not t.is_floating_point() else move(t, t) for key, t in self.kept.items()}
        large = {key: t.new_ones(t.shape[-1], dtype=torch.float64) for key, t in self.kept.items() if is_large(t)}
        return Weights(small, {key: move(ones, ones) for key, ones in large.items()})


def is_large(tensor: Tensor) -> bool:
    """Whether a weight is kept in the single precision that it has."""
    return tensor.dtype is torch.float32 and tensor.numel() >= LARGE and tensor.dim() > 1 and not tensor.is_meta


def is_lent(tensor: Tensor) -> bool:
    """Whether a module's weight may be read where it lies: a large one, in the memory that computes."""
    plain = type(tensor) in (Tensor, torch.nn.Parameter)
    return plain and is_large(tensor) and tensor.device.type == "cpu" and not tensor.is_inference()


def converted(
    tensors: Mapping[str, Tensor], dtype: torch.dtype | None, device: torch.device | str | None
) -> Mapping[str, Tensor]:
    """Tensors without history in a precision (None: their own) and on a device; themselves if they are."""
    own = tensors.kept if isinstance(tensors, Weights) else tensors
    wide = dtype is torch.float64 or (dtype is None and isinstance(tensors, Weights))
    made = {}
    for key, t in own.items():
        stays = wide and is_large(t) and torch.device(device or t.device).type != "meta"  # where none takes memory
        other = dtype if t.is_floating_point() and not stays else None
        made[key] = (t.detach() if t.requires_grad else t).to(device=device, dtype=other)
    if all(made[key] is t for key, t in own.items()):
        return tensors if isinstance(tensors, Weights) or not wide else held(tensors)
    return held(made) if wide else made


def held(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Tensors as `Weights` where some of them are large."""
    return Weights(tensors) if any(map(is_large, tensors.values())) else tensors


def moved(weights: Mapping[str, Tensor], move: Callable[[Tensor, Tensor], Tensor]) -> Mapping[str, Tensor]:
    """Weights that are moved: `move(tensor, by how much)`."""
    if isinstance(weights, Weights):
        return weights.moved(move)
    return {key: move(t, t) if t.is_floating_point() else t for key, t in weights.items()}


def nudged(tensor: Tensor, by: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """A tensor whose entries are moved at random, each by at most a share of `by`."""
    random = torch.rand(tensor.shape, dtype=torch.float64, generator=generator)
    return random.mul_(2.0).sub_(1.0).mul_(by).mul_(share).add_(tensor)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Product x weight.T + bias in x's precision; a large one that is single (see `Weights`) by blocks of its rows."""
    with torch._C.DisableTorchFunction():  # whoever doubles what torch is given does not see the whole weight
        if weight.dtype is not x.dtype and is_large(weight):
            found: Tensor = _ByBlocks.apply(x, weight, bias)
            return found
    return F.linear(x, weight, bias)


class _ByBlocks(torch.autograd.Function):
    """The same, in memory of one block: what is got from the system and given back between others leaves holes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The product; weight and bias are constants."""
        ctx.weight = weight
        out = x.new_empty(*x.shape[:-1], len(weight))
        for some, block in _blocks(weight, x):
            out[..., some] = F.linear(x, block, None if bias is None else bias[some])
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        """That of x."""
        total = slope.new_zeros(*slope.shape[:-1], ctx.weight.shape[1])
        for some, block in _blocks(ctx.weight, slope):
            total += slope[..., some] @ block
        return total, None, None


def _blocks(weight: Tensor, like: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Runs of rows of a weight in another tensor's precision, one after the other in the same memory."""
    rows = max(1, BLOCK // weight.shape[1])
    room = like.new_empty(rows, weight.shape[1])
    for at in range(0, len(weight), rows):
        some = slice(at, at + rows)
        yield some, room[: len(weight[some])].copy_(weight[some])


def viewed(p: Params, a: Attrs, role: str) -> Tensor:
    """The weight of a role, under the shape (and transposed, if so said) that attrs["views"] gives for it."""
    view = a.get("views", {}).get(role)
    if view is None:
        return p[role]
    weight = p[role].reshape(view["shape"])
    return weight.mT if view["transposed"] else weight


def _bias(p: Params, a: Attrs) -> Tensor | None:
    return viewed(p, a, "bias") if "bias" in p else None


def _linear(x: Tensor, p: Params, a: Attrs, homogeneous: bool) -> Tensor:
    x = x * p["columns"] if "columns" in p else x
    return linear(x, viewed(p, a, "weight"), None if homogeneous else _bias(p, a))


def _conv(x: Tensor, p: Params, a: Attrs, homogeneous: bool) -> Tensor:
    convolve: Callable[..., Tensor] = (F.conv1d, F.conv2d, F.conv3d)[a["dims"] - 1]
    if a["padding_mode"] != "zeros":
        x = F.pad(x, a["pad"], mode=a["padding_mode"])
    padding = a["padding"] if a["padding_mode"] == "zeros" else 0
    bias, weight = None if homogeneous else _bias(p, a), viewed(p, a, "weight")

    def convolved(rows: Tensor) -> Tensor:
        return convolve(rows, weight, bias, a["stride"], padding, a["dilation"], a["groups"])

    few = max(1, UNFOLDED // max(1, x[:1].nbytes * weight[0, 0].numel())) if x.dtype == torch.float64 else len(x)
    return convolved(x) if len(x) <= few else torch.cat([convolved(rows) for rows in x.split(few)])


def _conv_transpose(x: Tensor, p: Params, a: Attrs, homogeneous: bool) -> Tensor:
    convolve: Callable[..., Tensor] = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[a["dims"] - 1]
    bias = None if homogeneous else _bias(p, a)
    weight = viewed(p, a, "weight")
    return convolve(x, weight, bias, a["stride"], a["padding"], a["output_padding"], a["groups"], a["dilation"])


def _batch_norm(x: Tensor, p: Params, a: Attrs, homogeneous: bool) -> Tensor:
    scale = torch.rsqrt(viewed(p, a, "running_var") + a["eps"])
    if "weight" in p:
        scale = scale * viewed(p, a, "weight")
    shape = (1, -1) + (1,) * (x.dim() - 2)
    if homogeneous:
        return x * scale.view(shape)
    centred = (x - viewed(p, a, "running_mean").reshape(shape)) * scale.view(shape)
    return centred + viewed(p, a, "bias").reshape(shape) if "bias" in p else centred


def _reshape(x: Tensor, p: Params, a: Attrs, homogeneous: bool) -> Tensor:
    return x.reshape(x.shape[0], *a["shape"])


def _expand(x: Tensor, p: Params, a: Attrs, homogeneous: bool) -> Tensor:
    return x.expand(-1, *a["shape"])


def _repeat(x: Tensor, p: Params, a: Attrs, homogeneous: bool) -> Tensor:
    return x.repeat(1, *a["repeats"])


def _getitem(x: Tensor, p: Params, a: Attrs, homogeneous: bool) -> Tensor:
    """attrs["key"]: one entry a dimension after the batch: number, None, "...", [start, stop, step], {"list": []}."""
    return x[(slice(None), *(_index(entry) for entry in a["key"]))]


def _take(x: Tensor, p: Params, a: Attrs, homogeneous: bool) -> Tensor:
    """Entries of the flattened rows by number, in the shape of attrs["shape"]."""
    if x.device.type == "cpu" and not x.requires_grad:  # numpy takes a third of the time
        taken = torch.from_numpy(x.flatten(1).numpy().take(p["index"].numpy(), axis=1))
    else:
        taken = x.flatten(1).index_select(1, p["index"])
    return taken.reshape(len(x), *a["shape"])


def _index(entry: Any) -> Any:
    if entry == "...":
        return Ellipsis
    if isinstance(entry, Mapping):
        return list(entry["list"])
    return slice(*entry) if isinstance(entry, (list, tuple)) else entry


def _scale(x: Tensor, p: Params, a: Attrs, homogeneous: bool) -> Tensor:
    return x * (viewed(p, a, "factor") if "factor" in p else a["factor"])


def _divide(x: Tensor, p: Params, a: Attrs, homogeneous: bool) -> Tensor:
    return x / (viewed(p, a, "divisor") if "divisor" in p else a["divisor"])


def _shift(x: Tensor, p: Params, a: Attrs, homogeneous: bool) -> Tensor:
    """Shifted by alpha value; a constant of larger shape stretches x even where it is left out."""
    value = viewed(p, a, "value") if "value" in p else torch.as_tensor(a["value"], dtype=x.dtype, device=x.device)
    return x.expand(torch.broadcast_shapes(x.shape, value.shape)) if homogeneous else x + a["alpha"] * value


def _matmul(x: Tensor, p: Params, a: Attrs, homogeneous: bool) -> Tensor:
    other = viewed(p, a, "other")
    return other @ x if a["left"] else x @ other


def _einsum(x: Tensor, p: Params, a: Attrs, homogeneous: bool) -> Tensor:
    operands = [viewed(p, a, str(i)) for i in range(len(p))]
    operands.insert(a["position"], x)
    return torch.einsum(a["equation"], operands)


def _pad(x: Tensor, p: Params, a: Attrs, homogeneous: bool) -> Tensor:
    value = None if a["mode"] != "constant" else 0.0 if homogeneous else a["value"]
    return F.pad(x, a["pad"], a["mode"], value)


def _plain(function: Callable[..., Tensor]) -> Affine:
    """A linear torch function whose keyword arguments are the attrs."""
    return lambda x, p, a, homogeneous: function(x, **a)


PLAIN: dict[str, tuple[Callable[..., Tensor], tuple[str, ...]]] = {
    "mean": (torch.mean, ("dim", "keepdim")),
    "sum": (torch.sum, ("dim", "keepdim")),
    "cumsum": (torch.cumsum, ("dim",)),
    "diff": (torch.diff, ("n", "dim")),
    "permute": (torch.permute, ("dims",)),
    "transpose": (torch.transpose, ("dim0", "dim1")),
    "movedim": (torch.movedim, ("source", "destination")),
    "flip": (torch.flip, ("dims",)),
    "roll": (torch.roll, ("shifts", "dims")),
    "narrow": (torch.narrow, ("dim", "start", "length")),
    "select": (torch.select, ("dim", "index")),
    "diagonal": (torch.diagonal, ("offset", "dim1", "dim2")),
    "tril": (torch.tril, ("diagonal",)),
    "triu": (torch.triu, ("diagonal",)),
    "repeat_interleave": (torch.repeat_interleave, ("repeats", "dim")),
    "pixel_shuffle": (F.pixel_shuffle, ("upscale_factor",)),
    "pixel_unshuffle": (F.pixel_unshuffle, ("downscale_factor",)),
    "channel_shuffle": (F.channel_shuffle, ("groups",)),
    "unfold": (F.unfold, ("kernel_size", "dilation", "padding", "stride")),
    "fold": (F.fold, ("output_size", "kernel_size", "dilation", "padding", "stride")),
    "avg_pool1d": (F.avg_pool1d, ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")),
    "avg_pool2d": (F.avg_pool2d, ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")),
    "avg_pool3d": (F.avg_pool3d, ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")),
    "adaptive_avg_pool1d": (F.adaptive_avg_pool1d, ("output_size",)),
    "adaptive_avg_pool2d": (F.adaptive_avg_pool2d, ("output_size",)),
    "adaptive_avg_pool3d": (F.adaptive_avg_pool3d, ("output_size",)),
    "interpolate": (
        F.interpolate,
        ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor", "antialias"),
    ),
}
"""Linear torch functions without weights: the function, and the names of its arguments after the input, in order."""

AFFINE: dict[str, Affine] = {
    "linear": _linear,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "batch_norm": _batch_norm,
    "reshape": _reshape,
    "expand": _expand,
    "repeat": _repeat,
    "getitem": _getitem,
    "take": _take,
    "scale": _scale,
    "divide": _divide,
    "shift": _shift,
    "matmul": _matmul,
    "einsum": _einsum,
    "pad": _pad,
    **{name: _plain(function) for name, (function, _) in PLAIN.items()},
}
"""Affine operations of one tensor, by name."""

JOINS: dict[str, Callable[[Sequence[Tensor], Attrs], Tensor]] = {
    "add": lambda xs, a: torch.add(xs[0], xs[1], alpha=a["alpha"]),
    "cat": lambda xs, a: torch.cat(list(xs), dim=a["dim"]),
    "stack": lambda xs, a: torch.stack(list(xs), dim=a["dim"]),
}
"""Affine operations of several tensors, by name; none has a constant."""
