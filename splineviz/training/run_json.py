"""The manifest: what run.json says, so that a run directory describes itself.

    run.json                             format, the traced network as data, domain, classes, loss,
                                         the step, file and metrics of each checkpoint
    samples.npz                          training and test samples
    checkpoints/step-0000000100.pt       one state dict a checkpoint

No pickle and no import path is in it, so a run can be drawn where the user's code is missing. Its file names are
relative and stay inside the directory; a run.json that points elsewhere is refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from splineviz.errors import CheckpointError, DataError
from splineviz.storage import files
from splineviz.tracing.program import Program
from splineviz.training.checkpoints import Checkpoint
from splineviz.training.samples import Data

FORMAT = 1
NAME = "run.json"
SAMPLES = "samples.npz"
FOLDER = "checkpoints"
LONGEST_NAME = 255
"""Bytes of a file's name that file systems take."""


@dataclass(frozen=True)
class Manifest:
    """What run.json says. `network` is Program.to_data(); paths of checkpoints are absolute here, relative in the file.

    last: the step at which the training will end, where the loop said so.
    """

    network: Mapping[str, Any]
    domain: tuple[float, float]
    classes: tuple[str, ...] | None = None
    loss: str | None = None
    last: int | None = None
    checkpoints: tuple[Checkpoint, ...] = ()

    def adding(self, checkpoint: Checkpoint) -> Manifest:
        """The manifest with one more checkpoint, in order of steps; one of the same step gives way."""
        others = [c for c in self.checkpoints if c.step != checkpoint.step]
        return replace(self, checkpoints=tuple(sorted([*others, checkpoint], key=lambda c: c.step)))

    def save(self, root: Path) -> None:
        """Write run.json; whole or not at all."""
        data = {
            "format": FORMAT,
            "samples": SAMPLES,
            "domain": list(self.domain),
            "classes": None if self.classes is None else list(self.classes),
            "loss": self.loss,
            "last": self.last,
            "checkpoints": [
                {"step": c.step, "file": c.path.relative_to(root).as_posix(), "metrics": dict(c.metrics)}
                for c in self.checkpoints
            ],
            "network": self.network,
        }
        files.write_json(root / NAME, data)

    @classmethod
    def load(cls, root: Path) -> Manifest:
        """Read run.json. Raises CheckpointError when it is missing, broken, of another format, or points outside."""
        path = root / NAME
        try:
            data = json.loads(path.read_bytes())
            if data["format"] != FORMAT:
                got = data["format"]
                raise CheckpointError(f"{path}: expected format {FORMAT}, got {got!r}; update splineviz to read it.")
            inside(root, data["samples"])
            checkpoints = [
                Checkpoint(
                    int(c["step"]),
                    inside(root, c["file"]),
                    {str(key): math.nan if value is None else float(value) for key, value in c["metrics"].items()},
                )
                for c in data["checkpoints"]
            ]
            steps = [c.step for c in checkpoints]
            if sorted(set(steps)) != steps:
                raise CheckpointError(f"{path}: expected checkpoints in order of steps, each step once, got {steps}.")
            Program.from_data(data["network"])
            low, high = (float(bound) for bound in data["domain"])
            classes = None if data["classes"] is None else tuple(str(name) for name in data["classes"])
            last = None if data.get("last") is None else int(data["last"])
            return cls(data["network"], (low, high), classes, data["loss"], last, tuple(checkpoints))
        except FileNotFoundError as error:
            raise CheckpointError(f"{root}: expected a run with {NAME}, got none; was it written by sv.Recorder?") from error
        except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError) as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(
                f"{path}: expected the manifest of a run, got {type(error).__name__}: {error}; fetch it anew, or name the "
                "folder of checkpoints, their network and samples (--model, --data)."
            ) from error

    def data(self, root: Path) -> Data:
        """The samples of the run. Raises CheckpointError when they are missing, broken or do not fit the network."""
        try:
            data = Data.load(root / SAMPLES, domain=self.domain, classes=self.classes)
        except DataError as error:
            raise CheckpointError(str(error)) from error
        if list(data.train_x.shape[1:]) != list(self.network["input_shape"]):
            expected, got = tuple(self.network["input_shape"]), data.train_x.shape[1:]
            raise CheckpointError(f"{root / SAMPLES}: expected inputs of shape {expected}, got {got}.")
        return data


def checkpoint_path(root: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return root / FOLDER / f"step-{step:010d}.pt"


def inside(root: Path, name: Any) -> Path:
    """The path of a file that run.json names, if it lies in the run's directory. Raises CheckpointError otherwise."""
    pure = PurePosixPath(str(name))
    path = root / pure
    if (
        not isinstance(name, str)
        or pure.is_absolute()
        or ".." in pure.parts
        or any(len(part.encode("utf-8", "replace")) > LONGEST_NAME for part in pure.parts)
        or "\\" in name
        or ":" in name
        or not path.resolve().is_relative_to(root.resolve())
    ):
        raise CheckpointError(
            f"{root / NAME}: expected file names inside the run's directory, got {name!r}; it will not be opened."
        )
    return path
