"""torch.set_default_dtype and torch.set_default_device are the user's: they change nothing that splineviz gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import splineviz as sv

with torch.random.fork_rng():
    torch.manual_seed(0)
    MLP = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 8), nn.LeakyReLU(0.1), nn.Linear(8, 3))
    CONV = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Hardtanh(), nn.Linear(8, 3)
    )
RANDOM = np.random.default_rng(0)
X, Y = RANDOM.uniform(-2, 2, (12, 2)).astype(np.float32), np.arange(12) % 3
IMAGES = RANDOM.uniform(-2, 2, (6, 1, 6, 6)).astype(np.float32)
PLANE = sv.Plane.through(*X[:3])


class Handmade(nn.Module):
    """Makes tensors in forward, as people do."""

    def __init__(self) -> None:
        super().__init__()
        self.body = MLP

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.body(x)
        return torch.cat([torch.where(z > 0, z, torch.zeros_like(z)), z.new_ones(len(z), 1)], 1)


def drawn(model: nn.Module, plane: sv.Plane, **options: Any) -> list[Any]:
    found = sv.partition(model, plane, window=2.0, **options)
    found.verify(model)
    return [found.num_regions, found.vertices, found.outputs, sorted(found.areas)]


def recorded(folder: Path) -> list[Any]:
    recorder = sv.Recorder(folder, MLP, train=(X, Y))
    recorder.save(0)
    run = sv.open_run(folder)
    torch.save(MLP.state_dict(), folder / "step_1.pt")
    foreign = sv.open_run(folder / "step_1.pt", model=MLP, data=run.data)
    x = torch.as_tensor(X, dtype=torch.float64, device="cpu")
    return [r.program(r.checkpoints[0])(x) for r in (run, foreign)]


def numbers(value: Any) -> list[Any]:
    """The numbers that a result holds."""
    if isinstance(value, torch.Tensor):
        return [value.detach().cpu().numpy()]
    if isinstance(value, dict):
        return [n for key in sorted(value) for n in numbers(value[key])]
    if isinstance(value, (list, tuple)):
        return [n for one in value for n in numbers(one)]
    if isinstance(value, (int, float, np.ndarray, np.generic)):
        return [np.asarray(value)]
    held = vars(value) if hasattr(value, "__dict__") else {}
    return [n for key in sorted(held) for n in numbers(held[key]) if "second" not in key and "time" not in key]


WORK: dict[str, Callable[[Path], Any]] = {
    "partition": lambda _: drawn(MLP, PLANE),
    "partition of images": lambda _: drawn(CONV.eval(), sv.Plane.through(*IMAGES[:3])),
    "partition of what makes tensors": lambda _: drawn(Handmade(), PLANE),
    "partition in tiles": lambda _: drawn(MLP, PLANE, tiles=(2, 2)),
    "trace": lambda _: sv.trace(MLP, (2,))(torch.as_tensor(X, dtype=torch.float64, device="cpu")),
    "local complexity": lambda _: sv.local_complexity(MLP, X, radius=0.3, num_vectors=3),
    "density of knots": lambda _: sv.boundary_density(MLP, X, scale=0.3, draws=2),
    "estimate": lambda _: sv.estimate(MLP, PLANE, window=2.0).regions,
    "crossings": lambda _: sv.crossings(MLP, X[0], X[1]),
    "recorder and folders": recorded,
    "data": lambda _: [sv.recipes.load_data("two-moons").train_x[:5]],
    "liveness": lambda _: sv.liveness(MLP, X),
    "gradient complexity": lambda _: sv.gradient_complexity(MLP, X, scale=0.5, draws=2),
    "deformation": lambda _: sv.deformation(MLP, X, radii=(0.1,), num_vectors=3),
    "robust accuracy": lambda _: sv.robust_accuracy(MLP, X, Y, domain=(-2.0, 2.0), steps=2),
    "recipes": lambda folder: _trained(folder),
}


def _trained(folder: Path) -> Any:
    run = sv.open_run(sv.recipes.train("two-moons", out=folder, steps=3))
    return run.program(run.checkpoints[-1])(torch.as_tensor(X, dtype=torch.float64, device="cpu"))


@contextmanager
def defaults(dtype: torch.dtype | None, device: str | None) -> Iterator[None]:
    before = torch.get_default_dtype()
    try:
        if dtype is not None:
            torch.set_default_dtype(dtype)
        torch.set_default_device(device)
        yield
    finally:
        torch.set_default_dtype(before)
        torch.set_default_device(None)


@pytest.mark.parametrize(("dtype", "device"), [(torch.float64, None), (torch.bfloat16, None), (None, "meta")])
@pytest.mark.parametrize("name", WORK)
def test_nothing_changes(name: str, dtype: torch.dtype | None, device: str | None, tmp_path: Path) -> None:
    expected = numbers(WORK[name](tmp_path / "a"))
    with defaults(dtype, device):
        got = numbers(WORK[name](tmp_path / "b"))
    assert expected and len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
