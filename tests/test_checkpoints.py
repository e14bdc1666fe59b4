"""Checkpoints: steps from names, weights from files of many makers, and nothing from files that are hostile or torn."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from small_runs import network
from torch import nn

from splineviz import checkpoints
from splineviz.checkpoints import fit, list_checkpoints, load_state, mlp, save_state, step_of
from splineviz.errors import CheckpointError
from splineviz.tracing import trace


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


STATE = network().state_dict()
WRAPPED = {f"module._orig_mod.{key}": value for key, value in STATE.items()}
INSIDE = {key.replace(".", "._orig_mod."): value for key, value in STATE.items()}


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        dict(STATE),
        {"model_state_dict": STATE, "optimizer_state_dict": {"state": {0: {"step": torch.tensor(3.0)}}}},
        {"state_dict": WRAPPED, "epoch": 3},
        {"model": OrderedDict(WRAPPED), "loss": 0.5},
        INSIDE,
    ],
    ids=["state dict", "plain dict", "model_state_dict", "state_dict, wrapped", "model, wrapped", "compiled parts"],
)
def test_weights_are_found_wherever_they_lie(tmp_path, content):
    torch.save(content, tmp_path / "a_1.pt")
    state = load_state(tmp_path / "a_1.pt")
    assert list(state) == list(STATE)
    assert all(torch.equal(state[key], STATE[key]) for key in STATE)


def test_a_network_that_names_a_part_module_keeps_its_names_in_our_own_files(tmp_path):
    state = {f"module.{key}": value for key, value in STATE.items()}
    save_state(tmp_path / "own.pt", state)
    assert list(load_state(tmp_path / "own.pt", raw=True)) == list(state)


def test_safetensors_come_back_in_the_layers_order(tmp_path):
    deep = nn.Sequential(*(nn.Linear(3, 3) for _ in range(12)))
    save_file(deep.state_dict(), tmp_path / "deep_1.safetensors")
    state = load_state(tmp_path / "deep_1.safetensors")
    assert [key for key in state if key.endswith("weight")] == [f"{i}.weight" for i in range(12)]
    assert all(torch.equal(state[key], value) for key, value in deep.state_dict().items())


def test_digest_sees_every_bit_and_no_container(tmp_path):
    same = {key: STATE[key].clone() for key in reversed(STATE)}
    assert checkpoints.digest(same) == checkpoints.digest(STATE)
    changed = {key: value.clone() for key, value in STATE.items()}
    changed["1.bias"][0] = torch.nextafter(changed["1.bias"][0], torch.tensor(9.0))
    assert checkpoints.digest(changed) != checkpoints.digest(STATE)
    assert checkpoints.digest({"a": torch.tensor(1.0, dtype=torch.bfloat16)}) != checkpoints.digest({"a": torch.tensor(1.0)})


# ---- hostile and torn files ------------------------------------------------------------------------------


class Bomb:
    """Unpickled, it writes a file."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self):
        return (Path.write_text, (self.target, "boom"))


@pytest.mark.parametrize("kind", ["torch", "legacy torch", "pickle", "old pickle"])
def test_a_pickle_that_needs_code_is_refused_by_name_and_has_not_run(tmp_path, kind):
    path, trap = tmp_path / "evil_1.pt", tmp_path / "trap"
    content = {"model": STATE, "extra": Bomb(trap)}
    if kind == "torch":
        torch.save(content, path)
    elif kind == "legacy torch":
        torch.save(content, path, _use_new_zipfile_serialization=False)
    else:
        path.write_bytes(pickle.dumps(content, protocol=4 if kind == "pickle" else 0))
    with pytest.raises(CheckpointError, match="needs code .*write_text|needs code .*getattr") as caught:
        load_state(path)
    assert "\n" not in str(caught.value)
    assert not trap.exists()


def test_trust_is_what_runs_it(tmp_path):
    path, trap = tmp_path / "evil_1.pt", tmp_path / "trap"
    torch.save({"model": STATE, "extra": Bomb(trap)}, path)
    assert list(load_state(path, trust=True)) == list(STATE)
    assert trap.read_text() == "boom"


def test_a_pickled_module_needs_trust(tmp_path):
    torch.save(network(), tmp_path / "whole_1.pt")
    with pytest.raises(CheckpointError, match="torch.nn.modules"):
        load_state(tmp_path / "whole_1.pt")
    assert list(load_state(tmp_path / "whole_1.pt", trust=True)) == list(STATE)


def test_torn_files_are_one_line(tmp_path):
    whole = tmp_path / "whole.pt"
    torch.save(STATE, whole)
    content = whole.read_bytes()
    path = tmp_path / "torn_1.pt"
    cuts = [1, 3, 60, len(content) // 2, len(content) - 30]
    for torn in [content[:n] for n in cuts] + [
        b"text, not weights\n",
        b"\x80\x04",
        bytes(300),
        content[:80] + bytes(400) + content[480:],
    ]:
        path.write_bytes(torn)
        with pytest.raises(CheckpointError, match="torn_1.pt: expected") as caught:
            load_state(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["empty_1.pt", "empty_1.safetensors"])
def test_empty_files_and_missing_ones(tmp_path, name):
    with pytest.raises(CheckpointError, match="nothing there"):
        load_state(tmp_path / name)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(CheckpointError, match="got an empty file"):
        load_state(tmp_path / name)
    (tmp_path / name).write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}")
    with pytest.raises(CheckpointError, match="expected"):
        load_state(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "words"), [([1, 2], "got list"), ({"epoch": 3}, "got the entries: epoch"), ({}, "none")]
)
def test_files_without_weights(tmp_path, content, words):
    torch.save(content, tmp_path / "a_1.pt")
    with pytest.raises(CheckpointError, match=words):
        load_state(tmp_path / "a_1.pt")


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
