"""Sweeps: runs x checkpoints x planes x windows as a list of independent jobs, worked off, resumed, gathered in one table.
Also one run on one plane, and planes through samples drawn at random.

    out/jobs.json          what was asked: runs, options, one entry per job; written first
    out/rows/, partitions/, churn/, failures/, running/, samples/      see `jobs`
    out/measures.csv       one run on one plane: one row per checkpoint         (measure_run; files are named by step)
    out/sweep.csv          a sweep: run, anchors, window, then the same     (sweep; files are named by key)

A second start does only what is missing: rows carry the keys of their jobs. Several processes may work on one list in
one directory; one that comes with another list is refused while they do. This file draws nothing.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from splineviz.errors import DataError, JobError, PlaneError, Progress, SplinevizError
from splineviz.geometry import doors
from splineviz.geometry.partition import Partition
from splineviz.jobs import churn, executors, plan, weights
from splineviz.jobs.job import Failure, Job, Result
from splineviz.jobs.plan import Entry
from splineviz.jobs.samples import choose_samples, samples_digest
from splineviz.metrics import measures
from splineviz.metrics.columns import table_text
from splineviz.metrics.options import LCOptions
from splineviz.storage import archives, files, outputs, provenance
from splineviz.storage.known import Known
from splineviz.storage.remote import Store
from splineviz.tracing.program import Program
from splineviz.tracing.swaps import piecewise
from splineviz.training import checkpoints
from splineviz.training.doubts import doubts, unmoved
from splineviz.training.runs import Run, open_run
from splineviz.training.samples import Array

TABLE, SWEEP_TABLE = "measures.csv", "sweep.csv"


@dataclass(frozen=True)
class Sweep:
    """What a sweep made. table: the file; results: of the jobs that are done, in order of the table; failures: reasons by
    job, in words.
    """

    out: Path
    table: Path
    results: tuple[Result, ...]
    failures: tuple[tuple[str, str], ...]


def sweep(
    runs: Sequence[Run | str | os.PathLike[str]] | Run | str | os.PathLike[str], *,
    planes: Sequence[Sequence[int | str]] = ((0, 1, 2),), windows: Sequence[Any] = (None,),
    steps: Sequence[int] | None = None, out: str | os.PathLike[str],
    lc: LCOptions | None = LCOptions(), near: float | None = None,  # noqa: B008  # frozen, so it can be shared
    jobs: int | Executor = 1, threads: int | None = None, partitions: bool = True, prove: bool = False,
    store: str | None = None, progress: Progress | None = None,
) -> Sweep:  # fmt: skip
    """Partition and measure every checkpoint of several runs on several planes and windows.

    A checkpoint that cannot be read, or a job that fails, does not stop the others; the next start tries it again.

    Args:
        runs: opened runs, or directories of recorded ones; or a single one.
        planes: three training samples each, as `Run.chosen` takes them.
        windows: each as in `Plane.window`.
        steps: the checkpoints of these steps only; None: all.
        out: output directory.
        lc: settings of the local complexity; None leaves it out.
        near: distance that counts as near, as a share of the window's side; None: `measures.NEAR`.
        jobs: number of processes, or an executor, as in `executors.run`.
        threads: of one job.
        partitions: whether partitions are written, or only the rows.
        prove: whether every partition is verified as well.
        store: a URL (s3://bucket/sweep) for a second copy of all results; results that it has are reused.
        progress: called with (done, total, note); None: a line in a notebook.

    Returns:
        Results, path of the table, and the failures with their reasons.

    Raises:
        DataError: no run, plane or window; and what `Run.plane` and `Run.only` raise.
        OutputError: the directory holds files of others, or a sweep of other runs.
        JobError: another sweep works in the directory, the store does not answer (results are in `out`), or no workers.
    """
    opened, target = _opened(runs), Path(out).resolve()
    progress = doors.progress("measuring") if progress is None else progress
    if not opened or not planes or not windows:
        raise DataError("sweep: expected at least one run, one plane and one window, got an empty list.")
    keeper = None if store is None else Store(store, target)
    chosen = [run if steps is None else run.only(steps) for run in opened]
    known, how = Known.of(target, sum(len(run.checkpoints) for run in chosen)), {"keep": partitions, "prove": prove}
    pairs = [_entries(run, planes, windows, target, lc, near, known, by_step=False, **how) for run in chosen]
    entries, samples = [entry for found, _ in pairs for entry in found], dict(chain(*(kept.items() for _, kept in pairs)))
    asked = plan.plan(chosen, entries, _options(lc, near), named="key")
    outputs.enter(target, "sweep", _paths(chosen), outputs.SWEEP, same=plan.covers(target, asked))
    with plan.joined(target, asked):
        for path, arrays in samples.items():
            _store(path, arrays)
        todo = {entry.job.name: entry.job for entry in entries if entry.job is not None}
        results, failed = _work_off(list(todo.values()), jobs, threads, progress, known, keeper)
        done = [(entry, results[entry.job.name]) for entry in entries if entry.job and entry.job.name in results]
        _write_table(target / SWEEP_TABLE, _with_churns(done, target) if partitions else done)
        provenance.write_manifest(target, "measures", _options(lc, near), digest=known.digest)
        known.save()
        if keeper is not None:
            keeper.finish(results)
    return Sweep(target, target / SWEEP_TABLE, tuple(results[n] for n in todo if n in results), _reasons(entries, failed))


def _opened(runs: Sequence[Run | str | os.PathLike[str]] | Run | str | os.PathLike[str]) -> list[Run]:
    several = [runs] if isinstance(runs, Run | str | os.PathLike) else runs
    return [run if isinstance(run, Run) else open_run(run) for run in several]


def _reasons(entries: Sequence[Entry], failed: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What could not be measured, in words, and why."""
    reasons = [(entry.words, str(entry.error)) for entry in entries if entry.error is not None]
    reasons += [(e.words, failed[e.job.name].reason) for e in entries if e.job is not None and e.job.name in failed]
    return tuple(reasons)


def measure_run(
    run: Run, *, anchors: Sequence[int] = (0, 1, 2), window: Any = None, steps: Sequence[int] | None = None,
    out: str | os.PathLike[str], lc: LCOptions | None = LCOptions(),  # noqa: B008  # frozen, so it can be shared
    near: float | None = None, jobs: int | Executor = 1, threads: int | None = None, progress: Progress | None = None,
    also: Sequence[str] = (), unread: dict[int, str] | None = None,
) -> list[Result]:  # fmt: skip
    """Partition and measure every checkpoint of a run on the plane through three of its training samples.

    Writes out/partitions, out/rows (see `jobs`) and out/measures.csv. Results of a former equal call are left as they are.

    Args:
        run: an opened run.
        anchors: indices of three training samples.
        window: as in `Plane.window`.
        steps: the checkpoints of these steps only; None: all.
        out: output directory.
        lc: as in `sweep`.
        near: as in `sweep`.
        jobs: as in `sweep`.
        threads: as in `sweep`.
        progress: as in `sweep`.
        also: names of files that the caller will write into `out`.
        unread: filled with the reasons, by step, of checkpoints that cannot be read; None: the first is raised.

    Returns:
        Results in order of steps.

    Raises:
        PlaneError, CheckpointError: from `Run.plane` and `Run.program`, before any work.
        TraceError, PartitionError: from `sv.partition`, after all other checkpoints are done.
        OutputError: the directory holds files of others, or results of another run.
        JobError: a call with other options works in the directory.
    """
    target = Path(out).resolve()
    chosen = run if steps is None else run.only(steps)
    known = Known.of(target, len(chosen.checkpoints))
    entries, samples = _entries(chosen, [anchors], [window], target, lc, near, known, keep=True, prove=False, by_step=True)
    bad = {entry.step: entry.error for entry in entries if entry.error is not None}
    if bad and (unread is None or len(bad) == len(entries)):
        raise next(iter(bad.values()))
    if unread is not None:
        unread |= {step: str(error) for step, error in bad.items()}
    asked = plan.plan([chosen], entries, _options(lc, near), named="step")
    outputs.enter(target, "run", _paths([run]), (*outputs.MEASURES, *also), same=plan.is_of_same_results(target, asked))
    with plan.joined(target, asked):
        for path, arrays in samples.items():
            _store(path, arrays)
        todo = [entry.job for entry in entries if entry.job is not None]
        results, failed = _work_off(todo, jobs, threads, progress, known)
        if failed:
            first, *others = failed.values()
            if others:
                first.error.add_note(f"{len(others)} more of {len(todo)} checkpoints failed; the others are done.")
            raise first.error
        ordered = _with_churn([results[job.name] for job in todo], target)
        _write_table(target / TABLE, [(None, result) for result in ordered])
        provenance.write_manifest(target, "measures", _options(lc, near), digest=known.digest)
        known.save()
    return ordered


def random_planes(run: Run, count: int, seed: int = 0) -> list[list[int]]:
    """Planes through three training samples each, drawn at random; the same for the same seed and number of samples.

    No three samples are drawn twice, in whatever order. Raises DataError when the run has fewer than three training samples,
    or too few for so many planes.
    """
    if len(run.train_x) < 3:
        raise DataError(f"planes: expected a run with at least three training samples, got {len(run.train_x)}.")
    if count > (most := math.comb(len(run.train_x), 3)):
        raise DataError(
            f"planes: expected {count} planes through training samples, got {len(run.train_x)} samples, which span at most "
            f"{most}; ask for fewer."
        )
    rng = np.random.default_rng(seed)
    found: list[list[int]] = []
    drawn: set[frozenset[int]] = set()
    for _ in range(100 * count):
        anchors = [int(i) for i in rng.choice(len(run.train_x), 3, replace=False)]
        if frozenset(anchors) in drawn:
            continue
        drawn.add(frozenset(anchors))
        try:
            run.plane(anchors)
        except PlaneError:
            continue  # samples on one line, or twice the same one
        found.append(anchors)
        if len(found) == count:
            return found
    raise DataError(f"planes: expected {count} planes through training samples, got {len(found)}; ask for fewer.")


# ---- what is asked ---------------------------------------------------------------------------------------


def _entries(
    run: Run, planes: Sequence[Sequence[int | str]], windows: Sequence[Any], out: Path, lc: LCOptions | None,
    near: float | None, known: Known | None = None, *, keep: bool, prove: bool, by_step: bool,
) -> tuple[list[Entry], dict[Path, dict[str, Array]]]:  # fmt: skip
    """The slices of one run, and the samples that their jobs read, by file."""
    measures.checked_near(near)
    piecewise(Program.from_data(run.network))  # refused before hours of work, not after
    slices = []
    for names in planes:
        run, found = run.anchored(names)
        anchors = tuple(found)
        plane = run.plane(anchors)
        slices += [(anchors, plane, _said(window), plane.window(window)) for window in windows]

    def recorded(checkpoint: checkpoints.Checkpoint, name: str) -> bool:
        return bool(np.isfinite(checkpoint.metrics.get(f"{name}_accuracy", np.nan)))

    with_labels = any(not recorded(c, name) for c in run.checkpoints for name in ("train", "test"))
    arrays = choose_samples(run.data, lc, with_labels=with_labels)
    digest = samples_digest(arrays)
    path = out / "samples" / f"{digest[:16]}.npz"
    entries = []
    how = files.digest([run.network, run.own, run.trust, run.weights_key, run.swap, provenance.versions()["splineviz"]])
    for checkpoint in run.checkpoints:
        label, step = str(run.path), checkpoint.step
        try:
            network, held = weights.held(run, checkpoint, known or Known(out, 0), how)
        except SplinevizError as error:
            entries += [Entry(label, step, anchors, said, None, error) for anchors, _, said, _ in slices]
            continue
        for anchors, plane, said, window in slices:
            job = Job(
                f"step-{step:010d}", step, checkpoint.path.resolve(), held, network, plane, window, path,
                digest, lc, dict(checkpoint.metrics), out, own=run.own, trust=run.trust, keep=keep,
                near=near, prove=prove, weights_key=run.weights_key,
            )  # fmt: skip
            entries.append(Entry(label, step, anchors, said, job if by_step else replace(job, name=job.key[:32])))
    seen = {e.step: (e.step, e.job.weights_digest, e.job.metrics) for e in entries if e.job is not None}
    sure = doubts(run, run.checkpoints[-1]) if entries and entries[-1].error is None else []
    for line in (*sure, *unmoved(list(seen.values()), contradicted=True)):
        warnings.warn(line, stacklevel=2)
    return _linked(entries), {path: arrays}


def _linked(entries: Sequence[Entry]) -> list[Entry]:
    """The same, with jobs that know the ones before and after on their slice."""
    found = list(entries)
    for indices in _by_slice(entries):
        line = [(index, job) for index in indices if (job := entries[index].job) is not None]
        names = [None, *(job.named for _, job in line), None]
        for place, (index, job) in enumerate(line):
            found[index] = replace(entries[index], job=job.linked(names[place], names[place + 2]))
    return found


def _paths(runs: Sequence[Run]) -> list[str]:
    return [str(run.path.resolve()) for run in runs]


def _options(lc: LCOptions | None, near: float | None) -> dict[str, Any]:
    return {"lc": None if lc is None else asdict(lc)} | ({} if near is None else {"near": float(near)})


def _said(window: Any) -> str:
    """A window in words: empty for the anchors with a margin, a half-width, or corners."""
    return "" if window is None else repr(float(window)) if np.ndim(window) == 0 else repr(np.asarray(window).tolist())


def _store(path: Path, chosen: Mapping[str, Array]) -> None:
    """Write the shared samples, unless they are there already."""
    try:
        if samples_digest(archives.read_npz(path)) == samples_digest(chosen):
            return
    except (OSError, ValueError):
        pass  # absent or torn
    files.write_arrays(path, chosen)


# ---- what comes of it ------------------------------------------------------------------------------------


def _work_off(
    todo: Sequence[Job], engine: int | Executor, threads: int | None, progress: Progress | None, known: Known,
    store: Store | None = None,
) -> tuple[dict[str, Result], dict[str, Failure]]:  # fmt: skip
    results = _finished(todo, known)
    if store is not None:
        store.put(plan.NAME)  # one that cannot be written is named before hours of work
        brought = store.fetch([job.name for job in todo], results)
        results |= _finished([job for job in todo if job.name in brought], known)
    failed: dict[str, Failure] = {}
    if progress is not None and results:
        progress(len(results), len(todo), f"{len(results)} of {len(todo)} were measured before")
    pending = [job for job in todo if job.name not in results]
    with closing(executors.run(pending, engine, threads=threads)) as outcomes:
        for outcome in outcomes:
            if isinstance(outcome, Failure):
                failed[outcome.name] = outcome
                text = f"failed: {outcome.reason.splitlines()[0]}"
            else:
                results[outcome.name] = outcome
                if store is not None:
                    with suppress(JobError):  # the network comes and goes; at the end all that is missing is put
                        store.keep(outcome.name)
                text = f"step {outcome.step:,}: {outcome.row['regions']:,.0f} regions in {outcome.seconds:.1f} s"
            if progress is not None:
                progress(len(results) + len(failed), len(todo), text)
    return results, failed


def _finished(todo: Sequence[Job], known: Known) -> dict[str, Result]:
    """Results that lie on disk, by name. The note of an older failure, which a killed process could not remove, goes."""
    results = {job.name: found for job in todo if (found := job.finished(known.digest)) is not None}
    for job in todo:
        if job.name in results and job.failure_path.exists():
            job.failure_path.unlink(missing_ok=True)
    return results


def _with_churns(done: Sequence[tuple[Entry, Result]], out: Path) -> list[tuple[Entry, Result]]:
    """The same, with the churn along every sequence of checkpoints on one slice."""
    found = list(done)
    for indices in _by_slice([entry for entry, _ in done]):
        for index, result in zip(indices, _with_churn([done[i][1] for i in indices], out), strict=True):
            found[index] = (done[index][0], result)
    return found


def _with_churn(results: Sequence[Result], out: Path) -> list[Result]:
    """The results of one slice, in order of steps, each with its row's `churn` since the one before; NaN for the first."""
    paths = {result.key: result.partition_path for result in results}
    last: dict[str, Partition] = {}

    def load(one: churn.Named) -> Partition:  # a result is the later of one pair, then the earlier of the next
        found = last.get(one.key) or Partition.load(paths[one.key])
        last.clear()
        last[one.key] = found
        return found

    shares, names = [float("nan")], [churn.Named(result.name, result.key) for result in results]
    shares += [churn.between(out, before, after, load) for before, after in pairwise(names)]
    return [replace(result, row=result.row | {"churn": share}) for result, share in zip(results, shares, strict=False)]


def _by_slice(entries: Sequence[Entry]) -> list[list[int]]:
    """Positions of the entries of every slice, in order of steps."""
    slices: dict[tuple[Any, ...], list[int]] = {}
    for index, entry in enumerate(entries):
        slices.setdefault((entry.run, entry.anchors, entry.window), []).append(index)
    return list(slices.values())


def _write_table(path: Path, rows: Sequence[tuple[Entry | None, Result]] | Sequence[tuple[Entry, Result]]) -> None:
    """Write the rows as one table; a file that already says the same is not touched."""
    said = table_text([(None if e is None else (e.run, " ".join(map(str, e.anchors)), e.window), r.row) for e, r in rows])
    if not (path.is_file() and path.read_text() == said):
        files.write_text(path, said)
