"""Checkpoints: steps from names, files in natural order, and weights that fit their network or say where not."""

from __future__ import annotations

import pytest
import torch
from small_runs import network
from torch import nn

from splineviz.errors import CheckpointError
from splineviz.tracing.program import Program
from splineviz.tracing.trace import trace
from splineviz.training.checkpoints import fit, left_out, list_checkpoints, mlp, retied, step_of


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("checkpoint-w:200-d:4-s:2668.pt", 2668),
        ("checkpoint-r:nohook-w:200-d:4-s:-1.pt", -1),
        ("step-0000012345.pt", 12345),
        ("step_100.pth", 100),
        ("epoch=3-step=1200.pt", 1200),
        ("step1200-epoch3.pt", 1200),
        ("model.epoch7.v2.pt", 7),
        ("run2_iter_000050-loss0.25.pt", 50),
        ("net_000120.pth", 120),
        ("mnist5k_10.safetensors", 10),
        ("resnets18.pt", 18),
        ("best.pt", None),
    ],
)
def test_step_of_a_name(name, step):
    assert step_of(name) == step


def test_a_folder_is_in_natural_order_and_says_what_it_passes_over(tmp_path):
    for name in (
        "net_10.pt",
        "net_9.pth",
        "net_100.safetensors",
        "net_0.pt",
        "last.pt",
        "notes.txt",
        ".net_5.pt",
        "s:-1.pt",
    ):
        (tmp_path / name).write_bytes(b"x")
    found, skipped = list_checkpoints(tmp_path)
    assert [(c.step, c.path.name) for c in found] == [
        (0, "net_0.pt"), (9, "net_9.pth"), (10, "net_10.pt"), (100, "net_100.safetensors"),
    ]  # fmt: skip
    assert skipped.keys() == {"last.pt", "s:-1.pt"}


def test_folders_without_checkpoints_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="nothing there"):
        list_checkpoints(tmp_path / "absent")
    with pytest.raises(CheckpointError, match="got none"):
        list_checkpoints(tmp_path)
    (tmp_path / "best.pt").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="passed over best.pt"):
        list_checkpoints(tmp_path)
    for name in ("a_1.pt", "b_1.pt"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(CheckpointError, match="a_1.pt and b_1.pt both for step 1"):
        list_checkpoints(tmp_path)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "checkpoints").mkdir()
    (tmp_path / "deep" / "checkpoints" / "epoch=0-step=3.ckpt").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="look in .*checkpoints"):
        list_checkpoints(tmp_path / "deep")


def test_folders_that_hold_a_model_are_checkpoints(tmp_path):
    for name, inside in (
        ("checkpoint-9", "model.safetensors"),
        ("checkpoint-100", "model.safetensors.index.json"),
        ("step_20", "pytorch_model.bin"),
        ("checkpoint-30", "optimizer.pt"),
        ("logs_3", "events.out"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / inside).write_bytes(b"x")
    found, skipped = list_checkpoints(tmp_path)
    assert [c.step for c in found] == [9, 20, 100] and found[2].path.name == "model.safetensors.index.json"
    assert skipped.keys() == {"checkpoint-30"} and "none of model.safetensors" in skipped["checkpoint-30"]


STATE = network().state_dict()


# ---- weights and networks --------------------------------------------------------------------------------


def test_fit_lists_every_difference():
    program = trace(network(), (2, 2))
    state = dict(STATE, **{"1.weight": torch.zeros(6, 5), "head.weight": torch.zeros(1)})
    del state["3.bias"]
    with pytest.raises(CheckpointError) as caught:
        fit(program, state, "step-1.pt")
    lines = [" ".join(line.split()) for line in str(caught.value).splitlines()]
    assert lines[0] == "step-1.pt: the checkpoint does not fit the network:"
    assert lines[2:] == ["1.weight (6, 4) (6, 5)", "3.bias (3,) missing", "head.weight no such weight (1,)"]


def around(**parts):
    """The state dict of a module that holds these."""
    return nn.ModuleDict(parts).state_dict()


@pytest.mark.parametrize("name", ["model", "a.long.way.down"])
def test_the_network_may_stand_inside_another_module(name):
    state = {f"{name}.{key}": tensor for key, tensor in STATE.items()} | {"loss.scale": torch.ones(1)}
    program = fit(trace(network(seed=5), (2, 2)), state, "a")
    assert all(torch.equal(program.weights[key], STATE[key].double()) for key in program.weights)


def test_the_module_may_stand_around_the_networks_own_weights():
    outer = nn.Sequential(nn.Sequential(network(seed=5)))
    program = fit(trace(outer, (2, 2)), STATE, "a")
    assert all(torch.equal(program.weights[f"0.0.{key}"], STATE[key].double()) for key in STATE)


def test_of_two_networks_one_is_named():
    state = around(student=network(1), teacher=network(2))
    with pytest.raises(CheckpointError, match="several: student, teacher; choose one \\(--weights-key student"):
        fit(trace(network(), (2, 2)), state, "a")
    chosen = fit(trace(network(), (2, 2)), around(model=network(1), ema=network(2)), "a")
    assert torch.equal(chosen.weights["1.bias"], network(1).state_dict()["1.bias"].double())


def test_weights_on_which_no_output_depends_are_no_surprise(tmp_path):
    class Headed(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.unused = network(), nn.Linear(3, 7)

        def forward(self, x):
            return self.body(x)

    model = Headed()
    program = Program.from_data(trace(model, (2, 2)).to_data())
    assert program.spare == {"unused.weight", "unused.bias"} and "unused.bias" not in program.weights
    fit(program, model.state_dict(), "a")
    with pytest.raises(CheckpointError, match="strange.weight +no such weight"):
        fit(program, dict(model.state_dict(), **{"strange.weight": torch.zeros(1)}), "a")


def test_fit_refuses_weights_that_are_not_finite():
    state = dict(STATE, **{"3.bias": torch.tensor([0.0, float("nan"), 0.0])})
    with pytest.raises(CheckpointError, match="3.bias; did training diverge"):
        fit(trace(network(), (2, 2)), state, "a")


@pytest.mark.parametrize("shape", [(4,), (2, 2), (1, 2, 2)])
def test_an_mlp_is_rebuilt_from_its_shapes(shape):
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.entry, self.middle, self.exit = nn.Linear(4, 5), nn.Linear(5, 5, bias=False), nn.Linear(5, 2)

        def forward(self, x):
            return self.exit(torch.relu(self.middle(torch.relu(self.entry(x.flatten(1))))))

    model = Named().double()
    program = fit(mlp(model.state_dict(), shape), model.state_dict(), "a")
    x = torch.randn(7, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(program(x), model(x).detach())
    assert [layer.units for layer in program.layers] == [5, 5]


@pytest.mark.parametrize(
    ("model", "shape", "words"),
    [
        (nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)), (3,), "0.weight to read 3 numbers.*got 4"),
        (
            nn.ModuleDict({"a": nn.Linear(4, 5), "b": nn.Linear(4, 2)}),
            (4,),
            "b.weight to read 5 .*got 4; the layers in order: a.weight",
        ),
        (nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5)), (4,), "plain MLP.*1.running_mean"),
        (nn.Sequential(nn.Conv2d(1, 2, 3)), (1, 4, 4), "plain MLP.*0.weight \\(2, 1, 3, 3\\)"),
    ],
)
def test_what_is_no_mlp_is_refused(model, shape, words):
    with pytest.raises(CheckpointError, match=words):
        mlp(model.state_dict(), shape, "a")


# ---- what lies outside the network -----------------------------------------------------------------------


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.full((4,), 3.0))

    def forward(self, x):
        return x - self.mean


@pytest.mark.parametrize(
    ("outside", "words"),
    [
        (nn.Sequential(Norm(), network()), r"the part '1' .*0.mean \(4,\) outside.*--weights-key 1"),
        (nn.ModuleDict({"net": network(), "head": nn.Linear(3, 2)}), r"head.weight \(2, 3\), head.bias .*--weights-key net"),
        (nn.ModuleDict({"model": network(), "scale": nn.BatchNorm1d(4)}), "scale.running_mean"),
        (nn.ModuleDict({"model": network(), "net": network(2)}), "several: model, net"),
        (nn.ModuleDict({"a": nn.ModuleDict({"body": network(), "gain": nn.Linear(1, 1)})}), "a.gain.weight"),
    ],
)
def test_entries_outside_that_may_count_are_refused(outside, words):
    with pytest.raises(CheckpointError, match=words):
        fit(trace(network(5), (2, 2)), outside.state_dict(), "a")


def test_losses_metrics_and_copies_are_left_out_and_named():
    copy, gan = network(2), nn.Sequential(nn.Flatten(), nn.Linear(9, 6), nn.ReLU(), nn.Linear(6, 3))
    state = around(model=network(1), model_ema=copy, loss_fn=nn.CrossEntropyLoss(weight=torch.ones(3)))
    program = trace(network(), (2, 2))
    bias = network(1).state_dict()["1.bias"].double()
    assert torch.equal(fit(program, state, "a").weights["1.bias"], bias)
    out = left_out(program, state, "a")
    assert out == ["model_ema.1.weight", "model_ema.1.bias", "model_ema.3.weight", "model_ema.3.bias", "loss_fn.weight"]
    with pytest.raises(CheckpointError, match="D.1.weight.*--weights-key G"):  # shapes alone do not say
        fit(program, around(G=network(1), D=gan), "a")


def test_tied_weights_are_found_under_the_name_that_was_stored():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 4)
            self.last.weight = self.first.weight

        def forward(self, x):
            return self.last(torch.relu(self.first(x)))

    model = Tied()
    for dropped in ("first.weight", "last.weight"):
        state = {key: tensor for key, tensor in model.state_dict().items() if key != dropped}
        program = retied(trace(Tied(), (4,)), [["first.weight", "last.weight"]], state)
        x = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        assert torch.allclose(fit(program, state, "a")(x), model.double()(x).detach(), atol=1e-12)
        model = model.float()
