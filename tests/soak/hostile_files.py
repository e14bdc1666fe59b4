"""A soak of hostile input: `python tests/soak/hostile_files.py --inputs 100000`.

Files of every reader and command lines (`hostile`, `hostile_readers`, `hostile_folders`) in turn, in a process whose memory
is limited to little more than it has. A failure is anything but a result or a SplinevizError, code of a file that ran, a
file opened or touched outside the folder at hand, or anything started or connected to (`hostile_audit`). It is printed with
its kind and number, which make it again: `--kind partition --first 1234 --inputs 1`. A run that is stopped says what it
found and with which `--first` the rest is done. Exit code 1 when anything failed.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import matplotlib.pyplot  # noqa: F401 - it makes folders and a list of fonts of its own, before anything is watched

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from hostile import Seeds
from hostile_attempts import KINDS, attempt

ROOM = 1 << 30
"""Bytes of memory that reading may take beyond what the process has when it starts."""
MEMORY = Path("/dev/shm")
"""Where the files are written, if it is there: a disk takes longer than the readers."""


class Soak:
    """The folders, what has been tried and what came of it."""

    def __init__(self, root: Path, kinds: list[str]):
        self.root, self.kinds = root, kinds
        self.outside, self.folder = root / "outside", root / "folder"
        for place in (self.outside, self.folder, root / "seeds"):
            place.mkdir()
        (self.outside / "kept").write_text("untouched")
        self.seeds = Seeds(root / "seeds")
        self.tally: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
        self.found: Counter[str] = Counter()
        self.slowest = (0.0, "")
        self.began = time.process_time()

    def warm(self) -> None:
        """What is loaded on first use belongs to the process; what comes of these inputs is not asked."""
        for kind in self.kinds:
            for number in range(3):
                with contextlib.suppress(Exception):
                    self._attempt(kind, (1 << 40) + number)

    def try_one(self, position: int) -> None:
        """One input, by its place in the run."""
        kind, number = self.kinds[position % len(self.kinds)], position // len(self.kinds)
        start = time.perf_counter()
        try:
            self.tally[kind][self._attempt(kind, number)] += 1
            assert sorted(p.name for p in self.root.iterdir()) == ["folder", "outside", "seeds"], "a file outside"
            assert [p.name for p in self.outside.iterdir()] == ["kept"], "a file outside"
            assert (self.outside / "kept").read_text() == "untouched", "a file outside was changed"
            ran = (self.folder / "ran", Path("ran"), self.folder / "run" / "ran")
            assert not any(path.exists() for path in ran), "code of a file ran"
        except (Exception, SystemExit) as error:
            self._failed(kind, number, error)
        self.slowest = max(self.slowest, (time.perf_counter() - start, f"{kind} {number}"))

    def _attempt(self, kind: str, number: int) -> str:
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        return attempt(kind, number, self.folder, self.seeds)

    def _failed(self, kind: str, number: int, error: BaseException) -> None:
        self.tally[kind]["failed"] += 1
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        said = str(error).replace(str(self.root), "...")
        name = f"{kind} {place} {said[:40]}"
        self.found[name] += 1
        if self.found[name] <= 2:
            print(f"{kind} {number}: {type(error).__name__}: {said[:400]!r} at {place}", flush=True)
        for stray in (Path("ran"), self.folder / "ran"):
            shutil.rmtree(stray, ignore_errors=True)

    def summary(self, done: int) -> str:
        lines = []
        for kind, counts in self.tally.items():
            parts = "  ".join(f"{counts[name]:7d} {name}" for name in ("read", "refused", "failed"))
            lines.append(f"{kind:>12}: {sum(counts.values()):7d} inputs {parts}")
        took = f"{time.process_time() - self.began:.0f} s of processor time"
        slowest = f"slowest {self.slowest[0]:.2f} s ({self.slowest[1]})"
        return "\n".join([*lines, f"{done} inputs, {sum(self.found.values())} failed, {took}, {slowest}"])


def limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="the place in the run to begin at")
    parser.add_argument("--kind", choices=sorted(KINDS), default=None, help="one kind; all in turn if not given")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    done, asked = 0, list[int]()  # to stop, which is not for the command lines that are tried to answer
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: asked.append(number))
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as base:
        soak = Soak(Path(base), [options.kind] if options.kind else list(KINDS))
        soak.warm()
        limit_memory()
        for done in range(1, options.inputs + 1):
            soak.try_one(options.first + done - 1)
            if done % 5_000 == 0:
                took = time.process_time() - soak.began
                print(f"{done} inputs, {sum(soak.found.values())} failed, {took:.0f} s", flush=True)
            if asked:
                print(f"stopped; --first {options.first + done} --inputs {options.inputs - done} does the rest")
                break
        print(soak.summary(done))
    return 1 if soak.found else 0


if __name__ == "__main__":
    sys.exit(main())
