"""Precision: calls of torch in double precision, whatever the user's code asks for, and without touching random numbers.
Also whether a difference is no more than rounding.

    with Double(): module(x)            everything is double, in this thread alone
    with Logged() as log: module(x)     the same, and log.calls says what was called

Rounding to fewer digits is not traced: the network is taken as the function that it rounds.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from splineviz.tracing.affine import is_large, linear, moved
from splineviz.tracing.program import Program

CASTS = (Tensor.float, Tensor.half, Tensor.bfloat16, Tensor.double)
TO = (Tensor.to, Tensor.type)
SEEN = frozenset((bool, int, str, type(None), torch.dtype))
"""Kinds of arguments that are remembered as they are."""
RANDOM = ("rand", "normal", "bernoulli", "dropout", "uniform", "exponential", "multinomial", "poisson", "rrelu", "gumbel")


MOVED = 2.0**-40
"""Relative step by which rounding is measured; small, for few units may change sides."""


Function = TypeVar("Function", bound=Callable[..., Any])


def at_home(function: Function) -> Function:
    """A function that makes its tensors on the CPU, whatever torch.set_default_device says; in this thread alone."""

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        if torch.empty(0).device.type == "cpu":
            return function(*args, **kwargs)
        with torch.device("cpu"):
            return function(*args, **kwargs)

    return cast(Function, called)


class Double(TorchFunctionMode):
    """Everything is in double precision here: casts between floating-point types do nothing, and new tensors are double."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return double(func, args, kwargs or {})


class Logged(TorchFunctionMode):
    """The same, and remembers what was called, with all arguments but the tensors' values.

    wide: whether all is in double precision, or as it is.
    """

    def __init__(self, *, wide: bool = True) -> None:
        super().__init__()
        self.wide = wide
        self.calls: list[Any] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls.append((func, _shown(args), _shown(kwargs) if kwargs else None))
        if self.wide:
            return double(func, args, kwargs or {})
        with _undisturbed() if _kind(func).random else nullcontext():
            return func(*args, **(kwargs or {}))


def _shown(value: Any) -> Any:
    """Arguments as they are, with shapes in the place of tensors."""
    kind = type(value)
    if kind in SEEN:
        return value
    if isinstance(value, Tensor):
        return tuple(value.shape)
    if isinstance(value, (list, tuple)):
        return tuple(map(_shown, value))
    if isinstance(value, dict):
        return tuple((key, _shown(v)) for key, v in value.items())
    if isinstance(value, (float, complex)):
        return repr(value)  # a NaN is itself
    if isinstance(value, np.generic):
        return repr(value.item())
    if isinstance(value, np.ndarray):
        return value.shape, str(value.dtype), value.tobytes() if value.dtype != object else None
    return value if isinstance(value, (bool, int, str)) else repr(kind)


class Kind(NamedTuple):
    """What matters of a function of torch here: a cast, one that may be told a precision, random, an attribute's."""

    cast: bool
    told: bool
    random: bool
    attribute: bool


@functools.lru_cache(maxsize=4096)
def _kind(func: Any) -> Kind:
    name = getattr(func, "__name__", "")
    return Kind(func in CASTS, func in TO, is_random(name), name == "__get__")


def double(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """A call of torch with all its floating-point numbers in double precision."""
    kind = _kind(func)
    if kind.cast:
        return args[0] if args[0].is_floating_point() else args[0].double()
    if kwargs:
        kwargs = {name: _wide(value) for name, value in kwargs.items()}
    if kind.told:
        args = tuple(map(_wide, args))
    if kind.attribute and isinstance(args[0], Tensor) and is_large(args[0]):  # its shape, say, which costs no copy
        return doubled(func(*args))
    if func is F.linear and len(args) > 1 and is_large(args[1]):
        bias = args[2] if len(args) > 2 else kwargs.get("bias")
        return linear(doubled(args[0]), args[1], doubled(bias))
    with _undisturbed() if kind.random else nullcontext():
        value = func(*map(doubled, args), **{key: doubled(v) if key != "out" else v for key, v in kwargs.items()})
    if isinstance(value, Tensor) and value.dtype is not torch.float64 and value.is_floating_point() and not kind.attribute:
        value = value if any(value is a for a in (*args, *kwargs.values())) else value.double()
    return value


def _wide(value: Any) -> Any:
    return torch.float64 if isinstance(value, torch.dtype) and value.is_floating_point else value


def doubled(value: Any) -> Any:
    """A constant of the user's that no module holds, in double precision."""
    if isinstance(value, Tensor):
        return value if value.dtype is torch.float64 or not value.is_floating_point() else value.double()
    if isinstance(value, list):
        return [doubled(one) for one in value]
    if type(value) is tuple:
        return tuple(map(doubled, value))
    return value


@functools.lru_cache(maxsize=4096)
def is_random(name: str) -> bool:
    """Whether a call of this name may draw random numbers."""
    return any(word in name for word in RANDOM)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Leaves torch's random numbers where they were."""
    state = torch.random.get_rng_state()
    try:
        yield
    finally:
        torch.random.set_rng_state(state)


@contextmanager
def elsewhere() -> Iterator[None]:
    """Random numbers of torch from another place than where they stand, where they are left."""
    with _undisturbed():
        torch.rand(1)
        yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """Leaves the random numbers of Python and numpy where they were; those of torch are looked after call by call."""
    states = random.getstate(), _numpys()
    try:
        yield
    finally:
        if random.getstate() != states[0]:
            random.setstate(states[0])
        if _numpys() != states[1]:
            name, key, *rest = states[1]
            np.random.set_state((name, np.frombuffer(key, dtype=np.uint32), *rest))  # noqa: NPY002  # the user's own


def _numpys() -> tuple[Any, ...]:
    name, key, *rest = np.random.get_state(legacy=True)  # noqa: NPY002  # the user's own
    return (name, np.asarray(key).tobytes(), *rest)


def is_rounding(worst: float, program: Program, x: Tensor) -> bool:
    """Whether rounding explains a `difference` at inputs x: as it usually is, or as it is measured where numbers cancel.

    All weights and all that is computed are moved by random relative steps of MOVED.
    """
    if worst <= 1e-9 * math.sqrt(len(program.steps) + 1):
        return True
    generator, most = torch.Generator().manual_seed(3), 0.0

    def shaken(t: Tensor, by: Tensor) -> Tensor:
        random = torch.rand(t.shape, dtype=torch.float64, generator=generator).to(t.device)
        return t + by * (MOVED * (2.0 * random - 1.0))

    with torch.no_grad():
        y = program(x)
        for _ in range(3):
            other, live = program.with_weights(moved(program.weights, shaken)), {0: x}
            for at, step in enumerate(program.steps):
                live = other.run(live, at, at + 1)
                live |= {step.output: shaken(live[step.output], live[step.output])} if step.output in live else {}
            most = max(most, float((live[program.output].reshape(y.shape) - y).abs().max() / y.abs().max()))
    return worst <= 64.0 * 2.0**-53 / MOVED * most
