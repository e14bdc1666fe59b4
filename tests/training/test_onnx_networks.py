"""ONNX networks, judged by onnxruntime: every operator alone, networks as torch exports them, and folders of files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from splineviz.errors import CheckpointError, TraceError  # noqa: E402
from splineviz.regions.enumerate import partition  # noqa: E402
from splineviz.tracing.trace import trace  # noqa: E402
from splineviz.training import onnx_networks  # noqa: E402
from splineviz.training.runs import open_run  # noqa: E402
from splineviz.training.samples import Data  # noqa: E402

RNG = np.random.default_rng(0)


def weight(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def write(path: Path, nodes: Sequence[Any], shape: Sequence[Any], weights: dict[str, np.ndarray], opset: int = 17) -> Path:
    """A graph from x to y."""
    graph = helper.make_graph(
        list(nodes), "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.save(model, path)
    return path


def judged(path: Path, shape: tuple[int, ...]) -> Any:
    """The Program of a file, compared with onnxruntime on random inputs; a file with a fixed batch is run row by row."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    program = trace(onnx_networks.network(path), shape, smooth=True)
    x = np.random.default_rng(1).normal(size=(7, *shape)).astype(np.float32) * 2
    (name, declared) = session.get_inputs()[0].name, session.get_inputs()[0].shape
    rows = [x] if not isinstance(declared[0], int) else list(x[:, None])
    theirs = np.concatenate([session.run(None, {name: row})[0].reshape(len(row), -1) for row in rows])
    ours = program(torch.from_numpy(x).double()).numpy()
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max() + 1e-6)
    assert np.abs(theirs).max() > 1e-3
    return program


def node(kind: str, inputs: str = "x", output: str = "y", **attrs: Any) -> Any:
    return helper.make_node(kind, inputs.split(), [output], **attrs)


W34, B4, C3 = weight(5, 4), weight(4), weight(6, 3, 3, 3)
ints = lambda *n: np.array(n, dtype=np.int64)  # noqa: E731
IMAGE = ("n", 3, 6, 6)
VECTOR = ("n", 5)
ALONE = [
    ("Gemm", [node("Gemm", "x w b")], VECTOR, {"w": W34, "b": B4}),
    ("Gemm transB", [node("Gemm", "x w b", transB=1)], VECTOR, {"w": W34.T.copy(), "b": B4}),
    ("Gemm square", [node("Gemm", "x w b")], VECTOR, {"w": weight(5, 5), "b": weight(5)}),
    ("Gemm square transB", [node("Gemm", "x w b", transB=1)], VECTOR, {"w": weight(5, 5), "b": weight(5)}),
    ("Gemm alpha beta", [node("Gemm", "x w b", alpha=0.5, beta=2.0)], VECTOR, {"w": W34, "b": B4}),
    ("Gemm no bias", [node("Gemm", "x w")], VECTOR, {"w": W34}),
    ("Gemm row bias", [node("Gemm", "x w b", transB=1)], VECTOR, {"w": W34.T.copy(), "b": weight(1, 4)}),
    ("MatMul", [node("MatMul", "x w")], VECTOR, {"w": W34}),
    ("MatMul left", [node("MatMul", "w x")], ("n", 5, 3), {"w": weight(2, 5)}),
    ("MatMul batch 1", [node("MatMul", "x w")], (1, 5), {"w": W34}),
    ("Conv", [node("Conv", "x w b")], IMAGE, {"w": C3, "b": weight(6)}),
    ("Conv stride pads", [node("Conv", "x w", strides=[2, 1], pads=[1, 2, 1, 2])], IMAGE, {"w": C3}),
    ("Conv uneven pads", [node("Conv", "x w", pads=[0, 1, 2, 0])], IMAGE, {"w": C3}),
    ("Conv same", [node("Conv", "x w", auto_pad="SAME_UPPER")], IMAGE, {"w": weight(2, 3, 2, 2)}),
    ("Conv same lower", [node("Conv", "x w", auto_pad="SAME_LOWER")], IMAGE, {"w": weight(2, 3, 2, 2)}),
    ("Conv groups dilated", [node("Conv", "x w", group=3, dilations=[2, 2])], IMAGE, {"w": weight(6, 1, 2, 2)}),
    ("Conv 1d", [node("Conv", "x w b", pads=[1, 1])], ("n", 3, 8), {"w": weight(2, 3, 3), "b": weight(2)}),
    ("ConvTranspose", [node("ConvTranspose", "x w b", strides=[2, 2], pads=[1, 1, 1, 1])], IMAGE,
     {"w": weight(3, 2, 3, 3), "b": weight(2)}),
    ("BatchNormalization", [node("BatchNormalization", "x s b m v", epsilon=1e-3)], IMAGE,
     {"s": weight(3), "b": weight(3), "m": weight(3), "v": np.abs(weight(3)) + 0.1}),
    ("Relu", [node("Relu")], VECTOR, {}),
    ("LeakyRelu", [node("LeakyRelu", alpha=0.2)], VECTOR, {}),
    ("LeakyRelu default", [node("LeakyRelu")], VECTOR, {}),
    ("Clip", [node("Clip", "x lo hi")], VECTOR, {"lo": np.float32(-0.5), "hi": np.float32(1.5)}),
    ("Clip from below", [node("Clip", "x lo")], VECTOR, {"lo": np.float32(0)}),
    ("Abs", [node("Abs")], VECTOR, {}),
    ("Add", [node("Add", "x b")], VECTOR, {"b": weight(5)}),
    ("Add left", [node("Add", "b x")], VECTOR, {"b": weight(1, 5)}),
    ("Sub", [node("Sub", "x b")], VECTOR, {"b": weight(5)}),
    ("Sub left", [node("Sub", "b x")], VECTOR, {"b": weight(5)}),
    ("Mul", [node("Mul", "x b")], VECTOR, {"b": weight(5)}),
    ("Mul scalar", [node("Mul", "b x")], VECTOR, {"b": np.float32(0.3)}),
    ("Div", [node("Div", "x b")], VECTOR, {"b": np.abs(weight(5)) + 1}),
    ("Neg", [node("Neg")], VECTOR, {}),
    ("skip", [node("Relu", "x", "r"), node("Add", "x r")], VECTOR, {}),
    ("difference", [node("Relu", "x", "r"), node("Sub", "x r")], VECTOR, {}),
    ("Max", [node("MatMul", "x w", "z"), node("Max", "x z")], VECTOR, {"w": weight(5, 5)}),
    ("Min", [node("MatMul", "x w", "z"), node("Min", "x z")], VECTOR, {"w": weight(5, 5)}),
    ("Concat", [node("Relu", "x", "r"), node("Concat", "x r", axis=1)], VECTOR, {}),
    ("Concat from behind", [node("Relu", "x", "r"), node("Concat", "x r", axis=-1)], IMAGE, {}),
    ("Flatten", [node("Flatten")], IMAGE, {}),
    ("Reshape", [node("Reshape", "x s")], IMAGE, {"s": ints(-1, 108)}),
    ("Reshape zero", [node("Reshape", "x s")], IMAGE, {"s": ints(0, 0, -1)}),
    ("Reshape batch 1", [node("Reshape", "x s")], (1, 3, 6, 6), {"s": ints(1, -1)}),
    ("Reshape fixed", [node("Reshape", "x s")], (1, 3, 6, 6), {"s": ints(-1, 4, 27)}),
    ("Transpose", [node("Transpose", perm=[0, 2, 3, 1])], IMAGE, {}),
    ("Pad", [node("Pad", "x p v")], IMAGE, {"p": ints(0, 0, 1, 2, 0, 0, 0, 1), "v": np.float32(0.7)}),
    ("Pad channels", [node("Pad", "x p")], IMAGE, {"p": ints(0, 1, 0, 0, 0, 2, 0, 0)}),
    ("Pad reflect", [node("Pad", "x p", mode="reflect")], IMAGE, {"p": ints(0, 0, 1, 2, 0, 0, 2, 1)}),
    ("Pad edge", [node("Pad", "x p", mode="edge")], IMAGE, {"p": ints(0, 0, 1, 0, 0, 0, 2, 1)}),
    ("MaxPool", [node("MaxPool", kernel_shape=[2, 3], strides=[2, 1], pads=[1, 1, 1, 1])], IMAGE, {}),
    ("MaxPool stride 1", [node("MaxPool", kernel_shape=[2, 2])], IMAGE, {}),
    ("MaxPool ceil", [node("MaxPool", kernel_shape=[4, 4], strides=[4, 4], ceil_mode=1)], IMAGE, {}),
    ("AveragePool", [node("AveragePool", kernel_shape=[2, 2], strides=[2, 2])], IMAGE, {}),
    ("AveragePool pads", [node("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1])], IMAGE, {}),
    ("AveragePool counted", [node("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)], IMAGE, {}),
    ("GlobalAveragePool", [node("GlobalAveragePool")], IMAGE, {}),
    ("GlobalMaxPool", [node("GlobalMaxPool")], IMAGE, {}),
    ("ReduceMean", [node("ReduceMean", axes=[2, 3], keepdims=0)], IMAGE, {}),
    ("ReduceSum", [node("ReduceSum", "x a")], IMAGE, {"a": ints(-1)}),
    ("Identity", [node("Identity", "x", "i"), node("Dropout", "i")], VECTOR, {}),
    ("Squeeze", [node("Squeeze", "x a")], ("n", 1, 5, 1), {"a": ints(1, 3)}),
    ("Unsqueeze", [node("Unsqueeze", "x a")], VECTOR, {"a": ints(1, -1)}),
    ("Slice", [node("Slice", "x s e a t")], IMAGE, {"s": ints(1, 0), "e": ints(5, 2**62), "a": ints(2, 3), "t": ints(1, 2)}),
    ("Slice from behind", [node("Slice", "x s e a")], IMAGE, {"s": ints(-3), "e": ints(-1), "a": ints(-1)}),
    ("Gather", [node("Gather", "x i", axis=1)], IMAGE, {"i": ints(2, 0, -1)}),
    ("Constant", [node("Constant", "", "c", value=numpy_helper.from_array(weight(5), "c")), node("Mul", "x c")], VECTOR, {}),
    ("Constant number", [node("Constant", "", "c", value_float=0.25), node("Mul", "x c")], VECTOR, {}),
    ("flatten by Shape", [
        node("Shape", "x", "s"), node("Gather", "s zero", "n", axis=0), node("Unsqueeze", "n axes", "n1"),
        node("Concat", "n1 minus", "t", axis=0), node("Reshape", "x t"),
    ], IMAGE, {"zero": np.array(0, dtype=np.int64), "axes": ints(0), "minus": ints(-1)}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "nodes", "shape", "weights"), ALONE, ids=[row[0].replace(" ", "-") for row in ALONE])
def test_an_operator_alone(kind: str, nodes: Any, shape: Any, weights: Any, tmp_path: Path) -> None:
    if kind in ("Identity",):
        nodes = [helper.make_node("Identity", ["x"], ["i"]), helper.make_node("Dropout", ["i"], ["y"])]
    nodes = [helper.make_node(n.op_type, [i for i in n.input if i], n.output, **{a.name: helper.get_attribute_value(a)
             for a in n.attribute}) for n in nodes]  # fmt: skip
    opset = 13 if kind == "ReduceMean" else 17
    judged(write(tmp_path / "a.onnx", nodes, shape, weights, opset), tuple(shape[1:]))


REFUSED = [
    ("Erf", [node("Erf")], VECTOR, {}, r"node y \(Erf\): expected one of Abs, Add"),
    ("Mul of two", [node("Relu", "x", "r"), node("Mul", "x r")], VECTOR, {}, "not affine"),
    ("Reshape of the batch", [node("Reshape", "x s")], IMAGE, {"s": ints(-1, 3)}, "batch to stay in front"),
    ("Transpose of the batch", [node("Transpose", perm=[1, 0])], VECTOR, {}, "batch to stay in front"),
    ("Concat of the batch", [node("Concat", "x x", axis=0)], VECTOR, {}, "behind the batch"),
    ("uneven MaxPool", [node("MaxPool", kernel_shape=[2, 2], pads=[0, 0, 1, 1])], IMAGE, {}, "same padding on both sides"),
    ("sum over all", [node("ReduceSum", keepdims=0)], VECTOR, {}, "over everything"),
    ("no input", [node("Constant", "", "y", value_float=1.0)], VECTOR, {}, "output that depends on the input"),
    ("empty constant", [node("Constant", "", "c"), node("Mul", "x c")], VECTOR, {}, "constant with a value, got none"),
]  # fmt: skip


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row[0].replace(" ", "-"))
def test_what_is_not_known_is_refused_by_name(row: Any, tmp_path: Path) -> None:
    _, nodes, shape, weights, words = row
    nodes = [helper.make_node(n.op_type, [i for i in n.input if i], n.output, **{a.name: helper.get_attribute_value(a)
             for a in n.attribute}) for n in nodes]  # fmt: skip
    with pytest.raises(CheckpointError, match=words) as caught:
        onnx_networks.network(write(tmp_path / "a.onnx", nodes, shape, weights))
    assert "a.onnx" in str(caught.value) and "\n" not in str(caught.value)


def test_smooth_networks_are_refused_as_those_of_torch_are(tmp_path: Path) -> None:
    path = write(tmp_path / "a.onnx", [node("MatMul", "x w", "z"), node("Tanh", "z")], VECTOR, {"w": W34})
    judged(path, (5,))
    with pytest.raises(TraceError, match="tanh"):
        trace(onnx_networks.network(path), (5,))


def mlp(path: Path, seed: int, slope: float = 0.0) -> Path:
    rng = np.random.default_rng(seed)
    w = {name: rng.normal(size=size).astype(np.float32) for name, size in (("l1.weight", (2, 8)), ("l1.bias", (8,)),
         ("l2.weight", (8, 3)), ("l2.bias", (3,)))}  # fmt: skip
    bend = node("LeakyRelu", "a", "h", alpha=slope) if slope else node("Relu", "a", "h")
    return write(path, [node("Gemm", "x l1.weight l1.bias", "a"), bend, node("Gemm", "h l2.weight l2.bias")], ("n", 2), w)


DATA = Data.of((np.random.default_rng(5).normal(size=(9, 2)), np.arange(9) % 3))


def test_a_folder_of_files_is_a_run_whose_steps_are_their_own(tmp_path: Path) -> None:
    for step in (2, 10):
        mlp(tmp_path / f"net_{step}.onnx", step)
    run = open_run(tmp_path, data=DATA)
    assert [c.step for c in run.checkpoints] == [2, 10]
    for checkpoint in run.checkpoints:
        session = onnxruntime.InferenceSession(str(checkpoint.path), providers=["CPUExecutionProvider"])
        theirs = session.run(None, {"x": DATA.train_x.astype(np.float32)})[0]
        ours = run.program(checkpoint)(torch.from_numpy(DATA.train_x)).numpy()
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    found = partition(run.program(run.checkpoints[-1]), run.plane(), window=1.0)
    assert found.num_regions > 3


def test_another_graph_is_no_other_step(tmp_path: Path) -> None:
    mlp(tmp_path / "net_1.onnx", 1)
    mlp(tmp_path / "net_2.onnx", 2, slope=0.1)
    run = open_run(tmp_path, data=DATA)
    run.program(run.checkpoints[0])
    with pytest.raises(CheckpointError, match=r"net_2.onnx(.|\n)*graph_\w+ +no such weight"):
        run.program(run.checkpoints[1])


def layers(path: Path, names: str, weights: dict[str, np.ndarray], before: Sequence[Any] = ()) -> Path:
    """Three Gemm layers of inputs (n, 4) with weights and biases of these names."""
    w1, b1, w2, b2, w3, b3 = names.split()
    chain = [
        node("Gemm", f"x {w1} {b1}".rstrip("- "), "z1"), node("Relu", "z1", "h1"), node("Gemm", f"h1 {w2} {b2}", "z2"),
        node("Relu", "z2", "h2"), node("Gemm", f"h2 {w3} {b3}"),
    ]  # fmt: skip
    return write(path, [*before, *chain], ("n", 4), weights)


def test_weights_go_by_their_places_whatever_a_file_calls_them(tmp_path: Path) -> None:
    square = weight(4, 4)
    layers(tmp_path / "net_0.onnx", "w b w b w b", {"w": square, "b": np.zeros(4, np.float32)})  # equal ones, once
    layers(  # through a node each, as torch's exporter has it
        tmp_path / "net_1.onnx", "w b w1 b1 w2 b1", {"w": weight(4, 4), "b": weight(4)},
        [node("Identity", "w", "w1"), node("Identity", "b", "b1"), node("Identity", "w1", "w2")],
    )  # fmt: skip
    layers(tmp_path / "net_2.onnx", "a b c d e f", {k: weight(4, 4) if k in "ace" else weight(4) for k in "abcdef"})
    layers(tmp_path / "net_3.onnx", "f e d c b a", {k: weight(4, 4) if k in "bdf" else weight(4) for k in "abcdef"})
    layers(tmp_path / "net_4.onnx", "w - w d w f", {"w": weight(4, 4), "d": weight(4), "f": weight(4)})  # a bias of 0
    layers(  # computed from what is stored
        tmp_path / "net_5.onnx", "wt b wn b v b", {"w": weight(4, 4), "v": weight(4, 4), "g": weight(1, 4), "b": weight(4)},
        [node("Transpose", "w", "wt", perm=[1, 0]), node("Mul", "g w", "gw"), node("Mul", "g g", "gg"),
         node("Sqrt", "gg", "r"), node("Div", "gw r", "wn")],
    )  # fmt: skip
    layers(  # a file whose own names are those of places
        tmp_path / "net_6.onnx", "relu1_0 gemm2_bias gemm0_weight gemm4_bias gemm2_weight n2",
        {n: weight(4) if n in ("gemm2_bias", "gemm4_bias", "n2") else weight(4, 4)
         for n in ("relu1_0", "gemm2_bias", "gemm0_weight", "gemm4_bias", "gemm2_weight", "n2")},
    )  # fmt: skip
    data = Data.of((np.random.default_rng(5).normal(size=(9, 4)), np.arange(9) % 3))
    run = open_run(tmp_path, data=data)
    assert len(run.checkpoints) == 7
    for checkpoint in run.checkpoints[:6]:
        session = onnxruntime.InferenceSession(str(checkpoint.path), providers=["CPUExecutionProvider"])
        theirs = session.run(None, {"x": data.train_x.astype(np.float32)})[0]
        np.testing.assert_allclose(run.program(checkpoint)(torch.from_numpy(data.train_x)).numpy(), theirs, atol=1e-4)
    judged(tmp_path / "net_6.onnx", (4,))
    with pytest.raises(CheckpointError, match="does not fit"):
        run.program(run.checkpoints[6])


def test_a_graph_wired_otherwise_is_another_one(tmp_path: Path) -> None:
    weights = {"a": weight(4, 4), "b": weight(4, 4)}
    ends = {1: node("Sub", "r p"), 2: node("Sub", "p r"), 3: node("Sub", "r q")}
    for step, end in ends.items():
        nodes = [node("MatMul", "x a", "p"), node("MatMul", "p b", "q"), node("Relu", "q", "r"), end]
        write(tmp_path / f"net_{step}.onnx", nodes, ("n", 4), weights)
    run = open_run(tmp_path, data=Data.of((np.random.default_rng(5).normal(size=(9, 4)), np.arange(9) % 3)))
    for checkpoint in run.checkpoints[1:]:
        with pytest.raises(CheckpointError, match="operators are not those of the first file"):
            run.program(checkpoint)


@pytest.mark.parametrize("content", [b"", b"\x08\x07", b"text", b"\xff" * 99])
def test_broken_files_give_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a_1.onnx").write_bytes(content)
    with pytest.raises(CheckpointError, match="a_1.onnx: expected") as caught:
        open_run(tmp_path, data=DATA)
    assert "\n" not in str(caught.value)


def test_weights_elsewhere_are_not_followed(tmp_path: Path) -> None:
    path = mlp(tmp_path / "a_1.onnx", 1)
    model = onnx.load(str(path))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../secret"
    path.write_bytes(model.SerializeToString())
    (tmp_path.parent / "secret").write_bytes(bytes(64))
    with pytest.raises(CheckpointError, match="a_1.onnx: expected files of weights beside it, got ../secret"):
        onnx_networks.network(path)


def test_a_node_without_outputs_is_refused_in_one_line(tmp_path: Path) -> None:
    path = write(tmp_path / "net.onnx", [helper.make_node("Relu", ["x"], ["y"])], ["n", 3], {})
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("Nothing", ["x"], []))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match="Nothing.*: expected at least one output, got none"):
        onnx_networks.network(path)
