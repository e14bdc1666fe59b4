"""Loops of strangers: adapters, averages, routes, caches, globals, hooks, masks, schedules; rows of the table in `loops`."""

from __future__ import annotations

import contextvars
import copy
import enum
import functools
import itertools
import os
import types
from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from everyday import checked, hidden
from loops import Loop, at, attribute, buffers, inner, matrix, mlp, moved, trained, vector
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune

GAIN: dict[str, Any] = {}
LEVEL: contextvars.ContextVar[float] = contextvars.ContextVar("level", default=1.0)


def held(function: Any, **values: Any) -> Any:
    """A network with a forward of its own, whose global state begins anew."""

    def make() -> nn.Module:
        GAIN.clear()
        GAIN.update(now=1.0, offset=torch.zeros(8), act=F.relu)
        LEVEL.set(1.0)
        os.environ.pop("CORPUS_SLOPE", None)
        return checked(function, **values)()

    return make


def then(action: Any) -> Any:
    """Weights move, and action(model, step)."""

    def change(model: nn.Module, step: int) -> None:
        moved(model, step)
        with torch.no_grad():
            action(model, step)

    return change


class Dora(nn.Module):
    """A direction of base and low-rank addition, with lengths of its own."""

    def __init__(self, base: nn.Linear):
        super().__init__()
        self.base, self.a, self.b = base, nn.Parameter(torch.randn(2, 8) / 2), nn.Parameter(torch.randn(8, 2) / 2)
        self.length = nn.Parameter(base.weight.detach().norm(dim=1, keepdim=True))

    def forward(self, x: Tensor) -> Tensor:
        w = self.base.weight + self.b @ self.a
        return F.linear(x, self.length * w / w.norm(dim=1, keepdim=True), self.base.bias)


class LowRank(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.scale = nn.Parameter(torch.randn(2, 8) / 2), nn.Parameter(torch.randn(8, 2) / 2), 1.0

    def forward(self, w: Tensor) -> Tensor:
        return w + self.scale * (self.b @ self.a)


class Averaged(nn.Module):
    """A parametrisation with a state: the mean of the weight over the calls of training."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(8, 8))

    def forward(self, w: Tensor) -> Tensor:
        if self.training:
            with torch.no_grad():
                self.mean.lerp_(w, 0.3)
        return w - self.mean


class Routed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.ModuleDict({k: nn.Linear(2, 8) for k in ("a", "b", "c")})
        self.out, self.task, self.order = nn.ModuleDict({k: nn.Linear(8, 3) for k in "abc"}), "a", ["a", "b"]

    def forward(self, x: Tensor) -> Tensor:
        h = sum(F.relu(self.body[k](x)) / (i + 1) for i, k in enumerate(self.order))
        return self.out[self.task](h)


class Late(nn.Module):
    """Builds its layers at the first call."""

    def __init__(self) -> None:
        super().__init__()
        self.layers: Any = None

    def forward(self, x: Tensor) -> Tensor:
        if self.layers is None:
            self.layers = nn.Sequential(nn.Linear(x.shape[1], 8), nn.ReLU(), nn.Linear(8, 3))
        return self.layers(x)


def late() -> nn.Module:
    net = Late()
    net(torch.zeros(1, 2))
    return net


class Remembering(nn.Module):
    """Keeps a computed weight in a cache of functools, which no copy of the module has."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.out, self.w = nn.Linear(2, 8), nn.Linear(8, 3), nn.Parameter(torch.randn(8, 8) / 3)

    @functools.lru_cache  # noqa: B019  # what the row is about
    def weight(self) -> Tensor:
        return (self.w - self.w.mean()).detach()

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(F.linear(F.relu(self.a(x)), self.weight())))


class CachedProperty(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.out, self.w = nn.Linear(2, 8), nn.Linear(8, 3), nn.Parameter(torch.randn(8, 8) / 3)

    @functools.cached_property
    def weight(self) -> Tensor:
        return (self.w - self.w.mean()).detach()

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(F.linear(F.relu(self.a(x)), self.weight)))


BY_ID: dict[int, Tensor] = {}


class ById(CachedProperty):
    """The same in a dictionary of the process."""

    def forward(self, x: Tensor) -> Tensor:
        if id(self) not in BY_ID:
            BY_ID[id(self)] = (self.w - self.w.mean()).detach()
        return self.out(F.relu(F.linear(F.relu(self.a(x)), BY_ID[id(self)])))


class Bounded(torch.autograd.Function):
    """A clipped ReLU with a gradient of its own; the bound is a class attribute."""

    bound = 2.0

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(0.0, Bounded.bound)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g


class Binary(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, w: Tensor) -> Tensor:
        return w.sign() * w.abs().mean()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g


class InPlace(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.mark_dirty(x)
        return x.clamp_(min=0)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g


class Always(nn.Module):
    """Monte-Carlo dropout: evaluation mode leaves it on."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.drop, self.out = nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 3)

    def train(self, mode: bool = True) -> Any:
        super().train(mode)
        self.drop.train()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.drop(F.relu(self.a(x))))


class Stubborn(Always):
    """Evaluation mode leaves batch statistics on."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.BatchNorm1d(8)


class Frozen(nn.Module):
    """Batch norm stays in evaluation mode while the rest trains."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm, self.out = nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)

    def train(self, mode: bool = True) -> Any:
        super().train(mode)
        self.norm.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(self.norm(self.a(x))))


class Stateless(nn.Module):
    """Calls a bare network with weights that it holds itself, in a plain dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.base = [mlp()]
        self.weights = {k: 1.1 * p.detach().clone() for k, p in self.base[0].named_parameters()}
        self.gain = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.func.functional_call(self.base[0], self.weights, (x,)) * self.gain


class Stacked(nn.Module):
    """An ensemble of stacked weights, called by vmap."""

    def __init__(self) -> None:
        super().__init__()
        nets = [mlp() for _ in range(3)]
        self.base = [copy.deepcopy(nets[0]).to("meta")]
        params, _ = torch.func.stack_module_state(nets)
        self.names = list(params)
        self.params = nn.ParameterList([nn.Parameter(p.detach().clone()) for p in params.values()])

    def forward(self, x: Tensor) -> Tensor:
        call = lambda *p: torch.func.functional_call(self.base[0], dict(zip(self.names, p, strict=True)), (x,))  # noqa: E731
        return torch.vmap(call)(*self.params).mean(0)


class ByNumpy(nn.Module):
    """Leaves torch in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.out = nn.Linear(2, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x).detach().numpy()
        return self.out(torch.from_numpy(h.clip(0)))


class Turns(nn.Module):
    """Another head at every call."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.heads = nn.Linear(2, 8), nn.ModuleList([nn.Linear(8, 3) for _ in range(2)])
        self.turn = itertools.cycle(range(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.heads[next(self.turn)](F.relu(self.a(x)))


class Flat(nn.Module):
    """All weights are views of one flat vector."""

    def __init__(self) -> None:
        super().__init__()
        self.flat = nn.Parameter(torch.randn(2 * 8 + 8 + 8 * 3 + 3) / 2)

    def forward(self, x: Tensor) -> Tensor:
        w, b, v, c = self.flat.split([16, 8, 24, 3])
        return F.linear(F.relu(F.linear(x, w.view(8, 2), b)), v.view(3, 8), c)


class Selfish(nn.Module):
    """Will not be copied, and drops what it can when it is pickled."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.out, self.gain = nn.Linear(2, 8), nn.Linear(8, 3), 1.0

    def __deepcopy__(self, memo: Any) -> Any:
        raise RuntimeError("there is one of me")

    def __getstate__(self) -> Any:
        return {k: v for k, v in self.__dict__.items() if k != "gain"}

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(self.a(x))) * self.gain


class Absolute(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.abs()


class Mode(enum.Enum):
    FULL = 1
    HALF = 2


def flattened() -> nn.Module:
    """A network whose parameters are views of one vector, as flattening optimisers make them."""
    net = mlp()
    flat = torch.cat([p.detach().reshape(-1) for p in net.parameters()])
    start = 0
    for p in net.parameters():
        p.data = flat[start : start + p.numel()].view(p.shape)
        start += p.numel()
    net.flat = [flat]
    return net


def skipped() -> nn.Module:
    net = nn.Sequential(nn.utils.skip_init(nn.Linear, 2, 8), nn.ReLU(), nn.utils.skip_init(nn.Linear, 8, 3))
    for p in net.parameters():
        nn.init.normal_(p)
    return net


def swapped(model: Any, step: int) -> None:
    """The average lies in the model while it is saved."""
    live = {k: t.clone() for k, t in getattr(model, "live", model.state_dict()).items()}
    model.live = {k: -1.1 * t + 0.1 * step for k, t in live.items()}
    model.load_state_dict({k: 0.5 * (t + live[k]) for k, t in model.live.items()})


def swapped_storage(model: Any, step: int) -> None:
    """Live and averaged weights change places, storage and all."""
    moved(model, step)
    if not hasattr(model, "average"):
        model.average = [0.7 * p.detach() for p in model.parameters()]
    for i, p in enumerate(model.parameters()):
        p.data, model.average[i] = model.average[i], p.data


def wrapped_forward(model: Any) -> None:
    """As accelerate prepares a module: its forward is replaced, the old one is kept."""
    inside = model.forward

    @functools.wraps(inside)
    def forward(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast("cpu", enabled=False):
            return inside(*args, **kwargs).float()

    model.forward = forward
    model._original_forward = inside


def masks(model: Any, step: int) -> None:
    """Masks of a step: what grew too small is cut, what was cut stays."""
    for layer in (model[0], model[2]):
        if not hasattr(layer, "mask"):
            layer.mask = torch.ones_like(layer.weight)
            layer.register_forward_pre_hook(lambda m, _: _masked(m))
        layer.mask *= (layer.weight.abs() > 0.2).float()


def _masked(layer: Any) -> None:
    layer.weight.data.mul_(layer.mask)


def rewound(model: Any, step: int) -> None:
    """A lottery ticket: pruned, and back to its first weights."""
    first = [torch.randn(8, 2), torch.randn(8, 8)]
    for layer, weight in zip((model[0], model[2]), first, strict=True):
        prune.l1_unstructured(layer, "weight", 0.3)
        layer.weight_orig.data.copy_(weight)


def faked() -> nn.Module:
    """A layer whose weights pass torch's own fake quantisation."""
    scale, zero = torch.tensor(0.05), torch.tensor(0, dtype=torch.int32)
    return checked(
        lambda m, x: m.out(F.relu(F.linear(x, torch.fake_quantize_per_tensor_affine(m.a.weight, m.s, m.z, -128, 127), m.b))),
        s=lambda: (scale, True),
        z=lambda: (zero, True),
    )()


def observed() -> nn.Module:
    from torch.ao.quantization import FakeQuantize

    return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), FakeQuantize(), nn.Linear(8, 3))


def graphed() -> nn.Module:
    return torch.fx.symbolic_trace(mlp())


def regraphed(model: Any) -> None:
    """A graph module is edited: its first ReLU becomes an absolute value."""
    node = next(n for n in model.graph.nodes if n.target == "1")
    with model.graph.inserting_after(node):
        new = model.graph.call_function(torch.abs, node.args)
    node.replace_all_uses_with(new)
    model.graph.erase_node(node)
    model.recompile()


def spectral(module: nn.Module) -> Any:
    return parametrizations.spectral_norm(module, n_power_iterations=3)


def seeded(value: float) -> Any:
    """A hook that multiplies by what stands in its list."""
    gains = [value]

    def make() -> nn.Module:
        net = mlp()
        net.gains = gains
        gains[0] = value
        net[1].register_forward_hook(lambda _m, _i, o: o * gains[0])
        return net

    return make


class Slopes:
    """A configuration object, as hydra and argparse give it."""

    def __init__(self) -> None:
        self.model = types.SimpleNamespace(slope=0.3)


STRANGERS: dict[str, Loop] = {
    # adapters
    "dora": Loop(lambda: nn.Sequential(nn.Linear(2, 8), nn.ReLU(), Dora(nn.Linear(8, 8)), nn.ReLU(), nn.Linear(8, 3))),
    "low rank by parametrisation": Loop(
        lambda: _parametrised(mlp(), LowRank()), attribute("scale", [1.0, 0.5, 2.0], "2.parametrizations.weight.0")
    ),
    "shared random projections": Loop(
        inner(
            lambda m: m.w + torch.diag(m.d) @ m.p @ torch.diag(m.e) @ m.q,
            d=vector(),
            e=vector(2),
            p=lambda: (torch.randn(8, 2), True),
            q=lambda: (torch.randn(2, 8), True),
        )
    ),  # fmt: skip
    "scaled activations": Loop(checked(lambda m, x: m.out(hidden(m, x) * m.s), s=vector()), silent=False),
    "several adapters by weight": Loop(
        inner(
            lambda m: m.w + sum(k * p for k, p in zip(m.k, m.many, strict=True)), many=matrix(2, 8, 8), k=lambda: [1.0, 0.0]
        ),
        then(lambda m, s: m.k.__setitem__(1, 0.5 * s)),
    ),
    "adapter switched by a global": Loop(
        held(
            lambda m, x: m.out(F.relu(F.linear(hidden(m, x), m.w + (m.p @ m.q if GAIN["now"] > 1 else 0)))),
            p=matrix(8, 2),
            q=matrix(2, 8),
        ),
        then(lambda m, s: GAIN.update(now=2.0)),
    ),  # fmt: skip
    # tying
    "decoder is the encoder transposed": Loop(
        checked(lambda m, x: m.out(F.relu(F.linear(F.linear(hidden(m, x), m.a.weight.t()), m.a.weight)))), silent=False
    ),
    "output tied to a buffer": Loop(
        checked(lambda m, x: F.linear(hidden(m, x), m.v - m.v.mean(0)), v=lambda: (torch.randn(3, 8), True)), buffers
    ),
    "one layer twice, one replaced": Loop(lambda: _twice(), at(1, lambda m: m.__setitem__(4, nn.Linear(8, 8)))),
    # averages
    "average swapped in": Loop(mlp, swapped, silent=False),
    "average swapped in by storage": Loop(mlp, swapped_storage, silent=False),
    "average's statistics": Loop(
        lambda: torch.optim.swa_utils.AveragedModel(
            nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
        ),
        lambda m, s: (moved(m, s), torch.optim.swa_utils.update_bn([torch.randn(16, 2)], m)),
        silent=False,
    ),
    # lazily built
    "built at the first call": Loop(late, silent=False),
    "built later": Loop(Late, never="made when it is first called"),
    "not built": Loop(lambda: nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(3)), never="lazy"),
    "rebuilt": Loop(
        late,
        then(lambda m, s: setattr(m, "layers", mlp())),
    ),
    "skipped initialisation": Loop(skipped, silent=False),
    "on no device": Loop(lambda: mlp().to("meta"), never="meta"),
    # routes
    "another task": Loop(Routed, attribute("task", ["a", "b", "c"])),
    "another order": Loop(Routed, attribute("order", [["a", "b"], ["b", "a"], ["c"]])),
    "a route added": Loop(Routed, at(1, lambda m: (m.body.__setitem__("d", nn.Linear(2, 8)), m.order.append("d")))),
    "chosen by an enum": Loop(
        checked(lambda m, x: m.out(hidden(m, x)) * (0.5 if m.mode is Mode.HALF else 1.0), mode=Mode.FULL),
        attribute("mode", [Mode.FULL, Mode.HALF, Mode.FULL]),
    ),
    # what no module holds
    "global number": Loop(held(lambda m, x: m.out(hidden(m, x)) * GAIN["now"]), then(lambda m, s: GAIN.update(now=1.0 + s))),
    "global tensor in place": Loop(
        held(lambda m, x: m.out(F.relu(m.a(x) + GAIN["offset"]))), then(lambda m, s: GAIN["offset"].add_(0.5))
    ),
    "global function": Loop(
        held(lambda m, x: m.out(GAIN["act"](m.a(x)))), then(lambda m, s: GAIN.update(act=[F.relu, torch.abs, F.relu6][s]))
    ),
    "environment": Loop(
        held(lambda m, x: m.out(F.leaky_relu(m.a(x), float(os.environ.get("CORPUS_SLOPE", "0.1"))))),
        then(lambda m, s: os.environ.__setitem__("CORPUS_SLOPE", str(0.1 + 0.2 * s))),
    ),
    "context variable": Loop(
        held(lambda m, x: m.out(hidden(m, x)) * LEVEL.get()), then(lambda m, s: LEVEL.set(1.0 + s) and None)
    ),
    "configuration object": Loop(
        checked(lambda m, x: m.out(F.leaky_relu(m.a(x), m.cfg.model.slope)), cfg=Slopes),
        then(lambda m, s: setattr(m.cfg.model, "slope", 0.1 * s)),
    ),
    "partial function": Loop(
        checked(lambda m, x: m.out(m.act(m.a(x))), act=lambda: functools.partial(F.leaky_relu, negative_slope=0.3)),
        then(lambda m, s: m.act.keywords.update(negative_slope=0.1 * s)),
    ),
    "fraction": Loop(
        checked(lambda m, x: m.out(F.leaky_relu(m.a(x), float(m.f))), f=Fraction(1, 3)),
        then(lambda m, s: setattr(m, "f", Fraction(1, 3 + s))),
    ),
    "default argument": Loop(
        checked(lambda m, x, gains=GAIN: m.out(hidden(m, x)) * (1.0 + m.list[-1]), list=lambda: [0.0]),
        then(lambda m, s: m.list.append(float(s))),
    ),
    "blended activation": Loop(
        checked(lambda m, x: (lambda z: m.out(torch.lerp(F.leaky_relu(z, 0.5), F.relu(z), m.t)))(m.a(x)), t=0.0),
        attribute("t", [0.0, 0.5, 1.0]),
    ),
    "blended with a constant": Loop(
        checked(lambda m, x: m.out(F.relu(torch.lerp(m.a(x), m.b, m.s.sigmoid()))), s=vector()),
    ),
    "blended by units": Loop(checked(lambda m, x: m.out(torch.lerp(m.b, F.relu(m.a(x)), m.s)), s=vector()), silent=True),
    "smooth for a while": Loop(
        checked(lambda m, x: (lambda z: m.out(F.relu(z) if m.t >= 1 else F.gelu(z)))(m.a(x)), t=0.0),
        attribute("t", [0.0, 0.5, 1.0]),
    ),
    "smooth by a share of zero": Loop(
        checked(lambda m, x: (lambda z: m.out((1 - m.t) * F.gelu(z) + m.t * F.relu(z)))(m.a(x)), t=0.0),
        attribute("t", [0.0, 0.5, 1.0]),
        drawn="gelu",
    ),  # fmt: skip
    # caches
    "cache of functools": Loop(Remembering, lambda m, s: (moved(m, s), m(torch.zeros(1, 2))), never="lru_cache"),
    "cached property": Loop(CachedProperty, lambda m, s: (moved(m, s), m(torch.zeros(1, 2))), silent=False),
    "cache by identity": Loop(lambda: _called(ById()), never="knows the module by its identity"),
    # computed weights
    "canonical factors": Loop(
        inner(lambda m: torch.einsum("r,ir,jr->ij", m.l, m.p, m.q), l=vector(3), p=matrix(8, 3), q=matrix(8, 3))
    ),
    "tensor train": Loop(
        inner(
            lambda m: torch.einsum("air,brj->abij", m.p, m.q).permute(0, 2, 1, 3).reshape(8, 8),
            p=matrix(2, 4, 3),
            q=matrix(4, 3, 2),
        ),
    ),
    "circulant": Loop(inner(lambda m: torch.stack([m.p.roll(i) for i in range(8)]), p=vector())),
    "cayley": Loop(inner(lambda m: torch.linalg.solve(torch.eye(8) + (m.w - m.w.t()), torch.eye(8) - (m.w - m.w.t())))),
    "sparsemax of shares": Loop(inner(lambda m: m.w * (m.g.softmax(0) > 0.12).float(), g=vector())),
    "dequantised": Loop(
        inner(
            lambda m: m.q.to(m.w.dtype) * m.s,
            q=lambda: (torch.randint(-9, 9, (8, 8), dtype=torch.int8), True),
            s=lambda: nn.Parameter(torch.tensor(0.1)),
        ),
    ),  # fmt: skip
    "half precision weights": Loop(
        inner(lambda m: m.h.float(), h=lambda: nn.Parameter(torch.randn(8, 8).half())), silent=False
    ),
    "complex weights": Loop(
        inner(lambda m: (m.c * m.c.conj()).real, c=lambda: nn.Parameter(torch.randn(8, 8, dtype=torch.complex64))),
        never="real weights",
    ),
    "flat vector": Loop(Flat),
    "views of a flat vector": Loop(flattened, then(lambda m, s: m.flat[0].mul_(1.1)), silent=False),
    "binary by an autograd function": Loop(inner(lambda m: Binary.apply(m.w))),
    "bound in an autograd function": Loop(
        checked(lambda m, x: m.out(Bounded.apply(m.a(x)))), then(lambda m, s: setattr(Bounded, "bound", 0.5 * s))
    ),
    "autograd function in place": Loop(checked(lambda m, x: m.out(InPlace.apply(m.a(x)))), silent=False),
    "fake quantised weights": Loop(faked),
    "fake quantised activations": Loop(observed, trained, never=""),
    # parametrisations and masks
    "parametrisation with a state": Loop(
        lambda: _parametrised(mlp(), Averaged()), lambda m, s: (m.train(), moved(m, s), m(torch.zeros(1, 2)))
    ),
    "several power iterations": Loop(lambda: _applied(mlp(), spectral), trained),
    "pruned by structure": Loop(mlp, then(lambda m, s: prune.ln_structured(m[2], "weight", 0.3, n=2, dim=0))),
    "pruned together": Loop(
        mlp,
        then(lambda m, s: prune.global_unstructured([(m[0], "weight"), (m[2], "weight")], prune.L1Unstructured, amount=0.3)),
    ),
    "masks in a hook": Loop(mlp, then(masks), silent=False),
    "rewound": Loop(mlp, rewound),
    "masks loosened": Loop(lambda: _pruned(), then(lambda m, s: m[2].weight_mask.fill_(1.0) if s == 2 else None)),
    # hooks
    "hook with a list": Loop(seeded(1.0), then(lambda m, s: m.gains.__setitem__(0, 1.0 + s))),
    "hook changed": Loop(
        seeded(2.0), at(1, lambda m: (m[1]._forward_hooks.clear(), m[1].register_forward_hook(lambda _m, _i, o: o - 0.3)))
    ),
    "backward hooks": Loop(mlp, at(1, lambda m: m[2].register_full_backward_hook(lambda *_: None)), silent=False),
    "noise in a hook": Loop(
        mlp, at(1, lambda m: m[1].register_forward_hook(lambda _m, _i, o: o + torch.randn_like(o))), refused="random"
    ),
    # modes
    "dropout always": Loop(Always, never="in evaluation mode"),
    "batch statistics always": Loop(Stubborn, never="in evaluation mode"),
    "frozen batch norm by its mode": Loop(Frozen, trained, silent=False),
    "saved in training mode": Loop(
        lambda: nn.Sequential(
            nn.Linear(2, 8), nn.BatchNorm1d(8, momentum=None), nn.Dropout(), nn.ReLU(), nn.Linear(8, 3)
        ).train(),
        trained,
        silent=False,
    ),  # fmt: skip
    # called with other weights
    "called with weights of its own": Loop(
        Stateless, then(lambda m, s: [w.mul_(-1.2).add_(0.1) for w in m.weights.values()])
    ),
    "stacked and mapped": Loop(Stacked, never="torch.einsum"),
    "leaves torch": Loop(ByNumpy, never=""),
    "takes turns": Loop(Turns, never="run again"),
    # copies and wrappers
    "will not be copied": Loop(Selfish, attribute("gain", [1.0, 2.0, 3.0])),
    "prepared forward": Loop(mlp, at(1, wrapped_forward), silent=False),
    "forward bound to another": Loop(
        mlp, at(1, lambda m: setattr(m, "forward", types.MethodType(lambda self, x: self[4](self[1](self[0](x))), m)))
    ),
    "graph module": Loop(graphed, silent=False),
    "graph module edited": Loop(graphed, at(1, regraphed)),
    "scripted": Loop(lambda: torch.jit.script(mlp()), never="TorchScript"),
    "compiled part replaced": Loop(
        lambda: torch.compile(mlp(), backend="eager"),
        at(1, lambda m: setattr(m._orig_mod, "2", nn.Linear(8, 8, bias=False))),
    ),
    "class changed": Loop(mlp, at(1, lambda m: setattr(m[1], "__class__", Absolute))),
    "input in place": Loop(checked(lambda m, x: m.out(F.relu(m.a(x.mul_(0.5))))), silent=False),
    "winners take all": Loop(
        checked(lambda m, x: m.out(torch.zeros(len(x), 8).scatter(1, m.a(x).topk(3).indices, 1.0))), never=""
    ),
    "rounded inputs": Loop(checked(lambda m, x: m.out(hidden(m, (x * 4).round() / 4))), never=""),
    "looked up": Loop(checked(lambda m, x: m.h((x[:, 0] * 2).long() % 4), h=lambda: nn.Embedding(4, 3)), never=""),
    "bilinear": Loop(checked(lambda m, x: m.n(hidden(m, x), m.a(x)), n=lambda: nn.Bilinear(8, 8, 3)), never=""),
    "distances": Loop(checked(lambda m, x: m.out(torch.cdist(m.a(x), m.w))), never=""),
    "running maximum": Loop(checked(lambda m, x: m.out(m.a(x).cummax(1).values)), silent=False),
    "recurrent by torch": Loop(
        checked(lambda m, x: m.out(m.n(x[:, None])[0][:, 0]), n=lambda: nn.RNN(2, 8, nonlinearity="relu", batch_first=True)),
        never="",
    ),
    "one noise for all rows": Loop(checked(lambda m, x: m.out(F.relu(m.a(x) + torch.randn(8)))), never="random"),
    "projection of a seed": Loop(checked(lambda m, x: m.out(F.relu(m.a(x) + _drawn()))), silent=False),
    "half a copy": Loop(
        checked(lambda m, x: m.out(F.relu(m.a(x)) + m.offsets[1] + m.offsets[2]), offsets=lambda: _uncopied()),
        then(lambda m, s: m.offsets[1].add_(s)),
    ),
    # what happens to weights between two steps
    "clipped as a critic's": Loop(mlp, then(lambda m, s: [p.clamp_(-0.3, 0.3) for p in m.parameters()]), silent=False),
    "projected onto orthogonal ones": Loop(
        mlp, then(lambda m, s: m[2].weight.copy_(torch.linalg.qr(m[2].weight)[0])), silent=False
    ),
    "reset every step": Loop(mlp, then(lambda m, s: m[4].reset_parameters()), silent=False),
    "rows reborn": Loop(mlp, then(lambda m, s: m[0].weight[s].normal_()), silent=False),
    "bias taken away": Loop(mlp, at(1, lambda m: m[2].register_parameter("bias", None))),
    "layer taken out": Loop(mlp, at(1, lambda m: (m.pop(3), m.pop(2)))),
    "layers swapped": Loop(
        mlp, at(1, lambda m: (m.__setitem__(1, nn.Sequential(m[1], m[2], nn.ReLU())), m.__setitem__(2, nn.Identity())))
    ),
    "weights permuted": Loop(mlp, then(lambda m, s: m[2].weight.copy_(m[2].weight.roll(s, 0))), silent=False),
    "weights transposed in place": Loop(
        mlp, then(lambda m, s: setattr(m[2].weight, "data", m[2].weight.data.t())), silent=False
    ),
    "norm put in": Loop(mlp, at(1, lambda m: m.insert(1, nn.BatchNorm1d(8)))),
    "slope learnt later": Loop(mlp, at(1, lambda m: m.__setitem__(1, nn.PReLU(8)))),
    "trained by parts": Loop(mlp, lambda m, s: moved(m[4 if s == 1 else 0], s), silent=False),
    "averaged with its start": Loop(
        checked(lambda m, x: m.n(x), n=mlp),
        then(lambda m, s: [p.lerp_(torch.zeros_like(p), 0.2) for p in m.n.parameters()]),
        silent=False,
    ),
    "steep leak": Loop(lambda: mlp(lambda: nn.LeakyReLU(1.5)), silent=False),
    "mirrored leak": Loop(lambda: mlp(lambda: nn.LeakyReLU(-1.0)), silent=False),
}


def _drawn() -> Tensor:
    return torch.randn(8, generator=torch.Generator().manual_seed(3))


class Uncopied:
    """Something of another library."""

    def __deepcopy__(self, memo: Any) -> Any:
        raise RuntimeError("no copies")

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


def _uncopied() -> list[Any]:
    return [Uncopied(), torch.ones(8), torch.ones(8)]


def _called(net: nn.Module) -> nn.Module:
    net(torch.zeros(1, 2))
    return net


def _parametrised(net: Any, parametrisation: nn.Module) -> nn.Module:
    parametrize.register_parametrization(net[2], "weight", parametrisation)
    return net


def _applied(net: Any, function: Any) -> nn.Module:
    function(net[2])
    return net


def _pruned() -> nn.Module:
    net = mlp()
    prune.random_unstructured(net[2], "weight", amount=0.5)
    return net


def _twice() -> nn.Module:
    layer = nn.Linear(8, 8)
    return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), layer, nn.ReLU(), layer, nn.ReLU(), nn.Linear(8, 3))


__all__ = ["STRANGERS"]
