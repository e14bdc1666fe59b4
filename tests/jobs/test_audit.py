"""Audits: a directory as it was written is proved; every kind of damage is a finding."""

from __future__ import annotations

import shutil
from pathlib import Path

import hostile_audit
import numpy as np
import pytest
import torch
from small_runs import network, write_run
from small_sweeps import QUICK

from splineviz.__main__ import main
from splineviz.errors import CertificateError, JobError
from splineviz.geometry.partition import Partition
from splineviz.jobs import plan, sweep
from splineviz.jobs.audit import audit
from splineviz.storage import files, provenance
from splineviz.training.guards import Chosen
from splineviz.training.runs import open_run


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audits")
    write_run(folder / "run")
    sweep.sweep([open_run(folder / "run")], out=folder / "sweep", windows=[None, 2.0], lc=QUICK, prove=True)
    sweep.measure_run(open_run(folder / "run"), out=folder / "out", lc=QUICK)
    return folder


@pytest.fixture
def out(pristine: Path, tmp_path: Path) -> Path:
    shutil.copytree(pristine / "out", tmp_path / "out")
    return tmp_path / "out"


def findings(out: Path) -> str:
    return "\n".join(audit(out, raise_on_failure=False).findings)


def reseal(path: Path, **changes: object) -> None:
    """Change a sealed file as somebody would who knows how it is sealed."""
    content = files.read_sealed(path)
    content.update(changes)
    files.write_sealed(path, content)


@pytest.mark.parametrize("name", ["out", "sweep"])
def test_what_was_written_is_proved(pristine: Path, name: str) -> None:
    found = audit(pristine / name)
    assert found.ok and found.notes == []
    assert (found.jobs, found.proved) == ((3, 3) if name == "out" else (6, 6))
    assert found.files == len(provenance.listed(pristine / name)) > 5
    assert "as it should be" in str(found)


def test_a_row_holds_what_it_was_made_of(pristine: Path) -> None:
    row = files.read_sealed(next((pristine / "sweep" / "rows").glob("????????*.json")))
    made = row["made"]
    assert made["certificate"]["failures"] == [] and made["certificate"]["euler"] == 1
    assert {"splineviz", "torch", "weights", "samples", "window", "report"} <= set(made)
    assert made["report"]["tolerance"] > 0 and len(made["weights"]) == 64


DAMAGE = {
    "a partition's bit": (lambda o: flip(o / "partitions" / "step-0000000001.npz"), "has changed since it was written"),
    "no partition": (lambda o: (o / "partitions" / "step-0000000001.npz").unlink(), "step-0000000001.npz"),
    "a row's bit": (lambda o: flip(o / "rows" / "step-0000000001.json"), "step 1, anchors 0 1 2"),
    "a number in the table": (lambda o: edit(o / "measures.csv", "0.5", "0.6"), "measures.csv: row 1 has train_accuracy"),
    "a line of the table": (lambda o: edit(o / "measures.csv", "\n1,", "\n1,1\n1,"), "expected 3 rows, got 4"),
    "a file of the manifest": (lambda o: (o / "measures.csv").unlink(), "listed in the manifest, but not there"),
    "the manifest": (lambda o: flip(o / "manifest.json"), "manifest.json"),
}  # fmt: skip


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def edit(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new, 1))


@pytest.mark.parametrize(("damage", "words"), DAMAGE.values(), ids=list(DAMAGE))
def test_damage_is_found(out: Path, damage, words: str) -> None:
    damage(out)
    assert words in findings(out)
    with pytest.raises(CertificateError, match="expected a directory as it was written"):
        audit(out)


@pytest.mark.parametrize("name", ["rows", "partitions", "rows/step-0000000001.json", "partitions/step-0000000001.npz",
                                  "measures.csv"])  # fmt: skip
def test_no_link_is_read_even_one_to_the_very_content(out: Path, tmp_path: Path, name: str) -> None:
    (out / name).rename(tmp_path / "elsewhere")
    (out / name).symlink_to(tmp_path / "elsewhere")
    with hostile_audit.inside(out) as opened:
        said = findings(out)
    assert f"{name}: expected what was written there, got a link" in said or f"{name}/step" in said
    assert not [line for line in opened if "elsewhere" in line]


@pytest.mark.parametrize("value", [[1.0], "many", {"a": 1}, 10**400, True], ids=["list", "text", "object", "huge", "bool"])
def test_a_value_of_another_kind_is_a_finding(out: Path, value: object) -> None:
    """A list of numbers ended it with a traceback."""
    for path in sorted((out / "rows").glob("step-*.json")):
        reseal(path, row=files.read_sealed(path)["row"] | {"regions": value, "lc_train": value})
    said = findings(out)
    assert "the row has regions" in said and "the row has lc_train" in said and "Error" not in said


def test_a_forged_row_is_found_though_its_seal_is_right(out: Path) -> None:
    path = out / "rows" / "step-0000000001.json"
    row = files.read_sealed(path)["row"]
    reseal(path, row=row | {"regions": 1e6})
    assert "the row has regions = 1000000.0, its partition" in findings(out)
    reseal(path, row=row)
    made = files.read_sealed(path)["made"]
    reseal(path, made=made | {"samples": "0" * 64})
    assert "its key is not that of what it says it was made of" in findings(out)


def test_a_forged_partition_is_refuted_by_the_model(out: Path) -> None:
    path = out / "partitions" / "step-0000000001.npz"
    partition = Partition.load(path)
    outputs = partition.outputs.copy()
    outputs[np.argmax(np.linalg.norm(outputs, axis=1))] *= 1.001
    forged = Partition(**{name: getattr(partition, name) for name in partition.__dataclass_fields__} | {"outputs": outputs})
    forged.save(path)
    reseal(out / "rows" / "step-0000000001.json", partition=files.digest_of_file(path))
    assert "[outputs" in findings(out) or "certificate: expected" in findings(out)


def test_what_cannot_be_told_is_a_note(pristine: Path, tmp_path: Path) -> None:
    shutil.copytree(pristine / "run", tmp_path / "run")
    run = open_run(tmp_path / "run")
    sweep.measure_run(run, out=tmp_path / "out", lc=QUICK)
    run.checkpoints[0].path.unlink()
    torch.save(network(9).state_dict(), run.checkpoints[1].path)
    (tmp_path / "out" / "rows" / "step-0000000010.json").unlink()
    (tmp_path / "out" / "manifest.json").unlink()
    found = audit(tmp_path / "out", raise_on_failure=False)
    said = "\n".join(found.notes)
    assert "not proved" in said and "holds other weights by now" in said
    assert "1 jobs are not done" in said and "manifest.json: none so far" in said
    assert (found.jobs, found.proved) == (2, 0)
    assert found.findings == ["measures.csv: expected 2 rows, got 3"]


def test_another_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="expected a directory that"):
        audit(tmp_path)


def test_a_result_of_another_slice_or_run_is_named(out: Path, pristine: Path, tmp_path: Path) -> None:
    """Under a name that the list does not have it was sealed as good."""
    write_run(tmp_path / "other", model=network(5))
    sweep.measure_run(open_run(tmp_path / "other"), out=tmp_path / "theirs", lc=QUICK, anchors=(3, 4, 5))
    for folder, end in (("rows", "json"), ("partitions", "npz")):
        shutil.copy(tmp_path / "theirs" / folder / f"step-0000000010.{end}", out / folder / f"step-0000000007.{end}")
    said = findings(out)
    assert "rows/step-0000000007.json: no job of jobs.json has made it" in said
    assert "partitions/step-0000000007.npz: no job of jobs.json has made it" in said


def test_a_result_of_another_slice_under_a_name_of_the_list_is_not_shown(out: Path, tmp_path: Path) -> None:
    from splineviz.viewer.page import open_source

    run = open_run(Path(plan.read(out)["jobs"][0]["weights"]).parents[1])
    sweep.measure_run(run, out=tmp_path / "theirs", lc=QUICK, anchors=(3, 4, 5))
    assert open_source(out).steps == (0, 1, 10)
    for folder, end in (("rows", "json"), ("partitions", "npz")):
        shutil.copy(tmp_path / "theirs" / folder / f"step-0000000001.{end}", out / folder / f"step-0000000001.{end}")
    assert open_source(out).steps == (0, 10)
    assert "step-0000000001.json: has changed since the manifest was written" in findings(out)


def test_further_steps_of_the_same_slice_are_a_note(pristine: Path, tmp_path: Path) -> None:
    run = open_run(pristine / "run")
    sweep.measure_run(run, out=tmp_path / "out", lc=QUICK)
    sweep.measure_run(run, out=tmp_path / "out", lc=QUICK, steps=[0, 10])
    found = audit(tmp_path / "out")
    assert found.ok and any("the last call did not ask for" in note and "step-0000000001" in note for note in found.notes)
    (tmp_path / "out" / "notes.txt").write_text("mine")
    assert any("not in the manifest: notes.txt" in note for note in audit(tmp_path / "out").notes)


def test_what_each_thing_was_held_against_is_said(pristine: Path) -> None:
    found = audit(pristine / "out")
    assert (found.rows, found.lines, found.proved) == (3, 3, 3)
    said = str(found)
    for line in (
        "3 partitions against the network as it was recorded", "3 rows against their partitions",
        "against the rows of their",
        "against the digests in manifest.json",
    ):  # fmt: skip
        assert line in said


def test_the_users_module_is_compared_with_where_it_is_given(
    pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(
        "from small_runs import network\nfrom torch import nn\n\n"
        "def other():\n    net = network()\n    net[2] = nn.LeakyReLU(0.2)\n    return net\n"
    )
    monkeypatch.chdir(tmp_path)
    for folder in ("out", "sweep"):
        found = audit(pristine / folder, model=network())
        assert found.compared == found.proved > 0 and "against your module at all vertices" in str(found)
    found = audit(pristine / "out", model=network(), chosen=Chosen(outputs=[0]), raise_on_failure=False)
    assert len(found.findings) == 3 and "your module" in found.findings[0]  # fewer outputs than the pictures have
    assert main(["verify", str(pristine / "out"), "--model", "mine.py:network"]) == 0
    assert "3 partitions against your module" in capsys.readouterr().out
    assert main(["verify", str(pristine / "out"), "--model", "mine.py:other"]) == 1
    assert "is it the module that the files were saved from?" in capsys.readouterr().err
    assert main(["verify", str(pristine / "out"), "--model", "mine.py:none"]) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../../x"}, {"name": "/etc/passwd"}, {"name": "step-1"}, {"name": 3}, {"step": "x"}, {"step": -1},
        {"step": True}, {"anchors": 3}, {"anchors": ["a"]}, {"window": None}, {"key": 3}, {"weights": None},
        {"metrics": [1]}, {"run": "none"}, {"run": [1]}, {"metrics": {"a": "b"}}, {"reason": {}},
    ],
    ids=str,
)  # fmt: skip
def test_a_forged_list_of_jobs_is_refused_in_one_line(out: Path, change: dict, capsys) -> None:
    entries = plan.read(out)["jobs"]
    reseal(out / "jobs.json", jobs=[entries[0] | change, *entries[1:]])
    for words in (["verify"], ["status"], ["explore"]):
        assert main([*words, str(out)]) in (2, 3)
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert "jobs[0]" in line and "expected" in line


@pytest.mark.parametrize(
    "change", [{"jobs": 3}, {"jobs": [1]}, {"runs": []}, {"runs": {"a": 1}}, {"named": 5}, {"lc": [1]}], ids=str
)
def test_a_list_of_jobs_that_is_none_is_refused_in_one_line(out: Path, change: dict, capsys) -> None:
    reseal(out / "jobs.json", **change)
    for words in (["verify"], ["status"], ["explore"]):
        assert main([*words, str(out)]) in (2, 3)
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "rows/../../x", "link", "", "a\\b"])
def test_a_manifest_that_leads_outside_is_not_followed(out: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "x").write_text("outside")
    (out / "link").symlink_to(tmp_path / "x")
    path = out / "manifest.json"
    reseal(path, files=files.read_sealed(path)["files"] | {name: files.digest_of_file(tmp_path / "x")})
    found = audit(out, raise_on_failure=False)
    assert any("expected files inside the directory" in line for line in found.findings)
    assert found.files == len(provenance.listed(out))
    reseal(path, files=[1, 2])
    assert any("manifest.json" in line for line in findings(out).splitlines())


def test_nothing_proved_is_a_failure(pristine: Path, tmp_path: Path, capsys) -> None:
    shutil.copytree(pristine / "run", tmp_path / "run")
    sweep.measure_run(open_run(tmp_path / "run"), out=tmp_path / "out", lc=QUICK)
    assert main(["verify", str(tmp_path / "out")]) == 0
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    assert main(["verify", str(tmp_path / "out")]) == 1
    assert "none of 3 finished jobs proved" in capsys.readouterr().err


def test_a_file_is_held_against_the_checkpoint_whose_weights_it_names(pristine: Path, tmp_path: Path, capsys) -> None:
    """Whatever it is called; it was held against the last one."""
    run = str(pristine / "run")
    assert main(["partition", run, "--step", "1", "--out", str(tmp_path / "mine.npz")]) == 0
    shutil.copy(pristine / "out" / "partitions" / "step-0000000001.npz", tmp_path / "step-0000000010.npz")
    for name in ("mine.npz", "step-0000000010.npz"):
        capsys.readouterr()
        assert main(["verify", str(tmp_path / name), run]) == 0
        assert f"against step 1 of {run}, whose weights the file names" in capsys.readouterr().out
    assert main(["verify", str(tmp_path / "mine.npz"), run, "--step", "10"]) == 1
    write_run(tmp_path / "other", model=network(5))
    assert main(["verify", str(tmp_path / "mine.npz"), str(tmp_path / "other")]) == 2
    assert "names the weights of none of them" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["lc_train", "lc_random_band", "lc_test_live", "crossings", "units_live", "slice_sampled"])
def test_a_forged_number_is_measured_again(out: Path, name: str) -> None:
    """The row and the table changed alike, and every seal made anew."""
    path = out / "rows" / "step-0000000001.json"
    row = files.read_sealed(path)["row"]
    reseal(path, row=row | {name: (row[name] or 0.0) + 0.25})
    assert f"the row has {name} = " in findings(out) and "measured again it is" in findings(out)


def test_a_forged_accuracy_is_found(out: Path, pristine: Path) -> None:
    """What the run recorded is what the row must say."""
    path = out / "rows" / "step-0000000001.json"
    reseal(path, row=files.read_sealed(path)["row"] | {"train_accuracy": 0.75})
    assert "the row has train_accuracy = 0.75, measured again it is 0.5" in findings(out)


def test_a_part_of_the_rows_is_measured_again_or_all(pristine: Path) -> None:
    assert audit(pristine / "sweep").measured == 6
    found = audit(pristine / "sweep", numbers=2, seed=0)
    assert found.ok and found.measured == 2 and any("measured again" in line for line in found.held)
    assert audit(pristine / "sweep", numbers=0).measured == 0
