"""Runs of other makers: every checkpoint format is opened, and hostile or broken files are refused in one line."""

from __future__ import annotations

import functools
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from small_runs import network, nudge, samples
from torch import nn

from splineviz import factories
from splineviz.animate import animate
from splineviz.errors import CheckpointError, DataError
from splineviz.runs import LCOptions, Run, measure_run, open_run
from splineviz.samples import Data

STEPS = (9, 10, 100)
QUICK = LCOptions(points=5, num_vectors=2)


class Owner(nn.Module):
    """A training module that holds the network under a name of its own, with a loss beside it."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self.register_buffer("class_weights", torch.ones(3))


def make_network(hidden: int = 6) -> nn.Module:
    """What --model names in these tests."""
    return network(seed=9, hidden=hidden)


def lightning(model: nn.Module, path: Path) -> None:
    """The dictionary that Lightning's Trainer.save_checkpoint writes."""
    content = {
        "epoch": 3, "global_step": 12, "pytorch-lightning_version": "2.5.0", "state_dict": Owner(model).state_dict(),
        "loops": {}, "callbacks": {}, "optimizer_states": [], "lr_schedulers": [], "hyper_parameters": {"width": 6},
    }  # fmt: skip
    torch.save(content, path)


def half(model: nn.Module, path: Path) -> None:
    torch.save({key: t.to(torch.bfloat16) for key, t in model.state_dict().items()}, path)


def transformers(name: str, model: nn.Module, path: Path) -> None:
    path.mkdir()
    state = {key: t.contiguous() for key, t in model.state_dict().items()}
    if name.endswith("safetensors"):
        save_file(state, path / name)
    else:
        torch.save(state, path / name)
    (path / "config.json").write_text("{}")
    torch.save({}, path / "optimizer.pt")


def exported(model: nn.Module, path: Path) -> None:
    x = torch.zeros(2, 2, 2)
    torch.export.save(torch.export.export(model.eval(), (x,), dynamic_shapes=({0: torch.export.Dim("batch")},)), path)


FORMATS: dict[str, tuple[Any, str, bool]] = {
    "state dict": (lambda m, p: torch.save(m.state_dict(), p), "net_{}.pt", False),
    "lightning": (lightning, "epoch=1-step={}.ckpt", False),
    "safetensors": (lambda m, p: save_file(m.state_dict(), p), "net_{}.safetensors", False),
    "transformers": (functools.partial(transformers, "model.safetensors"), "checkpoint-{}", False),
    "transformers, pickled": (functools.partial(transformers, "pytorch_model.bin"), "checkpoint-{}", False),
    "bfloat16": (half, "net_{}.pt", False),
    "grok-adversarial": (lambda m, p: torch.save(m.state_dict(), p), "checkpoint-w:6-d:1-s:{}.pt", False),
    "whole module": (lambda m, p: torch.save(m, p), "checkpoint-w:6-d:1-s:{}.pt", True),
    "exported program": (exported, "net_{}.pt2", True),
}


def written(folder: Path, name: str) -> list[dict[str, torch.Tensor]]:
    """A run in one of the formats; the weights at each of its steps."""
    save, pattern, _ = FORMATS[name]
    model, states = network(), []
    folder.mkdir()
    for step in STEPS:
        save(model, folder / pattern.format(step))
        states.append({key: t.clone() for key, t in model.state_dict().items()})
        nudge(model)
    return states


def opened(folder: Path, name: str) -> Run:
    trust = FORMATS[name][2]
    return open_run(
        folder, model=None if trust else f"{__name__}:make_network", data=Data.of(samples(0), domain=(0, 1)), trust=trust
    )


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_every_format_is_opened_in_order_and_measured(tmp_path: Path, name: str) -> None:
    states = written(tmp_path / "run", name)
    run = opened(tmp_path / "run", name)
    assert [c.step for c in run.checkpoints] == list(STEPS)
    x = torch.as_tensor(run.train_x).double()
    for checkpoint, state in zip(run.checkpoints, states, strict=True):
        model = network().double()
        model.load_state_dict({k: t.to(torch.bfloat16) for k, t in state.items()} if name == "bfloat16" else state)
        torch.testing.assert_close(run.program(checkpoint)(x), model(x).detach(), rtol=1e-12, atol=1e-12)
    results = measure_run(run, out=tmp_path / "out", lc=QUICK)
    assert all(result.row["regions"] >= 1 for result in results)


def test_a_foreign_run_is_animated(tmp_path: Path) -> None:
    written(tmp_path / "run", "lightning")
    made = animate(opened(tmp_path / "run", "lightning"), out=tmp_path / "out", size=(320, 180), formats=["gif"], lc=QUICK)
    assert len(made.frames) == len(STEPS) and made.videos[0].stat().st_size > 0


@pytest.mark.parametrize("name", ["whole module", "exported program"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_what_is_code_is_refused_until_trusted(tmp_path: Path, name: str) -> None:
    written(tmp_path / "run", name)
    with pytest.raises(CheckpointError, match=r"none of it was run[.;](.|\n)*--trust"):
        run = open_run(tmp_path / "run", model=make_network(), data=Data.of(samples(0), domain=(0, 1)))
        run.program(run.checkpoints[0])
    with pytest.raises(CheckpointError, match="say what they are"):
        open_run(tmp_path / "run", data=Data.of(samples(0), domain=(0, 1)))


class Bomb:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".bin", ".pt2"])
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "bare pickle"])
def test_a_hostile_pickle_writes_nothing(tmp_path: Path, suffix: str, legacy: bool) -> None:
    folder, mark = tmp_path / "run", tmp_path / "written"
    folder.mkdir()
    content = {"state_dict": network().state_dict(), "hyper_parameters": Bomb(mark)}
    if legacy:
        (folder / f"net_1{suffix}").write_bytes(pickle.dumps(content))
    else:
        torch.save(content, folder / f"net_1{suffix}")
    data = Data.of(samples(0), domain=(0, 1))
    for model in ("mlp", f"{__name__}:make_network"):
        with pytest.raises(CheckpointError, match="none of it was run") as caught:
            run = open_run(folder, model=model, data=data)
            run.program(run.checkpoints[0])
        assert "\n" not in str(caught.value)
    assert not mark.exists()


BROKEN: dict[str, bytes] = {
    "empty": b"",
    "text": b"these are no weights at all",
    "huge header": (2**62).to_bytes(8, "little") + b"{}",
    "truncated": b"PK\x03\x04" + bytes(40),
}


@pytest.mark.parametrize("suffix", [".pt", ".ckpt", ".bin", ".safetensors", ".pt2"])
@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_broken_files_give_one_line(tmp_path: Path, name: str, suffix: str) -> None:
    (tmp_path / f"net_1{suffix}").write_bytes(BROKEN[name])
    for trust in (False, True):
        with pytest.raises(CheckpointError, match="expected") as caught:
            run = open_run(tmp_path, model=make_network(), data=Data.of(samples(0), domain=(0, 1)), trust=trust)
            run.program(run.checkpoints[0])
        assert "\n" not in str(caught.value)


# ---- factories and data ------------------------------------------------------------------------------------------


def test_a_factory_takes_arguments() -> None:
    assert factories.make(f"{__name__}:make_network", '{"hidden": 8}', error=CheckpointError)[1].out_features == 8


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("no_such_module:f", None, "can be imported from here, got ModuleNotFoundError"),
        (f"{__name__}:nothing", None, "can be imported from here, got AttributeError"),
        (f"{__name__}:STEPS", None, "expected a function or class, got tuple"),
        (f"{__name__}:make_network", "8", "as a JSON object"),
        (f"{__name__}:make_network", "{", "as a JSON object"),
        (f"{__name__}:make_network", '{"depth": 8}', "expected arguments that it takes"),
    ],
)
def test_a_factory_that_cannot_be_called_is_named(name: str, arguments: str | None, words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        factories.make(name, arguments, error=CheckpointError)
    with pytest.raises(DataError, match=words):
        factories.make(name, arguments, error=DataError)
