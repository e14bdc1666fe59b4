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
from splineviz.training.runs import open_run
from splineviz.training.samples import Data
from splineviz.training.state_files import load_state


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


# ---- chains of layers ------------------------------------------------------------------------------------


def shaped(**widths):
    """A state dict with layers of these names (__ for dots): name=(inputs, outputs)."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, (inputs, outputs) in widths.items():
        state[name.replace("__", ".").strip("_") + ".weight"] = torch.randn(outputs, inputs, generator=generator)
        state[name.replace("__", ".").strip("_") + ".bias"] = torch.randn(outputs, generator=generator)
    return state


ONE_CHAIN = {
    "a sequence": shaped(net__0=(4, 8), net__2=(8, 8), net__4=(8, 3)),
    "numbered": shaped(fc1=(4, 4), fc2=(4, 4), fc3=(4, 4)),
    "a list between two": shaped(inp=(4, 8), hidden__0=(8, 8), hidden__1=(8, 8), out=(8, 3)),
    "containers of one layer": shaped(layers__0__linear=(4, 8), layers__1__linear=(8, 8), head=(8, 3)),
    "two parts that fit once": shaped(trunk__0=(4, 8), trunk__2=(8, 6), tail=(6, 3)),
    "more than ten": shaped(**{f"net__{i}": (4, 4) for i in range(12)}),
    "an autoencoder": shaped(encoder__0=(4, 9), encoder__2=(9, 2), decoder__0=(2, 9), decoder__2=(9, 4)),
}
DOUBTED = {
    "actor and critic": shaped(actor__0=(4, 8), actor__2=(8, 4), critic__0=(4, 8), critic__2=(8, 1)),
    "a trunk and two heads": shaped(trunk__0=(4, 8), trunk__2=(8, 8), policy=(8, 8), value=(8, 1)),
    "heads of plain layers": shaped(fc1=(4, 8), fc2=(8, 8), pi=(8, 8), v=(8, 1)),
    "twins": shaped(q1__0=(4, 8), q1__2=(8, 4), q2__0=(4, 8), q2__2=(8, 4)),
    "numbered out of order": shaped(fc1=(4, 4), fc21=(4, 4), fc22=(4, 4), fc3=(4, 4)),
    "blocks with a way past": shaped(
        inp=(4, 8), blocks__0__fc1=(8, 8), blocks__0__fc2=(8, 8), blocks__1__fc1=(8, 8), blocks__1__fc2=(8, 8), out=(8, 3)
    ),
    "experts": shaped(moe__experts__0=(4, 4), moe__experts__1=(4, 4), moe__experts__2=(4, 4)),
    "teacher": shaped(net__0=(4, 4), net__2=(4, 4), teacher__0=(4, 4), teacher__2=(4, 4)),
    "unknown names": shaped(a__0=(4, 4), a__2=(4, 4), b__0=(4, 4), b__2=(4, 4)),
}


@pytest.mark.parametrize("state", ONE_CHAIN.values(), ids=ONE_CHAIN)
def test_layers_that_are_one_chain_are_taken_in_their_order(state, tmp_path):
    x = torch.randn(7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected, layers = x, [key.removesuffix(".weight") for key in state if key.endswith("weight")]
    for i, layer in enumerate(layers):
        expected = torch.relu(expected) if i else expected
        expected = expected @ state[f"{layer}.weight"].double().T + state[f"{layer}.bias"].double()
    assert torch.allclose(fit(mlp(state, (4,), "a.pt"), state, "a.pt")(x), expected)
    by_name = {key: state[key] for key in sorted(state)}  # as safetensors has them
    assert torch.allclose(fit(mlp(by_name, (4,), "a.safetensors"), by_name, "a")(x), expected)


@pytest.mark.parametrize("state", DOUBTED.values(), ids=DOUBTED)
def test_layers_that_may_be_several_networks_are_refused_unless_the_user_says_so(state):
    with pytest.raises(CheckpointError, match=r"may as well be of several networks(.|\n)*--weights-key \."):
        mlp(state, (4,), "a.pt")
    assert len(mlp(state, (4,), "a.pt", key=".").weights) == len(state)  # the user says that it is one chain


def test_parts_that_are_chains_are_named():
    state = shaped(pi__0=(4, 8), pi__2=(8, 8), vf__0=(4, 8), vf__2=(8, 8), action=(8, 2), value=(8, 1))
    words = r"--weights-key pi or --weights-key vf or --weights-key pi,action or --weights-key pi,value"
    with pytest.raises(CheckpointError, match=words):
        mlp(state, (4,), "a.pt")
    with pytest.raises(CheckpointError, match="--weights-key policy.pi or "):
        mlp(state | {"log_std": torch.zeros(2)}, (4,), "a.pt", key="policy")


def test_a_sorted_file_with_two_orders_is_refused():
    state = shaped(entry=(4, 5), middle=(5, 5), hidden=(5, 5), exit=(5, 2))
    mlp(state, (4,), "a.pt")
    with pytest.raises(CheckpointError, match="sorts them by name, and more orders than one fit"):
        mlp({key: state[key] for key in sorted(state)}, (4,), "a.safetensors")


def test_what_a_key_leaves_out_is_said(tmp_path):
    data = Data.of((torch.randn(9, 4).numpy(), torch.arange(9).numpy() % 3))
    state = shaped(pi__0=(4, 8), pi__2=(8, 8), vf__0=(4, 8), vf__2=(8, 8), action=(8, 2), value=(8, 1))
    torch.save({"policy": state, "optimizer": {"state": {}}}, tmp_path / "net_1.pt")
    with pytest.warns(RuntimeWarning, match=r"pi is a part .* left out: policy.vf.0.weight \(8, 4\), .*policy.value.bias"):
        run = open_run(tmp_path, model="mlp", data=data, weights_key="pi")
    x = torch.randn(7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert run.program(run.checkpoints[0])(x).shape == (7, 8)
    with pytest.warns(RuntimeWarning, match="left out: policy.vf"):
        run = open_run(tmp_path, model="mlp", data=data, weights_key="policy.pi, action")
    w = {key: tensor.double() for key, tensor in state.items()}
    h = torch.relu(x @ w["pi.0.weight"].T + w["pi.0.bias"])
    h = torch.relu(h @ w["pi.2.weight"].T + w["pi.2.bias"])
    assert torch.allclose(run.program(run.checkpoints[0])(x), h @ w["action.weight"].T + w["action.bias"])


def test_one_prefix_in_two_sets_is_asked_back(tmp_path):
    inner = shaped(a__0=(4, 8), a__2=(8, 3), b__0=(4, 8), b__2=(8, 3))
    other = {key: tensor + 1 for key, tensor in inner.items()}
    torch.save({"model": inner, "ema": other}, tmp_path / "net_1.pt")
    with pytest.raises(CheckpointError, match="got several: --weights-key model.a or --weights-key ema.a"):
        load_state(tmp_path / "net_1.pt", key="a")
    assert torch.equal(load_state(tmp_path / "net_1.pt", key="ema.a")["0.bias"], other["a.0.bias"])
    torch.save({"model": inner, "ema": dict(other)}, tmp_path / "net_1.pt")
    data = Data.of((torch.randn(9, 4).numpy(), torch.arange(9).numpy() % 3))
    with pytest.raises(CheckpointError, match="may as well be of several|to read"):
        open_run(tmp_path, model="mlp", data=data, weights_key="ema")
