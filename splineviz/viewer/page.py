"""Pages: what the explorer shows of a source, and the one HTML file that holds it all.
Here too: one step packed for it, what it knows before any step is read, inputs as pixels, whether outputs come along, and
the front end's script and style.

A source is one Partition, a mapping step -> Partition (or .npz file), or the folder that `animate` wrote: its
partitions and its table of measures, which becomes the curves beside the time slider. The front end is the plain
JavaScript of `viewer/`: its modules, one after the other without their import lines, are the script of the page and
of the widget alike. Colours and their limits are taken from `fills`, so that every picture of splineviz agrees.
All text goes into the page as data, never as markup. This file knows no network and no notebook.
"""

from __future__ import annotations

import base64
import csv
import html as markup
import json
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import to_hex

from splineviz import choices
from splineviz.drawing import curves, fills, previews
from splineviz.drawing.anchors import thumbnail
from splineviz.errors import DataError, PartitionError
from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane
from splineviz.storage import files, listings, provenance
from splineviz.storage.outputs import JOBS, what_is
from splineviz.viewer import packing, printing

VIEWER = Path(__file__).parent
DECODER = ("decode", "complex", "restore", "follow", "worker")
"""Modules that decode steps, in a worker; the page has them too."""
MODULES = (
    *DECODER, "words", "dom", "camera", "choose", "colours", "gpu", "near", "density", "paint", "raster", "plain", "studio",
    "curves", "comparing", "overlay", "scene", "selection", "following", "slicing", "steps", "keys", "hands", "time",
    "legend", "asking", "address", "saving", "elements", "build", "sight", "explorer", "widget",
)  # fmt: skip
"""The front end's modules, those that are imported first."""

FILLS = choices.EXPLORED
"""What the regions can show."""
OUTPUTS_BUDGET = 2_000_000
"""Most regions, of all steps together, with which the network's outputs travel along (20 bytes a region for ten classes)."""

STEP = re.compile(r"step-(\d{1,19})\.npz")
"""What `animate` calls the file of a partition."""
Row = Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Source:
    """What an explorer shows: steps in order, how to read the partition of each, and a row of measures each (or none)."""

    steps: tuple[int, ...]
    read: Callable[[int], Partition]
    table: tuple[Row, ...] = ()
    title: str = "splineviz"
    classes: tuple[str, ...] = ()
    figure: str = "splineviz figure RUN"
    """The command that prints its run on its plane, without window, steps and look."""


# ---- sources -----------------------------------------------------------------------------------------


def open_source(source: Any, *, steps: Sequence[int] | None = None, classes: Sequence[str] = ()) -> Source:
    """The Source of a partition, a mapping or a folder. Raises as `explore` does."""
    table: tuple[Row, ...] = ()
    title, figure = "splineviz", Source.figure
    if isinstance(source, Partition):
        known: dict[int, Any] = {0: source}
    elif isinstance(source, Mapping):
        known = {int(step): source[step] for step in sorted(source)}
    elif not isinstance(source, str | os.PathLike):
        raise PartitionError(
            f"explore: expected a Partition, a mapping of steps to Partitions or a folder that `splineviz animate` wrote, "
            f"got {type(source).__name__}; a network is cut first, by sv.partition(model, plane)."
        )
    else:
        folder = Path(source)
        title = folder.resolve().name
        known, table = _folder(folder)
        film = _film(folder)
        classes, figure = classes or film.get("classes", ()), printing.command(folder, film)
    wanted = sorted(known) if steps is None else sorted({int(step) for step in steps})
    if missing := [step for step in wanted if step not in known]:
        raise DataError(f"steps: expected some of {', '.join(map(str, known))}, got {', '.join(map(str, missing))}.")
    if not wanted:
        raise DataError("explore: expected at least one partition, got none; animate the run first.")
    by_step = {int(row["step"]): row for row in table}
    rows = tuple(by_step.get(step, {"step": float(step)}) for step in wanted) if by_step else ()

    def read(index: int) -> Partition:
        found = known[wanted[index]]
        return found if isinstance(found, Partition) else Partition.load(found)

    return Source(tuple(wanted), read, rows, title, tuple(map(str, classes)), figure)


def _folder(folder: Path) -> tuple[dict[int, Any], tuple[Row, ...]]:
    """Partition files by step, and the table of measures beside them."""
    if folder.is_file() and folder.suffix != ".npz":
        raise PartitionError(f"{folder}: expected what `splineviz animate` wrote, or an .npz file, got another file.")
    if folder.is_file():
        return {int(named[1]) if (named := re.search(r"step-(\d+)", folder.stem)) else 0: folder}, ()
    if (folder / JOBS).exists():
        return _listed(folder)
    paths = sorted((folder / "partitions").glob("step-*.npz"))
    found = {int(name[1]): path for path in paths if (name := STEP.fullmatch(path.name)) is not None}
    if not found:
        got = what_is(folder) or "none of them"
        raise PartitionError(
            f"{folder}: expected a folder that `splineviz animate` wrote (with partitions/step-*.npz), got {got}; name one."
        )
    table = folder / "measures.csv"
    return dict(found), _table(table) if table.exists() else ()


def _listed(folder: Path) -> tuple[dict[int, Any], tuple[Row, ...]]:
    """The results of the jobs that jobs.json lists, as their rows vouch for them; what else lies there is none of them."""
    try:
        done = listings.results(folder)
    except ValueError as error:
        raise PartitionError(f"{folder}: expected the results that `splineviz animate` wrote, got {error}") from error
    if not done:
        raise PartitionError(
            f"{folder}: expected finished partitions of the steps in {JOBS}, got none; animate the run to its end."
        )
    return {step: one.partition for step, one in done.items()}, tuple(one.row for one in done.values())


def _table(path: Path) -> tuple[Row, ...]:
    """The rows of a table of measures. Raises PartitionError when it is another file, or damaged."""
    try:
        with open(path, newline="") as stream:
            lines = list(csv.DictReader(stream))
        rows = [{name: float(value or "nan") for name, value in line.items()} for line in lines]
        if any(not math.isfinite(row["step"]) for row in rows):
            raise ValueError("a row without a step")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise PartitionError(
            f"{path}: expected a table of measures, got {type(error).__name__}: {error}; move it away, or animate again."
        ) from error
    return tuple(rows)


def _film(folder: Path) -> dict[str, Any]:
    """What `animate` says in the folder's manifest that it was asked for; empty where it does not say."""
    try:
        said = files.read_sealed(folder / provenance.NAME)["options"]["film"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return said if isinstance(said, dict) else {}


# ---- what the page is told ----------------------------------------------------------------------------


def pack_step(partition: Partition, *, outputs: bool) -> bytes:
    """One step for the page, see `packing`."""
    return packing.pack(partition, outputs=outputs)


def take_outputs(source: Source) -> bool:
    """Whether the source is small enough to take the network's outputs along."""
    return sum(source.read(index).num_regions for index in range(len(source.steps))) <= OUTPUTS_BUDGET


def describe(source: Source, *, fill: str, visit: Callable[[int, Partition], None] | None = None) -> dict[str, Any]:
    """What the page knows before any step is read, JSON-ready. Every partition is read once; `visit` gets each."""
    shares = (np.arange(100) + 0.5) / 100
    values: dict[str, list[Any]] = {name: [] for name in fills.LOGARITHMIC}
    regions: list[int] = []
    for index in range(len(source.steps)):
        partition = source.read(index)
        regions.append(partition.num_regions)
        for name, found in values.items():
            found.append(fills.fill_quantiles(partition, shares, fill=name))
        if visit is not None:
            visit(index, partition)
    layers = fills.layer_count(partition)
    shades = fills.layer_colors(np.arange(layers), layers)
    return {
        "title": source.title,
        "note": partition.note,
        "steps": list(source.steps),
        "regions": regions,
        "start": len(source.steps) - 1,
        "fill": fill,
        "limits": {name: _limits(np.concatenate(found)) for name, found in values.items()},
        "zero": to_hex(fills.ZERO_COLOR),
        "palette": [to_hex(fills.CMAP(i)) for i in range(256)],
        "class_colors": list(fills.CLASS_COLORS),
        "class_names": list(source.classes),
        "layer_names": [*partition.layer_paths, *[""] * (layers - len(partition.layer_paths))],
        "layer_colors": [to_hex(shade) for shade in shades],
        "knot_colors": [to_hex(shade) for shade in fills.layer_colors(np.arange(layers), layers, dark=True)],
        "figure": source.figure + printing.window_words(partition),
        "anchors": partition.plane.anchors_uv.reshape(-1, 2).tolist(),
        "picture": picture(partition.plane),
        "panels": _panels(source.table),
        "live": False,
        "samples": 0,
    }


def _limits(values: Any) -> tuple[float, float] | None:
    """As the limits of a film: the middle 98% of the areas of all steps; None where no value has a place on the scale."""
    return fills.padded(*np.quantile(values, (0.01, 0.99))) if len(values) else None


def picture(plane: Plane) -> dict[str, Any] | None:
    """Origin and basis as pixels (height, width, channels), where inputs are pictures; grey values from low to high."""
    shown = [thumbnail(x) for x in (plane.origin, *plane.basis)]
    if any(picture is None for picture in shown):
        return None
    shape = shown[0].shape  # type: ignore[union-attr]  # none is None
    channels = 3 if len(shape) == 3 else 1
    order = [_pixels(x, shape) for x in (plane.origin, *plane.basis)]
    anchors = plane.embed(plane.anchors_uv) if len(plane.anchors_uv) else plane.origin[None]
    low, high = float(anchors.min()), float(anchors.max())
    planes = [np.round(values, 6).tolist() for values in order]
    return {
        "height": shape[0], "width": shape[1], "channels": channels, "planes": planes,
        "low": low, "high": high if high > low else low + 1.0,
    }  # fmt: skip


def _pixels(x: Any, shape: tuple[int, ...]) -> Any:
    """An input as flat pixels, in the order in which `anchors.thumbnail` reads it."""
    image = np.squeeze(x)
    if len(shape) == 3 and image.ndim == 1:
        image = image.reshape(3, *shape[:2])
    if image.ndim == 3 and image.shape[0] == 3 and image.shape[2] != 3:
        image = np.moveaxis(image, 0, 2)
    return image.reshape(-1)


def _panels(table: Sequence[Row]) -> list[dict[str, Any]]:
    """The curves beside the slider, as far as the table has them; `slice`: what they say holds for its own slice alone."""
    kinds = (
        ("accuracy", "accuracy, under attack too where it was measured", curves.CHARTS["accuracy"].curves, False),
        ("local complexity", "local complexity, sampled", curves.COMPLEXITY, False),
        ("local complexity, wide", "local complexity in larger neighbourhoods, sampled", curves.WIDE, False),
        ("units nearby, on the slice", "units whose knots meet a neighbourhood, exactly and sampled", curves.SLICE, True),
        ("knots near", "knots per area near the boundary and the anchors, and median distances, over the window's",
         curves.MIGRATION, True),
        ("regions", "number of regions", curves.REGIONS, True),
    )  # fmt: skip
    panels = []
    for title, note, chosen, sliced in kinds:
        lines = [
            {"label": label, "color": color, "dash": _dash(name), "values": [_number(row.get(name)) for row in table]}
            for name, label, color in (curves.present(table, chosen) if table else ())
        ]
        if lines:
            share = title == "accuracy"
            panels.append({"title": title, "note": note, "curves": lines, "share": share, "slice": sliced})
    return panels


def _dash(name: str) -> list[float]:
    """A curve's line as a canvas draws it, in pixels: empty for a solid one."""
    style = curves.line_of(name)
    return [] if isinstance(style, str) else [round(2.0 * length, 1) for length in style[1]]


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


# ---- the page ----------------------------------------------------------------------------------------


def script() -> str:
    """The front end as one JavaScript module: `viewer/` without the imports between its files. Exports the widget.

    It holds the decoder twice: once as text, from which it makes its worker without a second file.
    """
    decoder = _joined(DECODER) + "\nserve();\n"
    return f"const DECODER = {json.dumps(decoder)};\n{_joined(MODULES)}"


def _joined(names: Sequence[str]) -> str:
    """Modules one after the other, without imports and exports."""
    parts = []
    for name in names:
        text = (VIEWER / f"{name}.js").read_text(encoding="utf-8")
        text = re.sub(r"^import [^;]*;\n", "", text, flags=re.MULTILINE)
        parts.append(re.sub(r"^export (?!default)", "", text, flags=re.MULTILINE))
    return "\n".join(parts)


def style() -> str:
    """The front end's style sheet."""
    return (VIEWER / "explorer.css").read_text(encoding="utf-8")


def lone(name: str) -> str:
    """Style of a saved notebook: while the output before a picture of that name is text alone, it is not shown.

    There JupyterLab says "model not found" where a widget without its kernel was, until the cell is run again.
    """
    cell = ".jp-OutputArea-child"
    return f'{cell}:has(+ {cell} img[alt="{name}"]) .jp-OutputArea-output:not(:has(*)) {{ display: none; }}'


OPENING = """\
<div id="explorer"><div class="sv-still"><p id="said"></p>
<noscript><p>Expected JavaScript to explore these regions, got none: switch it on. Until then, a picture.</p></noscript>
<img alt="PICTURE" src="data:image/png;base64,DATA"></div></div>
<script>
document.getElementById("said").textContent = "Opening ...";
addEventListener("load", () => setTimeout(() => {
  const part = "Expected the whole file, got only a part of it: fetch it again. Until then, a picture.";
  if (!window.explorer?.ready) document.getElementById("said").textContent = window.problem || part;
}));
addEventListener("error", (event) => { window.problem = "Expected a current browser, got: " + event.message; });
</script>
"""
"""What stands in the page until the explorer does, and stays where it cannot: without JavaScript, in half a file."""

PAGE = """\
const read = (id) => document.getElementById(id)?.textContent;
const load = async (i) => {
  const text = read("step-" + i);
  if (!text) throw new Error("expected its data in this file, got none; the file is damaged, fetch it again");
  return fromBase64(text);
};
const told = (name, value) => {
  if (name !== "address") return;
  try { history.replaceState(null, "", "#" + value); } catch { location.hash = value; }
};
const asked = fromAddress(location.hash), meta = JSON.parse(read("meta"));
const start = meta.steps.indexOf(asked.step);
const talk = { told, addressed: true };
window.explorer = mount(document.getElementById("explorer"), { ...meta, start: start < 0 ? meta.start : start }, load, talk);
explorer.ready = explorer.ready.then(() => explorer.part && restoreState(explorer, asked));
addEventListener("hashchange", () => restoreState(explorer, fromAddress(location.hash)));
"""


def write_html(
    source: Source, path: str | os.PathLike[str], *, fill: str = "slope", outputs: bool | None = None
) -> Path:
    """Write a source as one HTML file: script, style and data inside, whole or absent. Returns its path."""
    target = Path(path)
    outputs = take_outputs(source) if outputs is None else outputs

    def content(stream: Any) -> None:
        def put(text: str) -> None:
            stream.write(text.encode())

        def step(index: int, partition: Partition) -> None:
            put(f'<script type="text/plain" id="step-{index}">')
            stream.write(base64.b64encode(pack_step(partition, outputs=outputs)))
            put("</script>\n")

        put('<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n')
        put('<meta name="viewport" content="width=device-width, initial-scale=1">\n')
        put(f"<title>{markup.escape(source.title)}: linear regions</title>\n")
        put('<link rel="icon" href="data:,">\n')  # else a browser would ask for one
        put(f"<style>html, body {{ height: 100%; margin: 0; }}\n{style()}</style></head>\n")
        last = source.read(len(source.steps) - 1)
        words = f"{previews.counted(last.num_regions)} at step {source.steps[-1]:,}"
        data = base64.b64encode(previews.partition_png(last, fill=fill)).decode()
        put("<body>" + OPENING.replace("PICTURE", words).replace("DATA", data))
        meta = describe(source, fill=fill, visit=step)
        # "<" cannot end the element or open another when it is written as an escape of JSON's own.
        put(f'<script type="application/json" id="meta">{json.dumps(meta).replace("<", chr(92) + "u003c")}</script>\n')
        body = script().replace("export default { render };", "")
        put(f'<script type="module">\n{body}\n{PAGE}</script>\n</body></html>\n')

    files.write(target, content)
    return target
