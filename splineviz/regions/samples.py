"""Samples: a few random points of a partition against the network, on every partition that is made.

    a face at random, large ones more often -> a point of it -> one pass of the network -> pattern and outputs there

A point that is read otherwise than its face is looked at again with the certificate's measure of rounding; what that cannot
explain contradicts the partition. This proves nothing (`certificate` does), but a partition that is wrong on some share of
the window is found out before anybody looks at its picture.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from splineviz._kernels import certificates as _kernels
from splineviz.errors import FloatArray, PartitionError
from splineviz.geometry.partition import Partition
from splineviz.regions.blocks import MANY, release_memory
from splineviz.regions.witness import Ids, Witness
from splineviz.tracing.lowering import spans
from splineviz.tracing.program import Program

POINTS = 48
"""Points that are read."""
MOST_CORNERS = 512
"""Corners of their faces at which rounding is measured, at most."""
MOST_VERTICES = 4096
"""Vertices of the whole partition at which it is measured where that does not explain what outputs are off by, at most."""
CLOSE = 1e-9
"""Error of outputs, relative to the largest, below which no point is looked at again."""
SLACK = 64.0
"""Tolerances within which a value decides nothing; see `certificate.SLACK`."""


def checked(partition: Partition, program: Program) -> Partition:
    """The partition, with the number of contradicted points in its report.

    Raises PartitionError where there are some although the enumerator met nothing that it could not decide.
    """
    wrong = contradicted(partition, program.to(device="cpu"))
    if not wrong:
        return partition
    report = replace(partition.report, contradicted=wrong)
    if not report.near_zero + report.irregular_faces:
        raise PartitionError(
            f"partition: expected {POINTS} random points to have the patterns of their regions, got {wrong} that differ: "
            "regions are missing or wrong. Please report the network; a smaller window may help."
        )
    return replace(partition, report=report)


def contradicted(partition: Partition, program: Program) -> int:
    """How many of `POINTS` random points the network, on the CPU, reads otherwise than the faces that they are in."""
    if partition.unit_offsets[-1] > MANY:
        release_memory()
    witness = Witness(partition, program, program)
    local, face, expected = _points(partition)
    values, outputs = witness.values(witness.inputs(local), witness.program)
    claimed = partition.pattern_hash[face]

    def doubtful(off: FloatArray) -> Ids:
        pattern, _ = _read(witness, values, np.zeros(values.shape[1]))
        return np.flatnonzero((pattern != claimed) | ~(off <= CLOSE * np.abs(outputs).max(initial=0.0)).all(axis=1))

    doubt = doubtful(np.abs(outputs - expected))
    if witness.near is not None and len(doubt):  # what doubles contradict is read in digits, which cost a hundred times more
        local, face, expected, claimed = local[doubt], face[doubt], expected[doubt], claimed[doubt]
        values, outputs = witness.read(local)
        doubt = doubtful(np.abs(outputs - expected))
    if not len(doubt):
        return 0
    # What the corners hold was rounded as the network is there, and it may change more on their other sides.
    corners = np.unique(np.concatenate([partition.face(int(f)) for f in np.unique(face[doubt])]))[:MOST_CORNERS]
    witness.measure(np.concatenate([local, partition.window - partition.centre]))
    witness.measure(partition.local_vertices[corners])
    off, claimed = np.abs(outputs - expected)[doubt], claimed[doubt]
    pattern, words = _read(witness, values[doubt], SLACK * witness.tolerance)
    wrong = np.array([not spans(near, int(one ^ other)) for near, one, other in zip(words, pattern, claimed, strict=True)])
    if not wrong.all() and (off > SLACK * witness.output_tolerance).any():
        # What a corner holds came along lines from other vertices, and is as coarse as it was where it was largest.
        witness.measure(partition.local_vertices[:: len(partition.vertices) // MOST_VERTICES + 1])
    return int((wrong | (off > SLACK * witness.output_tolerance).any(axis=1)).sum())


def _points(partition: Partition) -> tuple[FloatArray, Ids, FloatArray]:
    """Points relative to the centre, the faces that they are in, and the outputs that these have there."""
    random = np.random.default_rng(0)
    whole = np.cumsum(partition.areas)
    face = np.minimum(np.searchsorted(whole, random.uniform(0.0, whole[-1], POINTS)), len(whole) - 1)
    sizes = np.diff(partition.face_offsets)[face]
    first = np.cumsum(sizes) - sizes
    corners = partition.face_vertices[np.arange(sizes.sum()) + np.repeat(partition.face_offsets[face] - first, sizes)]
    weights = random.standard_exponential(len(corners))  # by their sum: uniform mixtures of the corners
    weights /= np.repeat(np.add.reduceat(weights, first), sizes)
    local = np.add.reduceat(weights[:, None] * partition.local_vertices[corners], first)
    outputs = np.add.reduceat(weights[:, None] * partition.outputs[corners], first)
    return local, face, outputs


def _read(
    witness: Witness, values: FloatArray, limit: FloatArray
) -> tuple[npt.NDArray[np.uint64], list[list[int]]]:
    """Hashes of the patterns read at points, and what units within the limit (pieces,) of a knot may change in each."""
    kinks = len(witness.unit_hash)
    z = values[:, :kinks]
    pattern = np.array([np.bitwise_xor.reduce(witness.unit_hash[row > 0.0], initial=np.uint64(0)) for row in z], np.uint64)
    words: list[list[int]] = [[] for _ in z]
    own = limit[:kinks]
    for row, changes in zip(z if own.any() else z[:0], words, strict=False):
        near = (np.abs(row) <= own) & ((row != 0.0) | (own > 0.0))  # 0 for one, rounded for another
        changes += [int(h) for h in witness.unit_hash[near]]
    rows = np.arange(len(z))
    for layer in witness.layers:
        if layer.groups is None:
            continue
        there = slice(layer.first_piece, layer.first_piece + layer.groups.size)
        entries = np.ascontiguousarray(values[:, there].reshape(len(z), *layer.groups.shape))
        apart = limit[there].reshape(layer.groups.shape).max(axis=1) * 2.0
        winner, *_ = _kernels.read_groups(entries, entries, np.arange(len(z) + 1), rows, np.zeros(layer.units))
        number = layer.first_piece + np.arange(layer.units) * layer.groups.shape[1] + winner
        pattern ^= np.bitwise_xor.reduce(witness.piece_hash[number], axis=1)
        if apart.any():
            for i in rows.tolist():
                words[i] += _ties(witness, layer, entries[i], winner[i], apart)
    return pattern, words


def _ties(witness: Witness, layer: Any, entries: FloatArray, winner: Any, limit: FloatArray) -> list[int]:
    """Changes of a pattern's hash if other entries (groups, K) won, which nearly tie with the winners."""
    lead = np.take_along_axis(entries, winner[:, None].astype(np.int64), axis=1) - entries
    group, entry = np.nonzero((lead != 0.0) & (lead <= limit[:, None]))
    number = layer.first_piece + group * layer.groups.shape[1]
    return [int(h) for h in witness.piece_hash[number + entry] ^ witness.piece_hash[number + winner[group]] if h]
