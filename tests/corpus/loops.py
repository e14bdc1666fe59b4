"""Training loops as people write them: how a network is made, and what happens to it between two checkpoints.

A row is Loop(make, change, ...): make() gives a module of inputs (n, 2); change(model, step) is one piece of training,
in which weights move and whatever else the row is about happens. The judge is the module itself (see test_loops).
"""

from __future__ import annotations

import copy
import math
import threading
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune

Change = Callable[[nn.Module, int], None]


def moved(model: nn.Module, step: int = 0) -> None:
    """Every parameter takes a step that no linear layer forgives."""
    generator = torch.Generator().manual_seed(step)
    with torch.no_grad():
        for p in model.parameters():
            if p.is_floating_point():
                p.mul_(-1.3).add_(0.2 * torch.randn(p.shape, generator=generator))


@dataclass(frozen=True)
class Loop:
    """One loop of inputs (n, *shape) in a precision, by default the module's.

    silent: without the guard its film is of another network. refused: words of the error at its second save; never: at the
    Recorder; drawn: where regions are asked for. judged: what the module's outputs are after those that are drawn, where the
    last step is left out.
    """

    make: Callable[[], nn.Module]
    change: Change = moved
    silent: bool = True
    refused: str = ""
    never: str | None = None
    shape: tuple[int, ...] = (2,)
    dtype: torch.dtype | None = torch.float32
    judged: str = ""
    drawn: str = ""


def mlp(act: Callable[[], nn.Module] = nn.ReLU, width: int = 8) -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, width), act(), nn.Linear(width, width), act(), nn.Linear(width, 3))


class Net(nn.Module):
    """Two layers, an inner weight, and a forward given as a function of the module and the input."""

    def __init__(self, function: Callable[[Any, Tensor], Any], width: int = 8, **held: Any):
        super().__init__()
        self.a, self.out = nn.Linear(2, width), nn.Linear(width, 3)
        self.w, self.b = nn.Parameter(torch.randn(width, width) / 3), nn.Parameter(torch.randn(width) / 3)
        self.function = function
        for name, value in held.items():
            if isinstance(value, (nn.Parameter, nn.Module)):
                setattr(self, name, value)
            elif isinstance(value, tuple):
                self.register_buffer(name, value[0], persistent=value[1])
            else:
                setattr(self, name, value)

    def forward(self, x: Tensor) -> Any:
        return self.function(self, x)


def inner(weight: Callable[[Any], Tensor], **held: Any) -> Callable[[], nn.Module]:
    """A network whose middle weight is computed in forward."""
    return lambda: Net(
        lambda m, x: m.out(F.relu(F.linear(F.relu(m.a(x)), weight(m), m.b))), **{k: v() for k, v in held.items()}
    )


def attribute(name: str, values: list[Any], where: str = "") -> Change:
    """Training with a schedule of an attribute."""

    def change(model: nn.Module, step: int) -> None:
        moved(model, step)
        setattr(model.get_submodule(where), name, values[step % len(values)])

    return change


def both(*changes: Change) -> Change:
    def change(model: nn.Module, step: int) -> None:
        for one in changes:
            one(model, step)

    return change


def at(step: int, action: Callable[[Any], Any]) -> Change:
    def change(model: nn.Module, now: int) -> None:
        moved(model, now)
        if now == step:
            with torch.no_grad():
                action(model)

    return change


def vector(n: int = 8) -> Callable[[], nn.Parameter]:
    return lambda: nn.Parameter(torch.randn(n))


def matrix(*shape: int) -> Callable[[], nn.Parameter]:
    return lambda: nn.Parameter(torch.randn(*shape) / 3)


class Symmetric(nn.Module):
    def forward(self, w: Tensor) -> Tensor:
        return w.triu() + w.triu(1).mT


def parametrised(apply: Callable[[nn.Module], Any]) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        net = mlp()
        apply(net[2])
        return net

    return make


class Batched(nn.Module):
    """Batch norm in training mode between two saves: its statistics move."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def trained(model: nn.Module, step: int, shape: tuple[int, ...] = (2,)) -> None:
    moved(model, step)
    model.train()
    model(torch.randn(16, *shape, generator=torch.Generator().manual_seed(step)))


def pruned(model: Any, step: int) -> None:
    moved(model, step)
    prune.random_unstructured(model[2], "weight", amount=0.4)


def grown(model: Any) -> None:
    model[0], model[2] = nn.Linear(2, 11), nn.Linear(11, 8)


def deeper(model: Any) -> None:
    model.insert(4, nn.Linear(8, 8))
    model.insert(5, nn.ReLU())


class Lora(nn.Module):
    """Low-rank adaptation that is merged into the weight in evaluation mode, as its libraries do."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(8, 8) / 3), nn.Parameter(torch.randn(8))
        self.a, self.b = nn.Parameter(torch.randn(2, 8) / 2), nn.Parameter(torch.randn(8, 2) / 2)
        self.merged = False

    def train(self, mode: bool = True) -> Any:
        if self.merged == mode:
            self.weight.data += (self.b @ self.a).data * (-1 if mode else 1)
            self.merged = not mode
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        y = F.linear(x, self.weight, self.bias)
        return y if self.merged else y + x @ (self.b @ self.a).mT


class Depth(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(2, 8), nn.Linear(8, 3)
        self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.depth = 1

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.first(x))
        for block in self.blocks[: self.depth]:
            h = h + F.relu(block(h))
        return self.out(h)


class Mixture(nn.Module):
    """Activations mixed by learnt shares, as architecture search does."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.out, self.alpha = nn.Linear(2, 8), nn.Linear(8, 3), nn.Parameter(torch.randn(3))

    def forward(self, x: Tensor) -> Tensor:
        z, share = self.a(x), self.alpha.softmax(0)
        return self.out(share[0] * F.relu(z) + share[1] * F.leaky_relu(z, 0.2) + share[2] * z.abs())


class Frozen(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.out = nn.Linear(2, 8), nn.Linear(8, 3)
        for name, value in (
            ("weight", torch.rand(8) + 0.5),
            ("bias", torch.randn(8)),
            ("mean", torch.randn(8)),
            ("var", torch.rand(8) + 0.5),
        ):
            self.register_buffer(name, value)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.weight * (self.var + 1e-5).rsqrt()
        return self.out(F.relu(self.a(x) * scale + (self.bias - self.mean * scale)))


def buffers(model: nn.Module, step: int) -> None:
    moved(model, step)
    with torch.no_grad():
        for b in model.buffers():
            b.mul_(1.2).add_(0.1)


class Kept(nn.Module):
    """Keeps its activations, and a lock that a training thread holds."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.lock, self.seen = mlp(), threading.Lock(), []
        self.generator = (i for i in range(3))

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        self.last = y
        self.seen.append(y)
        return y


def kept(model: Any, step: int) -> None:
    moved(model, step)
    model(torch.randn(3, 2))
    if not model.lock.locked():
        model.lock.acquire()


def hooked(act: Callable[[Any], Any], where: str = "1") -> Change:
    return at(1, lambda m: m.get_submodule(where).register_forward_hook(lambda _m, _i, o: act(o)))


def replaced_forward(model: Any) -> None:
    before = model[2].forward
    model[2].forward = lambda x: 0.5 * before(x)


def method_forward(model: Any) -> None:
    model[2].forward = types.MethodType(lambda self, x: F.linear(x, self.weight, 2.0 * self.bias), model[2])


def tied() -> nn.Module:
    net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    net[4].weight = net[2].weight
    return net


def untied(model: Any) -> None:
    model[4].weight = nn.Parameter(model[4].weight.detach().clone() + 0.3)


LOOPS: dict[str, Loop] = {
    "plain": Loop(mlp, silent=False),
    "batch norm": Loop(Batched, trained, silent=False),
    "frozen at the end": Loop(mlp, lambda m, s: m.requires_grad_(s < 2) and moved(m, s), silent=False),
    # constants computed from parameters
    "ntk": Loop(inner(lambda m: m.w / math.sqrt(m.w.shape[1]))),
    "standardised": Loop(inner(lambda m: (m.w - m.w.mean(1, keepdim=True)) / (m.w.std(1, keepdim=True) + 1e-5))),
    "low rank": Loop(inner(lambda m: m.w + m.p @ m.q, p=matrix(8, 2), q=matrix(2, 8))),
    "masked": Loop(inner(lambda m: m.w * m.mask, mask=lambda: ((torch.rand(8, 8) > 0.4).float(), True))),
    "one of several": Loop(inner(lambda m: m.many[1], many=matrix(3, 8, 8))),
    "unbound": Loop(inner(lambda m: m.many.unbind(0)[2], many=matrix(3, 8, 8))),
    "signs": Loop(inner(lambda m: m.w.sign() * m.w.abs().mean())),
    "chunked": Loop(inner(lambda m: m.many.chunk(2)[1], many=matrix(16, 8))),
    "stacked": Loop(inner(lambda m: torch.stack([m.p, m.q, m.p + m.q, m.p, m.q, m.p, m.q, m.p]), p=vector(), q=vector())),
    "kronecker": Loop(inner(lambda m: torch.kron(m.p, m.q), p=matrix(2, 2), q=matrix(4, 4))),
    "normalised": Loop(inner(lambda m: F.normalize(m.w, dim=1) * m.g[:, None], g=vector())),
    "diagonal": Loop(inner(lambda m: torch.diag(m.g), g=vector())),
    "exponential": Loop(inner(lambda m: torch.matrix_exp(m.w - m.w.mT))),
    "clamped weights": Loop(inner(lambda m: m.w.clamp(-0.2, 0.2))),
    "softplus weights": Loop(inner(lambda m: F.softplus(m.w))),
    "quantised by hand": Loop(inner(lambda m: m.w + (torch.round(m.w * 8) / 8 - m.w).detach())),
    "hypernetwork": Loop(
        inner(lambda m: m.h(m.code).view(8, 8), h=lambda: nn.Linear(4, 64), code=lambda: (torch.randn(4), True))
    ),
    "positions embedded": Loop(inner(lambda m: m.w + m.h(torch.arange(8)), h=lambda: nn.Embedding(8, 8))),
    "logit scale": Loop(lambda: Net(lambda m, x: m.out(F.relu(m.a(x))) * m.s.exp(), s=nn.Parameter(torch.tensor(0.3)))),
    "logit scale by item": Loop(
        lambda: Net(lambda m, x: m.out(F.relu(m.a(x))) * m.s.exp().item(), s=nn.Parameter(torch.tensor(0.3)))
    ),
    "temperature buffer": Loop(
        lambda: Net(lambda m, x: m.out(F.relu(m.a(x))) / m.t, t=(torch.tensor(2.0), True)), buffers, silent=False
    ),
    "temperature by float": Loop(
        lambda: Net(lambda m, x: m.out(F.relu(m.a(x))) / float(m.t), t=(torch.tensor(2.0), True)), buffers
    ),
    "frozen batch norm": Loop(Frozen, buffers),
    "mixture": Loop(Mixture),
    "gated residual": Loop(
        lambda: Net(
            lambda m, x: (lambda h: m.out(h + m.s * F.relu(F.linear(h, m.w))))(F.relu(m.a(x))),
            s=nn.Parameter(torch.tensor(0.0)),
        ),
        silent=False,
    ),
    "first weight computed": Loop(
        lambda: Net(lambda m, x: m.out(F.relu(F.linear(x, m.f * 0.7, m.b))), f=nn.Parameter(torch.randn(8, 2)))
    ),
    "square transposed first": Loop(
        lambda: Net(
            lambda m, x: m.out(F.relu(m.a(F.relu(F.linear(x, m.f.t(), m.g))))),
            f=nn.Parameter(torch.randn(2, 2)),
            g=nn.Parameter(torch.randn(2)),
        ),
        silent=False,
    ),
    # parametrisations
    "weight norm": Loop(parametrised(parametrizations.weight_norm)),
    "spectral norm": Loop(parametrised(parametrizations.spectral_norm)),
    "orthogonal": Loop(parametrised(parametrizations.orthogonal)),
    "symmetric": Loop(parametrised(lambda m: parametrize.register_parametrization(m, "weight", Symmetric()))),
    "old spectral norm": Loop(parametrised(torch.nn.utils.spectral_norm)),
    "two parametrisations": Loop(
        parametrised(lambda m: [parametrize.register_parametrization(m, "weight", Symmetric()) for _ in "ab"])
    ),
    "parametrised later": Loop(mlp, at(1, lambda m: parametrizations.weight_norm(m[2]))),
    "parametrisation removed": Loop(
        parametrised(parametrizations.weight_norm), at(1, lambda m: parametrize.remove_parametrizations(m[2], "weight"))
    ),
    # state outside the state dict
    "leaky annealed": Loop(lambda: mlp(lambda: nn.LeakyReLU(0.3)), attribute("negative_slope", [0.2, 0.1, 0.05], "1")),
    "hardtanh bounds": Loop(lambda: mlp(nn.Hardtanh), attribute("max_val", [1.5, 0.7, 0.4], "3")),
    "hardtanh bounds far away": Loop(lambda: mlp(nn.Hardtanh), attribute("max_val", [300.0, 2000.0, 5000.0], "1")),
    "temperature": Loop(lambda: Net(lambda m, x: m.out(F.relu(m.a(x))) / m.t, t=1.0), attribute("t", [2.0, 3.0, 5.0])),
    "skip flag": Loop(
        lambda: Net(lambda m, x: m.out(F.relu(m.a(x)) + (0.0 if m.skip else F.relu(m.a(x) + 0.3))), skip=False),
        attribute("skip", [True, False, True]),
    ),
    "progressive depth": Loop(Depth, attribute("depth", [1, 2, 3])),
    "plain tensor": Loop(
        inner(lambda m: m.w * m.gate, gate=lambda: torch.ones(8)),
        lambda m, s: (moved(m, s), setattr(m, "gate", torch.rand(8))),
    ),
    "non-persistent buffer": Loop(inner(lambda m: m.w * m.gate, gate=lambda: (torch.ones(8), False)), buffers),
    "non-persistent shift": Loop(lambda: Net(lambda m, x: m.out(F.relu(m.a(x) + m.s)), s=(torch.ones(8), False)), buffers),
    "list of tensors": Loop(
        lambda: Net(lambda m, x: m.out(F.relu(m.a(x)) * m.g[0]), g=[torch.ones(8)]),
        lambda m, s: (moved(m, s), m.g[0].mul_(1.5)),
    ),
    "dropout rate": Loop(
        lambda: nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 3)),
        attribute("p", [0.1, 0.2, 0.3], "1"),
        silent=False,
    ),
    "epsilon of batch norm": Loop(Batched, both(trained, attribute("eps", [0.1, 0.5, 1.0], "body.1"))),
    "activation replaced": Loop(mlp, at(1, lambda m: m.__setitem__(1, nn.LeakyReLU(0.4)))),
    "activation removed": Loop(mlp, at(1, lambda m: m.__setitem__(3, nn.Identity()))),
    "activation made smooth": Loop(mlp, at(1, lambda m: m.__setitem__(1, nn.LayerNorm(8))), refused="divides by the spread"),
    "branch on data": Loop(
        lambda: Net(lambda m, x: m.out(F.relu(m.a(x))) * (1 if not m.f or x.sum() > 0 else 2), f=False),
        attribute("f", [True]),
        refused="Control flow",
    ),
    # structure
    "pruned": Loop(mlp, pruned),
    "pruned for good": Loop(
        mlp,
        at(1, lambda m: (prune.random_unstructured(m[2], "weight", amount=0.5), prune.remove(m[2], "weight"))),
        silent=False,
    ),
    "grown": Loop(mlp, at(1, grown)),
    "deeper": Loop(mlp, at(1, deeper)),
    "outputs added": Loop(mlp, at(1, lambda m: m.__setitem__(4, nn.Linear(8, 5)))),
    "untied": Loop(tied, at(1, untied)),
    "tied": Loop(tied, silent=False),
    "head swapped": Loop(mlp, at(1, lambda m: m.__setitem__(4, nn.Linear(8, 3))), silent=False),
    "merged in evaluation": Loop(
        lambda: nn.Sequential(nn.Linear(2, 8), nn.ReLU(), Lora(), nn.ReLU(), nn.Linear(8, 3)),
        lambda m, s: (m.train(), moved(m, s)),
    ),
    # hooks and replaced methods
    "hook halves": Loop(mlp, hooked(lambda o: 0.5 * o)),
    "hook in place": Loop(mlp, hooked(lambda o: o.mul_(0.5)), silent=True),
    "hook on input": Loop(mlp, at(1, lambda m: m[2].register_forward_pre_hook(lambda _m, i: (i[0] * 2.0,)))),
    "hook lesions a neuron": Loop(
        mlp, at(1, lambda m: m[1].register_forward_hook(lambda _m, _i, o: o * torch.tensor([0.0] + [1.0] * 7)))
    ),
    "hook records": Loop(
        mlp, at(1, lambda m: m[1].register_forward_hook(lambda _m, _i, o, seen=[]: seen.append(o))), silent=False
    ),
    "forward replaced": Loop(mlp, at(1, replaced_forward)),
    "forward replaced by a method": Loop(mlp, at(1, method_forward)),
    # copying
    "keeps activations and a lock": Loop(Kept, kept, silent=False),
    "compiled": Loop(lambda: torch.compile(mlp(), backend="eager"), silent=False),
    "compiled inside": Loop(
        lambda: nn.Sequential(
            nn.Linear(2, 8),
            torch.compile(nn.Sequential(nn.ReLU(), nn.Linear(8, 8)), backend="eager"),
            nn.ReLU(),
            nn.Linear(8, 3),
        ),
        silent=False,
    ),
    "data parallel": Loop(lambda: nn.DataParallel(mlp()), silent=False),
    "moving average": Loop(lambda: torch.optim.swa_utils.AveragedModel(mlp()), silent=False),
    # forwards
    "asserts and lengths": Loop(lambda: Net(lambda m, x: _asserting(m, x)), silent=False),
    "zeros of the batch": Loop(
        lambda: Net(lambda m, x: m.out(F.relu(torch.cat([m.a(x)[:, :6], torch.zeros(x.size(0), 2)], dim=1)))), silent=False
    ),
    "index assignment": Loop(lambda: Net(lambda m, x: _assigning(m, x)), silent=False),
    "times a comparison": Loop(lambda: Net(lambda m, x: (lambda z: m.out(z * (z > 0)))(m.a(x))), silent=False),
    "where": Loop(
        lambda: Net(lambda m, x: (lambda z: m.out(torch.where(z > 0, z, torch.zeros_like(z))))(m.a(x))), silent=False
    ),
    "where leaky": Loop(
        lambda: Net(lambda m, x: (lambda z: m.out(torch.where(z > 0, z, m.s * z)))(m.a(x)), s=0.1),
        attribute("s", [0.2, 0.3, 0.4]),
    ),
    "masked fill": Loop(lambda: Net(lambda m, x: (lambda z: m.out(z.masked_fill(z < 0, 0.0)))(m.a(x))), silent=False),
    "maximum with zeros": Loop(
        lambda: Net(lambda m, x: (lambda z: m.out(torch.max(z, torch.zeros_like(z))))(m.a(x))), silent=False
    ),
    "maximum with zero": Loop(
        lambda: Net(lambda m, x: (lambda z: m.out(torch.maximum(z, torch.tensor(0.0))))(m.a(x))), silent=False
    ),
    "assigned by a comparison": Loop(lambda: Net(lambda m, x: _clipping(m, x)), silent=False),
    "dictionary": Loop(lambda: Net(lambda m, x: {"features": m.a(x), "logits": m.out(F.relu(m.a(x)))}), silent=False),
}


def _asserting(m: Any, x: Tensor) -> Tensor:
    assert x.dim() == 2 and len(x) > 0 and x.shape[1] == 2, x.shape
    batch, *rest = x.shape
    h = F.relu(m.a(x.reshape(batch, math.prod(rest))))
    return m.out(h.view(len(h), -1))


def _assigning(m: Any, x: Tensor) -> Tensor:
    h = torch.zeros(x.shape[0], 8)
    z = m.a(x)
    h[:, :5] = F.relu(z[:, 3:])
    h[:, 6] = z[:, 0]
    h[:, 7] += z[:, 1]
    return m.out(h)


def _clipping(m: Any, x: Tensor) -> Tensor:
    z = m.a(x).clone()
    z[z < 0] = 0.0
    return m.out(z)


__all__ = ["LOOPS", "Loop", "copy"]
