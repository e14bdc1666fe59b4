"""The settings of the local complexity: each is an argument of what measures, or says how many points there are."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from splineviz.metrics.complexity import Sampling
from splineviz.metrics.options import LCOptions, columns_of


def test_every_setting_is_an_argument_of_what_measures() -> None:
    known = {field.name for field in fields(Sampling)} | {"radius"}
    assert {field.name for field in fields(LCOptions)} - known == {"points", "wide"}


def test_the_second_radius_has_the_settings_of_the_first() -> None:
    beside = LCOptions(radius=0.3, num_vectors=2, seed=4, wide=0.7).beside
    assert beside == LCOptions(radius=0.7, num_vectors=2, seed=4, wide=None)
    assert LCOptions(radius=0.05).beside is None and LCOptions(wide=None).beside is None, "none, or the first again"
    assert LCOptions().settings((28, 28)) == {"radius": 0.005, "num_vectors": 25, "wide": 0.05}
    assert LCOptions(wide=None).settings((2,)) == {"radius": 0.005, "num_vectors": 2}


def test_points_are_one_number_or_three() -> None:
    assert [LCOptions(points=7).most(place) for place in ("train", "test", "random")] == [7, 7, 7]
    assert [LCOptions(points=(1, 2, 3)).most(place) for place in ("train", "test", "random")] == [1, 2, 3]


def test_columns_are_named_by_place() -> None:
    from small_runs import network, samples

    found = LCOptions(radius=0.3, num_vectors=2).measured(network(), {"test": samples()[0]})
    row = columns_of(found, live=True)
    assert set(row) == {"lc_test", "lc_test_band", "lc_test_live"}
    assert row["lc_test"] == found["test"].mean and np.isfinite(list(row.values())).all()
