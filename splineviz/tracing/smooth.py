"""Smooth functions: activations that a Program can hold and run, but that are not piecewise linear, so nothing is cut.

SELU and Hardswish have kinks all the same; what lies between them is curved, and that is what "smooth" says in this file.

A network with such a step is no continuous piecewise-affine one: it is refused where regions are wanted, by the path of
the step, until it is drawn with a piecewise-linear function in the step's place (see `swaps`). What counts
pre-activations, and what runs the network as it was trained, takes it as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from splineviz.tracing.affine import Attrs


@dataclass(frozen=True)
class Smooth:
    """A smooth function: its torch call on a batch, and its arguments after the input (position and default).

    swap: what stands for it where regions are drawn, unless another function is asked for. modules: classes that are it.
    kinked: whether it has kinks, and is curved between them. scalar: whether it is applied to every entry by itself, so
    that its entries are units.
    """

    call: Callable[[Tensor, Attrs], Tensor]
    swap: str
    modules: tuple[type[nn.Module], ...] = ()
    arguments: Mapping[str, tuple[int, Any]] = field(default_factory=dict)
    kinked: bool = False
    scalar: bool = True


SMOOTH: dict[str, Smooth] = {
    "gelu": Smooth(lambda z, a: F.gelu(z, approximate=a["approximate"]), "relu", (nn.GELU,), {"approximate": (1, "none")}),
    "silu": Smooth(lambda z, a: F.silu(z), "relu", (nn.SiLU,)),
    "mish": Smooth(lambda z, a: F.mish(z), "relu", (nn.Mish,)),
    "hardswish": Smooth(lambda z, a: F.hardswish(z), "relu", (nn.Hardswish,), kinked=True),
    "softplus": Smooth(
        lambda z, a: F.softplus(z, a["beta"], a["threshold"]), "relu", (nn.Softplus,),
        {"beta": (1, 1.0), "threshold": (2, 20.0)},
    ),
    "elu": Smooth(lambda z, a: F.elu(z, a["alpha"]), "relu", (nn.ELU,), {"alpha": (1, 1.0)}),
    "celu": Smooth(lambda z, a: F.celu(z, a["alpha"]), "relu", (nn.CELU,), {"alpha": (1, 1.0)}),
    "selu": Smooth(lambda z, a: F.selu(z), "relu", (nn.SELU,), kinked=True),
    "tanh": Smooth(lambda z, a: torch.tanh(z), "hardtanh", (nn.Tanh,)),
    "softsign": Smooth(lambda z, a: F.softsign(z), "hardtanh", (nn.Softsign,)),
    "erf": Smooth(lambda z, a: torch.erf(z), "hardtanh"),
    "sigmoid": Smooth(lambda z, a: torch.sigmoid(z), "hardsigmoid", (nn.Sigmoid,)),
    "logsigmoid": Smooth(lambda z, a: F.logsigmoid(z), "clamp", (nn.LogSigmoid,)),
    "tanhshrink": Smooth(lambda z, a: F.tanhshrink(z), "softshrink", (nn.Tanhshrink,)),
    "softmax": Smooth(lambda z, a: F.softmax(z, a["dim"]), "identity", (nn.Softmax,), {"dim": (1, None)}, scalar=False),
    "log_softmax": Smooth(
        lambda z, a: F.log_softmax(z, a["dim"]), "identity", (nn.LogSoftmax,), {"dim": (1, None)}, scalar=False
    ),
}  # fmt: skip
"""Smooth functions by name."""
