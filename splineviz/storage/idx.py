r"""Arrays in idx files, as MNIST and its like are handed out: `train-images-idx3-ubyte`, also compressed by gzip.

    00 00 08 03   00 00 ea 60   00 00 00 1c   00 00 00 1c   ...      two zeros, the type (08: bytes), the number of
              dimensions, then each dimension and all values, the highest byte first

A header of a few bytes may claim anything, and a compressed file may hold a large one made of zeros: what is claimed is
compared with what is there, and never more is unpacked than that. Every refusal is a ValueError in words.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from typing import IO

import numpy as np

from splineviz.storage.archives import Array, check_growth, check_plain

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""Types of values by the third byte."""


def read(path: str | os.PathLike[str]) -> Array:
    """The array of an idx file, of the machine's byte order. Raises ValueError for any other file, OSError."""
    check_plain(path)
    size = os.stat(path).st_size
    try:
        with open(path, "rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
            stream.seek(0)
            if not packed:
                return _read(stream, size)
            with gzip.GzipFile(fileobj=stream) as unpacked:
                return _read(unpacked, size, packed=True)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _read(stream: IO[bytes] | gzip.GzipFile, size: int, *, packed: bool = False) -> Array:
    """One array of a stream whose file takes `size` bytes."""
    head = stream.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in TYPES or not 1 <= head[3] <= 8:
        raise ValueError("no idx file: it begins with other bytes")
    shape = tuple(int(n) for n in np.frombuffer(_exactly(stream, 4 * head[3]), ">u4"))
    kind = np.dtype(TYPES[head[2]])
    claimed = math.prod(shape) * kind.itemsize
    if packed:
        check_growth(claimed, size)
    elif claimed > size:
        raise ValueError(f"a header that claims {claimed} bytes of a file of {size}")
    content = _exactly(stream, claimed)
    if stream.read(1):
        raise ValueError(f"more than the {claimed} bytes that its header claims")
    return np.frombuffer(bytearray(content), kind).reshape(shape).astype(kind.newbyteorder("="))


def _exactly(stream: IO[bytes] | gzip.GzipFile, count: int) -> bytes:
    content = stream.read(count)
    if len(content) != count:
        raise ValueError(f"{len(content)} bytes where {count} were claimed")
    return content
