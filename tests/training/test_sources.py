"""Sources: samples from files, image folders and functions, and refusals of what holds none."""

from __future__ import annotations

import gzip
import os
import pickle
from pathlib import Path
from typing import Any

import hostile_audit
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from splineviz.errors import DataError
from splineviz.training.sources import load, sample

X = np.random.default_rng(0).uniform(0, 1, (6, 1, 3, 3)).astype(np.float32)
Y = np.array([0, 1, 2, 0, 1, 2])


def dataset(n: int = 6) -> TensorDataset:
    return TensorDataset(torch.from_numpy(X[:n]), torch.from_numpy(Y[:n]))


def test_an_embedded_name() -> None:
    assert load("two-moons").train_x.shape == (400, 2)


@pytest.mark.parametrize("kind", ["npz", "npz by name", "npy", "tensor", "pair", "dict"])
def test_files(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("x.npz" if "npz" in kind else "x.npy" if kind == "npy" else "x.pt")
    if kind == "npz":
        np.savez(path, x=X, y=Y)
    elif kind == "npz by name":
        np.savez(path, train_x=X, train_y=Y, test_x=X[:2], test_y=Y[:2])
    elif kind == "npy":
        np.save(path, X)
    else:
        x, y = torch.from_numpy(X), torch.from_numpy(Y)
        torch.save({"tensor": x, "pair": (x, y), "dict": {"x": x, "y": y}}[kind], path)
    data = load(str(path))
    assert np.array_equal(data.train_x, X)
    assert (data.train_y is None) == (kind in ("npy", "tensor"))
    assert (data.test_x is not None) == (kind == "npz by name")


def test_a_function_that_gives_a_dataset() -> None:
    data = load(f"{__name__}:dataset", '{"n": 5}')
    assert np.array_equal(data.train_x, X[:5]) and np.array_equal(data.train_y, Y[:5])


def test_a_class_that_is_a_link_out_of_the_folder_is_not_even_listed(tmp_path: Path) -> None:
    for place in ("pictures/cat", "elsewhere"):
        (tmp_path / place).mkdir(parents=True)
        Image.new("L", (4, 3), 51).save(tmp_path / place / "0.png")
    (tmp_path / "pictures" / "dog").symlink_to(tmp_path / "elsewhere")
    with hostile_audit.inside(tmp_path / "pictures") as opened, pytest.raises(DataError, match=r"lead out of it: dog; copy"):
        load(str(tmp_path / "pictures"))
    assert not opened


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_an_image_folder(tmp_path: Path, mode: str) -> None:
    for kind, grey in (("cat", 51), ("dog", 204)):
        (tmp_path / kind).mkdir()
        for i in range(2):
            Image.new(mode, (4, 3), grey if mode == "L" else (grey, 0, 255)).save(tmp_path / kind / f"{i}.png")
    data = load(str(tmp_path))
    assert data.train_x.shape == (4, 1 if mode == "L" else 3, 3, 4) and data.classes == ("cat", "dog")
    assert data.train_y is not None and data.train_y.tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(data.train_x[[0, 2], 0, 0, 0], [0.2, 0.8], rtol=1e-6)
    Image.new(mode, (5, 5)).save(tmp_path / "dog" / "9.png")
    with pytest.raises(DataError, match="bring all pictures to one size"):
        load(str(tmp_path))


class Bomb:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".pt"])
def test_samples_that_need_code_are_refused_and_run_nothing(tmp_path: Path, suffix: str) -> None:
    mark, path = tmp_path / "written", tmp_path / f"x{suffix}"
    if suffix == ".npy":
        np.save(path, np.array([Bomb(mark)], dtype=object), allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(DataError, match="expected samples without code") as caught:
        load(str(path))
    assert not mark.exists() and "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04" + bytes(30)], ids=["empty", "text", "torn"])
@pytest.mark.parametrize("suffix", [".npz", ".npy", ".pt"])
def test_broken_files_give_one_line(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError, match="expected") as caught:
        load(str(path))
    assert "\n" not in str(caught.value)


def test_what_holds_no_samples_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="got nothing there"):
        load(str(tmp_path / "x.npz"))
    with pytest.raises(DataError, match="expected pictures"):
        load(str(tmp_path))
    np.savez(tmp_path / "z.npz", z=X)
    with pytest.raises(DataError, match="expected arrays train_x.*got z"):
        load(str(tmp_path / "z.npz"))


# ---- one sample --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4, 3), (1, 4, 3), (12,), (3, 4, 3)])
def test_a_picture_becomes_a_sample_of_the_runs_shape_and_domain(tmp_path: Path, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 3), dtype=np.uint8)
    colour = shape == (3, 4, 3)
    Image.fromarray(pixels if colour else pixels[:, :, 0]).save(tmp_path / "a.png")
    x = sample(tmp_path / "a.png", shape, (-1.0, 1.0))
    expected = np.moveaxis(pixels, 2, 0) if colour else pixels[:, :, 0]
    assert x.shape == shape
    np.testing.assert_allclose(x.reshape(expected.shape), expected / 255 * 2 - 1, atol=1e-6)


def test_numbers_become_a_sample_as_they_are(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", X[0])
    torch.save(torch.from_numpy(X[0]).flatten(), tmp_path / "a.pt")
    for name in ("a.npy", "a.pt"):
        assert np.array_equal(sample(tmp_path / name, (1, 3, 3), (0.0, 1.0)), X[0])


def test_a_file_without_a_fitting_sample_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "many.npy", X)
    np.save(tmp_path / "nan.npy", np.full((1, 3, 3), np.nan))
    Image.new("L", (5, 4)).save(tmp_path / "large.png")
    (tmp_path / "torn.png").write_bytes(b"\x89PNG")
    np.save(tmp_path / "turned.npy", X[0].reshape(3, 1, 3))
    for name, words in (
        ("many.npy", r"one sample of shape \(1, 3, 3\), got \(6, 1, 3, 3\)"),
        ("nan.npy", "finite numbers"),
        ("large.png", r"got \(1, 4, 5\); bring it to the samples' size"),
        ("torn.png", "expected a picture"),
        ("absent.png", "got nothing there"),
    ):
        with pytest.raises(DataError, match=words) as caught:
            sample(tmp_path / name, (1, 3, 3), (0.0, 1.0))
        assert "\n" not in str(caught.value)


# ---- pictures of other kinds ---------------------------------------------------------------------------------------


def test_sixteen_bits_of_grey_keep_their_levels(tmp_path: Path) -> None:
    deep = (np.arange(64, dtype=np.uint16) * 1024).reshape(8, 8)
    Image.fromarray(deep).save(tmp_path / "a.png")
    for x in (load(str(tmp_path)).train_x[0, 0], sample(tmp_path / "a.png", (8, 8), (0.0, 1.0))):
        np.testing.assert_allclose(x, deep / 65535, rtol=1e-6)
    np.testing.assert_allclose(sample(tmp_path / "a.png", (3, 8, 8), (-1.0, 1.0))[1], deep / 65535 * 2 - 1, atol=1e-6)


def test_sixteen_bits_a_colour_are_refused(tmp_path: Path) -> None:
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + bytes(2 * 3 * 2) for _ in range(2))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    with pytest.raises(DataError, match="16 bits a colour; save it as .npy"):
        load(str(tmp_path))


def test_pictures_are_turned_as_their_exif_data_say(tmp_path: Path) -> None:
    pixels = np.zeros((2, 4), np.uint8)
    pixels[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # a camera held upright
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    x = load(str(tmp_path)).train_x[0, 0]
    assert x.shape == (4, 2) and x[0, 1] == 1.0 and x.sum() == 1.0


def test_a_film_is_no_picture(tmp_path: Path) -> None:
    frames = [Image.new("L", (2, 2), grey) for grey in (0, 99)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match="expected one picture, got 2 frames"):
        load(str(tmp_path))


# ---- the files of data sets themselves -----------------------------------------------------------------------------

BYTES = np.random.default_rng(1).integers(0, 256, (7, 3072), dtype=np.uint8)


def cifar10(folder: Path, *, protocol: int = 2, batches: int = 3) -> None:
    folder.mkdir(parents=True)
    for number in range(1, batches + 1):
        rows = BYTES[2 * number - 2 : 2 * number]
        content = {b"batch_label": b"...", b"labels": [number, 0], b"data": rows, b"filenames": [b"a.png", b"b.png"]}
        (folder / f"data_batch_{number}").write_bytes(pickle.dumps(content, protocol=protocol))
    (folder / "test_batch").write_bytes(pickle.dumps({b"labels": [1], b"data": BYTES[6:]}, protocol=protocol))
    names = {b"label_names": [b"airplane", b"automobile", b"bird", b"cat"], b"num_vis": 3072}
    (folder / "batches.meta").write_bytes(pickle.dumps(names, protocol=protocol))
    (folder / "readme.html").write_text("...")


@pytest.mark.parametrize("inside", ["", "cifar-10-batches-py"])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_cifar_10_in_its_own_files(tmp_path: Path, inside: str, protocol: int) -> None:
    cifar10(tmp_path / "c" / inside, protocol=protocol)
    data = load(str(tmp_path / "c"))
    assert data.train_x.shape == (6, 3, 32, 32) and data.train_x.dtype == np.float32 and data.domain == (0.0, 1.0)
    # red first, row by row: entry 1024 c + 32 i + j is colour c of pixel (i, j)
    assert data.train_x[3, 2, 5, 7] == np.float32(BYTES[3, 2048 + 5 * 32 + 7]) / np.float32(255)
    assert data.train_y.tolist() == [1, 0, 2, 0, 3, 0] and data.test_y.tolist() == [1]
    assert data.classes == ("airplane", "automobile", "bird", "cat")


def test_batches_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    cifar10(tmp_path / "c", batches=3)
    (tmp_path / "c" / "data_batch_3").rename(tmp_path / "c" / "data_batch_10")
    (tmp_path / "c" / "batches.meta").unlink()
    (tmp_path / "c" / "test_batch").unlink()
    data = load(str(tmp_path / "c"))
    assert data.train_y.tolist() == [1, 0, 2, 0, 3, 0] and data.classes is None and data.test_x is None


def test_cifar_100_in_its_own_files(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name, rows, fine in (("train", BYTES[:5], [4, 3, 2, 1, 0]), ("test", BYTES[5:], [2, 2])):
        content = {b"data": rows, b"fine_labels": fine, b"coarse_labels": [0] * len(fine)}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    (folder / "meta").write_bytes(pickle.dumps({b"fine_label_names": [b"a", b"b", b"c", b"d", b"e"]}))
    for where in (folder, tmp_path):
        data = load(str(where))
        assert data.train_y.tolist() == [4, 3, 2, 1, 0] and data.test_x.shape == (2, 3, 32, 32)
        assert data.classes == tuple("abcde")


class Asks:
    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> Any:
        return (os.system, (f"touch {self.mark}",))


@pytest.mark.parametrize("name", ["data_batch_2", "test_batch", "batches.meta"])
def test_a_hostile_file_among_them_runs_nothing(tmp_path: Path, name: str) -> None:
    cifar10(tmp_path / "c")
    (tmp_path / "c" / name).write_bytes(pickle.dumps({b"data": BYTES[:1], b"labels": Asks(tmp_path / "ran")}))
    with pytest.raises(DataError, match=rf"{name}: expected samples without code, .*system"):
        load(str(tmp_path / "c"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({b"labels": [0]}, "an entry data of 3072 bytes a picture, got none"),
        ({b"data": BYTES[:1, :100], b"labels": [0]}, r"3072 bytes a picture, got torch.uint8 of shape \(1, 100\)"),
        ({b"data": BYTES[:2], b"labels": [0]}, "a class for each of 2 pictures, got 1 entries"),
        ({b"data": BYTES[:1], b"labels": [0.5]}, "a class for each of 1 pictures"),
        ({b"data": BYTES[:1].astype("f4"), b"labels": [0]}, "got torch.float32"),
        ([1, 2], "expected a dictionary, as CIFAR's files hold, got list"),
    ],
)
def test_files_that_are_not_cifar_s(tmp_path: Path, content: Any, said: str) -> None:
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=said):
        load(str(tmp_path))


def idx_file(path: Path, x: np.ndarray) -> None:
    content = bytes((0, 0, 8, x.ndim)) + np.array(x.shape, ">u4").tobytes() + x.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.mark.parametrize("inside", ["", "MNIST/raw", "raw"])
@pytest.mark.parametrize("names", ["{}-{}-idx{}-ubyte", "{}-{}-idx{}-ubyte.gz", "{}-{}.idx{}-ubyte"])
def test_mnist_in_idx_files(tmp_path: Path, inside: str, names: str) -> None:
    folder = tmp_path / "m" / inside
    folder.mkdir(parents=True)
    x = np.arange(5 * 12).reshape(5, 4, 3)
    for part, some in (("train", slice(0, 3)), ("t10k", slice(3, 5))):
        idx_file(folder / names.format(part, "images", 3), x[some])
        idx_file(folder / names.format(part, "labels", 1), np.arange(5)[some])
    data = load(str(tmp_path / "m"))
    assert np.array_equal(data.train_x, x[:3, None].astype(np.float32) / np.float32(255)) and data.domain == (0.0, 1.0)
    assert data.train_y.tolist() == [0, 1, 2] and data.test_y.tolist() == [3, 4] and data.test_x.shape == (2, 1, 4, 3)


def test_idx_files_that_do_not_fit(tmp_path: Path) -> None:
    idx_file(tmp_path / "train-labels-idx1-ubyte", np.arange(3))
    with pytest.raises(DataError, match="expected train-images-idx3-ubyte, got train-labels"):
        load(str(tmp_path))
    idx_file(tmp_path / "train-images-idx3-ubyte", np.zeros((3, 4)))
    with pytest.raises(DataError, match="expected bytes in 3 dimensions, got uint8 in 2"):
        load(str(tmp_path))
    idx_file(tmp_path / "train-images-idx3-ubyte.gz", np.zeros((3, 2, 2)))
    idx_file(tmp_path / "emnist-train-images-idx3-ubyte", np.zeros((3, 2, 2)))
    with pytest.raises(DataError, match="expected one file of train images, got emnist-train"):
        load(str(tmp_path))
    cifar10(tmp_path / "cifar-10-batches-py")
    (tmp_path / "emnist-train-images-idx3-ubyte").unlink()
    with pytest.raises(DataError, match="expected one data set, got several: .*cifar-10-batches-py"):
        load(str(tmp_path))


def test_folders_of_training_and_test_pictures(tmp_path: Path) -> None:
    for part, count in (("train", 3), ("val", 2)):
        for kind, grey in (("cat", 51), ("dog", 204)):
            (tmp_path / part / kind).mkdir(parents=True)
            for i in range(count):
                Image.new("L", (4, 3), grey).save(tmp_path / part / kind / f"{i}.png")
    data = load(str(tmp_path))
    assert data.train_x.shape == (6, 1, 3, 4) and data.test_x.shape == (4, 1, 3, 4)
    assert data.classes == ("cat", "dog") and data.test_y.tolist() == [0, 0, 1, 1]
    (tmp_path / "val" / "dog").rename(tmp_path / "val" / "wolf")
    with pytest.raises(DataError, match="expected the classes of train, cat, dog, got cat, wolf"):
        load(str(tmp_path))


def test_an_archive_is_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(DataError, match="unpack an archive"):
        load(str(tmp_path / "cifar-10-python.tar.gz"))


def test_a_picture_that_claims_gigabytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A length of two gigabytes in a chunk of a PNG is asked of the system at once."""
    (tmp_path / "cat").mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "cat" / "a.png")

    def greedy(self: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load_end", greedy)
    with pytest.raises(DataError, match=r"a\.png: expected a picture, got MemoryError"):
        load(str(tmp_path))
