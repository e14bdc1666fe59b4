"""Doors: what people hand over as a network -> the module that computes, or a refusal that says what it is.
Also what a module holds and gives: names of its tensors and which are tied, its modes of training or evaluation, what
stands in containers, the one tensor that is a forward's result.

torch.compile, DataParallel, DistributedDataParallel and torch's moving averages wrap a module and change nothing of it:
they are taken off. What computes outside Python's sight (TorchScript), holds a part of its weights alone (FSDP), none yet
(lazy modules) or other numbers than real ones (quantised, complex) is refused.

So is what no copy of a module can have: what a dictionary or functools.lru_cache keeps of it by its identity (a copy
that calls a cached method is told so), and attributes that cannot be copied, in whose place stands a StandIn.

This file knows no operations.
"""

from __future__ import annotations

import functools
import io
import threading
import types
import weakref
from collections.abc import Iterator, Mapping
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
PLAIN = (bool, int, float, complex, str, bytes, type(None), type, torch.dtype, torch.device, torch.Size)
LOCKS = (type(threading.Lock()), type(threading.RLock()))
SHARED = (types.ModuleType, types.GeneratorType, io.IOBase, threading.Thread)
"""What cannot be copied and computes nothing: the twin has the original's."""
DEEP = 6
"""How far attributes are searched for what cannot be copied."""



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
        check_kept(module)
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


# ---- what no copy has ------------------------------------------------------------------------------------------------

Cached: Any = type(functools.lru_cache(lambda: None))


@functools.lru_cache(maxsize=4096)
def _own(kind: Any) -> tuple[tuple[str, Any], ...]:
    """What the user's own classes of a module define, by name."""
    theirs = (k for k in kind.__mro__ if k.__module__.partition(".")[0] not in ("torch", "builtins", "typing", "abc"))
    return tuple((name, value) for k in theirs for name, value in vars(k).items())


@functools.lru_cache(maxsize=4096)
def _methods(kind: Any) -> tuple[str, ...]:
    return tuple({name for name, value in _own(kind) if isinstance(value, Cached)})


@functools.lru_cache(maxsize=4096)
def _globals(kind: Any) -> tuple[tuple[dict[str, Any], str], ...]:
    """The globals that a class's functions name."""
    found: dict[tuple[int, str], tuple[dict[str, Any], str]] = {}
    for _, value in _own(kind):
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if isinstance(function, types.FunctionType):
            for name in names(function.__code__):
                if name in function.__globals__:
                    found[id(function.__globals__), name] = (function.__globals__, name)
    return tuple(found.values())


@functools.lru_cache(maxsize=1024)
def names(code: types.CodeType) -> tuple[str, ...]:
    """Names that code reads, with those of the functions inside it."""
    inner = [name for const in code.co_consts if isinstance(const, types.CodeType) for name in names(const)]
    return (*code.co_names, *inner)


def shadowed(new: nn.Module) -> None:
    """Put what says so in the place of a copy's methods that functools caches."""
    kind: Any = type(new)
    for name in _methods(kind):
        new.__dict__.setdefault(name, functools.partial(_not_kept, f"{kind.__name__}.{name}"))


def _not_kept(where: str, *args: Any, **kwargs: Any) -> Any:
    raise TraceError(
        f"{where}: expected values that the module holds or computes, got a method with functools.lru_cache, whose entries "
        "belong to your module alone and may be older than its weights; keep what it computes in a buffer, or use "
        "functools.cached_property."
    )


def check_kept(module: nn.Module) -> None:
    """Raise TraceError when a dictionary outside a module has an entry of it."""
    kind: Any = type(module)
    held = [(f"{kind.__name__}.{name}", value) for name, value in _own(kind)]
    held += [(name, scope.get(name)) for scope, name in _globals(kind)]
    for where, value in held:
        if isinstance(value, Mapping) and not isinstance(value, types.MappingProxyType) and _has(value, module):
            raise TraceError(
                f"{where}: expected all that {kind.__name__} computes with on the module itself, got a dictionary beside it "
                "that knows the module by its identity, so a copy does not have its entry; keep it as an attribute or a "
                "buffer of the module."
            )


def _has(mapping: Mapping[Any, Any], module: nn.Module) -> bool:
    try:
        return id(module) in mapping or module in mapping
    except TypeError:  # keys that are compared in a way of their own
        return False


class StandIn:
    """In the place of an attribute that cannot be copied: whoever asks it for anything is told so."""

    def __init__(self, where: str, why: str):
        object.__setattr__(self, "_said", (where, why))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        raise self._refusal()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Say that it is not there."""
        raise self._refusal()

    def __setattr__(self, name: str, value: Any) -> None:
        raise self._refusal()

    def __getitem__(self, key: Any) -> Any:
        raise self._refusal()

    def __iter__(self) -> Any:
        raise self._refusal()

    def __len__(self) -> int:
        raise self._refusal()

    def _refusal(self) -> TraceError:
        where, why = object.__getattribute__(self, "_said")
        return TraceError(
            f"{where}: expected an attribute that can be copied, for the network is run apart from yours, got {why}; "
            "keep it outside the module, or out of forward in evaluation mode."
        )


def leaves(value: Any, memo: dict[int, Any], depth: int = 0) -> Iterator[Any]:
    """What stands in containers and in attributes of plain objects, but for numbers, tensors, modules and what is known."""
    if isinstance(value, (*PLAIN, Tensor, nn.Module)) or id(value) in memo or depth > DEEP:
        return
    inner: Any = None
    if isinstance(value, (dict, list, tuple, set, frozenset)):
        inner = value.values() if isinstance(value, dict) else value
    elif not isinstance(value, (*LOCKS, *SHARED, types.FunctionType, weakref.ReferenceType)):
        inner = vars(value).values() if getattr(value, "__dict__", None) else None
    if inner is None:
        yield value
    for one in list(inner or ()):
        yield from leaves(one, memo, depth + 1)


# ---- what comes out ------------------------------------------------------------------------------------------------


def result_of(result: Any, output: str | int | None, where: str = "") -> Tensor:
    """The one tensor among a forward's results that is the network's output. Raises TraceError; where: ends its words."""
    if output is None:
        named = result.get("logits") if isinstance(result, Mapping) else getattr(result, "logits", None)
        found = named if isinstance(named, Tensor) else result
        if isinstance(found, (tuple, list)) and len(found) == 1:
            found = found[0]
        elif isinstance(found, Mapping) and len(found) == 1:
            found = next(iter(found.values()))
    elif isinstance(result, Tensor):
        raise TraceError(f"forward: expected outputs of which {output!r} is one, got one tensor; leave output out.{where}")
    else:
        try:
            found = result[output] if not isinstance(output, str) or isinstance(result, Mapping) else getattr(result, output)
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise TraceError(f"forward: expected an output {output!r}, got {_results(result)}.{where}") from error
    if not isinstance(found, Tensor):
        raise TraceError(
            "forward: expected one tensor that depends on the input as output; return the logits alone, or name one of "
            f"{_results(found)} (output=...).{where}"
        )
    return found


def _results(result: Any) -> str:
    if isinstance(result, Mapping):
        return ", ".join(map(str, result))
    if isinstance(result, (tuple, list)):
        return f"0 to {len(result) - 1}"
    return type(result).__name__


# ---- evaluation mode ----------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4096)
def _sets_modes(kind: Any) -> bool:
    """Whether a class says itself what training and evaluation mode do."""
    own = (k for k in kind.__mro__ if not k.__module__.startswith("torch."))
    return any(name in vars(k) for k in own for name in ("train", "eval"))


AFTER_EVAL = (
    "with a file's weights and after its own eval(), got one whose eval() changes them (an average swapped in, say); pass "
    "the network inside it, or record it."
)


def modes(model: Any) -> dict[str, bool]:
    """Which modules of a model are in training mode, by name, where some class says itself what modes do; else nothing."""
    model = unwrapped(model)
    kinds: set[Any] = {type(module) for module in model.modules()} if isinstance(model, nn.Module) else set()
    if not any(map(_sets_modes, kinds)):
        return {}
    return {name: module.training for name, module in model.named_modules()}


def settle(module: nn.Module, modes: Mapping[str, bool]) -> None:
    """Bring a copy into evaluation mode by the user's own eval(), from the modes that the original is in."""
    for name, inner in module.named_modules():
        inner.training = modes.get(name, inner.training)
    try:
        module.eval()
    except Exception:  # of the user's own code, which may want what a copy does not have
        for inner in module.modules():
            inner.training = False


def tied(model: Any) -> list[list[str]]:
    """Names of one and the same parameter, where a module has several for it."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False) if isinstance(model, nn.Module) else ():
        names.setdefault(id(parameter), []).append(name)
    return [group for group in names.values() if len(group) > 1]
