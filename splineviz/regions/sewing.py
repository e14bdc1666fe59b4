r"""Sewing: tiles that were enumerated apart become the partition that one enumeration would have found.
Also all of it in one call: a window taken apart, enumerated tile by tile and sewn.

      A | B        The two copies of a seam edge have one key. Where the faces beside it have the same pattern they are
    ----o----      one region, since regions are convex: the edge goes. Where not, a knot lies on the seam, and the edge
      A | B        names its unit. A vertex that keeps two edges is no corner: it goes, and the two become one edge.

First the *collar* is settled (`seam_faces`), the faces along seams, while every part is looked at once; then the parts are
written one after the other into the result. So this takes little more memory than the result, and parts that lie in
files, or are used up, are never in memory together with it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from splineviz.errors import BudgetError, SeamError
from splineviz.geometry.budget import Budget
from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane
from splineviz.geometry.report import Report
from splineviz.regions.enumerate import Progress
from splineviz.regions.parts import Part, part
from splineviz.regions.samples import checked
from splineviz.regions.seam_faces import Collar, Settled
from splineviz.regions.tiles import Tile, tiles
from splineviz.threads import ended
from splineviz.tracing.swaps import Swap
from splineviz.tracing.trace import trace


def sew(parts: Iterable[Part | str | os.PathLike[str]]) -> Partition:
    """The partition of a whole window from the parts of all its tiles (`part`), in memory or in files, in any order.

    The regions are those of one enumeration, each with its pattern and its edges' units; they stand in another order,
    and positions are equal up to rounding. Raises SeamError when parts are missing, belong to different slices or
    cannot be sewn without guessing (see `seam_faces`).
    """
    if isinstance(parts, (str, bytes)) or not isinstance(parts, Iterable):
        raise SeamError(f"parts: expected the parts of all tiles in a list, got {type(parts).__name__}.")
    return _sew(list(parts))


def tiled(
    model: Any,
    plane: Plane,
    shape: tuple[int, int],
    *,
    window: Any,
    max_regions: int | None,
    max_bytes: int | None,
    max_seconds: float | None,
    progress: Progress | None,
    executor: Executor | None,
    swap: Swap | None,
    **options: Any,
) -> Partition:
    """`partition` by tiles: shape is (rows, columns), the other arguments are those of `partition`."""
    if not (isinstance(shape, (tuple, list)) and len(shape) == 2):
        raise SeamError(f"tiles: expected (rows, columns), got {shape!r}; for example tiles=(2, 2).")
    rows, columns = shape
    todo = tiles(plane, window, rows, columns)
    program = trace(model, plane.input_shape, swap=swap, borrow=True)
    clock = _Clock(Budget(max_regions, max_bytes, max_seconds).seconds, len(todo))
    options |= {"max_regions": max_regions, "max_bytes": max_bytes}
    found = []
    if executor is not None:
        found = _on(executor, program, todo, progress, clock, options)
    for i, tile in enumerate(todo if executor is None else ()):
        with clock.said(i):
            shown = _share(progress, i, len(todo))
            found.append(part(program, tile, progress=shown, max_seconds=clock.left(i), **options))
    result = _sew(found)
    if max_regions is not None and result.num_regions > max_regions:
        raise BudgetError(
            f"window: expected at most {max_regions} regions (max_regions), got {result.num_regions} in "
            f"{len(todo)} tiles; choose a larger max_regions or a smaller window."
        )
    return checked(result, program)


class _Clock:
    """The time that all tiles may take together; limit: None for any."""

    def __init__(self, limit: float | None, count: int):
        self.limit, self.count, self._began = limit, count, time.perf_counter()

    def left(self, done: int) -> float | None:
        """What is left of it. Raises BudgetError once that is nothing, or less."""
        if self.limit is None:
            return None
        left = self.limit - (time.perf_counter() - self._began)
        if left <= 0:
            raise BudgetError(
                f"window: expected at most {self.limit:g} s (max_seconds), used up when {done} of {self.count} tiles were "
                "done; choose a larger max_seconds, or a smaller window."
            )
        return left

    @contextmanager
    def said(self, done: int) -> Iterator[None]:
        """Where a tile uses up what is left, the error names all of it."""
        try:
            yield
        except BudgetError:
            self.left(done)
            raise


def _share(progress: Progress | None, index: int, count: int) -> Progress | None:
    if progress is None:
        return None
    return lambda share, regions: progress((index + share) / count, regions)


def _on(
    executor: Executor, program: Any, todo: list[Tile], progress: Progress | None, clock: _Clock, options: dict[str, Any]
) -> list[Part]:
    """All parts, from the workers of an executor; the first failure stops those that have not begun."""
    futures = [executor.submit(part, program, tile, max_seconds=clock.left(0), **options) for tile in todo]
    left, regions = set(futures), 0
    try:
        while left:
            for future in ended(left):
                with clock.said(len(futures) - len(left)):
                    clock.left(len(futures) - len(left))
                    regions += future.result().partition.num_regions
                left.discard(future)
                if progress is not None:
                    progress((len(futures) - len(left)) / len(futures), regions)
        found = [future.result() for future in futures]
    finally:
        for future in futures:
            future.cancel()
    return found


# ---- sewing ----------------------------------------------------------------------------------------------------


def _sew(parts: list[Any]) -> Partition:
    """As `sew`; uses the list up."""
    known, settled = _looked(parts)
    parts.clear()
    return _assemble(known, settled)


def _looked(parts: list[Any]) -> tuple[dict[int, Any], Settled]:
    """Every part by its tile, and what becomes of them all. Nothing that was looked at stays in memory for it."""
    collar = Collar()
    known: dict[int, Any] = {}
    for item in parts:
        one = _opened(item)
        if one.index in known:
            raise SeamError(f"parts: expected every tile once, got tile {one.index + 1} of {one.count} twice.")
        known[one.index] = item
        collar.look(one)
        del one  # before the next is read
    if not known:
        raise SeamError("parts: expected the parts of all tiles of a window, got none.")
    missing = [i + 1 for i in range(collar.count) if i not in known]
    if missing:
        raise SeamError(
            f"parts: expected {collar.count} tiles, got {len(known)}; without {missing[:10]}; enumerate those as well."
        )
    return known, collar.settle()


def _opened(item: Any) -> Part:
    return item if isinstance(item, Part) else Part.load(item)


def _assemble(items: dict[int, Any], settled: Settled) -> Partition:
    """Write the parts, in order of tiles, into the arrays of the result; uses the items up."""
    vertex, edge, face = settled.new_vertex, settled.keep_edge, settled.new_face
    uv = np.empty((settled.vertices, 2))
    points, outputs = np.empty((settled.vertices, 2)), np.empty((settled.vertices, settled.width))
    edges, edge_faces = np.empty((settled.edges, 2), np.int32), np.empty((settled.edges, 2), np.int32)
    tag, hashes = np.empty(settled.edges, np.int32), np.empty(settled.faces, np.uint64)
    offsets, corners = settled.face_offsets, np.empty(int(settled.face_offsets[-1]), np.int32)
    sums, scale = np.zeros(5), np.empty(0)
    seed: dict[str, Any] = {}
    for index in range(settled.count):
        one = _opened(items.pop(index))
        found, (v0, e0, f0) = one.partition, settled.bases[index]
        v1, e1, f1 = settled.bases[index + 1]
        if (v1 - v0, e1 - e0, f1 - f0) != (len(found.vertices), len(found.edges), found.num_regions):
            raise SeamError(f"parts: expected files that stay as they are, got another tile {index + 1} the second time.")
        own = np.flatnonzero(settled.keep_vertex[v0:v1])
        at = vertex[v0 + own]
        uv[at], points[at], outputs[at] = found.local_vertices[own], found.vertices[own], found.outputs[own]
        own = np.flatnonzero(edge[e0:e1])
        at = settled.first_edge[index] + np.arange(len(own))
        edges[at] = vertex[v0 + found.edges[own]]
        beside = found.edge_faces[own]
        edge_faces[at] = np.where(beside >= 0, face[f0 + np.maximum(beside, 0)], -1)
        tag[at] = found.edge_tag[own]
        whole = settled.plain_face[f0:f1]
        at = face[f0:f1][whole]
        counts = np.diff(found.face_offsets)
        spots = np.repeat(offsets[at].astype(np.int64) - (np.cumsum(counts[whole]) - counts[whole]), counts[whole])
        corners[spots + np.arange(len(spots))] = vertex[v0 + found.face_vertices[np.repeat(whole, counts)]]
        own = np.flatnonzero(settled.keep_face[f0:f1])
        hashes[face[f0 + own]] = found.pattern_hash[own]
        said = found.report
        sums += said.near_zero, said.irregular_faces, said.seam_readings, said.seconds, said.restarts
        scale = np.maximum(scale, found.output_scale) if len(scale) else found.output_scale
        if not seed and found.seed_face >= 0:
            seed = {"seed_face": int(face[f0 + found.seed_face]), "seed_pattern": found.seed_pattern}
        if index == settled.count - 1:
            last = found
        del one, found  # before the next is read
    settled.mend(edges, edge_faces, tag, corners)
    result = replace(
        last,
        window=settled.window,
        vertices=points,
        edges=edges,
        edge_tag=tag,
        edge_faces=edge_faces,
        face_offsets=offsets,
        face_vertices=corners,
        outputs=outputs,
        pattern_hash=hashes,
        report=Report(int(sums[0]), int(sums[1]), last.report.tolerance, float(sums[3]), int(sums[2]), int(sums[4])),
        local_vertices=uv,
        output_scale=scale,
        **seed,
    )
    result.check()
    return result
