"""The commands, one a file: `add` says its flags and help, `run` makes the call.

A new command is a file here and its name in COMMANDS, in the order of the list of commands in --help. These files import
argparse and `flags` alone, everything else inside `run`, so that --help answers in milliseconds.
"""

from __future__ import annotations

import argparse
from types import ModuleType

from splineviz import __version__
from splineviz.commands import (
    animate,
    compare,
    complete,
    doctor,
    estimate,
    explore,
    figure,
    flags,
    info,
    partition,
    reproduce,
    status,
    study,
    sweep,
    tour,
    train,
    verify,
    watch,
)

GROUPS: dict[str, tuple[ModuleType, ...]] = {
    "make a run": (train, info),
    "draw": (animate, watch, tour, compare, partition, figure, explore),
    "measure": (estimate, study, reproduce, sweep, status),
    "check": (verify, doctor, complete),
}
"""The commands by what they are for, as --help lists them."""
COMMANDS: dict[str, ModuleType] = {
    module.__name__.rpartition(".")[2]: module for group in GROUPS.values() for module in group
}


def parser() -> argparse.ArgumentParser:
    """The whole command line as argparse sees it."""
    top = flags.Parser(
        prog="splineviz",
        usage="splineviz COMMAND ...",
        description="See the linear regions of a piecewise-affine torch network, and watch them migrate in training.",
        formatter_class=_TopHelp,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"splineviz {__version__}")
    commands = top.add_subparsers(metavar="COMMAND ...", dest="command", required=True)
    for command in COMMANDS.values():
        command.add(commands)
    top.epilog = _listed({action.dest: action.help or "" for action in commands._choices_actions})
    return top


class _TopHelp(flags.Help):
    """Leaves the list of commands to the epilog, where it stands in groups."""

    def _format_action(self, action: argparse.Action) -> str:
        return "" if isinstance(action, argparse._SubParsersAction) else super()._format_action(action)


def _listed(about: dict[str, str]) -> str:
    """The commands in their groups, and the main job."""
    lines = []
    for title, group in GROUPS.items():
        lines.append(f"{title}:")
        for module in group:
            name = module.__name__.rpartition(".")[2]
            lines.append(f"  {name:<11}{about[name]}")
        lines.append("")
    return "\n".join([*lines, ""]) + """\
typical use:
  splineviz train --recipe mnist-mlp --steps 25000 --out ckpts/
  splineviz animate ckpts/ --anchors 0 1 2

Options and examples of a command: splineviz animate --help"""
