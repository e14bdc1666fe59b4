"""How rounding is measured, and how doubt about single units explains a pattern."""

from __future__ import annotations

import numpy as np
import pytest
from cases import dense, module
from oracle import splitmix64

from splineviz.geometry.plane import Plane
from splineviz.regions.enumerate import partition
from splineviz.regions.witness import SAFETY, Witness, _ratio, _splitmix64, _strips, spans
from splineviz.tracing.trace import trace

PLANE = Plane(np.zeros(2), np.eye(2))


def witness(scale: float = 1.0, seed: int = 61) -> Witness:
    network = module(dense(seed, 2, 30, 30, 2, scale=scale))
    return Witness(partition(network, PLANE, window=1.0), trace(network, (2,)), network)


def test_measured_rounding_covers_the_true_one_and_not_much_more() -> None:
    """The true rounding is the difference to extended precision."""
    subject = witness()
    local = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    subject.measure(local)
    z, _ = subject.values(subject.inputs(local), subject.program)
    h, exact = local.astype(np.longdouble), []
    for i in (0, 2):
        weight, bias = (subject.program.weights[f"{i}.{k}"].numpy().astype(np.longdouble) for k in ("weight", "bias"))
        exact.append(h @ weight.T + bias)
        h = np.maximum(exact[-1], 0)
    error = np.abs(z - np.concatenate(exact, axis=1)).max(axis=0)
    assert (error < subject.tolerance).all()
    assert (subject.tolerance < 1e3 * SAFETY * 2.0**-53 * np.abs(z).max(axis=0)).all()


@pytest.mark.parametrize("scale", [2.0**-20, 2.0**20])
def test_tolerances_scale_with_the_weights(scale: float) -> None:
    one, other = witness(), witness(scale)
    local = np.random.default_rng(0).uniform(-1, 1, (20, 2))
    one.measure(local)
    other.measure(local)
    np.testing.assert_allclose(other.tolerance[:30], scale * one.tolerance[:30], rtol=1e-6)


def test_hashes_are_splitmix() -> None:
    assert _splitmix64(np.array([1, 2, 10**6], np.uint64)).tolist() == [splitmix64(1), splitmix64(2), splitmix64(10**6)]


def test_doubtful_units_explain_exactly_their_combinations() -> None:
    words = [splitmix64(i) for i in range(1, 6)]
    assert spans(words, 0) and spans(words, words[0]) and spans(words, words[1] ^ words[4] ^ words[2])
    assert not spans(words, splitmix64(9)) and not spans([], 1) and not spans(words[:2], words[2])


def test_no_error_is_no_error_whatever_the_tolerance() -> None:
    np.testing.assert_array_equal(_ratio(np.array([0.0, 0.0, 2.0, 2.0]), np.array([0.0, 1.0, 1.0, 0.0])), [0, 0, 2, np.inf])


@pytest.mark.parametrize("count", [1, 5, 1000])
def test_strips_are_an_order_of_all_faces(count: int) -> None:
    points = np.random.default_rng(0).normal(size=(count, 2))
    assert sorted(_strips(points, 64).tolist()) == list(range(count))
