"""Networks inside what people put around them, and batches in unusual places: rows of the table in `loops`."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import torch
import torch.nn.functional as F
from everyday import IMAGE, Residual, checked, hidden
from loops import Loop, at, attribute, both, matrix, mlp, moved, trained
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize


class Wrapper(nn.Module):
    """A wrapper that passes on what it does not have, as DistributedDataParallel and accelerate's do."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module
        self.reducer = object()

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self._modules["module"], name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)


class Lightning(nn.Module):
    """A LightningModule in all but name: forward delegates, and the trainer hangs on it."""

    def __init__(self) -> None:
        super().__init__()
        self.model, self.loss, self.metric = mlp(), nn.CrossEntropyLoss(), {"acc": torch.tensor(0.0)}
        self._trainer = None
        self.example_input_array = torch.randn(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)

    def training_step(self, batch: Any, i: int) -> Tensor:
        return self.loss(self(batch[0]), batch[1])


@dataclasses.dataclass
class Answer:
    logits: Tensor
    hidden: Tensor | None = None


class Sequence(nn.Module):
    """Tokens in front, the batch second."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix, self.out = nn.Linear(1, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x.unsqueeze(-1).transpose(0, 1)
        h = F.relu(self.embed(x))
        h = h + F.relu(self.mix(h))
        return self.out(h.mean(dim=0))


class Teacher(nn.Module):
    """A student and a frozen copy of itself, which is refreshed now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.student = mlp()
        object.__setattr__(self, "teacher", [mlp()])

    def forward(self, x: Tensor) -> Tensor:
        return self.student(x) + 0.5 * self.teacher[0](x)


def refreshed(model: Any, step: int) -> None:
    moved(model.student, step)
    model.teacher[0] = copy.deepcopy(model.student)


class Experts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.experts, self.gate = nn.ModuleDict({k: nn.Linear(2, 8) for k in "abc"}), nn.Parameter(torch.randn(3))
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        share = torch.softmax(self.gate, 0)
        h = sum(s * F.relu(self.experts[k](x)) for s, k in zip(share, self.experts, strict=True))
        return self.out(h)


class Bayesian(nn.Module):
    """Means and deviations of weights; evaluation takes the means."""

    def __init__(self) -> None:
        super().__init__()
        self.mu, self.rho = nn.Parameter(torch.randn(8, 2)), nn.Parameter(torch.randn(8, 2))
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        w = self.mu
        if self.training:
            w = w + F.softplus(self.rho) * torch.randn_like(w)
        return self.out(F.relu(x @ w.t()))


class Weighted(nn.Module):
    """Its own subclass of Linear keeps scores, and the weights of the best of them take part, as in edge-popup."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.out = nn.Linear(2, 8), nn.Linear(8, 3)
        self.scores = nn.Parameter(torch.randn(8, 2))

    def forward(self, x: Tensor) -> Tensor:
        k = int(0.5 * self.scores.numel())
        best = self.scores.flatten().topk(k).indices
        mask = torch.zeros(16).scatter(0, best, 1.0).view(8, 2)
        return self.out(F.relu(F.linear(x, self.a.weight * mask, self.a.bias)))


class Quant(nn.Module):
    """Weights rounded to a grid of their own scale."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.out, self.bits = nn.Linear(2, 8), nn.Linear(8, 3), 4

    def forward(self, x: Tensor) -> Tensor:
        w = self.a.weight
        scale = w.abs().amax() / (2 ** (self.bits - 1) - 1)
        return self.out(F.relu(F.linear(x, torch.round(w / scale) * scale, self.a.bias)))


class Fourier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.spectrum, self.out = nn.Parameter(torch.randn(5, 2)), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.fft.irfft(torch.complex(self.spectrum[:, 0], self.spectrum[:, 1]), n=8)
        return self.out(F.relu(x.sum(1, keepdim=True) * spectrum + spectrum.roll(1)))


class Iterated(nn.Module):
    """Unrolled ISTA: a step size that is learnt, a number of iterations that is set."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.lam, self.n, self.out = nn.Linear(2, 8, bias=False), nn.Parameter(torch.tensor(0.1)), 1, nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        z = x.new_zeros(x.shape[0], 8)
        for _ in range(self.n):
            z = z - 0.1 * (z @ self.w.weight - x) @ self.w.weight.t()
            z = F.relu(z - self.lam.abs()) - F.relu(-z - self.lam.abs())
        return self.out(z)


class Icnn(nn.Module):
    """Input-convex: weights made positive in place after every step, or by a function."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.z, self.skip = nn.Linear(2, 8), nn.Linear(8, 3, bias=False), nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(F.linear(F.relu(self.a(x)), self.z.weight.clamp_min(0)) + self.skip(x))


class Householder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.v, self.a, self.out = nn.Parameter(torch.randn(3, 8)), nn.Linear(2, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.a(x))
        for v in self.v:
            h = h - 2 * (h @ v)[:, None] * v / v.dot(v)
        return self.out(h.abs())


class Counted(nn.BatchNorm1d):
    """Batch norm that trusts its statistics after a number of batches alone."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if int(self.num_batches_tracked) > 1 else x


def exponential() -> nn.Module:
    return torch.optim.swa_utils.AveragedModel(mlp(), multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.6))


def averaged(model: Any, step: int) -> None:
    source = copy.deepcopy(model.module)
    moved(source, step)
    model.update_parameters(source)


def added_adapter(model: Any) -> None:
    model[2] = Adapter(model[2])


class Adapter(nn.Module):
    """A layer with a low-rank addition, put in its place as peft does."""

    def __init__(self, base: nn.Linear):
        super().__init__()
        self.base, self.a, self.b = base, nn.Linear(8, 2, bias=False), nn.Linear(2, 8, bias=False)
        self.scaling, self.enabled = {"default": 2.0}, True

    def merge(self) -> None:
        with torch.no_grad():
            self.base.weight += self.scaling["default"] * self.b.weight @ self.a.weight
        self.enabled = False

    def forward(self, x: Tensor) -> Tensor:
        y = self.base(x)
        return y + self.b(self.a(x)) * self.scaling["default"] if self.enabled else y


def adapters() -> nn.Module:
    net = mlp()
    added_adapter(net)
    return net


def compiled(module: nn.Module) -> nn.Module:
    module.compile(backend="eager")
    return module


def quick_gelu(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    return m.out(h * torch.sigmoid(1.702 * h))


WRAPPED: dict[str, Loop] = {
    "wrapper that passes on": Loop(lambda: Wrapper(mlp()), silent=False),
    "wrapper of a compiled one": Loop(lambda: Wrapper(torch.compile(mlp(), backend="eager")), silent=False),
    "compiled in place": Loop(lambda: compiled(mlp()), silent=False),
    "compiled wrapper of parallel": Loop(lambda: torch.compile(nn.DataParallel(mlp()), backend="eager"), silent=False),
    "compiled, activation replaced": Loop(
        lambda: torch.compile(mlp(), backend="eager"), at(1, lambda m: m._orig_mod.__setitem__(1, nn.ReLU6()))
    ),
    "exponential average": Loop(exponential, averaged, silent=False),
    "lightning": Loop(Lightning, silent=False),
    "dataclass": Loop(checked(lambda m, x: Answer(m.out(hidden(m, x)), m.a(x))), silent=False),
    "dictionary of one": Loop(checked(lambda m, x: {"out": m.out(hidden(m, x))}), silent=False),
    "dictionary of two": Loop(checked(lambda m, x: {"y": m.out(hidden(m, x)), "z": m.a(x)}), never="output="),
    "list": Loop(checked(lambda m, x: [m.out(hidden(m, x)), m.a(x)]), never="output="),
    "nothing": Loop(checked(lambda m, x: None), never="output"),
    "no input": Loop(checked(lambda m, x: m.w), never="depends on the input"),
    "thousands of outputs": Loop(lambda: nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3000)), silent=False),
    "tokens in front": Loop(Sequence, silent=False),
    "columns": Loop(checked(lambda m, x: m.out(F.relu(m.w @ m.a(x).t() + m.b[:, None]).t())), silent=False),
    "ensemble by maximum": Loop(
        checked(lambda m, x: torch.stack([n(x) for n in m.n]).max(0).values, n=lambda: nn.ModuleList([mlp(), mlp()])),
        silent=False,
    ),
    "ensemble weighted": Loop(
        checked(
            lambda m, x: (torch.stack([n(x) for n in m.n]) * m.s.softmax(0)[:, None, None]).sum(0),
            n=lambda: nn.ModuleList([mlp(), mlp()]),
            s=lambda: nn.Parameter(torch.randn(2)),
        ),
    ),
    "ensemble by vmap": Loop(
        checked(lambda m, x: torch.einsum("eoi,bi->ebo", m.many, hidden(m, x)).mean(0), many=matrix(3, 3, 8)), silent=False
    ),
    "batched products": Loop(
        checked(
            lambda m, x: torch.bmm(m.many, hidden(m, x).expand(2, -1, -1).transpose(1, 2)).sum(0).t(), many=matrix(2, 3, 8)
        ),
        never="batch",
    ),
    "teacher outside the modules": Loop(Teacher, refreshed),
    "experts": Loop(Experts),
    "bayesian": Loop(Bayesian, lambda m, s: (m.train(), moved(m, s)), silent=False),
    "edge popup": Loop(Weighted),
    "rounded weights": Loop(Quant),
    "fewer bits": Loop(Quant, attribute("bits", [4, 3, 2])),
    "fourier": Loop(Fourier),
    "unrolled": Loop(Iterated, attribute("n", [1, 2, 3])),
    "input convex": Loop(Icnn),
    "input convex in place": Loop(mlp, lambda m, s: (moved(m, s), m[2].weight.data.clamp_(min=0)), silent=False),
    "householder": Loop(Householder),
    "batch norm waits": Loop(
        lambda: nn.Sequential(nn.Linear(2, 8), Counted(8), nn.ReLU(), nn.Linear(8, 3)),
        trained,
        silent=False,
    ),
    "adapter put in": Loop(mlp, at(1, added_adapter)),
    "adapter scaled": Loop(adapters, lambda m, s: (moved(m, s), m[2].scaling.update(default=1.0 + s))),
    "adapter merged": Loop(adapters, at(1, lambda m: m[2].merge())),
    "adapter merged and taken out": Loop(adapters, at(1, lambda m: (m[2].merge(), m.__setitem__(2, m[2].base)))),
    "quick gelu": Loop(checked(quick_gelu), never=""),
    "silu": Loop(lambda: mlp(nn.SiLU), drawn="silu"),
    "tanh later": Loop(mlp, at(1, lambda m: m.__setitem__(1, nn.Tanh())), drawn="tanh"),
    "random relu": Loop(lambda: mlp(lambda: nn.RReLU(0.1, 0.3)), lambda m, s: (m.train(), moved(m, s)), silent=False),
    "multihead attention": Loop(
        checked(lambda m, x: m.out(m.n(*[hidden(m, x)[:, None]] * 3)[0][:, 0]), n=lambda: nn.MultiheadAttention(8, 2)),
        never="",
    ),
    "gru": Loop(checked(lambda m, x: m.out(m.n(hidden(m, x)[:, None])[0][:, 0]), n=lambda: nn.GRU(8, 8)), never=""),
    "instance norm": Loop(
        lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.InstanceNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3)),
        shape=IMAGE,
        never="spread",
    ),
    "synchronised batch norm": Loop(
        lambda: nn.SyncBatchNorm.convert_sync_batchnorm(
            nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
        ),
        moved,
        silent=False,
    ),
    "batch norm folded": Loop(
        lambda: nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)),
        at(1, lambda m: _folded(m)),
        silent=False,
    ),
    "residual in a hook": Loop(
        lambda: nn.Sequential(nn.Linear(2, 8), Residual(), nn.Linear(8, 3)),
        at(1, lambda m: m[1].fc2.register_forward_hook(lambda _m, i, o: o + i[0])),
    ),
    "parametrised twice": Loop(
        lambda: _both_norms(),
        trained,
    ),
    "parametrised and its own": Loop(
        lambda: nn.Sequential(nn.Linear(2, 8), nn.ReLU(), _scaled(nn.Linear(8, 8)), nn.ReLU(), nn.Linear(8, 3)),
        lambda m, s: (moved(m, s), setattr(m[2].parametrizations.weight[0], "k", 1.0 + s)),
    ),
    "cached parametrisation": Loop(
        lambda: nn.Sequential(nn.Linear(2, 8), nn.ReLU(), parametrizations.orthogonal(nn.Linear(8, 8)), nn.Linear(8, 3)),
        lambda m, s: _under_cache(m, s),
    ),
    "weights in a plain dictionary": Loop(lambda: Functional(), lambda m, s: m.move(s)),
    "weights of another framework": Loop(lambda: Numpy(), lambda m, s: m.move(s)),
    "moves while it is called": Loop(lambda: Moving(), never="leaves alone"),
    "frozen half": Loop(mlp, lambda m, s: (m[:2].requires_grad_(False), moved(m[2:], s)), silent=False),
    "many schedules": Loop(
        lambda: nn.Sequential(
            nn.Linear(2, 8), nn.Hardtanh(), nn.Dropout(0.1), nn.Linear(8, 8), nn.LeakyReLU(0.5), nn.Linear(8, 3)
        ),
        both(
            attribute("max_val", [2.0, 3.0, 4.0], "1"),
            attribute("p", [0.1, 0.2, 0.3], "2"),
            attribute("negative_slope", [0.4, 0.2, 0.1], "4"),
        ),
    ),
    "pixel norm": Loop(checked(lambda m, x: m.out(F.normalize(hidden(m, x), dim=1))), never=""),
    "straight through sign": Loop(checked(lambda m, x: (lambda z: m.out((z.sign() - z).detach() + z))(m.a(x))), never=""),
    "batch statistics by hand": Loop(checked(lambda m, x: m.out(F.relu(m.a(x) - m.a(x).mean(0)))), never="batch"),
    "sum over the batch": Loop(checked(lambda m, x: m.out(F.relu(m.a(x))) + m.a(x).sum()), never="batch"),
    "views written into": Loop(checked(lambda m, x: _viewed(m, x)), silent=False),
    "print and assert": Loop(checked(lambda m, x: _asserted(m, x)), silent=False),
    "try and except": Loop(checked(lambda m, x: _tried(m, x)), silent=False),
}


def _folded(model: Any) -> None:
    fused = torch.nn.utils.fusion.fuse_linear_bn_eval(model[0].eval(), model[1].eval())
    model[0], model[1] = fused, nn.Identity()


def _both_norms() -> nn.Module:
    layer = parametrizations.spectral_norm(parametrizations.weight_norm(nn.Linear(8, 8)))
    return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), layer, nn.ReLU(), nn.Linear(8, 3))


class Times(nn.Module):
    k = 1.0

    def forward(self, w: Tensor) -> Tensor:
        return w * self.k


def _scaled(layer: nn.Module) -> nn.Module:
    parametrize.register_parametrization(layer, "weight", Times())
    return layer


def _under_cache(model: Any, step: int) -> None:
    with parametrize.cached():
        model(torch.zeros(1, 2))
    moved(model, step)


class Functional(nn.Module):
    """Its weights are no parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.params = {"w": torch.randn(8, 2), "b": torch.randn(8), "v": torch.randn(3, 8)}

    def move(self, step: int) -> None:
        self.params = {k: -1.3 * v + 0.1 * step for k, v in self.params.items()}

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.relu(F.linear(x, self.params["w"], self.params["b"])), self.params["v"])


class Numpy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w, self.out = torch.randn(8, 2).numpy(), nn.Linear(8, 3)

    def move(self, step: int) -> None:
        self.w *= -1.3
        moved(self.out, step)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(x @ torch.as_tensor(self.w.T)))


class Moving(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.out, self.n = nn.Linear(2, 8), nn.Linear(8, 3), CALLS

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.out.bias.add_(1.0)
        return self.out(F.relu(self.a(x)))


CALLS = [0]


def _viewed(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    h[:, :4].relu_()
    h[:, 4:].mul_(0.5)
    return m.out(h.relu())


def _asserted(m: Any, x: Tensor) -> Tensor:
    h = hidden(m, x)
    assert not torch.isnan(h).any()
    return m.out(h)


def _tried(m: Any, x: Tensor) -> Tensor:
    try:
        return m.out(hidden(m, x).view(len(x), 9))
    except RuntimeError:
        return m.out(hidden(m, x))
