"""Large weights that are read where the module keeps them: nothing is copied, and nothing of the module changes."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import splineviz as sv
from splineviz.errors import TraceError
from splineviz.tracing import affine, precision
from splineviz.tracing.affine import Weights
from splineviz.tracing.program import Program
from splineviz.tracing.trace import trace

PLANE = sv.Plane(np.zeros(2), np.eye(2))


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of 600 entries are large, and 64 of them are doubled at a time."""
    monkeypatch.setattr(affine, "LARGE", 600)
    monkeypatch.setattr(affine, "BLOCK", 64)


class Network(nn.Module):
    """2-30-20-3, that first does something to the weight in its middle."""

    def __init__(self, touch: Callable[[Tensor], object] = id):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.middle, self.last = nn.Linear(2, 30), nn.Linear(30, 20), nn.Linear(20, 3)
        self.touch = touch

    def forward(self, x: Tensor) -> Tensor:
        self.touch(self.middle.weight)
        found: Tensor = self.last(self.middle(self.first(x).relu()).relu())
        return found


def kept(program: Program) -> Tensor:
    assert isinstance(program.weights, Weights)
    return program.weights.kept["middle.weight"]


@pytest.mark.parametrize("wrap", [lambda net: net, nn.DataParallel, lambda net: nn.Sequential(net)[0]])
def test_a_borrowed_weight_is_the_module_s_own(wrap: Callable[[nn.Module], nn.Module]) -> None:
    network = Network()
    weight = network.middle.weight
    borrowed, copied = trace(wrap(network), (2,), borrow=True), trace(network, (2,))
    assert kept(borrowed).data_ptr() == weight.data_ptr() != kept(copied).data_ptr()
    assert not kept(borrowed).requires_grad and weight.requires_grad
    x = torch.randn(7, 2, dtype=torch.float64)
    assert torch.equal(borrowed(x), copied(x))
    with torch.no_grad():
        weight.add_(1.0)
    assert not torch.equal(borrowed(x), copied(x)) and torch.equal(copied(x), trace(copied, (2,), borrow=True)(x))


def into_data(w: Tensor) -> None:
    w.data[0, 0] = 7.0


def by_numpy(w: Tensor) -> None:
    w.detach().numpy()[0, 0] = 7.0


def through_a_view(w: Tensor) -> None:
    w.detach().view(-1).narrow(0, 3, 2).zero_()


def swallowed(w: Tensor) -> None:
    try:
        w.clamp_(-0.01, 0.01)
    except RuntimeError:
        w.detach()


WRITES: list[Callable[[Tensor], object]] = [
    into_data, by_numpy, through_a_view, swallowed,
    lambda w: w.clamp_(-0.01, 0.01), lambda w: w.mul_(0.5), lambda w: w.data.copy_(w.sign()), lambda w: nn.init.zeros_(w),
    lambda w: F.relu(w, True), lambda w: F.relu(w, inplace=True), lambda w: torch.abs(w, out=w),
    lambda w: torch._foreach_mul_([w], 0.5), lambda w: w.__imul__(0.5), lambda w: torch.ops.aten.mul_.Tensor(w, w),
    lambda w: torch.ops.aten.abs.out(w, out=w), lambda w: w.untyped_storage().copy_(torch.zeros_like(w).untyped_storage()),
    lambda w: F.embedding(torch.arange(20), w, None, 0.1), lambda w: F.embedding(torch.arange(20), w, max_norm=0.1),
]  # fmt: skip


@pytest.mark.parametrize("borrow", [False, True])
@pytest.mark.parametrize("write", WRITES)
def test_what_forward_writes_is_not_lost_and_the_module_is_left_alone(
    write: Callable[[Tensor], object], borrow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trace says of such a network what it says where no weight is large."""
    network = Network(write)
    before = network.middle.weight.detach().clone()

    def told(borrow: bool) -> object:
        try:
            return trace(network, (2,), borrow=borrow)(torch.ones(1, 2, dtype=torch.float64)).tolist()
        except TraceError as error:
            return str(error)

    found = told(borrow)
    assert torch.equal(network.middle.weight, before)
    monkeypatch.setattr(affine, "LARGE", 1 << 24)
    assert found == told(False)


@pytest.mark.parametrize("inplace", [nn.ReLU(inplace=True), partial(F.relu, inplace=True), torch.relu_])
def test_values_may_be_overwritten_as_they_always_are(inplace: Callable[[Tensor], Tensor]) -> None:
    class InPlace(Network):
        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.last(inplace(self.middle(inplace(self.first(x)))))
            return found

    network = InPlace()
    assert kept(trace(network, (2,), borrow=True)).data_ptr() == network.middle.weight.data_ptr()


def test_an_average_that_eval_swaps_in_is_swapped_into_a_copy() -> None:
    class Averaged(Network):
        def train(self, mode: bool = True) -> Averaged:
            if not mode and self.training:
                self.middle.weight.data.mul_(0.5)
            return super().train(mode)

    network = Averaged()
    before = network.middle.weight.detach().clone()
    assert torch.equal(kept(trace(network, (2,), borrow=True)), 0.5 * before)
    assert torch.equal(network.middle.weight, before)


def test_a_weight_that_changes_meanwhile_is_told() -> None:
    network = Network()

    def trained(large: bool, borrowed: bool) -> Program:
        program = trace(network, (2,))
        with torch.no_grad(), torch._C.DisableTorchFunction():
            network.middle.weight.add_(1.0)
        return program

    with pytest.raises(TraceError, match=r"middle.weight: expected weights that stay as they are .* got one that changed"):
        precision.lending(network, True, trained)


def test_what_forward_writes_is_proved_as_it_is() -> None:
    network = Network(lambda w: w.clamp_(-0.05, 0.05))
    partition = sv.partition(network, PLANE, window=1.0, threads=1)
    assert sv.verify(partition, network).ok
    with torch.no_grad():
        own = copy.deepcopy(network).double()(torch.from_numpy(partition.vertices)).numpy()
    np.testing.assert_allclose(partition.outputs, own, rtol=1e-9, atol=1e-12)


def test_partition_proof_and_estimate_borrow(monkeypatch: pytest.MonkeyPatch) -> None:
    network, borrowed = Network(), []
    lending = precision.lending

    def watched(model: nn.Module, borrow: bool, make: Callable[[bool, bool], Program]) -> Program:
        borrowed.append(lending(model, borrow, make))
        return borrowed[-1]

    monkeypatch.setattr("splineviz.tracing.trace.lending", watched)
    window, _ = sv.window_for(network, PLANE, 60, 1.0)
    sv.estimate(network, PLANE, window)
    partition = sv.partition(network, PLANE, window=window, threads=1)
    copied = sv.partition(trace(network, (2,)), PLANE, window=window, threads=1)
    assert np.array_equal(partition.vertices, copied.vertices) and np.array_equal(partition.outputs, copied.outputs)
    assert sv.verify(partition, network).ok
    pointers = [kept(program).data_ptr() for program in borrowed]
    assert pointers[:3] == [network.middle.weight.data_ptr()] * 3 == [pointers[-1]] * 3


# ---- rounding to fewer digits ----------------------------------------------------------------------------------------


def autocast(x: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return x + 0.0


CASTS: dict[str, Callable[[Tensor], Tensor]] = {
    "half": lambda x: x.half(), "bfloat16": lambda x: x.bfloat16(), "to": lambda x: x.to(torch.float16),
    "to, by name": lambda x: x.to(dtype=torch.bfloat16), "type": lambda x: x.type(torch.float16),
    "like another": lambda x: x.to(torch.zeros(1, dtype=torch.float16)),
    "type_as": lambda x: x.type_as(torch.zeros(1, dtype=torch.bfloat16)),
    "sum": lambda x: x + x.sum(1, True, dtype=torch.half), "8 bits": lambda x: x.to(torch.float8_e4m3fn),
    "autocast": autocast,
}  # fmt: skip


class Rounded(Network):
    def __init__(self, cast: Callable[[Tensor], Tensor]):
        super().__init__()
        self.cast = cast

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(self.middle(self.cast(self.first(x)).to(x.dtype).relu()).relu())
        return found


@pytest.mark.parametrize("cast", CASTS.values(), ids=CASTS)
def test_a_rounding_that_is_left_out_is_named(cast: Callable[[Tensor], Tensor]) -> None:
    with pytest.warns(UserWarning, match=r"rounds to torch\.(half|b?float\d+|float8_e4m3fn), .* without that rounding"):
        program = trace(Rounded(cast), (2,))
    if cast is not CASTS["sum"]:
        x = torch.randn(5, 2, dtype=torch.float64)
        assert torch.equal(program(x), trace(Network(), (2,))(x))


@pytest.mark.parametrize("cast", [lambda x: x.float(), lambda x: x.double().float(), lambda x: x.to(torch.float32)])
def test_single_precision_is_what_networks_have(cast: Callable[[Tensor], Tensor]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trace(Rounded(cast), (2,))


@pytest.mark.parametrize("cast", [lambda x: x.int(), lambda x: x.long(), lambda x: x.to(torch.int64), lambda x: x.bool()])
def test_whole_numbers_are_refused(cast: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(TraceError, match=r"^(int|long|to|bool): "):
        trace(Rounded(cast), (2,))


@pytest.mark.parametrize("cast", [lambda w: w.half(), lambda w: w.to(torch.bfloat16), lambda w: w.type(torch.float16)])
def test_a_weight_that_is_rounded_is_named_as_such(cast: Callable[[Tensor], Tensor]) -> None:
    with pytest.warns(UserWarning, match=r"rounds a constant to torch\..*float16; the slice .* round them in the module"):
        trace(Network(lambda w: cast(w) * 1), (2,))


MADE = [lambda x: torch.ones(1).to(x), lambda x: torch.ones(1).type_as(x), lambda x: x.relu().to(x)]


@pytest.mark.parametrize("made", MADE)
def test_what_takes_another_s_type_takes_nothing_of_its_values(made: Callable[[Tensor], Tensor]) -> None:
    x = torch.randn(5, 2, dtype=torch.float64)
    expected = {True: x.relu() + x, False: x + 1}
    program = trace(Between(lambda x: x + made(x)), (2,))
    assert torch.equal(program(x), expected[made(x).shape == x.shape])


class Between(nn.Module):
    def __init__(self, change: Callable[[Tensor], Tensor]):
        super().__init__()
        self.change = change

    def forward(self, x: Tensor) -> Tensor:
        return self.change(x)


@pytest.mark.parametrize("name", ["long", "int", "short"])
def test_whole_numbers_jump(name: str) -> None:
    with pytest.raises(TraceError, match=f"{name} jumps"):
        trace(Rounded(lambda x: getattr(x, name)()), (2,))


def test_nan_weights_beside_a_dropout_are_named() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Dropout(), nn.Linear(3, 2)).eval()
    with torch.no_grad():
        network[0].weight[0, 0] = float("nan")
    with pytest.raises(TraceError, match=r"NaN or infinite weights in 0\.weight"):
        trace(network, (2,))
