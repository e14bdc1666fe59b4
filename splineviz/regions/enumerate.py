"""Program + Plane -> Partition: the driver of the enumeration.

    window --stage 0--> [ signs -> cut edges -> cut faces -> next values ] per kink layer --> outputs --> sew

Values live at vertices: between two kinks every live tensor is affine on each face, so it is known from its values
at the face's vertices (`engine`).

The complex is worked depth-first in blocks of faces whose values fit a budget; several threads take blocks from one
stack. Neither the block size nor the number of threads changes a number of the result.
This file draws nothing and touches no file.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from splineviz._kernels import faces as _faces
from splineviz._kernels.bits import unit_hashes
from splineviz.errors import BudgetError, FloatArray, to_positive
from splineviz.geometry import doors
from splineviz.geometry.budget import HEAVY_BYTES, Budget, Exceeded, Spent
from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane
from splineviz.geometry.polygons import polygon_area, spread
from splineviz.geometry.report import Report
from splineviz.regions.blocks import Block, Complex, sew
from splineviz.regions.cuts import SeamValues
from splineviz.regions.decisions import Ended
from splineviz.regions.engine import TOLERANCE, Engine
from splineviz.regions.estimates import shrink_to_fit
from splineviz.regions.nearby import FAR, Nearby, TooFar
from splineviz.regions.precise import precise
from splineviz.regions.samples import checked
from splineviz.regions.stages import block_bytes_of
from splineviz.threads import Stack, one_by_one, wanted
from splineviz.tracing.precision import at_home, checked_device
from splineviz.tracing.program import Program
from splineviz.tracing.swaps import Swap
from splineviz.tracing.trace import trace

SMALLEST_SHARE = 64
"""A block is not split into parts of fewer faces because of its size now."""
FEW_VERTICES, SMALL_BYTES = 64, 32 << 20
"""A block of so few vertices may take this much, however small blocks are asked to be."""
LARGEST_SHARE, WORTH_SHARING = 1 / 32, 256
"""Blocks of a larger share of the window are taken apart, so that all threads have some, into parts of so many faces."""
Progress = Callable[[float, int], None]
"""Called with the share of the window that is done, in [0, 1], and the number of regions found so far."""


@at_home
def partition(
    model: Any,
    plane: Plane,
    *,
    window: Any = None,
    tolerance: float = TOLERANCE,
    threads: int | None = None,
    block_bytes: int | None = None,
    max_regions: int | None = None,
    max_bytes: int | None = None,
    max_seconds: float | None = None,
    progress: Progress | None = None,
    device: torch.device | str | None = None,
    swap: Swap | None = None,
    output: str | int | None = None,
    outputs: Sequence[int] | None = None,
    tiles: tuple[int, int] | None = None,
    executor: Executor | None = None,
) -> Partition:
    """All activation regions of a network on a window of a plane, exactly.

    Args:
        model: a torch module (its evaluation mode is traced, in float64) or a Program.
        plane: the plane.
        window: a convex counter-clockwise polygon (m, 2) in plane coordinates, a half-width, or None (see `Plane.window`).
        tolerance: a unit's value at a vertex counts as 0 below this, relative to the unit's scale there.
        threads: number of worker threads; None: the processors available. Does not change the result.
        block_bytes: size of a block's values; None: chosen by the network. Does not change the result.
        max_regions: largest number of regions.
        max_bytes: largest memory of blocks and result (torch and the network come on top).
        max_seconds: longest time.
        progress: see `Progress`; called by any thread. None: a line in a notebook, of what takes more than two seconds.
        device: where the network's own calls run (the geometry stays on the CPU); results are equal up to rounding.
        swap: replaces smooth functions, such as {"gelu": "relu"}; all pictures are labelled with it.
        output: name or position of the result of forward that is the output; None: the one named logits.
        outputs: indices of the outputs to keep; classes are counted among these.
        tiles: (rows, columns) of tiles to enumerate separately and join (`sewing`): the same regions in another order,
            positions equal up to rounding.
        executor: a concurrent.futures.Executor for the tiles; None: one after the other, here.

    Returns:
        A Partition; V - E + F = 1, the area sum and a few random points are checked, `Partition.verify` checks all.

    Raises:
        TraceError: the network is not piecewise affine.
        PlaneError: a bad window.
        BudgetError: max_regions, max_bytes or max_seconds is exceeded.
        SeamError: tiles do not fit together.
        PartitionError: the checks of the result fail.
    """
    plane, progress = Plane.of(plane), _shown() if progress is None else progress
    model, swap = _chosen(model, plane, swap, output, outputs)
    if tiles is not None:
        return _sewn(
            model, plane, tiles, window=window, tolerance=tolerance, threads=threads, block_bytes=block_bytes,
            max_regions=max_regions, max_bytes=max_bytes, max_seconds=max_seconds, progress=progress, device=device,
            swap=swap, executor=executor,
        )  # fmt: skip
    program = trace(model, plane.input_shape, swap=swap, borrow=True).to(device=checked_device(device))
    budget = Budget(max_regions, max_bytes, max_seconds)
    found = _whole(Slice(program, plane, plane.window(window), tolerance), threads, block_bytes, budget, progress)
    return checked(found, program)


def _shown() -> Progress | None:
    """What shows a long enumeration in a notebook."""
    tell = doors.progress("cutting", after=2.0)
    return None if tell is None else lambda share, regions: tell(round(100 * share), 100, f"{regions:,} regions")


def _chosen(
    model: Any, plane: Plane, swap: Swap | None, output: str | int | None, outputs: Sequence[int] | None
) -> tuple[Any, Swap | None]:
    """The network with the outputs that are asked for, and what is left to swap in it."""
    if output is None and outputs is None:
        return model, swap
    return trace(model, plane.input_shape, swap=swap, output=output, outputs=outputs, borrow=True), None


def _whole(job: Slice, *asked: Any) -> Partition:
    return job.partition(job.enumerate(job.whole, *asked))


def _sewn(*asked: Any, **options: Any) -> Partition:
    from splineviz.regions import sewing  # a door upward: tiles are cut by this file and sewn by that one

    return sewing.tiled(*asked, **options)


class Slice:
    """One network on one window, ready to be enumerated: the engine, and the window as a block with values.

    corners: (m, 2) the window; centre: (2,) what the blocks' coordinates are relative to.
    """

    def __init__(self, program: Program, plane: Plane, corners: FloatArray, tolerance: float = TOLERANCE):
        self._began = time.perf_counter()
        self.program, self.plane, self.corners = program, plane, corners
        self.centre = corners.mean(axis=0)
        self.tolerance, self._far = to_positive(tolerance, "tolerance"), FAR
        self._precise = precise(program, plane, corners)
        self._prepare()
        self._seam_readings = self._restarts = 0

    def _prepare(self) -> None:
        """The engine, and the window as a block. A unit taken to be far that bends at once is taken nearer at once."""
        try:
            self._built()
        except TooFar:
            self.nearer()

    def nearer(self) -> None:
        """Take fewer units to be far."""
        self._far *= 64.0
        self._prepare()

    def _built(self) -> None:
        local, near, summed = self.corners - self.centre, None, self.plane.summed(self.corners)
        samples = self.plane.embed(spread(local) + self.centre)
        if self._precise is not None:
            samples = np.tensordot(spread(local) + (self.centre - self._precise.place), self.plane.basis, axes=1)
            near = Nearby(self._precise, samples, self._far)
        self.engine = Engine(self.program, samples, self.tolerance, near, None if near else summed)
        self.whole = self.place(Block.of_window(local))
        self.engine.take_turns(self.whole)

    def place(self, block: Block) -> Block:
        """The block, with values at its vertices."""
        if self.engine.near is None:
            self.engine.place(block, self.plane.origin, self.plane.basis, self.centre, self.corners)
        else:
            origin, centre = np.zeros_like(self.plane.origin), self.centre - self.engine.near.place
            self.engine.place(block, origin, self.plane.basis, centre)
        return block

    def enumerate(
        self,
        first: Block,
        threads: int | None,
        block_bytes: int | None,
        budget: Budget,
        progress: Progress | None,
        *,
        open_seams: bool = False,
    ) -> Complex:
        """All that a block becomes, sewn together; open_seams: see `blocks.sew`. Raises BudgetError."""
        counted = self.engine.near_zero, self.engine.irregular
        try:
            return self._enumerated(first, threads, block_bytes, budget, progress, open_seams)
        except TooFar:
            self.nearer()
        except Ended:
            self.engine.near_zero, self.engine.irregular = counted
            self._restarts += 1
        return self.enumerate(self.place(first), threads, block_bytes, budget, progress, open_seams=open_seams)

    def _enumerated(
        self, first: Block, threads: int | None, block_bytes: int | None, budget: Budget, progress: Progress | None,
        open_seams: bool,
    ) -> Complex:  # fmt: skip
        try:
            run = _Enumeration(self.engine, block_bytes, Spent(budget, self._began), progress)
            joined = self._with_own_units(sew(run.run(first, wanted(threads)), open_seams=open_seams))
            if budget.regions is not None and len(joined.face_hash) > budget.regions:
                raise Exceeded("regions", len(joined.face_hash), 1.0)
        except Exceeded as excess:
            raise BudgetError(f"{excess.told(budget)}; {self._remedy(excess, budget)}") from None
        self._seam_readings += run.seams.otherwise
        return joined

    def _remedy(self, excess: Exceeded, budget: Budget) -> str:
        if excess.what != "regions" or budget.regions is None:
            return f"choose a larger max_{excess.what}, or a smaller window."
        if (factor := shrink_to_fit(self.program, self.plane, self.corners, budget.regions)) is None:
            return "choose a larger max_regions, or a smaller window: none was found that is sure to fit."
        half = 0.5 * factor * np.sqrt(polygon_area(self.corners - self.centre))
        size = f"{factor:.3g} of its size (a square of the half-width {half:.4g})."
        return "choose a larger max_regions, or shrink the window about its centre to " + size

    def _with_own_units(self, joined: Complex) -> Complex:
        """The complex in terms of the network's own units: without knots of comparisons that no maximum has."""
        lowered = self.engine.lowered
        if not any(lowered.rounds):
            return joined
        stays = (joined.uv[:, None] == (self.corners - self.centre)[None]).all(axis=2).any(axis=1)
        stays[joined.edges[joined.open_edges]] = True
        joined, thin = joined.dissolved(lowered.round_tags, stays)
        self.engine.irregular += thin
        inner = np.flatnonzero(joined.tag >= 0)
        left, right = joined.edge_faces[inner].T
        tag = joined.tag.copy()
        tag[inner] = lowered.own_units[tag[inner]]
        # Where knots lie on one line it was cut once, and perhaps for a comparison that has no knot on this stretch of it.
        named = lowered.are_named(tag[inner], joined.face_hash[left] ^ joined.face_hash[right])
        doubt = np.flatnonzero(~named)
        if len(doubt):
            mean = _faces.face_means(joined.uv, joined.face_offsets, joined.face_vertices)
            tag[inner[doubt]] = self.engine.changing(mean[left[doubt]], mean[right[doubt]], tag[inner[doubt]])
        return replace(joined, tag=tag).in_order()

    def partition(self, joined: Complex, window: FloatArray | None = None) -> Partition:
        """The Partition of what was enumerated, checked; window: the part of the slice that it covers, None: all."""
        lowered = self.engine.lowered
        result = Partition(
            plane=self.plane,
            window=self.corners if window is None else window,
            vertices=joined.uv + self.centre if self.centre.any() else joined.uv,
            edges=joined.edges,
            edge_tag=joined.tag,
            edge_faces=joined.edge_faces,
            face_offsets=joined.face_offsets,
            face_vertices=joined.face_vertices,
            outputs=joined.outputs if self.engine.near is None else joined.outputs + self.engine.near.outputs,
            pattern_hash=joined.face_hash,
            unit_offsets=lowered.unit_offsets,
            layer_paths=tuple(layer.path for layer in lowered.layers),
            max_layers=tuple(i for i, layer in enumerate(lowered.layers) if layer.is_max),
            report=Report(
                self.engine.near_zero, self.engine.irregular, self.engine.tolerance, time.perf_counter() - self._began,
                self._seam_readings, self._restarts,
            ),  # fmt: skip
            centre=self.centre,
            local_vertices=joined.uv,
            swaps=self.program.swaps,
            output_scale=self.engine.output_scale,
        )
        result.check()
        return _with_seed(self.engine, result)


def _with_seed(engine: Engine, result: Partition) -> Partition:
    """The partition with the pattern of one of its largest regions, read by the network's own calls; see `active_units`.

    Not in networks with maxima. What is read must have the region's hash.
    """
    program, units = engine.source, int(engine.lowered.unit_offsets[-1])
    if not units or any(engine.lowered.rounds):
        return result
    word, areas = unit_hashes(0, units), result.areas.copy()
    for _ in range(8):
        face = int(areas.argmax())
        areas[face] = -1.0
        x = torch.from_numpy(result.plane.embed(result.centroids[[face]])).to(program.dtype).to(program.device)
        with torch.no_grad():
            values, _ = program.preactivations(x)
        parts = [(z[0] > layer.kinks.breakpoints[0]).cpu().numpy() for z, layer in zip(values, program.layers, strict=True)]
        on = np.concatenate(parts)
        if np.bitwise_xor.reduce(word[on], initial=np.uint64(0)) == result.pattern_hash[face]:
            return replace(result, seed_face=face, seed_pattern=np.packbits(on))
    return result


class _Enumeration:
    """One run over a stack of blocks: when to split them, when to give up, how far it is."""

    def __init__(self, engine: Engine, block_bytes: int | None, spent: Spent, progress: Progress | None):
        self.engine = engine
        sizes = [block_bytes or block_bytes_of(engine.stages, layer) for layer in range(engine.layers)]
        self.spent, self.progress = spent, progress
        self._bytes = [to_positive(size, "block_bytes") for size in sizes]
        self.finished, self.seams = list[Block](), SeamValues()
        self._rounds, self._decisive = any(engine.lowered.rounds), engine.decisions.open
        self._splits = 0
        self._lock = threading.Lock()

    def run(self, first: Block, threads: int) -> list[Block]:
        """All finished blocks, in no particular order."""
        self.spent.add(bytes_=first.held)
        stack = Stack(self._work, threads)
        self.engine.share = stack.share
        try:
            stack.run([first])
        finally:
            self.engine.share = one_by_one
        return self.finished

    def _work(self, block: Block) -> list[Block]:
        """One block through one layer; a block that is too large, or will be, comes back in parts."""
        if block.layer == self.engine.layers:
            self._finish(block)
            return []
        self.seams.agree(block, self.engine.scales_at(block))
        cut = self.engine.cut(block)
        need = len(cut.uv) * self.engine.row_bytes(block.layer)
        if need > self._most(block.layer) and block.faces > 1:
            return self._split(block, min(-(-2 * need // self._most(block.layer)), block.faces))
        # With maxima some faces are parts of others, on the far side of a seam or of a comparison without a knot.
        new = 0 if self._rounds else len(cut.faces.hash) - block.faces
        self.spent.check(regions=new, bytes_=need)
        after = self.engine.advance(block, cut)
        if self._decisive and not self.engine.decisions.open:
            raise Ended
        if self._rounds:
            after.lower = after.whole_faces if after.is_settled else block.lower
            new = after.lower - block.lower
        self.spent.add(regions=new, bytes_=after.held - block.held)
        self.spent.check()
        return self._split(after, self._parts(after))

    def _finish(self, block: Block) -> None:
        before = block.held
        block.compact()
        self.spent.add(bytes_=block.held - before, share=block.share)
        with self._lock:
            self.finished.append(block)
            if self.progress is not None:
                self.progress(min(self.spent.done, 1.0), self.spent.known)

    def _parts(self, block: Block) -> int:
        """How many blocks to make of one; what does not depend on the threads, so that the result does not."""
        if block.layer == self.engine.layers:
            return 1
        parts = -(-block.nbytes // self._bytes[block.layer])
        # Rows that are evaluated in full are shared out by themselves (`Stack.share`).
        alone = self.engine.stages[block.layer + 1].has_columns
        if alone and block.share > LARGEST_SHARE and block.faces >= 4 * WORTH_SHARING:
            parts = max(parts, 4)
        return min(parts, block.faces // SMALLEST_SHARE)

    def _split(self, block: Block, parts: int) -> list[Block]:
        if parts <= 1:
            return [block]
        with self._lock:
            self._splits += 1
            serial = self._splits
        before = block.held
        # With maxima the faces are put in an order of their own at the end (`Complex.in_order`).
        made = block.split(parts, serial, compact=self._rounds)[::-1]
        for part in made:
            part.lower = part.whole_faces if part.is_settled else 0
        lost = sum(part.lower for part in made) - block.lower if self._rounds else 0
        self.spent.add(bytes_=sum(part.held for part in made) - before, regions=lost)
        return made

    def _most(self, layer: int) -> int:
        """Bytes that a block may take at its next layer before it is taken apart at this one."""
        size = self._bytes[layer]
        return max(min(4 * size, max(size, 2 * HEAVY_BYTES)), min(FEW_VERTICES * self.engine.row_bytes(layer), SMALL_BYTES))
