"""What a command shows while it works, and tables: progress goes to stderr, what is made to stdout.
Text that may come from somebody's file is made harmless for a terminal here; remarks go aside.
"""

from __future__ import annotations

import math
import os
import sys
import textwrap
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TextIO

Tick = Callable[..., None]
"""What long work calls with (done, total) or (done, total, text)."""
QUIET = 10.0
"""Seconds between two lines of a log."""
REDRAWN = 0.1
"""Seconds after which a bar is drawn anew."""
WIDE = 20
"""Signs of a bar."""


@contextmanager
def bar(text: str) -> Iterator[Tick]:
    """A progress bar on stderr, or a line now and then where that is no terminal; yields what moves it."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield _logged(text)
        return
    shown = _Bar(text)
    _bars.append(shown)
    try:
        yield shown.tick
    finally:
        _bars.remove(shown)
        shown.draw("\n")


class _Bar:
    """A line that is written over itself: what is done, how much of it, the time that is left if it goes on like this."""

    def __init__(self, text: str) -> None:
        self.text, self.note = text, ""
        self.done, self.total = 0, 0
        self.wide = 0  # of the line that stands there
        self.began, self.drawn = time.monotonic(), -math.inf
        self.lock = threading.Lock()  # ticks may come from several threads

    def tick(self, done: int, total: int, note: str = "") -> None:
        """Moves the bar; a tick without a note keeps the last one: recipes speak only when they write a checkpoint."""
        with self.lock:
            self.done, self.total, self.note = done, total, plain(note) or self.note
            now = time.monotonic()
            if now - self.drawn >= REDRAWN or done == total:
                self.drawn = now
                self.draw()

    def line(self, room: int) -> str:
        """The bar in words and signs, of at most `room` characters."""
        share = min(max(self.done / self.total, 0.0), 1.0) if self.total else 0.0
        full = round(WIDE * share)
        left = (time.monotonic() - self.began) * (1.0 / share - 1.0) if share else math.nan
        clock = str(timedelta(seconds=round(left))) if math.isfinite(left) else "-:--:--"
        said = f"{self.text} {'#' * full}{'-' * (WIDE - full)} {share:4.0%} {clock} {self.note}"
        return said.splitlines()[0].rstrip()[: max(room, 0)]

    def draw(self, end: str = "") -> None:
        """Write the line over the one before."""
        line = self.line(_columns(sys.stderr) - 1)
        self._write(f"\r{line.ljust(self.wide)}{end}")
        self.wide = len(line)

    def clear(self) -> None:
        """Room for a line of something else; the bar comes again with its next tick."""
        self._write("\r" + " " * self.wide + "\r")
        self.wide, self.drawn = 0, -math.inf

    def _write(self, text: str) -> None:
        if sys.stderr is not None:
            with suppress(OSError):
                sys.stderr.write(text)
                sys.stderr.flush()


_bars: list[_Bar] = []
"""Those that are shown now."""


def _columns(stream: TextIO | None) -> int:
    """Characters that a line of the terminal has."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80 if stream is not None else 80
    except (OSError, ValueError):
        return 80


def _logged(text: str) -> Tick:
    """What tells of progress where nobody watches, in a log or a pipe: a line every so often while it moves, and the end."""
    told = -math.inf

    def tick(done: int, total: int, note: str = "") -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= QUIET or done == total:
            told = now
            say(f"{text}: {done:,} of {total:,}{f', {note}' if note else ''}", aside=True)

    return tick


def plain(text: str) -> str:
    """Text that may come from somebody's file, as a terminal may show it: what would steer it is written out."""
    return "".join(f"\\x{ord(c):02x}" if unicodedata.category(c) in STEERING and c not in "\n\t" else c for c in text)


def say(text: object, *, aside: bool = False) -> None:
    """Print text of which some may come from a file, or from the name of one. aside: to where errors go."""
    for shown in _bars:
        shown.clear()
    if not aside:
        print(plain(str(text)))
    elif sys.stderr is not None:  # None: closed by whoever began this process
        with suppress(OSError):  # a full disk, or a pipe whose reader has gone: no reason to stop
            print(plain(str(text)), file=sys.stderr, flush=True)


def remark(text: str) -> None:
    """Say something about what is being done, in a line on stderr."""
    say(f"splineviz: {text}", aside=True)


STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Characters that move the cursor, change colours or the direction of writing, or are none."""


def table(*rows: tuple[str, str]) -> None:
    """Two columns, the first in bold; the second is folded where the terminal ends."""
    wide = max((len(plain(name)) for name, _ in rows), default=0)
    seen = sys.stdout is not None and sys.stdout.isatty()
    room = max(_columns(sys.stdout) - wide - 2, 20) if seen else 0  # in a pipe a row is a line
    for name, value in rows:
        first, lines = plain(name), plain(value).splitlines() or [""]
        if seen:
            lines = [part for line in lines for part in textwrap.wrap(line, room, break_on_hyphens=False) or [""]]
        head = f"\x1b[1m{first}\x1b[0m" if seen and os.name == "posix" else first
        print(head + " " * (wide - len(first) + 2) + lines[0])
        for line in lines[1:]:
            print(" " * (wide + 2) + line)
