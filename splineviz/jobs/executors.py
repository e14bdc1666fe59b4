"""Executors: attempts at a list of jobs, in this process, in spawned ones, or on any executor.

                     +-- this process        one after the other; while one is measured, the next one is enumerated
    jobs --attempt-->+-- N spawned processes threads shared out; one that dies is replaced and its job tried again
                     +-- an Executor         its workers see the same files: threads, Dask, Slurm through dask-jobqueue

A job that fails does not stop the others. A job that another process works on is left to it, and looked at again when
all others are done: then it is finished, or its process has died and it is done here. Nothing here reads a clock to
decide anything. This file knows neither runs nor tables.
"""

from __future__ import annotations

import ctypes
import errno
import multiprocessing
import os
import signal
import sys
import threading
import time
import tokenize
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import torch

from splineviz.errors import DataError, JobError
from splineviz.jobs.job import Busy, Failure, Job, Outcome, Result, attempt, failed, finish, staged
from splineviz.regions.blocks import MMAP_THRESHOLD
from splineviz.storage import locks
from splineviz.system.signals import HeldBack, given_up
from splineviz.threads import available, ended, one_torch_thread, outcome

IN_FLIGHT = 1024
"""Most jobs that an executor holds at a time: a list of any length costs it no more memory than these."""
LIVES = 2
"""So often a job may take its process with it, alone in a process the second time, before it counts as failed."""
SHORTEST, LONGEST = 0.1, 2.0
"""Seconds between two looks at the jobs of other processes."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""Not a job's fault: the output directory takes nothing any more, so no other job could be written either."""


def run(
    jobs: Sequence[Job], engine: int | Executor = 1, *, threads: int | None = None
) -> Generator[Result | Failure, None, None]:
    """Attempt jobs; outcomes come as they are made, one for each job.

    engine: a number of processes (1: this one; more are spawned, so a script must call this under
    `if __name__ == "__main__"`; one that does not is refused before a process begins), or an executor whose workers see
    the same files. threads: of each job; by default the processors are shared out among the processes, and are all a
    job's own on an executor.
    Raises DataError for a number below 1 and for a script without that line, OSError when the output directory is full or
    read-only, RuntimeError when the executor is gone.
    """
    if isinstance(engine, int) and engine < 1:
        raise DataError(f"jobs: expected a number of processes from 1 up, or an executor, got {engine}.")
    left: list[Job] = list(jobs)
    if isinstance(engine, int) and engine > 1 and len(left) > 1:
        _guarded(engine)
    pause = SHORTEST
    while left:
        by_name = {job.name: job for job in left}
        busy = []
        with closing(_once(left, engine, threads)) as outcomes:  # at once, not when the last traceback is forgotten
            for outcome in outcomes:
                if isinstance(outcome, Busy):
                    busy.append(by_name[outcome.name])
                    continue
                if isinstance(outcome, Failure) and isinstance(outcome.error, OSError) and outcome.error.errno in FULL:
                    raise outcome.error
                yield outcome
                pause = SHORTEST
        left = busy
        while left and all(locks.held(job.claim_path) for job in left):
            time.sleep(pause)
            pause = min(2 * pause, LONGEST)


def _once(
    jobs: Sequence[Job], engine: int | Executor, threads: int | None
) -> Generator[Outcome, None, None]:
    """One attempt at every job."""
    if not isinstance(engine, int):
        yield from _on(engine, [replace(job, threads=threads) for job in jobs])
    elif engine == 1 or len(jobs) == 1:
        own = [replace(job, threads=threads) for job in jobs]
        yield from map(attempt, own) if (threads or available()) == 1 or len(own) == 1 else _overlapping(own)
    else:
        yield from _in_processes(jobs, min(engine, len(jobs)), threads)


def _overlapping(jobs: Iterable[Job]) -> Generator[Outcome, None, None]:
    """One after the other, in order; a thread measures and writes one while the next is enumerated.

    Each part has stretches that one processor alone can work at; together they leave none idle. At most two are in memory.
    """
    # One thread of torch for all of it: were it set and restored for each, one job would change it for the other.
    with one_torch_thread():
        pool = ThreadPoolExecutor(1)
        behind: Future[Outcome] | None = None
        following: Future[Outcome] | None
        try:
            for job in jobs:
                stages, ended_early = staged(job), None
                try:
                    next(stages)
                    following = pool.submit(finish, stages)
                except StopIteration as end:  # done before, or failed: nobody waits for more
                    following, ended_early = None, end.value
                if behind is not None:
                    yield outcome(behind)
                behind = following
                if ended_early is not None:
                    yield ended_early
            if behind is not None:
                yield outcome(behind)
        except BaseException:
            with HeldBack(), given_up([thread.ident for thread in pool._threads]):
                pool.shutdown()
            raise
        finally:
            with HeldBack():  # a pool that nobody shuts down keeps Python from ending
                pool.shutdown()


# ---- executors -------------------------------------------------------------------------------------------


def _on(executor: Executor, jobs: Iterable[Job]) -> Iterator[Outcome]:
    """On an executor that mends itself, or cannot be mended."""
    for job, future in _submitted(executor, jobs):
        yield _outcome(job, future)


def _submitted(executor: Executor, jobs: Iterable[Job]) -> Iterator[tuple[Job, Future[Outcome]]]:
    """Jobs with their finished futures, at most IN_FLIGHT under way; what has not begun is cancelled when nobody asks on."""
    waiting = iter(jobs)
    flying: dict[Future[Outcome], Job] = {}
    try:
        while True:
            while len(flying) < IN_FLIGHT and (job := next(waiting, None)) is not None:
                flying[_submit(executor, job)] = job
            if not flying:
                return
            for future in ended(flying):
                yield flying.pop(future), future
    finally:
        for future in flying:
            future.cancel()


def _submit(executor: Executor, job: Job) -> Future[Outcome]:
    try:
        with HeldBack(), _uninterrupted():  # a pool may begin a process now
            return executor.submit(attempt, job)
    except BrokenExecutor as error:
        broken: Future[Outcome] = Future()
        broken.set_exception(error)
        return broken


def _outcome(job: Job, future: Future[Outcome]) -> Outcome:
    try:
        return future.result()
    except Exception as error:  # not the job's own, which come back as a Failure: its worker died, or could not read it
        return failed(job, error)


# ---- processes -------------------------------------------------------------------------------------------


def _in_processes(jobs: Sequence[Job], count: int, threads: int | None) -> Iterator[Outcome]:
    """In `count` spawned processes. When one dies the pool is lost: a new one takes what is left, the suspects alone."""
    share = threads or max(1, available() // count)
    left = {job.name: replace(job, threads=share) for job in jobs}
    deaths: dict[str, int] = {}
    stillborn = 0
    while left:
        alone = [job for job in left.values() if job.name in deaths]
        batch = alone or list(left.values())
        lost = []
        with _pool(1 if alone else min(count, len(batch)), share) as pool:
            for job, future in _submitted(pool, batch):
                if isinstance(future.exception(), BrokenExecutor):
                    lost.append(job)
                    continue
                del left[job.name]
                yield _outcome(job, future)
        # A process names its job in a claim, which it leaves behind when it dies: one of these may have killed it.
        suspects = [job for job in lost if job.claim_path.exists() and not locks.held(job.claim_path)]
        stillborn = stillborn + 1 if lost and len(lost) == len(batch) and not suspects else 0
        if stillborn >= LIVES:
            raise JobError("jobs: worker processes died at start-up, probably out of memory; use fewer --jobs.")
        for job in suspects:
            job.claim_path.unlink(missing_ok=True)
            if (found := job.finished()) is not None:  # its process died after its row was written
                del left[job.name]
                yield found
                continue
            deaths[job.name] = deaths.get(job.name, 0) + 1
            if deaths[job.name] >= LIVES:
                del left[job.name]
                yield failed(job, JobError(f"{job.weights.name} (step {job.step}): {DIED}"))


def _guarded(count: int) -> None:
    """Refuse a script that every spawned process would run from its first line again, this call included."""
    path = getattr(sys.modules["__main__"], "__file__", None)
    if path is None or multiprocessing.parent_process() is not None:  # a notebook or a shell, which are not run again
        return
    with suppress(OSError, UnicodeDecodeError, SyntaxError):
        with tokenize.open(path) as stream:
            if "__main__" not in stream.read():
                raise DataError(
                    f"jobs={count}: expected {Path(path).name} to hold its calls under `if __name__ == \"__main__\":`, "
                    "since each process runs the script again, got none; add that line, or take jobs=1."
                )


DIED = "its process died, often for want of memory; try fewer processes, a smaller window, or more memory."


@contextmanager
def _pool(count: int, threads: int) -> Iterator[ProcessPoolExecutor]:
    """Spawned processes that end with this one, at once, however it ends: Ctrl-C, kill -9. SIGTERM and SIGHUP end each."""
    context = multiprocessing.get_context("spawn")
    with _uninterrupted("SIGHUP"):  # multiprocessing's own helper hears of a closed terminal, but of no other signal
        resource_tracker.ensure_running()
    reader, writer = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(count, context, initializer=_begin_worker, initargs=(threads, reader))
    try:
        yield pool
        with HeldBack():
            pool.shutdown()
    finally:
        with HeldBack():  # a pool that nobody shuts down keeps Python from ending
            writer.close()
            pool.shutdown(cancel_futures=True)
            reader.close()


@contextmanager
def _uninterrupted(name: str = "SIGINT") -> Iterator[None]:
    """Hold a signal back for a moment; a process that begins meanwhile never hears it, not even while it imports."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {getattr(signal, name)})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker(threads: int, lifeline: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the first one decides
    torch.set_num_threads(threads)  # as many processes as cores must not each take all cores
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()


def _end_with(lifeline: Any) -> None:
    """End this process when the other end of the lifeline is closed; files are whole or absent, so it may end anywhere."""
    try:
        lifeline.poll(None)
    finally:
        os._exit(1)


# ---- Dask ------------------------------------------------------------------------------------------------


@contextmanager
def dask(scheduler: str) -> Iterator[Executor]:
    """The workers of a Dask scheduler, such as tcp://head:8786, as an executor; they must see the same files.

    Raises JobError when the package is missing or nobody answers.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise JobError(
            "scheduler: expected the package distributed, got none; pip install 'splineviz[cluster]'."
        ) from error
    try:
        client = Client(scheduler, timeout="10s")
    except (OSError, ValueError) as error:
        raise JobError(f"scheduler: expected a Dask scheduler at {scheduler}, got none: {error}.") from error
    with client:
        client.register_worker_callbacks(_keep_memory)
        yield client.get_executor()


def _keep_memory() -> None:
    """Let this process keep memory that was freed, for the next arrays.

    Dask's workers begin with MALLOC_TRIM_THRESHOLD_=65536, so that each array's pages go back to the system and are fetched
    anew: half of a job's time again. Only the GNU C library has the call.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(TRIM_THRESHOLD, 1 << 28)
        mallopt(MMAP_THRESHOLD, 1 << 25)


TRIM_THRESHOLD = -1
"""Parameter of mallopt: bytes that may lie free at the end of the heap."""
