"""Audits: a whole directory of results, read again and proved again.

For every job that jobs.json lists and that is done:

    row        its seal, and its key, made again from what it says it was made of
    partition  its digest; its cheap identities; the numbers of the row, computed from it again
    proof      the certificate against the model with the checkpoint's weights, if the file still holds those weights

and for the directory: every number of the table against its row, every file against the manifest. Nothing is mended and
nothing is written. What is wrong is a finding; what cannot be told (weights that are gone, jobs not done yet) is a note.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from splineviz.errors import CertificateError, SplinevizError
from splineviz.geometry.partition import Partition
from splineviz.jobs import plan
from splineviz.jobs.job import COLUMNS, key_of, partition_numbers
from splineviz.regions import certificate
from splineviz.storage import files, provenance
from splineviz.tracing.program import Program
from splineviz.training import checkpoints, state_files

Progress = Callable[[int, int, str], None]
"""progress(done, total, text): called after each job."""

TABLES = ("measures.csv", "sweep.csv")
LATER = ("churn",)
"""Columns of a table that no single row knows."""


@dataclass
class Audit:
    """What an audit found. jobs: that are done; proved: of them, against the model; files: that the manifest lists and that
    are as it says; findings: what is wrong, one line each; notes: what could not be told.
    """

    out: Path
    jobs: int = 0
    proved: int = 0
    files: int = 0
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def __str__(self) -> str:
        verdict = "as it should be" if self.ok else f"FAILED ({len(self.findings)} findings)"
        head = f"{self.out} {verdict}: {self.jobs} jobs, {self.proved} partitions proved, {self.files} files as listed"
        return "\n".join([head, *(f"  {line}" for line in self.findings), *(f"  note: {line}" for line in self.notes)])


def audit(out: Path, *, trust: bool = False, raise_on_failure: bool = True, progress: Progress | None = None) -> Audit:
    """Read and prove everything in a directory that `sweep` or `animate` wrote.

    trust: unpickle checkpoints that need code, which RUNS IT; without it they are noted as not proved.
    Raises CertificateError with all findings (unless raise_on_failure=False), JobError when it is no such directory.
    """
    said = plan.read(out)
    found = Audit(out)
    rows: dict[str, Mapping[str, Any]] = {}
    waiting = 0
    entries = {entry["name"]: entry for entry in said["jobs"] if entry["name"]}
    for done, (name, entry) in enumerate(entries.items(), 1):
        path = out / "rows" / f"{name}.json"
        if path.exists():
            words = plan.words(entry["run"], entry["step"], entry["anchors"], entry["window"])
            stored = _row(out, path, said, entry, words, found, trust)
            rows |= {} if stored is None else {name: stored["row"]}
        else:
            waiting += 1
        if progress is not None:
            progress(done, len(entries), f"step {entry['step']:,}")
    if unread := [entry for entry in said["jobs"] if not entry["name"]]:
        found.notes.append(f"{len(unread)} jobs have no readable checkpoint; see splineviz status.")
    if waiting:
        found.notes.append(f"{waiting} jobs are not done; see splineviz status.")
    for name in TABLES:
        if (out / name).is_file() and (name == "sweep.csv") == (said["named"] == "key"):
            _table(out / name, said, rows, found)
    _manifest(out, found)
    if found.findings and raise_on_failure:
        raise CertificateError(f"verify: expected a directory as it was written, got\n{found}")
    return found


def _row(
    out: Path, path: Path, said: Mapping[str, Any], entry: Mapping[str, Any], words: str, found: Audit, trust: bool
) -> dict[str, Any] | None:
    try:
        stored = files.read_sealed(path)
        made, row = stored["made"], stored["row"]
        if stored["key"] != entry["key"]:
            found.notes.append(f"{words}: the row is of an earlier call; start the command again.")
            return None
        found.jobs += 1
        if stored["partition"] is None:
            return stored
        file = out / "partitions" / f"{entry['name']}.npz"
        if files.digest_of_file(file) != stored["partition"]:
            found.findings.append(f"{words}: {file.name} has changed since it was written")
            return stored
        partition = Partition.load(file)
        run = said["runs"][entry["run"]]
        key = key_of(
            entry["step"], run["network"], said["lc"], entry["metrics"], made["samples"], made["weights"],
            partition.plane, partition.window,
        )  # fmt: skip
        if key != entry["key"]:
            found.findings.append(f"{words}: its key is not that of what it says it was made of")
        radius = None if said["lc"] is None else float(said["lc"]["radius"])
        for name, value in partition_numbers(partition, radius).items():
            if not _same(row[name], value):
                found.findings.append(f"{words}: the row has {name} = {row[name]!r}, its partition {value!r}")
        _prove(partition, run, entry, made, words, found, trust)
        return stored
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        found.findings.append(f"{words}: {type(error).__name__}: {error}")
        return None


def _prove(
    partition: Partition, run: Mapping[str, Any], entry: Mapping[str, Any], made: Mapping[str, Any], words: str,
    found: Audit, trust: bool,
) -> None:  # fmt: skip
    path = Path(entry["weights"])
    try:
        state = state_files.load_state(path, raw=run["own"], trust=trust, key=run["weights_key"])
        program = checkpoints.fit(Program.from_data(run["network"]), state, path)
    except SplinevizError as error:
        found.notes.append(f"{words}: not proved: {error}")
        return
    if state_files.digest(state) != made["weights"]:
        found.notes.append(f"{words}: not proved: {path.name} holds other weights by now")
        return
    try:
        certificate.verify(partition, program)
        found.proved += 1
    except CertificateError as error:
        found.findings.append(f"{words}: {error}")


def _table(path: Path, said: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]], found: Audit) -> None:
    """Every number of the table against its row, which the row's partition was compared with."""
    expected = [rows[entry["name"]] for entry in said["jobs"] if entry["name"] in rows]
    try:
        with open(path, newline="") as stream:
            lines = list(csv.DictReader(stream))
    except (OSError, ValueError, csv.Error) as error:
        found.findings.append(f"{path.name}: {type(error).__name__}: {error}")
        return
    if len(lines) != len(expected):
        found.findings.append(f"{path.name}: expected {len(expected)} rows, got {len(lines)}")
    for number, (line, row) in enumerate(zip(lines, expected, strict=False), 1):
        for name in COLUMNS:
            if name not in LATER and not _reads(line.get(name), row.get(name)):
                found.findings.append(f"{path.name}: row {number} has {name} = {line.get(name)}, its job {row.get(name)!r}")


def _manifest(out: Path, found: Audit) -> None:
    path = out / provenance.NAME
    try:
        listed = files.read_sealed(path)["files"]
    except FileNotFoundError:
        found.notes.append(f"{path.name}: none so far; the command that makes the results writes it at the end")
        return
    except (OSError, ValueError, KeyError) as error:
        found.findings.append(f"{path.name}: {error}")
        return
    for name, digest in listed.items():
        file = out / name
        if not file.is_file():
            found.findings.append(f"{name}: listed in the manifest, but not there")
        elif files.digest_of_file(file) != digest:
            found.findings.append(f"{name}: has changed since the manifest was written")
        else:
            found.files += 1
    if strangers := sorted(set(provenance.listed(out)) - set(listed)):
        shown = ", ".join(strangers[:5]) + (", ..." if len(strangers) > 5 else "")
        found.notes.append(f"{len(strangers)} files are not in the manifest: {shown}")


def _same(stored: float | None, value: float) -> bool:
    return bool(np.isnan(value)) if stored is None else float(stored) == value


def _reads(text: str | None, stored: float | None) -> bool:
    try:
        return _same(stored, float(text or ""))
    except ValueError:
        return False
