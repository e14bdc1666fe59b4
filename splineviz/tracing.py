"""torch module -> Program, proven complete.

torch.fx records the calls of a copy of the module in evaluation mode. Every call is looked up in a
table of affine and kink operations; one that is in none is refused by module path, operation and
remedy: nothing is approximated behind the user's back. Calls that only compute shapes
(`x.size(0)`, `x.shape`) are run once and forgotten. Afterwards Program and module are compared on
random inputs, so a wrong table entry cannot pass.

This room knows no geometry.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.fx
from torch import Tensor, nn

from splineviz.errors import TraceError
from splineviz.ops import Program, Step, operations, renumbered

SMOOTH = {
    "gelu",
    "silu",
    "tanh",
    "sigmoid",
    "softmax",
    "log_softmax",
    "elu",
    "celu",
    "selu",
    "mish",
    "softplus",
    "logsigmoid",
    "hardswish",
    "softsign",
    "tanhshrink",
    "glu",
}
JUMPS = {"hardshrink", "threshold", "sign", "heaviside", "round", "floor", "ceil"}


def trace(model: Any, input_shape: Sequence[int]) -> Program:
    """Trace a module for inputs of shape (n, *input_shape) into a float64 Program of its evaluation mode.

    A Program is returned as it is, in float64. The module itself is not changed.
    Raises TraceError when an operation is not known to be piecewise affine, or when Program and
    module differ on random inputs.
    """
    if isinstance(model, Program):
        if model.input_shape != tuple(input_shape):
            raise TraceError(
                f"network: expected inputs of shape {model.input_shape}, got a plane of shape {tuple(input_shape)}."
            )
        return model.to(torch.float64)
    if not isinstance(model, nn.Module):
        raise TraceError(f"network: expected a torch.nn.Module or a Program, got {type(model).__name__}.")
    # float64 for the module's own sake too: the comparison below must not drown in rounding.
    module = copy.deepcopy(model).to(device="cpu", dtype=torch.float64).eval()
    try:
        graph = torch.fx.symbolic_trace(module)
    except Exception as error:  # fx raises many kinds; each means the forward cannot be recorded
        raise TraceError(
            f"{type(model).__name__}: expected a forward that torch.fx can record, got {type(error).__name__}: {error}. "
            "Control flow that depends on the data cannot be traced; rewrite it, or slice the piecewise-affine part alone."
        ) from error
    program = _Recording(graph, tuple(int(n) for n in input_shape), module).program()
    _compare(program, module)
    return program


class _Recording(torch.fx.Interpreter):
    """Runs the graph once on two random inputs, and writes down the steps it sees."""

    def __init__(self, graph: torch.fx.GraphModule, input_shape: tuple[int, ...], module: nn.Module):
        super().__init__(graph)
        self.extra_traceback = False  # our messages name the operation; fx would append its own trace
        self.input_shape = input_shape
        self.keys = {id(t): key for key, t in module.state_dict(keep_vars=True).items()}
        self.tensors = dict(module.state_dict(keep_vars=True))
        self.registers: dict[torch.fx.Node, int] = {}
        self.steps: list[Step] = []
        self.result = -1

    def program(self) -> Program:
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(2, *self.input_shape, dtype=torch.float64, generator=generator)
        with torch.no_grad():
            try:
                self.run(x)
            except TraceError:
                raise
            except (RuntimeError, ValueError, IndexError) as error:
                raise TraceError(
                    f"network: expected to run on inputs of shape (n, {', '.join(map(str, self.input_shape))}), "
                    f"got {error}; do the samples fit the network?"
                ) from error
        used = {key for step in self.steps for key in step.params.values()}
        return Program(
            self.input_shape, self.steps, self.result, {k: self.tensors[k].detach() for k in self.tensors if k in used}
        )

    def run_node(self, n: torch.fx.Node) -> Any:
        if n.op == "placeholder" and self.registers and not n.args:  # args: its default
            raise TraceError(f"forward: expected one input, got a second one {n.name!r}; bind it with functools.partial.")
        value = super().run_node(n)
        if n.op == "placeholder":
            if 0 in self.registers.values():
                if value is not None:
                    raise TraceError(
                        f"forward: expected one input, got a second one {n.name!r}; bind it with functools.partial."
                    )
            else:
                self.registers[n] = 0
        elif n.op == "output":
            source = n.args[0]
            if not isinstance(source, torch.fx.Node) or source not in self.registers:
                raise TraceError(
                    "forward: expected one tensor that depends on the input as output; return the logits alone."
                )
            self.result = self.registers[source]
        elif n.op != "get_attr" and any(a in self.registers for a in n.all_input_nodes):
            self._record(n, value)
        return value

    def _record(self, n: torch.fx.Node, value: Any) -> None:
        if not isinstance(value, Tensor):
            if isinstance(value, (int, torch.Size, torch.dtype, torch.device)):
                return  # only a shape: its consumers see the number
            raise self._refusal(n, "returns something that is not a tensor")
        step = self._module_step(n, value) if n.op == "call_module" else self._call_step(n, value)
        sources = [a for a in n.all_input_nodes if a in self.registers]
        if len(sources) != 1:
            raise self._refusal(n, "combines several tensors")
        if step is None:  # an identity in evaluation mode
            self.registers[n] = self.registers[sources[0]]
            return
        register = len(self.steps) + 1
        self.steps.append(renumbered(step, (self.registers[sources[0]],), register))
        self.registers[n] = register

    def _module_step(self, n: torch.fx.Node, value: Tensor) -> Step | None:
        path = str(n.target)
        module = self.module.get_submodule(path)
        recorder = next((MODULES[kind] for kind in type(module).__mro__ if kind in MODULES), None)
        if recorder is None or type(module).forward is not _home(type(module)).forward:
            raise self._refusal(n, "")
        step = recorder(module, value)
        if step is None:
            return None
        params = {role: self._key(t, path) for role, t in step.params.items() if t is not None}
        return Step(step.op, (), -1, params, step.attrs, path)

    def _call_step(self, n: torch.fx.Node, value: Tensor) -> Step | None:
        name = n.target if isinstance(n.target, str) else getattr(n.target, "__name__", str(n.target))
        bound = _arguments(n, self.env)
        path = _path(n, name)
        if name in RESHAPES:
            if value.shape[0] != 2:
                raise self._refusal(n, "mixes the batch dimension with others")
            return Step("reshape", (), -1, {}, {"shape": list(value.shape[1:])}, path)
        if name in ("relu", "relu_"):
            return Step("relu", (), -1, {}, {}, path)
        if name in ("leaky_relu", "leaky_relu_"):
            return Step("leaky_relu", (), -1, {}, {"negative_slope": float(bound("negative_slope", 1, 0.01))}, path)
        if name in ("abs", "absolute"):
            return Step("abs", (), -1, {}, {}, path)
        if name in IDENTITIES:
            return None
        if name == "linear":
            params = {"weight": self._key(bound("weight", 1, None), path)}
            bias = bound("bias", 2, None)
            if bias is not None:
                params["bias"] = self._key(bias, path)
            return Step("linear", (), -1, params, {}, path)
        raise self._refusal(n, "")

    def _key(self, tensor: Any, path: str) -> str:
        key = self.keys.get(id(tensor))
        if key is None:
            raise TraceError(
                f"{path}: expected a parameter or buffer of the module as weight, got a computed tensor; register it."
            )
        return key

    def _refusal(self, n: torch.fx.Node, why: str) -> TraceError:
        if n.op == "call_module":
            path, name = str(n.target), type(self.module.get_submodule(str(n.target))).__name__
        else:
            name = n.target if isinstance(n.target, str) else getattr(n.target, "__name__", str(n.target))
            path = _path(n, name)
        plain = name.lower().rstrip("_")
        if why:
            reason = f"{name} {why}; not supported"
        elif plain in SMOOTH:
            reason = f"{name} is smooth, so the network has no linear regions; replace it, for example by ReLU"
        elif plain in JUMPS:
            reason = f"{name} jumps, so the network is not continuous; replace it by a continuous piecewise-linear function"
        else:
            known = ", ".join(operations())
            reason = f"expected one of {known} or an identity in evaluation mode, got {name}; rewrite it in those"
        return TraceError(f"{path}: {reason}.")


def _home(kind: type[nn.Module]) -> type[nn.Module]:
    """The class of the table that `kind` is or derives from: a subclass that overrides forward must not pass for it."""
    return next(k for k in kind.__mro__ if k in MODULES)


def _path(n: torch.fx.Node, name: str) -> str:
    stack = n.meta.get("nn_module_stack")
    owner = next(reversed(stack), "") if stack else ""
    return f"{owner}.{name}" if owner else name


def _arguments(n: torch.fx.Node, env: dict[torch.fx.Node, Any]) -> Callable[[str, int, Any], Any]:
    def read(name: str, position: int, default: Any) -> Any:
        value = n.kwargs.get(name, n.args[position] if len(n.args) > position else default)
        return env[value] if isinstance(value, torch.fx.Node) else value

    return read


class _Draft:
    """A step whose params are still tensors."""

    def __init__(self, op: str, params: dict[str, Any] | None = None, attrs: dict[str, Any] | None = None):
        self.op, self.params, self.attrs = op, params or {}, attrs or {}


def _conv_draft(m: Any, value: Tensor) -> _Draft:
    padding = m.padding if isinstance(m.padding, str) else list(m.padding)
    attrs = {
        "dims": len(m.kernel_size),
        "stride": list(m.stride),
        "padding": padding,
        "dilation": list(m.dilation),
        "groups": m.groups,
        "padding_mode": m.padding_mode,
        "pad": list(m._reversed_padding_repeated_twice),
    }
    return _Draft("conv", {"weight": m.weight, "bias": m.bias}, attrs)


def _batch_norm_draft(m: Any, value: Tensor) -> _Draft:
    if m.running_mean is None:
        raise TraceError(
            f"{type(m).__name__}: expected running statistics, got track_running_stats=False, which makes the output "
            "depend on the batch; train with running statistics or fold the layer."
        )
    params = {"running_mean": m.running_mean, "running_var": m.running_var, "weight": m.weight, "bias": m.bias}
    return _Draft("batch_norm", params, {"eps": m.eps})


MODULES: dict[type[nn.Module], Callable[[Any, Tensor], Any]] = {
    nn.Linear: lambda m, v: _Draft("linear", {"weight": m.weight, "bias": m.bias}),
    nn.Conv1d: _conv_draft,
    nn.Conv2d: _conv_draft,
    nn.Conv3d: _conv_draft,
    nn.BatchNorm1d: _batch_norm_draft,
    nn.BatchNorm2d: _batch_norm_draft,
    nn.BatchNorm3d: _batch_norm_draft,
    nn.Flatten: lambda m, v: _Draft("reshape", attrs={"shape": list(v.shape[1:])}),
    nn.Unflatten: lambda m, v: _Draft("reshape", attrs={"shape": list(v.shape[1:])}),
    nn.ReLU: lambda m, v: _Draft("relu"),
    nn.LeakyReLU: lambda m, v: _Draft("leaky_relu", attrs={"negative_slope": float(m.negative_slope)}),
    nn.Identity: lambda m, v: None,
    nn.Dropout: lambda m, v: None,
    nn.Dropout1d: lambda m, v: None,
    nn.Dropout2d: lambda m, v: None,
    nn.Dropout3d: lambda m, v: None,
    nn.AlphaDropout: lambda m, v: None,
}
RESHAPES = {"flatten", "view", "reshape", "unflatten"}
IDENTITIES = {"dropout", "contiguous", "clone", "detach", "alpha_dropout"}


def _compare(program: Program, module: nn.Module) -> None:
    """Program and module agree on random inputs of several scales, or TraceError."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(8, *program.input_shape, dtype=torch.float64, generator=generator)
    x = x * torch.logspace(-2, 2, 8, dtype=torch.float64).reshape(-1, *[1] * len(program.input_shape))
    with torch.no_grad():
        ours, theirs = program(x), module(x).reshape(8, -1)
    if not torch.isfinite(theirs).all():
        raise TraceError(
            "network: expected finite outputs, got NaN or infinity; look for NaN or infinite weights in the checkpoint."
        )
    worst = float((ours - theirs).abs().max() / theirs.abs().max().clamp_min(torch.finfo(torch.float64).tiny))
    if not worst <= 1e-9 * math.sqrt(len(program.steps) + 1):
        raise TraceError(
            f"network: the traced program differs from the module by {worst:.3g} of its output; please report the network."
        )
