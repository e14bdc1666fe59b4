"""`splineviz study`: measure a run and draw the paper's figures about it."""

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
        "study",
        "RUN [NAME ...] [--out DIR] ...",
        "measure a run and draw the paper's figures about it, with their tables",
        """\
studies (default: all; of a smooth network curves):
  curves      accuracy, also under attack, local and gradient complexity, live and dead units, norms: needs no slice
  dynamics    accuracy, accuracy under attack and local complexity over the steps; two slices (Fig. 2)
  migration   knots near the anchors and near the decision boundary, over those in the window
  kymograph   knots and jumps of the gradient by distance from the boundary and the anchors, step by step
  lineage     units followed through training: which moved to the boundary, which vanished, which appeared
  windows     regions in equal squares near the decision boundary and away from it (Fig. 26)
  layers      the knots of each layer by themselves (Fig. 24)
  exact       exact and sampled number of units in the same neighbourhoods (Fig. 25, 35)
  heat        exact and sampled number over the last slice, beside the exact density of knots
  deformation distortion of neighbourhoods against their radius

DIR then holds a .png and a .csv each, and the partitions and measures.csv as `animate` writes them.

examples:
  splineviz study ckpts/
  splineviz study ckpts/ migration --anchors 5 17 40 --out figures/
  splineviz study ckpts/ curves --device cuda
  splineviz study ckpts/ kymograph lineage --planes 10 --between 10000 25119""",
    )
    flags.run_flags(one)
    one.add_argument("names", nargs="*", metavar="NAME", help=f"which studies: {', '.join(choices.STUDIES)}")
    flags.slice_flags(one)
    flag = one.add_argument
    flag("--out", type=Path, default=Path("study"), metavar="DIR", help="output directory (default: study)")
    flag("--steps", type=flags.at_least(0), nargs="+", metavar="N", help="the checkpoints of these steps only")
    flags.thinning_flags(one)
    flag("--lc-radius", type=flags.positive, default=0.05, metavar="R", help="radius of a neighbourhood (default: 0.05)")
    flag("--lc-points", type=flags.at_least(1), default=1000, metavar="N",
         help="maximum number of sample points per curve (default: 1000)")  # fmt: skip
    flags.near_flag(flag, "default: 0.025; 0.05 for kymograph and lineage")
    flag("--planes", type=flags.at_least(1), metavar="N",
         help="number of planes for kymograph and lineage, one of them through the anchors (default: 4)")  # fmt: skip
    flag("--seed", type=flags.at_least(0), default=0, metavar="S", help="seed of the random planes (default: 0)")
    flag("--between", type=flags.at_least(0), nargs=2, metavar=("A", "B"),
         help="steps that kymograph and lineage compare (default: end of the complexity's ascent, last)")  # fmt: skip
    flag("--attack-steps", type=flags.at_least(0), metavar="N",
         help="of the adversary (default: the paper's, 100 for MNIST, else 10)")  # fmt: skip
    flag("--device", metavar="D", help="where curves runs the network, such as cuda (default: the CPU)")


def _opened(options: Namespace) -> Any:
    """The run; for `curves` alone also a folder whose network cannot be traced."""
    from splineviz.errors import TraceError
    from splineviz.workflows.untraced import open_untraced

    try:
        return resolve.open_run(options)
    except TraceError:
        if options.names != ["curves"] or options.model in (None, "mlp") or (options.run / "run.json").exists():
            raise
    terminal.remark("the network cannot be traced; curves are measured from the module as it runs.")
    names = ("model", "data", "model_args", "data_args", "weights_key", "trust", "files")
    return open_untraced(options.run, **{name: getattr(options, name) for name in names})


def run(options: Namespace) -> None:
    """Measure a run and draw the paper's figures about it."""
    from splineviz.metrics.options import LCOptions
    from splineviz.workflows import study

    with terminal.bar("studying") as tick:
        written = study.study(
            _opened(options),
            options.names or None,
            anchors=options.anchors,
            window=options.window,
            out=options.out,
            steps=options.steps,
            lc=LCOptions(radius=options.lc_radius, points=options.lc_points),
            attack_steps=options.attack_steps,
            near=options.near,
            planes=options.planes,
            seed=options.seed,
            between=options.between,
            device=options.device,
            progress=tick,
        )
    for path in written:
        terminal.say(path)
