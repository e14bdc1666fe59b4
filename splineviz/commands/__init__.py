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

COMMANDS: dict[str, ModuleType] = {
    "train": train,
    "animate": animate,
    "watch": watch,
    "tour": tour,
    "compare": compare,
    "partition": partition,
    "figure": figure,
    "estimate": estimate,
    "study": study,
    "reproduce": reproduce,
    "sweep": sweep,
    "status": status,
    "explore": explore,
    "info": info,
    "verify": verify,
    "doctor": doctor,
    "complete": complete,
}


def parser() -> argparse.ArgumentParser:
    """The whole command line as argparse sees it."""
    top = argparse.ArgumentParser(
        prog="splineviz",
        usage="splineviz COMMAND ...",
        description="See the linear regions of a piecewise-affine torch network, and watch them migrate in training.",
        epilog="""\
the main job:
  splineviz train --recipe mnist-mlp --steps 30000 --out ckpts/
  splineviz animate ckpts/ --anchors 0 1 2

Each command explains itself, with examples: splineviz animate --help""",
        formatter_class=flags.Help,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"splineviz {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND ...", dest="command", required=True)
    for command in COMMANDS.values():
        command.add(commands)
    return top
