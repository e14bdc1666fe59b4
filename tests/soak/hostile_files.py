"""A soak of hostile input: `python tests/soak/hostile_files.py --inputs 100000`.

Files of every reader and command lines (`hostile`, `hostile_readers`) in turn, in a process whose memory is limited to
little more than it has. A failure is anything but a result or a SplinevizError, code of a file that ran, or a file
touched outside the folder at hand; it is printed with its kind and number, which make it again: `--kind partition --first
1234 --inputs 1`. Exit code 1 when there is any.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from hostile import Seeds
from hostile_attempts import KINDS, attempt

ROOM = 1 << 30
"""Bytes of memory that reading may take beyond what the process has when it starts."""


def limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--kind", choices=sorted(KINDS), default=None, help="one kind; all in turn if not given")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    kinds = [options.kind] if options.kind else list(KINDS)
    tally: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    found, slowest, began = Counter(), (0.0, ""), time.perf_counter()
    with tempfile.TemporaryDirectory() as base:
        root = Path(base)
        outside, folder = root / "outside", root / "folder"
        for place in (outside, folder, root / "seeds"):
            place.mkdir()
        (outside / "kept").write_text("untouched")
        seeds = Seeds(root / "seeds")
        for kind in kinds:  # what is loaded on first use belongs to the process
            for number in range(3):
                attempt_in(folder, kind, -1 - number & 0xFFFF, seeds)
        limit_memory()
        for i in range(options.inputs):
            kind, number = kinds[i % len(kinds)], options.first + i // len(kinds)
            start = time.perf_counter()
            try:
                tally[kind][attempt_in(folder, kind, number, seeds)] += 1
                assert sorted(p.name for p in root.iterdir()) == ["folder", "outside", "seeds"], "a file outside"
                assert [p.name for p in outside.iterdir()] == ["kept"] and (outside / "kept").read_text() == "untouched", (
                    "outside"
                )
                assert not any(path.exists() for path in (folder / "ran", Path("ran"), folder / "run" / "ran")), (
                    "code of a file ran"
                )
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                tally[kind]["failed"] += 1
                where = traceback.extract_tb(error.__traceback__)[-1]
                name = f"{kind}: {type(error).__name__}: {str(error)[:160]!r} at {Path(where.filename).name}:{where.lineno}"
                found[name.split(" at ")[1] + kind] += 1
                if found[name.split(" at ")[1] + kind] <= 2:
                    print(f"{kind} {number}: {name}", flush=True)
                for stray in (Path("ran"), folder / "ran"):
                    shutil.rmtree(stray, ignore_errors=True)
            slowest = max(slowest, (time.perf_counter() - start, f"{kind} {number}"))
            if (i + 1) % 10_000 == 0:
                print(f"{i + 1} inputs, {sum(found.values())} failed, {time.perf_counter() - began:.0f} s", flush=True)
    for kind, counts in tally.items():
        parts = "  ".join(f"{counts[name]:7d} {name}" for name in ("read", "refused", "failed"))
        print(f"{kind:>12}: {sum(counts.values()):7d} inputs {parts}")
    print(f"{options.inputs} inputs, {sum(found.values())} failed, slowest {slowest[0]:.2f} s ({slowest[1]})")
    return 1 if found else 0


def attempt_in(folder: Path, kind: str, number: int, seeds: Seeds) -> str:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    return attempt(kind, number, folder, seeds)


if __name__ == "__main__":
    sys.exit(main())
