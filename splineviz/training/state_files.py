"""State files: one file of named tensors, whoever wrote it -> their names and values, and the digest that they are known by.
The digest of weights is computed here (names, types, shapes, bits); `jobs.weights` only remembers it. Here too: the step
that a file was saved at, what a key leaves unread, names without wrappers' prefixes, and whole networks from trusted files.

The kinds of files stand in `formats`. Where in a file its weights lie is found (see `contents`): a lone dictionary of
tensors is taken, of several one must be named by `key`: a path of names such as `ema` or `ema.state_dict`, a prefix of the
names themselves, several of these with commas between, or "." for all of them together. Names may carry the prefixes of
wrappers (`module.`, `_orig_mod.`).

This file knows no network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from splineviz.errors import CheckpointError
from splineviz.storage import files
from splineviz.training import contents
from splineviz.training.formats import LARGEST_STATE, TRAINER_STATE, content_of, format_of, stays, tensors

State = dict[str, Tensor]

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
    content = content_of(path, trust)
    if trust and isinstance(content, torch.nn.Module):
        content = content.state_dict()
    elif isinstance(content, torch.export.ExportedProgram):
        content = dict(content.state_dict)
    if not isinstance(content, Mapping):
        inside = contents.entries(content)
        if raw or not (inside and contents.sets(content)):
            raise CheckpointError(
                f"{path}: expected a dict of named tensors, got {type(content).__name__}; save model.state_dict()."
            )
        content = inside
    if raw:
        return tensors(content, path)
    return plain_names(tensors(_only(content, path), path) if key is None else _at(content, key, path))


def saved_at(path: Path) -> tuple[int | None, int | None]:
    """(step, epoch) that a file, or one beside it, says it was saved at; None where it does not say or cannot be read so.

    None of a file's code is run, whatever the user trusts, and no weights are read.
    """
    try:
        beside = path.parent / TRAINER_STATE
        if stays(path.parent, beside) and beside.is_file() and beside.stat().st_size < LARGEST_STATE:
            return contents.saved_at(json.loads(beside.read_bytes()))
        kind = format_of(path)
        return kind.said(path) if kind is not None and path.is_file() else (None, None)  # a pipe would never end
    except Exception:  # torn or hostile: whoever reads its weights says so
        return None, None


def left_out(path: str | Path, key: str, *, trust: bool = False) -> str:
    """What a key leaves of a file's weights unread, in one line; no copies of what is read."""
    content = contents.entries(content_of(Path(path), trust)) or {}
    taken = _at(content, key, Path(path))
    known, shapes = {id(tensor) for tensor in taken.values()}, {name: tensor.shape for name, tensor in taken.items()}
    found: list[str] = []
    for where, state in contents.sets(content).items():
        named = plain_names({str(name): tensor for name, tensor in state.items() if isinstance(tensor, Tensor)})
        if all(name in named and named[name].shape == shape for name, shape in shapes.items()):
            continue  # the set itself, or a copy of it
        rest = {f"{where}.{name}" if where else name: t for name, t in named.items() if id(t) not in known}
        found += [f"{name} {tuple(tensor.shape)}" for name, tensor in rest.items()]
    if not found:
        return ""
    more = f" and {len(found) - 8} more" if len(found) > 8 else ""
    return f"{path}: {key} is a part of what the file holds; left out: {', '.join(found[:8])}{more}"


def load_network(path: str | Path) -> Any:
    """The network in a trusted file, which RUNS ITS CODE: a pickled module, or a torch.export program.

    Raises CheckpointError when the file cannot be read or holds no network.
    """
    path = Path(path)
    content = None if path.suffix == ".safetensors" else content_of(path, True)
    if isinstance(content, Mapping):
        modules = {str(name): value for name, value in content.items() if isinstance(value, torch.nn.Module)}
        if len(modules) > 1:
            raise CheckpointError(
                f"{path}: expected one module, got several: {', '.join(modules)}; name the network (--model) and the "
                f"key of its weights (--weights-key {next(iter(modules))})."
            )
        content = next(iter(modules.values()), content)
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


def _only(content: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """The one set of weights of a content; the content itself where there is none, for `_tensors` to refuse."""
    found = contents.sets(content)
    if len(found) > 1:
        names = ", ".join(f"{name or 'its own entries'} ({len(inner)} tensors)" for name, inner in found.items())
        first = next(name for name in found if name)
        raise CheckpointError(
            f"{path}: expected one set of weights, got several: {names}; choose one (--weights-key {first}, "
            f"weights_key={first!r}), or take them all as parts of one network (--weights-key {contents.WHOLE})."
        )
    return next(iter(found.values()), content)


def _at(content: Mapping[str, Any], key: str, path: Path) -> State:
    """The weights at a path of names, or those whose own names begin with it; several of these, with commas between."""
    if key == contents.WHOLE:
        return tensors(contents.whole(content), path)
    if "," in key and key not in content:
        parts = [part.strip() for part in key.split(",")]
        return {f"{part}.{name}": tensor for part in parts for name, tensor in _at(content, part, path).items()}
    inner = contents.at(content, key)
    inner = contents.entries(content.get(key, inner))
    if inner is not None:
        return tensors(_only(inner, path), path)
    sets = contents.sets(content)
    found: dict[str, dict[str, Tensor]] = {}
    for where, state in sets.items():
        wanted = key.removeprefix(f"{where}.") if where else key
        named = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
        fronts = [front for front in (f"{wanted}.", *(f"{w}{wanted}." for w in WRAPPERS)) if any(front in n for n in named)]
        for front in fronts:
            own = {n.partition(front)[2]: t for n, t in named.items() if n.startswith(front)}
            if own:
                found[f"{where}.{wanted}" if where else wanted] = own
                break
    if len(found) > 1 and key not in found:
        names = " or ".join(f"--weights-key {name}" for name in found)
        raise CheckpointError(f"{path}: expected one set of weights with entries under {key!r}, got several: {names}.")
    if not found:
        known = [str(name) for name, value in content.items() if isinstance(value, (Mapping, torch.nn.Module))]
        known += sorted({str(name).partition(".")[0] for state in sets.values() for name in state if "." in str(name)})
        raise CheckpointError(f"{path}: expected weights under {key!r}, got: {', '.join(known[:12]) or 'none by any name'}.")
    return tensors(found.get(key) or next(iter(found.values())), path)
