"""idx files: what MNIST is handed out in, plain and packed; what a header claims is never believed."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from splineviz.storage import idx

X = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def written(x: np.ndarray, kind: int = 8) -> bytes:
    big = x.astype(x.dtype.newbyteorder(">"))
    return bytes((0, 0, kind, x.ndim)) + struct.pack(f">{x.ndim}I", *x.shape) + big.tobytes()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("kind", "dtype"), [(8, "u1"), (9, "i1"), (11, "i2"), (12, "i4"), (13, "f4"), (14, "f8")])
def test_arrays_come_back(tmp_path: Path, packed: bool, kind: int, dtype: str) -> None:
    content = written(X.astype(dtype), kind)
    (tmp_path / "x").write_bytes(gzip.compress(content) if packed else content)
    found = idx.read(tmp_path / "x")
    assert found.dtype == np.dtype(dtype) and np.array_equal(found, X)


def claims(*shape: int) -> bytes:
    return bytes((0, 0, 8, len(shape))) + struct.pack(f">{len(shape)}I", *shape)


WRONG = {
    "empty": b"", "text": b"P5 28 28 255\n....",
    "unknown type": b"\0\0\x0a\1" + b"\0\0\0\1\0", "no dimensions": b"\0\0\x08\0",
    "short": written(X)[:-1], "long": written(X) + b"\0", "claims": claims(2**31, 2**31, 4),
    "half a header": b"\0\0\x08\3\0\0",
    "packed claims": gzip.compress(claims(2**31, 2**31)), "packed short": gzip.compress(claims(3) + b"ab"),
    "packed and cut": gzip.compress(written(X))[:-9], "packed noise": b"\x1f\x8b" + bytes(40),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_refusals(tmp_path: Path, kind: str) -> None:
    (tmp_path / "x").write_bytes(WRONG[kind])
    with pytest.raises(ValueError, match=r"\w"):
        idx.read(tmp_path / "x")
