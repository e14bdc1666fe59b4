"""Places: where in a folder checkpoints lie, before anybody asks for their steps.
Here too: the files that a user's pattern takes, and a path without the suffix of its file.

    net_10.pt                           a file
    checkpoint-500/model.safetensors    a folder that holds the weights of one checkpoint
    step_5/__0_0.distcp                 weights in pieces: refused with the command that joins them

A link is followed inside the folder; one that leads out of it is passed over. This file knows no weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from splineviz.errors import CheckpointError
from splineviz.training import formats, step_names
from splineviz.training.conventions import OTHER
from splineviz.training.formats import INDEX, PART

FOLDER_FILES = ("model.safetensors", f"model.safetensors{INDEX}", "pytorch_model.bin", f"pytorch_model.bin{INDEX}")
"""What the folder of one checkpoint may hold its weights in; the first one that is there counts."""
INSIDE = (
    *FOLDER_FILES, "diffusion_pytorch_model.safetensors", "lit_model.pth", "mp_rank_00_model_states.pt",
    "mp_rank_00/model_optim_rng.pt", "model.pt", "model.pth", "model.ckpt", "model.bin", "consolidated.00.pth",
    "checkpoint.pt", "checkpoint.pth", "state_dict.pt", "weights.pt", "weights.pth",
)  # fmt: skip
BACKUP = re.compile(
    r"(?i)(~|\.(bak|backup|old|orig|prev|tmp|temp|part|partial|incomplete|crdownload|lock|md5|sha\d+|sw[po]))$"
)
"""How names of copies and of files that are still being written end."""
MEGATRON = "Megatron's tools/checkpoint/convert.py"
IN_PIECES = (
    ("*.distcp", "python -m torch.distributed.checkpoint.format_utils dcp_to_torch {folder} {target}"),
    ("pytorch_model_fsdp_*/*.distcp", "accelerate merge-weights {folder}/pytorch_model_fsdp_0 {target}"),
    ("zero_pp_rank_*_model_states.pt", "python zero_to_fp32.py {root} {target}  (DeepSpeed writes the script beside them)"),
    (
        "mp_rank_01*",
        f"{MEGATRON} --target-tensor-parallel-size 1 --load-dir {{root}} --save-dir {{target}}",
    ),
    (
        "mp_rank_00_001",
        f"{MEGATRON} --target-pipeline-parallel-size 1 --load-dir {{root}} --save-dir {{target}}",
    ),
    ("consolidated.01.pth", "transformers' convert_llama_weights_to_hf.py --input_dir {folder} --output_dir {target}"),
)
"""Weights of one checkpoint in pieces that only their makers can join: what shows it, and the command that does."""


@dataclass(frozen=True)
class Place:
    """One checkpoint: its path from the folder, the file that is read, and what a pattern gave (step, epoch)."""

    name: str
    path: Path
    given: Mapping[str, int] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        """The name without the suffix of its file, for `step_names`."""
        return bare(self.name)


def bare(name: str) -> str:
    """A path without the suffix of its file: .pth.tar is one suffix, and .52 is none."""
    lower = name.lower()
    if lower.endswith(INDEX):
        name = name[: -len(INDEX)]
    for _ in range(2):
        ending = next((end for end in formats.SUFFIXES if name.lower().endswith(end)), "")
        name = name[: len(name) - len(ending)]
    return name


def places(folder: Path) -> tuple[list[Place], dict[str, str]]:
    """What may be checkpoints in a folder, and what was passed over, each with its reason."""
    found: list[Place] = []
    skipped: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        name = path.name
        if name.startswith("."):
            continue
        if not formats.stays(folder, path):
            skipped[name] = f"a link that leads out of the folder; --files '{name}' follows it"
        elif path.is_dir():
            inside = _inside(path)
            if isinstance(inside, Path):
                found.append(Place(inside.relative_to(folder).as_posix(), inside))
            elif inside:
                skipped[name] = inside
        elif formats.format_of(path) is not None and _first_part(path):
            if BACKUP.search(name):
                skipped[name] = f"a backup, or not finished; --files '{name}' takes it"
            elif path.is_symlink() and path.resolve().parent == folder.resolve() and path.resolve() != path.absolute():
                skipped[name] = f"a link to {path.resolve().name}"
            elif not path.is_file():
                skipped[name] = "a pipe, a socket or a device"
            else:
                found.append(Place(name, path))
    return found, skipped


def chosen(folder: Path, pattern: str) -> list[Place]:
    """The files that a pattern of the user's takes: a glob, in which {step} or {epoch} may stand for the number.

    Raises CheckpointError for a pattern that takes none, or leads out of the folder.
    """
    glob = re.sub(r"\{(step|epoch)\}", "*", pattern)
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts or not pattern.strip("./"):
        raise CheckpointError(f"files: expected a pattern of names inside {folder}, such as 'net_*.pt', got {pattern!r}.")
    named = bool(re.search(r"\{(step|epoch)\}", pattern))
    wanted = re.compile(_regex(pattern)) if named else None
    found = []
    try:
        there = sorted(folder.glob(glob))
    except (ValueError, NotImplementedError, OSError, re.error) as error:
        raise CheckpointError(f"files: expected a pattern of names such as 'net_*.pt', got {pattern!r}: {error}.") from error
    for path in there:
        name = path.relative_to(folder).as_posix()
        match = wanted.fullmatch(name) if wanted else None
        if named and not match:
            continue
        given = {word: int(text) for word, text in match.groupdict().items()} if match else {}
        inside = _inside(path) if path.is_dir() else path
        if isinstance(inside, Path) and inside.is_file() and formats.format_of(inside) and _first_part(inside):
            found.append(Place(inside.relative_to(folder).as_posix(), inside, given))
    if not found:
        number = " with a whole number for it" if named else ""
        raise CheckpointError(f"{folder}: expected files that {pattern!r} takes{number}, got none.")
    return found


def _regex(pattern: str) -> str:
    parts = re.split(r"(\{step\}|\{epoch\}|\*\*/|\*|\?)", pattern)
    special = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    seen: set[str] = set()
    text = ""
    for part in parts:
        if part in ("{step}", "{epoch}"):
            word = part[1:-1]
            text += r"\d+" if word in seen else rf"(?P<{word}>\d+)"
            seen.add(word)
        else:
            text += special.get(part, re.escape(part))
    return text


def _inside(folder: Path) -> Path | str:
    """The file with the weights of a folder of one checkpoint, or why there is none; "" where nothing looks like one."""
    reading = step_names.read(folder.name)
    looks = reading.step is not None or reading.epoch is not None or folder.name.startswith(("checkpoint-", "ckpt"))
    for pattern, command in IN_PIECES:
        if any(folder.glob(pattern)):
            command = command.format(folder=folder, root=folder.parent, target=f"{folder.name}.pt")
            return f"its weights lie in pieces; join them: {command}"
    for name in INSIDE:
        if (folder / name).is_file() and formats.stays(folder, folder / name):
            return folder / name
    files = [
        p
        for p in sorted(folder.iterdir())
        if p.is_file() and formats.stays(folder, p) and formats.format_of(p) and _first_part(p)
    ]
    files = [p for p in files if step_names.read(bare(p.name)).role != OTHER and not p.name.startswith(".")]
    numbered = [p for p in files if step_names.read(bare(p.name)).best is not None]
    if len(files) == 1 and (looks or reading.best is not None) and (not numbered or PART.search(files[0].name)):
        return files[0]
    if len(files) == 1 and looks:
        return files[0]
    if files and looks:
        return (
            f"several files of weights in it: {', '.join(p.name for p in files[:4])}; --files '*/{files[0].name}' takes one"
        )
    return f"none of {', '.join(FOLDER_FILES)} in it" if looks else ""


def _first_part(path: Path) -> bool:
    """Whether a file is none of numbered parts, or the first of those without an index."""
    part = PART.search(path.name)
    if part is None:
        return True
    index = path.with_name(f"{path.name[: part.start()]}{path.suffix}{INDEX}")
    return int(part[1]) == 1 and not index.is_file()
