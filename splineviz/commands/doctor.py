"""`splineviz doctor`: say what splineviz runs on, and whether it is enough."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from splineviz.commands import flags, terminal


def add(commands: Any) -> None:
    """Its flags and its help."""
    flags.command(
        commands,
        "doctor",
        "",
        "report versions, threads, caches and codecs, and cut a small slice as a trial",
        """\
Include its output in bug reports. The exit code is 2 when something that splineviz needs is missing.

example:
  splineviz doctor""",
    )


def run(options: Namespace) -> None:
    """Print every finding; raise for those that will not do."""
    from splineviz.commands.environment import examine
    from splineviz.errors import SurroundingsError

    findings = list(examine())
    terminal.table(*((finding.topic, finding.found) for finding in findings))
    if bad := [finding.topic for finding in findings if not finding.fine]:
        raise SurroundingsError(f"environment check failed for {', '.join(bad)}; see the lines above.")
