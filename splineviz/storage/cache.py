"""Ledgers: numbers that took long to compute, kept in one JSON file by a key of all they depend on.

    {"3f2a...": {"robust_0.03": 0.91, "robust_0.06": 0.85}, ..., "digest": ...}

A number that is asked for again is read, not computed. A file that is absent or damaged is an empty one; entries whose key
nobody asks for any more stay, they do no harm. Processes that share a file keep each other's entries, unless both write
in the same instant: then one of them is computed again. This room does not know what the numbers mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from splineviz.storage import files


class Ledger:
    """The numbers in one file; written anew after each that is computed."""

    def __init__(self, path: Path):
        self.path = path
        self._entries = _read(path)

    def numbers(self, key: str, compute: Callable[[], Mapping[str, float]]) -> dict[str, float]:
        """The numbers of a key, by name: those kept, or what `compute` returns, which are then kept."""
        if key not in self._entries:
            self._entries[key] = {name: float(value) for name, value in compute().items()}
            self._entries = _read(self.path) | self._entries  # another process may have written meanwhile
            files.write_sealed(self.path, dict(self._entries))
        return dict(self._entries[key])


def _read(path: Path) -> dict[str, dict[str, float]]:
    try:
        return {
            str(key): {str(name): float("nan") if value is None else float(value) for name, value in entry.items()}
            for key, entry in files.read_sealed(path).items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
