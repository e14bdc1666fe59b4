"""Silence: whether a hook can be seen, from its code, to change nothing of what passes."""

from __future__ import annotations

import dis
import functools
import types
from typing import Any

from torch import Tensor

PURE = frozenset(
    name for name in dir(Tensor) if not name.endswith("_") or name in ("__getitem__", "__len__")
) - {"data", "set_", "resize", "copy"}
"""What may be asked of a tensor without changing it."""
RECORDING = frozenset(
    "append extend insert update setdefault add_scalar add_scalars add_histogram log info debug warning write put "
    "observe record items keys values get format join".split()
)
"""Methods of what keeps records, on which a hook may call."""
BUILTINS = frozenset(
    "print len float int str bool list tuple dict set range enumerate zip isinstance min max sum abs repr torch".split()
)


def is_silent(hook: Any) -> bool:
    """Whether a hook can be seen to return nothing and to write to no tensor: it watches, and is left out."""
    return isinstance(hook, types.FunctionType) and _is_silent(hook.__code__)


@functools.lru_cache(maxsize=1024)
def _is_silent(code: types.CodeType) -> bool:
    if any(isinstance(const, types.CodeType) and not _is_pure(const) for const in code.co_consts) or not _is_pure(code):
        return False
    steps = list(dis.get_instructions(code))
    for before, step in zip([None, *steps], steps, strict=False):
        if step.opname == "RETURN_CONST" and step.argval is not None:
            return False
        nothing = before is not None and before.opname == "LOAD_CONST" and before.argval is None
        if step.opname == "RETURN_VALUE" and not nothing:
            return False
    return True


def _is_pure(code: types.CodeType) -> bool:
    """Whether no step of the code can write to a tensor, or call what might."""
    words = {name for const in code.co_consts if isinstance(const, tuple) for name in const if isinstance(name, str)}
    if words & {"inplace", "out"}:
        return False
    for step in dis.get_instructions(code):
        name = step.argval
        if step.opname in ("STORE_ATTR", "STORE_SUBSCR", "DELETE_SUBSCR", "STORE_GLOBAL", "STORE_DEREF", "IMPORT_NAME"):
            return False
        if step.opname.startswith("BINARY_OP") and step.argrepr.endswith("="):
            return False
        if step.opname in ("LOAD_ATTR", "LOAD_METHOD") and name not in PURE and name not in RECORDING:
            return False
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and name not in BUILTINS and not step.opname == "LOAD_DEREF":
            return False
    return True
