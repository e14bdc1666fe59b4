"""Previews: a notebook shows pictures of partitions and planes, and importing neither costs matplotlib."""

import dataclasses
import io
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import splineviz as sv
from splineviz.drawing import previews
from splineviz.geometry import doors


def test_a_partition_is_a_picture() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(2, 12), nn.ReLU(), nn.Linear(12, 2))
    partition = sv.partition(model, sv.Plane.through([0.0, 0.0], [1.0, 0.2], [0.3, 1.0]), window=2.0)
    shown = np.asarray(Image.open(io.BytesIO(partition._repr_png_())).convert("RGB"))
    assert shown.shape == (480, 480, 3) and len(np.unique(shown.reshape(-1, 3), axis=0)) > 50
    html = partition._repr_html_()
    assert html.count("<img") == 1 and f"<th>regions</th><td>{partition.num_regions:,}</td>" in html
    assert "<th>units by layer</th><td>12</td>" in html and "<th>window</th><td>" in html and "restarts" not in html
    again = dataclasses.replace(partition, report=dataclasses.replace(partition.report, restarts=2))
    assert "<th>restarts</th><td>2</td>" in again._repr_html_()
    shares = [float(share) for share in re.findall(r"\d: ([\d.]+)%", html)]
    assert sum(shares) == pytest.approx(100, abs=0.2)


def test_a_plane_shows_its_anchors() -> None:
    pictures = sv.Plane.through(*np.random.default_rng(0).uniform(0, 1, (3, 8, 8)))
    assert pictures._repr_html_().count("<img") == 3
    shown = np.asarray(Image.open(io.BytesIO(pictures._repr_png_())).convert("RGB"))
    assert shown.shape == (480, 480, 3) and len(np.unique(shown.reshape(-1, 3), axis=0)) > 50
    points = sv.Plane.through([0.0, 0.0], [1.0, 0.25], [0.3, 1.0])._repr_html_()
    assert "<img" not in points and "1, 0.25" in points
    by_hand = sv.Plane(np.zeros(3), np.eye(3)[:2])._repr_html_()
    assert "shape 3" in by_hand and "anchor" not in by_hand
    assert sv.Plane(np.zeros(3), np.eye(3)[:2])._repr_png_().startswith(b"\x89PNG")


def test_the_rooms_below_do_not_bring_matplotlib() -> None:
    code = "import sys, splineviz.geometry.partition, splineviz.geometry.plane; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False"


def test_progress_is_one_line_of_a_notebook_and_nothing_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert previews.progress("animating") is None
    said: list[str] = []
    handle = SimpleNamespace(update=lambda data, raw: said.append(data["text/plain"]))

    def display(data: dict[str, str], raw: bool, display_id: bool) -> SimpleNamespace:
        said.append("new: " + data["text/plain"])
        return handle

    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object())))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    tell = previews.progress("animating")
    assert tell is not None
    for done in range(1, 1001):
        tell(done, 1000, f"step {done}")
    assert said[0] == "new: animating: 1 of 1,000, step 1" and said[-1] == "animating: 1,000 of 1,000, step 1000"
    assert len(said) < 10, "not a line each"


def test_long_work_alone_leaves_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object())))
    shown = SimpleNamespace(display=lambda data, **options: said.append(data["text/plain"]))
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    short, long = previews.progress("cutting", after=60.0), previews.progress("cutting", after=0.0)
    assert short is not None and long is not None
    short(100, 100, "5 regions")
    assert not said
    long(50, 100, "5 regions")
    assert said == ["cutting: 50 of 100, 5 regions"]


def test_partition_and_sweep_show_their_progress_in_notebooks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told: dict[str, list[tuple[int, int, str]]] = {}

    def progress(text: str, *, after: float = 0.0):  # noqa: ANN202
        told[text] = []
        return lambda done, total, note="": told[text].append((done, total, note))

    monkeypatch.setattr(doors, "progress", progress)
    network = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
    found = sv.partition(network, sv.Plane.through([0.0, 0.0], [1.0, 0.0], [0.0, 1.0]), window=2.0)
    assert told["cutting"][-1] == (100, 100, f"{found.num_regions:,} regions")
    run = tmp_path / "run"
    recorder = sv.Recorder(run, network, train=(torch.rand(8, 2), None), steps=1)
    recorder.save(0)
    recorder.save(1)
    sv.sweep(run, out=tmp_path / "sweep", lc=None)
    assert told["measuring"][-1][:2] == (2, 2)
