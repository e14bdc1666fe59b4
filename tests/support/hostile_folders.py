"""Hostile input for the readers of samples, runs and results: pictures, arrays, links, lists of jobs, certificates.

Kinds as in `hostile`; what lies outside as in `hostile_readers`.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import pickle
import struct
import sys
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
from hostile import Payload, Rng, Seeds, odd_json, odd_npz, pick, torn
from hostile_readers import SECRET, content_of, keep_outside, link, picture
from torch import nn

import splineviz as sv
from splineviz.errors import SplinevizError
from splineviz.jobs import audit, plan, sweep
from splineviz.metrics.options import LCOptions
from splineviz.storage import files, listings, outputs
from splineviz.storage.cache import Ledger
from splineviz.training import sources

NAMES = (
    "a.png", "b.jpg", "é.png", " .png", "x\ny.png", "-rf.png", "%s.png", "a" * 240 + ".png", "\udcff.png", ".png", "c.PNG",
)  # fmt: skip
CHECKER = Path(__file__).parents[2] / "docs" / "check_certificate.py"


# ---- samples -------------------------------------------------------------------------------------------------------


@cache
def _pictures() -> tuple[bytes, ...]:
    rng = np.random.default_rng(0)
    grey, colour = rng.integers(0, 256, (4, 4), np.uint8), rng.integers(0, 256, (4, 4, 3), np.uint8)
    kinds = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM")
    found = [picture(one, kind) for one in (grey, colour) for kind in kinds]
    return (*found, picture(grey.astype(np.uint16) * 257, "PNG"), picture(np.zeros((4, 4, 4), np.uint8), "PNG"))


def _bomb(rng: Rng) -> bytes:
    """A PNG whose header claims any size."""
    width, height = (int(n) for n in rng.integers(1, 2 ** int(rng.integers(1, 31)), size=2))
    content = bytearray(_pictures()[0])
    content[16:24] = struct.pack(">II", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    return bytes(content)


def image_folder(folder: Path, rng: Rng, seeds: Seeds) -> Callable[[], Any]:
    """Pictures in folders of classes, torn, huge by their headers, of other kinds; links, pipes and folders among them."""
    place = folder / "pictures"
    place.mkdir()
    beside = keep_outside(folder)
    kinds = [place] if rng.integers(3) == 0 else [place / name for name in ("cat", pick(rng, ("dog", "\ndog", "<b>", "é")))]
    for kind in kinds:
        kind.mkdir(exist_ok=True)
        for _ in range(int(rng.integers(1, 3))):
            content = pick(rng, _pictures())
            content = pick(rng, (content, content, torn(content, rng), b"", _bomb(rng)))
            with contextlib.suppress(OSError):
                (kind / pick(rng, NAMES)).write_bytes(content)
    odd, at = int(rng.integers(8)), pick(rng, kinds)
    with contextlib.suppress(OSError):
        if odd == 0:
            link(at / "a.png", beside / "a.png", rng)
        elif odd == 1:
            (place / "linked").symlink_to(beside)
        elif odd == 2:
            os.mkfifo(at / "pipe.png")
        elif odd == 3:
            (at / "folder.png").mkdir()
        elif odd == 4:
            (place / "loop").symlink_to(place)

    def read() -> None:
        data = sources.load(str(place))
        assert not np.isclose(data.train_x * 255, 93).all(axis=tuple(range(1, data.train_x.ndim))).any(), (
            "a picture from outside"
        )

    return read


def one_sample(folder: Path, rng: Rng, seeds: Seeds) -> Callable[[], Any]:
    """A file for one anchor: a picture, numbers, or anything."""
    path = folder / pick(rng, ("a.png", "a.jpg", "a.npy", "a.npz", "a.pt", "a.gif", "a"))
    content = pick(rng, (*_pictures(), _bomb(rng), seeds.run["samples.npz"], content_of(seeds, rng)))
    if path.suffix == ".npy":
        out = io.BytesIO()
        np.save(out, rng.normal(size=pick(rng, ((4,), (2, 2), (1, 2, 2), (0,), (3, 3)))))
        content = out.getvalue()
    path.write_bytes(torn(content, rng) if rng.integers(3) == 0 else content)
    return lambda: sources.sample(path, pick(rng, ((2, 2), (1, 4, 4), (3, 4, 4), (4,))), (0.0, 1.0))


def named_arrays(folder: Path, rng: Rng, seeds: Seeds) -> Callable[[], Any]:
    """Samples under the names that people give them: X and Y, images and labels, x_train and its like."""
    pairs = (
        ("X", "Y"),
        ("images", "labels"),
        ("x_train", "y_train"),
        ("data", "targets"),
        ("X_test", "y_test"),
        ("features", "label"),
    )
    arrays: dict[str, np.ndarray] = {}
    for x, y in [pick(rng, pairs) for _ in range(int(rng.integers(1, 4)))]:
        arrays |= {
            x: seeds.samples["x"],
            y: pick(rng, (seeds.samples["y"], seeds.samples["y"][:, None], seeds.samples["y"] * 1.5)),
        }
    path = folder / "odd.npz"
    path.write_bytes(odd_npz(arrays, rng))
    return lambda: sources.load(str(path))


def embedded_formats(folder: Path, rng: Rng, seeds: Seeds) -> Callable[[], Any]:
    """Data sets in their makers' own files, CIFAR's pickled batches and MNIST's idx, whether or not they can be read."""
    place = folder / pick(rng, ("cifar-10-batches-py", "MNIST", "raw", "data"))
    place.mkdir()
    pixels, labels = rng.integers(0, 256, (6, 3072), np.uint8), [int(n) for n in rng.integers(0, 10, 6)]
    batch = {b"data": pixels, b"labels": labels, b"batch_label": b"x", b"filenames": [b"f"] * 6}
    idx = struct.pack(">IIII", 0x803, 6, 28, 28) + rng.bytes(6 * 784)
    marks = struct.pack(">II", 0x801, 6) + bytes(labels)
    if place.name.startswith("cifar") or rng.integers(2):
        odd = pick(
            rng,
            (batch, batch, {**batch, b"data": Payload()}, Payload(), {b"data": pixels[:, :5]}, {b"labels": labels}, [batch]),
        )
        files = {f"data_batch_{i}": pickle.dumps(odd, protocol=int(rng.integers(1, 5))) for i in (1, 2)} | {
            "test_batch": pickle.dumps(batch)
        }
    else:
        gz = bool(rng.integers(2))
        files = {
            f"{name}-ubyte{'.gz' if gz else ''}": gzip.compress(content) if gz else content
            for name, content in (("train-images-idx3", idx), ("train-labels-idx1", marks), ("t10k-images-idx3", idx))
        }
    for name, content in files.items():
        (place / name).write_bytes(torn(content, rng) if rng.integers(3) == 0 else content)
    return lambda: sources.load(str(pick(rng, (place, place, *sorted(place.iterdir())))))


# ---- runs and results ----------------------------------------------------------------------------------------------


def run_links(folder: Path, rng: Rng, seeds: Seeds) -> Callable[[], Any]:
    """A run in which some file or folder is a link."""
    for name, content in seeds.run.items():
        path = folder / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    beside, root = keep_outside(folder), folder / "run"
    kind = int(rng.integers(4))
    if kind == 0:
        link(pick(rng, [path for path in sorted(root.rglob("*")) if path.is_file()]), beside / "net_7.pt", rng)
    elif kind == 1:
        (root / "checkpoints").rename(root / "elsewhere")
        (root / "checkpoints").symlink_to(pick(rng, (beside, root / "elsewhere", "checkpoints", root)))
    elif kind == 2:
        (root / "networks").symlink_to(beside)
        said = json.loads((root / "run.json").read_text())
        said["format"], said["checkpoints"][-1]["network"] = 2, pick(rng, ("0" * 32, "../run", "0" * 31, None, 3))
        (root / "run.json").write_text(json.dumps(said))
    else:
        link(root / "added.jsonl", beside / "kept", rng)

    def read() -> None:
        run = sv.open_run(root)
        for checkpoint in run.checkpoints:
            state = run.state(checkpoint)
            assert not any(bool((t == SECRET).all()) for t in state.values() if t.numel() > 3), "weights from outside"
            run.program(checkpoint)

    return read


def added_lines(folder: Path, rng: Rng, seeds: Seeds) -> Callable[[], Any]:
    """Lines beside run.json, odd, torn, many, or of checkpoints elsewhere."""
    for name, content in seeds.run.items():
        path = folder / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    entry = json.loads(seeds.run["run.json"])["checkpoints"][-1]
    text = "".join(odd_json(json.dumps({**entry, "step": 20 + i}), rng) + "\n" for i in range(int(rng.integers(1, 5))))
    content = text.encode("utf-8", "surrogatepass")
    (folder / "run" / "added.jsonl").write_bytes(torn(content, rng) if rng.integers(3) == 0 else content)

    def read() -> None:
        run = sv.open_run(folder / "run")
        run.program(run.checkpoints[-1])

    return read


@cache
def _measured(base: Path) -> dict[str, bytes]:
    """The files of a measured run."""
    run = sv.open_run(base / "run").only([0, 1])
    sweep.measure_run(run, window=1.0, lc=LCOptions(num_vectors=2, points=5), out=base / "results")
    Ledger(base / "results" / "rows" / "studies.json").numbers("a", lambda: {"b": 1.0})
    return {
        path.relative_to(base / "results").as_posix(): path.read_bytes()
        for path in sorted((base / "results").rglob("*"))
        if path.is_file()
    }


def results_folder(folder: Path, rng: Rng, seeds: Seeds) -> Callable[[], Any]:
    """A folder of results with an odd list, row, manifest, ledger or partition, sealed anew half of the time, or a link."""
    good = _measured(seeds.folder)
    out = folder / "out"
    for name, content in good.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
    name, kind = pick(rng, good), int(rng.integers(4))
    if name.endswith(".json") and kind:
        text = odd_json(good[name].decode(), rng)
        (out / name).write_text(text, errors="surrogatepass")
        with contextlib.suppress(ValueError, RecursionError, TypeError, AttributeError):
            said = json.loads(text)
            if kind > 1 and isinstance(said, dict):
                said.pop(files.SEAL, None)
                files.write_sealed(out / name, said)
    elif kind == 1:
        link(out / name, keep_outside(folder) / "kept", rng)
    elif kind == 2:
        inside = pick(rng, ("rows", "partitions", "samples", "running", "failures", "frames", "churn"))
        if (out / inside).is_dir():
            (out / inside).rename(out / f"{inside}-before")
        (out / inside).symlink_to(keep_outside(folder))
    else:
        (out / name).write_bytes(torn(good[name], rng))
    which = int(rng.integers(4))

    def read() -> None:
        if which == 0:
            plan.states(out)
        elif which == 1:
            with contextlib.suppress(ValueError):
                listings.results(out)
        elif which == 2:
            found = audit.audit(out, raise_on_failure=False, numbers=1, seed=0)
            assert "\x1b" not in str(found)
        else:
            outputs.enter(out, "run", ["/somewhere"], outputs.MEASURES, same=bool(rng.integers(2)))
            Ledger(out / "rows" / "studies.json").numbers("new", lambda: {"b": 2.0})

    return read


@cache
def _certificate() -> dict[str, np.ndarray]:
    model = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 2))
    found = sv.partition(model, sv.Plane(np.zeros(2), np.eye(2)), window=1.0)
    out = Path(os.environ.get("TMPDIR", "/tmp")) / f"certificate-{os.getpid()}.npz"
    found.certificate(out, model)
    with np.load(out) as stored:
        arrays = {name: stored[name] for name in stored.files}
    out.unlink()
    return arrays


@cache
def _checker() -> CodeType:
    return compile(CHECKER.read_bytes(), str(CHECKER), "exec")


def certificate_file(folder: Path, rng: Rng, seeds: Seeds) -> Callable[[], Any]:
    """A certificate with odd arrays, for the checker that needs numpy alone: it proves, or says that it does not hold."""
    content = odd_npz(_certificate(), rng)
    path = folder / "p.cert"
    path.write_bytes(torn(content, rng) if rng.integers(4) == 0 else content)

    def read() -> None:
        before, sys.argv = sys.argv, [str(CHECKER), str(path)]
        try:
            with contextlib.redirect_stdout(io.StringIO()) as said:
                exec(_checker(), {"__name__": "__main__", "__file__": str(CHECKER)})
        except SystemExit as end:
            words = end.code if isinstance(end.code, str) else said.getvalue()
            assert words.strip()
            if end.code:
                raise SplinevizError(words) from None
        finally:
            sys.argv = before

    return read


READERS: dict[str, Callable[[Path, Rng, Seeds], Callable[[], Any]]] = {
    "images": image_folder,
    "one sample": one_sample,
    "named arrays": named_arrays,
    "data sets": embedded_formats,
    "links": run_links,
    "added": added_lines,
    "results": results_folder,
    "certificate": certificate_file,
}
