"""`splineviz watch`: follow a training run, and animate its checkpoints as they appear."""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from typing import Any

from splineviz.commands import animate, flags, resolve, terminal


def add(commands: Any) -> None:
    """Its flags and its help."""
    one = flags.command(
        commands,
        "watch",
        "RUN [--anchors I J K] [--out DIR] [--until N] [--idle S] ...",
        "follow a training run, and animate its checkpoints as they appear",
        """\
DIR is laid out as by `animate`, and updated when there are new checkpoints; this takes at most half of the time. A
checkpoint that is still being written is left for the next check. It ends with the last step of the training where run.json
knows it (sv.Recorder(..., steps=N)), with --until or --idle, or with Ctrl-C: everything drawn by then is complete.

examples:
  splineviz watch ckpts/ --anchors 0 1 2
  splineviz watch foreign/ --model mlp --data mnist --poll 30 --idle 3600 --format webm""",
    )
    animate.film_flags(one, formats=("mp4",))
    flag = one.add_argument_group("watching").add_argument
    flag("--poll", type=flags.positive, default=5.0, metavar="S", help="seconds between checks for new files (default: 5)")
    flag("--until", type=flags.at_least(0), metavar="N", help="stop when a checkpoint of step N or later is drawn")
    flag("--idle", type=flags.positive, metavar="S", help="stop after S seconds without a new checkpoint (default: never)")


def run(options: Namespace) -> None:
    """Follow a training run, and animate its checkpoints as they appear."""
    from splineviz.workflows.watch import watch

    names = options.anchors

    def opening() -> Any:
        options.anchors = names
        return resolve.open_run(options)

    with resolve.engine(options) as jobs:
        made = watch(
            opening,
            poll=options.poll,
            until=options.until,
            idle=options.idle,
            tell=partial(terminal.say, aside=True),
            **animate.film_options(options),
            jobs=jobs,
        )
    for path in (*made.videos, made.summary, made.table):
        terminal.say(path)
