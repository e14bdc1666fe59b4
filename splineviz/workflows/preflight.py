r"""Preflight: what a film will cost, and which window it is of, before any work.
Here too: the square window of a given size round a centre.

        run, anchors, window asked for ──> a few points of the last, the middle and the first checkpoint
                                              │ few regions: go on, nothing is said
                                              │ long: it is said how long, and which --regions would be quick
                                              └ out of reach: a smaller window on the same plane, which is said

        +-----------------------+
        |  *            usual   |      The usual window is the square round the anchors. A smaller one stands where the
        |        [ ] *          |      decision boundary crosses the anchors' triangle at the last checkpoint, so that
        |   *     window        |      something of it is in the film.
        +-----------------------+

Costs are numbers of regions times units of the network times a constant, not times of a clock: the same call twice chooses
the same window, so that the second goes on where the first was stopped. This file draws nothing and measures nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from splineviz.drawing.captions import duration, round_of
from splineviz.errors import DataError, FloatArray, PlaneError
from splineviz.geometry.plane import Plane
from splineviz.geometry.polygons import square
from splineviz.metrics import robustness
from splineviz.metrics.options import USUAL, LCOptions
from splineviz.regions.estimates import estimate, seen, window_for
from splineviz.tracing.maxima import MAXES
from splineviz.tracing.precision import at_home
from splineviz.tracing.program import Program
from splineviz.tracing.swaps import piecewise
from splineviz.training.checkpoints import Checkpoint
from splineviz.training.runs import Run

LONG, OUT_OF_REACH = 600.0, 3600.0
"""Seconds of a film above which it is said how long it takes, and above which a window is chosen that takes less."""
AIM = 150.0
"""Seconds that the regions of a film whose window is chosen may take, and as many again for its local complexity."""
A_REGION, A_POINT = {True: 4e-9, False: 1e-7}, {True: 3e-9, False: 2.4e-8}
"""Seconds a unit that a region, and a vertex of a neighbourhood, take: in plain layers, or with convolutions and maxima."""
FEW, MANY = 1_000, 50_000
"""A window that is chosen holds about so many regions at least and at most."""
SHOWN = 200.0
"""A few points show all but this share of the regions, at worst: less than LONG after it needs no closer look."""
SIDES, GRID, FINER = 48, 24, 9
"""Points a side of the anchors' triangle, of a grid, and of one in its cells, where the boundary is looked for."""
LATE, CELLS = 5, 4
"""Last checkpoints whose boundaries a window tries to hold at once; cells of a grid that are divided again."""

Classes = Callable[[FloatArray], np.ndarray[Any, np.dtype[np.int64]]]


@dataclass(frozen=True)
class Course:
    """What a film will be of. window: as `Plane.window` takes it; lc: how the local complexity is sampled; notes: what
    there is to say before it begins, a sentence each; chosen: whether the window was chosen here, so that the next film of
    the run should be asked for this one.
    """

    window: Any
    lc: LCOptions | None
    notes: tuple[str, ...] = ()
    chosen: bool = False

    def tell(self) -> None:
        """Say the notes as warnings."""
        for text in self.notes:
            warnings.warn(f"splineviz: {text}", RuntimeWarning, stacklevel=3)


@at_home
def plot_course(
    run: Run, anchors: Sequence[int], *, window: Any = None, regions: int | None = None, center: Any = None,
    lc: LCOptions | None = None,
) -> Course:  # fmt: skip
    """The window of a film, from what was asked for.

    window: as `Plane.window` takes it. regions: instead, the largest square that holds about so many at every one of the
    first, middle and last checkpoint. center: of either, "anchors" (the middle of their box), "boundary" (a point of the
    decision boundary at the last checkpoint), the number of a training sample that is an anchor, or (u, v).
    lc: as `animate` takes it.
    With neither window nor regions, a film that is out of reach gets regions and center by itself.
    Raises DataError for a window that regions or center contradict, PlaneError where no window holds so many regions.
    """
    if window is not None and (regions is not None or (center is not None and np.ndim(window) > 0)):
        other = "regions" if regions is not None else "center"
        raise DataError(f"window: expected none beside {other}, or a half-width, got one; leave one of the two out.")
    if regions is not None and regions < 2:
        raise DataError(f"regions: expected a number of at least 2, got {regions}.")
    piecewise(Program.from_data(run.network))  # one that has no regions is refused in words of its own
    survey = _Survey(run, anchors)
    if not survey.programs:  # whoever measures says why none can be read
        return Course(window, lc)
    if regions is not None:
        middle, _ = survey.middle("anchors" if center is None else center)
        half, held = survey.half_for(regions, middle)
        return Course(square(middle, half), lc, (f"a window of half-width {half:g} holds {held}.",), True)
    if center is not None:
        window = survey.round(center, window)
    cost = survey.cost(window, lc)
    if window is None and cost.regions > OUT_OF_REACH:
        return survey.smaller(lc, cost)
    notes = () if cost.all < LONG else (survey.long(cost),)
    return Course(window, lc, notes, center is not None)


def window_round(run: Run, anchors: Sequence[int], center: Any, window: float | None = None) -> FloatArray:
    """(4, 2) the square of a half-width (None: the usual one) round a center, as for `plot_course`. Raises DataError."""
    return _Survey(run, anchors).round(center, window)


@dataclass(frozen=True)
class _Cost:
    """Seconds that regions and local complexity of a film will take; held: about how many regions, in words."""

    regions: float
    points: float
    held: str

    @property
    def all(self) -> float:
        return self.regions + self.points


class _Survey:
    """The first, middle and last checkpoint of a run, looked at on the plane of a film."""

    def __init__(self, run: Run, anchors: Sequence[int]):
        self.run, self.anchors, self.plane = run, list(anchors), run.plane(anchors)
        each = run.checkpoints
        steps = dict.fromkeys((len(each) - 1, (len(each) - 1) // 2, 0))
        found = [_program(run, each[index]) for index in steps]
        self.programs = [program for program in found if program is not None]
        first = Program.from_data(run.network)
        self.units = sum(layer.units for layer in first.layers)
        self.plain = not any(step.op in MAXES or "conv" in step.op for step in first.steps)

    @property
    def a_region(self) -> float:
        """Seconds that a region takes, at every checkpoint of the run."""
        return len(self.run.checkpoints) * self.units * A_REGION[self.plain]

    @cached_property
    def late(self) -> list[Program]:
        """The networks of the last checkpoints, the last first, of those that can be read."""
        found = (_program(self.run, checkpoint) for checkpoint in self.run.checkpoints[::-1][:LATE])
        return [program for program in found if program is not None]

    def round(self, center: Any, window: float | None) -> FloatArray:
        """The square of a half-width (None: the usual one) round a center."""
        half = float(window) if window is not None else float(np.ptp(self.plane.window(None)[:, 0])) / 2
        return square(self.middle(center)[0], half)

    def cost(self, window: Any, lc: LCOptions | None) -> _Cost:
        """What a film of a window takes; only a bound where the regions alone are out of reach."""
        least = max((seen(program, self.plane, window) for program in self.programs), default=0.0)
        points = self.a_point(lc) * self.points(lc)
        if least * self.a_region > OUT_OF_REACH:
            return _Cost(least * self.a_region, points, f"more than {round_of(least):,}")
        if SHOWN * least * self.a_region < LONG:
            return _Cost(0.0, points, f"more than {round_of(least):,}")
        most, found = int(OUT_OF_REACH / self.a_region) + 1, []
        for program in self.programs:
            found.append(estimate(program, self.plane, window, most=most).regions)
            if found[-1] > most:
                return _Cost(found[-1] * self.a_region, points, f"more than {round_of(most):,}")
        return _Cost(float(np.mean(found)) * self.a_region, points, f"about {round_of(max(found)):,}")

    def points(self, lc: LCOptions | None) -> float:
        """Points that the local complexity is sampled at, at one checkpoint; each once a radius."""
        if lc is None:
            return 0.0
        there = {"train": self.run.train_x, "test": self.run.test_x}
        points = sum(min(lc.most(name), len(x)) for name, x in there.items() if x is not None) + lc.most("random")
        return float(points if lc.beside is None else 2 * points)

    def a_point(self, lc: LCOptions | None) -> float:
        """Seconds that a point takes, at every checkpoint of the run."""
        if lc is None:
            return 0.0
        vertices = 2 * lc.settings(self.plane.input_shape)["num_vectors"]
        return len(self.run.checkpoints) * vertices * self.units * A_POINT[self.plain]

    def long(self, cost: _Cost) -> str:
        """That a film will be long, and what would be shorter."""
        less = f"--regions {self.few()} takes the largest window that holds so many, --center says where"
        parts = [f"this film will take about {duration(cost.all)}"]
        if cost.regions > AIM:
            parts.append(f"its window holds {cost.held} regions: {less}")
        if cost.points > AIM:
            few = self.few_points()
            parts.append(f"the local complexity takes about {duration(cost.points)} of it: --lc-points {few} is quicker")
        return "; ".join(parts) + "."

    def few(self) -> int:
        """How many regions take about AIM."""
        return round_of(float(np.clip(AIM / self.a_region, FEW, MANY)))

    def few_points(self, lc: LCOptions = USUAL) -> int:
        """How many points a curve take about AIM."""
        curves = 3 if lc.beside is None else 6
        return round_of(float(np.clip(AIM / self.a_point(lc) / curves, 20.0, USUAL.most("train"))))

    def smaller(self, lc: LCOptions | None, cost: _Cost) -> Course:
        """A window that holds few regions, on the boundary, and fewer points where nobody asked for as many."""
        few = self.few()
        middle, where = self.middle("boundary")
        usual = float(np.ptp(self.plane.window(None)[:, 0])) / 2
        half, held = self.half_for(few, middle, usual)
        least, seen_at = "more than" if cost.held.startswith("more") else "about", self._held_at(square(middle, half))
        notes = [
            f"the window round the anchors (half-width {usual:.3g}) holds {cost.held} regions, and this film of it "
            f"would take {least} {duration(cost.regions)}. It is of a window {usual / half:,.0f} times smaller, which "
            f"holds {held}; {'; '.join(filter(None, (f'it lies {where}', seen_at)))}. --regions, --center and --window "
            "choose another."
        ]
        if lc is USUAL and cost.points > AIM:
            lc = replace(lc, points=self.few_points())
            notes.append(f"the local complexity is sampled at {lc.points} points a curve; --lc-points says how many.")
        return Course(square(middle, half), lc, tuple(notes), chosen=True)

    def half_for(self, regions: int, middle: FloatArray, most: float | None = None) -> tuple[float, str]:
        """The half-width of the largest square about a point that holds about so many regions, to three digits, and what it
        holds in words. most: the largest that it may be.
        """
        found: list[float] = []
        half, error = most, None
        for program in self.programs:
            if half is not None and found and (here := self._held(program, middle, half, regions)) <= 1.3 * regions:
                found.append(here)
                continue
            start = half or float(np.ptp(self.plane.window(None)[:, 0])) / 2
            try:
                corners, expected = window_for(program, self.plane, regions, square(middle, start))
            except PlaneError as refused:  # this checkpoint has so few on the whole plane
                error = refused
                continue
            half = _down(min(float(np.ptp(corners[:, 0])) / 2, half or np.inf))
            found.append(expected.regions)
        if half is None or not found:
            raise error or PlaneError("regions: expected a checkpoint that can be read, got none.")
        return half, f"about {round_of(max(found)):,} regions"

    def _held(self, program: Program, middle: FloatArray, half: float, regions: int) -> float:
        return float(estimate(program, self.plane, square(middle, half), most=regions).regions)

    # ---- where -----------------------------------------------------------------------------------------

    def middle(self, center: Any) -> tuple[FloatArray, str]:
        """The middle of a window, and where it lies in words; see `plot_course`."""
        box = self.plane.window(None).mean(axis=0)
        if isinstance(center, str) and center == "anchors":
            return box, "in the middle of the anchors"
        if isinstance(center, str) and center == "boundary":
            return self._on_boundary(box)
        if isinstance(center, int | np.integer) and not isinstance(center, bool):
            if int(center) not in self.anchors:
                raise DataError(f"center: expected one of the anchors {self.anchors}, got {center}.")
            return self.plane.anchors_uv[self.anchors.index(int(center))], f"round sample {center}"
        try:
            middle = np.asarray(center, dtype=np.float64)
        except (TypeError, ValueError):
            middle = np.zeros(0)
        if middle.shape != (2,) or not np.isfinite(middle).all():
            raise DataError(f"center: expected 'anchors', 'boundary', an anchor's number, or (u, v), got {center!r}.")
        return middle, "where it was asked for"

    def _on_boundary(self, box: FloatArray) -> tuple[FloatArray, str]:
        """A point where the class changes at the last checkpoint: on the anchors' triangle, else on a grid."""
        program, corners = self.programs[0], self.plane.anchors_uv
        if (together := self._where_boundaries_meet(box)) is not None:
            return together

        def classes(uv: FloatArray) -> np.ndarray[Any, np.dtype[np.int64]]:
            return _classes(program, self.plane, uv)

        share = np.linspace(0.0, 1.0, SIDES)[:, None]
        paths = [a + share * (b - a) for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)]
        pair = _nearest_change(paths, classes, box)
        if pair is not None:
            return _bisected(*pair, classes), "on the decision boundary between the anchors at the last step"
        window = self.plane.window(None)
        grid = _grid(window.min(axis=0), window.max(axis=0), GRID)
        pair = _nearest_change([*np.swapaxes(grid, 0, 1), *grid], classes, box)
        if pair is not None:
            return _bisected(*pair, classes), "on the decision boundary near the anchors at the last step"
        return box, "in the middle of the anchors, for no decision boundary was found near them"

    def _where_boundaries_meet(self, box: FloatArray) -> tuple[FloatArray, str] | None:
        """A point of the last boundary near which as many as can be of the checkpoints before have theirs; None: none has.

        Training moves a boundary by much more than a small window, but the curves of several checkpoints come together
        somewhere: cells of a grid that most of them run through are divided again, as long as they stay together.
        """
        programs = self.late
        window, best = self.plane.window(None), None
        cells = [(window.min(axis=0), window.max(axis=0))]
        for level, count in enumerate((GRID, FINER, FINER)):
            found = [_together(programs, self.plane, low, high, count, box) for low, high in cells]
            ranked = sorted((one for several in found for one in several), key=lambda one: -one[0])[:CELLS]
            most = ranked[0][0] if ranked else 0.0
            if level == 2 and best is not None and most < np.floor(best[0]):
                break  # a cell of the level before is about as large as a window
            if most < 2.0:
                return None
            best, cells = ranked[0], [(low, high) for _, low, high in ranked]
        assert best is not None

        def classes(uv: FloatArray) -> np.ndarray[Any, np.dtype[np.int64]]:
            return _classes(programs[0], self.plane, uv)

        _, low, high = best
        corners = np.array([low, (high[0], low[1]), high, (low[0], high[1])])
        labels = classes(corners)
        other = int(np.flatnonzero(labels != labels[0])[0])
        return _bisected(corners[0], corners[other], classes), "on the decision boundary at the last step"

    def _held_at(self, window: FloatArray) -> str:
        """At how many of the last checkpoints a boundary runs through a window, in words: as seen at a grid of points."""
        uv = _grid(window.min(axis=0), window.max(axis=0), GRID).reshape(-1, 2)
        seen = [len(np.unique(_classes(program, self.plane, uv))) > 1 for program in self.late]
        return f"a boundary runs through it at {sum(seen)} of the last {len(seen)} checkpoints" if len(seen) > 1 else ""


def _together(
    programs: Sequence[Program], plane: Plane, low: FloatArray, high: FloatArray, count: int, to: FloatArray
) -> list[tuple[float, FloatArray, FloatArray]]:
    """The cells of a grid through which the boundaries of most networks run, that of the first among them: how many (and a
    share for being near to a point), lower left and upper right corner.
    """
    uv = _grid(low, high, count)
    each = [_changes(_classes(program, plane, uv.reshape(-1, 2)).reshape(count, count)) for program in programs]
    many = np.where(each[0], np.sum(each, axis=0), 0)
    away = np.linalg.norm(0.5 * (uv[1:, 1:] + uv[:-1, :-1]) - to, axis=-1)
    score = many + 0.5 * (1.0 - away / (1e-300 + away.max()))
    chosen = np.argsort(-score, axis=None)[:CELLS]
    places = [np.unravel_index(index, score.shape) for index in chosen]
    return [(float(score[i, j]), uv[i, j], uv[i + 1, j + 1]) for i, j in places if many[i, j] > 0]


def _grid(low: FloatArray, high: FloatArray, count: int) -> FloatArray:
    """(count, count, 2) points of a grid from one corner of a rectangle to the other."""
    axes = np.linspace(low, high, count)
    return np.stack(np.meshgrid(axes[:, 0], axes[:, 1], indexing="ij"), axis=-1)


def _changes(labels: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(n - 1, m - 1) the cells of a grid (n, m) whose corners have several classes."""
    corners = np.stack([labels[:-1, :-1], labels[1:, :-1], labels[:-1, 1:], labels[1:, 1:]])
    several: np.ndarray[Any, np.dtype[np.bool_]] = corners.min(axis=0) != corners.max(axis=0)
    return several


def _program(run: Run, checkpoint: Checkpoint) -> Program | None:
    """A checkpoint's network; None where it cannot be read, which is said, and by whom it concerns, when it is measured."""
    try:
        return run.program(checkpoint)
    except (ValueError, OSError):
        return None


@torch.no_grad()
def _classes(program: Program, plane: Plane, uv: FloatArray) -> np.ndarray[Any, np.dtype[np.int64]]:
    outputs = program(torch.from_numpy(plane.embed(uv)).to(program.device))
    return robustness.classes(outputs.reshape(len(uv), -1)).cpu().numpy()


def _nearest_change(paths: Sequence[FloatArray], classes: Classes, to: FloatArray) -> tuple[FloatArray, FloatArray] | None:
    """The two neighbours on one of the paths (n, 2) whose classes differ and that lie nearest to a point."""
    best, pair = np.inf, None
    for path, found in zip(paths, np.split(classes(np.concatenate(paths)), len(paths)), strict=True):
        for i in np.flatnonzero(found[1:] != found[:-1]):
            away = float(np.linalg.norm(0.5 * (path[i] + path[i + 1]) - to))
            if away < best:
                best, pair = away, (path[i], path[i + 1])
    return pair


def _bisected(start: FloatArray, stop: FloatArray, classes: Classes) -> FloatArray:
    """A point between two of different classes where the class changes."""
    here = classes(start[None])[0]
    for _ in range(40):
        middle = 0.5 * (start + stop)
        start, stop = (middle, stop) if classes(middle[None])[0] == here else (start, middle)
    return 0.5 * (start + stop)


def _down(value: float) -> float:
    """A number to three digits, not above it."""
    digits = 10.0 ** (np.floor(np.log10(value)) - 2)
    return float(f"{np.floor(value / digits + 1e-9) * digits:.3g}")
