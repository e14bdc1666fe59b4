"""Compilation that is quicker, and leaves numba and Python as they were."""

from __future__ import annotations

import gc

import numba
import pytest
from numba.core import event
from numba.core.compiler import Flags
from numba.core.targetconfig import TargetConfig

from splineviz._kernels.compiling import haste
from splineviz._kernels.jit import njit


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
