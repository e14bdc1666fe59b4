"""Report: what the enumerator met on its way to a partition, and how far it is to be trusted. Goes into its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Report:
    """What the enumerator met on its way; every number is a count unless it says otherwise.

    near_zero: values within the tolerance of a knot at a vertex that is not on it by construction; they
    were read as 0, so a region thinner than the tolerance may have been merged there.
    irregular_faces: faces too thin for double precision, whose signs no single line makes; each was cut along
    the chord that contradicts its values least.
    tolerance: relative to a unit's scale; seconds: wall time of the enumeration, 0 in a partition that was read from a file.
    seam_readings: values at seams between blocks that two blocks, rounding differently, would have read with different
    signs; the first block's was taken by both. Not 0 says that the machine's arithmetic depends on the batch.
    restarts: times that the slice was enumerated anew, without exact decisions, as those cost too much and ended on the way.
    contradicted: of 48 random points, those that the network reads otherwise than the regions they are in: the partition is
    wrong there, as something could not be decided.
    """

    near_zero: int = 0
    irregular_faces: int = 0
    tolerance: float = 0.0
    seconds: float = field(default=0.0, compare=False)
    seam_readings: int = 0
    restarts: int = 0
    contradicted: int = 0

    def lasting(self) -> dict[str, Any]:
        """What belongs into a file: all but the wall time, so that the same slice is the same file."""
        return asdict(self) | {"seconds": 0.0}

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Report:
        """The report that `lasting` wrote. Raises KeyError, TypeError or ValueError where it is none."""
        return cls(
            near_zero=int(data["near_zero"]),
            irregular_faces=int(data["irregular_faces"]),
            tolerance=float(data["tolerance"]),
            seconds=float(data["seconds"]),
            seam_readings=int(data.get("seam_readings", 0)),
            restarts=int(data.get("restarts", 0)),
            contradicted=int(data.get("contradicted", 0)),
        )
