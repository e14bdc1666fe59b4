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

from splineviz.drawing import migration_plots, study_plots
from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane
from splineviz.metrics import distance_profile
from splineviz.metrics import lineage as lineage_of
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


def curves() -> Figure:
    steep = {"gradient_complexity": 80.0, "gradient_complexity_band": 9.0, "weight_norm": 12.0, "logit_norm": 1.2}
    units = {"units_live": 500.0, "units_linear": 30.0, "units_dead": 70.0}
    found = [row | {k: v * (1 + np.log10(row["step"] + 1) / 4) for k, v in (steep | units).items()} for row in table()]
    return study_plots.curves_of_run(found, radius=0.05, num_vectors=25, eps=EPS)


def migration() -> Figure:
    return study_plots.migration(table(), (5, 9), radius=0.05)


def kymograph() -> Figure:
    edges, count = np.concatenate([[0.0], distance_profile.shares()]), len(STEPS)
    middle = np.sqrt(edges[1:] * np.maximum(edges[:-1], edges[1] / 2))
    late = np.linspace(0, 1, count)[:, None] ** 2
    gather, empty = 1 + 2 * late * np.exp(-middle / 0.1), 1 - 0.9 * late * np.exp(-middle / 0.15)
    means = {"knots_boundary": gather, "jumps_boundary": gather**1.5, "knots_anchors": empty, "jumps_anchors": empty**2}
    means["knots_boundary"][0] = np.nan  # no boundary in view yet
    found = migration_plots.Kymograph(
        np.array(STEPS, dtype=float), edges, means, {n: 0.1 * m for n, m in means.items()}, (6, count - 1), 4, 0.05
    )
    steps = [
        {"step": float(step), **{f"distance_ratio_{sites}": 1 + sign * 0.5 * float(t[0]) for sites, sign in
         (("boundary", -1), ("anchors", 1))}, "distance_ratio_boundary_error": 0.05}
        for step, t in zip(STEPS, late, strict=True)
    ]  # fmt: skip
    return migration_plots.kymograph(found, steps)


def lineage() -> Figure:
    part = deep(23)
    layers = np.repeat([0, 1, 2], np.diff(part.unit_offsets))
    start = np.random.default_rng(0).uniform(0.05, 0.3, len(layers))
    distances = start * (1 - 0.6 * np.linspace(0, 1, len(STEPS))[:, None] * layers / 2)
    table = [
        {"step": float(s), **{f"distance_{k}": float(np.median(d[layers == k])) for k in range(3)}}
        for s, d in zip(STEPS, distances, strict=True)
    ]
    slices = (deep(6), part)
    common = np.minimum(*[np.bincount(p.edge_tag[p.edge_tag >= 0], minlength=int(p.unit_offsets[-1])) for p in slices])
    knots = [lineage_of.unit_knots(p, int(common.argmax())) for p in slices]
    trails = [migration_plots.Trail(step, k) for step, k in zip((300, 30000), knots, strict=True)]
    found = migration_plots.Trails(
        part, part.layer_paths, trails, np.array(STEPS, dtype=float), distances, layers, (300, 30000), 0.05, 4, 1
    )
    ledger = [
        {"layer": layer, **dict(zip(("stay", "vanish", "appear"), values, strict=True)),
         **{f"{fate}_error": 1.5 for fate in ("stay", "vanish", "appear")}}
        for layer, values in ((0.0, (-4.0, -15.0, 1.0)), (1.0, (18.0, -26.0, 1.0)), (2.0, (74.0, -2.0, 4.0)),
                              (-1.0, (88.0, -43.0, 6.0)))
    ]  # fmt: skip
    regions = {}
    for name in ("stayed", "died", "born"):
        regions |= {f"regions_{name}": 120.0, f"area_{name}": 0.4}
    return migration_plots.lineage(found, table, ledger, regions)


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
                f"{n}_{i}": g / (1 + (r * i * (1 + step) ** 0.1))
                for n, g in (("eccentricity", 1.0), ("diameter", 1.2))
                for i in range(4)
            }
            found.append({"step": float(step), "radius": r, **bent})
    return study_plots.deformation(found, radius=0.05, paths=("1", "3", "5", "encoder.block.relu"))


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


_DRAWN = (curves, dynamics, migration, kymograph, lineage, windows, layers, exact, heat, deformation, comparison, relief)
FIGURES = {f.__name__: f for f in _DRAWN}


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


def test_no_eccentricity_is_cut_off_however_large() -> None:
    radii = [0.005 * 10 ** (k / 4) for k in range(-4, 9)]
    names = [f"{name}_{i}" for name in ("eccentricity", "diameter") for i in (0, 1)]
    table = [{"step": 0.0, "radius": r, **{name: 1.0 + 30.0 * int(name[-1]) * r for name in names}} for r in radii]
    for ax in study_plots.deformation(table, radius=0.005).axes:
        low, high = ax.get_ylim()
        assert low <= ax.dataLim.y0 and ax.dataLim.y1 <= high
