"""Doors: what people hand over as a network -> the module that computes, or a refusal that says what it is.

torch.compile, DataParallel, DistributedDataParallel and torch's moving averages wrap a module and change nothing of it:
they are taken off. What computes outside Python's sight (TorchScript), holds a part of its weights alone (FSDP), none yet
(lazy modules) or other numbers than real ones (quantised, complex) is refused.

This file knows no operations.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from splineviz.errors import TraceError

REAL = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64)
WRAPPED = {
    "OptimizedModule": "_orig_mod",
    "DistributedDataParallel": "module",
    "DataParallel": "module",
    "AveragedModel": "module",
}
"""Wrappers of torch's own, and the attribute that holds the module."""


def unwrapped(model: Any) -> Any:
    """The module inside torch's wrappers; anything else as it is."""
    while isinstance(model, nn.Module) and (inner := wrapped(model)) is not None:
        model = inner
    return model


def wrapped(model: nn.Module) -> nn.Module | None:
    """The module that a wrapper of torch's own holds; None if it is none."""
    kind: Any = type(model)
    attribute = _wrapping(kind)
    return None if attribute is None else getattr(model, attribute)


@functools.lru_cache(maxsize=4096)
def _wrapping(kind: Any) -> str | None:
    own = (k for k in kind.__mro__ if k.__module__.startswith("torch."))
    return next((WRAPPED[k.__name__] for k in own if k.__name__ in WRAPPED), None)


def check(model: nn.Module) -> None:
    """Raise TraceError for a module that cannot be read as a plain one, naming what it is and what to do."""
    for path, module in model.named_modules():
        kind: Any = type(module)
        if why := _refused(kind):
            raise TraceError(f"{path or 'network'}: {why}")
    for name, tensor in named_tensors(model):
        _check_tensor(name, tensor)


@functools.lru_cache(maxsize=4096)
def _refused(kind: Any) -> str:
    """Why modules of a class cannot be read; empty if they can."""
    kinds = {(k.__module__, k.__name__) for k in kind.__mro__}
    if issubclass(kind, torch.jit.ScriptModule):
        return (
            "expected a module in Python, got TorchScript (torch.jit), whose operations cannot be seen; "
            "pass the module that it was made from, or torch.export.export of it."
        )
    if any(name in ("FullyShardedDataParallel", "FSDPModule") for _, name in kinds):
        return (
            "expected a module with all of its weights, got one sharded by FSDP; gather a full state dict "
            "(torch.distributed.checkpoint.state_dict.get_model_state_dict with full_state_dict=True) and load it into "
            "the plain module."
        )
    if any("quantized" in name.split(".") for name, _ in kinds):
        return (
            "expected real weights, got a quantised module, whose output jumps and has no linear regions; "
            "pass the network from before the conversion."
        )
    return ""


def _check_tensor(name: str, tensor: Tensor) -> None:
    if type(tensor) in (Tensor, nn.Parameter) and tensor.device.type == "cpu" and tensor.dtype in REAL:
        return
    if isinstance(tensor, (nn.UninitializedParameter, nn.UninitializedBuffer)):
        raise TraceError(
            f"{name}: expected weights, got a lazy module that was never run, so it has none; run it once on a batch."
        )
    if any(kind.__name__ == "DTensor" for kind in type(tensor).__mro__):
        raise TraceError(f"{name}: expected a whole tensor, got a DTensor, of which each process holds a part; gather it.")
    if tensor.is_meta:
        raise TraceError(f"{name}: expected weights with values, got a tensor on the meta device; load the weights first.")
    if tensor.is_complex():
        raise TraceError(
            f"{name}: expected real weights, got {tensor.dtype}; write the network in real and imaginary parts."
        )
    if tensor.is_quantized:
        raise TraceError(f"{name}: expected real weights, got {tensor.dtype}; pass the network from before the conversion.")


def named_tensors(model: nn.Module, *, persistent: bool = False) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers by the names that a state dict has for them, tied ones under each of their names.

    persistent: leave out buffers that no state dict has.
    """
    for path, module in model.named_modules(remove_duplicate=False):
        front = f"{path}." if path else ""
        for name, tensor in module._parameters.items():
            if tensor is not None:
                yield front + name, tensor
        for name, tensor in module._buffers.items():
            if tensor is not None and not (persistent and name in module._non_persistent_buffers_set):
                yield front + name, tensor
