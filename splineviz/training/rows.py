"""Rows: samples out of a torch Dataset or DataLoader, in the order of the Dataset, random generators left alone.
Here too: what counts as a Dataset, and the names under which arrays hold inputs and labels.

    (picture, label)                    a pair, as most have it
    {"image": ..., "label": ...}        by names (see NAMES)
    (picture,), picture                 without labels

A DataLoader is asked for its Dataset: its shuffling and its batches say nothing of the samples. This file knows no networks.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from splineviz.errors import DataError

MOST = 10_000
"""Most samples that are taken from a Dataset."""
INPUTS = ("x", "images", "image", "imgs", "img", "data", "inputs", "input", "features", "samples", "pixel_values", "arr_0")
LABELS = ("y", "labels", "label", "targets", "target", "classes", "class", "arr_1")
TRAIN, TEST = ("train", "training", "tr"), ("test", "testing", "te", "val", "valid", "validation")
"""Names of arrays, whatever their case, alone or with a part of the data in front or behind: x_train, test_labels."""


def named(arrays: Mapping[str, Any], part: tuple[str, ...] = ()) -> tuple[str, str | None] | None:
    """The names under which inputs and labels of a part (TRAIN, TEST, or none) stand in arrays; None where none are there.

    Raises DataError when several may be meant.
    """
    found: list[str | None] = []
    for words in (INPUTS, LABELS):
        wanted = {f"{a}{gap}{b}" for p in part for w in words for a, b in ((p, w), (w, p)) for gap in ("_", "", "-", ".")}
        mine = [str(name) for name in arrays if str(name).lower() in (wanted if part else words)]
        first = next((p for p in part if any(p in name.lower() for name in mine)), "")
        mine = [name for name in mine if first in name.lower()]
        if len(mine) > 1:
            raise DataError(f"samples: expected one array of {words[0]}, got {', '.join(mine)}; keep one of them.")
        found.append(mine[0] if mine else None)
    return None if found[0] is None else (found[0], found[1])


def is_dataset(value: Any) -> bool:
    """Whether it is a torch Dataset or DataLoader, or works like one; arrays, tensors, pairs and mappings are none."""
    if isinstance(value, (tuple, list, Mapping, str, bytes, np.ndarray)) or hasattr(value, "detach"):
        return False
    return hasattr(value, "dataset") or hasattr(value, "__getitem__") or hasattr(value, "__iter__")


def pair_of(name: str, dataset: Any) -> tuple[Any, Any, int]:
    """Inputs (n, *input_shape), labels (n,) or None, and how many samples were left out: all but the first MOST.

    Raises DataError when the samples are not of one shape, or no numbers.
    """
    inner = getattr(dataset, "dataset", dataset) if hasattr(dataset, "batch_size") else dataset
    with _unmoved():
        try:
            rows = list(_rows(inner))
        except (RuntimeError, TypeError, ValueError, IndexError, KeyError) as error:
            raise DataError(f"{name}: expected a Dataset of samples, got {type(error).__name__}: {error}.") from error
    if not rows:
        raise DataError(f"{name}: expected a Dataset with samples, got none.")
    x, y = zip(*(_split(name, row) for row in rows), strict=True)
    try:
        inputs = np.stack([_array(one) for one in x])
        labels = None if y[0] is None else np.stack([_array(one) for one in y])
    except (ValueError, TypeError, IndexError) as error:
        raise DataError(f"{name}: expected samples of one shape, got {error}; add a transform to the Dataset.") from error
    return inputs, labels, max(0, (len(inner) if hasattr(inner, "__len__") else len(rows)) - len(rows))


def _rows(dataset: Any) -> Iterator[Any]:
    if hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__"):
        return (dataset[i] for i in range(min(len(dataset), MOST)))
    return itertools.islice(iter(dataset), MOST)


def _split(name: str, row: Any) -> tuple[Any, Any]:
    if isinstance(row, Mapping):
        names = named(row)
        if names is None:
            raise DataError(f"{name}: expected samples with an entry x or image, got {', '.join(map(str, row))}.")
        return row[names[0]], None if names[1] is None else row[names[1]]
    if isinstance(row, (tuple, list)):
        if len(row) not in (1, 2):
            raise DataError(f"{name}: expected samples that are pairs (x, y), got {len(row)} entries; wrap the Dataset.")
        return row[0], row[1] if len(row) == 2 else None
    return row, None


def _array(value: Any) -> Any:
    if hasattr(value, "getbands"):
        raise ValueError("pictures that are no tensors yet (transforms.ToTensor makes them)")
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)


@contextmanager
def _unmoved() -> Iterator[None]:
    """Transforms may draw random numbers; afterwards the generators stand where they stood."""
    import torch

    states = random.getstate(), np.random.get_state()  # noqa: NPY002 (the user's own generator)
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
