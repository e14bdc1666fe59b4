"""What columns are about: every one is described in the docs, with the unit that the tidy table says."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

import pytest

from splineviz.errors import DataError
from splineviz.metrics import columns
from splineviz.metrics.columns import Meaning, meaning, tidy

PAGE = Path(__file__).parents[2] / "docs" / "measures.md"


def test_the_docs_have_the_table() -> None:
    """SPLINEVIZ_REFRESH=1 writes it there."""
    text = PAGE.read_text()
    found = re.search(r"^\| column \| set .*?\n(?!\|)", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    if os.environ.get("SPLINEVIZ_REFRESH"):
        PAGE.write_text(text.replace(found[0], columns.as_markdown()))
    assert found[0] == columns.as_markdown(), "a column has changed: refresh with SPLINEVIZ_REFRESH=1"


@pytest.mark.parametrize("column", columns.TABLE[1:], ids=columns.COLUMNS[1:])
def test_a_column_says_what_it_is(column: columns.Column) -> None:
    assert meaning(column.name) == Meaning(column.set, column.measure, column.unit)
    assert len(column.definition) >= 10 and column.source and not (column.compute and column.made)


def test_no_two_columns_are_the_same_number() -> None:
    found = [(m.set, m.measure) for m in map(meaning, columns.COLUMNS[1:])]
    assert len(set(found)) == len(found)


def test_other_columns() -> None:
    assert meaning("robust_0.03") == Meaning("test", "robust_0.03", "")
    assert meaning("loss") == Meaning("run", "loss", "")


def test_a_tidy_row_for_every_number(tmp_path: Path) -> None:
    path = tmp_path / "sweep.csv"
    path.write_text(
        "run,anchors,window,step,regions,lc_train,knot_density_anchors\n" + "a,0 1 2,,10,5,1.5,nan\nb,3 4 5,,20,6,2.5,0.25\n"
    )
    found = tidy(path)
    assert len(found) == 5
    assert found[0] == {
        "step": 10, "run": "a", "anchors": "0 1 2", "window": "", "set": "window", "measure": "regions", "value": 5.0,
        "unit": "regions",
    }  # fmt: skip
    assert [(row["set"], row["measure"], row["value"]) for row in found[2:]] == [
        ("window", "regions", 6.0), ("train", "lc", 2.5), ("anchors", "knot_density", 0.25),
    ]  # fmt: skip
    assert tidy([{"step": 3, "loss": 0.5, "near": math.nan}]) == [
        {"step": 3, "set": "run", "measure": "loss", "value": 0.5, "unit": ""}
    ]
    with pytest.raises(DataError, match="expected a column step, got a, b"):
        tidy([{"a": 1, "b": 2}])


def test_pandas_reads_it() -> None:
    pandas = pytest.importorskip("pandas")
    rows = [{"step": step, "lc_train": 0.1 * step, "lc_test": 0.2 * step, "regions": step} for step in (1, 2)]
    frame = pandas.DataFrame(tidy(rows))
    wide = frame[frame.measure == "lc"].pivot(index="step", columns="set", values="value")
    assert wide.loc[2].to_dict() == pytest.approx({"train": 0.2, "test": 0.4})
