"""run.json: what it says, and what is refused in one that was damaged or forged."""

from __future__ import annotations

import json

import pytest
import torch
from small_runs import write_run

from splineviz.errors import CheckpointError
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
    with pytest.raises(CheckpointError, match="inside the run's directory"):
        open_run(root)


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
