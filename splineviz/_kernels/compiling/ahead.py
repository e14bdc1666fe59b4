"""The longest kernels of a job, compiled by a second Python beside this one, where no cache holds them yet.

    this process   sign_bits, cut_edges, ... --> cut_faces? not yet: others that come later --> waits --> reads it, goes on
    the second     cut_faces -------------------------------------------------------------> kept

numba compiles in one thread at a time, so a second processor helps in a process of its own alone. It writes into the same
cache. Where it cannot be begun, ends early, or keeps its kernels elsewhere, this process compiles all, as it would alone.
It ends when it is done, and with this process, however that ends: its input is then closed.

A kernel is compiled for the types of its arguments before there are any; a test says that they are those of a real call.
This file is imported by whoever knows what a job will need, never by a kernel.
"""

from __future__ import annotations

import atexit
import importlib
import json
import math
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numba
import numpy as np

BEGIN = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from splineviz._kernels.compiling.ahead import second
second(sys.argv[2:])
"""
LOOK, PATIENCE = 0.05, 120.0
"""Seconds between two looks whether a kernel has come; and after which it is compiled here."""
CUT_FACES = "cutting.cut_faces"
_expected: set[str] = set()


def forms() -> dict[str, tuple[Any, ...]]:
    """Arguments as a slice passes them to the longest kernel, first, and to those that are called after it."""
    from splineviz._kernels.arrangement import Questions
    from splineviz._kernels.bits import Reading, Scales
    from splineviz._kernels.cutting import Faces
    from splineviz._kernels.edges import EdgeCuts, Parents, Skeleton
    from splineviz._kernels.lines import Lines

    f, i, n, u = np.zeros(0), np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.uint64)
    ff, ii, nn, uu = (np.zeros((0, 2), array.dtype) for array in (f, i, n, u))
    parents, lines = Parents(i, i, f, i), Lines(i, i, n, f, i, f, n, f, i)
    reading, cuts = Reading(uu, uu, ff, Scales(f, f, f, 1.0)), EdgeCuts(n, i, f, f, i, n, f)
    skeleton = Skeleton(ff, f, parents, ii, f, i, u)
    return {
        CUT_FACES: (Faces(i, i, u), ii, skeleton, reading, cuts, u, 0, 1.0, Questions(u, f, nn)),
        "lines.propagate": (lines, 1.0, ff, ff),
        "lines.turned_scale": (lines, f, f, f, f, 0, f),
        "lines.larger_scale": (f, 0, parents),
        "sewing.join_seams": (n, u, ii, ff, i, i),
        "sewing.number": (i, i, ii, i, i),
        "faces.face_areas": (ff, i, i),
        "faces.face_means": (ff, i, i),
    }


def kernel(name: str) -> Any:
    """A kernel by the names of its file and itself."""
    file, function = name.rsplit(".", 1)
    return getattr(importlib.import_module(f"splineviz._kernels.{file}"), function)


def types(name: str) -> tuple[Any, ...]:
    """The types for which a kernel is compiled ahead."""
    return tuple(numba.typeof(value) for value in forms()[name])


def expect(processors: Callable[[], int], name: str = CUT_FACES) -> None:
    """A kernel will be needed, by default that of a slice: begin a second process for it, once, where no cache holds it.

    processors: says how many this process may use.
    """
    if name in _expected:
        return
    _expected.add(name)
    found = kernel(name)
    cache: Any = getattr(found, "_cache", None)  # none where nothing is compiled; numba's where none is kept
    if not hasattr(cache, "meanwhile") or cache.holds(types(name), found.targetctx) or not _may_begin() or processors() < 2:
        return
    other = _begun([name, cache.cache_path])
    if other is not None:
        atexit.register(_end, other, os.getpid())
        cache.meanwhile = _Wait(other, [after for after in forms() if after != name])


def _may_begin() -> bool:
    """Whether `sys.executable` is a Python that may be begun beside this process: not by one of many workers."""
    name = os.path.basename(sys.executable or "").lower()
    return name.startswith("python") and not getattr(sys, "frozen", False) and multiprocessing.parent_process() is None


def _begun(words: Sequence[str]) -> subprocess.Popen[bytes] | None:
    """The second process, None where the system begins none. It says nothing, and hears when this one ends."""
    hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    quiet = subprocess.DEVNULL
    try:
        command = [sys.executable, "-P", "-c", BEGIN, json.dumps(sys.path), *words]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, creationflags=hidden)
    except (OSError, ValueError, RuntimeError, TypeError):  # Python is ending: RuntimeError; a path is no word: TypeError
        return None


class _Wait:
    """Spends time while a second process works: with kernels that come later, then idly. False when it has ended."""

    def __init__(self, other: subprocess.Popen[bytes], later: Sequence[str]):
        self._other, self._later, self._until = other, list(later), math.inf

    def __call__(self) -> bool:
        if self._other.poll() is not None or time.monotonic() > self._until:
            return False
        if self._later:
            name = self._later.pop(0)
            kernel(name).compile(types(name))
        else:
            self._until = min(self._until, time.monotonic() + PATIENCE)
            time.sleep(LOOK)
        return True


def _end(other: subprocess.Popen[bytes], owner: int) -> None:
    """End the second process with the first, but not with a copy of it that was forked."""
    if os.getpid() != owner:
        return
    with suppress(OSError):
        other.kill()
    other.wait()
    if other.stdin is not None:
        with suppress(OSError):
            other.stdin.close()


def second(words: Sequence[str]) -> None:
    """The second process: compile a kernel, if it is kept in the place where the first one will look for it."""
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    name, place = words
    found = kernel(name)
    if getattr(found, "_cache", None) is not None and found._cache.cache_path == place:
        found.compile(types(name))
    os._exit(0)


def _end_with_the_first() -> None:
    with suppress(OSError):
        os.read(0, 1)  # nothing is ever written; not by `sys.stdin`, whose lock would be held when Python ends
    os._exit(1)
