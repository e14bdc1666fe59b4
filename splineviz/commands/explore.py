"""`splineviz explore`: write the explorer of what `animate` wrote as one HTML file."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from splineviz import choices
from splineviz.commands import flags, resolve, terminal

DEFAULT = [Path("view.html")]


def add(commands: Any) -> None:
    """Its flags and its help."""
    one = flags.command(
        commands,
        "explore",
        "OUT [--html FILE] [--steps N ...] [--classes NAME ...]",
        "write one HTML file in which regions can be panned, zoomed and inspected",
        """\
OUT is what `animate` wrote (its partitions and measures), or one partition file. FILE holds everything,
opens offline in any browser and can be mailed: about 40 bytes a region and checkpoint.

examples:
  splineviz explore out/
  splineviz explore out/ --steps 0 1000 25000 --fill class --html three.html
  splineviz explore slice.npz --html slice.html""",
    )
    flag = one.add_argument
    flag("source", type=Path, metavar="OUT", help="a folder that `animate` wrote, or an .npz file of a partition")
    flag("--html", type=Path, default=DEFAULT[0], metavar="FILE", help="(default: view.html)")
    flag("--steps", type=flags.at_least(0), nargs="+", metavar="N", help="these checkpoints only (default: all)")
    flag("--classes", nargs="+", metavar="NAME", help="names of the outputs, in order (default: those of the run)")
    flag(
        "--fill",
        choices=choices.EXPLORED,
        default="slope",
        metavar="F",
        help=f"initial fill: {', '.join(choices.EXPLORED)} (default: slope)",
    )


def run(options: Namespace) -> None:
    """Write the explorer of what `animate` wrote as one HTML file."""
    from splineviz.viewer.explore import explore as write

    resolve.may_replace(DEFAULT if options.html is DEFAULT[0] else [options.html], DEFAULT)
    path = write(
        options.source, html=options.html, steps=options.steps, fill=options.fill, classes=options.classes or ()
    )
    terminal.say(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
