"""Listening: a module runs once on a few random inputs, and every call of torch that it makes is written down as steps.

    with Listener(tape, batch): module(x)        a torch function mode: of this thread alone, nothing is patched

The forward is the user's own Python, run as it is: shapes are numbers, loops and assertions on shapes work, weights that
are computed from others are computed. What cannot be written down gives a tensor that is refused when it is used: by
path, operation and remedy, with the line of the user's file. So is whatever reads the values of a tensor that depends on
the input, for then the forward may go another way at other inputs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from splineviz.errors import TraceError
from splineviz.tracing import masks, twins
from splineviz.tracing.aten import ATEN
from splineviz.tracing.call import Call, here, refusal
from splineviz.tracing.displaced import APART, Displaced, placed
from splineviz.tracing.functions import CALLS
from splineviz.tracing.kinks import of_modules
from splineviz.tracing.masks import Mask
from splineviz.tracing.modules import emitter
from splineviz.tracing.precision import double, doubled, is_random, narrowing, tell_narrowing
from splineviz.tracing.program import operations
from splineviz.tracing.reshaping import overlaid, written_into
from splineviz.tracing.smooth import SMOOTH
from splineviz.tracing.tape import Live, Tape

OTHERS_SHAPE = ("expand_as", "view_as", "reshape_as", "to", "type_as")
"""Calls that read nothing but the shape or type of their second argument."""
SHAPES_ALONE = (
    "zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "new_zeros", "new_ones", "new_full",
    "new_empty", "new_tensor",
)  # fmt: skip
READING = (
    "__bool__", "__float__", "__int__", "__index__", "__complex__", "__contains__", "item", "tolist", "numpy", "__array__",
    "equal", "allclose", "is_nonzero", "__dlpack__", "_local_scalar_dense")  # fmt: skip
"""Calls that hand values to Python, where nothing can follow them."""
FINITE = ("isnan", "isinf", "isfinite", "isposinf", "isneginf")
"""Calls that say the same of all finite numbers."""
MODAL = ("Dropout", "BatchNorm", "InstanceNorm", "RReLU")  # modules that do something else in training mode
REVERSED = {"rsub": ("sub", True), "rdiv": ("div", True), "radd": ("add", True),
            "rmul": ("mul", True), "rmatmul": ("matmul", True)}  # fmt: skip
SAME = {"floordiv": "floor_divide", "rpow": "pow", "and": "bitwise_and", "or": "bitwise_or"}


Known = Live | Displaced | Mask | TraceError
"""What is known of a tensor that depends on the input."""


class Listener(TorchFunctionMode):
    """Writes what a module's twin does on a tape. names: paths of its modules; prefix: stands in front of them."""

    def __init__(self, tape: Tape, batch: int, module: nn.Module, prefix: str):
        super().__init__()
        self.tape, self.batch = tape, batch
        self.paths = {
            id(m): "" if f"{name}." == prefix else name.removeprefix(prefix) for name, m in module.named_modules()
        }
        self.module = module
        self.stack, self.path = list[str](), ""  # path: of an exported program's node, which has no modules
        self.quiet, self.random = 0, ""
        self.random_at: str | None = None  # the line of the user's file
        self.wrote = ""  # a weight into which forward writes
        self.tainted: set[int] = set()
        self._known: dict[int, tuple[Tensor, Known]] = {}

    def __enter__(self) -> Any:
        """Hear the calls of the twin's modules too: bound on them, not on their classes."""
        for m in self.module.modules():
            m._compiled_call_impl = lambda *args, _m=m, **kwargs: self.call(_m, args, kwargs)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        """Leave the twin as it was."""
        for m in self.module.modules():
            m._compiled_call_impl = functools.partial(twins.call, m)
        super().__exit__(*error)

    def live(self, tensor: Tensor) -> Known | None:
        """What is known of a tensor that depends on the input; None if it does not."""
        found = self._known.get(id(tensor))
        return None if found is None else found[1]

    def know(self, tensor: Tensor, found: Known) -> None:
        """Remember a tensor that depends on the input."""
        self._known[id(tensor)] = (tensor, found)  # an identity is a name only as long as its owner lives

    # ---- modules ---------------------------------------------------------------------------------------

    def call(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What `module(...)` does, on the tape."""
        self.stack.append(self.paths.get(id(module), type(module).__name__))
        try:
            return twins.call(module, *args, forward=self._forward, **kwargs)
        finally:
            self.stack.pop()

    def _forward(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        lives = list(self._lives((args, kwargs)))
        if self.quiet or not lives or not _is_leaf(module):
            return module.forward(*args, **kwargs)
        if any(isinstance(found, Displaced) for _, found in lives) and _as_calls(module):
            return module.forward(*args, **kwargs)  # one call of torch, which is heard
        if module.training and any(kind in type(module).__name__ for kind in MODAL):
            raise TraceError(
                f"{self.stack[-1]}: expected {type(module).__name__} in evaluation mode, got it in training mode, where it "
                "is random or goes by the batch; let the module's own train() and eval() pass the mode on to it."
            )
        broken = next((f if isinstance(f, TraceError) else f.refused for _, f in lives if not isinstance(f, Live)), None)
        emit = None if broken is not None else emitter(module)
        with self._silently():
            value = module.forward(*args, **kwargs)
            call = Call(self.tape, self.stack[-1], type(module).__name__, self._told(args), self._told(kwargs), value)
            self.tape.path = call.path
            error: TraceError | None = None
            try:
                found = None if emit is None else emit(module, call)
            except TraceError as caught:
                found, error = None, caught
            except (RuntimeError, TypeError, IndexError, KeyError, AssertionError, StopIteration):
                found = None
            error = broken or error
        inplace = bool(getattr(module, "inplace", False))
        with torch._C.DisableTorchFunction():
            self._written(call, found, value, error or call.refused(), args[:1] if inplace else ())
        return value

    @contextmanager
    def _silently(self) -> Iterator[None]:
        self.quiet += 1
        try:
            yield
        finally:
            self.quiet -= 1

    # ---- calls -----------------------------------------------------------------------------------------

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name, swap = _name(func)
        lives = [] if self.quiet else list(self._lives((args, kwargs)))
        if (narrow := narrowing(func, args, kwargs)) is not None:
            tell_narrowing(self._place(name), here(), narrow, () if lives or self.quiet else args[:1])
        if self.tainted and not self.quiet:
            self._check_memory(name, (args, kwargs))
        if is_random(name):
            self.random, self.random_at = (self.random, self.random_at) if self.random else (self._place(name), here())
        if not lives or self._only_a_shape(name, args) or (name in FINITE and isinstance(lives[0][1], Live)):
            return self._constant(func, args, kwargs)
        if name in READING:
            raise self._control_flow(name)
        changes = (args[0],) if name == "setitem" else _changes(func, args)
        before = [a.clone() if isinstance(a, Tensor) and self.live(a) is None else None for a in changes]
        value = double(func, args, kwargs)
        if not any(isinstance(v, Tensor) for v in _flat(value)) and name != "setitem":
            return value  # only a shape: its consumers see the number
        if name == "empty":
            return value
        broken = next((found for _, found in lives if isinstance(found, TraceError)), None)
        if broken is not None:  # it may be that nothing comes of it
            for one in _flat(args[0] if name == "setitem" else value):
                if isinstance(one, Tensor):
                    self.know(one, broken)
            return value
        told = self._told(args)
        if before and before[0] is not None:  # as it was before the call wrote into it
            told = (doubled(before[0]), *told[1:])
        call = Call(self.tape, self._place(name), name, told[::-1] if swap else told, self._told(kwargs), value)
        if name == "getattr":
            call = Call(self.tape, call.path, name, (told[0], func.__self__.__name__), {}, value)
        self.tape.path = call.path
        error, found = None, None
        try:
            found = self._emitted(func, call, lives)
        except TraceError as caught:
            error = caught
        except (RuntimeError, TypeError, IndexError, KeyError, AssertionError, StopIteration):  # arguments of no known kind
            error = None
        self._written(call, found, args[0] if name == "setitem" else value, error or call.refused(), changes)
        return value

    def _emitted(self, func: Any, call: Call, lives: Sequence[tuple[Tensor, Any]]) -> Any:
        if call.name in masks.COMPARISONS:
            return masks.compared(call)
        if call.name in ("sign", "sgn"):
            return masks.signs(call)
        if any(isinstance(found, Mask) for _, found in lives):
            found = masks.chosen(call)
            if found is None:
                raise next(m.refused for _, m in lives if isinstance(m, Mask))
            return found
        if call.name == "setitem" and not any(isinstance(found, Displaced) for _, found in lives):
            return written_into(call, self.batch)
        if (away := placed(call, CALLS)) is not None:
            return away
        exported = isinstance(func, (torch._ops.OpOverload, torch._ops.OpOverloadPacket))
        table = ATEN if call.name in ATEN and (exported or call.name not in CALLS) else CALLS
        return table[call.name](call) if call.name in table else None

    def _constant(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """A call that reads no live tensor: from which weights its result was computed."""
        for changed in _changes(func, args):
            self.wrote = self.wrote or self.tape.keys.get(id(changed), "")
        value = double(func, args, kwargs)
        results = [one for one in _flat(value) if isinstance(one, Tensor)]
        reads = not results and getattr(func, "__name__", "") in (*READING, "data_ptr", "untyped_storage", "storage")
        if results or reads:
            sources: set[str] = set()
            for tensor in _flat((args, kwargs)):
                if isinstance(tensor, Tensor):
                    sources |= self.tape.sources.get(id(tensor), set())
            for one in results:
                self.tape.computed(one, sources)
            if reads:  # what Python makes of the values, a number perhaps, goes with these weights alone
                self.tape.bound_to(sources)
        return value

    def _written(self, call: Call, found: Any, value: Any, error: TraceError, changed: Sequence[Any]) -> None:
        """Check what was written, and remember it as what the call gave; `changed`: tensors that it was written into."""
        results = list(value) if isinstance(value, (tuple, list)) else [value]
        located = self._located(error)
        if isinstance(found, Mask) or found is None:
            pairs: list[tuple[Any, Any]] = [(one, found or located) for one in results]
        else:
            lives = list(found) if isinstance(found, tuple) else [found]
            why = "jump, so the network is not continuous; use values"
            indices = TraceError(refusal(call.path, "indices", operations(), why))
            pairs = list(zip(results, [*lives, *[indices] * (len(results) - len(lives))], strict=False))
            self._check(pairs, call)
        for tensor in changed:
            if isinstance(tensor, Tensor):
                self._overwrite(tensor, pairs[0][1] if isinstance(pairs[0][1], Live) else located)
        for one, what in pairs:
            if isinstance(one, Tensor):
                self.know(one, what)
        if self.tape.steps and self.tape.steps[-1].op in SMOOTH and (where := here()) is not None:
            self.tape.lines.setdefault(self.tape.steps[-1].path, where)

    def _overwrite(self, tensor: Tensor, found: Live | TraceError) -> None:
        """Every name of a tensor's memory sees what was written into it."""
        memory = tensor.untyped_storage().data_ptr()
        stale = self._stale()
        self.tainted |= {memory} - {0}
        for other, old in list(self._known.values()):
            if other is tensor or not isinstance(old, Live) or other.untyped_storage().data_ptr() != memory:
                continue
            same = (other.data_ptr(), other.shape, other.stride()) == (tensor.data_ptr(), tensor.shape, tensor.stride())
            seen: Live | None = found if same and isinstance(found, Live) else None
            if not same and isinstance(found, Live):
                seen = overlaid(self.tape, old, found, other, tensor)
            self.know(other, seen or stale)
        for key, weight in self.tape.tensors.items():
            if memory and weight.untyped_storage().data_ptr() == memory:
                raise TraceError(f"{key}: expected weights that forward leaves alone, got one into which it writes.")

    def _stale(self) -> TraceError:
        return self._located(TraceError(
            f"{self._place('view')}: the traced program differs from the module: an operation writes into a view of a "
            "tensor that is used elsewhere; write into a copy, or return a new tensor."
        ))  # fmt: skip

    def _check_memory(self, name: str, values: Any) -> None:
        """Refuse tensors in whose memory something that depends on the input was written under another name."""
        for value in _flat(values):
            if isinstance(value, Tensor) and self.live(value) is None and value.untyped_storage().data_ptr() in self.tainted:
                raise self._stale()

    def _check(self, pairs: Sequence[tuple[Any, Any]], call: Call) -> None:
        """What was written gives what the module gives, in shape and, within the rounding of what was summed, in number."""
        path = call.path
        for theirs, ours in pairs:
            if not isinstance(ours, (Live, Displaced)):
                continue
            batch = ours.at if isinstance(ours, Displaced) else 0
            if ours.value.shape != theirs.shape or ours.value.shape[batch : batch + 1] != (self.batch,):
                raise TraceError(
                    f"{path}: expected a batch of {self.batch} to stay one, got shape {tuple(theirs.shape)}: this mixes the "
                    "batch dimension with others; keep the batch in front."
                )
            scale = float(theirs.abs().max()) if theirs.numel() else math.inf
            if not math.isfinite(scale):
                continue
            off = float((ours.value - theirs).abs().max())
            if not off <= 1e-9 * scale and isinstance(ours, Live):  # numbers that cancel leave their rounding
                lives = [one for one in _flat([*call.args, *call.kwargs.values()]) if isinstance(one, Live)]
                scale = max(scale, self.tape.summed(call.since, lives, ours.register))
            if not off <= 1e-9 * scale:
                raise TraceError(
                    f"{path}: the traced program differs from the module; does an operation write into a view of its input? "
                    "Otherwise please report the network."
                )
            if off > 0.0 and ours.value.is_contiguous():  # so that each call is held against the module by itself
                ours.value.copy_(theirs)

    # ---- words -----------------------------------------------------------------------------------------

    def _lives(self, values: Any) -> Iterator[tuple[Tensor, Known]]:
        for value in _flat(values):
            if isinstance(value, Tensor) and (found := self.live(value)) is not None:
                yield value, found

    def _told(self, values: Any) -> Any:
        """Arguments with what is known of live tensors in their place."""
        if isinstance(values, Tensor):
            found = self.live(values)
            return found if found is not None else values if id(values) in self.tape.keys else doubled(values)
        if isinstance(values, list):
            return [self._told(value) for value in values]
        if type(values) is tuple:
            return tuple(map(self._told, values))
        if isinstance(values, dict):
            return {key: self._told(value) for key, value in values.items()}
        return values

    def _only_a_shape(self, name: str, args: tuple[Any, ...]) -> bool:
        """Whether nothing but the shape of live tensors is read."""
        if name in SHAPES_ALONE:
            return True
        return name in OTHERS_SHAPE and not (args and isinstance(args[0], Tensor) and self.live(args[0]) is not None)

    def _place(self, name: str) -> str:
        owner = self.path or next((path for path in reversed(self.stack) if path), "")
        return f"{owner}.{name}" if owner else name

    def _control_flow(self, name: str) -> TraceError:
        return self._located(TraceError(
            f"{self._place(name.strip('_'))}: the forward reads values that depend on the input, so it may go another way "
            "at other inputs. Control flow that depends on the data cannot be traced; rewrite it, or slice the "
            "piecewise-affine part alone."
        ))  # fmt: skip

    def _located(self, error: TraceError) -> TraceError:
        where = here()
        said = str(error)
        return error if where is None or where in said else TraceError(f"{said} ({where})")


def _flat(values: Any) -> Iterator[Any]:
    if isinstance(values, (list, tuple)):
        for value in values:
            yield from _flat(value)
    elif isinstance(values, dict):
        for value in values.values():
            yield from _flat(value)
    elif isinstance(values, slice):
        yield from (values.start, values.stop, values.step)
    else:
        yield values


def _as_calls(module: nn.Module) -> bool:
    """Whether a module of torch's is one call, which is known where the batch is not in front."""
    kind = type(module)
    return (kind in of_modules() or kind.__name__.lower() in APART) and "forward" not in module.__dict__


def _is_leaf(module: nn.Module) -> bool:
    """Whether a module does what its class says, which is torch's own or a kink's."""
    ours = type(module).__module__.startswith(("torch.nn", "torch.ao.nn")) or type(module) in of_modules()
    return ours and not isinstance(module, (nn.Sequential, nn.DataParallel)) and "forward" not in module.__dict__


def _name(func: Any) -> tuple[str, bool]:
    """The name of what is called, the same for torch.relu, x.relu_() and aten.relu.default; whether its arguments swap."""
    if isinstance(func, torch._ops.OpOverload):
        name = func._schema.name.split("::")[-1]
    else:
        name = getattr(func, "__name__", None) or str(func)
    if name in ("__get__", "__set__"):
        attribute = getattr(getattr(func, "__self__", None), "__name__", "")
        return ("detach" if attribute == "data" else "getattr") if name == "__get__" else "setattr", False
    if name in READING:
        return name, False
    if name.startswith("__") and name.endswith("__"):
        name = name.strip("_")
        if name in REVERSED:
            return REVERSED[name]
        return SAME.get(name, name), False
    return (name if name.startswith("_") else name.rstrip("_")), False


def _changes(func: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The tensors that a call writes into."""
    if isinstance(func, torch._ops.OpOverload):
        name = func._schema.name
    else:
        name = getattr(func, "__name__", "")
    in_place = name.endswith("_") and not name.endswith("__")
    augmented = name.startswith("__i") and name.strip("_") in ("iadd", "isub", "imul", "idiv", "itruediv", "ior", "iand")
    return args[:1] if in_place or augmented else ()
