"""The explorer's page in a headless Chromium that draws with WebGL in software: size, loading, asking, steps, dragging.

    python benchmarks/explorer.py [--regions 1000000] [--steps 150] [--run ckpts/] [--only open steps drag]

open     one step with about so many regions
    bytes    of the HTML file, a region, with the network's ten outputs
    load     seconds from opening the file to its first picture: reading, decoding, connecting, painting
    paint    seconds of one whole picture, every region of it anew (what stands still is painted once)
    fill     seconds from another fill to its picture, mean over all fills
    hover    milliseconds from a point to its region and the panel beside it, median of 200 points all over the window
    frames   a second while the map is dragged at a rate of one move a frame
steps    a file with so many steps of about 65,000 regions each
    jump     seconds from a step far away to its picture: read, decode, paint; median and most of 12
    next     seconds from a neighbour, which is decoded beforehand, to its picture, a second after the last; the same
drag     an anchor of a run is dragged by the mouse, and Python cuts its network behind the page
    slice    seconds from the first move to the new slice's arrival in the page
    pixels   seconds from the first move to the first picture of it
    whole    seconds from letting go to the picture of the whole window

All in one process each of Python and Chromium; `load` of the machine is printed beside each figure, since painting, decoding
and Python share its cores. Goals on two quiet cores: bytes < 40, load < 5 s, fill < 2 s, hover < 5 ms, jump < 0.3 s,
pixels < 1 s.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
sys.path.insert(0, str(Path(__file__).parent))

from browsers import chromium
from machine import processor

import splineviz as sv
from splineviz.geometry.partition import Partition
from splineviz.viewer import page as pages

READY = "window.explorer && explorer.index >= 0 && explorer.scene.drawn && !explorer.frame"
PICTURE = """
  const picture = () => new Promise((done) => {
    const paint = explorer.scene.paintRegions;
    explorer.scene.paintRegions = function () {
      explorer.scene.paintRegions = paint;
      paint.call(explorer.scene);
      explorer.canvas.getContext("2d").getImageData(0, 0, 1, 1);
      done();
    };
  });"""
"""Resolves when the next picture is on the canvas, pixels and all."""

PAN = """
(seconds) => new Promise((done) => {
  const began = performance.now();
  let frames = 0;
  const next = () => {
    const t = (performance.now() - began) / 1000;
    if (t > seconds) return done(frames / t);
    frames++;
    explorer.moveTo({ x: 0.3 * Math.sin(2 * t), y: 0.3 * Math.cos(2 * t), r: 0.6 });
    requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
})"""
HOVER = """
() => {
  const times = [];
  for (let i = 0; i < 200; i++) {
    const began = performance.now();
    explorer.ask(0.99 * Math.sin(1 + 7.3 * i), 0.99 * Math.cos(2 + 3.1 * i));
    times.push(performance.now() - began);
  }
  return times.sort((a, b) => a - b)[100];
}"""
FILLS = (
    "async () => {" + PICTURE + """
  const times = {};
  for (const fill of ["class", "margin", "layer", "area", "hash", "slope"]) {
    const done = picture(), began = performance.now();
    explorer.setFill(fill);
    await done;
    times[fill] = (performance.now() - began) / 1000;
  }
  return times;
}"""
)
STEPS = (
    "async ([way, indices]) => {" + PICTURE + """
  const times = [];
  for (const index of indices) {
    const done = picture(), began = performance.now();
    explorer.show(index);
    await done;
    times.push((performance.now() - began) / 1000);
    if (way === "next") await new Promise((rest) => setTimeout(rest, 1000));
  }
  return times;
}"""
)


def partition_of(regions: int, seed: int = 0) -> Partition:
    """The partition of a network 2-n-n-10 in its initial state, with about so many regions."""
    width = int(0.62 * regions**0.5)
    while True:
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))
        found = sv.partition(model, sv.Plane(np.zeros(2), np.eye(2)), window=1.0)
        if found.num_regions >= regions:
            return found
        width = int(width * max((regions / found.num_regions) ** 0.5, 1.01)) + 1


@contextmanager
def page_of(browser: Any, path: Path) -> Iterator[tuple[Any, float]]:
    """The opened page, and the seconds to its first picture."""
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    page.set_default_timeout(600_000)
    began = time.perf_counter()
    page.goto(path.resolve().as_uri())
    page.wait_for_function(READY, polling="raf")
    yield page, time.perf_counter() - began
    page.close()


def say(name: str, **figures: Any) -> None:
    """One line of figures, and how busy the machine is."""
    words = ", ".join(f"{key} {one:.2f}" if isinstance(one, float) else f"{key} {one}" for key, one in figures.items())
    print(f"{name}: {words} (load {os.getloadavg()[0]:.1f})", flush=True)


def opening(browser: Any, regions: int, folder: Path) -> None:
    """One step of many regions."""
    partition = partition_of(regions)
    path = sv.explore(partition, html=folder / "open.html", outputs=True)
    say("file", regions=partition.num_regions, bytes=path.stat().st_size / partition.num_regions)
    for _ in range(3):
        with page_of(browser, path) as (page, load):
            say("open", load=load, paint=page.evaluate("explorer.scene.took") / 1000)
            fills = page.evaluate(FILLS)
            say("fill", **fills, mean=statistics.mean(fills.values()))
            say("ask", hover=page.evaluate(HOVER), frames=page.evaluate(PAN, 3.0))


def _of_many_steps(partitions: list[Partition], count: int, path: Path) -> None:
    """A file with so many steps: the partitions in turn, each packed once."""
    sv.explore(dict(enumerate(partitions)), html=path, outputs=True)
    text = path.read_text()
    blocks = re.findall(r'<script type="text/plain" id="step-\d+">.*?</script>\n', text)
    said = re.search(r'(<script type="application/json" id="meta">)(.*?)(</script>)', text)
    assert said is not None and len(blocks) == len(partitions)
    meta = json.loads(said[2])
    meta |= {
        "steps": list(range(count)), "regions": [meta["regions"][i % len(blocks)] for i in range(count)], "start": count - 1,
    }  # fmt: skip
    head, tail = text[: text.index(blocks[0])], text[said.end() :]
    with open(path, "w") as out:
        out.write(head)
        for i in range(count):
            out.write(re.sub(r'id="step-\d+"', f'id="step-{i}"', blocks[i % len(blocks)], count=1))
        out.write(said[1] + json.dumps(meta).replace("<", "\\u003c") + said[3] + tail)


def stepping(browser: Any, steps: int, folder: Path) -> None:
    """Many steps of 65,000 regions."""
    partitions = [partition_of(65_000, seed) for seed in range(3)]
    path = folder / "steps.html"
    _of_many_steps(partitions, steps, path)
    say("file", steps=steps, regions=partitions[0].num_regions, megabytes=path.stat().st_size / 1e6)
    far = [(7 + 61 * i) % steps for i in range(12)]
    with page_of(browser, path) as (page, load):
        say("open", load=load)
        towards = -1 if far[-1] > steps / 2 else 1
        for way, indices in (("jump", far), ("next", [far[-1] + (i + 1) * towards for i in range(12)])):
            times = page.evaluate(STEPS, [way, indices])
            say(way, median=statistics.median(times), most=max(times))


HOST = """<!doctype html><meta charset="utf-8"><style>%s</style><div id="el" style="width: 1300px"></div>
<script type="module">
const hands = {}, values = %s;
const fire = (name, ...rest) => (hands[name] || []).forEach((hand) => hand(...rest));
const bytes = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
const model = {
  get: (name) => values[name], set: (name, value) => { values[name] = value; }, save_changes: () => {},
  on: (name, hand) => { (hands[name] ||= []).push(hand); }, off: () => {},
  send: async (message) => {
    for (const { name, said, data } of await kernel(message)) {
      if (name === "sliced") { values.sliced = said; window.arrived ??= performance.now(); fire("change:sliced"); }
      else fire("msg:custom", said, data ? [bytes(data)] : []);
    }
  },
};
const url = URL.createObjectURL(new Blob([%s], { type: "text/javascript" }));
(await import(url)).default.render({ model, el: document.getElementById("el") });
window.explorer = document.querySelector(".sv-explorer").explorer;
</script>"""

DRAG = (
    "async () => {" + PICTURE + """
  const { stage } = explorer, box = stage.getBoundingClientRect();
  const at = (kind, x, y) => stage.dispatchEvent(new PointerEvent(kind, { pointerId: 1, isPrimary: true, bubbles: true,
    button: kind === "pointermove" ? -1 : 0, buttons: 1, clientX: box.x + x, clientY: box.y + y }));
  const { middle, half } = explorer.part, [u, v] = explorer.meta.anchors[0], { clientWidth: w, clientHeight: h } = stage;
  const unit = Math.min(w, h) / 2 / explorer.camera.r;
  const x = w / 2 + ((u - middle[0]) / half - explorer.camera.x) * unit + 1;
  const y = h / 2 - ((v - middle[1]) / half - explorer.camera.y) * unit + 1;
  window.arrived = undefined;
  at("pointerdown", x, y);
  const began = performance.now();
  let entered;
  const enter = explorer.enter, first = new Promise((done) => {
    explorer.enter = function (...rest) {
      enter.apply(explorer, rest);
      if (arrived !== undefined) { explorer.enter = enter; picture().then(done); }
    };
  });
  for (let i = 1; i < 9; i++) { at("pointermove", x + 2 * i, y + i); await new Promise((rest) => setTimeout(rest, 16)); }
  await first;
  const pixels = performance.now() - began, slice = arrived - began;
  while (explorer.cutting) await new Promise((rest) => setTimeout(rest, 5));
  const released = performance.now();
  at("pointerup", x + 16, y + 8);
  while (explorer.slicing.partial || explorer.cutting || explorer.frame) await new Promise((rest) => setTimeout(rest, 5));
  return { slice: slice / 1000, pixels: pixels / 1000, whole: (performance.now() - released) / 1000,
    regions: explorer.part.faces };
}"""
)


def dragging(browser: Any, run: Path, times: int = 5) -> None:
    """An anchor of a trained run."""
    opened = sv.open_run(run)
    last = opened.checkpoints[-1]
    plane = opened.plane((0, 1, 2))
    partition = sv.partition(opened.program(last), plane)
    view = sv.explore({last.step: partition}, run=opened)
    outbox: list[dict[str, Any]] = []

    def send(content: Any, buffers: Any = None) -> None:
        data = base64.b64encode(buffers[0]).decode() if buffers else None
        outbox.append({"name": "msg", "said": content, "data": data})

    def kernel(message: Any) -> list[dict[str, Any]]:
        before = view.sliced
        view._answer(view, message, [])
        if view.sliced is not before:
            outbox.append({"name": "sliced", "said": view.sliced})  # a step that goes along is sent before
        sent, outbox[:] = list(outbox), []
        return sent

    view.send = send
    values = {"meta": view.meta, "step": last.step, "camera": [], "fill": "slope", "selected_ids": [], "sliced": {}}
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    page.set_default_timeout(600_000)
    page.expose_function("kernel", kernel)
    page.set_content(HOST % (pages.style(), json.dumps(values), json.dumps(pages.script()).replace("</", "<\\/")))
    page.wait_for_function(READY)
    say("run", step=last.step, regions=partition.num_regions)
    for _ in range(times):
        say("drag", **page.evaluate(DRAG))
    page.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--regions", type=int, default=1_000_000)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--run", type=Path, help="of which an anchor is dragged")
    parser.add_argument("--only", nargs="+", choices=("open", "steps", "drag"), default=("open", "steps", "drag"))
    options = parser.parse_args()
    print(f"{processor()}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        if "drag" in options.only and options.run is not None:
            dragging(browser, options.run)
        if "steps" in options.only:
            stepping(browser, options.steps, Path(folder))
        if "open" in options.only:
            opening(browser, options.regions, Path(folder))


if __name__ == "__main__":
    main()
