"""Refusals: why an operation cannot be traced, and what to do, by its name. This room knows words alone."""

from __future__ import annotations

SMOOTH = {
    "gelu", "silu", "swish", "tanh", "sigmoid", "softmax", "softmax2d", "log_softmax", "logsoftmax", "softmin",
    "elu", "celu", "selu", "mish", "softplus", "logsigmoid", "hardswish", "softsign", "tanhshrink", "glu", "exp",
    "log", "sqrt", "rsqrt", "pow", "square", "sin", "cos", "erf", "reciprocal", "logsumexp", "norm", "normalize",
    "lppool1d", "lppool2d", "var", "std", "multiheadattention", "scaled_dot_product_attention", "cosinesimilarity",
    "local_response_norm", "localresponsenorm",
}  # fmt: skip
JUMPS = {
    "hardshrink", "threshold", "sign", "heaviside", "round", "floor", "ceil", "trunc", "argmax", "argmin", "gt", "lt", "ge",
    "le", "eq", "ne", "where", "masked_fill", "topk", "sort", "floordiv", "floor_divide", "fmod", "remainder", "mod",
}  # fmt: skip
OWN_STATISTICS = {"layernorm", "layer_norm", "groupnorm", "group_norm", "rmsnorm", "rms_norm"}
RANDOM = {"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout", "rrelu"}


def refusal(path: str, name: str, operations: list[str], why: str = "") -> str:
    """The whole message about an operation `name` at a module path; why: what is wrong with this very call."""
    plain = name.lower().rstrip("_").removeprefix("inplace")
    if why:
        return f"{path}: {name} {why}."
    if plain in SMOOTH:
        return (
            f"{path}: {name} is smooth, so the network has no linear regions; replace it, for example by ReLU "
            "(the sampled local complexity is all that could be measured)."
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
