"""The whole job, from checkpoints to a film: `splineviz.animate` beside a script of ready parts.

    python benchmarks/job.py [--checkpoints 6] [--size 960x540]

by hand    what one writes without splineviz: per checkpoint regioncam for the regions (float32), matplotlib's
           PolyCollection for the picture, the 2P plain forward passes of the local complexity at three sets of points, and
           PyAV for the film. No decision boundary, no curves, no table, nothing is kept, and nothing can be resumed
splineviz  `sv.animate` as the command calls it: exact partitions (float64) kept in files, all measures, frames with curves,
           thumbnails and boundary, the film, a summary figure, captions

Both on the same checkpoints of 784-200x3-10 on MNIST digits, the same window, points and size of picture. Compilation is not
counted: a first frame is made before.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
import torch
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

import splineviz as sv
from splineviz.drawing.video import save_video
from splineviz.metrics.directions import kept_directions
from splineviz.metrics.options import LCOptions
from splineviz.training.state_files import load_state

POINTS, HALF = 200, 4.0


def by_hand(run: sv.Run, steps: list[int], size: tuple[int, int], film: Path) -> int:
    """Film a run with regioncam, matplotlib and plain passes; returns the regions of all pictures."""
    import regioncam
    from complexity import straightforward

    plane, regions, pictures = run.plane((0, 1, 2)), 0, []
    centre = plane.embed(plane.window(None).mean(axis=0)[None]).reshape(-1)
    directions = kept_directions(784, 25, 0, False)
    rng = np.random.default_rng(0)
    sets = [run.train_x[:POINTS], run.test_x[:POINTS], rng.uniform(0, 1, (POINTS, 28, 28))]
    for checkpoint in (c for c in run.checkpoints if c.step in steps):
        program = run.program(checkpoint)
        weights = [value.double().numpy() for value in load_state(checkpoint.path).values()]
        maps = list(zip(weights[::2], weights[1::2], strict=True))
        first = maps[0][0] @ plane.basis.reshape(2, -1).T, maps[0][0] @ centre + maps[0][1]
        cam = regioncam.Regioncam(HALF)
        for index, (weight, bias) in enumerate([first, *maps[1:]]):
            cam.linear(np.ascontiguousarray(weight.T, np.float32), bias.astype(np.float32))
            if index < len(maps) - 1:
                cam.relu()
        regions += cam.num_faces
        polygons = [np.asarray(face.inputs) for face in cam.faces]
        for x in sets:
            straightforward(program, torch.as_tensor(np.asarray(x)).float(), directions, torch.float32)
        figure = Figure(figsize=(size[0] / 100, size[1] / 100), dpi=100)
        ax = figure.add_subplot()
        colors = matplotlib.colormaps["viridis"](rng.random(len(polygons)))
        ax.add_collection(PolyCollection(polygons, facecolors=colors, edgecolors="black", linewidths=0.3))
        ax.set(xlim=(-HALF, HALF), ylim=(-HALF, HALF), aspect="equal", title=f"step {checkpoint.step}")
        pictures.append(film.with_name(f"by-hand-{checkpoint.step}.png"))
        figure.savefig(pictures[-1])
    save_video(film, pictures, fps=6)
    return regions


def measure(checkpoints: int, size: tuple[int, int]) -> dict[str, float]:
    """Seconds of both, and the regions of all pictures; prints them."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run = sv.open_run(sv.recipes.train("mnist-mlp", steps=400, out=folder / "ckpts"))
        steps = [run.checkpoints[k * (len(run.checkpoints) - 1) // (checkpoints - 1)].step for k in range(checkpoints)]
        lc = LCOptions(points=POINTS)
        sv.animate(run, window=HALF, size=size, formats=["mp4"], lc=lc, steps=steps[:1], out=folder / "first")
        began = time.perf_counter()
        by_hand_regions = by_hand(run, steps, size, folder / "by-hand.mp4")
        between = time.perf_counter()
        sv.animate(run, window=HALF, size=size, formats=["mp4"], lc=lc, steps=steps, out=folder / "out")
        end = time.perf_counter()
        lines = (folder / "out" / "measures.csv").read_text().splitlines()
        column = lines[0].split(",").index("regions")
        regions = sum(int(float(line.split(",")[column])) for line in lines[1:])
    row = {
        "checkpoints": len(steps), "by hand": between - began, "splineviz": end - between,
        "regions by hand": by_hand_regions, "regions": regions,
    }  # fmt: skip
    print(json.dumps(row), flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoints", type=int, default=6)
    parser.add_argument("--size", default="960x540")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    measure(options.checkpoints, (width, height))


if __name__ == "__main__":
    main()
