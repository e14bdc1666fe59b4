"""Refusals: why an operation cannot be traced, and what to do, by its name. This room knows words alone."""

from __future__ import annotations

SWAPS = {
    "gelu": "relu", "silu": "relu", "mish": "relu", "hardswish": "relu", "softplus": "relu", "elu": "relu", "celu": "relu",
    "selu": "relu", "tanh": "hardtanh", "softsign": "hardtanh", "erf": "hardtanh", "sigmoid": "hardsigmoid",
    "logsigmoid": "clamp", "tanhshrink": "softshrink", "softmax": "identity", "log_softmax": "identity",
}  # fmt: skip
"""Smooth functions, and what each may be drawn as."""
SAME = {"swish": "silu", "logsoftmax": "log_softmax", "log_sigmoid": "logsigmoid", "special_expit": "sigmoid"}
"""Other names of theirs, as classes, functions and people have them."""
SMOOTH = {
    "softmax2d", "softmin", "glu", "exp", "log", "sqrt", "rsqrt", "pow", "square", "sin", "cos", "reciprocal", "logsumexp",
    "norm", "normalize", "lppool1d", "lppool2d", "var", "std", "multiheadattention", "scaled_dot_product_attention",
    "cosinesimilarity", "local_response_norm", "localresponsenorm",
}  # fmt: skip
"""Further smooth operations, which nothing stands for."""
JUMPS = {
    "hardshrink", "threshold", "sign", "heaviside", "round", "floor", "ceil", "trunc", "argmax", "argmin", "gt", "lt", "ge",
    "le", "eq", "ne", "where", "masked_fill", "topk", "sort", "floordiv", "floor_divide", "fmod", "remainder", "mod",
}  # fmt: skip
KINKED = {"selu", "hardswish"}
"""Functions of SWAPS that have kinks, and are not linear between them."""
OWN_STATISTICS = {"layernorm", "layer_norm", "groupnorm", "group_norm", "rmsnorm", "rms_norm"}
RANDOM = {"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout", "rrelu"}


def _curved(plain: str) -> str:
    return "curved between its kinks" if plain in KINKED else "smooth"


def refusal(path: str, name: str, operations: list[str], why: str = "") -> str:
    """The whole message about an operation `name` at a module path; why: what is wrong with this very call."""
    plain = name.lower().rstrip("_").removeprefix("inplace")
    plain = SAME.get(plain, plain)
    if why:
        return f"{path}: {name} {why}."
    if plain in SWAPS:
        return (
            f"{path}: {plain} is {_curved(plain)}, so the network has no linear regions; draw it with another function "
            f"in its place (--swap {plain}={SWAPS[plain]}, swap={{{plain!r}: {SWAPS[plain]!r}}}), which every picture then "
            "says, or measure its sampled local complexity, which needs no regions."
        )
    if plain in SMOOTH:
        return (
            f"{path}: {plain} is {_curved(plain)}, so the network has no linear regions; replace it, or measure the "
            "network's sampled local complexity, which needs no regions."
        )
    if plain in JUMPS:
        return (
            f"{path}: {name} jumps, so the network is not continuous; replace it by a continuous piecewise-linear function."
        )
    if plain in OWN_STATISTICS:
        return (
            f"{path}: {name} divides by the spread of its own input, in evaluation mode too, so the network is not "
            "piecewise affine; replace it by BatchNorm or leave it out."
        )
    known = ", ".join(operations)
    return f"{path}: expected one of {known} or an identity in evaluation mode, got {name}; rewrite it in those."
