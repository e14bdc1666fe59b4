"""Contents: what lies in the content of a checkpoint file: sets of weights, and the step that it was saved at.
Here too: tensors of several levels under dotted names, and the entry at a path of names.

    {"net": {...tensors...}, "epoch": 7, "optimizer": {...}}        one set, net; saved at epoch 7
    {"model": {...}, "model_ema": {...}}                            two sets; the user says which

A set is a dictionary whose entries are tensors, also over several levels, whose names are then joined with dots. States of
optimisers, schedulers, losses, random generators and settings are no sets of weights. Lists count as dictionaries of their
indices. This file knows no files.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

WHOLE = "."
"""The key of all that lies in a file, taken as one set."""
DEEPEST = 6
NO_WEIGHTS = re.compile(
    r"(?i)(.*[_.])?(optim\w*|opt|sched\w*|lr_\w+|scaler|grad_scaler|loss_scaler|amp\w*|rng\w*|random\w*|"
    r"\w*rng_states?|args|config|cfg|hparams|hyper_?parameters|callbacks|loops|history|metrics?|criterion|loss(es|_fn)?|"
    r"extra_state|sampler\w*|dataloader\w*|tokenizer|vocab\w*|param_shapes|param_groups|meta|results?|logs?)"
    r"([_.](state|states|state_dict))?"
)
"""Names of entries that hold no weights of the network."""
STEP_KEYS = (
    "global_step", "global_steps", "step", "iteration", "iter", "iter_num", "it", "itr", "num_updates", "num_update",
    "n_iter", "niter", "train_step", "training_step", "step_count", "current_step", "cur_step", "current_iter", "i_step",
)  # fmt: skip
EPOCH_KEYS = ("epoch", "cur_epoch", "current_epoch", "last_epoch", "epoch_num", "n_epoch", "ep")
PLACES = (
    "", "meta", "extra_state", "extra_state.train_iterator", "optimizer_history.-1", "progress", "train_state", "state",
    "trainer", "trainer_state", "info", "logs",
)  # fmt: skip
"""Where in a file its step may stand."""


def sets(content: Any) -> dict[str, Mapping[str, Any]]:
    """The sets of weights in a content, by the path of names that leads to each; "" is the content itself."""
    return dict(_sets(content, "", 0, set()))


def _sets(content: Any, path: str, depth: int, seen: set[int]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    content = entries(content)
    if content is None or depth > DEEPEST or id(content) in seen or "param_groups" in content:
        return
    seen.add(id(content))
    whole = flat(content) if depth else None
    if whole:
        yield path, whole
        return
    found: list[tuple[str, Mapping[str, Any]]] = []
    for key, value in content.items():
        if not isinstance(value, Tensor) and not (isinstance(key, str) and NO_WEIGHTS.fullmatch(key)):
            found += _sets(value, f"{path}.{key}" if path else str(key), depth + 1, seen)
    own = {key: value for key, value in content.items() if isinstance(value, Tensor)}
    if own and (not found or any("." in str(key) for key in own)):
        found.append((path, own))
    yield from found


def entries(value: Any) -> Mapping[Any, Any] | None:
    """A container as a mapping; None for anything else. A module, which only a trusted file has, gives its state dict."""
    if isinstance(value, nn.Module):
        return value.state_dict()
    if isinstance(value, Mapping):
        return value
    if isinstance(value, (list, tuple)):
        return {str(i): inner for i, inner in enumerate(value)}
    return None


def flat(content: Mapping[Any, Any], depth: int = 0) -> dict[str, Tensor] | None:
    """Tensors over all levels under dotted names; None when anything else is among them, or nothing."""
    found: dict[str, Tensor] = {}
    for key, value in content.items():
        if isinstance(value, Tensor):
            found[str(key)] = value
        elif isinstance(value, Mapping) and depth < DEEPEST and isinstance(key, str) and not NO_WEIGHTS.fullmatch(key):
            inner = flat(value, depth + 1)
            if inner is None:
                return None
            found |= {f"{key}.{name}": tensor for name, tensor in inner.items()}
        elif key != "_metadata" and not (depth and value is None):
            return None
    return found or None


def whole(content: Any) -> dict[str, Tensor]:
    """All sets of a content as one, under the dotted names that lead to their tensors."""
    return {f"{path}.{name}" if path else str(name): t for path, inner in sets(content).items() for name, t in inner.items()}


def saved_at(content: Any) -> tuple[int | None, int | None]:
    """(step, epoch) that a content says it was saved at; None where it does not say."""
    found: list[int | None] = []
    for keys in (STEP_KEYS, EPOCH_KEYS):
        values = (_number(at(content, f"{place}.{key}" if place else key)) for place in PLACES for key in keys)
        found.append(next((value for value in values if value is not None), None))
    return found[0], found[1]


def at(content: Any, path: str) -> Any:
    """The entry at a path of names; None where there is none."""
    for part in path.split("."):
        if isinstance(content, (list, tuple)) and re.fullmatch(r"-?\d{1,6}", part):
            content = content[int(part)] if -len(content) <= int(part) < len(content) else None
        else:
            content = content.get(part) if isinstance(content, Mapping) else None
    return content


def _number(value: Any) -> int | None:
    if isinstance(value, Tensor):
        if value.numel() != 1 or value.is_meta or value.layout is not None and str(value.layout) != "torch.strided":
            return None
        value = value.reshape(()).item()
    if isinstance(value, str) and re.fullmatch(r"\d{1,15}", value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return int(value) if value == int(value) and 0 <= value < 1e15 else None
