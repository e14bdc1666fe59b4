"""What the length of a run costs: processor seconds and bytes of one more save, of opening, of an `animate` with everything
done, of status and of verify, for runs of 10 to 10,000 checkpoints.

    python benchmarks/length.py [--lengths 10 100 1000 10000] [--without-verify]

Checkpoints are written by the Recorder, of a network of 2 inputs and 6 units. Results are written by what writes them in a
job, but not measured: all checkpoints have one of three sets of weights, so that three partitions and rows do. Frames
go through the film's own writer, and are 16 x 9 points in one colour. Everything that is timed is the code that people run.
Bytes are those that the process asked the system for (/proc/self/io), whether or not they were in the cache.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn

import splineviz as sv
from splineviz.drawing import figures
from splineviz.geometry.partition import Partition
from splineviz.jobs import audit, plan, sweep
from splineviz.storage import files
from splineviz.storage.known import SETTLED
from splineviz.training.recorder import Recorder

KINDS = 3
"""Different weights: those of checkpoint k are k modulo so many."""
SAVES = 20
"""Saves that one is the median of."""


@dataclass(frozen=True)
class Cost:
    """Processor seconds, and bytes read and written, of one call. What others do on the machine does not count."""

    seconds: float
    read: int
    written: int


def cost(call: Callable[[], Any]) -> Cost:
    before, began = moved(), time.process_time()
    call()
    seconds, after = time.process_time() - began, moved()
    return Cost(seconds, after[0] - before[0], after[1] - before[1])


def moved() -> tuple[int, int]:
    """Bytes that this process has read and written so far."""
    said = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(said["rchar"]), int(said["wchar"])


def network(seed: int) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 2))


def record(folder: Path, length: int) -> Cost:
    """A run of so many checkpoints; the cost of one save at its end, the median of a few."""
    states = [network(seed).state_dict() for seed in range(KINDS)]
    model = network(0)
    x = np.random.default_rng(0).uniform(-1, 1, (100, 2))
    recorder = Recorder(folder, model, train=(x, np.arange(100) % 2))
    costs = []
    for step in range(length):
        model.load_state_dict(states[step % KINDS])
        costs.append(cost(lambda step=step: recorder.save(step, train_accuracy=0.5, test_accuracy=0.5)))  # type: ignore[misc]
    return sorted(costs[-SAVES:], key=lambda one: one.seconds)[len(costs[-SAVES:]) // 2]


def fabricate(run: Any, out: Path, asked: dict[str, Any]) -> None:
    """Rows and partitions of a whole run, from the first few: measured there, written everywhere."""
    measured = sweep.measure_run(run.only([c.step for c in run.checkpoints[:KINDS]]), out=out / "few", **asked)
    entries, _ = sweep._entries(run, [(0, 1, 2)], [1.0], out, None, None, keep=True, prove=False, by_step=True)
    few = [files.read_sealed(out / "few" / "rows" / f"{result.name}.json") for result in measured]
    partitions = [Partition.load(result.partition_path) for result in measured]
    for number, entry in enumerate(entries):
        one, kind = entry.job, number % KINDS
        assert one is not None
        stored = {name: value for name, value in few[kind].items() if name != files.SEAL}
        partitions[kind].save(one.partition_path, made=stored["made"])
        stored |= {"key": one.key, "partition": files.digest_of_file(one.partition_path)}
        files.write_sealed(one.row_path, stored | {"row": stored["row"] | {"step": float(one.step)}})
    shutil.rmtree(out / "few")


def measured(folder: Path, length: int, verify: bool) -> dict[str, Cost]:
    """The costs of everything, for one length."""
    asked: dict[str, Any] = {"lc": None, "window": 1.0}
    found = {"save": record(folder / "run", length)}
    found["open"] = cost(lambda: sv.open_run(folder / "run"))
    out = folder / "out"
    fabricate(sv.open_run(folder / "run"), out, asked)
    paint = np.zeros((9, 16, 3), np.uint8)

    def animate() -> Any:
        return sv.animate(folder / "run", out=out, formats=(), **asked)

    with mock.patch.object(figures.FramePainter, "paint", lambda *words, **named: paint):
        found["first"] = cost(animate)
        time.sleep(1.5 * SETTLED / 1e9)  # files so young are read again
        found["again"] = cost(animate)
        made: list[Any] = []
        found["resume"] = cost(lambda: made.append(animate()))
        assert made[0].drawn == 0
    found["status"] = cost(lambda: plan.states(out))
    assert {state.state for state in plan.states(out)} == {"done"}
    if verify:
        found["verify"] = cost(lambda: audit.audit(out))
    return found


def main() -> int:
    """Print the table, as docs/scaling.md has it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[10, 100, 1000, 10_000])
    parser.add_argument("--without-verify", action="store_true")
    options = parser.parse_args()
    table: list[dict[str, Cost]] = []
    for length in options.lengths:
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            table.append(measured(Path(folder), length, not options.without_verify))
            print(f"{length}: {time.perf_counter() - began:.0f} s in all", file=sys.stderr, flush=True)
    print(f"{processor()}, one thread of torch: {torch.get_num_threads()}")
    print(f"| | {' | '.join(f'{length:,}' for length in options.lengths)} |")
    print(f"|---|{'---|' * len(options.lengths)}")
    for name in table[0]:
        costs = [one[name] for one in table]
        cells = [f"{c.seconds:.4g} s, {c.read / 1e6:.3g} / {c.written / 1e6:.3g} MB" for c in costs]
        print(f"| {name} | {' | '.join(cells)} |")
    return 0


def processor() -> str:
    """What the machine calls its processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    sys.exit(main())
