"""Phases: curves with a rise are told from noise, with bands and without."""

from __future__ import annotations

import numpy as np
import pytest

from splineviz.workflows.phases import BAND, moments, peak, phases

Table = list[dict[str, float]]


def curve(values: np.ndarray, sigma: float | None) -> Table:
    band = {} if sigma is None else {"lc_train_band": BAND * sigma}
    return [{"step": float(i), "lc_train": float(value), **band} for i, value in enumerate(values)]


@pytest.mark.parametrize("rows", [12, 44])
@pytest.mark.parametrize("sigma", [0.02, 3.0])
@pytest.mark.parametrize("banded", [True, False])
def test_pure_noise_has_no_phases(rows: int, sigma: float, banded: bool) -> None:
    rng = np.random.default_rng(7)
    found = [phases(curve(4 + sigma * rng.standard_normal(rows), sigma if banded else None)) for _ in range(200)]
    assert sum(one is not None for one in found) <= 4, "one is expected"


@pytest.mark.parametrize("banded", [True, False])
def test_a_curve_that_falls_rises_and_falls_keeps_its_phases(banded: bool) -> None:
    rng = np.random.default_rng(1)
    shape = np.interp(np.arange(44), [0, 2, 15, 27, 38, 43], [0.49, 0.49, 0.17, 0.49, 0.22, 0.05])
    hits = [phases(curve(shape + 0.015 * rng.standard_normal(44), 0.015 if banded else None)) for _ in range(50)]
    assert all(hits)
    assert all(abs(low - 15) <= 4 and abs(top - 27) <= 2 for low, top in hits if low)


def test_a_rise_within_wide_bands_is_none_and_the_last_rows_are_looked_at() -> None:
    values = np.array([5.0, 4.0, 4.4, 3.9, 3.0])
    assert phases(curve(values, 0.01)) == (1, 2)
    assert phases(curve(values, 0.5)) is None
    assert peak(curve(values, 0.5)) == 0 and moments(curve(values, 0.5)) == (0, 4)


def test_values_that_are_not_there_have_no_phases() -> None:
    assert phases(curve(np.array([1.0, np.nan, 2.0, 1.0]), 0.1)) is None
    assert phases(curve(np.array([1.0, 2.0]), 0.0)) is None
    assert phases(curve(np.full(20, 1.0), 0.0)) is None
