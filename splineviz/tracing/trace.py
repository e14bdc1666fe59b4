"""torch module -> Program, proven complete.
Also the proof by itself: random inputs, a twin's outputs, their difference from a Program's; and a Program with some
outputs alone.

A private copy of the module in evaluation mode (`twins`) is run once, and its calls of torch are listened to
(`listening`). Every call is looked up (`calls`, `modules`) and written as steps on a tape; one that is not known is
refused by module path, operation and remedy: nothing is approximated behind the user's back. What the network computes
from shapes and weights alone is run once; what comes of it is a constant. Afterwards every step is tested: affine ones
on random tensors, alone and row by row, and the whole Program against the module, so a wrong table entry cannot pass.

Nothing of torch is patched, so that modules can be traced while others are trained in other threads.
This file knows no geometry.
"""

from __future__ import annotations

import copy
import inspect
import math
import re
from collections.abc import Collection, Sequence
from functools import partial
from numbers import Integral
from typing import Any

import torch
import torch.fx
from torch import Tensor, nn

from splineviz.errors import TraceError, to_indices
from splineviz.tracing import doors, twins
from splineviz.tracing.call import begun, raised
from splineviz.tracing.listening import Listener
from splineviz.tracing.masks import Mask
from splineviz.tracing.precision import Double, at_home, elsewhere, is_rounding, lending, undisturbed
from splineviz.tracing.program import Program
from splineviz.tracing.smooth import SMOOTH
from splineviz.tracing.swaps import Swap, piecewise, swapped
from splineviz.tracing.tape import Live, Tape

SAMPLES = 2
"""Rows of the batch that the module is run on, unless an exported program has a batch of its own."""


@at_home
def trace(
    model: Any, input_shape: Sequence[int], *, smooth: bool = False, swap: Swap | None = None,
    output: str | int | None = None, outputs: Sequence[int] | None = None, borrow: bool = False,
) -> Program:  # fmt: skip
    """Trace a network for inputs of shape (n, *input_shape) into a float64 Program of its evaluation mode.

    Args:
        model: a torch.nn.Module, also in torch's own wrappers (torch.compile, DataParallel, moving averages), which is not
            changed, and of which no hooks are run; functools.partial of one, with its further inputs; a
            torch.export.ExportedProgram; or a Program, which is returned in float64.
        input_shape: shape of one input, without the batch.
        smooth: accept GELU, tanh and their like: such a Program can be run but has no regions.
        swap: replaces smooth functions, such as {"gelu": "relu"} (see `swaps`).
        output: name or position of the result of forward that is the output; None: the one named logits.
        outputs: indices of the flattened outputs to keep.
        borrow: read the largest weights where the module keeps them: for a Program let go of before it is trained on.

    Returns:
        The Program, compared with the module on random inputs.

    Raises:
        TraceError: an operation is not known to be piecewise affine, Program and module differ, or nothing can be swapped.
    """
    if not _is_shape(input_shape):
        raise TraceError(
            f"input_shape: expected the shape of one input without the batch, such as (2,) or (1, 28, 28), got "
            f"{type(input_shape).__name__}; of samples x it is x.shape[1:], and the network comes first: trace(model, (2,))."
        )
    program = _traced(model, input_shape, output, borrow)  # smooth functions too: one at the end may be left out
    program = swapped(program, swap) if swap else program
    program = program if outputs is None else kept(program, outputs)
    return program if smooth else piecewise(program)


def _is_shape(value: Any) -> bool:
    return isinstance(value, Collection) and not isinstance(value, Tensor) and all(isinstance(n, Integral) for n in value)


def _traced(model: Any, input_shape: Sequence[int], output: str | int | None = None, borrow: bool = False) -> Program:
    if isinstance(model, Program):
        if model.input_shape != tuple(input_shape):
            raise TraceError(
                f"network: expected inputs of shape {model.input_shape}, got a plane of shape {tuple(input_shape)}."
            )
        return model.to(torch.float64)
    settled = not is_settled(model, probes(input_shape, 2), output)

    def made(large: bool, borrowed: bool) -> Program:
        module, prefix = twin(model, large=large, settled=settled, borrow=borrowed)
        return written(module, input_shape, smooth=True, output=output, prefix=prefix)

    return lending(model, borrow and not settled, made)  # its own eval() is run on the copy, and may write


def twin(
    model: Any, taken: dict[int, Tensor] | None = None, *, large: bool = False, settled: bool = False, borrow: bool = False
) -> tuple[nn.Module, str]:
    """A copy of the module in double precision and evaluation mode, and what stands in front of its weights' names.

    model: as `trace` takes it, but no Program. taken, large, borrow: see `twins.twin`. settled: run the module's own eval()
    on the copy, which may change its weights, too. Raises TraceError for what is no module or cannot be read as one.
    """
    model = doors.unwrapped(model.module() if isinstance(model, torch.export.ExportedProgram) else model)
    if isinstance(model, partial) and isinstance(model.func, nn.Module):
        return _Bound(twin(model.func, taken, large=large, borrow=borrow)[0], model.args, model.keywords), "network."
    if not isinstance(model, nn.Module):
        raise TraceError(f"network: expected a torch.nn.Module or a Program, got {type(model).__name__}.")
    if _exported(model):
        return copy.deepcopy(model).to(device="cpu", dtype=torch.float64), ""
    made = twins.twin(model, taken, large=large, borrow=borrow)
    if settled and (modes := doors.modes(model)):
        doors.settle(made, modes)
    return made, ""


def is_settled(model: Any, x: Tensor, output: str | int | None = None) -> bool:
    """Whether a module computes at x what it does once its own eval() has run: an average may be swapped in there."""
    if not doors.modes(model):
        return True
    try:
        plain, own = (twin(model, settled=settled)[0] for settled in (False, True))
        return apart(plain, own, x, output) <= 1e-9
    except Exception:  # of the user's own code: who traces it says what it is
        return True


def apart(one: nn.Module, other: nn.Module, x: Tensor, output: str | int | None = None) -> float:
    """How far two twins are from each other at x, of the largest output; 0 where neither gives numbers."""
    with undisturbed():
        y, z = (outputs_of(module, x.clone(), output=output) for module in (one, other))
    if y.shape != z.shape:
        return math.inf
    return float(((y - z).abs().max() / z.abs().max().clamp_min(torch.finfo(torch.float64).tiny)).nan_to_num(0.0))


def written(
    module: nn.Module, input_shape: Sequence[int], *, smooth: bool, output: str | int | None = None, prefix: str = "",
    proved: bool = False,
) -> Program:  # fmt: skip
    """The Program of a twin. proved: its steps were proved affine before, in a Program of the same structure."""
    shape = tuple(int(n) for n in input_shape)
    batch = _rows(module)
    with undisturbed():
        program, listener = _listened(module, shape, prefix, batch, smooth, output)
        if not proved:
            _prove(program)
        try:
            compare(program, module, probes(shape, batch), output=output)
        except TraceError as error:
            if listener.random and "finite" not in str(error):
                raise _unsteady(listener) from error
            if listener.wrote and "differs" in str(error):
                raise TraceError(
                    f"{listener.wrote}: expected weights that forward leaves alone, got one into which it writes; change it "
                    "only while self.training, or in the training loop."
                ) from error
            again = [outputs_of(module, probes(shape, batch), output=output) for _ in "abc" if "differs" in str(error)]
            if not all(torch.equal(again[0], one) for one in again):
                raise TraceError(
                    "network: expected the same outputs for the same inputs, got others when it was run again; let forward "
                    "count, or take turns, only while self.training."
                ) from error
            raise
    return program


def _unsteady(listener: Listener) -> TraceError:
    where = "" if listener.random_at is None else f" ({listener.random_at})"
    return TraceError(
        f"{listener.random}: expected the same output for the same input, got random numbers in evaluation mode; "
        f"draw them only while self.training.{where}"
    )


def _randomly(listener: Listener, error: TraceError) -> TraceError:
    """An error about rows that differ, where random numbers were drawn: it says so."""
    return _unsteady(listener) if listener.random and "a constant of its own" in str(error) else error


class _Bound(nn.Module):
    """A module with some of its inputs fixed."""

    def __init__(self, network: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]):
        super().__init__()
        self.network = network
        self.args = tuple(_double(a) for a in args)
        self.kwargs = {name: _double(a) for name, a in kwargs.items()}
        self.training = False

    def forward(self, x: Tensor) -> Any:
        return self.network(*self.args, x, **self.kwargs)


def _double(value: Any) -> Any:
    is_float = isinstance(value, Tensor) and value.is_floating_point()
    return value.detach().to("cpu", torch.float64) if is_float else value


def _exported(module: nn.Module) -> bool:
    return isinstance(module, torch.fx.GraphModule) and any(
        isinstance(n.target, torch._ops.OpOverload) for n in module.graph.nodes
    )


def _rows(module: nn.Module) -> int:
    """The number of rows that a module can be run on."""
    if not (isinstance(module, torch.fx.GraphModule) and _exported(module)):
        return SAMPLES
    inputs = [n for n in module.graph.nodes if n.op == "placeholder"]
    if len(inputs) > 1:
        raise _second_input(inputs[1].name)
    rows = inputs[0].meta["val"].shape[0] if "val" in inputs[0].meta and inputs[0].meta["val"].dim() else SAMPLES
    return rows if isinstance(rows, int) else SAMPLES


def _second_input(name: str, where: str = "") -> TraceError:
    return TraceError(f"forward: expected one input, got a second one {name!r}; bind it with functools.partial.{where}")


# ---- listening -------------------------------------------------------------------------------------------------------


def _listened(
    module: nn.Module, shape: tuple[int, ...], prefix: str, batch: int, smooth: bool, output: str | int | None
) -> tuple[Program, Listener]:
    """The Program that a module's calls make, and who heard them."""
    tensors = {key.removeprefix(prefix): t for key, t in doors.named_tensors(module, persistent=True)}
    tape = Tape(shape, tensors, smooth=smooth)
    listener = Listener(tape, batch, module, prefix)
    own = {name for name, _ in module.named_parameters()}
    further = [] if _exported(module) else _further(module)
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    for parameter in further:
        if parameter.kind in positional and parameter.default is inspect.Parameter.empty:
            raise _second_input(parameter.name, begun(module))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, *shape, dtype=torch.float64, generator=generator)
    with torch.no_grad():
        listener.know(x, Live(0, x.clone()))
        try:
            with listener:
                result = _Nodes(module, listener).run(x) if _exported(module) else module(x)
        except TraceError as error:
            raise _randomly(listener, error) from error
        except Exception as error:  # the user's own code, of which any may come
            if str(error).startswith("vmap"):
                raise TraceError(
                    "vmap: expected calls of torch that can be followed, got torch.vmap; call the networks in a loop, or "
                    f"write the products of stacked weights as torch.einsum.{raised(error)}"
                ) from error
            raise TraceError(
                f"network: expected to run on inputs of shape (n, {', '.join(map(str, shape))}), "
                f"got {error}; do the samples fit the network?{raised(error)}"
            ) from error
    if new := [name.removeprefix(prefix) for name, _ in module.named_parameters() if name not in own]:
        raise TraceError(f"{new[0]}: expected weights, got some that are made when it is first called; run it on a batch.")
    one = doors.result_of(result, output, begun(module))
    found = listener.live(one)
    if isinstance(found, TraceError):
        raise _randomly(listener, found)
    if isinstance(found, Mask):
        raise found.refused
    if not isinstance(found, Live):
        told = "forward: expected one tensor that depends on the input as output; return the logits alone."
        raise TraceError(told + begun(module))
    return tape.program(found.register), listener


def _further(module: nn.Module) -> list[inspect.Parameter]:
    """What forward takes after its first input."""
    try:
        return list(inspect.signature(module.forward).parameters.values())[1:]
    except (TypeError, ValueError):  # no Python function
        return []


class _Nodes(torch.fx.Interpreter):
    """Runs an exported program node by node, so that the listener knows whose they are."""

    def __init__(self, graph: nn.Module, listener: Listener):
        super().__init__(graph, garbage_collect_values=False)
        self.extra_traceback = False  # our messages name the operation; fx would append its own trace
        self.listener = listener

    def run_node(self, n: torch.fx.Node) -> Any:
        """Run a node as it is."""
        if n.op == "call_module" and n.target == "_guards_fn":
            return None  # an exported program's checks of its inputs' sizes
        self.listener.path = _owner(n)
        return super().run_node(n)


def kept(program: Program, outputs: Sequence[int] | None) -> Program:
    """The Program with some of its outputs alone; None: with all. Raises TraceError for one that it does not have."""
    if outputs is None:
        return program
    wanted = to_indices(outputs, "outputs")
    with torch.no_grad():
        count = program(torch.zeros(1, *program.input_shape, dtype=torch.float64)).shape[1]
    if not wanted or len(set(wanted)) != len(wanted) or any(not 0 <= i < count for i in wanted):
        raise TraceError(f"outputs: expected distinct numbers from 0 to {count - 1}, got {wanted}.")
    return program.picking(wanted)


def _owner(n: torch.fx.Node) -> str:
    stack = n.meta.get("nn_module_stack")
    return _dotted(str(stack[next(reversed(stack))][0] if stack else ""))  # its key is not always the path


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
            if apart.shape != fa.shape or not float((apart - fa).abs().max()) <= scale:
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


def probes(shape: Sequence[int], batch: int = 1) -> Tensor:
    """(at least 8, *shape) random inputs of several scales, on which a Program is held against its module."""
    generator = torch.Generator().manual_seed(1)
    rows = batch * -(-8 // batch)
    x = torch.randn(rows, *shape, dtype=torch.float64, generator=generator)
    return x * torch.logspace(-2, 2, rows, dtype=torch.float64).reshape(-1, *[1] * len(shape))


def outputs_of(module: nn.Module, x: Tensor, *, output: str | int | None = None) -> Tensor:
    """The outputs (n, C) of a twin at inputs x (n, *input_shape), all in double precision."""
    size = _rows(module) if _exported(module) else len(x)
    with torch.no_grad(), elsewhere(), Double():
        parts = [doors.result_of(module(part.clone()), output) for part in x.split(size)]
    return torch.cat(parts).reshape(len(x), -1)


def difference(program: Program, module: nn.Module, x: Tensor, *, output: str | int | None = None) -> float:
    """The largest difference of Program and twin at inputs x, by the module's largest output; NaN where it has none."""
    with torch.no_grad(), Double():
        ours = program(x.clone())
    theirs = outputs_of(module, x, output=output)
    if ours.shape != theirs.shape:
        return math.inf
    return float((ours - theirs).abs().max() / theirs.abs().max().clamp_min(torch.finfo(torch.float64).tiny))


def compare(program: Program, module: nn.Module, x: Tensor, *, output: str | int | None = None) -> None:
    """Program and module agree at inputs x (n, *input_shape), or TraceError."""
    worst = difference(program, module, x, output=output)
    if not math.isfinite(worst) and not torch.isfinite(outputs_of(module, x, output=output)).all():
        odd = [key for key, weight in program.weights.items() if not torch.isfinite(weight).all()]
        where = f"there are NaN or infinite weights in {', '.join(odd[:8])}" if odd else "its weights are finite: too large?"
        raise TraceError(f"network: expected finite outputs, got NaN or infinity; {where}.")
    if not is_rounding(worst, program, x):
        raise TraceError(
            f"network: the traced program differs from the module by {worst:.3g} of its output; please report the network."
        )
