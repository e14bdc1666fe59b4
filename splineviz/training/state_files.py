"""Weights: one file of named tensors, whoever wrote it -> their names and values.

    .pt .pth .ckpt .bin             torch files that `weights_only` can read
    .safetensors
    *.index.json                    large models in several of these, as transformers and huggingface_hub write them
    .pt2                            a torch.export program; it is code, so it is read only when the user trusts it

Weights may lie one level down (`model_state_dict`, `state_dict`, `model`), or where `key` says: at a path of names such as
`ema` or `ema.state_dict`, or under a prefix of the names themselves. Names may carry the prefixes of wrappers (`module.`,
`_orig_mod.`).

A file that needs code to be unpickled is refused, and none of its code has run by then. A file that is empty, torn or of
another kind gives a CheckpointError of one line. This room knows no network.
"""

from __future__ import annotations

import json
import pickletools
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from splineviz.errors import CheckpointError
from splineviz.storage import archives, files

State = dict[str, Tensor]

INDEX = ".index.json"
"""How the name of an index ends; it says which file holds which tensor."""
LEGACY_PICKLES = 4
"""A torch file of before 2020 begins with four pickles: magic number, version, machine, content."""
NESTS = ("model_state_dict", "state_dict", "model")
WRAPPERS = ("module.", "_orig_mod.")
COUNTER = "n_averaged"
"""Stands beside the weights in torch's own moving average of them."""


def save_state(path: str | Path, state: Mapping[str, Tensor]) -> None:
    """Write named tensors as a torch file that `weights_only` can read; whole or not at all."""
    files.write(Path(path), lambda stream: torch.save({key: t.detach().cpu() for key, t in state.items()}, stream))


def load_state(path: str | Path, *, raw: bool = False, trust: bool = False, key: str | None = None) -> State:
    """The named tensors of a checkpoint file, on the CPU.

    raw: the file is a flat dict and its names are taken as they are; otherwise the weights are looked for one level
    down and the prefixes of wrappers are taken off. key: where the weights lie, see the module's docstring.
    trust: unpickle whatever the file holds, which RUNS ITS CODE; a pickled module gives its state dict.
    Raises CheckpointError when the file is missing, empty, torn, needs code, or holds no weights.
    """
    path = Path(path)
    content = _content(path, trust)
    if trust and isinstance(content, torch.nn.Module):
        content = content.state_dict()
    elif isinstance(content, torch.export.ExportedProgram):
        content = dict(content.state_dict)
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{path}: expected a dict of named tensors, got {type(content).__name__}; save model.state_dict()."
        )
    if raw:
        return _tensors(content, path)
    return plain_names(_tensors(_nested(content), path) if key is None else _at(content, key, path))


def load_network(path: str | Path) -> Any:
    """The network in a trusted file, which RUNS ITS CODE: a pickled module, or a torch.export program.

    Raises CheckpointError when the file cannot be read or holds no network.
    """
    path = Path(path)
    content = None if path.suffix == ".safetensors" else _content(path, True)
    if not isinstance(content, (torch.nn.Module, torch.export.ExportedProgram)):
        got = "weights alone" if isinstance(content, Mapping) or content is None else type(content).__name__
        raise CheckpointError(f"{path}: expected a whole module or an exported program, got {got}; say what it is: --model.")
    return content


def digest(state: Mapping[str, Tensor]) -> str:
    """Digest of weights: names, types, shapes and bits."""
    parts: list[Any] = []
    for key in sorted(state):
        tensor = state[key].detach().cpu().contiguous()
        parts += [[key, str(tensor.dtype), list(tensor.shape)], tensor.reshape(-1).view(torch.uint8).numpy()]
    return files.digest(*parts)


def plain_names(state: Mapping[str, Tensor]) -> State:
    """Weights under the bare module's names: without `module.` in front of all of them, without any `_orig_mod.`."""
    plain = dict(state)
    if COUNTER in plain and all(key.startswith("module.") for key in plain.keys() - {COUNTER}):
        del plain[COUNTER]
    while True:
        wrapped = next((w for w in WRAPPERS if plain and all(key.startswith(w) for key in plain)), None)
        if wrapped is None:
            break
        plain = {key.removeprefix(wrapped): tensor for key, tensor in plain.items()}
    return {key.replace("_orig_mod.", ""): tensor for key, tensor in plain.items()}


# ---- where the weights lie in a file -------------------------------------------------------------------------------


def _nested(content: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = next((content[key] for key in NESTS if isinstance(content.get(key), Mapping)), None)
    return content if inner is None else inner


def _tensors(content: Mapping[str, Any], path: Path) -> State:
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


def _at(content: Mapping[str, Any], key: str, path: Path) -> State:
    """The weights at a path of names, or those whose own names begin with it."""
    inner: Any = content
    for part in key.split("."):
        inner = inner.get(part) if isinstance(inner, Mapping) else None
    inner = content.get(key, inner)
    if isinstance(inner, torch.nn.Module):  # only a trusted file has one
        inner = inner.state_dict()
    if isinstance(inner, Mapping):
        return _tensors(_nested(inner), path)
    named = {str(name): value for name, value in _nested(content).items() if isinstance(value, Tensor)}
    found = {name.removeprefix(f"{key}."): value for name, value in named.items() if name.startswith(f"{key}.")}
    if not found:
        known = [str(name) for name, value in content.items() if isinstance(value, (Mapping, torch.nn.Module))]
        known += sorted({name.partition(".")[0] for name in named if "." in name})
        raise CheckpointError(f"{path}: expected weights under {key!r}, got: {', '.join(known[:12]) or 'none by any name'}.")
    return found


# ---- reading -------------------------------------------------------------------------------------------------------


def _content(path: Path, trust: bool) -> Any:
    if not path.is_file():
        got = "a folder" if path.is_dir() else "something else" if path.exists() else "nothing there"
        raise CheckpointError(f"{path}: expected a checkpoint file, got {got}.")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path}: expected a checkpoint, got an empty file; delete it, or write it anew.")
    if path.name.endswith(INDEX):
        return _sharded(path, trust)
    return _safetensors(path) if path.suffix == ".safetensors" else _torch_file(path, trust)


def _sharded(path: Path, trust: bool) -> State:
    """The tensors of all files that an index names; it names files beside itself alone."""
    try:
        named = json.loads(path.read_bytes())["weight_map"]
        places = {str(key): str(name) for key, name in named.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        got = f"{type(error).__name__}: {first_line(error)}"
        raise CheckpointError(f"{path}: expected an index with a weight_map, got {got}.") from error
    # An index that names an index could name itself.
    strange = sorted(
        {name for name in places.values() if PurePosixPath(name).name != name or "\\" in name or name.endswith(INDEX)}
    )
    if strange or not places:
        got = repr(strange[0]) if strange else "none"
        raise CheckpointError(f"{path}: expected the names of files beside it, got {got}; it will not be opened.")
    parts = {name: _content(path.parent / name, trust) for name in sorted(set(places.values()))}
    for key, name in places.items():
        if not (isinstance(parts[name], Mapping) and isinstance(parts[name].get(key), Tensor)):
            raise CheckpointError(f"{path.parent / name}: expected the tensor {key}, as {path.name} says, got none.")
    return {key: parts[places[key]][key] for key in sorted(places, key=_natural)}


def _torch_file(path: Path, trust: bool) -> Any:
    if path.suffix == ".pt2" and not trust:
        raise CheckpointError(
            f"{path}: expected plain tensors, got an exported program, which is code; none of it was run. "
            "Trust the file (--trust, trust=True) if you know where it comes from."
        )
    try:
        if path.suffix == ".pt2":
            return torch.export.load(path)
        check_archive(path)
        return torch.load(path, map_location="cpu", weights_only=not trust)
    except Exception as error:  # whatever a torn or hostile file provokes in the reader: one line, and nothing of it has run
        wanted = _code_wanted(path)
        if wanted:
            raise CheckpointError(
                f"{path}: expected plain tensors, got a pickle that needs code ({', '.join(wanted)}); none of it was run. "
                "Save model.state_dict(), or trust the file (--trust, trust=True) if you know where it comes from."
            ) from error
        raise CheckpointError(
            f"{path}: expected a torch checkpoint, got a file that is torn or of another kind "
            f"({type(error).__name__}: {first_line(error)}); delete it, or write it anew."
        ) from error


def check_archive(path: Path) -> None:
    """Refuse a zip that would grow beyond proportion, as no file of torch's own does; raises ValueError."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            archives.check_growth(sum(member.file_size for member in archive.infolist()), path.stat().st_size)


def _code_wanted(path: Path) -> list[str]:
    """Names of the functions and classes that a torch file wants to import, read without importing them."""
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


def _safetensors(path: Path) -> Any:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise CheckpointError(
            f"{path}: expected the package safetensors to read it, got none; pip install safetensors."
        ) from error
    try:
        content = load_file(path)
    except Exception as error:  # the reader has its own exception type, and passes others through
        got = f"{type(error).__name__}: {first_line(error)}"
        raise CheckpointError(f"{path}: expected a safetensors file, got {got}.") from error
    return {key: content[key] for key in sorted(content, key=_natural)}  # such a file does not keep the layers' order


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def first_line(error: Exception) -> str:
    """The first line of an error's message, for a message of ours."""
    line = (str(error).strip().splitlines() or [""])[0]
    return re.sub(r"\x1b\[[0-9;]*m", "", line)[:160]  # torch colours some of its messages
