"""The dialect of aten: operations that torch.export records under other names, or with other arguments, -> steps on a tape.

    ATEN[name](call) -> Live        looked up before `calls` where the graph is an exported program

What a program was taken apart into by run_decompositions is known as far as it is still one operation: a PReLU, say, is
then a comparison and a choice, which jump one by one, and is refused.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from splineviz.tracing.activations import largest
from splineviz.tracing.call import Call, Emitter, Result, alone
from splineviz.tracing.functions import CALLS
from splineviz.tracing.tape import Live


def _as(name: str, *arguments: str) -> Emitter:
    """The same as a call of `calls`, with its arguments after the first under these names; "" leaves one out."""

    def emit(call: Call) -> Result:
        given = dict(zip(arguments, call.args[1:], strict=False))
        kwargs = {key: value for key, value in given.items() if key and value is not None}
        return CALLS[name](Call(call.tape, call.path, name, call.args[:1], {**call.kwargs, **kwargs}, call.value))

    return emit


def _first(emitter: Emitter) -> Emitter:
    """An operation that gives its result first, and further ones that nothing reads."""

    def emit(call: Call) -> Result:
        found = emitter(Call(call.tape, call.path, call.name, call.args, call.kwargs, call.value[0]))
        return found if isinstance(found, tuple) else (found,)

    return emit


def _slice(call: Call) -> Live:
    dim = int(call.get("dim", 1, 0)) % call.live.value.dim()
    piece = [call.get("start", 2), call.get("end", 3), call.get("step", 4, 1)]
    if dim == 0:
        if call.value.shape != call.live.value.shape:
            raise call.refused("picks out of the batch; keep all of it")
        return call.live
    return call.tape.emit("getitem", call.live, key=[*[[None, None, None]] * (dim - 1), piece])


def _index(call: Call) -> Result:
    entries = [slice(None) if entry is None else entry for entry in call.args[1]]
    return CALLS["getitem"](Call(call.tape, call.path, "getitem", (call.args[0], tuple(entries)), {}, call.value))


def _convolution(call: Call) -> Live:
    x, weight, bias, stride, padding, dilation, transposed, output_padding, groups = call.args
    attrs = {"dims": weight.dim() - 2, "stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    params = {"weight": weight, "bias": bias}
    if transposed:
        return call.tape.emit("conv_transpose", x, params=params, output_padding=output_padding, **attrs)
    return call.tape.emit("conv", x, params=params, padding_mode="zeros", pad=[], **attrs)


def _product(call: Call) -> Live:
    a, b = call.args
    if isinstance(a, Live) and isinstance(b, Tensor):
        return call.tape.emit("matmul", a, params={"other": alone(call, b)}, left=False)
    if isinstance(b, Live) and isinstance(a, Tensor):
        return call.tape.emit("matmul", b, params={"other": alone(call, a)}, left=True)
    raise call.refused("multiplies two tensors that depend on the input, which is not piecewise affine")


def _resized(mode: str) -> Emitter:
    """Interpolation to the size of the result, or by the scale factors that are given."""

    def emit(call: Call) -> Live:
        attrs: dict[str, Any] = {"mode": mode}
        rest = list(call.args[1:]) + list(call.kwargs.values())
        if mode not in ("nearest", "nearest-exact"):
            attrs["align_corners"] = bool(next(a for a in rest if isinstance(a, bool)))
        scales = [a for a in rest if isinstance(a, float)]  # one by one, or as a list
        scales += [v for a in rest if isinstance(a, (list, tuple)) for v in a if isinstance(v, float)]
        sizes = list(call.value.shape[2:])
        how: dict[str, Any] = {"scale_factor": scales} if len(scales) == len(sizes) else {"size": sizes}
        return call.tape.emit("interpolate", call.live, **how, **attrs)

    return emit


def _randomised(call: Call) -> Live:
    if call.get("training", 3, False):
        raise call.refused("draws slopes at random, in evaluation mode too; export the network in evaluation mode")
    slope = (float(call.get("lower", 1, 0.125)) + float(call.get("upper", 2, 1.0 / 3.0))) / 2.0
    return call.tape.kink("leaky_relu", call.live, negative_slope=slope)


def _adaptive(op: str) -> Emitter:
    return lambda call: largest(call, op, call.live, {"output_size": call.get("output_size", 1)})


_NORM = ("weight", "bias", "running_mean", "running_var")
_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}

ATEN: dict[str, Emitter] = {
    "slice": _slice,
    "index": _index,
    "mT": lambda call: call.tape.emit("transpose", call.live, dim0=-2, dim1=-1),
    "feature_dropout": CALLS["dropout"],
    "batch_norm": _as("batch_norm", *_NORM, "training", "momentum", "eps"),
    "_native_batch_norm_legit_no_training": _first(_as("batch_norm", *_NORM, "momentum", "eps")),
    "instance_norm": _as("instance_norm", *_NORM, "use_input_stats", "momentum", "eps"),
    "convolution": _convolution,
    "bmm": _product,
    "im2col": _as("unfold", "kernel_size", "dilation", "padding", "stride"),
    "col2im": _as("fold", "output_size", "kernel_size", "dilation", "padding", "stride"),
    "rrelu": _randomised,
    **{f"_adaptive_avg_pool{d}d": _as(f"adaptive_avg_pool{d}d", "output_size") for d in (2, 3)},
    **{f"max_pool{d}d_with_indices": _first(CALLS[f"max_pool{d}d"]) for d in (2, 3)},
    **{f"adaptive_max_pool{d}d": _first(_adaptive(f"adaptive_max_pool{d}d")) for d in (1, 2, 3)},
    **{f"upsample_nearest{d}d": _resized("nearest") for d in (1, 2, 3)},
    **{f"_upsample_nearest_exact{d}d": _resized("nearest-exact") for d in (1, 2, 3)},
    **{f"upsample_{_LINEAR[d]}{d}d": _resized(_LINEAR[d]) for d in (1, 2, 3)},
    "upsample_bicubic2d": _resized("bicubic"),
}
"""Emitters by the name of the operation."""
