"""Mutations: every kind of damage to every public array of a partition is caught by `verify`; caught / tried is printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import damage
import numpy as np
import pytest
import torch
from torch import nn

from splineviz.geometry.invariants import ARRAYS
from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane
from splineviz.regions.certificate import verify
from splineviz.regions.enumerate import partition


@dataclass(frozen=True)
class Subject:
    part: Partition
    model: Any
    anchors: Any


def _subject(layers: list[nn.Module], shape: tuple[int, ...], seed: int) -> Subject:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for layer in layers:
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
    model = nn.Sequential(*layers).double()
    anchors = np.random.default_rng(seed).normal(size=(3, *shape))
    return Subject(partition(model, Plane.through(*anchors), window=3.0), model, anchors)


@pytest.fixture(scope="module")
def subjects() -> dict[str, Subject]:
    return {
        "mlp": _subject([nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3)], (5,), 1),
        "one output": _subject([nn.Linear(4, 7), nn.ReLU(), nn.Linear(7, 1)], (4,), 2),
        "max-pool": _subject(
            [nn.Conv2d(1, 2, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2)],
            (1, 3, 3),
            3,
        ),
    }


def test_undamaged_everything_is_proved(subjects: dict[str, Subject]) -> None:
    for subject in subjects.values():
        report = verify(subject.part, subject.model, anchors=subject.anchors)
        assert report.ok and report.unjudged == ()
        assert report.linear_regions == subject.part.linear_regions.count
        assert report.boundary_segments == len(subject.part.decision_boundary())
    assert any(s.part.linear_regions.count < s.part.num_regions for s in subjects.values())
    assert sum(len(s.part.decision_boundary()) > 1 for s in subjects.values()) >= 2


@pytest.mark.parametrize("name", damage.DAMAGES)
def test_damage_is_caught(subjects: dict[str, Subject], name: str) -> None:
    tried, missed = 0, []
    for which, subject in subjects.items():
        for seed in range(2):
            hurt = damage.DAMAGES[name](subject.part, np.random.default_rng(seed))
            if hurt is None:
                continue
            tried += 1
            if not damage.caught(hurt, subject.model, subject.anchors):
                missed.append((which, seed))
    print(f"{name}: {tried - len(missed)} / {tried} caught")
    assert tried and not missed


def test_the_table_names_every_public_array() -> None:
    said = " ".join(damage.DAMAGES)
    further = ("seed_face", "seed_pattern", "layer_paths", "max_layers", "swaps", "origin", "basis", "anchors_uv")
    for name in (*ARRAYS, *further):
        assert name in said


def test_without_the_samples_the_report_says_that_anchors_are_not_judged(subjects: dict[str, Subject]) -> None:
    subject = subjects["mlp"]
    report = verify(subject.part, subject.model)
    assert report.ok and "anchors=" in report.unjudged[0] and "not judged" in str(report)


def test_an_output_that_is_off_everywhere_has_no_rounding_to_be_judged() -> None:
    """Behind a last ReLU, as SqueezeNet ends: measured rounding is 0, what the partition scales it by is not."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2), nn.ReLU()).double()
    with torch.no_grad():
        network[2].bias[1] = -100.0
    part = partition(network, Plane.through(*np.random.default_rng(0).normal(size=(3, 4))), window=2.0)
    assert not part.outputs[:, 1].any()
    part.verify(network)  # raises what it finds
