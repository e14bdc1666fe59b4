"""Watching: a training run that is still going on, animated as its checkpoints appear.

        look at the folder --new and readable?--> animate --> wait at least as long as that took --> look again
              |                                                                                          |
              +--- until the last step is there, or nothing new has come for a while, or Ctrl-C ---------+

A checkpoint that cannot be read (a training loop writes it at this moment) is left out until it has changed. Half of the
time at most goes into drawing, so a film of many checkpoints, whose frames all change with every new one, does not
starve the training. Time is measured by a clock that nobody sets.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from splineviz.errors import CheckpointError, DataError
from splineviz.training.runs import Run
from splineviz.workflows.animate import Animation, animate

Tell = Callable[[str], None]
"""tell(text): what is seen, when it changes."""


def watch(
    opening: Callable[[], Run],
    *,
    poll: float = 5.0,
    until: int | None = None,
    idle: float | None = None,
    tell: Tell | None = None,
    sleep: Callable[[float], None] = time.sleep,
    **options: Any,
) -> Animation:
    """Animate a run again and again as it grows.

    Args:
        opening: opens the run anew; while it raises CheckpointError there is none so far.
        poll: seconds between two looks.
        until: stop when a checkpoint of this step or a later one is drawn; by default the last step, if run.json knows it.
        idle: stop when nothing new has come for so many seconds; None: never.
        tell: called with what is seen, when it changes.
        sleep: waits for so many seconds.
        options: as in `animate`.

    Returns:
        The last animation.

    Raises:
        DataError: times that are not positive, and as in `animate`.
        CheckpointError: nothing was ever drawn: what opening and reading raised last.
    """
    if not poll > 0 or (idle is not None and not idle > 0):
        raise DataError(f"watch: expected positive numbers of seconds, got poll {poll} and idle {idle}.")
    look = _Look(opening, tell or (lambda text: None))
    made: Animation | None = None
    changed = time.monotonic()
    while True:
        began = time.monotonic()
        run = look.again()
        if run is not None:
            try:
                made = animate(run, strict=True, **options)
            except CheckpointError as error:  # replaced between the look and the reading
                look.wait(error)
                sleep(max(poll, time.monotonic() - began))
                continue
            if made.course is not None and made.course.chosen:  # the same window for the checkpoints to come
                options |= {"window": made.course.window, "lc": made.course.lc, "regions": None, "center": None}
            last = run.checkpoints[-1].step
            look.tell(f"drawn up to step {last:,}; {made.videos[0] if made.videos else made.out}")
            end = run.last if until is None else until
            if end is not None and last >= end:
                return made
            changed = time.monotonic()
        took = time.monotonic() - began
        if idle is not None and time.monotonic() - changed >= idle:
            if made is None:
                raise look.error or CheckpointError("watch: expected checkpoints to appear, got none in time.")
            return made
        sleep(max(poll, took))


class _Look:
    """What was seen of a run so far, and what of it can be read."""

    def __init__(self, opening: Callable[[], Run], tell: Tell):
        self._opening = opening
        self._tell = tell
        self._said = ""
        self._read: dict[Path, tuple[tuple[int, int], bool]] = {}
        self._drawn: list[tuple[Path, tuple[int, int]]] = []
        self.error: CheckpointError | None = None

    def tell(self, text: str) -> None:
        """Say it, unless it was said last."""
        if text != self._said:
            self._tell(text)
        self._said = text

    def again(self) -> Run | None:
        """The run with the checkpoints that can be read, if they are others than those of the last time."""
        try:
            run = self._opening()
        except CheckpointError as error:
            self.wait(error)
            return None
        readable = [c for c in run.checkpoints if self._is_readable(run, c)]
        seen = [(c.path, _state(c.path)) for c in readable]
        if not seen or seen == self._drawn:
            return None
        self._drawn = seen
        return replace(run, checkpoints=tuple(readable))

    def _is_readable(self, run: Run, checkpoint: Any) -> bool:
        state = _state(checkpoint.path)
        known = self._read.get(checkpoint.path)
        if known is None or known[0] != state:
            try:
                run.program(checkpoint)
                known = (state, True)
            except CheckpointError as error:
                self.wait(error)
                known = (state, False)
            self._read[checkpoint.path] = known
        return known[1]

    def wait(self, error: CheckpointError) -> None:
        """Say what stands in the way; look at everything again the next time."""
        self.error = error
        self._drawn = []
        self.tell(f"waiting: {str(error).splitlines()[0]}")


def _state(path: Path) -> tuple[int, int]:
    """What changes when a file does; a file that is gone has a state, too."""
    try:
        found = path.stat()
    except OSError:
        return (0, -1)
    return found.st_mtime_ns, found.st_size
