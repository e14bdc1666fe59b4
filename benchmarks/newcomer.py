"""From `git clone` to the first film of one's own network, as docs/start.md and docs/training.md say it, each step timed.

    python benchmarks/newcomer.py [REPOSITORY] [--python PYTHON] [--keep DIR]

Clones into an empty folder, makes a fresh environment there and types what the pages' blocks hold; prints a table.
How long the installation takes is the network's and pip's cache's business; run it twice to see without downloads.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOT_TIMED = (". .venv/bin/activate",)  # of a shell that this is not


def blocks(page: Path, language: str) -> list[str]:
    """The blocks of a page in one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def steps(python: str) -> Iterator[tuple[str, str]]:
    """Shell commands and what is in their row, as the pages have them: a page is read when its turn has come."""
    setup, film, look, *_ = blocks(Path("docs/start.md"), "sh")
    for block in (setup, film, look):
        for line in block.strip().splitlines():
            if line not in NOT_TIMED:
                yield line.replace("python3", python), f"`{line}`"
    Path("start.py").write_text(blocks(Path("docs/start.md"), "python")[0])
    yield "python start.py", "docs/start.md: one slice, from Python"
    Path("own").mkdir()
    Path("own/own.py").write_text(blocks(Path("docs/training.md"), "python")[0])
    yield "cd own && python own.py", "docs/training.md: train a network of one's own, recorded"
    yield "cd own && splineviz animate ckpts/", "`splineviz animate ckpts/`: its film"


def main() -> None:
    """Clone, install, and type what the pages say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repository", nargs="?", default=str(ROOT), help="what to clone (default: this one)")
    parser.add_argument("--python", default=sys.executable, help="the interpreter of the environment (default: this one)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="an empty folder to work in, which is left")
    options = parser.parse_args()
    surroundings = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")}
    with tempfile.TemporaryDirectory() as scratch:
        work = (options.keep or Path(scratch)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        surroundings["PATH"] = f"{work / 'splineviz/.venv/bin'}:{surroundings['PATH']}"
        print("| step | seconds | since the start |\n|---|---|---|", flush=True)
        begun = time.perf_counter()

        def timed(command: str, name: str) -> None:
            started = time.perf_counter()
            done = subprocess.run(command, shell=True, env=surroundings, capture_output=True, text=True)
            ended = time.perf_counter()
            if done.returncode:
                sys.exit(f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
            print(f"| {name} | {ended - started:.1f} | {ended - begun:.0f} |", flush=True)

        os.chdir(work)
        timed(f"git clone -q '{options.repository}' splineviz", "`git clone`")
        os.chdir("splineviz")
        for command, name in steps(options.python):
            timed(command, name)
        film = Path("own/out/animation.mp4")
        print(f"\n{film.name} of one's own network: {film.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
