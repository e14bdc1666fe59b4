"""A kink is one record: every table that knows kinks is made from it, and no other file names one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

import splineviz
from splineviz.metrics.preactivations import NAMES
from splineviz.tracing.displaced import APART
from splineviz.tracing.functions import CALLS
from splineviz.tracing.kinks import KINKS, KinkOp, Kinks
from splineviz.tracing.modules import MODULES, emitter
from splineviz.tracing.program import Program, operations
from splineviz.tracing.swaps import targets
from splineviz.tracing.trace import trace
from splineviz.training.onnx_operators import OPERATORS

PACKAGE = Path(splineviz.__file__).parent


@pytest.mark.parametrize("op", KINKS)
def test_every_table_is_made_from_the_records(op: str) -> None:
    kink = KINKS[op]
    assert {*kink.names} <= CALLS.keys() & APART
    assert {*kink.modules} <= MODULES.keys()
    assert {name in NAMES for name in kink.names} <= {kink.units}
    assert not kink.onnx or kink.onnx in OPERATORS
    assert op in targets() and op in operations()


def test_no_other_file_names_a_kink() -> None:
    """relu is what others are written in, clamp and abs are words; smooth functions say what stands for them, and a
    randomised leaky ReLU is read as a leaky one.
    """
    plain = [name for op, kink in KINKS.items() if op not in ("relu", "abs", "clamp") for name in kink.names]
    assert len(plain) >= 4
    kinds = [kind.__name__ for kink in KINKS.values() for kind in kink.modules if kind is not nn.ReLU]
    pattern = re.compile(rf"[\"'](?:{'|'.join(plain)})[\"']|nn\.(?:{'|'.join(kinds)})\b")
    naming = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if pattern.search(path.read_text())}
    assert naming == {f"tracing/{name}.py" for name in ("kinks", "smooth", "aten", "modules")}


class Tent(nn.Module):
    """0 outside (-w, w), w in the middle. Its forward need not be followed: it is one that tracing refuses."""

    width = 1.0

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.where(z.abs() < self.width, self.width - z.abs(), 0.0 * z)


TENT = KinkOp(
    lambda z, a: torch.relu(a["width"] - z.abs()),
    lambda a: Kinks((-a["width"], 0.0, a["width"]), (0.0, 1.0, -1.0, 0.0)),
    {"width": (1, 1.0)}, modules=(Tent,),
)  # fmt: skip


def test_one_record_makes_a_kink_known(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    assert emitter(Tent()) is None
    monkeypatch.setitem(KINKS, "tent", TENT)
    network = nn.Sequential(nn.Linear(2, 6), Tent(), nn.Linear(6, 5), nn.GELU(), nn.Linear(5, 2)).double()
    network[1].width = 0.7
    program = trace(network, (2,), swap={"gelu": "tent"})
    assert len(program.layers) == 6 and {layer.kinks.breakpoints for layer in program.layers} == {(0.0,)}
    x = torch.randn(50, 2, dtype=torch.float64)
    drawn = nn.Sequential(*network[:3], Tent(), network[4])
    torch.testing.assert_close(program(x), drawn(x).detach())
    assert program.swaps == {"gelu": "tent"} and "tent" in operations()
    again = Program.from_data(program.to_data())
    assert [layer.kinks for layer in again.bind(dict(network.state_dict())).layers] == [k.kinks for k in program.layers]


@pytest.mark.parametrize("op", [op for op, kink in KINKS.items() if kink.modules])
def test_modules_are_known_where_the_batch_is_not_in_front(op: str) -> None:
    """A class was looked up by its name in small letters, which for nn.LeakyReLU is not that of its call."""

    class Members(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.act = nn.Linear(3, 4), nn.Linear(3, 4), KINKS[op].modules[0]()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.act(torch.stack([self.one(x), self.two(x)])).mean(0)

    torch.manual_seed(0)
    network = Members().double()
    x = torch.randn(9, 3, dtype=torch.float64)
    torch.testing.assert_close(trace(network, (3,))(x), network(x).detach())
