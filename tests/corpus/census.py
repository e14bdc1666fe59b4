"""Counts of the corpus: right, refused and silent rows a table, judged by the user's module at all vertices.

    export PYTHONPATH=.:tests/support:tests/corpus
    python tests/corpus/census.py          the guard on: silent must be 0
    python tests/corpus/census.py --off    the guard off: every marked row must be found
    python tests/corpus/census.py --doors  which forwards torch.fx and torch.export take, and which splineviz does

A row is right when each save was taken, its Program says on the grid what the module said then, and the last partition has
the module's outputs at all its vertices; refused when a save, the Recorder or the partition says why not; else silent.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import torch
from test_loops import SLACK, STEPS, TABLES, logits, near, points, precision, record, said, wrong_steps

import splineviz as sv
from splineviz.errors import SplinevizError
from splineviz.training import guards


def verdict(loop, folder: Path) -> tuple[str, str]:
    """right, refused or silent; and why."""
    model, truth, refusal = record(loop, folder)
    if model is None:
        return "refused", refusal
    slack = SLACK[precision(model)]
    if wrong_steps(loop, folder, truth, slack):
        return "silent", "another network at some step"
    if refusal or len(truth) < STEPS:
        return "refused", refusal
    run = sv.open_run(folder)
    try:
        found = sv.partition(run.program(run.checkpoints[-1]), run.plane((0, 1, 2)), window=2.0)
    except SplinevizError as error:
        return "refused", str(error)
    got = torch.from_numpy(found.outputs)
    got = getattr(torch, loop.judged)(got, 1) if loop.judged else got
    expected = said(model, torch.from_numpy(found.plane.embed(found.vertices)))
    worst = float((got - expected).abs().max()) / float(expected.abs().max())
    return ("right", "") if worst <= 5 * slack else ("silent", f"{worst:.1e} off at a vertex")


def unguarded(loop, folder: Path) -> bool:
    """Whether the judge finds another network, or weights that do not fit, when the guard is off."""
    model, truth, refusal = record(loop, folder)
    slack = 1e-4 if model is None else SLACK[precision(model)]
    return bool(refusal) or wrong_steps(loop, folder, truth, slack) > 0


def _told(counts: Counter[str]) -> str:
    return "  ".join(f"{n} {kind}" for kind, n in sorted(counts.items()))


def taken(loop) -> Counter[str]:
    """Whether torch.fx, torch.export and splineviz take a forward, and say what it says at inputs it was not traced with."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = loop.make()
    x, count = points(loop).to(precision(model)), Counter()

    def right(program) -> bool:
        slack = 5 * SLACK[precision(model)]
        return near(logits(program(x.clone())).double().reshape(len(x), -1), said(model, x), slack)

    def exported():
        batch = ({0: torch.export.Dim("batch")},)
        return torch.export.export(model.eval(), (x[:4].clone(),), dynamic_shapes=batch).module()

    doors = {
        "fx": lambda: torch.fx.symbolic_trace(model.eval()),
        "export": exported,
        "splineviz": lambda: lambda y: sv.trace(model, loop.shape)(y.double()),
    }
    for name, door in doors.items():
        try:
            with torch.no_grad(), torch.random.fork_rng():
                count[name] += right(door())
        except Exception:  # each has errors of many kinds
            count[name] += 0
    count["any"] = int(any(count.values()))
    return count


def main() -> int:
    warnings.simplefilter("ignore")
    off, doors = "--off" in sys.argv, "--doors" in sys.argv
    guards.ON = not off
    bad = 0
    total: Counter[str] = Counter()
    for table, rows in TABLES.items():
        counts: Counter[str] = Counter()
        with tempfile.TemporaryDirectory() as held:
            for i, (name, loop) in enumerate(rows.items()):
                started = time.process_time()
                if doors:
                    if not (loop.drawn or loop.refused or loop.never is not None or loop.judged):
                        counts += taken(loop) + Counter(forwards=1)
                elif off:
                    if loop.refused or loop.drawn or loop.never is not None:
                        continue
                    found = unguarded(loop, Path(held) / str(i))
                    counts["marked"] += loop.silent
                    counts["found"] += found and loop.silent
                    counts["found, not marked"] += found and not loop.silent
                    if found != loop.silent:
                        print(f"    {table}: {name}: {'found' if found else 'not found'}", flush=True)
                else:
                    kind, why = verdict(loop, Path(held) / str(i))
                    counts[kind] += 1
                    if kind != "right":
                        print(f"    {table}: {name}: {kind}: {why.splitlines()[0][:200]}", flush=True)
                if (took := time.process_time() - started) > 20:
                    print(f"    {table}: {name}: {took:.0f} s", flush=True)
        print(f"{table:10} {len(rows):4} rows  {_told(counts)}", flush=True)
        total += counts
        bad += counts["silent"] + counts["found, not marked"] + counts["marked"] - counts["found"]
    print(f"all        {_told(total)}")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
