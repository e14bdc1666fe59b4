"""Hostile and broken input of every kind: a result or a clear refusal, no code run, nothing outside touched.

The long run of this, in a process of limited memory, is tests/soak/hostile_files.py.
"""

import json
import zipfile
from typing import Any

import numpy as np
import pytest
import torch
from hostile import Seeds
from hostile_attempts import KINDS, attempt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_runs import network, write_run
from torch import nn

import splineviz as sv
from splineviz.__main__ import main
from splineviz.errors import CheckpointError, DataError, TraceError
from splineviz.tracing.program import Program
from splineviz.training import state_files
from splineviz.training.samples import Data


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    return Seeds(tmp_path_factory.mktemp("seeds"))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(number=st.integers(0, 2**30))
@pytest.mark.filterwarnings("ignore")
def test_it_is_read_or_refused(kind, number, seeds, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile") / "folder"
    (folder.parent / "outside").mkdir()
    folder.mkdir()
    assert attempt(kind, number, folder, seeds) in ("read", "refused")
    assert sorted(p.name for p in folder.parent.iterdir()) == ["folder", "outside"]
    assert not list((folder.parent / "outside").iterdir())
    assert not list(folder.rglob("ran"))


# ---- what the soak found, once -----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
def test_a_tensor_that_claims_more_than_its_file_holds_is_refused(tmp_path):
    for odd in (
        torch.zeros(1).expand(1 << 20, 1 << 20),
        torch.sparse_coo_tensor(torch.zeros(2, 1, dtype=torch.long), torch.ones(1), (1 << 20, 1 << 20)),
        torch.empty(3, 4, device="meta"),
        torch.zeros(3, 4, dtype=torch.complex64),
    ):
        torch.save({"1.weight": odd}, tmp_path / "x.pt")
        with pytest.raises(CheckpointError, match="expected dense real tensors that hold their values, got 1.weight"):
            state_files.load_state(tmp_path / "x.pt")
        if not odd.is_complex():
            with pytest.raises(DataError, match="expected a tensor that holds|expected dense tensors"):
                Data.of((odd, None))


def test_a_checkpoint_that_inflates_is_refused(tmp_path):
    torch.save({"w": torch.zeros(70 << 20)}, tmp_path / "good.pt")
    with (
        zipfile.ZipFile(tmp_path / "good.pt") as good,
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for member in good.infolist():
            bomb.writestr(member.filename, good.read(member))
    assert (tmp_path / "bomb.pt").stat().st_size < 1 << 20
    with pytest.raises(CheckpointError, match="would grow to 293"):
        state_files.load_state(tmp_path / "bomb.pt")


def test_a_network_from_a_file_is_rehearsed_without_memory():
    data = sv.trace(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)), (4,)).to_data()
    Program.from_data(data)
    data["weights"]["2.weight"] = [2, 7]
    with pytest.raises(TraceError, match=r"step 2 \(2\): expected shapes that fit"):
        Program.from_data(data)
    data["weights"] |= {"2.weight": [2, 6], "2.bias": [3, 2]}
    with pytest.raises(TraceError, match=r"step 2 \(2\): expected one row for one input, got rows of shape \(3,\)"):
        Program.from_data(data)
    data["weights"] |= {"0.weight": [1 << 40, 4], "0.bias": [1 << 40], "2.weight": [2, 1 << 40]}
    with pytest.raises(TraceError, match=r"step 0 \(0\): expected at most \d+ entries for one input, got 1099511627776"):
        Program.from_data(data)


def test_whole_numbers_are_weights_and_words_are_no_samples(tmp_path):
    write_run(tmp_path)
    run = sv.open_run(tmp_path)
    state = {key: (10 * value).to(torch.int64) for key, value in network().state_dict().items()}
    state_files.save_state(run.checkpoints[-1].path, state)
    assert run.program(run.checkpoints[-1]).weights["1.weight"].dtype == torch.float64
    with pytest.raises(DataError, match="real numbers"):
        Data.of((np.array([["a", "b"]]), None))


def test_a_weight_that_is_not_finite_is_named_by_its_layer(tmp_path):
    write_run(tmp_path)
    run = sv.open_run(tmp_path)
    for value in (float("nan"), float("inf")):
        state = network().state_dict()
        state["3.weight"][0, 0] = value
        state_files.save_state(run.checkpoints[-1].path, state)
        with pytest.raises(CheckpointError, match=r"expected finite weights, got NaN or infinity in 3\.weight"):
            run.program(run.checkpoints[-1])
        model = network()
        model.load_state_dict(state)
        with pytest.raises(TraceError, match=r"there are NaN or infinite weights in 3\.weight"):
            sv.partition(model, run.plane(), window=1.0)


SCRIPT = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>"


def test_the_page_escapes_names(tmp_path):
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2))
    folder = tmp_path / "<script>alert(2)<"
    folder.mkdir()
    sv.partition(model, sv.Plane(np.zeros(2), np.eye(2)), window=1.0).save(folder / "step-0000000001.npz")
    page = tmp_path / "view.html"
    sv.explore(folder / "step-0000000001.npz", html=page, classes=[SCRIPT, "</script><b>"])
    plain = tmp_path / "plain.html"
    sv.explore(folder / "step-0000000001.npz", html=plain, classes=["one", "two"])
    text = page.read_text()
    assert SCRIPT not in text and "<script>alert" not in text and "</script><b>" not in text and "<img src=x" not in text
    assert "alert('x')" in text  # the names are there, escaped
    for tag in ("<script", "</script>", "<img", "<b>"):
        assert text.count(tag) == plain.read_text().count(tag)


def doubling(count: int, op: str = "cat") -> dict[str, Any]:
    """A network of a few bytes a step that doubles what it holds with each, or passes it through so many ReLUs."""
    data = sv.trace(nn.Sequential(nn.Linear(4, 6), nn.ReLU()), (4,)).to_data()
    cat = {"op": "cat", "params": {}, "attrs": {"dim": 1}, "path": "more"}
    relu = {"op": "relu", "params": {}, "attrs": {}, "path": "more"}
    steps = [{**cat, "inputs": [k, k]} if op == "cat" else {**relu, "inputs": [k]} for k in range(2, 2 + count)]
    data["steps"] += [{**step, "output": 3 + k} for k, step in enumerate(steps)]
    data["output"] = 2 + count
    return data


def test_a_network_of_few_bytes_takes_neither_the_memory_nor_the_day():
    assert Program.from_data(doubling(6)).layers
    with pytest.raises(TraceError, match="entries for one input"):
        Program.from_data(doubling(28))
    with pytest.raises(TraceError, match="expected at most 10000 steps, got 30002"):
        Program.from_data(doubling(30_000, "relu"))
    data = doubling(23)
    data["steps"] += [
        {"op": "relu", "inputs": [25 + k], "output": 26 + k, "params": {}, "attrs": {}, "path": ""} for k in range(60)
    ]
    data["output"] = 85
    with pytest.raises(TraceError, match="entries written for one input"):
        Program.from_data(data)
    data = doubling(1)
    data["trained"] = {"steps": doubling(28)["steps"], "output": 30}
    with pytest.raises(TraceError, match="entries for one input"):
        Program.from_data(data)


@pytest.mark.parametrize("name", [r"$\frac{$", "$", "a$b", r"$\alpha$", "$$", r"\$5$"])
def test_a_class_may_have_any_name_in_a_picture(tmp_path, name):
    write_run(tmp_path / "run", classes=[name, "b", "c"])
    out = tmp_path / "figure.png"
    assert main(["figure", str(tmp_path / "run"), "--fill", "class", "--steps", "0", "--out", str(out)]) == 0
    assert out.stat().st_size > 1000


def test_what_a_run_says_does_not_steer_the_terminal(tmp_path, capsys):
    evil = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp"
    write_run(tmp_path / "run", classes=[evil, "b", "c"], loss=evil)
    assert main(["info", str(tmp_path / "run")]) == 0
    said = json.loads((tmp_path / "run" / "run.json").read_text())
    said["network"]["steps"][1]["path"] = evil
    said["network"]["steps"][1]["op"] = evil
    (tmp_path / "run" / "run.json").write_text(json.dumps(said))
    assert main(["info", str(tmp_path / "run")]) == 2
    said["network"]["steps"][1]["op"] = "linear"
    (tmp_path / "run" / "run.json").write_text(json.dumps(said))
    assert main(["animate", str(tmp_path / "run"), "--anchors", "0", "1", "999"]) == 2
    text = "".join(capsys.readouterr())
    assert not set(text) & set("\x1b\x07\x9b\u202e") and "owned" in text


@pytest.mark.parametrize("change", [{"loss": {"a": 1}}, {"loss": [1]}, {"domain": [-1e308, 1e308]}, {"domain": [0, 1e300]}])
def test_a_run_with_strange_settings_is_refused_in_one_line(tmp_path, change, capsys):
    write_run(tmp_path / "run")
    said = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps(said | change))
    assert main(["info", str(tmp_path / "run")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "expected" in line and next(iter(change)) in line


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2", "float16", "bfloat16"])
def test_weights_of_few_bits_are_weights(tmp_path, name):
    write_run(tmp_path)
    run = sv.open_run(tmp_path)
    state = {key: value.to(getattr(torch, name)) for key, value in network().state_dict().items()}
    torch.save(state, run.checkpoints[-1].path)
    bound = run.program(run.checkpoints[-1]).weights["1.weight"]
    assert torch.equal(bound, state["1.weight"].float().double())


TABLES = ["", "step\n", "step,regions\nx,1\n", "regions\n1\n", "step\n1,2,3\n", "step\nnan\n", "\xff\xfe"]


@pytest.mark.parametrize("table", TABLES)
def test_a_broken_table_is_one_line(tmp_path, table, capsys):
    run = tmp_path / "run"
    write_run(run)
    assert main(["partition", str(run), "--out", str(tmp_path / "out" / "partitions" / "step-0000000000.npz")]) == 0
    (tmp_path / "out" / "measures.csv").write_bytes(table.encode("latin1"))
    capsys.readouterr()
    code = main(["explore", str(tmp_path / "out"), "--html", str(tmp_path / "v.html")])
    assert code == (0 if table in ("", "step\n") else 2)
    assert code == 0 or len(capsys.readouterr().err.strip().splitlines()) == 1
