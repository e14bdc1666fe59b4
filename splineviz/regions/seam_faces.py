r"""Seam faces: the faces along the seams of all tiles, and the edges that end there: where sewing decides what is one.

         seam
    +--+  |  +--+     Every part is looked at once, and only its faces along seams are kept: of N regions about the
    |  A=====B  |     square root of N. Then copies of seam edges are paired by key, edges between equal patterns are
    +--+  |  +--+     dropped, vertices that keep two edges go, and what is left is walked round anew.

What cannot be decided is refused and never guessed: an edge without a twin, a pattern on two regions that no edge
joins, a knot on a seam whose unit is not plain, a knot that ends at a seam. Rounding that differs between machines moves
a vertex in its last bits and is harmless; coordinates only confirm what the keys say.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from splineviz._kernels import collaring, merging
from splineviz.errors import FloatArray, IntArray, SeamError
from splineviz.regions.blocks import KeyArray
from splineviz.regions.parts import Part

APART = 1e-9
"""Largest distance of the two copies of a vertex, and of a vertex that goes from its line, of the window's diameter."""

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
REMEDY = "cut the window into other tiles, or into none."


@dataclass(eq=False)
class Settled:
    """What becomes of the parts' vertices, edges and faces, all parts in a row; bases (parts + 1, 3) says where each begins.

    new_vertex, new_face: numbers in the result (those of what they are united with); keep_*: whether they stand for
    themselves there; plain_face: faces away from the seams, whose corners are taken over as they are. first_edge:
    (parts,) number of each part's first edge. The rest is what `mend` writes over edges and faces along the seams.
    """

    count: int
    bases: Ids
    window: FloatArray
    width: int
    new_vertex: IntArray
    keep_vertex: Flags
    keep_edge: Flags
    new_face: IntArray
    keep_face: Flags
    plain_face: Flags
    first_edge: Ids
    face_offsets: IntArray
    mended_edges: tuple[Ids, IntArray, IntArray, IntArray]
    mended_corners: tuple[Ids, IntArray]

    @property
    def vertices(self) -> int:
        """Number of vertices of the result."""
        return int(self.keep_vertex.sum())

    @property
    def edges(self) -> int:
        """Number of edges of the result."""
        return int(self.keep_edge.sum())

    @property
    def faces(self) -> int:
        """Number of faces of the result."""
        return int(self.keep_face.sum())

    def mend(self, edges: IntArray, edge_faces: IntArray, tag: IntArray, corners: IntArray) -> None:
        """Write ends, faces and units of the edges, and corners of the faces, along seams."""
        at, ends, faces, units = self.mended_edges
        edges[at] = ends
        edge_faces[at] = np.where(faces == ELSEWHERE, edge_faces[at], faces)
        tag[at] = units
        spots, vertices = self.mended_corners
        corners[spots] = vertices


ELSEWHERE = -2
"""A face that is not along a seam, so not in the collar."""


@dataclass(eq=False)
class _Piece:
    """One part's share of the collar, numbered within the part; see Collar."""

    sizes: tuple[int, int, int]
    faces: Ids
    edges: Ids
    vertices: Ids
    ends: IntArray
    sides: IntArray
    tag: IntArray
    key: KeyArray
    hashes: KeyArray
    uv: FloatArray
    corner: Flags
    loop_sizes: Ids
    loop_halves: Ids
    piece_offsets: IntArray
    piece_hash: KeyArray
    piece_unit: IntArray
    piece_rank: Ids
    all_offsets: IntArray


@dataclass(eq=False)
class Collar:
    """Collects the faces along seams (`look`, once a part), then decides (`settle`). Raises SeamError."""

    count: int = 0
    _slice: str = ""
    _window: FloatArray = field(default_factory=lambda: np.empty((0, 2)))
    _width: int = 0
    _pieces: dict[int, _Piece] = field(default_factory=dict)

    # ---- looking -----------------------------------------------------------------------------------

    def look(self, part: Part) -> None:
        """Take what lies along the seams of one part."""
        found = part.partition
        if not self._pieces:
            self.count, self._slice, self._window = part.count, part.slice, part.window
            self._width = found.outputs.shape[1]
        if (part.slice, part.count) != (self._slice, self.count):
            raise SeamError(
                f"parts: expected tiles of one slice of one network, got tile {part.index + 1} of another network, plane, "
                "window, grid or tolerance; enumerate all of them alike."
            )
        self._pieces[part.index] = _piece(part)

    # ---- deciding ----------------------------------------------------------------------------------

    def settle(self) -> Settled:
        """Pair, drop, straighten and walk; see the module."""
        self._gather()
        dropped = self._pair()
        label, names = self._merge(dropped)
        gone, same, joined = self._straighten(dropped, label)
        following = collaring.followers(self.loop_offsets, self.loop_halves, len(self.ends))
        offsets, corners, torn = collaring.walk(
            self.loop_offsets, self.loop_halves, label, len(names), following, self.ends, dropped, gone
        )
        if torn >= 0:
            raise SeamError(
                f"seams: expected a region with one border, got one with several (in {self._where(names[torn])}); {REMEDY}"
            )
        return self._settled(dropped, label, names, gone, same, joined, offsets, corners)

    def _gather(self) -> None:
        """All pieces in one row: positions in the collar instead of numbers within a part."""
        pieces = [self._pieces.pop(i) for i in range(self.count)]
        self.bases = np.cumsum([(0, 0, 0), *(piece.sizes for piece in pieces)], axis=0).astype(np.int64)
        if self.bases[-1].max() >= 2**31 - 1:
            raise SeamError("window: expected fewer than 2^31 vertices, edges and faces, got more; choose a smaller window.")
        v, e, f = (
            np.cumsum([0, *(len(getattr(piece, name)) for piece in pieces)]) for name in ("vertices", "edges", "faces")
        )
        rows = list(enumerate(pieces))
        self.vertices = np.concatenate([p.vertices + self.bases[i, 0] for i, p in rows])
        self.edges = np.concatenate([p.edges + self.bases[i, 1] for i, p in rows])
        self.faces = np.concatenate([p.faces + self.bases[i, 2] for i, p in rows])
        self.ends = np.concatenate([p.ends + v[i] for i, p in rows]).astype(np.int32)
        self.sides = np.concatenate([np.where(p.sides >= 0, p.sides + f[i], p.sides) for i, p in rows]).astype(np.int32)
        self.tag, self.key, self.hashes, self.uv, self.corner = (
            np.concatenate([getattr(p, name) for p in pieces]) for name in ("tag", "key", "hashes", "uv", "corner")
        )
        sizes = np.concatenate([p.loop_sizes for p in pieces])
        self.loop_offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
        self.loop_halves = np.concatenate([p.loop_halves + 2 * e[i] for i, p in rows]).astype(np.int32)
        self.piece_hash, self.piece_unit, self.piece_rank = (
            np.concatenate([getattr(p, name) for p in pieces]) for name in ("piece_hash", "piece_unit", "piece_rank")
        )
        listed = np.concatenate([np.diff(p.piece_offsets) for p in pieces])
        self.piece_offsets = np.concatenate([[0], np.cumsum(listed)])
        self.seams = np.flatnonzero(self.key)
        self._face_sizes = np.concatenate([np.diff(p.all_offsets) for p in pieces])
        self._of_face = f

    def _where(self, face: int) -> str:
        """The tile of a face of the collar, for messages."""
        return f"tile {int(np.searchsorted(self._of_face, face, side='right'))} of {self.count}"

    def _pair(self) -> Flags:
        """Make the two copies of every seam edge one; whether each edge goes, as a copy or between equal patterns."""
        order = self.seams[np.argsort(self.key[self.seams], kind="stable")]
        keys = self.key[order]
        lonely = np.ones(len(keys), bool)
        lonely[1:] &= keys[1:] != keys[:-1]
        lonely[:-1] &= keys[1:] != keys[:-1]
        if len(keys) % 2 or lonely.any() or (keys[::2] != keys[1::2]).any() or (keys[1:-1:2] == keys[2::2]).any():
            e = order[np.argmax(lonely)] if len(keys) else 0
            where = self._where(int(self.sides[e].max()))
            raise SeamError(
                f"seams: expected every seam to be cut alike on both sides, got {int(lonely.sum())} edges alone (as "
                f"in {where}); were tiles enumerated on machines that round differently? {REMEDY}"
            )
        first, second = order[::2], order[1::2]
        facing = self.sides[first], self.sides[second]
        diameter = float(np.linalg.norm(np.ptp(self._window, axis=0)))
        gap = np.abs(self.uv[self.ends[first]] - self.uv[self.ends[second]]).max(initial=0.0)
        opposite = ((facing[0] >= 0).sum(axis=1) == 1) & ((facing[0] >= 0) == (facing[1] < 0)).all(axis=1)
        if not opposite.all() or gap > APART * diameter:
            raise SeamError(f"seams: expected twins that lie face to face, got some {gap:.3g} apart; {REMEDY}")
        same_vertex = np.arange(len(self.vertices)).astype(np.int32)
        collaring.unite(first.astype(np.int32), second.astype(np.int32), self.ends, same_vertex)
        self.same_vertex = same_vertex
        self.ends = same_vertex[self.ends]
        np.logical_or.at(self.corner, same_vertex, self.corner.copy())
        self.copy = np.zeros(len(self.edges), bool)
        self.copy[second] = True
        twin = np.arange(len(self.edges), dtype=np.int32)
        twin[second] = first
        self.loop_halves = 2 * twin[self.loop_halves >> 1] + (self.loop_halves & 1)
        self.sides[first] = np.maximum(*facing)
        dropped = self.copy.copy()
        beside = self.hashes[self.sides[first]]
        dropped[first] = beside[:, 0] == beside[:, 1]
        for i in np.flatnonzero(~dropped[first]):
            self.tag[first[i]] = self._unit_between(first[i], second[i], beside[i, 0] ^ beside[i, 1])
        return dropped

    def _unit_between(self, edge: int, twin: int, gap: np.uint64) -> int:
        """The unit whose knot lies on a seam edge: the first to cut of those whose piece holds on one side alone."""
        lists = [slice(*self.piece_offsets[i : i + 2]) for i in np.searchsorted(self.seams, (edge, twin))]
        pieces, units, rank = (
            np.concatenate([flat[one] for one in lists]) for flat in (self.piece_hash, self.piece_unit, self.piece_rank)
        )
        once = np.isin(pieces, np.setxor1d(self.piece_hash[lists[0]], self.piece_hash[lists[1]]))
        if not once.any() or np.bitwise_xor.reduce(pieces[once]) != gap:
            where = self._where(int(self.sides[edge].max()))
            raise SeamError(
                "seams: expected to know the unit whose knot lies on a seam, got patterns that differ in others (in "
                f"{where}); {REMEDY}"
            )
        return int(units[once][np.argmin(rank[once])])

    def _merge(self, dropped: Flags) -> tuple[IntArray, Ids]:
        """The merged face of every face, and the first face of each. Raises if a pattern stands on two of them."""
        between = dropped & ~self.copy
        label = merging.merge(len(self.faces), self.sides, between)
        _, names = np.unique(label, return_index=True)
        _, first, counts = np.unique(self.hashes[names], return_index=True, return_counts=True)
        if (counts > 1).any():
            raise SeamError(
                f"seams: expected every pattern on one region, got one on two that no edge joins (in "
                f"{self._where(int(names[first[np.argmax(counts > 1)]]))}); {REMEDY}"
            )
        return label, names.astype(np.int64)

    def _straighten(self, dropped: Flags, label: IntArray) -> tuple[Flags, IntArray, IntArray]:
        """Which vertices go, each edge's representative, and the ends of those."""
        degree, incident = collaring.count_kept(self.ends, dropped, len(self.vertices))
        on_seam = np.zeros(len(self.vertices), bool)
        on_seam[self.ends[self.seams]] = True
        gone = on_seam & ~self.corner & (degree == 2)
        pairs = incident[gone]
        at = np.flatnonzero(gone)
        beyond = np.where(self.ends[pairs, 0] == at[:, None], self.ends[pairs, 1], self.ends[pairs, 0])
        a, b = self.uv[beyond[:, 0]] - self.uv[at], self.uv[beyond[:, 1]] - self.uv[at]
        span = np.linalg.norm(a - b, axis=1)
        off = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / np.where(span > 0, span, 1.0)
        diameter = float(np.linalg.norm(np.ptp(self._window, axis=0)))
        same, joined, loop = collaring.straighten(self.ends, incident, dropped, gone)
        sides = np.sort(np.where(self.sides >= 0, label[np.maximum(self.sides, 0)], self.sides), axis=1)
        chain = np.flatnonzero(same != np.arange(len(same)))
        to = same[chain]
        wrong = (
            (on_seam & (degree == 1)).any()
            or (off > APART * diameter).any()
            or loop >= 0
            or (self.tag[chain] != self.tag[to]).any()
            or (sides[chain] != sides[to]).any()
        )
        if wrong:
            raise SeamError(
                f"seams: expected knots that go on straight across a seam, got one that ends or bends there; {REMEDY}"
            )
        # Vertices without any edge left go as well.
        return gone | (on_seam & (degree == 0)), same, joined

    def _settled(
        self, dropped: Flags, label: IntArray, names: Ids, gone: Flags, same: IntArray, joined: IntArray,
        offsets: IntArray, corners: IntArray,
    ) -> Settled:  # fmt: skip
        vertices, edges, faces = self.bases[-1].tolist()
        keep_vertex = np.ones(vertices, bool)
        keep_vertex[self.vertices[gone | (self.same_vertex != np.arange(len(gone)))]] = False
        new_vertex = np.cumsum(keep_vertex, dtype=np.int32) - 1
        new_vertex[self.vertices] = new_vertex[self.vertices[self.same_vertex]]
        keep_face, plain = np.ones(faces, bool), np.ones(faces, bool)
        keep_face[self.faces], plain[self.faces] = False, False
        keep_face[self.faces[names]] = True
        new_face = np.cumsum(keep_face, dtype=np.int32) - 1
        new_face[self.faces] = new_face[self.faces[names[label]]]
        keep_edge = np.ones(edges, bool)
        stands = ~dropped & (same == np.arange(len(same)))
        keep_edge[self.edges[~stands]] = False
        number = np.cumsum(keep_edge, dtype=np.int32) - 1
        sizes = self._face_sizes.astype(np.int64)
        sizes[self.faces[names]] = np.diff(offsets)
        face_offsets = np.concatenate([[0], np.cumsum(sizes[keep_face])])
        if face_offsets[-1] >= 2**31 - 1:
            raise SeamError("window: expected fewer than 2^31 face corners, got more; choose a smaller window.")
        at = face_offsets[new_face[self.faces[names]]]
        spots = np.repeat(at - offsets[:-1], np.diff(offsets)) + np.arange(offsets[-1])
        sides = self.sides[stands]
        beside = np.where(sides >= 0, new_face[self.faces[np.maximum(sides, 0)]], sides)
        ends = new_vertex[self.vertices[joined[stands]]]
        return Settled(
            count=self.count,
            bases=self.bases,
            window=self._window,
            width=self._width,
            new_vertex=new_vertex,
            keep_vertex=keep_vertex,
            keep_edge=keep_edge,
            new_face=new_face,
            keep_face=keep_face,
            plain_face=plain,
            first_edge=np.concatenate([[0], np.cumsum(np.add.reduceat(keep_edge, self.bases[:-1, 1]))]),
            face_offsets=face_offsets.astype(np.int32),
            mended_edges=(number[self.edges[stands]], ends, beside, self.tag[stands]),
            mended_corners=(spots, new_vertex[self.vertices[corners]]),
        )


def _piece(part: Part) -> _Piece:
    """What lies along the seams of one part."""
    found = part.partition
    seams = part.seam_edges.astype(np.int64)
    edges, sides = found.edges, found.edge_faces  # of the whole part, so as they are: half the bytes of Ids
    faces = np.unique(sides[seams].max(axis=1)).astype(np.int64)
    here = np.zeros(found.num_regions + 1, bool)  # one more: -1 is nowhere
    here[faces] = True
    on_seam = np.zeros(len(found.vertices), bool)
    on_seam[edges[seams]] = True
    near = here[sides[:, 0]]
    for column in (here[sides[:, 1]], on_seam[edges[:, 0]], on_seam[edges[:, 1]]):
        near |= column
    chosen = np.flatnonzero(near)
    ends, beside = edges[chosen].astype(np.int64), sides[chosen].astype(np.int64)
    vertices = np.unique(ends)
    starts = found.face_offsets[faces].astype(np.int64)
    sizes = found.face_offsets[faces + 1] - starts
    flat = np.arange(sizes.sum()) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
    # The half-edge at each corner: the one that leaves it with the face on its left.
    many = len(found.vertices)
    leaving = (beside * many + ends).reshape(-1)
    leaving[(beside < 0).reshape(-1)] = -1
    order = np.argsort(leaving, kind="stable")
    wanted = np.repeat(faces, sizes) * many + found.face_vertices[flat]
    place = np.minimum(np.searchsorted(leaving[order], wanted), max(len(order) - 1, 0))
    halves = order[place] if len(order) else place
    if len(halves) and (leaving[halves] != wanted).any():
        raise SeamError(
            f"parts: expected every side of a face to be an edge, got others in tile {part.index + 1}; enumerate it anew."
        )
    key = np.zeros(len(chosen), np.uint64)
    key[np.searchsorted(chosen, seams)] = part.seam_keys
    corner = np.zeros(len(vertices), bool)
    corner[np.isin(vertices, part.corners)] = True
    local = np.where(here[beside], np.searchsorted(faces, beside), np.where(beside < 0, -1, ELSEWHERE))
    return _Piece(
        sizes=(many, len(found.edges), found.num_regions),
        faces=faces,
        edges=chosen,
        vertices=vertices,
        ends=np.searchsorted(vertices, ends).astype(np.int32),
        sides=local.astype(np.int32),
        tag=found.edge_tag[chosen],
        key=key,
        hashes=found.pattern_hash[faces],
        uv=found.local_vertices[vertices],
        corner=corner,
        loop_sizes=sizes,
        loop_halves=halves,
        piece_offsets=part.piece_offsets,
        piece_hash=part.piece_hash,
        piece_unit=part.piece_unit,
        piece_rank=part.piece_rank,
        all_offsets=found.face_offsets,
    )
