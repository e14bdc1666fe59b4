"""Stages: the affine stretches of a Program between two kink layers, as the enumerator runs them.

    inputs --stage 0--> z_0 --kink--> h_0 --stage 1--> z_1 ... h_last --last stage--> outputs

Stage i ends at the inputs of kink layer i (the last one at the outputs). It runs the network's own torch calls on
batches of vertices in chunks. Where a stage is a plain map from one tensor to one tensor (no skip connection is
alive beside it) and not too large, its matrix is at hand as `columns`, for the rank-1 updates of new vertices.

Scales: unit i of a stage's result is computed with rounding errors in proportion to
row_scale * unit_scale[i] + unit_offset[i]. Every entry of what enters a stage is measured in units of its typical size
D in the window (`input_scale`, from sample points), so that neurons of scale 1e-8 and 1e8 may stand side by side:
row_scale is 1 + the norm of the entering vector over D (a kink's output is bounded by its input, so that is taken),
unit_scale the norm of the unit's weights times D, and unit_offset the size of its constant. The 1 stands for what the
entering vector inherited: where it cancels to nearly nothing (all rays of a bias-free network meet at 0), its
rounding does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from splineviz.errors import FloatArray
from splineviz.tracing.program import KinkLayer, Program

MATRIX_LIMIT = 1 << 25
"""Largest number of entries of a stage's matrix (256 MB); beyond it new vertices are evaluated in full."""
ROWS = 16
"""Every batch that is handed to torch has a multiple of this many rows."""
CHUNK_BYTES = 64 << 20
"""Rows are evaluated in chunks of about this many bytes of the widest tensor that the stage reads or writes."""
CACHE_BYTES = 2 << 20
"""The same for convolutions and for stages without a matrix: torch unfolds all pictures of a batch in double precision at
once, and where they do not stay in the cache that takes twice as long."""
PRODUCTS = {"linear", "matmul", "einsum"}
"""Operations whose matrix a batch shares."""
Share = Callable[[Sequence[Callable[[], None]]], None]
"""Runs calls that may run at the same time, and returns when all have ended."""


def one_by_one(calls: Sequence[Callable[[], None]]) -> None:
    """Every call, in this thread."""
    for call in calls:
        call()




@dataclass(eq=False)
class Stage:
    """The steps from kink layer `before` (None: the input) to kink layer `after` (None: the outputs).

    shapes: without the batch, of the registers alive at the start (after the kink); leaving: those alive at the end.
    width: number of entries of the result.
    """

    program: Program
    before: KinkLayer | None
    after: KinkLayer | None
    input_scale: dict[int, FloatArray]
    shapes: dict[int, tuple[int, ...]]
    leaving: frozenset[int]
    width: int

    @property
    def start(self) -> int:
        """The first affine step; the kink's own step comes before it."""
        return 0 if self.before is None else self.before.step + 1

    @property
    def stop(self) -> int:
        """The step that ends the stage."""
        return len(self.program.steps) if self.after is None else self.after.step

    @property
    def result(self) -> int:
        """The register that holds the stage's result."""
        return self.program.output if self.after is None else self.program.steps[self.after.step].inputs[0]

    @property
    def source(self) -> int:
        """The register that the kink writes (the input for the first stage)."""
        return 0 if self.before is None else self.program.steps[self.before.step].output

    @property
    def is_chain(self) -> bool:
        """Whether one tensor alone enters and one alone leaves."""
        return len(self.shapes) == 1 and len(self.leaving) == 1

    def placed(self, live: Mapping[int, Tensor]) -> dict[int, Tensor]:
        """The same registers on the program's device."""
        return {r: t.to(self.program.device) for r, t in live.items()}

    # ---- the map and its scales --------------------------------------------------------------------

    @cached_property
    def has_columns(self) -> bool:
        """Whether the stage is a chain with a kink before it, and small enough for a matrix."""
        return self.before is not None and self.is_chain and self.before.units * self.width <= MATRIX_LIMIT

    @cached_property
    def columns(self) -> FloatArray | None:
        """(units before, width): row u is d result / d h_u, if the stage is a chain and small enough, else None."""
        if self.before is None or not self.has_columns:
            return None
        return self._response(torch.eye(self.before.units, dtype=torch.float64).reshape(-1, *self.before.shape))

    def _response(self, x: Tensor) -> FloatArray:
        """Result (n, width) of the stage's linear part, all registers but the source being zero."""
        chunks = []
        with torch.no_grad():
            for part in x.split(self._rows):
                live = {r: torch.zeros(len(part), *shape, dtype=torch.float64) for r, shape in self.shapes.items()}
                live[self.source] = part
                out = self.program.run(self.placed(live), self.start, self.stop, homogeneous=True)[self.result]
                chunks.append(out.reshape(len(part), -1).cpu().numpy())
        return np.ascontiguousarray(np.concatenate(chunks))

    @cached_property
    def unit_scale(self) -> FloatArray:
        """(width,) norm of each unit's weights times input_scale: exact where the matrix is at hand, else from 32 probes."""
        if self.columns is not None:
            weighted = self.columns * self.input_scale[self.source][:, None]
            return np.sqrt(np.einsum("uw,uw->w", weighted, weighted))
        generator = torch.Generator().manual_seed(0)
        live = {
            r: torch.randn(32, *shape, dtype=torch.float64, generator=generator)
            * torch.from_numpy(self.input_scale[r].reshape(shape))
            for r, shape in self.shapes.items()
        }
        with torch.no_grad():
            chunks = [{r: t[at : at + ROWS] for r, t in live.items()} for at in range(0, 32, ROWS)]
            out = torch.cat(
                [self.program.run(self.placed(c), self.start, self.stop, homogeneous=True)[self.result] for c in chunks]
            )
        return np.sqrt((out.reshape(32, -1).cpu().numpy() ** 2).mean(axis=0))

    @cached_property
    def unit_offset(self) -> FloatArray:
        """(width,) size of each unit's constant: the result at zero."""
        live = {r: torch.zeros(1, *shape, dtype=torch.float64) for r, shape in self.shapes.items()}
        with torch.no_grad():
            out = self.program.run(self.placed(live), self.start, self.stop)[self.result]
        return np.abs(out.reshape(-1).cpu().numpy())

    # ---- running -----------------------------------------------------------------------------------

    @cached_property
    def _operations(self) -> set[str]:
        return {step.op for step in self.program.steps[self.start : self.stop]}

    @cached_property
    def products(self) -> int:
        """How many numbers are multiplied for a row, about: by convolutions and matrices, each taken to give the result."""
        steps = [step for step in self.program.steps[self.start : self.stop] if {"weight", "other"} & step.params.keys()]
        weights = [self.program.read(step) for step in steps if step.op in PRODUCTS or step.op.startswith("conv")]
        return self.width * sum(t.numel() // len(t) for read in weights for t in read.values() if t.dim() > 1)

    @cached_property
    def _matrix(self) -> int:
        """Entries of the largest matrix that is read once a chunk, and not once a row, as a convolution's weights are."""
        steps = [step for step in self.program.steps[self.start : self.stop] if step.op in PRODUCTS]
        return max((t.numel() for step in steps for t in self.program.read(step).values()), default=0)

    @cached_property
    def _rows(self) -> int:
        """Rows of a chunk."""
        widest = max([self.width, *(math.prod(shape) for shape in self.shapes.values())])
        if self.has_columns and not any(op.startswith("conv") for op in self._operations):
            return max(64, CHUNK_BYTES // (8 * widest))
        chunk = min(max(CACHE_BYTES, 32 * self._matrix), CHUNK_BYTES)
        return max(ROWS, chunk // (8 * widest) // ROWS * ROWS)

    def run(self, live: Mapping[int, FloatArray], out: FloatArray, share: Share = one_by_one) -> dict[int, FloatArray]:
        """Kink and stage on the registers alive at the kink, one row per vertex; the result goes to `out` (n, width).

        Returns the other registers still alive. share: runs the chunks, in whatever order.
        """
        chunks = _chunks(len(out), self._rows)
        others: list[dict[int, FloatArray]] = [{} for _ in chunks]
        first = 0 if self.before is None else self.before.step
        tensors = {r: torch.from_numpy(t) for r, t in live.items()}

        def chunk(i: int) -> None:
            start, stop = chunks[i]
            # Libraries take rows in groups, and a row that is left over in a way of its own, which is slower and
            # rounds otherwise: so batches are filled up. A convolution takes one row at a time.
            idle = -(stop - start) % ROWS if self._matrix else 0
            with torch.no_grad():
                part = {r: _filled(t[start:stop], idle) for r, t in tensors.items()}
                left = self.program.run(self.placed(part), first, self.stop)
                result = left.pop(self.result) if self.after is not None else left[self.result]
                out[start:stop] = result[: stop - start].reshape(stop - start, -1).cpu().numpy()
                kept = {r: t[: stop - start].cpu().numpy() for r, t in left.items()}
            others[i] = kept if self.after is not None else {}

        share([partial(chunk, i) for i in range(len(chunks))])
        if len(others) == 1:
            return others[0]
        return {r: np.concatenate([o[r] for o in others]) for r in (others[0] if others else {})}

    @cached_property
    def inverse_size(self) -> dict[int, FloatArray]:
        """1 / input_scale of each register that enters."""
        return {register: 1.0 / size for register, size in self.input_scale.items()}


def _chunks(rows: int, most: int) -> list[tuple[int, int]]:
    """Bounds of runs of about equal length, none longer than `most`, whole groups of ROWS but the last."""
    count = -(-rows // most)
    bounds = np.linspace(0, -(-rows // ROWS), count + 1).astype(int) * ROWS
    bounds[-1] = rows
    return list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))


def _filled(tensor: Tensor, rows: int) -> Tensor:
    return tensor if rows == 0 else torch.cat([tensor, tensor.new_zeros(rows, *tensor.shape[1:])])


def stages(program: Program, samples: FloatArray) -> list[Stage]:
    """All stages of a program, from the input to the outputs; samples (n, *input_shape) tell the typical sizes."""
    ends: list[KinkLayer | None] = [None, *program.layers, None]
    live = {0: torch.from_numpy(samples).to(program.device)}
    found: list[Stage] = []
    at = 0
    for before, after in zip(ends[:-1], ends[1:], strict=True):
        start = 0 if before is None else before.step + 1
        stop = len(program.steps) if after is None else after.step
        kink_input = 0 if before is None else program.steps[before.step].inputs[0]
        sizes = {} if before is None else {program.steps[before.step].output: _size(live[kink_input])}
        live = _passed(program, live, at, start)
        # A kink's output is measured by its input: a unit asleep at all samples has a size all the same.
        sizes = {r: sizes[r] if r in sizes else _size(t) for r, t in live.items()}
        shapes = {r: tuple(t.shape[1:]) for r, t in live.items()}
        live = _passed(program, live, start, stop)
        result = live[program.output if after is None else program.steps[after.step].inputs[0]]
        found.append(Stage(program, before, after, sizes, shapes, frozenset(live), result[0].numel()))
        at = stop
    return found


def _passed(program: Program, live: Mapping[int, Tensor], start: int, stop: int) -> dict[int, Tensor]:
    """What steps make of a batch, a few rows at a time where there are convolutions; see CACHE_BYTES."""
    some = ROWS if any(step.op.startswith("conv") for step in program.steps[start:stop]) else len(next(iter(live.values())))
    parts: list[dict[int, Tensor]] = []
    with torch.no_grad():
        for at in range(0, len(next(iter(live.values()))), some):
            parts.append(program.run({r: t[at : at + some] for r, t in live.items()}, start, stop))
    return parts[0] if len(parts) == 1 else {r: torch.cat([part[r] for part in parts]) for r in parts[0]}


def _size(tensor: Tensor) -> FloatArray:
    """(k,) root mean square of each entry over the samples; an entry that is 0 at all of them has size 1."""
    size = tensor.reshape(len(tensor), -1).square().mean(dim=0).sqrt().cpu().numpy()
    return np.where(size > 1e-290, size, 1.0)


def on_slice(
    stage: Stage, origin: FloatArray, directions: FloatArray, centre: FloatArray
) -> tuple[dict[int, tuple[FloatArray, FloatArray]], FloatArray]:
    """The first stage on a slice: for each register alive at its end the value (k,) at `centre` (d,) and slopes (d, k).

    origin: (*input_shape); directions: (d, *input_shape), 2 for a plane and 1 for a line. Before the first non-linearity
    everything is affine there, so d + 1 evaluations tell all. Where the stage is one Linear layer the value at the centre
    is summed in extended precision, so that a window far from the origin, or a tiny one, is as good as any other.
    Also the size (k,) of the error of the result at the centre, in units of rounding.
    """
    program, d = stage.program, len(directions)
    wide_point = origin.reshape(-1).astype(np.longdouble) + centre.astype(np.longdouble) @ directions.reshape(d, -1)
    point = wide_point.astype(np.float64).reshape(1, *origin.shape)
    with torch.no_grad():
        value = program.run(stage.placed({0: torch.from_numpy(point)}), 0, stage.stop)
        slope = program.run(stage.placed({0: torch.from_numpy(directions.copy())}), 0, stage.stop, homogeneous=True)
    maps = {r: (value[r].reshape(-1).cpu().numpy(), slope[r].reshape(d, -1).cpu().numpy()) for r in value}
    error = stage.unit_scale * np.sqrt(point.size) + stage.unit_offset
    affine = [step for step in program.steps[: stage.stop] if step.op != "reshape"]
    if not (len(affine) == 1 and affine[0].op == "linear" and len(maps) == 1):
        return maps, error
    # As the step reads them, constants and views alike: a weight may be stored transposed.
    wide = {role: t.cpu().numpy().astype(np.longdouble) for role, t in program.read(affine[0]).items()}
    if wide["weight"].shape[1] != point.size:  # applied along the last of several dimensions
        return maps, error
    exact = wide["weight"] @ wide_point + wide.get("bias", np.longdouble(0))
    slopes = directions.reshape(d, -1).astype(np.longdouble) @ wide["weight"].T
    maps[stage.result] = (exact.astype(np.float64), slopes.astype(np.float64))
    extended = float(np.finfo(np.longdouble).eps / np.finfo(np.float64).eps)
    return maps, np.abs(maps[stage.result][0]) + error * extended
