"""The window and the cost of a film before any work: what is chosen holds what it says, and small films pass unsaid."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import relu_network
from small_runs import network, write_run

from splineviz.drawing import captions
from splineviz.errors import DataError
from splineviz.metrics.options import USUAL
from splineviz.regions.crossings import seen
from splineviz.regions.enumerate import partition
from splineviz.training.recorder import Recorder
from splineviz.training.runs import Run, open_run
from splineviz.workflows import preflight
from splineviz.workflows.preflight import plot_course, square


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of a network with some thousand regions round the anchors, whose boundary crosses their triangle."""
    folder = tmp_path_factory.mktemp("run") / "ckpts"
    model = relu_network(3, 2, 40, 40, 3).double()
    rng = np.random.default_rng(0)
    x = torch.as_tensor(rng.normal(0.0, 1.5, (30, 2)))
    model.eval()
    recorder = Recorder(folder, model, train=(x, model(x).argmax(dim=1)))
    for step in (0, 5, 50):
        recorder.save(step)
        with torch.no_grad():
            model[2].bias.add_(0.05)
    return open_run(folder)


def anchors_of_two_classes(run: Run) -> list[int]:
    classes = run.program(run.checkpoints[-1])(torch.as_tensor(run.train_x)).argmax(dim=1).tolist()
    other = next(i for i, c in enumerate(classes) if c != classes[0])
    return [0, other, next(i for i in range(1, 30) if i != other)]


def test_a_small_film_is_of_what_was_asked_for_and_nothing_is_said(run):
    for window in (None, 0.5, square(np.zeros(2), 1.0)):
        course = plot_course(run, [0, 1, 2], window=window, lc=USUAL)
        assert course.window is window and course.lc is USUAL and not course.notes and not course.chosen


def test_few_points_show_no_more_regions_than_there_are(run):
    plane = run.plane([0, 1, 2])
    program = run.program(run.checkpoints[0])
    assert 1.0 < seen(program, plane) < partition(program, plane).num_regions


def test_out_of_reach_a_window_on_the_boundary_holds_what_it_says(run, monkeypatch):
    anchors = anchors_of_two_classes(run)
    monkeypatch.setattr(preflight, "A_REGION", {True: 1.0, False: 1.0})
    monkeypatch.setattr(preflight, "A_POINT", {True: 1.0, False: 1.0})
    monkeypatch.setattr(preflight, "FEW", 100)
    course = plot_course(run, anchors, lc=USUAL)
    assert course.chosen and course.lc == replace(USUAL, points=20)
    assert re.search(r"which holds about \d+ regions; it lies on the decision boundary", course.notes[0])
    assert "20 points" in course.notes[1]
    plane = run.plane(anchors)
    usual, half = np.ptp(plane.window(None)[:, 0]), np.ptp(course.window[:, 0])
    assert half < usual
    found = [partition(run.program(one), plane, window=course.window) for one in run.checkpoints]
    assert all(25 < one.num_regions < 300 for one in found)
    several = [len(np.unique(one.classes().label)) > 1 for one in found]
    assert several[-1], "the last step's boundary runs through it"
    assert sum(several) > 1, "and that of another checkpoint"
    assert f"at {sum(several)} of the last {len(several)} checkpoints" in course.notes[0], "what is said is what is seen"
    assert np.allclose(plot_course(run, anchors, lc=USUAL).window, course.window, rtol=0, atol=0), "the same again"
    mine = replace(USUAL, points=500)
    assert plot_course(run, anchors, lc=mine).lc == mine, "what was asked for stays"
    assert plot_course(run, anchors, window=0.5, lc=mine).window == 0.5


def test_regions_and_center_choose_the_window(run):
    anchors = anchors_of_two_classes(run)
    plane = run.plane(anchors)
    for center in (None, "anchors", "boundary", anchors[1], (0.25, -0.5)):
        course = plot_course(run, anchors, regions=150, center=center, lc=None)
        middle = course.window.mean(axis=0)
        expected = {None: plane.window(None).mean(axis=0), "anchors": plane.window(None).mean(axis=0),
                    anchors[1]: plane.anchors_uv[1], (0.25, -0.5): (0.25, -0.5)}.get(center)  # fmt: skip
        if expected is not None:
            np.testing.assert_allclose(middle, expected, atol=1e-12)
        counts = [partition(run.program(one), plane, window=course.window).num_regions for one in run.checkpoints]
        assert max(counts) < 400 and course.chosen
    whole = plot_course(run, anchors, center=anchors[0])
    assert np.ptp(whole.window[:, 0]) == pytest.approx(np.ptp(plane.window(None)[:, 0]))
    half = plot_course(run, anchors, window=0.25, center=anchors[0])
    np.testing.assert_allclose(half.window, square(plane.anchors_uv[0], 0.25))


def test_a_long_film_says_how_long_and_what_would_be_shorter(run, monkeypatch):
    monkeypatch.setattr(preflight, "LONG", 1e-3)
    monkeypatch.setattr(preflight, "AIM", 1e-4)
    (note,) = plot_course(run, [0, 1, 2], lc=USUAL).notes
    assert "this film will take about" in note and "--regions 1000" in note and "--lc-points" in note
    with pytest.warns(RuntimeWarning, match="splineviz: this film will take"):
        plot_course(run, [0, 1, 2], lc=USUAL).tell()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"window": 1.0, "regions": 50}, "window: expected none beside regions"),
        ({"window": square(np.zeros(2), 1.0), "center": "anchors"}, "window: expected none beside center"),
        ({"regions": 1}, "regions: expected a number of at least 2"),
        ({"center": 29}, r"center: expected one of the anchors \[0, 1, 2\], got 29"),
        ({"center": "middle"}, "center: expected 'anchors', 'boundary'"),
        ({"center": (1.0, np.nan)}, "center: expected"),
    ],
)
def test_contradictions_are_refused(run, asked, words):
    with pytest.raises(DataError, match=words):
        plot_course(run, [0, 1, 2], **asked)


def test_one_class_everywhere_is_said(tmp_path: Path):
    model = network()
    with torch.no_grad():
        model[-1].bias += torch.tensor([100.0, 0.0, 0.0])
    write_run(tmp_path / "ckpts", model=model)
    run = open_run(tmp_path / "ckpts")
    course = plot_course(run, [0, 1, 2], regions=3, center="boundary")
    np.testing.assert_allclose(course.window.mean(axis=0), run.plane([0, 1, 2]).window(None).mean(axis=0))
    assert "no decision boundary was found" in preflight._Survey(run, [0, 1, 2]).middle("boundary")[1]


def test_times_and_numbers_are_said_in_round_units():
    assert [captions.duration(s) for s in (0.2, 59, 125, 4000, 8000, 2e5)] == [
        "1 seconds", "59 seconds", "2 minutes", "67 minutes", "2 hours", "2 days",
    ]  # fmt: skip
    assert [preflight._down(x) for x in (0.123456, 1.0, 12.3456, 0.099999)] == [0.123, 1.0, 12.3, 0.0999]


def test_warnings_stay_away_from_small_films(run):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_course(run, [0, 1, 2], lc=USUAL).tell()


def test_what_a_window_does_not_show_is_said(run):
    plane = run.plane((0, 1, 2))
    program = run.program(run.checkpoints[-1])
    near, far = (partition(program, plane, window=preflight.window_round(run, (0, 1, 2), c, 0.5)) for c in (1, [90.0, 90.0]))
    np.testing.assert_allclose(near.window.mean(axis=0), plane.anchors_uv[1], atol=1e-12)
    assert np.ptp(near.window, axis=0).tolist() == pytest.approx([1.0, 1.0])
    assert captions.unseen(near, [0.0, 3.0]) == "" and captions.unseen(near, [float("nan")]) == ""
    assert captions.unseen(near, [0.0, 0.0]).startswith("no decision boundary in view at any checkpoint: --center")
    assert captions.unseen(far, [0.0]).startswith("no anchor and no decision boundary in view: --center")
    assert captions.unseen(far, [1.0], chosen=True) == "", "that was said when it was chosen"
