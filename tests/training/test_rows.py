"""Rows: samples out of Datasets and DataLoaders, arrays under the names that people give them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_runs import network
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from splineviz.errors import DataError, ScaleWarning
from splineviz.training import rows
from splineviz.training.recorder import Recorder
from splineviz.training.runs import open_run
from splineviz.training.samples import Data
from splineviz.training.sources import load

X = np.random.default_rng(0).uniform(0, 1, (12, 2, 2)).astype(np.float32)
Y = np.arange(12) % 3
PAIRS = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))


class Named(Dataset[Any]):
    def __init__(self, x: str = "image", y: str = "label"):
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, i: int) -> Any:
        return {self.x: X[i], self.y: int(Y[i]), "path": str(i)}


class Streamed(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return zip(X, Y, strict=True)


class Noisy(Named):
    def __getitem__(self, i: int) -> Any:
        return torch.from_numpy(X[i]) + 0 * torch.rand(1) * float(np.random.rand()) * random.random(), Y[i]  # noqa: NPY002


@pytest.mark.parametrize(
    "given",
    [
        (X, Y), PAIRS, DataLoader(PAIRS, batch_size=5, shuffle=True), Named(), Named("pixel_values", "labels"), Noisy(),
        Streamed(), DataLoader(Streamed(), batch_size=3), Subset(PAIRS, range(12)), DataLoader(Named()),
    ],
    ids=lambda given: type(given).__name__,
)  # fmt: skip
def test_samples_come_in_the_datasets_order(given: Any) -> None:
    data = Data.of(given, given)
    assert np.array_equal(data.train_x, X) and np.array_equal(data.train_y, Y)
    assert np.array_equal(data.test_x, X) and data.remark == ""


def test_random_generators_stand_where_they_stood() -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    Data.of(DataLoader(Noisy(), batch_size=4, shuffle=True))
    assert torch.equal(before[0], torch.get_rng_state()) and random.getstate() == before[2]
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


def test_without_labels_and_with_too_many_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Data.of(TensorDataset(torch.from_numpy(X))).train_y is None
    monkeypatch.setattr(rows, "MOST", 5)
    data = Data.of(PAIRS)
    assert np.array_equal(data.train_x, X[:5]) and "only the first 5 of 12 samples were taken" in data.remark


def test_what_holds_no_samples_is_refused() -> None:
    from PIL import Image

    for given, words in (
        (Broken(Image.new("L", (2, 2))), "ToTensor"),
        (Broken((X[0], 1, 2)), "got 3 entries"),
        (Broken({"path": "a"}), "got path"),
        (Broken(None, n=0), "got none"),
    ):
        with pytest.raises(DataError, match=words):
            Data.of(given)


class Broken(Dataset[Any]):
    def __init__(self, row: Any, n: int = 2):
        self.row, self.n = row, n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> Any:
        return self.row


def test_the_recorder_takes_them(tmp_path: Path) -> None:
    Recorder(tmp_path, network(), train=DataLoader(PAIRS, shuffle=True), test=PAIRS).save(0)
    run = open_run(tmp_path)
    assert np.array_equal(run.train_x, X) and np.array_equal(run.train_y, Y) and np.array_equal(run.test_y, Y)


NAMES = [
    "x y", "X Y", "X y", "images labels", "data target", "inputs targets", "features labels", "arr_0 arr_1",
    "x_train y_train x_test y_test", "X_train Y_train X_test Y_test", "train_x train_y test_x test_y",
    "train_images train_labels test_images test_labels", "trainX trainY testX testY",
    "train_data train_targets val_data val_targets", "images_train labels_train images_val labels_val",
    "train-images train-labels test-images test-labels",
]  # fmt: skip


@pytest.mark.parametrize("suffix", [".npz", ".pt"])
@pytest.mark.parametrize("names", NAMES)
def test_arrays_under_the_names_that_people_give_them(names: str, suffix: str, tmp_path: Path) -> None:
    arrays = dict(zip(names.split(), (X, Y, X[:4], Y[:4]), strict=False))
    path = tmp_path / f"a{suffix}"
    if suffix == ".npz":
        np.savez(path, **arrays)
    else:
        torch.save({key: torch.from_numpy(value) for key, value in arrays.items()}, path)
    data = load(str(path))
    assert np.array_equal(data.train_x, X) and np.array_equal(data.train_y, Y)
    assert (data.test_x is not None) == (len(arrays) == 4)
    assert len(arrays) == 2 or (np.array_equal(data.test_x, X[:4]) and np.array_equal(data.test_y, Y[:4]))


def test_two_arrays_that_may_be_meant_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=X, features=X, labels=Y)
    with pytest.raises(DataError, match="expected one array of x, got images, features"):
        load(str(tmp_path / "a.npz"))


def test_val_beside_test_is_not_taken_for_it(tmp_path: Path) -> None:
    parts = {f"{part}_{what}": array[at] for part, at in (("train", slice(12)), ("val", slice(2)), ("test", slice(4, 6)))
             for what, array in (("images", X), ("labels", Y))}  # fmt: skip
    np.savez(tmp_path / "a.npz", **parts)
    assert np.array_equal(load(str(tmp_path / "a.npz")).test_x, X[4:6])


# ---- scale -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_pixels_to_255_are_remarked_upon_once(kind: Any, tmp_path: Path) -> None:
    x = (X * 255).round().astype(kind)
    with pytest.warns(ScaleWarning, match="0 to 255") as told:
        Recorder(tmp_path, network(), train=(x, Y)).save(0)
    assert len(told) == 1 and "\n" not in str(told[0].message)
    bare = tmp_path / "bare"
    bare.mkdir()
    torch.save(network().state_dict(), bare / "net_1.pt")
    with pytest.warns(ScaleWarning, match="0.005"):
        open_run(bare, model=network(), data=Data.of((x, Y)))


@pytest.mark.parametrize("kind", [np.int8, np.bool_, np.uint8, np.int64, np.float16, np.float64])
def test_every_kind_of_number_keeps_its_values(kind: Any) -> None:
    x = np.array([[0, 1], [1, 0], [1, 1]]).astype(kind)
    for given in (x, torch.from_numpy(x)):
        data = Data.of((given, np.array([True, False, True])))
        assert np.array_equal(data.train_x, x.astype(float)) and np.array_equal(data.train_y, [1, 0, 1])
    low = np.array([[-128, 127], [0, 1]]).astype(np.int8)
    assert np.array_equal(Data.of((low, None)).train_x, low.astype(float))
