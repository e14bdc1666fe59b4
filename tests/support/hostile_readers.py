"""Hostile input for the readers of other people's checkpoints: ONNX, foreign folders, nests, pickles, parts.

Kinds as in `hostile`, which lists them all. A folder `outside` lies beside the one at hand: links lead there, and nothing
there may be read, whoever asks; what is there says SECRET, or holds weights of SECRET alone.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import folder_layouts
import hostile_audit
import numpy as np
import torch
from hostile import Payload, Rng, Seeds, odd_json, odd_state, pick, torn
from small_runs import network, samples

import splineviz as sv
from splineviz.errors import SplinevizError
from splineviz.storage import harmless
from splineviz.training import contents, onnx_networks, state_files
from splineviz.training.samples import Data

SECRET = 7.25
"""Every weight outside is this number."""


def outside(folder: Path) -> Path:
    """The folder beside the one at hand, with something that would be read."""
    beside = folder.parent / "outside"
    beside.mkdir(exist_ok=True)
    return beside


def keep_outside(folder: Path) -> Path:
    """A folder outside with a checkpoint and a picture that nobody may read; `clean_outside` removes them."""
    beside = outside(folder)
    for name, content in _secrets().items():
        (beside / name).write_bytes(content)
    return beside


@cache
def _secrets() -> dict[str, bytes]:
    out = io.BytesIO()
    torch.save({key: torch.full_like(value, SECRET) for key, value in network().state_dict().items()}, out)
    return {"net_7.pt": out.getvalue(), "a.png": picture(np.full((2, 2), 93, np.uint8), "PNG")}


def picture(pixels: np.ndarray, kind: str) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()


def clean_outside(folder: Path) -> None:
    for name in _secrets():
        (folder.parent / "outside" / name).unlink(missing_ok=True)


def link(path: Path, target: Path, rng: Rng) -> None:
    """A link in the place of a path: absolute, relative, through a folder, to itself, dangling."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    if not path.exists():
        path.symlink_to(pick(rng, (target, Path(os.path.relpath(target, path.parent)), path.name, "/nowhere", "/dev/zero")))


# ---- networks and checkpoints -------------------------------------------------------------------------------------


@cache
def _onnx() -> tuple[bytes, ...]:
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)

    def graph(nodes: list[Any], shape: list[int], weights: dict[str, np.ndarray]) -> bytes:
        made = helper.make_graph(
            nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value.astype(value.dtype), name) for name, value in weights.items()],
        )  # fmt: skip
        return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()

    def weight(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    node = helper.make_node
    plain = graph(
        [node("Gemm", ["x", "w", "b"], ["h"], transB=1), node("Relu", ["h"], ["r"]), node("MatMul", ["r", "v"], ["y"])],
        [0, 4], {"w": weight(6, 4), "b": weight(6), "v": weight(6, 3)},
    )  # fmt: skip
    deep = graph(
        [
            node("Conv", ["x", "w", "b"], ["h"], pads=[1, 1, 1, 1], kernel_shape=[3, 3], strides=[1, 1]),
            node("Clip", ["h", "low", "high"], ["r"]),
            node("MaxPool", ["r"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
            node("Flatten", ["m"], ["f"]),
            node("Reshape", ["f", "shape"], ["g"]),
            node("Gemm", ["g", "v"], ["y"], alpha=0.5),
        ],
        [1, 1, 4, 4],
        {
            "w": weight(2, 1, 3, 3), "b": weight(2), "low": np.float32(0), "high": np.float32(6),
            "shape": np.array([-1, 8], np.int64), "v": weight(8, 3),
        },
    )  # fmt: skip
    return plain, deep


def onnx_file(folder: Path, rng: Rng, seeds: Seeds) -> Callable[[], Any]:
    """Graphs torn, or with odd attributes, shapes, names, operators, types, and weights that lie elsewhere."""
    import onnx

    content = pick(rng, _onnx())
    shape = (4,) if content is _onnx()[0] else (1, 4, 4)
    if rng.integers(3) == 0:
        content = torn(content, rng)
    else:
        model = onnx.load_from_string(content)
        for _ in range(int(rng.integers(1, 4))):
            _odd_graph(model, rng)
        with contextlib.suppress(ValueError):  # what protobuf itself cannot write
            content = model.SerializeToString()
    path = folder / "odd.onnx"
    path.write_bytes(content)

    def read() -> None:
        sv.trace(onnx_networks.network(path), shape, smooth=True)
        state_files.load_state(path)

    return read


def _odd_graph(model: Any, rng: Rng) -> None:
    from onnx import TensorProto, helper

    graph = model.graph
    kind = int(rng.integers(10))
    node = pick(rng, graph.node) if len(graph.node) else None
    tensor = pick(rng, graph.initializer) if len(graph.initializer) else None
    numbers = (-1, 0, 1, 2, 3, 2**31 - 1, -(2**31), 2**40)
    if kind == 0 and node is not None:
        node.op_type = pick(
            rng, ("Relu", "Loop", "If", "Scan", "Gemm", "Add", "Reshape", "Shape", "Constant", "Slice", "Pad", "")
        )
    elif kind == 1 and node is not None and len(node.input):
        node.input[int(rng.integers(len(node.input)))] = pick(rng, ("", "x", "y", "w", "h", "\x00", "v", "x" * 3000))
    elif kind == 2 and node is not None and len(node.attribute):
        attribute = pick(rng, node.attribute)
        if len(attribute.ints):
            attribute.ints[int(rng.integers(len(attribute.ints)))] = pick(rng, numbers)
        else:
            attribute.i = pick(rng, numbers)
            attribute.f = pick(rng, (0.0, float("nan"), float("inf"), -1.0))
    elif kind == 3 and tensor is not None and len(tensor.dims):
        tensor.dims[int(rng.integers(len(tensor.dims)))] = pick(rng, numbers)
    elif kind == 4 and tensor is not None:
        tensor.data_type = int(rng.integers(0, 24))
    elif kind == 5 and tensor is not None:
        tensor.data_location = TensorProto.EXTERNAL
        name = pick(rng, ("../outside/kept", "/etc/passwd", "odd.onnx", "", "/dev/zero", "\x00"))
        for key, value in (("location", name), ("offset", pick(rng, ("0", "-1", "x"))), ("length", "8")):
            tensor.external_data.add(key=key, value=value)
    elif kind == 6 and tensor is not None:
        tensor.raw_data = torn(tensor.raw_data, rng)
    elif kind == 7:
        dims = graph.input[0].type.tensor_type.shape.dim
        if len(dims):
            dims[int(rng.integers(len(dims)))].dim_value = pick(rng, numbers)
    elif kind == 8 and node is not None:
        graph.node.remove(node) if rng.integers(2) else graph.node.append(node)
    else:
        graph.node.append(
            helper.make_node(pick(rng, ("Relu", "Identity", "Softmax", "Expand", "Tile")), ["y"], [pick(rng, ("z", "y"))])
        )


@cache
def _layouts() -> tuple[Any, ...]:
    found = folder_layouts
    made = (found.simple, found.notations, found.pairs, found.beside, found.folders, found.stored, found.keys)
    return tuple(layout for rows in made for layout in rows() if len(layout.files) < 9)


def foreign_folder(folder: Path, rng: Rng, seeds: Seeds) -> Callable[[], Any]:
    """A folder as public code leaves it, of every kind of name and file, with odd names, torn files, links and pipes."""
    layout = pick(rng, _layouts())
    place = folder / "run"
    layout.write(place)
    beside = keep_outside(folder)
    for _ in range(int(rng.integers(1, 4))):
        found = [path for path in sorted(place.rglob("*")) if path.is_file() or path.is_symlink()]
        path, kind = pick(rng, found) if found else place / "net_1.pt", int(rng.integers(10))
        with contextlib.suppress(OSError, ValueError):
            if kind in (0, 1, 9) and (path.is_symlink() or path.is_fifo()):
                continue  # this one would write through the link, or wait at the pipe
            if kind == 0 and path.is_file():
                path.write_bytes(torn(path.read_bytes(), rng))
            elif kind == 1:
                path.write_bytes(content_of(seeds, rng))
            elif kind == 2:
                path.rename(path.with_name(pick(rng, ODD_NAMES)))
            elif kind == 3:
                link(path, beside / "net_7.pt", rng)
            elif kind == 4:
                (place / pick(rng, ("step_5", "checkpoint-5", "sub", "global_step5"))).symlink_to(beside)
            elif kind == 5:
                inner = place / pick(rng, ("step_5", "checkpoint-5", "epoch_3"))
                if inner.is_symlink():  # which an earlier turn put there, and through which this one would write
                    inner.unlink()
                inner.mkdir(exist_ok=True)
                (inner / pick(rng, ("__0_0.distcp", "model.safetensors", "pytorch_model.bin", "model.pt"))).write_bytes(b"x")
            elif kind == 6:
                path.unlink()
                os.mkfifo(path)
            elif kind == 7:
                (place / "trainer_state.json").write_text(odd_json('{"global_step": 3, "epoch": 1.0}', rng))
            elif kind == 8:
                path.unlink()
                path.mkdir()
            else:
                path.write_bytes(b"")
    data = Data.of(samples(0))
    options = (
        layout.options
        if rng.integers(4)
        else {"files": pick(rng, ("*", "**/*", "../*", "*{step}*", "{", "[", "\x00", "net_{step}.pt"))}
    )

    def read() -> None:
        if options.get("files"):  # whose links are followed, since the user named them
            for target in (beside, "/nowhere", "/dev/zero"):
                hostile_audit.allow(target)
        model = pick(rng, ("mlp", network()))
        run = sv.open_run(place, model=model, data=data, **options)
        assert options.get("files") or all(c.path.resolve().is_relative_to(place.resolve()) for c in run.checkpoints), (
            "a link out"
        )
        for checkpoint in run.checkpoints[:2]:
            state = run.state(checkpoint)
            inside = options.get("files") or not any(bool((t == SECRET).all()) for t in state.values() if t.numel() > 3)
            assert inside, "weights from outside"
            with contextlib.suppress(SplinevizError):
                run.program(checkpoint)

    return read


ODD_NAMES = (
    "net_" + "9" * 200 + ".pt", "net_1e400.pt", "-1.pt", "net_\n3.pt", "\udcff_3.pt", "net_3.PT", "net_٣.pt", "3", ".pt",
    "net_3.pth.tar", "net_3.t7", "net_3.th", "net_3.pkl", "model-00001-of-00002.safetensors", "model-00001-of-99999.bin",
    "pytorch_model.bin.index.json", "net_3.safetensors", "net_3.onnx", "net_3.pt2", "epoch=1-step=2.ckpt", "\x1b[31m_3.pt",
)  # fmt: skip


def content_of(seeds: Seeds, rng: Rng) -> bytes:
    out = io.BytesIO()
    torch.save(
        pick(rng, (odd_state(seeds.state, rng), odd_nest(seeds, rng))),
        out,
        _use_new_zipfile_serialization=bool(rng.integers(3)),
    )
    return out.getvalue()


def odd_nest(seeds: Seeds, rng: Rng) -> Any:
    """Weights somewhere in lists and dictionaries of dictionaries, beside what loops put there."""
    inner: Any = odd_state(seeds.state, rng) if rng.integers(2) else dict(seeds.state)
    for _ in range(int(rng.integers(1, 9))):
        key = pick(
            rng,
            ("model", "state_dict", "net", "optimizer", "", ".", "a.b", 3, None, (1, 2), "module", "_metadata", "x" * 500),
        )
        inner = pick(rng, (
            {key: inner}, {key: inner, "epoch": pick(rng, (3, "7", -1, 1e300, float("nan"), torch.ones(3)))},
            [inner], (inner, inner), {"state": {0: {"step": 3}}, "param_groups": [], key: inner},
            {key: inner, "again": inner}, [{"job": i, "weights": inner} for i in range(3)],
        ))  # fmt: skip
    if rng.integers(8) == 0:
        circle: dict[str, Any] = {"model": inner}
        circle["self"] = circle
        return circle
    if rng.integers(12) == 0:
        for _ in range(200):
            inner = {"model": inner}
    return inner


def nest(folder: Path, rng: Rng, seeds: Seeds) -> Callable[[], Any]:
    path = folder / f"net_3{pick(rng, ('.pth.tar', '.pt', '.t7', '.th', '.pkl', '.bin', '.tar', '.model', ''))}"
    out = io.BytesIO()
    torch.save(odd_nest(seeds, rng), out, _use_new_zipfile_serialization=bool(rng.integers(4)))
    path.write_bytes(torn(out.getvalue(), rng) if rng.integers(4) == 0 else out.getvalue())
    key = pick(rng, (None, None, ".", "model", "model.model", "0", "-1", "a.b", "", "..", "1.weight", "x" * 3000, "\x00"))

    def read() -> None:
        state_files.saved_at(path)
        state_files.digest(state_files.load_state(path, key=key))

    return read


def harmless_pickle(folder: Path, rng: Rng, seeds: Seeds) -> Callable[[], Any]:
    """Pickles of the names that are read as stand-ins, called with odd arguments, in torch's own file; and of others."""
    names = list(harmless.STAND_INS)
    name = (
        pick(rng, names)
        if rng.integers(4)
        else pick(rng, ("os.system", "builtins.eval", "builtins.getattr", "posix.mkdir", "torch.load"))
    )
    module, _, kind = name.rpartition(".")
    arguments = pick(
        rng,
        (
            (),
            (b"x" * 8,),
            ("<f8", b"\x00" * 8),
            (3, (2, 2), "ran"),
            ({"a": 1},),
            ("ran",),
            ((1 << 40,),),
            ("f8", False, True),
        ),
    )
    state = pick(rng, (None, (1, (2, 3), b"x" * 48), (3, "<", None), {"a": 1}, [1], (1, (1 << 40,), "f8", False, b"")))
    body = b"\x80\x02}(X\x01\x00\x00\x00a" + b"c" + module.encode() + b"\n" + kind.encode() + b"\n"
    body += pickle.dumps(arguments, 2)[2:-1] + pick(rng, (b"R", b"\x81", b"R", b"o"))
    body += b"" if state is None else pickle.dumps(state, 2)[2:-1] + b"b"
    body += b"u."
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("x/data.pkl", torn(body, rng) if rng.integers(4) == 0 else body)
        archive.writestr("x/byteorder", "little")
        archive.writestr("x/version", "3\n")
        archive.writestr("x/data/0", bytes(64))
    path = folder / pick(rng, ("net_3.pt", "net_3.pth.tar", "x.pt"))
    path.write_bytes(out.getvalue() if rng.integers(5) else body)

    def read() -> None:
        contents.saved_at(None)
        state_files.saved_at(path)
        state_files.load_state(path)

    return read


def parts_folder(folder: Path, rng: Rng, seeds: Seeds) -> Callable[[], Any]:
    """One checkpoint in several files: with an index, numbered without one, or in pieces of torch.distributed."""
    place = folder / pick(rng, ("checkpoint-5", "step_5", "epoch_2"))
    place.mkdir()
    keys = list(seeds.state)
    suffix = pick(rng, (".safetensors", ".bin"))
    names = [f"model-{i:05d}-of-00002{suffix}" for i in (1, 2)]
    for name, some in zip(names, (keys[:2], keys[2:]), strict=True):
        part = {key: seeds.state[key].contiguous() for key in some}
        if suffix == ".safetensors":
            from safetensors.torch import save

            content = save(part)
        else:
            out = io.BytesIO()
            torch.save(odd_state(part, rng) if rng.integers(3) == 0 else part, out)
            content = out.getvalue()
        (place / name).write_bytes(torn(content, rng) if rng.integers(5) == 0 else content)
    if rng.integers(3):
        index = {"metadata": {}, "weight_map": {key: names[i >= 2] for i, key in enumerate(keys)}}
        base = "model.safetensors" if suffix == ".safetensors" else "pytorch_model.bin"
        (place / f"{base}.index.json").write_text(odd_json(json.dumps(index), rng))
    kind = int(rng.integers(5))
    beside = keep_outside(folder)
    if kind == 0:
        link(place / names[0], beside / "net_7.pt", rng)
    elif kind == 1:
        (place / pick(rng, ("__0_0.distcp", ".metadata", "model.safetensors"))).write_bytes(
            pick(rng, (b"", b"x", pickle.dumps(Payload())))
        )
    elif kind == 2:
        (place / names[1]).unlink()
    return lambda: _first_state(folder, Data.of(samples(0)))


def _first_state(folder: Path, data: Data) -> None:
    run = sv.open_run(folder, model="mlp", data=data)
    state = run.state(run.checkpoints[0])
    assert not any(bool((t == SECRET).all()) for t in state.values() if t.numel() > 3), "weights from outside"


READERS: dict[str, Callable[[Path, Rng, Seeds], Callable[[], Any]]] = {
    "onnx": onnx_file,
    "folder": foreign_folder,
    "nest": nest,
    "stand-ins": harmless_pickle,
    "parts": parts_folder,
}
