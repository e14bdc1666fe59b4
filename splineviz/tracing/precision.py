"""Precision: calls of torch in double precision, whatever the user's code asks for, and without touching random numbers.
Also whether a difference is no more than rounding; how large weights are traced, and whether a forward writes into them.

    with Double(): module(x)            everything is double, in this thread alone
    with Logged() as log: module(x)     the same, and log.calls says what was called

Rounding to fewer digits is not traced: the network is taken as the function that it rounds, and a warning says so.

A large weight stays single in a twin, and calls of torch get doubled copies of it: what a forward writes into it, or into a
view of it, would go into a copy and be lost. Such a call is stopped before it is made, and the whole weight doubled instead.
As no call is given a large weight itself, its memory may be the module's own for as long as the Program is not kept
(`lending`); VGG's take half a gigabyte.
"""

from __future__ import annotations

import functools
import math
import random
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from splineviz.errors import DataError, TraceError
from splineviz.tracing import doors
from splineviz.tracing.affine import is_large, is_lent, linear, moved
from splineviz.tracing.program import Program

CASTS = (Tensor.float, Tensor.half, Tensor.bfloat16, Tensor.double)
TO = (Tensor.to, Tensor.type)
NARROW = {Tensor.half: torch.float16, Tensor.bfloat16: torch.bfloat16}
SEEN = frozenset((bool, int, str, type(None), torch.dtype))
"""Kinds of arguments that are remembered as they are."""
HANDS_OUT = frozenset(("numpy", "__array__", "__dlpack__", "storage", "untyped_storage", "_typed_storage"))
"""Calls that hand out memory, into which anybody may write."""
HARMLESS = frozenset(("requires_grad_", "detach_"))
AUGMENTED = frozenset("iadd isub imul idiv itruediv ifloordiv imod ipow imatmul ior iand ixor ilshift irshift".split())
RANDOM = ("rand", "normal", "bernoulli", "dropout", "uniform", "exponential", "multinomial", "poisson", "rrelu", "gumbel")


MOVED = 2.0**-40
"""Relative step by which rounding is measured; small, for few units may change sides."""
_here = threading.local()


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


def checked_device(name: torch.device | str | None, dtype: torch.dtype = torch.float64) -> torch.device | None:
    """A device that torch has and that computes in a precision; None: none was asked for. Raises DataError."""
    if name is None:
        return None
    try:
        device = torch.device(name)
        torch.zeros(1, dtype=dtype, device=device)
    except (RuntimeError, TypeError, ValueError, AssertionError, NotImplementedError) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(
            f"device: expected one that torch has here and that knows {dtype}, got {name!r}: {said[0]}."
        ) from error
    if device.type == "meta":
        raise DataError("device: expected one that computes, got 'meta'.")
    return device


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
    kind, watch = _kind(func), watching()
    if watch is not None:
        watch.check(func, args, kwargs)
    if kind.cast:
        return args[0] if args[0].is_floating_point() else args[0].double()
    if kwargs:
        kwargs = {name: _wide(value) for name, value in kwargs.items()}
    if kind.told:
        args = tuple(map(_wide, args))
    if kind.attribute and isinstance(args[0], Tensor) and is_large(args[0]):  # its shape, say, which costs no copy
        value = func(*args)
        wide = doubled(value)
        if watch is not None:
            watch.note(value, wide, wide)
        return wide
    if func is F.linear and len(args) > 1 and is_large(args[1]):
        bias = args[2] if len(args) > 2 else kwargs.get("bias")
        return linear(doubled(args[0]), args[1], doubled(bias))
    wide = tuple(map(doubled, args))
    with _undisturbed() if kind.random else nullcontext():
        value = func(*wide, **{key: doubled(v) if key != "out" else v for key, v in kwargs.items()})
    if watch is not None:
        watch.note(args, wide, value)
    if isinstance(value, Tensor) and value.dtype is not torch.float64 and value.is_floating_point() and not kind.attribute:
        value = value if any(value is a for a in (*args, *kwargs.values())) else value.double()
    return value


def narrowing(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.dtype | None:
    """The precision to which a call of torch rounds a tensor, if that is less than single."""
    if args and isinstance(args[0], Tensor) and not args[0].is_floating_point():
        return None  # a mask is 0 and 1 in all precisions
    if func in NARROW:
        return NARROW[func]
    if torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu")
    told = [*args[1:], *kwargs.values()]
    if getattr(func, "__name__", "") in ("to", "type_as"):
        told += [one.dtype for one in told if isinstance(one, Tensor)]
    return next((one for one in told if isinstance(one, torch.dtype) and one.is_floating_point and one.itemsize < 4), None)


def tell_narrowing(path: str, where: str | None, narrow: torch.dtype, constants: Sequence[Any]) -> None:
    """Warn that a rounding is left out, perhaps of constants, which do not depend on the input."""
    constant = any(isinstance(one, Tensor) for one in constants)
    remedy = "to see it with them rounded, round them in the module, before forward"
    why = f"a constant to {narrow}" if constant else f"to {narrow}, which makes steps and no linear regions"
    left = f"the slice is of the network without that rounding{f'; {remedy}' if constant else ''}"
    warnings.warn(f"{path}: rounds {why}; {left}.{f' ({where})' if where else ''}", stacklevel=2)


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


# ---- large weights -----------------------------------------------------------------------------------------------------


class Stopped(RuntimeError):
    """A call would have written into a large weight."""


class Watch:
    """Within `with`, stops calls of torch in this thread that would write into a large weight; stopped: whether any was."""

    def __init__(self) -> None:
        self.stopped = False
        self._copies: set[int] = set()  # memory of doubled copies that are still in use under another name

    def __enter__(self) -> Watch:
        self._outer, _here.watch = watching(), self
        return self

    def __exit__(self, *error: Any) -> None:
        _here.watch = self._outer

    def check(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Raises Stopped for a call that writes into a large weight, or hands out its memory."""
        for tensor in changed(func, args, kwargs):
            if is_large(tensor) or memory(tensor) in self._copies:
                self.stopped = True
                raise Stopped("expected large weights that forward leaves alone, got one into which it writes")

    def note(self, given: Any, copies: Any, value: Any) -> None:
        """Remember what a call gave of doubled copies, if it lies in their memory: a view."""
        pairs = zip(tensors(given), tensors(copies), strict=True)
        copied = {memory(copy) for tensor, copy in pairs if copy is not tensor and is_large(tensor)}
        if copied:
            self._copies |= copied & {memory(one) for one in tensors(value)}


def watching() -> Watch | None:
    """Who watches this thread."""
    return getattr(_here, "watch", None)


def memory(tensor: Tensor) -> int:
    """Where a tensor's memory begins; whoever listens to calls of torch is not told."""
    with torch._C.DisableTorchFunction():
        return tensor.untyped_storage().data_ptr() if tensor.layout is torch.strided else 0


def changed(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[Tensor]:
    """The tensors that a call writes into, or may."""
    if isinstance(func, torch._ops.OpOverload):
        written = [i for i, one in enumerate(func._schema.arguments) if one.alias_info and one.alias_info.is_write]
        named = [kwargs.get(func._schema.arguments[i].name) for i in written]
        return tensors([args[i] for i in written if i < len(args)] + named)
    name = getattr(func, "__name__", "")
    found = [kwargs["out"]] if "out" in kwargs else []
    if _is_in_place(name) or any(one is True for one in (*args[1:], kwargs.get("inplace"))):  # relu(x, True)
        found += args[:1]
    elif name == "embedding" and (kwargs.get("max_norm") or any(args[3:4])):  # which shortens rows of its weight
        found += [*args[1:2], kwargs.get("weight")]
    return tensors(found)


@functools.lru_cache(maxsize=4096)
def _is_in_place(name: str) -> bool:
    if name in HANDS_OUT or name == "__setitem__":
        return True
    private = name.startswith("__") and name.endswith("__")
    return name.strip("_") in AUGMENTED if private else name.endswith("_") and name not in HARMLESS


def tensors(values: Any) -> Iterator[Tensor]:
    """All tensors in tuples, lists and dictionaries."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from tensors(value)
    elif isinstance(values, dict):
        yield from tensors(list(values.values()))


def lending(model: Any, borrow: bool, make: Callable[[bool, bool], Program]) -> Program:
    """`make(whether large weights stay single, and are borrowed)`: doubled, if the forward writes into one of them.

    Raises TraceError when a borrowed weight changes meanwhile.
    """
    large = {key: tensor for key, tensor in _named(model) if is_large(tensor)}
    if not large:
        return make(False, False)
    lent = {key: tensor._version for key, tensor in large.items() if borrow and is_lent(tensor)}
    program = None
    with Watch() as watch:
        try:
            program = make(True, borrow)
        except Exception:  # what was stopped is told anew, or not at all
            if not watch.stopped:
                raise
    if changed := [key for key, version in lent.items() if large[key]._version != version]:
        raise TraceError(f"{changed[0]}: expected weights that stay as they are while they are read, got one that changed.")
    return make(False, False) if watch.stopped or program is None else program


def _named(model: Any) -> list[tuple[str, Tensor]]:
    model = doors.unwrapped(model)
    model = doors.unwrapped(model.func) if isinstance(model, functools.partial) else model
    named = doors.named_tensors(model) if isinstance(model, nn.Module) else ()
    return [(key, tensor) for key, tensor in named if type(tensor) in (Tensor, nn.Parameter)]
