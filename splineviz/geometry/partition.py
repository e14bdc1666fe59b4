r"""Partition: the planar complex of a slice, and its invariants.
Also the words for functions that it was drawn with in the place of others.

        b                       vertices (V, 2)     plane coordinates
       /|\        f0, f1: faces edges (E, 2)        vertex ids, directed a -> b
      / | \                     edge_faces (E, 2)   left and right of a -> b, -1 outside the window
    f0  |  f1                   face_offsets (F+1,), face_vertices: counter-clockwise, flat
      \ | /                     edge_tag (E,)       the unit whose knot the edge lies on, -1 on the border
       \|/
        a                       outputs (V, C)      the network's outputs at the vertices

Every face is an activation region: no unit changes its piece inside it. The network's output is
affine on it, so its slope on the slice follows exactly from the outputs at its vertices.
A unit is numbered through all kink layers; `unit_offsets` tells where a layer begins.
Far from the plane's origin `vertices` are coarse, so geometry uses `local_vertices`, which are relative to `centre`.

This file does not know torch and does not draw. A face without area (thinner than rounding) is kept:
it counts as a region, its slope may be undefined (0 is returned, see `slopes`).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from splineviz._kernels import bits, merging, patterns
from splineviz._kernels import faces as _faces
from splineviz.errors import FloatArray, IntArray, PartitionError
from splineviz.geometry import boundary, doors, faces, slopes
from splineviz.geometry.invariants import ARRAYS, misshapen
from splineviz.geometry.plane import Plane
from splineviz.geometry.polygons import area_gap, polygon_area
from splineviz.geometry.report import Report
from splineviz.storage import archives, files

FORMAT = 1
ROUNDING = 2.0**-46
"""Error of the outputs at the vertices, relative to the largest output on the slice (64 units of rounding)."""


@dataclass(frozen=True, eq=False)
class LinearRegions:
    """label: (F,) int32, the linear region of each activation region; count: how many there are.

    undecided: edges whose faces are too thin to tell whether the slope changes, or in a window where the outputs differ by
    no more than their rounding; they were not merged.
    """

    label: IntArray
    count: int
    undecided: int


@dataclass(frozen=True, eq=False)
class Partition:
    """All activation regions of a network on a window of a plane. Fields as drawn in the module's docstring.

    window: (m, 2) counter-clockwise; pattern_hash: (F,) uint64, equal for equal activation patterns.
    layer_paths: the module path of each kink or max layer; unit_offsets: (layers + 1,) first unit of each layer.
    max_layers: which of the layers take maxima; a unit of theirs is an output, and its knots are where another entry wins.
    centre: (2,) the point that local_vertices (V, 2) are relative to.
    swaps: smooth functions of the network, each with the one it is drawn as (see `swaps`); every picture says so.
    seed_face, seed_pattern: one region, and its units that are on as packed bits (uint8); -1 and empty where not known.
    output_scale: (C,) size of what each output is summed from, which may cancel; or empty.
    """

    plane: Plane
    window: FloatArray
    vertices: FloatArray
    edges: IntArray
    edge_tag: IntArray
    edge_faces: IntArray
    face_offsets: IntArray
    face_vertices: IntArray
    outputs: FloatArray
    pattern_hash: npt.NDArray[np.uint64]
    unit_offsets: npt.NDArray[np.int64]
    layer_paths: tuple[str, ...] = ()
    max_layers: tuple[int, ...] = ()
    report: Report = field(default_factory=Report)
    centre: FloatArray = field(default_factory=lambda: np.zeros(2))
    local_vertices: FloatArray = field(default_factory=lambda: np.empty((0, 2)))
    swaps: Mapping[str, str] = field(default_factory=dict)
    seed_face: int = -1
    seed_pattern: npt.NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    output_scale: FloatArray = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        if len(self.local_vertices) != len(self.vertices):  # not given: far windows give it, small ones need not
            object.__setattr__(self, "local_vertices", self.vertices - self.centre if self.centre.any() else self.vertices)

    def __repr__(self) -> str:
        shape = f"{self.num_regions:,} regions, {len(self.vertices):,} vertices, {len(self.edges):,} edges"
        return f"Partition({shape}, {self.outputs.shape[1]} outputs)"

    @property
    def note(self) -> str:
        """What a picture must say of the network, such as "gelu drawn as relu"; mostly nothing."""
        return drawn_as(self.swaps)

    # ---- counts and geometry -----------------------------------------------------------------------

    @property
    def num_regions(self) -> int:
        """Number of activation regions (maximal convex cells on which no unit changes its piece)."""
        return len(self.face_offsets) - 1

    @property
    def edge_unit(self) -> IntArray:
        """(E, 2) int32: kink layer and unit within the layer of each edge; (-1, -1) on the window's border."""
        layer = np.searchsorted(self.unit_offsets, self.edge_tag, side="right") - 1
        unit = self.edge_tag - self.unit_offsets[np.maximum(layer, 0)]
        border = self.edge_tag < 0
        return np.stack([np.where(border, -1, layer), np.where(border, -1, unit)], axis=1).astype(np.int32)

    @cached_property
    def areas(self) -> FloatArray:
        """(F,) area of every region, in squared input-space length, from differences to a vertex of the face."""
        return _faces.face_areas(self.local_vertices, self.face_offsets, self.face_vertices)

    @cached_property
    def centroids(self) -> FloatArray:
        """(F, 2) mean of every face's vertices, a point inside it, in plane coordinates."""
        return _faces.face_means(self.local_vertices, self.face_offsets, self.face_vertices) + self.centre

    @cached_property
    def slopes(self) -> FloatArray:
        """(F, C, 2) slope of the output on the slice: d output / d(u, v) on every region.

        Exact up to rounding: from three vertices of the face that span the largest triangle fan entry.
        A face without area gets slope 0.
        """
        return _faces.face_slopes(self.local_vertices, self.face_offsets, self.face_vertices, self.outputs)

    @cached_property
    def slope_norms(self) -> FloatArray:
        """(F,) Frobenius norm of every region's slope on the slice; 0 where what was computed is noise alone.

        That is: not above the error that rounding of the outputs makes in a region of this shape, where the error is far
        below the largest slope. A region too thin to tell keeps what was computed.
        """
        norms, error = _faces.face_slope_norms(
            self.local_vertices, self.face_offsets, self.face_vertices, self.outputs, self.areas, self.output_rounding
        )
        return np.where((norms <= error) & (error <= merging.FLAT * norms.max()), 0.0, norms)

    def face(self, index: int) -> IntArray:
        """Vertex ids of one face, counter-clockwise."""
        return self.face_vertices[self.face_offsets[index] : self.face_offsets[index + 1]]

    @cached_property
    def active_units(self) -> IntArray:
        """(F, layers) int32: how many units of each kink layer are on (their input is above their breakpoint) in a region.

        From the pattern of one region: every edge that is crossed flips its unit. -1 where that is not known: in networks
        with maxima, in a partition that was saved without that pattern, and where several knots that fall on one line
        hide which units they are of.
        """
        units, layers = int(self.unit_offsets[-1]), len(self.unit_offsets) - 1
        active = np.full((self.num_regions, layers), -1, np.int32)
        if self.seed_face >= 0 and layers:
            word = bits.unit_hashes(0, units)
            order = np.argsort(word)
            layer = np.repeat(np.arange(layers), np.diff(self.unit_offsets))
            state, seed = np.unpackbits(self.seed_pattern, count=units), self.seed_face
            patterns.walk(
                self.edge_faces, self.edge_tag, self.pattern_hash, seed, state, layer, word, word[order], order, active
            )
        return active

    @cached_property
    def linear_regions(self) -> LinearRegions:
        """The activation regions merged wherever the output's slope does not change across their common edge.

        An activation region (Hanin and Rolnick 2019; what SplineCam draws) is a cell on which no unit changes its piece;
        a linear region is a maximal connected set on which the output is one affine map, so there are never more of them.
        """
        verdict = self.slope_jumps[2]
        label = merging.merge(self.num_regions, self.edge_faces, verdict == 0)
        return LinearRegions(label, int(label.max()) + 1, int((verdict == 2).sum()))

    @cached_property
    def slope_jumps(self) -> tuple[FloatArray, FloatArray, npt.NDArray[np.int8]]:
        """Of every edge (E,): norm of the jump of the outputs' slope across it, its rounding, and a verdict: 1 if it
        jumps, 0 if not, 2 if a face is too thin to tell, -1 on the border. See `measures.gradient_jumps`.
        """
        ring = self.face_offsets, self.face_vertices
        return slopes.jumps(
            self.local_vertices, self.edges, self.edge_faces, *ring, self.outputs, self.output_rounding
        )

    @property
    def output_rounding(self) -> FloatArray:
        """(C,) error of the outputs at the vertices, at most."""
        largest = np.abs(self.outputs).max(axis=0)
        return ROUNDING * (np.maximum(largest, self.output_scale) if self.output_scale.size else largest)

    # ---- decision boundary -------------------------------------------------------------------------

    def decision_boundary(self, level: float = 0.0) -> FloatArray:
        """Segments (M, 2, 2), in plane coordinates, where the arg-max of the outputs changes.

        For a network with one output: where it crosses `level`. A tie that holds on a whole region is no boundary.
        """
        return self.boundary_at(level).segments + self.centre

    def boundary_at(self, level: float = 0.0) -> boundary.Boundary:
        """The decision boundary with its faces and classes; its segments are relative to `centre`. That of 0 is kept."""
        return self._boundary if level == 0.0 else self._boundary_at(level)

    @cached_property
    def _boundary(self) -> boundary.Boundary:
        return self._boundary_at(0.0)

    def _boundary_at(self, level: float) -> boundary.Boundary:
        return boundary.decision_boundary(
            self.local_vertices, self.edges, self.edge_faces, self.face_offsets, self.face_vertices, self.outputs, level
        )

    def classes(self, level: float = 0.0) -> faces.Classes:
        """The regions cut along the decision boundary: parts with one class each, their areas, shares and margins.

        For a network with one output: class 0 up to `level`, class 1 above. The parts of level 0 are kept.
        """
        return self._classes if level == 0.0 else self._classes_at(level)

    @cached_property
    def _classes(self) -> faces.Classes:
        return self._classes_at(0.0)

    def _classes_at(self, level: float) -> faces.Classes:
        return faces.classes(self.local_vertices, self.face_offsets, self.face_vertices, self.outputs, level)

    # ---- certificate -------------------------------------------------------------------------------

    def to_shapely(self) -> npt.NDArray[np.object_]:
        """(F,) shapely polygons of the regions, in plane coordinates; polygon i is face i."""
        polygons: npt.NDArray[np.object_] = _door().export.to_shapely(self)
        return polygons

    def to_networkx(self) -> Any:
        """The dual graph as a networkx.Graph: one node per region, an edge where two share a side (`export.to_networkx`)."""
        return _door().export.to_networkx(self)

    def verify(self, model: Any, **options: Any) -> doors.CertificateReport:
        """Prove the partition against the model, independently of the enumerator; see `sv.verify`.

        Raises CertificateError naming the face and the check that failed.
        """
        return doors.verify(self, model, **options)

    def certificate(self, path: str | os.PathLike[str], model: Any) -> None:
        """Write the partition and its network as plain arrays that `docs/check_certificate.py` proves with numpy alone.

        model: the network that it is of. Raises CertificateError for one that has no such form (maxima).
        """
        doors.write_certificate(path, self, model)

    # ---- notebooks -----------------------------------------------------------------------------------

    def _repr_png_(self) -> bytes:
        return doors.partition_png(self)

    def _repr_html_(self) -> str:
        return doors.partition_html(self)

    # ---- files -------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], *, made: Mapping[str, Any] | None = None) -> None:
        """Write the partition to an .npz file, under a temporary name first: the file is whole or absent.

        made: JSON-ready, what it was made of and by; kept in the file, see `provenance.of_partition`.
        """
        files.write_arrays(Path(path), self.as_arrays(made), compressed=False)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Partition:
        """Read what `save` wrote. Raises PartitionError when the file is not a whole partition of this format."""
        try:
            return cls.from_arrays(archives.read_npz(path))
        except FileNotFoundError:
            raise
        except PartitionError as error:
            raise PartitionError(f"{path}: {error}; delete the file and draw it anew.") from error
        except (OSError, ValueError) as error:
            raise PartitionError(
                f"{path}: expected a partition written by splineviz, got {error}; delete the file and draw it anew."
            ) from error

    def as_arrays(self, made: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """All of it as named arrays; made: as `save` takes it."""
        meta = {
            "format": FORMAT,
            "layer_paths": list(self.layer_paths),
            "max_layers": list(self.max_layers),
            "report": self.report.lasting(),
            "swaps": dict(self.swaps),
            "made": dict(made or {}),
        }
        arrays: dict[str, Any] = {name: getattr(self, name) for name in ARRAYS}
        arrays |= {name: getattr(self.plane, name) for name in ("origin", "basis", "anchors_uv")}
        given = {"samples": self.plane.samples, "output_scale": self.output_scale}
        arrays |= {name: array for name, array in given.items() if array.size}
        return arrays | {
            "seed_face": np.array(self.seed_face),
            "seed_pattern": self.seed_pattern,
            "meta": np.array(json.dumps(meta)),
        }

    @classmethod
    def from_arrays(cls, data: Mapping[str, npt.NDArray[Any]]) -> Partition:
        """The partition that `as_arrays` took apart, checked. Raises PartitionError when the arrays do not make one."""
        try:
            meta: dict[str, Any] = json.loads(str(data["meta"]))
            if meta["format"] != FORMAT:
                raise PartitionError(f"expected partition format {FORMAT}, got {meta['format']}")
            samples, scale = (data[name] if name in data else np.empty(0) for name in ("samples", "output_scale"))
            partition = cls(
                Plane(data["origin"], data["basis"], data["anchors_uv"], samples),
                **{name: data[name] for name in ARRAYS},
                seed_face=int(data["seed_face"]) if "seed_face" in data else -1,
                seed_pattern=data["seed_pattern"] if "seed_face" in data else np.empty(0, np.uint8),
                layer_paths=tuple(str(path) for path in meta["layer_paths"]),
                max_layers=tuple(int(i) for i in meta.get("max_layers", ())),
                report=Report.read(meta["report"]),
                swaps=_words(meta.get("swaps", {})),
                output_scale=scale,
            )
        except PartitionError:
            raise
        except (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            got = f"{type(error).__name__}: {error}"
            raise PartitionError(f"expected a partition written by splineviz, got {got}") from error
        partition.check()
        return partition

    def check(self) -> None:
        """The cheap identities: shapes, ids in range, V - E + F = 1, areas sum to the window's. Raises PartitionError."""
        arrays = {name: getattr(self, name) for name in ARRAYS}
        wrong = misshapen(arrays, len(self.layer_paths), self.max_layers, self.seed_face, self.seed_pattern)
        scale = self.output_scale
        if scale.size and not (
            scale.shape == self.outputs.shape[1:] and scale.dtype == np.float64 and (np.isfinite(scale) & (scale >= 0)).all()
        ):
            wrong = "a size of each output as output_scale"
        if wrong:
            raise PartitionError(f"partition: expected {wrong}, got another.")
        vertices, edges, faces = len(self.vertices), len(self.edges), self.num_regions
        if vertices - edges + faces != 1:
            raise PartitionError(
                f"partition: expected V - E + F = 1, got {vertices} - {edges} + {faces} = {vertices - edges + faces}."
            )
        window, total = self.window - self.centre, float(self.areas.sum())
        if not area_gap(self.areas, window) <= 1e-9:
            whole = polygon_area(window)
            raise PartitionError(f"partition: expected areas that sum to the window's {whole:.17g}, got {total:.17g}.")


def _words(swaps: Mapping[str, str]) -> dict[str, str]:
    """Swaps from a file: names alone, since pictures and pages say them."""
    for word in [*swaps, *swaps.values()]:
        if not (isinstance(word, str) and word.isidentifier()):
            raise ValueError(f"swaps of {word!r}")
    return dict(swaps)


def drawn_as(swaps: Mapping[str, str]) -> str:
    """Swaps in words: "gelu drawn as relu, tanh drawn as hardtanh"."""
    return ", ".join(f"{name} drawn as {target}" for name, target in sorted(swaps.items()))


def _door() -> Any:
    """The package as its users know it: what exports a partition lies above this file."""
    return sys.modules["splineviz"]
