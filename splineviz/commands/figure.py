"""`splineviz figure`: cut some checkpoints with one plane, and lay them out for print."""

from __future__ import annotations

import functools
import math
from argparse import Namespace
from pathlib import Path
from typing import Any

from splineviz import choices
from splineviz.commands import flags, resolve, terminal

DEFAULT = [Path("figure.pdf")]


def add(commands: Any) -> None:
    """Its flags and its help."""
    one = flags.command(
        commands,
        "figure",
        "RUN [--steps N ...] [--zoom U V HALF ...] [--out FILE ...] ...",
        "lay out some checkpoints side by side for print",
        """\
One panel per step, with one colour scale, a scale bar in input-space length, the anchors' samples, and zooms
below it. In .pdf and .svg text, boundary and frames are vectors; so are small partitions, larger ones are a
picture of the resolution asked for.

examples:
  splineviz figure ckpts/ --steps 0 1000 25000 --out migration.pdf
  splineviz figure ckpts/ --steps 25000 --zoom 0.5 -1 0.4 --zoom 0.5 -1 0.02 --width column
  splineviz figure ckpts/ --steps 25000 --layers --fill margin --color-knots --out layers.svg""",
    )
    flags.run_flags(one)
    flags.slice_flags(one)
    flags.look_flags(one)
    flag = one.add_argument
    flag("--steps", type=flags.at_least(0), nargs="+", metavar="N", help="which checkpoints (default: first, middle, last)")
    flags.thinning_flags(one)
    flag(
        "--out",
        type=flags.figure_file,
        nargs="+",
        default=DEFAULT,
        metavar="FILE",
        help="(default: figure.pdf)",
    )
    flag("--zoom", type=float, nargs=3, action="append", default=[], metavar=("U", "V", "HALF"),
         help="a square to enlarge: centre in plane coordinates, half its side; may be repeated")  # fmt: skip
    flag("--square", type=float, nargs=3, metavar=("U", "V", "HALF"),
         help="the square that is cut, in the place of --window: centre in plane coordinates, half its side")  # fmt: skip
    flag("--knots-of", type=flags.at_least(0), nargs="+", metavar="L", help="knots of these layers alone (default: all)")
    flag("--no-boundary", action="store_true", help="leave the decision boundary out")
    flag("--no-anchors", action="store_true", help="leave the anchors out")
    flag("--layers", action="store_true", help="one step; one panel per layer with the knots of that layer")
    flag = one.add_argument_group("print").add_argument
    flag("--width", type=flags.width, default="double", metavar="W", help="column, double, or inches (default: double)")
    flag("--style", choices=choices.STYLES, default="sans", metavar="S", help="sans, serif, slides (default: sans)")
    flag("--dpi", type=flags.resolution, default=300.0, metavar="N", help="resolution of images in the file (default: 300)")


def run(options: Namespace) -> None:
    """Cut some checkpoints with one plane, and lay them out for print."""
    from splineviz.drawing import print_figure
    from splineviz.errors import DataError
    from splineviz.regions.enumerate import partition as cut
    from splineviz.storage import files, provenance

    resolve.may_replace(options.out, DEFAULT)
    window = _window(options)
    run = resolve.open_run(options)
    steps = options.steps or sorted({run.checkpoints[k * (len(run.checkpoints) - 1) // 2].step for k in range(3)})
    if not options.steps and (options.every or options.last):
        steps = [checkpoint.step for checkpoint in run.checkpoints]
    if options.layers:
        several = options.steps or options.every or options.last
        if several and len(set(steps)) > 1:
            raise DataError(f"--layers: expected one step, got {len(set(steps))}; call it once for each.")
        steps = steps[-1:]
    checkpoints, plane = [run.at(step) for step in steps], run.plane(options.anchors)
    print_figure.check_zooms(options.zoom, plane.window(window))  # before minutes of cutting
    with terminal.bar("cutting") as tick:
        partitions = []
        for index, checkpoint in enumerate(checkpoints):
            partitions.append(cut(run.program(checkpoint), plane, window=window))
            tick(index + 1, len(checkpoints), f"step {checkpoint.step:,}")
    made = print_figure.figure(
        partitions,
        titles=() if options.layers else [f"step {checkpoint.step:,}" for checkpoint in checkpoints],
        zooms=options.zoom,
        layers=options.layers,
        knots_of=options.knots_of,
        boundary=not options.no_boundary,
        anchors=not options.no_anchors,
        width=options.width,
        style=options.style,
        **resolve.look(options),
        thumbnails=run.anchors(options.anchors),
        classes=run.classes or (),
    )
    told = run.made(*checkpoints) | {"anchors": options.anchors, "window": partitions[0].window.tolist()}
    for target in options.out:
        kind = target.suffix[1:]
        write = functools.partial(made.savefig, format=kind, dpi=options.dpi, metadata=provenance.in_picture(kind, told))
        files.write(target, write)
        terminal.say(target)


def _window(options: Namespace) -> Any:
    """What is cut, as `Plane.window` takes it."""
    import numpy as np

    from splineviz.errors import DataError
    from splineviz.geometry.polygons import square

    if options.square is None:
        return options.window
    if options.window is not None:
        raise DataError("--square: expected no --window beside it, got both; leave one of them out.")
    u, v, half = options.square
    if not (math.isfinite(u) and math.isfinite(v) and 0 < half < math.inf):
        raise DataError(f"--square: expected a finite centre and a positive half-width, got {u:g} {v:g} {half:g}.")
    return square(np.array([u, v]), half)
