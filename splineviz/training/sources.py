"""Sources: samples from where the user has them.

    mnist                    the name of an embedded data set (see `datasets`)
    samples.npz              arrays train_x, train_y, test_x, test_y, or x and y, or images and labels, ... (see `rows`)
    pictures.npy, x.pt       inputs alone; x.pt may hold a dict of tensors by the same names, read with weights_only
    photographs/             an image folder: a sub-folder a class, or pictures without labels
    package.module:function  a torch Dataset, a pair (x, y), or Data

Pictures become (channels, height, width) in [0, 1], as torchvision's ToTensor has them, turned as their EXIF data say. This
room knows no network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from splineviz.errors import DataError
from splineviz.storage import archives
from splineviz.training import datasets, formats, rows, user_code
from splineviz.training.samples import ARRAYS, Array, Data

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm")


def load(source: str, arguments: str | None = None) -> Data:
    """The samples that a source names, see the module's docstring; arguments: of a function, as a JSON object.

    Raises DataError when there is no such source, or what it holds are no samples.
    """
    if ":" in source and not Path(source).exists():
        return _made(source, user_code.make(source, arguments, error=DataError))
    path = Path(source)
    if path.is_dir():
        return _image_folder(path)
    if path.suffix in (".npz", ".npy", ".pt", ".pth"):
        if not path.is_file():
            raise DataError(f"{path}: expected a file of samples, got nothing there.")
        return _named(_file(path), path)
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
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: expected a picture, got {type(error).__name__}: {error}.") from error
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


def _image_folder(folder: Path) -> Data:
    kinds = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    places = [(p, c) for c, kind in enumerate(kinds) for p in sorted(kind.iterdir())] or [
        (p, -1) for p in sorted(folder.iterdir())
    ]
    places = [(p, c) for p, c in places if p.suffix.lower() in PICTURES]
    if not places:
        raise DataError(f"{folder}: expected pictures ({', '.join(PICTURES)}), alone or in a folder a class, got none.")
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
