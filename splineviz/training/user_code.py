"""Factories: what the user names as module:function on the command line, imported and called.

Nothing else imports by name, and no name ever comes from a file. This room knows nothing of what is made.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from splineviz.errors import SplinevizError


def make(name: str, arguments: str | None = None, *, error: type[SplinevizError]) -> Any:
    """What `module:function` gives for keyword arguments written as a JSON object.

    module is importable, also from the working directory. Raises `error` when there is no such module or function,
    when the arguments are no JSON object, or when the function refuses them.
    """
    module_name, _, attribute = name.partition(":")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as caught:
        raise error(
            f"{name}: expected module:function that can be imported from here, got {type(caught).__name__}: {caught}."
        ) from caught
    finally:
        sys.path.remove(here)
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
