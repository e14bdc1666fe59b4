r"""Migration: where knots lie over training, their units, and three numbers that answer whether they migrate.
Here too: the profile and the ledger of one slice, what counts as near, and how many planes show a decision boundary at both
of two steps.

    kymograph   knots and jumps of the gradient by distance from the boundary and from the anchors, step by step
    lineage     the ledger of two checkpoints, units' distances from the boundary over time, what became of regions
    answer      density near the boundary, median distance of knots from it, what moved: changes with their errors

    planes x checkpoints -> `distance_profile`, `lineage` (exact, a plane) -> mean, standard error over planes -> tables

Errors are over planes, paired by plane where two checkpoints are compared. What `near` means is a share of the window's
side. This file lays out no figure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from splineviz.drawing import migration_plots
from splineviz.drawing.migration_plots import Kymograph, Trail, Trails
from splineviz.errors import FloatArray
from splineviz.geometry.partition import Partition
from splineviz.metrics import distance_profile, lineage, measures
from splineviz.storage import files
from splineviz.workflows.measured import Measured, mean_and_error, over

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Table = list[dict[str, float]]

NEAR = 0.05
"""Default of what is near the boundary here, as a share of the window's side: bands that are 8 to 10% wide are seen."""

TRAILS, STOPS = 9, 5
"""Units that are followed, and most checkpoints at which they are drawn."""
FOLLOWED = 0.25
"""A unit that is followed has at least so much knot in the window at both checkpoints, in window sides."""
KINDS = ("knots", "jumps")


def near_of(measured: Measured) -> float:
    """What is near, as a share of the window's side."""
    return NEAR if measured.near is None else measured.near


# ---- kymograph -------------------------------------------------------------------------------------------------


def kymograph(measured: Measured) -> tuple[Table, Figure, dict[str, Table]]:
    """The heat map's table (one row per step and bin), its figure, and the numbers of every step."""
    found = _profiles(measured)
    edges = np.concatenate([[0.0], distance_profile.shares()])
    table, means = [], {f"{kind}_{sites}": np.full((len(found), len(edges) - 1), math.nan) for kind, sites in _places()}
    errors = {name: values.copy() for name, values in means.items()}
    for i, planes in enumerate(found):
        for k in range(len(edges) - 1):
            row = {"step": float(measured.step(i)), "from": float(edges[k]), "to": float(edges[k + 1]),
                   "planes": float(len(planes))}  # fmt: skip
            for name in means:
                means[name][i, k], errors[name][i, k] = over(planes, f"{name}_{k}")
                row |= {name: float(means[name][i, k]), f"{name}_error": float(errors[name][i, k])}
            table.append(row)
    steps = _steps(measured, found)
    about = Kymograph(
        np.array([row["step"] for row in steps]), edges, means, errors, measured.between, len(measured.planes),
        near_of(measured),
    )  # fmt: skip
    return table, migration_plots.kymograph(about, steps), {"steps": steps}


def _places() -> list[tuple[str, str]]:
    return [(kind, sites) for sites in distance_profile.SITES for kind in KINDS]


def _profiles(measured: Measured) -> list[list[dict[str, float]]]:
    """For every checkpoint, the numbers of every plane."""
    near = near_of(measured)
    found = []
    for i in range(len(measured.rows)):
        settings = [near, distance_profile.BINS, list(distance_profile.RANGE)]
        found.append(measured.over_planes("kymograph", settings, [i], lambda part: profiles(part, near)))
        if measured.progress is not None:
            measured.progress(i + 1, len(measured.rows), f"kymograph, step {measured.step(i):,}")
    return found


def profiles(partition: Partition, near: float) -> dict[str, float]:
    """One slice's numbers: densities by distance over the window's, those within `near` of the boundary, median distances.

    near: as a share of the window's side. knots_boundary_0, jumps_anchors_3, ...: see `distance_profile.Profile.ratios`.
    """
    numbers: dict[str, float] = {}
    for sites in distance_profile.SITES:
        found = distance_profile.profile(partition, sites)
        for kind in KINDS:
            ratios = found.ratios(weighted=kind == "jumps")
            numbers |= {f"{kind}_{sites}_{k}": float(ratio) for k, ratio in enumerate(ratios)}
        close = distance_profile.profile(partition, sites, distances=[near * measures.side(partition)])
        density = float(close.length[0] / close.area[0]) if close.area[0] > 0 else math.nan
        numbers |= {f"density_{sites}": density, f"ratio_{sites}": float(close.ratios()[0]),
                    f"jumps_ratio_{sites}": float(close.ratios(weighted=True)[0])}  # fmt: skip
        of_knots, of_area = distance_profile.median_distances(partition, sites)
        numbers[f"distance_ratio_{sites}"] = of_knots / of_area
    return numbers


def _steps(measured: Measured, found: list[list[dict[str, float]]]) -> Table:
    """One row per step: densities near the sites and median distances, with standard errors over planes."""
    table = []
    for i, planes in enumerate(found):
        row = {"step": float(measured.step(i)), "near": near_of(measured), "planes": float(len(planes))}
        for name in (n for n in planes[0] if not n.rsplit("_", 1)[-1].isdigit()):
            mean, error = over(planes, name)
            row |= {name: mean, f"{name}_error": error}
        table.append(row)
    return table


# ---- lineage ---------------------------------------------------------------------------------------------------


def lineages(measured: Measured) -> tuple[Table, Figure, dict[str, Table]]:
    """Layers' distances from the boundary by step, the figure, the ledger by layer, and the units of the first plane."""
    first, second = measured.pair
    planes = _ledgers(measured)
    distances = _distances(measured)
    before, after = measured.partition(first), measured.partition(second)
    layers = np.repeat(np.arange(len(before.unit_offsets) - 1), np.diff(before.unit_offsets))
    side = measures.side(before)
    table = []
    for i, of_units in enumerate(distances):
        row = {"step": float(measured.step(i))}
        for layer in range(layers.max(initial=-1) + 1):
            own = of_units[layers == layer]
            own = own[np.isfinite(own)]
            row |= {f"distance_{layer}": float(np.median(own)) if len(own) else math.nan, f"units_{layer}": len(own)}
        table.append(row)
    followed = _followed(before, after, distances[first], distances[second], side)
    units = [
        {"unit": float(unit), "layer": float(layers[unit]), "distance_before": float(distances[first][unit]),
         "distance_after": float(distances[second][unit]), "followed": float(unit in followed)}
        for unit in range(len(layers))
    ]  # fmt: skip
    ledger = _ledger_table(planes, len(before.unit_offsets) - 1)
    stops = sorted({round(place) for place in np.linspace(first, second, min(STOPS, second - first + 1))})
    trails = Trails(
        after, tuple(before.layer_paths), [Trail(measured.step(i), _knots(measured.partition(i), followed)) for i in stops],
        np.array([row["step"] for row in table]), np.stack(distances), layers, (measured.step(first), measured.step(second)),
        near_of(measured), compared(planes), len(followed),
    )  # fmt: skip
    tables = {"ledger": ledger, "units": units, "regions": _regions_table(measured, planes)}
    return table, migration_plots.lineage(trails, table, ledger, tables["regions"][0]), tables


def _ledgers(measured: Measured) -> list[dict[str, float]]:
    """For every plane, the ledger between the two checkpoints in window sides, and what became of the regions."""
    near = near_of(measured)
    return measured.over_planes("lineage, boundary in view", [near], measured.pair, lambda a, b: fates(a, b, near))


def fates(before: Partition, after: Partition, near: float) -> dict[str, float]:
    """One plane's ledger, lengths in window sides, near as a share of the side; and `lineage.regions`, by name.

    stay_0, vanish_0, appear_0: change by units of layer 0 of that fate; before_0, after_0; stay_0_units, ...; stay, ...: of
    all layers; regions_stayed, ...: numbers; area_stayed, ...: shares of the window. Lengths are NaN where one of the two
    has no decision boundary in view: what is near a boundary that was not there before has not moved to it.
    """
    seen = all(len(part.decision_boundary()) for part in (before, after))
    side = measures.side(before) if seen else math.nan
    found, kinds = lineage.ledger(before, after, near=near * measures.side(before)), lineage.regions(before, after)
    numbers: dict[str, float] = {}
    for layer in range(len(found.before)):
        for k, fate in enumerate(lineage.FATES):
            numbers[f"{fate}_{layer}"] = float(found.change[layer, k]) / side
            numbers[f"{fate}_{layer}_units"] = float(found.units[layer, k])
        numbers[f"before_{layer}"] = float(found.before[layer]) / side
        numbers[f"after_{layer}"] = float(found.after[layer]) / side
    numbers |= {fate: float(found.change[:, k].sum()) / side for k, fate in enumerate(lineage.FATES)}
    numbers |= {f"{fate}_units": float(found.units[:, k].sum()) for k, fate in enumerate(lineage.FATES)}
    numbers |= {"before": float(found.before.sum()) / side, "after": float(found.after.sum()) / side}
    for name in ("stayed", "died", "born"):
        numbers |= {f"area_{name}": getattr(kinds, name), f"regions_{name}": float(getattr(kinds, f"regions_{name}"))}
    return numbers


def compared(planes: list[dict[str, float]]) -> int:
    """How many planes have a decision boundary in view at both steps."""
    return sum(math.isfinite(one["before"]) for one in planes)


def _ledger_table(planes: list[dict[str, float]], layers: int) -> Table:
    """One row per layer, from 0, and last one for all (layer -1), with standard errors over planes.

    planes: those with a boundary in view at both steps, of which the lengths are.
    """
    table = []
    for layer in (*range(layers), -1):
        row = {"layer": float(layer), "planes": float(compared(planes))}
        for name in ("before", "after", *lineage.FATES):
            mean, error = over(planes, f"{name}_{layer}" if layer >= 0 else name)
            row |= {name: mean, f"{name}_error": error}
        for fate in lineage.FATES:
            row[f"{fate}_units"] = over(planes, f"{fate}_{layer}_units" if layer >= 0 else f"{fate}_units")[0]
        table.append(row)
    return table


def _regions_table(measured: Measured, planes: list[dict[str, float]]) -> Table:
    row = {"step_before": float(measured.step(measured.between[0])), "step_after": float(measured.step(measured.between[1])),
           "planes": float(len(planes))}  # fmt: skip
    for name in (n for n in planes[0] if n.startswith(("area_", "regions_"))):
        mean, error = over(planes, name)
        row |= {name: mean, f"{name}_error": error}
    return [row]


def _distances(measured: Measured) -> list[FloatArray]:
    """For every checkpoint, (units,) mean distance of each unit's knots on the first plane, as shares of the side."""

    def compute(index: int) -> Mapping[str, float]:
        part = measured.partition(index)
        found = lineage.unit_distances(part) / measures.side(part)
        return {str(unit): float(value) for unit, value in enumerate(found)}

    part = measured.partition(0)
    settings = [lineage.PIECE, files.digest(part.window, part.plane.origin, part.plane.basis)]
    return [np.array(list(row.values())) for row in measured.kept("distances", settings, compute)]


def _followed(before: Partition, after: Partition, one: FloatArray, two: FloatArray, side: float) -> list[int]:
    """The TRAILS units whose mean distance from the boundary changed most, of those with knots enough at both."""
    enough = np.minimum(lineage.unit_lengths(before), lineage.unit_lengths(after)) >= FOLLOWED * side
    moved = np.where(enough & np.isfinite(one) & np.isfinite(two), np.abs(two - one), -1.0)
    return [int(unit) for unit in np.argsort(-moved, kind="stable")[:TRAILS] if moved[unit] >= 0]


def _knots(partition: Partition, units: list[int]) -> FloatArray:
    """(n, 2, 2) the pieces of all knots of these units."""
    return np.concatenate([np.empty((0, 2, 2)), *(lineage.unit_knots(partition, unit) for unit in units)])


# ---- the answer ------------------------------------------------------------------------------------------------


def answer(measured: Measured) -> dict[str, Any]:
    """Does it migrate? Changes from the first of the two checkpoints to the second, as (mean, standard error) over planes.

    steps, planes, near; density: knots per area near the boundary, (before, after, change), change paired by plane, in 1 /
    input-space length; distance: the same of the median distance of knots from the boundary over that of area; moved: what
    units that stay changed in the length near the boundary, in window sides, beside vanished and appeared. compared: on how
    many of the planes the boundary is in view at both; NaN where on none. Raises DataError for a single checkpoint.
    """
    first, second = measured.pair
    found = _profiles(measured)
    planes = _ledgers(measured)
    said: dict[str, Any] = {
        "steps": (measured.step(first), measured.step(second)), "planes": len(planes), "compared": compared(planes),
        "near": near_of(measured),
    }  # fmt: skip
    for key, name in (("density", "density_boundary"), ("distance", "distance_ratio_boundary")):
        change = np.array([after[name] - before[name] for before, after in zip(found[first], found[second], strict=True)])
        said[key] = (over(found[first], name), over(found[second], name), mean_and_error(change[np.isfinite(change)]))
    for key, fate in zip(("moved", "vanished", "appeared"), lineage.FATES, strict=True):
        said[key] = over(planes, fate)
    return said
