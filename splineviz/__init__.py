"""splineviz: the exact linear regions of piecewise-affine torch networks on 2D slices, drawn and animated over training.

    import splineviz as sv

    plane = sv.Plane.through(x0, x1, x2)
    partition = sv.partition(model, plane)
    sv.draw.regions(partition)

This file only says where each public name lives. A name is imported when it is first asked for, so that
`import splineviz` costs milliseconds and a figure drawn from a file needs no torch.

A public name that is a module, such as `sv.draw`, lives in one of the packages; the rest are functions and classes.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from splineviz import errors
    from splineviz.drawing import draw, export, figures
    from splineviz.drawing.print_figure import figure
    from splineviz.drawing.surface import surface
    from splineviz.geometry import boundary
    from splineviz.geometry.partition import Partition
    from splineviz.geometry.plane import Plane
    from splineviz.jobs.sweep import Sweep, measure_run, sweep
    from splineviz.metrics import complexity, diamonds, measures, robustness
    from splineviz.metrics.columns import tidy
    from splineviz.metrics.complexity import LocalComplexity, local_complexity
    from splineviz.metrics.deformation import Deformation, deformation
    from splineviz.metrics.knot_density import KnotDensity, boundary_density, gradient_complexity
    from splineviz.metrics.liveness import liveness
    from splineviz.metrics.options import LCOptions
    from splineviz.metrics.robustness import robust_accuracy
    from splineviz.regions import certificate
    from splineviz.regions.certificate import CertificateReport, verify
    from splineviz.regions.crossings import Crossings, crossings
    from splineviz.regions.enumerate import partition
    from splineviz.regions.estimates import Estimate, estimate, window_for
    from splineviz.regions.parts import Part, part
    from splineviz.regions.sewing import sew
    from splineviz.regions.tiles import Tile, tiles
    from splineviz.tracing.program import Program
    from splineviz.tracing.trace import trace
    from splineviz.training import recipes, runs
    from splineviz.training.recorder import Recorder
    from splineviz.training.runs import Run, open_run
    from splineviz.training.samples import Data
    from splineviz.viewer.explore import explore
    from splineviz.workflows.animate import animate
    from splineviz.workflows.compare import compare
    from splineviz.workflows.lightning import lightning_callback
    from splineviz.workflows.monitor import Monitor
    from splineviz.workflows.tour import tour

__version__ = "0.2.0"

__all__ = [
    "CertificateReport",
    "Crossings",
    "Data",
    "Deformation",
    "Estimate",
    "KnotDensity",
    "LCOptions",
    "LocalComplexity",
    "Monitor",
    "Part",
    "Partition",
    "Plane",
    "Program",
    "Recorder",
    "Run",
    "Sweep",
    "Tile",
    "animate",
    "boundary",
    "boundary_density",
    "certificate",
    "complexity",
    "compare",
    "crossings",
    "deformation",
    "distance_profile",
    "diamonds",
    "draw",
    "errors",
    "estimate",
    "explore",
    "export",
    "figure",
    "figures",
    "gradient_complexity",
    "lightning_callback",
    "lineage",
    "liveness",
    "local_complexity",
    "measure_run",
    "measures",
    "open_run",
    "part",
    "partition",
    "recipes",
    "robust_accuracy",
    "robustness",
    "runs",
    "sew",
    "surface",
    "sweep",
    "tour",
    "tidy",
    "tiles",
    "trace",
    "verify",
    "window_for",
]

_HOMES = {
    "CertificateReport": "regions.certificate",
    "Crossings": "regions.crossings",
    "Data": "training.samples",
    "Deformation": "metrics.deformation",
    "Estimate": "regions.estimates",
    "KnotDensity": "metrics.knot_density",
    "LCOptions": "metrics.options",
    "LocalComplexity": "metrics.complexity",
    "Monitor": "workflows.monitor",
    "Part": "regions.parts",
    "Partition": "geometry.partition",
    "Plane": "geometry.plane",
    "Program": "tracing.program",
    "Recorder": "training.recorder",
    "Run": "training.runs",
    "Sweep": "jobs.sweep",
    "Tile": "regions.tiles",
    "animate": "workflows.animate",
    "boundary_density": "metrics.knot_density",
    "compare": "workflows.compare",
    "figure": "drawing.print_figure",
    "crossings": "regions.crossings",
    "deformation": "metrics.deformation",
    "estimate": "regions.estimates",
    "explore": "viewer.explore",
    "gradient_complexity": "metrics.knot_density",
    "lightning_callback": "workflows.lightning",
    "liveness": "metrics.liveness",
    "local_complexity": "metrics.complexity",
    "measure_run": "jobs.sweep",
    "open_run": "training.runs",
    "part": "regions.parts",
    "partition": "regions.enumerate",
    "robust_accuracy": "metrics.robustness",
    "sew": "regions.sewing",
    "surface": "drawing.surface",
    "tidy": "metrics.columns",
    "tiles": "regions.tiles",
    "sweep": "jobs.sweep",
    "tour": "workflows.tour",
    "trace": "tracing.trace",
    "verify": "regions.certificate",
    "window_for": "regions.estimates",
}
"""The module of every public function and class."""

_MODULES = {
    "boundary": "geometry.boundary",
    "certificate": "regions.certificate",
    "complexity": "metrics.complexity",
    "diamonds": "metrics.diamonds",
    "draw": "drawing.draw",
    "distance_profile": "metrics.distance_profile",
    "errors": "errors",
    "export": "drawing.export",
    "figures": "drawing.figures",
    "lineage": "metrics.lineage",
    "measures": "metrics.measures",
    "recipes": "training.recipes",
    "robustness": "metrics.robustness",
    "runs": "training.runs",
}
"""The public modules."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name in _HOMES:
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    elif name in _MODULES:
        value = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
