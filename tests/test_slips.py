"""Arguments in a wrong order or of a wrong kind, as they are typed into a notebook: said in words, with the remedy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import splineviz as sv

X = torch.linspace(-1, 1, 12).reshape(6, 2) ** 2
PLANE = sv.Plane.through([0.0, 0.0], [1.0, 0.0], [0.0, 1.0])
IMAGES = torch.rand(4, 1, 8, 8)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 2))


@pytest.fixture(scope="module")
def partition(network: nn.Module) -> sv.Partition:
    return sv.partition(network, PLANE)


SLIPS: dict[str, tuple[Any, str]] = {
    "indices for samples": (lambda m, p: sv.partition(m, (0, 1, 2)), r"got the numbers 0, 1, 2; .*x\[0\], x\[1\], x\[2\]"),
    "complex samples": (lambda m, p: sv.Plane.through(*torch.ones(3, 2).cfloat()), "expected real numbers .* complex"),
    "samples beyond squares": (lambda m, p: sv.Plane.through([1e200, 0], [0, 1e200], [0, 0]), "squares .* scale them down"),
    "samples alike for their size": (
        lambda m, p: sv.Plane.through([1e16, 0], [1e16 + 2, 0], [1e16, 2]), r"coincide \(distance 2 beside 1e\+16\)",
    ),
    "an output of one": (lambda m, p: sv.trace(m, (2,), output=0), "which 0 is one, got one tensor; leave output out"),
    "words for samples": (lambda m, p: sv.Plane.through("a", "b", "c"), "anchor 0: expected real numbers .* got str"),
    "ragged samples": (lambda m, p: sv.crossings(m, X[0], [[0.0, 1.0], [2.0]]), "point 1: expected real .* got list"),
    "a network for a partition": (lambda m, p: sv.draw.regions(m), "regions: expected a Partition, .* got Sequential"),
    "a plane for a partition": (lambda m, p: sv.draw.regions(PLANE), "regions: expected a Partition, .* got Plane"),
    "a plane for segments": (lambda m, p: sv.draw.boundary(PLANE), "segments: expected real numbers .* got Plane"),
    "a partition for a plane": (lambda m, p: sv.draw.anchors(p), "anchors: expected a Plane, .* got Partition"),
    "points before the network": (lambda m, p: sv.crossings(X[0], X[1], m), "the network first and the points second"),
    "a plane for points": (lambda m, p: sv.local_complexity(m, PLANE), "x: expected real numbers .* got Plane"),
    "pictures for a 2-D network": (lambda m, p: sv.local_complexity(m, IMAGES), "do the samples fit the network"),
    "an example for a shape": (lambda m, p: sv.trace(m, X), r"input_shape: .* got Tensor; of samples x it is x.shape\[1:\]"),
    "a number for a shape": (lambda m, p: sv.trace(m, 2), "input_shape: .* got int"),
    "the shape before the network": (lambda m, p: sv.trace((2,), m), "the network comes first"),
    "a mask for outputs": (lambda m, p: sv.partition(m, PLANE, outputs=[True, False]), "outputs: expected .* got bool"),
    "a mask of torch's": (lambda m, p: sv.partition(m, PLANE, outputs=torch.tensor([False, True])), "got bool"),
    "parts for outputs": (lambda m, p: sv.partition(m, PLANE, outputs=[0.5]), "outputs: expected .* got float"),
    "text for outputs": (lambda m, p: sv.partition(m, PLANE, outputs="0"), "outputs: expected a list of indices, got str"),
    "a number for outputs": (lambda m, p: sv.partition(m, PLANE, outputs=0), "outputs: expected a list of .* got int"),
    "text for threads": (lambda m, p: sv.partition(m, PLANE, threads="2"), "threads: expected a whole number .*'2'"),
    "threads below one": (lambda m, p: sv.partition(m, PLANE, threads=-1), "threads: expected a whole number .*-1"),
    "half a thread": (lambda m, p: sv.partition(m, PLANE, threads=1.5), "threads: expected a whole number .*1.5"),
    "text for bytes": (lambda m, p: sv.partition(m, PLANE, block_bytes="1"), "block_bytes: expected a number above 0"),
    "no tolerance": (lambda m, p: sv.partition(m, PLANE, tolerance=0), "tolerance: expected a number above 0, .*got 0"),
    "tolerance NaN": (lambda m, p: sv.partition(m, PLANE, tolerance=float("nan")), "tolerance: expected a number above 0"),
    "tolerance below 0": (lambda m, p: sv.partition(m, PLANE, tolerance=-1), "tolerance: expected a number above 0"),
    "a device that is none": (lambda m, p: sv.partition(m, PLANE, device="gpu0"), "device: expected .* got 'gpu0'"),
    "a device without values": (lambda m, p: sv.partition(m, PLANE, device="meta"), "device: expected .* got 'meta'"),
    "samples without values": (lambda m, p: sv.Plane.through(*torch.ones(3, 2, device="meta")), "anchor 0: expected real"),
    "sparse samples": (lambda m, p: sv.Plane.through(*3 * [torch.ones(2).to_sparse()]), "anchor 0: expected real"),
    "a plane for a tile": (lambda m, p: sv.part(m, PLANE), "tile: expected one of sv.tiles.*, got Plane"),
    "a path for parts": (lambda m, p: sv.sew("part-0.npz"), "parts: expected the parts of all tiles in a list, got str"),
    "nothing for parts": (lambda m, p: sv.sew(None), "parts: expected the parts of all tiles in a list, got NoneType"),
    "text for a radius": (lambda m, p: sv.local_complexity(m, X, radius="x"), "radius: expected a positive length, got 'x'"),
    "radii": (lambda m, p: sv.local_complexity(m, X, radius=[0.1, 0.2]), "radius: expected a positive length, got .0.1"),
    "half a vector": (lambda m, p: sv.local_complexity(m, X, radius=1.0, num_vectors=1.5), "num_vectors, .* got 1.5"),
    "text for vectors": (lambda m, p: sv.local_complexity(m, X, radius=1.0, num_vectors="2"), "num_vectors, .* got '2'"),
    "a network for a run": (lambda m, p: sv.animate(m), "run: expected the path of a run directory .* got Sequential"),
    "a network for a folder": (lambda m, p: sv.explore(m), "explore: expected a Partition, .* got Sequential"),
}


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_is_said_in_words(name: str, network: nn.Module, partition: sv.Partition) -> None:
    slip, message = SLIPS[name]
    with pytest.raises(sv.errors.SplinevizError, match=message):
        slip(network, partition)


def test_samples_in_half_precision_are_taken_exactly(network: nn.Module) -> None:
    rough = X.to(torch.bfloat16)
    plane = sv.Plane.through(rough[0], rough[2], [0.25, -1.0])
    np.testing.assert_array_equal(plane.samples[:2], rough[[0, 2]].double().numpy())
    found = sv.local_complexity(network, rough, radius=0.1, num_vectors=2)
    assert found.mean == sv.local_complexity(network, rough.double(), radius=0.1, num_vectors=2).mean


@pytest.mark.parametrize("shape", [(2,), [2], torch.Size([2]), np.array([2]), X.shape[1:]], ids=str)
def test_shapes_of_every_kind_are_taken(shape: Any, network: nn.Module) -> None:
    assert sv.trace(network, shape).input_shape == (2,)
