"""What the command line understands: every command, its flags, its help. Argparse and nothing else.

`parser` turns words into a namespace of checked values; `__main__` makes the calls. Help screens teach: what a
command does, what it leaves behind, and examples that work as they stand. This room imports nothing that is slow,
so that --help answers in milliseconds; hence names of recipes, data sets and fills stand here once more, and a test
compares them with the rooms that own them.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from splineviz import __version__

RECIPES = ("mnist-mlp", "two-moons", "spline")
DATA = ("digits", "mnist", "spline", "two-moons")
FILLS = ("slope", "class", "margin", "layer", "area", "hash", "random")
PALETTES = ("viridis", "cividis", "grey")
STYLES = ("sans", "serif", "slides")
WIDTHS = ("column", "double")
EXPLORED = ("slope", "class", "margin", "layer", "area", "hash")
FORMATS = ("mp4", "webm", "webp", "apng", "gif")
STUDIES = ("dynamics", "migration", "exact", "heat")
PICTURES = (".png", ".pdf", ".svg")


class _Help(argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of the examples; as wide on every terminal, so that --help can be tested."""

    def __init__(self, prog: str, **options: Any):
        super().__init__(prog, max_help_position=26, width=100)


def parser() -> argparse.ArgumentParser:
    """The whole command line as argparse sees it."""
    top = argparse.ArgumentParser(
        prog="splineviz",
        usage="splineviz COMMAND ...",
        description="See the linear regions of a piecewise-affine torch network, and watch them migrate in training.",
        epilog="""\
the main job:
  splineviz train --recipe mnist-mlp --steps 30000 --out ckpts/
  splineviz animate ckpts/ --anchors 0 1 2

Each command explains itself, with examples: splineviz animate --help""",
        formatter_class=_Help,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"splineviz {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND ...", dest="command", required=True)
    for add in (_train, _animate, _partition, _figure, _estimate, _study, _explore, _info, _verify):
        add(commands)
    return top


def _command(commands: Any, name: str, usage: str, about: str, more: str) -> argparse.ArgumentParser:
    """One command; `about` stands in the list of commands, `more` (what it leaves behind, examples) in its own help."""
    one: argparse.ArgumentParser = commands.add_parser(
        name,
        prog=f"splineviz {name}",
        usage=f"splineviz {name} {usage}",
        help=about,
        description=f"{about[0].upper()}{about[1:]}.",
        epilog=more,
        formatter_class=_Help,
        allow_abbrev=False,
    )
    one.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return one


def _train(commands: Any) -> None:
    one = _command(
        commands,
        "train",
        "[--recipe NAME] [--steps N] [--out DIR] ...",
        "train a recipe on embedded data and write its run",
        """\
recipes:
  mnist-mlp   784-200-200-200-10 on 1,000 MNIST digits, as in arXiv 2402.15555
  two-moons   2-32-32-32-2 on two half circles: an input space that can be seen whole
  spline      2-32-32-1 fits a surface over a square: an affine spline from the plane to the line

A run is a directory: run.json, the samples, and a checkpoint for every due step. Steps are due on a
logarithmic schedule, dense early. To record a training of your own, see splineviz.Recorder.

examples:
  splineviz train --recipe mnist-mlp --steps 30000 --out ckpts/     # two minutes on two cores
  splineviz train --recipe two-moons --seed 7 --out moons/""",
    )
    flag = one.add_argument
    flag("--recipe", default="mnist-mlp", choices=RECIPES, metavar="NAME", help="what to train (default: mnist-mlp)")
    flag("--steps", type=_at_least(0), metavar="N", help="optimiser steps (default: 30000, toys 5000)")
    flag("--out", type=Path, default=Path("ckpts"), metavar="DIR", help="where the run goes (default: ckpts)")
    flag("--seed", type=_at_least(0), default=0, metavar="S", help="of weights and batches (default: 0)")
    flag("--overwrite", action="store_true", help="delete the run that is already in DIR")


def _animate(commands: Any) -> None:
    one = _command(
        commands,
        "animate",
        "RUN [--anchors I J K] [--out DIR] ...",
        "measure and draw every checkpoint of a run, and make the film",
        """\
Three training samples, the anchors, span a plane through input space. Every linear region on a window
of it is found at every checkpoint, exactly. DIR then holds animation.mp4 and animation.gif, frames/,
partitions/, measures.csv, summary.png, poster.png, and the film in words:
animation.vtt (captions) and animation.txt (alternative text). A second call goes on where the first was stopped.

examples:
  splineviz animate ckpts/ --anchors 0 1 2
  splineviz animate ckpts/ --anchors 5 17 40 --window 4 --format mp4 webm --size 1280x720
  splineviz animate foreign/ --model mlp --data mnist     # a bare folder of an MLP's state dicts""",
    )
    _run_flags(one)
    _slice_flags(one)
    _fill_flag(one)
    flag = one.add_argument
    flag("--out", type=Path, default=Path("out"), metavar="DIR", help="where everything goes (default: out)")
    flag("--steps", type=_at_least(0), nargs="+", metavar="N", help="draw the checkpoints of these steps only")
    flag("--jobs", type=_at_least(1), default=1, metavar="N", help="processes that measure (default: 1, on all cores)")
    flag = one.add_argument_group("film").add_argument
    flag(
        "--format",
        nargs="+",
        choices=FORMATS,
        default=["mp4", "gif"],
        metavar="F",
        help="mp4, webm, webp, apng, gif (default: mp4 gif)",
    )
    flag("--tween", type=_at_least(0), default=0, metavar="N", help="frames between checkpoints, of interpolated weights")
    flag("--fps", type=_positive, default=6.0, metavar="N", help="checkpoints a second (default: 6)")
    flag("--size", type=_size, default=(1920, 1080), metavar="WxH", help="of a frame, in pixels (default: 1920x1080)")
    flag = one.add_argument_group("local complexity, sampled as in arXiv 2402.15555").add_argument
    flag("--lc-radius", type=_positive, default=0.005, metavar="R", help="of a neighbourhood (default: 0.005)")
    flag("--lc-vectors", type=_at_least(1), default=25, metavar="P", help="directions in a neighbourhood (default: 25)")
    flag("--lc-points", type=_at_least(1), default=1000, metavar="N", help="most points a curve (default: 1000)")


def _partition(commands: Any) -> None:
    one = _command(
        commands,
        "partition",
        "RUN [--step N] [--anchors I J K] [--out FILE ...] ...",
        "cut one checkpoint with one plane",
        """\
An .npz file holds the whole partition (splineviz.Partition.load reads it); .png, .pdf, .svg are pictures.

examples:
  splineviz partition ckpts/ --step 10000 --out slice.png
  splineviz partition ckpts/ --anchors 5 17 40 --window 2 --out slice.npz slice.pdf
  splineviz partition ckpts/ --window 50 --max-regions 1000000 --out wide.npz""",
    )
    _run_flags(one)
    _slice_flags(one)
    _fill_flag(one)
    flag = one.add_argument
    flag("--step", type=_at_least(0), metavar="N", help="which checkpoint (default: the last)")
    flag("--max-regions", type=_at_least(1), metavar="N", help="stop when there are more, and propose a window that fits")
    flag("--out", type=_target, nargs="+", default=[Path("slice.png")], metavar="FILE", help="(default: slice.png)")


def _figure(commands: Any) -> None:
    one = _command(
        commands,
        "figure",
        "RUN [--steps N ...] [--zoom U V HALF ...] [--out FILE ...] ...",
        "lay out some checkpoints side by side for print",
        """\
One panel a step, with one colour scale, a scale bar in input-space length, the anchors' samples, and zooms
below it. In .pdf and .svg text, boundary and frames are vectors; so are small partitions, larger ones are a
picture of the resolution asked for.

examples:
  splineviz figure ckpts/ --steps 0 1000 30000 --out migration.pdf
  splineviz figure ckpts/ --steps 30000 --zoom 0.5 -1 0.4 --zoom 0.5 -1 0.02 --width column
  splineviz figure ckpts/ --steps 30000 --layers --fill margin --color-knots --out layers.svg""",
    )
    _run_flags(one)
    _slice_flags(one)
    _fill_flag(one)
    flag = one.add_argument
    flag("--steps", type=_at_least(0), nargs="+", metavar="N", help="which checkpoints (default: first, middle, last)")
    flag("--out", type=_figure_file, nargs="+", default=[Path("figure.pdf")], metavar="FILE", help="(default: figure.pdf)")
    flag("--zoom", type=float, nargs=3, action="append", default=[], metavar=("U", "V", "HALF"),
         help="a square to show larger: centre in plane coordinates, half its side; again for more")  # fmt: skip
    flag("--layers", action="store_true", help="one step, a panel for each layer with its knots alone")
    flag("--color-knots", action="store_true", help="knots in the colour of their layer, the first the darkest")
    flag = one.add_argument_group("print").add_argument
    flag("--width", type=_width, default="double", metavar="W", help="column, double, or inches (default: double)")
    flag("--style", choices=STYLES, default="sans", metavar="S", help="sans, serif, slides (default: sans)")
    flag("--palette", choices=PALETTES, default="viridis", metavar="P", help="viridis, cividis, grey (default: viridis)")
    flag("--dpi", type=_positive, default=300.0, metavar="N", help="of pictures in the file (default: 300)")


def _estimate(commands: Any) -> None:
    one = _command(
        commands,
        "estimate",
        "RUN [--step N] [--anchors I J K] [--window HALF_WIDTH]",
        "predict regions, seconds and memory of a slice without enumerating it",
        """\
Random lines through the window are cut exactly; Crofton's formula turns their crossings into a number of
regions, mostly right within a fifth.

example:
  splineviz estimate ckpts/ --window 50""",
    )
    _run_flags(one)
    _slice_flags(one)
    one.add_argument("--step", type=_at_least(0), metavar="N", help="which checkpoint (default: the last)")


def _study(commands: Any) -> None:
    one = _command(
        commands,
        "study",
        "RUN [NAME ...] [--out DIR] ...",
        "measure a run and draw the paper's figures about it, with their tables",
        """\
studies (default: all):
  dynamics    accuracy, accuracy under attack and local complexity over the steps; two slices (Fig. 2)
  migration   knots near the anchors and near the decision boundary, over those in the window
  exact       exact and sampled number of units in the same neighbourhoods, over steps and radius
  heat        both numbers over the last slice

DIR then holds a .png and a .csv each, and the partitions and measures.csv as `animate` writes them.

examples:
  splineviz study ckpts/
  splineviz study ckpts/ migration --anchors 5 17 40 --out figures/""",
    )
    _run_flags(one)
    one.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(STUDIES)}")
    _slice_flags(one)
    flag = one.add_argument
    flag("--out", type=Path, default=Path("study"), metavar="DIR", help="where everything goes (default: study)")
    flag("--steps", type=_at_least(0), nargs="+", metavar="N", help="the checkpoints of these steps only")
    flag("--lc-radius", type=_positive, default=0.05, metavar="R", help="of a neighbourhood (default: 0.05)")
    flag("--lc-points", type=_at_least(1), default=1000, metavar="N", help="most points a curve (default: 1000)")
    flag("--attack-steps", type=_at_least(0), default=10, metavar="N", help="of the adversary (default: 10)")


def _explore(commands: Any) -> None:
    one = _command(
        commands,
        "explore",
        "OUT [--html FILE] [--steps N ...]",
        "write one HTML file in which regions can be panned, zoomed and questioned",
        """\
OUT is what `animate` wrote (its partitions and measures), or one partition file. FILE holds everything,
opens offline in any browser with WebGL2 and can be mailed: about 55 bytes a region and checkpoint.

examples:
  splineviz explore out/
  splineviz explore out/ --steps 0 1000 30000 --fill class --html three.html
  splineviz explore slice.npz --html slice.html""",
    )
    flag = one.add_argument
    flag("source", type=Path, metavar="OUT", help="a folder that `animate` wrote, or an .npz file of a partition")
    flag("--html", type=Path, default=Path("view.html"), metavar="FILE", help="(default: view.html)")
    flag("--steps", type=_at_least(0), nargs="+", metavar="N", help="these checkpoints only (default: all)")
    flag("--fill", choices=EXPLORED, default="slope", metavar="F", help=f"at first: {', '.join(EXPLORED)} (default: slope)")


def _info(commands: Any) -> None:
    one = _command(commands, "info", "RUN", "print what a run directory holds", "example:\n  splineviz info ckpts/")
    _run_flags(one)


def _verify(commands: Any) -> None:
    one = _command(
        commands,
        "verify",
        "FILE RUN [--step N]",
        "prove a partition file against the network it was made from",
        """\
The enumerator is not taken at its word: counts, areas and convexity are checked, and the network itself
is evaluated at every vertex and inside every region. A failure names the region; the exit code is 1.

example:
  splineviz verify out/partitions/step-0000010000.npz ckpts/""",
    )
    one.add_argument("partition", type=Path, metavar="FILE", help="an .npz file that `partition` or `animate` wrote")
    _run_flags(one)
    one.add_argument("--step", type=_at_least(0), metavar="N", help="which checkpoint (default: the one in FILE's name)")


def _run_flags(one: argparse.ArgumentParser) -> None:
    one.add_argument("run", type=Path, metavar="RUN", help="a run directory, or a folder of checkpoints")
    foreign = one.add_argument_group("a folder of checkpoints without run.json")
    foreign.add_argument(
        "--model",
        type=_model,
        metavar="M",
        help="mlp: a plain ReLU network, rebuilt from its weights; or package.module:function that makes it",
    )
    foreign.add_argument(
        "--model-args", metavar="JSON", help="keyword arguments of that function, such as '{\"width\": 200}'"
    )
    foreign.add_argument(
        "--data",
        metavar="D",
        help=f"the samples: {', '.join(DATA)}, a file (.npz, .npy, .pt), an image folder, or package.module:function",
    )
    foreign.add_argument("--trust", action="store_true", help="unpickle files that need code, which RUNS THEIR CODE")


def _slice_flags(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "--anchors",
        type=_anchor,
        nargs=3,
        default=[0, 1, 2],
        metavar=("I", "J", "K"),
        help="training samples that span the plane, by index or as class:4, the first of a class (default: 0 1 2)",
    )
    one.add_argument(
        "--window",
        type=_positive,
        metavar="HALF_WIDTH",
        help="half the side of the square that is cut, in input-space length (default: the anchors with a margin)",
    )


def _fill_flag(one: argparse.ArgumentParser) -> None:
    one.add_argument("--fill", choices=FILLS, default="slope", metavar="F", help=f"of {', '.join(FILLS)} (default: slope)")


def _at_least(low: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not (text.isascii() and text.lstrip("+").isdigit() and int(text) >= low):
            raise argparse.ArgumentTypeError(f"expected a whole number from {low} up, got {text!r}")
        return int(text)

    return number


def _anchor(text: str) -> int | str:
    return text if re.fullmatch(r"class:.+", text) else _at_least(0)(text)


def _model(text: str) -> str:
    if text != "mlp" and not re.fullmatch(r"[\w.]+:[\w.]+", text):
        raise argparse.ArgumentTypeError(f"expected mlp or package.module:function, got {text!r}")
    return text


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text!r}")
    return value


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)[xX](\d+)", text)
    if not found or not all(64 <= int(side) <= 8192 for side in found.groups()):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT, 64 to 8192 pixels each, such as 1280x720, got {text!r}")
    return int(found[1]), int(found[2])


def _width(text: str) -> str | float:
    return text if text in WIDTHS else _positive(text)


def _figure_file(text: str) -> Path:
    if Path(text).suffix not in PICTURES:
        raise argparse.ArgumentTypeError(f"expected a file ending in {', '.join(PICTURES)}, got {text!r}")
    return Path(text)


def _target(text: str) -> Path:
    if Path(text).suffix not in (".npz", *PICTURES):
        raise argparse.ArgumentTypeError(f"expected a file ending in .npz, {', '.join(PICTURES)}, got {text!r}")
    return Path(text)
