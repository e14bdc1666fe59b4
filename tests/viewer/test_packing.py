"""Packing: what a browser decodes is the partition."""

import json
import zlib
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import splineviz as sv
from splineviz.geometry.partition import Partition
from splineviz.viewer import packing


def sliced(outputs: int = 3, window: Any = 2.0) -> Partition:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(2, 14), nn.ReLU(), nn.Linear(14, 14), nn.ReLU(), nn.Linear(14, outputs))
    return sv.partition(model, sv.Plane.through([0.0, 0.0], [1.0, 0.2], [0.3, 1.0]), window=window)


def unpacked(content: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    raw = zlib.decompress(content)
    size = int.from_bytes(raw[:4], "little")
    head, at, columns = json.loads(raw[4 : 4 + size]), 4 + size, {}
    for name, count, width in head["columns"]:
        planes = np.frombuffer(raw, np.uint8, count * width, at).reshape(width, count).astype(np.uint64)
        columns[name] = (planes << (8 * np.arange(width, dtype=np.uint64))[:, None]).sum(axis=0)
        at += count * width
    assert at == len(raw)
    return head, columns


def unfolded(values: np.ndarray) -> np.ndarray:
    """0, 1, 2, 3 ... as 0, -1, 1, -2 ..."""
    return np.where(values % 2 == 1, -(values.astype(np.int64) + 1) // 2, values.astype(np.int64) // 2)


@pytest.mark.parametrize("outputs", [1, 3, 20])
def test_decoded_numbers_are_those_of_the_partition(outputs: int) -> None:
    partition = sliced(outputs)
    parts = partition.classes()
    head, columns = unpacked(packing.pack(partition))
    places = (columns["vertices"].astype(float) / 2.0**47 - 1).reshape(2, -1).T * head["half"] + head["middle"]
    np.testing.assert_allclose(places, partition.vertices, rtol=0, atol=2.0**-46 * head["half"])
    np.testing.assert_array_equal(np.cumsum(unfolded(columns["corners"])), partition.face_vertices)
    np.testing.assert_array_equal(np.cumsum(columns["counts"]), partition.face_offsets[1:])
    np.testing.assert_array_equal(columns["class"], parts.label)
    np.testing.assert_array_equal(columns["owner"], parts.face[parts.faces :])
    np.testing.assert_array_equal(columns["partcounts"], np.diff(parts.offsets)[parts.faces :])
    np.testing.assert_array_equal(columns["partcorners"], parts.corners[parts.offsets[parts.faces] :])
    added = (columns["places"].astype(float) / 2.0**47 - 1).reshape(2, -1).T * head["half"] + head["middle"]
    own = parts.vertices[len(partition.vertices) :] + partition.centre
    np.testing.assert_allclose(added, own, rtol=0, atol=2.0**-46 * head["half"])
    assert head["seed"] == [int(partition.pattern_hash[0]) >> 32, int(partition.pattern_hash[0]) & 0xFFFFFFFF]
    assert len(columns["pattern"]) == 0, "the first one tells all others"
    low, high = head["slope"]
    slopes = np.where(columns["slope"] > 0, np.exp(low + (columns["slope"] - 1.0) / 65534 * (high - low)), 0)
    np.testing.assert_allclose(slopes, partition.slope_norms, rtol=1e-3)
    if outputs <= packing.OUTPUTS_LIMIT:
        assert len(columns["outputs"]) == outputs * len(partition.vertices)
        assert len(columns["leads"]) == 0
    else:
        assert len(columns["outputs"]) == 0, "too many channels to take along"
        rows = columns["leads"].astype("<u4").view("<f4").reshape(3, -1).T
        starts = np.concatenate([[0], np.cumsum(columns["leadcounts"])]).astype(int)
        away = (parts.middles - (partition.centroids - partition.centre)[parts.face]) / head["half"]
        least = [(rows[a:b, 0] + rows[a:b, 1:] @ d).min() for a, b, d in zip(starts[:-1], starts[1:], away, strict=True)]
        np.testing.assert_allclose(least, parts.margins, atol=1e-6 * np.ptp(partition.outputs))


def test_units_stand_in_the_order_of_a_walk_round_the_faces() -> None:
    partition = sliced()
    pairs = zip(partition.edges.tolist(), partition.edge_tag.tolist(), strict=True)
    tags = {tuple(sorted(edge)): tag for edge, tag in pairs}
    expected: dict[tuple[int, ...], int] = {}
    for face in range(partition.num_regions):
        corners = partition.face(face).tolist()
        for a, b in zip(corners, corners[1:] + corners[:1], strict=True):
            side = tuple(sorted((a, b)))
            expected.setdefault(side, tags[side] + 1)
    assert packing.edge_units(partition).tolist() == list(expected.values())


def test_a_far_small_window_keeps_its_digits() -> None:
    corner = np.array([1e5, -2e5])
    window = corner + 1e-3 * np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    partition = sliced(window=window)
    head, columns = unpacked(packing.pack(partition))
    places = (columns["vertices"].astype(float) / 2.0**47 - 1).reshape(2, -1).T * head["half"]
    spread = np.ptp(partition.local_vertices, axis=0)
    np.testing.assert_allclose(np.ptp(places, axis=0), spread, rtol=1e-12)


def test_bytes_a_region_stay_small() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(2, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))
    partition = sv.partition(model, sv.Plane.through([0.0, 0.0], [1.0, 0.0], [0.0, 1.0]), window=3.0)
    content = packing.pack(partition)
    assert partition.num_regions > 5000
    assert len(content) * 4 / 3 < 60 * partition.num_regions, "in base64, with all ten outputs"
