"""Colours: what must be told apart, for normal, protan, deutan and tritan readers and in grey print."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from splineviz.drawing import curves, draw, fills

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
READERS = {
    "normal": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])


def lab(colors: Sequence[str], reader: str) -> np.ndarray:
    """CIE L*a*b* of colours as a reader sees them."""
    rgb = np.array([to_rgb(color) for color in colors])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ READERS[reader].T, 0.0, 1.0) @ XYZ.T / XYZ.sum(axis=1)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def least(points: np.ndarray) -> float:
    """The smallest difference of two of them."""
    return min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(points, 2))


def test_the_measure_knows_what_a_protanope_confuses() -> None:
    confused = ["#ff0000", "#5d5200"]  # bright red and its dark brown
    assert least(lab(confused, "normal")) > 60
    assert least(lab(confused, "protan")) < 20


@pytest.mark.parametrize("reader", READERS)
def test_colours_of_classes_stay_apart(reader: str) -> None:
    table = lab(fills.CLASS_COLORS, reader)
    assert least(table) > 16
    for first, second in ((7, 9), (0, 6)):
        assert np.linalg.norm(table[first] - table[second]) > 17
    red = lab([draw.BOUNDARY_COLOR], reader)[0]
    assert np.linalg.norm(table - red, axis=1).min() > 25, "the boundary stands out on every class"


def test_colours_of_classes_differ_in_grey_print_and_carry_black_knots() -> None:
    light = np.sort(lab(fills.CLASS_COLORS, "normal")[:, 0])
    assert np.diff(light).min() > 3.0
    assert light[0] > 55 and light[-1] < 92


@pytest.mark.parametrize("name", ["accuracy", "complexity", "migration", "variation", "units", "exact"])
@pytest.mark.parametrize("reader", READERS)
def test_curves_of_a_panel_stay_apart(name: str, reader: str) -> None:
    chosen = curves.CHARTS[name].curves
    assert least(lab([color for _, _, color in chosen], reader)) > 25
    lines = [str(curves.line_of(column)) for column, _, _ in chosen]
    assert len(set(lines)) == len(lines), "each has a line of its own"


@pytest.mark.parametrize("name", ["accuracy", "complexity", "migration", "variation", "units", "exact"])
def test_curves_of_a_panel_differ_in_lightness_alone(name: str) -> None:
    light = np.sort(lab([color for _, _, color in curves.CHARTS[name].curves], "normal")[:, 0])
    assert np.diff(light).min() > 12
    assert light[-1] < 77, "seen on white paper"


def test_zero_and_missing_differ_from_each_other_and_from_paper() -> None:
    for reader in READERS:
        assert least(lab([matplotlib.colors.to_hex(c) for c in (fills.ZERO_COLOR, fills.BAD_COLOR, (1, 1, 1))], reader)) > 8


def test_names_above_a_panel_show_their_lines() -> None:
    figure = Figure(figsize=(4, 3))
    ax = figure.subplots()
    curves.name_curves(ax, curves.COMPLEXITY, 9.0)
    box = ax.artists[-1]
    drawn = [artist for artist in box.findobj(matplotlib.lines.Line2D)]
    assert len(drawn) == 3 and len({artist.get_linestyle() + str(artist._dash_pattern) for artist in drawn}) == 3
