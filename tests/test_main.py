"""The command line end to end on a tiny run, and its refusals: one clear line, exit code 2, no traceback."""

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch

from splineviz import commands
from splineviz.__main__ import _in_one_line, main
from splineviz.geometry.partition import Partition
from splineviz.training.runs import open_run

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "moons"
    assert main(["train", "--recipe", "two-moons", "--steps", "40", "--out", str(path)]) == 0
    return path


def test_train_writes_a_run_that_describes_itself(run: Path) -> None:
    opened = open_run(run)
    assert opened.checkpoints[0].step == 0 and opened.checkpoints[-1].step == 40
    assert opened.train_x.shape[1:] == (2,)


def test_train_does_not_delete_a_run_unasked(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "again"
    words = ["train", "--recipe", "two-moons", "--steps", "2", "--out", str(target)]
    assert main(words) == 0
    assert main(words) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*words[:4], "3", *words[5:], "--overwrite"]) == 0
    assert open_run(target).checkpoints[-1].step == 3


def test_info_names_network_samples_and_steps(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(run)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "32 units" in said
    assert "training samples 400" in said
    assert " 40" in said.rsplit("steps", 1)[1]


def test_partition_writes_file_and_picture_and_verify_proves_it(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, picture = tmp_path / "new" / "slice.npz", tmp_path / "new" / "slice.png"
    assert main(["partition", str(run), "--step", "10", "--anchors", "0", "3", "5", "--out", str(data), str(picture)]) == 0
    found = Partition.load(data)
    assert f"{found.num_regions:,} regions" in capsys.readouterr().out
    shown = iio.imread(picture)[..., :3]
    assert shown.shape == (1600, 1800, 3) and len(np.unique(shown.reshape(-1, 3), axis=0)) > 20
    assert main(["verify", str(data), str(run), "--step", "10"]) == 0
    assert "proved" in capsys.readouterr().out
    assert main(["verify", str(data), str(run), "--step", "40"]) == 1, "the partition of another checkpoint"
    assert "Traceback" not in capsys.readouterr().err


def test_figure_lays_out_steps_and_zooms(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pdf, png = tmp_path / "figure.pdf", tmp_path / "new" / "figure.png"
    assert main(["figure", str(run), "--zoom", "0", "-0.1", "0.2", "--out", str(pdf), str(png), "--dpi", "80"]) == 0
    assert capsys.readouterr().out.split() == [str(pdf), str(png)]
    assert pdf.read_bytes().startswith(b"%PDF")
    assert iio.imread(png).shape[1] == 540  # 6.75 inches
    layers = tmp_path / "layers.svg"
    assert main(["figure", str(run), "--layers", "--fill", "margin", "--color-knots", "--out", str(layers)]) == 0
    assert ">layer 0 · " in layers.read_text() and ">layer 3" not in layers.read_text(), "three, from 0, with their paths"
    assert main(["figure", str(run), "--zoom", "0", "0", "-1", "--out", str(layers)]) == 2
    assert "positive half-width" in capsys.readouterr().err


def test_figure_refuses_what_it_would_do_by_half(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*args: object, **options: object) -> None:
        raise AssertionError("nothing is cut before the flags are looked at")

    monkeypatch.setattr("splineviz.regions.enumerate.partition", cut)
    out = tmp_path / "figure.pdf"
    for words, said in (
        (["--zoom", "900", "0", "0.2"], "a square inside the window"),
        (["--window", "1", "--zoom", "0", "0", "0.2", "--zoom", "0.9", "0", "0.2"], "a square inside the window"),
        (["--layers", "--steps", "0", "10"], "expected one step, got 2"),
        (["--layers", "--every", "2"], "expected one step, got"),
        (["--layers", "--last", "2"], "expected one step, got 2"),
    ):
        assert main(["figure", str(run), *words, "--out", str(out)]) == 2, words
        told = capsys.readouterr().err
        assert said in told and told.count("\n") == 1, words
    assert not out.exists()


def test_animate_needs_no_flag_but_the_run(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    words = ["animate", str(run), "--out", str(out), "--size", "320x180", "--lc-points", "20", "--steps", "0", "10", "40"]
    assert main(words) == 0
    told = capsys.readouterr()
    assert "at 320x180 the texts of a frame cannot be read; take 640x360 or more" in told.err
    said = told.out.split()
    assert {str(out / name) for name in ("animation.mp4", "animation.gif", "summary.png", "measures.csv")} == set(said)
    assert sorted(p.name for p in (out / "frames").iterdir()) == [f"step-{step:010d}.png" for step in (0, 10, 40)]
    assert iio.improps(out / "animation.mp4", plugin="pyav").shape[1:] == (180, 320, 3)
    assert len((out / "measures.csv").read_text().splitlines()) == 4
    proved = out / "partitions" / "step-0000000010.npz"
    assert main(["verify", str(proved), str(run)]) == 0, "the step stands in the file's name"
    assert "not judged" not in capsys.readouterr().out, "the folder's list of jobs names the anchors"


def test_a_bare_folder_of_state_dicts(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "foreign"
    folder.mkdir()
    for step in (0, 40):
        state = torch.load(run / "checkpoints" / f"step-{step:010d}.pt", weights_only=True)
        torch.save({"model_state_dict": state}, folder / f"checkpoint-w:32-d:3-s:{step}.pt")
    assert main(["info", str(folder)]) == 2
    assert "--model mlp --data mnist" in capsys.readouterr().err
    known = [str(folder), "--model", "mlp", "--data", "two-moons"]
    assert main(["partition", *known, "--out", str(tmp_path / "slice.npz")]) == 0
    small = ["--size", "320x180", "--lc-points", "9", "--format", "gif"]
    assert main(["animate", *known, "--out", str(tmp_path / "out"), *small]) == 0
    assert (tmp_path / "out" / "animation.gif").stat().st_size > 0
    assert main(["info", str(folder), "--model", "mlp", "--data", "mnist"]) == 2, "weights for points, data of digits"


REFUSED = {
    "no folder": ("animate {tmp}/nope", "nope: expected a run directory"),
    "a file": ("animate {tmp}/file.txt", "or a folder of checkpoints, got a file"),
    "an empty folder": ("animate {tmp}/empty", "empty"),
    "an anchor out of range": ("partition {run} --anchors 0 1 400", "indices of training samples, 0 to 399, got 400"),
    "an anchor twice": ("partition {run} --anchors 0 1 1", "expected three distinct indices of training samples"),
    "a step that is not there": ("partition {run} --step 11", "the step of a checkpoint, got 11; the nearest is 10"),
    "steps that are not there": ("animate {run} --steps 11 --out {tmp}/o", "11"),
    "no partition": ("verify {tmp}/nope.npz {run}", "expected a partition file (.npz), got nothing there"),
    "not a partition": ("verify {tmp}/file.txt {run}", "expected a partition"),
    "a run before its results": ("verify {run} {tmp}/empty", "got the run first; type splineviz verify"),
    "a run before a partition": ("verify {run} {tmp}/step-0000000010.npz", "got the run first; type splineviz verify"),
    "a run where results belong": ("explore {run}", "got a training run; name one"),
    "results where a run belongs": ("info {tmp}/out", "got results that splineviz made of a run; name the run itself"),
    "flags that do not belong": ("info {run} --model mlp --data mnist", "got a model, data, key or outputs; leave them out"),
    "a file where a folder should be": ("train --recipe spline --steps 1 --out {tmp}/file.txt", "expected a directory"),
}


@pytest.mark.parametrize(("line", "message"), REFUSED.values(), ids=list(REFUSED))
def test_a_refusal_is_one_clear_line(
    line: str, message: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("not a run")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.json").write_text("{}")
    assert main(line.format(run=run, tmp=tmp_path).split()) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert error.rsplit("\n", 1)[-1].startswith("splineviz: ")
    assert "Traceback" not in error


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a run directory"):
        main(["info", str(tmp_path / "nope"), "--debug"])


def test_a_defect_of_ours_is_not_hidden(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands.COMMANDS["info"], "run", lambda options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["info", str(run)])


def test_ctrl_c_is_130(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stop(options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands.COMMANDS["info"], "run", stop)
    assert main(["info", str(run)]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_ctrl_c_is_130_also_when_a_library_makes_another_exception_of_it(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def imports(options: object) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as error:
            raise ImportError("PyCapsule_Import could not import module") from error

    monkeypatch.setattr(commands.COMMANDS["info"], "run", imports)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    assert main(["info", str(run)]) == 130
    assert "stopped by Ctrl-C" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("launcher", (["-m", "splineviz"], [str(ROOT / "cli.py")]), ids=("module", "cli.py"))
def test_launchers(launcher: list[str]) -> None:
    done = subprocess.run([sys.executable, *launcher, "--version"], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("splineviz ")


@pytest.mark.parametrize("words", [["explore", "\x00"], ["info", "a\x00b"], ["\x00"]])
def test_a_zero_byte_is_refused_before_a_path_is_made_of_it(words, capsys):
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2 and "got one with a zero byte" in capsys.readouterr().err


def test_without_a_command_the_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("usage: splineviz COMMAND") and shown.err == ""
    places = [shown.out.index(f"{title}:") for title in commands.GROUPS]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("words", "meant"),
    [("anmate r", "animate"), ("animate r --anchor 1 2 3", "--anchors"), ("animate r --fill clas", "class"),
     ("partition r --widnow 3", "--window"), ("verfy", "verify")],
)  # fmt: skip
def test_a_slip_of_the_finger_gets_a_proposal(words: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(words.split())
    assert stopped.value.code == 2
    assert capsys.readouterr().err.rstrip().endswith(f"did you mean {meant}?")


def test_what_nobody_could_have_meant_gets_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["animate", "r", "--xyzzy"])
    assert "did you mean" not in capsys.readouterr().err


def test_the_system_refuses_in_words_without_its_numbers(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["partition", str(run), "--out", str(tmp_path / "file" / "slice.npz")]) == 2
    said = capsys.readouterr().err
    assert "Errno" not in said and str(tmp_path / "file") in said


def test_a_zoom_lies_in_the_square_that_is_cut(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not in the usual window, in whose place the square stands."""
    words, far = ["figure", str(run), "--steps", "0", "--out", str(tmp_path / "a.png")], ["--square", "30", "0", "2"]
    assert main([*words, *far, "--zoom", "30", "0.5", "0.5"]) == 0
    assert main([*words, *far, "--zoom", "0", "0", "0.1"]) == 2
    assert "zoom" in capsys.readouterr().err


def test_an_estimate_that_stops_says_so(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", str(run), "--window", "5", "--most", "2"]) == 0
    assert "more than 2 regions" in capsys.readouterr().out
    assert main(["estimate", str(run), "--window", "5", "--most", "1000000"]) == 0
    assert "more than" not in capsys.readouterr().out


@pytest.mark.parametrize("command", ["partition", "figure", "explore"])
def test_an_output_that_cannot_be_written_is_refused_before_any_work(command, run, tmp_path, capsys) -> None:
    (tmp_path / "file").touch()
    flag = "--html" if command == "explore" else "--out"
    for name in ("file/a.html", "y" * 260 + ".html", "new/" + "y" * 260 + ".html"):
        name = name if command == "explore" else name.replace("html", "png")
        assert main([command, str(run), flag, str(tmp_path / name)]) == 2
        said = capsys.readouterr().err.strip().splitlines()
        assert len(said) == 1 and name in said[0] and (": not a directory." in said[0] or "name too long" in said[0])
    assert not (tmp_path / "new").exists()


def test_names_of_files_do_not_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("step_10.pt", "step_20\x1b[2Jmine.pt", "step_30\u202etp.pt", "latest\x07.pt"):
        torch.save({"0.weight": torch.ones(2, 2), "0.bias": torch.ones(2)}, tmp_path / name)
    np.savez(tmp_path / "samples.npz", train_x=np.eye(3, 2), train_y=np.arange(3) % 2)
    words = ["--model", "mlp", "--data", str(tmp_path / "samples.npz")]
    for more in (["--files", "*.pt"], ["--files", "step*.pt"], ["--files", "step_{step}*.pt"]):
        main(["partition", str(tmp_path), *words, *more, "--out", str(tmp_path.parent / "slice\x1b[2J.npz")])
    said = "".join(capsys.readouterr())
    assert "step_20\\x1b[2J" in said
    assert not any(c in said for c in "\x1b\u202e\x07")


@pytest.fixture
def stream():
    """Makes a stream that leads to a path, or to a pipe whose reader has gone."""
    opened = []

    def make(path: str | None, encoding: str = "utf-8") -> io.TextIOWrapper:
        if path is None:
            reader, descriptor = os.pipe()
            os.close(reader)
        else:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
        opened.append(io.TextIOWrapper(os.fdopen(descriptor, "wb"), encoding=encoding))
        return opened[-1]

    yield make
    for one in opened:
        with contextlib.suppress(OSError):
            one.close()


@pytest.mark.skipif(os.name == "nt", reason="no such devices")
@pytest.mark.parametrize("words", [["complete", "bash"], ["--help"], ["info", "RUN"]], ids=["script", "help", "table"])
def test_a_reader_that_goes_away_is_no_failure_and_a_full_disk_is_one(words, run, stream, monkeypatch, capsys) -> None:
    """`| head` gave the code of a failed certificate, or words of Python's own at its end."""
    words = [str(run) if word == "RUN" else word for word in words]
    monkeypatch.setattr(sys, "stdout", stream(None))
    assert _code(words) == 141
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys, "stdout", stream("/dev/full"))
    assert _code(words) == 2
    assert capsys.readouterr().err.strip().splitlines() == ["splineviz: no space left on device."]
    sys.stdout.flush()  # nothing is left that would fail when Python ends


def _code(words: list[str]) -> object:
    try:
        return main(words)
    except SystemExit as end:
        return end.code


@pytest.mark.skipif(os.name == "nt", reason="no such devices")
@pytest.mark.parametrize("kind", ["closed", "full", "nobody reads"])
def test_what_is_said_aside_stops_nothing_where_it_cannot_be_said(kind, run, tmp_path, stream, monkeypatch) -> None:
    """Progress, remarks and refusals, with standard error closed, on a full disk or a pipe that nobody reads."""
    said = {"closed": None, "full": "/dev/full", "nobody reads": None}[kind]
    monkeypatch.setattr(sys, "stderr", None if kind == "closed" else stream(said))
    assert main(["partition", str(run), "--window", "1", "--out", str(tmp_path / "p.npz")]) == 0
    assert (tmp_path / "p.npz").exists()
    assert main(["info", str(tmp_path / "none")]) == 2


def test_names_that_standard_output_has_no_letters_for_are_written_out(run, tmp_path, stream, monkeypatch) -> None:
    place = tmp_path / "r\u00fcn \U0001f600"
    shutil.copytree(run, place)
    for words in (["info", str(place)], ["partition", str(place), "--window", "1", "--out", str(place / "p.npz")]):
        monkeypatch.setattr(sys, "stdout", stream(str(tmp_path / "said"), "ascii"))
        assert main(words) == 0
        sys.stdout.flush()
    assert "\\U0001f600" in (tmp_path / "said").read_text(encoding="ascii")


def test_a_log_gets_lines_and_no_bar(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["partition", str(run), "--out", str(tmp_path / "slice.npz")]) == 0
    said = capsys.readouterr().err
    assert "\x1b" not in said and "━" not in said
    assert all(" of 1,000, " in line for line in said.splitlines()) and said.count("\n") <= 3


def test_the_backend_of_a_notebook_does_not_stop_the_command_line(run: Path, tmp_path: Path) -> None:
    """Where matplotlib-inline is not installed for this interpreter, naming it is an error."""
    words = [sys.executable, "-m", "splineviz", "partition", str(run), "--out", str(tmp_path / "slice.png")]
    environment = {**os.environ, "MPLBACKEND": "module://no_such_backend"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "slice.png").exists()


def test_a_warning_of_ours_is_one_line_without_a_place_in_the_code() -> None:
    with _in_one_line():
        ours, theirs = (
            warnings.formatwarning("step 3: as by chance", UserWarning, place, 12) for place in (commands.__file__, __file__)
        )
    assert ours == "splineviz: warning: step 3: as by chance\n"
    assert theirs.startswith(f"{__file__}:12: UserWarning: step 3: as by chance")
