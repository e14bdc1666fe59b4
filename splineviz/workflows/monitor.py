r"""Monitors: a training measured while it goes on, its numbers and frames handed to whoever watches.

    recorder.save(step) --> run on disk --> sweeps.measure_run --> out/partitions, out/rows, out/measures.csv
                                                   |
                                                   +--> numbers, frame --> TensorBoard, W&B, Lightning, a function

What is measured is what `animate` would measure, in a directory as `animate` leaves it: the same call of it later, with the
same anchors, window and settings, finds the slices there. A network with smooth functions has no slice; its recorded
accuracies and its local complexity are handed on all the same.

The training does not feel it: weights are read from the checkpoint's file, random states and gradients are not touched.
What fails at the first checkpoint is raised, since little is lost by then and the mistake is mostly in a setting. Later the
training goes on: what failed is warned of and kept in `failures`, and the checkpoint is there to be measured again.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from splineviz.drawing import fills
from splineviz.drawing.figures import FramePainter
from splineviz.drawing.look import Look
from splineviz.errors import DataError, FloatArray, JobError, TraceError
from splineviz.geometry.partition import Partition
from splineviz.jobs import plan, sweep
from splineviz.jobs.job import Result
from splineviz.metrics.options import LCOptions
from splineviz.storage import outputs
from splineviz.storage.cache import Ledger
from splineviz.tracing.program import Program
from splineviz.tracing.swaps import piecewise
from splineviz.training import runs
from splineviz.workflows import loggers, run_curves


class Monitor:
    """Measures checkpoints as a Recorder saves them: `sv.Recorder(..., monitor=sv.Monitor(to=writer))`.

    The attribute failures has the reasons, by step, of checkpoints that could not be measured.

    Args:
        to: a SummaryWriter of TensorBoard, a run of W&B, a logger of Lightning, a function (step, numbers, picture), or a
            list of these; None: results are only written to `out`. Names begin with "splineviz/".
        every: measure the first checkpoint, every `every`-th after it, and the last.
        anchors: as in `animate`.
        window: as in `animate`.
        lc: as in `animate`.
        threads: as in `animate`.
        out: output directory; None: `monitor` in the run's directory.
        frames: whether a frame is drawn, as in the animation.
        size: of the frame, in pixels.
        look: fill, panels, cmap, ...: fields of `Look`.

    Raises:
        DataError: a setting has no meaning.
    """

    def __init__(
        self,
        to: Any = None,
        *,
        every: int = 1,
        anchors: Sequence[Any] = (0, 1, 2),
        window: Any = None,
        lc: LCOptions | None = LCOptions(points=200),  # noqa: B008  # frozen, so it can be shared
        out: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        frames: bool = True,
        size: tuple[int, int] = (1280, 720),
        **look: Any,
    ) -> None:
        if every < 1:
            raise DataError(f"every: expected a number of checkpoints from 1 up, got {every}.")
        self.failures: dict[int, str] = {}
        self._sinks = loggers.sinks(to)
        self._every, self._out, self._frames = every, None if out is None else Path(out), frames
        self._anchors = tuple(anchors)
        self._slice: dict[str, Any] = {"window": window, "lc": lc, "threads": threads}
        self._look = Look.of({"size": size, **look})
        self._seen = 0
        self._quantiles: list[FloatArray] = []

    def hand_to(self, *targets: Any) -> None:
        """Let further targets, as `to` takes them, have what is measured from now on."""
        self._sinks += tuple(loggers.sink(target) for target in targets)

    @property
    def has_target(self) -> bool:
        """Whether anybody takes what is measured."""
        return bool(self._sinks)

    def saved(self, path: Path, step: int, last: bool) -> None:
        """A checkpoint of the run at `path` was saved: measure it, if it is one that is to be measured."""
        due, self._seen = last or self._seen % self._every == 0, self._seen + 1
        if not due:
            return
        try:
            numbers, picture = self._measured(path, step)
            for write in self._sinks:
                write(step, numbers, picture)
        except Exception as error:  # whatever it is, hours of training do not end for it
            if self._seen == 1:
                raise
            self.failures[step] = str(error).strip() or type(error).__name__
            warnings.warn(f"step {step:,} was saved, not monitored: {self.failures[step]}", RuntimeWarning, stacklevel=3)

    def _measured(self, path: Path, step: int) -> tuple[dict[str, float], loggers.Pixels | None]:
        """Numbers of a checkpoint that are available, and its picture (height, width, 3) if one is to be drawn."""
        run, anchors = runs.open_run(path).anchored(self._anchors)
        out, lc = path / "monitor" if self._out is None else self._out, self._slice["lc"]
        if _is_smooth(run):
            if lc is None:
                return _available(run.at(step).metrics), None
            outputs.enter(out, "run", [str(path.resolve())], (*outputs.MEASURES, "complexity.json"))
            rows = run_curves.measured(run.only([step]), lc, Ledger(out / "complexity.json"))
            return _available(rows[-1]), None
        # Also what a training that is resumed had measured; not what lies beyond this step, of one that was left.
        asked = _asked(out)
        steps = [c.step for c in run.checkpoints if c.step < step and c.step in asked]
        results = sweep.measure_run(run.only([*steps, step]), anchors=anchors, out=out, **self._slice)
        picture = self._picture(run, anchors, results) if self._frames else None
        return _available(results[-1].row), picture

    def _picture(self, run: runs.Run, anchors: Sequence[int], results: Sequence[Result]) -> loggers.Pixels:
        """The frame of the last result, with the curves so far, in the colours that hold all slices so far."""
        partition, lc, fill = Partition.load(results[-1].partition_path), self._slice["lc"], self._look.fill
        limits = self._look.limits
        if limits is None and fill in fills.SCALED:
            self._quantiles = [*self._quantiles[: len(results) - 1], fills.sampled(partition, fill)]
            limits = fills.limits_of(self._quantiles)
        painter = FramePainter(
            [result.row for result in results],
            look=self._look,
            limits=limits,
            thumbnails=run.anchors(anchors),
            **(lc.settings(run.train_x.shape[1:]) if lc else {}),
        )
        return painter.paint(partition, len(results) - 1)


def _is_smooth(run: runs.Run) -> bool:
    try:
        piecewise(Program.from_data(run.network))
    except TraceError:
        return True
    return False


def _asked(out: Path) -> set[int]:
    """The steps whose measures were asked for in a directory so far."""
    try:
        return {int(entry["step"]) for entry in plan.read(out)["jobs"]}
    except JobError:
        return set()


def _available(row: Any) -> dict[str, float]:
    """The numbers of a row that there are, but for its step."""
    return {name: float(value) for name, value in row.items() if name != "step" and math.isfinite(value)}
