"""Errors: the exceptions of splineviz, its checks of arguments, and the types that all its packages share.
Arguments become arrays of finite numbers here, or plane coordinates.

Every error says what was expected, what came and what to do, and subclasses the
builtin a caller would catch. This file knows nothing of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

Progress = Callable[[int, int, str], None]
"""What long work calls: progress(done, total, what was just done, in words)."""

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int32]


class SplinevizError(Exception):
    """Base of every error that splineviz raises on purpose."""


class TraceError(SplinevizError, ValueError):
    """A network, or one of its operations, is not piecewise affine for us; the message names it."""


class PlaneError(SplinevizError, ValueError):
    """Anchors, basis, window or points that do not describe a slice."""


class PartitionError(SplinevizError, ValueError):
    """A partition that is not a planar complex, or a file that does not hold one."""


class SeamError(PartitionError):
    """Two pieces of a slice, blocks or tiles, were not cut alike along their common seam."""


class CertificateError(SplinevizError, AssertionError):
    """A partition failed its certificate; the message names the face and the check."""


class CheckpointError(SplinevizError, ValueError):
    """A checkpoint or run directory that is missing, broken or does not fit the network."""


class DataError(SplinevizError, ValueError):
    """Samples, labels or anchors that are missing or do not fit."""


class JobError(SplinevizError, RuntimeError):
    """Jobs that failed, or an engine or an output directory that cannot work on them."""


class OutputError(SplinevizError, FileExistsError):
    """A folder for results that holds what splineviz did not write there, or results of other runs; it is left as it is."""


class BudgetError(SplinevizError, RuntimeError):
    """An enumeration would exceed, or exceeded, the budget that the caller set."""


class SurroundingsError(SplinevizError, RuntimeError):
    """A package, a codec or a folder that splineviz needs is missing or too old."""


class ScaleWarning(UserWarning):
    """Samples are on a scale that a default of ours was not made for, or not all of them were taken."""


def to_float_array(value: Any, name: str) -> FloatArray:
    """Cast an array, a sequence or a torch tensor (any device) to a C-contiguous finite float64 array.

    Raises DataError if these are no real numbers, or one is not finite.
    """
    kind = type(value).__name__
    try:
        if hasattr(value, "detach"):  # a torch tensor, without importing torch
            value = value.detach().cpu()
            value = (value.double() if value.is_floating_point() else value).numpy()  # numpy does not know bfloat16
        if np.iscomplexobj(value):
            raise TypeError("these are complex")
        array = np.ascontiguousarray(value, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{name}: expected real numbers in an array, list or tensor, got {kind}: {error}.") from error
    if not np.isfinite(array).all():
        bad = int(np.size(array) - np.isfinite(array).sum())
        raise DataError(
            f"{name}: expected finite numbers, got {bad} NaN or infinite of {array.size}; "
            f"remove or replace them before slicing."
        )
    return array


def to_points(value: Any, name: str) -> FloatArray:
    """Cast to float64 plane coordinates of shape (n, 2); raises PlaneError on another shape."""
    array = to_float_array(value, name)
    if array.ndim != 2 or array.shape[1] != 2:
        raise PlaneError(
            f"{name}: expected plane coordinates of shape (n, 2), got shape {array.shape}; pass one (u, v) pair per row."
        )
    return array


def to_indices(value: Any, name: str) -> list[int]:
    """Cast a list, a range, an array or a tensor to whole numbers; raises DataError for a mask, text or parts of numbers."""
    try:
        array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{name}: expected a list of indices, got {type(value).__name__}: {error}.") from error
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        came = array.dtype if array.ndim == 1 else type(value).__name__
        raise DataError(f"{name}: expected a list of indices, got {came}; such as [0, 2] for the first and the third.")
    return [int(i) for i in array]


def to_positive(value: Any, name: str) -> Any:
    """A finite number above 0 as it is; raises DataError for anything else."""
    number = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
    if not (number and 0 < value < np.inf):
        raise DataError(f"{name}: expected a number above 0, got {value!r}.")
    return value
