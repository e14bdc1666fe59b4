"""Captions: times that meet, numbers of the table, gaps left out."""

import numpy as np
import torch
from arrangement import rows

from splineviz.drawing.captions import alternative, alternative_of_runs, alternative_of_tour, captions, of_row, of_rows
from splineviz.drawing.look import Look
from splineviz.geometry.plane import Plane
from splineviz.regions.enumerate import partition


def test_cues_follow_each_other_and_the_last_one_stays() -> None:
    cues = captions([of_row(row) for row in rows([0, 10, 100])], rate=4, hold=2.0).strip().split("\n\n")[1:]
    assert [cue.split("\n")[0] for cue in cues] == [
        "00:00:00.000 --> 00:00:00.250", "00:00:00.250 --> 00:00:00.500", "00:00:00.500 --> 00:00:02.500",
    ]  # fmt: skip
    assert "Step 100: " in cues[2] and "training accuracy 100%" in cues[2]


def test_times_of_a_long_film() -> None:
    assert "01:00:00.000 --> " in captions([of_row(row) for row in rows(list(range(3602)))], rate=1, hold=1.0)


def test_what_is_missing_is_not_said() -> None:
    table = [{"step": 0.0, "regions": 5.0, "test_accuracy": np.nan}, {"step": 3.0, "regions": 9.0}]
    assert captions([of_row(row) for row in table], rate=1, hold=1).count("accuracy") == 0
    text = alternative(table)
    assert "There are 5 regions at first and 9 at last." in text
    assert "accuracy" not in text and "nan" not in text


def test_a_caption_goes_on_over_the_frames_between() -> None:
    cues = captions(["a", None, None, "b"], rate=3, hold=2.0, note="two between").strip().split("\n\n")[1:]
    assert cues == ["NOTE two between", "00:00:00.000 --> 00:00:01.000\na", "00:00:01.000 --> 00:00:03.000\nb"]


def test_the_whole_in_words() -> None:
    text = alternative(rows([0, 10, 1000]), fill="margin")
    assert "3 checkpoints from step 0 to step 1,000" in text
    assert "paler where the margin is small" in text and "Local complexity at training points is highest" in text


def test_runs_side_by_side_in_words() -> None:
    tables = [rows([0, 10]), rows([0, 10])]
    said = of_rows([table[1] for table in tables], ["plain", "wide"], ["", "gelu drawn as relu"])
    assert said.startswith("Step 10. plain: ") and "; wide: " in said and "(gelu drawn as relu)" in said
    text = alternative_of_runs(tables, ["plain", "wide"], fill="layer", layers=False)
    assert "2 networks, plain, wide," in text and "its layer of birth" in text and "wide has " in text
    assert "2 layers of one network" in alternative_of_runs(tables[:1], ["layer 0", "layer 1"], fill="slope", layers=True)


def test_a_tour_in_words() -> None:
    text = alternative_of_tour(rows([0, 10]), ("1 times", "9 times"), step=500, fill="slope", note="gelu drawn as relu")
    assert "at step 500, in 2 views, from 1 times to 9 times" in text and "gelu drawn as relu" in text


def test_a_text_speaks_of_nothing_that_is_not_in_the_picture() -> None:
    table = [{"step": 0.0, "regions": 4.0, "boundary_length": 0.0}, {"step": 9.0, "regions": 5.0, "boundary_length": 0.0}]
    text = alternative(table, anchors=0)
    assert "white star" not in text and "red line" not in text
    assert "None of the samples" in text or "none of the samples lies in the window" in text
    assert "one class takes all of it" in text
    some = [table[0], {**table[1], "boundary_length": 2.0}]
    assert "not in the window at every step" in alternative(some)
    assert "a white star marks the one sample" in alternative(some, anchors=1)
    bare = alternative(some, fill="none", knots=False)
    assert "colour" not in bare and "knots" not in bare and "The red line is the decision boundary" in bare


def test_a_window_away_from_all_samples_says_where_it_lies():
    """Its width and the distance to the nearest anchor are those of the plane; with a sample inside nothing is said."""
    plane = Plane.through([0.0, 0.0, 0.0], [3.0, 0.0, 0.0], [0.0, 4.0, 0.0])
    model = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2))
    at = plane.project(np.array([[1.5, 0.0, 0.0]]))[0]
    seen = Look().seen(partition(model, plane, window=at + 0.25 * np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])))
    assert seen == {"knots": True, "anchors": 0, "place": seen["place"]}
    assert seen["place"] == "The window is 0.5 wide and lies 1.5 from the nearest sample."
    text = alternative(rows([0, 10]), **seen)
    assert "1.5 from the nearest" in text and "white star" not in text
    assert Look().seen(partition(model, plane))["place"] == ""


def test_steps_that_count_epochs_are_called_so():
    text = alternative(rows([0, 10, 20]), unit="epoch")
    assert "from epoch 0 to epoch 20" in text and "step 20" not in text
    assert of_row(rows([3])[0], unit="epoch").startswith("Epoch 3: ")
    assert of_rows([rows([3])[0]] * 2, ["a", "b"], ["", ""], "checkpoint").startswith("Checkpoint 3. a: ")
