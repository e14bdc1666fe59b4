"""Plans: what was asked of an output directory, who may work on it, and how far each job is.

    out/jobs.json      runs, options, and one entry a job; sealed by a digest of itself
    out/running/plan   locked by everybody who works on this list; one who comes with another list is refused

The state of a job is read from what lies on disk: its row, its lock, the note of its last failure. This room starts
nothing and draws nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splineviz.errors import JobError, SplinevizError
from splineviz.jobs.job import Job
from splineviz.storage import files, locks
from splineviz.training.runs import Run

NAME = "jobs.json"
FORMAT = 1
TRIES = 100
"""So often a call asks for its part in the work while another one writes the plan."""
STATES = ("done", "running", "failed", "waiting")


@dataclass(frozen=True)
class Entry:
    """One slice of a sweep: its labels, and its job, or why there is none. window: as it was asked for, in words."""

    run: str
    step: int
    anchors: tuple[int, ...]
    window: str
    job: Job | None
    error: SplinevizError | None = None

    @property
    def words(self) -> str:
        """The slice in words."""
        return words(self.run, self.step, self.anchors, self.window)


@dataclass(frozen=True)
class State:
    """How far a job is. state: of STATES; reason: why it failed, in words, else empty."""

    words: str
    state: str
    reason: str


def plan(runs: Sequence[Run], entries: Sequence[Entry], options: Mapping[str, Any], *, named: str) -> dict[str, Any]:
    """What jobs.json says: enough to tell what was asked, what is done, and to check it without the command.

    named: what the files are named by, "step" or "key".
    """
    return {
        "format": FORMAT,
        "named": named,
        **options,
        "runs": {str(run.path): {"path": str(run.path.resolve()), "own": run.own, "weights_key": run.weights_key,
                                 "network": run.network} for run in runs},
        "jobs": [
            {
                "run": e.run,
                "step": e.step,
                "anchors": list(e.anchors),
                "window": e.window,
                "name": e.job.name if e.job else None,
                "key": e.job.key if e.job else None,
                "weights": str(e.job.weights) if e.job else None,
                "metrics": dict(e.job.metrics) if e.job else {},
                "reason": None if e.error is None else str(e.error),
            }
            for e in entries
        ],
    }


def read(out: Path) -> dict[str, Any]:
    """What was asked of a directory. Raises JobError when it is no directory of results, or jobs.json is damaged."""
    try:
        said = files.read_sealed(out / NAME)
        if said["format"] != FORMAT:
            raise JobError(f"{out / NAME}: expected format {FORMAT}, got {said['format']!r}; update splineviz to read it.")
        return said
    except (FileNotFoundError, NotADirectoryError) as error:
        raise JobError(
            f"{out}: expected a directory that `splineviz sweep` or `animate` wrote, got none with {NAME}; name one."
        ) from error
    except (ValueError, KeyError) as error:
        raise JobError(f"{out / NAME}: expected a list of jobs, got a damaged one; start the command again.") from error


def words(run: str, step: int, anchors: Sequence[int], window: str) -> str:
    """A slice in words."""
    return f"{run} step {step}, anchors {' '.join(map(str, anchors))}" + (f", window {window}" if window else "")


def states(out: Path) -> list[State]:
    """How far each job of a directory is, in the order of the list. Raises JobError as `read` does."""
    found = []
    for entry in read(out)["jobs"]:
        state, reason = _state(out, entry)
        found.append(State(words(entry["run"], entry["step"], entry["anchors"], entry["window"]), state, reason))
    return found


def _state(out: Path, entry: Mapping[str, Any]) -> tuple[str, str]:
    name = entry["name"]
    if name is None:
        return "failed", str(entry["reason"])
    if (_sealed(out / "rows" / f"{name}.json") or {}).get("key") == entry["key"]:
        return "done", ""
    if locks.held(out / "running" / name):
        return "running", ""
    note = _sealed(out / "failures" / f"{name}.json") or {}
    return ("failed", str(note["reason"])) if note.get("key") == entry["key"] else ("waiting", "")


@contextmanager
def joined(out: Path, asked: Mapping[str, Any]) -> Iterator[None]:
    """Take part in the work on a plan, with all others who have the same one. Raises JobError while others have another."""
    path, gate = out / NAME, out / "running" / "plan"
    for _ in range(TRIES):
        with locks.claim(gate) as alone:
            if alone:
                _tidy(out)
                if _sealed(path) != files.plain(asked):
                    files.write_sealed(path, dict(asked))
        with locks.claim(gate, "plan", shared=True) as mine:
            if mine and _sealed(path) == files.plain(asked):
                yield
                break
        if mine:  # so nobody is about to write the plan: it is another one
            raise JobError(
                f"{out}: expected a directory in which nobody works on other jobs, got one where another call does; "
                "wait for it, or choose another --out."
            )
    else:
        raise JobError(f"{gate}: expected a lock that is free again in seconds, got one that is held; who holds it?")
    with locks.claim(gate) as alone:
        if alone:  # the last one to leave; others would miss the claims by which they know of their dead
            _tidy(out)
        else:
            files.tidy(out)
    for folder in ("running", "failures"):
        try:
            (out / folder).rmdir()
        except OSError:
            pass  # absent, or not empty: others work, or some jobs failed


def _tidy(out: Path) -> None:
    """Remove what killed processes left: half-written files, and claims, also of jobs that they had just finished."""
    files.tidy(out)
    for path in (out / "running").glob("*"):
        locks.remove_abandoned(path)


def _sealed(path: Path) -> dict[str, Any] | None:
    try:
        return files.read_sealed(path)
    except (OSError, ValueError):
        return None
