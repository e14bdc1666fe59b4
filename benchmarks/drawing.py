"""One whole frame of the film against a bare matplotlib PolyCollection of the same polygons.

    python benchmarks/drawing.py [--regions 100000 1000000] [--repeats 3]

ours       FramePainter.paint + save_frame at 1920 x 1080: raster, boundary, anchors, thumbnails, both panels of
           curves, header, and the PNG file. The first frame of a run, with its fixed parts, and a later one.
matplotlib an Axes without ticks with a PolyCollection of all regions (the same colours and line width), savefig to PNG
           at 1920 x 1080; nothing else on it. Making the polygons from the partition is not counted.

The partition is a network's: a 2-d input, one wide hidden layer after another, cut until it has about as many regions
as asked for. The best of the repeats counts. A table of regions, seconds and ratios is printed, and the parts of our time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
import torch
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from torch import nn

from splineviz.drawing import draw, figures, fills
from splineviz.drawing.video import save_frame
from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane
from splineviz.regions.enumerate import partition as cut

STEPS = [0, *(int(10 ** (k / 8)) for k in range(8, 37))]


def network(width: int) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))


def partition_of(regions: int) -> Partition:
    """A network's partition with at least so many regions, but for the last few per cent."""
    plane = Plane(np.zeros(2), np.eye(2), np.array([[-0.5, -0.4], [0.5, -0.4], [0.0, 0.55]]))
    width = int(0.62 * regions**0.5)
    while True:
        found = cut(network(width), plane, window=1.0)
        if found.num_regions >= regions:
            return found
        width = int(width * max((regions / found.num_regions) ** 0.5, 1.01)) + 1


def rows() -> list[dict[str, float]]:
    table = []
    for step in STEPS:
        t = np.log10(step + 1)
        values = {f"lc_{place}": 50 + 10 * np.sin(2 * t + k) for k, place in enumerate(("train", "test", "random"))}
        bands = {f"{name}_band": 2.0 for name in values}
        accuracies = {"train_accuracy": min(1.0, 0.3 * t), "test_accuracy": min(0.9, 0.25 * t)}
        table.append({"step": float(step), "regions": 1e5, **accuracies, **values, **bands})
    return table


def best(repeats: int, call: Callable[[], object]) -> float:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


def bare(partition: Partition, polygons: list[np.ndarray], colors: np.ndarray, path: Path) -> None:
    figure = Figure(figsize=(19.2, 10.8), dpi=100)
    ax = figure.add_axes((0.02, 0.04, 0.5, 0.9))
    ax.add_collection(PolyCollection(polygons, facecolors=colors, edgecolors="black", linewidths=draw.LINE_WIDTH))
    low, high = partition.window.min(axis=0), partition.window.max(axis=0)
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xticks=[], yticks=[], aspect="equal")
    figure.savefig(path)


def measure(regions: int, repeats: int, folder: Path) -> dict[str, float]:
    """Seconds of a bare picture, of a run's first frame and of a later one; prints them with the parts of ours."""
    partition = partition_of(regions)
    digits = [np.random.default_rng(k).random((28, 28)) for k in range(3)]
    limits = fills.color_limits(partition)
    colors = fills.colors(partition, "slope", limits=limits)[0]
    polygons = np.split(partition.vertices[partition.face_vertices], partition.face_offsets[1:-1])
    polygons = [np.ascontiguousarray(polygon) for polygon in polygons]

    def fresh() -> Partition:
        """As read from a file: nothing that is computed on demand is there yet."""
        return Partition(**{name: getattr(partition, name) for name in partition.__dataclass_fields__})

    def painter() -> figures.FramePainter:
        return figures.FramePainter(rows(), limits=limits, thumbnails=digits, radius=0.005, num_vectors=25)

    def first() -> None:
        save_frame(folder / "ours.png", painter().paint(fresh(), 20), "key")

    first()  # compiles
    used = painter()
    used.paint(partition, 3)
    whole = best(repeats, first)
    later = best(repeats, lambda: save_frame(folder / "ours.png", used.paint(fresh(), 20), "key"))
    plain = best(max(repeats - 1, 1), lambda: bare(partition, polygons, colors, folder / "bare.png"))
    low, high = partition.window.min(axis=0), partition.window.max(axis=0)
    view = (low[0], high[0], low[1], high[1])
    pixels = used.paint(partition, 20)
    parts = {
        "slopes and colours": best(repeats, lambda: fills.colors(fresh(), "slope", limits=limits)),
        "raster": best(
            repeats, lambda: draw.rasterize(partition, colors, view=view, shape=(952, 952), line_width=0.69)
        ),
        "boundary": best(repeats, lambda: fresh().decision_boundary()),
        "png": best(repeats, lambda: save_frame(folder / "ours.png", pixels, "key")),
    }  # fmt: skip
    seconds = f"{plain:>9.2f} {whole:>9.2f} {later:>9.2f} {plain / whole:>8.1f} {plain / later:>8.1f}"
    print(f"{partition.num_regions:>10,} {seconds}")
    print("           " + ", ".join(f"{name} {seconds:.3f}" for name, seconds in parts.items()), flush=True)
    return {"regions": partition.num_regions, "bare": plain, "first": whole, "later": later}


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--regions", type=int, nargs="+", default=[100_000])
    words.add_argument("--repeats", type=int, default=3)
    words.add_argument("--keep", type=Path, help="leave the pictures in this folder")
    options = words.parse_args()
    print("   regions  bare, s  first, s  later, s  ratio, first  later")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(exist_ok=True, parents=True)
        for regions in options.regions:
            measure(regions, options.repeats, folder)


if __name__ == "__main__":
    main()
