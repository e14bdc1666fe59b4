"""Runs as other libraries write them: each maker trains a little with the real library, and says what weights it left.

A maker takes a folder and gives the network's own weights by step, under the names of `make_network`'s state dict. Their
imports stand inside, since some of these libraries take seconds to import.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from small_runs import network, nudge, samples
from torch import Tensor, nn

States = dict[int, dict[str, Tensor]]

STEPS = (9, 10, 100)
"""Steps of the runs that no trainer writes; in order of names they would be 10, 100, 9."""


def make_network(hidden: int = 6) -> nn.Module:
    """What --model names: the same structure as every maker's, with weights of its own."""
    return network(seed=9, hidden=hidden)


def copied(model: nn.Module) -> dict[str, Tensor]:
    return {key: tensor.detach().clone() for key, tensor in model.state_dict().items()}


def loss(outputs: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.cross_entropy(outputs, labels)


# ---- torch alone -------------------------------------------------------------------------------------------------


def by_torch(save: Callable[[nn.Module, Path], Any], pattern: str) -> Callable[[Path], States]:
    """A maker that saves a network at STEPS, one file each."""

    def make(folder: Path) -> States:
        folder.mkdir(parents=True)
        model, states = network(), {}
        for step in STEPS:
            save(model, folder / pattern.format(step))
            states[step] = copied(model)
            nudge(model)
        return states

    return make


def exported(model: nn.Module, path: Path) -> None:
    x = torch.zeros(2, 2, 2)
    torch.export.save(torch.export.export(model.eval(), (x,), dynamic_shapes=({0: torch.export.Dim("batch")},)), path)


def safetensors(model: nn.Module, path: Path) -> None:
    from safetensors.torch import save_model

    save_model(model, str(path))


def averaged(model: nn.Module, path: Path) -> None:
    """What a loop writes that keeps torch's own moving average of the weights; it is the copy we want."""
    average = torch.optim.swa_utils.AveragedModel(model)
    raw = {key: tensor + 1.0 for key, tensor in model.state_dict().items()}
    torch.save({"model": raw, "ema": average.state_dict(), "step": int(path.stem.rpartition("_")[2])}, path)


# ---- Lightning ---------------------------------------------------------------------------------------------------


def lightning(folder: Path, *, twin: bool = False) -> States:
    """Three steps of Lightning's Trainer; its module holds the network as `model`, beside hyper-parameters and a buffer.

    twin: as `student`, beside a `teacher` of the same structure.
    """
    import pytorch_lightning
    from torch.utils.data import DataLoader, TensorDataset

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    states: States = {}

    class Module(pytorch_lightning.LightningModule):
        def __init__(self, width: int = 6):
            super().__init__()
            self.save_hyperparameters()
            self.add_module("student" if twin else "model", network(hidden=width))
            if twin:
                self.teacher = network(seed=1)
            self.register_buffer("class_weights", torch.ones(3))

        def training_step(self, batch: Any, index: int) -> Tensor:
            return loss((self.student if twin else self.model)(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=1e-2)

        def on_train_batch_end(self, *_: Any) -> None:
            states[self.trainer.global_step] = copied(self.student if twin else self.model)

    keep = pytorch_lightning.callbacks.ModelCheckpoint(folder, every_n_train_steps=1, save_top_k=-1, save_last=True)
    trainer = pytorch_lightning.Trainer(
        max_steps=3, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[keep],
    )  # fmt: skip
    trainer.fit(Module(), DataLoader(TensorDataset(*map(torch.as_tensor, samples(0))), batch_size=4))
    return states


# ---- transformers ------------------------------------------------------------------------------------------------


def pretrained() -> Any:
    """A small PreTrainedModel around the network, under the name `body`."""
    import transformers

    class Config(transformers.PretrainedConfig):
        model_type = "tiny"

    class Model(transformers.PreTrainedModel):
        config_class = Config

        def __init__(self, config: Any):
            super().__init__(config)
            self.body = network()
            self.post_init()

        def forward(self, x: Tensor, labels: Tensor | None = None) -> Any:
            outputs = self.body(x)
            return outputs if labels is None else {"loss": loss(outputs, labels), "logits": outputs}

    return Model(Config())


def make_pretrained() -> nn.Module:
    return pretrained().eval()


def trainer(folder: Path) -> States:
    """Three steps of transformers' Trainer, which leaves folders checkpoint-N/."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    states: States = {}

    class Keep(transformers.TrainerCallback):
        def on_save(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
            states[state.global_step] = copied(model.body)

    arguments = transformers.TrainingArguments(
        str(folder), max_steps=3, save_steps=1, per_device_train_batch_size=4, report_to=[], disable_tqdm=True, use_cpu=True,
        logging_strategy="no",
    )  # fmt: skip
    rows = [{"x": torch.as_tensor(x), "labels": int(y)} for x, y in zip(*samples(0), strict=True)]
    transformers.Trainer(pretrained(), arguments, train_dataset=rows, callbacks=[Keep()]).train()
    return states


def sharded(kind: str) -> Callable[[nn.Module, Path], None]:
    """A folder checkpoint-N/ with the weights in several files and an index, as large models have them."""

    def save(model: nn.Module, folder: Path) -> None:
        import huggingface_hub

        folder.mkdir()
        huggingface_hub.save_torch_model(
            model, folder, max_shard_size=100, safe_serialization=kind == "safetensors",
            filename_pattern="model{suffix}.safetensors" if kind == "safetensors" else "pytorch_model{suffix}.bin",
        )  # fmt: skip
        (folder / "config.json").write_text("{}")

    return save


@dataclasses.dataclass(frozen=True)
class Format:
    """How a format is written, and what the user says to open it."""

    make: Callable[[Path], States]
    model: str | None = "makers:make_network"
    trust: bool = False
    weights_key: str | None = None


FORMATS: dict[str, Format] = {
    "state dict": Format(by_torch(lambda m, p: torch.save(m.state_dict(), p), "net_{}.pt")),
    "legacy torch file": Format(
        by_torch(lambda m, p: torch.save(m.state_dict(), p, _use_new_zipfile_serialization=False), "net_{}.pth")
    ),
    "data parallel": Format(by_torch(lambda m, p: torch.save({"model": nn.DataParallel(m).state_dict()}, p), "net_{}.pt")),
    "compiled": Format(by_torch(lambda m, p: torch.save(torch.compile(m).state_dict(), p), "net_{}.pt")),
    "bfloat16": Format(by_torch(lambda m, p: torch.save(m.bfloat16().state_dict(), p), "net_{}.pt")),
    "float16": Format(by_torch(lambda m, p: torch.save(m.half().state_dict(), p), "net_{}.pt")),
    "grok-adversarial": Format(by_torch(lambda m, p: torch.save(m.state_dict(), p), "checkpoint-w:6-d:1-s:{}.pt")),
    "grok-adversarial, whole module": Format(
        by_torch(lambda m, p: torch.save(m, p), "checkpoint-w:6-d:1-s:{}.pt"), None, True
    ),
    "exported program": Format(by_torch(exported, "net_{}.pt2"), None, True),
    "safetensors": Format(by_torch(safetensors, "net_{}.safetensors")),
    "lightning": Format(lightning),
    "averaged by torch": Format(by_torch(averaged, "net_{}.pt"), weights_key="ema"),
    "lightning, one of two networks": Format(functools.partial(lightning, twin=True), weights_key="student"),
    "several safetensors": Format(by_torch(sharded("safetensors"), "checkpoint-{}")),
    "several torch files": Format(by_torch(sharded("torch"), "checkpoint-{}")),
    "transformers": Format(trainer),
    "transformers, its own model": Format(trainer, "makers:make_pretrained"),
}
