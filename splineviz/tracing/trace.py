"""torch module -> Program, proven complete.

torch.fx records the calls of a copy of the module in evaluation mode. Every call is looked up (`calls`, `modules`) and
written as steps on a tape; one that is not known is refused by module path, operation and remedy: nothing is
approximated behind the user's back. What the network computes from shapes and weights alone is run once; what comes
of it is a constant. Afterwards every step is tested: affine ones on random tensors, alone and row by row, and the
whole Program against the module, so a wrong table entry cannot pass.

This room knows no geometry.
"""

from __future__ import annotations

import copy
import functools
import inspect
import math
import re
from collections.abc import Sequence
from typing import Any

import torch
import torch.fx
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from splineviz.errors import TraceError
from splineviz.tracing.aten import ATEN
from splineviz.tracing.call import Call
from splineviz.tracing.functions import CALLS
from splineviz.tracing.modules import emitter
from splineviz.tracing.program import Program, operations
from splineviz.tracing.refusals import refusal
from splineviz.tracing.smooth import SMOOTH
from splineviz.tracing.swaps import Swap, piecewise, swapped
from splineviz.tracing.tape import Live, Tape

CONCRETE = (bool, int, float, str)
"""Defaults of further inputs that are no tensors."""
CASTS = (Tensor.float, Tensor.half, Tensor.bfloat16, Tensor.double)
TO = (Tensor.to, Tensor.type)
AUGMENTED = ("iadd", "isub", "imul", "itruediv")
OTHERS_SHAPE = ("expand_as", "view_as", "reshape_as", "type_as")
"""Calls that read nothing but the shape or type of their second argument."""
SHAPES_ALONE = ("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full", "new_tensor")
SAMPLES = 2
"""Rows of the batch that the graph is run on, unless an exported program has a batch of its own."""


def trace(model: Any, input_shape: Sequence[int], *, smooth: bool = False, swap: Swap | None = None) -> Program:
    """Trace a network for inputs of shape (n, *input_shape) into a float64 Program of its evaluation mode.

    model: a torch.nn.Module; functools.partial of one, with its further inputs; a torch.export.ExportedProgram; or a
    Program, which is returned as it is, in float64. A module is not changed.
    smooth: take GELU, tanh and their like, with which a Program can be run but has no regions. swap: draw others in their
    place, such as {"gelu": "relu"} (see `swaps`).
    Raises TraceError when an operation is not known to be piecewise affine, when Program and
    module differ on random inputs, or when there is nothing to swap.
    """
    program = _traced(model, input_shape, smooth or bool(swap))
    program = swapped(program, swap) if swap else program
    return program if smooth else piecewise(program)


def _traced(model: Any, input_shape: Sequence[int], smooth: bool) -> Program:
    if isinstance(model, Program):
        if model.input_shape != tuple(input_shape):
            raise TraceError(
                f"network: expected inputs of shape {model.input_shape}, got a plane of shape {tuple(input_shape)}."
            )
        return model.to(torch.float64)
    if isinstance(model, torch.export.ExportedProgram):
        model = model.module()
    module, prefix = _module(model)
    graph, batch = _graph(module, type(model).__name__)
    shape = tuple(int(n) for n in input_shape)
    program = _Recording(graph, shape, module, prefix, batch, smooth).program()
    _prove(program)
    _compare(program, module, batch)
    return program


def _module(model: Any) -> tuple[nn.Module, str]:
    """A copy of the module in double precision and evaluation mode, and what stands in front of its weights' names."""
    if isinstance(model, functools.partial) and isinstance(model.func, nn.Module):
        return _Bound(_module(model.func)[0], model.args, model.keywords), "network."
    if not isinstance(model, nn.Module):
        raise TraceError(f"network: expected a torch.nn.Module or a Program, got {type(model).__name__}.")
    # float64 for the module's own sake too: the comparison below must not drown in rounding.
    module = copy.deepcopy(model).to(device="cpu", dtype=torch.float64)
    return (module if _exported(module) else module.eval()), ""


class _Bound(nn.Module):
    """A module with some of its inputs fixed."""

    def __init__(self, network: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]):
        super().__init__()
        self.network = network
        self.args = tuple(_double(a) for a in args)
        self.kwargs = {name: _double(a) for name, a in kwargs.items()}

    def forward(self, x: Tensor) -> Any:
        return self.network(*self.args, x, **self.kwargs)


def _double(value: Any) -> Any:
    is_float = isinstance(value, Tensor) and value.is_floating_point()
    return value.detach().to("cpu", torch.float64) if is_float else value


def _exported(module: nn.Module) -> bool:
    return isinstance(module, torch.fx.GraphModule) and any(
        isinstance(n.target, torch._ops.OpOverload) for n in module.graph.nodes
    )


def _graph(module: nn.Module, name: str) -> tuple[torch.fx.GraphModule, int]:
    """The recorded graph, and the number of rows that it can be run on."""
    if isinstance(module, torch.fx.GraphModule) and _exported(module):
        first = next(n for n in module.graph.nodes if n.op == "placeholder")
        rows = first.meta["val"].shape[0] if "val" in first.meta and first.meta["val"].dim() else SAMPLES
        return module, rows if isinstance(rows, int) else SAMPLES
    tracer = torch.fx.Tracer()
    tracer.proxy_buffer_attributes = True  # else buffers are lost in what is computed from them
    try:
        return torch.fx.GraphModule(module, tracer.trace(module, _defaults(module))), SAMPLES
    except Exception as error:  # fx raises many kinds; each means the forward cannot be recorded
        raise TraceError(
            f"{name}: expected a forward that torch.fx can record, got {type(error).__name__}: {error}. "
            "Control flow that depends on the data cannot be traced; rewrite it, or slice the piecewise-affine part alone."
        ) from error


def _defaults(module: nn.Module) -> dict[str, Any]:
    """Further inputs at their defaults, which `if labels is not None` must see as they are."""
    further = list(inspect.signature(module.forward).parameters.values())[1:]
    return {p.name: p.default for p in further if p.default is None or isinstance(p.default, CONCRETE)}


class Double(TorchFunctionMode):
    """Casts between floating-point types do nothing: everything is in double precision here, and rounding is not traced."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in CASTS:
            return args[0] if args[0].is_floating_point() else args[0].double()
        kwargs = kwargs or {}
        if func in TO:
            return func(*map(_wide, args), **{name: _wide(value) for name, value in kwargs.items()})
        return func(*args, **kwargs)


def _wide(value: Any) -> Any:
    return torch.float64 if isinstance(value, torch.dtype) and value.is_floating_point else value


class _Recording(torch.fx.Interpreter):
    """Runs the graph once on a few random inputs, and writes down the steps it sees."""

    def __init__(
        self, graph: torch.fx.GraphModule, input_shape: tuple[int, ...], module: nn.Module, prefix: str, batch: int,
        smooth: bool,
    ):  # fmt: skip
        super().__init__(graph, garbage_collect_values=False)
        self.extra_traceback = False  # our messages name the operation; fx would append its own trace
        self.batch, self.prefix = batch, prefix
        tensors = {key.removeprefix(prefix): t for key, t in module.state_dict(keep_vars=True).items()}
        self.tape = Tape(input_shape, tensors, smooth=smooth)
        self.live: dict[torch.fx.Node, Any] = {}
        self.result: Live | None = None

    def program(self) -> Program:
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(self.batch, *self.tape.input_shape, dtype=torch.float64, generator=generator)
        with torch.no_grad(), Double():
            try:
                self.run(x)
            except TraceError:
                raise
            except Exception as error:  # the user's own code, of which any may come
                raise TraceError(
                    f"network: expected to run on inputs of shape (n, {', '.join(map(str, self.tape.input_shape))}), "
                    f"got {error}; do the samples fit the network?"
                ) from error
        assert self.result is not None
        return self.tape.program(self.result.register)

    def run_node(self, n: torch.fx.Node) -> Any:
        """Run a node as it is, and record it if it depends on the input."""
        if n.op == "call_module" and n.target == "_guards_fn":
            return None  # an exported program's checks of its inputs' sizes
        if n.op == "placeholder" and self.live:
            if not n.args:  # args: its default
                raise self._second_input(n)
            value = super().run_node(n)
            if value is not None and not isinstance(value, CONCRETE):
                raise self._second_input(n)
            return value
        if n.op == "output":
            value = super().run_node(n)
            source = n.args[0]
            if isinstance(source, (tuple, list)) and len(source) == 1 and _exported(self.module):
                source = source[0]
            found = self.live.get(source) if isinstance(source, torch.fx.Node) else None
            if not isinstance(found, Live):
                raise TraceError(
                    "forward: expected one tensor that depends on the input as output; return the logits alone."
                )
            self.result = found
            return value
        value = super().run_node(n)
        if not n.users and n.op != "placeholder" and not _in_place(n, self.module):
            return value  # nothing reads it: indices of a maximum, say
        if n.op == "placeholder":
            self.live[n] = Live(0, value.clone())
        elif n.op == "get_attr":
            pass
        elif any(a in self.live for a in n.all_input_nodes) and not self._only_a_shape(n):
            self._record(n, value)
        else:
            self._constant(n, value)
        return value

    def _only_a_shape(self, n: torch.fx.Node) -> bool:
        """Whether nothing but the shape of live tensors is read."""
        name = _name(n)
        return name in SHAPES_ALONE or (name in OTHERS_SHAPE and n.all_input_nodes[0] not in self.live)

    def _constant(self, n: torch.fx.Node, value: Any) -> None:
        """Remember from which weights a tensor was computed."""
        sources: set[str] = set()
        for a in n.all_input_nodes:
            sources |= self.tape.sources.get(id(self.env[a]), set())
        for one in value if isinstance(value, (tuple, list)) else [value]:
            if isinstance(one, Tensor):
                self.tape.computed(one, sources)

    def _record(self, n: torch.fx.Node, value: Any) -> None:
        if isinstance(value, (bool, int, float, torch.Size, torch.dtype, torch.device)) or value is None:
            return  # only a shape: its consumers see the number
        name = _name(n)
        path = str(n.target).removeprefix(self.prefix) if n.op == "call_module" else _path(n, name, self.prefix)
        self.tape.path = path
        source = n.all_input_nodes[0]
        if name == "getattr" and n.args[1] in ("values", "indices") and isinstance(self.live.get(source), tuple):
            found = self._field(n, path)
        else:
            args = torch.fx.node.map_arg(n.args, self._argument)
            kwargs = dict(torch.fx.node.map_arg(n.kwargs, self._argument))
            found = self._emitted(n, Call(self.tape, path, name, args, kwargs, value))
        self._check(found, value, path)
        self.live[n] = found
        if _in_place(n, self.module) and isinstance(found, Live):
            changed = self.live[n.all_input_nodes[0]]
            self.live |= {other: found for other, old in self.live.items() if old is changed}

    def _field(self, n: torch.fx.Node, path: str) -> Live:
        values = self.live[n.all_input_nodes[0]]
        if n.args[1] == "indices":
            raise TraceError(refusal(path, "indices", operations(), "jump, so the network is not continuous; use values"))
        return values[0]

    def _argument(self, node: torch.fx.Node) -> Any:
        return self.live.get(node, self.env.get(node))

    def _emitted(self, n: torch.fx.Node, call: Call) -> Any:
        if n.op == "call_module":
            module = self.module.get_submodule(str(n.target))
            emit = emitter(module)
            call = Call(call.tape, call.path, type(module).__name__, call.args, call.kwargs, call.value)
            if emit is None:
                raise call.refused()
            return emit(module, call)
        table = ATEN if isinstance(n.target, torch._ops.OpOverload) and call.name in ATEN else CALLS
        if call.name not in table:
            raise call.refused()
        return table[call.name](call)

    def _check(self, found: Any, value: Any, path: str) -> None:
        """What was written gives what the module gives, in shape and number."""
        written = found if isinstance(found, tuple) else (found,)
        given = value if isinstance(value, (tuple, list)) else (value,)
        for ours, theirs in zip(written, given, strict=False):
            if ours.value.shape != theirs.shape or ours.value.shape[:1] != (self.batch,):
                raise TraceError(
                    f"{path}: expected a batch of {self.batch} to stay one, got shape {tuple(theirs.shape)}: this mixes the "
                    "batch dimension with others; keep the batch in front."
                )
            scale = float(theirs.abs().max())
            if math.isfinite(scale) and not float((ours.value - theirs).abs().max()) <= 1e-9 * scale:
                raise TraceError(
                    f"{path}: the traced program differs from the module; does an operation write into a view of its input? "
                    "Otherwise please report the network."
                )

    def _second_input(self, n: torch.fx.Node) -> TraceError:
        return TraceError(f"forward: expected one input, got a second one {n.name!r}; bind it with functools.partial.")


def _name(n: torch.fx.Node) -> str:
    """The name of what is called, the same for torch.relu, x.relu_() and aten.relu.default."""
    if n.op == "call_module":
        return "module"
    if isinstance(n.target, torch._ops.OpOverload):
        name = n.target._schema.name.split("::")[-1]
    else:
        name = n.target if isinstance(n.target, str) else getattr(n.target, "__name__", str(n.target))
    return name if name.startswith("_") else name.rstrip("_")


def _in_place(n: torch.fx.Node, module: nn.Module) -> bool:
    if n.op == "call_module":
        return bool(getattr(module.get_submodule(str(n.target)), "inplace", False))
    name = n.target if isinstance(n.target, str) else getattr(n.target, "__name__", "")
    if isinstance(n.target, torch._ops.OpOverload):
        name = n.target._schema.name
    return bool(n.kwargs.get("inplace")) or name in AUGMENTED or (name.endswith("_") and not name.endswith("__"))


def _path(n: torch.fx.Node, name: str, prefix: str) -> str:
    stack = n.meta.get("nn_module_stack")
    owner = _dotted(str(stack[next(reversed(stack))][0] if stack else ""))  # its key is not always the path
    owner = "" if f"{owner}." == prefix else owner.removeprefix(prefix)
    return f"{owner}.{name}" if owner else name


def _dotted(owner: str) -> str:
    """A module's path from what torch.export writes: "net.0" as it is, also from 2.6's "getattr(L['self'].net, '0')"."""
    if not re.search(r"\bL\['", owner):
        return owner
    inner = re.compile(r"getattr\(([^()]*), '([^']*)'\)")
    while inner.search(owner):
        owner = inner.sub(r"\1.\2", owner)
    return re.sub(r"\['?([^]']*)'?\]", r".\1", owner).removeprefix("L.").partition(".")[2]


# ---- proof -----------------------------------------------------------------------------------------------------------


def _prove(program: Program) -> None:
    """Every affine step is affine, its homogeneous form is its linear part, and no row of a batch sees another."""
    generator = torch.Generator().manual_seed(2)
    shapes: dict[int, tuple[int, ...]] = {0: program.input_shape}
    for i, step in enumerate(program.steps):
        a, b = (
            {r: torch.randn(3, *shapes[r], dtype=torch.float64, generator=generator) for r in step.inputs} for _ in range(2)
        )

        def run(live: dict[int, Tensor], homogeneous: bool = False, i: int = i) -> Tensor:
            return program.run(live, i, i + 1, homogeneous=homogeneous)[program.steps[i].output]

        with torch.no_grad():
            fa = run(a)
            shapes[step.output] = tuple(fa.shape[1:])
            if not torch.isfinite(fa).all():
                return  # the comparison with the module says so, in words about weights
            scale = 1e-9 * float(fa.abs().max().clamp_min(1e-300)) * 4.0
            apart = torch.cat([run({r: t[k : k + 1] for r, t in a.items()}) for k in range(3)])
            if not float((apart - fa).abs().max()) <= scale:
                raise TraceError(f"{step.path}: {step.op} mixes the rows of a batch; keep the batch in front.")
            if step.is_kink or step.is_max or step.op in SMOOTH:
                continue
            f0, fb = run({r: torch.zeros_like(t) for r, t in a.items()}), run(b)
            both = {r: a[r] + b[r] for r in a}
            scale += 4e-9 * float(max(fb.abs().max(), f0.abs().max()))
            affine = float((fa + fb - f0 - run(both)).abs().max()) <= scale
            linear = float((run(a, True) - (fa - f0)).abs().max()) <= scale
        if not (affine and linear):
            raise TraceError(
                f"{step.path}: the traced program differs from the module's own kind: {step.op} is not affine; "
                "please report the network."
            )


def _compare(program: Program, module: nn.Module, batch: int) -> None:
    """Program and module agree on random inputs of several scales, or TraceError."""
    generator = torch.Generator().manual_seed(1)
    rows = batch * -(-8 // batch)
    x = torch.randn(rows, *program.input_shape, dtype=torch.float64, generator=generator)
    x = x * torch.logspace(-2, 2, rows, dtype=torch.float64).reshape(-1, *[1] * len(program.input_shape))
    size = batch if _exported(module) else rows
    with torch.no_grad(), Double():
        ours = program(x.clone())
        parts = [module(part.clone()) for part in x.split(size)]
        theirs = torch.cat([p[0] if isinstance(p, (tuple, list)) else p for p in parts]).reshape(rows, -1)
    if not torch.isfinite(theirs).all():
        odd = [key for key, weight in program.weights.items() if not torch.isfinite(weight).all()]
        where = f"there are NaN or infinite weights in {', '.join(odd[:8])}" if odd else "its weights are finite: too large?"
        raise TraceError(f"network: expected finite outputs, got NaN or infinity; {where}.")
    worst = float((ours - theirs).abs().max() / theirs.abs().max().clamp_min(torch.finfo(torch.float64).tiny))
    if not worst <= 1e-9 * math.sqrt(len(program.steps) + 1):
        raise TraceError(
            f"network: the traced program differs from the module by {worst:.3g} of its output; please report the network."
        )
