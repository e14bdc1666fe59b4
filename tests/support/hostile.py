"""Hostile and broken input: seeds of every kind of file, mutations of them, and what reading one may do.

Whatever a file or a command line says, splineviz reads it, or refuses it with a SplinevizError; it runs no code of the
file, touches nothing outside the folder it was given, and allocates no more than the file can hold. A kind is a function
(folder, rng) -> what to attempt: it writes one hostile input into the folder and returns the call that reads it.

`hostile_readers` has the kinds of other people's files, `hostile_attempts` lists all and tries them.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hostile_audit
import numpy as np
import torch
from small_runs import network, write_run
from torch import nn

import splineviz as sv
from splineviz.__main__ import main
from splineviz.errors import SplinevizError
from splineviz.geometry.partition import Partition
from splineviz.regions.parts import Part
from splineviz.training import sources, state_files

Rng = np.random.Generator
ODD = (
    None, True, -1, 0, 1, 3, 2**31, 2**40, 2**63, -(2**63), 1e308, float("nan"), float("inf"), "", "relu", "0", "x" * 3000,
    "../../escaped", "/etc/passwd", "checkpoints/../../escaped", "C:\\escaped", "\x00", "link/escaped", "samples.npz",
    [], {}, [[]], [1] * 50, {"a": {}}, [None], "<script>alert(1)</script>",
)  # fmt: skip
"""Values that stand where they should not."""


class Payload:
    """Pickled, it leaves a file `ran` behind wherever it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


# ---- seeds -----------------------------------------------------------------------------------------------------


class Seeds:
    """The good files that everything hostile is made of; made once, in memory."""

    def __init__(self, folder: Path):
        self.folder = folder
        write_run(folder / "run")
        self.run = {
            path.relative_to(folder / "run").as_posix(): path.read_bytes()
            for path in sorted((folder / "run").rglob("*"))
            if path.is_file()
        }
        model = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 2))
        plane = sv.Plane(np.zeros(2), np.eye(2))
        found = sv.partition(model, plane, window=1.0)
        found.save(folder / "partition.npz")
        self.partition = (folder / "partition.npz").read_bytes()
        sv.part(model, sv.tiles(plane, 1.0)[1]).save(folder / "part.npz")
        self.part = (folder / "part.npz").read_bytes()
        self.state = network().state_dict()
        self.samples = {"x": np.random.default_rng(0).normal(size=(6, 4)), "y": np.arange(6) % 2}

    def arrays(self, content: bytes) -> dict[str, np.ndarray]:
        with np.load(io.BytesIO(content)) as stored:
            return {name: stored[name] for name in stored.files}


# ---- mutations -------------------------------------------------------------------------------------------------


def pick(rng: Rng, items: Any) -> Any:
    items = list(items)
    return items[int(rng.integers(len(items)))]


def torn(content: bytes, rng: Rng) -> bytes:
    """Bytes flipped, cut off, doubled, zeroed or moved, once or a few times."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        at, length = int(rng.integers(len(data) + 1)), int(rng.choice([1, 2, 8, 64, 1024]))
        kind = int(rng.integers(7))
        if kind == 0:
            data[at : at + length] = rng.bytes(len(data[at : at + length]))
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            data[at:at] = data[at : at + length]
        elif kind == 3:
            data[at : at + length] = bytes(len(data[at : at + length]))
        elif kind == 4:
            data[at : at + 8] = struct.pack("<q", pick(rng, (-1, 2**31 - 1, 2**40, 2**62, 0)))[: len(data[at : at + 8])]
        elif kind == 5 and len(data):
            data[min(at, len(data) - 1)] ^= 1 << int(rng.integers(8))
        else:
            del data[at : at + length]
    return bytes(data)


def odd_array(array: np.ndarray, rng: Rng) -> np.ndarray:
    """The array with other values, type or shape."""
    kind = int(rng.integers(9))
    flat = array.reshape(-1).copy()
    if kind == 0 and flat.size and array.dtype.kind in "iuf":
        with np.errstate(all="ignore"):
            values = [-1, 0, 1, 7, 10**6, 2**31 - 1, -(2**31)] + (
                [np.nan, np.inf, 1e300, -1e-300] if array.dtype.kind == "f" else []
            )
            flat[rng.integers(flat.size, size=int(rng.integers(1, 4)))] = np.array(pick(rng, values)).astype(array.dtype)
        return flat.reshape(array.shape)
    if kind == 1 and flat.size:
        return rng.permutation(flat).reshape(array.shape)
    if kind == 2:
        return flat[: int(rng.integers(flat.size + 1))]
    if kind == 3 and array.dtype.kind in "iufb":
        with np.errstate(all="ignore"):
            return np.nan_to_num(array).astype(
                pick(rng, (np.int8, np.int64, np.float16, np.float32, np.uint8, np.complex128, bool))
            )
    if kind == 4 or array.ndim == 0:
        return array[..., None]
    if kind == 5:
        return np.array(pick(rng, ("text", "{}", "[" * 5000, b"bytes", 3, 1e300)))
    if kind == 6:
        return np.concatenate([flat, flat])
    if kind == 7:
        return array[:0]
    return array.T


def odd_npz(arrays: dict[str, np.ndarray], rng: Rng) -> bytes:
    """An archive of the arrays with some of them odd, missing, doubled, forged or made of objects."""
    arrays = dict(arrays)
    for _ in range(int(rng.integers(1, 3))):
        name, kind = pick(rng, arrays), int(rng.integers(8))
        if kind == 0 and len(arrays) > 1:
            del arrays[name]
        elif kind == 1:
            arrays[name] = arrays[pick(rng, arrays)]
        elif kind == 2 and arrays[name].dtype.kind == "U":
            arrays[name] = np.array(odd_json(str(arrays[name]), rng))
        else:
            arrays[name] = odd_array(arrays[name], rng)
    out = io.BytesIO()
    forged = pick(rng, arrays) if rng.integers(6) == 0 else None
    with zipfile.ZipFile(out, "w", pick(rng, (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, allow_pickle=True)
            content = member.getvalue()
            if name == forged:
                shape = str(tuple(int(n) for n in rng.integers(1, 2 ** int(rng.integers(1, 62)), size=2)))
                header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
                content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
                content += pick(rng, (b"", bytes(100), pickle.dumps(Payload())))
            archive.writestr(f"{name}.npy", content)
        if rng.integers(8) == 0:
            archive.writestr(pick(rng, ("../escaped.npy", "odd.txt", "/tmp/escaped.npy")), b"\x93NUMPY\x01\x00")
    return out.getvalue()


def odd_json(text: str, rng: Rng) -> str:
    """The document with a node replaced, removed or moved."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return text[::-1]
    for _ in range(int(rng.integers(1, 3))):
        places: list[tuple[Any, Any]] = []
        stack = [data]
        while stack:
            node = stack.pop()
            inner = list(node.items()) if isinstance(node, dict) else list(enumerate(node)) if isinstance(node, list) else []
            places += [(node, key) for key, _ in inner]
            stack += [value for _, value in inner]
        if not places:
            break
        node, key = pick(rng, places)
        kind = int(rng.integers(5))
        if kind == 0:
            del node[key]
        elif kind == 1:
            other, place = pick(rng, places)
            with contextlib.suppress(KeyError, IndexError):
                node[key] = json.loads(json.dumps(other[place]))
        elif kind == 2 and isinstance(node[key], (int, float)):
            node[key] = node[key] * pick(rng, (-1, 0, 10**6, 10**12)) + pick(rng, (0, 1, -1))
        else:
            node[key] = copy.deepcopy(pick(rng, ODD))
    text = json.dumps(data)
    if rng.integers(20) == 0:
        text = pick(rng, ("[" * 100_000, "{" + text, text[: len(text) // 2], "9" * 5000, "null", '"' + text))
    return text


def odd_state(state: dict[str, torch.Tensor], rng: Rng) -> Any:
    """Weights with odd shapes, types and values, or something else in their place."""
    state = dict(state)
    for _ in range(int(rng.integers(1, 3))):
        name, kind = pick(rng, state), int(rng.integers(14))
        tensor = state[name]
        if (
            not isinstance(tensor, torch.Tensor)
            or tensor.is_meta
            or tensor.layout != torch.strided
            or tensor.numel() > 10**6
        ):
            continue
        if kind == 0:
            state.pop(name)
        elif kind == 1:
            state[name] = tensor.reshape(-1)[: int(rng.integers(tensor.numel() + 1))]
        elif kind == 2:
            state[name] = torch.zeros(1).expand(*(int(n) for n in rng.integers(1, 2**20, size=max(tensor.ndim, 1))))
        elif kind == 3:
            state[name] = torch.full_like(
                tensor, pick(rng, (float("nan"), float("inf"), 1e38, -1e38, 0.0)), dtype=torch.float32
            )
        elif kind == 4:
            state[name] = tensor.to(
                pick(rng, (torch.int64, torch.bool, torch.complex64, torch.bfloat16, torch.float16, torch.uint8))
            )
        elif kind == 5:
            state[name] = torch.sparse_coo_tensor(torch.zeros(2, 1, dtype=torch.long), torch.ones(1), (10**6, 10**6))
        elif kind == 6:
            state[name] = torch.empty(tensor.shape, device="meta")
        elif kind == 7:
            state[pick(rng, ("x" * 300, "a.b.c", "9.weight", ""))] = tensor
        elif kind == 8:
            state[name] = tensor[None]
        elif kind == 9:
            state[name] = pick(rng, [odd for odd in ODD if not isinstance(odd, str)])
        elif kind == 10:
            return pick(rng, ([tensor], tensor, {"state_dict": state}, {"model": {"model": state}}, {}, 3, {3: tensor}))
        elif kind == 11:
            state[name] = Payload()
        elif kind == 12:
            state[name] = torch.nn.Parameter(tensor.float(), requires_grad=True)
        else:
            state[name] = torch.full_like(tensor, float("nan"), dtype=torch.float32) * tensor
    return state


# ---- kinds -----------------------------------------------------------------------------------------------------


def partition_file(folder: Path, rng: Rng, seeds: Seeds) -> Callable[[], Any]:
    content = torn(seeds.partition, rng) if rng.integers(2) else odd_npz(seeds.arrays(seeds.partition), rng)
    (folder / "odd.npz").write_bytes(content)

    def read() -> None:
        found = Partition.load(folder / "odd.npz")
        _ = found.areas, found.slopes, found.centroids, found.edge_unit, found.linear_regions.count
        found.decision_boundary()

    return read


def part_file(folder: Path, rng: Rng, seeds: Seeds) -> Callable[[], Any]:
    content = torn(seeds.part, rng) if rng.integers(2) else odd_npz(seeds.arrays(seeds.part), rng)
    (folder / "odd.npz").write_bytes(content)

    def read() -> None:
        found = Part.load(folder / "odd.npz")
        with contextlib.suppress(SplinevizError):
            sv.sew([found, folder / "odd.npz"])

    return read


def _write_run(folder: Path, seeds: Seeds, change: dict[str, bytes]) -> None:
    for name, content in (seeds.run | change).items():
        path = folder / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    outside = folder.parent / "outside"
    if outside.exists() and not (folder / "run" / "link").is_symlink():
        (folder / "run" / "link").symlink_to(outside)


def _read_run(folder: Path) -> None:
    run = sv.open_run(folder / "run")
    run.plane((0, 1, 2))
    program = run.program(run.checkpoints[-1])
    with torch.no_grad():
        program(torch.from_numpy(run.train_x[:2]).to(program.dtype))
    _ = program.layers


def run_manifest(folder: Path, rng: Rng, seeds: Seeds) -> Callable[[], Any]:
    text = seeds.run["run.json"]
    content = torn(text, rng) if rng.integers(4) == 0 else odd_json(text.decode(), rng).encode()
    _write_run(folder, seeds, {"run.json": content})
    return lambda: _read_run(folder)


def run_samples(folder: Path, rng: Rng, seeds: Seeds) -> Callable[[], Any]:
    text = seeds.run["samples.npz"]
    _write_run(folder, seeds, {"samples.npz": torn(text, rng) if rng.integers(2) else odd_npz(seeds.arrays(text), rng)})
    return lambda: _read_run(folder)


def run_checkpoint(folder: Path, rng: Rng, seeds: Seeds) -> Callable[[], Any]:
    name = [name for name in seeds.run if name.endswith(".pt")][-1]
    _write_run(folder, seeds, {name: _checkpoint(seeds.run[name], seeds.state, rng)})
    return lambda: _read_run(folder)


def _checkpoint(good: bytes, state: dict[str, torch.Tensor], rng: Rng) -> bytes:
    kind = int(rng.integers(4))
    if kind == 0:
        return torn(good, rng)
    if kind == 1:
        return pickle.dumps(
            pick(rng, (Payload(), {"w": Payload()}, dict(state), [Payload()])), protocol=int(rng.integers(6))
        )
    out = io.BytesIO()
    torch.save(odd_state(state, rng), out, _use_new_zipfile_serialization=bool(rng.integers(4)))
    return out.getvalue() if kind == 2 else torn(out.getvalue(), rng)


def foreign_checkpoint(folder: Path, rng: Rng, seeds: Seeds) -> Callable[[], Any]:
    suffix = pick(rng, (".pt", ".safetensors", ".safetensors.index.json", ".ckpt"))
    path = folder / f"step-3{suffix}"
    if suffix == ".safetensors":
        from safetensors.torch import save

        content = save({key: value.contiguous() for key, value in seeds.state.items()})
        size = struct.unpack("<Q", content[:8])[0]
        if rng.integers(2):
            header = odd_json(content[8 : 8 + size].decode(), rng).encode()
            content = (
                struct.pack("<Q", pick(rng, (len(header), len(header) + 1, 2**40, 2**63))) + header + content[8 + size :]
            )
        else:
            content = torn(content, rng)
    elif suffix.endswith("json"):
        index = {
            "weight_map": {
                key: pick(rng, ("step-3.pt", "../escaped", "a.safetensors", "", path.name)) for key in seeds.state
            }
        }
        content = odd_json(json.dumps(index), rng).encode()
    else:
        content = _checkpoint(seeds.run[[name for name in seeds.run if name.endswith(".pt")][0]], seeds.state, rng)
    path.write_bytes(content)
    return lambda: state_files.digest(state_files.load_state(path))


def data_file(folder: Path, rng: Rng, seeds: Seeds) -> Callable[[], Any]:
    suffix = pick(rng, (".npz", ".npy", ".pt"))
    path = folder / f"odd{suffix}"
    if suffix == ".npz":
        good = io.BytesIO()
        np.savez(good, **seeds.samples)
        content = torn(good.getvalue(), rng) if rng.integers(2) else odd_npz(seeds.samples, rng)
    elif suffix == ".npy":
        good = io.BytesIO()
        np.save(good, odd_array(seeds.samples["x"], rng) if rng.integers(2) else seeds.samples["x"])
        content = torn(good.getvalue(), rng)
    else:
        tensors = {name: torch.from_numpy(array) for name, array in seeds.samples.items()}
        good = io.BytesIO()
        torch.save(pick(rng, (tensors, tuple(tensors.values()), tensors["x"])), good)
        content = _checkpoint(good.getvalue(), tensors, rng)
    path.write_bytes(content)
    return lambda: sources.load(str(path))


WORDS = (
    "animate", "partition", "figure", "estimate", "explore", "info", "verify", "train", "doctor", "completion", "study",
    "status", "--anchors", "--window", "--step", "--steps", "--out", "--fill", "--tiles", "--jobs", "--model", "--data",
    "--model-args", "--recipe", "--size", "--fps", "--formats", "--max-regions", "--help", "--version", "--", "-", "",
    "run", "missing", "run/run.json", "0", "1", "2", "-1", "1e999", "nan", "2x2", "0x0", "99999999999999999999",
    "class:1", "mlp", "mnist", "os:system", "os:abort", "'; touch ran", "$(touch ran)", "../escaped", "/etc/passwd",
    "\x00", "x" * 5000, "slice.npz", "slope", "{", '{"a": 1}', "\udcff", "é", "--no-such", "--win", "@run.json",
)  # fmt: skip


def command_line(folder: Path, rng: Rng, seeds: Seeds) -> Callable[[], Any]:
    """Words in any order after a command that starts no work of minutes."""
    _write_run(folder, seeds, {})
    words = [
        pick(rng, ("info", "partition", "verify", "estimate", "info", *WORDS)),
        *(pick(rng, WORDS) for _ in range(int(rng.integers(6)))),
    ]
    if rng.integers(2):
        words.insert(1, str(folder / "run"))
    if words[0] in ("train", "doctor", "animate", "study", "figure"):
        words.append("--no-such-flag")

    def call() -> None:
        for word in words:
            if word.startswith("/"):  # a file that the user names is read
                hostile_audit.allow(word)
        here = Path.cwd()
        os.chdir(folder)
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                try:
                    code: Any = main(words)
                except SystemExit as end:  # argparse's own
                    code = end.code
        finally:
            os.chdir(here)
        assert code in (0, 1, 2, 3, None), f"exit code {code} of {words}"

    return call


KINDS: dict[str, Callable[[Path, Rng, Seeds], Callable[[], Any]]] = {
    "partition": partition_file,
    "part": part_file,
    "run.json": run_manifest,
    "samples": run_samples,
    "checkpoint": run_checkpoint,
    "foreign": foreign_checkpoint,
    "data": data_file,
    "command": command_line,
}
