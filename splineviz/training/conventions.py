r"""Conventions: how public training code names its checkpoints, one record each.

A record reads a path relative to the run's folder, without the suffix of its file: `step`, `epoch` and `plain` are the
groups of its pattern that hold numbers, `role` says what such a file is. Names that no record knows are read by the grammar
of `step_names`; a record is needed only where that would be wrong or in doubt, or where a folder holds the weights under
a name of its own. This file knows no files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

NETWORK, EMA, AVERAGE, BEST, LAST, FIRST, OTHER = "network", "ema", "average", "best", "last", "first", "other"
"""What a file is: the weights of a step, a moving average of them, an average of several steps, the best by some metric, the
last or first by name alone, or no network at all (an optimiser's state, say)."""

ROLES = {
    EMA: "a moving average of the weights",
    AVERAGE: "an average of several steps",
    BEST: "the best by some metric",
    LAST: "the last one, by name alone",
    FIRST: "the first one, by name alone",
    OTHER: "no network",
}


@dataclass(frozen=True)
class Convention:
    """One convention: who writes it, a path as it writes it, the pattern that knows it, and what such a file is."""

    who: str
    example: str
    pattern: str
    role: str = NETWORK
    compiled: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "compiled", re.compile(self.pattern))


CONVENTIONS = (
    Convention("fairseq, dino", "checkpoint12", r"checkpoint(?P<epoch>\d+)"),
    Convention("fairseq within an epoch", "checkpoint_12_3000", r"checkpoint_(?P<epoch>\d+)_(?P<step>\d+)"),
    Convention("fairseq, best", "checkpoint.best_loss_4.31", r"checkpoint\.best_.*", BEST),
    Convention("Keras", "weights.01-0.52", r"(?:weights|model)\.(?P<epoch>\d+)-\d+\.\d+(?:\.weights)?"),
    Convention("Keras, named loss", "model.01-val_loss0.52", r"model\.(?P<epoch>\d+)-[a-z_]+\d+\.\d+"),
    Convention("Keras, two numbers", "weights-improvement-05-0.91", r"weights-improvement-(?P<epoch>\d+)-\d+\.\d+"),
    Convention("improved-diffusion", "model010000", r"model(?P<step>\d{6})"),
    Convention("improved-diffusion, average", "ema_0.9999_010000", r"ema_0\.\d+_(?P<step>\d+)", EMA),
    Convention("improved-diffusion, optimiser", "opt010000", r"opt(?P<step>\d+)", OTHER),
    Convention("OpenLTH", "model_ep2_it100", r"model_ep(?P<epoch>\d+)_it(?P<step>\d+)"),
    Convention("AllenNLP within an epoch", "model_state_e3_b500", r"model_state_e(?P<epoch>\d+)_b(?P<step>\d+)"),
    Convention("AllenNLP, training state", "training_state_epoch_3", r"training_state.*", OTHER),
    Convention("Lightning", "epoch=3-step=1200", r"(?:.*[-_/])?epoch=(?P<epoch>\d+)-step=(?P<step>\d+)(?:-.*)?"),
    Convention("detectron2", "model_0004999", r"model_(?P<step>\d{7})"),
    Convention("Megatron", "iter_0000500/mp_rank_00/model_optim_rng", r"iter_(?P<step>\d+)/.*"),
    Convention("DeepSpeed", "global_step500/mp_rank_00_model_states", r"global_step(?P<step>\d+)/.*"),
    Convention("LitGPT", "step-00001000/lit_model", r"step-(?P<step>\d+)/lit_model"),
    Convention("LitGPT, older", "iter-000100-ckpt", r"iter-(?P<step>\d+)-ckpt"),
    Convention("accelerate", "checkpoint_3/model", r"checkpoint_(?P<plain>\d+)/(?:model|pytorch_model).*"),
    Convention("HF Trainer", "checkpoint-500/pytorch_model", r"checkpoint-(?P<step>\d+)/(?:model|pytorch_model).*"),
    Convention("OLMo", "step1000-unsharded/model", r"step(?P<step>\d+)-unsharded/.*"),
    Convention("wenet, average", "avg_5", r"avg_?\d+", AVERAGE),
    Convention("ESPnet", "12epoch", r"(?P<epoch>\d+)epoch"),
    Convention("ESPnet, average", "valid.acc.ave_10best", r".*\.ave(?:_\d+best)?", AVERAGE),
    Convention("ESPnet, best", "valid.acc.best", r".*\.best", BEST),
    Convention("Ignite, best", "best_model_3_accuracy=0.93", r"best_model_(?P<plain>\d+)_[a-z_]+=-?\d+(?:\.\d+)?", BEST),
    Convention("Ignite, best by score", "best_model_accuracy=0.93", r"best_model_[a-z_]+=-?\d+(?:\.\d+)?", BEST),
    Convention("Ignite", "checkpoint_500", r"checkpoint_(?P<plain>\d+)"),
    Convention("Stable-Baselines3", "rl_model_1000_steps", r"rl_model_(?P<step>\d+)_steps"),
    Convention("StyleGAN", "network-snapshot-000200", r"network-snapshot-(?P<step>\d+)"),
    Convention("mmcv, best", "best_bbox_mAP_epoch_12", r"best_.*_(?:epoch_(?P<epoch>\d+)|iter_(?P<step>\d+))", BEST),
    Convention("DCGAN", "netG_epoch_5", r"net[A-Z]\w*_epoch_(?P<epoch>\d+)"),
    Convention("CycleGAN", "5_net_G", r"(?P<epoch>\d{1,6})_net_\w+"),
    Convention("CycleGAN, last", "latest_net_G", r"latest_net_\w+", LAST),
    Convention("Composer", "ep1-ba200-rank0", r"ep(?P<epoch>\d+)-ba(?P<step>\d+)(?:-rank0)?"),
    Convention("YOLO, before stripping", "epoch_099", r"epoch_(?P<epoch>\d+)"),
)
"""The table. The first pattern that takes the whole of a path counts."""


def known(path: str) -> tuple[Convention, re.Match[str]] | None:
    """The convention that a path, without suffix, follows, and what its pattern found; None where the table has none."""
    for convention in CONVENTIONS:
        match = convention.compiled.fullmatch(path)
        if match:
            return convention, match
    return None
