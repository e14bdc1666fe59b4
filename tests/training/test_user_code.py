"""User code: files and modules named on the command line, and whole modules in trusted files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import network, samples

from splineviz.errors import CheckpointError
from splineviz.training import user_code
from splineviz.training.runs import open_run
from splineviz.training.samples import Data

CODE = """
import beside
from torch import nn

class ConvNet(nn.Sequential):
    def __init__(self, hidden=beside.HIDDEN):
        super().__init__(nn.Flatten(), nn.Linear(4, hidden), nn.ReLU(), nn.Linear(hidden, 3))
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code with spaces"
    folder.mkdir()
    (folder / "beside.py").write_text("HIDDEN = 6")
    (folder / "my_model.py").write_text(CODE)
    yield folder / "my_model.py"
    for name in ("my_model", "beside"):
        sys.modules.pop(name, None)


def test_a_class_in_a_file(code: Path, tmp_path: Path) -> None:
    runs = tmp_path / "ckpts"
    runs.mkdir()
    torch.save(network(3).state_dict(), runs / "net_1.pt")
    run = open_run(runs, model=f"{code}:ConvNet", data=Data.of(samples(0)))
    assert torch.equal(run.program(run.checkpoints[0]).weights["1.weight"], network(3).state_dict()["1.weight"].double())
    made = user_code.make(f"{code}:ConvNet", '{"hidden": 9}', error=CheckpointError)
    assert made[1].out_features == 9 and sys.modules["my_model"].ConvNet is type(made)


def test_a_file_that_is_not_there_or_broken(code: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no file absent.py"):
        user_code.make("absent.py:ConvNet", error=CheckpointError)
    with pytest.raises(CheckpointError, match="has no attribute 'Net'"):
        user_code.make(f"{code}:Net", error=CheckpointError)
    code.with_name("broken.py").write_text("def (")
    with pytest.raises(CheckpointError, match="SyntaxError"):
        user_code.make(f"{code.with_name('broken.py')}:Net", error=CheckpointError)


def test_a_whole_pickled_module_is_opened_where_its_code_lies(code: Path) -> None:
    """As the command line does it: the code is found from the working directory."""
    script = "import torch, my_model; torch.manual_seed(0); torch.save(my_model.ConvNet(), 'net_7.pt')"
    np.savez(code.parent / "samples.npz", x=samples(0)[0], y=samples(0)[1])
    here = {"cwd": code.parent, "capture_output": True, "text": True}
    subprocess.run([sys.executable, "-c", script], **here, check=True)
    tool = "import sys; sys.path.remove(''); from splineviz.__main__ import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", tool, "info", "net_7.pt", "--data", "samples.npz", "--trust"]
    said = subprocess.run(command, **here, check=False)
    assert said.returncode == 0, said.stderr
    assert "net_7.pt" in said.stdout and "step 7" in said.stdout and "6 units" in said.stdout
