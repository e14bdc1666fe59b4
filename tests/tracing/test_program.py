"""Programs: what they compute, what they hold, and that they travel as data."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import torch
from torch import nn

from splineviz.errors import TraceError
from splineviz.tracing.lowering import lower
from splineviz.tracing.program import AFFINE, KINKS, Kinks, Program, Step, operations
from splineviz.tracing.tape import Live, Tape
from splineviz.tracing.trace import trace

LINEAR = Step("linear", (0,), 1, {"weight": "a.weight", "bias": "a.bias"}, {}, "a")
RELU = Step("relu", (1,), 2, {}, {}, "act")


def small(seed: int = 0) -> Program:
    generator = torch.Generator().manual_seed(seed)
    weights = {
        "a.weight": torch.randn(4, 3, dtype=torch.float64, generator=generator),
        "a.bias": torch.randn(4, dtype=torch.float64, generator=generator),
    }
    return Program((3,), [LINEAR, RELU], 2, weights)


def conv_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, stride=2, padding=1), nn.BatchNorm2d(3), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(27, 4)
    ).eval()


def test_a_program_computes_what_its_steps_say() -> None:
    program, x = small(), torch.randn(5, 3, dtype=torch.float64)
    z = x @ program.weights["a.weight"].T + program.weights["a.bias"]
    torch.testing.assert_close(program(x), z.clamp_min(0))
    layers, outputs = program.preactivations(x)
    assert len(layers) == 1
    torch.testing.assert_close(layers[0], z)
    torch.testing.assert_close(outputs, program(x))


KINK_ATTRS: list[tuple[str, dict[str, Any]]] = [
    ("relu", {}),
    ("leaky_relu", {"negative_slope": 0.125}),
    ("abs", {}),
    ("relu6", {}),
    ("clamp", {"min": -1.0, "max": 0.5}),
    ("clamp", {"min": None, "max": 0.5}),
    ("clamp", {"min": -1.0, "max": None}),
    ("clamp", {"min": 1.0, "max": 0.5}),
    ("hardsigmoid", {}),
    ("softshrink", {"lambd": 0.75}),
]


@pytest.mark.parametrize(("name", "attrs"), KINK_ATTRS, ids=str)
def test_every_kink_is_the_function_that_its_breakpoints_and_slopes_say(name: str, attrs: dict[str, Any]) -> None:
    assert {name for name, _ in KINK_ATTRS} == KINKS.keys()
    call, kinks = KINKS[name].call, KINKS[name].pieces(attrs)
    assert isinstance(kinks, Kinks) and len(kinks.slopes) == len(kinks.breakpoints) + 1
    assert list(kinks.breakpoints) == sorted(kinks.breakpoints)
    z = torch.linspace(-8, 8, 1601, dtype=torch.float64)
    slopes = torch.tensor(kinks.slopes, dtype=torch.float64)
    piece = torch.searchsorted(torch.tensor(kinks.breakpoints, dtype=torch.float64), (z[1:] + z[:-1]) / 2)
    torch.testing.assert_close(call(z, attrs).diff() / z.diff(), slopes[piece])


@pytest.mark.parametrize(("name", "attrs"), KINK_ATTRS, ids=str)
def test_a_kink_with_other_breakpoints_is_a_sum_of_relus(name: str, attrs: dict[str, Any]) -> None:
    tape = Tape((5,), {})
    z = Live(0, torch.zeros(2, 5, dtype=torch.float64))
    program = tape.program(tape.kink(name, z, **attrs).register)
    assert {layer.kinks.breakpoints for layer in program.layers} <= {(0.0,)}
    x = torch.linspace(-9, 9, 35, dtype=torch.float64).reshape(7, 5)
    torch.testing.assert_close(program(x), KINKS[name].call(x, attrs))


def test_every_affine_operation_is_affine_and_homogeneous_leaves_out_the_constants() -> None:
    program = trace(conv_net(), (2, 6, 6))
    assert (
        {step.op for step in program.steps} == {"conv", "batch_norm", "leaky_relu", "reshape", "linear"} <= {*AFFINE, *KINKS}
    )
    generator, shapes = torch.Generator().manual_seed(0), {0: (2, 6, 6)}
    for i, step in enumerate(program.steps):
        source = shapes[step.inputs[0]]
        a, b = (torch.randn(4, *source, dtype=torch.float64, generator=generator) for _ in range(2))

        def run(x: torch.Tensor, homogeneous: bool = False, at: int = i) -> torch.Tensor:
            step = program.steps[at]
            return program.run({step.inputs[0]: x}, at, at + 1, homogeneous=homogeneous)[step.output]

        shapes[step.output] = tuple(run(a).shape[1:])
        if not step.is_kink:
            zero = torch.zeros_like(a)
            torch.testing.assert_close(run(a) + run(b) - run(zero), run(a + b))
            torch.testing.assert_close(run(a, True) + run(b, True), run(a + b, True))
            torch.testing.assert_close(run(a) - run(zero), run(a, True))


def test_running_in_parts_is_running_at_once() -> None:
    program = trace(conv_net(), (2, 6, 6))
    x = torch.randn(3, 2, 6, 6, dtype=torch.float64)
    for cut in range(len(program.steps) + 1):
        live = program.run({0: x}, 0, cut)
        assert len(live) == 1, "a chain keeps one register alive"
        done = program.run(live, cut, len(program.steps))
        torch.testing.assert_close(done[program.output], program(x))


def test_layers_know_their_place_shape_and_kinks() -> None:
    (layer,) = trace(conv_net(), (2, 6, 6)).layers
    assert (layer.path, layer.shape, layer.units) == ("2", (3, 3, 3), 27)
    assert layer.kinks == Kinks((0.0,), (0.2, 1.0))
    assert trace(nn.Linear(2, 2), (2,)).layers == ()


@pytest.mark.parametrize(
    ("steps", "output", "words"),
    [
        ([Step("glu", (0,), 1, path="body.act")], 1, r"body\.act: expected one of the operations .*relu.*, got 'glu'"),
        ([LINEAR, Step("relu", (7,), 2, path="act")], 2, "act: reads register .7,. before it is written"),
        ([LINEAR], 5, "output register 5 is never written"),
    ],
)
def test_broken_programs_are_refused(steps: list[Step], output: int, words: str) -> None:
    with pytest.raises(TraceError, match=words):
        Program((3,), steps, output, small().weights)


def test_operations_are_named() -> None:
    assert operations() == sorted(operations()) and {"linear", "conv", "cat", "relu"} <= set(operations())


# ---- precision, weights, data ----------------------------------------------------------------------------------


def test_precision_can_be_changed_and_whole_numbers_stay() -> None:
    program = small()
    program.weights["count"] = torch.tensor(3)
    single = program.to(torch.float32)
    assert single.dtype == torch.float32 and program.dtype == torch.float64
    assert single.weights["count"].dtype == torch.int64 and single.device == torch.device("cpu")
    assert single(torch.zeros(1, 3)).dtype == torch.float32


def test_other_weights_can_be_bound() -> None:
    one, other = small(0), small(1)
    x = torch.randn(5, 3, dtype=torch.float64)
    state = {**other.weights, "unused": torch.zeros(1)}
    torch.testing.assert_close(one.bind(state)(x), other(x))
    assert "unused" not in one.bind(state).weights


def test_weights_that_do_not_fit_are_all_named() -> None:
    with pytest.raises(TraceError) as caught:
        small().bind({"a.weight": torch.zeros(4, 5)})
    assert "a.weight: expected shape (4, 3), got (4, 5)" in str(caught.value)
    assert "a.bias: expected shape (4,), missing" in str(caught.value)


def test_a_program_travels_as_json() -> None:
    network = conv_net()
    program = trace(network, (2, 6, 6))
    text = json.dumps(program.to_data())
    back = Program.from_data(json.loads(text)).bind(program.weights)
    x = torch.randn(3, 2, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(back(x), program(x), rtol=0, atol=0)
    assert back.layers == program.layers and back.to_data() == program.to_data()
    assert "torch" not in text and "splineviz" not in text, "data holds no import path"


def test_huge_shapes_in_data_allocate_nothing() -> None:
    data = small().to_data()
    data["weights"]["a.weight"] = [10**9, 10**9]
    with pytest.raises(TraceError, match=r"step 0 \(a\): expected shapes that fit"):
        Program.from_data(data)
    assert Program.from_data(data, rehearsed=True).weights["a.weight"].untyped_storage().nbytes() <= 8, "nor here"


def test_data_that_were_rehearsed_are_not_rehearsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    program, rehearsals = small(), []
    monkeypatch.setattr(Program, "rehearse", lambda self: rehearsals.append(self))
    Program.from_data(program.to_data(), rehearsed=True)
    assert rehearsals == []
    Program.from_data(program.to_data())
    assert len(rehearsals) == 1


def corrupted(data: dict[str, Any], *path: Any, value: Any = None) -> dict[str, Any]:
    data = copy.deepcopy(data)
    at: Any = data
    for key in path[:-1]:
        at = at[key]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("format",), 2, "expected format 1, got 2"),
        (("steps",), None, "expected the data that Program.to_data writes"),
        (("steps", 0, "op"), "eval", "got 'eval'"),
        (("steps", 0, "inputs"), 3, "expected the data"),
        (("weights",), [1], "expected the data"),
        (("weights", "a.weight"), None, r"weights \['a.weight'\] are used but not described"),
        (("weights", "a.weight"), [-1, 3], "expected the data"),
    ],
)
def test_malformed_data_is_refused(path: tuple[Any, ...], value: Any, words: str) -> None:
    with pytest.raises(TraceError, match=words):
        Program.from_data(corrupted(small().to_data(), *path, value=value))


@pytest.mark.parametrize("data", [{}, {"format": 1}, [], "text"], ids=str)
def test_data_of_another_kind_is_refused(data: Any) -> None:
    with pytest.raises(TraceError, match="expected the data"):
        Program.from_data(data)


def test_layers_have_names_of_their_own() -> None:
    """Functional activations of one module, one activation that is called twice, and a maximum beside them."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.act = nn.Linear(4, 4), nn.Linear(4, 4), nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.relu(self.b(self.act(self.b(torch.relu(self.a(x))))))
            return self.a(torch.maximum(self.act(x), torch.maximum(x, 2 * x)))

    program = trace(Twice(), (4,))
    names = [layer.path for layer in program.layers]
    assert sorted(names) == ["act", "act (2)", "maximum", "maximum (2)", "relu", "relu (2)"]
    assert [layer.path for layer in lower(program).layers] == names
