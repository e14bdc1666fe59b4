"""Workers: everything is done once, errors and interrupts reach the caller, and no thread is left behind."""

import faulthandler
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from interrupts import interrupted

from splineviz import threads
from splineviz.threads import Stack, each


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_item_and_all_that_comes_of_it_is_worked_once(threads):
    seen, lock = [], threading.Lock()

    def work(n):
        with lock:
            seen.append(n)
        return [2 * n, 2 * n + 1] if n < 64 else []

    Stack(work, threads).run([1])
    assert sorted(seen) == list(range(1, 128))


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_error_reaches_the_caller_and_stops_the_rest(threads):
    done = []

    def work(n):
        if n == 5:
            raise ValueError("five")
        done.append(n)
        return [n + 1]

    before = threading.active_count()
    with pytest.raises(ValueError, match="five"):
        Stack(work, threads).run([0])
    assert done == [0, 1, 2, 3, 4]
    for worker in threading.enumerate():
        if worker.name.startswith("Thread-") and worker is not threading.current_thread():
            worker.join(5)
    assert threading.active_count() <= before


def test_ctrl_c_ends_the_process_in_order():
    # In a process of its own: threads left behind would abort it when the interpreter goes.
    code = """
import _thread, threading, time
from splineviz import threads
from splineviz.threads import Stack
def work(n):
    time.sleep(0.02)
    return [n + 1]
timer = threading.Timer(0.3, _thread.interrupt_main)
timer.start()
try:
    Stack(work, 2).run([0, 0])
except KeyboardInterrupt:
    timer.join()
    time.sleep(0.2)  # a worker that has reported its end still has to leave
    assert threading.active_count() == 1, threading.enumerate()
    print("stopped")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "stopped", "")


STDLIB = ("/threading.py", "/concurrent/futures/_base.py", "/concurrent/futures/thread.py")
OURS = ("splineviz/threads.py", "splineviz/system/signals.py")


@pytest.mark.parametrize(
    "call",
    [
        lambda: Stack(lambda n: [n + 1] if n < 2 else [], 2).run([0, 0]),
        lambda: each(str, range(2), 1),
    ],
    ids=["stack", "each"],
)
@pytest.mark.filterwarnings("ignore")  # what pytest says of a tracer that is not its own
def test_ctrl_c_between_any_two_steps_leaves_no_thread_and_no_lock(call, monkeypatch):
    # An interrupt while a thread was being started was one too few to wait for: left behind, or waited for without end.
    monkeypatch.setattr(threads, "LOOK", 0.002)
    before, hears, moment = threading.active_count(), signal.getsignal(signal.SIGINT), 0
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        while True:
            faulthandler.dump_traceback_later(30, exit=True)  # a hang is seen where it hangs
            try:
                if not interrupted(call, moment, OURS + STDLIB):
                    break
                raise AssertionError(f"the interrupt before step {moment} was not heard")
            except KeyboardInterrupt:
                pass
            began = time.monotonic()
            while threading.active_count() > before and time.monotonic() - began < 5:
                time.sleep(0.0005)  # one that has reported its end still has to leave
            assert threading.active_count() <= before, f"step {moment}: {threading.enumerate()}"
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, f"step {moment}"
            moment += 1
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGINT, hears)
    assert moment > 500


# ---- how many processors ---------------------------------------------------------------------------------------------


def system(root: Path, group: str, texts: dict[str, str]) -> None:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(group)
    for name, text in texts.items():
        (root / "sys/fs/cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "sys/fs/cgroup" / name).write_text(text)


@pytest.mark.parametrize(
    ("group", "texts", "expected"),
    [
        ("0::/\n", {"cpu.max": "max 100000"}, 64),
        ("0::/\n", {"cpu.max": "150000 100000"}, 2),
        ("0::/job/step\n", {"cpu.max": "max 100000", "job/cpu.max": "300000 100000", "job/step/cpu.max": "max 100000"}, 3),
        ("0::/kubepods/pod7\n", {"cpu.max": "50000 100000"}, 1),
        ("4:cpu,cpuacct:/a\n2:memory:/a\n", {"cpu/a/cpu.cfs_quota_us": "500000", "cpu/a/cpu.cfs_period_us": "100000"}, 5),
        ("4:cpu,cpuacct:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 64),
        ("", {}, 64),
    ],
)
def test_the_share_of_a_container_is_kept(
    group: str, texts: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system(tmp_path, group, texts)
    monkeypatch.setattr(threads, "SYSTEM", tmp_path)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    assert threads.available() == expected


def test_slurm_says_how_many(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(threads, "SYSTEM", tmp_path)  # without control groups
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    for said, expected in (("6", 6), ("100", 64), ("", 64), ("0", 64), ("x", 64)):
        monkeypatch.setenv("SLURM_CPUS_PER_TASK", said)
        assert threads.available() == expected


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_calls_of_one_item_are_shared_with_threads_that_have_nothing_to_do(threads):
    # With a second thread the calls meet at a barrier, which no thread passes alone.
    done, meeting = [], threading.Barrier(min(threads, 2))

    def work(item):
        stack.share([lambda k=k: (meeting.wait(20), done.append(k)) for k in range(8)])
        assert sorted(done) == list(range(8))
        return []

    stack = Stack(work, threads)
    stack.run(["one"])
    assert sorted(done) == list(range(8))


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_in_a_shared_call_reaches_the_caller(threads):
    before = threading.active_count()

    def call(k):
        if k == 3:
            raise ValueError("three")

    def work(item):
        stack.share([lambda k=k: call(k) for k in range(6)])
        return []

    stack = Stack(work, threads)
    with pytest.raises(ValueError, match="three"):
        stack.run(["one", "two"])
    assert threading.active_count() == before
