"""Thousands of random networks against the exact oracle: `python tests/soak/random_networks.py --networks 10000 --seed 0`.

`--mixed` takes others: scales of 1e-12 to 1e12 mixed between the layers, pools whose entries tie, duplicate units.
`--adversaries` takes those of `adversaries`; there only what is wrong and not counted is a difference.
Every product is off by up to two units in the last place, as on another machine; `--units 0` leaves them as they are.
Every network is reproducible from its number (`--first N --networks 1`); one that differs is also written to
`soak-<number>.npz` in --out. Exit code 1 when any network differs. Regions that double precision cannot decide
are not excused: they are listed as differences with their exact width, for a person to judge.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import numpy as np
import torch
from adversaries import Adversary, adversary
from cases import FAMILIES, Case, differences, mixed_case, module, random_case
from rounding import perturbed

from splineviz.regions.enumerate import partition


def case_of(number: int, mixed: bool, family: str | None, width: int, depth: int) -> Case:
    return mixed_case(number) if mixed else random_case(number, family=family, max_width=width, max_depth=depth)


def one(number: int, units: int, *shape: Any) -> tuple[int, str, int, int, list[str]]:
    """Number, name, exact regions, irregular or near-zero cases counted by the enumerator, differences."""
    case = case_of(number, *shape)
    cells = case.cells()
    try:
        with perturbed(units, seed=number) if units else nullcontext():
            part = partition(module(case.layers), case.plane, window=case.window, threads=1)
    except Exception as error:  # a crash is a difference too, and the soak goes on
        return number, case.name, len(cells), 0, [f"{type(error).__name__}: {error}"]
    return number, case.name, len(cells), part.report.near_zero + part.report.irregular_faces, differences(part, cells)


def silent(number: int, units: int) -> tuple[int, str, int, int, list[str]]:
    """The same of an adversary; what the enumerator counted as undecided is not held against it."""
    case = adversary(number)
    cells = case.cells()
    try:
        with perturbed(units, seed=number) if units else nullcontext():
            part = partition(case.module, case.plane, window=case.window, threads=1)
    except Exception as error:  # a network that is refused is not drawn
        return number, case.name, len(cells), 0, [f"{type(error).__name__}: {error}"]
    counted = part.report.near_zero + part.report.irregular_faces
    return number, case.name, len(cells), counted, [] if counted else case.differences(part, cells)


def save(case: Case | Adversary, number: int, folder: Path, found: list[str]) -> Path:
    arrays = {f"weight{i}": np.asarray(layer.weight) for i, layer in enumerate(case.layers)}
    arrays |= {f"bias{i}": np.asarray(layer.bias) for i, layer in enumerate(case.layers)}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"soak-{number}.npz"
    slopes = json.dumps([(layer.slopes, layer.pool) for layer in case.layers])
    np.savez(path, window=case.window, slopes=np.array(slopes), differences=np.array(found), **arrays)
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="networks are numbered from seed * 10^7 + first")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--family", choices=sorted(FAMILIES), default=None, help="one family of weights; all if not given")
    parser.add_argument("--mixed", action="store_true", help="mixed scales, pool ties and duplicate units")
    parser.add_argument("--adversaries", action="store_true", help="networks made to mislead double precision")
    parser.add_argument("--units", type=int, default=2, help="of the last place by which every product may be off")
    parser.add_argument("--width", type=int, default=6)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("soak"))
    options = parser.parse_args()

    start, regions, counted, failed = time.perf_counter(), 0, 0, 0
    families: dict[str, list[int]] = {}
    numbers = range(options.seed * 10**7 + options.first, options.seed * 10**7 + options.first + options.networks)
    shape = (options.mixed, options.family, options.width, options.depth)
    pool = ProcessPoolExecutor(
        options.jobs, mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    )
    with pool:
        values = (options.units,) if options.adversaries else (options.units, *shape)
        call = silent if options.adversaries else one
        rows = pool.map(call, numbers, *([value] * len(numbers) for value in values), chunksize=50)
        for done, (number, name, cells, near, found) in enumerate(rows, 1):
            regions += cells
            counted += near > 0
            tally = families.setdefault(name.rsplit("-", 1)[0], [0, 0, 0])
            tally[0] += 1
            tally[1] += cells
            if found:
                failed += 1
                tally[2] += 1
                case = adversary(number) if options.adversaries else case_of(number, *shape)
                path = save(case, number, options.out, found)
                print(f"{name}: {len(found)} differences, saved to {path}", *found[:6], sep="\n  ", flush=True)
            if done % 1000 == 0:
                print(
                    f"{done} networks, {regions} regions, {failed} differ, {time.perf_counter() - start:.0f} s", flush=True
                )
    for name, (networks, cells, bad) in sorted(families.items()):
        print(f"{name:>14}: {networks:6d} networks {cells:8d} regions {bad:4d} differ")
    took = 1e3 * (time.perf_counter() - start) / max(len(numbers), 1)
    print(
        f"{len(numbers)} networks, {regions} regions, {counted} with near-zero or irregular cases, {failed} differ; "
        f"{took:.1f} ms a network"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
