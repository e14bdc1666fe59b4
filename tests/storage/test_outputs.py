"""Outputs: nothing of the user's is touched, results of two runs never mix, links are not written through."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from small_runs import network, nudge, write_run
from small_sweeps import QUICK, contents

from splineviz.__main__ import main
from splineviz.errors import CheckpointError, OutputError
from splineviz.jobs import plan, sweep
from splineviz.storage import files, outputs, provenance
from splineviz.training.recorder import Recorder
from splineviz.training.runs import Run, open_run
from splineviz.workflows.animate import animate

SMALL = ("--size", "640x360", "--format", "mp4", "--lc-points", "5")
COMMANDS = {
    "animate": ("animate", "RUN", "--out", ".", *SMALL),
    "watch": ("watch", "RUN", "--out", ".", "--idle", "1", *SMALL),
    "sweep": ("sweep", "RUN", "--out", ".", "--lc-points", "5"),
    "tour": ("tour", "RUN", "--out", ".", "--frames", "2", "--size", "640x360"),
    "compare": ("compare", "RUN", "RUN2", "--out", ".", *SMALL),
    "layers": ("compare", "RUN", "--layers", "--out", ".", *SMALL),
    "study": ("study", "RUN", "layers", "--out", ".", "--lc-points", "5"),
    "reproduce": ("reproduce", "fig3", "--out", ".", "--quick"),
    "train": ("train", "--recipe", "two-moons", "--steps", "1", "--out", "."),
    "figure": ("figure", "RUN", "--steps", "0"),
    "partition": ("partition", "RUN"),
    "explore": ("explore", "RUN/slice.npz"),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of one network on the same samples, that differ in their weights alone."""
    folder = tmp_path_factory.mktemp("runs")
    write_run(folder / "a")
    write_run(folder / "b", model=network(1))
    a = open_run(folder / "a")
    from splineviz.regions.enumerate import partition

    partition(a.program(a.checkpoints[0]), a.plane()).save(folder / "a" / "slice.npz")
    return folder


@pytest.fixture
def run(runs: Path) -> Run:
    return open_run(runs / "a")


def everything(folder: Path) -> dict[str, object]:
    """All below a folder: what kind, what mode, when written, what is in it, where it points."""
    found = {}
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(folder))] = (state.st_mode, state.st_mtime_ns, content)
    return found


def home(folder: Path) -> Path:
    """Somebody's home, with names that are ours or nearly ours, and links that lead out of it."""
    place, outside = folder / "home", folder / "outside"
    for one in ("running", "rows", "checkpoints", "notes", ".cache"):
        (place / one).mkdir(parents=True)
    outside.mkdir()
    names = (
        "measures.csv", "summary.png", "sweep.csv", "jobs.json", "manifest.json", "animation.mp4", "samples.npz",
        "poster.png", "layers.png", "figure.pdf", "slice.png", "view.html", "fig3.png", ".bashrc", ".session.tmp",
        ".a.csv.tmp.swp", "running/plan", "running/diary.txt", "rows/.a.json.0123456789ab.tmp",
        "checkpoints/step-0000000000.pt", "notes/.b.json.tmp", ".cache/.c.json.0123456789ab.tmp", "thesis.tex",
    )  # fmt: skip
    for name in names:
        (place / name).write_text(f"mine: {name}")
        (outside / Path(name).name).write_text(f"outside: {name}")
    for name in ("frames", "partitions", "tweens", "churn", "failures"):
        (place / name).symlink_to(outside)
    (place / "animation.gif").symlink_to(outside / "thesis.tex")
    return place


@pytest.mark.parametrize("words", COMMANDS.values(), ids=list(COMMANDS))
def test_a_home_folder_as_out_is_left_as_it_was(words, runs, tmp_path, monkeypatch, capsys):
    place = home(tmp_path)
    monkeypatch.chdir(place)
    before = everything(tmp_path)
    said = [w.replace("RUN2", str(runs / "b")).replace("RUN", str(runs / "a")) for w in words]
    assert main(said) == 2
    complaint = capsys.readouterr().err.strip().splitlines()[-1]
    assert complaint.startswith("splineviz: ") and "expected" in complaint
    assert everything(tmp_path) == before


@pytest.mark.parametrize("command", ["animate", "sweep", "tour"])
@pytest.mark.parametrize("stranger", ["measures.csv", "thesis.tex", ".bashrc", "jobs.json", "rows/mine.json"])
def test_one_file_of_the_user_is_enough_and_is_named(command, stranger, runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / stranger).parent.mkdir(exist_ok=True)
    (tmp_path / stranger).write_text("{}")
    before = everything(tmp_path)
    assert main([w.replace("RUN", str(runs / "a")) for w in COMMANDS[command]]) == 2
    assert stranger.split("/")[0] in capsys.readouterr().err
    assert everything(tmp_path) == before


def test_a_name_that_was_not_named_is_not_replaced_and_one_that_was_is(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["figure", str(runs / "a"), "--steps", "0"]
    assert main(words) == 0 == main(words), "one of ours gives way"
    (tmp_path / "figure.pdf").write_text("mine")
    assert main(words) == 2 and (tmp_path / "figure.pdf").read_text() == "mine"
    assert main([*words, "--out", "figure.pdf"]) == 0 and (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_results_may_lie_beside_their_runs_and_what_file_managers_leave(run, tmp_path):
    shutil.copytree(run.path, tmp_path / "ckpts")
    (tmp_path / ".DS_Store").touch()
    sweep.measure_run(run, out=tmp_path, lc=QUICK)
    sweep.measure_run(run, out=tmp_path, lc=QUICK)
    assert (tmp_path / "measures.csv").exists()


def test_a_call_that_was_killed_before_its_first_mark_can_be_started_again(run, tmp_path):
    (tmp_path / ".manifest.json.0123456789ab.tmp").write_text("hal")
    sweep.measure_run(run, out=tmp_path, lc=QUICK)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("moment", ["strangers", "_is_free", "_declare"])
@pytest.mark.parametrize("other", ["/runs/a", "/runs/b"])
def test_two_that_begin_at_once_share_a_folder_or_one_is_refused(tmp_path, monkeypatch, moment, other):
    """The one that looked before the other wrote its mark took that for a stranger's file, or replaced it."""
    out, original, begun = tmp_path / "out", getattr(outputs, moment), []

    def meanwhile(*words, **options):
        if not begun:
            begun.append(True)
            outputs.enter(out, "run", [other], [*outputs.MEASURES, "summary.png"])
            (out / "rows").mkdir()
            (out / "rows" / "row.json").touch()
        return original(*words, **options)

    monkeypatch.setattr(outputs, moment, meanwhile)
    if other == "/runs/a":
        outputs.enter(out, "run", ["/runs/a"], [*outputs.MEASURES, "poster.png"])
        assert outputs._said(out)["writes"] >= {"summary.png", "poster.png", "rows"}
    else:
        with pytest.raises(OutputError, match="/runs/b"):
            outputs.enter(out, "run", ["/runs/a"], [*outputs.MEASURES, "poster.png"])
    assert begun and outputs._said(out)["runs"] == [other]


def test_another_run_is_refused_and_the_first_one_stays(runs, tmp_path, monkeypatch, capsys):
    """Into the default folder, too: `animate a` then `animate b` replaced a without a word."""
    monkeypatch.chdir(tmp_path)
    assert main(["animate", str(runs / "a"), *SMALL]) == 0
    before = contents(tmp_path)
    assert main(["animate", str(runs / "b"), *SMALL]) == 2
    said = capsys.readouterr().err
    assert str(runs / "b") in said and str(runs / "a") in said and "--out" in said
    assert main(["sweep", str(runs / "a"), "--out", "out", "--lc-points", "5"]) == 2
    assert main(["tour", str(runs / "a"), "--out", "out", "--frames", "2", "--size", "640x360"]) == 2
    assert contents(tmp_path) == before
    assert main(["study", str(runs / "a"), "layers", "--out", "out", "--lc-points", "5"]) == 0, "the same run"
    assert main(["animate", str(runs / "b"), "--out", "out-b", *SMALL]) == 0


def test_a_run_that_was_moved_is_the_same_run(runs, tmp_path):
    shutil.copytree(runs / "a", tmp_path / "here")
    sweep.measure_run(open_run(tmp_path / "here"), out=tmp_path / "out", lc=QUICK)
    rows = contents(tmp_path / "out" / "rows")
    (tmp_path / "here").rename(tmp_path / "there")
    sweep.measure_run(open_run(tmp_path / "there"), out=tmp_path / "out", lc=QUICK)
    assert contents(tmp_path / "out" / "rows") == rows, "nothing was made again"
    with pytest.raises(OutputError, match="which would be replaced"):
        sweep.measure_run(open_run(runs / "b"), out=tmp_path / "out", lc=QUICK)


@pytest.mark.parametrize("said", [5, None, "a", {"a": 1}])
def test_a_mark_that_says_no_list_of_runs_breaks_nothing(tmp_path, said):
    files.write_sealed(tmp_path / "manifest.json", {"of": {"kind": "run", "runs": said, "writes": list(outputs.MEASURES)}})
    outputs.enter(tmp_path, "run", ["/somewhere"], outputs.MEASURES)


def test_a_sweep_grows_and_does_not_shrink(runs, tmp_path):
    a, b = open_run(runs / "a"), open_run(runs / "b")
    sweep.sweep([a], out=tmp_path / "out", lc=QUICK)
    sweep.sweep([a, b], out=tmp_path / "out", lc=QUICK)
    before = contents(tmp_path / "out")
    with pytest.raises(OutputError, match="which would be replaced"):
        sweep.sweep([b], out=tmp_path / "out", lc=QUICK)
    assert contents(tmp_path / "out") == before


def test_a_name_that_comes_later_must_be_free(run, tmp_path):
    """The folder is ours, what the user put there since is not."""
    out = tmp_path / "out"
    sweep.measure_run(run, out=out, lc=QUICK)
    for name in ("summary.png", "frames/step-0000000000.png", "animation.gif"):
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text("mine")
        with pytest.raises(OutputError, match=name.split("/")[0]):
            animate(run, out=out, size=(320, 180), formats=["gif"], lc=QUICK)
        assert (out / name).read_text() == "mine"
        shutil.rmtree(out / "frames", ignore_errors=True)
        (out / name).unlink(missing_ok=True)
    animate(run, out=out, size=(320, 180), formats=["gif"], lc=QUICK)
    animate(run, out=out, size=(400, 200), formats=["gif"], lc=QUICK)


@pytest.mark.parametrize("name", ["rows", "partitions", "frames", "running", "churn", "measures.csv", "summary.png"])
def test_nothing_is_written_through_a_link(run, tmp_path, name):
    out, outside = tmp_path / "out", tmp_path / "outside"
    sweep.measure_run(run, out=out, lc=QUICK)
    outside.mkdir()
    (outside / "kept").write_text("outside")
    if (out / name).is_dir():
        shutil.rmtree(out / name)
    (out / name).unlink(missing_ok=True)
    (out / name).symlink_to(outside if "." not in name else outside / "kept")
    before = everything(outside)
    with pytest.raises(OutputError, match=f"{name}.*through which nothing is written"):
        animate(run, out=out, size=(320, 180), formats=[], lc=QUICK)
    assert everything(outside) == before and (out / name).is_symlink()


def as_of_version_0_1(out: Path) -> None:
    """Marks as version 0.1 left them: a manifest that comes last, and a list of jobs without what is left of others."""
    for name, new in (("manifest.json", "of"), ("jobs.json", "further")):
        said = files.read_sealed(out / name)
        del said[new]
        files.write_sealed(out / name, said)


@pytest.mark.parametrize("lost", [(), ("manifest.json",), ("jobs.json",), ("jobs.json", "manifest.json")])
def test_results_of_version_0_1_are_gone_on_with(run, tmp_path, lost):
    out = tmp_path / "out"
    animate(run, out=out, size=(320, 180), formats=["gif"], lc=QUICK)
    as_of_version_0_1(out)
    for name in lost:
        (out / name).unlink()
    rows = contents(out / "rows")
    made = animate(run, out=out, size=(320, 180), formats=["gif"], lc=QUICK)
    assert contents(out / "rows") == rows and made.drawn == 0


def test_steps_of_another_slice_go_and_those_of_the_same_stay(run, tmp_path):
    out = tmp_path / "out"
    options = {"out": out, "size": (320, 180), "formats": ["gif"], "lc": QUICK}
    animate(run, **options)
    first = contents(out / "partitions")
    animate(run, steps=[0, 10], **options)
    assert contents(out / "partitions") == first, "hours of work, of the same slice"
    assert sorted(p.stem for p in (out / "frames").iterdir()) == ["step-0000000000", "step-0000000010"]
    (out / "rows" / "step-0000000099.json").write_text("mine")
    animate(run, steps=[10], anchors=[3, 4, 5], **options)
    for folder, end in (("partitions", "npz"), ("frames", "png")):
        assert [p.name for p in (out / folder).iterdir()] == [f"step-0000000010.{end}"]
    assert sorted(p.name for p in (out / "rows").iterdir()) == ["step-0000000010.json", "step-0000000099.json"]


def test_the_manifest_lists_what_was_asked_for_and_nothing_else(run, tmp_path):
    out = tmp_path / "out"
    animate(run, out=out, size=(320, 180), formats=["gif"], lc=QUICK)
    (out / "notes.txt").write_text("mine")
    shutil.copy(out / "rows" / "step-0000000000.json", out / "rows" / "step-0000000007.json")
    animate(run, steps=[0, 1], out=out, size=(320, 180), formats=["gif"], lc=QUICK)
    listed = files.read_sealed(out / "manifest.json")["files"]
    assert "notes.txt" not in listed and not [n for n in listed if "07." in n or "10." in n]
    assert {"measures.csv", "frames/step-0000000001.png", "animation.gif", "summary.png"} <= set(listed)
    assert set(listed) == set(provenance.listed(out))


@pytest.mark.parametrize("name", ["samples.npz", "checkpoints/step-0000000000.pt", "checkpoints/mine.pt"])
@pytest.mark.parametrize("if_exists", ["error", "overwrite", "resume"])
def test_a_recorder_leaves_samples_and_checkpoints_of_others(tmp_path, name, if_exists):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    before = everything(tmp_path)
    with pytest.raises(CheckpointError, match=name.split("/")[0]):
        write_run(tmp_path, if_exists=if_exists)
    assert everything(tmp_path) == before


def test_a_recorder_may_write_beside_what_a_logger_left(tmp_path):
    (tmp_path / "hparams.yaml").write_text("lr: 0.1")
    (tmp_path / "checkpoints").mkdir()
    write_run(tmp_path)
    assert len(open_run(tmp_path).checkpoints) == 3


def test_overwriting_a_run_deletes_its_checkpoints_and_no_other_file(tmp_path):
    """A run.json may name anything in its directory; what is deleted is named as a recorder names it."""
    import json

    write_run(tmp_path / "run")
    (tmp_path / "run" / "thesis.tex").write_text("mine")
    (tmp_path / "run" / "checkpoints" / "step-0000000001.pt").unlink()
    (tmp_path / "mine.pt").write_text("outside")
    os.link(tmp_path / "mine.pt", tmp_path / "run" / "checkpoints" / "step-0000000001.pt")
    said = json.loads((tmp_path / "run" / "run.json").read_text())
    said["checkpoints"][0]["file"] = "thesis.tex"
    (tmp_path / "run" / "run.json").write_text(json.dumps(said))
    model = network(3)
    recorder = Recorder(tmp_path / "run", model, train=(torch.rand(5, 2, 2), torch.arange(5) % 3), if_exists="overwrite")
    nudge(model)
    recorder.save(5)
    assert (tmp_path / "run" / "thesis.tex").read_text() == "mine" and (tmp_path / "mine.pt").read_text() == "outside"
    assert [c.step for c in open_run(tmp_path / "run").checkpoints] == [5]
    left = sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir())
    assert left == ["step-0000000000.pt", "step-0000000005.pt"], "what run.json did not name for it stays"


def test_what_is_ours_is_told_by_its_seal(tmp_path):
    assert outputs.strangers(tmp_path) == []
    (tmp_path / "jobs.json").write_text('{"jobs": [], "digest": "0"}')
    assert outputs.strangers(tmp_path) == ["jobs.json"]
    with pytest.raises(OutputError, match=r"got one that holds jobs\.json; nothing of it is touched"):
        outputs.enter(tmp_path, "run", ["/r"], outputs.MEASURES)
    outputs.enter(tmp_path / "new", "run", ["/r"], outputs.MEASURES)
    with pytest.raises(OutputError, match="results of a tour, got one with those of a run"):
        outputs.enter(tmp_path / "new", "tour", ["/r"], outputs.TOUR)
    with pytest.raises(OutputError, match="expected a folder for results, got a file"):
        outputs.enter(tmp_path / "jobs.json", "run", ["/r"], outputs.MEASURES)
    assert plan.NAME == "jobs.json"
