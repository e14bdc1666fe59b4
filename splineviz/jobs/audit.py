"""Audits: a whole directory of results, read again and proved again.
Here too: how far a module's outputs at the vertices are from those that a partition holds.

For every job that jobs.json lists and that is done:

    row        its seal, and its key, made again from what it says it was made of
    partition  its digest; its cheap identities; the numbers of the row, computed from it again
    proof      the certificate against the model with the checkpoint's weights, if the file still holds those weights
    module     the user's own module with these weights at every vertex, where one is given
    numbers    of a random part of the rows, or all: local complexity with its seed, accuracies, crossings and live units,
               measured again

and for the directory: every number of the table against its row, every file against the manifest, and every result there
against the list: one of another slice or run is a finding, one that the last call did not ask for a note. Nothing is mended
and nothing is written. What is wrong is a finding; what cannot be told (weights that are gone, jobs not done yet) is a
note, and `held` says what each thing was held against.
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from splineviz.errors import CertificateError, CheckpointError, Progress, SplinevizError
from splineviz.geometry.partition import Partition
from splineviz.jobs import plan
from splineviz.jobs.job import Job, key_of, network_numbers, partition_numbers
from splineviz.metrics.columns import COLUMNS
from splineviz.metrics.options import LCOptions
from splineviz.regions import certificate
from splineviz.storage import files, listings, provenance
from splineviz.threads import one_torch_thread
from splineviz.tracing.program import Program
from splineviz.tracing.trace import trace
from splineviz.training import checkpoints, state_files
from splineviz.training.doubts import unmoved
from splineviz.training.guards import ALL, Chosen, Loaded

TABLES = ("measures.csv", "sweep.csv")
PART = 16
"""Rows whose numbers are measured again unless somebody asks for another number, or all."""
LATER = ("churn",)
"""Columns of a table that no single row knows."""
LINK = "expected what was written there, got a link; what is behind it was not read"


@dataclass
class Audit:
    """What an audit found. jobs: that are done; proved: of them, against the model; rows: whose numbers were computed from
    their partitions again; measured: of them, whose other numbers were measured again; lines: of the table that are as
    their rows say; files: that the manifest lists and that are as it says; findings: what is wrong, one line each; notes:
    what could not be told; against: what the partitions were proved against; compared: of them, with the user's module.
    """

    out: Path
    jobs: int = 0
    proved: int = 0
    files: int = 0
    rows: int = 0
    measured: int = 0
    lines: int = 0
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    against: set[str] = field(default_factory=set)
    compared: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    @property
    def held(self) -> list[str]:
        """What each thing was held against, one line each; nothing is said of what nothing was held against."""
        model = "; ".join(sorted(self.against))
        return [
            f"{count} {one if count == 1 else many} {against}"
            for count, one, many, against in (
                (self.files, "file", "files", "against the digests in manifest.json"),
                (self.lines, "line of the table", "lines of the table", "against the rows of their jobs"),
                (self.rows, "row", "rows", "against its partition" if self.rows == 1 else "against their partitions"),
                (self.measured, "row", "rows", "against its network and samples, measured again"),
                (self.proved, "partition", "partitions", f"against {model}"),
                (self.compared, "partition", "partitions", "against your module at all vertices, with each file's weights"),
            )
            if count
        ]

    def __str__(self) -> str:
        verdict = "as it should be" if self.ok else f"FAILED ({len(self.findings)} findings)"
        head = f"{self.out} {verdict}: {self.jobs} jobs, {self.proved} partitions proved, {self.files} files as listed"
        said = (*(f"held: {line}" for line in self.held), *self.findings, *(f"note: {line}" for line in self.notes))
        return "\n".join([head, *(f"  {line}" for line in said)])


def audit(
    out: Path, *, trust: bool = False, numbers: int | None = PART, seed: int | None = None, raise_on_failure: bool = True,
    model: nn.Module | None = None, chosen: Chosen = ALL, progress: Progress | None = None,
) -> Audit:  # fmt: skip
    """Read and prove everything in a directory that `sweep` or `animate` wrote.

    Args:
        out: the directory.
        trust: unpickle checkpoints that need code, which RUNS IT; without it they are noted as not proved.
        numbers: of how many rows the local complexity, accuracies and crossings are measured again; None: of all.
        seed: of the choice of these rows; None: others each time.
        raise_on_failure: whether findings are raised.
        model: the user's module, which is compared with at all vertices, with the weights of each checkpoint loaded.
        chosen: of its outputs.
        progress: see `Progress`.

    Returns:
        What was read, and the findings.

    Raises:
        CertificateError: with all findings.
        JobError: it is no such directory.
    """
    said = plan.read(out)
    found = Audit(out)
    rows: dict[str, Mapping[str, Any]] = {}
    held: dict[str, dict[int, tuple[int, str, Mapping[str, float]]]] = {}  # by run and step
    waiting = 0
    listed = plan.entries(out, said)
    entries = {entry["name"]: entry for entry in listed if entry["name"]}
    again = _chosen(out, list(entries), numbers, seed)
    module = None if model is None else _Module(model, chosen)
    for done, (name, entry) in enumerate(entries.items(), 1):
        path = listings.file_inside(out, f"rows/{name}.json")
        if path is None:
            found.findings.append(f"rows/{name}.json: {LINK}")
        elif path.exists():
            words = plan.words(entry["run"], entry["step"], entry["anchors"], entry["window"])
            stored = _row(out, path, said, entry, words, found, trust, name in again, module)
            if stored is not None:
                rows[name] = stored["row"]
                weights = str(stored["made"].get("weights", ""))
                held.setdefault(str(entry["run"]), {})[entry["step"]] = (entry["step"], weights, entry["metrics"])
        else:
            waiting += 1
        if progress is not None:
            progress(done, len(entries), f"step {entry['step']:,}")
    if unread := [entry for entry in listed if not entry["name"]]:
        found.notes.append(f"{len(unread)} jobs have no readable checkpoint; see splineviz status.")
    found.notes += [line for steps in held.values() for line in unmoved([steps[step] for step in sorted(steps)])]
    if waiting:
        found.notes.append(f"{waiting} jobs are not done; see splineviz status.")
    _tables(out, said, rows, found)
    _manifest(out, found)
    _strangers(out, said, entries, found)
    if found.findings and raise_on_failure:
        raise CertificateError(f"verify: expected a directory as it was written, got\n{found}")
    return found


def _row(
    out: Path, path: Path, said: Mapping[str, Any], entry: Mapping[str, Any], words: str, found: Audit, trust: bool,
    measure: bool, module: _Module | None,
) -> dict[str, Any] | None:  # fmt: skip
    try:
        stored = files.read_sealed(path)
        made, row = stored["made"], stored["row"]
        if stored["key"] != entry["key"]:
            found.notes.append(f"{words}: the row is of an earlier call; start the command again.")
            return None
        found.jobs += 1
        if stored["partition"] is None:
            return stored
        file = listings.file_inside(out, f"partitions/{entry['name']}.npz")
        if file is None:
            raise ValueError(f"partitions/{entry['name']}.npz: {LINK}")
        if files.digest_of_file(file) != stored["partition"]:
            found.findings.append(f"{words}: {file.name} has changed since it was written")
            return stored
        partition = Partition.load(file)
        run = said["runs"][entry["run"]]
        key = key_of(
            entry["step"], plan.network(said, entry), said["lc"], entry["metrics"], made["samples"], made["weights"],
            partition.plane, partition.window, said.get("near"),
        )  # fmt: skip
        if key != entry["key"]:
            found.findings.append(f"{words}: its key is not that of what it says it was made of")
        radius = None if said["lc"] is None else float(said["lc"]["radius"])
        if older := [name for name in COLUMNS if name not in row]:
            found.notes.append(f"{words}: of a version without {', '.join(older)}; the same command again measures them.")
        for name, value in partition_numbers(partition, radius, said.get("near")).items():
            if name in row and not _same(row[name], value):
                found.findings.append(f"{words}: the row has {name} = {row[name]!r}, its partition {value!r}")
        found.rows += 1
        program = _prove(partition, run | {"network": plan.network(said, entry)}, entry, made, words, found, trust, module)
        if measure and program is not None:
            _measured(_job(out, said, entry, made, partition), program, row, words, found)
        return stored
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
        found.findings.append(f"{words}: {type(error).__name__}: {error}")
        return None


def _prove(
    partition: Partition, run: Mapping[str, Any], entry: Mapping[str, Any], made: Mapping[str, Any], words: str,
    found: Audit, trust: bool, module: _Module | None,
) -> Program | None:  # fmt: skip
    """Prove a partition; the network with the checkpoint's weights, None where they are not to be had."""
    path = Path(entry["weights"])
    if not path.is_file():
        found.notes.append(f"{words}: not proved: {path.name}: expected the checkpoint's file, got none there")
        return None
    try:
        state = state_files.load_state(path, raw=run["own"], trust=trust, key=run["weights_key"])
        program = checkpoints.fit(Program.from_data(run["network"]), state, path)
    except SplinevizError as error:
        found.notes.append(f"{words}: not proved: {error}")
        return None
    if state_files.digest(state) != made["weights"]:
        found.notes.append(f"{words}: not proved: {path.name} holds other weights by now")
        return None
    try:
        certificate.verify(partition, program)
        found.proved += 1
        found.against.add(str(run.get("judge", "the network as it was recorded")))
        if module is not None:
            found.compared += module.agrees(partition, state, path, bool(run["own"]))
    except CheckpointError as error:
        found.findings.append(f"{words}: your module: {error}")
    except CertificateError as error:
        found.findings.append(f"{words}: {error}")
    return program


class _Module:
    """The user's module, and which of its outputs are meant."""

    def __init__(self, model: nn.Module, chosen: Chosen):
        self.model, self.chosen = model, chosen
        self.guards: dict[tuple[int, ...], Loaded] = {}

    def agrees(self, partition: Partition, state: Mapping[str, Any], path: Path, own: bool) -> bool:
        """Whether there is something to compare; raises CertificateError where the module has other outputs at a vertex."""
        shape = tuple(partition.plane.input_shape)
        if shape not in self.guards:
            program = trace(self.model, shape, smooth=True, output=self.chosen.output, outputs=self.chosen.outputs)
            self.guards[shape] = Loaded(self.model, program, np.zeros((1, *shape)), self.chosen)
        guard = self.guards[shape]
        return at_vertices(partition, lambda x: guard.outputs(state, x, path, whole=own)) is not None


def at_vertices(partition: Partition, outputs: Callable[[Any], Any]) -> float | None:
    """By how much outputs (n, C) at the vertices differ from a partition's, of the largest; None of swapped functions.

    outputs: called with inputs (n, *input_shape). Raises CertificateError when they are others.
    """
    if partition.swaps:
        return None
    x = partition.plane.embed(partition.vertices).reshape(-1, *partition.plane.input_shape)
    theirs = np.asarray(outputs(x))
    largest = max(np.abs(partition.outputs).max(initial=0.0), 1e-300)
    alike = theirs.shape == partition.outputs.shape
    worst = float(np.abs(theirs - partition.outputs).max(initial=0.0) / largest) if alike else math.inf
    if not worst <= 1e-6:
        raise CertificateError(
            f"verify: expected the outputs of your module at the {len(x)} vertices, got a relative difference of "
            f"{worst:.2g}; is it the module that the files were saved from?"
        )
    return worst


def _chosen(out: Path, names: list[str], numbers: int | None, seed: int | None) -> set[str]:
    """The jobs whose numbers are measured again."""
    there = [name for name in names if (out / "rows" / f"{name}.json").exists()]
    if numbers is None or numbers >= len(there):
        return set(there)
    return {there[i] for i in np.random.default_rng(seed).choice(len(there), numbers, replace=False)}


def _job(
    out: Path, said: Mapping[str, Any], entry: Mapping[str, Any], made: Mapping[str, Any], partition: Partition
) -> Job:
    """The job of an entry, as far as its numbers ask."""
    told: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in (said["lc"] or {}).items()}
    lc = None if said["lc"] is None else LCOptions(**told)
    return Job(
        name=entry["name"], step=entry["step"], weights=Path(entry["weights"]), weights_digest=made["weights"],
        network=plan.network(said, entry), plane=partition.plane, window=partition.window,
        samples=out / "samples" / f"{made['samples'][:16]}.npz", samples_digest=made["samples"], lc=lc,
        metrics=entry["metrics"], out=out, threads=1,
    )  # fmt: skip


def _measured(job: Job, program: Program, row: Mapping[str, Any], words: str, found: Audit) -> None:
    """The numbers of a row that follow from network and samples, measured again."""
    if not job.samples.is_file():
        found.notes.append(f"{words}: numbers not measured again: {job.samples.name} is not there")
        return
    try:
        with one_torch_thread():
            again = network_numbers(job, program)
    except SplinevizError as error:
        found.findings.append(f"{words}: {error}")
        return
    for name, value in again.items():
        if not _agrees(row[name], value):
            found.findings.append(f"{words}: the row has {name} = {row[name]!r}, measured again it is {value!r}")
    found.measured += 1


def _agrees(stored: Any, value: float) -> bool:
    """Whether a number is the same but for the order of a sum."""
    number = isinstance(stored, (int, float)) and abs(stored) <= sys.float_info.max
    return _same(stored, value) or (number and abs(stored - value) <= 1e-12 * abs(value))


def _tables(out: Path, said: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]], found: Audit) -> None:
    for name in TABLES:
        if listings.file_inside(out, name) is None:
            found.findings.append(f"{name}: {LINK}")
        elif (out / name).is_file() and (name == "sweep.csv") == (said["named"] == "key"):
            _table(out / name, said, rows, found)


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
        # A row of an older version has fewer columns than COLUMNS.
        wrong = [name for name in row if name not in LATER and not _reads(line.get(name), row.get(name))]
        found.findings += [f"{path.name}: row {number} has {n} = {line.get(n)}, its job {row.get(n)!r}" for n in wrong]
        found.lines += not wrong


def _manifest(out: Path, found: Audit) -> None:
    path = out / provenance.NAME
    try:
        listed = dict(files.read_sealed(path)["files"])
    except FileNotFoundError:
        found.notes.append(f"{path.name}: none so far; the command that makes the results writes it at the end")
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        found.findings.append(f"{path.name}: {error}")
        return
    for name, digest in listed.items():
        file = listings.file_inside(out, name)
        if file is None:
            found.findings.append(f"{path.name}: expected files inside the directory, reached through no link, got {name!r}")
        elif not file.is_file():
            found.findings.append(f"{name}: listed in the manifest, but not there")
        elif files.digest_of_file(file) != digest:
            found.findings.append(f"{name}: has changed since the manifest was written")
        else:
            found.files += 1
    there = {p.name for p in files.entries(out) if p.is_file() and not p.name.startswith(".")} - {provenance.NAME}
    if unlisted := sorted((there | set(provenance.listed(out))) - set(listed)):
        shown = ", ".join(unlisted[:5]) + (", ..." if len(unlisted) > 5 else "")
        found.notes.append(f"{len(unlisted)} files are not in the manifest: {shown}")


def _strangers(out: Path, said: Mapping[str, Any], entries: Mapping[str, Any], found: Audit) -> None:
    """Results in the folders of results that no job of the list has made."""
    known = plan.further(said)
    further = []
    for folder in (*provenance.FOLDERS, "partitions"):
        if (out / folder).is_symlink():
            found.findings.append(f"{folder}: {LINK}")
            continue
        for path in files.entries(out / folder):
            if path.name.startswith(".") or provenance.is_of(entries, folder, path.stem) and not path.is_symlink():
                continue
            if said["named"] == "key" or known is None or provenance.is_of(known, folder, path.stem):
                further.append(f"{folder}/{path.name}")
            else:
                found.findings.append(f"{folder}/{path.name}: no job of {plan.NAME} has made it: of another run or slice?")
    if further:
        shown = ", ".join(further[:5]) + (", ..." if len(further) > 5 else "")
        found.notes.append(f"{len(further)} results that the last call did not ask for: {shown}")


def _same(stored: Any, value: float) -> bool:
    return bool(np.isnan(value)) if stored is None else isinstance(stored, (int, float)) and stored == value


def _reads(text: str | None, stored: float | None) -> bool:
    try:
        return _same(stored, float(text or ""))
    except ValueError:
        return False
