"""The table of networks spells every operation that tracing knows, in every way, at least once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from networks import TABLE as PLAIN
from networks import build
from pools import TABLE as POOLS

from splineviz.tracing import activations, maxima
from splineviz.tracing.affine import AFFINE, JOINS
from splineviz.tracing.call import SAME
from splineviz.tracing.functions import CALLS
from splineviz.tracing.kinks import KINKS
from splineviz.tracing.maxima import MAXES
from splineviz.tracing.modules import ACTIVATIONS, MODULES
from splineviz.tracing.smooth import SMOOTH
from splineviz.tracing.tape import Tape
from splineviz.tracing.trace import trace

TABLE = {**PLAIN, **POOLS}
PAIRS_ALONE: frozenset[str] = frozenset()
"""Maxima that no network of the table takes over more than two entries."""
OF_TOURNAMENTS = {"take"}
"""What tracing does not write, but maxima are played out with; every case of POOLS runs it."""


@pytest.fixture(scope="module")
def spelled() -> Iterator[dict[str, set[Any]]]:
    """What tracing the whole table uses: calls and modules by name, operations of steps, and maxima of more than two."""
    used: dict[str, set[Any]] = defaultdict(set)

    def noting(kind: str, name: Any, function: Any) -> Any:
        def noted(*args: Any, **kwargs: Any) -> Any:
            used[kind].add(name)
            return function(*args, **kwargs)

        return noted

    def writing(function: Any) -> Any:
        def noted(tape: Tape, op: str, *args: Any, **kwargs: Any) -> Any:
            used["operations"].add(op)
            return function(tape, op, *args, **kwargs)

        return noted

    def largest(call: Any, op: str, x: Any, attrs: Any) -> Any:
        used["operations"].add(op)
        if maxima.groups(op, attrs, x.value.shape[1:]).shape[1] > 2:
            used["larger"].add(op)
        return real_largest(call, op, x, attrs)

    with pytest.MonkeyPatch.context() as patch:
        for kind, table in (("calls", CALLS), ("modules", MODULES)):
            for name, function in list(table.items()):  # type: ignore[attr-defined]
                patch.setitem(table, name, noting(kind, name, function))  # type: ignore[arg-type]
        for name in ("emit", "kink"):
            patch.setattr(Tape, name, writing(getattr(Tape, name)))
        real_largest = activations.largest
        patch.setattr(activations, "largest", largest)
        for name in TABLE:
            network, shape = build(name, table=TABLE)
            trace(network, shape)
        yield used


def test_every_operation_of_a_program_is_in_the_table(spelled: dict[str, set[Any]]) -> None:
    assert {*AFFINE, *JOINS, *KINKS, *MAXES} - spelled["operations"] == OF_TOURNAMENTS


def test_every_call_and_module_is_in_the_table(spelled: dict[str, set[Any]]) -> None:
    others = {*SMOOTH, *SAME, "where", "masked_fill", "lerp"}
    assert CALLS.keys() - spelled["calls"] == others, "these have tables of their own, in test_swaps and tests/corpus"
    assert MODULES.keys() - spelled["modules"] == ACTIVATIONS.keys()


def test_maxima_of_more_than_two_are_in_the_table(spelled: dict[str, set[Any]]) -> None:
    assert MAXES.keys() - spelled["larger"] == PAIRS_ALONE
