"""Turns: every unit cuts once, the first few early."""

import numpy as np
import pytest

from splineviz._kernels.bits import packed, units_of
from splineviz.regions.cuts import FIRST, Turns


@pytest.mark.parametrize("crossing", [0, 2 * FIRST, 2 * FIRST + 1, 1000, 5000])
def test_every_unit_has_one_turn(crossing: int) -> None:
    words, chosen = 100, np.sort(np.random.default_rng(0).choice(6000, crossing, replace=False))
    turns = Turns.among(packed(chosen, words))
    assert (len(turns.masks) > 0) == (crossing > 2 * FIRST)
    masks = [turns.mask(0, turn, words) for turn in range(max(1, len(turns.masks)))]
    assert sorted(np.concatenate([units_of(mask) for mask in masks]).tolist()) == list(range(64 * words))
    assert [turns.is_last(0, turn) for turn in range(len(masks))] == [False] * (len(masks) - 1) + [True]
    assert turns.is_last(1, 0) and (turns.mask(1, 0, words) == ~np.uint64(0)).all()
    rank = turns.rank(6000, 7000)
    assert len(np.unique(rank)) == 7000 and (rank[6000:] == np.arange(6000, 7000)).all()
    if turns.masks:
        early = units_of(turns.masks[0])
        assert FIRST / 2 < len(early) <= 2 * FIRST and np.isin(early, chosen).all()
        assert rank[early].max() < np.delete(rank, early).min()
