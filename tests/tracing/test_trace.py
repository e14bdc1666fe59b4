"""Tracing is complete or it raises: what is known is reproduced exactly, everything else is refused by name."""

from __future__ import annotations

import copy
import inspect
from collections import OrderedDict
from typing import Any

import pytest
import rounding
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from splineviz.errors import TraceError
from splineviz.tracing import program as ops
from splineviz.tracing.program import Program
from splineviz.tracing.trace import compare, probes, trace


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 5), nn.Linear(5, 5)
        self.scale = nn.Parameter(torch.randn(3, 5))

    def forward(self, x: Tensor) -> Tensor:
        x = x.view(x.size(0), -1)
        x = F.relu(self.a(x), inplace=True)
        x = F.dropout(torch.relu(self.b(x)), 0.5, self.training)
        x = F.leaky_relu(self.b(x).relu(), negative_slope=0.3)
        return F.linear(torch.flatten(x, start_dim=1).contiguous(), self.scale).abs()


def with_statistics(network: nn.Module) -> nn.Module:
    """Batch norms with running statistics and weights that are not the identity."""
    torch.manual_seed(3)
    for m in network.modules():
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d)):
            m.running_mean.normal_()
            m.running_var.uniform_(0.5, 2.0)
            if m.affine:
                nn.init.normal_(m.weight)
                nn.init.normal_(m.bias)
    return network


KNOWN: dict[str, tuple[nn.Module, tuple[int, ...], int]] = {
    "mlp": (nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), (3,), 1),
    "nested": (
        nn.Sequential(nn.Sequential(nn.Sequential(nn.Linear(3, 4)), nn.ReLU()), nn.Sequential(nn.Linear(4, 2))),
        (3,),
        1,
    ),
    "no bias": (nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 2, bias=False)), (3,), 1),
    "only linear": (nn.Linear(3, 2), (3,), 0),
    "shared activation": ((lambda r: nn.Sequential(nn.Linear(3, 4), r, nn.Linear(4, 4), r))(nn.ReLU()), (3,), 2),
    "leaky": (nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(0.1), nn.Linear(4, 2), nn.LeakyReLU()), (3,), 2),
    "identities": (nn.Sequential(nn.Identity(), nn.Linear(3, 4), nn.Dropout(0.9), nn.ReLU(), nn.AlphaDropout(0.9)), (3,), 1),
    "functional": (Functional(), (2, 3), 5),
    "batch norm": (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.BatchNorm1d(4, affine=False)), (3,), 1),
    "conv": (
        nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, groups=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 2, stride=2), nn.Flatten()
        ),
        (2, 6, 6),
        1,
    ),
    "conv padding": (
        nn.Sequential(
            nn.Conv2d(1, 2, 3, padding="same", dilation=2),
            nn.ReLU(),
            nn.Conv2d(2, 1, 3, padding=1, padding_mode="reflect"),
        ),
        (1, 6, 6),
        1,
    ),
    "conv1d": (
        nn.Sequential(nn.Conv1d(2, 3, 3, padding=1, padding_mode="circular"), nn.ReLU(), nn.Flatten(), nn.Linear(15, 2)),
        (2, 5),
        1,
    ),
    "unflatten": (
        nn.Sequential(nn.Linear(3, 8), nn.Unflatten(1, (2, 2, 2)), nn.ReLU(), nn.Conv2d(2, 1, 2), nn.Flatten()),
        (3,),
        1,
    ),
    "linear over a dimension": (nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)), (2, 3), 1),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_networks_are_reproduced(name: str) -> None:
    network, shape, layers = KNOWN[name]
    network = with_statistics(copy.deepcopy(network))
    program = trace(network, shape)
    assert program.input_shape == shape and program.dtype == torch.float64 and len(program.layers) == layers
    x = torch.randn(7, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = copy.deepcopy(network).double().eval()(x.clone()).reshape(7, -1)
    torch.testing.assert_close(program(x), expected, rtol=1e-12, atol=1e-12)


def test_the_module_is_left_as_it_was() -> None:
    network = with_statistics(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU())).train()
    before = copy.deepcopy(network.state_dict())
    trace(network, (3,))
    assert network.training and network[0].weight.dtype == torch.float32
    for key, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, before[key], rtol=0, atol=0)


def test_weights_keep_their_state_dict_names_so_that_checkpoints_bind() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    program = trace(network, (3,))
    assert set(program.weights) <= set(network.state_dict())
    later = with_statistics(copy.deepcopy(network)).double()
    with torch.no_grad():
        later[0].weight.normal_()
    x = torch.randn(5, 3, dtype=torch.float64)
    torch.testing.assert_close(program.bind(later.state_dict())(x), later.eval()(x).detach())


def test_paths_name_the_module_or_the_call() -> None:
    network = nn.Sequential()
    network.add_module("body", nn.Sequential(nn.Linear(3, 4), nn.ReLU()))
    assert [layer.path for layer in trace(network, (3,)).layers] == ["body.1"]
    assert all("relu" in layer.path or "abs" in layer.path for layer in trace(Functional(), (2, 3)).layers)


def test_a_program_is_taken_as_it_is_in_float64() -> None:
    program = trace(nn.Sequential(nn.Linear(3, 4), nn.ReLU()), (3,))
    again = trace(program.to(torch.float32), (3,))
    assert again.dtype == torch.float64 and again.steps == program.steps
    with pytest.raises(TraceError, match=r"expected inputs of shape \(3,\), got a plane of shape \(4,\)"):
        trace(program, (4,))


# ---- refused by name -------------------------------------------------------------------------------------------


def calling(function: Any) -> nn.Module:
    """A network whose forward is a Linear layer and then the function."""

    class Calling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(3, 4)

        def forward(self, x: Tensor) -> Any:
            return function(self.first(x))

    return Calling()


class Doubled(nn.Linear):
    """A subclass that computes something else must not pass for its parent."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) ** 2


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


REFUSED: dict[str, tuple[nn.Module, str]] = {
    "gelu": (nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.GELU())), r"^1\.0: gelu is smooth.*--swap gelu=relu"),
    "tanh": (nn.Sequential(nn.Linear(3, 4), nn.Tanh()), "^1: tanh is smooth.*--swap tanh=hardtanh"),
    "softmax": (nn.Sequential(nn.Linear(3, 4), nn.Softmax(dim=1), nn.Linear(4, 2)), "^1: softmax is smooth"),
    "functional sigmoid": (calling(lambda x: torch.sigmoid(x) + 1.0), "sigmoid: sigmoid is smooth"),
    "functional silu": (calling(F.silu), "silu: silu is smooth"),
    "hardshrink": (nn.Sequential(nn.Linear(3, 4), nn.Hardshrink()), "^1: Hardshrink jumps"),
    "sign": (calling(torch.sign), "sign: sign jumps"),
    "group norm": (
        nn.Sequential(nn.Linear(3, 4), nn.GroupNorm(2, 4)),
        "^1: GroupNorm divides by the spread of its own input",
    ),
    "tanh deep inside": (
        nn.Sequential(OrderedDict(layer3=nn.Sequential(nn.Linear(3, 3), nn.Sequential(OrderedDict(act=nn.Tanh()))))),
        r"^layer3\.1\.act: tanh is smooth",
    ),
    "threshold": (nn.Sequential(nn.Linear(3, 4), nn.Threshold(0.1, 0.0)), "^1: Threshold jumps from 0 to 0.1"),
    "product of two tensors": (calling(lambda x: x * x.relu()), "mul combines two tensors that depend on the input"),
    "dropout that never stops": (calling(lambda x: F.dropout(x, 0.5)), "dropout drops at random, in evaluation mode too"),
    "where": (calling(lambda x: torch.where(x > 0, x, 0.1 * x + 1.0)), "gt jumps"),
    "instance norm": (
        nn.Sequential(nn.Unflatten(1, (1, 3)), nn.InstanceNorm1d(1)),
        "^1: InstanceNorm1d expected running statistics",
    ),
    "rows flipped": (calling(lambda x: x.flip(0)), "mixes the rows of a batch"),
    "layer norm": (nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)), "^1: LayerNorm divides by the spread of its own input"),
    "batch statistics": (
        nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, track_running_stats=False)),
        "track_running_stats=False.*train with running statistics",
    ),
    "subclass": (nn.Sequential(Doubled(3, 4)), "^0.pow: pow is smooth"),
    "product of the input with itself": (calling(lambda x: x * x), "mul"),
    "sum of the batch": (calling(lambda x: x - x.mean(0)), "mean|sub"),
    "batch mixed": (calling(lambda x: x.reshape(1, -1)), "mixes the batch dimension"),
    "control flow": (Branching(), "control flow|Control flow"),
    "two outputs": (calling(lambda x: (x, x)), "return the logits alone"),
    "no output of the input": (calling(lambda x: torch.ones(2)), "one tensor that depends on the input"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_everything_else_is_refused_with_path_and_remedy(name: str) -> None:
    network, words = REFUSED[name]
    with pytest.raises(TraceError, match=words):
        trace(network, (3,))


def test_two_inputs_are_refused() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return F.relu(x)

    with pytest.raises(TraceError, match="expected one input, got a second one 'y'"):
        trace(Two(), (3,))


def test_optional_arguments_may_stay_unused() -> None:
    class Optional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(3, 4)

        def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
            return F.relu(self.first(x))

    assert len(trace(Optional(), (3,)).layers) == 1


def test_optional_arguments_may_be_asked_for() -> None:
    class Trained(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(3, 4)

        def forward(self, x: Tensor, labels: Tensor | None = None, scale: float = 2.0, plain: bool = True) -> Any:
            z = F.relu(self.first(x)) * scale
            return z if labels is None and plain else {"loss": F.cross_entropy(z, labels), "logits": z}

    network, x = Trained().double(), torch.randn(4, 3, dtype=torch.float64)
    torch.testing.assert_close(trace(network, (3,))(x), network(x).detach())


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(TraceError, match=r"expected a torch.nn.Module or a Program, got str"):
        trace("network", (3,))


def test_inputs_of_another_shape_are_refused() -> None:
    with pytest.raises(TraceError, match=r"inputs of shape \(n, 5\).*do the samples fit the network"):
        trace(nn.Sequential(nn.Linear(3, 4), nn.ReLU()), (5,))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float) -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    with torch.no_grad():
        network[2].bias[0] = value
    with pytest.raises(TraceError, match="expected finite outputs"):
        trace(network, (3,))


def test_a_wrong_table_entry_cannot_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(x: Tensor, p: Any, a: Any, homogeneous: bool) -> Tensor:
        return F.linear(x, p["weight"], None)  # forgets the bias

    monkeypatch.setitem(ops.AFFINE, "linear", wrong)
    with pytest.raises(TraceError, match="the traced program differs from the module"):
        trace(nn.Sequential(nn.Linear(3, 4), nn.ReLU()), (3,))


def test_a_traced_program_is_a_program() -> None:
    assert isinstance(trace(KNOWN["conv"][0], (2, 6, 6)), Program)


def test_constants_computed_from_weights_go_with_these_weights_alone() -> None:
    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(3, 4)
            self.gain = nn.Parameter(torch.ones(4))

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.first(x)) * self.gain.exp()

    network = Normed().double()
    program = trace(network, (3,))
    state = {key: t.clone() for key, t in network.state_dict().items()}
    x = torch.randn(5, 3, dtype=torch.float64)
    torch.testing.assert_close(Program.from_data(program.to_data()).bind(state)(x), network(x).detach())
    state["gain"] += 1.0
    with pytest.raises(TraceError, match="gain: expected the values that the network was traced with"):
        program.bind(state)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_an_exported_program_is_traced() -> None:
    network = with_statistics(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)))
    network = network.double().eval()
    x = torch.randn(2, 1, 4, 4, dtype=torch.float64)
    program = trace(torch.export.export(network, (x,)), (1, 4, 4))
    torch.testing.assert_close(program(x), network(x).detach())
    assert set(program.weights) <= set(network.state_dict())


FINAL = {
    "softmax": nn.Softmax(dim=1), "log softmax": nn.LogSoftmax(dim=-1),
    "sigmoid": nn.Sigmoid(), "log sigmoid": nn.LogSigmoid(),
}  # fmt: skip


@pytest.mark.parametrize("name", FINAL)
def test_a_final_function_that_changes_no_class_is_left_out_and_noted(name: str) -> None:
    body = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3)).double()
    program = trace(nn.Sequential(*body, FINAL[name]), (3,))
    x = torch.randn(9, 3, dtype=torch.float64)
    torch.testing.assert_close(program(x), body(x).detach())
    assert list(program.swaps.values()) == ["identity"]
    torch.testing.assert_close(program.as_trained(x), FINAL[name](body(x)).detach())


def test_a_softmax_over_something_else_than_the_outputs_stays_refused() -> None:
    with pytest.raises(TraceError, match="softmax is smooth"):
        trace(nn.Sequential(nn.Linear(3, 4), nn.Unflatten(1, (2, 2)), nn.Softmax(dim=1)), (3,))


# ---- the user's own line -------------------------------------------------------------------------------


class Lined(nn.Module):
    """Each kind of refusal comes from the line that is marked with it."""

    def __init__(self, kind):
        super().__init__()
        self.a, self.act, self.kind = nn.Linear(4, 4), nn.GELU(), kind

    def forward(self, x):
        x = self.a(x)
        if self.kind == "smooth":
            return torch.tanh(x) @ x.new_ones(4, 2)  # smooth
        if self.kind == "module":
            return self.a(self.act(x))  # module
        if self.kind == "unknown":
            return torch.sort(torch.erfinv(x)).values  # unknown
        if self.kind == "data" and x.sum() > 0:  # data
            return -x
        if self.kind == "random":
            return x + torch.randn(4)  # random
        if self.kind == "product":
            return x * x  # product
        if self.kind == "shape":
            return x @ torch.ones(5, 2, dtype=x.dtype)  # shape
        return x


@pytest.mark.parametrize("kind", ["smooth", "module", "unknown", "data", "random", "product", "shape"])
def test_a_refusal_ends_with_the_line_of_the_forward(kind):
    source = inspect.getsource(Lined).splitlines()
    first = inspect.getsourcelines(Lined)[1]
    line = first + next(k for k, text in enumerate(source) if text.endswith(f"# {kind}"))
    with pytest.raises(TraceError) as caught:
        trace(Lined(kind), (4,))
    assert str(caught.value).endswith(f"(test_trace.py, line {line})"), caught.value


def test_a_refusal_of_torchs_own_modules_names_no_line_of_ours():
    with pytest.raises(TraceError) as caught:
        trace(nn.Sequential(nn.Linear(4, 4), nn.GELU()), (4,))
    assert ", line" not in str(caught.value)


class Cancelling(nn.Module):
    """Hardtanh, written so that the ones cancel."""

    def __init__(self, size: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.out = nn.Linear(3, 8), nn.Linear(8, 2, bias=False)
        with torch.no_grad():
            self.a.weight.mul_(size), self.a.bias.mul_(size)

    def forward(self, x: Tensor) -> Tensor:
        z = self.a(x)
        return self.out(F.relu(z + 1) - F.relu(z - 1) - 1)


@pytest.mark.parametrize("size", [1.0, 1e-6, 1e-9, 1e-12])
def test_numbers_that_cancel_are_compared_by_their_own_rounding(size: float) -> None:
    network = Cancelling(size).double()
    program = trace(network, (3,))
    compare(program, network, probes((3,)))
    other = dict(program.weights)
    other["a.weight"] = other["a.weight"] * (1.0 + max(1e-6, 1e-13 / size))
    with pytest.raises(TraceError, match="differs from the module"):
        compare(program.with_weights(other), network, probes((3,)))


def test_what_cancels_is_traced_whatever_a_library_makes_of_it() -> None:
    """1 - 1 is 0 or a rounding of 1, and a ReLU lets that through, where nothing is left to measure it by."""
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)).double()
    with torch.no_grad():
        network[0].weight[:], network[0].bias[:] = torch.tensor([[0.0, 0.0], [-2.0, 0.0]]), 1.0
        network[2].weight[:], network[2].bias[:] = torch.tensor([[2.0, -1.0], [2.0, -2.0], [-1.0, -1.0]]), -2.0
    for seed in range(6):
        with rounding.perturbed(2, seed):
            assert len(trace(network, (2,)).layers) == 2
