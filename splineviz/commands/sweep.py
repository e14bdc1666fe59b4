"""`splineviz sweep`: measure many checkpoints on many slices, and gather everything in one table."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from splineviz.commands import flags, resolve, terminal


def add(commands: Any) -> None:
    """Its flags and its help."""
    one = flags.command(
        commands,
        "sweep",
        "RUN [RUN ...] [--anchors I J K] [--planes N] [--window W ...] [--out DIR] ...",
        "measure runs x checkpoints x planes x windows, and gather them in one table",
        """\
Every slice is a separate job. DIR then holds sweep.csv (one row per job), rows/ and partitions/ by job, and
jobs.json, the list of jobs. A job that fails does not stop the others. The same command again does the missing jobs: killed,
failed and new ones. Several calls, also from several machines, may work on one DIR at a time.
`splineviz status DIR` says how far it is, `splineviz verify DIR` proves what is there.

examples:
  splineviz sweep seed0/ seed1/ seed2/ --planes 10 --jobs 8 --out sweep/
  splineviz sweep ckpts/ --anchors 0 1 2 --anchors 5 17 40 --window 1 4
  splineviz sweep ckpts/ --planes 10 --scheduler tcp://head:8786     # Dask; Slurm through dask-jobqueue
  splineviz sweep ckpts/ --planes 10 --store s3://bucket/sweep       # with s3fs; any URL that fsspec knows""",
    )
    flags.run_flags(one, several=True)
    flag = one.add_argument
    flag(
        "--anchors",
        type=flags.anchor,
        nargs=3,
        action="append",
        metavar=("I", "J", "K"),
        help="a plane through three training samples; may be repeated (default: 0 1 2, unless --planes)",
    )
    flag("--planes", type=flags.at_least(1), metavar="N", help="N further planes, through samples chosen at random")
    flag("--seed", type=flags.at_least(0), default=0, metavar="S", help="seed of the random planes (default: 0)")
    flag(
        "--window",
        type=flags.positive,
        nargs="+",
        metavar="HALF_WIDTH",
        help="half-widths of windows, in input-space length (default: the anchors with a margin)",
    )
    flag("--out", type=Path, default=Path("sweep"), metavar="DIR", help="output directory (default: sweep)")
    flag("--store", metavar="URL", help="also keep every result there; results already there are reused")
    flag("--steps", type=flags.at_least(0), nargs="+", metavar="N", help="the checkpoints of these steps only")
    flags.thinning_flags(one)
    flag("--rows-only", action="store_true", help="keep the rows, not the partitions (no churn, less to verify)")
    flag("--prove", action="store_true", help="verify every partition, and keep the outcome with the row")
    flags.near_flag(flag)
    flags.lc_flags(one)
    flags.engine_flags(one)


def run(options: Namespace) -> None:
    """Measure many checkpoints on many slices."""
    from splineviz.errors import JobError
    from splineviz.jobs import sweep
    from splineviz.metrics.options import LCOptions

    runs = [resolve.open_run(options, path) for path in options.runs]
    planes: list[Any] = list(options.anchors or ([] if options.planes else [[0, 1, 2]]))
    if options.planes:
        fewest = min(runs, key=lambda run: len(run.train_x))
        planes += sweep.random_planes(fewest, options.planes, options.seed)
    with resolve.engine(options) as jobs, terminal.bar("sweeping") as tick:
        made = sweep.sweep(
            runs,
            planes=planes,
            windows=options.window or [None],
            steps=options.steps,
            out=options.out,
            lc=LCOptions(options.lc_radius, options.lc_vectors, options.lc_points, wide=options.lc_wide),
            near=options.near,
            jobs=jobs,
            threads=options.threads,
            partitions=not options.rows_only,
            prove=options.prove,
            store=options.store,
            progress=tick,
        )
    terminal.say(options.out / made.table.name)
    if made.failures:
        slice_, reason = made.failures[0]
        raise JobError(
            f"{len(made.failures)} of {len(made.failures) + len(made.results)} jobs failed, {slice_}: "
            f"{reason.splitlines()[0]} See `splineviz status {options.out}`; the same command tries them again."
        )
