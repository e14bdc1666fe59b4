"""Ledgers: kept, read again, whole or empty."""

from __future__ import annotations

import math
from pathlib import Path

from splineviz.storage.cache import Ledger


def test_two_that_share_a_file_keep_each_others_numbers(tmp_path: Path) -> None:
    one, two = Ledger(tmp_path / "kept.json"), Ledger(tmp_path / "kept.json")
    one.numbers("a", lambda: {"x": 1.0})
    two.numbers("b", lambda: {"x": 2.0})
    assert Ledger(tmp_path / "kept.json").numbers("a", dict) == {"x": 1.0}


def test_a_number_is_computed_once(tmp_path: Path) -> None:
    calls = []

    def compute() -> dict[str, float]:
        calls.append(1)
        return {"a": 0.1 + 0.2, "b": math.nan}

    first = Ledger(tmp_path / "new" / "kept.json").numbers("key", compute)
    again = Ledger(tmp_path / "new" / "kept.json").numbers("key", compute)
    assert len(calls) == 1 and again["a"] == first["a"] == 0.1 + 0.2 and math.isnan(again["b"])
    Ledger(tmp_path / "new" / "kept.json").numbers("other", compute)
    assert len(calls) == 2


def test_a_torn_file_is_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    for content in ('{"key": {"a": 0.', "[1, 2]", '{"key": 3}'):
        path.write_text(content)
        assert Ledger(path).numbers("key", lambda: {"a": 2.0}) == {"a": 2.0}
        assert Ledger(path).numbers("key", dict) == {"a": 2.0}
