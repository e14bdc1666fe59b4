"""Samples: the training and test inputs of a run, their labels, and the box they live in.

    train_x (n, *input_shape)   train_y (n,) int64 classes, or (n, C) float64 targets of a regression, or None
    test_x  (m, *input_shape)   test_y  alike; both None where a run has no test samples
    domain  (low, high): every coordinate of an input lies in between; random points are drawn from this box

Inputs keep their precision (float32 or float64): what the network saw is what is sliced. This file knows no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from splineviz.errors import DataError
from splineviz.storage import archives, files
from splineviz.training import rows

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Data:
    """Samples as drawn in the module's docstring; `classes` are the names of the classes, in order of their number.

    left: how many samples a Dataset has beyond those that were taken. came: the type of training inputs that were whole
    numbers; here they are floats.
    """

    train_x: Array
    train_y: Array | None = None
    test_x: Array | None = None
    test_y: Array | None = None
    domain: tuple[float, float] = (0.0, 1.0)
    classes: tuple[str, ...] | None = None
    left: int = 0
    came: str = ""

    @property
    def remark(self) -> str:
        """What a person should know of the samples, in one line; mostly nothing."""
        told = []
        low, high = float(self.train_x.min()), float(self.train_x.max())
        if high - low >= WIDE:
            told.append(
                f"the samples reach from {low:g} to {high:g}, as pixels from 0 to 255 do: scale them as for the training "
                "(x / 255, say); a radius of 0.005 for the local complexity is next to nothing on this scale"
            )
        if self.left:
            told.append(f"only the first {len(self.train_x):,} of {len(self.train_x) + self.left:,} samples were taken")
        return "; ".join(told)

    @classmethod
    def of(
        cls, train: Any, test: Any = None, *, domain: Sequence[float] | None = None, classes: Sequence[Any] | None = None
    ) -> Data:
        """Cast and check samples: `train` and `test` are (x, y) pairs of arrays or tensors, or a Dataset or DataLoader.

        y may be None.
        domain: (low, high), by default the smallest and largest coordinate of the training inputs.
        Raises DataError when lengths, shapes or labels do not fit, or a number is not finite.
        """
        train, left = _from_dataset(train, "train")
        train_x, train_y = _pair(train, "train")
        test_x, test_y = (None, None) if test is None else _pair(_from_dataset(test, "test")[0], "test")
        if test_x is not None and test_x.shape[1:] != train_x.shape[1:]:
            raise DataError(f"test: expected inputs of shape {train_x.shape[1:]}, as in train, got {test_x.shape[1:]}.")
        names = None if classes is None else tuple(str(c) for c in classes)
        for name, labels in (("train", train_y), ("test", test_y)):
            if labels is not None and labels.ndim == 1 and len(labels):
                low, high = int(labels.min()), int(labels.max())
                if low < 0 or (names is not None and high >= len(names)):
                    room = f"0 to {len(names) - 1} (there are {len(names)} classes)" if names is not None else "0 and up"
                    raise DataError(f"{name}: expected class numbers {room}, got {low} to {high}; renumber the labels.")
        box = (float(train_x.min()), float(train_x.max())) if domain is None else tuple(float(b) for b in domain)
        if len(box) != 2 or not (np.isfinite(box).all() and box[0] < box[1]):
            raise DataError(f"domain: expected (low, high) with low < high, got {domain if domain is not None else box}.")
        if max(map(abs, box)) > float(np.finfo(train_x.dtype).max) / 4:
            raise DataError(
                f"domain: expected bounds that {train_x.dtype} holds, and their distance, got {box}; scale the data."
            )
        came = _plain(train[0]).dtype
        return cls(
            train_x, train_y, test_x, test_y, (box[0], box[1]), names, left, came.name if came.kind in "iub" else ""
        )

    def save(self, path: Path) -> None:
        """Write the arrays as a compressed .npz; domain and classes are not in it."""
        files.write_arrays(path, {name: value for name in ARRAYS if (value := getattr(self, name)) is not None})

    @classmethod
    def load(cls, path: Path, *, domain: Sequence[float] | None, classes: Sequence[Any] | None) -> Data:
        """Read what `save` wrote. Raises DataError when the file is missing, broken or inconsistent."""
        try:
            stored = archives.read_npz(path)
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: expected the samples of a run, got {type(error).__name__}: {error}; "
                            "fetch the run anew.") from error  # fmt: skip
        arrays = {name: stored[name] for name in ARRAYS if name in stored}
        if "train_x" not in arrays:
            raise DataError(f"{path}: expected an array train_x, got {sorted(arrays)}.")
        test = (arrays["test_x"], arrays.get("test_y")) if "test_x" in arrays else None
        return cls.of((arrays["train_x"], arrays.get("train_y")), test, domain=domain, classes=classes)

    def digest(self) -> str:
        """Digest of the arrays."""
        return files.digest(*(np.empty(0) if (value := getattr(self, name)) is None else value for name in ARRAYS))


ARRAYS = ("train_x", "train_y", "test_x", "test_y")
"""The arrays of Data, by field name, as they stand in a file."""
WIDE = 100.0
"""Samples that reach further than this are remarked upon."""


def _from_dataset(given: Any, name: str) -> tuple[Any, int]:
    """A pair of what a Dataset or DataLoader holds, and how many samples it has beyond; anything else as it is."""
    if not rows.is_dataset(given):
        return given, 0
    x, y, left = rows.pair_of(name, given)
    return (x, y), left


def _pair(pair: Any, name: str) -> tuple[Array, Array | None]:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        got = type(pair).__name__
        raise DataError(f"{name}: expected a pair (x, y) of inputs and labels, got {got}; pass (x, None) without labels.")
    x = _plain(pair[0])
    if x.dtype.kind not in "iufb":
        raise DataError(f"{name}: expected inputs that are real numbers, got {x.dtype}.")
    if x.dtype not in (np.float32, np.float64):
        x = x.astype(np.float32 if x.dtype.itemsize < 4 else np.float64)
    if x.ndim < 2 or x.size == 0:
        raise DataError(f"{name}: expected inputs of shape (n, *input_shape) that hold numbers, got {x.shape}.")
    if not np.isfinite(x).all():
        raise DataError(f"{name}: expected finite inputs, got NaN or infinite ones; remove them.")
    return np.ascontiguousarray(x), None if pair[1] is None else _labels(_plain(pair[1]), len(x), name)


def _labels(y: Array, n: int, name: str) -> Array:
    if y.ndim == 0 or len(y) != n:
        raise DataError(f"{name}: expected one label for each of the {n} inputs, got labels of shape {y.shape}.")
    if y.dtype.kind in "iub":  # classes
        if y.size != n:
            raise DataError(f"{name}: expected class numbers of shape ({n},), got {y.shape}; pass one-hot's arg-max.")
        return np.ascontiguousarray(y.reshape(n), dtype=np.int64)
    if y.dtype.kind != "f" or not np.isfinite(y).all():
        raise DataError(f"{name}: expected integer classes or finite targets as labels, got {y.dtype}.")
    return np.ascontiguousarray(y.reshape(n, -1), dtype=np.float64)


def _plain(value: Any) -> Array:
    if hasattr(value, "detach"):  # a torch tensor, without importing torch
        if value.is_meta or value.is_quantized or str(value.layout) != "torch.strided":
            raise DataError(f"samples: expected dense tensors with values, got {value.layout} on {value.device}.")
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise DataError(f"samples: expected a tensor that holds its values, got a view of shape {tuple(value.shape)}.")
        value = value.detach().cpu()
        value = (value.float() if value.is_floating_point() and value.element_size() < 4 else value).numpy()
    try:
        return np.asarray(value)
    except (ValueError, TypeError) as error:
        raise DataError(f"samples: expected an array of numbers, got {type(error).__name__}: {error}") from error
