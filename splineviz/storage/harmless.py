"""Harmless: what a checkpoint may hold beside its tensors without being trusted, and what is read in its place.
Here too: what was read, with its arrays as tensors.

Training loops put settings and numbers beside the weights: an argparse.Namespace, numpy scalars, paths, dates. torch
refuses such a file, for a class of somebody else could run code. Here a closed list of names is read as stand-ins of our
own: none of the classes that a file names is imported, made or called. A name that is not in the list is refused as before.

    numpy scalars                 their value, as a Python number
    numpy arrays                  a tensor, when the bytes are as many as shape and type say
    defaultdict, AttributeDict    a dictionary
    Namespace, Path, datetime     an `Inert`, which remembers nothing

This file knows no files.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

LOCK = threading.Lock()
"""torch keeps one list of what is safe for a whole process."""


class Inert:
    """Stands for an object of which nothing is needed; it takes whatever a pickle gives it, and keeps none of it."""

    def __new__(cls, *arguments: Any, **named: Any) -> Inert:
        """Any arguments will do."""
        return super().__new__(cls)

    def __init__(self, *arguments: Any, **named: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        """Keep nothing."""


class Kind(Inert):
    """Stands for a numpy.dtype: its name, and byte order as its state says."""

    def __new__(cls, *arguments: Any, **named: Any) -> Kind:
        """The first argument is the name."""
        one = super().__new__(cls)
        one.name = str(arguments[0]) if arguments and isinstance(arguments[0], str) else "O"  # type: ignore[attr-defined]
        one.order = "="  # type: ignore[attr-defined]
        return one  # type: ignore[return-value]

    def __setstate__(self, state: Any) -> None:
        """The second entry is the byte order."""
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "="):
            self.order = state[1]

    def plain(self) -> np.dtype[Any] | None:
        """The type, where it is one of numbers."""
        if self.name.lstrip("<>=|") not in {f"{kind}{size}" for kind in "iuf" for size in (1, 2, 4, 8)} | {"b1"}:  # type: ignore[attr-defined]
            return None
        return np.dtype(self.name).newbyteorder(self.order)  # type: ignore[attr-defined]


class Array(Inert):
    """Stands for a numpy array; `found` is a tensor of its values, or None."""

    found: torch.Tensor | None = None

    def __setstate__(self, state: Any) -> None:
        """(version, shape, dtype, Fortran order, bytes)."""
        try:
            _, shape, kind, fortran, content = state
            self.found = _tensor(content, kind, tuple(int(n) for n in shape), bool(fortran))
        except (TypeError, ValueError):
            self.found = None


class Table:
    """Stands for a dictionary of a class of its own: a plain one, for torch's reader puts entries into no other."""

    def __new__(cls, *arguments: Any, **named: Any) -> dict[Any, Any]:  # type: ignore[misc]
        """Any arguments will do; the entries come one by one."""
        return {}


def _row(*arguments: Any) -> list[Any]:
    return []


def _nothing(*arguments: Any, **named: Any) -> Inert:
    return Inert()


def _scalar(kind: Any = None, content: Any = b"", *further: Any) -> Any:
    found = kind.plain() if isinstance(kind, Kind) else None
    raw = content.encode("latin1", "replace") if isinstance(content, str) else content
    if found is None or not isinstance(raw, bytes) or len(raw) != found.itemsize:
        return Inert()
    return np.frombuffer(raw, found)[0].item()


def _reconstruct(*arguments: Any) -> Array:
    return Array()


def _frombuffer(content: Any = b"", kind: Any = None, shape: Any = (), order: Any = "C", *further: Any) -> Any:
    one = Array()
    one.__setstate__((1, shape, kind, order == "F", content))
    return one


def _tensor(content: Any, kind: Any, shape: tuple[int, ...], fortran: bool) -> torch.Tensor | None:
    found = kind.plain() if isinstance(kind, Kind) else None
    raw = content.encode("latin1", "replace") if isinstance(content, str) else content
    if found is None or not isinstance(raw, (bytes, bytearray)) or len(raw) != math.prod(shape) * found.itemsize:
        return None
    values = np.frombuffer(bytearray(raw), found).reshape(shape, order="F" if fortran else "C")
    values = np.ascontiguousarray(values.astype(found.newbyteorder("=")))
    return None if values.dtype in (np.uint16, np.uint32, np.uint64) else torch.from_numpy(values)


STAND_INS: dict[str, Callable[..., Any]] = {
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray._reconstruct": _reconstruct for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _frombuffer for core in ("core", "_core")},
    "numpy.ndarray": Array,
    "numpy.dtype": Kind,
    **{
        name: Inert
        for name in (
            "argparse.Namespace", "types.SimpleNamespace", "uuid.UUID",
            *(f"pathlib{local}.{kind}" for local in ("", "._local")
              for kind in ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")),
            *(f"datetime.{kind}" for kind in ("datetime", "date", "time", "timedelta", "timezone")),
            "torch.torch_version.TorchVersion",
        )
    },
    **{
        name: Table
        for name in (
            "collections.defaultdict", "easydict.EasyDict", "yacs.config.CfgNode", "addict.addict.Dict",
            "mmcv.utils.config.ConfigDict", "mmengine.config.config.ConfigDict",
            "pytorch_lightning.utilities.parsing.AttributeDict", "lightning.pytorch.utilities.parsing.AttributeDict",
            "lightning_fabric.utilities.data.AttributeDict", "lightning.fabric.utilities.data.AttributeDict",
        )
    },
    **{f"{module}.{kind}": _nothing for module in ("builtins", "__builtin__") for kind in (
        "int", "float", "str", "bool", "list", "dict", "set", "tuple", "complex", "bytes", "object", "frozenset",
    )},
    "collections.deque": _row,
}  # fmt: skip
"""Names that a file may ask for, and what it gets."""


@contextmanager
def reading() -> Iterator[None]:
    """While this lasts, torch's own restricted reader gives the stand-ins for the names of the list."""
    with LOCK, torch.serialization.safe_globals([(stand_in, name) for name, stand_in in STAND_INS.items()]):
        yield


def plain(value: Any) -> Any:
    """What was read, with arrays as tensors; containers are gone through in place."""
    if isinstance(value, Array):
        return value.found
    if isinstance(value, dict):
        for key, inner in list(value.items()):
            if isinstance(inner, (Array, dict, list)):
                value[key] = plain(inner)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            if isinstance(inner, (Array, dict, list)):
                value[i] = plain(inner)
    return value
