"""Captions: times that meet, numbers of the table, gaps left out."""

import numpy as np
from arrangement import rows

from splineviz.drawing.captions import alternative, captions


def test_cues_follow_each_other_and_the_last_one_stays() -> None:
    cues = captions(rows([0, 10, 100]), fps=4, hold=2.0).strip().split("\n\n")[1:]
    assert [cue.split("\n")[0] for cue in cues] == [
        "00:00:00.000 --> 00:00:00.250", "00:00:00.250 --> 00:00:00.500", "00:00:00.500 --> 00:00:02.500",
    ]  # fmt: skip
    assert "Step 100: " in cues[2] and "training accuracy 100%" in cues[2]


def test_times_of_a_long_film() -> None:
    assert "01:00:00.000 --> " in captions(rows(list(range(3602))), fps=1, hold=1.0)


def test_what_is_missing_is_not_said() -> None:
    table = [{"step": 0.0, "regions": 5.0, "test_accuracy": np.nan}, {"step": 3.0, "regions": 9.0}]
    assert captions(table, fps=1, hold=1).count("accuracy") == 0
    text = alternative(table)
    assert "There are 5 regions at first and 9 at last." in text
    assert "accuracy" not in text and "nan" not in text


def test_tweens_are_named() -> None:
    assert "NOTE 3 frames after each step show networks with interpolated weights." in captions(
        rows([0, 1]), fps=1, hold=1, tweens=3
    )


def test_the_whole_in_words() -> None:
    text = alternative(rows([0, 10, 1000]), fill="margin")
    assert "3 checkpoints from step 0 to step 1,000" in text
    assert "paler where the margin is small" in text and "Local complexity at training points is highest" in text


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
