"""Plans: what was asked of an output directory, who may work on it, and how far each job is.
Here too: whether two lists speak of the same results, the traced network of an entry, and a slice in words.

    out/jobs.json      runs, options, and one entry per job; sealed by a digest of itself
                       further: entries of results that an earlier call asked for and that are still of these slices
    out/running/plan   locked by every call that works on this list; a call with another list is refused

The state of a job is read from what lies on disk: its row, its lock, the note of its last failure. This file starts
nothing and draws nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splineviz import choices
from splineviz.errors import JobError, SplinevizError
from splineviz.jobs.job import Job
from splineviz.storage import files, listings, locks, outputs
from splineviz.training.runs import Run

NAME = outputs.JOBS
FORMAT = 1
TRIES = 100
"""So often a call asks for its part in the work while another one writes the plan."""
STATES = choices.STATES


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
    networks = {str(run.path): run.network for run in runs}
    others = {files.digest(e.job.network): e.job.network for e in entries if e.job and _other(e, networks)}
    return {
        "format": FORMAT,
        "named": named,
        "networks": others,
        **options,
        "runs": {str(run.path): {"path": str(run.path.resolve()), "own": run.own, "weights_key": run.weights_key,
                                 "network": run.network, "judge": run.judge} for run in runs},
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
                "network": _other(e, networks),
                "reason": None if e.error is None else str(e.error),
            }
            for e in entries
        ],
    }


def _other(entry: Entry, networks: Mapping[str, Any]) -> str | None:
    """The digest of a job's network, where it is another than its run's."""
    if entry.job is None or entry.job.network == networks[entry.run]:
        return None
    return files.digest(entry.job.network)


def network(said: Mapping[str, Any], entry: Mapping[str, Any]) -> Any:
    """The traced network of an entry of jobs.json."""
    digest = entry.get("network")
    return said["runs"][entry["run"]]["network"] if digest is None else said["networks"][digest]


def read(out: Path) -> dict[str, Any]:
    """What was asked of a directory. Raises JobError when it is no directory of results, or jobs.json is damaged."""
    try:
        said = files.read_sealed(out / NAME)
        if said["format"] != FORMAT:
            raise JobError(f"{out / NAME}: expected format {FORMAT}, got {said['format']!r}; update splineviz to read it.")
        return said
    except (FileNotFoundError, NotADirectoryError) as error:
        got = outputs.what_is(out) or f"none with {NAME}"
        raise JobError(
            f"{out}: expected a directory that `splineviz sweep` or `animate` wrote, got {got}; name one."
        ) from error
    except (ValueError, KeyError) as error:
        raise JobError(f"{out / NAME}: expected a list of jobs, got a damaged one; start the command again.") from error


def entries(out: Path, said: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The jobs of what `read` returned. Raises JobError for an entry that splineviz did not write."""
    try:
        return listings.jobs(said)
    except ValueError as error:
        raise JobError(f"{out / NAME}: {error} It is no list of jobs that splineviz wrote.") from error


def is_of_same_results(out: Path, asked: Mapping[str, Any]) -> bool:
    """Whether the list in a directory says the same of every job that both have, and both have some.

    Then it is about the same weights on the same slices, wherever the run lies by now.
    """
    before, after = ({(e["step"], tuple(e["anchors"]), e["window"]): e["key"] for e in _listed(one)}
                     for one in (_sealed(out / NAME) or {}, files.plain(asked)))  # fmt: skip
    common = before.keys() & after.keys()
    return bool(common) and all(before[one] == after[one] for one in common)


def further(said: Mapping[str, Any]) -> set[str] | None:
    """Names of results of the same slices that an earlier call asked for and the last one did not, all of them together.

    None for a list of version 0.1, or of a sweep, which do not say. A sweep's results are named by what they are.
    """
    if not isinstance(said.get("further"), list):
        return None
    both = _listed(said) + _listed({**said, "jobs": said["further"]})
    return {entry["name"] for entry in both if entry["name"]}


def covers(out: Path, asked: Mapping[str, Any]) -> bool:
    """Whether every job of the list in a directory is one of those asked for now, wherever the runs lie by now."""
    before, after = ({e["key"] for e in _listed(one)} for one in (_sealed(out / NAME) or {}, files.plain(asked)))
    return bool(before) and before <= after


def words(run: str, step: int, anchors: Sequence[int], window: str) -> str:
    """A slice in words."""
    return f"{run} step {step}, anchors {' '.join(map(str, anchors))}" + (f", window {window}" if window else "")


def states(out: Path) -> list[State]:
    """How far each job of a directory is, in the order of the list. Raises JobError as `entries` does."""
    found = []
    for entry in entries(out, read(out)):
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
                _tidy(out, asked)
                if _asked(path) != files.plain(asked):
                    files.write_sealed(path, {**asked, "further": _clear(out, asked)})
        with locks.claim(gate, "plan", shared=True) as mine:
            if mine and _asked(path) == files.plain(asked):
                yield
                break
        if mine:  # so nobody is about to write the plan: it is another one
            raise JobError(
                f"{out}: expected no other call at work there, got one with a different list of jobs; "
                "wait for it, or choose another --out."
            )
    else:
        raise JobError(f"{gate}: expected a lock that is held for seconds at most, got one held longer; end its process.")
    with locks.claim(gate) as alone:
        if alone:  # the last one to leave; others would miss the claims by which they know of their dead
            _tidy(out, asked)
        else:
            files.tidy(out)
    for folder in ("running", "failures"):
        try:
            (out / folder).rmdir()
        except OSError:
            pass  # absent, or not empty: others work, or some jobs failed


def _tidy(out: Path, asked: Mapping[str, Any]) -> None:
    """Remove what killed processes left: half-written files, and claims on jobs of this list or the one before it.

    A claim is known by its job's name. Anything else, and a folder `running` that is a link, is nobody's business here.
    """
    files.tidy(out)
    if not files.is_folder(out / "running"):
        return
    known = {entry.get("name") for one in (asked, _sealed(out / NAME) or {}) for entry in _entries(one)}
    for path in files.entries(out / "running"):
        if path.name in known:
            locks.remove_abandoned(path)


def _clear(out: Path, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Remove results of the list before this one, where the two are about other slices or weights; else return its entries.

    Files are named by step, so a later call would take a step of the old slice for one of its own. Only what the old list
    names goes, and of that only what carries our seal or note. Results of further steps of the same slices stay.
    """
    said = _sealed(out / NAME) or {}
    old = _listed(said) + _listed({**said, "jobs": said.get("further")})
    if asked.get("named") != "step" or not old:
        return []
    kept = {entry.get("name") for entry in _entries(asked)}
    left = [entry for entry in old if entry["name"] and entry["name"] not in kept]
    if is_of_same_results(out, asked) or _is_disjoint(said, asked):
        label = next(iter(asked.get("runs") or {}), None)  # one run, which may be called by another path by now
        return left if label is None else [entry | {"run": label} for entry in left]
    for entry in left:
        outputs.remove_results(out, entry["name"])
    return []


def _is_disjoint(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether two lists are about other steps of the same slices of the same network, as far as they say."""
    steps, slices = ([{pick(e) for e in _entries(files.plain(one))} for one in (old, new)] for pick in (
        lambda e: e.get("step"), lambda e: (e.get("run"), str(e.get("anchors")), e.get("window"))))  # fmt: skip
    both = files.plain(old), files.plain(new)
    settings = [files.digest([one.get("lc"), one.get("near"), one.get("runs")]) for one in both]
    return not steps[0] & steps[1] and slices[0] == slices[1] and settings[0] == settings[1]


def _asked(path: Path) -> dict[str, Any] | None:
    """What a list was written for, without what is left of earlier ones."""
    said = _sealed(path)
    return None if said is None else {name: value for name, value in said.items() if name != "further"}


def _listed(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    try:
        return listings.jobs(said)
    except ValueError:
        return []


def _entries(said: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = said.get("jobs")
    return [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, list) else []


def _sealed(path: Path) -> dict[str, Any] | None:
    try:
        return files.read_sealed(path)
    except (OSError, ValueError):
        return None
