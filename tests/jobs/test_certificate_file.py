"""Certificate files: the checker that knows numpy alone agrees with `verify`, on right partitions and on damaged ones."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import damage
import numpy as np
import pytest
import torch
from cases import DEGENERATE, FAMILIES, module, random_case
from torch import nn

from splineviz.errors import CertificateError
from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane
from splineviz.regions.certificate import verify
from splineviz.regions.enumerate import partition

CHECKER = Path(__file__).parents[2] / "docs" / "check_certificate.py"
CHECK = runpy.run_path(str(CHECKER))["check"]


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)
        self.inner = nn.Linear(5, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = nn.functional.leaky_relu(self.norm(self.first(x)), 0.2)
        return self.last(h - torch.relu(self.inner(h)))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 7), nn.ReLU(), nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 3))


def conv() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(4, 5), nn.ReLU6(), nn.Linear(5, 2),
    )  # fmt: skip


NETWORKS = {"mlp": (mlp, (4,)), "conv": (conv, (2, 4, 4)), "residual": (Residual, (4,))}


def made(name: str) -> tuple[nn.Module, Partition]:
    build, shape = NETWORKS[name]
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = build().double().eval()
    return model, partition(model, Plane.through(*np.random.default_rng(3).normal(size=(3, *shape))), window=4.0)


@pytest.fixture(scope="module")
def subjects() -> dict[str, tuple[nn.Module, Partition]]:
    return {name: made(name) for name in NETWORKS}


def findings(part: Partition, model: nn.Module, path: Path) -> list[str]:
    part.certificate(path, model)
    with np.load(path, allow_pickle=False) as file:
        return list(CHECK(dict(file)))


def test_the_checker_is_short_and_imports_numpy_alone() -> None:
    lines = CHECKER.read_text().splitlines()
    assert len(lines) < 200
    imports = {line.split()[1].split(".")[0] for line in lines if line.startswith(("import ", "from "))}
    assert imports == {"sys", "itertools", "numpy"}


@pytest.mark.parametrize("name", NETWORKS)
def test_right_partitions_are_proved(subjects, name: str, tmp_path: Path) -> None:
    model, part = subjects[name]
    assert part.num_regions > 10 and verify(part, model).ok
    assert findings(part, model, tmp_path / "p.cert") == []


def test_the_checker_agrees_with_verify_on_many_networks(tmp_path: Path) -> None:
    cases = [*DEGENERATE, *(random_case(seed, family=family) for family in FAMILIES for seed in (2000, 2001))]
    for case in cases:
        model = module(case.layers)
        part = partition(model, case.plane, window=case.window)
        assert verify(part, model).ok and findings(part, model, tmp_path / "p.cert") == [], case.name


UNSAID = (
    "classes", "linear_regions", "swaps", "layer_paths", "max_layers", "seed_pattern", "seed_face", "unit_offsets",
    "plane.anchors_uv",
)  # fmt: skip
"""What a certificate does not say, or nothing in it could contradict."""


@pytest.mark.parametrize("kind", [kind for kind in damage.DAMAGES if kind.split(":")[0] not in UNSAID])
def test_damaged_certificates_are_refused(subjects, kind: str, tmp_path: Path) -> None:
    for model, part in subjects.values():
        hurt = damage.DAMAGES[kind](part, np.random.default_rng(0))
        if hurt is None:
            continue
        try:
            said = findings(hurt, model, tmp_path / "p.cert")
        except (CertificateError, ValueError, IndexError):
            continue  # so broken that no boundary can be derived from it
        assert said, kind


def test_another_weight_is_refused(subjects, tmp_path: Path) -> None:
    model, part = subjects["conv"]
    part.certificate(tmp_path / "p.cert", model)
    with np.load(tmp_path / "p.cert") as file:
        arrays = dict(file)
    name = next(key for key in arrays if key.endswith(".weight"))
    arrays[name] = arrays[name] * (1 + 1e-7)
    assert any("adjacency" in line for line in CHECK(arrays))


def test_it_runs_alone_as_a_script(subjects, tmp_path: Path) -> None:
    model, part = subjects["mlp"]
    part.certificate(tmp_path / "p.cert", model)
    command = [sys.executable, "-I", str(CHECKER), str(tmp_path / "p.cert")]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout.strip()) == (0, "proved"), said.stderr
    damage.DAMAGES["outputs: an entry"](part, np.random.default_rng(0)).certificate(tmp_path / "p.cert", model)
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 1 and "outputs: vertex" in said.stdout


def test_a_network_with_maxima_is_refused(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 2), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2, 2)).double()
    part = partition(model, Plane.through(*np.random.default_rng(0).normal(size=(3, 1, 3, 3))))
    with pytest.raises(CertificateError, match="does not know"):
        part.certificate(tmp_path / "p.cert", model)
