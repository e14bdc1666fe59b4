"""Checkpoints: the files of a run in order of steps, and the network that their weights fit.
Here too: the network's own weights among a checkpoint's, found and checked; entries that it has no part in; tied weights by
the names that a file has; and a plain MLP rebuilt from the shapes of its weights.

A checkpoint is a file of named tensors (see `state_files`); its step stands in it, or in its name (see `listings`). A folder
that holds the weights of a whole model, as transformers and accelerate write them (checkpoint-N/ with model.safetensors,
pytorch_model.bin, or an index of several of these), counts as one checkpoint. This file knows no geometry.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from splineviz.errors import CheckpointError, TraceError
from splineviz.tracing.program import Program, Step
from splineviz.training import contents, step_names
from splineviz.training.listings import Checkpoint, Listing, alone, listing, of_steps
from splineviz.training.places import bare

__all__ = [
    "Checkpoint", "Listing", "alone", "fit", "left_out", "list_checkpoints", "listing", "mlp", "of_steps", "retied",
    "step_of",
]  # fmt: skip

OWNERS = ("model.", "net.", "network.", "backbone.", "module.")
"""Names under which a training module (Lightning's, say) mostly holds the network; they win over copies of it."""
COPIES = re.compile(r"(.*[._])?(ema|swa|avg|averaged|teacher|target|momentum|shadow|best|old|polyak)(_\w+)?")
"""Names of copies of a network beside it; a copy has all the network's weights."""
BESIDE = re.compile(
    r"(.*_)?(loss|losses|loss_fn|lossfn|criterion|criteria|metrics?|accuracy|auroc|acc|optimi[sz]er|scheduler|"
    r"class_weights?|pos_weights?|loss_weights?)(_\w+)?"
)
"""Names of parts of a training module that its network's output cannot come from: losses, what weighs them, and metrics."""


# ---- the files of a folder -------------------------------------------------------------------------------


def list_checkpoints(folder: str | Path, files: str | None = None) -> tuple[list[Checkpoint], dict[str, str]]:
    """The checkpoints of a folder in order of their steps, and the files that were passed over, each with its reason.

    files: a pattern of names, see `listings`. Raises CheckpointError as `listing` does.
    """
    found = listing(folder, files)
    return list(found.checkpoints), dict(found.skipped)


def step_of(name: str) -> int | None:
    """The step in a file's name, None if there is none. See `step_names`."""
    return step_names.read(bare(name)).best


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
        graph = any(key.startswith("graph_") and not state[key].numel() for key, _, _ in rows if key in state)
        more = "\nIts operators are not those of the first file: export all checkpoints in the same way." if graph else ""
        raise CheckpointError(f"{name}: the checkpoint does not fit the network:\n{table}{more}")
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
    fitting = [
        front for front in fronts if all(state[front + key].shape == own.shape for key, own in program.weights.items())
    ]
    fronts = fitting or fronts
    owner = next((front for front in OWNERS if front in fronts and _are_copies(fronts, front)), None)
    if len(fronts) > 1 and owner is None:
        raise CheckpointError(
            f"{name}: expected one network of this structure, got several: {', '.join(f.rstrip('.') for f in fronts)}; "
            f"choose one (--weights-key {fronts[0].rstrip('.')}, weights_key={fronts[0].rstrip('.')!r})."
        )
    if fronts:
        front = owner or fronts[0]
        _refuse_others(state, front, fronts, name)
        return {key.removeprefix(front): tensor for key, tensor in state.items() if key.startswith(front)}
    parts = some.split(".")
    for depth in range(1, len(parts)):
        front = ".".join(parts[:depth]) + "."
        if all(key.startswith(front) and key.removeprefix(front) in state for key in wanted):
            return {front + key: tensor for key, tensor in state.items()}
    return state


def left_out(program: Program, state: Mapping[str, Tensor], name: str | Path) -> list[str]:
    """Names of entries of a checkpoint that the network has no part in: copies of it, losses, metrics, counters.

    Raises CheckpointError where that is not certain, as `fit` does.
    """
    own = {id(tensor) for tensor in owned(program, state, name).values()}
    return [key for key, tensor in state.items() if id(tensor) not in own]


def retied(program: Program, tied: Iterable[Sequence[str]], state: Mapping[str, Tensor]) -> Program:
    """The Program with tied weights under that of their names which a checkpoint has.

    tied: names of one and the same tensor. safetensors stores such a tensor once, and not always under the name that the
    network was traced with.
    """

    def stored(name: str) -> bool:
        return name in state or any(key.endswith(f".{name}") for key in state)

    names: dict[str, str] = {}
    for group in tied:
        there = [name for name in group if stored(name)]
        names |= {name: there[0] for name in group if name in program.weights and there and name not in there}
    if not names:
        return program
    data = program.to_data()
    for step in [*data["steps"], *data.get("trained", {}).get("steps", [])]:
        step["params"] = {role: names.get(key, key) for role, key in step["params"].items()}
    data["weights"] = {names.get(key, key): shape for key, shape in data["weights"].items()}
    data["spare"] = sorted({*data.get("spare", []), *names} - data["weights"].keys())
    return Program.from_data(data).with_weights({names.get(key, key): tensor for key, tensor in program.weights.items()})


def _are_copies(fronts: Sequence[str], front: str) -> bool:
    """Whether all other places of a network are copies of the one at `front`, by their names."""
    return all(other == front or COPIES.fullmatch(other.rstrip(".")) for other in fronts)


def _refuse_others(state: Mapping[str, Tensor], front: str, fronts: Sequence[str], name: str | Path) -> None:
    """Entries outside the network may be a part of what was trained, as a normalisation before it or a layer behind it.

    Only those of losses, metrics, optimisers and copies of the network are passed over; others raise CheckpointError.
    """
    copies = tuple(other for other in fronts if other != front)
    roots = {other.split(".")[0] for other in copies if COPIES.fullmatch(other.split(".")[0])}
    outside = []
    for key in state:
        if key.startswith((front, *copies)) or key.split(".")[0] in roots:
            continue
        own = key.split(".")
        shared = next((i for i, (a, b) in enumerate(zip(own, front.split("."), strict=False)) if a != b), 0)
        if not BESIDE.fullmatch(own[shared]):
            outside.append(key)
    if outside:
        named = ", ".join(f"{key} {tuple(state[key].shape)}" for key in outside[:12])
        more = f" and {len(outside) - 12} more" if len(outside) > 12 else ""
        inside = front.rstrip(".")
        raise CheckpointError(
            f"{name}: expected the weights of the network alone, got it as the part {inside!r} of something larger, with "
            f"{named}{more} outside, which may change what it computes. Pass the whole module as the model, or say that the "
            f"part {inside!r} is the network: --weights-key {inside} (weights_key={inside!r})."
        )


def mlp(
    state: Mapping[str, Tensor], input_shape: Sequence[int], name: str | Path = "checkpoint", *, key: str | None = None
) -> Program:
    """Rebuild a plain MLP from the shapes of its weights: its Linear layers in order, ReLU between them.

    Inputs of shape (n, *input_shape) are flattened first. The Program keeps the weights' names. key: the --weights-key that
    the weights were read with; "." and lists of parts say that they are one chain, in their order.
    Raises CheckpointError when the weights are not those of such a chain of layers, or may as well be those of several.
    """
    layers = [one.removesuffix("weight") for one, tensor in state.items() if _last(one) == "weight" and tensor.dim() == 2]
    known = {f"{layer}{role}" for layer in layers for role in ("weight", "bias")}
    strange = [one for one in state if one not in known]
    width = math.prod(input_shape)
    if strange or not layers:
        got = ", ".join(f"{one} {tuple(state[one].shape)}" for one in strange) or "none of those"
        raise CheckpointError(
            f"{name}: expected a plain MLP (2-dimensional weights and their biases, nothing else), got {got}; "
            f"pass the network itself as model{_parts(state, layers, width, key)}."
        )
    series = _series(layers)
    whole = key is not None and (key == contents.WHOLE or "," in key)
    ordered = Path(name).suffix != ".safetensors"  # which sorts its entries by their names
    if not ordered:
        series = series if whole else next(iter(_orders(series, state, width)), series)
        layers = [layer for one in series for layer in one]
    shapes = ", ".join(f"{layer}weight {tuple(state[f'{layer}weight'].shape)}" for layer in layers)
    reads = width
    for i, layer in enumerate(layers):
        outputs, inputs = state[f"{layer}weight"].shape
        if inputs != reads:
            source = "what the layer before it gives" if i else f"inputs of shape {tuple(input_shape)}"
            raise CheckpointError(
                f"{name}: expected {layer}weight to read {reads} numbers ({source}), got {inputs}; "
                f"the layers in order: {shapes}. Do the samples fit the network?{_parts(state, layers, width, key)}"
            )
        reads = outputs
    if not whole and (why := _in_doubt(layers, series, state, width, ordered=ordered)):
        raise CheckpointError(
            f"{name}: expected the layers of one plain MLP, got some that may as well be of several networks, or joined "
            f"otherwise: {why}; the layers in order: {shapes}. Pass the network itself as model, or say that these are one "
            f"chain: --weights-key {contents.WHOLE}{_parts(state, layers, width, key)}"
        )
    return _chain(state, layers, input_shape)


def _chain(state: Mapping[str, Tensor], layers: Sequence[str], input_shape: Sequence[int]) -> Program:
    """The Program of Linear layers one after the other, ReLU between them."""
    steps: list[Step] = []
    if len(input_shape) != 1:
        steps.append(Step("reshape", (0,), 1, {}, {"shape": [math.prod(input_shape)]}, "flatten"))
    for i, layer in enumerate(layers):
        if i:
            steps.append(Step("relu", (len(steps),), len(steps) + 1, {}, {}, f"{layers[i - 1].rstrip('.')} relu".strip()))
        params = {"weight": f"{layer}weight"}
        if f"{layer}bias" in state:
            params["bias"] = f"{layer}bias"
        steps.append(Step("linear", (len(steps),), len(steps) + 1, params, {}, layer.rstrip(".")))
    return Program(input_shape, steps, len(steps), {key: state[key] for key in state})


# ---- whether layers are one chain ------------------------------------------------------------------------


def _series(layers: Sequence[str]) -> list[Sequence[str]]:
    """Layers whose names differ in their numbers alone, by these; in the order in which each such series begins.

    Containers of several layers each, as blocks.0.fc1, blocks.0.fc2, blocks.1.fc1, are series of their own.
    """
    found: dict[str, list[str]] = {}
    parents = [_parent(layer) for layer in layers]
    for layer, parent in zip(layers, parents, strict=True):
        kept = parent if parents.count(parent) > 1 else _numberless(parent)
        found.setdefault(f"{kept}.{_numberless(_last(layer[:-1]))}", []).append(layer)
    return [sorted(one, key=_natural) for one in found.values()]


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]


def _ends(series: Sequence[str], state: Mapping[str, Tensor]) -> tuple[int, int]:
    """What the first layer of a series reads, and how much its last one gives; 0 where they do not fit each other."""
    shapes = [state[f"{layer}weight"].shape for layer in series]
    fits = all(one[0] == other[1] for one, other in zip(shapes, shapes[1:], strict=False))
    return (int(shapes[0][1]), int(shapes[-1][0])) if fits else (0, 0)


def _orders(series: Sequence[Sequence[str]], state: Mapping[str, Tensor], width: int) -> list[list[Sequence[str]]]:
    """The orders of a few series in which each reads what the one before it gives."""
    ends = [_ends(one, state) for one in series]
    orders = itertools.permutations(range(len(series))) if len(series) <= MOST_SERIES else ()

    def fits(order: Sequence[int]) -> bool:
        given = [width, *(ends[i][1] for i in order)]
        return all(ends[i][0] == reads for i, reads in zip(order, given, strict=False))

    return [[series[i] for i in order] for order in orders if fits(order)]


def _in_doubt(
    layers: Sequence[str], series: Sequence[Sequence[str]], state: Mapping[str, Tensor], width: int, *, ordered: bool
) -> str:
    """Why layers that fit one after the other may not be one chain; mostly nothing.

    ordered: whether the file has its entries in the order in which the network has them.
    """
    if not ordered and len(series) > 1 and len(_orders(series, state, width)) != 1:
        return "the file sorts them by name, and more orders than one fit"
    if ordered and list(layers) != [layer for one in series for layer in one]:
        return "their numbers are in another order than they are"
    parents = [_parent(layer) for layer in layers]
    several = {parent for parent in parents if parent and parents.count(parent) > 1}
    for parent in several:
        reads, gives = _ends([layer for layer in layers if _parent(layer) == parent], state)
        if reads == gives and any(other != parent and _numberless(other) == _numberless(parent) for other in several):
            return f"{parent} gives as many numbers as it reads, and may have a way past it"
    names = [layer[:-1].split(".") for layer in layers]
    shared = next((i for i, parts in enumerate(zip(*names, strict=False)) if len(set(parts)) > 1), 0)
    if len(series) == 1:
        inside = names[0][shared - 1] if shared else _numberless(names[0][0]).rstrip("#_")
        square = len(layers) > 1 and all(state[f"{layer}weight"].shape == (width, width) for layer in layers)
        return f"each of {inside} may read the input" if square and BESIDE_EACH_OTHER.fullmatch(inside.lower()) else ""
    words = {word for name in names for part in name[shared:] for word in re.findall(r"[a-z]+", part.lower())}
    ends = [_ends(one, state) for one in series]
    for i, (reads, _) in enumerate(ends if words - PLAIN else ()):
        others = [series[j][-1][:-1] for j in range(i - 1) if ends[j][1] == reads]
        others += ["the input"] if reads == width and i else []
        if others:
            return f"{series[i][0][:-1]} may read {others[0]} as well as {series[i - 1][-1][:-1]}"
    return ""


def _parent(layer: str) -> str:
    return layer[:-1].rpartition(".")[0]


def _numberless(name: str) -> str:
    return re.sub(r"[0-9]+", "#", name)


def _parts(state: Mapping[str, Tensor], layers: Sequence[str], width: int, key: str | None) -> str:
    """The chains that the parts of a network give, to choose from; "" where there is none but the whole."""
    fronts = {".".join(layer[:-1].split(".")[:depth]) for layer in layers for depth in range(1, layer.count("."))}
    fronts |= {layer[:-1] for layer in layers if layer}
    chains: dict[str, tuple[int, int, int]] = {}
    for front in sorted(fronts, key=lambda one: (one.count("."), one)):
        own = sorted((layer for layer in layers if layer.startswith(f"{front}.")), key=_natural)
        reads, gives = _ends(own, state)
        if reads and len(own) < len(layers):
            chains[front] = (reads, gives, len(own))
    first = [front for front, (reads, _, count) in chains.items() if reads == width and count > 1]
    listed = [*first, *(f"{one},{other}" for one in first for other, (reads, _, _) in chains.items()
                        if reads == chains[one][1] and not other.startswith(f"{one}."))]  # fmt: skip
    inner = "" if key in (None, contents.WHOLE) or "," in str(key) else f"{key}."
    named = [",".join(f"{inner}{part}" for part in one.split(",")) for one in listed[:MOST_PARTS]]
    return f"; parts that are chains of their own: {' or '.join(f'--weights-key {one}' for one in named)}" if named else ""


MOST_SERIES, MOST_PARTS = 6, 6
PLAIN = {
    "input", "inputs", "inp", "in", "entry", "embed", "embedding", "stem", "first", "start", "fc", "lin", "linear",
    "linears", "layer", "layers", "l", "hidden", "hiddens", "h", "middle", "mid", "body", "net", "mlp", "model", "module",
    "features", "backbone", "main", "dense", "seq", "sequential", "out", "output", "outputs", "exit", "last", "final",
    "head", "classifier", "cls", "readout", "logits", "second", "third", "ffn",
}  # fmt: skip
"""Words in the names of layers that speak of one network."""
BESIDE_EACH_OTHER = re.compile(
    r"experts?|heads?|critics?|actors?|members?|nets|models|networks|branch(es)?|towers?|streams?|gates?|agents?|tasks?|"
    r"ensembles?|qs?|q_?nets?|qf|ways?|paths?"
)
"""Names of lists whose entries mostly read the same input."""


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _what(path: Path) -> str:
    return "a folder" if path.is_dir() else "a file" if path.exists() else "nothing there"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(f"  {line}".rstrip() for line in padded)
