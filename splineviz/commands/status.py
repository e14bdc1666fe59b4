"""`splineviz status`: how far the jobs of a directory are, and why some failed."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from splineviz.commands import flags, terminal

SHOWN = 20
"""Most jobs that are listed of one kind."""


def add(commands: Any) -> None:
    """Its flags and its help."""
    one = flags.command(
        commands,
        "status",
        "DIR",
        "say which jobs of a directory are done, running or failed, and why",
        """\
May be called while jobs are running, on any machine that sees the files.

example:
  splineviz status sweep/""",
    )
    one.add_argument("out", type=Path, metavar="DIR", help="output directory of `sweep`, `animate` or `study`")


def run(options: Namespace) -> None:
    """How far the jobs of a directory are."""
    from splineviz.jobs import plan

    states = plan.states(options.out)
    counted = {name: [state for state in states if state.state == name] for name in plan.STATES}
    terminal.table(("jobs", str(len(states))), *((name, str(len(found))) for name, found in counted.items() if found))
    for name in ("running", "failed"):
        for state in counted[name][:SHOWN]:
            terminal.say(f"{name}: {state.words}" + (f": {state.reason}" if state.reason else ""))
        if len(counted[name]) > SHOWN:
            terminal.say(f"{name}: and {len(counted[name]) - SHOWN} more")
