"""`splineviz estimate`: predict what a slice holds and costs."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from splineviz.commands import flags, resolve, terminal


def add(commands: Any) -> None:
    """Its flags and its help."""
    one = flags.command(
        commands,
        "estimate",
        "RUN [--step N] [--anchors I J K] [--window HALF_WIDTH] [--regions N] [--most N]",
        "predict regions, seconds and memory of a slice without enumerating it",
        """\
The slice is cut layer by layer, but after each layer a few of its faces alone are kept, by chance, and counted
for the others: usually within 20%, and the error is told. With --regions it looks for the window that holds about
so many; with --most it stops as soon as there are clearly more, and says so.

examples:
  splineviz estimate ckpts/ --window 50
  splineviz estimate ckpts/ --regions 10000
  splineviz estimate ckpts/ --window 500 --most 100000""",
    )
    flags.run_flags(one)
    flags.slice_flags(one)
    one.add_argument("--step", type=flags.at_least(0), metavar="N", help="which checkpoint (default: the last)")
    one.add_argument("--regions", type=flags.at_least(2), metavar="N", help="look for the window that holds about N regions")
    one.add_argument("--most", type=flags.at_least(1), metavar="N", help="stop when there are clearly more than N regions")


def run(options: Namespace) -> None:
    """Predict what a slice holds and costs."""
    from splineviz.regions.estimates import estimate as predict
    from splineviz.regions.estimates import window_for

    run = resolve.open_run(options)
    checkpoint = run.at(options.step)
    program, plane, chosen = run.program(checkpoint), run.plane(options.anchors), ""
    if options.regions is None:
        expected = predict(program, plane, options.window, most=options.most)
    else:
        window, expected = window_for(program, plane, options.regions, options.window)
        chosen = f"--window {0.5 * float(window.max(axis=0)[0] - window.min(axis=0)[0]):.4g}, "
    if expected.more_than is not None:
        terminal.say(f"step {checkpoint.step:,}: more than {expected.more_than:,} regions")
        return
    terminal.say(
        f"{chosen}step {checkpoint.step:,}: about {expected.regions:,.0f} regions (+- {expected.error:,.0f}), "
        f"{expected.seconds:.1f} s, {expected.bytes / 1e9:.2f} GB"
    )
