"""Every kind of hostile input, and what trying one may come to: "read" or "refused".

An input is known by its kind and number, so a failure can be made again: `attempt(kind, number, folder, seeds)`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hostile
import hostile_audit
import hostile_folders
import hostile_readers
import numpy as np
from hostile import Rng, Seeds
from hostile_readers import clean_outside

from splineviz.commands import terminal
from splineviz.errors import SplinevizError

KINDS: dict[str, Callable[[Path, Rng, Seeds], Callable[[], Any]]] = {
    **hostile.KINDS, **hostile_readers.READERS, **hostile_folders.READERS
}  # fmt: skip


def attempt(kind: str, number: int, folder: Path, seeds: Seeds) -> str:
    """Make input `number` of a kind in an empty folder and read it: "read" or "refused"; anything else is raised."""
    rng = np.random.default_rng([number, zlib.crc32(kind.encode())])
    call = KINDS[kind](folder, rng, seeds)
    try:
        with hostile_audit.inside(folder, reads=seeds.folder) as offences:
            came_to = _tried(call)
        assert not offences, offences
    finally:
        clean_outside(folder)
    return came_to


def _tried(call: Callable[[], Any]) -> str:
    try:
        call()
    except SplinevizError as error:
        assert terminal.plain(str(error)).strip() and "\x1b" not in terminal.plain(str(error)), "an error without words"
        return "refused"
    except OSError as error:  # one line on the command line, too
        assert error.strerror, error
        return "refused"
    return "read"
