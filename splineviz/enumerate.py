"""Program + Plane -> Partition: the driver of the enumeration.

    window --stage 0--> [ signs -> cut edges -> cut faces -> next values ] per kink layer --> outputs --> sew

Values live at vertices: between two kinks every live tensor is affine on each face, so it is known from its values
at the face's vertices, and the network's own torch calls run on the vertices as a batch. New vertices are not
evaluated afresh where their values follow from the ends of the line they lie on (`_kernels.lines`).

The complex is worked depth-first in blocks of faces whose values fit a budget; several threads take blocks from one
stack. Neither the block size nor the number of threads changes a number of the result.
This room draws nothing and touches no file.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from splineviz._kernels import bits, cutting, lines
from splineviz._kernels import edges as edge_kernels
from splineviz.blocks import Block, sew
from splineviz.errors import BudgetError, FloatArray, IntArray
from splineviz.ops import Program
from splineviz.partition import Partition, Report
from splineviz.planes import Plane
from splineviz.stages import Stage, on_plane, stages
from splineviz.tracing import trace
from splineviz.workers import Stack, available

TOLERANCE = 2.0**-46
"""Default tolerance: values this small relative to their unit's scale (64 units of rounding) are read as 0."""
BLOCK_BYTES = 8 << 20
"""Default size of a block's values; such a block stays in the cache."""


SMALLEST_SHARE = 64
"""A block of fewer faces is not split to feed an idle thread."""
Progress = Callable[[float, int], None]
"""Called with the share of the window that is done, in [0, 1], and the number of regions found so far."""


def partition(
    model: Any,
    plane: Plane,
    *,
    window: Any = None,
    tolerance: float = TOLERANCE,
    threads: int | None = None,
    block_bytes: int = BLOCK_BYTES,
    max_regions: int | None = None,
    progress: Progress | None = None,
) -> Partition:
    """All activation regions of a network on a window of a plane, exactly.

    model: a torch module (its evaluation mode is traced, in float64) or a Program.
    window: a convex counter-clockwise polygon (m, 2) in plane coordinates, a half-width, or None (see Plane.window).
    tolerance: a unit's value at a vertex counts as 0 below this, relative to the unit's scale there.
    threads: number of worker threads (None: the processors at hand); block_bytes: size of a block's values.
    Neither changes the result.
    max_regions: give up with BudgetError as soon as there are more. progress: see `Progress`; called by any thread.

    Returns a Partition whose V - E + F = 1 and area sum were checked; `Partition.verify` proves the rest.
    Raises TraceError for a network that is not piecewise affine, PlaneError for a bad window, BudgetError.
    """
    began = time.perf_counter()
    program = trace(model, plane.input_shape)
    corners = plane.window(window)
    centre = corners.mean(axis=0)
    work = _Enumeration(program, tolerance, block_bytes, max_regions, progress)
    joined = sew(work.run(plane, corners - centre, centre, threads or available()))
    result = Partition(
        plane=plane,
        window=corners,
        vertices=joined.uv + centre,
        edges=joined.edges,
        edge_tag=joined.tag,
        edge_faces=joined.edge_faces,
        face_offsets=joined.face_offsets,
        face_vertices=joined.face_vertices,
        outputs=joined.outputs,
        pattern_hash=joined.face_hash,
        unit_offsets=work.unit_offsets,
        layer_paths=tuple(layer.path for layer in program.layers),
        report=Report(work.near_zero, work.irregular, tolerance, time.perf_counter() - began),
        centre=centre,
        local_vertices=joined.uv,
    )
    result.check()
    return result


@dataclass(frozen=True)
class _Cut:
    """A block's complex after one layer's cuts; the first `old` vertices are the block's own, `norm` (old,) is theirs."""

    old: int
    norm: FloatArray
    uv: FloatArray
    parents: tuple[IntArray, IntArray, FloatArray, IntArray]
    edges: IntArray
    tag: IntArray
    key: npt.NDArray[np.uint64]
    faces: tuple[IntArray, IntArray, npt.NDArray[np.uint64]]
    edge_lines: tuple[Any, ...]
    chord_lines: tuple[Any, ...]
    lost: IntArray


class _Enumeration:
    """One run: the network's stages and what is counted on the way."""

    def __init__(
        self, program: Program, tolerance: float, block_bytes: int, max_regions: int | None, progress: Progress | None
    ):
        self.program = program
        self.stages: list[Stage] = []
        self.tolerance = tolerance
        self.block_bytes = block_bytes
        self.max_regions = max_regions
        self.progress = progress
        sizes = [layer.units for layer in program.layers]
        self.unit_offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.unit_hashes = [bits.unit_hashes(int(self.unit_offsets[i]), n) for i, n in enumerate(sizes)]
        self.near_zero = 0
        self.irregular = 0
        self.finished: list[Block] = []
        self._known = 1  # faces found so far: the finished ones and those of the blocks on their way
        self._done = 0.0
        self._splits = 0
        self._lock = threading.Lock()

    def run(self, plane: Plane, corners: FloatArray, centre: FloatArray, threads: int) -> list[Block]:
        """All finished blocks, in no particular order."""
        first = self._first(plane, corners, centre)
        self._stack = Stack(self._work, threads)
        self._stack.run([first])
        return self.finished

    def _work(self, block: Block) -> list[Block]:
        """One block through one layer; a block that is too large, or wanted by an idle thread, comes back in parts."""
        if block.layer == len(self.program.layers):
            with self._lock:
                self.finished.append(block)
                self._done += block.share
                if self.progress is not None:
                    self.progress(min(self._done, 1.0), self._known)
            return []
        after = self._through(block)
        with self._lock:
            self._known += after.faces - block.faces
            self._splits += 1
            serial = self._splits
            if self.max_regions is not None and self._known > self.max_regions:
                raise BudgetError(
                    f"window: expected at most {self.max_regions} regions (max_regions), found {self._known} when "
                    f"{self._done:.0%} of the window was done; choose a smaller window or a larger max_regions."
                )
        last = after.layer == len(self.program.layers)
        parts = 1 if last else -(-after.nbytes // self.block_bytes)
        if self._stack.idle and not last:
            parts = max(parts, 4)
        parts = min(parts, after.faces // SMALLEST_SHARE)
        return after.split(parts, serial)[::-1] if parts > 1 else [after]

    def _first(self, plane: Plane, corners: FloatArray, centre: FloatArray) -> Block:
        """The window with the values of stage 0 at its corners."""
        self.stages = stages(self.program, plane.embed(_samples(corners) + centre))
        stage = self.stages[0]
        maps, error = on_plane(stage, plane, centre)
        values = {r: np.ascontiguousarray(value + corners @ slope) for r, (value, slope) in maps.items()}
        block = Block.of_window(corners)
        block.values = values.pop(stage.result)
        block.live = values
        block.row_scale = np.linalg.norm(corners, axis=1)
        # On the plane the scale of a unit is that of its slope there, not of its weights in input space.
        self._scales = [(np.linalg.norm(maps[stage.result][1], axis=0), error)]
        self._scales += [(s.unit_scale, s.unit_offset) for s in self.stages[1:]]
        return block

    # ---- one layer ---------------------------------------------------------------------------------

    def _through(self, block: Block) -> Block:
        """Cut a block by the kink layer it stands at, and bring its values to the next."""
        cut = self._cut(block)
        stage = self.stages[block.layer + 1]
        values, row_scale, live = self._next_values(block, cut, stage)
        offsets, halves, face_hash = cut.faces
        return Block(
            place=block.place,
            layer=block.layer + 1,
            uv=cut.uv,
            edges=cut.edges,
            tag=cut.tag,
            key=cut.key,
            face_offsets=offsets,
            face_halves=halves,
            face_hash=face_hash,
            values=values,
            row_scale=row_scale,
            live=live,
            share=block.share,
        )

    def _cut(self, block: Block) -> _Cut:
        z, layer = block.values, block.layer
        unit_scale, unit_offset = self._scales[layer]
        scales = (block.row_scale, unit_scale, unit_offset, self.tolerance)
        words = (z.shape[1] + 63) // 64
        plus, minus = np.empty((len(z), words), np.uint64), np.empty((len(z), words), np.uint64)
        norm = np.empty(len(z))
        following = self.stages[layer + 1]
        near_zero = bits.sign_bits(z, *scales, following.inverse_size[following.source], plus, minus, norm)
        cut_offsets = edge_kernels.count_cuts(block.edges, plus, minus)
        cut_unit, cut_t, cut_size, cut_order, vertex_offsets = edge_kernels.cut_edges(block.edges, plus, minus, z, *scales, cut_offsets)
        spare = len(block.edges) // 2
        uv, *parents, edges, tag, key = edge_kernels.split_edges(
            block.uv, block.edges, block.tag, block.key, layer,
            cut_offsets, cut_unit, cut_t, cut_order, vertex_offsets, spare, spare,
        )  # fmt: skip
        uv, a, b, t, maker, edges, tag, offsets, halves, hashes, chords, lost, irregular = cutting.cut_faces(
            block.face_offsets, block.face_halves, block.face_hash, block.edges, plus, minus, z, *scales,
            self.unit_hashes[layer], int(self.unit_offsets[layer]), cut_offsets, cut_unit, cut_order, vertex_offsets,
            uv, *parents, edges, tag,
        )  # fmt: skip
        with self._lock:
            self.near_zero += near_zero
            self.irregular += irregular
        whole_key = np.zeros(len(edges), np.uint64)
        known = min(len(key), len(edges))
        whole_key[:known] = key[:known]
        fresh = int(vertex_offsets[-1])
        targets = np.arange(len(z), len(z) + fresh, dtype=np.int32)
        starts, ends = np.ascontiguousarray(block.edges[:, 0]), np.ascontiguousarray(block.edges[:, 1])
        edge_lines = (starts, ends, cut_offsets, cut_t, cut_unit, cut_size, vertex_offsets, t[:fresh], targets)
        return _Cut(len(z), norm, uv, (a, b, t, maker), edges, tag, whole_key, (offsets, halves, hashes), edge_lines, chords, lost)

    # ---- values at the next layer ------------------------------------------------------------------

    def _next_values(self, block: Block, cut: _Cut, stage: Stage) -> tuple[FloatArray, FloatArray, Mapping[int, FloatArray]]:
        """Inputs of the next kink layer (or the outputs) at all vertices, their row scale, and the other live tensors."""
        a, b, t, maker = cut.parents
        values = np.empty((len(cut.uv), stage.width))
        scale = np.empty(len(cut.uv))
        scale[: cut.old] = 1.0 + cut.norm
        lines.larger_scale(scale, cut.old, a, b)
        if stage.columns is not None:
            stage.run(self._live(block, stage), values[: cut.old])
            assert stage.before is not None
            low, high = stage.before.kinks.slopes
            for line in (cut.edge_lines, cut.chord_lines):
                lines.propagate(*line, high - low, stage.columns, values)
            if len(cut.lost):
                values[cut.lost] = self._interpolated(block, cut, stage, values, cut.lost)
            return values, scale, {}
        live = {}
        for register, tensor in self._live(block, stage).items():
            flat = np.empty((len(cut.uv), tensor[0].size))
            flat[: cut.old] = tensor.reshape(cut.old, -1)
            lines.interpolate(flat, cut.old, a, b, t)
            live[register] = flat.reshape(len(flat), *tensor.shape[1:])
        kink_input = self._kink_input(stage)
        live[kink_input].reshape(len(values), -1)[np.arange(cut.old, len(values)), maker] = 0.0
        for register, size in stage.inverse_size.items():
            if register != stage.source:
                scale += np.linalg.norm(live[register].reshape(len(values), -1) * size, axis=1)
        return values, scale, stage.run(live, values)

    def _kink_input(self, stage: Stage) -> int:
        assert stage.before is not None
        return self.program.steps[stage.before.step].inputs[0]

    def _live(self, block: Block, stage: Stage) -> dict[int, FloatArray]:
        """The registers alive at the kink before a stage, in their own shapes."""
        assert stage.before is not None
        return {**block.live, self._kink_input(stage): block.values.reshape(-1, *stage.before.shape)}

    def _interpolated(self, block: Block, cut: _Cut, stage: Stage, values: FloatArray, rows: IntArray) -> FloatArray:
        """Next values at vertices that lie on no single chord: z between the parents, then kink and stage in full."""
        a, b, t, maker = cut.parents
        z = np.empty((len(cut.uv), block.values.shape[1]))
        z[: cut.old] = block.values
        lines.interpolate(z, cut.old, a, b, t)
        z[np.arange(cut.old, len(z)), maker] = 0.0
        assert stage.before is not None
        out = np.empty((len(rows), values.shape[1]))
        stage.run({self._kink_input(stage): z[rows].reshape(-1, *stage.before.shape)}, out)
        return out


def _samples(corners: FloatArray) -> FloatArray:
    """Points spread over a window: its corners, and 64 random mixtures of them."""
    weights = np.random.default_rng(0).dirichlet(np.full(len(corners), 0.7), size=64)
    return np.concatenate([corners, weights @ corners])
