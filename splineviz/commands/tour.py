"""`splineviz tour`: a film of one checkpoint in which the view moves."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from splineviz import choices
from splineviz.commands import flags, resolve, terminal


def add(commands: Any) -> None:
    """Its flags and its help."""
    one = flags.command(
        commands,
        "tour",
        "RUN [KIND] [--step N] [--out DIR] ...",
        "film one checkpoint while the view moves: zoom, turn, slide",
        """\
kinds:
  zoom    close in on a bend of the decision boundary (or --to U V), down to the limit of double precision
  turn    two anchors stay, the plane turns until it holds a fourth sample (--toward)
  slide   the plane moves along its normal until it holds a fourth sample

Every view is enumerated anew, exactly; nothing is resampled. DIR then holds animation.mp4, frames/, partitions/,
measures.csv and poster.png. A second call resumes where the first stopped.

examples:
  splineviz tour ckpts/ zoom --step 25000
  splineviz tour ckpts/ zoom --to 0.5 -1 --depth 1000 --frames 60 --out zoom/
  splineviz tour ckpts/ turn --anchors 0 1 2 --toward 7 --format mp4 gif""",
    )
    flags.run_flags(one)
    flag = one.add_argument
    flag("kind", nargs="?", choices=choices.TOURS, default="zoom", metavar="KIND", help="zoom, turn, slide (default: zoom)")
    flags.slice_flags(one)
    flags.look_flags(one)
    flag("--step", type=flags.at_least(0), metavar="N", help="which checkpoint (default: the last)")
    flag("--out", type=Path, default=Path("tour"), metavar="DIR", help="output directory (default: tour)")
    flag = one.add_argument_group("camera path").add_argument
    flag("--frames", type=flags.at_least(2), default=120, metavar="N", help="number of frames (default: 120)")
    flag("--to", type=float, nargs=2, metavar=("U", "V"), help="zoom: a point in plane coordinates")
    flag("--depth", type=flags.positive, metavar="M", help="zoom: last magnification (default: the largest possible)")
    flag("--toward", type=flags.at_least(0), metavar="L", help="turn, slide: the fourth sample (default: the next one)")
    flags.film_flags(one, formats=["mp4"], fps=12.0, unit="frames")


def run(options: Namespace) -> None:
    """Film one checkpoint while the view moves."""
    from splineviz.workflows.tour import tour

    with terminal.bar("touring") as tick:
        run = resolve.open_run(options)
        made = tour(
            run,
            options.kind,
            step=options.step,
            anchors=options.anchors,
            toward=options.toward,
            to=options.to,
            depth=options.depth,
            window=options.window,
            frames=options.frames,
            out=options.out,
            formats=options.format,
            fps=options.fps,
            quality=options.quality,
            progress=tick,
            **resolve.look(options),
        )
    for path in (*made.videos, made.table):
        terminal.say(path)
