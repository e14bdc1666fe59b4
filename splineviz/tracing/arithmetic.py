"""Arithmetic: sums, differences, products and quotients with constants -> steps on a tape.
Matrix products and einsum with constants are among them.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from splineviz.tracing.call import Call, Emitter, alone
from splineviz.tracing.tape import Live


def shifted_by(call: Call, x: Live, constant: Any, alpha: float) -> Live:
    """A live tensor plus alpha times a constant."""
    constant = alone(call, constant)
    if isinstance(constant, Tensor):
        return call.tape.emit("shift", x, params={"value": constant}, alpha=alpha)
    return call.tape.shifted(x, alpha * float(constant))


def added(sign: int, *, reverse: bool = False) -> Emitter:
    """Sum (sign 1) or difference (-1); reverse: the second argument comes first."""

    def emit(call: Call) -> Live:
        a, b = call.get("input", 0), call.get("other", 1)
        alpha = sign * call.get("alpha", 2, 1)
        if reverse:
            a, b = b, a
        if isinstance(a, Live) and isinstance(b, Live):
            return call.tape.emit("add", a, b, alpha=alpha)
        if isinstance(a, Live):
            return shifted_by(call, a, b, alpha)
        return shifted_by(call, call.tape.scaled(b, float(alpha)), a, 1)

    return emit


def multiplied(role: str, op: str) -> Emitter:
    """Product with, or quotient by, a constant."""

    def emit(call: Call) -> Live:
        a, b = call.get("input", 0), call.get("other", 1)
        if isinstance(a, Live) and isinstance(b, Live):
            raise call.refused("combines two tensors that depend on the input, which is not piecewise affine")
        if op == "divide" and not isinstance(a, Live):
            raise call.refused("divides by a tensor that depends on the input, which is not piecewise affine")
        if call.kwargs.get("rounding_mode") is not None:
            raise call.refused("rounds, so the network is not continuous")
        x, constant = (a, b) if isinstance(a, Live) else (b, a)
        constant = alone(call, constant)
        if isinstance(constant, Tensor):
            return call.tape.emit(op, x, params={role: constant})
        return call.tape.emit(op, x, **{role: float(constant)})

    return emit


def product(call: Call) -> Live:
    """Matrix product with a constant."""
    a, b = call.args[0], call.get("other", 1, call.kwargs.get("mat2"))
    if isinstance(a, Live) == isinstance(b, Live):
        raise call.refused("multiplies two tensors that depend on the input, which is not piecewise affine")
    if isinstance(a, Live):
        return call.tape.emit("matmul", a, params={"other": b}, left=False)
    if b.value.dim() < 3:
        raise call.refused("mixes the batch dimension with others; multiply from the right")
    return call.tape.emit("matmul", b, params={"other": a}, left=True)


def einsum(call: Call) -> Live:
    """Einsum of one live tensor and constants."""
    equation, *operands = call.args
    operands = list(operands[0]) if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
    places = [i for i, operand in enumerate(operands) if isinstance(operand, Live)]
    if len(places) != 1:
        raise call.refused("multiplies tensors that depend on the input, which is not piecewise affine")
    x = operands.pop(places[0])
    params = {str(i): operand for i, operand in enumerate(operands)}
    return call.tape.emit("einsum", x, params=params, equation=equation, position=places[0])


def addmm(call: Call) -> Live:
    """Bias plus matrix product."""
    bias, x, weight = call.args
    if not isinstance(x, Live) or isinstance(bias, Live) or isinstance(weight, Live) or call.kwargs:
        raise call.refused("multiplies tensors that depend on the input, which is not piecewise affine")
    return shifted_by(call, call.tape.emit("matmul", x, params={"other": weight}, left=False), bias, 1)
