"""Provenance: what made a result, and the manifest of a directory of results.

    out/manifest.json    versions, options, and the SHA-256 of every file that lies there; sealed by a digest of itself

Partitions are not listed: each is vouched for by its row, which is. A partition or a picture that lies somewhere by itself
says inside what it was made of. This room does not know what the files mean.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch

from splineviz.storage import archives, files

NAME = "manifest.json"
FORMAT = 1
FOLDERS = ("rows", "samples", "churn", "frames", "tweens")
"""Folders whose files are listed, beside those of the directory itself."""


def versions() -> dict[str, str]:
    """Versions of what a number may depend on."""
    return {
        "splineviz": sys.modules["splineviz"].__version__,  # the package itself is above every room
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "numba": numba.__version__,
    }


def write_manifest(folder: Path, part: str, options: Mapping[str, Any]) -> Path:
    """Write the manifest of all files below a folder; one that says the same already is not touched.

    part, options: what was made just now, and how; what other parts said stays.
    """
    path = folder / NAME
    try:
        old = files.read_sealed(path)
    except (OSError, ValueError):
        old = {}  # absent or torn
    said = old.get("options")
    parts = (said if isinstance(said, dict) else {}) | {part: dict(options)}
    digests = {name: files.digest_of_file(folder / name) for name in listed(folder)}
    content = {"format": FORMAT, "made": versions(), "options": parts, "files": digests}
    if old != files.plain(content):
        files.write_sealed(path, content)
    return path


def of_partition(path: Path) -> dict[str, Any]:
    """What a partition file says it was made of and by; empty when it does not say. Raises OSError, ValueError."""
    try:
        return dict(json.loads(str(archives.read_npz(path)["meta"])).get("made") or {})
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path}: expected a partition file, got another; {type(error).__name__}: {error}.") from error


def in_picture(kind: str, made: Mapping[str, Any]) -> dict[str, str]:
    """What matplotlib's `savefig(metadata=...)` writes into a picture of a kind (png, pdf, svg), to the same end."""
    field = {"pdf": "Keywords", "svg": "Description"}.get(kind, "splineviz")
    return {field: json.dumps(files.plain(dict(made)), sort_keys=True)}


def listed(folder: Path) -> list[str]:
    """Names of the files that a manifest lists, relative to the folder, in order."""
    found = [folder, *(folder / name for name in FOLDERS)]
    names = (path.relative_to(folder) for inside in found for path in inside.glob("*") if path.is_file())
    return sorted(name.as_posix() for name in names if name.name != NAME and not name.name.startswith("."))
