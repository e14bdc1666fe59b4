"""The whole job against a bare draw: `splineviz animate` on 100 checkpoints, frame for frame.

    python benchmarks/film.py [RUN] [--checkpoints 100] [--bare 5] [--formats mp4 gif]

job   `splineviz animate` on the paper's network (784-200-200-200-10 on MNIST digits): every checkpoint enumerated on the
      plane through three digits, measured (local complexity at 1,000 training, 4,000 test and 1,000 random points, P = 25),
      drawn at 1920 x 1080, encoded. Nothing is left out.
bare  matplotlib alone: a PolyCollection of the same polygons in the same colours, savefig at 1920 x 1080 (`drawing.bare`);
      no axes' labels, no boundary, no curves, and finding the polygons is not counted. Drawn for a few of the checkpoints;
      the others are reckoned from their numbers of regions.

Without RUN one is trained first: 30,000 steps, 26 checkpoints a decade (some minutes; --keep saves it). Stages are wall
seconds a frame; those of the measuring and those of the film overlap, so they add up to more than the whole. Kernels
are compiled by a first frame, which is not counted.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
from drawing import bare

import splineviz as sv
from splineviz.__main__ import main as command
from splineviz.drawing import draw, figures, fills, film
from splineviz.drawing.look import Look
from splineviz.geometry.partition import Partition
from splineviz.jobs import churn, job
from splineviz.metrics import slice_complexity
from splineviz.metrics.options import LCOptions
from splineviz.training import recipes

LC = ["--lc-points", "1000", "4000", "1000", "--lc-vectors", "25"]
seconds: dict[str, float] = defaultdict(float)


def timed(owner: Any, name: str, stage: str) -> None:
    """Let calls of owner.name add their wall time to a stage."""
    call: Callable[..., Any] = getattr(owner, name)

    @functools.wraps(call)
    def clocked(*args: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return call(*args, **options)
        finally:
            seconds[stage] += time.perf_counter() - began

    setattr(owner, name, clocked)


def watch() -> None:
    timed(job, "partition", "enumerate")
    timed(LCOptions, "measured_beside", "local complexity")
    timed(Partition, "decision_boundary", "  of these: boundary")
    timed(job, "partition_numbers", "measures of the partition")
    timed(job, "crossings", "crossings")
    timed(job, "liveness", "live units")
    timed(slice_complexity, "exact", "units on the slice, exact")
    timed(slice_complexity, "sampled", "units on the slice, sampled")
    timed(Partition, "save", "partition to file")
    timed(churn, "between", "churn")
    timed(Look, "with_limits_of", "shared colour scale")
    timed(figures.FramePainter, "paint", "draw")
    timed(draw, "rasterize", "  of these: raster")
    timed(film, "save_frame", "frame to file")
    timed(film, "save_stream", "encode")
    timed(film, "save_gif", "gif")


def bare_seconds(paths: list[Path], count: int, folder: Path) -> tuple[float, float, list[dict[str, float]]]:
    """Seconds of a bare draw of all partitions, and of the processor, reckoned from `count` of them; and those."""
    found = []
    for index in np.linspace(0, len(paths) - 1, count).round().astype(int):
        partition = Partition.load(paths[index])
        colors = fills.colors(partition, "slope")[0]
        polygons = np.split(partition.vertices[partition.face_vertices], partition.face_offsets[1:-1])
        polygons = [np.ascontiguousarray(polygon) for polygon in polygons]
        tries = []
        for _ in range(2):
            began, busy = time.perf_counter(), time.process_time()
            bare(partition, polygons, colors, folder / "bare.png")
            tries.append((time.perf_counter() - began, time.process_time() - busy))
        wall, busy = (min(side) for side in zip(*tries, strict=True))
        found.append({"regions": partition.num_regions, "seconds": wall, "processor": busy})
    regions = np.array([Partition.load(path).num_regions for path in paths], dtype=float)
    return reckoned(found, "seconds", regions), reckoned(found, "processor", regions), found


def reckoned(found: list[dict[str, float]], name: str, regions: np.ndarray) -> float:
    """Seconds of the draws of all these numbers of regions, from those of a few."""
    if len(found) <= 2:
        return float(np.mean([f[name] / f["regions"] for f in found]) * regions.sum())
    slope, level = np.polyfit([f["regions"] for f in found], [f[name] for f in found], 1)
    return float((level + slope * regions).sum())


def measure(run: Path, checkpoints: int, count: int, formats: list[str], folder: Path) -> dict[str, Any]:
    steps = [checkpoint.step for checkpoint in sv.open_run(run).checkpoints]
    chosen = [steps[i] for i in np.linspace(0, len(steps) - 1, min(checkpoints, len(steps))).round().astype(int)]
    words = ["animate", str(run), *LC, "--format", *formats]
    command([*words, "--out", str(folder / "first"), "--steps", str(steps[-1])])  # compiles, draws the directions' numbers
    watch()
    began, busy = time.perf_counter(), time.process_time()
    code = command([*words, "--out", str(folder / "out"), "--steps", *map(str, chosen)])
    whole, busy = time.perf_counter() - began, time.process_time() - busy
    assert code == 0
    paths = sorted((folder / "out" / "partitions").glob("*.npz"))
    plain, plain_busy, samples = bare_seconds(paths, count, folder)
    frames = len(chosen)
    row = {
        "frames": frames, "job": whole / frames, "job, processor": busy / frames, "bare": plain / frames,
        "job / bare": whole / plain, "job / bare, processor": busy / plain_busy, "bare draws": samples,
        "stages": {name: value / frames for name, value in seconds.items()},
    }  # fmt: skip
    print(f"{frames} frames; seconds a frame:")
    print(f"{'the whole job':<28} {row['job']:.3f}   (processor {row['job, processor']:.3f})")
    print(f"{'bare matplotlib draw':<28} {row['bare']:.3f}   (from {len(samples)} of them)")
    print(f"{'job / bare':<28} {row['job / bare']:.2f}   (processor {row['job / bare, processor']:.2f})")
    for name, value in row["stages"].items():
        print(f"  {name:<26} {value:.3f}")
    print(json.dumps(row), flush=True)
    return row


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("run", nargs="?", type=Path)
    words.add_argument("--checkpoints", type=int, default=100)
    words.add_argument("--bare", type=int, default=5, help="how many bare draws")
    words.add_argument("--formats", nargs="+", default=["mp4", "gif"])
    words.add_argument("--keep", type=Path, help="train the run here and leave it")
    options = words.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder, run = Path(temporary), options.run
        if run is None:
            run = options.keep or folder / "ckpts"
            if not (run / "run.json").exists():
                recipes.train("mnist-mlp", out=run, per_decade=26)
        measure(run, options.checkpoints, options.bare, options.formats, folder)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
