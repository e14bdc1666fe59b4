"""`splineviz verify`: prove a partition file, or a directory of results, independently of the enumerator."""

from __future__ import annotations

import re
from argparse import Namespace
from pathlib import Path
from typing import Any

from splineviz.commands import flags, resolve, terminal


def add(commands: Any) -> None:
    """Its flags and its help."""
    one = flags.command(
        commands,
        "verify",
        "FILE RUN [--step N]  |  splineviz verify DIR",
        "prove a partition file, or a whole directory of them, against the network",
        """\
The enumerator is not taken at its word: counts, areas and convexity are checked, and the network itself
is evaluated at every vertex and inside every region. A failure names the region; the exit code is 1.
A directory that `animate`, `study` or `sweep` wrote knows its checkpoints itself: all partitions are proved, rows are
computed from them again, the table and every file are compared with what was written down about them.

examples:
  splineviz verify out/partitions/step-0000010000.npz ckpts/
  splineviz verify out/""",
    )
    one.add_argument("what", type=Path, metavar="FILE", help="an .npz file that `partition` or `animate` wrote, or DIR")
    flags.run_flags(one, optional=True)
    one.add_argument(
        "--step", type=flags.at_least(0), metavar="N", help="which checkpoint (default: the one in FILE's name)"
    )


def run(options: Namespace) -> None:
    """Prove a partition file against the network it was made from, or a whole directory."""
    if options.what.is_dir():
        _directory(options)
    else:
        _file(options)


def _directory(options: Namespace) -> None:
    from splineviz.jobs.audit import audit

    with terminal.bar("verifying") as tick:
        found = audit(options.what, trust=options.trust, progress=tick)
    print(found)


def _file(options: Namespace) -> None:
    from splineviz.errors import PartitionError
    from splineviz.geometry.partition import Partition
    from splineviz.storage import provenance

    if not options.what.is_file():
        raise PartitionError(f"{options.what}: expected a partition file (.npz), got nothing there; name one or a folder.")
    if options.run is None:
        raise PartitionError(f"{options.what}: expected the run that it was made from as well, got none; name it.")
    run = resolve.open_run(options)
    named = re.fullmatch(r"step-(\d+)", options.what.stem)
    checkpoint = resolve.at_step(run, int(named[1]) if named and options.step is None else options.step)
    report = Partition.load(options.what).verify(run.program(checkpoint))
    made = provenance.of_partition(options.what)
    print(f"{options.what} against step {checkpoint.step:,} of {run.path}:")
    print(report)
    if made:
        print(f"  made by splineviz {made.get('splineviz')} with torch {made.get('torch')} and numpy {made.get('numpy')}")
