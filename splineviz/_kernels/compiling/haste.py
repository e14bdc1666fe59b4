"""How numba compiles here: to the same machine code, in half the time; and who waits for it is told.

    numba       asks for all options of a compilation a hundred thousand times, one after the other -> they are read at once
    Python      looks for garbage among all objects of torch again and again, and finds none -> later

This file knows no kernel.
"""

from __future__ import annotations

import gc
import multiprocessing
import sys
from contextlib import suppress
from typing import Any

from numba.core import event
from numba.core.compiler import Flags
from numba.core.targetconfig import TargetConfig

OURS = "splineviz._kernels"


def hasten() -> bool:
    """Let numba read all options of a compilation at once; False where this numba keeps them in another way."""
    defaults: dict[type, dict[str, Any]] = {}

    def values(self: Any) -> dict[str, Any]:
        kind = type(self)
        if kind not in defaults:
            defaults[kind] = {name: option.default for name, option in kind.options.items()}
        return {**defaults[kind], **self._values}

    try:
        flags = Flags()
        flags.nrt = True
        same = list(values(flags).items()) == list(TargetConfig.values(flags).items())
    except (AttributeError, TypeError):
        return False
    if same:
        TargetConfig.values = values
    return same


class Listener(event.Listener):  # type: ignore[misc]
    """Follows the compilation of our kernels, each with those that it calls; numba compiles in one thread at a time.

    Says once that kernels are being compiled, and puts off Python's search for garbage: what numba makes is kept.
    """

    def __init__(self) -> None:
        self.told = False
        self._inside = 0
        self._collects = False

    def on_start(self, event: Any) -> None:
        """Numba begins to compile something that no cache holds."""
        self._inside += 1
        if self._inside > 1 or not _is_ours(event):
            return
        if gc.isenabled():
            self._collects = True
            gc.disable()
        if not self.told and _is_watched():
            self.told = True
            with suppress(OSError, ValueError):  # a full disk, or a pipe whose reader has gone: nobody waits there
                sys.stderr.write("splineviz: compiling kernels, once, up to a minute ...\n")
                sys.stderr.flush()

    def on_end(self, event: Any) -> None:
        """Numba is done with it."""
        self._inside -= 1
        if self._inside == 0 and self._collects:
            gc.enable()
            self._collects = False


def _is_ours(event: Any) -> bool:
    module: str = getattr(getattr(event.data.get("dispatcher"), "py_func", None), "__module__", "")
    return module.startswith(OURS)


def in_notebook() -> bool:
    """Whether this process is a notebook's kernel; IPython is not imported for the question.

    It stands here since this is the lowest file that asks; those above that show progress ask here, too.
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


def _is_watched() -> bool:
    """Whether somebody sees what this process writes: at a terminal, or in a notebook."""
    if multiprocessing.parent_process() is not None or sys.stderr is None:  # None: closed by whoever began it
        return False
    return sys.stderr.isatty() or in_notebook()


LISTENER = Listener()
event.register("numba:compile", LISTENER)
