"""Exported programs: what torch.export records of a network is traced as that network, in both of its dialects."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from networks import build
from operations import exported
from parts import Forward, conv, lin
from torch import nn

from splineviz.errors import TraceError
from splineviz.tracing import listening
from splineviz.tracing.aten import ATEN
from splineviz.tracing.trace import _dotted, trace


def resized(m: Any, x: Any) -> Any:
    lines, cubes = x.flatten(2), x[..., None]
    found = [
        F.interpolate(lines, scale_factor=2.0), F.interpolate(lines, size=5, mode="linear"),
        F.interpolate(x, scale_factor=1.5, mode="bicubic", align_corners=True), F.interpolate(cubes, size=(3, 2, 1)),
        F.interpolate(cubes, scale_factor=(2.0, 1.0, 2.0), mode="trilinear"), F.interpolate(x, size=3),
        *(F.interpolate(y, scale_factor=1.5, mode="nearest-exact") for y in (lines, x, cubes)),
        F.adaptive_avg_pool3d(cubes, (2, 1, 1)),
    ]  # fmt: skip
    return torch.cat([F.relu(y).flatten(1) for y in found], dim=1)


def several(m: Any, x: Any) -> Any:
    z = m.a(x)
    columns = F.fold(F.unfold(F.rrelu(z), 2) - 0.1, (4, 4), 2)
    z = F.dropout2d(F.interpolate(F.relu(columns)[:, :, 1:], size=(4, 4), mode="bilinear"), training=m.training)
    z = F.instance_norm(z, m.mean, m.var, use_input_stats=False)
    return m.out(F.relu(F.max_pool2d(+z.mT, (1, 2))).flatten(1).roll(1, 1))


def pooled(m: Any, x: Any) -> Any:
    z = F.batch_norm(F.pad(m.a(x), (1, 1, 0, 0), mode="reflect"), m.mean, m.var)[..., None]
    z = F.adaptive_max_pool3d(F.max_pool3d(F.relu(z), (1, 2, 1)), (2, 3, 1))[..., 0]
    z = F.relu(m.b(F.adaptive_max_pool2d(F.max_pool2d(z, (2, 1)), (1, 2))))
    z = F.adaptive_avg_pool3d(F.adaptive_avg_pool2d(z, (2, 2))[..., None], (2, 1, 1))
    return m.out(F.adaptive_max_pool1d(z.flatten(1)[:, None], 1).flatten(1))


NORM = {"mean": (torch.tensor([0.3, -0.2]),), "var": (torch.tensor([0.8, 1.7]),)}
NETWORKS = {
    "resized": (lambda: Forward(resized), (1, 2, 2)),
    "several": (lambda: Forward(several, a=conv(1, 2, 1), out=lin(16, 3), **NORM), (1, 4, 4)),
    "pooled": (lambda: Forward(pooled, a=conv(1, 2, 1), b=nn.ConvTranspose2d(2, 1, 2), out=lin(1, 3), **NORM), (1, 4, 4)),
    "products": (
        lambda: Forward(lambda m, x: F.relu(m.a(x.transpose(1, 2))).index_select(1, m.order).flatten(1),
                        a=lin(2, 3), order=(torch.tensor([2, 0]),)),
        (2, 3),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def used() -> set[str]:
    """The operations that were looked up while the tests of this file ran."""
    return set()


@pytest.mark.parametrize(
    ("name", "apart"),
    [("resized", False), ("several", False), ("pooled", False), ("pooled", True), ("products", True)],
    ids=lambda value: {True: "taken apart", False: "as it is"}.get(value, value),
)
def test_an_exported_network_is_the_network(name: str, apart: bool, used: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Noting(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            used.add(key)
            return super().__getitem__(key)

    monkeypatch.setattr(listening, "ATEN", Noting(ATEN))
    make, shape = NETWORKS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = make()
    program = trace(exported(network, shape, apart=apart), shape)
    x = torch.randn(5, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(program(x), network(x).detach().reshape(5, -1), rtol=1e-11, atol=1e-11)
    assert set(program.weights) <= set(network.state_dict())


def test_every_operation_was_met(used: set[str]) -> None:
    assert ATEN.keys() - used == set()


def test_refusals_name_the_module_as_the_user_does() -> None:
    network = nn.Sequential(lin(3, 4), nn.Sequential(nn.Tanh()))
    with pytest.raises(TraceError, match=r"^1\.0\.tanh: tanh is smooth"):
        trace(exported(network, (3,)), (3,))
    with pytest.raises(TraceError, match=r"^1\.le: le jumps"):
        trace(exported(nn.Sequential(lin(3, 4), nn.Hardshrink()), (3,), apart=True), (3,))


def test_a_comparison_and_a_choice_that_are_a_prelu_are_one_again() -> None:
    network = nn.Sequential(lin(3, 4), nn.PReLU()).double()
    program = trace(exported(network, (3,), apart=True), (3,))
    x = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(program(x), network(x).detach())


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("", ""),
        ("net.blocks.1.0", "net.blocks.1.0"),
        ("L['fn']", ""),
        ("getattr(getattr(L['fn'], '1'), '0')", "1.0"),
        ("getattr(L['self'].net.blocks[1], '0')", "net.blocks.1.0"),
        ("L['self'].heads['left']", "heads.left"),
    ],
)
def test_paths_are_the_users_whatever_export_writes(written: str, path: str) -> None:
    assert _dotted(written) == path


def test_the_table_of_networks_has_exported_ones() -> None:
    for name in ("exported", "exported and taken apart"):
        assert isinstance(build(name)[0], torch.fx.GraphModule)
