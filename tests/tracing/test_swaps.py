"""Swaps: every smooth function can be held, run and drawn as another, which is then exact, remembered and said."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from brute import areas_by_pattern
from matplotlib.figure import Figure
from matplotlib.text import Text
from parts import Forward, lin
from small_runs import write_run
from torch import nn

from splineviz.__main__ import main
from splineviz.drawing import draw, export, figures, print_figure, surface
from splineviz.errors import CertificateError, PartitionError, TraceError
from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane
from splineviz.jobs.audit import audit
from splineviz.metrics.complexity import local_complexity
from splineviz.metrics.options import LCOptions
from splineviz.regions.enumerate import partition
from splineviz.tracing.call import SAME, SWAPS
from splineviz.tracing.modules import ACTIVATIONS
from splineviz.tracing.program import Program
from splineviz.tracing.smooth import SMOOTH
from splineviz.tracing.swaps import read, swapped, targets
from splineviz.tracing.trace import trace
from splineviz.training.runs import open_run
from splineviz.viewer import page
from splineviz.workflows.animate import animate

MODULES: dict[str, tuple[nn.Module, nn.Module]] = {
    "gelu": (nn.GELU("tanh"), nn.ReLU()),
    "silu": (nn.SiLU(inplace=True), nn.LeakyReLU(0.01)),
    "mish": (nn.Mish(), nn.ReLU6()),
    "hardswish": (nn.Hardswish(), nn.ReLU()),
    "softplus": (nn.Softplus(2.0, 10.0), nn.ReLU()),
    "elu": (nn.ELU(0.7), nn.LeakyReLU(0.01)),
    "celu": (nn.CELU(1.3), nn.ReLU()),
    "selu": (nn.SELU(), nn.ReLU()),
    "tanh": (nn.Tanh(), nn.Hardtanh()),
    "softsign": (nn.Softsign(), nn.Hardtanh()),
    "sigmoid": (nn.Sigmoid(), nn.Hardsigmoid()),
    "logsigmoid": (nn.LogSigmoid(), nn.Hardtanh(-1e9, 0.0)),
    "tanhshrink": (nn.Tanhshrink(), nn.Softshrink()),
    "softmax": (nn.Softmax(dim=1), nn.Identity()),
    "log_softmax": (nn.LogSoftmax(dim=-1), nn.Identity()),
}
"""Every smooth module, and the one that it is drawn as here."""

CALLS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "gelu": lambda z: F.gelu(z, approximate="tanh"),
    "silu": F.silu,
    "mish": F.mish,
    "hardswish": F.hardswish,
    "softplus": lambda z: F.softplus(z, 3.0),
    "elu": lambda z: F.elu(z, alpha=0.5),
    "celu": F.celu,
    "selu": F.selu,
    "tanh": lambda z: z.tanh_(),
    "softsign": F.softsign,
    "erf": torch.erf,
    "sigmoid": lambda z: z.sigmoid(),
    "logsigmoid": F.logsigmoid,
    "tanhshrink": F.tanhshrink,
    "softmax": lambda z: z.softmax(1),
    "log_softmax": lambda z: F.log_softmax(z, dim=1),
    "special_expit": torch.special.expit,
}
"""Every smooth function as a call."""


def around(activation: nn.Module) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return nn.Sequential(lin(3, 6), activation, lin(6, 4), copy.deepcopy(activation), lin(4, 2)).double()


def plane() -> Plane:
    return Plane.through(*np.random.default_rng(5).normal(size=(3, 3)))


def target_of(name: str) -> str:
    kind = type(MODULES[name][1]).__name__.lower()
    return {"leakyrelu": "leaky_relu", "hardtanh": "clamp" if name == "logsigmoid" else "hardtanh"}.get(kind, kind)


def test_the_tables_agree() -> None:
    assert SWAPS.keys() == SMOOTH.keys() and set(SWAPS.values()) <= targets().keys() and set(SAME.values()) <= SMOOTH.keys()
    assert {*CALLS} >= SMOOTH.keys() and {type(kind) for kind, _ in MODULES.values()} == ACTIVATIONS.keys()


@pytest.mark.parametrize("name", MODULES)
def test_a_smooth_module_is_run_as_it_is_and_drawn_as_another(name: str) -> None:
    network, other = around(MODULES[name][0]), around(MODULES[name][1])
    x = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    held = trace(network, (3,), smooth=True)
    torch.testing.assert_close(held(x), network(x.clone()).detach(), rtol=1e-12, atol=1e-12)
    assert held.smooth == {"1": name, "3": name} and not held.swaps
    drawn = trace(network, (3,), swap={name: target_of(name)})
    torch.testing.assert_close(drawn(x), other(x).detach(), rtol=1e-12, atol=1e-12)
    assert drawn.swaps == {name: target_of(name)} and not drawn.smooth and drawn.weights.keys() == held.weights.keys()
    back = Program.from_data(json.loads(json.dumps(held.to_data()))).bind(network.state_dict()).to(torch.float64)
    torch.testing.assert_close(swapped(back, [f"{name}={target_of(name)}"])(x), drawn(x), rtol=0, atol=0)


@pytest.mark.parametrize("name", CALLS)
def test_a_smooth_call_is_run_as_it_is_and_refused_by_name(name: str) -> None:
    network = Forward(lambda m, x: m.out(CALLS[name](m.a(x))), a=lin(3, 5), out=lin(5, 2)).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    held = trace(network, (3,), smooth=True)
    torch.testing.assert_close(held(x), network(x).detach(), rtol=1e-12, atol=1e-12)
    plain = SAME.get(name, name)
    assert list(held.smooth.values()) == [plain]
    said = "curved between its kinks" if plain in ("selu", "hardswish") else "smooth"
    with pytest.raises(TraceError, match=f"{plain} is {said}.*--swap {plain}={SWAPS[plain]}"):
        trace(network, (3,))
    assert trace(network, (3,), swap={name: SWAPS[plain]}).swaps == {plain: SWAPS[plain]}


@pytest.mark.parametrize(
    ("name", "target"), [("gelu", "relu"), ("tanh", "hardtanh"), ("silu", "leaky_relu"), ("erf", "abs")]
)
def test_the_partition_is_that_of_the_swapped_network(name: str, target: str, tmp_path: Path) -> None:
    network = Forward(
        lambda m, x: m.out(CALLS[name](m.b(CALLS[name](m.a(x))))), a=lin(3, 6), b=lin(6, 5), out=lin(5, 2)
    ).double()
    found = partition(network, plane(), window=6.0, swap={name: target})
    areas, cells = areas_by_pattern(trace(network, (3,), swap={name: target}), plane(), found.window)
    assert cells == len(areas) == found.num_regions > 5
    exact = np.array([areas[int(h)] for h in found.pattern_hash])
    np.testing.assert_allclose(found.areas, exact, rtol=0, atol=1e-9 * exact.sum())
    found.save(tmp_path / "p.npz")
    again = Partition.load(tmp_path / "p.npz")
    assert again.swaps == {name: target} and again.note == f"{name} drawn as {target}"
    again.verify(network)  # it remembers what stands for what
    other = partition(network, plane(), window=6.0, swap={name: "relu6"})
    with pytest.raises(TraceError, match=f"got one with {name} drawn as relu6"):
        Partition.load(tmp_path / "p.npz").verify(trace(network, (3,), swap={name: "relu6"}))
    with pytest.raises(CertificateError):
        replace(other, swaps=found.swaps).verify(network)  # regions of another network than it says


def test_one_of_two_is_not_enough() -> None:
    network = nn.Sequential(lin(3, 4), nn.GELU(), nn.Sequential(lin(4, 4), nn.Tanh()))
    with pytest.raises(TraceError, match=r"^2\.1: tanh is smooth.*--swap tanh=hardtanh"):
        partition(network, plane(), swap={"gelu": "relu"})
    both = partition(network, plane(), swap=["GELU=relu", "tanh=hardtanh"])
    assert both.note == "gelu drawn as relu, tanh drawn as hardtanh"


@pytest.mark.parametrize(
    ("swap", "words"),
    [
        ({"gulu": "relu"}, "expected a smooth function, of gelu, .*got 'gulu'"),
        ({"gelu": "silu"}, "expected a piecewise-linear function for gelu, of relu, .*got 'silu'"),
        (["gelu"], "piecewise-linear function for gelu, .*got ''"),
        ({"tanh": "relu"}, "which has gelu; got tanh"),
    ],
)
def test_a_swap_that_cannot_be_is_named(swap: Any, words: str) -> None:
    with pytest.raises(TraceError, match=words):
        trace(around(nn.GELU()), (3,), swap=swap)
    with pytest.raises(TraceError, match="has no smooth function"):
        trace(around(nn.ReLU()), (3,), swap={"gelu": "relu"})


def test_names_are_read_in_any_spelling() -> None:
    assert read(["Swish=relu", "LogSoftmax=identity"]) == {"silu": "relu", "log_softmax": "identity"}


# ---- runs and pictures -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def smooth_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded run of a network with GELU and tanh."""
    folder = tmp_path_factory.mktemp("smooth") / "run"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), lin(4, 8), nn.GELU(), lin(8, 6), nn.Tanh(), lin(6, 3))
    write_run(folder, model=model, metrics=False)
    return folder


SWAP = {"gelu": "relu", "tanh": "hardtanh"}
NOTE = "gelu drawn as relu, tanh drawn as hardtanh"
QUICK = LCOptions(points=20, num_vectors=3, radius=0.3)


def test_a_run_of_a_smooth_network_is_drawn_swapped_and_measured_as_trained(smooth_run: Path, tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="^2: gelu is smooth"):
        animate(smooth_run, out=tmp_path / "none", size=(320, 180), formats=["gif"], lc=QUICK)
    run = open_run(smooth_run, swap=SWAP)
    made = animate(run, out=tmp_path / "out", size=(320, 180), formats=["gif"], lc=QUICK)
    assert run.note == NOTE
    head, *lines = (line.split(",") for line in made.table.read_text().splitlines())
    rows = [float(line[head.index("lc_train")]) for line in lines]
    program = run.program(run.checkpoints[-1])
    state = torch.load(run.checkpoints[-1].path, weights_only=True)
    trained = nn.Sequential(nn.Flatten(), lin(4, 8), nn.GELU(), lin(8, 6), nn.Tanh(), lin(6, 3)).double()
    trained.load_state_dict(state)
    x = torch.as_tensor(run.train_x).double()
    torch.testing.assert_close(program.as_trained(x), trained(x).detach())
    sampled = local_complexity(trained, run.train_x, radius=0.3, num_vectors=3)
    assert sampled.watched and rows[-1] == pytest.approx(sampled.mean)
    part = Partition.load(tmp_path / "out" / "partitions" / "step-0000000010.npz")
    assert part.note == NOTE and part.verify(trained).regions == part.num_regions
    assert NOTE in made.captions.read_text() and NOTE in (tmp_path / "out" / "animation.txt").read_text()
    assert audit(tmp_path / "out").findings == []
    again = animate(run, out=tmp_path / "out", size=(320, 180), formats=["gif"], lc=QUICK)
    assert again.drawn == 0
    other = animate(
        open_run(smooth_run, swap=SWAP | {"tanh": "relu6"}), out=tmp_path / "out", size=(320, 180), formats=["gif"], lc=QUICK
    )
    assert other.drawn == 3


def texts(figure: Any) -> str:
    return " | ".join(text.get_text() for text in figure.findobj(Text))


def test_every_picture_says_what_was_swapped(smooth_run: Path) -> None:
    run = open_run(smooth_run, swap=SWAP)
    part = partition(run.program(run.checkpoints[0]), run.plane(), window=2.0)
    rows = [{"step": 0.0, "regions": float(part.num_regions), "lc_train": 1.0}]
    made = figures.frame(part, rows, 0, size=(640, 360))
    assert texts(made).count(NOTE) == 1
    assert NOTE in texts(figures.summary(rows, note=run.note))
    assert texts(print_figure.figure([part, part], zooms=[(0.0, 0.0, 0.5)])).count(NOTE) == 1
    figure = Figure()
    draw.regions(part, ax=figure.add_subplot(121))
    surface.surface(part, ax=figure.add_subplot(122, projection="3d"))
    assert texts(figure).count(NOTE) == 2
    assert export.to_svg(part).count(NOTE) == 2 and "<text" in export.to_svg(part)
    meta = page.describe(page.open_source(part), fill="slope")
    assert meta["note"] == NOTE
    plain = replace(part, swaps={})
    figure = Figure()
    draw.regions(plain, ax=figure.add_subplot())
    assert "drawn as" not in texts(figure) + texts(print_figure.figure(plain)) + export.to_svg(plain)


def test_a_partition_file_cannot_say_anything_else(smooth_run: Path, tmp_path: Path) -> None:
    run = open_run(smooth_run, swap=SWAP)
    part = partition(run.program(run.checkpoints[0]), run.plane(), window=1.0)
    replace(part, swaps={"<script>": "relu"}).save(tmp_path / "p.npz")
    with pytest.raises(PartitionError, match="delete the file"):
        Partition.load(tmp_path / "p.npz")


def test_commands_take_swaps(smooth_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(smooth_run)]) == 0
    assert "smooth at 2" in (said := capsys.readouterr().out) and "--swap tanh=hardtanh" in said
    out = tmp_path / "step-0000000010.npz"
    assert main(["partition", str(smooth_run), "--out", str(out)]) == 2
    assert "2: gelu is smooth" in capsys.readouterr().err
    swap = ["--swap", "gelu=relu", "tanh=hardtanh"]
    assert main(["partition", str(smooth_run), *swap, "--window", "2", "--out", str(out)]) == 0
    assert main(["verify", str(out), str(smooth_run)]) == 0, "the file knows what it was drawn with"
    assert main(["estimate", str(smooth_run), *swap]) == 0
    assert main(["estimate", str(smooth_run), "--swap", "silu=relu"]) == 2
    assert "has gelu, tanh; got silu" in capsys.readouterr().err
