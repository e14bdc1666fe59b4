"""Checkpoints: the files of a run in order of steps, and the network that their weights fit.

A checkpoint is a file of named tensors (see `weights`). Its step is read from its name:

    checkpoint-w:200-d:4-s:2668.pt -> 2668      a number that follows step, s, iter, it, epoch or ep
    net_000120.pth                 -> 120       else the last number

A folder that holds the weights of a whole model, as transformers and accelerate write them (checkpoint-N/ with
model.safetensors, pytorch_model.bin, or an index of several of these), counts as one checkpoint. This room knows no
geometry.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from splineviz.errors import CheckpointError, TraceError
from splineviz.tracing.program import Program, Step
from splineviz.training.state_files import INDEX

TORCH_FILES = (".pt", ".pth", ".ckpt", ".bin")
OWNERS = ("model.", "net.", "network.", "backbone.", "module.")
"""Names under which a training module (Lightning's, say) mostly holds the network; they win over copies of it."""
SUFFIXES = (*TORCH_FILES, ".safetensors", ".pt2")
FOLDER_FILES = ("model.safetensors", f"model.safetensors{INDEX}", "pytorch_model.bin", f"pytorch_model.bin{INDEX}")
"""What the folder of one checkpoint may hold its weights in; the first one that is there counts."""


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint: its step, its file, and the numbers that were recorded beside it (accuracies, losses).

    network: digest of the traced network that its weights belong to, where it is another than the run's first.
    """

    step: int
    path: Path
    metrics: Mapping[str, float] = field(default_factory=dict)
    network: str | None = None


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
        if path.is_dir():
            inside = next((path / inner for inner in FOLDER_FILES if (path / inner).is_file()), None)
            if inside is None and name.startswith("checkpoint-"):
                skipped[name] = f"none of {', '.join(FOLDER_FILES)} in it"
            if inside is None:
                continue
            path = inside
        elif path.suffix not in SUFFIXES or name.startswith("."):
            continue
        step = step_of(name)
        if step is None or step < 0:
            skipped[name] = "no step in its name" if step is None else f"step {step} lies before the training"
        elif step in found:
            other = found[step].relative_to(folder).parts[0]
            raise CheckpointError(
                f"{folder}: expected one file a step, got {other} and {name} both for step {step}; "
                "move the files of other runs to folders of their own."
            )
        else:
            found[step] = path
    if not found:
        said = f"; passed over {', '.join(f'{name} ({why})' for name, why in skipped.items())}" if skipped else ""
        below = [p for p in sorted(folder.rglob("*")) if p.suffix in SUFFIXES and step_of(p.name) is not None]
        said += f"; look in {below[0].parent}" if below else ""
        raise CheckpointError(f"{folder}: expected files {', '.join(SUFFIXES)} with a step in their names, got none{said}.")
    return [Checkpoint(step, found[step]) for step in sorted(found)], skipped


def single(path: Path) -> Checkpoint:
    """One file as a checkpoint; without a step in its name it is that of step 0."""
    return Checkpoint(max(step_of(path.name) or 0, 0), path)


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


# ---- weights and networks --------------------------------------------------------------------------------


def fit(program: Program, state: Mapping[str, Tensor], name: str | Path) -> Program:
    """The Program bound to a checkpoint's weights, in float64; `name` is the checkpoint's, for messages.

    Raises CheckpointError with a table of all that is missing, misshapen or unexpected, or when a weight is not finite.
    """
    state = check(program, state, name)
    real = {key for key, own in program.weights.items() if own.is_floating_point()}
    numbers = {key: t.double() if key in real else t for key, t in state.items()}  # whole numbers may stand for real ones
    try:
        return program.bind(numbers).to(torch.float64)
    except TraceError as error:
        raise CheckpointError(f"{name}: {error}") from error


def check(program: Program, state: Mapping[str, Tensor], name: str | Path) -> Mapping[str, Tensor]:
    """The network's own weights among a checkpoint's, if they have its names and shapes and are finite; raises as `fit`."""
    state = owned(program, state, name)
    rows = []
    for key, own in program.weights.items():
        got = tuple(state[key].shape) if key in state else None
        if got != tuple(own.shape):
            rows.append((key, str(tuple(own.shape)), "missing" if got is None else str(got)))
    for key in state.keys() - program.weights.keys():
        # A counter of BatchNorm, on which no output depends, as on what is spare; and what only constants come from.
        if not key.endswith("num_batches_tracked") and key not in program.depends and key not in program.spare:
            rows.append((key, "no such weight", str(tuple(state[key].shape))))
    if rows:
        table = _table(("weight", "expected", "got"), sorted(rows))
        raise CheckpointError(f"{name}: the checkpoint does not fit the network:\n{table}")
    for key in program.weights:
        if not torch.isfinite(state[key]).all():
            raise CheckpointError(f"{name}: expected finite weights, got NaN or infinity in {key}; did training diverge?")
    return state


def owned(program: Program, state: Mapping[str, Tensor], name: str | Path) -> Mapping[str, Tensor]:
    """The network's own weights, where a module around either of the two holds them under longer names."""
    wanted = program.weights.keys()
    if not wanted or wanted <= state.keys():
        return state
    some = next(iter(wanted))
    fronts = [key.removesuffix(some) for key in state if key.endswith(f".{some}")]
    fronts = [front for front in fronts if all(front + key in state for key in wanted)]
    fronts = fronts[:1] if len(fronts) == 1 else [front for front in OWNERS if front in fronts][:1] or fronts
    if len(fronts) > 1:
        raise CheckpointError(
            f"{name}: expected one network of this structure, got several: {', '.join(f.rstrip('.') for f in fronts)}; "
            f"choose one (--weights-key {fronts[0].rstrip('.')}, weights_key={fronts[0].rstrip('.')!r})."
        )
    if fronts:
        return {key.removeprefix(fronts[0]): tensor for key, tensor in state.items() if key.startswith(fronts[0])}
    parts = some.split(".")
    for depth in range(1, len(parts)):
        front = ".".join(parts[:depth]) + "."
        if all(key.startswith(front) and key.removeprefix(front) in state for key in wanted):
            return {front + key: tensor for key, tensor in state.items()}
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


def _what(path: Path) -> str:
    return "a folder" if path.is_dir() else "a file" if path.exists() else "nothing there"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(f"  {line}".rstrip() for line in padded)
