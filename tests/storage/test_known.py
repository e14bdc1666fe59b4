"""What is known of files: believed of the same file alone, whatever happens to it, its times or the clock."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from splineviz.storage import known
from splineviz.storage.known import Known


@pytest.fixture
def settled() -> Iterator[None]:
    """Every file counts as written long ago."""
    with mock.patch.object(known, "SETTLED", -(10**18)):
        yield


def told(out: Path, path: Path, count: int = 1000) -> tuple[str, int]:
    """What is known of a file, and how often it was read for that."""
    reads = []

    def read() -> str:
        reads.append(path.read_bytes())
        return path.read_text()

    one = Known(out, count)
    said = one.fact(path, "text", read)
    one.save()
    return said, len(reads)


def test_a_file_is_read_once(tmp_path: Path, settled: None) -> None:
    path = tmp_path / "a"
    path.write_text("one")
    assert [told(tmp_path, path) for _ in range(3)] == [("one", 1), ("one", 0), ("one", 0)]
    assert sorted(p.name for p in tmp_path.iterdir()) == [".known.json", "a"]


@pytest.mark.parametrize("how", ["written", "replaced", "same times", "linked"])
def test_another_content_is_seen(tmp_path: Path, settled: None, how: str) -> None:
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_text("one")
    told(tmp_path, path)
    before = path.stat()
    if how == "linked":
        path.rename(other)
        path.symlink_to(tmp_path / "c")
        (tmp_path / "c").write_text("two")
    elif how == "replaced":
        other.write_text("two")
        os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
        other.replace(path)
    else:
        path.write_text("two")
        if how == "same times":
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert told(tmp_path, path) == ("two", 1)


def test_a_file_so_young_is_read_again(tmp_path: Path) -> None:
    """Two writings within one tick of the clock bear the same times."""
    path = tmp_path / "a"
    path.write_text("one")
    assert [told(tmp_path, path) for _ in range(2)] == [("one", 1), ("one", 1)]


def test_a_clock_that_is_set_back_makes_it_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("one")
    with mock.patch.object(known.files, "now", lambda folder: path.stat().st_mtime_ns - 10**18):
        assert [told(tmp_path, path) for _ in range(2)] == [("one", 1), ("one", 1)]


def test_a_file_that_changes_while_it_is_read_is_not_known(tmp_path: Path, settled: None) -> None:
    path = tmp_path / "a"
    path.write_text("one")
    one = Known(tmp_path, 1000)
    assert one.fact(path, "text", lambda: (path.write_text("three"), "one")[1]) == "one"
    one.save()
    assert told(tmp_path, path) == ("three", 1)


def test_few_files_are_always_read(tmp_path: Path, settled: None) -> None:
    path = tmp_path / "a"
    path.write_text("one")
    assert [told(tmp_path, path, known.FEW) for _ in range(2)] == [("one", 1), ("one", 1)]
    assert not (tmp_path / known.NAME).exists()


def test_what_fails_is_not_kept(tmp_path: Path, settled: None) -> None:
    one = Known(tmp_path, 1000)
    (tmp_path / "a").write_text("one")
    with pytest.raises(ValueError, match="torn"):
        one.fact(tmp_path / "a", "text", mock.Mock(side_effect=ValueError("torn")))
    assert one.fact(tmp_path / "a", "text", lambda: "good") == "good"
    with pytest.raises(FileNotFoundError):
        one.digest(tmp_path / "missing")


@pytest.mark.parametrize("content", [b"", b"x", b"0\n{}", b"\xff\n[]"])
def test_a_damaged_list_is_an_empty_one(tmp_path: Path, settled: None, content: bytes) -> None:
    path = tmp_path / "a"
    path.write_text("one")
    told(tmp_path, path)
    whole = (tmp_path / known.NAME).read_bytes()
    (tmp_path / known.NAME).write_bytes(content or whole[:-1] + b" ")
    assert told(tmp_path, path) == ("one", 1)


def test_a_pipe_does_not_hang_it(tmp_path: Path, settled: None) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert Known(tmp_path, 1000).fact(tmp_path / "pipe", "text", lambda: "said") == "said"
