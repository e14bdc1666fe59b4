"""Stages: the affine stretches of a Program between two kink layers, as the enumerator runs them.
Also the first stage as an affine map of the slice, and how many bytes of values a block should have at a layer.

    inputs --stage 0--> z_0 --kink--> h_0 --stage 1--> z_1 ... h_last --last stage--> outputs

Stage i ends at the inputs of kink layer i (the last one at the outputs). It runs the network's own torch calls on
batches of vertices in chunks. Where a stage is a plain map from one tensor to one tensor (no skip connection is
alive beside it) and not too large, its matrix is at hand as `columns`, for the rank-1 updates of new vertices.

Scales: unit i of a stage's result is computed with rounding errors in proportion to
row_scale * unit_scale[i] + unit_offset[i]. No number in this is absolute: every entry of what enters a stage is measured
by its size F in the window, from sample points, so that neurons of scale 1e-8 and 1e8 may stand side by side,

    F^2 = mean of h^2 + (share of samples at which it is passed on) * E^2        E' = |W F| + |constant|

where E is the running error of the entry, in units of rounding, as the stage before made it. unit_scale is |W F|, and
row_scale 1 + the norm of the entering vector over F; the 1 stands for what the vector inherited, which does not cancel
where the vector does (all rays of a bias-free network meet at 0). An entry that is off at all samples has F = 0 and adds
nothing to unit_scale, however large it would be; where it wakes all the same, it raises row_scale by as much as any unit
of the result may need (`inverse_size`). A unit all of whose inputs are off is measured by what they would be awake.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from splineviz._kernels import winners
from splineviz._kernels.lines import Rows
from splineviz.errors import FloatArray
from splineviz.geometry.budget import block_bytes
from splineviz.regions import entries
from splineviz.regions.entries import passed, rms, signs
from splineviz.threads import Share, chunks, one_by_one
from splineviz.tracing.affine import Weights
from splineviz.tracing.lowering import Meeting
from splineviz.tracing.program import KinkLayer, Program

PROBES, FEW_PROBES = 32, 8
"""Random signs that norms of weights are measured with where there is no matrix; and for units that may wake."""
ROWS, FEW_ROWS = 16, 4
"""Every batch that is handed to torch has a multiple of this many rows; without a matrix it has this many at least."""
CHUNK_BYTES = 64 << 20
"""Rows are evaluated in chunks of about this many bytes of the widest tensor that the stage reads or writes."""
CACHE_BYTES = 2 << 20
"""The same for convolutions and for stages without a matrix: torch unfolds all pictures of a batch in double precision at
once, and where they do not stay in the cache that takes twice as long."""
PRODUCTS = {"linear", "matmul", "einsum"}
"""Operations whose matrix a batch shares."""
EXTENDED = float(np.finfo(np.longdouble).eps / np.finfo(np.float64).eps)
"""A rounding of the longer floats that this machine has, in roundings of a double."""
Ids = npt.NDArray[np.int64]
Sizes = dict[int, FloatArray]


@dataclass(eq=False)
class Stage:
    """The steps from kink layer `before` (None: the input) to kink layer `after` (None: the outputs).

    input_scale: size F of each entry of the registers that enter, see the module; waking: what it is if it wakes.
    shapes: without the batch, of the registers alive at the start (after the kink); leaving: those alive at the end.
    width: number of entries of the result. has_columns: whether its matrix is at hand; else new vertices are evaluated
    in full. goes_on, meets: the rounds of a maximum that the kinks before and after it are.
    """

    program: Program
    before: KinkLayer | None
    after: KinkLayer | None
    input_scale: dict[int, FloatArray]
    waking: dict[int, FloatArray]
    shapes: dict[int, tuple[int, ...]]
    leaving: frozenset[int]
    width: int
    has_columns: bool
    goes_on: Meeting | None = None
    meets: Meeting | None = None

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

    @property
    def is_one_linear(self) -> bool:
        """Whether a first stage is one Linear layer of all inputs, summed in extended precision, and nothing else."""
        affine = [step for step in self.program.steps[: self.stop] if step.op != "reshape"]
        if len(affine) != 1 or affine[0].op != "linear" or not self.is_chain:
            return False
        # A weight may be applied along the last of several dimensions.
        return self.program.read(affine[0])["weight"].shape[1] == math.prod(self.program.input_shape)

    def placed(self, live: Mapping[int, Tensor]) -> dict[int, Tensor]:
        """The same registers on the program's device."""
        return {r: t.to(self.program.device) for r, t in live.items()}

    # ---- the map and its scales --------------------------------------------------------------------

    @cached_property
    def columns(self) -> FloatArray | None:
        """(units before, width): row u is d result / d h_u, if it is to be at hand (see `entries.at_hand`), else None."""
        if self.before is None or not self.has_columns:
            return None
        units, found, shape = self.before.units, np.empty((self.before.units, self.width)), self.shapes[self.source]
        with torch.no_grad():
            for at in range(0, units, self._rows):
                some = range(at, min(at + self._rows, units))
                start, live = entries.basis_at(self.program, self.start, self.stop, self.source, shape, some)
                out = self.program.run(self.placed(live), start, self.stop, homogeneous=True)[self.result]
                found[some.start : some.stop] = out.reshape(len(some), -1).cpu().numpy()
        return found

    @cached_property
    def unit_scale(self) -> FloatArray:
        """(width,) norm of each unit's weights times input_scale; see `spread`."""
        return self.spread[self.result]

    @cached_property
    def unit_offset(self) -> FloatArray:
        """(width,) size of each unit's constant: the result at zero."""
        return self.constants[self.result]

    @cached_property
    def spread(self) -> dict[int, FloatArray]:
        """The norm of the weights times input_scale of every entry that leaves, by register: exact where the matrix is at
        hand, else from `PROBES`. Where nothing reaches an entry, of what would.
        """
        awake, some = self._norms(self.input_scale), {}
        if not all(size.all() for size in self.input_scale.values()):
            some = self._norms(self.waking)
        return {r: np.where(norm > 0.0, norm, some[r]) if r in some else norm for r, norm in awake.items()}

    @cached_property
    def constants(self) -> dict[int, FloatArray]:
        """The size of the constant of every entry that leaves, by register."""
        live = {r: torch.zeros(1, *shape, dtype=torch.float64) for r, shape in self.shapes.items()}
        with torch.no_grad():
            found = self.program.run(self.placed(live), self.start, self.stop)
        return {r: np.abs(t.reshape(-1).cpu().numpy()) for r, t in found.items()}

    @cached_property
    def inverse_size(self) -> dict[int, FloatArray]:
        """1 / F of each entry that enters; of one with F = 0 the largest share that it may have in an entry that leaves, in
        units of that one's size, by its own.
        """
        found = {}
        for register, size in self.input_scale.items():
            asleep = size == 0.0
            share = self.shares[register] if asleep.any() else size
            found[register] = np.where(asleep, share, 1.0 / np.where(asleep, 1.0, size))
        return found

    @cached_property
    def shares(self) -> dict[int, FloatArray]:
        """How much of each leaving entry's size one unit of an entering entry makes: the largest, or the norm of all."""
        inverse = {r: np.where(norm > 0.0, 1.0 / np.where(norm > 0.0, norm, 1.0), 0.0) for r, norm in self.spread.items()}
        if self.columns is not None:
            size = inverse[self.result]
            return {self.source: np.array([np.abs(row * size).max(initial=0.0) for row in self.columns])}
        if (shares := entries.shares(self.program, self.shapes, inverse, self.start, self.stop)) is not None:
            return shares
        generator = torch.Generator().manual_seed(1)
        zeros = {r: torch.zeros(FEW_PROBES, *shape, dtype=torch.float64) for r, shape in self.shapes.items()}
        entering = {r: t.requires_grad_() for r, t in self.placed(zeros).items()}
        with torch.enable_grad():
            left = self.program.run(entering, self.start, self.stop, homogeneous=True)
            total = torch.zeros((), dtype=torch.float64, device=self.program.device)
            for register, tensor in left.items():
                weights = torch.from_numpy(inverse[register].reshape(1, *tensor.shape[1:])) * signs(tensor.shape, generator)
                total = total + (tensor * weights.to(tensor.device)).sum()
            wanted = list(entering.values())
            slopes = torch.autograd.grad(total, wanted, allow_unused=True) if total.requires_grad else [None] * len(wanted)
        return {
            r: np.zeros(t[0].numel()) if g is None else rms(g) for (r, t), g in zip(entering.items(), slopes, strict=True)
        }

    def _norms(self, sizes: Mapping[int, FloatArray]) -> dict[int, FloatArray]:
        """The norm of the weights of every leaving entry, times the sizes of what enters."""
        if self.columns is not None:
            return {self.result: np.sqrt(np.einsum("uw,uw,u->w", self.columns, self.columns, sizes[self.source] ** 2))}
        if (norms := entries.norms(self.program, self.shapes, sizes, self.start, self.stop)) is not None:
            return norms
        generator = torch.Generator().manual_seed(0)
        live = {
            r: signs((PROBES, *shape), generator) * torch.from_numpy(sizes[r].reshape(shape))
            for r, shape in self.shapes.items()
        }
        found = passed(self.program, self.placed(live), self.start, self.stop, homogeneous=True)
        return {r: rms(t) for r, t in found.items()}

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
        return max(ROWS, chunk // (8 * widest) // ROWS * ROWS) if self._matrix else max(FEW_ROWS, chunk // (8 * widest))

    @cached_property
    def _torch(self) -> tuple[int, int]:
        """The steps that torch takes, between a round and a meeting, which are kernels' (`_kernels.winners`)."""
        begin = 0 if self.before is None else self.before.step if self.goes_on is None else self.goes_on.stop
        return begin, self.stop if self.meets is None else self.meets.start

    @cached_property
    def _is_direct(self) -> bool:
        """Whether those who meet are entries of the kink's output, which nobody else reads."""
        begin, end = self._torch
        if self.meets is None or self.goes_on is not None or end != begin + 1:
            return False
        return self.meets.source == self.source and self.source not in self.leaving

    def run(
        self, live: Mapping[int, Rows], out: FloatArray, share: Share = one_by_one, which: Ids | None = None
    ) -> dict[int, FloatArray]:
        """Kink and stage on the registers alive at the kink, at vertices `which` (n,) or all; the result: `out` (n, width).

        Returns the other registers still alive. share: runs the chunks, in whatever order.
        """
        which = np.arange(len(out)) if which is None else which
        parts = chunks(len(out), self._rows, ROWS if self._matrix or self.has_columns else 1)
        met = [np.empty((len(out), n)) for n in ((self.width, self.meets.width) if self.meets is not None else ())]
        others: list[dict[int, FloatArray]] = [{} for _ in parts]

        def part(i: int) -> None:
            start, stop = parts[i]
            into = [array[start:stop] for array in (out, *met)]
            with torch.no_grad():
                left = self._taken(live, which[start:stop], into)
            others[i] = {r: t for r, t in left.items() if r in self.leaving} if self.after is not None else {}

        share([partial(part, i) for i in range(len(parts))])
        found = others[0] if others else {}
        if len(others) > 1:
            found = {r: np.concatenate([o[r] for o in others]) for r in found}
        beside = () if self.meets is None else zip((self.meets.second, self.meets.rest), met, strict=True)
        return found | {r: t for r, t in beside if r is not None}

    def _taken(self, live: Mapping[int, Rows], vertices: Ids, into: Sequence[FloatArray]) -> dict[int, FloatArray]:
        """The same at a few vertices: into[0] receives the result, the others who meets it; returns what else is left."""
        assert self.before is not None
        kink, rows, own = self.program.steps[self.before.step].inputs[0], len(vertices), self.goes_on
        if self.meets is not None and self._is_direct:
            winners.meet(live[kink], vertices, self.meets.index, *self.before.kinks.slopes, *into)
            return {r: values.part(vertices) for r, values in live.items() if r in self.leaving}
        # Libraries take rows in groups, and a row that is left over in a way of its own, which is slower and
        # rounds otherwise: so batches are filled up. A convolution takes one row at a time.
        idle = -rows % ROWS if self._matrix else 0
        used = () if own is None else (kink, own.second, own.rest)
        shapes = {**self.shapes, kink: self.before.shape}
        batch = {r: _filled(t.part(vertices), shapes[r], idle) for r, t in live.items() if r not in used}
        if own is not None:
            entrants = own.entrants(live, live[kink], vertices)
            batch[own.result] = _filled(entrants, (-1, *shapes[own.second][1:]), idle)
        left = {r: t[:rows].cpu().numpy() for r, t in self.program.run(self.placed(batch), *self._torch).items()}
        if self.meets is not None:
            winners.meet(Rows.of(left[self.meets.source]), np.arange(rows), self.meets.index, 1.0, 1.0, *into)
        else:
            into[0][:] = (left[self.result] if self.after is None else left.pop(self.result)).reshape(rows, -1)
        return left


def _filled(rows: FloatArray, shape: tuple[int, ...], idle: int) -> Tensor:
    """Rows as torch takes them, filled up with so many of zeros."""
    tensor = torch.from_numpy(rows.reshape(len(rows), *shape))
    return tensor if idle == 0 else torch.cat([tensor, tensor.new_zeros(idle, *tensor.shape[1:])])


def stages(
    program: Program, samples: FloatArray, meetings: Sequence[Meeting | None] = (), summed: FloatArray | None = None
) -> list[Stage]:
    """All stages of a program, from the input to the outputs; samples (n, *input_shape) tell the typical sizes.

    meetings: for each kink layer the round that it is (`Lowered.meetings`), or None. summed: sizes of the terms whose sum
    an entry of an input is, off by their rounding; None where the input is what it is.
    """
    ends: list[KinkLayer | None] = [None, *program.layers, None]
    rounds = [None, *(meetings or [None] * len(program.layers)), None]
    live = {0: torch.from_numpy(samples).to(program.device)}
    error: Sizes = {0: np.zeros(live[0][0].numel()) if summed is None else summed.reshape(-1)}
    waking = error
    found, at, matrices = list[Stage](), 0, entries.at_hand(program)
    for i, (before, after) in enumerate(itertools.pairwise(ends)):
        start = 0 if before is None else before.step + 1
        stop = len(program.steps) if after is None else after.step
        if before is not None:
            error, waking = _bent(program, before, live, error, waking)
        live = passed(program, live, at, start)
        sizes = {r: np.hypot(rms(t), error[r]) for r, t in live.items()}
        woken = {r: np.maximum(waking[r], sizes[r]) for r in live}
        shapes = {r: tuple(t.shape[1:]) for r, t in live.items()}
        kept = {r: (error[r], waking[r]) for r in live}
        live = passed(program, live, start, stop)
        result = live[program.output if after is None else program.steps[after.step].inputs[0]]
        has = before is not None and before.step in matrices
        stage = Stage(
            program, before, after, sizes, woken, shapes, frozenset(live), result[0].numel(), has, *rounds[i : i + 2]
        )
        found.append(stage)
        made = {r: stage.spread[r] + stage.constants[r] for r in live if r not in kept}
        if before is None and stage.is_one_linear:
            terms = {r: stage.spread[r] * math.sqrt(math.prod(program.input_shape)) + stage.constants[r] for r in made}
            made = {r: rms(live[r]) + EXTENDED * terms[r] for r in made}  # see `on_slice`
        error = {r: made[r] if r in made else kept[r][0] for r in live}
        waking = {r: made[r] if r in made else kept[r][1] for r in live}
        at = stop
    return found


def _bent(program: Program, kink: KinkLayer, live: Mapping[int, Tensor], error: Sizes, waking: Sizes) -> tuple[Sizes, Sizes]:
    """Running errors and waking sizes after a kink's step: what samples that pass a value on let through of its error."""
    step, (low, high) = program.steps[kink.step], kink.kinks.slopes
    source, z = step.inputs[0], live[step.inputs[0]].reshape(len(live[step.inputs[0]]), -1).cpu().numpy()
    passed = np.sqrt(np.where(z > 0.0, high**2, low**2).mean(axis=0))
    return {**error, step.output: passed * error[source]}, {**waking, step.output: max(abs(low), abs(high)) * error[source]}


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
    if not stage.is_one_linear:
        return maps, error
    # As the step reads them, constants and views alike: a weight may be stored transposed.
    affine = next(step for step in program.steps[: stage.stop] if step.op != "reshape")
    wide = {role: t.cpu().numpy().astype(np.longdouble) for role, t in program.read(affine).items()}
    exact = wide["weight"] @ wide_point + wide.get("bias", np.longdouble(0))
    slopes = directions.reshape(d, -1).astype(np.longdouble) @ wide["weight"].T
    maps[stage.result] = (exact.astype(np.float64), slopes.astype(np.float64))
    return maps, np.abs(maps[stage.result][0]) + error * EXTENDED


def block_bytes_of(found: Sequence[Stage], layer: int) -> int:
    """Bytes of a block's values at a layer (see `block_bytes`)."""
    widest = max((stage.width for stage in found), default=1)
    if found[layer + 1].has_columns:
        return block_bytes(widest, None)
    lent = isinstance(found[0].program.weights, Weights)
    return block_bytes(widest, 0 if lent else sum(stage.products for stage in found[1:]))
