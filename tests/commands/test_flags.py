"""Flags: help screens as snapshots (SPLINEVIZ_REFRESH=1 writes them anew), values, refusals."""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from splineviz import choices, commands
from splineviz.commands.animate import film_options
from splineviz.drawing import curves, fills, print_figure, video
from splineviz.errors import DataError
from splineviz.metrics.options import USUAL, LCOptions
from splineviz.training import datasets, recipes
from splineviz.viewer import page
from splineviz.workflows import reproduce, study, views

SCREENS = Path(__file__).parents[1] / "help"
COMMANDS = ("", *commands.COMMANDS)


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stopped:
        commands.parser().parse_args([*command.split(), "--help"])
    assert stopped.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_the_snapshot(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    got, snapshot = help_of(command, capsys), SCREENS / f"{command or 'splineviz'}.txt"
    if os.environ.get("SPLINEVIZ_REFRESH"):
        snapshot.parent.mkdir(exist_ok=True)
        snapshot.write_text(got)
    assert got == snapshot.read_text(), "the help has changed: read it, then refresh with SPLINEVIZ_REFRESH=1"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_example_in_the_help_is_a_command_that_parses(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    examples = [line.split("#")[0] for line in help_of(command, capsys).splitlines() if line.startswith("  splineviz ")]
    assert examples
    for example in examples:
        assert commands.parser().parse_args(example.split()[1:]).command in COMMANDS


def test_help_imports_nothing_slow() -> None:
    code = (
        "import sys\nfrom splineviz.__main__ import main\n"
        "try:\n    main(['animate', '--help'])\nexcept SystemExit:\n    pass\n"
        "slow = {'torch', 'numpy', 'numba', 'matplotlib', 'av', 'PIL'}\n"
        "print(sorted(slow & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stderr.strip() == "[]"


def test_names_and_defaults_are_those_of_the_rooms_that_own_them() -> None:
    assert fills.NAMES == choices.FILLS and set(choices.EXPLORED) <= set(choices.FILLS)
    assert set(choices.FORMATS) == {*video.CODECS, "gif"}
    assert set(choices.COMPARED_PANELS) <= set(choices.PANELS)
    assert list(choices.RECIPES) == recipes.recipe_names()
    assert sorted(choices.DATA) == datasets.data_names()
    assert choices.EXPLORED == page.FILLS
    assert choices.TOURS == views.KINDS
    assert choices.STUDIES == (study.CURVES, *study._STUDIES)
    assert choices.PANELS == tuple(curves.CHARTS) and curves.PANELS == choices.FILM_PANELS
    assert choices.REPRODUCTIONS == tuple(reproduce.REPRODUCTIONS)
    options = commands.parser().parse_args(["animate", "run"])
    assert film_options(options)["lc"] is USUAL == LCOptions(), "so that a long film may sample fewer points"
    asked = film_options(commands.parser().parse_args(["animate", "run", "--lc-points", "1000"]))["lc"]
    assert asked is not USUAL and asked == USUAL
    assert set(choices.QUALITIES) == set(video.CODECS["mp4"][2]) and video.USUAL in choices.QUALITIES


@pytest.mark.parametrize(("said", "center"), [(["anchors"], "anchors"), (["3"], 3), (["0.5", "-1"], [0.5, -1.0])])
def test_centers_are_words_samples_or_points(said: list[str], center: object) -> None:
    assert film_options(commands.parser().parse_args(["animate", "run", "--center", *said]))["center"] == center
    with pytest.raises(DataError, match="--center: expected one word"):
        film_options(commands.parser().parse_args(["animate", "run", "--center", "anchors", "3"]))


@pytest.mark.parametrize("command", ("animate", "watch"))
def test_panels_reach_the_film(command: str) -> None:
    options = commands.parser().parse_args([command, "run", "--panels", "exact", "churn"])
    assert film_options(options)["panels"] == ["exact", "churn"]


REFUSED = {
    "unknown panels": ("animate ckpts --panels loss", "--panels: invalid choice: 'loss'"),
    "no command": ("", "required: COMMAND"),
    "unknown command": ("draw ckpts", "invalid choice: 'draw'"),
    "two anchors": ("animate ckpts --anchors 0 1", "--anchors: expected 3 arguments"),
    "a name as anchor": ("animate ckpts --anchors 0 1 two", "expected a training sample's number, class:NAME or a file"),
    "a negative anchor": ("animate ckpts --anchors 0 1 -2", "got '-2'"),
    "anchors that swallow the run": ("animate --anchors 0 1 ckpts", "RUN stands before it"),
    "no run": ("animate --anchors 0 1 2", "required: RUN"),
    "a window without width": ("animate ckpts --window 0", "expected a positive number, got '0'"),
    "a window without number": ("animate ckpts --window nan", "expected a positive number, got 'nan'"),
    "a size without x": ("animate ckpts --size 1080", "expected WIDTHxHEIGHT, 64 to 8192 pixels each, such as 1280x720"),
    "a size too small": ("animate ckpts --size 10x10", "expected WIDTHxHEIGHT"),
    "an unknown format": ("animate ckpts --format avi", "invalid choice: 'avi'"),
    "two numbers of points": ("animate ckpts --lc-points 10 20", "--lc-points: expected one number or three, got 2"),
    "no job": ("animate ckpts --jobs 0", "expected a whole number from 1 up, got '0'"),
    "an unknown recipe": ("train --recipe cifar", "invalid choice: 'cifar'"),
    "fewer than no steps": ("train --steps -1", "expected a whole number from 0 up, got '-1'"),
    "a picture of no kind": ("partition ckpts --out a.bmp", "expected a file ending in .npz, .png, .pdf, .svg, got 'a.bmp'"),
    "a figure that is no picture": ("figure ckpts --out a.npz", "expected a file ending in .png, .pdf, .svg, got 'a.npz'"),
    "a zoom without size": ("figure ckpts --zoom 0 1", "--zoom: expected 3 arguments"),
    "a resolution that no memory holds": ("figure ckpts --dpi 100000", "expected 10 to 2400 pixels an inch, got '100000'"),
    "a width of nothing": ("figure ckpts --width wide", "expected a positive number, got 'wide'"),
    "a file as the model": ("animate ckpts --model net.onnx --data mnist", "an .onnx file holds its network and is named"),
    "weights as the model": ("animate ckpts --model a/net.pth --data mnist", "weights are named in the place of RUN"),
    "an unknown model": ("animate ckpts --model cnn --data mnist", "expected mlp or package.module:function, got 'cnn'"),
    "half a flag": ("animate ckpts --anch 0 1 2", "unrecognized arguments"),
}


@pytest.mark.parametrize(("line", "message"), REFUSED.values(), ids=list(REFUSED))
def test_a_wrong_flag_says_what_was_expected(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        commands.parser().parse_args(line.split())
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_names_of_looks_are_those_of_the_rooms_that_own_them() -> None:
    assert choices.FILLS == fills.NAMES
    assert choices.PALETTES == tuple(fills.PALETTES)
    assert (choices.STYLES, choices.WIDTHS) == (tuple(print_figure.STYLES), tuple(print_figure.WIDTHS))


def test_values_arrive_checked() -> None:
    options = commands.parser().parse_args(
        "animate ckpts --anchors 5 17 40 --window 2.5 --size 1280x720 --format gif webm --steps 0 10 --jobs 2".split()
    )
    assert options.anchors == [5, 17, 40]
    assert commands.parser().parse_args("info ckpts".split()).run == Path("ckpts")
    assert commands.parser().parse_args("animate ckpts --anchors class:4 7 class:4".split()).anchors == [
        "class:4",
        7,
        "class:4",
    ]
    assert options.window == 2.5
    assert commands.parser().parse_args("animate ckpts --lc-points 10 20 30".split()).lc_points == (10, 20, 30)
    assert commands.parser().parse_args("animate ckpts --lc-points 10".split()).lc_points == 10
    assert options.size == (1280, 720)
    assert options.format == ["gif", "webm"]
    assert options.steps == [0, 10]
    assert options.run == Path("ckpts") and options.out == Path("out")


def test_a_look_that_contradicts_itself_is_refused_before_any_work() -> None:
    from splineviz.commands import resolve
    from splineviz.errors import DataError

    def look(**given: Any) -> Any:
        plain = {"fill": "slope", "cmap": None, "limits": None, "edge_color": "black", "no_knots": False}
        return resolve.look(argparse.Namespace(**{**plain, "boundary_only": False, **given}))

    assert look() == {"fill": "slope", "cmap": None, "limits": None, "edge_color": "black"}
    assert look(boundary_only=True)["fill"] == look(boundary_only=True)["edge_color"] == "none"
    assert look(no_knots=True)["edge_color"] == "none" and look(limits=[0.1, 2.0])["limits"] == (0.1, 2.0)
    assert look(cmap="magma")["cmap"] == "magma"
    for given, said in (
        ({"cmap": "magna"}, "did you mean magma"),
        ({"limits": [2.0, 1.0]}, "0 < LOW < HIGH"),
        ({"limits": [0.0, 1.0]}, "0 < LOW < HIGH"),
        ({"limits": [0.0, 1.0], "fill": "class"}, "a fill with a scale"),
        ({"boundary_only": True, "fill": "class"}, "--no-knots keeps the fill"),
        ({"no_knots": True, "edge_color": "layer"}, "expected knots to colour"),
    ):
        with pytest.raises(DataError, match=said):
            look(**given)


@pytest.mark.parametrize("command", ["animate", "watch"])
def test_near_and_center_reach_the_film(command: str) -> None:
    words = [command, "run", "--near", "0.05", "--center", "2", "--lc-wide", "0.1"]
    options = film_options(commands.parser().parse_args(words))
    assert options["near"] == 0.05 and options["center"] == 2 and options["lc"].wide == 0.1
    assert film_options(commands.parser().parse_args([command, "run"]))["near"] is None
    there = film_options(commands.parser().parse_args([command, "run", "--center", "0.5", "-1"]))
    assert there["center"] == [0.5, -1.0]
    with pytest.raises(DataError, match="--center: expected one word"):
        film_options(commands.parser().parse_args([command, "run", "--center", "1", "boundary"]))


@pytest.mark.parametrize("wrong", ["0", "-0.1", "1.5", "near"])
def test_what_is_no_share_is_not_near(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        commands.parser().parse_args(["study", "run", "--near", wrong])
    assert "--near" in capsys.readouterr().err
