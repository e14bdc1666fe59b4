"""Modules: what torch.nn provides -> steps on a tape. A module that is a function is recorded as that call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from splineviz.tracing import kinks
from splineviz.tracing.activations import clamped, prelu, thresholded
from splineviz.tracing.call import Call
from splineviz.tracing.functions import CALLS, identity
from splineviz.tracing.kinks import KINKS
from splineviz.tracing.reshaping import reshaped
from splineviz.tracing.smooth import SMOOTH
from splineviz.tracing.tape import Live

ModuleEmitter = Callable[[Any, Call], Any]


def _linear(m: Any, call: Call) -> Live:
    return call.tape.emit("linear", call.live, params={"weight": m.weight, "bias": m.bias})


def _conv(m: Any, call: Call) -> Live:
    return call.tape.emit(
        "conv", call.live, params={"weight": m.weight, "bias": m.bias}, dims=len(m.kernel_size), stride=m.stride,
        padding=m.padding, dilation=m.dilation, groups=m.groups, padding_mode=m.padding_mode,
        pad=m._reversed_padding_repeated_twice,
    )  # fmt: skip


def _conv_transpose(m: Any, call: Call) -> Live:
    return call.tape.emit(
        "conv_transpose", call.live, params={"weight": m.weight, "bias": m.bias}, dims=len(m.kernel_size), stride=m.stride,
        padding=m.padding, output_padding=m.output_padding, groups=m.groups, dilation=m.dilation,
    )  # fmt: skip


def _norm(m: Any, call: Call) -> Live:
    if m.running_mean is None:
        raise call.refused(
            "expected running statistics, got track_running_stats=False, which makes the output depend on the batch or on "
            "the spread of the input itself; train with running statistics or fold the layer"
        )
    params = {"running_mean": m.running_mean, "running_var": m.running_var, "weight": m.weight, "bias": m.bias}
    return call.tape.emit("batch_norm", call.live, params=params, eps=m.eps)


def _as(name: str, *attributes: str) -> ModuleEmitter:
    """A module that is the call `name` with some of its attributes as arguments."""

    def emit(m: Any, call: Call) -> Any:
        kwargs = {attribute: getattr(m, attribute) for attribute in attributes if getattr(m, attribute) is not None}
        return CALLS[name](Call(call.tape, call.path, name, call.args, kwargs, call.value))

    return emit


def _kink(op: str) -> ModuleEmitter:
    """A module that is a kink with some of its attributes as arguments."""
    return lambda m, call: call.tape.kink(op, call.live, **{name: float(getattr(m, name)) for name in KINKS[op].arguments})


def _pad(mode: str) -> ModuleEmitter:
    def emit(m: Any, call: Call) -> Live:
        value = float(getattr(m, "value", 0.0))
        return call.tape.emit("pad", call.live, pad=m.padding, mode=mode, value=value)

    return emit


def _upsample(m: Any, call: Call) -> Live:
    given = {
        "size": m.size, "scale_factor": m.scale_factor, "mode": m.mode, "align_corners": m.align_corners,
        "recompute_scale_factor": m.recompute_scale_factor,
    }  # fmt: skip
    return call.tape.emit("interpolate", call.live, **{name: value for name, value in given.items() if value is not None})


def _nothing(m: Any, call: Call) -> Live:
    return identity(call)


_POOL = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
_MAX_POOL = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")

ACTIVATIONS: dict[type[nn.Module], str] = {kind: name for name, smooth in SMOOTH.items() for kind in smooth.modules}
"""Smooth modules, by the function they are."""

MODULES: dict[type[nn.Module], ModuleEmitter] = {
    nn.Linear: _linear,
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), _conv),
    **dict.fromkeys((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), _conv_transpose),
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm), _norm),
    **dict.fromkeys((nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d), _norm),
    **dict.fromkeys((nn.Flatten, nn.Unflatten), lambda m, call: reshaped(call)),
    nn.AvgPool1d: _as("avg_pool1d", *_POOL),
    nn.AvgPool2d: _as("avg_pool2d", *_POOL, "divisor_override"),
    nn.AvgPool3d: _as("avg_pool3d", *_POOL, "divisor_override"),
    nn.AdaptiveAvgPool1d: _as("adaptive_avg_pool1d", "output_size"),
    nn.AdaptiveAvgPool2d: _as("adaptive_avg_pool2d", "output_size"),
    nn.AdaptiveAvgPool3d: _as("adaptive_avg_pool3d", "output_size"),
    **dict.fromkeys((nn.Upsample, nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d), _upsample),
    nn.PixelShuffle: _as("pixel_shuffle", "upscale_factor"),
    nn.PixelUnshuffle: _as("pixel_unshuffle", "downscale_factor"),
    nn.ChannelShuffle: _as("channel_shuffle", "groups"),
    nn.Unfold: _as("unfold", "kernel_size", "dilation", "padding", "stride"),
    nn.Fold: _as("fold", "output_size", "kernel_size", "dilation", "padding", "stride"),
    **dict.fromkeys((nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d), _pad("constant")),
    **dict.fromkeys((nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d), _pad("constant")),
    **dict.fromkeys((nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d), _pad("reflect")),
    **dict.fromkeys((nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d), _pad("replicate")),
    **dict.fromkeys((nn.CircularPad1d, nn.CircularPad2d, nn.CircularPad3d), _pad("circular")),
    **dict.fromkeys(
        (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout),
        _nothing,
    ),
    **{kind: _kink(op) for kind, op in kinks.of_modules().items()},
    nn.RReLU: lambda m, call: call.tape.kink("leaky_relu", call.live, negative_slope=float(m.lower + m.upper) / 2.0),
    nn.PReLU: lambda m, call: prelu(call, m.weight),
    nn.Hardtanh: lambda m, call: clamped(call, m.min_val, m.max_val),
    **{kind: _as(name, *SMOOTH[name].arguments) for kind, name in ACTIVATIONS.items()},
    nn.Threshold: lambda m, call: thresholded(call, float(m.threshold), float(m.value)),
    **{kind: _as(f"max_pool{d}d", *_MAX_POOL) for d, kind in ((1, nn.MaxPool1d), (2, nn.MaxPool2d), (3, nn.MaxPool3d))},
    nn.AdaptiveMaxPool1d: _as("adaptive_max_pool1d", "output_size"),
    nn.AdaptiveMaxPool2d: _as("adaptive_max_pool2d", "output_size"),
    nn.AdaptiveMaxPool3d: _as("adaptive_max_pool3d", "output_size"),
}
"""Emitters by class; a subclass counts as its parent as long as it does not override forward."""


def emitter(module: nn.Module) -> ModuleEmitter | None:
    """The emitter of a module, None if its class, or a forward of its own, is not known."""
    added = kinks.of_modules()  # also of records that were added by others
    kind = next((k for k in type(module).__mro__ if k in MODULES or k in added), None)
    if kind is None or type(module).forward is not kind.forward:
        return None
    return MODULES[kind] if kind in MODULES else _kink(added[kind])
