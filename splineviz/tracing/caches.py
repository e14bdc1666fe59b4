"""Caches that belong to a class or a file and know a module by its identity: a copy of the module does not have its entries.

    functools.lru_cache on a method        a twin that calls it is told so (`shadowed`)
    a dictionary with module or id(module) as a key, in a global or on a class        refused as soon as it has one (`check`)

What a network computes from such an entry, no copy of it can compute.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from typing import Any

from torch import nn

from splineviz.errors import TraceError

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
        new.__dict__.setdefault(name, functools.partial(_refused, f"{kind.__name__}.{name}"))


def _refused(where: str, *args: Any, **kwargs: Any) -> Any:
    raise TraceError(
        f"{where}: expected values that the module holds or computes, got a method with functools.lru_cache, whose entries "
        "belong to your module alone and may be older than its weights; keep what it computes in a buffer, or use "
        "functools.cached_property."
    )


def check(module: nn.Module) -> None:
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
