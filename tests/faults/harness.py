"""Faults, tested by doing them: `python tests/faults/harness.py --times 50` prints the table of docs/faults.md.

A small sweep is disturbed in one way, then started again until it ends well. Every finished result must stay as it is,
and the table must equal the undisturbed one to the byte. `pairs` does the same with two processes each of `animate`,
`sweep`, `watch` and `train`. What is counted for each kind of fault:

    tried        times the fault happened
    lost         results that were finished before the fault and had to be made again (0 is the promise)
    recomputed   jobs that were under way, or whose result was damaged by the fault itself, and were done again
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "support"), str(Path(__file__).parent)]

import pairs
import psutil
import torch
from small_runs import nudge, samples
from tallies import LIMIT, Tally, mounted

from splineviz.jobs import plan
from splineviz.storage import files
from splineviz.training.recorder import Recorder


@dataclass(frozen=True)
class Case:
    """Runs, the words of the sweep, and the bytes of its undisturbed table."""

    runs: tuple[Path, ...]
    words: tuple[str, ...]
    table: bytes
    jobs: int


def network(seed: int) -> torch.nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        wide = [torch.nn.Linear(4, 40), torch.nn.ReLU(), torch.nn.Linear(40, 40), torch.nn.ReLU(), torch.nn.Linear(40, 3)]
        return torch.nn.Sequential(torch.nn.Flatten(), *wide)


def write_runs(folder: Path, checkpoints: int) -> tuple[Path, ...]:
    """Two seeds of a small network."""
    paths = []
    for seed in range(2):
        model = network(seed)
        recorder = Recorder(folder / f"seed{seed}", model, train=samples(0), test=samples(1))
        for step in range(checkpoints):
            recorder.save(step, train_accuracy=0.5, test_accuracy=0.25)
            nudge(model)
        paths.append(folder / f"seed{seed}")
    return tuple(paths)


def make_case(folder: Path, checkpoints: int = 6) -> Case:
    runs = write_runs(folder, checkpoints)
    words = (*map(str, runs), "--planes", "2", "--window", "4", "--lc-points", "50")
    case = Case(runs, words, b"", 0)
    end(start(case, folder / "undisturbed"), 0)
    return Case(runs, words, (folder / "undisturbed" / "sweep.csv").read_bytes(), len(plan.states(folder / "undisturbed")))


# ---- processes -------------------------------------------------------------------------------------------


def start(case: Case, out: Path, *, jobs: int = 1, code: str = "") -> subprocess.Popen:
    """Begin the sweep; `code` runs in its process before. It leads a process group of its own, as in a terminal."""
    main = "import sys\nfrom splineviz.__main__ import main\nif __name__ == '__main__':\n    sys.exit(main(sys.argv[1:]))\n"
    script = out.parent / f"{out.name}-start.py"
    script.write_text(f"{code}\n{main}")
    words = [sys.executable, str(script), "sweep", *case.words, "--out", str(out), "--jobs", str(jobs)]
    said = open(out.parent / f"{out.name}.log", "w")  # noqa: SIM115  # the process has it
    settings = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    with said:
        return subprocess.Popen(words, stdout=said, stderr=said, start_new_session=True, env=settings)


def end(process: subprocess.Popen, *expected: int) -> int:
    """Wait for the end; the code must be one of those expected."""
    code = process.wait(LIMIT)
    log = said(process)
    assert code in expected, f"expected exit code {expected}, got {code}:\n{log}"
    assert "Traceback" not in log or code < 0, log
    return code


def said(process: subprocess.Popen) -> str:
    out = Path(process.args[process.args.index("--out") + 1])
    return (out.parent / f"{out.name}.log").read_text()


def finished(out: Path) -> dict[str, bytes]:
    """Whole rows with the partition that they vouch for, by name."""
    found = {}
    for path in sorted((out / "rows").glob("*.json")):
        with contextlib.suppress(OSError, ValueError):
            row = files.read_sealed(path)
            if "partition" in row and files.digest_of_file(out / "partitions" / f"{path.stem}.npz") == row["partition"]:
                found[path.stem] = path.read_bytes()
    return found


def under_way(out: Path) -> int:
    """Jobs that were begun and not finished."""
    done = finished(out)
    return sum(path.name not in done for path in (out / "running").glob("*") if path.name != "plan")


def lost(before: dict[str, bytes], after: dict[str, bytes]) -> int:
    return sum(after.get(name) != content for name, content in before.items())


def wait_for(condition: Callable[[], bool], process: subprocess.Popen) -> bool:
    """Until it holds, or the process has ended."""
    began = time.monotonic()
    while process.poll() is None and time.monotonic() - began < LIMIT:
        if condition():
            return True
        time.sleep(0.005)
    return False


def moment(out: Path, process: subprocess.Popen, chance: random.Random) -> bool:
    """A random moment of a sweep: somewhere in its start, or around the end of one of its next few jobs."""
    if chance.random() < 0.25:
        time.sleep(chance.uniform(0, 4))
    else:
        goal = len(list((out / "rows").glob("*.json"))) + chance.randint(0, 4)
        wait_for(lambda: (out / "running").exists() and len(list((out / "rows").glob("*.json"))) >= goal, process)
        time.sleep(chance.uniform(0, 0.2))
    return process.poll() is None


def compare(case: Case, out: Path) -> None:
    assert (out / "sweep.csv").read_bytes() == case.table, f"{out}: another table than the undisturbed one"
    states = plan.states(out)
    assert {state.state for state in states} == {"done"} and len(states) == case.jobs
    left = [p for p in out.rglob("*") if p.name.endswith(".tmp") or p.parent.name in ("running", "failures")]
    assert left == [], left


def ended_soon(pids: list[int]) -> bool:
    """Whether processes are gone, or only wait to be buried."""
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=10)
    return all(process.status() == psutil.STATUS_ZOMBIE for process in alive)


def children(process: subprocess.Popen) -> list[int]:
    try:
        found = psutil.Process(process.pid).children(recursive=True)
        return [child.pid for child in found if "resource_tracker" not in " ".join(child.cmdline())]
    except psutil.Error:
        return []


# ---- faults ----------------------------------------------------------------------------------------------


def main_killed(case: Case, folder: Path, times: int, chance: random.Random) -> Tally:
    """kill -9 of the first process; its workers must end with it."""
    return _stopped(case, folder, times, chance, "kill -9 of the main process", [(signal.SIGKILL, False)])


def ctrl_c(case: Case, folder: Path, times: int, chance: random.Random) -> Tally:
    """Ctrl-C reaches all processes of the terminal; while Python itself begins, it dies of it."""
    return _stopped(case, folder, times, chance, "Ctrl-C", [(signal.SIGINT, True)])


def asked_to_end(case: Case, folder: Path, times: int, chance: random.Random) -> Tally:
    """SIGTERM to the first process, as by `kill`, or to all, as from Slurm; SIGHUP to all, as when ssh is closed."""
    kinds = [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGHUP, True)]
    return _stopped(case, folder, times, chance, "SIGTERM or SIGHUP", kinds)


def _stopped(
    case: Case, folder: Path, times: int, chance: random.Random, kind: str, kinds: Sequence[tuple[signal.Signals, bool]]
) -> Tally:
    """kinds: signals, and whether they reach the whole group of processes."""
    # A shell's background job ignores the one, nohup the other, and so would their own processes.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    tally, out, turn = Tally(kind), folder / "out", 0
    while tally.tried < times:
        out = folder / f"out{turn}"
        turn += 1
        while True:
            process = start(case, out, jobs=chance.choice((1, 2)))
            before = finished(out)
            number, whole_group = chance.choice(kinds)
            alive = tally.tried < times and moment(out, process, chance)
            workers = children(process)
            if alive:
                before |= finished(out)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number) if whole_group else os.kill(process.pid, number)
            got = process.wait(LIMIT)
            if got == 0:
                compare(case, out)
                tally.lost += lost(before, finished(out))
                shutil.rmtree(out)
                break
            # Before `main` is reached Python itself answers, in its own way.
            inside = re.search(r'__main__.py", line \d+, in main|^sweeping', said(process), re.MULTILINE)
            early = number != signal.SIGKILL and got in (1, -number) and not inside
            killed = number == signal.SIGKILL and got == -number
            assert got == 128 + number or early or killed, f"{got}:\n{said(process)}"
            assert early or killed or re.fullmatch(STOPPED, said(process)), said(process)
            assert ended_soon(workers), f"workers {workers} outlive their first process"
            tally.tried += 1
            tally.recomputed += under_way(out)
            tally.lost += lost(before, finished(out))
    return tally


def worker_killed(case: Case, folder: Path, times: int, chance: random.Random) -> Tally:
    """kill -9 of a worker process; the sweep goes on by itself."""
    tally, turn = Tally("kill -9 of a worker"), 0
    while tally.tried < times:
        out = folder / f"out{turn}"
        turn += 1
        process = start(case, out, jobs=2)
        before: dict[str, bytes] = {}
        for _ in range(3):
            if tally.tried < times and moment(out, process, chance) and (workers := children(process)):
                before |= finished(out)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(chance.choice(workers), signal.SIGKILL)
                    tally.tried += 1
                    time.sleep(0.3)
                    tally.recomputed += under_way(out) > 0
        # Twice killed, the second time alone, a job counts as failed: the next start tries it again.
        if end(process, 0, 3) == 3:
            end(start(case, out), 0)
        compare(case, out)
        tally.lost += lost(before, finished(out))
        shutil.rmtree(out)
    return tally


def disk_full(case: Case, folder: Path, times: int, chance: random.Random) -> Tally:
    """The file system is full in the middle; room is made; the sweep is started again."""
    tally = Tally("disk full")
    whole = sum(p.stat().st_size for p in (folder.parent / "undisturbed").rglob("*") if p.is_file())
    for turn in range(times):
        with mounted(folder / f"full{turn}", int(whole * chance.uniform(0.1, 0.8))) as remount:
            out = folder / f"full{turn}" / "out"
            log = folder / f"log{turn}"
            process = _start_logged(case, out, log, jobs=chance.choice((1, 2)))
            assert process.wait(LIMIT) == 2 and "no space left on device" in log.read_text(), log.read_text()
            assert "Traceback" not in log.read_text(), log.read_text()
            before = finished(out)
            tally.tried += 1
            remount(f"size={10 * whole}")
            assert _start_logged(case, out, log).wait(LIMIT) == 0, log.read_text()
            compare(case, out)
            tally.lost += lost(before, finished(out))
            tally.recomputed += 1
    return tally


def read_only(case: Case, folder: Path, times: int, chance: random.Random) -> Tally:
    """The output becomes read-only before the start or in the middle."""
    tally = Tally("read-only output")
    for turn in range(times):
        with mounted(folder / f"ro{turn}", 10**9) as remount:
            out = folder / f"ro{turn}" / "out"
            log = folder / f"log{turn}"
            if turn % 2:  # in the middle of it; a file system with open files cannot be made read-only
                process = _start_logged(case, out, log, jobs=chance.choice((1, 2)))
                moment(out, process, chance)
                process.kill()
                process.wait()
                ended_soon(children(process))
                time.sleep(1)
            remount("ro")
            code = _start_logged(case, out, log).wait(LIMIT)
            before = finished(out)
            assert code in (0, 2) and "Traceback" not in log.read_text(), log.read_text()
            assert code == 0 or "read-only file system" in log.read_text(), log.read_text()
            tally.tried += code == 2
            remount("rw")
            assert _start_logged(case, out, log).wait(LIMIT) == 0, log.read_text()
            compare(case, out)
            tally.lost += lost(before, finished(out))
            tally.recomputed += code == 2 and turn % 2 == 1
    return tally


def _start_logged(case: Case, out: Path, log: Path, jobs: int = 1) -> subprocess.Popen:
    words = [sys.executable, "-m", "splineviz", "sweep", *case.words, "--out", str(out), "--jobs", str(jobs)]
    with open(log, "w") as stream:
        return subprocess.Popen(words, stdout=stream, stderr=stream, env=os.environ | {"OMP_NUM_THREADS": "1"})


def checkpoint_replaced(case: Case, folder: Path, times: int, chance: random.Random) -> Tally:
    """Checkpoints are truncated, replaced and put back while they are read."""
    tally = Tally("checkpoint truncated or replaced while it is read")
    paths = [path for run in case.runs for path in sorted((run / "checkpoints").glob("*.pt"))]
    held = {path: path.read_bytes() for path in paths}
    for turn in range(times):
        out = folder / f"out{turn}"
        process = start(case, out, jobs=chance.choice((1, 2)))
        moment(out, process, chance)
        path = chance.choice(paths)
        how = chance.choice(("truncated", "emptied", "other weights", "gone"))
        changed = {
            "truncated": held[path][: len(held[path]) // 2], "emptied": b"", "gone": None,
            "other weights": held[chance.choice(paths)],
        }[how]  # fmt: skip
        if changed is None:
            path.unlink()
        else:
            path.write_bytes(changed)
        code = process.wait(LIMIT)
        tally.tried += 1
        before = finished(out)
        path.write_bytes(held[path])
        assert code in (0, 3, 2) and "Traceback" not in said(process), said(process)
        assert code != 2 or "run.json" in said(process) or path.name in said(process), said(process)
        end(start(case, out), 0)
        compare(case, out)
        tally.lost += lost(before, {name: row for name, row in finished(out).items()} | _strangers(before, out))
        tally.recomputed += code == 3
        shutil.rmtree(out)
    return tally


def _strangers(before: dict[str, bytes], out: Path) -> dict[str, bytes]:
    """Rows of weights that were there for a while: they have names of their own and stay."""
    wanted = {entry["name"] for entry in plan.read(out)["jobs"]}
    return {name: content for name, content in before.items() if name not in wanted}


def result_corrupt(case: Case, folder: Path, times: int, chance: random.Random) -> Tally:
    """A file of a finished sweep is damaged: `verify` says so, and the next start makes that result again and no other."""
    tally, out = Tally("corrupt result file"), folder / "out"
    shutil.copytree(folder.parent / "undisturbed", out)
    for _ in range(times):
        path = chance.choice([p for p in sorted(out.rglob("*")) if p.is_file()])
        content = bytearray(path.read_bytes())
        how = chance.choice(("bit", "half", "empty", "garbage"))
        if how == "bit":
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        else:
            content = {"half": content[: len(content) // 2], "empty": b"", "garbage": chance.randbytes(200)}[how]
        path.write_bytes(bytes(content))
        before = finished(out)
        checked = subprocess.run(
            [sys.executable, "-m", "splineviz", "verify", str(out)], capture_output=True, text=True, timeout=LIMIT
        )
        # A damaged list of jobs is refused (3: start the command again), anything else is a finding (1).
        assert checked.returncode in (1, 3) and "Traceback" not in checked.stderr, f"{path} {how}: {checked}"
        end(start(case, out), 0)
        compare(case, out)
        tally.tried += 1
        tally.lost += lost(before, finished(out))
        tally.recomputed += path.parent.name in ("rows", "partitions")
    return tally


COUNTING = """
import os
from splineviz.jobs import job as jobs
original = jobs.work
def work(job):
    descriptor = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, (job.name + "\\n").encode())
    os.close(descriptor)
    return original(job)
jobs.work = work
"""


def two_at_once(case: Case, folder: Path, times: int, chance: random.Random) -> Tally:
    """Two processes on one directory: both end well, and no job is done twice. Every other time one is killed."""
    tally = Tally("two processes on one directory")
    for turn in range(times):
        out, log = folder / f"out{turn}", folder / f"count{turn}"
        first = start(case, out, code=COUNTING.format(log=str(log)))
        time.sleep(chance.uniform(0, 2))
        with open(folder / "second.log", "w") as stream:
            words = [sys.executable, str(folder / f"out{turn}-start.py"), *first.args[2:]]
            second = subprocess.Popen(words, stdout=stream, stderr=stream)
        under = 0
        if turn % 2 and moment(out, first, chance):
            first.kill()
            first.wait()
            under = 1
        else:
            end(first, 0)
        assert second.wait(LIMIT) == 0, (folder / "second.log").read_text()
        compare(case, out)
        twice = len(log.read_text().split()) - case.jobs
        assert twice <= under, f"{twice} jobs were done twice"
        tally.tried += 1
        tally.recomputed += max(twice, 0)
        shutil.rmtree(out)
    return tally


HUNGRY = """
import os, resource
import torch
torch.empty(1, 2, device="meta").relu()  # imports what torch imports late, which else stays half imported for later jobs
from splineviz.jobs import job as jobs
original = jobs.work
def work(job):
    if int(job.name, 16) % 3 == {rest} and not os.path.exists({mark!r} + job.name):
        open({mark!r} + job.name, "w").close()
        pages = int(open("/proc/self/statm").read().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**24, resource.RLIM_INFINITY))
    try:
        return (yield from original(job))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
jobs.work = work
import splineviz.regions.enumerate, numpy
cut = jobs.partition
def hungry(*words, **options):
    numpy.empty(2**24).fill(1.0)  # 128 MB more than the limit leaves
    return cut(*words, **options)
jobs.partition = hungry
"""


def out_of_memory(case: Case, folder: Path, times: int, chance: random.Random) -> Tally:
    """A third of the jobs may not have the memory that they need (RLIMIT_AS): they fail, the others do not."""
    tally = Tally("worker out of memory (RLIMIT_AS)")
    for turn in range(times):
        out = folder / f"out{turn}"
        code = HUNGRY.format(mark=str(folder / f"mark{turn}-"), rest=chance.randrange(3))
        process = start(case, out, jobs=2, code=code)
        assert end(process, 3, 0) == 3, said(process)
        failed = [state for state in plan.states(out) if state.state == "failed"]
        assert failed and all("MemoryError" in state.reason or "process died" in state.reason for state in failed), failed
        before = finished(out)
        assert len(before) + len(failed) == case.jobs
        end(start(case, out, jobs=2), 0)
        compare(case, out)
        tally.tried += len(failed)
        tally.recomputed += len(failed)
        tally.lost += lost(before, finished(out))
        shutil.rmtree(out)
    return tally


def clock_skew(case: Case, folder: Path, times: int, chance: random.Random) -> Tally:
    """Half of the sweep on a machine whose clock is years off, files stamped anywhere between: nothing is done again."""
    tally = Tally("clock skew")
    shifted = "import time as _t\n_now = _t.time\n_t.time = lambda: _now() + {years} * 3.15e7\n"
    for turn in range(times):
        out = folder / f"out{turn}"
        process = start(case, out, code=shifted.format(years=chance.choice((-20, 20))))
        moment(out, process, chance)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
        under = under_way(out)
        for path in out.rglob("*"):
            when = time.time() + chance.uniform(-6e8, 6e8)
            os.utime(path, (when, when))
        before = finished(out)
        log = folder / f"count{turn}"
        end(start(case, out, code=shifted.format(years=chance.choice((-20, 20))) + COUNTING.format(log=str(log))), 0)
        compare(case, out)
        done = log.read_text().split() if log.exists() else []
        assert len(done) == case.jobs - len(before), "a clock made it do work again"
        tally.tried += 1
        tally.recomputed += under
        tally.lost += lost(before, finished(out))
        shutil.rmtree(out)
    return tally


STOPPED = r"(?s)(?!.*Traceback).*splineviz: stopped by (Ctrl-C|SIGTERM|SIGHUP); every file that was finished is whole\.\n"
"""What a sweep that was asked to end has said: its progress, and a last line."""

KINDS: dict[str, Callable[[Case, Path, int, random.Random], Tally]] = {
    kind.__name__: kind
    for kind in (
        main_killed, worker_killed, ctrl_c, asked_to_end, disk_full, read_only, checkpoint_replaced, result_corrupt,
        two_at_once, out_of_memory, clock_skew,
    )
}  # fmt: skip


def all_kinds() -> list[str]:
    """Names of the kinds of faults: those of a sweep, and fault and command of two processes."""
    both = [(fault, command) for command in pairs.COMMANDS for fault in pairs.FAULTS if pairs.fits(fault, command)]
    return [*KINDS, *(f"{fault}-{command}" for fault, command in both)]


MANY = (
    "main_killed", "worker_killed", "ctrl_c", "asked_to_end",
    *(f"{fault}-{command}" for fault in ("killed", "stopped") for command in pairs.COMMANDS),
)  # fmt: skip
"""Kinds that are tried as often as asked; the others a fifth of it."""


def attempt(kind: str, case: Callable[[], Case], run: Path, folder: Path, times: int, chance: random.Random) -> Tally:
    """One kind of fault, so many times; case: makes the sweep that is disturbed; run: what two processes are about."""
    if kind in KINDS:
        made = case()
        folder.mkdir()
        return KINDS[kind](made, folder, times, chance)
    folder.mkdir()
    fault, _, command = kind.rpartition("-")
    return pairs.FAULTS[fault](pairs.make_pair(command, run, folder), folder, times, chance)


def processor_time() -> float:
    """Seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50, help="of kills and Ctrl-C; the others a fifth of it")
    parser.add_argument("--kinds", nargs="+", choices=all_kinds(), default=all_kinds())
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    tallies = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        case = functools.cache(lambda: make_case(folder))
        run = write_runs(folder / "pairs", 3)[0]
        for kind in options.kinds:
            times = options.times if kind in MANY else max(options.times // 5, 1)
            began = processor_time()
            try:
                tally = attempt(kind, case, run, folder / kind, times, random.Random(options.seed))
            except PermissionError as error:
                print(f"{kind}: skipped: {error}", flush=True)
                continue
            tallies.append(tally)
            print(f"{tally.kind}: {tally}; {processor_time() - began:.0f} s of processor time", flush=True)
    print("\n| fault | tried | lost | recomputed |\n|---|---|---|---|")
    for tally in tallies:
        print(f"| {tally.kind} | {tally.tried} | {tally.lost} | {tally.recomputed} |")
    return int(any(tally.lost for tally in tallies))


if __name__ == "__main__":
    sys.exit(main())
