"""Jobs: one checkpoint on one slice -> a partition file and a row of measures.
Here too: the key of a job; a row's numbers from the network and from the partition; and the note of a failure.

A job is plain data that can be sent to another process or machine that sees the same files; `attempt` does
it there, and `staged` in two parts, between which another job may begin. Its key is a digest of everything the
result depends on (weights, network, plane, window, options, samples, recorded metrics), so a job whose row carries
its key is done and is left alone.

    out/samples/0123456789abcdef.npz         points of the local complexity, samples for accuracies
    out/partitions/step-0000000100.npz       the partition
    out/rows/step-0000000100.json            key, row and where they are from; written last, so it vouches for the partition
    out/running/step-0000000100              there and locked while some process works on the job
    out/failures/step-0000000100.json        why the last attempt failed; gone when one succeeds
    out/churn/step-0000000100.json           see `churn`

This file draws nothing and does not know how runs are stored, nor who attempts which job when.
"""

from __future__ import annotations

import json
import os
import pickle
import socket
import time
import traceback
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from splineviz.errors import CheckpointError, FloatArray, SplinevizError
from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane
from splineviz.jobs import churn
from splineviz.jobs.samples import accuracy, read_samples
from splineviz.metrics import columns, measures, sites, slice_complexity
from splineviz.metrics.columns import COLUMNS
from splineviz.metrics.liveness import liveness
from splineviz.metrics.options import LCOptions, columns_of
from splineviz.metrics.steepness import steepness
from splineviz.regions import certificate
from splineviz.regions.crossings import crossings, folding, seen_along
from splineviz.regions.enumerate import partition
from splineviz.storage import files, locks, provenance
from splineviz.system.signals import raise_if_heard
from splineviz.threads import available, one_torch_thread, outcome
from splineviz.tracing.program import Program
from splineviz.training import checkpoints, state_files
from splineviz.training.samples import Array

FORMAT = 5
"""Part of every key: raised when the same input gives other numbers, so that old rows are not taken for new ones.

tests/jobs/test_job.py holds the numbers of each format and says when to. A new column needs no other: a row that lacks it is
measured again.
"""

STEEP = 200
"""Most points of the gradient complexity: its band is half that of the local complexity at as many."""
MOST_CROSSED = 2e7
"""Knots that a few points of the anchors' triangle show, times units of the network, above which its crossings are not
counted: the triangle of a convolutional network on colour pictures, say, has tens of thousands, each a pass of the network.
"""


@dataclass(frozen=True)
class Result:
    """What one job leaves: its name and key, the step, the partition's file, the row (see COLUMNS), the seconds it took,
    the digest of the partition's file, None where none is kept, and the digest of the weights.
    """

    name: str
    key: str
    step: int
    partition_path: Path
    row: dict[str, float]
    seconds: float
    content: str | None = None
    weights: str = ""


@dataclass(frozen=True)
class Failure:
    """A job that failed: its name, why in one line, and the exception itself."""

    name: str
    reason: str
    error: Exception


@dataclass(frozen=True)
class Busy:
    """A job that another process works on at this moment."""

    name: str


Outcome = Result | Failure | Busy
"""What comes of one attempt at a job."""


@dataclass(frozen=True)
class Job:
    """One checkpoint on one slice. network: Program.to_data(); samples: the file of what `choose_samples` chose.

    near: the distance that counts as near in `measures.migration`, as a share of the window's side; None: its default.
    name: of its files. weights_digest: of the weights it is about; a file that holds others by now is refused.
    keep: whether the partition is written, or the row alone. prove: whether its certificate is made as well. before, after:
    results of the neighbouring checkpoints on the same slice, for the churn; no part of the key.
    """

    name: str
    step: int
    weights: Path
    weights_digest: str
    network: Mapping[str, Any]
    plane: Plane
    window: FloatArray
    samples: Path
    samples_digest: str
    lc: LCOptions | None
    metrics: Mapping[str, float]
    out: Path
    own: bool = True
    trust: bool = False
    weights_key: str | None = None
    threads: int | None = None
    near: float | None = None
    keep: bool = True
    prove: bool = False
    before: churn.Named | None = None
    after: churn.Named | None = None

    @property
    def named(self) -> churn.Named:
        """The result as its neighbours know it."""
        return churn.Named(self.name, self.key)

    @property
    def partition_path(self) -> Path:
        """The partition's file."""
        return self.out / "partitions" / f"{self.name}.npz"

    @property
    def row_path(self) -> Path:
        """The row's file."""
        return self.out / "rows" / f"{self.name}.json"

    @property
    def claim_path(self) -> Path:
        """The file that is locked while some process works on the job."""
        return self.out / "running" / self.name

    @property
    def failure_path(self) -> Path:
        """Where the last attempt says why it failed."""
        return self.out / "failures" / f"{self.name}.json"

    def program(self) -> Program:
        """The network bound to the checkpoint's weights. Raises CheckpointError, also when they are not the job's."""
        state = state_files.load_state(self.weights, raw=self.own, trust=self.trust, key=self.weights_key)
        if state_files.digest(state) != self.weights_digest:
            raise CheckpointError(
                f"{self.weights}: expected weights that do not change during the call, got changed ones; start again."
            )
        return checkpoints.fit(Program.from_data(self.network, rehearsed=True), state, self.weights)

    @cached_property
    def key(self) -> str:
        """Digest of all that the result depends on."""
        return key_of(
            self.step, self.network, self.lc, self.metrics, self.samples_digest, self.weights_digest, self.plane,
            self.window, self.near,
        )  # fmt: skip

    def linked(self, before: churn.Named | None, after: churn.Named | None) -> Job:
        """The same job that knows its neighbours."""
        found = replace(self, before=before, after=after)
        found.__dict__["key"] = self.key  # no other one, and dear
        return found

    def finished(self, digest: Callable[[Path], str] = files.digest_of_file) -> Result | None:
        """The result that lies on disk already, if it is this job's and whole: same key, and its partition.

        digest: of a file; `Known.digest`, say.
        """
        try:
            stored = files.read_sealed(self.row_path)
            if stored["key"] != self.key or (self.prove and not stored["made"]["certificate"]):
                return None
            if self.keep and digest(self.partition_path) != stored["partition"]:
                return None
            row = {str(name): float("nan") if value is None else float(value) for name, value in stored["row"].items()}
            if not set(COLUMNS) <= set(row):
                return None  # of a version that knew fewer columns
            seconds, held = float(stored["seconds"]), stored["partition"]
            return Result(self.name, self.key, self.step, self.partition_path, row, seconds, held, self.weights_digest)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None  # absent or torn: it is made anew


def key_of(
    step: int, network: Any, lc: Any, metrics: Mapping[str, Any], samples: str, state: str, plane: Plane, window: FloatArray,
    near: float | None = None,
) -> str:  # fmt: skip
    """Digest of all that a row and its partition depend on; samples and state (the weights) are digests themselves.

    near: as of a Job. Its default is no part of the digest, so that rows of versions without the option are still good.
    """
    options = lc if lc is None or isinstance(lc, Mapping) else asdict(lc)
    told = {name: repr(float(value)) for name, value in sorted(metrics.items())}
    chosen = [FORMAT, step, network, options, told, samples, state] + ([] if near is None else [repr(float(near))])
    return files.digest(chosen, plane.origin, plane.basis, plane.anchors_uv, window)


def attempt(job: Job) -> Outcome:
    """Do a job unless it is done, or another process works on it; what goes wrong comes back as a Failure and is noted.

    Raises KeyboardInterrupt and its like, and OSError when the output directory cannot be written at all.
    """
    return finish(staged(job))


def finish(stages: Generator[None, None, Outcome]) -> Outcome:
    """Go through what is left of an attempt."""
    while True:
        try:
            next(stages)
        except StopIteration as end:
            found: Outcome = end.value
            return found


def staged(job: Job) -> Generator[None, None, Outcome]:
    """`attempt` in two parts: it yields once, when the partition is there and is still to be measured and written.

    The second part may be gone through in another thread. Closed before, it leaves the job to others.
    """
    note = json.dumps({"host": socket.gethostname(), "process": os.getpid()})
    with locks.claim(job.claim_path, note) as mine:
        if not mine:
            return Busy(job.name)
        if (found := job.finished()) is None:
            try:
                found = yield from work(job)
            except Exception as error:  # whatever it is, the other jobs go on
                raise_if_heard()
                return failed(job, error)
            job.failure_path.unlink(missing_ok=True)
        return found


def failed(job: Job, error: Exception) -> Failure:
    """Note why a job failed, for `status`; the next start tries it again."""
    text = str(error).strip() or type(error).__name__
    reason = text if isinstance(error, SplinevizError) else f"{type(error).__name__}: {text}"
    lines = traceback.format_exception(error)
    try:
        files.write_sealed(job.failure_path, {"key": job.key, "reason": reason, "traceback": "".join(lines)[-4000:]})
    except OSError:
        pass  # no room for the note either; it is said on the screen all the same
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # cannot be sent to the process that asks
        error = RuntimeError(reason)
    return Failure(job.name, reason, error)


def work(job: Job) -> Generator[None, None, Result]:
    """Do a job: enumerate, yield, measure, write the partition and then its row.

    Raises what went wrong, naming the checkpoint.
    """
    began = time.perf_counter()
    row = dict.fromkeys(COLUMNS, float("nan")) | {"step": float(job.step)}
    proof = None
    try:
        with one_torch_thread():
            program = job.program()
            result = partition(program, job.plane, window=job.window, threads=job.threads)
        waits = time.perf_counter()
        yield
        began += time.perf_counter() - waits
        with one_torch_thread():
            row |= _numbers(job, program, result)
        if job.prove:
            proof = asdict(certificate.verify(result, program)) | {"seconds": 0.0}  # the same slice, the same file
    except SplinevizError as error:
        raise type(error)(f"{job.weights.name} (step {job.step}): {error}") from error
    made = {
        "weights": job.weights_digest,
        "samples": job.samples_digest,
        "window": job.window.tolist(),
        "report": result.report.lasting(),
        "certificate": proof,
        **provenance.versions(),
    }
    written = None
    job.row_path.unlink(missing_ok=True)  # an older row must not vouch for the new partition
    if job.keep:
        result.save(job.partition_path, made=made)
        written = files.digest_of_file(job.partition_path)
    seconds = time.perf_counter() - began
    content = {"key": job.key, "row": row, "seconds": seconds, "partition": written, "made": made}
    files.write_sealed(job.row_path, content)
    if job.keep:
        churn.settle(job.out, job.named, result, job.before, job.after)
    return Result(job.name, job.key, job.step, job.partition_path, row, seconds, written, job.weights_digest)


def _numbers(job: Job, program: Program, result: Partition) -> dict[str, float]:
    """A row's numbers; the geometry's while torch counts, since neither needs the other, if the job has a second thread."""
    radius = None if job.lc is None else job.lc.radius
    if (job.threads or available()) == 1:
        return network_numbers(job, program) | partition_numbers(result, radius, job.near)
    with ThreadPoolExecutor(1) as beside:
        numbers = beside.submit(partition_numbers, result, radius, job.near)
        return network_numbers(job, program) | outcome(numbers)


def network_numbers(job: Job, program: Program) -> dict[str, float]:
    """The columns of a row that follow from the network: accuracies, crossings, local complexity, live units."""
    row = {}
    samples, trained = read_samples(job.samples, job.samples_digest), program.as_trained
    for name in ("train", "test"):
        recorded = job.metrics.get(f"{name}_accuracy", float("nan"))
        row[f"{name}_accuracy"] = accuracy(trained, samples, name) if np.isnan(recorded) else recorded
    row |= {name: job.metrics[name] for name in (f"robust_{eps:g}" for eps in columns.EPS) if name in job.metrics}
    row |= _crossings(program, job.plane)
    if job.lc is not None:
        found, wide = job.lc.measured_beside(trained, job.lc.chosen(samples), threads=job.threads)
        row |= columns_of(found, live=True) | columns_of(wide, name="lc_wide")
        row |= _liveness(program, samples)
        steep = steepness(trained, samples["lc_train"][:STEEP], num_vectors=job.lc.num_vectors, seed=job.lc.seed)
        row |= {"gradient_complexity": steep.mean, "gradient_complexity_band": steep.band}
        row |= slice_complexity.sampled(program, job.plane, job.window, job.lc.radius, job.threads)
    return row


def partition_numbers(result: Partition, radius: float | None, near: float | None = None) -> dict[str, float]:
    """The columns of a row that follow from the partition; radius: of the local complexity, None leaves it out.

    near: as of a Job.
    """
    distance = None if near is None else near * measures.side(result)
    try:
        summary = measures.summary(result, near=distance)
        return {**columns.computed(result), **slice_complexity.exact(result, radius), **summary}
    finally:
        sites.forget(result)


def _crossings(program: Program, plane: Plane) -> dict[str, float]:
    """Number of breakpoints on the polyline through the anchors, closed, and how many of them fold it; nothing for a plane
    without anchors, and where they are so many that finding them would take longer than a slice.
    """
    corners = plane.embed(plane.anchors_uv)
    units = sum(layer.units for layer in program.layers)
    if len(corners) < 2 or seen_along(program, plane, plane.anchors_uv) * units > MOST_CROSSED:
        return {}
    found = crossings(program, *corners, corners[0])
    return {"crossings": float(len(found.position)), "folding": float(folding(program, found, *corners, corners[0]))}


def _liveness(program: Program, samples: Mapping[str, Array]) -> dict[str, float]:
    found = liveness(program, samples["lc_train"])
    return {f"units_{kind}": float(getattr(found, kind).sum()) for kind in ("live", "linear", "dead")}
