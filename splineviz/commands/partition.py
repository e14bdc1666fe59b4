"""`splineviz partition`: find the regions of one checkpoint on one plane; write the partition, a picture of it, or both."""

from __future__ import annotations

from argparse import Namespace
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splineviz.commands import flags, resolve, terminal

if TYPE_CHECKING:
    from splineviz.geometry.partition import Partition
    from splineviz.training.checkpoints import Checkpoint
    from splineviz.training.runs import Run


DEFAULT = [Path("slice.png")]


def add(commands: Any) -> None:
    """Its flags and its help."""
    one = flags.command(
        commands,
        "partition",
        "RUN [--step N] [--anchors I J K] [--out FILE ...] ...",
        "find the regions of one checkpoint on one plane",
        """\
An .npz file holds the whole partition (splineviz.Partition.load reads it); .png, .pdf, .svg are pictures.

examples:
  splineviz partition ckpts/ --step 10000 --out slice.png
  splineviz partition ckpts/ --anchors 5 17 40 --window 2 --out slice.npz slice.pdf
  splineviz partition ckpts/ --center 1 --window 0.5 --out round.png   # round the anchor that is sample 1
  splineviz partition ckpts/ --fill lc --out heat.png            # local complexity in the plane; or active units
  splineviz partition ckpts/ --window 1 --surface 4 --out graph.png
  splineviz partition ckpts/ --window 50 --tiles 4x4 --jobs 8 --out large.npz
  splineviz partition ckpts/ --window 50 --max-regions 1000000 --out wide.npz""",
    )
    flags.run_flags(one)
    flags.slice_flags(one)
    flags.center_flag(one)
    flags.look_flags(one)
    flag = one.add_argument
    flag("--step", type=flags.at_least(0), metavar="N", help="which checkpoint (default: the last)")
    flag(
        "--max-regions", type=flags.at_least(1), metavar="N", help="stop above N regions, and propose a smaller window"
    )
    flag("--max-memory", type=flags.positive, metavar="GB", help="stop before blocks and result need more memory than this")
    flag("--max-seconds", type=flags.positive, metavar="S", help="stop after this many seconds")
    flag(
        "--tiles",
        type=flags.tiles,
        metavar="RxC",
        help="split the window into R x C tiles, enumerate each separately and join them; the regions are the same",
    )
    flag("--surface", type=flags.at_least(0), metavar="OUTPUT", help="draw the graph of an output over the slice, in 3D")
    flag("--jobs", type=flags.at_least(1), default=1, metavar="N", help="processes that enumerate tiles (default: 1)")
    flag("--out", type=flags.target, nargs="+", default=DEFAULT, metavar="FILE", help="(default: slice.png)")


def run(options: Namespace) -> None:
    """Find the regions of one checkpoint on one plane; write the partition, a picture of it, or both."""
    from splineviz.regions.enumerate import partition as cut
    from splineviz.threads import available
    from splineviz.workflows import preflight

    resolve.may_replace(options.out, DEFAULT)
    run = resolve.open_run(options)
    checkpoint = run.at(options.step)
    window = options.window
    if (center := resolve.center(options)) is not None:
        window = preflight.window_round(run.only([checkpoint.step]), options.anchors, center, window)
    with terminal.bar("cutting") as tick, _workers(options) as executor:
        found = cut(
            run.program(checkpoint),
            run.plane(options.anchors),
            window=window,
            max_regions=options.max_regions,
            max_bytes=None if options.max_memory is None else round(1e9 * options.max_memory),
            max_seconds=options.max_seconds,
            tiles=options.tiles,
            executor=executor,
            threads=max(1, available() // options.jobs),
            progress=lambda share, regions: tick(round(1000 * share), 1000, f"{regions:,} regions"),
        )
    made = run.made(checkpoint) | {"anchors": options.anchors, "window": found.window.tolist()}
    made["report"] = found.report.lasting()
    for target in options.out:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix == ".npz":
            found.save(target, made=made)
        else:
            _picture(found, run, checkpoint, options, target, made)
        terminal.say(target)
    if missed := preflight.unseen(found, [len(found.decision_boundary())]):
        terminal.say(missed, aside=True)
    terminal.say(f"step {checkpoint.step:,}: {found.num_regions:,} regions in {found.report.seconds:.2f} s")


def _workers(options: Namespace) -> AbstractContextManager[Executor | None]:
    """Processes for the tiles; none where this one does it all."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    from splineviz.errors import DataError

    if options.jobs > 1 and options.tiles is None:
        raise DataError("--jobs: expected --tiles RxC beside it, which says what the processes share, got none.")
    if options.jobs == 1:
        return nullcontext()
    return ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn"))


def _picture(
    found: Partition, run: Run, checkpoint: Checkpoint, options: Namespace, target: Path, made: dict[str, Any]
) -> None:
    from matplotlib.figure import Figure

    from splineviz.drawing import draw, fills, surface
    from splineviz.storage import files, provenance

    look = resolve.look(options)
    name = look["fill"]
    figure = Figure(figsize=(9, 8), layout="constrained")
    if options.surface is not None:
        look = {name: look[name] for name in ("fill", "cmap", "limits")}
        ax = figure.add_subplot(projection="3d")
        surface.surface(found, output=options.surface, ax=ax, **look)
        ax.tick_params(axis="z", pad=7)
        ax.zaxis.labelpad = 18
    else:
        ax = figure.add_subplot(xlabel="u", ylabel="v")
        image = draw.regions(found, ax=ax, **look)
        draw.boundary(found, ax=ax)
        draw.anchors(found.plane, ax=ax, thumbnails=run.anchors(options.anchors), avoid=found.decision_boundary())
        if fills.named(name).has_bar:
            bar = fills.color_bar(figure, image, zero=fills.has_zeros(found, name), ax=ax, shrink=0.82, pad=0.02)
            bar.set_label(fills.label(name))
            marks, texts = fills.ticks(name, image.norm, names=run.classes or ())
            bar.set_ticks(marks, labels=texts)
    kind = target.suffix[1:]
    said = provenance.in_picture(kind, made)
    tight = None if options.surface is None else "tight"  # a box in perspective leaves much of its axes empty
    files.write(target, lambda stream: figure.savefig(stream, format=kind, dpi=200, metadata=said, bbox_inches=tight))
