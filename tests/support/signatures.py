"""What a docstring says of arguments, for the test that public ones say it of each."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any


def described(thing: Any) -> set[str]:
    """Names with an entry of their own below Args."""
    text = (inspect.getdoc(thing) or "").partition("Args:\n")[2]
    return set(re.findall(r"^    (\w+):", re.split(r"^\w+:$", text, maxsplit=1, flags=re.MULTILINE)[0], re.MULTILINE))


def arguments(thing: Any) -> set[str]:
    """Names of a function's arguments; of a class, those of its own __init__, none of a record's."""
    if inspect.isclass(thing):
        if "__init__" not in vars(thing) or hasattr(thing, "__dataclass_fields__"):
            return set()
        thing = thing.__init__
    return set(inspect.signature(thing).parameters) - {"self", "cls"}


def public(package: Any) -> Iterator[tuple[str, Any]]:
    """Functions, classes and their methods behind the names of a package, or of a module that it shows."""
    for name in dir(package):
        thing = getattr(package, name)
        if inspect.ismodule(thing) and thing.__name__.startswith(f"{package.__name__}."):
            yield from ((f"{name}.{n}", t) for n, t in _of(thing) if getattr(t, "__module__", "") == thing.__name__)
        elif callable(thing) and getattr(thing, "__module__", "").startswith(package.__name__):
            yield from _with_methods(name, thing)


def _of(module: Any) -> Iterator[tuple[str, Any]]:
    for name, thing in vars(module).items():
        if not name.startswith("_") and (inspect.isfunction(thing) or inspect.isclass(thing)):
            yield from _with_methods(name, thing)


def _with_methods(name: str, thing: Any) -> Iterator[tuple[str, Any]]:
    yield name, thing
    if inspect.isclass(thing):
        members = ((n, getattr(m, "__func__", m)) for n, m in vars(thing).items() if not n.startswith("_"))
        yield from ((f"{name}.{n}", m) for n, m in members if inspect.isfunction(m))
