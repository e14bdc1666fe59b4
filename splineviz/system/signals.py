"""Signals that end a command in order: Ctrl-C, SIGTERM (`kill`, Slurm's preemption), SIGHUP (a closed ssh).

    the first one  ------> KeyboardInterrupt in the main thread: nothing stays half written, one line, exit code 128 + n
    Ctrl-C once more ----> the process ends where it is, as it does GRACE seconds after the first; files are whole or absent

A signal may arrive between any two steps of the main thread. Inside Python's own conditions, queues and futures an
exception would leave a lock held for ever, and a thread that waits for it; so whoever works with other threads holds
signals back for that long. numba's C code takes an exception in the Python that it calls for a result and ends with a
segmentation fault, so there a signal waits too. This file knows neither commands nor threads' work.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
"""Signals that ask for an end; not every system has all of them."""
STOPPING = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))
GRACE = 20.0
"""Seconds after which a process that was asked to end does so, whatever it waits for; Slurm kills after 30."""
SOON = 0.02
"""Seconds after which a signal is heard again that came where no exception may be raised."""
TWICE = 1.0
"""Seconds within which a second Ctrl-C is the same one: shells and launchers pass on what the terminal sends as well."""

_given_up: set[int | None] = set()
"""Numbers of threads that are to end."""
_heard: list[int] = []
_last: list[int] = []
"""Signals that came: inside `listening`, and in the block that was left last."""


class HeldBack:
    """`with HeldBack() as signals:` notes signals that have a handler in Python, and hands them on at the end.

    Only the main thread hears signals; others hear that they are given up. In long work `deliver` hands on what was noted
    so far.
    """

    def __init__(self) -> None:
        self._before: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._noted: list[tuple[int, FrameType | None]] = []
        self._holds = False

    def __enter__(self) -> HeldBack:
        if threading.current_thread() is threading.main_thread():
            try:
                for number in STOPPING:
                    before = signal.getsignal(number)
                    if callable(before):
                        self._before[number] = before
                        signal.signal(number, self._note)
                self._holds = True
            except BaseException:
                self._restore()
                raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._restore()
        self.deliver()

    def deliver(self) -> None:
        """Hand on what was noted; raises what the handlers raise, and KeyboardInterrupt in a thread that is given up."""
        if threading.get_ident() in _given_up:
            raise KeyboardInterrupt
        while self._noted:
            number, frame = self._noted.pop(0)
            self._before[number](number, frame)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._holds:
            self._noted.append((number, frame))
        else:  # on the way in or out
            self._before[number](number, frame)

    def _restore(self) -> None:
        try:
            self._holds = False
            self._put_back()
        except BaseException:  # of one that was put back just now
            self._put_back()
            raise

    def _put_back(self) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)


@contextmanager
def given_up(threads: Iterable[int | None]) -> Iterator[None]:
    """Inside the block threads of these numbers end where they look for signals: nobody wants what they do."""
    numbers = set(threads)
    _given_up.update(numbers)
    try:
        yield
    finally:
        _given_up.difference_update(numbers)  # others will have these numbers


@contextmanager
def listening(say: Callable[[str], None]) -> Iterator[list[int]]:
    """Inside the block the first signal raises KeyboardInterrupt; yields the numbers of those that came.

    say(text): called before the process is ended where it is. Handlers of others, and ignored signals (nohup), stay.
    """
    began, ended = [0.0], threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        if not _heard and _in_numba(frame):
            again = threading.Timer(SOON, _to_the_main_thread, (number,))
            again.daemon = True
            again.start()
            return
        _heard.append(number)
        if len(_heard) == 1:
            began[0] = time.monotonic()
            end_later(say, ended)
            raise KeyboardInterrupt
        if number == signal.SIGINT and time.monotonic() - began[0] > TWICE:
            leave(say)

    before = {}
    _heard.clear()
    _last.clear()
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in STOPPING}
        usual = (signal.SIG_DFL, signal.default_int_handler)
        before = {number: handler for number, handler in before.items() if handler in usual}
    try:
        for number in before:
            signal.signal(number, stop)
        yield _heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        ended.set()
        _last[:] = _heard
        _heard.clear()


def _to_the_main_thread(number: int) -> None:
    """Send a signal where it wakes who sleeps or waits for a file; where there is no such way, to this thread."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)


def _in_numba(frame: FrameType | None) -> bool:
    """Whether a frame is one of numba's, or was called by one."""
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith("numba."):
            return True
        frame = frame.f_back
    return False


def said() -> str:
    """What a command says that a signal has ended."""
    number = signal.Signals(code() - 128)
    name = "Ctrl-C" if number == signal.SIGINT else number.name
    return f"stopped by {name}; every file that was finished is whole."


def code() -> int:
    """The exit code of a command that a signal ends, or has ended last, as shells count; that of Ctrl-C if none came."""
    return 128 + (*_heard, *_last, signal.SIGINT)[0]


def raise_if_heard() -> None:
    """Raise KeyboardInterrupt again if a signal came inside `listening`; an import that one hits raises another kind."""
    if _heard:
        raise KeyboardInterrupt


def ignore() -> None:
    """Hear no signal any more that asks for an end: the process ends."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


def end_later(say: Callable[[str], None], ended: threading.Event | None = None) -> None:
    """End the process where it is, GRACE seconds from now, unless `ended` is set by then."""
    waited = ended or threading.Event()

    def watch() -> None:
        if not waited.wait(GRACE):
            leave(say)

    with suppress(RuntimeError):  # the system gives no more threads
        threading.Thread(target=watch, daemon=True).start()


def leave(say: Callable[[str], None]) -> None:
    """End the process where it is, with the code of the first signal."""
    try:
        say(said())
    finally:
        os._exit(code())
