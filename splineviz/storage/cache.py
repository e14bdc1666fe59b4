"""The cache: numbers that took long to compute, in one JSON file by a key of all they depend on.

    {"3f2a...": {"robust_0.03": 0.91, "robust_0.06": 0.85}, ..., "digest": ...}

A number that is asked for again is read, not computed. A file that is absent or damaged is an empty one; entries whose key
nobody asks for any more stay, they do no harm. Processes that share a file keep each other's entries, unless both write
in the same instant: then one of them is computed again. This file does not know what the numbers mean.

A file of many entries is not written anew for each further one: they stand in lines beside it (studies.jsonl), each with its
own digest, and are folded in when there are an eighth as many.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from splineviz.storage import files

Entries = dict[str, dict[str, float]]
FEW = 256
"""So many entries are written whole each time."""


class Ledger:
    """The numbers in one file. most: so many entries are kept, the last ones; None: all."""

    def __init__(self, path: Path, most: int | None = None):
        self.path, self._most = path, most
        self._lines = path.with_suffix(".jsonl")
        self._entries = _read(path) | _added(self._lines)
        self._beside = 0

    def numbers(self, key: str, compute: Callable[[], Mapping[str, float]]) -> dict[str, float]:
        """The numbers of a key, by name: those kept, or what `compute` returns, which are then kept."""
        if key not in self._entries:
            self._entries[key] = {name: float(value) for name, value in compute().items()}
            if len(self._entries) <= FEW or self._beside > len(self._entries) // 8:
                self._fold()
            else:
                said = files.plain([key, self._entries[key]])
                files.append_line(self._lines, json.dumps([*said, files.digest(said)], allow_nan=False))
                self._beside += 1
        return dict(self._entries[key])

    def _fold(self) -> None:
        # Another process may have written meanwhile.
        self._entries = _read(self.path) | _added(self._lines) | self._entries
        kept = list(self._entries.items())[-(self._most or 0) :]
        files.write_sealed(self.path, dict(kept))
        if files.is_file(self._lines):
            self._lines.unlink()
        self._beside = 0


def _read(path: Path) -> Entries:
    try:
        return {str(key): _numbers(entry) for key, entry in files.read_sealed(path).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _added(path: Path) -> Entries:
    """The entries of lines that are whole."""
    found: Entries = {}
    try:
        lines = path.read_bytes().split(b"\n") if files.is_file(path) else []
    except OSError:
        return {}
    for line in lines:
        with suppress(ValueError, TypeError, AttributeError, RecursionError):
            *said, digest = json.loads(line)
            if digest == files.digest(said):
                key, entry = said
                found[str(key)] = _numbers(entry)
    return found


def _numbers(entry: Any) -> dict[str, float]:
    return {str(name): float("nan") if value is None else float(value) for name, value in entry.items()}
