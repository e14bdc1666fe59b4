"""`splineviz compare`: a film of several runs side by side, or of one run's layers."""

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
        "compare",
        "RUN RUN ... [--out DIR] ... | RUN --layers ...",
        "film runs side by side at the same steps, or one run's layers",
        """\
Up to four panels with one colour scale, and the curves of all runs below: the first solid, the others dashed. Only steps
that all runs have are drawn. With --layers one run is drawn in one panel per layer, with that layer's knots.
DIR then holds animation.mp4, frames/, poster.png, and a folder for each run as `animate` leaves it.

examples:
  splineviz compare plain/ batchnorm/ --out comparison/
  splineviz compare seed0/ seed1/ seed2/ --names "seed 0" "seed 1" "seed 2" --steps 0 100 10000
  splineviz compare ckpts/ --layers --fill class --out layers/""",
    )
    flags.run_flags(one, several=True)
    flags.slice_flags(one)
    flag = one.add_argument
    flag("--layers", action="store_true", help="one run; one panel per layer with the knots of that layer")
    flag("--names", nargs="+", metavar="NAME", default=(), help="names of the runs (default: their directories)")
    flag("--steps", type=flags.at_least(0), nargs="+", metavar="N", help="draw these checkpoints only")
    flag("--out", type=Path, default=Path("comparison"), metavar="DIR", help="output directory (default: comparison)")
    flags.panels_flag(flags.look_flags(one), choices.COMPARED_PANELS, "below")
    flags.film_flags(one, formats=["mp4"], fps=4.0, unit="checkpoints")
    flags.lc_flags(one)
    flags.engine_flags(one)


def run(options: Namespace) -> None:
    """Film runs side by side at the same steps, or one run's layers."""
    from splineviz.metrics.options import LCOptions
    from splineviz.workflows.compare import compare

    pairs = [resolve.open_run(options, path).anchored(options.anchors) for path in options.runs]
    runs = [run for run, _ in pairs]
    with resolve.engine(options) as jobs, terminal.bar("comparing") as tick:
        made = compare(
            runs,
            names=options.names,
            layers=options.layers,
            anchors=pairs[0][1],
            window=options.window,
            steps=options.steps,
            out=options.out,
            formats=options.format,
            fps=options.fps,
            quality=options.quality,
            lc=LCOptions(options.lc_radius, options.lc_vectors, options.lc_points, wide=options.lc_wide),
            jobs=jobs,
            progress=tick,
            **resolve.look(options),
        )
    for path in (*made.videos, *made.tables):
        terminal.say(path)
