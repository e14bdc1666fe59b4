"""Blocks: taken apart anywhere and sewn together, the complex is the same to the bit."""

import numpy as np
import pytest
from networks import relu_network

from splineviz._kernels import edges
from splineviz.errors import PartitionError
from splineviz.geometry.invariants import ARRAYS
from splineviz.geometry.plane import Plane
from splineviz.regions import blocks, enumerate
from splineviz.regions.enumerate import partition

PLANE = Plane(np.zeros(2), np.eye(2))


def same(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ARRAYS)


@pytest.mark.parametrize("widths", [(2, 30, 30, 30, 2), (2, 150, 20, 3)])
def test_any_taking_apart_gives_the_same_complex(widths, monkeypatch):
    # The second network crosses the window with more units than one turn takes.
    monkeypatch.setattr(enumerate, "SMALLEST_SHARE", 1)
    model = relu_network(3, *widths)
    whole = partition(model, PLANE, window=1.5, threads=1, block_bytes=1 << 40)
    torn = []
    joined = blocks.sew

    def sew(parts, **options):
        torn.append(len(parts))
        return joined(parts, **options)

    monkeypatch.setattr(enumerate, "sew", sew)
    for size, threads in ((1 << 10, 1), (1 << 13, 1), (1 << 16, 2), (1 << 12, 3)):
        assert same(whole, partition(model, PLANE, window=1.5, threads=threads, block_bytes=size))
    assert min(torn) > 1 and max(torn) > 50 and len(torn) == 4  # taken apart indeed, and never sewn a second time


def test_keys_of_sub_edges_do_not_meet():
    # Once the key of seam e's sub-edge o was that of seam o's sub-edge e, if serial and layer agreed.
    keys = []
    for seam in range(40):
        key = np.array([np.uint64(seam * 7919 + 1)], np.uint64)
        cuts = 40
        edge, tag = np.array([[0, 1]], np.int32), np.zeros(1, np.int32)
        t = np.arange(1, cuts + 1) / (cuts + 1)
        for layer in range(3):
            number, ends = np.arange(cuts, dtype=np.int32), np.array([0, cuts])
            found = edges.EdgeCuts(ends, number, t, np.ones(cuts), number, ends, np.zeros(cuts))
            split = edges.split_edges(
                np.array([[0.0, 0.0], [1.0, 0.0]]), np.zeros(2), edge, np.zeros(1), tag, key, layer, found, 0.0, 0, 0
            )
            keys.append(split.key)
    keys = np.concatenate(keys)
    assert len(np.unique(keys)) == len(keys) == 40 * 3 * 41


def test_a_seam_without_its_twin_is_named():
    block = blocks.Block.of_window(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]))
    block.values = np.zeros((3, 1))
    block.key[1] = np.uint64(77)
    other = blocks.Block.of_window(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]))
    other.values = np.zeros((3, 1))
    with pytest.raises(PartitionError, match="edge 1 has no twin"):
        blocks.sew([block, other])


def test_compact_parts_hold_every_face_once_and_have_short_seams():
    rng = np.random.default_rng(0)
    middles, sizes = rng.uniform(size=(4096, 2)), np.full(4096, 4)
    order, bounds = blocks._close_together(middles, sizes, 16)
    assert np.array_equal(np.sort(order), np.arange(4096)) and np.abs(np.diff(bounds) - 256).max() <= 2
    parts = [middles[order[a:b]] for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
    assert max(np.ptp(part, axis=0).max() for part in parts) < 0.3  # squares of a quarter, and not strips


@pytest.mark.parametrize("count, parts", [(1, 4), (3, 8), (5, 5)])
def test_few_faces_make_no_empty_parts(count, parts):
    order, bounds = blocks._close_together(np.zeros((count, 2)), np.ones(count, np.int64), parts)
    assert np.array_equal(np.sort(order), np.arange(count)) and (np.diff(bounds) > 0).all()
