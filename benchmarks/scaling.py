"""How well a sweep uses two cores: one process of one thread against two of them, and against two Dask workers.

    python benchmarks/scaling.py [RUN ...] [--checkpoints 10] [--planes 4] [--rounds 2]

A sweep as users ask for one: runs x checkpoints x planes, local complexity with its defaults. Without RUN, two seeds of the
paper's network (784-200x3-10, not trained: random weights, moved from step to step) are written first. A job takes about
a second. Each process has one thread, of numba, torch and every BLAS; "busy" is processor seconds of the one process
per second, which must not exceed 1.

    seconds        from the call of `sweep` to its table, samples, plans and manifest included; best of the rounds
    speed-up       against one process
    jobs           the sum of the jobs' own seconds: when it grows, the cores share something (memory, clock, other programs)
    beside         seconds in which there was no job for a worker: lists, tables, and the end, when one has none left

Each engine does the jobs of one checkpoint before the clock starts: workers are up and kernels are read, as in a sweep of
hours. "From the command" counts all that, imports of torch included, which is what a short sweep feels. "Two threads" is one
process that shares both cores within a job, as a sweep does unless told otherwise. All tables must be the same to the byte.
"""

from __future__ import annotations

import os

for pool in ("OMP", "OPENBLAS", "MKL", "NUMBA"):  # before numpy is there; the workers inherit them
    os.environ[f"{pool}_NUM_THREADS"] = "1"

import argparse
import multiprocessing
import tempfile
import time
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path

import torch

import splineviz as sv
from splineviz.jobs import executors
from splineviz.jobs import sweep as sweeps


def write_run(folder: Path, seed: int, checkpoints: int) -> Path:
    """784-200x3-10 with random weights, a little moved from step to step: as many regions as in training."""
    torch.manual_seed(seed)
    widths = (784, 200, 200, 200)
    layers = [torch.nn.Flatten()]
    for into, out in zip(widths, widths[1:], strict=False):
        layers += [torch.nn.Linear(into, out), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers, torch.nn.Linear(200, 10))
    x, y = torch.rand(1000, 28, 28), torch.arange(1000) % 10
    recorder = sv.Recorder(folder, model, train=(x, y), test=(torch.rand(1000, 28, 28), y))
    for step in range(checkpoints):
        recorder.save(step, train_accuracy=0.1, test_accuracy=0.1)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.01 * torch.randn_like(parameter))
    return folder


class Timer:
    """Times one sweep on one engine after the other, and compares their tables."""

    def __init__(self, options: argparse.Namespace, folder: Path, runs: list[sv.Run]):
        self.options, self.folder, self.runs = options, folder, runs
        self.planes = sweeps.random_planes(runs[0], options.planes)
        self.tables: set[bytes] = set()
        self.one = 0.0
        print(f"{'':34s} seconds  speed-up     jobs   beside", flush=True)

    def sweep(self, engine: int | Executor, threads: int = 1, steps: list[int] | None = None) -> tuple[float, float, int]:
        """Seconds, the jobs' own seconds, and how many jobs it was."""
        out = Path(tempfile.mkdtemp(dir=self.folder))
        began = time.perf_counter()
        made = sv.sweep(self.runs, planes=self.planes, steps=steps, out=out, jobs=engine, threads=threads)
        seconds = time.perf_counter() - began
        assert not made.failures, made.failures
        if steps is None:
            self.tables.add(made.table.read_bytes())
        return seconds, sum(result.seconds for result in made.results), len(made.results)

    def report(self, text: str, engine: int | Executor, workers: int = 1, threads: int = 1, *, warm: bool = True) -> None:
        """Print the best of the rounds."""
        if warm:
            self.sweep(engine, threads, steps=[self.runs[0].checkpoints[0].step])
        before = time.process_time()
        found = [self.sweep(engine, threads) for _ in range(self.options.rounds)]
        busy = (time.process_time() - before) / sum(seconds for seconds, *_ in found)
        seconds, jobs, count = min(found)
        self.one = self.one or seconds
        words = f"   {count} jobs of {jobs / count:.2f} s, {busy:.2f} busy" if engine == 1 else ""
        beside = seconds - jobs / workers
        print(f"{text:34s} {seconds:7.1f}  {self.one / seconds:7.2f}x {jobs:7.1f}s {beside:7.1f}s{words}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*", metavar="RUN")
    parser.add_argument("--checkpoints", type=int, default=10, help="of each run")
    parser.add_argument("--planes", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2, help="the best of so many")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = options.runs or [write_run(folder / f"seed{seed}", seed, options.checkpoints) for seed in range(2)]
        runs = [spread(sv.open_run(path), options.checkpoints) for path in paths]
        timer = Timer(options, folder, runs)
        timer.report("one process", 1)
        timer.report("one process of two threads", 1, threads=2)
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(2, spawn, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            timer.report("two processes", pool, 2)
        timer.report("two processes, from the command", 2, 2, warm=False)
        try:
            import distributed
        except ImportError:
            print("two Dask workers: the extra `cluster` is not installed")
        else:
            with distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster:
                with executors.dask(cluster.scheduler_address) as executor:
                    timer.report("two Dask workers", executor, 2)
        assert len(timer.tables) == 1, "expected the same table to the byte, whoever made it"
        print("the same table to the byte")


def spread(run: sv.Run, count: int) -> sv.Run:
    """So many checkpoints of a run, from the first to the last."""
    steps = [checkpoint.step for checkpoint in run.checkpoints]
    count = min(count, len(steps))
    return run.only([steps[round(i * (len(steps) - 1) / max(count - 1, 1))] for i in range(count)])


if __name__ == "__main__":
    main()
