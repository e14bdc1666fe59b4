"""Fills: what each one says of a region, and palettes that everyone can read."""

from __future__ import annotations

from dataclasses import replace

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
import torch
from arrangement import jittered_grid, lines_in_square
from matplotlib import colors as mpl_colors
from matplotlib.figure import Figure
from pictures import compare, pixels
from torch import nn

from splineviz.drawing import draw, fills
from splineviz.geometry.plane import Plane
from splineviz.metrics import diamonds
from splineviz.regions.enumerate import partition as cut

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
DEFICIENT = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


def linear(rgb: np.ndarray) -> np.ndarray:
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lightness(rgb: np.ndarray) -> np.ndarray:
    """CIE L* of sRGB colours."""
    y = linear(rgb) @ [0.2126, 0.7152, 0.0722]
    return 116 * np.cbrt(y) - 16


@pytest.mark.parametrize("name", fills.PALETTES)
def test_a_palette_keeps_its_order_in_grey_print_and_for_colour_blind_readers(name):
    colors = fills.PALETTES[name](np.linspace(0, 1, 64))[:, :3]
    assert (np.diff(lightness(colors)) > 0).all()
    assert np.ptp(lightness(colors)) > 30
    assert lightness(colors).min() > 40  # black knots stand out on all of it
    for matrix in DEFICIENT.values():
        seen = np.clip(linear(colors) @ np.array(matrix).T, 0, 1) @ [0.2126, 0.7152, 0.0722]
        assert (np.diff(seen) > 0).all()


def test_the_colors_of_classes_stay_apart_for_colour_blind_readers():
    table = linear(np.array([mpl_colors.to_rgb(color) for color in fills.CLASS_COLORS]))
    for matrix in (np.eye(3), *map(np.array, DEFICIENT.values())):
        seen = np.cbrt(np.clip(table @ matrix.T, 0, 1))
        gaps = np.linalg.norm(seen[:, None] - seen[None], axis=2)[~np.eye(len(table), dtype=bool)]
        assert gaps.min() > 0.02


def test_color_limits_hold_the_stated_share_of_the_area():
    partition = jittered_grid(30)
    low, high = fills.color_limits(partition, share=0.9)
    inside = (partition.slope_norms >= low) & (partition.slope_norms <= high)
    assert partition.areas[inside].sum() / partition.areas.sum() == pytest.approx(0.9, abs=0.02)


def test_a_pattern_keeps_its_color():
    keys = np.array([5, 5, 77], dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    colors = fills.hash_colors(keys)
    assert (colors[0] == colors[1]).all() and np.abs(colors[0] - colors[2]).max() > 0.02


def test_classes_and_patterns_keep_their_colors_whatever_else_is_there():
    some, others = lines_in_square(4, seed=1), lines_in_square(19, seed=2)
    shared = some.pattern_hash[:3]
    others = replace(others, pattern_hash=np.concatenate([others.pattern_hash[:-3], shared]))
    np.testing.assert_array_equal(fills.colors(some, "hash")[0][:3], fills.colors(others, "hash")[0][-3:])
    for part in (some, others):
        got = fills.colors(part, "class")[0]
        expected = [mpl_colors.to_rgb(fills.CLASS_COLORS[k]) for k in part.classes().label]
        np.testing.assert_allclose(got, expected)


def test_face_classes_and_margins_are_those_of_the_parts():
    partition = lines_in_square(8)
    classes, margins, parts = fills.face_classes(partition), fills.face_margins(partition), partition.classes()
    assert len(parts.extra) > 0
    for f in range(partition.num_regions):
        top = np.sort(partition.outputs[partition.face(f)].mean(axis=0))
        mine = np.flatnonzero(parts.face == f)
        if len(mine) == 1:
            assert classes[f] == partition.outputs[partition.face(f)].mean(axis=0).argmax()
            assert margins[f] == pytest.approx(top[-1] - top[-2])
        else:
            assert classes[f] == parts.label[mine[parts.areas[mine].argmax()]]
    single = replace(partition, outputs=partition.outputs[:, :1])
    assert (fills.face_margins(single) >= 0).all()


def test_a_smaller_margin_is_nearer_to_white():
    partition = lines_in_square(20)
    margins, classes = partition.classes().margins, partition.classes().label
    faces = fills.colors(partition, "margin")[0]
    full = fills.colors(partition, "class")[0]
    for kind in range(3):
        mine = np.flatnonzero(classes == kind)
        order = mine[np.argsort(margins[mine])]
        assert (np.diff(np.abs(1 - faces[order]).sum(axis=1)) >= -1e-12).all()
    assert (faces >= full - 1e-12).all() and (faces < 1).any(axis=1).all()


def test_the_layer_of_birth_is_that_of_the_last_cut():
    """Cut by the first layer alone, then by both: a region that the second layer left whole keeps its layer."""
    import torch

    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(2, 7), nn.ReLU(), nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 2))
    plane = Plane(np.zeros(2), np.eye(2))
    both = cut(model, plane, window=2.0)
    first = cut(nn.Sequential(*model[:2], nn.Linear(7, 2)), plane, window=2.0)
    layers = fills.face_layers(both)
    pieces = np.unique(layers, return_counts=True)
    assert set(pieces[0]) == {0, 1}
    whole = sum(np.isclose(first.areas, area, rtol=1e-9).any() for area in both.areas[layers == 0])
    assert whole == (layers == 0).sum()
    assert not np.isclose(first.areas[:, None], both.areas[layers == 1], rtol=1e-6).any()


def test_a_window_without_knots_has_no_layer():
    partition = lines_in_square(0)
    assert fills.face_layers(partition).tolist() == [-1]
    assert fills.colors(partition, "layer")[0].tolist() == [list(fills.BAD_COLOR)]


def test_layers_are_counted_from_0_as_in_python():
    paths = ("1", "encoder.layers.3", "$x$")
    partition = replace(lines_in_square(9), unit_offsets=np.array([0, 3, 6, 9]), layer_paths=paths)
    marks, texts = fills.ticks("layer", fills.scale(partition, "layer"), paths=paths)
    assert marks == [0, 1, 2] and texts[:2] == ["0 · 1", "1 · encoder.layers.3"]
    assert fills.ticks("layer", fills.scale(partition, "layer"), names=["cat", "dog"])[1] == ["0", "1", "2"]
    colours, norm, table = fills.colors(partition, "layer")
    face = int((fills.face_layers(partition) == 1).argmax())
    assert table(norm(1))[:3] == pytest.approx(colours[face]), "the bar's step of a layer has the layer's colour"
    assert fills.layer_names(partition, lambda name: True)[:2] == ["layer 0 · 1", "layer 1 · encoder.layers.3"]
    assert fills.layer_names(partition, lambda name: len(name) <= 14)[:2] == ["layer 0 · 1", "layer 1 · …s.3"]
    assert fills.layer_names(partition, lambda name: len(name) <= 8) == ["layer 0", "layer 1", "layer 2"]
    assert fills.layer_names(replace(partition, layer_paths=()), lambda name: True) == ["layer 0", "layer 1", "layer 2"]


def test_knots_of_deeper_layers_are_brighter():
    partition = replace(lines_in_square(9), unit_offsets=np.array([0, 3, 6, 9]))
    inks = fills.knot_colors(partition)
    light = [lightness(inks[partition.edge_unit[:, 0] == layer]).mean() for layer in range(3)]
    assert light[0] < light[1] < light[2]


def test_palettes_by_name():
    assert fills.palette(None) is fills.CMAP is fills.palette("viridis")
    assert fills.palette("grey") is fills.PALETTES["grey"]
    assert fills.palette("coolwarm").name == "coolwarm"
    with pytest.raises(ValueError, match="a name or a matplotlib colour map, got 3"):
        fills.palette(3)
    with pytest.raises(ValueError, match=r"got 'virids'; did you mean viridis"):
        fills.palette("virids")


@pytest.mark.parametrize("name", ["magma", "inferno", "plasma", "gray", "coolwarm", "tab10", "turbo", "hot", "Blues"])
def test_knots_stand_out_on_every_palette_that_is_named(name):
    got = fills.palette(name)
    table = got(np.linspace(0, 1, 64))[:, :3]
    assert lightness(table).min() > 45
    source = matplotlib.colormaps[name](np.linspace(0, 1, 64))[:, :3]
    order = np.argsort(lightness(source), kind="stable")
    if name in ("magma", "inferno", "plasma", "gray", "hot", "Blues"):  # those that are ordered
        assert (np.diff(lightness(table)[order]) > -1e-9).all(), "the order of its lightness stays"
    if lightness(source).min() > fills.DARKEST:
        np.testing.assert_allclose(table, source, atol=0.01)


def test_zero_has_a_colour_of_its_own_and_no_place_on_the_scale(found):
    values = np.array(found.slope_norms)
    outputs = found.outputs.copy()
    outputs[found.face(0)] = 0.0
    dead = replace(found, outputs=outputs)
    faces, norm, cmap = fills.colors(dead, "slope")
    zero = dead.slope_norms == 0
    assert zero[0] and values.min() >= 0
    np.testing.assert_allclose(faces[zero], [fills.ZERO_COLOR] * int(zero.sum()))
    assert norm.vmin > 0
    np.testing.assert_allclose(cmap.get_under()[:3], fills.ZERO_COLOR)
    for table in fills.PALETTES.values():
        gaps = np.abs(table(np.linspace(0, 1, 256))[:, :3] - fills.ZERO_COLOR).max(axis=1)
        assert gaps.min() > 0.04


@pytest.mark.parametrize("fill", fills.LOGARITHMIC)
def test_scaled_fills_have_limits(fill):
    low, high = fills.color_limits(lines_in_square(12), fill=fill)
    assert 0 < low < high
    with pytest.raises(ValueError, match="for a colour scale, got 'hash'"):
        fills.color_limits(lines_in_square(3), fill="hash")


@pytest.fixture(scope="module")
def found():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(2, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 3)).double()
    return cut(model, Plane(np.zeros(2), np.eye(2)), window=1.0)


def test_active_units_are_counted_over_layers_and_gray_where_they_are_not_known(found):
    expected = found.active_units.sum(axis=1)
    _, norm, _ = fills.colors(found, "active", limits=(0.0, 40.0))
    assert type(norm) is mpl_colors.Normalize
    by_name, by_value = (fills.colors(found, fill, limits=(0.0, 40.0))[0] for fill in ("active", expected.astype(float)))
    np.testing.assert_array_equal(by_name, by_value)
    unknown = replace(found, seed_face=-1)
    with pytest.raises(ValueError, match="that tells which units are on, got one of a network with maxima"):
        fills.colors(unknown, "active")


def test_linear_scales_hold_the_middle_of_the_area_zeros_too(found):
    low, high = fills.shared_limits([found, found], fill="lc")
    values = diamonds.complexities(found)
    assert 0 <= low <= 1 < high <= values.max()
    inside = (values >= low) & (values <= high)
    assert found.areas[inside].sum() > 0.97 * found.areas.sum()


@pytest.mark.parametrize("fill", ["active", "lc"])
def test_golden_fills_of_a_network(found, fill):
    figure = Figure(figsize=(2.4, 2.4), dpi=100)
    ax = figure.add_axes((0.02, 0.02, 0.96, 0.96))
    draw.regions(found, ax=ax, fill=fill)
    draw.boundary(found, ax=ax)
    ax.set(xticks=[], yticks=[])
    compare(f"fill-{fill}", pixels(figure))


def test_noise_sets_no_colour_scale() -> None:
    """Regions where the network is constant have slopes of rounding: they are 0, and have no place on the scale."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 3)).double()
    with torch.no_grad():
        network[2].bias -= 0.6
    found = cut(network, Plane.through([0.0, 0], [1.0, 0], [0.0, 1]), window=2.0)
    x = torch.from_numpy(found.plane.embed(found.centroids)).requires_grad_()
    slopes = torch.stack([torch.autograd.grad(network(x)[:, k].sum(), x)[0] for k in range(3)])
    np.testing.assert_array_equal(found.slope_norms == 0.0, (slopes == 0).all(dim=2).all(dim=0).numpy())
    low, high = fills.color_limits(found)
    assert low > 1e-6 * high
