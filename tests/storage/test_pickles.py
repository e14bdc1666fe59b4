"""Pickles of arrays are read; whatever else a file asks for is refused, and nothing of it runs."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from splineviz.storage import harmless, pickles

X = np.arange(24, dtype=np.uint8).reshape(2, 12)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_containers_numbers_and_arrays_are_read_as_they_are(tmp_path: Path, protocol: int) -> None:
    content = {b"data": X, b"labels": [3, 1], "name": "räksmörgås", b"raw": b"\xff\x00", "share": (0.5, True, None)}
    (tmp_path / "p").write_bytes(pickle.dumps(content, protocol=protocol))
    found = pickles.read(tmp_path / "p")
    assert torch.equal(found.pop(b"data"), torch.from_numpy(X))
    assert found == {key: value for key, value in content.items() if key != b"data"}
    (tmp_path / "p").write_bytes(pickle.dumps(np.asfortranarray(X.astype(">i4")), protocol=protocol))
    assert np.array_equal(pickles.read(tmp_path / "p"), X)


class Asks:
    def __init__(self, call: Any, *arguments: Any):
        self.asked = (call, arguments)

    def __reduce__(self) -> Any:
        return self.asked


def _raw(*parts: bytes) -> bytes:
    return b"\x80\x04" + b"".join(parts) + b"."


def _asked(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


RECONSTRUCT = _asked("numpy.core.multiarray", "_reconstruct")
HOSTILE = {
    "system": lambda mark: pickle.dumps({b"data": X, b"labels": Asks(os.system, f"touch {mark}")}),
    "exec": lambda mark: pickle.dumps(Asks(exec, f"open({str(mark)!r}, 'w')")),
    "old names": lambda mark: b"cos\nsystem\n(S'touch " + str(mark).encode() + b"'\ntR.",
    "by instance": lambda mark: b"(S'touch " + str(mark).encode() + b"'\nios\nsystem\n.",
    "a name with a dot": lambda mark: _raw(b"\x8c\x05numpy\x8c\x0bndarray.sum\x93)R"),
    "getattr": lambda mark: _raw(_asked("builtins", "getattr"), RECONSTRUCT, b"\x8c\x0b__globals__\x86R"),
    "a state for a function": lambda mark: _raw(RECONSTRUCT, b"N}\x8c\x0c__defaults__K\x01\x85s\x86b"),
    "a state for a class": lambda mark: _raw(_asked("numpy", "ndarray"), b"N}\x8c\x05foundK\x01s\x86b"),
    "a call of an array": lambda mark: _raw(RECONSTRUCT, b")R)R"),
    "an object by new": lambda mark: _raw(_asked("numpy", "dtype"), b")\x81"),
    "objects inside": lambda mark: pickle.dumps(np.array([os.system, 1], dtype=object)),
    "persistent": lambda mark: b"Pwhatever\n.",
    "an extension": lambda mark: _raw(b"\x82\x01"),
    "terabytes": lambda mark: _raw(b"\x96" + struct.pack("<Q", 1 << 42)),
    "long bytes": lambda mark: _raw(b"\x8e" + struct.pack("<Q", 1 << 42)),
    "a far memo": lambda mark: _raw(b"Nr" + struct.pack("<I", (1 << 32) - 1) + b"j" + struct.pack("<I", 7)),
    "nothing": lambda mark: b"",
    "half": lambda mark: pickle.dumps({b"data": X})[:-20],
    "noise": lambda mark: np.random.default_rng(0).bytes(200),
    "an array that claims more": lambda mark: pickle.dumps(X).replace(b"K\x02K\x0c\x86", b"K\x02K\x7f\x86"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_pickle_runs_nothing_and_is_refused(tmp_path: Path, kind: str) -> None:
    mark, before = tmp_path / "ran", harmless.Array.found
    (tmp_path / "p").write_bytes(HOSTILE[kind](mark))
    with pytest.raises(ValueError, match=r"\w+: ?"):
        pickles.read(tmp_path / "p")
    assert not mark.exists()
    assert harmless._reconstruct.__defaults__ is None and harmless.Array.found is before


def test_the_same_files_would_have_run_code_in_python_s_own_reader(tmp_path: Path) -> None:
    pickle.loads(HOSTILE["system"](tmp_path / "ran"))
    assert (tmp_path / "ran").exists()
