"""`splineviz reproduce`: train, measure and draw the figures of the paper."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from splineviz import choices
from splineviz.commands import flags, terminal


def add(commands: Any) -> None:
    """Its flags and its help."""
    one = flags.command(
        commands,
        "reproduce",
        "NAME [NAME ...] [--quick] [--out DIR] ...",
        "train, measure and draw the figures of arXiv 2402.15555, with their tables",
        """\
names:
  fig1       ResNet18 on CIFAR-10 (--data DIR); with --quick a narrow one on colour patches
  fig2       accuracy, robustness and local complexity over training; two slices; the phases
  fig3       a network from the plane to the line, over its regions
  fig5       how neighbourhoods are deformed, by radius and depth: is r too large?
  fig6       a convolutional network without and with batch norm (Fig. 6, 12)
  fig7       as fig2, all weights times 8 at the start
  fig10      depths 2 to 6
  fig13      shares of random labels
  fig14      widths 20 to 1,000
  fig24      the knots of each layer by themselves
  fig25      exact and sampled local complexity (Fig. 25, 35)
  fig26      regions in equal squares near the decision boundary and away from it
  fig34      GELU: local complexity alone
  conv       as fig2, a convolutional network
  migration  knots near the anchors and near the decision boundary

DIR then holds NAME.png and NAME.csv, the runs and what was measured: a second call resumes where the
first stopped. Without --quick a run of 100,000 steps takes ten minutes on two cores, and measuring it as long.

examples:
  splineviz reproduce fig2 --quick               # a first look, about a minute
  splineviz reproduce fig2 migration fig26       # all about one run, trained once
  splineviz reproduce fig1 --data cifar-10-batches-py/
  splineviz reproduce fig25 --run ckpts/         # of an existing run""",
    )
    one.add_argument("names", nargs="+", metavar="NAME", choices=choices.REPRODUCTIONS, help="what to draw, see below")
    flag = one.add_argument
    flag("--quick", action="store_true", help="few steps, checkpoints and points: about a minute")
    flag("--run", type=Path, metavar="RUN", help="a run directory to measure, for figures about one run")
    flag("--data", metavar="DIR", help="CIFAR-10's folder, or another of colour pictures, for fig1")
    flag("--steps", type=flags.at_least(1), metavar="N", help="training steps (default: as in the paper)")
    flag("--seed", type=flags.at_least(0), default=0, metavar="S", help="seed of weights and batches (default: 0)")
    flag("--seeds", type=flags.at_least(1), default=1, metavar="N", help="so many seeds, with a band over them (default: 1)")
    flag("--out", type=Path, default=Path("reproduced"), metavar="DIR", help="output directory (default: reproduced)")


def run(options: Namespace) -> None:
    """Train, measure and draw the figures of the paper."""
    from splineviz.training.runs import open_run
    from splineviz.workflows import reproduce

    given = None if options.run is None else open_run(options.run)
    for name in dict.fromkeys(options.names):
        with terminal.bar(name) as tick:
            written = reproduce.reproduce(
                name, out=options.out, quick=options.quick, run=given, steps=options.steps, seed=options.seed,
                seeds=options.seeds,
                data=options.data if name == "fig1" or "fig1" not in options.names else None, progress=tick,
            )
        for path in written:
            terminal.say(path)
