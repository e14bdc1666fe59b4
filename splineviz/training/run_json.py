"""run.json: what it says, and where the files of a run lie, so that a run directory describes itself.
Here too: where a step's checkpoint lies and how checkpoints are removed; a run's traced networks, saved, loaded and known by
a digest of their structure; and files of somebody else under a run's names, which are refused.

    run.json                             format, the traced network as data, domain, classes, loss,
                                         the step, file and metrics of each checkpoint
    added.jsonl                          a line for each checkpoint since run.json was written, in runs of very many
    samples.npz                          training and test samples
    checkpoints/step-0000000100.pt       one state dict a checkpoint, with what the network computes from its weights alone
    networks/0123456789abcdef.json       further traced networks, where the module changed during training

No pickle and no import path is in it, so a run can be drawn where the user's code is missing. Its file names are
relative and stay inside the directory; a run.json that points elsewhere is refused.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from splineviz.errors import CheckpointError, DataError
from splineviz.storage import files
from splineviz.tracing.program import Program
from splineviz.training.checkpoints import Checkpoint
from splineviz.training.samples import Data

FORMATS = (1, 2)
"""1: all checkpoints are of one network; 2: a checkpoint may name another."""
NAME = "run.json"
SAMPLES = "samples.npz"
FOLDER = "checkpoints"
NETWORKS = "networks"
DIGITS = 32
"""Of a digest, in the names of networks."""
ADDED = "added.jsonl"
FEW = 256
"""A run of no more checkpoints has all of them in run.json; beyond, to write it anew at each one would grow with the run."""
_LINE = 100
"""Bytes that a line of ADDED takes, or a few more."""
LONGEST_NAME = 255
"""Bytes of a file's name that file systems take."""


@dataclass(frozen=True)
class Manifest:
    """What run.json says. `network` is Program.to_data(); paths of checkpoints are absolute here, relative in the file.

    last: the step at which the training will end, where the loop said so. held: whether every checkpoint was held against
    the module that was trained.
    """

    network: Mapping[str, Any]
    domain: tuple[float, float]
    classes: tuple[str, ...] | None = None
    loss: str | None = None
    last: int | None = None
    checkpoints: tuple[Checkpoint, ...] = ()
    held: bool = False

    def adding(self, checkpoint: Checkpoint) -> Manifest:
        """The manifest with one more checkpoint, in order of steps; one of the same step gives way."""
        if not self.checkpoints or self.checkpoints[-1].step < checkpoint.step:
            return replace(self, checkpoints=(*self.checkpoints, checkpoint))
        others = [c for c in self.checkpoints if c.step != checkpoint.step]
        return replace(self, checkpoints=tuple(sorted([*others, checkpoint], key=lambda c: c.step)))

    def note(self, root: Path, step: int) -> str | None:
        """Write that the checkpoint of a step is there: into run.json, or in a long run as one more line beside it.

        The lines are folded into run.json whenever there are an eighth as many as checkpoints, and at the end of the
        training, so that the cost of a checkpoint does not grow with their number. Returns the digest of run.json, None
        where it is as it was.
        """
        count = len(self.checkpoints)
        lines = 0 if count <= FEW else _size(root / ADDED) // _LINE + 1
        if count <= FEW or step == self.last or lines > count // 8:
            return self.save(root)
        else:
            added = next(c for c in reversed(self.checkpoints) if c.step == step)
            files.append_line(root / ADDED, json.dumps(files.plain(_said(root, added)), allow_nan=False))
            return None

    def save(self, root: Path, *, new: bool = False) -> str:
        """Write run.json, whole or not at all; what lay beside it is then in it. Returns its digest.

        new: raises FileExistsError when there is one by now, that another process has just written.
        """
        data = {
            "format": 2 if any(c.network for c in self.checkpoints) else 1,
            "samples": SAMPLES,
            "domain": list(self.domain),
            "classes": None if self.classes is None else list(self.classes),
            "loss": self.loss,
            "last": self.last,
            "held": self.held,
            "checkpoints": [_said(root, c) for c in self.checkpoints],
            "network": self.network,
        }
        if not self.checkpoints:  # what was added belongs to the run that gives way
            _remove_added(root)
        content = (json.dumps(files.plain(data), indent=1, allow_nan=False) + "\n").encode()
        with files.whole(root / NAME, new=new) as temporary:
            temporary.write_bytes(content)
        _remove_added(root)
        return hashlib.sha256(content).hexdigest()

    @classmethod
    def load(cls, root: Path) -> Manifest:
        """Read run.json. Raises CheckpointError when it is missing, broken, of another format, or points outside."""
        path = root / NAME
        try:
            inside(root, NAME)
            if path.exists() and not path.is_file():
                raise ValueError("a folder, a pipe or a device")
            data = files.parsed(path.read_bytes())
            if data["format"] not in FORMATS:
                got, known = data["format"], " or ".join(map(str, FORMATS))
                raise CheckpointError(f"{path}: expected format {known}, got {got!r}; update splineviz to read it.")
            inside(root, data["samples"])
            seen: dict[Path, Path] = {}
            checkpoints = [_read(root, c, seen) for c in data["checkpoints"]]
            steps = [c.step for c in checkpoints]
            if sorted(set(steps)) != steps:
                raise CheckpointError(f"{path}: expected checkpoints in order of steps, each step once, got {steps}.")
            Program.from_data(data["network"])
            low, high = (float(bound) for bound in data["domain"])
            classes = None if data["classes"] is None else tuple(str(name) for name in data["classes"])
            last = None if data.get("last") is None else int(data["last"])
            if not (data["loss"] is None or isinstance(data["loss"], str)):
                raise TypeError(f"loss: expected text or null, got {type(data['loss']).__name__}")
            held = data.get("held") is True
            checkpoints = _with_added(root, checkpoints, seen)
            return cls(data["network"], (low, high), classes, data["loss"], last, tuple(checkpoints), held)
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


def _said(root: Path, checkpoint: Checkpoint) -> dict[str, Any]:
    """What run.json says of a checkpoint."""
    name = checkpoint.path.relative_to(root).as_posix()
    said = {"step": checkpoint.step, "file": name, "metrics": dict(checkpoint.metrics)}
    return said | ({"network": checkpoint.network} if checkpoint.network else {})


def _read(root: Path, said: Mapping[str, Any], seen: dict[Path, Path]) -> Checkpoint:
    """A checkpoint of what run.json says of it. seen: folders and where they lie, all links followed."""
    metrics = {str(key): math.nan if value is None else float(value) for key, value in said["metrics"].items()}
    path = inside(root, said["file"], seen)
    return Checkpoint(int(said["step"]), path, metrics, _digest(root / NAME, said.get("network")))


def _with_added(root: Path, checkpoints: list[Checkpoint], seen: dict[Path, Path]) -> list[Checkpoint]:
    """The checkpoints of run.json with those of the lines beside it; one that a killed process left unfinished is none."""
    path = root / ADDED
    if not files.is_file(path):
        return checkpoints
    *lines, _ = path.read_text(encoding="utf-8").split("\n")
    found = {c.step: c for c in checkpoints} | {c.step: c for c in (_read(root, files.parsed(line), seen) for line in lines)}
    return [found[step] for step in sorted(found)]


def _remove_added(root: Path) -> None:
    if files.is_file(root / ADDED):
        (root / ADDED).unlink()


def _size(path: Path) -> int:
    return path.stat().st_size if files.is_file(path) else 0


def checkpoint_path(root: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return root / FOLDER / f"step-{step:010d}.pt"


def network_digest(network: Mapping[str, Any]) -> str:
    """What a traced network is known by in a run."""
    return files.digest(network)[:DIGITS]


def save_network(root: Path, network: Mapping[str, Any]) -> None:
    """Write a further traced network of a run, unless it is there; whole or not at all."""
    path = root / NETWORKS / f"{network_digest(network)}.json"
    if not path.exists():
        files.write_json(path, network)


def load_network(root: Path, digest: str) -> Mapping[str, Any]:
    """A further traced network of a run. Raises CheckpointError when it is missing or not the one that run.json means."""
    path = inside(root, f"{NETWORKS}/{digest}.json")
    try:
        network = files.parsed(path.read_bytes())
        Program.from_data(network)
        got = network_digest(network)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: expected a traced network, got {type(error).__name__}: {error}.") from error
    if got != digest:
        raise CheckpointError(f"{path}: expected the network of digest {digest}, got {got}; fetch the run anew.")
    return dict(network)


def _digest(path: Path, said: Any) -> str | None:
    if said is not None and not (isinstance(said, str) and re.fullmatch(f"[0-9a-f]{{{DIGITS}}}", said)):
        raise CheckpointError(f"{path}: expected the digest of a network, got {said!r:.80}.")
    return said
def refuse_strangers(root: Path) -> None:
    """Raises CheckpointError when a directory without run.json holds anything under the names that a run is written to."""
    names = [name for name in (SAMPLES, FOLDER, NETWORKS, ADDED, NAME) if not _is_free(root / name)]
    taken = [f"{name}/" if (root / name).is_dir() else name for name in names]
    if taken:
        raise CheckpointError(
            f"{root}: expected a directory without {', '.join(taken)} for a new run, got one that holds what no recorder "
            "wrote; choose another path, or move it away."
        )


def remove_checkpoints(root: Path, old: Manifest) -> None:
    """Remove the checkpoints that a run's manifest lists, named as `checkpoint_path` names them, and their networks."""
    if files.is_folder(root / FOLDER):
        for checkpoint in old.checkpoints:
            if checkpoint.path == checkpoint_path(root, checkpoint.step) and files.is_file(checkpoint.path):
                checkpoint.path.unlink()
    if files.is_folder(root / NETWORKS):
        for digest in {checkpoint.network for checkpoint in old.checkpoints} - {None}:
            network = root / NETWORKS / f"{digest}.json"
            if files.is_file(network):
                network.unlink()


def _is_free(path: Path) -> bool:
    return not os.path.lexists(path) or (files.is_folder(path) and not files.entries(path))


def inside(root: Path, name: Any, seen: dict[Path, Path] | None = None) -> Path:
    """The path of a file that run.json names, if it lies in the run's directory. Raises CheckpointError otherwise.

    seen: folders and where they lie, all links followed, kept from one call to the next.
    """
    seen = {} if seen is None else seen
    pure = PurePosixPath(str(name))
    path = root / pure
    leads_out = False
    if (
        not isinstance(name, str)
        or pure.is_absolute()
        or ".." in pure.parts
        or any(len(part.encode("utf-8", "replace")) > LONGEST_NAME for part in pure.parts)
        or "\\" in name
        or ":" in name
        or (leads_out := not _real(path, seen).is_relative_to(_folder(root, seen)))
    ):
        got = f"{name!r}, a link that leads out of it" if leads_out else repr(name)
        remedy = "; put the file itself there" if leads_out else ""
        raise CheckpointError(
            f"{root / NAME}: expected file names inside the run's directory, got {got}; it will not be opened{remedy}."
        )
    return path


def _real(path: Path, seen: dict[Path, Path]) -> Path:
    """Where a file lies, all links followed."""
    # Not resolve(), which fails on a link that leads to itself.
    return Path(os.path.realpath(path)) if path.is_symlink() else _folder(path.parent, seen) / path.name


def _folder(folder: Path, seen: dict[Path, Path]) -> Path:
    if folder not in seen:
        seen[folder] = Path(os.path.realpath(folder))
    return seen[folder]
