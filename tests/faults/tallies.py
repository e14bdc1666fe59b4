"""What the two parts of the harness share: a row of the table, and a small file system of its own."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

LIMIT = 900.0
"""Seconds after which a start counts as hanging."""


@dataclass
class Tally:
    """One row of the table."""

    kind: str
    tried: int = 0
    lost: int = 0
    recomputed: int = 0
    notes: list[str] = field(default_factory=list)


@contextlib.contextmanager
def mounted(folder: Path, size: int) -> Iterator[Callable[[str], None]]:
    """A small file system of its own; yields what remounts it. Raises PermissionError where mounting is not allowed."""
    folder.mkdir(parents=True)
    options = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        subprocess.run(options, check=True, capture_output=True)
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        raise PermissionError("a file system can be mounted by root alone") from error
    try:
        yield lambda how: subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True, capture_output=True)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)
