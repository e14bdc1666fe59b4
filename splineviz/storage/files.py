"""Files that are whole or absent, and digests of content.
Text, JSON, sealed JSON (with a digest of itself), arrays, single lines added. Here too: what is in a folder, whether a path
is a file or folder itself and no link or pipe, whether a file could be written there, the file system's own time, and data
as it comes back from JSON.

A file is written under a temporary name beside its target and renamed, so a reader, or a run that was
killed, sees the old content or the new one and never half of it. The temporary file of a process that was killed stays;
it is told from one that is being written by its lock (`locks`), and from a file of anybody else by its name:

    rows/.step-0000000100.json.0123456789ab.tmp     a dot, the target's name, twelve digits, .tmp
    .animation.mp4.0123456789ab.tmp.mp4             and the target's ending again, for writers that look for it

`tidy` removes such files, in folders that splineviz writes. A digest says whether two contents
are equal, whatever their files are called. This file knows nothing of what it writes.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import stat
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from splineviz.storage import locks
from splineviz.system.signals import HeldBack

FOLDERS = ("rows", "partitions", "samples", "churn", "failures", "frames", "tweens", "checkpoints")
"""Folders in a directory of results, or of a run, into which files are written."""
SUFFIXES = (".json", ".csv", ".npz", ".png", ".pt", ".mp4", ".webm", ".gif", ".webp", ".apng", ".vtt", ".txt")
"""Endings of the files that are written into such directories."""
TEMPORARY = re.compile(r"\.(?P<target>.+)\.[0-9a-f]{12}\.tmp(?P<kind>\.[a-z0-9]+)?", re.DOTALL)
"""The name of a file that is being written."""
LONGEST_NAME, DIGITS_AND_ENDINGS = 255, 12 + len(".tmp.animation")
"""Bytes in the name of a file, and those that a temporary one has beside its target's."""
SEAL = "digest"
"""Where an object says what the digest of the rest of it is."""


def write(path: Path, content: Callable[[IO[bytes]], Any], *, new: bool = False) -> None:
    """Write a file through `content(stream)`: whole or not at all. Makes the folder if needed. new: as for `whole`."""
    with whole(path, new=new) as temporary, open(temporary, "wb") as stream:
        content(stream)


@contextmanager
def whole(path: Path, *, kind: str = "", new: bool = False) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place at the end, or is removed; for writers that want a name.

    kind: the ending that the writer looks for, such as ".mp4". Makes the folder if needed. new: raise FileExistsError when
    something is there by then, where the file system can tell (it knows hard links).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    begun: tuple[Path, int] | None = None
    try:
        with HeldBack():  # a signal finds nothing, or what is removed below
            begun = temporary, descriptor = _begun(path, kind)
        with _named(path, temporary):
            yield temporary
            os.fsync(descriptor)  # renamed before its bytes are on disk, a file may be empty after a power cut
            if not (new and _put(temporary, path)):
                os.replace(temporary, path)
    finally:
        if begun is not None:
            begun[0].unlink(missing_ok=True)
            os.close(begun[1])


@contextmanager
def _named(path: Path, temporary: Path) -> Iterator[None]:
    """What cannot be written is named as somebody wanted to write it."""
    try:
        yield
    except OSError as error:
        if str(error.filename) == str(temporary):
            error.filename, error.filename2 = str(path), None
        raise


def _put(temporary: Path, path: Path) -> bool:
    """Give a file a name that nobody has; False where the file system knows no second names."""
    try:
        os.link(temporary, path)
        return True
    except FileExistsError:
        raise
    except (OSError, NotImplementedError):
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        return False


def check_writable(path: Path) -> None:
    """Raises OSError when a file could not be written there now, of that name; nothing is left behind."""
    folder = path.parent
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent  # where the first new folder will be made
    with _named(path, folder / path.name):
        temporary, descriptor = _begun(folder / path.name, "")
    temporary.unlink(missing_ok=True)
    os.close(descriptor)
    if is_folder(path):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))


def now(folder: Path) -> int:
    """The time that the file system of a folder gives to what is written there now, in nanoseconds."""
    temporary, descriptor = _begun(folder / "now.txt", "")
    try:
        return os.fstat(descriptor).st_mtime_ns
    finally:
        temporary.unlink(missing_ok=True)
        os.close(descriptor)


def tidy(folder: Path) -> int:
    """Remove what killed processes left half-written in a folder and in its FOLDERS; returns how many files it was.

    Only files go that are named as `whole` names them and that nobody writes at this moment; links are not followed, and
    stay as they are.
    """
    inside = [folder, *(place for name in FOLDERS if is_folder(place := folder / name))]
    left = (place / name for place in inside for name in names(place) if is_temporary(name))
    return sum(locks.remove_abandoned(path) for path in sorted(left))


def is_temporary(name: str) -> bool:
    """Whether a name is one that `whole` gives to what it writes."""
    found = TEMPORARY.fullmatch(name)
    return found is not None and found["target"].endswith(SUFFIXES if found["kind"] is None else found["kind"])


def is_folder(path: Path) -> bool:
    """Whether it is a folder itself, and not a link to one."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def is_file(path: Path) -> bool:
    """Whether it is a file itself, and not a link to one, a pipe or a device."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def entries(folder: Path) -> list[Path]:
    """What is in a folder, in order of names; nothing where there is none, or it cannot be read."""
    return [folder / name for name in names(folder)]


def names(folder: Path) -> list[str]:
    """Names of what is in a folder, in order; none where there is no folder, or it cannot be read."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def plain_names(folder: Path) -> list[str]:
    """Names of the files in a folder that are no links and not hidden, in order."""
    try:
        with os.scandir(folder) as found:
            return sorted(one.name for one in found if one.name[0] != "." and one.is_file(follow_symlinks=False))
    except OSError:
        return []


def write_text(path: Path, text: str, *, new: bool = False) -> None:
    """Write text as UTF-8, whole or not at all. new: as for `whole`."""
    write(path, lambda stream: stream.write(text.encode()), new=new)


def append_line(path: Path, text: str) -> None:
    """Append a line of text to a file, made if needed, and see it on disk; never through a link. Raises OSError.

    On a full disk nothing is appended. A line that a killed process left has no end, by which a reader knows it.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(path, flags, 0o666), "ab", buffering=0) as stream:
        before, line = os.fstat(stream.fileno()).st_size, text.encode() + b"\n"
        try:
            if stream.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            os.fsync(stream.fileno())
        except OSError:
            stream.truncate(before)
            raise


def write_json(path: Path, data: Any, *, new: bool = False) -> None:
    """Write JSON-ready data, whole or not at all; a number that is not finite is written as null, which JSON knows."""
    write_text(path, json.dumps(plain(data), indent=1, allow_nan=False) + "\n", new=new)


def parsed(content: str | bytes) -> Any:
    """What JSON says. Raises ValueError as json does, and where an object has a key twice: one reader takes the first value,
    another the last.
    """

    def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise ValueError(f"the key {twice[:80]!r} twice in one object")
        return found

    return json.loads(content, object_pairs_hook=each_once)


def write_sealed(path: Path, data: dict[str, Any], *, new: bool = False) -> None:
    """Write a JSON object with a digest of itself in it, whole or not at all, for `read_sealed`. new: as for `whole`."""
    content = plain(data)
    write_json(path, {**content, SEAL: digest(content)}, new=new)


def read_sealed(path: Path) -> dict[str, Any]:
    """Read what `write_sealed` wrote. Raises OSError when it is not there, ValueError when a byte of it has changed."""
    _check_plain(path)
    try:
        content = parsed(path.read_bytes())
        if content.pop(SEAL) == digest(content):
            return dict(content)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path}: expected an object with its digest, got another file.") from error
    raise ValueError(f"{path}: expected the content that its digest says, got another; delete the file.")


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]], *, compressed: bool = True) -> None:
    """Write named arrays as an .npz, whole or not at all; nothing in it is a pickle.

    Raises OSError when the disk is full, ValueError for an array of objects. Older numpy's savez leaves its archive open
    when a write fails, and Python then prints a traceback beside our message; this closes it.
    """
    compression = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with whole(path) as temporary, zipfile.ZipFile(temporary, "w", compression) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=False)


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex; the file is not read into memory at once. Raises OSError."""
    _check_plain(path)
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def is_plain(path: str | os.PathLike[str]) -> bool:
    """Whether a path leads to a file: a pipe would be waited for, a device never ends. Raises OSError for nothing there."""
    return stat.S_ISREG(os.stat(path).st_mode)


def _check_plain(path: Path) -> None:
    """Raises OSError for what is no file; for a folder its own kind of one."""
    if not is_plain(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "expected a file, got a pipe or a device", str(path))


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


def _begun(path: Path, kind: str) -> tuple[Path, int]:
    with suppress(FileNotFoundError):
        os.lstat(path)  # says so now, and not when all is done, where a name is too long or leads through a file
    while True:
        temporary = path.with_name(f".{_short(path)}.{uuid.uuid4().hex[:12]}.tmp{kind}")
        old = stat.S_IMODE(os.lstat(path).st_mode) & 0o777 if is_file(path) else None
        # Exclusive, so a file or link that somebody put there before is never opened.
        with _named(path, temporary):
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666 if old is None else 0o600)
        if old is not None:
            _keep_mode(descriptor, old)
        if locks.mark(descriptor):
            return temporary, descriptor
        os.close(descriptor)  # tidied away before it was marked


def _short(path: Path) -> str:
    """A file's name, without the end of its stem where the temporary one would be longer than file systems take."""
    stem = path.stem
    while stem and len(os.fsencode(f".{stem}{path.suffix}.")) + DIGITS_AND_ENDINGS > LONGEST_NAME:
        stem = stem[:-1]
    return f"{stem}{path.suffix}"


def _keep_mode(descriptor: int, mode: int) -> None:
    """What only its owner may read stays so when it is written again; a file system without modes has none to keep."""
    if hasattr(os, "fchmod"):
        with suppress(OSError):
            os.fchmod(descriptor, mode | stat.S_IRUSR | stat.S_IWUSR)


def plain(data: Any) -> Any:
    """JSON-ready data as it comes back from a file: lists for tuples, null for numbers that are not finite."""
    if isinstance(data, dict):
        return {key: plain(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [plain(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
