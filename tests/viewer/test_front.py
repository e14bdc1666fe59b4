"""The front end without a browser: its types, its rules, its pure modules, and what the decoder makes of a packed step."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import splineviz as sv
from splineviz.viewer import packing, page

ROOT = Path(__file__).parents[2]
FRONT = ROOT / "tests" / "front"
node = pytest.mark.skipif(shutil.which("node") is None, reason="no node: the front end's JavaScript is not checked")


def tool(name: str, *words: str) -> None:
    path = FRONT / "node_modules" / ".bin" / name
    if not path.exists():
        pytest.skip(f"no {name}: `make front` installs it with npm")
    done = subprocess.run([str(path), *words], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@node
def test_types() -> None:
    tool("tsc", "--project", "tests/front/tsconfig.json")


@node
def test_rules() -> None:
    tool("eslint", "--config", "tests/front/eslint.config.js", "--max-warnings", "0", "splineviz/viewer")


@node
def test_pure_modules() -> None:
    done = subprocess.run(["node", "--test"], cwd=FRONT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]


def test_every_module_is_in_the_page_and_no_name_is_there_twice() -> None:
    assert {f"{name}.js" for name in page.MODULES} == {path.name for path in page.VIEWER.glob("*.js")}
    named = re.compile(r"^(?:export )?(?:async )?(?:function|const|class|let) +(\w+)|^  (\w+) = (?=\S)", re.MULTILINE)
    names: list[str] = []
    for path in page.VIEWER.glob("*.js"):
        names += [one[0] for one in named.findall(path.read_text()) if one[0]]
    assert len(names) > 150
    assert sorted(name for name in set(names) if names.count(name) > 1) == []


def test_lines_of_the_style_sheet_are_short() -> None:
    assert [line for line in page.style().splitlines() if len(line) > 125] == []


READ = """
import { readFileSync } from "node:fs";
const part = await decode(new Uint8Array(readFileSync(process.argv[2])));
const plain = ([name, value]) => [name, ArrayBuffer.isView(value) ? [...value] : value];
process.stdout.write(JSON.stringify(Object.fromEntries(Object.entries(part).map(plain))));
"""


def decoded(content: bytes, folder: Path) -> dict[str, Any]:
    (folder / "decoder.mjs").write_text(page._joined(page.DECODER) + READ)
    (folder / "step").write_bytes(content)
    done = subprocess.run(["node", "decoder.mjs", "step"], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@node
@pytest.mark.parametrize("network", ["deep", "one output", "maxima", "copies"])
def test_what_the_browser_decodes_is_the_partition(network: str, tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        widths = {"one output": 1}.get(network, 5)
        middle: list[nn.Module] = [nn.Linear(12, 12), nn.ReLU()]
        if network == "maxima":
            middle = [nn.Unflatten(1, (1, 12)), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(6, 8), nn.ReLU()]
        last = nn.Linear(8 if network == "maxima" else 12, widths)
        model = nn.Sequential(nn.Linear(2, 12), nn.ReLU(), *middle, last)
        if network == "copies":  # two units with one knot
            with torch.no_grad():
                for weights in model[0].parameters():
                    weights[1] = weights[0]
    partition = sv.partition(model, sv.Plane.through([0.0, 0.0], [1.0, 0.2], [0.3, 1.0]), window=2.0)
    part = decoded(page.pack_step(partition, outputs=True), tmp_path)
    assert part["corners"] == partition.face_vertices.tolist() and part["faces"] == partition.num_regions
    assert part["patterns"] == [float(key >> 16) for key in partition.pattern_hash.tolist()]
    assert (part["seed"] is None) == (network in ("maxima", "copies")) or network == "maxima"
    low, high = np.array(part["low"]), np.array(part["high"])
    levels = np.array(part["levels"]).reshape(widths, -1).T
    np.testing.assert_allclose(low + levels / 65535 * (high - low), partition.outputs, atol=1e-5 * np.ptp(partition.outputs))
    middle_, half = packing.frame_of(partition)
    places = np.stack([part["x"], part["y"]], axis=1) * half + middle_ + partition.centre
    np.testing.assert_allclose(places, partition.vertices, rtol=0, atol=2.0**-46 * half)
    for face in range(0, partition.num_regions, 7):
        sides = slice(partition.face_offsets[face], partition.face_offsets[face + 1])
        touching = partition.edge_faces[(partition.edge_faces == face).any(axis=1)]
        assert set(part["across"][sides]) - {-1} == set(touching[touching >= 0].tolist()) - {face}
