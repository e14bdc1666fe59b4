"""Sources: samples from files, image folders and functions, and refusals of what holds none."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

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
