"""More folders, as strangers name their files: dates, zero padding, fractions of epochs, minus signs, other scripts, links.

Rows as in `folder_layouts`.
"""

from __future__ import annotations

from typing import Any

import torch
from folder_layouts import OPT, In, Layout, bare, junk, of, optimiser, right, under

L = Layout


def series(*rows: tuple[Any, ...]) -> list[Layout]:
    """Names in the order of their steps: (who, steps, unit, *names)."""
    return [L(who, bare(*names), right(*steps), unit) for who, steps, unit, *names in rows]


def refused(*rows: tuple[Any, ...]) -> list[Layout]:
    """Names that leave a doubt: (who, words of the message, *names)."""
    return [L(who, bare(*names), refused=words) for who, words, *names in rows]


def link(target: str) -> In:
    return In(content=target, how="link")


def dated() -> list[Layout]:
    """Dates, times and version numbers, which are no steps."""
    return series(
        ("date before", (1, 2), "step", "20240115_net_1.pt", "20240116_net_2.pt"),
        ("date behind", (100, 200), "step", "step100_2024-01-15.pt", "step200_2024-01-16.pt"),
        ("date and time behind", (3, 12), "epoch", "epoch3_20240115-083000.pth", "epoch12_20240115-093000.pth"),
        ("time in ISO", (5, 6), "step", "net_5_2024-01-15T08:30:00.pt", "net_6_2024-01-15T09:30:00.pt"),
        ("date with dots", (1, 2), "step", "2024.01.15-it1.pt", "2024.01.15-it2.pt"),
        ("German date", (1, 2), "epoch", "15.01.2024_epoch1.pt", "16.01.2024_epoch2.pt"),
        ("month by name", (7, 8), "step", "Jan15_net_7.pt", "Jan15_net_8.pt"),
        ("tensorboard's folder", (10, 20), "step", "Nov30_12-25-00_host_step10.pt", "Nov30_12-25-00_host_step20.pt"),
        ("unix time", (1, 2), "step", "1705300000_step_1.pt", "1705300999_step_2.pt"),
        ("version behind", (1, 2), "epoch", "net-v2-epoch1.pt", "net-v2-epoch2.pt"),
        ("version of three parts", (1, 2), "step", "net-1.2.0-step1.pt", "net-1.2.0-step2.pt"),
        ("digest behind", (100, 200), "step", "net_100_a1b2c3d.pt", "net_200_0f9e8d7c.pt"),
        ("run's name of wandb", (1, 2), "step", "glad-sun-42_step1.pt", "glad-sun-42_step2.pt"),
        ("seed before", (10, 20), "step", "seed42_10.pt", "seed42_20.pt"),
        ("fold before", (1, 2), "epoch", "fold3_epoch1.pt", "fold3_epoch2.pt"),
        ("learning rate before", (1, 2), "epoch", "lr3e-4_ep1.pt", "lr3e-4_ep2.pt"),
        ("width and depth before", (1000, 2000), "step", "w512_d8_step1000.pt", "w512_d8_step2000.pt"),
        ("batch behind", (1, 2), "epoch", "epoch1_bs64.pt", "epoch2_bs64.pt"),
    ) + refused(
        ("dates alone, with dashes", ("2024-01-15.pt",), "2024-01-15.pt", "2024-01-16.pt"),
        ("dates and times alone", ("no step in its name",), "net_20240115-083000.pt", "net_20240115-093000.pt"),
        ("digests alone", ("no step in its name",), "net-a1b2c3d4.pt", "net-0f9e8d7c.pt"),
        ("versions alone", ("net_v1.pt",), "net_v1.pt", "net_v2.pt"),
    )


def numbers() -> list[Layout]:
    """How a number is written."""
    return series(
        ("padding that grows", (9, 10, 100), "step", "net_009.pt", "net_010.pt", "net_100.pt"),
        ("padding that ends", (9, 10, 10000), "step", "s_0009.pt", "s_0010.pt", "s_10000.pt"),
        ("eight digits", (8, 12345678), "step", "step_00000008.pt", "step_12345678.pt"),
        ("commas", (1000, 20000), "step", "step_1,000.pt", "step_20,000.pt"),
        ("underscores within", (500, 1000, 20000), "step", "step_500.pt", "step_1_000.pt", "step_20_000.pt"),
        ("k with a fraction", (1500, 2000), "step", "step_1.5k.pt", "step_2k.pt"),
        ("K behind a bar", (50_000, 100_000), "step", "net-50K.pt", "net-100K.pt"),
        ("millions", (1_000_000, 2_500_000), "step", "step_1M.pt", "step_2.5M.pt"),
        ("exponents", (1000, 10000), "step", "step=1e3.pt", "step=1e4.pt"),
        ("exponents with a plus", (1000, 10000), "step", "step_1e+03.pt", "step_1e+04.pt"),
        ("exponents of Python's format", (1000, 12000), "step", "step_1.00e+03.pt", "step_1.20e+04.pt"),
        ("of how many", (1, 2), "epoch", "epoch1of90.pt", "epoch2of90.pt"),
        ("of how many, apart", (1, 2), "epoch", "epoch_1_of_90.pt", "epoch_2_of_90.pt"),
        ("number sign", (1, 2), "step", "net#1.pt", "net#2.pt"),
        ("brackets", (1, 2), "step", "net(1).pt", "net(2).pt"),
        ("square brackets", (1, 2), "epoch", "[epoch 1].pt", "[epoch 2].pt"),
        ("spaces", (1, 2), "step", "my net 1.pt", "my net 2.pt"),
        ("pluses", (1, 2), "step", "net+step+1.pt", "net+step+2.pt"),
        ("tildes", (1, 2), "step", "net~1.pt", "net~2.pt"),
        ("two bars", (1, 2), "step", "net__1.pt", "net__2.pt"),
        ("double dashes", (1, 2), "step", "net--step--1.pt", "net--step--2.pt"),
        ("colons", (1, 2), "step", "net:step:1.pt", "net:step:2.pt"),
        ("camel", (1, 2), "step", "netStep1.pt", "netStep2.pt"),
        ("capitals", (1, 2), "step", "NET_STEP_1.PT", "NET_STEP_2.PT"),
        ("capital suffix", (1, 2), "epoch", "epoch1.PTH", "epoch2.PTH"),
        ("n=", (1, 2), "step", "n_iter=1.pt", "n_iter=2.pt"),
        ("e and b", (1, 2), "epoch", "e1_b0.pt", "e2_b0.pt"),
        ("a minus for a bar", (1, 2), "step", "net-1.pt", "net-2.pt"),
        ("beyond 32 bits", (1, 5_000_000_000), "step", "step_1.pt", "step_5000000000.pt"),
    ) + [
        L("minus one before the training", bare("step=-1.pt", "step=0.pt", "step=5.pt"), right(0, 5, start=1)),
        L("minus one, alone in its kind", bare("epoch=-1.pt", "epoch=3.pt"), right(3, start=1), "epoch"),
        *refused(
            ("fractions of epochs", ("epoch_0.5.pt",), "epoch_0.5.pt", "epoch_1.0.pt", "epoch_1.5.pt"),
            ("floats that are whole", ("epoch_1.0.pt",), "epoch_1.0.pt", "epoch_2.0.pt"),
            ("th", ("1th_epoch.pt",), "1th_epoch.pt", "2th_epoch.pt"),
            ("ordinals", ("1st_epoch.pt",), "1st_epoch.pt", "2nd_epoch.pt"),
            ("fractions alone", ("net_0.1.pt",), "net_0.1.pt", "net_0.2.pt"),
            ("percents", ("net_10.pt", "net_50pct.pt"), "net_10.pt", "net_50pct.pt", "x_20.pt"),
            ("hexadecimal", ("net_0x10.pt",), "net_0x10.pt", "net_0x20.pt"),
        ),
    ]


def metrics() -> list[Layout]:
    """Numbers of metrics, which are no steps."""
    return series(
        ("Keras 3", (1, 2), "epoch", "model.01-0.42.weights.pt", "model.02-0.37.weights.pt"),
        ("loss before", (2, 3), "epoch", "loss0.31_epoch2.pt", "loss0.52_epoch3.pt"),
        ("accuracy in percent", (1, 2), "epoch", "epoch1_acc=93.15%.pt", "epoch2_acc=91.02%.pt"),
        ("top-1", (1, 2), "epoch", "epoch_1_top1_71.5.pt", "epoch_2_top1_70.2.pt"),
        ("negative metric", (10, 20), "step", "step10_reward-153.2.pt", "step20_reward-20.9.pt"),
        ("negative metric, bound", (10, 20), "step", "step=10-reward=-153.pt", "step=20-reward=20.pt"),
        ("metric without a name", (1, 2), "epoch", "epoch1-0.9312.pt", "epoch2-0.8871.pt"),
        ("metric with an exponent", (1, 2), "epoch", "epoch=1-val_loss=1.2e-03.pt", "epoch=2-val_loss=9.1e-04.pt"),
        ("three metrics", (1, 2), "epoch", "ep1_loss0.1_acc90_f188.pt", "ep2_loss0.2_acc80_f177.pt"),
        ("Lightning, metric first", (1, 2), "epoch", "val_acc=0.91-epoch=1.ckpt", "val_acc=0.85-epoch=2.ckpt"),
        ("Lightning, slash in the metric", (1, 2), "epoch", "epoch=1-val/loss=0.5.ckpt", "epoch=2-val/loss=0.4.ckpt"),
        ("FID", (1000, 2000), "step", "step1000-fid12.pt", "step2000-fid9.pt"),
        ("perplexity", (1, 2), "epoch", "epoch1.ppl=35.pt", "epoch2.ppl=29.pt"),
    ) + refused(("nan", ("epoch1-lossnan.pt",), "epoch1-lossnan.pt", "epoch2-loss0.5.pt"))


def who() -> list[Layout]:
    """More conventions of libraries."""
    timm = of("checkpoint-{}.pth.tar", 0, 1, 10, wrap=under("state_dict", arch="x"))
    return series(
        ("Lightning, top k", (10, 20), "step", "epoch=0-step=10.ckpt", "epoch=1-step=20.ckpt"),
        ("Lightning, padded", (10, 20), "step", "epoch=00-step=00010.ckpt", "epoch=01-step=00020.ckpt"),
        ("Lightning, own name", (2, 10), "epoch", "mnist-epoch=02-val_loss=0.32.ckpt", "mnist-epoch=10-val_loss=0.22.ckpt"),
        ("Composer", (1, 2), "epoch", "ep1-rank0.pt", "ep2-rank0.pt"),
        ("Composer, batches", (10, 20), "step", "ep0-ba10-rank0.pt", "ep1-ba20-rank0.pt"),
        ("Catalyst", (1, 2), "epoch", "model.epoch.1.pth", "model.epoch.2.pth"),
        ("stable diffusion", (1000, 2000), "step", "sd-step-1000.ckpt", "sd-step-2000.ckpt"),
        ("tortoise", (100, 200), "step", "100_gpt.pth", "200_gpt.pth"),
        ("ESRGAN", (5000, 10000), "step", "net_g_5000.pth", "net_g_10000.pth"),
        ("RL zoo", (1000, 2000), "step", "dqn_1000_steps.pt", "dqn_2000_steps.pt"),
        ("RLlib", (1, 2), "step", "checkpoint_000001.pt", "checkpoint_000002.pt"),
        ("CleanRL", (100, 200), "step", "agent_100.pt", "agent_200.pt"),
        ("whisper", (1, 2), "epoch", "whisper-epoch-1.pt", "whisper-epoch-2.pt"),
        ("PaddleSeg", (100, 200), "step", "iter_100.pdparams.pt", "iter_200.pdparams.pt"),
        ("tick", (0, 200), "step", "network-snapshot-000000.pt", "network-snapshot-000200.pt"),
        ("mup", (1, 2), "step", "width64_step1.pt", "width64_step2.pt"),
        ("torchtune", (0, 1), "epoch", "epoch_0/m.pt", "epoch_1/m.pt"),
        ("nanoGPT of several", (500, 1000), "step", "ckpt_500.pt", "ckpt_1000.pt"),
        ("pythia", (1, 512, 143000), "step", "step1/m.pt", "step512/m.pt", "step143000/m.pt"),
        ("by decades", (1, 10, 100), "step", "1.pt", "10.pt", "100.pt"),
    ) + [
        L("timm", {**timm, "model_best.pth.tar": In(9), "last.pth.tar": In(9)}, right(0, 1, 10)),
        L(
            "Lightning, last twice",
            {**of("epoch={0}-step={0}.ckpt", 5, 9), "last.ckpt": In(1), "last-v1.ckpt": In(1)},
            right(5, 9),
        ),
        L(
            "HF, best linked",
            {**of("checkpoint-{}/model.safetensors", 5, 9, how="safetensors"), "best": link("checkpoint-9")},
            right(5, 9),
        ),
        L("HF, trainer's own end", {**of("checkpoint-{}/pytorch_model.bin", 5, 9), "pytorch_model.bin": In(8)}, right(5, 9)),
        L("HF, names of runs", of("run-a/checkpoint-{}/pytorch_model.bin", 5), refused=("look in",)),
    ]


def copies() -> list[Layout]:
    """Duplicates, links, optimisers, shards, hidden and half-written files."""
    net = of("net_{}.pt", 5, 10, 20)
    few = right(5, 10, 20)
    return [
        *(
            L(f"copy: {name}", {**net, name: In(9)}, few)
            for name in (
                "best_model.pt",
                "net_latest.pt",
                "last-v1.pt",
                "net_final.pt",
                "BEST.pt",
                "model_best_acc.pt",
                "best-acc=0.93.pt",
                "ema_net_20.pt",
                "net_20_ema.pt",
                "swa_model.pt",
                "net_averaged.pt",
                "net.pt",
                "backup.pt",
                "init_weights.pt.bak",
                "net_20.pt.old",
                "checkpoint_best.pt",
                "net_20.pt.bak",
                "net_20.pt~",
                ".net_30.pt",
                "net_30.pt.tmp",
                "net_30.pt.part",
                "net_30.pt.lock",
                "net_30.pt.md5",
                "net_30.json",
                "net_30.txt",
                "net_30.yaml",
                "net_30.png",
                "net_30.onnx.txt",
            )
        ),
        *(
            L(f"aside: {name}", {**net, name: OPT}, few)
            for name in (
                "net_20_optimizer.pt",
                "net_20.optim.pt",
                "opt_20.pt",
                "optim_state_20.pt",
                "sched_20.pt",
                "rng_20.pt",
            )
        ),
        L("an optimiser beside each", {**net, **{f"net_{n}_optim.pt": OPT for n in (5, 10, 20)}}, few),
        L("a discriminator beside each", {**net, **of("disc_{}.pt", 5, 10, 20, start=7)}, refused=("disc_5.pt", "net_5.pt")),
        L("an average beside each", {**net, **of("net_{}_ema.pt", 5, 10, 20, start=7)}, few),
        L(
            "an average beside each, asked for",
            {**net, **of("net_{}_ema.pt", 5, 10, 20, start=7)},
            right(5, 10, 20, start=7),
            options={"files": "net_{step}_ema.pt"},
        ),
        *(
            L(f"unknown beside: {name}", {**net, name: OPT}, refused=(name, "both for step 20"))
            for name in ("amp_20.pt", "trainer_20.pt", "adam_20.pt")
        ),
        L("latest is a link", {**net, "latest.pt": link("net_20.pt")}, few),
        L("a link with a number", {**net, "net_30.pt": link("net_20.pt")}, few),
        L(
            "steps are links into a folder",
            {**of("store/{}.bin", 1, 2), "step_1.pt": link("store/1.bin"), "step_2.pt": link("store/2.bin")},
            right(1, 2),
        ),
        L("an empty file with a step", {**net, "net_30.pt": In(content=b"", how="bytes")}, refused=("net_30.pt", "empty")),
        L("a torn file", {**net, "net_30.pt": In(content=b"PK\x03\x04torn", how="bytes")}, refused=("net_30.pt",)),
        L(
            "one step in two formats",
            {"net_1.pt": In(0), "net_1.safetensors": In(1, how="safetensors")},
            refused=("net_1.pt", "net_1.safetensors", "both for step 1"),
        ),
        L(
            "formats mixed",
            {"net_1.pt": In(0), "net_2.safetensors": In(1, how="safetensors"), "net_3.pth": In(2, how="legacy")},
            right(1, 2, 3),
        ),
        L("a suffix of two parts", bare("net_1.ckpt.pt", "net_2.ckpt.pt"), right(1, 2)),
        L("tar and plain", {"ck_1.pth.tar": In(0), "ck_2.pth": In(1)}, right(1, 2)),
        L("no suffix", bare("step_1", "step_2"), right(1, 2)),
        L("a folder of logs beside", {**net, **junk("logs_30/events", "tb/1.log", "wandb/run-20240115/file")}, few),
        L("validation folders beside", {**net, **junk("val_5/a.png", "samples_10/b.png")}, few),
        L(
            "shards",
            {f"step_{n}/model-0000{k}-of-00002.safetensors": In(content=b"x", how="bytes") for n in (1, 2) for k in (1, 2)},
            refused=("step_1",),
        ),
        L("ranks", {f"step_1/rank_{r}.pt": In(r) for r in (0, 1)}, refused=("step_1", "rank_0.pt")),
        L("ranks in names", {f"net_1_rank{r}.pt": In(r) for r in (0, 1)}, refused=("net_1_rank0.pt", "net_1_rank1.pt")),
        L("parts in names", bare("net_1_part1.pt", "net_1_part2.pt"), refused=("net_1_part1.pt",)),
        L("two seeds", bare("seed1_step5.pt", "seed2_step5.pt"), refused=("seed1_step5.pt",)),
        L("two seeds, apart", bare("seed1_step5.pt", "seed2_step6.pt"), refused=("seed1_step5.pt", "seed2_step6.pt")),
        L("two widths, apart", bare("w64_step5.pt", "w128_step6.pt"), refused=("w64_step5.pt", "w128_step6.pt")),
        L("two rates, apart", bare("lr0.1_step5.pt", "lr0.01_step6.pt"), refused=("lr0.1_step5.pt", "lr0.01_step6.pt")),
        L("two folds, apart", bare("fold1/epoch_5.pt", "fold2/epoch_6.pt"), refused=("fold1",)),
        L("two versions, apart", bare("net-v1-epoch5.pt", "net-v2-epoch6.pt"), refused=("net-v1-epoch5.pt",)),
    ]


def scripts() -> list[Layout]:
    """Names beyond ASCII."""
    return series(
        ("Chinese", (1, 2), "step", "\u6a21\u578b_1.pt", "\u6a21\u578b_2.pt"),
        ("Chinese, epochs", (1, 2), "step", "\u7b2c1\u8f6e.pt", "\u7b2c2\u8f6e.pt"),
        (
            "Cyrillic",
            (5, 10),
            "step",
            "\u043c\u043e\u0434\u0435\u043b\u044c_5.pt",
            "\u043c\u043e\u0434\u0435\u043b\u044c_10.pt",
        ),
        ("German", (5, 10), "step", "Gr\u00f6\u00dfe_5.pt", "Gr\u00f6\u00dfe_10.pt"),
        ("French", (1, 2), "step", "\u00e9tape_1.pt", "\u00e9tape_2.pt"),
        ("Greek settings", (1, 2), "epoch", "\u03b1=0.5_epoch1.pt", "\u03b1=0.5_epoch2.pt"),
        ("an emoji", (1, 2), "step", "\U0001f525net_1.pt", "\U0001f525net_2.pt"),
        ("en dashes", (1, 2), "step", "net\u20131.pt", "net\u20132.pt"),
    ) + refused(
        ("digits of another script", ("\u0661",), "net_\u0661.pt", "net_\u0662.pt"),
        ("full-width digits", ("\uff11",), "net_\uff11.pt", "net_\uff12.pt"),
    )


def told() -> list[Layout]:
    """Steps that stand in the file beside names that say little or something else."""

    def at(i: int, **entries: Any) -> In:
        return In(i, under("model", optimizer=optimiser(), **entries))

    return [
        L(
            "epochs that begin anew",
            {f"stage{s}_epoch{e}.pt": In(3 * s + e) for s in (1, 2) for e in (1, 2)},
            refused=("stage1_epoch1.pt", "stage2_epoch1.pt"),
        ),
        L(
            "uuids that say their step",
            {"a1b2c3d4.pt": at(0, global_step=50), "0f9e8d7c.pt": at(1, global_step=20)},
            [(20, 1), (50, 0)],
        ),
        L("dates that say their step", {"2024-01-15.pt": at(0, step=1), "2024-01-16.pt": at(1, step=2)}, right(1, 2)),
        L("a fraction of an epoch inside", {"net_1.pt": at(0, epoch=0.5), "net_2.pt": at(1, epoch=1.5)}, right(1, 2)),
        L(
            "epochs from 1 by name, from 0 inside",
            {f"epoch_{n}.pt": at(n, epoch=n - 1) for n in (1, 2, 3)},
            [(0, 1), (1, 2), (2, 3)],
            "epoch",
        ),
        L("a step of minus one inside", {"net_1.pt": at(0, step=-1), "net_2.pt": at(1, step=2)}, right(1, 2)),
        L(
            "a step of infinity inside",
            {"net_1.pt": at(0, step=float("inf")), "net_2.pt": at(1, step=float("inf"))},
            right(1, 2),
        ),
        L("a step as text inside", {"a.pt": at(0, step="20"), "b.pt": at(1, step="10")}, [(10, 1), (20, 0)]),
        L("a boolean for a step", {"net_1.pt": at(0, step=True), "net_2.pt": at(1, step=True)}, right(1, 2)),
        L(
            "steps in a tensor of one",
            {"a.pt": at(0, step=torch.tensor([7])), "b.pt": at(1, step=torch.tensor([9]))},
            right(7, 9),
        ),
    ]


MORE = [*dated(), *numbers(), *metrics(), *who(), *copies(), *scripts(), *told()]
