"""Export: what comes out says the same as the partition, and a missing library is named with its extra."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import networkx
import numpy as np
import pytest
import shapely
import torch
from torch import nn

import splineviz as sv
from splineviz.drawing import export, fills
from splineviz.errors import PartitionError
from splineviz.geometry.partition import Partition

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def partition() -> Partition:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(2, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 3))
    return sv.partition(model, sv.Plane.through([0.0, 0.0], [1.0, 0.2], [0.3, 1.0]), window=2.0)


def test_the_dual_graph_is_connected_and_knows_its_units(partition: Partition) -> None:
    graph = export.to_networkx(partition)
    assert graph.number_of_nodes() == partition.num_regions
    assert networkx.is_connected(graph)
    inner = (partition.edge_faces >= 0).all(axis=1)
    assert sum(sides for *_, sides in graph.edges(data="sides")) == inner.sum()
    assert sum(area for _, area in graph.nodes(data="area")) == pytest.approx(partition.areas.sum(), rel=1e-12)
    ends = partition.vertices[partition.edges[inner]]
    whole = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1).sum()
    assert sum(length for *_, length in graph.edges(data="length")) == pytest.approx(whole, rel=1e-12)
    edge = int(np.flatnonzero(inner)[7])
    left, right = partition.edge_faces[edge].tolist()
    said = graph.edges[left, right]
    assert [said["layer"], said["unit"]] == partition.edge_unit[edge].tolist()
    assert graph.nodes[left]["class"] == fills.face_classes(partition)[left]


def test_polygons_are_the_regions(partition: Partition) -> None:
    polygons = export.to_shapely(partition)
    assert len(polygons) == partition.num_regions
    np.testing.assert_allclose(shapely.area(polygons), partition.areas, atol=1e-12)
    assert shapely.is_ccw(shapely.get_exterior_ring(polygons)).all()
    inside = shapely.contains(polygons, shapely.points(partition.centroids))
    assert inside[partition.areas > 1e-9].all()


def test_a_geopandas_table_survives_parquet_and_geojson(partition: Partition, tmp_path: Path) -> None:
    geopandas = pytest.importorskip("geopandas")
    pytest.importorskip("pyarrow")
    table = export.to_geopandas(partition)
    export.save(partition, tmp_path / "new" / "slice.parquet")
    again = geopandas.read_parquet(tmp_path / "new" / "slice.parquet")
    assert again.equals(table) and again.crs is None
    np.testing.assert_array_equal(again["area"], partition.areas)
    assert [int(key, 16) for key in again["pattern"]] == partition.pattern_hash.tolist()
    export.save(partition, tmp_path / "slice.geojson")
    said = json.loads((tmp_path / "slice.geojson").read_text())
    assert len(said["features"]) == partition.num_regions
    assert said["features"][3]["properties"]["area"] == partition.areas[3]


def test_an_svg_has_a_path_a_region_and_a_group_a_layer(partition: Partition, tmp_path: Path) -> None:
    export.save(partition, tmp_path / "slice.svg", fill="class")
    root = ElementTree.parse(tmp_path / "slice.svg").getroot()
    paths = {path.get("id"): path for path in root.iter(f"{SVG}path")}
    assert {f"region-{i}" for i in range(partition.num_regions)} <= set(paths)
    assert {"knots-layer-0", "knots-layer-1", "boundary"} <= set(paths)
    i = int(partition.areas.argmax())
    corners = np.array([pair.split(",") for pair in paths[f"region-{i}"].get("d", "")[1:-1].split()], dtype=float)
    low, high = partition.window.min(axis=0), partition.window.max(axis=0)
    expected = (partition.vertices[partition.face(i)] - low) * export.SVG_SIDE / (high - low).max()
    np.testing.assert_allclose(corners, expected, atol=1e-3)
    assert float(paths[f"region-{i}"].get("data-area", "")) == pytest.approx(partition.areas[i])
    assert len(list(root.iter(f"{SVG}circle"))) == 3


def test_npz_is_the_partitions_own_file(partition: Partition, tmp_path: Path) -> None:
    path = export.save(partition, tmp_path / "new" / "slice.npz")
    np.testing.assert_array_equal(Partition.load(path).areas, partition.areas)


def test_a_partition_offers_graph_and_polygons_itself(partition: Partition) -> None:
    assert (partition.to_shapely() == export.to_shapely(partition)).all()
    assert networkx.utils.graphs_equal(partition.to_networkx(), export.to_networkx(partition))


def test_an_unknown_ending_is_refused(partition: Partition, tmp_path: Path) -> None:
    with pytest.raises(PartitionError, match=r"expected a file ending in .parquet, .geojson, .svg, .npz, got .shp"):
        export.save(partition, tmp_path / "slice.shp")


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("geopandas", export.to_geopandas),
        ("pyarrow", lambda partition: export.save(partition, "never.parquet")),
    ],
)
def test_a_missing_library_is_named_with_its_extra(
    name: str, call: Any, partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(wanted: str, package: str | None = None) -> Any:
        raise ImportError(f"No module named {wanted!r}") if wanted == name else AssertionError(wanted)

    monkeypatch.setattr(export.importlib, "import_module", missing)
    with pytest.raises(ImportError, match=rf"{name}: .*pip install 'splineviz\[export\]'"):
        call(partition)
