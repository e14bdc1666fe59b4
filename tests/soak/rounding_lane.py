"""The lane of other machines, long: `python tests/soak/rounding_lane.py --rounds 20`.

Each round builds every network of `support/rounding.py` anew, and random small ones of every family, with all products off
by one to four units in the last place: in blocks of 4 kB, 64 kB and 8 MB on one thread and two, and in 3 x 3 tiles with
another perturbation in each. Exit code 1 when a complex differs from the one without perturbation, or a seam does not fit.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path += [str(Path(__file__).parents[1] / "support")]

import cases
import rounding

import splineviz as sv


def subjects(number: int) -> Iterator[tuple[str, Any, sv.Plane, Any]]:
    """Name, network, plane and window of all networks of a round."""
    for name in rounding.NETWORKS:
        net, shape, half = rounding.build(name, seed=number)
        yield f"{name}, seed {number}", net, rounding.plane_of(shape), half
    for family in cases.FAMILIES:
        case = cases.random_case(10_000 + number, family=family, max_width=12)
        yield case.name, cases.module(case.layers), case.plane, case.window


def problems(net: Any, plane: sv.Plane, window: Any, number: int) -> Iterator[str]:
    """What differs or fails under perturbation."""
    expected = sv.partition(net, plane, window=window, threads=1)
    units = 1 + number % 4
    for threads in (1, 2):
        for block_bytes in (4 << 10, 64 << 10, 8 << 20):
            with rounding.perturbed(units, seed=number):
                found = sv.partition(net, plane, window=window, threads=threads, block_bytes=block_bytes)
            yield from (f"{threads} threads, {block_bytes} B: {one}" for one in rounding.differences(expected, found))
    parts = []
    for i, tile in enumerate(sv.tiles(plane, window, 3, 3)):
        with rounding.perturbed(units, seed=100 * number + i):
            parts.append(sv.part(net, tile, threads=1))
    yield from (f"tiles: {one}" for one in rounding.differences(expected, sv.sew(parts)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="number of the first round, the seed of its networks")
    options = parser.parse_args()
    began, tried, failed = time.perf_counter(), 0, 0
    for number in range(options.first, options.first + options.rounds):
        for name, net, plane, window in subjects(number):
            tried += 1
            try:
                found = list(problems(net, plane, window, number))
            except sv.errors.SplinevizError as error:
                found = [f"{type(error).__name__}: {error}"]
            if found:
                failed += 1
                print(name, *found, sep="\n  ", flush=True)
    print(f"{tried} networks rounded otherwise, {failed} differ, {time.perf_counter() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
