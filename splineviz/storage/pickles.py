r"""Arrays out of pickles that other programs wrote, such as CIFAR's `data_batch_1`, without running anything of theirs.

    {b"data": array (10000, 3072) uint8, b"labels": [6, 9, ...], b"filenames": [...]}

A pickle is a program that may call whatever it can name. Here it can name the few things of the list NAMES, each of which is
a stand-in of our own (see `harmless`): nothing that a file names is imported, made or called, and an array is only its
bytes, taken where shape and type say as many. What a file may do with a stand-in is bounded as well: states are given
to stand-ins of arrays alone, and operations that could claim memory beyond the file's size are refused.

This file knows no data sets.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
from collections.abc import Callable
from typing import Any

import torch

from splineviz.storage.archives import check_plain
from splineviz.storage.harmless import STAND_INS, Array, Kind

REFUSED = (
    pickle.NEXT_BUFFER, pickle.READONLY_BUFFER, pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.PERSID, pickle.BINPERSID,
    pickle.INST, pickle.OBJ, pickle.NEWOBJ, pickle.NEWOBJ_EX,
)  # fmt: skip
"""Operations that no pickle of arrays needs."""


def _encoded(text: Any = "", encoding: Any = "latin1") -> bytes:
    """What `_codecs.encode` gives: Python 3 writes bytes so in the pickles of Python 2."""
    if not (isinstance(text, str) and encoding in ("latin1", "latin-1", "iso-8859-1")):
        raise pickle.UnpicklingError("expected text in latin1, got another encoding")
    return text.encode("latin1")


NAMES: dict[str, Callable[..., Any]] = {
    **{name: found for name, found in STAND_INS.items() if name.startswith("numpy.")},
    "_codecs.encode": _encoded,
}
"""What a file may name, and what it gets."""


def read(path: str | os.PathLike[str]) -> Any:
    """What a pickle holds: containers, numbers and text as they are, numpy arrays as tensors, text of Python 2 as bytes.

    Raises ValueError, in words, for a file that is no pickle of such things; OSError when it cannot be read.
    """
    check_plain(path)
    with open(path, "rb") as stream:
        content = stream.read()
    try:
        return _settled(_Reader(io.BytesIO(content)).load())
    except Exception as error:  # a damaged pickle raises many kinds; it has run nothing
        raise ValueError(f"{type(error).__name__}: {error}") from error


# The reader in Python and not the one in C, which makes room for as many entries as a number in the file says.
_Plain: Any = pickle._Unpickler


class _Reader(_Plain):  # type: ignore[misc]
    """Python's own reader with a list of names and fewer operations."""

    dispatch: dict[int, Any] = dict(_Plain.dispatch)

    def __init__(self, stream: io.BytesIO):
        super().__init__(stream, encoding="bytes", fix_imports=False)

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of a name; raises UnpicklingError for one that is not in the list."""
        asked = f"{_text(module)}.{_text(name)}"
        if asked not in NAMES:
            raise pickle.UnpicklingError(f"expected arrays, numbers and text alone, got a file that asks for {asked}")
        return NAMES[asked]

    def load_build(self) -> None:
        """Give a state to a stand-in of an array or of its type, and to nothing else."""
        state, target = self.stack.pop(), self.stack[-1]
        if not isinstance(target, (Array, Kind)):
            raise pickle.UnpicklingError(f"expected a state of an array, got one of {type(target).__name__}")
        target.__setstate__(state)

    def load_reduce(self) -> None:
        """Call a stand-in, and nothing else."""
        arguments, made = self.stack.pop(), self.stack[-1]
        if not any(made is one for one in NAMES.values()):
            raise pickle.UnpicklingError(f"expected a name of the list to be called, got {type(made).__name__}")
        self.stack[-1] = made(*arguments)

    def load_bytearray8(self) -> None:
        """As many bytes as are claimed, if they are there: no room is made for them beforehand."""
        (claimed,) = struct.unpack("<Q", self.read(8))
        content = self.read(claimed)
        if len(content) != claimed:
            raise pickle.UnpicklingError(f"expected {claimed} bytes, got {len(content)}")
        self.append(bytearray(content))

    def refuse(self) -> None:
        """No pickle of arrays has this operation."""
        raise pickle.UnpicklingError("expected arrays, numbers and text alone, got an operation that makes other things")

    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8
    dispatch |= dict.fromkeys((operation[0] for operation in REFUSED), refuse)


def _text(name: Any) -> str:
    return name.decode("latin1") if isinstance(name, bytes) else str(name)


def _settled(value: Any) -> Any:
    """Arrays as tensors, at the top and in the entries of a dictionary; one that did not add up is refused."""
    if isinstance(value, dict):
        return {key: _settled(inner) if isinstance(inner, Array) else inner for key, inner in value.items()}
    if isinstance(value, Array):
        if not isinstance(value.found, torch.Tensor):
            raise pickle.UnpicklingError("expected an array whose bytes are as many as shape and type say, got another")
        return value.found
    return value
