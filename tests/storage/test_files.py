"""Files that are whole or absent, and digests."""

from __future__ import annotations

import gc
import json
import resource

import numpy as np
import pytest

from splineviz.storage import files


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "kept.txt"
    files.write_text(target, "old")

    def half(stream):
        stream.write(b"ne")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        files.write(target, half)
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["kept.txt"]


@pytest.mark.parametrize("compressed", [True, False])
def test_arrays_come_back_and_a_full_disk_leaves_nothing_to_complain_about(tmp_path, compressed):
    path, arrays = tmp_path / "a.npz", {"path": np.random.default_rng(0).random(10_000), "text": np.array("zero")}
    files.write_arrays(path, arrays, compressed=compressed)
    with np.load(path, allow_pickle=False) as read:
        assert set(read.files) == set(arrays) and all(np.array_equal(read[name], arrays[name]) for name in arrays)
    whole = path.read_bytes()

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))  # bytes; a longer file fails as on a full disk
    try:
        with pytest.raises(OSError, match="File too large"):
            files.write_arrays(path, arrays, compressed=compressed)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    gc.collect()  # an archive left open would complain now, which pytest makes a failure
    assert path.read_bytes() == whole and list(tmp_path.iterdir()) == [path]
    with pytest.raises(ValueError, match="Object arrays"):
        files.write_arrays(path, {"a": np.array([None])}, compressed=compressed)
    assert path.read_bytes() == whole


def test_numbers_that_json_does_not_know_are_null(tmp_path):
    files.write_json(tmp_path / "a.json", {"a": [float("nan"), 1.5], "b": float("inf")})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [None, 1.5], "b": None}


def test_digest_sees_content_not_layout():
    a = np.arange(6.0).reshape(2, 3)
    assert files.digest(a) == files.digest(np.asfortranarray(a))
    different = [
        a,
        a.reshape(3, 2),
        a.astype(np.float32),
        a + 1e-15,
        np.array(1.0),
        np.empty(0),
        b"ab",
        "ab",
        ["ab"],
        {"a": 1},
    ]
    assert len({files.digest(part) for part in different}) == len(different)
    assert files.digest("a", "b") != files.digest("ab") != files.digest("b", "a")
    assert files.digest({"a": 1, "b": 2}) == files.digest({"b": 2, "a": 1})


def test_tidy_removes_what_a_killed_process_left_and_leaves_what_is_being_written(tmp_path):
    (tmp_path / "rows").mkdir()
    left = tmp_path / "rows" / ".a.json.0123456789ab.tmp"
    left.write_text("hal")
    kept = tmp_path / "rows" / "b.json"
    kept.write_text("whole")
    with files.whole(tmp_path / "film.mp4", kind=".mp4") as temporary:
        assert temporary.suffix == ".mp4" and temporary.exists()
        assert files.tidy(tmp_path) == 1
        assert temporary.exists() and not left.exists()
        temporary.write_text("film")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["b.json", "film.mp4", "rows"]
    assert (tmp_path / "film.mp4").read_text() == "film"


def test_digest_of_a_file_is_that_of_its_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert files.digest_of_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
