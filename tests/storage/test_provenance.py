"""Provenance: every result says what it was made of and by; the manifest of a directory is sealed."""

from __future__ import annotations

import json
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image
from small_runs import write_run

from splineviz.__main__ import main
from splineviz.storage import files, provenance
from splineviz.training import state_files
from splineviz.training.runs import open_run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("provenance")
    write_run(folder / "run")
    names = [str(folder / f"slice.{kind}") for kind in ("npz", "png", "pdf", "svg")]
    assert main(["partition", str(folder / "run"), "--step", "1", "--window", "2", "--out", *names]) == 0
    figures = [str(folder / f"figure.{kind}") for kind in ("png", "pdf", "svg")]
    assert main(["figure", str(folder / "run"), "--steps", "0", "10", "--dpi", "60", "--out", *figures]) == 0
    return folder


def check(said, run, *steps):
    assert said["weights"] == {str(c.step): state_files.digest(run.state(c)) for c in run.checkpoints if c.step in steps}
    assert said["samples"] == run.data.digest() and said["network"] == files.digest(run.network)
    assert said["splineviz"] == provenance.versions()["splineviz"] and {"torch", "numpy", "numba", "python"} <= set(said)
    assert said["anchors"] == [0, 1, 2] and len(said["window"]) == 4


def test_a_partition_and_its_pictures_say_what_they_are_made_of(made):
    run = open_run(made / "run")
    said = provenance.of_partition(made / "slice.npz")
    check(said, run, 1)
    assert said["report"]["tolerance"] > 0
    for name, steps in (("slice", (1,)), ("figure", (0, 10))):
        with Image.open(made / f"{name}.png") as image:
            check(json.loads(image.text["splineviz"]), run, *steps)
        assert b"/Keywords" in (made / f"{name}.pdf").read_bytes()
        drawn = run.checkpoints[1 if name == "slice" else 0]
        assert state_files.digest(run.state(drawn)) in (made / f"{name}.svg").read_text()


def test_a_partition_file_that_lies_about_itself_is_refused(tmp_path):
    header = "{'descr': '<U9', 'fortran_order': False, 'shape': (10000000000,), }".ljust(117) + "\n"
    with zipfile.ZipFile(tmp_path / "forged.npz", "w") as archive:
        archive.writestr("meta.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
    with pytest.raises(ValueError, match="header that claims"):
        provenance.of_partition(tmp_path / "forged.npz")
    for odd in ("[" * 100_000, "3", "{"):
        np.savez(tmp_path / "odd.npz", meta=np.array(odd))
        with pytest.raises(ValueError):
            provenance.of_partition(tmp_path / "odd.npz")
    np.savez(tmp_path / "odd.npz", other=np.zeros(3))
    with pytest.raises(ValueError, match="expected a partition file"):
        provenance.of_partition(tmp_path / "odd.npz")


def test_verify_says_what_made_a_partition(made, capsys):
    assert main(["verify", str(made / "slice.npz"), str(made / "run"), "--step", "1"]) == 0
    assert f"made by splineviz {provenance.versions()['splineviz']} with torch" in capsys.readouterr().out
    assert main(["verify", str(made / "slice.npz")]) == 2
    assert "expected the run that it was made from as well" in capsys.readouterr().err


def test_a_manifest_lists_what_lies_there_and_keeps_what_others_said(tmp_path):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.json").write_text("a")
    (tmp_path / "table.csv").write_text("1,2")
    (tmp_path / ".hidden").write_text("")
    path = provenance.write_manifest(tmp_path, "measures", {"lc": None})
    first = path.stat().st_mtime_ns
    assert provenance.write_manifest(tmp_path, "measures", {"lc": None}).stat().st_mtime_ns == first, "not touched"
    provenance.write_manifest(tmp_path, "film", {"fps": 6})
    said = files.read_sealed(path)
    assert said["options"] == {"measures": {"lc": None}, "film": {"fps": 6}}
    assert sorted(said["files"]) == ["rows/a.json", "table.csv"]
    assert said["files"]["table.csv"] == files.digest_of_file(tmp_path / "table.csv")
    path.write_text(path.read_text().replace('"fps": 6', '"fps": 7'))
    with pytest.raises(ValueError, match="expected the content that its digest says"):
        files.read_sealed(path)
