"""Export: a Partition as the objects and files of other libraries, for one's own analysis.
Here too: the columns of numbers of every region, or of every part of one class.

    to_networkx   the dual graph: one node per region, an edge wherever two regions share a side
    to_shapely    one polygon per region, in plane coordinates
    to_geopandas  a table of regions with areas, classes, margins, slopes, layers and polygons   extra: export
                  or, with parts=True, of the parts of one class each that the decision boundary cuts them into
    save          .parquet (GeoParquet), .geojson, .svg, .npz by the file's ending

Lengths are input-space lengths, coordinates are plane coordinates (u, v); there is no geographic reference system.
Regions keep their number: node, row and polygon i are face i of the partition. Areas are the partition's own (from
differences to a vertex); shapely's shoelace loses digits on slivers. Each library is imported when it is asked for.
"""

from __future__ import annotations

import importlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import numpy.typing as npt
from matplotlib.colors import to_hex

from splineviz.drawing import fills
from splineviz.errors import FloatArray, IntArray, PartitionError
from splineviz.geometry.partition import Partition
from splineviz.geometry.polygons import longer_side
from splineviz.storage import files

SVG_SIDE = 1000.0
"""Longer side of an SVG, in its own units."""

STROKE = {"knots": 0.4, "boundary": 2.4}


def _library(name: str) -> Any:
    """Import an optional library, or say which extra brings it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"{name}: expected it to be installed for this export, got {error}; pip install 'splineviz[export]'."
        ) from error


def region_table(partition: Partition) -> dict[str, npt.NDArray[Any]]:
    """Columns (F,) of numbers a region: region, area, class, share, margin, slope, layer, corners, pattern.

    area: squared input-space length; class: that of its largest part, and share: that part's share of it, 1 where the
    decision boundary does not cut it; margin: in the middle of that part; slope: norm of the
    slope on the slice; layer: the kink layer that cut it last, -1 for none; pattern: hash of the activation pattern.
    """
    return {
        "region": np.arange(partition.num_regions, dtype=np.int64),
        "area": partition.areas,
        "class": fills.face_classes(partition),
        "share": partition.classes().largest,
        "margin": fills.face_margins(partition),
        "slope": partition.slope_norms,
        "layer": fills.face_layers(partition),
        "corners": np.diff(partition.face_offsets).astype(np.int64),
        "pattern": partition.pattern_hash,
    }


def part_table(partition: Partition) -> dict[str, npt.NDArray[Any]]:
    """Columns (P,) of numbers a part of `Partition.classes`, by region: region, class, area, margin in its middle."""
    parts = partition.classes()
    order = np.argsort(parts.face, kind="stable")
    return {
        "region": parts.face[order].astype(np.int64),
        "class": parts.label[order].astype(np.int64),
        "area": parts.areas[order],
        "margin": parts.margins[order],
    }


# ---- objects -----------------------------------------------------------------------------------------


def to_networkx(partition: Partition) -> Any:
    """The dual graph as a networkx.Graph.

    Nodes 0 .. F-1 carry the columns of `region_table` and `u`, `v` (a point inside). An edge joins regions that share a
    side and carries `length` (in input-space length), `layer`, `unit` (of the knot between them, within the layer) and
    `sides`, how many sides they share: along a bent knot two regions can meet more than once, then `length` is the sum.
    """
    import networkx  # when it is asked for: it takes a while

    graph = networkx.Graph()
    table = {name: values.tolist() for name, values in region_table(partition).items()}
    table["u"], table["v"] = partition.centroids.T.tolist()
    names = list(table)
    graph.add_nodes_from((i, dict(zip(names, row, strict=True))) for i, row in enumerate(zip(*table.values(), strict=True)))
    ends = partition.local_vertices[partition.edges]
    lengths = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    inner = (partition.edge_faces >= 0).all(axis=1)
    rows = zip(
        partition.edge_faces[inner].tolist(), partition.edge_unit[inner].tolist(), lengths[inner].tolist(), strict=True
    )
    for (left, right), (layer, unit), length in rows:
        if graph.has_edge(left, right):
            known = graph.edges[left, right]
            known["length"] += length
            known["sides"] += 1
        else:
            graph.add_edge(left, right, length=length, layer=layer, unit=unit, sides=1)
    return graph


def to_shapely(partition: Partition, *, parts: bool = False) -> npt.NDArray[np.object_]:
    """(F,) shapely polygons in plane coordinates, counter-clockwise. parts: (P,), in the order of `part_table` instead."""
    if not parts:
        return _polygons(partition.vertices, partition.face_offsets, partition.face_vertices)
    found = partition.classes()
    polygons = _polygons(found.vertices + partition.centre, found.offsets, found.corners)
    return polygons[np.argsort(found.face, kind="stable")]


def _polygons(vertices: FloatArray, offsets: IntArray, ring: IntArray) -> npt.NDArray[np.object_]:
    import shapely

    counts, starts = np.diff(offsets), offsets[:-1]
    # A ring ends where it began: one more corner a face.
    ends = np.concatenate([[0], np.cumsum(counts + 1)])
    corners = np.empty(int(ends[-1]), dtype=np.int64)
    last = ends[1:] - 1
    inside = np.ones(len(corners), dtype=bool)
    inside[last] = False
    corners[inside], corners[last] = ring, ring[starts]
    rings = shapely.linearrings(vertices[corners], indices=np.repeat(np.arange(len(counts)), counts + 1))
    polygons: npt.NDArray[np.object_] = shapely.polygons(rings)
    return polygons


def to_geopandas(partition: Partition, *, parts: bool = False) -> Any:
    """A geopandas.GeoDataFrame: the columns of `region_table` and the polygons. Raises ImportError without geopandas.

    parts: those of `part_table` instead, a row for each part of one class. `pattern` is text (16 hex digits): few formats
    know unsigned 64-bit numbers.
    """
    geopandas = _library("geopandas")
    table: dict[str, Any] = dict(part_table(partition) if parts else region_table(partition))
    if not parts:
        table["pattern"] = [f"{key:016x}" for key in table["pattern"].tolist()]
    return geopandas.GeoDataFrame(table, geometry=to_shapely(partition, parts=parts), crs=None)


# ---- files -------------------------------------------------------------------------------------------


def save(partition: Partition, path: str | os.PathLike[str], *, fill: str = "slope") -> Path:
    """Write a partition in the format of the path's ending: .parquet, .geojson, .svg or .npz; returns the path.

    fill: colours of an SVG, as `draw.regions` takes them. The file is whole or absent.
    Raises PartitionError on another ending, ImportError when the format's library is missing.
    """
    target = Path(path)
    if target.suffix == ".npz":
        target.parent.mkdir(parents=True, exist_ok=True)
        partition.save(target)
    elif target.suffix in WRITERS:
        content = WRITERS[target.suffix](partition, fill)
        files.write(target, lambda stream: stream.write(content))
    else:
        known = ", ".join([*WRITERS, ".npz"])
        raise PartitionError(f"{target}: expected a file ending in {known}, got {target.suffix or 'no ending'}.")
    return target


def _parquet(partition: Partition, fill: str) -> bytes:
    _library("pyarrow")
    stream = io.BytesIO()
    to_geopandas(partition).to_parquet(stream, index=False)
    return stream.getvalue()


def _geojson(partition: Partition, fill: str) -> bytes:
    return str(to_geopandas(partition).to_json(drop_id=True)).encode()


def _svg(partition: Partition, fill: str) -> bytes:
    return to_svg(partition, fill=fill).encode()


WRITERS: dict[str, Callable[[Partition, str], bytes]] = {".parquet": _parquet, ".geojson": _geojson, ".svg": _svg}


def to_svg(partition: Partition, *, fill: str = "slope") -> str:
    """An SVG for drawing programs: one path per region, knots in one group per layer, the boundary, the anchors.

    fill: as `draw.regions` takes it. Every region's path has its number as id (`region-12`) and class, area and slope as
    data attributes; where classes are coloured, a region's other classes have paths of their own (`region-12-class-3`).
    v points up, as in the figures; about 150 bytes a region.
    """
    low, high = partition.window.min(axis=0), partition.window.max(axis=0)
    scale = SVG_SIDE / longer_side(partition.window)
    places = (partition.local_vertices - (low - partition.centre)) * scale
    width, height = ((high - low) * scale).tolist()
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.6g} {height:.6g}">',
        f"<title>{', '.join(filter(None, (f'{partition.num_regions:,} regions', partition.note)))}</title>",
        f'<g transform="matrix(1 0 0 -1 0 {height:.6g})" fill="none" stroke-linejoin="round">',
        *_svg_regions(partition, places, fill),
        *_svg_knots(partition, places),
    ]
    segments = (partition.decision_boundary() - low) * scale
    if len(segments):
        lines.append(_svg_lines("boundary", segments, "#e8000b", STROKE["boundary"]))
    lines.append('<g id="anchors" fill="white" stroke="black">')
    for u, v in ((partition.plane.anchors_uv.reshape(-1, 2) - low) * scale).tolist():
        lines.append(f'<circle cx="{u:.6g}" cy="{v:.6g}" r="6"/>')
    said = [f'<text x="4" y="{height - 4:.6g}" font-size="12">{partition.note}</text>'] if partition.note else []
    return "\n".join([*lines, "</g>", "</g>", *said, "</svg>", ""])


def _svg_regions(partition: Partition, places: npt.NDArray[np.float64], fill: str) -> list[str]:
    shades = fills.colors(partition, fill)[0]
    table = region_table(partition)
    text = [f"{u:.7g},{v:.7g}" for u, v in places.tolist()]
    corners, offsets = partition.face_vertices.tolist(), partition.face_offsets.tolist()
    lines = ['<g id="regions">']
    own = shades[: partition.num_regions].tolist()
    for i, (shade, kind, area, slope) in enumerate(
        zip(own, table["class"].tolist(), table["area"].tolist(), table["slope"].tolist(), strict=True)
    ):
        path = " ".join(text[k] for k in corners[offsets[i] : offsets[i + 1]])
        lines.append(
            f'<path id="region-{i}" fill="{to_hex(shade)}" data-class="{kind}" data-area="{area:.9g}" '
            f'data-slope="{slope:.9g}" d="M{path}Z"/>'
        )
    if len(shades) > partition.num_regions:  # classes: the other parts of regions that the boundary cuts, over them
        parts = partition.classes()
        scale = SVG_SIDE / float(np.ptp(partition.window, axis=0).max())
        low = partition.window.min(axis=0) - partition.centre
        for index in parts.extra.tolist():
            path = " ".join(f"{u:.7g},{v:.7g}" for u, v in ((parts.vertices[parts.part(index)] - low) * scale).tolist())
            name, kind = int(parts.face[index]), int(parts.label[index])
            lines.append(
                f'<path id="region-{name}-class-{kind}" fill="{to_hex(shades[index])}" data-class="{kind}" '
                f'data-area="{parts.areas[index]:.9g}" d="M{path}Z"/>'
            )
    return [*lines, "</g>"]


def _svg_knots(partition: Partition, places: npt.NDArray[np.float64]) -> list[str]:
    layers = partition.edge_unit[:, 0]
    lines = []
    for layer in range(fills.layer_count(partition)):
        chosen = layers == layer
        if chosen.any():
            path = partition.layer_paths[layer] if layer < len(partition.layer_paths) else ""
            ends = places[partition.edges[chosen]]
            lines.append(_svg_lines(f"knots-layer-{layer}", ends, "black", STROKE["knots"], path))
    return lines


def _svg_lines(name: str, ends: npt.NDArray[np.float64], color: str, width: float, title: str = "") -> str:
    """One path of separate segments (M, 2, 2)."""
    path = "".join(f"M{a:.7g},{b:.7g}L{c:.7g},{d:.7g}" for a, b, c, d in ends.reshape(-1, 4).tolist())
    note = f" data-module={quoteattr(title)}" if title else ""
    return f'<path id="{name}"{note} stroke="{color}" stroke-width="{width}" stroke-linecap="round" d="{path}"/>'
