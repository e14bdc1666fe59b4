"""Networks of the tables as ONNX files, from torch's old exporter and its new one: a folder of them is a run.

The judges are onnxruntime and the module that was exported. What cannot be drawn is refused by the operator's name.
"""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_loops import ALL, SLACK, near, points, precision, said, samples
from torch import Tensor, nn

import splineviz as sv
from splineviz.errors import CheckpointError
from splineviz.training.samples import Data

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
pytestmark = pytest.mark.filterwarnings("ignore")

RIGHT = (
    "plain", "residual", "unet", "dense", "lenet", "lenet average", "convolutions",
    "residual with batch norm", "resnet",  # whose equal weights of the first step are written once
)  # fmt: skip
REFUSED = {"conv 1d": "Mod"}  # of the old exporter; the new one writes Slice and Concat, which are read
NEW = importlib.util.find_spec("onnxscript") is not None
EXPORTERS = [False, pytest.param(True, marks=pytest.mark.skipif(not NEW, reason="no onnxscript"))]


def exported(name: str, folder: Path, dynamo: bool) -> tuple[nn.Module, list[Tensor]]:
    """Write three steps of a loop; the module, and what it said at each."""
    loop, truth = ALL[name], []
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model: Any = loop.make()
        for step in range(3):
            if step:
                loop.change(model, step)
            model.eval()
            x = torch.zeros(2, *loop.shape, dtype=precision(model))
            how: Any = {"dynamic_shapes": ({0: torch.export.Dim("batch")},)} if dynamo else {"dynamic_axes": {"x": {0: "n"}}}
            torch.onnx.export(model, (x,), folder / f"net_{step}.onnx", input_names=["x"], dynamo=dynamo, **how)
            truth.append(said(model, points(loop)))
    return model, truth


@pytest.mark.parametrize("dynamo", EXPORTERS, ids=lambda new: "new" if new else "old")
@pytest.mark.parametrize("name", RIGHT)
def test_a_folder_of_exported_networks(name: str, dynamo: bool, tmp_path: Path) -> None:
    model, truth = exported(name, tmp_path, dynamo)
    loop = ALL[name]
    run = sv.open_run(tmp_path, data=Data.of(samples(loop)))
    assert len(run.checkpoints) == 3
    x = points(loop)
    for checkpoint, expected in zip(run.checkpoints, truth, strict=True):
        got = run.program(checkpoint)(x.double())
        session = onnxruntime.InferenceSession(str(checkpoint.path), providers=["CPUExecutionProvider"])
        theirs = session.run(None, {session.get_inputs()[0].name: x.numpy().astype(np.float32)})[0]
        assert near(got, torch.from_numpy(theirs).double().reshape(len(x), -1), 1e-3)
        assert near(got, expected, 5 * SLACK[precision(model)])


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_known_is_refused_by_name(name: str, tmp_path: Path) -> None:
    exported(name, tmp_path, False)
    with pytest.raises(CheckpointError, match=REFUSED[name]) as caught:
        run = sv.open_run(tmp_path, data=Data.of(samples(ALL[name])))
        for checkpoint in run.checkpoints:
            run.program(checkpoint)
    assert ".onnx" in str(caught.value)


def test_a_film_of_a_foreign_folder_needs_no_model(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported("plain", tmp_path, False)
    run = sv.open_run(tmp_path, data=Data.of(samples(ALL["plain"])))
    found = [sv.partition(run.program(c), run.plane((0, 1, 2)), window=2.0) for c in run.checkpoints]
    for part, checkpoint in zip(found, run.checkpoints, strict=True):
        part.verify(run.program(checkpoint))
