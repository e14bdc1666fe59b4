"""Sources: samples from where the user has them.
Here too: one sample from a file, for an anchor.

    mnist                    the name of an embedded data set (see `datasets`)
    samples.npz              arrays train_x, train_y, test_x, test_y, or x and y, or images and labels, ... (see `rows`)
    pictures.npy, x.pt       inputs alone; x.pt may hold a dict of tensors by the same names, read with weights_only
    photographs/             an image folder: a sub-folder a class, or pictures without labels; also train/ and test/ of such
    cifar-10-batches-py/     CIFAR-10's or CIFAR-100's own files (data_batch_1, ...; train, test), or the folder round them
    MNIST/raw/               idx files (train-images-idx3-ubyte, ..., also .gz), or the folder round them
    package.module:function  a torch Dataset, a pair (x, y), or Data

Pictures become (channels, height, width) in [0, 1], as torchvision's ToTensor has them, turned as their EXIF data say. This
file knows no network.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from splineviz.errors import DataError
from splineviz.storage import archives, idx, pickles
from splineviz.training import datasets, formats, rows, user_code
from splineviz.training.samples import ARRAYS, Array, Data

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm")

CIFAR = (3, 32, 32)
"""Of a picture of CIFAR; a row of its files is as many bytes, colour by colour."""
INSIDE = ("", "cifar-10-batches-py", "cifar-100-python", "raw", "MNIST/raw", "FashionMNIST/raw", "KMNIST/raw", "QMNIST/raw")
"""Where in a folder the files of a data set may lie: in itself, or as torchvision puts them."""
IDX = re.compile(r"(?:.*-)?(train|t10k|test)-(images|labels)[-.]idx[13]-ubyte(\.gz)?")


def load(source: str, arguments: str | None = None) -> Data:
    """The samples that a source names, see the module's docstring; arguments: of a function, as a JSON object.

    Raises DataError when there is no such source, or what it holds are no samples.
    """
    if ":" in source and not Path(source).exists():
        return _made(source, user_code.make(source, arguments, error=DataError))
    path = Path(source)
    if path.is_dir():
        return _folder(path)
    if path.suffix in (".npz", ".npy", ".pt", ".pth"):
        if not path.is_file():
            raise DataError(f"{path}: expected a file of samples, got nothing there.")
        return _named(_file(path), path)
    if path.is_file():
        raise DataError(
            f"{path}: expected .npz, .npy, .pt or a folder, got another file; unpack an archive and name its folder."
        )
    return datasets.load_data(source)


def sample(path: str | Path, shape: Sequence[int], domain: tuple[float, float]) -> Array:
    """One sample of a shape from a file: a picture, whose black and white are the ends of the domain, or numbers as they
    are (.npy, .pt; also flat ones).

    Raises DataError when there is no such file, it holds no sample, or one of another shape.
    """
    path, shape = Path(path), tuple(shape)
    if not path.is_file():
        raise DataError(f"{path}: expected a sample, got nothing there; name a picture, an .npy or a .pt file.")
    if path.suffix.lower() in PICTURES:
        grey = shape[0] != 3 if len(shape) == 3 else True
        found: Any = _pixels(path, grey) * (domain[1] - domain[0]) + domain[0]
    else:
        found = _file(path).get("x")
    try:
        x = np.asarray(found, dtype=np.float64)
    except (TypeError, ValueError):
        x = np.empty(0)
    flat = x.ndim == 1 or len(shape) == 1 or x.squeeze().shape == tuple(n for n in shape if n > 1)
    if x.size != math.prod(shape) or not flat:
        raise DataError(f"{path}: expected one sample of shape {shape}, got {x.shape}; bring it to the samples' size.")
    if not np.isfinite(x).all():
        raise DataError(f"{path}: expected finite numbers, got NaN or infinity.")
    return x.reshape(shape)


def _pixels(path: Path, grey: bool | None = None) -> Array:
    """A picture as (channels, height, width) in [0, 1]; grey: None keeps what it is."""
    from PIL import Image, ImageOps

    if not path.is_file():
        raise DataError(f"{path}: expected a picture, got a folder, a pipe or nothing; take it out of the folder.")
    try:
        with Image.open(path) as opened:
            frames = int(getattr(opened, "n_frames", 1))
            if frames > 1:
                raise DataError(f"{path}: expected one picture, got {frames} frames; save the one that is meant.")
            _check_depth(path)
            picture = ImageOps.exif_transpose(opened)
            deep = picture.mode.startswith("I")  # 16 bits, which PIL would clip to 8
            grey = deep or picture.mode in ("1", "L") if grey is None else grey
            if deep:
                pixels = np.asarray(picture, dtype=np.float32) / np.float32(65535)
                pixels = pixels if grey else np.repeat(pixels[:, :, None], 3, axis=2)
            else:
                pixels = np.asarray(picture.convert("L" if grey else "RGB"), dtype=np.float32) / np.float32(255)
    except DataError:
        raise
    except Exception as error:  # whatever a torn or hostile picture provokes in PIL: a length of 2 GB is a MemoryError
        raise DataError(f"{path}: expected a picture, got {type(error).__name__}: {error}; save it anew.") from error
    return pixels[None] if grey else np.moveaxis(pixels, 2, 0)


def _check_depth(path: Path) -> None:
    """Refuse a PNG of 16 bits a colour, of which PIL keeps 8 without a word."""
    with open(path, "rb") as stream:
        head = stream.read(26)
    if head.startswith(b"\x89PNG") and head[24:25] == b"\x10" and head[25:26] in (b"\x02", b"\x04", b"\x06"):
        raise DataError(f"{path}: expected 8 bits a colour or 16 bits of grey, got 16 bits a colour; save it as .npy.")


def _file(path: Path) -> Mapping[str, Any]:
    try:
        if path.suffix == ".npz":
            return archives.read_npz(path)
        if path.suffix == ".npy":
            return {"x": archives.read_npy(path)}
        formats.check_archive(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's unpickler raises many kinds; it has run nothing
        raise _no_samples(path, error) from error
    if isinstance(content, torch.Tensor):
        return {"x": content}
    if isinstance(content, (tuple, list)) and len(content) == 2:
        return {"x": content[0], "y": content[1]}
    if isinstance(content, Mapping):
        return content
    raise DataError(f"{path}: expected a tensor, a pair (x, y) or a dict of tensors, got {type(content).__name__}.")


def _no_samples(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: expected samples without code, got {type(error).__name__}: {formats.first_line(error)}.")


def _named(arrays: Mapping[str, Any], path: Path) -> Data:
    arrays = {str(name): value for name, value in arrays.items()}
    train = rows.named(arrays, rows.TRAIN) or rows.named(arrays)
    if train is None:
        raise DataError(
            f"{path}: expected arrays {', '.join(ARRAYS)}, or x and y (images and labels, ...), got "
            f"{', '.join(arrays) or 'none'}."
        )
    test = rows.named(arrays, rows.TEST)
    return Data.of(_taken(arrays, train), None if test is None else _taken(arrays, test))


def _taken(arrays: Mapping[str, Any], names: tuple[str, str | None]) -> tuple[Any, Any]:
    return arrays[names[0]], None if names[1] is None else arrays[names[1]]


# ---- folders -----------------------------------------------------------------------------------------------


def _folder(folder: Path) -> Data:
    """The data set that lies in a folder, by the names of its files; an image folder where none of them is known."""
    found = [(inside, kind) for inside in INSIDE for kind, files in _KINDS.items() if files(folder / inside)]
    if len(found) > 1:
        named = ", ".join(str(folder / inside) for inside, _ in found)
        raise DataError(f"{folder}: expected one data set, got several: {named}; name the one that is meant.")
    if found:
        inside, kind = found[0]
        return _READERS[kind](folder / inside)
    parts = [[p for p in _subfolders(folder) if p.name.lower() in words] for words in (rows.TRAIN, rows.TEST)]
    if len(parts[0]) == 1 and len(_subfolders(folder)) == 1 + len(parts[1]):
        if len(parts[1]) > 1:
            raise DataError(f"{folder}: expected one folder of test pictures, got {', '.join(p.name for p in parts[1])}.")
        return _split_folder(parts[0][0], parts[1][0] if parts[1] else None)
    return _image_folder(folder)


def _split_folder(train: Path, test: Path | None) -> Data:
    """Image folders of training and of test pictures, with the same classes."""
    own = _image_folder(train)
    if test is None:
        return own
    other = _image_folder(test)
    if own.classes != other.classes:
        raise DataError(
            f"{test}: expected the classes of {train.name}, {', '.join(own.classes or ('none',))}, got "
            f"{', '.join(other.classes or ('none',))}."
        )
    return Data.of((own.train_x, own.train_y), (other.train_x, other.train_y), domain=(0.0, 1.0), classes=own.classes)


def _subfolders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _batches(folder: Path) -> list[Path]:
    """CIFAR-10's files of training samples, in their order."""
    found = {int(m[1]): p for p in folder.glob("data_batch_*") if (m := re.fullmatch(r"data_batch_(\d+)", p.name))}
    return [found[number] for number in sorted(found)]


def _cifar10(folder: Path) -> Data:
    parts = [_cifar(path, ("labels",)) for path in _batches(folder)]
    train = np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])
    test = _cifar(folder / "test_batch", ("labels",)) if (folder / "test_batch").is_file() else None
    return Data.of(train, test, domain=(0.0, 1.0), classes=_names(folder / "batches.meta", "label_names"))


def _cifar100(folder: Path) -> Data:
    train, test = (_cifar(folder / name, ("fine_labels", "labels")) for name in ("train", "test"))
    return Data.of(train, test, domain=(0.0, 1.0), classes=_names(folder / "meta", "fine_label_names"))


def _cifar(path: Path, labels: Sequence[str]) -> tuple[Array, Array]:
    """Pictures (n, 3, 32, 32) in [0, 1] and classes (n,) of one of CIFAR's files."""
    content = _pickled(path)
    x = content.get("data")
    y = next((content[name] for name in labels if name in content), None)
    if not isinstance(x, torch.Tensor) or x.dtype != torch.uint8 or x.ndim != 2 or x.shape[1] != math.prod(CIFAR):
        raise DataError(f"{path}: expected an entry data of {math.prod(CIFAR)} bytes a picture, got {_shape(x)}.")
    if isinstance(y, torch.Tensor):
        y = y.flatten().tolist()
    if not isinstance(y, list) or len(y) != len(x) or not all(type(one) is int for one in y):
        raise DataError(
            f"{path}: expected an entry {labels[0]} with a class for each of {len(x)} pictures, got {_shape(y)}."
        )
    return x.numpy().reshape(-1, *CIFAR).astype(np.float32) / np.float32(255), np.array(y, dtype=np.int64)


def _names(path: Path, entry: str) -> list[str] | None:
    """Names of the classes, where a file says them."""
    if not path.is_file():
        return None
    found = _pickled(path).get(entry)
    if not isinstance(found, list) or not all(isinstance(name, (str, bytes)) for name in found):
        raise DataError(f"{path}: expected an entry {entry} with names, got {_shape(found)}.")
    return [name.decode("utf-8", "replace") if isinstance(name, bytes) else name for name in found]


def _pickled(path: Path) -> dict[str, Any]:
    try:
        content = pickles.read(path)
    except (OSError, ValueError) as error:
        raise _no_samples(path, error) from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a dictionary, as CIFAR's files hold, got {type(content).__name__}.")
    return {k.decode("latin1") if isinstance(k, bytes) else str(k): value for k, value in content.items()}


def _shape(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"{value.dtype} of shape {tuple(value.shape)}"
    return f"{len(value)} entries" if isinstance(value, list) else "none" if value is None else type(value).__name__


def _idx_files(folder: Path) -> dict[str, Path]:
    """The idx files of a folder by part, "train images" and the like; unpacked ones before packed ones."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if (m := IDX.fullmatch(path.name)) and path.is_file():
            found.setdefault(f"{'train' if m[1] == 'train' else 'test'} {m[2]}", []).append(path)
    for part, paths in found.items():
        if len({path.name.removesuffix(".gz") for path in paths}) > 1:
            raise DataError(f"{folder}: expected one file of {part}, got {', '.join(p.name for p in paths)}; keep one.")
    return {part: min(paths, key=lambda path: path.suffix == ".gz") for part, paths in found.items()}


def _mnist_files(folder: Path) -> Data:
    found = _idx_files(folder)
    if "train images" not in found:
        raise DataError(f"{folder}: expected train-images-idx3-ubyte, got {', '.join(p.name for p in found.values())}.")
    train, test = (_idx_part(found, part) for part in ("train", "test"))
    assert train is not None
    return Data.of(train, test, domain=(0.0, 1.0))


def _idx_part(found: Mapping[str, Path], part: str) -> tuple[Array, Array | None] | None:
    """Pictures (n, 1, height, width) in [0, 1] and classes (n,) of training or test samples."""
    if f"{part} images" not in found:
        return None
    arrays: dict[str, Array] = {}
    for kind, dimensions in (("images", 3), ("labels", 1)):
        path = found.get(f"{part} {kind}")
        if path is None:
            continue
        try:
            arrays[kind] = idx.read(path)
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: expected an idx file, got {type(error).__name__}: {error}.") from error
        if arrays[kind].dtype != np.uint8 or arrays[kind].ndim != dimensions:
            raise DataError(
                f"{path}: expected bytes in {dimensions} dimensions, got {arrays[kind].dtype} in {arrays[kind].ndim}."
            )
    y = arrays.get("labels")
    return arrays["images"][:, None].astype(np.float32) / np.float32(255), None if y is None else y.astype(np.int64)


_KINDS: dict[str, Callable[[Path], Any]] = {
    "CIFAR-10": _batches,
    "CIFAR-100": lambda folder: (folder / "train").is_file() and (folder / "test").is_file(),
    "idx": _idx_files,
}
"""Whether files of a kind lie in a folder."""
_READERS: dict[str, Callable[[Path], Data]] = {"CIFAR-10": _cifar10, "CIFAR-100": _cifar100, "idx": _mnist_files}


def _image_folder(folder: Path) -> Data:
    kinds = _subfolders(folder)
    _check_links(folder, kinds)
    places = [(p, c) for c, kind in enumerate(kinds) for p in sorted(kind.iterdir())] or [
        (p, -1) for p in sorted(folder.iterdir())
    ]
    places = [(p, c) for p, c in places if p.suffix.lower() in PICTURES]
    _check_links(folder, [p for p, _ in places])
    if not places:
        raise DataError(f"{folder}: expected pictures ({', '.join(PICTURES)}), alone or in one folder per class, got none.")
    pictures: list[Array] = []
    for path, _ in places:
        pictures.append(_pixels(path))
        if pictures[-1].shape != pictures[0].shape:
            raise DataError(
                f"{path}: expected a picture of shape {pictures[0].shape} as {places[0][0].name}, got {pictures[-1].shape}; "
                "bring all pictures to one size."
            )
    labels = np.array([c for _, c in places]) if kinds else None
    return Data.of((np.stack(pictures), labels), domain=(0.0, 1.0), classes=[k.name for k in kinds] if kinds else None)


def _check_links(folder: Path, paths: Sequence[Path]) -> None:
    """Raises DataError when some of what lies in a folder are links that lead out of it."""
    home = os.path.realpath(folder)
    if out := [p for p in paths if not Path(os.path.realpath(p)).is_relative_to(home)]:
        raise DataError(
            f"{folder}: expected pictures that lie in it, got links that lead out of it: "
            f"{', '.join(str(p.relative_to(folder)) for p in out[:3])}; copy what they lead to (cp -rL)."
        )


def _made(name: str, made: Any) -> Data:
    if isinstance(made, Data):
        return made
    if isinstance(made, Mapping):
        return _named(made, Path(name))
    if isinstance(made, (tuple, list)) and len(made) == 2:
        return Data.of((made[0], made[1]))
    if not (rows.is_dataset(made) and (hasattr(made, "__len__") or hasattr(made, "__iter__"))):
        raise DataError(f"{name}: expected a torch Dataset, a pair (x, y) or Data, got {type(made).__name__}.")
    return Data.of(made)
