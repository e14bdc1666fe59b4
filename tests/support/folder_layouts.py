"""Folders of checkpoints as public training code leaves them: what lies in each, and what must come of it.

A row is one folder. `files` maps names to what is in them; a network is known by its seed, so that a test can tell which
file a step came from. `right` lists (step, seed) in order and what a step counts; a row with `refused` must not open, and
the message holds these words, among them names of files: the mapping is shown.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import json
import pathlib
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from small_runs import network
from torch import nn

State = dict[str, torch.Tensor]


def state(seed: int, prefix: str = "") -> State:
    return {f"{prefix}{key}": tensor for key, tensor in network(seed).state_dict().items()}


@dataclass(frozen=True)
class In:
    """The content of one file: the network of a seed inside something larger, or anything else (`content`)."""

    seed: int = -1
    wrap: Callable[[State], Any] | None = None
    content: Any = None
    how: str = "torch"

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        inside = self.content if self.seed < 0 else state(self.seed)
        inside = self.wrap(inside) if self.wrap else inside
        if self.how == "torch":
            torch.save(inside, path)
        elif self.how == "legacy":
            torch.save(inside, path, _use_new_zipfile_serialization=False)
        elif self.how == "safetensors":
            save_file(inside, path)
        elif self.how == "header":
            save_file(inside[0], path, inside[1])
        elif self.how == "pickle":
            path.write_bytes(pickle.dumps(inside))
        elif self.how == "json":
            path.write_text(json.dumps(inside))
        elif self.how == "link":
            path.symlink_to(inside)
        else:
            path.write_bytes(inside if isinstance(inside, bytes) else b"x")


@dataclass(frozen=True)
class Layout:
    """One row, see the module's docstring; `options` go to `open_run`."""

    who: str
    files: Mapping[str, In]
    right: Sequence[tuple[int, int]] = ()
    unit: str = "step"
    refused: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        for name, inside in self.files.items():
            inside.write(folder / name)


def bare(*names: str, start: int = 0, **how: Any) -> dict[str, In]:
    """Files of plain state dicts, of seeds start, start + 1, ..."""
    return {name: In(start + i, **how) for i, name in enumerate(names)}


def of(pattern: str, *steps: int, start: int = 0, **how: Any) -> dict[str, In]:
    """The same, their names made of a pattern and steps."""
    return bare(*(pattern.format(step) for step in steps), start=start, **how)


def under(key: str, **beside: Any) -> Callable[[State], Any]:
    """The weights under a key, with other entries beside them."""
    return lambda weights: {key: weights} | beside


def optimiser() -> dict[str, Any]:
    return {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.ones(6, 4)}}, "param_groups": [{"lr": 0.1}]}


def right(*steps: int, start: int = 0) -> list[tuple[int, int]]:
    return [(step, start + i) for i, step in enumerate(steps)]


def junk(*names: str) -> dict[str, In]:
    return {name: In(content=b"x", how="bytes") for name in names}


OPT = In(content=optimiser())
STEPS = (0, 9, 10, 100)


def simple() -> list[Layout]:
    """Names alone: one number, or a number that belongs to a word."""
    rows = [
        ("net_{}.pt", "step"),
        ("net-{}.pth", "step"),
        ("net.{}.pt", "step"),
        ("{}.pt", "step"),
        ("model{}.pt", "step"),
        ("model_{:06d}.pth", "step"),
        ("step_{}.pt", "step"),
        ("step{}.pt", "step"),
        ("s{}.pt", "step"),
        ("iter_{}.pth", "step"),
        ("it{}.pt", "step"),
        ("checkpoint-w:200-d:4-s:{}.pt", "step"),
        ("ckpt_{}.ckpt", "step"),
        ("{}_steps.pt", "step"),
        ("rl_model_{}_steps.pt", "step"),
        ("global_step_{}.pt", "step"),
        ("epoch_{}.pth", "epoch"),
        ("epoch{}.th", "epoch"),
        ("ep{:03d}.pt", "epoch"),
        ("model_epoch_{}.pt", "epoch"),
        ("{}epoch.pth", "epoch"),
        ("model-e{}.pt", "epoch"),
        ("model_state_epoch_{}.th", "epoch"),
        ("epoch={}.ckpt", "epoch"),
        ("net_iter{}.t7", "step"),
        ("update_{}.pt", "step"),
        ("vgg16_bn_{}.pt", "step"),
        ("resnet18_epoch{}.pth.tar", "epoch"),
        ("mnist5k_{}.pt", "step"),
        ("cifar10-resnet50-step{}.pt", "step"),
        ("lr0.1_bs128_seed3_{}.pt", "step"),
        ("2024-01-15_12-30-00_step{}.pt", "step"),
        ("snapshot_iter_{}.pth", "step"),
        ("model_{}_final_v2.pt", "step"),
        ("checkpoint_{:04d}.pth.tar", "step"),
        ("net_5c106cde_{}.pt", "step"),
        ("G_{}.pth", "step"),
        ("run3_iteration_{}.pt", "step"),
        ("weights_{}.bin", "step"),
        ("model.ckpt-{}", "step"),
        ("ckpt.{}.tar", "step"),
        ("kimg_{}.pt", "step"),
        ("model_{}.model", "step"),
        ("task-a_timestep={}.pt", "step"),
        ("itr_{}.params", "step"),
        ("net@{}.pt", "step"),
        ("Epoch{}.pt", "epoch"),
        ("modelEpoch{}Loss0.5.pt", "epoch"),
        ("epoch_{}_loss_0.25_acc_93.pt", "epoch"),
        ("acc0.5-epoch{}.pt", "epoch"),
    ]
    return [Layout(pattern, of(pattern, *STEPS), right(*STEPS), unit) for pattern, unit in rows]


def notations() -> list[Layout]:
    """Numbers with letters, decimals, metrics, and what is no step at all."""
    return [
        Layout("k", bare("net_1k.pt", "net_2k.pt", "net_10k.pt"), right(1000, 2000, 10000)),
        Layout("k of one file", bare("net_1k.pt", "net_500.pt", start=1), [(500, 2), (1000, 1)]),
        Layout("M", bare("step_0.5M.pt", "step_1M.pt", "step_1.5M.pt"), right(500_000, 1_000_000, 1_500_000)),
        Layout("e", bare("step_1e2.pt", "step_5e2.pt", "step_1e3.pt"), right(100, 500, 1000)),
        Layout("K", bare("ckpt-100K.pt", "ckpt-20K.pt"), [(20_000, 1), (100_000, 0)]),
        Layout("Keras", bare("weights.01-0.52.pt", "weights.02-0.31.pt", "weights.10-0.40.pt"), right(1, 2, 10), "epoch"),
        Layout("Keras, no suffix", bare("weights.01-0.52", "weights.02-0.31"), right(1, 2), "epoch"),
        Layout("Keras, named", bare("model.03-val_loss0.52.pt", "model.12-val_loss0.31.pt"), right(3, 12), "epoch"),
        Layout(
            "Keras, improvement",
            bare("weights-improvement-02-0.9.pt", "weights-improvement-11-0.7.pt"),
            right(2, 11),
            "epoch",
        ),
        Layout("Ignite, best", bare("best_model_3_accuracy=0.93.pt", "best_model_7_accuracy=0.9.pt"), right(3, 7)),
        Layout("Ignite, named", bare("net_checkpoint_500.pt", "net_checkpoint_1000.pt"), right(500, 1000)),
        Layout("metric last", bare("model_1_acc=0.95.pt", "model_2_acc=0.5.pt", "model_3_acc=0.1.pt"), right(1, 2, 3)),
        Layout("metric of whole numbers", bare("ep1_acc93.pt", "ep2_acc10.pt"), right(1, 2), "epoch"),
        Layout("loss with an underscore", bare("net_1_loss0_9.pt", "net_2_loss0_1.pt"), right(1, 2)),
        Layout("psnr", bare("100_psnr31.2.pth", "200_psnr30.9.pth"), right(100, 200)),
        Layout("wandb", bare("epoch=1-val_loss=0.9.ckpt", "epoch=2-val_loss=0.85.ckpt"), right(1, 2), "epoch"),
        Layout("lr with an exponent", bare("lr1e-3_10.pt", "lr1e-3_20.pt"), right(10, 20)),
        Layout("constant numbers", bare("exp_12_net_3.pt", "exp_12_net_4.pt"), right(3, 4)),
        Layout("torch hub", bare("resnet18-5c106cde.pth"), refused=("resnet18-5c106cde.pth", "no step in its name")),
        Layout("sizes alone", bare("resnet18.pth", "resnet34.pth"), refused=("resnet18.pth", "resnet34.pth")),
        Layout("seeds", bare("net_seed1.pt", "net_seed2.pt"), refused=("net_seed1.pt", "no step in its name")),
        Layout("widths", bare("net_width64.pt", "net_width128.pt"), refused=("net_width64.pt",)),
        Layout("learning rates", bare("net_lr=0.1.pt", "net_lr=0.01.pt"), refused=("net_lr=0.1.pt",)),
        Layout("dates", bare("20240115.pt", "20240116.pt"), refused=("20240115.pt", "no step in its name")),
        Layout("two numbers", bare("a_1_5.pt", "a_2_7.pt"), refused=("a_1_5.pt", "numbers 1, 5", "{step}")),
        Layout("two numbers, told", bare("a_1_5.pt", "a_2_3.pt"), right(1, 2), options={"files": "a_{step}_*.pt"}),
        Layout(
            "two numbers, told the other", bare("a_1_5.pt", "a_2_3.pt"), [(3, 1), (5, 0)], options={"files": "a_*_{step}.pt"}
        ),
        Layout("told an epoch", bare("x1y7.pt", "x2y9.pt"), right(7, 9), "epoch", options={"files": "x*y{epoch}.pt"}),
        Layout("two runs", bare("a_1.pt", "b_1.pt"), refused=("a_1.pt and b_1.pt both for step 1",)),
        Layout("two runs, apart", bare("a_1.pt", "b_2.pt"), refused=("a_1.pt", "b_2.pt", "several kinds")),
        Layout("two runs, one chosen", bare("a_1.pt", "b_2.pt", "a_3.pt"), [(1, 0), (3, 2)], options={"files": "a_*.pt"}),
        Layout("padded twice", bare("net_1.pt", "net_01.pt"), refused=("net_01.pt and net_1.pt both for step 1",)),
        Layout(
            "by epochs and by steps", bare("epoch_1.pt", "step_500.pt"), refused=("epoch_1.pt", "step_500.pt", "step 500")
        ),
        Layout("a minus", {**of("s:{}.pt", 0, 4), "s:-1.pt": In(9)}, right(0, 4)),
    ]


def pairs() -> list[Layout]:
    """Epochs and iterations in one name."""
    return [
        Layout(
            "Lightning",
            bare("epoch=0-step=100.ckpt", "epoch=1-step=200.ckpt", "epoch=9-step=1000.ckpt"),
            right(100, 200, 1000),
        ),
        Layout("Lightning, named", bare("net-epoch=09-step=90.ckpt", "net-epoch=10-step=100.ckpt"), right(90, 100)),
        Layout(
            "Lightning, again",
            bare("epoch=0-step=1.ckpt", "epoch=0-step=1-v1.ckpt"),
            refused=("-v1.ckpt", "both for step 1"),
        ),
        Layout("OpenLTH", bare("model_ep0_it0.pth", "model_ep2_it100.pth", "model_ep10_it0.pth"), right(0, 2, 10), "epoch"),
        Layout(
            "iterations anew",
            bare("epoch_1_iter_5.pt", "epoch_1_iter_10.pt", "epoch_2_iter_5.pt", "epoch_10_iter_5.pt"),
            right(0, 1, 2, 3),
            "checkpoint",
        ),
        Layout("last iterations", bare("ep1_it499.pt", "ep2_it499.pt", "ep10_it499.pt"), right(1, 2, 10), "epoch"),
        Layout("step before epoch", bare("step100-epoch1.pt", "step20-epoch0.pt"), [(20, 1), (100, 0)]),
        Layout("AllenNLP", bare("model_state_e0_b500.th", "model_state_e1_b0.th"), right(0, 1), "epoch"),
        Layout(
            "fairseq",
            {**of("checkpoint{}.pt", 1, 2, 10), **junk("checkpoint_best.pt", "checkpoint_last.pt")},
            right(1, 2, 10),
            "epoch",
        ),
        Layout(
            "fairseq, updates",
            bare("checkpoint_1_500.pt", "checkpoint_2_1000.pt", "checkpoint_10_5000.pt"),
            right(500, 1000, 5000),
        ),
        Layout(
            "fairseq, both", bare("checkpoint1.pt", "checkpoint_1_500.pt"), refused=("checkpoint_1_500.pt", "checkpoint1.pt")
        ),
        Layout(
            "epoch and a number", bare("epoch_1_500.pt", "epoch_1_900.pt", "epoch_2_400.pt"), right(0, 1, 2), "checkpoint"
        ),
    ]


def beside() -> list[Layout]:
    """Best, last, averaged and optimisers' files beside the run's own."""
    net = of("net_{}.pt", 5, 10, 20)
    few = right(5, 10, 20)
    return [
        *(
            Layout(f"beside: {name}", {**net, name: In(9)}, few)
            for name in (
                "best.pt",
                "last.pt",
                "net_best.pt",
                "model_best.pth.tar",
                "final.pt",
                "latest.pth",
                "ema.pt",
                "net_ema_20.pt",
                "swa_20.pt",
                "avg_5.pt",
                "teacher.pt",
                "net_best_15.pt",
                "pretrained.pt",
                "checkpoint.best_loss_4.31.pt",
            )
        ),
        *(
            Layout(f"beside: {name}", {**net, name: OPT}, few)
            for name in (
                "optimizer.pt",
                "optimizer_20.pt",
                "optim_5.pth",
                "scheduler.pt",
                "rng_state.pth",
                "scaler.pt",
                "training_args.bin",
                "opt000020.pt",
                "training_state_epoch_3.th",
            )
        ),
        Layout("init is step 0", {**net, "init.pt": In(7)}, [(0, 7), *few]),
        Layout("init is step 0, named", {**net, "net_init.pt": In(7)}, [(0, 7), *few]),
        Layout("init beside step 0", {**of("net_{}.pt", 0, 5), "init.pt": In(7)}, right(0, 5)),
        Layout(
            "improved-diffusion",
            {
                **of("model{:06d}.pt", 0, 10000),
                "ema_0.9999_000000.pt": In(8),
                "ema_0.9999_010000.pt": In(9),
                "opt010000.pt": OPT,
            },
            right(0, 10000),
        ),
        Layout(
            "improved-diffusion, average",
            {**of("model{:06d}.pt", 0, 10000), "ema_0.9999_000000.pt": In(8), "ema_0.9999_010000.pt": In(9)},
            [(0, 8), (10000, 9)],
            options={"files": "ema_*_{step}.pt"},
        ),
        Layout("averages alone", of("ema_{}.pt", 1, 2), right(1, 2)),
        Layout(
            "wenet", {**of("{}.pt", 0, 1, 12), **bare("avg_5.pt", "final.pt", start=8), "init.pt": In(7)}, right(0, 1, 12)
        ),
        Layout(
            "ESPnet",
            {**of("{}epoch.pth", 1, 2, 10), **bare("valid.acc.best.pth", "valid.acc.ave_10best.pth", "latest.pth", start=7)},
            right(1, 2, 10),
            "epoch",
        ),
        Layout("YOLO", {**of("epoch{}.pt", 0, 10, 20), **bare("best.pt", "last.pt", start=7)}, right(0, 10, 20), "epoch"),
        Layout(
            "mmcv",
            {**of("epoch_{}.pth", 1, 2, 12), "latest.pth": In(9), "best_bbox_mAP_epoch_2.pth": In(8)},
            right(1, 2, 12),
            "epoch",
        ),
        Layout(
            "detectron2",
            {**of("model_{:07d}.pth", 4999, 9999), "model_final.pth": In(9), **junk("last_checkpoint")},
            right(4999, 9999),
        ),
        Layout("best alone", bare("best.pt"), refused=("best.pt", "the best by some metric")),
        Layout("best and last alone", bare("best.pt", "last.pt"), refused=("best.pt", "last.pt")),
        Layout(
            "DCGAN",
            {**of("netG_epoch_{}.pth", 0, 1), **of("netD_epoch_{}.pth", 0, 1, start=5)},
            refused=("netD_epoch_0.pth", "netG_epoch_0.pth"),
        ),
        Layout(
            "DCGAN, chosen",
            {**of("netG_epoch_{}.pth", 0, 1), **of("netD_epoch_{}.pth", 0, 1, start=5)},
            right(0, 1),
            "epoch",
            options={"files": "netG_*.pth"},
        ),
        Layout("CycleGAN", {**of("{}_net_G.pth", 5, 10), **of("{}_net_D.pth", 5, 10, start=5)}, refused=("5_net_D.pth",)),
        Layout(
            "encoder and decoder", {**of("enc_{}.pt", 1), **of("dec_{}.pt", 1, start=5)}, refused=("enc_1.pt", "dec_1.pt")
        ),
    ]


def folders() -> list[Layout]:
    """One folder per checkpoint."""

    def each(pattern: str, *steps: int, **how: Any) -> dict[str, In]:
        return of(pattern, *steps, **how)

    trainer = {
        f"checkpoint-{n}/{name}": inside
        for i, n in enumerate((9, 100))
        for name, inside in (
            ("model.safetensors", In(i, how="safetensors")), ("optimizer.pt", OPT), ("training_args.bin", OPT),
            ("trainer_state.json", In(content={"global_step": n, "epoch": 0.5}, how="json")), ("rng_state.pth", OPT),
        )
    }  # fmt: skip
    pieces = {f"step_{n}/{name}": In(content=b"x", how="bytes") for n in (1, 2) for name in (".metadata", "__0_0.distcp")}
    return [
        Layout("step_N/model.pt", each("step_{}/model.pt", 5, 10, 100), right(5, 10, 100)),
        Layout("N/model.pt", each("{}/model.pt", 5, 10, 100), right(5, 10, 100)),
        Layout("epoch_N/weights", each("epoch_{}/net.pth", 5, 10), right(5, 10), "epoch"),
        Layout("HF Trainer", trainer, right(9, 100)),
        Layout("HF Trainer, bin", each("checkpoint-{}/pytorch_model.bin", 9, 100), right(9, 100)),
        Layout("accelerate", each("checkpoint_{}/model.safetensors", 0, 1, 10, how="safetensors"), right(0, 1, 10)),
        Layout(
            "DeepSpeed",
            each("global_step{}/mp_rank_00_model_states.pt", 5, 10, wrap=under("module", optimizer=None, ds_version="0.9")),
            right(5, 10),
        ),
        Layout(
            "DeepSpeed, ZeRO 3",
            {f"global_step{n}/zero_pp_rank_0_mp_rank_00_model_states.pt": In(0) for n in (1, 2)},
            refused=("global_step1", "zero_to_fp32.py"),
        ),
        Layout(
            "Megatron",
            each(
                "iter_{:07d}/mp_rank_00/model_optim_rng.pt",
                500,
                1000,
                wrap=under("model", args=argparse.Namespace(a=1), optimizer=optimiser()),
            ),
            right(500, 1000),
        ),
        Layout(
            "Megatron, parallel",
            {f"iter_0000500/mp_rank_0{r}/model_optim_rng.pt": In(r) for r in (0, 1)},
            refused=("iter_0000500", "--target-tensor-parallel-size 1"),
        ),
        Layout("LitGPT", each("step-{:08d}/lit_model.pth", 1000, 2000, wrap=under("model")), right(1000, 2000)),
        Layout("OLMo", each("step{}-unsharded/model.pt", 1000, 2000), right(1000, 2000)),
        Layout("DCP", pieces, refused=("step_1", "dcp_to_torch")),
        Layout(
            "FSDP",
            {"checkpoint-5/pytorch_model_fsdp_0/__0_0.distcp": In(content=b"x", how="bytes")},
            refused=("checkpoint-5", "accelerate merge-weights"),
        ),
        Layout("two files in a folder", {"step_1/a.pt": In(0), "step_1/b.pt": In(1)}, refused=("step_1", "a.pt, b.pt")),
        Layout("deeper down", {"deep/checkpoints/epoch=0-step=3.ckpt": In(0)}, refused=("look in", "checkpoints")),
        Layout(
            "deeper, told",
            of("run/checkpoints/epoch={0}-step={0}.ckpt", 3, 20),
            right(3, 20),
            options={"files": "run/*/*.ckpt"},
        ),
        Layout("the folder of one model", {"model.safetensors": In(3, how="safetensors"), **junk("config.json")}, [(0, 3)]),
        Layout(
            "optimisers alone", {"checkpoint-30/optimizer.pt": OPT}, refused=("checkpoint-30", "none of model.safetensors")
        ),
    ]


def stored() -> list[Layout]:
    """A step that stands in the file."""

    def at(**entries: Any) -> Callable[[State], Any]:
        return under("model", **entries)

    return [
        Layout(
            "nanoGPT",
            {
                "ckpt.pt": In(
                    0,
                    at(
                        optimizer=optimiser(),
                        iter_num=2000,
                        best_val_loss=torch.tensor(2.1),
                        model_args={},
                        config={"max_iters": 9},
                    ),
                )
            },
            [(2000, 0)],
        ),
        Layout("pytorch-cifar", {"ckpt.pth": In(0, under("net", acc=93.1, epoch=7))}, [(7, 0)], "epoch"),
        Layout(
            "torchvision",
            {f"model_{n}.pth": In(n, at(epoch=n, args=argparse.Namespace(lr=1), optimizer=optimiser())) for n in (0, 1, 10)},
            [(0, 0), (1, 1), (10, 10)],
            "epoch",
        ),
        Layout(
            "MoCo",
            {f"checkpoint_{n:04d}.pth.tar": In(n, under("state_dict", epoch=n + 1, arch="resnet50")) for n in (0, 1, 2)},
            [(1, 0), (2, 1), (3, 2)],
            "epoch",
        ),
        Layout(
            "MAE",
            {
                f"checkpoint-{n}.pth": In(n, at(epoch=n, scaler={}, args=argparse.Namespace(a=pathlib.Path("/x"))))
                for n in (0, 20, 40)
            },
            [(0, 0), (20, 20), (40, 40)],
            "epoch",
        ),
        Layout(
            "Lightning by epochs",
            {
                f"epoch={n}.ckpt": In(
                    n,
                    under(
                        "state_dict",
                        epoch=n,
                        global_step=100 * n + 100,
                        optimizer_states=[optimiser()],
                        hyper_parameters={"w": torch.ones(3)},
                        loops={},
                        callbacks={},
                    ),
                )
                for n in (0, 1, 2)
            },
            [(100, 0), (200, 1), (300, 2)],
        ),
        Layout("names without order", {"a.pt": In(0, at(step=30)), "b.pt": In(1, at(step=10))}, [(10, 1), (30, 0)]),
        Layout(
            "numpy's numbers",
            {f"n_{i}.pt": In(i, at(step=np.int64(10 * i), loss=np.float32(0.5))) for i in (1, 2)},
            [(10, 1), (20, 2)],
        ),
        Layout(
            "a tensor for a step", {f"n_{i}.pt": In(i, at(step=torch.tensor(10 * i))) for i in (1, 2)}, [(10, 1), (20, 2)]
        ),
        Layout(
            "mmcv's meta",
            {f"epoch_{i}.pth": In(i, under("state_dict", meta={"epoch": i, "iter": 100 * i})) for i in (1, 2)},
            [(100, 1), (200, 2)],
        ),
        Layout(
            "fairseq's history",
            {
                f"checkpoint{i}.pt": In(
                    i,
                    at(
                        optimizer_history=[{"num_updates": 50 * i}],
                        extra_state={"train_iterator": {"epoch": i}},
                        args=argparse.Namespace(),
                    ),
                )
                for i in (1, 2)
            },
            [(50, 1), (100, 2)],
        ),
        Layout(
            "iterations by name, epochs inside",
            {f"iter_{100 * i}.pt": In(i, at(epoch=i // 3)) for i in (1, 2, 4)},
            [(100, 1), (200, 2), (400, 4)],
        ),
        Layout(
            "names contradict files",
            {"n_1.pt": In(0, at(step=20)), "n_2.pt": In(1, at(step=10))},
            refused=("contradict", "n_1.pt", "step 20", "{step}"),
        ),
        Layout(
            "names contradict files, told",
            {"n_1.pt": In(0, at(step=20)), "n_2.pt": In(1, at(step=10))},
            right(1, 2),
            options={"files": "n_{step}.pt"},
        ),
        Layout("one step everywhere", {f"n_{i}.pt": In(i, at(step=5)) for i in (1, 2)}, refused=("step 5 twice", "n_1.pt")),
        Layout("a total is no step", {f"n_{i}.pt": In(i, at(total_steps=500, epochs=90)) for i in (1, 2)}, [(1, 1), (2, 2)]),
        Layout("some say it", {"n_1.pt": In(0, at(step=100)), "n_2.pt": In(1)}, refused=("n_1.pt", "step 100", "1 of 2")),
        Layout("some say it, as their names", {"n_1.pt": In(0, at(step=1)), "n_2.pt": In(1)}, right(1, 2)),
        Layout(
            "last and best that say it",
            {
                "last.ckpt": In(0, under("state_dict", global_step=90)),
                "best.ckpt": In(1, under("state_dict", global_step=50)),
            },
            [(90, 0)],
        ),
        Layout("safetensors", of("n_{}.safetensors", 1, 2, how="safetensors"), right(1, 2)),
        Layout(
            "a header of safetensors",
            {f"n_{i}.safetensors": In(i, lambda w, i=i: (w, {"step": str(50 * i)}), how="header") for i in (1, 2)},
            [(50, 1), (100, 2)],
        ),
    ]


def keys() -> list[Layout]:
    """Where in a file the weights lie."""

    def one(wrap: Callable[[State], Any], how: str = "torch") -> dict[str, In]:
        return of("net_{}.pt", 1, 2, wrap=wrap, how=how)

    ema = lambda w: {"model": w, "model_ema": state(50)}  # noqa: E731
    names = ("net", "params", "model_ema", "state_dict", "model_state_dict", "weights", "network", "generator", "policy",
             "model",             "ema", "module", "online", "net_state_dict", "actor")  # fmt: skip
    return [
        *(
            Layout(
                f"under {name}",
                one(under(name, optimizer=optimiser(), lr=0.1, rng=torch.zeros(9, dtype=torch.uint8))),
                right(1, 2),
            )
            for name in names
        ),
        Layout("two sets", one(ema), refused=("model (4 tensors)", "model_ema", "--weights-key model")),
        Layout("two sets, one chosen", one(ema), right(1, 2), options={"weights_key": "model"}),
        Layout(
            "two sets, the other",
            {"net_1.pt": In(0, lambda w: {"model": state(50), "model_ema": w})},
            right(1),
            options={"weights_key": "model_ema"},
        ),
        Layout(
            "DINO",
            one(lambda w: {"student": w, "teacher": state(9)}),
            refused=("student", "teacher", "--weights-key student"),
        ),
        Layout(
            "DINO, chosen",
            one(lambda w: {"student": w, "teacher": state(9)}),
            right(1, 2),
            options={"weights_key": "student"},
        ),
        Layout("an average in a dict", one(lambda w: {"ema": {"decay": 0.9, "shadow": w}}), right(1, 2)),
        Layout("deep", one(lambda w: {"a": {"b": {"model": w}}, "note": "x"}), right(1, 2)),
        Layout("a pair", one(lambda w: (w, optimiser())), right(1, 2)),
        Layout("a list", one(lambda w: [w, {"lr": 0.1}]), right(1, 2)),
        Layout("DataParallel", one(lambda w: {f"module.{k}": t for k, t in w.items()}), right(1, 2)),
        Layout("compiled, in DDP", one(lambda w: {"net": {f"module._orig_mod.{k}": t for k, t in w.items()}}), right(1, 2)),
        Layout("Lightning's prefix", one(lambda w: {"state_dict": {f"model.{k}": t for k, t in w.items()}}), right(1, 2)),
        Layout(
            "Lightning, a loss with a buffer",
            one(
                lambda w: {
                    "state_dict": {f"net.{k}": t for k, t in w.items()}
                    | {"loss.pos_weight": torch.ones(3), "train_acc.correct": torch.zeros(())}
                }
            ),
            right(1, 2),
        ),
        Layout(
            "Lightning, a normalisation",
            one(lambda w: {"state_dict": {f"net.{k}": t for k, t in w.items()} | {"norm.mean": torch.ones(4)}}),
            refused=("net_1.pt", "norm.mean (4,)", "--weights-key net"),
        ),
        Layout(
            "Lightning, said",
            one(lambda w: {"state_dict": {f"net.{k}": t for k, t in w.items()} | {"norm.mean": torch.ones(4)}}),
            right(1, 2),
            options={"weights_key": "net"},
        ),
        Layout(
            "MoCo's two encoders",
            one(
                lambda w: {
                    "state_dict": {f"module.encoder_q.{k}": t for k, t in w.items()}
                    | {f"module.encoder_k.{k}": t for k, t in state(9).items()}
                }
            ),
            refused=("encoder_q", "encoder_k"),
        ),
        Layout(
            "MoCo, said",
            one(
                lambda w: {
                    "state_dict": {f"module.encoder_q.{k}": t for k, t in w.items()}
                    | {f"module.encoder_k.{k}": t for k, t in state(9).items()}
                    | {"module.queue": torch.ones(2, 3)}
                }
            ),
            right(1, 2),
            options={"weights_key": "encoder_q"},
        ),
        Layout(
            "a head outside",
            one(lambda w: {f"backbone.{k}": t for k, t in w.items()} | {"head.weight": torch.ones(2, 3)}),
            refused=("head.weight", "--weights-key backbone"),
        ),
        Layout(
            "Namespace, Path, dates",
            one(
                under(
                    "net",
                    args=argparse.Namespace(a=pathlib.Path("/tmp")),
                    when=datetime.datetime.now(),
                    h=collections.defaultdict(list, {"loss": [np.float64(0.5)]}),
                    n=collections.Counter("aa"),
                )
            ),
            right(1, 2),
        ),
        Layout(
            "the same, as before 2020",
            one(under("net", args=argparse.Namespace(a=1), n=np.float32(1)), "legacy"),
            right(1, 2),
        ),
        Layout("legacy", of("net_{}.pth", 1, 2, how="legacy"), right(1, 2)),
        Layout("a whole module", {"net_1.pt": In(content=network(0))}, refused=("net_1.pt", "needs code", "--trust")),
        Layout("a whole module, trusted", {"net_1.pt": In(content=network(0))}, right(1), options={"trust": True}),
        Layout(
            "a module in a dict, trusted",
            {"net_1.pt": In(content={"epoch": 1, "model": network(0), "ema": None})},
            right(1),
            options={"trust": True},
        ),
        Layout("a pickle", of("net_{}.pkl", 1, 2, how="pickle"), refused=("net_1.pkl", "--trust")),
        Layout("a pickle, trusted", of("net_{}.pkl", 1, 2, how="pickle"), right(1, 2), options={"trust": True}),
        Layout(
            "parts in a dict of their own",
            one(
                lambda w: {
                    "model": {
                        "1": {k[2:]: t for k, t in w.items() if k[0] == "1"},
                        "3": {k[2:]: t for k, t in w.items() if k[0] == "3"},
                    }
                }
            ),
            right(1, 2),
        ),
        Layout("a link to the last", {**of("net_{}.pt", 1, 2), "last.pt": In(content="net_2.pt", how="link")}, right(1, 2)),
        Layout(
            "a link that leads out",
            {**of("net_{}.pt", 1, 2), "net_3.pt": In(content="/etc/hostname", how="link")},
            right(1, 2),
        ),
        Layout(
            "an empty file",
            {"net_1.pt": In(0), "net_2.pt": In(content=b"", how="bytes")},
            refused=("net_2.pt", "empty file"),
        ),
        Layout(
            "text for weights",
            {"net_1.pt": In(content=b"hello", how="bytes")},
            refused=("net_1.pt", "torn or of another kind"),
        ),
        Layout("no weights", {"net_1.pt": In(content={"epoch": 3})}, refused=("net_1.pt", "epoch")),
        Layout(
            "another network", {"net_1.pt": In(content=nn.Linear(3, 3).state_dict())}, refused=("net_1.pt", "does not fit")
        ),
    ]


LAYOUTS = [*simple(), *notations(), *pairs(), *beside(), *folders(), *stored(), *keys()]
