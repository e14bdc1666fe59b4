"""Threads that take items from one stack until it is empty.
Here too: one call for each of several items, futures that have ended, and what one gives, all safe from signals; how many
processors this process may use, torch held to one thread for small products, and rows in chunks.

Depth-first (the newest item is taken first), so what lies on the stack stays small. An exception in one worker,
or Ctrl-C in the caller, stops all and reaches the caller. Knows nothing of blocks or networks.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from numbers import Integral
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from splineviz.errors import DataError
from splineviz.system.signals import HeldBack

Item = TypeVar("Item")
Made = TypeVar("Made")
Share = Callable[[Sequence[Callable[[], None]]], None]
"""Runs calls that may run at the same time, and returns when all have ended."""
LOOK = 0.05
"""Seconds between two looks for a signal while others work."""
SYSTEM = Path("/")
"""Where the system says what a process may use."""


def one_by_one(calls: Sequence[Callable[[], None]]) -> None:
    """Every call, in this thread."""
    for call in calls:
        call()


def chunks(rows: int, most: int, group: int) -> list[tuple[int, int]]:
    """Bounds of runs of about equal length, none longer than `most`, whole groups of so many rows but the last."""
    count = -(-rows // most)
    bounds = np.linspace(0, -(-rows // group), count + 1).astype(int) * group
    bounds[-1] = rows
    return list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))


def available() -> int:
    """Number of processors this process may use: those it is bound to, and no more than its container or Slurm job has.

    A container's share may be a fraction; it is rounded up, and never below one.
    """
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    granted = os.environ.get("SLURM_CPUS_PER_TASK", "")
    limits = [own, *([int(granted)] if granted.isdecimal() and int(granted) else [])]
    quota = _quota()
    return max(1, min(limits if quota is None else [*limits, math.ceil(quota)]))


def wanted(threads: Any) -> int:
    """The number of threads that a caller asked for; None: of processors that this process may use. Raises DataError."""
    if threads is None:
        return available()
    if isinstance(threads, bool) or not isinstance(threads, Integral) or threads < 1:
        raise DataError(f"threads: expected a whole number from 1 up, or None for all processors, got {threads!r}.")
    return int(threads)


def _quota() -> float | None:
    """Processors that the control group of this process may keep busy (its own, or one it lies in); None: no limit."""
    try:
        lines = (SYSTEM / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None  # no Linux
    found: list[float] = []
    for line in lines:
        _, kinds, group = line.split(":", 2)
        if kinds and "cpu" not in kinds.split(","):
            continue
        root = SYSTEM / "sys/fs/cgroup" / ("cpu" if kinds else "")
        place = root / group.lstrip("/")
        # In a container the group's name may be that of the machine outside: then the root stands for it.
        for folder in (place, *place.parents) if place.is_dir() else (root,):
            if not folder.is_relative_to(root):
                break
            found += _limit(folder)
    return min(found, default=None)


def _limit(folder: Path) -> list[float]:
    """What one control group says, in version 2 (`cpu.max`) or 1 (`cpu.cfs_quota_us`); empty without a limit."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        share = float(quota) / float(period)
    except (OSError, ValueError, ZeroDivisionError):
        return []  # no such file, or "max"
    return [share] if share > 0 else []


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """For many small products: to share each among threads takes longer than to do it, and spins on every processor."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def outcome(future: Future[Made]) -> Made:
    """What a future gives, or raises; a signal that comes meanwhile is handed on where no lock is held."""
    with HeldBack() as signals:
        return _outcome(future, signals)


def _outcome(future: Future[Made], signals: HeldBack) -> Made:
    while not wait([future], LOOK).done:
        signals.deliver()
    return future.result()


def ended(futures: Iterable[Future[Made]]) -> set[Future[Made]]:
    """Those of some futures that have ended, once there is one; signals as in `outcome`."""
    with HeldBack() as signals:
        while not (done := wait(futures, LOOK, FIRST_COMPLETED).done):
            signals.deliver()
        return done


def each(work: Callable[[Item], Made], items: Iterable[Item], threads: int) -> list[Made]:
    """work(item) of every item, in order, by so many threads. Raises the first exception in that order; the rest is left."""
    with HeldBack() as signals, ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            return [_outcome(future, signals) for future in futures]
        finally:
            for future in futures:
                future.cancel()


class _Shared:
    """Calls of one item that several threads take."""

    def __init__(self, calls: list[Callable[[], None]]):
        self.calls, self.running = calls, 0
        self.error: BaseException | None = None


class Stack(Generic[Item]):
    """Runs `work(item)`, which returns further items, on several threads until nothing is left."""

    def __init__(self, work: Callable[[Item], Iterable[Item]], threads: int):
        self._work = work
        self._threads = threads
        self._items: list[Item] = []
        self._busy = 0
        self._running = 0
        self._error: BaseException | None = None
        self._shared: list[_Shared] = []
        self._changed = threading.Condition()

    @property
    def idle(self) -> bool:
        """Whether a thread waits for something to do; asked by `work` to decide whether to split."""
        return self._threads > 1 and not self._items and self._busy < self._threads

    def run(self, first: Iterable[Item]) -> None:
        """Work through `first` and all that comes of it. Re-raises the first exception of a worker."""
        self._items = list(first)
        # Each worker runs torch on one thread, also when it is the only one: a product's rounding depends on it.
        # torch hands the last setting to new threads, so restore it.
        torch_threads = torch.get_num_threads()
        try:
            if self._threads == 1:
                torch.set_num_threads(1)
                while self._items:
                    self._items.extend(self._work(self._items.pop()))
            else:
                self._run_threads()
        finally:
            torch.set_num_threads(torch_threads)

    def _run_threads(self) -> None:
        with HeldBack() as signals:
            try:
                with self._changed:
                    for _ in self._items[: self._threads]:
                        self._start()
                while self._some_run():
                    signals.deliver()
            except BaseException as error:
                self._stop(error)
                while self._some_run():  # each ends with its item; to leave one behind would abort the process
                    with suppress(BaseException):  # what comes now has been seen to
                        signals.deliver()
                raise
        if self._error is not None:
            raise self._error

    def _start(self) -> None:
        """One more worker, if there may be; under the lock. Those that find nothing to do are never started."""
        if self._running < self._threads and self._error is None:
            try:
                threading.Thread(target=self._serve, daemon=True).start()
            except RuntimeError:  # the system gives no more threads
                if not self._running:
                    raise
                return
            self._running += 1

    def share(self, calls: Sequence[Callable[[], None]]) -> None:
        """Run calls that one item is made of, also on threads that have nothing to do, until all have ended.

        For `work` to call. Re-raises the first exception of a call.
        """
        if self._threads == 1 or len(calls) < 2:
            for call in calls:
                call()
            return
        shared = _Shared(list(calls))
        with self._changed:
            self._shared.append(shared)
            for _ in calls[1:]:
                self._start()
            self._changed.notify_all()
        self._help(shared)
        with self._changed:
            while shared.running:
                self._changed.wait()
        if shared.error is not None:
            raise shared.error

    def _help(self, shared: _Shared) -> None:
        """Take calls until none is left."""
        while True:
            with self._changed:
                if not shared.calls or shared.error is not None:
                    if shared in self._shared:
                        self._shared.remove(shared)
                    return
                call = shared.calls.pop()
                shared.running += 1
            error: BaseException | None = None
            try:
                call()
            except BaseException as found:
                error = found
            with self._changed:
                shared.running -= 1
                shared.error = shared.error or error
                if not shared.running:
                    self._changed.notify_all()

    def _some_run(self) -> bool:
        """Whether a worker runs, after a moment in which the last one may have ended. Not by Thread.join, which waits on."""
        with self._changed:
            if self._running:
                self._changed.wait(LOOK)
            return self._running > 0

    def _stop(self, error: BaseException) -> None:
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    def _serve(self) -> None:
        try:
            self._take_items()
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def _take_items(self) -> None:
        torch.set_num_threads(1)
        while True:
            with self._changed:
                while not self._items and not self._shared and self._busy and self._error is None:
                    self._changed.wait()
                shared = self._shared[-1] if self._shared and self._error is None else None
            if shared is not None:
                self._help(shared)
                continue
            with self._changed:
                if not self._items and self._busy and self._error is None:
                    continue
                if not self._items or self._error is not None:
                    self._changed.notify_all()
                    return
                item = self._items.pop()
                self._busy += 1
            try:
                more = list(self._work(item))
            except BaseException as error:
                self._stop(error)
                more = []
            with self._changed:
                self._items.extend(more)
                for _ in more[1:]:
                    self._start()
                self._busy -= 1
                self._changed.notify_all()
