"""Looks: equal ones have equal digests, others have others; what is not known is refused."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import fields, replace

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from matplotlib.colors import LinearSegmentedColormap, ListedColormap

from splineviz import choices
from splineviz.drawing import draw
from splineviz.drawing.look import Look
from splineviz.errors import DataError


def fresh() -> LinearSegmentedColormap:
    return LinearSegmentedColormap.from_list("mine", ["#000000", "#ff8800", "#ffffff"])


def test_a_colour_map_counts_by_its_colours() -> None:
    assert str(fresh()) != str(fresh()), "its text is its address"
    assert Look(cmap=fresh()).digest == Look(cmap=fresh()).digest
    assert Look(cmap=fresh()).digest != Look(cmap=fresh().reversed()).digest
    table = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5], [1.0, 1.0, 1.0]]
    assert Look(cmap=ListedColormap(table)).digest == Look(cmap=ListedColormap(np.array(table))).digest
    other = ListedColormap(table).with_extremes(bad="red")
    assert Look(cmap=ListedColormap(table)).digest != Look(cmap=other).digest


def test_the_digest_is_the_same_in_another_process() -> None:
    code = (
        "import numpy as np; from matplotlib.colors import LinearSegmentedColormap as L;"
        "from splineviz.drawing.look import Look;"
        "print(Look(cmap=L.from_list('mine', ['#000000', '#ff8800', '#ffffff']), edge_color=(1, 0, 0),"
        " thumbnails=[np.ones((2, 2)), None]).digest)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120)
    look = Look(cmap=fresh(), edge_color="red", thumbnails=[np.ones((2, 2)), None])
    assert done.stdout.strip() == look.digest, "and a colour counts by its numbers"


OTHERS = {
    "size": (640, 360), "fill": "area", "cmap": "grey", "limits": (1.0, 2.0), "edge_color": "layer", "line_width": 1.0,
    "panels": ("regions",), "thumbnails": [np.ones((2, 2))], "labels": ["a", "b", "c"], "fill_label": "x", "radius": 0.1,
    "num_vectors": 3, "wide": 0.2, "classes": ("cat", "dog"), "unit": "epoch",
}  # fmt: skip


@pytest.mark.parametrize("name", [field.name for field in fields(Look)])
def test_every_field_counts(name: str) -> None:
    assert replace(Look(), **{name: OTHERS[name]}).digest != Look().digest


def test_what_regions_takes_is_handed_on() -> None:
    taken = set(inspect.signature(draw.regions).parameters)
    assert set(Look().regions) == taken & {field.name for field in fields(Look)}
    assert Look(edge_color="red").regions["edge_color"] == "red" and {"fill", "cmap", "limits"} <= set(Look().regions)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fill": "colour"}, "fill: expected one of slope, .*, got 'colour'"),
        ({"cmap": "magna"}, "did you mean magma"),
        ({"panels": ("loss",)}, "panels: expected some of accuracy"),
        ({"size": (300, 300)}, "width >= 1.75 height"),
        ({"colour": "red"}, "look: expected some of size, .*, got colour"),
    ],
)
def test_refusals(options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Look.of(options)


def test_names_of_fills_are_the_choices() -> None:
    from splineviz.drawing import fills

    assert tuple(fills.FILLS) == choices.FILLS and all(fill.caption for fill in fills.FILLS.values() if fill.name != "none")
    assert all((fill.values is None) != (fill.paint is None) or fill.steps for fill in fills.FILLS.values())
