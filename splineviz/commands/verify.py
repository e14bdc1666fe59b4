"""`splineviz verify`: prove a partition file, or a directory of results, independently of the enumerator."""

from __future__ import annotations

import re
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splineviz.commands import flags, resolve, terminal

if TYPE_CHECKING:
    from splineviz.training.checkpoints import Checkpoint
    from splineviz.training.runs import Run


def add(commands: Any) -> None:
    """Its flags and its help."""
    one = flags.command(
        commands,
        "verify",
        "FILE RUN [--step N]  |  splineviz verify DIR",
        "prove a partition file, or a whole directory of them, against the network",
        """\
The check does not rely on the enumerator: counts, areas and convexity are tested, and the network itself
is evaluated at every vertex and inside every region. A failure names the region; the exit code is 1, also when
nothing could be checked.
For a directory that `animate`, `study` or `sweep` wrote no RUN is needed: all partitions are proved, rows are
computed from them again, the table and every file are compared with what was written down about them. Local
complexity, accuracies and crossings of 16 rows chosen at random are measured again, or of all (--all). Results of
other slices or runs that lie there are named.

examples:
  splineviz verify out/partitions/step-0000010000.npz ckpts/
  splineviz verify out/partitions/step-0000010000.npz ckpts/ --model nets:make   # compare with your own module too
  splineviz verify out/
  splineviz verify out/ --model nets:make        # every partition with your own module at all its vertices as well""",
    )
    one.add_argument("what", type=Path, metavar="FILE", help="an .npz file that `partition` or `animate` wrote, or DIR")
    flags.run_flags(one, optional=True)
    one.add_argument("--all", action="store_true", help="for DIR: measure all rows again, not only a sample of them")
    one.add_argument(
        "--certificate", type=Path, metavar="OUT", help="for FILE: write a certificate that docs/check_certificate.py checks"
    )
    one.add_argument(
        "--step", type=flags.at_least(0), metavar="N", help="which checkpoint (default: the one whose weights FILE names)"
    )


def run(options: Namespace) -> None:
    """Prove a partition file against the network it was made from, or a whole directory."""
    _in_order(options)
    if options.what.is_dir():
        _directory(options)
    else:
        _file(options)


def _in_order(options: Namespace) -> None:
    """See that results come first and their run after them. Raises PartitionError."""
    from splineviz.errors import PartitionError
    from splineviz.storage.outputs import RUN

    what, run = options.what, options.run
    if run is not None and (what / RUN).is_file() and not (run / RUN).is_file():
        raise PartitionError(
            f"{what}: expected results first and their run after them, got the run first; type splineviz verify {run} {what}"
        )


def _directory(options: Namespace) -> None:
    from splineviz.errors import CertificateError
    from splineviz.jobs.audit import PART, audit
    from splineviz.training.guards import Chosen

    chosen = Chosen(options.output, options.outputs)
    model = resolve.module(options)
    with terminal.bar("verifying") as tick:
        numbers = None if options.all else PART
        found = audit(options.what, trust=options.trust, progress=tick, numbers=numbers, model=model, chosen=chosen)
    terminal.say(found)
    if not found.proved:
        raise CertificateError(
            f"{options.what}: expected partitions that can be proved against the network, got none of {found.jobs} finished "
            "jobs proved; the notes above say why."
        )


def _file(options: Namespace) -> None:
    from splineviz.errors import CertificateError, PartitionError
    from splineviz.geometry.partition import Partition
    from splineviz.storage import provenance
    from splineviz.training.doubts import doubts

    if not options.what.is_file():
        raise PartitionError(f"{options.what}: expected a partition file (.npz), got nothing there; name one or a folder.")
    if options.run is None:
        raise PartitionError(f"{options.what}: expected the run that it was made from as well, got none; name it.")
    run = resolve.open_run(options)
    partition, made = Partition.load(options.what), provenance.of_partition(options.what)
    checkpoint, why = _checkpoint(run, options, made.get("weights"))
    try:
        program = run.program(checkpoint)
        report = partition.verify(program, anchors=_anchors(run, made.get("anchors") or _listed(options.what)))
    except CertificateError as error:
        raise CertificateError(f"{options.what} against step {checkpoint.step:,} of {run.path}, {why}:\n{error}") from error
    terminal.say(f"{options.what} against step {checkpoint.step:,} of {run.path}, {why}:")
    terminal.say(report)
    terminal.say(f"  compared with {run.judge}")
    if options.certificate is not None:
        options.certificate.parent.mkdir(parents=True, exist_ok=True)
        partition.certificate(options.certificate, program)
        terminal.say(options.certificate)
    for line in _by_the_module(partition, run, checkpoint):
        terminal.say(f"  {line}")
    for line in doubts(run, checkpoint):
        terminal.say(f"  warning: {line}")
    if made:
        versions = (made.get(name) for name in ("splineviz", "torch", "numpy"))
        terminal.say("  made by splineviz {} with torch {} and numpy {}".format(*versions))


def _anchors(run: Run, indices: Any) -> Any:
    """The samples that a partition's plane goes through, where it is known which they are and the run has them."""
    import numpy as np

    if not indices or max(indices) >= len(run.train_x):
        return None
    return np.stack([np.asarray(x, np.float64) for x in run.anchors(indices)])


def _listed(path: Path) -> Any:
    """The anchors of a partition file, as the list of jobs of its folder has them; None where there is none."""
    from splineviz.storage import files, listings
    from splineviz.storage.outputs import JOBS

    try:
        said = listings.jobs(files.read_sealed(path.parent.parent / JOBS))
    except (OSError, ValueError):
        return None
    return next((entry["anchors"] for entry in said if entry["name"] == path.stem), None)


def _by_the_module(partition: Any, run: Any, checkpoint: Any) -> list[str]:
    """The user's own module at all vertices, where it is at hand. Raises CertificateError when it gives other outputs."""
    from splineviz.jobs.audit import at_vertices

    if run.guard is None and run.witness is None:
        return []
    worst = at_vertices(partition, lambda x: run.outputs(checkpoint, x))
    said = f"your module gives the outputs at all {len(partition.vertices)} vertices, to"
    return [] if worst is None else [f"{said} {worst:.1e} of the largest"]


def _checkpoint(run: Run, options: Namespace, held: Any) -> tuple[Checkpoint, str]:
    """The checkpoint to hold a file against, and how it was chosen. held: digest of weights, or by step, or None."""
    from splineviz.errors import PartitionError
    from splineviz.training import state_files

    if options.step is not None:
        return run.at(options.step), "the step that was asked for"
    named = re.fullmatch(r"step-(\d{1,19})", options.what.stem)
    by_step = held if isinstance(held, dict) else {}
    digests = {held} if isinstance(held, str) else {str(digest) for digest in by_step.values()}
    steps = {int(word) for word in (*([named[1]] if named else ()), *map(str, by_step)) if word.isdecimal()}
    if digests:
        likely = sorted(run.checkpoints, key=lambda checkpoint: checkpoint.step not in steps)
        for checkpoint in likely:
            if state_files.digest(run.state(checkpoint)) in digests:
                return checkpoint, "whose weights the file names"
        raise PartitionError(
            f"{options.what}: expected a partition of one of the {len(likely)} checkpoints of {run.path}, got one that "
            "names the weights of none of them; name its own run, or say which step to compare it with (--step)."
        )
    if named:
        return run.at(int(named[1])), "the step in the file's name; the file names no weights"
    return run.checkpoints[-1], "the last one; the file names no weights (--step chooses another)"
