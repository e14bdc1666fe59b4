"""User code: what the user names as module:function, or file.py:function, imported and called.
Modules of the working directory can be imported for that long.

Nothing else imports by name, and no name ever comes from a file. This file knows nothing of what is made.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from splineviz.errors import SplinevizError


@contextmanager
def from_here() -> Iterator[None]:
    """While this lasts, modules in the working directory can be imported, as they can from a script that lies there."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _file(path: Path) -> ModuleType:
    """The module in a file; it has the file's name, so that what was pickled from it is found."""
    known = sys.modules.get(path.stem)
    if known is not None and Path(getattr(known, "__file__", None) or "").resolve() == path.resolve():
        return known
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ImportError(f"there is no file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    shadowed = sys.modules.get(path.stem)
    if shadowed is None:
        sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        if shadowed is None:
            del sys.modules[path.stem]
        raise
    finally:
        sys.path.remove(str(path.resolve().parent))
    return module


def make(name: str, arguments: str | None = None, *, error: type[SplinevizError]) -> Any:
    """What `module:function` gives for keyword arguments written as a JSON object.

    module is importable, also from the working directory, or a file ending in .py. Raises `error` when there
    is no such module or function, when the arguments are no JSON object, or when the function refuses them.
    """
    module_name, _, attribute = name.rpartition(":")
    try:
        is_file = module_name.endswith(".py")
        with from_here():
            found: Any = _file(Path(module_name)) if is_file else importlib.import_module(module_name)
            for part in attribute.split("."):
                found = getattr(found, part)
    except Exception as caught:  # the user's own code may raise any
        raise error(
            f"{name}: expected module:function that can be imported from here, got {type(caught).__name__}: {caught}."
        ) from caught
    try:
        keywords = json.loads(arguments) if arguments else {}
    except ValueError as caught:
        raise error(
            f"{name}: expected arguments as a JSON object such as '{{\"width\": 200}}', got {arguments!r}."
        ) from caught
    if not isinstance(keywords, dict):
        raise error(f"{name}: expected arguments as a JSON object such as '{{\"width\": 200}}', got {arguments!r}.")
    if not callable(found):
        raise error(f"{name}: expected a function or class, got {type(found).__name__}.")
    try:
        return found(**keywords)
    except TypeError as caught:
        raise error(f"{name}: expected arguments that it takes, got {caught}.") from caught
