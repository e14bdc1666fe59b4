"""Compilation that is quicker, and leaves numba and Python as they were; and by two processes, or by one as before."""

from __future__ import annotations

import gc
import importlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numba
import numpy as np
import pytest
import torch
from numba.core import event
from numba.core.compiler import Flags
from numba.core.targetconfig import TargetConfig
from torch import nn

from splineviz._kernels.compiling import ahead, haste
from splineviz._kernels.jit import njit
from splineviz.geometry.plane import Plane
from splineviz.regions.enumerate import partition


def test_options_are_read_at_once_and_are_those_that_numba_reads():
    flags = Flags()
    for name in ("nrt", "release_gil", "no_cfunc_wrapper"):
        setattr(flags, name, True)
    assert list(flags.values().items()) == [(name, getattr(flags, name)) for name in flags.options]
    other = flags.copy()
    assert flags == other and hash(flags) == hash(other)
    other.nrt = False
    assert flags != other and other.values() == flags.values() | {"nrt": False}


def test_a_numba_that_keeps_its_options_otherwise_is_left_alone(monkeypatch):
    def otherwise(self):
        return {}

    monkeypatch.setattr(TargetConfig, "values", otherwise)
    assert not haste.hasten() and TargetConfig.values is otherwise


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("collects", [True, False])
def test_garbage_is_looked_for_again_after_a_compilation(collects, ours, request):
    seen = []

    class Looking(event.Listener):
        def on_start(self, event):
            seen.append(gc.isenabled())

        def on_end(self, event):
            pass

    def plus(x):
        return x + 1

    def fails(x):
        return x.nothing

    plus.__module__ = fails.__module__ = "splineviz._kernels.plus" if ours else "others"
    before = gc.isenabled()
    request.addfinalizer(gc.enable if before else gc.disable)
    (gc.enable if collects else gc.disable)()
    with event.install_listener("numba:compile", Looking()):
        assert njit()(plus)(1) == 2
        assert gc.isenabled() == collects
        with pytest.raises(numba.TypingError):
            njit()(fails)(1)
    assert gc.isenabled() == collects and seen == [collects and not ours] * 2


# ---- two processes ---------------------------------------------------------------------------------------

KERNEL = """
from splineviz._kernels.jit import njit

@njit(cache=True)
def twice(x):
    return 2 * x + 1
"""
SECOND = """
import json, os, sys, time
sys.path[:] = json.loads(sys.argv[1])
import kernel, numba
from splineviz._kernels.compiling import ahead
ahead.kernel, ahead.types = (lambda name: kernel.twice), (lambda name: (numba.int64,))
{}
ahead.second(sys.argv[2:])
"""
compiled = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")


def test_kernels_are_compiled_ahead_for_the_types_of_a_real_call():
    plane = Plane(np.zeros(2), np.eye(2))
    torch.manual_seed(0)
    partition(nn.Sequential(nn.Linear(2, 9), nn.ReLU(), nn.Linear(9, 9), nn.ReLU(), nn.Linear(9, 2)), plane, window=2.0)
    for name in ahead.forms():
        assert numba.config.DISABLE_JIT or ahead.types(name) in ahead.kernel(name).signatures, name


@pytest.fixture
def twice(tmp_path, monkeypatch):
    """A kernel that no cache holds; it stands for the longest of a slice."""
    (tmp_path / "kernel.py").write_text(KERNEL)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("kernel")
    monkeypatch.setattr(ahead, "_expected", set())
    monkeypatch.setattr(ahead, "kernel", lambda name: module.twice)
    monkeypatch.setattr(ahead, "types", lambda name: (numba.int64,))
    monkeypatch.setattr(ahead, "forms", lambda: {"twice": ()})
    monkeypatch.setattr(ahead, "BEGIN", SECOND.format(""))
    yield module.twice
    del sys.modules["kernel"]


def expected(twice, processors=2):
    """The second process that is begun, if one is."""
    ahead.expect(lambda: processors, "twice")
    meanwhile = twice._cache.meanwhile
    return None if meanwhile is None else meanwhile._other


def hits(twice):
    return sum(twice.stats.cache_hits.values())


@compiled
def test_the_second_process_compiles_and_the_first_one_reads(twice):
    second = expected(twice)
    assert second is not None and expected(twice) is second, "one is enough"
    assert twice(20) == 41 and hits(twice) == 1
    assert second.wait(20) == 0


BROKEN = {
    "ends at once": "os._exit(3)",
    "raises": "raise OSError",
    "is killed": "os.kill(os.getpid(), 9) if os.name == 'posix' else os._exit(1)",
    "never comes": "time.sleep(60)",
    "keeps its kernels elsewhere": "sys.argv[3] += 'x'",
    "compiles for other types": "ahead.types = lambda name: (numba.complex128,)",
    "leaves a damaged file": """
from splineviz._kernels import jit
save = jit._Files._save_data
jit._Files._save_data = lambda self, name, data: (save(self, name, data), open(self._data_path(name), "wb").close())
""",
}


@compiled
@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.filterwarnings("ignore:.*damaged kernel.*:RuntimeWarning")
def test_whatever_becomes_of_the_second_process_the_first_one_goes_on(twice, monkeypatch, capfd, how):
    monkeypatch.setattr(ahead, "BEGIN", SECOND.format(BROKEN[how]))
    monkeypatch.setattr(ahead, "PATIENCE", 0.2)
    second = expected(twice)
    assert second is not None and twice(20) == 41 and hits(twice) == 0
    ahead._end(second, os.getpid())
    assert second.returncode is not None and capfd.readouterr() == ("", "")


def fails(*words, **options):
    raise PermissionError(13, "no more processes")


@compiled
@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("sys.executable", ""), ("sys.executable", None), ("sys.executable", "/opt/bin/blender"), ("sys.frozen", True),
        ("multiprocessing.parent_process", lambda: "a worker's"), ("subprocess.Popen", fails),
        ("sys.executable", "/no/such/python3"), ("sys.path", [Path("/a/path")]),
    ],
)  # fmt: skip
def test_where_no_second_process_can_be_begun_there_is_none(twice, monkeypatch, place, value):
    monkeypatch.setattr(f"splineviz._kernels.compiling.ahead.{place}", value, raising=False)
    assert expected(twice) is None
    monkeypatch.undo()
    assert twice(20) == 41


@compiled
def test_one_processor_or_a_cache_that_holds_it_begins_none(twice):
    assert expected(twice, processors=1) is None and twice(20) == 41
    ahead._expected.clear()
    assert expected(twice) is None


FIRST = """
import os
from splineviz._kernels.compiling import ahead
ahead.BEGIN = '''
import json, sys, time
sys.path[:] = json.loads(sys.argv[1])
from splineviz._kernels.compiling import ahead
ahead.kernel = lambda name: time.sleep(60)
ahead.second(["twice", ""])
'''
other = ahead._begun([])
ahead.atexit.register(ahead._end, other, os.getpid())
print(other.pid, flush=True)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up there")
@pytest.mark.parametrize("end", ["pass", "os._exit(0)", "os.kill(os.getpid(), 9)", "os.fork() or os._exit(0)"])
def test_the_second_process_ends_with_the_first_however_that_ends(end):
    told = subprocess.run([sys.executable, "-c", FIRST + end], capture_output=True, text=True, timeout=50)
    stat, until = Path(f"/proc/{int(told.stdout)}/stat"), time.monotonic() + 20
    while stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z":  # ended, and nobody asked how
        assert time.monotonic() < until, "it runs on"
        time.sleep(0.05)
