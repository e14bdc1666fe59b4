"""Files that are whole or absent, and digests."""

from __future__ import annotations

import errno
import gc
import json
import os
import resource
from pathlib import Path
from typing import Any

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


def test_tidy_leaves_everything_that_we_did_not_name(tmp_path):
    """Names that are nearly ours, links with names that are, other people's folders: all stay, byte for byte."""
    home, outside = tmp_path / "home", tmp_path / "outside"
    for folder in (home / "rows", home / ".config", home / "notes", outside):
        folder.mkdir(parents=True)
    near = [
        ".bashrc.tmp", ".notes.tmp.swp", ".a.json.tmp", ".a.json.0123456789AB.tmp", ".a.json.0123456789a.tmp",
        ".a.json.0123456789abc.tmp", "a.json.0123456789ab.tmp", ".a.json.0123456789ab.tmp~", ".a.mp4.0123456789ab.tmp.gif",
        ".a.json.0123456789ab.tmp.json.bak", ".thesis.docx.0123456789ab.tmp", ".0123456789ab.tmp", "diary.txt",
    ]  # fmt: skip
    for folder in (home, home / "rows", outside):
        for name in near:
            (folder / name).write_text(name)
    ours = ".a.json.0123456789ab.tmp"
    for folder in (home / ".config", home / "notes", outside):
        (folder / ours).write_text("in a folder that is none of ours")
    (home / "frames").symlink_to(outside)
    (home / "rows" / ours).symlink_to(outside / "diary.txt")
    os.link(outside / "diary.txt", home / ours)
    os.mkfifo(home / "rows" / ".b.json.0123456789ab.tmp")
    (home / "rows" / ".c.json.0123456789ab.tmp").mkdir()
    before = sorted(str(p) for p in tmp_path.rglob("*"))
    assert files.tidy(home) == 0
    assert sorted(str(p) for p in tmp_path.rglob("*")) == before
    assert (outside / "diary.txt").read_text() == "diary.txt"


def test_new_files_have_the_usual_mode_and_private_ones_stay_private(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_text(tmp_path / "new", "a")
        (tmp_path / "private").touch(0o600)
        files.write_text(tmp_path / "private", "b")
        (tmp_path / "shared").touch()
        (tmp_path / "shared").chmod(0o664)
        files.write_text(tmp_path / "shared", "c")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"new": 0o640, "private": 0o600, "shared": 0o664}


@pytest.mark.parametrize("letter", ["x", "\u00fc", "\U0001f600"])
def test_the_longest_name_that_a_file_may_have_can_be_written(tmp_path, letter):
    """The temporary name beside it is longer."""
    name = letter * ((255 - 4) // len(letter.encode())) + ".npz"
    with files.whole(tmp_path / name) as temporary:
        temporary.write_bytes(b"a")
        assert files.is_temporary(temporary.name)
    with files.whole(tmp_path / name, kind=".npz") as temporary:
        temporary.write_bytes(b"b")
        assert files.is_temporary(temporary.name)
    assert [p.name for p in tmp_path.iterdir()] == [name] and (tmp_path / name).read_bytes() == b"b"


def test_what_could_not_be_written_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder.npz").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for fine in (tmp_path / "a.npz", tmp_path / "new" / "folder" / "a.npz", tmp_path / "file"):
        files.check_writable(fine)
    for bad in (tmp_path / "file" / "a.npz", tmp_path / ("y" * 260), tmp_path / "folder.npz", Path("/proc/self/a.npz")):
        with pytest.raises(OSError) as refused:
            files.check_writable(bad)
        assert refused.value.strerror and ".tmp" not in str(refused.value)
    assert sorted(tmp_path.rglob("*")) == before and (tmp_path / "file").read_text() == "kept"


def test_who_may_not_write_is_told_of_the_file_and_not_of_a_temporary_one(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError) as refused:
        files.write_text(tmp_path / ("y" * 260), "a")
    assert refused.value.filename == str(tmp_path / ("y" * 260))


def test_what_is_written_is_never_readable_before_it_is_private(tmp_path):
    (tmp_path / "private").touch(0o600)
    with files.whole(tmp_path / "private") as temporary:
        assert temporary.stat().st_mode & 0o777 == 0o600


def test_digest_of_a_file_is_that_of_its_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert files.digest_of_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_what_the_suite_lets_nobody_do_is_to_move_files_between_folders(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "one").write_text("whole")
    ours: dict[str, Any] = {"os": os}
    exec(compile("def move(a, b): os.replace(a, b)", files.__file__, "exec"), ours)
    with pytest.raises(OSError, match=os.strerror(errno.EXDEV)):
        ours["move"](tmp_path / "one", tmp_path / "there" / "one")
    ours["move"](tmp_path / "one", tmp_path / "two")
    files.write_text(tmp_path / "there" / "new" / "three", "beside its target", new=True)
    assert (tmp_path / "there" / "new" / "three").read_text() == "beside its target"


def test_a_key_that_an_object_has_twice_is_refused() -> None:
    assert files.parsed('{"a": {"b": 1}, "c": {"b": 2}}') == {"a": {"b": 1}, "c": {"b": 2}}
    for text in ('{"a": 1, "a": 1}', '[{"b": [{"a": 1, "c": 2, "a": 3}]}]', b'{"a": 1, "\\u0061": 2}'):
        with pytest.raises(ValueError, match="the key 'a' twice in one object"):
            files.parsed(text)
