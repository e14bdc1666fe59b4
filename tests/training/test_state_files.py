"""Weights: found wherever they lie in a file, and nothing from files that are hostile or torn."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from small_runs import network
from torch import nn

from splineviz.errors import CheckpointError
from splineviz.training.checkpoints import list_checkpoints
from splineviz.training.state_files import digest, load_state, save_state, saved_at

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
    assert digest(same) == digest(STATE)
    changed = {key: value.clone() for key, value in STATE.items()}
    changed["1.bias"][0] = torch.nextafter(changed["1.bias"][0], torch.tensor(9.0))
    assert digest(changed) != digest(STATE)
    assert digest({"a": torch.tensor(1.0, dtype=torch.bfloat16)}) != digest({"a": torch.tensor(1.0)})


OTHER = network(seed=3).state_dict()


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ({"model": OTHER, "ema": STATE}, "ema"),
        ({"model": OTHER, "ema": {"decay": 0.9, "state_dict": STATE}}, "ema"),
        ({"model": OTHER, "ema": {"decay": 0.9, "shadow": STATE}}, "ema.shadow"),
        ({"model": OTHER, "ema.shadow": STATE}, "ema.shadow"),
        ({"model": OTHER, "ema": {"n_averaged": torch.tensor(3)} | {f"module.{k}": t for k, t in STATE.items()}}, "ema"),
        ({"state_dict": {f"net.{k}": t for k, t in OTHER.items()} | {f"ema.{k}": t for k, t in STATE.items()}}, "ema"),
    ],
    ids=["a dict", "a dict in a dict", "a path", "a name with a dot", "torch's average", "a prefix"],
)
def test_a_copy_of_the_weights_is_found_by_its_key(tmp_path, content, key):
    torch.save(content, tmp_path / "a_1.pt")
    state = load_state(tmp_path / "a_1.pt", key=key)
    assert state.keys() == STATE.keys() and all(torch.equal(state[k], STATE[k]) for k in STATE)


def test_a_key_that_is_not_there_names_those_that_are(tmp_path):
    torch.save({"model": OTHER, "ema": STATE, "epoch": 3}, tmp_path / "a_1.pt")
    with pytest.raises(CheckpointError, match="expected weights under 'emma', got: model, ema, 1, 3"):
        load_state(tmp_path / "a_1.pt", key="emma")


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


# ---- weights in several files ----------------------------------------------------------------------------


def index(folder: Path, weight_map) -> Path:
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return path


def test_an_index_brings_several_files_together(tmp_path):
    places = {}
    for i, (key, tensor) in enumerate(STATE.items()):
        save_file({key: tensor}, tmp_path / f"model-{i}.safetensors")
        places[key] = f"model-{i}.safetensors"
    path = index(tmp_path, places)
    state = load_state(path)
    assert state.keys() == STATE.keys() and all(torch.equal(state[k], STATE[k]) for k in STATE)
    index(tmp_path, places | {"1.bias": "model-0.safetensors"})
    with pytest.raises(CheckpointError, match="model-0.safetensors: expected the tensor 1.bias"):
        load_state(path)
    (tmp_path / "model-2.safetensors").unlink()
    with pytest.raises(CheckpointError, match="model-2.safetensors: expected a checkpoint file, got nothing there"):
        load_state(path)


@pytest.mark.parametrize("name", ["../model-0.safetensors", "/etc/passwd", "deep/model.safetensors", "..\\\\a.bin", ".."])
def test_an_index_that_points_elsewhere_is_not_followed(tmp_path, name):
    path = index(tmp_path, {"1.bias": name})
    with pytest.raises(CheckpointError, match="names of files beside it|expected a checkpoint file") as caught:
        load_state(path)
    assert "\n" not in str(caught.value)


def test_a_hostile_file_behind_an_index_has_not_run(tmp_path):
    trap = tmp_path / "trap"
    torch.save({"1.bias": STATE["1.bias"], "extra": Bomb(trap)}, tmp_path / "a.bin")
    with pytest.raises(CheckpointError, match="a.bin: .*none of it was run"):
        load_state(index(tmp_path, {"1.bias": "a.bin"}))
    assert not trap.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"weight_map": []}', '{"weight_map": {}}', "[" * 9999, "\0"])
def test_a_broken_index_gives_one_line(tmp_path, text):
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(text)
    with pytest.raises(CheckpointError, match="expected") as caught:
        load_state(path)
    assert "\n" not in str(caught.value)


def test_an_archive_with_one_file_of_weights_is_read_as_stable_baselines_writes_it(tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3))

    def archive(name: str, **members: object) -> Path:
        with zipfile.ZipFile(tmp_path / name, "w") as zipped:
            for member, content in members.items():
                with zipped.open(member.replace("_pth", ".pth"), "w") as stream:
                    torch.save(content, stream)
            zipped.writestr("data", "{}")
        return tmp_path / name

    state = {f"q_net.{key}": value for key, value in net.state_dict().items()}
    for steps in (100, 20):
        archive(f"rl_model_{steps}_steps.zip", policy_pth=state, pytorch_variables_pth={}, **{"policy.optimizer_pth": {}})
    archive("two.zip", a_pth=state, b_pth=state)  # nobody knows which: no checkpoint
    (tmp_path / "data_3.zip").write_bytes(b"PK no archive")
    found, _ = list_checkpoints(tmp_path)
    assert [c.step for c in found] == [20, 100]
    got = load_state(found[0].path, key="q_net")
    assert list(got) == list(net.state_dict()) and all(torch.equal(got[k], v) for k, v in net.state_dict().items())
    hostile = archive("rl_model_7_steps.zip", policy_pth=torch.nn.ReLU())
    with pytest.raises(CheckpointError, match=r"rl_model_7_steps.zip: .*needs code"):
        load_state(hostile)


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("how", ["absolute", "relative"])
def test_a_part_that_leads_out_of_the_folder_is_refused(tmp_path: Path, index: bool, how: str) -> None:
    """Nobody named it: a folder from somebody else could point at any weights of the user's."""
    place, names = tmp_path / "checkpoint-5", [f"model-0000{i}-of-00002.bin" for i in (1, 2)]
    place.mkdir()
    torch.save({"0.weight": torch.ones(2, 2)}, tmp_path / "private.pt")
    torch.save({"0.bias": torch.ones(2)}, place / names[1])
    (place / names[0]).symlink_to(tmp_path / "private.pt" if how == "absolute" else Path("..") / "private.pt")
    path = place / names[0]
    if index:
        path = place / "pytorch_model.bin.index.json"
        path.write_text(json.dumps({"weight_map": {"0.weight": names[0], "0.bias": names[1]}}))
    with pytest.raises(CheckpointError, match="got a link that leads out of it; copy it there"):
        load_state(path)
    (place / "kept.bin").write_bytes((tmp_path / "private.pt").read_bytes())
    (place / names[0]).unlink()
    (place / names[0]).symlink_to("kept.bin")  # inside it may be one
    assert set(load_state(path)) == {"0.weight", "0.bias"}


def test_the_step_is_not_read_from_a_file_that_lies_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    path = folder / "model.pt"
    save_state(path, {"weight": torch.ones(2, 2)})
    (tmp_path / "elsewhere.json").write_text('{"global_step": 7}')
    (folder / "trainer_state.json").symlink_to(tmp_path / "elsewhere.json")
    assert saved_at(path) == (None, None)
    (folder / "trainer_state.json").unlink()
    (folder / "trainer_state.json").write_text('{"global_step": 7}')
    assert saved_at(path)[0] == 7


def test_a_tensor_that_is_described_twice_is_refused(tmp_path):
    entry = '"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}'
    header = f"{{{entry}, {entry}}}".encode()
    path = tmp_path / "twice.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    words = "twice.safetensors: expected a safetensors file, .*the key 'a' twice.*; fetch it anew"
    with pytest.raises(CheckpointError, match=words):
        load_state(path)
