"""`splineviz animate`: measure and draw every checkpoint of a run, and make the film.
Its flags about films and their looks serve `watch` as well.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from splineviz.commands import flags, resolve, terminal


def add(commands: Any) -> None:
    """Its flags and its help."""
    one = flags.command(
        commands,
        "animate",
        "RUN [--anchors I J K] [--out DIR] ...",
        "measure and draw every checkpoint of a run, and make the film",
        """\
Three training samples, the anchors, span a plane through input space. Every linear region on a window
of it is found at every checkpoint, exactly. DIR then holds animation.mp4 and animation.gif, frames/,
partitions/, measures.csv, summary.png, poster.png, and the film in words:
animation.vtt (captions) and animation.txt (alternative text). A second call resumes where the first stopped.

examples:
  splineviz animate ckpts/ --anchors 0 1 2
  splineviz animate ckpts/ --anchors 5 17 40 --window 4 --format mp4 webm --size 1280x720
  splineviz animate ckpts/ --panels accuracy exact migration churn
  splineviz animate foreign/ --model mlp --data mnist     # a bare folder of an MLP's state dicts""",
    )
    film_flags(one, formats=("mp4", "gif"))
    one.add_argument("--steps", type=flags.at_least(0), nargs="+", metavar="N", help="draw these checkpoints only")
    flags.thinning_flags(one)


def film_flags(one: ArgumentParser, *, formats: Sequence[str]) -> None:
    """What a film is made of, and how it looks; `watch` has the same."""
    flags.run_flags(one)
    flags.slice_flags(one)
    one.add_argument(
        "--regions", type=flags.at_least(2), metavar="N", help="instead of --window: the largest that holds about N regions"
    )
    flags.center_flag(one, " (at the last step)")
    one.add_argument("--out", type=Path, default=Path("out"), metavar="DIR", help="output directory (default: out)")
    one.add_argument(
        "--tween", type=flags.at_least(0), default=0, metavar="N", help="frames between checkpoints, of interpolated weights"
    )
    flags.panels_flag(flags.look_flags(one))
    flags.film_flags(one, formats=formats, fps=4.0, unit="checkpoints")
    flags.near_flag(one.add_argument)
    flags.lc_flags(one)
    one.set_defaults(lc_points=None)
    flags.engine_flags(one)


def film_options(options: Namespace) -> dict[str, Any]:
    """What `animate` is called with, but for the run, its steps and parallelism."""
    from splineviz.metrics.options import USUAL, LCOptions

    points = USUAL.points if options.lc_points is None else options.lc_points
    lc = LCOptions(options.lc_radius, options.lc_vectors, points, wide=options.lc_wide)
    return {
        "anchors": options.anchors,
        "window": options.window,
        "regions": options.regions,
        "center": resolve.center(options),
        "out": options.out,
        "formats": options.format,
        "fps": options.fps,
        "quality": options.quality,
        **resolve.look(options),
        "tween": options.tween,
        "lc": USUAL if options.lc_points is None and lc == USUAL else lc,
        "near": options.near,
        "threads": options.threads,
    }


def run(options: Namespace) -> None:
    """Measure and draw every checkpoint of a run, and make the film."""
    from splineviz.workflows.animate import animate as make

    run = resolve.open_run(options)
    resolve.told_steps(run)
    with resolve.engine(options) as jobs, terminal.bar("animating") as tick:
        made = make(run, **film_options(options), steps=options.steps, jobs=jobs, progress=tick)
    if made.unseen:
        terminal.say(made.unseen, aside=True)
    for path in (*made.videos, made.summary, made.table):
        terminal.say(path)
