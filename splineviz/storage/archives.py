r"""Arrays in .npz and .npy files, read without trusting what the files say.
Paths that lead to no file are refused, as are archives that would grow beyond all proportion.

A header of a few bytes may claim an array of terabytes, and a small archive may hold a large one made of zeros. So before
anything is allocated, what a header claims is compared with what the file holds, and an archive that would grow beyond
all proportion is refused. No pickle is ever read. Knows nothing of what the arrays mean; every refusal is a ValueError
that says so in words, for the caller to name the file and the remedy.
"""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from splineviz.storage import files

GROWTH = 100
"""An archive may hold so many times its own size, beyond SMALL bytes."""
SMALL = 256 << 20

TRIES = 50
"""A header is read so often before what Python says against it is believed."""

Array = npt.NDArray[Any]


def read_npz(path: str | os.PathLike[str]) -> dict[str, Array]:
    """All arrays of an .npz file by name. Raises ValueError for any other file, OSError when it cannot be read."""
    try:
        check_plain(path)
        # Opened here: numpy leaves the file open when it is no archive.
        with open(path, "rb") as stream, zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            check_growth(sum(member.file_size for member in members), os.fstat(stream.fileno()).st_size)
            found: dict[str, Array] = {}
            for member in members:
                if member.filename[:-4] in found:
                    raise ValueError(f"two members {member.filename!r}")
                if not member.filename.endswith(".npy"):
                    raise ValueError(f"a member {member.filename!r} that is no array")
                with archive.open(member) as content:
                    found[member.filename[:-4]] = _read(content, member.file_size)
            return found
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, MemoryError, zlib.error) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def read_npy(path: str | os.PathLike[str]) -> Array:
    """The array of an .npy file. Raises ValueError for any other file, OSError when it cannot be read."""
    try:
        check_plain(path)
        with open(path, "rb") as stream:
            return _read(stream, os.fstat(stream.fileno()).st_size)
    except (EOFError, MemoryError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def check_plain(path: str | os.PathLike[str]) -> None:
    """Raises ValueError for what is no file, see `files.is_plain`, OSError when there is nothing."""
    if not files.is_plain(path):
        raise ValueError("a folder, a pipe or a device")


def check_growth(inside: int, outside: int) -> None:
    """Refuse an archive of `outside` bytes that claims to hold `inside`; raises ValueError."""
    if inside > SMALL and inside > GROWTH * outside:
        raise ValueError(
            f"an archive of {outside} bytes that would grow to {inside}; store it uncompressed if it should hold that"
        )


def _read(stream: IO[bytes], size: int) -> Array:
    """One array of a stream of `size` bytes."""
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"an array file of version {version}")
    shape, fortran, dtype = _header(stream, version)
    if dtype.hasobject:
        raise ValueError("an array of Python objects, which would run code")
    claimed = math.prod(int(n) for n in shape) * dtype.itemsize
    if min(shape, default=0) < 0 or claimed > size:
        raise ValueError(f"a header that claims {claimed} bytes of a file of {size}")
    content = stream.read(claimed)
    if len(content) != claimed:
        raise ValueError(f"{len(content)} bytes of {claimed}")
    return np.frombuffer(bytearray(content), dtype=dtype).reshape(shape, order="F" if fortran else "C")


def _header(stream: IO[bytes], version: tuple[int, int]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type of the array that follows.

    numpy parses headers with `ast`, and Python 3.11 counts the depth of all threads' trees in one number: where two are
    built at once it may refuse a right one with a SystemError, so that it is read again.
    """
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    start = stream.tell()
    for _ in range(TRIES):
        try:
            return read(stream)
        except SystemError:
            stream.seek(start)
    return read(stream)
