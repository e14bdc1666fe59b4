"""Files that are whole or absent, and digests of content.

A file is written under a temporary name beside its target and renamed, so a reader, or a run that was
killed, sees the old content or the new one and never half of it. A digest says whether two contents are
equal, whatever their files are called. This room knows nothing of what it writes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np


def write(path: Path, content: Callable[[IO[bytes]], Any]) -> None:
    """Write a file through `content(stream)`: whole or not at all. Makes the folder if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        with open(temporary, "wb") as stream:
            content(stream)
            stream.flush()
            os.fsync(stream.fileno())  # renamed before its bytes are on disk, a file may be empty after a power cut
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, whole or not at all."""
    write(path, lambda stream: stream.write(text.encode()))


def write_json(path: Path, data: Any) -> None:
    """Write JSON-ready data, whole or not at all; a number that is not finite is written as null, which JSON knows."""
    write_text(path, json.dumps(_finite(data), indent=1, allow_nan=False) + "\n")


def write_arrays(path: Path, **arrays: np.ndarray[Any, Any]) -> None:
    """Write named arrays as a compressed .npz, whole or not at all."""
    write(path, lambda stream: np.savez_compressed(stream, **arrays))  # type: ignore[arg-type]  # no pickles asked for


def digest(*parts: Any) -> str:
    """Hex digest of the content of arrays, bytes and JSON-ready data; equal for equal content, in order.

    Shapes and types count, memory layout does not.
    """
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            sha.update(f"array {part.dtype.str} {part.shape};".encode())
            sha.update(np.ascontiguousarray(part).view(np.uint8).data if part.size else b"")
        elif isinstance(part, bytes):
            sha.update(f"bytes {len(part)};".encode() + part)
        else:
            text = json.dumps(part, sort_keys=True)
            sha.update(f"json {len(text)};{text};".encode())
    return sha.hexdigest()


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
