"""Checkpoints: files -> weights, ordered by step.

A checkpoint is a file of named tensors: a torch file (.pt, .pth) that `weights_only` can read, or
.safetensors. Weights may lie one level down (`model_state_dict`, `state_dict`, `model`) and their names may
carry the prefixes of wrappers (`module.`, `_orig_mod.`). Its step is read from its name:

    checkpoint-w:200-d:4-s:2668.pt -> 2668      a number that follows step, s, iter, it, epoch or ep
    net_000120.pth                 -> 120       else the last number

Folders checkpoint-N/ of the transformers library count as one checkpoint each (model.safetensors, pytorch_model.bin).
A torch.export file (.pt2) is a program, so it is read only when the user trusts it.

A file that needs code to be unpickled is refused, and none of its code has run by then. A file that is
empty or torn gives a CheckpointError of one line. This room knows no geometry.
"""

from __future__ import annotations

import math
import pickletools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from splineviz import files
from splineviz.errors import CheckpointError, TraceError
from splineviz.ops import Program, Step

State = dict[str, Tensor]

TORCH_FILES = (".pt", ".pth", ".ckpt", ".bin")
SUFFIXES = (*TORCH_FILES, ".safetensors", ".pt2")
FOLDER_FILES = ("model.safetensors", "pytorch_model.bin")
"""What a folder checkpoint-N/ may hold its weights in; the first one that is there counts."""
OWNERS = ("model.", "net.", "network.", "backbone.", "module.")
"""Names under which a training module (Lightning's, say) may hold the network."""
NESTS = ("model_state_dict", "state_dict", "model")
LEGACY_PICKLES = 4
"""A torch file of before 2020 begins with four pickles: magic number, version, machine, content."""
WRAPPERS = ("module.", "_orig_mod.")


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint: its step, its file, and the numbers that were recorded beside it (accuracies, losses)."""

    step: int
    path: Path
    metrics: Mapping[str, float] = field(default_factory=dict)


# ---- the files of a folder -------------------------------------------------------------------------------


def list_checkpoints(folder: str | Path) -> tuple[list[Checkpoint], dict[str, str]]:
    """The checkpoints of a folder in order of their steps, and the files that were passed over, each with its reason.

    Raises CheckpointError when the folder is missing, holds none, or two files have one step.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: expected a folder of checkpoints, got {_what(folder)}.")
    found: dict[int, Path] = {}
    skipped: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        name = path.name
        if path.is_dir() and name.startswith("checkpoint-"):
            path = next((path / inner for inner in FOLDER_FILES if (path / inner).is_file()), path)
        if path.suffix not in SUFFIXES or name.startswith(".") or not path.is_file():
            continue
        step = step_of(name)
        if step is None or step < 0:
            skipped[name] = "no step in its name" if step is None else f"step {step} lies before the training"
        elif step in found:
            raise CheckpointError(
                f"{folder}: expected one file a step, got {found[step].name} and {name} both for step {step}; "
                "move the files of other runs to folders of their own."
            )
        else:
            found[step] = path
    if not found:
        passed = f"; passed over {', '.join(f'{name} ({why})' for name, why in skipped.items())}" if skipped else ""
        raise CheckpointError(
            f"{folder}: expected files {', '.join(SUFFIXES)} with a step in their names, got none{passed}."
        )
    return [Checkpoint(step, found[step]) for step in sorted(found)], skipped


def step_of(name: str) -> int | None:
    """The step in a file's name, None if there is none. See the module's docstring."""
    stem = Path(name).stem
    for word in ("step|steps|s", "iteration|iter|it", "epoch|ep"):
        # A minus counts only after : or =, for in step-12 it is a dash.
        named = re.findall(rf"(?:^|[^a-z])(?:{word})(?:[:=](-?\d+)|[-_ ]?(\d+))", stem.lower())
        if named:
            return int(named[-1][0] or named[-1][1])
    numbers = re.findall(r"\d+", stem)
    return int(numbers[-1]) if numbers else None


# ---- one file --------------------------------------------------------------------------------------------


def save_state(path: str | Path, state: Mapping[str, Tensor]) -> None:
    """Write named tensors as a torch file that `weights_only` can read; whole or not at all."""
    files.write(Path(path), lambda stream: torch.save({key: t.detach().cpu() for key, t in state.items()}, stream))


def load_state(path: str | Path, *, raw: bool = False, trust: bool = False) -> State:
    """The named tensors of a checkpoint file, on the CPU.

    raw: the file is a flat dict and its names are taken as they are; otherwise the weights are looked for one level
    down and the prefixes of wrappers are taken off.
    trust: unpickle whatever the file holds, which RUNS ITS CODE; a pickled module gives its state dict.
    Raises CheckpointError when the file is missing, empty, torn, needs code, or holds no weights.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: expected a checkpoint file, got {_what(path)}.")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path}: expected a checkpoint, got an empty file; delete it, or write it anew.")
    content = _safetensors(path) if path.suffix == ".safetensors" else _torch_file(path, trust)
    if trust and isinstance(content, torch.nn.Module):
        content = content.state_dict()
    elif isinstance(content, torch.export.ExportedProgram):
        return dict(content.state_dict)
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{path}: expected a dict of named tensors, got {type(content).__name__}; save model.state_dict()."
        )
    return _tensors(content, path) if raw else plain_names(_tensors(_nested(content), path))


def load_network(path: str | Path) -> Any:
    """The network in a trusted file, which RUNS ITS CODE: a pickled module, or a torch.export program.

    Raises CheckpointError when the file cannot be read or holds no network.
    """
    path = Path(path)
    content = None if path.suffix == ".safetensors" else _torch_file(path, True)
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
    while True:
        wrapped = next((w for w in WRAPPERS if plain and all(key.startswith(w) for key in plain)), None)
        if wrapped is None:
            break
        plain = {key.removeprefix(wrapped): tensor for key, tensor in plain.items()}
    return {key.replace("_orig_mod.", ""): tensor for key, tensor in plain.items()}


def _torch_file(path: Path, trust: bool) -> Any:
    if path.suffix == ".pt2" and not trust:
        raise CheckpointError(
            f"{path}: expected plain tensors, got an exported program, which is code; none of it was run. "
            "Trust the file (--trust, trust=True) if you know where it comes from."
        )
    try:
        if path.suffix == ".pt2":
            return torch.export.load(path)
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
            f"({type(error).__name__}: {_first_line(error)}); delete it, or write it anew."
        ) from error


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
        got = f"{type(error).__name__}: {_first_line(error)}"
        raise CheckpointError(f"{path}: expected a safetensors file, got {got}.") from error
    return {key: content[key] for key in sorted(content, key=_natural)}  # such a file does not keep the layers' order


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _nested(content: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = next((content[key] for key in NESTS if isinstance(content.get(key), Mapping)), None)
    return content if inner is None else inner


def _tensors(content: Mapping[str, Any], path: Path) -> State:
    state = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    if not state:
        keys = ", ".join(map(str, list(content)[:8])) or "none"
        raise CheckpointError(f"{path}: expected named tensors, alone or under {', '.join(NESTS)}, got the entries: {keys}.")
    return state


# ---- weights and networks --------------------------------------------------------------------------------


def fit(program: Program, state: Mapping[str, Tensor], name: str | Path) -> Program:
    """The Program bound to a checkpoint's weights, in float64; `name` is the checkpoint's, for messages.

    Raises CheckpointError with a table of all that is missing, misshapen or unexpected, or when a weight is not finite.
    """
    state = _owned(program, state)
    rows = []
    for key, own in program.weights.items():
        got = tuple(state[key].shape) if key in state else None
        if got != tuple(own.shape):
            rows.append((key, str(tuple(own.shape)), "missing" if got is None else str(got)))
    for key in state.keys() - program.weights.keys():
        # A counter of BatchNorm, on which no output depends; and what only constants were computed from.
        if not key.endswith("num_batches_tracked") and key not in program.depends:
            rows.append((key, "no such weight", str(tuple(state[key].shape))))
    if rows:
        table = _table(("weight", "expected", "got"), sorted(rows))
        raise CheckpointError(f"{name}: the checkpoint does not fit the network:\n{table}")
    for key in program.weights:
        if not torch.isfinite(state[key]).all():
            raise CheckpointError(f"{name}: expected finite weights, got NaN or infinity in {key}; did training diverge?")
    try:
        return program.bind(state).to(torch.float64)
    except TraceError as error:
        raise CheckpointError(f"{name}: {error}") from error


def _owned(program: Program, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The network's own weights, where a training module around it holds them under one more name."""
    if program.weights.keys() <= state.keys():
        return state
    for owner in OWNERS:
        if all(owner + key in state for key in program.weights):
            return {key.removeprefix(owner): tensor for key, tensor in state.items() if key.startswith(owner)}
        if all(key.removeprefix(owner) in state for key in program.weights):
            return {owner + key: tensor for key, tensor in state.items()}
    return state


def mlp(state: Mapping[str, Tensor], input_shape: Sequence[int], name: str | Path = "checkpoint") -> Program:
    """Rebuild a plain MLP from the shapes of its weights: its Linear layers in order, ReLU between them.

    Inputs of shape (n, *input_shape) are flattened first. The Program keeps the weights' names.
    Raises CheckpointError when the weights are not those of such a chain of layers.
    """
    layers = [key.removesuffix("weight") for key, tensor in state.items() if _last(key) == "weight" and tensor.dim() == 2]
    known = {f"{layer}{role}" for layer in layers for role in ("weight", "bias")}
    strange = [key for key in state if key not in known]
    if strange or not layers:
        got = ", ".join(f"{key} {tuple(state[key].shape)}" for key in strange) or "none of those"
        raise CheckpointError(
            f"{name}: expected a plain MLP (2-dimensional weights and their biases, nothing else), got {got}; "
            "pass the network itself as model."
        )
    steps: list[Step] = []
    width = math.prod(input_shape)
    if len(input_shape) != 1:
        steps.append(Step("reshape", (0,), 1, {}, {"shape": [width]}, "flatten"))
    for i, layer in enumerate(layers):
        outputs, inputs = state[f"{layer}weight"].shape
        if inputs != width:
            shapes = ", ".join(f"{other}weight {tuple(state[f'{other}weight'].shape)}" for other in layers)
            source = "what the layer before it gives" if i else f"inputs of shape {tuple(input_shape)}"
            raise CheckpointError(
                f"{name}: expected {layer}weight to read {width} numbers ({source}), got {inputs}; "
                f"the layers in order: {shapes}. Do the samples fit the network?"
            )
        if i:
            steps.append(Step("relu", (len(steps),), len(steps) + 1, {}, {}, f"{layers[i - 1].rstrip('.')} relu".strip()))
        params = {"weight": f"{layer}weight"}
        if f"{layer}bias" in state:
            params["bias"] = f"{layer}bias"
        steps.append(Step("linear", (len(steps),), len(steps) + 1, params, {}, layer.rstrip(".")))
        width = outputs
    return Program(input_shape, steps, len(steps), {key: state[key] for key in state})


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _first_line(error: Exception) -> str:
    line = (str(error).strip().splitlines() or [""])[0]
    return re.sub(r"\x1b\[[0-9;]*m", "", line)[:160]  # torch colours some of its messages


def _what(path: Path) -> str:
    return "a folder" if path.is_dir() else "a file" if path.exists() else "nothing there"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(f"  {line}".rstrip() for line in padded)
