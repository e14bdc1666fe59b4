"""Reslicing: the right network on the right plane, in a window of the same proportions, and refusals in words."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import STEPS, network, samples, write_run

import splineviz as sv
from splineviz.errors import CheckpointError, DataError, PlaneError
from splineviz.geometry.partition import Partition
from splineviz.viewer.reslicing import Slicer, moved

X = samples()[0]


@pytest.fixture(scope="module")
def first() -> Partition:
    return sv.partition(network(), sv.Plane.through(*X[:3]), window=2.0)


def test_a_model_is_cut_along_the_plane_through_other_samples(first: Partition) -> None:
    slicer = Slicer.of(first, (0,), model=network(), samples=X)
    plane = slicer.through([3, 4, 5])
    expected = sv.Plane.through(*X[3:6])
    np.testing.assert_array_equal(plane.anchors_uv, expected.anchors_uv)
    found = slicer.cut(0, plane)
    assert found.num_regions == sv.partition(network(), expected, window=slicer.window(expected)).num_regions
    found.verify(network())


def test_a_run_brings_its_networks_and_samples(tmp_path: Path) -> None:
    states = write_run(tmp_path / "ckpts")
    run = sv.open_run(tmp_path / "ckpts")
    first = sv.partition(run.program(run.checkpoints[0]), run.plane())
    for given in (run, tmp_path / "ckpts"):
        slicer = Slicer.of(first, STEPS, run=given)
        assert slicer.count == len(run.train_x)
        for step, state in zip(STEPS, states, strict=True):
            model = network()
            model.load_state_dict(state)
            found = slicer.cut(step, slicer.through([1, 2, 3]))
            found.verify(model)
    with pytest.raises(CheckpointError, match="step of a checkpoint, got 7; the nearest is 10"):
        slicer.cut(7, run.plane())


def test_the_window_keeps_its_proportions(first: Partition) -> None:
    slicer = Slicer.of(first, (0,), model=network())
    np.testing.assert_allclose(slicer.window(first.plane), first.window, atol=1e-12)
    plane = first.plane
    larger = moved(plane, 3.0 * plane.anchors_uv)
    np.testing.assert_allclose(slicer.window(larger), 3.0 * first.window, atol=1e-12)
    shifted = moved(plane, plane.anchors_uv + [5.0, -2.0])
    np.testing.assert_allclose(slicer.window(shifted), first.window + [5.0, -2.0], atol=1e-12)
    np.testing.assert_array_equal(shifted.origin, plane.origin)
    np.testing.assert_array_equal(shifted.basis, plane.basis)


REFUSED: dict[str, tuple[Any, str]] = {
    "both": (lambda first: Slicer.of(first, (0,), model=network(), run="x"), "a model or a run to slice again"),
    "one model, many steps": (lambda first: Slicer.of(first, (0, 1), model=network()), "step -> network for 2 steps"),
    "no model of a step": (
        lambda first: Slicer.of(first, (0, 1), model={0: network()}).cut(1, first.plane), "for step 1, got 0",
    ),
    "samples of another shape": (
        lambda first: Slicer.of(first, (0,), model=network(), samples=np.zeros((5, 3))),
        r"of shape \(n, 2, 2\), got \(5, 3\)",
    ),
    "no samples": (lambda first: Slicer.of(first, (0,), model=network()).through([0, 1, 2]), "expected a run, or samples="),
    "an unknown sample": (
        lambda first: Slicer.of(first, (0,), model=network(), samples=X).through([0, 1, 12]), "three numbers from 0 to 11",
    ),
    "two anchors": (lambda first: moved(first.plane, [[0, 0], [1, 1]]), r"anchors: expected three finite points \(u, v\)"),
}  # fmt: skip


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=list(REFUSED))
def test_refusals(call: Any, message: str, first: Partition) -> None:
    with pytest.raises(DataError, match=message):
        call(first)


def test_anchors_on_one_line_span_no_plane(first: Partition) -> None:
    with pytest.raises(PlaneError, match="got three on one line"):
        moved(first.plane, [[0, 0], [1, 1], [2, 2]])
