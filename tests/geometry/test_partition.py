"""The complex as data: counts, areas, slopes, files and the cheap check."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from arrangement import lines_in_square
from cases import dense, lines, module
from oracle import regions
from torch import nn

from splineviz._kernels import merging
from splineviz.errors import PartitionError
from splineviz.geometry import slopes
from splineviz.geometry.invariants import ARRAYS
from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane
from splineviz.geometry.report import Report
from splineviz.regions.enumerate import partition

PLANE = Plane(np.zeros(2), np.eye(2), np.array([[0.5, 0.0], [0.0, 0.5], [-0.5, 0.0]]))
LAYERS = dense(51, 2, 6, 6, 2)


@pytest.fixture(scope="module")
def part() -> Partition:
    return partition(module(LAYERS), PLANE, window=1.0)


def test_areas_slopes_and_centroids_are_those_of_the_exact_regions(part: Partition) -> None:
    exact = {cell.pattern_hash: cell for cell in regions(LAYERS, part.window)}
    assert part.slopes.shape == (part.num_regions, 2, 2)
    for face in range(part.num_regions):
        cell = exact[int(part.pattern_hash[face])]
        assert part.areas[face] == pytest.approx(float(cell.area), rel=1e-9)
        slope = np.array([[float(a), float(b)] for a, b, _ in cell.outputs])
        np.testing.assert_allclose(part.slopes[face], slope, rtol=1e-7, atol=1e-9)
        assert part.slope_norms[face] == pytest.approx(np.linalg.norm(slope), rel=1e-7, abs=1e-9)
        corners = np.array([[float(u), float(v)] for u, v in cell.polygon])
        np.testing.assert_allclose(part.centroids[face], part.vertices[part.face(face)].mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(
            sorted(map(tuple, corners)), sorted(map(tuple, part.vertices[part.face(face)])), atol=1e-9
        )


def test_slivers_keep_their_area() -> None:
    """Shoelace sums of coordinates lose all digits here; differences to a vertex keep them."""
    width = 1e-12
    part = partition(module(lines((1, 0, 0.3), (1, 0, 0.3 + width))), Plane(np.zeros(2), np.eye(2)), window=1.0)
    assert part.num_regions == 3
    assert part.areas.min() == pytest.approx(2 * ((0.3 + width) - 0.3), rel=1e-3)


@pytest.mark.parametrize("short", [1e-170, 1e-299, 5e-324])
def test_an_edge_whose_squared_length_is_none_tells_nothing(short: float) -> None:
    r"""Far out, vertices may differ by 1e-299 where others are 1e16 away: such an edge is as good as a point."""
    uv = np.array([[0.0, 0.0], [-short, 0.0], [-1.0, -1.0], [-1.0, 1.0]])
    edges, sides = np.array([[0, 1]], np.int32), np.array([[0, 1]], np.int32)
    ring = np.array([0, 3, 6]), np.array([0, 1, 2, 1, 0, 3], np.int32)
    _, errors, verdict = merging.slope_jumps(uv, edges, sides, *ring, np.ones((4, 1)) * uv[:, :1], np.full(1, 1e-16))
    assert errors.tolist() == [np.inf] and verdict.tolist() == [2]


def test_a_window_of_1e16_can_be_proved() -> None:
    torch.manual_seed(3)
    network = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))
    plane = Plane.through([-1.0, -1, 0], [1, -1, 0.3], [0, 1, -0.4])
    wide, wider = partition(network, plane, window=1e12), partition(network, plane, window=1e16)
    assert set(wider.pattern_hash.tolist()) == set(wide.pattern_hash.tolist())
    assert wider.verify(network).ok


def test_edge_units_are_layers_and_units(part: Partition) -> None:
    assert part.edge_unit.dtype == np.int32 and part.edge_unit.shape == (len(part.edges), 2)
    border = part.edge_tag < 0
    assert border.any() and (part.edge_unit[border] == -1).all()
    layer, unit = part.edge_unit[~border].T
    np.testing.assert_array_equal(part.unit_offsets[layer] + unit, part.edge_tag[~border])
    assert set(layer.tolist()) == {0, 1} and unit.max() < 6


def test_dtypes_are_pinned(part: Partition) -> None:
    for name in ("edges", "edge_tag", "edge_faces", "face_offsets", "face_vertices"):
        assert getattr(part, name).dtype == np.int32, name
    for name in ("vertices", "outputs", "window", "local_vertices"):
        assert getattr(part, name).dtype == np.float64, name
    assert part.pattern_hash.dtype == np.uint64
    assert part.outputs.shape == (len(part.vertices), 2)


def test_a_face_without_area_has_slope_0() -> None:
    part = lines_in_square(3)
    squashed = part.vertices * [1.0, 0.0]
    flat = replace(part, vertices=squashed, local_vertices=squashed)
    assert (flat.areas == 0).all() and (flat.slopes == 0).all()


def test_local_vertices_are_relative_to_the_centre() -> None:
    network = module(dense(52, 2, 6, 2))
    part = partition(
        network, Plane(np.zeros(2), np.eye(2)), window=1e-3 * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) + 7.0
    )
    np.testing.assert_allclose(part.centre, [7.0, 7.0])
    np.testing.assert_allclose(part.local_vertices + part.centre, part.vertices, rtol=0, atol=1e-14)
    assert np.abs(part.local_vertices).max() == pytest.approx(1e-3)


# ---- files -----------------------------------------------------------------------------------------------------


def test_a_saved_partition_comes_back_number_for_number(part: Partition, tmp_path: Path) -> None:
    path = tmp_path / "part.npz"
    part.save(path)
    back = Partition.load(str(path))
    for name in ARRAYS:
        one, other = getattr(part, name), getattr(back, name)
        np.testing.assert_array_equal(one, other, err_msg=name)
        assert one.dtype == other.dtype, name
    assert part.seed_face >= 0
    np.testing.assert_array_equal(back.active_units, part.active_units)
    assert back.layer_paths == part.layer_paths and back.report == part.report
    for name in ("origin", "basis", "anchors_uv"):
        np.testing.assert_array_equal(getattr(part.plane, name), getattr(back.plane, name))
    assert [p.name for p in tmp_path.iterdir()] == ["part.npz"]


def test_an_interrupted_save_leaves_the_old_file(part: Partition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "part.npz"
    part.save(path)
    before = path.read_bytes()

    def stop(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(np.lib.format, "write_array", stop)
    with pytest.raises(KeyboardInterrupt):
        part.save(path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 truncated"], ids=["empty", "text", "truncated"])
def test_files_that_are_no_partition_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "part.npz"
    path.write_bytes(content)
    with pytest.raises(PartitionError, match=r"part\.npz: expected a partition written by splineviz"):
        Partition.load(path)


def test_truncated_incomplete_and_foreign_formats_are_refused(part: Partition, tmp_path: Path) -> None:
    path = tmp_path / "part.npz"
    part.save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(PartitionError, match="expected a partition written by splineviz"):
        Partition.load(path)
    np.savez(path, edges=part.edges)
    with pytest.raises(PartitionError, match="expected a partition written by splineviz"):
        Partition.load(path)
    np.savez(path, meta=np.array(json.dumps({"format": 999})))
    with pytest.raises(PartitionError, match="expected partition format 1, got 999"):
        Partition.load(path)
    with pytest.raises(FileNotFoundError):
        Partition.load(tmp_path / "none.npz")


def test_a_file_with_a_broken_complex_is_refused(part: Partition, tmp_path: Path) -> None:
    path = tmp_path / "part.npz"
    replace(part, edges=part.edges[1:], edge_tag=part.edge_tag[1:], edge_faces=part.edge_faces[1:]).save(path)
    with pytest.raises(PartitionError, match=r"V - E \+ F = 1"):
        Partition.load(path)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "part.npz"
    np.savez(path, meta=np.array([object()], dtype=object))
    with pytest.raises(PartitionError, match="expected a partition"):
        Partition.load(path)


# ---- the cheap check -------------------------------------------------------------------------------------------


def test_check_passes_what_is_true_and_names_what_is_not(part: Partition) -> None:
    part.check()
    with pytest.raises(PartitionError, match=r"V - E \+ F = 1, got"):
        replace(
            part, edges=np.vstack([part.edges, part.edges[:1]]), edge_tag=np.append(part.edge_tag, part.edge_tag[:1]),
            edge_faces=np.vstack([part.edge_faces, part.edge_faces[:1]]),
        ).check()  # fmt: skip
    with pytest.raises(PartitionError, match="expected outputs of shape"):
        replace(part, vertices=np.vstack([part.vertices, [[0.0, 0.0]]])).check()
    moved = part.local_vertices * 1.001
    with pytest.raises(PartitionError, match="areas that sum to the window's"):
        replace(part, vertices=moved, local_vertices=moved).check()
    ids = part.face_vertices.copy()
    ids[0] = -1
    with pytest.raises(PartitionError, match="ids in range"):
        replace(part, face_vertices=ids).check()


def test_the_report_counts_what_double_precision_left_open() -> None:
    assert Report() == Report(0, 0, 0.0, 0.0)
    twins = partition(module(lines((1, 0.5, 0.7), (1, 0.5, 0.7 + 1e-16))), Plane(np.zeros(2), np.eye(2)), window=1.0)
    assert twins.num_regions in (2, 3) and twins.report.tolerance > 0 and twins.report.seconds > 0


def test_active_units_are_those_of_the_model_in_every_region() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        first = nn.Linear(3, 14)
        with torch.no_grad():  # two units with their knot on one line, of either sign
            first.weight[1], first.bias[1] = 2 * first.weight[0], 2 * first.bias[0]
            first.weight[3], first.bias[3] = -first.weight[2], -first.bias[2]
        model = nn.Sequential(first, nn.ReLU(), nn.Linear(14, 11), nn.LeakyReLU(0.1), nn.Linear(11, 2)).double()
    found = partition(model, Plane.through(*np.random.default_rng(0).uniform(-1, 1, (3, 3))), window=3.0)
    x = torch.from_numpy(found.plane.embed(found.centroids))
    with torch.no_grad():
        hidden = model[0](x)
        expected = torch.stack([(hidden > 0).sum(dim=1), (model[2](hidden.relu()) > 0).sum(dim=1)], dim=1).numpy()
    wide = found.areas > 1e-9
    assert wide.sum() > 60 and (found.active_units >= 0).all()
    np.testing.assert_array_equal(found.active_units[wide], expected[wide])
    assert (replace(found, seed_face=-1).active_units == -1).all(), "not known without a region's pattern"


def test_a_partition_says_in_a_line_what_it_holds(part: Partition) -> None:
    assert repr(part).startswith(f"Partition({part.num_regions} regions, ") and len(repr(part)) < 100


def test_the_same_slice_is_the_same_file(tmp_path: Path) -> None:
    net = module(LAYERS)
    for name in "ab":
        found = partition(net, PLANE, window=2.0)
        assert found.report.seconds > 0
        found.save(tmp_path / f"{name}.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_faces_whose_slopes_differ_are_not_made_one_by_way_of_a_thin_one() -> None:
    """Faces 0, 1 beside each other and 2 beside both: 0 | 1 jumps by 1, and 2 is too thin to see that on one side of it."""
    edge_faces = np.array([[0, 1], [0, 2], [2, 1], [1, 3], [3, -1]], np.int32)
    norms, errors = np.array([1.0, 0.1, 0.2, 0.0, 0.0]), np.array([0.01, 0.5, 3.0, 7.0, 0.0])
    verdict = np.array([1, 0, 0, 0, -1], np.int8)
    found = slopes.unchained(4, edge_faces, norms, errors, verdict)
    label = merging.merge(4, edge_faces, found == 0)
    assert label.tolist() == [0, 1, 0, 1] and found.tolist() == [1, 0, 2, 0, -1]
    assert verdict.tolist() == [1, 0, 0, 0, -1]
    sure = slopes.unchained(4, edge_faces, norms, 0.5 * norms, verdict)
    assert sure is verdict
