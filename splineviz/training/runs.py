"""A training run on disk: opening it, and what it holds.

`open_run` reads a directory that describes itself (sv.Recorder wrote it) without any of the user's code, and
foreign folders of state dicts when it is told the network and the data.

This file draws and measures nothing. Files below it: `run_json` (what run.json says), `checkpoints` (their files).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from splineviz.errors import CheckpointError, DataError, ScaleWarning, to_float_array
from splineviz.geometry.partition import drawn_as
from splineviz.geometry.plane import Plane
from splineviz.storage import files, provenance
from splineviz.tracing.precision import at_home
from splineviz.tracing.program import Program
from splineviz.tracing.swaps import Swap, swapped
from splineviz.tracing.trace import trace
from splineviz.training import checkpoints, formats, onnx_networks, run_json, sources, state_files, user_code
from splineviz.training.checkpoints import Checkpoint
from splineviz.training.guards import Chosen, Loaded, traced
from splineviz.training.run_json import Manifest
from splineviz.training.samples import Array, Data


@dataclass(frozen=True, eq=False)
class Run:
    """A training run: its checkpoints in order of steps, its samples, and its network's structure.

    network: Program.to_data() of the first checkpoint; see `network_of`. skipped: files that were passed over, each with
    its reason.
    own: written by the Recorder. trust: its pickles may run code. weights_key: which weights of a file, see `state_files`.
    extra: samples from elsewhere that may be anchors, numbered after the training samples.
    last: the step at which the training ends, where it is known. unit: what steps count, "step", "epoch" or "checkpoint".
    swap: functions drawn in the place of smooth ones.
    held: whether what was recorded was held against the module. guard: the user's module, which Programs are held against,
    of a foreign folder that was opened with one. witness: the user's module, which proofs of a recorded run compare with.
    """

    path: Path
    checkpoints: tuple[Checkpoint, ...]
    data: Data
    network: Mapping[str, Any]
    loss: str | None = None
    skipped: Mapping[str, str] = field(default_factory=dict)
    own: bool = True
    trust: bool = False
    weights_key: str | None = None
    extra: tuple[Array, ...] = ()
    last: int | None = None
    unit: str = "step"
    swap: Swap | None = None
    guard: Loaded | None = None
    held: bool = False
    witness: Loaded | None = None
    found: dict[Any, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    @property
    def mapping(self) -> tuple[tuple[str, str], ...]:
        """The file of each checkpoint, as it lies in the folder, and what it counts as: ("net_10.pt", "step 10")."""
        inside = self.path if self.path.is_dir() else self.path.parent
        return tuple((c.path.relative_to(inside).as_posix(), f"{self.unit} {c.step}") for c in self.checkpoints)

    @property
    def judge(self) -> str:
        """What the networks of the run were held against, for those who prove its pictures."""
        if self.guard is not None or self.witness is not None:
            return "your module, with the weights of each file loaded"
        if self.own and self.held:
            return "the network as it was recorded; the Recorder held it against your module at every step"
        if self.own:
            return "the network as it was recorded, before splineviz 0.2: it was not held against your module"
        return "the network as it was given or rebuilt from the shapes of its weights; your module was not seen"

    @at_home
    def outputs(self, checkpoint: Checkpoint, x: Any) -> Any:
        """The outputs (n, C) of the user's module with a checkpoint's weights at x (n, *input_shape), where there is one."""
        if self.witness is not None:
            return self.witness.outputs(self.state(checkpoint), x, checkpoint.path, whole=True)
        return None if self.guard is None else self.guard.outputs(self.state(checkpoint), x, checkpoint.path)

    def __repr__(self) -> str:
        steps = [checkpoint.step for checkpoint in self.checkpoints]
        span = f"{len(steps):,} checkpoints" + (f", steps {steps[0]:,} to {steps[-1]:,}" if steps else "")
        skipped = f", {len(self.skipped):,} files skipped" if self.skipped else ""
        return f"Run({str(self.path)!r}: {span}, {len(self.train_x):,} training samples{skipped})"

    @property
    def note(self) -> str:
        """What a picture of the run must say of its network, such as "gelu drawn as relu"; mostly nothing."""
        return drawn_as(self.network.get("swaps", {}))

    @property
    def train_x(self) -> Array:
        """Training inputs (n, *input_shape)."""
        return self.data.train_x

    @property
    def train_y(self) -> Array | None:
        """Training labels: (n,) int64 classes, (n, C) float64 targets, or None."""
        return self.data.train_y

    @property
    def test_x(self) -> Array | None:
        """Test inputs (m, *input_shape) or None."""
        return self.data.test_x

    @property
    def test_y(self) -> Array | None:
        """Test labels, as train_y."""
        return self.data.test_y

    @property
    def domain(self) -> tuple[float, float]:
        """(low, high) of every coordinate of an input."""
        return self.data.domain

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes, or None."""
        return self.data.classes

    @at_home
    def program(self, checkpoint: Checkpoint) -> Program:
        """The network with a checkpoint's weights, in float64, as it is drawn; `as_trained` it may have smooth functions.

        Raises CheckpointError when they do not fit.
        """
        state = self.state(checkpoint)
        network = Program.from_data(self.network_of(checkpoint, state), rehearsed=True)
        return checkpoints.fit(network, state, checkpoint.path)

    @at_home
    def network_of(self, checkpoint: Checkpoint, state: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """The traced network that a checkpoint's weights belong to, as data; state: its weights, if they were read.

        Of a run it is what was recorded; of a foreign folder with a module, what that module is with these weights loaded.
        Raises CheckpointError when they do not fit.
        """
        if self.guard is None and checkpoint.network is None:
            return self.network
        state = self.state(checkpoint) if state is None and self.guard is not None else state
        key = checkpoint.network if self.guard is None else (str(checkpoint.path), state_files.digest(state or {}))
        if key not in self.found:
            if self.guard is None:
                assert checkpoint.network is not None
                network = run_json.load_network(self.path, checkpoint.network)
            else:
                program = self.guard.bound(state or {}, checkpoint.path)
                network = self.guard.program.to_data() if self.guard.is_plain(program) else program.to_data()
            self.found[key] = network if self.swap is None else swapped(Program.from_data(network), self.swap).to_data()
        return self.found[key]

    def made(self, *chosen: Checkpoint) -> dict[str, Any]:
        """What results from these checkpoints are made of and by: digests of network, samples and weights, versions."""
        held = {str(checkpoint.step): state_files.digest(self.state(checkpoint)) for checkpoint in chosen}
        networks = {str(c.step): files.digest(self.network_of(c)) for c in chosen}
        same = set(networks.values()) <= {files.digest(self.network)}
        network: Any = files.digest(self.network) if same else networks
        source = {"network": network, "samples": self.data.digest(), "weights": held}
        return source | provenance.versions()

    def state(self, checkpoint: Checkpoint) -> state_files.State:
        """A checkpoint's weights as its file has them. Raises CheckpointError."""
        return state_files.load_state(checkpoint.path, raw=self.own, trust=self.trust, key=self.weights_key)

    def only(self, steps: Sequence[int]) -> Run:
        """The run with the checkpoints of these steps alone. Raises CheckpointError for a step without a checkpoint."""
        return replace(self, checkpoints=checkpoints.of_steps(self.checkpoints, steps))

    def at(self, step: int | None = None) -> Checkpoint:
        """The checkpoint of a step, the last one for None. Raises CheckpointError for a step without a checkpoint."""
        return self.checkpoints[-1] if step is None else self.only([step]).checkpoints[0]

    def thinned(self, every: int = 1, last: int | None = None) -> Run:
        """The run with its `last` checkpoints alone, and of those every `every`-th from the first, and the last of all."""
        if every < 1 or (last is not None and last < 1):
            raise CheckpointError(f"every, last: expected numbers of checkpoints from 1 up, got {every} and {last}.")
        kept = self.checkpoints if last is None else self.checkpoints[-last:]
        thin = kept[::every]
        return replace(self, checkpoints=thin if thin[-1:] == kept[-1:] else (*thin, kept[-1]))

    def anchored(self, names: Sequence[Any]) -> tuple[Run, list[int]]:
        """The run with samples from elsewhere among its `extra`, and the indices of the anchors.

        names: as `chosen` takes them, files as `sources.sample` reads them, or arrays (*input_shape).
        Raises DataError as these do.
        """
        extra = list(self.extra)
        plain: list[int | str] = []
        for name in names:
            if isinstance(name, (int, np.integer)) or (isinstance(name, str) and name.startswith("class:")):
                plain.append(name if isinstance(name, str) else int(name))
                continue
            if isinstance(name, (str, Path)):
                x = sources.sample(name, self.train_x.shape[1:], self.domain)
            else:
                x = to_float_array(name, "anchor")
            if x.shape != self.train_x.shape[1:]:
                raise DataError(f"anchors: expected samples of shape {self.train_x.shape[1:]}, got {x.shape}.")
            plain.append(len(self.train_x) + len(extra))
            extra.append(x.astype(self.train_x.dtype))
        run = replace(self, extra=tuple(extra))
        return run, run.chosen(plain)

    def chosen(self, names: Sequence[int | str]) -> list[int]:
        """Indices of training samples: a number is one; "class:4" is the first sample of a class, not yet taken.

        Raises DataError for a class without (further) samples, or a run without classes.
        """
        taken = [int(n) for n in names if not isinstance(n, str)]
        indices = []
        for name in names:
            if isinstance(name, str):
                indices.append(self._first_of(name.removeprefix("class:"), taken))
                taken.append(indices[-1])
            else:
                indices.append(int(name))
        return indices

    def _first_of(self, kind: str, taken: Sequence[int]) -> int:
        if self.train_y is None or self.train_y.ndim != 1:
            raise DataError(f"anchors: expected samples with classes for class:{kind}, got none; name samples by index.")
        known = list(self.classes or ())
        number = known.index(kind) if kind in known else int(kind) if kind.isdecimal() else -1
        members = [int(i) for i in np.flatnonzero(self.train_y == number) if i not in taken]
        if not members:
            names = ", ".join(known or map(str, np.unique(self.train_y)))
            raise DataError(f"anchors: expected a class that has a further training sample, of {names}, got {kind!r}.")
        return members[0]

    def anchors(self, indices: Sequence[int] = (0, 1, 2)) -> list[Array]:
        """Three samples (*input_shape), by index. Raises DataError unless the indices are distinct and in range."""
        wanted = [int(i) for i in indices]
        if len(wanted) != 3 or len(set(wanted)) != 3:
            raise DataError(f"anchors: expected three distinct indices of training samples, got {list(indices)}.")
        known = len(self.train_x)
        outside = [i for i in wanted if not 0 <= i < known + len(self.extra)]
        if outside:
            got = ", ".join(map(str, outside))
            raise DataError(f"anchors: expected indices of training samples, 0 to {len(self.train_x) - 1}, got {got}.")
        return [self.train_x[i] if i < known else self.extra[i - known] for i in wanted]

    def plane(self, anchors: Sequence[int] = (0, 1, 2)) -> Plane:
        """The plane through three training samples, by index.

        Raises DataError as `anchors` does, PlaneError when the samples coincide or lie on a line.
        """
        return Plane.through(*self.anchors(anchors))


@at_home
def open_run(
    path: str | os.PathLike[str], *, model: str | nn.Module | Program | None = None, data: str | Data | None = None,
    model_args: str | None = None, data_args: str | None = None, weights_key: str | None = None, swap: Swap | None = None,
    trust: bool = False, output: str | int | None = None, outputs: Sequence[int] | None = None,
    witness: str | nn.Module | None = None, files: str | None = None,
) -> Run:  # fmt: skip
    """Open a run directory that the Recorder wrote, a foreign folder of checkpoints, or one checkpoint file.

    A network with smooth functions can be opened and measured as it is; it is refused where its regions are asked for.

    Args:
        path: the directory or file.
        model: of a foreign folder: "mlp" (a plain ReLU MLP, rebuilt from its weights), "package.module:function" or
            "file.py:function", a module or a Program; None where files hold it themselves (.onnx, modules in trusted files).
        data: of a foreign folder: what `sources` knows, by name, or Data.
        model_args: a JSON object of keyword arguments for the model's function.
        data_args: the same for the data's function.
        weights_key: which of a file's weights, such as "ema", see `state_files`.
        swap: functions to draw in the place of smooth ones, such as {"gelu": "relu"}, see `swaps`.
        trust: unpickle foreign files that need code, which RUNS IT.
        output: of a foreign network, which result of forward is drawn, as in `trace`.
        outputs: of a foreign network, which entries of it are drawn, as in `trace`.
        witness: of a run that describes itself, the user's module, or a function with model_args: `verify` compares with it.
        files: which files of a foreign folder, a pattern such as "net_*.pt" or "run_{step}.pt", see `listings`.

    Returns:
        The run.

    Raises:
        CheckpointError: the folder is missing, empty or broken, does not say what it holds, or does not fit the network.
        DataError: unknown data.
        TraceError: a module that cannot be traced, or nothing to swap.
    """
    root = _named(path)
    single = root.is_file() and formats.format_of(root) is not None
    if not (root.is_dir() or single):
        raise CheckpointError(f"{root}: expected a run directory or a folder of checkpoints, got {_what(root)}.")
    if (root / run_json.NAME).exists():
        arguments = None if witness is not None else model_args
        _check_bare(root, (model, data, arguments, data_args, weights_key, output, outputs, files))
        return _own(root, swap, witness, model_args)
    _check_foreign(root, witness, files if single else None)
    listed = checkpoints.alone(root) if single else checkpoints.listing(root, files)
    found = listed.checkpoints
    holds_network = trust or all(checkpoint.path.suffix == ".onnx" for checkpoint in found)
    if (model is None and not holds_network) or data is None:
        raise _not_said(root, len(found), model is not None, data is not None)
    _check_arguments("model", model, model_args)
    _check_arguments("data", data, data_args)
    samples = sources.load(data, data_args) if isinstance(data, str) else data
    if samples.remark:
        warnings.warn(samples.remark, ScaleWarning, stacklevel=3)
    made = None if isinstance(model, str) and model == "mlp" else _foreign_network(model, model_args, found[0])
    first = (found[0].path, trust, weights_key)
    network, guard = traced(made, samples.train_x, first, Chosen(output, outputs))
    network = _remarked(first, network if swap is None else swapped(network, swap))
    return Run(
        root, found, samples, network.to_data(), skipped=listed.skipped, own=False, trust=trust, weights_key=weights_key,
        unit=listed.unit, swap=swap, guard=guard,
    )  # fmt: skip


# ---- opening ---------------------------------------------------------------------------------------------


def _named(path: str | os.PathLike[str]) -> Path:
    if isinstance(path, str | os.PathLike):
        return Path(path)
    raise CheckpointError(
        f"run: expected the path of a run directory or a folder of checkpoints, got {type(path).__name__}; a network is cut "
        "by sv.partition(model, plane), and recorded while it trains by sv.Recorder."
    )


def _check_bare(root: Path, given: Sequence[Any]) -> None:
    if any(said is not None for said in given):
        raise CheckpointError(
            f"{root}: expected a bare call for a run that describes itself, got a model, data, key or outputs; leave "
            "them out (outputs are chosen when it is recorded)."
        )


def _check_foreign(root: Path, witness: Any, files: str | None) -> None:
    if witness is not None:
        raise CheckpointError(f"{root}: expected a run that describes itself for a witness; pass the module as model.")
    if files is not None:
        raise CheckpointError(f"{root}: expected a folder for files={files!r}, got one file; leave files out.")


def _not_said(root: Path, count: int, model: bool, data: bool) -> CheckpointError:
    what = f"checkpoint{'s' * (count > 1)}{' without a network' * data}{' without samples' * model}"
    return CheckpointError(
        f"{root}: expected a run that describes itself ({run_json.NAME}, written by sv.Recorder), got {count} {what}; say "
        "what they are, for example --model mlp --data mnist (open_run(path, model='mlp', data='mnist'))."
        + " Files that are whole pickled modules need no model but --trust, which runs their code." * data
    )


def _remarked(first: tuple[Path, bool, str | None], network: Program) -> Program:
    """The network, with a warning of weights in the first file that its key leaves out."""
    path, trust, key = first
    if key is not None and (left := state_files.left_out(path, key, trust=trust)):
        warnings.warn(f"splineviz: {left}", RuntimeWarning, stacklevel=4)
    return network


def _check_arguments(name: str, given: Any, arguments: str | None) -> None:
    if arguments is not None and not (isinstance(given, str) and ":" in given):
        raise CheckpointError(f"{name}_args: expected {name} to be package.module:function for them, got {given!r}.")


def _own(root: Path, swap: Swap | None, witness: Any = None, model_args: str | None = None) -> Run:
    said = Manifest.load(root)
    if not said.checkpoints:
        raise CheckpointError(f"{root}: expected a run with checkpoints, got none so far; does the loop call recorder.save?")
    network = said.network if swap is None else swapped(Program.from_data(said.network), swap).to_data()
    run = Run(root, said.checkpoints, said.data(root), network, said.loss, last=said.last, swap=swap, held=said.held)
    if witness is None:
        return run
    made = _foreign_network(witness, model_args, said.checkpoints[0])
    if not isinstance(made, nn.Module):
        raise CheckpointError(f"{root}: expected a module, or module:function that makes it, got {type(made).__name__}.")
    return replace(run, witness=Loaded(made, trace(made, run.train_x.shape[1:], smooth=True), run.train_x))


def _foreign_network(model: Any, model_args: str | None, first: Checkpoint) -> Any:
    if model is None:
        is_onnx = first.path.suffix == ".onnx"
        return onnx_networks.network(first.path) if is_onnx else state_files.load_network(first.path)
    if isinstance(model, str):
        if ":" not in model:
            raise CheckpointError(f"model: expected 'mlp', module:function, a module or a Program, got {model!r}.")
        model = user_code.make(model, model_args, error=CheckpointError)
    return model


def _what(path: Path) -> str:
    return "a file" if path.exists() else "nothing there"
