"""Harmless: settings beside the weights are read as stand-ins, and nothing else gets through."""

from __future__ import annotations

import argparse
import collections
import datetime
import functools
import os
import pathlib
import types
import uuid
from typing import Any

import numpy as np
import pytest
import torch
from small_runs import network

from splineviz.errors import CheckpointError
from splineviz.training.formats import content_of
from splineviz.training.state_files import load_state

STATE = network().state_dict()
FINE = {
    "Namespace": argparse.Namespace(lr=0.1, path=pathlib.Path("/x"), nested=argparse.Namespace(a=1)),
    "SimpleNamespace": types.SimpleNamespace(a=1),
    "Path": pathlib.Path("/x"),
    "datetime": datetime.datetime(2024, 1, 1),
    "timedelta": datetime.timedelta(1),
    "defaultdict": collections.defaultdict(list, a=[1]),
    "defaultdict of float": collections.defaultdict(float, a=1.0),
    "OrderedDict": collections.OrderedDict(a=1),
    "Counter": collections.Counter("aab"),
    "deque": collections.deque([1, 2], maxlen=3),
    "float64": np.float64(0.5),
    "int32": np.int32(7),
    "bool_": np.bool_(True),
    "array": np.arange(6.0).reshape(2, 3),
    "text array": np.array(["a", "b"]),
    "random state": np.random.RandomState(0).get_state(),  # noqa: NPY002
    "uuid": uuid.UUID(int=5),
    "version": torch.__version__,
    "complex": 1j,
}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", FINE)
def test_settings_need_no_trust(name: str, legacy: bool, tmp_path: pathlib.Path) -> None:
    torch.save({"net": STATE, "beside": FINE[name]}, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    state = load_state(tmp_path / "a.pt")
    assert all(torch.equal(state[key], STATE[key]) for key in STATE) and state.keys() == STATE.keys()
    left = [entry for entry in torch.serialization.get_safe_globals() if isinstance(entry, tuple)]
    assert not left  # torch's own list is as it was


def test_numbers_keep_their_values(tmp_path: pathlib.Path) -> None:
    turned = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    torch.save({"a": np.int64(7), "b": np.float32(0.5), "c": turned, "d": np.arange(3)}, tmp_path / "a.pt")
    found = content_of(tmp_path / "a.pt", False)
    assert (found["a"], found["b"]) == (7, 0.5) and torch.equal(found["d"], torch.arange(3))
    assert torch.equal(found["c"], torch.arange(6.0, dtype=torch.float64).reshape(2, 3))


class Code:
    def __init__(self, call: Any, *arguments: Any):
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> Any:
        return self.call, self.arguments


@pytest.mark.parametrize(
    ("evil", "name"),
    [
        (Code(os.system, "touch ran"), "system"),
        (Code(functools.partial, print, "ran"), "partial"),
        (Code(getattr, argparse.Namespace(a=1), "a"), "getattr"),
        (Code(eval, "1"), "eval"),
        (collections.defaultdict(os.getcwd), "getcwd"),
    ],
    ids=["system", "partial", "getattr", "eval", "factory"],
)
def test_code_beside_settings_is_refused_by_name(evil: Any, name: str, tmp_path: pathlib.Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"net": STATE, "args": argparse.Namespace(a=1), "evil": evil}, "a.pt")
    with pytest.raises(CheckpointError, match=f"needs code .*{name}") as caught:
        load_state("a.pt")
    assert "Namespace" not in str(caught.value) and sorted(os.listdir()) == ["a.pt"]
