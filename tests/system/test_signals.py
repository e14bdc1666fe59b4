"""SIGTERM, SIGHUP and Ctrl-C: one line, 128 + n, nothing half written, and no way to hang."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_runs import write_run

from splineviz import commands
from splineviz.__main__ import main
from splineviz._kernels import jit
from splineviz.drawing import film
from splineviz.jobs import executors, plan
from splineviz.jobs import job as jobs
from splineviz.storage import files, locks
from splineviz.system import signals
from splineviz.system.signals import HeldBack

NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}


@pytest.fixture(autouse=True)
def _usual() -> Iterator[None]:
    """Handlers as a shell leaves them, and as they were afterwards."""
    before = {number: signal.getsignal(number) for number in NAMES}
    for number in NAMES:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NAMES, ids=NAMES.values())
def test_a_command_that_is_asked_to_end_says_one_line(number, monkeypatch, capsys):
    monkeypatch.setattr(commands.COMMANDS["info"], "run", lambda options: signal.raise_signal(number))
    assert main(["info", "."]) == 128 + number
    said = capsys.readouterr()
    assert said.err == f"splineviz: stopped by {NAMES[number]}; every file that was finished is whole.\n" and not said.out
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def test_a_second_signal_does_not_disturb_the_cleaning_up(monkeypatch, capsys):
    cleaned = []

    def run(options):
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGINT)
            cleaned.append(True)

    monkeypatch.setattr(commands.COMMANDS["info"], "run", run)
    assert main(["info", "."]) == 143 and cleaned == [True]
    assert capsys.readouterr().err.count("\n") == 1
    signals.raise_if_heard()  # a call of the library afterwards has not heard of it


def test_nohup_and_handlers_of_others_stay(monkeypatch):
    heard = []
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))

    def run(options):
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(commands.COMMANDS["info"], "run", run)
    assert main(["info", "."]) == 0 and heard == [signal.SIGTERM]


HANGS = """
import importlib.util, signal, sys, threading, time
spec = importlib.util.spec_from_file_location("signals", sys.argv[1])
signals = importlib.util.module_from_spec(spec)
spec.loader.exec_module(signals)
signals.GRACE, signals.TWICE = float(sys.argv[2]), 0.1
say = lambda text: print(text, flush=True)
with signals.listening(say):
    try:
        print("begun", flush=True)
        time.sleep(60)
    finally:
        print("cleaning", flush=True)
        threading.Event().wait(60)
"""


@pytest.mark.parametrize(("grace", "sent", "code"), [
    (0.3, [signal.SIGTERM], 143), (60, [signal.SIGINT, signal.SIGINT], 130),
])  # fmt: skip
def test_what_hangs_while_it_ends_is_ended(grace, sent, code):
    words = [sys.executable, "-c", HANGS, signals.__file__, str(grace)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    for number, told in zip(sent, ("begun\n", "cleaning\n"), strict=False):
        assert process.stdout.readline() == told
        time.sleep(0.2)
        process.send_signal(number)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == code
    assert said.splitlines()[-1] == f"stopped by {NAMES[sent[0]]}; every file that was finished is whole."


THROUGH_C = """
import ctypes, signal, sys
from splineviz import commands
from splineviz._kernels import jit
from splineviz.__main__ import program
run_string = ctypes.pythonapi.PyRun_String
run_string.restype = ctypes.py_object
run_string.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.py_object, ctypes.py_object]
names = {"signal": signal}
commands.COMMANDS["info"].run = lambda options: run_string(b"signal.raise_signal(15)\\n", 257, names, names)
sys.argv = ["splineviz", "info", "."]
program()
"""


def test_the_code_stays_where_the_interrupt_goes_through_c_code_that_runs_python(tmp_path):
    # Python then notes a Ctrl-C that nobody caught, and ends by it once `-m` is through, whatever the code.
    (tmp_path / "through_c.py").write_text(THROUGH_C)
    ways = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    words = [sys.executable, "-m", "through_c"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ | ways, timeout=300)
    said = "splineviz: stopped by SIGTERM; every file that was finished is whole.\n"
    assert (done.returncode, done.stdout, done.stderr) == (143, "", said)


# ---- held back -----------------------------------------------------------------------------------------------------


def test_what_is_held_back_is_heard_at_the_end_by_whoever_heard_it_before():
    heard = []
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    mine = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), HeldBack() as held:
        signal.raise_signal(signal.SIGTERM)
        assert heard == []
        held.deliver()
        assert heard == [signal.SIGTERM]
        with HeldBack():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
        reached = True
    assert reached and signal.getsignal(signal.SIGTERM) is mine
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_in_another_thread_nothing_is_held_back():
    import threading

    found = []
    worker = threading.Thread(target=lambda: found.append(HeldBack().__enter__()._before))
    worker.start()
    worker.join()
    assert found == [{}]


@pytest.mark.parametrize("number", NAMES, ids=NAMES.values())
def test_a_signal_leaves_no_file_half_written_and_no_claim(number, tmp_path, monkeypatch):
    # In the moment in which the file is there, and nobody holds its name yet.
    def then(function):
        def call(*words):
            made = function(*words)
            signal.raise_signal(number)
            return made

        return call

    def stop(number, frame):
        raise KeyboardInterrupt

    signal.signal(number, stop)
    monkeypatch.setattr(files, "_begun", then(files._begun))
    monkeypatch.setattr(locks, "_take", then(locks._take))
    with pytest.raises(KeyboardInterrupt):
        files.write_text(tmp_path / "one.txt", "text")
    with pytest.raises(KeyboardInterrupt), locks.claim(tmp_path / "running" / "one"):
        raise AssertionError("the claim is not ours to use")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


# ---- jobs, processes and films -------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_run(tmp_path / "run")
    return tmp_path / "run"


def test_a_signal_that_a_library_makes_another_exception_of_is_no_failure_of_a_job(run, tmp_path, monkeypatch, capsys):
    def work(job):
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt as error:
            raise ImportError("PyCapsule_Import could not import module") from error

    monkeypatch.setattr(jobs, "work", work)
    out = tmp_path / "out"
    assert main(["sweep", str(run), "--out", str(out), "--lc-points", "20"]) == 143
    assert "stopped by SIGTERM" in capsys.readouterr().err
    assert not (out / "failures").exists() and not list(out.glob("running/step*"))


def test_a_sweep_in_processes_that_is_asked_to_end_ends_them(run, tmp_path, monkeypatch, capsys):
    psutil = pytest.importorskip("psutil")
    out, words = tmp_path / "out", ["--lc-points", "20", "--planes", "2", "--jobs", "2"]
    before = set(psutil.Process().children(recursive=True))
    done = executors._outcome
    monkeypatch.setattr(executors, "_outcome", lambda *a: (done(*a), signal.raise_signal(signal.SIGTERM))[0])
    assert main(["sweep", str(run), "--out", str(out), *words]) == 143
    assert capsys.readouterr().err.splitlines()[-1].startswith("splineviz: stopped by SIGTERM;")
    left = [p for p in set(psutil.Process().children(recursive=True)) - before if "resource_tracker" not in str(p.cmdline())]
    assert [p for p in psutil.wait_procs(left, timeout=10)[1] if p.status() != psutil.STATUS_ZOMBIE] == []
    assert not list(out.rglob("*.tmp*"))
    states = [state.state for state in plan.states(out)]
    assert 1 <= states.count("done") < len(states) and set(states) == {"done", "waiting"}, states


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM))
def test_a_film_that_is_interrupted_ends_its_threads(number, tmp_path, monkeypatch):
    import threading

    import numpy as np

    def stop(number, frame):
        raise KeyboardInterrupt

    painted = []

    def paint():
        painted.append(True)
        if len(painted) == 2:
            signal.raise_signal(number)
        return np.zeros((36, 64, 3), np.uint8)

    signal.signal(number, stop)
    before = threading.active_count()
    shots = [film.Shot(tmp_path / "frames" / f"step-{i:010d}.png", f"key {i}", paint, "") for i in range(9)]
    with pytest.raises(KeyboardInterrupt):
        film.shoot(shots, tmp_path, formats=("mp4",), fps=8)
    assert threading.active_count() == before and len(painted) == 2
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == [f"step-{i:010d}.png" for i in range(2)]


ASKED = '''
import os, time
import torch
import splineviz as sv
import splineviz._kernels.jit
from numba.core import serialize
from splineviz.system.signals import listening

serialize.calls, serialize.at = [], [0]
exec("""
def asked(*what, before=_numba_unpickle):
    calls.append(1)
    if len(calls) == at[0]:
        import signal
        signal.raise_signal(signal.SIGINT)
    return before(*what)
""", serialize.__dict__)

def work():
    model = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    sv.partition(model, sv.Plane.through([0.0, 0], [1.0, 0], [0.0, 1.0]), window=2.0, threads=1).linear_regions

serialize._numba_unpickle = serialize.asked
work()
serialize.calls.clear()
work()
count, codes = len(serialize.calls), []
assert count > 10, count
for at in range(1, count + 1, count // 8):
    child = os.fork()
    if child == 0:
        serialize.calls.clear()
        serialize.at[0] = at
        try:
            with listening(lambda text: None):
                work()
                time.sleep(5)
            os._exit(0)
        except KeyboardInterrupt:
            os._exit(130)
        except BaseException:
            os._exit(3)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(codes)
'''


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_signal_in_what_numba_calls_waits_until_it_has_returned() -> None:
    """numba's C code asks Python for types and looks for no exception: one that came there ended the process (-11)."""
    # On one thread: after a fork nobody is left of a library's other threads, and who waits for them waits for ever.
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, timeout=120, env=alone)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {130}


def test_what_kernels_ask_python_for_is_handed_out_by_c_code() -> None:
    """So that no signal is heard there, in a notebook either."""
    assert jit.serialize._numba_unpickle.cache_info().hits >= 0
