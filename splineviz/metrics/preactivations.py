"""Pre-activations: a network that is run as it is, and what enters its activation functions.

    forward:  ... -> z -> gelu(z) -> ...      z: pre-activations of one layer of units, one for each call that is made
                     |                        of a function in NAMES, as a module (nn.GELU), a function (F.gelu,
                     v                        torch.tanh), a method (x.sigmoid()) or in place. A gate (F.glu) counts
                  recorded                    as the half that is gated with.

For what counts sign changes of pre-activations nothing more is needed: no trace, no pieces, no linear regions. Calls are
seen through torch's function mode, so any forward will do. A non-linearity that is no call of NAMES (a maximum, a softmax,
x * (x > 0)) is run and not recorded; `layers` says what is. What torch compiled beforehand (TorchScript) cannot be seen.
This file knows no geometry.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from splineviz.errors import TraceError
from splineviz.tracing.kinks import KINKS, numbered
from splineviz.tracing.smooth import SMOOTH

NAMES = (
    *(name for kink in KINKS.values() if kink.units for name in kink.names),
    *(name for name, smooth in SMOOTH.items() if smooth.scalar),
    "prelu", "rrelu", "hardtanh", "hardshrink", "threshold", "glu",
)  # fmt: skip
"""Activation functions by name, in place or not."""

_HOMES = (nn.functional, torch, Tensor, torch._C._nn, torch._C.TensorBase, torch.special)
_CALLS: dict[Any, str] = {
    getattr(home, name + ending): name
    for name in NAMES
    for ending in ("", "_")
    for home in _HOMES
    if hasattr(home, name + ending)
}
"""Name of an activation function by whatever torch hands to a function mode."""


class Watched:
    """A module in evaluation mode that tells its pre-activations; a copy, in the given precision, on a device (the CPU).

    layers: path and function of every call that was seen, such as "blocks.0.act gelu"; units: entries of each.
    Raises TraceError when it does not run, when no activation is called, or one whose input has no batch in front.
    """

    def __init__(
        self, network: nn.Module, input_shape: Sequence[int], dtype: torch.dtype = torch.float64, device: str | None = None
    ):
        self.input_shape, self.dtype, self.device = tuple(input_shape), dtype, device or "cpu"
        self._network = copy.deepcopy(network).to(device=self.device, dtype=dtype).eval()
        self.layers: tuple[str, ...] = ()
        self.layers, self.units, self.outputs = self._probe()
        if not self.layers:
            raise TraceError(
                f"{type(network).__name__}: expected a call of an activation function ({', '.join(NAMES)}), got none."
            )

    @torch.no_grad()
    def preactivations(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """What enters every activation call, each (n, units), and the outputs (n, C), at inputs x (n, *input_shape)."""
        values: list[Tensor] = []
        return values, self.visit(x, lambda z: values.append(z.clone()))  # what follows may write in place

    @torch.no_grad()
    def visit(self, x: Tensor, see: Callable[[Tensor], Any]) -> Tensor:
        """The outputs (n, C); see is called with the pre-activations (n, units) of one layer after the other, to look at
        and not to keep, so that no more than one layer is held. Raises TraceError when their number depends on the data.
        """
        seen: list[str] = []

        def saw(name: str, z: Tensor) -> None:
            seen.append(name)
            if len(seen) <= len(self.layers):
                see(z)

        outputs = self._run(x, saw)
        if len(seen) != len(self.layers):
            raise TraceError(
                f"network: expected the same {len(self.layers)} activation calls on every batch, got {len(seen)}; "
                "a forward that depends on its data has no layers to count."
            )
        return outputs

    @torch.no_grad()
    def _probe(self) -> tuple[tuple[str, ...], tuple[int, ...], int]:
        """Names and numbers of units of the layers, and the number of outputs, from one input."""
        names: list[str] = []
        units: list[int] = []
        inside: list[str] = []

        def saw(name: str, z: Tensor) -> None:
            names.append(f"{inside[-1] if inside else ''} {name}".strip())
            units.append(z.shape[1])

        with _paths(self._network, inside):
            try:
                outputs = self._run(torch.zeros(2, *self.input_shape), saw)
            except TraceError:
                raise
            except Exception as error:  # the user's own code, of which any may come
                raise TraceError(
                    f"network: expected to run on inputs of shape (n, {', '.join(map(str, self.input_shape))}), got {error}."
                ) from error
        return numbered(names), tuple(units), outputs.shape[1]

    def _run(self, x: Tensor, saw: Callable[[str, Tensor], Any]) -> Tensor:
        def checked(name: str, z: Tensor) -> None:
            if z.ndim < 1 or z.shape[0] != len(x):
                raise TraceError(
                    f"{name}: expected an input with the batch of {len(x)} in front, got shape {tuple(z.shape)}; "
                    "its units cannot be told apart from the samples."
                )
            saw(name, z.reshape(len(x), math.prod(z.shape[1:])))

        with _Watch(checked):
            outputs = self._network(x.to(device=self.device, dtype=self.dtype))
        if not isinstance(outputs, Tensor) or len(outputs) != len(x):
            raise TraceError(f"network: expected one tensor with the batch in front, got {type(outputs).__name__}.")
        return outputs.reshape(len(x), -1)


@contextlib.contextmanager
def _paths(network: nn.Module, inside: list[str]) -> Iterator[None]:
    """While the network runs, `inside` ends with the path of the module that is running."""

    def enter(path: str) -> Callable[..., None]:
        return lambda module, args: inside.append(path)

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        inside.pop()

    modules = dict(network.named_modules())
    hooks = [m.register_forward_pre_hook(enter(path)) for path, m in modules.items()]
    hooks += [m.register_forward_hook(leave) for m in modules.values()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Watch(TorchFunctionMode):
    """Hands the input of every activation call to `saw` before the call is made."""

    def __init__(self, saw: Callable[[str, Tensor], None]):
        super().__init__()
        self._saw = saw

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = _CALLS.get(func)
        if name is not None:
            z = args[0] if args else kwargs["input"]
            if name == "glu":
                z = z.chunk(2, dim=args[1] if len(args) > 1 else (kwargs or {}).get("dim", -1))[1]
            self._saw(name, z)
        return func(*args, **(kwargs or {}))
