"""Looks: how the pictures of a film look, in one object with a digest of its own.
Here too: the digest of the package's own code.

    flags, keywords ──> Look ──> painters, which hand `regions` on to `draw.regions`
                         └────> digest ──> is a picture that lies on disk up to date?

Equal looks have equal digests, in whatever process: a colour map counts by its colours, a colour by its numbers, samples by
their entries. The code of the whole package is part of it, so that no frame of an older version stays in a film.
An option of `draw.regions` that is a field here reaches every picture. This file draws nothing.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import Colormap, to_rgba_array

from splineviz import choices
from splineviz.drawing import draw, fills
from splineviz.drawing.canvas import frame_size, left_out
from splineviz.drawing.curves import Story, training
from splineviz.errors import DataError
from splineviz.geometry.partition import Partition
from splineviz.storage import files
from splineviz.threads import available, each

SET_BY_FILMS = ("thumbnails", "radius", "num_vectors", "wide", "classes", "unit")
"""What films find out by themselves."""


@dataclass(frozen=True, eq=False)
class Look:
    """How pictures look; keywords of `animate`, `compare`, `tour` and the painters.

    size: of a frame, (width, height) in pixels. fill: one of `choices.FILLS`, or as `draw.regions` takes it. cmap, limits,
    edge_color, line_width: as there. panels: of curves, one to four of `choices.PANELS`, in their order; one without values
    is left out. thumbnails, labels: of the anchors, as `draw.anchors` takes them. fill_label: the name of the colour bar.
    radius, num_vectors, wide: of the local complexity, for its axis; wide: the second radius.
    classes: their names, for the colour bar. unit: what steps count, of choices.UNITS.
    Raises DataError for a size, a fill, a palette or panels that there are not.
    """

    size: tuple[int, int] = (1920, 1080)
    fill: Any = "slope"
    cmap: Any = None
    limits: tuple[float, float] | None = None
    edge_color: Any = "black"
    line_width: float = draw.LINE_WIDTH
    panels: Sequence[str] = choices.FILM_PANELS
    thumbnails: Sequence[Any] = ()
    labels: Sequence[str] = ()
    fill_label: str | None = None
    radius: float | None = None
    num_vectors: int | None = None
    wide: float | None = None
    classes: Sequence[str] = ()
    unit: str = "step"

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", frame_size(self.size))
        if isinstance(self.fill, str) and self.fill not in choices.FILLS:
            raise DataError(f"fill: expected one of {', '.join(choices.FILLS)}, got {self.fill!r}.")
        training(self.panels)
        fills.palette(self.cmap)

    @classmethod
    def of(cls, options: Mapping[str, Any], *, without: Sequence[str] = (), **defaults: Any) -> Look:
        """From keywords. defaults: where they differ from a film's. Raises DataError on one that is not known."""
        known = [field.name for field in fields(cls) if field.name not in without]
        if unknown := sorted(options.keys() - set(known)):
            raise DataError(f"look: expected some of {', '.join(known)}, got {', '.join(unknown)}.")
        return cls(**{**defaults, **options})

    @property
    def story(self) -> Story:
        """The panels, beside the checkpoints of a training."""
        return training(self.panels, self.unit)

    @property
    def stars(self) -> dict[str, Any]:
        """What `draw.anchors` takes of it."""
        return {"thumbnails": self.thumbnails, "labels": self.labels}

    @property
    def regions(self) -> dict[str, Any]:
        """What `draw.regions` takes of it."""
        return {name: getattr(self, name) for name in _of_regions()}

    def with_limits(self, partitions: Iterable[Partition]) -> Look:
        """The same, with one colour scale for all these partitions where the fill has one and none was asked for."""
        if not self._wants_limits:
            return self
        return replace(self, limits=fills.shared_limits(partitions, fill=self.fill))

    def with_limits_of(self, paths: Sequence[Path]) -> Look:
        """The same of partitions in files, read by two threads: each is in memory while it is looked at."""
        if not self._wants_limits:
            return self
        found = each(lambda path: fills.sampled(Partition.load(path), self.fill), paths, min(available(), 2))
        return replace(self, limits=fills.limits_of(found))

    @property
    def _wants_limits(self) -> bool:
        return self.limits is None and isinstance(self.fill, str) and self.fill in fills.SCALED

    @property
    def has_knots(self) -> bool:
        """Whether knots are drawn."""
        return not (isinstance(self.edge_color, str) and self.edge_color == "none")

    def seen(self, partition: Partition) -> dict[str, Any]:
        """What pictures of a window hold beside the fills, as captions say it: knots, how many of the anchors, and where the
        window lies if it has none of them.
        """
        low, high = partition.window.min(axis=0), partition.window.max(axis=0)
        anchors = partition.plane.anchors_uv.reshape(-1, 2)
        inside, place = len(anchors) - len(left_out(partition)), ""
        if len(anchors) and not inside:
            away = float(np.linalg.norm(anchors - 0.5 * (low + high), axis=1).min())
            place = f"The window is {float((high - low).max()):.3g} wide and lies {away:.3g} from the nearest sample."
        return {"knots": self.has_knots, "anchors": inside, "place": place}

    @property
    def said(self) -> dict[str, Any]:
        """What a manifest says of it: enough to ask for the same again."""
        plain = {name: getattr(self, name) for name in ("size", "fill", "panels", "limits", "cmap", "edge_color")}
        told = {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}
        return {name: value if value is None or isinstance(value, str | list) else repr(type(value).__name__)
                for name, value in told.items()} | {"look": self.digest}  # fmt: skip

    @property
    def digest(self) -> str:
        """Digest of all that it says, and of the code that acts on it."""
        return files.digest(code(), *(part for field in fields(self) for part in _content(self, field.name)))


@functools.cache
def _of_regions() -> tuple[str, ...]:
    taken = inspect.signature(draw.regions).parameters
    return tuple(field.name for field in fields(Look) if field.name in taken)


def _content(look: Look, name: str) -> tuple[Any, ...]:
    """A field as data that is equal for equal looks."""
    value = getattr(look, name)
    if name == "cmap":
        return (name, value is None, *_colors_of(fills.palette(value)))
    if name == "edge_color" and not (isinstance(value, str) and value == "layer"):
        return (name, to_rgba_array(value))
    if name == "thumbnails":
        return (name, *(None if x is None else np.asarray(x) for x in value))
    return (name, value if isinstance(value, np.ndarray) else list(value) if isinstance(value, tuple) else value)


def _colors_of(cmap: Colormap) -> tuple[Any, ...]:
    ends = (cmap.get_under(), cmap.get_over(), cmap.get_bad())
    return np.asarray(cmap(np.arange(cmap.N))), *(np.asarray(end, dtype=float) for end in ends)


@functools.cache
def code() -> str:
    """Digest of the package's own code and of matplotlib's version: a picture by others is not up to date."""
    package = Path(__file__).parents[1]
    return files.digest(matplotlib.__version__, *(path.read_bytes() for path in sorted(package.rglob("*.py"))))
