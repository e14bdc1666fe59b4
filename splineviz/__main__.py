"""The command line: flags -> one call each. The only room that prints and exits.

    splineviz train      a recipe on embedded data -> a run directory
    splineviz animate    a run directory -> video, frames, partitions, a table of measures, a summary figure
    splineviz partition  one checkpoint, one slice -> a picture and/or an .npz file
    splineviz figure     some checkpoints, one slice -> a figure for print
    splineviz estimate   one checkpoint, one slice -> how many regions, seconds and bytes to expect
    splineviz study      a run directory -> the paper's figures about it, with their tables
    splineviz explore    what animate wrote -> one HTML file to pan, zoom and question
    splineviz info       what is in a run directory
    splineviz verify     a partition file against the checkpoint it was made from

Exit codes: 0 done, 1 a failed certificate, 2 a wrong flag or anything splineviz refuses (one line on stderr, a
traceback only with --debug), 130 stopped by Ctrl-C. Everything but argparse is imported inside the commands. What is
made goes to stdout, progress to stderr. This room knows no geometry.
"""

from __future__ import annotations

import functools
import re
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from splineviz import flags

if TYPE_CHECKING:
    from splineviz.checkpoints import Checkpoint
    from splineviz.partition import Partition
    from splineviz.runs import Run

Tick = Callable[..., None]
"""What long work calls with (done, total) or (done, total, text)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; argv as in sys.argv[1:]. On --help and wrong flags argparse exits itself."""
    options = flags.parser().parse_args(argv)
    try:
        COMMANDS[options.command](options)
    except KeyboardInterrupt:
        _complain("stopped by Ctrl-C; every file that was finished is whole.")
        return 130
    except Exception as error:
        return _refuse(error, options)
    return 0


def _refuse(error: Exception, options: Namespace) -> int:
    """Exit code for what a user can mend; anything else is a defect of ours and keeps its traceback."""
    from splineviz.errors import CertificateError, SplinevizError

    if options.debug or not isinstance(error, (SplinevizError, OSError, ImportError)):
        raise error
    _complain(str(error))
    return 1 if isinstance(error, CertificateError) else 2


def _complain(message: str) -> None:
    print(f"splineviz: {message}", file=sys.stderr)


# ---- commands ----------------------------------------------------------------------------------------


def train(options: Namespace) -> None:
    """Train a recipe and write a run directory."""
    from splineviz import recipes

    _new_run(options)
    with _bar("training") as tick:
        recipes.train(
            options.recipe,
            steps=options.steps,
            out=options.out,
            seed=options.seed,
            if_exists="overwrite" if options.overwrite else "error",
            progress=tick,
        )
    print(f"{options.out}: now try  splineviz animate {options.out} --anchors 0 1 2")


def animate(options: Namespace) -> None:
    """Measure and draw every checkpoint of a run, and make the film."""
    from splineviz.animate import animate as make
    from splineviz.runs import LCOptions

    with _bar("animating") as tick:
        made = make(
            _open(options),
            anchors=options.anchors,
            window=options.window,
            out=options.out,
            formats=options.format,
            fps=options.fps,
            size=options.size,
            fill=options.fill,
            steps=options.steps,
            tween=options.tween,
            lc=LCOptions(radius=options.lc_radius, num_vectors=options.lc_vectors, points=options.lc_points),
            jobs=options.jobs,
            progress=tick,
        )
    for path in (*made.videos, made.summary, made.table):
        print(path)


def partition(options: Namespace) -> None:
    """Cut one checkpoint with one plane; write the partition, a picture of it, or both."""
    from splineviz.enumerate import partition as cut

    run = _open(options)
    checkpoint = _at_step(run, options.step)
    with _bar("cutting") as tick:
        found = cut(
            run.program(checkpoint),
            run.plane(options.anchors),
            window=options.window,
            max_regions=options.max_regions,
            progress=lambda share, regions: tick(round(1000 * share), 1000, f"{regions:,} regions"),
        )
    for target in options.out:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix == ".npz":
            found.save(target)
        else:
            _picture(found, run, options, target)
        print(target)
    print(f"step {checkpoint.step:,}: {found.num_regions:,} regions in {found.report.seconds:.2f} s")


def figure(options: Namespace) -> None:
    """Cut some checkpoints with one plane, and lay them out for print."""
    from splineviz import files, papers
    from splineviz.enumerate import partition as cut

    run = _open(options)
    steps = options.steps or sorted({run.checkpoints[k * (len(run.checkpoints) - 1) // 2].step for k in range(3)})
    if options.layers:
        steps = steps[-1:]
    checkpoints, plane = [_at_step(run, step) for step in steps], run.plane(options.anchors)
    with _bar("cutting") as tick:
        partitions = []
        for index, checkpoint in enumerate(checkpoints):
            partitions.append(cut(run.program(checkpoint), plane, window=options.window))
            tick(index + 1, len(checkpoints), f"step {checkpoint.step:,}")
    made = papers.figure(
        partitions,
        titles=() if options.layers else [f"step {checkpoint.step:,}" for checkpoint in checkpoints],
        zooms=options.zoom,
        layers=options.layers,
        width=options.width,
        style=options.style,
        fill=options.fill,
        cmap=options.palette,
        edge_color="layer" if options.color_knots else "black",
        thumbnails=[run.train_x[index] for index in options.anchors],
        classes=run.classes or (),
    )
    for target in options.out:
        write = functools.partial(made.savefig, format=target.suffix[1:], dpi=options.dpi)
        files.write(target, write)
        print(target)


def estimate(options: Namespace) -> None:
    """Predict what a slice holds and costs."""
    from splineviz.estimates import estimate as predict

    run = _open(options)
    checkpoint = _at_step(run, options.step)
    expected = predict(run.program(checkpoint), run.plane(options.anchors), options.window)
    print(
        f"step {checkpoint.step:,}: about {expected.regions:,.0f} regions (+- {expected.error:,.0f}), "
        f"{expected.seconds:.1f} s, {expected.bytes / 1e9:.2f} GB"
    )


def study(options: Namespace) -> None:
    """Measure a run and draw the paper's figures about it."""
    from splineviz import studies
    from splineviz.runs import LCOptions

    with _bar("studying") as tick:
        written = studies.study(
            _open(options),
            options.names or studies.STUDIES,
            anchors=options.anchors,
            window=options.window,
            out=options.out,
            steps=options.steps,
            lc=LCOptions(radius=options.lc_radius, points=options.lc_points),
            attack_steps=options.attack_steps,
            progress=tick,
        )
    for path in written:
        print(path)


def explore(options: Namespace) -> None:
    """Write the explorer of what `animate` wrote as one HTML file."""
    from splineviz.explore import explore as write

    path = write(options.source, html=options.html, steps=options.steps, fill=options.fill)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def info(options: Namespace) -> None:
    """Print what a run directory holds."""
    run = _open(options)
    program = run.program(run.checkpoints[0])
    _table(
        ("run", str(run.path)),
        ("input", " x ".join(map(str, program.input_shape))),
        *((f"kinks at {layer.path}", f"{layer.units} units") for layer in program.layers),
        ("training samples", str(len(run.train_x))),
        ("test samples", "none" if run.test_x is None else str(len(run.test_x))),
        ("classes", "not named" if run.classes is None else ", ".join(run.classes)),
        ("domain", f"{run.domain[0]:g} to {run.domain[1]:g}"),
        ("loss", run.loss or "not named"),
        ("checkpoints", str(len(run.checkpoints))),
        ("steps", " ".join(str(checkpoint.step) for checkpoint in run.checkpoints)),
        *((f"passed over: {name}", why) for name, why in run.skipped.items()),
    )


def verify(options: Namespace) -> None:
    """Prove a partition file against the network it was made from, independently of the enumerator."""
    from splineviz.errors import PartitionError
    from splineviz.partition import Partition

    if not options.partition.is_file():
        raise PartitionError(f"{options.partition}: expected a partition file (.npz), got nothing there; name one.")
    run = _open(options)
    named = re.fullmatch(r"step-(\d+)", options.partition.stem)
    checkpoint = _at_step(run, int(named[1]) if named and options.step is None else options.step)
    report = Partition.load(options.partition).verify(run.program(checkpoint))
    print(f"{options.partition} against step {checkpoint.step:,} of {run.path}:")
    print(report)


COMMANDS: dict[str, Callable[[Namespace], None]] = {
    "train": train,
    "animate": animate,
    "partition": partition,
    "figure": figure,
    "estimate": estimate,
    "study": study,
    "explore": explore,
    "info": info,
    "verify": verify,
}


# ---- what the commands share -------------------------------------------------------------------------


def _open(options: Namespace) -> Run:
    from splineviz.runs import open_run

    run = open_run(options.run, model=options.model, data=options.data, model_args=options.model_args, trust=options.trust)
    if hasattr(options, "anchors"):
        options.anchors = run.chosen(options.anchors)
    return run


def _new_run(options: Namespace) -> None:
    """Say in the words of the command line that a run is already there."""
    from splineviz.errors import CheckpointError

    if (options.out / "run.json").exists() and not options.overwrite:
        raise CheckpointError(
            f"{options.out}: expected a directory without a run, got one that holds run.json; choose another --out, "
            "or add --overwrite to delete that run."
        )


def _at_step(run: Run, step: int | None) -> Checkpoint:
    """The checkpoint of a step, the last one for None."""
    from splineviz.errors import CheckpointError

    if step is None:
        return run.checkpoints[-1]
    for checkpoint in run.checkpoints:
        if checkpoint.step == step:
            return checkpoint
    near = min((checkpoint.step for checkpoint in run.checkpoints), key=lambda other: abs(other - step))
    raise CheckpointError(
        f"--step: expected the step of a checkpoint, got {step}; the nearest is {near}, see splineviz info."
    )


def _picture(found: Partition, run: Run, options: Namespace, target: Path) -> None:
    from matplotlib.figure import Figure

    from splineviz import draw, files

    figure = Figure(figsize=(8, 8), layout="constrained")
    ax = figure.add_subplot(xlabel="u", ylabel="v")
    draw.regions(found, ax=ax, fill=options.fill)
    draw.boundary(found, ax=ax)
    draw.anchors(found.plane, ax=ax, thumbnails=[run.train_x[index] for index in options.anchors])
    files.write(target, lambda stream: figure.savefig(stream, format=target.suffix[1:], dpi=200))


@contextmanager
def _bar(text: str) -> Iterator[Tick]:
    """A progress bar on stderr; yields what moves it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    room = max(console.width - 48, 0)  # rich would take the percentage away first, not the end of the note
    note_column = TextColumn("{task.fields[note]}", markup=False)
    columns = (TextColumn(text), BarColumn(20), TaskProgressColumn(), TimeRemainingColumn(), note_column)
    with Progress(*columns, console=console) as bars:
        task = bars.add_task(text, total=None, note="")

        def tick(done: int, total: int, note: str = "") -> None:
            bars.update(task, completed=done, total=total)
            if note:  # a silent tick keeps the last note: recipes speak only when they write a checkpoint
                bars.update(task, note=note[:room])

        yield tick


def _table(*rows: tuple[str, str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    Console(markup=False, highlight=False).print(table)


if __name__ == "__main__":
    raise SystemExit(main())
