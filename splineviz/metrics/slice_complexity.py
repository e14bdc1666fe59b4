r"""Local complexity on a slice, exact and sampled, in the same neighbourhoods: columns of a row of measures.
Here too: the network on the slice as a Program of plane coordinates.

    slice_exact     units whose knots meet the diamond conv{x +- r e1, x +- r e2}, from the partition (`diamonds`)
    slice_sampled   units with both signs on its four corners, from the network (`complexity`)

Both are means over POINTS points of the window, the same at every checkpoint, with 99% bands. A knot that enters and leaves
through one side, or a unit that bends between the corners, is the difference. NaN where the diamonds do not fit the window.
This file does not draw.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from splineviz.errors import DataError, FloatArray
from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane
from splineviz.metrics import diamonds
from splineviz.metrics.columns import SLICE, made_by
from splineviz.metrics.complexity import band, local_complexities
from splineviz.tracing.program import Program, Step

COLUMNS = made_by(SLICE)

POINTS = 256
"""Points of the slice at which units are counted."""


def exact(partition: Partition, radius: float | None) -> dict[str, float]:
    """The columns slice_exact and its band. radius: r, in input-space length; None: not asked for."""
    uv = _points(partition.window, radius)
    if uv is None or radius is None:
        return dict.fromkeys(COLUMNS[:2], float("nan"))
    counts = diamonds.exact_counts(partition, uv, radius=radius).sum(axis=0)
    return {"slice_exact": float(counts.mean()), "slice_exact_band": band(counts)}


def sampled(program: Program, plane: Plane, window: FloatArray, radius: float, threads: int | None) -> dict[str, float]:
    """The columns slice_sampled and its band, of the network whose knots the slice shows. Raises as `complexity` does."""
    uv = _points(window, radius)
    if uv is None:
        return dict.fromkeys(COLUMNS[2:], float("nan"))
    flat = on_plane(program, plane)
    found = local_complexities(flat, {"x": uv}, radius=radius, directions=np.eye(2), threads=threads)["x"]
    return {"slice_sampled": found.mean, "slice_sampled_band": found.band}


@torch.no_grad()
def on_plane(program: Program, plane: Plane) -> Program:
    """The network as a Program of plane coordinates, (n, 2) -> (n, C): up to its first kink it is affine in them.

    That part, the widest of a network on pictures, becomes one product with two columns for every register that is still
    needed there.
    """
    program = program.to(torch.float64, "cpu")
    first = next((i for i, step in enumerate(program.steps) if step.is_kink or step.is_max), len(program.steps))
    base = program.run({0: torch.tensor(plane.origin)[None]}, 0, first)
    arms = program.run({0: torch.tensor(plane.basis)}, 0, first, homogeneous=True)
    fresh = 1 + max((step.output for step in program.steps), default=0)
    renamed = {0: fresh}  # register 0 holds the coordinates
    steps, weights = [], dict(program.weights)
    for register, at in base.items():
        fresh += 1
        weights |= {f"plane.{register}.weight": arms[register].reshape(2, -1).mT, f"plane.{register}.bias": at.flatten()}
        named = {role: f"plane.{register}.{role}" for role in ("weight", "bias")}
        shape = {"shape": list(at.shape[1:])}
        steps += [
            Step("linear", (0,), fresh, named), Step("reshape", (fresh,), renamed.get(register, register), {}, shape)
        ]  # fmt: skip
    for step in program.steps[first:]:
        steps.append(replace(step, inputs=tuple(renamed.get(register, register) for register in step.inputs)))
    return Program((2,), steps, renamed.get(program.output, program.output), weights, constants=program.constants)


def _points(window: FloatArray, radius: float | None) -> FloatArray | None:
    try:
        return None if radius is None else diamonds.spread(window, POINTS, radius)
    except DataError:
        return None
