"""Formats: kinds of checkpoint files, one record each, and how the content of one is read without running its code.
Here too: the format that a file has, the tensors of what was read, archives refused that grow beyond proportion, links that
lead out of a folder, and the first line of an error.

    .pt .pth .ckpt .bin .tar ...    torch files that `weights_only` can read, and what `harmless` lists beside it
    .safetensors
    *.index.json, *-00001-of-3.*    large models in several of these, as transformers and huggingface_hub write them
    .onnx                           see `onnx_networks`
    .pt2                            a torch.export program; it is code, so it is read only when the user trusts it
    .zip                            archives with one torch file of weights in them, as stable-baselines3 writes them

A file that needs code to be unpickled is refused, and none of its code has run by then. A file that is empty, torn or of
another kind gives a CheckpointError of one line. This file does not know where in a content the weights lie.
"""

from __future__ import annotations

import pickle
import pickletools
import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from splineviz.errors import CheckpointError
from splineviz.storage import archives, files, harmless
from splineviz.training import contents, onnx_networks, user_code

State = dict[str, Tensor]
NESTS = ("model_state_dict", "state_dict", "model")

INDEX = ".index.json"
"""How the name of an index ends; it says which file holds which tensor."""
LEGACY_PICKLES = 4
"""A torch file of before 2020 begins with four pickles: magic number, version, machine, content."""
TORCH_FILES = (
    ".pt", ".pth", ".ckpt", ".bin", ".tar", ".th", ".t7", ".pkl", ".pickle", ".chkpt", ".checkpoint", ".mdl", ".model",
    ".weights", ".params", ".pyt", ".ptc", ".state", ".torch", ".tch",
)  # fmt: skip
OTHERS = {".npz", ".npy", ".zip", ".json", ".yaml", ".yml", ".txt", ".csv", ".log", ".png", ".jpg", ".h5", ".py"}
"""Suffixes of files that are never looked into for weights."""
ASIDE = re.compile(r"optim|sched|variable|scaler|random|rng|replay|buffer|ema", re.IGNORECASE)
"""Names of torch files in an archive that are no weights of the network."""
LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
HARMLESS = re.compile(
    r"_codecs\.encode|torch\.(\w+Storage|Size|device)|torch\.nn\.parameter\.Parameter|collections\.Counter"
)
"""What torch's own reader takes, beside what `harmless` lists."""
PART = re.compile(r"-(\d{1,6})-of-(\d{1,6})(?=\.(?:safetensors|bin|pt|pth)$)")
MOST_PARTS = 10_000
TRAINER_STATE = "trainer_state.json"
"""Where transformers says at which step it saved."""
LARGEST_STATE = 64 << 20


# ---- reading -------------------------------------------------------------------------------------------------------


def content_of(path: Path, trust: bool) -> Any:
    """What a file holds, as its format has it. Raises CheckpointError when it is missing, empty, torn, or needs code."""
    if not path.is_file():
        got = "a folder" if path.is_dir() else "something else" if path.exists() else "nothing there"
        raise CheckpointError(f"{path}: expected a checkpoint file, got {got}; put the file there, or leave that step out.")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path}: expected a checkpoint, got an empty file; delete it, or write it anew.")
    kind = format_of(path) or FORMATS[-1]
    return kind.read(path, trust)


def stays(folder: Path, path: Path) -> bool:
    """Whether a path, with its links followed, lies in the folder; one that is no link always does.

    A cache of the Hugging Face hub holds its files as links into `blobs` beside `snapshots`: they stay, too.
    """
    try:
        home = folder.resolve()
        hub = next((parent.parent for parent in (home, *home.parents) if parent.name == "snapshots"), home)
        return not path.is_symlink() or any(path.resolve().is_relative_to(place) for place in (home, hub / "blobs"))
    except (OSError, RuntimeError):
        return False


def _part(path: Path, whole: Path) -> Path:
    """A file that another one speaks of; nobody named it, so it may not lie elsewhere."""
    if not stays(path.parent, path):
        raise CheckpointError(
            f"{path}: expected a part of {whole.name} in the same folder, got a link that leads out of it; copy it there."
        )
    return path


def _parts(path: Path, trust: bool) -> State:
    """The tensors of all parts of a model whose files are numbered, without an index."""
    found = PART.search(path.name)
    assert found is not None
    state: State = {}
    for i in range(1, min(int(found[2]), MOST_PARTS) + 1):
        name = f"{path.name[: found.start()]}-{i:0{len(found[1])}}-of-{found[2]}{path.name[found.end() :]}"
        part = _part(path.parent / name, path)
        if not part.is_file() or part.stat().st_size == 0:
            raise CheckpointError(f"{part}: expected a part of {path.name}, of {int(found[2])}, got none.")
        content = _safetensors(part, trust) if part.suffix == ".safetensors" else _torch_file(part, trust)
        if not isinstance(content, Mapping):
            raise CheckpointError(f"{part}: expected a dict of named tensors, got {type(content).__name__}.")
        state |= tensors(content, part)
    return {key: state[key] for key in sorted(state, key=_natural)}


def _sharded(path: Path, trust: bool) -> State:
    """The tensors of all files that an index names; it names files beside itself alone."""
    try:
        named = files.parsed(path.read_bytes())["weight_map"]
        places = {str(key): str(name) for key, name in named.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        got = f"{type(error).__name__}: {first_line(error)}"
        raise CheckpointError(f"{path}: expected an index with a weight_map, got {got}; fetch it anew.") from error
    # An index that names an index could name itself.
    strange = sorted(
        {name for name in places.values() if PurePosixPath(name).name != name or "\\" in name or name.endswith(INDEX)}
    )
    if strange or not places:
        got = repr(strange[0]) if strange else "none"
        raise CheckpointError(f"{path}: expected the names of files beside it, got {got}; it will not be opened.")
    parts = {name: content_of(_part(path.parent / name, path), trust) for name in sorted(set(places.values()))}
    for key, name in places.items():
        if not (isinstance(parts[name], Mapping) and isinstance(parts[name].get(key), Tensor)):
            raise CheckpointError(f"{path.parent / name}: expected the tensor {key}, as {path.name} says, got none.")
    return {key: parts[places[key]][key] for key in sorted(places, key=_natural)}


def _torch_file(path: Path, trust: bool) -> Any:
    try:
        if path.suffix == ".pt2":
            return torch.export.load(path)
        check_archive(path)
        return _unpickled(path, trust)
    except Exception as error:  # whatever a torn or hostile file provokes in the reader: one line, and nothing of it has run
        wanted = [] if trust else _code_wanted(path)
        if wanted:
            raise CheckpointError(
                f"{path}: expected plain tensors, got a pickle that needs code ({', '.join(wanted)}); none of it was run. "
                "Save model.state_dict(), or trust the file (--trust, trust=True) if you know where it comes from."
            ) from error
        if trust and isinstance(error, (AttributeError, ImportError)):
            raise CheckpointError(
                f"{path}: expected the code that its objects were made with, got {first_line(error)}; start from the folder "
                "where that code lies, or save model.state_dict() and name the network (--model file.py:function)."
            ) from error
        raise CheckpointError(
            f"{path}: expected a torch checkpoint, got a file that is torn or of another kind "
            f"({type(error).__name__}: {first_line(error)}); delete it, or write it anew."
        ) from error


def _unpickled(path: Path, trust: bool, **how: Any) -> Any:
    """A torch file, with stand-ins for what is harmless; a bare pickle only where it is trusted."""
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as stream:
            if not stream.read(len(LEGACY_MAGIC)).startswith(LEGACY_MAGIC):
                stream.seek(0)
                if not trust:
                    raise ValueError("a bare pickle, or no torch file at all")
                with user_code.from_here():
                    return pickle.load(stream)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, **how)
    except Exception:
        if trust:
            with user_code.from_here():
                return torch.load(path, map_location="cpu", weights_only=False)
        if harmless.STAND_INS.keys().isdisjoint(_names_wanted(path)):
            raise
    with harmless.reading():
        return harmless.plain(torch.load(path, map_location="cpu", weights_only=True, **how))


def _exported(path: Path, trust: bool) -> Any:
    if not trust:
        raise CheckpointError(
            f"{path}: expected plain tensors, got an exported program, which is code; none of it was run. "
            "Trust the file (--trust, trust=True) if you know where it comes from."
        )
    return _torch_file(path, trust)


def _member(path: Path) -> str | None:
    """The one torch file of weights in a zip, beside those of optimisers and the like; None where it is no such archive."""
    if path.suffix.lower() != ".zip" or not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if PurePosixPath(name).name == name and name.endswith(TORCH_FILES)]
    found = [name for name in names if not ASIDE.search(name)]
    return found[0] if len(found) == 1 else None


def _is_archive(path: Path) -> bool:
    return _member(path) is not None


def _archive(path: Path, trust: bool) -> Any:
    """What the torch file in a zip holds; the archive is never unpacked beside the user's files."""
    name = _member(path)
    try:
        check_archive(path)
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as archive:
            inside = Path(folder, "weights.pth")
            inside.write_bytes(archive.read(name or ""))
            return _torch_file(inside, trust)
    except (OSError, ValueError, KeyError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise CheckpointError(
            f"{path}: expected a torch file of weights in the archive, got {type(error).__name__}: "
            f"{first_line(error).partition('weights.pth: ')[2] or first_line(error)}"
        ) from error


def check_archive(path: Path) -> None:
    """Refuse a zip that would grow beyond proportion, as no file of torch's own does; raises ValueError."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            archives.check_growth(sum(member.file_size for member in archive.infolist()), path.stat().st_size)


def _code_wanted(path: Path) -> list[str]:
    """Names of the functions and classes that a file wants to import and may not have, read without importing them."""
    return [name for name in _names_wanted(path) if name not in harmless.STAND_INS and not HARMLESS.fullmatch(name)]


def _names_wanted(path: Path) -> list[str]:
    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # not a file this reader knows: legacy pickles and torn ones
        return _pickled_names(path)


def _pickled_names(path: Path) -> list[str]:
    """The same for a bare pickle, which torch's reader does not take apart."""
    names, strings = set(), ["", ""]
    try:
        with open(path, "rb") as stream:
            for _ in range(LEGACY_PICKLES):
                for opcode, argument, _position in pickletools.genops(stream):
                    if opcode.name == "GLOBAL":
                        names.add(str(argument).replace(" ", "."))
                    elif opcode.name == "STACK_GLOBAL":
                        names.add(".".join(strings))
                    elif isinstance(argument, str):
                        strings = [strings[1], argument]
    except Exception:  # no pickle after all, or a torn one: what was read so far counts
        pass
    return sorted(name for name in names if not name.startswith(("torch._utils.", "collections.OrderedDict")))


def _safetensors(path: Path, trust: bool = False) -> Any:
    try:
        from safetensors import safe_open
    except ImportError as error:
        raise CheckpointError(
            f"{path}: expected the package safetensors to read it, got none; pip install safetensors."
        ) from error
    try:
        with safe_open(path, framework="pt") as stored:  # has looked at the header's length
            _check_header(path)
            content = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 (no mapping)
            said = dict(stored.metadata() or {})
    except Exception as error:  # the reader has its own exception type, and passes others through
        got = f"{type(error).__name__}: {first_line(error)}"
        raise CheckpointError(f"{path}: expected a safetensors file, got {got}; fetch it anew.") from error
    # Of tied weights one is stored, and the header says which name stands for which.
    content |= {key: content[other] for key, other in said.items() if key not in content and other in content}
    return {key: content[key] for key in sorted(content, key=_natural)}  # such a file does not keep the layers' order


def _check_header(path: Path) -> None:
    """Refuse a safetensors file that describes a tensor twice; raises ValueError."""
    with open(path, "rb") as stream:
        files.parsed(stream.read(int.from_bytes(stream.read(8), "little")))


def _safetensors_said(path: Path) -> tuple[int | None, int | None]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as stored:
        return contents.saved_at(dict(stored.metadata() or {}))


def _torch_said(path: Path) -> tuple[int | None, int | None]:
    check_archive(path)
    mapped = {"mmap": True} if zipfile.is_zipfile(path) else {}
    if not mapped and path.stat().st_size > LARGEST_STATE:
        return None, None
    return contents.saved_at(_unpickled(path, False, **mapped))


def _silent(path: Path) -> tuple[int | None, int | None]:
    return None, None


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def first_line(error: Exception) -> str:
    """The first line of an error's message, for a message of ours."""
    line = (str(error).strip().splitlines() or [""])[0]
    return re.sub(r"\x1b\[[0-9;]*m", "", line)[:160]  # torch colours some of its messages


def tensors(content: Mapping[str, Any], path: Path) -> State:
    """The named tensors of a content, dense and with their values. Raises CheckpointError otherwise."""
    state = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    if not state:
        keys = ", ".join(map(str, list(content)[:8])) or "none"
        raise CheckpointError(f"{path}: expected named tensors, alone or under {', '.join(NESTS)}, got the entries: {keys}.")
    for key, tensor in state.items():
        # A few bytes may claim any shape: as a view of one number, as a sparse tensor, or without values at all.
        plain = tensor.layout == torch.strided and not (tensor.is_meta or tensor.is_quantized or tensor.is_complex())
        if not plain or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise CheckpointError(
                f"{path}: expected dense real tensors that hold their values, got {key[:80]} of shape "
                f"{tuple(tensor.shape)}, {tensor.dtype}, {tensor.layout} on {tensor.device}; save model.state_dict()."
            )
    # Of one byte or less torch knows little more than how to make another type of it.
    narrow = [key for key, tensor in state.items() if tensor.is_floating_point() and tensor.element_size() < 2]
    return state | {key: state[key].float() for key in narrow}


# ---- formats -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Format:
    """A kind of checkpoint file: its suffixes, how else it is recognised, how it is read (path, trusted), and how the step
    that it says it was saved at is read.
    """

    name: str
    suffixes: tuple[str, ...]
    recognised: Callable[[Path], bool]
    read: Callable[[Path, bool], Any]
    said: Callable[[Path], tuple[int | None, int | None]]


def _never(path: Path) -> bool:
    return False


def _looks_torch(path: Path) -> bool:
    """Whether a file of another suffix, or none, begins as torch's do."""
    if path.suffix.lower() in OTHERS:
        return False
    with open(path, "rb") as stream:
        head = stream.read(4096)
    return head.startswith(LEGACY_MAGIC) or (head.startswith(b"PK\x03\x04") and b"/data.pkl" in head)


FORMATS = (
    Format("index", (INDEX,), _never, _sharded, _silent),
    Format("numbered parts", (), lambda path: bool(PART.search(path.name)), _parts, _silent),
    Format("safetensors", (".safetensors",), _never, _safetensors, _safetensors_said),
    Format("ONNX", (".onnx",), _never, onnx_networks.state, _silent),
    Format("exported program", (".pt2",), _never, _exported, _silent),
    Format("archive", (), _is_archive, _archive, _silent),
    Format("torch file", TORCH_FILES, _looks_torch, _torch_file, _torch_said),
)
"""Every kind of checkpoint file; the first one that knows a file counts."""
SUFFIXES = (*TORCH_FILES, *(suffix for kind in FORMATS[1:-1] for suffix in kind.suffixes))


def format_of(path: Path) -> Format | None:
    """The format of a file by its name, else by how it begins; None for a file of another kind."""
    name = path.name.lower()
    if PART.search(name):
        return FORMATS[1]
    for kind in FORMATS:
        if kind.suffixes and name.endswith(kind.suffixes):
            return kind
    try:
        return next((kind for kind in FORMATS if path.is_file() and kind.recognised(path)), None)
    except OSError:
        return None
