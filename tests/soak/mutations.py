"""Mutations, long: `python tests/soak/mutations.py --networks 200`.

Random networks, each partition damaged in every way of `support/damage.py`, several times. What `verify` does not refuse is
printed; damage may hide where rounding leaves a face undecided, which is counted apart. Exit code 1 when any was missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path += [str(Path(__file__).parents[1] / "support")]

import cases
import damage
import numpy as np

import splineviz as sv


def subject(seed: int) -> tuple[str, Any, sv.Plane, Any]:
    """Family, network, plane and window; every other one a plain network of three classes on a plane through samples."""
    if seed % 2:
        anchors = np.random.default_rng(seed).normal(size=(3, 4))
        return "classes", cases.module(cases.dense(seed, 4, 7, 6, 3)), sv.Plane.through(*anchors), 3.0
    family = list(cases.FAMILIES)[seed // 2 % len(cases.FAMILIES)]
    case = cases.random_case(50_000 + seed, family=family)
    return family, cases.module(case.layers), case.plane, case.window


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="seed of the first network")
    parser.add_argument("--times", type=int, default=3, help="how often each damage is done to a network")
    options = parser.parse_args()
    tried, caught, began, undecided = Counter(), Counter(), time.perf_counter(), 0
    for seed in range(options.first, options.first + options.networks):
        family, model, plane, window = subject(seed)
        part = sv.partition(model, plane, window=window, threads=1)
        report = sv.verify(part, model, raise_on_failure=False)
        if not report.ok or report.undecided or part.num_regions < 2:
            undecided += 1
            continue
        anchors = plane.embed(plane.anchors_uv) if len(plane.anchors_uv) else None
        for name, hurt in damage.DAMAGES.items():
            for time_ in range(options.times):
                other = hurt(part, np.random.default_rng([seed, time_]))
                if other is None:
                    continue
                tried[name] += 1
                if damage.caught(other, model, anchors):
                    caught[name] += 1
                else:
                    print(f"missed: {name}, network {seed} ({family}), time {time_}", flush=True)
    for name in damage.DAMAGES:
        print(f"{caught[name]:6} / {tried[name]:6}  {name}")
    print(f"{caught.total()} / {tried.total()} caught; {undecided} networks left out; {time.perf_counter() - began:.0f} s")
    return 1 if caught.total() < tried.total() else 0


if __name__ == "__main__":
    sys.exit(main())
