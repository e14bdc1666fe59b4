"""Callbacks: Lightning's own Trainer records a run, and its loggers have what was measured."""

from __future__ import annotations

import builtins
import logging
import sys
from typing import Any

import numpy as np
import pytest
import torch
from events import read_events
from small_runs import network, samples
from torch import Tensor, nn

import splineviz as sv
from splineviz.errors import CheckpointError
from splineviz.workflows import lightning
from splineviz.workflows.monitor import Monitor

pytorch_lightning = pytest.importorskip("pytorch_lightning")


class Module(pytorch_lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.model = network()
        self.seen: dict[int, Tensor] = {}

    def training_step(self, batch: Any, index: int) -> Tensor:
        outputs = self.model(batch[0])
        self.log("train_accuracy", (outputs.argmax(1) == batch[1]).float().mean())
        return nn.functional.cross_entropy(outputs, batch[1])

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=1e-2)

    def on_train_batch_end(self, *_: Any) -> None:
        self.seen[self.trainer.global_step] = self.model[1].weight.detach().clone()


def fit(callback: Any, **options: Any) -> Module:
    from torch.utils.data import DataLoader, TensorDataset

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    module = Module()
    trainer = pytorch_lightning.Trainer(
        **({"max_steps": 9, "logger": False} | options), accelerator="cpu", enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False, callbacks=[callback], log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(module, DataLoader(TensorDataset(*map(torch.as_tensor, samples(0))), batch_size=4))
    return module


def test_a_fit_leaves_a_run_with_the_weights_of_each_step(tmp_path):
    module = fit(sv.lightning_callback(tmp_path, train=samples(0), test=samples(1)))
    run = sv.open_run(tmp_path)
    assert [c.step for c in run.checkpoints] == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    assert run.last == 9
    for checkpoint in run.checkpoints[1:]:
        assert np.array_equal(run.state(checkpoint)["1.weight"], module.seen[checkpoint.step])
        assert 0 <= checkpoint.metrics["train_accuracy"] <= 1


def test_steps_of_several_batches_are_saved_once(tmp_path):
    module = fit(sv.lightning_callback(tmp_path, train=samples(0), per_decade=3), accumulate_grad_batches=3, max_steps=5)
    run = sv.open_run(tmp_path)
    assert [c.step for c in run.checkpoints] == [0, 1, 2, 5]
    assert np.array_equal(run.state(run.checkpoints[-1])["1.weight"], module.seen[5])


def test_the_trainers_loggers_have_what_is_measured(tmp_path):
    from pytorch_lightning.loggers import TensorBoardLogger

    logger = TensorBoardLogger(str(tmp_path / "logs"))
    monitor = Monitor(every=4, lc=None, size=(640, 360))
    fit(sv.lightning_callback(tmp_path / "run", train=samples(0), monitor=monitor), logger=logger)
    numbers, pictures = read_events(logger.log_dir)
    assert list(numbers) == list(pictures) == [0, 4, 9]
    assert {picture.shape for picture in pictures.values()} == {(360, 640, 3)}


def test_part_of_the_module_by_name_or_function(tmp_path):
    fit(sv.lightning_callback(tmp_path, train=samples(0), network=lambda module: module.model), max_steps=1)
    assert [c.step for c in sv.open_run(tmp_path).checkpoints] == [0, 1]
    with pytest.raises(CheckpointError, match="expected a part of Module .it has: model., got 'student.body'"):
        fit(sv.lightning_callback(tmp_path / "b", train=samples(0), network="student.body"), max_steps=1)


def test_without_lightning_it_says_what_to_install(tmp_path, monkeypatch):
    for name in lightning.PACKAGES:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(builtins, "__import__", builtins.__import__)
    with pytest.raises(ImportError, match="pip install lightning"):
        sv.lightning_callback(tmp_path, train=samples(0))
