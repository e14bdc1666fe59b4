"""Deformation study: eccentricity and diameter of embedded neighbourhoods by radius and layer, and where r is too large.

    run, checkpoints -> deformed -> one row per checkpoint and radius -> `study_plots.deformation`

It needs no slice. It does not know how the figure looks.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from splineviz.drawing import study_plots
from splineviz.errors import FloatArray
from splineviz.metrics.deformation import deformation
from splineviz.metrics.options import LCOptions
from splineviz.training import runs
from splineviz.workflows.measured import Measured
from splineviz.workflows.phases import peak

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Table = list[dict[str, float]]

BENT = 0.1
"""Share by which an eccentricity may differ from that of small neighbourhoods before a radius is called too large."""


def deformation_by_radius(measured: Measured, points: int = 50) -> tuple[Table, Figure]:
    """Embedded neighbourhoods of training points at the first checkpoint, at the peak and at the last."""
    shown = (0, peak(measured.rows), len(measured.rows) - 1)
    table, paths = deformed(measured.run, shown, measured.lc, points)
    return table, study_plots.deformation(table, radius=measured.lc.radius, paths=paths)


def deformed(run: runs.Run, indices: Sequence[int], lc: LCOptions, points: int = 50) -> tuple[Table, tuple[str, ...]]:
    """Eccentricity and diameter by layer, a row a checkpoint and radius, and the layers' names; needs no slice.

    Warns where the radius of the local complexity is too large: neighbourhoods of it are deformed by more than BENT.
    """
    table: Table = []
    radii = [lc.radius * 10 ** (k / 4) for k in range(-8, 9)]
    for index in dict.fromkeys(indices):
        checkpoint = run.checkpoints[index]
        found = deformation(
            run.program(checkpoint), run.train_x[:points], radii=radii, num_vectors=lc.num_vectors, seed=lc.seed
        )
        both = {which: found.relative(which) for which in ("eccentricity", "diameter")}
        for k, radius in enumerate(radii):
            row = {"step": float(checkpoint.step), "radius": radius}
            table.append(row | {f"{name}_{i}": float(v) for name, a in both.items() for i, v in enumerate(a[k])})
        _warn_of_bends(checkpoint.step, radii, both["eccentricity"], lc.radius)
    return table, found.layers


def _warn_of_bends(step: int, radii: Sequence[float], eccentricity: FloatArray, radius: float) -> None:
    """eccentricity: (radii, layers) over the input's; at the smallest radius it is that of undeformed neighbourhoods."""
    off = np.abs(eccentricity / eccentricity[0] - 1.0)
    at = int(np.argmin(np.abs(np.array(radii) - radius)))
    if off[at].max() <= BENT:
        return
    fine = radii[int((off <= BENT).all(axis=1).cumprod().sum()) - 1]
    warnings.warn(
        f"splineviz: step {step:,}: neighbourhoods of r = {radius:g} are deformed by {off[at].max():.0%} in layer "
        f"{int(off[at].argmax())}, so counts at their corners miss knots; all "
        f"layers keep within {BENT:.0%} up to r = {fine:.2g}.",
        RuntimeWarning, stacklevel=4,
    )  # fmt: skip
