"""The Recorder: writes a training run that describes itself.

    recorder = sv.Recorder("ckpts/", model, train=(x, y), test=(x_test, y_test), steps=30_000)
    for step in range(30_001):
        if recorder.due(step):
            recorder.save(step, train_accuracy=...)
        ...                                        # one optimiser step

Checkpoints are due on a logarithmic schedule, ten a decade, every step at first, for that is where a
network changes fastest. Every file is whole or absent and run.json is written anew after each checkpoint,
so a run that was killed can be drawn up to its last checkpoint.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from splineviz.errors import CheckpointError, DataError, ScaleWarning, TraceError
from splineviz.storage import files
from splineviz.tracing import trace
from splineviz.tracing.precision import at_home, is_rounding, undisturbed
from splineviz.tracing.program import Program
from splineviz.tracing.swaps import piecewise
from splineviz.training import guards, run_json, state_files
from splineviz.training.checkpoints import Checkpoint
from splineviz.training.run_json import Manifest
from splineviz.training.samples import Data


class Observer(Protocol):
    """What is told of every checkpoint that was saved, such as a `Monitor`."""

    def saved(self, path: Path, step: int, last: bool) -> None:
        """The run at `path` has the checkpoint of `step`, whole; last: the training ends there, as far as is known."""


class Recorder:
    """Writes a run directory from a training loop.

    Under torchrun, where several processes train the same weights, the process of RANK 0 records; the others write nothing.

    Args:
        path: the directory, made if needed.
        model: the module that is trained, also in torch's own wrappers. It is traced at once and compared with the saved
            weights at every `save` (see `guards`), so it may change: each step records the network as it is then.
        train: (x, y) with x (n, *input_shape) and y integer classes (n,), float targets (n, C), or None; or a Dataset or
            DataLoader of such pairs, of which the first 10,000 are taken.
        test: as `train`, or None.
        classes: names of the classes.
        domain: (low, high) of the inputs' coordinates; None: those of the training inputs.
        loss: name of the loss, for captions.
        steps: the last step of the run, which is always due; None if it is not known.
        per_decade: checkpoints for each tenfold of steps.
        if_exists: for a run that is already there: "error", "overwrite" (its files are deleted first), or "resume" (its
            checkpoints stay, one that is saved again is replaced; network and samples must be the same).
        monitor: called after every checkpoint; a `Monitor` measures it while the training waits.
        output: which result of forward is the output, as in `trace`.
        outputs: which of its entries to keep, as in `trace`.

    A network with smooth functions (GELU, softmax inside) has no regions: it is recorded, and a warning says what works.

    Raises:
        TraceError: the model is neither piecewise affine nor smooth in a way that is known.
        DataError: samples or schedule do not fit.
        CheckpointError: the directory already holds a run, or files of others under the same names.
    """

    def __repr__(self) -> str:
        steps = [checkpoint.step for checkpoint in self._manifest.checkpoints]
        last = f", the last at step {steps[-1]:,}" if steps else ""
        return f"Recorder({str(self.path)!r}: {len(steps):,} checkpoint{'' if len(steps) == 1 else 's'}{last})"

    @at_home
    def __init__(
        self,
        path: str | os.PathLike[str],
        model: nn.Module,
        *,
        train: Any,
        test: Any = None,
        classes: Sequence[Any] | None = None,
        domain: Sequence[float] | None = None,
        loss: str | None = None,
        steps: int | None = None,
        per_decade: int = 10,
        if_exists: Literal["error", "overwrite", "resume"] = "error",
        monitor: Observer | None = None,
        output: str | int | None = None,
        outputs: Sequence[int] | None = None,
    ):
        if if_exists not in ("error", "overwrite", "resume"):
            raise CheckpointError(f"if_exists: expected error, overwrite or resume, got {if_exists!r}.")
        self.path = Path(path)
        self.steps = steps
        self.per_decade = int(per_decade)
        schedule(1, per_decade=self.per_decade)  # refuses a bad number now, not at the first checkpoint
        self._monitor = monitor
        data = Data.of(train, test, domain=domain, classes=classes)
        if data.remark:
            warnings.warn(data.remark, ScaleWarning, stacklevel=3)
        self._guard = guards.Live(model, data.train_x, output=output, outputs=outputs)
        _refuse_other_numbers(self._guard, data)
        _say_if_smooth(self._guard.program)
        self._manifest = Manifest(self._guard.program.to_data(), data.domain, data.classes, loss, self.steps, held=True)
        self._present: tuple[Program, str | None] = (self._guard.program, None)
        self._last: tuple[int, dict[str, Tensor], dict[str, float]] | None = None
        self._mine: tuple[tuple[int, int, int] | None, str] = (None, "")
        self._aside = _aside()
        if self._aside:
            warnings.warn(f"{self._aside}: {self.path} is recorded by rank 0, this process writes nothing.", stacklevel=3)
        else:
            self._begin(data, if_exists)

    def due(self, step: int) -> bool:
        """Whether the schedule asks for a checkpoint at this step."""
        return step == self.steps or _due(step, self.per_decade)

    @at_home
    def save(self, step: int, **metrics: Any) -> Path:
        """Write the model's present weights as the checkpoint of `step`, and numbers that belong to it.

        The names train_accuracy and test_accuracy (in [0, 1]) are read by the animation; any others are kept.
        Returns the checkpoint's path. Raises DataError for a metric that is not a number, CheckpointError when the
        module, as it is now, can no longer be traced, or another process writes the same run; nothing is written then.
        """
        if int(step) != step or step < 0:
            raise DataError(f"step: expected a whole number from 0 up, got {step!r}.")
        numbers = _numbers(metrics)
        if self._aside:
            return run_json.checkpoint_path(self.path, int(step))
        try:
            program, state = self._guard.state()
        except TraceError as error:
            raise CheckpointError(
                f"step {step}: the network can no longer be drawn, nothing was written for this step: {error}"
            ) from error
        self._refuse_others(int(step))
        network = self._network(program)
        target = run_json.checkpoint_path(self.path, int(step))
        self._compare(int(step), state, numbers)
        state_files.save_state(target, state)
        self._manifest = self._manifest.adding(Checkpoint(int(step), target, numbers, network))
        self._keep(self._manifest.note(self.path, int(step)))
        if self._monitor is not None:
            self._monitor.saved(self.path, int(step), step == self.steps)
        return target

    def _network(self, program: Program) -> str | None:
        """The digest of a checkpoint's network, which is then on disk; None for the run's first."""
        if program is not self._present[0]:
            data = program.to_data()
            digest = None if data == self._manifest.network else run_json.network_digest(data)
            if digest is not None:
                run_json.save_network(self.path, data)
            self._present = (program, digest)
        return self._present[1]

    def _compare(self, step: int, state: dict[str, Tensor], metrics: dict[str, float]) -> None:
        """Warn of a loop that trains something else than the model it gave."""
        last, self._last = self._last, (step, state, metrics)
        if last is None or last[0] == step or state.keys() != last[1].keys():
            return
        moved = {name for name in metrics.keys() & last[2].keys() if metrics[name] != last[2][name]}
        if moved and all(torch.equal(state[key], last[1][key]) for key in state):
            names = ", ".join(f"{name} {last[2][name]:g} -> {metrics[name]:g}" for name in sorted(moved))
            warnings.warn(
                f"step {step}: the model has the weights that it had at step {last[0]}, but {names}; does the loop train "
                "other tensors (functional_call, a copy)? Load them into the model before save.",
                stacklevel=4,
            )

    def _begin(self, data: Data, if_exists: str) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise CheckpointError(f"{self.path}: expected a directory for the run, got a file; choose another path.")
        if (self.path / run_json.NAME).exists():
            if if_exists == "error":
                raise CheckpointError(
                    f"{self.path}: expected a directory without a run, got one that holds {run_json.NAME}; "
                    "choose another path, or say what to do with it: if_exists='overwrite' or 'resume'."
                )
            old = Manifest.load(self.path)
            files.tidy(self.path)  # what a killed training left half-written
            if if_exists == "resume":
                self._resume(old, data)
                return
            self._keep(self._manifest.save(self.path))  # first: a run without checkpoints is none that anybody would read
            run_json.remove_checkpoints(self.path, old)
        else:
            run_json.refuse_strangers(self.path)
            try:
                self._keep(self._manifest.save(self.path, new=True))  # first: it says that what follows is ours
            except FileExistsError as error:
                raise CheckpointError(
                    f"{self.path}: expected a directory without a run, got one in which another process has just begun; "
                    "choose another path."
                ) from error
        data.save(self.path / run_json.SAMPLES)

    def _resume(self, old: Manifest, data: Data) -> None:
        digest = run_json.network_digest(self._manifest.network)
        if old.network != self._manifest.network and digest not in {c.network for c in old.checkpoints}:
            raise CheckpointError(
                f"{self.path}: expected the network of the run to resume, got another; choose another path."
            )
        if old.data(self.path).digest() != data.digest():
            raise CheckpointError(
                f"{self.path}: expected the samples of the run to resume, got others; choose another path."
            )
        if old.network != self._manifest.network:
            self._present = (self._guard.program, digest)
        self._manifest = replace(self._manifest, network=old.network, held=old.held)
        for checkpoint in old.checkpoints:
            self._manifest = self._manifest.adding(checkpoint)
        self._keep(self._manifest.save(self.path))

    def _keep(self, digest: str | None) -> None:
        """Remember run.json as it was just written, by its digest."""
        if digest is not None:
            self._mine = (_state(self.path / run_json.NAME), digest)

    def _refuse_others(self, step: int) -> None:
        """Raises CheckpointError when another process writes this run: two trainings would be taken for one."""
        path = self.path / run_json.NAME
        now = _state(path)
        if now is None or now == self._mine[0]:
            return
        if files.digest_of_file(path) != self._mine[1]:
            raise CheckpointError(
                f"{self.path}: expected {run_json.NAME} as this Recorder left it, got one that another has written: do two "
                f"trainings record here? Nothing was written for step {step}; choose another path for one of them."
            )
        self._mine = (now, self._mine[1])  # copied, say


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _refuse_other_numbers(guard: guards.Live, data: Data) -> None:
    """Raises DataError for bytes of which the network makes something else than of floats, which is what would be drawn."""
    if not data.came:
        return
    few, which = data.train_x[: guards.SAMPLES], guard.chosen
    try:
        with undisturbed():
            given = torch.from_numpy(few.astype(data.came))
            y = trace.outputs_of(trace.twin(guard.model)[0], given, output=which.output)
    except Exception:  # of the user's own code: it takes no whole numbers, so that the loop makes floats of them
        return
    x = torch.from_numpy(few.astype(np.float64))
    y = y if which.outputs is None else y[:, list(which.outputs)]
    with torch.no_grad():
        off = float((guard.program(x) - y).abs().max() / y.abs().max().clamp_min(torch.finfo(torch.float64).tiny))
    if not is_rounding(off, guard.program, x):
        raise DataError(
            f"train: expected samples as floats, got {data.came}, from which the network computes others than from the same "
            "numbers as floats, which are drawn; pass what its first layer gets (x.float() / 255, say), in the training too."
        )


def _say_if_smooth(program: Program) -> None:
    """Warn of a network whose regions nobody will draw, now, not after hours of training."""
    try:
        piecewise(program)
    except TraceError as error:
        warnings.warn(
            f"splineviz: the run is recorded, but {error} Accuracies, local complexity and norms are measured as they are: "
            "splineviz study RUN curves, sv.local_complexity, sv.Monitor.",
            UserWarning,
            stacklevel=4,
        )


def _aside() -> str:
    """Which process of a distributed training this is, if another one records; empty if this one does."""
    rank, world = (os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE"))
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        rank, world = str(torch.distributed.get_rank()), str(torch.distributed.get_world_size())
    return f"rank {rank} of {world}" if rank.isdecimal() and world.isdecimal() and int(rank) and int(world) > 1 else ""


def schedule(last: int, *, per_decade: int = 10) -> list[int]:
    """The steps at which checkpoints are due: 0, the rounded powers of 10^(1 / per_decade), and `last`.

    With ten a decade: every step to 6, then 8, 10, 13, 16, 20, 25, 32, 40, ...; 44 steps to 30,000.
    Raises DataError for a negative last step or fewer than one checkpoint per decade.
    """
    if last < 0 or per_decade < 1:
        raise DataError(f"schedule: expected a last step from 0 up and 1 or more a decade, got {last} and {per_decade}.")
    powers = math.ceil(per_decade * math.log10(last + 1)) + 1
    return sorted({0, last, *(step for k in range(powers) if (step := round(10 ** (k / per_decade))) < last)})


def _due(step: int, per_decade: int) -> bool:
    if step < 1:
        return step == 0
    nearest = per_decade * math.log10(step)
    # Rounding moves a power by at most a half, which near step 1 is several powers.
    spread = math.ceil(per_decade * 0.31) + 1
    near = range(max(0, round(nearest) - spread), round(nearest) + spread + 1)
    return any(round(10 ** (k / per_decade)) == step for k in near)


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    numbers = {}
    for name, value in metrics.items():
        try:
            numbers[name] = float(np.asarray(value.detach().cpu() if hasattr(value, "detach") else value).item())
        except (TypeError, ValueError) as error:
            raise DataError(f"metric {name}: expected one number, got {type(value).__name__}.") from error
    return numbers
