"""Loggers: numbers and pictures reach TensorBoard, W&B, Lightning's loggers and functions; read back from their files."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from events import read_events

from splineviz.errors import DataError
from splineviz.workflows import loggers

PICTURE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 14
STEPS = {0: (3.0, None), 5: (7.0, PICTURE)}


def hand_over(target: object) -> None:
    sink = loggers.sink(target)
    for step, (regions, picture) in STEPS.items():
        sink(step, {"regions": regions}, picture)


def test_tensorboard_has_the_numbers_and_the_very_pixels(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        hand_over(writer)
    numbers, pictures = read_events(tmp_path)
    assert numbers == {0: 3.0, 5: 7.0}
    assert list(pictures) == [5]
    assert np.array_equal(pictures[5], PICTURE)


def test_wandb_has_the_numbers_over_our_own_steps_and_the_very_pixels(tmp_path):
    import wandb
    from PIL import Image

    run = wandb.init(mode="offline", dir=str(tmp_path), project="test", settings=wandb.Settings(silent=True, console="off"))
    run.log({"loss": 1.0}, step=100)  # the user's own steps are ahead: ours must not be dropped for it
    hand_over(run)
    assert (run.summary["splineviz/step"], run.summary["splineviz/regions"], run.summary["loss"]) == (5, 7.0, 1.0)
    media = list((Path(run.dir) / "media").rglob("*.png"))
    run.finish()
    wandb.teardown()  # or its service stays until all tests are over
    assert len(media) == 1
    assert np.array_equal(np.asarray(Image.open(media[0])), PICTURE)


def test_loggers_of_lightning_take_what_they_can(tmp_path):
    from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

    board = TensorBoardLogger(str(tmp_path / "board"))
    hand_over(board)
    board.finalize("success")
    assert read_events(Path(board.log_dir))[0] == {0: 3.0, 5: 7.0}
    table = CSVLogger(str(tmp_path / "table"))
    hand_over(table)
    table.save()
    with (Path(table.log_dir) / "metrics.csv").open() as stream:
        rows = [(int(row["step"]), float(row["splineviz/regions"])) for row in csv.DictReader(stream)]
    assert rows == [(0, 3.0), (5, 7.0)]


def test_a_function_has_everything():
    taken = []
    hand_over(lambda step, numbers, picture: taken.append((step, numbers, picture)))
    assert [(step, numbers) for step, numbers, _ in taken] == [(0, {"regions": 3.0}), (5, {"regions": 7.0})]
    assert taken[0][2] is None
    assert taken[1][2] is PICTURE


def test_several_targets_one_or_none():
    assert loggers.sinks(None) == ()
    assert len(loggers.sinks(print)) == 1
    assert len(loggers.sinks([print, print])) == 2


@pytest.mark.parametrize("target", ["logs/", 3, object()])
def test_what_takes_nothing_is_refused(target):
    with pytest.raises(DataError, match=f"expected a SummaryWriter .* got {type(target).__name__}"):
        loggers.sinks([target])
