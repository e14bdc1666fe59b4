"""Listings: what jobs.json and manifest.json say, read without trusting them.
Names and entries of jobs, results of those that are done, and files that a manifest names.

Both are sealed, which tells damage from content and nothing else: whoever writes them can seal them. A name in them becomes
a path, so names are those that splineviz gives (`step-0000000100`, 32 hexadecimal digits), and files lie in the directory
itself. This file knows no runs, no networks and no results.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from splineviz.storage import files
from splineviz.storage.outputs import JOBS

NAME = re.compile(r"step-\d{10,19}|[0-9a-f]{32}")
"""What a job may be called."""
HIGHEST_STEP = 10**18


def named(out: Path) -> set[str] | None:
    """Names of the jobs of a directory; None when it has no list, or a damaged one."""
    try:
        return {entry["name"] for entry in jobs(files.read_sealed(out / JOBS)) if entry["name"] is not None}
    except (OSError, ValueError):
        return None


def jobs(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries of a list of jobs, checked. Raises ValueError that says which is none, and why.

    Each has run (one of said["runs"]), step, anchors, window, name, key, weights, metrics and reason.
    """
    _check(said.get("named") in ("step", "key"), "named", said.get("named"), "step or key")
    _check(said.get("lc") is None or _is_lc(said["lc"]), "lc", said.get("lc"), "settings of the local complexity, or none")
    runs = said.get("runs")
    _check(isinstance(runs, Mapping) and all(map(_is_run, runs.values())), "runs", runs, "runs with path and network")
    found = said.get("jobs")
    _check(isinstance(found, list), "jobs", found, "a list")
    assert isinstance(found, list) and isinstance(runs, Mapping)
    for number, entry in enumerate(found):
        _check_entry(f"jobs[{number}]", entry, runs)
    return [dict(entry) for entry in found]


@dataclass(frozen=True)
class Finished:
    """A job that is done: the file of its partition, and its row of measures."""

    partition: Path
    row: dict[str, float]


def results(out: Path) -> dict[int, Finished]:
    """What the jobs of a list named by step have left, by step; jobs that are not done are passed over.

    A row counts if its key is its job's, a partition if its row vouches for it: so nothing of another slice or run, that
    lies there under the same name, is taken for it. Raises ValueError for a list that is damaged or not named by step.
    """
    try:
        said = files.read_sealed(out / JOBS)
    except OSError as error:
        raise ValueError(f"{JOBS}, {error}.") from error
    entries = jobs(said)
    if said["named"] != "step":
        raise ValueError("a sweep; explore one partition of it, as sweep.csv names them.")
    found = {}
    for entry in sorted(entries, key=lambda entry: int(entry["step"])):
        if entry["name"] is not None and (one := _finished(out, entry)) is not None:
            found[int(entry["step"])] = one
    return found


def _finished(out: Path, entry: Mapping[str, Any]) -> Finished | None:
    row, partition = (out / "rows" / f"{entry['name']}.json", out / "partitions" / f"{entry['name']}.npz")
    if not all(files.is_folder(path.parent) and files.is_file(path) for path in (row, partition)):
        return None
    try:
        stored = files.read_sealed(row)
        if stored["key"] != entry["key"] or stored["partition"] != files.digest_of_file(partition):
            return None
        numbers = {str(name): float("nan") if value is None else float(value) for name, value in stored["row"].items()}
        return Finished(partition, numbers | {"step": float(entry["step"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # torn, or not ours


def file_inside(out: Path, name: Any) -> Path | None:
    """The file that a manifest names, None when it is not one inside the directory, reached through no link."""
    if not isinstance(name, str) or "\\" in name or "\0" in name or ":" in name:
        return None
    pure = PurePosixPath(name)
    if pure.is_absolute() or not pure.parts or ".." in pure.parts:
        return None
    path = out
    for part in pure.parts[:-1]:
        path = path / part
        if path.is_symlink():
            return None
    path = path / pure.parts[-1]
    return None if path.is_symlink() else path


def _check_entry(where: str, entry: Any, runs: Mapping[str, Any]) -> None:
    _check(isinstance(entry, Mapping), where, entry, "an object")
    _check(entry.get("run") in runs if isinstance(entry.get("run"), str) else False, f"{where}.run", entry.get("run"),
           "one of the runs")  # fmt: skip
    step = entry.get("step")
    _check(_is_whole(step) and 0 <= step <= HIGHEST_STEP, f"{where}.step", step, "a step")
    anchors = entry.get("anchors")
    _check(isinstance(anchors, list) and all(map(_is_whole, anchors)), f"{where}.anchors", anchors, "indices of samples")
    _check(isinstance(entry.get("window"), str), f"{where}.window", entry.get("window"), "text")
    name = entry.get("name")
    _check(name is None or (isinstance(name, str) and NAME.fullmatch(name) is not None), f"{where}.name", name,
           "a job's name")  # fmt: skip
    for field in ("key", "weights", "reason"):
        value = entry.get(field)
        _check(isinstance(value, str) or (value is None and (field == "reason" or name is None)), f"{where}.{field}", value,
               "text")  # fmt: skip
    metrics = entry.get("metrics")
    _check(isinstance(metrics, Mapping) and all(v is None or _is_number(v) for v in metrics.values()), f"{where}.metrics",
           metrics, "numbers by name")  # fmt: skip


def _check(holds: bool, where: str, got: Any, expected: str) -> None:
    if not holds:
        shown = repr(got)
        raise ValueError(f"{where}: expected {expected}, got {shown if len(shown) < 60 else shown[:57] + '...'}.")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_run(run: Any) -> bool:
    return (
        isinstance(run, Mapping)
        and isinstance(run.get("path"), str)
        and isinstance(run.get("own"), bool)
        and isinstance(run.get("network"), Mapping)
        and (run.get("weights_key") is None or isinstance(run["weights_key"], str))
    )


def _is_lc(lc: Any) -> bool:
    return isinstance(lc, Mapping) and _is_number(lc.get("radius"))
