"""The certificate: true partitions pass with small errors, and every deliberate fault fails naming the face."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from cases import DEGENERATE, FAMILIES, Case, dense, lines, module, random_case
from torch import nn

from splineviz.errors import CertificateError
from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane
from splineviz.regions import coincidences
from splineviz.regions.certificate import CertificateReport, verify
from splineviz.regions.enumerate import partition
from splineviz.tracing.trace import trace

NETWORK = module(dense(41, 2, 8, 8, 3))
PLANE = Plane(np.zeros(2), np.eye(2))


@pytest.fixture(scope="module")
def part() -> Partition:
    return partition(NETWORK, PLANE, window=1.0)


def fat_face(part: Partition) -> int:
    return int(np.argmax(part.areas))


def failures(part: Partition, model: nn.Module = NETWORK) -> str:
    """What a faulty partition fails with."""
    with pytest.raises(CertificateError) as caught:
        verify(part, model)
    return str(caught.value)


# ---- what is true is proved --------------------------------------------------------------------------------------


def test_a_true_partition_is_proved_with_small_errors(part: Partition) -> None:
    report = part.verify(NETWORK)
    assert report.ok and report.failures == () and report.undecided == 0 and report.euler == 1
    assert report.regions == part.num_regions and report.units == 16
    assert max(report.area_error, report.convexity_error, report.border_error) < 1e-13
    assert max(report.knot_error, report.sign_error) < 1.0
    assert max(report.output_error, report.interior_error) < 1e-13


@pytest.mark.parametrize("case", DEGENERATE, ids=lambda c: c.name)
def test_degenerate_partitions_are_proved(case: Case) -> None:
    network = module(case.layers)
    report = verify(partition(network, case.plane, window=case.window), network)
    assert report.ok
    if not case.undecidable:
        assert report.undecided == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_random_partitions_are_proved(family: str) -> None:
    for seed in range(20):
        case = random_case(seed + 1000, family=family)
        network = module(case.layers)
        assert verify(partition(network, case.plane, window=case.window), network).ok


@pytest.mark.parametrize("chunk", [1, 7, 10**6])
def test_chunks_change_nothing(part: Partition, chunk: int) -> None:
    one, other = verify(part, NETWORK), verify(part, NETWORK, chunk=chunk)
    assert (other.regions, other.undecided, other.failures) == (one.regions, one.undecided, one.failures)
    assert other.output_error == pytest.approx(one.output_error, abs=1e-15)


def test_programs_single_precision_and_training_mode_are_read_as_partitioned() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 2)).train()
    part = partition(network, PLANE, window=1.0)
    assert verify(part, network).ok and network.training and network[0].weight.dtype == torch.float32
    assert verify(part, trace(network, (2,))).ok


def test_a_network_in_many_inputs_is_proved() -> None:
    network = module(dense(42, 20, 16, 16, 3))
    rng = np.random.default_rng(0)
    plane = Plane.through(*rng.normal(size=(3, 20)))
    assert verify(partition(network, plane), network).ok


def test_thin_faces_are_counted_not_failed() -> None:
    """A sliver thinner than rounding, claimed either way, is undecided."""
    network = module(lines((1, 0.5, 0.7), (1, 0.5, 0.7 + 1e-15)))
    exact = partition(module(lines((1, 0.5, 0.7), (1, 0.5, 0.7 + 1e-6))), PLANE, window=1.0)
    report = verify(moved_to(exact, network), network, raise_on_failure=False)
    assert report.undecided == 1
    assert not any("[pattern]" in failure or "[tags]" in failure for failure in report.failures)


def moved_to(part: Partition, network: nn.Module) -> Partition:
    """The same faces with the vertices of each knot moved onto the line of the first unit, and the network's outputs."""
    vertices = part.vertices.copy()
    for (a, b), tag in zip(part.edges, part.edge_tag, strict=True):
        if tag >= 0:
            vertices[[a, b], 0] = -0.7 - 0.5 * vertices[[a, b], 1]
    with torch.no_grad():
        outputs = network(torch.from_numpy(vertices)).numpy()
    return replace(part, vertices=vertices, outputs=outputs, local_vertices=vertices - part.centre)


# ---- what is false is not ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("distance", [1e-2, 1e-5, 1e-9, 1e-11])
def test_a_moved_vertex_fails(part: Partition, distance: float) -> None:
    inner = np.setdiff1d(np.arange(len(part.vertices)), part.edges[part.edge_tag < 0])
    vertex = int(inner[len(inner) // 2])
    vertices = part.vertices.copy()
    vertices[vertex] += distance * np.array([0.6, 0.8])
    text = failures(replace(part, vertices=vertices, local_vertices=vertices - part.centre))
    owners = {f for f in range(part.num_regions) if vertex in part.face(f)}
    named = {int(n) for n in re.findall(r"\[knots\] face (\d+)", text)}
    assert named and named <= owners


def test_a_border_vertex_moved_inwards_fails(part: Partition) -> None:
    edge = int(np.flatnonzero(part.edge_tag < 0)[0])
    vertices = part.vertices.copy()
    vertices[part.edges[edge, 0]] *= 1 - 1e-6
    text = failures(replace(part, vertices=vertices, local_vertices=vertices - part.centre))
    assert f"[border] face {part.edge_faces[edge].max()}" in text and "[areas]" in text


def merged(part: Partition, edge: int) -> Partition:
    """The partition without one inner edge: its right face becomes part of its left one."""
    left, right = part.edge_faces[edge].tolist()
    a, b = part.edges[edge].tolist()
    one, other = part.face(left).tolist(), part.face(right).tolist()
    one = one[one.index(b) :] + one[: one.index(b)]  # b ... a
    other = other[other.index(a) :] + other[: other.index(a)]  # a ... b
    faces = [part.face(f).tolist() for f in range(part.num_regions)]
    faces[left] = one + other[1:-1]
    keep = [f for f in range(part.num_regions) if f != right]
    number = np.full(part.num_regions + 1, -1)
    number[keep] = np.arange(len(keep))
    number[right] = number[left]
    rows = np.arange(len(part.edges)) != edge
    return replace(
        part,
        edges=part.edges[rows],
        edge_tag=part.edge_tag[rows],
        edge_faces=number[part.edge_faces[rows]].astype(np.int32),
        face_offsets=np.cumsum([0] + [len(faces[f]) for f in keep]).astype(np.int32),
        face_vertices=np.concatenate([faces[f] for f in keep]).astype(np.int32),
        pattern_hash=part.pattern_hash[keep],
    )


def test_merged_faces_fail(part: Partition) -> None:
    for edge in np.flatnonzero(part.edge_tag >= 0)[::7].tolist():
        left, right = part.edge_faces[edge].tolist()
        face = left - (left > right)
        assert f"[signs] face {face}: unit" in failures(merged(part, edge))


def test_a_flipped_tag_fails(part: Partition) -> None:
    edge = int(np.flatnonzero(part.edge_tag >= 0)[5])
    tags = part.edge_tag.copy()
    tags[edge] = (tags[edge] + 1) % 16
    text = failures(replace(part, edge_tag=tags))
    assert f"[knots] face {part.edge_faces[edge].min()}" in text and f"across edge {edge} " in text


def test_a_tag_turned_into_border_fails(part: Partition) -> None:
    edge = int(np.flatnonzero(part.edge_tag >= 0)[5])
    tags = part.edge_tag.copy()
    tags[edge] = -1
    assert f"face {part.edge_faces[edge].max()}: edge {edge} with tag -1" in failures(replace(part, edge_tag=tags))


def test_swapped_outputs_fail(part: Partition) -> None:
    a, b = part.face(fat_face(part))[:2].tolist()
    outputs = part.outputs.copy()
    outputs[[a, b]] = outputs[[b, a]]
    assert f"[outputs] face {fat_face(part)}:" in failures(replace(part, outputs=outputs))


def test_a_wrong_hash_fails_and_names_the_unit(part: Partition) -> None:
    face = fat_face(part)
    unit = np.uint64(0x910A2DEC89025CC1)  # splitmix64(1), the first unit
    hashes = part.pattern_hash.copy()
    hashes[face] ^= unit
    text = failures(replace(part, pattern_hash=hashes))
    assert re.search(rf"\[pattern\] face {face}: .*differs in unit 0 of layer '1'", text)


def test_two_faces_of_one_pattern_fail(part: Partition) -> None:
    hashes = part.pattern_hash.copy()
    hashes[3] = hashes[8]
    text = failures(replace(part, pattern_hash=hashes))
    assert "[unique] face 3: has the same pattern as face 8" in text and "[pattern] face 3" in text


def test_faces_that_do_not_own_their_edges_fail(part: Partition) -> None:
    edge = int(np.flatnonzero(part.edge_tag >= 0)[2])
    sides = part.edge_faces.copy()
    sides[edge] = sides[edge][::-1]
    assert f"[sides] face {part.edge_faces[edge, 0]}: edge {edge}" in failures(replace(part, edge_faces=sides))


def test_a_lost_edge_fails(part: Partition) -> None:
    rows = np.arange(len(part.edges)) != 4
    fewer = replace(part, edges=part.edges[rows], edge_tag=part.edge_tag[rows], edge_faces=part.edge_faces[rows])
    text = failures(fewer)
    assert "[euler]" in text and f"face {part.edge_faces[4].max()}: its side" in text


def test_a_clockwise_face_fails(part: Partition) -> None:
    face = fat_face(part)
    ids = part.face_vertices.copy()
    ids[part.face_offsets[face] : part.face_offsets[face + 1]] = part.face(face)[::-1]
    text = failures(replace(part, face_vertices=ids))
    assert f"[orientation] face {face}:" in text and f"[sides] face {face}:" in text


def test_ids_out_of_range_fail_without_a_crash(part: Partition) -> None:
    ids = part.face_vertices.copy()
    ids[0] = len(part.vertices)
    assert "[ids] face_vertices" in failures(replace(part, face_vertices=ids))


def test_another_networks_weights_fail(part: Partition) -> None:
    assert "[pattern]" in failures(part, module(dense(99, 2, 8, 8, 3)))
    unit = int(part.edge_unit[part.edge_unit[:, 0] == 1, 1][0])
    almost = module(dense(41, 2, 8, 8, 3))
    with torch.no_grad():
        almost[2].bias[unit] += 1e-9
    assert "[knots]" in failures(part, almost)


def test_another_networks_shape_is_refused(part: Partition) -> None:
    with pytest.raises(CertificateError, match=r"units \[8, 7\] in its layers.*got one with \[8, 8\]"):
        verify(part, module(dense(41, 2, 8, 7, 3)))


def test_failures_can_be_read_instead_of_raised(part: Partition) -> None:
    report = verify(replace(part, outputs=part.outputs + 1.0), NETWORK, raise_on_failure=False)
    assert isinstance(report, CertificateReport) and not report.ok
    assert len(report.failures) == 2 * 21 and "and" in report.failures[20]
    assert "FAILED" in str(report) and "V - E + F = 1" in str(report)


def test_what_would_take_long_to_decide_exactly_is_said_not_to_be_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units that are there twice: across each of their edges two change."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 2)).double()
    with torch.no_grad():
        network[0].weight[3:], network[0].bias[3:] = 2 * network[0].weight[:3], 2 * network[0].bias[:3]
    part = partition(network, PLANE, window=2.0)
    assert verify(part, network).unjudged == ()
    monkeypatch.setattr(coincidences, "LIMIT", -1)
    report = verify(part, network)
    assert report.ok and "edges on which several knots lie" in report.unjudged[0] and "smaller window" in str(report)


@pytest.mark.parametrize("thin", [1e-6, 1e-8, 1e-10, 1e-12])
def test_a_thin_window_across_the_plane_is_proved(thin):
    # Its corners are rounded, and so are vertices on its sides: their areas miss the window's by no share of it.
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 2))
    window = [[-1.0, -1.0], [1.0, 1.0], [1.0, 1.0 + thin]]
    found = partition(model, Plane(np.zeros(2), np.eye(2)), window=window)
    assert found.num_regions == 29 and verify(found, model).ok
