"""The studies' figures: golden images, and texts that neither collide nor are cut off."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from arrangement import lines_in_square, rows
from matplotlib.figure import Figure
from networks import relu_network
from pictures import assert_nothing_collides, compare, pixels

from splineviz.drawing import study_plots
from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane
from splineviz.metrics.robustness import EPS
from splineviz.regions.enumerate import partition
from splineviz.workflows import study

STEPS = [0, 1, 2, 5, 10, 30, 100, 300, 1000, 2668, 10000, 30000]
PICTURE = [np.add.outer(np.arange(8), np.arange(8)) % 5 / 4.0] * 3


def table() -> list[dict[str, float]]:
    """Rows of an imagined training, with the columns that studies add."""
    found = []
    for row in rows(STEPS):
        t = np.log10(row["step"] + 1)
        robust = {f"robust_{e:g}": row["test_accuracy"] * (1 - e * (9 - 1.5 * t) / 2.2) for e in EPS}
        dense = {"knot_density": 9.0 - t, "knot_density_anchors": 9.0 - 1.6 * t, "knot_density_boundary": 9.0 - 0.5 * t}
        near = {
            "regions_near": 40.0 + 3 * t,
            "regions_near_band": 4.0,
            "regions_away": 40.0 - 6 * t,
            "regions_away_band": 3.0,
        }
        counts = {f"exact_{r:g}": 30 * r * (5 + t) for r in study.RADII}
        counts |= {f"sampled_{r:g}": 30 * r * (5 + t) * (1 - 0.2 * r * t) for r in study.RADII}
        found.append({**row, **robust, **dense, **near, **counts, "crossings": round(400 - 50 * t)})
    return found


def slices() -> dict[int, Partition]:
    return {2668: lines_in_square(30, seed=5), 30000: lines_in_square(22, seed=6)}


def deep(seed: int) -> Partition:
    return partition(
        relu_network(seed, 2, 14, 14, 14, 3), Plane(np.zeros(2), np.eye(2), slices()[2668].plane.anchors_uv), window=1.0
    )


def dynamics() -> Figure:
    return study_plots.dynamics(table(), slices(), radius=0.05, phases=(5, 9), eps=EPS, thumbnails=PICTURE)


def migration() -> Figure:
    return study_plots.migration(table(), (5, 9), radius=0.05)


def windows() -> Figure:
    return study_plots.windows(table(), {step: (part, *study.squares(part, 6)) for step, part in slices().items()})


def layers() -> Figure:
    return study_plots.layers({0: deep(6), 30000: deep(23)})


def exact() -> Figure:
    return study_plots.exact(table(), study.RADII, 0.05)


def heat() -> Figure:
    u, v = np.meshgrid(*[np.linspace(-1, 1, 24)] * 2)
    counts = np.round(9 * np.exp(-2 * np.abs(u * u + v * v - 0.4)))
    return study_plots.heat(
        lines_in_square(30, seed=5), counts, np.maximum(counts - (u > 0.5), 0), 4 * counts, radius=0.04, step=2668
    )


def deformation() -> Figure:
    radii = [0.05 * 10 ** (k / 4) for k in range(-8, 9)]
    found = []
    for step in (0, 2668, 30000):
        for r in radii:
            bent = {
                f"{n}_{i + 1}": g / (1 + (r * i * (1 + step) ** 0.1))
                for n, g in (("eccentricity", 1.0), ("diameter", 1.2))
                for i in range(4)
            }
            found.append({"step": float(step), "radius": r, **bent})
    return study_plots.deformation(found, radius=0.05)


def comparison() -> Figure:
    tables = {}
    for at, name in enumerate(("width 100", "width 200", "width 400")):
        tables[name] = [{k: v * (1 - 0.15 * at) if k != "step" else v for k, v in row.items()} for row in rows(STEPS)]
    return study_plots.comparison(tables, radius=0.05, about="network")


def relief() -> Figure:
    flat = {
        step: partition(relu_network(seed, 2, 12, 8, 1), Plane(np.zeros(2), np.eye(2)), window=2.0)
        for step, seed in ((0, 2), (3000, 3))
    }
    return study_plots.relief(flat)


FIGURES = {f.__name__: f for f in (dynamics, migration, windows, layers, exact, heat, deformation, comparison, relief)}


@pytest.mark.parametrize("name", FIGURES)
def test_golden(name: str) -> None:
    figure = FIGURES[name]()
    figure.set_dpi(100)
    compare(f"study-{name}", pixels(figure))


@pytest.mark.parametrize("name", [name for name in FIGURES if name != "relief"])
def test_no_text_is_cut_off_or_covered(name: str) -> None:
    assert_nothing_collides(FIGURES[name]())


def test_every_study_has_a_golden_image() -> None:
    assert set(study.STUDIES) <= set(FIGURES)
