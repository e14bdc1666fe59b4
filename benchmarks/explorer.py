"""The explorer's page in a headless Chromium that draws with WebGL in software: size, loading, panning, asking.

    python benchmarks/explorer.py [--regions 100000 1000000] [--seconds 3]

bytes    of the HTML file, a region, with the network's ten outputs and without them
write    seconds from the partition to the file
load     seconds from opening the file to its first picture: reading, decoding, connecting, painting
paint    seconds of one whole picture, every region of it anew (what stands still is painted once)
frames   a second while the map is dragged at a rate of one move a frame; a large map is moved as a picture meanwhile
hover    milliseconds from a point to its region and the panel beside it, mean of 200 points all over the window

The partition is that of a network 2-n-n-10 in its initial state. The machine has other work too: take the best of some runs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from browsers import chromium

import splineviz as sv
from splineviz.geometry.partition import Partition

PAN = """
(seconds) => new Promise((done) => {
  const began = performance.now();
  let frames = 0;
  const next = () => {
    const t = (performance.now() - began) / 1000;
    if (t > seconds) return done(frames / t);
    frames++;
    explorer.camera.x = 0.3 * Math.sin(2 * t); explorer.camera.y = 0.3 * Math.cos(2 * t); explorer.camera.r = 0.6;
    explorer.moved();
    requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
})"""
HOVER = """
() => {
  const began = performance.now();
  for (let i = 0; i < 200; i++) explorer.ask(0.99 * Math.sin(1 + 7.3 * i), 0.99 * Math.cos(2 + 3.1 * i));
  return (performance.now() - began) / 200;
}"""


def partition_of(regions: int) -> Partition:
    """A network's partition with about so many regions."""
    width = int(0.62 * regions**0.5)
    while True:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))
        found = sv.partition(model, sv.Plane(np.zeros(2), np.eye(2)), window=1.0)
        if found.num_regions >= regions:
            return found
        width = int(width * max((regions / found.num_regions) ** 0.5, 1.01)) + 1


def measure(browser: Any, partition: Partition, folder: Path, seconds: float) -> dict[str, float]:
    """One row of the table."""
    began = time.perf_counter()
    path = sv.explore(partition, html=folder / "with.html", outputs=True)
    write = time.perf_counter() - began
    bare = sv.explore(partition, html=folder / "without.html", outputs=False)
    page = browser.new_page(viewport={"width": 1180, "height": 860})
    page.set_default_timeout(600_000)
    began = time.perf_counter()
    page.goto(path.resolve().as_uri())
    page.wait_for_function("window.explorer && explorer.index === 0 && explorer.drawn")
    load = time.perf_counter() - began
    row = {
        "regions": partition.num_regions,
        "bytes": path.stat().st_size / partition.num_regions,
        "bare": bare.stat().st_size / partition.num_regions,
        "write": write,
        "load": load,
        "paint": page.evaluate("explorer.took") / 1000,
        "frames": page.evaluate(PAN, seconds),
        "hover": page.evaluate(HOVER),
    }
    page.close()
    return row


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--regions", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--seconds", type=float, default=3.0, help="of panning")
    options = parser.parse_args()
    print("| regions | bytes a region | without outputs | write s | load s | paint s | frames/s | hover ms |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        for regions in options.regions:
            row = measure(browser, partition_of(regions), Path(folder), options.seconds)
            print(
                f"| {row['regions']:,} | {row['bytes']:.1f} | {row['bare']:.1f} | {row['write']:.1f} | {row['load']:.1f} "
                f"| {row['paint']:.2f} | {row['frames']:.0f} | {row['hover']:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
