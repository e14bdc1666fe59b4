"""Seeds: tables of the same training from several seeds as one, with a band of what they differ by.

    step 0    1    2 ...          mean over the seeds at every step that all have
    seed 0  -----------           <column>_band: the standard deviation over the seeds, in the place of any other band

Numbers that a seed lacks (NaN) are left out of both. Knows rows of numbers alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from splineviz.drawing.curves import Row
from splineviz.errors import DataError

Table = list[dict[str, float]]


def merged(tables: Sequence[Sequence[Row]]) -> Table:
    """One table from one a seed: means, and the standard deviations over seeds as bands; a single table as it is.

    Raises DataError when there is none, or no step that all have.
    """
    if not tables:
        raise DataError("tables: expected one a seed, got none.")
    if len(tables) == 1:
        return [dict(row) for row in tables[0]]
    by_step = [{float(row["step"]): row for row in table} for table in tables]
    steps = sorted(set.intersection(*(set(rows) for rows in by_step)))
    if not steps:
        raise DataError("tables: expected steps that all seeds have, got none.")
    found = []
    for step in steps:
        rows = [rows[step] for rows in by_step]
        names = dict.fromkeys(name for row in rows for name in row if name != "step" and not name.endswith("_band"))
        out = {"step": step}
        for name in names:
            values = np.array([float(row.get(name, math.nan)) for row in rows])
            values = values[np.isfinite(values)]
            out[name] = float(values.mean()) if len(values) else math.nan
            out[f"{name}_band"] = float(values.std(ddof=1)) if len(values) > 1 else math.nan
        found.append(out)
    return found
