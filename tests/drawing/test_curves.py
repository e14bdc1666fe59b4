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


def test_a_band_neither_makes_an_axis_logarithmic_nor_reaches_below_zero() -> None:
    """Few points: the band's lower end is nearly 0, or below it."""
    for low in (1e-9, -3.0):
        table = [{"step": float(k), "lc_train": 4.0 + k, "lc_train_band": 4.0 + k - low} for k in range(4)]
        _, ax = plt.subplots()
        shown = curves.present(table, curves.COMPLEXITY)
        artists = curves.plot_curves(ax, table, shown)
        curves.value_axis(ax, table, shown)
        assert ax.get_yscale() == "linear"
        assert ax.get_ylim()[0] == 0.0
        assert artists[0].get_paths()[0].vertices[:, 1].min() >= 0.0
        plt.close("all")


def test_values_decades_apart_are_logarithmic_with_or_without_a_band() -> None:
    table = [{"step": float(k), "regions": 10.0 ** (2 * k), "regions_band": 0.5} for k in range(4)]
    _, ax = plt.subplots()
    curves.value_axis(ax, table, curves.REGIONS)
    assert ax.get_yscale() == "log" and 0 < ax.get_ylim()[0] <= 1.0
    plt.close("all")
