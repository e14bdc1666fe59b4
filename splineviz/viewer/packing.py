r"""Packing: a Partition as few bytes, for a browser that draws it and finds regions in it.
Here too: the page's frame, and the order in which a walk round the faces meets the edges.

    head | vertices  corners  counts  units  slope  margin  class  pattern  active  outputs  boundary   deflated, once

    vertices  (2, V) 48-bit fixed point of the window's larger half side, in bytes by significance
    corners   (sum of counts,) vertex ids of the faces one after the other, each less that before it, signs folded in
    counts    (F,) corners of each face, uint8 (uint16 if one has more)
    units     (E,) the unit of each edge + 1 (0: the window's border), in the order in which edges are first met
              walking round the faces: the browser finds edges and neighbours itself
    slope     (F,) uint16 on a logarithmic scale between `low` and `high` of the head; 0 is 0
    margin, class (P,) of the parts that `geometry.faces` cuts the faces into, as slope, and uint8 or uint16: the first F
              are the faces' own, the others lie over them
    owner     (X,) the faces of the X others, ascending;  partcounts, partcorners: as counts and corners, of the others,
              where V + n is place n of `places`, (2, N) as vertices
    pattern   (F,) the top PATTERN bits of its hash; nothing where `seed` of the head, the whole hash of the first face,
              tells all others: whoever crosses an edge flips its unit
    active    (L, F) units that are on in each layer, + 1 (0: not known), each less that of the face before; of all layers
              together (L = 1) where there are more than ACTIVE_LIMIT
    outputs   (C, V) uint16 between the channel's least and largest, less what `predicting` tells of them from corners met
              before, signs folded in; only when there is room for them
    leads     (3, R) float32, where outputs are not: of each part, as many as `leadcounts` (P,) says, (value, d/dx, d/dy) of
              its class's lead over another, x, y in the frame, value at the mean of the face's corners: their least is
              the margin at a point
    boundary  (4, M) segments (u0, v0, u1, v1), as vertices

A number is split into its bytes and bytes of one significance stand together, since neighbours share the upper
ones. Fixed point of 48 bits is 4e-15 of the window: as fine as double precision holds coordinates. Everything is
little-endian. This file knows no browser, no network and no drawing.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from splineviz._kernels import bits, merging
from splineviz._kernels.measuring import predicting
from splineviz.errors import FloatArray
from splineviz.geometry import faces
from splineviz.geometry.partition import Partition
from splineviz.geometry.polygons import bounding_square

BITS = 48
PATTERN = 48
"""Bits of a hash by which the browser tells patterns apart; two sets of a million agree by chance once in 300 times."""
OUTPUTS_LIMIT = 16
"""Most output channels whose values at the vertices travel along: two bytes each a vertex."""
LEVELS = 65535.0
"""Of an output between its least and its largest value."""
ACTIVE_LIMIT = 12
"""Most layers whose numbers of units that are on travel along one by one."""

Bytes = npt.NDArray[np.uint8]
Levels = npt.NDArray[np.uint64]


def frame_of(partition: Partition) -> tuple[FloatArray, float]:
    """Middle (2,) of the slice, relative to the partition's centre, and half its larger side: the page's frame."""
    return bounding_square(partition.local_vertices)


def pack(partition: Partition, *, outputs: bool = True) -> bytes:
    """The partition as deflated bytes, as the module's docstring draws them.

    outputs: take the outputs along (never for more than OUTPUTS_LIMIT channels).
    """
    middle, half = frame_of(partition)
    places = (partition.local_vertices - middle) / half
    counts = np.diff(partition.face_offsets)
    segments = (partition.decision_boundary() - partition.centre - middle).reshape(-1, 4) / half
    channels = partition.outputs.shape[1]
    taken = partition.outputs if outputs and channels <= OUTPUTS_LIMIT else partition.outputs[:, :0]
    slope, slope_scale = _logarithmic(partition.slope_norms)
    parts = partition.classes()
    margin, margin_scale = _logarithmic(parts.margins)
    own, over = len(partition.vertices), int(parts.offsets[parts.faces])
    added = (parts.vertices[own:] - middle) / half
    lead_counts, leads = (parts.label[:0], np.empty((0, 3))) if taken.shape[1] else _leads(partition, half)
    units = edge_units(partition)
    levels, low, high = _linear(taken)
    fixed = _fixed(places.T)
    patterns, seed = _patterns(partition)
    corners = _folded(np.diff(partition.face_vertices.astype(np.int64), prepend=np.int64(0)).astype(np.int64))
    active = _active(partition)
    steps = np.diff(active, axis=1, prepend=0).astype(np.uint64)  # wraps round: the browser adds up the lower bytes
    columns: list[tuple[str, npt.NDArray[Any], int]] = [
        ("vertices", fixed, BITS // 8),
        ("corners", corners, _width(corners)),
        ("counts", counts.astype(np.uint64), _width(counts)),
        ("units", units, _width(units)),
        ("slope", slope, 2),
        ("margin", margin, 2),
        ("class", parts.label.astype(np.uint64), _width(parts.label)),
        ("owner", parts.face[parts.faces :].astype(np.uint64), _width(parts.face)),
        ("partcounts", np.diff(parts.offsets)[parts.faces :].astype(np.uint64), _width(np.diff(parts.offsets))),
        ("partcorners", parts.corners[over:].astype(np.uint64), _width(parts.corners)),
        ("places", _fixed(added.T), BITS // 8),
        ("pattern", patterns, PATTERN // 8),
        ("active", steps, _width(active)),
        ("outputs", _folded(_unpredicted(partition, fixed, levels)), 3),
        ("leadcounts", lead_counts.astype(np.uint64), _width(lead_counts)),
        ("leads", leads.T.astype("<f4").view("<u4").astype(np.uint64), 4),
        ("boundary", _fixed(segments.T), BITS // 8),
    ]
    head = {
        "vertices": len(partition.vertices), "edges": len(partition.edges), "faces": partition.num_regions,
        "corners": len(partition.face_vertices), "segments": len(segments), "channels": taken.shape[1],
        "layers": partition.unit_offsets.tolist(), "middle": (middle + partition.centre).tolist(), "half": half,
        "active": len(active), "slope": slope_scale, "margin": margin_scale, "low": low, "high": high, "seed": seed,
        "parts": len(parts.label), "places": len(added),
        "columns": [[name, int(np.size(values)), width] for name, values, width in columns],
    }  # fmt: skip
    text = json.dumps(head).encode()
    body = b"".join(_planes(values, width) for _, values, width in columns)
    return zlib.compress(len(text).to_bytes(4, "little") + text + body, 6)


def _leads(partition: Partition, half: float) -> tuple[npt.NDArray[Any], FloatArray]:
    """How many leads each part has (P,), and all of them (R, 3) in the frame."""
    parts = partition.classes()
    starts, rows = faces.leads(
        parts, partition.local_vertices, partition.face_offsets, partition.face_vertices, partition.outputs
    )
    moved = (partition.centroids - partition.centre)[parts.face] - parts.middles  # whose corners the browser knows
    rows[:, 0] += (rows[:, 1:] * np.repeat(moved, np.diff(starts), axis=0)).sum(axis=1)
    return np.diff(starts), np.ascontiguousarray(rows * np.array([1.0, half, half]))


def edge_units(partition: Partition) -> npt.NDArray[np.uint64]:
    """(E,) unit + 1 of every edge (0 on the border), in the order in which a walk round all faces first meets them."""
    corners = partition.face_vertices.astype(np.int64)
    offsets = partition.face_offsets.astype(np.int64)
    following = np.arange(1, len(corners) + 1)
    following[offsets[1:] - 1] = offsets[:-1]
    ends = np.sort(np.stack([corners, corners[following]]), axis=0)
    edges = np.sort(partition.edges.astype(np.int64), axis=1)
    span = len(partition.vertices)
    keys, walked = edges[:, 0] * span + edges[:, 1], ends[0] * span + ends[1]
    _, first = np.unique(walked, return_index=True)  # in order of keys; back to the order of the walk:
    met = walked[np.sort(first)]
    order = np.argsort(keys)
    found = order[np.searchsorted(keys[order], met)]
    return (partition.edge_tag[found].astype(np.int64) + 1).astype(np.uint64)


def _active(partition: Partition) -> npt.NDArray[np.int64]:
    """(L, F) numbers of units that are on + 1 and 0 where they are not known, of every layer or of all together."""
    active = partition.active_units.T.astype(np.int64)
    if len(active) > ACTIVE_LIMIT:
        active = np.where((active < 0).any(axis=0), -1, active.sum(axis=0))[None]
    return np.ascontiguousarray(active + 1)


def _patterns(partition: Partition) -> tuple[npt.NDArray[np.uint64], list[int] | None]:
    """(F,) tops of the patterns' hashes and None; or nothing and the first face's hash (upper, lower half), if it tells all.

    It does unless knots of several units fall on one edge, or a layer of maxima changes more than the edge's unit.
    """
    keys, inner = partition.pattern_hash, (partition.edge_faces >= 0).all(axis=1)
    word = bits.unit_hashes(0, int(partition.unit_offsets[-1]))
    flipped = keys[partition.edge_faces[inner, 0]] ^ keys[partition.edge_faces[inner, 1]]
    joined = merging.merge(len(keys), partition.edge_faces, inner)  # all faces are one by neighbours
    tags = partition.edge_tag[inner]
    if len(keys) and not joined.any() and (tags >= 0).all() and (word[tags] == flipped).all():
        return np.empty(0, np.uint64), [int(keys[0]) >> 32, int(keys[0]) & 0xFFFFFFFF]
    return keys >> np.uint64(64 - PATTERN), None


def _unpredicted(partition: Partition, fixed: Levels, levels: Levels) -> npt.NDArray[np.int64]:
    """(C, V) what is left of the outputs' levels (C, V) when all is taken away that corners met before tell of them."""
    if not levels.size or not partition.num_regions:
        return levels.astype(np.int64)
    offsets, corners = partition.face_offsets.astype(np.int64), partition.face_vertices.astype(np.int64)
    x, y = fixed.astype(np.float64) / 2.0 ** (BITS - 1) - 1.0
    order = predicting.walk(offsets, predicting.across(offsets, corners, len(partition.vertices)))
    return predicting.residuals(offsets, corners, order, x, y, np.ascontiguousarray(levels.T.astype(np.int64))).T


# ---- numbers as bytes --------------------------------------------------------------------------------


def _fixed(values: FloatArray) -> npt.NDArray[np.uint64]:
    """[-1, 1] -> BITS-bit fixed point."""
    scaled = np.rint((np.clip(values, -1.0, 1.0) + 1.0) * 2.0 ** (BITS - 1))
    return np.minimum(scaled, 2.0**BITS - 1).astype(np.uint64)


def _linear(values: FloatArray) -> tuple[npt.NDArray[np.uint64], list[float], list[float]]:
    """Columns (n, c) -> (c, n) levels of 16 bits, and what the least and the largest level stand for."""
    low, high = values.min(axis=0, initial=np.inf), values.max(axis=0, initial=-np.inf)
    span = np.where(high > low, high - low, 1.0)
    return np.rint((values - low) / span * LEVELS).T.astype(np.uint64), low.tolist(), (low + span).tolist()


def _logarithmic(values: FloatArray) -> tuple[npt.NDArray[np.uint64], list[float]]:
    """Values (n,) >= 0 -> levels 1 .. 65535 between the logarithms of the least positive and the largest; 0 for 0."""
    positive = values > 0
    if not positive.any():
        return np.zeros(len(values), dtype=np.uint64), [0.0, 0.0]
    logs = np.log(np.where(positive, values, values[positive].min()))
    low, high = float(logs.min()), float(logs.max())
    levels = 1 + np.rint((logs - low) / (high - low if high > low else 1.0) * 65534.0)
    return np.where(positive, levels, 0).astype(np.uint64), [low, high]


def _folded(values: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """0, -1, 1, -2, 2 ... as 0, 1, 2, 3, 4 ..., so that small numbers of either sign have small bytes."""
    return np.where(values < 0, -2 * values - 1, 2 * values).astype(np.uint64)


def _width(values: npt.NDArray[Any]) -> int:
    """Bytes that the largest value needs: 1, 2 or 4."""
    largest = int(values.max(initial=0))
    return 1 if largest < 256 else 2 if largest < 65536 else 4


def _planes(values: npt.NDArray[Any], width: int) -> bytes:
    """The lower `width` bytes of every number, all lowest bytes first, then all second, and so on."""
    flat = np.ascontiguousarray(values, dtype="<u8").reshape(-1)
    return flat.view(np.uint8).reshape(-1, 8)[:, :width].T.tobytes()
