"""Locks: one holder at a time, none after a kill, and the file gone with its last holder."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from splineviz.storage import locks

HOLDER = """
import sys, time
from pathlib import Path
from splineviz.storage import locks
with locks.claim(Path(sys.argv[1]), "the other") as mine:
    print(mine, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds tmp_path/a."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "a")], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "True\n"
        yield process
        process.kill()


def test_one_holder_at_a_time(tmp_path):
    path = tmp_path / "new" / "a"
    with locks.claim(path, "me") as mine, locks.claim(path) as yours:
        assert (mine, yours) == (True, False)
        assert path.read_text() == "me" and locks.held(path)
    assert not path.exists() and not locks.held(path)


def test_shared_holders_keep_a_lone_one_out_and_the_last_removes_the_file(tmp_path):
    path = tmp_path / "a"
    with locks.claim(path, shared=True) as first:
        with locks.claim(path, shared=True) as second, locks.claim(path) as alone:
            assert (first, second, alone) == (True, True, False)
        assert path.exists() and not locks.held(path)
    assert not path.exists()


def test_a_killed_holder_holds_nothing(tmp_path, other):
    path = tmp_path / "a"
    with locks.claim(path) as mine:
        assert not mine
    assert locks.held(path) and path.read_text() == "the other"
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    assert path.exists() and not locks.held(path)
    with locks.claim(path) as mine:
        assert mine
    assert not path.exists()


def test_an_error_inside_frees_the_lock(tmp_path):
    with pytest.raises(RuntimeError, match="inside"), locks.claim(tmp_path / "a"):
        raise RuntimeError("inside")
    assert not locks.held(tmp_path / "a") and list(tmp_path.iterdir()) == []


def test_threads_never_hold_one_lock_together(tmp_path):
    inside, most, won = [], [], []

    def work():
        for _ in range(60):
            with locks.claim(tmp_path / "a") as mine:
                if mine:
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
                    won.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won and max(most) == 1


@pytest.mark.parametrize("moment", ["before the open", "within the mkdir"])
def test_the_folder_of_claims_may_vanish_under_a_claim(tmp_path, monkeypatch, moment):
    """The last of the others to leave removes it, between any two calls of the one that comes."""
    folder, gone = tmp_path / "running", []

    def once(call):
        def vanishing(*words, **named):
            if not gone:
                gone.append(1)
                if moment == "before the open":
                    folder.rmdir()
                else:
                    raise FileExistsError(str(folder))  # mkdir saw it, and is_dir no more
            return call(*words, **named)

        return vanishing

    if moment == "before the open":
        monkeypatch.setattr(locks.os, "open", once(locks.os.open))
    else:
        monkeypatch.setattr(Path, "mkdir", once(Path.mkdir))
    with locks.claim(folder / "a") as mine:
        assert mine and gone


def test_claims_of_threads_survive_a_folder_that_is_removed_all_the_time(tmp_path):
    folder, done, errors, won = tmp_path / "running", threading.Event(), [], []

    def remove():
        while not done.is_set():
            with contextlib.suppress(OSError):
                folder.rmdir()

    def work(name):
        try:
            for _ in range(100):
                with locks.claim(folder / name) as mine:
                    won.append(mine)
        except OSError as error:
            errors.append(error)

    remover, workers = threading.Thread(target=remove), [threading.Thread(target=work, args=(n,)) for n in "abc"]
    for thread in (remover, *workers):
        thread.start()
    for thread in workers:
        thread.join()
    done.set()
    remover.join()
    assert not errors and sum(won) > 200


def test_a_file_system_without_locks_refuses_nobody(tmp_path, monkeypatch):
    def no_locks(descriptor, kind):
        raise OSError(next(iter(locks.UNKNOWN)), "no locks here")

    monkeypatch.setattr(locks.fcntl, "flock", no_locks)
    with locks.claim(tmp_path / "a") as mine, locks.claim(tmp_path / "a") as yours:
        assert mine and yours


def test_only_abandoned_marks_are_removed(tmp_path):
    path = tmp_path / "a"
    with open(path, "xb") as stream:
        assert locks.mark(stream.fileno())
        assert not locks.remove_abandoned(path)
    assert locks.remove_abandoned(path) and not path.exists()
    assert not locks.remove_abandoned(path)


def test_a_lock_is_taken_through_no_link_and_waits_for_no_pipe(tmp_path):
    """Another user may have put something in its place: what is behind it is neither emptied nor removed."""
    (tmp_path / "mine").write_text("outside")
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "new")
    os.link(tmp_path / "mine", tmp_path / "hard")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "dangling", "hard", "pipe", "folder"):
        with pytest.raises(OSError, match="expected a lock or nothing"), locks.claim(tmp_path / name, "note"):
            pass
        assert not locks.held(tmp_path / name) and not locks.remove_abandoned(tmp_path / name)
    assert (tmp_path / "mine").read_text() == "outside" and not (tmp_path / "new").exists()
