r"""Certificates as files that others can check: network, plane and partition as plain arrays in one .npz file.

    net.ops (S,)        linear, conv, scale, reshape, add or kink; of step i:
      net.i.inputs, output      registers, 0 is the input        net.result: the register of the outputs
      net.i.weight, bias        linear x W^T + b; scale x W + b, entry by entry; conv W (out, in / groups, kh, kw)
      net.i.how (7,)            of conv: stride, padding, dilation, each down and right; groups
      net.i.kink (4,)           f(z) = low (z - at) + shift below `at`, high (z - at) + shift above: at, low, high, shift
      net.i.shape, alpha        of reshape without the batch; of add: x + alpha y

`docs/check_certificate.py` reads it with numpy alone. A step that is none of these but affine is written as the dense matrix
that it is, found by running it on unit vectors. Networks with maxima have no such form yet. This file proves nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from splineviz.errors import CertificateError
from splineviz.geometry.invariants import ARRAYS
from splineviz.geometry.partition import Partition
from splineviz.storage import files
from splineviz.tracing.affine import AFFINE, Attrs
from splineviz.tracing.kinks import KINKS
from splineviz.tracing.program import Program, Step
from splineviz.tracing.trace import trace

Arrays = dict[str, npt.NDArray[Any]]
MOST = 1 << 24
"""Entries of the largest dense matrix that is written for another affine step."""


def write(path: str | os.PathLike[str], partition: Partition, model: Any) -> None:
    """Write network, plane and partition as plain arrays in one .npz file, which `docs/check_certificate.py` proves.

    model: the torch module or Program that it is of. Nothing is checked here.
    Raises CertificateError for a network that has no such form, TraceError for one that cannot be traced.
    """
    program = trace(model, partition.plane.input_shape, swap=partition.swaps).to(torch.float64)
    arrays: dict[str, Any] = {name: getattr(partition, name) for name in ARRAYS}
    arrays |= {name: getattr(partition.plane, name) for name in ("origin", "basis", "anchors_uv")}
    said = partition.boundary_at()
    arrays |= {f"boundary.{name}": getattr(said, name) for name in ("segments", "faces", "classes")}
    files.write_arrays(Path(path), arrays | network(program))


def network(program: Program) -> Arrays:
    """The steps of a Program as arrays; see the top."""
    writer = _Writer(program)
    live: dict[int, Tensor] = {0: torch.zeros(1, *program.input_shape, dtype=torch.float64)}
    shapes = {0: tuple(program.input_shape)}
    with torch.no_grad():
        for i, step in enumerate(program.steps):
            live = program.run(live, i, i + 1)
            if step.output in live:
                shapes[step.output] = tuple(live[step.output].shape[1:])
                writer.step(step, shapes[step.inputs[0]], shapes[step.output])
    return writer.arrays | {"net.ops": np.array(writer.ops), "net.result": np.array(program.output)}


class _Writer:
    """Steps as arrays, in order; `fresh` is the next register that is free."""

    def __init__(self, program: Program):
        self.program = program
        self.arrays: Arrays = {}
        self.ops: list[str] = []
        self.fresh = 1 + max((step.output for step in program.steps), default=0)

    def put(self, op: str, inputs: tuple[int, ...], output: int, **arrays: Any) -> None:
        """One step of the file."""
        name = f"net.{len(self.ops)}"
        self.ops.append(op)
        self.arrays |= {f"{name}.inputs": np.array(inputs), f"{name}.output": np.array(output)}
        self.arrays |= {f"{name}.{key}": np.asarray(value) for key, value in arrays.items()}

    def step(self, step: Step, before: tuple[int, ...], after: tuple[int, ...]) -> None:
        """One step of the Program, as one or more of the file."""
        params, attrs, ends = self.program.read(step), step.attrs, (step.inputs, step.output)
        if step.is_kink:
            kinks = KINKS[step.op].pieces(attrs)
            (at,), (low, high) = kinks.breakpoints, kinks.slopes
            shift = float(KINKS[step.op].call(torch.tensor([at], dtype=torch.float64), attrs)[0])
            self.put("kink", *ends, kink=np.array([at, low, high, shift]))
        elif step.op == "linear":
            weight = params["weight"].numpy()
            self.put("linear", *ends, weight=weight, bias=_bias(params, len(weight)))
        elif step.op == "conv" and (how := _how(attrs, params["weight"])) is not None:
            bias = _bias(params, len(params["weight"]))[:, None, None]
            self.put("conv", *ends, weight=params["weight"].numpy(), bias=bias, how=how)
        elif step.op == "reshape":
            self.put("reshape", *ends, shape=np.array(after, np.int64))
        elif step.op == "add" and len(step.inputs) == 2:
            self.put("add", *ends, alpha=np.array(float(attrs["alpha"])))
        elif step.op in AFFINE:
            self._affine(step, before, after)
        else:
            raise CertificateError(
                f"{step.path or step.op}: expected a network of affine steps, kinks with one breakpoint and sums, got "
                f"{step.op!r}, which a certificate file does not know; `verify` proves the partition all the same."
            )

    def _affine(self, step: Step, before: tuple[int, ...], after: tuple[int, ...]) -> None:
        """Any other affine step: entry by entry, if it is of that kind, or as a dense matrix."""
        params = {r: self.program.weights.get(k, self.program.constants.get(k)) for r, k in step.params.items()}
        call = AFFINE[step.op]
        bias = call(torch.zeros(1, *before, dtype=torch.float64), params, step.attrs, False)  # type: ignore[arg-type]
        if step.op in ("batch_norm", "scale", "divide", "shift") and before == after:
            weight = call(torch.ones(1, *before, dtype=torch.float64), params, step.attrs, True)  # type: ignore[arg-type]
            self.put("scale", step.inputs, step.output, weight=weight.numpy(), bias=bias.numpy())
            return
        entries, made = int(np.prod(before)), int(np.prod(after))
        if entries * made > MOST:
            raise CertificateError(
                f"{step.path or step.op}: expected at most {MOST} entries in its matrix, got {entries * made}."
            )
        units = torch.eye(entries, dtype=torch.float64).reshape(entries, *before)
        matrix = call(units, params, step.attrs, True).reshape(entries, made).T  # type: ignore[arg-type]
        self.put("reshape", step.inputs, self.fresh, shape=np.array([entries]))
        self.put("linear", (self.fresh,), self.fresh + 1, weight=matrix.numpy(), bias=bias.reshape(-1).numpy())
        self.put("reshape", (self.fresh + 1,), step.output, shape=np.array(after, np.int64))
        self.fresh += 2


def _bias(params: Mapping[str, Tensor], units: int) -> npt.NDArray[Any]:
    bias = params.get("bias")
    return np.zeros(units) if bias is None else bias.numpy()


def _how(attrs: Attrs, weight: Tensor) -> npt.NDArray[Any] | None:
    """Stride, padding, dilation and groups of a convolution of pictures padded with zeros alike on both sides, else None."""
    if attrs["dims"] != 2 or attrs["padding_mode"] != "zeros":
        return None
    stride, dilation = (np.broadcast_to(attrs[name], 2) for name in ("stride", "dilation"))
    padding = attrs["padding"]
    if isinstance(padding, str):
        twice = dilation * (np.array(weight.shape[2:]) - 1) * (padding == "same")
        if (twice % 2).any():
            return None
        padding = twice // 2
    return np.concatenate([stride, np.broadcast_to(padding, 2), dilation, [attrs["groups"]]]).astype(np.int64)
