"""Faces that become one, as a kernel does it."""

import numpy as np

from splineviz._kernels.dissolving import dissolve, faces_of_edges


def test_a_face_in_a_line_keeps_a_corner_that_would_go():
    # The middle of the side 0-1 of the sliver 0, 2, 1 has an edge below, which goes, and the sliver would be 0, 1 alone.
    uv = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, -1e-17], [0.5, -1.0], [0.5, 1.0]])
    edges = np.array([[0, 2], [2, 1], [1, 0], [0, 3], [3, 2], [3, 1], [1, 4], [4, 0]], np.int32)
    loops = [[0, 2, 1], [0, 3, 2], [2, 3, 1], [0, 1, 4]]
    way = {(a, b): 2 * e for e, (a, b) in enumerate(edges.tolist())} | {
        (b, a): 2 * e + 1 for e, (a, b) in enumerate(edges.tolist())
    }
    halves = np.array([way[a, b] for loop in loops for a, b in zip(loop, [*loop[1:], loop[0]], strict=True)], np.int32)
    offsets = np.arange(0, 13, 3, dtype=np.int32)
    beside = faces_of_edges(offsets, halves, len(edges))
    label, phantom = np.array([0, 1, 1, 2], np.int32), np.arange(len(edges)) == 4
    corner = np.array([True, True, False, True, True])
    found = dissolve(uv, edges, beside, offsets, np.concatenate(loops).astype(np.int32), label, 3, corner, phantom)
    joined, faces, sizes, kept, _, vertices, stray, torn = found
    assert not torn.any() and stray == 0 and np.diff(sizes).tolist() == [3, 4, 3] and len(joined) == 7
    assert sorted(vertices.tolist()) == [0, 1, 2, 3, 4]
    assert (faces[kept >> 1, kept & 1] == np.repeat(range(3), [3, 4, 3])).all()
