"""ONNX networks: a .onnx file -> a torch module that computes what the file says, to be traced and proved like any other.
Here too: the weights of a file by themselves.

    nodes of the graph    -> calls of torch, one entry of OPERATORS a kind; a kind that has none is refused by name
    float initializers    -> buffers of the module, its weights, named after the node that reads them: gemm0_weight, add4_1
    nodes of those alone  -> computed when the file is read; what comes out is a weight
    shapes, axes, bounds  -> numbers, fixed when the module is made

Names in a file say nothing: exporters write tensors that happen to be equal once, as all biases of 0 are before training,
and number the rest anew. So a weight is named by its place, and one that two nodes read counts twice.
Files of one run differ in their weights alone: the digest of everything else stands among the names of a file's weights,
so that a file with another graph does not pass for another step. The first dimension of inputs is the batch. Reading an ONNX
file runs none of its content. Needs the package onnx (pip install 'splineviz[onnx]').
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from splineviz.errors import CheckpointError
from splineviz.storage import files
from splineviz.training.onnx_operators import BATCH, FOLDED, OPERATORS, Node, Refused

MOST_ENTRIES = 1 << 28
"""No tensor that a file asks for may be larger."""
ROLES = {
    **dict.fromkeys(("Gemm", "Conv", "ConvTranspose"), ("input", "weight", "bias")),
    "BatchNormalization": ("input", "weight", "bias", "running_mean", "running_var"),
}
"""What the inputs of a kind of nodes are called; by their places elsewhere."""
COMPUTED = (
    "Add", "Sub", "Mul", "Div", "Neg", "Abs", "Sqrt", "Reciprocal", "Pow", "Exp", "Log", "Sigmoid", "Tanh", "Softmax",
    "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Cast", "MatMul", "Gemm", "Gather", "Slice", "Concat",
    "ReduceSum", "ReduceMean", "ReduceL2", "Identity", "Relu", "Softplus", "Where", "Sum", "Shape",
)  # fmt: skip
"""Kinds of nodes that may compute a weight from weights: none gives more numbers than the product of what it reads."""


def network(path: str | Path) -> OnnxNetwork:
    """The network of a file. Raises CheckpointError when it cannot be read, or holds what has no entry in OPERATORS."""
    return OnnxNetwork(_model(Path(path)), Path(path))


def state(path: Path, trust: bool = False) -> dict[str, Tensor]:
    """The weights of a file, and beside them an empty one whose name is the digest of all the rest."""
    return {key: tensor.detach() for key, tensor in network(path).state_dict().items()}


class OnnxNetwork(nn.Module):
    """The module of a graph; `input_shape` is what the file declares, without the batch, None for each open dimension."""

    def __init__(self, model: Any, path: Path):
        super().__init__()
        graph = model.graph
        self.path = path
        self.stored: dict[str, np.ndarray[Any, Any]] = {}
        self.constants: dict[str, np.ndarray[Any, Any]] = {}
        self.weight_keys: dict[str, str] = {}
        self.fixed: dict[str, Any] = {}
        self.calls: list[tuple[Callable[..., Any], list[Any], str]] = []
        _check_names(graph, path)
        for tensor in graph.initializer:
            self._hold(tensor.name, _array(tensor, path))
        inputs = [one for one in graph.input if one.name not in self.constants and one.name not in self.stored]
        if len(inputs) != 1 or len(graph.output) != 1:
            raise CheckpointError(
                f"{path}: expected a graph of one input and one output, got {_names(inputs)} and {_names(graph.output)}; "
                "cut it to those (onnx.utils.extract_model)."
            )
        self.shapes = _shapes(model)
        self.input, self.output = inputs[0].name, graph.output[0].name
        declared = self.shapes.get(self.input, [])
        self.input_shape = tuple(n if n > 0 else None for n in declared[1:])
        if len(declared) < 2:
            raise CheckpointError(f"{path}: expected inputs with a batch in front, got shape {declared}.")
        opset = max([entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")], default=0)
        self.live = {self.input: 0}
        self.told: list[Any] = []
        self.taken = {name for node in graph.node for name in (*node.input, *node.output)}
        for node in graph.node:
            attrs = {a.name: _attribute(a, path) for a in node.attribute}
            self._add(node, attrs, opset)
        if self.output not in self.live:
            raise CheckpointError(f"{path}: expected an output that depends on the input, got {self.output}.")
        told = [self.told, self.live[self.output], sorted(self.fixed.items()), opset]
        self.register_buffer(f"graph_{files.digest(told)[:16]}", torch.zeros(0))

    def forward(self, x: Tensor) -> Tensor:
        """Run the nodes in order."""
        values: dict[str, Any] = {self.input: x}
        for function, sources, target in self.calls:
            given = (values[s] if s in self.live else getattr(self, self.weight_keys[s]) for s in sources)
            values[target] = function(*given)
        return values[self.output]

    # ---- while the module is made ---------------------------------------------------------------------

    def keep(self, name: str, array: np.ndarray[Any, Any]) -> None:
        """A weight of a node, by its name there."""
        self.weight_keys[name] = name
        self.register_buffer(name, torch.from_numpy(np.array(array)))

    def _hold(self, name: str, array: np.ndarray[Any, Any]) -> None:
        """A tensor as the file names it: a weight, or a constant of whole numbers."""
        (self.stored if array.dtype.kind == "f" else self.constants)[name] = array

    def _own(self, node: Any, label: str, attrs: dict[str, Any]) -> list[str]:
        """The inputs of a node, weights and constants under names of their places; a bias that is left out is 0."""
        roles = ROLES.get(node.op_type, ())
        names = []
        for i, name in enumerate(node.input):
            own = f"{label}_{roles[i] if i < len(roles) else i}"
            while own in self.taken:
                own += "_"
            if name in self.stored and name not in self.live:
                self.keep(own, self.stored[name])
            elif name in self.constants:
                self.constants[own] = self.constants[name]
            else:
                own = name
            names.append(own)
        if node.op_type in ("Gemm", "Conv", "ConvTranspose") and len([name for name in names if name]) == 2:
            weight = self.stored.get(node.input[1], np.zeros(()))
            last = {"Gemm": int(not attrs.get("transB", 0)), "Conv": 0, "ConvTranspose": 1}[node.op_type]
            if weight.ndim > last:  # exporters leave out one that happens to be 0
                size = weight.shape[last] * (int(attrs.get("group", 1)) if last and weight.ndim > 2 else 1)
                names = [*names[:2], f"{label}_bias"]
                self.keep(names[2], np.zeros(size, weight.dtype))
        return names

    def numbers(self, name: str) -> list[Any]:
        """A constant's values, which become a part of the graph."""
        if name in self.weight_keys:
            array = getattr(self, self.weight_keys[name]).numpy()
        elif name in self.constants:
            array = self.constants[name]
        else:
            raise Refused(f"expected {name} to be constant, got a value that depends on the input")
        found: list[Any] = array.reshape(-1).tolist()
        self.fixed[name] = [list(array.shape), found]
        return found

    def shape(self, name: str) -> list[int]:
        """The shape of a value, without the batch. Raises Refused where it is open."""
        found = self.shapes.get(name, [])[1:]
        if not self.shapes.get(name) or any(n <= 0 for n in found):
            raise Refused("expected a shape that is known but for the batch; export the network with fixed sizes")
        return found

    def _add(self, node: Any, attrs: dict[str, Any], opset: int) -> None:
        where = f"{self.path}: node {node.name or next(iter(node.output), '')} ({node.op_type})"
        if not node.output:
            raise CheckpointError(f"{where}: expected at least one output, got none.")
        if node.domain not in ("", "ai.onnx"):
            raise CheckpointError(f"{where}: expected operators of ONNX itself, got one of {node.domain}.")
        try:
            if not any(name in self.live for name in node.input):
                self._fold(node, attrs, opset)
                return
            if node.op_type == "Shape":
                self.constants[node.output[0]] = np.array([BATCH, *self.shape(node.input[0])], dtype=np.int64)
                return
            if node.op_type not in OPERATORS:
                raise Refused(f"expected one of {', '.join(sorted(OPERATORS))}; rewrite the network without it")
            label = f"{node.op_type.lower()}{len(self.calls)}"
            inputs = self._own(node, label, attrs)
            made = OPERATORS[node.op_type](Node(self, inputs, attrs, opset, label))
            function, sources = made if isinstance(made, tuple) else (made, [n for n in inputs if n in self.live])
            reads = [self.live.get(name, name.removeprefix(label)) for name in inputs]
            self.told.append([label, reads, sorted(attrs)])
        except Refused as error:
            raise CheckpointError(f"{where}: {error}.") from error
        except (KeyError, IndexError, ValueError, TypeError) as error:
            got = f"{type(error).__name__}: {error}"
            raise CheckpointError(f"{where}: expected a node as ONNX has it, got {got}.") from error
        self.calls.append((function, sources, node.output[0]))
        self.live[node.output[0]] = len(self.calls)

    def _fold(self, node: Any, attrs: dict[str, Any], opset: int) -> None:
        """A node that reads nothing but constants."""
        if node.op_type == "Constant":
            value = next((value for key, value in attrs.items() if key.startswith("value")), None)
            if value is None:
                raise Refused("expected a constant with a value, got none; the file is damaged, export it again")
            self._hold(node.output[0], np.asarray(value, dtype=np.float32 if isinstance(value, float) else None))
            return
        if any(name in self.stored for name in node.input):
            self._hold(node.output[0], self._computed(node, opset))
            return
        if node.op_type not in FOLDED or any(name not in self.constants for name in node.input if name):
            raise Refused("expected weights that are stored, got some that the graph computes; simplify it (onnxsim) first")
        arrays = [self.constants[name] for name in node.input if name]
        found = np.asarray(FOLDED[node.op_type](arrays, attrs))
        if found.size > 1000:
            raise Refused(f"expected a shape or an index, got {found.size} numbers")
        self.constants[node.output[0]] = found

    def _computed(self, node: Any, opset: int) -> np.ndarray[Any, Any]:
        """A weight that the graph computes from weights."""
        if node.op_type in ("Identity", "Dropout"):
            return self.stored[node.input[0]]
        given = {name: self.stored[name] if name in self.stored else self.constants.get(name) for name in node.input if name}
        if node.op_type not in COMPUTED or any(value is None for value in given.values()) or len(node.output) != 1:
            raise Refused("expected weights that are stored, got some that the graph computes; simplify it (onnxsim) first")
        if np.prod([float(max(value.size, 1)) for value in given.values() if value is not None]) > MOST_ENTRIES:
            raise Refused("expected weights that are stored, got large ones that the graph computes; simplify it (onnxsim)")
        from onnx.reference import ReferenceEvaluator

        evaluator: Any = ReferenceEvaluator
        try:
            with np.errstate(all="ignore"):  # what is not finite is refused with the weights
                return np.asarray(evaluator(node, opsets={"": opset}).run(None, given)[0])
        except Exception as error:  # of onnx's own code, for a node that it cannot compute
            raise Refused(f"expected a weight that can be computed, got {type(error).__name__}: {error}") from error


# ---- reading -------------------------------------------------------------------------------------------------------


def _model(path: Path) -> Any:
    try:
        import onnx
        from onnx import external_data_helper
    except ImportError as error:
        raise CheckpointError(f"{path}: expected the package onnx, got none; pip install 'splineviz[onnx]'.") from error
    try:
        model = onnx.load(str(path), load_external_data=False)
        outside = {e.value for t in model.graph.initializer for e in t.external_data if e.key == "location"}
        if not all(_is_beside(path, name) for name in outside):
            raise CheckpointError(
                f"{path}: expected files of weights beside it, got {', '.join(sorted(outside))}; put them there, no links, "
                "or export the network anew."
            )
        if outside:
            external_data_helper.load_external_data_for_model(model, str(path.parent))
        return onnx.shape_inference.infer_shapes(model)
    except CheckpointError:
        raise
    except Exception as error:  # protobuf and the checker have kinds of their own
        line = (str(error).strip().splitlines() or [""])[0][:160]
        got = f"{type(error).__name__}: {line}"
        raise CheckpointError(f"{path}: expected an ONNX file, got {got}; export it anew.") from error


def _is_beside(path: Path, name: str) -> bool:
    """Whether a file of weights lies beside the one that names it, and is no link."""
    found = path.parent / name
    return Path(name).name == name and found.is_file() and not found.is_symlink()


def _check_names(graph: Any, path: Path) -> None:
    """Refuse a damaged file: protobuf gives bytes where a name is not UTF-8."""
    values = [*graph.initializer, *graph.input, *graph.output]
    names = [value.name for value in values] + [name for n in graph.node for name in (n.op_type, *n.input, *n.output)]
    names += [attribute.name for n in graph.node for attribute in n.attribute]
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise CheckpointError(f"{path}: expected names in UTF-8, got {wrong[0]!r}; the file is damaged, export it again.")


def _names(values: Any) -> str:
    return ", ".join(one.name for one in values) or "none"


def _array(tensor: Any, path: Path) -> np.ndarray[Any, Any]:
    from onnx import numpy_helper

    try:
        if int(np.prod([int(n) for n in tensor.dims], dtype=np.float64)) > MOST_ENTRIES:
            raise ValueError(f"{list(tensor.dims)} is too large")
        return numpy_helper.to_array(tensor)
    except Exception as error:  # shapes that do not fit, types that numpy lacks
        raise CheckpointError(f"{path}: {tensor.name}: expected a tensor with its values, got {error}.") from error


def _attribute(attribute: Any, path: Path) -> Any:
    from onnx import AttributeProto
    from onnx import helper as onnx_helper

    if attribute.type == AttributeProto.TENSOR:
        return _array(attribute.t, path)
    value = onnx_helper.get_attribute_value(attribute)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _shapes(model: Any) -> dict[str, list[int]]:
    """Shapes by the names of values; 0 for an open dimension."""
    graph = model.graph
    found = {}
    for value in [*graph.input, *graph.value_info, *graph.output]:
        kind = value.type.tensor_type
        if kind.HasField("shape"):
            found[value.name] = [int(d.dim_value) if d.HasField("dim_value") else 0 for d in kind.shape.dim]
    return found
