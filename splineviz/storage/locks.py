"""Locks: which process works on what, visible to every process that sees the same folder.
Here too: files marked while they are written, and removed once their process is gone.

A lock is an open file that the operating system locks for one process. It is free again the moment that process ends,
however it ends (kill -9, out of memory, power), so no lock is ever stale, nothing beats like a heart and no clock is
read. A network file system that passes locks on (NFS) makes them hold between machines. Where the file system or the
machine knows no locks everybody gets what they ask for: work may then be done twice, which costs time and nothing else.

This file does not know what is locked.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from splineviz.system.signals import HeldBack

fcntl: Any
try:
    import fcntl
except ImportError:  # pragma: no cover  # Windows
    fcntl = None

TRIES, PAUSE = 5, 0.01
"""A lock that is only looked at (`held`) is taken for microseconds: ask again before believing that it is held."""
NOT_WAITING = getattr(os, "O_NONBLOCK", 0)
"""How a file is opened that may be a pipe: not waiting for its other end."""
NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | NOT_WAITING
"""How a file is opened that may have been put there by others: not through a link, not waiting for a pipe's other end."""
UNKNOWN = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
"""What a file system without locks answers."""


@contextmanager
def claim(path: Path, note: str = "", *, shared: bool = False) -> Iterator[bool]:
    """Hold the lock of a path inside the block, if it is free; yields whether it is ours. Never waits for another.

    note: written into the file, for people and for `status`. shared: others may hold it shared too. The file is removed
    when the last holder leaves. Raises OSError where the folder cannot be written, or where something else than a lock's
    file is in its place: a link (which is not followed), a folder, a pipe.
    """
    descriptor: int | None = None
    try:
        with HeldBack():  # a signal finds no lock, or one that is left below
            descriptor = _take(path, shared)
        if descriptor is not None and note:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, note.encode(), 0)
        yield descriptor is not None
    finally:
        if descriptor is not None:
            _leave(path, descriptor, shared)


def held(path: Path) -> bool:
    """Whether some process holds the lock of a path alone at this moment."""
    if fcntl is None or not _is_plain(path):
        return False
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE)
        try:
            descriptor = os.open(path, os.O_RDONLY | NO_LINKS)
        except OSError:
            return False
        try:
            if _lock(descriptor, fcntl.LOCK_SH):
                return False
        finally:
            os.close(descriptor)
    return True


def mark(descriptor: int) -> bool:
    """Lock a file that was just made, as long as it is open; False if `remove_abandoned` took it away in between."""
    if fcntl is not None:
        _lock(descriptor, fcntl.LOCK_EX)
    return os.fstat(descriptor).st_nlink > 0


def remove_abandoned(path: Path) -> bool:
    """Remove a file that was marked, if its process is gone; whether it was removed.

    That nobody holds it does not make it ours: the caller knows its name for one that splineviz gives. Links, folders,
    pipes and files with a second name are left alone.
    """
    if fcntl is None or not _is_plain(path):
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | NO_LINKS)
    except OSError:
        return False
    try:
        if not _lock(descriptor, fcntl.LOCK_EX) or not _still_there(path, descriptor):
            return False
        path.unlink(missing_ok=True)
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _take(path: Path, shared: bool) -> int | None:
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | NO_LINKS, 0o666)
        except FileNotFoundError:
            continue  # the last holder removed the folder just now
        except FileExistsError:  # the same, between the two looks of mkdir; unless something else is in its place
            if os.path.lexists(path.parent) and not path.parent.is_dir():
                raise
            continue
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
                raise _no_lock(path) from error
            raise
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            os.close(descriptor)
            raise _no_lock(path)
        if fcntl is None or _lock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX):
            if _still_there(path, descriptor):
                return descriptor
        os.close(descriptor)
    return None


def _leave(path: Path, descriptor: int, shared: bool) -> None:
    try:
        # The last holder alone removes the file, while it is locked: who opened it meanwhile sees that it is gone.
        if fcntl is not None and (not shared or _lock(descriptor, fcntl.LOCK_EX)) and _still_there(path, descriptor):
            path.unlink(missing_ok=True)
    except OSError:
        pass  # read-only by now, say; the lock is free all the same
    finally:
        os.close(descriptor)


def _no_lock(path: Path) -> OSError:
    said = "expected a lock or nothing, got a link or another thing; remove it, or choose another --out"
    return OSError(errno.EEXIST, said, str(path))


def _is_plain(path: Path) -> bool:
    """Whether it is a file with one name, and no link."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1


def _still_there(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except OSError:
        return False


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in UNKNOWN:
            raise
    return True
