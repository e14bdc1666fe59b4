"""What a command shows while it works, and tables: progress goes to stderr, what is made to stdout.
Text that may come from somebody's file is made harmless for a terminal here; remarks go aside.
"""

from __future__ import annotations

import math
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Tick = Callable[..., None]
"""What long work calls with (done, total) or (done, total, text)."""
QUIET = 10.0
"""Seconds between two lines of a log."""


@contextmanager
def bar(text: str) -> Iterator[Tick]:
    """A progress bar on stderr, or a line now and then where that is no terminal; yields what moves it."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield _logged(text)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    room = max(console.width - 48, 0)  # rich would take the percentage away first, not the end of the note
    note_column = TextColumn("{task.fields[note]}", markup=False)
    columns = (TextColumn(text), BarColumn(20), TaskProgressColumn(), TimeRemainingColumn(), note_column)
    with Progress(*columns, console=console) as bars:
        task = bars.add_task(text, total=None, note="")

        def tick(done: int, total: int, note: str = "") -> None:
            bars.update(task, completed=done, total=total)
            if note:  # a silent tick keeps the last note: recipes speak only when they write a checkpoint
                bars.update(task, note=plain(note)[:room])

        yield tick


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
    from rich.console import Console
    from rich.table import Table

    class Piped(Console):
        def on_broken_pipe(self) -> None:  # rich would exit with a code that is a failed certificate's here
            raise BrokenPipeError

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(plain(name), plain(value))
    Piped(markup=False, highlight=False).print(table)
