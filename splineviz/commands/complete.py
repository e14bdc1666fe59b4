"""`splineviz complete`: print the script that makes a shell complete commands, flags and files."""

from __future__ import annotations

import argparse
from argparse import Namespace
from pathlib import Path
from typing import Any

from splineviz import choices
from splineviz.commands import flags


def add(commands: Any) -> None:
    """Its flags and its help."""
    one = flags.command(
        commands,
        "complete",
        "SHELL",
        "print a script that makes a shell complete commands, flags and files",
        """\
Needs the package shtab: pip install 'splineviz[completion]'. Send the script to a file where the shell looks:
bash: ~/.local/share/bash-completion/completions/splineviz; zsh: _splineviz in a folder of $fpath.
Print it again after an update.

example:
  splineviz complete bash""",
    )
    one.add_argument("shell", choices=choices.SHELLS, metavar="SHELL", help=f"one of {', '.join(choices.SHELLS)}")


def run(options: Namespace) -> None:
    """Print the script of a shell."""
    from splineviz import commands

    try:
        import shtab
    except ImportError as error:
        raise ImportError(f"completion needs shtab ({error}); pip install 'splineviz[completion]'.") from error
    parser = commands.parser()
    for action in _actions(parser):
        if action.type in (Path, flags.target, flags.figure_file):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(parser, shell=options.shell))


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Every flag and argument of a parser and of its commands."""
    own = list(parser._actions)  # argparse has no public way to walk a parser
    for action in own[:]:
        if isinstance(action, argparse._SubParsersAction):
            own += [one for child in action.choices.values() for one in _actions(child)]
    return own
