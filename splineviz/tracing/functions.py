"""Functions: what a forward calls (a function, a method, an operator) -> steps on a tape.

    CALLS[name](call) -> Live        name: of torch.relu, x.relu_(), F.relu and, mostly, aten::relu alike

An emitter reads the call's arguments and writes steps. What it cannot take it refuses, saying why.
Modules have a file of their own (`modules`), which uses the same emitters where a module is a function.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from splineviz.tracing import kinks
from splineviz.tracing.activations import (
    adaptive_max_pool,
    clamped,
    extreme,
    kink,
    kthvalue,
    max_pool,
    median,
    prelu,
    running,
    smooth,
    sort,
    thresholded,
    topk,
)
from splineviz.tracing.affine import PLAIN
from splineviz.tracing.arithmetic import added, addmm, einsum, multiplied, product, shifted_by
from splineviz.tracing.call import SAME, Call, Emitter, alone
from splineviz.tracing.reshaping import (
    expanded,
    getitem,
    index_selected,
    joined,
    over_dims,
    pieces,
    plain_call,
    repeated,
    reshaped,
    rolled,
    unbound,
)
from splineviz.tracing.smooth import SMOOTH
from splineviz.tracing.tape import Live

# ---- layers as functions -------------------------------------------------------------------------------------------


def _linear(call: Call) -> Live:
    params = {"weight": call.get("weight", 1), "bias": call.get("bias", 2)}
    if any(isinstance(p, Live) for p in params.values()):
        raise call.refused("multiplies two tensors that depend on the input, which is not piecewise affine")
    return call.tape.emit("linear", call.live, params=params)


def _conv(dims: int) -> Emitter:
    def emit(call: Call) -> Live:
        params = {"weight": call.get("weight", 1), "bias": call.get("bias", 2)}
        padding = call.get("padding", 4, 0)
        return call.tape.emit(
            "conv", call.live, params=params, dims=dims, stride=call.get("stride", 3, 1), padding=padding,
            dilation=call.get("dilation", 5, 1), groups=call.get("groups", 6, 1), padding_mode="zeros", pad=[],
        )  # fmt: skip

    return emit


def _conv_transpose(dims: int) -> Emitter:
    def emit(call: Call) -> Live:
        params = {"weight": call.get("weight", 1), "bias": call.get("bias", 2)}
        return call.tape.emit(
            "conv_transpose", call.live, params=params, dims=dims, stride=call.get("stride", 3, 1),
            padding=call.get("padding", 4, 0), output_padding=call.get("output_padding", 5, 0),
            groups=call.get("groups", 6, 1), dilation=call.get("dilation", 7, 1),
        )  # fmt: skip

    return emit


def _batch_norm(call: Call) -> Live:
    roles = ("running_mean", "running_var", "weight", "bias")
    params = {role: call.get(role, i + 1) for i, role in enumerate(roles)}
    if call.get("training", 5, False) or params["running_mean"] is None:
        raise call.refused("uses the statistics of the batch, in evaluation mode too; pass training=self.training")
    return call.tape.emit("batch_norm", call.live, params=params, eps=call.get("eps", 7, 1e-5))


def _instance_norm(call: Call) -> Live:
    names = ("running_mean", "running_var", "weight", "bias")
    params = {role: call.get(role, i + 1) for i, role in enumerate(names)}
    if call.get("use_input_stats", 5, True) or params["running_mean"] is None:
        raise call.refused("divides by the spread of its own input, which is not piecewise affine; track running statistics")
    return call.tape.emit("batch_norm", call.live, params=params, eps=call.get("eps", 7, 1e-5))


def _pad(call: Call) -> Live:
    value = call.get("value", 3, None)
    mode = call.get("mode", 2, "constant")
    if not isinstance(mode, str):  # aten::constant_pad_nd(x, pad, value)
        mode, value = "constant", mode
    return call.tape.emit("pad", call.live, pad=list(call.get("pad", 1)), mode=mode, value=float(value or 0.0))


def _dropout(call: Call) -> Live:
    if call.get("training", 2, True):
        raise call.refused("drops at random, in evaluation mode too; pass training=self.training")
    return call.live


# ---- the table ------------------------------------------------------------------------------------------------------


def identity(call: Call) -> Live:
    """A call that changes nothing in evaluation mode."""
    return call.live


def _cast(call: Call) -> Live:
    if call.value.dtype != torch.float64:
        raise call.refused(f"casts to {call.value.dtype}; leave the precision as it is")
    return call.first if call.name in ("to", "type_as") else call.live  # their second may be live too


def _attribute(call: Call) -> Live:
    if call.args[1] in ("mT", "mH"):
        return call.tape.emit("transpose", call.live, dim0=-2, dim1=-1)
    raise call.refused(f"reads the attribute {call.args[1]!r} of a tensor that depends on the input")


def _where(call: Call) -> Live:
    """Entries of two tensors, chosen by a constant mask: yes * mask + no * (1 - mask)."""
    condition, yes, no = (call.get(word, i) for i, word in enumerate(("condition", "input", "other")))
    if not isinstance(condition, Tensor):  # x.where(condition, other)
        condition, yes = yes, condition
    return _chosen(call, condition, yes, no)


def _masked_fill(call: Call) -> Live:
    return _chosen(call, call.get("mask", 1), call.get("value", 2), call.args[0])


def _chosen(call: Call, mask: Any, yes: Any, no: Any) -> Live:
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        raise call.refused()
    parts: list[Live | Tensor] = []
    for part, share in ((yes, mask.double()), (no, (~mask).double())):
        call.tape.derived(share, mask)
        if isinstance(part, Live):
            share = alone(call, share)
            parts.append(call.tape.emit("scale", part, params={"factor": share}))
            continue
        value = part if isinstance(part, Tensor) else torch.tensor(float(part), dtype=torch.float64)
        if not bool(torch.isfinite(value).all()):
            raise call.refused("fills with infinity, so the network is not piecewise affine; fill with a number")
        both = torch.where(share > 0, value.double(), torch.zeros((), dtype=torch.float64))
        parts.append(call.tape.derived(both, mask, value))
    one = next(p for p in parts if isinstance(p, Live))
    other = next(p for p in parts if p is not one)
    if isinstance(other, Live):
        return call.tape.emit("add", one, other, alpha=1)
    return shifted_by(call, one, other, 1)


def _lerp(call: Call) -> Live:
    """A share of one tensor and the rest of another, with a weight that is a number or constants."""
    start, end, weight = (call.get(word, i) for i, word in enumerate(("input", "end", "weight")))
    if isinstance(weight, Live):
        raise call.refused("multiplies two tensors that depend on the input, which is not piecewise affine")
    shares = (1 - weight, weight)
    if isinstance(weight, Tensor):
        call.tape.derived(shares[0], weight)
    lives, rest = [], None
    for part, share in zip((start, end), shares, strict=True):
        if isinstance(part, Live) and isinstance(share, Tensor):
            lives.append(call.tape.emit("scale", part, params={"factor": alone(call, share)}))
        elif isinstance(part, Live):
            lives.append(call.tape.scaled(part, float(share)))
        else:
            rest = call.tape.derived(part * share, *(t for t in (part, share) if isinstance(t, Tensor)))
    if len(lives) == 2:
        return call.tape.emit("add", *lives, alpha=1)
    return shifted_by(call, lives[0], rest, 1)


CALLS: dict[str, Emitter] = {
    "where": _where,
    "masked_fill": _masked_fill,
    "lerp": _lerp,
    **dict.fromkeys(("flatten", "view", "reshape", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as"), reshaped),
    **dict.fromkeys(PLAIN, plain_call),
    "permute": over_dims("permute", "dims"),
    "flip": over_dims("flip", "dims"),
    "swapaxes": lambda call: call.tape.emit("transpose", call.live, dim0=call.args[1], dim1=call.args[2]),
    "moveaxis": lambda call: call.tape.emit("movedim", call.live, source=call.args[1], destination=call.args[2]),
    "roll": rolled,
    **dict.fromkeys(("expand", "expand_as", "broadcast_to"), expanded),
    **dict.fromkeys(("repeat", "tile"), repeated),
    "getitem": getitem,
    "index_select": index_selected,
    "getattr": _attribute,
    **dict.fromkeys(("chunk", "split", "tensor_split", "split_with_sizes"), pieces),
    "unbind": unbound,
    **dict.fromkeys(("cat", "concat", "concatenate"), joined("cat")),
    "stack": joined("stack"),
    "add": added(1),
    "sub": added(-1),
    "subtract": added(-1),
    "rsub": added(-1, reverse=True),
    **dict.fromkeys(("mul", "multiply"), multiplied("factor", "scale")),
    **dict.fromkeys(("div", "divide", "true_divide"), multiplied("divisor", "divide")),
    **dict.fromkeys(("neg", "negative"), lambda call: call.tape.scaled(call.live, -1.0)),
    "positive": identity,
    **dict.fromkeys(("matmul", "mm"), product),
    "addmm": addmm,
    "einsum": einsum,
    "linear": _linear,
    **{f"conv{d}d": _conv(d) for d in (1, 2, 3)},
    **{f"conv_transpose{d}d": _conv_transpose(d) for d in (1, 2, 3)},
    "batch_norm": _batch_norm,
    "instance_norm": _instance_norm,
    **dict.fromkeys(("pad", "constant_pad_nd"), _pad),
    **dict.fromkeys(("dropout", "alpha_dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"), _dropout),
    **dict.fromkeys(("contiguous", "clone", "detach", "requires_grad", "alias", "detach_copy"), identity),
    **dict.fromkeys(("to", "double", "type_as", "float", "half", "bfloat16", "type", "_to_copy"), _cast),
    **{name: kink(op) for name, op in kinks.named().items()},
    **dict.fromkeys(("clamp", "clip"), lambda call: clamped(call, call.get("min", 1), call.get("max", 2))),
    **{name: smooth(name) for name in SMOOTH},
    **{name: smooth(same) for name, same in SAME.items()},
    "clamp_min": lambda call: clamped(call, call.get("min", 1), None),
    "clamp_max": lambda call: clamped(call, None, call.get("max", 1)),
    "hardtanh": lambda call: clamped(call, call.get("min_val", 1, -1.0), call.get("max_val", 2, 1.0)),
    **dict.fromkeys(
        ("threshold", "_threshold"),
        lambda call: thresholded(call, float(call.get("threshold", 1)), float(call.get("value", 2))),
    ),
    "prelu": lambda call: prelu(call, call.get("weight", 1)),
    **dict.fromkeys(("max", "maximum", "amax"), extreme(1)),
    **dict.fromkeys(("min", "minimum", "amin"), extreme(-1)),
    "sort": sort,
    "topk": topk,
    "median": median,
    "kthvalue": kthvalue,
    "cummax": running(1),
    "cummin": running(-1),
    "nan_to_num": identity,
    **{f"max_pool{d}d": max_pool(f"max_pool{d}d") for d in (1, 2, 3)},
    **{f"adaptive_max_pool{d}d": adaptive_max_pool(f"adaptive_max_pool{d}d") for d in (1, 2, 3)},
}
"""Emitters by the name of the call."""
