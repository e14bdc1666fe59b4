"""Loops of 2026: adapters, averages, schedule-free steps, functional calls, quantisation, hooks, wrappers, routers, sorted
and masked activations; rows of the table in `loops`."""

from __future__ import annotations

import collections
import contextlib
import copy
import functools
import math
import types
import weakref
from typing import Any

import torch
import torch.nn.functional as F
from everyday import checked, hidden
from loops import Loop, at, buffers, inner, matrix, mlp, moved, trained, vector
from strangers import then
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune, stateless

# ---- adapters ------------------------------------------------------------------------------------------------------


class Adapter(nn.Module):
    """A layer of an adapter's library: the base, adapters by name, those that are active, and merged ones."""

    def __init__(self, base: nn.Linear):
        super().__init__()
        self.base_layer, self.active, self.merged = base, ["default"], []
        self.down, self.up, self.scaling = nn.ModuleDict(), nn.ModuleDict(), {"default": 2.0}
        self.add("default")

    def add(self, name: str) -> None:
        self.down[name], self.up[name] = nn.Linear(8, 2, bias=False), nn.Linear(2, 8, bias=False)
        self.scaling.setdefault(name, 1.0)

    def delta(self, name: str) -> Tensor:
        return self.scaling[name] * (self.up[name].weight @ self.down[name].weight)

    def merge(self) -> None:
        for name in self.active:
            if name not in self.merged:
                self.base_layer.weight.data += self.delta(name)
                self.merged.append(name)

    def unmerge(self) -> None:
        while self.merged:
            self.base_layer.weight.data -= self.delta(self.merged.pop())

    def forward(self, x: Tensor) -> Tensor:
        y = self.base_layer(x)
        for name in self.active:
            if name not in self.merged:
                y = y + self.up[name](self.down[name](x)) * self.scaling[name]
        return y


def adapted() -> nn.Module:
    net = mlp()
    net[2] = Adapter(net[2])
    return net


def frozen_base(model: Any, step: int) -> None:
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "base_layer" not in name:
                p.add_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(step)))


# ---- averages and optimisers ---------------------------------------------------------------------------------------


class ScheduleFree:
    """Keeps the weights at y while training, at x for evaluation, as the optimiser of that name does."""

    def __init__(self, model: nn.Module):
        self.x = {id(p): p.detach().clone() for p in model.parameters()}

    def step(self, model: nn.Module, step: int) -> None:
        with torch.no_grad():
            for p in model.parameters():
                self.x[id(p)].lerp_(p, 1.0 / (step + 1))

    @contextlib.contextmanager
    def evaluated(self, model: nn.Module) -> Any:
        kept = [p.detach().clone() for p in model.parameters()]
        for p in model.parameters():
            p.data = self.x[id(p)].clone()
        yield
        for p, old in zip(model.parameters(), kept, strict=True):
            p.data = old


class WithShadow(nn.Module):
    """Evaluates its average, which no parameter list knows: a dictionary of tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()
        self.shadow = {k: p.detach().clone() for k, p in self.net.named_parameters()}

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) if self.training else torch.func.functional_call(self.net, self.shadow, (x,))


def shadowed(model: Any, step: int) -> None:
    moved(model.net, step)
    with torch.no_grad():
        for k, p in model.net.named_parameters():
            model.shadow[k].lerp_(p, 0.4)


class Swapped(nn.Module):
    """Evaluates with averaged weights that it swaps in and out in eval() and train()."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.averaged = mlp(), mlp()
        self.inside = False

    def train(self, mode: bool = True) -> Any:
        if self.inside == mode:
            for p, q in zip(self.net.parameters(), self.averaged.parameters(), strict=True):
                p.data, q.data = q.data, p.data
            self.inside = not mode
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


# ---- functional calls ----------------------------------------------------------------------------------------------


class Meta(nn.Module):
    """Evaluates after an inner step that is stored as fast weights (model-agnostic meta-learning)."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.fast = mlp(), None

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) if self.fast is None else torch.func.functional_call(self.net, self.fast, (x,))


def inner_step(model: Any, step: int) -> None:
    moved(model.net, step)
    model.fast = {k: (p.detach() * 0.8 + 0.05 * step) for k, p in model.net.named_parameters()}


class Hyper(nn.Module):
    """All weights come from another network and a code."""

    def __init__(self) -> None:
        super().__init__()
        self.main, self.code = mlp(), nn.Parameter(torch.randn(4))
        sizes = [p.numel() for p in self.main.parameters()]
        self.maker = nn.Linear(4, sum(sizes))
        self.main.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        flat, weights, at = self.maker(self.code), {}, 0
        for name, p in self.main.named_parameters():
            weights[name] = flat[at : at + p.numel()].view_as(p) + p
            at += p.numel()
        return torch.func.functional_call(self.main, weights, (x,))


class Stateless(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net, self.gain = mlp(), nn.Parameter(torch.tensor(1.5))

    def forward(self, x: Tensor) -> Tensor:
        with torch.nn.utils.stateless._reparametrize_module(self.net, {"2.weight": self.net[2].weight * self.gain}):
            return self.net(x)


# ---- quantisation and pruning --------------------------------------------------------------------------------------


class Quantised(nn.Linear):
    """Weights rounded to a grid in forward, straight through for gradients; the grid's scale is a buffer of training."""

    def __init__(self, a: int, b: int, bits: int = 4):
        super().__init__(a, b)
        self.bits = bits
        self.register_buffer("scale", torch.tensor(0.1))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.scale.fill_(float(self.weight.detach().abs().max()) / 2 ** (self.bits - 1))
        q = (self.weight / self.scale).round().clamp(-(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1) * self.scale
        return F.linear(x, self.weight + (q - self.weight).detach(), self.bias)


class Ternary(nn.Linear):
    """Weights of -1, 0 and 1 and a scale, as in networks of 1.58 bits."""

    def forward(self, x: Tensor) -> Tensor:
        scale = self.weight.abs().mean().clamp(min=1e-5)
        return F.linear(x, (self.weight / scale).round().clamp(-1, 1) * scale, self.bias)


class Int8(nn.Module):
    """Whole numbers and scales, as a quantised checkpoint holds a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("q", torch.randint(-127, 127, (8, 8), dtype=torch.int8))
        self.register_buffer("scale", torch.rand(8, 1) / 50)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.q.to(x.dtype) * self.scale.to(x.dtype))


def requantised(model: Any, step: int) -> None:
    moved(model, step)
    model[2].q.copy_(torch.randint(-127, 127, (8, 8), generator=torch.Generator().manual_seed(step), dtype=torch.int8))


def structured(model: Any, step: int) -> None:
    """A 2:4 mask of a step."""
    moved(model, step)
    with torch.no_grad():
        w = model[2].weight.view(-1, 4)
        w.mul_((w.abs() >= w.abs().topk(2, dim=1).values[:, -1:]).float())


# ---- hooks and wrappers --------------------------------------------------------------------------------------------


class Steered(nn.Module):
    """Adds a vector to the hidden layer by a hook that a context manager of another object holds."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.vectors = mlp(), {"a": torch.randn(8), "b": torch.randn(8)}
        self.chosen = "a"
        self.net[0].register_forward_hook(lambda _m, _i, o: o + self.vectors[self.chosen])

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Parallel(nn.Module):
    """A wrapper like that of distributed training, which passes attributes on and prepares every forward."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module, self.calls = module, 0

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("module"), name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return self.module(*args, **kwargs)


class Checkpointed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(2, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.utils.checkpoint.checkpoint(lambda z: F.relu(self.b(F.relu(self.a(z)))), x, use_reentrant=False)
        return self.out(h)


class Weakly(nn.Module):
    """Knows a layer of another network by a weak reference."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()
        self.seen = weakref.ref(self.net[2])

    def forward(self, x: Tensor) -> Tensor:
        layer = self.seen()
        assert layer is not None
        return self.net[4](F.relu(layer(F.relu(self.net[0](x)))))


class Indirect(nn.Module):
    """Reaches its layers by ways that are no attributes: one of `ways`."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.net = mlp()
        layer, net = self.net[2], self.net
        ways: dict[str, Any] = {
            "closure": lambda z: layer(z), "default": lambda z, layer=layer: layer(z), "bound call": layer.__call__,
            "partial": functools.partial(_through, layer), "method": layer.forward,
            "weak method": weakref.WeakMethod(layer.forward), "list": [weakref.ref(layer)],
            "dictionary": {"a": weakref.ref(layer)}, "nested": {"a": [lambda z: net[2](z)]},
            "weights": lambda z: F.linear(z, layer.weight, layer.bias), "tuple": (layer.weight, layer.bias),
            "namespace": types.SimpleNamespace(act=lambda z: layer(z)),
            "many": collections.OrderedDict(a=lambda z: layer(z)),
            "partial in a list": [functools.partial(lambda a, z: net[2](z), 1)],
            "two levels": lambda z: (lambda y: net[2](y))(z),
        }  # fmt: skip
        self.way, self.held = way, ways[way]

    def forward(self, x: Tensor) -> Tensor:
        z = F.relu(self.net[0](x))
        held: Any = self.held
        if self.way == "weak method":
            z = held()(z)
        elif self.way in ("list", "dictionary"):
            z = held[0 if self.way == "list" else "a"]()(z)
        elif self.way in ("nested", "partial in a list", "many"):
            held = held if self.way == "partial in a list" else held["a"]
            z = (held if callable(held) else held[0])(z)
        elif self.way == "tuple":
            z = F.linear(z, *held)
        else:
            z = (held.act if self.way == "namespace" else held)(z)
        return self.net[4](F.relu(z))


def _through(layer: nn.Module, z: Tensor) -> Tensor:
    return layer(z)


class Early(nn.Module):
    """Leaves at the depth that an outer schedule sets by a property."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 8), nn.Linear(8, 8)])
        self.heads = nn.ModuleList([nn.Linear(8, 3), nn.Linear(8, 3)])
        self._now = [0]

    @property
    def depth(self) -> int:
        return 1 + self._now[0] % 2

    def forward(self, x: Tensor) -> Tensor:
        for layer, head in list(zip(self.layers, self.heads, strict=True))[: self.depth]:
            x = F.relu(layer(x))
            y = head(x)
        return y


class Routed(nn.Module):
    """Weights by a soft router without the input; the hard choice of a step is the largest one."""

    def __init__(self) -> None:
        super().__init__()
        self.experts, self.router = nn.ModuleList(mlp() for _ in range(3)), nn.Parameter(torch.randn(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.experts[int(self.router.argmax())](x)


class Residuals(nn.Module):
    """Hyper-connections: residual streams that learnt matrices mix."""

    def __init__(self) -> None:
        super().__init__()
        self.inp, self.out, self.blocks = nn.Linear(2, 8), nn.Linear(8, 3), nn.ModuleList(nn.Linear(8, 8) for _ in range(2))
        self.mix = nn.ParameterList(nn.Parameter(torch.eye(2) + 0.2 * torch.randn(2, 2)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        streams = self.inp(x)[:, None].expand(-1, 2, -1)
        for block, mix in zip(self.blocks, self.mix, strict=True):
            streams = torch.einsum("ij,bjd->bid", mix.softmax(1), streams)
            streams = torch.stack([streams[:, 0] + F.relu(block(streams[:, 0])), streams[:, 1]], dim=1)
        return self.out(streams.sum(1))


class Lazy(nn.Module):
    """Lazy layers, and one that is made at the first call of training."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyBatchNorm1d(), nn.LazyLinear(3))
        self.body(torch.randn(4, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Tokens(nn.Module):
    """Linear attention without a softmax over learnt tokens: the input meets constants alone."""

    def __init__(self) -> None:
        super().__init__()
        self.keys, self.values = nn.Parameter(torch.randn(5, 8) / 3), nn.Parameter(torch.randn(5, 8) / 3)
        self.a, self.out = nn.Linear(2, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        scores = F.relu(self.a(x) @ self.keys.t() / math.sqrt(8))
        return self.out(scores @ self.values)


def _unhooked(model: Any) -> None:
    model.net[0]._forward_hooks.clear()


def _parametrised(layer: nn.Module, *apply: Any) -> None:
    for one in apply:
        one(layer)


def _replaced(model: Any) -> None:
    model.seen = weakref.ref(model.net[3])
    model.net[2] = nn.Linear(8, 8)


def _nested(m: Any, x: Tensor) -> Tensor:
    rows = torch.nested.nested_tensor(list(m.a(x)))
    return m.out(F.relu(rows.to_padded_tensor(0.0)))


def _mixed(model: Any, step: int) -> None:
    """A model soup: the weights of a step are averaged with those of a copy that trained elsewhere."""
    other = copy.deepcopy(model)
    moved(model, step)
    moved(other, step + 7)
    with torch.no_grad():
        for p, q in zip(model.parameters(), other.parameters(), strict=True):
            p.copy_((p + q) / 2)


def _scheduled() -> Any:
    held: dict[int, ScheduleFree] = {}

    def change(model: nn.Module, step: int) -> None:
        free = held.setdefault(id(model), ScheduleFree(model))
        moved(model, step)
        free.step(model, step)
        for p in model.parameters():
            p.data = free.x[id(p)].clone()

    return change


def _hidden_sorted(m: Any, x: Tensor) -> Tensor:
    return m.out(m.a(x).view(-1, 4, 2).sort(dim=2).values.flatten(1))


RECENT: dict[str, Loop] = {
    # adapters
    "adapter": Loop(adapted, frozen_base, silent=False),
    "adapter merged": Loop(adapted, then(lambda m, s: m[2].merge() if s == 1 else m[2].unmerge())),
    "adapter added": Loop(adapted, at(1, lambda m: (m[2].add("b"), m[2].active.append("b")))),
    "adapter switched": Loop(adapted, at(1, lambda m: (m[2].add("b"), m[2].active.__setitem__(0, "b")))),
    "adapter off": Loop(adapted, at(1, lambda m: m[2].active.clear())),
    "adapter's scaling": Loop(adapted, then(lambda m, s: m[2].scaling.update(default=1.0 / (s + 1)))),
    "adapter taken off": Loop(adapted, at(1, lambda m: (m[2].merge(), m.__setitem__(2, m[2].base_layer)))),
    "scales of activations": Loop(checked(lambda m, x: m.out(hidden(m, x) * m.l), l=vector()), silent=False),
    "orthogonal adapter": Loop(
        inner(lambda m: torch.linalg.solve(torch.eye(8) + m.q - m.q.T, torch.eye(8) - m.q + m.q.T) @ m.w, q=matrix(8, 8))
    ),
    "non-persistent random matrices": Loop(
        inner(
            lambda m: m.w + torch.diag(m.d) @ m.r @ m.s,
            d=vector(),
            r=lambda: (torch.randn(8, 2), False),
            s=lambda: (torch.randn(2, 8), False),
        )
    ),
    # averages
    "schedule-free": Loop(mlp, _scheduled(), silent=False),
    "average in a dictionary": Loop(WithShadow, shadowed),
    "average swapped by eval": Loop(Swapped, lambda m, s: (m.train(), moved(m.net, s))),
    "soup": Loop(mlp, _mixed, silent=False),
    # functional
    "fast weights": Loop(Meta, inner_step),
    "all weights from a code": Loop(Hyper, lambda m, s: moved(m.maker, s)),
    "reparametrised while it runs": Loop(Stateless),
    # quantised and pruned
    "quantised in training": Loop(
        lambda: nn.Sequential(nn.Linear(2, 8), nn.ReLU(), Quantised(8, 8), nn.ReLU(), nn.Linear(8, 3)), trained
    ),
    "bits scheduled": Loop(
        lambda: nn.Sequential(nn.Linear(2, 8), nn.ReLU(), Quantised(8, 8), nn.ReLU(), nn.Linear(8, 3)),
        then(lambda m, s: setattr(m[2], "bits", 4 - s)),
    ),
    "ternary": Loop(lambda: nn.Sequential(nn.Linear(2, 8), nn.ReLU(), Ternary(8, 8), nn.ReLU(), nn.Linear(8, 3))),
    "eight bits": Loop(
        lambda: nn.Sequential(nn.Linear(2, 8), nn.ReLU(), Int8(), nn.ReLU(), nn.Linear(8, 3)), requantised
    ),
    "two of four": Loop(mlp, structured, silent=False),
    "pruned, then made permanent": Loop(
        mlp, then(lambda m, s: prune.l1_unstructured(m[2], "weight", 0.3) if s == 1 else prune.remove(m[2], "weight"))
    ),
    "pruned by a custom mask": Loop(
        mlp, then(lambda m, s: prune.custom_from_mask(m[2], "weight", (m[2].weight.abs() > 0.1).float()))
    ),
    # parametrisations
    "weight norm over orthogonal": Loop(
        lambda: (net := mlp(), _parametrised(net[2], parametrizations.orthogonal))[0],
    ),
    "parametrisation removed, kept": Loop(
        lambda: (net := mlp(), parametrizations.weight_norm(net[2]))[0],
        at(1, lambda m: parametrize.remove_parametrizations(m[2], "weight", leave_parametrized=True)),
    ),
    # hooks and wrappers
    "steered by a hook": Loop(Steered, at(1, lambda m: setattr(m, "chosen", "b"))),
    "steering vector moved": Loop(Steered, then(lambda m, s: m.vectors["a"].add_(s))),
    "steering taken away": Loop(Steered, at(1, _unhooked)),
    "wrapper like a parallel one": Loop(lambda: Parallel(mlp()), silent=False),
    "wrapper in a wrapper": Loop(lambda: Parallel(Parallel(torch.compile(mlp(), backend="eager"))), silent=False),
    "activation checkpointing": Loop(Checkpointed, silent=False),
    "weak reference": Loop(Weakly, silent=False),
    "weak reference to what was replaced": Loop(Weakly, at(1, _replaced)),
    **{
        f"layer by {way}": Loop(functools.partial(Indirect, way), silent=False)
        for way in (
            "closure", "default", "partial", "method", "weak method", "bound call", "list", "dictionary", "nested",
            "weights", "tuple", "namespace", "many", "partial in a list", "two levels",
        )
    },  # fmt: skip
    "early exit by a property": Loop(Early, then(lambda m, s: m._now.__setitem__(0, s))),
    "hard router": Loop(Routed, then(lambda m, s: m.router.copy_(torch.eye(3)[s]))),
    "mixed residual streams": Loop(Residuals),
    "lazy and run": Loop(Lazy, trained, silent=False),
    "learnt tokens": Loop(Tokens, silent=False),
    # forwards
    "nested rows": Loop(checked(_nested), never="batch"),
    "sorted in groups": Loop(checked(_hidden_sorted), silent=False),
    "largest few": Loop(
        checked(lambda m, x: m.h(hidden(m, x).topk(3, dim=1).values), h=lambda: nn.Linear(3, 3)), silent=False
    ),
    "less its median": Loop(
        checked(lambda m, x: m.out(F.relu((z := m.a(x)) - z.median(dim=1, keepdim=True).values))), silent=False
    ),
    "trimmed mean": Loop(
        checked(lambda m, x: m.out(m.a(x) - m.a(x).sort(1).values[:, 2:-2].mean(1, keepdim=True))), silent=False
    ),
    "running minimum": Loop(checked(lambda m, x: m.out(m.a(x).cummin(dim=1)[0])), silent=False),
    "leak by masks": Loop(checked(lambda m, x: m.out((z := m.a(x)) * (1 - 0.8 * (z < 0).to(z.dtype)))), silent=False),
    "absolute value by sign": Loop(checked(lambda m, x: m.out((z := m.a(x)) * z.sign())), silent=False),
    "relu of a layer called twice": Loop(
        checked(lambda m, x: m.out(torch.where(m.a(x) > 0, m.a(x), torch.zeros(())))), silent=False
    ),
    "numbers put right": Loop(checked(lambda m, x: m.out(torch.nan_to_num(hidden(m, x)))), silent=False),
    "checked for infinities": Loop(
        checked(lambda m, x: m.out(hidden(m, x)) if torch.isfinite(m.a(x)).all() else m.out(m.a(x))), silent=False
    ),
    "masks by isnan": Loop(checked(lambda m, x: m.out(torch.where(m.a(x).isnan(), 0.0, hidden(m, x)))), silent=False),
    "complete stateless call": Loop(
        checked(
            lambda m, x: stateless.functional_call(m.n, {k: p * 0.5 for k, p in m.n.named_parameters()}, (x,)), n=mlp
        )
    ),
    "sum over masks of units": Loop(
        checked(
            lambda m, x: m.out(hidden(m, x) * m.mask[int(m.stage)]),
            mask=lambda: ((torch.rand(3, 8) > 0.4).float(), True),
            stage=lambda: (torch.tensor(0), True),
        ),
        then(lambda m, s: m.stage.fill_(s)),
    ),
    "buffer of running means": Loop(
        checked(lambda m, x: m.out(hidden(m, x) - m.mean), mean=lambda: (torch.zeros(8), True)), buffers, silent=False
    ),
}
