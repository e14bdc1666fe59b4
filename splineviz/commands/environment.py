"""The environment: what splineviz runs on and whether it is enough, for `splineviz doctor` and for reports of defects.

Each finding is (topic, what was found, whether it will do). Requirements are read from the installed package's own
metadata, so they are said once. Nothing here raises for a thing that is missing: that is a finding. The only file that
asks for versions of other packages; imports are made when they are asked about.
"""

from __future__ import annotations

import importlib
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from splineviz import threads

PACKAGE = Path(__file__).parents[1]
WORKSHOP = ("dev", "docs", "bench")
"""Extras for work on splineviz itself."""


@dataclass(frozen=True)
class Finding:
    """topic: a few words; found: what is there; fine: False when something splineviz needs is missing or too old."""

    topic: str
    found: str
    fine: bool = True


def examine() -> Iterator[Finding]:
    """Every finding in order; the last one cuts a small slice and proves it, which compiles the kernels once (seconds)."""
    yield Finding("splineviz", f"{_version('splineviz') or 'not installed as a package'}, {PACKAGE}")
    yield Finding("Python", f"{platform.python_version()}, {sys.executable}")
    yield Finding("system", f"{platform.system()} {platform.release()}, {platform.machine()}, {_memory()}")
    yield from _required()
    yield from _extras()
    yield from _threads()
    yield _gpu()
    yield _cache()
    yield _films()
    yield Finding("browser", "not needed; to look at an explorer's page, any with WebGL2")
    yield _slice()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _requirements() -> list[tuple[str, str, str]]:
    """(package, minimum, extra or "") of everything the package's metadata names."""
    found = []
    for line in metadata.requires("splineviz") or []:
        match = re.match(r"([\w.-]+)>=([\w.]+)(?:\s*;\s*extra == [\"'](\w+)[\"'])?$", line)
        if match:
            found.append((match[1], match[2], match[3] or ""))
    return found


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version.split("+")[0])]


def _state(name: str, minimum: str) -> Finding:
    version = _version(name)
    if version is None:
        return Finding(name, f"missing; pip install '{name}>={minimum}'", False)
    if _numbers(version) < _numbers(minimum):
        return Finding(name, f"{version}, older than {minimum}; pip install '{name}>={minimum}'", False)
    return Finding(name, version)


def _required() -> Iterator[Finding]:
    try:
        wanted = [(name, minimum) for name, minimum, extra in _requirements() if not extra]
    except metadata.PackageNotFoundError:
        yield Finding("dependencies", "not known: splineviz runs from a folder, without being installed")
        return
    for name, minimum in wanted:
        yield _state(name, minimum)


def _extras() -> Iterator[Finding]:
    """One line an extra that a user may want; a missing one is fine, since nobody needs all."""
    extras: dict[str, list[Finding]] = {}
    try:
        for name, minimum, extra in _requirements():
            if extra and extra not in WORKSHOP:
                extras.setdefault(extra, []).append(_state(name, minimum))
    except metadata.PackageNotFoundError:
        return
    for extra, states in extras.items():
        lacking = [state.topic for state in states if not state.fine]
        if not lacking:
            yield Finding(f"extra {extra}", ", ".join(f"{state.topic} {state.found}" for state in states))
        else:
            yield Finding(f"extra {extra}", f"without {', '.join(lacking)}; pip install 'splineviz[{extra}]' adds it")


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (ValueError, OSError, AttributeError):
        return "memory not known"
    try:  # unused pages would leave out what the system only keeps of files
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        return f"{int(fields['MemAvailable'].split()[0]) * 1024 / 1e9:.1f} of {total:.1f} GB memory available"
    except (OSError, ValueError, KeyError):
        return f"{total:.1f} GB memory"


def _threads() -> Iterator[Finding]:
    text = f"{threads.available()} processors for the enumerator"
    try:
        torch = importlib.import_module("torch")
        text += f", {torch.get_num_threads()} threads of torch"
    except ImportError:
        pass
    named = [f"{name}={os.environ[name]}" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name in os.environ]
    yield Finding("threads", ", ".join([text, *named]))


def _gpu() -> Finding:
    try:
        torch = importlib.import_module("torch")
        if torch.cuda.is_available():
            return Finding("GPU", ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())))
    except (ImportError, RuntimeError) as error:
        return Finding("GPU", f"cannot be asked: {error}")
    return Finding("GPU", "none that torch can use; none is needed")


def _cache() -> Finding:
    """Where numba keeps compiled kernels; without such a place every process compiles anew."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    place = Path(named) if named else PACKAGE / "_kernels" / "__pycache__"
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError:
        # numba then takes a folder of the user's own; only NUMBA_CACHE_DIR is taken at its word.
        remedy = "set NUMBA_CACHE_DIR to a folder that can be written"
        return Finding("kernel cache", f"{place} cannot be written; {remedy}", named is None)
    kept = len(list((place if named else PACKAGE / "_kernels").rglob("*.nbc")))
    return Finding("kernel cache", f"{place}, {kept} kernels" if kept else f"{place}, empty: the first slice compiles")


def _films() -> Finding:
    """Which films can be written; the encoders come with PyAV, no ffmpeg need be installed."""
    try:
        from splineviz.drawing.video import CODECS, way

        lacking = [kind for kind in CODECS if way(kind) is None]
    except ImportError as error:
        return Finding("films", f"cannot be written: {error}", False)
    if lacking:
        return Finding("films", f"this PyAV has no encoder for {', '.join(lacking)}; gif needs none", False)
    return Finding("films", f"{', '.join(CODECS)}, gif")


def _slice() -> Finding:
    """A small slice, cut and proved."""
    try:
        import numpy as np
        import torch
        from torch import nn

        from splineviz.geometry.plane import Plane
        from splineviz.regions.enumerate import partition

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))
        began = time.perf_counter()
        found = partition(model, Plane(np.zeros(2), np.eye(2)), window=2.0)
        seconds = time.perf_counter() - began
        proved = found.verify(model).ok
    except Exception as error:  # whatever stops it is what the reader came to learn
        return Finding("a slice", f"{type(error).__name__}: {error}", False)
    return Finding("a slice", f"{found.num_regions} regions in {seconds:.2f} s, proved", proved)
