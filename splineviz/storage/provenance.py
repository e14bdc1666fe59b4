"""Provenance: what made a result, and the manifest of a directory of results.
Here too: versions of what numbers depend on, what a partition or a picture says inside of how it was made, and whether a
file belongs to given jobs.

    out/manifest.json    versions, options, whose results they are (`outputs`), and the SHA-256 of every file that was
                         written there; sealed by a digest of itself

Listed are the results of the jobs in jobs.json, not what an earlier call left or somebody else put beside them.
Partitions are not listed: each is vouched for by its row, which is. A partition or a picture that lies somewhere by itself
says inside what it was made of. This file does not know what the files mean.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path, PurePath
from typing import Any

import numba
import numpy as np
import torch

from splineviz.storage import archives, files, listings
from splineviz.storage.outputs import FORMAT, MANIFEST

NAME = MANIFEST
FOLDERS = ("rows", "samples", "churn", "frames", "tweens")
"""Folders whose files are listed, beside those of the directory itself."""
LEDGERS = ("studies", "comparison", "film")
"""Names of files in rows/ that are about no single job."""


def versions() -> dict[str, str]:
    """Versions of what a number may depend on."""
    return {
        "splineviz": sys.modules["splineviz"].__version__,  # the package itself is above every file
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "numba": numba.__version__,
    }


def write_manifest(
    folder: Path, part: str, options: Mapping[str, Any], *, digest: Callable[[Path], str] = files.digest_of_file
) -> Path:
    """Write the manifest of all files below a folder; one that says the same already is not touched.

    part, options: what was made just now, and how; what other parts said stays. digest: of a file; `Known.digest`, say.
    """
    path = folder / NAME
    try:
        old = files.read_sealed(path)
    except (OSError, ValueError):
        old = {}  # absent or torn
    said = old.get("options")
    parts = (said if isinstance(said, dict) else {}) | {part: dict(options)}
    digests = {name: digest(folder / name) for name in listed(folder)}
    content = {"format": FORMAT, "made": versions(), "options": parts, "files": digests}
    content |= {"of": old["of"]} if "of" in old else {}
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
    """Names of the files that a manifest lists, relative to the folder, in order.

    In the folders of results these are files of jobs in the list, where there is one; beside them what was announced to be
    written there, where it was. Links are none of them.
    """
    jobs, announced = listings.named(folder), _announced(folder)
    names = []
    for name in files.plain_names(folder):
        if name != NAME and (announced is None or name in announced):
            names.append(name)
    for inside in FOLDERS:
        if files.is_folder(folder / inside):
            found = files.plain_names(folder / inside)
            names += [f"{inside}/{name}" for name in found if is_of(jobs, inside, PurePath(name).stem)]
    return sorted(names)


def is_of(jobs: Collection[str] | None, inside: str, stem: str) -> bool:
    """Whether a file in a folder of results belongs to one of these jobs (None: all do), or to none in particular."""
    if jobs is None or inside == "samples" or (inside == "rows" and stem in LEDGERS):
        return True
    if inside == "tweens":  # between two steps: step-0000000100-0000000126-001-of-003
        first, _, rest = stem.removeprefix("step-").partition("-")
        return f"step-{first}" in jobs and f"step-{rest.partition('-')[0]}" in jobs
    return stem in jobs


def _announced(folder: Path) -> set[str] | None:
    try:
        return {str(name) for name in files.read_sealed(folder / NAME)["of"]["writes"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None  # of version 0.1, say
