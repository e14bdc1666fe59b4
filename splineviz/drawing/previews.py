"""Previews: what a notebook shows of a Plane or a Partition that stands at the end of a cell.
Here too: a number of things in words, and the line that shows progress.

A Partition is a picture of its regions, decision boundary and anchors; a Plane is its anchors' inputs as pictures (or
their plane coordinates, where inputs are no pictures). `Partition` and `Plane` ask for this file when they are shown.
Long work is shown as one line.
"""

from __future__ import annotations

import base64
import io
import time
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from splineviz._kernels.compiling.haste import in_notebook
from splineviz.drawing import draw
from splineviz.drawing.canvas import styled
from splineviz.errors import Progress
from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane

CLASSES = 10
"""Most classes whose shares of the window are listed: the largest."""

SIDE = 4.0
"""Side of a preview in inches, at 120 dots an inch."""


@styled()
def partition_png(partition: Partition, *, fill: str = "slope", title: str = "") -> bytes:
    """A PNG of the regions, coloured by a fill, with decision boundary and anchors."""
    figure = Figure(figsize=(SIDE, SIDE), dpi=120, layout="constrained")
    ax: Any = figure.add_subplot(xlabel="u", ylabel="v", title=title or counted(partition.num_regions))
    draw.regions(partition, ax=ax, fill=fill)
    draw.boundary(partition, ax=ax)
    plane = partition.plane
    samples = list(plane.embed(plane.anchors_uv)) if len(plane.anchors_uv) else []
    line = partition.decision_boundary()
    draw.anchors(plane, ax=ax, thumbnails=samples, star=14.0, size=34.0, avoid=line)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def partition_html(partition: Partition) -> str:
    """The same picture beside a table of numbers: counts, the window, the classes' shares of it, what was near rounding."""
    low, high = partition.window.min(axis=0), partition.window.max(axis=0)
    report, shares = partition.report, partition.classes().shares
    largest = np.argsort(-shares, kind="stable")[:CLASSES]
    left = int(np.count_nonzero(shares)) - len(largest)
    named = [f"{i}: {_share(float(shares[i]))}" for i in sorted(largest.tolist()) if shares[i] > 0]
    rows = [
        ("regions", f"{partition.num_regions:,}"),
        ("vertices, edges", f"{len(partition.vertices):,}, {len(partition.edges):,}"),
        ("units by layer", ", ".join(f"{units:,}" for units in np.diff(partition.unit_offsets)) or "none"),
        ("window", f"{low[0]:.4g} .. {high[0]:.4g} by {low[1]:.4g} .. {high[1]:.4g}"),
        ("classes", ", ".join(named) + (f" and {left:,} more" if left > 0 else "")),
        ("median area", f"{np.median(partition.areas):.3g}"),
        ("near zero, irregular, contradicted", f"{report.near_zero:,}, {report.irregular_faces:,}, {report.contradicted:,}"),
        *([("restarts", f"{report.restarts:,}")] if report.restarts else []),
        ("seconds", f"{report.seconds:.2f}"),
    ]
    table = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows)
    data = base64.b64encode(partition_png(partition)).decode()
    picture = f'<img alt="{partition.num_regions:,} regions" width="360" src="data:image/png;base64,{data}">'
    return f'<div style="display: flex; gap: 16px; align-items: center">{picture}<table>{table}</table></div>'


def counted(regions: int) -> str:
    """How many, in words: one region, 2,000 regions."""
    return f"{regions:,} region{'' if regions == 1 else 's'}"


def _share(share: float) -> str:
    return "< 0.1%" if share < 0.0005 else f"{share:.1%}"


@styled()
def plane_png(plane: Plane) -> bytes:
    """A PNG of the anchors on the plane, in input-space length, each with its picture where inputs are pictures."""
    figure = Figure(figsize=(SIDE, SIDE), dpi=120, layout="constrained")
    ax: Any = figure.add_subplot(xlabel="u", ylabel="v", aspect="equal", title=_shape(plane))
    low, high = plane.window().min(axis=0), plane.window().max(axis=0)
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    samples = list(plane.embed(plane.anchors_uv)) if len(plane.anchors_uv) else []
    draw.anchors(plane, ax=ax, thumbnails=samples, star=14.0, size=34.0)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def plane_html(plane: Plane) -> str:
    """The anchors as a table: number, plane coordinates, and the input as a picture where it is one."""
    samples: list[Any] = list(plane.embed(plane.anchors_uv)) if len(plane.anchors_uv) else []
    rows = [
        f"<tr><th>{i}</th><td>{u:.4g}, {v:.4g}</td><td>{_picture(x)}</td></tr>"
        for i, ((u, v), x) in enumerate(zip(plane.anchors_uv.tolist(), samples, strict=True))
    ]
    head = "<tr><th>anchor</th><th>(u, v)</th><th>input</th></tr>" if rows else ""
    return f"<table><caption>{_shape(plane)}</caption>{head}{''.join(rows)}</table>"


def _shape(plane: Plane) -> str:
    return f"Plane in inputs of shape {' x '.join(map(str, plane.origin.shape))}"


def _picture(x: Any) -> str:
    image = draw.thumbnail(x)
    if image is None:
        flat = np.ravel(x)
        return ", ".join(f"{value:.4g}" for value in flat[:6]) + (", ..." if len(flat) > 6 else "")
    stream = io.BytesIO()
    Image.fromarray(np.round(255 * image).astype(np.uint8)).save(stream, "PNG")
    data = base64.b64encode(stream.getvalue()).decode()
    style = "width: 56px; image-rendering: pixelated"
    return f'<img alt="the anchor as a picture" style="{style}" src="data:image/png;base64,{data}">'


def progress(text: str, *, after: float = 0.0) -> Progress | None:
    """What shows long work in a notebook as a line that is written anew, at most twice a second; None outside notebooks.

    after: seconds before which nothing is shown, so that short work leaves no line.
    """
    if not in_notebook():
        return None
    from IPython.display import display

    shown: list[Any] = []
    told, first = 0.0, time.monotonic() + after

    def tell(done: int, total: int, note: str = "") -> None:
        nonlocal told
        now = time.monotonic()
        if (not shown and now < first) or (done < total and now - told < 0.5):
            return
        told = now
        said = {"text/plain": f"{text}: {done:,} of {total:,}{f', {note}' if note else ''}"}
        if shown:
            shown[0].update(said, raw=True)
        else:
            shown.append(display(said, raw=True, display_id=True))

    return tell
