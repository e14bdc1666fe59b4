"""The table of networks spells every operation that tracing knows, in every way, at least once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from networks import TABLE as PLAIN
from networks import build
from pools import TABLE as POOLS

from splineviz.tracing import activations, maxima
from splineviz.tracing.affine import AFFINE, JOINS, UNFOLDED
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


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_batch_is_convolved_a_cache_full_at_a_time_to_the_same_bits(dims: int, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"conv{dims}d"
    whole, rows = getattr(F, name), []
    side = {1: 4096, 2: 48, 3: 12}[dims]
    x = torch.randn(40, 4, *[side] * dims, dtype=torch.float64)
    p = {"weight": torch.randn(6, 2, *[3] * dims, dtype=torch.float64), "bias": torch.randn(6, dtype=torch.float64)}
    a = {"dims": dims, "padding_mode": "zeros", "padding": 1, "stride": 2, "dilation": 1, "groups": 2}

    def seen(part: torch.Tensor, *rest: Any) -> torch.Tensor:
        rows.append(part.nbytes * 3**dims)
        return whole(part, *rest)

    monkeypatch.setattr(F, name, seen)
    found = AFFINE["conv"](x, p, a, False)
    assert max(rows) <= UNFOLDED < x.nbytes * 3**dims
    assert torch.equal(found, whole(x, p["weight"], p["bias"], 2, 1, 1, 2))
    assert AFFINE["conv"](x[:0], p, a, False).shape == (0, *found.shape[1:]), "no rows are no trouble"
