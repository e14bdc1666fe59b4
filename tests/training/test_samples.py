"""Samples: what is cast, what is refused, and that a file gives back the bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from splineviz.errors import DataError
from splineviz.training.samples import Data

X = np.random.default_rng(0).normal(size=(6, 3))


def test_arrays_and_tensors_are_the_same_samples():
    one = Data.of((X, [0, 1, 2, 0, 1, 2]), (X[:2], [0, 1]), classes=["a", "b", "c"])
    other = Data.of(
        (torch.tensor(X), torch.tensor([[0], [1], [2], [0], [1], [2]])), (torch.tensor(X[:2]), torch.tensor([0, 1]))
    )
    assert one.digest() == other.digest()
    assert one.domain == (X.min(), X.max())
    assert one.train_y.dtype == np.int64
    assert one.classes == ("a", "b", "c")


def test_inputs_keep_their_precision():
    assert Data.of((X.astype(np.float32), None)).train_x.dtype == np.float32
    assert Data.of((torch.tensor(X, dtype=torch.bfloat16), None)).train_x.dtype == np.float32
    assert Data.of((np.arange(6, dtype=np.uint8).reshape(3, 2), None)).train_x.dtype == np.float32


def test_targets_of_a_regression_are_columns():
    data = Data.of((X, X[:, 0]))
    assert data.train_y.shape == (6, 1) and data.train_y.dtype == np.float64


def test_a_file_gives_back_the_bits(tmp_path):
    data = Data.of((X, [0, 1, 2, 0, 1, 2]), (X[:2], None), domain=(-9, 9), classes="abc")
    data.save(tmp_path / "samples.npz")
    again = Data.load(tmp_path / "samples.npz", domain=data.domain, classes=data.classes)
    assert again.digest() == data.digest()
    assert (again.domain, again.classes, again.test_y) == (data.domain, data.classes, None)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Data.of(X), "pair"),
        (lambda: Data.of((X[:, 0], None)), "n, \\*input_shape"),
        (lambda: Data.of((X[:0], None)), "that hold numbers, got \\(0, 3\\)"),
        (lambda: Data.of((X[:, :0], None)), "that hold numbers, got \\(6, 0\\)"),
        (lambda: Data.of((X, [0, 1])), "one label for each of the 6"),
        (lambda: Data.of((X, [-1, 0, 0, 0, 0, 0])), "0 and up, got -1"),
        (lambda: Data.of((X, [0, 1, 2, 3, 0, 0]), classes="abc"), "3 classes"),
        (lambda: Data.of((X, np.eye(6, dtype=int))), "arg-max"),
        (lambda: Data.of((X, ["a"] * 6)), "integer classes"),
        (lambda: Data.of((X * np.nan, None)), "finite"),
        (lambda: Data.of((X, None), (X[:, :2], None)), "shape \\(3,\\)"),
        (lambda: Data.of((X, None), domain=(1, 0)), "low < high"),
        (lambda: Data.of((X * 0, None)), "low < high"),
    ],
)
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(DataError, match=words):
        call()


def test_broken_files_are_one_data_error(tmp_path):
    path = tmp_path / "samples.npz"
    for content in (b"", b"PK\x03\x04torn", b"no archive"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="expected the samples"):
            Data.load(path, domain=None, classes=None)
    np.savez(path, other=X)
    with pytest.raises(DataError, match="train_x"):
        Data.load(path, domain=None, classes=None)
    np.savez(path, train_x=np.array([{}], dtype=object))  # a pickle in disguise
    with pytest.raises(DataError, match="expected the samples"):
        Data.load(path, domain=None, classes=None)
