"""Curves: columns with gaps, which curves are shown, and axes that hold them."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from splineviz.drawing import curves

ROWS = [{"step": 0.0, "regions": 5.0}, {"step": 10.0, "regions": 9.0, "lc_train": 2.0, "lc_train_band": 0.5}]


def test_a_column_is_nan_where_a_row_has_no_value() -> None:
    np.testing.assert_array_equal(curves.column(ROWS, "lc_train"), [np.nan, 2.0])


def test_only_curves_with_values_are_present() -> None:
    assert [name for name, _, _ in curves.present(ROWS, curves.COMPLEXITY)] == ["lc_train"]
    assert curves.present(ROWS, curves.ACCURACY) == ()


@pytest.mark.parametrize("first", (0.0, 1.0))
def test_step_0_has_its_place_where_there_is_one(first: float) -> None:
    _, ax = plt.subplots()
    steps = np.array([first, 10.0, 1000.0])
    curves.step_axis(ax, steps)
    assert ax.get_xscale() == ("symlog" if first == 0 else "log")
    assert ax.get_xlim()[0] < first and ax.get_xlim()[1] > 1000
    assert (0.0 in ax.get_xticks()) == (first == 0)
    plt.close("all")


def test_the_value_axis_holds_curve_and_band() -> None:
    _, ax = plt.subplots()
    shown = curves.present(ROWS, curves.COMPLEXITY)
    artists = curves.plot_curves(ax, ROWS, shown)
    curves.value_axis(ax, ROWS, shown)
    low, high = ax.get_ylim()
    assert low < 1.5 and high > 2.5
    assert len(artists) == 2, "the band and the line"
    plt.close("all")
