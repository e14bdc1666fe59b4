"""Every kind of fault once or twice; `python tests/faults/harness.py --times 50`, as in `make soak`, is the long version."""

from __future__ import annotations

import random

import pytest

pytest.importorskip("psutil", reason="the harness looks for orphans with psutil, of the extra `cluster`")

import harness


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> harness.Case:
    return harness.make_case(tmp_path_factory.mktemp("faults"), checkpoints=2)


QUICK = (*(kind for kind in harness.KINDS if kind != "asked_to_end"), "killed-train", "full-animate")
"""Of the kinds of two processes, which take longer, two; signals have quick tests elsewhere. `pytest -m slow` tries each."""


@pytest.mark.parametrize("kind", [
    pytest.param(kind, marks=() if kind in QUICK else pytest.mark.slow) for kind in harness.all_kinds()
])  # fmt: skip
def test_nothing_is_lost(case: harness.Case, kind: str) -> None:
    try:
        run = case.runs[0]
        tally = harness.attempt(kind, lambda: case, run, run.parent / kind, 1, random.Random(1))
    except PermissionError as error:
        pytest.skip(str(error))
    assert tally.lost == 0
