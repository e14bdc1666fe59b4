"""Networks of public packages, saved by public trainers as these save, filmed by the command line: no line of Python.

A package that is not installed skips its row: `pip install skorch stable-baselines3 monai pytorch-ignite torch_geometric
rtdl_revisiting_models` brings what the tests' own environment does not have.
"""

from __future__ import annotations

import csv
import importlib
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Public:
    """packages: what must be installed. train(folder) writes checkpoints and x.npz; flags: what the command is told.

    under: where in the folder the checkpoints lie; steps: those that the film has.
    """

    packages: tuple[str, ...]
    train: Callable[[Path], None]
    flags: str
    under: str
    steps: tuple[int, ...]


def samples(folder: Path, *shape: int, n: int = 48, classes: int = 3) -> tuple[Any, Any]:
    x = np.random.default_rng(0).uniform(-1, 1, (n, *shape)).astype(np.float32)
    y = np.arange(n) % classes
    np.savez(folder / "x.npz", train_x=x, train_y=y)
    return x, y


def transformers_resnet(folder: Path) -> None:
    from transformers import ResNetConfig, ResNetForImageClassification, Trainer, TrainingArguments

    sizes: Any = {"num_channels": 1, "embedding_size": 4, "hidden_sizes": [4, 8], "depths": [1, 1], "layer_type": "basic"}
    net = ResNetForImageClassification(ResNetConfig(**sizes, num_labels=3))
    x, y = samples(folder, 1, 16, 16)
    rows: Any = [{"pixel_values": torch.from_numpy(a), "labels": int(b)} for a, b in zip(x, y, strict=True)]
    told = TrainingArguments(
        str(folder / "out"), save_steps=2, max_steps=6, per_device_train_batch_size=8, report_to=[], use_cpu=True
    )
    Trainer(net, told, train_dataset=rows).train()


def skorch_mlp(folder: Path) -> None:
    from skorch import NeuralNetClassifier
    from skorch.callbacks import Checkpoint
    from skorch.toy import MLPModule

    x, y = samples(folder, 20, classes=2)
    keep = Checkpoint(
        monitor=None, f_params="params_{last_epoch[epoch]}.pt", dirname=str(folder / "exp"), f_history=None, f_criterion=None
    )
    NeuralNetClassifier(MLPModule, max_epochs=3, callbacks=[keep], verbose=0, train_split=None).fit(x, y)


def baselines_dqn(folder: Path) -> None:
    from stable_baselines3 import DQN
    from stable_baselines3.common.callbacks import CheckpointCallback

    samples(folder, 4, classes=2)
    keep = CheckpointCallback(save_freq=100, save_path=str(folder / "logs"), name_prefix="rl_model")
    DQN("MlpPolicy", "CartPole-v1", learning_starts=50, device="cpu").learn(300, callback=keep)


def monai_dense(folder: Path) -> None:
    from monai.engines import SupervisedTrainer
    from monai.handlers import CheckpointSaver
    from monai.networks.nets import FullyConnectedNet

    x, y = samples(folder, 6)
    net = FullyConnectedNet(6, 3, [16, 16], dropout=0.1, act="relu")
    rows = [{"image": torch.from_numpy(a), "label": torch.tensor(b)} for a, b in zip(x, y, strict=True)]
    keep = CheckpointSaver(save_dir=str(folder / "saved"), save_dict={"net": net}, save_interval=1)
    SupervisedTrainer(
        device=torch.device("cpu"), max_epochs=3, train_data_loader=torch.utils.data.DataLoader(rows, batch_size=8),
        network=net, optimizer=torch.optim.SGD(net.parameters(), 0.1), loss_function=torch.nn.CrossEntropyLoss(),
        train_handlers=[keep],
    ).run()  # fmt: skip


def tabular_mlp(folder: Path) -> None:
    from accelerate import Accelerator
    from accelerate.utils import ProjectConfiguration
    from rtdl_revisiting_models import MLP

    x, y = samples(folder, 5)
    told = ProjectConfiguration(project_dir=str(folder), automatic_checkpoint_naming=True)
    accelerator = Accelerator(cpu=True, project_config=told)
    net: Any = MLP(d_in=5, d_out=3, n_blocks=2, d_block=16, dropout=0.1)
    net, optimiser = accelerator.prepare(net, torch.optim.SGD(net.parameters(), 0.1))
    for _ in range(3):
        accelerator.backward(torch.nn.functional.cross_entropy(net(torch.from_numpy(x)), torch.from_numpy(y)))
        optimiser.step()
        accelerator.save_state()


def geometric_mlp(folder: Path) -> None:
    import pytorch_lightning
    from torch_geometric.nn import MLP

    class Module(pytorch_lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = MLP([4, 16, 16, 3])

        def training_step(self, batch: Any, i: int) -> Any:
            return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

    x, y = samples(folder, 4)
    rows = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    keep = pytorch_lightning.callbacks.ModelCheckpoint(dirpath=str(folder / "kept"), save_top_k=-1)
    quiet: Any = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    loader = torch.utils.data.DataLoader(rows, batch_size=8)
    pytorch_lightning.Trainer(max_epochs=3, callbacks=[keep], accelerator="cpu", **quiet).fit(Module(), loader)


PUBLIC = {
    "transformers": Public(
        ("transformers", "accelerate"), transformers_resnet,
        "--model transformers:AutoModelForImageClassification.from_pretrained "
        '--model-args {"pretrained_model_name_or_path":"out/checkpoint-6"}', "out", (2, 4, 6),
    ),
    "skorch": Public(("skorch",), skorch_mlp, "--model skorch.toy:MLPModule", "exp", (1, 2, 3)),
    "stable-baselines3": Public(
        ("stable_baselines3",), baselines_dqn, "--model mlp --weights-key q_net", "logs", (100, 200, 300)
    ),
    "monai": Public(
        ("monai", "ignite"), monai_dense,
        '--model monai.networks.nets:FullyConnectedNet --model-args '
        '{"in_channels":6,"out_channels":3,"hidden_channels":[16,16],"act":"relu"}', "saved", (1, 2, 3),
    ),
    "rtdl": Public(
        ("rtdl_revisiting_models", "accelerate"), tabular_mlp,
        '--model rtdl_revisiting_models:MLP --model-args {"d_in":5,"d_out":3,"n_blocks":2,"d_block":16,"dropout":0.1}',
        "checkpoints", (0, 1, 2),
    ),
    "torch_geometric": Public(
        ("torch_geometric", "pytorch_lightning"), geometric_mlp,
        '--model torch_geometric.nn:MLP --model-args {"channel_list":[4,16,16,3]}', "kept", (6, 12, 18),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLIC)
def test_a_film_from_the_command_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = PUBLIC[name]
    for package in row.packages:
        try:
            importlib.import_module(package)
        except Exception as error:  # missing, or not for this torch
            pytest.skip(f"{package}: {type(error).__name__}: {error}")
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        row.train(tmp_path)
    command = f"animate {row.under} --data x.npz {row.flags} --out film --size 640x360 --format gif"
    ran = subprocess.run(
        [sys.executable, "-m", "splineviz", *command.split()],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "film" / "animation.gif").stat().st_size > 10_000
    with open(tmp_path / "film" / "measures.csv", newline="") as table:
        assert tuple(int(measured["step"]) for measured in csv.DictReader(table)) == row.steps
