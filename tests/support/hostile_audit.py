"""What a reader does besides reading: Python's own audit events, watched while a hostile input is read.

    inside(folder)    a file may be opened, made, renamed or removed in the folder, and nowhere else; none is opened in the
                      folder `outside` beside it; nothing is connected to, started or handed to a shell

Reading what the interpreter, its libraries and the system's own lists (/proc, /sys) hold is no offence, nor is keeping
kernels. What a library's own C or Rust code opens tells nobody; results are looked at for that (`SECRET`). An audit hook
stays for good, so it is one hook, which does nothing while nobody watches.
"""

from __future__ import annotations

import contextlib
import os
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ALONE = {
    "socket.connect", "socket.getaddrinfo", "socket.bind", "urllib.Request", "subprocess.Popen", "os.system", "os.exec",
    "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.kill", "webbrowser.open",
}  # fmt: skip
"""Events that no reader has a reason for, whatever they are about."""
CHANGES = {
    "os.mkdir": (0,), "os.rmdir": (0,), "os.remove": (0,), "os.rename": (0, 1), "os.link": (1,), "os.symlink": (1,),
    "os.truncate": (0,), "os.chmod": (0,), "os.chown": (0,), "os.utime": (0,), "os.setxattr": (0,), "shutil.rmtree": (0,),
}  # fmt: skip
"""Events that change a file, and which of their arguments name it."""
LISTS = ("os.listdir", "os.scandir")
AHEAD = "splineviz._kernels.compiling.ahead"

_places = {Path(__file__).parents[2], *map(Path, sysconfig.get_paths().values()), Path(sys.prefix), Path(sys.base_prefix)}
_system = {"/proc/", "/sys/", "/usr/", "/lib/"}
_libraries = tuple(sorted({f"{os.path.realpath(place)}{os.sep}" for place in _places} | _system))
_temporary = os.path.realpath(tempfile.gettempdir())  # asked for here, since the first who asks tries to write there
_kernels = [os.path.realpath(place) for place in (os.environ.get("NUMBA_CACHE_DIR"),) if place]
_caches = (os.path.join(_temporary, "torchinductor_"), *_kernels)
_state = threading.local()


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    watching = getattr(_state, "watching", None)
    if watching is None or not (event == "open" or event in CHANGES or event in ALONE or event in LISTS):
        return
    _state.watching = None  # what is asked here is not watched
    try:
        said = _offence(event, arguments, watching)
    finally:
        _state.watching = watching
    if said:
        _state.found.append(said)


def _offence(event: str, arguments: tuple[Any, ...], root: str) -> str:
    """What an event does that it should not; empty for nothing."""
    if event == "subprocess.Popen" and sys.modules.get(AHEAD) and sys.modules[AHEAD].BEGIN in arguments[1]:
        return ""  # a second process that compiles our kernels and is told nothing else
    if event in ALONE:
        return f"{event} {str(arguments)[:200]}"
    if event == "open":
        path, mode, flags = arguments
        writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)) if flags else "w" in str(mode)
        return _of_path(event, path, root, writes, follows=not flags & getattr(os, "O_NOFOLLOW", 0))
    if event in LISTS:
        return _of_path(event, arguments[0] if arguments and arguments[0] is not None else ".", root, False)
    return next(filter(None, (_of_path(event, arguments[i], root, True, follows=False) for i in CHANGES[event])), "")


def _of_path(event: str, path: Any, root: str, changes: bool, follows: bool = True) -> str:
    if isinstance(path, int):
        return ""  # a file that is open already
    name = os.fsdecode(path)
    try:
        # What is removed, renamed or made is the name itself, wherever a link of that name leads.
        parent, last = os.path.split(os.path.abspath(name))
        real = os.path.realpath(name) if follows else os.path.join(os.path.realpath(parent), last)
    except (OSError, ValueError):
        return ""
    if real == root or real.startswith(f"{root}{os.sep}"):
        return ""
    if f"{real}{os.sep}".startswith(_libraries) and (not changes or f"{os.sep}__pycache__" in real):
        return ""  # compiled files and kernels are kept beside the code
    if not changes and any(f"{real}{os.sep}".startswith(f"{place}{os.sep}") for place in _state.reads):
        return ""
    if real == os.devnull or real.startswith(_caches):
        return ""
    return f"{event} {name[:200]!r}, which is {real[:200]!r}"


sys.addaudithook(_hook)


@contextlib.contextmanager
def inside(folder: Path, reads: Path | None = None) -> Iterator[list[str]]:
    """Watch this thread; yields the offences, which are complete at the end. reads: a further folder that may be read."""
    _state.found = found = []
    _state.reads = ()
    if reads:
        allow(reads)
    _state.watching = os.path.realpath(folder)
    try:
        yield found
    finally:
        _state.watching = None


def allow(folder: str | Path) -> None:
    """Let a further folder be read for now: one that the user has named, or has asked to follow links to."""
    _state.reads = (*_state.reads, os.path.realpath(folder))
