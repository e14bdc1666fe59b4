"""Known: what was read out of a file once, believed for as long as the file system says that it is the same file.

    out/.known.json    a line with the digest of the rest, then, by file: device, inode, size, times, and facts by name

A call with everything done would else read every checkpoint and every result again, which takes minutes where there are
thousands. The same file means: the same device, inode, size, time of writing and time of change, of which nobody can set the
last. A file that was written so shortly before it was read that a second writing could bear the same times is read
again the next time. What lies on the disk may still rot: `verify` believes nothing of this, it reads everything.

A file that is absent or damaged is an empty one. This file does not know what the facts mean.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from splineviz.storage import files, locks, outputs

NAME = ".known.json"
FEW = 100
"""Where there are no more files than these, they are read again: nothing is kept."""
SETTLED = 5_000_000_000
"""Nanoseconds since a file was changed after which another change is sure to bear other times."""

State = list[int]


class Known:
    """Facts about files, as the folder `out` keeps them. count: of the files that are asked about, more or less."""

    def __init__(self, out: Path, count: int):
        self.path, self._out = out / NAME, out
        self._entries = _read(self.path) if count > FEW else {}
        self._now = files.now(out) if count > FEW else None
        self._changed = False

    @classmethod
    def of(cls, out: Path, count: int) -> Known:
        """What is known from an earlier call; nothing where there was none, for the folder may be somebody else's."""
        return cls(out, count if outputs.sealed(out / outputs.MANIFEST) is not None else 0)

    def fact(self, path: Path, name: str, read: Callable[[], str]) -> str:
        """What `read()` tells of a file, or told when the file was the same. Raises what `read` raises."""
        if self._now is None:
            return read()
        key, state = self._key(path), _state(path)
        entry = self._entries.get(key)
        if state is not None and entry is not None and entry[0] == state and name in entry[1]:
            return str(entry[1][name])
        told = read()
        if state is not None and _state(path) == state and max(state[3:]) < self._now - SETTLED:
            facts = entry[1] if entry is not None and entry[0] == state else {}
            self._entries[key] = [state, {**facts, name: told}]
            self._changed = True
        return told

    def digest(self, path: Path) -> str:
        """`files.digest_of_file`, without reading a file that was read before."""
        return self.fact(path, "digest", lambda: files.digest_of_file(path))

    def save(self) -> None:
        """Keep what was told since; whole or not at all."""
        if self._changed:
            body = json.dumps(self._entries).encode()
            files.write(self.path, lambda stream: stream.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body))
            self._changed = False

    def _key(self, path: Path) -> str:
        return str(path).removeprefix(f"{self._out}{os.sep}")


def _state(path: Path) -> State | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | locks.NOT_WAITING)  # so that a network file system looks for changes
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _read(path: Path) -> dict[str, list[Any]]:
    try:
        digest, _, body = path.read_bytes().partition(b"\n") if files.is_file(path) else (b"", b"", b"")
        if not body or hashlib.sha256(body).hexdigest().encode() != digest:
            return {}
        found = json.loads(body)
        return {key: [list(entry[0]), dict(entry[1])] for key, entry in found.items()}
    except (OSError, ValueError, TypeError, AttributeError, IndexError, RecursionError):
        return {}
