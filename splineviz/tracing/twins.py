"""Twins: a private copy of the user's module, to be run without a trace on the original.
Also all that a module is besides its values, calls without the hooks of all modules, and which hooks only watch.

    twin(module) -> the same module in double precision, on the CPU, in evaluation mode

Weights and buffers are copied, Python attributes too, also where `copy.deepcopy` gives up: tensors that were kept from a
forward pass lose their history, locks are new, and what cannot be copied at all is replaced by a stand-in that says so
when forward asks for it. Functions that stand on a module (hooks, a replaced forward) get copies of what they close
over, so that a hook that keeps records writes into a copy of them. Hooks that cannot change what passes are left out.
torch itself is left as it is: nothing is patched.
"""

from __future__ import annotations

import copy
import dis
import functools
import threading
import types
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from splineviz.errors import TraceError
from splineviz.tracing import doors
from splineviz.tracing.affine import is_large, is_lent

SCALARS = frozenset((bool, int, float, str, type(None)))
Taken = dict[int, Tensor] | None
EMPTY = frozenset((list, tuple, dict, set, OrderedDict))
BACKWARD = ("_backward_hooks", "_backward_pre_hooks")
FORWARD = ("_forward_pre_hooks", "_forward_hooks")
TRAINERS = ("_trainer", "_fabric", "trainer")
"""What Lightning keeps on a module; it is no part of the network, and large."""


def twin(
    model: nn.Module, taken: Taken = None, *, evaluated: bool = True, large: bool = False, borrow: bool = False
) -> nn.Module:
    """A copy of a module in double precision on the CPU, in evaluation mode. Raises TraceError, see `doors.check`.

    taken: filled with the values of its tensors in their own precision, by the identity of the module's. evaluated: leave in
    training mode what the module's own eval() leaves there. large: leave large weights single (see `affine.Weights`).
    borrow: have these in the module's own memory (see `borrowing`).
    """
    doors.check(model)
    memo: dict[int, Any] = {}
    keep: list[Any] = []  # an identity is a name only as long as its owner lives
    with torch.no_grad(), _Copying():
        for _, tensor in doors.named_tensors(model):
            if id(tensor) not in memo:
                value = tensor if taken is None else taken.setdefault(id(tensor), tensor.detach().to("cpu", copy=True))
                memo[id(tensor)] = _double(value, isinstance(tensor, nn.Parameter), large, borrow)
        made: list[tuple[nn.Module, nn.Module]] = []
        for module in model.modules():
            kind: Any = type(module)
            inner = doors.wrapped(module) if kind.__name__ == "OptimizedModule" else None
            if inner is not None or _copies_itself(kind):
                continue
            memo[id(module)] = kind.__new__(kind)
            made.append((module, memo[id(module)]))
        copier = _Copier(memo, keep)
        for module, new in _filled(model, made, copier):
            _fill(module, new, copier)
    result: nn.Module = memo[id(model)]
    always = _always_training(model) if evaluated and doors.modes(model) else set()
    for name, module in result.named_modules():
        module.training = name in always
        module._compiled_call_impl = functools.partial(call, module)
    return result


def _filled(
    model: nn.Module, made: list[tuple[nn.Module, nn.Module]], copier: _Copier
) -> Iterator[tuple[nn.Module, nn.Module]]:
    """Copies that are to be filled, inner ones first: one that copies itself looks into those that it holds."""
    empty = {id(module): new for module, new in made}
    memo = copier.memo
    for path, module in list(model.named_modules())[::-1]:
        if id(module) in empty:
            yield module, empty[id(module)]
        elif id(module) not in memo:
            inner = doors.wrapped(module)
            if inner is not None:
                memo[id(module)] = memo[id(inner)]
                continue
            before = set(memo)
            try:
                memo[id(module)] = copy.deepcopy(module, memo)
            except Exception:  # its own way does not work, so it is copied as others are
                _forget(memo, before)
                new = _made(module, path)
                memo[id(module)] = new
                yield module, new


def _made(module: nn.Module, path: str) -> nn.Module:
    try:
        return type(module).__new__(type(module))
    except Exception as error:
        raise TraceError(
            f"{path or 'network'}: expected a module that can be copied, for the network is run apart from yours, got "
            f"{type(error).__name__}: {error}; let copy.deepcopy copy it."
        ) from error


def _forget(memo: dict[int, Any], before: set[int]) -> None:
    """Take back what a copy that failed left behind: halves of lists, for one."""
    for key in memo.keys() - before:
        del memo[key]


def _always_training(model: nn.Module) -> set[str]:
    """The modules that the user's own eval() leaves in training mode, by name: Monte-Carlo dropout, say."""
    trial = twin(model, evaluated=False)
    doors.settle(trial, {name: module.training for name, module in model.named_modules()})
    return {name for name, module in trial.named_modules() if module.training}


def call(module: nn.Module, *args: Any, forward: Any = None, **kwargs: Any) -> Any:
    """What `module(...)` does: its own hooks and its forward, without the hooks that were set for all modules.

    forward: run in the place of the module's own, as forward(module, args, kwargs).
    """
    with_kwargs = module._forward_pre_hooks_with_kwargs
    for key, hook in module._forward_pre_hooks.items():
        if key in with_kwargs:
            changed = hook(module, args, kwargs)
            args, kwargs = (args, kwargs) if changed is None else changed
        else:
            changed = hook(module, args)
            args = args if changed is None else changed if isinstance(changed, tuple) else (changed,)
    value = module.forward(*args, **kwargs) if forward is None else forward(module, args, kwargs)
    for key, hook in module._forward_hooks.items():
        more = (kwargs,) if key in module._forward_hooks_with_kwargs else ()
        changed = hook(module, args, *more, value)
        value = value if changed is None else changed
    return value


@functools.lru_cache(maxsize=4096)
def _copies_itself(kind: Any) -> bool:
    """Whether a class has its own way to be copied, which is then the right one."""
    if kind.__module__ == "torch.nn.utils.parametrize" and kind.__name__.startswith("Parametrized"):
        kind = kind.__mro__[1]  # it refuses to be pickled, no more; what is said of pickles alone may leave out a part
    return any(getattr(kind, name, None) is not getattr(nn.Module, name, None) for name in ("__deepcopy__", "__new__"))


def _double(tensor: Tensor, is_parameter: bool, large: bool = False, borrow: bool = False) -> Tensor:
    """A tensor's values in double precision on the CPU, in memory of their own; one without values as it is."""
    if tensor.is_meta:
        return tensor
    if large and borrow and is_lent(tensor):
        return nn.Parameter(tensor.detach(), requires_grad=False) if is_parameter else tensor.detach()
    dtype = torch.float64 if tensor.is_floating_point() and not (large and is_large(tensor)) else tensor.dtype
    value = tensor.detach().to(device="cpu", dtype=dtype, copy=True)
    return nn.Parameter(value, requires_grad=False) if is_parameter else value


def signature(model: nn.Module) -> tuple[Any, ...] | None:
    """All that a module is besides the values of its tensors; None where it holds more than plain values, which may change.

    Two equal ones of one module: the same classes, modules, tied tensors and attributes.
    """
    found: list[Any] = []
    for module in model.modules():
        found.append((id(module), type(module)))
        for name, value in module.__dict__.items():
            kind = type(value)
            if name == "_compiled_call_impl":
                continue
            if kind in SCALARS:
                found.append((name, value))
            elif kind in EMPTY and not value:
                found.append((name, kind))
            elif name in ("_parameters", "_buffers"):
                found.append((name, *((k, id(t), None if t is None else (t.shape, t.dtype)) for k, t in value.items())))
            elif name == "_modules":
                found.append((name, *((k, id(m)) for k, m in value.items())))
            elif kind in (tuple, set, list) and all(type(one) in SCALARS for one in value):
                found.append((name, kind, frozenset(value) if kind is set else tuple(value)))
            elif kind in (torch.dtype, torch.device):
                found.append((name, value))
            else:
                return None
    return tuple(found)


class _Copying(TorchFunctionMode):
    """Tensors are copied without history and in double precision, in this thread alone."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.__deepcopy__:
            tensor, memo = args
            if id(tensor) not in memo:
                memo[id(tensor)] = _double(tensor, isinstance(tensor, nn.Parameter))
            return memo[id(tensor)]
        value = func(*args, **(kwargs or {}))
        if func is Tensor.clone and value.is_floating_point() and not value.is_meta:  # a parameter that copies itself
            return value.to(device="cpu", dtype=torch.float64)
        return value


def _itself(value: Any) -> Any:
    return value


class _Copier:
    """Copies attributes with one memory of what was copied."""

    def __init__(self, memo: dict[int, Any], keep: list[Any]):
        self.memo, self.keep = memo, keep

    def __call__(self, value: Any, where: str) -> Any:
        if type(value) in SCALARS or isinstance(value, doors.PLAIN):
            return value
        if id(value) in self.memo:
            return self.memo[id(value)]
        if isinstance(value, (types.FunctionType, types.MethodType, functools.partial)):
            return self.function(value, where)
        if type(value) in EMPTY and not value:
            return type(value)()
        self.keep.append(value)
        self._references(value, where)
        before = set(self.memo)
        try:
            return copy.deepcopy(value, self.memo)
        except Exception:  # of any kind: locks, files, handles of other libraries
            _forget(self.memo, before)
            self._stand_in(value)
        before = set(self.memo)
        try:
            return copy.deepcopy(value, self.memo)
        except Exception as error:
            _forget(self.memo, before)
            return self._one_by_one(value, where) or doors.StandIn(where, f"{type(error).__name__}: {error}")

    def _one_by_one(self, value: Any, where: str) -> Any:
        """A list, tuple or dictionary of which one entry cannot be copied, and the others can; None for anything else."""
        if type(value) is dict:
            return {key: self(inner, where) for key, inner in value.items()}
        return type(value)(self(inner, where) for inner in value) if type(value) in (list, tuple) else None

    def function(self, value: Any, where: str) -> Any:
        """A function over copies of what it closes over and of the containers and modules that it names."""
        if isinstance(value, types.MethodType):
            return types.MethodType(value.__func__, self(value.__self__, where))
        if isinstance(value, functools.partial):
            words = {name: self(v, where) for name, v in value.keywords.items()}
            return functools.partial(self(value.func, where), *(self(v, where) for v in value.args), **words)
        self.keep.append(value)
        names = [name for name in doors.names(value.__code__) if name in value.__globals__]
        mutable = {name: value.__globals__[name] for name in names if _holds(value.__globals__[name], self.memo)}
        writes = _writes_globals(value.__code__)
        if not (value.__closure__ or mutable or writes or value.__defaults__ or value.__kwdefaults__):
            return value
        cells = tuple(types.CellType() for _ in value.__closure__ or ())
        new = types.FunctionType(
            value.__code__, dict(value.__globals__) if mutable or writes else value.__globals__, value.__name__,
            None, cells or None,
        )  # fmt: skip
        self.memo[id(value)] = new
        if mutable:
            new.__globals__.update({name: self(v, where) for name, v in mutable.items()})
        for cell, old in zip(cells, value.__closure__ or (), strict=True):
            try:
                cell.cell_contents = self(old.cell_contents, where)
            except ValueError:
                pass  # an empty cell
        new.__defaults__ = tuple(self(v, where) for v in value.__defaults__) if value.__defaults__ else None
        kwdefaults = value.__kwdefaults__
        new.__kwdefaults__ = {k: self(v, where) for k, v in kwdefaults.items()} if kwdefaults else None
        new.__dict__.update(value.__dict__)
        return new

    def _stand_in(self, value: Any) -> None:
        """Remember copies of what in a value cannot be copied."""
        for one in doors.leaves(value, self.memo):
            if isinstance(one, doors.LOCKS):
                self.memo[id(one)] = threading.Lock() if isinstance(one, doors.LOCKS[0]) else threading.RLock()
            elif isinstance(one, doors.SHARED):
                self.memo[id(one)] = one

    def _references(self, value: Any, where: str) -> None:
        """Remember copies of functions and weak references in a value, which deepcopy would share with the original."""
        for one in doors.leaves(value, self.memo):
            if isinstance(one, (types.FunctionType, functools.partial)):
                self.keep.append(one)
                self.memo[id(one)] = self.function(one, where)
            elif isinstance(one, weakref.ReferenceType) and (target := one()) is not None:
                self.keep.append(one)
                self.memo[id(one)] = functools.partial(_itself, self(target, where))  # the copy's own, which stays alive


def _fill(module: nn.Module, new: nn.Module, copier: _Copier) -> None:
    """Give a copy what the module has."""
    held = new.__dict__
    for name, value in module.__dict__.items():
        if name in ("_parameters", "_buffers", "_modules"):
            held[name] = type(value)((key, v if v is None else copier.memo[id(v)]) for key, v in value.items())
        elif name in FORWARD and value:
            heard = ((key, hook) for key, hook in value.items() if not is_silent(hook))
            held[name] = OrderedDict((key, copier(hook, _called(hook))) for key, hook in heard)
        elif name in BACKWARD or name == "_is_hf_initialized":
            held[name] = OrderedDict() if name in BACKWARD else value
        elif name in TRAINERS or name == "_compiled_call_impl":
            held[name] = None
        elif name == "training":
            held[name] = False
        else:
            held[name] = copier(value, f"{type(module).__name__}.{name}")
    if isinstance(module, nn.DataParallel):
        held["device_ids"] = []  # it calls its module in place
    doors.shadowed(new)


def _called(hook: Any) -> str:
    code = getattr(hook, "__code__", None)
    at = f" ({code.co_filename}, line {code.co_firstlineno})" if code else ""
    return f"hook {getattr(hook, '__qualname__', type(hook).__name__)}{at}"


# ---- what functions do -----------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def _writes_globals(code: types.CodeType) -> bool:
    return any(step.opname == "STORE_GLOBAL" for step in dis.get_instructions(code))


def _holds(value: Any, memo: dict[int, Any]) -> bool:
    """Whether a global is something that a function could change, or a part of the module itself."""
    return id(value) in memo or isinstance(value, (list, dict, set, bytearray, Tensor, nn.Module)) or (
        hasattr(value, "__dict__") and not isinstance(value, (type, types.ModuleType, types.FunctionType, types.MethodType))
        and not callable(value)
    )  # fmt: skip


PURE = frozenset(
    name for name in dir(Tensor) if not name.endswith("_") or name in ("__getitem__", "__len__")
) - {"data", "set_", "resize", "copy"}
"""What may be asked of a tensor without changing it."""
RECORDING = frozenset(
    "append extend insert update setdefault add_scalar add_scalars add_histogram log info debug warning write put "
    "observe record items keys values get format join".split()
)
"""Methods of what keeps records, on which a hook may call."""
BUILTINS = frozenset(
    "print len float int str bool list tuple dict set range enumerate zip isinstance min max sum abs repr torch".split()
)


def is_silent(hook: Any) -> bool:
    """Whether a hook can be seen to return nothing and to write to no tensor: it watches, and is left out."""
    return isinstance(hook, types.FunctionType) and _is_silent(hook.__code__)


@functools.lru_cache(maxsize=1024)
def _is_silent(code: types.CodeType) -> bool:
    if any(isinstance(const, types.CodeType) and not _is_pure(const) for const in code.co_consts) or not _is_pure(code):
        return False
    steps = list(dis.get_instructions(code))
    for before, step in zip([None, *steps], steps, strict=False):
        if step.opname == "RETURN_CONST" and step.argval is not None:
            return False
        nothing = before is not None and before.opname == "LOAD_CONST" and before.argval is None
        if step.opname == "RETURN_VALUE" and not nothing:
            return False
    return True


def _is_pure(code: types.CodeType) -> bool:
    """Whether no step of the code can write to a tensor, or call what might."""
    words = {name for const in code.co_consts if isinstance(const, tuple) for name in const if isinstance(name, str)}
    if words & {"inplace", "out"}:
        return False
    for step in dis.get_instructions(code):
        name = step.argval
        if step.opname in ("STORE_ATTR", "STORE_SUBSCR", "DELETE_SUBSCR", "STORE_GLOBAL", "STORE_DEREF", "IMPORT_NAME"):
            return False
        if step.opname.startswith("BINARY_OP") and step.argrepr.endswith("="):
            return False
        if step.opname in ("LOAD_ATTR", "LOAD_METHOD") and name not in PURE and name not in RECORDING:
            return False
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and name not in BUILTINS and not step.opname == "LOAD_DEREF":
            return False
    return True
