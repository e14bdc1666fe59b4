"""Thin faces: right ones are proved exactly, every damage to one is found, and what cannot be told is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from cases import differences
from oracle import RELU, Layer, regions
from torch import nn

from splineviz._kernels.bits import unit_hashes
from splineviz.geometry import lines
from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane
from splineviz.regions import coincidences
from splineviz.regions.certificate import CertificateReport, verify
from splineviz.regions.enumerate import partition

PLANE = Plane(np.zeros(2), np.eye(2))
KINDS = ("thirds in single precision", "thirds in double precision", "nearly parallel", "the same")


def network(seed: int, layers: int, kind: str, width: int = 16, outputs: int = 3) -> nn.Sequential:
    """The second half of the rows of every layer are nearly multiples of the first half."""
    torch.manual_seed(seed)
    modules: list[nn.Module] = []
    for layer in range(layers):
        linear = nn.Linear(width if layer else 2, width)
        linear = linear if "single" in kind else linear.double()
        with torch.no_grad():
            for row in (linear.weight, linear.bias):
                half = row[: width // 2]
                near = half * (1.0 + 10.0 ** -(8.0 + 3 * seed) * torch.randn_like(half)) if "nearly" in kind else half
                row[width // 2 :] = near / (3.0 if "third" in kind else 1.0)
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules, nn.Linear(width, outputs)).double()


def checked(part: Partition, model: nn.Module) -> CertificateReport:
    return verify(part, model, raise_on_failure=False)


def cells(model: nn.Sequential, part: Partition) -> list:
    affine = [m for m in model if isinstance(m, nn.Linear)]
    rows = [(m.weight.detach().numpy(), m.bias.detach().numpy()) for m in affine]
    layers = [*(Layer(*row, RELU) for row in rows[:-1]), Layer(*rows[-1])]
    return regions(layers, part.window, origin=part.plane.origin, basis=part.plane.basis)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("window", [1.5, 1e-3, 1e3])
def test_partitions_that_the_oracle_holds_right_are_proved(kind: str, window: float) -> None:
    for seed, layers in ((0, 2), (1, 1), (2, 3)):
        model = network(seed, layers, kind, outputs=1 + seed, width=12 if layers > 1 else 20)
        part = partition(model, PLANE, window=window)
        report = checked(part, model)
        assert report.ok and report.undecided == 0, (seed, report)
        if seed == 1:
            assert differences(part, cells(model, part)) == []
            assert ("double" in kind and window > 1) <= (report.exactly > 20)


@pytest.fixture(scope="module")
def subject() -> tuple[Partition, nn.Module, int]:
    """A partition, its network, and an inner sliver 1e-17 wide."""
    model = network(2, 2, KINDS[1], width=8)
    part = partition(model, PLANE, window=1.5)
    report = checked(part, model)
    assert report.ok and report.exactly > 10 and f"{report.exactly} regions decided exactly" in str(report)
    inner = [f for f in range(part.num_regions) if (part.edge_faces[(part.edge_faces == f).any(axis=1)] >= 0).all()]
    return part, model, min(inner, key=lambda f: abs(float(part.areas[f])))


def changed(part: Partition, name: str, at, value) -> Partition:
    array = getattr(part, name).copy()
    array[at] = value
    return replace(part, **{name: array})


def test_a_wrong_pattern_of_a_sliver_is_found(subject) -> None:
    part, model, face = subject
    word = unit_hashes(0, int(part.unit_offsets[-1]))
    for unit in range(len(word)):
        assert not checked(changed(part, "pattern_hash", face, part.pattern_hash[face] ^ word[unit]), model).ok, unit
    sides = part.edge_faces[(part.edge_faces == face).any(axis=1)]
    for side in sides:
        assert not checked(changed(part, "pattern_hash", side, part.pattern_hash[side[::-1]]), model).ok


def test_a_moved_vertex_of_a_sliver_is_found(subject) -> None:
    """Across it by its knots' values, along it by its exact place; the outputs are the model's in either case."""
    part, model, face = subject
    ids = part.face(face)
    ends = part.local_vertices[ids]
    along = ends[1] - ends[0] if np.hypot(*(ends[1] - ends[0])) > np.hypot(*(ends[2] - ends[1])) else ends[2] - ends[1]
    along /= np.hypot(*along)
    for step in (1e-6 * along, 1e-11 * np.array([-along[1], along[0]])):
        for vertex in ids:
            moved = changed(part, "local_vertices", vertex, part.local_vertices[vertex] + step)
            moved = replace(moved, vertices=moved.local_vertices + part.centre)
            with torch.no_grad():
                moved.outputs[vertex] = model(torch.from_numpy(moved.vertices[[vertex]])).numpy()[0]
            assert not checked(moved, model).ok, (vertex, step)


def test_outputs_units_and_margins_of_a_sliver_are_held_against_the_model(subject) -> None:
    part, model, face = subject
    vertex, edge = part.face(face)[0], int(np.flatnonzero((part.edge_faces == face).any(axis=1))[0])
    assert not checked(changed(part, "outputs", (vertex, 0), part.outputs[vertex, 0] + 1e-9), model).ok
    for unit in {*range(0, int(part.unit_offsets[-1]), 5)} - {int(part.edge_tag[edge])}:
        assert not checked(changed(part, "edge_tag", edge, unit), model).ok, unit
    said = part.classes()
    margins = said.margins.copy()
    margins[face] += 1e-9
    other = replace(part)
    other.__dict__["_classes"] = replace(said, margins=margins)
    assert not checked(other, model).ok


def test_margins_in_thin_parts_are_those_of_the_model() -> None:
    """Networks whose slivers are 1e-7 wide: weights over three corners cancel there."""
    for seed in range(3):
        model = network(seed, 1, KINDS[0], width=32)
        part = partition(model, PLANE, window=1.5)
        said = part.classes()
        with torch.no_grad():
            y = model(torch.from_numpy(said.middles)).numpy()
        best = y[np.arange(len(y)), said.label]
        y[np.arange(len(y)), said.label] = -np.inf
        assert np.abs(best - y.max(axis=1) - said.margins).max() < 1e-13


def test_what_is_not_judged_is_named_with_its_place(subject, monkeypatch: pytest.MonkeyPatch) -> None:
    part, model, _ = subject
    monkeypatch.setattr(coincidences, "LIMIT", -1)
    report = checked(part, model)
    line = next(line for line in report.unjudged if "too thin" in line)
    face = int(line.split("faces ")[1].split(" at ")[0])
    u, v = part.centroids[face]
    assert report.exactly == 0 and report.undecided > 10
    assert f"{face} at ({u:.9g}, {v:.9g})" in line and "more" in line and "would take long" in line
    assert "not judged: too thin for double precision" in str(report)


def test_outputs_that_a_partition_does_not_hold_are_said() -> None:
    model = network(0, 1, KINDS[3], outputs=5)
    part = partition(model, PLANE, window=1.0, outputs=[3, 1])
    report = verify(part, model)
    assert report.hidden_outputs == 3 and "3 more outputs" in str(report)
    assert verify(partition(model, PLANE, window=1.0), model).hidden_outputs == 0


def test_lines_meet_and_bound_polygons_exactly() -> None:
    corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 2.0**-60), (0.0, 2.0**-60)]
    ring = [lines.through(p, q) for p, q in zip(corners, corners[1:] + corners[:1], strict=True)]
    begins, points = lines.polygon(ring)
    assert begins == [0, 1, 2, 3] and [lines.place(p, np.zeros(2)) for p in points] == corners
    assert lines.polygon(ring[::-1]) is None and lines.polygon(ring[:2]) is None
    assert lines.polygon([ring[0], *ring])[0] == [0, 2, 3, 4]  # a vertex in the middle of a side
    assert lines.meet(ring[0], ring[2]) is None
    assert lines.sides(np.array(ring, object).T, points[0]).tolist() == [0, 1, 1, 0]
