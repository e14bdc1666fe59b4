"""`splineviz train`: train a recipe and write a run directory."""

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
        "train",
        "[--recipe NAME] [--steps N] [--out DIR] ...",
        "train a recipe on embedded data and write its run",
        """\
recipes:
  mnist-mlp      784-200-200-200-10 on 1,000 MNIST digits, as in arXiv 2402.15555
  mnist-x8       the same, weights times 8 at the start: generalisation comes late
  mnist-conv     a small residual convolutional network on the same digits
  mnist-conv-bn  the same with batch norm
  two-moons      2-32-32-32-2 on two half circles: an input space that can be seen whole
  spline         2-32-32-1 fits a surface over a square: an affine spline from the plane to the line
  waves          2-32-32-1 fits (sin x1 + cos x2) 1[x1 < 0], as in Fig. 3 of the paper
  patches-resnet a narrow ResNet18 on colour patches of two photographs

A run is a directory: run.json, the samples, and a checkpoint for every due step. Checkpoints follow a
logarithmic schedule, dense early. To record a training of your own, see splineviz.Recorder.

examples:
  splineviz train --recipe mnist-mlp --steps 25000 --out ckpts/     # some minutes on two cores
  splineviz train --recipe two-moons --seed 7 --out moons/""",
    )
    flag = one.add_argument
    flag("--recipe", default="mnist-mlp", choices=choices.RECIPES, metavar="NAME", help="what to train (default: mnist-mlp)")
    flag("--steps", type=flags.at_least(0), metavar="N", help="training steps (default: 25000 for MLPs on MNIST, else 5000)")
    flag("--out", type=Path, default=Path("ckpts"), metavar="DIR", help="output directory (default: ckpts)")
    flag("--seed", type=flags.at_least(0), default=0, metavar="S", help="seed of weights and batches (default: 0)")
    flag(
        "--per-decade", type=flags.at_least(1), default=10, metavar="N",
        help="checkpoints for each tenfold of steps (default: 10; MLPs on MNIST record four times as many at the end)",
    )  # fmt: skip
    flag("--overwrite", action="store_true", help="delete the run that is already in DIR")


def run(options: Namespace) -> None:
    """Train a recipe and write a run directory."""
    from splineviz.metrics.robustness import robust_accuracy
    from splineviz.training import recipes

    _new_run(options)
    with terminal.bar("training") as tick:
        recipes.train(
            options.recipe,
            steps=options.steps,
            out=options.out,
            seed=options.seed,
            per_decade=options.per_decade,
            attack=robust_accuracy,
            if_exists="overwrite" if options.overwrite else "error",
            progress=tick,
        )
    terminal.say(f"{options.out}: now try  splineviz animate {options.out} --anchors 0 1 2")


def _new_run(options: Namespace) -> None:
    """Say in the words of the command line that a run is already there."""
    from splineviz.errors import CheckpointError

    if (options.out / "run.json").exists() and not options.overwrite:
        raise CheckpointError(
            f"{options.out}: expected a directory without a run, got one that holds run.json; choose another --out, "
            "or add --overwrite to delete that run."
        )
