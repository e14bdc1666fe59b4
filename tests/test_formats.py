"""Runs of other makers: every checkpoint format is opened, and hostile or broken files are refused in one line."""

from __future__ import annotations

import pickle
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from makers import FORMATS, make_network
from small_runs import network, samples

from splineviz.errors import CheckpointError, DataError
from splineviz.geometry.partition import Partition
from splineviz.metrics.options import LCOptions
from splineviz.training import user_code
from splineviz.training.runs import open_run
from splineviz.training.samples import Data
from splineviz.workflows.animate import animate

QUICK = LCOptions(points=5, num_vectors=2)
DATA = Data.of(samples(0), domain=(0, 1))

noisy = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
"""Other libraries warn of themselves."""


@pytest.mark.parametrize("name", FORMATS)
@noisy
def test_every_format_is_opened_in_order_and_animated(tmp_path: Path, name: str) -> None:
    written = FORMATS[name]
    states = written.make(tmp_path / "run")
    told = nullcontext() if written.weights_key is None else pytest.warns(RuntimeWarning, match="left out: ")
    options = {"trust": written.trust, "weights_key": written.weights_key}
    with told:  # what a key leaves out
        run = open_run(tmp_path / "run", model=written.model, data=DATA, **options)
    assert [c.step for c in run.checkpoints] == sorted(states) and len(states) == 3
    x = torch.as_tensor(run.train_x).double()
    for checkpoint in run.checkpoints:
        model = network().double()
        model.load_state_dict(states[checkpoint.step])
        torch.testing.assert_close(run.program(checkpoint)(x), model(x).detach(), rtol=1e-12, atol=1e-12)
    made = animate(run, out=tmp_path / "out", size=(320, 180), formats=["gif"], lc=QUICK)
    assert len(made.frames) == 3 and made.videos[0].stat().st_size > 0
    assert Partition.load(tmp_path / f"out/partitions/step-{max(states):010d}.npz").num_regions > 1


@pytest.mark.parametrize("name", [name for name in FORMATS if FORMATS[name].trust])
@noisy
def test_what_is_code_is_refused_until_trusted(tmp_path: Path, name: str) -> None:
    FORMATS[name].make(tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"none of it was run[.;](.|\n)*--trust"):
        run = open_run(tmp_path / "run", model=make_network(), data=DATA)
        run.program(run.checkpoints[0])
    with pytest.raises(CheckpointError, match="say what they are"):
        open_run(tmp_path / "run", data=DATA)


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
    for model in ("mlp", "makers:make_network"):
        with pytest.raises(CheckpointError, match="none of it was run") as caught:
            run = open_run(folder, model=model, data=DATA)
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
@noisy
def test_broken_files_give_one_line(tmp_path: Path, name: str, suffix: str) -> None:
    (tmp_path / f"net_1{suffix}").write_bytes(BROKEN[name])
    for trust in (False, True):
        with pytest.raises(CheckpointError, match="expected") as caught:
            run = open_run(tmp_path, model=make_network(), data=DATA, trust=trust)
            run.program(run.checkpoints[0])
        assert "\n" not in str(caught.value)


# ---- factories and data ------------------------------------------------------------------------------------------


def test_a_factory_takes_arguments() -> None:
    assert user_code.make("makers:make_network", '{"hidden": 8}', error=CheckpointError)[1].out_features == 8


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("no_such_module:f", None, "can be imported from here, got ModuleNotFoundError"),
        ("makers:nothing", None, "can be imported from here, got AttributeError"),
        ("makers:STEPS", None, "expected a function or class, got tuple"),
        ("makers:make_network", "8", "as a JSON object"),
        ("makers:make_network", "{", "as a JSON object"),
        ("makers:make_network", '{"depth": 8}', "expected arguments that it takes"),
    ],
)
def test_a_factory_that_cannot_be_called_is_named(name: str, arguments: str | None, words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        user_code.make(name, arguments, error=CheckpointError)
    with pytest.raises(DataError, match=words):
        user_code.make(name, arguments, error=DataError)
