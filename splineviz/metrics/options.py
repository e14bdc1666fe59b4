"""How the local complexity is sampled: the settings that workflows, jobs and commands hand on, in one object.
Here too: what was measured at each place, as columns of a row.

Whoever measures with them calls `LCOptions.measured`, so no setting is lost on the way: all fields but `points` and `wide`
are arguments of `complexity.local_complexities_at`. This file measures nothing itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from splineviz import choices

if TYPE_CHECKING:
    from splineviz.metrics.complexity import LocalComplexity

PLACES = choices.PLACES
"""Where the local complexity is sampled."""


@dataclass(frozen=True)
class LCOptions:
    """How the local complexity is sampled (arXiv 2402.15555, section 3 and appendix).

    Args:
        radius: of a neighbourhood, in input-space length.
        num_vectors: directions of a neighbourhood; never more than the input has dimensions.
        points: maximum number of training, test and random points, one number or three, the same for all checkpoints.
        seed: chooses points and directions.
        include_output: as in `local_complexity`.
        shared_frame: as in `local_complexity`.
        wide: a second radius, whose curves stand beside the first's in films; None, or the radius itself: none.
    """

    radius: float = 0.005
    num_vectors: int = 25
    points: int | tuple[int, int, int] = 1000
    seed: int = 0
    include_output: bool = False
    shared_frame: bool = False
    wide: float | None = 0.05

    def most(self, place: str) -> int:
        """Maximum number of points at one of PLACES."""
        return self.points if isinstance(self.points, int) else int(self.points[PLACES.index(place)])

    def settings(self, input_shape: Sequence[int]) -> dict[str, Any]:
        """What pictures say of it: both radii, and number of directions, of which an input has no more than dimensions."""
        found = {"radius": self.radius, "num_vectors": min(self.num_vectors, math.prod(input_shape))}
        return found if self.beside is None else found | {"wide": self.wide}

    @property
    def beside(self) -> LCOptions | None:
        """The same settings at the second radius; None where there is none."""
        if self.wide is None or self.wide == self.radius:
            return None
        return replace(self, radius=self.wide, wide=None)

    def chosen(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """The points by place, from arrays that are named lc_train, lc_test and lc_random."""
        return {place: arrays[f"lc_{place}"] for place in PLACES if f"lc_{place}" in arrays}

    def measured(
        self, network: Any, points: Mapping[str, Any], *, threads: int | None = None, **where: Any
    ) -> dict[str, LocalComplexity]:
        """The local complexity at points by place, with all of these settings. Raises as `local_complexities` does.

        where: device and dtype, as in `complexity.Sampling`.
        """
        return self._measured(network, points, (self.radius,), threads=threads, **where)[0]

    def measured_beside(
        self, network: Any, points: Mapping[str, Any], *, threads: int | None = None, **where: Any
    ) -> tuple[dict[str, LocalComplexity], dict[str, LocalComplexity]]:
        """`measured`, and the same at the second radius, for little more; nothing where there is none."""
        radii = [self.radius] if self.beside is None else [self.radius, self.beside.radius]
        found = self._measured(network, points, radii, threads=threads, **where)
        return found[0], (found[1] if len(found) > 1 else {})

    def _measured(
        self, network: Any, points: Mapping[str, Any], radii: Sequence[float], **where: Any
    ) -> list[dict[str, LocalComplexity]]:
        # It knows torch, which those who only hold settings do not need.
        from splineviz.metrics.complexity import local_complexities_at

        apart = ("radius", "points", "wide")
        asked = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in apart}
        return local_complexities_at(network, points, radii=radii, **asked, **where)


USUAL = LCOptions()
"""What is taken where nobody asks for anything; films that would take long sample fewer points than this (`preflight`)."""


def columns_of(found: Mapping[str, LocalComplexity], *, live: bool = False, name: str = "lc") -> dict[str, float]:
    """What was measured by place as columns of a row: lc_train, lc_train_band, ... and with `live` lc_train_live.

    name: what the columns' names begin with.
    """
    row: dict[str, float] = {}
    for place, one in found.items():
        row |= {f"{name}_{place}": float(one.mean), f"{name}_{place}_band": float(one.band)}
        if live:
            row[f"{name}_{place}_live"] = float(np.mean(one.live_total))
    return row
