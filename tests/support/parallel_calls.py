"""Calls that several threads make at once: the doors of the library on a few ready modules, each as bytes to be compared."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import nn

import splineviz as sv
from splineviz.drawing.figures import FramePainter
from splineviz.tracing.trace import trace

PLANE = sv.Plane.through([0.0, 0.0], [1.0, 0.2], [0.3, 1.0])
POINTS = np.random.default_rng(0).uniform(-1, 1, (20, 2))


class Forward(nn.Module):
    """A forward of the user's own: a residual, a function and a length, which is what tracing has to see through."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(2, width), nn.Linear(width, width), nn.Linear(width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.a(x))
        return self.c(h + nn.functional.leaky_relu(self.b(h), 0.1 * x.dim()))


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    if seed % 2:
        return Forward(6 + seed)
    return nn.Sequential(nn.Linear(2, 8 + seed), nn.ReLU(), nn.Linear(8 + seed, 8), nn.Hardtanh(), nn.Linear(8, 3))


def sliced(net: nn.Module) -> bytes:
    return sv.partition(net, PLANE, window=2.0).vertices.tobytes()


def complexity(net: nn.Module) -> bytes:
    return sv.local_complexity(net, POINTS, radius=0.05).counts.tobytes()


def exported(net: nn.Module) -> bytes:
    """Saved, loaded again, and written as a drawing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slice.npz"
        sv.partition(net, PLANE, window=2.0).save(path)
        found = sv.Partition.load(path)
    return found.vertices.tobytes() + sv.export.to_svg(found).encode()


def drawn(net: nn.Module) -> bytes:
    """On axes of the caller's own."""
    figure = Figure(figsize=(2, 2), dpi=60)
    canvas = FigureCanvasAgg(figure)
    sv.draw.regions(sv.partition(net, PLANE, window=1.0), ax=figure.add_subplot())
    canvas.draw()
    return bytes(canvas.buffer_rgba())


def printed(net: nn.Module) -> bytes:
    """A figure for print, in one of the styles."""
    stream = io.BytesIO()
    wide = next(net.parameters()).shape[0]
    panel = sv.partition(net, PLANE, window=1.0)
    sv.figure(panel, titles=["$x^2$ title"], style=("sans", "serif")[wide % 2], width="column").savefig(stream, dpi=50)
    return stream.getvalue()


def framed(net: nn.Module) -> bytes:
    """A frame of a film."""
    table = [dict.fromkeys(("step", "regions", "train_accuracy"), float(i)) for i in range(3)]
    return FramePainter(table, size=(320, 180)).paint(sv.partition(net, PLANE, window=1.0), 1).tobytes()


def traced(net: nn.Module) -> bytes:
    return trace(net, (2,))(torch.as_tensor(POINTS)).numpy().tobytes()


KINDS: dict[str, Callable[[nn.Module], bytes]] = {
    "partition": sliced, "local complexity": complexity, "export": exported, "picture": drawn, "figure": printed,
    "frame": framed, "trace": traced,
}  # fmt: skip


def state() -> tuple[object, ...]:
    """What tracing and drawing might leave changed."""
    return (
        nn.Module.__call__, nn.Module.__getattr__, torch.relu, nn.functional.linear, torch.get_default_dtype(),
        torch.get_num_threads(), hashlib.sha256(repr(sorted(mpl.rcParams.items())).encode()).digest(),
    )  # fmt: skip


