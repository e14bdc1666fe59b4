"""run.json: what it says, and what is refused in one that was damaged or forged."""

from __future__ import annotations

import json

import hostile_audit
import pytest
import torch
from small_runs import network, nudge, samples, write_run

from splineviz.errors import CheckpointError
from splineviz.training import run_json
from splineviz.training.recorder import Recorder
from splineviz.training.runs import open_run


@pytest.fixture
def root(tmp_path):
    write_run(tmp_path / "run")
    return tmp_path / "run"


def forge(root, change):
    data = json.loads((root / "run.json").read_text())
    change(data)
    (root / "run.json").write_text(json.dumps(data))


def test_it_is_plain_json(root):
    data = json.loads((root / "run.json").read_text())
    assert data["format"] == 1 and data["samples"] == "samples.npz"
    assert data["checkpoints"][1] == {
        "step": 1,
        "file": "checkpoints/step-0000000001.pt",
        "metrics": {"train_accuracy": 0.5, "test_accuracy": 0.25},
    }
    assert [s["op"] for s in data["network"]["steps"]] == ["reshape", "linear", "relu", "linear"]


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../outside.pt", "checkpoints/../../outside.pt", "C:\\x.pt", "..\\x.pt", 5, None]
)
def test_paths_that_leave_the_directory_are_refused(root, name):
    torch.save({}, root.parent / "outside.pt")
    forge(root, lambda data: data["checkpoints"][0].update(file=name))
    with pytest.raises(CheckpointError, match="inside the run's directory"):
        open_run(root)


def test_links_that_leave_the_directory_are_refused(root):
    torch.save({}, root.parent / "outside.pt")
    (root / "link.pt").symlink_to(root.parent / "outside.pt")
    forge(root, lambda data: data["checkpoints"][0].update(file="link.pt"))
    with pytest.raises(CheckpointError, match="got 'link.pt', a link that leads out of it; .*put the file itself there"):
        open_run(root)


@pytest.mark.parametrize("key", ["format", "domain", "network"])
def test_a_key_that_stands_twice_is_refused(root, key):
    text = (root / "run.json").read_text()
    (root / "run.json").write_text(text.replace("{", f'{{"{key}": 1, ', 1))
    with pytest.raises(CheckpointError, match=f"run.json: expected the manifest of a run, .* the key '{key}' twice"):
        open_run(root)


@pytest.mark.parametrize("name", ["run.json", "networks"])
def test_nothing_that_links_out_of_the_directory_is_opened(root, name):
    data = json.loads((root / "run.json").read_text())
    digest = run_json.network_digest(data["network"])
    run_json.save_network(root, data["network"])
    forge(root, lambda data: (data.update(format=2), data["checkpoints"][-1].update(network=digest)))
    run = open_run(root)
    assert run.program(run.checkpoints[-1])
    (root / name).rename(root.parent / "elsewhere")
    (root / name).symlink_to(root.parent / "elsewhere")
    words = f"inside the run's directory, got '{name}"
    with hostile_audit.inside(root) as opened, pytest.raises(CheckpointError, match=words):
        run = open_run(root)
        run.program(run.checkpoints[-1])
    assert not opened


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(format=3), "expected format 1 or 2, got 3"),
        (lambda d: d.pop("network"), "expected the manifest"),
        (lambda d: d.update(checkpoints=3), "expected the manifest"),
        (lambda d: d["checkpoints"][0].update(step="x"), "expected the manifest"),
        (lambda d: d["checkpoints"][0].update(metrics=[1]), "expected the manifest"),
        (lambda d: d["checkpoints"].reverse(), "in order of steps"),
        (lambda d: d["checkpoints"].append(d["checkpoints"][0]), "in order of steps"),
        (lambda d: d["network"]["steps"][0].update(op="system"), "expected one of the operations"),
        (lambda d: d["network"].update(input_shape=[5]), "expected shapes that fit"),
        (lambda d: d.update(domain=[1]), "expected the manifest"),
        (lambda d: d.update(domain=[1, 0]), "low < high"),
        (lambda d: d.update(classes=["a"]), "1 classes"),
        (lambda d: d.update(samples="../samples.npz"), "inside the run's directory"),
    ],
)
def test_a_damaged_manifest_is_one_checkpoint_error(root, change, words):
    forge(root, change)
    with pytest.raises(CheckpointError, match=words):
        open_run(root)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null", b"[" * 100_000])
def test_torn_manifests(root, content):
    (root / "run.json").write_bytes(content)
    with pytest.raises(CheckpointError, match="expected the manifest"):
        open_run(root)


def test_missing_parts_are_named(root):
    (root / "samples.npz").unlink()
    with pytest.raises(CheckpointError, match="samples.npz"):
        open_run(root)


# ---- runs of very many checkpoints -----------------------------------------------------------------------------------


@pytest.fixture
def long_run(tmp_path, monkeypatch):
    """A run of 60 checkpoints, of which run.json alone would hold the first few."""
    monkeypatch.setattr(run_json, "FEW", 8)
    model = network(hidden=3)
    recorder = Recorder(tmp_path / "long", model, train=samples(0), steps=1000)
    for step in range(60):
        recorder.save(step, train_accuracy=step / 60)
        nudge(model)
    return tmp_path / "long", recorder, model


def test_a_long_run_has_all_its_checkpoints_wherever_they_are_noted(long_run):
    root, recorder, model = long_run
    folded = len(json.loads((root / "run.json").read_text())["checkpoints"])
    assert 8 < folded < 60 and (root / "added.jsonl").read_text().count("\n") == 60 - folded
    assert [c.step for c in open_run(root).checkpoints] == list(range(60))
    assert open_run(root).checkpoints[-1].metrics == {"train_accuracy": 59 / 60}
    recorder.save(7)  # again: it gives way
    assert [c.step for c in open_run(root).checkpoints] == list(range(60)) and not open_run(root).checkpoints[7].metrics
    recorder.save(1000)  # the end of the training
    assert not (root / "added.jsonl").exists()
    assert len(json.loads((root / "run.json").read_text())["checkpoints"]) == 61


def test_run_json_is_written_ever_more_seldom(long_run, monkeypatch):
    _, recorder, _ = long_run
    written = []
    monkeypatch.setattr(run_json.files, "write_json", lambda path, data: written.append(path))
    for step in range(60, 68):
        recorder.save(step)
    assert len(written) <= 2


def test_a_line_that_a_killed_process_left_is_none(long_run):
    root, _, model = long_run
    with open(root / "added.jsonl", "a") as stream:
        stream.write('{"step": 60, "file": "checkpoints/st')
    assert [c.step for c in open_run(root).checkpoints] == list(range(60))
    resumed = Recorder(root, model, train=samples(0), if_exists="resume")
    assert not (root / "added.jsonl").exists(), "what was added is in run.json again"
    resumed.save(60)
    assert [c.step for c in open_run(root).checkpoints] == list(range(61))


@pytest.mark.parametrize("line", ["{}", "[]", "{", '{"step": 3, "file": "../x.pt", "metrics": {}}', "\x00"])
def test_a_forged_line_is_refused(long_run, line):
    root, *_ = long_run
    (root / "added.jsonl").write_text(line + "\n")
    with pytest.raises(CheckpointError):
        open_run(root)


def test_overwriting_a_long_run_leaves_none_of_it(long_run):
    root, _, model = long_run
    Recorder(root, model, train=samples(0), if_exists="overwrite").save(5)
    assert [c.step for c in open_run(root).checkpoints] == [5]
    assert [path.name for path in (root / "checkpoints").iterdir()] == ["step-0000000005.pt"]


def test_the_lines_of_a_long_run_are_not_written_through_a_link(long_run, tmp_path):
    root, recorder, _ = long_run
    (root / "added.jsonl").unlink()
    (tmp_path / "mine").write_text("mine")
    (root / "added.jsonl").symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match="symbolic"):
        recorder.save(60)
    assert (tmp_path / "mine").read_text() == "mine"
