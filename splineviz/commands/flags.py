"""What flags mean: values checked as they are read, and the flags that several commands share. Argparse and `choices` alone.

Help screens teach: what a command does, what it leaves behind, and examples that work as they stand.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from splineviz import choices


class Help(argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of the examples; as wide on every terminal, so that --help can be tested."""

    def __init__(self, prog: str, **options: Any):
        super().__init__(prog, max_help_position=26, width=100)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that proposes what may have been meant, and reads numbers such as -1e-7 as values."""

    def __init__(self, **options: Any):
        super().__init__(**options)
        self._negative_number_matcher = re.compile(r"-(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$")  # argparse's own knows no exponent

    def error(self, message: str) -> NoReturn:
        """One line about a wrong flag or value, and the nearest one there is; exits with 2."""
        known = [flag for action in self._actions for flag in action.option_strings]
        if found := re.match(r"unrecognized arguments: (--?[\w-]+)", message):
            message += _meant(found[1], known)
        elif found := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message):
            message += _meant(found[1], re.findall(r"[\w-]+", found[2]))
        super().error(message)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, but an unknown flag is reported by the command that was called, which knows its own."""
        options, rest = self.parse_known_args(args, namespace)
        if rest:
            one = next((a.choices[options.command] for a in self._actions if isinstance(a.choices, dict)), self)
            one.error(f"unrecognized arguments: {' '.join(rest)}")
        return options


def _meant(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def command(commands: Any, name: str, usage: str, about: str, more: str) -> argparse.ArgumentParser:
    """One command; `about` stands in the list of commands, `more` (what it leaves behind, examples) in its own help."""
    one: argparse.ArgumentParser = commands.add_parser(
        name,
        prog=f"splineviz {name}",
        usage=f"splineviz {name} {usage}".rstrip(),
        help=about,
        description=f"{about[0].upper()}{about[1:]}.",
        epilog=more,
        formatter_class=Help,
        allow_abbrev=False,
    )
    one.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return one


def run_flags(one: argparse.ArgumentParser, *, several: bool = False, optional: bool = False) -> None:
    """A run directory, or what makes one of a folder of checkpoints."""
    name, many = ("runs", "+") if several else ("run", "?" if optional else None)
    about = "a run directory, a folder of checkpoints, or one of them"
    one.add_argument(name, type=Path, nargs=many, metavar="RUN", help=about)
    one.add_argument(
        "--swap",
        type=swap,
        nargs="+",
        metavar="A=B",
        help="replace smooth activations before slicing (gelu=relu tanh=hardtanh ...); every picture is labelled with it",
    )
    foreign = one.add_argument_group("a folder of checkpoints without run.json")
    foreign.add_argument(
        "--model",
        type=model_name,
        metavar="M",
        help="mlp: a plain ReLU network, rebuilt from its weights; or package.module:function or file.py:function, "
        "which returns the network",
    )
    foreign.add_argument(
        "--model-args", metavar="JSON", help="keyword arguments of that function, such as '{\"width\": 200}'"
    )
    foreign.add_argument(
        "--data",
        metavar="D",
        help=f"the samples: {', '.join(choices.DATA)}, a file (.npz, .npy, .pt), an image folder, or "
        "package.module:function",
    )
    foreign.add_argument("--data-args", metavar="JSON", help="keyword arguments of the function that --data names")
    foreign.add_argument(
        "--weights-key",
        metavar="KEY",
        help="key of the weights in a file that holds several: ema, ema.state_dict, ...; a,b joins parts; . takes all",
    )
    foreign.add_argument(
        "--files",
        metavar="GLOB",
        help="pattern of checkpoint names, such as 'net_*.pt'; {step} or {epoch} marks the number: 'net_*_{step}.pt'",
    )
    foreign.add_argument(
        "--output", type=output, metavar="NAME", help="which output of forward to draw, name or position (default: logits)"
    )
    foreign.add_argument(
        "--outputs", type=at_least(0), nargs="+", metavar="N", help="indices of the outputs to keep (default: all)"
    )
    foreign.add_argument("--trust", action="store_true", help="unpickle files that need code, which RUNS THEIR CODE")


def slice_flags(one: argparse.ArgumentParser) -> None:
    """The plane and its window."""
    one.add_argument(
        "--anchors",
        type=anchor,
        nargs=3,
        default=[0, 1, 2],
        metavar=("I", "J", "K"),
        help="samples that span the plane: training samples by index or as class:4, the first of a class, or files "
        "(.png, .npy, .pt) (default: 0 1 2)",
    )
    one.add_argument(
        "--window",
        type=positive,
        metavar="HALF_WIDTH",
        help="half the side of the square that is cut, in input-space length (default: the anchors with a margin)",
    )


def look_flags(one: argparse.ArgumentParser) -> Callable[..., Any]:
    """What colours the regions and their knots, each named as a field of `Look`; returns what adds a flag to them."""
    flag = one.add_argument_group("look").add_argument
    flag("--fill", choices=choices.FILLS, default="slope", metavar="F",
         help=f"colour of the regions: {', '.join(choices.FILLS)} (default: slope)")  # fmt: skip
    flag("--palette", dest="cmap", metavar="P",
         help=f"{', '.join(choices.PALETTES)}, or any of matplotlib's (default: viridis; for "
              "classes distinct colours)")  # fmt: skip
    flag("--limits", type=number, nargs=2, metavar=("LOW", "HIGH"),
         help="ends of the colour scale (default: values of the middle 98%% of the area)")  # fmt: skip
    flag("--color-knots", dest="edge_color", action="store_const", const="layer", default="black",
         help="colour knots by layer, the first layer darkest")  # fmt: skip
    flag("--no-knots", action="store_true", help="draw fills and decision boundary without knots")
    flag("--boundary-only", action="store_true", help="the decision boundary on white, without fills and knots")
    return flag


def panels_flag(
    flag: Callable[..., Any], default: Sequence[str] = choices.FILM_PANELS, where: str = "beside the slice"
) -> None:
    """Which curves are drawn."""
    flag("--panels", choices=choices.PANELS, nargs="+", default=list(default), metavar="NAME",
         help=f"curves {where}, one to four of {', '.join(choices.PANELS)} (default: {' '.join(default)})")  # fmt: skip


def film_flags(one: argparse.ArgumentParser, *, formats: Sequence[str], fps: float, unit: str) -> None:
    """What a film is made of."""
    flag = one.add_argument_group("film").add_argument
    flag("--format", nargs="+", choices=choices.FORMATS, default=list(formats), metavar="F",
         help=f"{', '.join(choices.FORMATS)} (default: {' '.join(formats)})")  # fmt: skip
    flag("--fps", type=positive, default=fps, metavar="N", help=f"{unit} per second (default: {fps:g})")
    flag("--quality", choices=choices.QUALITIES, default="usual", metavar="Q",
         help=f"{', '.join(choices.QUALITIES)}: what a film keeps, against its size (default: usual)")  # fmt: skip
    flag("--size", type=size, default=(1920, 1080), metavar="WxH", help="frame size in pixels (default: 1920x1080)")


def lc_flags(one: argparse.ArgumentParser) -> None:
    """How the local complexity is sampled."""
    flag = one.add_argument_group("local complexity, sampled as in arXiv 2402.15555").add_argument
    flag("--lc-radius", type=positive, default=0.005, metavar="R", help="radius of a neighbourhood (default: 0.005)")
    flag("--lc-wide", type=positive, default=0.05, metavar="R", help="a second radius, beside the first (default: 0.05)")
    flag("--lc-vectors", type=at_least(1), default=25, metavar="P", help="directions in a neighbourhood (default: 25)")
    points_flag(flag)


def near_flag(flag: Callable[..., Any], default: str = "default: 0.025") -> None:
    """Distance that counts as near the anchors and the decision boundary."""
    flag("--near", type=share, metavar="S",
         help=f"distance that counts as near anchors or boundary, as a share of the window's side ({default})")  # fmt: skip


def engine_flags(one: argparse.ArgumentParser) -> None:
    """How many processes and threads do the jobs."""
    flag = one.add_argument_group("parallelism").add_argument
    flag("--jobs", type=at_least(1), default=1, metavar="N", help="worker processes (default: 1, which uses all cores)")
    flag("--scheduler", metavar="ADDRESS", help="a Dask scheduler, such as tcp://head:8786; its workers see the same files")
    flag("--threads", type=at_least(1), metavar="N", help="threads per job (default: a share of cores; 1 with --scheduler)")


def points_flag(flag: Callable[..., Any]) -> None:
    """Maximum number of points of the sampled local complexity: one number, or three."""
    flag("--lc-points", type=at_least(1), nargs="+", action=_OneOrThree, default=1000, metavar="N",
         help="maximum number of sample points per curve, or one each for training, test and random points "
              "(default: 1000)")  # fmt: skip


class _OneOrThree(argparse.Action):
    """One number for all three values, or three numbers."""

    def __call__(self, parser: argparse.ArgumentParser, options: argparse.Namespace, values: Any, name: Any = None) -> None:
        if len(values) not in (1, 3):
            parser.error(f"argument {name}: expected one number or three, got {len(values)}")
        setattr(options, self.dest, values[0] if len(values) == 1 else tuple(values))


def at_least(low: int) -> Callable[[str], int]:
    """A whole number from `low` up."""

    def number(text: str) -> int:
        if not (text.isascii() and text.lstrip("+").isdigit() and int(text) >= low):
            raise argparse.ArgumentTypeError(f"expected a whole number from {low} up, got {text!r}")
        return int(text)

    return number


def positive(text: str) -> float:
    """A positive finite number."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text!r}")
    return value


def resolution(text: str) -> float:
    """Pixels an inch: a column is a picture of 8,000 pixels at the most of them."""
    value = positive(text)
    if not 10 <= value <= 2400:
        raise argparse.ArgumentTypeError(f"expected 10 to 2400 pixels an inch, got {text!r}")
    return value


def share(text: str) -> float:
    """A number above 0 and at most 1."""
    value = positive(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f"expected a share of the window's side, above 0 and at most 1, got {text!r}")
    return value


def number(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}")
    return value


def center_flag(one: argparse.ArgumentParser, more: str = "") -> None:
    """Where the middle of the window lies. more: to say of it."""
    one.add_argument(
        "--center", type=center, nargs="+", metavar="WHERE",
        help=f"of the window: anchors, boundary{more}, the number of an anchor, or U V (default: anchors)",
    )  # fmt: skip


def center(text: str) -> str | float:
    """Where a window lies: a word, or a number."""
    return text if text in choices.CENTERS else number(text)


def size(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT in pixels."""
    found = re.fullmatch(r"(\d+)[xX](\d+)", text)
    if not found or not all(64 <= int(side) <= 8192 for side in found.groups()):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT, 64 to 8192 pixels each, such as 1280x720, got {text!r}")
    return int(found[1]), int(found[2])


def tiles(text: str) -> tuple[int, int]:
    """ROWSxCOLUMNS of tiles."""
    found = re.fullmatch(r"([1-9]\d{0,3})[xX]([1-9]\d{0,3})", text)
    if not found:
        raise argparse.ArgumentTypeError(f"expected ROWSxCOLUMNS, such as 2x3, got {text!r}")
    return int(found[1]), int(found[2])


def width(text: str) -> str | float:
    """A named width, or inches."""
    return text if text in choices.WIDTHS else positive(text)


def figure_file(text: str) -> Path:
    """A file for a figure."""
    if Path(text).suffix not in choices.PICTURES:
        raise argparse.ArgumentTypeError(f"expected a file ending in {', '.join(choices.PICTURES)}, got {text!r}")
    return Path(text)


def target(text: str) -> Path:
    """A file for a partition, or a picture of it."""
    if Path(text).suffix not in (".npz", *choices.PICTURES):
        raise argparse.ArgumentTypeError(f"expected a file ending in .npz, {', '.join(choices.PICTURES)}, got {text!r}")
    return Path(text)


def anchor(text: str) -> int | str | Path:
    """A sample: a training sample by index or as class:NAME, or a file."""
    if Path(text).suffix.lower() in choices.SAMPLES:
        return Path(text)
    if re.fullmatch(r"class:.+", text):
        return text
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(
            f"expected a training sample's number, class:NAME or a file ({', '.join(choices.SAMPLES)}), got {text!r}; "
            "three of them follow --anchors, and RUN stands before it"
        )
    return int(text)


def thinning_flags(one: Any) -> None:
    """Which of many checkpoints, by their place."""
    one.add_argument("--every", type=at_least(1), metavar="N", help="every N-th checkpoint only, and the last one")
    one.add_argument("--last", type=at_least(1), metavar="N", help="the last N checkpoints only")


def output(text: str) -> str | int:
    """A name of an output, or its position."""
    return int(text) if re.fullmatch(r"-?\d+", text) else text


def swap(text: str) -> str:
    """A smooth function and what it is drawn as, such as gelu=relu."""
    if not re.fullmatch(r"\w+=\w+", text):
        raise argparse.ArgumentTypeError(f"expected a pair such as gelu=relu, got {text!r}")
    return text


def model_name(text: str) -> str:
    """mlp, package.module:function, or file.py:function."""
    if text.endswith((".onnx", ".pt", ".pth", ".ckpt")):
        what = "an .onnx file holds its network and is named" if text.endswith(".onnx") else "weights are named"
        raise argparse.ArgumentTypeError(f"expected mlp or file.py:function, got {text!r}; {what} in the place of RUN")
    if text != "mlp" and not re.fullmatch(r"([\w.]+|.*\.py):[\w.]+", text):
        raise argparse.ArgumentTypeError(f"expected mlp or package.module:function, got {text!r}; or file.py:function")
    return text
