"""Identities: what arrays must hold to be a planar complex, before anything follows their ids.

    window (m, 2)   vertices, local_vertices (V, 2)   outputs (V, C)   centre (2,)   unit_offsets (layers + 1,)
    edges, edge_faces (E, 2)   edge_tag (E,)   face_offsets (F + 1,)   face_vertices   pattern_hash (F,)

Kernels follow ids without looking, so a file that anyone may have written is looked through first: shapes, types, finite
numbers, ids in range. That the pieces fit together (V - E + F = 1, areas) is `Partition.check`'s to say. Plain arrays alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from splineviz.errors import IntArray

ARRAYS = (
    "window",
    "vertices",
    "edges",
    "edge_tag",
    "edge_faces",
    "face_offsets",
    "face_vertices",
    "outputs",
    "pattern_hash",
    "unit_offsets",
    "centre",
    "local_vertices",
)
"""The arrays of a partition, by field name, as they stand in a file."""

DTYPES = {
    **dict.fromkeys(("window", "vertices", "outputs", "centre", "local_vertices"), np.float64),
    **dict.fromkeys(("edges", "edge_tag", "edge_faces", "face_offsets", "face_vertices"), np.int32),
    "pattern_hash": np.uint64,
    "unit_offsets": np.int64,
}
"""Their types."""


def misshapen(
    arrays: Mapping[str, npt.NDArray[Any]], paths: int, max_layers: Sequence[int], seed_face: int, seed: npt.NDArray[Any]
) -> str:
    """What the first wrong one of a partition's arrays should be, or nothing.

    paths: number of layers' names; max_layers: numbers of layers; seed_face, seed: a face and its pattern, packed bits.
    """
    if any(arrays[name].ndim == 0 for name in DTYPES) or not len(arrays["unit_offsets"]):
        return "arrays"
    vertices, edges, faces = len(arrays["vertices"]), len(arrays["edges"]), len(arrays["face_offsets"]) - 1
    outputs, offsets, flat = arrays["outputs"], arrays["unit_offsets"], arrays["face_vertices"]
    layers, columns = len(offsets) - 1, outputs.shape[1] if outputs.ndim == 2 else -1
    sizes = {
        "window": (len(arrays["window"]), 2), "vertices": (vertices, 2), "local_vertices": (vertices, 2), "centre": (2,),
        "outputs": (vertices, columns), "edges": (edges, 2), "edge_faces": (edges, 2), "edge_tag": (edges,),
        "face_offsets": (faces + 1,), "face_vertices": (len(flat),), "pattern_hash": (faces,), "unit_offsets": (layers + 1,),
    }  # fmt: skip
    for name, size in sizes.items():
        array, dtype = arrays[name], DTYPES[name]
        if array.shape != size or array.dtype != dtype:
            return f"{name} of shape {size} and type {np.dtype(dtype)}"
        if dtype is np.float64 and not np.isfinite(array).all():
            return f"finite {name}"
    units, face_offsets = int(offsets[-1]), arrays["face_offsets"]
    holds = {
        "a window of 3 or more corners": len(arrays["window"]) >= 3,
        "units in order": offsets[0] == 0 and (np.diff(offsets) >= 0).all(),
        "one or more faces of 3 or more vertices": faces >= 1
        and face_offsets[0] == 0
        and face_offsets[-1] == len(flat)
        and (np.diff(face_offsets.astype(np.int64)) >= 3).all(),
        "vertex ids in range": within(flat, 0, vertices) and within(arrays["edges"], 0, vertices),
        "face ids in range": within(arrays["edge_faces"], -1, faces),
        "units of edges in range": within(arrays["edge_tag"], -1, units),
        "a path for each layer": paths in (0, layers),
        "layers of maxima in range": all(0 <= i < layers for i in max_layers),
        "the pattern of one of its faces, a bit a unit": seed_face < 0
        or (seed_face < faces and seed.dtype == np.uint8 and seed.shape == (-(-units // 8),)),
    }
    return next((what for what, held in holds.items() if not held), "")


def within(ids: IntArray, low: int, high: int) -> bool:
    """Whether all ids lie in low..high - 1."""
    return not ids.size or bool(low <= ids.min() and ids.max() < high)
