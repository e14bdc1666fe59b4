"""Cuts: every unit has one turn, and both sides of a seam are cut alike."""

import numpy as np
import pytest

from splineviz._kernels.bits import Scales, packed, units_of
from splineviz.regions.blocks import Block
from splineviz.regions.cuts import FIRST, SeamValues, Turns


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


# ---- seams

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
TOLERANCE = 2.0**-46
ONES = np.ones(3)


def block(values, seams=(0,), layer=0, corners=CORNERS):
    """A square whose edges `seams` lie on seams, with values (4, 3)."""
    made = Block.of_window(corners.copy())
    made.layer, made.values, made.row_scale = layer, np.array(values, float), np.ones(4)
    made.key[list(seams)] = 7
    return made


def agree(book, *blocks):
    for one in blocks:
        book.agree(one, Scales(one.row_scale, ONES, 0 * ONES, TOLERANCE))
    return [one.values for one in blocks]


VALUES = [[1.0, -1.0, 5.0], [-1.0, 2.0, 5.0], [3.0, 3.0, 5.0], [4.0, -4.0, 5.0]]


def test_what_decides_the_cuts_of_a_seam_is_taken_over_to_the_bit_and_nothing_else():
    other = np.array(VALUES) * (1 + 2.0**-50)
    book = SeamValues()
    first, second = agree(book, block(VALUES), block(other))
    assert (first == VALUES).all()
    assert (second[:2, :2] == first[:2, :2]).all()  # units 0 and 1 change sign along the seam
    assert (second[2:] == other[2:]).all() and (second[:, 2] == other[:, 2]).all()
    assert book.otherwise == 0


@pytest.mark.parametrize("theirs", [0.5, 1.5, -1.5, -0.5], ids="{} of the tolerance".format)
@pytest.mark.parametrize("ours", [0.5, 1.5, -1.5], ids="{} of the tolerance".format)
def test_a_sign_that_the_second_block_reads_otherwise_is_the_first_ones_and_counted(ours, theirs):
    values, other = np.array(VALUES), np.array(VALUES)
    values[1, 2], other[1, 2] = ours * TOLERANCE, theirs * TOLERANCE
    book = SeamValues()
    first, second = agree(book, block(values), block(other))
    assert second[1, 2] == first[1, 2] == ours * TOLERANCE

    def sign(x):
        return np.sign(x) if abs(x) > 1 else 0

    assert book.otherwise == (sign(ours) != sign(theirs))


def test_three_blocks_at_one_vertex_agree_though_two_of_them_share_no_edge():
    values = np.array(VALUES)
    values[0, 2] = 1.5 * TOLERANCE
    across = block(np.array(VALUES), corners=-CORNERS)  # it shares the vertex at 0 alone, as -0.0
    across.values[0, 2] = 0.5 * TOLERANCE
    _, taken = agree(SeamValues(), block(values), across)
    assert taken[0, 2] == 1.5 * TOLERANCE


def test_layers_and_places_are_kept_apart():
    elsewhere = block(-np.array(VALUES), corners=CORNERS + 1e-12)
    later = block(2 * np.array(VALUES), layer=1)
    _, moved, doubled = agree(SeamValues(), block(VALUES), elsewhere, later)
    assert (moved == -np.array(VALUES)).all() and (doubled == 2 * np.array(VALUES)).all()


def test_rows_are_measured_alike():
    first, second = block(VALUES), block(VALUES)
    second.row_scale *= 1 + 2.0**-50
    agree(SeamValues(), first, second)
    assert (second.row_scale[:2] == first.row_scale[:2]).all() and (second.row_scale[2:] != first.row_scale[2:]).all()


def test_blocks_without_seams_are_left_alone():
    other = np.array(VALUES) * (1 + 2.0**-50)
    _, second = agree(SeamValues(), block(VALUES), block(other, seams=()))
    assert (second == other).all()


def test_many_values_are_kept():
    rng, book = np.random.default_rng(0), SeamValues()
    blocks = [block(rng.standard_normal((4, 3)), corners=CORNERS + 2.0 * i, seams=(0, 1, 2, 3)) for i in range(500)]
    kept = [one.values.copy() for one in blocks]
    agree(book, *blocks)
    again = [block(value + 2.0**-50, corners=CORNERS + 2.0 * i, seams=(0, 1, 2, 3)) for i, value in enumerate(kept)]
    agree(book, *again)
    for one, other in zip(blocks, again, strict=True):
        changing = (np.sign(one.values) != np.sign(np.roll(one.values, -1, axis=0))) | (
            np.sign(one.values) != np.sign(np.roll(one.values, 1, axis=0))
        )
        assert (one.values[changing] == other.values[changing]).all()
