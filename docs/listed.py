"""Pages that are written from the package itself, so that they name every command and every public name.

`write` puts them into docs/_generated before the site is built; tests/test_docs.py reads them too.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import splineviz as sv
from splineviz.commands import COMMANDS

HERE = Path(__file__).parent

COMMANDS_HEAD = """\
# Commands

Each explains itself: `splineviz COMMAND --help`. Exit codes: 0 done, 1 a failed certificate, 2 a wrong flag or anything
that is refused (one line says why; `--debug` shows the traceback), 130 stopped by Ctrl-C. What is made goes to stdout,
progress to stderr.
"""

API_HEAD = """\
# API reference

`import splineviz as sv`; every name below is reached as `sv.NAME` and is imported when it is first asked for.
"""


def commands_page() -> str:
    """Every command with its help screen, which is a snapshot of the tests."""
    parts = [COMMANDS_HEAD]
    parts += [
        f"## splineviz {n}\n\n```{{literalinclude}} ../../tests/help/{n}.txt\n:language: none\n```\n" for n in COMMANDS
    ]
    return "\n".join(parts)


def homes() -> dict[str, list[str]]:
    """The public names of every room, rooms that are public names themselves included (with no names: all their members)."""
    rooms: dict[str, list[str]] = {}
    for name in sv.__all__:
        value = getattr(sv, name)
        if isinstance(value, ModuleType):
            rooms.setdefault(value.__name__, [])
        else:
            rooms.setdefault(value.__module__, []).append(name)
    return dict(sorted(rooms.items()))


def api_page() -> str:
    """Every public name, from its docstring, room by room."""
    parts = [API_HEAD]
    for room, names in homes().items():
        own = room.rpartition(".")[2]
        public = own in sv.__all__ and isinstance(getattr(sv, own), ModuleType)
        title = ", ".join(f"sv.{name}" for name in ([own] if public else []) + names)
        members = "" if public else " " + ", ".join(names)
        options = [f"   :members:{members}", "   :undoc-members:" if public else ""]
        rows = ["```{eval-rst}", f".. automodule:: {room}", *filter(None, options), "```"]
        parts.append(f"## {title}\n\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def write() -> None:
    """Write the pages where they have changed."""
    folder = HERE / "_generated"
    folder.mkdir(exist_ok=True)
    for name, text in (("commands.md", commands_page()), ("api.md", api_page())):
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
