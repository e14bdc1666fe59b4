"""Two processes each of `animate`, `sweep`, `watch` and `train` in one folder, disturbed: a part of `harness`.

    killed        one of the two, or both, is killed (-9) at a random moment
    full          the file system is full in the middle of it
    read-only     it is read-only before the start
    clock         every process has its clock years off, and files bear any times
    replaced      a checkpoint is torn, emptied, another one or gone while it is read, and put back
    stopped       one process gets SIGTERM or SIGHUP: it ends in order, with one line, and leaves nothing half written

Then the command is started again until it ends well. Everything that was finished before that last start must be as it was,
and what the command leaves must be what it leaves undisturbed, byte for byte; films but for their codec's own doing.
Most processes are forked from this one, which has imported everything and run each command once: what is killed is work,
not imports and the loading of kernels; every tenth pair is begun as a user begins it. What `splineviz.storage.known`
remembers is remembered however few the files.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tallies import LIMIT, Tally, mounted

from splineviz.__main__ import main
from splineviz.drawing import figures, film  # noqa: F401  # imported before a fork, as all that the commands import late
from splineviz.drawing.video import comment_of, note
from splineviz.jobs import sweep  # noqa: F401
from splineviz.storage import files, known
from splineviz.training import recipes  # noqa: F401
from splineviz.training.runs import open_run
from splineviz.workflows import animate, watch  # noqa: F401

WORDS = {
    "animate": (
        "{run}", "--window", "1", "--lc-points", "20", "--size", "640x360", "--format", "mp4", "gif", "--out", "{out}",
    ),
    "sweep": ("{run}", "--planes", "2", "--window", "4", "--lc-points", "20", "--out", "{out}"),
    "watch": (
        "{run}", "--window", "1", "--lc-points", "20", "--size", "640x360", "--format", "gif", "--poll", "0.1", "--until",
        "{last}", "--out", "{out}",
    ),
    "train": ("--recipe", "two-moons", "--steps", "300", "--out", "{out}"),
}  # fmt: skip
COMMANDS = tuple(WORDS)
WHOLE = 10
"""Of so many pairs one is begun from the interpreter on."""


# ---- processes -----------------------------------------------------------------------------------------------------


@dataclass
class Process:
    """One that was begun; code: as subprocess has it, once it has ended. begun: what holds it, unless it was forked."""

    pid: int
    log: Path
    begun: subprocess.Popen[bytes] | None = None
    code: int | None = None
    began: float = field(default_factory=time.monotonic)

    def poll(self) -> int | None:
        if self.begun is not None:
            self.code = self.begun.poll()
        elif self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def wait(self) -> int:
        while self.poll() is None:
            assert time.monotonic() - self.began < LIMIT, f"hangs:\n{self.said}"
            time.sleep(0.02)
        assert self.code is not None
        assert self.code < 0 or "Traceback" not in self.said, self.said
        return self.code

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")


def begin(words: list[str], log: Path, *, years: float = 0.0, whole: bool = False) -> Process:
    """Start a command. years: how far off its clock is; whole: from the interpreter on."""
    log.parent.mkdir(parents=True, exist_ok=True)
    # A worker of pytest-xdist has threads, whose locks a fork would keep for ever.
    if (whole or "PYTEST_XDIST_WORKER" in os.environ) and not years:
        with open(log, "w") as stream:
            process = subprocess.Popen([sys.executable, "-m", "splineviz", *words], stdout=stream, stderr=stream)
        return Process(process.pid, log, process)
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return Process(pid, log)
    code = 70
    try:
        stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(stream, 1)
        os.dup2(stream, 2)
        sys.stdout = sys.stderr = os.fdopen(os.dup(stream), "w", buffering=1)  # pytest has put others in their place
        known.FEW, known.SETTLED = 0, 50_000_000
        now = time.time
        time.time = lambda: now() + years * 3.15e7  # type: ignore[assignment]
        code = main(words)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 2
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


# ---- cases ---------------------------------------------------------------------------------------------------------


@dataclass
class Pair:
    """A command, the run it is about, and what it leaves when nothing disturbs it, after so many seconds."""

    command: str
    run: Path
    last: int
    whole: Path
    seconds: float = 0.0

    def words(self, out: Path, run: Path | None = None, again: bool = False) -> list[str]:
        named = {"run": str(run or self.run), "out": str(out), "last": str(self.last)}
        rest = ["--overwrite"] if self.command == "train" and again else []
        return [self.command, *(word.format(**named) for word in WORDS[self.command]), *rest]

    def grow(self, run: Path, over: float) -> threading.Thread:
        """For `watch`: the run appears checkpoint by checkpoint, in so many seconds."""

        def write() -> None:
            said = json.loads((self.run / "run.json").read_bytes())
            run.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.run / "samples.npz", run / "samples.npz")
            for count in range(1, len(said["checkpoints"]) + 1):
                name = said["checkpoints"][count - 1]["file"]
                content = (self.run / name).read_bytes()
                files.write(run / name, lambda stream, content=content: stream.write(content))
                files.write_json(run / "run.json", {**said, "last": None, "checkpoints": said["checkpoints"][:count]})
                time.sleep(over / len(said["checkpoints"]))

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        return thread

    # ---- what is there -------------------------------------------------------------------------------------------

    def finished(self, out: Path) -> dict[str, bytes]:
        """What is whole in a folder, by name: rows whose partitions they vouch for, pictures with notes, checkpoints."""
        found = {}
        for path in sorted((out / "rows").glob("*.json")):
            try:
                if files.digest_of_file(out / "partitions" / f"{path.stem}.npz") == files.read_sealed(path)["partition"]:
                    found[f"rows/{path.name}"] = path.read_bytes()
            except (OSError, ValueError, KeyError, TypeError):
                continue
        if self.command in ("animate", "sweep"):  # every new checkpoint changes all frames of a run that is watched
            found |= {f"frames/{p.name}": p.read_bytes() for p in sorted((out / "frames").glob("*.png")) if note(p)}
        if self.command == "train" and (out / "run.json").exists():
            for one in json.loads((out / "run.json").read_bytes())["checkpoints"]:
                found[one["file"]] = (out / one["file"]).read_bytes()
        return found

    def compare(self, out: Path) -> None:
        """Everything is as undisturbed, and nothing is left over."""
        left = [p for p in out.rglob("*") if ".tmp" in p.name or p.parent.name in ("running", "failures")]
        assert left == [], left
        if self.command == "train":
            ours, theirs = open_run(out), open_run(self.whole)
            assert [c.step for c in ours.checkpoints] == [c.step for c in theirs.checkpoints]
            for a, b in zip(ours.checkpoints, theirs.checkpoints, strict=True):
                one, two = ours.state(a), theirs.state(b)
                assert all(torch.equal(one[key], two[key]) for key in two) and a.metrics == b.metrics, a.path
            return
        table = "sweep.csv" if self.command == "sweep" else "measures.csv"
        assert (out / table).read_bytes() == (self.whole / table).read_bytes(), f"{out}: another table"
        for path in sorted((self.whole / "frames").glob("*.png")):
            assert (out / "frames" / path.name).read_bytes() == path.read_bytes(), path.name
        for path in sorted(self.whole.glob("animation.*")):
            assert comment_of(out / path.name) == comment_of(path) if path.suffix in (".mp4", ".gif") else True, path.name


def make_pair(command: str, run: Path, folder: Path) -> Pair:
    pair = Pair(command, run, open_run(run).checkpoints[-1].step, folder / f"{command}-whole")
    if "PYTEST_XDIST_WORKER" not in os.environ:  # in this process, so that those that are forked have everything loaded
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            assert main(pair.words(folder / f"{command}-warm")) == 0, said.getvalue()
    process = begin(pair.words(pair.whole), folder / f"{command}-whole.log")
    assert process.wait() == 0, process.said
    pair.seconds = time.monotonic() - process.began
    return pair


# ---- faults --------------------------------------------------------------------------------------------------------


def settle(pair: Pair, out: Path, log: Path, tally: Tally, run: Path | None = None, years: float = 0.0) -> None:
    """Start again until it ends well; count what was finished and is not the same afterwards."""
    before = {} if pair.command == "train" and not (out / "run.json").exists() else pair.finished(out)
    if pair.command == "train":  # weights that are listed are whole, and those of an undisturbed training
        theirs = {c.path.name: c for c in open_run(pair.whole).checkpoints}
        for name in before:
            state = torch.load(out / name, weights_only=True)
            whole = torch.load(theirs[Path(name).name].path, weights_only=True)
            tally.lost += not all(torch.equal(state[key], whole[key]) for key in whole)
    process = begin(pair.words(out, run, again=(out / "run.json").exists()), log, years=years)
    assert process.wait() == 0, process.said
    pair.compare(out)
    if pair.command != "train":
        after = pair.finished(out)
        tally.lost += sum(after.get(name) != content for name, content in before.items())
        tally.recomputed += len(after.keys() - before.keys())


def killed(pair: Pair, folder: Path, times: int, chance: random.Random) -> Tally:
    """Two processes; one of them, or both, is killed at a random moment."""
    tally = Tally(f"kill -9 of one of two, or both: {pair.command}")
    turn = 0
    while tally.tried < times:
        turn += 1
        out, run = folder / f"out{turn}", folder / f"run{turn}"
        grown = pair.grow(run, pair.seconds) if pair.command == "watch" else None
        words = pair.words(out, run if grown else None)
        two = [begin(words, folder / f"log{turn}-{i}", whole=turn % WHOLE == 0) for i in (0, 1)]
        time.sleep(chance.uniform(0, pair.seconds * (2.0 if turn % WHOLE else 3.0)))
        doomed = two if chance.random() < 0.25 else [chance.choice(two)]
        hit = [process for process in doomed if process.poll() is None]
        for process in hit:
            process.kill()
        if grown:
            grown.join()
        for process in two:
            code = process.wait()
            tally.tried += code == -9
            beaten = code == 2 and any(words in process.said for words in ("has just begun", "holds run.json"))
            # One that is hit may have ended in the same moment.
            assert code == 0 or (code == -9 and process in hit) or beaten, f"{code}:\n{process.said}"
        settle(pair, out, folder / f"log{turn}-again", tally, run if grown else None)
        shutil.rmtree(out)
        shutil.rmtree(run, ignore_errors=True)
    return tally


STOPS = (signal.SIGTERM, signal.SIGHUP)


def stopped(pair: Pair, folder: Path, times: int, chance: random.Random) -> Tally:
    """SIGTERM or SIGHUP at a random moment: exit code 128 + n, one line, nothing half written."""
    for number in STOPS:
        signal.signal(number, signal.SIG_DFL)  # under nohup SIGHUP is ignored, and its own processes would ignore it
    tally = Tally(f"SIGTERM or SIGHUP: {pair.command}")
    turn = 0
    while tally.tried < times:
        turn += 1
        out, run, number = folder / f"out{turn}", folder / f"run{turn}", chance.choice(STOPS)
        grown = pair.grow(run, pair.seconds) if pair.command == "watch" else None
        process = begin(pair.words(out, run if grown else None), folder / f"log{turn}", whole=turn % WHOLE == 0)
        time.sleep(chance.uniform(0, pair.seconds * (1.0 if turn % WHOLE else 3.0)))
        if process.poll() is None:
            os.kill(process.pid, number)
        if grown:
            grown.join()
        code = process.wait()
        # Before `main` is reached the system answers in its own way: the same code for a shell.
        assert code in (0, 128 + number, -number), f"{code}:\n{process.said}"
        if code == 128 + number:
            tally.tried += 1
            lines = [line for line in process.said.splitlines() if "stopped by" in line]
            assert lines == [f"splineviz: stopped by {number.name}; every file that was finished is whole."], process.said
            left = [path for path in out.rglob("*") if ".tmp" in path.name or path.parent.name == "running"]
            assert left == [], left
        settle(pair, out, folder / f"log{turn}-again", tally, run if grown else None)
        shutil.rmtree(out)
        shutil.rmtree(run, ignore_errors=True)
    return tally


def full(pair: Pair, folder: Path, times: int, chance: random.Random) -> Tally:
    """The file system is full in the middle; room is made; the command is started again."""
    tally = Tally(f"disk full: {pair.command}")
    size = sum(p.stat().st_size for p in pair.whole.rglob("*") if p.is_file())
    for turn in range(times):
        with mounted(folder / f"full{turn}", max(int(size * chance.uniform(0.05, 0.8)), 8192)) as remount:
            out = folder / f"full{turn}" / "out"
            process = begin(pair.words(out), folder / f"log{turn}")
            code = process.wait()
            assert code == 2 and "no space left on device" in process.said.lower(), f"{code}:\n{process.said}"
            tally.tried += 1
            remount(f"size={20 * size}")
            settle(pair, out, folder / f"log{turn}-again", tally)
    return tally


def read_only(pair: Pair, folder: Path, times: int, chance: random.Random) -> Tally:
    """The file system is read-only: before the start, or after a kill in the middle of it."""
    tally = Tally(f"read-only output: {pair.command}")
    for turn in range(times):
        with mounted(folder / f"ro{turn}", 10**9) as remount:
            out = folder / f"ro{turn}" / "out"
            if turn % 2:
                process = begin(pair.words(out), folder / f"log{turn}-before")
                time.sleep(chance.uniform(0, pair.seconds * 0.7))
                process.kill()
                process.wait()
            remount("ro")
            process = begin(pair.words(out, again=(out / "run.json").exists()), folder / f"log{turn}")
            code = process.wait()
            assert code == 2 and "read-only file system" in process.said.lower(), f"{code}:\n{process.said}"
            tally.tried += 1
            remount("rw")
            settle(pair, out, folder / f"log{turn}-again", tally)
    return tally


def clock(pair: Pair, folder: Path, times: int, chance: random.Random) -> Tally:
    """Clocks years off in either direction, one process killed in the middle, times of files anywhere."""
    tally = Tally(f"clock set back or forth: {pair.command}")
    for turn in range(times):
        out = folder / f"out{turn}"
        process = begin(pair.words(out), folder / f"log{turn}", years=chance.choice((-20.0, 20.0)))
        time.sleep(chance.uniform(0, pair.seconds))
        process.kill()
        process.wait()
        for path in out.rglob("*"):
            when = time.time() + chance.uniform(-6e8, 6e8)
            os.utime(path, (when, when))
        tally.tried += 1
        settle(pair, out, folder / f"log{turn}-again", tally, years=chance.choice((-20.0, 20.0)))
        shutil.rmtree(out)
    return tally


def replaced(pair: Pair, folder: Path, times: int, chance: random.Random) -> Tally:
    """A checkpoint is torn, emptied, another one or gone while it is read; it is put back, and the command started again."""
    tally = Tally(f"checkpoint replaced while it is read: {pair.command}")
    for turn in range(times):
        out, run = folder / f"out{turn}", folder / f"run{turn}"
        shutil.copytree(pair.run, run)
        paths = sorted((run / "checkpoints").glob("*.pt"))
        path, other = chance.choice(paths), chance.choice(paths).read_bytes()
        held = path.read_bytes()
        process = begin(pair.words(out, run), folder / f"log{turn}")
        time.sleep(chance.uniform(0, pair.seconds))
        changed = chance.choice((held[: len(held) // 2], b"", None, other))
        if changed is None:
            path.unlink()
        else:
            path.write_bytes(changed)
        if pair.command == "watch":  # it waits for one that cannot be read
            time.sleep(chance.uniform(0, pair.seconds))
            files.write(path, lambda stream, held=held: stream.write(held))
        code = process.wait()
        assert code in (0, 2, 3), f"{code}:\n{process.said}"
        files.write(path, lambda stream, held=held: stream.write(held))
        tally.tried += 1
        settle_other = Tally("")
        settle(pair, out, folder / f"log{turn}-again", settle_other, run)  # what was made of other weights is made again
        tally.recomputed += settle_other.recomputed + settle_other.lost
        shutil.rmtree(out)
        shutil.rmtree(run)
    return tally


def fits(fault: str, command: str) -> bool:
    """Whether a fault can happen to a command: `train` reads no checkpoint."""
    return not (fault == "replaced" and command == "train")


FAULTS: dict[str, Callable[[Pair, Path, int, random.Random], Tally]] = {
    "killed": killed, "stopped": stopped, "full": full, "read-only": read_only, "clock": clock, "replaced": replaced,
}  # fmt: skip
